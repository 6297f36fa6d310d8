"""`cineml bench gan` measures what it says: the same pictures, the same losses, every formulation; no time is asserted."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from models.network_config import GeneratorConfig  # noqa: E402
from player.show.problem import ShowError  # noqa: E402
from tools import bench_gan, bench_training  # noqa: E402
from tools.bench_accelerator import accelerator_rows  # noqa: E402
from tools.export_options import UP_FORMS  # noqa: E402
from tools.grouped_conv import grouped_conv_synthesis  # noqa: E402

TINY = GeneratorConfig(resolution=16, channels=3, channel_base=128, channel_max=8, z_dim=8, w_dim=8, mapping_layers=2)
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """One tiny size, few pictures a step, and one thread: two that wait for each other beside other work take minutes."""
    monkeypatch.setattr(bench_gan, "SIZES", (bench_gan.Size("tiny", 16, 128, 8, 0.0),))
    monkeypatch.setattr(bench_gan, "matrix_product_flops", lambda: 1e11)
    monkeypatch.setattr(bench_gan, "THREADS", 1)
    monkeypatch.setattr(bench_training, "CONFIGS", {"tiny": TINY})
    monkeypatch.setattr(bench_training, "BATCH", 4)


def test_the_export_and_its_baseline_show_the_same_picture_and_have_a_share(small: None) -> None:
    peak, ours, baseline, ratio = bench_gan.measure(["export"], 0.01)
    assert "100 GFLOP/s" in peak.value and "share" in ours.value and "share" in baseline.value
    assert ratio.ok is True and float(ratio.name.rpartition(" ")[2].rstrip(")")) < 1e-3  # the greatest difference


def test_every_formulation_is_measured(small: None) -> None:
    names = [row.name for row in bench_gan.measure(["forms"], 0.01)]
    assert all(any(name.endswith(form) for name in names) for form in UP_FORMS)


def test_an_unknown_part_costs_a_sentence() -> None:
    with pytest.raises(ShowError, match="trianing"):
        bench_gan.measure(["trianing"])


def test_both_training_steps_learn_from_the_same_pictures_and_the_time_is_told_by_kind(small: None) -> None:
    rows = bench_gan.measure(["training"], 0.01)
    assert [row.value.endswith("images/s") for row in rows[:2]] == [True, True]
    assert "convolution" in rows[3].value and "%" in rows[3].value


def test_the_straightforward_step_moves_every_weight_that_has_a_part_in_the_picture() -> None:
    plain = bench_training.PlainStep(TINY, np.random.default_rng(0).integers(0, 255, (32, 3, 16, 16)).astype(np.uint8))
    before = {k: v.clone() for k, v in plain.generator.named_parameters()}
    judged = {k: v.clone() for k, v in plain.discriminator.named_parameters()}
    for _ in range(2):
        plain.step()
    assert all(not torch.equal(before[k], v) for k, v in plain.generator.named_parameters())
    assert all(not torch.equal(judged[k], v) for k, v in plain.discriminator.named_parameters())
    assert all(torch.isfinite(v).all() for v in plain.average.parameters())


def test_the_baseline_refuses_an_architecture_that_it_does_not_write() -> None:
    from dataclasses import replace

    from models.stylegan2 import Generator

    with pytest.raises(ValueError, match="skip"):
        grouped_conv_synthesis(Generator(replace(TINY, architecture="orig")))


@pytest.mark.skipif(torch.cuda.is_available(), reason="here a GPU would be measured")
def test_without_a_gpu_its_part_says_so_and_measures_nothing() -> None:
    (row,) = accelerator_rows(0.01)
    assert "no CUDA device" in row.value and row.ok is None
