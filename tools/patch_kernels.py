"""The inner loops of patch synthesis, compiled by numba and kept in its cache.

A kernel works on a run of bands (BAND rows of the target) or lanes and releases the interpreter's lock, so that plain
threads share them out: none of numba's threading layers is needed, which idle at full speed and cannot be forked. What one
band or lane reads no other writes in the same call, and sums have a fixed order: the result is the same on any number of
threads.

Arrays: target, source, amount float32 [rows, columns * C], padded by `pad` pixels (patch_pyramid.Level); field int32
[Ht, Wt, 2], x and y in the source; cost float32 [Ht, Wt]; uses, own_uses int32, the source's size and patch - 1 around it
(use_map); active, moved, changed uint8 [Ht, Wt]. One type each, always C-contiguous: every kernel is compiled once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba
import numpy as np

from tools.patch_squares import squares, weighted_squares

BAND = 16  # rows of a share of costs and votes
STEP = 8  # rows of a lane between two counts of use: the fewer, the fresher; each costs a meeting of the threads
GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_F = TypeVar("_F", bound=Callable[..., Any])


def compiled(**options: Any) -> Callable[[_F], _F]:
    """numba.njit with this module's options. Sums may be reordered (fastmath), once, by the compiler: never by threads."""
    return numba.njit(nogil=True, cache=True, fastmath=True, error_model="numpy", **options)  # type: ignore[no-any-return]


@compiled(inline="always")
def mixed(x: Any) -> Any:
    """uint64 to uint64, the finisher of SplitMix64 (Steele et al. 2014): a counter in, a random number out."""
    x = (x ^ (x >> np.uint64(30))) * _MIX_1
    x = (x ^ (x >> np.uint64(27))) * _MIX_2
    return x ^ (x >> np.uint64(31))


@compiled(inline="always")
def below(bits: Any, count: Any) -> Any:
    """32 random bits to a whole number 0..count-1."""
    return np.int64((bits * np.uint64(count)) >> np.uint64(32))


@compiled()
def patch_cost(target: Any, source: Any, amount: Any, weighted: Any, target_row: Any, target_at: Any, source_row: Any,
               source_at: Any, patch: Any, length: Any, limit: Any) -> Any:
    """Sum of squared differences of two patches, row by row until it reaches `limit` (then it is at least that much)."""
    total = np.float32(0)
    for r in range(patch):
        if weighted:
            total += weighted_squares(target, target_row + r, target_at, source, source_row + r, source_at, amount,
                                      target_row + r, target_at, length)
        else:
            total += squares(target, target_row + r, target_at, source, source_row + r, source_at, length)
        if total >= limit:
            break
    return total


@compiled()
def costs(target: Any, source: Any, amount: Any, weighted: Any, field: Any, cost: Any, active: Any, patch: Any, pad: Any,
          channels: Any, first: Any, last: Any) -> int:
    """cost = that of the field, where active. Returns how many."""
    ht, wt = cost.shape
    off, done = pad - patch // 2, 0
    for y in range(first * BAND, min(ht, last * BAND)):
        for x in range(wt):
            if active[y, x]:
                cost[y, x] = patch_cost(target, source, amount, weighted, y + off, (x + off) * channels,
                                        field[y, x, 1] + off, (field[y, x, 0] + off) * channels, patch, patch * channels,
                                        np.float32(np.inf))  # fmt: skip
                done += 1
    return done


@compiled(inline="always")
def tent(uses: Any, x: Any, y: Any, patch: Any, sign: Any) -> None:
    """Adds a patch's use to the map that use_map makes: a tent of (2 * patch - 1)^2, at (x, y) of the padded map."""
    for dy in range(2 * patch - 1):
        high = sign * np.int32(patch - abs(dy - patch + 1))
        row = uses[y + dy]
        for dx in range(patch):
            row[x + dx] += high * np.int32(dx + 1)
        for dx in range(1, patch):
            row[x + patch - 1 + dx] += high * np.int32(patch - dx)


@compiled()
def sweep(target: Any, source: Any, amount: Any, weighted: Any, source_mask: Any, target_mask: Any, free: Any, masked: Any,
          field: Any, cost: Any, uses: Any, own_uses: Any, even_x: Any, even_y: Any, uniform: Any, active: Any, moved: Any,
          moves: Any, made: Any, patch: Any, pad: Any, channels: Any, backward: Any, shrink: Any, key: Any, lane_rows: Any,
          step: Any, first: Any, last: Any) -> int:
    """One step of a PatchMatch sweep, in lanes first..last: each pixel tries what continues its two neighbours' matches,
    then random ones around its best, at distances that shrink from half the source to 1 (Barnes et al. 2009, section 3).

    A step is STEP rows of every lane, so no other lane that runs now touches the rows that this one reads. Use is counted
    live within a lane's step (own_uses, zero before and after) over the map that stood when the step began (uses), which
    `count_moves` brings up to date between steps: what a lane sees does not depend on who runs when. A candidate's penalty
    is two look-ups; it is refused by that alone, or lowers the limit at which its cost is given up. Returns the
    comparisons made; moves[lane, :made[lane]] are (old x, old y, new x, new y).
    """
    ht, wt = cost.shape
    hs, ws = source.shape[0] - 2 * pad, source.shape[1] // channels - 2 * pad
    off, forth, length, tried, rim = pad - patch // 2, -1 if backward else 1, patch * channels, 0, patch - 1
    for lane in range(first, last):
        top = lane * lane_rows + step * STEP
        bottom = min(ht, (lane + 1) * lane_rows, top + STEP)
        count = 0
        for j in range(top, bottom):
            y = top + bottom - 1 - j if backward else j
            for i in range(wt):
                x = wt - 1 - i if backward else i
                if not active[y, x]:
                    continue
                bx, by = np.int64(field[y, x, 0]), np.int64(field[y, x, 1])
                ox, oy = bx, by
                best = cost[y, x]
                total = best
                if uniform:
                    total += np.float32(uses[by + rim, bx + rim] + own_uses[by + rim, bx + rim]) * even_x[bx] * even_y[by]
                label = target_mask[y, x] if masked else 0
                bound = masked and not free[label]
                bits = mixed(key + np.uint64(y * wt + x) * GOLDEN)
                reach = float(max(hs, ws) // 2)
                candidate = 0
                while True:
                    candidate += 1
                    if candidate == 1:
                        if x - forth < 0 or x - forth >= wt:
                            continue
                        cx, cy = np.int64(field[y, x - forth, 0]) + forth, np.int64(field[y, x - forth, 1])
                    elif candidate == 2:
                        if y - forth < 0 or y - forth >= ht:
                            continue
                        cx, cy = np.int64(field[y - forth, x, 0]), np.int64(field[y - forth, x, 1]) + forth
                    else:
                        if reach < 1.0:
                            break
                        r = np.int64(reach)
                        reach /= shrink
                        bits = mixed(bits + GOLDEN)
                        low_x, low_y = max(0, bx - r), max(0, by - r)
                        cx = low_x + below(bits & np.uint64(0xFFFFFFFF), min(ws - 1, bx + r) - low_x + 1)
                        cy = low_y + below(bits >> np.uint64(32), min(hs - 1, by + r) - low_y + 1)
                    if cx < 0 or cy < 0 or cx >= ws or cy >= hs or (cx == bx and cy == by):
                        continue
                    if bound and source_mask[cy, cx] != label:
                        continue
                    penalty = np.float32(0)
                    if uniform:
                        penalty = np.float32(uses[cy + rim, cx + rim] + own_uses[cy + rim, cx + rim]) * even_x[cx] * even_y[cy]
                    limit = total - penalty
                    if limit <= 0:
                        continue
                    tried += 1
                    c = patch_cost(target, source, amount, weighted, y + off, (x + off) * channels, cy + off,
                                   (cx + off) * channels, patch, length, limit)
                    if c < limit:
                        bx, by, best, total = cx, cy, c, c + penalty
                if bx != ox or by != oy:
                    field[y, x, 0], field[y, x, 1], cost[y, x], moved[y, x] = bx, by, best, 1
                    if uniform:
                        tent(own_uses, ox, oy, patch, np.int32(-1))
                        tent(own_uses, bx, by, patch, np.int32(1))
                        moves[lane, count, 0], moves[lane, count, 1] = ox, oy
                        moves[lane, count, 2], moves[lane, count, 3] = bx, by
                        count += 1
        made[lane] = count
        for m in range(count):
            tent(own_uses, moves[lane, m, 0], moves[lane, m, 1], patch, np.int32(1))
            tent(own_uses, moves[lane, m, 2], moves[lane, m, 3], patch, np.int32(-1))
    return tried


@compiled()
def count_moves(uses: Any, moves: Any, made: Any, patch: Any) -> int:
    """Brings the map of uses up to date after a step of every lane. Returns how many moves there were."""
    count = 0
    for lane in range(made.shape[0]):
        for m in range(made[lane]):
            tent(uses, moves[lane, m, 0], moves[lane, m, 1], patch, np.int32(-1))
            tent(uses, moves[lane, m, 2], moves[lane, m, 3], patch, np.int32(1))
        count += made[lane]
    return count


@compiled()
def vote(target: Any, source: Any, source_mask: Any, target_mask: Any, free: Any, masked: Any, field: Any, moved: Any,
         changed: Any, patch: Any, pad: Any, channels: Any, planes: Any, stop: Any, first: Any, last: Any) -> int:
    """The picture: each pixel the mean of what the patches over it say, where a match of theirs has moved.

    With masks only source pixels of the pixel's own label have a say; the pixel's own patch always has one. changed = 1
    where a plane changed by `stop` or more. Returns 0.
    """
    ht, wt = changed.shape
    hs, ws = source.shape[0] - 2 * pad, source.shape[1] // channels - 2 * pad
    rad = patch // 2
    mean = np.empty(planes, np.float32)
    for y in range(first * BAND, min(ht, last * BAND)):
        y0, y1 = max(0, y - rad), min(ht, y + rad + 1)
        for x in range(wt):
            x0, x1 = max(0, x - rad), min(wt, x + rad + 1)
            any_moved = False
            for v in range(y0, y1):
                for u in range(x0, x1):
                    any_moved = any_moved or moved[v, u] != 0
            changed[y, x] = 0
            if not any_moved:
                continue
            label = target_mask[y, x] if masked else 0
            bound = masked and not free[label]
            for c in range(planes):
                mean[c] = 0
            count = 0
            for v in range(y0, y1):
                for u in range(x0, x1):
                    sx, sy = field[v, u, 0] + x - u, field[v, u, 1] + y - v
                    if bound:
                        if source_mask[min(max(sy, 0), hs - 1), min(max(sx, 0), ws - 1)] != label:
                            continue
                    count += 1
                    at = (sx + pad) * channels
                    for c in range(planes):
                        mean[c] += source[sy + pad, at + c]
            share = np.float32(1.0 / count)
            at = (x + pad) * channels
            for c in range(planes):
                value = mean[c] * share
                if abs(value - target[y + pad, at + c]) >= stop:
                    changed[y, x] = 1
                target[y + pad, at + c] = value
    return 0


@compiled()
def grown(mask: Any, radius: Any, out: Any) -> int:
    """out = 1 where mask has a 1 within `radius` in both directions. Returns how many."""
    h, w = mask.shape
    rows = np.empty((h, w), np.uint8)
    for y in range(h):
        until = -1
        for x in range(min(radius, w)):
            if mask[y, x]:
                until = x + radius
        for x in range(w):
            if x + radius < w and mask[y, x + radius]:
                until = x + 2 * radius
            rows[y, x] = x <= until
    count = 0
    for y in range(h):
        y0, y1 = max(0, y - radius), min(h, y + radius + 1)
        for x in range(w):
            out[y, x] = 0
        for v in range(y0, y1):
            for x in range(w):
                out[y, x] |= rows[v, x]
        for x in range(w):
            count += out[y, x]
    return count


@compiled()
def use_map(field: Any, patch: Any, uses: Any, rows: Any) -> int:
    """uses = how often the pixels of the patch around each source pixel are used, summed over that patch.

    uses: int32 [Hs + 2 (patch - 1), Ws + 2 (patch - 1)], the source's pixels in the middle. Whole numbers, so that what
    `tent` adds and takes away later gives the same as counting anew. rows: like uses, zero before and after. Returns 0.
    """
    rim = patch - 1
    high, wide = uses.shape
    for y in range(high):
        for x in range(wide):
            uses[y, x] = 0
    for y in range(field.shape[0]):
        for x in range(field.shape[1]):
            uses[field[y, x, 1] + rim, field[y, x, 0] + rim] += 1
    for y in range(rim, high - rim):
        for x in range(rim, wide - rim):
            if uses[y, x]:
                for dx in range(-rim, patch):
                    rows[y, x + dx] += (patch - abs(dx)) * uses[y, x]
    for y in range(high):
        for x in range(wide):
            uses[y, x] = 0
        for dy in range(max(-rim, -y), min(patch, high - y)):
            for x in range(wide):
                uses[y, x] += np.int32(patch - abs(dy)) * rows[y + dy, x]
    for y in range(high):
        for x in range(wide):
            rows[y, x] = 0
    return 0


@compiled()
def random_field(field: Any, keep: Any, source_mask: Any, target_mask: Any, free: Any, masked: Any, order: Any,
                 begins: Any, hs: Any, ws: Any, key: Any) -> int:
    """A random match for each pixel that has none yet (keep is 0) or one that its mask forbids.

    order: int32 source positions sorted by label; begins: int64 [257], where each label begins. Returns how many.
    """
    ht, wt = keep.shape
    count = 0
    for y in range(ht):
        for x in range(wt):
            sx, sy = np.int64(field[y, x, 0]), np.int64(field[y, x, 1])
            label = target_mask[y, x] if masked else 0
            bound = masked and not free[label]
            if keep[y, x] and not (bound and source_mask[sy, sx] != label):
                continue
            bits = mixed(key + np.uint64(y * wt + x) * GOLDEN) >> np.uint64(32)
            if bound:
                at = np.int64(order[begins[label] + below(bits, begins[label + 1] - begins[label])])
            else:
                at = below(bits, hs * ws)
            field[y, x, 0], field[y, x, 1] = at % ws, at // ws
            count += 1
    return count
