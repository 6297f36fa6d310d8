"""The command line of `cineml style optimize`: nothing heavy, so that --help works in a base install."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

from player.show.problem import Problem, ShowError
from tools.paint_options import PATCHES, TURNS, Keep, PaintOptions, Preset, paint_options
from tools.style_gatys_options import WHERE_VGG, GatysOptions, add_gatys_arguments, gatys_options
from tools.style_output_options import add_output_arguments, kind_of, output_option_problems

Method = Literal["patches", "gatys"]
MOST_STYLES = 32
NO_MASK = "-"
EXAMPLES = f"""examples:
  cineml style optimize photo.jpg --style painting.png -o painted.png
  cineml style optimize film.mp4 --style painting.png --cuts cuts.csv -o painted.mp4
  cineml style optimize frames/ --style a.png --style b.png --weights 0.7,0.3 --mask figure/ --mask - --keep colour -o out
  cineml style optimize photo.jpg --style painting.png --method gatys --network vgg19-dcbb9e9d.pth -o gatys.png

--method patches (the default) lays pieces of the painting along the forms of the picture; it needs no network. Several
paintings share the picture by --weights: each takes the forms that it fits best. Stopped by Ctrl-C or killed, the same command
goes on; OUT.work/preview.png shows how far it is.

{WHERE_VGG}"""


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    own = PaintOptions()
    p = argparse.ArgumentParser(
        prog="cineml style optimize", description="Paints a picture, a folder of frames or a film with a painting's strokes.",
        epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    p.add_argument("content", type=Path, metavar="CONTENT", help="a picture, a film, or a folder of its frames")
    p.add_argument("--style", type=Path, required=True, action="append", metavar="PICTURE",
                   help="the painting; given again: several")  # fmt: skip
    p.add_argument("--weights", metavar="0.7,0.3", help="shares of several paintings, in their order (equal ones)")
    p.add_argument("--mask", action="append", metavar="PICTURE|DIR|-",
                   help="where a painting may be used: white, one for each --style in their order, - for everywhere; of a film "
                        "a folder of masks named like its frames; where no mask is white the film stays itself")  # fmt: skip
    p.add_argument("--method", choices=get_args(Method), default="patches",
                   help="pieces of the painting, or a network's eyes (patches)")  # fmt: skip
    p.add_argument("--scale", default=f"{own.scale:g}", help="of the strokes: 0.5 half as large, 2 twice (1)")
    p.add_argument("--keep", choices=get_args(Keep), help="of the picture's own: colour, or light and dark (luminance)")
    p.add_argument("--keep-amount", type=float, default=1.0, metavar="0..1", help="how much of it (1)")
    p.add_argument("--seed", type=int, default=own.seed, help=f"another arrangement of strokes ({own.seed})")
    add_output_arguments(p)
    p.add_argument("--one-by-one", action="store_true", help="of a film: each frame on its own, to compare")
    add_patches_arguments(p)
    add_gatys_arguments(p)
    return p


def add_patches_arguments(parser: argparse.ArgumentParser) -> None:
    """The group of options for --method patches."""
    own = PaintOptions()
    g = parser.add_argument_group("--method patches")
    g.add_argument("--preset", choices=get_args(Preset), default=own.preset, help=f"speed or finish ({own.preset})")
    g.add_argument("--patch", type=int, choices=PATCHES, default=own.patch,
                   help=f"pixels of the pieces that are laid: larger keeps longer strokes whole ({own.patch})")  # fmt: skip
    g.add_argument("--turns", type=int, choices=TURNS, default=own.turns,
                   help=f"positions of the painting: 1 as it hangs, 2 on its side too, 4 both mirrored too ({own.turns})")
    g.add_argument("--detail", default=f"{own.detail:g}", help="how finely light and dark are followed, 0.25 to 4 (1)")
    g.add_argument("--strokes", default=f"{own.strokes:g}",
                   help=f"0 takes the painting's flattest places, 1 those where most goes on ({own.strokes:g})")  # fmt: skip
    g.add_argument("--tone", default=f"{own.tone:g}", help=f"weight of light and dark ({own.tone:g})")
    g.add_argument("--form", default=f"{own.form:g}", help=f"weight of the direction of forms ({own.form:g})")
    g.add_argument("--agree", default=f"{own.agree:g}", help=f"of a film: weight of the frames before ({own.agree:g})")
    g.add_argument("--uniformity", help="how evenly all of the painting is used, 0 to 20000 (of the preset)")


def option_problems(args: argparse.Namespace) -> list[Problem]:
    """What is wrong with the command line before any file is read."""
    found = output_option_problems(args, args.content)
    for check in (paint_options, lambda a: gatys_options(a)):
        try:
            check(args)
        except ShowError as e:
            said = {p.where for p in found}  # --threads is looked at twice
            found += [p for p in e.problems if p.where not in said]
    if not (math.isfinite(args.keep_amount) and 0 <= args.keep_amount <= 1):
        found.append(Problem("--keep-amount", f"{args.keep_amount:g}", "0 to 1"))
    elif args.keep is None and args.keep_amount != 1:
        found.append(Problem("--keep-amount", "is given without --keep", "--keep luminance or --keep colour"))
    count = len(args.style)
    if count > MOST_STYLES:
        found.append(Problem("--style", f"is given {count} times", f"at most {MOST_STYLES} times"))
    if args.mask is not None and len(args.mask) != count:
        found.append(Problem("--mask", f"is given {counted(len(args.mask))} beside {counted(count, '--style')}",
                             "one for each --style, - for everywhere"))  # fmt: skip
    try:
        weights_of(args)
    except ShowError as e:
        found += e.problems
    if args.method == "gatys" and args.network is None:
        found.append(Problem("--method gatys", "has no network to judge", "--network FILE or --network CHECKPOINT",
                             "--method patches, which needs none"))  # fmt: skip
    return found + film_problems(args) + foreign_problems(args)


def film_problems(args: argparse.Namespace) -> list[Problem]:
    """Options that say how frames follow each other, where none do."""
    if args.method == "patches":
        given = ["--agree"] if args.agree != f"{PaintOptions().agree:g}" else []
    else:
        given = ["--temporal"] if args.temporal != GatysOptions().temporal else []
    if kind_of(args.content) == "picture":
        names = [*(["--one-by-one"] if args.one_by_one else []), *given]
        return [Problem(name, f"is for a film, and {args.content} is a picture", "", f"without {name}") for name in names]
    if args.one_by_one:
        said = "says how a frame follows those before, and with --one-by-one none does"
        return [Problem(name, said, "", f"without {name}, or without --one-by-one") for name in given]
    return []


def foreign_problems(args: argparse.Namespace) -> list[Problem]:
    """Options that say something to the other method alone."""
    other: Method = "gatys" if args.method == "patches" else "patches"
    group = argparse.ArgumentParser(add_help=False)
    (add_gatys_arguments if other == "gatys" else add_patches_arguments)(group)
    own = vars(group.parse_args([]))
    given = [f"--{name.replace('_', '-')}" for name, value in own.items() if getattr(args, name) != value]
    said = f"is for --method {other}, and the method is {args.method}"
    found = [Problem(name, said, f"without {name}, or --method {other}") for name in given]
    sliced = args.method == "gatys" and args.loss == "sliced" and args.optimiser is None
    if args.method == "gatys" and args.adam_rate != GatysOptions.rate and not (sliced or args.optimiser == "adam"):
        found.append(Problem("--adam-rate", "is for Adam, and the optimiser is lbfgs", "without it, or --optimiser adam"))
    return found


def counted(count: int, what: str = "") -> str:
    """'once' or '3 times'."""
    times = "once" if count == 1 else f"{count} times"
    return f"{what} {times}".strip()


def weights_of(args: argparse.Namespace) -> list[float]:
    """The styles' weights. Raises ShowError."""
    if args.weights is None:
        return [1.0] * len(args.style)
    try:
        found = [float(part) for part in args.weights.split(",")]
    except ValueError:
        found = []
    if len(found) != len(args.style) or not all(math.isfinite(w) and 0 < w <= 1e6 for w in found):
        allowed = f"{len(args.style)} numbers above 0 with commas between, one for each --style"
        raise ShowError(Problem("--weights", repr(args.weights), allowed))
    return found


def masks_given(args: argparse.Namespace) -> Sequence[Path | None]:
    """One for each style, None where everything may be painted."""
    if args.mask is None:
        return [None] * len(args.style)
    return [None if text == NO_MASK else Path(text) for text in args.mask]
