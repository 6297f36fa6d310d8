"""Adaptive discriminator augmentation: exactness where nothing changes, published amounts, derivatives, colours, heuristic."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor, nn

from tools.train_augment import Augment, adjust, overfitting
from tools.train_augment_colour import brightness, contrast, hue, luma_flip, recolour, saturation
from tools.train_augment_geometry import (
    CENTRE,
    SYM6,
    blit,
    draw_blit,
    draw_general,
    rotation,
    scaling,
    translation,
    warp,
)

MANY = 40000
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def one(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def at(p: float, groups: str = "bgc", **options: bool) -> Augment:
    augment = Augment(groups, **options)
    augment.p.fill_(p)
    return augment


def smooth(size: int, x: Tensor, y: Tensor) -> Tensor:
    """A picture given by a formula, at any place (x, y) in pixels about the centre: waves of 10 pixels and more."""
    return 0.5 * torch.sin(x * (2 * math.pi / 13) + 0.3) + 0.4 * torch.cos(y * 0.4 - x * 0.2) + 0.01 * y * x / size


def drawn(size: int) -> Tensor:
    """The same as pixels, float64 [1, 1, size, size]."""
    places = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
    return smooth(size, places[None, :].expand(size, -1), places[:, None].expand(-1, size))[None, None]


# --- nothing changes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_at_p_0_the_picture_comes_back_bit_by_bit_and_nothing_is_drawn(channels: int) -> None:
    image = torch.randn(5, channels, 16, 16)
    before = torch.get_rng_state()
    assert torch.equal(Augment()(image), image)
    assert torch.equal(torch.get_rng_state(), before)


def test_pictures_for_which_nothing_was_drawn_come_back_bit_by_bit() -> None:
    image = torch.randn(64, 3, 16, 16)
    same = (at(0.05)(image) == image).flatten(1).all(dim=1)
    assert 20 < int(same.sum()) < 60  # 0.95^10 is 0.6 or more, as shifts may round to nothing


def test_the_wavelet_is_orthonormal_and_smooth() -> None:
    taps = np.array(SYM6)
    assert taps.sum() == pytest.approx(math.sqrt(2), abs=1e-9)
    for shift in range(0, 12, 2):
        assert (taps[shift:] * taps[: 12 - shift]).sum() == pytest.approx(float(shift == 0), abs=1e-9)
    for moment in range(6):
        assert (taps * (-1.0) ** np.arange(12) * np.arange(12.0) ** moment).sum() == pytest.approx(0, abs=1e-4)
    assert pytest.approx(5.1, abs=0.05) == CENTRE


@pytest.mark.parametrize("size", [8, 17, 32])
def test_resampling_under_the_identity_gives_back_the_picture_border_included(size: int) -> None:
    image = torch.randn(2, 3, size, size, dtype=torch.float64)
    out = warp(image, torch.eye(3, dtype=torch.float64).repeat(2, 1, 1))
    torch.testing.assert_close(out, image, atol=1e-9, rtol=0)
    single = warp(image.float(), torch.eye(3, dtype=torch.float64).repeat(2, 1, 1))
    torch.testing.assert_close(single, image.float(), atol=1e-4, rtol=0)


def test_a_plain_picture_stays_plain_however_far_the_map_goes() -> None:
    """No margin ever runs out: nothing of the zeros outside may come in."""
    for colour in (-1.0, 0.7):
        image = torch.full((64, 1, 16, 16), colour)
        wild = scaling(*(torch.empty(2, 64, dtype=torch.float64).uniform_(0.05, 3))) @ rotation(torch.rand(64).double() * 7)
        out = warp(image, translation(*(torch.randn(2, 64, dtype=torch.float64) * 40)) @ wild)
        torch.testing.assert_close(out, image, atol=1e-4, rtol=0)


# --- geometry --------------------------------------------------------------------------------------------------------


def test_quarter_turns_flips_and_shifts_of_whole_pixels_are_exact() -> None:
    image = torch.randn(1, 3, 16, 16)
    for quarters in range(4):
        turned = blit(image, rotation(one(quarters * math.pi / 2)).round())
        assert torch.equal(turned, torch.rot90(image, -quarters, (2, 3)))  # clockwise as seen
    assert torch.equal(blit(image, scaling(one(-1), one(1))), image.flip(3))
    shifted = blit(image, translation(one(3), one(-2)))  # right and up
    mirrored = np.pad(image[0].numpy(), ((0, 0), (4, 4), (4, 4)), mode="reflect")
    assert np.array_equal(shifted[0].numpy(), mirrored[:, 4 + 2 : 20 + 2, 4 - 3 : 20 - 3])


def test_resampling_agrees_with_blitting_where_both_can_do_it() -> None:
    """A turn by 180 degrees finds out whether the wavelet's centre is where it is thought to be."""
    image = drawn(32)
    for matrix in (rotation(one(math.pi)), rotation(one(math.pi / 2)), scaling(one(-1), one(1)), translation(one(2), one(5))):
        wanted = blit(image, matrix.round())
        inside = (slice(None), slice(None), slice(6, -6), slice(6, -6))
        assert float((warp(image, matrix) - wanted)[inside].abs().max()) < 0.006


MAPS: list[tuple[str, Tensor]] = [
    ("turn", rotation(one(0.6))),
    ("scale", scaling(one(1.3), one(1.3))),
    ("stretch", scaling(one(1.2), one(1 / 1.2))),
    ("shift", translation(one(2.4), one(-1.3))),
    ("all", translation(one(-3.2), one(0.7)) @ rotation(one(-2)) @ scaling(one(1.4), one(1.1)) @ rotation(one(0.3))),
]


@pytest.mark.parametrize("matrix", [m for _, m in MAPS], ids=[n for n, _ in MAPS])
def test_a_map_moves_the_picture_where_it_says(matrix: Tensor) -> None:
    """Against the formula at the places that the inverse map gives, wherever those lie inside the picture."""
    size = 48
    places = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
    y, x = torch.meshgrid(places, places, indexing="ij")
    back = torch.linalg.inv(matrix[0]) @ torch.stack([x.flatten(), y.flatten(), torch.ones(size * size).double()])
    inside = ((back[0].abs() < size / 2 - 4) & (back[1].abs() < size / 2 - 4)).view(size, size)
    inside[:4] = inside[-4:] = False
    inside[:, :4] = inside[:, -4:] = False
    wanted = smooth(size, back[0], back[1]).view(size, size)
    assert int(inside.sum()) > 600
    assert float((warp(drawn(size), matrix)[0, 0] - wanted)[inside].abs().max()) < 0.012


def test_beyond_its_border_the_picture_goes_on_mirrored_as_scipy_does_it() -> None:
    size = 32
    matrix = rotation(one(0.5)) @ scaling(one(0.45), one(0.45))  # far out: the border is seen on all sides
    back = torch.linalg.inv(matrix[0]).numpy()[:2, :2][::-1, ::-1]  # scipy counts rows first
    middle = np.full(2, (size - 1) / 2)
    picture = drawn(size)[0, 0].numpy()
    smooth_picture = ndimage.gaussian_filter(picture, 2.0, mode="mirror")  # what shrinking may keep
    wanted = ndimage.affine_transform(smooth_picture, back, middle - back @ middle, order=3, mode="mirror")
    got = warp(torch.from_numpy(smooth_picture)[None, None], matrix)[0, 0].numpy()
    assert float(np.abs(got - wanted)[4:-4, 4:-4].max()) < 0.02


def test_there_and_back_again_is_the_picture() -> None:
    matrix = translation(one(1.5), one(-0.8)) @ rotation(one(0.7)) @ scaling(one(1.2), one(1.1))
    image = drawn(48)
    again = warp(warp(image, matrix), torch.linalg.inv(matrix))
    assert float((again - image)[..., 14:-14, 14:-14].abs().max()) < 0.02


# --- how often, how much ---------------------------------------------------------------------------------------------


def test_blits_come_as_often_and_as_far_as_published() -> None:
    size, p = 64, 0.6
    matrix = draw_blit(MANY, p, size, xflip=True, rotate90=True)
    assert torch.equal(matrix, matrix.round())
    mirrored = torch.linalg.det(matrix) < 0
    assert float(mirrored.double().mean()) == pytest.approx(p / 2, abs=0.01)
    unmirrored = draw_blit(MANY, p, size, xflip=False, rotate90=True)
    assert bool((torch.linalg.det(unmirrored) > 0).all())
    # What keeps augmentation from leaking: the upright is more frequent than any other turn.
    upright = (unmirrored[:, 0, 0] == 1).double().mean()
    assert float(upright) == pytest.approx(1 - 0.75 * p, abs=0.01)
    for row in (0, 1):
        shift = draw_blit(MANY, 1.0, size, xflip=False, rotate90=False)[:, row, 2]
        assert float(shift.abs().max()) == size / 8
        assert float(shift.mean()) == pytest.approx(0, abs=0.1)
        assert float(shift.std()) == pytest.approx(size / 4 / math.sqrt(12), rel=0.02)


def test_general_maps_come_as_often_and_as_far_as_published() -> None:
    size = 64
    matrix, touched = draw_general(MANY, 1.0, size)
    assert bool(touched.all())
    det = torch.linalg.det(matrix)  # stretching and turning keep the area
    assert float(det.log2().mean()) == pytest.approx(0, abs=0.01)
    assert float((det.log2() / 2).std()) == pytest.approx(0.2, rel=0.02)
    axes = torch.linalg.svdvals(matrix[:, :2, :2])  # [N, 2], the larger first
    stretch = (axes[:, 0] / axes[:, 1]).log2() / 2
    assert float(stretch.square().mean().sqrt()) == pytest.approx(0.2, rel=0.02)
    assert float(matrix[:, :2, 2].mean()) == pytest.approx(0, abs=0.1)
    assert float(matrix[:, :2, 2].std()) == pytest.approx(size / 8, rel=0.02)
    angle = torch.atan2(matrix[:, 1, 0], matrix[:, 0, 0])
    assert float(angle.cos().mean()) == pytest.approx(0, abs=0.02)

    p = 0.3
    matrix, touched = draw_general(MANY, p, size)
    changed = (matrix != torch.eye(3, dtype=torch.float64)).flatten(1).any(dim=1)
    assert torch.equal(changed, touched)
    assert float(touched.double().mean()) == pytest.approx(1 - (1 - p) ** 4, abs=0.01)  # scale, stretch, shift, either turn
    assert float((matrix[:, :2, 2] != 0).any(dim=1).double().mean()) == pytest.approx(p, abs=0.01)
    assert float(((torch.linalg.det(matrix) - 1).abs() > 1e-9).double().mean()) == pytest.approx(p, abs=0.01)


def test_a_pipe_of_one_group_does_that_alone() -> None:
    image = torch.rand(32, 3, 16, 16) * 2 - 1
    moved = at(1.0, "b")(image)
    assert torch.isin(moved, image).all()  # whole pixels only
    coloured = at(1.0, "c")(image.mean(dim=(2, 3), keepdim=True).expand(-1, -1, 16, 16))
    assert float(coloured.std(dim=(2, 3)).max()) < 1e-5  # plain stays plain
    assert torch.equal(at(1.0, "")(image), image)
    with pytest.raises(ValueError, match="letters bgc"):
        Augment("bx")


@pytest.mark.parametrize("shape", [(2, 2, 16, 16), (2, 3, 16, 8), (2, 3, 7, 7)])
def test_pictures_of_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="square pictures from 8 pixels"):
        at(1.0)(torch.zeros(shape))


# --- colour ----------------------------------------------------------------------------------------------------------


def test_colour_matrices_do_what_they_are_called() -> None:
    image = torch.rand(1, 3, 4, 4, dtype=torch.float64) * 2 - 1
    luma = image.mean(dim=1, keepdim=True)

    def same(made: Tensor, wanted: Tensor) -> None:
        torch.testing.assert_close(recolour(image, made), wanted.expand_as(image), atol=1e-12, rtol=0)

    same(brightness(one(0.3)), image + 0.3)
    same(contrast(one(1.7)), image * 1.7)
    same(contrast(one(1.7)) @ brightness(one(0.3)), (image + 0.3) * 1.7)
    same(luma_flip(one(1) > 0), image - 2 * luma)
    same(luma_flip(one(0) > 0), image)
    same(saturation(one(0)), luma)
    same(saturation(one(2.5)), luma + (image - luma) * 2.5)
    same(hue(one(0)), image)
    same(hue(one(2 * math.pi / 3)), image.roll(1, dims=1))  # red to green
    same(hue(one(math.pi)), 2 * luma - image)


def test_grey_pictures_get_brightness_contrast_and_luma_flip() -> None:
    image = torch.rand(1, 1, 4, 4, dtype=torch.float64) * 2 - 1
    matrix = luma_flip(one(1) > 0) @ contrast(one(1.7)) @ brightness(one(0.3))
    torch.testing.assert_close(recolour(image, matrix), -(image + 0.3) * 1.7)
    torch.testing.assert_close(recolour(image, saturation(one(3)) @ hue(one(1))), image)
    as_colour = recolour(image.expand(-1, 3, -1, -1), matrix)
    torch.testing.assert_close(as_colour, recolour(image, matrix).expand(-1, 3, -1, -1))


def test_colours_come_as_often_and_as_far_as_published() -> None:
    grey = torch.tensor([-0.5, 0.5]).repeat(MANY // 4, 1)  # two plain pictures tell gain and offset
    image = grey.view(-1, 1, 1, 1).expand(-1, 1, 8, 8)
    state = torch.get_rng_state()
    pairs = []
    for level in (0.0, 0.5):  # the same random numbers for both
        torch.set_rng_state(state)
        pairs.append(at(1.0, "c")(torch.full_like(image, level))[:, 0, 0, 0])
    gain, offset = (pairs[1] - pairs[0]) / 0.5, pairs[0]
    assert float((gain < 0).float().mean()) == pytest.approx(0.5, abs=0.015)
    assert float(gain.abs().log2().std()) == pytest.approx(0.5, rel=0.03)
    assert float((offset / gain).std()) == pytest.approx(0.2, rel=0.03)


def test_alpha_moves_with_its_picture_and_keeps_its_values() -> None:
    image = torch.rand(8, 4, 16, 16) * 2 - 1
    state = torch.get_rng_state()
    out = at(1.0)(image)
    torch.set_rng_state(state)
    moved = at(1.0, "bg")(image)
    assert torch.equal(out[:, 3], moved[:, 3])
    assert not torch.allclose(out[:, :3], moved[:, :3])
    assert torch.equal(at(1.0, "c")(image)[:, 3], image[:, 3])


# --- derivatives, repetition, state ----------------------------------------------------------------------------------


def again(augment: Augment, seed: int) -> Callable[[Tensor], Tensor]:
    def run(image: Tensor) -> Tensor:
        torch.manual_seed(seed)
        return augment(image)

    return run


@pytest.mark.parametrize(("channels", "p"), [(1, 0.7), (3, 1.0), (4, 0.4)])
def test_first_and_second_derivatives_match_finite_differences(channels: int, p: float) -> None:
    image = torch.randn(2, channels, 8, 8, dtype=torch.float64, requires_grad=True)
    run = again(at(p), 5)
    assert torch.autograd.gradcheck(run, (image,), fast_mode=True)
    assert torch.autograd.gradgradcheck(lambda x: run(x).pow(3), (image,), fast_mode=True)


def test_r1_through_the_pipe_matches_finite_differences_in_the_discriminators_weights() -> None:
    image = torch.randn(3, 3, 16, 16, dtype=torch.float64)
    weight = (0.1 * torch.randn(4, 3, 3, 3, dtype=torch.float64)).requires_grad_()
    run = again(at(0.8), 11)

    def r1(w: Tensor) -> Tensor:
        x = image.clone().requires_grad_()
        logits = nn.functional.softplus(nn.functional.conv2d(run(x), w, stride=2)).sum(dim=(1, 2, 3))
        (grad,) = torch.autograd.grad(logits.sum(), x, create_graph=True)
        return grad.square().sum(dim=(1, 2, 3)).mean()

    assert torch.autograd.gradcheck(r1, (weight,))


def test_the_same_random_state_gives_the_same_pictures_and_another_gives_others() -> None:
    image = torch.randn(4, 1, 32, 32)
    augment = at(0.9)
    assert torch.equal(again(augment, 3)(image), again(augment, 3)(image))
    assert not torch.equal(again(augment, 3)(image), again(augment, 4)(image))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_makes_the_same_pictures_and_derivatives_as_the_cpu() -> None:
    image = torch.randn(8, 4, 32, 32)
    found = []
    for device in ("cpu", "cuda"):
        augment = at(0.8).to(device)
        x = image.to(device).requires_grad_()
        out = again(augment, 3)(x)
        (grad,) = torch.autograd.grad(out.pow(3).mean(), x, create_graph=True)
        (second,) = torch.autograd.grad(grad.square().sum() * 1e6, x)
        found.append([out.detach().cpu(), grad.detach().cpu(), second.cpu()])
    for cpu, gpu in zip(*found, strict=True):
        torch.testing.assert_close(gpu, cpu, atol=2e-4, rtol=2e-3)


def test_half_precision_pictures_come_back_in_float32() -> None:
    assert at(1.0)(torch.zeros(2, 1, 8, 8, dtype=torch.bfloat16)).dtype == torch.float32


def test_p_is_kept_with_the_weights_and_stays_a_float32_of_the_cpu() -> None:
    augment = at(0.25).double()
    assert augment.p.dtype == torch.float32
    assert augment.to("meta").p.device.type == "cpu"
    other = Augment()
    other.load_state_dict(augment.state_dict())
    assert float(other.p) == 0.25
    assert not list(other.parameters())


# --- the heuristic ---------------------------------------------------------------------------------------------------


def test_p_goes_from_0_to_1_in_500_kimg_while_the_discriminator_is_too_sure() -> None:
    p = 0.0
    for _ in range(1000):
        p = adjust(p, 0.9, 4 * 64)
    assert p == pytest.approx(1000 * 256 / 500_000)
    assert adjust(0.0, 1.0, 500_000) == pytest.approx(1.0)
    assert adjust(0.5, 0.3, 50_000) == pytest.approx(0.4)
    assert adjust(0.5, 0.3, 50_000, target=0.2) == pytest.approx(0.6)
    assert adjust(0.5, 0.9, 5_000, kimg=50) == pytest.approx(0.6)


def test_p_stays_between_0_and_1_and_rests_at_the_target_and_without_a_measure() -> None:
    assert adjust(0.999, 1.0, 10_000_000) == 1.0
    assert adjust(0.001, -1.0, 10_000_000) == 0.0
    assert adjust(0.4, 0.6, 1000) == 0.4
    assert adjust(0.4, math.nan, 1000) == 0.4
    with pytest.raises(ValueError, match="kimg"):
        adjust(0.4, 0.5, 1000, kimg=0)


def test_overfitting_is_the_mean_sign_of_what_real_pictures_get() -> None:
    assert overfitting(torch.tensor([[3.0], [0.1], [-5.0], [2.0]])) == 0.5
