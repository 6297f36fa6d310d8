"""The film looks: blur, grain, weave, flicker, exposure and the rest, measured in drawn pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from player.screen.film_look import flicker_at, grain_tile, hashed, weave_at
from tests.drawn import Picture, flat, linear, noise, one


def test_blur_begins_gently_and_keeps_the_light(picture: Callable[..., Picture]) -> None:
    p = picture()
    pixels = flat(0)
    pixels[30:60, 60:100] = 255
    due = one(pixels)
    sharp = p.light(p.state(), due)
    slopes = []
    for blur in (0.02, 0.5, 1.0, 2.0, 4.0):
        light = p.light(p.state(blur=blur), due)
        assert abs(light.mean() - sharp.mean()) < 0.01 * sharp.mean() + 1e-4
        slopes.append(np.abs(np.diff(light[45, :, 0])).max())
    assert slopes == sorted(slopes, reverse=True) and slopes[0] > 0.95 and slopes[-1] < 0.3


LOOKS = {"grain": 0.3, "weave": 0.4, "flicker": 0.5, "vignette": 0.5, "blur": 2.0, "exposure": 0.2, "contrast": 1.2,
         "saturation": 0.7, "warmth": 0.3}


@pytest.mark.parametrize("name", LOOKS)
def test_every_look_does_something_and_the_same_twice(picture: Callable[..., Picture], name: str) -> None:
    p, q = picture(), picture()
    due = one(noise((40, 24), 3))
    plain, looked = p.seen(p.state(7), due), p.seen(p.state(7, **{name: LOOKS[name]}), due)
    assert np.abs(looked.astype(int) - plain).mean() > 0.4
    assert np.array_equal(looked, q.seen(q.state(7, **{name: LOOKS[name]}), one(noise((40, 24), 3))))


def test_the_seed_changes_grain_weave_and_flicker(picture: Callable[..., Picture]) -> None:
    p, q = picture(seed=1), picture(seed=2)
    for name in ("grain", "weave", "flicker"):
        due = one(noise((40, 24)))
        assert not np.array_equal(p.seen(p.state(3, **{name: 0.5}), due), q.seen(q.state(3, **{name: 0.5}), due)), name


def test_grain_is_the_films_and_not_the_screens(picture: Callable[..., Picture]) -> None:
    p = picture()
    state, due = p.state(5, grain=0.3, weave=0.5, flicker=0.5), one(noise((40, 24)))
    first = p.seen(state, due)
    p.seen(p.state(6, grain=0.3), due)
    later = replace(state, show_time_s=state.show_time_s + 1 / 60, refresh=state.refresh + 1)
    assert np.array_equal(first, p.seen(later, due))
    next_frame = replace(state, picture=replace(state.picture, frame=6))
    assert not np.array_equal(first, p.seen(next_frame, due))


@pytest.mark.parametrize("value", [40, 118, 200])
def test_grain_keeps_the_exposure_and_has_the_strength_it_says(picture: Callable[..., Picture], value: int) -> None:
    p = picture(film=(400, 300), size=(400, 300))
    light = [p.light(p.state(f, grain=0.2), one(flat(value, (400, 300)))).mean() for f in range(4)]
    assert abs(np.mean(light) / linear(value) - 1) < 0.01
    if value == 118:  # middle grey, where the parameter is defined: a quarter of 0.2
        coded = p.seen(p.state(0, grain=0.2), one(flat(value, (400, 300)))) / 255
        assert abs(coded.std() - 0.05) < 0.006


def test_grain_leaves_black_and_white_alone(picture: Callable[..., Picture]) -> None:
    p = picture()
    assert p.seen(p.state(grain=0.5), one(flat(0))).max() <= 1
    assert p.seen(p.state(grain=0.5), one(flat(255))).min() >= 254


def test_the_grain_tile_is_even_and_without_dirt() -> None:
    tile, scale, mean = grain_tile(5)
    value = (tile / 255 - mean) * scale
    assert abs(value.mean()) < 1e-9 and abs(value.var() - 1) < 1e-9
    blocks = value.reshape(16, 32, 16, 32).mean(axis=(1, 3))
    assert blocks.std() < 0.05, "blotches of 32 pixels would look like dirt"
    neighbours = float(np.mean(value * np.roll(value, 1, axis=1)))
    assert 0.3 < neighbours < 0.8, "grain is soft blobs; television noise has no likeness between neighbours"


def test_weave_and_flicker_stay_within_bounds_and_repeat() -> None:
    places = np.array([weave_at(f, 1967) for f in range(2000)])
    assert np.hypot(*places.T).max() <= 1 and np.abs(places.mean(axis=0)).max() < 0.1
    assert np.hypot(*np.diff(places, axis=0).T).mean() > 0.1
    light = np.array([flicker_at(f, 1967) for f in range(2000)])
    assert 0 <= light.min() < 0.15 and 0.85 < light.max() <= 1
    assert abs(np.mean([hashed(1, 2, n) for n in range(4000)])) < 0.05


def test_exposure_contrast_and_vignette_have_their_units(picture: Callable[..., Picture]) -> None:
    p = picture()
    grey = one(flat(118))
    assert np.allclose(p.light(p.state(exposure=1.0), grey), 2 * linear(118), rtol=2e-3)
    assert np.allclose(p.light(p.state(contrast=2.0), grey), linear(118), rtol=2e-2)
    corner = p.light(p.state(vignette=1.0), one(flat(255)))
    assert abs(corner[0, 0, 0] - 0.25) < 0.02 and abs(corner[45, 80, 0] - 1) < 0.01
    black_white = p.light(p.state(saturation=0.0), one(flat((200, 90, 20))))
    assert np.allclose(black_white[..., 0], black_white[..., 2], rtol=2e-3)
    warm = p.light(p.state(warmth=1.0), grey)
    assert warm[0, 0, 0] > 1.5 * warm[0, 0, 2]
    assert abs(float(warm[0, 0] @ (0.2126, 0.7152, 0.0722)) / float(linear(118)) - 1) < 0.01
