"""From the command line to the remap that is meant: presets, what the score remembers, a range of the film as its shots."""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path

import torch

from player.show.cut_list import CutList, read_csv
from player.show.problem import Problem, ShowError
from tools.remap_fit import BATCH
from tools.remap_job import RECORD, Remap
from tools.remap_options import STARTS
from tools.remap_swap import parse_swaps
from tools.train_source import film_range

USUAL = Path("score.toml")
KEPT = ("cuts", "model", "anchors", "synthesis")  # beside the film; those of a set only where the set is meant again


@dataclasses.dataclass(frozen=True)
class Preset:
    """size: pixels of the fit, 0: the model's. minutes: at most."""

    device: str
    size: int
    passes: float
    batch: int
    minutes: float


PRESETS = {
    "cpu": Preset("cpu", 128, 6.0, BATCH, 60.0),
    "gpu": Preset("cuda", 0, 16.0, 16, float("inf")),
}


def preset_of(name: str | None) -> Preset:
    """The preset of that name; auto or none: gpu where there is one, else cpu's without its hour. Raises ShowError."""
    there = torch.cuda.is_available()
    if name == "gpu" and not there:
        raise ShowError(Problem("--preset", "gpu: torch sees none", "cpu or auto"))
    if name in PRESETS:
        return PRESETS[name]
    return PRESETS["gpu"] if there else dataclasses.replace(PRESETS["cpu"], minutes=float("inf"))


def remembered(args: argparse.Namespace) -> argparse.Namespace:
    """args with what was not given taken from the last remap of the same score, where there was one."""
    output = args.output or (USUAL if (USUAL.with_suffix(".work") / RECORD).is_file() else None)
    if output is None or not output.name:
        return args
    made = argparse.Namespace(**vars(args))
    made.output = output
    try:
        told = json.loads((output.with_suffix(".work") / RECORD).read_text(encoding="utf-8"))["options"]
        paths = {name: Path(told[name]) for name in ("film", *KEPT) if told.get(name)}
    except (OSError, ValueError, KeyError, TypeError):
        return made
    same_model = args.model is None
    if made.film is None and made.film_file is None:
        made.film = paths.get("film")
    for name in ("cuts", "model"):
        if getattr(made, name) is None:
            setattr(made, name, paths.get(name))
    for name in ("anchors", "synthesis"):  # of that very model
        if getattr(made, name) is None and same_model:
            setattr(made, name, paths.get(name))
    return made


def shots_between(cuts: CutList, start: str | None, end: str | None) -> tuple[int, ...]:
    """Numbers of the shots that a range of the film touches. Raises ShowError."""
    first, last = film_range(start, end, cuts.rate)
    found = tuple(s.number for s in cuts.shots if s.end > first and (last is None or s.start < last))
    if not found:
        raise ShowError(Problem("--start", f"is frame {first}", f"0 to {cuts.frames - 1}"))
    return found


def asked(args: argparse.Namespace) -> Remap:
    """The remap that the command line means. Raises ShowError."""
    found: list[Problem] = []
    start, begin = args.start_from or "auto", args.start
    if begin in STARTS:
        start, begin = args.start_from or begin, None
    shots = tuple(int(n) for n in args.shot.split(",")) if args.shot else ()
    try:
        preset = preset_of(args.preset)
        if args.device == "cuda" and not torch.cuda.is_available():
            found.append(Problem("--device", "cuda: torch sees no such device", "cpu"))
        swaps = parse_swaps(args.swap)
    except ShowError as e:
        raise ShowError([*found, *e.problems]) from None
    if begin is not None or args.end is not None:
        if shots:
            found.append(Problem("--shot", "stands beside --start or --end", "one of them"))
        else:
            shots = shots_between(read_csv(args.cuts), begin, args.end)
    if found:
        raise ShowError(found)
    return Remap(
        args.film or args.film_file, args.cuts, args.model, args.output, args.anchors, args.iterations,
        preset.passes if args.passes is None else args.passes, preset.minutes if args.minutes is None else args.minutes,
        shots, args.again, args.synthesis, args.seed, plus_frames=args.plus, start=start,
        size=preset.size if args.size is None else args.size, device=args.device or preset.device, batch=preset.batch,
        from_set=args.from_set, assign=args.assign, latents=args.latents, labels=args.labels, set_steps=args.set_steps,
        swaps=swaps, measured=not args.no_measure,
    )  # fmt: skip
