"""The shelf of finished frames, and which of them are due at a refresh. Main thread only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from player.sources.frame import Blend, Due, Frame
from player.state import FRAME_TOLERANCE, ShowState

AHEAD_FRAMES = 48  # farther ahead than this in the film lies what was made before it began again
MAX_FRAMES = 48  # more than can be made ahead for two shots of two sources; a bound, so that memory cannot grow


class Shelf:
    """Finished frames in the order they were made; due() never picks a picture of another shot while one of its own is
    there.

    Frames are chosen by the film position they were made for, not by show time: a pause or another rate moves the
    film's time against the show's, and pictures made ahead stay right.
    """

    def __init__(self) -> None:
        self._frames: list[Frame] = []
        self._last = Due()

    def add(self, frames: Iterable[Frame]) -> None:
        self._frames = [*self._frames, *frames][-MAX_FRAMES:]

    def due(self, state: ShowState, hold: bool = False) -> Due:
        """The frames for this refresh. hold: show each until the next is due instead of blending two."""
        if state.freeze and self._last.shot is not None:
            return self._last
        if state.place.in_pause:
            return Due()
        epoch = state.transport.epoch
        older = [f for f in self._frames if f.epoch != epoch]
        self._frames = [f for f in self._frames if f.epoch == epoch]
        position = float(state.place.position + FRAME_TOLERANCE)
        own = self._mixed(state.mix.shot.number, state.source_mix, position, hold)
        outgoing = state.mix.outgoing
        glides = own is not None and outgoing is not None and own.a.glide_from == outgoing.number
        out = self._mixed(outgoing.number, state.outgoing_mix, position, hold) if outgoing is not None and not glides else None
        if own is None:
            # The ladder's second step: what was seen last, even across a cut, is better than black; it is counted. While
            # a hand scrubs, each seek outdates what is being made: the newest of that is nearest to what is asked.
            if older:
                self._last = Due(_newest(older, state.source_mix), stale=True)
            return Due(self._last.shot, self._last.outgoing, stale=True)
        shown = {id(part.a) for blend in (own, out) if blend is not None for part in (blend, blend.under) if part is not None}
        # What lies ahead in the film is still to come too, where the rate was slowed since it was made.
        self._frames = [f for f in self._frames if f.show_time_s > state.show_time_s or id(f) in shown
                        or 0 < f.film_position - position <= AHEAD_FRAMES]
        self._last = Due(own, out)
        return self._last

    def _mixed(self, shot: int, mix: float, position: float, hold: bool) -> Blend | None:
        """A shot's picture: both of its sources where both are seen and there; else the one that is wanted, or the other."""
        wanted = self._blend(shot, mix <= 0, position, hold)
        if wanted is not None and (mix <= 0 or mix >= 1):
            return wanted
        other = self._blend(shot, mix > 0, position, hold)
        if wanted is None or other is None:
            return wanted if wanted is not None else other
        return replace(wanted, under=other, share=mix)

    def _blend(self, shot: int, under: bool, position: float, hold: bool) -> Blend | None:
        own = [f for f in self._frames if f.shot == shot and f.under == under]
        before = [f for f in own if f.film_position <= position]
        after = [f for f in own if f.film_position > position]
        if not before:
            # Early pictures of a shot that has begun (after a seek, or late at a cut) belong to it: show the first.
            return Blend(min(after, key=lambda f: f.film_position)) if after else None
        # max() keeps the first of equals, so look from the newest: a paused film is made anew when the latent changes.
        live = any(f.live for f in before)  # then what was made ahead before a pause is old when the film goes on
        a = max(reversed(before), key=lambda f: f.show_time_s if live else f.film_position)
        if hold or not after or not a.blends or position - a.film_position < 2 * FRAME_TOLERANCE:
            return Blend(a)
        b = min(reversed(after), key=lambda f: f.film_position)
        if not b.blends or b.show_time_s <= a.show_time_s:
            return Blend(a)  # the older one lies ahead in the film: it is the loop's before, not what comes next
        if a.leap != b.leap:
            return Blend(a)  # the latent jumps between them
        return Blend(a, b, (position - a.film_position) / (b.film_position - a.film_position))


def _newest(frames: Sequence[Frame], mix: float) -> Blend:
    """The newest of frames in the order they were made, mixed as its shot's two sources are: the one below a mixture is made
    last, and alone would be the bare film. frames: at least one."""
    shot = frames[-1].shot
    own = [next((f for f in reversed(frames) if f.shot == shot and f.under == under), None) for under in (False, True)]
    over, below = own if mix > 0 else own[::-1]
    if over is None or below is None or mix <= 0 or mix >= 1:
        return Blend(over or below or frames[-1])
    return Blend(over, under=Blend(below), share=mix)
