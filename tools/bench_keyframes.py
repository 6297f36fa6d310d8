"""`cineml bench keyframes`: the engine, what it makes of keys, how many keys a film needs, and keys painted together, each
beside its baseline of the same run. Every CPU time is of all threads of this process."""

from __future__ import annotations

from collections.abc import Sequence

from player.show.problem import Problem, ShowError
from tools.bench import Row

PARTS = ("engine", "quality", "counts", "painted")


def measure(only: Sequence[str] | None) -> list[Row]:
    """The rows of the parts asked for. Raises ShowError for unknown parts."""
    parts = list(only or PARTS)
    if unknown := sorted(set(parts) - set(PARTS)):
        raise ShowError(Problem("--only", ",".join(unknown), ", ".join(PARTS)))
    found: list[Row] = []
    if "engine" in parts:
        from tools.bench_keyframes_engine import rows as engine

        found += engine()
    if "quality" in parts:
        from tools.bench_keyframes_quality import rows as quality

        found += quality()
    if "counts" in parts:
        from tools.bench_keyframes_counts import rows as counts

        found += counts()
    if "painted" in parts:
        from tools.bench_keyframes_painted import rows as painted

        found += painted()
    return found
