"""`cineml keyframes suggest FILM -n N -o OUT`: which frames to paint, so that the rest follows from them best.

Of each shot those frames together that take most from what flow cannot explain, never across a cut. With --keys it says what to
paint next, beside those that are painted. The frames are written lossless, named by their number in the film.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from player.progress import Progress
from player.show.cut_list import CutList
from player.show.film import format_timecode
from player.show.problem import Problem, ShowError
from tools.film_dataset import version_of
from tools.film_dataset_source import Footage, footage_at, range_of
from tools.film_dataset_square import whole
from tools.film_frames import write_frame
from tools.keyframes_keys import counted, is_unpainted, read_key
from tools.keyframes_suggest_cost import small_pictures
from tools.keyframes_suggest_greedy import Ordered, Step, error_of, planned
from tools.keyframes_suggest_names import frames_in, name_of
from tools.keyframes_suggest_options import arguments, option_problems, until_of
from tools.keyframes_suggest_order import KEPT_KEYS, even_error, keep, kept, ordered, read_shot, shot_digest
from tools.keyframes_suggest_result import Result, result_at
from tools.keyframes_suggest_sheet import PICTURE_PX, curve_csv, curve_png, keys_sheet
from tools.keyframes_suggest_shots import Span, cuts_of, shots_named, spans_of
from tools.whole_file import make_folder, sha256_of, write_whole

DONE, BAD_INPUT, STOPPED = 0, 2, 130
BESIDE, WORK, RECORD = "suggest", "work", "suggest.json"
MOST_LINES = 20
PACKAGES = ("cineml", "av", "numpy", "opencv-python")


@dataclass(frozen=True)
class Job:
    """A checked command line. painted: frames that are painted already, by film frame."""

    args: argparse.Namespace
    footage: Footage
    film_sha256: str
    first: int
    last: int
    cuts: CutList
    spans: tuple[Span, ...]
    painted: dict[int, Path]
    result: Result | None
    output: Path

    @property
    def number(self) -> int | None:
        """Frames asked for in all; with --keys and nothing else said, the next one."""
        a = self.args
        return 1 if a.number is None and a.per_shot is None and a.until is None else a.number

    def keys_of(self, span: Span) -> list[int]:
        return [n for n in self.painted if span.start <= n < span.end]


def main(argv: Sequence[str] | None = None) -> int:
    """The deed. Returns the exit code: 0, 2 for bad input, 130 where Ctrl-C stopped it."""
    args = arguments().parse_args(argv)
    out = sys.stderr if args.json else sys.stdout
    try:
        job = job_of(args, out)
        make_folder(job.output / BESIDE / WORK)
        shots = shots_of(job, out)
        told = suggest(job, shots, out)
    except ShowError as e:
        print(e, file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print("\nstopped; the shots that were looked at are kept: the same command goes on from there", file=sys.stderr)
        return STOPPED
    if args.json:
        print(json.dumps(told, indent=1))
    return DONE


def job_of(args: argparse.Namespace, out: TextIO) -> Job:
    """Everything checked and read that costs little. Raises ShowError."""
    if found := option_problems(args):
        raise ShowError(found)
    footage = footage_at(args.film, args.rate)
    first, last = range_of(args, footage)
    output, film_sha256 = Path(os.path.abspath(args.output)), footage.sha256()
    check_film(output, film_sha256, args.output)
    painted = {} if args.keys is None else painted_in(args.keys, footage, out)
    inside = {n: p for n, p in painted.items() if first <= n < last}
    if len(inside) < len(painted):
        print(f"{args.keys}: {len(painted) - len(inside)} keys lie outside --start and --end and are left out", file=out)
    result = None if args.result is None else result_at(args.result, footage, first, last)
    cuts = cuts_of(args.cuts, footage, first, last, out)
    return Job(args, footage, film_sha256, first, last, cuts, tuple(spans_of(cuts, first, last)), inside, result, output)


def written_in(output: Path) -> tuple[dict[str, str], Mapping[str, Any]]:
    """(hashes by name of the frames that an earlier run has written, its whole record), of a folder; empty where there is no
    record that can be read."""
    try:
        record = json.loads((output / BESIDE / RECORD).read_text(encoding="utf-8"))
        return {str(name): str(sha256) for name, sha256 in record["written"].items()}, record
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}, {}


def check_film(output: Path, film_sha256: str, shown: Path) -> None:
    """Raises ShowError where the frames in OUT are of another film: they would pass for this one's. shown: OUT as the person
    wrote it."""
    written, record = written_in(output)
    if record.get("film_sha256") != film_sha256 and any((output / name).exists() for name in written):
        given = f"holds frames that were suggested of another film ({record.get('film', 'unknown')})"
        raise ShowError(Problem(str(shown), given, "a folder of this film's frames, or a new one", "another -o"))


def painted_in(folder: Path, footage: Footage, out: TextIO) -> dict[int, Path]:
    """The painted frames of a folder by film frame; those that still show the film itself do not count. Raises ShowError."""
    found = frames_in(folder, footage, "--keys")
    blank = []
    none = np.zeros((1, 1, 3), np.uint8)  # white paper is under what is transparent, and never the film
    for number, item in footage.read(list(found)):
        frame = whole(item, footage.turns, False)
        if is_unpainted(read_key(found[number], footage.size, "white", lambda: none)[0], frame):
            blank.append(number)
    if blank:
        print(f"{counted([found[n] for n in blank], 'key')} not painted yet: left out", file=out)
    return {n: p for n, p in found.items() if n not in blank}


def shots_of(job: Job, out: TextIO) -> list[Ordered]:
    """The keys of every shot, in order of painting. Raises ShowError."""
    most = max(KEPT_KEYS, job.number or job.args.per_shot or 0)
    progress = Progress(job.last - job.first, "frames followed", out)
    shots, done = [], 0
    for span in job.spans:
        painted = job.keys_of(span)
        place = job.output / BESIDE / WORK / f"shot_{span.shot:04d}_{span.start:06d}.npz"
        digest = shot_digest(job.film_sha256, span, painted)
        shot = kept(place, digest, most) if job.result is None else None
        if shot is None:
            motion = read_shot(job.footage, span, lambda n, done=done: progress.at(done + n))  # type: ignore[misc]
            shot = ordered(motion, span, painted, job.result, most)
            if job.result is None:
                keep(place, digest, most, shot)
        shots.append(shot)
        done += span.frames
    told = number_of(len({s.shot for s in job.spans}), "shot")
    progress.done(f"{job.footage.path.name}: {number_of(job.last - job.first, 'frame')} in {told} followed")
    return shots


def number_of(count: int, what: str) -> str:
    """'1 frame', '2 frames'."""
    return f"{count} {what}{'s' * (count != 1)}"


def suggest(job: Job, shots: Sequence[Ordered], out: TextIO) -> dict[str, Any]:
    """Chooses, writes everything, says it, and returns what --json prints. Raises ShowError."""
    steps, shots = planned(shots, job.number, job.args.per_shot, until_of(job.args.until))
    before = error_of(shots, [0] * len(shots))
    even = even_error(shots, len(steps)) if not job.painted and steps else None
    names = {s.frame: name_of(job.footage, s.frame) for s in steps}
    without = sorted({s.shot for s in shots if not s.painted} - {s.shot for s in steps})
    hashes = write_keys(job, steps, names, out)
    write_beside(job, shots, steps, before, even, names)
    told = told_of(job, steps, before, even, names, without)
    options = {k: v.name if isinstance(v, Path) else v for k, v in vars(job.args).items()}
    record = {**told, "options": options, "film_sha256": job.film_sha256, "rate": str(job.footage.rate), "written": hashes,
              "keys_given": {p.name: sha256_of(p) for p in job.painted.values()},
              "versions": {name: version_of(name) for name in PACKAGES}}  # fmt: skip
    text = json.dumps(record, indent=1) + "\n"
    write_whole(job.output / BESIDE / RECORD, lambda part: part.write_text(text, encoding="utf-8"))
    say(job, steps, before, even, names, without, out)
    return told


def told_of(job: Job, steps: Sequence[Step], before: float, even: float | None, names: dict[int, str],
            without: Sequence[int]) -> dict[str, Any]:  # fmt: skip
    """The suggestion for a program."""
    keys = [{"order": s.order, "frame": s.frame, "shot": s.shot, "gain": s.gain, "error": s.error, "file": names[s.frame],
             "timecode": format_timecode(s.frame, job.footage.rate)} for s in steps]  # fmt: skip
    return {"tool": "cineml keyframes suggest", "film": job.footage.path.name, "range": [job.first, job.last],
            "shots": len({s.shot for s in job.spans}), "painted": sorted(job.painted), "keys": keys, "error_before": before,
            "error": steps[-1].error if steps else before, "error_even": even, "shots_without": list(without)}  # fmt: skip


def write_keys(job: Job, steps: Sequence[Step], names: dict[int, str], out: TextIO) -> dict[str, str]:
    """The frames to paint, lossless in full size; those that are there stay. Returns the hashes of what was written, this time
    or before, by name. Raises ShowError."""
    written, record = written_in(job.output)
    if record.get("film_sha256") != job.film_sha256:
        written = {}  # of another film, and no longer there
    if stale := sorted(name for name in set(written) - set(names.values()) if (job.output / name).exists()):
        given = ", ".join(stale[:6]) + (f" and {len(stale) - 6} more" if len(stale) > 6 else "")
        print(f"{given}: suggested before, not now, and left there; what is not painted should not go to propagate", file=out)
    if job.args.no_frames:
        return written
    there = [n for n, name in names.items() if (job.output / name).exists()]
    if there:
        print(f"{len(there)} of the frames are in {job.args.output} already and stay as they are", file=out)
    for number, item in job.footage.read(sorted(set(names) - set(there))):
        path = job.output / names[number]
        write_frame(item, job.footage, False, job.args.depth == "16", path)
        written[path.name] = sha256_of(path)
    return written


def write_beside(job: Job, shots: Sequence[Ordered], steps: Sequence[Step], before: float, even: float | None,
                 names: dict[int, str]) -> None:  # fmt: skip
    """Sheet, curve and table. Raises ShowError."""
    pictures = dict(small_pictures(job.footage, sorted(names), PICTURE_PX))
    keys = [sum(s.frame in shot.frames for s in steps) for shot in shots]
    frames = np.concatenate([np.array(s.seen, np.float64) for s in shots])
    errors = (np.concatenate([s.by_frame[0] for s in shots]).astype(np.float64),
              np.concatenate([s.by_frame[k] for s, k in zip(shots, keys, strict=True)]).astype(np.float64))  # fmt: skip
    rate = job.footage.rate
    files = {"curve.csv": curve_csv(steps, before, rate, names).encode(),
             "curve.png": curve_png(steps, before, even, frames, errors, [s.start for s in job.spans[1:]])}  # fmt: skip
    if steps:
        files["sheet.png"] = keys_sheet(steps, pictures, rate, names)
    for name, data in files.items():
        write_whole(job.output / BESIDE / name, lambda part, data=data: part.write_bytes(data))  # type: ignore[misc]


def say(job: Job, steps: Sequence[Step], before: float, even: float | None, names: dict[int, str], without: Sequence[int],
        out: TextIO) -> None:  # fmt: skip
    """The suggestion for a person."""
    if not steps:
        print("nothing more to paint: flow explains all that there is from these keys", file=out)
        return
    for s in steps[:MOST_LINES]:
        at = format_timecode(s.frame, job.footage.rate)
        print(f"  {s.order:3d}  {names[s.frame]}  {at}  shot {s.shot}: {100 * s.error:.1f} % left to guess", file=out)
    if len(steps) > MOST_LINES:
        print(f"  and {len(steps) - MOST_LINES} more: {job.args.output / BESIDE / 'sheet.png'}", file=out)
    asked = job.number or 0
    if asked > len(steps):
        print(f"{number_of(len(steps), 'frame')} and not {asked}: no other frame would explain anything more", file=out)
    if without:
        print(f"{shots_named(without)}: no frame to paint, as there are fewer than shots; propagate will ask for one, or "
              " leave the shot as it is with --allow-missing", file=out)  # fmt: skip
    told = f"{job.args.output}: {number_of(len(steps), 'frame')} to paint, "
    told += f"{100 * steps[-1].error:.1f} % of a frame left to guess, "
    told += f"{100 * before:.1f} % before" if job.painted else "on average"
    told += f" (as many at equal distances: {100 * even:.1f} %)" if even is not None else ""
    print(told, file=out)


if __name__ == "__main__":
    sys.exit(main())
