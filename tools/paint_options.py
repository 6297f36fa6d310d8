"""The command line of `cineml keyframes paint`, and how a painting is laid onto a frame: nothing heavy, so that --help works
in a base install."""

from __future__ import annotations

import argparse
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from player.show.problem import Problem, ShowError

Preset = Literal["draft", "normal", "best"]
Keep = Literal["colour", "luminance"]
Step = Literal["compare", "keys"]
FILMS = (".mp4", ".mov", ".mkv")
PATCHES = (3, 5, 7, 9)
TURNS = (1, 2, 4)
FRAMES_A_KEY = 40  # where nobody says how many are to be painted
SHEET_FRAMES = 3
MOST_NUMBERS = 100_000
EXAMPLES = """examples:
  cineml keyframes paint film.mp4 --style painting.jpg -o painted.mp4
  cineml keyframes paint film.mp4 --style painting.jpg -o painted --cuts cuts.csv --compare --stop-after compare
  cineml keyframes paint frames/ --style painting.png -o painted --keys-at 12,96,180 --scale 0.5 --keep colour

The painted keys are PNGs in OUT_DIR/keys, or in OUT.keys beside a film, named by their frame: 000096.png is film frame 96,
counted from 0. Paint over any of them, add one, or delete one, and give the same command again: what a person changed or
added is kept, what was deleted is painted anew, and the film follows. Stopped by Ctrl-C, the same command goes on."""


@dataclass(frozen=True)
class PaintOptions:
    """How a painting is laid onto a frame.

    preset: of the engine. patch: side of the pieces that are compared, in pixels, odd. scale: of the strokes; 1 lays a
    painting that is larger than the frame down to the frame's area, and leaves a smaller one as it is. turns: in how many
    positions the painting is used: 1 as it hangs, 2 on its side as well, 4 both mirrored as well; strokes then follow forms
    that no stroke of the painting has. detail: how finely light and dark are followed, 0.25 (broadly) to 4. tone, form,
    agree: weights of light and dark, of direction, and of what the neighbouring key shows. strokes: how lively places of the
    painting are taken, 0 (the flattest) to 1 (where most goes on). uniformity: how evenly all of the
    painting is used, 0 to 20000; None: the engine's. seed: of the engine's random search. threads: 0 for all cores.
    """

    preset: Preset = "normal"
    patch: int = 5
    scale: float = 1.0
    turns: int = 4
    detail: float = 1.0
    tone: float = 3.0
    form: float = 1.0
    strokes: float = 0.65
    agree: float = 3.0
    uniformity: float | None = None
    seed: int = 0
    threads: int = 0


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    own = PaintOptions()
    p = argparse.ArgumentParser(
        prog="cineml keyframes paint", description="From a film and a painting to a painted film: some frames are painted with "
        "the painting's strokes, so that they agree, and the frames between follow them.",
        epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    p.add_argument("film", type=Path, metavar="FILM", help="a film, or a folder of its frames")
    p.add_argument("--style", type=Path, required=True, metavar="PICTURE", help="the painting")
    p.add_argument("-o", "--output", type=Path, required=True, metavar="OUT_DIR|OUT.mp4",
                   help="a folder for the frames as PNG, or a film (.mp4, .mov, .mkv), with the original's sound")  # fmt: skip
    p.add_argument("--cuts", type=Path, metavar="CUTS.csv", help="the film's cut list (found where it is not given)")
    p.add_argument("--start", help="from here: frames (300), seconds (12.5s) or hh:mm:ss:ff")
    p.add_argument("--end", help="to here, exclusive")
    p.add_argument("--rate", help="of a folder of frames, as 24, 25 or 30000/1001 (24)")
    which = p.add_argument_group("which frames are painted")
    which.add_argument("-n", "--keys", type=int, metavar="N",
                       help=f"so many, where they help the frames between most (one in {FRAMES_A_KEY}, one a shot at least)")
    which.add_argument("--keys-at", metavar="12,96,180", help="these film frames")
    which.add_argument("--every", type=int, metavar="N", help="the first of every shot and every N-th after it")
    how = p.add_argument_group("how they are painted")
    how.add_argument("--preset", choices=get_args(Preset), default=own.preset, help=f"speed or finish ({own.preset})")
    how.add_argument("--scale", default=f"{own.scale:g}", help="of the strokes: 0.5 half as large, 2 twice; at 1 a painting "
                     "that is larger than the picture has the picture's area (1)")  # fmt: skip
    how.add_argument("--patch", type=int, choices=PATCHES, default=own.patch,
                     help=f"pixels of the pieces that are laid: larger keeps longer strokes whole ({own.patch})")  # fmt: skip
    how.add_argument("--turns", type=int, choices=TURNS, default=own.turns,
                     help="positions of the painting: 1 as it hangs, 2 on its side too, 4 both mirrored too, so that strokes "
                          f"of every direction are there ({own.turns})")  # fmt: skip
    how.add_argument("--detail", default=f"{own.detail:g}", help="how finely light and dark are followed, 0.25 to 4 (1)")
    how.add_argument("--strokes", default=f"{own.strokes:g}",
                     help=f"0 takes the painting's flattest places, 1 those where most goes on ({own.strokes:g})")  # fmt: skip
    how.add_argument("--tone", default=f"{own.tone:g}", help=f"weight of light and dark ({own.tone:g})")
    how.add_argument("--form", default=f"{own.form:g}", help=f"weight of the direction of forms ({own.form:g})")
    how.add_argument("--agree", default=f"{own.agree:g}", help=f"weight of the neighbouring key ({own.agree:g})")
    how.add_argument("--uniformity", help="how evenly all of the painting is used, 0 to 20000 (of the preset)")
    both = how.add_mutually_exclusive_group()
    both.add_argument("--together", dest="together", action="store_true", default=True,
                      help="each key starts from its neighbour's strokes, moved along the picture (default)")  # fmt: skip
    both.add_argument("--one-by-one", dest="together", action="store_false", help="each key on its own, to compare")
    how.add_argument("--seed", type=int, default=own.seed, help=f"another arrangement of strokes ({own.seed})")
    after = p.add_argument_group("the frames between, as cineml keyframes propagate has them")
    after.add_argument("--keep", choices=get_args(Keep), help="of the film, in the finished frames: colour, or light and dark")
    after.add_argument("--keep-amount", type=float, metavar="0..1", help="how much of it (1)")
    after.add_argument("--masks", type=Path, metavar="DIR", help="masks named like the frames: strokes stay on their side")
    after.add_argument("--allow-missing", action="store_true", help="shots without a key stay as they are in the film")
    after.add_argument("--preview", type=int, metavar="N", help="of the finished film only N frames, as one sheet")
    after.add_argument("--captions", type=Path, metavar="FILE.srt", help="titles and captions, burnt into the film")
    after.add_argument("--sound", type=Path, metavar="FILE", help="the film's sound, where it is not in the film itself")
    after.add_argument("--no-sound", action="store_true", help="a film without sound")
    after.add_argument("--jobs", type=int, default=0, metavar="N", help="shots at once (one for every two cores)")
    steps = p.add_argument_group("steps")
    steps.add_argument("--compare", action="store_true", help="first a sheet of methods side by side: compare.png")
    steps.add_argument("--compare-frames", type=int, default=SHEET_FRAMES, metavar="N", help=f"rows of it ({SHEET_FRAMES})")
    steps.add_argument("--stop-after", choices=get_args(Step), help="end there, to look, to choose or to paint over")
    steps.add_argument("--again", action="store_true",
                       help="paint keys anew that were painted otherwise (those a person changed are kept)")  # fmt: skip
    steps.add_argument("--threads", type=int, default=0, help="of the engine (as many as there are cores)")
    return p


def paint_options(args: argparse.Namespace) -> PaintOptions:
    """How a command line has frames painted. Raises ShowError with everything that is wrong with it."""
    found: list[Problem] = []
    numbers: dict[str, float] = {}
    bounds = {"scale": (0.1, 8), "detail": (0.25, 4), "strokes": (0, 1), "tone": (0, 100), "form": (0, 100), "agree": (0, 100),
              "uniformity": (0, 20_000)}  # fmt: skip
    for name, (least, most) in bounds.items():
        text = getattr(args, name)
        if text is None:
            continue
        try:
            numbers[name] = float(text)
        except ValueError:
            numbers[name] = math.nan
        if not least <= numbers[name] <= most:  # nan is not
            found.append(Problem(f"--{name}", repr(text), f"a number from {least:g} to {most:g}"))
    if args.tone is not None and numbers.get("tone") == 0 and numbers.get("form") == 0:
        found.append(Problem("--tone, --form", "are both 0: nothing of the film would be seen", "one of them above 0"))
    if not 0 <= args.threads <= 256:
        found.append(Problem("--threads", str(args.threads), "0 to 256, 0 for all cores"))
    if not 0 <= args.seed < 1 << 31:
        found.append(Problem("--seed", str(args.seed), f"0 to {(1 << 31) - 1}"))
    if found:
        raise ShowError(found)
    return PaintOptions(args.preset, args.patch, turns=args.turns, seed=args.seed, threads=args.threads, **numbers)


def choice_problems(args: argparse.Namespace) -> list[Problem]:
    """What is wrong with which frames are asked for, before the film is looked at."""
    found = []
    given = [name for name, value in (("-n", args.keys), ("--keys-at", args.keys_at), ("--every", args.every))
             if value is not None]  # fmt: skip
    if len(given) > 1:
        found.append(Problem(", ".join(given), "are given together", "one of them"))
    for name, number in (("-n", args.keys), ("--every", args.every), ("--compare-frames", args.compare_frames)):
        if number is not None and not 1 <= number <= MOST_NUMBERS:
            found.append(Problem(name, str(number), f"1 to {MOST_NUMBERS}"))
    if args.stop_after == "compare" and not args.compare:
        found.append(Problem("--stop-after compare", "is given without a sheet to stop after", "--compare beside it"))
    return found


def frame_numbers(text: str) -> list[int]:
    """'12,96,180-190' as frame numbers in order, each once. Raises ShowError."""
    found: set[int] = set()
    for part in text.split(","):
        ends = re.fullmatch(r"\s*(\d{1,9})f?\s*(?:-\s*(\d{1,9})f?\s*)?", part, re.ASCII)
        first, last = (int(ends[1]), int(ends[2] or ends[1])) if ends else (1, 0)
        if not first <= last < first + MOST_NUMBERS:
            raise ShowError(Problem("--keys-at", repr(part), "frame numbers and ranges, as 12,96,180-190"))
        found.update(range(first, last + 1))
    return sorted(found)
