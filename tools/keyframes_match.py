"""Which frame of a film a painted picture was painted from, where its name does not say.

A painter changes colours and fills surfaces with strokes, but leaves where things are: compared are the outlines of what is
there, each in units of what surrounds it, and to a lesser part light and dark, both small enough for strokes to be gone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tools.cuts_pictures import FilmSource, Reduced, open_source, reduced_frames
from tools.film_dataset_source import Footage

Pixels = NDArray[np.uint8]
LONG_SIDE_PX = 48
OUTLINES = 0.65  # share of the likeness; the rest is light and dark
AROUND_PX = 6.0
CHUNK = 256  # frames at a time
DOUBTFUL = 0.75  # of a painting and its own frame: below, other frames are looked at too
FAR_MORE = 0.15  # by how much another frame must be more alike to be named
LEAST_LIKENESS = 0.4  # of paintings of a frame 0.9 and more, of pictures of something else up to 0.28
SAME_SCENE_FRAMES = 24


@dataclass(frozen=True)
class Match:
    """frame: the likeliest. likeness: -1..1. sure: whether it is like enough to go by."""

    frame: int
    likeness: float

    @property
    def sure(self) -> bool:
        return self.likeness >= LEAST_LIKENESS


def source_of(footage: Footage) -> FilmSource:
    """The same film as cut detection takes it, frame for frame. Raises ShowError."""
    if footage.kind == "folder":
        width, height = footage.size
        return FilmSource(footage.path, footage.rate, footage.frames, width, height, tuple(f.name for f in footage.files))
    return open_source(footage.path)


def small_frames(footage: Footage, tick: Callable[[int], object]) -> Reduced:
    """All frames, small. tick: told how many were decoded. Raises ShowError."""
    return reduced_frames(source_of(footage), 0, footage.frames, tick)


def matches(pictures: Sequence[Pixels], frames: Reduced) -> list[Match]:
    """For each painted picture uint8 [H, W, 3] (of any size) the frame that it is most like."""
    height, width = frames.luma.shape[1:]
    scale = min(1.0, LONG_SIDE_PX / max(height, width))
    size = (max(8, round(width * scale)), max(8, round(height * scale)))
    asked = np.stack([features(_small(p.astype(np.float32).mean(axis=2), size)) for p in pictures])  # [K, D]
    likeness = np.empty((len(pictures), len(frames)), np.float32)
    for at in range(0, len(frames), CHUNK):
        part = np.stack([features(_small(f.astype(np.float32), size)) for f in frames.luma[at : at + CHUNK]])  # [N, D]
        likeness[:, at : at + len(part)] = asked @ part.T
    best = likeness.argmax(axis=1)
    return [Match(int(b) + frames.first, float(row[b])) for b, row in zip(best, likeness, strict=True)]


def likeness(a: Pixels, b: Pixels) -> float:
    """-1..1, of two pictures uint8 [H, W, 3] of one size."""
    height, width = a.shape[:2]
    scale = min(1.0, LONG_SIDE_PX / max(height, width))
    size = (max(8, round(width * scale)), max(8, round(height * scale)))
    one, other = (features(_small(p.astype(np.float32).mean(axis=2), size)) for p in (a, b))
    return float(one @ other)


def features(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """A picture [h, w] as a vector [2 h w] of length 1 at most: the product of two is their likeness, -1..1."""
    import cv2

    soft = cv2.GaussianBlur(grey, (0, 0), 0.8)
    gx, gy = cv2.Scharr(soft, cv2.CV_32F, 1, 0, scale=1 / 32), cv2.Scharr(soft, cv2.CV_32F, 0, 1, scale=1 / 32)
    steep = np.hypot(gx, gy)
    around = cv2.GaussianBlur(steep, (0, 0), AROUND_PX)
    outlines = cv2.GaussianBlur(steep / (around + 1.0), (0, 0), 1.0)
    parts = (_standard(outlines) * np.sqrt(OUTLINES), _standard(soft) * np.sqrt(1 - OUTLINES))
    return np.concatenate([p.ravel() for p in parts]).astype(np.float32)


def _standard(values: NDArray[Any]) -> NDArray[np.float32]:
    """Without its mean, and of length 1; zeros where it is flat."""
    apart = values - values.mean()
    length = float(np.sqrt((apart**2).sum()))
    return apart / np.float32(length) if length > 1e-3 else np.zeros_like(apart)


def _small(grey: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    import cv2

    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.float32)
