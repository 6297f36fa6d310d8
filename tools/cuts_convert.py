"""`cineml cuts convert CUTS -o OUT`: a cut list from one format to another, with the same frame numbers by every route."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from player.show.problem import Problem, ShowError
from tools.cuts_formats import Read, formatted, read_cuts
from tools.cuts_notes import Layout
from tools.cuts_options import WRITTEN, FilmFacts, convert_arguments, film_facts, told_rate
from tools.cuts_text import counted
from tools.cuts_timecode import DROP_RATES, read_timecode, spoken
from tools.cuts_timeline import Told, clean
from tools.show_file import fill, show_beside
from tools.whole_file import output_problems, write_whole

STOPPED = 130


def asked(args: argparse.Namespace) -> tuple[Told, FilmFacts | None]:
    """What the command line tells about the file, and the film where it names one. Raises ShowError."""
    film = film_facts(args.film, args.start, args.end, args.rate) if args.film is not None else None
    ends = (("--start", args.start), ("--end", args.end))
    found = [Problem(n, "is given without --film", "--film beside it") for n, v in ends if v is not None and film is None]
    rate, wrong = told_rate(args.rate, film)
    if found + wrong:
        raise ShowError(found + wrong)
    name = clean(film.path.name) if film else ""
    return Told(rate, name, film.frames if film else None, args.film_start, args.sequence, args.fill_end, args.join), film


def layout_of(args: argparse.Namespace, read: Read, film: FilmFacts | None, kind: str) -> Layout:
    """How the list is to be written. Raises ShowError."""
    rate = read.cuts.rate
    if args.drop_frame and rate not in DROP_RATES:
        raise ShowError(Problem("--drop-frame", f"is given at {spoken(rate)} frames a second", "29.97 or 59.94 only"))
    first = 0
    if args.timeline_start:
        code = read_timecode(args.timeline_start)
        try:
            if code is None:
                raise ValueError(f"{args.timeline_start!r} is no timecode")
            first = code.frame(rate, args.drop_frame)
        except ValueError as e:
            raise ShowError(Problem("--timeline-start", str(e), "hh:mm:ss:ff")) from None
    place = ""
    if film is not None and not film.path.is_dir():
        place = film.path.resolve().as_uri()
        if kind == "fcp7" and place.startswith("file:///"):  # Premiere writes a host, and a drive's colon escaped
            place = "file://localhost/" + quote(place.removeprefix("file:///"), safe="/%")
    if film is None:
        return Layout(read.cuts.film, first=first, drop=args.drop_frame, baked=args.baked)
    source, drop = 0, args.drop_frame
    if code := read_timecode(film.timecode):
        with contextlib.suppress(ValueError):  # of another rate, or damaged: the film is found by its name all the same
            source, drop = code.frame(rate), drop or code.drop
    return Layout(read.cuts.film, place, *film.size, first, drop, args.baked, source, film.first, film.whole)


def place_problems(args: argparse.Namespace) -> list[Problem]:
    """What is wrong with where the list is to be written."""
    found = output_problems(args.output, tuple(WRITTEN)) if not args.to else output_problems(args.output, (args.output.suffix,))
    for what, path in (("the cut list that is read", args.cuts), ("the film", args.film)):
        if path is not None and not found and _same(args.output, path):
            found = [Problem(str(args.output), f"is {what}, which would be lost", "another name")]
    return found


def _same(a: Path, b: Path) -> bool:
    try:
        return a.samefile(b) if a.exists() and b.exists() else a.resolve() == b.resolve()
    except OSError:
        return False


def write(text: str, path: Path, overwrite: bool) -> None:
    """The file, whole; another one that is there is somebody's work. Raises ShowError."""
    try:
        there = path.read_bytes() if path.exists() else None
    except OSError as e:
        raise ShowError(Problem(str(path), f"cannot be read ({e.strerror})", "another name")) from None
    data = text.encode("utf-8", "replace")
    if there is not None and there != data and not overwrite:
        raise ShowError(Problem(str(path), "is there already, and differs", "another name", "--overwrite"))
    write_whole(path, lambda part: part.write_bytes(data))


def main(argv: Sequence[str] | None = None) -> int:
    """The deed. Returns the exit code: 0, 2 for bad input, 130 where Ctrl-C stopped it."""
    args = convert_arguments().parse_args(argv)
    try:
        if found := place_problems(args):
            raise ShowError(found)
        kind = args.to or WRITTEN[args.output.suffix.lower()]
        told, film = asked(args)
        read = read_cuts(args.cuts, told, args.kind)
        layout = layout_of(args, read, film, kind)
        text, said = formatted(read.cuts, kind, args.output.name, layout)
        write(text, args.output, args.overwrite)
        for line in read.said:
            print(f"{args.cuts.name}: {line}", file=sys.stderr)
        for line in said:
            print(f"{args.output.name}: {line}", file=sys.stderr)
        cuts = read.cuts
        print(f"{args.output}: {counted(len(cuts.shots), 'shot')}, {counted(cuts.frames, 'frame')} at "
              f"{spoken(cuts.rate)} a second, from {read.kind} to {kind}")  # fmt: skip
        if kind == "csv" and (show := show_beside(args.output)) is not None:
            fill(show, {("film", "cuts"): args.output.name})
            print(f"{show}: has these cuts now")
    except ShowError as e:
        print(e, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped; nothing was written", file=sys.stderr)
        return STOPPED
    return 0


if __name__ == "__main__":
    sys.exit(main())
