"""The frames of a dissolve show two shots at once: the ends of both walks are fitted to their mixture.

Only keys near the dissolve move. The mixture is the player's: in linear light, by the cut list's weights.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.stylegan2 import Generator
from player.show.cut_list import CutList, Shot
from tools.remap_fit import BATCH, FitOptions, Fitted, pushed_away, spline_basis, spread
from tools.train_losses import reconstruction_loss

NEAR_FRAMES = 3  # keys this far outside the dissolve still move: the spline has to bend somewhere
LEAST_LIGHT = 1e-3  # below it the encoding is so steep that its gradient would drown the rest


def to_linear(encoded: Tensor) -> Tensor:
    """sRGB 0..1 to linear light (IEC 61966-2-1)."""
    return torch.where(encoded <= 0.04045, encoded / 12.92, ((encoded.clamp_min(0.04) + 0.055) / 1.055) ** 2.4)


def to_encoded(light: Tensor) -> Tensor:
    """Linear light 0..1 to sRGB (IEC 61966-2-1)."""
    return torch.where(light <= 0.0031308, light * 12.92, 1.055 * light.clamp_min(LEAST_LIGHT) ** (1 / 2.4) - 0.055)


def mixture(outgoing: Tensor, incoming: Tensor, weight: Tensor) -> Tensor:
    """Pictures [n, C, H, W] in -1..1 and the incoming one's weight [n] -> their dissolve in -1..1."""
    a, b = (to_linear((x * 0.5 + 0.5).clamp(0, 1)) for x in (outgoing, incoming))
    w = weight[:, None, None, None]
    return to_encoded(a + (b - a) * w) * 2 - 1


def fit_dissolve(
    generator: Generator,
    cuts: CutList,
    shot: Shot,
    film: npt.NDArray[np.uint8],
    inner: list[int],
    before: Fitted,
    after: Fitted,
    options: FitOptions,
    pinned: Sequence[tuple[int, ...]] = ((), ()),
) -> tuple[Fitted, Fitted]:
    """Both walks with their ends fitted to the dissolve into `shot`. film: [frames, C, R, R] uint8.

    before, after: the walks of the outgoing shot and of `shot`; pinned: of each, the film frames whose keys do not move. Keys
    that play alone do not move. options.banned: latents that the keys of `shot` keep away from. Where the mixture comes no
    nearer to the film the walks stay as they were.
    """
    device = generator.w_avg.device
    frames = np.arange(shot.start, shot.start + shot.in_frames)
    weight = torch.tensor([cuts.mix_at(int(f)).weight for f in frames], dtype=torch.float32, device=device)  # [n]
    tables, masks, bases = [], [], []
    for walk, held in zip((before, after), pinned, strict=True):
        near = (walk.frames >= frames[0] - NEAR_FRAMES) & (walk.frames <= frames[-1] + NEAR_FRAMES)
        near &= ~np.isin(walk.frames, held)
        masks.append(torch.from_numpy(near[:, None, None].astype(np.float32)).to(device))
        tables.append(torch.from_numpy(walk.keys.copy()).to(device).requires_grad_(True))  # [K, rows, w_dim]
        bases.append(torch.from_numpy(spline_basis(walk.frames, frames).astype(np.float32)).to(device))  # [n, K]
    seen = torch.zeros(1, 1, *film.shape[2:], device=device)
    x, y, w, h = inner
    seen[..., y : y + h, x : x + w] = 1
    first = [table.detach().cpu().numpy().copy() for table in tables]
    was = _unlike(generator, tables, bases, weight, film[frames], seen)
    optimiser = torch.optim.Adam(tables, lr=options.rate, betas=(0.9, 0.99))
    rng = np.random.default_rng(options.seed + shot.number)
    for _ in range(options.steps or max(8, round(2 * options.passes * len(frames) / BATCH))):
        index = np.sort(rng.permutation(len(frames))[:BATCH])
        codes = [spread(basis, table) for basis, table in zip(bases, tables, strict=True)]
        ws = torch.cat([c[index].expand(-1, generator.num_ws, -1) for c in codes])  # [2b, num_ws, w_dim]
        outgoing, incoming = generator.synthesis(ws).split(len(index))  # [b, C, R, R] each
        truth = torch.from_numpy(film[frames[index]]).to(device).float() / 127.5 - 1
        made = mixture(outgoing, incoming, weight[index])
        loss = reconstruction_loss(made, truth, seen.expand(len(index), -1, -1, -1))
        for c in codes:
            if len(c) > 2:
                loss = loss + options.rough * (c[2:] - 2 * c[1:-1] + c[:-2]).square().mean()
        optimiser.zero_grad()
        loss.backward()
        for table, mask in zip(tables, masks, strict=True):
            assert table.grad is not None
            table.grad *= mask  # Adam moves nothing whose gradient has always been zero
        optimiser.step()
    kept = [np.asarray(table.detach().cpu().numpy(), np.float32) for table in tables]
    if not _unlike(generator, tables, bases, weight, film[frames], seen) < was:
        kept = first
    if options.banned:
        kept[1] = pushed_away(kept[1], options.banned, options.ban_radius, masks[1][:, 0, 0].cpu().numpy() > 0)
    return dataclasses.replace(before, keys=kept[0], joined_after=True), dataclasses.replace(after, keys=kept[1], joined=True)


@torch.no_grad()
def _unlike(generator: Generator, tables: Sequence[Tensor], bases: Sequence[Tensor], weight: Tensor,
            film: npt.NDArray[np.uint8], seen: Tensor) -> float:  # fmt: skip
    """How far the mixture of both walks is from the dissolve's frames, film uint8 [n, C, R, R], in the mean."""
    total = 0.0
    for part in torch.arange(len(film)).split(BATCH):
        ws = torch.cat([spread(b, t)[part].expand(-1, generator.num_ws, -1) for b, t in zip(bases, tables, strict=True)])
        outgoing, incoming = generator.synthesis(ws).split(len(part))  # [b, C, R, R] each
        truth = torch.from_numpy(film[part.numpy()]).to(weight.device).float() / 127.5 - 1
        made = mixture(outgoing, incoming, weight[part.to(weight.device)])
        total += len(part) * float(reconstruction_loss(made, truth, seen.expand(len(part), -1, -1, -1)))
    return total / len(film)
