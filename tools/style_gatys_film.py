"""What a film's earlier frames want of the next: the short- and long-term losses of Ruder, Dosovitskiy, Brox 2016 (GCPR).

A finished frame is warped to the next by the film's own flow and believed where flow there and back agree and nothing moves
apart (equations 5 and 6). Frames farther back are believed only where no nearer one is (equation 9): what was hidden for a
while comes back as it was painted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tools.keyframes_flow import Flow, flow, reliability, warp
from tools.style_gatys import FlowTerm

Pixels = NDArray[np.uint8]
Map = NDArray[np.float32]
OFFSETS = (1, 10, 20)  # frames back; the paper has 1, 10, 20, 40
START_BLUR_PX = 1.5  # at the border of what is believed, the start goes over into the film's own


def long_term(weights: Sequence[Map]) -> list[Map]:
    """Weights [H, W] of frames, the nearest first -> what of each is left when the weights of all nearer ones are taken from
    it, 0 at least (equation 9)."""
    found: list[Map] = []
    taken = np.zeros_like(weights[0]) if weights else None
    for weight in weights:
        assert taken is not None
        left = np.maximum(weight - taken, 0.0).astype(np.float32)
        found.append(left)
        taken = taken + weight
    return found


class Past:
    """The frames of one shot that are done, as far back as they are asked for; a new one at every cut."""

    def __init__(self, offsets: Sequence[int] = OFFSETS):
        """offsets: how many frames back, each 1 or more. Raises ValueError."""
        if not offsets or min(offsets) < 1:
            raise ValueError(f"frames back are 1 or more: {offsets}")
        self.offsets = tuple(sorted(set(offsets)))
        self._kept: deque[tuple[Pixels, Pixels]] = deque(maxlen=self.reach)

    @property
    def reach(self) -> int:
        """How many finished frames are needed to go on where a run was stopped."""
        return self.offsets[-1]

    def add(self, frame: Pixels, made: Pixels) -> None:
        """The next frame of the film and its picture, uint8 [H, W, 3] both."""
        self._kept.append((frame, made))

    def towards(self, frame: Pixels) -> tuple[Pixels | None, tuple[FlowTerm, ...]]:
        """(where to start, what earlier frames want) for the film's next frame; (None, ()) at the beginning of a shot."""
        if not self._kept:
            return None, ()
        warped, weights = [], []
        for back in (n for n in self.offsets if n <= len(self._kept)):
            then, made = self._kept[-back]
            there, trust = carried(frame, then)
            warped.append(np.asarray(warp(made, there), np.uint8))
            weights.append(trust)
        terms = tuple(FlowTerm(p, w) for p, w in zip(warped, long_term(weights), strict=True) if w.any())
        return started(frame, warped[0], weights[0]), terms


def carried(frame: Pixels, then: Pixels) -> tuple[Flow, Map]:
    """(flow from a frame to an earlier one, how far it is believed [H, W] 0..1)."""
    there, back = flow(frame, then), flow(then, frame)
    return there, reliability(there, back)


def started(frame: Pixels, warped: Pixels, trust: Map) -> Pixels:
    """The warped picture where it is believed, the film's own frame elsewhere."""
    import cv2

    share = np.asarray(cv2.GaussianBlur(trust, (0, 0), START_BLUR_PX), np.float32)[..., None]
    mixed = share * warped.astype(np.float32) + (1 - share) * frame.astype(np.float32)
    return np.rint(mixed).astype(np.uint8)
