"""From a picture to the latent that makes it: a small network of one generator's and one film's own, and the codes it reads.

It gives a fit its start. Where a frame's latent is even roughly known, descent finds it; from the mean of w it finds some
other latent that makes nearly the same picture and moves in another way (FACTS: R2 of w below 0).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

SIZE_PX = 64
SMOOTH_FRAMES = 1.0  # sigma of the smoothing over a shot


@dataclass(frozen=True)
class EncoderSettings:
    """What an encoder's weights depend on besides generator and film.

    samples: of the generator, rendered once. steps: of training at most; batch: samples a step, film_batch: film frames in
    every second step. version: raised when it learns in another way.
    """

    samples: int = 4096
    steps: int = 1500
    batch: int = 32
    film_batch: int = 8
    width: int = 24
    lr: float = 2e-3
    seed: int = 0
    version: int = 1


class PathEncoder(nn.Module):
    """Pictures [N, C, S, S] in -1..1 -> w [N, w_dim], around the mean of w and in its deviations."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, channels: int, resolution: int, w_dim: int, width: int):
        super().__init__()
        self.size_px = min(SIZE_PX, resolution)
        inputs, size = channels, self.size_px
        layers: list[nn.Module] = []
        for outputs in (width, 2 * width, 4 * width, 4 * width):
            layers += [nn.Conv2d(inputs, outputs, 3, 2, 1), nn.GroupNorm(4, outputs), nn.LeakyReLU(0.2)]
            inputs, size = outputs, -(-size // 2)
        self.body = nn.Sequential(*layers)
        self.last = nn.Sequential(nn.Linear(inputs * size * size, 256), nn.LeakyReLU(0.2), nn.Linear(256, w_dim))
        self.register_buffer("mean", torch.zeros(w_dim))
        self.register_buffer("deviation", torch.ones([]))

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, S, S] in -1..1 -> [N, w_dim]."""
        return self.mean + self.deviation * self.last(self.body(x).flatten(1))

    def reduced(self, images: Tensor) -> Tensor:
        """[N, C, R, R] in -1..1 -> [N, C, S, S], area-averaged."""
        return images if images.shape[-1] == self.size_px else F.interpolate(images, (self.size_px,) * 2, mode="area")


@torch.no_grad()
def read_codes(encoder: PathEncoder, images: npt.NDArray[np.uint8], batch: int = 64) -> npt.NDArray[np.float32]:
    """uint8 [n, C, R, R] -> w [n, w_dim] float32."""
    device = encoder.mean.device
    parts = [encoder(encoder.reduced(torch.from_numpy(images[i : i + batch]).to(device).float() / 127.5 - 1))
             for i in range(0, len(images), batch)]  # fmt: skip
    codes: npt.NDArray[np.float32] = torch.cat(parts).cpu().numpy()
    return codes


def smoothed(
    codes: npt.NDArray[np.floating], known: npt.NDArray[np.bool_], sigma: float = SMOOTH_FRAMES
) -> npt.NDArray[np.float64]:
    """codes [n, w_dim] of neighbouring frames, averaged over time by a Gaussian of `sigma` frames; only the known ones count,
    and the ends lean on what is there."""
    at = np.arange(len(codes), dtype=np.float64)
    weight = np.exp(-0.5 * ((at[:, None] - at[None]) / sigma) ** 2) * known[None]  # [n, n]
    total = weight.sum(axis=1, keepdims=True)
    out = np.where(total > 1e-9, weight @ codes.astype(np.float64) / np.maximum(total, 1e-9), codes)
    return np.asarray(out, np.float64)
