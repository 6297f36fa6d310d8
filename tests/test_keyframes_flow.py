"""Flow between frames: it finds what moved, says where it cannot know, and invents nothing on a white wall."""

from __future__ import annotations

import numpy as np
import pytest

cv2 = pytest.importorskip("cv2")

from tools.keyframes_flow import flow, grain, reliability, structure, warp  # noqa: E402
from tools.keyframes_guides import Travelled  # noqa: E402

HEIGHT, WIDTH = 96, 128


def textured(seed: int = 0, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Soft blobs, uint8 [H, W, 3]."""
    rng = np.random.default_rng(seed)
    made = cv2.GaussianBlur(rng.normal(0, 1, (height, width)).astype(np.float32), (0, 0), 3.0)
    return np.repeat(np.clip(128 + 60 * made / made.std(), 0, 255).astype(np.uint8)[..., None], 3, 2)


def shifted(dx: int, dy: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two views of one ground, the second moved by (dx, dy) pixels to the right and down."""
    big = textured(seed, HEIGHT + 40, WIDTH + 40)
    return big[20 : 20 + HEIGHT, 20 : 20 + WIDTH], big[20 - dy : 20 - dy + HEIGHT, 20 - dx : 20 - dx + WIDTH]


def white_room(at: int, noise: float, seed: int) -> np.ndarray:
    """A dark, patterned figure before a white wall with grain."""
    rng = np.random.default_rng(seed)
    made = np.full((HEIGHT, WIDTH), 232.0)
    made[24:80, at : at + 24] = (60 + 40 * (np.indices((56, 24)).sum(axis=0) // 6 % 2))[:, : max(WIDTH - at, 0)]
    made = cv2.GaussianBlur(made, (0, 0), 0.8) + rng.normal(0, noise, made.shape)
    return np.repeat(np.clip(made, 0, 255).astype(np.uint8)[..., None], 3, 2)


@pytest.mark.parametrize(("dx", "dy"), [(3, 0), (-2, 4), (7, -5)])
def test_flow_finds_a_shift_and_warping_by_it_gives_the_picture_back(dx: int, dy: int) -> None:
    a, b = shifted(dx, dy)
    found = flow(a, b)
    inside = found[12:-12, 12:-12]
    assert found.dtype == np.float32 and found.shape == (HEIGHT, WIDTH, 2)
    assert np.abs(np.median(inside.reshape(-1, 2), axis=0) - (dx, dy)).max() < 0.15
    assert np.abs(warp(b, found)[12:-12, 12:-12].astype(int) - a[12:-12, 12:-12]).mean() < 2


def test_flow_is_the_same_whatever_the_number_of_threads() -> None:
    a, b = shifted(4, 2)
    before = cv2.getNumThreads()
    try:
        found = []
        for threads in (1, 2, 4):
            cv2.setNumThreads(threads)
            found.append(flow(a, b))
            assert cv2.getNumThreads() == threads
    finally:
        cv2.setNumThreads(before)
    assert np.array_equal(found[0], found[1]) and np.array_equal(found[0], found[2])


@pytest.mark.parametrize("noise", [0.0, 1.5, 4.0])
def test_on_a_flat_white_wall_nothing_moves_and_nothing_is_trusted(noise: float) -> None:
    a, b = white_room(40, noise, 1), white_room(46, noise, 2)
    ab, ba = flow(a, b), flow(b, a)
    wall = np.zeros((HEIGHT, WIDTH), bool)
    wall[:, :20] = wall[:, 100:] = True
    assert np.linalg.norm(ab, axis=2)[wall].max() < 0.5
    trust = reliability(ab, ba, a)
    assert trust[wall].max() < 0.2
    figure = trust[34:70, 46:58]
    assert np.median(ab[34:70, 46:58, 0]) == pytest.approx(6, abs=1.0) and np.median(figure) > 0.5


def test_an_empty_wall_gives_no_flow_at_all() -> None:
    a, b = white_room(200, 2.0, 3), white_room(200, 2.0, 4)
    assert np.abs(flow(a, b)).max() < 0.2
    assert reliability(flow(a, b), flow(b, a), a).max() < 0.2


def test_what_is_hidden_in_the_other_frame_is_not_trusted() -> None:
    ground = textured(5)
    a, b = ground.copy(), ground.copy()
    square = 255 - textured(6)[:32, :32]
    a[32:64, 30:62] = square
    b[32:64, 42:74] = square
    trust = reliability(flow(a, b), flow(b, a))
    hidden = trust[36:60, 66:72]  # ground that the square covers in b
    assert trust.dtype == np.float32 and 0 <= trust.min() and trust.max() <= 1
    assert np.median(hidden) < 0.3 < 0.7 < np.median(trust[:24])


def test_structure_is_told_from_grain() -> None:
    rng = np.random.default_rng(0)
    flat = np.clip(rng.normal(200, 5, (HEIGHT, WIDTH)), 0, 255).astype(np.uint8)
    assert grain(flat) == pytest.approx(5, rel=0.15)
    assert structure(flat).max() < 0.2 and structure(textured()).mean() > 0.8


def test_pictures_of_two_sizes_are_refused_and_tiny_ones_stand_still() -> None:
    with pytest.raises(ValueError, match="between pictures"):
        flow(np.zeros((32, 32, 3), np.uint8), np.zeros((32, 40, 3), np.uint8))
    assert not flow(np.zeros((8, 40, 3), np.uint8), np.ones((8, 40, 3), np.uint8)).any()


def test_places_are_carried_through_many_frames_without_being_lost() -> None:
    travelled = Travelled.none(HEIGHT, WIDTH)
    back = np.full((HEIGHT, WIDTH, 2), (-0.37, 0.21), np.float32)
    for _ in range(100):
        travelled = travelled.on(back, np.ones((HEIGHT, WIDTH), np.float32))
    assert np.allclose(travelled.moved[..., 0], -37, atol=1e-2) and np.allclose(travelled.moved[..., 1], 21, atol=1e-2)


def test_what_was_lost_once_stays_untrusted() -> None:
    still = np.zeros((HEIGHT, WIDTH, 2), np.float32)
    doubt = np.ones((HEIGHT, WIDTH), np.float32)
    doubt[10:20, 10:20] = 0
    travelled = Travelled.none(HEIGHT, WIDTH).on(still, doubt).on(still, np.ones_like(doubt))
    assert travelled.trust[15, 15] == 0 and travelled.trust[50, 50] == 1
