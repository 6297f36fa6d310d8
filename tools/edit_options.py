"""The command line of `cineml gan edit`: no torch, so that --help works in a base install."""

from __future__ import annotations

import argparse
from pathlib import Path

METHODS = ("pca", "sefa")
EXAMPLES = """examples:
  cineml gan edit run128/checkpoint -o directions
  cineml gan edit run128/checkpoint -o directions --method sefa --layers 4-9 --rename pca01 light
  cineml gan edit directions --apply score.npz --direction light --amount 1.5 -o brighter.npz"""


def arguments() -> argparse.ArgumentParser:
    """The command line; its help is the reference of the options."""
    p = argparse.ArgumentParser(
        prog="cineml gan edit", formatter_class=argparse.RawDescriptionHelpFormatter, epilog=EXAMPLES,
        description="Find directions in W, with a strip of pictures each; or move latents along them.")  # fmt: skip
    p.add_argument("model", type=Path, help="a checkpoint, a run or an export; with --apply: a folder of directions")
    p.add_argument("-o", "--output", type=Path, required=True, help="folder of the directions; with --apply: the new .npz")
    p.add_argument("--method", choices=(*METHODS, "both"), default="both", help="how directions are found (both)")
    p.add_argument("--n", type=int, default=12, help="directions by each method (12)")
    p.add_argument("--layers", help="rows of ws that they move, A-B, from 0 (all): low ones are layout, high ones tone")
    p.add_argument("--samples", type=int, default=50_000, help="mapped z behind pca and the sigmas (50000)")
    p.add_argument("--seed", type=int, default=0, help="of these z (0)")
    p.add_argument("--bases", help="seeds of the pictures that strips start from (four of the film's, where there are anchors; "
                   "else 0,1,2,3)")  # fmt: skip
    p.add_argument("--latents", type=Path, help="an .npz to take them from instead: a score's keys, spread over it")
    p.add_argument("--psi", type=float, default=0.7, help="truncation of the --bases (0.7)")
    p.add_argument("--steps", type=int, default=7, help="pictures in a row (7)")
    p.add_argument("--reach", type=float, default=3.0, help="amount at both ends of a row, in sigma (3)")
    p.add_argument("--rename", nargs=2, action="append", default=[], metavar=("OLD", "NEW"), help="give a direction a name")
    p.add_argument("--apply", type=Path, metavar="NPZ", help="move the latents of this file (w, codes or a score's keys)")
    p.add_argument("--direction", action="append", default=[], metavar="NAME", help="along this one; may be given again")
    p.add_argument("--amount", action="append", type=float, default=[], metavar="X", help="by so many sigma; one a direction")
    p.add_argument("--walk", action="append", default=[], metavar="WALK", help="of a score only this walk; may be given again")
    p.add_argument("--threads", type=int, default=0, help="CPU threads (default: torch's choice)")
    return p
