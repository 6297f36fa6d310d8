"""What "alike" means: pictures as vectors, whose distances the sheet follows.

Three ways, each fed one picture at a time so that a film need not fit in memory:
- discriminator: what the generator's own critic sees, the outputs of its last blocks. It has looked at nothing but this film;
- encoder: a small network trained on these very pictures (tools/metrics_encoder.py), kept, so that the next run is quick;
- pixels: tones and colours of a small reduction, in a space where distances are as the eye has them. Needs no torch.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from player.show.problem import Problem, ShowError

if TYPE_CHECKING:
    import torch

    from models.checkpoint import Checkpoint

Pixels = NDArray[np.uint8]
KEPT = 96  # components after the rotation; what is left out of a film's frames is grain
SIDE_PX = 64  # of the squares that encoder and pixels see
TILES = 8  # of the reduction, along a side
SKETCH = 256  # components of one block's output
BLOCKS = 3
SKETCHED = 2048
AT_ONCE = 8


class Looker(Protocol):
    """Turns pictures into vectors."""

    def take(self, picture: Pixels) -> None:
        """The next picture, uint8 [h, w, 3], of any size."""

    def finish(self) -> NDArray[np.float64]:
        """[N, d], in the order of taking. Raises ShowError."""


def small_square(picture: Pixels, side_px: int) -> Pixels:
    """uint8 [h, w, 3] -> [side_px, side_px, 3], squashed: a frame's shape says nothing about what is in it."""
    from PIL import Image

    size = (side_px, side_px)
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BOX, reducing_gap=None), np.uint8)


def principal(features: NDArray[np.float64], most: int = KEPT) -> NDArray[np.float64]:
    """[N, d] turned and cut to the `most` directions in which it varies most; distances stay but for what is cut."""
    centred = features - features.mean(axis=0)
    if centred.shape[1] <= most:
        return centred
    if centred.shape[1] > SKETCHED:  # turning would cost its third power
        centred = centred @ np.random.default_rng(0).standard_normal((centred.shape[1], SKETCHED // 2))
    values, vectors = np.linalg.eigh(centred.T @ centred)
    return centred @ vectors[:, np.argsort(values)[::-1][:most]]


def oklab(rgb: Pixels) -> NDArray[np.float64]:
    """sRGB bytes [..., 3] -> Oklab (Ottosson 2020, "A perceptual color space for image processing"): lightness 0..1, a, b."""
    x = rgb / 255.0
    linear = np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)
    cones = linear @ np.array([[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566],
                               [0.0883024619, 0.2817188376, 0.6299787005]]).T  # fmt: skip
    return np.cbrt(cones) @ np.array([[0.2104542553, 0.7936177850, -0.0040720468],
                                      [1.9779984951, -2.4285922050, 0.4505937099],
                                      [0.0259040371, 0.7827717662, -0.8086757660]]).T  # fmt: skip


class PixelLooker:
    """Mean tone and colour of TILES x TILES tiles."""

    def __init__(self) -> None:
        self._tiles: list[Pixels] = []

    def take(self, picture: Pixels) -> None:
        self._tiles.append(small_square(picture, TILES))

    def finish(self) -> NDArray[np.float64]:
        return principal(oklab(np.stack(self._tiles)).reshape(len(self._tiles), -1))


class EncoderLooker:
    """The small in-domain encoder; folder: where its weights are kept."""

    def __init__(self, folder: Path, device: torch.device):
        self.folder, self.device = folder, device
        self._squares: list[Pixels] = []

    def take(self, picture: Pixels) -> None:
        self._squares.append(small_square(picture, SIDE_PX))

    def finish(self) -> NDArray[np.float64]:
        import torch

        from tools.metrics_encoder import encoder_for
        from tools.whole_file import writing

        squares = np.stack(self._squares).transpose(0, 3, 1, 2)  # [N, 3, S, S]
        if (np.ptp(squares, axis=1) <= 12).mean() > 0.995:
            squares = squares[:, 1:2]  # grey: two thirds less to learn from
        squares = np.ascontiguousarray(squares)
        with writing(self.folder):
            encoder = encoder_for(squares, self.folder, device=self.device, out=sys.stdout)
        made = [encoder(torch.from_numpy(squares[i : i + 64]).to(self.device)).cpu().numpy()
                for i in range(0, len(squares), 64)]  # fmt: skip
        return principal(np.concatenate(made).astype(np.float64))


class DiscriminatorLooker:
    """Outputs of the last blocks, each as a random sketch that keeps distances (Johnson and Lindenstrauss 1984), all blocks
    equally heavy. Not the last layers: they keep real against made, and little else."""

    def __init__(self, checkpoint: Checkpoint, device: torch.device):
        if checkpoint.discriminator is None:
            raise no_discriminator(checkpoint.folder)
        self.critic = checkpoint.discriminator.to(device)
        self.geometry, self.device = checkpoint.geometry, device
        self._waiting: list[Pixels] = []
        self._made: list[list[NDArray[np.float32]]] = []
        self._sketches: list[torch.Tensor] = []

    def take(self, picture: Pixels) -> None:
        from tools.project_source import in_square
        from tools.train_dataset import geometry_for

        config = self.critic.config
        if config.channels == 1:
            from PIL import Image

            picture = np.asarray(Image.fromarray(picture).convert("L"), np.uint8)
        elif config.channels == 4:
            picture = np.concatenate([picture, np.full((*picture.shape[:2], 1), 255, np.uint8)], axis=2)
        geometry = self.geometry or geometry_for(picture.shape[1], picture.shape[0], config.resolution)
        self._waiting.append(in_square(picture, geometry, config.resolution))
        if len(self._waiting) == AT_ONCE:
            self._look()

    def _look(self) -> None:
        import torch
        from torch.nn import functional

        if not self._waiting:
            return
        images = torch.from_numpy(np.stack(self._waiting)).to(self.device).float().div(127.5).sub(1)  # [n, C, R, R]
        self._waiting = []
        with torch.inference_mode():
            maps = self.critic.features(images)
            maps = [m.float() for m in maps if m.shape[-1] >= 4 and m.shape[1] > 4][-BLOCKS:]
            parts = [functional.adaptive_avg_pool2d(m, 4).flatten(1) for m in maps]  # each [n, C * 16]
            if not self._sketches:
                chance = torch.Generator().manual_seed(0)
                self._sketches = [torch.randn(p.shape[1], min(SKETCH, p.shape[1]), generator=chance).to(self.device)
                                  for p in parts]  # fmt: skip
            self._made.append([(p @ s).cpu().numpy() for p, s in zip(parts, self._sketches, strict=True)])

    def finish(self) -> NDArray[np.float64]:
        self._look()
        blocks = [np.concatenate(b).astype(np.float64) for b in zip(*self._made, strict=True)]  # each [N, SKETCH]
        if not all(np.isfinite(b).all() for b in blocks):
            raise ShowError(Problem("the discriminator", "sees what is not finite", "a sound checkpoint", "--features encoder"))
        return principal(np.concatenate([b / max(float(b.std(axis=0).mean()), 1e-12) for b in blocks], axis=1))


def no_discriminator(folder: Path) -> ShowError:
    """Said where one is asked for, or would be needed."""
    return ShowError(Problem(str(folder), "holds no discriminator", "a training checkpoint, which keeps it",
                             "--features encoder"))  # fmt: skip
