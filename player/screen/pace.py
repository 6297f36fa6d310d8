"""When the next refresh is seen: a schedule where nothing else keeps time, a prediction where the screen does.

All times are time.perf_counter() seconds.
"""

from __future__ import annotations

import math
import time

FINAL_WAIT_S = 0.0004  # sleep() wakes late by about 0.1 ms on a quiet machine; the rest is waited for in small steps
LATE_ALLOWED = 0.5  # of a period: a picture that is ready this little after its slot is shown at once


def wait_until(when_s: float) -> float:
    """Sleeps until then and returns the time it is; gives the processor (and Python's lock) away all the while."""
    while (left_s := when_s - time.perf_counter()) > 0:
        time.sleep(left_s - FINAL_WAIT_S if left_s > 2 * FINAL_WAIT_S else 0.0)
    return time.perf_counter()


class Schedule:
    """Refreshes at origin + n / refresh_hz. A refresh that is missed skips whole slots: the grid itself never moves,
    so that nothing drifts and no two refreshes come close together to catch up."""

    def __init__(self, refresh_hz: float, origin_s: float | None = None):
        self.period_s = 1.0 / refresh_hz
        self._origin_s = time.perf_counter() if origin_s is None else origin_s
        self._slot = 0  # the last that was shown
        self._promised = 0  # the one that the picture now being drawn was made for

    def next_s(self, now_s: float) -> float:
        """The slot that a picture begun now can be shown in: the one after the last shown, or the first to come."""
        coming = math.ceil((now_s - self._origin_s) / self.period_s - 1e-9)
        self._promised = max(self._slot + 1, coming)
        return self._origin_s + self._promised * self.period_s

    def take(self, now_s: float) -> float:
        """Takes the slot for a picture that is ready now. Returns when it is to be shown: never before the time that
        next_s promised, and in the past by less than half a period when that has just been missed."""
        at = (now_s - self._origin_s) / self.period_s
        self._slot = max(self._slot + 1, self._promised, math.ceil(at - LATE_ALLOWED))
        return self._origin_s + self._slot * self.period_s

    def shown(self, stamp_s: float) -> float:
        """Says when the picture really was shown, which is late where the system woke us late. Returns stamp_s."""
        self._slot = max(self._slot, math.floor((stamp_s - self._origin_s) / self.period_s + LATE_ALLOWED))
        return stamp_s


class Beat:
    """The screen's own rhythm, from the stamps of its flips: a phase and a period that follow them slowly, since single
    stamps jitter by a millisecond or more."""

    def __init__(self, refresh_hz: float):
        self._nominal_s = self.period_s = 1.0 / refresh_hz
        self._phase_s: float | None = None
        self._seen = 0

    def flipped(self, stamp_s: float) -> None:
        """One flip, of the next refresh or of one some refreshes later."""
        if self._phase_s is None:
            self._phase_s, self._seen = stamp_s, 1
            return
        refreshes = max(round((stamp_s - self._phase_s) / self.period_s), 1)
        error_s = stamp_s - self._phase_s - refreshes * self.period_s
        if abs(error_s) > self.period_s or refreshes > 600:
            self._phase_s = stamp_s  # the machine slept, or the screen changed: begin again
            return
        self._seen += 1
        share = max(0.1, 1 / self._seen)  # the first flips count fully, then each a tenth
        self._phase_s += refreshes * self.period_s + share * error_s
        # The nominal rate of a mode is rounded to whole Hz: 59.94 says 60. It is never off by more than 2 %.
        period_s = self.period_s + 0.02 * error_s / refreshes
        self.period_s = min(max(period_s, 0.98 * self._nominal_s), 1.02 * self._nominal_s)

    def next_s(self, now_s: float) -> float:
        """The first flip after now_s that is expected; now_s + one period before the first flip was seen."""
        if self._phase_s is None:
            return now_s + self.period_s
        return self._phase_s + max(1, math.ceil((now_s - self._phase_s) / self.period_s)) * self.period_s
