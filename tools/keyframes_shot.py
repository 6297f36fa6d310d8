"""One shot from its painted keys: between two keys the strokes of both, chosen by how well they match; before the first and
after the last those of one; then calmed, and with what is to be kept of the film."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from player.show.problem import Problem, ShowError
from tools.keyframes_blend import blend, choose
from tools.keyframes_flicker import Calm, Neighbour, brought, calmed
from tools.keyframes_flow import Map, Pixels, warp
from tools.keyframes_keep import keep_of, kept
from tools.keyframes_kept import Kept, Memory
from tools.keyframes_options import Options
from tools.keyframes_pass import Flows, Footing, Pass, Tick

LAG = 3  # frames of a pass that are kept behind the one that is made: a run that goes on is calmed by them
TONES = 0.7  # of the neighbours' tones at the full strength of --deflicker


@dataclass(frozen=True)
class Made:
    """A finished frame. picture: uint8 [H, W, 3]. error: mean matching error of its patches (0 for a key), levels squared.
    keys: the frames of the keys that it was made from."""

    frame: int
    picture: Pixels
    error: float
    keys: tuple[int, ...]


def propagate_shot(frames: Sequence[Pixels], keys: Mapping[int, Pixels], options: Options,
                   masks: Sequence[Pixels | None] | None = None, **more: Any) -> Iterator[tuple[int, Pixels]]:  # fmt: skip
    """(frame, picture uint8 [H, W, 3]) of every frame of a shot, in order; a key comes back as it is.

    frames: of one shot, uint8 [H, W, 3] of one size. keys: the painted ones by their index, of the same size, at least one.
    masks: labels uint8 [H, W] of frames, None where one has none. more: see `made_frames`. Raises ShowError, ValueError.
    """
    return ((m.frame, m.picture) for m in made_frames(frames, keys, options, masks, **more))


def made_frames(frames: Sequence[Pixels], keys: Mapping[int, Pixels], options: Options,
                masks: Sequence[Pixels | None] | None = None, *, key_masks: Mapping[int, Pixels] | None = None,
                wanted: range | None = None, seen: Sequence[float] | None = None, store: Kept | None = None,
                tick: Tick | None = None, keep_where: Sequence[Pixels | None] | None = None) -> Iterator[Made]:  # fmt: skip
    """`propagate_shot` with more told.

    key_masks: of keys, uint8 [H, W], carried along the flow where a frame has no mask of its own; with options.over_film
    what lies outside of them shows the film. wanted: the frames that are asked for (all); others are made only as the way to
    them. seen, store, tick, keep_where: see Footing. Raises ShowError, ValueError for keys that are no frames of the shot.
    """
    if not keys:
        raise ValueError("a shot without a key")
    for at, picture in keys.items():
        if not 0 <= at < len(frames):
            raise ValueError(f"a key at {at} of {len(frames)} frames")
        if picture.shape != frames[at].shape or picture.dtype != np.uint8:
            raise ValueError(f"a key {picture.dtype} {picture.shape} for frames of {frames[at].shape}")
    on = Footing(frames, keys, options, masks, key_masks or {}, seen, store or Memory(), tick or _unheard, keep_where)
    return _Shot(on).finished(range(len(frames)) if wanted is None else wanted)


def _unheard(frame: int, made: bool) -> None:
    """Progress that nobody asked for."""


@dataclass(frozen=True)
class Segment:
    """Frames [start, stop) between two keys, None where there is no such key. A key's own frame is the first of the segment
    after it."""

    before: int | None
    after: int | None
    span: range


def segments(keys: Sequence[int], frames: int) -> list[Segment]:
    """In order: before the first key, between neighbours, after the last."""
    ordered = sorted(keys)
    found = [Segment(None, ordered[0], range(ordered[0]))]
    found += [Segment(a, b, range(a, b)) for a, b in zip(ordered, ordered[1:], strict=False)]
    found.append(Segment(ordered[-1], None, range(ordered[-1], frames)))
    return [s for s in found if len(s.span)]


def within(a: range, b: range) -> range:
    """What two ranges share."""
    return range(max(a.start, b.start), max(min(a.stop, b.stop), max(a.start, b.start)))


def reach(keys: Mapping[int, Any] | Sequence[int], frames: int, wanted: range, options: Options) -> range:
    """The frames that have to be painted for those that are wanted: a frame is calmed by its neighbours as they were painted,
    but a key is not calmed."""
    if options.deflicker <= 0 or not len(wanted):
        return wanted
    before = 0 if wanted.start in keys else 1
    after = 0 if wanted.stop - 1 in keys else 1
    return range(max(wanted.start - before, 0), min(wanted.stop + after, frames))


def steps_for(keys: Sequence[int], frames: int, wanted: range, options: Options) -> int:
    """How many syntheses `made_frames` does at most for the frames that are wanted."""
    total = 0
    for s in segments(keys, frames):
        part = within(s.span, reach(keys, frames, wanted, options))
        if s.before is not None and part.start == s.before:
            part = range(part.start + 1, max(part.stop, part.start + 1))
        if not len(part):
            continue
        total += part.stop - 1 - s.before if s.before is not None else 0
        total += s.after - part.start if s.after is not None else 0
    return total


class _Shot:
    """The work on one shot."""

    def __init__(self, on: Footing):
        self.on, self.flows = on, Flows(on.frames, on.seen)

    def finished(self, wanted: range) -> Iterator[Made]:
        """All that is wanted, calmed and with what is kept of the film, in order."""
        last: Made | None = None
        now: Made | None = None
        for following in _with_end(self.painted(reach(self.on.keys, len(self.on.frames), wanted, self.on.options))):
            if now is not None and now.frame in wanted:
                made = self.calm(last, now, following)
                yield replace(made, picture=with_film(self.on, made.frame, made.picture))
            last, now = now, following

    def painted(self, wanted: range) -> Iterator[Made]:
        """Frames as they are painted, in order."""
        for segment in segments(list(self.on.keys), len(self.on.frames)):
            if len(part := within(segment.span, wanted)):
                yield from self.segment(segment, part)

    def segment(self, s: Segment, part: range) -> Iterator[Made]:
        """The frames `part` of a segment, in order."""
        if s.before is not None and part.start == s.before:
            yield Made(s.before, self.on.keys[s.before], 0.0, (s.before,))
            part = range(part.start + 1, part.stop)
        if not len(part):
            return
        onward = None if s.before is None else Pass(self.on, self.flows, s.before, 1)
        backward = None if s.after is None else Pass(self.on, self.flows, s.after, -1)
        if backward is None:
            assert onward is not None
            for frame, picture, error in onward.frames(part.start, part.stop - 1):
                yield Made(frame, picture, float(error.mean()), (onward.key,))
                onward.forget(range(max(frame - LAG, 0), frame - LAG + 1))
        else:
            for _ in backward.frames(part.start, part.start):
                pass
            yield from self.of_one(backward, part) if onward is None else self.of_both(onward, backward, part)
        for one in (onward, backward):
            if one is not None:
                one.forget(s.span)
                self.on.store.drop(one.state)

    def of_one(self, backward: Pass, part: range) -> Iterator[Made]:
        """Before the first key."""
        for frame in part:
            picture, error = self.there(backward, frame)
            yield Made(frame, picture, float(error.mean()), (backward.key,))

    def of_both(self, onward: Pass, backward: Pass, part: range) -> Iterator[Made]:
        """Between two keys: of each frame the one picture that is made of two."""
        weight: Map | None = None
        # From the key on, also where the frames asked for begin later: the choice remembers the frame before.
        for frame, picture, error in onward.frames(onward.key + 1, part.stop - 1):
            if frame not in part and backward.found(frame) is None:
                continue
            other, other_error = self.there(backward, frame)
            if weight is not None:
                weight = np.asarray(warp(weight, self.flows.between(frame, frame - 1)), np.float32)
            share = (frame - onward.key) / (backward.key - onward.key)
            weight = choose(error, other_error, weight, share=share)
            if frame in part:
                mean = float(((1 - weight) * error + weight * other_error).mean())
                yield Made(frame, blend(picture, other, weight), mean, (onward.key, backward.key))

    def there(self, of: Pass, frame: int) -> tuple[Pixels, Map]:
        """A frame that a pass has made. Raises ShowError where somebody has removed it since."""
        found = of.found(frame)
        if found is None:
            given = f"the work on frame {frame} of a shot is gone"
            raise ShowError(Problem("keyframes propagate", given, "", "the same command again"))
        return found

    def calm(self, last: Made | None, now: Made, following: Made | None) -> Made:
        """Without its flicker against its neighbours; a key stays as it was painted."""
        strength = self.on.options.deflicker
        if strength <= 0 or now.frame in self.on.keys:
            return now
        neighbours = []
        for other in (last, following):
            if other is not None:
                there, trust = self.flows.step(now.frame, other.frame)
                neighbours.append(Neighbour(brought(other.picture, there), trust))
        return replace(now, picture=calmed(now.picture, neighbours, Calm(strokes=strength, tones=TONES * strength)))


def with_film(on: Footing, frame: int, picture: Pixels) -> Pixels:
    """A painted frame with the film's own luminance or colour, where that is asked for; keys too, or they would stand out."""
    o = on.options
    if o.keep not in ("luminance", "colour") or o.keep_amount == 0:
        return picture
    what: Any = o.keep
    where = None if on.keep_where is None else on.keep_where[frame]
    if on.keep_where is not None and where is None:
        return picture
    return kept(picture, on.frames[frame], keep_of(what, o.keep_amount), where)


def _with_end(items: Iterator[Made]) -> Iterator[Made | None]:
    yield from items
    yield None
