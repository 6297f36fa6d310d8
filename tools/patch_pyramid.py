"""The levels of a synthesis: style and guides of each side stacked into one array, halved by area.

A level's arrays are padded by half a patch with the edge's own pixels, so that the search never asks where a patch ends;
channels are multiplied by the root of their weight, so that a cost is a plain sum of squares over contiguous numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tools.patch_check import Work

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]
ABSENT = np.zeros((1, 1), np.uint8)


@dataclass(frozen=True)
class Level:
    """One size of both sides.

    source: float32 [Hs + 2 pad, Ws + 2 pad, C], style channels first. target: float32 [Ht + 2 pad, Wt + 2 pad, C], its
    style channels the picture that is being made. amount: like target, the factor on each squared difference, or None.
    source_mask, target_mask: uint8 [Hs, Ws] and [Ht, Wt], or both [1, 1] where there are none. masked: whether there are.
    style_scale: what the style channels are multiplied by.
    """

    source: Floats
    target: Floats
    amount: Floats | None
    source_mask: Bytes
    target_mask: Bytes
    masked: bool
    style_channels: int
    style_scale: float
    pad: int

    @property
    def source_size(self) -> tuple[int, int]:
        return self.source.shape[0] - 2 * self.pad, self.source.shape[1] - 2 * self.pad

    @property
    def target_size(self) -> tuple[int, int]:
        return self.target.shape[0] - 2 * self.pad, self.target.shape[1] - 2 * self.pad

    @property
    def channels(self) -> int:
        return self.source.shape[2]

    @property
    def picture(self) -> Floats:
        """A view of the target's style channels, [Ht, Wt, n], still times the style's scale."""
        h, w = self.target_size
        return self.target[self.pad : self.pad + h, self.pad : self.pad + w, : self.style_channels]


def spread_edges(padded: Floats, pad: int) -> None:
    """Fills the border of `padded` [H + 2 pad, W + 2 pad, C] with its edge pixels, in place."""
    padded[:pad, pad:-pad] = padded[pad, pad:-pad]
    padded[-pad:, pad:-pad] = padded[-pad - 1, pad:-pad]
    padded[:, :pad] = padded[:, pad : pad + 1]
    padded[:, -pad:] = padded[:, -pad - 1 : -pad]


def level_count(source: tuple[int, int], target: tuple[int, int], patch: int, most: int) -> int:
    """How many levels: halvings while the shortest side is at least 2 * patch + 1, at most `most` (0: no limit)."""
    side, count = min(*source, *target), 1
    while side // 2 >= 2 * patch + 1 and count != most:
        side, count = side // 2, count + 1
    return count


def _padded(size: tuple[int, int], channels: int, pad: int) -> Floats:
    return np.empty((size[0] + 2 * pad, size[1] + 2 * pad, channels), np.float32)


def finest(work: Work, pad: int) -> Level:
    """The level of full size. The target's picture begins black."""
    n = work.style.shape[2]
    channels = n + sum(g.source.shape[2] for g in work.guides)
    source_size = (work.style.shape[0], work.style.shape[1])
    source, target = _padded(source_size, channels, pad), _padded(work.size, channels, pad)
    inner_s, inner_t = source[pad:-pad, pad:-pad], target[pad:-pad, pad:-pad]
    np.multiply(work.style, np.float32(work.style_scale), out=inner_s[..., :n])
    inner_t[..., :n] = 0
    amount = None
    if any(g.amount is not None for g in work.guides):
        amount = _padded(work.size, channels, pad)
        amount.fill(1)
    at = n
    for g in work.guides:
        to = at + g.source.shape[2]
        np.multiply(g.source, np.float32(g.scale), out=inner_s[..., at:to])
        np.multiply(g.target, np.float32(g.scale), out=inner_t[..., at:to])
        if amount is not None and g.amount is not None:
            amount[pad:-pad, pad:-pad, at:to] = g.amount[..., None]
        at = to
    for array in (source, target, amount):
        if array is not None:
            spread_edges(array, pad)
    masked = work.source_mask is not None and work.target_mask is not None
    source_mask = np.ascontiguousarray(work.source_mask) if work.source_mask is not None else ABSENT
    target_mask = np.ascontiguousarray(work.target_mask) if work.target_mask is not None else ABSENT
    return Level(source, target, amount, source_mask, target_mask, masked, n, work.style_scale, pad)


def _halved(padded: Floats, pad: int) -> Floats:
    """Every pixel the mean of four; of an odd side the last row or column goes."""
    h, w = (padded.shape[0] - 2 * pad) // 2, (padded.shape[1] - 2 * pad) // 2
    inner = padded[pad : pad + 2 * h, pad : pad + 2 * w]
    out = _padded((h, w), padded.shape[2], pad)
    mean = out[pad:-pad, pad:-pad]
    np.add(inner[::2, ::2], inner[1::2, ::2], out=mean)
    mean += inner[::2, 1::2]
    mean += inner[1::2, 1::2]
    mean *= np.float32(0.25)
    spread_edges(out, pad)
    return out


def coarser(level: Level) -> Level:
    """The level of half the size. Of four labels the top left one stays: a mean of labels is none."""
    pad = level.pad
    source, target = _halved(level.source, pad), _halved(level.target, pad)
    masks = (level.source_mask, level.target_mask)
    if level.masked:
        sides = ((source, masks[0]), (target, masks[1]))
        masks = tuple(np.ascontiguousarray(m[::2, ::2][: a.shape[0] - 2 * pad, : a.shape[1] - 2 * pad])
                      for a, m in sides)  # type: ignore[assignment]
    amount = None if level.amount is None else _halved(level.amount, pad)
    return Level(source, target, amount, masks[0], masks[1], level.masked, level.style_channels, level.style_scale, pad)


def coarse_first(work: Work, pad: int, count: int) -> Iterator[tuple[int, Level]]:
    """(number, level) from the coarsest, number count - 1, to the finest, number 0. The finest is the bulk of the memory:
    it makes the coarser ones, is let go, and is stacked again when its turn comes."""
    level = finest(work, pad)
    coarse: list[Level] = []
    for _ in range(count - 1):
        level = coarser(level)
        coarse.append(level)
    if count == 1:
        yield 0, level
        return
    del level
    for number in range(count - 1, 0, -1):
        yield number, coarse.pop()
    yield 0, finest(work, pad)
