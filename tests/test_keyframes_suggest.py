"""Which frames to paint: greedy, never across a cut, better than equal distances, and nothing of the painter's written over."""

from __future__ import annotations

import json
import shutil
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from player.show.cut_list import CutList, Shot, write_csv
from player.sources.film_reader import FilmReader
from tests.film_footage import write_film

pytest.importorskip("cv2")
from tools import keyframes_suggest, keyframes_suggest_order
from tools.keyframes_suggest_greedy import Ordered, chosen, error_of, evenly, gain_of, left_of, merged
from tools.keyframes_suggest_names import frames_in, name_of
from tools.keyframes_suggest_order import suggested_keys
from tools.keyframes_suggest_shots import shots_named, spans_of

WIDTH, HEIGHT = 128, 96
FRAMES = 60  # shot 1: frames 0-23, shot 2: 24-31, shot 3: 32-59


def ground(seed: int) -> np.ndarray:
    """A soft random texture, uint8 [HEIGHT, WIDTH, 3]."""
    import cv2

    noise = np.random.default_rng(seed).normal(0, 1, (HEIGHT, WIDTH)).astype(np.float32)
    soft = cv2.GaussianBlur(noise, (0, 0), 3)
    grey = np.clip(128 + 50 * soft / soft.std(), 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, 2)


GROUNDS = [ground(s) for s in range(4)]


def picture(n: int) -> np.ndarray:
    """Shot 1: still until frame 16, then a board slides in. Shot 2: still. Shot 3: a pan."""
    if n < 24:
        made = GROUNDS[0].copy()
        if n >= 16:
            wide = 12 * (n - 15)
            made[20:80, :wide] = GROUNDS[3][20:80, WIDTH - wide:]
        return made
    return GROUNDS[1] if n < 32 else np.roll(GROUNDS[2], -2 * (n - 32), axis=1)


def one_shot(frames: int) -> CutList:
    return CutList("film.mp4", Fraction(24), frames, (Shot(1, 0, frames),))


def suggest(*argv: object) -> int:
    return keyframes_suggest.main([str(a) for a in argv])


def frames_of(folder: Path) -> list[int]:
    return sorted(int(p.stem) for p in folder.glob("*.png"))


def told(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "suggest" / "suggest.json").read_text()))


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_film(tmp_path_factory.mktemp("film") / "film.mp4", FRAMES, picture=picture, options={"crf": "12"})


@pytest.fixture(scope="module")
def cuts(film: Path) -> Path:
    path = film.with_name("cuts.csv")
    write_csv(CutList("film.mp4", Fraction(24), FRAMES, (Shot(1, 0, 24), Shot(2, 24, 32), Shot(3, 32, 60))), path)
    return path


@pytest.fixture(scope="module")
def looked_at(film: Path, cuts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is kept of the film's shots, for tests of what is made of them: looking takes longest."""
    out = tmp_path_factory.mktemp("looked") / "out"
    assert suggest(film, "--cuts", cuts, "-n", 3, "-o", out, "--no-frames") == 0
    return out / "suggest" / "work"


def begun(looked_at: Path, out: Path) -> Path:
    """An output whose shots have been looked at."""
    shutil.copytree(looked_at, out / "suggest" / "work")
    return out


def test_lazy_greedy_chooses_what_plain_greedy_chooses() -> None:
    rng = np.random.default_rng(4)
    costs = rng.integers(0, 256, (14, 9, 30)).astype(np.uint8)
    state = np.full((9, 30), 255, np.uint8)
    lazy = [(c.candidate, c.gain) for c in chosen(costs, state.copy(), range(14))]
    plain = []
    while True:
        gains = [gain_of(state, c) for c in costs]
        best = int(np.argmax(gains))
        if gains[best] <= 0:
            break
        plain.append((best, gains[best]))
        np.minimum(state, costs[best], out=state)
    assert lazy == plain and len(lazy) > 5


def test_gains_only_fall_and_the_error_with_them() -> None:
    rng = np.random.default_rng(5)
    costs = rng.integers(0, 256, (12, 8, 20)).astype(np.uint8)
    choices = list(chosen(costs, np.full((8, 20), 255, np.uint8), range(12)))
    gains = [c.gain for c in choices]
    errors = [float(c.errors.mean()) for c in choices]
    assert gains == sorted(gains, reverse=True) and errors == sorted(errors, reverse=True)


def shot(number: int, length: int, frames: tuple[int, ...], lefts: list[float], painted: int = 0) -> Ordered:
    by_frame = np.repeat(np.array(lefts, np.float32)[:, None], 2, axis=1)
    return Ordered(number, length, frames, (0, 1), by_frame, painted)


def test_every_shot_has_a_key_before_any_has_two() -> None:
    long = shot(1, 100, (10, 60, 90), [1, 0.6, 0.3, 0.1])
    short = shot(2, 4, (101,), [1, 0.0])
    steps = merged([long, short])
    assert [s.frame for s in steps] == [10, 101, 60, 90]
    assert steps[-1].error == pytest.approx(error_of([long, short], [3, 1])) == pytest.approx(10 / 104)
    assert [s.frame for s in merged([long, short], number=1)] == [10]
    assert [s.frame for s in merged([long, short], per_shot=2)] == [10, 101, 60]
    assert [s.frame for s in merged([long, short], until=0.3)] == [10, 101, 60]
    assert merged([long, short], until=0.999)[-1].frame == 101, "a shot without any key cannot be made at all"
    has_one = shot(1, 100, (60, 90), [0.6, 0.3, 0.1], painted=1)
    assert merged([has_one, short], number=1)[0].frame == 101


def test_frames_at_equal_distances() -> None:
    assert evenly(0, 40, 2) == [10, 30] and evenly(10, 11, 1) == [10] and evenly(0, 3, 3) == [0, 1, 2]
    assert left_of(np.array([[255, 0], [0, 0]], np.uint8)).tolist() == [0.5, 0.0]


def test_spans_keep_to_their_shots_and_know_what_is_mixed() -> None:
    shots = (Shot(1, 0, 24, out="fade", out_frames=4, out_colour="black"), Shot(2, 24, 60, "dissolve", 6))
    cuts = CutList("film.mp4", Fraction(24), 60, shots)
    first, second = spans_of(cuts, 10, 60)
    assert (first.start, first.end, first.clear_start, first.clear_end) == (10, 24, 10, 20)
    assert (second.start, second.end, second.clear_start, second.clear_end) == (24, 60, 30, 60)
    pieces = spans_of(cuts, 0, 60, most=20)
    assert [(s.start, s.end) for s in pieces] == [(0, 12), (12, 24), (24, 42), (42, 60)]
    assert shots_named([4, 1, 2, 3, 9]) == "shots 1-4, 9" and shots_named([7]) == "shot 7"


def test_the_frames_are_the_films_own_one_a_shot_and_named_by_number(film: Path, cuts: Path, tmp_path: Path,
                                                                      capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    assert suggest(film, "--cuts", cuts, "-n", 5, "-o", tmp_path / "out") == 0
    numbers = frames_of(tmp_path / "out")
    assert len(numbers) == 5
    assert all(any(a <= n < b for n in numbers) for a, b in ((0, 24), (24, 32), (32, 60)))
    reader = FilmReader(film)
    reader.open()
    for n in numbers:
        made = np.asarray(Image.open(tmp_path / "out" / f"{n:06d}.png"))
        assert np.array_equal(made, reader.picture(n))
    reader.close()
    record = told(tmp_path / "out")
    errors = [record["error_before"], *(k["error"] for k in record["keys"])]
    assert errors == sorted(errors, reverse=True) and errors[0] == 1.0
    assert record["error"] < record["error_even"], "the board that slides in is not met by equal distances"
    assert "as many at equal distances" in capsys.readouterr().out
    for name in ("sheet.png", "curve.png"):
        assert Image.open(tmp_path / "out" / "suggest" / name).size[0] > 300
    rows = (tmp_path / "out" / "suggest" / "curve.csv").read_text().splitlines()
    assert len(rows) == 7 and rows[0].startswith("order,file,frame")
    assert frames_in(tmp_path / "out", keyframes_suggest.footage_at(film), "--keys").keys() == set(numbers)


def test_the_same_choice_again_and_a_larger_n_leaves_less(film: Path, cuts: Path, looked_at: Path, tmp_path: Path) -> None:
    begun(looked_at, tmp_path / "a")
    for name, number in (("a", 4), ("b", 4), ("c", 7)):
        assert suggest(film, "--cuts", cuts, "-n", number, "-o", tmp_path / name, "--no-frames") == 0
    a, b, c = ([k["frame"] for k in told(tmp_path / n)["keys"]] for n in "abc")
    assert a == b and not frames_of(tmp_path / "a")
    assert len(set(c)) == 7 and told(tmp_path / "c")["error"] < told(tmp_path / "a")["error"]


def test_what_comes_into_the_picture_is_painted_and_what_stands_still_once(film: Path, cuts: Path, looked_at: Path,
                                                                           tmp_path: Path) -> None:  # fmt: skip
    assert suggest(film, "--cuts", cuts, "-n", 3, "-o", begun(looked_at, tmp_path / "one"), "--start", 0, "--end", 32) == 0
    numbers = frames_of(tmp_path / "one")
    assert len([n for n in numbers if n < 24]) == 2 and len([n for n in numbers if n >= 24]) == 1
    first, second = [n for n in numbers if n < 24]
    assert first < 18 <= second, "one shows the ground, one the board"


def test_fewer_frames_than_shots_says_which_go_without(film: Path, cuts: Path, looked_at: Path, tmp_path: Path,
                                                       capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    assert suggest(film, "--cuts", cuts, "-n", 2, "-o", begun(looked_at, tmp_path / "out")) == 0
    assert "shot 2: no frame to paint" in capsys.readouterr().out
    assert told(tmp_path / "out")["shots_without"] == [2]


def test_per_shot_and_until(film: Path, cuts: Path, looked_at: Path, tmp_path: Path) -> None:
    assert suggest(film, "--cuts", cuts, "--per-shot", 2, "-o", begun(looked_at, tmp_path / "per")) == 0
    by_shot = [sum(a <= n < b for n in frames_of(tmp_path / "per")) for a, b in ((0, 24), (24, 32), (32, 60))]
    assert max(by_shot) == 2 and min(by_shot) >= 1
    assert suggest(film, "--cuts", cuts, "--until", "20%", "-o", begun(looked_at, tmp_path / "until")) == 0
    record = told(tmp_path / "until")
    assert record["error"] <= 0.2 and (len(record["keys"]) == 3 or record["keys"][-2]["error"] > 0.2)


def test_without_a_cut_list_the_cuts_are_found(film: Path, looked_at: Path, tmp_path: Path,
                                               capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    assert suggest(film, "-n", 3, "-o", begun(looked_at, tmp_path / "out")) == 0
    assert "3 shots found" in capsys.readouterr().out
    assert [sum(a <= n < b for n in frames_of(tmp_path / "out")) for a, b in ((0, 24), (24, 32), (32, 60))] == [1, 1, 1]


def test_a_painted_frame_stays_and_a_stale_one_is_named(film: Path, cuts: Path, looked_at: Path, tmp_path: Path,
                                                        capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    out = begun(looked_at, tmp_path / "out")
    assert suggest(film, "--cuts", cuts, "-n", 5, "-o", out) == 0
    before = frames_of(out)
    painted = out / next(f"{n:06d}.png" for n in before if 24 <= n < 32)  # the only one of its shot, whatever the number
    painted.write_bytes(b"a painting")
    capsys.readouterr()
    assert suggest(film, "--cuts", cuts, "-n", 3, "-o", out) == 0
    said = capsys.readouterr().out
    assert painted.read_bytes() == b"a painting" and set(before) <= set(frames_of(out))
    assert "suggested before, not now" in said and "already and stay as they are" in said


def test_frames_of_another_film_do_not_pass_for_this_ones(film: Path, cuts: Path, looked_at: Path, tmp_path: Path,
                                                          capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    other = write_film(tmp_path / "other.mp4", FRAMES, picture=lambda n: 255 - picture(n), options={"crf": "12"})
    out = begun(looked_at, tmp_path / "out")
    assert suggest(film, "--cuts", cuts, "-n", 3, "-o", out) == 0
    held = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    capsys.readouterr()
    assert suggest(other, "-n", 3, "-o", out) == 2
    said = capsys.readouterr().err
    assert "another film (film.mp4)" in said and said.count("\n") == 1
    assert {p: p.read_bytes() for p in out.rglob("*") if p.is_file()} == held
    for path in out.glob("*.png"):
        path.unlink()
    assert suggest(other, "-n", 3, "-o", out) == 0 and len(frames_of(out)) == 3, "nothing of the first film is there any more"


def test_a_wrong_byte_in_what_is_kept_costs_the_work_and_no_more(film: Path, cuts: Path, looked_at: Path,
                                                                 tmp_path: Path) -> None:  # fmt: skip
    out = begun(looked_at, tmp_path / "out")
    assert suggest(film, "--cuts", cuts, "-n", 3, "-o", out) == 0
    before = told(out)
    for path in (out / "suggest" / "work").glob("*.npz"):
        data = bytearray(path.read_bytes())
        for at in (len(data) // 4, len(data) // 2):
            data[at] ^= 0xFF
        path.write_bytes(data)
    assert suggest(film, "--cuts", cuts, "-n", 3, "-o", out) == 0
    assert told(out)["keys"] == before["keys"]


def painted_keys(film: Path, folder: Path, numbers: list[int]) -> None:
    """Keys as if painted: the film's frames, turned to negatives."""
    folder.mkdir()
    reader = FilmReader(film)
    reader.open()
    for n in numbers:
        Image.fromarray(255 - reader.picture(n)).save(folder / f"key_{n:06d}.png")
    reader.close()


def test_what_to_paint_next(film: Path, cuts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    painted_keys(film, tmp_path / "painted", [8, 28])
    base = (film, "--cuts", cuts, "--keys", tmp_path / "painted")
    assert suggest(*base, "-o", tmp_path / "next") == 0
    assert [32 <= n < 60 for n in frames_of(tmp_path / "next")] == [True], "the third shot has none at all"
    seen = tmp_path / "next" / "suggest" / "work"
    assert suggest(*base, "-n", 2, "-o", begun(seen, tmp_path / "two")) == 0
    record = told(tmp_path / "two")
    assert record["painted"] == [8, 28] and record["error_before"] < 1 and record["keys"][0]["gain"] > record["keys"][1]["gain"]
    capsys.readouterr()
    assert suggest(*base, "--end", 32, "-o", begun(seen, tmp_path / "again"), "--json") == 0
    told_so = json.loads(capsys.readouterr().out)
    assert [18 <= k["frame"] < 24 for k in told_so["keys"]] == [True], "the board, which no key shows yet"


def test_a_key_that_is_still_the_films_own_frame_does_not_count(film: Path, cuts: Path, looked_at: Path, tmp_path: Path,
                                                                capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    painted_keys(film, tmp_path / "painted", [8])
    assert suggest(film, "--cuts", cuts, "-n", 3, "-o", begun(looked_at, tmp_path / "out")) == 0
    number = max(frames_of(tmp_path / "out"))
    Image.open(tmp_path / "out" / f"{number:06d}.png").save(tmp_path / "painted" / f"{number:06d}.png")
    assert suggest(film, "--cuts", cuts, "--keys", tmp_path / "painted", "-o", begun(looked_at, tmp_path / "next")) == 0
    assert told(tmp_path / "next")["painted"] == [8] and "not painted yet" in capsys.readouterr().out


def test_where_the_result_goes_wrong_is_painted_next(film: Path, cuts: Path, tmp_path: Path) -> None:
    painted_keys(film, tmp_path / "painted", [4, 28, 45])
    made = tmp_path / "made"
    made.mkdir()
    for n in range(FRAMES):
        wrong = 90 * (n % 2) if 50 <= n < 58 else 0  # it flickers there
        Image.fromarray(np.clip(255 - picture(n).astype(int) - wrong, 0, 255).astype(np.uint8)).save(made / f"{n:06d}.png")
    base = (film, "--cuts", cuts, "--keys", tmp_path / "painted", "--start", 32, "--end", 60)
    assert suggest(*base, "--result", made, "-o", tmp_path / "next") == 0
    assert 49 <= frames_of(tmp_path / "next")[0] <= 58


def test_frames_that_matched_badly_count_more(film: Path, cuts: Path, tmp_path: Path) -> None:
    from tools.keyframes_output import TABLE, Row, table_text

    painted_keys(film, tmp_path / "painted", [46])
    made = tmp_path / "made"
    made.mkdir()
    for n in range(32, 60):
        Image.fromarray(255 - picture(n)).save(made / f"{n:06d}.png")
    base = (film, "--cuts", cuts, "--keys", tmp_path / "painted", "--start", 32, "--end", 60, "--result", made)
    chosen = []
    for worse in (range(32, 46), range(47, 60)):
        rows = [Row(n, f"{n:06d}.png", 3, "46", 0.0 if n == 46 else 900.0 if n in worse else 90.0, "") for n in range(32, 60)]
        (made / TABLE).write_text(table_text(rows))
        assert suggest(*base, "-o", tmp_path / f"next{len(chosen)}") == 0
        chosen += frames_of(tmp_path / f"next{len(chosen)}")
    assert chosen[0] < 46 < chosen[1]


def test_a_stopped_run_goes_on_from_the_shots_that_are_done(film: Path, cuts: Path, tmp_path: Path,
                                                           monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    real, asked = keyframes_suggest_order.read_shot, []

    def stops(footage: Any, span: Any, tick: Any) -> Any:
        asked.append(span.shot)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return real(footage, span, tick)

    monkeypatch.setattr(keyframes_suggest, "read_shot", stops)
    assert suggest(film, "--cuts", cuts, "-n", 3, "-o", tmp_path / "out") == 130
    assert suggest(film, "--cuts", cuts, "-n", 3, "-o", tmp_path / "out") == 0
    assert asked == [1, 2, 3, 3] and len(frames_of(tmp_path / "out")) == 3


def test_a_folder_of_frames_gives_frames_of_its_own_names(tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    for n in range(12):
        Image.fromarray(picture(n + 12)).save(folder / f"take7_{n + 101:04d}.png")
    assert suggest(folder, "-n", 2, "-o", tmp_path / "out", "--end", 12) == 0
    names = sorted(p.stem for p in (tmp_path / "out").glob("*.png"))
    assert len(names) == 2 and all(n.startswith("take7_01") for n in names)
    footage = keyframes_suggest.footage_at(folder)
    assert name_of(footage, 0) == "take7_0101.png"
    assert [name_of(footage, n)[:-4] for n in frames_in(tmp_path / "out", footage, "--keys")] == names
    for name in names:
        given, made = (np.asarray(Image.open(f / f"{name}.png")) for f in (folder, tmp_path / "out"))
        assert np.array_equal(given, made)


def test_frames_in_memory_and_the_command_choose_alike() -> None:
    frames = [picture(n) for n in range(24)]
    keys = suggested_keys(frames, 2)
    assert keys == suggested_keys(frames, 2) and keys[0] < 18 <= keys[1] and len(suggested_keys(frames, 3)) == 3


@pytest.mark.parametrize(("argv", "sentence"), [
    ((), "-n: is missing"), (("-n", "0"), "-n: 0"), (("--per-shot", "0"), "--per-shot"), (("--until", "x"), "--until"),
    (("--until", "200"), "--until"), (("-n", "2", "--start", "60"), "the film's 60 frames"),
    (("-n", "2", "--end", "61"), "the film's 60 frames"), (("-n", "2", "--result", "."), "--keys DIR"),
    (("-n", "2", "--keys", "nowhere"), "does not exist"), (("-n", "2", "--rate", "25"), "has its own"),
])
def test_a_bad_option_costs_one_sentence_and_writes_nothing(film: Path, cuts: Path, tmp_path: Path,
                                                            argv: tuple[str, ...], sentence: str,
                                                            capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    assert suggest(film, "--cuts", cuts, "-o", tmp_path / "out", *argv) == 2
    said = capsys.readouterr().err
    assert sentence in said and said.count("\n") == 1 and not (tmp_path / "out").exists()


def test_bad_places_cost_a_sentence(film: Path, cuts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("here")
    painted_keys(film, tmp_path / "painted", [8, 28])
    frames = tmp_path / "frames"
    frames.mkdir()
    Image.fromarray(picture(0)).save(frames / "0001.png")
    for argv, sentence in (
        ((film, "-n", 2, "-o", tmp_path / "file"), "is a file"),
        ((film, "-n", 2, "-o", tmp_path / "file" / "keys"), "is no folder"),
        ((frames, "-n", 2, "-o", frames / "keys"), "lies among the frames"),
        ((film, "--keys", tmp_path / "painted", "-o", tmp_path / "painted"), "another folder"),
        ((film, "--cuts", tmp_path / "none.csv", "-n", 2, "-o", tmp_path / "out"), "none.csv"),
        ((tmp_path / "none.mp4", "-n", 2, "-o", tmp_path / "out"), "does not exist"),
    ):
        assert suggest(*argv) == 2
        told_so = capsys.readouterr()
        assert sentence in told_so.err and not told_so.out, "before any work"
    with pytest.raises(SystemExit) as stopped:
        suggest(film, "-n", 2, "-o", "")
    assert stopped.value.code == 2 and "name is empty" in capsys.readouterr().err
    (tmp_path / "painted" / "key_000999.png").write_bytes((tmp_path / "painted" / "key_000008.png").read_bytes())
    assert suggest(film, "--cuts", cuts, "--keys", tmp_path / "painted", "-o", tmp_path / "out") == 2
    assert "key_000999.png" in capsys.readouterr().err and (tmp_path / "file").read_text() == "here"
