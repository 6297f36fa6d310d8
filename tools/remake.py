"""`cineml remake SHOW -o OUT`: the remade film for screening, with the original's sound and as long to the frame.

The pictures are those of `cineml render`, made by its own loop; what is added is the original beside them, captions as a
track, ProRes, and the way back to the editor: the remake's cut list as EDL and OTIO whose one source is the remake's file.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from player.captions import Captions, read_captions
from player.opening import output_problems
from player.recorder import Sound
from player.screen.placement import film_rect
from player.show.config import load_venue, read_show, with_venue
from player.show.cut_list import CutList, Shot
from player.show.problem import Problem, ShowError
from player.show.show import Show
from player.show.toml_table import file_problem
from player.sources.film_reader import probe_film
from tools.remake_options import CUT_LISTS, QUALITY, arguments, kinds_of, option_problems
from tools.remake_recorder import RemakeRecorder, Wanted, need_track, whole_size
from tools.train_source import film_range
from tools.whole_file import write_whole, writing

STOPPED = 130
MADE_BY = "cineml remake"


@dataclass(frozen=True)
class Plan:
    """What is to be made. first, end: film frames [first, end). pane_px: size of the remake's own picture. captions: burn,
    track, off, or '' where the show has none. beside: name and text of each cut list that is written beside the film."""

    show: Show
    first: int
    end: int
    pane_px: tuple[int, int]
    captions: str
    wanted: Wanted
    cut_lists: Mapping[Path, str]
    inputs: Mapping[str, Path]

    @property
    def film_px(self) -> tuple[int, int]:
        """Size of the film that is written: even, as its codecs want it."""
        width, height = whole_size(self.pane_px, self.wanted.beside)
        return width + width % 2, height + height % 2


def plan_of(args: argparse.Namespace) -> Plan:
    """What the command line asks for. Raises ShowError with every problem of it and of the show."""
    found = option_problems(args)
    reading = read_show(args.show, probe_film)
    found += reading.problems
    inputs = dict(reading.files) | {what: path for what, path in (("the venue's file", args.venue),
                                                                  ("the captions", args.srt)) if path is not None}  # fmt: skip
    record = args.output.with_suffix(".json")
    lists = {kind: args.output.with_suffix(CUT_LISTS[kind]) for kind in kinds_of(args) if kind in CUT_LISTS}
    outputs = {"-o": args.output, "beside it": record} | {f"beside it, {kind.upper()}": path for kind, path in lists.items()}
    found += output_problems(outputs, inputs)
    if not found and not args.overwrite:
        found += kept_problems([*lists.values(), record], record)
    if args.srt is not None and (reason := file_problem(args.srt)):
        found.append(Problem(f"--srt {args.srt}", reason, "captions as SRT"))
    show = reading.show
    if show is not None and args.venue is not None:
        try:
            show = with_venue(show, load_venue(args.venue))
        except ShowError as e:
            found += e.problems
    if show is not None and not reading.problems:
        found += _show_problems(args, show)
    if found or show is None:
        raise ShowError(found)
    first, end = range_of(args, show)
    mode = args.captions or ("burn" if args.srt or (show.captions and show.captions.burn_in) else
                             "track" if show.captions else "")  # fmt: skip
    track = None
    if mode == "track":
        need_track()
        track = captions_of(args, show).within(first, end)
    beside = "right" if args.side_by_side else "below" if args.stacked else ""
    quality = QUALITY if args.quality is None else args.quality
    wanted = Wanted(args.codec, quality, beside, first, track if track and track.spans else None)
    pane = args.size or natural_size(show)
    plan = Plan(show, first, end, pane, mode, wanted, {}, inputs)
    cuts = cuts_within(show.cuts, first, end, args.output.name)
    texts = {path: cut_list_text(cuts, kind, path, args.output, plan.film_px) for kind, path in lists.items()}
    return replace(plan, cut_lists=texts)


def _show_problems(args: argparse.Namespace, show: Show) -> list[Problem]:
    """What a sound show lacks for what is asked."""
    found: list[Problem] = []
    try:
        range_of(args, show)
    except ShowError as e:
        found += e.problems
    if args.captions in ("burn", "track") and args.srt is None and show.captions is None:
        found.append(Problem(f"--captions {args.captions}", "is given, and the show has no captions",
                             "[captions] in the show", "--srt FILE.srt"))  # fmt: skip
    if (args.side_by_side or args.stacked) and show.film.path is None:
        option = "--side-by-side" if args.side_by_side else "--stacked"
        found.append(Problem(option, f"needs the original, and {show.path.name} names no film", "a show with film.file"))
    return found


def kept_problems(paths: Sequence[Path], record: Path) -> list[Problem]:
    """Files there that no remake has written, or that somebody has changed since: they are somebody's work."""
    try:
        before = json.loads(record.read_text(encoding="utf-8"))
        written = before.get("written") if isinstance(before, dict) and before.get("made_by") == MADE_BY else None
    except (OSError, ValueError, RecursionError):
        written = None
    ours = written if isinstance(written, dict) else {}
    found = []
    for path in paths:
        if path.is_file() and (written is None if path == record else ours.get(path.name) != sha256_of(path)):
            given = "is there already, and is not as a remake wrote it"
            found.append(Problem(str(path), given, "another name for the film", "--overwrite, or --cuts none"))
    return found


def range_of(args: argparse.Namespace, show: Show) -> tuple[int, int]:
    """--start and --end as film frames [first, end); the whole film where they are not given. Raises ShowError."""
    first, end = film_range(args.start, args.end, show.film.rate)
    last = show.film.frames if end is None else end
    allowed = f"frames 0 to {show.film.frames}"
    found = [Problem(name, f"is frame {frame}, after the film's end", allowed)
             for name, frame, most in (("--start", first, show.film.frames - 1), ("--end", last, show.film.frames))
             if frame > most]  # fmt: skip
    if found:
        raise ShowError(found)
    return first, last


def natural_size(show: Show) -> tuple[int, int]:
    """The show's output without the bars beside the film, even."""
    width, height = show.output.size
    if show.output.fit == "contain":
        _, _, width, height = film_rect(show.film.aspect, (width, height), "contain")
    return max(width + width % 2, 16), max(height + height % 2, 16)


def captions_of(args: argparse.Namespace, show: Show) -> Captions:
    """The captions that are asked for, by film frames. Raises ShowError."""
    path = args.srt if args.srt is not None else show.captions.file if show.captions is not None else None
    assert path is not None
    return read_captions(path, show.film.rate)


def cuts_within(cuts: CutList, first: int, end: int, film: str) -> CutList:
    """The cut list of film frames [first, end), counted from `first`. A transition that the range cuts through is a cut in
    the list: the picture holds what is left of it."""
    shots: list[Shot] = []
    for shot in cuts.shots:
        if shot.end <= first or shot.start >= end:
            continue
        made = replace(shot, number=len(shots) + 1, start=max(shot.start, first) - first, end=min(shot.end, end) - first)
        if shot.start < first or (not shots and shot.into == "dissolve") or made.in_frames > made.frames:
            made = replace(made, into="cut", in_frames=0, in_colour="")
        if shot.end > end or made.out_frames > made.frames:
            made = replace(made, out="cut", out_frames=0, out_colour="")
        shots.append(made)
    return CutList(film, cuts.rate, end - first, tuple(shots))


def cut_list_text(cuts: CutList, kind: str, path: Path, film: Path, size_px: tuple[int, int]) -> str:
    """The text of a cut list whose one source is the film. Raises ShowError."""
    from tools.cuts_formats import formatted
    from tools.cuts_notes import Layout

    layout = Layout(film.name, film.resolve().as_uri(), *size_px, baked=True)
    return formatted(cuts, {"xml": "fcp7"}.get(kind, kind), path.name, layout)[0]


def render(args: argparse.Namespace, plan: Plan) -> int:
    """Makes the film with the player's own loop. Returns its exit code."""
    from player.__main__ import main as player_main

    def recorder(path: Path, size_px: tuple[int, int], rate: Fraction, sound: Sound | None) -> RemakeRecorder:
        return RemakeRecorder(path, size_px, rate, sound, plan.show, plan.wanted)

    words = ["render", str(args.show), str(args.output), "--start", f"{plan.first}f", "--osc-port", "0",
             "--duration", repr(float((plan.end - plan.first) / plan.show.film.rate)),
             "--size", f"{plan.pane_px[0]}x{plan.pane_px[1]}", "--threads", str(args.threads)]  # fmt: skip
    words += ["--srt", str(args.srt)] if args.srt is not None else []
    if plan.captions and (args.srt is not None or plan.show.captions is not None):
        words += ["--captions", "on" if plan.captions == "burn" else "off"]
    words += ["--venue", str(args.venue)] if args.venue is not None else []
    words += ["--require-provider", args.require_provider] if args.require_provider else []
    words += [option for option, on in (("--no-sound", args.no_sound), ("--keep-going", args.keep_going)) if on]
    return player_main(words, recorder=recorder)


def sha256_of(path: Path) -> str:
    """Of a file, '' where it cannot be read."""
    try:
        with path.open("rb") as f:
            return hashlib.file_digest(f, "sha256").hexdigest()
    except OSError:
        return ""


def version_of(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def record_of(args: argparse.Namespace, plan: Plan) -> dict[str, Any]:
    """Options, hashes of what was read and written, versions."""
    options = {key: str(value) if isinstance(value, Path) else value for key, value in vars(args).items()}
    written = {path.name: hashlib.sha256(text.encode()).hexdigest() for path, text in plan.cut_lists.items()}
    return {"made_by": MADE_BY, "film": args.output.name, "rate": str(plan.show.film.rate),
            "film_frames": [plan.first, plan.end], "size": list(plan.film_px), "captions": plan.captions or "none",
            "options": options, "written": written,
            "inputs": {what: {"file": path.name, "sha256": sha256_of(path)} for what, path in plan.inputs.items()},
            "versions": {name: version_of(name) for name in ("cineml", "av", "numpy", "moderngl", "onnxruntime")}}  # fmt: skip


def write_beside(args: argparse.Namespace, plan: Plan) -> list[str]:
    """The cut lists and the record, each whole or not at all. Returns their names. Raises ShowError."""
    record = args.output.with_suffix(".json")
    texts = {**plan.cut_lists, record: json.dumps(record_of(args, plan), indent=1, ensure_ascii=False) + "\n"}
    for path, text in texts.items():
        with writing(path):
            write_whole(path, lambda part, text=text: part.write_bytes(text.encode()))  # type: ignore[misc]
    return [path.name for path in texts]


def main(argv: Sequence[str] | None = None) -> int:
    """The deed. Returns the exit code: 0, 1 where a source failed, 2 for bad input, 130 where Ctrl-C stopped it."""
    args = arguments().parse_args(argv)
    try:
        plan = plan_of(args)
        code = render(args, plan)
        if code == 0:
            print(f"beside it: {', '.join(write_beside(args, plan))}")
        return code
    except ShowError as e:
        for problem in e.problems:
            print(f"cineml: {problem}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\ncineml: stopped", file=sys.stderr)
        return STOPPED


if __name__ == "__main__":
    sys.exit(main())
