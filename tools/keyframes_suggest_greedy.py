"""Which frames to paint, greedily: each next key is the one that takes most from what is left to guess.

The error of a set of keys is a sum over frames and points of the smallest cost that any of its keys has there (facility
location, Cornuejols, Fisher, Nemhauser 1977). What a key takes from it never grows while others are chosen (submodular), so
that gains computed earlier are upper bounds and most are never computed again (lazy evaluation, Minoux 1978), and greedy is
within 1 - 1/e of the best. A few keys are then moved, one at a time, to where they take most (Teitz and Bart 1968): greedy's
first key is in the middle, where of two there would be none. Whole numbers up to the sums: the same choice on every machine.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

FULL = 255  # the cost of a point that nothing explains
MOVED_KEYS, PASSES = 8, 4  # of a shot: as many are moved about, so often; more lie so close that it gains nothing


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
    what is left, in frames, with 1, 2, 3 ... keys at equal distances. sets: the same shot with the best 1, 2, 3 ... keys, where
    those are others than the first of `frames`.
    """

    shot: int
    length: int
    frames: tuple[int, ...]
    seen: tuple[int, ...]
    by_frame: NDArray[np.float32]
    painted: int = 0
    even: tuple[float, ...] = ()
    sets: tuple[Ordered, ...] = ()

    def best(self, keys: int) -> float:
        """What is left with `keys` keys where no other number of them matters, in frames."""
        return self.sets[keys - 1].left(keys) if 1 <= keys <= len(self.sets) else self.left(keys)

    def having(self, keys: int) -> Ordered:
        """The shot with the best `keys` keys, in the order of painting, and no others."""
        if 1 <= keys <= len(self.sets):
            return self.sets[keys - 1]
        return replace(self, frames=self.frames[:keys], by_frame=self.by_frame[: keys + 1], sets=())

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
    index: int = field(default=0, compare=False)  # of the shot, among those that were given


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


def left_with(costs: NDArray[np.uint8], state: NDArray[np.uint8], keys: Sequence[int]) -> NDArray[np.uint8]:
    """The state uint8 [T, P] with some more keys."""
    out = state.copy()
    for k in keys:
        np.minimum(out, costs[k], out=out)
    return out


def best_beside(costs: NDArray[np.uint8], state: NDArray[np.uint8], open_to: Sequence[int]) -> tuple[int, int]:
    """(what is left in all with it, the candidate) of the one key that takes most from the state; of equals the earlier."""
    return min((int(np.minimum(state, costs[k]).sum(dtype=np.int64)), k) for k in open_to)


def moved(costs: NDArray[np.uint8], state: NDArray[np.uint8], open_to: Sequence[int],
          keys: Sequence[int]) -> tuple[int, list[int]]:  # fmt: skip
    """(what is left in all, keys): each moved to where it takes most beside the others, until nothing helps."""
    keys = list(keys)
    least = int(left_with(costs, state, keys).sum(dtype=np.int64))
    for _ in range(PASSES):
        before = least
        for i in range(len(keys)):
            others = keys[:i] + keys[i + 1 :]
            left, k = best_beside(costs, left_with(costs, state, others), open_to)
            if left < least:
                least, keys[i] = left, k
        if least == before:
            break
    return least, keys


def best_sets(costs: NDArray[np.uint8], state: NDArray[np.uint8], open_to: Sequence[int],
              starts: Callable[[int], Sequence[int]], most: int = MOVED_KEYS) -> list[list[int]]:  # fmt: skip
    """The best 1, 2, 3 ... keys, each in the order of painting; shorter where no other key takes anything. starts: another set
    of so many keys to begin from, as well as one more than the best of one less; empty for none."""
    sets: list[list[int]] = []
    before = int(state.sum(dtype=np.int64))
    for number in range(1, 1 + min(most, len(open_to))):
        last = sets[-1] if sets else []
        left, k = best_beside(costs, left_with(costs, state, last), open_to)
        if left >= before:
            break
        best = moved(costs, state, open_to, [*last, k]) if last else (left, [k])
        if other := list(starts(number)):
            best = min(best, moved(costs, state, open_to, other), key=lambda found: found[0])
        before = best[0]
        ordered: list[int] = []
        for _ in range(number):  # the one that takes most comes first
            waiting = [c for c in best[1] if c not in ordered]
            ordered.append(best_beside(costs, left_with(costs, state, ordered), waiting)[1])
        sets.append(ordered)
    return sets


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
            heapq.heappush(waiting, (not first, shot.best(at + 1) - shot.best(at), index, at))

    for i in range(len(shots)):
        offer(i, 0)
    steps: list[Step] = []
    while waiting and (number is None or len(steps) < number):
        if until is not None and left <= until * frames and waiting[0][0]:
            break
        _, negative, index, at = heapq.heappop(waiting)
        left += negative
        shot, error = shots[index], max(0.0, left / frames)
        steps.append(Step(len(steps) + 1, shot.frames[at], shot.shot, -negative, error, index))
        offer(index, at + 1)
    return steps


def planned(shots: Sequence[Ordered], number: int | None = None, per_shot: int | None = None,
            until: float | None = None) -> tuple[list[Step], list[Ordered]]:  # fmt: skip
    """(the keys of all shots in one order, the shots with them): as many of each as `merged` gives it, and of each the best of
    so many."""
    keys = [0] * len(shots)
    for step in merged(shots, number, per_shot, until):
        keys[step.index] += 1
    chosen_of = [shot.having(k) for shot, k in zip(shots, keys, strict=True)]
    return merged(chosen_of), chosen_of
