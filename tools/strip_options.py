"""The command line of `cineml strip`, and what it asks for once it is checked: no torch, no film opened."""

from __future__ import annotations

import argparse
import math
import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal, get_args

from player.show.film import parse_rate
from player.show.problem import Problem, ShowError
from player.show.toml_table import file_problem
from tools.strip_measures import PICTURES, PITCHES, Format, Measure, Picture, Pitch
from tools.whole_file import output_problems

Fit = Literal["contain", "cover"]
Join = Literal["butt", "overlap", "gap"]
Area = Literal["clear", "black"]
Colour = Literal["auto", "grey", "rgb"]
Coding = Literal["lossless", "jpeg"]
SHEETS_MM = {"A4": (210.0, 297.0), "A3": (297.0, 420.0), "LETTER": (215.9, 279.4)}
LEAST_MM, MOST_MM = 60.0, 5000.0  # a PDF page ends at 200 inches
MOST_SHRINK = 5.0
EXAMPLES = """examples:
  cineml strip remake.mp4 -o strip.pdf --dry-run
  cineml strip remake.mp4 -o strip.pdf --format standard16 --sheet A3 --dpi 1200 --around black --track black
  cineml strip remake.mp4 -o strip.pdf --start 00:01:00:00 --end 00:01:30:00 --densities wedge.csv --shrink 0.3
  cineml strip frames -o strip.pdf --negative --emulsion down --fit cover --join overlap"""


@dataclass(frozen=True)
class Wanted:
    """A checked command line.

    sheet_mm: width and height; strips run along the height. margin_mm: at the sheet's sides, and at its upper and lower end.
    shrink: what print and film lose, as a part, along and across the strip. mirrored: the ink side looks away from who holds
    the strip so that the picture reads right.
    """

    film: Path
    output: Path
    picture: Picture
    pitch: Measure
    sheet_name: str
    sheet_mm: tuple[float, float]
    margin_mm: tuple[float, float]
    between_mm: float
    dpi: int
    snap: bool
    fit: Fit
    shrink: tuple[float, float]
    negative: bool
    mirrored: bool
    gamma: float
    densities: Path | None
    track: Area
    around: Area
    join: Join
    colour: Colour
    coding: Coding
    quality: int
    repeat: int
    start: str | None
    end: str | None
    projector_fps: Fraction
    dry_run: bool

    @property
    def stretch(self) -> tuple[float, float]:
        """How much larger everything is drawn, along and across, so that it is right when it has shrunk."""
        return 1 / (1 - self.shrink[0]), 1 / (1 - self.shrink[1])


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        prog="cineml strip", description="A film as strips of 16 mm or Super 16, true to scale, to be printed on clear film: "
        "a PDF with perforations, cut marks, numbers, rulers and a density wedge.",
        epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    p.add_argument("film", type=Path, metavar="REMAKE", help="a film, or a folder of its frames")
    p.add_argument("-o", "--output", type=Path, required=True, metavar="PDF", help="strip.pdf; strip.pdf.json stands beside it")
    p.add_argument("--start", help="first frame: timecode, seconds with s, or frames with f")
    p.add_argument("--end", help="the frame after the last")
    p.add_argument("--format", choices=get_args(Format), default="super16",
                   help="super16: 12.52 x 7.41 mm (default); standard16: the camera aperture, 10.26 x 7.49; projector16: "
                   "the projector aperture, 9.65 x 7.21")  # fmt: skip
    p.add_argument("--pitch", choices=get_args(Pitch), default="long",
                   help="long: 7.620 mm, film for projection (default); short: 7.605 mm, camera film")  # fmt: skip
    p.add_argument("--fit", choices=get_args(Fit), default="contain",
                   help="contain: the whole picture, black beside it (default); cover: the frame filled, the picture "
                   "cropped")  # fmt: skip
    p.add_argument("--repeat", type=int, default=1, help="times that each frame is printed, 2 for 12 a second on 24 (1)")
    p.add_argument("--sheet", default="A4", help="A4, A3, Letter or WIDTHxHEIGHT in mm; strips run along the height (A4)")
    p.add_argument("--margin", default="5", metavar="MM[,MM]", help="what the printer cannot print: at every edge of the "
                   "sheet, or at its sides and at its upper and lower end: 3,15 (5)")  # fmt: skip
    p.add_argument("--between", default="3", metavar="MM", help="from strip to strip (3)")
    p.add_argument("--dpi", type=int, default=600, help="dots an inch of the printer: pictures are made in its dots (600)")
    p.add_argument("--snap", action="store_true", help="lay every picture on whole dots, counted from the sheet's lower left "
                   "corner; what it shows does not move, its edges do by up to one dot")  # fmt: skip
    p.add_argument("--shrink", default="0", metavar="PERCENT[,PERCENT]", help="what print and film lose, along the strip and "
                   "across it: all is drawn so much larger; 0.3 where the bar of 100 mm measures 99.7 (0)")  # fmt: skip
    p.add_argument("--negative", action="store_true", help="turn black and white round, to copy onto print film")
    p.add_argument("--emulsion", choices=("up", "down"), default="up",
                   help="the printed side when the picture reads right: towards you (default), or away: mirrored")  # fmt: skip
    p.add_argument("--gamma", default="1", help="above 1: lighter middle tones (1)")
    p.add_argument("--densities", type=Path, metavar="CSV", help="densities measured on the printed wedge: value,density")
    p.add_argument("--track", choices=get_args(Area), default="clear", help="where standard 16 has its optical track (clear)")
    p.add_argument("--around", choices=get_args(Area), default="clear", help="the film around the pictures (clear)")
    p.add_argument("--join", choices=get_args(Join), default="butt",
                   help="butt: strips meet at the frame line (default); overlap: each begins with the last frame of the one "
                   "before; gap: a frame's length of empty film, marked, at both ends")  # fmt: skip
    p.add_argument("--colour", choices=get_args(Colour), default="auto", help="auto: grey where the film is (default)")
    p.add_argument("--coding", choices=get_args(Coding), default="lossless", help="of the pictures in the PDF (lossless)")
    p.add_argument("--quality", type=int, default=95, help="of --coding jpeg, 1 to 100 (95)")
    p.add_argument("--projector-fps", default="24", help="frames a second of the projector, for the running time (24)")
    p.add_argument("--dry-run", action="store_true", help="say sheets, length and size, and write nothing")
    return p


def number_in(text: str, name: str, least: float, most: float, problems: list[Problem]) -> float:
    """A number within bounds; else a problem more, and `least`."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not least <= value <= most:
        problems.append(Problem(name, repr(text), f"a number, {least:g} to {most:g}"))
        return least
    return value


def pair_in(text: str, name: str, least: float, most: float, what: str, problems: list[Problem]) -> tuple[float, float]:
    """One number for both, or two with a comma between."""
    parts = text.split(",")
    if len(parts) > 2:
        problems.append(Problem(name, repr(text), f"one number, or two: {what}"))
        return least, least
    numbers = [number_in(t, name, least, most, problems) for t in parts]
    return numbers[0], numbers[-1]


def sheet_of(text: str, problems: list[Problem]) -> tuple[str, tuple[float, float]]:
    """(name, (width, height) in mm) of a sheet."""
    if text.upper() in SHEETS_MM:
        return text.upper() if text.upper() != "LETTER" else "Letter", SHEETS_MM[text.upper()]
    found = re.fullmatch(r"(\d+(?:\.\d+)?)x(\d+(?:\.\d+)?)", text.lower(), re.ASCII)
    size = (float(found[1]), float(found[2])) if found else (0.0, 0.0)
    if not all(LEAST_MM <= v <= MOST_MM for v in size):
        allowed = f"A4, A3, Letter, or WIDTHxHEIGHT in mm, {LEAST_MM:g} to {MOST_MM:g}"
        problems.append(Problem("--sheet", repr(text), allowed))
        return "A4", SHEETS_MM["A4"]
    return f"{size[0]:g} x {size[1]:g} mm", size


def _same(a: Path, b: Path) -> bool:
    try:
        return a.samefile(b) if a.exists() and b.exists() else a.resolve() == b.resolve()
    except OSError:  # a name that no file system takes; opening it says so
        return False


def record_of(output: Path) -> Path:
    """Where options, hashes and versions are written."""
    return output.with_name(output.name + ".json")


def wanted_of(args: argparse.Namespace) -> Wanted:
    """The command line, checked. Raises ShowError with every problem of it."""
    problems = output_problems(args.output, (".pdf",))
    for path, name in ((args.output, "the PDF"), (record_of(args.output), "its record")):
        for given in (args.film, args.densities):
            if given is not None and _same(path, given):
                problems.append(Problem(str(path), f"is an input, which {name} would replace", "another name"))
    if record_of(args.output).is_dir():
        problems.append(Problem(str(record_of(args.output)), "is a folder", "a place for the record of options"))
    sheet_name, sheet_mm = sheet_of(args.sheet, problems)
    margins = pair_in(args.margin, "--margin", 0, 50, "sides,ends", problems)
    between_mm = number_in(args.between, "--between", 1, 50, problems)
    gamma = number_in(args.gamma, "--gamma", 0.2, 5, problems)
    losses = pair_in(args.shrink, "--shrink", -MOST_SHRINK, MOST_SHRINK, "along,across", problems)
    for value, name, least, most in ((args.dpi, "--dpi", 72, 9600), (args.quality, "--quality", 1, 100),
                                     (args.repeat, "--repeat", 1, 100)):  # fmt: skip
        if not least <= value <= most:
            problems.append(Problem(name, str(value), f"{least} to {most}"))
    if args.format == "super16" and args.track == "black":
        problems.append(Problem("--track black", "Super 16 has its picture there", "--format standard16 or projector16"))
    if args.densities is not None:
        if reason := file_problem(args.densities):
            problems.append(Problem(str(args.densities), reason, "a CSV of measured densities"))
        if gamma != 1:
            problems.append(Problem("--gamma, --densities", "both are given", "one of them"))
    fps = Fraction(24)
    try:
        fps = parse_rate(args.projector_fps)
    except ValueError as e:
        problems.append(Problem("--projector-fps", str(e)))
    if problems:
        raise ShowError(problems)
    shrink = losses[0] / 100, losses[1] / 100
    return Wanted(args.film, args.output, PICTURES[args.format], PITCHES[args.pitch], sheet_name, sheet_mm, margins,
                  between_mm, args.dpi, args.snap, args.fit, shrink, args.negative, args.emulsion == "down",
                  gamma, args.densities, args.track, args.around, args.join, args.colour, args.coding, args.quality,
                  args.repeat, args.start, args.end, fps, args.dry_run)  # fmt: skip
