"""The compiled loops against the same sums written with NumPy."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("numba")

from tools import patch_kernels as kernels
from tools.patch_crew import Crew
from tools.patch_levels import double, shrunk, under_tent
from tools.patch_pyramid import level_count, spread_edges

RNG = np.random.default_rng(0)
NO_LABELS = (np.zeros((1, 1), np.uint8), np.zeros((1, 1), np.uint8), np.zeros(256, bool), False)


def padded(height: int, width: int, channels: int, pad: int) -> np.ndarray:
    """Random float32 [H + 2 pad, W + 2 pad, C] with its edges spread."""
    a = RNG.random((height + 2 * pad, width + 2 * pad, channels), np.float32)
    spread_edges(a, pad)
    return a


def flat(a: np.ndarray) -> np.ndarray:
    return a.reshape(a.shape[0], -1)


def random_field(target: tuple[int, int], source: tuple[int, int]) -> np.ndarray:
    return RNG.integers(0, (source[1], source[0]), (*target, 2), dtype=np.int32)


@pytest.mark.parametrize("channels", [1, 4, 7, 12])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_patchs_cost_is_the_weighted_sum_of_squares(channels: int, weighted: bool) -> None:
    target, source, amount = padded(20, 24, channels, 2), padded(17, 30, channels, 2), padded(20, 24, channels, 2)
    field = random_field((20, 24), (17, 30))
    cost, active = np.zeros((20, 24), np.float32), np.ones((20, 24), np.uint8)
    active[3] = 0
    done = kernels.costs(flat(target), flat(source), flat(amount), weighted, field, cost, active, 5, 2, channels, 0, 2)
    assert done == 19 * 24 and (cost[3] == 0).all()
    for y, x in ((0, 0), (19, 23), (10, 7)):
        sx, sy = field[y, x]
        squares = (target[y : y + 5, x : x + 5] - source[sy : sy + 5, sx : sx + 5]) ** 2
        assert cost[y, x] == pytest.approx((squares * (amount[y : y + 5, x : x + 5] if weighted else 1)).sum(), rel=1e-5)
    kernels.costs(flat(target), flat(source), flat(amount), weighted, field, cost, active, 3, 2, channels, 0, 2)
    sx, sy = field[10, 7]
    squares = (target[11:14, 8:11] - source[sy + 1 : sy + 4, sx + 1 : sx + 4]) ** 2
    assert cost[10, 7] == pytest.approx((squares * (amount[11:14, 8:11] if weighted else 1)).sum(), rel=1e-5)


def test_the_map_of_uses_sums_over_a_patch_how_often_its_pixels_are_used() -> None:
    (ht, wt), (hs, ws), patch = (30, 26), (21, 33), 5
    field = random_field((ht, wt), (hs, ws))
    counted = np.full((hs + 8, ws + 8), 7, np.int32)
    kernels.use_map(field, patch, counted, np.zeros_like(counted))
    uses = np.zeros((hs + 12, ws + 12), np.int64)  # of the source padded by 6
    for sx, sy in field.reshape(-1, 2):
        uses[sy + 4 : sy + 9, sx + 4 : sx + 9] += 1
    expected = [[uses[y : y + 5, x : x + 5].sum() for x in range(ws + 8)] for y in range(hs + 8)]
    assert np.array_equal(counted, expected)
    moves, made = np.zeros((2, 40, 4), np.int32), np.array([40, 13])
    other = field.copy()
    for i, (lane, m) in enumerate([(0, m) for m in range(40)] + [(1, m) for m in range(13)]):
        y, x = divmod(i, wt)
        other[y, x] = RNG.integers(0, (ws, hs))
        moves[lane, m] = *field[y, x], *other[y, x]
    kernels.count_moves(counted, moves, made, patch)
    anew = np.zeros_like(counted)
    kernels.use_map(other, patch, anew, np.zeros_like(anew))
    assert np.array_equal(counted, anew)


def test_even_use_costs_the_uniformity_everywhere() -> None:
    (hs, ws), patch, share = (21, 33), 5, 3500.0
    even = np.stack(np.meshgrid(np.arange(ws), np.arange(hs)), axis=2).astype(np.int32)
    counted = np.zeros((hs + 8, ws + 8), np.int32)
    kernels.use_map(even, patch, counted, np.zeros_like(counted))
    penalty = share * counted[4:-4, 4:-4] / np.outer(under_tent(hs, patch), under_tent(ws, patch))
    assert np.allclose(penalty, 3500), "at the edges too"


def test_a_vote_is_the_mean_of_the_patches_over_a_pixel() -> None:
    pad, channels, planes = 2, 5, 3
    target, source = padded(18, 20, channels, pad), padded(18, 20, channels, pad)
    field = random_field((18, 20), (18, 20))
    before = target.copy()
    moved, changed = np.ones((18, 20), np.uint8), np.zeros((18, 20), np.uint8)
    kernels.vote(flat(target), flat(source), *NO_LABELS, field, moved, changed, 5, pad, channels, planes, 0.2, 0, 2)
    for y, x in ((0, 0), (17, 3), (9, 9)):
        said = [source[field[v, u, 1] + y - v + pad, field[v, u, 0] + x - u + pad, :planes]
                for v in range(max(0, y - 2), min(18, y + 3)) for u in range(max(0, x - 2), min(20, x + 3))]
        assert np.allclose(target[y + pad, x + pad, :planes], np.mean(said, axis=0), atol=1e-6)
    assert np.array_equal(target[..., planes:], before[..., planes:]), "guides stay"
    change = np.abs(target - before)[pad:-pad, pad:-pad, :planes].max(axis=2)
    assert np.array_equal(changed, change >= 0.2) and 0 < changed.mean() < 1
    moved[:], moved[9, 9], again = 0, 1, target.copy()
    field[:] = random_field((18, 20), (18, 20))
    kernels.vote(flat(target), flat(source), *NO_LABELS, field, moved, changed, 5, pad, channels, planes, 0.0, 0, 2)
    touched = (target != again).any(axis=2)[pad:-pad, pad:-pad]
    assert touched[7:12, 7:12].all() and touched.sum() == 25, "only what a moved match covers is voted on again"


def test_a_mask_grows_by_a_square() -> None:
    for density in (0.0, 0.01, 0.3, 1.0):
        mask = (RNG.random((19, 27)) < density).astype(np.uint8)
        out = np.full_like(mask, 7)
        for radius in (1, 2, 7, 30):
            count = kernels.grown(mask, radius, out)
            expected = np.zeros_like(mask)
            for y, x in np.argwhere(mask):
                expected[max(0, y - radius) : y + radius + 1, max(0, x - radius) : x + radius + 1] = 1
            assert np.array_equal(out, expected) and count == expected.sum()


def test_random_matches_are_even_and_obey_labels() -> None:
    field, keep = np.zeros((100, 100, 2), np.int32), np.zeros((100, 100), np.uint8)
    no = np.zeros(1, np.int32), np.zeros(257, np.int64)
    kernels.random_field(field, keep, *NO_LABELS, *no, 10, 20, np.uint64(5))
    uses = np.bincount((field[..., 1] * 20 + field[..., 0]).ravel(), minlength=200)
    assert len(uses) == 200 and 20 < uses.min() and uses.max() < 90  # 50 each, a Poisson's spread of 7
    keep[50:] = 1
    before = field.copy()
    kernels.random_field(field, keep, *NO_LABELS, *no, 10, 20, np.uint64(6))
    assert np.array_equal(field[50:], before[50:]) and not np.array_equal(field[:50], before[:50])
    labels = (np.arange(200).reshape(10, 20) % 3).astype(np.uint8)
    wanted = RNG.integers(0, 4, (100, 100)).astype(np.uint8)  # 3 is not in the source
    counts = np.bincount(labels.ravel(), minlength=256)
    order = np.argsort(labels, axis=None, kind="stable").astype(np.int32)
    begins = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    kernels.random_field(field, keep, labels, wanted, counts == 0, True, order, begins, 10, 20, np.uint64(7))
    got = labels[field[..., 1], field[..., 0]]
    assert np.array_equal(got[wanted < 3], wanted[wanted < 3]) and set(np.unique(got[wanted == 3])) == {0, 1, 2}


def test_a_coarse_field_is_doubled_with_its_parity_and_a_start_is_halved() -> None:
    coarse = np.stack(np.meshgrid(np.arange(7), np.arange(5)), axis=2).astype(np.int32)
    fine, other = np.full((11, 15, 2), -1, np.int32), np.full((11, 15, 2), -1, np.int32)
    double(coarse, fine, (11, 15))
    double(coarse, other, (9, 12))
    y, x = np.mgrid[:10, :14]
    assert np.array_equal(fine[:10, :14], np.stack([x, y], axis=2)), "an identity stays one"
    assert fine[10, 14].tolist() == [12, 8] and other.max(axis=(0, 1)).tolist() == [11, 8]
    small = shrunk(fine, 1, (5, 7))
    assert np.array_equal(small, coarse) and np.array_equal(shrunk(fine, 0, (11, 15)), fine)
    assert (shrunk(np.full((8, 8, 2), -1, np.int32), 2, (2, 2)) == -1).all()


@pytest.mark.parametrize(("sizes", "most", "count"), [(((480, 640), (480, 640)), 0, 6), (((480, 640), (480, 640)), 2, 2),
                                                      (((11, 50), (90, 90)), 0, 1), (((22, 50), (480, 640)), 0, 2)])
def test_levels_halve_while_the_shortest_side_holds_two_patches(sizes: tuple, most: int, count: int) -> None:
    assert level_count(*sizes, 5, most) == count


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_a_crew_covers_every_band_once(threads: int) -> None:
    for bands in (0, 1, 2, 15, 100):
        seen: list[int] = []

        def deed(first: int, last: int, seen: list[int] = seen) -> int:
            seen.extend(range(first, last))
            return last - first

        with Crew(threads) as crew:
            assert crew.share(bands, deed) == bands
        assert sorted(seen) == list(range(bands))
