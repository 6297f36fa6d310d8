"""Our networks beside the published implementation's recorded outputs (../shared/oracles), as far as no weights are needed.

The weights lie in pickles; reading those safely is the importer's job and its test's. Here: names, shapes, numbers of
layers, truncation.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from models.discriminator import Discriminator, DiscriminatorConfig
from models.stylegan2 import Generator, GeneratorConfig, truncate

ORACLES = Path(__file__).resolve().parents[2] / "shared" / "oracles"
NAMES = ("g64", "g128gray", "g256", "cond32", "fp16_64", "asym32")

pytestmark = pytest.mark.skipif(not ORACLES.is_dir(), reason="../shared/oracles is not here")


def item(name: str) -> dict:
    return json.loads((ORACLES / "MANIFEST.json").read_text())["items"][name]


def config_of(given: dict) -> GeneratorConfig:
    return GeneratorConfig(
        resolution=given["res"], channels=given.get("ch", 3), z_dim=given["z"], w_dim=given["w"],
        c_dim=given.get("c", 0), mapping_layers=given["map"], channel_base=given["base"], channel_max=given["max"],
        resample_filter=tuple(float(t) for t in given.get("resample_filter", (1, 3, 3, 1))),
    )  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_parameters_have_the_published_names_and_shapes(name: str) -> None:
    described = item(name)
    with torch.device("meta"):
        generator = Generator(config_of(described["config"]))
    assert generator.num_ws == described["num_ws"]
    ours = {k: list(v.shape) for k, v in generator.state_dict().items()}
    theirs = {k: v for k, v in described["g_ema_tensors"].items() if not k.endswith("resample_filter")}
    assert ours == theirs


@pytest.mark.parametrize("name", ["g64", "cond32", "asym32"])
def test_trainable_parameters_are_the_published_ones(name: str) -> None:
    described = item(name)
    config = config_of(described["config"])
    recorded = np.load(ORACLES / f"{name}.npz")
    generator = {k for k, _ in Generator(config).named_parameters()}
    assert generator == {str(k) for k in recorded["gmain_param_names"]}
    judge = Discriminator(DiscriminatorConfig(resolution=config.resolution, channels=config.channels, c_dim=config.c_dim,
                                              channel_base=config.channel_base, channel_max=config.channel_max))  # fmt: skip
    assert {k for k, _ in judge.named_parameters()} == {str(k) for k in recorded["dreal_param_names"]}


@pytest.mark.parametrize("name", NAMES)
def test_truncation_gives_the_recorded_w(name: str) -> None:
    recorded = {k: torch.from_numpy(v) for k, v in np.load(ORACLES / f"{name}.npz").items() if v.dtype == np.float32}
    cutoff = int(np.load(ORACLES / f"{name}.npz")["truncation_cutoff"])
    ws, mean = recorded["w_psi1"], recorded["w_avg"]
    assert torch.allclose(truncate(ws, mean, 0.7), recorded["w_psi07"], atol=1e-5)
    assert torch.allclose(truncate(ws, mean, 0.7, cutoff), recorded["w_psi07_cut"], atol=1e-5)
