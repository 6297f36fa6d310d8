"""VGG19's convolutions, frozen, from tensors named as torchvision names them.

Source: Simonyan and Zisserman 2015 (arXiv 1409.1556), table 1, configuration E. A published file holds one flat state dict:
features.0.weight [64, 3, 3, 3] ... features.34.bias [512], and the classifier, which is not looked at. Input is RGB in 0..1,
normalised with ImageNet's mean and deviation. Conversions of the authors' own Caffe weights want BGR in 0..255 instead and are
told apart only by their hash.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTHS = (64, 128, 256, 512, 512)  # of the five stages
DEPTHS = (2, 2, 4, 4, 4)  # convolutions of each
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# The published file is called vgg19-dcbb9e9d.pth: by torchvision's convention the digits begin its SHA-256.
PUBLISHED_SHA256_BEGINS = "dcbb9e9d"
CLASSIFIER = re.compile(r"classifier\.[036]\.(weight|bias)")
Pooling = Literal["max", "average"]


class VggError(ValueError):
    """Weights that are not VGG19's; the message is a sentence without a subject: "lacks features.0.weight"."""


def convolutions(widths: Sequence[int] = WIDTHS) -> list[tuple[str, int, int, int]]:
    """(name, index in torchvision's `features`, inputs, outputs) of the sixteen convolutions: ("1_1", 0, 3, 64), ..."""
    found, index, inputs = [], 0, 3
    for stage, (width, depth) in enumerate(zip(widths, DEPTHS, strict=True), 1):
        for number in range(1, depth + 1):
            found.append((f"{stage}_{number}", index, inputs, width))
            index, inputs = index + 2, width  # a convolution and its ReLU
        index += 1  # the pooling
    return found


def layer_names() -> tuple[str, ...]:
    """conv1_1, relu1_1, conv1_2, ... relu5_4: all layers that can be named, finest first."""
    return tuple(f"{kind}{name}" for name, _, _, _ in convolutions() for kind in ("conv", "relu"))


def expected_shapes(widths: Sequence[int] = WIDTHS) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor that a file must hold."""
    shapes: dict[str, tuple[int, ...]] = {}
    for _, index, inputs, outputs in convolutions(widths):
        shapes[f"features.{index}.weight"] = (outputs, inputs, 3, 3)
        shapes[f"features.{index}.bias"] = (outputs,)
    return shapes


def check_names(shapes: Mapping[str, tuple[int, ...]], widths: Sequence[int] = WIDTHS) -> None:
    """Raises VggError unless a file's tensors are exactly VGG19's convolutions, with or without the classifier."""
    expected = expected_shapes(widths)
    if missing := [name for name in expected if name not in shapes]:
        others = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise VggError(f"lacks {missing[0]}{others}")
    if extra := sorted(name for name in shapes if name not in expected and not CLASSIFIER.fullmatch(name)):
        raise VggError(f"holds {len(extra)} tensors that VGG19 has not, the first is {extra[0]}")
    for name, shape in expected.items():
        if tuple(shapes[name]) != shape:
            raise VggError(f"has {name} of {list(shapes[name])} where VGG19 has {list(shape)}")


class Vgg19(nn.Module):
    """The convolutions of VGG19. weights: as expected_shapes says, float; any more tensors are not looked at.

    pooling: "max" as it was trained; "average", which Gatys et al. 2016 found to give smoother pictures. Raises VggError where
    a tensor is missing, has another shape, or is not finite.
    """

    def __init__(self, weights: Mapping[str, Tensor], pooling: Pooling = "max", widths: Sequence[int] = WIDTHS):
        super().__init__()
        self.pooling = pooling
        self.order = convolutions(widths)
        for name, shape in expected_shapes(widths).items():
            value = weights.get(name)
            if value is None:
                raise VggError(f"lacks {name}")
            if tuple(value.shape) != shape:
                raise VggError(f"has {name} of {list(value.shape)} where VGG19 has {list(shape)}")
            value = value.detach().float().contiguous().clone()
            if not torch.isfinite(value).all():
                raise VggError(f"holds values in {name} that are not finite")
            self.register_buffer(name.replace(".", "_"), value)
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))
        self.register_buffer("deviation", torch.tensor(DEVIATION).view(1, 3, 1, 1))

    def features(self, image: Tensor, layers: Collection[str]) -> dict[str, Tensor]:
        """image [N, 3, H, W] RGB 0..1 -> {layer: [N, C, h, w]} for names of `layer_names()`; h = H / 2^(stage - 1), rounded
        down. Nothing behind the last of them is computed. Raises ValueError for an unknown name, or a picture that is too
        small to reach it."""
        left = set(layers)
        if unknown := left - set(layer_names()):
            raise ValueError(f"VGG19 has no layer {sorted(unknown)[0]}")
        found: dict[str, Tensor] = {}
        x = (image - self.get_buffer("mean")) / self.get_buffer("deviation")  # [N, 3, H, W]
        stage = "1"
        for name, index, _, _ in self.order:
            if not left:
                break
            if name[0] != stage:
                if min(x.shape[2:]) < 2:
                    raise ValueError(f"a picture of {image.shape[3]}x{image.shape[2]} has nothing left at conv{name}")
                x = F.max_pool2d(x, 2) if self.pooling == "max" else F.avg_pool2d(x, 2)  # [N, C, h/2, w/2]
                stage = name[0]
            weight, bias = self.get_buffer(f"features_{index}_weight"), self.get_buffer(f"features_{index}_bias")
            x = F.conv2d(x, weight, bias, padding=1)  # [N, C, h, w]
            if f"conv{name}" in left:
                found[f"conv{name}"] = x
            x = F.relu(x)
            if f"relu{name}" in left:
                found[f"relu{name}"] = x
            left -= {f"conv{name}", f"relu{name}"}
        return found
