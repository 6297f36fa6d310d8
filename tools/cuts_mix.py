"""Dissolves: stretches in which one picture goes over into another by linear mixing.

The test is the definition: a frame in between is so much of the frame before plus so much of the frame after. What is left
over is small for a dissolve and large for motion, however slow. Where both shots move much themselves, the leftover is
large too; then a dissolve shows in three things together: over a few frames the change is linear, the detail sinks below
both sides' in the middle (two pictures half seen have half of the energy), and the ends are unrelated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tools.cuts_signal import BLACK_Y, WHITE_Y, Indices, Numbers, Signals
from tools.cuts_transition import Rejected, Transition

HALF_LENGTHS = (3, 4, 6, 8, 12, 16, 24, 36)  # frames to either side of a dissolve's middle
LEFT_OVER = 0.45  # of what half mixing would move: more is motion
MOST_DETAIL = 0.8  # in the middle, of the sides' mean: mixtures have 0.2 to 0.66, motion 0.85 and more
MOVING = "a mixture of two shots that move"
MOST_SURE = 0.99, 0.58  # of plain dissolves, and of those between shots that move: a person should look at these
WITHIN = 0.25  # of the mean step: motion has 0.1 and less of it, mostly below 0, a dissolve that figures cross 0.3 and more
MOST_STEP = 0.35  # from frame to frame, of what the ends are apart: a mixture of 3 frames has 0.11
PERHAPS = -0.5  # log odds
LOCAL = 4  # frames to either side for the test of linearity within moving shots


@dataclass(frozen=True)
class Window:
    """One candidate: frames middle - half .. middle + half. score: log odds."""

    middle: int
    half: int
    score: float
    why: str


def dissolves(s: Signals, taken: Sequence[tuple[int, int]], bias: float = 0.0) -> tuple[list[Transition], list[Rejected]]:
    """Dissolves and rejected candidates. taken: stretches [start, end] of cuts and fades, over which no dissolve reaches.
    bias: added to the log odds."""
    windows = sorted(_windows(s, taken), key=lambda w: -w.score)
    found: list[Transition] = []
    rejected: list[Rejected] = []
    spans = list(taken)
    for w in windows:
        if any(w.middle - w.half <= high and low <= w.middle + w.half for low, high in spans):
            continue
        start, length = _extent(s, w)
        confidence = 1 / (1 + math.exp(-1.5 * (w.score + bias)))
        span = (min(start, w.middle - w.half), max(start + length, w.middle + w.half))
        if confidence < 0.08:
            continue
        spans.append(span)
        lit = s.lit_correlation(max(start - 1, 0), min(start + length, len(s) - 1))
        ends = np.array([max(start - 1, 0)]), np.array([min(start + length, len(s) - 1)])
        apart = max(0.25, float(s.structure(*ends)[0]))
        if float(np.mean(s.step[start : start + length + 1])) > MOST_STEP * apart:
            rejected.append(Rejected(start, min(confidence, 0.4), "the camera is thrown: frames next to each other are unlike"))
        elif lit >= 0.6:
            rejected.append(Rejected(start, min(confidence, 0.4), "the same picture in another light"))
        elif confidence >= 0.5:
            sure = min(confidence, MOST_SURE[w.why == MOVING])
            found.append(Transition(start, "dissolve", start, start + length, sure, w.why, length))
        else:
            rejected.append(Rejected(start, confidence, f"perhaps a dissolve of {length} frames"))
    return found, rejected


def _windows(s: Signals, taken: Sequence[tuple[int, int]]) -> list[Window]:
    """Every window that passes the cheap tests, scored."""
    n = len(s)
    blocked = np.zeros(n + 1, np.int64)
    for low, high in taken:
        blocked[max(0, low) : max(0, high) + 1] = 1
    blocked_before = np.concatenate([[0], np.cumsum(blocked)])
    local = left_over(s.thumbs, LOCAL)[0]
    found: list[Window] = []
    for half in HALF_LENGTHS:
        if n < 2 * half + 3:
            continue
        left, weight, moved = left_over(s.thumbs, half)
        t = np.arange(half, n - half)
        free = blocked_before[t + half + 1] - blocked_before[t - half + 1] == 0  # a cut at the first frame lies outside
        ok = free & (np.abs(weight[t] - 0.5) < 0.25) & (moved[t] > 4) & ~s.flat[t]
        t = t[ok][:: 1 if half < 8 else 2]
        linear = _median_within(local, half)
        t = t[left[t] < 1.7]
        t = t[s.structure(t - half, t + half) >= 0.22]
        if len(t):
            found += _scored(s, t, half, left, linear)
    return found


def _scored(s: Signals, t: Indices, half: int, left: Numbers, linear: Numbers) -> list[Window]:
    """The windows around frames t, scored by the dear tests too."""
    apart = np.minimum(s.structure(t - half, t + half), 1.0)
    detail = s.detail[t] / (0.5 * (s.detail[t - half] + s.detail[t + half]) + 1)
    dips = (detail <= MOST_DETAIL) & (apart >= 0.22)
    t, apart, detail = t[dips], apart[dips], detail[dips]
    blocks = np.minimum(s.far_blocks(t - half, t + half), 0.6)
    found = []
    for frame, a, b, d in zip(t, apart, blocks, detail, strict=True):
        evidence = 6 * (b - 0.2) + 3 * (a - 0.25) + 8 * (0.75 - d)
        if left[frame] <= LEFT_OVER and b >= 0.15:
            score = evidence + 3 * (LEFT_OVER - left[frame])
            found.append(Window(int(frame), half, float(score), "each frame between is a mixture of both sides"))
        elif half >= 8 and left[frame] < 1.5 and linear[frame] <= 0.3 and d <= 0.65 and b >= 0.33 and a >= 0.5:
            # Detail far below a half is no more mixture, but a window that reaches too far into the duller shot.
            evidence = 6 * (b - 0.2) + 3 * (a - 0.25) + 8 * (0.75 - max(d, 0.4)) + 8 * (0.3 - linear[frame])
            found.append(Window(int(frame), half, float(min(1.2, 0.5 * evidence - 1) + 0.01 * evidence), MOVING))
        elif left[frame] < 1.7 and d <= 0.7 and b >= 0.33 and a >= 0.7:  # or a fast camera and its blur: for a person to say
            found.append(Window(int(frame), half, PERHAPS - 0.01 * abs(half - 8), MOVING))
    return found


def left_over(thumbs: Numbers, half: int) -> tuple[Numbers, Numbers, Numbers]:
    """Of windows around every frame, each float32 [N]: what mixing leaves unexplained at three places between, relative to
    what half mixing would move; the new picture's weight in the middle; how far the ends are apart, mean square levels.

    Windows that reach over the ends have 9, 0, 0.
    """
    n = len(thumbs)
    left, weight, moved = np.full(n, 9, np.float32), np.zeros(n, np.float32), np.zeros(n, np.float32)
    for at in range(half, n - half, 2048):
        t = np.arange(at, min(at + 2048, n - half))
        if not len(t):
            continue
        old = thumbs[t - half]
        way = thumbs[t + half] - old
        length = np.einsum("nk,nk->n", way, way) + 1e-3
        rest = np.zeros(len(t), np.float32)
        for k in (-(half // 2), 0, half // 2):
            here = thumbs[t + k] - old
            along = np.einsum("nk,nk->n", here, way) / length
            rest += np.einsum("nk,nk->n", here, here) - along**2 * length
            if k == 0:
                weight[t] = along
        left[t] = rest / (0.75 * length)
        moved[t] = length / thumbs.shape[1]
    return left, weight, moved


def _median_within(values: Numbers, half: int) -> Numbers:
    padded = np.pad(values, half, mode="edge")
    made: Numbers = np.median(np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1)[:, ::2], axis=1)
    return made


def _extent(s: Signals, w: Window) -> tuple[int, int]:
    """(start, length) of a dissolve, DESIGN's way: at start + k the new picture weighs (k + 1) / (length + 1)."""
    if w.why == MOVING:  # steps between frames are mostly motion; the window is where the detail sank most
        return max(1, w.middle - w.half + 1), 2 * w.half - 1
    start, length = _by_steps(s, w.middle, w.half)
    return _by_steps(s, start + length // 2, max(2, length // 2))  # again, from its own middle


def _by_steps(s: Signals, middle: int, half: int) -> tuple[int, int]:
    """(start, length) of the dissolve around a middle that is about half + half frames long.

    While it lasts every step from frame to frame is the same picture, the difference of both shots by its length; before
    and after, steps are motion, and have nothing of that picture in them. So its share in each step is about 1 within and 0
    without. Taken in linear light or in the pictures' own values, whichever makes the steps more alike: editors' programs
    do either.
    """
    low, high = max(0, middle - 2 * half - 4), min(len(s) - 1, middle + 2 * half + 4)
    inner = np.arange(max(low, middle - half // 2 - 1), min(high, middle + half // 2 + 1) + 1)
    tried: list[tuple[float, Numbers]] = []
    for gamma in (1.0, 2.2):
        frames: Numbers = s.thumbs[low : high + 1]
        if gamma != 1:
            levels = np.maximum(frames[:, : s.quarter[0] * s.quarter[1]], 0)
            frames = ((levels / (WHITE_Y - BLACK_Y)) ** gamma).astype(np.float32)
        of_inner = frames[inner - low]
        time = (inner - inner.mean()).astype(np.float32)
        slope = time @ (of_inner - of_inner.mean(axis=0)) / (time @ time)  # [K], the step's picture
        share = np.diff(frames, axis=0) @ slope / (slope @ slope + 1e-12)  # share[k]: of the step into frame low + k + 1
        within = share[inner[1:] - low - 1]
        tried.append((float(within.std() / max(abs(float(within.mean())), 1e-3)), share.astype(np.float32)))
    uneven, share = min(tried, key=lambda t: t[0])
    if uneven > 0.35:
        share = _smooth(share, max(1, half // 4))
    first = last = int(np.clip(middle - low - 1, 0, len(share) - 1))
    while first > 0 and (share[first - 1] > WITHIN or (first > 1 and share[first - 2] > 2 * WITHIN)):
        first -= 1
    while last + 1 < len(share) and (share[last + 1] > WITHIN or (last + 2 < len(share) and share[last + 2] > 2 * WITHIN)):
        last += 1
    start, end = low + first + 1, low + last + 1  # the steps into frames start .. end; end is the new shot alone
    return start, max(1, end - start)


def _smooth(values: Numbers, reach: int) -> Numbers:
    """Means of `reach` neighbours, an odd number of them."""
    if reach < 2:
        return values
    reach += 1 - reach % 2
    padded = np.pad(values, reach // 2, mode="edge")
    return np.convolve(padded, np.ones(reach, np.float32) / reach, mode="valid").astype(np.float32)
