"""Builds everything for one show and plays, renders or checks it: the only place that knows all parts.

Exit codes: 0 done, 2 bad input (every problem listed, one sentence each), 1 a fault of ours, 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from player import playloop
from player.show.film import parse_timecode
from player.show.problem import Problem, ShowError
from player.show.show import Show
from player.sources.frame import FrameSource
from player.state import Command, ShowState, Transport

log = logging.getLogger("cineml")
Made = TypeVar("Made")


class Opening:
    """Opens parts one by one and keeps every problem, so that a person mends them in one go."""

    def __init__(self, stack: ExitStack):
        self.stack = stack
        self.problems: list[Problem] = []

    def tried(self, make: Callable[[], Made], close: bool = True) -> Made | None:
        """What make() gives, closed when the show ends; None, and its problems kept, where it raises ShowError."""
        try:
            made = make()
        except ShowError as e:
            self.problems += [p for p in e.problems if p not in self.problems]
            return None
        if close and hasattr(made, "close"):
            self.stack.callback(made.close)  # type: ignore[union-attr]
        return made

    def finish(self) -> None:
        """Raises ShowError where anything could not be opened."""
        if self.problems:
            raise ShowError(self.problems)


def loaded(args: argparse.Namespace) -> Show:
    """The show of the command line: its TOML, the venue's, then the options. Raises ShowError."""
    from player.show.config import load_show, load_venue, with_venue
    from player.sources.film_reader import probe_film

    problems: list[Problem] = []
    show: Show | None = None
    venue = None
    try:
        show = load_show(Path(args.show), probe_film)
    except ShowError as e:
        problems += e.problems
    if getattr(args, "venue", None):
        try:
            venue = load_venue(Path(args.venue))
        except ShowError as e:
            problems += e.problems
    if show is None or problems:
        raise ShowError(problems)
    if venue is not None:
        show = with_venue(show, venue)
    output = show.output
    if getattr(args, "size", None):
        output = replace(output, size=args.size)
    if getattr(args, "refresh", None):
        output = replace(output, refresh_hz=args.refresh)
    if getattr(args, "fullscreen", False):
        output = replace(output, fullscreen=True)
    show = replace(show, outputs=(output, *show.outputs[1:]))
    if getattr(args, "osc_port", None) is not None:
        show = replace(show, control=replace(show.control, osc_port=args.osc_port))
    if getattr(args, "start", None):
        try:
            frame = parse_timecode(args.start, show.film.rate)
        except ValueError as e:
            raise ShowError(Problem("--start", str(e))) from None
        if frame >= show.film.frames:
            raise ShowError(Problem("--start", f"{args.start} is frame {frame}", f"0 to {show.film.frames - 1}"))
        show = replace(show, start_frame=frame)
    return show


def source_names(show: Show) -> set[str]:
    """The kinds of source that the show's shots play."""
    return {show.score_shot(shot.number).source for shot in show.cuts.shots}


def make_inference(show: Show, opening: Opening, threads: int, require_provider: str | None) -> Any:
    """The inference with every source that the show needs, opened and warmed."""
    from player.sources.black import BlackSource
    from player.sources.film_reader import ClipSource, FilmSource
    from player.sources.inference import Inference
    from player.sources.testcard import TestCardSource

    sources: dict[str, FrameSource] = {"black": BlackSource(show)}
    names = source_names(show)
    if require_provider and "generator" not in names:
        given = f"{require_provider}, but no shot of {show.path.name} plays a generator"
        opening.problems.append(Problem("--require-provider", given, "a show with a generator"))
    if "generator" in names:
        from player.sources.generator import GeneratorSource

        sources["generator"] = GeneratorSource(show, threads=threads, require_provider=require_provider)
    if "film" in names:
        assert show.film.path is not None
        sources["film"] = FilmSource(show, show.film.path, "film")
    if "clip" in names:
        sources["clip"] = ClipSource(show)
    if "testcard" in names:
        sources["testcard"] = TestCardSource(show)
    fallback = FilmSource(show, show.fallback, "fallback") if show.fallback else None
    inference = Inference(sources, show, fallback)
    opening.tried(inference.open, close=False)
    opening.stack.callback(inference.close)
    return inference


def make_screen(show: Show, offscreen: bool, realtime: bool) -> Any:
    """A window where there is a display, else an offscreen picture."""
    from player.screen.offscreen import Offscreen

    if not offscreen:
        from player.screen.window import Window, display_problem

        problem = display_problem()
        if not problem:
            return Window(show.output, show.name)
        if show.output.monitor:  # who names a monitor wants that one, not a picture that nobody sees
            given = f"{show.output.monitor!r}, but {problem}"
            raise ShowError(Problem("output.main: monitor", given, "a monitor that is there"))
        log.warning("%s: drawing offscreen", problem)
    return Offscreen(show.output.size, show.output.refresh_hz, realtime)


def play(args: argparse.Namespace) -> int:
    """`cineml play`."""
    show = loaded(args)
    with ExitStack() as stack:
        from player.clock import AudioClock, WallClock
        from player.control.keyboard import commands_for
        from player.control.osc import OscServer
        from player.report import Report
        from player.screen.compositor import Compositor
        from player.screen.projector import Projector
        from player.soundtrack import NoSound, Soundtrack

        opening = Opening(stack)
        inference = make_inference(show, opening, args.threads, args.require_provider)
        screen = opening.tried(lambda: make_screen(show, args.offscreen, realtime=True))
        soundtrack = None
        if not args.no_sound:
            try:
                soundtrack = opening.tried(lambda: Soundtrack(show, show.sound))
            except NoSound as e:
                log.warning("no sound (%s): the wall clock leads", e)
        inbox = playloop.new_inbox()
        server = opening.tried(lambda: OscServer(show, inbox.append, inbox.extend)) if show.control.osc_port else None
        recorder = None
        if args.record and screen is not None:
            recorder = opening.tried(lambda: make_recorder(args, show, screen))
        opening.finish()
        assert screen is not None
        clock: Any = WallClock()
        if soundtrack is not None:
            soundtrack.start()
            clock = AudioClock(soundtrack)
        report = Report(show, inference.facts, renderer=screen.renderer, refresh_hz=screen.refresh_hz, clock=clock)
        if server is not None:
            server.start()
        parts = playloop.Parts(
            show=show, clock=clock, screen=screen, compositor=Compositor(screen.ctx, screen.size_px, show),
            projector=Projector(screen.ctx, show.output), inference=inference, report=report, soundtrack=soundtrack,
            inbox=inbox, keyboard=commands_for, publish=server.publish if server else None)
        if recorder is not None:
            parts.take = recorder.take
        if args.flips:
            parts.flipped = flip_log(Path(args.flips), stack)
        on_signal(inbox.append)
        log.info("playing %s: %s, clock %s", show.name, screen.renderer, clock.name)
        try:
            playloop.play(parts, args.duration, lead_s=soundtrack.lead_s if soundtrack is not None else 0.0)
            if recorder is not None:
                recorder.finish()
        finally:
            if args.stats:
                report.write(Path(args.stats))
        log.info("%s", report.summary())
    return 0


def make_recorder(args: argparse.Namespace, show: Show, screen: Any) -> Any:
    from player.live_recorder import LiveRecorder

    fps = Fraction(screen.refresh_hz).limit_denominator(1001)
    return LiveRecorder(Path(args.record), screen.size_px, fps, show, args.lossless)


def flip_log(path: Path, stack: ExitStack) -> Callable[[ShowState, float], None]:
    """Writes a line a refresh: when it was flipped and what it showed. For measuring from outside."""
    out = stack.enter_context(path.open("w", encoding="utf-8"))
    out.write("refresh,frame,show_time_s,flipped_s\n")

    def flipped(state: ShowState, flipped_s: float) -> None:
        out.write(f"{state.refresh},{state.place.frame},{state.show_time_s:.6f},{flipped_s:.6f}\n")

    return flipped


def on_signal(post: Callable[[Command], None]) -> None:
    """Ctrl-C and a service manager's stop end the show after the refresh that is being drawn, files written."""
    def ask(number: int, _: object) -> None:
        post(Command("/cineml/window/quit", fired_by=signal.Signals(number).name))
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a second Ctrl-C ends it wherever it is

    signal.signal(signal.SIGINT, ask)
    signal.signal(signal.SIGTERM, ask)


def render(args: argparse.Namespace) -> int:
    """`cineml render`: the same loop under the manual clock, every frame, with the soundtrack."""
    show = loaded(args)
    show = replace(show, loop=False)
    frames = show.film.frames - show.start_frame
    if args.duration is not None:
        frames = min(frames, max(1, round(args.duration * show.film.rate)))
    with ExitStack() as stack:
        from player.clock import ManualClock
        from player.progress import Progress
        from player.recorder import Recorder
        from player.report import Report
        from player.screen.compositor import Compositor
        from player.screen.projector import Projector
        from player.sound_file import read_samples, samples_at
        from player.soundtrack import lay, line_of

        opening = Opening(stack)
        inference = make_inference(show, opening, args.threads, args.require_provider)
        screen = opening.tried(lambda: make_screen(show, offscreen=True, realtime=False))
        pcm = None if args.no_sound else opening.tried(lambda: read_samples(show), close=False)
        opening.finish()
        assert screen is not None
        line, first = line_of(Transport(loop=False), show), samples_at(show.start_frame, show.film.rate)

        def sound(start: int, count: int) -> np.ndarray[Any, np.dtype[np.float32]]:
            assert pcm is not None
            out = np.empty((count, pcm.shape[1]), np.float32)
            lay(out, pcm, line, first + start)
            return out

        parts = playloop.Parts(
            show=show, clock=ManualClock(), screen=screen, compositor=Compositor(screen.ctx, screen.size_px, show),
            projector=Projector(screen.ctx, show.output), inference=inference,
            report=Report(show, inference.facts, renderer=screen.renderer, refresh_hz=float(show.film.rate)))
        progress = Progress(frames, "frames", sys.stderr)

        with Recorder(Path(args.out), screen.size_px, show.film.rate, sound if pcm is not None else None) as recorder:

            def take(state: ShowState, index: int, pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> None:
                recorder.add(pixels, index)
                progress.at(index + 1)

            playloop.render(parts, show.start_frame, frames, take)
        progress.done(f"{args.out}: {frames} frames at {show.film.rate}, {screen.size_px[0]}x{screen.size_px[1]}")
        faults = inference.facts().get("faults") or {}
        for text, count in faults.items():
            log.warning("%s (%d times)", text, count)
    return 0


def check(args: argparse.Namespace) -> int:
    """`cineml check`: opens everything as play would, and says what it found or every problem at once."""
    show = loaded(args)
    with ExitStack() as stack:
        from player.control.osc import OscServer
        from player.soundtrack import NoSound, Soundtrack, read_soundtrack

        opening = Opening(stack)
        inference = make_inference(show, opening, args.threads, args.require_provider)
        screen = opening.tried(lambda: make_screen(show, args.offscreen, realtime=True))
        sound = opening.tried(lambda: read_soundtrack(show), close=False)
        device = "not tried"
        try:
            soundtrack = opening.tried(lambda: Soundtrack(show, show.sound))
            device = str(soundtrack.facts().get("device")) if soundtrack is not None else "not opened"
        except NoSound as e:
            device = f"none ({e}); the wall clock would lead"
        server = opening.tried(lambda: OscServer(show, lambda _: None)) if show.control.osc_port else None
        opening.finish()
        assert screen is not None
        facts, film = inference.facts(), show.film
        control = f"OSC on {show.control.osc_bind}:{show.control.osc_port}" if server else "off"
        rows = [("show", f"{show.name} ({show.path.name})"),
                ("film", f"{film.frames} frames at {film.rate}, {film.width}x{film.height}, {float(film.duration_s):.2f} s"),
                ("cuts", f"{len(show.cuts.shots)} shots cover frames 0 to {show.cuts.frames}"),
                ("sources", ", ".join(sorted(source_names(show)))),
                ("fallback", show.fallback.name if show.fallback else "none: a failing model holds its last picture"),
                ("models", str(facts.get("provider") or "none needed")),
                ("sound", f"{len(sound) / 48000:.2f} s, {sound.shape[1]} channels" if sound is not None else "none"),
                ("sound device", device),
                ("screen", f"{screen.size_px[0]}x{screen.size_px[1]} at {screen.refresh_hz:.4g} Hz, {screen.renderer}"),
                ("control", control)]
        for name, value in rows:
            print(f"{name:13} {value}")
        print("ready")
    return 0


def size_of(text: str) -> tuple[int, int]:
    """'640x360' as pixels."""
    try:
        w, h = (int(part) for part in text.lower().split("x"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size like 1280x720") from None
    if not (16 <= w <= 16384 and 16 <= h <= 16384):
        raise argparse.ArgumentTypeError(f"{text!r} is not between 16x16 and 16384x16384")
    return w, h


def parser() -> argparse.ArgumentParser:
    """The verbs of the player and their options (DESIGN section 7)."""
    top = argparse.ArgumentParser(prog="cineml", description="Plays, renders and checks shows.")
    verbs = top.add_subparsers(dest="verb", required=True)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("show", metavar="SHOW", help="the show's TOML file")
    shared.add_argument("--venue", metavar="V", help="the venue's TOML file: monitor, sound device, ports")
    shared.add_argument("--size", type=size_of, metavar="WxH", help="size of the picture, instead of the show's")
    shared.add_argument("--require-provider", choices=("cuda", "cpu"), help="exit with 2 unless the models run there")
    shared.add_argument("--threads", type=int, default=2, metavar="N", help="processor threads for a model (2)")
    shared.add_argument("--osc-port", type=int, metavar="PORT", help="OSC port instead of the show's; 0 turns OSC off")
    shared.add_argument("--no-sound", action="store_true", help="open no sound device")

    def verb(name: str, line: str, examples: str) -> argparse.ArgumentParser:
        return verbs.add_parser(name, help=line, description=line, parents=[shared], epilog="examples:\n" + examples,
                                formatter_class=argparse.RawDescriptionHelpFormatter)

    p = verb("play", "Play a show in real time.",
             "  cineml play show.toml --venue gallery.toml\n"
             "  cineml play show_configs/testcard.toml --offscreen --duration 5 --stats stats.json")
    p.add_argument("--offscreen", action="store_true", help="open no window")
    p.add_argument("--fullscreen", action="store_true", help="fill the monitor")
    p.add_argument("--duration", type=float, metavar="S", help="end after this many seconds")
    p.add_argument("--start", metavar="TC", help="begin there: 00:00:12:05, 12.5s or 300 (frames)")
    p.add_argument("--refresh", type=float, metavar="HZ", help="refreshes a second offscreen, instead of the show's")
    p.add_argument("--record", metavar="OUT.mp4", help="record picture and sound")
    p.add_argument("--lossless", action="store_true", help="record without loss (large; for measuring)")
    p.add_argument("--flips", metavar="OUT.csv", help="write when each refresh was presented")
    p.add_argument("--stats", metavar="OUT.json", help="write numbers about the run")
    p = verb("render", "Render a show to a film: every frame, exact, with its soundtrack.",
             "  cineml render show.toml out.mp4\n"
             "  cineml render show.toml detail.mp4 --start 12.5s --duration 4 --size 1440x1080")
    p.add_argument("out", metavar="OUT.mp4", help="the film to write")
    p.add_argument("--duration", type=float, metavar="S", help="end after this many seconds of film")
    p.add_argument("--start", metavar="TC", help="begin there")
    p = verb("check", "Open everything as play would and say what is there, or every problem at once.",
             "  cineml check show.toml\n  cineml check show.toml --venue gallery.toml --require-provider cuda")
    p.add_argument("--offscreen", action="store_true", help="open no window")
    return top


def main(argv: list[str] | None = None) -> int:
    """Runs one verb. Returns the exit code."""
    args = parser().parse_args(argv)
    if not logging.getLogger("cineml").handlers:
        from player.report import set_up_logging

        set_up_logging()
    try:
        return {"play": play, "render": render, "check": check}[args.verb](args)
    except ShowError as e:
        for problem in e.problems:
            print(f"cineml: {problem}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("cineml: stopped", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
