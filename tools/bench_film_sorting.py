"""The part "sorting" of `cineml bench film`: how good and how quick layouts are, beside others in the same run.

Feature sets are drawn with a seed: colours, uneven clusters, walks between places, and as many as a film of thirteen
minutes has pictures at twelve a second. The others are t-SNE with an assignment of its points to the cells, and vc_flas, the
compiled sorter of the authors of linear assignment sorting; where they are not installed the rows say so. Quality is DPQ_16
(tools/sort_measure.py) over all elements. Times are medians of turns, so that a noisy neighbour strikes all.
"""

from __future__ import annotations

import importlib.util
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tools.bench import Row
from tools.sort_layout import arrange
from tools.sort_measure import quality

Features = NDArray[np.float64]
Layout = NDArray[np.int64]
SEED = 0
TURNS = 3
MOST_FOR_TSNE = 2000  # above it the assignment alone takes minutes and gigabytes
SLACK, SHARE = 0.01, 0.25  # of t-SNE's quality that may be lost, of its time that may be taken


@dataclass(frozen=True)
class Set:
    """A feature set and what is asked on it. least: quality, None = that of t-SNE less SLACK in SHARE of its time."""

    name: str
    features: Features
    rows: int
    columns: int
    least: float | None
    most_s: float | None


def colours(seed: int) -> Features:
    """1024 RGB colours, even in the cube."""
    return np.random.default_rng(seed).random((1024, 3))


def clusters(seed: int, count: int = 500, dimensions: int = 128, groups: int = 40) -> Features:
    """Groups of very different size around places far apart."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((groups, dimensions))
    return centres[rng.choice(groups, count, p=rng.dirichlet(np.ones(groups)))] + 0.5 * rng.standard_normal((count, dimensions))


def walks(seed: int, count: int = 500, dimensions: int = 128, shots: int = 90, places: int = 14) -> Features:
    """Random walks as the shots of a film: each begins near one of a few places and drifts."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((places, dimensions))
    made = []
    for part in np.array_split(np.arange(count), shots):
        begin = centres[rng.integers(places)] + 0.5 * rng.standard_normal(dimensions)
        made.append(begin + np.cumsum(0.125 * rng.standard_normal((len(part), dimensions)), axis=0))
    return np.concatenate(made)


def film(seed: int, count: int = 9408, dimensions: int = 64, places: int = 60) -> Features:
    """Smooth walks of 20 to 140 pictures."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((places, dimensions))
    made: list[Features] = []
    while sum(len(m) for m in made) < count:
        at = centres[rng.integers(places)] + 0.4 * rng.standard_normal(dimensions)
        speed = 0.08 * rng.standard_normal(dimensions)
        shot = []
        for _ in range(int(rng.integers(20, 140))):
            speed = 0.95 * speed + 0.03 * rng.standard_normal(dimensions)
            at = at + speed
            shot.append(at)
        made.append(np.array(shot))
    return np.concatenate(made)[:count]


def sets() -> list[Set]:
    """The four that are asked for."""
    return [Set("1024 RGB colours, 32 x 32", colours(SEED), 32, 32, 0.95, 8),
            Set("500 x 128 in 40 uneven clusters, 20 x 25", clusters(SEED), 20, 25, None, None),
            Set("500 x 128, 90 walks over 14 places, 20 x 25", walks(SEED), 20, 25, None, None),
            Set("9408 x 64, walks, 84 x 112", film(SEED), 84, 112, 0.885, 30)]  # fmt: skip


def by_tsne(features: Features, rows: int, columns: int) -> Layout:
    """scikit-learn's t-SNE as it comes, scaled to the grid, its points assigned to the cells at least squared distance."""
    from scipy.optimize import linear_sum_assignment
    from sklearn.manifold import TSNE  # type: ignore[import-untyped,import-not-found,unused-ignore]

    points = TSNE(n_components=2, random_state=SEED).fit_transform(features.astype(np.float32))  # [N, 2]
    low, high = points.min(axis=0), points.max(axis=0)
    points = (points - low) / (high - low) * [columns - 1, rows - 1]
    x, y = np.meshgrid(np.arange(columns), np.arange(rows))
    cells = np.stack([x.reshape(-1), y.reshape(-1)], axis=1)
    elements, chosen = linear_sum_assignment(((points[:, None] - cells) ** 2).sum(axis=2))
    layout = np.full(rows * columns, -1, np.int64)
    layout[chosen] = elements
    return layout.reshape(rows, columns)


def by_vc_flas(features: Features, rows: int, columns: int, **settings: float) -> Layout:
    """vc_flas. settings: radius_decay (0.93 as it comes), max_swap_positions (9)."""
    import vc_flas  # type: ignore[import-untyped,import-not-found,unused-ignore]

    grid = vc_flas.Grid.from_features(features.astype(np.float32), size=(rows, columns))
    arranged = vc_flas.flas(grid, seed=SEED + 1, **settings)
    return np.asarray(arranged.get_sorted_labels(), np.int64).reshape(rows, columns)


def timed(makers: dict[str, Callable[[], Layout]], turns: int) -> dict[str, tuple[Layout, float]]:
    """(layout, median seconds) of each, in turns."""
    found: dict[str, Layout] = {}
    took: dict[str, list[float]] = {name: [] for name in makers}
    for _ in range(turns):
        for name, make in makers.items():
            begun_s = time.perf_counter()
            found[name] = make()
            took[name].append(time.perf_counter() - begun_s)
    return {name: (found[name], statistics.median(took[name])) for name in makers}


def set_rows(one: Set) -> list[Row]:
    """The rows of one set: ours first, with what is asked, then the others."""
    few = len(one.features) <= MOST_FOR_TSNE
    f, r, c = one.features, one.rows, one.columns
    makers: dict[str, Callable[[], Layout]] = {"cineml sort": lambda: arrange(f, r, c, seed=SEED)}
    missing = []
    if few and importlib.util.find_spec("sklearn") is not None:
        makers["t-SNE + assignment"] = lambda: by_tsne(f, r, c)
    elif few:
        missing.append("scikit-learn")
    if importlib.util.find_spec("vc_flas") is not None:
        makers["vc_flas"] = lambda: by_vc_flas(f, r, c)
        makers["vc_flas, slow (0.97, 81)"] = lambda: by_vc_flas(f, r, c, radius_decay=0.97, max_swap_positions=81)
    else:
        missing.append("vc_flas")
    warm = np.random.default_rng(SEED).random((40, 3))
    arrange(warm, 5, 8)  # imports and first calls belong to nobody
    if "t-SNE + assignment" in makers:
        by_tsne(warm, 5, 8)
    results = timed(makers, TURNS if few else 1)
    scores = {name: quality(f, layout, len(f)) for name, (layout, _) in results.items()}
    tsne = ("t-SNE + assignment" in results) and (scores["t-SNE + assignment"], results["t-SNE + assignment"][1])
    ours, took_s = scores["cineml sort"], results["cineml sort"][1]
    name = f"sorting, {one.name}"
    rows = []
    if one.least is not None and one.most_s is not None:
        rows.append(Row(f"{name}: DPQ_16", f"{ours:.4f}", f"at least {one.least}", ours >= one.least))
        rows.append(Row(f"{name}: seconds", f"{took_s:.2f}", f"at most {one.most_s:g}", took_s <= one.most_s))
    elif tsne:
        bound = tsne[0] - SLACK
        rows.append(Row(f"{name}: DPQ_16", f"{ours:.4f}", f"at least t-SNE's less {SLACK}, {bound:.4f}", ours >= bound))
        rows.append(Row(f"{name}: share of t-SNE's time", f"{took_s / tsne[1]:.2f} ({took_s:.2f} s)", f"at most {SHARE}",
                        took_s <= SHARE * tsne[1]))  # fmt: skip
    else:
        rows.append(Row(f"{name}: DPQ_16, seconds", f"{ours:.4f}, {took_s:.2f}"))
    rows += [Row(f"{name}: {other}", f"{scores[other]:.4f}, {results[other][1]:.2f} s")
             for other in results if other != "cineml sort"]  # fmt: skip
    return rows + [Row(f"{name}: {package}", "not installed") for package in missing]


def rows() -> list[Row]:
    """All rows; about two minutes."""
    made: list[Row] = []
    for one in sets():
        print(f"bench: sorting {one.name}", flush=True)
        made += set_rows(one)
    return made
