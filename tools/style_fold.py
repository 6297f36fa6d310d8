"""Instance normalisation of a trained stylizer folded into constants that are measured over frames of a film.

Instance normalisation takes the mean and variance of every map from the picture itself, so that a lamp that goes on somewhere
changes the strokes everywhere. Folded, each style has the mean and variance that the film's frames have as a rule, and what the
network does to a place follows from that place's surroundings alone.

The layers are folded in order, each measured behind those that are folded already: what one layer's constants do to a picture,
the next one's are measured with.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from models.stylizer import EPSILON, StyledConv, StyleNorm, Stylizer

Pixels = npt.NDArray[np.uint8]


class _Reached(Exception):
    """The layer that is measured has run: the rest of the network need not."""


def styled_layers(net: Stylizer) -> list[StyledConv]:
    """Every layer with a style's normalisation, in the order in which they run."""
    return [m for part in (net.down, net.blocks, net.up) for m in part.modules() if isinstance(m, StyledConv)]


@torch.no_grad()
def folded(net: Stylizer, frames: Sequence[Pixels], tick: Callable[[int], object] = lambda done: None) -> Stylizer:
    """A network with norm "affine" that does on pictures like `frames` (uint8 [H, W, 3] of one film, at least one) what `net`,
    with norm "instance", does. tick: told how many of its layers are folded. Raises ValueError for a network without instance
    normalisation, or no frame."""
    if net.config.norm != "instance" or not frames:
        raise ValueError("a network with instance normalisation, and a frame to measure it on")
    work = copy.deepcopy(net).eval()
    pictures = [as_tensor(f) for f in frames]
    layers = styled_layers(work)
    for done, layer in enumerate(layers):
        means, variances = zip(*(measured(work, layer, pictures, s) for s in range(len(net.config.styles))), strict=True)
        layer.norm = constant_norm(layer.norm, torch.stack(means), torch.stack(variances))
        tick(done + 1)
    out = Stylizer(replace(net.config, norm="affine"))
    out.load_state_dict(work.state_dict())
    return out.eval().requires_grad_(False)


def measured(net: Stylizer, layer: StyledConv, pictures: Sequence[Tensor], style: int) -> tuple[Tensor, Tensor]:
    """(mean, variance) [C] of a layer's convolution in one style, over all pictures together. (The mean of each picture's own
    variance in its place leaves out how the pictures differ in tone: tried, and half as far again from the network's pictures.)
    """
    weights = nn.functional.one_hot(torch.tensor([style]), len(net.config.styles)).float()  # [1, S]
    sums: list[tuple[Tensor, Tensor]] = []

    def see(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        var, mean = torch.var_mean(output[0].double(), dim=(1, 2), correction=0)  # [C]
        sums.append((mean, var + mean.square()))
        raise _Reached

    handle = layer.conv.register_forward_hook(see)
    try:
        for picture in pictures:
            with contextlib.suppress(_Reached):
                net(picture, weights)
    finally:
        handle.remove()
    mean, square = (torch.stack(values).mean(dim=0) for values in zip(*sums, strict=True))
    return mean, (square - mean.square()).clamp_min(0)


def constant_norm(norm: StyleNorm, means: Tensor, variances: Tensor) -> StyleNorm:
    """A fixed normalisation that does in style s what `norm` does where the maps have means[s] and variances[s] [S, C].

    The deviations and means differ by style, and those of a fixed normalisation do not: they go into its gains and offsets, and
    its own are 0 and 1.
    """
    styles, channels = norm.gammas.shape
    out = StyleNorm(channels, styles, "affine")
    deviations = (variances + EPSILON).sqrt()  # [S, C]
    out.gammas.copy_((norm.gammas.double() / deviations).float())
    out.betas.copy_((norm.betas.double() - norm.gammas.double() * means / deviations).float())
    out.var.fill_(1 - EPSILON)
    return out.eval()


@torch.no_grad()
def difference(net: Stylizer, other: Stylizer, frames: Sequence[Pixels]) -> list[float]:
    """Mean difference of two networks' pictures in levels of 255, one number a style."""
    found = []
    for style in range(len(net.config.styles)):
        weights = nn.functional.one_hot(torch.tensor([style]), len(net.config.styles)).float()
        apart = [float((net(p, weights) - other(p, weights)).abs().mean()) for p in map(as_tensor, frames)]
        found.append(255 * sum(apart) / len(apart))
    return found


def as_tensor(picture: Pixels) -> Tensor:
    """uint8 [H, W, 3] -> float32 [1, 3, H, W], 0..1."""
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1))).float()[None] / 255
