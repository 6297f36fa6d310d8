"""What is compared between a picture and a painting in the eyes of a network.

Gram matrices: Gatys, Ecker, Bethge 2016 (CVPR), equations 3 to 5. Sliced Wasserstein distance of features: Heitz et al. 2021
("A sliced Wasserstein loss for neural texture synthesis"), equation 6. Total variation: Mahendran and Vedaldi 2015, equation
with beta = 2, per pixel. Each is relative to the size of what is wanted, so that layers and networks weigh alike whatever
range their features have: 0 is equal, and about 1 is as far away as nothing at all.
"""

from __future__ import annotations

import torch
from torch import Tensor

TINY = 1e-12


def gram(features: Tensor, weight: Tensor | None = None) -> Tensor:
    """features [N, C, h, w] -> [N, C, C]: the mean over places of the products of channels. weight: [N or 1, 1, h, w], how
    much a place counts, 0 or more; where it is 0 everywhere the matrix is 0."""
    flat = features.flatten(2)  # [N, C, P]
    if weight is None:
        return flat @ flat.transpose(1, 2) / flat.shape[2]
    shares = weight.flatten(2)  # [N or 1, 1, P]
    return (flat * shares) @ flat.transpose(1, 2) / shares.sum(dim=2, keepdim=True).clamp_min(TINY)


def relative_error(made: Tensor, wanted: Tensor) -> Tensor:
    """Scalar: the squared difference, as a share of the squares of what is wanted. Both of one shape."""
    return (made - wanted).square().sum() / wanted.square().sum().clamp_min(TINY)


def content_loss(made: Tensor, wanted: Tensor) -> Tensor:
    """Scalar: the squared difference of features [N, C, h, w], as a share of how much the wanted ones vary over places."""
    varied = wanted - wanted.mean(dim=(2, 3), keepdim=True)
    return (made - wanted).square().sum() / varied.square().sum().clamp_min(TINY)


def directions_for(channels: int, count: int, chance: torch.Generator) -> Tensor:
    """float32 [C, count]: directions of length 1, evenly from all sides."""
    drawn = torch.randn(channels, count, generator=chance)
    return drawn / drawn.norm(dim=0, keepdim=True).clamp_min(TINY)


def sliced_wasserstein(made: Tensor, wanted: Tensor, directions: Tensor) -> Tensor:
    """Scalar: the sliced Wasserstein distance of order 2 between two clouds of features, made [P, C] and wanted [Q, C], as a
    share of the wanted cloud's mean square. directions: [C, D] of length 1.

    Clouds of different sizes are compared at the quantiles of the made one. Gradients flow into `made` alone.
    """
    seen = (made @ directions).sort(dim=0).values  # [P, D]
    with torch.no_grad():
        truth = quantiles((wanted @ directions).sort(dim=0).values, len(seen))  # [P, D]
        size = wanted.square().sum(dim=1).mean() / wanted.shape[1]  # of a coordinate: a direction sees one on the mean
    return (seen - truth).square().mean() / size.clamp_min(TINY)


def quantiles(ordered: Tensor, count: int) -> Tensor:
    """ordered [Q, D], rising -> [count, D]: its quantiles at (k + 0.5) / count, linear in between."""
    if len(ordered) == count:
        return ordered
    at = (torch.arange(count, device=ordered.device, dtype=ordered.dtype) + 0.5) / count * len(ordered) - 0.5
    at = at.clamp(0, len(ordered) - 1)
    low = at.floor().long()
    high = (low + 1).clamp_max(len(ordered) - 1)
    share = (at - low)[:, None]
    return ordered[low] * (1 - share) + ordered[high] * share


def total_variation(x: Tensor) -> Tensor:
    """Scalar: mean squared difference of neighbouring pixels of x [N, C, H, W], across and down."""
    return (x[..., :, 1:] - x[..., :, :-1]).square().mean() + (x[..., 1:, :] - x[..., :-1, :]).square().mean()


def out_of_range(x: Tensor) -> Tensor:
    """Scalar: mean squared distance of values from 0..1, so that an optimiser that knows no bounds stays within them."""
    return (x - x.clamp(0, 1)).square().mean()
