"""Sorting vectors onto a grid: what it keeps, what it may not do, how good it is, and that only the seed decides."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

pytest.importorskip("scipy", reason="scipy assigns")

from tools.sort_coarse import surroundings, targets
from tools.sort_fine import (
    Distances,
    apart,
    kernel_of,
    pieces_of,
    sort_finely,
    surrounding_cells,
)
from tools.sort_layout import EFFORTS, FREE, HOLE, RINGS, Effort, arrange, main_directions, whole_numbers
from tools.sort_measure import quality

LITTLE = Effort(0.3, 0.1, 0.3)


def clusters(count: int, dimensions: int = 32, groups: int = 12, seed: int = 0) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((groups, dimensions))
    return centres[rng.choice(groups, count, p=rng.dirichlet(np.ones(groups)))] + 0.4 * rng.standard_normal((count, dimensions))


def shuffled(rows: int, columns: int, seed: int = 0) -> NDArray[np.int64]:
    return np.random.default_rng(seed).permutation(rows * columns).reshape(rows, columns)


def dpq_of(shared: Path) -> Any:
    path = shared / "sorting" / "dpq.py"
    if not path.is_file():
        pytest.skip("needs ../shared/sorting/dpq.py")
    spec = importlib.util.spec_from_file_location("shared_dpq", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.dpq


# --- what a layout is


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 30), st.integers(1, 4), st.integers(0, 99), st.booleans())
def test_every_element_has_one_cell_and_what_is_kept_stays(
    rows: int, columns: int, holes: int, dimensions: int, seed: int, tidy: bool
) -> None:
    rng = np.random.default_rng(seed)
    count = max(1, rows * columns - holes)
    features = rng.standard_normal((count, dimensions)).round(1)  # rounded: some are equal
    kept = np.full(rows * columns, FREE)
    places = rng.permutation(rows * columns)
    frozen = rng.permutation(count)[: int(rng.integers(0, count + 1))]
    kept[places[: len(frozen)]] = frozen
    dead = int(rng.integers(0, rows * columns - count + 1))
    kept[places[len(frozen) : len(frozen) + dead]] = HOLE
    kept = kept.reshape(rows, columns)
    layout = arrange(features, rows, columns, seed=seed, kept=kept, tidy=tidy, effort=LITTLE)
    assert layout.shape == (rows, columns) and layout.dtype == np.int64
    assert sorted(layout[layout >= 0].tolist()) == list(range(count))
    assert (layout[kept != FREE] == kept[kept != FREE]).all()


def test_tidy_holes_are_the_last_cells_and_free_ones_lie_between_what_is_unlike() -> None:
    rng = np.random.default_rng(0)
    features = np.concatenate([rng.normal(-5, 0.1, (40, 3)), rng.normal(5, 0.1, (40, 3))])
    tidy = arrange(features, 9, 10, tidy=True)
    assert (tidy.reshape(-1)[-10:] == HOLE).all() and (tidy.reshape(-1)[:-10] >= 0).all()
    free = arrange(features, 9, 10)
    side = np.where(free < 0, 0, np.where(free < 40, -1, 1))
    touching = (side[1:] * side[:-1] < 0).sum() + (side[:, 1:] * side[:, :-1] < 0).sum()
    assert touching <= 4, "holes were to keep the two apart"


def test_a_single_row_of_numbers_comes_out_in_their_order() -> None:
    values = np.random.default_rng(0).random((40, 1))
    layout = arrange(values, 1, 40)[0]
    order = values[layout, 0]
    assert (np.diff(order) > 0).all() or (np.diff(order) < 0).all()


@pytest.mark.parametrize("features", [np.zeros((30, 4)), np.ones((1, 3)), np.zeros((2, 1)), 1e300 * np.eye(30, 4),
                                      1e-300 * np.eye(30, 4)])  # fmt: skip
def test_features_without_differences_or_of_any_size_are_laid_out(features: NDArray[np.float64]) -> None:
    layout = arrange(features, 5, 6, effort=LITTLE)
    assert sorted(layout[layout >= 0].tolist()) == list(range(len(features)))


def test_what_cannot_be_is_refused() -> None:
    features = np.zeros((6, 2))
    for kept in (np.full((2, 3), 0), np.array([[9, FREE, FREE], [FREE] * 3]), np.array([[HOLE, FREE, FREE], [FREE] * 3]),
                 np.full((3, 2), FREE)):  # fmt: skip
        with pytest.raises(ValueError, match="kept|free"):
            arrange(features, 2, 3, kept=kept)
    with pytest.raises(ValueError, match="5 cells are free for 6"):
        arrange(features, 1, 5)


def test_progress_counts_up_to_its_total() -> None:
    seen: list[tuple[int, int]] = []
    arrange(clusters(60), 6, 10, at=lambda done, total: seen.append((done, total)))
    assert [d for d, _ in seen] == list(range(1, len(seen) + 1)) and {t for _, t in seen} == {len(seen)}


# --- how good


@pytest.mark.parametrize(("features", "rows", "columns", "least"), [
    (np.random.default_rng(5).random((576, 3)), 24, 24, 0.935),
    (clusters(500, 128, 40), 20, 25, 0.88),
    (clusters(210), 10, 21, 0.90),
])
def test_neighbours_are_alike(features: NDArray[np.float64], rows: int, columns: int, least: float) -> None:
    layout = arrange(features, rows, columns)
    assert quality(features, layout) >= least
    assert quality(features, shuffled(rows, columns)) < 0.45


def test_more_effort_is_not_worse_and_other_seeds_are_as_good() -> None:
    features = clusters(300, 64, 25, seed=3)
    found = {name: quality(features, arrange(features, 15, 20, effort=effort)) for name, effort in EFFORTS.items()}
    assert found["best"] >= found["usual"] - 0.003 >= found["quick"] - 0.006
    others = [quality(features, arrange(features, 15, 20, seed=s)) for s in (1, 2, 3)]
    assert max(others) - min(others) < 0.02


def test_frozen_pictures_draw_those_like_them_to_where_they_stand() -> None:
    rng = np.random.default_rng(0)
    features = np.concatenate([rng.normal(c, 0.3, (25, 4)) for c in (-3, 0, 3, 6)])
    kept = np.full((10, 10), FREE)
    for corner, first in (((0, 0), 0), ((0, 9), 25), ((9, 0), 50), ((9, 9), 75)):
        kept[corner] = first
    layout = arrange(features, 10, 10, kept=kept)
    for rows, columns, group in ((slice(0, 3), slice(0, 3), 0), (slice(0, 3), slice(7, 10), 1),
                                 (slice(7, 10), slice(0, 3), 2), (slice(7, 10), slice(7, 10), 3)):  # fmt: skip
        assert (layout[rows, columns] // 25 == group).mean() >= 7 / 9


def test_our_measure_is_that_of_the_paper(shared: Path) -> None:
    dpq = dpq_of(shared)
    features = clusters(400, 16, 20)
    for layout in (arrange(features, 20, 20, effort=LITTLE), shuffled(20, 20)):
        assert quality(features, layout) == pytest.approx(dpq(features, layout), abs=2e-3)
    holes = arrange(features, 20, 24, effort=LITTLE)
    assert quality(features, holes) == pytest.approx(dpq(features, holes), abs=2e-3)


def test_the_asked_quality_is_reached_on_colours(shared: Path) -> None:
    features = np.random.default_rng(0).random((1024, 3))
    assert dpq_of(shared)(features, arrange(features, 32, 32)) >= 0.95


# --- only the seed decides


def test_a_layout_is_the_same_at_any_number_of_threads() -> None:
    """In processes of their own: BLAS reads the number of threads once. 2200 elements: beyond the table of distances."""
    code = ("import hashlib, sys, numpy as np; sys.path.insert(0, sys.argv[1]); from tools.sort_layout import Effort, arrange\n"
            "for n, r, c in ((300, 15, 20), (2200, 44, 50)):\n"
            "    f = np.random.default_rng(1).standard_normal((n, 24))\n"
            "    a = arrange(f, r, c, seed=4, effort=Effort(0.3, 0.08))\n"
            "    print(hashlib.sha256(a.tobytes()).hexdigest())")  # fmt: skip
    root = str(Path(__file__).resolve().parents[1])
    told = [subprocess.run([sys.executable, "-c", code, root], capture_output=True, text=True, check=True, env={
        **os.environ, "OMP_NUM_THREADS": n, "OPENBLAS_NUM_THREADS": n, "MKL_NUM_THREADS": n}).stdout for n in "12"]  # fmt: skip
    assert told[0] == told[1] and len(told[0].split()) == 2


def test_another_seed_is_another_layout_and_the_same_seed_the_same() -> None:
    features = clusters(120)
    first = arrange(features, 10, 12, seed=1, effort=LITTLE)
    assert (first == arrange(features, 10, 12, seed=1, effort=LITTLE)).all()
    assert (first != arrange(features, 10, 12, seed=2, effort=LITTLE)).any()


def test_features_become_whole_numbers_that_keep_their_distances() -> None:
    features = clusters(50)
    whole = whole_numbers(features * 7 + 1000)
    assert (whole == np.rint(whole)).all() and np.abs(whole).max() == 2**14
    made, given = Distances.between(whole).table, np.linalg.norm(features[:, None] - features, axis=2)
    assert made is not None
    assert np.allclose(made / made.mean(), given / given.mean(), atol=1e-3)


# --- the parts


@pytest.mark.parametrize("radius", [(0, 0), (1, 2), (3, 3), (4, 6)])
def test_box_sums_are_those_of_the_mirrored_grid(radius: tuple[int, int]) -> None:
    values = np.random.default_rng(0).integers(-9, 9, (5, 7, 3)).astype(float)
    ry, rx = radius
    padded = np.pad(values, ((ry, ry), (rx, rx), (0, 0)), mode="symmetric")
    slow = [[padded[y : y + 2 * ry + 1, x : x + 2 * rx + 1].sum(axis=(0, 1)) for x in range(7)] for y in range(5)]
    assert (surroundings(values, ry, rx) == np.array(slow)).all()


def test_holes_have_no_say_in_what_a_cell_wishes_for() -> None:
    x = np.array([[4.0], [8.0]])
    layout = np.array([[0, -1, 1]])
    assert targets(x, layout, 1, np.ones((1, 3))).reshape(-1).tolist() == [4, 6, 8]
    assert targets(x, np.full((2, 2), -1), 1, np.ones((2, 2))).tolist() == [[0]] * 4


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 3), st.integers(0, 10_000))
def test_cells_that_are_apart_do_not_touch(rows: int, columns: int, reach: int, seed: int) -> None:
    cells = apart(rows, columns, reach, np.random.default_rng(seed))
    assert len(np.unique(cells)) == len(cells) and (len(cells) == 0 or 0 <= cells.min() <= cells.max() < rows * columns)
    y, x = np.divmod(cells, columns)
    near = (np.abs(y[:, None] - y) <= reach) & (np.abs(x[:, None] - x) <= reach)
    assert near.sum() == len(cells)


def test_every_cell_gets_its_turn() -> None:
    rng = np.random.default_rng(0)
    seen = np.zeros(7 * 9, int)
    for _ in range(80):
        np.add.at(seen, apart(7, 9, 1, rng), 1)
    assert seen.min() >= 5


def test_pieces_hold_every_cell_once() -> None:
    rng = np.random.default_rng(0)
    cells = rng.permutation(500)[:230]
    for _ in range(8):
        pieces = pieces_of(cells, 20, 25, 64, rng)
        assert max(len(p) for p in pieces) <= 64 and sorted(np.concatenate(pieces)) == sorted(cells)


def total_cost(distances: Distances, layout: NDArray[np.int64]) -> float:
    near, weights = surrounding_cells(layout, kernel_of(RINGS))
    flat = layout.reshape(-1)
    every = np.arange(len(distances.x))
    table = distances.of(every, every)
    there = np.flatnonzero(flat >= 0)
    return float((table[flat[there][:, None], flat[near[there]]] * weights[there]).sum(dtype=np.float64))


def test_without_chance_the_sum_of_neighbours_distances_never_rises() -> None:
    features = whole_numbers(clusters(150))
    distances = Distances.between(features)
    layout = np.append(np.random.default_rng(0).permutation(150), [-1] * 10).reshape(10, 16)
    free = np.ones(layout.shape, bool)
    costs = [total_cost(distances, layout)]
    for seed in range(12):
        sort_finely(distances, layout, free, kernel_of(RINGS), np.zeros(1), 64, np.random.default_rng(seed), lambda done: None)
        costs.append(total_cost(distances, layout))
    assert (np.diff(costs) <= 1e-4 * costs[0]).all() and costs[-1] < 0.8 * costs[0]


def test_an_elements_neighbours_weigh_the_same_in_all_at_the_edge_and_in_the_middle() -> None:
    near, weights = surrounding_cells(shuffled(8, 8), kernel_of({1: 1.0}))
    assert weights[27].sum() == pytest.approx(1) and weights.sum() == pytest.approx(64, rel=1e-5)
    table = np.zeros((64, 64))
    np.add.at(table, (np.repeat(np.arange(64), near.shape[1]), near.reshape(-1)), weights.reshape(-1))
    assert np.allclose(table, table.T)


def test_distances_made_when_asked_for_are_those_of_the_table() -> None:
    features = whole_numbers(clusters(80))
    kept = Distances.between(features)
    made = Distances(kept.x, kept.squares, kept.unit, None)
    some, others = np.array([3, 70, 5]), np.array([9, 3, 3, 79])
    assert (kept.of(some, others) == made.of(some, others)).all()
    assert kept.of(some, others)[0, 1] == 0


# --- what the bench measures


def test_the_bench_has_the_four_sets_and_says_what_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    from tools import bench_film_sorting as bench

    assert [(s.features.shape, s.rows * s.columns) for s in bench.sets()] == [
        ((1024, 3), 1024), ((500, 128), 500), ((500, 128), 500), ((9408, 64), 9408)]  # fmt: skip
    monkeypatch.setattr(bench.importlib.util, "find_spec", lambda name: None)
    few = clusters(48, 8, 5)
    asked = bench.set_rows(bench.Set("few", few, 6, 8, 0.5, 60))
    assert [r.ok for r in asked] == [True, True, None, None]
    assert [r.value for r in asked[2:]] == ["not installed"] * 2 and "scikit-learn" in asked[2].name
    assert [r.ok for r in bench.set_rows(bench.Set("few", few, 6, 8, None, None))] == [None] * 3


def test_vc_flas_gives_a_layout_of_all_elements() -> None:
    pytest.importorskip("vc_flas", reason="vc_flas is not installed")
    from tools.bench_film_sorting import by_vc_flas

    assert sorted(by_vc_flas(clusters(48, 8, 5), 6, 8).reshape(-1)) == list(range(48))


def test_equal_elements_stay_equal_on_their_main_directions() -> None:
    x = whole_numbers(np.repeat(clusters(20, 6, 4), 3, axis=0))
    main = main_directions(x)
    assert (main[0::3] == main[1::3]).all() and (main[0::3] == main[2::3]).all() and main.shape == (60, 2)
    assert np.abs(main).max() > 0 and main_directions(x[:, :1]).shape == (60, 1)
