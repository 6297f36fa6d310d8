"""Motion kept apart where one thing passes before another.

Flow is found in patches, so that within a patch of an edge it mixes the motions of both sides, and a figure's rim is taken
for the wall behind it. With a mask the two sides are known: next to its edge each side's motion is continued from its own
inside, as the affine motion that fits it best there (moving least squares, Levin 1998), which follows a turn and a zoom too.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Flow = NDArray[np.float32]  # [H, W, 2]
Map = NDArray[np.float32]  # [H, W]
EDGE_PX = 9  # how far from an edge a flow is mixed: a DIS patch of 8 and what the smoothing over it adds
REACH_PX = 6.0  # sigma around a pixel of what is fitted; doubled where it holds too little
LEAST_WEIGHT = 0.02  # of a full window: below that the next wider one is asked
WIDER = 4  # times that it is doubled
RIDGE = 1.0  # px^2: how little a window may be spread before its slope is taken for none


def kept_apart(moved: Flow, labels: NDArray[np.uint8], trust: Map | None = None) -> Flow:
    """The displacements [H, W, 2] of a frame with those next to an edge of its labels uint8 [H, W] replaced: each continues
    what its own label does farther inside. trust: 0..1, what counts there. Where a label is too thin or lost, they stay."""
    edge = near_other(labels, EDGE_PX)
    if not edge.any():
        return moved
    out = moved.copy()
    sure = np.ones(labels.shape, np.float32) if trust is None else trust
    for label in np.unique(labels[edge]):
        own = labels == label
        fitted, known = continued(moved, np.where(own & ~edge, sure, 0).astype(np.float32), own & edge)
        out[known] = fitted[known]
    return out


def near_other(labels: NDArray[np.uint8], reach_px: int) -> NDArray[np.bool_]:
    """[H, W]: pixels within reach_px of one of another label."""
    import cv2

    around = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach_px + 1, 2 * reach_px + 1))
    return np.asarray(cv2.dilate(labels, around) != cv2.erode(labels, around))


def continued(values: Flow, weight: Map, where: NDArray[np.bool_]) -> tuple[Flow, NDArray[np.bool_]]:
    """(values [H, W, C] continued to the pixels `where`, which of these were reached). weight: [H, W], 0 = not known."""
    import cv2

    height, width = weight.shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    x, y = (x - width / 2), (y - height / 2)
    planes = [weight, weight * x, weight * y, weight * x * x, weight * x * y, weight * y * y]
    for c in range(values.shape[2]):
        planes += [weight * values[..., c], weight * x * values[..., c], weight * y * values[..., c]]
    stack = [np.asarray(p, np.float32) for p in planes]
    out, known, left = values.copy(), np.zeros_like(where), where.copy()
    reach = REACH_PX
    for _ in range(WIDER):
        at = np.nonzero(left)
        if not len(at[0]):
            break
        found = [cv2.GaussianBlur(p, (0, 0), reach, borderType=cv2.BORDER_CONSTANT)[at].astype(np.float64) for p in stack]
        total = np.maximum(found[0], 1e-9)
        mx, my = found[1] / total, found[2] / total
        xx, xy, yy = found[3] / total - mx * mx, found[4] / total - mx * my, found[5] / total - my * my
        xx, yy = np.maximum(xx, 0) + RIDGE, np.maximum(yy, 0) + RIDGE
        determinant = np.maximum(xx * yy - xy * xy, 1e-9)
        dx, dy = x[at] - mx, y[at] - my
        good = found[0] >= LEAST_WEIGHT
        for c in range(values.shape[2]):
            s, sx, sy = found[6 + 3 * c : 9 + 3 * c]
            mean = s / total
            cx, cy = sx / total - mx * mean, sy / total - my * mean
            slope_x, slope_y = (yy * cx - xy * cy) / determinant, (xx * cy - xy * cx) / determinant
            fitted = mean + slope_x * dx + slope_y * dy
            out[at[0][good], at[1][good], c] = fitted[good]
        known[at[0][good], at[1][good]] = True
        left &= ~known
        reach *= 2
    return out, known
