"""An exported stylizer on pictures of any size: whole, or in tiles without a seam where they are large or the network's size is
fixed.

A tile reaches over its neighbours by 256 pixels. There one gives way to the other in the middle, away from both edges: a
network's own border reaches in by 72 pixels at most (18 convolutions of 3 at a quarter of the size), a form that leads
strokes by 80. Tiles begin at multiples of 256 pixels, where the canvas under a picture (models/stylizer.py) begins anew.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from player.show.problem import Problem, ShowError
from player.sources.onnx_defaults import read_metadata
from player.sources.onnx_model import METADATA_KEY, ModelFacts
from player.sources.stylizer_model import StylizerModel, stylizer_facts

Pixels = NDArray[np.uint8]  # [H, W, 3]
Field = NDArray[np.float32]
Size = tuple[int, int]  # (width, height)

GRID_PX = 256  # side of the canvas
LEAST_OVER_PX = 192  # of overlap: 64 in which one tile gives way to the next, 64 of a tile's edge on either side of it
RAMP_PX = 64
MOST_WHOLE_PX = 2_400_000  # 1080p; the classic network then takes 1.5 GB
TILE_PX = 1280
LEAST_SIDE_PX = 16


@dataclass(frozen=True)
class Tiling:
    """How a frame is cut. tile: (width, height) of each, step: from one to the next, counts: (across, down)."""

    frame: Size
    tile: Size
    step: Size
    counts: tuple[int, int]

    @property
    def whole(self) -> bool:
        """Whether the tile is the frame."""
        return self.tile == self.frame


def tiling_for(frame: Size, own: Size | None, asked: int | None) -> Tiling:
    """Of frames (width, height) for a network of size `own` (None: any), in tiles of `asked` pixels a side where that is given.

    Raises ShowError where the network's size is too small to be joined without a seam.
    """
    if own is None:
        large = frame[0] * frame[1] > MOST_WHOLE_PX
        side = asked if asked is not None else TILE_PX if large else None
        if side is None or max(frame) <= side:
            return Tiling(frame, frame, frame, (1, 1))
        (wide, across, x), (high, down, y) = (fitted(length, side) for length in frame)
        return Tiling(frame, (wide, high), (x, y), (across, down))
    steps, counts = [], []
    for length, side in zip(frame, own, strict=True):
        step = (side - LEAST_OVER_PX) // GRID_PX * GRID_PX
        if length > side and step <= 0:
            given = f"is made for {own[0]}x{own[1]}, too small for tiles of frames of {frame[0]}x{frame[1]}"
            allowed = f"a network of any size, or of at least {GRID_PX + LEAST_OVER_PX} pixels a side"
            raise ShowError(Problem("--model", given, allowed, "cineml style export --size any"))
        count = 1 if length <= side else -(-(length - side) // step) + 1
        steps.append(step if count > 1 else side)
        counts.append(count)
    return Tiling(frame, own, (steps[0], steps[1]), (counts[0], counts[1]))


def fitted(length: int, side: int) -> tuple[int, int, int]:
    """(tile, count, step): tiles of about `side` pixels, of which the last ends where the picture ends, so that the border is
    the picture's own. The fewest pixels to compute among those that are no larger, else the smallest."""
    if length <= side:
        return length, 1, length
    found = []
    for step in range(GRID_PX, max(side - LEAST_OVER_PX, GRID_PX) + 1, GRID_PX):
        for count in range(2, (length - LEAST_OVER_PX) // step + 1):
            if (tile := length - (count - 1) * step) >= step + LEAST_OVER_PX:
                found.append((tile > side, tile if tile > side else count * tile, tile, count, step))
    if not found:  # a little more than one tile
        return length, 1, length
    return min(found)[2:]


def ramp(length: int, step: int, first: bool, last: bool) -> Field:
    """float32 [length]: how much of a tile's line counts: 1, but towards a neighbour it falls over RAMP_PX in the middle of
    what both have. The two sum to 1."""
    weight = np.ones(length, np.float32)
    if length <= step:
        return weight
    over = length - step
    begin = (over - RAMP_PX) // 2
    rise = np.clip((np.arange(over, dtype=np.float32) - begin + 0.5) / RAMP_PX, 0, 1)
    if not first:
        weight[:over] = rise
    if not last:
        weight[step:] *= 1 - rise
    return weight


class TiledModel:
    """An exported stylizer, open for frames of one size."""

    def __init__(self, path: Path, frame: Size, tile: int | None = None, threads: int = 2) -> None:
        """Opens it. frame: (width, height). tile: side of the tiles, None = as it needs be. Raises ShowError."""
        self.path = path
        if min(frame) < LEAST_SIDE_PX:
            raise ShowError(Problem("the picture", f"is {frame[0]}x{frame[1]}", f"at least {LEAST_SIDE_PX} pixels a side"))
        facts = stylizer_facts(path)
        if facts.size is not None and tile is not None:
            raise ShowError(Problem("--tile", f"is given, and {path.name} has a size of its own", "a network of any size"))
        self.tiling = tiling_for(frame, facts.size, tile)
        self._model = _Pass(path, None if facts.size is not None else self.tiling.tile, threads=threads)
        self._model.open()

    @property
    def facts(self) -> ModelFacts:
        """What it says of itself."""
        return self._model.facts

    @property
    def styles(self) -> tuple[str, ...]:
        """In the order of the weights."""
        return self._model.styles

    @property
    def provider(self) -> str:
        """Where it really runs."""
        return self._model.provider

    @property
    def provider_note(self) -> str:
        """One sentence where that is not where it was asked to run."""
        return self._model.provider_note

    def run(self, picture: Pixels, shares: NDArray[np.float32], previous: Pixels | None = None,
            certainty: Field | None = None) -> Pixels:  # fmt: skip
        """picture uint8 [H, W, 3], shares float32 [styles] -> uint8 [H, W, 3]. Of a recurrent network: previous uint8
        [H, W, 3], its last picture warped to this one, and certainty float32 [H, W], 0..1, where to trust that; both left out
        for a first frame. Raises ShowError where the memory runs out."""
        try:
            if self.tiling.whole:
                return self._model.after(picture, shares, previous, certainty)
            return self._tiled(picture, shares, previous, certainty)
        except (MemoryError, RuntimeError) as e:  # onnxruntime's exceptions are RuntimeErrors
            if not isinstance(e, MemoryError) and "alloc" not in str(e).lower():
                raise
            given = "pictures of {}x{} need more memory than this machine has".format(*self.tiling.tile)
            raise ShowError(Problem(str(self.path), given, "", "--tile 512")) from None

    def _tiled(self, picture: Pixels, shares: NDArray[np.float32], previous: Pixels | None, certainty: Field | None) -> Pixels:
        t = self.tiling
        height, width = picture.shape[:2]
        total = np.zeros((height, width, 3), np.float32)
        for down in range(t.counts[1]):
            for across in range(t.counts[0]):
                x, y = across * t.step[0], down * t.step[1]
                cut = [None if a is None else self._cut(a, x, y) for a in (picture, previous, certainty)]
                made = self._model.after(cut[0], shares, cut[1], cut[2])  # [h, w, 3]
                high, wide = min(t.tile[1], height - y), min(t.tile[0], width - x)
                rows = ramp(t.tile[1], t.step[1], down == 0, down == t.counts[1] - 1)[:high]
                columns = ramp(t.tile[0], t.step[0], across == 0, across == t.counts[0] - 1)[:wide]
                total[y : y + high, x : x + wide] += made[:high, :wide] * (rows[:, None] * columns)[..., None]
        return np.clip(np.rint(total), 0, 255).astype(np.uint8)

    def _cut(self, array: NDArray[Any], x: int, y: int) -> NDArray[Any]:
        """A tile's part of an array [H, W, ...]; beyond its end the last line is repeated."""
        wide, high = self.tiling.tile
        part = array[y : y + high, x : x + wide]
        missing = ((0, high - part.shape[0]), (0, wide - part.shape[1]), *((0, 0),) * (array.ndim - 2))
        return np.pad(part, missing, mode="edge") if missing[0][1] or missing[1][1] else part

    def close(self) -> None:
        """Lets go of its memory."""
        self._model.close()


class _Pass(StylizerModel):
    """The player's session, given the picture before as well."""

    def after(self, picture: Any, shares: NDArray[np.float32], previous: Any, certainty: Any) -> Pixels:
        """See TiledModel.run; pictures of the session's size."""
        assert self._model is not None
        inputs = self._model.inputs
        if "previous" in inputs:
            inputs["previous"][0] = 0 if previous is None else previous
            inputs["certainty"][0, 0] = 0 if previous is None or certainty is None else certainty
        return self.stylised(picture, shares)


def measures_pictures(path: Path) -> bool:
    """Whether a network takes means from each picture (instance normalisation), so that tiles differ in their tones."""
    try:
        return bool(json.loads(read_metadata(path)[METADATA_KEY]).get("norm") == "instance")
    except (OSError, ValueError, KeyError, AttributeError):
        return False
