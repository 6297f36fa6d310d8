"""What leads the strokes: even tones, directions that are right, and walls that follow the forms around them."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("cv2")

from tests.painted import strokes
from tools.paint_guides import as_guide, described, directions, luminance, tone_curve
from tools.paint_style import turned, turned_angles


def stripes(degrees: float, size: int = 96) -> np.ndarray:
    """Lines that run at an angle, y downward: float32 [H, W], 0..1."""
    y, x = np.mgrid[:size, :size].astype(np.float32)
    angle = np.deg2rad(degrees)
    return (0.5 + 0.5 * np.sin((-x * np.sin(angle) + y * np.cos(angle)) * 0.7)).astype(np.float32)


def angle_of(double: np.ndarray) -> np.ndarray:
    return np.asarray(np.rad2deg(np.arctan2(double[..., 1], double[..., 0]) / 2) % 180)


@pytest.mark.parametrize("degrees", [0, 20, 45, 90, 135, 170])
def test_the_direction_of_lines_is_found(degrees: float) -> None:
    form, sure = directions(stripes(degrees), 2.0)
    off = np.abs((angle_of(form)[16:-16, 16:-16] - degrees + 90) % 180 - 90)
    assert off.max() < 3 and sure[16:-16, 16:-16].min() > 0.9


def test_a_flat_wall_takes_the_direction_of_the_edge_beside_it() -> None:
    plane = np.full((96, 96), 0.7, np.float32)
    plane[:, 80:] = 0.2  # an upright edge
    form, sure = directions(plane, 2.0)
    assert np.abs((angle_of(form)[48, 30] - 90 + 90) % 180 - 90) < 5
    assert sure[48, 79] > sure[48, 30] > 0


def test_noise_has_no_direction() -> None:
    noise = np.random.default_rng(0).normal(0.5, 0.02, (96, 96)).astype(np.float32)
    _, sure = directions(noise, 3.0)
    assert sure.mean() < 0.35


def test_directions_found_in_a_turned_painting_are_the_turned_directions() -> None:
    plane = luminance(strokes(80, 64))
    form, _ = directions(plane, 2.0)
    for again, expected in zip(turned(plane, 4), turned_angles(form, 4), strict=True):
        found, sure = directions(np.ascontiguousarray(again), 2.0)
        inner = np.s_[8:-8, 8:-8]
        clear = sure[inner] > 0.5
        off = np.abs((angle_of(found[inner]) - angle_of(expected[inner]) + 90) % 180 - 90)[clear]
        assert np.median(off) < 1 and (off < 10).mean() > 0.95


def test_the_curve_spreads_tones_and_never_turns_round() -> None:
    dull = np.random.default_rng(1).normal(0.4, 0.03, (60, 80)).astype(np.float32)
    curve = tone_curve([dull])
    spread = np.interp(dull * 255, np.arange(256), curve)
    assert curve.shape == (256,) and np.all(np.diff(curve) >= 0) and 0 <= curve[0] and curve[-1] <= 1
    assert spread.std() > 0.2 and abs(spread.mean() - 0.5) < 0.05


def test_a_painting_and_a_frame_are_described_alike() -> None:
    picture = strokes()
    curve = tone_curve([luminance(picture)])
    made = described(picture, curve, 1.0, 120.0)
    assert made.tone.shape == (80, 96, 1) and made.form.shape == (80, 96, 2) and made.sure.shape == (80, 96)
    guide = as_guide(made.form, made.sure)
    assert guide.dtype == np.float32 and 0 <= guide.min() and guide.max() <= 1
    assert np.allclose(as_guide(made.form, np.zeros_like(made.sure)), 0.5)
