"""What tells the synthesis where the strokes of a key go in another frame: the guides of one frame against its key.

Weights are those of Jamriska et al. 2019: the colour of the film (4 to 6), the place that each pixel has in the key frame,
carried along by flow in float (2 to 10, less where the flow is not to be trusted), edges (1), the frame before warped (0.5).
A mask is a hard constraint and no guide. Source and target are float32 in 0..1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tools.keyframes_flow import Flow, Map, Pixels, grid, luma, warp

if TYPE_CHECKING:
    from tools.patch_engine import Guide

GREY_LEVELS = 6  # of 255: channels of a black-and-white film differ by less, and one of them says all
EDGE_BLUR_PX = 4.0
EDGE_TIMES = 2.0  # the difference from a blur seldom fills its range
LEAST_TRUST = 0.08  # of the position's weight that is left where flow fails: on a flat wall nothing else holds the strokes


@dataclass(frozen=True)
class Weights:
    """Of the guides, 0 = without it."""

    colour: float = 6.0
    position: float = 8.0
    edges: float = 1.0
    previous: float = 0.5


@dataclass(frozen=True)
class Travelled:
    """Where a frame's pixels were in its key frame. moved: float32 [H, W, 2], what to add to a pixel's place to get there.
    trust: float32 [H, W], 0..1."""

    moved: Flow
    trust: Map

    @staticmethod
    def none(height: int, width: int) -> Travelled:
        """Of the key frame itself."""
        return Travelled(np.zeros((height, width, 2), np.float32), np.ones((height, width), np.float32))

    def on(self, back: Flow, trust: Map) -> Travelled:
        """Of the next frame. back: flow from it to this one; trust: in that flow.

        Displacements are carried and not places, since they hardly change from pixel to pixel: interpolating them a hundred
        times loses nothing. What was once not to be trusted stays so: nobody knows where a disclosed wall was in the key.
        """
        moved = back + warp(self.moved, back)
        return Travelled(np.asarray(moved, np.float32), np.minimum(trust, warp(self.trust, back)))


def guides_for(key_frame: Pixels, frame: Pixels, travelled: Travelled, weights: Weights, *, style: Pixels | None = None,
               previous: Pixels | None = None, sure: Map | None = None, seen: float = 1.0) -> list[Guide]:  # fmt: skip
    """The guides of a frame uint8 [H, W, 3] against its key frame, which is of the same size.

    style: the painted key, and previous: the result of the frame before warped to this one; both or neither. sure: [H, W], how
    far that one is to be trusted. seen: 0..1, how much of the frame is this shot's picture (less than 1 in a dissolve): the
    less, the less its colours say.
    """
    from tools.patch_engine import Guide

    height, width = frame.shape[:2]
    made = []
    faint = None if seen >= 1 else np.full((height, width), max(seen, 0.0) ** 2, np.float32)
    if weights.colour > 0:
        made.append(Guide(colours(key_frame, frame), colours(frame, key_frame), weights.colour, faint, "colour"))
    if weights.position > 0:
        x, y = grid(height, width)
        scale = np.array([1 / width, 1 / height], np.float32)
        home = np.stack([x, y], axis=2) * scale  # [H, W, 2]
        there = (np.stack([x, y], axis=2) + travelled.moved) * scale
        trust = np.maximum(travelled.trust, LEAST_TRUST)
        made.append(Guide(home, np.ascontiguousarray(there), weights.position, np.ascontiguousarray(trust), "position"))
    if weights.edges > 0:
        made.append(Guide(edges(key_frame), edges(frame), weights.edges, faint, "edges"))
    if weights.previous > 0 and previous is not None and style is not None:
        amount = None if sure is None else np.maximum(sure, LEAST_TRUST)
        made.append(Guide(as_float(style), as_float(previous), weights.previous, amount, "previous"))
    return made


def colours(picture: Pixels, other: Pixels) -> NDArray[np.float32]:
    """The picture as a guide, float32 [H, W, 3], or [H, W, 1] where neither of the two has any colour."""
    return as_float(picture) if coloured(picture) or coloured(other) else as_float(luma(picture))


def coloured(picture: Pixels) -> bool:
    """Whether more than a thousandth of a picture is not grey."""
    spread = picture.max(axis=2).astype(np.int16) - picture.min(axis=2)
    return bool((spread > GREY_LEVELS).mean() > 1e-3)


def edges(picture: Pixels) -> NDArray[np.float32]:
    """What is lighter (above 0.5) or darker than its surroundings, float32 [H, W, 1]."""
    import cv2

    grey = luma(picture).astype(np.float32) / 255
    high = grey - cv2.GaussianBlur(grey, (0, 0), EDGE_BLUR_PX)
    return np.ascontiguousarray(np.clip(0.5 + EDGE_TIMES * high, 0, 1)[..., None], np.float32)


def as_float(picture: Pixels) -> NDArray[np.float32]:
    """uint8 [H, W(, C)] as float32 [H, W, C] in 0..1."""
    planes = picture if picture.ndim == 3 else picture[..., None]
    return np.ascontiguousarray(planes, np.float32) * np.float32(1 / 255)
