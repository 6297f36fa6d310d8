"""Full-size frames for painting: the film's own pixels, under the film frame's number, and never over a painting."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from player.show.cut_list import CutList, Shot, write_csv
from player.sources.film_reader import FilmReader
from tests.ctrl_c import ctrl_c_at
from tests.film_footage import scene, write_film
from tools import film_frames


def frames(*argv: object) -> int:
    return film_frames.main([str(a) for a in argv])


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.glob("*.png"))


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_film(tmp_path_factory.mktemp("film") / "film.mp4", picture=scene(colour=True))


def test_the_frames_of_two_films_are_not_mixed(film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert frames(film, "-o", tmp_path / "out", "--only", "3") == 0
    other = write_film(tmp_path / "other.mp4", 24)
    for more in ((), ("--again",)):
        assert frames(other, "-o", tmp_path / "out", "--only", "5", *more) == 2
        assert "holds frames of another film" in capsys.readouterr().err and names(tmp_path / "out") == ["000003.png"]
    assert frames(film, "-o", tmp_path / "out", "--only", "5") == 0


def test_frames_are_those_of_the_player_to_the_pixel(film: Path, tmp_path: Path) -> None:
    assert frames(film, "-o", tmp_path / "out", "--only", "3,10-12, 47") == 0
    assert names(tmp_path / "out") == ["000003.png", "000010.png", "000011.png", "000012.png", "000047.png"]
    reader = FilmReader(film)
    reader.open()
    for name in names(tmp_path / "out"):
        made = np.asarray(Image.open(tmp_path / "out" / name))
        assert np.array_equal(made, reader.picture(int(name[:6])))
    reader.close()
    assert json.loads((tmp_path / "out" / "frames.json").read_text())["frames"] == [3, 10, 11, 12, 47]


def test_a_range_and_a_step(film: Path, tmp_path: Path) -> None:
    assert frames(film, "-o", tmp_path / "out", "--start", "0.5s", "--end", "00:00:01:00", "--every", 5) == 0
    assert names(tmp_path / "out") == ["000012.png", "000017.png", "000022.png"]


def test_one_frame_of_every_shot(film: Path, tmp_path: Path) -> None:
    write_csv(CutList("film.mp4", Fraction(24), 48, (Shot(1, 0, 10), Shot(2, 10, 48))), tmp_path / "cuts.csv")
    for which, expected in (("first", [0, 10]), ("middle", [5, 29]), ("last", [9, 47])):
        assert frames(film, "-o", tmp_path / which, "--cuts", tmp_path / "cuts.csv", "--shots", which) == 0
        assert names(tmp_path / which) == [f"{n:06d}.png" for n in expected]


def test_deep_films_keep_their_bits(tmp_path: Path) -> None:
    import av

    ramp = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64) % 1024
    with av.open(str(tmp_path / "film.mkv"), "w") as out:
        stream = out.add_stream("ffv1", rate=24)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "gray10le"
        stream.codec_context.color_range = 2
        for _ in range(4):
            frame = av.VideoFrame.from_ndarray(ramp, format="gray10le")
            frame.color_range = 2
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    asked = ("--only", "2", "--depth", "16", "--channels", "1")
    assert frames(tmp_path / "film.mkv", "-o", tmp_path / "out", *asked) == 0
    made = np.asarray(Image.open(tmp_path / "out" / "000002.png")).astype(int)
    assert np.abs(made / 65535 * 1023 - ramp).max() < 0.51 and len(np.unique(made)) == 1024


def test_a_painted_frame_is_never_overwritten(film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert frames(film, "-o", tmp_path / "out", "--only", "1-3") == 0
    painted = tmp_path / "out" / "000002.png"
    painted.write_bytes(b"a painting")
    (tmp_path / "out" / "000003.png").unlink()
    assert frames(film, "-o", tmp_path / "out", "--only", "1-4") == 0
    assert "2 are there already and stay" in capsys.readouterr().out
    assert painted.read_bytes() == b"a painting" and len(names(tmp_path / "out")) == 4
    assert frames(film, "-o", tmp_path / "out", "--only", "2", "--again") == 0
    assert Image.open(painted).size == (96, 64)


def test_ctrl_c_keeps_what_is_done_and_the_same_command_goes_on(film: Path, tmp_path: Path,
                                                                monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    made = ctrl_c_at(monkeypatch, film_frames, "write_frame", 5)
    assert frames(film, "-o", tmp_path / "out", "--only", "0-9", "--threads", "1") == 130
    assert len(names(tmp_path / "out")) >= 4 and not list((tmp_path / "out").glob("*.part"))
    assert frames(film, "-o", tmp_path / "out", "--only", "0-9") == 0
    assert len(names(tmp_path / "out")) == 10 and len(made) <= 5 + 3 + 6


@pytest.mark.parametrize(("argv", "sentence"), [
    (("--only", "48"), "--only"), (("--only", "3-1"), "--only"), (("--only", "a"), "--only"), (("--every", "0"), "--every"),
    (("--start", "48"), "the film's 48 frames"), (("--shots", "first"), "--cuts"), (("--rate", "25"), "has its own"),
    (("--only", "3", "--start", "10"), "leave no frame"),
])
def test_a_bad_option_costs_one_sentence(film: Path, tmp_path: Path, argv: tuple[str, ...], sentence: str,
                                         capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    assert frames(film, "-o", tmp_path / "out", *argv) == 2
    told = capsys.readouterr().err
    assert sentence in told and told.count("\n") == 1 and not (tmp_path / "out").exists()


def test_a_file_in_the_place_of_the_folder_is_refused(film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "out").write_text("here")
    assert frames(film, "-o", tmp_path / "out") == 2
    assert "is a file" in capsys.readouterr().err and (tmp_path / "out").read_text() == "here"
