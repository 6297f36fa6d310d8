"""Choosing among pictures: a path through a shot that costs least in all (Viterbi 1967), or one use each (assignment)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Costs = npt.NDArray[np.floating]
NEVER = 1e6  # cost of what must not be; finite, so that a shot for which all is forbidden still has an answer


def cheapest_path(unlike: Costs, step: Costs) -> npt.NDArray[np.int64]:
    """unlike [n, K]: cost of picture k at frame t; step [K, K]: cost of going from picture j to k -> the choice [n] that costs
    least in all. Ties go to the earlier picture. Raises ValueError where the shapes do not fit."""
    if unlike.ndim != 2 or step.shape != (unlike.shape[1],) * 2 or unlike.size == 0:
        raise ValueError(f"costs {unlike.shape} and steps {step.shape} do not fit each other")
    cost = unlike[0].astype(np.float64)  # [K]
    came = np.zeros(unlike.shape, np.int64)
    for t in range(1, len(unlike)):
        reached = cost[:, None] + step  # [from, to]
        came[t] = reached.argmin(axis=0)
        cost = reached[came[t], np.arange(len(cost))] + unlike[t]
    path = np.zeros(len(unlike), np.int64)
    path[-1] = int(cost.argmin())
    for t in range(len(unlike) - 1, 0, -1):
        path[t - 1] = came[t, path[t]]
    return path


def one_use_each(unlike: Costs) -> npt.NDArray[np.int64]:
    """unlike [slots, pictures], at least as many pictures as slots -> a picture for each slot, none twice, at least cost in all
    (linear assignment). Raises ValueError where there are too few pictures."""
    from scipy.optimize import linear_sum_assignment

    if unlike.shape[0] > unlike.shape[1]:
        raise ValueError(f"{unlike.shape[0]} places, but {unlike.shape[1]} pictures")
    rows, columns = linear_sum_assignment(unlike)
    chosen = np.zeros(len(unlike), np.int64)
    chosen[rows] = columns
    return chosen


def runs(path: npt.NDArray[np.int64]) -> list[tuple[int, int, int]]:
    """(first, end exclusive, choice) of every stretch in which the choice stays the same."""
    edges = np.flatnonzero(np.diff(path)) + 1
    bounds = [0, *edges.tolist(), len(path)]
    return [(a, b, int(path[a])) for a, b in zip(bounds, bounds[1:], strict=False)]
