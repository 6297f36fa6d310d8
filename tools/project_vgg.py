"""VGG16 features as a measure of likeness, from a safetensors file that the user brings; with LPIPS weights where it has them.

Simonyan and Zisserman 2015, configuration D; layers and normalisation as in Zhang et al. 2018 (LPIPS). Nothing is
downloaded and no pickle is read.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from torch import Tensor

from player.show.problem import Problem, ShowError

# The convolutions by their place in torchvision's `features`: (index, inputs, outputs); a stage ends in a pooling.
STAGES: tuple[tuple[tuple[int, int, int], ...], ...] = (
    ((0, 3, 64), (2, 64, 64)),
    ((5, 64, 128), (7, 128, 128)),
    ((10, 128, 256), (12, 256, 256), (14, 256, 256)),
    ((17, 256, 512), (19, 512, 512), (21, 512, 512)),
    ((24, 512, 512), (26, 512, 512), (28, 512, 512)),
)
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, 0..1 RGB
SMALLEST_PX, LARGEST_PX = 32, 256  # smaller pictures vanish in the fourth pooling; larger ones cost and tell little more


class Vgg:
    """VGG16's convolutions as plain tensors. lpips: [1, C, 1, 1] a stage, None where the file has none."""

    def __init__(self, weights: dict[str, Tensor], lpips: list[Tensor] | None, sha256: str):
        self.weights, self.lpips, self.sha256 = weights, lpips, sha256

    def to(self, device: torch.device) -> Vgg:
        """The same on another device."""
        lpips = None if self.lpips is None else [v.to(device) for v in self.lpips]
        return Vgg({k: v.to(device) for k, v in self.weights.items()}, lpips, self.sha256)

    def features(self, image: Tensor) -> list[Tensor]:
        """image [N, 1, 3 or 4, H, W] in -1..1 -> five maps [N, C, h, w], each place of length 1 over its channels.

        The alpha of a picture with four channels is not looked at.
        """
        x = image.expand(-1, 3, -1, -1) if image.shape[1] == 1 else image[:, :3]  # [N, 3, H, W]
        x = x * 0.5 + 0.5
        scale = min(1.0, LARGEST_PX / max(x.shape[2:])) * max(1.0, SMALLEST_PX / min(x.shape[2:]))
        if scale != 1:
            size = (max(SMALLEST_PX, round(x.shape[2] * scale)), max(SMALLEST_PX, round(x.shape[3] * scale)))
            x = F.interpolate(x, size, mode="area" if scale < 1 else "bilinear")  # [N, 3, h, w]
        mean, deviation = (x.new_tensor(v)[None, :, None, None] for v in (MEAN, DEVIATION))
        x = (x - mean) / deviation
        maps = []
        for number, stage in enumerate(STAGES):
            if number:
                x = F.max_pool2d(x, 2)
            for index, _, _ in stage:
                weight, bias = self.weights[f"features.{index}.weight"], self.weights[f"features.{index}.bias"]
                x = F.relu(F.conv2d(x, weight, bias, padding=1))  # [N, C, h, w]
            maps.append(x * (x.square().sum(dim=1, keepdim=True) + 1e-10).rsqrt())
        return maps

    def distance(self, made: list[Tensor], truth: list[Tensor]) -> Tensor:
        """[N]: mean squared difference of the unit features over places, summed over channels and stages; each channel
        weighed as LPIPS learnt it, or all alike, by 1 / 5 a stage."""
        total = made[0].new_zeros(len(made[0]))
        for stage, (a, b) in enumerate(zip(made, truth, strict=True)):
            squared = (a - b).square()  # [N, C, h, w]
            squared = squared / len(STAGES) if self.lpips is None else squared * self.lpips[stage]
            total = total + squared.sum(dim=1).mean(dim=(1, 2))
        return total


def read_vgg(path: Path) -> Vgg:
    """VGG16 from a safetensors file. Only its convolutions (and LPIPS's weights) are read, each shape checked first.

    Raises ShowError where a tensor is missing, has another shape or type, or is not finite.
    """
    wanted: dict[str, tuple[int, ...]] = {}
    for index, inputs, outputs in (layer for stage in STAGES for layer in stage):
        wanted[f"features.{index}.weight"] = (outputs, inputs, 3, 3)
        wanted[f"features.{index}.bias"] = (outputs,)
    linear = {f"lin{i}.model.1.weight": (1, stage[-1][2], 1, 1) for i, stage in enumerate(STAGES)}
    allowed = "torchvision's VGG16 in safetensors (features.0.weight ...)"
    hint = "see cineml gan project --help"
    try:
        with safe_open(path, framework="pt") as file:
            names = set(file.keys())
            if missing := sorted(set(wanted) - names):
                raise ShowError(Problem(str(path), f"lacks {missing[0]}", allowed, hint))
            if set(linear) <= names:
                wanted |= linear
            for name, shape in wanted.items():
                part = file.get_slice(name)
                if tuple(part.get_shape()) != shape or part.get_dtype() not in ("F32", "F16"):
                    given = f"{name} is {part.get_dtype()} {list(part.get_shape())}"
                    raise ShowError(Problem(str(path), given, f"F32 or F16 {list(shape)}"))
            weights = {name: file.get_tensor(name).float() for name in wanted}
    except (SafetensorError, OSError) as e:
        raise ShowError(Problem(str(path), f"cannot be read ({e})", allowed, hint)) from None
    if bad := [name for name, value in weights.items() if not torch.isfinite(value).all()]:
        raise ShowError(Problem(str(path), f"{bad[0]} holds values that are not finite", "finite weights"))
    lpips = [weights.pop(name) for name in linear] if set(linear) <= set(weights) else None
    with path.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    return Vgg(weights, lpips, digest)
