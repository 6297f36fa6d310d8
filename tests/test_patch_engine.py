"""Patch synthesis: what the guides and masks say is what comes out, whatever the number of threads."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("numba")

from player.show.problem import ShowError
from tools import patch_kernels as kernels
from tools.patch_check import work_of
from tools.patch_crew import Crew
from tools.patch_engine import PRESETS, Guide, Settings, referee, synthesise
from tools.patch_levels import Count, Search, coarse_to_fine
from tools.patch_plain import synthesise_plainly
from tools.patch_pyramid import coarser, finest, spread_edges
from tools.patch_scene import Scene, scene

FULL = Settings(stop=0.0, shrink=2.0, threads=1)
QUICK = Settings(votes=2, sweeps=2, threads=1)


@pytest.fixture(scope="module")
def small() -> Scene:
    return scene(160, 120)


def places(height: int, width: int, shift: tuple[float, float] = (0, 0)) -> np.ndarray:
    """Each pixel's own (x, y) plus shift, over the width: float32 [H, W, 2]."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    return np.stack([x + shift[0], y + shift[1]], axis=2) / np.float32(width)


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / max(1e-9, np.mean((a.astype(float) - b) ** 2))))


# --- what it makes


def test_equal_guides_give_the_style_back() -> None:
    style = noise(48, 64)
    made = synthesise(style, [Guide(places(48, 64), places(48, 64), 50.0)], replace(FULL, uniformity=0))
    assert (made.picture == style).mean() > 0.999 and psnr(made.picture, style) > 45
    y, x = np.mgrid[:48, :64]
    assert (made.field == np.stack([x, y], axis=2)).all(axis=2).mean() > 0.999
    assert made.field.dtype == np.int32 and made.error.dtype == np.float32 and np.median(made.error) < 1e-3


def test_a_position_guide_moves_the_picture() -> None:
    style = noise(48, 64)
    made = synthesise(style, [Guide(places(48, 64), places(48, 64, (7, -4)), 2000.0)], replace(FULL, uniformity=0))
    assert psnr(made.picture[8:40, 8:50], style[4:36, 15:57]) > 40, "pixel (x, y) shows what was at (x + 7, y - 4)"


def test_guides_are_finer_than_eight_bits() -> None:
    """Over 640 pixels 8 bits step 2.5 pixels: neighbours would look alike to the engine."""
    style = noise(24, 640)
    made = synthesise(style, [Guide(places(24, 640), places(24, 640, (2, 0)), 1000.0)],
                      replace(FULL, uniformity=0, levels=3))
    inner = made.field[4:20, 8:-8, 0] - np.arange(8, 632)
    assert (inner == 2).mean() > 0.99


@pytest.mark.parametrize(("source", "target", "channels"), [((31, 47), (52, 33), 3), ((64, 48), (23, 90), 0)])
def test_sides_may_differ_in_size_be_odd_and_be_grey(source: tuple[int, int], target: tuple[int, int], channels: int) -> None:
    style = noise(*source)[..., :channels] if channels else noise(*source)[..., 0]
    guide = Guide(np.zeros(source, np.float32), np.zeros(target, np.float32))
    made = synthesise(style, [guide], QUICK)
    assert made.picture.shape == (*target, *style.shape[2:]) and made.picture.dtype == np.uint8
    assert made.field.shape == (*target, 2) and made.error.shape == target
    assert made.field.min() >= 0 and (made.field.reshape(-1, 2).max(axis=0) < (source[1], source[0])).all()
    assert np.array_equal(made.picture, synthesise(style, [], QUICK, size=target).picture), "a flat guide says nothing"


def test_the_picture_follows_the_motion_better_than_the_key_does(small: Scene) -> None:
    made = synthesise(small.style, small.guides, replace(PRESETS["normal"], threads=1))
    assert psnr(made.picture, small.truth) > psnr(small.style, small.truth) + 4


def test_the_same_budget_matches_as_well_as_the_plain_engine(small: Scene) -> None:
    plain, _ = synthesise_plainly(small.style, small.guides, FULL)
    costs = {name: referee(small.style, small.guides, p, FULL)
             for name, p in (("plain", plain.picture), ("ours", synthesise(small.style, small.guides, FULL).picture))}
    assert costs["ours"] < 1.02 * costs["plain"]


def test_uniformity_spreads_the_use_of_the_style() -> None:
    style = noise(48, 64)
    style[:24] //= 8  # the target asks for the dark half alone, or so it seems to the guide
    dark = (style.mean(axis=2) < 40).astype(np.float32)
    guide = Guide(dark, np.ones((48, 64), np.float32), 0.2)
    def used(uniformity: float) -> float:
        field = synthesise(style, [guide], replace(FULL, uniformity=uniformity)).field
        return len(np.unique(field.reshape(-1, 2), axis=0)) / (48 * 64)
    assert used(15000) > 1.3 * used(0)


# --- the same on any number of threads


@pytest.mark.parametrize("preset", ["draft", "best"])
def test_one_two_and_four_threads_give_identical_pictures(small: Scene, preset: str) -> None:
    amount = np.linspace(0, 1, 160 * 120, dtype=np.float32).reshape(120, 160)
    guides = [small.guides[0], replace(small.guides[1], amount=amount), *small.guides[2:]]
    made = [synthesise(small.style, guides, replace(PRESETS[preset], threads=n, votes=3), source_mask=small.masks[0],
                       target_mask=small.masks[1]) for n in (1, 2, 4)]  # fmt: skip
    for other in made[1:]:
        assert np.array_equal(made[0].picture, other.picture) and np.array_equal(made[0].field, other.field)
        assert np.array_equal(made[0].error, other.error)


def test_a_tall_picture_of_many_lanes_does_not_depend_on_threads_either() -> None:
    style, guide = noise(300, 30), Guide(places(300, 30), places(300, 30, (3, 40)), 20.0)
    made = [synthesise(style, [guide], replace(QUICK, levels=2, threads=n, uniformity=9000)) for n in (1, 2, 3, 8)]
    assert all(np.array_equal(made[0].field, m.field) and np.array_equal(made[0].picture, m.picture) for m in made[1:])


def test_the_seed_alone_decides_what_chance_decides(small: Scene) -> None:
    a, b, c = (synthesise(small.style, small.guides, replace(QUICK, seed=s)) for s in (1, 1, 2))
    assert np.array_equal(a.field, b.field) and not np.array_equal(a.field, c.field)


# --- masks, amounts, start


def test_masks_are_hard_constraints(small: Scene) -> None:
    """The style is red on the disc and blue around it, the guide asks for the contrary, and the mask decides."""
    disc = small.masks[0].astype(bool)
    style = np.where(disc[..., None], np.uint8([200, 0, 0]), np.uint8([0, 0, 200])) + noise(120, 160) // 8
    guide = Guide(disc.astype(np.float32), 1 - small.masks[1].astype(np.float32), 10.0)
    made = synthesise(style, [guide], QUICK, source_mask=small.masks[0], target_mask=small.masks[1])
    red = made.picture[..., 0] >= 200
    assert np.array_equal(red, small.masks[1].astype(bool))
    assert (made.picture[..., 2] >= 200)[~red].all(), "no pixel mixes the two sides"
    labels = small.masks[0][made.field[..., 1], made.field[..., 0]]
    assert np.array_equal(labels, small.masks[1])
    free = synthesise(style, [guide], QUICK)
    assert (free.picture[..., 0] >= 150)[~small.masks[1].astype(bool)].mean() > 0.5, "without the mask the guide decides"


def test_a_label_that_the_source_lacks_is_not_constrained(small: Scene) -> None:
    target = small.masks[1] + np.uint8(1) * (small.masks[1] == 1)  # 0 around, 2 on the disc; the source has 0 and 1
    made = synthesise(small.style, small.guides, QUICK, source_mask=small.masks[0], target_mask=target)
    labels = small.masks[0][made.field[..., 1], made.field[..., 0]]
    assert (labels[target == 0] == 0).all() and set(np.unique(labels[target == 2])) == {0, 1}


def test_a_label_of_one_pixel_is_found(small: Scene) -> None:
    source, target = np.zeros((120, 160), np.uint8), np.zeros((120, 160), np.uint8)
    source[51, 77], target[10:13, 20:23] = 9, 9
    made = synthesise(small.style, small.guides, QUICK, source_mask=source, target_mask=target)
    assert (made.field[10:13, 20:23] == (77, 51)).all()


def test_where_its_amount_is_nothing_a_guide_says_nothing(small: Scene) -> None:
    half = np.zeros((120, 160), np.float32)
    half[:, 80:] = 1
    rubbish = small.guides[0].target.copy()
    rubbish[:, :80] = 0.5
    with_rubbish = [replace(small.guides[0], target=rubbish, amount=half), *small.guides[1:]]
    clean = [replace(small.guides[0], amount=half), *small.guides[1:]]
    one = synthesise(small.style, with_rubbish, replace(QUICK, levels=1))
    other = synthesise(small.style, clean, replace(QUICK, levels=1))
    assert np.array_equal(one.field[:, :76], other.field[:, :76])
    full = [replace(g, amount=np.ones((120, 160), np.float32)) for g in small.guides]
    same = synthesise(small.style, full, QUICK), synthesise(small.style, small.guides, QUICK)
    assert psnr(same[0].picture, same[1].picture) > 30


def test_a_given_field_is_where_the_search_starts(small: Scene) -> None:
    first = synthesise(small.style, small.guides, FULL)
    short = Settings(votes=1, sweeps=1, levels=1, threads=1)
    cold = synthesise(small.style, small.guides, short)
    warm = synthesise(small.style, small.guides, short, start=first.field)
    assert warm.error.mean() < 0.7 * cold.error.mean() and psnr(warm.picture, first.picture) > 30
    coarse = synthesise(small.style, small.guides, replace(short, levels=0))
    warmer = synthesise(small.style, small.guides, replace(short, levels=0), start=first.field)
    assert warmer.error.mean() < coarse.error.mean()
    broken = first.field.copy()
    broken[:60] = 10**6
    broken[:30] = -5
    half = synthesise(small.style, small.guides, short, start=broken)
    assert half.field.min() >= 0 and np.array_equal(half.field[100:], half.field[100:])
    assert half.error[80:].mean() < half.error[:50].mean(), "what is not known starts at random"


# --- how it works


def test_settled_pixels_are_not_searched_again(small: Scene) -> None:
    counts = {}
    for stop in (0.0, 3.0):
        settings = replace(FULL, stop=stop)
        count = Count()
        coarse_to_fine(work_of(small.style, small.guides, settings, None, None, None, None), settings, lambda _: None, count)
        counts[stop] = count.comparisons
    assert counts[3.0] < 0.7 * counts[0.0]


def test_what_is_not_settled_is_searched_to_the_same_quality(small: Scene) -> None:
    costs = {}
    for stop, votes in ((0.0, 6), (3.0, 6), (0.0, 1)):
        settings = replace(FULL, stop=stop, votes=votes)
        costs[stop, votes] = referee(small.style, small.guides, synthesise(small.style, small.guides, settings).picture, FULL)
    gained = costs[0.0, 1] - costs[0.0, 6]  # by five rounds more
    assert gained > 0 and costs[3.0, 6] < costs[0.0, 6] + 0.2 * gained


def at_work(scene: Scene, settings: Settings, **more: object) -> Search:
    """The finest level, begun."""
    work = work_of(scene.style, scene.guides, settings, None, more.get("source_mask"), more.get("target_mask"), None)
    search = Search(finest(work, settings.patch // 2), settings, 0, Crew(1), Count())
    search.begin()
    search.vote()
    return search


def test_the_neighbours_of_what_has_changed_are_searched_again(small: Scene) -> None:
    search = at_work(small, replace(QUICK, stop=3.0))
    for _ in range(4):
        search.round(lambda: None)
    y, x = np.nonzero(search.changed)
    around = np.zeros_like(search.active)
    for dy in range(-2, 3):
        for dx in range(-2, 3):
            around[(y + dy).clip(0, 119), (x + dx).clip(0, 159)] = 1
    assert np.array_equal(search.active, around) and search.changed.sum() < around.sum() < around.size


def test_a_field_that_is_offered_is_taken_where_it_costs_less(small: Scene) -> None:
    search = at_work(small, QUICK)
    search.price()
    before, own = search.cost.copy(), search.field.copy()
    good = synthesise(small.style, small.guides, FULL).field
    picture = search.level.picture.copy()
    offered = good.copy()
    offered[:40] = -1  # not known
    search.offer(offered)
    taken = (search.field != own).any(axis=2)
    assert np.array_equal(search.field[:40], own[:40]) and taken[40:].mean() > 0.8
    assert np.array_equal(search.field[taken], good[taken])
    search.level.picture[:] = picture  # the costs are those of the picture that stood
    spread_edges(search.level.target[..., :3], search.level.pad)
    search.price()
    assert (search.cost <= before * (1 + 1e-5)).all() and (search.cost[taken] < before[taken]).all()


def test_a_start_is_offered_at_every_level_but_the_coarsest(small: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    offered: list[int] = []
    offer = Search.offer
    monkeypatch.setattr(Search, "offer", lambda self, start: (offered.append(self.number), offer(self, start))[1])
    start = np.full((120, 160, 2), -1, np.int32)
    synthesise(small.style, small.guides, QUICK, start=start)
    assert offered == [2, 1, 0]  # 4 levels


def test_a_start_that_the_masks_forbid_is_not_taken(small: Scene) -> None:
    source, target = small.masks
    y, x = np.nonzero(source == 0)
    start = np.where(target[..., None] == 1, np.int32([x[0], y[0]]), np.int32([80, 60]))
    assert source[60, 80] == 1, "each start is on the other side"
    for levels in (1, 0):
        made = synthesise(small.style, small.guides, replace(QUICK, levels=levels), start=start, source_mask=source,
                          target_mask=target)  # fmt: skip
        assert np.array_equal(source[made.field[..., 1], made.field[..., 0]], target)


def test_the_extra_pass_fits_small_patches_better(small: Scene) -> None:
    def small_cost(extra: bool) -> float:
        settings = replace(QUICK, uniformity=15000, extra_pass=extra)
        picture = synthesise(small.style, small.guides, settings).picture
        return float(np.mean((picture.astype(float) - small.truth) ** 2))
    assert small_cost(True) < 0.97 * small_cost(False)


@pytest.mark.parametrize("stop", [0.0, 3.0])
def test_the_error_is_the_cost_of_the_matches_in_the_picture_that_is_given(small: Scene, stop: float) -> None:
    """Summed here as Guide's docstring says: squared differences in 8-bit levels, a guide's weight shared by its channels."""
    made = synthesise(small.style, small.guides, replace(QUICK, stop=stop))
    assert small.guides[0].source.shape[2] == 3
    off = []
    for y, x in ((y, x) for y in range(2, 118, 3) for x in range(2, 158, 3)):
        at_x, at_y = made.field[y, x]
        if not (2 <= at_x < 158 and 2 <= at_y < 118):
            continue
        here = (slice(y - 2, y + 3), slice(x - 2, x + 3))
        there = (slice(at_y - 2, at_y + 3), slice(at_x - 2, at_x + 3))
        cost = ((made.picture[here].astype(float) - small.style[there]) ** 2).sum() / 3
        for g in small.guides:
            cost += g.weight * 255**2 * ((g.target[here] - g.source[there]).astype(float) ** 2).sum() / g.source.shape[2]
        off.append(abs(made.error[y, x] - cost) / max(cost, 100))
    assert len(off) > 1000 and max(off) < 0.03, "the picture is rounded to 8 bits; but for that they are equal"


def test_a_coarser_level_keeps_labels(small: Scene) -> None:
    work = work_of(small.style, small.guides, QUICK, None, small.masks[0], small.masks[1], None)
    level = coarser(finest(work, 2))
    assert np.array_equal(level.source_mask, small.masks[0][::2, ::2]) and level.target_mask.any() and level.masked
    assert np.array_equal(level.target_mask, small.masks[1][::2, ::2])


def test_progress_rises_to_the_end_and_can_stop_the_work(small: Scene) -> None:
    heard: list[float] = []
    synthesise(small.style, small.guides, replace(QUICK, extra_pass=True), progress=heard.append)
    assert heard == sorted(heard) and heard[0] > 0 and heard[-1] == pytest.approx(1) and len(heard) > 8

    def stop(share: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        synthesise(small.style, small.guides, replace(QUICK, threads=2), progress=stop)


def test_memory_is_under_60_bytes_a_pixel_and_guide_channel(small: Scene) -> None:
    """Of what NumPy allocates; the bench measures the process."""
    channels = sum(g.source.shape[2] for g in small.guides)
    synthesise(small.style, small.guides, QUICK)
    tracemalloc.start()
    synthesise(small.style, small.guides, QUICK, source_mask=small.masks[0], target_mask=small.masks[1])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak / (120 * 160 * channels) < 20, "17 here: the padding of so small a picture counts in"


def test_each_kernel_is_compiled_once(small: Scene) -> None:
    """A second layout or number type would cost every user another wait for the compiler."""
    guides = [replace(small.guides[0], amount=np.ones((120, 160), np.float32))]
    masks = {"source_mask": np.asfortranarray(small.masks[0]), "target_mask": small.masks[1][::-1]}
    made = synthesise(small.style, guides, Settings(votes=1, sweeps=1, shrink=2, stop=0, patch=7, extra_pass=True), **masks)
    synthesise(small.style[::-1, ::-1], guides, QUICK, start=made.field.astype(np.int64))
    counts = {name: len(getattr(kernels, name).signatures) for name in ("costs", "sweep", "vote", "use_map", "random_field")}
    assert counts == dict.fromkeys(counts, 1)


def test_the_referee_prefers_the_truth(small: Scene) -> None:
    same = [Guide(g.source, g.source, g.weight) for g in small.guides]
    exact, rough = (referee(small.style, same, p, FULL) for p in (small.style, noise(120, 160)))
    assert 0 <= exact < 0.1 * rough
    assert referee(small.style, small.guides, small.truth) < referee(small.style, small.guides, small.style)


def test_without_numba_the_engine_says_what_to_install(repo: Path) -> None:
    code = ("import sys; sys.modules['numba'] = None\nimport numpy as np\nfrom tools.patch_engine import synthesise\n"
            "try:\n    synthesise(np.zeros((20, 20, 3), np.uint8), [], size=(20, 20))\n"
            "except Exception as e:\n    print(type(e).__name__, e)")
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=repo).stdout
    assert said.startswith("ShowError") and "numba is not installed" in said and "cineml[studio]" in said


# --- bad input


def complaint(style: object, guides: list[Guide], settings: Settings = QUICK, **options: object) -> str:
    with pytest.raises(ShowError) as e:
        synthesise(style, guides, settings, **options)  # type: ignore[arg-type]
    return str(e.value)


def flat(height: int, width: int, channels: int = 1) -> np.ndarray:
    return np.zeros((height, width, channels), np.float32)


@pytest.mark.parametrize(("guide", "said"), [
    (Guide(flat(40, 50), flat(30, 20)), "guide 0, source: is 50 x 40 pixels; allowed: the style's size, 60 x 40"),
    (Guide(flat(40, 60), np.full((30, 20), np.nan, np.float32)), "guide 0, target: holds NaN or infinity"),
    (Guide(flat(40, 60, 2), flat(30, 20, 3), name="flow"), "guide 0 (flow): has channels [2] in the source and [3]"),
    (Guide(flat(40, 60).astype(np.uint8), flat(30, 20)), "guide 0, source: uint8 [40, 60, 1]; allowed: float32"),
    (Guide(flat(40, 60), flat(30, 20), -1.0), "guide 0, weight: -1"),
    (Guide(flat(40, 60), flat(30, 20), amount=flat(30, 21)[..., 0]), "guide 0, amount: float32 [30, 21]"),
    (Guide(flat(40, 60), flat(30, 20), amount=flat(30, 20)[..., 0] - 1), "guide 0, amount: holds NaN, infinity or numbers"),
    (Guide(flat(40, 60, 0), flat(30, 20, 0)), "guide 0: has no channels"),
])
def test_a_guide_that_does_not_fit_is_a_sentence(guide: Guide, said: str) -> None:
    assert said in complaint(noise(40, 60), [guide])


def test_other_bad_input_is_a_sentence_each_and_all_at_once() -> None:
    style, guide = noise(40, 60), Guide(flat(40, 60), flat(30, 20))
    assert "size: is missing" in complaint(style, [])
    assert "style: float64" in complaint(style / 255, [guide])
    assert "style: is 10 x 40 pixels, which is too small for 5 x 5" in complaint(style[:, :10], [], size=(30, 30))
    assert "target: is 20 x 8 pixels" in complaint(style, [Guide(flat(40, 60), flat(8, 20))])
    zeros, ones = np.zeros((40, 60), np.uint8), np.ones((30, 20), np.uint8)
    assert "masks: have no label in common: the source [0], the target [1]" in complaint(
        style, [guide], source_mask=zeros, target_mask=ones)
    assert "target mask: is missing" in complaint(style, [guide], source_mask=zeros)
    assert "source mask: uint8 [30, 20]" in complaint(style, [guide], source_mask=ones, target_mask=ones)
    assert "start: int32 [30, 21, 2]" in complaint(style, [guide], start=np.zeros((30, 21, 2), np.int32))
    both = complaint(style, [guide], Settings(patch=4, sweeps=0, threads=-1)).splitlines()
    assert [line.split(":")[0] for line in both] == ["patch", "sweeps", "threads"]
    with pytest.raises(ShowError, match="picture: uint8"):
        referee(style, [guide], noise(30, 20)[..., 0])
