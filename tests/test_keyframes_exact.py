"""Exactly where a pixel was in its key: without drift, apart at edges, and the key's own paint where that is sure."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("scipy")
cv2 = pytest.importorskip("cv2")

from tools.bench_keyframes_clip import Clip, drawn  # noqa: E402
from tools.keyframes_exact import alike, anchored, certainty, settled, stretch, within  # noqa: E402
from tools.keyframes_flow import flow, reliability, warp  # noqa: E402
from tools.keyframes_guides import Travelled  # noqa: E402
from tools.keyframes_layers import continued, kept_apart, near_other  # noqa: E402
from tools.keyframes_measure import seen_in_both, sharpness  # noqa: E402

H, W = 96, 128
Y, X = np.mgrid[:H, :W].astype(np.float32)


@pytest.fixture(scope="module")
def clip() -> Clip:
    """Ten frames of a wheel that turns before a ground that slides."""
    return drawn(220, (W, H), seed=3)


def turned(degrees: float) -> np.ndarray:
    """Displacements of a turn about the middle, [H, W, 2]."""
    a = np.deg2rad(degrees)
    x, y = X - W / 2, Y - H / 2
    return np.stack([np.cos(a) * x - np.sin(a) * y - x, np.sin(a) * x + np.cos(a) * y - y], axis=2).astype(np.float32)


def test_a_turn_stretches_nothing_and_a_zoom_does() -> None:
    assert stretch(turned(50))[5:-5, 5:-5].max() < 1e-3
    zoom = np.stack([0.3 * X, 0.3 * Y], axis=2)
    assert stretch(zoom)[5:-5, 5:-5].min() > 0.3


def test_a_motion_is_continued_to_where_it_is_not_known_with_its_turn() -> None:
    motion = turned(12)
    spoilt, weight = motion.copy(), np.ones((H, W), np.float32)
    hole = np.hypot(X - 40, Y - 50) < 9
    spoilt[hole], weight[hole] = 30, 0
    found, known = continued(spoilt, weight, hole)
    assert known[hole].all() and not known[~hole].any()
    assert np.abs(found - motion)[hole].max() < 0.1 and (found[~hole] == motion[~hole]).all()


def test_what_lies_too_far_from_anything_known_is_left() -> None:
    weight = np.zeros((H, W), np.float32)
    found, known = continued(turned(5), weight, np.ones((H, W), bool))
    assert not known.any() and (found == turned(5)).all()


def test_at_the_edge_of_a_mask_each_side_moves_as_its_own_inside() -> None:
    disc = np.hypot(X - 64, Y - 48) < 28
    exact = np.where(disc[..., None], turned(15), np.float32([4, -2]))
    mixed = cv2.GaussianBlur(exact.astype(np.float32), (0, 0), 3)  # as a flow that is found in patches
    labels = np.where(disc, 255, 0).astype(np.uint8)
    edge = near_other(labels, 4)
    apart = kept_apart(mixed, labels)
    before, after = (np.linalg.norm(m - exact, axis=2)[edge].mean() for m in (mixed, apart))
    assert before > 1 and after < 0.25 * before
    assert (kept_apart(mixed, np.zeros((H, W), np.uint8)) == mixed).all(), "no edge, no change"


def test_the_drift_of_joined_flows_is_taken_out(clip: Clip) -> None:
    key, last = 70, 84  # in the pan
    joined = anchored_way = Travelled.none(H, W)
    for t in range(key + 1, last + 1):
        back, ahead = flow(clip.frames[t], clip.frames[t - 1]), flow(clip.frames[t - 1], clip.frames[t])
        sure = reliability(back, ahead)
        joined, anchored_way = joined.on(back, sure), anchored_way.on(back, sure)
        anchored_way = anchored(anchored_way, clip.frames[key], clip.frames[t], clip.masks[key], clip.masks[t])
    exact = clip.motion.flow(last, key)
    seen = seen_in_both(exact, clip.motion.flow(key, last))

    def error(way: Travelled, where: np.ndarray) -> float:
        return float(np.minimum(np.linalg.norm(way.moved - exact, axis=2), 10)[where].mean())

    assert error(anchored_way, seen) < 0.8 * error(joined, seen)
    edge = near_other(clip.masks[last], 4) & seen
    assert error(anchored_way, edge) < 0.6 * error(joined, edge)


def test_trust_at_an_edge_is_whether_the_key_shows_the_same_side(clip: Clip) -> None:
    labels, behind = clip.masks[0], np.roll(clip.masks[0], 6, axis=1)
    still = np.zeros((H, W, 2), np.float32)
    assert (alike(behind, labels, still) == (behind == labels)).all()
    way = anchored(Travelled.none(H, W), clip.frames[0], clip.frames[0], labels, labels)
    assert way.trust.min() == 1 and np.abs(way.moved).max() < 0.3
    assert not within(np.full((H, W, 2), 500, np.float32)).any()


def test_paint_moves_by_parts_of_a_pixel_where_the_place_is_sure(clip: Clip) -> None:
    key, t = 70, 76
    exact = clip.motion.flow(t, key)
    seen = seen_in_both(exact, clip.motion.flow(key, t))
    field = np.rint(np.stack([X, Y], axis=2) + exact).astype(np.int32)
    whole = clip.truths[key][np.clip(field[..., 1], 0, H - 1), np.clip(field[..., 0], 0, W - 1)]  # copied on whole pixels
    way = Travelled(exact, np.ones((H, W), np.float32))
    out = settled(whole, clip.truths[key], field, way, clip.frames[key], clip.frames[t], clip.masks[key], clip.masks[t])

    def error(p: np.ndarray) -> float:
        return float(((p.astype(float) - clip.truths[t]) ** 2)[seen].mean())

    assert error(out) < 0.6 * error(whole)
    assert sharpness(out) == pytest.approx(sharpness(clip.truths[t]), rel=0.1)


def test_what_the_synthesis_found_elsewhere_stays_as_it_painted_it(clip: Clip) -> None:
    frame, painted = clip.frames[70], clip.truths[10]
    still = Travelled.none(H, W)
    elsewhere = np.stack([X + 30, Y], axis=2).astype(np.int32)
    assert (settled(painted, clip.truths[70], elsewhere, still, frame, frame) == painted).all()
    here = np.stack([X, Y], axis=2).astype(np.int32)
    assert certainty(here, still, frame, frame, None, None).min() == 1
    assert certainty(here, still, frame, np.full_like(frame, 255), None, None).max() < 0.1, "another picture there"
    zoomed = Travelled(np.stack([0.8 * X, 0.8 * Y], axis=2), np.ones((H, W), np.float32))
    assert certainty((1.8 * np.stack([X, Y], axis=2)).astype(np.int32), zoomed, frame, warp(frame, zoomed.moved), None,
                     None)[8:40, 8:60].max() == 0, "drawn-out strokes"  # fmt: skip
