"""Which frames to paint, greedily: each next key is the one that takes most from what is left to guess.

The error of a set of keys is a sum over frames and points of the smallest cost that any of its keys has there (facility
location, Cornuejols, Fisher, Nemhauser 1977). What a key takes from it never grows while others are chosen (submodular), so
that gains computed earlier are upper bounds and most are never computed again (lazy evaluation, Minoux 1978), and greedy is
within 1 - 1/e of the best. Whole numbers up to the sums: the same choice on every machine.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FULL = 255  # the cost of a point that nothing explains


@dataclass(frozen=True)
class Choice:
    """One key of a shot. candidate: its index. gain: what it took, summed over frames and points. errors: float32 [T], what
    is left of each frame, 0..1."""

    candidate: int
    gain: int
    errors: NDArray[np.float32]


@dataclass(frozen=True)
class Ordered:
    """The keys of one shot in the order of painting, as long as they take anything.

    frames: [keys] film frames. length: of the shot in frames. seen: [T] the film frames that were looked at. by_frame: float32
    [keys + 1, T], what is left of each of them, 0..1, with the first 0, 1, 2 ... keys. painted: keys that it had before. even:
    what is left, in frames, with 1, 2, 3 ... keys at equal distances.
    """

    shot: int
    length: int
    frames: tuple[int, ...]
    seen: tuple[int, ...]
    by_frame: NDArray[np.float32]
    painted: int = 0
    even: tuple[float, ...] = ()

    def left(self, keys: int) -> float:
        """What is left with the first `keys` keys, in frames: 1.0 = a whole frame of which nothing is explained."""
        return float(self.by_frame[keys].mean(dtype=np.float64)) * self.length


@dataclass(frozen=True)
class Step:
    """One key of the whole film. order: from 1. gain: what it takes, in frames. error: what is left on average of a frame of
    all shots, 0..1, with this key and all before it."""

    order: int
    frame: int
    shot: int
    gain: float
    error: float


def left_of(state: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What is left of each frame, float32 [T] 0..1; state: uint8 [T, P]."""
    return (state.mean(axis=1, dtype=np.float64) / FULL).astype(np.float32)


def gain_of(state: NDArray[np.uint8], cost: NDArray[np.uint8]) -> int:
    """What a key with these costs takes from the state, both uint8 [T, P]."""
    return int(state.sum(dtype=np.int64) - np.minimum(state, cost).sum(dtype=np.int64))


def chosen(costs: NDArray[np.uint8], state: NDArray[np.uint8], open_to: Sequence[int]) -> Iterator[Choice]:
    """Keys one by one, until none takes anything more. costs: uint8 [K, T, P]; state: uint8 [T, P], changed in place;
    open_to: the candidates that may be chosen."""
    bounds = [(-gain_of(state, costs[k]), k, 0) for k in open_to]  # of equals the earlier frame
    heapq.heapify(bounds)
    turn = 0
    while bounds and bounds[0][0] < 0:
        negative, k, when = heapq.heappop(bounds)
        if when < turn:
            heapq.heappush(bounds, (-gain_of(state, costs[k]), k, turn))
            continue
        np.minimum(state, costs[k], out=state)
        turn += 1
        yield Choice(k, -negative, left_of(state))


def evenly(first: int, last: int, number: int) -> list[int]:
    """Frames at equal distances in [first, last), each in the middle of its share: what to be better than."""
    return [first + (2 * i + 1) * (last - first) // (2 * number) for i in range(number)]


def error_of(shots: Sequence[Ordered], keys: Sequence[int]) -> float:
    """What is left on average of a frame with the first keys[i] keys of shots[i], 0..1."""
    frames = sum(s.length for s in shots)
    return sum(s.left(k) for s, k in zip(shots, keys, strict=True)) / frames if frames else 0.0


def merged(shots: Sequence[Ordered], number: int | None = None, per_shot: int | None = None, until: float | None = None,
           first_of_each: bool = True) -> list[Step]:  # fmt: skip
    """The keys of all shots in one order: first one of every shot (first_of_each), the greatest gain first; then wherever the
    gain is greatest. Ends at `number` keys, at `per_shot` of each, or, each shot having one, where the error is at most
    `until`."""
    frames = sum(s.length for s in shots)
    left = sum(s.left(0) for s in shots)
    waiting: list[tuple[bool, float, int, int]] = []

    def offer(index: int, at: int) -> None:
        shot = shots[index]
        if at < len(shot.frames) and (per_shot is None or at < per_shot):
            first = first_of_each and at + shot.painted == 0
            heapq.heappush(waiting, (not first, shot.left(at + 1) - shot.left(at), index, at))

    for i in range(len(shots)):
        offer(i, 0)
    steps: list[Step] = []
    while waiting and (number is None or len(steps) < number):
        if until is not None and left <= until * frames and waiting[0][0]:
            break
        _, negative, index, at = heapq.heappop(waiting)
        left += negative
        steps.append(Step(len(steps) + 1, shots[index].frames[at], shots[index].shot, -negative, max(0.0, left / frames)))
        offer(index, at + 1)
    return steps
