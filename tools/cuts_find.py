"""All boundaries of a film from its reduced frames: bars off, hard cuts, then fades, then dissolves in what is left."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tools.cuts_fade import fades
from tools.cuts_hard import RATIO, hard_cuts
from tools.cuts_mix import dissolves
from tools.cuts_pictures import Reduced
from tools.cuts_signal import Signals, signals_of
from tools.cuts_transition import Ends, Found, Rejected, Transition

LOOKED_AT = 240  # frames, spread over the film, from which the bars are found
LEAST_PICTURE_PX = 16


@dataclass(frozen=True)
class Settings:
    """What decides. ratio: of unlikeness across to within a hard cut at which it is as likely as not; mixing: added to a
    dissolve's log odds. The same for every film: all that differs between films is measured in the film."""

    ratio: float = RATIO
    mixing: float = 0.0
    dissolves: bool = True


def settings_for(sensitivity: float, with_dissolves: bool = True) -> Settings:
    """--sensitivity 0..1 as settings: 0.5 is the middle, each step of 0.1 changes the odds asked for by a third."""
    turned = 1.4 * (sensitivity - 0.5) * 2
    return Settings(RATIO * math.exp(-turned), turned, with_dissolves)


def find(reduced: Reduced, rate: float, settings: Settings, film_frames: int) -> tuple[Found, Signals]:
    """What lies in the reduced frames, in film frames, and the signals it was seen in (by index). film_frames: of the whole
    film, of which `reduced` may be a part."""
    s = signals_of(reduced, picture_of(reduced.luma))
    at_start, at_end = reduced.first == 0, reduced.first + len(reduced) == film_frames
    return decided(s, rate, settings, reduced.first, at_start, at_end), s


def decided(s: Signals, rate: float, settings: Settings, first: int = 0, at_start: bool = True, at_end: bool = True) -> Found:
    """What the signals say under these settings, in film frames. first: the film frame of index 0; at_start, at_end: whether
    the film begins and ends with them."""
    cuts, rejected = hard_cuts(s, settings.ratio)
    faded, cuts, more, ends = fades(s, cuts, rate, at_start, at_end)
    rejected += more
    found = [*cuts, *faded]
    if settings.dissolves:
        taken = [(t.start - 1, t.end) for t in found]
        taken += [(0, ends.in_frames)] if ends.in_frames else []
        taken += [(len(s) - ends.out_frames, len(s))] if ends.out_frames else []
        mixed, more = dissolves(s, taken, settings.mixing)
        found += mixed
        rejected += more
    return _in_film(found, rejected, ends, first)


def _in_film(found: Sequence[Transition], rejected: Sequence[Rejected], ends: Ends, first: int) -> Found:
    """Sorted, from indices to film frames; candidates beside a found boundary are the same thing seen twice."""
    ordered = sorted(found, key=lambda t: (t.frame, -t.confidence))
    single = [t for k, t in enumerate(ordered) if k == 0 or t.frame != ordered[k - 1].frame]
    moved = tuple(replace(t, frame=t.frame + first, start=t.start + first, end=t.end + first) for t in single)
    lonely = [r for r in rejected if not any(t.start - 2 <= r.frame <= max(t.end, t.frame) + 2 for t in single)]
    return Found(moved, tuple(Rejected(r.frame + first, r.score, r.why) for r in _spread(lonely)), ends)


def _spread(rejected: Sequence[Rejected]) -> list[Rejected]:
    """The likeliest of those that stand within two frames of each other."""
    kept: list[Rejected] = []
    for r in sorted(rejected, key=lambda r: -r.score):
        if all(abs(r.frame - k.frame) > 2 for k in kept):
            kept.append(r)
    return sorted(kept, key=lambda r: r.frame)


def picture_of(luma: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    """(x, y, w, h) of the picture between its bars in reduced frames [N, h, w], even numbers for the chroma's sake; all of it
    where no bars are found."""
    from tools.film_bars import bars_of

    height, width = luma.shape[1:]
    at = np.unique(np.linspace(0, len(luma) - 1, LOOKED_AT).astype(int))
    x, y, w, h = bars_of(luma[at])
    left, top = x + x % 2, y + y % 2
    right, bottom = (x + w) // 2 * 2, (y + h) // 2 * 2
    if right - left < min(LEAST_PICTURE_PX, width) or bottom - top < min(LEAST_PICTURE_PX, height):
        return 0, 0, width // 2 * 2, height // 2 * 2
    return left, top, right - left, bottom - top
