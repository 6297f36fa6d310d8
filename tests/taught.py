"""A film of six small frames, two paintings and the command lines that train on them within seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.stylizer_form import DIRECTIONS
from tools import style_train_canvas

SIDE = 64
SMALL = ["--crop", "32", "--batch", "2", "--blocks", "1", "--threads", "1"]


def draw_film(folder: Path) -> Path:
    """Six frames of a disc that moves over a slope."""
    y, x = np.mgrid[:SIDE, : SIDE + 8]
    for i in range(6):
        picture = np.stack([x * 2, y * 2, 90 + x], axis=2).astype(np.float32)
        picture[(x - 20 - 3 * i) ** 2 + (y - 32) ** 2 < 120] = (230, 220, 200)
        Image.fromarray(picture.astype(np.uint8)).save(folder / f"{i:03d}.png")
    return folder


def draw_paintings(folder: Path) -> list[Path]:
    """Two paintings: stripes in two directions."""
    y, x = np.mgrid[:96, :96]
    chance = np.random.default_rng(0)
    for name, wave, tint in (("across strokes", np.sin(y / 2), (1.0, 0.6, 0.3)), ("down", np.sin(x / 3), (0.3, 0.7, 1.0))):
        grey = 128 + 90 * wave + chance.normal(0, 6, wave.shape)
        Image.fromarray(np.clip(grey[..., None] * np.array(tint), 0, 255).astype(np.uint8)).save(folder / f"{name}.png")
    return sorted(folder.iterdir())


def words(film: Path, paintings: list[Path], run: Path, *more: str) -> list[str]:
    """A run of seconds."""
    return ["--film", str(film), "--style", *map(str, paintings), "-o", str(run), "--frames", "2", "--width", "4", *SMALL,
            "--canvas", "1", "--snapshot-steps", "2", *more]  # fmt: skip


def paint(run: Path, names: list[str], numbers: list[int]) -> None:
    """Painted frames as a person would put them there: the optimiser has nothing left to do."""
    for k, name in enumerate(names):
        (run / "teacher" / name).mkdir(parents=True)
        for n in numbers:
            picture = np.random.default_rng(n + k).integers(0, 256, (SIDE, SIDE + 8, 3), np.uint8)
            Image.fromarray(picture).save(run / "teacher" / name / f"{n:06d}.png")


def lay_any_strokes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Strokes of a canvas that nobody had to paint."""
    planes = np.random.default_rng(0).standard_normal((DIRECTIONS, 256, 256)).astype(np.float32)
    given = planes, np.array([0.1, 0.05, 0.0], np.float32)
    monkeypatch.setattr(style_train_canvas, "strokes_of", lambda *_: given)
