"""What a stylizer is taught by: the teacher's pictures, patches, smoothness, and that small changes change little.

Sources: Rabin et al. 2011 for sliced Wasserstein distances, of patches as Elnekave and Weiss 2022 ("Generating natural images
with direct patch distributions matching", arXiv 2203.11862) use them; Goodfellow et al. 2014 and Isola et al. 2017 (arXiv
1611.07004) for a critic of patches; Johnson et al. 2016 for total variation; Ruder, Dosovitskiy, Brox 2017 (arXiv 1708.04538)
for consistency along the flow. The noise of `Disturbance` is that of Rainy and de Berker 2018, "Stabilizing neural
style-transfer for video" (Element AI): whole numbers within +-30 of 255 on 5 % of the values, the squared difference of both
results as a loss (here in square pixels: `same_loss`); shifts and changes of brightness join it as in Wang et al.
2020, "Consistent Video Style Transfer via Compound Regularization" (AAAI), which needs no flow either. Strokes' directions are
compared by structure tensors (Foerstner and Guelch 1987).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PATCH_PX = 7
SCALES = 3
STRIDES = (3, 2, 1)  # between patches, scale by scale: the finest has nine times as many as are needed
GRID_CELLS = 8  # over so many cells of 4 pixels strokes even out, a grid does not
FORM_PX = 16  # side of the windows in which strokes run one way
LEAST_SLOPE2 = 1e-4  # of crops in which hardly anything is drawn: (1 % a pixel)^2
BROAD_PX = 8  # below, where a stroke lies is the network's to choose


@dataclass(frozen=True)
class Disturbance:
    """What may not show in the result. noise: levels of 255, at most, on a share of the values. grain: levels of 255, the
    deviation, at most, of soft grain on all of them. shift: pixels, at most. light: of the brightness, at most: 0.1 is a
    factor of 0.9 to 1.1, and an offset of half as much, -0.05 to 0.05 of full white."""

    noise: float = 30.0
    share: float = 0.05
    grain: float = 8.0
    shift: int = 2
    light: float = 0.05


def broad_loss(out: Tensor, truth: Tensor) -> Tensor:
    """Mean absolute difference of the means of 8x8 pixels. [N, 3, H, W] both."""
    return F.l1_loss(F.avg_pool2d(out, BROAD_PX), F.avg_pool2d(truth, BROAD_PX))


def pixel_loss(out: Tensor, truth: Tensor) -> Tensor:
    """Mean absolute difference. [N, 3, H, W] both."""
    return F.l1_loss(out, truth)


def patch_loss(out: Tensor, truth: Tensor, directions: int = 32) -> Tensor:
    """Sliced Wasserstein distance (of order 1) of the 7x7 patches of each picture and its truth, summed over three scales: the
    same strokes, wherever they lie. [N, 3, H, W] both, sides of at least 28 pixels; new random directions at every call."""
    total = out.new_zeros(())
    for scale in range(SCALES):
        if scale:
            out, truth = F.avg_pool2d(out, 2), F.avg_pool2d(truth, 2)  # [N, 3, H/2, W/2]
        found = torch.randn(directions, 3, PATCH_PX, PATCH_PX).to(out.device)  # [D, 3, 7, 7]
        found = found / found.flatten(1).norm(dim=1)[:, None, None, None]
        step = STRIDES[scale]
        down, right = torch.randint(step, (2,)).tolist()
        shadows = [F.conv2d(x[:, :, down:, right:], found, stride=step).flatten(2).sort(dim=2).values
                   for x in (out, truth)]  # [N, D, patches]  # fmt: skip
        total = total + F.l1_loss(shadows[0], shadows[1])
    return total


def form_loss(out: Tensor, truth: Tensor) -> Tensor:
    """How far strokes run another way, or are weaker or stronger, than the teacher's: the difference of structure tensors of
    luma in windows of 16 pixels at two scales, over the teacher's mean gradient energy. [N, 3, H, W] both."""
    total = out.new_zeros(())
    for scale in range(2):
        if scale:
            out, truth = F.avg_pool2d(out, 2), F.avg_pool2d(truth, 2)
        side = min(FORM_PX, *(n - 1 for n in out.shape[2:]))  # of crops below 33 pixels it is smaller
        a, b = (F.avg_pool2d(moments(x), side, max(side // 2, 1)) for x in (out, truth))  # [N, 3, h, w]
        total = total + (a - b).abs().mean() / b[:, 2].mean().clamp(min=1e-6)
    return total


def moments(picture: Tensor) -> Tensor:
    """[N, 3, H, W] -> [N, 3, H - 1, W - 1]: gx^2 - gy^2, 2 gx gy, gx^2 + gy^2 of luma."""
    luma = picture.mean(dim=1, keepdim=True)
    gx, gy = luma[:, :, 1:, 1:] - luma[:, :, 1:, :-1], luma[:, :, 1:, 1:] - luma[:, :, :-1, 1:]
    return torch.cat([gx * gx - gy * gy, 2 * gx * gy, gx * gx + gy * gy], dim=1)


def grid_loss(out: Tensor) -> Tensor:
    """How far the 16 pixels of a cell differ in the mean over 8x8 cells: the grid that a pixel-shuffle leaves.
    out [N, 3, H, W], H and W multiples of 4."""
    cells = F.pixel_unshuffle(out, 4)  # [N, 48, H/4, W/4]
    cells = F.avg_pool2d(cells, GRID_CELLS, stride=GRID_CELLS // 2)  # [N, 48, h, w]
    cells = cells.unflatten(1, (3, 16))  # [N, 3, 16, h, w]
    return (cells - cells.mean(dim=2, keepdim=True)).square().mean()


def fine_loss(plain: Tensor) -> Tensor:
    """What of a picture [N, 3, H, W] a binomial blur of 3x3 pixels takes away: its mean square."""
    soft = F.pad(plain, (1, 1, 1, 1), mode="replicate")  # [N, 3, H + 2, W + 2]
    soft = (soft[..., :-2] + 2 * soft[..., 1:-1] + soft[..., 2:]) / 4  # [N, 3, H + 2, W]
    soft = (soft[:, :, :-2] + 2 * soft[:, :, 1:-1] + soft[:, :, 2:]) / 4  # [N, 3, H, W]
    return (plain - soft).square().mean()


def variation_loss(out: Tensor) -> Tensor:
    """Mean absolute difference of neighbours. out [N, 3, H, W]."""
    return (out[:, :, 1:] - out[:, :, :-1]).abs().mean() + (out[..., 1:] - out[..., :-1]).abs().mean()


def noisy(image: Tensor, by: Disturbance) -> Tensor:
    """image [N, 3, H, W] 0..1 with noise and grain."""
    most = round(by.noise)
    levels = torch.randint(-most, most + 1, image.shape) / 255  # [N, 3, H, W]
    levels = levels * (torch.rand(image.shape) < by.share) + film_grain(image.shape, by.grain)
    return image + levels.to(image.device)


def shifted(image: Tensor, by: Disturbance) -> tuple[Tensor, tuple[int, int]]:
    """image [N, 3, H, W] moved, and the pixels (down, right) that it was moved by; what came round the border is not to be
    compared."""
    down, right = (torch.randint(2 * by.shift + 1, (2,)) - by.shift).tolist()
    return torch.roll(image, (down, right), (2, 3)), (down, right)


def lit(image: Tensor, by: Disturbance) -> Tensor:
    """image [N, 3, H, W] 0..1 in another light, each its own."""
    gain, offset = 1 + by.light * (2 * torch.rand(2, len(image), 1, 1, 1) - 1)  # [N, 1, 1, 1] each
    return image * gain.to(image.device) + (offset - 1).to(image.device) / 2


def film_grain(shape: Sequence[int], most: float) -> Tensor:
    """Grain as scanned and compressed film has it: grey, one to about four pixels wide, of a deviation up to `most` levels,
    each picture's its own. shape: (N, 3, H, W) -> float32 [N, 1, H, W], in values of 0..1."""
    count, _, height, width = shape
    found = torch.randn(count, 1, height, width)
    for _ in range(int(torch.randint(3, ()))):
        found = F.avg_pool2d(found, 3, 1, 1)
    found = found / found.std(dim=(2, 3), keepdim=True).clamp(min=1e-6)
    return found * (most / 255 * torch.rand(count, 1, 1, 1))


def same_loss(plain: Tensor, other: Tensor, moved: tuple[int, int], aim: Tensor) -> Tensor:
    """How far the results of a picture and of the disturbed one [N, 3, H, W], which was moved by (down, right) pixels, differ:
    the squared shift, in square pixels, that would make as much of a difference in `aim` [N, 3, H, W], what they are to be as
    sharp as, the teacher's pictures (style_distances.jitter_px); mean over pictures. It is the published squared difference in
    units that are the same for a soft style and for one of hard lines. Over the results' own gradient a blur would gain
    nothing, but still texture, such as a grid, would be paid."""
    down, right = moved
    height, width = plain.shape[2] - abs(down), plain.shape[3] - abs(right)
    a = plain[:, :, max(-down, 0) : max(-down, 0) + height, max(-right, 0) : max(-right, 0) + width]
    b = other[:, :, max(down, 0) : max(down, 0) + height, max(right, 0) : max(right, 0) + width]
    steep = slope2(aim.detach()).clamp(min=LEAST_SLOPE2)  # [N]
    return (2 * (b - a).square().mean(dim=(1, 2, 3)) / steep).mean()


def slope2(picture: Tensor) -> Tensor:
    """[N, 3, H, W] -> [N]: mean squared gradient of values 0..1, per square pixel."""
    corner = picture[:, :, :-1, :-1]
    across, down = picture[:, :, :-1, 1:] - corner, picture[:, :, 1:, :-1] - corner
    return (across.square() + down.square()).mean(dim=(1, 2, 3))


def warped(image: Tensor, flow: Tensor) -> tuple[Tensor, Tensor]:
    """image [N, C, H, W] fetched at p + flow(p), flow [N, 2, H, W] in pixels (x, y); and where that lies within it
    [N, 1, H, W], 0 or 1."""
    height, width = image.shape[2:]
    y = torch.arange(height, device=image.device, dtype=image.dtype)[:, None] + flow[:, 1]  # [N, H, W]
    x = torch.arange(width, device=image.device, dtype=image.dtype) + flow[:, 0]  # [N, H, W]
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)  # [N, H, W]
    at = torch.stack([2 * x / (width - 1) - 1, 2 * y / (height - 1) - 1], dim=3)  # [N, H, W, 2]
    found = F.grid_sample(image, at, mode="bilinear", padding_mode="border", align_corners=True)  # [N, C, H, W]
    return found, inside[:, None].to(image.dtype)


def flow_loss(later: Tensor, earlier: Tensor, certain: Tensor) -> Tensor:
    """Mean squared difference of a result and the warped earlier one [N, 3, H, W], each pixel as certain [N, 1, H, W] 0..1."""
    return ((later - earlier).square() * certain).sum() / (3 * certain.sum()).clamp(min=1)


class Critic(nn.Module):
    """Tells a style's teacher pictures from the network's, patch by patch of 22 pixels; one output a style."""

    def __init__(self, styles: int, width: int = 32) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, width, 4, 2, 1), nn.LeakyReLU(0.2),
            nn.Conv2d(width, 2 * width, 4, 2, 1), nn.LeakyReLU(0.2),
            nn.Conv2d(2 * width, 2 * width, 3, 1, 1), nn.LeakyReLU(0.2),
            nn.Conv2d(2 * width, styles, 3, 1, 1))  # fmt: skip

    def forward(self, picture: Tensor, weights: Tensor) -> Tensor:
        """picture [N, 3, H, W], weights [N, S] -> [N, H/4, W/4], above 0 where it takes it for the teacher's."""
        return (self.layers(picture) * weights[:, :, None, None]).sum(dim=1)


def critic_loss(made: Tensor, real: Tensor) -> Tensor:
    """The critic's own: softplus (Goodfellow et al. 2014, in logits). [N, h, w] both."""
    return F.softplus(made).mean() + F.softplus(-real).mean()


def convincing_loss(made: Tensor) -> Tensor:
    """The network's: to be taken for the teacher (the non-saturating form). [N, h, w]."""
    return F.softplus(-made).mean()
