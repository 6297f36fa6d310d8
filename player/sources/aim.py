"""Aim: the show time, shots and latents the next picture should be made for. Pure functions of the state.

Why aims and not "now": asking for now and showing the newest is late at a cut by the model's own time. Aiming ahead,
with the new shot's first picture made early and held, is late by half a refresh whatever the model takes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction

from player.show.show import Show
from player.show.styling import NO_HAND, StyleHand
from player.state import (
    FRAME_TOLERANCE,
    Latent,
    Place,
    ShowState,
    Transport,
    hands_at,
    mix_offset_at,
    period_frames,
    place_at,
    position_at,
    show_time_of,
    step_at,
)

MAX_AHEAD_PICTURES = 3  # how far pictures are made ahead; more would make the latent slower to obey OSC
OVER = 0.25  # of a film frame's time, that a picture may take longer and still count as in time
PULLDOWN = 1.6  # film frames' time a picture, up to which 2:3 pulldown is kept: it takes 1.5, and paces are the slow ones


@dataclass(frozen=True)
class Layer:
    """One picture to make: shot number, its source, and the film position in frames (a dissolve's outgoing shot goes
    on past its end). glide_from, glide_weight: another shot whose latent is mixed in, ws = (1 - weight) * that + weight
    * own; 0 = none. under: whether it lies under the shot's own source. step: how many film frames a picture is held for, 0 =
    not; smear: 0..1, how much of those skipped is in it."""

    shot: int
    source: str
    film_position: Fraction
    glide_from: int = 0
    glide_weight: float = 1.0
    under: bool = False
    step: int = 0
    smear: float = 0.0


@dataclass(frozen=True)
class Aim:
    """What the next picture(s) should be made for. layers: incoming shot first, then a dissolve's outgoing shot; of a shot that
    mixes two sources, its own first. hands: what a hand asks of stylised pictures, at the aim's own film frame and those
    before. live: whether nobody waits for it, so that what would make it late may be left out of it."""

    show_time_s: float
    epoch: int
    layers: tuple[Layer, ...]
    latent: Latent
    seed: int = 0
    hands: tuple[StyleHand, ...] = (NO_HAND,)
    live: bool = False

    def same_picture(self, other: Aim | None) -> bool:
        """Whether making this aim would make the other's pixels again (a paused film)."""
        return other is not None and (self.epoch, self.layers, self.latent, self.seed, self.hands) == (
            other.epoch, other.layers, other.latent, other.seed, other.hands)


def _of_shot(number: int, place: Place, show: Show, mix_offset: float) -> tuple[Layer, ...]:
    """What one shot shows: both of its sources only where both are seen."""
    row = show.score_shot(number)
    mix = show.mix_at(number, place.frame, mix_offset)
    own = (Layer(number, row.source, place.position),) if mix > 0 else ()
    return own if mix >= 1 else (*own, Layer(number, show.under_of(number), place.position, under=True))


def layers_at(place: Place, show: Show, mix_offset: float = 0.0) -> tuple[Layer, ...]:
    """The pictures that are seen at a place of the film; none between loops. mix_offset: see the parameter."""
    if place.in_pause:
        return ()
    mix = show.cuts.mix_at(place.frame)
    if mix.outgoing is None:
        return _of_shot(mix.shot.number, place, show, mix_offset)
    row, out_row = show.score_shot(mix.shot.number), show.score_shot(mix.outgoing.number)
    if row.entry == "glide" and row.sources == out_row.sources == ("generator",):
        return (Layer(mix.shot.number, row.source, place.position, mix.outgoing.number, mix.weight),)
    return (*_of_shot(mix.shot.number, place, show, mix_offset), *_of_shot(mix.outgoing.number, place, show, mix_offset))


def is_live(layer: Layer, show: Show) -> bool:
    """Whether a layer shows a camera, itself or painted over: it has no film time, and goes on while the film stands."""
    return layer.source == "camera" or (layer.source == "stylizer" and show.styled(layer.shot).over == "camera")


def aim_at(state: ShowState, show_time_s: float, show: Show) -> Aim:
    """The aim for one show time, with the state's transport and latents."""
    place = state.picture if state.freeze else place_at(state.transport, show_time_s, show)
    layers, latent = layers_at(place, show, mix_offset_at(state.values, show_time_s)), state.latent
    if latent.key and layers and layers[0].shot != state.key_shot:
        latent = replace(latent, key="")  # a key that was called for lasts until its shot ends, and this one is ahead
    layers = tuple(_stepped(layer, state, show_time_s, show) for layer in layers)
    hands = hands_at(state, show_time_s, show) if any(layer.source == "stylizer" for layer in layers) else (NO_HAND,)
    return Aim(show_time_s, state.transport.epoch, layers, latent, show.seed, hands)


def _stepped(layer: Layer, state: ShowState, show_time_s: float, show: Show) -> Layer:
    """A layer as its shot's look has it printed."""
    frames, smear = step_at(state.values, layer.shot, show_time_s, show)
    return replace(layer, step=frames, smear=smear) if frames else layer


def next_aim(state: ShowState, last: Aim | None, pace_of: Callable[[str], float], refresh_s: float, show: Show) -> Aim | None:
    """What the inference thread should make next, or None while enough is made ahead.

    last: the aim given before (None at the start). pace_of: how long one picture of a source takes, recently. refresh_s: from
    one flip of the screen to the next; one aim can be given in that time, and what is aimed at now is drawn at the next
    flip at the earliest.
    """
    now_s, transport = state.show_time_s, state.transport
    if not transport.playing or transport.rate == 0 or state.freeze or state.place.ended:
        aim = aim_at(state, now_s, show)  # it stands: there is time for all of it
        goes_on = last is not None and _camera_goes_on(state, aim, last, show)
        return None if not aim.layers or (aim.same_picture(last) and not goes_on) else aim
    frame_s = _frame_s(transport, last.layers if last is not None else (), show)
    last_s = _time_of(state, last, show) if last is not None and last.epoch == transport.epoch else None
    if last is not None and last_s is not None and not _lacks(state, last, last_s, show):
        made_s = sum(pace_of(layer.source) for layer in last.layers)
        target_s = _after(state, last_s, made_s, refresh_s, show)
        if target_s > now_s + MAX_AHEAD_PICTURES * max(made_s, frame_s, refresh_s):
            return None
    else:
        made_s = sum(pace_of(layer.source) for layer in layers_at(state.place, show, state.mix_offset))
        target_s = now_s + max(made_s, refresh_s)
    target_s = _out_of_pause(transport, target_s, show)
    if target_s > now_s + 1.0:
        return None  # the pause between loops is long: come back later
    aim = replace(aim_at(state, target_s, show), live=True)
    return None if aim.same_picture(last) or not aim.layers else aim


def _camera_goes_on(state: ShowState, aim: Aim, last: Aim, show: Show) -> bool:
    """Whether it is time for another picture of a camera, as many a second as the film has, while the film stands; a picture
    that is frozen or stopped by hand stands too."""
    if state.freeze or state.stopped or not any(is_live(layer, show) for layer in aim.layers):
        return False
    now, then = (math.floor(Fraction(one.show_time_s) * show.film.rate + FRAME_TOLERANCE) for one in (aim, last))
    return now != then


def _frame_s(transport: Transport, layers: tuple[Layer, ...], show: Show) -> float:
    """How long a film frame is seen; where a camera is, not longer than at the film's own rate."""
    slow = transport.rate < 1 and any(is_live(layer, show) for layer in layers)
    return float(1 / (show.film.rate if slow else show.film.rate * transport.rate))


def _lacks(state: ShowState, last: Aim, last_s: float, show: Show) -> bool:
    """Whether a hand has moved the mix since the last aim, so that it leaves out a source which is seen then: what is made
    ahead is of no use, and that source is wanted at once."""
    if not any(show.under_of(layer.shot) for layer in last.layers):
        return False
    wanted = layers_at(place_at(state.transport, last_s, show), show, mix_offset_at(state.values, last_s))
    made = {(layer.shot, layer.under) for layer in last.layers}
    return {layer.shot for layer in wanted} == {shot for shot, _ in made} and any(
        (layer.shot, layer.under) not in made for layer in wanted)


def _time_of(state: ShowState, last: Aim, show: Show) -> float:
    """The show time at which the film is where an aim was made for: the aim's own, unless the rate has changed since or
    the film has paused."""
    if not last.layers:
        return last.show_time_s
    transport = state.transport
    ahead = last.layers[0].film_position - position_at(transport, state.show_time_s, show)[0]
    if transport.loop:
        period = period_frames(show)
        ahead = (ahead + period / 4) % period - period / 4
    return float(Fraction(state.show_time_s) + ahead / (transport.rate * show.film.rate))


def _after(state: ShowState, last_s: float, made_s: float, refresh_s: float, show: Show) -> float:
    """The show time of the picture after the one at last_s: one slot on, no earlier than it can be seen, and never past
    a cut that is still to come without stopping at the first picture of the new shot that the screen will show. made_s: how
    long that picture takes."""
    now_s, transport = state.show_time_s, state.transport
    place = place_at(transport, last_s, show)
    layers = _of_shot(show.cuts.shot_at(place.frame).number, place, show, mix_offset_at(state.values, last_s))
    # A picture that takes longer than a refresh waits for the one before it, which has only just been begun.
    soonest_s = now_s + (refresh_s if made_s <= refresh_s else 2 * made_s)
    frame_s = _frame_s(transport, layers, show)
    slot_s = max(made_s, refresh_s)
    near_s = float(FRAME_TOLERANCE) * frame_s
    if transport.rate < 1 and any(is_live(layer, show) for layer in layers):
        slot_s = max(made_s, frame_s)
        return _before_cut(transport, last_s, max(last_s + slot_s, soonest_s), soonest_s, slot_s / 2, show)
    if all(layer.source == "generator" for layer in layers) and slot_s > frame_s + near_s:
        if made_s <= refresh_s:  # each flip gets a picture of its very time
            return now_s + refresh_s * max(1, round((last_s + refresh_s - now_s) / refresh_s))
        return _before_cut(transport, last_s, max(last_s + slot_s, soonest_s), soonest_s, slot_s / 2, show)
    # On the film's own frames; a source that is slower than the film skips whole frames.
    on = _frames_on(made_s / frame_s, place.frame - show.cuts.shot_at(place.frame).start)
    target_s = show_time_of(transport, place, place.frame + on, show)
    slack_s = made_s / 2 if made_s > frame_s else 0.0
    target_s = _before_cut(transport, last_s, max(target_s, soonest_s), soonest_s, slack_s, show)
    # ... and a screen that is slower than the film never shows some: what counts is the frame at the first flip from then.
    target_s = _out_of_pause(transport, target_s, show)
    flip_s = now_s + refresh_s * math.ceil((target_s - near_s - now_s) / refresh_s)
    place = place_at(transport, flip_s, show)
    return flip_s if place.in_pause else show_time_of(transport, place, place.frame, show)


def _frames_on(slower: float, at: int) -> int:
    """How many film frames on the next picture is, for a source that takes `slower` frames' time for one. at: the last
    picture's frame, from its shot's start. In even steps, or by the turns of 2:3 pulldown (frames 0, 1, 3, 4, 6 ...), which are
    known from films on television: a picture left out now and then is seen as a stumble. A little over counts as in time,
    because paces are measured on the slow side."""
    if 1 + OVER < slower <= PULLDOWN:
        return 2 if at % 3 == 1 else 1
    return max(1, math.ceil(slower - OVER))


def _before_cut(transport: Transport, last_s: float, target_s: float, soonest_s: float, slack_s: float, show: Show) -> float:
    """target_s, or the next cut where that lies no more than slack_s after it: a picture just before a cut would only
    make the new shot's first one late. Cuts that come too soon for any picture are past."""
    place = place_at(transport, max(last_s, soonest_s), show)
    if place.in_pause:
        return target_s
    cut_s = show_time_of(transport, place, show.cuts.shot_at(place.frame).end, show)
    return cut_s if target_s > cut_s - slack_s else target_s


def _out_of_pause(transport: Transport, target_s: float, show: Show) -> float:
    """target_s, or the first frame of the next loop where target_s lies in the pause between two loops."""
    place = place_at(transport, target_s, show)
    if not place.in_pause:
        return target_s
    position = (place.loops + 1) * period_frames(show) - transport.film_origin
    return float(Fraction(transport.show_origin_s) + position / (transport.rate * show.film.rate))
