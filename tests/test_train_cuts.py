"""A cut list laid over the pictures that are trained on: the whole film's, of a part of it too."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from player.show.cut_list import CutList, Shot
from player.show.problem import ShowError
from tools.train_cuts import Cuts, cuts_of
from tools.train_source import Survey

SHOTS = (Shot(1, 0, 10), Shot(2, 10, 20, "dissolve", 4), Shot(3, 20, 30, out="fade", out_frames=3, out_colour="black"))
LIST = CutList("film.mp4", Fraction(25), 30, SHOTS)


def laid(
    pictures: int, start: str | None = None, end: str | None = None, known: int = 30, cuts: CutList = LIST
) -> Cuts:
    seen = Survey("film", 64, 48, 1, known, Fraction(25))
    return cuts_of(cuts, Path("cuts.csv"), pictures, seen, start, end)


def mixed(cuts: Cuts) -> list[int]:
    return np.flatnonzero(cuts.mixed).tolist()


def test_of_a_whole_film_nothing_is_moved() -> None:
    for known in (30, 0):
        whole = laid(30, known=known)
        assert whole.shots == ((0, 10), (10, 20), (20, 30)) and mixed(whole) == [10, 11, 12, 13, 27, 28, 29]


@pytest.mark.parametrize("known", [30, 0])
def test_of_a_part_the_list_is_moved_and_cut_off(known: int) -> None:
    part = laid(16, "12", "28", known)
    assert part.shots == ((0, 8), (8, 16)) and len(part.mixed) == 16 and mixed(part) == [0, 1, 15]
    part = laid(18, "12", None, known)
    assert part.shots == ((0, 8), (8, 18)) and mixed(part) == [0, 1, 15, 16, 17]
    assert laid(10, None, "10", known).shots == ((0, 10),)
    assert laid(5, "1s", "30", known).shots == ((0, 5),)  # at the film's own rate


def test_a_list_of_the_part_alone_is_taken_as_it_is() -> None:
    own = CutList("part.mp4", Fraction(25), 16, (Shot(1, 0, 6), Shot(2, 6, 16)))
    assert laid(16, "12", "28", cuts=own).shots == ((0, 6), (6, 16))


@pytest.mark.parametrize(
    ("pictures", "start", "end", "known"),
    [(31, None, None, 31), (20, "12", None, 32), (16, "12", "28", 40), (19, "12", "42", 0)],
)
def test_a_list_of_another_film_is_refused(pictures: int, start: str | None, end: str | None, known: int) -> None:
    with pytest.raises(ShowError, match=f"covers 30 frames, the pictures are {pictures}"):
        laid(pictures, start, end, known)
