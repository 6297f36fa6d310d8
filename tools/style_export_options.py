"""The command line of `cineml style export`: no torch, so that --help works in a base install."""

from __future__ import annotations

import argparse
from pathlib import Path

from player.show.problem import Problem, ShowError

LEAST_SIDE_PX, MOST_SIDE_PX = 16, 8192
FOLD_FRAMES = 24  # measured: more change the folded network's pictures by less than a level
EXAMPLES = """examples:
  cineml style export run -o stylizer.onnx
  cineml style export run -o stylizer.onnx --size 640x480 --fold film.mp4
  cineml style export run -o stylizer_gpu.onnx --size 1920x1080 --fp16

The size is fixed where --size names one, which is faster; without it the network takes any size. --fold FILM takes the place of
instance normalisation, which measures every picture anew and so pumps with the light, by constants measured over the film, one
set a style: faster, steadier, and a picture can be made in tiles without a seam."""


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        prog="cineml style export", description="Write a trained stylizer as ONNX, compared with torch before it is kept.",
        epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    p.add_argument("run", type=Path, metavar="RUN", help="a run of cineml style train or distill, or its checkpoint folder")
    p.add_argument("-o", "--output", type=Path, metavar="FILE.onnx", help="the file to write (RUN/stylizer.onnx)")
    p.add_argument("--size", default="any", metavar="WxH", help="of the pictures, as 640x480; any (the default) leaves it open")
    p.add_argument("--fold", type=Path, metavar="FILM",
                   help="instance normalisation folded into constants that are measured over this film (or folder of frames)")
    p.add_argument("--start", metavar="TC", help="of --fold: from here: frames (300), seconds (12.5s) or hh:mm:ss:ff")
    p.add_argument("--end", metavar="TC", help="of --fold: to here, exclusive")
    p.add_argument("--frames", type=int, default=FOLD_FRAMES, metavar="N",
                   help=f"of --fold: frames measured, evenly over it ({FOLD_FRAMES})")  # fmt: skip
    p.add_argument("--fp16", action="store_true", help="compute in float16 (for GPUs; a CPU gains nothing)")
    p.add_argument("--licence", help="SPDX name for the metadata (default: the run's)")
    return p


def size_of(text: str) -> tuple[int, int] | None:
    """'640x480' as (640, 480); None for 'any'. Raises ShowError."""
    if text in ("any", "dynamic"):
        return None
    wide, _, high = text.lower().partition("x")
    if not (wide.isdecimal() and high.isdecimal() and len(text) < 12):
        raise ShowError(Problem("--size", repr(text), "WxH, as 640x480, or any"))
    size = (int(wide), int(high))
    if not all(LEAST_SIDE_PX <= side <= MOST_SIDE_PX for side in size):
        raise ShowError(Problem("--size", text, f"{LEAST_SIDE_PX} to {MOST_SIDE_PX} pixels a side"))
    return size


def option_problems(args: argparse.Namespace) -> list[Problem]:
    """What is wrong with the command line before any file is opened."""
    found = []
    try:
        size_of(args.size)
    except ShowError as e:
        found += list(e.problems)
    if not 1 <= args.frames <= 1000:
        found.append(Problem("--frames", str(args.frames), "1 to 1000"))
    for name, given in (("--start", args.start is not None), ("--end", args.end is not None),
                        ("--frames", args.frames != FOLD_FRAMES)):  # fmt: skip
        if given and args.fold is None:
            found.append(Problem(name, "is given without --fold", "--fold FILM"))
    if args.fold is not None and not args.fold.exists():
        found.append(Problem(f"--fold {args.fold}", "does not exist", "a film, or a folder of its frames"))
    return found
