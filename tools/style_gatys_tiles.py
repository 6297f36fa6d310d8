"""A picture of any size in a network's eyes, tile by tile, so that the whole is as if it had been seen at once.

The picture is mirrored over its borders, and every tile is seen with some of what surrounds it, so that the zeros with which
convolutions fill what they do not see are kept away from what counts: there are neither seams nor a coloured border to be seen.
Only nearly: a value of VGG19's relu5_1 sees 78 pixels to every side, most of them hardly, and 64 are shown (16 round a picture
that is seen at once, whose features at its very border therefore know of it).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from models.perception import Perception

BORDER_PX = 16  # mirrored around a picture that is seen at once
AROUND_PX = 64  # seen around a tile where there are several: beyond, a place's features hardly change


@dataclass(frozen=True)
class Tile:
    """Rows [top, bottom) and columns [left, right) of the picture, grown to whole strides."""

    top: int
    bottom: int
    left: int
    right: int


def mirrored(length: int, before: int, after: int) -> Tensor:
    """Indices int64 [before + length + after] that continue 0..length - 1 by mirrors, as often as it takes."""
    at = np.abs(np.arange(-before, length + after))
    period = max(2 * (length - 1), 1)
    at = at % period
    return torch.from_numpy(np.where(at >= length, period - at, at).astype(np.int64))


class Sight:
    """How one size of picture is looked at. layers: that are asked for. size: (height, width). tile: longest side of what
    is seen at once, in pixels, 0 for all."""

    def __init__(self, perception: Perception, layers: Sequence[str], size: tuple[int, int], tile: int = 0):
        """Raises ValueError for a layer that the network has not."""
        self.perception, self.layers, self.size = perception, tuple(dict.fromkeys(layers)), size
        self.strides = {layer: perception.stride(layer) for layer in self.layers}
        self.unit = max(self.strides.values(), default=1)
        self.height, self.width = (-(-n // self.unit) * self.unit for n in size)
        step = max(self.unit, tile // self.unit * self.unit) if tile else max(self.height, self.width)
        rows, columns = (cuts(n, step, self.unit) for n in (self.height, self.width))
        self.tiles = [Tile(t, b, le, r) for t, b in rows for le, r in columns]
        self.around = -(-(BORDER_PX if len(self.tiles) == 1 else AROUND_PX) // self.unit) * self.unit
        self._rows = mirrored(size[0], self.around, self.height - size[0] + self.around).to(perception.device)
        self._columns = mirrored(size[1], self.around, self.width - size[1] + self.around).to(perception.device)

    def shape(self, layer: str) -> tuple[int, int]:
        """Rows and columns of a layer's values of the whole picture."""
        return self.height // self.strides[layer], self.width // self.strides[layer]

    def padded(self, x: Tensor) -> Tensor:
        """x [1, C, H, W] -> the picture with its mirrored surroundings."""
        return x[:, :, self._rows][:, :, :, self._columns]

    def seen(self, padded: Tensor, tile: Tile) -> dict[str, Tensor]:
        """{layer: [1, C, h, w]} of a tile, without what surrounds it."""
        a = self.around
        part = padded[:, :, tile.top : tile.bottom + 2 * a, tile.left : tile.right + 2 * a]
        found = self.perception.features(part, self.layers)
        cropped = {}
        for layer, values in found.items():
            s = self.strides[layer]
            rows, columns = (tile.bottom - tile.top) // s, (tile.right - tile.left) // s
            cropped[layer] = values[:, :, a // s : a // s + rows, a // s : a // s + columns]
        return cropped

    def all(self, x: Tensor) -> Iterator[tuple[Tile, dict[str, Tensor]]]:
        """Every tile of x [1, 3, H, W] and what is seen in it."""
        padded = self.padded(x)
        for tile in self.tiles:
            yield tile, self.seen(padded, tile)

    def map_of(self, plane: Tensor, layer: str) -> Tensor:
        """A plane [1, 1, H, W] at a layer's places: [1, 1, h, w], means over what each stands for."""
        grown = plane[:, :, mirrored(self.size[0], 0, self.height - self.size[0])]
        grown = grown[:, :, :, mirrored(self.size[1], 0, self.width - self.size[1])]
        s = self.strides[layer]
        return torch.nn.functional.avg_pool2d(grown, s) if s > 1 else grown

    def part(self, plane: Tensor, layer: str, tile: Tile) -> Tensor:
        """The tile's part of a layer's map [1, C, h, w] of the whole picture."""
        s = self.strides[layer]
        return plane[:, :, tile.top // s : tile.bottom // s, tile.left // s : tile.right // s]


def cuts(length: int, step: int, unit: int) -> list[tuple[int, int]]:
    """[0, length) in equal parts of at most `step`, cut at whole units."""
    pieces = -(-length // step)
    edges = [round(length * i / pieces / unit) * unit for i in range(pieces + 1)]
    return [(a, b) for a, b in zip(edges, edges[1:], strict=False) if b > a]
