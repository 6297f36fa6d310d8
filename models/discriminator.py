"""The StyleGAN2 discriminator: residual blocks, minibatch standard deviation, dense end.

Source: Karras et al. 2020 (arXiv 1912.04958), figure 7 c; minibatch standard deviation: Karras et al. 2018, section 3.
State-dict names: bRES.{fromrgb,conv0,conv1}.{weight,bias}, bRES.skip.weight, mapping.* (conditional), b4.{conv,fc,out}.*
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.resample import conv_down, normalised_taps
from models.stylegan2 import FullyConnected, GeneratorConfig, activate, check_sizes, normalise


@dataclass(frozen=True)
class DiscriminatorConfig:
    """Sizes of a discriminator; the fields mean what they mean in GeneratorConfig. `group` = minibatch deviation group."""

    resolution: int = 64
    channels: int = 3
    c_dim: int = 0
    mapping_layers: int = 8
    channel_base: int = 32768
    channel_max: int = 512
    conv_clamp: float | None = None
    resample_filter: tuple[float, ...] = (1.0, 3.0, 3.0, 1.0)
    group: int = 4

    def __post_init__(self) -> None:
        check_sizes(self.resolution, self.channels, self.channel_base, self.channel_max)
        for name, low, high in (("c_dim", 0, 4096), ("mapping_layers", 1, 16), ("group", 1, 64)):
            value = getattr(self, name)
            if not isinstance(value, int) or not low <= value <= high:
                raise ValueError(f"{name} must be a whole number from {low} to {high}; given {value!r}")
        normalised_taps(self.resample_filter)

    def width(self, resolution: int) -> int:
        """Feature maps that enter the block at `resolution`."""
        return min(self.channel_base // resolution, self.channel_max)


def discriminator_config_for(config: GeneratorConfig) -> DiscriminatorConfig:
    """The discriminator that fits a generator: same pictures, same widths."""
    return DiscriminatorConfig(
        resolution=config.resolution,
        channels=config.channels,
        c_dim=config.c_dim,
        channel_base=config.channel_base,
        channel_max=config.channel_max,
        conv_clamp=config.conv_clamp,
        resample_filter=config.resample_filter,
    )


def minibatch_deviation(x: Tensor, group: int) -> Tensor:
    """x [N, C, H, W] -> [N, C + 1, H, W]: one more map with the mean deviation over a group of pictures.

    A group is strided (n, n + N/G, n + 2N/G, ...), its variance biased, eps 1e-8 inside the root. Raises ValueError
    where the batch does not divide into groups of G = min(group, N).
    """
    n, c, h, w = x.shape
    g = min(group, n)
    if n % g:
        raise ValueError(f"a batch of {n} does not divide into minibatch deviation groups of {g}")
    y = x.reshape(g, n // g, c, h, w)  # [G, N/G, C, H, W]
    y = (y - y.mean(dim=0)).square().mean(dim=0)  # [N/G, C, H, W]
    y = (y + 1e-8).sqrt().mean(dim=(1, 2, 3))  # [N/G]
    y = y.reshape(-1, 1, 1, 1).repeat(g, 1, h, w)  # [N, 1, H, W]
    return torch.cat([x, y], dim=1)  # [N, C + 1, H, W]


class Conv(nn.Module):
    """Convolution with equalised learning rate, optionally halving the size, optionally bias and leaky ReLU."""

    taps: Tensor

    def __init__(self, inputs: int, outputs: int, kernel: int, config: DiscriminatorConfig, *, down: bool = False,
                 linear: bool = False):  # fmt: skip
        super().__init__()
        self.down, self.linear, self.padding = down, linear, kernel // 2
        self.clamp = None if linear or config.conv_clamp is None else float(config.conv_clamp)
        self.weight_gain = 1 / math.sqrt(inputs * kernel * kernel)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))  # [O, I, K, K]
        self.bias = None if linear else nn.Parameter(torch.zeros(outputs))  # [O]
        self.register_buffer("taps", normalised_taps(config.resample_filter), persistent=False)  # [L]

    def forward(self, x: Tensor, gain: float = 1.0) -> Tensor:
        """x [N, I, H, W] -> [N, O, H, W], or half the size; `gain` scales the output."""
        if self.linear:
            weight = (self.weight * (self.weight_gain * gain)).to(x.dtype)  # [O, I, K, K]
        else:
            weight = (self.weight * self.weight_gain).to(x.dtype)  # [O, I, K, K]
        x = conv_down(x, weight, self.taps) if self.down else F.conv2d(x, weight, padding=self.padding)  # [N, O, H', W']
        return x if self.linear else activate(x, self.bias, gain, self.clamp)  # [N, O, H', W']


class Block(nn.Module):
    """Residual block at one resolution: (skip + conv1(conv0(x))) / sqrt(2), half the size."""

    def __init__(self, resolution: int, config: DiscriminatorConfig):
        super().__init__()
        width, after = config.width(resolution), config.width(resolution // 2)
        self.compute_dtype = torch.float32
        self.fromrgb = Conv(config.channels, width, 1, config) if resolution == config.resolution else None
        self.conv0 = Conv(width, width, 3, config)
        self.conv1 = Conv(width, after, 3, config, down=True)
        self.skip = Conv(width, after, 1, config, down=True, linear=True)

    def forward(self, x: Tensor) -> Tensor:
        """x [N, C or picture channels, H, W] -> [N, C', H/2, W/2]."""
        x = x.to(self.compute_dtype)
        if self.fromrgb is not None:
            x = self.fromrgb(x)  # [N, C, H, W]
        side = self.skip(x, gain=math.sqrt(0.5))  # [N, C', H/2, W/2]
        x = self.conv1(self.conv0(x), gain=math.sqrt(0.5))  # [N, C', H/2, W/2]
        return side + x  # [N, C', H/2, W/2]


class End(nn.Module):
    """4x4 features -> logits, always float32."""

    def __init__(self, config: DiscriminatorConfig):
        super().__init__()
        width = config.width(4)
        self.group = config.group
        self.conv = Conv(width + 1, width, 3, config)
        self.fc = FullyConnected(width * 16, width, activation=True)
        self.out = FullyConnected(width, width if config.c_dim else 1)

    def forward(self, x: Tensor, label: Tensor | None) -> Tensor:
        """x [N, C, 4, 4], label [N, C] (normalised embedding) or None -> logits [N, 1]."""
        x = self.conv(minibatch_deviation(x.float(), self.group))  # [N, C, 4, 4]
        x = self.out(self.fc(x.flatten(1)))  # [N, C or 1]
        if label is None:
            return x  # [N, 1]
        return (x * label).sum(dim=1, keepdim=True) / math.sqrt(label.shape[1])  # [N, 1], projection discriminator


class LabelMapping(nn.Module):
    """Condition c -> the vector that the logits are projected on."""

    def __init__(self, config: DiscriminatorConfig):
        super().__init__()
        width = config.width(4)
        self.layers = config.mapping_layers
        self.embed = FullyConnected(config.c_dim, width)
        for i in range(self.layers):
            self.add_module(f"fc{i}", FullyConnected(width, width, activation=True, lr_mul=0.01))

    def forward(self, c: Tensor) -> Tensor:
        """c [N, c_dim] -> [N, C]."""
        x = normalise(self.embed(c))  # [N, C]
        for i in range(self.layers):
            x = self.get_submodule(f"fc{i}")(x)  # [N, C]
        return x


class Discriminator(nn.Module):
    """Picture -> logit; positive = looks like the film."""

    def __init__(self, config: DiscriminatorConfig | GeneratorConfig):
        super().__init__()
        self.config = discriminator_config_for(config) if isinstance(config, GeneratorConfig) else config
        self.resolutions = [2**k for k in range(int(math.log2(self.config.resolution)), 2, -1)]  # R, R/2, ..., 8
        for res in self.resolutions:
            self.add_module(f"b{res}", Block(res, self.config))
        if self.config.c_dim:
            self.mapping = LabelMapping(self.config)
        self.b4 = End(self.config)

    def set_compute(self, dtype: torch.dtype = torch.float32, from_resolution: int = 8) -> None:
        """Activations of the blocks from `from_resolution` up in `dtype`; the end stays float32."""
        for res in self.resolutions:
            self.get_submodule(f"b{res}").compute_dtype = dtype if res >= from_resolution else torch.float32  # type: ignore[assignment]

    def features(self, image: Tensor) -> list[Tensor]:
        """image [N, C, H, W] -> outputs of the blocks, finest first: [N, C', H/2, W/2], ..., [N, C'', 4, 4]."""
        maps = []
        x = image
        for res in self.resolutions:
            x = self.get_submodule(f"b{res}")(x)
            maps.append(x)
        return maps

    def logits(self, features: list[Tensor], c: Tensor | None = None) -> Tensor:
        """Block outputs (and c [N, c_dim]) -> logits [N, 1]."""
        label = None
        if self.config.c_dim:
            if c is None:
                raise ValueError(f"this discriminator is conditional: c [N, {self.config.c_dim}] is needed")
            label = self.mapping(c)  # [N, C]
        return self.b4(features[-1], label)  # [N, 1]

    def forward(self, image: Tensor, c: Tensor | None = None) -> Tensor:
        """image [N, C, H, W] in -1..1, c [N, c_dim] -> logits [N, 1]."""
        return self.logits(self.features(image), c)
