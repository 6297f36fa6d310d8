"""`cineml style optimize`: a picture, a folder or a film comes out painted; it goes on where it was stopped, keeps what a
person has changed, and says in one sentence what cannot be."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("cv2")
pytest.importorskip("numba")

from player.show.cut_list import CutList, Shot, write_csv
from tests.ctrl_c import ctrl_c_at
from tests.film_footage import decoded_sound, write_film
from tests.painted import strokes, two_shots
from tools import style_optimize_hands, style_patches
from tools.style_optimize import main
from tools.style_optimize_options import arguments, masks_given, option_problems, weights_of

FRAMES, CUT = 9, 5
WIDTH, HEIGHT = 64, 48


def scene(number: int) -> np.ndarray:
    return two_shots(number, CUT, WIDTH, HEIGHT)


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with film.mp4 (with sound), photo.png, cuts.csv, warm.png and cold.png."""
    folder = tmp_path_factory.mktemp("given")
    tone = (8000 * np.sin(np.arange(FRAMES * 2000) / 20)).astype(np.int16)[:, None]
    write_film(folder / "film.mp4", FRAMES, picture=scene, options={"crf": "12"}, sound=[tone])
    Image.fromarray(scene(0)).save(folder / "photo.png")
    Image.fromarray(strokes(WIDTH, 56)).save(folder / "warm.png")
    Image.fromarray(255 - strokes(WIDTH, 56, seed=4)).save(folder / "cold.png")
    write_csv(CutList("film.mp4", 24, FRAMES, (Shot(1, 0, CUT), Shot(2, CUT, FRAMES))), folder / "cuts.csv")  # type: ignore[arg-type]
    return folder


def paint(given: Path, content: str, out: Path, *more: object, style: str = "warm.png") -> int:
    quick = [] if "gatys" in more else ["--preset", "draft", "--turns", 1]  # of patches alone
    words = [given / content, "--style", given / style, "-o", out, *quick, "--threads", 1, *more]
    if content == "film.mp4" and "--cuts" not in more:
        words += ["--cuts", given / "cuts.csv"]
    return main([str(w) for w in words])


def pngs(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.glob("*.png"))}


@pytest.fixture(scope="module")
def painted(given: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The film as frames; not to be written to."""
    out = tmp_path_factory.mktemp("painted") / "out"
    assert paint(given, "film.mp4", out) == 0
    return out


def copied(painted: Path, tmp_path: Path) -> Path:
    import shutil

    return Path(shutil.copytree(painted, tmp_path / "out"))


def test_a_picture_is_painted_and_says_what_made_it(given: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.png"
    assert paint(given, "photo.png", out) == 0
    with Image.open(out) as picture:
        assert picture.size == (WIDTH, HEIGHT) and picture.mode == "RGB"
    record = json.loads((tmp_path / "out.png.json").read_text())
    assert record["tool"] == "cineml style optimize" and record["versions"]["numba"]
    assert len(record["common"]["picture"]["sha256"]) == len(record["common"]["styles"]["paintings"][0]["sha256"]) == 64
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.png", "out.png.json"], "nothing else stays"
    before = out.read_bytes()
    assert paint(given, "photo.png", out) == 0 and "is there already" in capsys.readouterr().out
    assert paint(given, "photo.png", out, "--seed", 3) == 2 and "--again" in capsys.readouterr().err
    assert out.read_bytes() == before
    assert paint(given, "photo.png", out, "--seed", 3, "--again") == 0 and out.read_bytes() != before


def test_a_picture_of_a_persons_is_never_written_over(given: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.png"
    Image.new("RGB", (8, 8)).save(out)
    before = out.read_bytes()
    assert paint(given, "photo.png", out) == 2
    assert "not as this command wrote it" in capsys.readouterr().err and out.read_bytes() == before


def test_of_a_grey_picture_whose_colour_is_kept_nothing_is_coloured(given: Path, tmp_path: Path) -> None:
    grey = scene(0)[..., :1].repeat(3, axis=2)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    assert paint(given, str(tmp_path / "grey.png"), tmp_path / "out.png", "--keep", "colour") == 0
    with Image.open(tmp_path / "out.png") as picture:
        made = np.asarray(picture).astype(int)
    assert np.ptp(made, axis=2).max() <= 2 and np.ptp(made) > 20


@pytest.mark.parametrize("kind", ["alpha", "grey", "deep", "odd"])
def test_pictures_and_paintings_of_every_kind_are_taken(kind: str, given: Path, tmp_path: Path) -> None:
    photo = scene(0)
    if kind == "alpha":
        made = Image.fromarray(np.dstack([photo, np.repeat(np.linspace(0, 255, WIDTH)[None], HEIGHT, 0).astype(np.uint8)]))
    elif kind == "grey":
        made = Image.fromarray(photo[..., 0])
    elif kind == "deep":
        made = Image.fromarray(photo[..., 0].astype(np.uint16) * 257)
    else:
        made = Image.fromarray(np.ascontiguousarray(photo[:47, :61]))
    made.save(tmp_path / "content.png")
    style = strokes(WIDTH, 56)
    painting = {"alpha": np.dstack([style, np.full((56, WIDTH), 255, np.uint8)]), "grey": style[..., 0],
                "deep": style[..., 0].astype(np.uint16) * 257, "odd": style[:55, :63]}[kind]  # fmt: skip
    if kind == "alpha":
        painting[:8, :, 3] = 0
    Image.fromarray(np.ascontiguousarray(painting)).save(tmp_path / "style.png")
    words = [tmp_path / "content.png", "--style", tmp_path / "style.png", "-o", tmp_path / "out.png", "--preset", "draft",
             "--turns", 1, "--threads", 1]  # fmt: skip
    assert main([str(w) for w in words]) == 0
    with Image.open(tmp_path / "out.png") as picture:
        assert picture.size == made.size and picture.mode == ("RGBA" if kind == "alpha" else "RGB")


def test_a_film_becomes_a_folder_of_frames_named_by_film_frame(painted: Path) -> None:
    assert list(pngs(painted)) == [f"{n:06d}.png" for n in range(FRAMES)]
    record = json.loads((painted / "options.json").read_text())
    assert record["tool"] == "cineml style optimize" and record["film"]["frames"] == FRAMES
    assert (painted / "frames.csv").read_text().count("\n") == FRAMES + 1
    assert not list(painted.parent.glob("*.work")), "what was only needed on the way is gone"


def test_a_film_becomes_a_film_with_the_sound_as_long_to_the_frame(given: Path, painted: Path, tmp_path: Path,
                                                                   capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    import av

    out = tmp_path / "out.mp4"
    assert paint(given, "film.mp4", out) == 0
    with av.open(str(out)) as container:
        assert sum(1 for _ in container.decode(container.streams.video[0])) == FRAMES
    sound = decoded_sound(out, "fltp")
    assert abs(sound).max() > 0.1 and abs(len(sound) - FRAMES * 2000) <= 2048
    assert pngs(tmp_path / "out.mp4.work" / "frames") == pngs(painted), "the same frames"
    before = out.stat().st_mtime_ns
    assert paint(given, "film.mp4", out) == 0 and out.stat().st_mtime_ns == before, "nothing is left to do"


def test_stopped_by_hand_it_goes_on_to_the_same_frames(given: Path, painted: Path, tmp_path: Path,
                                                       monkeypatch: pytest.MonkeyPatch,
                                                       capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    out, calls = tmp_path / "out", ctrl_c_at(monkeypatch, style_patches.Easel, "stylise", 4)
    assert paint(given, "film.mp4", out) == 130
    assert len(pngs(out)) == 3 and "3 frames are there" in capsys.readouterr().err
    assert (tmp_path / "out.work" / "preview.png").is_file(), "the newest can be seen"
    assert paint(given, "film.mp4", out) == 0
    assert len(calls) == 4 + FRAMES - 3, "what is done is not made again"
    assert pngs(out) == pngs(painted)


def test_what_a_person_changed_stays_and_what_was_deleted_is_made_anew(given: Path, painted: Path, tmp_path: Path,
                                                                       capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    out = copied(painted, tmp_path)
    Image.new("RGB", (WIDTH, HEIGHT), (9, 9, 9)).save(out / "000002.png")
    mine = (out / "000002.png").read_bytes()
    (out / "000006.png").unlink()
    assert paint(given, "film.mp4", out) == 0
    assert "1 frame was changed since" in capsys.readouterr().out
    assert (out / "000002.png").read_bytes() == mine
    assert (out / "000006.png").read_bytes() == (painted / "000006.png").read_bytes()


def test_other_options_are_not_mixed_into_what_is_there(given: Path, painted: Path, tmp_path: Path,
                                                        capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    out = copied(painted, tmp_path)
    assert paint(given, "film.mp4", out, "--scale", 0.8) == 2
    told = capsys.readouterr().err
    assert "scale" in told and "--again" in told and told.count("\n") == 1 and pngs(out) == pngs(painted)
    Image.new("RGB", (4, 4)).save(tmp_path / "out" / "000004.png")
    assert paint(given, "film.mp4", tmp_path / "film2.mp4", "--start", "99f") == 2
    assert "--start" in capsys.readouterr().err


def test_a_folder_of_frames_comes_out_under_its_own_names(given: Path, tmp_path: Path) -> None:
    frames = tmp_path / "frames"
    frames.mkdir()
    for n in range(3):
        Image.fromarray(scene(n)).save(frames / f"take_{n + 7:03d}.png")
    words = [frames, "--style", given / "warm.png", "-o", tmp_path / "out", "--preset", "draft", "--turns", 1, "--threads", 1,
             "--end", "2f"]  # fmt: skip
    assert main([str(w) for w in words]) == 0
    assert list(pngs(tmp_path / "out")) == ["take_007.png", "take_008.png"]


def test_a_film_of_odd_size_becomes_a_film_of_the_same_size(given: Path, tmp_path: Path) -> None:
    import av

    frames = tmp_path / "frames"
    frames.mkdir()
    for n in range(2):
        Image.fromarray(np.ascontiguousarray(scene(n)[:47, :61])).save(frames / f"{n:04d}.png")
    words = [frames, "--style", given / "warm.png", "-o", tmp_path / "out.mp4", "--preset", "draft", "--turns", 1]
    assert main([str(w) for w in words]) == 0
    with av.open(str(tmp_path / "out.mp4")) as container:
        frame = next(iter(container.decode(container.streams.video[0])))
        assert abs(frame.width - 61) <= 1 and abs(frame.height - 47) <= 1
    with Image.open(tmp_path / "out.mp4.work" / "frames" / "0000.png") as picture:
        assert picture.size == (61, 47)


def test_each_painting_keeps_to_its_mask(given: Path, tmp_path: Path) -> None:
    masks = tmp_path / "masks"
    masks.mkdir()
    for n in range(3):
        half = np.zeros((HEIGHT, WIDTH), np.uint8)
        half[:, : 20 + 4 * n] = 255
        Image.fromarray(half).save(masks / f"{n:06d}.png")
    out = tmp_path / "out"
    more = ["--end", "3f", "--mask", masks, "--one-by-one"]
    assert paint(given, "film.mp4", out, *more) == 0
    from tools.film_dataset_source import footage_at
    from tools.paint_choice import frame_of

    with Image.open(out / "000002.png") as picture:
        made = np.asarray(picture)
    film = frame_of(footage_at(given / "film.mp4"), 2)
    assert np.array_equal(made[:, 28:], film[:, 28:]) and (made[:, :28] != film[:, :28]).any(axis=2).mean() > 0.9
    both = ["--style", given / "cold.png", "--mask", masks / "000000.png", "--mask", "-", "--weights", "1,3"]
    assert paint(given, "photo.png", tmp_path / "two.png", *both) == 0


def test_a_fade_of_the_cut_list_stays_a_fade(given: Path, tmp_path: Path) -> None:
    faded = CutList("film.mp4", 24, FRAMES, (Shot(1, 0, CUT, out="fade", out_frames=3, out_colour="black"),  # type: ignore[arg-type]
                                             Shot(2, CUT, FRAMES)))  # fmt: skip
    write_csv(faded, tmp_path / "cuts.csv")
    out = tmp_path / "out"
    assert paint(given, "film.mp4", out, "--cuts", tmp_path / "cuts.csv", "--end", f"{CUT}f", "--one-by-one") == 0
    light = [float(np.asarray(Image.open(out / f"{n:06d}.png")).mean()) for n in range(CUT)]
    assert light[4] < 0.75 * light[1], light


def test_a_full_disk_costs_one_sentence_and_no_frame(given: Path, painted: Path, tmp_path: Path,
                                                     monkeypatch: pytest.MonkeyPatch,
                                                     capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    out = copied(painted, tmp_path)
    (out / "000008.png").unlink()
    left = pngs(out)

    def full(path: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    assert paint(given, "film.mp4", out) == 2
    told = capsys.readouterr().err
    assert "No space left on device" in told and told.count("\n") == 1
    assert pngs(out) == left and not list(tmp_path.rglob("*.part"))


def test_too_little_memory_is_one_sentence(given: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                           capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    def short(*args: Any, **options: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(style_optimize_hands.PatchHand, "paint", short)
    assert paint(given, "photo.png", tmp_path / "out.png") == 2
    assert "more memory than there is" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_network_is_given_what_earlier_frames_want(given: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                     capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    pytest.importorskip("torch")
    from tools import style_gatys, style_network

    asked: list[tuple[int, bool, list[float], Any]] = []

    def optimise(content: np.ndarray, styles: Any, options: Any, *, perception: Any, start: np.ndarray | None = None,
                 terms: Any = (), preview: Any = None) -> Any:  # fmt: skip
        asked.append((options.iterations, start is not None, [s.weight for s in styles], perception))
        preview(1, 1, lambda: content)
        return SimpleNamespace(picture=255 - content if start is None else start, loss=0.5)

    monkeypatch.setattr(style_gatys, "optimise", optimise)
    network = SimpleNamespace(sha256="ab", kind="vgg19")
    opened: list[tuple[str, str]] = []
    monkeypatch.setattr(style_network, "read_perception", lambda p, pooling: opened.append((str(p), pooling)) or network)
    monkeypatch.setattr(style_network, "network_line", lambda perception: f"{opened[-1][0]} judges")
    more = ["--method", "gatys", "--network", "net", "--iterations", 7, "--style", given / "cold.png", "--weights", "1,2"]
    assert paint(given, "film.mp4", tmp_path / "out", *more, "--end", "7f") == 0
    assert "net judges" in capsys.readouterr().out
    assert [a[:3] for a in asked] == [(7, n not in (0, CUT), [1.0, 2.0]) for n in range(7)]
    with Image.open(tmp_path / "out" / "000000.png") as first:
        assert np.abs(np.asarray(first).astype(int) - (255 - scene(0).astype(int))).mean() < 6
    assert paint(given, "photo.png", tmp_path / "out.png", *more) == 0
    assert opened[-1] == ("net", "max")
    assert paint(given, "photo.png", tmp_path / "average.png", *more, "--pooling", "average") == 0
    assert opened[-1] == ("net", "average")
    assert paint(given, "photo.png", tmp_path / "out.png", *more, "--tv", "3") == 2 and "tv" in capsys.readouterr().err


@pytest.mark.parametrize(("content", "more", "words"), [
    ("photo.png", ["--start", "1f"], "--start: is for a film"),
    ("film.mp4", ["--keep-amount", "0.5"], "--keep-amount: is given without --keep"),
    ("photo.png", ["--weights", "1,2"], "1 numbers above 0"),
    ("photo.png", ["--mask", "-", "--mask", "-"], "--mask: is given 2 times beside --style once"),
    ("photo.png", ["--mask", "nowhere.png"], "nowhere.png: does not exist"),
    ("photo.png", ["--method", "gatys"], "has no network to judge"),
    ("photo.png", ["--network", "vgg.pth"], "--network: is for --method gatys"),
    ("film.mp4", ["--quality", "99"], "--quality: 99"),
    ("photo.png", ["--tone", "0", "--form", "0"], "are both 0"),
    ("nothing.mp4", [], "nothing.mp4: does not exist"),
])
def test_a_wrong_command_line_costs_a_sentence(content: str, more: list[str], words: str, given: Path, tmp_path: Path,
                                               capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    out = tmp_path / ("out.png" if content == "photo.png" else "out")
    assert paint(given, content, out, *more, *(["--cuts", given / "cuts.csv"] if content == "nothing.mp4" else [])) == 2
    told = capsys.readouterr().err
    assert words in told and told.count("\n") == 1, told
    assert not out.exists()


@pytest.mark.parametrize(("kind", "words"), [("missing", "cannot be read"), ("tiny", "has"), ("flat", "colour"),
                                             ("text", "cannot be read")])
def test_a_painting_that_cannot_be_used_costs_a_sentence(kind: str, words: str, given: Path, tmp_path: Path,
                                                         capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    path = tmp_path / "style.png"
    if kind == "tiny":
        Image.fromarray(strokes(20, 20)).save(path)
    elif kind == "flat":
        Image.new("RGB", (64, 64), (120, 30, 9)).save(path)
    elif kind == "text":
        path.write_text("not a picture")
    assert paint(given, "photo.png", tmp_path / "out.png", style=str(path)) == 2
    told = capsys.readouterr().err
    assert str(path) in told and words in told and told.count("\n") == 1


def test_nothing_that_is_read_is_written_over(given: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {p.name: p.read_bytes() for p in given.iterdir()}
    assert paint(given, "photo.png", given / "photo.png") == 2
    assert paint(given, "photo.png", given / "warm.png") == 2
    assert paint(given, "film.mp4", given / "film.mp4") == 2
    assert capsys.readouterr().err.count("would be lost") == 3
    (tmp_path / "file").write_text("mine")
    assert paint(given, "film.mp4", tmp_path / "file") == 2
    assert paint(given, "film.mp4", tmp_path / "nowhere" / "out") == 2
    assert paint(given, "film.mp4", tmp_path / "out.avi") == 2
    assert {p.name: p.read_bytes() for p in given.iterdir()} == before


def test_the_help_has_examples_and_needs_nothing_heavy() -> None:
    told = arguments().format_help()
    assert told.count("cineml style optimize ") >= 3 and "--method gatys" in told
    code = ("import sys; import tools.style_optimize_options as o; o.arguments(); "
            "sys.exit(any(m in sys.modules for m in ('torch', 'cv2', 'numba', 'scipy')))")
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    words = ["a.png", "--style", "b", "--style", "c", "--weights", "1,3", "--mask", "-", "--mask", "m", "-o", "o.png"]
    args = arguments().parse_args(words)
    assert weights_of(args) == [1, 3] and list(masks_given(args)) == [None, Path("m")] and not option_problems(args)


def test_an_option_of_the_other_method_is_said_and_not_passed_over(tmp_path: Path) -> None:
    def said(*words: str) -> list[str]:
        args = arguments().parse_args(["a.png", "--style", "s.png", "-o", str(tmp_path / "o.png"), *words])
        return [str(p) for p in option_problems(args)]

    for words, name, other in (
        (["--iterations", "5"], "--iterations", "gatys"), (["--start-from", "noise"], "--start-from", "gatys"),
        (["--style-weight", "3"], "--style-weight", "gatys"), (["--network", "n"], "--network", "gatys"),
        (["--method", "gatys", "--network", "n", "--strokes", "0.2"], "--strokes", "patches"),
        (["--method", "gatys", "--network", "n", "--preset", "best"], "--preset", "patches"),
    ):  # fmt: skip
        (one,) = said(*words)
        assert one.startswith(f"{name}: is for --method {other}"), one
    (one,) = said("--method", "gatys", "--network", "n", "--adam-rate", "0.1")
    assert one.startswith("--adam-rate: is for Adam")
    assert not said("--method", "gatys", "--network", "n", "--scale", "2", "--seed", "3")
    assert not said("--method", "gatys", "--network", "n", "--adam-rate", "0.1", "--loss", "sliced")


def test_how_frames_follow_each_other_is_not_asked_of_a_picture(tmp_path: Path) -> None:
    gatys = ("--method", "gatys", "--network", "n")
    for content, words, name in (("a.png", ("--one-by-one",), "--one-by-one"), ("a.png", ("--agree", "1"), "--agree"),
                                 ("a.png", (*gatys, "--temporal", "1"), "--temporal"),
                                 ("a.mp4", (*gatys, "--temporal", "1", "--one-by-one"), "--temporal"),
                                 ("a.mp4", (*gatys, "--temporal", "1"), ""), ("a.mp4", ("--one-by-one",), "")):  # fmt: skip
        args = arguments().parse_args([content, "--style", "s.png", "-o", str(tmp_path / content), *words])
        assert [p.where for p in option_problems(args) if not p.where.startswith("-o")] == ([name] if name else [])


def test_a_number_of_threads_that_cannot_be_is_said_once(tmp_path: Path) -> None:
    args = arguments().parse_args(["a.png", "--style", "s.png", "-o", str(tmp_path / "o.png"), "--threads", "-1"])
    assert len(option_problems(args)) == 1
