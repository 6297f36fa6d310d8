"""Walks through a curated set of pictures: what the artist did by hand with 500 of them and a table, shot by shot.

Labels come first: a picture in a folder `eating`, or so labelled in a CSV, is for the shots of that label or group, and those
shots choose among such pictures only. Within them a frame's cost is how unlike picture and frame are in tone, layout and
edges, and every change of picture costs as far as the two pictures are apart (Viterbi), or every picture is used once at most
(assignment). What is compared is small and simple on purpose: the report judges by other features than these.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
import numpy.typing as npt

from player.show.cut_list import CutList, Shot
from player.show.problem import nearest
from tools.remap_fit import KEY_EVERY_FRAMES
from tools.remap_keys import FRAME_OF, Wishes
from tools.remap_viterbi import NEVER, cheapest_path, one_use_each, runs

Pixels = npt.NDArray[np.uint8]
Codes = npt.NDArray[np.float32]
TILES = 8  # of the gradients, along a side
TONES_PX = 16
STEP = 0.35  # cost of a change between two pictures that have nothing to do with one another, in mean unlikeness
ASSIGN_EVERY = 6  # frames of a shot for each picture, where there are enough of them
HELD_FRAMES = 6  # a picture chosen for longer stands still


@dataclass(frozen=True)
class CuratedSet:
    """names: of the pictures, unique. images: uint8 [N, C, R, R] in the model's square. w: [N, 1 or num_ws, w_dim]. labels: one
    each, '' for none; several with / between them."""

    names: tuple[str, ...]
    images: Pixels
    w: Codes
    labels: tuple[str, ...]


def set_features(images: Pixels, inner: Sequence[int]) -> npt.NDArray[np.float64]:
    """uint8 [N, C, R, R] -> [N, d]: tones reduced and freed of exposure, and how much there is of edges in four directions, by
    tile. A painting and the frame that it was painted after are near in these."""
    from PIL import Image

    x, y, w, h = inner
    grey = images[:, :, y : y + h, x : x + w].mean(axis=1)  # [N, h, w]
    small = np.stack([np.asarray(Image.fromarray(g.astype(np.float32)).resize((64, 64), Image.Resampling.BOX)) for g in grey])
    tones = small.reshape(len(small), TONES_PX, 4, TONES_PX, 4).mean(axis=(2, 4)).reshape(len(small), -1)
    tones = (tones - tones.mean(axis=1, keepdims=True)) / (tones.std(axis=1, keepdims=True) + 8.0)
    across, down = np.gradient(small, axis=2), np.gradient(small, axis=1)
    size, angle = np.hypot(across, down), np.arctan2(down, across)
    parts = [size * np.maximum(0, np.cos(2 * (angle - turn))) for turn in np.arange(4) * np.pi / 4]
    edges = np.stack(parts, axis=1).reshape(len(small), 4, TILES, 64 // TILES, TILES, 64 // TILES).mean(axis=(3, 5))
    edges = edges.reshape(len(small), -1)
    edges = np.sqrt(edges / (edges.mean(axis=1, keepdims=True) + 0.5))
    return np.concatenate([tones / np.sqrt(tones.shape[1]), edges / np.sqrt(edges.shape[1])], axis=1)


def unlikeness(frames: npt.NDArray[np.float64], pictures: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """[n, d], [N, d] -> [n, N]: distances, 1 on average."""
    squared = (frames**2).sum(axis=1)[:, None] + (pictures**2).sum(axis=1)[None] - 2 * frames @ pictures.T
    far = np.sqrt(np.maximum(squared, 0))
    return np.asarray(far / max(float(far.mean()), 1e-12), np.float64)


def plain(label: str) -> str:
    """A label as it is compared: letter case, spaces and signs do not matter."""
    return re.sub(r"[\W_]+", " ", label.casefold()).strip()


def shot_labels(shot: Shot) -> set[str]:
    """What pictures for a shot may be labelled: its label, its group, its number."""
    names = {plain(shot.label), plain(shot.group), f"shot {shot.number}", f"s{shot.number:02d}", str(shot.number)}
    return names - {""}


def folder_labels(names: Sequence[str]) -> tuple[str, ...]:
    """The labels of each picture by the folders that it lies in, '' for none: 'eating/close/a.png' -> 'eating/close'."""
    return tuple("" if (parent := str(PurePosixPath(n).parent)) == "." else parent for n in names)


def plain_parts(label: str) -> set[str]:
    """All that a label names, to be compared: the whole, and what stands between its slashes."""
    return {plain(part) for part in (label, *label.split("/"))} - {""}


def candidates(shot: Shot, cuts: CutList, labels: Sequence[str]) -> npt.NDArray[np.int64]:
    """Which pictures a shot may choose from: those labelled for it; else those labelled for no shot; else all."""
    texts = [plain_parts(t) for t in labels]
    own = [i for i, t in enumerate(texts) if t & shot_labels(shot)]
    if own:
        return np.array(own, np.int64)
    claimed = set().union(*(shot_labels(s) for s in cuts.shots))
    free = [i for i, t in enumerate(texts) if not t & claimed]
    return np.array(free or range(len(texts)), np.int64)


def label_lines(cuts: CutList, labels: Sequence[str]) -> list[str]:
    """A line for every label that is no shot's, with the nearest that is."""
    known = {t for s in cuts.shots for t in (s.label, s.group) if t}
    claimed = set().union(*(shot_labels(s) for s in cuts.shots))
    loose = sorted({t for t in labels if t and not plain_parts(t) & claimed})
    return [f"the label {t!r} is no shot's label or group: its pictures are for shots without their own "
            f"{nearest(t, known)}".rstrip() for t in loose]  # fmt: skip


def picture_name(key: str) -> str:
    """The picture that a key or pin names: 'faces/a.f0120' and 'faces/a@120' -> 'faces/a'."""
    return FRAME_OF.sub("", key.partition("@")[0])


def pinned_at(pins: Sequence[str], names: Sequence[str]) -> dict[int, int]:
    """Pins of a shot, PICTURE.f0120 or PICTURE@120 -> {film frame: picture}; those of no picture of the set are left out."""
    at = {}
    for pin in pins:
        frame = pin.partition("@")[2] or (m[1] if (m := FRAME_OF.search(pin)) else "")
        if picture_name(pin) in names and frame.isascii() and frame.isdecimal():
            at[int(frame)] = list(names).index(picture_name(pin))
    return at


def path_costs(unlike: npt.NDArray[np.float64], allowed: npt.NDArray[np.int64], banned: set[int],
               pinned: Mapping[int, int], frames: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:  # fmt: skip
    """unlike [n, N] with what may not be at NEVER: pictures that are not allowed or banned, and at pinned frames all others."""
    costs = np.full_like(unlike, NEVER)
    free = [i for i in allowed if i not in banned] or [i for i in range(unlike.shape[1]) if i not in banned]
    costs[:, free] = unlike[:, free]
    for frame, picture in pinned.items():
        if frames[0] <= frame <= frames[-1]:
            row = int(frame - frames[0])
            costs[row] = 2 * NEVER
            costs[row, picture] = 0
    return costs


def chosen_path(costs: npt.NDArray[np.float64], pictures: npt.NDArray[np.float64], clean: npt.NDArray[np.float32],
                step: float = STEP) -> npt.NDArray[np.int64]:  # fmt: skip
    """The picture of each frame [n] by Viterbi. clean [n]: how far a frame shows its shot alone; what is 0 costs nothing."""
    weight = np.where(costs >= NEVER, 1.0, clean[:, None])
    apart = unlikeness(pictures, pictures)  # [N, N]
    np.fill_diagonal(apart, 0)
    return cheapest_path(costs * weight, step * np.sqrt(apart))


def keys_of(path: npt.NDArray[np.int64], frames: npt.NDArray[np.int64], always: Sequence[int] = ()) -> list[tuple[int, int]]:
    """(film frame, picture) of every key: in the middle of a short stretch of one picture; all along a long one, or the spline
    would swing far past it between two keys that hold it."""
    keys: dict[int, int] = {}
    for first, end, picture in runs(path):
        last = end - 1
        at = np.array([(first + last) // 2])
        if end - first >= HELD_FRAMES:
            at = np.linspace(first + 1, last - 1, -(-(last - first - 2) // KEY_EVERY_FRAMES) + 1).round().astype(int)
        for place in at:
            keys[int(frames[place])] = picture
    for frame in always:
        if frames[0] <= frame <= frames[-1]:
            keys[int(frame)] = int(path[frame - frames[0]])
    return sorted(keys.items())


def assigned(costs: Sequence[npt.NDArray[np.float64]], frames: Sequence[npt.NDArray[np.int64]], pictures: int,
             pinned: Sequence[Mapping[int, int]]) -> list[list[tuple[int, int]]]:  # fmt: skip
    """(film frame, picture) of every key of every shot, no picture twice in the film. costs: [n, N] a shot, at frames [n].

    Each shot has about one place in ASSIGN_EVERY frames, evenly spread, fewer where there are not enough pictures; one at
    least while there are. A shot for which none is left has no keys.
    """
    lengths = [len(f) for f in frames]
    every = max(ASSIGN_EVERY, sum(lengths) / max(1, pictures))
    places: list[tuple[int, int]] = []
    while True:
        places = []
        for shot, n in enumerate(lengths):
            count = max(1, int(n / every))
            even = {int((i + 0.5) * n / count) for i in range(count)}
            places += [(shot, at) for at in sorted(even | {int(f - frames[shot][0]) for f in pinned[shot]})]
        if len(places) <= pictures or every > 2 * max(lengths):
            break
        every *= 1.1
    if len(places) > pictures:  # more shots than pictures: the longest first
        places = sorted(sorted(places, key=lambda p: -lengths[p[0]])[:pictures])
    keys: list[list[tuple[int, int]]] = [[] for _ in lengths]
    if not places:
        return keys
    chosen = one_use_each(np.stack([costs[shot][at] for shot, at in places]))
    for (shot, at), picture in zip(places, chosen, strict=True):
        if costs[shot][at, picture] < NEVER:  # better a place less than a picture that must not be
            keys[shot].append((int(frames[shot][at]), int(picture)))
    return keys


def set_wishes(keys: Sequence[tuple[int, int]], names: Sequence[str]) -> Wishes:
    """The names that the keys of a walk get: PICTURE.f0120."""
    return Wishes(names={frame: f"{names[picture]}.f{frame:04d}" for frame, picture in keys})
