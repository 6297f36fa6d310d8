"""The command line of `cineml style choose`: nothing heavy, so that --help works in a base install."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import get_args

from player.show.problem import Problem, ShowError
from tools.paint_options import Preset, frame_numbers

FRAMES, MOST_FRAMES = 4, 24
WIDTH_PX, LEAST_WIDTH_PX, MOST_WIDTH_PX = 320, 96, 1920
EXAMPLES = """examples:
  cineml style choose film.mp4 --styles paintings/ -o sheet.png
  cineml style choose film.mp4 --styles paintings/ --at 96,300,845 --width 480 --preset normal -o sheet.png

The sheet has a row for every picture in the folder and a column for every frame; it is written anew after every row, so that
one can look while it grows. Stopped by Ctrl-C, the sheet stays, and the same command goes on. Then:
  cineml style optimize film.mp4 --style paintings/THE_ONE.png -o painted.mp4"""


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        prog="cineml style choose", description="A sheet of styles by frames, to choose a style for a film by eye.",
        epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    p.add_argument("film", type=Path, metavar="FILM", help="a film, or a folder of its frames")
    p.add_argument("--styles", type=Path, required=True, metavar="DIR", help="a folder of paintings")
    p.add_argument("-o", "--output", type=Path, required=True, metavar="SHEET.png", help="the sheet")
    p.add_argument("--frames", type=int, metavar="N", help=f"so many frames, spread over the film ({FRAMES})")
    p.add_argument("--at", metavar="12,96,180", help="these film frames")
    p.add_argument("--cuts", type=Path, metavar="CUTS.csv", help="the film's cut list: frames are then the middles of shots")
    p.add_argument("--start", metavar="TC", help="from here: frames (300), seconds (12.5s) or hh:mm:ss:ff")
    p.add_argument("--end", metavar="TC", help="to here, exclusive")
    p.add_argument("--rate", help="of a folder of frames, as 24, 25 or 30000/1001 (24)")
    p.add_argument("--width", type=int, default=WIDTH_PX, metavar="PX",
                   help=f"of a picture on the sheet; strokes keep their share of the frame ({WIDTH_PX})")  # fmt: skip
    p.add_argument("--scale", type=float, default=1.0, help="of the strokes: 0.5 half as large, 2 twice (1)")
    p.add_argument("--preset", choices=get_args(Preset), default="draft", help="speed or finish (draft)")
    p.add_argument("--seed", type=int, default=0, help="another arrangement of strokes (0)")
    p.add_argument("--threads", type=int, default=0, metavar="N", help="as many as there are cores")
    return p


def option_problems(args: argparse.Namespace) -> list[Problem]:
    """What is wrong with the command line before any file is read."""
    found = []
    whole = (("--width", args.width, LEAST_WIDTH_PX, MOST_WIDTH_PX), ("--threads", args.threads, 0, 256),
             ("--seed", args.seed, 0, (1 << 31) - 1))  # fmt: skip
    for name, number, least, most in whole:
        if not least <= number <= most:
            found.append(Problem(name, str(number), f"{least} to {most}"))
    if not (math.isfinite(args.scale) and 0.1 <= args.scale <= 8):
        found.append(Problem("--scale", f"{args.scale:g}", "0.1 to 8"))
    if args.frames is not None and not 1 <= args.frames <= MOST_FRAMES:
        found.append(Problem("--frames", str(args.frames), f"1 to {MOST_FRAMES}"))
    if args.at is not None:
        if args.frames is not None:
            found.append(Problem("--at", "is given, and --frames", "one of them"))
        try:
            if (count := len(frame_numbers(args.at))) > MOST_FRAMES:
                found.append(Problem("--at", f"names {count} frames", f"1 to {MOST_FRAMES}"))
        except ShowError as e:
            found += [Problem("--at", p.given, p.allowed, p.hint) for p in e.problems]
    return found
