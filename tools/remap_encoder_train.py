"""Training of the encoder: on the generator's samples, spoilt as film is, whose latents are known; and on the film, whose
latents are not, by how near the picture made from the answer comes to the frame.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from models.stylegan2 import Generator
from tools.project_losses import pyramid, shown
from tools.remap_encoder import EncoderSettings, PathEncoder
from tools.remap_reduce import reduced
from tools.whole_file import write_whole

FILE = "encoder.safetensors"
RENDERED = 16  # pictures at a time
POOL_SHARE = 0.35  # of the time at most for rendering samples; fewer samples then
LEAST_SAMPLES = 256
MOST_FRAMES = 2048  # of the film that it learns from; a long one is thinned evenly
PULL = 0.02  # weight of staying among the generator's own w on film frames, in squared deviations
Tell = Callable[[str, float], None]


def grained(x: Tensor, chance: torch.Generator) -> Tensor:
    """x [N, C, S, S] in -1..1 as a film would show it: blurred, exposed otherwise, with grain; each picture in its own way."""
    n, size = len(x), x.shape[-1]
    draw = torch.rand(n, 4, 1, 1, 1, generator=chance)  # [n, 4, 1, 1, 1]
    taps = torch.tensor([1.0, 2.0, 1.0])
    taps = (taps[:, None] * taps[None] / 16).expand(x.shape[1], 1, 3, 3)
    soft = F.conv2d(F.pad(x, (1,) * 4, mode="replicate"), taps.contiguous(), groups=x.shape[1])
    soft = F.conv2d(F.pad(soft, (1,) * 4, mode="replicate"), taps.contiguous(), groups=x.shape[1]) if size > 16 else soft
    x = x.lerp(soft, draw[:, 0] * (draw[:, 0] > 0.3))
    x = x * (1 + 0.3 * (draw[:, 1] - 0.5)) + 0.24 * (draw[:, 2] - 0.5)
    fine = torch.randn(x.shape, generator=chance)
    coarse = F.interpolate(torch.randn(n, x.shape[1], size // 2, size // 2, generator=chance), (size, size), mode="bilinear")
    return (x + 0.12 * draw[:, 3] * (0.7 * fine + 0.7 * coarse)).clamp(-1, 1)


def encoder_key(weights_sha256: str, film_sha256: str, settings: EncoderSettings) -> str:
    """What a kept encoder belongs to."""
    return json.dumps({"generator": weights_sha256, "film": film_sha256, **dataclasses.asdict(settings)}, sort_keys=True)


def read_encoder(path: Path, key: str, like: PathEncoder) -> bool:
    """Fill `like` from a kept file; False where there is none that fits, or it is damaged: then it is made anew."""
    try:
        with safe_open(path, framework="pt") as file:
            if (file.metadata() or {}).get("key") != key:
                return False
            state = {name: file.get_tensor(name) for name in file.keys()}
        if not all(torch.isfinite(v).all() for v in state.values()):
            return False
        like.load_state_dict(state)
    except (OSError, SafetensorError, RuntimeError):
        return False
    return True


def film_sha256(film: npt.NDArray[np.uint8], usable: npt.NDArray[np.bool_]) -> str:
    """Of the shape and all bytes of uint8 [frames, C, R, R], and of which are learnt from."""
    digest = hashlib.sha256(str(film.shape).encode() + usable.tobytes())
    for start in range(0, len(film), 512):
        digest.update(np.ascontiguousarray(film[start : start + 512]).tobytes())
    return digest.hexdigest()


def encoder_of(generator: Generator, weights_sha256: str, film: npt.NDArray[np.uint8], usable: npt.NDArray[np.bool_],
               inner: tuple[int, int, int, int], folder: Path, settings: EncoderSettings | None = None,
               seconds: float = math.inf, tell: Tell | None = None) -> PathEncoder:  # fmt: skip
    """The encoder of a generator and a film: as it was kept in `folder`, else trained for about `seconds` at most and kept.

    film: uint8 [frames, C, R, R]; usable: [frames], which of them show one shot alone; inner: [x, y, w, h] in pixels of R.
    tell(what, share). The global random state stays as it is. Raises ShowError where it cannot be written, KeyboardInterrupt.
    """
    settings = settings or EncoderSettings()
    config = generator.config
    key = encoder_key(weights_sha256, film_sha256(film, usable), settings)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(settings.seed)
        encoder = PathEncoder(config.channels, config.resolution, config.w_dim, settings.width)
    device = generator.w_avg.device
    path = folder / FILE
    if not read_encoder(path, key, encoder):
        frames = np.flatnonzero(usable)
        kept = frames[np.linspace(0, len(frames) - 1, min(len(frames), MOST_FRAMES)).round().astype(int)]
        train(encoder.to(device), generator, film[kept], inner, settings, seconds, tell)
        state = {k: v.cpu().contiguous() for k, v in encoder.state_dict().items()}
        write_whole(path, lambda part: save_file(state, part, metadata={"key": key}))
    return encoder.to(device).eval().requires_grad_(False)


@torch.no_grad()
def pool_of(generator: Generator, encoder: PathEncoder, count: int, seed: int, seconds: float,
            tell: Callable[[float], None]) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Samples: (w [M, w_dim], pictures [M, C, S, S] in -1..1); fewer than `count` where the time is up."""
    made = torch.Generator().manual_seed(seed)
    device, c_dim = generator.w_avg.device, generator.config.c_dim
    ws, pictures, began = [], [], time.monotonic()
    for first in range(0, count, RENDERED):
        n = min(RENDERED, count - first)
        z = torch.randn(n, generator.config.z_dim, generator=made).to(device)  # [n, z_dim]
        c = torch.eye(c_dim)[torch.arange(first, first + n) % c_dim].to(device) if c_dim else None  # [n, c_dim]
        w = generator.mapping.w(z, c)  # [n, w_dim]
        image = generator.synthesis(w[:, None].expand(-1, generator.num_ws, -1)).clamp(-1, 1)  # [n, C, R, R]
        ws.append(w)
        pictures.append(encoder.reduced(image))
        tell((first + n) / count)
        if first + n >= LEAST_SAMPLES and time.monotonic() - began > seconds:
            break
    return torch.cat(ws), torch.cat(pictures)


@torch.enable_grad()
def train(encoder: PathEncoder, generator: Generator, film: npt.NDArray[np.uint8], inner: tuple[int, int, int, int],
          settings: EncoderSettings, seconds: float = math.inf, tell: Tell | None = None) -> None:  # fmt: skip
    """Train in place. film: uint8 [n, C, R, R] of frames to learn from."""
    say = tell or (lambda what, share: None)
    began, device = time.monotonic(), generator.w_avg.device
    w, pictures = pool_of(generator, encoder, settings.samples, settings.seed, POOL_SHARE * seconds,
                          lambda share: say("encoder: samples", share))  # fmt: skip
    encoder.mean.copy_(w.mean(dim=0))
    encoder.deviation.copy_(w.std(dim=0).square().mean().sqrt().clamp_min(1e-6))
    small = reduced(generator, encoder.size_px, settings.seed)
    frames = torch.cat([encoder.reduced(torch.from_numpy(film[i : i + 64]).float() / 127.5 - 1)
                        for i in range(0, len(film), 64)])  # fmt: skip
    scale = encoder.size_px / generator.config.resolution
    x, y, wide, high = (round(v * scale) for v in inner)
    chance = torch.Generator().manual_seed(settings.seed)
    optimiser = torch.optim.Adam(encoder.parameters(), lr=settings.lr, betas=(0.9, 0.99))
    left = max(1.0, seconds - (time.monotonic() - began))
    began = time.monotonic()
    for step in range(settings.steps):
        spent = (time.monotonic() - began) / left
        if spent >= 1:
            break
        progress = max(step / settings.steps, spent)
        for group in optimiser.param_groups:
            group["lr"] = settings.lr * min(1.0, (step + 1) / 20) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress)))
        index = torch.randint(0, len(w), (min(settings.batch, len(w)),), generator=chance)
        made = encoder(grained(pictures[index.to(device)].cpu(), chance).to(device))  # [b, w_dim]
        loss = ((made - w[index.to(device)]) / encoder.deviation).square().mean()
        if step % 2 and len(frames):
            some = torch.randint(0, len(frames), (min(settings.film_batch, len(frames)),), generator=chance)
            chosen = frames[some].to(device)
            codes = encoder(chosen)  # [f, w_dim]
            image = shown(small.synthesis(codes[:, None].expand(-1, small.num_ws, -1)))  # [f, C, s, s]
            image = F.interpolate(image, (encoder.size_px,) * 2, mode="area") if image.shape[-1] != encoder.size_px else image
            near = pyramid(image[..., y : y + high, x : x + wide], chosen[..., y : y + high, x : x + wide]).mean()
            off = ((codes - encoder.mean) / encoder.deviation).square().mean()
            loss = loss + 4.0 * near + PULL * F.relu(off - 1.5)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(encoder.parameters(), 5.0)
        optimiser.step()
        say("encoder", progress)
