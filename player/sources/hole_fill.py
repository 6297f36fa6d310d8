"""Holes of a picture closed with the colours around them: enough for what is seen for a moment beside a moving figure."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from player.sources.frame import Pixels

CELL = 8  # pixels; colours are spread in squares of that size


def filled(picture: Pixels, hole: npt.NDArray[np.bool_]) -> Pixels:
    """uint8 [H, W, 3] with what lies in the hole [H, W] replaced by a smooth spread of the colours beside it; as it is where
    there is no hole, or nothing else."""
    if not hole.any() or hole.all():
        return picture
    from PIL import Image

    height, width = hole.shape
    rows, columns = -(-height // CELL), -(-width // CELL)
    sums = np.zeros((rows * CELL, columns * CELL, 4), np.float32)  # colours of solid pixels, and how many they are
    sums[:height, :width, :3] = picture * ~hole[:, :, None]
    sums[:height, :width, 3] = ~hole
    cells = sums.reshape(rows, CELL, columns, CELL, 4).sum(axis=(1, 3))  # [rows, columns, 4]
    cells[..., :3] /= np.maximum(cells[..., 3:], 1)
    cells[..., 3] = cells[..., 3] > 0
    while not cells[..., 3].all():
        cells = _spread(cells)
    smooth = Image.fromarray(np.rint(cells[..., :3]).astype(np.uint8)).resize((columns * CELL, rows * CELL),
                                                                            Image.Resampling.BILINEAR)
    return np.where(hole[:, :, None], np.asarray(smooth)[:height, :width], picture)


def _spread(cells: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Empty cells beside full ones get their mean. cells: [rows, columns, 4], the last 1 where one is full."""
    rows, columns = cells.shape[:2]
    padded = np.pad(cells, ((1, 1), (1, 1), (0, 0)))
    around = [padded[y : y + rows, x : x + columns] for y in range(3) for x in range(3)]
    count = np.sum([a[..., 3:] for a in around], axis=0)
    mean = np.sum([a[..., :3] * a[..., 3:] for a in around], axis=0) / np.maximum(count, 1)
    new = np.concatenate([mean, count > 0], axis=2).astype(np.float32)
    return np.where(cells[..., 3:] > 0, cells, new)
