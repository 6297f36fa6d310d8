"""The strokes of one key carried from frame to frame along a shot, forwards or backwards.

Each frame is led by guides against the key (keyframes_guides.py), starts from the correspondences of the frame before, moved
along the film's flow, and copies patches of the key itself, so that nothing grows softer with the distance. What is made is
kept by name, and a pass that was stopped goes on where it stood. Source: Jamriska et al. 2019, "Stylizing video by example".
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from player.show.problem import Problem, ShowError
from tools.keyframes_exact import anchored, settled
from tools.keyframes_flow import Flow, Map, Pixels, flow, grid, reliability, structure, warp
from tools.keyframes_guides import Travelled, Weights, guides_for
from tools.keyframes_kept import Kept
from tools.keyframes_options import Options

Field = NDArray[np.int32]  # [H, W, 2], x and y in the key
Tick = Callable[[int, bool], object]

HELD_ON_FLAT = 0.4  # trust in no motion where nothing can be seen to move: a wall's strokes stay where they are
DOUBT = 3.0  # how much more a matching error counts where flow has lost the key: its guides ask for less there
BLACK = 6  # levels of 255: a picture that nowhere is lighter holds nothing
SHOWN = 24  # levels: a film frame whose brightest part is above this is not black
MOST_ERROR = 6e4  # what half precision holds


@dataclass(frozen=True)
class Footing:
    """What the passes of a shot stand on. frames: uint8 [H, W, 3] of one size. keys: painted, by index. masks: labels uint8
    [H, W] of the frames, None where one has none. key_masks: of keys, uint8 [H, W], carried along the flow where a frame
    has no mask. seen: 0..1, how much of a frame is this shot's picture; None: all of each.
    keep_where: uint8 [H, W] of the frames, where options.keep counts, None: nowhere in that frame.
    store: where to keep what is done. tick: told (frame, True) after every synthesis, (frame, False) for one kept before."""

    frames: Sequence[Pixels]
    keys: Mapping[int, Pixels]
    options: Options
    masks: Sequence[Pixels | None] | None
    key_masks: Mapping[int, Pixels]
    seen: Sequence[float] | None
    store: Kept
    tick: Tick
    keep_where: Sequence[Pixels | None] | None = None


@dataclass(frozen=True)
class Reached:
    """How far one key has come. picture: [H, W, 3], error: [H, W], field: where in the key each pixel is from."""

    picture: Pixels
    error: Map
    field: Field
    travelled: Travelled


class Flows:
    """Flow between neighbouring frames of a shot; the last few are remembered."""

    REMEMBERED = 8

    def __init__(self, frames: Sequence[Pixels], seen: Sequence[float] | None):
        self._frames, self._seen = frames, seen
        self._known: OrderedDict[tuple[int, int], Flow] = OrderedDict()

    def between(self, a: int, b: int) -> Flow:
        """Where each pixel of frame a is in frame b."""
        if (a, b) not in self._known:
            self._known[a, b] = flow(self._frames[a], self._frames[b])
            while len(self._known) > self.REMEMBERED:
                self._known.popitem(last=False)
        self._known.move_to_end((a, b))
        return self._known[a, b]

    def step(self, a: int, b: int) -> tuple[Flow, Map]:
        """(flow from frame a to frame b, how far the two agree, 0..1). In a dissolve less: there two pictures move."""
        there, back = self.between(a, b), self.between(b, a)
        mixed = 1.0 if self._seen is None else min(self._seen[a], self._seen[b], 1.0) ** 2
        return there, reliability(there, back) * np.float32(mixed)


class Pass:
    """The pass of one key over a shot in one direction. by: 1 forwards, -1 backwards."""

    def __init__(self, on: Footing, flows: Flows, key: int, by: int):
        from tools.patch_engine import PRESETS

        self.on, self.flows, self.key, self.by = on, flows, key, by
        o = on.options
        self.weights = Weights(o.colour, o.position, o.edges, o.previous)
        self.settings = replace(PRESETS[o.preset], seed=o.seed, threads=o.threads)

    def frames(self, first: int, last: int) -> Iterator[tuple[int, Pixels, Map]]:
        """(frame, picture, error) from `first` to `last`, both included, in the pass's direction. What an earlier run has
        kept is not made again."""
        at, reached = self.standing()
        for frame in range(self.key + self.by, last + self.by, self.by):
            asked = (frame - first) * self.by >= 0
            if (frame - at) * self.by <= 0:
                self.on.tick(frame, False)
                if not asked:
                    continue
                if (found := self.found(frame)) is not None:
                    yield frame, *found
                    continue
                at, reached = self.key, self.beginning()  # a file was lost: the whole way once more
                for between in range(self.key + self.by, frame, self.by):
                    at, reached = between, self.after(at, reached)
                    self.keep(at, reached)
            at, reached = frame, self.after(at, reached)
            self.keep(at, reached)
            self.on.tick(frame, True)
            if asked:
                yield frame, reached.picture, half(reached.error)

    def beginning(self) -> Reached:
        """The key itself: every pixel is where it is."""
        picture = self.on.keys[self.key]
        height, width = picture.shape[:2]
        field = np.stack(grid(height, width), axis=2).astype(np.int32)
        return Reached(picture, np.zeros((height, width), np.float32), field, Travelled.none(height, width))

    def after(self, before: int, reached: Reached) -> Reached:
        """The frame that comes after `before`, which was reached."""
        frame = before + self.by
        back, sure = self.flows.step(frame, before)
        textured = structure(self.on.frames[frame])
        travelled = reached.travelled.on(back, sure * (HELD_ON_FLAT + (1 - HELD_ON_FLAT) * textured))
        travelled = self.anchored(travelled, frame)
        start = np.ascontiguousarray(warp(reached.field.astype(np.float32), back, nearest=True), np.int32)
        return self.synthesised(frame, travelled, warp(reached.picture, back), sure, start)

    def straight(self, frame: int) -> Reached:
        """The frame without those between, for a preview: the flow is followed all the way, one picture is made."""
        travelled, sure = self.beginning().travelled, None
        for at in range(self.key + self.by, frame + self.by, self.by):
            back, sure = self.flows.step(at, at - self.by)
            textured = structure(self.on.frames[at])
            travelled = travelled.on(back, sure * (HELD_ON_FLAT + (1 - HELD_ON_FLAT) * textured))
        if sure is None:
            return self.beginning()
        travelled = self.anchored(travelled, frame)
        home = np.stack(grid(*sure.shape), axis=2) + travelled.moved
        start = np.ascontiguousarray(np.rint(home), np.int32)
        return self.synthesised(frame, travelled, warp(self.on.keys[self.key], travelled.moved), travelled.trust, start)

    def synthesised(self, frame: int, travelled: Travelled, previous: Pixels, sure: Map, start: Field) -> Reached:
        """The frame in the strokes of the key. previous: what is likely there, and sure: how likely, 0..1."""
        from tools.patch_engine import synthesise

        style, picture = self.on.keys[self.key], self.on.frames[frame]
        seen = 1.0 if self.on.seen is None else self.on.seen[frame]
        guides = guides_for(self.on.frames[self.key], picture, travelled, self.weights, style=style, previous=previous,
                            sure=sure, seen=seen)  # fmt: skip
        own, theirs, share = self.masks_at(frame, travelled)
        made = synthesise(style, guides, self.settings, source_mask=own, target_mask=theirs, start=start)
        painted = settled(made.picture, style, made.field, travelled, self.on.frames[self.key], picture,
                          *self.known_labels(frame))  # fmt: skip
        if share is not None:
            painted = mixed(picture, painted, share)
        if painted.max() <= BLACK and picture.max() > SHOWN and style.max() > SHOWN:
            given = f"frame {frame} of a shot came out black from the key at its frame {self.key}"
            raise ShowError(Problem("keyframes propagate", given, "", "another --preset or --seed"))
        error = made.error * (1 + np.float32(DOUBT) * (1 - travelled.trust))
        return Reached(painted, error, made.field, travelled)

    def masks_at(self, frame: int, travelled: Travelled) -> tuple[Pixels | None, Pixels | None, Map | None]:
        """(labels of the key, labels of the frame, share of the painting 0..1 where the film itself is to show)."""
        alpha = self.on.key_masks.get(self.key)
        masks = self.on.masks
        own = alpha if masks is None or masks[self.key] is None else masks[self.key]
        share: Map | None = None
        if alpha is not None and self.on.options.over_film:
            share = warp(alpha, travelled.moved).astype(np.float32) * np.float32(1 / 255)
        if own is None:
            return None, None, share
        theirs = None if masks is None else masks[frame]
        if theirs is None:
            theirs = warp(own, travelled.moved, nearest=True)
        return labels(own), labels(theirs), share

    def anchored(self, travelled: Travelled, frame: int) -> Travelled:
        """Without drift; in a dissolve as it is, for there another shot's picture moves over the key's."""
        if self.on.seen is not None and min(self.on.seen[frame], self.on.seen[self.key]) < 1:
            return travelled
        return anchored(travelled, self.on.frames[self.key], self.on.frames[frame], *self.known_labels(frame))

    def known_labels(self, frame: int) -> tuple[Pixels | None, Pixels | None]:
        """Labels of the key and of the frame where both have a mask of their own; else neither."""
        own, theirs = (None, None) if self.on.masks is None else (self.on.masks[self.key], self.on.masks[frame])
        return (None, None) if own is None or theirs is None else (labels(own), labels(theirs))

    # --- what is kept

    @property
    def state(self) -> str:
        """The name of where the pass stands."""
        return f"k{self.key:06d}-{'on' if self.by > 0 else 'back'}"

    def name(self, frame: int) -> str:
        """Of a frame of the pass."""
        return f"k{self.key:06d}-f{frame:06d}"

    def keep(self, frame: int, reached: Reached) -> None:
        """A frame, and then that the pass stands there."""
        error = half(reached.error, np.float16)
        self.on.store.put(self.name(frame), {"picture": reached.picture, "error": error})
        if self.on.store.lasting:
            t = reached.travelled
            self.on.store.put(self.state, {"frame": np.array([frame]), "picture": reached.picture, "field": reached.field,
                                           "error": error, "moved": t.moved, "trust": t.trust})  # fmt: skip

    def standing(self) -> tuple[int, Reached]:
        """(frame that the pass has reached, what it made of it): the key, or where an earlier run stopped."""
        held = self.on.store.get(self.state) if self.on.store.lasting else None
        if held is None or held["picture"].shape != self.on.keys[self.key].shape:
            return self.key, self.beginning()
        error = held["error"].astype(np.float32)
        return int(held["frame"][0]), Reached(held["picture"], error, held["field"], Travelled(held["moved"], held["trust"]))

    def found(self, frame: int) -> tuple[Pixels, Map] | None:
        """(picture, error) of a frame that was kept."""
        held = self.on.store.get(self.name(frame))
        return None if held is None else (held["picture"], held["error"].astype(np.float32))

    def forget(self, frames: range) -> None:
        """Those frames; all that is needed of them is made."""
        for frame in frames:
            self.on.store.drop(self.name(frame))


def half(error: Map, kind: Any = np.float32) -> NDArray[Any]:
    """The error as it is kept, in half precision, so that a run that went on decides as one that never stopped."""
    return np.minimum(error, MOST_ERROR).astype(np.float16).astype(kind)


def mixed(under: Pixels, over: Pixels, share: Map) -> Pixels:
    """share [H, W] of `over`, the rest of `under`: uint8 [H, W, 3]."""
    both = under + share[..., None] * (over.astype(np.float32) - under)
    return np.clip(np.rint(both), 0, 255).astype(np.uint8)


def labels(mask: Pixels) -> Pixels:
    """A mask uint8 [H, W] as labels: a few even levels as they are; soft edges between black and white cut at the middle."""
    levels = np.unique(mask)
    even = len(levels) <= 8 and not (len(levels) > 2 and levels[0] == 0 and levels[-1] == 255)
    return mask if even else np.where(mask >= 128, np.uint8(255), np.uint8(0))
