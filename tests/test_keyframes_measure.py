"""The measures of painted frames: each sees what it is for, and none is cheated by a blur."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tools.keyframes_measure import (
    e_warp,
    fetched,
    fine_sharpness,
    halved,
    inside,
    mean_psnr,
    psnr,
    seen_in_both,
    sharpness,
    style_distance,
    warp_error,
)

H, W = 48, 64


def painting(seed: int = 0, height: int = H, width: int = W) -> np.ndarray:
    blocks = np.random.default_rng(seed).integers(0, 256, (height // 4, width // 4, 3))
    return blocks.repeat(4, 0).repeat(4, 1).astype(np.uint8)


def shift(x: float, y: float = 0.0) -> np.ndarray:
    return np.broadcast_to(np.array([x, y], np.float32), (H, W, 2)).copy()


def blurred(picture: np.ndarray) -> np.ndarray:
    p = np.pad(picture.astype(float), ((1, 1), (1, 1), (0, 0)), mode="edge")
    return np.rint((p[:-2, 1:-1] + p[2:, 1:-1] + p[1:-1, :-2] + p[1:-1, 2:] + 4 * p[1:-1, 1:-1]) / 8).astype(np.uint8)


def test_psnr_is_that_of_the_textbook() -> None:
    a = np.full((H, W, 3), 100, np.uint8)
    assert psnr(a, a + 10) == pytest.approx(10 * math.log10(255**2 / 100)) and psnr(a, a) == math.inf
    half = np.zeros((H, W), bool)
    half[:, : W // 2] = True
    b = a.copy()
    b[:, W // 2 :] += 50
    assert psnr(a, b, half) == math.inf and psnr(a, b, ~half) == pytest.approx(10 * math.log10(255**2 / 2500))
    assert mean_psnr([a, a + 10], [a + 10, a + 20]) == pytest.approx(psnr(a, a + 10))
    with pytest.raises(ValueError, match="no pixel"):
        psnr(a, b, np.zeros((H, W), bool))


def test_a_blur_is_less_sharp_and_noise_sharper() -> None:
    p = painting()
    noisy = np.clip(p + np.random.default_rng(1).normal(0, 20, p.shape), 0, 255).astype(np.uint8)
    for measure in (sharpness, fine_sharpness):
        assert measure(blurred(p)) < 0.95 * measure(p) < measure(p) < measure(noisy)
        assert measure(np.full((H, W, 3), 7, np.uint8)) == pytest.approx(0, abs=1e-3)
    half = np.zeros((H, W), bool)
    half[:, : W // 2] = True
    torn = np.where(half[..., None], p, np.uint8(0))  # what is not usable, and the edge towards it, play no part
    assert sharpness(torn, half) == pytest.approx(sharpness(p[:, : W // 2])) and sharpness(p, half) < sharpness(noisy, half)
    assert math.isnan(sharpness(p, np.zeros((H, W), bool)))


def test_values_are_fetched_along_the_flow_between_pixels_too() -> None:
    ramp = np.broadcast_to(np.arange(W, dtype=np.float32)[None, :, None], (H, W, 1))
    assert np.allclose(fetched(ramp, shift(2.25))[:, :60, 0], ramp[:, :60, 0] + 2.25, atol=1e-4)
    assert np.allclose(fetched(ramp, shift(1000))[..., 0], W - 1)
    assert (~inside(shift(5))).sum() == 5 * H


def test_a_film_that_moves_as_its_flow_says_does_not_flicker() -> None:
    wide = painting(2, H, 96)
    frames = [wide[:, 2 * i : 2 * i + W] for i in range(4)]  # the picture moves 2 pixels to the left a frame

    def flow_of(i: int, j: int) -> np.ndarray:
        return shift(-2.0 * (j - i))

    assert e_warp(frames, flow_of) == 0 and e_warp(frames, flow_of, step=3) == 0
    lit = [np.clip(f.astype(int) + 10 * (i % 2), 0, 255).astype(np.uint8) for i, f in enumerate(frames)]
    assert e_warp(lit, flow_of) == pytest.approx((10 / 255) ** 2, rel=0.05)
    assert e_warp(lit, flow_of, step=2) == 0
    assert math.isnan(e_warp(frames, flow_of, step=9))


def test_what_is_covered_or_outside_does_not_count() -> None:
    there = shift(0)
    there[20:30, 20:30] = (8, 0)  # a square goes to the right
    back = shift(0)
    back[20:30, 28:38] = (-8, 0)
    seen = seen_in_both(there, back)
    assert not seen[22:28, 31:37].any(), "covered by the square in the other frame"
    assert seen[22:28, 22:28].all() and seen[2:10, 2:60].all()
    assert not seen_in_both(shift(6), shift(-6))[:, -6:].any()
    p, other = painting(3), painting(4)
    assert math.isnan(warp_error(p, other, there, np.zeros((H, W), bool)))


def test_style_distance_knows_the_style_and_not_the_place() -> None:
    style = painting(5, 128, 128)
    same_style, moved = painting(6, 128, 128), np.roll(style, (16, 24), axis=(0, 1))
    smooth = np.full_like(style, 128)
    assert style_distance(style, style) == 0
    near, far = style_distance(same_style, style), style_distance(smooth, style)
    assert style_distance(moved, style) < near < 0.35 * far
    assert style_distance(blurred(blurred(style)), style) > 2 * near
    assert style_distance(same_style, style) == near, "the same twice"


def test_style_distance_is_in_the_pictures_own_unit() -> None:
    style = painting(7, 64, 64) // 2
    brighter = style + 20
    assert style_distance(brighter, style) == pytest.approx(20, rel=0.1)
    with pytest.raises(ValueError, match="patch"):
        style_distance(style[:5], style)


def test_pictures_of_another_size_and_odd_sizes_are_measured() -> None:
    assert style_distance(painting(8, 96, 128), painting(9, 64, 64)) < 60
    assert halved(np.ones((5, 7, 3), np.float32)).shape == (2, 3, 3)


def test_what_of_a_style_is_not_painted_plays_no_part() -> None:
    style = painting(5, 128, 128)
    torn = style.copy()
    torn[:, 70:] = (255, 0, 255)
    usable = np.ones((128, 128), bool)
    assert style_distance(painting(6, 128, 128), style, usable=usable) == style_distance(painting(6, 128, 128), style)
    usable[:, 70:] = False
    apart = [style_distance(painting(6, 128, 128), s, usable=usable) for s in (style, torn)]
    assert apart[0] == apart[1] and style_distance(painting(6, 128, 128), torn) > 2 * apart[1]
    with pytest.raises(ValueError, match="patch"):
        style_distance(style, style, usable=np.zeros((128, 128), bool))
