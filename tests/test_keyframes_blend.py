"""Two paintings of one frame made into one: which is taken where, and that neither a ghost nor a seam is left."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("scipy")

from tools.keyframes_blend import Choice, blend, choose, differences, screened_poisson

H, W = 60, 80


def strokes(seed: int, tone: float = 0.0) -> np.ndarray:
    """A picture of hard little blocks, brighter by `tone`: uint8 [H, W, 3]."""
    chance = np.random.default_rng(seed)
    blocks = chance.integers(60, 180, (H // 4, W // 4, 3)).repeat(4, 0).repeat(4, 1)
    return np.clip(blocks + tone, 0, 255).astype(np.uint8)


def split(at: int = W // 2) -> np.ndarray:
    """Weight 0 left of a column, 1 from it on."""
    return (np.arange(W)[None] >= at).astype(np.float32) * np.ones((H, 1), np.float32)


def test_the_solver_gives_the_least_of_what_it_says_it_makes_least() -> None:
    chance = np.random.default_rng(1)
    tones = chance.random((9, 11, 2)).astype(np.float32)
    across, down = chance.standard_normal((2, 9, 11, 2)).astype(np.float32)
    screen = 0.07

    def energy(u: np.ndarray) -> float:
        ax, dn = differences(u)
        return float(screen * ((u - tones) ** 2).sum() + ((ax - across)[:, :-1] ** 2).sum() + ((dn - down)[:-1] ** 2).sum())

    solved = screened_poisson(tones, across, down, screen).astype(np.float64)
    least = energy(solved)
    for seed in range(40):
        step = 1e-2 * np.random.default_rng(seed).standard_normal(solved.shape)
        assert energy(solved + step) > least
    # At the least, what a step forward adds a step back adds too: no slope is left.
    step = np.random.default_rng(99).standard_normal(solved.shape)
    slope = (energy(solved + 1e-3 * step) - energy(solved - 1e-3 * step)) / 2e-3
    assert abs(slope) < 1e-3 * np.abs(step).sum()


def test_a_picture_with_its_own_gradients_comes_back_as_it_was() -> None:
    picture = np.random.default_rng(2).random((H, W, 3)).astype(np.float32)
    solved = screened_poisson(picture, *differences(picture), screen=1e-3)
    assert np.abs(solved - picture).max() < 1e-4


def test_the_solver_refuses_no_screen() -> None:
    picture = np.zeros((4, 4, 1), np.float32)
    with pytest.raises(ValueError, match="screen"):
        screened_poisson(picture, picture, picture, 0)


def test_each_pixel_is_taken_from_the_picture_that_matched_better() -> None:
    error_a = np.where(np.arange(W)[None] < W // 2, 1.0, 9.0) * np.ones((H, 1))
    error_b = 10 - error_a
    weight = choose(error_a.astype(np.float32), error_b.astype(np.float32))
    assert weight.dtype == np.float32 and weight.shape == (H, W)
    assert weight[:, : W // 2 - 4].max() < 0.05 and weight[:, W // 2 + 4 :].min() > 0.95


def test_the_unit_of_the_errors_plays_no_part_and_the_two_are_alike() -> None:
    a, b = np.random.default_rng(3).random((2, H, W)).astype(np.float32)
    assert np.allclose(choose(a, b), choose(1000 * a, 1000 * b), atol=1e-4)
    assert np.allclose(choose(a, b), 1 - choose(b, a), atol=1e-5)


def test_noise_in_the_errors_makes_no_speckle() -> None:
    chance = np.random.default_rng(4)
    error_a = (1 + chance.exponential(1, (H, W))).astype(np.float32)
    error_b = (2.5 + chance.exponential(1, (H, W))).astype(np.float32)
    plain = error_b < error_a
    assert plain.mean() > 0.1
    assert (choose(error_a, error_b) > 0.5).mean() < 0.2 * plain.mean()


def test_where_both_match_equally_the_nearer_key_is_taken() -> None:
    same = np.ones((H, W), np.float32)
    assert choose(same, same, share=0.1).max() < 0.5 < choose(same, same, share=0.9).min()
    assert np.allclose(choose(same, same, share=0.5), 0.5)


def test_the_choice_of_the_frame_before_holds_until_the_errors_speak_clearly() -> None:
    a, b = np.full((H, W), 1.0, np.float32), np.full((H, W), 0.9, np.float32)
    assert choose(a, b).min() > 0.5
    assert choose(a, b, np.zeros((H, W), np.float32)).max() < 0.5
    assert choose(a, 0.1 * b, np.zeros((H, W), np.float32), choice=Choice(memory=0.3)).min() > 0.5


def test_a_choice_that_flips_every_frame_is_steadied() -> None:
    def swings(memory: float) -> float:
        before, seen = None, []
        for t in range(12):
            lean = 0.2 if t % 2 else -0.2
            a, b = np.full((8, 8), 1 + lean, np.float32), np.full((8, 8), 1 - lean, np.float32)
            before = choose(a, b, before, choice=Choice(memory=memory))
            seen.append(float(before.mean()))
        return float(np.abs(np.diff(seen)).mean())

    assert swings(0.7) < 0.5 * swings(0.0)


def test_a_pixel_that_one_synthesis_did_not_match_is_taken_from_the_other() -> None:
    a, b = np.ones((H, W), np.float32), np.full((H, W), 50.0, np.float32)
    a[10:20, 10:20] = np.inf
    b[30:40, 30:40] = np.nan
    weight = choose(a, b)
    assert (weight[10:20, 10:20] == 1).all() and (weight[30:40, 30:40] == 0).all() and np.isfinite(weight).all()


def test_a_weight_of_nothing_or_all_gives_the_picture_itself() -> None:
    a, b = strokes(5), strokes(6)
    assert (blend(a, b, np.zeros((H, W), np.float32)) == a).all()
    assert (blend(a, b, np.ones((H, W), np.float32)) == b).all()


def test_the_same_picture_twice_is_that_picture_whatever_the_weight() -> None:
    a = strokes(7)
    mixed = blend(a, a.copy(), np.random.default_rng(8).random((H, W)).astype(np.float32))
    assert np.abs(mixed.astype(int) - a).max() <= 1


def test_strokes_are_whole_and_tones_meet_without_a_seam() -> None:
    a, b = strokes(9), strokes(9, tone=60)  # the same strokes in another light
    mixed = blend(a, b, split()).astype(float)
    want, fade = np.abs(np.diff(a.astype(float), axis=1)), np.abs(np.diff(mixed, axis=1))
    at = W // 2 - 1
    seam = np.abs(fade[:, at] - want[:, at]).mean()
    cut = np.where(split()[..., None] > 0, b, a).astype(float)
    assert seam < 0.25 * np.abs(np.abs(np.diff(cut, axis=1))[:, at] - want[:, at]).mean()
    assert np.abs(mixed[:, :3] - a[:, :3]).mean() < 12 and np.abs(mixed[:, -3:] - b[:, -3:]).mean() < 12


def test_nothing_of_the_other_picture_shows_through_as_a_cross_fade_would() -> None:
    a, b = strokes(10), strokes(11)
    weight = np.full((H, W), 0.45, np.float32)  # undecided, a little for a
    mixed, fade = blend(a, b, weight, reach_px=6).astype(float), 0.55 * a + 0.45 * b

    def likeness(x: np.ndarray, y: np.ndarray) -> float:
        dx, dy = np.diff(x.astype(float), axis=1).ravel(), np.diff(y.astype(float), axis=1).ravel()
        return float(np.corrcoef(dx, dy)[0, 1])

    assert likeness(mixed, a) > 0.99 > 0.9 > likeness(fade, a)
    assert abs(likeness(mixed, b)) < 0.1


def test_grey_pictures_blend_as_coloured_ones_do() -> None:
    a, b = strokes(12), strokes(13)
    grey = blend(a[..., 0], b[..., 0], split())
    assert grey.shape == (H, W) and (grey == blend(a, b, split())[..., 0]).all()


def test_sizes_that_do_not_fit_are_refused() -> None:
    a = strokes(14)
    with pytest.raises(ValueError, match="weight"):
        blend(a, a, np.zeros((H, W + 1), np.float32))
    with pytest.raises(ValueError, match="errors"):
        choose(np.zeros((3, 4), np.float32), np.zeros((4, 3), np.float32))
    with pytest.raises(ValueError, match="odd"):
        Choice(window_px=4)
