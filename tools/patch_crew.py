"""Threads that share out the bands of a kernel, and how many there are."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType

SHARES_A_THREAD = 4  # bands differ in work where a mask or the convergence says so: small shares even it out


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Crew:
    """A with-block's worth of threads; count 0 for one a core. With 1, all runs in the calling thread."""

    def __init__(self, count: int):
        self.count = count or cores()
        self._pool = ThreadPoolExecutor(self.count, "patch") if self.count > 1 else None

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None) -> None:
        if self._pool is not None:  # after Ctrl-C too: kernels cannot be stopped, and must not outlive their arrays
            self._pool.shutdown(wait=True, cancel_futures=True)

    def share(self, bands: int, deed: Callable[[int, int], int]) -> int:
        """deed(first, last) for runs of bands that cover 0..bands; the sum of what they return."""
        shares = min(bands, self.count * SHARES_A_THREAD)
        if self._pool is None or shares < 2:
            return deed(0, bands) if bands else 0
        edges = [bands * i // shares for i in range(shares + 1)]
        return sum(self._pool.map(deed, edges[:-1], edges[1:]))
