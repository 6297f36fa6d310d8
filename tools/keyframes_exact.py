"""Exactly where each pixel of a frame was in its key, and strokes taken from there between the key's pixels.

Two things make carried strokes drift and boil. Flows joined from frame to frame add up their errors: `anchored` looks at the
key frame warped to the frame, and takes out what still moves between the two; at the edges of a mask each side's motion is
continued from its own inside (keyframes_layers.py). And patches are copied whole and upright, on whole pixels: `settled`
takes the key's paint at the exact place, by cubic interpolation, wherever the synthesis found the same place and the film's
frames agree that it shows the same thing. Elsewhere (behind what moved, where things are new) the synthesis stands.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tools.keyframes_flicker import brought
from tools.keyframes_flow import Flow, Map, Pixels, flow, grain, grid, luma, reliability, warp
from tools.keyframes_guides import Travelled
from tools.keyframes_layers import EDGE_PX, kept_apart, near_other

Field = NDArray[np.int32]
TRUSTED = 0.5  # of a flow, to correct a place by it
LOST = 0.3  # of the way so far: below it nobody knows what the key frame would have to show here
SAME_PLACE_PX = 3.0  # how far patches around a pixel may come from elsewhere on average; none is left at twice of it
UNLIKE_GRAINS, UNLIKE_LEVELS = 2.0, 6.0  # how much the film's frames may differ there: times their grain, and levels of 255
STRETCHED = 0.4  # strain at which a stroke begins to be seen drawn out; none is left at half as much again
WINDOW_PX = 5  # what both are averaged over


def anchored(travelled: Travelled, key_frame: Pixels, frame: Pixels, key_labels: Pixels | None = None,
             labels: Pixels | None = None) -> Travelled:  # fmt: skip
    """Where a frame's pixels were in its key frame, without the drift of many flows joined.

    key_frame, frame: uint8 [H, W, 3]. key_labels, labels: uint8 [H, W], masks of both, or None. With them trust next to an
    edge is whether the key has the same label there.
    """
    moved, trust = travelled.moved, travelled.trust
    if labels is not None and key_labels is not None:
        moved = kept_apart(moved, labels, alike(key_labels, labels, moved))
    shown = warp(key_frame, moved)
    rest, back = flow(frame, shown), flow(shown, frame)
    good = reliability(rest, back) > TRUSTED
    if labels is None or key_labels is None:
        good &= trust > LOST
        return Travelled(np.where(good[..., None], rest + warp(moved, rest), moved).astype(np.float32), trust)
    good &= alike(key_labels, labels, moved) > 0
    moved = np.where(good[..., None], rest + warp(moved, rest), moved).astype(np.float32)
    moved = kept_apart(moved, labels, good.astype(np.float32))
    edge = near_other(labels, EDGE_PX)
    return Travelled(moved, np.where(edge, alike(key_labels, labels, moved), trust).astype(np.float32))


def alike(key_labels: Pixels, labels: Pixels, moved: Flow) -> Map:
    """1 where the key has the frame's label at the place, and the place lies within it; else 0: float32 [H, W]."""
    same = warp(key_labels, moved, nearest=True) == labels
    return (same & within(moved)).astype(np.float32)


def within(moved: Flow) -> NDArray[np.bool_]:
    """[H, W]: whose place lies in the picture."""
    height, width = moved.shape[:2]
    x, y = grid(height, width)
    x, y = x + moved[..., 0], y + moved[..., 1]
    return np.asarray((x >= 0) & (y >= 0) & (x <= width - 1) & (y <= height - 1))


def settled(painted: Pixels, key: Pixels, field: Field, travelled: Travelled, key_frame: Pixels, frame: Pixels,
            key_labels: Pixels | None = None, labels: Pixels | None = None) -> Pixels:  # fmt: skip
    """The synthesised frame uint8 [H, W, 3] with the key's own paint where its place is sure.

    key: the painted key, uint8 [H, W, 3]. field: int32 [H, W, 2], where in it the synthesis took each pixel from.
    """
    share = certainty(field, travelled, key_frame, frame, key_labels, labels)[..., None]
    if not share.any():
        return painted
    mixed = painted + share * (brought(key, travelled.moved).astype(np.float32) - painted)
    return np.clip(np.rint(mixed), 0, 255).astype(np.uint8)


def certainty(field: Field, travelled: Travelled, key_frame: Pixels, frame: Pixels, key_labels: Pixels | None,
              labels: Pixels | None) -> Map:  # fmt: skip
    """How sure the place of each pixel is, float32 [H, W], 0..1."""
    import cv2

    height, width = field.shape[:2]
    x, y = grid(height, width)
    window = (WINDOW_PX, WINDOW_PX)
    apart = np.hypot(field[..., 0] - x - travelled.moved[..., 0], field[..., 1] - y - travelled.moved[..., 1])
    apart = cv2.blur(np.minimum(apart, 4 * SAME_PLACE_PX).astype(np.float32), window)
    unlike = np.abs(brought(key_frame, travelled.moved).astype(np.float32) - frame).mean(axis=2)
    unlike = cv2.blur(unlike.astype(np.float32), window)
    allowed = UNLIKE_LEVELS + UNLIKE_GRAINS * grain(luma(frame))
    sure = np.clip(2 - apart / SAME_PLACE_PX, 0, 1) * np.clip(2 - unlike / allowed, 0, 1) * within(travelled.moved)
    # Where the motion stretches, the key's strokes would be drawn out; patches keep their width.
    sure = sure * np.clip(3 - 2 * stretch(travelled.moved) / STRETCHED, 0, 1)
    if key_labels is not None and labels is not None:
        same = alike(key_labels, labels, travelled.moved)
        # A pixel inwards: on the edge itself the key's paint is mixed with what lies behind.
        sure = sure * cv2.erode(same, np.ones((3, 3), np.uint8))
    return np.asarray(cv2.blur(sure.astype(np.float32), (3, 3)) * (sure > 0), np.float32)


def stretch(moved: Flow) -> Map:
    """How much the motion stretches or shears, 0 for any turn: the size of Green's strain, float32 [H, W]."""
    import cv2

    x, y = (np.ascontiguousarray(moved[..., c]) for c in (0, 1))
    xx, xy = (cv2.Scharr(x, cv2.CV_32F, 1 - i, i, scale=1 / 32) for i in (0, 1))
    yx, yy = (cv2.Scharr(y, cv2.CV_32F, 1 - i, i, scale=1 / 32) for i in (0, 1))
    along, across = (1 + xx) ** 2 + yx**2 - 1, xy**2 + (1 + yy) ** 2 - 1
    shear = (1 + xx) * xy + yx * (1 + yy)
    return np.asarray(0.5 * np.sqrt(along**2 + across**2 + 2 * shear**2), np.float32)
