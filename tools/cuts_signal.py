"""How unlike two frames are, in numbers that brightness, contrast, grain and motion change little. NumPy only.

Two distances, 0 the same and about 1 unrelated:

- structure: half the squared difference of two pictures, each brought to mean 0 and deviation 1 first, so that fades,
  flashes and flicker, which scale a picture, leave it where it is. Below the noise floor nothing is amplified: two black
  frames are alike.
- blocks: 1 - correlation, block by block, each block at the place where it fits best. Motion leaves it small, a cut does
  not.

Chroma, relative to the picture's own colourfulness, adds to both; a grey film adds nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tools.cuts_pictures import Reduced

Numbers = NDArray[np.float32]
Indices = NDArray[np.int64]
FLOOR = 4.0  # levels: contrast below this is noise; measured on the footage: encoded black has 0.1, a dark shot 5
BLOCK_FLOOR = 2.0
CHROMA_FLOOR = 6.0
CHROMA_WEIGHT = 0.3
FLAT = 1.5  # levels: a frame of less contrast than this shows nothing; a title of two small words has 4.4
BLACK_Y, WHITE_Y = 16.0, 235.0
# (least share in common, correlation of that share): cuts reach 0.85 and 0.78, thrown cameras fall to 0.90 and jerked ones
# to 0.82; the more two frames may be moved, the more alike any two of them can be made.
SAME_WORLD = ((0.33, 0.88), (0.75, 0.80))
CHUNK = 512  # frames at once, so that a long film needs no memory of its own


@dataclass(frozen=True)
class Signals:
    """A film as numbers, by index into the reduced frames.

    half: uint8 [N, h, w], luma at half the reduced size; colour: uint8 [N, 2, h/2 or so, ...]; both without bars.
    thumbs: float32 [N, K], luma and chroma at a quarter of their sizes, less black and grey, for linear mixing.
    quarter: (h, w) of the thumbs' luma part. contrast, mean: float32 [N], levels of luma. detail: float32 [N], energy of the
    gradients. step: float32 [N], structure distance to the frame before, step[0] 0.
    """

    half: NDArray[np.uint8]
    colour: NDArray[np.uint8]
    thumbs: Numbers
    quarter: tuple[int, int]
    contrast: Numbers
    mean: Numbers
    detail: Numbers
    step: Numbers

    def __len__(self) -> int:
        return len(self.half)

    @cached_property
    def flat(self) -> NDArray[np.bool_]:
        """bool [N]: frames that show nothing."""
        return self.contrast < FLAT

    def structure(self, i: Indices, j: Indices) -> Numbers:
        """float32 [P]: of frames i with frames j, indices [P]. Out of range means the nearest frame."""
        return _in_chunks(lambda a, b: _structure(self._normal(a), self._normal(b)), self._within(i), self._within(j))

    def _normal(self, index: Indices) -> tuple[Numbers, Numbers]:
        return normalised(self.half[index]), chroma_normalised(self.colour[index])

    def blocks(self, i: Indices, j: Indices) -> Numbers:
        """float32 [P]: block distance of frames i with j, at half size, for motion of a few frames' time."""
        rows, columns = (4, 4) if min(self.half.shape[1:]) >= 16 else (2, 2)
        return _in_chunks(lambda a, b: block_distance(self.half[a], self.half[b], rows, columns, self._reach(self.half.shape)),
                          self._within(i), self._within(j))  # fmt: skip

    def far_blocks(self, i: Indices, j: Indices) -> Numbers:
        """The same at quarter size, for frames that lie far apart: greater motion, fewer blocks."""
        h, w = self.quarter

        def of(index: Indices) -> Numbers:
            return self.thumbs[index, : h * w].reshape(-1, h, w)

        reach = max(1, min(3, (min(h, w) - 4) // 2))
        return _in_chunks(lambda a, b: block_distance(of(a), of(b), 2, 3, reach), self._within(i), self._within(j))

    def _reach(self, shape: tuple[int, ...]) -> int:
        return max(1, min(4, (min(shape[1:]) - 8) // 2))

    def _within(self, index: Indices) -> Indices:
        return np.clip(np.asarray(index, np.int64), 0, len(self) - 1)

    def same_world(self, i: int, j: int) -> bool:
        """Whether one frame lies over the other when it is moved: the camera was thrown, jerked, or has not moved."""
        a, b = self.half[i].astype(np.float32), self.half[j].astype(np.float32)
        return any(best_overlap(a, b, least) >= alike for least, alike in SAME_WORLD)

    def lit_correlation(self, i: int, j: int) -> float:
        """Correlation of two frames where neither is burnt out nor black: near 1 for one picture in two lights; 0 where too
        little is left to say."""
        a, b = self.half[i].astype(np.float32), self.half[j].astype(np.float32)
        lit = (np.maximum(a, b) < WHITE_Y - 12) & (np.minimum(a, b) > BLACK_Y + 4)
        if lit.mean() < 0.15:
            return 0.0
        x, y = a[lit] - a[lit].mean(), b[lit] - b[lit].mean()
        return float((x * y).sum() / np.sqrt((x * x).sum() * (y * y).sum() + 1e-6))


def signals_of(reduced: Reduced, bars: tuple[int, int, int, int]) -> Signals:
    """The numbers of a film. bars: (x, y, w, h) of the picture without bars, in reduced pixels."""
    x, y, w, h = bars
    luma = reduced.luma[:, y : y + h, x : x + w]
    chroma = reduced.chroma[:, :, y // 2 : (y + h) // 2, x // 2 : (x + w) // 2]
    parts: list[tuple[NDArray[np.uint8], Numbers, Numbers, Numbers, Numbers, Numbers]] = []
    before: tuple[Numbers, Numbers] | None = None
    quarter = (0, 0)
    for at in range(0, len(luma), CHUNK):
        full = luma[at : at + CHUNK].astype(np.float32)
        colour = chroma[at : at + CHUNK]
        half = halved(full)
        small = halved(half)
        quarter = (small.shape[1], small.shape[2])
        colour_small = 1.4 * (halved(halved(colour.astype(np.float32))) - 128)
        thumbs = np.concatenate([small.reshape(len(small), -1) - BLACK_Y, colour_small.reshape(len(small), -1)], axis=1)
        normal = normalised(half), chroma_normalised(colour)
        shifted = tuple(np.concatenate([n[:1] if before is None else b, n[:-1]])
                        for n, b in zip(normal, before or (None, None), strict=True))  # fmt: skip
        step = _structure((shifted[0], shifted[1]), normal)
        before = normal[0][-1:], normal[1][-1:]
        detail = (np.diff(full, axis=1) ** 2).mean(axis=(1, 2)) + (np.diff(full, axis=2) ** 2).mean(axis=(1, 2))
        parts.append((np.rint(half).astype(np.uint8), thumbs, half.std(axis=(1, 2)), half.mean(axis=(1, 2)), detail, step))
    half8, thumbs, contrast, mean, detail, step = (np.concatenate(p) for p in zip(*parts, strict=True))
    return Signals(half8, chroma, thumbs.astype(np.float32), quarter, contrast, mean, detail, step.astype(np.float32))


def halved(pictures: Numbers) -> Numbers:
    """[..., h, w] -> [..., h // 2, w // 2], means of 2x2."""
    h, w = pictures.shape[-2] // 2 * 2, pictures.shape[-1] // 2 * 2
    p = pictures[..., :h, :w]
    made: Numbers = 0.25 * (p[..., 0::2, 0::2] + p[..., 1::2, 0::2] + p[..., 0::2, 1::2] + p[..., 1::2, 1::2])
    return made


def normalised(pictures: NDArray[np.generic]) -> Numbers:
    """[N, h, w] -> float32 [N, h * w]: mean 0, deviation 1 where there is more than noise."""
    flat = pictures.reshape(len(pictures), -1).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    flat /= np.sqrt((flat * flat).mean(axis=1, keepdims=True) + FLOOR**2)
    return flat


def chroma_normalised(chroma: NDArray[np.uint8]) -> Numbers:
    """uint8 [N, 2, h, w] -> float32 [N, K], at half the size, relative to the picture's own colourfulness."""
    small = halved(chroma.astype(np.float32)) - 128
    flat = small.reshape(len(small), -1)
    made: Numbers = flat / np.sqrt((flat * flat).mean(axis=1, keepdims=True) + CHROMA_FLOOR**2)
    return made


def _structure(a: tuple[Numbers, Numbers], b: tuple[Numbers, Numbers]) -> Numbers:
    luma, colour = (0.5 * ((x - y) ** 2).mean(axis=1) for x, y in zip(a, b, strict=True))
    made: Numbers = luma + CHROMA_WEIGHT * colour
    return made


def block_distance(a: NDArray[np.generic], b: NDArray[np.generic], rows: int, columns: int, reach: int) -> Numbers:
    """float32 [P]: 1 - the blocks' correlation of pictures a and b [P, h, w], each of rows x columns blocks of `a` laid where
    it fits best within `reach` pixels, weighed by contrast."""
    count, h, w = a.shape
    block_h, block_w = max(1, (h - 2 * reach) // rows), max(1, (w - 2 * reach) // columns)
    height, width = block_h * rows, block_w * columns
    top, left = (h - height) // 2, (w - width) // 2
    floor = BLOCK_FLOOR**2

    def means(x: Numbers) -> Numbers:
        made: Numbers = x.reshape(count, rows, block_h, columns, block_w).mean(axis=(2, 4))
        return made

    fixed, other = a.astype(np.float32), b.astype(np.float32)
    still = fixed[:, top : top + height, left : left + width]
    mean_a = means(still)
    var_a = np.maximum(means(still * still) - mean_a**2, 0)
    squares = other * other
    best = np.full(mean_a.shape, -1, np.float32)
    var_best = np.zeros_like(best)
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            y, x = top + dy, left + dx
            if y < 0 or x < 0 or y + height > h or x + width > w:
                continue
            moved = other[:, y : y + height, x : x + width]
            mean_b = means(moved)
            var_b = np.maximum(means(squares[:, y : y + height, x : x + width]) - mean_b**2, 0)
            correlation = (means(still * moved) - mean_a * mean_b + floor) / np.sqrt((var_a + floor) * (var_b + floor))
            better = correlation > best
            best = np.where(better, correlation, best)
            var_best = np.where(better, var_b, var_best)
    weight = np.sqrt(var_a + var_best) + 0.5
    made: Numbers = 1 - (best * weight).sum(axis=(1, 2)) / weight.sum(axis=(1, 2))
    return made


def best_overlap(a: Numbers, b: Numbers, least: float) -> float:
    """The greatest normalised correlation of two pictures [h, w] over all whole shifts that leave at least `least` of them in
    common (masked normalised cross-correlation by FFT, Padfield 2012)."""
    h, w = a.shape
    shape = (2 * h, 2 * w)
    ones = np.ones_like(a)
    fa, fb = np.fft.rfft2(a, shape), np.fft.rfft2(b[::-1, ::-1], shape)
    fa2, fb2 = np.fft.rfft2(a * a, shape), np.fft.rfft2((b * b)[::-1, ::-1], shape)
    f1, f1r = np.fft.rfft2(ones, shape), np.fft.rfft2(ones[::-1, ::-1], shape)

    def back(x: NDArray[np.complexfloating]) -> NDArray[np.float64]:
        return np.fft.irfft2(x, shape)

    count = np.maximum(np.rint(back(f1 * f1r)), 1)
    sum_a, sum_b = back(fa * f1r), back(f1 * fb)
    var_a = np.maximum(back(fa2 * f1r) - sum_a**2 / count, 0)
    var_b = np.maximum(back(f1 * fb2) - sum_b**2 / count, 0)
    floor = FLOOR**2 * count
    correlation = (back(fa * fb) - sum_a * sum_b / count) / np.sqrt((var_a + floor) * (var_b + floor))
    return float(correlation[count >= least * h * w].max())


def _in_chunks(of: Callable[[Indices, Indices], Numbers], i: Indices, j: Indices) -> Numbers:
    if not len(i):
        return np.zeros(0, np.float32)
    return np.concatenate([of(i[at : at + CHUNK], j[at : at + CHUNK]) for at in range(0, len(i), CHUNK)])
