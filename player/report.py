"""What happened: logs with repeats counted, flips and how late they were, cuts, memory; the numbers of --stats."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, TextIO

import numpy as np

from player.show.film import format_timecode
from player.show.show import Show
from player.sources.frame import Due
from player.state import ShowState, show_time_of

log = logging.getLogger("cineml.report")

REPEAT_S = 60.0  # a message that comes again and again is said once, then this often with its count
REPEATS_KEPT = 256
HEARTBEAT_S = 60.0
MEMORY_EVERY_S = 10.0
MEMORY_KEPT = 720  # two hours at 10 s; thinned by half when full, so weeks fit too
CUTS_KEPT = 5_000
PICTURES_KEPT = 64


def set_up_logging(level: int = logging.INFO, out: TextIO | None = None) -> None:
    """The logger 'cineml' writes to `out` (stderr), one line a message, repeats counted."""
    handler = LineHandler(out or sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S"))
    handler.addFilter(RepeatFilter())
    root = logging.getLogger("cineml")
    for old in list(root.handlers):
        if isinstance(old, LineHandler):
            root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    root.propagate = False


class LineHandler(logging.StreamHandler[TextIO]):
    """Ours, so that setting up twice replaces it and leaves the handlers of others alone."""


class RepeatFilter(logging.Filter):
    """Lets the same message of the same level through once, then every REPEAT_S with how often it came meanwhile.

    A fault in a loop of 60 refreshes a second must fill neither a disk nor a person's patience.
    """

    def __init__(self, every_s: float = REPEAT_S, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._every_s, self._now, self._lock = every_s, now, threading.Lock()
        self._seen: OrderedDict[tuple[int, str], tuple[float, int]] = OrderedDict()  # last said, swallowed since

    def filter(self, record: logging.LogRecord) -> bool:
        text, now_s = record.getMessage(), self._now()
        key = (record.levelno, text)
        with self._lock:  # any thread may log, and logging calls filters outside its own lock
            said_s, swallowed = self._seen.get(key, (-1e9, 0))
            if now_s - said_s < self._every_s:
                self._seen[key] = (said_s, swallowed + 1)
                return False
            self._seen[key] = (now_s, 0)
            self._seen.move_to_end(key)
            while len(self._seen) > REPEATS_KEPT:
                self._seen.popitem(last=False)
        if swallowed:
            record.msg, record.args = f"{text} (repeated {swallowed} times)", ()
        return True


class Histogram:
    """Counts of values >= 0 in bins of one width; what is beyond the last bin is counted in it. Fixed memory."""

    def __init__(self, width: float, bins: int) -> None:
        self.width = width
        self.counts = np.zeros(bins, np.int64)
        self.largest = 0.0

    def add(self, value: float) -> None:
        self.counts[min(max(int(value / self.width), 0), len(self.counts) - 1)] += 1
        self.largest = max(self.largest, value)

    @property
    def total(self) -> int:
        return int(self.counts.sum())

    def percentile(self, q: float) -> float | None:
        """The value below which q per cent lie, to half a bin; None when empty."""
        total = self.total
        if total == 0:
            return None
        index = int(np.searchsorted(np.cumsum(self.counts), max(total * q / 100.0, 1e-9)))
        return min((index + 0.5) * self.width, self.largest)


class Hearing(Protocol):
    """The clock, where it can say what is heard (clock.AudioClock)."""

    def heard_at(self, monotonic_s: float) -> float | None: ...


class Report:
    """Fed once a refresh by the loop. Memory does not grow with the length of the show.

    facts: Inference.facts. clock: where set, and where it can say what is heard, sound and picture are compared.
    """

    def __init__(self, show: Show, facts: Callable[[], Mapping[str, Any]], renderer: str = "", refresh_hz: float = 60.0,
                 clock: object = None) -> None:
        self.show, self.facts, self.renderer, self.refresh_hz, self.clock = show, facts, renderer, refresh_hz, clock
        self.refreshes = self.late = self.stale = self.missed_cuts = self.distinct = 0
        self.cuts: deque[dict[str, float | int | None]] = deque(maxlen=CUTS_KEPT)
        self.cuts_seen = 0
        self.rss_mib: list[list[float]] = []
        self._interval_ms = Histogram(0.1, 5_000)  # to half a second
        self._sync_ms = Histogram(0.1, 10_000)
        self._cut_ms = Histogram(0.1, 10_000)
        self._memory_every_s = MEMORY_EVERY_S
        self._first_s = self._last_s = 0.0
        self._first_flip_s = self._flipped_s = 0.0
        self._previous: ShowState | None = None
        self._waiting: dict[str, float | int | None] | None = None
        self._waiting_shot = 0
        self._shown: OrderedDict[tuple[float, int, int, str], None] = OrderedDict()
        self._by_source: dict[str, int] = {}
        self._beat_s = 0.0
        self._beat = (0, 0, 0, 0.0)
        self.overlay_lines: tuple[str, ...] = ()

    def flipped(self, state: ShowState, due: Due, target_s: float, flipped_s: float) -> None:
        """One refresh was presented at flipped_s, meant for target_s (both perf_counter seconds)."""
        if self.refreshes == 0:
            self._first_s, self._first_flip_s, self._beat_s = state.show_time_s, flipped_s, flipped_s
            self._beat = (0, 0, 0, flipped_s)
        else:
            self._interval_ms.add((flipped_s - self._flipped_s) * 1e3)
        self.refreshes += 1
        late_s = flipped_s - target_s
        self.late += late_s > 0.5 / self.refresh_hz
        self.stale += due.stale
        self._last_s, self._flipped_s = state.show_time_s, flipped_s
        self._count_picture(due)
        self._watch_cut(state, due, state.show_time_s + late_s)
        if (heard := getattr(self.clock, "heard_at", None)) is not None:
            heard_s = heard(flipped_s + state.delay_ms / 1e3)
            if heard_s is not None:
                self._sync_ms.add(abs(state.show_time_s - heard_s) * 1e3)
        if not self.rss_mib or state.show_time_s - self.rss_mib[-1][0] >= self._memory_every_s:
            self._take_memory(state.show_time_s)
        if flipped_s - self._beat[3] >= 1.0:
            self._renew_overlay(flipped_s)
        if flipped_s - self._beat_s >= HEARTBEAT_S:
            self._beat_s = flipped_s
            self.heartbeat(state)
        self._previous = state

    def heartbeat(self, state: ShowState) -> None:
        """One line a minute, so that a log shows a player that lives, and when it began to suffer."""
        at = format_timecode(state.place.frame, self.show.film.rate)
        log.info("%s frame %d shot %d, %.1f refreshes a second, %d late of %d, %d pictures, %.0f MiB", at,
                 state.place.frame, state.mix.shot.number, self._rate(self._interval_ms), self.late, self.refreshes,
                 self.distinct, self.rss_mib[-1][1] if self.rss_mib else 0.0)

    def stats(self) -> dict[str, Any]:
        """The numbers of --stats, with exactly the keys of DESIGN section 6; what does not apply is None."""
        facts = self.facts()
        played_s = self._last_s - self._first_s
        model = facts.get("model_ms")
        return {
            "refreshes": self.refreshes,
            "late": self.late,
            "refresh_hz": self.refresh_hz,
            "cuts": [dict(c) for c in self.cuts],
            "pictures": facts.get("pictures"),
            "distinct_pictures_per_s": round(self.distinct / played_s, 3) if played_s > 0 else None,
            "model_ms": {key: _rounded(model.get(key), 2) for key in ("p50", "p99")} if isinstance(model, Mapping) else None,
            "provider": facts.get("provider"),
            "renderer": self.renderer or None,
            "sync_ms": _spread(self._sync_ms) if self._sync_ms.total else None,
            "rss_mib": [list(pair) for pair in self.rss_mib],
        }

    def write(self, path: Path) -> None:
        """stats() as JSON, beside its place and renamed there. Raises OSError, and leaves nothing half written."""
        part = path.with_name(path.name + ".part")
        try:
            part.write_text(json.dumps(self.stats(), indent=1, allow_nan=False, default=float) + "\n", encoding="utf-8")
            os.replace(part, path)
        except OSError:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            raise

    def summary(self) -> str:
        """One line for the log at the end."""
        share = 100.0 * self.late / self.refreshes if self.refreshes else 0.0
        worst = self._cut_ms.largest
        return (f"{self.refreshes} refreshes, {self.late} late ({share:.1f} %), {self.distinct} pictures shown, "
                f"{self.cuts_seen} cuts" + (f", the latest {worst:.0f} ms after its time" if self.cuts_seen else ""))

    def trouble(self) -> dict[str, Any]:
        """What went wrong on the way, and who made what was shown; beside stats(), whose keys are a format.

        stale: refreshes that showed an older shot's picture. missed_cuts: shots that passed without one of theirs.
        by_fallback, missed: pictures made by the fallback, and by nobody. faults: {text: count}. shown: {source: count}
        of different pictures.
        """
        facts = self.facts()
        return {"stale": self.stale, "missed_cuts": self.missed_cuts, "by_fallback": facts.get("by_fallback") or 0,
                "missed": facts.get("missed") or 0, "faults": dict(facts.get("faults") or {}),
                "shown": dict(sorted(self._by_source.items()))}

    def _count_picture(self, due: Due) -> None:
        if due.shot is None:
            return
        a = due.shot.a
        key = (a.show_time_s, a.epoch, a.shot, a.source)
        if key in self._shown:
            return
        self._shown[key] = None
        if len(self._shown) > PICTURES_KEPT:
            self._shown.popitem(last=False)
        self.distinct += 1
        self._by_source[a.source] = self._by_source.get(a.source, 0) + 1

    def _watch_cut(self, state: ShowState, due: Due, shown_s: float) -> None:
        """A cut is seen when the film plays into a new shot, not when someone seeks there; it is shown at the first
        refresh with a picture that was made for the new shot."""
        before, shot = self._previous, state.mix.shot
        if before is not None:
            played_on = before.transport.epoch == state.transport.epoch and not state.freeze and not before.freeze
            moved = before.mix.shot.number != shot.number or _began_again(before, state)
            if not played_on or moved:
                self._give_up_cut()
            if played_on and moved and not state.place.in_pause:
                self._expect_cut(state)
        if self._waiting is not None and due.shot is not None and not due.stale and due.shot.a.shot == self._waiting_shot:
            cut, self._waiting = self._waiting, None
            cut["shown_s"] = round(shown_s, 6)
            self._cut_ms.add(max(shown_s - float(cut["due_s"] or 0.0), 0.0) * 1e3)

    def _expect_cut(self, state: ShowState) -> None:
        shot = state.mix.shot
        due_s = show_time_of(state.transport, state.place, shot.start, self.show)
        if not np.isfinite(due_s):
            return
        self._waiting = {"frame": shot.start, "due_s": round(due_s, 6), "shown_s": None}
        self._waiting_shot = shot.number
        self.cuts_seen += 1
        self.cuts.append(self._waiting)

    def _give_up_cut(self) -> None:
        if self._waiting is not None:
            self.missed_cuts += 1
            self._waiting = None

    def _take_memory(self, show_time_s: float) -> None:
        self.rss_mib.append([round(show_time_s, 2), round(resident_mib(), 1)])
        if len(self.rss_mib) >= MEMORY_KEPT:
            del self.rss_mib[1::2]
            self._memory_every_s *= 2

    def _renew_overlay(self, flipped_s: float) -> None:
        refreshes, late, distinct, then_s = self._beat
        seconds = flipped_s - then_s
        memory = self.rss_mib[-1][1] if self.rss_mib else 0.0
        self.overlay_lines = (
            f"{(self.refreshes - refreshes) / seconds:.1f} refreshes a second   {self.late - late} late   "
            f"{(self.distinct - distinct) / seconds:.1f} pictures a second   {self.late} late of {self.refreshes} in all",
            f"sound to picture {_ms(self._sync_ms.percentile(50))}   memory {memory:.0f} MiB")
        self._beat = (self.refreshes, self.late, self.distinct, flipped_s)

    def _rate(self, intervals: Histogram) -> float:
        played_s = self._flipped_s - self._first_flip_s
        return intervals.total / played_s if played_s > 0 else 0.0


def _began_again(before: ShowState, state: ShowState) -> bool:
    """Whether the film has come round between two refreshes of one epoch. Another rate, loop or pause counts its loops
    from 0 anew, from the position where the film is; loops tell nothing then, and the film frame does."""
    if before.transport == state.transport:
        return before.place.loops != state.place.loops
    return state.place.frame < before.place.frame


def resident_mib() -> float:
    """Resident memory of this process, MiB; 0 where the system does not say."""
    try:
        with open("/proc/self/statm", "rb") as f:
            return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    except (OSError, ValueError, IndexError):
        pass
    try:
        import psutil

        return float(psutil.Process().memory_info().rss) / 2**20
    except (ImportError, OSError):
        return 0.0


def _spread(histogram: Histogram) -> dict[str, float | None]:
    return {"p50": _rounded(histogram.percentile(50)), "p99": _rounded(histogram.percentile(99))}


def _rounded(value: float | None, digits: int = 3) -> float | None:
    return None if value is None else round(value, digits)


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} ms"
