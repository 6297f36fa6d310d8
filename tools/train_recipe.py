"""The numbers of one training iteration, and the optimisers that go with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.discriminator import Discriminator


@dataclass(frozen=True)
class Recipe:
    """How one iteration is made up. Batches in pictures (of all processes together), intervals in adversarial turns,
    weights of the losses. Fields that only anchored training knows are marked."""

    batch: int = 16  # pictures from z; anchored: anchored frames
    per_pass: int = 0  # pictures that go through the networks together; 0 = the whole batch of a process
    z_batch: int = 4  # anchored: pictures from z beside the anchored ones
    adversarial_every: int = 1  # anchored: iterations; the others reconstruct only; 0 = never
    lr: float = 0.0025
    judge_lr: float = 0.0025
    code_lr: float = 0.01  # anchored
    mapping_lr: float = 0.0025
    mapping_beta1: float = 0.0
    beta1: float = 0.0
    r1_gamma: float = 1.0
    r1_interval: int = 16
    path_weight: float = 2.0
    path_interval: int = 4
    style_mixing: float = 0.9  # probability that a pass mixes two latents at a random layer; anchored: none
    ema_kimg: float = 5.0
    ema_rampup: float = 0.05  # the half-life is at most this share of the pictures so far; 0 = no ramp-up
    augment_p: float = 0.0  # probability of each augmentation at the start ("fixed": for good)
    augment_target: float | None = None  # ADA: the mean sign of D(real) aimed at; None = p stays as it is
    augment_kimg: float = 500.0  # ADA: pictures in which p can go from 0 to 1
    augment_interval: int = 4
    mirror: bool = False
    adversarial_weight: float = 1.0
    reconstruction_weight: float = 10.0  # anchored, as all below
    anchor_noise: float = 0.5  # probability that an anchored picture is made with fresh noise
    feature_weight: float = 1.0
    smooth_weight: float = 1.0
    mapping_weight: float = 1.0
    mapping_steps: int = 6  # of the mapping an iteration


def lazy_adam(weights: Sequence[nn.Parameter], lr: float, beta1: float, interval: int) -> torch.optim.Adam:
    """Adam for a loss with a lazily regularised part: lr and betas corrected by interval / (interval + 1)."""
    ratio = interval / (interval + 1) if interval else 1.0
    betas = (float(beta1**ratio) if beta1 else 0.0, 0.99**ratio)
    return torch.optim.Adam(weights, lr=lr * ratio, betas=betas, eps=1e-8, fused=True)


def judge_layers(discriminator: Discriminator) -> list[nn.Module]:
    """The discriminator's layers from the picture on, as freeze-D counts them: fromrgb, conv0, conv1, skip a block."""
    layers: list[nn.Module] = []
    for res in discriminator.resolutions:
        block = discriminator.get_submodule(f"b{res}")
        layers += [m for m in (getattr(block, name) for name in ("fromrgb", "conv0", "conv1", "skip")) if m is not None]
    return layers


@torch.no_grad()
def mend(gradients: Sequence[Tensor]) -> None:
    """Values that are not finite become 0, as in the reference implementation; nothing is read back from a GPU."""
    if not gradients:
        return
    if gradients[0].device.type == "cpu":
        sizes = torch._foreach_norm(list(gradients))
        if torch.isfinite(torch.stack(sizes)).all():
            return
    for gradient in gradients:
        torch.nan_to_num(gradient, nan=0.0, posinf=0.0, neginf=0.0, out=gradient)
