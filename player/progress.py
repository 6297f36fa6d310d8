"""Progress of long work on one line: done, rate and time left."""

from __future__ import annotations

import time
from typing import TextIO


class Progress:
    """Prints 'done of total unit, rate a second, time left' at most four times a second on a terminal, and once in ten
    seconds elsewhere, so that a log stays readable."""

    def __init__(self, total: int, unit: str, out: TextIO):
        self.total, self.unit, self.out = total, unit, out
        self._begin_s = self._printed_s = time.perf_counter()
        self._terminal = out.isatty()

    def at(self, done: int) -> None:
        now_s = time.perf_counter()
        if now_s - self._printed_s < (0.25 if self._terminal else 10.0):
            return
        self._printed_s = now_s
        rate = done / (now_s - self._begin_s)
        left_s = round((self.total - done) / rate) if rate else 0
        line = f"{done} of {self.total} {self.unit}, {rate:.1f} a second, {left_s // 60}:{left_s % 60:02d} left"
        self.out.write(f"\r{line}\x1b[K" if self._terminal else line + "\n")
        self.out.flush()

    def done(self, line: str) -> None:
        took_s = time.perf_counter() - self._begin_s
        self.out.write(("\r\x1b[K" if self._terminal else "") + f"{line} in {took_s:.1f} s\n")
        self.out.flush()
