"""Which frames of a film are painted: suggested ones, named ones, or one in so many; and the film's frames for painting."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np
import numpy.typing as npt

from player.progress import Progress
from player.show.cut_list import CutList
from player.show.problem import Problem, ShowError
from tools.film_dataset_source import Footage
from tools.film_dataset_square import whole
from tools.keyframes_suggest_greedy import planned
from tools.keyframes_suggest_order import keep, kept, ordered, read_shot, shot_digest
from tools.keyframes_suggest_shots import shots_named, spans_of
from tools.paint_options import FRAMES_A_KEY, frame_numbers

Pixels = npt.NDArray[np.uint8]
BACK_FRAMES = 64  # read at once where frames are wanted backwards
MOST_BACK_BYTES = 256 << 20


@dataclass(frozen=True)
class Part:
    """A shot as far as it lies in what is painted: frames [start, end), those of them [clear_start, clear_end) that show it
    alone."""

    shot: int
    start: int
    end: int
    clear_start: int
    clear_end: int


def parts_of(cuts: CutList, first: int, last: int) -> list[Part]:
    """The shots that lie in frames [first, last). Where a dissolve runs on past a shot's end, that is the next shot's."""
    return [Part(s.shot, s.start, s.end, s.clear_start, s.clear_end) for s in spans_of(cuts, first, last, most=last - first)]


def keys_of(args: argparse.Namespace, footage: Footage, parts: Sequence[Part], cuts: CutList, work: Path, film_sha256: str,
            out: TextIO) -> list[int]:  # fmt: skip
    """The frames that are asked for, in order. work: where what was found out about a shot is kept. Raises ShowError."""
    first, last = parts[0].start, parts[-1].end
    if args.keys_at is not None:
        numbers = frame_numbers(args.keys_at)
        if outside := [n for n in numbers if not first <= n < last]:
            more = f" and {len(outside) - 1} more" if len(outside) > 1 else ""
            raise ShowError(Problem("--keys-at", f"frame {outside[0]}{more}", f"frames {first} to {last - 1}"))
        return numbers
    if args.every is not None:
        return sorted({n for p in parts for n in range(p.clear_start, p.clear_end, args.every)})
    wanted = args.keys
    if wanted is None:
        wanted = max(len(parts), round((last - first) / FRAMES_A_KEY))
    if wanted < len(parts) and not args.allow_missing:
        given = f"{wanted} for {len(parts)} shots"
        raise ShowError(Problem("-n", given, f"{len(parts)} at least, one a shot", "--allow-missing leaves shots as they are"))
    return suggested(footage, cuts, parts, wanted, work, film_sha256, out)


def suggested(footage: Footage, cuts: CutList, parts: Sequence[Part], number: int, work: Path, film_sha256: str,
              out: TextIO) -> list[int]:  # fmt: skip
    """What `cineml keyframes suggest -n` would say; of a shot in which nothing can be told apart its middle frame. Raises
    ShowError."""
    shots, done, looked = [], 0, False
    progress = Progress(parts[-1].end - parts[0].start, "frames followed", out)
    for span in spans_of(cuts, parts[0].start, parts[-1].end):
        place = work / "suggest" / f"shot_{span.shot:04d}_{span.start:06d}.npz"
        digest = shot_digest(film_sha256, span, ())
        shot = kept(place, digest, number)
        if shot is None:
            motion = read_shot(footage, span, lambda n, done=done: progress.at(done + n))  # type: ignore[misc]
            shot, looked = ordered(motion, span, most=number), True
            keep(place, digest, number, shot)
        shots.append(shot)
        done += span.frames
    if looked:
        progress.done(f"{footage.path.name}: {done} frames followed, to see which to paint,")
    found = {step.frame for step in planned(shots, number)[0]}
    for part in parts if number >= len(parts) else ():
        if not any(part.start <= n < part.end for n in found):
            found.add((part.clear_start + part.clear_end) // 2)
    return sorted(found)


def missing_problems(parts: Sequence[Part], keys: Sequence[int]) -> list[Problem]:
    """Shots without a key, in one sentence."""
    bare = [p.shot for p in parts if not any(p.start <= n < p.end for n in keys)]
    if not bare:
        return []
    given = f"leaves {shots_named(bare)} without a key"
    return [Problem("--keys-at", given, "a frame of every shot", "--allow-missing leaves these shots as they are")]


def frames_of(footage: Footage, numbers: Sequence[int]) -> Iterator[tuple[int, Pixels]]:
    """(number, uint8 [H, W, 3] sRGB upright) of increasing numbers. Raises ShowError."""
    height, width = footage.size[1], footage.size[0]
    for number, item in footage.read(numbers):
        picture = np.asarray(whole(item, footage.turns, False), np.uint8)
        if picture.shape[:2] != (height, width):
            given = f"has a frame of {picture.shape[1]}x{picture.shape[0]} (number {number})"
            raise ShowError(Problem(str(footage.path), given, f"{width}x{height} as the first"))
        yield number, picture


def frame_of(footage: Footage, number: int) -> Pixels:
    """One frame. Raises ShowError."""
    return next(p for _, p in frames_of(footage, [number]))


def between(footage: Footage, a: int, b: int) -> Iterator[Pixels]:
    """The frames from a to b, both with them, in that order; backwards in pieces, so that memory does not grow with the way.
    Raises ShowError."""
    if a <= b:
        yield from (p for _, p in frames_of(footage, range(a, b + 1)))
        return
    size = max(2, min(BACK_FRAMES, MOST_BACK_BYTES // (3 * footage.size[0] * footage.size[1])))
    for high in range(a, b - 1, -size):
        low = max(b, high - size + 1)
        yield from [p for _, p in frames_of(footage, range(low, high + 1))][::-1]
