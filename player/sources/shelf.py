"""The shelf of finished frames, and which of them are due at a refresh. Main thread only."""

from __future__ import annotations

from collections.abc import Iterable

from player.sources.frame import Blend, Due, Frame
from player.state import FRAME_TOLERANCE, ShowState

MAX_FRAMES = 24  # more than can be made ahead for two shots; a bound, so that memory cannot grow


class Shelf:
    """Finished frames in order of show time; due() never picks a picture of another shot while one of its own is
    there, and never one that was made for another epoch."""

    def __init__(self) -> None:
        self._frames: list[Frame] = []
        self._last = Due()

    def add(self, frames: Iterable[Frame]) -> None:
        self._frames = sorted([*self._frames, *frames], key=lambda f: f.show_time_s)[-MAX_FRAMES:]

    def due(self, state: ShowState, hold: bool = False) -> Due:
        """The frames for this refresh. hold: show each until the next is due instead of blending two."""
        if state.freeze and self._last.shot is not None:
            return self._last
        if state.place.in_pause:
            return Due()
        self._frames = [f for f in self._frames if f.epoch == state.transport.epoch]
        tolerance_s = float(FRAME_TOLERANCE / 24)
        own = self._blend(state.mix.shot.number, state.show_time_s + tolerance_s, hold)
        out = None
        if state.mix.outgoing is not None:
            out = self._blend(state.mix.outgoing.number, state.show_time_s + tolerance_s, hold)
        if own is None:
            # The ladder's second step: what was seen last, even across a cut, is better than black; it is counted.
            return Due(self._last.shot, self._last.outgoing, stale=True)
        shown = {id(blend.a) for blend in (own, out) if blend is not None}
        self._frames = [f for f in self._frames if f.show_time_s > state.show_time_s or id(f) in shown]
        self._last = Due(own, out)
        return self._last

    def _blend(self, shot: int, now_s: float, hold: bool) -> Blend | None:
        before = [f for f in self._frames if f.shot == shot and f.show_time_s <= now_s]
        after = [f for f in self._frames if f.shot == shot and f.show_time_s > now_s]
        if not before:
            # Early pictures of a shot that has begun (after a seek, or late at a cut) belong to it: show the first.
            return Blend(after[0]) if after else None
        a = before[-1]
        if after and a.blends and after[0].blends and after[0].film_position >= a.film_position and not hold:
            b = after[0]  # a smaller film position is the next loop's: never blended across the loop's own cut
            return Blend(a, b, (now_s - a.show_time_s) / (b.show_time_s - a.show_time_s))
        return Blend(a)
