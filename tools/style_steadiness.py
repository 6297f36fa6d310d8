"""E_warp of stylised films beside their original's own, pair by pair, along the original's flow.

For frames t and t + k of one shot, with the ORIGINAL's flow: e(F, t) = mean over pixels that both frames show, and over three
channels, of (F_t - F_{t+k} warped to t)^2, F in 0..1 (Lai et al. 2018, equation 12; what both show: Ruder et al. 2016,
equations 5 and 6). The number of a shot, or of a film, is the mean over its pairs; its excess is that less the original's own,
over the same pairs and the same pixels. k is 1 and 5.

On strong grain a flow follows the grain, and strokes that lie still are then taken for moving ones. Where there is the same
film without its grain, that one's flow is taken in the place of the original's.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tools.keyframes_flow import flow
from tools.keyframes_measure import seen_in_both, warp_error
from tools.keyframes_suggest_shots import Span
from tools.style_distances import content_distance, sharpness, slope2

Picture = NDArray[np.uint8]
Speed = Literal["ultrafast", "fast", "medium"]
STEPS = (1, 5)


class Shown(NamedTuple):
    """One frame, uint8 [H, W, 3] each: of the original, of each stylised film, and of the film whose flow is followed where
    that is not the original."""

    own: Picture
    made: tuple[Picture, ...]
    guide: Picture | None = None


@dataclass(frozen=True)
class Pair:
    """Frames `frame` and `frame` + step. own: e of the original; made: of each stylised film; nan where nothing is seen in
    both. seen: share of the pixels that count."""

    frame: int
    step: int
    own: float
    made: tuple[float, ...]
    seen: float


@dataclass(frozen=True)
class Still:
    """One frame by itself. sharp, slope: of the original, then of each stylised film. content: of each stylised film."""

    frame: int
    sharp: tuple[float, ...]
    slope: tuple[float, ...]
    content: tuple[float, ...]


@dataclass(frozen=True)
class Steadiness:
    """All pairs and all frames of a part of a film, in order."""

    pairs: tuple[Pair, ...]
    stills: tuple[Still, ...]

    def within(self, start: int, end: int) -> Steadiness:
        """Of the frames [start, end) alone."""
        return Steadiness(tuple(p for p in self.pairs if start <= p.frame < end),
                          tuple(s for s in self.stills if start <= s.frame < end))  # fmt: skip

    def e_warp(self, film: int, step: int) -> float:
        """The mean over pairs; film -1: of the original. nan where there is no pair."""
        return mean([p.own if film < 0 else p.made[film] for p in self.pairs if p.step == step])

    def excess(self, film: int, step: int) -> float:
        """e_warp of a stylised film less the original's own, over the same pairs."""
        return mean([p.made[film] - p.own for p in self.pairs if p.step == step])

    def sharp(self, film: int) -> float:
        """Mean sharpness; film -1: of the original."""
        return mean([s.sharp[film + 1] for s in self.stills])

    def slope(self, film: int) -> float:
        return mean([s.slope[film + 1] for s in self.stills])

    def content(self, film: int) -> float:
        return mean([s.content[film] for s in self.stills])


def mean(values: Sequence[float]) -> float:
    """Of those that are numbers; nan where none is."""
    kept = [v for v in values if math.isfinite(v)]
    return float(np.mean(kept)) if kept else math.nan


def motion_of(here: Shown, later: Shown, speed: Speed = "medium") -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """(where each pixel goes, float32 [H, W, 2]; whether both frames show it, bool [H, W])."""
    a, b = (s.own if s.guide is None else s.guide for s in (here, later))
    there, back = flow(a, b, speed), flow(b, a, speed)
    return there, seen_in_both(there, back)


def pair_of(frame: int, step: int, here: Shown, later: Shown, speed: Speed = "medium") -> Pair:
    """The pair. All pictures of one size."""
    there, seen = motion_of(here, later, speed)
    own = warp_error(here.own, later.own, there, seen)
    made = tuple(warp_error(a, b, there, seen) for a, b in zip(here.made, later.made, strict=True))
    return Pair(frame, step, own, made, float(seen.mean()))


def still_of(frame: int, shown: Shown) -> Still:
    """A frame's own numbers."""
    pictures = (shown.own, *shown.made)
    content = tuple(content_distance(p, shown.own) for p in shown.made)
    return Still(frame, tuple(map(sharpness, pictures)), tuple(map(slope2, pictures)), content)


def steadiness(frames: Iterable[tuple[int, Shown]], spans: Sequence[Span], *, speed: Speed = "medium", threads: int = 1,
               tick: Callable[[int], None] = lambda done: None) -> Steadiness:  # fmt: skip
    """All pairs within the spans, and all frames. frames: (film frame, pictures), in order. threads: the numbers are the same
    whatever their number. tick: told how many frames are read."""
    import cv2

    own_threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # before the pool: flow() puts back what it found, and must find one everywhere
    pairs: list[Pair] = []
    stills: list[Still] = []
    waiting: deque[Future[Pair] | Future[Still]] = deque()

    def collect(most: int) -> None:
        while len(waiting) > most:
            found = waiting.popleft().result()
            if isinstance(found, Pair):
                pairs.append(found)
            else:
                stills.append(found)

    pool = ThreadPoolExecutor(max(1, threads))
    try:
        held: deque[tuple[int, Shown]] = deque(maxlen=max(STEPS) + 1)
        for done, (number, shown) in enumerate(frames, 1):
            held.append((number, shown))
            waiting.append(pool.submit(still_of, number, shown))
            for step, earlier in counted(number, held, spans):
                waiting.append(pool.submit(pair_of, number - step, step, earlier, shown, speed))
            collect(3 * threads)
            tick(done)
        collect(0)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        cv2.setNumThreads(own_threads)
    return Steadiness(tuple(sorted(pairs, key=lambda p: (p.frame, p.step))), tuple(stills))


def counted(number: int, held: Iterable[tuple[int, Shown]], spans: Sequence[Span]) -> Iterator[tuple[int, Shown]]:
    """(step, the earlier frame) of the pairs that end at a frame: both within the clear part of one shot."""
    at = dict(held)
    for span in spans:
        if span.clear_start <= number < span.clear_end:
            yield from ((k, at[number - k]) for k in STEPS if number - k >= span.clear_start and number - k in at)


def worst_of(found: Steadiness, film: int, count: int, apart: int) -> list[Pair]:
    """The pairs over one frame with the greatest excess of a film, the worst first, at least `apart` frames from each other."""
    chosen: list[Pair] = []
    for pair in sorted((p for p in found.pairs if p.step == 1 and math.isfinite(p.made[film] - p.own)),
                       key=lambda p: p.own - p.made[film]):  # fmt: skip
        if len(chosen) >= count:
            break
        if all(abs(pair.frame - other.frame) >= apart for other in chosen):
            chosen.append(pair)
    return chosen
