"""A render's time a frame, and the time of its three parts measured alone: generator, draw, encode."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from player import playloop
from player.__main__ import Opening, make_inference, make_screen
from player.clock import ManualClock
from player.recorder import Recorder
from player.report import Report
from player.screen.compositor import Compositor
from player.screen.projector import Projector
from player.show.config import load_show
from player.show.show import Show
from player.sources.aim import aim_at
from player.sources.film_reader import probe_film
from player.sources.shelf import Shelf
from player.state import advance, first_state

FRAMES = 240


def opened(show_path: Path, stack: ExitStack) -> tuple[Show, playloop.Parts]:
    """The demo's parts under the manual clock, as `cineml render` builds them."""
    show = replace(load_show(show_path, probe_film), loop=False)
    opening = Opening(stack)
    inference = make_inference(show, opening, 2, None)
    screen = opening.tried(lambda: make_screen(show, offscreen=True, realtime=False))
    opening.finish()
    assert screen is not None
    report = Report(show, inference.facts, renderer=screen.renderer, refresh_hz=24.0)
    return show, playloop.Parts(show, ManualClock(), screen, Compositor(screen.ctx, screen.size_px, show),
                                Projector(screen.ctx, show.output), inference, report)


def render_s_per_frame(show_path: Path, folder: Path) -> float:
    """Seconds a frame of a render of the first FRAMES frames, opening not counted."""
    with ExitStack() as stack:
        show, parts = opened(show_path, stack)
        count = min(FRAMES, show.film.frames)
        begin_s = time.perf_counter()
        with Recorder(folder / "timed.mp4", parts.screen.size_px, show.film.rate) as recorder:
            playloop.render(parts, 0, count, lambda state, index, pixels: recorder.add(pixels, index))
        return (time.perf_counter() - begin_s) / count


def alone_s_per_frame(show_path: Path, folder: Path) -> dict[str, float]:
    """Seconds a frame of making, drawing (with reading back) and encoding the same frames, one after the other."""
    with ExitStack() as stack:
        show, parts = opened(show_path, stack)
        count = min(FRAMES, show.film.frames)
        state, states, frames = first_state(show), [], []
        for index in range(count):
            state = advance(state, [], float(Fraction(index) / show.film.rate), show)
            states.append(state)
        begin_s = time.perf_counter()
        for state in states:
            frames.append(parts.inference.make_and_wait(aim_at(state, state.show_time_s, show)))
        made_s = time.perf_counter() - begin_s
        shelf, pictures = Shelf(), []
        begin_s = time.perf_counter()
        for state, finished in zip(states, frames, strict=True):
            shelf.add(finished)
            parts.projector.draw(parts.compositor.draw(state, shelf.due(state, hold=True)), parts.screen.framebuffer, ())
            pictures.append(parts.screen.read())
        drawn_s = time.perf_counter() - begin_s
        begin_s = time.perf_counter()
        with Recorder(folder / "alone.mp4", parts.screen.size_px, show.film.rate) as recorder:
            for index, picture in enumerate(pictures):
                recorder.add(picture, index)
        encoded_s = time.perf_counter() - begin_s
    return {"generator": made_s / count, "draw": drawn_s / count, "encode": encoded_s / count}


