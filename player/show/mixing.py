"""How much of a shot's own source is seen over the one that lies under it: one weight, or key points along the film."""

from __future__ import annotations

import bisect
import itertools
import math
from typing import Any

Mixing = float | tuple[tuple[int, float], ...]
"""A weight 0..1 in linear light, or key points (film frame, weight) in the order of their frames."""

ALLOWED = "0 to 1, or key points [[film frame, 0 to 1], ...] in the order of their frames"
_MOST_FRAMES = 2**31


def weight_at(mix: Mixing, frame: int) -> float:
    """The weight at a film frame: between key points along a straight line, outside them held."""
    if isinstance(mix, (int, float)):
        return float(mix)
    after = bisect.bisect_right(mix, frame, key=lambda point: point[0])
    if after in (0, len(mix)):
        return mix[min(after, len(mix) - 1)][1]
    (a, low), (b, high) = mix[after - 1], mix[after]
    return low + (high - low) * (frame - a) / (b - a)


def _is_weight(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and 0 <= value <= 1


def mixing_from(value: Any) -> Mixing | None:
    """A mix as it stands in a score; None where it is none."""
    if _is_weight(value):
        return float(value)
    if not isinstance(value, list) or not value or not all(isinstance(p, list) and len(p) == 2 for p in value):
        return None
    frames = [point[0] for point in value]
    if not all(isinstance(f, int) and not isinstance(f, bool) and 0 <= f < _MOST_FRAMES for f in frames):
        return None
    if any(a >= b for a, b in itertools.pairwise(frames)) or not all(_is_weight(point[1]) for point in value):
        return None
    return tuple((frame, float(weight)) for frame, weight in value)
