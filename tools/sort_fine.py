"""The fine half of sorting: neighbours in the grid are to be near in features, and nothing else counts.

The sum over all elements of their distances to the elements around them, nearer cells weighing more (the "distance
preservation" of Barthel et al. 2023 in one number), is a quadratic assignment problem. But for cells that do not touch
one another (no two within the kernel's reach) it is a linear one: what an element costs in one of them does not depend on
who stands in the others. So: choose such a set of cells, assign their elements exactly, choose another. The sum never
rises; a little chance in the costs, cooling to nothing, lets it out of dead ends.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tools.sort_coarse import Cells, Whole

MOST_IN_TABLE = 2048  # elements: above it making distances is quicker than fetching them from far memory
SAMPLE = 512
FROM_EVERYWHERE = 0.3


@dataclass(frozen=True)
class Kernel:
    """offsets int64 [K, 2] (rows, columns) and weights [K] of the cells around a cell; reach: the farthest, along an axis."""

    offsets: Cells
    weights: NDArray[np.float64]
    reach: int


def kernel_of(rings: dict[int, float]) -> Kernel:
    """From the weight of each squared cell distance."""
    reach = int(max(rings) ** 0.5)
    offsets, weights = [], []
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            if weight := rings.get(dy * dy + dx * dx, 0.0):
                offsets.append((dy, dx))
                weights.append(weight)
    return Kernel(np.array(offsets, np.int64), np.array(weights), reach)


def surrounding_cells(layout: Cells, kernel: Kernel) -> tuple[Cells, NDArray[np.float32]]:
    """Of every cell its neighbours [cells, K] and their weights [cells, K], 0 where there is none.

    An element at the edge has fewer neighbours, which then count for more: each element's own add up to the same, and a pair
    weighs the mean of what it weighs to either.
    """
    rows, columns = layout.shape
    y, x = np.divmod(np.arange(rows * columns), columns)
    ny, nx = y[:, None] + kernel.offsets[:, 0], x[:, None] + kernel.offsets[:, 1]  # [cells, K]
    inside = (ny >= 0) & (ny < rows) & (nx >= 0) & (nx < columns)
    near = np.where(inside, ny * columns + nx, 0)
    there = inside & (layout.reshape(-1)[near] >= 0)
    total = (there * kernel.weights).sum(axis=1)  # [cells]
    share = 1 / np.maximum(total, 1e-9)
    weights = there * kernel.weights * (share[:, None] + share[near]) / 2
    return near, weights.astype(np.float32)


def apart(rows: int, columns: int, reach: int, rng: np.random.Generator) -> Cells:
    """Numbers of cells of which no two are within `reach` along both axes: every (reach + 1)th or so row, each row at its own
    phase; or the same by columns."""
    turned = bool(rng.random() < 0.5)
    if turned:
        rows, columns = columns, rows
    down, across = (reach + 1 + int(v) for v in rng.integers(0, 2, 2))
    ys = np.arange(int(rng.integers(0, min(down, rows))), rows, down)
    xs = np.arange(0, columns + across, across)[None] - rng.integers(0, across, len(ys))[:, None]  # [Y, X]
    inside = (xs >= 0) & (xs < columns)
    y = np.broadcast_to(ys[:, None], xs.shape)[inside]
    x = xs[inside]
    return x * rows + y if turned else y * columns + x


@dataclass(frozen=True)
class Distances:
    """Distances between elements, in units of the mean one. Of few elements all are kept; of many they are made when
    asked for."""

    x: Whole
    squares: NDArray[np.float64]
    unit: float
    table: NDArray[np.float32] | None

    @staticmethod
    def between(x: Whole) -> Distances:
        """x: whole numbers [N, d], so that what a product sums is exact, however it is cut up."""
        squares = np.einsum("nd,nd->n", x, x)
        some = np.unique(np.linspace(0, len(x) - 1, SAMPLE).round().astype(int))
        made = Distances(x, squares, 1.0, None)
        unit = float(made.of(some, np.arange(len(x))).sum(dtype=np.float64)) / max(1, len(some) * (len(x) - 1))
        made = Distances(x, squares, unit or 1.0, None)
        if len(x) > MOST_IN_TABLE:
            return made
        every = np.arange(len(x))
        return Distances(x, squares, made.unit, made.of(every, every))

    def of(self, elements: Cells, others: Cells) -> NDArray[np.float32]:
        """[E, O]"""
        if self.table is not None:
            return np.take(self.table[elements], others, axis=1)
        product = self.x[elements] @ self.x[others].T
        product *= -2.0
        product += self.squares[elements][:, None]
        product += self.squares[others]
        found = product.astype(np.float32)  # after the difference, which is exact
        np.sqrt(found, out=found)
        found *= np.float32(1 / self.unit)
        return found

    def around(self, elements: Cells, others: Cells) -> NDArray[np.float32]:
        """[E, C, K] to others [C, K], of which many are the same: cells that lie near one another share neighbours."""
        if self.table is not None:
            return self.of(elements, others.reshape(-1)).reshape(len(elements), *others.shape)
        own, places = np.unique(others, return_inverse=True)
        return np.take(self.of(elements, own), places.reshape(-1), axis=1).reshape(len(elements), *others.shape)

    def nearest(self, count: int) -> float:
        """The mean distance of an element to the `count` nearest to it."""
        some = np.unique(np.linspace(0, len(self.x) - 1, SAMPLE).round().astype(int))
        rows = self.of(some, np.arange(len(self.x)))
        count = min(count, len(self.x) - 1)
        return float(np.partition(rows, count, axis=1)[:, : count + 1].sum(dtype=np.float64)) / (len(some) * max(count, 1))


def pieces_of(cells: Cells, rows: int, columns: int, most: int, rng: np.random.Generator) -> list[Cells]:
    """The cells in sets of at most `most`: mostly from one neighbourhood each, since an element seldom belongs far away,
    and now and then from everywhere."""
    count = -(-len(cells) // most)
    if count <= 1:
        return [cells]
    if rng.random() < FROM_EVERYWHERE:
        return np.array_split(rng.permutation(cells), count)
    side = max(1, int((rows * columns / count) ** 0.5))
    (y, x), (dy, dx) = np.divmod(cells, columns), rng.integers(0, side, 2)
    return np.array_split(cells[np.lexsort((rng.random(len(cells)), (x + dx) // side, (y + dy) // side))], count)


def sort_finely(distances: Distances, layout: Cells, free: NDArray[np.bool_], kernel: Kernel, heats: NDArray[np.float64],
                most: int, rng: np.random.Generator, at: Callable[[int], None]) -> None:  # fmt: skip
    """Sorts in place; holes stay where they are. free: bool [rows, columns]. heats: the deviation of the chance in the
    costs, one for each round; a round visits each cell about once. most: cells in one assignment. at: called with the
    rounds done so far."""
    from scipy.optimize import linear_sum_assignment

    rows, columns = layout.shape
    flat = layout.reshape(-1)
    near, weights = surrounding_cells(layout, kernel)
    movable = (free & (layout >= 0)).reshape(-1)
    for step, heat in enumerate(heats):
        for _ in range((kernel.reach + 1) ** 2):
            chosen = apart(rows, columns, kernel.reach, rng)
            for cells in pieces_of(chosen[movable[chosen]], rows, columns, most, rng):
                if len(cells) < 2:
                    continue
                elements = flat[cells]
                away = distances.around(elements, flat[near[cells]])  # [E, C, K]
                cost = np.einsum("eck,ck->ec", away, weights[cells])  # [E, C]
                if heat:
                    cost = cost + heat * rng.standard_normal(cost.shape)
                flat[cells[linear_sum_assignment(cost)[1]]] = elements
        at(step + 1)
