"""A painting of brush strokes and a film to paint, both drawn, for the tests of `cineml keyframes paint`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from tests.film_footage import write_film

PALETTE = np.array([[30, 22, 18], [120, 40, 30], [36, 90, 60], [190, 120, 50], [225, 190, 110], [245, 235, 220]], np.float32)


def strokes(width: int = 96, height: int = 80, count: int = 500, seed: int = 3) -> np.ndarray:
    """Brush strokes of all directions, dark ones below and light ones above: uint8 [H, W, 3]."""
    chance = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    made = np.tile(PALETTE[2], (height, width, 1))
    for _ in range(count):
        cx, cy, angle = chance.uniform(0, width), chance.uniform(0, height), chance.uniform(0, np.pi)
        along = (x - cx) * np.cos(angle) + (y - cy) * np.sin(angle)
        across = -(x - cx) * np.sin(angle) + (y - cy) * np.cos(angle)
        inside = (np.abs(along) < 8) & (np.abs(across) < 1.8)
        light = np.clip((1 - cy / height) * len(PALETTE) + chance.normal(0, 0.7), 0, len(PALETTE) - 1)
        made[inside] = PALETTE[int(light)] + chance.normal(0, 4) + 6 * np.sin(3 * across[inside])[:, None]
    return np.clip(made, 0, 255).astype(np.uint8)


def moving(number: int, width: int = 96, height: int = 72) -> np.ndarray:
    """A textured ground that passes at 1.5 pixels a frame behind a lit ball that stands: uint8 [H, W, 3]."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    at = x + 1.5 * number
    ground = 110 + 45 * np.sin(at / 9) * np.cos(y / 7) + 30 * np.sin(at / 3.7 + y / 5)
    away = np.hypot(x - width / 2, y - height / 2) / (height / 4)
    ball = 235 - 150 * np.clip(away + (x - width / 2) / width, 0, 1)
    made = np.where(away < 1, ball, ground)
    return np.repeat(np.clip(made, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def two_shots(number: int, cut: int, width: int = 64, height: int = 48) -> np.ndarray:
    """`moving`, and from frame `cut` on another place: uint8 [H, W, 3]."""
    return moving(number, width, height) if number < cut else 255 - moving(40 + number, width, height)


def write_painting(folder: Path, frames: int, cut: int) -> Path:
    """film.mp4 of two shots, 64 x 48, and painting.png in the folder."""
    write_film(folder / "film.mp4", frames, picture=lambda n: two_shots(n, cut), options={"crf": "12"})
    Image.fromarray(strokes(64, 56)).save(folder / "painting.png")
    return folder
