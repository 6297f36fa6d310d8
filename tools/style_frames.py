"""The frames of a film, one after the other, by whatever hand paints them: shot by shot, without fades, kept as they are done.

A frame may need what the hand has made of earlier frames of its shot. That is kept beside the frames, so that a run which was
stopped goes on with the same pictures; where it is missing, the shot is gone through again from its beginning.
"""

from __future__ import annotations

import contextlib
import re
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from player.progress import Progress
from player.show.problem import ShowError
from tools.cuts_text import counted
from tools.film_dataset_png import png
from tools.keyframes_film import size_note, sound_of, write_film
from tools.keyframes_frames import ShotFrames, faded
from tools.keyframes_kept import Folder
from tools.keyframes_output import Place, Writer, kept_notes, rows_there, verified, write_table
from tools.paint_choice import Part
from tools.style_output import FilmJob, Pixels, Plan, Seen, plan_of, read_record, write_record
from tools.whole_file import make_folder, sha256_of, write_whole

HUNDREDTHS_UP_TO = 24  # frames: fewer are counted in tenths, so that progress is seen within one
SEEN_EVERY_S = 2.0
# What a shot leaves on the way, by the names that it gives: nothing else there is ours to remove.
SHOT, KEPT = re.compile(r"s[0-9]{4,}-[0-9a-f]{12}"), re.compile(r"f[0-9]{6,}\.npz(?:\.part)?")


@dataclass(frozen=True)
class Done:
    """A frame that is done. frame: the film's, uint8 [H, W, 3] without fades. picture: what the hand made of it. arrays: what
    later frames need, by name. error: how badly the painting fits, for frames.csv."""

    frame: Pixels
    picture: Pixels
    arrays: Mapping[str, NDArray[Any]]
    error: float = 0.0


class Hand(Protocol):
    """What paints frames."""

    @property
    def back(self) -> tuple[int, ...]:
        """How many frames back it looks, each 1 or more; () for none."""

    def paint(self, number: int, frame: Pixels, before: Mapping[int, Done], told: Callable[[float], None],
              seen: Seen) -> Done:  # fmt: skip
        """Film frame `number`, uint8 [H, W, 3]. before: the earlier frames of the shot, as many as there are, by how many
        frames they are back. told: to be called with the share done. seen: with what can be seen of the frame so far."""


class Preview:
    """A PNG that shows how far a run has come, beside what it is made from."""

    def __init__(self, path: Path) -> None:
        self.path, self._written_s = path, 0.0

    def show(self, content: Pixels, picture: Pixels, now: bool = False) -> None:
        """Both side by side, or one above the other where that is squarer; at most every few seconds. A preview that cannot be
        written stops nothing."""
        at_s = time.monotonic()
        if not now and at_s - self._written_s < SEEN_EVERY_S:
            return
        self._written_s = at_s
        both = np.concatenate([content, picture], axis=0 if content.shape[1] > 1.4 * content.shape[0] else 1)
        with contextlib.suppress(ShowError):
            write_whole(self.path, lambda part: part.write_bytes(png(np.ascontiguousarray(both))))

    def clear(self) -> None:
        """The result is there."""
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)


def paint_frames(job: FilmJob, hand: Hand) -> Plan:
    """Everything that is asked for and not there: frames, record, table, and the film where one is asked for.
    Raises ShowError."""
    plan = plan_of(job)
    begin(job, plan)
    parts = [(part, [f for f in plan.todo if part.start <= f < part.end]) for part in job.parts]
    fine = 100 if len(plan.todo) <= HUNDREDTHS_UP_TO else 1
    progress = Progress(fine * len(plan.todo), "frames", sys.stdout, fine)
    preview = Preview(job.place.work / "preview.png")
    if plan.todo:
        width, height = job.footage.size
        shots = sum(bool(frames) for _, frames in parts)
        print(f"{job.footage.path.name}: {counted(len(plan.todo), 'frame')} of {width}x{height} in "
              f"{counted(shots, 'shot')}; {preview.path} shows the newest", flush=True)  # fmt: skip
    done = 0
    for part, todo in parts:
        if todo:
            _Shot(job, plan, part, hand, preview).paint(
                todo, lambda count, share, done=done: progress.at(int(fine * (done + count + share))))  # type: ignore[misc]
            done += len(todo)
    finish(job, plan)
    progress.done(f"{job.place.output}: {counted(len(job.frames), 'frame')}, {len(plan.todo)} of them made now,")
    preview.clear()
    clear(job.place)
    return plan


class _Shot:
    """One shot at work."""

    def __init__(self, job: FilmJob, plan: Plan, part: Part, hand: Hand, preview: Preview) -> None:
        self.job, self.plan, self.part, self.hand, self.preview = job, plan, part, hand, preview
        self.code = job.code(part)
        self.kept = Folder(job.place.work / f"s{part.shot:04d}-{self.code}")
        self.writer = Writer(job.place.folder, job.place.work, "main")
        self.reach = max(hand.back, default=0)
        self.frames = ShotFrames(job.footage, job.cuts, part.start, part.end)
        self.held: dict[int, Done] = {}

    def paint(self, todo: list[int], heard: Callable[[int, float], object]) -> None:
        """Those frames of the shot, in order. heard: called with the number of them that are done and the share of the next."""
        wanted, count = set(todo), 0
        try:
            for number in range(self.first(todo[0]), todo[-1] + 1):
                frame = self.frames[number - self.part.start]

                def told(share: float, count: int = count, counts: bool = number in wanted) -> None:
                    heard(count, share if counts else 0.0)

                before = {back: self.held[number - back] for back in self.hand.back if number - back in self.held}
                done = self.hand.paint(number, frame, before, told, lambda p, frame=frame: self.preview.show(frame, p))  # type: ignore[misc]
                self.keep(number, done)
                if number in wanted:
                    self.write(number, done)
                    count += 1
                    heard(count, 0.0)
                self.drop(number - self.reach)
        finally:
            self.frames.close()

    def first(self, wanted: int) -> int:
        """Where to begin: at the frame that is wanted, where all that it needs was kept; else at the shot's beginning."""
        needed = [n for n in range(wanted - self.reach, wanted) if n >= self.part.start]
        found = {n: self.kept.get(f"f{n:06d}") for n in needed}
        if any(arrays is None for arrays in found.values()):
            return self.part.start
        for n, arrays in found.items():
            assert arrays is not None
            self.held[n] = Done(self.frames[n - self.part.start], np.zeros((0, 0, 3), np.uint8), arrays)
        return wanted

    def keep(self, number: int, done: Done) -> None:
        """What the frames after it need, in memory and beside the frames."""
        if not self.reach:
            return
        self.kept.put(f"f{number:06d}", done.arrays)
        self.held[number] = replace(done, picture=np.zeros((0, 0, 3), np.uint8))

    def drop(self, number: int) -> None:
        """No later frame looks at it. After the frame that did is written: a run that is killed between must find it."""
        if self.held.pop(number, None) is not None:
            self.kept.drop(f"f{number:06d}")

    def write(self, number: int, done: Done) -> None:
        """The frame, with its fade, and what is seen of it."""
        mix = self.job.cuts.mix_at(number)
        picture = faded(done.picture, mix.fade, mix.fade_colour)
        self.writer.put(number, self.plan.files[number], picture, self.part.shot, "", done.error, self.code)
        self.preview.show(done.frame, done.picture)


def begin(job: FilmJob, plan: Plan) -> None:
    """The folders and the record, before the first frame. Raises ShowError."""
    for folder in (job.place.folder, job.place.work):
        make_folder(folder)
    write_record(job.place, plan.record)
    for line in kept_notes(plan.files, plan.theirs, len(job.frames), len(plan.todo)):
        print(line, flush=True)


def finish(job: FilmJob, plan: Plan) -> None:
    """The table, and the film. Raises ShowError."""
    place = job.place
    write_table(place, verified(place, job.frames, plan.files).values())
    if not place.film or (not plan.todo and place.output.is_file() and not job.args.again and not plan.theirs
                          and read_record(place, job.tool).get("film_range") == [job.first, job.end]):  # fmt: skip
        return
    sound, why = (None, "") if job.args.no_sound else sound_of(job.footage, job.args.sound)
    for note in filter(None, (why, size_note(job.footage))):
        print(note, flush=True)
    progress = Progress(len(job.frames), "frames of the film", sys.stdout)
    write_film(place.output, job.footage, place.folder, plan.files, job.frames, job.args.quality, sound, None, progress.at)
    write_record(place, {**plan.record, "film_sha256": sha256_of(place.output), "film_range": [job.first, job.end]})
    print(f"{place.folder} keeps the frames; delete {place.work} when the film is done", flush=True)


def clear(place: Place) -> None:
    """Removes what was only needed on the way; nothing else that lies there."""
    for folder in place.work.glob("s*-*"):
        if SHOT.fullmatch(folder.name):
            for path in folder.glob("f*.npz*"):
                if KEPT.fullmatch(path.name):
                    path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                folder.rmdir()
    with contextlib.suppress(OSError):
        place.work.rmdir()


def stopped_words(place: Place) -> str:
    """What a stopped run says."""
    count = len(rows_there(place))
    stay = "is there and stays" if count == 1 else "are there and stay"
    return f"stopped; {counted(count, 'frame')} {stay}: the same command goes on"
