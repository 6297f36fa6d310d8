"""The black frame of a film's own pictures: the edge of the gate, rounded corners, bars. It is no part of what is painted.

Painted like the rest it becomes a coloured line around the picture, its edge is the strongest form of all, and its black takes
the painting's darkest part for itself. So it stays as it is in the film, and for the guides the picture goes on beneath it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tools.paint_guides import Floats, Pixels, blurred, luminance

Mask = npt.NDArray[np.bool_]
DARK = 0.16  # luminance that nothing of a gate's edge passes in any frame; scans of old film lift black to 0.1
LIT = 0.35  # from here it is picture
GATE_SHARE = 0.06  # of a side: a gate's edge is narrower
LINE_SHARE = 0.025  # a line of it that one frame shows and others do not, since the gate weaves
BAR_SHARE = 0.3  # bars may be this wide, where they are straight
STRAIGHT = 0.9  # of a bar's rows are as wide as the others, within a pixel
SIDE_SHARE = 0.6  # of a side's rows begin in the dark
LIT_SHARE = 0.5  # of all rows lead into the picture: else it is a light in the dark
GROWN_PX = 2  # its soft edge, and the weave of the gate from frame to frame


@dataclass(frozen=True)
class Gate:
    """The black frame around a film. always: bool [H, W], what is of it in every frame."""

    always: Mask

    def of(self, frame: Pixels) -> Mask:
        """What is of it in this frame uint8 [H, W, 3], bool [H, W]: a line at a border comes and goes."""
        return self.always | borders(luminance(frame) < DARK, LINE_SHARE, LINE_SHARE)

    def enlarged(self, times: int) -> Gate:
        """The same of a film that is so many times as large. (One that is looked for in enlarged pictures is less straight.)"""
        return Gate(self.always.repeat(times, 0).repeat(times, 1))

    @staticmethod
    def none(size: tuple[int, int]) -> Gate:
        """Of a film without, (height, width)."""
        return Gate(np.zeros(size, np.bool_))


def gate_of(frames: Iterable[Pixels]) -> Gate:
    """The black frame around all of these pictures uint8 [H, W, 3], best from all over a film. A dark scene has none: where
    the dark goes on inward, nothing tells a gate's edge from it."""
    lightest: Floats | None = None
    for frame in frames:
        plane = luminance(frame)
        lightest = plane if lightest is None else np.maximum(lightest, plane)
    assert lightest is not None
    return Gate(borders(lightest < DARK, GATE_SHARE, BAR_SHARE))


def borders(dark: Mask, share: float, straight_share: float) -> Mask:
    """What of bool [H, W] is a dark border, its soft edge with it. share: of a side that it may be wide; straight_share:
    where it is straight."""
    found = np.zeros_like(dark)
    for turns in range(4):
        found |= np.rot90(left_of(np.rot90(dark, turns), share, straight_share), -turns)
    return grown(found) if found.any() else found


def left_of(dark: Mask, share: float, straight_share: float) -> Mask:
    """The part of `borders` at the left side."""
    height, width = dark.shape
    runs = np.where(dark.all(axis=1), width, np.argmin(dark, axis=1))  # dark pixels from the left, [H]
    inner = runs[(runs > 0) & (runs < width)]
    if len(inner) < max(SIDE_SHARE * (runs < width).sum(), LIT_SHARE * height):
        return np.zeros_like(dark)
    middle = int(np.median(inner))
    straight = (np.abs(inner - middle) <= 1).mean() >= STRAIGHT
    if middle > (straight_share if straight else share) * width:
        return np.zeros_like(dark)
    most = middle + max(1, round(share * width))  # rounded corners reach further in
    return np.asarray(np.arange(width) < np.minimum(runs, most)[:, None])


def grown(mask: Mask) -> Mask:
    """The mask and GROWN_PX around it."""
    for _ in range(GROWN_PX):
        wide = mask.copy()
        wide[1:] |= mask[:-1]
        wide[:-1] |= mask[1:]
        wide[:, 1:] |= mask[:, :-1]
        wide[:, :-1] |= mask[:, 1:]
        mask = wide
    return mask


def beneath(frame: Pixels, gate: Mask) -> Pixels:
    """The frame uint8 [H, W, 3] with its nearest pixels in the place of the gate, softened, for guides."""
    if not gate.any() or gate.all():
        return frame
    from scipy.ndimage import distance_transform_edt

    rows, columns = distance_transform_edt(gate, return_distances=False, return_indices=True)
    near = frame[rows, columns].astype(np.float32)
    soft = blurred(near, 0.01 * float(np.hypot(*gate.shape)))
    return np.where(gate[..., None], np.rint(soft), frame).astype(np.uint8)


def with_gate(painted: Pixels, frame: Pixels, gate: Mask) -> Pixels:
    """The painted picture uint8 [H, W, 3] with the film's own gate around it, a pixel soft. Of the film only what is dark
    shows: the strokes reach as far as its picture does."""
    if not gate.any():
        return painted
    dark = np.clip((LIT - luminance(frame)) / (LIT - DARK), 0, 1)
    share = (blurred(gate.astype(np.float32), 0.8) * dark)[..., None]
    return np.asarray(np.rint(painted + share * (frame.astype(np.float32) - painted)), np.uint8)
