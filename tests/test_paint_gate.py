"""The black frame of a film: found at a gate's edge, rounded corners and bars, never in a dark scene, and left as it is."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("cv2")

from tests.painted import moving, strokes
from tools.paint_gate import GROWN_PX, Gate, beneath, gate_of, with_gate

SIZE = (72, 96)


def framed(left: int = 0, right: int = 0, above: int = 0, below: int = 0, count: int = 6) -> list[np.ndarray]:
    """Frames with dark borders so many pixels wide."""
    made = []
    for n in range(count):
        picture = np.clip(moving(5 * n).astype(int), 60, 255).astype(np.uint8)
        chance = np.random.default_rng(n)
        for rows, columns in ((np.s_[:], np.s_[:left]), (np.s_[:], np.s_[96 - right :]), (np.s_[:above], np.s_[:]),
                              (np.s_[72 - below :], np.s_[:])):  # fmt: skip
            picture[rows, columns] = chance.integers(2, 14, picture[rows, columns].shape)
        made.append(picture)
    return made


def test_a_gates_edge_is_found_as_wide_as_it_is() -> None:
    found = gate_of(framed(left=4, right=2)).always
    assert found[:, : 4 + GROWN_PX].all() and found[:, -2 - GROWN_PX :].all()
    assert not found[:, 4 + GROWN_PX : -2 - GROWN_PX].any()


def test_bars_may_be_wide_and_rounded_corners_reach_in() -> None:
    found = gate_of(framed(above=14, below=14)).always
    assert found[:14].all() and found[-14:].all() and not found[20:-20].any()
    frames = framed(left=4)
    for picture in frames:
        for row in range(4):
            picture[row, : 8 - row] = 5
    assert gate_of(frames).always[0, :8].all()


def test_a_film_without_a_frame_and_a_dark_scene_have_none() -> None:
    assert not gate_of(framed()).always.any()
    night = [np.full((*SIZE, 3), 12, np.uint8) for _ in range(3)]
    for picture in night:
        picture[20:50, 40:60] = 200
    assert not gate_of(night).always.any()
    assert not gate_of([np.zeros((*SIZE, 3), np.uint8)]).always.any()


def test_a_line_that_one_frame_shows_is_of_its_gate() -> None:
    frames = framed(left=4)
    frames[2][-1:] = 6
    gate = gate_of(frames)
    assert not gate.always[-1, 40] and gate.of(frames[2])[-1, 40] and not gate.of(frames[1])[-1, 40]


def test_for_the_guides_the_picture_goes_on_beneath_and_the_gate_stays_as_it_is() -> None:
    frame = framed(left=4, right=2)[0]
    gate = gate_of(framed(left=4, right=2)).of(frame)
    inner = beneath(frame, gate)
    assert inner[:, :4].min() > 40 and np.array_equal(inner[:, 8:-8], frame[:, 8:-8])
    painted = strokes(96, 72)
    made = with_gate(painted, frame, gate)
    assert np.abs(made[:, :3].astype(int) - frame[:, :3]).max() <= 1
    assert np.array_equal(made[:, 12:-12], painted[:, 12:-12])
    assert np.abs(made[:, 6:8].astype(int) - painted[:, 6:8]).max() < 160, "strokes reach as far as the picture"
    none = Gate.none(SIZE)
    assert np.array_equal(with_gate(painted, frame, none.always), painted) and beneath(frame, none.always) is frame
