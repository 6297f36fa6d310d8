"""What is projected: the frames of a film that were asked for, upright, and pictures of any shape in the model's square."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

pytest.importorskip("torch")

from player.show.problem import ShowError
from player.sources.film_reader import FilmReader
from tests.film_footage import write_film
from tools.project_source import in_square, pictures_at, square_geometry

GEOMETRY = {"film": [16, 12], "crop": [0, 0, 16, 12], "inner": [0, 2, 16, 12]}


def test_frames_of_a_film_are_chosen_by_start_end_and_every(tmp_path: Path) -> None:
    path = tmp_path / "film.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=12)
        stream.width, stream.height, stream.pix_fmt = 32, 24, "gray"
        for i in range(20):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((24, 32), 10 * i, np.uint8), "gray")))
        container.mux(stream.encode())
    pictures = pictures_at(path)
    assert (pictures.kind, pictures.count, pictures.size, pictures.rate) == ("film", 20, (32, 24), 12)
    chosen = pictures.chosen("0.5s", "18f", 5)
    assert list(chosen) == [6, 11, 16] and pictures.name(11) == "f0011"
    got = dict(pictures.squares([int(n) for n in chosen], GEOMETRY, 16, 1))
    assert sorted(got) == [6, 11, 16] and np.all(got[11][0, 2:14] == 110) and np.all(got[11][0, :2] == 0)
    with pytest.raises(ShowError, match="is frame 30"):
        pictures.chosen("30f", None, 1)


def test_a_film_that_was_held_sideways_is_projected_upright(tmp_path: Path) -> None:
    path = write_film(tmp_path / "film.mp4", 4, turned=90)
    pictures = pictures_at(path)
    assert (pictures.size, pictures.count) == ((64, 96), 4)
    reader = FilmReader(path)
    reader.open()
    seen = reader.picture(2)[..., 0]  # [96, 64]: as the player shows it
    reader.close()
    geometry = square_geometry({}, pictures, 96)
    x, y, w, h = geometry["inner"]
    (number, square), = pictures.squares([2], geometry, 96, 1)
    assert number == 2 and (w, h) == (64, 96)
    assert np.abs(square[0, y : y + h, x : x + w].astype(int) - seen).mean() < 2


def test_a_picture_of_another_shape_gives_its_middle() -> None:
    picture = np.zeros((48, 96), np.uint8)
    picture[:, 16:80] = 200  # 64 x 48 is the film's shape
    square = in_square(picture, GEOMETRY, 16)
    assert square.shape == (1, 16, 16) and np.all(square[0, 2:14] == 200) and np.all(square[0, 14:] == 0)
    cropped = in_square(np.arange(64, dtype=np.uint8).reshape(1, 64).repeat(48, axis=0),
                        {"film": [640, 480], "crop": [320, 0, 320, 480], "inner": [4, 0, 8, 12]}, 16)  # fmt: skip
    assert cropped[0, 0, 4] >= 32
    assert in_square(np.full((3, 4, 3), 9, np.uint8), GEOMETRY, 16)[2, 5, 5] == 9  # smaller than the model: enlarged


def test_a_picture_that_lies_in_the_models_square_already_is_taken_as_it_is() -> None:
    laid = np.zeros((16, 16, 3), np.uint8)
    laid[2:14] = np.random.default_rng(0).integers(60, 250, (12, 16, 3))
    assert np.array_equal(in_square(laid, GEOMETRY, 16), laid.transpose(2, 0, 1))
    bright = laid + 50  # of the model's size, but no film of its shape lies there: its middle
    assert np.all(in_square(bright, GEOMETRY, 16)[:, :2] == 0)
    squashed = {"film": [32, 16], "crop": [0, 0, 32, 16], "inner": [0, 0, 16, 16]}
    assert np.array_equal(in_square(bright, squashed, 16), bright.transpose(2, 0, 1))
