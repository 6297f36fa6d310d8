"""Flicker along the film's motion: taken out, with strokes, cuts and untrusted motion left alone."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("scipy")
pytest.importorskip("cv2")

from tools.keyframes_flicker import Calm, Neighbour, brought, calmed, weighted_median
from tools.keyframes_measure import sharpness

H, W = 64, 80


def painting(seed: int = 0) -> np.ndarray:
    """Blocks of colour, uint8 [H, W, 3]."""
    return np.random.default_rng(seed).integers(40, 200, (H // 4, W // 4, 3)).repeat(4, 0).repeat(4, 1).astype(np.uint8)


def beside(picture: np.ndarray, trust: float = 1.0) -> Neighbour:
    return Neighbour(picture, np.full((H, W), trust, np.float32))


def test_a_steady_painting_stays_as_it_is() -> None:
    p = painting()
    out = calmed(p, [beside(p), beside(p)])
    assert np.abs(out.astype(int) - p).max() <= 1


def test_a_stroke_that_one_frame_alone_has_gives_way() -> None:
    p = painting()
    odd = p.copy()
    odd[20:24, 20:28] = (250, 20, 20)
    out = calmed(odd, [beside(p), beside(p)], Calm(tones=0, agree=1000))
    assert (out == p).all()


def test_strokes_that_a_neighbour_alone_has_do_not_come_in() -> None:
    p, odd = painting(), painting()
    odd[20:24, 20:28] = (250, 20, 20)
    assert (calmed(p, [beside(odd), beside(p)], Calm(tones=0)) == p).all()


def test_a_change_of_light_in_one_frame_is_taken_out_and_no_edge_is_lost() -> None:
    p = painting()
    flash = np.clip(p.astype(int) + 24, 0, 255).astype(np.uint8)
    out = calmed(flash, [beside(p), beside(p)], Calm(strokes=0, tones=1))
    assert abs(float(out.mean()) - float(p.mean())) < 12
    assert sharpness(out) == pytest.approx(sharpness(p), rel=0.03)


def test_flicker_of_strokes_becomes_less_and_sharpness_stays() -> None:
    chance = np.random.default_rng(3)
    p = painting()

    def flickering() -> np.ndarray:
        out = p.copy()
        for _ in range(25):  # strokes that come and go
            y, x = chance.integers(0, H - 4), chance.integers(0, W - 6)
            out[y : y + 3, x : x + 6] = chance.integers(0, 256, 3)
        return out

    frames = [flickering() for _ in range(6)]
    calm = [calmed(frames[i], [beside(frames[i - 1]), beside(frames[i + 1])]) for i in range(1, 5)]

    def apart(pictures: list[np.ndarray]) -> float:
        return float(np.mean([((a.astype(float) - b) ** 2).mean() for a, b in zip(pictures, pictures[1:], strict=False)]))

    assert apart(calm) < 0.5 * apart(frames[1:5])
    own, calmer = (float(np.mean([sharpness(x) for x in some])) for some in (frames[1:5], calm))
    assert 0.98 * sharpness(p) < calmer < own, "false edges went, and no true one"


def test_motion_that_is_not_trusted_brings_nothing() -> None:
    p, other = painting(1), painting(2)
    assert (calmed(p, [beside(other, 0.0), beside(other, 0.0)]) == p).all()
    assert (calmed(p, []) == p).all()


def test_pictures_of_something_else_are_not_mixed_in() -> None:
    p, other = painting(1), painting(2)
    out = calmed(p, [beside(other), beside(other)], Calm(agree=10))
    assert np.abs(out.astype(int) - p).mean() < 2


def test_a_neighbour_is_brought_along_the_flow() -> None:
    p = painting()
    flow = np.zeros((H, W, 2), np.float32)
    flow[..., 0] = 3
    got = brought(p, flow)
    assert (got[:, : W - 3] == p[:, 3:]).all()


def test_the_median_is_a_colour_that_a_picture_has() -> None:
    stack = np.random.default_rng(5).integers(0, 256, (5, 7, 9, 3)).astype(np.float32)
    found = weighted_median(stack, np.ones((5, 7, 9), np.float32))
    assert (np.abs(stack - found).sum(axis=-1) == 0).any(axis=0).all()
    alone = np.zeros((5, 7, 9), np.float32)
    alone[0] = 1
    assert (weighted_median(stack, alone) == stack[0]).all()


def test_sizes_that_do_not_fit_are_refused() -> None:
    p = painting()
    with pytest.raises(ValueError, match="beside"):
        calmed(p, [Neighbour(p[:-1], np.ones((H - 1, W), np.float32))])
    with pytest.raises(ValueError, match="strokes"):
        Calm(strokes=2)
