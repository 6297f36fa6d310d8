"""Networks that judge, small enough for tests, with random weights: what they see does not matter, only that they see."""

from __future__ import annotations

import numpy as np
import torch

from models.discriminator import Discriminator
from models.network_config import DiscriminatorConfig
from models.vgg import Vgg19, expected_shapes

SMALL = (4, 6, 8, 10, 12)  # widths of a VGG19 that tests can afford


def small_weights(seed: int = 0) -> dict[str, torch.Tensor]:
    """He-initialised weights of the small widths."""
    chance = torch.Generator().manual_seed(seed)
    return {name: torch.randn(shape, generator=chance) * ((2 / np.prod(shape[1:])) ** 0.5 if len(shape) > 1 else 0.1)
            for name, shape in expected_shapes(SMALL).items()}


def small_vgg(**more: object) -> Vgg19:
    return Vgg19(small_weights(), widths=SMALL, **more)  # type: ignore[arg-type]


def small_discriminator(channels: int = 3) -> Discriminator:
    """Of 16 x 16 pictures, the same every time."""
    torch.manual_seed(0)
    return Discriminator(DiscriminatorConfig(resolution=16, channels=channels, channel_base=64, channel_max=8))
