"""How good a layout is: the distance preservation quality of its near neighbourhoods, from a sample of the pictures.

Barthel, Hezel, Jung, Schall 2023 (CGF 42(1), section 4): D_k is the mean distance to the k nearest in the grid, compared
with the mean of all distances and with what the k nearest in features would give; norms of order 16 over k. With that
order only small k count, so those up to NEAR are enough, and of many pictures a sample.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

NEAR = 1024
SAMPLE = 600
ORDER = 16


def quality(features: NDArray[np.float64], layout: NDArray[np.int64], sample: int = SAMPLE) -> float:
    """About 0 = chance, 1 = every picture beside those most like it, which is more than a grid can do.

    features [N, d]; layout [rows, columns], -1 a hole. Equal cell distances count in ascending order of feature distance.
    sample: how many elements' neighbourhoods are looked at, spread evenly.
    """
    cells = np.flatnonzero(layout.reshape(-1) >= 0)
    count = len(cells)
    if count < 2:
        return 1.0
    x = np.asarray(features, np.float64)[layout.reshape(-1)[cells]]
    x = x - x.mean(axis=0)
    y, c = np.divmod(cells, layout.shape[1])
    near = min(NEAR, count - 1)
    chosen = np.unique(np.linspace(0, count - 1, min(count, sample)).round().astype(int))
    squares = np.einsum("nd,nd->n", x, x)
    best, found, total = np.zeros(near), np.zeros(near), 0.0
    for i in chosen:
        d = np.sqrt(np.maximum(squares[i] + squares - 2 * (x @ x[i]), 0))
        d[i] = 0
        total += d.sum()
        away = (y - y[i]) ** 2 + (c - c[i]) ** 2
        away[i] = np.iinfo(away.dtype).max
        rim = np.partition(away, near - 1)[near - 1]
        among = np.flatnonzero(away <= rim)
        found += np.cumsum(d[among[np.lexsort((d[among], away[among]))][:near]])
        d[i] = np.inf
        best += np.cumsum(np.sort(np.partition(d, near - 1)[:near]))
    mean = total / (len(chosen) * (count - 1))
    if mean == 0:
        return 1.0
    k = len(chosen) * np.arange(1, near + 1)
    gain, most = np.maximum(1 - found / k / mean, 0), np.maximum(1 - best / k / mean, 0)
    scale = most.max()
    return float((((gain / scale) ** ORDER).sum() / ((most / scale) ** ORDER).sum()) ** (1 / ORDER)) if scale > 0 else 1.0
