"""Makes the shots: each in a process of its own where several run at once, told by events what comes of it."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from player.show.problem import Problem, ShowError
from tools.film_dataset_png import png
from tools.keyframes_frames import ShotFrames, faded, seen_share
from tools.keyframes_kept import Folder
from tools.keyframes_keys import Named, read_key, read_mask
from tools.keyframes_output import LEVEL, Writer
from tools.keyframes_plan import ShotJob, frame_files
from tools.keyframes_shot import made_frames
from tools.whole_file import make_folder, write_whole

WAIT_S = 0.25
GRACE_S = 5.0


@dataclass(frozen=True)
class Event:
    """What a shot says. kind: step (a synthesis is done), skip (an earlier run had done it), frame (a frame is written),
    done, problem (problems), fault (text)."""

    kind: str
    shot: int
    problems: tuple[Problem, ...] = ()
    text: str = ""


Tell = Callable[[Event], object]


def make_shot(job: ShotJob, tell: Tell) -> None:
    """All frames of a job that are wanted. Raises ShowError; what is written stays, and so does the work on the rest."""
    number, cuts = job.shot.number, job.cuts
    frames = ShotFrames(job.footage, cuts, job.first, job.end)
    files, store = frame_files(job.footage), Folder(job.passes)
    keys, alphas = {}, {}
    try:
        for key in job.keys:
            index = key.frame - job.first
            mix = cuts.mix_at(key.frame)
            picture, alpha = read_key(key.path, job.footage.size, job.alpha, partial(frames.raw, key.frame))
            keys[index] = unfaded_key(picture, mix.fade, mix.fade_colour)
            if alpha is not None:
                alphas[index] = alpha
        masks = Masks(job, job.masks) if job.masks else None
        where = None if job.keep_where is None else Masks(job, job.keep_where)
        seen = [seen_share(cuts, job.shot, f) for f in range(job.first, job.end)]
        writer = Writer(job.folder, job.work, f"s{number:04d}")
        wanted = frozenset(job.wanted)
        for made in made_frames(frames, keys, job.options, masks, key_masks=alphas, wanted=job.span, seen=seen, store=store,
                                tick=lambda _, new: tell(Event("step" if new else "skip", number)),
                                keep_where=where):  # fmt: skip
            frame = job.first + made.frame
            if frame not in wanted:
                continue
            if frame in job.mixed:
                data, half = png(made.picture, LEVEL), job.half(frame)
                make_folder(half.parent)
                write_whole(half, lambda part, data=data: part.write_bytes(data))  # type: ignore[misc]
            else:
                mix = cuts.mix_at(frame)
                picture = faded(made.picture, mix.fade, mix.fade_colour)
                told = " ".join(str(job.first + k) for k in made.keys)
                writer.put(frame, files[frame], picture, number, told, made.error, job.code)
            tell(Event("frame", number))
        store.clear()
    finally:
        frames.close()


def unfaded_key(picture: Any, share: float, colour: str) -> Any:
    """A key that was painted over a frame in a fade, as it would be without; where hardly anything is left of the picture, as
    it is."""
    from player.sources.fades import LEAST_FADE, unfaded

    return unfaded(picture, share, colour) if share >= LEAST_FADE else picture


class Masks(Sequence[Any]):
    """The masks of a shot's frames by index, None where a frame has none; read when they are asked for."""

    def __init__(self, job: ShotJob, masks: Sequence[Named]):
        self._paths: dict[int, Path] = {m.frame - job.first: m.path for m in masks}
        self._size, self._count = job.footage.size, job.end - job.first

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: Any) -> Any:
        path = self._paths.get(index)
        return None if path is None else read_mask(path, self._size)


def make_shots(jobs: Sequence[ShotJob], at_once: int, tell: Tell) -> None:
    """Every shot, `at_once` of them at a time. Raises ShowError with the problems of all shots that failed; the others are
    made. Lets Ctrl-C through, after the shots have been stopped."""
    if at_once == 1 or len(jobs) == 1:
        problems: list[Problem] = []
        for job in jobs:
            try:
                make_shot(job, tell)
            except ShowError as e:
                problems += e.problems
        if problems:
            raise ShowError(dict.fromkeys(problems))
        return
    _Processes(jobs, at_once, tell).run()


def _work(tasks: Any, events: Any) -> None:
    """A process: shots until there are none left."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the one who started us ends us
    threading.Thread(target=_end_with, args=(multiprocessing.parent_process(),), daemon=True).start()
    while (job := tasks.get()) is not None:
        number = job.shot.number
        try:
            make_shot(job, events.put)
            events.put(Event("done", number))
        except ShowError as e:
            events.put(Event("problem", number, e.problems))
        except Exception:  # a fault of ours: its text reaches the terminal, and the other shots go on
            events.put(Event("fault", number, text=traceback.format_exc()))


def _end_with(parent: Any) -> None:
    """Ends this process when the one who started it is gone: a killed one cannot end us, and nobody would hear of our work.
    Whatever is written then is whole, or not there."""
    parent.join()
    os._exit(1)


@contextlib.contextmanager
def _deaf() -> Iterator[None]:
    """Ctrl-C waits until the end of the block. Processes that are started in it never hear it, not even before they can say
    so themselves."""
    heard: list[int] = []
    # Both: what is blocked stays blocked in a process that is started here, and other threads of this one take what this
    # thread does not.
    handler = signal.signal(signal.SIGINT, lambda number, _: heard.append(number))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}) if hasattr(signal, "pthread_sigmask") else None
    try:
        yield
    finally:
        if mask is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, handler)
    if heard:
        raise KeyboardInterrupt


class _Processes:
    """Shots in processes."""

    def __init__(self, jobs: Sequence[ShotJob], at_once: int, tell: Tell):
        # Spawned, not forked: numba's threads and FFmpeg's do not survive a fork.
        context = multiprocessing.get_context("spawn")
        self.tell = tell
        self.tasks: Any = context.Queue()
        self.events: Any = context.Queue()
        self.left = {job.shot.number for job in jobs}
        self.problems: list[Problem] = []
        # The longest first: at the end no process waits for one that has only begun.
        for job in sorted(jobs, key=lambda j: -len(j.wanted)):
            self.tasks.put(job)
        for _ in range(at_once):
            self.tasks.put(None)
        self.processes = [context.Process(target=_work, args=(self.tasks, self.events), daemon=True) for _ in range(at_once)]

    def run(self) -> None:
        try:
            with _deaf():
                for p in self.processes:
                    p.start()
            while self.left:
                self.hear()
        finally:
            for p in self.processes:
                if self.left and p.pid is not None:
                    p.terminate()
            self.tasks.cancel_join_thread()  # shots that nobody will take must not keep this process from ending
            for p in self.processes:
                if p.pid is not None:
                    p.join(GRACE_S)
        if self.problems:
            raise ShowError(dict.fromkeys(self.problems))

    def hear(self) -> None:
        """One event, or that nobody lives to send any."""
        try:
            event: Event = self.events.get(timeout=WAIT_S)
        except queue.Empty:
            # One that was killed (the system's memory ran out, as a rule) has taken a shot with it: which, nobody knows, so
            # the rest is stopped when the others are idle.
            dead = [p for p in self.processes if p.exitcode not in (None, 0)]
            if dead and all(p.exitcode is not None for p in self.processes):
                shots = ", ".join(map(str, sorted(self.left)))
                given = f"a process was killed (exit code {dead[0].exitcode}) while it worked on shots {shots}"
                self.problems.append(Problem("keyframes propagate", given, "", "fewer --jobs: its memory may have run out"))
                self.left.clear()
            return
        if event.kind in ("done", "problem", "fault"):
            self.left.discard(event.shot)
        if event.kind == "problem":
            self.problems += event.problems
        elif event.kind == "fault":
            print(event.text, file=sys.stderr)
            self.problems.append(Problem(f"shot {event.shot}", "failed by a fault of the program, see above"))
        else:
            self.tell(event)
