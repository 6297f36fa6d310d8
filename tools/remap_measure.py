"""How near a remake is to its film, shot by shot, in numbers: plain functions of arrays, nothing here renders or trains.

FACTS: a remap is never scored in the features that it was made with. What is compared here are feature vectors that no part of
the fit has seen, reduced pictures in 0..1, and latents. Each number has its own question:

likeness     is it the same picture? 0 = as far as random pictures of the generator are, 1 = the film itself
identified   of all shots, is it this one (or one of its group) whose frames are nearest?
motion ratio does it move as much? 1 is right, more is flicker, less is frozen
motion correlation   does it move the same way, at the same place and time? 1 is the film's own motion
cut sharpness        how much of the step from shot to shot is taken at the cut itself? 1 = all
off          how far are its latents from those that the generator was trained to show? 1 = as its own samples
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from player.show.cut_list import Shot

Vectors = npt.NDArray[np.floating]
STILL = 0.002  # mean change of a pixel from frame to frame that is not motion but grain, in 0..1


@dataclass(frozen=True)
class ShotMeasure:
    """What was found of one shot. nearest: number of the shot whose frames are nearest. cut: sharpness of the cut into it,
    None where no cut leads into it. moved: mean change of the film's picture from frame to frame, 0..1."""

    shot: int
    likeness: float
    nearest: int
    identified: bool
    motion: float
    correlation: float
    cut: float | None
    off: float
    moved: float


@dataclass(frozen=True)
class Summary:
    """Means over the shots; correlation and motion of all, identified: share of the shots, cut: None without cuts."""

    shots: int
    likeness: float
    identified: float
    motion: float
    correlation: float
    cut: float | None
    off: float


def summary_of(shots: Sequence[ShotMeasure]) -> Summary:
    """The means. Raises ValueError for no shots."""
    if not shots:
        raise ValueError("no shot was measured")
    cuts = [s.cut for s in shots if s.cut is not None]

    def mean(values: Sequence[float]) -> float:
        return float(np.mean(values))

    return Summary(len(shots), mean([s.likeness for s in shots]), mean([float(s.identified) for s in shots]),
                   mean([s.motion for s in shots]), mean([s.correlation for s in shots]), mean(cuts) if cuts else None,
                   mean([s.off for s in shots]))  # fmt: skip


def worst_first(shots: Sequence[ShotMeasure]) -> list[ShotMeasure]:
    """Shots that are not identified, then by likeness, the least first."""
    return sorted(shots, key=lambda s: (s.identified, s.likeness, s.shot))


def apart(a: Vectors, b: Vectors) -> npt.NDArray[np.float64]:
    """a [n, d], b [m, d] -> [n, m]: Euclidean distances."""
    x, y = a.astype(np.float64), b.astype(np.float64)
    squared = (x**2).sum(axis=1)[:, None] + (y**2).sum(axis=1)[None] - 2 * x @ y.T
    out: npt.NDArray[np.float64] = np.sqrt(np.maximum(squared, 0))
    return out


def likeness(made: Vectors, film: Vectors, random: Vectors) -> float:
    """made, film [n, d] frame by frame, random [m, d] of pictures that know nothing of the film -> 1 - distance / distance of
    the random ones. Below 0: further than chance."""
    chance = float(apart(film, random).mean())
    found = float(np.linalg.norm(made.astype(np.float64) - film, axis=1).mean())
    return 1 - found / chance if chance > 0 else 1.0


def nearest_shot(made: Vectors, film: Sequence[Vectors]) -> int:
    """made [n, d] of one shot, film: frames [n_k, d] of every shot -> the index of the shot whose frames are nearest to it,
    each made frame compared with its nearest one."""
    return int(np.argmin([apart(made, frames).min(axis=1).mean() for frames in film]))


def same_set_up(a: Shot, b: Shot) -> bool:
    """Whether one may be taken for the other: the same shot, or of the same group."""
    return a.number == b.number or (a.group != "" and a.group == b.group)


def motion_ratio(made_before: Vectors, made_after: Vectors, film_before: Vectors, film_after: Vectors) -> float:
    """Pictures [n, ...] in 0..1 before and after each step -> mean change made over mean change of the film, both with what
    grain does added, so that a shot that stands still is no division by nothing. 1 for no steps."""
    if len(made_before) == 0:
        return 1.0
    made = float(np.abs(made_after - made_before).mean())
    film = float(np.abs(film_after - film_before).mean())
    return (made + STILL) / (film + STILL)


def motion_correlation(made_before: Vectors, made_after: Vectors, film_before: Vectors, film_after: Vectors) -> float:
    """Pictures [n, ...] in 0..1 before and after each step -> Pearson's correlation of the changes over all pixels and steps:
    where and when it becomes lighter or darker. 0 where one of them does not change at all."""
    a = (made_after - made_before).astype(np.float64).ravel()
    b = (film_after - film_before).astype(np.float64).ravel()
    if len(a) == 0:
        return 0.0
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size > 1e-12 else 0.0


def cut_sharpness(frames: Vectors) -> float:
    """Pictures [4, ...]: two before a cut, two after it -> the share of the whole step that is taken at the cut: 1 at once, 1/3
    where it glides over all of them evenly, 0 where nothing changes there."""
    flat = frames.reshape(4, -1).astype(np.float64)
    whole = flat[3] - flat[0]
    size = float(whole @ whole)
    return float((flat[2] - flat[1]) @ whole) / size if size > 1e-12 else 0.0
