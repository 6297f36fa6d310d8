"""Stylizers too small to paint anything, but with every part of a large one, for tests of what is done with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from models.stylizer import Stylizer, StylizerConfig

ABOUT = {"sha256": "ab" * 32, "run": {"tool": "test", "steps": 3}, "licence": "CC0-1.0"}


def lively(seed: int = 0, **options: Any) -> Stylizer:
    """A network of random weights whose gains, offsets, biases and statistics are not trivial, so that a lost one is seen.
    options: of StylizerConfig; unless they say otherwise a narrow student with two styles."""
    torch.manual_seed(seed)
    asked = {"architecture": "student", "width": 8, "blocks": 1, "styles": ("oil", "woodcut"), "canvas": 2} | options
    net = Stylizer(StylizerConfig(**asked)).eval().requires_grad_(False)
    for name, p in net.named_parameters():
        if name.endswith(("gammas", "gains")):
            p.copy_(1 + 0.3 * torch.randn_like(p))
        elif name.endswith(("betas", "bias")):
            p.copy_(0.2 * torch.randn_like(p))
        elif name.endswith("weight") and p.abs().max() < 0.1:  # those that begin small or at nothing
            p.copy_(torch.randn_like(p) / p[0].numel() ** 0.5)
    for name, b in net.named_buffers():
        if name.endswith(".mean"):
            b.normal_(0, 0.2)
        elif name.endswith(".var"):
            b.uniform_(0.05, 0.3)
    return net


def written(path: Path, size: tuple[int, int] | None = None, seed: int = 0, **options: Any) -> Path:
    """Such a network as ONNX."""
    from tools.style_export import ExportOptions, export

    export(lively(seed, **options), path, ExportOptions(size), ABOUT)
    return path
