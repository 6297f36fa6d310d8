"""The clock tells show time: seconds that never jump and never run backwards, on through pause, seek and loop.

Sound is master where there is sound: the samples that the loudspeaker has played are the time, and the picture leans
after them, by half a per cent at most. Show time s is the moment at which sample s * 48000 is heard.
"""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

log = logging.getLogger("cineml.clock")

SAMPLE_RATE_HZ = 48_000
MAX_LEAN = 0.005  # show seconds a second: a film at 24.1 instead of 24 frames is not seen
LEAN_OVER_S = 1.0  # an error is leant away over about this long
RESYNC_S = 0.02  # farther apart than this, which only a break in the sound does, the sound is moved to the picture
FRESH_RESYNC_S = 0.002  # ... and after a break that the driver told of: the ear has lost its place already
WINDOW_S = 20.0  # pairs older than this are forgotten: a crystal drifts with its temperature, over minutes
MAX_DRIFT = 0.001  # a sound card is never farther from the machine's own clock than this; more is a wrong fit
SLOPE_AFTER_S = 4.0  # a line through less than this says more about jitter than about drift
SETTLE_S = 0.3  # of callbacks before a stream is believed
PAIR_EVERY_S = 0.02  # pairs that come faster say nothing new (a buffer that is filled at start, all at once)
KEEP_EVERY_S = 0.05  # ... and 400 of them make the line as good as 1000
REFIT_S = 0.1  # between two fits; a fit through 400 pairs takes 0.2 ms
DEAD_AFTER_S = 1.0  # no callback for this long: the device has gone
JITTER_S = 0.05  # DAC times may lie this far off a line before they are called wrong


class Clock(Protocol):
    """Says show time. name: audio, wall or manual, as it is now."""

    @property
    def name(self) -> str: ...

    def show_time_at(self, monotonic_s: float) -> float:
        """Show time, seconds, at a time of time.perf_counter(), which may lie a little ahead. Never less than what it
        said before for an earlier time."""
        ...


class Pair(NamedTuple):
    """What the audio callback publishes, taken together in one block.

    samples: show time of the block's first sample, in samples. dac_s: when it will be heard, in the stream's clock (0
    or wrong with some drivers). stream_s, perf_s: the stream's clock and time.perf_counter() now. latency_s: what the
    driver claims. anchor: changes whenever `samples` was moved, and when the stream began anew or broke off: older pairs
    say nothing then.
    """

    samples: int
    dac_s: float
    stream_s: float
    perf_s: float
    latency_s: float = 0.0
    anchor: int = 0


class PairSource(Protocol):
    """The soundtrack, as the clock sees it."""

    @property
    def published(self) -> Pair | None: ...

    def move(self, samples: int) -> None:
        """Plays on `samples` later (earlier if negative) in show time, from the next block, with a new anchor."""
        ...


@dataclass(frozen=True)
class Line:
    """samples_s = offset_s + slope * (perf_s - origin_s): show seconds heard at a time of perf_counter."""

    origin_s: float
    offset_s: float
    slope: float

    def at(self, perf_s: float) -> float:
        return self.offset_s + self.slope * (perf_s - self.origin_s)


def heard_at_s(pair: Pair, counted: bool = False) -> float:
    """When the pair's sample is heard, on the perf_counter axis.

    The stream's clock may be the wall clock, which NTP steps; only its distance to its own "now" is used. counted: do
    not believe the driver's DAC time, take the callback's own time and the claimed latency.
    """
    return pair.perf_s + (pair.latency_s if counted else pair.dac_s - pair.stream_s)


def plausible(pair: Pair) -> bool:
    """Whether one DAC time can be right: it is there, not long past and not seconds ahead."""
    return pair.dac_s > 0.0 and math.isfinite(pair.dac_s) and -0.02 <= pair.dac_s - pair.stream_s <= 2.0


def dac_times_are_right(pairs: Sequence[Pair]) -> bool:
    """The plausibility check at start: most DAC times are possible, and they advance with the samples.

    pairs: at least 3, of one anchor, from a stream that has filled its buffer.
    """
    good = [p for p in pairs if plausible(p)]
    if len(good) < max(3, len(pairs) * 3 // 4):
        return False
    offsets = np.array([heard_at_s(p) - p.samples / SAMPLE_RATE_HZ for p in good])
    return bool(np.median(np.abs(offsets - np.median(offsets))) < JITTER_S)


def fit(heard_s: Sequence[float], samples: Sequence[int]) -> Line:
    """A robust line through (time heard, samples), at least one of each.

    Least squares on the distance between the two clocks (numbers near zero, so no precision is lost after weeks),
    twice without the points farther off than 4 median deviations. Under SLOPE_AFTER_S of points: slope 1, median.
    """
    x = np.asarray(heard_s, dtype=np.float64)
    origin_s = float(x[-1])
    x = x - origin_s
    y = np.asarray(samples, dtype=np.float64) / SAMPLE_RATE_HZ - x  # what one clock is ahead of the other
    if x[-1] - x[0] < SLOPE_AFTER_S or len(x) < 8:
        return Line(origin_s, float(np.median(y)), 1.0)
    keep = np.abs(y - np.median(y)) < JITTER_S
    if keep.sum() < len(x) // 2:
        return Line(origin_s, float(np.median(y)), 1.0)
    slope = offset = 0.0
    for _ in range(3):
        xk, yk = x[keep], y[keep]
        mean = xk.mean()
        spread = float(((xk - mean) ** 2).sum())
        slope = float(((xk - mean) * (yk - yk.mean())).sum()) / spread if spread > 0 else 0.0
        slope = min(max(slope, -MAX_DRIFT), MAX_DRIFT)
        offset = float(yk.mean() - slope * mean)
        off = np.abs(y - offset - slope * x)
        keep = off <= max(4.0 * float(np.median(off)), 1e-5)
    return Line(origin_s, offset, 1.0 + slope)


def settled_pairs(source: PairSource, timeout_s: float = 3.0) -> list[Pair]:
    """The pairs of a stream that has just begun, over SETTLE_S, without those of the blocks that fill its buffer, whose
    DAC times are too early by its length. Waits for them; empty when the stream does not run within timeout_s."""
    begin_s = time.perf_counter()
    pairs: list[Pair] = []
    while time.perf_counter() - begin_s < timeout_s:
        pair = source.published
        if pair is not None and (not pairs or pair.perf_s - pairs[-1].perf_s >= PAIR_EVERY_S):
            pairs.append(pair)
            if len(pairs) >= 6 and pair.perf_s - pairs[0].perf_s >= SETTLE_S:
                return pairs[2:]
        time.sleep(0.004)
    return []


class ManualClock:
    """Time stands where the loop puts it: rendering and tests."""

    name = "manual"

    def __init__(self, now_s: float = 0.0) -> None:
        self.now_s = now_s

    def show_time_at(self, monotonic_s: float) -> float:
        return self.now_s


class WallClock:
    """The machine's monotonic clock, from start_s of perf_counter; None: from now."""

    name = "wall"

    def __init__(self, start_s: float | None = None) -> None:
        self.start_s = time.perf_counter() if start_s is None else start_s

    def show_time_at(self, monotonic_s: float) -> float:
        return monotonic_s - self.start_s


class AudioClock:
    """Show time from the samples that were heard. Asked from one thread, once a refresh.

    Shown time is a line that is bent a little at each asking, towards the line fitted through the pairs: it leans, at
    most MAX_LEAN, and never jumps. After a break in the sound (an underrun, a suspended machine, a new stream) the
    sound is moved instead, with one line in the log. Without callbacks it runs on as a wall clock.
    """

    def __init__(self, source: PairSource, pairs: Sequence[Pair] | None = None,
                 now: Callable[[], float] = time.perf_counter) -> None:
        """source: a started soundtrack. pairs: what it published while it settled; None: waits for them, SETTLE_S as a
        rule. Show time begins as the samples heard; at 0 where none come. now: the clock of Pair.perf_s."""
        self._source, self._now = source, now
        self._pairs: deque[tuple[float, int]] = deque()
        self._anchor = -1
        self._anchor_perf_s = 0.0
        self._last: Pair | None = None
        self._line: Line | None = None
        self._drift = 1.0  # of the last line: the best guess while there is none
        self._fitted_s = -math.inf
        self._dead = False
        self._wrong = 0
        self._moving = False
        self.resyncs = 0
        if pairs is None:
            pairs = settled_pairs(source)
        self._counted = bool(pairs) and not dac_times_are_right(pairs)
        if self._counted:
            log.warning("the sound driver's DAC times are not plausible: counting samples against the machine's clock")
        for pair in pairs:
            self._take(pair)
        self._fresh = not pairs
        start_s = pairs[-1].perf_s if pairs else time.perf_counter()
        if self._pairs:
            self._fit()
            log.info("the show runs by the sound's clock")
        else:
            log.warning("the sound stream does not run: the show runs by the wall clock")
        self._shown = Line(start_s, self._line.at(start_s) if self._line else 0.0, self._drift)

    @property
    def name(self) -> str:
        """audio, or wall while no sound comes."""
        return "wall" if self._dead or self._line is None else "audio"

    @property
    def counted(self) -> bool:
        """Whether the driver's DAC times were found wrong and samples are counted against callbacks instead."""
        return self._counted

    def heard_at(self, monotonic_s: float) -> float | None:
        """Show time of the sample that is heard at a time, unsmoothed, for measuring; None while no sound comes."""
        return self._line.at(monotonic_s) if self._line is not None and not self._dead else None

    def show_time_at(self, monotonic_s: float) -> float:
        pair = self._source.published
        if pair is not None and pair != self._last:
            self._take(pair)
        # Silent as of now: the time asked for may lie a second ahead, for a projector that shows pictures that late.
        if self._last is not None and not self._dead and self._now() - self._last.perf_s > DEAD_AFTER_S:
            log.warning("the sound stopped; the picture goes on by the wall clock")
            self._dead = True
        if self._pairs and (self._line is None or monotonic_s - self._fitted_s > REFIT_S):
            self._fit(monotonic_s)
        shown_s = self._shown.at(monotonic_s)
        if monotonic_s <= self._shown.origin_s:
            return shown_s
        slope = self._drift
        if self._line is not None and not self._dead and not self._settling():
            error_s = self._line.at(monotonic_s) - shown_s
            limit_s = FRESH_RESYNC_S if self._fresh else RESYNC_S
            if abs(error_s) > limit_s:
                self._move_sound(error_s)
            else:
                slope = self._drift + min(max(error_s / LEAN_OVER_S, -MAX_LEAN), MAX_LEAN)
            self._fresh = False
        self._shown = Line(monotonic_s, shown_s, slope)
        return shown_s

    def _settling(self) -> bool:
        return self._last is not None and self._last.perf_s - self._anchor_perf_s < SETTLE_S and self._fresh

    def _take(self, pair: Pair) -> None:
        """One pair into the window."""
        if pair.anchor != self._anchor:
            if self._dead:
                log.info("sound again; it joins the picture")
            self._fresh, self._moving, self._dead = not self._moving, False, False
            self._anchor, self._anchor_perf_s = pair.anchor, pair.perf_s
            self._pairs.clear()
            self._line = None
        elif self._dead:
            log.info("the sound goes on")
            self._dead = False
        self._last = pair
        if self._moving:  # a block of before the move: it says nothing about after
            return
        if not self._counted and not plausible(pair):
            self._wrong += 1
            if self._wrong == 50:
                log.warning("the sound driver's DAC times have become wrong; counting samples instead")
                self._counted = True
                self._pairs.clear()
            return
        self._wrong = 0
        heard_s = heard_at_s(pair, self._counted)
        if not self._pairs or heard_s - self._pairs[-1][0] >= KEEP_EVERY_S:
            self._pairs.append((heard_s, pair.samples))
        elif heard_s < self._pairs[-1][0] - JITTER_S:  # the clock behind the DAC times was set back in mid-block
            self._pairs.clear()
            self._pairs.append((heard_s, pair.samples))

    def _fit(self, monotonic_s: float = -math.inf) -> None:
        self._fitted_s = monotonic_s
        newest_s = self._pairs[-1][0]
        while self._pairs and newest_s - self._pairs[0][0] > WINDOW_S:
            self._pairs.popleft()
        if len(self._pairs) >= 8:
            # A jump that stays (an underrun) must not be averaged over the window: what lies before it is forgotten.
            pairs = list(self._pairs)
            ahead = np.array([s / SAMPLE_RATE_HZ - h for h, s in pairs])
            recent = np.median(ahead[-5:])
            jump_s = JITTER_S if self._counted else JITTER_S / 10
            if abs(recent - np.median(ahead[:-5])) > jump_s and np.ptp(ahead[-5:]) < jump_s:
                joined = np.flatnonzero(np.abs(ahead - recent) > jump_s)
                for _ in range(int(joined[-1]) + 1 if len(joined) else 0):
                    self._pairs.popleft()
        self._line = fit([h for h, _ in self._pairs], [s for _, s in self._pairs])
        if len(self._pairs) > 1 and self._pairs[-1][0] - self._pairs[0][0] >= SLOPE_AFTER_S:
            self._drift = self._line.slope

    def _move_sound(self, error_s: float) -> None:
        self.resyncs += 1
        log.log(logging.INFO if abs(error_s) < RESYNC_S else logging.WARNING,
                "the sound broke off and is %.0f ms apart; it moves to the picture", abs(error_s) * 1e3)
        self._moving = True
        self._source.move(-round(error_s * SAMPLE_RATE_HZ))
        self._pairs.clear()
        self._line = None
