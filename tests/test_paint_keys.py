"""Keys painted together: in which order, from which neighbour, that they agree; and that one alone is a painting of its
frame."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("cv2")
pytest.importorskip("numba")

from tests.painted import moving, strokes
from tools.keyframes_flow import flow
from tools.keyframes_guides import Travelled
from tools.keyframes_measure import e_warp, style_distance
from tools.paint_keys import UNKNOWN, Moved, Painted, Painter, moved, paint_keys, painting_order, start_of, travelled
from tools.paint_options import PaintOptions
from tools.paint_style import Painting, painting_of

DRAFT = PaintOptions(preset="draft", turns=1, threads=1)
KEYS = (0, 6, 12)


@pytest.fixture(scope="module")
def frames() -> dict[int, np.ndarray]:
    return {n: moving(n) for n in range(13)}


@pytest.fixture(scope="module")
def together(frames: dict[int, np.ndarray]) -> dict[int, np.ndarray]:
    return paint_keys(frames, strokes(), DRAFT, keys=KEYS)


def test_keys_are_painted_outward_from_the_middle() -> None:
    assert painting_order([10, 20, 30, 34, 50]) == [(30, ()), (34, (30,)), (20, (30,)), (10, (20,)), (50, (34,))]
    assert painting_order([]) == [] and painting_order([7]) == [(7, ())]


def test_keys_are_painted_outward_from_those_that_are_done_and_heed_both_neighbours() -> None:
    assert painting_order([10, 20, 30, 40], done=[10, 40]) == [(20, (10,)), (30, (20, 40))]
    assert painting_order([10], done=[10]) == []


def test_the_way_between_two_keys_is_chained_through_all_frames(frames: dict[int, np.ndarray]) -> None:
    way = travelled(frames[n] for n in range(13))
    inner = np.s_[4:14, 24:-24]  # ground beside the ball
    assert np.abs(np.median(way.moved[inner][..., 0]) - 18) < 1  # 12 frames of 1.5 pixels, back to where it came from
    back = travelled(frames[n] for n in range(12, -1, -1))
    assert np.abs(np.median(back.moved[inner][..., 0]) + 18) < 1
    assert 0 <= way.trust.min() and way.trust.max() <= 1 and way.trust[inner].mean() > 0.5


def test_a_neighbour_moves_with_its_field() -> None:
    picture = moving(0)
    height, width = picture.shape[:2]
    field = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=2).astype(np.int32)
    shift = np.zeros((height, width, 2), np.float32)
    shift[..., 0] = 5
    made = moved(Painted(picture, field), Travelled(shift, np.ones((height, width), np.float32)))
    assert np.array_equal(made.picture[:, :-5], picture[:, 5:])
    assert made.field is not None and np.array_equal(made.field[:, :-5], field[:, 5:])
    small = moved(Painted(picture[::2, ::2], field), Travelled(shift, np.ones((height, width), np.float32)))
    assert small.picture.shape == picture.shape


def test_the_search_starts_where_the_surer_neighbour_says() -> None:
    def neighbour(value: int, sure: list[float]) -> Moved:
        trust = np.array([sure], np.float32)
        return Moved(np.zeros((1, 4, 3), np.uint8), trust, np.full((1, 4, 2), value, np.int32))

    start = start_of([neighbour(1, [0.9, 0.5, 0.1, 0.5]), neighbour(2, [0.5, 0.9, 0.2, 0.0])])
    assert start is not None and start[0, :, 0].tolist() == [1, 2, UNKNOWN, 1]
    assert start_of([]) is None


def test_a_key_has_the_paintings_colours_and_the_frames_light_and_dark(frames: dict[int, np.ndarray],
                                                                       together: dict[int, np.ndarray]) -> None:  # fmt: skip
    style = strokes()
    for key in KEYS:
        made, frame = together[key], frames[key]
        assert made.shape == frame.shape and made.dtype == np.uint8
        assert style_distance(made, style) < 0.6 * style_distance(frame, style)
        luma = made.astype(np.float32).mean(axis=2)
        assert np.corrcoef(luma.ravel(), frame[..., 0].ravel())[0, 1] > 0.5


def test_keys_painted_together_agree_better_than_keys_painted_one_by_one(frames: dict[int, np.ndarray],
                                                                         together: dict[int, np.ndarray]) -> None:  # fmt: skip
    apart = paint_keys(frames, strokes(), DRAFT, together=False, keys=KEYS)
    style = strokes()

    def between(i: int, j: int) -> np.ndarray:
        return flow(frames[KEYS[i]], frames[KEYS[j]])

    both = [e_warp([made[k] for k in KEYS], between) for made in (together, apart)]
    looks = [np.mean([style_distance(made[k], style) for k in KEYS]) for made in (together, apart)]
    assert both[0] < 0.6 * both[1], both
    assert looks[0] < 1.15 * looks[1], looks


def test_the_same_keys_come_out_on_any_number_of_threads(frames: dict[int, np.ndarray]) -> None:
    few = {n: frames[n][:48, :64] for n in (0, 1)}
    one, two = (paint_keys(few, strokes(64, 48), PaintOptions(preset="draft", threads=n)) for n in (1, 2))
    assert all(np.array_equal(one[n], two[n]) for n in few)


def test_a_key_that_is_done_comes_back_as_it_is_and_its_neighbour_heeds_it(frames: dict[int, np.ndarray]) -> None:
    few = {n: frames[n] for n in range(3)}
    red = np.zeros_like(frames[0])
    red[..., 0] = 120
    style = strokes()
    made = paint_keys(few, style, DRAFT, keys=[2], done={0: red})
    alone = paint_keys(few, style, DRAFT, keys=[2])
    assert np.array_equal(made[0], red) and set(made) == {0, 2}
    reddish = [float((p[..., 0].astype(int) - p[..., 1]).mean()) for p in (made[2], alone[2])]
    assert reddish[0] > reddish[1], reddish


def test_nothing_is_taken_from_what_is_not_painted(frames: dict[int, np.ndarray]) -> None:
    picture, usable = strokes(), np.ones((80, 96), bool)
    picture[:, :40], usable[:, :40] = (255, 0, 255), False
    for turns in (1, 4):
        made = paint_keys({0: frames[0]}, Painting(picture, usable), PaintOptions(preset="draft", turns=turns, threads=1))[0]
        away = np.abs(made.astype(int) - (255, 0, 255)).sum(axis=2)
        assert away.min() > 120, f"{turns}: {away.min()}"


def test_all_that_decides_a_picture_changes_the_fingerprint() -> None:
    painting = painting_of(strokes())
    same = [Painter(painting, PaintOptions(threads=n), (72, 96)).fingerprint() for n in (1, 2)]
    assert same[0] == same[1]
    others = (PaintOptions(scale=0.5), PaintOptions(turns=1), PaintOptions(seed=1), PaintOptions(agree=1))
    assert len({same[0], *(Painter(painting, o, (72, 96)).fingerprint() for o in others)}) == 5
