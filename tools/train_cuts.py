"""The cut list of a training: the shots and the mixed frames of the pictures that are trained on, of a part of a film too."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from player.show.cut_list import CutList
from player.show.problem import Problem, ShowError
from tools.train_dataset import mixed_frames
from tools.train_source import Survey, film_range


@dataclass(frozen=True)
class Cuts:
    """shots: [start, end) of each, in places among the pictures. mixed: bool [N], pictures that a dissolve or fade mixes."""

    shots: tuple[tuple[int, int], ...]
    mixed: NDArray[np.bool_]


def cuts_of(cuts: CutList, path: Path, pictures: int, seen: Survey, start: str | None, end: str | None) -> Cuts:
    """What a cut list says of `pictures` pictures from --start on. It covers the whole film, or those pictures alone.

    seen: the film. Raises ShowError where the list covers neither.
    """
    first, last = film_range(start, end, seen.rate)
    if last is None:  # read to its end
        whole = cuts.frames == first + pictures
    else:  # a film's head may not tell how long it is
        whole = cuts.frames >= first + pictures and seen.pictures in (0, cuts.frames)
    if not whole and cuts.frames != pictures:
        film = f", the film {seen.pictures}" if seen.pictures and seen.pictures != pictures else ""
        given = f"covers {cuts.frames} frames, the pictures are {pictures}{film}"
        raise ShowError(Problem(str(path), given, "the same number" + (", or the whole film" if first or last else "")))
    return part_of(cuts, first if whole else 0, pictures)


def part_of(cuts: CutList, first: int, count: int) -> Cuts:
    """Frames [first, first + count) of a cut list, counted from 0; a shot is what of it lies within."""
    last = first + count
    inside = ((max(s.start, first) - first, min(s.end, last) - first) for s in cuts.shots if s.start < last and s.end > first)
    return Cuts(tuple(inside), mixed_frames(cuts)[first:last])
