"""Our networks beside the textbook in float64 (tests/textbook_stylegan2.py), in every kind that there is.

The textbook itself is held against the published implementation's numbers where ../shared/oracles is.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models.discriminator import Discriminator
from models.network_config import DiscriminatorConfig, GeneratorConfig
from models.stylegan2 import Generator
from tests import textbook_stylegan2 as textbook
from tools.gan_import import import_file

ORACLES = Path(__file__).resolve().parents[2] / "shared" / "oracles"
CLOSE = 2e-5  # of the largest value: float32 against float64
GENERATOR = GeneratorConfig(resolution=16, channels=3, z_dim=6, w_dim=7, mapping_layers=2, channel_base=96,
                            channel_max=9)
JUDGE = DiscriminatorConfig(resolution=16, channels=3, channel_base=96, channel_max=9)
KINDS: list[dict[str, Any]] = [
    {}, {"architecture": "resnet"}, {"architecture": "orig"}, {"architecture": "skip", "channels": 1}, {"channels": 4},
    {"c_dim": 3}, {"conv_clamp": 0.7}, {"conv_clamp": 0.7, "architecture": "resnet"},
    {"conv_clamp": 0.7, "architecture": "skip"},
    {"resample_filter": (1.0, 2.0, 4.0, 1.0)}, {"resample_filter": (1.0, 2.0, 4.0, 1.0), "architecture": "resnet"},
    {"resample_filter": (1.0, 2.0, 4.0, 1.0), "architecture": "skip"}, {"resample_filter": (1.0, 3.0)},
    {"resample_filter": (1.0, 2.0, 5.0, 3.0, 2.0, 1.0)}, {"resolution": 8}, {"resolution": 32},
]  # fmt: skip
pytestmark = pytest.mark.usefixtures("one_thread")


def filled(network: Any, seed: int) -> tuple[Any, dict[str, np.ndarray]]:
    """The network with weights none of which is at its start value, and the weights in float64."""
    torch.manual_seed(seed)
    for name, value in network.state_dict().items():
        value.copy_(torch.randn(value.shape) * (100 if "mapping.fc" in name and name.endswith("weight") else 1))
    weights = {name: value.numpy().astype(np.float64) for name, value in network.state_dict().items()}
    return network.eval().requires_grad_(False), weights


def near(made: torch.Tensor, wanted: np.ndarray, close: float = CLOSE) -> None:
    """Equal up to a share of the largest value."""
    assert made.shape == wanted.shape
    assert np.abs(made.numpy() - wanted).max() <= close * np.abs(wanted).max()


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("noise", ["const", "none"])
def test_the_generator_computes_what_the_textbook_does(kind: dict[str, Any], noise: Any) -> None:
    config = dataclasses.replace(GENERATOR, **kind)
    generator, p = filled(Generator(config), 1)
    z, c = torch.randn(2, config.z_dim), torch.randn(2, config.c_dim) if config.c_dim else None
    w = generator.mapping.w(z, c)
    near(w, textbook.mapping(p, z.double().numpy(), None if c is None else c.double().numpy(), config.mapping_layers))
    ws = torch.randn(2, config.num_ws, config.w_dim)  # of every layer its own
    wanted = textbook.synthesis(p, ws.double().numpy(), config.resolution, config.architecture, config.resample_filter,
                                config.conv_clamp, noise == "const")  # fmt: skip
    near(generator.synthesis(ws, noise), wanted)


@pytest.mark.parametrize("size", [1e-5, 3e-5])
def test_convolutions_of_almost_nothing_are_demodulated_as_in_the_textbook(size: float) -> None:
    generator, _ = filled(Generator(GENERATOR), 3)
    for name, value in generator.state_dict().items():
        if ".conv" in name and name.endswith(".weight") and "affine" not in name:
            value.mul_(size)  # so small that the epsilon of the demodulation counts
    p = {name: value.numpy().astype(np.float64) for name, value in generator.state_dict().items()}
    ws = torch.randn(2, GENERATOR.num_ws, GENERATOR.w_dim)
    wanted = textbook.synthesis(p, ws.double().numpy(), GENERATOR.resolution, GENERATOR.architecture,
                                GENERATOR.resample_filter, GENERATOR.conv_clamp, True)  # fmt: skip
    near(generator.synthesis(ws, "const"), wanted)


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("group", [4, 2])
def test_the_discriminator_computes_what_the_textbook_does(kind: dict[str, Any], group: int) -> None:
    config = dataclasses.replace(JUDGE, **({"architecture": "resnet"} | kind), group=group, mapping_layers=2)
    judge, p = filled(Discriminator(config), 2)
    image = torch.randn(4, config.channels, config.resolution, config.resolution)
    c = torch.randn(4, config.c_dim) if config.c_dim else None
    wanted = textbook.logits(p, image.double().numpy(), config.architecture, config.resample_filter, group,
                             config.conv_clamp,
                             None if c is None else c.double().numpy(), 2)  # fmt: skip
    near(judge(image, c), wanted)


@pytest.mark.skipif(not ORACLES.is_dir(), reason="../shared/oracles is not here")
@pytest.mark.parametrize("name", ["asym32", "resnet32", "cond32"])
def test_the_textbook_computes_what_the_published_implementation_does(name: str) -> None:
    imported = import_file(ORACLES / f"{name}.pkl", with_discriminator=True)[0]
    judge = imported.discriminator
    assert judge is not None
    g, p = imported.generator.config, {k: v.double().numpy() for k, v in imported.generator.state_dict().items()}
    q = {k: v.double().numpy() for k, v in judge.state_dict().items()}
    with np.load(ORACLES / f"{name}.npz") as file:
        known = {key: file[key] for key in file.files}
    w = textbook.mapping(p, known["z"].astype(np.float64), known.get("c"), g.mapping_layers)
    assert np.abs(w - known["w_psi1"][:, 0]).max() < 1e-5
    made = textbook.synthesis(p, known["w_psi1"].astype(np.float64), g.resolution, g.architecture, g.resample_filter,
                              g.conv_clamp)
    assert np.abs(made - known["img_const_psi1"]).max() < 1e-4
    image = known["d_img_lowres"].astype(np.float64).repeat(8, axis=2).repeat(8, axis=3)
    d = judge.config
    told = textbook.logits(q, image, d.architecture, d.resample_filter, d.group, d.conv_clamp, known.get("d_c"),
                           d.mapping_layers)
    assert np.abs(told - known["d_logits"]).max() < 1e-5
