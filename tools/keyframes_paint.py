"""`cineml keyframes paint FILM --style PICTURE -o OUT`: from a film and a painting to a painted film.

Some frames are chosen (keyframes_suggest), painted with the painting's strokes so that they agree (paint_keys), written as PNGs
that a person may paint over, and propagated to all others (keyframes_propagate). What a person has changed or added is kept.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from player.progress import Progress
from player.show.cut_list import CutList
from player.show.problem import Problem, ShowError
from tools import keyframes_options
from tools.film_dataset import version_of
from tools.film_dataset_source import Footage, footage_at, range_of
from tools.keyframes_asked import check_cuts
from tools.keyframes_cuts import cut_list_problems, cuts_beside, rate_notes, write_found
from tools.keyframes_output import name_problems, place_of, read_record, strange_problems
from tools.keyframes_suggest_shots import cuts_of
from tools.marked_sheet import sheet_problems, write_sheet
from tools.paint_choice import Part, between, frame_of, frames_of, keys_of, missing_problems, parts_of
from tools.paint_compare import draw_rows, make_rows, sheet_frames, small_size, ways_of
from tools.paint_files import TOOL, KeyStore, Places, made_of, place_problems, places_of, sha256_of
from tools.paint_gate import gate_of
from tools.paint_keys import Painted, Painter, Shown, paint_shot, sized
from tools.paint_options import PaintOptions, arguments, choice_problems, paint_options
from tools.paint_style import Painting, read_painting
from tools.whole_file import make_folder, write_whole

DONE, BAD_INPUT, STOPPED = 0, 2, 130
PACKAGES = ("cineml", "av", "numpy", "numba", "opencv-python", "scipy")
A_KEY = 100  # steps of progress
LOOKED_AT = 32  # frames all over the film that tell its black frame
MOST_NAMED = 6

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Job:
    """A checked command line. found_cuts: whether the cuts were looked for, and are to be written. parts: the shots in [first,
    last). keys: film frames that are asked for."""

    args: argparse.Namespace
    options: PaintOptions
    painting: Painting
    footage: Footage
    film_sha256: str
    first: int
    last: int
    cuts: CutList
    found_cuts: bool
    parts: tuple[Part, ...]
    keys: tuple[int, ...]
    places: Places


def job_of(args: argparse.Namespace) -> Job:
    """The command line, checked, the painting read, cuts and frames found. Raises ShowError with all that can be said at
    once."""
    named = {"FILM": args.film, "--style": args.style, "--cuts": args.cuts, "--masks": args.masks, "--captions": args.captions,
             "--sound": args.sound}  # fmt: skip
    if found := name_problems(named, args.output):
        raise ShowError(found)
    found = choice_problems(args)
    places = places_of(args.output)
    options, painting, footage = PaintOptions(), None, None
    try:
        options = paint_options(args)
    except ShowError as e:
        found += e.problems
    inputs = [p for p in (args.film, args.style, args.cuts, args.masks, args.captions, args.sound) if p is not None]
    found += place_problems(places, inputs) or way_problems(args, places)
    found += keyframes_options.option_problems(between_args(args, places))
    try:
        painting = read_painting(args.style)
    except ShowError as e:
        found += e.problems
    try:
        footage = footage_at(args.film, args.rate)
        first, last = range_of(args, footage)
        found += late_problems(args, footage, first, last)
    except ShowError as e:
        found += e.problems
    if found or painting is None or footage is None:
        raise ShowError(found)
    for note in painting.notes:
        print(f"{args.style.name}: {note}", flush=True)
    film_sha256 = footage.sha256()
    cuts, found_cuts = cuts_for(args, footage, film_sha256, places)
    parts = tuple(parts_of(cuts, first, last))
    keys = keys_of(args, footage, parts, cuts, places.work, film_sha256, sys.stdout)
    return Job(args, options, painting, footage, film_sha256, first, last, cuts, found_cuts, parts, tuple(keys), places)


def cuts_for(args: argparse.Namespace, footage: Footage, film_sha256: str, places: Places) -> tuple[CutList, bool]:
    """(the cut list: named, or that which stands there, or found; whether it is to be written). Found in the whole film, also
    where a part of it is asked for: the list stays, for the rest of it. Raises ShowError."""

    def find() -> tuple[CutList, list[str]]:
        return cuts_of(None, footage, 0, footage.frames, sys.stdout), []

    if args.cuts is None:
        cuts, said, found = cuts_beside(places.cuts, footage, lambda: film_sha256, find)
    else:
        cuts, found = cuts_of(args.cuts, footage, 0, footage.frames, sys.stdout), False
        said = rate_notes(cuts, footage)
    for note in said:
        print(note, flush=True)
    return cuts, found


def between_args(args: argparse.Namespace, places: Places) -> argparse.Namespace:
    """The command line of `cineml keyframes propagate` that follows."""
    return keyframes_options.arguments().parse_args(propagate_words(args, places))


def way_problems(args: argparse.Namespace, places: Places) -> list[Problem]:
    """What is in the way of anything that will be written, as far as that can be told without a look at the film: before the
    keys are painted, not after."""
    from tools.keyframes_propagate import way_problems as way_of_frames

    found = cut_list_problems(places.cuts, args.cuts) + check_cuts(args.cuts)
    if args.compare:
        found += sheet_problems(places.sheet, TOOL)
    # Where the folder for the result is not there yet, nothing is in the way.
    return found + (way_of_frames(between_args(args, places), place_of(args.output)) if args.output.parent.is_dir() else [])


def late_problems(args: argparse.Namespace, footage: Footage, first: int, last: int) -> list[Problem]:
    """What `propagate` would say only after the keys are painted. Raises ShowError."""
    from player.captions import read_captions
    from tools.keyframes_keys import masks_of
    from tools.keyframes_plan import frame_files
    from tools.keyframes_propagate import range_problems

    if args.masks is not None:
        masks_of(args.masks, footage, "--masks")
    if args.captions is not None:
        read_captions(args.captions, footage.rate)
    if args.preview is not None:
        return []
    place = place_of(args.output)
    found = strange_problems(place, range(first, last), frame_files(footage))
    return found + ([] if args.again else range_problems(place, read_record(place), first, last))


def propagate_words(args: argparse.Namespace, places: Places) -> list[str]:
    """What `cineml keyframes propagate` is called with."""
    words = [str(args.film), "--keys", str(places.keys), "-o", str(args.output), "--preset", args.preset, "--seed",
             str(args.seed), "--threads", str(args.threads), "--jobs", str(args.jobs)]  # fmt: skip
    for name in ("start", "end", "rate", "masks", "keep", "keep_amount", "preview", "captions", "sound"):
        if (value := getattr(args, name)) is not None:
            words += [f"--{name.replace('_', '-')}", str(value)]
    words += [f"--{name.replace('_', '-')}" for name in ("allow_missing", "no_sound", "again") if getattr(args, name)]
    return [*words, "--cuts", str(args.cuts if args.cuts is not None else places.cuts)]


def compare(job: Job) -> None:
    """The sheet, before the long work. Raises ShowError."""
    footage, places = job.footage, job.places
    size = small_size(*footage.size)
    frames = sheet_frames(job.keys, job.parts, job.args.compare_frames)
    progress = Progress(100, "sheet", sys.stdout, 100)
    looked_at = frames_of(footage, evenly(job.first, job.last))
    gate = gate_of(sized(p, size) for _, p in looked_at)
    rows = make_rows(frames, job.parts, job.painting, job.options, gate, lambda n: frame_of(footage, n),
                     lambda a, b: between(footage, a, b), lambda share: progress.at(round(100 * share)))  # fmt: skip
    shown = "" if size == footage.size[::-1] else f", shown at {size[1]}x{size[0]}, where strokes are as large"
    note = f"{footage.path.name} in the strokes of {job.args.style.name}, preset {job.options.preset}{shown}"
    write_sheet(places.sheet, draw_rows(rows, ways_of(job.options), job.painting, footage.rate, note), TOOL)
    progress.done(f"{places.sheet}: {len(frames)} frames, {len(ways_of(job.options))} ways,")


def evenly(first: int, last: int) -> list[int]:
    """Frames from all over [first, last)."""
    return [int(n) for n in np.unique(np.linspace(first, last - 1, LOOKED_AT).astype(int))]


def named(numbers: Sequence[int]) -> str:
    """'12, 40 and 3 more'."""
    more = f" and {len(numbers) - MOST_NAMED} more" if len(numbers) > MOST_NAMED else ""
    return ", ".join(map(str, numbers[:MOST_NAMED])) + more


def split(job: Job, store: KeyStore, painter: Painter) -> tuple[list[int], list[int]]:
    """(keys to paint, keys that are there) of those that are asked for and those that lie there. Raises ShowError where some
    were painted otherwise and nobody asked to paint them anew."""
    there = {n: p for n, p in store.files().items() if job.first <= n < job.last}
    ours = {n: p for n, p in there.items() if store.is_ours(p)}
    fingerprint = painter.fingerprint()
    stale = [n for n, frame in frames_of(job.footage, sorted(ours))
             if store.made[ours[n].name]["made_of"] != made_of(fingerprint, frame, job.args.together)]  # fmt: skip
    if stale and not job.args.again:
        given = f"holds keys that were painted otherwise (frames {named(stale)})"
        raise ShowError(Problem(str(store.folder), given, "keys of one painting and one way",
                                "--again to paint them anew, or another -o"))  # fmt: skip
    kept = sorted(set(there) - set(ours))
    if kept:
        print(f"{store.folder}: frames {named(kept)} are kept as a person left them", flush=True)
    if added := sorted(set(ours) - set(job.keys) - set(stale)):
        print(f"{store.folder}: frames {named(added)} were painted before and count as keys too", flush=True)
    return sorted((set(job.keys) | set(stale)) - (set(there) - set(stale))), sorted(set(there) - set(stale))


def paint(job: Job, store: KeyStore, painter: Painter) -> list[int]:
    """Paints what is missing, each key written as soon as it is done. Returns all keys there are then. Raises ShowError."""
    footage, fingerprint = job.footage, painter.fingerprint()
    todo, there = split(job, store, painter)
    progress = Progress(A_KEY * len(todo), "keys", sys.stdout, A_KEY)
    done = 0

    def told(share: float) -> None:
        progress.at(round(A_KEY * (done + share)))

    def painted_at(number: int) -> Painted:
        return store.load(number, store.files()[number])

    shown = Shown(lambda n: frame_of(footage, n), painted_at, lambda a, b: between(footage, a, b))
    for part in job.parts:
        own = [n for n in todo if part.start <= n < part.end]
        if not own:
            continue
        finished = [n for n in there if part.start <= n < part.end]
        for number, key in paint_shot(painter, own, finished, shown, job.args.together, told):
            if not store.save(number, key, made_of(fingerprint, shown.frame_at(number), job.args.together)):
                print(f"{store.folder}: frame {number} was painted by a person meanwhile, and stays as it is", flush=True)
            done += 1
            progress.at(A_KEY * done)
    if todo:
        progress.done(f"{store.folder}: {len(todo)} keys painted {'together' if job.args.together else 'one by one'}")
    return sorted({*todo, *there})


def write_record(job: Job, keys: Sequence[int]) -> None:
    """options.json: what was asked for, of what, with what. Raises ShowError."""
    options = {k: str(v) if isinstance(v, Path) else v for k, v in vars(job.args).items()}
    record: dict[str, Any] = {
        "tool": TOOL, "options": options, "how": asdict(job.options), "keys": list(keys),
        "frames": [job.first, job.last], "rate": str(job.footage.rate),
        "inputs": {"film": {"file": job.footage.path.name, "sha256": job.film_sha256},
                   "style": {"file": job.args.style.name, "sha256": job.painting.sha256},
                   **({"cuts": {"file": job.args.cuts.name, "sha256": sha256_of(job.args.cuts)}} if job.args.cuts else {})},
        "versions": {name: version_of(name) for name in PACKAGES}}  # fmt: skip
    text = json.dumps(record, indent=1, ensure_ascii=False) + "\n"
    write_whole(job.places.options, lambda part: part.write_text(text, encoding="utf-8"))


def propagate(job: Job) -> int:
    """The frames between. Returns the exit code of `cineml keyframes propagate`."""
    from tools.keyframes_propagate import main as propagate_main

    words = propagate_words(job.args, job.places)
    return propagate_main(words if job.args.again or not only_keys_changed(job, words) else [*words, "--again"])


def only_keys_changed(job: Job, words: Sequence[str]) -> bool:
    """Whether frames lie there that were made by the same command from other keys: what a person has painted over, added or
    deleted since. Their shots are made anew unasked; that is what the person painted for."""
    before = read_record(place_of(job.places.output))
    if not before:
        return False
    asked = {k: str(v) if isinstance(v, Path) else v for k, v in vars(keyframes_options.arguments().parse_args(words)).items()}
    apart = ("again", "jobs", "threads", "preview", "start", "end")  # a part that was tried first is part of the whole
    same = all(before["options"].get(k) == v for k, v in asked.items() if k not in apart)
    now = {sha256_of(path) for path in KeyStore(job.places.keys, job.footage).files().values()}
    return same and now != {key.get("sha256") for key in before["keys"].values()}


def run(args: argparse.Namespace) -> int:
    """The steps in order. Raises ShowError."""
    job = job_of(args)
    store = KeyStore(job.places.keys, job.footage)
    width, height = job.footage.size
    print(f"{job.footage.path.name}: {job.last - job.first} frames of {width}x{height} in {len(job.parts)} shots, "
          f"keys {named(job.keys)}", flush=True)  # fmt: skip
    if not args.allow_missing and (found := missing_problems(job.parts, [*job.keys, *store.files()])):
        raise ShowError(found)
    for folder in (job.places.work, job.places.keys):  # before the work: a place that cannot be written to loses none
        make_folder(folder)
    if job.found_cuts:
        write_found(job.places.cuts, job.cuts, job.film_sha256)
        print(f"the cuts that were found stand in {job.places.cuts}: correct it, and the same command uses it", flush=True)
    if args.compare:
        compare(job)
    if args.stop_after == "compare":
        return DONE
    gate = gate_of(p for _, p in frames_of(job.footage, evenly(job.first, job.last)))
    if gate.always.any():
        print(f"{gate.always.mean():.1%} of the picture is the film's black frame, and stays as it is", flush=True)
    keys = paint(job, store, Painter(job.painting, job.options, (height, width), gate))
    write_record(job, keys)
    if args.stop_after == "keys":
        print(f"{job.places.keys}: {len(keys)} keys; paint over any, delete what is to be painted anew, then give the same "
              "command without --stop-after")  # fmt: skip
        return DONE
    return propagate(job)


def main(argv: Sequence[str] | None = None) -> int:
    """The deed. Returns the exit code: 0, 2 for bad input, 130 where Ctrl-C stopped it."""
    args = arguments().parse_args(argv)
    try:
        return run(args)
    except ShowError as e:
        for problem in e.problems:
            print(f"cineml: {problem}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        kept = f"stopped; the keys that are done are kept in {places_of(args.output).keys}"
        print(f"\ncineml: {kept}: the same command goes on from there", file=sys.stderr)
        return STOPPED


if __name__ == "__main__":
    sys.exit(main())
