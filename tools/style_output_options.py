"""What every command has that makes pictures of a picture, a folder of frames or a film: where its result goes, and which
frames. Nothing heavy, so that --help works in a base install."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Literal

from player.show.problem import Problem

FILMS = (".mp4", ".mov", ".mkv")
PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
OTHERS = (".avi", ".webm", ".m4v", ".mpg", ".gif", ".wmv", ".npz", ".onnx")
QUALITY = 16  # of H.264: strokes are fine, and this is looked at closely
MOST_THREADS = 256

Kind = Literal["picture", "folder", "film"]


def add_output_arguments(parser: argparse.ArgumentParser) -> None:
    """-o, the frames that are asked for, and the film that is written."""
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="OUT",
                        help="OUT.png for a picture; for a film a folder of PNGs, or a film (.mp4, .mov, .mkv) with the "
                             "original's sound")  # fmt: skip
    g = parser.add_argument_group("films")
    g.add_argument("--cuts", type=Path, metavar="CUTS.csv", help="the film's cut list; without it cuts are looked for")
    g.add_argument("--start", metavar="TC", help="from here: frames (300), seconds (12.5s) or hh:mm:ss:ff")
    g.add_argument("--end", metavar="TC", help="to here, exclusive")
    g.add_argument("--rate", help="of a folder of frames, as 24, 25 or 30000/1001 (24)")
    g.add_argument("--sound", type=Path, metavar="FILE", help="the film's sound, where it is not in the film itself")
    g.add_argument("--no-sound", action="store_true", help="a film without sound")
    g.add_argument("--quality", type=int, default=QUALITY, metavar="N", help=f"of the film, 0 best to 51 ({QUALITY})")
    parser.add_argument("--again", action="store_true", help="make anew what other options or inputs have made there")
    parser.add_argument("--threads", type=int, default=0, metavar="N", help="as many as there are cores")


def kind_of(path: Path) -> Kind:
    """What a content is, by its name."""
    if os.path.isdir(path):  # which a name that is too long does not end
        return "folder"
    return "picture" if path.suffix.lower() in PICTURES else "film"


def output_option_problems(args: argparse.Namespace, content: Path) -> list[Problem]:
    """What is wrong with these options before any file is read."""
    found = []
    if not 0 <= args.quality <= 51:
        found.append(Problem("--quality", str(args.quality), "0 to 51"))
    if not 0 <= args.threads <= MOST_THREADS:
        found.append(Problem("--threads", str(args.threads), f"0 to {MOST_THREADS}"))
    suffix = args.output.suffix.lower()
    shown = f"-o {args.output}"
    if kind_of(content) == "picture":
        if suffix != ".png":
            given = f"ends in {args.output.suffix!r}" if suffix else "has no ending"
            found.append(Problem(shown, f"{given}, and {content} is a picture", "a name that ends in .png"))
        for name in ("cuts", "start", "end", "rate", "sound", "no_sound"):
            if getattr(args, name):
                found.append(Problem(f"--{name.replace('_', '-')}", f"is for a film, and {content} is a picture"))
        return found
    if suffix in (*PICTURES, *OTHERS):
        allowed = f"a folder, or a name that ends in {', '.join(FILMS)}"
        a_kind = "a folder of frames" if kind_of(content) == "folder" else "a film"
        found.append(Problem(shown, f"ends in {suffix!r}, and {content} is {a_kind}", allowed))
    if args.sound is not None and suffix not in FILMS:
        found.append(Problem("--sound", "is for a film, and PNGs are to be written", "-o NAME.mp4"))
    if args.sound is not None and args.no_sound:
        found.append(Problem("--sound", "is given, and --no-sound", "one of them"))
    return found
