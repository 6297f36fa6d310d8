"""One way to ask a network what it sees in a picture, whichever network judges: VGG19, or a film's own discriminator.

A Perception names its layers, says by how much each is coarser than the picture, and gives their values, through which
gradients flow back to the picture; its own weights are frozen. Pictures are float32 [N, 3, H, W] in 0..1, sRGB, of any size.

A discriminator was trained on squares of one size; its blocks are convolutions, so they see a larger picture as many such
squares side by side. One that was trained on grey pictures sees the three colour channels as three grey pictures, and their
values stand side by side as channels.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Literal

import torch
from torch import Tensor, nn

from models.discriminator import Discriminator
from models.vgg import Vgg19, layer_names

Kind = Literal["vgg19", "discriminator"]
# Gatys et al. 2016 (CVPR), section 3: content at conv4_2, style at conv1_1 .. conv5_1, all after their ReLU.
VGG_CONTENT = ("relu4_2",)
VGG_STYLE = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
LEAST_PX = 32  # of a picture's shorter side: five poolings leave one value


class Perception(nn.Module):
    """A frozen network that judges pictures. name: for people. sha256: of its weights file.

    layers: all that can be asked for, finest first. content_layers, style_layers: those that serve where nobody chooses.
    """

    def __init__(self, network: Vgg19 | Discriminator, name: str = "", sha256: str = ""):
        super().__init__()
        self.network = network.eval().requires_grad_(False)
        self.name, self.sha256 = name, sha256
        self.kind: Kind
        self.content_layers: tuple[str, ...]
        self.style_layers: tuple[str, ...]
        if isinstance(network, Vgg19):
            self.kind, self.layers = "vgg19", layer_names()
            self.content_layers, self.style_layers = VGG_CONTENT, VGG_STYLE
            self._strides = {layer: 2 ** (int(layer[4]) - 1) for layer in self.layers}
            self.planes = 1
            return
        self.kind = "discriminator"
        first, *_ = network.resolutions
        self.planes = 3 if network.config.channels == 1 else 1
        self._strides = {}
        for res in network.resolutions:
            self._strides[f"b{res}.conv0"] = first // res
            self._strides[f"b{res}"] = 2 * first // res
        self.layers = tuple(self._strides)
        # By stride, as VGG19's are: style from single pixels up to 16, content where a value covers 4 to 16. Looked at with a
        # discriminator of 128 pixels: one content layer alone lets the others' colours run over its outlines.
        self.style_layers = tuple(x for x in self.layers if x.endswith(".conv0") and self._strides[x] <= 16)
        coarse = tuple(x for x in self.layers if not x.endswith(".conv0") and 4 <= self._strides[x] <= 16)
        self.content_layers = coarse or self.layers[-1:]

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return next(iter([*self.network.parameters(), *self.network.buffers()])).device

    @property
    def coarsest(self) -> int:
        """Pixels that one value of the coarsest layer stands for, along a side."""
        return max(self._strides.values())

    def stride(self, layer: str) -> int:
        """Pixels along a side for one value of a layer. Raises ValueError for a name that is none."""
        self.check([layer])
        return self._strides[layer]

    def check(self, layers: Collection[str]) -> None:
        """Raises ValueError, a sentence that lists what there is, for a layer that is none."""
        for layer in layers:
            if layer not in self._strides:
                raise ValueError(f"the {self.kind} has no layer {layer!r}; it has {', '.join(self.layers)}")

    def features(self, x: Tensor, layers: Collection[str]) -> dict[str, Tensor]:
        """x [N, 3, H, W] 0..1 -> {layer: [N, C, h, w]}, h = H / stride(layer) where H is a multiple of the stride.

        Nothing behind the last layer that is asked for is computed. Raises ValueError for an unknown layer or a picture that
        is too small for it.
        """
        self.check(layers)
        if not layers:
            return {}
        if isinstance(self.network, Vgg19):
            return self.network.features(x, layers)
        return self._judged(x, layers)

    def _judged(self, x: Tensor, layers: Collection[str]) -> dict[str, Tensor]:
        """`features` of a discriminator."""
        network = self.network
        assert isinstance(network, Discriminator)
        n, _, height, width = x.shape
        image = 2 * x - 1
        if self.planes == 3:
            image = image.reshape(3 * n, 1, height, width)  # [3 N, 1, H, W]
        elif network.config.channels == 4:
            image = torch.cat([image, torch.ones_like(image[:, :1])], dim=1)  # [N, 4, H, W], nothing transparent
        left, found = set(layers), {}
        values: Tensor | None = None
        rest: Tensor | None = image
        for res in network.resolutions:
            if not left:
                break
            stride = self._strides[f"b{res}"]
            if min(height, width) < stride:
                raise ValueError(f"a picture of {width}x{height} has nothing left at b{res}")
            block: Any = network.get_submodule(f"b{res}")
            inner: list[Tensor] = []
            handle = block.conv0.register_forward_hook(_keeping(inner))
            try:
                values, rest = block(values, rest)
            finally:
                handle.remove()
            assert values is not None
            for layer, value in ((f"b{res}.conv0", inner[0]), (f"b{res}", values)):
                if layer in left:
                    found[layer] = self._side_by_side(value.float(), n)
            left -= {f"b{res}.conv0", f"b{res}"}
        return found

    def _side_by_side(self, value: Tensor, pictures: int) -> Tensor:
        """[N * planes, C, h, w] -> [N, planes * C, h, w]."""
        return value.reshape(pictures, -1, *value.shape[2:])


def _keeping(into: list[Tensor]) -> Callable[[nn.Module, Any, Tensor], None]:
    """A hook that keeps a module's output."""

    def hook(module: nn.Module, given: Any, made: Tensor) -> None:
        into.append(made)

    return hook
