"""A film whose every frame says its number: what the tests of sources play."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from player.recorder import Recorder

RATE, FRAMES, SIZE = Fraction(24), 72, (64, 48)
BAR = 8  # pixels of one bit


def numbered(frame: int) -> np.ndarray:
    """A picture that says its number: eight bars of black and white, least bit left; grey below."""
    picture = np.full((SIZE[1], SIZE[0], 3), 40 + frame, np.uint8)
    for bit in range(8):
        picture[:24, bit * BAR : (bit + 1) * BAR] = 235 if frame >> bit & 1 else 20
    return picture


def number_in(picture: np.ndarray) -> int:
    return sum((picture[4:20, bit * BAR + 2 : (bit + 1) * BAR - 2].mean() > 128) << bit for bit in range(8))


def write_numbered(path: Path, rate: Fraction = RATE, frames: int = FRAMES,
                   picture: Callable[[int], np.ndarray] = numbered) -> Path:  # fmt: skip
    """A film of so many numbered pictures."""
    with Recorder(path, SIZE, rate) as r:
        for i in range(frames):
            r.add(picture(i), i)
    return path


def write_frames(folder: Path, numbers: Iterable[int], name: str = "{:06d}.png", first: int = 0) -> Path:
    """PNGs of the numbered pictures `first`, `first` + 1, ..., whose names say `numbers`."""
    folder.mkdir(parents=True, exist_ok=True)
    for picture, number in enumerate(numbers, first):
        Image.fromarray(numbered(picture)).save(folder / name.format(number))
    return folder
