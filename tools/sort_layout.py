"""Vectors onto a grid, so that neighbours are alike: features [N, d] -> a layout [rows, columns] of their indices.

Three parts: a start from the two main directions of the features, linear assignment sorting (sort_coarse) for the
order at large, and exact assignments among cells that do not touch (sort_fine) for the neighbours. Features are rounded
to whole numbers of 15 bits first: sums are then exact, so that a layout depends on the seed alone and on no thread count.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tools.sort_coarse import Cells, Whole, sort_coarsely
from tools.sort_fine import Distances, kernel_of, sort_finely

FREE = -2  # in what is kept: nothing said about this cell
HOLE = -1
BITS = 14
RINGS = {1: 1.0, 2: 0.2}  # weight of a neighbour by squared cell distance; wider ones made the near ones worse
MIDDLING = 3000
HEAT = 0.05  # of the distance to the four nearest in features


@dataclass(frozen=True)
class Effort:
    """How long to look, as factors of what `plan_for` thinks right. heat: chance at the beginning of the fine half."""

    steps: float = 1.0
    rounds: float = 1.0
    most: float = 1.0
    heat: float = HEAT


@dataclass(frozen=True)
class Plan:
    """steps: radii of the coarse half. coarse, fine: cells in one assignment of either half. rounds: of the fine half."""

    steps: int
    coarse: int
    rounds: int
    fine: int


EFFORTS = {"quick": Effort(0.6, 0.4, 0.67), "usual": Effort(), "best": Effort(2.0, 8.0, 2.5, 2 * HEAT)}


def plan_for(count: int, effort: Effort) -> Plan:
    """How long for so many elements.

    Measured: some hundreds are sorted as well in 16 steps as in 60; a thousand smooth colours gain up to 60 and from larger
    assignments; many thousands gain more from the fine half, and their time goes up with the size of an assignment.
    """
    steps = min(max(min(count * count / 16000, 140000 / max(count, 1)), 15), 64)
    coarse = min(max(count * 3 / 8, 192), 384) if count <= MIDDLING else 192
    rounds = min(max(count / 20, 48), 64)
    return Plan(max(4, round(steps * effort.steps)), max(16, round(coarse * effort.most)),
                max(4, round(rounds * effort.rounds)), max(16, round(192 * effort.most)))  # fmt: skip


def whole_numbers(features: NDArray[np.float64]) -> Whole:
    """Features [N, d] around their mean, scaled together and rounded to whole numbers of at most 2 ** BITS."""
    values = np.asarray(features, np.float64)
    values = values / max(float(np.abs(values).max(initial=0)), 1e-300)
    values = values - values.mean(axis=0)
    return np.rint(values * (2**BITS / max(float(np.abs(values).max(initial=0)), 1e-300)))


def check_kept(kept: Cells, count: int) -> None:
    """Raises ValueError where what is kept cannot be: an index twice or out of range, or too few cells left for the others."""
    own = kept[kept >= 0]
    if len(np.unique(own)) != len(own) or (len(own) and own.max() >= count) or (kept < FREE).any():
        raise ValueError("kept cells name an element twice, or one that is not there")
    if int((kept == FREE).sum()) < count - len(own):
        raise ValueError(f"{int((kept == FREE).sum())} cells are free for {count - len(own)} elements")


def main_directions(x: Whole) -> Whole:
    """x [N, d] along the one or two directions in which it varies most, in whole numbers and with a fixed sign: equal elements
    stay equal, whatever the last bits of a library's eigenvectors are."""
    values, turns = np.linalg.eigh(x.T @ x)
    turns = turns[:, np.argsort(values)[::-1][:2]]  # [d, 1 or 2]
    turns = turns * np.sign(turns[np.argmax(np.abs(turns), axis=0), np.arange(turns.shape[1])])
    return np.rint((x @ turns) * 1024)


def start(x: Whole, kept: Cells, tidy: bool, rng: np.random.Generator) -> tuple[Cells, NDArray[np.bool_]]:
    """(layout, bool: may change): what is kept in its place, all else by its two main directions; holes at the end
    (tidy), where they then stay, or spread."""
    rows, columns = kept.shape
    layout = np.where(kept == FREE, HOLE, kept).astype(np.int64)
    free = (kept == FREE).reshape(-1)
    rest = np.setdiff1d(np.arange(len(x)), kept[kept >= 0])
    holes = int(free.sum()) - len(rest)
    cells = np.flatnonzero(free)
    if holes and tidy:
        free[cells[len(cells) - holes :]] = False
        cells = cells[: len(cells) - holes]
    elif holes:
        cells = np.sort(rng.permutation(cells)[: len(rest)])
    if len(rest):
        main = main_directions(x)[rest]  # [rest, 1 or 2]
        along, beside = main[:, 0], main[:, -1]
        y, c = np.divmod(cells, columns)
        lane, place = (c, y) if columns >= rows else (y, c)  # the main direction along the longer side
        cells = cells[np.lexsort((place, lane))]
        order = np.argsort(along, kind="stable")
        ends = np.cumsum(np.bincount(lane))
        for first, last in zip(np.concatenate([[0], ends]), ends, strict=False):
            part = order[first:last]
            layout.reshape(-1)[cells[first:last]] = rest[part[np.argsort(beside[part], kind="stable")]]
    return layout, free.reshape(rows, columns)


def arrange(
    features: NDArray[np.float64], rows: int, columns: int, *, seed: int = 0, kept: Cells | None = None, tidy: bool = False,
    effort: Effort = EFFORTS["usual"], at: Callable[[int, int], None] = lambda done, total: None,
) -> Cells:  # fmt: skip
    """The layout int64 [rows, columns]: indices into features [N, d] (finite), each once, -1 for holes.

    kept: int64 [rows, columns] of what has to stay where: an index, -1 for a hole, FREE for the rest. tidy: cells that are left
    over are the last ones, else any. at: called with (steps done, of so many). Needs scipy. Raises ValueError where the grid is
    too small or what is kept cannot be.
    """
    kept = np.full((rows, columns), FREE, np.int64) if kept is None else np.asarray(kept, np.int64)
    if kept.shape != (rows, columns):
        raise ValueError(f"kept is {list(kept.shape)}, the grid {[rows, columns]}")
    check_kept(kept, len(features))
    rng = np.random.default_rng(seed)
    x = whole_numbers(features)
    layout, free = start(x, kept, tidy, rng)
    moving = np.flatnonzero(free)
    if len(x) < 2 or len(moving) < 2:
        return layout
    plan = plan_for(len(x), effort)
    radii = np.geomspace(max(1.0, max(rows, columns) / 2 - 1), 1.0, plan.steps)
    radii = radii[radii < max(rows, columns) - 1] if max(rows, columns) > 2 else radii[:1]
    total = len(radii) + plan.rounds
    sort_coarsely(x, layout, moving, radii, plan.coarse, rng, lambda done: at(done, total))
    distances = Distances.between(x)
    heats = effort.heat * distances.nearest(4) * np.linspace(1, 0, plan.rounds)
    sort_finely(distances, layout, free, kernel_of(RINGS), heats, plan.fine, rng,
                lambda done: at(len(radii) + done, total))  # fmt: skip
    return layout
