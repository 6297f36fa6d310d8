"""The command line of `cineml style apply`, and what can be said against it: nothing heavy, so that --help works everywhere."""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Sequence
from pathlib import Path

from player.show.problem import Problem, ShowError, nearest
from tools.keyframes_options import FILMS, KEEPS, MOST_THREADS, QUALITY, is_film

SIDES = ("figure", "ground")
PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
LEAST_TILE_PX, MOST_TILE_PX = 512, 8192
MOST_ENLARGED = 4
EXAMPLES = """examples:
  cineml style apply film.mp4 --model stylizer.onnx --style whiplash -o styled.mp4
  cineml style apply film.mp4 --model stylizer.onnx --style whiplash=0.7,strokes=0.3 --cuts cuts.csv --smooth 0.6 -o styled.mp4
  cineml style apply small.mp4 --model stylizer.onnx --style whiplash --enlarge 2 -o styled.mp4
  cineml style apply frames_dir --model stylizer.onnx --style strokes --masks masks --mask-side ground -o out_frames
  cineml style apply still.png --model stylizer.onnx --style strokes -o still_styled.png

Shares of styles are divided by their sum: whiplash=2,strokes=2 is half and half. OUT is a film (.mp4, .mov, .mkv) with the
original's sound, a folder of PNGs, or of one picture a PNG. Stopped or killed, the same command goes on."""


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        prog="cineml style apply", description="Stylise a film with an exported network, every frame, with the sound.",
        epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    p.add_argument("film", type=Path, metavar="FILM", help="a film, a folder of its frames, or a picture")
    p.add_argument("--model", type=Path, required=True, metavar="FILE.onnx", help="written by cineml style export")
    p.add_argument("--style", metavar="NAME[=SHARE],...", help="of the network's styles (not needed where it has one)")
    p.add_argument("-o", "--output", type=Path, required=True, metavar="OUT",
                   help="NAME.mp4, .mov, .mkv, a folder for PNGs, or of one picture NAME.png")  # fmt: skip
    p.add_argument("--amount", type=float, default=1.0, metavar="0..1", help="of the style; the rest is the film itself (1)")
    p.add_argument("--smooth", type=float, default=0.0, metavar="0..1",
                   help="take flicker out along the film's motion, from the frames before and after (0; about 1 s a frame)")
    p.add_argument("--cuts", type=Path, metavar="CUTS.csv",
                   help="the film's cut list: nothing is carried across a cut, and fades are taken off and put back")
    p.add_argument("--masks", type=Path, metavar="DIR", help="masks named like the frames: only what is white is stylised")
    p.add_argument("--mask-side", choices=SIDES, default="figure", help="ground: only what is black in the masks (figure)")
    p.add_argument("--keep", choices=KEEPS, help="take the film's own luminance or colour")
    p.add_argument("--keep-amount", type=float, default=1.0, metavar="0..1", help="how much of it (1)")
    p.add_argument("--enlarge", type=int, default=1, metavar="N",
                   help="paint at so many times the film's size, 1 to 4: strokes are finer by as much, and small faces keep "
                   "their features (1)")  # fmt: skip
    p.add_argument("--tile", type=int, metavar="PX",
                   help=f"side of the tiles of large frames, {LEAST_TILE_PX} and more (frames above 2.4 million pixels: 1280)")
    p.add_argument("--start", metavar="TC", help="from here: frames (300), seconds (12.5s) or hh:mm:ss:ff")
    p.add_argument("--end", metavar="TC", help="to here, exclusive")
    p.add_argument("--rate", help="of a folder of frames, as 24, 25 or 30000/1001 (24)")
    p.add_argument("--sound", type=Path, metavar="FILE", help="the film's sound, where it is not in the film itself")
    p.add_argument("--no-sound", action="store_true", help="a film without sound")
    p.add_argument("--quality", type=int, default=QUALITY, metavar="N", help=f"of the film, 0 best to 51 ({QUALITY})")
    p.add_argument("--threads", type=int, default=0, metavar="N", help="of the network (all cores)")
    p.add_argument("--again", action="store_true", help="make anew what is there, or was begun with other options")
    return p


def is_picture(path: Path) -> bool:
    """Whether one picture is to be stylised, not a film."""
    return path.suffix.lower() in PICTURES and not os.path.isdir(path)  # which a name that is too long does not end


def option_problems(args: argparse.Namespace) -> list[Problem]:
    """What is wrong with the command line before any file is opened."""
    found = []
    for name, value in (("--amount", args.amount), ("--smooth", args.smooth), ("--keep-amount", args.keep_amount)):
        if not (math.isfinite(value) and 0 <= value <= 1):
            found.append(Problem(name, f"{value:g}", "0 to 1"))
    for name, number, least, most in (("--quality", args.quality, 0, 51), ("--threads", args.threads, 0, MOST_THREADS),
                                      ("--tile", args.tile, LEAST_TILE_PX, MOST_TILE_PX),
                                      ("--enlarge", args.enlarge, 1, MOST_ENLARGED)):  # fmt: skip
        if number is not None and not least <= number <= most:
            found.append(Problem(name, str(number), f"{least} to {most}"))
    for name, given, needs in (("--keep-amount", args.keep_amount != 1.0 and args.keep is None, "--keep"),
                               ("--mask-side", args.mask_side != "figure" and args.masks is None, "--masks")):  # fmt: skip
        if given:
            found.append(Problem(name, f"is given without {needs}", f"{needs} as well"))
    if args.sound is not None and args.no_sound:
        found.append(Problem("--sound", "is given, and --no-sound", "one of them"))
    if not args.film.exists():
        found.append(Problem(str(args.film), "does not exist", "a film, a folder of its frames, or a picture"))
    return found + output_problems(args)


def output_problems(args: argparse.Namespace) -> list[Problem]:
    """What is wrong with the kind of output."""
    suffix, found = args.output.suffix.lower(), []
    if is_picture(args.film):
        if suffix != ".png":
            found.append(Problem(f"-o {args.output}", "is for a picture", "a name that ends in .png"))
        options = (("--start", args.start), ("--end", args.end), ("--rate", args.rate), ("--cuts", args.cuts), ("--sound",
                   args.sound), ("--no-sound", args.no_sound or None), ("--smooth", args.smooth or None))  # fmt: skip
        return found + [Problem(n, "is for a film, and this is a picture", f"without {n}") for n, v in options if v is not None]
    if suffix in (".avi", ".webm", ".m4v", ".mpg", ".wmv", ".gif", *PICTURES):
        allowed = f"a folder, or a name that ends in {', '.join(FILMS)}"
        found.append(Problem(f"-o {args.output}", f"ends in {suffix!r}", allowed))
    if not is_film(args.output) and args.sound is not None:
        found.append(Problem("--sound", "is for a film, and PNGs are to be written", "-o NAME.mp4"))
    return found


def shares_of(text: str | None, styles: Sequence[str]) -> dict[str, float]:
    """'whiplash=0.7,strokes=0.3' as shares that sum to 1. Raises ShowError with every problem."""
    known = ", ".join(styles)
    if text is None:
        if len(styles) == 1:
            return {styles[0]: 1.0}
        raise ShowError(Problem("--style", f"is missing, and the network has {len(styles)} styles", known))
    shares: dict[str, float] = {}
    found = []
    for part in text.split(","):
        name, equals, number = (p.strip() for p in part.partition("="))
        try:
            share = float(number) if equals else 1.0
        except ValueError:
            share = math.nan
        if name not in styles:
            found.append(Problem("--style", f"{name!r} is none of the network's styles", known, nearest(name, styles)))
        elif name in shares:
            found.append(Problem("--style", f"{name} is named twice", "once"))
        elif not (math.isfinite(share) and 0 <= share <= 1e6):
            found.append(Problem("--style", f"{part.strip()!r}", "NAME=SHARE, a share being 0 to 1000000"))
        else:
            shares[name] = share
    if not found and sum(shares.values()) <= 1e-6:
        found.append(Problem("--style", "gives no style a share", "a share above 0"))
    if found:
        raise ShowError(dict.fromkeys(found))
    total = sum(shares.values())
    return {name: share / total for name, share in shares.items()}
