"""The command line of `cineml keyframes propagate`, and what can be said against it: nothing heavy, so that --help works
everywhere."""

from __future__ import annotations

import argparse
import math
import os
from dataclasses import dataclass
from pathlib import Path

from player.show.problem import Problem

PRESETS = ("draft", "normal", "best")
KEEPS = ("luminance", "colour")
FILMS = (".mp4", ".mov", ".mkv")
QUALITY = 16  # of H.264: paint strokes are fine, and this is looked at closely
MOST_JOBS, MOST_THREADS, MOST_PREVIEW = 256, 256, 64
EXAMPLES = """examples:
  cineml keyframes propagate film.mp4 --keys painted --cuts cuts.csv -o painted.mp4
  cineml keyframes propagate film.mp4 --keys painted --start 00:00:10:00 --end 00:00:15:00 --preview 6 -o frames
  cineml keyframes propagate frames_dir --keys painted --masks masks --preset best -o out_frames
  cineml keyframes propagate film.mp4 --keys painted --keep luminance --allow-missing --captions titles.srt -o painted.mp4

A key is a painted film frame. Which one, its name's number says: painted/000300.png is film frame 300, counted from 0 as
cineml film frames and cineml keyframes suggest count (of a folder of frames: the one of the same name or number). A key
without such a number is looked for in the film. Keys may have any size; no file of yours is ever changed.
OUT is a folder of PNGs, or a film (.mp4, .mov, .mkv) with the original's sound. Stopped or killed, the same command goes on."""


@dataclass(frozen=True)
class Options:
    """What decides how frames look. preset: of the engine. colour, position, edges, previous: weights of the guides.
    deflicker: 0 (none) to 1. keep: 'luminance', 'colour' or '' of the film's own, by keep_amount 0..1. over_film: a key's
    transparent parts show the film itself. threads: of one shot's synthesis, 0 for all cores; they change no picture."""

    preset: str = "normal"
    colour: float = 6.0
    position: float = 8.0
    edges: float = 1.0
    previous: float = 0.5
    deflicker: float = 1.0
    keep: str = ""
    keep_amount: float = 1.0
    over_film: bool = False
    seed: int = 0
    threads: int = 0


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    d = Options()
    p = argparse.ArgumentParser(
        prog="cineml keyframes propagate", description="From a few painted frames to the whole film.",
        epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    p.add_argument("film", type=Path, metavar="FILM", help="a film, or a folder of its frames")
    p.add_argument("--keys", type=Path, required=True, metavar="DIR", help="the painted frames")
    p.add_argument("-o", "--output", type=Path, required=True, metavar="OUT", help="a folder for PNGs, or NAME.mp4, .mov, .mkv")
    p.add_argument("--masks", type=Path, metavar="DIR",
                   help="masks named like the frames (of the keys alone will do): what is white in the key paints only what is "
                        "white in the frame")  # fmt: skip
    p.add_argument("--cuts", type=Path, metavar="CUTS.csv", help="the film's cut list; without it cuts are looked for")
    p.add_argument("--preset", choices=PRESETS, default=d.preset, help="draft is half the time, best twice and more (normal)")
    p.add_argument("--preview", type=int, metavar="N",
                   help="only N frames, spread over the film, as one sheet OUT.preview.png, and how long all will take")
    p.add_argument("--start", metavar="TC", help="from here: frames (300), seconds (12.5s) or hh:mm:ss:ff")
    p.add_argument("--end", metavar="TC", help="to here, exclusive")
    p.add_argument("--rate", help="of a folder of frames, as 24, 25 or 30000/1001 (24)")
    p.add_argument("--allow-missing", action="store_true", help="shots without a key stay as they are in the film")
    p.add_argument("--alpha", choices=("film", "mask", "white", "black"), default="film",
                   help="what is under a key's transparent parts: the film's own frame (default), carried on with the rest; "
                        "mask: those parts are the film itself in all frames; or paper")  # fmt: skip
    p.add_argument("--keep", choices=KEEPS,
                   help="take the film's own luminance, or colour, for faces and shadows that turn strange")  # fmt: skip
    p.add_argument("--keep-where", type=Path, metavar="DIR",
                   help="only where these masks are white, which are named like the frames (everywhere)")  # fmt: skip
    p.add_argument("--keep-amount", type=float, default=1.0, metavar="0..1", help="how much of it (1)")
    p.add_argument("--deflicker", type=float, default=d.deflicker, metavar="0..1", help=f"0 is none ({d.deflicker:g})")
    for name, value, text in (("colour", d.colour, "the film's colours, 4 to 6"),
                              ("position", d.position, "where a thing was in the key, 2 to 10"), ("edges", d.edges, "edges"),
                              ("previous", d.previous, "the frame before")):  # fmt: skip
        p.add_argument(f"--{name}", type=float, default=value, metavar="W", help=f"weight of {text} ({value:g})")
    p.add_argument("--sound", type=Path, metavar="FILE", help="the film's sound, where it is not in the film itself")
    p.add_argument("--no-sound", action="store_true", help="a film without sound")
    p.add_argument("--captions", type=Path, metavar="FILE.srt", help="titles and captions, burnt into the film")
    p.add_argument("--quality", type=int, default=QUALITY, metavar="N", help=f"of the film, 0 best to 51 ({QUALITY})")
    p.add_argument("--jobs", type=int, default=0, metavar="N", help="shots at once (one for every two cores)")
    p.add_argument("--threads", type=int, default=0, metavar="N", help="of each of them (the cores shared out)")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--again", action="store_true", help="make anew what other options or inputs have made there")
    return p


def option_problems(args: argparse.Namespace) -> list[Problem]:
    """What is wrong with the command line before any file is looked at."""
    found = []
    for name, value, most in (("--keep-amount", args.keep_amount, 1.0), ("--deflicker", args.deflicker, 1.0),
                              ("--colour", args.colour, 1000.0), ("--position", args.position, 1000.0),
                              ("--edges", args.edges, 1000.0), ("--previous", args.previous, 1000.0)):  # fmt: skip
        if not (math.isfinite(value) and 0 <= value <= most):
            found.append(Problem(name, f"{value:g}", f"0 to {most:g}"))
    if args.colour == args.position == args.edges == 0:
        found.append(Problem("--colour, --position, --edges", "are all 0", "one of them above 0"))
    for name, number, least, most_ in (("--jobs", args.jobs, 0, MOST_JOBS), ("--threads", args.threads, 0, MOST_THREADS),
                                       ("--quality", args.quality, 0, 51), ("--seed", args.seed, 0, 2**31 - 1)):  # fmt: skip
        if not least <= number <= most_:
            found.append(Problem(name, str(number), f"{least} to {most_}"))
    if args.preview is not None and not 1 <= args.preview <= MOST_PREVIEW:
        found.append(Problem("--preview", str(args.preview), f"1 to {MOST_PREVIEW}"))
    for name, given in (("--keep-amount", args.keep_amount != 1.0), ("--keep-where", args.keep_where is not None)):
        if args.keep is None and given:
            found.append(Problem(name, "is given without --keep", "--keep luminance or --keep colour"))
    suffix = args.output.suffix.lower()
    if not is_film(args.output):
        for name, given in (("--captions", args.captions), ("--sound", args.sound)):
            if given is not None:
                found.append(Problem(name, "is for a film, and PNGs are to be written", "-o NAME.mp4"))
    if suffix in (".avi", ".webm", ".m4v", ".mpg", ".png", ".jpg", ".gif", ".wmv"):
        allowed = f"a folder, or a name that ends in {', '.join(FILMS)}"
        found.append(Problem(f"-o {args.output}", f"ends in {suffix!r}", allowed))
    if args.sound is not None and args.no_sound:
        found.append(Problem("--sound", "is given, and --no-sound", "one of them"))
    return found


def is_film(output: Path) -> bool:
    """Whether a film is to be written, not a folder of PNGs."""
    return output.suffix.lower() in FILMS


def options_of(args: argparse.Namespace) -> Options:
    """The options that decide how frames look."""
    return Options(args.preset, args.colour, args.position, args.edges, args.previous, args.deflicker, args.keep or "",
                   args.keep_amount, args.alpha == "mask", args.seed, args.threads)  # fmt: skip


def shared_out(args: argparse.Namespace, shots: int) -> tuple[int, int]:
    """(shots at once, threads of each): one shot for every two cores, and no more than there are."""
    cores = os.cpu_count() or 1
    jobs = args.jobs or max(1, cores // 2)
    jobs = max(1, min(jobs, shots))
    return jobs, args.threads or max(1, cores // jobs)
