"""`cineml gan edit MODEL -o FOLDER`: directions in W, named, each with a strip of pictures; and latents moved along them.

FOLDER receives directions.toml and directions.npz (their format: tools/edit_file.py), strips/ID.png and sheet.png.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from player.progress import Progress
from player.show.problem import Problem, ShowError
from tools.edit_apply import apply
from tools.edit_directions import Direction, find
from tools.edit_file import TEXT, DirectionSet, carried, read_directions, renamed, write_directions
from tools.edit_latents import as_rows, read_latents
from tools.edit_model import anchors_of, model_at
from tools.edit_options import METHODS, arguments
from tools.edit_strip import (
    amounts_for,
    bases_from_seeds,
    draw_sheet,
    draw_strip,
    pictures,
    save_picture,
    strip_pictures,
)
from tools.whole_file import check_folder


def rows_of(text: str | None) -> tuple[int, int] | None:
    """--layers A-B (or one number) as first and last row. Raises ShowError."""
    if text is None:
        return None
    first, _, last = text.partition("-")
    try:
        return int(first), int(last or first)
    except ValueError:
        raise ShowError(Problem("--layers", text, "A-B, two whole numbers from 0")) from None


def seeds_of(text: str | None) -> list[int]:
    """--bases as seeds. Raises ShowError."""
    if text is None:
        return [0, 1, 2, 3]
    try:
        seeds = [int(s) for s in text.split(",")]
    except ValueError:
        seeds = []
    if not 1 <= len(seeds) <= 16 or not all(0 <= s < 2**32 for s in seeds):
        raise ShowError(Problem("--bases", text, "1 to 16 seeds, whole numbers from 0, with commas between"))
    return seeds


def check(args: argparse.Namespace) -> None:
    """Every problem of the numbers at once. Raises ShowError."""
    found = []
    if not 2 <= args.steps <= 31:
        found.append(Problem("--steps", str(args.steps), "2 to 31"))
    if not 0 < args.reach <= 100:
        found.append(Problem("--reach", str(args.reach), "more than 0, at most 100"))
    if not 100 <= args.samples <= 10_000_000:
        found.append(Problem("--samples", str(args.samples), "100 to 10000000"))
    if not 0 <= args.seed < 2**32:
        found.append(Problem("--seed", str(args.seed), "0 to 4294967295"))
    if not 0 <= args.psi <= 2:
        found.append(Problem("--psi", str(args.psi), "0 to 2"))
    if args.apply is None and (args.direction or args.amount or args.walk):
        found.append(Problem("--direction, --amount, --walk", "given without --apply", "together with --apply NPZ"))
    if args.apply is not None and (not args.direction or len(args.direction) != len(args.amount)):
        given = f"{len(args.direction)} times --direction and {len(args.amount)} times --amount"
        found.append(Problem("--apply", given, "at least one --direction NAME, each with its --amount X"))
    if not all(np.isfinite(args.amount)):
        found.append(Problem("--amount", "is not a finite number", "sigmas, -3 to 3 for most"))
    if found:
        raise ShowError(found)


def older_directions(args: argparse.Namespace, sha256: str) -> DirectionSet | None:
    """What a person has named in this folder before, --rename done; None in a new folder. Raises ShowError."""
    if not (args.output / TEXT).is_file():
        return None
    old = read_directions(args.output)
    if old.model_sha256 != sha256:
        given = f"belongs to another model ({old.model_sha256[:12]}..., this one is {sha256[:12]}...)"
        raise ShowError(Problem(str(args.output / TEXT), given, "a folder of its own for every model"))
    return old


def bases_from_latents(path: Path, count: int, w_dim: int, num_ws: int) -> tuple[NDArray[np.float32], list[str]]:
    """(ws float32 [count or fewer, num_ws, w_dim], labels) spread over the latents of a file. Raises ShowError."""
    found = read_latents(path, w_dim, num_ws)
    at = [(name, i) for name in found.names for i in range(len(found.arrays[name]))]
    chosen = np.unique(np.linspace(0, len(at) - 1, count + 2).round().astype(int)[1:-1])  # not the very ends
    picked = [at[i] for i in chosen]
    rows = [as_rows(found.arrays[name][i : i + 1], num_ws) for name, i in picked]
    return np.concatenate(rows), [f"frame {i}" if name == "codes" else f"{name} {i}" for name, i in picked]


def find_directions(args: argparse.Namespace) -> int:
    """Directions, their files, strips and sheet. Raises ShowError."""
    if args.threads:
        torch.set_num_threads(args.threads)
    seeds = seeds_of(args.bases)
    rows = rows_of(args.layers)
    model = model_at(args.model)
    config = model.generator.config
    old = older_directions(args, model.sha256)
    of_film = args.latents or (None if args.bases else anchors_of(model.folder))
    if of_film is None:
        bases, labels = bases_from_seeds(model.generator, seeds, args.psi), [f"seed {s}" for s in seeds]
    else:
        bases, labels = bases_from_latents(of_film, len(seeds), config.w_dim, config.num_ws)
    methods: tuple[str, ...] = METHODS if args.method == "both" else (args.method,)
    check_folder(args.output)  # before minutes of work, not after them
    progress = Progress(args.samples, "samples", sys.stdout)
    fresh = find(model.generator, methods, args.n, rows, args.samples, args.seed, progress.at)
    kept = DirectionSet(tuple(fresh), model.sha256, config.w_dim, config.num_ws, args.seed, args.samples)
    if old is None:
        kept = renamed(kept, args.rename)
    else:  # a name may have stood in the old file only, and must be there before the old is compared with the new
        kept = DirectionSet(carried(renamed(old, args.rename), fresh), model.sha256, config.w_dim, config.num_ws,
                            args.seed, args.samples)  # fmt: skip
    write_directions(args.output, kept)
    for gone in {d.id for d in (old.directions if old else ())} - {d.id for d in kept.directions}:
        (args.output / "strips" / f"{gone}.png").unlink(missing_ok=True)
    marks = sum(1 for d in kept.directions if d.same_as)
    progress.done(f"{args.output / TEXT}: {len(kept.directions)} directions, {marks} nearly the same as an earlier one")

    amounts = amounts_for(args.steps, args.reach)
    inner = model.geometry.get("inner", [])
    still = pictures(model.generator, bases, inner)
    progress = Progress(len(kept.directions), "strips", sys.stdout)
    firsts: list[tuple[Direction, NDArray[np.uint8]]] = []
    for done, direction in enumerate(kept.directions, 1):
        strip = strip_pictures(model.generator, bases, still, direction, amounts, inner)
        save_picture(draw_strip(direction, strip, amounts, labels), args.output / "strips" / f"{direction.id}.png")
        firsts.append((direction, strip[0]))
        progress.at(done)
    save_picture(draw_sheet(firsts, amounts), args.output / "sheet.png")
    progress.done(f"{args.output / 'sheet.png'} and {len(firsts)} strips of {len(bases)} x {len(amounts)} pictures")
    print(f"name them in {args.output / TEXT}; a re-run keeps the names")
    return 0


def apply_directions(args: argparse.Namespace) -> int:
    """Latents moved along directions of a folder. Raises ShowError."""
    kept = read_directions(args.model)
    moves = [(kept.by_name(name), amount) for name, amount in zip(args.direction, args.amount, strict=True)]
    names, written = apply(args.apply, args.output, kept, moves, args.walk)
    by = ", ".join(f"{d.shown} {amount:+g}" for d, amount in moves)
    print(f"{written[0]}: {', '.join(names)} moved by {by} sigma")
    for path in written[1:]:
        print(f"{path}: a copy, so that the two are a score")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """The deed. Exit code 0, 2 for bad input, 130 after Ctrl-C (what was written stays)."""
    args = arguments().parse_args(argv)
    try:
        check(args)
        return find_directions(args) if args.apply is None else apply_directions(args)
    except ShowError as e:
        print(e, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped; directions and strips written so far stay, a re-run makes the rest", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
