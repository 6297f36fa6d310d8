"""The losses of a stylizer's training: what each sees and does not see."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from tools.style_train_losses import (
    Disturbance,
    broad_loss,
    fine_loss,
    flow_loss,
    form_loss,
    grid_loss,
    lit,
    noisy,
    patch_loss,
    same_loss,
    shifted,
    warped,
)


def test_patches_may_lie_elsewhere_but_not_be_blurred() -> None:
    torch.manual_seed(0)
    truth = F.avg_pool2d(torch.rand(1, 3, 136, 136), 3, stride=1)[..., :128, :128]
    elsewhere, blurred = torch.roll(truth, (40, 24), (2, 3)), F.avg_pool2d(truth, 5, stride=1, padding=2)
    torch.manual_seed(1)
    far = patch_loss(blurred, truth)
    torch.manual_seed(1)
    near = patch_loss(elsewhere, truth)
    assert near < 0.2 * far
    assert patch_loss(truth, truth) == 0


def test_a_grid_of_cells_costs_and_strokes_do_not() -> None:
    torch.manual_seed(0)
    grid = torch.full((1, 3, 64, 64), 0.5)
    grid[:, :, ::4] += 0.1
    strokes = 0.5 + 0.1 * (torch.rand(1, 3, 64, 64) < 0.25)
    assert grid_loss(grid) > 20 * grid_loss(strokes)


def test_what_is_fine_is_a_line_and_a_seam_and_not_a_slope() -> None:
    slope = torch.linspace(0, 1, 64).expand(1, 3, 64, 64)
    line, seam = torch.zeros(1, 3, 64, 64), torch.zeros(1, 3, 64, 64)
    line[..., 20] = 1
    seam[..., 32:] = 1
    assert fine_loss(slope) < 1e-3 * fine_loss(seam) and fine_loss(seam) < fine_loss(line)
    assert fine_loss(line) == pytest.approx(((1 / 2) ** 2 + 2 * (1 / 4) ** 2) / 64)
    assert fine_loss(line.transpose(2, 3)) == pytest.approx(float(fine_loss(line)))


def test_broad_colours_do_not_see_where_in_a_square_a_stroke_lies() -> None:
    a, b = torch.zeros(1, 3, 32, 32), torch.zeros(1, 3, 32, 32)
    a[:, :, ::8], b[:, :, 3::8] = 1, 1
    assert broad_loss(a, b) == 0


def test_the_noise_is_as_strong_and_as_frequent_as_said() -> None:
    torch.manual_seed(0)
    image = torch.full((4, 3, 64, 64), 0.5)
    other = noisy(image, Disturbance(noise=30, share=0.05, grain=0))
    changed = (other - image).abs()
    assert changed.max() <= 30 / 255 + 1e-6
    assert float((changed > 0).float().mean()) == pytest.approx(0.05 * 60 / 61, abs=0.005)
    assert torch.allclose((other * 255).round(), other * 255 - 0.5 + 0.5, atol=0.51)


def test_grain_is_grey_softer_or_harder_and_no_stronger_than_said() -> None:
    torch.manual_seed(0)
    image, widths, spreads = torch.full((8, 3, 64, 64), 0.5), set(), []
    for _ in range(12):
        grain = noisy(image, Disturbance(noise=0, share=0, grain=8)) - image
        assert torch.allclose(grain[:, 0], grain[:, 1], atol=1e-6)
        spreads += (255 * grain[:, 0].std(dim=(1, 2))).tolist()
        alike = (grain[:, 0, 1:] * grain[:, 0, :-1]).mean() / grain[:, 0].square().mean()
        widths.add(round(float(alike), 1))
    assert max(spreads) <= 8.01 and min(spreads) < 2 and max(spreads) > 6
    assert min(widths) < 0.1 and max(widths) > 0.6


def test_strokes_that_run_another_way_or_are_fainter_cost_and_where_they_lie_does_not() -> None:
    torch.manual_seed(0)
    rows = F.avg_pool2d(torch.rand(1, 3, 64, 1), (5, 1), 1, (2, 0)).expand(1, 3, 64, 64)
    elsewhere, turned = torch.roll(rows, 32, 2), rows.transpose(2, 3)
    assert form_loss(rows, rows) == 0
    assert form_loss(elsewhere, rows) < 0.5 * form_loss(turned, rows)
    assert form_loss(0.5 * rows, rows) > 0.5 * form_loss(torch.full_like(rows, 0.5), rows) > 0.5


def test_a_shift_is_undone_before_it_is_compared() -> None:
    torch.manual_seed(3)
    image = torch.rand(2, 3, 32, 32)
    for _ in range(5):
        other, moved = shifted(image, Disturbance(shift=5))
        assert same_loss(image, other, moved, image) == 0
    assert same_loss(image, torch.roll(image, 3, 2), (0, 0), image) > 0.01


def test_a_difference_is_worth_the_shift_in_square_pixels_that_would_make_it() -> None:
    x = torch.arange(64) / 64
    image = (0.5 + 0.3 * torch.sin(2 * torch.pi * 2 * x)).expand(1, 3, 64, 64)
    assert float(same_loss(image, torch.roll(image, 2, 3), (0, 0), image)) == pytest.approx(2 * 2**2, rel=0.05)


def test_a_hard_style_counts_as_a_soft_one_and_still_texture_is_not_paid() -> None:
    torch.manual_seed(4)
    image, grid = torch.rand(2, 3, 64, 64), torch.zeros(1, 3, 64, 64)
    grid[:, :, ::2, ::2] = 0.3
    other = image + 0.1 * (torch.rand(2, 3, 64, 64) - 0.5)
    plain = float(same_loss(image, other, (0, 0), image))
    assert float(same_loss(image + grid, other + grid, (0, 0), image)) == pytest.approx(plain, rel=1e-4)
    assert float(same_loss(0.5 * image, 0.5 * other, (0, 0), 0.5 * image)) == pytest.approx(plain, rel=1e-4)


def test_another_light_changes_brightness_by_no_more_than_said() -> None:
    torch.manual_seed(0)
    image = torch.full((16, 3, 8, 8), 0.5)
    other = lit(image, Disturbance(light=0.2))
    change = (other - image).abs().amax(dim=(1, 2, 3))
    assert change.max() <= 0.5 * 0.2 + 0.1 + 1e-6 and change.min() < change.max()


def test_warping_follows_the_flow_and_says_where_it_leads_out() -> None:
    image = torch.rand(1, 3, 16, 16)
    flow = torch.zeros(1, 2, 16, 16)
    flow[:, 0] = 2.0  # each pixel was two to the right
    found, inside = warped(image, flow)
    assert torch.allclose(found[..., :14], image[..., 2:], atol=1e-5)
    assert inside[..., :14].all() and not inside[..., 14:].any()
    assert flow_loss(image[..., 2:], found[..., :14], inside[..., :14]) < 1e-9
    assert flow_loss(image, 1 - image, torch.zeros(1, 1, 16, 16)) == 0, "what is not certain does not count"
