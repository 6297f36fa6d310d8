"""One stage of a synthesis in tiles, for pictures that are too large to be searched at once.

Tiles are made in rows. Each is searched with a margin around it that the tiles before it have made already: what they show is a
guide and the start there, so that its strokes go on in theirs, and the two are mixed over a few pixels where they agree. What
lies where was decided at a smaller size by the whole picture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tools.keyframes_guides import as_float
from tools.patch_engine import Guide, Settings, Synthesis
from tools.style_patches_stages import Task

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

MARGIN_PX = 48  # around a tile, searched with it
MIXED_PX = 8  # to either side of a tile's border
AGREE = 4.0  # weight of what the tiles before show


@dataclass(frozen=True)
class Tile:
    """Its own pixels [top, bottom) x [left, right), and those with the margin [outer_top, ...)."""

    top: int
    bottom: int
    left: int
    right: int
    outer_top: int
    outer_bottom: int
    outer_left: int
    outer_right: int

    @property
    def outer(self) -> tuple[slice, slice]:
        """With the margin."""
        return slice(self.outer_top, self.outer_bottom), slice(self.outer_left, self.outer_right)


def tiles_of(size: tuple[int, int], tile_px: int) -> list[Tile]:
    """Tiles of about equal size that cover a picture of (height, width), row by row."""
    return [Tile(top, bottom, left, right, max(0, top - MARGIN_PX), min(size[0], bottom + MARGIN_PX), max(0, left - MARGIN_PX),
                 min(size[1], right + MARGIN_PX))
            for top, bottom in spans(size[0], tile_px) for left, right in spans(size[1], tile_px)]  # fmt: skip


def spans(length: int, most: int) -> Iterator[tuple[int, int]]:
    """[0, length) in equal parts of at most `most`."""
    count = -(-length // most)
    for i in range(count):
        yield length * i // count, length * (i + 1) // count


def in_tiles(task: Task, settings: Settings, tile_px: int, progress: Callable[[float], None],
             seen: Callable[[Pixels], None] | None = None) -> Synthesis:  # fmt: skip
    """All of a stage. seen: called with the picture after each tile; what is not made yet is what the start shows.
    Raises ShowError."""
    height, width = task.size
    # A painting that is too small for the coarser stages gives no start: its tiles agree by their margins alone.
    field = np.full((height, width, 2), -1, np.int32) if task.start is None else task.start.copy()
    at_first = np.maximum(field, 0)
    picture: Pixels = task.style[at_first[..., 1], at_first[..., 0]]
    error = np.zeros((height, width), np.float32)
    known = np.zeros((height, width), np.float32)  # how far what is there was made by a tile, 0..1
    tiles = tiles_of(task.size, tile_px)
    for number, tile in enumerate(tiles):

        def told(share: float, number: int = number) -> None:
            progress((number + share) / len(tiles))

        made = part_of(task, tile, picture, field, known).made(settings, told)
        at = tile.outer
        share = ramp(tile.outer_top, tile.outer_bottom, tile.top)[:, None] * ramp(tile.outer_left, tile.outer_right, tile.left)
        share = np.where(known[at] > 0, share, np.float32(1))
        mixed = picture[at] + share[..., None] * (made.picture.astype(np.float32) - picture[at])
        picture[at] = np.rint(mixed).astype(np.uint8)
        mine = share >= 0.5
        field[at] = np.where(mine[..., None], made.field, field[at])
        error[at] = np.where(mine, made.error, error[at])
        known[at] = np.maximum(known[at], fading(tile))
        if seen is not None:
            seen(picture)
    return Synthesis(picture, field, error)


def part_of(task: Task, tile: Tile, picture: Pixels, field: npt.NDArray[np.int32], known: Floats) -> Task:
    """What a tile is made from."""
    at = tile.outer

    def cut(values: npt.NDArray[Any] | None) -> Any:
        return None if values is None else np.ascontiguousarray(values[at])

    guides = [replace(g, target=cut(g.target), amount=cut(g.amount)) for g in task.guides]
    there = known[at]
    if there.any():
        before = as_float(np.ascontiguousarray(picture[at]))
        guides.append(Guide(as_float(task.style), before, AGREE, np.ascontiguousarray(there), "the tiles before"))
    return Task(task.style, tuple(guides), task.source_mask, cut(task.target_mask), cut(field))


def ramp(outer: int, end: int, border: int) -> Floats:
    """The share [end - outer] of a new tile beside the one before it, along one axis: 0 to 1 across the border; 1 everywhere
    where the tile is the first."""
    if border == outer:
        return np.ones(end - outer, np.float32)
    at = np.arange(outer, end, dtype=np.float32) - border + 0.5
    return np.asarray(np.clip(0.5 + at / (2 * MIXED_PX), 0, 1), np.float32)


def fading(tile: Tile) -> Floats:
    """How far a tile binds the next ones, 0..1 [H, W] of its outer part: fully on its own pixels, less and less in its
    margin, whose outermost pixels were made without knowing what comes after."""

    def along(outer: int, begin: int, end: int, outer_end: int) -> Floats:
        at = np.arange(outer, outer_end, dtype=np.float32) + 0.5
        beyond = np.maximum(np.maximum(begin - at, at - end), 0)
        return np.asarray(np.clip(1 - beyond / MARGIN_PX, 0.01, 1), np.float32)

    rows = along(tile.outer_top, tile.top, tile.bottom, tile.outer_bottom)
    columns = along(tile.outer_left, tile.left, tile.right, tile.outer_right)
    return np.asarray(np.minimum(rows[:, None], columns), np.float32)
