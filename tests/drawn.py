"""Pictures as the compositor and the projector draw them, in real GL offscreen: what the tests of the screen look at."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from player.screen.compositor import Compositor
from player.screen.offscreen import Offscreen
from player.screen.projector import Projector
from player.show.cut_list import CutList, Mix, Shot
from player.show.film import Film
from player.show.show import Output, Show
from player.sources.frame import Blend, Due, Frame
from player.state import ShowState, first_state

Pixels = npt.NDArray[np.uint8]
SIZE = (160, 90)
SHOTS = (Shot(1, 0, 120), Shot(2, 120, 240, "dissolve", 12))


def a_show(film: tuple[int, int] = SIZE, size: tuple[int, int] = SIZE, fit: str = "contain", seed: int = 1967) -> Show:
    return Show("test", Path("test.toml"), Film(Fraction(24), 240, *film), CutList("test", Fraction(24), 240, SHOTS),
                outputs=(Output(size=size, fit=fit),), seed=seed)


def a_frame(pixels: Pixels, inner: tuple[float, float, float, float] | None = None, source: str = "film") -> Frame:
    height, width, _ = pixels.shape
    return Frame(pixels, 0.0, 0, 1, 0.0, source, inner or (0, 0, width, height))


def flat(value: int | tuple[int, int, int], size: tuple[int, int] = SIZE) -> Pixels:
    return np.full((size[1], size[0], 3), value, np.uint8)


def noise(size: tuple[int, int] = SIZE, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)


def linear(coded: npt.ArrayLike) -> npt.NDArray[np.float64]:
    c = np.asarray(coded, np.float64) / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


class Picture:
    """A show's compositor and projector on a framebuffer of the show's size."""

    def __init__(self, screen: Offscreen, show: Show):
        self.show, self.ctx = show, screen.ctx
        self.compositor = Compositor(screen.ctx, show.output.size, show)
        self.projector = Projector(screen.ctx, show.output)
        self.target = screen.ctx.simple_framebuffer(show.output.size, 4)

    def state(self, frame: int = 0, mix: Mix | None = None, **look: float) -> ShowState:
        base = first_state(self.show)
        picture = replace(base.picture, frame=frame)
        return replace(base, picture=picture, mix=mix or base.mix, look={**base.look, **look})

    def light(self, state: ShowState, due: Due) -> npt.NDArray[np.float64]:
        texture = self.compositor.linear(state, due, self.compositor.caption_at(state))
        width, height = texture.size
        return np.frombuffer(texture.read(), np.float16).reshape(height, width, 4)[..., :3].astype(np.float64)

    def seen(self, state: ShowState, due: Due, lines: tuple[str, ...] = ()) -> Pixels:
        self.projector.draw(self.compositor.draw(state, due), self.target, lines)
        width, height = self.target.size
        raw = np.frombuffer(self.target.read(components=3, alignment=1), np.uint8)
        return raw.reshape(height, width, 3)[::-1]


def one(pixels: Pixels, **options: object) -> Due:
    return Due(Blend(a_frame(pixels, **options)))  # type: ignore[arg-type]
