"""Whether the masks that motion gave for a shot can be trusted: one thing before a camera neither jumps nor falls to pieces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tools.keyframes_flow import warp

Map = NDArray[np.float32]  # [h, w], 0..1

STEADY_MEDIAN, STEADY_TENTH = 0.8, 0.6  # of the overlap of neighbours: of half of the frames, and of all but a tenth
MOST_RAGGED = 5.0  # times the outline of a disc of that area: a person with arms has 2 to 3
JUMPS, SHATTERED, EMPTY = "jumps", "shattered", "empty"


def doubt_of(masks: Sequence[Map], ahead: Sequence[NDArray[Any]]) -> str:
    """JUMPS, SHATTERED, or '' where nothing speaks against the masks. ahead: flow from each frame to the next, [h, w, 2]."""
    held = [m >= 0.5 for m in masks]
    alike = [overlap(held[i], warp(masks[i + 1], by.astype(np.float32)) >= 0.5) for i, by in enumerate(ahead)]
    known = [a for a in alike if a is not None]
    if known and (np.median(known) < STEADY_MEDIAN or np.percentile(known, 10) < STEADY_TENTH):
        return JUMPS
    outlines = [raggedness(m) for m in held if m.any()]
    return SHATTERED if outlines and np.median(outlines) > MOST_RAGGED else ""


def overlap(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float | None:
    """Intersection over union; None where neither has anything."""
    either = int((one | other).sum())
    return float((one & other).sum() / either) if either else None


def raggedness(mask: NDArray[np.bool_]) -> float:
    """The length of a mask's outlines, in those of one disc of its area; the picture's border is none."""
    padded = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    h, w = padded.shape
    length = 0.0
    for outline in cv2.findContours(padded, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)[0]:
        at, after = outline[:, 0].astype(np.float64), np.roll(outline[:, 0], -1, axis=0).astype(np.float64)
        rim = ((at == 0) & (after == 0) | (at == (w - 1, h - 1)) & (after == (w - 1, h - 1))).any(axis=1)
        length += float(np.linalg.norm(after - at, axis=1)[~rim].sum())
    return length / (2 * float(np.sqrt(np.pi * max(1, int(mask.sum())))))
