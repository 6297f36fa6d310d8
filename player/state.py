"""ShowState: the whole truth about one refresh; and advance, the pure function that makes the next one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction

from player.show.cut_list import Mix
from player.show.parameter import BY_ADDRESS, LOOK, LOOK_NAMES, Value
from player.show.show import Show

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
    fade, blackout, volume, mute, delay_ms: see the parameters. values: every changed parameter by address.
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
    key_shot: int = 0
    values: Mapping[str, Glide | Value] = field(default_factory=dict)


def period_frames(show: Show) -> Fraction:
    """Exact length of one loop in frames: the film and the pause between loops."""
    return show.film.frames + Fraction(show.loop_pause_s).limit_denominator(1000) * show.film.rate


def place_at(transport: Transport, show_time_s: float, show: Show) -> Place:
    """Where the film is at a show time. Exact: floats enter as the rationals they are, once."""
    position = transport.film_origin
    if transport.playing:
        position += transport.rate * (Fraction(show_time_s) - Fraction(transport.show_origin_s)) * show.film.rate
    position = max(position, Fraction(0))
    loops = 0
    period = period_frames(show)
    if transport.loop:
        loops = int((position + FRAME_TOLERANCE) // period)
        position -= loops * period
        position = max(position, Fraction(0))
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
    if show.output.fullscreen:
        values["/cineml/window/fullscreen"] = True
    return _resolve(transport, show_time_s, show, values, None, {})


def value_at(values: Mapping[str, Glide | Value], address: str, show_time_s: float) -> Value:
    """What a parameter is worth at a show time: the asked value on its glide, else the table's default."""
    held = values.get(address, BY_ADDRESS[address].default)
    return held.at(show_time_s) if isinstance(held, Glide) else held


def advance(previous: ShowState, commands: Iterable[Command], now_s: float, show: Show) -> ShowState:
    """The state at show time now_s, after the commands. Pure: the same arguments give the same state."""
    transport, values = previous.transport, dict(previous.values)
    changes: dict[str, object] = {}
    for c in commands:
        transport = _apply(c, transport, values, changes, previous, now_s, show)
    return _resolve(transport, now_s, show, values, previous, changes)


def _seek(transport: Transport, position: Fraction, now_s: float, show: Show, playing: bool) -> Transport:
    position = min(max(position, Fraction(0)), Fraction(show.film.frames - 1))
    return replace(transport, epoch=transport.epoch + 1, show_origin_s=now_s, film_origin=position, playing=playing)


def _apply(c: Command, transport: Transport, values: dict[str, Glide | Value], changes: dict[str, object],
           previous: ShowState, now_s: float, show: Show) -> Transport:
    """One command. Returns the transport after it; other changes go into `values` and `changes`."""
    here = place_at(transport, now_s, show)
    noun, _, name = c.address.removeprefix("/cineml/").partition("/")
    if noun == "transport":
        return _transport_command(name, c, transport, changes, previous, now_s, show, here)
    if noun == "shot":
        shot = show.cuts.by_number(int(name.partition("/")[0]))
        if shot is not None:
            changes["stopped"] = False
            return _seek(transport, Fraction(shot.start), now_s, show, True)
        return transport
    if c.address == "/cineml/window/quit":
        changes["quit"] = True
        return transport
    parameter = BY_ADDRESS[c.address]
    if parameter.glides:
        start = value_at(values, c.address, now_s) if noun != "look" else previous.look[name]
        glide_s = show.control.glide_s if c.glide_s is None else c.glide_s
        values[c.address] = Glide(float(start or 0.0), float(c.value or 0.0), now_s, glide_s)
    else:
        values[c.address] = c.value
    if c.address == "/cineml/look/select":
        for look_name in LOOK_NAMES:  # a look that is called for comes whole: what a hand had set gives way
            values.pop(f"/cineml/look/{look_name}", None)
    if c.address == "/cineml/latent/key":
        changes["key_shot"] = show.cuts.shot_at(here.frame).number
    return transport


def _transport_command(name: str, c: Command, transport: Transport, changes: dict[str, object], previous: ShowState,
                       now_s: float, show: Show, here: Place) -> Transport:
    if name == "play" and not transport.playing:
        changes["stopped"] = False
        position = Fraction(0) if here.ended else transport.film_origin
        return _seek(transport, position, now_s, show, True)
    if name == "play" and here.ended:
        return _seek(transport, Fraction(0), now_s, show, True)
    if name == "pause" and transport.playing:
        return _seek(transport, here.position, now_s, show, False)
    if name == "stop":
        changes["stopped"] = True
        return _seek(transport, Fraction(0), now_s, show, False)
    if name == "seek_s":
        return _seek(transport, Fraction(float(c.value or 0)) * show.film.rate, now_s, show, transport.playing)
    if name == "seek_frame":
        return _seek(transport, Fraction(int(c.value or 0)), now_s, show, transport.playing)
    if name == "rate":
        rate = Fraction(float(c.value or 0)).limit_denominator(1000)
        return replace(_seek(transport, here.position, now_s, show, transport.playing), rate=rate)
    if name == "loop":
        # Rebased to here first: without that, a film in its third loop would be past its end at once.
        return replace(_seek(transport, here.position, now_s, show, transport.playing), loop=bool(c.value))
    if name == "go":
        changes["next_go_cue"] = previous.next_go_cue + 1  # the loop fires it; see cues_due
        if not any(cue.at_frame is None for cue in show.cues):
            return _transport_command("play", c, transport, changes, previous, now_s, show, here)
    return transport


def cues_due(previous: ShowState, now_s: float, commands: Iterable[Command], show: Show) -> tuple[Command, ...]:
    """Commands of the cues due at this refresh: those whose film frame was passed since the previous refresh, and the
    next waiting one for each GO among the commands."""
    fired: list[Command] = []
    transport = previous.transport
    before, after = previous.place, place_at(transport, now_s, show)
    if transport.playing:
        for cue in show.cues:
            if cue.at_frame is None:
                continue
            first = previous.refresh == 0 and before.frame == cue.at_frame
            wrapped = after.loops > before.loops
            passed = before.frame < cue.at_frame <= after.frame if not wrapped else (
                cue.at_frame > before.frame or cue.at_frame <= after.frame)
            if first or passed:
                fired += [Command(a, v, g, f"cue {cue.name}") for a, v, g in cue.sends]
    waiting = [cue for cue in show.cues if cue.at_frame is None]
    go_index = previous.next_go_cue
    for c in commands:
        if c.address == "/cineml/transport/go" and waiting:
            cue = waiting[go_index % len(waiting)]
            go_index += 1
            fired += [Command(a, v, g, f"cue {cue.name}") for a, v, g in cue.sends]
    return tuple(fired)


def _resolve(transport: Transport, now_s: float, show: Show, values: Mapping[str, Glide | Value],
             previous: ShowState | None, changes: Mapping[str, object]) -> ShowState:
    """Everything that follows from transport, time and values."""
    def number(address: str) -> float:
        held = value_at(values, address, now_s)
        return float(held) if isinstance(held, (int, float)) else 0.0

    def flag(address: str) -> bool:
        return bool(value_at(values, address, now_s))

    def text(address: str) -> str:
        return str(value_at(values, address, now_s) or "")

    place = place_at(transport, now_s, show)
    freeze = flag("/cineml/output/freeze")
    picture = previous.picture if freeze and previous is not None else place
    mix = show.cuts.mix_at(picture.frame)
    look_name = text("/cineml/look/select") or show.look_of(mix.shot.number)
    base = show.looks[look_name].values if look_name in show.looks else {}
    look: dict[str, float] = {}
    for p in LOOK:
        if p.name == "select":
            continue
        own = base.get(p.name, p.default)
        own = float(own) if isinstance(own, (int, float)) else 0.0
        look[p.name] = number(p.address) if p.address in values else own
    key_shot = int(str(changes.get("key_shot", previous.key_shot if previous else 0)))
    key = text("/cineml/latent/key") if key_shot == mix.shot.number else ""
    latent = Latent(number("/cineml/latent/truncation"), number("/cineml/latent/walk_offset"),
                    number("/cineml/latent/freedom"), int(number("/cineml/latent/noise_seed")),
                    number("/cineml/latent/noise_amount"), key)
    return ShowState(
        show_time_s=now_s, transport=transport, place=place, picture=picture, mix=mix, look_name=look_name, look=look,
        latent=latent, blackout=flag("/cineml/output/blackout"), freeze=freeze, fade=number("/cineml/output/fade"),
        volume=number("/cineml/sound/volume"), mute=flag("/cineml/sound/mute"),
        delay_ms=number("/cineml/sound/delay_ms"),
        overlay=flag("/cineml/window/overlay"), fullscreen=flag("/cineml/window/fullscreen"),
        stopped=bool(changes.get("stopped", previous.stopped if previous else False)),
        quit=bool(changes.get("quit", previous.quit if previous else False)),
        refresh=previous.refresh + 1 if previous else 0,
        next_go_cue=int(str(changes.get("next_go_cue", previous.next_go_cue if previous else 0))),
        key_shot=key_shot if key else 0, values=values)
