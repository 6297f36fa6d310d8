"""Hard cuts, and what only looks like one: flashes, thrown cameras, somebody close to the lens.

A cut is where the pictures on both sides are unlike each other, however much they move, and far more unlike than neighbours
on either side are among themselves. Both are ratios: what is "far more" comes from the film around the place, so one
setting serves every film. Nothing here knows how long a shot has to be. Shots of two frames and more are found as they are.
A shot of ONE frame is not: it differs from both its neighbours, and so do a flash, a mixed frame of a converted film, and
the middle of a camera thrown within three frames. Those are told apart by what the single frame shows: nothing, or its
neighbour in another light (a flash); a mixture of its neighbours (one cut); a blurred piece of the same world (the camera).
What remains is a shot of one frame, kept with less confidence than others, so that a person looks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tools.cuts_signal import Numbers, Signals
from tools.cuts_transition import Rejected, Transition

RATIO = 2.6  # across over within, structure times blocks: what makes confidence 0.5 at sensitivity 0.5 (docs: bench film)
STEEP = 2.2  # how fast confidence grows with the logarithm of that ratio
LEAST_STRUCTURE = 0.07  # below it nothing visible has changed
CALM = 0.02  # added to what lies within: below it frames are the same
FLAT_SHARE = 0.3  # of a picture's contrast, below which another shows nothing beside it
GOES_ON = 1.7  # the same ratio over a flash; measured: one shot stays below it where its frames are unlike, two shots are above
RELIT = 25.0  # levels of the mean: a light is switched, and no figure has stepped aside
FLASH_FRAMES = 12  # a flash is over by then, as is somebody who goes by


@dataclass(frozen=True)
class _Place:
    """One candidate. across: how unlike both sides are; within: how unlike each side is in itself; both as (structure,
    blocks). last, first: the last frame before and the first after it; between them lies at most one mixed frame."""

    frame: int
    across: tuple[float, float]
    within: tuple[float, float]
    last: int
    first: int
    single: bool = False

    @property
    def ratio(self) -> float:
        """Across over within, both measures."""
        (a, b), (c, d) = self.across, self.within
        return (a + 1e-6) / (c + CALM) * max(b + 1e-6, 0.0) / (d + CALM)


def hard_cuts(s: Signals, ratio: float = RATIO) -> tuple[list[Transition], list[Rejected]]:
    """Cuts and rejected candidates, by index into the signals. ratio: where confidence is 0.5."""
    places = _places(s)
    cuts: list[Transition] = []
    rejected: list[Rejected] = []
    for p in places:
        confidence = _confidence(p, ratio)
        if confidence >= 0.5 and p.ratio < 20 and s.same_world(p.last, p.first):
            rejected.append(Rejected(p.frame, 0.45, "the camera is thrown or jerked: both sides show parts of one place"))
        elif confidence >= 0.5:
            told = f"{p.ratio:.0f} times as unlike across as within"
            if p.single:
                confidence, told = min(confidence, 0.55), "a shot of one frame?"
            cuts.append(Transition(p.frame, "cut", p.frame, p.frame, confidence, told))
        elif confidence >= 0.05:
            rejected.append(Rejected(p.frame, confidence, "motion: neighbours are nearly as unlike as this"))
    kept, fallen = _without_flashes(s, cuts)
    return kept, sorted(rejected + fallen, key=lambda r: r.frame)


def _confidence(p: _Place, ratio: float) -> float:
    logit = STEEP * (math.log(max(p.ratio, 1e-9)) - math.log(ratio))
    visible = min(1.0, p.across[0] / 0.12)
    return visible / (1 + math.exp(-max(-30.0, min(30.0, logit))))


def _places(s: Signals) -> list[_Place]:
    """All frames that stand out among their neighbours, measured, in order."""
    n = len(s)
    if n < 2:
        return []
    around = _median_around(s.step, 6)
    index = np.flatnonzero((s.step >= LEAST_STRUCTURE) & (s.step >= 1.3 * around))
    index = index[index > 0]
    if not len(index):
        return []
    t = index.astype(np.int64)
    across = np.minimum.reduce([s.structure(t - i, t + j) for i in (1, 2) for j in (0, 1)])
    before, after = s.structure(t - 2, t - 1), s.structure(t, t + 1)
    loose = across >= 1.15 * (np.maximum(before, after) + CALM)  # blocks are dear: only where they can still decide
    t, across, before, after = t[loose], across[loose], before[loose], after[loose]
    if not len(t):
        return _with_single_frames(s, [], index)
    block_across = np.minimum(s.blocks(t - 1, t), s.blocks(t - 2, t + 1))
    block_within = np.maximum(s.blocks(t - 2, t - 1), s.blocks(t, t + 1))
    colour = np.maximum(s.structure(t - 1, t) - _luma_structure(s, t - 1, t), 0)  # a change of hue moves no block
    block_across = np.maximum(block_across, np.minimum(colour, 0.3))
    found = [_Place(int(f), (float(a), float(ba)), (float(max(b, c)), float(bw)), int(f) - 1, int(f))
             for f, a, b, c, ba, bw in zip(t, across, before, after, block_across, block_within, strict=True)]  # fmt: skip
    return _with_single_frames(s, found, index)


def _luma_structure(s: Signals, i: np.ndarray, j: np.ndarray) -> Numbers:
    from tools.cuts_signal import normalised

    i, j = np.clip(i, 0, len(s) - 1), np.clip(j, 0, len(s) - 1)
    made: Numbers = 0.5 * ((normalised(s.half[i]) - normalised(s.half[j])) ** 2).mean(axis=1)
    return made


def _median_around(step: Numbers, reach: int) -> Numbers:
    """The median of each frame's neighbours, itself left out."""
    padded = np.pad(step[1:], (reach + 1, reach), mode="reflect" if len(step) > 2 * reach + 2 else "edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1)
    made: Numbers = np.median(np.delete(windows, reach, axis=1), axis=1)
    return made[: len(step)]


def _with_single_frames(s: Signals, found: list[_Place], steps: np.ndarray) -> list[_Place]:
    """The places, with those runs of neighbouring steps looked at as a whole that shots of one frame and mixed frames
    leave."""
    by_frame = {p.frame: p for p in found}
    for run in _runs([int(f) for f in steps if s.step[f] >= 0.12]):
        if not 2 <= len(run) <= 5:
            continue
        first, last = run[0], run[-1]  # frames first .. last - 1 are alone, or one thrown camera
        calm = float(np.max(s.structure(np.array([first - 2, last]), np.array([first - 1, last + 1]))))
        if float(min(s.step[f] for f in run)) < 3 * (calm + CALM):
            continue
        ends = np.array([first - 1]), np.array([last])
        outside = float(s.structure(*ends)[0])
        calm_blocks = float(np.max(s.blocks(np.array([first - 2, last]), np.array([first - 1, last + 1]))))
        lonely = list(range(first, last))
        for f in run:
            by_frame.pop(f, None)
        if len(run) == 2 and _is_mixture(s, first - 1, first, last) and outside > 0.12:
            blocks = float(s.blocks(*ends)[0])
            weight = _weight_between(s, first - 1, first, last)
            at = first if weight >= 0.4 else last
            by_frame[at] = _Place(at, (outside, blocks), (calm, calm_blocks), first - 1, last)
            continue
        if all(s.same_world(f - 1, f) for f in run) or s.same_world(first - 1, last):
            continue  # the camera was thrown, or the same picture is back
        if any(s.flat[x] for x in lonely) or any(s.detail[x] < 0.3 * min(s.detail[first - 1], s.detail[last]) for x in lonely):
            # Nothing to see on the frames between: one cut, where the blur or the flash ends, if the ends differ.
            if outside > 0.12:
                blocks = float(s.blocks(*ends)[0])
                by_frame[last] = _Place(last, (outside, blocks), (calm, calm_blocks), first - 1, last)
            continue
        for f in run:
            blocks = float(s.blocks(np.array([f - 1]), np.array([f]))[0])
            by_frame[f] = _Place(f, (float(s.step[f]), blocks), (calm, calm_blocks), f - 1, f, True)
    return [by_frame[f] for f in sorted(by_frame)]


def _runs(frames: Sequence[int]) -> list[list[int]]:
    """Neighbouring numbers together."""
    runs: list[list[int]] = []
    for f in frames:
        if runs and f == runs[-1][-1] + 1:
            runs[-1].append(f)
        else:
            runs.append([f])
    return runs


def _weight_between(s: Signals, a: int, m: int, b: int) -> float:
    d = s.thumbs[b] - s.thumbs[a]
    return float((s.thumbs[m] - s.thumbs[a]) @ d / (d @ d + 1e-6))


def _is_mixture(s: Signals, a: int, m: int, b: int) -> bool:
    """Whether frame m is so much of a and so much of b, neither being nearly all."""
    d, x = s.thumbs[b] - s.thumbs[a], s.thumbs[m] - s.thumbs[a]
    weight = _weight_between(s, a, m, b)
    left = float(x @ x) - weight**2 * float(d @ d)
    return 0.1 < weight < 0.9 and left < 0.12 * min(weight, 1 - weight) * float(d @ d)


def _without_flashes(s: Signals, cuts: list[Transition]) -> tuple[list[Transition], list[Rejected]]:
    """Drops the cuts around a stretch after which the picture before returns, unless that stretch shows another picture."""
    dropped: dict[int, str] = {}
    at = [c.frame for c in cuts]
    for k, p in enumerate(at):
        if p in dropped:
            continue
        until = at[k + 1] if k + 1 < len(at) else len(s)
        if k + 1 < len(at) and until - p <= FLASH_FRAMES and _returns(s, p, until):
            if (why := _flash(s, p, until)):
                dropped[p] = dropped[until] = why
            continue
        if why := _relit(s, p) or _passes(s, p, until):
            dropped[p] = why
    kept = [c for c in cuts if c.frame not in dropped]
    return kept, [Rejected(f, 0.3, why) for f, why in dropped.items()]


def over_gap(s: Signals, last: int, first: int, edges: Sequence[int]) -> float:
    """How many times as unlike the frames `last` and `first` are, which something short lies between, as frames that far apart
    are in the shots on both sides; 0 where nothing can be compared. edges: known boundaries, over which nothing is compared."""
    apart = first - last
    sides = [(a, a + apart) for a in (last - apart, first) if a >= 0 and a + apart < len(s)]
    sides = [(a, b) for a, b in sides if not any(a < e <= b for e in edges)]
    if not sides:
        return 0.0
    i, j = (np.array(x) for x in zip(*sides, strict=True))
    ends = np.array([last, last]), np.array([first, min(first + 1, len(s) - 1)])
    across, block_across = float(np.min(s.structure(*ends))), float(s.blocks(ends[0][:1], ends[1][:1])[0])
    within = float(s.structure(i, j).max()), float(s.blocks(i, j).max())
    return _Place(first, (across, block_across), within, last, first).ratio


def sure_over_gap(ratio: float) -> float:
    """Confidence that what `over_gap` tells is two shots."""
    return 1 / (1 + (GOES_ON / max(ratio, 1e-3)) ** STEEP)


def _returns(s: Signals, p: int, q: int) -> bool:
    """Whether the picture before p is back at q."""
    back = float(np.min(s.structure(np.array([p - 1, p - 1]), np.array([q, q + 1]))))
    return back <= max(0.12, 0.35 * float(min(s.step[p], s.step[q])))


def _flash(s: Signals, p: int, q: int) -> str:
    """Why the frames [p, q) between two like pictures are a flash and no shot; '' where they are a shot."""
    middle = (p + q - 1) // 2
    faint, strong = sorted([float(s.contrast[middle]), float(s.contrast[p - 1])])
    if faint < max(FLAT_SHARE * strong, 1.5):
        return f"a flash: the picture before is back at frame {q}"
    alike = float(s.structure(np.array([p - 1]), np.array([middle]))[0])
    if alike <= 0.5 and s.lit_correlation(p - 1, middle) >= 0.5:
        return f"a flash: the same picture in another light, back at frame {q}"
    return ""


def _relit(s: Signals, p: int) -> str:
    """Why a single cut at p is none: every tone of the picture has changed, and nothing in it. Of a flash often only one end
    stands out."""
    faint, strong = sorted([float(s.contrast[p - 1]), float(s.contrast[p])])
    brighter = abs(float(s.mean[p]) - float(s.mean[p - 1])) > RELIT
    if (brighter or faint < 0.6 * strong) and s.lit_correlation(p - 1, p) >= 0.9:
        return "a lamp or a flash: the same picture in another light"
    return ""


def _passes(s: Signals, p: int, until: int) -> str:
    """Why a single cut at p is none: something featureless fills the frame, and within FLASH_FRAMES the old picture is
    back."""
    before, after = float(s.contrast[p - 1]), float(s.contrast[p])
    if after < FLAT_SHARE * before:  # covered at p: is the picture before the covering back a little later?
        later = np.arange(p + 1, min(p + 2 * FLASH_FRAMES, len(s)))
        earlier = np.arange(max(p - 2 * FLASH_FRAMES, 0), p)
    elif before < FLAT_SHARE * after:  # uncovered at p: was this picture there before the covering?
        later, earlier = np.arange(p, min(p + 2 * FLASH_FRAMES, len(s))), np.arange(max(p - 2 * FLASH_FRAMES, 0), p - 1)
    else:
        return ""
    full = 0.9 * max(before, after)
    later, earlier = later[s.contrast[later] > full], earlier[s.contrast[earlier] > full]
    if not len(later) or not len(earlier):
        return ""
    grid_a, grid_b = (g.ravel() for g in np.meshgrid(earlier, later))
    apart = s.structure(grid_a, grid_b)
    likest = int(np.argmin(apart))
    back = apart[likest] < 0.15 or s.same_world(int(grid_a[likest]), int(grid_b[likest]))
    return "something passes close to the lens, or a flash: the same picture is back soon" if back else ""
