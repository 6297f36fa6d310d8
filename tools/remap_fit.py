"""One shot's walk, found by gradient descent through the generator: keys in W, a natural cubic spline between them.

FACTS: no term reaches across a cut; the spline is a linear map of its keys, so it is one matrix here; starting from codes
that know the film keeps the latent, starting from the mean loses it (it still finds a picture).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from models.stylegan2 import Generator
from player.show.walk import natural_second_derivatives
from tools.remap_target import Target
from tools.train_losses import reconstruction_loss

KEY_EVERY_FRAMES = 3
SMOOTHINGS = (0.0, 3.0, 30.0, 300.0)  # frames^4, of the codes of a training run
STILL = 0.002  # mean change of a pixel from frame to frame that is not motion but grain
LEAST_STEPS = 60  # a shot of a few frames is soon done, and training has seen it least
BATCH = 4  # pictures a step: a larger batch leaves the processor cache and is slower a picture


@dataclass(frozen=True)
class FitOptions:
    """How one shot is fitted.

    steps: gradient steps at most (0: passes over the shot's frames, from its length). plus: one w a layer (W+) instead of
    one for all. seconds: time for this shot at most. rate: of Adam. rough: weight of the squared second difference of w
    over time; move: weight of the difference between the pictures' changes from frame to frame and the film's: both keep
    a walk from flickering. batch: pictures a step. pinned: film frames whose keys do not move. banned: latents [w_dim] that
    no other key comes nearer to than ban_radius.
    """

    steps: int = 0
    plus: bool = False
    passes: float = 6.0
    seconds: float = float("inf")
    rate: float = 0.02
    rough: float = 0.05
    move: float = 1.0
    seed: int = 0
    batch: int = BATCH
    pinned: tuple[int, ...] = ()
    banned: tuple[npt.NDArray[np.float32], ...] = ()
    ban_radius: float = 0.0


@dataclass(frozen=True)
class Fitted:
    """A walk: keys [K, 1 or num_ws, w_dim] float32 at frames [K].

    error: mean |made - film| in 0..1 inside the picture, before and after; motion: mean change from frame to frame, made
    over film (1 is right, more flickers, less is frozen).
    """

    keys: npt.NDArray[np.float32]
    frames: npt.NDArray[np.int64]
    error_before: float
    error: float
    motion: float
    steps: int
    finished: bool
    joined: bool = False  # its dissolve in has been fitted together with the shot before
    joined_after: bool = False  # and the one that follows it, with the shot after


def key_frames(frames: npt.NDArray[np.int64], end: int, every: int = KEY_EVERY_FRAMES) -> npt.NDArray[np.int64]:
    """Film frames of the keys: the first, the shot's last, the walk's last, and about one per `every` frames between."""
    first, last = int(frames[0]), int(frames[-1])
    count = max(2, round((last - first) / every) + 1) if last > first else 1
    even = np.round(np.linspace(first, last, count)).astype(np.int64)
    return np.unique(np.append(even, end - 1))


def spline_basis(keys: npt.NDArray[np.int64], frames: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """The matrix [n, K] that takes values at `keys` to the natural cubic spline's values at `frames` (held outside)."""
    x = keys.astype(np.float64)
    unit = np.eye(len(x))
    second = natural_second_derivatives(x, unit)  # [K, K]: the spline of each key alone
    if len(x) == 1:
        return np.ones((len(frames), 1))
    at = np.clip(frames.astype(np.float64), x[0], x[-1])
    i = np.clip(np.searchsorted(x, at, side="right") - 1, 0, len(x) - 2)
    h = x[i + 1] - x[i]
    a, b = ((x[i + 1] - at) / h)[:, None], ((at - x[i]) / h)[:, None]
    curve = ((a**3 - a) * second[i] + (b**3 - b) * second[i + 1]) * (h * h / 6.0)[:, None]
    basis: npt.NDArray[np.float64] = a * unit[i] + b * unit[i + 1] + curve
    return basis


def carried_on(codes: npt.NDArray[np.float64], known: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """codes [n, w_dim] where those before the first and after the last known frame go on as the motion was, dying away."""
    made = codes.copy()
    at = np.flatnonzero(known)
    for edge, step in ((at[0], -1), (at[-1], 1)):
        span = min(4, len(at) - 1)
        speed = (
            (codes[edge] - codes[edge - step * span]) / span if span and known[edge - step * span] else 0 * codes[edge]
        )
        now = codes[edge]
        for i in range(edge + step, -1 if step < 0 else len(codes), step):
            speed = speed * 0.85
            now = now + speed
            made[i] = now
    return made


def smoothed_fit(
    basis: npt.NDArray[np.float64], wanted: npt.NDArray[np.float64], smooth: float
) -> npt.NDArray[np.float32]:
    """Keys [K, w_dim] that minimise |basis keys - wanted|^2 + smooth |second difference of basis keys|^2."""
    rows = [basis]
    if smooth > 0 and len(basis) > 2:
        rows.append(np.sqrt(smooth) * np.diff(basis, n=2, axis=0))
    stacked = np.concatenate(rows)
    aims = np.concatenate([wanted, np.zeros((len(stacked) - len(wanted), wanted.shape[1]))])
    return np.asarray(np.linalg.lstsq(stacked, aims, rcond=None)[0], dtype=np.float32)


def start_from_codes(
    generator: Generator, target: Target, codes: npt.NDArray[np.float32], keys: npt.NDArray[np.int64]
) -> npt.NDArray[np.float32]:
    """Keys [K, w_dim] near the codes [film frames, w_dim] of the target's frames, as smooth as suits the film.

    Codes of a short training tremble; of several strengths of smoothing the one is taken whose pictures are near the
    film and move as much as the film does.
    """
    known = target.clean > 0
    wanted = carried_on(codes[target.frames].astype(np.float64), known)
    basis = spline_basis(keys, target.frames)
    tried: list[tuple[float, int, npt.NDArray[np.float32]]] = []
    for smooth in SMOOTHINGS:
        made = smoothed_fit(basis, wanted, smooth)
        error, motion = measure(generator, target, made, keys)
        tried.append((error + 0.01 * abs(np.log2(max(motion, 1e-3))), len(tried), made))
    return min(tried)[2]


@dataclass(frozen=True)
class Bank:
    """Random pictures of a generator, small: w [M, w_dim], small [M, C, S, S] float32 in 0..1."""

    w: Tensor
    small: Tensor


@torch.no_grad()
def random_bank(generator: Generator, count: int, seed: int = 0, size: int = 16) -> Bank:
    """`count` samples: a starting point where no anchors are."""
    made = torch.Generator().manual_seed(seed)
    ws, smalls = [], []
    for first in range(0, count, 32):
        n = min(32, count - first)
        device = generator.w_avg.device
        z = torch.randn(n, generator.config.z_dim, generator=made).to(device)
        c = torch.zeros(n, generator.config.c_dim, device=device) if generator.config.c_dim else None
        mapped = generator.mapping(z, c)  # [n, num_ws, w_dim]
        image = generator.synthesis(mapped).clamp(-1, 1) * 0.5 + 0.5  # [n, C, R, R]
        ws.append(mapped[:, 0].cpu())
        smalls.append(F.adaptive_avg_pool2d(image, size).cpu())
    return Bank(torch.cat(ws), torch.cat(smalls))


def start_from_bank(target: Target, bank: Bank, keys: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Keys [K, w_dim], all at the sample that is nearest to the shot as a whole: a still picture in the right place."""
    size = bank.small.shape[-1]
    seen = np.flatnonzero(target.clean > 0)
    chosen = seen[:: max(1, len(seen) // 12)]
    images = F.adaptive_avg_pool2d(torch.from_numpy(target.images[chosen]).float() / 255, size)  # [n, C, S, S]
    inside = F.adaptive_avg_pool2d(torch.from_numpy(target.weights[chosen[:1]]).float(), size)[0] > 0  # [1, S, S]
    distance = torch.stack([((bank.small - image).abs() * inside).mean(dim=(1, 2, 3)) for image in images]).mean(
        dim=0
    )  # [M]
    best: npt.NDArray[np.float32] = bank.w[int(distance.argmin())].numpy()
    return np.repeat(best[None], len(keys), axis=0)


def pushed_away(
    keys: npt.NDArray[np.float32], banned: Sequence[npt.NDArray[np.float32]], radius: float, free: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float32]:
    """keys [K, rows, w_dim] with every free one at least `radius` from each banned latent [w_dim], moved straight away."""
    made = keys.copy()
    for number, latent in enumerate(banned):
        off = made.mean(axis=1) - latent  # [K, w_dim]
        far = np.linalg.norm(off, axis=1)  # [K]
        for i in np.flatnonzero((far < radius) & free):
            way = off[i] if far[i] > 1e-6 * radius else np.random.default_rng(number).standard_normal(len(latent))
            away = latent + way / np.linalg.norm(way) * radius * 1.001
            made[i] += (away - made[i].mean(axis=0)).astype(np.float32)
    return made


def spread(basis: Tensor, table: Tensor) -> Tensor:
    """basis [n, K], table [K, rows, w_dim] -> the walk at n frames [n, rows, w_dim]."""
    return (basis @ table.flatten(1)).view(len(basis), *table.shape[1:])


def render(generator: Generator, w: Tensor, batch: int = 16) -> Tensor:
    """w [n, w_dim] or [n, num_ws or 1, w_dim] -> pictures [n, C, R, R] in -1..1 in the machine's memory, no gradients."""
    ws = (w if w.ndim == 3 else w[:, None]).to(generator.w_avg.device)
    ws = ws.expand(-1, generator.num_ws, -1) if ws.shape[1] == 1 else ws[:, : generator.num_ws]
    with torch.no_grad():
        return torch.cat([generator.synthesis(part).clamp(-1, 1).cpu() for part in ws.split(batch)])


def _orders(seen: npt.NDArray[np.int64], batch: int, seed: int) -> Iterator[npt.NDArray[np.int64]]:
    """Batches of indices in pairs of neighbours, every pair once before any comes twice."""
    rng = np.random.default_rng(seed)
    while True:
        # Pairs (0, 1), (2, 3) ... and (1, 2), (3, 4) ... in turn, so that each frame is seen beside both neighbours.
        first = np.arange(int(rng.integers(2)) if len(seen) > 2 else 0, max(1, len(seen) - 1), 2)
        order = rng.permutation(first)
        for at in range(0, len(order), batch // 2):
            chosen = np.sort(order[at : at + batch // 2])
            yield seen[np.minimum(np.stack([chosen, chosen + 1], axis=1).reshape(-1), len(seen) - 1)]


def measure(
    generator: Generator, target: Target, keys: npt.NDArray[np.float32], at: npt.NDArray[np.int64], most: int = 24
) -> tuple[float, float]:
    """(mean |made - film| in 0..1, motion ratio) inside the picture over at most `most` clean frames."""
    seen = np.flatnonzero(target.clean > 0.99)
    if len(seen) == 0:
        seen = np.flatnonzero(target.clean > 0)
    step = max(1, -(-2 * len(seen) // most))
    pairs = seen[:-1][::step] if len(seen) > 1 else seen
    chosen = np.unique(np.append(pairs, np.minimum(pairs + 1, seen[-1])))
    basis = torch.from_numpy(spline_basis(at, target.frames[chosen]).astype(np.float32))
    made = (
        render(generator, spread(basis, torch.from_numpy(keys.reshape(len(keys), -1, keys.shape[-1])))) * 0.5 + 0.5
    )  # [m, C, R, R]
    film = torch.from_numpy(target.images[chosen]).float() / 255
    inside = (torch.from_numpy(target.weights[chosen]).float() > 0).float()
    error = float(((made - film).abs() * inside).sum() / (inside.sum() * film.shape[1]))
    near = np.flatnonzero(np.diff(chosen) == 1)
    if len(near) == 0:
        return error, 1.0
    still = STILL * inside[near].sum() * film.shape[1]
    moved = ((made[near + 1] - made[near]).abs() * inside[near]).sum()
    truly = ((film[near + 1] - film[near]).abs() * inside[near]).sum()
    return error, float((moved + still) / (truly + still))


def fit(
    generator: Generator,
    target: Target,
    start: npt.NDArray[np.float32],
    keys: npt.NDArray[np.int64],
    options: FitOptions,
    tell: Callable[[int, int], None] | None = None,
) -> Fitted:
    """Fit keys [K, w_dim] to the target. Stops at the steps or seconds given, or at Ctrl-C (then finished is False)."""
    seen, device = np.flatnonzero(target.clean > 0), generator.w_avg.device
    steps = options.steps or max(LEAST_STEPS, round(options.passes * len(seen) / options.batch))
    everything = torch.from_numpy(spline_basis(keys, target.frames).astype(np.float32)).to(device)  # [n, K]
    rows = generator.num_ws if options.plus else 1
    first = start if start.ndim == 3 else start[:, None]
    first = np.repeat(first, rows, axis=1) if first.shape[1] == 1 else first  # [K, rows, w_dim]
    free = ~np.isin(keys, options.pinned)
    first = pushed_away(first, options.banned, options.ban_radius, free)
    table = torch.from_numpy(first.copy()).to(device).requires_grad_(True)
    moves = torch.from_numpy(free[:, None, None].astype(np.float32)).to(device)
    before, _ = measure(generator, target, first, keys)
    optimiser = torch.optim.Adam([table], lr=options.rate, betas=(0.9, 0.99))
    began, done, finished = time.monotonic(), 0, True
    try:
        for index in _orders(seen, options.batch, options.seed + target.shot.number):
            if done >= steps:
                break
            spent = (time.monotonic() - began) / options.seconds
            if spent >= 1:
                break
            progress = max(done / steps, spent)
            for group in optimiser.param_groups:
                # a short warm-up: Adam's first steps are of full size however small the gradient is
                group["lr"] = (
                    options.rate * min(1.0, (done + 1) / 4) * (0.05 + 0.95 * 0.5 * (1 + np.cos(np.pi * progress)))
                )
            w = spread(everything, table)  # [n, rows, w_dim]
            ws = w[index].expand(-1, generator.num_ws, -1)  # [b, num_ws, w_dim]
            made = generator.synthesis(ws)  # [b, C, R, R]
            truth = torch.from_numpy(target.images[index]).to(device).float() / 127.5 - 1
            weight = torch.from_numpy(target.weights[index]).to(device).float()  # [b, 1, R, R]
            loss = reconstruction_loss(made, truth, weight)
            change = (made[1::2] - made[::2]) - (truth[1::2] - truth[::2])  # [b / 2, C, R, R]
            loss = loss + options.move * (change.abs() * weight[::2]).mean()
            bent = (w[2:] - 2 * w[1:-1] + w[:-2]).square().mean() if len(w) > 2 else loss.new_zeros([])
            total = loss + options.rough * bent
            optimiser.zero_grad()
            total.backward()
            assert table.grad is not None
            table.grad *= moves  # Adam moves nothing whose gradient has always been zero
            optimiser.step()
            if options.banned:
                away = pushed_away(table.detach().cpu().numpy(), options.banned, options.ban_radius, free)
                with torch.no_grad():
                    table.copy_(torch.from_numpy(away))
            done += 1
            if tell is not None:
                tell(done, steps)
    except KeyboardInterrupt:
        finished = False
    table_now = table.detach().cpu().numpy()
    error, motion = measure(generator, target, table_now, keys)
    if not error <= before:
        # few steps may end a little worse than a good start: then the start is the answer
        table_now, (error, motion) = first, measure(generator, target, first, keys)
    return Fitted(table_now.astype(np.float32), keys, before, error, motion, done, finished)
