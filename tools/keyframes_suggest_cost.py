"""What a painted key leaves to guess of every other frame of its shot: what flow cannot explain.

For each frame and each possible key the flow is followed, frame by frame, from points of the frame to where they are in the
key. A point costs 1 where it was covered, came into the picture or was lost on the way (forward and backward flow disagree),
costs what its colour has changed, and a little for the distance. The cost of a farther key in the same direction is never less:
the propagation passes through the nearer one. Where the picture is flat a wrong guess is hardly seen, and weighs less.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from player.show.problem import Problem, ShowError
from tools.film_dataset_source import Footage
from tools.film_dataset_square import as_frame, converted
from tools.keyframes_flow import flow, reliability, structure
from tools.keyframes_suggest_shots import Span

FLOW_PX, GRID_PX, POINTS_PX = 256, 128, 48  # long sides: where flow is found, where it is kept, points that are followed
LEAST_PX = 16
WHOLE_GRID = 1200  # frames of a shot whose flow is kept at GRID_PX, in about 300 MB; that of a longer one is kept smaller
MOST_TARGETS, MOST_CANDIDATES = 160, 160  # of a shot; of a longer one every second, third ... frame
CHANGE_LAB = 12.0  # difference of colour (CIE L*a*b*) at which half of a point is a guess
DISTANCE = 0.001  # of a point, for each frame between: of keys that explain alike the nearer is better
FLAT_WEIGHT = 0.3  # of a point where the picture is flat

Tick = Callable[[int], object]
Pixels = NDArray[np.uint8]
Half = NDArray[np.float16]


@dataclass(frozen=True)
class Motion:
    """One shot, small. first: its first film frame. lab: float16 [T, h, w, 3] CIE L*a*b*. back, ahead: float16 [T, h, w, 3],
    flow to the frame before and after in pixels of the grid (dx, dy) and how far it is to be trusted; zero at the ends.
    weight: float16 [T, h, w], how much a point matters."""

    first: int
    lab: Half
    back: Half
    ahead: Half
    weight: Half

    def __len__(self) -> int:
        return len(self.lab)


@dataclass(frozen=True)
class Costs:
    """candidates, targets: film frames. costs: uint8 [K, T, P], what is left to guess of each point of each target, 255 = all
    of it, where only that candidate is painted. points: (rows, columns) of P."""

    candidates: tuple[int, ...]
    targets: tuple[int, ...]
    costs: NDArray[np.uint8]
    points: tuple[int, int]


def side(width: int, height: int, long_px: int) -> tuple[int, int]:
    """(w, h) with the long side `long_px` at most, both at least 16: DIS needs room."""
    scale = min(1.0, long_px / max(width, height))
    return max(LEAST_PX, round(width * scale)), max(LEAST_PX, round(height * scale))


def grid_px(frames: int) -> int:
    """The long side at which the flow of a shot of so many frames is kept: what it takes in memory hardly grows."""
    return max(POINTS_PX, min(GRID_PX, round(GRID_PX * (WHOLE_GRID / max(1, frames)) ** 0.5)))


def small_pictures(footage: Footage, numbers: Sequence[int], long_px: int = FLOW_PX) -> Iterable[tuple[int, Pixels]]:
    """(number, uint8 [h, w, 3] sRGB, area-averaged) of frames in increasing order. Raises ShowError."""
    w, h = side(*footage.size, long_px)
    turned = footage.turns % 2
    for number, item in footage.read(numbers):
        frame = as_frame(item)
        upright = (frame.height, frame.width) if turned else (frame.width, frame.height)
        if upright != footage.size:
            where = str(item) if footage.files else f"{footage.path}: frame {number}"
            allowed = f"{footage.size[0]} x {footage.size[1]} as the first"
            raise ShowError(Problem(where, f"is {upright[0]} x {upright[1]}", allowed))
        small = converted(frame, (h, w) if turned else (w, h), "rgb24", "AREA")
        yield number, np.ascontiguousarray(np.rot90(small, footage.turns)) if footage.turns else small


def motion_of(pictures: Iterable[tuple[int, Pixels]], count: int, tick: Tick = lambda done: None) -> Motion:
    """The motion of a shot of `count` frames. tick: told how many are done."""
    import cv2

    first, before = 0, None
    lab: Any = None
    for i, (number, picture) in enumerate(pictures):
        if lab is None:
            height, width = picture.shape[:2]
            w, h = side(width, height, grid_px(count))
            scale = np.array([w / width, h / height, 1], np.float32)
            first = number
            lab, back, ahead = (np.zeros((count, h, w, 3), np.float16) for _ in range(3))
            weight = np.zeros((count, h, w), np.float16)
        grid = cv2.resize(picture, (w, h), interpolation=cv2.INTER_AREA)
        lab[i] = cv2.cvtColor(grid.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
        seen = cv2.resize(structure(picture), (w, h), interpolation=cv2.INTER_AREA)
        weight[i] = FLAT_WEIGHT + (1 - FLAT_WEIGHT) * seen
        if before is not None:
            there, home = flow(before, picture, "fast"), flow(picture, before, "fast")
            for at, one, other in ((ahead[i - 1], there, home), (back[i], home, there)):
                whole = np.dstack([one, reliability(one, other)])  # [H, W, 3]
                at[:] = cv2.resize(whole, (w, h), interpolation=cv2.INTER_AREA) * scale
        before = picture
        tick(i + 1)
    return Motion(first, lab, back, ahead, weight)


def spread(frames: Sequence[int], most: int) -> list[int]:
    """At most `most` of the frames, evenly, the first and last among them."""
    if len(frames) <= most:
        return list(frames)
    return [frames[i] for i in np.unique(np.linspace(0, len(frames) - 1, most).round().astype(int))]


def costs_of(motion: Motion, span: Span, also: Sequence[int] = ()) -> Costs:
    """What each candidate leaves of each frame. also: film frames that are candidates whatever else (those already painted).
    Candidates are frames that show this shot alone; `also` may be any of the span."""
    targets = spread(range(span.start, span.end), MOST_TARGETS)
    candidates = sorted({*spread(range(span.clear_start, span.clear_end), MOST_CANDIDATES), *also})
    h, w = motion.lab.shape[1:3]
    columns, rows = side(w, h, POINTS_PX)
    costs = np.full((len(candidates), len(targets), rows * columns), 255, np.uint8)
    y, x = np.meshgrid((np.arange(rows) + 0.5) * h / rows - 0.5, (np.arange(columns) + 0.5) * w / columns - 0.5, indexing="ij")
    home = np.stack([x, y], axis=2).astype(np.float32)  # [rows, columns, 2]
    own = np.stack([sampled(motion.lab[t - motion.first], home) for t in targets])  # [T, rows, columns, 3]
    weight = np.stack([sampled(motion.weight[t - motion.first], home) for t in targets])  # [T, rows, columns]
    for i, k in enumerate(candidates):
        if k in targets:
            costs[i, targets.index(k)] = 0
    for direction in (-1, 1):
        follow(motion, targets, candidates, direction, home, own, weight, costs)
    return Costs(tuple(candidates), tuple(targets), costs, (rows, columns))


def follow(motion: Motion, targets: Sequence[int], candidates: Sequence[int], direction: int, home: NDArray[np.float32],
           own: NDArray[np.float32], weight: NDArray[np.float32], costs: NDArray[np.uint8]) -> None:  # fmt: skip
    """The costs of all candidates before (direction -1) or after (1) each target. All targets that have come so far go from
    frame to frame together, so that a frame's flow is looked up once."""
    rank = {k: i for i, k in enumerate(candidates)}
    at_target = {t: i for i, t in enumerate(targets)}
    rows, columns = home.shape[:2]
    place = np.empty((len(targets), rows, columns, 2), np.float32)
    lost = np.zeros((len(targets), rows, columns), np.float32)
    cost = np.zeros((len(targets), rows, columns), np.float32)
    steps = motion.back if direction < 0 else motion.ahead
    h, w = motion.lab.shape[1:3]
    far = np.array([w - 1, h - 1], np.float32)
    begin, stop = (targets[-1], motion.first) if direction < 0 else (targets[0], motion.first + len(motion) - 1)
    active: list[int] = []
    frame = begin
    while frame != stop:
        if frame in at_target:
            place[len(active)] = home
            active.append(at_target[frame])
        m = len(active)
        moved = sampled(steps[frame - motion.first], place[:m])  # [m, rows, columns, 3]
        place[:m] += moved[..., :2]
        lost[:m] = np.maximum(lost[:m], 1 - moved[..., 2])
        outside = np.maximum(-place[:m], place[:m] - far).max(axis=3) > 1.0
        lost[:m][outside] = 1
        frame += direction
        if (k := rank.get(frame)) is not None:
            there = sampled(motion.lab[frame - motion.first], place[:m])
            apart = np.sum((there - own[active]) ** 2, axis=3)
            same = (1 - lost[:m]) / (1 + apart * np.float32(1 / CHANGE_LAB**2))  # half at CHANGE_LAB
            near = (1 - DISTANCE) ** np.abs(np.array([targets[i] for i in active], np.float32) - frame)
            cost[:m] = np.maximum(cost[:m], 1 - same * near[:, None, None])
            told = np.rint(255 * cost[:m] * weight[active]).astype(np.uint8)
            costs[k, active] = told.reshape(m, -1)


def sampled(picture: NDArray[Any], place: NDArray[np.float32]) -> NDArray[np.float32]:
    """The picture [h, w(, C)] at places [..., rows, columns, 2] (x, y), bilinear, its border beyond it: float32
    [..., rows, columns(, C)]."""
    import cv2

    lead, columns = place.shape[:-2], place.shape[-2]
    flat = np.ascontiguousarray(place.reshape(-1, columns, 2))
    found = cv2.remap(picture.astype(np.float32), flat, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
    return np.asarray(found, np.float32).reshape(*lead, columns, *picture.shape[2:])
