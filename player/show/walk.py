"""A walk: a path through key latents, by film frame or by phase."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]


def natural_second_derivatives(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Second derivatives at the knots of the natural cubic spline (zero at both ends) through y over x.

    x: [K] strictly increasing. y: [K, ...]. Returns [K, ...] float64. Tridiagonal system solved by the Thomas
    algorithm (Press et al., Numerical Recipes, section 3.3), all dimensions at once.
    """
    count = len(x)
    second = np.zeros_like(y)
    if count < 3:
        return second
    h = np.diff(x)  # [K-1]
    tail = (1,) * (y.ndim - 1)
    slope = np.diff(y, axis=0) / h.reshape(-1, *tail)
    right = 6.0 * np.diff(slope, axis=0)  # [K-2, ...]
    diagonal = 2.0 * (h[:-1] + h[1:])
    for i in range(1, count - 2):
        factor = h[i] / diagonal[i - 1]
        diagonal[i] -= factor * h[i]
        right[i] -= factor * right[i - 1]
    second[count - 2] = right[-1] / diagonal[-1]
    for i in range(count - 4, -1, -1):
        second[i + 1] = (right[i] - h[i + 1] * second[i + 2]) / diagonal[i]
    return second


@dataclass(frozen=True)
class Walk:
    """Key latents at film frames; between them a natural cubic spline in W, outside them held.

    keys: [K, n, w_dim] float32, n = num_ws (W+) or 1 (W). frames: [K] int64, strictly increasing film frames.
    names: one a key. Raises ValueError when the arrays do not fit one another.
    """

    name: str
    keys: Array
    frames: npt.NDArray[np.int64]
    names: tuple[str, ...]
    _second: npt.NDArray[np.float64] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.keys.ndim != 3 or len(self.keys) == 0:
            raise ValueError(f"walk {self.name!r}: keys have shape {self.keys.shape}, not [K, num_ws or 1, w_dim]")
        if self.frames.shape != (len(self.keys),) or len(self.names) != len(self.keys):
            counts = f"{len(self.keys)} keys but {self.frames.shape} frames, {len(self.names)} names"
            raise ValueError(f"walk {self.name!r}: {counts}")
        if np.any(np.diff(self.frames) <= 0):
            raise ValueError(f"walk {self.name!r}: its frames do not increase")
        if not np.all(np.isfinite(self.keys)):
            raise ValueError(f"walk {self.name!r}: a key is not finite")
        second = natural_second_derivatives(self.frames.astype(np.float64), self.keys.astype(np.float64))
        object.__setattr__(self, "_second", second)

    def ws_at(self, frame: float) -> Array:
        """The latent at a film frame (may lie between frames). Returns [n, w_dim] float32."""
        x = self.frames
        if frame <= x[0] or frame >= x[-1]:
            held: Array = self.keys[0 if frame <= x[0] else -1]
            return held
        i = int(np.searchsorted(x, frame, side="right")) - 1
        h = float(x[i + 1] - x[i])
        a, b = (float(x[i + 1]) - frame) / h, (frame - float(x[i])) / h
        curve = ((a**3 - a) * self._second[i] + (b**3 - b) * self._second[i + 1]) * (h * h / 6.0)
        ws: Array = (a * self.keys[i] + b * self.keys[i + 1] + curve).astype(np.float32)
        return ws

    def latent_at(self, phase: float) -> Array:
        """The latent at phase 0..1 from the first key to the last, [n, w_dim] float32."""
        return self.ws_at(float(self.frames[0]) + phase * float(self.frames[-1] - self.frames[0]))

    def key(self, name: str) -> Array | None:
        """The key latent of that name, [n, w_dim], or None."""
        if name not in self.names:
            return None
        found: Array = self.keys[self.names.index(name)]
        return found
