"""Where networks come from: transfer between sizes and colours, growing, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from models.checkpoint import save_checkpoint
from models.discriminator import Discriminator
from models.network_config import GeneratorConfig, discriminator_config_for
from models.stylegan2 import Generator
from player.show.problem import ShowError
from tools.train_arguments import arguments
from tools.train_networks import Start, adopt_sizes, recoloured, start_from
from tools.train_options import complete
from tools.train_parallel import Workers
from tools.train_source import Survey

SMALL = GeneratorConfig(resolution=16, channels=3, z_dim=8, w_dim=8, mapping_layers=2, channel_base=64, channel_max=8)


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A checkpoint with a discriminator."""
    torch.manual_seed(0)
    return save_checkpoint(tmp_path / "kept", Generator(SMALL), Discriminator(discriminator_config_for(SMALL)))


def started(config: GeneratorConfig, **where: Path | None) -> Start:
    torch.manual_seed(1)
    return start_from(config, discriminator_config_for(config), where.get("grow"), where.get("transfer"), 0)


def test_the_same_sizes_are_copied_whole(kept: Path) -> None:
    start = started(SMALL, transfer=kept)
    torch.manual_seed(0)
    first = Generator(SMALL)
    own, others = (network.state_dict().values() for network in (start.generator, first))
    assert all(torch.equal(a, b) for a, b in zip(own, others, strict=True))
    assert "fresh" not in start.said and start.source is not None and len(start.source) == 64


def test_a_higher_resolution_takes_the_blocks_below_and_begins_with_their_picture(kept: Path) -> None:
    start = started(replace(SMALL, resolution=32), transfer=kept)
    torch.manual_seed(0)
    small = Generator(SMALL)
    w = torch.randn(2, 8)
    with torch.no_grad():
        a = small.synthesis(w[:, None].expand(-1, small.num_ws, -1), "const")
        b = start.generator.synthesis(w[:, None].expand(-1, start.generator.num_ws, -1), "const")
    assert torch.corrcoef(torch.stack([a.flatten(), torch.nn.functional.avg_pool2d(b, 2).flatten()]))[0, 1] > 0.9
    assert "synthesis.b32.conv0" in start.said and "b32" in start.said and "b16.fromrgb" not in start.said


def test_a_lower_resolution_takes_what_both_have(kept: Path) -> None:
    start = started(replace(SMALL, resolution=8), transfer=kept)
    torch.manual_seed(0)
    small = Generator(SMALL)
    assert torch.equal(start.generator.synthesis.b8.conv1.weight, small.synthesis.b8.conv1.weight)
    assert "b8.fromrgb.weight" in start.said  # the small discriminator looks at another resolution


def test_grey_and_colour_share_their_picture_layers(kept: Path) -> None:
    start = started(replace(SMALL, channels=1), transfer=kept)
    torch.manual_seed(0)
    small, judge = Generator(SMALL), Discriminator(discriminator_config_for(SMALL))
    assert torch.allclose(start.generator.synthesis.b16.torgb.weight, small.synthesis.b16.torgb.weight.mean(0, keepdim=True))
    grey = torch.rand(4, 1, 16, 16)
    with torch.no_grad():  # a grey picture is judged like the same picture in three equal colours
        a, b = start.discriminator(grey), judge(grey.expand(-1, 3, -1, -1))
    assert torch.allclose(a, b, atol=1e-5)
    assert "fresh" not in start.said


def test_other_layer_sizes_are_left_fresh_and_said(kept: Path) -> None:
    start = started(replace(SMALL, mapping_layers=4), transfer=kept)
    assert "mapping.fc2.weight" in start.said and "mapping.fc0" not in start.said
    with pytest.raises(ShowError, match="no layer fits"):
        started(replace(SMALL, channel_base=32, channel_max=4), transfer=kept)


def test_sizes_that_are_left_open_are_those_of_the_checkpoint(kept: Path) -> None:
    options = arguments().parse_args(["f.mp4", "-o", "r", "--channels", "3", "--resolution", "16", "--mapping-layers", "4"])
    adopt_sizes(options, kept)
    sizes, _ = complete(options, Survey("film", 64, 48, 3, 9), Workers(), 0)
    assert sizes.generator == replace(SMALL, mapping_layers=4) and sizes.discriminator == discriminator_config_for(SMALL)


def test_growing_refuses_other_sizes_and_smaller_targets(kept: Path) -> None:
    with pytest.raises(ShowError, match="--transfer, which copies what fits"):
        started(replace(SMALL, resolution=32, mapping_layers=1), grow=kept)
    with pytest.raises(ShowError, match="is 16 pixels; allowed: at most 8"):
        started(replace(SMALL, resolution=8), grow=kept)


def test_layers_of_four_channels_are_not_guessed_at() -> None:
    assert recoloured(torch.zeros(3, 8, 1, 1), torch.Size([4, 8, 1, 1]), 0) is None
    assert recoloured(torch.zeros(8, 3, 1, 1), torch.Size([9, 1, 1, 1]), 1) is None
