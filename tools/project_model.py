"""What a projection works with: the generator, its own discriminator where there is one, and how its w are spread."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.discriminator import Discriminator
from models.stylegan2 import Generator
from player.show.problem import Problem, ShowError
from tools.gan_export import checkpoint_at
from tools.model_metadata import synthesis_beside
from tools.remap_generator import source_at

SAMPLES = 4096  # mapped z for the statistics of w: eight times a w_dim of 512
SHRINK = 0.1  # share of the mean variance in the covariance: directions that the mapping never takes stay finite


@dataclass(frozen=True)
class Model:
    """A generator and what belongs to it. Networks float32, eval, without gradients to their weights.

    discriminator: None for an export and for a checkpoint saved without one. geometry: {} where the file does not say.
    sha256: of the weights. synthesis_sha256: of their synthesis.onnx in the same folder, '' without one. run: what trained it.
    """

    generator: Generator
    discriminator: Discriminator | None
    geometry: dict[str, list[int]]
    sha256: str
    synthesis_sha256: str
    run: dict[str, Any]

    @property
    def weights_sha256(self) -> str:
        """Of the weights; '' for an export that does not say whose it is."""
        return self.sha256 if self.sha256 != self.synthesis_sha256 else ""


def model_at(path: Path) -> Model:
    """The model in a folder: a checkpoint where model.safetensors is there (it may hold a discriminator), else an export.

    Raises ShowError.
    """
    if (path / "model.safetensors").is_file():
        checkpoint = checkpoint_at(path)
        discriminator = checkpoint.discriminator
        if discriminator is not None:
            discriminator = discriminator.eval().requires_grad_(False)
        synthesis = synthesis_beside(path, checkpoint.sha256)
        generator = checkpoint.generator.eval().requires_grad_(False)
        return Model(generator, discriminator, checkpoint.geometry, checkpoint.sha256, synthesis, checkpoint.run)
    if (path / "synthesis.onnx").is_file():
        source = source_at(path)
        weights = source.weights_sha256 or source.synthesis_sha256
        return Model(source.generator, None, source.geometry, weights, source.synthesis_sha256, {})
    hint = str(path / "checkpoint") if (path / "checkpoint" / "model.safetensors").is_file() else ""
    given = "is no model" if path.is_dir() else "is no folder"
    raise ShowError(Problem(str(path), given, "a checkpoint folder, or a folder of cineml gan export", hint))


@dataclass(frozen=True)
class Spread:
    """How w lie: samples [M, w_dim], mean [w_dim], deviation (root of the mean variance), whiten [w_dim, w_dim]."""

    samples: Tensor
    mean: Tensor
    deviation: float
    whiten: Tensor

    def distance(self, w: Tensor) -> Tensor:
        """w [..., w_dim] -> [...]: squared Mahalanobis distance over w_dim; about 1 for a w of the mapping."""
        return ((w - self.mean) @ self.whiten).square().mean(dim=-1)


@torch.no_grad()
def spread_of(generator: Generator, count: int = SAMPLES, seed: int = 0) -> Spread:
    """The spread of `count` mapped samples, of every class in turn where the generator is conditional."""
    config, device = generator.config, generator.w_avg.device
    made = torch.Generator().manual_seed(seed)
    parts = []
    for first in range(0, count, 1024):
        n = min(1024, count - first)
        z = torch.randn(n, config.z_dim, generator=made).to(device)  # [n, z_dim]
        c = torch.eye(config.c_dim)[torch.arange(n) % config.c_dim].to(device) if config.c_dim else None  # [n, c_dim]
        parts.append(generator.mapping.w(z, c))
    w = torch.cat(parts)  # [M, w_dim]
    mean = w.mean(dim=0)  # [w_dim]
    off = (w - mean).double()
    covariance = off.t() @ off / max(1, count - 1)  # [w_dim, w_dim]
    variance = float(covariance.diagonal().mean().clamp_min(1e-12))
    shrunk = (1 - SHRINK) * covariance + SHRINK * variance * torch.eye(len(mean), dtype=torch.double, device=device)
    whiten = torch.linalg.inv(torch.linalg.cholesky(shrunk)).t().float()  # |(w - m) whiten|^2 = (w - m)' C^-1 (w - m)
    return Spread(w, mean, variance**0.5, whiten)
