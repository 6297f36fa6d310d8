"""Stylised shows and sources for tests: of drawn frames, and from files."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import floor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from player.show.cut_list import CutList, Shot, write_csv
from player.show.film import Film
from player.show.score import Score, ScoreShot
from player.show.show import Show, Stylizer
from player.show.styling import Styling
from player.sources.aim import Aim, Layer, aim_at
from player.sources.figure_masks import FigureMasks
from player.sources.frame import Frame
from player.sources.stylizer import StylizerSource
from player.state import Command, advance, first_state
from tests.numbered_film import FRAMES, RATE, SIZE, numbered, write_numbered
from tests.tiny_stylizer import STYLES, write_tiny_stylizer

SHOTS = (Shot(1, 0, 24), Shot(2, 24, 48, "dissolve", 8), Shot(3, 48, 72))
CUTS = CutList("numbered.mp4", RATE, FRAMES, SHOTS)
ROW = '[[shot]]\nnumber = 2\nsource = "stylizer"\n'
BLEND = Styling(((24, (("negative", 1.0),)), (40, (("dim", 1.0),))))


class Drawn:
    """A source that gives what a function draws of a film frame, and counts."""

    def __init__(self, name: str = "film", draw: Callable[[int], np.ndarray] = numbered) -> None:
        self.name, self.draw, self.asked = name, draw, list[int]()

    def open(self) -> None:
        pass

    def make(self, aim: Aim, layer: Layer) -> Frame:
        self.asked.append(floor(layer.film_position))
        pixels = self.draw(self.asked[-1])
        inner = (0.0, 0.0, float(pixels.shape[1]), float(pixels.shape[0]))
        return Frame(pixels, aim.show_time_s, aim.epoch, layer.shot, float(layer.film_position), self.name, inner)

    def close(self) -> None:
        pass

    def facts(self) -> dict[str, Any]:
        return {"provider": None}


def styled_show(model: Path, *rows: ScoreShot, **more: Any) -> Show:
    settings: dict[str, Any] = {"name": "styled", "path": Path("styled.toml"), "film": Film(RATE, FRAMES, *SIZE), "cuts": CUTS,
                                "source": "stylizer", "stylizer": Stylizer(model), "styles": STYLES}  # fmt: skip
    return Show(**{**settings, **more, **({"score": Score(rows)} if rows else {})})


def opened(show: Show, base: Any = None) -> StylizerSource:
    base = base or Drawn()
    source = StylizerSource(show, {base.name: base}, FigureMasks(show), threads=1)
    source.open()
    return source


def picture(source: StylizerSource, show: Show, frame: int | Fraction, *commands: Command, shot: int = 0) -> np.ndarray:
    at_s = float(Fraction(frame) / RATE)
    state = advance(first_state(show), commands, at_s, show)
    aim = aim_at(state, at_s, show)
    number = shot or show.cuts.shot_at(floor(frame)).number
    return source.make(aim, Layer(number, "stylizer", Fraction(frame))).pixels


def mask_folder(folder: Path, numbers: range = range(FRAMES), width: int = SIZE[0]) -> Path:
    """The left half is the figure, in each frame one pixel farther."""
    folder.mkdir(exist_ok=True)
    for number in numbers:
        mask = np.zeros((SIZE[1], width), np.uint8)
        mask[:, : width // 2 + number % 3] = 255
        Image.fromarray(mask).save(folder / f"{number:06d}.png")
    return folder


def show_in(folder: Path, rows: str = "", top: str = "", model: bool = True) -> Path:
    write_csv(CUTS, folder / "cuts.csv")
    if not (folder / "film.mp4").exists():
        write_numbered(folder / "film.mp4", picture=lambda i: np.full((SIZE[1], SIZE[0], 3), 60 + i, np.uint8))
    if model:
        write_tiny_stylizer(folder / "tiny.onnx")
    (folder / "score.toml").write_text(rows, encoding="utf-8")
    (folder / "show.toml").write_text(
        'name = "styled"\n[film]\nfile = "film.mp4"\ncuts = "cuts.csv"\n[play]\nsource = "film"\nloop = false\n'
        '[score]\nfile = "score.toml"\n[output.main]\nsize = [64, 48]\n[control]\nosc_port = 0\n'
        + (top or '[stylizer]\nfile = "tiny.onnx"\n'), encoding="utf-8")
    return folder / "show.toml"


