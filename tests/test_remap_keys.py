"""What a person says of a shot is done and survives: pins stay, bans do not come again, swaps play."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from player.show.cut_list import Shot  # noqa: E402
from player.show.problem import ShowError  # noqa: E402
from player.show.score import Score, ScoreShot, read_score, write_score  # noqa: E402
from player.show.walk import Walk  # noqa: E402
from tests.test_remap import CUTS, job, known_film  # noqa: E402
from tools import remap as deed  # noqa: E402
from tools.remap_fit import pushed_away, spline_basis  # noqa: E402
from tools.remap_keys import greedy_keys, named_walk, wishes_of  # noqa: E402
from tools.remap_swap import brought_to, parse_swaps  # noqa: E402


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return known_film(tmp_path_factory.mktemp("known"))[0]


def changed(path: Path, number: int, change: Callable[[ScoreShot], ScoreShot]) -> Score:
    """The score with one row as a person would write it."""
    score = read_score(path)
    score = replace(score, shots=tuple(change(s) if s.number == number else s for s in score.shots))
    write_score(score, path)
    return score


def test_keys_stand_close_where_it_moves_fast_and_apart_where_it_is_still() -> None:
    frames = np.arange(100, 160)
    codes = np.zeros((60, 4))
    codes[30:40] = np.sin(np.arange(10) * 2.0)[:, None] * 3
    keys = greedy_keys(frames, codes, 160, 0.4)
    assert keys[0] == 100 and keys[-1] == 159 and np.all(np.diff(keys) >= 2)
    still = np.diff(keys[keys < 126])
    assert still.min() >= 2 and still.max() == 3 and np.all(np.diff(keys[(keys >= 128) & (keys <= 141)]) == 2)
    fitted = spline_basis(keys, frames) @ codes[keys - 100]
    assert np.linalg.norm(fitted - codes, axis=1)[:26].max() <= 0.4
    assert set(greedy_keys(frames, codes, 160, 0.4, [107, 108])) >= {107, 108}
    assert not {131, 133} & set(greedy_keys(frames, codes, 160, 0.4, [], [131, 133, 100]).tolist()) - {100}
    assert greedy_keys(frames[:1], codes[:1], 101, 0.4).tolist() == [100]


def test_a_key_near_a_banned_latent_is_pushed_out_and_a_pinned_one_is_not() -> None:
    keys = np.zeros((3, 1, 4), np.float32)
    keys[1] += 0.1
    banned = [np.zeros(4, np.float32)]
    made = pushed_away(keys, banned, 1.0, np.array([True, True, False]))
    far = np.linalg.norm(made[:, 0], axis=1)
    assert far[0] >= 1 and far[1] >= 1 and far[2] == 0 and np.ptp(made[1]) < 1e-6
    assert np.array_equal(pushed_away(keys + 5, banned, 1.0, np.ones(3, bool)), keys + 5)


def test_names_that_are_none_are_told_with_the_nearest() -> None:
    walk = Walk("s01", np.zeros((2, 1, 4), np.float32), np.array([0, 6]), ("s01.f0000", "s01.f0006"))
    score = Score((ScoreShot(1, "s01", pin=("s01.f0001", "s01.f0006@99", "s01.f0006@x", "s01.f0006")),), {"s01": walk})
    with pytest.raises(ShowError) as e:
        wishes_of(score, Shot(1, 0, 7), 6)
    told = str(e.value).splitlines()
    assert len(told) == 3 and "did you mean 's01.f00" in told[0] and "stands at frame 99" in told[1] and "no frame" in told[2]
    wishes = wishes_of(replace(score, shots=(ScoreShot(1, "s01", pin=("s01.f0006@3",), ban=("s01.f0000",)),)), Shot(1, 0, 7), 6)
    assert set(wishes.pinned) == {3} and set(wishes.banned) == {"s01.f0000"}
    made = named_walk("s01", np.zeros((2, 1, 4), np.float32), np.array([0, 3]), wishes)
    assert made.names == ("s01.f0000.2", "s01.f0006@3"), "a banned name is not used again"


def test_a_pin_stays_where_it_is_through_every_run(known: Path, tmp_path: Path) -> None:
    path = tmp_path / "score.toml"
    remap = job(known, path, steps=12)
    deed.run(remap, quiet=True)
    first = read_score(path)
    name = first.walks["s02"].names[1]
    own = first.key(name).copy()  # type: ignore[union-attr]
    other = first.key("s01.f0000").copy()  # type: ignore[union-attr]
    changed(path, 2, lambda s: replace(s, pin=(name, "s01.f0000@8")))
    changed(path, 3, lambda s: replace(s, pin=(first.walks["s03"].names[0],)))
    held = first.walks["s03"].keys[0].copy()
    for again in (False, True, False):
        deed.run(replace(remap, again=again), quiet=True)
        after = read_score(path)
        walk = after.walks["s02"]
        assert np.array_equal(after.key(name), own) and name in walk.names  # type: ignore[arg-type]
        assert np.array_equal(walk.keys[list(walk.frames).index(8)], other)
        assert np.array_equal(after.walks["s03"].keys[0], held), "in a dissolve too"
        assert after.shots[1].pin == (name, "s01.f0000@8")
    assert not np.array_equal(walk.keys[-1], first.walks["s02"].keys[-1]) or len(walk.frames) != len(first.walks["s02"].frames)


def test_a_ban_keeps_the_latent_away_and_is_remembered(known: Path, tmp_path: Path) -> None:
    path = tmp_path / "score.toml"
    remap = job(known, path, steps=12)
    deed.run(remap, quiet=True)
    first = read_score(path)
    name = first.walks["s03"].names[2]
    bad = first.key(name)[0].copy()  # type: ignore[index]
    changed(path, 3, lambda s: replace(s, ban=(name,)))
    read = deed.read_job(remap)
    radius = read.options(CUTS.shots[2]).ban_radius
    assert radius > 0
    for again in (False, True):
        deed.run(replace(remap, again=again), quiet=True)
        after = read_score(path)
        walk = after.walks["s03"]
        assert name not in walk.names and np.linalg.norm(walk.keys[:, 0] - bad, axis=1).min() >= 0.999 * radius
        assert np.allclose(after.key(name), bad) and after.shots[2].ban == (name,)  # type: ignore[arg-type]
    changed(path, 3, lambda s: replace(s, ban=()))
    deed.run(remap, quiet=True)
    assert "s03.banned" not in read_score(path).walks


def test_a_swap_plays_another_walk_and_can_be_taken_back(known: Path, tmp_path: Path) -> None:
    path = tmp_path / "score.toml"
    remap = job(known, path)
    deed.run(remap, quiet=True)
    first = read_score(path)
    changed(path, 2, lambda s: replace(s, extra={"swap": "s01", "note": "mine"}))
    for _ in range(2):
        fitted, _ = deed.run(remap, quiet=True)
        after = read_score(path)
        row, walk = after.by_number(2), after.walks["s02.swap"]
        assert row is not None and row.walk == "s02.swap" and row.extra == {"swap": "s01", "note": "mine"} and 2 not in fitted
        assert (walk.frames[0], walk.frames[-1]) == (7, 14)
        assert np.allclose(walk.keys[[0, -1]], first.walks["s01"].keys[[0, -1]])
        assert np.array_equal(after.walks["s02"].keys, first.walks["s02"].keys), "its own stays beside it"
    deed.run(replace(remap, swaps={2: "", 3: f"{path.name}:s01"}), quiet=True)
    after = read_score(path)
    assert [s.walk for s in after.shots] == ["s01", "s02", "s03.swap"] and "s02.swap" not in after.walks
    assert after.shots[1].extra == {"note": "mine"} and after.shots[2].extra["swap"] == "score.toml:s01"


def test_what_cannot_be_swapped_is_told_at_once(known: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["--film", str(known / "film"), "--cuts", str(known / "cuts.csv"), "--model", str(known / "model"),
            "-o", str(tmp_path / "s.toml")]  # fmt: skip
    for given, told in ((["9=s01"], "there is no shot 9"), (["2=s2"], "did you mean"), (["2=s02"], "its own walk"),
                        (["x=s01"], "SHOT=WALK"), (["1=no.toml:s01"], "cannot be read")):  # fmt: skip
        assert deed.main([*argv, *(word for g in given for word in ("--swap", g))]) == 2
        printed = capsys.readouterr().err
        assert told in printed and printed.count("\n") == 1, printed
    assert parse_swaps(["3=s07", "4="]) == {3: "s07", 4: ""}


def test_a_walk_brought_to_fewer_frames_passes_through_the_same_latents() -> None:
    keys = np.arange(10, dtype=np.float32)[:, None, None] * np.ones(3, np.float32)
    walk = Walk("a", keys, np.arange(0, 100, 10) + 7, tuple("abcdefghij"))
    short = brought_to(walk, "b", np.arange(50, 54))
    assert short.frames.tolist() == [50, 51, 52, 53] and np.allclose(short.keys[:, 0, 0], [0, 3, 6, 9], atol=1e-5)
    assert brought_to(walk, "b", np.arange(5, 6)).frames.tolist() == [5]
    assert np.array_equal(brought_to(walk, "b", np.arange(1000, 1091)).keys, keys)


def test_the_score_remembers_what_it_was_made_from(
    known: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["--film", str(known / "film"), "--cuts", str(known / "cuts.csv"), "--model", str(known / "model")]
    monkeypatch.chdir(tmp_path)
    quick = ["--iterations", "2", "--start", "bank", "--no-measure"]
    assert deed.main([*argv, "-o", "score.toml", *quick]) == 0
    record = json.loads((tmp_path / "score.work" / "remap.json").read_text())
    assert record["finished"] and record["inputs"]["film_sha256"] and len(record["shots"]) == 3
    before = (tmp_path / "score.npz").stat().st_mtime_ns
    assert deed.main(["--shot", "2", "--again", *quick]) == 0
    assert (tmp_path / "score.npz").stat().st_mtime_ns > before
    assert "1 shots" in capsys.readouterr().out
    assert deed.main(["--start", "8f", "--end", "20f", "--start-from", "bank", "--iterations", "2", "--no-measure"]) == 0
    assert "2 shots" in capsys.readouterr().out
    assert deed.main(["--start", "99f", *quick[:2]]) == 2 and "0 to 23" in capsys.readouterr().err


def test_a_show_made_by_cineml_new_is_filled_in(known: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tools.show_file import MARK

    (tmp_path / "show.toml").write_text(f'{MARK}\nname = "x"\n\n[film]\nfile = "film.mp4"\n\n[play]\nsource = "film"\n')
    (tmp_path / "cuts.csv").write_bytes((known / "cuts.csv").read_bytes())
    argv = ["--film", str(known / "film"), "--cuts", str(tmp_path / "cuts.csv"), "--model", str(known / "model"),
            "-o", str(tmp_path / "score.toml"), "--iterations", "1", "--start-from", "bank", "--no-measure"]  # fmt: skip
    assert deed.main(argv) == 0
    text = (tmp_path / "show.toml").read_text()
    assert 'file = "score.toml"' in text and 'cuts = "cuts.csv"' in text and 'source = "film"' in text, "no export yet"
    (tmp_path / "models").mkdir()
    for part in ("mapping.onnx", "synthesis.onnx"):
        (tmp_path / "models" / part).write_bytes(b"an export")
    assert deed.main([*argv, "--synthesis", str(tmp_path / "models" / "synthesis.onnx")]) == 0
    text = (tmp_path / "show.toml").read_text()
    assert 'source = "generator"' in text and 'folder = "models"' in text
    assert "show.toml: plays the score now" in capsys.readouterr().out
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "cuts.csv").rename(tmp_path / "elsewhere" / "list.csv")
    argv[argv.index("--cuts") + 1] = str(tmp_path / "elsewhere" / "list.csv")
    assert deed.main(argv) == 0
    assert 'cuts = "elsewhere/list.csv"' in (tmp_path / "show.toml").read_text(), "or the score's shots are none of its film"
    (tmp_path / "cuts.csv").write_bytes((known / "cuts.csv").read_bytes())
    assert deed.main(argv) == 0
    assert 'cuts = "cuts.csv"' in (tmp_path / "show.toml").read_text()
