"""ShowState: the whole truth about one refresh; and advance, the pure function that makes the next one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

from player.show.cut_list import Mix
from player.show.parameter import LOOK, LOOK_NAMES, Value, find
from player.show.show import Cue, Show
from player.show.styling import NO_HAND, WINDOW, StyleHand, played

# A refresh is due at the frame it lies within this much of: show times are floats, film frames are not.
FRAME_TOLERANCE = Fraction(1, 100_000)


@dataclass(frozen=True)
class Command:
    """A request to change the show, already validated (control.parameters). glide_s: None = the show's own.

    fired_by: who asked, for the log: 'osc 10.0.0.5:50211', 'keyboard', 'cue opening'.
    """

    address: str
    value: Value = None
    glide_s: float | None = None
    fired_by: str = ""


@dataclass(frozen=True)
class Transport:
    """film position = film_origin + rate * (show_time_s - show_origin_s) * fps, modulo the period when looping.

    film_origin: frames. rate: 0 while paused is said by playing = False, so that play resumes the rate asked for.
    """

    epoch: int = 0
    show_origin_s: float = 0.0
    film_origin: Fraction = Fraction(0)
    rate: Fraction = Fraction(1)
    playing: bool = True
    loop: bool = True


@dataclass(frozen=True)
class Glide:
    """A value on its way from start to end along a straight line; closed form in time, so replay is exact."""

    start: float
    end: float
    start_s: float
    duration_s: float

    def at(self, show_time_s: float) -> float:
        if show_time_s >= self.start_s + self.duration_s:
            return self.end
        if show_time_s <= self.start_s:
            return self.start
        return self.start + (self.end - self.start) * (show_time_s - self.start_s) / self.duration_s


@dataclass(frozen=True)
class Place:
    """Where a film position lies. position: frames in [0, frames], exact. in_pause: between two loops. ended: past
    the end of a film that does not loop (the last frame is held). loops: how often the film has begun again."""

    position: Fraction
    frame: int
    in_pause: bool = False
    ended: bool = False
    loops: int = 0


@dataclass(frozen=True)
class Latent:
    """The latent parameters at one refresh; units in show.parameter. key: '' or a key latent's name."""

    truncation: float = 1.0
    walk_offset: float = 0.0
    freedom: float = 0.0
    noise_seed: int = 0
    noise_amount: float = 1.0
    key: str = ""


@dataclass(frozen=True)
class ShowState:
    """The whole truth about one refresh.

    show_time_s: when this picture will be seen. place: where the film (and its sound) is; picture: where the picture
    is, the same unless frozen. mix: what of the shots is seen. look: value by name of LOOK_NAMES.
    source_mix: weight of the shot's source over what lies under it; outgoing_mix: the same of a dissolve's outgoing shot.
    style_weights: of all styles that the show knows, as the score gives them to the shot or a hand has set them; style_shares:
    what is played of each, with what a hand adds. hand: all that it asks.
    fade, blackout, captions, volume, mute, delay_ms: see the parameters. values: every changed parameter by address.
    next_go_cue: counts GOs. cued_to: cues at film frames before this one have been fired in this loop.
    """

    show_time_s: float
    transport: Transport
    place: Place
    picture: Place
    mix: Mix
    look_name: str
    look: Mapping[str, float]
    latent: Latent
    blackout: bool = False
    freeze: bool = False
    captions: bool = True
    fade: float = 1.0
    volume: float = 1.0
    mute: bool = False
    delay_ms: float = 0.0
    overlay: bool = False
    fullscreen: bool = False
    stopped: bool = False
    quit: bool = False
    refresh: int = 0
    next_go_cue: int = 0
    cued_to: int = 0
    key_shot: int = 0
    source_mix: float = 1.0
    outgoing_mix: float = 1.0
    mix_offset: float = 0.0
    style_weights: tuple[tuple[str, float], ...] = ()
    style_shares: tuple[tuple[str, float], ...] = ()
    hand: StyleHand = NO_HAND
    values: Mapping[str, Glide | Value] = field(default_factory=dict)


def period_frames(show: Show) -> Fraction:
    """Exact length of one loop in frames: the film and the pause between loops."""
    return show.film.frames + Fraction(show.loop_pause_s).limit_denominator(1000) * show.film.rate


def position_at(transport: Transport, show_time_s: float, show: Show) -> tuple[Fraction, int]:
    """(position, loops): where the film is, in frames; when looping in [0, period), else unbounded upwards. Exact:
    floats enter as the rationals they are, once."""
    position = transport.film_origin
    if transport.playing:
        position += transport.rate * (Fraction(show_time_s) - Fraction(transport.show_origin_s)) * show.film.rate
    position = max(position, Fraction(0))
    if not transport.loop:
        return position, 0
    period = period_frames(show)
    loops = int((position + FRAME_TOLERANCE) // period)
    return max(position - loops * period, Fraction(0)), loops


def place_at(transport: Transport, show_time_s: float, show: Show) -> Place:
    """Where the film is at a show time."""
    position, loops = position_at(transport, show_time_s, show)
    frame = math.floor(position + FRAME_TOLERANCE)
    if frame < show.film.frames:
        return Place(position, frame, loops=loops)
    last = show.film.frames - 1
    return Place(Fraction(last), last, in_pause=transport.loop, ended=not transport.loop, loops=loops)


def show_time_of(transport: Transport, place: Place, frame: int, show: Show) -> float:
    """The show time at which film frame `frame` of the same loop as `place` is due; inf while paused."""
    if not transport.playing or transport.rate == 0:
        return math.inf
    position = frame + place.loops * period_frames(show) - transport.film_origin
    return float(Fraction(transport.show_origin_s) + position / (transport.rate * show.film.rate))


def first_state(show: Show, show_time_s: float = 0.0) -> ShowState:
    """The state before the first refresh: playing from the show's start frame, nothing changed by anyone."""
    transport = Transport(show_origin_s=show_time_s, film_origin=Fraction(show.start_frame), loop=show.loop)
    values: dict[str, Glide | Value] = {}
    if show.sound.delay_ms:
        values["/cineml/sound/delay_ms"] = show.sound.delay_ms
    if show.sound.volume != 1.0:
        values["/cineml/sound/volume"] = show.sound.volume
    if show.captions is not None and not show.captions.burn_in:
        values["/cineml/output/captions"] = False
    if show.output.fullscreen:
        values["/cineml/window/fullscreen"] = True
    return _resolve(_Change(transport, values, show.start_frame), show_time_s, show, None)


def value_at(values: Mapping[str, Glide | Value], address: str, show_time_s: float) -> Value:
    """What a parameter is worth at a show time: the asked value on its glide, else the table's default."""
    if (held := values.get(address)) is None:
        p = find(address)
        return p.default if p is not None else None
    return held.at(show_time_s) if isinstance(held, Glide) else held


def mix_offset_at(values: Mapping[str, Glide | Value], show_time_s: float) -> float:
    """What a hand adds to the mix of two sources at a show time, also one that is still to come: a glide is known ahead."""
    held = value_at(values, "/cineml/source/mix_offset", show_time_s)
    return float(held) if isinstance(held, (int, float)) else 0.0


def hand_at(values: Mapping[str, Glide | Value], show_time_s: float) -> StyleHand:
    """What a hand asks of stylised shots at a show time, like mix_offset_at."""
    asked = [a for a in values if a.startswith("/cineml/style/")]
    if not asked:
        return NO_HAND

    def by_style(name: str) -> tuple[tuple[str, float], ...]:
        return tuple((a.split("/")[3], _number(values, a, show_time_s)) for a in asked if a.endswith("/" + name))

    return StyleHand(by_style("weight"), by_style("offset"), _number(values, "/cineml/style/smooth_offset", show_time_s),
                     _number(values, "/cineml/style/mask_amount", show_time_s))


def hands_at(state: ShowState, show_time_s: float, show: Show) -> tuple[StyleHand, ...]:
    """hand_at at a show time and at the film frames before it that a smoothed picture is made of, latest first; one alone where
    no hand has asked anything. What a fader did before its last move is not known, so that is taken for where it began."""
    now = hand_at(state.values, show_time_s)
    if now is NO_HAND:
        return (NO_HAND,)
    frame_s = float(1 / (show.film.rate * (state.transport.rate or 1)))
    return (now, *(hand_at(state.values, show_time_s - k * frame_s) for k in range(1, WINDOW + 1)))


def _number(values: Mapping[str, Glide | Value], address: str, show_time_s: float) -> float:
    held = value_at(values, address, show_time_s)
    return float(held) if isinstance(held, (int, float)) else 0.0


def step_at(values: Mapping[str, Glide | Value], shot: int, show_time_s: float, show: Show) -> tuple[int, float]:
    """(film frames that a picture of a shot is held for, 0 where none is; smear 0..1): step printing, as look and hand ask."""
    if not show.steps and "/cineml/look/step_print" not in values:
        return 0, 0.0
    look = _look_values(values, shot, show_time_s, show)[1]
    frames = round(look["step_print"])
    return (frames, look["smear"]) if frames >= 2 else (0, 0.0)


def advance(previous: ShowState, commands: Iterable[Command], now_s: float, show: Show) -> ShowState:
    """The state at show time now_s, after the commands and the cues that are due. Pure: the same arguments give the
    same state."""
    change = _Change(previous.transport, dict(previous.values), previous.cued_to, previous)
    for c in [*commands, *_cues_passed(previous, now_s, show)]:
        _apply(change, c, now_s, show)
    place = place_at(change.transport, now_s, show)
    sought = change.transport.epoch != previous.transport.epoch
    if sought:
        change.cued_to = place.frame  # landed here: a cue on this very frame is due, once the film plays
    if change.transport.playing:
        landed = [c for c in show.cues if c.at_frame is not None and change.cued_to <= c.at_frame <= place.frame]
        change.cued_to = place.frame + 1
        if sought or previous.refresh == 0:
            for c in _sends(landed):
                _apply(change, c, now_s, show)
    return _resolve(change, now_s, show, previous)


class _Change:
    """What one advance has changed so far. Written command by command, and never seen outside advance, so it alone of
    all state is not frozen."""

    def __init__(self, transport: Transport, values: dict[str, Glide | Value], cued_to: int,
                 previous: ShowState | None = None) -> None:
        self.transport, self.values, self.cued_to = transport, values, cued_to
        self.stopped = previous.stopped if previous else False
        self.quit = previous.quit if previous else False
        self.next_go_cue = previous.next_go_cue if previous else 0
        self.key_shot = previous.key_shot if previous else 0


def _sends(cues: Iterable[Cue]) -> list[Command]:
    return [Command(a, v, g, f"cue {cue.name}") for cue in cues for a, v, g in cue.sends]


def _cues_passed(previous: ShowState, now_s: float, show: Show) -> list[Command]:
    """Commands of the cues whose frames the film has come to since the previous refresh, in the order of the show."""
    if previous.refresh == 0 or not previous.transport.playing:
        return []
    first, place = previous.cued_to, place_at(previous.transport, now_s, show)
    if place.loops == previous.place.loops:
        return _sends(c for c in show.cues if c.at_frame is not None and first <= c.at_frame <= place.frame)
    return _sends(c for c in show.cues if c.at_frame is not None and (c.at_frame >= first or c.at_frame <= place.frame))


def _rebased(transport: Transport, now_s: float, show: Show, **more: Any) -> Transport:
    """The same film position from now on, with another rate, loop or playing. No new epoch: what is made stays good."""
    position, _ = position_at(transport, now_s, show)
    if not transport.loop:
        position = min(position, Fraction(show.film.frames))
    return replace(transport, show_origin_s=now_s, film_origin=position, **more)


def _sought(transport: Transport, position: Fraction, now_s: float, show: Show, playing: bool) -> Transport:
    """Another film position from now on: a new epoch."""
    position = min(max(position, Fraction(0)), Fraction(show.film.frames - 1))
    return replace(transport, epoch=transport.epoch + 1, show_origin_s=now_s, film_origin=position, playing=playing)


def _apply(change: _Change, c: Command, now_s: float, show: Show) -> None:
    """One command."""
    noun, _, name = c.address.removeprefix("/cineml/").partition("/")
    if noun == "transport":
        _apply_transport(change, name, c, now_s, show)
    elif noun == "shot":
        shot = show.cuts.by_number(int(name.partition("/")[0]))
        if shot is not None:
            change.stopped = False
            change.transport = _sought(change.transport, Fraction(shot.start), now_s, show, True)
    elif c.address == "/cineml/style/release":
        set_by_hand = [a for a in change.values if a.startswith("/cineml/style/") and a.endswith("/weight")]
        for address in set_by_hand:
            del change.values[address]
    elif c.address == "/cineml/window/quit":
        change.quit = True
    else:
        _apply_value(change, noun, name, c, now_s, show)


def _apply_value(change: _Change, noun: str, name: str, c: Command, now_s: float, show: Show) -> None:
    here = place_at(change.transport, now_s, show)
    p = find(c.address)
    if p is not None and p.glides:
        start = value_at(change.values, c.address, now_s)
        if noun == "look" and c.address not in change.values:
            start = _look_values(change.values, show.cuts.shot_at(here.frame).number, now_s, show)[1][name]
        elif noun == "style" and name.endswith("/weight") and c.address not in change.values:
            start = show.shares_of(show.cuts.shot_at(here.frame).number, here.frame).get(name.partition("/")[0], 0.0)
        glide_s = show.control.glide_s if c.glide_s is None else c.glide_s
        change.values[c.address] = Glide(float(start or 0.0), float(c.value or 0.0), now_s, glide_s)
    else:
        change.values[c.address] = c.value
    if c.address == "/cineml/look/select":
        for look_name in LOOK_NAMES:  # a look that is called for comes whole: what a hand had set gives way
            change.values.pop(f"/cineml/look/{look_name}", None)
    if c.address == "/cineml/latent/key":
        change.key_shot = show.cuts.shot_at(here.frame).number


def _apply_transport(change: _Change, name: str, c: Command, now_s: float, show: Show) -> None:
    transport = change.transport
    here = place_at(transport, now_s, show)
    if name == "play":
        change.stopped = False
        if here.ended:
            change.transport = _sought(transport, Fraction(0), now_s, show, True)
        elif not transport.playing:
            change.transport = _rebased(transport, now_s, show, playing=True)
    elif name == "pause" and transport.playing:
        change.transport = _rebased(transport, now_s, show, playing=False)
    elif name == "stop":
        change.stopped = True
        change.transport = _sought(transport, Fraction(0), now_s, show, False)
    elif name == "seek_s":
        position = Fraction(float(c.value or 0)) * show.film.rate
        change.transport = _sought(transport, position, now_s, show, transport.playing)
    elif name == "seek_frame":
        change.transport = _sought(transport, Fraction(int(c.value or 0)), now_s, show, transport.playing)
    elif name == "rate":
        rate = Fraction(float(c.value or 0)).limit_denominator(1000)
        if rate != transport.rate:
            change.transport = _rebased(transport, now_s, show, rate=rate)
    elif name == "loop" and bool(c.value) != transport.loop:
        change.transport = _rebased(transport, now_s, show, loop=bool(c.value))
    elif name == "go" and not c.fired_by.startswith("cue "):  # a cue cannot fire the next: one GO, one cue
        waiting = [cue for cue in show.cues if cue.at_frame is None]
        if not waiting:
            _apply_transport(change, "play", c, now_s, show)
            return
        cue = waiting[change.next_go_cue % len(waiting)]
        change.next_go_cue += 1
        for sent in _sends([cue]):
            _apply(change, sent, now_s, show)


def _look_values(values: Mapping[str, Glide | Value], shot: int, now_s: float, show: Show) -> tuple[str, dict[str, float]]:
    """(name, value by LOOK_NAMES) of the look that a shot plays: the one called for, else the score's, and over it
    what a hand has set."""
    name = str(value_at(values, "/cineml/look/select", now_s) or "") or show.look_of(shot)
    base = show.looks[name].values if name in show.looks else {}
    look: dict[str, float] = {}
    for p in LOOK:
        if p.name != "select":
            held = value_at(values, p.address, now_s) if p.address in values else base.get(p.name, p.default)
            look[p.name] = float(held) if isinstance(held, (int, float)) else 0.0
    return name, look


def _resolve(change: _Change, now_s: float, show: Show, previous: ShowState | None) -> ShowState:
    """Everything that follows from transport, time and values."""
    values = change.values

    def number(address: str) -> float:
        return _number(values, address, now_s)

    def flag(address: str) -> bool:
        return bool(value_at(values, address, now_s))

    place = place_at(change.transport, now_s, show)
    freeze = flag("/cineml/output/freeze")
    picture = previous.picture if freeze and previous is not None else place
    mix = show.cuts.mix_at(picture.frame)
    offset = mix_offset_at(values, now_s)
    source_mix = show.mix_at(mix.shot.number, picture.frame, offset)
    hand = hand_at(values, now_s)
    weights: dict[str, float] = {}
    shares: dict[str, float] = {}
    if show.stylizer is not None:
        own = show.shares_of(mix.shot.number, picture.frame)
        weights = dict.fromkeys(show.styles, 0.0) | own | dict(hand.weights)
        shares = played(own, hand)
    outgoing_mix = show.mix_at(mix.outgoing.number, picture.frame, offset) if mix.outgoing is not None else 1.0
    look_name, look = _look_values(values, mix.shot.number, now_s, show)
    held = change.key_shot == mix.shot.number
    key = str(value_at(values, "/cineml/latent/key", now_s) or "") if held else ""
    latent = Latent(number("/cineml/latent/truncation"), number("/cineml/latent/walk_offset"),
                    number("/cineml/latent/freedom"), int(number("/cineml/latent/noise_seed")),
                    number("/cineml/latent/noise_amount"), key)
    return ShowState(
        show_time_s=now_s, transport=change.transport, place=place, picture=picture, mix=mix, look_name=look_name,
        look=look, latent=latent, blackout=flag("/cineml/output/blackout"), freeze=freeze,
        captions=flag("/cineml/output/captions"), fade=number("/cineml/output/fade"),
        volume=number("/cineml/sound/volume"), mute=flag("/cineml/sound/mute"),
        delay_ms=number("/cineml/sound/delay_ms"), overlay=flag("/cineml/window/overlay"),
        fullscreen=flag("/cineml/window/fullscreen"), stopped=change.stopped, quit=change.quit,
        refresh=previous.refresh + 1 if previous else 0, next_go_cue=change.next_go_cue, cued_to=change.cued_to,
        key_shot=change.key_shot if key else 0, source_mix=source_mix, outgoing_mix=outgoing_mix, mix_offset=offset,
        style_weights=tuple(weights.items()), style_shares=tuple(shares.items()), hand=hand, values=values)
