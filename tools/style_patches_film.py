"""Frames of one shot painted one after the other, each from the results before it.

A frame's guide and the start of its search are the last result, warped along the film's flow, where that flow can be trusted;
where the last frame shows nothing of a place, an older one that does (the long-term consistency of Ruder, Dosovitskiy, Brox
2016, "Artistic style transfer for videos", section 4.3: each place counts for the nearest frame that shows it).
What is new is painted as in a single picture. Copies of the painting are carried, never pixels, so that nothing grows softer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tools.keyframes_flow import flow, reliability, warp
from tools.keyframes_keep import Keep
from tools.paint_gate import Gate
from tools.paint_keys import UNKNOWN, Field, Moved
from tools.paint_options import PaintOptions
from tools.paint_style import Painting
from tools.style_patches import TILE_PX, Easel, Style, Stylised

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

BACK = (1, 8)  # frames back that are looked at: what passes in front of a thing is mostly gone after a third of a second


@dataclass(frozen=True)
class Before:
    """An earlier frame of the shot. frame: the film's, uint8 [H, W, 3]. painted, field: of its result (Stylised). back: how
    many frames ago."""

    frame: Pixels
    painted: Pixels
    field: Field | None
    back: int


def certainties(frame: Pixels, before: Sequence[Before]) -> list[tuple[Before, Floats, Floats]]:
    """(earlier frame, flow from this frame to it [H, W, 2], how far it counts [H, W] 0..1), the nearest first: each place
    counts for the nearest frames that show it (Ruder et al. 2016, equation 9)."""
    found, taken = [], np.zeros(frame.shape[:2], np.float32)
    for b in sorted(before, key=lambda b: b.back):
        back, ahead = flow(frame, b.frame), flow(b.frame, frame)
        # Without the picture: a flat wall counts as standing still, and its strokes are to stay.
        sure = np.maximum(reliability(back, ahead) - taken, 0)
        taken += sure
        found.append((b, back, np.asarray(sure, np.float32)))
    return found


def earlier_of(frame: Pixels, before: Sequence[Before]) -> Moved | None:
    """What earlier results show of this frame uint8 [H, W, 3]: at each place the one that counts most there. None where there
    is none before."""
    if not before:
        return None
    seen = certainties(frame, before)
    first = seen[0]
    picture = np.asarray(warp(first[0].painted, first[1]), np.uint8)
    field = moved_field(first[0], first[1])
    best = first[2].copy()
    for b, back, sure in seen[1:]:
        more = sure > best
        picture[more] = np.asarray(warp(b.painted, back), np.uint8)[more]
        other = moved_field(b, back)
        if field is not None and other is not None:
            field[more] = other[more]
        best[more] = sure[more]
    return Moved(picture, best, field)


def moved_field(b: Before, back: Floats) -> Field | None:
    """Where in the paintings each place was taken from; UNKNOWN outside of the frame."""
    if b.field is None:
        return None
    height, width = back.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    x, y = x + back[..., 0], y + back[..., 1]
    moved = warp(b.field.astype(np.float32), back, nearest=True)
    outside = (x < -0.5) | (y < -0.5) | (x > width - 0.5) | (y > height - 0.5)
    # A patch that is shown between two pixels is that of the nearer one, moved by the rest: else every frame would round anew.
    moved[outside] = UNKNOWN
    return np.asarray(np.rint(moved), np.int32)


def stylised_shot(frames: Iterable[Pixels], styles: Sequence[Style | Painting | Pixels], options: PaintOptions | None = None, *,
                  keep: Keep | None = None, gate: Gate | None = None, tile_px: int = TILE_PX,
                  progress: Callable[[int], None] | None = None) -> Iterator[Stylised]:  # fmt: skip
    """The frames uint8 [H, W, 3] of one shot, painted in order, each from those before it. progress: called with the number
    of frames done. Raises ShowError."""
    easel: Easel | None = None
    held: list[tuple[Pixels, Stylised]] = []
    for number, frame in enumerate(frames):
        if easel is None:
            easel = Easel(styles, options, (frame.shape[0], frame.shape[1]), gate, keep, tile_px)
        earlier = [(back, *held[-back]) for back in BACK if back <= len(held)]
        before = [Before(shown, made.painted, made.field, back) for back, shown, made in earlier]
        made = easel.stylise(frame, earlier_of(frame, before))
        held = [*held[-(max(BACK) - 1) :], (frame, made)]
        if progress is not None:
            progress(number + 1)
        yield made
