"""The command line of `cineml keyframes mask`: nothing heavy, so that --help works in a base install."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from player.show.problem import Problem
from tools.keyframes_suggest_options import folder_named, folder_problems

EXAMPLES = """examples:
  cineml keyframes mask film.mp4 -o masks --background empty_room.png
  cineml keyframes mask film.mp4 --cuts cuts.csv -o masks
  cineml keyframes mask film.mp4 --cuts cuts.csv --masks key_masks -o masks --start 00:00:10:00 --end 00:00:15:00
  cineml keyframes mask frames/ --masks key_masks -o masks

OUT/000300.png is the mask of film frame 300 (of a folder of frames: named like its picture): grey of 8 bits, white where the
foreground is. Correct any of them in any program, or put in one of your own, and give the same command again: what a person has
made is kept as it is, and the other masks of its shot follow from it. OUT/mask holds preview.png and the record of what was
made. Without --background and --masks the foreground is what moves against the rest of its shot; what never moves is not
found."""
METHODS = ("auto", "background", "motion", "keys")


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        prog="cineml keyframes mask", description="Masks of the foreground for every frame, without painting each.",
        epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    p.add_argument("film", type=Path, metavar="FILM", help="a film, or a folder of its frames")
    p.add_argument("-o", "--output", type=folder_named, required=True, metavar="OUT", help="a folder for the masks")
    p.add_argument("--background", type=Path, metavar="PICTURE", help="the same view with nobody in it")
    p.add_argument("--masks", type=Path, metavar="DIR", help="masks of some frames, by your own hand, named by film frame")
    p.add_argument("--method", choices=METHODS, default="auto",
                   help="background: what differs from --background; motion: what moves; keys: carried along from --masks and "
                        "corrected masks alone; auto: of each shot what there is (auto)")  # fmt: skip
    p.add_argument("--cuts", type=Path, metavar="CUTS.csv", help="the film's cut list (else the cuts are detected)")
    p.add_argument("--start", help="from here: frames (300), seconds (12.5s) or hh:mm:ss:ff")
    p.add_argument("--end", help="to here, exclusive")
    p.add_argument("--rate", help="of a folder of frames, as 24, 25 or 30000/1001 (24)")
    p.add_argument("--sensitivity", type=float, default=0.5, metavar="S",
                   help="0 takes only what differs plainly, 1 the faintest shadow too (0.5)")  # fmt: skip
    p.add_argument("--grow", type=float, default=0.0, metavar="PX", help="wider (or, below 0, narrower) by so many pixels (0)")
    p.add_argument("--soft", type=float, default=1.0, metavar="PX", help="how soft the edge is; 0 is black and white only (1)")
    p.add_argument("--again", action="store_true", help="make anew what is there; masks of a person's hand stay all the same")
    return p


def option_problems(args: argparse.Namespace) -> list[Problem]:
    """What is wrong with the command line before any film is opened."""
    found = []
    output, film = Path(os.path.abspath(args.output)), Path(os.path.abspath(args.film))
    for name, value, least, most in (("--sensitivity", args.sensitivity, 0, 1), ("--grow", args.grow, -50, 50),
                                     ("--soft", args.soft, 0, 50)):  # fmt: skip
        if not least <= value <= most:  # nan is not
            found.append(Problem(name, f"{value:g}", f"{least} to {most}"))
    if args.background is not None and not args.background.is_file():
        given = "is a folder" if args.background.is_dir() else "does not exist"
        found.append(Problem(f"--background {args.background}", given, "a picture"))
    if args.masks is not None and not args.masks.is_dir():
        given = "is a file" if args.masks.exists() else "does not exist"
        found.append(Problem(f"--masks {args.masks}", given, "a folder of masks named by film frame"))
    if args.method == "background" and args.background is None:
        found.append(Problem("--method background", "has no background", "--background PICTURE as well"))
    if args.background is not None and args.method in ("motion", "keys"):
        found.append(Problem(f"--method {args.method}", "makes no use of --background", "one of them"))
    if not args.film.exists():
        found.append(Problem(str(args.film), "does not exist", "a film, or a folder of its frames"))
    return found + folder_problems(output, film, args.output)
