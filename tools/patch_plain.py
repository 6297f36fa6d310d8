"""The plain engine that `cineml bench keyframes` measures patch_engine against, and nothing else uses.

The published procedure as one would write it first: every level `votes` times costs, `sweeps` sweeps, vote; every try
computes the cost with the coordinates clipped pixel by pixel, the use of its own patch from live counts, and that of the
other where its cost alone wins; no convergence mask, no padding, no penalty that is looked up. Threads share out rows and
race for the counts, as public engines do, so its picture differs a little from run to run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from tools.patch_crew import Crew
from tools.patch_engine import Guide, Settings, Synthesis

Floats = NDArray[np.float32]
ROWS = 16


def _compiled(function: Any) -> Any:
    return numba.njit(nogil=True, cache=True, fastmath=True, error_model="numpy")(function)


@_compiled
def _cost(target: Any, source: Any, weights: Any, x: Any, y: Any, sx: Any, sy: Any, patch: Any, limit: Any) -> Any:
    rad, total = patch // 2, np.float32(0)
    for dy in range(-rad, rad + 1):
        ty = min(max(y + dy, 0), target.shape[0] - 1)
        for dx in range(-rad, rad + 1):
            tx = min(max(x + dx, 0), target.shape[1] - 1)
            for c in range(weights.shape[0]):
                d = target[ty, tx, c] - source[sy + dy, sx + dx, c]
                total += weights[c] * d * d
        if total > limit:
            break
    return total


@_compiled
def _use(uses: Any, sx: Any, sy: Any, rad: Any) -> Any:
    total = 0
    for dy in range(-rad, rad + 1):
        for dx in range(-rad, rad + 1):
            total += uses[sy + dy, sx + dx]
    return total


@_compiled
def _count(uses: Any, sx: Any, sy: Any, rad: Any, by: Any) -> None:
    for dy in range(-rad, rad + 1):
        for dx in range(-rad, rad + 1):
            uses[sy + dy, sx + dx] += by


@_compiled
def _count_all(uses: Any, field: Any, rad: Any) -> None:
    uses[:] = 0
    for y in range(field.shape[0]):
        for x in range(field.shape[1]):
            _count(uses, field[y, x, 0], field[y, x, 1], rad, 1)


@_compiled
def _costs(target: Any, source: Any, weights: Any, field: Any, cost: Any, patch: Any, first: Any, last: Any) -> int:
    for y in range(first * ROWS, min(cost.shape[0], last * ROWS)):
        for x in range(cost.shape[1]):
            cost[y, x] = _cost(target, source, weights, x, y, field[y, x, 0], field[y, x, 1], patch, np.float32(np.inf))
    return 0


@_compiled
def _sweep(target: Any, source: Any, weights: Any, field: Any, cost: Any, uses: Any, patch: Any, uniformity: Any,
           backward: Any, seed: Any, first: Any, last: Any) -> int:
    ht, wt = cost.shape
    hs, ws = uses.shape
    rad, step, tried = patch // 2, -1 if backward else 1, 0
    per_use = uniformity / (patch * patch) / (patch * patch * (ht * wt) / (hs * ws))
    state = np.uint64(seed * 1000003 + first * 7919 + 12345)
    begin, end = first * ROWS, min(ht, last * ROWS)
    for j in range(begin, end):
        y = begin + end - 1 - j if backward else j
        for i in range(wt):
            x = wt - 1 - i if backward else i
            radius, candidate = max(hs, ws) // 2, 0
            while radius >= 1:
                candidate += 1
                bx, by = np.int64(field[y, x, 0]), np.int64(field[y, x, 1])
                if candidate == 1:
                    if x - step < 0 or x - step >= wt:
                        continue
                    cx, cy = field[y, x - step, 0] + step, np.int64(field[y, x - step, 1])
                elif candidate == 2:
                    if y - step < 0 or y - step >= ht:
                        continue
                    cx, cy = np.int64(field[y - step, x, 0]), field[y - step, x, 1] + step
                else:
                    state = state * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
                    cx = bx - radius + np.int64((state >> np.uint64(33)) % np.uint64(2 * radius + 1))
                    state = state * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
                    cy = by - radius + np.int64((state >> np.uint64(33)) % np.uint64(2 * radius + 1))
                    radius //= 2
                cx, cy = min(max(cx, rad), ws - 1 - rad), min(max(cy, rad), hs - 1 - rad)
                tried += 1
                now = cost[y, x] + per_use * _use(uses, bx, by, rad)
                new = _cost(target, source, weights, x, y, cx, cy, patch, now)
                if new < now and new + per_use * _use(uses, cx, cy, rad) < now:
                    _count(uses, bx, by, rad, -1)
                    _count(uses, cx, cy, rad, 1)
                    field[y, x, 0], field[y, x, 1], cost[y, x] = cx, cy, new
    return tried


@_compiled
def _vote(target: Any, source: Any, field: Any, planes: Any, patch: Any, first: Any, last: Any) -> int:
    ht, wt, rad = target.shape[0], target.shape[1], patch // 2
    mean = np.zeros(planes, np.float32)
    for y in range(first * ROWS, min(ht, last * ROWS)):
        for x in range(wt):
            mean[:] = 0
            count = 0
            for v in range(max(0, y - rad), min(ht, y + rad + 1)):
                for u in range(max(0, x - rad), min(wt, x + rad + 1)):
                    count += 1
                    for c in range(planes):
                        mean[c] += source[field[v, u, 1] + y - v, field[v, u, 0] + x - u, c]
            for c in range(planes):
                target[y, x, c] = mean[c] / count
    return 0


def _halved(a: Floats) -> Floats:
    h, w = a.shape[0] // 2, a.shape[1] // 2
    return np.ascontiguousarray(a[: 2 * h, : 2 * w].reshape(h, 2, w, 2, -1).mean(axis=(1, 3), dtype=np.float32))


def synthesise_plainly(style: NDArray[np.uint8], guides: Sequence[Guide], settings: Settings) -> tuple[Synthesis, int]:
    """As patch_engine.synthesise without masks, start and amounts, and how many patch comparisons it made."""
    planes, patch, rad = style.shape[2], settings.patch, settings.patch // 2
    weights = np.concatenate([np.full(planes, 1 / planes)]
                             + [np.full(g.source.shape[2], g.weight / g.source.shape[2]) for g in guides]).astype(np.float32)
    sources = [np.concatenate([style.astype(np.float32)] + [g.source * 255 for g in guides], axis=2, dtype=np.float32)]
    blank = np.zeros((*guides[0].target.shape[:2], planes), np.float32)
    targets = [np.concatenate([blank] + [g.target * 255 for g in guides], axis=2, dtype=np.float32)]
    while min(*sources[-1].shape[:2], *targets[-1].shape[:2]) // 2 >= 2 * settings.patch + 1:
        sources.append(_halved(sources[-1]))
        targets.append(_halved(targets[-1]))
    rng, comparisons = np.random.default_rng(settings.seed), 0
    field: NDArray[np.int32] = np.zeros((0, 0, 2), np.int32)
    with Crew(settings.threads) as crew:
        for source, target in zip(reversed(sources), reversed(targets), strict=True):
            (ht, wt), (hs, ws) = target.shape[:2], source.shape[:2]
            if field.size:
                y, x = np.minimum(np.mgrid[:ht, :wt] // 2, np.array(field.shape[:2])[:, None, None] - 1)
                guess = field[y, x] * 2 + np.stack(np.mgrid[:ht, :wt][::-1] % 2, axis=2)
            else:
                guess = rng.integers(0, (ws, hs), (ht, wt, 2))
            field = np.ascontiguousarray(guess.clip(rad, (ws - 1 - rad, hs - 1 - rad)), np.int32)
            cost, uses, bands = np.zeros((ht, wt), np.float32), np.zeros((hs, ws), np.int32), -(-ht // ROWS)
            pair = (target, source)

            def price(a: int, b: int, pair: Any = pair, f: Any = field, e: Any = cost) -> int:
                return int(_costs(*pair, weights, f, e, patch, a, b))

            def vote(a: int, b: int, pair: Any = pair, f: Any = field) -> int:
                return int(_vote(*pair, f, planes, patch, a, b))

            crew.share(bands, vote)
            for r in range(settings.votes):
                _count_all(uses, field, rad)
                crew.share(bands, price)
                for i in range(settings.sweeps):

                    def sweep(a: int, b: int, number: int = settings.sweeps * r + i, pair: Any = pair, f: Any = field,
                              e: Any = cost, u: Any = uses) -> int:  # fmt: skip
                        return int(_sweep(*pair, weights, f, e, u, patch, settings.uniformity, number % 2 == 1, number, a, b))

                    comparisons += crew.share(bands, sweep)
                crew.share(bands, vote)
    picture = np.rint(targets[0][..., :planes]).clip(0, 255).astype(np.uint8)
    return Synthesis(picture, field, cost), comparisons
