"""What the keyframes bench measures with: the drawn clip, its exact motion, its baseline, and rows that say yes and no."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("scipy")
pytest.importorskip("cv2")

from player.show.problem import ShowError
from tools import bench_keyframes
from tools.bench_keyframes_clip import Clip, Motion, drawn
from tools.bench_keyframes_counts import every, spread
from tools.bench_keyframes_painted import key_to_key
from tools.bench_keyframes_quality import (
    Measured,
    cross_faded,
    disc_pan,
    measured,
    occlusion_border,
    quality_rows,
    rows,
)
from tools.keyframes_measure import e_warp, fetched, mean_psnr, seen_in_both


def part() -> Clip:
    """24 frames of the bench's clip, small: its pan, past which the wheel stays in the picture."""
    whole, at = drawn(160, (96, 72), seed=1), slice(40, 64)
    motion = Motion(whole.motion.labels[at], whole.motion.affines[:, at])
    return Clip(whole.frames[at], whole.truths[at], whole.masks[at], motion)


@pytest.fixture(scope="module")
def clip() -> Clip:
    return part()


def test_the_drawn_clip_is_the_same_each_time_and_its_motion_exact(clip: Clip) -> None:
    again = part()
    assert all((a == b).all() for a, b in zip(clip.truths + clip.frames, again.truths + again.frames, strict=True))
    there, back = clip.motion.flow(8, 9), clip.motion.flow(9, 8)
    seen = seen_in_both(there, back)
    assert seen.mean() > 0.6
    moved = fetched(clip.truths[9].astype(np.float32), there)
    still = np.abs(clip.truths[8].astype(np.float32) - clip.truths[9])[seen].mean()
    assert np.abs(clip.truths[8] - moved)[seen].mean() < 0.6 * still
    assert np.allclose(clip.motion.flow(5, 5), 0, atol=1e-4)


def test_the_baseline_gives_the_keys_back_and_is_right_where_the_motion_is(clip: Clip) -> None:
    keys = {4: clip.truths[4], 8: clip.truths[8]}
    faded = cross_faded(keys, 24, clip.motion.flow)
    assert all((faded[k] == keys[k]).all() for k in keys) and len(faded) == 24
    held = [clip.truths[4]] * 3
    assert mean_psnr(faded[5:8], clip.truths[5:8]) > mean_psnr(held, clip.truths[5:8]) + 3


def test_occlusion_borders_lie_at_the_edges_of_what_moves(clip: Clip) -> None:
    border = occlusion_border(clip.motion, 9)
    assert 0.005 < border.mean() < 0.5
    inner = clip.masks[9] > 0
    assert border[inner].any() and border[~inner].any() and not border[-6:, -6:].any()


def test_keys_that_follow_the_motion_agree_and_others_do_not(clip: Clip) -> None:
    truths = {k: clip.truths[k] for k in (2, 8, 14)}
    others = {k: np.roll(p, 5, axis=1) if k == 8 else p for k, p in truths.items()}
    assert key_to_key(truths, clip) < 0.5 * key_to_key(others, clip)


def test_the_truth_measures_as_the_truth(clip: Clip) -> None:
    found = measured(clip.truths, clip, {0: clip.truths[0]}, clip.motion.flow)
    assert found.psnr == np.inf and found.e_warp == e_warp(clip.truths, clip.motion.flow)


def test_rows_say_yes_and_no() -> None:
    def numbers(psnr: float = 30, border: float = 24, sharp: float = 5, warp: float = 2e-4) -> Measured:
        return Measured(psnr, border, sharp, sharp, warp, warp, warp, 10)

    def verdicts(ours: Measured) -> list[bool]:
        found = {"ours": ours, "unmasked": ours, "faded": numbers(28, 22), "truth": numbers()}
        return [r.ok for r in quality_rows("clip", found) if r.ok is not None]

    assert verdicts(numbers()) == [True] * 4
    assert verdicts(numbers(psnr=28.4)) == [False, True, True, True]
    assert verdicts(numbers(border=23.4)) == [True, False, True, True]
    assert verdicts(numbers(sharp=5.3)) == verdicts(numbers(sharp=4.7)) == [True, True, False, True]
    assert verdicts(numbers(warp=2.5e-4)) == [True, True, True, False]


def test_keys_are_spread_over_all_frames() -> None:
    assert spread(2, 266) == (66, 199) and spread(3, 266) == (44, 133, 221)
    assert len(every(20, 266)) == 13 and every(20, 266)[:2] == (10, 30)


def test_an_unknown_part_and_a_clip_that_is_not_there_are_said(tmp_path: Path) -> None:
    with pytest.raises(ShowError, match="engine, quality, counts, painted"):
        bench_keyframes.measure(["qualty"])
    (row,) = rows(tmp_path)
    assert "not here" in row.value and row.ok is None


def test_the_shared_clip_is_read_with_its_exact_motion(shared: Path) -> None:
    folder = shared / "pictures" / "dev" / "disc_pan"
    if not folder.is_dir():
        pytest.skip("needs ../shared/pictures")
    clip = disc_pan(folder)
    assert len(clip.frames) == 12 and clip.frames[0].shape == (240, 320, 3)
    there, back = clip.motion.flow(3, 4), clip.motion.flow(4, 3)
    seen = seen_in_both(there, back)
    apart = np.abs(clip.truths[3] - fetched(clip.truths[4].astype(np.float32), there)).mean(axis=2)
    assert seen.mean() > 0.8 and apart[seen].mean() < 3
