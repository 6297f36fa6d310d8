"""Aim: the show time, shots and latents the next picture should be made for. Pure functions of the state.

Why aims and not "now": asking for now and showing the newest is late at a cut by the model's own time. Aiming ahead,
with the new shot's first picture made early and held, is late by half a refresh whatever the model takes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction

from player.show.show import Show
from player.state import Latent, Place, ShowState, Transport, period_frames, place_at, show_time_of

MAX_AHEAD_PICTURES = 3  # how far pictures are made ahead; more would make the latent slower to obey OSC


@dataclass(frozen=True)
class Layer:
    """One picture to make: shot number, its source, and the film position in frames (a dissolve's outgoing shot goes
    on past its end). glide_from, glide_weight: another shot whose latent is mixed in, ws = (1 - weight) * that + weight
    * own; 0 = none."""

    shot: int
    source: str
    film_position: Fraction
    glide_from: int = 0
    glide_weight: float = 1.0


@dataclass(frozen=True)
class Aim:
    """What the next picture(s) should be made for. layers: incoming shot first, then a dissolve's outgoing shot."""

    show_time_s: float
    epoch: int
    layers: tuple[Layer, ...]
    latent: Latent
    seed: int = 0

    def same_picture(self, other: Aim | None) -> bool:
        """Whether making this aim would make the other's pixels again (a paused film)."""
        return other is not None and (self.epoch, self.layers, self.latent, self.seed) == (
            other.epoch, other.layers, other.latent, other.seed)


def layers_at(place: Place, show: Show) -> tuple[Layer, ...]:
    """The pictures that are seen at a place of the film; none between loops."""
    if place.in_pause:
        return ()
    mix = show.cuts.mix_at(place.frame)
    row = show.score_shot(mix.shot.number)
    if mix.outgoing is None:
        return (Layer(mix.shot.number, row.source, place.position),)
    out_row = show.score_shot(mix.outgoing.number)
    if row.entry == "glide" and row.source == out_row.source == "generator":
        return (Layer(mix.shot.number, row.source, place.position, mix.outgoing.number, mix.weight),)
    return (Layer(mix.shot.number, row.source, place.position), Layer(mix.outgoing.number, out_row.source, place.position))


def aim_at(state: ShowState, show_time_s: float, show: Show) -> Aim:
    """The aim for one show time, with the state's transport and latents."""
    place = state.picture if state.freeze else place_at(state.transport, show_time_s, show)
    layers, latent = layers_at(place, show), state.latent
    if latent.key and layers and layers[0].shot != state.key_shot:
        latent = replace(latent, key="")  # a key that was called for lasts until its shot ends, and this one is ahead
    return Aim(show_time_s, state.transport.epoch, layers, latent, show.seed)


def next_aim(state: ShowState, last: Aim | None, pace_s: float, show: Show) -> Aim | None:
    """What the inference thread should make next, or None while enough is made ahead.

    last: the aim given before (None at the start). pace_s: how long one picture takes to make, recently.
    """
    now_s, transport = state.show_time_s, state.transport
    fresh = last is None or last.epoch != transport.epoch
    if not transport.playing or transport.rate == 0 or state.freeze or state.place.ended:
        aim = aim_at(state, now_s, show)
        return None if aim.same_picture(last) or not aim.layers else aim
    if fresh:
        target_s = now_s
    else:
        assert last is not None
        target_s = _after(transport, last.show_time_s, pace_s, show)
        soonest_s = now_s + pace_s
        if target_s < soonest_s - pace_s:  # it would be seen more than a picture late: skip to what can be in time
            target_s = soonest_s
        slot_s = max(pace_s, float(1 / (show.film.rate * transport.rate)))
        if target_s > now_s + MAX_AHEAD_PICTURES * slot_s:
            return None
    target_s = _out_of_pause(transport, target_s, show)
    if target_s > now_s + 1.0:
        return None  # the pause between loops is long: come back later
    aim = aim_at(state, target_s, show)
    return aim if aim.layers else None


def _after(transport: Transport, last_s: float, pace_s: float, show: Show) -> float:
    """The show time of the picture after the one at last_s: one slot on, but never past the next cut without
    stopping at its first frame."""
    place = place_at(transport, last_s, show)
    source = show.score_shot(show.cuts.shot_at(place.frame).number).source
    mix = show.cuts.mix_at(place.frame)
    slot_s = pace_s * (2 if mix.outgoing is not None else 1)
    frame_s = float(1 / (show.film.rate * transport.rate))
    if source != "generator" or slot_s <= frame_s:
        # On the film's own frames; a source that is slower than the film skips whole frames.
        frames_on = max(1, math.ceil(slot_s / frame_s - 0.25))
        target_s = show_time_of(transport, place, place.frame + frames_on, show)
    else:
        target_s = last_s + slot_s
    if not place.in_pause:
        # A picture less than half a slot before the cut would only make the new shot's first one late.
        cut_s = show_time_of(transport, place, show.cuts.shot_at(place.frame).end, show)
        if target_s > cut_s - (slot_s / 2 if slot_s > frame_s else 0.0):
            return cut_s
    return target_s


def _out_of_pause(transport: Transport, target_s: float, show: Show) -> float:
    """target_s, or the first frame of the next loop where target_s lies in the pause between two loops."""
    place = place_at(transport, target_s, show)
    if not place.in_pause:
        return target_s
    position = (place.loops + 1) * period_frames(show) - transport.film_origin
    return float(Fraction(transport.show_origin_s) + position / (transport.rate * show.film.rate))
