"""Names of sample grids: grids/KIMG.png, thousands of pictures with three decimals, so that no tick writes over another.

A run may hold names without decimals, of `cineml gan distill` and of older runs: they are read alike.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

MOST_DECIMALS = 3


def grid_name(pictures: int) -> str:
    """'000012.345.png' for 12345 pictures: names sort as their numbers do."""
    return f"{pictures // 1000:06d}.{pictures % 1000:03d}.png"


def grid_kimg(path: Path) -> float | None:
    """Thousands of pictures by a grid's name; None for a file that is no grid."""
    found = re.fullmatch(r"(\d{1,12}(?:\.\d{3})?)\.png", path.name, re.ASCII)
    return float(found[1]) if found else None


def decimals_of(kimgs: Iterable[float]) -> int:
    """The fewest decimals, 0 to 3, with which different numbers of one run look different."""
    known = set(kimgs)
    return next((n for n in range(MOST_DECIMALS) if len({f"{k:.{n}f}" for k in known}) == len(known)), MOST_DECIMALS)
