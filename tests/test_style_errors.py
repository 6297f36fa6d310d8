"""Bad input of `cineml style optimize`, `style apply` and `style measure`: one sentence that names the file, exit code 2,
nothing lost; and a run that was stopped, or whose record tells of another engine, is taken for what it is."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")
pytest.importorskip("cv2")
pytest.importorskip("numba")
pytest.importorskip("onnx")

from tests.film_footage import write_film
from tests.painted import moving, strokes
from tests.painted_clip import write_frames
from tests.small_stylizers import written
from tools import style_apply, style_measure, style_optimize

WIDTH, HEIGHT, FRAMES = 64, 48, 4
QUICK = ("--preset", "draft", "--turns", "1", "--threads", "1")
NETWORK = ("--method", "gatys", "--network", "net", "--threads", "1")


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with s.onnx, style.png, photo.png, film.mp4, frames/, and what is none: text.png, empty.png, tiny.png,
    tiny.mp4, float.tif, mixed/ (the third picture is smaller)."""
    folder = tmp_path_factory.mktemp("given")
    written(folder / "s.onnx", norm="affine")
    Image.fromarray(strokes(WIDTH, 56)).save(folder / "style.png")
    Image.fromarray(photo(0)).save(folder / "photo.png")
    write_film(folder / "film.mp4", FRAMES, picture=photo)
    write_film(folder / "tiny.mp4", FRAMES, picture=lambda n: photo(n)[:8, :10])
    write_frames(folder / "frames", [photo(n) for n in range(FRAMES)], "{:04d}.png")
    write_frames(folder / "mixed", [photo(n) if n != 2 else photo(n)[:40, :50] for n in range(FRAMES)], "{:04d}.png")
    Image.fromarray(photo(0)[:4, :5]).save(folder / "tiny.png")
    Image.fromarray(photo(0)[..., 0].astype(np.float32) / 255).save(folder / "float.tif")
    (folder / "text.png").write_text("no picture\n" * 30)
    (folder / "empty.png").touch()
    return folder


def photo(n: int) -> np.ndarray:
    return moving(n, WIDTH, HEIGHT)


def apply(given: Path, content: object, out: object, *more: object, model: str = "s.onnx") -> int:
    words = [given / str(content), "--model", given / model, "--style", "oil", "-o", out, "--threads", 1, *more]
    return style_apply.main([str(w) for w in words])


def optimize(given: Path, content: object, out: object, *more: object) -> int:
    how = NETWORK if "gatys" in more else QUICK
    words = [given / str(content), "--style", given / "style.png", "-o", out, *how, *(w for w in more if w != "gatys")]
    return style_optimize.main([str(w) for w in words])


COMMANDS = pytest.mark.parametrize("command", [apply, optimize])


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A network that turns every picture over at once. Its list says after how many pictures Ctrl-C comes."""
    from tools import style_gatys, style_network

    left = [1000]

    def optimise(content: np.ndarray, styles: Any, options: Any, **more: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return SimpleNamespace(picture=255 - content, loss=0.5)

    monkeypatch.setattr(style_gatys, "optimise", optimise)
    monkeypatch.setattr(style_network, "read_perception", lambda *a, **k: SimpleNamespace(sha256="ab", kind="vgg19"))
    monkeypatch.setattr(style_network, "network_line", lambda perception: "judges")
    return left


def said(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line of the error output."""
    (line,) = capsys.readouterr().err.strip().splitlines()
    return line.removeprefix("cineml: ")


@COMMANDS
def test_frames_of_two_sizes_are_one_sentence(command: Any, given: Path, tmp_path: Path,
                                              capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    assert command(given, "mixed", tmp_path / "out") == 2
    assert said(capsys) == f"{given / 'mixed' / '0002.png'}: is 50 x 40; allowed: 64 x 48 as the first frame"
    assert not list(tmp_path.iterdir())


@COMMANDS
@pytest.mark.parametrize("content", ["tiny.png", "tiny.mp4"])
def test_what_is_too_small_is_named_before_anything_is_made(command: Any, content: str, given: Path, tmp_path: Path,
                                                            capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    size, least = ("5x4" if content == "tiny.png" else "10x8"), (16 if command is apply else 11)
    assert command(given, content, tmp_path / f"out{content[-4:]}") == 2
    assert said(capsys) == f"{given / content}: is {size}; allowed: at least {least} pixels a side"
    assert not list(tmp_path.iterdir())


def test_a_network_says_what_is_too_small_for_it(given: Path, tmp_path: Path, network: list[int],
                                                 capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    assert optimize(given, "tiny.mp4", tmp_path / "out", "gatys") == 2
    assert said(capsys) == f"{given / 'tiny.mp4'}: is 10x8; allowed: at least 32 pixels a side"
    assert not list(tmp_path.iterdir())


@COMMANDS
@pytest.mark.parametrize("out", ["", ".", "..", "/"])
def test_an_output_without_a_name_of_its_own_is_refused(command: Any, out: str, given: Path, tmp_path: Path,
                                                        monkeypatch: pytest.MonkeyPatch,
                                                        capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    (tmp_path / "inner").mkdir()
    monkeypatch.chdir(tmp_path / "inner")
    for content in ("film.mp4", "photo.png"):
        assert command(given, content, out) == 2
        assert said(capsys).startswith(f"-o {Path(out)}: has no name of its own; allowed: ")
    assert [p.name for p in tmp_path.rglob("*")] == ["inner"]


@COMMANDS
def test_a_name_that_no_file_system_takes_is_one_sentence(command: Any, given: Path, tmp_path: Path,
                                                          capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    long = "x" * 300
    for content, out in ((f"{long}.png", "out.png"), (f"{long}.mp4", "out"), ("photo.png", f"{long}.png"),
                         ("film.mp4", f"{long}.mp4")):  # fmt: skip
        assert command(given, content, tmp_path / out) == 2
        assert "304 bytes long in one name" in said(capsys)
    assert not list(tmp_path.iterdir())


@COMMANDS
def test_an_empty_picture_and_one_of_floating_point_are_told_apart(command: Any, given: Path, tmp_path: Path,
                                                                   capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    assert command(given, "empty.png", tmp_path / "out.png") == 2
    assert said(capsys).startswith(f"{given / 'empty.png'}: cannot be read as a picture (it is empty, 0 bytes); allowed: ")
    assert command(given, "float.tif", tmp_path / "out.png") == 2
    assert said(capsys).startswith(f"{given / 'float.tif'}: holds floating-point values; allowed: ")
    assert not list(tmp_path.iterdir())


def test_a_text_named_as_a_picture_is_no_film_cut_short(given: Path, tmp_path: Path,
                                                        capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    words = [given / "film.mp4", given / "text.png", "-o", tmp_path / "measured"]
    assert style_measure.main([str(w) for w in words]) == 2
    assert said(capsys).startswith(f"{given / 'text.png'}: cannot be read as a picture (it is none, or of a kind")


def test_a_model_that_is_empty_or_nobodys_is_told_what_to_do(given: Path, tmp_path: Path,
                                                             capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    import onnx

    model = onnx.load(given / "s.onnx")
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "nobodys.onnx")
    (tmp_path / "empty.onnx").touch()
    for name, words in (("nobodys.onnx", "is an ONNX model, but not one of cineml's"), ("empty.onnx", "is empty (0 bytes)")):
        assert apply(given, "photo.png", tmp_path / "out.png", model=str(tmp_path / name)) == 2
        line = said(capsys)
        assert line.startswith(f"{tmp_path / name}: {words}") and "cineml style export" in line and "gan import" not in line


@pytest.mark.parametrize(("content", "more", "sentence"), [
    ("photo.png", ("-o", "{tmp}/none/out.png"), "-o {tmp}/none/out.png: lies in '{tmp}/none', which is not there; allowed: a "
     "folder that is there"),
    ("photo.png", ("-o", "{given}/style.png/out.png"), "-o {given}/style.png/out.png: lies in '{given}/style.png', which is no "
     "folder; allowed: a folder that is there"),
    ("photo.png", ("-o", "{given}/photo.png"), "-o {given}/photo.png: is the picture, which would be lost; allowed: a name of "
     "its own"),
    ("photo.png", ("--no-sound",), "--no-sound: is for a film, and this is a picture; allowed: without --no-sound"),
    ("photo.png", ("--style", ","), "--style: '' is none of the network's styles; allowed: oil, woodcut"),
    ("photo.png", ("--style", "oil=1e9"), "--style: 'oil=1e9'; allowed: NAME=SHARE, a share being 0 to 1000000"),
])  # fmt: skip
def test_what_apply_says_is_once_and_right(content: str, more: tuple[str, ...], sentence: str, given: Path, tmp_path: Path,
                                           capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    def laid(text: str) -> str:
        return text.format(tmp=tmp_path, given=given)

    before = {p: p.read_bytes() for p in given.iterdir() if p.is_file()}
    assert apply(given, content, tmp_path / "out.png", *map(laid, more)) == 2
    assert said(capsys) == laid(sentence)
    assert {p: p.read_bytes() for p in given.iterdir() if p.is_file()} == before


# --- going on


def test_what_a_network_has_begun_goes_on(given: Path, tmp_path: Path, network: list[int],
                                          capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    out = tmp_path / "out"
    network[0] = 2
    assert optimize(given, "frames", out, "gatys") == 130
    assert "stopped; 2 frames are there and stay: the same command goes on" in capsys.readouterr().err
    network[0] = 1000
    assert optimize(given, "frames", out, "gatys") == 0
    assert "2 of 4 frames are there already" in capsys.readouterr().out and network[0] == 998
    assert optimize(given, "photo.png", tmp_path / "out.png", "gatys") == 0
    assert optimize(given, "photo.png", tmp_path / "out.png", "gatys") == 0
    assert "is there already" in capsys.readouterr().out and network[0] == 997


@pytest.mark.parametrize("method", ["patches", "gatys"])
def test_frames_of_another_engine_are_said_to_be(method: str, given: Path, tmp_path: Path, network: list[int],
                                                 capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    more = ("--method", "patches") if method == "patches" else ("gatys",)
    out = tmp_path / "out"
    assert optimize(given, "frames", out, "--end", "2f", *more) == 0
    record = json.loads((out / "options.json").read_text())
    now = record["common"]["options"].pop("engine")
    assert isinstance(now, int)
    (out / "options.json").write_text(json.dumps(record))  # as it was written before there were versions
    before = {p.name: p.read_bytes() for p in out.iterdir()}
    capsys.readouterr()
    assert optimize(given, "frames", out, *more) == 2
    assert said(capsys) == (f"-o {out}: was begun with other options: engine none (now {now}); allowed: the same options and "
                            "inputs; try: --again, which makes it anew, or another name")  # fmt: skip
    assert {p.name: p.read_bytes() for p in out.iterdir()} == before


def test_a_line_that_was_cut_off_in_the_log_costs_no_other_frame(given: Path, tmp_path: Path,
                                                                 capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    out = tmp_path / "out"
    assert apply(given, "frames", out) == 0
    rows = (out / "frames.csv").read_text().splitlines()[1:]
    (out / "frames.csv").unlink()
    work = tmp_path / "out.work"
    work.mkdir()
    (work / "log-apply.tsv").write_text(f"{rows[0]}\n{rows[1][:20]}".replace(",", "\t"))  # killed while it wrote the second
    for n in range(1, FRAMES):
        (out / f"{n:04d}.png").unlink()
    capsys.readouterr()
    assert apply(given, "frames", out) == 0
    assert "1 of 4 frames is there already" in capsys.readouterr().out
    assert apply(given, "frames", out) == 0
    told = capsys.readouterr().out
    assert "4 of 4 frames are there already" in told and "changed since" not in told and "0 frames" not in told


def test_one_frame_and_one_shot_are_said_in_the_singular(given: Path, tmp_path: Path, network: list[int],
                                                         capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    assert optimize(given, "frames", tmp_path / "one", "gatys", "--end", "1f") == 0
    assert "1 frame of 64x48 in 1 shot;" in capsys.readouterr().out
    network[0] = 1
    assert optimize(given, "frames", tmp_path / "two", "gatys") == 130
    assert "stopped; 1 frame is there and stays" in capsys.readouterr().err
    network[0] = 1000
    assert optimize(given, "frames", tmp_path / "two", "gatys") == 0
    assert "1 of 4 frames is there already" in capsys.readouterr().out
    os.utime(tmp_path / "two" / "0001.png")
    Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / "two" / "0001.png")
    assert optimize(given, "frames", tmp_path / "two", "gatys", "--again") == 0
    assert "1 frame was changed since it was made, and stays as it is (0001.png)" in capsys.readouterr().out
    assert apply(given, "frames", tmp_path / "applied", "--end", "1f") == 0
    told = capsys.readouterr()
    assert "1 frame of 64x48" in told.out and f"{tmp_path / 'applied'}: 1 frame\n" in told.out and "1 frame on" in told.err
