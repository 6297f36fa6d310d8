"""Where the film's picture lies: inside the frames of a source, and on the output."""

from __future__ import annotations

import math
from dataclasses import dataclass

from player.sources.frame import Frame

Rect = tuple[int, int, int, int]  # x, y, width, height in pixels, top row first


@dataclass(frozen=True)
class Inside:
    """The texels of a Frame that lie wholly inside the film's picture, and where that picture begins among them.

    x, y: first texel; width, height: how many. from_x, from_y: edge of `inner` counted from the first texel's edge
    (0 or just below); across, down: size of `inner` in texels (floats).
    """

    x: int
    y: int
    width: int
    height: int
    from_x: float
    from_y: float
    across: float
    down: float


def inside_of(frame: Frame) -> Inside:
    """Of a frame's inner rectangle; texels that padding has touched are left out, so that it never bleeds in."""
    x, y, w, h = frame.inner
    height, width, _ = frame.pixels.shape
    x0, y0 = max(math.ceil(x - 1e-3), 0), max(math.ceil(y - 1e-3), 0)
    x1, y1 = min(math.floor(x + w + 1e-3), width), min(math.floor(y + h + 1e-3), height)
    x0, y0 = min(x0, width - 1), min(y0, height - 1)
    return Inside(x0, y0, max(x1 - x0, 1), max(y1 - y0, 1), x - x0, y - y0, w, h)


def film_rect(aspect: float, size_px: tuple[int, int], fit: str) -> Rect:
    """Where a film of that aspect lies on an output, on whole pixels: contain shows all of it, cover fills the output
    (and x or y is then 0 or negative)."""
    width, height = size_px
    wider = aspect > width / height
    if wider == (fit == "contain"):
        w, h = width, max(round(width / aspect), 1)
    else:
        w, h = max(round(height * aspect), 1), height
    return (width - w) // 2, (height - h) // 2, w, h


def seen_part(rect: Rect, size_px: tuple[int, int]) -> Rect:
    """The part of a rectangle that lies on the output."""
    x, y, w, h = rect
    left, top, right, bottom = max(x, 0), max(y, 0), min(x + w, size_px[0]), min(y + h, size_px[1])
    return left, top, right - left, bottom - top
