"""The measure that frames to paint are chosen by, each of its parts alone; and the best sets of keys by it."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("cv2")
from tests.test_keyframes_suggest import one_shot, picture, shot
from tools import keyframes_suggest_cost as cost
from tools import keyframes_suggest_order
from tools.keyframes_suggest_greedy import best_sets, chosen, error_of, left_with, planned
from tools.keyframes_suggest_order import ordered, shot_digest
from tools.keyframes_suggest_shots import Span, spans_of

WIDE, HIGH = cost.POINTS_PX, 36  # a point a pixel
SMALL = 6  # of 255: what the distance alone costs over some frames


def motion(frames: int, lab: np.ndarray | None = None, dx: float = 0.0) -> cost.Motion:
    """Everything moves by dx a frame, is trusted and matters; of one colour unless lab [T, HIGH, WIDE, 3] says so."""
    still = np.zeros((frames, HIGH, WIDE, 3), np.float16)
    back, ahead = still.copy(), still.copy()
    back[..., 0], ahead[..., 0], back[..., 2], ahead[..., 2] = -dx, dx, 1, 1
    return cost.Motion(0, still if lab is None else lab.astype(np.float16), back, ahead, still[..., 0] + np.float16(1))


def costs_between(made: cost.Motion) -> np.ndarray:
    """[K, T, HIGH, WIDE] of a shot whose frames all are candidates."""
    found = cost.costs_of(made, Span(1, 0, len(made), 0, len(made)))
    assert found.points == (HIGH, WIDE) and found.candidates == found.targets == tuple(range(len(made)))
    return found.costs.reshape(len(made), len(made), HIGH, WIDE)


def test_what_stands_still_costs_the_distance_alone_and_the_frame_itself_nothing() -> None:
    made = costs_between(motion(5))
    assert made.max() <= SMALL and not made[2, 2].any() and (made[0, 4] > made[0, 1]).all()


def test_what_flow_explains_costs_next_to_nothing() -> None:
    wide = np.random.default_rng(1).uniform(0, 100, (HIGH, WIDE + 40, 3))
    pan = np.stack([wide[:, 30 - 5 * n : 30 - 5 * n + WIDE] for n in range(5)])
    with_flow, without = costs_between(motion(5, pan, dx=5)), costs_between(motion(5, pan))
    inside = with_flow[4, 0][:, :25]  # the others have left the picture
    assert inside.max() <= SMALL + 2 and np.median(without[4, 0]) > 200
    assert with_flow[0, 4][:, -25:].max() <= SMALL + 2, "backwards too"


def test_what_is_covered_on_the_way_stays_lost() -> None:
    made = motion(5)
    made.ahead[2, 10:20, 10:20, 2] = 0  # from frame 2 to 3
    found = costs_between(made)
    for key, frame, is_lost in ((1, 0, 0), (2, 1, 0), (3, 2, 1), (3, 0, 1), (4, 0, 1), (4, 3, 0), (0, 4, 0)):
        block = found[key, frame, 11:19, 11:19]
        assert (block.min() == 255) if is_lost else (block.max() <= SMALL), (key, frame)
        assert found[key, frame, :, 30:].max() <= SMALL


def test_what_leaves_the_picture_is_lost() -> None:
    found = costs_between(motion(4, dx=8))  # one colour: nothing else tells
    assert found[3, 0][:, :20].max() <= SMALL and found[3, 0][:, -20:].min() == 255
    assert found[0, 3][:, -20:].max() <= SMALL and found[0, 3][:, :20].min() == 255


def test_a_colour_that_changes_costs_by_how_far() -> None:
    lab = np.zeros((2, HIGH, WIDE, 3))
    lab[1, :18, :, 0] = cost.CHANGE_LAB
    lab[1, 18:, :, 1] = 10 * cost.CHANGE_LAB
    found = costs_between(motion(2, lab))[1, 0]
    assert np.abs(found[:16].astype(int) - 128).max() <= 2 and found[20:].min() > 250


def test_a_farther_key_in_the_same_direction_never_costs_less() -> None:
    lab = np.random.default_rng(2).uniform(0, 20, (6, HIGH, WIDE, 3))
    lab[5] = lab[0]
    found = costs_between(motion(6, lab)).astype(int)
    assert all((found[k + 1, 0] >= found[k, 0]).all() for k in range(1, 5))


def test_a_wrong_guess_where_the_picture_is_flat_weighs_less() -> None:
    noise = np.random.default_rng(3).integers(0, 256, (96, 64, 1)).repeat(3, 2)
    frame = np.full((96, 128, 3), 120, np.uint8)
    frame[:, :64] = noise
    made = cost.motion_of(enumerate([frame, frame]), 2)
    assert np.abs(made.weight[:, :, 80:] - cost.FLAT_WEIGHT).max() < 0.01 and made.weight[:, :, :56].min() > 0.99
    weighed = motion(2)
    weighed.weight[:, :, :20] = cost.FLAT_WEIGHT
    weighed.ahead[..., 2] = 0
    found = costs_between(weighed)[1, 0]
    assert np.abs(found[:, :18].astype(int) - round(255 * cost.FLAT_WEIGHT)).max() <= 1 and found[:, 24:].min() == 255


def test_no_frame_that_is_mixed_with_another_shot_is_to_be_painted() -> None:
    lab = np.arange(20)[:, None, None, None] * np.full((1, HIGH, WIDE, 3), 9.0)  # every frame is another
    made = ordered(motion(20, lab), Span(1, 0, 20, 6, 15))
    assert len(made.frames) == 9 and min(made.frames) == 6 and max(made.frames) == 14
    assert made.seen == tuple(range(20)), "though it counts what they leave"
    again = ordered(motion(20, lab), Span(1, 0, 20, 6, 15), painted=[2, 8])
    assert {2, 8}.isdisjoint(again.frames) and again.by_frame[0][2] == 0 == again.by_frame[0][8]


def test_what_is_kept_is_of_this_film_this_part_and_these_keys() -> None:
    span = Span(1, 0, 20, 6, 15)
    digests = [shot_digest("a" * 64, span, ()), shot_digest("b" * 64, span, ()), shot_digest("a" * 64, span, (8,)),
               shot_digest("a" * 64, span, (9,)), shot_digest("a" * 64, replace(span, clear_end=16), ()),
               shot_digest("a" * 64, replace(span, end=21), ())]  # fmt: skip
    assert len(set(digests)) == len(digests) and shot_digest("a" * 64, span, ()) == digests[0]


def test_two_keys_are_not_the_middle_and_another() -> None:
    """A row of frames in which a key explains what is near: one key belongs in the middle, two at a quarter and three."""
    frames = np.arange(33)
    costs = np.minimum(255, 12 * np.abs(frames[:, None] - frames[None]))[..., None].astype(np.uint8)  # [K, T, 1]
    nothing = np.full((33, 1), 255, np.uint8)
    sets = best_sets(costs, nothing, range(33), lambda number: [], 4)
    lefts = [int(left_with(costs, nothing, s).sum()) for s in sets]
    pairs = itertools.combinations(range(33), 2)
    assert sets[0] == [16] and lefts[1] == min(int(left_with(costs, nothing, pair).sum()) for pair in pairs)
    assert lefts == sorted(lefts, reverse=True)
    greedy = [c.candidate for c, _ in zip(chosen(costs, nothing.copy(), range(33)), range(2), strict=False)]
    assert int(left_with(costs, nothing, greedy).sum()) > lefts[1], "what it is better than"


def test_never_worse_than_another_set_that_is_given_nor_than_one_key_less() -> None:
    for seed in range(6):
        costs = np.random.default_rng(seed).integers(0, 256, (12, 7, 5)).astype(np.uint8)
        nothing, open_to = np.full((7, 5), 255, np.uint8), [1, 2, 4, 5, 7, 8, 11]
        sets = best_sets(costs, nothing, open_to, lambda n: [2, 5, 8][:n] if n <= 3 else [], 5)
        lefts = [int(left_with(costs, nothing, s).sum()) for s in sets]
        assert lefts == sorted(lefts, reverse=True) and all(set(s) <= set(open_to) and len(set(s)) == len(s) for s in sets)
        assert all(lefts[n - 1] <= int(left_with(costs, nothing, [2, 5, 8][:n]).sum()) for n in (1, 2, 3))
        assert best_sets(costs, 0 * nothing, open_to, lambda n: []) == [], "nothing is left to take"


def test_a_plan_has_the_best_set_of_as_many_keys_as_a_shot_gets() -> None:
    one, two = shot(1, 100, (50,), [1, 0.5]), shot(1, 100, (25, 75), [1, 0.6, 0.2])
    many = replace(shot(1, 100, (25, 75, 90), [1, 0.6, 0.2, 0.1]), sets=(one, two))
    still = shot(2, 10, (101,), [1, 0.0])
    for number, frames in ((2, [50, 101]), (3, [25, 75, 101]), (4, [25, 75, 90, 101])):
        steps, shots = planned([many, still], number)
        assert sorted(s.frame for s in steps) == frames
        errors = [1.0, *(s.error for s in steps)]
        assert errors == sorted(errors, reverse=True)
        assert steps[-1].error == pytest.approx(error_of(shots, [number - 1, 1]))


def test_what_is_kept_is_what_was_found(tmp_path: Path) -> None:
    keyframes = [picture(n) for n in range(24)]
    motion = cost.motion_of(enumerate(keyframes), 24)
    made = keyframes_suggest_order.ordered(motion, spans_of(one_shot(24), 0, 24)[0], most=10)
    keyframes_suggest_order.keep(tmp_path / "a.npz", "digest", 10, made)
    again = keyframes_suggest_order.kept(tmp_path / "a.npz", "digest", 10)
    assert again is not None and again.frames == made.frames and np.array_equal(again.by_frame, made.by_frame)
    assert [s.frames for s in again.sets] == [s.frames for s in made.sets] and again.even == made.even
    assert keyframes_suggest_order.kept(tmp_path / "a.npz", "another", 10) is None


def test_a_long_shot_is_one_shot_whatever_it_takes() -> None:
    assert len(spans_of(one_shot(19_000), 0, 19_000)) == 1
    assert cost.grid_px(24) == cost.grid_px(1200) == cost.GRID_PX and cost.grid_px(4800) == cost.GRID_PX // 2
    assert all(20 * n * cost.grid_px(n) ** 2 < 1e9 for n in (1200, 5000, 20_000)), "bytes"
    assert cost.grid_px(10**9) >= cost.POINTS_PX
