"""What a remake is measured by: each number is what its name says where the answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from player.show.cut_list import Shot
from tools.remap_measure import (
    STILL,
    ShotMeasure,
    cut_sharpness,
    likeness,
    motion_correlation,
    motion_ratio,
    nearest_shot,
    same_set_up,
    summary_of,
    worst_first,
)
from tools.remap_viterbi import NEVER, cheapest_path, one_use_each, runs

RNG = np.random.default_rng(1)


def test_the_film_itself_is_1_and_random_pictures_are_0() -> None:
    film, random = RNG.standard_normal((400, 32)), RNG.standard_normal((400, 32))
    assert likeness(film, film, random) == 1
    assert abs(likeness(RNG.standard_normal((400, 32)), film, random)) < 0.02
    halfway = film + 0.5 * (RNG.permutation(random) - film)
    assert likeness(halfway, film, random) == pytest.approx(0.5, abs=0.02)
    assert likeness(film + 9, film, random) < -1


def test_a_shot_is_known_by_its_frames_and_not_by_their_mean() -> None:
    film = [RNG.standard_normal((12, 8)) * 0.1 + offset for offset in (0, 1, 2)]
    film[0] = np.concatenate([np.full((6, 8), -1.0), np.full((6, 8), 3.0)])  # its mean is that of the second shot
    assert [nearest_shot(frames + 0.05, film) for frames in film] == [0, 1, 2]


def test_a_shot_of_the_same_group_may_stand_for_it() -> None:
    a, b, c = Shot(1, 0, 9, group="table"), Shot(2, 9, 20, group="table"), Shot(3, 20, 30)
    assert same_set_up(a, b) and same_set_up(c, c) and not same_set_up(a, c)
    assert not same_set_up(c, Shot(4, 30, 31)), "no group is not one group"


def steps() -> tuple[np.ndarray, np.ndarray]:
    film = np.cumsum(RNG.standard_normal((9, 6, 6)) * 0.1, axis=0)
    return film[:-1], film[1:]


def test_motion_is_1_for_the_film_above_for_flicker_and_below_for_a_still() -> None:
    before, after = steps()
    assert motion_ratio(before, after, before, after) == 1
    assert motion_ratio(before, before, before, after) < 0.05
    assert motion_ratio(before, before + 2 * (after - before), before, after) == pytest.approx(2, rel=0.05)
    still = np.zeros_like(before)
    assert motion_ratio(still, still, still, still) == 1
    assert motion_ratio(still, still + STILL, still, still) == pytest.approx(2)
    assert motion_ratio(before[:0], after[:0], before[:0], after[:0]) == 1


def test_motion_that_is_as_large_but_elsewhere_does_not_correlate() -> None:
    before, after = steps()
    assert motion_correlation(before, after, before, after) == pytest.approx(1)
    assert motion_correlation(before, before - (after - before), before, after) == pytest.approx(-1)
    assert abs(motion_correlation(before, before + np.roll(after - before, 3, axis=2), before, after)) < 0.3
    assert motion_correlation(before, before, before, after) == 0
    assert motion_correlation(before * 0.2 + 1, after * 0.2 + 1, before, after) == pytest.approx(1), "contrast is no motion"


def test_a_cut_is_sharp_where_all_of_it_happens_at_once() -> None:
    a, b = RNG.standard_normal((2, 5, 5))
    assert cut_sharpness(np.stack([a, a, b, b])) == pytest.approx(1)
    assert cut_sharpness(np.stack([a + (b - a) * t / 3 for t in range(4)])) == pytest.approx(1 / 3)
    assert cut_sharpness(np.stack([a, b, b, b])) == pytest.approx(0)
    assert cut_sharpness(np.stack([a, a, a, a])) == 0


def measure(shot: int, like: float, identified: bool = True, cut: float | None = 1.0) -> ShotMeasure:
    return ShotMeasure(shot, like, shot, identified, 1.0, 0.8, cut, 1.0, 0.01)


def test_the_worst_stands_first_and_what_is_not_itself_before_it() -> None:
    shots = [measure(1, 0.9), measure(2, 0.4), measure(3, 0.95, identified=False), measure(4, 0.6, cut=None)]
    assert [m.shot for m in worst_first(shots)] == [3, 2, 4, 1]
    found = summary_of(shots)
    assert found.shots == 4 and found.identified == 0.75 and found.cut == 1 and found.likeness == pytest.approx(0.7125)
    assert summary_of([measure(1, 0.5, cut=None)]).cut is None
    with pytest.raises(ValueError, match="no shot"):
        summary_of([])


def test_a_path_is_the_cheapest_of_all_paths() -> None:
    for seed in range(6):
        rng = np.random.default_rng(seed)
        unlike, step = rng.random((4, 3)), rng.random((3, 3)) * (1 - np.eye(3))
        every = [(a, b, c, d) for a in range(3) for b in range(3) for c in range(3) for d in range(3)]

        def cost(path: tuple[int, ...], unlike: np.ndarray = unlike, step: np.ndarray = step) -> float:
            own = sum(unlike[t, k] for t, k in enumerate(path))
            return float(own + sum(step[j, k] for j, k in zip(path, path[1:], strict=False)))

        found = tuple(cheapest_path(unlike, step).tolist())
        assert cost(found) == pytest.approx(min(cost(p) for p in every))


def test_dear_changes_hold_a_picture_and_free_ones_follow_every_frame() -> None:
    unlike = np.tile([[0.0, 0.1], [0.1, 0.0]], (5, 1))
    off = 1 - np.eye(2)
    assert len(set(cheapest_path(unlike, off).tolist())) == 1
    assert cheapest_path(unlike, 0 * off).tolist() == [0, 1] * 5
    unlike[3] = [NEVER, 0.0]
    assert cheapest_path(unlike, off)[3] == 1
    with pytest.raises(ValueError, match="do not fit"):
        cheapest_path(unlike, np.zeros((3, 3)))


def test_each_picture_is_used_once_at_most() -> None:
    unlike = np.array([[0.0, 1.0, 5.0], [0.1, 2.0, 5.0]])
    assert one_use_each(unlike).tolist() == [1, 0]
    with pytest.raises(ValueError, match="3 places, but 2 pictures"):
        one_use_each(np.zeros((3, 2)))
    assert runs(np.array([4, 4, 1, 1, 1, 4])) == [(0, 2, 4), (2, 5, 1), (5, 6, 4)]
