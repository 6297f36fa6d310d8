"""`cineml style apply FILM --model stylizer.onnx --style NAME -o OUT`: every frame through the network, with the sound.

What is done is kept: stopped or killed, the same command goes on. A frame that somebody has changed since stays as it is.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from player.progress import Progress
from player.show.problem import Problem, ShowError
from player.sources.stylizer_model import stylizer_facts
from tools.cuts_text import counted
from tools.film_dataset_png import png
from tools.keyframes_film import size_note, sound_of, write_film
from tools.keyframes_keys import read_content, read_mask
from tools.keyframes_output import digest_of, kept_notes, sha256_of, verified, write_record, write_table
from tools.paint_gate import gate_of
from tools.style_apply_frames import PngWriter, Styled, finished, write_frames
from tools.style_apply_job import (
    CODE,
    Job,
    checked_shares,
    full_record,
    inputs_in_the_way,
    job_of,
    missing_packages,
    named_problems,
    picture_common,
    picture_problems,
    picture_record,
    record_of,
    size_problems,
    vector,
    way_of,
)
from tools.style_apply_options import arguments, is_picture, option_problems
from tools.style_model import LEAST_SIDE_PX, TiledModel, measures_pictures
from tools.whole_file import write_whole

DONE, BAD_INPUT, STOPPED = 0, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """The deed. Returns the exit code: 0, 2 for bad input, 130 where Ctrl-C stopped it."""
    args = arguments().parse_args(argv)
    picture = is_picture(args.film)
    try:
        if found := named_problems(args):
            raise ShowError(found)
        return one_picture(args) if picture else film(args)
    except ShowError as e:
        for problem in e.problems:
            print(f"cineml: {problem}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        kept = "" if picture else "; the frames that are done are kept: the same command goes on"
        print(f"\ncineml: stopped{kept}", file=sys.stderr)
        return STOPPED


# --- one picture


def one_picture(args: argparse.Namespace) -> int:
    """A picture as a PNG. Raises ShowError."""
    found = option_problems(args) + inputs_in_the_way(args) + missing_packages(args, False)
    folder = args.output.parent
    if not folder.is_dir():
        given = f"lies in {str(folder)!r}, which is {'no folder' if folder.exists() else 'not there'}"
        found.append(Problem(f"-o {args.output}", given, "a folder that is there"))
    shares, more = checked_shares(args)
    if found + more:
        raise ShowError(found + more)
    masked = None if args.masks is None else picture_mask(args.masks, args.film)
    common = picture_common(args, shares, masked)
    found, there = picture_problems(args, common)
    if found:
        raise ShowError(found)
    if there:
        print(f"{args.output} is there already, made with the same options (--again makes it anew)")
        return DONE
    picture, alpha = read_content(args.film)
    gate = gate_of([picture]).enlarged(args.enlarge)
    if args.enlarge > 1:
        if found := size_problems(args, picture.shape[1::-1]):
            raise ShowError(found)
        picture, alpha = read_content(args.film, args.enlarge)
    model = opened(args, picture.shape[1::-1])
    try:
        masks = None
        if masked is not None:
            masks = read_mask(masked, picture.shape[1::-1], soft=args.enlarge > 1)
            masks = 255 - masks if args.mask_side == "ground" else masks
        way = way_of(args, vector(model.styles, shares))
        made = finished(model.run(picture, way.shares), picture, way, masks, gate)
    finally:
        model.close()
    data = png(made, 4) if alpha is None else png_with(made, alpha)
    # The record first: a picture that lies there without one counts as a person's.
    record = {**record_of(args, shares), "common": common, "output_sha256": hashlib.sha256(data).hexdigest()}
    write_record_at(picture_record(args), record)
    write_whole(args.output, lambda part: part.write_bytes(data))
    print(f"{args.output}: {made.shape[1]}x{made.shape[0]}, {said_of(shares)}")
    return DONE


def png_with(picture: Any, alpha: Any) -> bytes:
    """A PNG of uint8 [H, W, 3] with its alpha [H, W]."""
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(np.dstack([picture, alpha])).save(out, "PNG")
    return out.getvalue()


def picture_mask(folder: Path, picture: Path) -> Path:
    """The mask of one picture: a file, or the one of the same name in a folder. Raises ShowError."""
    path = folder
    if folder.is_dir():
        path = next((p for p in sorted(folder.iterdir()) if p.stem == picture.stem), folder / f"{picture.stem}.png")
    if not path.is_file():
        raise ShowError(Problem(f"--masks {folder}", f"holds no mask named {picture.stem}", "the picture's name, or a file"))
    return path


# --- a film


def film(args: argparse.Namespace) -> int:
    """A film, as a film or as PNGs. Raises ShowError."""
    job = job_of(args)
    if job.place.film and not args.again and already_there(job):
        print(f"{args.output} is there already, made with the same options (--again makes it anew)")
        return DONE
    model = opened(args, job.result.size)
    styled = Styled(job.footage, job.cuts, model, job.way, job.gate, args.enlarge)
    try:
        begin(job)
        make(job, styled)
    finally:
        styled.close()
        model.close()
    finish(job)
    return DONE


def opened(args: argparse.Namespace, size: tuple[int, int]) -> TiledModel:
    """The network, open for frames of (width, height), and what is to be said of it. Raises ShowError."""
    if min(size) < LEAST_SIDE_PX:
        raise ShowError(Problem(str(args.film), "is {}x{}".format(*size), f"at least {LEAST_SIDE_PX} pixels a side"))
    model = TiledModel(args.model, size, args.tile, args.threads or os.cpu_count() or 1)
    t = model.tiling
    if not t.whole:
        own = "" if t.counts != (1, 1) else ", the network's own size"
        tiles = f"{t.counts[0]} x {t.counts[1]} tiles of {t.tile[0]}x{t.tile[1]}{own}"
        print(f"frames of {size[0]}x{size[1]} in {tiles}", flush=True)
        if t.counts != (1, 1) and measures_pictures(args.model):
            print("the network measures every tile by itself, so that tones may differ from tile to tile (cineml style export "
                  "--fold FILM makes one that does not)", flush=True)  # fmt: skip
    if model.provider_note:
        print(model.provider_note, flush=True)
    return model


def said_of(shares: Mapping[str, float]) -> str:
    """'whiplash 70 %, strokes 30 %'."""
    return ", ".join(f"{name} {share:.0%}" for name, share in shares.items() if share > 0)


# --- making it


def begin(job: Job) -> None:
    """The record, before the first frame. Raises ShowError."""
    width, height = job.result.size
    shares = {n: float(s) for n, s in zip(stylizer_facts(job.args.model).styles, job.way.shares, strict=True)}
    if job.todo:
        print(f"{counted(len(job.todo), 'frame')} of {width}x{height}, {said_of(shares)}", flush=True)
    for line in kept_notes(job.files, job.theirs, len(job.frames), len(job.todo)):
        print(line, flush=True)
    with PngWriter(job.place.folder, job.place.work / "log-apply.tsv", ""):  # makes the folders
        pass
    kept_film = {k: job.before[k] for k in ("film_sha256", "film_job") if k in job.before and job.place.output.is_file()}
    write_record(job.place, full_record(job, **kept_film))


def make(job: Job, styled: Styled) -> None:
    """Every frame that is left. Raises ShowError."""
    if not job.todo:
        return
    progress = Progress(len(job.todo), "frames", sys.stderr)
    with PngWriter(job.place.folder, job.place.work / "log-apply.tsv", digest_of(job.common)[:CODE]) as writer:
        write_frames(styled, job.todo, job.files, writer, progress.at)
    progress.done(f"{counted(len(job.todo), 'frame')} on {styled.model.provider.removesuffix('ExecutionProvider')}")


def already_there(job: Job) -> bool:
    """Whether the film at the output was made by this very job, whose frames are gone since."""
    made, same = job.before.get("film_sha256"), job.before.get("film_job") == film_job_of(job)
    return bool(made) and same and not job.theirs and job.place.output.is_file() and sha256_of(job.place.output) == made


def film_job_of(job: Job) -> str:
    """A code of what the film's file follows from: the frames, and how they are encoded."""
    sound = None if job.args.sound is None else sha256_of(job.args.sound)
    return digest_of([job.common, job.args.quality, sound, job.args.no_sound])


def finish(job: Job) -> None:
    """The film, or the table of the frames. Raises ShowError."""
    place = job.place
    rows = verified(place, job.frames, job.files)
    if not place.film:
        write_table(place, rows.values())
        with contextlib.suppress(OSError):
            place.work.rmdir()
        print(f"{place.output}: {counted(len(job.frames), 'frame')}")
        return
    sound, why = (None, "") if job.args.no_sound else sound_of(job.footage, job.args.sound)
    for note in filter(None, (why, size_note(job.result))):
        print(note, flush=True)
    progress = Progress(len(job.frames), "frames of the film", sys.stderr)
    write_film(place.output, job.result, place.folder, job.files, job.frames, job.args.quality, sound, None, progress.at)
    write_record(place, full_record(job, film_sha256=sha256_of(place.output), film_job=film_job_of(job)))
    clear(job, [r.file for r in rows.values()])
    with_sound = ", with the sound" if sound is not None else ""
    progress.done(f"{place.output}: {counted(len(job.frames), 'frame')} at {job.footage.rate} a second{with_sound}")


def clear(job: Job, files: Sequence[str]) -> None:
    """Removes the frames of a finished film: the network makes them again as quickly as they are read. What a person has
    changed stays."""
    place = job.place
    theirs = {job.files[n] for n in job.theirs}
    for path in [*(place.folder / f for f in files if f not in theirs), *([] if theirs else place.logs())]:
        with contextlib.suppress(OSError):
            path.unlink()
    for folder in (place.folder, place.work):
        with contextlib.suppress(OSError):
            folder.rmdir()


def write_record_at(path: Path, record: Mapping[str, Any]) -> None:
    """Raises ShowError."""
    text = json.dumps(record, indent=1, ensure_ascii=False) + "\n"
    write_whole(path, lambda part: part.write_text(text, encoding="utf-8"))


if __name__ == "__main__":
    sys.exit(main())
