"""The command line of `cineml style measure`: nothing heavy, so that --help works in a base install."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from player.show.problem import Problem
from tools.keyframes_suggest_options import folder_named, folder_problems

EXAMPLES = """examples:
  cineml style measure film.mp4 stylised.mp4 --cuts cuts.csv --style painting.png
  cineml style measure film.mp4 plain.mp4 steady.mp4 --style painting.png -o compared --start 00:00:10:00 --end 00:00:15:00
  cineml style measure grainy.mp4 stylised.mp4 --flow-from denoised.mp4

E_warp (Lai et al. 2018): a later frame is warped to an earlier one by the ORIGINAL's flow, and the squared difference, of
values 0..1, is averaged over what both frames show. Excess is that of the stylised film less the original's own, over the same
pixels. Pairs never cross a cut, and frames inside dissolves and fades are left out. Jitter is the shift of the picture, in
pixels, that would make as much difference: contrast and blur play no part in it. Sharpness stands beside, because a blur lowers
E_warp: of two films the calmer one is compared with the sharper one blurred to its sharpness.

OUT holds report.html (opens without a network), plot.png, worst.png, frames.csv, shots.csv and measure.json. A film that was
compressed is measured with what compression did to it: for a network alone, write PNG frames. On strong grain a flow follows
the grain, and strokes that lie still are taken for moving ones: --flow-from the same film denoised, or before it had any."""
FLOWS = {"exact": "medium", "fast": "fast"}
MOST_FILMS, MOST_WORST = 8, 40


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        prog="cineml style measure", epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter,
        description="How steady a stylised film is, how near to its painting and to its film, and how sharp.")  # fmt: skip
    p.add_argument("original", type=Path, metavar="ORIGINAL", help="the film before it was stylised, or a folder of its frames")
    p.add_argument("stylised", type=Path, nargs="+", metavar="STYLISED",
                   help="the stylised film, or a folder of frames; several are compared")  # fmt: skip
    p.add_argument("-o", "--output", type=folder_named, metavar="OUT",
                   help="a folder for the report (beside the first STYLISED, its name and _measured)")  # fmt: skip
    p.add_argument("--style", type=Path, nargs="+", default=[], metavar="PICTURE", help="the painting; several are told apart")
    p.add_argument("--scale", type=float, default=1.0, metavar="S",
                   help="of the painting's strokes, as it was stylised with (1)")  # fmt: skip
    p.add_argument("--cuts", type=Path, metavar="CUTS.csv", help="the film's cut list (else the cuts are detected)")
    p.add_argument("--start", help="from here: frames (300), seconds (12.5s) or hh:mm:ss:ff")
    p.add_argument("--end", help="to here, exclusive")
    p.add_argument("--rate", help="of folders of frames, as 24, 25 or 30000/1001 (24)")
    p.add_argument("--flow", choices=sorted(FLOWS), default="exact",
                   help="exact: as the project's benches; fast: several times as fast, to look (exact)")  # fmt: skip
    p.add_argument("--flow-from", type=Path, metavar="FILM",
                   help="whose flow is followed, where ORIGINAL is too grainy: the same film denoised")
    p.add_argument("--style-frames", type=int, default=24, metavar="N",
                   help="frames whose distance from the painting is taken; one of every shot at least (24)")  # fmt: skip
    p.add_argument("--worst", type=int, default=6, metavar="N", help="worst moments that are shown of each film (6)")
    p.add_argument("--threads", type=int, default=0, metavar="N", help="0: as many as there are cores (0)")
    p.add_argument("--json", action="store_true", help="print the numbers as JSON")
    return p


def output_of(args: argparse.Namespace) -> Path:
    """The folder for the report."""
    first: Path = args.stylised[0]
    return args.output or first.with_name(f"{first.name if first.is_dir() else first.stem}_measured")


def flow_films(args: argparse.Namespace) -> list[Path]:
    """What --flow-from names, if anything."""
    return [] if args.flow_from is None else [args.flow_from]


def option_problems(args: argparse.Namespace) -> list[Problem]:
    """What is wrong with the command line before any film is opened."""
    found = []
    films = [("", args.original), *(("", p) for p in args.stylised), *(("--flow-from ", p) for p in flow_films(args))]
    for name, path in [*films, *(("--style ", p) for p in args.style)]:
        picture = name == "--style "
        if not path.exists():
            allowed = "a picture" if picture else "a film, or a folder of frames"
            found.append(Problem(f"{name}{path}", "does not exist", allowed))
        elif picture and path.is_dir():
            found.append(Problem(f"{name}{path}", "is a folder", "a picture"))
    if len(args.stylised) > MOST_FILMS:
        found.append(Problem("STYLISED", f"{len(args.stylised)} films", f"at most {MOST_FILMS} beside one another"))
    for name, number, least, most in (("--style-frames", args.style_frames, 1, 100_000), ("--worst", args.worst, 0, MOST_WORST),
                                      ("--threads", args.threads, 0, 1024)):  # fmt: skip
        if not least <= number <= most:
            found.append(Problem(name, str(number), f"{least} to {most}"))
    if not 0.05 <= args.scale <= 20:  # nan is not
        found.append(Problem("--scale", f"{args.scale:g}", "0.05 to 20"))
    output = Path(os.path.abspath(output_of(args)))
    for path in (args.original, *args.stylised, *flow_films(args)):
        for problem in folder_problems(output, Path(os.path.abspath(path)), output_of(args)):
            if problem not in found:
                found.append(problem)
    return found
