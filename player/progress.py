"""Progress of long work on one line: done, rate and time left."""

from __future__ import annotations

import time
from typing import TextIO


class Progress:
    """Prints 'done of total unit, rate a second, time left' at most four times a second on a terminal, and once in ten
    seconds elsewhere, so that a log stays readable. parts: how many steps of the work are one unit, where units are slow;
    then the unit's tenths are shown, and no rate."""

    def __init__(self, total: int, unit: str, out: TextIO, parts: int = 1):
        self.total, self.unit, self.out, self.parts = total, unit, out, parts
        self._begin_s = self._printed_s = time.perf_counter()
        self._terminal = out.isatty()

    def at(self, done: int) -> None:
        now_s = time.perf_counter()
        if now_s - self._printed_s < (0.25 if self._terminal else 10.0):
            return
        self._printed_s = now_s
        rate = done / (now_s - self._begin_s)
        left_s = round((self.total - done) / rate) if rate else 0
        done_text = f"{done} of {self.total}" if self.parts == 1 else f"{done / self.parts:.1f} of {self.total / self.parts:g}"
        rate_text = f", {rate:.1f} a second" if self.parts == 1 else ""
        line = f"{done_text} {self.unit}{rate_text}, {left_s // 60}:{left_s % 60:02d} left"
        self.out.write(f"\r{line}\x1b[K" if self._terminal else line + "\n")
        self.out.flush()

    def done(self, line: str) -> None:
        took_s = time.perf_counter() - self._begin_s
        self.out.write(("\r\x1b[K" if self._terminal else "") + f"{line} in {took_s:.1f} s\n")
        self.out.flush()
