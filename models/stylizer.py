"""Feed-forward stylizers: a picture in, the picture in a style out, in one pass; up to 32 styles in one network.

Sources: Johnson, Alahi, Fei-Fei 2016, "Perceptual Losses for Real-Time Style Transfer" (arXiv 1603.08155) and its supplement
for the residual network; Odena et al. 2016, "Deconvolution and Checkerboard Artifacts", for nearest-upsample convolutions in
place of transposed ones; Dumoulin, Shlens, Kudlur 2016, "A Learned Representation for Artistic Style" (arXiv 1610.07629), for
conditional instance normalisation; Shi et al. 2016 (arXiv 1609.05158) for sub-pixel convolution, Aitken et al. 2017
(arXiv 1707.02937) for its start without a checkerboard; Ruder, Dosovitskiy, Brox 2017 (arXiv 1708.04538) for the recurrent
input.

The canvas is ours: a network that is the same everywhere gives an even wall an even colour, however it is trained, for nothing
tells one place of it from another, and a small one draws no fine line anywhere. So strokes are kept as they are: patterns, each
in a few directions of which those show that the film's forms run in (models/stylizer_form.py), learnt along; the network
says place by place which pattern shows, in which colour and how broad. They lie still under the film like a canvas, and
its grain does not move them.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.stylizer_form import DIRECTIONS, shares_of

Architecture = Literal["student", "johnson"]
Normalisation = Literal["instance", "affine"]
ARCHITECTURES: tuple[str, ...] = get_args(Architecture)
NORMS: tuple[str, ...] = get_args(Normalisation)
MOST_STYLES = 32
NAME = r"[A-Za-z0-9_.-]{1,64}"  # of a style
BORDER_PX = 16  # of edge pixels round a picture: the convolutions' zero padding falls there and is cut away with it
BARE_BORDER_PX = 48  # of a student without a canvas, which draws ripples round every edge that it can find
UNIT_PX = 4  # both architectures work at a quarter of the size
CANVAS_CELLS = 64  # side of the canvas, in cells of 4 pixels; then it repeats
ALONG_PX, ACROSS_PX = 8.0, 1.5  # sigma of the canvas's strokes
EPSILON = 1e-5


@dataclass(frozen=True)
class StylizerConfig:
    """What a stylizer is made of.

    architecture: "student" works at a quarter of the size by pixel-unshuffle 4 (2 GFLOP at 640x480 with width 16 and 8 blocks),
    "johnson" is the classic network (width 32, 5 blocks). width: feature maps of the student, of the first layer of johnson.
    blocks: residual blocks. styles: their names, 1 to 32. norm: "instance" takes mean and variance from the picture, "affine"
    has a fixed affine in its place, so that no picture changes another's tones. recurrent: takes the warped previous
    output and its certainty as well. canvas: patterns of strokes, 0 for none. Raises ValueError for what cannot be built.
    """

    architecture: Architecture = "student"
    width: int = 16
    blocks: int = 8
    styles: tuple[str, ...] = ("style",)
    norm: Normalisation = "affine"
    recurrent: bool = False
    canvas: int = 1

    def __post_init__(self) -> None:
        for name, value, known in (("architecture", self.architecture, ARCHITECTURES), ("norm", self.norm, NORMS)):
            if value not in known:
                raise ValueError(f"{name} must be {' or '.join(known)}; given {value!r}")
        for name, low, high in (("width", 1, 256), ("blocks", 1, 32), ("canvas", 0, 16)):
            whole = getattr(self, name)
            if not isinstance(whole, int) or isinstance(whole, bool) or not low <= whole <= high:
                raise ValueError(f"{name} must be a whole number from {low} to {high}; given {whole!r}")
        if not isinstance(self.recurrent, bool):
            raise ValueError(f"recurrent must be true or false; given {self.recurrent!r}")
        if not 1 <= len(self.styles) <= MOST_STYLES or len(set(self.styles)) != len(self.styles):
            raise ValueError(f"styles must be 1 to {MOST_STYLES} different names; given {len(self.styles)}: {self.styles!r}")
        for style in self.styles:
            if not isinstance(style, str) or not re.fullmatch(NAME, style):
                raise ValueError(f"styles must be 1 to 64 letters, digits and _ . - (they stand in addresses); given {style!r}")

    @property
    def border_px(self) -> int:
        """Of edge pixels round a picture in evaluation: a multiple of 4."""
        return BORDER_PX if self.canvas or self.architecture == "johnson" else BARE_BORDER_PX

    @property
    def inputs(self) -> int:
        """Channels that go in: the picture, and where recurrent the previous output and its certainty."""
        return 7 if self.recurrent else 3


class StyleNorm(nn.Module):
    """Normalisation with one gain and one offset a style and channel: gamma (x - mean) / sqrt(var + 1e-5) + beta,
    gamma = weights @ gammas, beta = weights @ betas (Dumoulin et al. 2016, equation 5).

    instance: mean and variance over the picture. affine: fixed ones, 0 and 1 where nothing else was measured: no picture
    changes another's tones, a crop is painted as the whole frame is, and it folds into the convolution before it.
    """

    mean: Tensor
    var: Tensor

    def __init__(self, channels: int, styles: int, norm: Normalisation):
        super().__init__()
        self.fixed = norm == "affine"
        self.gammas = nn.Parameter(torch.ones(styles, channels))  # [S, C]
        self.betas = nn.Parameter(torch.zeros(styles, channels))  # [S, C]
        if self.fixed:
            self.register_buffer("mean", torch.zeros(channels))  # [C]
            self.register_buffer("var", torch.ones(channels))  # [C]

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        """x [N, C, H, W], weights [N, S] -> [N, C, H, W]."""
        if self.fixed:
            x = F.batch_norm(x, self.mean, self.var, training=False, eps=EPSILON)  # [N, C, H, W]
        else:
            x = F.instance_norm(x, eps=EPSILON)  # [N, C, H, W]
        gamma, beta = weights @ self.gammas, weights @ self.betas  # [N, C]
        return x * gamma[:, :, None, None] + beta[:, :, None, None]  # [N, C, H, W]


class StyledConv(nn.Module):
    """Convolution, style normalisation, and ReLU where `active`. Zero padding; stride 1 or 2; nearest upsampling before it
    where `up`."""

    def __init__(self, inputs: int, outputs: int, kernel: int, config: StylizerConfig, *, stride: int = 1, up: bool = False,
                 active: bool = True):  # fmt: skip
        super().__init__()
        self.up, self.active = up, active
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2)
        self.norm = StyleNorm(outputs, len(config.styles), config.norm)

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        """x [N, I, H, W], weights [N, S] -> [N, O, H', W']."""
        if self.up:
            x = F.interpolate(x, scale_factor=2.0, mode="nearest")  # [N, I, 2H, 2W]
        x = self.norm(self.conv(x), weights)  # [N, O, H', W']
        return F.relu(x) if self.active else x


class Residual(nn.Module):
    """x + second(first(x)); no ReLU after the sum."""

    def __init__(self, width: int, config: StylizerConfig):
        super().__init__()
        self.first = StyledConv(width, width, 3, config)
        self.second = StyledConv(width, width, 3, config, active=False)

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        """x [N, C, H, W], weights [N, S] -> [N, C, H, W]."""
        return x + self.second(self.first(x, weights), weights)  # [N, C, H, W]


class Stylizer(nn.Module):
    """The network of a StylizerConfig. Layers in order: `down` (StyledConv), `blocks` (Residual), then side by side `up`
    (StyledConv, johnson only) with `last` (a plain convolution), and `brush` (StyledConv, always affine) that lays on the
    canvas; a gain and an offset a style and colour (`gains`, `offsets` [S, 3])."""

    def __init__(self, config: StylizerConfig):
        super().__init__()
        self.config = config
        self.phases: tuple[tuple[int, int], ...] = ((0, 0),)  # in training
        width, styles = config.width, len(config.styles)
        if config.architecture == "student":
            down = [StyledConv(config.inputs * UNIT_PX**2, width, 3, config)]
            middle, up = width, list[StyledConv]()
            self.last = nn.Conv2d(width, 3 * UNIT_PX**2, 3, padding=1)
        else:
            down = [StyledConv(config.inputs, width, 9, config), StyledConv(width, 2 * width, 3, config, stride=2),
                    StyledConv(2 * width, 4 * width, 3, config, stride=2)]  # fmt: skip
            middle = 4 * width
            up = [StyledConv(4 * width, 2 * width, 3, config, up=True), StyledConv(2 * width, width, 3, config, up=True)]
            self.last = nn.Conv2d(width, 3, 9, padding=4)
        if config.canvas:
            planes = drawn(config.canvas)  # [1, K D, 256, 256]
            self.canvas = nn.Parameter(F.pixel_unshuffle(planes, UNIT_PX))  # [1, 16 D K, P, P]
        # How strongly each pattern of the canvas shows in each colour, and how broad its strokes are.
        fixed = replace(config, norm="affine")
        self.brush = StyledConv(middle, 4 * config.canvas, 3, fixed, active=False) if config.canvas else None
        self.down = nn.ModuleList(down)
        self.blocks = nn.ModuleList(Residual(middle, config) for _ in range(config.blocks))
        self.up = nn.ModuleList(up)
        self.gains = nn.Parameter(torch.ones(styles, 3))  # [S, 3]
        self.offsets = nn.Parameter(torch.full((styles, 3), 0.5))  # [S, 3]
        self.reset()

    @torch.no_grad()
    def reset(self) -> None:
        """Start the last layer small, and in the student equal over the 16 pixels of a cell (Aitken et al. 2017)."""
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]
        self.last.weight.mul_(0.1)
        if self.config.norm == "affine":
            for module in self.modules():
                if isinstance(module, StyledConv):
                    nn.init.kaiming_normal_(module.conv.weight, nonlinearity="relu")
            for block in self.blocks:
                assert isinstance(block, Residual)
                nn.init.constant_(block.second.norm.gammas, 0.3)
        if self.brush is not None:
            nn.init.zeros_(self.brush.conv.weight)
            nn.init.zeros_(self.brush.conv.bias)  # type: ignore[arg-type]
        if self.config.architecture == "student":
            one = self.last.weight[:: UNIT_PX**2]  # [3, C, 3, 3]
            self.last.weight.copy_(one.repeat_interleave(UNIT_PX**2, dim=0))

    def forward(self, image: Tensor, weights: Tensor, previous: Tensor | None = None,
                certainty: Tensor | None = None, shares: Tensor | None = None) -> Tensor:  # fmt: skip
        """image float32 [N, 3, H, W] 0..1, weights float32 [N, S] (the share of each style; 1 in all is one style's strength)
        -> [N, 3, H, W]: in evaluation clipped to 0..1, in training not, so that what is outside can learn. shares: of the
        directions of strokes (`shares`) where they are not to be the picture's own, in training.

        Recurrent: previous [N, 3, H, W] 0..1, the last output warped to this picture, and certainty [N, 1, H, W] 0..1, where
        that is to be trusted; both 0 where left out. Any size; in evaluation with border_px of edge pixels round it.
        """
        height, width = image.shape[2], image.shape[3]
        x = image - 0.5  # [N, 3, H, W]
        if self.config.recurrent:
            sure = torch.zeros_like(image[:, :1]) if certainty is None else certainty  # [N, 1, H, W]
            before = torch.zeros_like(image) if previous is None else (previous - 0.5) * sure  # [N, 3, H, W]
            x = torch.cat([x, before, sure], dim=1)  # [N, 7, H, W]
        border = 0 if self.training else self.config.border_px
        # Replicated past the border up to the next multiple of 4; the amounts are traced where the size is left open.
        right, below = border + (-width) % UNIT_PX, border + (-height) % UNIT_PX
        x = F.pad(x, (border, right, border, below), mode="replicate")  # [N, I, H', W']
        patterns = None
        if self.brush is not None:
            patterns = self.patterns(self.shares(x) if shares is None else shares)  # [N, K, 16, H'/4, W'/4]
        x = self.picture(self.features(x, weights), weights, patterns)  # [N, 3, H', W']
        x = x[:, :, border : border + height, border : border + width]  # [N, 3, H, W]
        return x if self.training else x.clamp(0, 1)

    def features(self, x: Tensor, weights: Tensor) -> Tensor:
        """x [N, inputs, H, W], H and W multiples of 4 -> what the residual blocks leave [N, C, H/4, W/4]."""
        if self.config.architecture == "student":
            x = F.pixel_unshuffle(x, UNIT_PX)  # [N, 16 I, H/4, W/4]
        for layer in (*self.down, *self.blocks):
            x = layer(x, weights)  # [N, C, H/4, W/4] in the end
        return x

    def shares(self, x: Tensor) -> Tensor:
        """How much each direction of strokes shows [N, D, H/4, W/4], of what goes in [N, inputs, H, W]."""
        return shares_of(F.avg_pool2d(x[:, :3].mean(dim=1, keepdim=True), UNIT_PX))

    def patterns(self, shares: Tensor) -> Tensor:
        """The canvas's patterns as forms run: shares [N, D, H/4, W/4] -> [N, K, 16, H/4, W/4]."""
        laid = self.canvas_for(shares).unflatten(1, (self.config.canvas, DIRECTIONS, UNIT_PX**2))  # [1 or N, K, D, 16, h, w]
        return (laid * shares[:, None, :, None]).sum(dim=2)

    def painted(self, x: Tensor, weights: Tensor, patterns: Tensor) -> Tensor:
        """Patterns [N, K, 16, H/4, W/4] as x [N, C, H/4, W/4] says: [N, 48, H/4, W/4]. A pattern's strokes are where it lies
        above a level; level and amount change slowly from cell to cell, so that edges are the canvas's and not of cells."""
        assert self.brush is not None
        k = self.config.canvas
        chosen = F.avg_pool2d(self.brush(x, weights), 3, stride=1, padding=1, count_include_pad=False)  # [N, 4 K, H/4, W/4]
        level = chosen[:, :k].unflatten(1, (k, 1, 1))  # [N, K, 1, 1, H/4, W/4]
        amount = chosen[:, k:].unflatten(1, (k, 3, 1))  # [N, K, 3, 1, H/4, W/4]
        return (amount * (patterns[:, :, None] + level).clamp(-1, 1)).sum(dim=1).flatten(1, 2)  # [N, 48, H/4, W/4]

    def canvas_for(self, x: Tensor) -> Tensor:
        """The canvas under pictures of x's size [1 or N, 16 K, H/4, W/4]: in evaluation with its corner at the picture's, so
        that it is the same for every frame; in training where `phases` say: cells (down, right) at the corner of all
        crops, or of each."""
        p, border = CANVAS_CELLS, self.config.border_px // UNIT_PX
        parts = []
        for down, right in self.phases if self.training else ((p - border, p - border),):
            rows = (torch.arange(x.shape[2], device=x.device) + down) % p  # [H/4]
            columns = (torch.arange(x.shape[3], device=x.device) + right) % p  # [W/4]
            parts.append(self.canvas[:, :, rows][:, :, :, columns])  # [1, 16 K, H/4, W/4]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def picture(self, x: Tensor, weights: Tensor, patterns: Tensor | None = None) -> Tensor:
        """x [N, C, H/4, W/4], patterns [N, K, 16, H/4, W/4] -> [N, 3, H, W], not clipped."""
        strokes = None if patterns is None else self.painted(x, weights, patterns)  # [N, 48, H/4, W/4]
        for layer in self.up:
            x = layer(x, weights)  # [N, width, H, W] in the end
        x = self.last(x)  # [N, 48, H/4, W/4] or [N, 3, H, W]
        gain, offset = weights @ self.gains, weights @ self.offsets  # [N, 3]
        if self.config.architecture == "student":
            x = F.pixel_shuffle(x if strokes is None else x + strokes, UNIT_PX)  # [N, 3, H, W]
        elif strokes is not None:
            x = x + F.pixel_shuffle(strokes, UNIT_PX)
        return x * gain[:, :, None, None] + offset[:, :, None, None]  # [N, 3, H, W]

    def style_parameters(self) -> list[nn.Parameter]:
        """What belongs to the styles: gains and offsets of every normalisation and of the colours."""
        norms = [m for m in self.modules() if isinstance(m, StyleNorm)]
        return [p for m in norms for p in (m.gammas, m.betas)] + [self.gains, self.offsets]


def drawn(patterns: int) -> Tensor:
    """A canvas before training: float32 [1, patterns * DIRECTIONS, 256, 256], noise of mean 0 and deviation 1 without a seam
    where it repeats, drawn out in every direction; of one pattern it is the same noise, so that strokes that turn go over into
    each other. By a fixed seed."""
    side = CANVAS_CELLS * UNIT_PX
    with torch.device("cpu"):
        noise = torch.randn(patterns, side, side, generator=torch.Generator().manual_seed(patterns))
        made = [blurred(noise[p], ALONG_PX, ACROSS_PX, math.pi * k / DIRECTIONS)
                for p in range(patterns) for k in range(DIRECTIONS)]  # fmt: skip
        return torch.stack([(p - p.mean()) / p.std() for p in made])[None]


def blurred(plane: Tensor, along_px: float, across_px: float, angle: float) -> Tensor:
    """A Gaussian blur of a plane [P, P] that repeats, its long axis turned by `angle` radians."""
    waves = torch.fft.fftfreq(len(plane)) * 2 * math.pi  # radians a pixel
    along = waves[None] * math.cos(angle) + waves[:, None] * math.sin(angle)  # [P, P]
    across = waves[:, None] * math.cos(angle) - waves[None] * math.sin(angle)  # [P, P]
    gauss = torch.exp(-0.5 * ((along * along_px) ** 2 + (across * across_px) ** 2))  # a Gaussian's transform
    return torch.fft.ifft2(torch.fft.fft2(plane) * gauss).real  # [P, P]


def operations(config: StylizerConfig, height: int, width: int) -> int:
    """Floating-point operations of the convolutions on one picture, a multiplication and an addition as two; without the
    border."""
    total = 0

    def count(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        assert isinstance(layer, nn.Conv2d)
        total += 2 * output.numel() * layer.in_channels * layer.kernel_size[0] * layer.kernel_size[1]

    with torch.device("meta"):  # shapes only
        net = Stylizer(config).to("meta").train()
        for layer in net.modules():
            if isinstance(layer, nn.Conv2d):
                layer.register_forward_hook(count)
        net(torch.empty(1, 3, height, width), torch.empty(1, len(config.styles)))
    return total


def parameter_count(net: nn.Module) -> int:
    """Of everything that is learnt."""
    return sum(p.numel() for p in net.parameters())
