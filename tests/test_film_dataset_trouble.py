"""Training pictures from a film, stopped, begun again, on a full disk, and from sources that are wrong: nothing is lost."""

from __future__ import annotations

import errno
import json
import zipfile
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.film_footage import scene, staged, write_film
from tests.sampled_film import cuts_for, dataset, files_of
from tools import film_dataset_run
from tools.film_dataset import announced, plan_of
from tools.film_dataset_files import OPTIONS, kept_options
from tools.film_dataset_png import png
from tools.film_dataset_source import footage_at
from tools.film_dataset_square import whole
from tools.film_options import dataset_arguments


def picture(data: bytes | Path) -> np.ndarray:
    with Image.open(BytesIO(data) if isinstance(data, bytes) else data) as opened:
        return np.asarray(opened)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_film(tmp_path_factory.mktemp("film") / "film.mp4")


# --- stopped and gone on with


def test_a_dataset_whose_bytes_are_wrong_is_none_of_ours(tmp_path: Path) -> None:
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(OPTIONS, json.dumps({"size": 64, "film": "film.mp4"}))
    data = path.read_bytes()
    assert kept_options(path) == {"size": 64, "film": "film.mp4"}
    for at in range(len(data)):
        for flip in (0x01, 0x04, 0x06, 0x08, 0xFF):
            path.write_bytes(data[:at] + bytes([data[at] ^ flip]) + data[at + 1:])
            kept_options(path)


@pytest.mark.parametrize("suffix", ["", ".zip"])
def test_a_stopped_run_goes_on_to_the_same_bytes(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_film(tmp_path / "film.mp4", picture=staged, options={"crf": "10"})
    asked = ("--size", "96", "--fps", "all", "--drop-black", "--drop-duplicates", "--threads", "2")
    assert dataset(path, "-o", tmp_path / f"whole{suffix}", *asked) == 0
    real, seen = film_dataset_run.encoded, []

    def stops(*args: object) -> bytes:
        seen.append(1)
        if len(seen) == 12:
            raise KeyboardInterrupt
        return real(*args)  # type: ignore[arg-type]

    for _ in range(2):
        seen.clear()
        monkeypatch.setattr(film_dataset_run, "encoded", stops)
        assert dataset(path, "-o", tmp_path / f"out{suffix}", *asked) == 130
        assert not (tmp_path / f"out{suffix}").exists()
    log = tmp_path / f"out{suffix}.part" / "frames.log"
    lines = log.read_text().splitlines()
    assert len(lines) >= 11
    log.write_text("\n".join([*lines, "99\t0"]))  # as a crash in the middle of a line leaves it
    seen.clear()

    def counted(*args: object) -> bytes:
        seen.append(1)
        return real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(film_dataset_run, "encoded", counted)
    assert dataset(path, "-o", tmp_path / f"out{suffix}", *asked) == 0
    assert len(seen) <= 25 - 11  # what was done is not done again
    a, b = tmp_path / f"whole{suffix}", tmp_path / f"out{suffix}"
    assert (a.read_bytes() == b.read_bytes()) if suffix else (files_of(a) == files_of(b))
    assert not (tmp_path / f"out{suffix}.part").exists()


def test_what_another_command_began_is_not_gone_on_with(film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stops(*_: object) -> bytes:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(film_dataset_run, "encoded", stops)
        assert dataset(film, "-o", tmp_path / "out", "--size", 64) == 130
    assert dataset(film, "-o", tmp_path / "out", "--size", 32) == 0
    assert picture(tmp_path / "out" / "00000" / "img00000000.png").shape == (32, 32)


def test_a_full_disk_costs_one_sentence_and_keeps_what_was_there(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dataset(film, "-o", tmp_path / "out", "--size", 32) == 0
    before = files_of(tmp_path / "out")
    written = []

    def full(self: Path, data: bytes) -> int:
        written.append(self)
        if len(written) > 5:
            raise OSError(errno.ENOSPC, "No space left on device")
        with self.open("wb") as file:
            return file.write(data)

    capsys.readouterr()
    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", full)
        assert dataset(film, "-o", tmp_path / "out", "--size", 48, "--again") == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1 and "cannot be written (No space left on device)" in told[0]
    assert files_of(tmp_path / "out") == before
    assert dataset(film, "-o", tmp_path / "out", "--size", 48, "--again") == 0
    assert picture(tmp_path / "out" / "00000" / "img00000000.png").shape == (48, 48)
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_dataset_that_is_there_stays(film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert dataset(film, "-o", tmp_path / "out", "--size", 32) == 0
    before = files_of(tmp_path / "out")
    assert dataset(film, "-o", tmp_path / "out", "--size", 32) == 0
    assert "holds it already: 24 pictures" in capsys.readouterr().out
    assert dataset(film, "-o", tmp_path / "out", "--size", 48) == 2
    assert "holds another dataset" in capsys.readouterr().err and files_of(tmp_path / "out") == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "painting.txt").write_text("weeks of work")
    assert dataset(film, "-o", tmp_path / "mine", "--again") == 2
    assert "is no dataset of this command" in capsys.readouterr().err and len(files_of(tmp_path / "mine")) == 1


# --- sources, and what is wrong with them


def test_made_anew_it_takes_nothing_along_that_it_did_not_make(
    film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dataset(film, "-o", tmp_path / "out", "--size", 32) == 0
    (tmp_path / "out.old").mkdir()  # a name that this command would like to have
    (tmp_path / "out.old" / "painting.txt").write_text("weeks of work")
    assert dataset(film, "-o", tmp_path / "out", "--size", 48, "--again") == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "out.old"]
    assert (tmp_path / "out.old" / "painting.txt").read_text() == "weeks of work"
    (tmp_path / "out" / "my_notes.txt").write_text("which are good")
    (tmp_path / "out" / "00000" / "sketch.png").write_bytes(b"mine")
    capsys.readouterr()
    assert dataset(film, "-o", tmp_path / "out", "--size", 32, "--again") == 0
    assert f"kept in {tmp_path / 'out.old-2'}" in capsys.readouterr().out
    assert sorted(files_of(tmp_path / "out.old-2")) == ["00000/sketch.png", "my_notes.txt"]
    assert "my_notes.txt" not in files_of(tmp_path / "out")


def test_a_folder_of_frames_counts_as_a_film(film: Path, tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    for n, frame in footage_at(film).read(range(48)):
        Image.fromarray(whole(frame, 0, False)).save(tmp_path / "frames" / f"{n:06d}.png")
    assert dataset(tmp_path / "frames", "-o", tmp_path / "a", "--size", 96, "--rate", "24") == 0
    assert dataset(film, "-o", tmp_path / "b", "--size", 96) == 0
    a, b = files_of(tmp_path / "a"), files_of(tmp_path / "b")
    assert a["frames.csv"] == b["frames.csv"]
    for name in (n for n in a if n.endswith(".png")):
        assert np.abs(picture(a[name]).astype(int) - picture(b[name])).max() <= 1


def test_far_frames_are_found_by_a_seek(tmp_path: Path) -> None:
    def numbered(n: int) -> np.ndarray:
        return np.full((32, 32, 3), 20 + n % 200, np.uint8)

    for name in ("film.mp4", "film.mkv", "film.ts", "film.h264"):
        form = "h264" if name.endswith("h264") else ""
        path = write_film(tmp_path / name, 460, 24, numbered, options={"crf": "1"}, form=form)
        footage = footage_at(path)
        means = [(n, round(float(whole(f, 0, True).mean()))) for n, f in footage.read([401, 402, 444])]
        assert [n for n, _ in means] == [401, 402, 444] and all(abs(m - 20 - n % 200) <= 1 for n, m in means), name


@pytest.mark.parametrize(("argv", "sentence"), [
    (("--size", "4"), "--size: 4"), (("--fps", "30"), "at most 24"), (("--fps", "nan"), "--fps"),
    (("--fps", "1e-99999999"), "one an hour or more"), (("--fps", "1/0"), "--fps"),
    (("--start", "48"), "the film's 48 frames"), (("--end", "49"), "the film's 48 frames"), (("--end", "0"), "--end"),
    (("--bars", "0,0,97,64"), "--bars"), (("--bars", "narrow"), "--bars"), (("--quality", "0"), "--quality"),
    (("--labels", "shots"), "--cuts"), (("--drop-black", "nan"), "--drop-black"), (("--rate", "25"), "--rate"),
    (("--threads", "-1"), "--threads"),
])
def test_a_bad_option_costs_one_sentence(film: Path, tmp_path: Path, argv: tuple[str, ...], sentence: str,
                                         capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    assert dataset(film, "-o", tmp_path / "out", *argv) == 2
    told = capsys.readouterr().err
    assert sentence in told and told.count("\n") == 1 and list(tmp_path.iterdir()) == []


def test_the_films_name_is_not_taken_for_a_level(film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        dataset("-o", tmp_path / "out", "--drop-black", film)
    assert left.value.code == 2 and "is no LEVEL: name the film before this option" in capsys.readouterr().err


def test_every_problem_is_said_at_once(film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert dataset(film, "-o", tmp_path / "none" / "out", "--size", 4, "--quality", 0) == 2
    assert capsys.readouterr().err.count("\n") == 3


def test_the_cut_list_of_another_film_is_refused(film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert dataset(film, "-o", tmp_path / "out", "--cuts", cuts_for(tmp_path, 47)) == 2
    assert "covers 47 frames, the film film.mp4 has 48" in capsys.readouterr().err
    assert dataset(film, "-o", tmp_path / "out", "--cuts", cuts_for(tmp_path, rate=Fraction(25))) == 2
    assert "counts 25 frames a second" in capsys.readouterr().err


def test_outputs_that_would_destroy_something_are_refused(film: Path, tmp_path: Path,
                                                          capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    (tmp_path / "file").write_text("here")
    (tmp_path / "frames").mkdir()
    Image.fromarray(scene()(0)).save(tmp_path / "frames" / "0.png")
    (tmp_path / "set.csv").write_text("mine")
    for source, out, sentence in ((film, film, "would be lost"), (film, tmp_path / "file", "is a file"),
                                  (film, film.parent, "holds the film"), (film, tmp_path / "none" / "out", "not there"),
                                  (tmp_path / "frames", tmp_path / "frames", "would be lost"),
                                  (tmp_path / "frames", tmp_path / "frames" / "out", "among the film's frames"),
                                  (film, tmp_path / "set.zip", "would be overwritten")):  # fmt: skip
        assert dataset(source, "-o", out) == 2
        told = capsys.readouterr().err
        assert sentence in told and told.count("\n") == 1
    assert (tmp_path / "set.csv").read_text() == "mine" and film.is_file()


def test_sixteen_bits_of_grey_are_not_cut_off(tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    ramp = np.linspace(0, 65535, 64 * 64).astype(np.uint16).reshape(64, 64)
    for n in range(2):
        (tmp_path / "frames" / f"{n}.png").write_bytes(png(ramp))
    assert dataset(tmp_path / "frames", "-o", tmp_path / "out", "--fps", "all", "--size", 64, "--bars", "keep") == 0
    made = picture(tmp_path / "out" / "00000" / "img00000001.png")
    assert np.abs(made - ramp / 257).max() <= 1


def test_frames_of_another_size_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "frames").mkdir()
    for n, size in enumerate((64, 64, 32)):
        Image.fromarray(scene(96, size)(n)).save(tmp_path / "frames" / f"{n}.png")
    assert dataset(tmp_path / "frames", "-o", tmp_path / "out", "--fps", "all", "--bars", "keep", "--channels", 1) == 2
    assert "2.png: is 96 x 32; allowed: 96 x 64" in capsys.readouterr().err


def test_a_film_of_variable_rate_or_cut_short_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stamps = [n * 40 + (n > 20) * 500 for n in range(48)]
    path = write_film(tmp_path / "film.mkv", stamps=stamps, base=Fraction(1, 1000))
    assert dataset(path, "-o", tmp_path / "out") == 2
    assert "variable frame rate" in capsys.readouterr().err
    whole_film = write_film(tmp_path / "long.mkv", 200).read_bytes()
    (tmp_path / "short.mkv").write_bytes(whole_film[: len(whole_film) // 2])
    assert dataset(tmp_path / "short.mkv", "-o", tmp_path / "out") == 2
    assert "cut short" in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_a_real_film_as_its_probe_says(shared: Path, tmp_path: Path) -> None:
    argv = [str(shared / "footage" / "sintel_trailer_480x204_24fps.mp4"), "-o", str(tmp_path / "out")]
    plan = plan_of(dataset_arguments().parse_args(argv))
    assert announced(plan).startswith("626 pictures: ") and plan.recipe.square.inner == (0, 73, 256, 109)
