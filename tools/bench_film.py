"""`cineml bench film`: cuts, sorting, dataset and remap, each beside its baseline of the same run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from player.show.problem import Problem, ShowError
from tools.bench import Row

PARTS = ("cuts", "sorting", "dataset", "remap")


def measure(only: Sequence[str] | None, score: Path | None = None) -> list[Row]:
    """The rows of the parts asked for. score: a finished score of the demo for `remap` (default: the demo's own).

    Raises ShowError for unknown parts.
    """
    parts = list(only or PARTS)
    if unknown := sorted(set(parts) - set(PARTS)):
        raise ShowError(Problem("--only", ",".join(unknown), ", ".join(PARTS)))
    found: list[Row] = []
    if "cuts" in parts:
        from tools.bench_film_cuts import rows as cuts

        found += cuts()
    if "sorting" in parts:
        from tools.bench_film_sorting import rows as sorting

        found += sorting()
    if "dataset" in parts:
        from tools.bench_film_dataset import rows as dataset

        found += dataset()
    if "remap" in parts:
        from tools.bench_film_remap import Case
        from tools.bench_film_remap import rows as remap

        found += remap(Case(score=score)) if score is not None else remap(Case())
    return found
