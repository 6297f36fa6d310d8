"""The networks' maths against straightforward computations written here, and the checkpoint format."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.signal import convolve2d

from models.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from models.discriminator import Discriminator, minibatch_deviation
from models.layers import FullyConnected
from models.network_config import DiscriminatorConfig, GeneratorConfig
from models.resample import conv_down, conv_up, fir, normalised_taps, upsample
from models.stylegan2 import Generator, SynthesisLayer, truncate
from tools.train_losses import path_lengths, r1_penalty

ASYMMETRIC = (1.0, 2.0, 4.0, 1.0)
TINY = GeneratorConfig(resolution=16, channels=1, z_dim=12, w_dim=16, mapping_layers=2, channel_base=128, channel_max=8)
GEOMETRY = {"film": [480, 360], "crop": [0, 0, 480, 360], "inner": [0, 2, 16, 12]}
pytestmark = pytest.mark.usefixtures("one_thread")


def seeded(seed: int = 0) -> None:
    torch.manual_seed(seed)


def modulated_by_groups(layer: SynthesisLayer, x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    """Equations 1 and 3 as written: one weight per sample, run as a grouped convolution."""
    n, i, h, _ = x.shape
    o = layer.weight.shape[0]
    s = layer.affine(w)  # [N, I]
    weight = layer.weight[None] * s[:, None, :, None, None]  # [N, O, I, 3, 3]
    weight = weight / (weight.square().sum(dim=(2, 3, 4), keepdim=True) + 1e-8).sqrt()
    if not layer.up:
        y = F.conv2d(x.reshape(1, n * i, h, h), weight.reshape(n * o, i, 3, 3), padding=1, groups=n)
        return y.reshape(n, o, h, h)
    pictures = []
    for sample, own in zip(x, weight, strict=True):
        stuffed = torch.zeros(i, 2 * h + 4, 2 * h + 4)
        stuffed[:, 2 : 2 * h + 2 : 2, 2 : 2 * h + 2 : 2] = sample
        big = F.conv2d(stuffed[None], own.flip(2, 3))[0][:, : 2 * h + 1, : 2 * h + 1]  # [O, 2H+1, 2H+1]
        taps = (layer.taps * 2).numpy()
        f = np.outer(taps, taps)
        padded = np.pad(big.detach().numpy(), ((0, 0), (1, 1), (1, 1)))
        pictures.append(np.stack([convolve2d(p, f, mode="valid") for p in padded]))
    return torch.from_numpy(np.stack(pictures)).float()


@pytest.mark.parametrize("up", [False, True])
@pytest.mark.parametrize("separable", [False, True])
def test_the_products_form_equals_one_modulated_weight_per_sample(up: bool, separable: bool) -> None:
    seeded()
    config = dataclasses.replace(TINY, resample_filter=ASYMMETRIC)
    layer = SynthesisLayer(6, 5, 16 if up else 8, up, config)
    layer.separable = separable
    x, w = torch.randn(3, 6, 8, 8), torch.randn(3, 16)
    plain = modulated_by_groups(layer, x, w)
    expected = F.leaky_relu(plain, 0.2) * math.sqrt(2)
    assert torch.allclose(layer(x, w, "none"), expected, atol=2e-5)


@pytest.mark.parametrize("up", [False, True])
def test_weights_that_are_almost_nothing_are_demodulated_with_the_published_epsilon(up: bool) -> None:
    """1e-8 inside the root: of weights of the size of 1e-4 it takes a share, of nothing it makes nothing."""
    seeded()
    layer = SynthesisLayer(6, 5, 16 if up else 8, up, TINY)
    x, w = torch.randn(3, 6, 8, 8), torch.randn(3, 16)
    for size in (3e-6, 1e-5, 1e-4):
        with torch.no_grad():
            layer.weight.copy_(torch.randn_like(layer.weight) * size)
        plain = modulated_by_groups(layer, x, w)
        assert size > 3e-5 or float(plain.detach().std()) < 0.7, "the epsilon counts here"
        assert torch.allclose(layer(x, w, "none"), F.leaky_relu(plain, 0.2) * math.sqrt(2), atol=2e-5)
    torch.nn.init.zeros_(layer.weight)
    assert not layer(x, w, "none").any()


def test_the_mean_of_w_is_tracked_with_the_published_beta() -> None:
    mapping = Generator(TINY).mapping
    w = torch.arange(32.0).reshape(2, 16)
    mapping.track(w)
    assert torch.allclose(mapping.w_avg, 0.005 * w.mean(dim=0))
    mapping.track(w)
    assert torch.allclose(mapping.w_avg, (1 - 0.995**2) * w.mean(dim=0))


def test_the_filter_is_a_true_convolution() -> None:
    seeded()
    taps = normalised_taps(ASYMMETRIC)
    x = torch.randn(1, 2, 9, 9)
    f = np.outer(taps.numpy(), taps.numpy())
    padded = np.pad(x[0].numpy(), ((0, 0), (2, 2), (2, 2)))
    expected = np.stack([convolve2d(p, f, mode="valid") for p in padded])
    for separable in (False, True):
        assert np.allclose(fir(x, taps, pad=2, separable=separable)[0].numpy(), expected, atol=1e-6)
        assert np.allclose(fir(x, taps, pad=2, stride=2, separable=separable)[0].numpy(), expected[:, ::2, ::2], atol=1e-6)


def test_upsampling_stuffs_zeros_and_filters_with_gain_four() -> None:
    seeded()
    taps = normalised_taps(ASYMMETRIC)
    x = torch.randn(1, 1, 5, 5)
    stuffed = np.zeros((10, 10))
    stuffed[::2, ::2] = x[0, 0].numpy()
    expected = convolve2d(np.pad(stuffed, (2, 1)), 4 * np.outer(taps, taps), mode="valid")
    assert np.allclose(upsample(x, taps)[0, 0].numpy(), expected, atol=1e-5)


def test_upsampling_keeps_the_brightness_of_a_flat_picture() -> None:
    grey = upsample(torch.full((1, 1, 8, 8), 0.5), normalised_taps((1, 3, 3, 1)))
    assert torch.allclose(grey[..., 2:-2, 2:-2], torch.tensor(0.5), atol=1e-6)


def test_down_convolution_filters_first_and_then_keeps_every_second_sample() -> None:
    seeded()
    taps = normalised_taps(ASYMMETRIC)
    x = torch.randn(2, 3, 8, 8)
    three, one = torch.randn(4, 3, 3, 3), torch.randn(4, 3, 1, 1)
    assert conv_down(x, three, taps).shape == (2, 4, 4, 4)
    assert torch.allclose(conv_down(x, three, taps), F.conv2d(fir(x, taps, 2), three)[..., ::2, ::2], atol=1e-5)
    assert torch.allclose(conv_down(x, one, taps), F.conv2d(fir(x, taps, 1)[..., ::2, ::2], one), atol=1e-5)
    assert conv_up(x, three, taps).shape == (2, 4, 16, 16)


def test_minibatch_deviation_groups_are_strided() -> None:
    seeded()
    x = torch.randn(8, 2, 3, 3)
    made = minibatch_deviation(x, 4)
    for n in range(8):
        members = x[n % 2 :: 2]  # with 8 pictures in groups of 4: n, n + 2, n + 4, n + 6
        expected = (members.var(dim=0, unbiased=False) + 1e-8).sqrt().mean()
        assert torch.allclose(made[n, 2], expected.expand(3, 3), atol=1e-6)
    with pytest.raises(ValueError, match="groups of 4"):
        minibatch_deviation(torch.randn(6, 1, 2, 2), 4)


def test_a_fully_connected_layer_starts_with_unit_variance_at_any_learning_rate_multiplier() -> None:
    seeded()
    x = torch.randn(4000, 64)
    for lr_mul in (1.0, 0.01):
        assert abs(float(FullyConnected(64, 64, lr_mul=lr_mul)(x).std().detach()) - 1) < 0.1


def test_truncation_pulls_towards_the_mean_and_stops_at_the_cutoff() -> None:
    seeded()
    ws, mean = torch.randn(2, 6, 4), torch.randn(4)
    assert torch.equal(truncate(ws, mean, 1.0), ws)
    assert torch.allclose(truncate(ws, mean, 0.0), mean.expand(2, 6, 4))
    half = truncate(ws, mean, 0.5, cutoff=2)
    assert torch.allclose(half[:, :2], (ws[:, :2] + mean) / 2, atol=1e-6)
    assert torch.equal(half[:, 2:], ws[:, 2:])


def test_the_mapping_ignores_the_length_of_z_and_gives_one_w_for_all_layers() -> None:
    seeded()
    g = Generator(TINY)
    z = torch.randn(3, 12)
    ws = g.mapping(z)
    assert ws.shape == (3, TINY.num_ws, 16)
    assert torch.allclose(ws, g.mapping(z * 7), atol=1e-5)
    assert torch.equal(ws[:, 0], ws[:, -1])


def test_each_layer_listens_to_its_own_row_of_ws() -> None:
    """conv0, conv1, torgb per block; a torgb shares its row with the next block's conv0."""
    seeded()
    g = Generator(TINY).eval()
    ws = torch.randn(1, TINY.num_ws, 16).requires_grad_()
    seen: dict[str, int] = {}
    rows = {"b4.conv1": 0, "b4.torgb": 1, "b8.conv0": 1, "b8.conv1": 2, "b8.torgb": 3, "b16.conv0": 3, "b16.conv1": 4,
            "b16.torgb": 5}  # fmt: skip
    for name in rows:
        layer = g.synthesis.get_submodule(name)
        layer.affine.register_forward_hook(
            lambda _m, args, _o, name=name: seen.update({name: int((ws[0] == args[0][0]).all(1).nonzero()[0, 0])})
        )
    g.synthesis(ws)
    assert seen == rows


def test_noise_is_constant_absent_random_or_given_by_name() -> None:
    seeded()
    g = Generator(TINY).eval()
    for block in g.synthesis.blocks():
        block.conv1.noise_strength.data.fill_(0.5)
    ws = g.mapping(torch.randn(1, 12))
    const = g.synthesis(ws)
    assert torch.equal(const, g.synthesis(ws, "const"))
    assert torch.equal(const, g.synthesis(ws, g.synthesis.noise_const()))
    assert torch.equal(const, g.synthesis(ws, {}))
    zeros = {name: torch.zeros(1, 1, res, res) for name, res in g.synthesis.noise_names().items()}
    assert torch.allclose(g.synthesis(ws, "none"), g.synthesis(ws, zeros))
    assert not torch.allclose(const, g.synthesis(ws, "none"), atol=1e-3)
    assert not torch.allclose(g.synthesis(ws, "random"), g.synthesis(ws, "random"), atol=1e-3)
    assert "noise.4.0" not in zeros and "noise.4.1" in zeros
    with pytest.raises(ValueError, match="noise must be"):
        g.synthesis(ws, "loud")  # type: ignore[arg-type]


def test_gains_multiply_activations() -> None:
    seeded()
    g = Generator(TINY).eval()
    ws = g.mapping(torch.randn(1, 12))
    ones = {f"gain.{r}.1": torch.ones(1, TINY.width(r), 1, 1) for r in TINY.resolutions}
    assert torch.equal(g.synthesis(ws), g.synthesis(ws, gains=ones))
    assert not torch.allclose(g.synthesis(ws), g.synthesis(ws, gains={"gain.16.1": torch.zeros(1, 8, 1, 1)}), atol=1e-3)


def test_the_clamp_bounds_every_activation() -> None:
    seeded()
    layer = SynthesisLayer(4, 4, 8, False, dataclasses.replace(TINY, conv_clamp=0.25))
    assert float(layer(torch.randn(2, 4, 8, 8) * 9, torch.randn(2, 16), "none").detach().abs().max()) == 0.25


def test_bfloat16_activations_change_the_picture_only_by_rounding() -> None:
    seeded()
    g = Generator(TINY).eval()
    ws = g.mapping(torch.randn(2, 12))
    exact = g.synthesis(ws)
    g.synthesis.set_compute(torch.bfloat16)
    rounded = g.synthesis(ws)
    assert rounded.dtype == torch.float32
    exact, rounded = exact.detach(), rounded.detach()
    assert float((exact - rounded).abs().max()) < 0.05 * float(exact.abs().max())


def test_a_conditional_pair_needs_its_condition() -> None:
    seeded()
    g = Generator(dataclasses.replace(TINY, c_dim=3))
    sizes = {"resolution": 16, "channels": 1, "channel_base": 128, "channel_max": 8}
    d = Discriminator(DiscriminatorConfig(**sizes, c_dim=3, mapping_layers=2))
    z, c = torch.randn(4, 12), F.one_hot(torch.tensor([0, 1, 2, 0]), 3).float()
    image = g(z, c)
    assert d(image, c).shape == (4, 1)
    with pytest.raises(ValueError, match="conditional"):
        g(z)
    with pytest.raises(ValueError, match="conditional"):
        d(image)


def test_path_lengths_are_those_of_the_jacobian() -> None:
    seeded()
    g = Generator(TINY).eval().requires_grad_(False)
    ws = g.mapping(torch.randn(1, 12)).clone().requires_grad_()
    y = torch.randn(1, 1, 16, 16)
    jacobian = torch.autograd.functional.jacobian(g.synthesis, ws.detach())  # [1,1,16,16, 1,L,W]
    pulled = torch.einsum("nchw,nchwmlv->mlv", y / 16, jacobian)  # [1, L, W]
    expected = pulled.square().sum(2).mean(1).sqrt()
    assert torch.allclose(path_lengths(g.synthesis(ws), ws, y), expected, rtol=1e-4)


def test_r1_is_the_squared_gradient_that_finite_differences_give() -> None:
    seeded()
    d = Discriminator(TINY).double()
    x = torch.randn(1, 1, 16, 16, dtype=torch.float64)
    d.b4.forward = lambda f, image, label: d.b4.out(d.b4.fc(d.b4.conv(minibatch_deviation(f, 4)).flatten(1)))  # type: ignore[method-assign]
    d.set_compute(torch.float64)
    total = 0.0
    for i in range(256):
        step = torch.zeros(256, dtype=torch.float64)
        step[i] = 1e-4
        up, down = (float(d(x + sign * step.view(1, 1, 16, 16)).detach()) for sign in (1, -1))
        total += ((up - down) / 2e-4) ** 2
    assert float(r1_penalty(d, x).detach()) == pytest.approx(total, rel=1e-3)


def test_both_penalties_can_be_differentiated_again() -> None:
    seeded()
    g, d = Generator(TINY), Discriminator(TINY)
    image = g(torch.randn(4, 12))
    r1_penalty(d, image.detach()).mean().backward()
    assert float(d.b16.conv0.weight.grad.abs().sum()) > 0
    ws = g.mapping(torch.randn(2, 12))
    path_lengths(g.synthesis(ws), ws).square().mean().backward()
    for name, p in g.named_parameters():
        if "torgb.bias" not in name and "noise_strength" not in name:
            assert p.grad is not None, name
            assert torch.isfinite(p.grad).all(), name


def test_a_checkpoint_gives_the_same_pictures_back(tmp_path) -> None:
    seeded()
    g, d = Generator(TINY).eval(), Discriminator(TINY).eval()
    z = torch.randn(4, 12)
    save_checkpoint(tmp_path / "c", g, d, geometry=GEOMETRY, run={"kimg": 3}, licence="CC0-1.0")
    loaded = load_checkpoint(tmp_path / "c")
    assert torch.equal(loaded.generator(z), g(z))
    assert loaded.discriminator is not None and torch.equal(loaded.discriminator(g(z)), d(g(z)))
    assert (loaded.geometry, loaded.run, loaded.licence) == (GEOMETRY, {"kimg": 3}, "CC0-1.0")
    save_checkpoint(tmp_path / "c", g, half=True)  # replaces the first, without a discriminator
    smaller = load_checkpoint(tmp_path / "c")
    assert smaller.discriminator is None
    assert torch.allclose(smaller.generator(z), g(z), atol=2e-2)
    assert [p.name for p in tmp_path.iterdir()] == ["c"]


def damaged(description: dict, key: str, value: object) -> dict:
    description["generator"][key] = value
    return description


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda d: damaged(d, "resolution", 48), "resolution must be a power of two"),
        (lambda d: damaged(d, "w_dim", 10**9), "w_dim must be a whole number"),
        (lambda d: damaged(d, "w_dim", 32), "expected"),
        (lambda d: damaged(d, "w_dim", "32"), "w_dim must be a whole number"),
        (lambda d: damaged(d, "colour", 1), "unknown fields colour"),
        (lambda d: {**d, "kind": "vae"}, "kind"),
        (lambda d: {**d, "cineml_checkpoint": 9}, "format 9"),
        (lambda d: {**d, "hashes": {"model.safetensors": "0"}}, "does not match the hash"),
        (lambda d: {**d, "geometry": {**GEOMETRY, "inner": [0, 9, 16, 12]}}, "inner"),
        (lambda d: {**d, "discriminator": None}, "unexpected tensors"),
    ],
)
def test_a_changed_description_is_refused_with_a_sentence(tmp_path, change, sentence: str) -> None:
    save_checkpoint(tmp_path / "c", Generator(TINY), Discriminator(TINY), geometry=GEOMETRY)
    path = tmp_path / "c" / "model.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(CheckpointError, match=sentence):
        load_checkpoint(tmp_path / "c")


def test_missing_and_truncated_checkpoints_are_refused_with_a_sentence(tmp_path) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint folder"):
        load_checkpoint(tmp_path / "nowhere")
    save_checkpoint(tmp_path / "c", Generator(TINY))
    weights = tmp_path / "c" / "model.safetensors"
    whole = weights.read_bytes()
    for part in (whole[: len(whole) // 2], whole[:5], b""):
        weights.write_bytes(part)
        with pytest.raises(CheckpointError, match="truncated or no safetensors"):
            load_checkpoint(tmp_path / "c")
    weights.unlink()
    with pytest.raises(CheckpointError, match="is missing"):
        load_checkpoint(tmp_path / "c")
    (tmp_path / "c" / "model.json").write_text("{")
    with pytest.raises(CheckpointError, match="not valid JSON"):
        load_checkpoint(tmp_path / "c")


def test_weights_that_are_not_finite_are_not_saved(tmp_path) -> None:
    g = Generator(TINY)
    g.synthesis.b4.const.data[0] = math.nan
    with pytest.raises(CheckpointError, match="not finite"):
        save_checkpoint(tmp_path / "c", g)
    assert not (tmp_path / "c").exists()
