"""`cineml style choose`: a sheet of every painting of a folder by some frames of the film."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("cv2")
pytest.importorskip("numba")

from tests.ctrl_c import ctrl_c_at
from tests.film_footage import write_film
from tests.painted import moving, strokes
from tools import style_patches
from tools.film_dataset_source import footage_at
from tools.paint_style import painting_of
from tools.style_choose import main, options_for, richness
from tools.style_choose_options import arguments
from tools.style_choose_sheet import Row, draw


def scene(number: int) -> np.ndarray:
    """A film whose every third frame is a title."""
    if number % 3 == 0:
        title = np.zeros((72, 96, 3), np.uint8)
        title[30:40, 20:70] = 255
        return title
    return moving(number)


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """film.mp4 and a folder `styles` of two paintings, and a file that is none."""
    folder = tmp_path_factory.mktemp("given")
    write_film(folder / "film.mp4", 12, picture=scene, options={"crf": "12"})
    (folder / "styles").mkdir()
    for n in range(2):
        Image.fromarray(strokes(70, 60, seed=n)).save(folder / "styles" / f"painting {n}.png")
    (folder / "styles" / "broken.png").write_text("nothing")
    return folder


def choose(given: Path, out: Path, *more: object) -> int:
    words = [given / "film.mp4", "--styles", given / "styles", "-o", out, "--threads", 1, "--frames", 2, "--width", 96, *more]
    return main([str(w) for w in words])


def test_a_sheet_has_a_row_for_every_painting_and_a_column_for_every_frame(
        given: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    out = tmp_path / "sheet.png"
    assert choose(given, out) == 0
    said = capsys.readouterr().out
    assert "left out" in said and "broken.png" in said and "2 paintings by 2 frames" in said
    record = json.loads((tmp_path / "sheet.png.json").read_text())
    assert [s["file"] for s in record["inputs"]["styles"]] == ["painting 0.png", "painting 1.png"]
    assert all(n % 3 for n in record["frames"]), "titles show nothing of a style"
    with Image.open(out) as sheet:
        assert sheet.width > 2 * 96 and sheet.height > 3 * 72
    assert sorted(p.name for p in tmp_path.iterdir()) == ["sheet.png", "sheet.png.json"]
    assert choose(given, out, "--at", "4,5") == 2 and "--frames: " not in capsys.readouterr().out
    assert choose(given, out) == 0, "a sheet of one's own may be made anew"


def test_too_little_memory_is_one_sentence_and_the_same_command_goes_on(
        given: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    plain, done = style_patches.Easel.stylise, []

    def full(self: Any, *words: Any, **more: Any) -> Any:
        if len(done) == 3:
            raise MemoryError
        done.append(plain(self, *words, **more))
        return done[-1]

    with monkeypatch.context() as patch:
        patch.setattr(style_patches.Easel, "stylise", full)
        assert choose(given, tmp_path / "sheet.png") == 2
    said = capsys.readouterr().err
    assert "needs more memory than there is; try: a smaller --width" in said and len(said.strip().splitlines()) == 1
    assert len(list((tmp_path / "sheet.png.work").glob("*.png"))) == 3  # which are not made again
    assert choose(given, tmp_path / "sheet.png") == 0


def test_stopped_by_hand_the_sheet_stays_and_what_is_done_is_not_done_again(
        given: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    out, calls = tmp_path / "sheet.png", ctrl_c_at(monkeypatch, style_patches.Easel, "stylise", 4)
    assert choose(given, out) == 130 and out.is_file()
    assert "goes on" in capsys.readouterr().err
    assert choose(given, out) == 0 and len(calls) == 5


def test_a_persons_pictures_beside_its_own_stay(given: Path, tmp_path: Path) -> None:
    work = tmp_path / "sheet.png.work"
    work.mkdir()
    for name in ("mine.png", "0001.png", "half.png.part"):
        (work / name).write_text("mine")
    (work / f"{'0a' * 12}.png").write_text("an older run's")
    assert choose(given, tmp_path / "sheet.png") == 0
    assert sorted(p.name for p in work.iterdir()) == ["0001.png", "half.png.part", "mine.png"]


def test_strokes_have_the_share_of_the_picture_that_they_have_in_the_film(given: Path) -> None:
    footage = footage_at(given / "film.mp4")
    args = arguments().parse_args(["f", "--styles", "s", "-o", "o.png"])
    small, large = painting_of(strokes(64, 48)), painting_of(strokes(400, 300))
    assert options_for(args, footage, (72, 96), small).scale == 1
    assert options_for(args, footage, (36, 48), small).scale == pytest.approx(2 / 3), "by its area 0.75, in all 0.5"
    assert options_for(args, footage, (36, 48), large).scale == pytest.approx(1)


def test_a_sheet_that_grows_shows_what_is_missing() -> None:
    frames = {3: moving(3), 7: moving(7)}
    rows = [Row("a.png", strokes(), {3: moving(3)}, "96x80")]
    sheet = np.asarray(draw(frames, rows, 24, "title"))  # type: ignore[arg-type]
    assert sheet.ndim == 3 and sheet[-60:, -100:].mean() < 40, "an empty frame"
    assert richness(moving(0)) > 2 > richness(scene(0))


@pytest.mark.parametrize(("more", "words"), [
    (["--frames", "0"], "--frames: 0"), (["--width", "5"], "--width: 5"), (["--scale", "nan"], "--scale: nan"),
    (["--styles", "nowhere"], "nowhere: does not exist"), (["-o", "sheet.jpg"], "ends in '.jpg'"),
    (["--start", "99f"], "--start"),
])
def test_a_wrong_command_line_costs_a_sentence(more: list[str], words: str, given: Path, tmp_path: Path,
                                               capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    assert choose(given, tmp_path / "sheet.png", *more) == 2
    told = capsys.readouterr().err
    assert words in told and told.count("\n") == 1, told
    assert not list(tmp_path.iterdir())


def test_a_picture_of_somebody_elses_and_a_folder_without_paintings_are_refused(
        given: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    out = tmp_path / "sheet.png"
    Image.new("RGB", (9, 9)).save(out)
    before = out.read_bytes()
    assert choose(given, out) == 2 and "is no sheet of this command" in capsys.readouterr().err
    assert out.read_bytes() == before
    (tmp_path / "empty").mkdir()
    assert choose(given, tmp_path / "b.png", "--styles", tmp_path / "empty") == 2
    assert "holds no pictures" in capsys.readouterr().err


def test_the_help_has_two_examples_and_needs_nothing_heavy() -> None:
    assert arguments().format_help().count("cineml style choose film.mp4") == 2
    code = ("import sys; import tools.style_choose_options as o; o.arguments(); "
            "sys.exit(any(m in sys.modules for m in ('torch', 'cv2', 'numba', 'scipy')))")
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
