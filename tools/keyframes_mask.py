"""`cineml keyframes mask FILM -o OUT`: foreground masks of every frame, without painting each.

From a picture of the background, from what moves, or carried along from masks that a person made of some frames. What a person
made or changed in OUT is never written over: the next run takes it for a key and makes the rest of its shot from it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import cv2
import numpy as np
from numpy.typing import NDArray

from player.progress import Progress
from player.show.cut_list import CutList
from player.show.problem import Problem, ShowError
from tools.film_dataset import version_of
from tools.film_dataset_png import png
from tools.film_dataset_source import Footage, footage_at, range_of
from tools.film_dataset_square import whole
from tools.keyframes_keys import Named, read_mask, read_rgba, resized, size_notes, size_of
from tools.keyframes_mask_options import arguments, option_problems
from tools.keyframes_mask_own import check_masks, own_masks
from tools.keyframes_mask_record import BESIDE, Record, record_in
from tools.keyframes_mask_refine import fitted
from tools.keyframes_mask_sheet import PICTURE_PX, Shown, masks_sheet, spread_over
from tools.keyframes_mask_shot import Method, Tick, masks_of_shot
from tools.keyframes_mask_trust import EMPTY, JUMPS, SHATTERED
from tools.keyframes_suggest_cost import side, small_pictures
from tools.keyframes_suggest_names import frames_in, name_of
from tools.keyframes_suggest_shots import Span, cuts_of, shots_named, spans_of
from tools.whole_file import make_folder, sha256_of, write_whole

DONE, BAD_INPUT, STOPPED = 0, 2, 130
WORK_PX = 400  # long side at which masks are found; their edge is then laid in the film's own size
OTHER_SHAPE = 0.02
MOST_AT_ONCE = 1200  # frames of a shot: all of their flow is held, in about 2 MB a frame
DOUBTS = {EMPTY: "no foreground found, the masks are black",
          JUMPS: "the masks jump from frame to frame, which nothing that moves does",
          SHATTERED: "the masks are in shreds, as where the camera moves in a way that cannot be undone"}  # fmt: skip
VERSION = 2  # of how masks are made: to be raised when that changes
PACKAGES = ("cineml", "av", "numpy", "opencv-python")
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Job:
    """A checked command line. given: masks of --masks by film frame; own: masks in OUT that a person made, which go over
    those. plate: the background in the film's size, uint8 [h, w, 3]."""

    args: argparse.Namespace
    footage: Footage
    film_sha256: str
    cuts: CutList
    spans: tuple[Span, ...]
    given: Mapping[int, Path]
    own: Mapping[int, Path]
    plate: Pixels | None
    output: Path

    @property
    def keys(self) -> dict[int, Path]:
        return dict(sorted({**self.given, **self.own}.items()))

    def method_of(self, span: Span) -> Method | None:
        """What a shot's masks are made from; None: of what there is."""
        if self.args.method != "auto":
            return self.args.method  # type: ignore[no-any-return]
        if self.plate is not None:
            return "background"
        return None if any(span.start <= n < span.end for n in self.given) else "motion"


def main(argv: Sequence[str] | None = None) -> int:
    """The deed. Returns the exit code: 0, 2 for bad input, 130 where Ctrl-C stopped it."""
    args = arguments().parse_args(argv)
    try:
        make_masks(args, sys.stdout)
    except ShowError as e:
        print(e, file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print("\nstopped; the shots that are done are kept: the same command goes on from there", file=sys.stderr)
        return STOPPED
    return DONE


def job_of(args: argparse.Namespace, record: Record, out: TextIO) -> Job:
    """Everything checked and read that costs little. Raises ShowError."""
    footage = footage_at(args.film, args.rate)
    first, last = range_of(args, footage)
    output = Path(os.path.abspath(args.output))
    own = own_masks(output, footage, record, out)
    same = args.masks is not None and output == Path(os.path.abspath(args.masks))
    given = {} if args.masks is None or same else frames_in(args.masks, footage, "--masks")
    check_masks(args.output, own.values(), "-o")
    check_masks(args.masks, given.values(), "--masks")
    if both := sorted(set(own) & set(given)):
        print(f"{len(both)} frames have a mask of yours in {args.output} and one in {args.masks}: the former counts", file=out)
    if args.method == "keys" and not own and not given:
        raise ShowError(Problem("--method keys", "finds no mask of a person's hand", "--masks DIR, or masks in OUT"))
    for line in size_notes([Named(p, n) for n, p in {**given, **own}.items()], footage.size, "masks"):
        print(line, file=out)
    plate = None if args.background is None else plate_at(args.background, footage, out)
    cuts = cuts_of(args.cuts, footage, first, last, out)
    spans = tuple(spans_of(cuts, first, last, MOST_AT_ONCE))
    for shot in sorted({s.shot for s in spans}):
        parts = [f"{s.start}-{s.end - 1}" for s in spans if s.shot == shot]
        if len(parts) > 1:
            told = f"{', '.join(parts)} are made each by itself, and a mask of yours serves its own part"
            print(f"shot {shot} is longer than the {MOST_AT_ONCE} frames that are looked at at once: {told}", file=out)
    return Job(args, footage, footage.sha256(), cuts, spans, given, own, plate, output)


def plate_at(path: Path, footage: Footage, out: TextIO) -> Pixels:
    """The background in the film's size. Raises ShowError."""
    w, h = size_of(path)
    if abs(w / h / (footage.size[0] / footage.size[1]) - 1) > OTHER_SHAPE:
        given = f"is {w} x {h}, of another shape than the film"
        raise ShowError(Problem(f"--background {path}", given, f"{footage.size[0]} x {footage.size[1]}, or of that shape"))
    if (w, h) != footage.size:
        print(f"{path}: {w} x {h}, resized to the film's {footage.size[0]} x {footage.size[1]} as it is read", file=out)
    return np.ascontiguousarray(resized(read_rgba(path), footage.size)[..., :3])


def make_masks(args: argparse.Namespace, out: TextIO) -> None:
    """All masks, their preview and their record. Raises ShowError; lets Ctrl-C through."""
    if found := option_problems(args):
        raise ShowError(found)
    record = record_in(Path(os.path.abspath(args.output)))
    job = job_of(args, record, out)
    make_folder(job.output / BESIDE)
    options = {k: v.name if isinstance(v, Path) else v for k, v in vars(args).items()}
    record.about = {"tool": "cineml keyframes mask", "options": options, "film_sha256": job.film_sha256,
                    "versions": {name: version_of(name) for name in PACKAGES}}  # fmt: skip
    record.save(job.output)  # also says now whether it can be written
    total = sum(s.frames for s in job.spans)
    progress = Progress(total, "frames", out)
    done, made = 0, 0
    for span in job.spans:
        digest = digest_of(job, span)
        if args.again or record.shots.get(str(span.start)) != digest or not all_there(job, span):
            def tick(share: float, done: int = done, frames: int = span.frames) -> None:
                progress.at(done + round(share * frames))

            record.made(span.start, digest, make_shot(job, span, record, tick))
            record.save(job.output)
            made += sum(n not in job.own for n in range(span.start, span.end))
        done += span.frames
    preview(job)
    kept = sum(any(s.start <= n < s.end for s in job.spans) for n in job.own)
    told = f"{args.output}: {total} masks, {made} made now"
    told += f", {kept} of your own hand kept" if kept else ""
    progress.done(told)
    for doubt, why in DOUBTS.items():
        if shots := [s.shot for s in job.spans if record.doubts.get(str(s.start)) == doubt]:
            print(f"{shots_named(shots)}: {why}; paint one frame of it white where it is foreground, save it in {args.output} "
                  "under its name, and give the same command again", file=out)  # fmt: skip
    print(f"look at {args.output / BESIDE / 'preview.png'}", file=out)


def digest_of(job: Job, span: Span) -> str:
    """Of all that decides a shot's masks."""
    a = job.args
    keys = {n: sha256_of(p) for n, p in job.keys.items() if span.start <= n < span.end}
    plate = "" if job.plate is None else hashlib.sha256(job.plate.tobytes()).hexdigest()
    told = [VERSION, job.film_sha256, span.start, span.end, keys, plate, job.method_of(span), a.sensitivity, a.grow, a.soft,
            WORK_PX, cv2.__version__]  # fmt: skip
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def all_there(job: Job, span: Span) -> bool:
    """Whether every mask of a shot has its file."""
    return all(place_of(job, n).exists() for n in range(span.start, span.end))


def place_of(job: Job, number: int) -> Path:
    """The file of a frame's mask in OUT; a person may have saved it as something else than PNG."""
    return job.own.get(number, job.output / name_of(job.footage, number))


def make_shot(job: Job, span: Span, record: Record, tick: Tick) -> str:
    """The masks of one shot, all written or (stopped before) none. Returns what speaks against them, one of DOUBTS or ''. tick:
    told the share done, 0..1. Raises ShowError."""
    size = side(*job.footage.size, WORK_PX)
    frames = [picture for _, picture in small_pictures(job.footage, range(span.start, span.end), WORK_PX)]
    keys = {n - span.start: small_mask(p, job.footage, size) for n, p in job.keys.items() if span.start <= n < span.end}
    plate = None if job.plate is None else np.asarray(cv2.resize(job.plate, size, interpolation=cv2.INTER_AREA), np.uint8)
    mixed = mixed_frames(job, span)
    if any(k < mixed for k in keys):
        mixed = 0
    own = {k - mixed: mask for k, mask in keys.items()}
    masks = masks_of_shot(frames[mixed:], own, plate, job.method_of(span), job.args.sensitivity, lambda n: tick(0.9 * n))
    rough = [masks.rough[0]] * mixed + masks.rough
    files: dict[Path, bytes] = {}
    for number, item in job.footage.read(range(span.start, span.end)):
        path = place_of(job, number)
        if number in job.own:
            continue
        if number in job.given:
            mask = read_mask(job.given[number], job.footage.size)
        else:
            frame = whole(item, job.footage.turns, False)
            mask = fitted(rough[number - span.start], frame, job.args.grow, job.args.soft)
        files[path] = png(mask)
    for path, data in files.items():
        record.wrote(path.name, data)
    record.save(job.output)  # before the files: what a killed run leaves is known for ours
    for path, data in files.items():
        write_mask(path, data, record)
    return masks.doubt if masks.found else EMPTY


def mixed_frames(job: Job, span: Span) -> int:
    """How many of a shot's first frames are mixed with the shot before it: they have the mask of the first that is not."""
    shot = job.cuts.by_number(span.shot)
    return span.clear_start - span.start if shot is not None and shot.into == "dissolve" else 0


def write_mask(path: Path, data: bytes, record: Record) -> None:
    """One mask, whole or not at all, over one of ours only: a person may have saved one meanwhile. Raises ShowError."""
    if path.exists() and not record.is_ours(path):
        return
    write_whole(path, lambda part: part.write_bytes(data))


def small_mask(path: Path, footage: Footage, size: tuple[int, int]) -> NDArray[np.float32]:
    """A person's mask in working size, float32 [h, w] 0..1. Raises ShowError."""
    mask = read_mask(path, footage.size)
    return np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_AREA), np.float32) / np.float32(255)


def preview(job: Job) -> None:
    """OUT/mask/preview.png. Raises ShowError."""
    frames = [n for s in job.spans for n in range(s.start, s.end)]
    shown = []
    for number, picture in small_pictures(job.footage, spread_over(frames, [s.start for s in job.spans]), PICTURE_PX):
        path = place_of(job, number)
        mask = small_mask(path, job.footage, (picture.shape[1], picture.shape[0]))
        shot = next(s.shot for s in job.spans if s.start <= number < s.end)
        shown.append(Shown(path.name, number, shot, picture, np.rint(255 * mask).astype(np.uint8), number in job.own))
    data = masks_sheet(shown, job.footage.rate)
    write_whole(job.output / BESIDE / "preview.png", lambda part: part.write_bytes(data))


if __name__ == "__main__":
    sys.exit(main())
