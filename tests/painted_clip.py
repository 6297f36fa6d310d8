"""A small clip with a moving square before a wall, and a painter whose work is known exactly: what propagation is tested on."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from player.show.cut_list import CutList, Shot, write_csv

HEIGHT, WIDTH = 48, 64
CUT, FRAMES = 6, 12


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


def film_frame(n: int) -> np.ndarray:
    """Of a film of twelve frames and two shots: another place from frame 6 on."""
    return frame(n % CUT, n // CUT)


def write_clip(folder: Path, name: str = "{:06d}.png") -> Path:
    """frames/ (12, two shots), keys/ (of frames 1 and 7) and cuts.csv in the folder."""
    write_frames(folder / "frames", [film_frame(n) for n in range(FRAMES)], name)
    (folder / "keys").mkdir()
    for n in (1, 7):
        Image.fromarray(painted(film_frame(n))).save(folder / "keys" / f"{n:06d}.png")
    write_cuts(folder / "cuts.csv")
    return folder


def write_cuts(path: Path, into: str = "cut", length: int = 0) -> None:
    """The two shots; how the second one comes in."""
    shots = (Shot(1, 0, CUT), Shot(2, CUT, FRAMES, into, length, "black" if into == "fade" else ""))
    write_csv(CutList("frames", Fraction(24), FRAMES, shots), path)


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


def stand_in(monkeypatch: pytest.MonkeyPatch) -> Engine:
    """The Engine, in the place of the patch search."""
    from tools import patch_engine

    made = Engine()
    monkeypatch.setattr(patch_engine, "synthesise", made)
    return made
