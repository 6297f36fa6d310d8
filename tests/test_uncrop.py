"""A model of a part of the film's frame is shown where that part is: bars come back, black."""

from __future__ import annotations

import numpy as np
import pytest

from player.sources.generator import uncropped
from player.sources.onnx_model import ModelFacts


def facts(film: list[int], crop: list[int], inner: list[int]) -> ModelFacts:
    return ModelFacts("stylegan2", "synthesis", 256, geometry={"film": film, "crop": crop, "inner": inner})


def test_a_model_without_the_films_bars_gets_them_back_black() -> None:
    place = uncropped(facts([480, 360], [0, 45, 480, 270], [0, 56, 256, 144]))
    assert place is not None and (place.size, place.inner) == ((256, 192), (0, 0, 256, 192))
    made = place.canvas(np.full((256, 256, 3), 200, np.uint8))
    assert made.shape == (192, 256, 3) and (made[24:168] == 200).all() and not made[:24].any() and not made[168:].any()


def test_the_middle_of_a_film_stands_in_its_middle_undistorted() -> None:
    place = uncropped(facts([480, 360], [60, 0, 360, 360], [0, 0, 256, 256]))
    assert place is not None and place.size == (342, 256) and place.at == (43, 0)
    x, y, w, h = place.inner
    assert (x, y, h) == (pytest.approx(43 - 60 * 256 / 360), 0, 256) and w == pytest.approx(480 * 256 / 360)


@pytest.mark.parametrize("geometry", [
    {}, {"film": [480, 360], "crop": [0, 0, 480, 360], "inner": [0, 32, 256, 192]}, {"inner": [0, 0, 256, 256]},
    {"film": [480, 360], "crop": [0, 0, 1, 1], "inner": [0, 0, 256, 256]}, {"film": 3, "crop": None, "inner": []},
    {"film": [480, 360], "crop": [0, 0, 0, 0], "inner": [0, 0, 256, 256]},
])
def test_a_model_of_the_whole_frame_or_of_unknown_is_left_alone(geometry: dict[str, object]) -> None:
    assert uncropped(ModelFacts("stylegan2", "synthesis", 256, geometry=geometry)) is None
