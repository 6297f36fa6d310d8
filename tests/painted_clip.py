"""A small clip with a moving square before a wall, and a painter whose work is known exactly: what propagation is tested on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 48, 64


def frame(n: int, ground: int = 0) -> np.ndarray:
    """uint8 [48, 64, 3]: a ground with blobs, over it a light square with a dark corner, 2 pixels further in every frame."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    made = 120 + 40 * np.sin(x / 5 + 2 * ground) * np.cos(y / (6 + ground))
    at = 6 + 2 * n
    made[16:36, at : at + 16] = 225
    made[16:24, at : at + 8] = 25
    made = made if ground == 0 else 255 - made[::-1]  # another place altogether
    return np.repeat(np.clip(made, 0, 255).astype(np.uint8)[..., None], 3, 2)


def painted(film: np.ndarray) -> np.ndarray:
    """The same in other colours: what is dark is blue, what is light is orange."""
    share = film[..., :1].astype(np.float32) / 255
    return np.rint((1 - share) * np.array([20, 30, 140]) + share * np.array([250, 170, 60])).astype(np.uint8)


def write_frames(folder: Path, pictures: list[np.ndarray], name: str = "{:06d}.png") -> Path:
    """The pictures as PNGs by their numbers."""
    folder.mkdir(parents=True, exist_ok=True)
    for n, picture in enumerate(pictures):
        Image.fromarray(picture).save(folder / name.format(n))
    return folder


def opened(path: Path) -> np.ndarray:
    """A picture's pixels, uint8 [H, W, 3]."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


@dataclass
class Engine:
    """Instead of the patch search, which takes its time: the key, warped to where the position guide says."""

    calls: int = 0
    stop_after: int = 10**9
    masks: list[Any] | None = None

    def __call__(self, style: np.ndarray, guides: list[Any], settings: Any, **more: Any) -> Any:
        if self.calls >= self.stop_after:
            raise KeyboardInterrupt
        self.calls += 1
        if self.masks is not None:
            self.masks.append((more["source_mask"], more["target_mask"]))
        from tools.keyframes_flow import warp

        place = next(g for g in guides if g.name == "position")
        height, width = style.shape[:2]
        by = (place.target - place.source) * np.array([width, height], np.float32)
        home = np.rint(np.stack(np.meshgrid(np.arange(width), np.arange(height)), 2) + by).astype(np.int32)
        error = 100 * (2 - place.amount)
        return SimpleNamespace(picture=warp(style, by.astype(np.float32)), field=home, error=error.astype(np.float32))
