"""The keys of one shot in the order of painting: its frames read, its flow followed, greedily chosen, and kept on disk."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from player.show.problem import Problem, ShowError
from tools import keyframes_suggest_cost as cost
from tools.film_dataset_source import Footage
from tools.keyframes_kept import arrays_in
from tools.keyframes_suggest_greedy import (
    FULL,
    MOVED_KEYS,
    Ordered,
    best_sets,
    chosen,
    evenly,
    left_of,
    left_with,
    planned,
)
from tools.keyframes_suggest_result import Result, importance, wrong_in
from tools.keyframes_suggest_shots import Span
from tools.whole_file import write_whole

KEPT_KEYS = 64  # of a shot, at least: so that another N is answered from what is kept
EVEN_KEYS = 32
VERSION = 2  # of what is kept: to be raised when the costs change


def ordered(motion: cost.Motion, span: Span, painted: Sequence[int] = (), result: Result | None = None,
            most: int = KEPT_KEYS) -> Ordered:  # fmt: skip
    """The keys to paint in a shot, at most `most`. painted: film frames that are painted already; result: what was made of
    them. Raises ShowError."""
    costs = cost.costs_of(motion, span, painted)
    state = np.full(costs.costs.shape[1:], FULL, np.uint8)  # [T, P]
    even = tuple(even_left(costs, span, n) for n in range(1, 1 + min(EVEN_KEYS, len(costs.candidates))))
    for k in painted:
        np.minimum(state, costs.costs[costs.candidates.index(k)], out=state)
    if result is not None:
        np.maximum(state, wrong_in(result, motion, costs), out=state)
    counts = np.ones(len(costs.targets)) if result is None else importance(result, costs.targets)
    rows, weighed = costs.costs, np.rint(state * counts[:, None]).astype(np.uint8)
    if result is not None:
        rows = np.rint(rows * counts[:, None].astype(np.float32)).astype(np.uint8)
    open_to = [i for i, k in enumerate(costs.candidates) if k not in painted]
    there = np.array([costs.candidates[i] for i in open_to])

    def at_equal_distances(number: int) -> list[int]:
        if painted:
            return []
        return [open_to[int(np.abs(there - at).argmin())] for at in evenly(span.start, span.end, number)]

    def with_keys(keys: Sequence[int], sets: tuple[Ordered, ...] = ()) -> Ordered:
        rows_left = [left_of(left_with(costs.costs, state, keys[:n])) for n in range(len(keys) + 1)]
        frames = tuple(costs.candidates[k] for k in keys)
        return Ordered(span.shot, span.frames, frames, costs.targets, np.stack(rows_left), len(painted), even, sets)

    sets = best_sets(rows, weighed, open_to, at_equal_distances, min(most, MOVED_KEYS))
    keys = list(sets[-1]) if sets else []
    for choice in chosen(rows, left_with(rows, weighed, keys), open_to):
        if len(keys) >= most:
            break
        keys.append(choice.candidate)
    return with_keys(keys, tuple(with_keys(s) for s in sets))


def even_left(costs: cost.Costs, span: Span, number: int) -> float:
    """What is left of a shot, in frames, with so many keys at equal distances: what a person does without looking."""
    candidates = np.array(costs.candidates)
    rows = [int(np.abs(candidates - at).argmin()) for at in evenly(span.start, span.end, number)]
    state = costs.costs[rows].min(axis=0)  # [T, P]
    return float(left_of(state).mean(dtype=np.float64)) * span.frames


def shot_digest(film_sha256: str, span: Span, painted: Sequence[int]) -> str:
    """Of all that decides a shot's keys."""
    constants = [cost.FLOW_PX, cost.GRID_PX, cost.POINTS_PX, cost.MOST_TARGETS, cost.MOST_CANDIDATES, cost.CHANGE_LAB,
                 cost.DISTANCE, cost.FLAT_WEIGHT, cost.WHOLE_GRID]  # fmt: skip
    told = [VERSION, film_sha256, span.shot, span.start, span.end, span.clear_start, span.clear_end, list(painted), constants,
            cv2.__version__]  # fmt: skip
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def keep(path: Path, digest: str, most: int, shot: Ordered) -> None:
    """Writes a shot's keys. Raises ShowError."""
    arrays: dict[str, Any] = {"digest": np.array(digest), "most": np.array(most), "by_frame": shot.by_frame,
                              "shot": np.array([shot.shot, shot.length, shot.painted]), "even": np.array(shot.even),
                              "frames": np.array(shot.frames, np.int64), "seen": np.array(shot.seen, np.int64)}  # fmt: skip
    for s in shot.sets:
        arrays |= {f"frames_{len(s.frames)}": np.array(s.frames, np.int64), f"by_frame_{len(s.frames)}": s.by_frame}

    def write(part: Path) -> None:
        with part.open("wb") as file:
            np.savez_compressed(file, **arrays)

    write_whole(path, write)


def kept(path: Path, digest: str, most: int) -> Ordered | None:
    """What `keep` wrote, where it is for the same film, shot and keys and holds enough of them."""
    arrays = arrays_in(path)
    try:
        if arrays is None or str(arrays["digest"]) != digest:
            return None
        held = int(arrays["most"])
        frames = tuple(int(n) for n in arrays["frames"])
        if held < most and len(frames) == held:
            return None
        number, length, painted = (int(n) for n in arrays["shot"])
        seen = tuple(int(n) for n in arrays["seen"])
        even = tuple(float(v) for v in arrays["even"])
        sets = tuple(Ordered(number, length, tuple(int(n) for n in arrays[f"frames_{k}"]), seen,
                             np.asarray(arrays[f"by_frame_{k}"], np.float32), painted, even)
                     for k in range(1, len(frames) + 1) if f"frames_{k}" in arrays)  # fmt: skip
        shot = Ordered(number, length, frames, seen, np.asarray(arrays["by_frame"], np.float32), painted, even, sets)
    except (ValueError, KeyError, TypeError):
        return None
    if any(s.by_frame.shape != (len(s.frames) + 1, len(seen)) for s in (shot, *sets)):
        return None
    return shot


def read_shot(footage: Footage, span: Span, tick: cost.Tick = lambda done: None) -> cost.Motion:
    """A shot's motion. Raises ShowError."""
    return cost.motion_of(cost.small_pictures(footage, range(span.start, span.end)), span.frames, tick)


def even_error(shots: Sequence[Ordered], number: int) -> float | None:
    """What is left on average of a frame, 0..1, with `number` keys at equal distances, every shot having its share and one at
    least; None where they are too few or too many for that."""
    frames = sum(s.length for s in shots)
    if number < len(shots) or not frames:
        return None
    keys = [1] * len(shots)
    for _ in range(number - len(shots)):  # each to where the distance is greatest
        keys[max(range(len(shots)), key=lambda i: (Fraction(shots[i].length, keys[i]), -i))] += 1
    if any(k > len(s.even) for k, s in zip(keys, shots, strict=True)):
        return None
    return sum(s.even[k - 1] for k, s in zip(keys, shots, strict=True)) / frames


def suggested_keys(frames: Sequence[NDArray[np.uint8]], number: int) -> list[int]:
    """Which of one shot's frames, uint8 [H, W, 3] each, to paint, in increasing order: `number` of them. Raises ShowError for
    less than one."""
    if number < 1 or not frames:
        raise ShowError(Problem("frames to suggest", str(number), "1 or more, of at least one frame"))
    height, width = frames[0].shape[:2]
    size = cost.side(width, height, cost.FLOW_PX)
    small = ((i, np.asarray(cv2.resize(f, size, interpolation=cv2.INTER_AREA), np.uint8)) for i, f in enumerate(frames))
    span = Span(1, 0, len(frames), 0, len(frames))
    shot = ordered(cost.motion_of(small, len(frames)), span, most=number)
    return sorted(s.frame for s in planned([shot], number)[0])
