"""The stylizer's network: sizes, borders, styles, the canvas, and what is read back from disk."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import pytest
import torch

from models.checkpoint import CheckpointError
from models.stylizer import (
    CANVAS_CELLS,
    UNIT_PX,
    Stylizer,
    StylizerConfig,
    drawn,
    operations,
    parameter_count,
)
from models.stylizer_checkpoint import load_stylizer, save_stylizer
from models.stylizer_form import DIRECTIONS, WINDOWS, shares_of

KINDS = [StylizerConfig(width=8, blocks=1), StylizerConfig(width=8, blocks=1, norm="affine", canvas=0),
         StylizerConfig("johnson", 4, 1, ("a", "b")), StylizerConfig(width=8, blocks=1, recurrent=True)]  # fmt: skip


def made(config: StylizerConfig, seed: int = 0) -> Stylizer:
    """A network whose styles differ and whose canvas shows."""
    torch.manual_seed(seed)
    net = Stylizer(config)
    with torch.no_grad():
        for p in net.parameters():
            if p is not getattr(net, "canvas", None):
                p.add_(0.05 * torch.randn_like(p))
    return net.eval().requires_grad_(False)


def share(config: StylizerConfig, index: int = 0) -> torch.Tensor:
    """All of one style, [1, S]."""
    return torch.eye(len(config.styles))[index : index + 1]


@pytest.mark.parametrize("config", KINDS, ids=lambda c: f"{c.architecture}-{c.norm}-{c.recurrent}")
def test_a_picture_of_any_size_keeps_it_and_lies_within_0_and_1(config: StylizerConfig) -> None:
    net = made(config)
    for height, width in ((64, 48), (61, 47), (17, 5)):
        out = net(torch.rand(1, 3, height, width), share(config))
        assert out.shape == (1, 3, height, width) and 0 <= out.min() and out.max() <= 1


def test_an_odd_size_shows_what_the_even_one_shows() -> None:
    net = made(StylizerConfig(width=8, blocks=1, norm="affine"))
    image = torch.rand(1, 3, 64, 64)
    image[:, :, 61:], image[:, :, :, 62:] = image[:, :, 60:61], image[:, :, :, 61:62]  # as replication continues it
    even, odd = net(image, share(net.config)), net(image[:, :, :61, :62], share(net.config))
    assert torch.allclose(even[:, :, :40, :40], odd[:, :, :40, :40], atol=1e-5)


@pytest.mark.parametrize("blocks", [2, 8])
def test_an_even_picture_is_framed_by_no_border(blocks: int) -> None:
    """Without a canvas too, where a student of 8 blocks sees 68 pixels far and a trained one draws ripples round all edges."""
    net = made(StylizerConfig(width=8, blocks=blocks, canvas=0))
    for block in net.blocks:
        block.second.norm.gammas.fill_(1.0)
    out = net(torch.full((1, 3, 96, 96), 0.6), share(net.config))
    cells = torch.nn.functional.avg_pool2d(out, UNIT_PX)
    middle = cells[:, :, 8:16, 8:16].mean(dim=(2, 3), keepdim=True)
    assert (cells - middle).abs().max() < 0.02, "the border differs from the middle"


def test_half_of_two_styles_lies_between_them_and_each_alone_differs() -> None:
    net = made(StylizerConfig(width=8, blocks=1, styles=("a", "b")))
    image = torch.rand(1, 3, 32, 32)
    a, b = net(image, torch.tensor([[1.0, 0.0]])), net(image, torch.tensor([[0.0, 1.0]]))
    half = net(image, torch.tensor([[0.5, 0.5]]))
    assert (a - b).abs().mean() > 0.005
    assert (half - a).abs().mean() < (a - b).abs().mean() and (half - b).abs().mean() < (a - b).abs().mean()


def test_even_ground_gets_strokes_from_the_canvas_and_none_without() -> None:
    image = torch.full((1, 3, 64, 64), 0.5)
    with_canvas, without = made(StylizerConfig(width=8, blocks=1)), made(StylizerConfig(width=8, blocks=1, canvas=0))
    cells = [torch.nn.functional.pixel_unshuffle(n(image, share(n.config)), UNIT_PX)[:, :, 4:-4, 4:-4]
             for n in (with_canvas, without)]  # fmt: skip
    assert cells[0].std(dim=(2, 3)).mean() > 10 * cells[1].std(dim=(2, 3)).mean()


@pytest.mark.parametrize("k", range(DIRECTIONS))
def test_strokes_run_along_edges_of_every_direction_and_grain_turns_none(k: int) -> None:
    torch.manual_seed(k)
    y, x = torch.meshgrid(torch.arange(48.0), torch.arange(64.0), indexing="ij")
    turn = math.pi * k / DIRECTIONS
    across = y * math.cos(turn) - x * math.sin(turn)  # a slope whose level lines run in direction k
    luma = (0.5 + 0.2 * torch.sin(across / 4))[None, None]
    shares = shares_of(luma)[0, :, 8:-8, 8:-8]  # [D, h, w]
    assert bool((shares.argmax(dim=0) == k).all()) and shares[k].mean() > 0.97
    grainy = shares_of(luma + 0.02 * torch.randn_like(luma))[0, :, 8:-8, 8:-8]
    assert (grainy - shares).abs().mean() < 0.05
    assert torch.allclose(shares.square().sum(dim=0), torch.ones(()), atol=1e-4) and bool((shares >= 0).all())


def test_on_even_ground_strokes_lie_level_whatever_the_grain() -> None:
    torch.manual_seed(0)
    even = shares_of(torch.full((1, 1, 40, 40), 0.4))
    assert bool((even[:, 0] > 0.999).all())
    grainy = shares_of(0.4 + 0.002 * torch.randn(1, 1, 40, 40))
    assert (grainy[:, 0] > 0.8).float().mean() > 0.8


def test_strong_grain_turns_no_strokes_and_hides_no_soft_form() -> None:
    """Grain of 8 levels of 255, a little larger than a pixel, leaves a deviation of 0.0137 in the means of 4x4 pixels."""
    torch.manual_seed(0)
    one, other = (0.4 + 0.0137 * torch.randn(1, 1, 64, 64) for _ in range(2))
    assert (shares_of(one) - shares_of(other)).abs().mean() < 0.15  # 0.3 where every stroke is turned
    soft = 0.03 * torch.sin(torch.arange(64.0) * 2 * math.pi / 10).expand(1, 1, 64, 64)  # 16 levels up and down in 40 pixels
    assert shares_of(one + soft)[:, DIRECTIONS // 2, 8:-8, 8:-8].mean() > 0.9


def test_between_two_directions_both_show_and_a_turning_form_changes_them_smoothly() -> None:
    y, x = torch.meshgrid(torch.arange(64.0) - 31.5, torch.arange(64.0) - 31.5, indexing="ij")
    rings = 0.5 + 0.2 * torch.sin((x**2 + y**2).sqrt() / 2)
    shares = shares_of(rings[None, None])[0]
    assert set((shares > 1e-3).sum(dim=0).unique().tolist()) <= {1, 2, 3}
    right, below = shares[:, 32, 50], shares[:, 50, 32]
    assert right.argmax() == DIRECTIONS // 2 and below.argmax() == 0, "rings run upright beside their middle, level below it"


def test_the_canvas_is_the_same_wherever_it_is_made_and_repeats_without_a_seam() -> None:
    planes = drawn(4)
    assert torch.equal(planes, drawn(4)) and planes.shape == (1, 4 * DIRECTIONS, CANVAS_CELLS * UNIT_PX, CANVAS_CELLS * UNIT_PX)
    assert abs(float(planes.std()) - 1) < 0.01
    across = (planes[..., 0] - planes[..., -1]).abs().mean()
    inside = (planes[..., 1:] - planes[..., :-1]).abs().mean()
    assert across < 1.2 * inside


def test_tiles_that_begin_at_the_canvas_period_fit_together() -> None:
    net = made(StylizerConfig(width=8, blocks=1, norm="affine"))
    image, period, felt = torch.rand(1, 3, 64, 512), CANVAS_CELLS * UNIT_PX, UNIT_PX * (2 + sum(w // 2 for w in WINDOWS))
    whole, part = net(image, share(net.config)), net(image[..., period:], share(net.config))
    assert torch.allclose(whole[..., period + felt :], part[..., felt:], atol=1e-4)
    nearer = (whole[..., period + 72 :] - part[..., 72:]).abs()  # of far forms little comes that near
    assert nearer.mean() < 0.01


def test_a_recurrent_network_heeds_what_is_certain_and_only_that() -> None:
    net = made(StylizerConfig(width=8, blocks=1, recurrent=True))
    image, before = torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 32)
    plain = net(image, share(net.config))
    unsure = net(image, share(net.config), before, torch.zeros(1, 1, 32, 32))
    sure = net(image, share(net.config), before, torch.ones(1, 1, 32, 32))
    assert torch.equal(plain, unsure) and (sure - plain).abs().mean() > 1e-3


def test_the_affine_norm_does_not_let_one_place_change_another() -> None:
    image = torch.rand(1, 3, 320, 64)
    other = image.clone()
    other[:, :, 280:] = 1  # further away than any form is felt
    far = (..., slice(0, 40), slice(None))
    for norm, same in (("affine", True), ("instance", False)):
        net = made(StylizerConfig(width=8, blocks=1, norm=norm))  # type: ignore[arg-type]
        assert torch.equal(net(image, share(net.config))[far], net(other, share(net.config))[far]) == same


def test_the_work_and_size_are_those_of_the_facts() -> None:
    student = StylizerConfig(width=24, blocks=4, canvas=0)
    assert parameter_count(Stylizer(student)) == pytest.approx(63e3, rel=0.01)
    assert operations(student, 480, 640) == pytest.approx(2.39e9, rel=0.01)
    assert operations(StylizerConfig("johnson", 32, 5, canvas=0), 480, 640) == pytest.approx(94.5e9, rel=0.01)


def test_a_saved_stylizer_computes_the_same_and_keeps_what_is_said_of_it(tmp_path: Path) -> None:
    config = StylizerConfig(width=8, blocks=1, styles=("a", "b"), norm="affine")
    net = made(config)
    save_stylizer(tmp_path / "run" / "checkpoint", net, config, {"run": {"tool": "test"}, "licence": "CC0-1.0"})
    image = torch.rand(1, 3, 32, 32)
    for folder in (tmp_path / "run", tmp_path / "run" / "checkpoint"):
        read, told, about = load_stylizer(folder)
        assert told == config and about["run"] == {"tool": "test"} and len(about["sha256"]) == 64
        assert torch.equal(read(image, share(config)), net(image, share(config)))
    assert not list((tmp_path / "run").glob(".*"))


def test_weights_that_are_not_finite_are_not_saved_and_the_older_ones_stay(tmp_path: Path) -> None:
    config = StylizerConfig(width=8, blocks=1)
    net = made(config)
    save_stylizer(tmp_path / "c", net, config, {})
    with torch.no_grad():
        net.last.weight[0, 0, 0, 0] = torch.nan
    with pytest.raises(CheckpointError, match="not finite"):
        save_stylizer(tmp_path / "c", net, config, {})
    load_stylizer(tmp_path / "c")


def test_a_changed_damaged_or_foreign_file_is_one_sentence(tmp_path: Path) -> None:
    config = StylizerConfig(width=8, blocks=1)
    folder = save_stylizer(tmp_path / "c", made(config), config, {})
    described = json.loads((folder / "model.json").read_text())

    def refused(change: dict[str, object], message: str) -> None:
        (folder / "model.json").write_text(json.dumps(described | change))
        with pytest.raises(CheckpointError, match=message) as error:
            load_stylizer(folder)
        assert "\n" not in str(error.value)

    plain = dataclasses.asdict(config)
    refused({"kind": "stylegan2"}, "stylizer")
    refused({"config": plain | {"width": 12}}, "expected")
    refused({"config": plain | {"width": 10**9}}, "1 to 256")
    refused({"config": plain | {"styles": ["a/b"]}}, "letters")
    refused({"config": plain | {"more": 1}}, "more")
    refused({"config": plain | {"canvas": True}}, "canvas")
    refused({"hashes": {"model.safetensors": "0" * 64}}, "changed")
    (folder / "model.json").write_text("[")
    with pytest.raises(CheckpointError, match="JSON"):
        load_stylizer(folder)
    with pytest.raises(CheckpointError, match="not exist"):
        load_stylizer(tmp_path / "nothing")


@pytest.mark.parametrize("wrong", [{"styles": ()}, {"styles": ("a", "a")}, {"styles": tuple(f"s{i}" for i in range(33))},
                                   {"architecture": "unet"}, {"norm": "batch"}, {"blocks": 0}, {"width": 2.0}])  # fmt: skip
def test_what_cannot_be_built_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        StylizerConfig(**wrong)  # type: ignore[arg-type]
