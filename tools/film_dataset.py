"""`cineml film dataset FILM -o OUT`: training pictures from a film, in the layout that the StyleGAN tools read.

How many there will be is said before anything is written. How the film lies in the square goes along in dataset.json, so
that training stores it in the model and the player undoes it. The same film and options give the same bytes again.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import math
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from player.show.cut_list import CutList, read_csv
from player.show.film import format_timecode, parse_rate
from player.show.problem import Problem, ShowError
from tools.film_bars import bars_of
from tools.film_dataset_files import (
    OPTIONS,
    TABLE,
    begin,
    beside,
    dataset_json,
    finish,
    kept_options,
    part_of,
    table_csv,
    write_beside,
)
from tools.film_dataset_run import Outcome, Recipe, make_pictures
from tools.film_dataset_source import Footage, footage_at, order_notes, range_of, sampled
from tools.film_dataset_square import Rect, luma, square_of, whole
from tools.film_options import dataset_arguments
from tools.train_source import LABELS, coloured

DONE, BAD_INPUT, STOPPED = 0, 2, 130
SIZES = range(8, 8193)
MOST_THREADS = 256
LEAST_FPS = Fraction(1, 3600)
PACKAGES = ("cineml", "av", "numpy", "pillow")


@dataclass(frozen=True)
class Plan:
    """What is going to be made. bars: the picture without its bars; fps: None for every frame."""

    recipe: Recipe
    bars: Rect
    fps: Fraction | None
    cuts: CutList | None
    labels: str
    mixed: int  # frames left out for showing two shots, or a fade's colour
    notes: tuple[str, ...] = ()


def frames_at(first: int, last: int, rate: Fraction, fps: Fraction | None) -> list[int]:
    """The film frames of [first, last) that are taken at `fps` pictures a second of film: the k-th is the frame seen at k / fps
    seconds after the first, floor(k * rate / fps), and there are as many as whole pictures fit, to the nearest: 13 m 04 s at
    12 a second are 9408, as many as FFmpeg's own fps filter makes. None: every frame."""
    if fps is None:
        return list(range(first, last))
    count = max(1, math.floor((last - first) * fps / rate + Fraction(1, 2)))
    return [first + math.floor(k * rate / fps) for k in range(count)]


def pictures_a_second(text: str, rate: Fraction) -> Fraction | None:
    """--fps; None for all. Raises ShowError."""
    if text.strip().lower() == "all":
        return None
    try:
        few = "/" not in text and float(text) < 1
        if few and float(text) < LEAST_FPS:  # before it is a Fraction: that of 1e-99999999 takes for ever
            fps = Fraction(0)
        else:
            fps = Fraction(text) if few else parse_rate(text)
    except (ValueError, ZeroDivisionError, OverflowError):
        raise ShowError(Problem("--fps", repr(text), "a number of pictures a second, as 12 or 24000/1001, or all")) from None
    if not LEAST_FPS <= fps <= rate:
        allowed = f"one an hour or more, at most {rate}, the film's own rate, or all"
        raise ShowError(Problem("--fps", f"{text} a second", allowed))
    return fps


def option_problems(args: argparse.Namespace) -> list[Problem]:
    """What is wrong with the command line before any file is looked at."""
    found = []
    if args.size not in SIZES:
        found.append(Problem("--size", str(args.size), f"{SIZES.start} to {SIZES.stop - 1} pixels"))
    if not 1 <= args.quality <= 100:
        found.append(Problem("--quality", str(args.quality), "1 to 100"))
    if not 0 <= args.threads <= MOST_THREADS:
        found.append(Problem("--threads", str(args.threads), f"0 to {MOST_THREADS}, 0 for all cores"))
    for name, level in (("--drop-black", args.drop_black), ("--drop-duplicates", args.drop_duplicates)):
        if level is not None and not 0 < level <= 255:  # nan is neither
            found.append(Problem(name, f"{level:g}", "above 0, to 255 levels"))
    if args.cuts is None:
        asks = [n for n, given in (("--labels", args.labels != "none"), ("--drop-mixed", args.drop_mixed)) if given]
        found += [Problem(name, "needs to know the shots", "--cuts CUTS.csv as well") for name in asks]
    return found


def place_problems(output: Path, film: Path, cuts: Path | None) -> list[Problem]:
    """What is wrong with where the dataset is to stand."""
    output, film = Path(os.path.abspath(output)), Path(os.path.abspath(film))
    zipped = output.suffix.lower() == ".zip"
    if output in (film, None if cuts is None else Path(os.path.abspath(cuts))):
        return [Problem(str(output), "is read by this command, and would be lost", "another name")]
    if film.is_dir() and film in output.parents:
        return [Problem(str(output), "would lie among the film's frames", "another folder")]
    if not zipped and output in film.parents:
        return [Problem(str(output), "holds the film, and would be replaced", "a folder of its own")]
    if not zipped and output.exists() and not output.is_dir():
        return [Problem(str(output), "is a file", "a folder for the pictures, or NAME.zip")]
    if zipped and output.is_dir():
        return [Problem(str(output), "is a folder", "the name of a zip, or of a folder that does not end in .zip")]
    if not output.parent.is_dir():
        given = f"lies in {str(output.parent)!r}, which is {'no folder' if output.parent.exists() else 'not there'}"
        return [Problem(str(output), given, "a folder that is there")]
    if zipped and beside(output).exists() and not output.exists():
        return [Problem(str(beside(output)), "is there, and would be overwritten by the zip's list of frames", "another name")]
    return []


def bars_asked(text: str, footage: Footage, frames: Sequence[Any]) -> Rect:
    """--bars: the picture without its bars, (x, y, w, h). frames: some of the film's. Raises ShowError."""
    width, height = footage.size
    if text == "keep":
        return 0, 0, width, height
    if text == "remove":
        return bars_of(np.stack([luma(f, footage.turns) for f in frames]))
    parts = text.split(",")
    allowed = f"remove, keep, or X,Y,W,H inside {width} x {height}"
    if len(parts) != 4 or not all(p.strip().isascii() and p.strip().isdecimal() and len(p) < 8 for p in parts):
        raise ShowError(Problem("--bars", repr(text), allowed))
    x, y, w, h = (int(p) for p in parts)
    if w < 1 or h < 1 or x + w > width or y + h > height:
        raise ShowError(Problem("--bars", repr(text), allowed))
    return x, y, w, h


def is_grey(frames: Sequence[Any]) -> bool:
    """Whether none of the frames has colour."""
    return not any(coloured(whole(f, 0, False)) for f in frames)


def cuts_asked(path: Path | None, footage: Footage) -> CutList | None:
    """The cut list, where one is given, and whether it is this film's. Raises ShowError."""
    if path is None:
        return None
    cuts = read_csv(path)
    if cuts.frames != footage.frames:
        given = f"covers {cuts.frames} frames, the film {footage.path.name} has {footage.frames}"
        raise ShowError(Problem(str(path), given, "the cut list of this film"))
    if cuts.rate != footage.rate and footage.kind == "film":
        given = f"counts {cuts.rate} frames a second, the film {footage.path.name} has {footage.rate}"
        raise ShowError(Problem(str(path), given, "the cut list of this film"))
    return cuts


def plan_of(args: argparse.Namespace) -> Plan:
    """The command line, checked against the film. Raises ShowError."""
    if found := option_problems(args) + place_problems(args.output, args.film, args.cuts):
        raise ShowError(found)
    footage = footage_at(args.film, args.rate)
    cuts = cuts_asked(args.cuts, footage)
    first, last = range_of(args, footage)
    fps = pictures_a_second(args.fps, footage.rate)
    numbers = frames_at(first, last, footage.rate, fps)
    pure = [n for n in numbers if not is_mixed(cuts, n)] if args.drop_mixed and cuts is not None else numbers
    if not pure:
        raise ShowError(Problem("--drop-mixed", "leaves no picture: all frames are in dissolves or fades", "without it"))
    frames = sampled(footage.path, footage.files) if "remove" in args.bars or args.channels == "auto" else []
    bars = bars_asked(args.bars, footage, frames)
    square = square_of(footage, bars, args.fit, args.size)
    grey = args.channels == "1" or (args.channels == "auto" and is_grey(frames))
    recipe = Recipe(footage, tuple(pure), square, grey, args.format, args.quality, args.drop_black, args.drop_duplicates)
    return Plan(recipe, bars, fps, cuts, args.labels, len(numbers) - len(pure), tuple(notes_of(footage, frames)))


def notes_of(footage: Footage, frames: Sequence[Any]) -> list[str]:
    """What a person should know of a film before it is learnt; cineml film probe tells more."""
    notes = order_notes([p.name for p in footage.files])
    if any(f.interlaced_frame for f in frames):
        notes.append("is interlaced, and comb teeth would be learnt: ffmpeg -i FILM -vf bwdif=0 progressive.mp4")
    if footage.pixel_aspect != 1:
        notes.append(f"pixels are {footage.pixel_aspect} times as wide as high; the square has them in their true shape")
    if footage.turns:
        notes.append("is stored lying; the pictures are upright")
    return notes


def is_mixed(cuts: CutList | None, frame: int) -> bool:
    """Whether a frame shows two shots, or a fade's colour."""
    mix = cuts.mix_at(frame) if cuts is not None else None
    return mix is not None and (mix.outgoing is not None or mix.fade < 1)


def announced(plan: Plan) -> str:
    """The count, and what decides it, in two lines."""
    recipe, footage = plan.recipe, plan.recipe.footage
    numbers = recipe.numbers
    most = "at most " if recipe.black is not None or recipe.alike is not None else ""
    rate = "every frame" if plan.fps is None else f"{float(plan.fps):.6g} a second"
    length = format_timecode(footage.frames, footage.rate)
    without = f", without {plan.mixed} in dissolves and fades" if plan.mixed else ""
    (x, y, w, h), (fw, fh) = plan.bars, footage.size
    bars = f"bars removed: {w}x{h} at {x},{y}" if (w, h) != (fw, fh) else "no bars"
    _, _, iw, ih = recipe.square.inner
    notes = "".join(f"\nnote: {note}" for note in plan.notes)
    return (f"{most}{len(numbers)} pictures: {footage.path.name}, {footage.frames} frames at {footage.rate} a second "
            f"({length}), {rate}, frames {numbers[0]} to {numbers[-1]}{without}\n"
            f"{recipe.square.size}x{recipe.square.size} {recipe.form.upper()}, {'grey' if recipe.grey else 'colour'}; "
            f"{fw}x{fh}, {bars}; the picture takes {iw}x{ih} of the square{notes}")  # fmt: skip


def job_of(plan: Plan) -> dict[str, Any]:
    """All that decides a dataset's bytes, but for the versions."""
    recipe, square = plan.recipe, plan.recipe.square
    digest = hashlib.sha256(",".join(map(str, recipe.numbers)).encode()).hexdigest()
    cuts = None if plan.cuts is None else hashlib.sha256(repr(plan.cuts.shots).encode()).hexdigest()
    return {"film": recipe.footage.path.name, "film_sha256": recipe.footage.sha256(), "rate": str(recipe.footage.rate),
            "frames": recipe.footage.frames, "fps": "all" if plan.fps is None else str(plan.fps),
            "first": recipe.numbers[0], "last": recipe.numbers[-1], "numbers_sha256": digest, "geometry": square.geometry(),
            "size": square.size, "grey": recipe.grey, "format": recipe.form, "quality": recipe.quality,
            "drop_black": recipe.black, "drop_duplicates": recipe.alike, "labels": plan.labels,
            "cuts_sha256": cuts}  # fmt: skip


def options_json(job: dict[str, Any], made: Sequence[Outcome]) -> str:
    """options.json: what was asked for, hashes, versions, and what was dropped."""
    import json

    dropped = {why: sum(1 for o in made if o.dropped == why) for why in ("black", "duplicate")}
    record = {"tool": "cineml film dataset", "job": job, "pictures": sum(1 for o in made if o.file), "dropped": dropped,
              "versions": {name: version_of(name) for name in PACKAGES}}  # fmt: skip
    return json.dumps(record, indent=1, ensure_ascii=False) + "\n"


def version_of(package: str) -> str:
    """Of an installed package; '' where it runs from a clone."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def make_dataset(plan: Plan, output: Path, threads: int, again: bool) -> str:
    """The dataset at `output`. Returns a sentence about it. Raises ShowError."""
    job = job_of(plan)
    old = kept_options(output)
    there = output.exists() and not (output.is_dir() and not any(output.iterdir()))
    if there and isinstance(old, dict) and old.get("job") == job and not again:
        return f"{output} holds it already: {old.get('pictures')} pictures (--again makes it anew)"
    if there and not (again and isinstance(old, dict) and old.get("tool") == "cineml film dataset"):
        ours = isinstance(old, dict) and "job" in old
        given = "holds another dataset" if ours else "is there, and is no dataset of this command"
        hint = "--again puts the new one in its place" if ours else ""
        raise ShowError(Problem(str(output), given, "a name that is free", hint))
    part = part_of(output)
    begin(part, job)
    made = make_pictures(plan.recipe, part, threads)
    kept = [o for o in made if o.file]
    if not kept:
        given = "gives no picture: all are dropped"
        raise ShowError(Problem(str(plan.recipe.footage.path), given, "a lower LEVEL, or no --drop"))
    about = {"geometry": plan.recipe.square.geometry(), "size": plan.recipe.square.size, "film": job["film"],
             "film_sha256": job["film_sha256"], "fps": job["fps"]}  # fmt: skip
    write_beside(part, {
        LABELS: dataset_json(kept, about, plan.cuts, plan.labels),
        TABLE: table_csv(kept, plan.recipe.footage.rate, plan.cuts),
        OPTIONS: options_json(job, made)})  # fmt: skip
    left = finish(part, output, kept)
    dropped = [f"{n} {name}" for name in ("black", "duplicate") if (n := sum(1 for o in made if o.dropped == name))]
    return f"{output}: {len(kept)} pictures" + (f" ({', '.join(dropped)} left out)" if dropped else "") + (
        f"; files that were added to the older one are kept in {left}" if left is not None else "")


def main(argv: Sequence[str] | None = None) -> int:
    """The deed. Returns the exit code: 0, 2 for bad input, 130 where Ctrl-C stopped it."""
    args = dataset_arguments().parse_args(argv)
    output = Path(os.path.abspath(args.output))
    try:
        plan = plan_of(args)
        print(announced(plan), flush=True)
        if not args.dry_run:
            print(make_dataset(plan, output, args.threads, args.again))
    except ShowError as e:
        print(e, file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print("\nstopped; what is done is kept: the same command goes on from there", file=sys.stderr)
        return STOPPED
    return DONE


if __name__ == "__main__":
    sys.exit(main())
