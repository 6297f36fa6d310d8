"""`cineml strip`: what it says before it writes, what it refuses, and that nothing is lost when it stops."""

from __future__ import annotations

import errno
import json
import re
import shutil
import subprocess
import sys
import zlib
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.numbered_film import write_numbered
from tools import strip
from tools.strip_pdf import PdfFile
from tools.strip_source import FilmFrames


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_numbered(tmp_path_factory.mktemp("film") / "film.mp4")


def run(*argv: object) -> int:
    return strip.main([str(a) for a in argv])


def test_a_dry_run_says_sheets_length_and_size_and_writes_nothing(film: Path, tmp_path: Path,
                                                                  capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    assert run(film, "-o", tmp_path / "strip.pdf", "--dry-run") == 0
    said = capsys.readouterr().out
    assert "more dots than that show nothing more" in said  # 64 x 48 pixels
    for text in ("72 frames on film", "0.549 m", "1 ft 32 frames", "3.0 s at 24", "3 strips of up to 34 frames",
                 "1 sheet A4", "2 pages, about", "12.52 x 7.41 mm", "233 x 175 dots"):  # fmt: skip
        assert text in said, text
    assert not list(tmp_path.iterdir())


def test_letters_of_the_title_that_no_pdf_brings_are_said_and_composed_ones_stand(
    film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, lost in (("L\u00e4ufer \u65e5\u672c.mp4", "\u65e5 \u672c"), ("La\u0308ufer \u2014 2.mp4", "")):
        shutil.copy(film, tmp_path / name)
        assert run(tmp_path / name, "-o", tmp_path / "s.pdf", "--end", "2f", "--dpi", 100) == 0
        told = capsys.readouterr().err
        assert (f"no letters for {lost}:" in told) if lost else not told
        streams = re.findall(rb"FlateDecode >>\nstream\n(.*?)\nendstream", (tmp_path / "s.pdf").read_bytes(), re.DOTALL)
        pages = [zlib.decompress(stream) for stream in streams]
        assert any("L\u00e4ufer".encode("latin-1") in page for page in pages)


@pytest.mark.skipif(sys.platform != "linux", reason="names of any bytes")
def test_a_film_whose_name_is_no_utf_8_is_printed(film: Path, tmp_path: Path) -> None:
    named = tmp_path / "f\udcff.mp4"
    shutil.copy(film, named)
    assert run(named, "-o", tmp_path / "s.pdf", "--end", "2f", "--dpi", 100) == 0
    assert json.loads((tmp_path / "s.pdf.json").read_text(encoding="utf-8"))["options"]["film"] == str(named)


def test_the_size_said_before_is_near_the_files(film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "strip.pdf"
    assert run(film, "-o", out, "--dpi", 300) == 0
    about = float(capsys.readouterr().out.split("pages, about ")[1].split(" MB")[0]) * 1e6
    assert out.stat().st_size == pytest.approx(about, rel=0.25)
    assert {p.name for p in tmp_path.iterdir()} == {"strip.pdf", "strip.pdf.json"}


def test_options_hash_and_versions_stand_beside_the_strip(film: Path, tmp_path: Path) -> None:
    assert run(film, "-o", tmp_path / "s.pdf", "--end", "5f", "--dpi", 150, "--shrink", "0.2") == 0
    told = json.loads((tmp_path / "s.pdf.json").read_text(encoding="utf-8"))
    assert told["options"]["dpi"] == 150 and told["options"]["shrink"] == [0.002, 0.002]
    assert told["frames"] == [0, 5] and len(told["input_sha256"]) == 64 and {"numpy", "pillow", "av"} <= set(told["versions"])
    assert {"name", "mm", "certainty", "source", "tolerance_mm"} == set(told["measures"][0])


def test_another_speed_and_super_16s_missing_sound_are_said(film: Path, tmp_path: Path,
                                                            capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    assert run(film, "-o", tmp_path / "s.pdf", "--dry-run", "--projector-fps", 18) == 0
    said = capsys.readouterr().out
    assert "75 % of its speed" in said and "no sound" in said and "4.0 s at 18 a second" in said
    assert run(film, "-o", tmp_path / "s.pdf", "--dry-run", "--format", "standard16") == 0
    assert "no sound" not in (said := capsys.readouterr().out) and "of its speed" not in said


@pytest.mark.parametrize(("argv", "said"), [
    (["--sheet", "A7"], "--sheet: 'A7'; allowed: A4, A3, Letter"),
    (["--sheet", "70x60", "--margin", "20"], "no room for a strip of two frames"),
    (["--sheet", "10x10"], "60 to 5000"), (["--margin", "nan"], "--margin: 'nan'"), (["--between", "0"], "--between: '0'"),
    (["--dpi", "10"], "--dpi: 10; allowed: 72 to 9600"), (["--gamma", "0"], "--gamma: '0'"),
    (["--shrink", "1,2,3"], "one number, or two"), (["--shrink", "50"], "--shrink: '50'"),
    (["--track", "black"], "Super 16 has its picture there"), (["--projector-fps", "none"], "--projector-fps: 'none'"),
    (["--repeat", "0"], "--repeat: 0"), (["--start", "72f"], "--start: is frame 72; allowed: 0 to 71"),
    (["--end", "73f"], "--end: is frame 73; allowed: up to 72"), (["--start", "9f", "--end", "9f"], "not after --start"),
    (["--end", "soon"], "--end: 'soon' is not a time"), (["--densities", "no.csv"], "no.csv: is missing"),
])  # fmt: skip
def test_bad_options_are_one_sentence_and_2(film: Path, tmp_path: Path, argv: list[str], said: str,
                                            capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    out = tmp_path / "strip.pdf"
    out.write_bytes(b"older")
    assert run(film, "-o", out, *argv) == 2
    told = capsys.readouterr().err
    assert said in told and len(told.strip().splitlines()) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["strip.pdf"] and out.read_bytes() == b"older"


def test_every_bad_option_is_said_at_once(film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    csv = tmp_path / "wedge.csv"
    csv.write_text("value,density\n")
    assert run(film, "-o", tmp_path / "no" / "strip.png", "--sheet", "A0", "--dpi", 1, "--gamma", 2, "--densities", csv) == 2
    told = capsys.readouterr().err.strip().splitlines()
    assert len(told) == 5 and any("one of them" in line for line in told)


def test_places_that_will_not_do_are_said(film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "folder.pdf").mkdir()
    (tmp_path / "s.pdf.json").mkdir()
    pdf_named_film = tmp_path / "film.pdf"
    shutil.copy(film, pdf_named_film)
    before = pdf_named_film.read_bytes()
    for source, out, said in ((film, "folder.pdf", "is a folder"), (film, "s.pdf", "is a folder"), (film, "s.png", ".pdf"),
                              (pdf_named_film, "film.pdf", "is an input")):  # fmt: skip
        assert run(source, "-o", tmp_path / out) == 2
        assert said in capsys.readouterr().err
    assert pdf_named_film.read_bytes() == before


def test_what_is_no_film_is_said(film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty, words, short, folder = (tmp_path / n for n in ("empty.mp4", "words.mp4", "short.mp4", "folder"))
    empty.touch()
    words.write_text("not a film" * 50)
    short.write_bytes(film.read_bytes()[: film.stat().st_size // 2])
    folder.mkdir()
    for source in (tmp_path / "missing.mp4", empty, words, short, folder):
        assert run(source, "-o", tmp_path / "s.pdf") == 2
        told = capsys.readouterr().err.strip().splitlines()
        assert len(told) == 1 and str(source) in told[0]
    (folder / "1.png").write_text("not a picture")
    assert run(folder, "-o", tmp_path / "s.pdf") == 2
    assert "1.png: cannot be read as a picture" in capsys.readouterr().err
    assert not (tmp_path / "s.pdf").exists()


def test_a_folder_of_frames_of_any_sizes_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    for i, size in enumerate([(64, 48), (96, 54), (48, 64)]):
        Image.fromarray(np.full((size[1], size[0], 3), 60 * i, np.uint8)).save(folder / f"{i:03}.png")
    (folder / "notes.txt").write_text("x")
    assert run(folder, "-o", tmp_path / "s.pdf", "--dpi", 100, "--snap") == 0
    said = capsys.readouterr().out
    assert "3 frames on film" in said and "of its speed" not in said and "grey" in said
    assert run(folder, "-o", tmp_path / "s.pdf", "--dpi", 100, "--start", "1f", "--end", "1s", "--dry-run") == 2


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")])
def test_stopped_or_out_of_room_in_the_middle_the_older_strip_stays(film: Path, tmp_path: Path, stop: BaseException,
                                                                    monkeypatch: pytest.MonkeyPatch,
                                                                    capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    out = tmp_path / "strip.pdf"
    out.write_bytes(b"older")
    real, count = PdfFile.picture, iter(range(1000))

    def picture(self: PdfFile, made: object) -> int:
        if next(count) == 40:
            assert (tmp_path / "strip.pdf.part").exists()
            raise stop
        return real(self, made)  # type: ignore[arg-type]

    monkeypatch.setattr(PdfFile, "picture", picture)
    assert run(film, "-o", out, "--dpi", 150) == (130 if isinstance(stop, KeyboardInterrupt) else 2)
    told = capsys.readouterr().err
    assert "nothing is left half written" in told or "No space left on device" in told
    assert [p.name for p in tmp_path.iterdir()] == ["strip.pdf"] and out.read_bytes() == b"older"


def test_a_film_that_fails_in_the_middle_is_said_with_its_frame(film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                                capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    real = FilmFrames.picture

    def picture(self: FilmFrames, number: int) -> np.ndarray:
        if number == 33:
            self._reader.close()
            monkeypatch.setattr(self._reader, "picture", lambda n: (_ for _ in ()).throw(RuntimeError("it is gone")))
        return real(self, number)

    monkeypatch.setattr(FilmFrames, "picture", picture)
    assert run(film, "-o", tmp_path / "s.pdf", "--dpi", 150) == 2
    assert "cannot be read at frame 33" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_disk_too_small_is_said_before_anything_is_written(film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                             capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(strip.shutil, "disk_usage", lambda path: usage(10**9, 10**9, 1000))
    assert run(film, "-o", tmp_path / "s.pdf", "--dpi", 150) == 2
    assert "a disk with room" in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_it_runs_in_a_base_install() -> None:
    """No torch, SciPy, reportlab or PDF reader is imported by the command."""
    code = ("import sys\nfor n in 'torch scipy reportlab pypdf pypdfium2 onnx safetensors matplotlib rich cv2'.split():\n"
            " sys.modules[n] = None\nfrom tools import strip\nsys.exit(strip.main(['no.mp4', '-o', 'no.pdf']))")  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[1])
    assert done.returncode == 2 and "no.mp4: is missing" in done.stderr
