"""Our networks beside what the published implementations computed: every number of ../shared/oracles, through the importer.

The weights lie in foreign snapshots (NVlabs, TensorFlow's layout, rosinality), which `gan import` reads without executing
them. Tolerances: 1e-5 on w, 5e-4 on pictures of a range of about 2 (the two paths inside the published implementation
differ by 1.1e-5 themselves), 1e-3 of the value on losses, penalties and gradient norms.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from models.discriminator import Discriminator
from models.network_config import DiscriminatorConfig, GeneratorConfig
from models.stylegan2 import Generator, truncate
from tools.gan_import import import_file
from tools.import_networks import Imported
from tools.train_losses import generator_loss, path_lengths, r1_penalty

ORACLES = Path(__file__).resolve().parents[2] / "shared" / "oracles"
NVLABS = ("g64", "g128gray", "g256", "cond32", "resnet32", "fp16_64", "asym32")
NAMES = (*NVLABS, "tf32")
TRAINED = ("g64", "cond32", "resnet32", "fp16_64", "asym32", "tf32")  # with path lengths, losses and gradient norms
W, IMAGE, SHARE = 1e-5, 5e-4, 1e-3

pytestmark = [pytest.mark.skipif(not ORACLES.is_dir(), reason="../shared/oracles is not here"),
              pytest.mark.usefixtures("one_thread")]  # fmt: skip


@functools.cache
def item(name: str) -> dict[str, Any]:
    """What MANIFEST.json says of an oracle."""
    described: dict[str, Any] = json.loads((ORACLES / "MANIFEST.json").read_text())["items"][name]
    return described


@functools.cache
def imported(name: str) -> Imported:
    """Networks of an oracle's snapshot, the discriminator with them where there is one."""
    rosinality = name == "rosi32"
    return import_file(ORACLES / (f"{name}.pt" if rosinality else f"{name}.pkl"), with_discriminator=not rosinality)[0]


def generator_of(name: str) -> Generator:
    """The averaged generator."""
    return imported(name).generator


def judge_of(name: str) -> Discriminator:
    """The discriminator."""
    judge = imported(name).discriminator
    assert judge is not None
    return judge


@functools.cache
def recorded(name: str) -> dict[str, Any]:
    """The oracle's numbers: float arrays as tensors, the rest as they are."""
    with np.load(ORACLES / f"{name}.npz") as file:
        return {key: torch.from_numpy(value) if value.dtype == np.float32 else value for key, value in file.items()}


def near(made: torch.Tensor, wanted: torch.Tensor, tolerance: float) -> None:
    """The greatest difference is within the tolerance, and the shapes are equal."""
    assert made.shape == wanted.shape
    worst = float((made - wanted).abs().max())
    assert worst <= tolerance, f"differs by {worst:.2e}"


def near_share(made: torch.Tensor, wanted: torch.Tensor, share: float = SHARE, floor: float = 1e-6) -> None:
    """Every value is within a share of its own size."""
    assert made.shape == wanted.shape
    worst = float(((made - wanted).abs() / wanted.abs().clamp(min=floor)).max())
    assert worst <= share, f"differs by {worst:.2e} of the value"


def described(given: dict[str, Any]) -> GeneratorConfig:
    """The generator's configuration as the manifest tells it."""
    clamp = given.get("clamp")
    return GeneratorConfig(
        resolution=given["res"], channels=given.get("ch", 3), z_dim=given["z"], w_dim=given["w"],
        c_dim=given.get("c", 0),
        mapping_layers=given["map"], channel_base=given["base"], channel_max=given["max"],
        conv_clamp=None if clamp is None else float(clamp), architecture=given.get("architecture", "skip"),
        half_blocks=given.get("fp16", 0),
        resample_filter=tuple(float(t) for t in given.get("resample_filter", (1, 3, 3, 1))),
    )  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_the_import_finds_the_configuration_that_the_network_was_made_with(name: str) -> None:
    given = item(name)["config"]
    config, judge = described(given), judge_of(name).config
    assert generator_of(name).config == config and generator_of(name).num_ws == item(name)["num_ws"]
    wanted = DiscriminatorConfig(
        resolution=config.resolution, channels=config.channels, c_dim=config.c_dim, channel_base=config.channel_base,
        channel_max=config.channel_max, conv_clamp=config.conv_clamp, resample_filter=config.resample_filter,
        group=given.get("mbstd", 4), architecture=given.get("darch", "resnet"), half_blocks=config.half_blocks,
        mapping_layers=judge.mapping_layers,
    )  # fmt: skip
    assert judge == wanted


@pytest.mark.parametrize("name", NAMES)
def test_parameters_have_the_published_names_and_shapes(name: str) -> None:
    ours = {key: list(value.shape) for key, value in generator_of(name).state_dict().items()}
    theirs = {key: shape for key, shape in item(name)["g_ema_tensors"].items() if not key.endswith("resample_filter")}
    assert ours == theirs


@pytest.mark.parametrize("name", TRAINED)
def test_trainable_parameters_are_the_published_ones(name: str) -> None:
    assert {key for key,
            _ in generator_of(name).named_parameters()} == set(map(str, recorded(name)["gmain_param_names"]))
    assert {key for key, _ in judge_of(name).named_parameters()} == set(map(str, recorded(name)["dreal_param_names"]))


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_the_mapping_gives_the_recorded_w(name: str) -> None:
    mapping, known = generator_of(name).mapping, recorded(name)
    z, c, cutoff = known["z"], known.get("c"), int(known["truncation_cutoff"])
    near(mapping.w_avg, known["w_avg"], W)
    near(mapping(z, c), known["w_psi1"], W)
    near(mapping(z, c, 0.7), known["w_psi07"], W)
    near(mapping(z, c, 0.7, cutoff), known["w_psi07_cut"], W)
    near(truncate(known["w_psi1"], known["w_avg"], 0.7, cutoff), known["w_psi07_cut"], W)


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_the_synthesis_gives_the_recorded_pictures(name: str) -> None:
    synthesis, known = generator_of(name).synthesis, recorded(name)
    for picture, ws, noise in (
        ("img_const_psi1", "w_psi1", "const"), ("img_none_psi1", "w_psi1", "none"),
        ("img_const_psi07", "w_psi07", "const"),
        ("img_none_psi07_cut", "w_psi07_cut", "none"), ("img_const_mix", "w_mix", "const"),
    ):  # fmt: skip
        if picture not in known and name == "g256":
            continue  # its two last pictures were not kept
        count = known[picture].shape[0]  # of the larger networks only the first picture was kept
        near(synthesis(known[ws][:count], noise), known[picture], IMAGE)


@torch.no_grad()
def test_the_half_precision_path_gives_the_recorded_picture() -> None:
    generator, known = generator_of("fp16_64"), recorded("fp16_64")
    try:
        generator.synthesis.set_compute(torch.float16, generator.config.half_from)
        made = generator.synthesis(known["w_psi1"])
    finally:
        generator.synthesis.set_compute()
    near(made, known["img_const_psi1_fp16cpu"], 2e-2)
    assert float((made - known["img_const_psi1"]).abs().max()) > 0  # it was another path


def judged(name: str) -> tuple[torch.Tensor, torch.Tensor | None]:
    """The pictures that the discriminator saw, and their conditions."""
    known = recorded(name)
    small = known["d_img_lowres"]  # [N, C, R/8, R/8]
    return small.repeat_interleave(8, dim=2).repeat_interleave(8, dim=3), known.get("d_c")


@pytest.mark.parametrize("name", NAMES)
def test_the_discriminator_gives_the_recorded_logits_and_penalties(name: str) -> None:
    judge, known = judge_of(name), recorded(name)
    image, c = judged(name)
    near(judge(image, c), known["d_logits"], IMAGE)
    near_share(r1_penalty(judge, image, c).detach(), known["d_r1_penalty"])


@pytest.mark.parametrize("name", TRAINED)
def test_path_lengths_are_the_recorded_ones(name: str) -> None:
    known = recorded(name)
    ws = known["w_psi1"].clone().requires_grad_(True)
    lengths = path_lengths(generator_of(name).synthesis(ws), ws, known["pl_noise_unit"])
    near_share(lengths.detach(), known["pl_lengths"], 1e-4)


def gradient_norms(network: torch.nn.Module, loss: torch.Tensor, names: list[str]) -> torch.Tensor:
    """Norm of the loss's gradient for each named parameter."""
    parameters = dict(network.named_parameters())
    gradients = torch.autograd.grad(loss, [parameters[name] for name in names], allow_unused=True)
    return torch.stack([torch.zeros([]) if g is None else g.norm() for g in gradients])


def check_norms(made: torch.Tensor, wanted: torch.Tensor, names: list[str]) -> None:
    """Each within a thousandth of its own size; those that are next to nothing, of a millionth of the largest."""
    floor = 1e-6 * float(wanted.max())
    for name, a, b in zip(names, made.tolist(), wanted.tolist(), strict=True):
        assert abs(a - b) <= SHARE * max(abs(b), floor), f"{name}: {a} instead of {b}"


@pytest.mark.parametrize("name", TRAINED)
def test_the_generator_s_loss_and_gradients_are_the_recorded_ones(name: str) -> None:
    generator, judge, known = generator_of(name), judge_of(name), recorded(name)
    names = [str(key) for key in known["gmain_param_names"]]
    generator.requires_grad_(True)
    try:
        loss = generator_loss(judge(generator(known["z"], known.get("c")), known.get("c")))
        near_share(loss.detach(), known["gmain_loss"], 1e-4)
        check_norms(gradient_norms(generator, loss, names), known["gmain_grad_norms"], names)
    finally:
        generator.requires_grad_(False)


@pytest.mark.parametrize("name", TRAINED)
def test_the_discriminator_s_regularised_loss_and_gradients_are_the_recorded_ones(name: str) -> None:
    judge, known = judge_of(name), recorded(name)
    names = [str(key) for key in known["dreal_param_names"]]
    image, c = judged(name)
    judge.requires_grad_(True)
    try:
        loss = (F.softplus(-judge(image, c)).squeeze(1) + 5 * r1_penalty(judge, image, c)).mean()
        near_share(loss.detach(), known["dreal_r1gamma10_loss"], 1e-4)
        check_norms(gradient_norms(judge, loss, names), known["dreal_r1_grad_norms"], names)
    finally:
        judge.requires_grad_(False)


@torch.no_grad()
def test_rosinality_s_pictures_are_the_recorded_ones() -> None:
    generator, known = generator_of("rosi32"), recorded("rosi32")
    mean = known["latent_avg"][0]
    near(generator.w_avg, mean, W)
    w = generator.mapping.w(known["z"])
    near(w, known["w"], W)
    assert generator.num_ws == int(known["latents_n"])
    near(generator(known["z"]), known["img_const_psi1"], IMAGE)
    near(generator(known["z"], noise="none"), known["img_none_psi1"], IMAGE)
    near(generator(known["z"], psi=0.7), known["img_const_psi07"], IMAGE)
    at = int(known["inject_index"])
    mixed = torch.cat([w[:1, None].expand(-1, at, -1), w[1:, None].expand(-1, generator.num_ws - at, -1)], dim=1)
    near(generator.synthesis(mixed), known["img_mix"], IMAGE)


def test_every_number_of_the_oracles_is_looked_at() -> None:
    """No array of the oracles is left out by the tests above."""
    looked_at = {
        "z", "c", "truncation_cutoff", "w_avg", "w_psi1", "w_psi07", "w_psi07_cut", "w_mix", "img_const_psi1",
        "img_none_psi1",
        "img_const_psi07", "img_none_psi07_cut", "img_const_mix", "img_const_psi1_fp16cpu", "d_img_lowres", "d_c",
        "d_logits",
        "d_r1_penalty", "pl_noise_unit", "pl_lengths", "gmain_loss", "gmain_grad_norms", "gmain_param_names",
        "dreal_r1gamma10_loss", "dreal_r1_grad_norms", "dreal_param_names",
    }  # fmt: skip
    for name in NAMES:
        assert set(recorded(name)) <= looked_at, name
        assert ("pl_lengths" in recorded(name)) == ("gmain_loss" in recorded(name)) == (name in TRAINED), name
    assert set(recorded("rosi32")) == {"z", "latent_avg", "w", "img_const_psi1", "img_const_psi07", "img_none_psi1",
                                       "latents_n",
                                       "img_mix", "inject_index"}  # fmt: skip
