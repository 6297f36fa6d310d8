"""The pieces of anchored training: geometry, frames left out, first codes, smoothness, places in z, losses."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch

from models.discriminator import Discriminator
from models.network_config import GeneratorConfig, discriminator_config_for
from models.stylegan2 import Generator
from player.show.cut_list import CutList, Shot
from tools.train_anchored import AnchoredTraining
from tools.train_anchors import CodeTable, detail_weights, first_codes
from tools.train_dataset import Dataset, geometry_for, mixed_frames, squared
from tools.train_losses import feature_loss, path_penalty, reconstruction_loss, sliced_wasserstein
from tools.train_recipe import Recipe

SMALL = GeneratorConfig(resolution=8, channels=1, z_dim=8, w_dim=8, mapping_layers=2, channel_base=64, channel_max=8)


def test_a_picture_is_padded_with_black_into_the_square() -> None:
    geometry = geometry_for(480, 360, 128)
    assert geometry["inner"] == [0, 16, 128, 96]
    square = squared(np.full((360, 480), 200, np.uint8), geometry, 128)
    assert square.shape == (1, 128, 128)
    assert np.array_equal(square[0, 16:112], np.full((96, 128), 200)) and not square[0, :16].any() and not square[0, 112:].any()


def test_frames_that_mix_pictures_are_left_out() -> None:
    shots = (Shot(1, 0, 10, "fade", 2, "black"), Shot(2, 10, 20, "dissolve", 3), Shot(3, 20, 30, out="fade", out_frames=4))
    assert np.flatnonzero(mixed_frames(CutList("f", Fraction(24), 30, shots))).tolist() == [0, 1, 10, 11, 12, 26, 27, 28, 29]


def test_first_codes_follow_the_pictures() -> None:
    rng = np.random.default_rng(0)
    ends = rng.integers(0, 255, (2, 1, 32, 32))
    mix = np.linspace(0, 1, 20)[:, None, None, None]
    images = (ends[0] * (1 - mix) + ends[1] * mix).astype(np.uint8)
    codes = first_codes(images, 16, np.ones(20, bool), 0)
    steps = (codes[1:] - codes[:-1]).norm(dim=1)
    assert float(steps.max()) < 0.5 * float((codes[0] - codes[-1]).norm())
    assert float(codes.square().mean()) == pytest.approx(1, rel=1e-3)


def test_codes_are_smooth_within_a_shot_and_free_across_a_cut() -> None:
    codes = torch.zeros(6, 2)
    codes[3:] = 5  # a cut between 2 and 3
    table = CodeTable(codes, [(0, 3), (3, 6)])
    index = torch.arange(6)
    assert float(table.roughness(index, table(index)).detach()) == 0
    whole = CodeTable(codes, [(0, 6)])
    assert float(whole.roughness(index, whole(index)).detach()) > 0


def test_z_at_a_frames_place_maps_to_its_code() -> None:
    codes = torch.randn(40, 8)
    usable = np.ones(40, bool)
    usable[7] = False
    table = CodeTable(codes, [(0, 40)], usable)
    places = table.places[table.known]
    assert torch.cdist(places, places).add(torch.eye(39) * 9).min() > 0  # no two frames share a place
    z = torch.cat([places, torch.randn(39, 5)], dim=1)
    assert (torch.cdist(table.near(z), codes).argmin(dim=1) == table.known).float().mean() > 0.9


def test_what_moves_weighs_more() -> None:
    images = np.full((10, 1, 16, 16), 200, np.uint8)
    for i in range(10):
        images[i, 0, 4:8, i] = 0
    weights = detail_weights(images, [(0, 10)], gain=4.0)
    assert float(weights[5, 0, 5, 5]) == pytest.approx(5) and float(weights[5, 0, 14, 14]) == pytest.approx(1)


def test_losses_are_zero_where_nothing_is_wrong() -> None:
    x = torch.rand(2, 1, 16, 16)
    assert float(reconstruction_loss(x, x, torch.ones_like(x))) == 0
    assert float(feature_loss([x, x], [x, x])) == 0
    cloud = torch.randn(64, 4)
    assert float(sliced_wasserstein(cloud, cloud[torch.randperm(64)])) == pytest.approx(0, abs=1e-6)
    assert float(sliced_wasserstein(cloud, cloud + 3)) > 1
    penalty, mean = path_penalty(torch.tensor([2.0, 2.0]), torch.tensor(0.0))
    assert float(mean) == pytest.approx(0.02) and float(penalty) == pytest.approx(1.98**2)


@pytest.mark.parametrize(("share", "least", "most"), [(0.0, 64, 64), (0.5, 15, 49), (1.0, 0, 0)])
def test_a_share_of_the_anchored_pictures_is_made_with_fresh_noise_so_that_it_carries_no_places(
    share: float, least: int, most: int
) -> None:
    images = np.random.default_rng(0).integers(0, 255, (12, 1, 8, 8), np.uint8)
    networks = [Generator(SMALL), Discriminator(discriminator_config_for(SMALL))]
    usable = np.ones(12, bool)
    film = Dataset(images, geometry_for(8, 8, 8), "film.mp4", True)
    torch.manual_seed(0)
    training = AnchoredTraining(*networks, film, usable, Recipe(batch=64, anchor_noise=share),
                                table=CodeTable(torch.randn(12, 8), [(0, 12)], usable))  # fmt: skip
    for from_z in (0, 4):
        maps = training.noise(64, from_z)
        constant = training.generator.synthesis.noise_const()
        alike = [(m == constant[name]).flatten(1).all(dim=1).expand(64 + from_z) if len(m) == 1 else
                 (m == constant[name]).flatten(1).all(dim=1) for name, m in maps.items()]  # fmt: skip
        assert all(torch.equal(a, alike[0]) for a in alike)  # a picture has one noise in all its layers
        assert least <= int(alike[0][:64].sum()) <= most
        if from_z:
            assert not alike[0][64:].any()
