"""The command lines of `cineml cuts detect` and `cineml cuts group`: light, so that --help works in a base install."""

from __future__ import annotations

import argparse
from pathlib import Path

SENSITIVITY = 0.5
DETECT_EXAMPLES = """examples:
  cineml cuts detect film.mp4 -o cuts.csv
  cineml cuts detect film.mp4 -o act1.csv --start 00:01:00:00 --end 00:09:30:00
  cineml cuts detect frames/ -o cuts.csv --fps 24 --sensitivity 0.6
  cineml cuts detect film.mp4 --recheck cuts.csv

The cut list, a contact sheet (cuts.png), a page for the eye (cuts.html: doubtful shots first, then what was rejected) and a
record (cuts.csv.json) stand beside each other. A list that was corrected by hand is never overwritten: --recheck compares it
with the film and says which of its boundaries look doubtful and which it lacks."""
GROUP_EXAMPLES = """examples:
  cineml cuts group film.mp4 cuts.csv
  cineml cuts group film.mp4 --cuts cuts.csv -o grouped.csv --sheet groups.png --threshold 0.4

Labels A, B, C ... come into the column `group` of the cut list, and a sheet with one row a group beside it. Change them there
as you like: a label that you wrote stays in every later run, and draws the shots that look alike to it."""


def _film(p: argparse.ArgumentParser) -> None:
    p.add_argument("film", type=Path, metavar="FILM", help="the film, or a folder (or zip) of its frames")
    p.add_argument("--fps", default="24", help="frames a second, where FILM is a folder of frames (24)")


def detect_arguments() -> argparse.ArgumentParser:
    """The command line of `cineml cuts detect`."""
    p = argparse.ArgumentParser(
        prog="cineml cuts detect", description="Find cuts, dissolves and fades, and write the cut list.",
        epilog=DETECT_EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    _film(p)
    where = p.add_mutually_exclusive_group(required=True)
    where.add_argument("-o", "--output", type=Path, metavar="CUTS", help="the cut list to write, NAME.csv")
    where.add_argument("--recheck", type=Path, metavar="CUTS",
                       help="compare a corrected list with the film; only NAME.recheck.html is written")  # fmt: skip
    p.add_argument("--start", help="look from here on (timecode, seconds 12.5s, frames 300f)")
    p.add_argument("--end", help="and up to here; outside no boundary is looked for")
    p.add_argument("--sensitivity", type=float, default=SENSITIVITY, metavar="S",
                   help=f"0 finds only the plainest, 1 nearly everything ({SENSITIVITY})")  # fmt: skip
    p.add_argument("--no-dissolves", action="store_true", help="hard cuts and fades only")
    p.add_argument("--no-page", action="store_true", help="neither page nor sheet: the film is decoded once, not twice")
    p.add_argument("--json", action="store_true", help="print what was found as JSON")
    return p


def group_arguments() -> argparse.ArgumentParser:
    """The command line of `cineml cuts group`."""
    p = argparse.ArgumentParser(
        prog="cineml cuts group", description="Group the shots that return to the same set-up.",
        epilog=GROUP_EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    _film(p)
    p.add_argument("cuts_file", nargs="?", type=Path, metavar="CUTS", help="its cut list (CSV)")
    p.add_argument("--cuts", type=Path, help="the same as CUTS")
    p.add_argument("-o", "--output", type=Path, metavar="CUTS", help="write the grouped list there (default: CUTS itself)")
    p.add_argument("--sheet", type=Path, metavar="PNG",
                   help="the sheet, one row a group (default: beside the list, NAME.groups.png)")  # fmt: skip
    p.add_argument("--start", help="group only the shots that begin from here on")
    p.add_argument("--end", help="and before here")
    p.add_argument("--threshold", type=float, metavar="T",
                   help="how far apart shots of a group may be, 0 to 1 (default: chosen from the film, and said)")  # fmt: skip
    p.add_argument("--json", action="store_true", help="print the groups as JSON")
    return p
