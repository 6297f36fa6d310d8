"""What is behind the foreground: a picture of it as given, or as the frames of a shot agree on; and what differs from it.

A camera that moves is undone first: the similarity between two frames that most of the picture's border follows. At each
place the background is then what most of the frames show there in which nothing moves there (the densest cluster of their
colours, not the median: something large hides the ground in more than half of the frames).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tools.keyframes_flow import grain, luma, structure

Pixels = NDArray[np.uint8]  # [h, w, 3]
Map = NDArray[np.float32]  # [h, w]
Affine = NDArray[np.float64]  # [2, 3]

MOST_SAMPLES = 25  # frames of which a background is made
LEAST_SAMPLES = 3
BORDER_SHARE = 0.2  # of the picture at each side: where the camera's motion is looked for
LEAST_POINTS = 24
ECC_ROUNDS, ECC_NEAR_PX, ECC_NEAR_SHARE = 15, 0.3, 0.12
LEAST_TURN_PX = 0.6  # of zoom or roll, at the picture's side
SPARE_PX = 5  # of the canvas, at each side
MOST_CANVAS = 4.0  # times the picture: what a pan may uncover
ALIKE_SIGMA, ALIKE_LEVELS = 4.0, 8.0  # noise in levels, and what coding adds: colours that count as the same
LEAST_AGREE = 0.34  # of the samples that show a place at rest must agree about it
LOW_SIGMA, HIGH_SIGMA = 2.6, 6.0  # of the difference, smoothed: surely none, surely some, at sensitivity 0.5
LEAST_LEVELS = 1.5  # of that noise: coding changes colours where there is none at all
SMOOTH_PX = 1.0
AFTER_BLUR = 0.282  # white noise of sigma 1 after it: 1 / (2 sqrt(pi) SMOOTH_PX)
GAIN = (0.05, 4.0)


@dataclass(frozen=True)
class Ground:
    """The background of one frame. picture: [h, w, 3]. known: [h, w], whether it is known there. proven: [h, w], whether
    something else was ever seen in front of it: only then it surely is behind."""

    picture: Pixels
    known: NDArray[np.bool_]
    proven: NDArray[np.bool_]


@dataclass(frozen=True)
class Panorama:
    """The background of a shot on one canvas. place: [T, 2, 3], from a frame's pixels to the canvas's."""

    picture: Pixels
    known: NDArray[np.bool_]
    proven: NDArray[np.bool_]
    place: NDArray[np.float64]

    def at(self, frame: int, size: tuple[int, int]) -> Ground:
        """In the pixels of a frame. size: (w, h)."""
        by = self.place[frame]
        how = cv2.WARP_INVERSE_MAP
        picture = cv2.warpAffine(self.picture, by, size, flags=cv2.INTER_LINEAR | how, borderMode=cv2.BORDER_REPLICATE)
        known, proven = (cv2.warpAffine(m.astype(np.uint8), by, size, flags=cv2.INTER_NEAREST | how) > 0
                         for m in (self.known, self.proven))  # fmt: skip
        return Ground(np.asarray(picture, np.uint8), known, proven)


def camera_step(flow: NDArray[np.float32], seen: Map) -> Affine:
    """The similarity [2, 3] that takes a frame's pixels to those of the next as the picture's border moves; none where the
    border shows too little. flow: [h, w, 2] to the next frame; seen: its structure, [h, w] 0..1."""
    h, w = seen.shape
    y, x = np.mgrid[2:h - 2:6, 2:w - 2:6]
    edge = (np.minimum(x, w - 1 - x) < BORDER_SHARE * w) | (np.minimum(y, h - 1 - y) < BORDER_SHARE * h)
    chosen = edge & (seen[y, x] > 0.95)  # where less is seen, flow is drawn to none
    still = np.array([[1, 0, 0], [0, 1, 0]], np.float64)
    if chosen.sum() < LEAST_POINTS:
        return still
    at = np.stack([x[chosen], y[chosen]], axis=1).astype(np.float32)
    found, inliers = cv2.estimateAffinePartial2D(at, at + flow[y[chosen], x[chosen]], method=cv2.RANSAC,
                                                 ransacReprojThreshold=0.7, maxIters=500, confidence=0.995)  # fmt: skip
    if found is None or inliers is None or inliers.sum() < max(LEAST_POINTS // 2, 0.3 * len(at)):
        return still
    turn = max(abs(found[0, 0] - 1), abs(found[1, 0]))
    if turn * max(h, w) / 2 < LEAST_TURN_PX:  # neither zoom nor roll: flow falls short towards the border and feigns one
        centre = np.array([w / 2, h / 2, 1])
        found = np.column_stack([np.eye(2), found @ centre - centre[:2]])
    return np.asarray(found, np.float64)


def camera_sharpened(frame: Pixels, following: Pixels, step: Affine) -> Affine:
    """The step between two frames, shifted to where the pictures themselves agree best along their borders: flow falls short by
    some per cent, which adds up over a pan. As it was where that leads elsewhere."""
    h, w = frame.shape[:2]
    if np.array_equal(step, np.eye(2, 3)):
        return step
    edge = np.full((h, w), 255, np.uint8)
    edge[round(BORDER_SHARE * h) : h - round(BORDER_SHARE * h), round(BORDER_SHARE * w) : w - round(BORDER_SHARE * w)] = 0
    found = shifted(frame, following, step, edge)
    near_px = ECC_NEAR_PX + ECC_NEAR_SHARE * float(np.abs(step[:, 2]).max())
    return found if found is not None and float(np.abs(found - step).max()) < near_px else step


def chained(steps: Sequence[Affine]) -> NDArray[np.float64]:
    """[T, 3, 3]: from each frame's pixels to those of the middle frame. steps: from each frame to the next, T - 1 of them."""
    count = len(steps) + 1
    middle = count // 2
    out = np.tile(np.eye(3), (count, 1, 1))
    whole = [np.vstack([s, [0, 0, 1]]) for s in steps]
    for t in range(middle - 1, -1, -1):
        out[t] = out[t + 1] @ whole[t]
    for t in range(middle + 1, count):
        out[t] = out[t - 1] @ np.linalg.inv(whole[t - 1])
    return out


def panorama(frames: Sequence[Pixels], steps: Sequence[Affine], moving: Sequence[NDArray[np.bool_]]) -> Panorama | None:
    """The background of a shot; None where it is too short, or the camera goes too far, to tell. steps: see `chained`. moving:
    [h, w] of each frame, where something moves against the camera."""
    if len(frames) < LEAST_SAMPLES:
        return None
    h, w = frames[0].shape[:2]
    to_middle = chained(steps)
    corners = np.array([[0, 0, 1], [w, 0, 1], [0, h, 1], [w, h, 1]], np.float64).T
    reached = (to_middle @ corners)[:, :2]  # [T, 2, 4]
    if not np.isfinite(reached).all():
        return None
    travels = not np.allclose(to_middle, np.eye(3))
    spare = SPARE_PX if travels else 0  # for what the sharpening moves
    low = np.floor(reached.min(axis=(0, 2))) - spare
    size = np.ceil(reached.max(axis=(0, 2)) - low).astype(int) + spare
    if size[0] * size[1] > MOST_CANVAS * w * h:
        return None
    shift = np.array([[1, 0, -low[0]], [0, 1, -low[1]], [0, 0, 1]])
    place = (shift @ to_middle)[:, :2]  # [T, 2, 3]
    made = pasted(frames, place, (int(size[0]), int(size[1])), moving)
    if travels:
        place = np.stack([on_panorama(f, made, i, moving[i]) for i, f in enumerate(frames)])
        made = pasted(frames, place, (int(size[0]), int(size[1])), moving)
    return made


def pasted(frames: Sequence[Pixels], place: NDArray[np.float64], shape: tuple[int, int],
           moving: Sequence[NDArray[np.bool_]]) -> Panorama:  # fmt: skip
    """What the frames agree on where nothing moves. place: see Panorama; shape: of the canvas, (w, h)."""
    h, w = frames[0].shape[:2]
    at = np.unique(np.linspace(0, len(frames) - 1, MOST_SAMPLES).round().astype(int))
    noise = float(np.median([grain(luma(frames[i])) for i in at]))
    seen, shown, resting = [], [], []
    full = np.full((h, w), 255, np.uint8)
    for i in at:
        soft = cv2.GaussianBlur(frames[i], (0, 0), SMOOTH_PX)
        seen.append(cv2.warpAffine(soft, place[i], shape, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))
        shown.append(cv2.warpAffine(full, place[i], shape, flags=cv2.INTER_NEAREST) > 0)
        still = np.where(moving[i], 0, 255).astype(np.uint8)
        resting.append(cv2.warpAffine(still, place[i], shape, flags=cv2.INTER_NEAREST) > 0)
    rest = np.stack(resting)
    picture, agree = densest(np.stack(seen), rest, ALIKE_LEVELS + ALIKE_SIGMA * 0.4 * noise)
    count, at_rest = np.stack(shown).sum(axis=0), rest.sum(axis=0)
    known = (agree >= 1) & (agree >= np.maximum(np.minimum(2, at_rest), np.ceil(LEAST_AGREE * at_rest)))
    # Beside what is not known colours mix with nothing when they are warped.
    known &= cv2.erode(known.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=1) > 0
    return Panorama(picture, known, known & (agree <= count - 2), place)


def on_panorama(frame: Pixels, panorama: Panorama, i: int, moving: NDArray[np.bool_]) -> Affine:
    """Where a frame lies on the panorama, [2, 3], shifted to where it agrees best with it: errors of the steps add up."""
    h, w = frame.shape[:2]
    here = panorama.at(i, (w, h))
    usable = np.asarray(cv2.erode(np.where(here.known & ~moving, 255, 0).astype(np.uint8), np.ones((5, 5), np.uint8)), np.uint8)
    place = np.asarray(panorama.place[i], np.float64)
    if usable.mean() < 255 * BORDER_SHARE:
        return place
    shift = shifted(frame, here.picture, np.eye(2, 3), usable)
    if shift is None or np.abs(shift[:, 2]).max() > SPARE_PX - 1:
        return place
    return np.column_stack([place[:, :2], place[:, :2] @ shift[:, 2] + place[:, 2]])


def shifted(frame: Pixels, other: Pixels, step: Affine, where: NDArray[np.uint8]) -> Affine | None:
    """The step from a frame to another picture with the shift at which they agree best in the places `where` is not 0 (ECC,
    Evangelidis and Psarakis 2008); None where none is found."""
    until = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, ECC_ROUNDS, 1e-4)
    try:
        _, found = cv2.findTransformECC(luma(frame), luma(other), step.astype(np.float32), cv2.MOTION_TRANSLATION, until,
                                        where, 5)  # fmt: skip
    except cv2.error:
        return None
    return np.asarray(found, np.float64) if np.isfinite(found).all() else None


def densest(samples: Pixels, shown: NDArray[np.bool_], alike: float) -> tuple[Pixels, NDArray[np.int32]]:
    """(picture [h, w, 3], agree [h, w]): at each place the mean of the sample that most others are like, and of those; and how
    many they are. samples: [N, h, w, 3]; shown: [N, h, w], whether a sample shows the place; alike: levels of 255."""
    count, h, w = shown.shape
    support = shown.astype(np.int32)
    near = int(round(alike))
    for i in range(count):
        for j in range(i + 1, count):
            same = (largest(cv2.absdiff(samples[i], samples[j])) <= near) & shown[i] & shown[j]
            support[i] += same
            support[j] += same
    best = support.argmax(axis=0)  # [h, w]
    centre = np.take_along_axis(samples, best[None, ..., None], axis=0)[0]
    total, members = np.zeros((h, w, 3), np.float32), np.zeros((h, w), np.float32)
    for i in range(count):
        same = ((largest(cv2.absdiff(samples[i], centre)) <= near) & shown[i]).astype(np.float32)
        total += samples[i] * same[..., None]
        members += same
    picture = total / np.maximum(members, 1)[..., None]
    return np.rint(picture).astype(np.uint8), support.max(axis=0)


def largest(apart: Any) -> Any:
    """Of the three channels of [h, w, 3] the largest, [h, w]."""
    first, second, third = cv2.split(apart)
    return cv2.max(cv2.max(first, second), third)


def aligned(plate: Pixels, frame: Pixels) -> Pixels:
    """The plate as the frame shows it, where a gate's weave or a tripod's nudge has shifted it; as it is where it shows too
    little to tell, or has gone far. Both [h, w, 3] of one size."""
    from tools.keyframes_flow import flow

    by = camera_step(flow(frame, plate, "fast"), structure(frame))
    h, w = frame.shape[:2]
    turn = abs(by[0, 0] - 1) + abs(by[1, 0])
    if turn > 0.02 or np.abs(by[:, 2]).max() > 0.05 * max(h, w) or np.array_equal(by, np.eye(2, 3)):
        return plate
    return np.asarray(cv2.warpAffine(plate, by, (w, h), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                                     borderMode=cv2.BORDER_REPLICATE), np.uint8)  # fmt: skip


def lit(ground: NDArray[np.float32], frame: NDArray[np.float32], known: NDArray[np.bool_]) -> float:
    """How much brighter the frame is than its background (flicker, a fade), as a factor: where most of the picture agrees."""
    usable = known & (ground.mean(axis=2) > 12)
    if usable.sum() < 100:
        return 1.0
    ratio = (frame.mean(axis=2) + 0.5)[usable] / (ground.mean(axis=2) + 0.5)[usable]
    counts, edges = np.histogram(np.log(np.clip(ratio, *GAIN)), bins=120, range=(np.log(GAIN[0]), np.log(GAIN[1])))
    smooth = np.convolve(counts, [1, 2, 1], "same")
    top = int(smooth.argmax())
    near = (np.log(ratio) > edges[max(0, top - 2)]) & (np.log(ratio) < edges[min(120, top + 3)])
    return float(np.median(ratio[near])) if near.any() else 1.0


def differs(frame: Pixels, ground: Ground, sensitivity: float) -> Map:
    """How surely a frame's pixels are not its background, float32 [h, w] 0..1; 0.5 where the background is not known.

    The background may be off by a pixel anywhere (weave, a camera's motion not quite undone): a colour between the darkest and
    the brightest of its neighbours is no difference. Thresholds are in units of the frame's own noise.
    """
    soft = np.asarray(cv2.GaussianBlur(frame.astype(np.float32), (0, 0), SMOOTH_PX), np.float32)
    behind: NDArray[Any] = ground.picture.astype(np.float32)
    behind = behind * lit(behind, soft, ground.known)
    behind = cv2.GaussianBlur(behind, (0, 0), SMOOTH_PX)
    kernel = np.ones((3, 3), np.uint8)
    above, below = soft - cv2.dilate(behind, kernel), cv2.erode(behind, kernel) - soft
    apart: Any = np.maximum(0, np.maximum(above, below))
    distance = np.sqrt((apart**2).mean(axis=2))
    sigma = max(LEAST_LEVELS, grain(luma(frame)) * AFTER_BLUR)
    strict = 8.0 ** (0.5 - sensitivity)
    low, high = LOW_SIGMA * sigma * strict, HIGH_SIGMA * sigma * strict
    t = np.clip((distance - low) / (high - low), 0, 1)
    return np.where(ground.known, t * t * (3 - 2 * t), 0.5).astype(np.float32)
