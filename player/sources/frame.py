"""Frame: pixels and the show time they were made for; Due: the frames that make up one refresh."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from player.sources.aim import Aim, Layer

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Frame:
    """A picture made for an aim.

    pixels: [H, W, 3] uint8, sRGB, top row first, never written again once in a Frame.
    inner: (x, y, w, h) of the film's picture inside `pixels`, in pixels (a generator's square is padded).
    source: who made it: generator, stylizer, film, clip, camera, testcard, black, or fallback.
    leap: of the latent, what can only jump (the key that was called for, the noise seed): pictures with different leaps
    are never blended.
    glide_from: the outgoing shot that is in these pixels already, since the latent glides from it; 0: none.
    under: whether it is what lies under its shot's own source.
    like_film: of a clip, and of what is made of others, whether it is numbered like the film and holds its fades and dissolves.
    held: whether it stands for some film frames as it is, so that it must not be blended with its neighbours.
    live: whether it is a camera's: what was made later is nearer to now, wherever the film stood.
    """

    pixels: Pixels
    show_time_s: float
    epoch: int
    shot: int
    film_position: float
    source: str
    inner: tuple[float, float, float, float]
    leap: tuple[str, int] = ("", 0)
    glide_from: int = 0
    under: bool = False
    like_film: bool = False
    held: bool = False
    live: bool = False

    @property
    def has_transitions(self) -> bool:
        """Whether the film's own fades are in these pixels already, and must not be drawn again."""
        return self.like_film or self.source in ("film", "fallback")

    @property
    def blends(self) -> bool:
        """Whether two neighbours of one shot may be blended: film and test card frames are held instead."""
        return self.source == "generator" and not self.held


@dataclass(frozen=True, eq=False)
class Blend:
    """One shot's picture at a refresh, in linear light: own = (1 - weight) * a + weight * b, b None: a alone; over a second
    source it is share * own + (1 - share) * under, under None: own alone."""

    a: Frame
    b: Frame | None = None
    weight: float = 0.0
    under: Blend | None = None
    share: float = 1.0


@dataclass(frozen=True, eq=False)
class Due:
    """What to draw. shot: of state.mix.shot; outgoing: of state.mix.outgoing in a dissolve that mixes two pictures. None:
    nothing made, draw black. stale: the picture belongs to another shot or epoch than the state asks for (held because
    nothing better is there); reported, never chosen."""

    shot: Blend | None = None
    outgoing: Blend | None = None
    stale: bool = False


class Held(Exception):
    """Raised by a source that cannot make what it was asked for and has a picture to hold instead: the fault is counted, the
    picture is shown."""

    def __init__(self, frame: Frame, why: str) -> None:
        super().__init__(why)
        self.frame = frame


class FrameSource(Protocol):
    """Anything that makes a Frame for an Aim. All are opened and warmed before the first refresh, in open().

    open raises ShowError for what a person can mend. make may raise anything: the inference thread counts the fault
    and goes down the ladder; it is called from one thread only, never the main thread in real time. A source that is made of
    others has them in `bases`, by name: while it hangs they are not closed.
    """

    name: str

    def open(self) -> None: ...

    def make(self, aim: Aim, layer: Layer) -> Frame: ...

    def close(self) -> None: ...

    def facts(self) -> dict[str, Any]:
        """For stats and overlay: at least {'provider': str | None}."""
        ...
