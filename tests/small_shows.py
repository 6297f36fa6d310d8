"""Small shows built by hand, for tests of the pure core."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from player.show.cut_list import CutList, Shot
from player.show.film import Film
from player.show.show import Show

SHOTS = (Shot(1, 0, 24), Shot(2, 24, 33), Shot(3, 33, 72, "dissolve", 8),
         Shot(4, 72, 96, out="fade", out_frames=6, out_colour="black"), Shot(5, 96, 120, "fade", 5, "black"))


def small_show(shots: tuple[Shot, ...] = SHOTS, rate: Fraction = Fraction(24), **more: object) -> Show:
    frames = shots[-1].end
    settings: dict[str, object] = {"name": "small", "path": Path("small.toml"), "film": Film(rate, frames, 64, 48),
                                   "cuts": CutList("small", rate, frames, shots), "source": "generator"}
    return Show(**{**settings, **more})  # type: ignore[arg-type]
