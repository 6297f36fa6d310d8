"""Which shots show the same set-up: features of the film's own frames, distances of shots, clusters. NumPy only, pure.

A set-up comes back with its figures elsewhere, so two shots are as far apart as their likest frames are. Two kinds of
features: a small picture, in the film's own principal components (so that what all frames share counts little), and
directions of edges by place, which light does not change.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tools.cuts_signal import Numbers, halved

FRAMES_A_SHOT = 8
COMPONENTS = 32
ROWS, COLUMNS, DIRECTIONS = 6, 8, 6
EDGE_FLOOR = 6.0  # levels a pixel: below it an edge is grain
NEIGHBOURS_QUANTILE, MARGIN = 0.05, 0.6  # see threshold_for
THRESHOLDS = 0.1, 0.6
UNNAMED = ""


def features_of(luma: NDArray[np.uint8], chroma: NDArray[np.uint8]) -> tuple[Numbers, Numbers]:
    """(components float32 [N, C], edges float32 [N, E]) of reduced frames: luma uint8 [N, h, w], chroma uint8 [N, 2, h/2,
    w/2]."""
    small = halved(halved(luma.astype(np.float32)))
    colour = halved(chroma.astype(np.float32)) - 128
    return components(np.concatenate([small.reshape(len(small), -1), colour.reshape(len(small), -1)], axis=1)), edges(luma)


def components(pictures: Numbers) -> Numbers:
    """float32 [N, C]: pictures [N, K] in the principal components of themselves, each divided by the root of its deviation,
    so that the film's main difference (light room, dark room) does not drown the others."""
    centred = pictures - pictures.mean(axis=0)
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    kept = min(COMPONENTS, int((s > 1e-3 * s[0] + 1e-6).sum())) if len(s) and s[0] > 0 else 0
    deviation = s[:kept] / np.sqrt(len(pictures))
    made: Numbers = (u[:, :kept] * (s[:kept] / np.sqrt(deviation + 1e-6))).astype(np.float32)
    return made


def edges(luma: NDArray[np.uint8]) -> Numbers:
    """float32 [N, E]: how much edge of which direction is where, of frames [N, h, w]; of length 1 where there are edges."""
    f = luma.astype(np.float32)
    dy, dx = f[:, 2:, 1:-1] - f[:, :-2, 1:-1], f[:, 1:-1, 2:] - f[:, 1:-1, :-2]
    strength = np.maximum(np.hypot(dy, dx) - EDGE_FLOOR, 0)
    turn = (np.arctan2(dy, dx) % np.pi) / np.pi * DIRECTIONS
    h, w = strength.shape[1] // ROWS * ROWS, strength.shape[2] // COLUMNS * COLUMNS
    if not h or not w:
        return np.zeros((len(f), 1), np.float32)
    parts = []
    for direction in range(DIRECTIONS):
        away = np.abs(turn - direction)
        share = np.maximum(0, 1 - np.minimum(away, DIRECTIONS - away)) * strength
        parts.append(share[:, :h, :w].reshape(len(f), ROWS, h // ROWS, COLUMNS, w // COLUMNS).mean(axis=(2, 4)))
    roots = np.sqrt(np.stack(parts, axis=1).reshape(len(f), -1))
    made: Numbers = roots / (np.linalg.norm(roots, axis=1, keepdims=True) + 2)
    return made


def shot_distances(features: tuple[Numbers, Numbers], shot_of: NDArray[np.int64]) -> Numbers:
    """float32 [S, S]: between shots, 0 the same, 1 as far apart as frames of different shots are in this film. features: by
    frame; shot_of: int64 [N], the shot of each frame, 0 .. S - 1, none of them left out."""
    count = int(shot_of.max()) + 1
    scales = [_typical(f, shot_of) for f in features]
    made = np.zeros((count, count), np.float32)
    rows = [np.flatnonzero(shot_of == k) for k in range(count)]
    order = np.concatenate(rows)
    for a in range(count):
        between = np.mean([_euclidean(f[rows[a]], f[order]) / scale for f, scale in zip(features, scales, strict=True)], axis=0)
        nearest = np.minimum.reduceat(between, _offsets(rows), axis=1)  # [frames of a, S]: each frame's likest in every shot
        nearest.sort(axis=0)
        made[a] = nearest[: max(1, len(nearest) // 2)].mean(axis=0)  # the likest half: figures walk out of frame
    made = np.minimum(made, made.T)
    np.fill_diagonal(made, 0)
    return made


def _offsets(rows: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum([len(r) for r in rows])[:-1]]).astype(np.int64)


def _euclidean(a: Numbers, b: Numbers) -> Numbers:
    squares = (a * a).sum(axis=1)[:, None] + (b * b).sum(axis=1)[None] - 2 * a @ b.T
    made: Numbers = np.sqrt(np.maximum(squares, 0))
    return made


def _typical(features: Numbers, shot_of: NDArray[np.int64]) -> float:
    """The median distance of frames of different shots; of a thousand of them where there are more."""
    at = np.unique(np.linspace(0, len(features) - 1, 1000).astype(int))
    between = _euclidean(features[at], features[at])[shot_of[at][:, None] != shot_of[at][None]]
    return max(float(np.median(between)), 1e-6) if len(between) else 1.0


def threshold_for(distances: Numbers) -> float:
    """How far apart shots of one group may be, from the film: neighbours are different set-ups, or there would be no cut;
    so a group must be closer, by a margin, than nearly all neighbours are."""
    neighbours = np.diagonal(distances, 1)
    if not len(neighbours):
        return THRESHOLDS[0]
    return float(np.clip(MARGIN * np.quantile(neighbours, NEIGHBOURS_QUANTILE), *THRESHOLDS))


def clusters_of(distances: Numbers, threshold: float, given: Sequence[str]) -> list[int]:
    """The cluster of each shot, 0, 1, 2 ... by first appearance: average linkage up to the threshold. given: labels that a
    person wrote, '' for none: equal ones are together whatever the distance, different ones never."""
    count = len(distances)
    members = [[k] for k in range(count)]
    names = list(given)
    sums = distances.astype(np.float64).copy()
    sizes = np.ones(count)
    alive = np.ones(count, bool)

    def merge(a: int, b: int) -> None:
        members[a] += members[b]
        names[a] = names[a] or names[b]
        sums[a] += sums[b]
        sums[:, a] += sums[:, b]
        sizes[a] += sizes[b]
        alive[b] = False

    first: dict[str, int] = {}
    for k, name in enumerate(given):
        if name and name in first:
            merge(first[name], k)
        elif name:
            first[name] = k
    while alive.sum() > 1:
        index = np.flatnonzero(alive)
        mean = sums[np.ix_(index, index)] / np.outer(sizes[index], sizes[index])
        np.fill_diagonal(mean, np.inf)
        named = np.array([names[k] for k in index])
        mean[(named[:, None] != named[None]) & (named != UNNAMED)[:, None] & (named != UNNAMED)[None]] = np.inf
        a, b = np.unravel_index(int(np.argmin(mean)), mean.shape)
        if not mean[a, b] <= threshold:
            break
        merge(int(index[min(a, b)]), int(index[max(a, b)]))
    cluster_of = {shot: k for k in range(count) if alive[k] for shot in members[k]}
    order: dict[int, int] = {}
    return [order.setdefault(cluster_of[shot], len(order)) for shot in range(count)]


def letters(taken: set[str]) -> list[str]:
    """A, B ... Z, AA, AB ..., without those that are taken; more than anybody needs."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    pairs = [a + b for a in alphabet for b in alphabet]
    triples = [a + p for a in alphabet for p in pairs]
    return [name for name in (*alphabet, *pairs, *triples) if name not in taken]
