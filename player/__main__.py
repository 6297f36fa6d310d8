"""Builds everything for one show and plays, renders or checks it: the only place that knows all parts.

Exit codes: 0 done, 2 bad input (every problem listed, one sentence each), 1 a fault of ours, 130 stopped by Ctrl-C or by
a service manager. For `play` these two are the normal end of a show: its files are written, and the code is 0.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import logging
import math
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from player import playloop
from player.opening import Opening, loaded, make_drawing, make_inference, make_screen, source_names
from player.show.film import parse_rate
from player.show.problem import Problem, ShowError
from player.show.show import Show
from player.state import Command, ShowState, Transport

__all__ = ["Opening", "main", "make_inference", "make_screen"]

log = logging.getLogger("cineml")
Ended = Callable[[dict[str, Any], dict[str, Any]], None]
"""Told at the end of a run: Report.stats() and Report.trouble()."""


def play(args: argparse.Namespace) -> int:
    """`cineml play`."""
    with ExitStack() as stack:
        from player.clock import AudioClock, WallClock
        from player.control.keyboard import commands_for
        from player.control.osc import OscServer
        from player.report import Report
        from player.soundtrack import NoSound, Soundtrack

        opening = Opening(stack)
        show = loaded(args, opening)
        inference = make_inference(show, opening, args.threads, args.require_provider)
        screen = opening.tried(lambda: make_screen(show, args.offscreen, realtime=True))
        compositor, projector = make_drawing(show, screen, opening)
        soundtrack = None
        if not args.no_sound:
            try:
                soundtrack = opening.tried(lambda: Soundtrack(show, show.sound))
            except NoSound as e:
                log.warning("no sound (%s): the wall clock leads", e)
        inbox = playloop.new_inbox()
        server = opening.tried(lambda: OscServer(show, inbox.append, inbox.extend)) if show.control.osc_port else None
        recorder = flipped = None
        if not opening.problems:  # these begin their files
            if args.record:
                recorder = opening.tried(lambda: make_recorder(args, show, screen, soundtrack))
            if args.flips:
                flipped = opening.tried(lambda: flip_log(Path(args.flips), stack))
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
            show=show, clock=clock, screen=screen, compositor=compositor, projector=projector, inference=inference,
            report=report, soundtrack=soundtrack, inbox=inbox, keyboard=commands_for,
            publish=server.publish if server else None, take=recorder.take if recorder is not None else None,
            flipped=flipped)
        args.begun = True
        on_signal(inbox.append, args.stopped)
        log.info("playing %s: %s, clock %s", show.name, screen.renderer, clock.name)
        try:
            last = playloop.play(parts, args.duration, lead_s=soundtrack.lead_s if soundtrack is not None else 0.0)
            if last.quit:
                args.stopped.append("quit")
            if recorder is not None:
                recorder.finish()
        finally:
            if args.stats:
                try:
                    report.write(Path(args.stats))
                except OSError as e:  # the show has been played: its numbers are not worth an error
                    log.error("%s could not be written (%s)", args.stats, e.strerror or e)
        log.info("%s", report.summary())
        if args.ended is not None:
            args.ended(report.stats(), report.trouble())
    return 0


def make_recorder(args: argparse.Namespace, show: Show, screen: Any, soundtrack: Any) -> Any:
    from player.live_recorder import LiveRecorder

    fps = parse_rate(f"{screen.refresh_hz:g}").limit_denominator(1001)  # 23.976 means 24000/1001
    pcm = soundtrack.pcm if soundtrack is not None else None
    return LiveRecorder(Path(args.record), screen.size_px, fps, show, args.lossless, pcm=pcm)


def flip_log(path: Path, stack: ExitStack) -> Callable[[ShowState, float], None]:
    """Writes a line a refresh: when it was flipped and what it showed. For measuring from outside. A disk that fills ends
    the list, and is logged once; the show goes on."""
    try:
        out = path.open("w", encoding="utf-8")
    except OSError as e:
        raise ShowError(Problem(f"--flips {path}", f"cannot be written ({e.strerror})", "a file to write")) from None

    def ends(e: OSError) -> None:
        log.error("--flips %s could not be written on (%s); the show goes on without", path, e.strerror or e)
        with contextlib.suppress(OSError):
            out.close()  # tries once more to write what it holds, and is closed all the same

    def close() -> None:
        try:
            out.close()
        except OSError as e:
            ends(e)

    def write(line: str) -> None:
        if out.closed:
            return
        try:
            out.write(line)
        except OSError as e:
            ends(e)

    def flipped(state: ShowState, flipped_s: float) -> None:
        write(f"{state.refresh},{state.place.frame},{state.show_time_s:.6f},{flipped_s:.6f}\n")

    stack.callback(close)
    write("refresh,frame,show_time_s,flipped_s\n")
    return flipped


def on_signal(post: Callable[[Command], None], stopped: list[str]) -> None:
    """Ctrl-C and a service manager's stop end the show after the refresh that is being drawn, files written. stopped:
    keeps the signal's name, for one that comes when the show has ended already and nobody reads commands."""
    def ask(number: int, _: object) -> None:
        stopped.append(signal.Signals(number).name)
        post(Command("/cineml/window/quit", fired_by=signal.Signals(number).name))
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a second Ctrl-C ends it wherever it is

    signal.signal(signal.SIGINT, ask)
    signal.signal(signal.SIGTERM, ask)


class Spoiled(Exception):
    """A picture of a render is not what the show asks for."""


def render(args: argparse.Namespace) -> int:
    """`cineml render`: the same loop under the manual clock, every frame, with the soundtrack. A picture that its source
    could not make ends it with 1 and without a file, unless --keep-going."""
    with ExitStack() as stack:
        from player.clock import ManualClock
        from player.progress import Progress
        from player.recorder import Recorder, layout_of
        from player.report import Report
        from player.sound_file import read_samples, samples_at
        from player.soundtrack import lay, line_of

        opening = Opening(stack)
        show = replace(loaded(args, opening), loop=False)
        live = [s.number for s in show.cuts.shots if "camera" in show.inputs_of(s.number)]
        if live:
            opening.note([Problem(f"{show.path.name}: shot {live[0]}", "plays a camera, whose picture is now or never",
                                  "a show without a camera", "cineml play --record OUT.mp4")])
            opening.finish()  # not even opened: its lamp would go on
        frames = show.film.frames - show.start_frame
        if args.duration is not None:
            wanted = args.duration * float(show.film.rate)  # inf for a number that is too large for one
            frames = min(frames, max(1, round(wanted) if wanted < frames else frames))
        inference = make_inference(show, opening, args.threads, args.require_provider)
        screen = opening.tried(lambda: make_screen(show, offscreen=True, realtime=False))
        compositor, projector = make_drawing(show, screen, opening)
        pcm = None if args.no_sound else opening.tried(lambda: read_samples(show), close=False)
        opening.finish()
        assert screen is not None
        line, first = line_of(Transport(loop=False), show), samples_at(show.start_frame, show.film.rate)

        def sound(start: int, count: int) -> np.ndarray[Any, np.dtype[np.float32]]:
            assert pcm is not None
            out = np.empty((count, pcm.shape[1]), np.float32)
            lay(out, pcm, line, first + start)
            return out

        report = Report(show, inference.facts, renderer=screen.renderer, refresh_hz=float(show.film.rate))
        parts = playloop.Parts(show=show, clock=ManualClock(), screen=screen, compositor=compositor, projector=projector,
                               inference=inference, report=report)
        progress = Progress(frames, "frames", sys.stderr)
        try:
            made = args.recorder or functools.partial(Recorder, layout=layout_of(show.film.sound))
            with made(Path(args.out), screen.size_px, show.film.rate, sound if pcm is not None else None) as recorder:

                def take(state: ShowState, index: int, pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> None:
                    if inference.failures and not args.keep_going:  # at once: the hours that follow would be for nothing
                        raise Spoiled(f"frame {state.place.frame} is not the picture that the show asks for")
                    recorder.add(pixels, index)
                    progress.at(index + 1)

                playloop.render(parts, show.start_frame, frames, take)
        except Spoiled as e:
            say_faults(report.trouble())
            print(f"cineml: {args.out} is not written: {e}; --keep-going writes it all the same", file=sys.stderr)
            return 1
        width, height = recorder.film_size
        progress.done(f"{args.out}: {frames} frames at {show.film.rate}, {width}x{height}")
        say_faults(report.trouble())
        if args.ended is not None:
            args.ended(report.stats(), report.trouble())
    return 0


def say_faults(trouble: Mapping[str, Any]) -> None:
    """What went wrong in a render, a line each; nothing where nothing did."""
    for text, count in trouble["faults"].items():
        print(f"cineml: {text} ({count} times)", file=sys.stderr)
    for key, what in (("by_fallback", "made by the fallback film"), ("missed", "made by nobody")):
        if trouble[key]:
            print(f"cineml: pictures {what}: {trouble[key]}", file=sys.stderr)


def check(args: argparse.Namespace) -> int:
    """`cineml check`: opens everything as play would, and says what it found or every problem at once."""
    with ExitStack() as stack:
        from player.control.osc import OscServer
        from player.soundtrack import NoSound, Soundtrack, read_soundtrack

        opening = Opening(stack)
        show = loaded(args, opening)
        inference = make_inference(show, opening, args.threads, args.require_provider)
        screen = opening.tried(lambda: make_screen(show, args.offscreen, realtime=True))
        compositor, _ = make_drawing(show, screen, opening)
        sound = opening.tried(lambda: read_soundtrack(show), close=False)
        device = "not tried"
        if not args.no_sound:
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
                ("styles", style_line(show, facts)),
                ("sound", f"{len(sound) / 48000:.2f} s, {sound.shape[1]} channels" if sound is not None else "none"),
                ("sound device", device),
                ("captions", caption_line(show, compositor)),
                ("screen", f"{screen.size_px[0]}x{screen.size_px[1]} at {screen.refresh_hz:.4g} Hz, {screen.renderer}"),
                ("control", control), ("looks", ", ".join(show.looks) or "none"), ("key latents", key_line(show))]
        for name, value in rows:
            print(f"{name:13} {value}")
        from player.card import provenance

        sections = provenance(show)
        print("where it comes from")
        for section in sections:
            for name, value in section.rows:
                print(f"  {section.name.lower():9} {name:20} {value}")
        if args.card:
            write_card(Path(args.card), show, sections)
            print(f"{'card':13} {args.card}")
        if args.keys:
            for walk in show.score.walks.values() if show.score else ():
                shots = ", ".join(str(s.number) for s in show.score.shots if s.walk == walk.name) if show.score else ""
                print(f"walk {walk.name} (shot {shots or 'none'}): {' '.join(walk.names)}")
        print("ready")
    return 0


def write_card(path: Path, show: Show, sections: Any) -> None:
    """The card as a file, whole or not at all. Raises ShowError."""
    from player.card import card_html

    part = path.with_name(path.name + ".part")
    try:
        part.write_text(card_html(show, sections), encoding="utf-8")
        part.replace(path)
    except OSError as e:
        raise ShowError(Problem(f"--card {path}", f"cannot be written ({e.strerror})", "a file to write, NAME.html")) from None
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def caption_line(show: Show, compositor: Any) -> str:
    """The captions' file, how many there are and how they come."""
    if show.captions is None or compositor is None or compositor.captions is None:
        return "none"
    spans, how = compositor.captions.spans, "shown" if show.captions.burn_in else "hidden until /cineml/output/captions"
    return f"{show.captions.file.name}: {len(spans)}, the last ends at frame {spans[-1].end} of {show.film.frames}; {how}"


def style_line(show: Show, facts: Mapping[str, Any]) -> str:
    """The stylizer's styles, the size of its pictures and what it is played over; how long a picture takes."""
    own = facts.get("sources", {}).get("stylizer")
    if own is None:
        return "none: no shot is stylised"
    over = sorted({show.styled(s.number).over for s in show.cuts.shots if "stylizer" in show.score_shot(s.number).sources})
    width, height = own["size"]
    names, took_ms = ", ".join(own["styles"]), 1000 * own["warm_s"]
    return f"{names}; {width}x{height} over the {' and the '.join(over)}, {took_ms:.0f} ms a picture"


def key_line(show: Show) -> str:
    """How many key latents OSC can jump to, with an example."""
    names = show.score.key_names() if show.score else ()
    return f"{len(names)}, like {names[0]} (--keys lists them; OSC /cineml/latent/key)" if names else "none"


def size_of(text: str) -> tuple[int, int]:
    """'640x360' as pixels."""
    try:
        w, h = (int(part) for part in text.lower().split("x"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size like 1280x720") from None
    if not (16 <= w <= 16384 and 16 <= h <= 16384):
        raise argparse.ArgumentTypeError(f"{text!r} is not between 16x16 and 16384x16384")
    return w, h


def number_of(low: float, high: float, unit: str) -> Callable[[str], float]:
    """A type for argparse: a finite number within [low, high]."""
    def number(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (low <= value <= high and math.isfinite(value)):
            allowed = f"from {low:g} to {high:g}" if math.isfinite(high) else "above 0"
            raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a number of {unit} {allowed}")
        return value

    return number


def whole_of(low: int, high: int) -> Callable[[str], int]:
    """A type for argparse: a whole number within [low, high]."""
    def whole(text: str) -> int:
        if not (text.isascii() and text.lstrip("+-").isdecimal() and len(text) <= 12 and low <= int(text) <= high):
            raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a whole number from {low} to {high}")
        return int(text)

    return whole


seconds = number_of(math.ulp(0.0), math.inf, "seconds")


def file_name(text: str) -> str:
    """A type for argparse: the name of a file. "" is what an unset variable leaves, and is no name."""
    if not text.strip():
        raise argparse.ArgumentTypeError(f"{text!r} is not the name of a file")
    return text


def film_time(text: str) -> str:
    """A type for argparse: a time of a film, as far as that can be said without the film's rate."""
    if not (text.strip() and text.isascii()):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a time; write frames (300), seconds (12.5s) or hh:mm:ss:ff")
    return text


def parser() -> argparse.ArgumentParser:
    """The verbs of the player and their options (DESIGN section 7)."""
    top = argparse.ArgumentParser(prog="cineml", description="Plays, renders and checks shows.")
    verbs = top.add_subparsers(dest="verb", required=True)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("show", metavar="SHOW", help="the show's TOML file")
    shared.add_argument("--venue", type=file_name, metavar="V", help="the venue's TOML file: monitor, sound device, ports")
    shared.add_argument("--size", type=size_of, metavar="WxH", help="size of the picture, instead of the show's")
    shared.add_argument("--require-provider", choices=("cuda", "cpu"), help="exit with 2 unless the models run there")
    shared.add_argument("--threads", type=whole_of(1, 256), default=2, metavar="N", help="processor threads for a model (2)")
    shared.add_argument("--osc-port", type=whole_of(0, 65535), metavar="PORT",
                        help="OSC port instead of the show's; 0 turns OSC off")
    shared.add_argument("--srt", type=file_name, metavar="FILE", help="captions, instead of the show's")
    shared.add_argument("--captions", choices=("on", "off"), help="show the captions from the start, or not")
    shared.add_argument("--no-sound", action="store_true", help="open no sound device")

    def verb(name: str, line: str, examples: str) -> argparse.ArgumentParser:
        return verbs.add_parser(name, help=line, description=line, parents=[shared], epilog="examples:\n" + examples,
                                formatter_class=argparse.RawDescriptionHelpFormatter)

    p = verb("play", "Play a show in real time.",
             "  cineml play show.toml --venue gallery.toml\n"
             "  cineml play show_configs/testcard.toml --offscreen --duration 5 --stats stats.json")
    p.add_argument("--offscreen", action="store_true", help="open no window")
    p.add_argument("--fullscreen", action="store_true", help="fill the monitor")
    p.add_argument("--duration", type=seconds, metavar="S", help="end after this many seconds")
    p.add_argument("--start", type=film_time, metavar="TC", help="begin there: 00:00:12:05, 12.5s or 300 (frames)")
    p.add_argument("--refresh", type=number_of(1, 1000, "Hz"), metavar="HZ",
                   help="refreshes a second offscreen, instead of the show's")
    p.add_argument("--record", type=file_name, metavar="OUT.mp4", help="record picture and sound")
    p.add_argument("--lossless", action="store_true", help="record without loss (large; for measuring)")
    p.add_argument("--flips", type=file_name, metavar="OUT.csv", help="write when each refresh was presented")
    p.add_argument("--stats", type=file_name, metavar="OUT.json", help="write numbers about the run")
    p = verb("render", "Render a show to a film: every frame, exact, with its soundtrack.",
             "  cineml render show.toml out.mp4\n"
             "  cineml render show.toml detail.mp4 --start 12.5s --duration 4 --size 1440x1080")
    p.add_argument("out", type=file_name, metavar="OUT.mp4", help="the film to write")
    p.add_argument("--duration", type=seconds, metavar="S", help="end after this many seconds of film")
    p.add_argument("--keep-going", action="store_true", help="write the film even where a source fails")
    p.add_argument("--start", type=film_time, metavar="TC", help="begin there")
    p = verb("check", "Open everything as play would and say what is there, or every problem at once.",
             "  cineml check show.toml --card card.html\n"
             "  cineml check show.toml --venue gallery.toml --require-provider cuda")
    p.add_argument("--offscreen", action="store_true", help="open no window")
    p.add_argument("--card", type=file_name, metavar="OUT.html",
                   help="write where the show comes from (film, training, licences) as one page")
    p.add_argument("--keys", action="store_true", help="list the key latents that OSC can jump to, walk by walk")
    return top


@contextlib.contextmanager
def stopped_alike() -> Iterator[None]:
    """A service manager's stop ends a verb as Ctrl-C does, so that nothing half written stays behind."""
    def stop(number: int, _: object) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may answer signals
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def main(argv: list[str] | None = None, ended: Ended | None = None, recorder: Any = None,
         stopped: list[str] | None = None) -> int:
    """Runs one verb. Returns the exit code. ended: told the numbers of a run that reached its end. recorder: for a render,
    another Recorder, made as that one is: (path, size, rate, sound). stopped: what asked the run to end, the signal's name or
    quit, is put in there at any moment of the run: a show that is stopped ends with code 0, like any other."""
    args = parser().parse_args(argv)
    args.ended, args.begun, args.recorder, args.stopped = ended, False, recorder, [] if stopped is None else stopped
    if not logging.getLogger("cineml").handlers:
        from player.report import set_up_logging

        set_up_logging()
    try:
        with stopped_alike():
            return {"play": play, "render": render, "check": check}[args.verb](args)
    except ShowError as e:
        for problem in e.problems:
            print(f"cineml: {problem}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        # A show that was stopped before its first picture has ended as calmly as one that is stopped later; one that had
        # begun was stopped twice, and has not written its files.
        args.stopped.append("SIGINT")
        print("cineml: stopped", file=sys.stderr)
        return 0 if args.verb == "play" and not args.begun else 130


if __name__ == "__main__":
    sys.exit(main())
