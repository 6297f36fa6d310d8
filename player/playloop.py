"""One refresh of the screen in seven steps, top to bottom; and the loop that repeats it."""

from __future__ import annotations

import collections
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from player.show.film import format_timecode
from player.show.show import Show
from player.sources.aim import Aim, aim_at, next_aim
from player.sources.frame import Due, Frame
from player.sources.shelf import Shelf
from player.state import Command, ShowState, Transport, advance, first_state


class Clock(Protocol):
    name: str

    def show_time_at(self, monotonic_s: float) -> float: ...


class Screen(Protocol):
    """A window or an offscreen picture; see screen.window and screen.offscreen."""

    framebuffer: Any

    @property
    def size_px(self) -> tuple[int, int]: ...
    @property
    def refresh_hz(self) -> float: ...
    @property
    def renderer(self) -> str: ...
    def next_flip_s(self) -> float: ...
    def swap(self) -> float: ...
    def keys(self) -> list[str]: ...
    def set_fullscreen(self, on: bool) -> None: ...
    def read(self) -> npt.NDArray[np.uint8]: ...
    def close(self) -> None: ...


class Compositor(Protocol):
    def resize(self, size_px: tuple[int, int]) -> None: ...
    def draw(self, state: ShowState, due: Due) -> Any: ...


class Projector(Protocol):
    def draw(self, picture: Any, framebuffer: Any, overlay_lines: tuple[str, ...]) -> None: ...


class Inference(Protocol):
    def pace_of(self, source: str) -> float: ...
    @property
    def waiting(self) -> Aim | None:
        """The aim that has been given and not yet begun."""
        ...
    def make(self, aim: Aim | None) -> None: ...
    def finished(self) -> list[Frame]: ...
    def make_and_wait(self, aim: Aim) -> list[Frame]: ...
    def facts(self) -> dict[str, Any]: ...


class Soundtrack(Protocol):
    def follow(self, transport: Transport, show: Show, gain: float) -> None: ...


class Report(Protocol):
    refresh_hz: float

    def flipped(self, state: ShowState, due: Due, target_s: float, flipped_s: float) -> None: ...
    @property
    def overlay_lines(self) -> tuple[str, ...]: ...


HALF_A_MS = 0.0005  # of tolerance, so that a duration of whole refreshes is that many refreshes

Inbox = collections.deque[Command]
Taker = Callable[[ShowState, int, npt.NDArray[np.uint8]], None]


@dataclass
class Parts:
    """Everything that __main__ has built for one show. inbox: commands from control threads.

    take: given (state, refresh, pixels) of each refresh where pictures are recorded. publish: snapshots for control.
    flipped: given (state, perf_counter seconds) of each refresh.
    """

    show: Show
    clock: Clock
    screen: Screen
    compositor: Compositor
    projector: Projector
    inference: Inference
    report: Report
    soundtrack: Soundtrack | None = None
    inbox: Inbox = field(default_factory=lambda: new_inbox())
    keyboard: Callable[[Sequence[str], ShowState, Show], list[Command]] | None = None
    publish: Callable[[ShowState], None] | None = None
    take: Taker | None = None
    flipped: Callable[[ShowState, float], None] | None = None


def new_inbox() -> Inbox:
    """The one queue through which control threads reach the loop. Bounded: of a flood the newest stay."""
    return collections.deque(maxlen=4096)


def drained(inbox: Inbox) -> list[Command]:
    """All commands posted so far, no more than were there when it starts, so that a flood cannot hold the loop."""
    return [inbox.popleft() for _ in range(len(inbox))]


def _playing(state: ShowState, show: Show) -> str:
    """The source of the shot that is seen, where it has two how they are mixed, and the shares of its styles."""
    row, under = show.score_shot(state.mix.shot.number), show.under_of(state.mix.shot.number)
    styles = [f"{name} {share:.2f}" for name, share in state.style_shares if share > 0]
    styled = f" ({', '.join(styles)})" if "stylizer" in row.sources and styles else ""
    mixed = len(row.sources) > 1 or state.source_mix < 1
    return (f"{row.source} {state.source_mix:.2f} over {under}" if mixed else row.source) + styled


def overlay(state: ShowState, parts: Parts) -> tuple[str, ...]:
    """The technicians' lines."""
    if not state.overlay:
        return ()
    show, shot = parts.show, state.mix.shot
    at = format_timecode(state.place.frame, show.film.rate)
    end = format_timecode(show.film.frames, show.film.rate)
    playing = "stopped" if state.stopped else "playing" if state.transport.playing else "paused"
    label = f" {shot.label}" if shot.label else ""
    screen = parts.screen
    return (f"{show.name}   {playing}   {at} / {end}   frame {state.place.frame}",
            f"shot {shot.number} of {len(show.cuts.shots)}{label}   source {_playing(state, show)}",
            f"look {state.look_name or 'plain'}   clock {parts.clock.name}   picture delay {state.delay_ms:+.0f} ms",
            f"{screen.size_px[0]}x{screen.size_px[1]} at {screen.refresh_hz:.4g} Hz   {screen.renderer}",
            *parts.report.overlay_lines)


def play(parts: Parts, duration_s: float | None = None, lead_s: float = 0.0) -> ShowState:
    """The show in real time, until it is quit or duration_s of show time has passed. The loop never waits for a
    model, a device or a message; only the screen's flip paces it. Returns the last state.

    lead_s: how much later than now the film's sound begins at the earliest, so that its first sample is still ahead of the
    sound card's buffer. The film's first frame is the first picture however large the picture delay is.
    """
    show, screen, shelf = parts.show, parts.screen, Shelf()
    first_aim = aim_at(first_state(show), 0.0, show)
    shelf.add(parts.inference.make_and_wait(first_aim))  # the only wait: nothing is seen yet
    # What the first flip shows is seen that much later (before the sound of now, for a negative delay): the film begins
    # no earlier than that, or its first frames would never be seen.
    delay_s = first_state(show).delay_ms / 1000
    begin_s = parts.clock.show_time_at(screen.next_flip_s() + delay_s)
    if lead_s > 0:
        # A quarter refresh before a flip: film frames then begin neither just after a flip (seen a whole refresh late)
        # nor so close before one that the clock's jitter decides.
        begin_s += (max(math.ceil((lead_s - delay_s) * screen.refresh_hz), 1) - 0.25) / screen.refresh_hz
    begin_s = max(begin_s, 0.0)  # by the wall clock, which nothing is heard by, a negative delay has nothing to wait for
    state = first_state(show, begin_s)
    last_aim = replace(first_aim, show_time_s=begin_s)
    fullscreen = state.fullscreen
    while not state.quit:
        # The time the picture will be SEEN: a projector that shows it later gets it earlier.
        flip_s = screen.next_flip_s()
        now_s = max(parts.clock.show_time_at(flip_s + state.delay_ms / 1000), state.show_time_s)
        if duration_s is not None and now_s - begin_s >= duration_s - HALF_A_MS:
            break

        # 1 what was asked
        commands = drained(parts.inbox)
        if parts.keyboard and (keys := screen.keys()):
            commands += parts.keyboard(keys, state, show)

        # 2 what is true now
        state = advance(state, commands, now_s, show)
        if parts.soundtrack is not None:
            parts.soundtrack.follow(state.transport, show, 0.0 if state.mute or state.stopped else state.volume)
        if state.fullscreen != fullscreen:
            fullscreen = state.fullscreen
            screen.set_fullscreen(fullscreen)

        # 3 what to make for the future. One aim waits at most, unless a seek has made it worthless.
        waiting = parts.inference.waiting
        if waiting is None or waiting.epoch != state.transport.epoch:
            aim = next_aim(state, last_aim, parts.inference.pace_of, 1.0 / screen.refresh_hz, show)
            if aim is not None:
                parts.inference.make(aim)
                last_aim = aim

        # 4 the pictures for this time
        shelf.add(parts.inference.finished())
        due = shelf.due(state, hold=state.look["hold"] >= 0.5)

        # 5, 6 drawn
        parts.compositor.resize(screen.size_px)  # full screen on another monitor is another size
        picture = parts.compositor.draw(state, due)
        parts.projector.draw(picture, screen.framebuffer, overlay(state, parts))
        pixels = screen.read() if parts.take else None

        # 7 seen, and how late
        parts.report.refresh_hz = screen.refresh_hz  # full screen may have landed on another monitor
        flipped_s = screen.swap()
        parts.report.flipped(state, due, flip_s, flipped_s)
        if parts.flipped:
            parts.flipped(state, flipped_s)
        if parts.publish:
            parts.publish(state)
        if parts.take and pixels is not None:
            parts.take(state, state.refresh, pixels)
    return state


def render(parts: Parts, first_frame: int, frames: int, take: Taker,
           commands_at: Callable[[int], list[Command]] | None = None) -> None:
    """The same steps under the manual clock: every film frame once, each waiting for exactly its picture.

    take: given (state, index from 0, pixels) in order. commands_at: commands to apply at a frame (replay, tests).
    """
    show, screen, shelf = parts.show, parts.screen, Shelf()
    state: ShowState | None = None
    for index in range(frames):
        now_s = float(index / show.film.rate)
        if state is None:
            state = first_state(replace(show, start_frame=first_frame), now_s)
        state = advance(state, commands_at(index) if commands_at else [], now_s, show)
        aim = aim_at(state, now_s, show)
        if aim.layers:
            shelf.add(parts.inference.make_and_wait(aim))
        due = shelf.due(state, hold=True)
        picture = parts.compositor.draw(state, due)
        parts.projector.draw(picture, screen.framebuffer, overlay(state, parts))
        take(state, index, screen.read())
