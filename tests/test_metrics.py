"""The metrics on sets whose distances are known, and the encoder that learns from the dataset."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

import tools.metrics_encoder as metrics_encoder
from models.network_config import GeneratorConfig
from models.stylegan2 import Generator
from player.show.problem import ShowError
from tools.metrics_distances import (
    PatchCollector,
    kid,
    laplacian,
    mmd2,
    precision_recall,
    pyramid_levels,
    smoothed,
    swd,
)
from tools.metrics_encoder import FILE, EncoderSettings, encoder_for
from tools.metrics_measure import measure, picture_box
from tools.metrics_nearest import COPY, memorised, nearest_of, reduced

TINY = EncoderSettings(size_px=32, features=24, width=8, steps=40, batch=16)
SIDE = 32
pytestmark = pytest.mark.usefixtures("one_thread")


def gaussian(count: int, seed: int, dims: int = 16) -> Tensor:
    return torch.randn(count, dims, generator=torch.Generator().manual_seed(seed))


def discs(centres: NDArray[np.float64], tones: NDArray[np.float64], side: int = SIDE) -> NDArray[np.uint8]:
    """uint8 [N, 1, side, side]: a soft disc at each centre (0..1), of a tone (0..1), on grey with a slope."""
    y, x = np.mgrid[0:side, 0:side] / side
    pictures = []
    for (cy, cx), tone in zip(centres, tones, strict=True):
        inside = 1 / (1 + np.exp((np.hypot(y - cy, x - cx) - 0.22) * 60))
        pictures.append(0.35 + 0.2 * y + (tone - 0.35) * inside)
    return (np.clip(np.stack(pictures)[:, None], 0, 1) * 255).round().astype(np.uint8)


def fresh(count: int, seed: int) -> NDArray[np.uint8]:
    """Independent pictures of one distribution: three unknowns, place and tone."""
    rng = np.random.default_rng(seed)
    return discs(rng.uniform(0.2, 0.8, (count, 2)), rng.uniform(0.6, 1.0, count))


def film(count: int, seed: int, speed: float = 0.004) -> NDArray[np.uint8]:
    """A film of the same: the disc wanders slowly, so that neighbouring frames are nearly equal."""
    rng = np.random.default_rng(seed)
    phase = rng.uniform(0, 2 * np.pi, 6)
    t = np.arange(count) * speed
    centres = 0.5 + 0.3 * np.stack([np.sin(5 * t + phase[0] + 2 * np.sin(t * 1.7 + phase[1])),
                                    np.sin(7 * t + phase[2] + 2 * np.sin(t * 2.3 + phase[3]))], axis=1)  # fmt: skip
    return discs(centres, 0.8 + 0.2 * np.sin(3 * t + phase[4]))


# KID


def test_mmd_is_the_sum_over_pairs_that_its_definition_says() -> None:
    x, y = gaussian(4, 1, 3).double(), gaussian(5, 2, 3).double()

    def kernel(a: Tensor, b: Tensor) -> float:
        return float((a @ b / 3 + 1) ** 3)

    xx = sum(kernel(x[i], x[j]) for i in range(4) for j in range(4) if i != j) / 12
    yy = sum(kernel(y[i], y[j]) for i in range(5) for j in range(5) if i != j) / 20
    xy = sum(kernel(a, b) for a in x for b in y) / 20
    assert float(mmd2(x, y)) == pytest.approx(xx + yy - 2 * xy, rel=1e-12)


def test_kid_of_two_halves_of_one_set_is_nothing_beside_that_of_another_set() -> None:
    whole = gaussian(1200, 3)
    halves, spread = kid(whole[::2], whole[1::2], size=300)
    shifted, _ = kid(whole[::2], whole[1::2] + 0.4, size=300)
    wider, _ = kid(whole[::2], whole[1::2] * 1.4, size=300)
    assert abs(halves) < 0.02 and spread < 0.05
    assert shifted > 10 * abs(halves) + 0.1 and wider > 10 * abs(halves) + 0.1


def test_kid_is_unbiased_it_is_zero_on_average_even_for_eight_pictures() -> None:
    values = np.array([kid(gaussian(8, 2 * i, 4), gaussian(8, 2 * i + 1, 4))[0] for i in range(400)])
    error = values.std() / math.sqrt(len(values))
    assert abs(values.mean()) < 3.5 * error
    assert (values < 0).mean() > 0.3  # a biased estimator would hardly ever be negative


def test_kid_is_the_same_for_the_same_seed() -> None:
    a, b = gaussian(50, 1), gaussian(60, 2)
    assert kid(a, b, size=20, seed=4) == kid(a, b, size=20, seed=4) != kid(a, b, size=20, seed=5)


# Precision and recall


def modes(count: int, seed: int, kept: int) -> Tensor:
    """Points around `kept` of four far corners."""
    chance = torch.Generator().manual_seed(seed)
    corner = torch.eye(4)[torch.randint(0, kept, (count,), generator=chance)] * 20
    return corner + torch.randn(count, 4, generator=chance)


def test_equal_distributions_have_high_precision_and_recall() -> None:
    assert min(precision_recall(modes(400, 1, 4), modes(400, 2, 4))) > 0.85


def test_dropping_modes_lowers_recall_and_not_precision() -> None:
    precision, recall, coverage = precision_recall(modes(400, 1, 4), modes(400, 2, 2))
    assert precision > 0.85 and 0.3 < recall < 0.6 and 0.3 < coverage < 0.6


def test_rubbish_among_the_samples_lowers_precision_and_not_recall() -> None:
    good, rubbish = modes(400, 2, 4), -30 + modes(100, 3, 4)
    precision, recall, coverage = precision_recall(modes(400, 1, 4), torch.cat([good, rubbish]))
    assert 0.65 < precision < 0.82 and recall > 0.85 and coverage > 0.85


def test_scattered_rubbish_flatters_recall_and_not_coverage() -> None:
    precision, recall, coverage = precision_recall(modes(400, 1, 4), gaussian(400, 2, 4) * 40)
    assert precision < 0.2 and coverage < 0.2 and recall > 0.5


def test_a_films_neighbouring_frames_do_not_make_its_manifold_a_thread() -> None:
    angle = torch.linspace(0, 2 * math.pi, 600)[:, None]
    thread = torch.cat([angle.cos(), angle.sin()], dim=1)  # [600, 2]; frames 0.01 apart
    beside = thread * 1.05
    assert precision_recall(thread, beside)[0] == 0
    assert precision_recall(thread, beside, numbers=torch.arange(600), gap=12)[0] == 1
    assert precision_recall(thread, thread * 1.5, numbers=torch.arange(600), gap=12)[0] == 0


# Sliced Wasserstein


def patches_of(images: NDArray[np.uint8], batch: int = 64, seed: int = 0, count: int = 4096) -> dict[int, Tensor]:
    collector = PatchCollector(len(images), images.shape[-1], count, seed)
    for start in range(0, len(images), batch):
        collector.add(torch.from_numpy(images[start : start + batch]).float() / 127.5 - 1)
    return collector.patches()


def test_the_pyramid_goes_down_to_sixteen_and_adds_up_to_the_picture_again() -> None:
    assert pyramid_levels(128) == [128, 64, 32, 16] and pyramid_levels(8) == [8]
    x = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    bands = laplacian(x)
    assert [b.shape[-1] for b in bands] == [64, 32, 16]
    picture = bands[-1]
    for band in reversed(bands[:-1]):
        wide = torch.zeros_like(band)
        wide[:, :, ::2, ::2] = picture * 4
        picture = band + smoothed(wide)
    assert torch.allclose(picture, x, atol=1e-5)
    assert abs(float(bands[0].mean())) < 0.01  # a band holds no level of its own


def test_patches_do_not_depend_on_how_the_pictures_are_batched() -> None:
    images = fresh(30, 1)
    whole, pieces = patches_of(images, 30, count=100), patches_of(images, 7, count=100)
    assert all(torch.equal(whole[level], pieces[level]) for level in (32, 16))
    assert whole[32].shape == (100, 1, 7, 7)


def test_swd_is_zero_on_equal_sets_and_small_on_the_same_set_in_another_order() -> None:
    images = fresh(200, 1)
    ours, theirs = patches_of(images), patches_of(images[::-1].copy())
    other = patches_of((images // 2 + 60).astype(np.uint8))
    for level in ours:
        assert swd(ours[level], ours[level]) == 0
        assert swd(ours[level], theirs[level]) < 0.25 * swd(ours[level], other[level])


def test_swd_sees_detail_that_is_only_half_as_strong_at_its_own_level() -> None:
    rng = np.random.default_rng(1)
    images = (fresh(100, 1).astype(float) + rng.normal(0, 12, (100, 1, SIDE, SIDE))).clip(0, 255)
    weak = (fresh(100, 1).astype(float) + rng.normal(0, 6, (100, 1, SIDE, SIDE))).clip(0, 255)
    ours, theirs = patches_of(images.astype(np.uint8)), patches_of(weak.astype(np.uint8))
    assert swd(ours[32], theirs[32]) > 0.2
    assert swd(ours[16], theirs[16]) < 0.5 * swd(ours[32], theirs[32])


# Memorisation


def small(images: NDArray[np.uint8]) -> Tensor:
    return reduced(torch.from_numpy(images))


def test_the_nearest_frames_are_those_that_a_plain_search_finds() -> None:
    frames, query = small(fresh(300, 1)), small(fresh(20, 2))
    index, distance = nearest_of(query, frames, 3)
    plain = (query[:, None].double() - frames[None].double()).square().mean(dim=2).sqrt()  # [20, 300]
    expected = plain.sort(dim=1, stable=True)
    assert torch.equal(index, expected.indices[:, :3])
    assert torch.allclose(distance.double(), expected.values[:, :3], atol=1e-4)
    assert (nearest_of(frames[:5], frames, 1)[1] == 0).all()


def test_copies_of_the_training_set_score_as_copies_and_fresh_pictures_do_not() -> None:
    training = small(fresh(600, 1))
    copies = memorised(training[torch.randperm(600, generator=torch.Generator().manual_seed(1))[:200]], training)
    new = memorised(small(fresh(200, 2)), training)
    assert copies.memorisation == 0 and copies.copies == 1
    assert 0.8 < new.memorisation < 1.25 and new.copies < 0.1


def test_blurred_darkened_and_noisy_copies_are_still_copies() -> None:
    frames = film(600, 1)
    softened = torch.nn.functional.avg_pool2d(torch.from_numpy(frames).float(), 3, 1, 1, count_include_pad=False)
    noise = np.random.default_rng(1).normal(0, 5, frames.shape)
    for spoilt in (softened.numpy(), frames - 2.0, frames + noise):
        found = memorised(small(spoilt.clip(0, 255).round().astype(np.uint8)), small(frames))
        assert found.memorisation < 0.6 * memorised(small(film(600, 2)), small(frames)).memorisation


def test_pictures_between_neighbouring_frames_are_copies_and_another_take_of_the_scene_is_not() -> None:
    double = film(1200, 1, speed=0.002)
    training = small(double[::2])
    between = memorised(small(double[1::2]), training)
    take = memorised(small(film(600, 2)), training)
    assert between.memorisation < COPY and between.copies > 0.9
    assert take.memorisation > 0.7 and take.copies < 0.2


def test_a_film_that_stands_still_gives_finite_numbers() -> None:
    still = small(np.repeat(fresh(1, 1), 100, axis=0))
    found = memorised(torch.cat([still[:5], small(fresh(5, 2))]), still)
    assert np.isfinite(found.ratio).all() and (found.ratio[:5] == 0).all() and (found.ratio[5:] > 1).all()


# The encoder


def classes(count: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Noisy discs, squares and bars, at random places and in random tones."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 3, count)
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    pictures = []
    for k in kind:
        cy, cx, tone = *rng.uniform(0.35, 0.65, 2), rng.uniform(0.5, 1.0)
        inside = (np.hypot(y - cy, x - cx) < 0.24, np.maximum(abs(y - cy), abs(x - cx)) < 0.21,
                  np.sin((x + y + cx) * 25) > 0)[k]  # fmt: skip
        pictures.append(rng.uniform(0, 0.3) + tone * 0.6 * inside + rng.normal(0, 0.03, (SIDE, SIDE)))
    return (np.clip(np.stack(pictures)[:, None], 0, 1) * 255).astype(np.uint8), kind


def test_the_encoder_tells_kinds_of_pictures_apart_that_nobody_named(tmp_path: Path) -> None:
    known, kind = classes(240, 1)
    unseen, asked = classes(120, 2)
    encoder = encoder_for(known, tmp_path, TINY)
    index = torch.cdist(encoder(torch.from_numpy(unseen)), encoder(torch.from_numpy(known))).argmin(dim=1)
    assert (kind[index.numpy()] == asked).mean() > 0.7  # chance is a third


def test_the_features_are_standard_over_the_dataset(tmp_path: Path) -> None:
    images, _ = classes(100, 1)
    features = encoder_for(images, tmp_path, TINY)(torch.from_numpy(images))
    assert features.shape == (100, TINY.features)
    assert torch.allclose(features.mean(dim=0), torch.zeros(TINY.features), atol=1e-4)
    assert 0.8 < float(features.std(dim=0).median()) < 1.2


def test_the_encoder_is_the_same_for_its_seed_and_leaves_the_random_state_alone(tmp_path: Path) -> None:
    images, _ = classes(60, 1)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    a = encoder_for(images, tmp_path / "a", TINY)
    assert torch.equal(torch.rand(3), expected)
    b = encoder_for(images, tmp_path / "b", TINY)
    assert all(torch.equal(v, b.state_dict()[k]) for k, v in a.state_dict().items())


def test_the_encoder_is_read_again_only_for_the_same_pictures_and_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, _ = classes(60, 1)
    first = encoder_for(images, tmp_path, TINY)(torch.from_numpy(images))
    trained: list[int] = []
    learn = metrics_encoder.train_encoder
    monkeypatch.setattr(metrics_encoder, "train_encoder", lambda *a, **k: (trained.append(1), learn(*a, **k)))
    assert torch.equal(encoder_for(images, tmp_path, TINY)(torch.from_numpy(images)), first) and not trained
    changed = images.copy()
    changed[0, 0, 0, 0] ^= 1
    encoder_for(changed, tmp_path, TINY)
    encoder_for(changed, tmp_path, EncoderSettings(**{**vars(TINY), "steps": 3}))
    assert len(trained) == 2


def test_a_damaged_encoder_file_is_made_anew(tmp_path: Path) -> None:
    images, _ = classes(40, 1)
    first = encoder_for(images, tmp_path, TINY)(torch.from_numpy(images))
    content = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(content[: len(content) // 2])
    assert torch.equal(encoder_for(images, tmp_path, TINY)(torch.from_numpy(images)), first)
    assert len((tmp_path / FILE).read_bytes()) == len(content) and not list(tmp_path.glob("*.part"))


# measure()


class Replay(torch.nn.Module):
    """Stands where a generator stands and shows given pictures, one after the other."""

    def __init__(self, images: NDArray[np.uint8]):
        super().__init__()
        self.config = GeneratorConfig(images.shape[-1], images.shape[1], 4, 4, 0, 1, 64, 8)
        self.w_avg = torch.zeros(4)
        self.images, self.at = images, 0

    def forward(self, z: Tensor, c: Tensor | None, noise: str) -> Tensor:
        where = (self.at + np.arange(len(z))) % len(self.images)
        self.at += len(z)
        return torch.from_numpy(self.images[where]).float() / 127.5 - 1


def measured(images: NDArray[np.uint8], real: NDArray[np.uint8], folder: Path) -> dict[str, float]:
    return measure(Replay(images), real, folder, samples=200, settings=TINY, patches=4096)  # type: ignore[arg-type]


def test_all_metrics_together_tell_copies_fresh_pictures_and_a_fallen_generator_apart(tmp_path: Path) -> None:
    real = fresh(300, 1)
    copy, new = measured(real[::-1].copy(), real, tmp_path), measured(fresh(200, 2), real, tmp_path)
    fallen = measured(np.repeat(fresh(2, 3), 100, axis=0), real, tmp_path)
    blur = torch.nn.functional.avg_pool2d(torch.from_numpy(fresh(200, 2)).float(), 5, 1, 2, count_include_pad=False)
    soft = measured(blur.round().byte().numpy(), real, tmp_path)
    assert copy["memorisation"] == 0 and copy["copies"] == 1
    assert new["memorisation"] > 0.7 and new["copies"] < 0.1
    assert fallen["recall"] < 0.2 < 0.5 < new["recall"]
    ghost = measured(((fresh(200, 2).astype(int) + fresh(200, 3)) // 2).astype(np.uint8), real, tmp_path)
    assert abs(new["kid"]) < 0.2 * fallen["kid"] and abs(new["kid"]) < 0.2 * ghost["kid"]
    assert soft["swd_32"] > 2 * new["swd_32"]
    assert set(new) == {"kid", "kid_deviation", "swd", "swd_32", "swd_16", "precision", "recall", "coverage",
                        "memorisation", "copies"}  # fmt: skip
    assert new["swd"] == pytest.approx((new["swd_32"] + new["swd_16"]) / 2)
    with Image.open(tmp_path / "nearest.png") as picture:
        assert picture.size[0] > 1000 and picture.format == "PNG"


def tiny_generator() -> Generator:
    """16 pixels, grey, conditional, untrained, always the same."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return Generator(GeneratorConfig(16, 1, 8, 8, 3, 2, 64, 8)).eval().requires_grad_(False)


def test_a_measurement_is_repeatable_and_a_training_run_does_not_notice_it(tmp_path: Path) -> None:
    generator = tiny_generator()
    real = fresh(64, 1)[:, :, ::2, ::2].copy()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = measure(generator, real, tmp_path, samples=40, settings=TINY, patches=512, seed=3)
    assert torch.equal(torch.rand(3), expected)
    assert measure(generator, real, tmp_path, samples=40, settings=TINY, patches=512, seed=3) == first
    assert measure(generator, real, tmp_path, samples=40, settings=TINY, patches=512, seed=4)["swd"] != first["swd"]
    assert all(math.isfinite(v) for v in first.values())


def test_pictures_that_do_not_fit_and_values_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    generator = tiny_generator()
    with pytest.raises(ShowError, match=r"uint8 \[N, 1, 16, 16\]"):
        measure(generator, fresh(20, 1), tmp_path, settings=TINY)
    with pytest.raises(ShowError, match="at least 8"):
        measure(generator, fresh(4, 1)[:, :, ::2, ::2].copy(), tmp_path, settings=TINY)
    broken = Replay(fresh(10, 1))
    broken.forward = lambda z, c, noise: torch.full((len(z), 1, SIDE, SIDE), math.nan)  # type: ignore[assignment, method-assign]
    with pytest.raises(ShowError, match="not finite"):
        measure(broken, fresh(20, 1), tmp_path, samples=8, settings=TINY)  # type: ignore[arg-type]


def test_what_a_generator_makes_of_the_black_bars_does_not_count(tmp_path: Path) -> None:
    real = fresh(40, 1)
    real[:, :, :4], real[:, :, 28:] = 0, 0
    dirty = real.copy()
    dirty[:, :, :4], dirty[:, :, 28:] = 90, 200
    assert measured(dirty, real, tmp_path) == measured(real, real, tmp_path)
    assert picture_box(real) == (4, 28, 0, 32) and picture_box(np.zeros_like(real)) == (0, 32, 0, 32)
