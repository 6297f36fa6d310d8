"""The coarse half of sorting: every element to the cell whose surroundings it resembles most, in ever smaller surroundings.

Linear assignment sorting (Barthel, Hezel, Jung, Schall 2023, "Improved Evaluation and Generation of Grid Layouts using Distance
Preservation Quality and Linear Assignment Sorting", CGF 42(1), section 5): the grid of feature vectors is box-filtered,
then the elements are assigned anew to the filtered cells at least total squared distance, and the box shrinks. One
assignment of all elements where they are few; of random sets of cells, drawn from an area as wide as the box needs, where
they are many.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

Whole = NDArray[np.float64]  # whole numbers, so that sums do not depend on their order
Cells = NDArray[np.int64]
SAY_OF_KEPT = 50.0  # weight of an element that may not move: the others are to come to it
REACH = 4  # side of the squares that sets of cells are drawn from, in radii


def surroundings(values: Whole, radius_y: int, radius_x: int) -> Whole:
    """[rows, columns, d] -> sums over boxes of (2 radius + 1) cells a side, the grid mirrored at its edges."""
    padded = np.pad(values, ((radius_y, radius_y), (radius_x, radius_x), (0, 0)), mode="symmetric")
    sums = np.zeros((padded.shape[0] + 1, padded.shape[1] + 1, values.shape[2]))
    np.cumsum(padded, axis=0, out=sums[1:, 1:])
    np.cumsum(sums[1:, 1:], axis=1, out=sums[1:, 1:])
    high, wide = 2 * radius_y + 1, 2 * radius_x + 1
    return sums[high:, wide:] - sums[:-high, wide:] - sums[high:, :-wide] + sums[:-high, :-wide]


def targets(x: Whole, layout: Cells, radius: float, say: NDArray[np.float64]) -> Whole:
    """What each cell [rows * columns, d] wishes for: the mean of the elements around it. say: weight of each cell's element
    [rows, columns], whole numbers; holes have none."""
    rows, columns = layout.shape
    there = layout >= 0
    radius_y, radius_x = min(int(radius), rows - 1), min(int(radius), columns - 1)
    weights = np.where(there, say, 0)[..., None]  # [rows, columns, 1]
    sums = surroundings(x[np.where(there, layout, 0)] * weights, radius_y, radius_x)
    counts = surroundings(weights, radius_y, radius_x)  # [rows, columns, 1]
    return (sums / np.maximum(counts, 1)).reshape(-1, x.shape[1])


def sets_of_cells(free: Cells, columns: int, rows: int, side: int, most: int, rng: np.random.Generator) -> Iterator[Cells]:
    """The free cells (their numbers, row by row) in random sets of at most `most`, each from one square of `side` cells a side;
    the squares lie elsewhere each time."""
    y, x = np.divmod(free, columns)
    shift_y, shift_x = (int(v) for v in rng.integers(0, side, 2))
    across = -(-columns // side) + 1
    square = ((y + shift_y) // side) * across + (x + shift_x) // side
    order = np.lexsort((rng.random(len(free)), square))
    edges = np.flatnonzero(np.diff(square[order])) + 1
    for cells in np.split(free[order], edges):
        pieces = -(-len(cells) // most)
        yield from (c for c in np.array_split(cells, pieces) if len(c) > 1)


def assign(x: Whole, squares: Whole, flat: Cells, cells: Cells, wishes: Whole) -> None:
    """Moves the elements that stand in `cells` among these, in place, to the least sum of squared distances from wish."""
    from scipy.optimize import linear_sum_assignment

    elements = flat[cells]
    elements = elements[elements >= 0]
    if not len(elements):
        return
    wish = wishes[cells]  # [C, d]
    cost = squares[elements][:, None] - 2.0 * (x[elements] @ wish.T)  # [E, C]
    if len(elements) < len(cells):  # which cells stay empty depends on how far each wish is from everything
        cost += np.einsum("cd,cd->c", wish, wish)[None]
    rows, chosen = linear_sum_assignment(cost)
    flat[cells] = -1
    flat[cells[chosen]] = elements[rows]


def sort_coarsely(x: Whole, layout: Cells, free: Cells, radii: NDArray[np.float64], most: int, rng: np.random.Generator,
                  at: Callable[[int], None]) -> None:  # fmt: skip
    """Sorts in place. x: whole numbers [N, d]. layout: [rows, columns], -1 a hole. free: numbers of the cells that may change.
    most: cells in one assignment. at: called with the steps done so far."""
    rows, columns = layout.shape
    flat = layout.reshape(-1)
    squares = np.einsum("nd,nd->n", x, x)
    say = np.full(layout.shape, SAY_OF_KEPT)
    say.reshape(-1)[free] = 1
    for step, radius in enumerate(radii):
        wishes = targets(x, layout, radius, say)
        side = max(int(REACH * radius), int(most**0.5) + 1)
        for cells in [free] if len(free) <= most else sets_of_cells(free, columns, rows, side, most, rng):
            assign(x, squares, flat, cells, wishes)
        at(step + 1)
