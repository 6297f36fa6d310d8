"""`cineml cuts detect FILM -o CUTS.csv`: cuts, dissolves and fades of a film, as a cut list that a person corrects.

Beside the list stand a contact sheet, a page for the eye and a record. What was corrected by hand is never overwritten;
`--recheck CUTS.csv` holds it against the film instead, and writes nothing over it.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from player.progress import Progress
from player.show.cut_list import CutList, format_csv, problems_of, read_csv
from player.show.film import format_timecode
from player.show.problem import Problem, ShowError
from tools.cuts_detect_options import detect_arguments
from tools.cuts_find import Settings, find, settings_for
from tools.cuts_page import frames_shown, page
from tools.cuts_pictures import FilmSource, frames_asked, open_source, pictures_at, reduced_frames
from tools.cuts_recheck import Recheck, recheck
from tools.cuts_record import (
    as_json,
    content_sha256,
    corrected_by_hand,
    film_sha256,
    read_record,
    record_path,
    versions,
    write_together,
)
from tools.cuts_sheet import shots_sheet
from tools.cuts_text import counted
from tools.cuts_transition import DOUBTFUL, Found, Rejected, Transition, cut_list
from tools.film_dataset_source import order_notes
from tools.show_file import fill, show_beside
from tools.whole_file import output_problems

STOPPED = 130
PICTURE_PX = 240
MOST_LINES = 12  # of doubtful boundaries in the terminal; the page shows them all


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command. Returns 0, 2 for bad input, 130 where it was stopped."""
    args = detect_arguments().parse_args(argv)
    out = sys.stderr if args.json else sys.stdout
    try:
        if found := option_problems(args):
            raise ShowError(found)
        told = rechecked(args, out) if args.recheck is not None else detected(args, out)
    except ShowError as e:
        print(e, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped; nothing was written", file=sys.stderr)
        return STOPPED
    if args.json:
        print(as_json(told), end="")
    return 0


def option_problems(args: argparse.Namespace) -> list[Problem]:
    """What can be said before the film is looked at."""
    found = []
    if not 0 <= args.sensitivity <= 1:  # nan is not
        found.append(Problem("--sensitivity", f"{args.sensitivity:g}", "0 to 1"))
    if not args.film.exists():
        found.append(Problem(str(args.film), "does not exist", "a film, or a folder of its frames"))
    if args.output is not None:
        found += output_problems(args.output, (".csv",))
        found += [p for path in beside(args.output) for p in place_problems(path, args.film)]
        if not args.no_page and not record_path(args.output).exists():
            found += [Problem(str(path), "is there already, and was not written with this list", "another name for the list")
                      for path in beside(args.output)[:2] if path.is_file()]  # fmt: skip
        if not found and corrected_by_hand(args.output):
            given = "was corrected by hand, or not written by 'cineml cuts detect': it stays as it is"
            found.append(Problem(str(args.output), given, "another name, or --recheck to hold it against the film",
                                 f"cineml cuts detect {shlex.quote(str(args.film))} --recheck "
                                 f"{shlex.quote(str(args.output))}"))  # fmt: skip
    elif not args.recheck.is_file():
        given = "does not exist" if not args.recheck.exists() else "is not a file"
        found.append(Problem(str(args.recheck), given, "a cut list (CSV)"))
    return found


def place_problems(path: Path, film: Path) -> list[Problem]:
    """What is wrong with writing to `path`, for the film's sake."""
    try:
        if path.exists() and film.exists() and path.samefile(film):
            return [Problem(str(path), "is the film itself", "another name")]
        if film.is_dir() and path.parent.resolve().is_relative_to(film.resolve()):
            return [Problem(str(path), "would lie among the film's frames", "another folder")]
    except OSError:
        pass  # writing says what is wrong
    if path.is_dir():
        return [Problem(str(path), "is a folder, and a file is to be written there", "another name")]
    return []


def beside(cuts: Path) -> tuple[Path, Path, Path]:
    """Sheet, page and record of a cut list."""
    return cuts.with_suffix(".png"), cuts.with_suffix(".html"), record_path(cuts)


def looked_at(args: argparse.Namespace, source: FilmSource, out: TextIO) -> tuple[Found, int, int, float]:
    """(what was found, first and last frame looked at, frames a second)."""
    for note in order_notes(source.names):
        print(f"note: {note}", file=out)
    first, last = frames_asked(source, args.start, args.end)
    progress = Progress(last, "frames looked at", out)
    begun_s = time.perf_counter()
    reduced = reduced_frames(source, first, last, progress.at)
    found, _ = find(reduced, float(source.rate), settings_of(args), source.frames)
    rate = (last - first) / (time.perf_counter() - begun_s)
    progress.done(f"{source.path.name}: {last - first} frames looked at, {rate:.0f} a second,")
    return found, first, last, rate


def settings_of(args: argparse.Namespace) -> Settings:
    """The options as settings."""
    return settings_for(args.sensitivity, not args.no_dissolves)


def detected(args: argparse.Namespace, out: TextIO) -> dict[str, Any]:
    """Detects, writes all files, and returns what --json prints. Raises ShowError."""
    source = open_source(args.film, args.fps)
    found, first, last, rate = looked_at(args, source, out)
    cuts = cut_list(found, source.path.name, source.rate, source.frames)
    if wrong := problems_of(cuts, args.output.name):
        raise ShowError(wrong)
    boundaries = boundaries_of(cuts, found)
    told: dict[str, Any] = {
        "tool": "cineml cuts detect",
        "film": {"name": source.path.name, "sha256": film_sha256(source.path), "rate": str(source.rate),
                 "frames": source.frames},
        "looked_at": [first, last],
        "shots": len(cuts.shots),
        "transitions": [t.told() for t in boundaries],
        "rejected": [r.told() for r in found.rejected],
        "frames_a_second": round(rate),
    }
    sheet, html, record = beside(args.output)
    files = {args.output: format_csv(cuts).encode()}
    if not args.no_page:
        pictures = shown(source, frames_shown(cuts, boundaries, found.rejected), out)
        lines = [f"{counted(source.frames, 'frame')} at {source.rate} a second, {counted(len(cuts.shots), 'shot')}. "
                 f"The list is {args.output.name}: correct it there; it is never overwritten once you have.",
                 "Each shot: the frame before it, its first and its last frame that are seen whole."]  # fmt: skip
        files[html] = page(cuts, boundaries, found.rejected, pictures, f"Cuts of {source.path.name}", lines, "Rejected",
                           "What looked like a boundary and was held to be none. To add one, split the shot at that frame in "
                           "the list.").encode()  # fmt: skip
        files[sheet] = shots_sheet(cuts, pictures)
    options = {k: str(v) if isinstance(v, Path) else v for k, v in vars(args).items()}
    files[record] = as_json({**told, "content_sha256": content_sha256(cuts), "options": options,
                             "settings": asdict(settings_of(args)), "versions": versions(), "groups": {}}).encode()  # fmt: skip
    write_together(files)
    if (show := show_beside(args.output)) is not None:
        fill(show, {("film", "cuts"): args.output.name})
        print(f"{show}: has these cuts now", file=out)
    doubtful = sum(t.confidence < DOUBTFUL for t in boundaries)
    say(out, f"{args.output}: {counted(len(cuts.shots), 'shot')}; doubtful boundaries: {doubtful}, rejected candidates: "
             f"{len(found.rejected)}", boundaries, cuts)  # fmt: skip
    if not args.no_page:
        print(f"look at {html}", file=out)
    return {**told, "cuts": str(args.output)}


def boundaries_of(cuts: CutList, found: Found) -> list[Transition]:
    """The transition at the start of each shot but the first."""
    by_frame = {t.frame: t for t in found.transitions}
    return [by_frame[shot.start] for shot in cuts.shots[1:]]


def shown(source: FilmSource, wanted: set[int], out: TextIO) -> dict[int, Any]:
    """The pictures of the page."""
    progress = Progress(max(wanted, default=0) + 1, "frames for the page", out)
    return pictures_at(source, wanted, PICTURE_PX, progress.at)


def say(out: TextIO, line: str, boundaries: Sequence[Transition], cuts: CutList) -> None:
    """The result, and the doubtful ones, a line each."""
    print(line, file=out)
    doubtful = sorted((t for t in boundaries if t.confidence < DOUBTFUL), key=lambda t: t.confidence)
    for t in doubtful[:MOST_LINES]:
        print(f"  doubtful: frame {t.frame} ({format_timecode(t.frame, cuts.rate)}), {t.kind}, "
              f"confidence {t.confidence:.2f}: {t.why}", file=out)  # fmt: skip
    if len(doubtful) > MOST_LINES:
        print(f"  and {len(doubtful) - MOST_LINES} more", file=out)


def rechecked(args: argparse.Namespace, out: TextIO) -> dict[str, Any]:
    """Holds a list against the film, writes NAME.recheck.html, and returns what --json prints. Raises ShowError."""
    cuts = read_csv(args.recheck)
    source = open_source(args.film, args.fps)
    wrong = problems_of(cuts, args.recheck.name, source.frames)
    if cuts.rate != source.rate:
        wrong.append(Problem(f"{args.recheck.name}: rate", f"{cuts.rate}, and the film has {source.rate}",
                             "the film's own rate", "is it another film's list?"))  # fmt: skip
    html = args.recheck.with_name(args.recheck.stem + ".recheck.html")
    wrong += place_problems(html, args.film)
    if wrong:
        raise ShowError(wrong)
    found, first, last, rate = looked_at(args, source, out)
    result = recheck(found, cuts, first, last)
    if not args.no_page:
        write_recheck_page(html, cuts, result, source, out)
    agreed = result.looked - len(result.doubtful)
    say(out, f"{args.recheck}: boundaries looked at: {result.looked}, borne out by the film: {agreed}, doubtful: "
             f"{len(result.doubtful)}; strong candidates that the list lacks: {len(result.lacking)}", result.boundaries, cuts)
    for r in result.lacking[:MOST_LINES]:
        at = format_timecode(r.frame, cuts.rate)
        print(f"  lacking: frame {r.frame} ({at}), likelihood {r.score:.2f}: {r.why}", file=out)
    if not args.no_page:
        print(f"look at {html}; the list was not touched", file=out)
    return {"tool": "cineml cuts detect --recheck", "film": source.path.name, "cuts": str(args.recheck),
            "looked_at": [first, last], "by_hand": read_record(args.recheck).get("content_sha256") != content_sha256(cuts),
            "boundaries": [t.told() for t in result.boundaries], "doubtful": [t.frame for t in result.doubtful],
            "lacking": [r.told() for r in result.lacking], "frames_a_second": round(rate)}  # fmt: skip


def write_recheck_page(html: Path, cuts: CutList, result: Recheck, source: FilmSource, out: TextIO) -> None:
    """The page of a recheck. Raises ShowError."""
    lacking: Sequence[Rejected] = result.lacking
    pictures = shown(source, frames_shown(cuts, result.boundaries, lacking), out)
    lines = [f"{counted(len(cuts.shots), 'shot')} of {source.path.name} as the list has them, each beginning with how far the "
             "film bears it out. The list itself was not touched."]  # fmt: skip
    title = f"{cuts.film or source.path.name}: the corrected list rechecked"
    made = page(cuts, result.boundaries, lacking, pictures, title, lines, "Not in the list",
                "Strong candidates that the list has no boundary for.")  # fmt: skip
    write_together({html: made.encode()})


if __name__ == "__main__":
    sys.exit(main())
