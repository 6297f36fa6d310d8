"""From a rough idea of the foreground to a mask: colours decide what is in doubt, specks go, the edge follows the picture.

GrabCut is Rother, Kolmogorov, Blake 2004, as OpenCV has it; the guided filter is He, Sun, Tang 2010.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tools.keyframes_flow import grain, luma

Pixels = NDArray[np.uint8]  # [h, w, 3]
Map = NDArray[np.float32]  # [h, w], 0..1
Labels = NDArray[np.uint8]  # [h, w]: cv2.GC_BGD 0, GC_FGD 1, GC_PR_BGD 2, GC_PR_FGD 3

ROUNDS = 2  # of GrabCut: later ones change next to nothing
LEAST_SEEDS = 12  # pixels of each side, for colours to be learnt from
MARGIN_SHARE = 0.15  # of the picture, around what is in doubt: whose colours count as the background's
SPECK_SHARE, SPECK_OF_LARGEST = 0.0004, 0.01  # of the picture; of the largest piece: what is smaller is a speck
HOLE_SHARE = 0.001
GUIDE_RADIUS_PX, GUIDE_LEVELS = 4, 4.0  # in pixels of 640; edges below these levels, or the noise, guide nothing


def cut_out(frame: Pixels, labels: Labels, rounds: int = ROUNDS) -> NDArray[np.bool_]:
    """Which pixels are foreground, by their colours, those of sure ones and the edges between, bool [h, w]. labels: sure and
    probable, as GrabCut has them. Where one side has nothing to learn from, the labels as they are."""
    probable = (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)
    doubt = labels >= cv2.GC_PR_BGD
    if not doubt.any() or probable.sum() < LEAST_SEEDS or (~probable).sum() < LEAST_SEEDS:
        return probable
    x, y, w, h = cv2.boundingRect((doubt | probable).astype(np.uint8))
    margin = round(MARGIN_SHARE * max(labels.shape))
    left, top = max(0, x - margin), max(0, y - margin)
    part = np.s_[top : y + h + margin, left : x + w + margin]
    inside = np.ascontiguousarray(labels[part])
    ours = (inside == cv2.GC_FGD) | (inside == cv2.GC_PR_FGD)
    if ours.sum() < LEAST_SEEDS or (~ours).sum() < LEAST_SEEDS:
        return probable
    soft = cv2.GaussianBlur(np.ascontiguousarray(frame[part]), (0, 0), 0.8)
    models: list[Any] = [np.zeros((1, 65), np.float64) for _ in range(2)]
    cv2.setRNGSeed(0)  # its first guess of the colours is drawn at random
    cv2.grabCut(soft, inside, (0, 0, 1, 1), *models, rounds, cv2.GC_INIT_WITH_MASK)
    out = probable.copy()
    out[part] = (inside == cv2.GC_FGD) | (inside == cv2.GC_PR_FGD)
    return out


def banded(mask: NDArray[np.bool_], inner_px: float, outer_px: float, trust: Map | None = None) -> Labels:
    """Labels from a mask that is right but for its edge: in doubt from `inner_px` inside to `outer_px` outside of it, and where
    trust [h, w] is below a half, near the edge."""
    within = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 3)
    without = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 3)
    if trust is None:
        sure_in, sure_out = within > inner_px, without > outer_px
    else:
        wider = 1 + 2 * (trust < 0.5)
        sure_in, sure_out = within > inner_px * wider, without > outer_px * wider
    labels = np.where(mask, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    labels[sure_in & mask] = cv2.GC_FGD
    labels[sure_out & ~mask] = cv2.GC_BGD
    return labels


def cleaned(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Without specks, and without holes that are as small."""
    area = mask.size
    out = mask.astype(np.uint8)
    count, pieces, stats, _ = cv2.connectedComponentsWithStats(out, connectivity=8)
    if count > 1:
        sizes = stats[:, cv2.CC_STAT_AREA].copy()
        sizes[0] = 0
        least = max(SPECK_SHARE * area, SPECK_OF_LARGEST * sizes.max())
        out = (sizes >= least)[pieces].astype(np.uint8)
    count, pieces, stats, _ = cv2.connectedComponentsWithStats(1 - out, connectivity=4)
    if count > 1:
        sizes = stats[:, cv2.CC_STAT_AREA].copy()
        small = sizes < HOLE_SHARE * area
        small[0] = False
        out[small[pieces]] = 1
    return out > 0


def guided(guide: Map, rough: Map, radius: int, eps: float) -> Map:
    """The guided filter (He et al. 2010, equations 5 to 8): `rough` with the edges of `guide`. eps: variance below which the
    guide is taken for flat."""
    def mean(a: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(cv2.boxFilter(a, cv2.CV_32F, (2 * radius + 1, 2 * radius + 1)), np.float32)

    guide_mean, rough_mean = mean(guide), mean(rough)
    slope = (mean(guide * rough) - guide_mean * rough_mean) / (mean(guide * guide) - guide_mean**2 + eps)
    return mean(slope) * guide + mean(rough_mean - slope * guide_mean)


def inwards(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """How many pixels inside the mask's edge each pixel lies, below 0 outside: float32 [h, w]."""
    inside, outside = (cv2.distanceTransform(m.astype(np.uint8), cv2.DIST_L2, 5) for m in (mask, ~mask))
    return np.asarray(inside - outside, np.float32)


def fitted(rough: Map, frame: Pixels, grow_px: float = 0.0, soft_px: float = 1.0) -> Pixels:
    """The mask of a frame in its own size, uint8 [H, W], 255 = foreground. rough: [h, w] 0..1, of any size of that shape.

    In a band along the edge it follows the picture; elsewhere it is 0 or 255. grow_px: to the outside. soft_px: of the edge.
    """
    height, width = frame.shape[:2]
    large = rough if rough.shape == (height, width) else cv2.resize(rough, (width, height), interpolation=cv2.INTER_LINEAR)
    mask = large >= 0.5
    if not mask.any() or mask.all():
        return np.where(mask, 255, 0).astype(np.uint8)
    scale = max(1.0, max(height, width) / 640)
    radius = round(GUIDE_RADIUS_PX * scale)
    grey = luma(frame)
    level = max(GUIDE_LEVELS, 1.5 * grain(grey)) / 255
    answer = guided(grey.astype(np.float32) * np.float32(1 / 255), mask.astype(np.float32), radius, level**2)
    far = inwards(mask)
    edge = np.where(far > radius, 1.0, np.where(far < -radius, 0.0, answer)) >= 0.5
    signed = cv2.GaussianBlur(inwards(edge), (0, 0), 0.7) + np.float32(grow_px)  # not in steps of the guide's noise
    if soft_px <= 0:
        return np.where(signed > 0, 255, 0).astype(np.uint8)
    return np.rint(255 * np.clip(0.5 + signed / (2 * soft_px), 0, 1)).astype(np.uint8)
