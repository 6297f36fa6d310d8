"""Opens what one show needs, part by part, and keeps every problem, so that a person mends them in one go."""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from player.show.film import parse_timecode
from player.show.problem import Problem, ShowError
from player.show.show import CaptionStyle, Show
from player.show.toml_table import file_problem
from player.sources.frame import FrameSource

log = logging.getLogger("cineml")
Made = TypeVar("Made")


class Opening:
    """problems: all found so far, each once. whole: whether the show itself is sound; where it is not, its files are
    still tried one by one, but nothing is made of them."""

    def __init__(self, stack: ExitStack):
        self.stack = stack
        self.problems: list[Problem] = []
        self.whole = True

    def note(self, problems: Iterable[Problem]) -> None:
        """Keeps problems, those that are known already left out."""
        self.problems += [p for p in dict.fromkeys(problems) if p not in self.problems]

    def tried(self, make: Callable[[], Made], close: bool = True) -> Made | None:
        """What make() gives, closed when the show ends; None, and its problems kept, where it raises ShowError."""
        try:
            made = make()
        except ShowError as e:
            self.note(e.problems)
            return None
        if close and hasattr(made, "close"):
            self.stack.callback(made.close)  # type: ignore[union-attr]
        return made

    def finish(self) -> None:
        """Raises ShowError where anything could not be opened."""
        if self.problems:
            raise ShowError(self.problems)


def loaded(args: argparse.Namespace, opening: Opening) -> Show:
    """The show of the command line: its TOML, the venue's, then the options. What is wrong with them goes into
    `opening`, and as much of the show as could be read comes back; raises ShowError where that is nothing."""
    from player.show.config import load_venue, read_show, with_venue
    from player.sources.film_reader import probe_film
    from player.sources.stylizer_model import styles_of

    reading = read_show(Path(args.show), probe_film, styles_of)
    opening.note(reading.problems)
    opening.whole = not reading.problems
    files = dict(reading.files)
    venue = None
    if args.venue:
        files["the venue's file"] = Path(args.venue)
        venue = opening.tried(lambda: load_venue(Path(args.venue)))
    if getattr(args, "srt", None):
        files["the captions"] = Path(args.srt)
    opening.note(output_problems(outputs_of(args), files))
    if reading.show is None:
        opening.finish()
    assert reading.show is not None
    show = with_venue(reading.show, venue) if venue is not None else reading.show
    output = show.output
    if args.size:
        output = replace(output, size=args.size)
    if getattr(args, "refresh", None):
        output = replace(output, refresh_hz=args.refresh)
    if getattr(args, "fullscreen", False):
        output = replace(output, fullscreen=True)
    captions = opening.tried(lambda: captions_of(args, show), close=False)
    show = replace(show, outputs=(output, *show.outputs[1:]), captions=captions)
    if args.osc_port is not None:
        show = replace(show, control=replace(show.control, osc_port=args.osc_port))
    if getattr(args, "start", None):
        frame = opening.tried(lambda: _start(args.start, show), close=False)
        show = replace(show, start_frame=frame if frame is not None else show.start_frame)
    return show


def captions_of(args: argparse.Namespace, show: Show) -> CaptionStyle | None:
    """The show's captions with what --srt and --captions say of them. Raises ShowError."""
    style, srt, wanted = show.captions, getattr(args, "srt", None), getattr(args, "captions", None)
    if srt:
        if reason := file_problem(Path(srt)):
            raise ShowError(Problem(f"--srt {srt}", reason, "captions as SRT"))
        style = replace(style or CaptionStyle(Path(srt)), file=Path(srt), burn_in=True)
    if wanted and style is None:
        raise ShowError(Problem(f"--captions {wanted}", "is given, and the show has no captions", "[captions] in the show",
                                "--srt FILE.srt"))  # fmt: skip
    return replace(style, burn_in=wanted == "on") if wanted and style is not None else style


def _start(text: str, show: Show) -> int:
    try:
        frame = parse_timecode(text, show.film.rate)
    except ValueError as e:
        raise ShowError(Problem("--start", str(e))) from None
    if frame >= show.film.frames:
        raise ShowError(Problem("--start", f"{text} is frame {frame}", f"0 to {show.film.frames - 1}"))
    return frame


def outputs_of(args: argparse.Namespace) -> dict[str, Path]:
    """The files that the command line asks for, by the option that names them."""
    named = {"OUT.mp4": "out", "--record": "record", "--stats": "stats", "--flips": "flips", "--card": "card"}
    return {option: Path(path) for option, name in named.items() if (path := getattr(args, name, None))}


def _same_file(a: Path, b: Path) -> bool:
    try:
        if a.exists() and b.exists():
            return a.samefile(b)
        return a.resolve() == b.resolve()
    except OSError:  # a name that no file system takes; opening it says so
        return False


def _is_of(path: Path, folder: Path) -> bool:
    """Whether a file that is there is one of a folder's: a frame of a clip, a mask."""
    try:
        return folder.is_dir() and path.exists() and path.parent.samefile(folder)
    except OSError:
        return False


def _is_card(path: Path) -> bool:
    from player.card import is_card  # which imports what tells of models: for --card alone

    return is_card(path)


def output_problems(outputs: Mapping[str, Path], inputs: Mapping[str, Path]) -> list[Problem]:
    """Outputs that cannot be written, or that would be written over what is read or over one another.

    outputs: by their option. inputs: by what they are to the show.
    """
    from player.recorder import CONTAINERS

    found: list[Problem] = []
    for i, (option, path) in enumerate(outputs.items()):
        earlier = dict(list(outputs.items())[:i])
        over = next((what for what, other in {**inputs, **earlier}.items() if _same_file(path, other)), "")
        over = over or next((what for what, other in inputs.items() if _is_of(path, other)), "")
        if over:
            what = f"would be written over {over}" if over in inputs else f"is the file of {over} too"
            found.append(Problem(f"{option} {path}", what, "a file of its own"))
            continue
        if option in ("OUT.mp4", "--record") and path.suffix.lower() not in CONTAINERS:
            found.append(Problem(f"{option} {path}", f"ends in {path.suffix!r}", " ".join(CONTAINERS)))
        try:
            if path.exists() and not path.is_file():
                found.append(Problem(f"{option} {path}", "is a folder" if path.is_dir() else "is no file", "a file to write"))
            elif not path.parent.is_dir():
                found.append(Problem(f"{option} {path}", "is in a folder that is not there", "a folder that can be written"))
            elif not os.access(path.parent, os.W_OK):
                found.append(Problem(f"{option} {path}", "is in a folder that is closed to this user",
                                     "a folder that can be written"))
            elif option == "--card" and path.exists() and not _is_card(path):
                found.append(Problem(f"{option} {path}", "is there and no card that cineml wrote",
                                     "a new name, or an older card"))
        except OSError as e:
            found.append(Problem(f"{option} {str(path)[:80]}", f"cannot be written ({e.strerror})", "the name of a file"))
    return found


def source_names(show: Show) -> set[str]:
    """The kinds of source that the show's shots play."""
    return {source for shot in show.cuts.shots for source in show.score_shot(shot.number).sources}


def input_names(show: Show) -> set[str]:
    """The kinds of source that must be open: those that shots play, and what the stylizer is played over."""
    return {source for shot in show.cuts.shots for source in show.inputs_of(shot.number)}


def make_inference(show: Show, opening: Opening, threads: int, require_provider: str | None) -> Any:
    """The inference with every source that the show needs, opened and warmed; None, and its files tried, for a show
    that is not whole."""
    from player.sources.black import BlackSource
    from player.sources.clip import ClipSource
    from player.sources.figure_masks import FigureMasks
    from player.sources.film_reader import FilmSource
    from player.sources.inference import Inference
    from player.sources.step_print import StepPrinted
    from player.sources.testcard import TestCardSource

    if not opening.whole:
        try_files(show, opening, threads, require_provider)
        return None
    sources: dict[str, FrameSource] = {"black": BlackSource(show)}
    names, masks = input_names(show), FigureMasks(show)
    if require_provider and not {"generator", "stylizer"} & names:
        given = f"{require_provider}, but no shot of {show.path.name} plays a generator"
        opening.note([Problem("--require-provider", given, "a show with a generator or a stylizer")])
    if "generator" in names:
        from player.sources.generator import GeneratorSource

        sources["generator"] = GeneratorSource(show, threads=threads, require_provider=require_provider)
    if "film" in names:
        assert show.film.path is not None
        sources["film"] = FilmSource(show, show.film.path, "film")
    if "clip" in names:
        sources["clip"] = ClipSource(show)
    if "camera" in names:
        from player.sources.camera import CameraSource

        sources["camera"] = CameraSource(show)
    # What a stylizer is played over is printed first, so that it paints one picture and not two.
    sources |= {name: StepPrinted(source, show, masks) for name, source in sources.items() if name != "black"}
    if "testcard" in names:
        sources["testcard"] = TestCardSource(show)
    if "stylizer" in names:
        from player.sources.stylizer import StylizerSource

        sources["stylizer"] = StylizerSource(show, sources, masks, threads, require_provider=require_provider or "")
    fallback = FilmSource(show, show.fallback, "fallback") if show.fallback else None
    inference = Inference(sources, show, fallback)
    opening.tried(inference.open, close=False)
    opening.stack.callback(inference.close)
    return inference


def try_files(show: Show, opening: Opening, threads: int, require_provider: str | None) -> None:
    """Opens the models and clips of a show that is not whole (reading it has tried its films, score and cut list)."""
    from player.sources.clip import damaged
    from player.sources.figure_masks import FigureMasks

    if show.generator is not None:
        from player.sources.generator import GeneratorSource

        source = GeneratorSource(show, threads=threads, require_provider=require_provider)
        # What is missing or empty was noted with the show.
        noted = [str(path) for part in ("mapping.onnx", "synthesis.onnx") if file_problem(path := show.generator / part)]
        opening.note(p for p in source.check_models() if p.where not in noted)
    opening.note(damaged(show))
    if show.stylizer is not None and show.stylizer.file is not None:
        from player.sources.stylizer import StylizerSource

        stylizer = StylizerSource(show, {}, FigureMasks(show), threads, require_provider=require_provider or "")
        opening.note(stylizer.check_model())
        stylizer.close()


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


def make_drawing(show: Show, screen: Any, opening: Opening) -> tuple[Any, Any]:
    """Compositor and projector of a screen; None where there is no screen or a shader is at fault (noted)."""
    from player.screen.compositor import Compositor
    from player.screen.projector import Projector

    if screen is None:
        return None, None
    return (opening.tried(lambda: Compositor(screen.ctx, screen.size_px, show)),
            opening.tried(lambda: Projector(screen.ctx, show.output)))
