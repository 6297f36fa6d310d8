"""Black as a source: a shot that shows nothing."""

from __future__ import annotations

from typing import Any

import numpy as np

from player.show.show import Show
from player.sources.aim import Aim, Layer
from player.sources.frame import Frame


class BlackSource:
    """The film's size in black, always the same array."""

    name = "black"

    def __init__(self, show: Show) -> None:
        width, height = show.film.width, show.film.height
        self._pixels = np.zeros((height, width, 3), np.uint8)
        self._inner = (0.0, 0.0, float(width), float(height))

    def open(self) -> None:
        pass

    def make(self, aim: Aim, layer: Layer) -> Frame:
        return Frame(self._pixels, aim.show_time_s, aim.epoch, layer.shot, float(layer.film_position), self.name, self._inner)

    def close(self) -> None:
        pass

    def facts(self) -> dict[str, Any]:
        return {"provider": None}
