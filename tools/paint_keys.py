"""Keys painted so that they agree: each starts from its neighbour's strokes, moved along the film's flow.

One key alone is a guided synthesis of the painting onto the frame (Fiser et al. 2016; guides: tools/paint_guides). Painted
together, the keys of a shot are painted outward from its middle, or from those that a person has painted; the neighbour's
picture, warped along the flow through all frames between, is one more guide where that flow can be trusted, and its field of
correspondences is where the search starts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import numpy.typing as npt

from tools.keyframes_flow import flow, reliability, warp
from tools.keyframes_guides import Travelled, as_float
from tools.paint_gate import Gate, beneath, gate_of, with_gate
from tools.paint_guides import (
    PAINTING_BLUR,
    Described,
    Floats,
    as_guide,
    described,
    lively,
    tone_curve,
    tone_plane,
)
from tools.paint_options import PaintOptions
from tools.paint_style import Painting, in_positions, painting_of, scaled, side_by_side, turned, turned_angles
from tools.patch_engine import PRESETS, Guide, Settings, synthesise

Pixels = npt.NDArray[np.uint8]
Field = npt.NDArray[np.int32]

LIVELY = 1.5  # weight of the strokes that are asked for
UNKNOWN = -1  # in a field to start from
SURE_ENOUGH = 0.3  # of the flow, for a field to start from
SAMPLES = 12  # frames that tell the film's black frame


@dataclass(frozen=True)
class Painted:
    """One key. picture: uint8 [H, W, 3]. field: int32 [H, W, 2], (x, y) in the painting as it is laid; None where a person
    painted it."""

    picture: Pixels
    field: Field | None = None


@dataclass(frozen=True)
class Moved:
    """A neighbour's picture uint8 [H, W, 3] moved to this key's frame, and how far each pixel is to be trusted, [H, W] 0..1;
    its field [H, W, 2], UNKNOWN where it is not to be."""

    picture: Pixels
    sure: Floats
    field: Field | None


class Painter:
    """One painting, laid in one size and way; paints frames of any film with it."""

    def __init__(self, painting: Painting, options: PaintOptions, frame_size: tuple[int, int],
                 gate: Gate | None = None) -> None:  # fmt: skip
        """frame_size: (height, width) of the frames. gate: the black frame around them, which is not painted."""
        self.options = options
        height, width = frame_size
        self.gate = gate or Gate.none(frame_size)
        self.reference_px = float(np.hypot(height, width))
        laid = scaled(painting, height * width, options.scale)
        self.laid = in_positions(laid, options.turns)
        self.picture, self.usable = self.laid.picture, self.laid.usable
        # Described before it is laid side by side: nothing is blurred across the gutters.
        detail, turns = options.detail / PAINTING_BLUR, options.turns
        curve = tone_curve([tone_plane(laid.picture, detail, self.reference_px)], laid.usable)
        own = described(laid.picture, curve, detail, self.reference_px)
        self.lively = side_by_side(turned(lively(laid.picture, self.reference_px), turns))
        self.own = Described(side_by_side(turned(own.tone, turns)), side_by_side(turned_angles(own.form, turns)),
                             side_by_side(turned(own.sure, turns)))  # fmt: skip
        settings = PRESETS[options.preset]
        uniformity = settings.uniformity if options.uniformity is None else options.uniformity
        self.settings: Settings = replace(settings, patch=options.patch, uniformity=uniformity, seed=options.seed,
                                          threads=options.threads)  # fmt: skip

    def fingerprint(self) -> str:
        """Of all that decides how a frame is painted, but the frame and its neighbours."""
        words = {k: v for k, v in asdict(self.options).items() if k != "threads"}
        digest = hashlib.sha256(json.dumps(words, sort_keys=True).encode())
        digest.update(self.picture.tobytes() + self.usable.tobytes() + self.gate.always.tobytes())
        return digest.hexdigest()

    def curve(self, frame: Pixels) -> Floats:
        """What a frame's light and dark is taken for: its own, spread over the painting's. Each frame has its own curve: the
        exposure of old films changes from frame to frame, and one curve for a shot would paint that."""
        inner = beneath(frame, self.gate.of(frame))
        return tone_curve([tone_plane(inner, self.options.detail, self.reference_px)])

    def paint(self, frame: Pixels, neighbours: Sequence[Moved] = (),
              progress: Callable[[float], None] | None = None) -> Painted:  # fmt: skip
        """The frame uint8 [H, W, 3], painted. progress: called with the share done."""
        gate = self.gate.of(frame)
        shown = described(beneath(frame, gate), self.curve(frame), self.options.detail, self.reference_px)
        guides = self.guides(shown, [replace(n, sure=n.sure * ~gate) for n in neighbours])
        source_mask = target_mask = None
        if not self.usable.all():
            source_mask, target_mask = self.usable.astype(np.uint8), np.ones(frame.shape[:2], np.uint8)
        made = synthesise(self.picture, guides, self.settings, source_mask=source_mask, target_mask=target_mask,
                          start=start_of(neighbours), progress=progress)  # fmt: skip
        return Painted(with_gate(made.picture, frame, gate), made.field)

    def guides(self, shown: Described, neighbours: Sequence[Moved]) -> list[Guide]:
        """Light and dark, direction, strokes, and what the neighbours show."""
        made = []
        if self.options.tone > 0:
            made.append(Guide(self.own.tone, shown.tone, self.options.tone, name="light and dark"))
        if self.options.form > 0:
            # In the painting strokes that have a clear direction are preferred; in the frame the direction counts as far
            # as it is clear.
            made.append(Guide(as_guide(self.own.form, np.sqrt(self.own.sure)), as_guide(shown.form, np.ones_like(shown.sure)),
                              self.options.form, np.sqrt(shown.sure), name="direction"))  # fmt: skip
        wanted = np.full_like(shown.tone, self.options.strokes)
        made.append(Guide(self.lively, wanted, LIVELY, name="strokes"))
        for n in neighbours if self.options.agree > 0 else ():
            weight = self.options.agree / len(neighbours)
            made.append(Guide(as_float(self.picture), as_float(n.picture), weight, n.sure, name="the neighbouring key"))
        return made


def start_of(neighbours: Sequence[Moved]) -> Field | None:
    """Where the search starts: the surer neighbour's place in the painting; UNKNOWN where none is sure."""
    known = [n for n in neighbours if n.field is not None]
    if not known:
        return None
    found = np.full((*known[0].sure.shape, 2), UNKNOWN, np.int32)
    surest = np.full(known[0].sure.shape, SURE_ENOUGH, np.float32)
    for n in known:
        assert n.field is not None
        better = n.sure >= surest
        found[better], surest[better] = n.field[better], n.sure[better]
    return found


def travelled(frames: Iterable[Pixels]) -> Travelled:
    """Where each pixel of the last of these frames is in the first, by the flow from frame to frame."""
    steps = iter(frames)
    before = next(steps)
    gone = Travelled.none(*before.shape[:2])
    for frame in steps:
        back, ahead = flow(frame, before), flow(before, frame)
        # Without the picture: a flat wall counts as standing still, and its strokes are to stay.
        gone = gone.on(back, reliability(back, ahead))
        before = frame
    return gone


def moved(painted: Painted, way: Travelled) -> Moved:
    """A painted key at another frame. way: where each pixel of that frame is in the key's."""
    height, width = way.trust.shape
    picture = sized(painted.picture, (height, width))
    field = None
    if painted.field is not None and painted.field.shape[:2] == (height, width):
        field = warp(painted.field.astype(np.float32), way.moved, nearest=True).astype(np.int32)
    return Moved(np.asarray(warp(picture, way.moved), np.uint8), way.trust, field)


def sized(picture: Pixels, size: tuple[int, int]) -> Pixels:
    """A picture [H, W, 3] in another (height, width)."""
    if picture.shape[:2] == size:
        return picture
    import cv2

    smaller = picture.shape[0] >= size[0] and picture.shape[1] >= size[1]
    return np.asarray(cv2.resize(picture, size[::-1], interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC), np.uint8)


def painting_order(keys: Sequence[int], done: Iterable[int] = ()) -> list[tuple[int, tuple[int, ...]]]:
    """(key, those of its neighbours that are painted by then) of one shot: outward from what is done, the nearest frame
    first; from the middle where nothing is."""
    ordered, there = sorted({*keys, *done}), set(done)
    steps: list[tuple[int, tuple[int, ...]]] = []
    if not there and ordered:
        middle = ordered[len(ordered) // 2]
        steps.append((middle, ()))
        there.add(middle)
    place = {key: i for i, key in enumerate(ordered)}
    while missing := [k for k in ordered if k not in there]:
        beside = {k: tuple(n for n in (ordered[place[k] - 1] if place[k] else -1,
                                       ordered[place[k] + 1] if place[k] + 1 < len(ordered) else -1) if n in there)
                  for k in missing}  # fmt: skip
        key = min((k for k in missing if beside[k]), key=lambda k: (min(abs(k - n) for n in beside[k]), k))
        steps.append((key, beside[key]))
        there.add(key)
    return steps


@dataclass(frozen=True)
class Shown:
    """What a shot's keys are painted from. frame_at: a frame of the film, uint8 [H, W, 3]. painted_at: a key that is painted
    already. between: the frames from one key to another, both with them, in that order."""

    frame_at: Callable[[int], Pixels]
    painted_at: Callable[[int], Painted]
    between: Callable[[int, int], Iterable[Pixels]]


def paint_shot(painter: Painter, keys: Sequence[int], done: Iterable[int], shown: Shown, together: bool = True,
               progress: Callable[[float], None] | None = None) -> Iterator[tuple[int, Painted]]:  # fmt: skip
    """The keys of one shot that are not done, each as soon as it is painted: shown.painted_at must have it when the next is
    asked for. together: else each on its own, and no neighbour is looked at."""
    for key, beside in painting_order(keys, done):
        frame = shown.frame_at(key)
        near = [moved(shown.painted_at(n), travelled(shown.between(n, key))) for n in beside if together]
        yield key, painter.paint(frame, near, progress)


def paint_keys(frames: Mapping[int, Pixels], style: Pixels | Painting, options: PaintOptions | None = None,
               together: bool = True, *, keys: Sequence[int] | None = None,
               done: Mapping[int, Pixels] | None = None) -> dict[int, Pixels]:  # fmt: skip
    """Frames of one shot painted with a style, by frame number.

    frames: uint8 [H, W, 3], one size. keys: those that are to be painted, all where None; the others only show the flow what
    happens between. style: uint8 [Hs, Ws, 3], or what paint_style read. together: each key starts from its neighbour; else
    each is painted on its own. done: pictures of keys that are painted already, and come back as they are. Raises ShowError.
    """
    painting = painting_of(style) if isinstance(style, np.ndarray) else style
    there = {k: Painted(p) for k, p in (done or {}).items()}
    first = next(iter(frames.values()))
    numbers = sorted(frames)
    at = np.unique(np.linspace(0, len(numbers) - 1, SAMPLES).astype(int))
    looked_at = [frames[numbers[i]] for i in at]
    painter = Painter(painting, options or PaintOptions(), (first.shape[0], first.shape[1]), gate_of(looked_at))

    def between(a: int, b: int) -> Iterator[Pixels]:
        inner = [n for n in numbers if min(a, b) <= n <= max(a, b)]
        return (frames[n] for n in (inner if a <= b else inner[::-1]))

    shown = Shown(frames.__getitem__, there.__getitem__, between)
    for key, painted in paint_shot(painter, numbers if keys is None else keys, list(there), shown, together):
        there[key] = painted
    return {k: there[k].picture for k in sorted(there)}
