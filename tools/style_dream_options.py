"""The command line of `cineml style dream`: nothing heavy, so that --help works in a base install."""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from player.show.problem import Problem, ShowError
from tools.style_gatys_options import WHERE_VGG
from tools.style_output_options import add_output_arguments, output_option_problems

Keep = Literal["colour", "shadow"]
EXAMPLES = f"""examples:
  cineml style dream still.png --network checkpoint --layer b32 -o dream.png
  cineml style dream film.mp4 --network vgg19-dcbb9e9d.pth --layer relu4_3 --cuts cuts.csv --keep colour -o dream.mp4
  cineml style dream film.mp4 --network checkpoint --guide orchid.jpg --start 10s --end 14s --keep shadow -o frames

A layer's own answers are made louder: fine layers dream of strokes and textures, coarse ones of things. Without --layer a
middle one is taken; a name that is none (--layer x) lists all. With --guide the dream goes towards what that picture shows.
Of a film every frame begins with the dream of the frame before, moved as the film moves. Stopped by Ctrl-C, the same command
goes on.
The network is VGG19's file, or the folder of a checkpoint of cineml gan train, whose discriminator has seen nothing but the
film; random weights dream of nothing.

{WHERE_VGG}"""


@dataclass(frozen=True)
class DreamOptions:
    """How a picture dreams.

    layer: '' for the network's middle one. octaves: sizes, each `ratio` times smaller than the next. iterations: of each.
    step: mean change of a pixel an iteration, in levels of 255. smooth: 0 (fine) to 1, how broad what appears is. carry: of a
    film, how much of a frame's dream is the moved dream of the frame before, 0 to 0.98. keep: of the film, its colour, its
    broad light and shade, or both, by `keep_amount`. tile: side in pixels of what the network sees at once.
    """

    layer: str = ""
    octaves: int = 4
    ratio: float = 1.4
    iterations: int = 10
    step: float = 1.0
    smooth: float = 0.3
    carry: float = 0.85
    keep: tuple[Keep, ...] = ()
    keep_amount: float = 1.0
    tile: int = 640
    seed: int = 0


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    own = DreamOptions()
    p = argparse.ArgumentParser(
        prog="cineml style dream", description="A picture or a film as a network dreams it: what one of its layers sees is "
        "made more of, size by size.", epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    p.add_argument("content", type=Path, metavar="CONTENT", help="a picture, a film, or a folder of frames")
    p.add_argument("--network", type=Path, required=True, metavar="FILE|DIR",
                   help="VGG19 (.safetensors, .pth), or a checkpoint folder with the film's discriminator")  # fmt: skip
    p.add_argument("--layer", default=own.layer, metavar="NAME", help="that is made louder (a middle one)")
    p.add_argument("--guide", type=Path, metavar="PICTURE", help="dream towards what this picture shows")
    p.add_argument("--octaves", type=int, default=own.octaves, metavar="N", help=f"sizes, from small to large ({own.octaves})")
    p.add_argument("--octave-scale", type=float, default=own.ratio, metavar="X", help=f"from each to the next ({own.ratio:g})")
    p.add_argument("--iterations", type=int, default=own.iterations, metavar="N", help=f"of each size ({own.iterations})")
    p.add_argument("--step", type=float, default=own.step, metavar="LEVELS",
                   help=f"mean change of a pixel an iteration, of 255 ({own.step:g})")  # fmt: skip
    p.add_argument("--smooth", type=float, default=own.smooth, metavar="0..1", help=f"how broad it is ({own.smooth:g})")
    p.add_argument("--carry", type=float, default=own.carry, metavar="0..0.98",
                   help=f"of a film: how much of a dream comes from the frame before ({own.carry:g})")  # fmt: skip
    p.add_argument("--keep", choices=get_args(Keep), action="append",
                   help="keep the film's colour, or its shadow (broad light and shade); may be given twice")  # fmt: skip
    p.add_argument("--keep-amount", type=float, default=own.keep_amount, metavar="0..1", help="how much of it (1)")
    p.add_argument("--tile", type=int, default=own.tile, metavar="PX",
                   help=f"side of what the network sees at once: smaller needs less memory ({own.tile})")  # fmt: skip
    add_output_arguments(p)
    p.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"), help="where the network computes (auto)")
    p.add_argument("--seed", type=int, default=own.seed)
    return p


def dream_options(args: argparse.Namespace) -> DreamOptions:
    """The options of a command line. Raises ShowError with everything that is wrong with them."""
    found: list[Problem] = []
    for name, number, least, most in (
            ("--octaves", args.octaves, 1, 12), ("--octave-scale", args.octave_scale, 1.05, 4), ("--tile", args.tile, 64, 8192),
            ("--iterations", args.iterations, 1, 10_000), ("--step", args.step, 0.001, 255), ("--smooth", args.smooth, 0, 1),
            ("--carry", args.carry, 0, 0.98), ("--keep-amount", args.keep_amount, 0, 1),
            ("--seed", args.seed, 0, 2**31 - 1)):  # fmt: skip
        if not (math.isfinite(number) and least <= number <= most):
            found.append(Problem(name, f"{number:g}", f"{least:g} to {most:g}"))
    found += output_option_problems(args, args.content)
    if args.keep is None and args.keep_amount != 1.0:
        found.append(Problem("--keep-amount", "is given without --keep", "--keep colour or --keep shadow"))
    if found:
        raise ShowError(found)
    return DreamOptions(args.layer, args.octaves, args.octave_scale, args.iterations, args.step, args.smooth, args.carry,
                        tuple(dict.fromkeys(args.keep or ())), args.keep_amount, args.tile, args.seed)  # fmt: skip
