"""Frozen features for the metrics: a small encoder that learns from the dataset itself, and never sees a generator.

Why not a downloaded network: KID and precision/recall need features in which two pictures are near when they show nearly the
same thing equally well. Nets trained on photographs of the web give that for photographs of the web; a film in its own tones
and framing is better served by what tells ITS frames apart, and nothing has to be fetched. Why not the discriminator: it
changes from tick to tick, and the generator is trained to please it.

Three tasks share one convolutional body, each holding on to what another would let go:
- instance discrimination (Wu et al. 2018, arXiv 1805.01978; InfoNCE as in Chen et al. 2020, arXiv 2002.05709): two shifted
  and re-toned views of one frame are near, other frames far. Gives what is in the picture. Frames that look almost the
  same (neighbours in a film) are not held against each other;
- reconstruction of a 16x16 reduction: keeps layout and tone, which the first task may drop;
- telling how a spoilt frame was spoilt (blurred, ghosted, torn, bent, noisy) and how much: keeps the features awake for
  what failing generators do, which the other two have no reason to notice.

A set of weights belongs to the bytes of the dataset and to the settings; both are hashed into the file, and a file that does
not match is made anew. Training is deterministic for its seed on one machine (it computes on one thread); after that the
file is the truth. The seed is the encoder's own, so that all measurements of a run are made with one ruler.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from player.progress import Progress
from tools.whole_file import make_folder

FILE = "metrics_encoder.safetensors"
SPOILS = ("blur", "ghost", "tear", "bend", "noise")
THUMB_PX = 16  # of the reconstruction
MOST_PICTURES = 8192  # that the encoder learns from; a long film is thinned evenly


@dataclass(frozen=True)
class EncoderSettings:
    """What the weights depend on besides the dataset.

    size_px: pictures are area-averaged down to this. features: length of a feature vector. width: of the first layer.
    steps, batch: about 45 seconds of one core. version: raised when the code learns in another way.
    """

    size_px: int = 64
    features: int = 128
    width: int = 24
    steps: int = 300
    batch: int = 48
    lr: float = 2e-3
    temperature: float = 0.2
    seed: int = 0
    version: int = 1


class Encoder(nn.Module):
    """Four halvings, then one linear layer; the result standardised by the dataset's own mean and deviation.

    Layout is kept (flattened, not pooled): where the figure stands is part of what a frame shows.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, channels: int, resolution: int, settings: EncoderSettings):
        super().__init__()
        self.size_px = min(settings.size_px, resolution)
        w = settings.width
        widths = (w, 2 * w, 4 * w, 4 * w)
        layers: list[nn.Module] = [nn.Conv2d(channels, w, 5, 2, 2), nn.LeakyReLU(0.2)]
        for inputs, outputs in zip(widths, widths[1:], strict=False):
            # Normalised by picture, never by batch: a feature may not depend on who else is measured.
            layers += [nn.Conv2d(inputs, outputs, 3, 2, 1), nn.GroupNorm(4, outputs), nn.LeakyReLU(0.2)]
        self.body = nn.Sequential(*layers)
        cells = math.ceil(self.size_px / 16) ** 2
        self.last = nn.Linear(widths[-1] * cells, settings.features)
        self.register_buffer("mean", torch.zeros(settings.features))
        self.register_buffer("deviation", torch.ones(settings.features))

    def reduced(self, images: Tensor) -> Tensor:
        """uint8 [N, C, R, R] -> float32 [N, C, size_px, size_px] in -1..1, area-averaged."""
        x = images.float().div(127.5).sub(1)  # [N, C, R, R]
        return x if x.shape[-1] == self.size_px else F.interpolate(x, (self.size_px, self.size_px), mode="area")

    def raw(self, x: Tensor) -> Tensor:
        """float32 [N, C, size_px, size_px] -> [N, features], as trained."""
        return self.last(self.body(x).flatten(1))

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """uint8 [N, C, R, R] -> float32 [N, features]; over the dataset mean 0 and variance 1 in every component."""
        return (self.raw(self.reduced(images)) - self.mean) / self.deviation


class Heads(nn.Module):
    """What only the training needs: the three tasks' last layers."""

    def __init__(self, channels: int, settings: EncoderSettings, thumb_px: int):
        super().__init__()
        self.instance = nn.Linear(settings.features, 64)
        self.thumb = nn.Linear(settings.features, channels * thumb_px**2)
        self.spoil = nn.Linear(settings.features, len(SPOILS))


def dataset_sha256(images: NDArray[np.uint8]) -> str:
    """Of the shape and all bytes of uint8 [N, C, R, R]."""
    digest = hashlib.sha256(str(images.shape).encode())
    for start in range(0, len(images), 1024):
        digest.update(np.ascontiguousarray(images[start : start + 1024]).tobytes())
    return digest.hexdigest()


def encoder_for(
    images: NDArray[np.uint8],
    folder: Path,
    settings: EncoderSettings | None = None,
    device: torch.device | str = "cpu",
    out: TextIO | None = None,
) -> Encoder:
    """The encoder of uint8 images [N, C, R, R]: read from `folder` where it was made before, else trained and kept there.

    out: where progress is written while it is trained; None = silent. The global random state stays as it is.
    """
    settings = settings or EncoderSettings()
    key = json.dumps({"dataset_sha256": dataset_sha256(images), **dataclasses.asdict(settings)}, sort_keys=True)
    path = folder / FILE
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(settings.seed)  # torch.manual_seed would reset the GPUs' states too
        encoder = Encoder(images.shape[1], images.shape[2], settings)
        heads = Heads(images.shape[1], settings, min(THUMB_PX, encoder.size_px))
    if not read_weights(encoder, path, key):
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # sums then have one order, and layers this small gain little from more
        try:
            train_encoder(encoder.to(device), heads.to(device), images, settings, out)
        finally:
            torch.set_num_threads(threads)
        make_folder(folder)
        part = path.with_name(path.name + ".part")
        save_file({k: v.cpu().contiguous() for k, v in encoder.state_dict().items()}, part, metadata={"key": key})
        os.replace(part, path)
    return encoder.to(device).eval().requires_grad_(False)


def read_weights(encoder: Encoder, path: Path, key: str) -> bool:
    """Fill the encoder from its file; False where there is none that fits. It is a cache: what is damaged is made anew."""
    if not path.is_file():
        return False
    try:
        with safe_open(path, framework="pt") as file:
            if (file.metadata() or {}).get("key") != key:
                return False
            state = {name: file.get_tensor(name) for name in file.keys()}
        if not all(torch.isfinite(v).all() for v in state.values()):
            return False
        encoder.load_state_dict(state, strict=True)
    except (OSError, SafetensorError, RuntimeError):
        return False
    return True


@torch.enable_grad()
def train_encoder(
    encoder: Encoder, heads: Heads, images: NDArray[np.uint8], settings: EncoderSettings, out: TextIO | None = None
) -> None:
    """Train in place, then set the mean and deviation of the features over the dataset."""
    device = encoder.last.weight.device
    chance = torch.Generator().manual_seed(settings.seed)
    kept = np.linspace(0, len(images) - 1, min(len(images), MOST_PICTURES)).round().astype(int)
    small = torch.cat([encoder.reduced(torch.from_numpy(images[kept[i : i + 64]])) for i in range(0, len(kept), 64)])
    weights = [*encoder.parameters(), *heads.parameters()]
    optimizer = torch.optim.Adam(weights, lr=settings.lr, betas=(0.9, 0.99))
    progress = Progress(settings.steps, "steps of the metrics' encoder", out) if out else None
    batch = min(settings.batch, len(small))
    for step in range(settings.steps):
        rate = settings.lr * min(1.0, (step + 1) / 10) * (0.5 + 0.5 * math.cos(math.pi * step / settings.steps))
        for group in optimizer.param_groups:
            group["lr"] = max(rate, settings.lr * 0.01)
        chosen = small[torch.randperm(len(small), generator=chance)[:batch]]  # [B, C, S, S]
        loss = loss_of(encoder, heads, chosen, settings, chance, device)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(weights, 5.0)
        optimizer.step()
        if progress:
            progress.at(step + 1)
    with torch.no_grad():
        features = torch.cat([encoder.raw(small[i : i + 64].to(device)) for i in range(0, len(small), 64)])  # [N, D]
        deviation = features.std(dim=0, unbiased=False)  # [D]
        encoder.mean.copy_(features.mean(dim=0))
        # A component that hardly moves on the dataset would turn rounding into distance.
        encoder.deviation.copy_(deviation.clamp_min(float(deviation.median()) * 0.05 + 1e-6))
    if progress:
        progress.done(f"metrics' encoder: {settings.steps} steps on {len(small)} pictures")


def loss_of(
    encoder: Encoder, heads: Heads, x: Tensor, settings: EncoderSettings, chance: torch.Generator, device: torch.device
) -> Tensor:
    """The three tasks on a batch x [B, C, S, S], each scaled so that knowing nothing costs about 1."""
    first, second = retoned(shifted(x, chance), chance), retoned(shifted(x, chance), chance)  # [B, C, S, S]
    spoilt, amount = spoil(retoned(shifted(x, chance), chance), chance)  # [B, C, S, S], [B, 5]
    features = encoder.raw(torch.cat([first, second, spoilt]).to(device))  # [3B, D]
    a, b, c = features.chunk(3)
    alike = almost_equal(x).to(device)  # [B, B]
    instance = instance_loss(heads.instance(F.leaky_relu(a, 0.2)), heads.instance(F.leaky_relu(b, 0.2)), alike,
                             settings.temperature)  # fmt: skip
    size = min(THUMB_PX, x.shape[-1])
    thumb = F.interpolate(first, (size, size), mode="area").flatten(1).to(device)  # [B, C * size * size]
    rebuilt = (heads.thumb(a) - thumb).square().mean() / (thumb.var() + 1e-3)
    told = (heads.spoil(c) - amount.to(device)).square().mean() / 0.06  # variance of a strength that is mostly 0
    return instance / math.log(max(2, len(x))) + rebuilt + told


def instance_loss(a: Tensor, b: Tensor, alike: Tensor, temperature: float) -> Tensor:
    """InfoNCE of two views a, b [B, D], both ways; alike bool [B, B]: pairs that do not count as different."""
    logits = F.normalize(a, dim=1) @ F.normalize(b, dim=1).t() / temperature  # [B, B]
    own = torch.eye(len(a), dtype=torch.bool, device=a.device)
    logits = logits.masked_fill(alike & ~own, -1e4)
    target = torch.arange(len(a), device=a.device)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.t(), target)) / 2


def almost_equal(x: Tensor) -> Tensor:
    """bool [B, B]: pictures nearer to each other than a tenth of the batch's median distance."""
    rough = F.interpolate(x, (8, 8), mode="area").flatten(1)  # [B, C * 64]
    distance = torch.cdist(rough, rough)  # [B, B]
    return distance <= distance.median() * 0.1


def shifted(x: Tensor, chance: torch.Generator) -> Tensor:
    """Each picture [B, C, S, S] moved by whole pixels, up to a twelfth of its side: interpolation would soften it, and
    softness must stay something that the features notice."""
    most = max(1, x.shape[-1] // 12)
    size = x.shape[-1]
    padded = F.pad(x, (most,) * 4, mode="replicate")  # [B, C, S + 2 most, S + 2 most]
    corners = torch.randint(0, 2 * most + 1, (len(x), 2), generator=chance).tolist()
    return torch.stack([p[:, top : top + size, left : left + size] for p, (top, left) in zip(padded, corners, strict=True)])


def retoned(x: Tensor, chance: torch.Generator) -> Tensor:
    """Brightness up to 0.1 of 2 up or down, contrast 0.85 to 1.15, by picture."""
    draw = torch.rand(len(x), 2, 1, 1, 1, generator=chance) * 2 - 1  # [B, 2, 1, 1, 1]
    return (x * (1 + 0.15 * draw[:, 0]) + 0.1 * draw[:, 1]).clamp(-1, 1)


def spoil(x: Tensor, chance: torch.Generator) -> tuple[Tensor, Tensor]:
    """(pictures [B, C, S, S] of which each is spoilt in one way, strengths [B, 5] in 0..1, at most one above 0 in a row)."""
    kind = torch.randint(0, len(SPOILS), (len(x),), generator=chance)  # [B]
    strength = torch.rand(len(x), generator=chance)  # [B]
    other = x.roll(1, dims=0)
    size = x.shape[-1]
    tall = torch.randn(len(x), 2, 4, 4, generator=chance)  # [B, 2, 4, 4], a smooth field of displacement
    place = torch.randint(0, max(1, size // 2), (len(x), 2), generator=chance).tolist()
    grain = torch.randn(x.shape, generator=chance)  # [B, C, S, S]
    spoilt = []
    for i in range(len(x)):
        picture, s, k = x[i : i + 1], float(strength[i]), SPOILS[int(kind[i])]  # [1, C, S, S]
        if k == "blur":
            picture = blurred(picture, 0.3 + 2.0 * s)
        elif k == "ghost":
            picture = picture.lerp(other[i : i + 1], 0.5 * s)
        elif k == "tear":
            side, (top, left) = max(1, round(size * (0.1 + 0.4 * s))), place[i]
            picture = picture.clone()
            picture[..., top : top + side, left : left + side] = other[i, :, top : top + side, left : left + side]
        elif k == "bend":
            picture = bent(picture, tall[i : i + 1] * (0.08 * s))
        else:
            picture = picture + grain[i : i + 1] * (0.15 * s)
        spoilt.append(picture)
    return torch.cat(spoilt), F.one_hot(kind, len(SPOILS)) * strength[:, None]


def blurred(x: Tensor, sigma_px: float) -> Tensor:
    """x [1, C, S, S] through a Gaussian, edges repeated."""
    reach = min(math.ceil(2.5 * sigma_px), x.shape[-1] - 1)
    at = torch.arange(-reach, reach + 1, dtype=x.dtype)
    taps = torch.exp(-0.5 * (at / sigma_px) ** 2)
    taps = (taps / taps.sum()).expand(x.shape[1], 1, 1, -1)  # [C, 1, 1, L]
    padded = F.pad(x, (reach,) * 4, mode="replicate")
    along = F.conv2d(padded, taps, groups=x.shape[1])
    return F.conv2d(along, taps.transpose(2, 3), groups=x.shape[1])


def bent(x: Tensor, field: Tensor) -> Tensor:
    """x [1, C, S, S] moved by a field [1, 2, 4, 4], in half widths of the picture, made smooth."""
    size = x.shape[-1]
    move = F.interpolate(field, (size, size), mode="bicubic", align_corners=True).permute(0, 2, 3, 1)  # [1, S, S, 2]
    still = F.affine_grid(torch.eye(2, 3)[None], [1, 1, size, size], align_corners=False)  # [1, S, S, 2]
    return F.grid_sample(x, still + move, mode="bilinear", padding_mode="border", align_corners=False)
