"""`cineml cuts check CUTS [--film FILM]`: everything wrong with a cut list, at once."""

from __future__ import annotations

import csv
import io
import re
import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from player.show.cut_list import CutList, Shot, parse_csv, problems_of
from player.show.film import format_timecode, parse_rate
from player.show.problem import Problem, ShowError
from tools.cuts_convert import asked
from tools.cuts_formats import read_cuts, recognised
from tools.cuts_options import check_arguments
from tools.cuts_text import counted, decoded, read_bytes
from tools.cuts_timecode import spoken
from tools.cuts_timeline import OTHER_RATE, Told

STOPPED = 130
SHORTEST = 2  # frames; a shot of one is mostly a flash or a slip
MOST_SAID = 200


def warnings_of(cuts: CutList, film: str = "") -> list[str]:
    """What can be used and is hardly meant, a line each. film: the name of the film that it is held against."""
    found: list[str] = []
    for before, s in zip((None, *cuts.shots), cuts.shots, strict=False):
        at = f"shot {s.number}"
        if s.frames < SHORTEST:
            found.append(f"{at} has {s.frames} frame at {s.start}: a flash or a slip")
        if s.into == "dissolve" and before is not None:
            if s.in_frames > before.frames:
                found.append(f"{at} dissolves over {s.in_frames} frames out of shot {before.number}, which has {before.frames}")
            if before.out == "fade":
                found.append(f"{at} dissolves out of shot {before.number}, which has faded to {before.out_colour}")
        if s.into != "cut" and s.in_frames == s.frames:
            found.append(f"{at} is never seen whole: its {s.into} in takes all of its {s.frames} frames")
        elif s.in_frames + s.out_frames > s.frames:
            found.append(f"{at} goes out before it is in: {s.in_frames} + {s.out_frames} of {s.frames} frames")
    if film and cuts.film and film != cuts.film:
        found.append(f"it was made for {cuts.film!r}, the film is {film!r}")
    return found


def loose_csv(text: str) -> CutList | None:
    """A CSV's shots though it is unsound; None where its numbers cannot be read at all."""
    head = {k.lower(): v.strip().strip('",;').strip() for k, v in re.findall(r'^"?#\s*(\w+)\s*:([^\n]*)', text, re.MULTILINE)}
    body = [line for line in text.split("\n") if line.strip().strip('"') and not line.strip().strip('"').startswith("#")]
    try:
        rate, frames = parse_rate(head["rate"]), int(head["frames"][:12])
        delimiter = ";" if body and body[0].count(";") > body[0].count(",") else ","
        rows = list(csv.DictReader(io.StringIO("\n".join(body)), delimiter=delimiter))
        shots = []
        for row in rows:
            cells = {str(k).strip().lower(): v.strip() for k, v in row.items() if isinstance(v, str)}
            numbers = [int((cells.get(n) or "0")[:12]) for n in ("shot", "start", "end", "in_frames", "out_frames")]
            shots.append(Shot(numbers[0], numbers[1], numbers[2], (cells.get("in") or "cut").lower(), numbers[3],
                              cells.get("in_colour", "").lower(), (cells.get("out") or "cut").lower(), numbers[4],
                              cells.get("out_colour", "").lower()))  # fmt: skip
    except (KeyError, ValueError, csv.Error):
        return None
    return CutList(head.get("film", ""), rate, frames, tuple(shots))


def checked(path: Path, told: Told, kind: str = "") -> tuple[CutList | None, list[Problem], list[str]]:
    """(the list, where it can be read; what makes it useless; warnings). Raises ShowError where the file is no cut list."""
    data = read_bytes(path)
    if (kind or recognised(data, path)) != "csv":
        try:
            read = read_cuts(path, told, kind)
        except ShowError as e:
            return None, list(e.problems), []
        return read.cuts, [], [*read.said, *warnings_of(read.cuts, told.film)]
    text, encoding = decoded(data, path.name)
    found: list[Problem] = []
    if encoding != "utf-8":
        found.append(Problem(path.name, f"is {encoding.upper()}, not UTF-8", "UTF-8",
                             "cineml cuts convert, which reads it, or save it again as CSV UTF-8"))  # fmt: skip
    cuts = loose_csv(text)
    try:
        cuts = parse_csv(text, path.name)
        found += problems_of(cuts, path.name, told.frames)
    except ShowError as e:
        found += e.problems
        if cuts is not None:
            known = {str(p) for p in found}
            found += [p for p in problems_of(cuts, path.name, told.frames) if str(p) not in known]
    if cuts is not None and told.rate is not None and told.rate != cuts.rate:
        given = f"is at {spoken(cuts.rate)} frames a second, the film at {spoken(told.rate)}"
        found.append(Problem(path.name, given, "", OTHER_RATE))
    return cuts, found, warnings_of(cuts, told.film) if cuts is not None else []


def summary(cuts: CutList) -> str:
    """One line about a sound list."""
    shortest = min(cuts.shots, key=lambda s: s.frames)
    dissolves = sum(s.into == "dissolve" for s in cuts.shots)
    fades = sum((s.into == "fade") + (s.out == "fade") for s in cuts.shots)
    mean_s = float(Fraction(cuts.frames, len(cuts.shots)) / cuts.rate)
    return (f"{counted(len(cuts.shots), 'shot')}, {counted(cuts.frames, 'frame')} at {spoken(cuts.rate)} a second "
            f"({format_timecode(cuts.frames, cuts.rate)}), {counted(dissolves, 'dissolve')}, {counted(fades, 'fade')}; "
            f"a shot lasts {mean_s:.1f} s on average, the shortest is shot {shortest.number}, "
            f"{counted(shortest.frames, 'frame')}")


def main(argv: Sequence[str] | None = None) -> int:
    """The deed. Returns the exit code: 0 (warnings may be told), 2 where the list cannot be used, 130 for Ctrl-C."""
    args = check_arguments().parse_args(argv)
    try:
        told, _ = asked(args)
        cuts, found, warnings = checked(args.cuts, told, args.kind)
        for line in warnings[:MOST_SAID]:
            print(f"{args.cuts.name}: warning: {line}", file=sys.stderr)
        if len(warnings) > MOST_SAID:
            print(f"{args.cuts.name}: warning: and {len(warnings) - MOST_SAID} more", file=sys.stderr)
        if found:
            raise ShowError(found)
        assert cuts is not None
        print(f"{args.cuts}: {summary(cuts)}")
    except ShowError as e:
        print(e, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return STOPPED
    return 0


if __name__ == "__main__":
    sys.exit(main())
