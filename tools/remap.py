"""`cineml remap --film F --cuts C --model M -o score.toml`: a walk for every shot of a film, and the score that plays them.

Each finished shot is kept in a work folder beside the score (score.work/s03.npz), so that a run that was stopped goes on;
shots that the score locks are left as they are, and what a person has set in the score (look, entry, pin ...) is kept.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import math
import platform
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from player.show.cut_list import Shot, read_csv
from player.show.problem import ShowError
from player.show.score import Score
from player.show.walk import Walk
from tools.new_show import same_cuts, version
from tools.new_walks import MADE_BY as FREE
from tools.remap_asked import asked, remembered
from tools.remap_dissolve import fit_dissolve
from tools.remap_fit import Fitted, fit, measure
from tools.remap_generator import source_at
from tools.remap_job import Job, Remap, file_sha, read_anchors, read_job
from tools.remap_keys import BANNED, Wishes, banned_walk, named_walk
from tools.remap_measure import ShotMeasure, summary_of
from tools.remap_model import WEIGHTS
from tools.remap_options import arguments, option_problems
from tools.remap_reduce import reduced
from tools.remap_report import write_page, write_report
from tools.remap_score import score_of, walk_name
from tools.remap_start import Starts
from tools.remap_swap import KEY, with_swaps
from tools.remap_target import reduced_target, target_of, walk_frames
from tools.score_comments import rewrite_score
from tools.whole_file import write_whole

STOPPED = 130
POLISH = 1.0  # passes at full size after a fit at a reduced one
MADE_BY, PARTLY = "cineml remap", "cineml remap: some shots are free walks still"
__all__ = ["STOPPED", "Job", "Remap", "fit_shots", "join_dissolves", "main", "read_anchors", "read_job", "run", "source_at"]


class _Progress:
    """One line that says which shot, how far, and how long still: on a terminal in place, elsewhere now and then."""

    def __init__(self, total: int):
        self.total, self.done, self.began = max(1, total), 0, time.monotonic()
        self._terminal = sys.stderr.isatty()
        self._told = self.began

    def tell(self, text: str, share: float = 0.0, frames: int = 0) -> None:
        now = time.monotonic()
        if now - self._told < (0.25 if self._terminal else 10.0):
            return
        self._told = now
        done = self.done + share * frames
        left = "" if done < 1 else f"  {(now - self.began) / done * (self.total - done) / 60:.1f} min left"
        line = f"{text:<46} {100 * done / self.total:3.0f} %{left}"
        print(f"\r{line}   " if self._terminal else line, end="" if self._terminal else "\n", file=sys.stderr, flush=True)

    def line(self, text: str) -> None:
        print(f"\r{text:<78}" if self._terminal else text, file=sys.stderr, flush=True)


def _fit_one(job: Job, shot: Shot, starts: Starts, kept: Fitted | None, seconds: float, tries: int,
             tell: Callable[[int, int], None] | None) -> Fitted:  # fmt: skip
    """One shot, from what was kept of it or from its start; at a reduced size first where that was asked for. tries: how often
    it was done before."""
    generator, size = job.source.generator, job.remap.size
    target = target_of(job.cuts, shot, job.film, job.inner)
    first_keys, first = starts.of(target)
    keys, start = (kept.frames, kept.keys) if kept is not None else (first_keys, first)
    options = job.options(shot, seconds, tries)
    rows = start.shape[1] if start.ndim == 3 else 1
    small = generator if options.plus or rows > 1 or not size else reduced(generator, size)
    before, _ = measure(generator, target, first if first.ndim == 3 else first[:, None], first_keys)
    fine, steps = options, 0
    if small is generator:
        result = fit(generator, target, start, keys, options, tell)
    else:
        coarse = dataclasses.replace(options, seconds=0.7 * seconds)
        rough = fit(small, reduced_target(target, size), start, keys, coarse, tell)
        if not rough.finished:
            return rough
        fewer = options.steps and max(1, options.steps // 4)
        fine = dataclasses.replace(options, steps=fewer, passes=POLISH, seconds=0.3 * seconds, rate=0.4 * options.rate)
        result, steps = fit(generator, target, rough.keys, keys, fine, None), rough.steps
    if result.finished and not result.error <= before:  # reduced, or when it was stopped, it was nearer than it is
        result = fit(generator, target, first, first_keys, fine, None)
    return dataclasses.replace(result, error_before=before, steps=steps + result.steps)


def fit_shots(job: Job, work: Sequence[Shot], quiet: bool) -> tuple[dict[int, Fitted], set[int], bool]:
    """Every shot of `work` fitted or taken from what was kept: (by number, those fitted just now, came to its end)."""
    remap = job.remap
    remaining = sum(s.frames for s in work)
    progress, deadline = _Progress(remaining), time.monotonic() + remap.minutes * 60
    starts = Starts(job, tell=None if quiet else lambda what, share: progress.tell(f"{what} {100 * share:.0f} %"))
    fitted: dict[int, Fitted] = {}
    fresh: set[int] = set()
    for shot in work:
        fingerprint = job.fingerprint(shot)
        kept, tries = job.parts.of(fingerprint), max(0, job.parts.tries(fingerprint))
        if remap.again and kept is not None:
            kept, tries = None, tries + 1  # a second try that is the first over again would be none
        if kept is not None and kept.finished:
            fitted[shot.number] = kept
        else:
            starts.ready(deadline)
            share = max(1.0, (deadline - time.monotonic()) * shot.frames / max(1, remaining))

            def tell(done: int, steps: int, shot: Shot = shot) -> None:
                text = f"shot {shot.number} of {len(job.cuts.shots)}: step {done} of {steps}"
                progress.tell(text, done / steps, shot.frames)

            result = _fit_one(job, shot, starts, kept, share, tries, None if quiet else tell)
            if not quiet:
                progress.line(
                    f"shot {shot.number:2d}  {shot.frames:4d} frames  {len(result.frames):3d} keys  {result.steps:3d} steps  "
                    f"difference {result.error_before:.3f} -> {result.error:.3f}  motion {result.motion:.2f}"
                )
            job.parts.keep(shot, fingerprint, result, tries)
            fitted[shot.number] = result
            fresh.add(shot.number)
            if not result.finished:
                return fitted, fresh, False
        progress.done += shot.frames
        remaining -= shot.frames
    return fitted, fresh, True


def _neighbour(job: Job, shot: Shot) -> Fitted | None:
    """The walk of a shot that is not done now, as it plays in the score: what a dissolve is joined with. None where it plays
    none, or one that was never made for this film: a free walk of `cineml new`."""
    row = job.old.by_number(shot.number) if job.old is not None else None
    if job.old is None or row is None or job.other_model or "generator" not in row.sources:
        return None
    walk = job.old.walks.get(row.walk)
    if walk is None or job.swaps.get(shot.number, "") != row.extra.get(KEY, ""):
        return None
    if job.old.extra.get("made_by") in (FREE, PARTLY) and job.parts.of(job.fingerprint(shot)) is None:
        return None
    if walk.keys.shape[1:] not in {(n, job.source.generator.config.w_dim) for n in (1, job.source.generator.num_ws)}:
        return None
    frames = walk_frames(job.cuts, shot)
    if walk.frames[0] > frames[0] or walk.frames[-1] < frames[-1]:
        return None  # of another cut list
    nan = float("nan")
    return Fitted(walk.keys, walk.frames, nan, nan, nan, 0, True)


def join_dissolves(job: Job, fitted: dict[int, Fitted], fresh: set[int]) -> None:
    """Fit the two walks of each dissolve to their mixture, where one of them is new or it was never done. A shot that is not
    done now stays as it is: the other side is fitted to it."""
    for shot in job.cuts.shots[1:]:
        pair = job.cuts.shots[shot.number - 2], shot
        done = [s.number in fitted for s in pair]
        if shot.into != "dissolve" or not any(done):
            continue
        joined = (not done[0] or fitted[pair[0].number].joined_after) and (not done[1] or fitted[shot.number].joined)
        if joined and not fresh & {s.number for s in pair}:
            continue
        before, after = (fitted[s.number] if there else _neighbour(job, s) for s, there in zip(pair, done, strict=True))
        if before is None or after is None:
            continue
        held = [tuple(job.wishes.get(s.number, Wishes()).pinned) if there else tuple(map(int, walk.frames))
                for s, there, walk in zip(pair, done, (before, after), strict=True)]  # fmt: skip
        tries = max(job.parts.tries(job.fingerprint(s)) for s, there in zip(pair, done, strict=True) if there)
        options = job.options(shot, tries=max(0, tries))
        both = fit_dissolve(job.source.generator, job.cuts, shot, job.film, job.inner, before, after, options, held)
        for one, there, result in zip(pair, done, both, strict=True):
            if there:
                fitted[one.number] = result
                fingerprint = job.fingerprint(one)
                job.parts.keep(one, fingerprint, result, max(0, job.parts.tries(fingerprint)))


def new_score(job: Job, fitted: dict[int, Fitted], wishes: dict[int, Wishes], sha256: str) -> Score:
    """The score: new walks with their keys' names, what was banned remembered, swaps done, all else as a person had it."""
    walks = {n: named_walk(walk_name(job.cuts.shots[n - 1]), f.keys, f.frames, wishes.get(n, Wishes()))
             for n, f in fitted.items()}  # fmt: skip
    same = job.old is not None and not job.other_model
    score = score_of(job.cuts, walks, job.old, sha256, same)
    whole = {s.number for s in job.cuts.shots} <= set(fitted) | {s.number for s in job.old.shots if s.lock} if job.old else True
    free = job.old is not None and job.old.extra.get("made_by") in (FREE, PARTLY) and not whole
    told = {"made_by": PARTLY if free else MADE_BY, "made_with": f"cineml {version()}", "film_sha256": job.film_sha256,
            WEIGHTS: job.source.weights_sha256}  # fmt: skip
    extra = {k: v for k, v in score.extra.items() if k not in told}  # what is not known now must not be another model's
    score = dataclasses.replace(score, extra=extra | {k: v for k, v in told.items() if v})
    banning = {s.number for s in score.shots if s.ban}
    remembering = {walk_name(s) + BANNED for s in job.cuts.shots if s.number in banning}
    all_walks = {n: w for n, w in score.walks.items() if not n.endswith(BANNED) or n in remembering}
    for number, wish in job.wishes.items():
        remembered = banned_walk(walk_name(job.cuts.shots[number - 1]), wish.banned)
        if remembered is not None:
            all_walks[remembered.name] = remembered
    taken_back = {n for n, walk in job.remap.swaps.items() if not walk}
    shots = tuple(dataclasses.replace(s, extra={k: v for k, v in s.extra.items() if k != KEY}) if s.number in taken_back else s
                  for s in score.shots)  # fmt: skip
    return with_swaps(dataclasses.replace(score, shots=shots, walks=all_walks), job.cuts, job.swaps, job.remap.output.parent)


def run(remap: Remap, quiet: bool = False) -> tuple[dict[int, Fitted], bool]:
    """Fit, write score and report. Returns what was fitted by shot number, and whether it came to its end.

    Raises ShowError for bad input.
    """
    new_folder = bool(remap.output.name) and not remap.work_folder.exists()
    began = time.monotonic()
    try:
        job = read_job(remap)
    except (ShowError, KeyboardInterrupt):
        if new_folder:
            with contextlib.suppress(OSError):
                remap.work_folder.rmdir()
        raise
    _note_options(job)
    work, wishes = job.work(), dict(job.wishes)
    for note in () if quiet else job.notes():
        print(note, file=sys.stderr)
    if remap.from_set is not None:
        from tools.remap_choose import choose  # which reads what this module gives to others

        fitted, wishes = choose(job, work, quiet)
        finished = True
    else:
        fitted, fresh, finished = fit_shots(job, work, quiet)
        if finished:
            join_dissolves(job, fitted, fresh)
    if not finished and job.other_model:
        return fitted, False  # the score stays one model's: nothing of it was this one's
    sha256 = job.played_sha256 or (job.old.generator_sha256 if job.old is not None and not job.other_model else "")
    score = new_score(job, fitted, wishes, sha256)
    rewrite_score(score, remap.output)
    played = {s.number: score.walks[s.walk] for s in score.shots if s.walk in score.walks}
    minutes = (time.monotonic() - began) / 60
    measures = _measured(job, played, quiet) if remap.measured and finished and played else []
    write_report(remap.report, job.source.generator, job.cuts, played, job.film, job.inner, measures)
    if remap.measured:
        made = "chosen from a set" if remap.from_set is not None else f"fitted, started from {job.start}"
        hashes = f"model {job.source.weights_sha256[:12]}, film {job.film_sha256[:12]}"
        shots = "1 shot" if len(fitted) == 1 else f"{len(fitted)} shots"
        lines = [f"{shots} {made}, {minutes:.1f} min; {hashes}"]
        write_page(remap.page, job.source.generator, job.cuts, played, job.film, job.inner, measures,
                   f"Remap of {remap.film.name}", lines)  # fmt: skip
    _record(job, fitted, measures, minutes, finished)
    return fitted, finished


def _measured(job: Job, played: dict[int, Walk], quiet: bool) -> list[ShotMeasure]:
    """The measures of every shot that has a walk."""
    from tools.remap_judge import judged, ruler_of

    x, y, w, h = job.inner
    folder = job.remap.work_folder
    ruler = ruler_of(job.source.generator, job.cuts, job.film, (x, y, w, h), folder, out=None if quiet else sys.stderr)
    progress = _Progress(len(played))

    def tell(done: int, total: int) -> None:
        progress.done = done
        progress.tell(f"measured {done} of {total} shots")

    told = f"{job.source.weights_sha256} {job.film_sha256}"
    found = judged(ruler, job.source.generator, played, folder, told, None if quiet else tell)
    if not quiet:
        s = summary_of(found)
        cut = "" if s.cut is None else f", cuts {s.cut:.2f} sharp"
        progress.line(f"likeness {s.likeness:.2f}, {round(s.identified * s.shots)} of {s.shots} shots identified, motion ratio "
                      f"{s.motion:.2f}, motion correlation {s.correlation:.2f}{cut}, off {s.off:.2f}")  # fmt: skip
    return found


def _options(remap: Remap) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for f in dataclasses.fields(remap):
        value = getattr(remap, f.name)
        value = str(value.resolve()) if isinstance(value, Path) else value
        options[f.name] = None if isinstance(value, float) and not math.isfinite(value) else value
    return options | {"swaps": {str(k): v for k, v in remap.swaps.items()}, "shots": list(remap.shots)}


def _note_options(job: Job) -> None:
    """The options into the record at once, so that a remap that is killed is remembered by the next. Nothing else of it
    changes: whose walks the score holds is not true of the new model before the score is written."""
    try:
        before = json.loads(job.record.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        before = None
    record = (before if isinstance(before, dict) else {"finished": False}) | {"options": _options(job.remap)}
    text = json.dumps(record, indent=1, default=str) + "\n"
    write_whole(job.record, lambda part: part.write_text(text, encoding="utf-8"))


def _record(job: Job, fitted: dict[int, Fitted], measures: Sequence[ShotMeasure], minutes: float, finished: bool) -> None:
    """Options, input hashes, versions and what was found, beside the score's parts: also what --again reads them from."""
    record = {
        "options": _options(job.remap),
        "inputs": {"film_sha256": job.film_sha256, "cuts_sha256": file_sha(job.remap.cuts),
                   "weights_sha256": job.source.weights_sha256,
                   "synthesis_sha256": job.source.synthesis_sha256,
                   "anchors_sha256": "" if job.codes is None else hashlib.sha256(job.codes.tobytes()).hexdigest()},
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__},
        "start": job.start, "minutes": minutes, "finished": finished,
        "shots": [{"shot": n, "frames": len(f.frames), "steps": f.steps, "error": f.error, "motion": f.motion}
                  for n, f in sorted(fitted.items())],
        "measures": [dataclasses.asdict(m) for m in measures],
        "summary": dataclasses.asdict(summary_of(measures)) if measures else None,
    }  # fmt: skip
    text = json.dumps(record, indent=1, default=str) + "\n"
    write_whole(job.record, lambda part: part.write_text(text, encoding="utf-8"))


def fill_show(remap: Remap) -> str:
    """Name score, generator and cut list in the show that `cineml new` wrote beside the score; what was done, in one line, ''
    where there is no such show. Raises ShowError."""
    from tools.show_file import fill, relative, show_beside

    show = show_beside(remap.output)
    if show is None:
        return ""
    folder = show.parent
    values: dict[tuple[str, str], str | int | float | bool] = {("score", "file"): relative(remap.output, folder)}
    played = remap.model if remap.synthesis is None else remap.synthesis.parent
    if all((played / part).is_file() for part in ("mapping.onnx", "synthesis.onnx")):  # a checkpoint cannot be played
        values |= {("generator", "folder"): relative(played, folder), ("play", "source"): "generator"}
    own = folder / "cuts.csv"  # where `cineml new --cuts` puts a copy
    there = own.is_file() and same_cuts(own, remap.cuts, read_csv(remap.cuts))
    values["film", "cuts"] = own.name if there else relative(remap.cuts, folder)
    fill(show, values)
    return f"{show}: plays the score now ({', '.join(f'{t}.{k}' for t, k in values)})"


def main(argv: Sequence[str] | None = None) -> int:
    """The deed. Returns the exit code: 0, 2 for bad input, 130 when stopped by Ctrl-C."""
    args = remembered(arguments().parse_args(argv))
    remap = None
    try:
        if problems := option_problems(args):
            raise ShowError(problems)
        torch.set_num_threads(args.threads)
        remap = asked(args)
        began = time.monotonic()
        fitted, finished = run(remap)
        filled = fill_show(remap) if finished else ""
    except ShowError as e:
        print(e, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        kept = sum(1 for _ in remap.work_folder.glob("s*.npz")) if remap is not None else 0
        print(f"\nstopped; {kept} shots are kept: the same command goes on from there", file=sys.stderr)
        return STOPPED
    if not finished:
        print(f"\nstopped; {len(fitted)} shots are kept: the same command goes on from here", file=sys.stderr)
        return STOPPED
    error = float(np.mean([f.error for f in fitted.values()])) if fitted else 0.0
    look = remap.page if remap.measured else remap.report
    print(
        f"{remap.output}: {len(fitted)} shots in {(time.monotonic() - began) / 60:.1f} min, mean difference {error:.3f}; "
        f"look at {look}"
    )
    if filled:
        print(filled)
    return 0


if __name__ == "__main__":
    sys.exit(main())
