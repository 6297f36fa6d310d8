"""Which styles a stylised shot shows: shares of a network's styles, alone or as key points along the film; a hand's part."""

from __future__ import annotations

import bisect
import itertools
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

OVERS = ("film", "generator", "clip", "camera")
"""What a stylizer may be played over."""
SIDES = ("figure", "ground", "all")
"""Which part of the picture is stylised, by the shot's mask."""
ALLOWED = ("a style's name, a table {NAME = weight, ...} of weights from 0 on, or key points [[film frame, either of these], "
           "...] in the order of their frames")  # fmt: skip
NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")  # what an OSC address can hold
WINDOW = 3
"""How many frames before its own a smoothed picture is made of, at most."""
_MOST_FRAMES = 2**31
_MOST_WEIGHT = 1e6

Weights = tuple[tuple[str, float], ...]
"""Weights by style, in the order in which they are written; not negative, not all 0."""


@dataclass(frozen=True)
class Styling:
    """Key points (film frame, weights) in the order of their frames; a single one holds everywhere. Weights are shares: at
    each point they are divided by their sum, and between two points the shares go along straight lines."""

    points: tuple[tuple[int, Weights], ...]

    def at(self, frame: int) -> dict[str, float]:
        """Shares by style at a film frame; they sum to 1. A frame's and not a moment's, so live and rendered are alike."""
        after = bisect.bisect_right(self.points, frame, key=lambda point: point[0])
        if after in (0, len(self.points)):
            return shares_of(self.points[min(after, len(self.points) - 1)][1])
        (a, low), (b, high) = self.points[after - 1], self.points[after]
        first, second, t = shares_of(low), shares_of(high), (frame - a) / (b - a)
        return {name: (1 - t) * first.get(name, 0.0) + t * second.get(name, 0.0) for name in {**first, **second}}

    @property
    def names(self) -> tuple[str, ...]:
        """All styles that it names, in the order in which they come."""
        return tuple(dict.fromkeys(name for _, weights in self.points for name, _ in weights))

    def plain(self) -> Any:
        """As it stands in a score: a text, a table or a list."""
        if len(self.points) == 1:
            return _plain(self.points[0][1])
        return [[frame, _plain(weights)] for frame, weights in self.points]


@dataclass(frozen=True)
class StyleHand:
    """What a hand asks of stylised shots. weights: by style, instead of the score's. offsets: by style, added. smooth_offset:
    added to the score's smoothing. mask_amount: 1: the mask counts, 0: the whole picture is stylised,
    -1: the mask's other side."""

    weights: tuple[tuple[str, float], ...] = ()
    offsets: tuple[tuple[str, float], ...] = ()
    smooth_offset: float = 0.0
    mask_amount: float = 1.0


NO_HAND = StyleHand()


def _plain(weights: Weights) -> Any:
    return weights[0][0] if len(weights) == 1 and weights[0][1] == 1.0 else dict(weights)


def shares_of(weights: Weights) -> dict[str, float]:
    """Weights divided by their sum."""
    total = sum(weight for _, weight in weights)
    return {name: weight / total for name, weight in weights}


def weights_by(shares: Mapping[str, float], hand: StyleHand) -> dict[str, float]:
    """The score's shares with what a hand has set and added; not negative, and not divided by their sum."""
    weights = {**shares, **dict(hand.weights)}
    for name, offset in hand.offsets:
        weights[name] = max(weights.get(name, 0.0) + offset, 0.0)
    return weights


def played(shares: Mapping[str, float], hand: StyleHand) -> dict[str, float]:
    """The shares that are played; they sum to 1. Where a hand has pulled everything down, there is nothing to blend: the
    score's own stay."""
    weights = weights_by(shares, hand)
    total = sum(weights.values())
    return {name: weight / total for name, weight in weights.items()} if total > 1e-6 else dict(shares)


def _weights_from(value: Any) -> Weights | None:
    if isinstance(value, str):
        return ((value, 1.0),) if NAME.fullmatch(value) else None
    if not isinstance(value, dict) or not value or not all(isinstance(k, str) and NAME.fullmatch(k) for k in value):
        return None
    if not all(isinstance(v, (int, float)) and not isinstance(v, bool) and 0 <= v <= _MOST_WEIGHT for v in value.values()):
        return None  # nan is outside
    weights = tuple((name, float(weight)) for name, weight in value.items())
    return weights if sum(w for _, w in weights) > 1e-6 else None


def styling_from(value: Any) -> Styling | None:
    """A styling as it stands in a show or a score; None where it is none."""
    if not isinstance(value, list):
        weights = _weights_from(value)
        return Styling(((0, weights),)) if weights is not None else None
    if not value or not all(isinstance(p, list) and len(p) == 2 for p in value):
        return None
    frames = [point[0] for point in value]
    if not all(isinstance(f, int) and not isinstance(f, bool) and 0 <= f < _MOST_FRAMES for f in frames):
        return None
    found = [_weights_from(point[1]) for point in value]
    points = tuple((f, w) for f, w in zip(frames, found, strict=True) if w is not None)
    if len(points) < len(value) or any(a >= b for a, b in itertools.pairwise(frames)):
        return None
    return Styling(points)


def smooth_from(value: Any) -> float | None:
    """How much of the frames before goes into a picture, 0..1, as it stands in a score; None where it is none."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and 0 <= value <= 1
    return float(value) if number else None
