"""Whether a stylised film is calmer than another by more than a blur: the sharper one is blurred to the calmer one's sharpness
and measured again, over the same pairs of frames.

E_warp falls with every blur, so that a network that paints softly would win without being any steadier.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tools.keyframes_measure import sharpness, warp_error
from tools.style_steadiness import Shown, Speed, Steadiness, mean, motion_of

Picture = NDArray[np.uint8]
EQUAL_SHARP = 0.95  # of the other's sharpness: from here on nothing is bought with blur
SAME = 1.05  # of E_warp: less is no difference
MOST_PAIRS = 24
LEAST = 1e-9  # E_warp that is added before a logarithm is taken
MOST_SIGMA_PX = 8.0
HALVINGS = 12  # of the range in which the blur is sought


@dataclass(frozen=True)
class Blurred:
    """A calmer and less sharp film beside a sharper one (numbers of the films), over `pairs` pairs of neighbouring frames.
    E_warp of the calmer, of the sharper, and of the sharper blurred with sigma_px to the calmer's sharpness: geometric means
    over the pairs, so that one jump that both films have does not hide all the others."""

    calmer: int
    sharper: int
    sigma_px: float
    e_calmer: float
    e_sharper: float
    e_blurred: float
    pairs: int

    @property
    def by_blur(self) -> bool:
        """Whether the blur alone makes the other as calm."""
        return self.e_blurred <= SAME * self.e_calmer


def suspects(found: Steadiness, films: int) -> list[tuple[int, int]]:
    """(calmer, sharper) wherever a film has the lower E_warp and less than EQUAL_SHARP of the other's sharpness."""
    return [(a, b) for a in range(films) for b in range(films)
            if found.e_warp(a, 1) < found.e_warp(b, 1) and found.sharp(a) < EQUAL_SHARP * found.sharp(b)]  # fmt: skip


def chosen_pairs(found: Steadiness, most: int = MOST_PAIRS) -> list[int]:
    """First frames of at most `most` pairs over one frame, evenly spread over those that were measured."""
    frames = [p.frame for p in found.pairs if p.step == 1 and p.seen > 0]
    return [frames[i] for i in np.unique(np.linspace(0, len(frames) - 1, min(most, len(frames))).round().astype(int))]


def compared(calmer: int, sharper: int, pairs: Sequence[tuple[Shown, Shown]], speed: Speed = "medium") -> Blurred:
    """The comparison over these pairs of frames (at least one)."""
    aim = mean([sharpness(here.made[calmer]) for here, _ in pairs])
    sigma = sigma_to(aim, [here.made[sharper] for here, _ in pairs])
    errors: list[list[float]] = [[], [], []]
    for here, later in pairs:
        there, seen = motion_of(here, later, speed)
        soft = blurred(here.made[sharper], sigma), blurred(later.made[sharper], sigma)
        plain = ((here.made[calmer], later.made[calmer]), (here.made[sharper], later.made[sharper]))
        for own, (a, b) in zip(errors, (*plain, soft), strict=True):
            own.append(warp_error(a, b, there, seen))
    return Blurred(calmer, sharper, sigma, typical(errors[0]), typical(errors[1]), typical(errors[2]), len(pairs))


def typical(values: Sequence[float]) -> float:
    """The geometric mean of those that are numbers; nan where none is."""
    return math.exp(found) if math.isfinite(found := mean([math.log(v + LEAST) for v in values])) else math.nan


def sigma_to(aim: float, pictures: Sequence[Picture]) -> float:
    """The sigma, in pixels, of the Gaussian blur that brings the pictures' mean sharpness down to `aim`."""
    low, high = 0.0, MOST_SIGMA_PX
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        sharp = mean([sharpness(blurred(p, middle)) for p in pictures])
        low, high = (middle, high) if sharp > aim else (low, middle)
    return (low + high) / 2


def blurred(picture: Picture, sigma_px: float) -> Picture:
    """uint8 [H, W, 3] after a Gaussian blur; as it is where sigma is next to nothing."""
    import cv2

    if sigma_px < 1e-3:
        return picture
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma_px, borderType=cv2.BORDER_REPLICATE), np.uint8)
