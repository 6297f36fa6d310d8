"""Gradient descent on latent codes: pictures one by one, or the frames of one shot together, smooth in time.

Schedule, wandering noise on w and noise maps as in Karras et al. 2020 (arXiv 1912.04958), appendix D, in shares of the
number of steps; rates and distances are in deviations of w, so that they suit any network. Each step sees every picture of
its unit, so that a result does not depend on what else is projected, nor on where a run was stopped.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.stylegan2 import Generator
from player.show.problem import Problem, ShowError
from tools.project_losses import Targets, bend_matrix, noise_penalty
from tools.project_model import Spread

RAMP_UP, RAMP_DOWN, WANDERS = 0.05, 0.25, 0.75  # shares of the steps
NOISE_PENALTY = 1e5
KEEP_EVERY_STEPS = 25  # a run that is killed loses no more


class Stopped(Exception):
    """The person asked to stop; everything done so far has been kept."""


@dataclass(frozen=True)
class FitOptions:
    """How codes are sought.

    plus: one w a layer (W+). rate: of Adam at its height, in deviations of w a step. wander: deviation of the noise that is
    added to w at first, in deviations of w. prior: weight of the Mahalanobis distance to the mapping's w. apart: weight of
    the layers' distance to their mean (W+). smooth: weight of the squared second derivative of w over frames, in squared
    deviations (shots). noise: the noise maps are sought too. steps 0: the start is the answer.
    """

    steps: int
    plus: bool = False
    rate: float = 0.1
    wander: float = 0.05
    prior: float = 0.003
    apart: float = 0.003
    smooth: float = 0.005
    noise: bool = False
    seed: int = 0


@dataclass(frozen=True)
class Fitted:
    """w [N, 1 or num_ws, w_dim] float32; loss, start_loss (likeness only) and psnr [N] float32; noise: maps by input name,
    [N or 1, 1, R, R] float32, {} where they were not sought. seconds: of all runs that it took."""

    w: npt.NDArray[np.float32]
    loss: npt.NDArray[np.float32]
    psnr: npt.NDArray[np.float32]
    start_loss: npt.NDArray[np.float32]
    noise: dict[str, npt.NDArray[np.float32]]
    seconds: float = 0.0


@dataclass(frozen=True)
class Subject:
    """What one fit looks for. numbers: [N] of the pictures (film frames), increasing. weight: [N], how far each counts.
    together: they are the frames of one shot."""

    targets: Targets
    numbers: npt.NDArray[np.int64]
    weight: npt.NDArray[np.float32]
    together: bool


def rate_at(step: int, steps: int) -> float:
    """Share of the full rate: up linearly over the first 5 % of the steps, down as a cosine over the last 25 %."""
    t = (step + 1) / steps
    down = min(1.0, (1 - t) / RAMP_DOWN + 1 / steps)
    return min(1.0, t / RAMP_UP) * (0.5 - 0.5 * math.cos(math.pi * min(1.0, down)))


def wander_at(step: int, steps: int) -> float:
    """Share of the full wandering: 1 at first, down as a square to 0 at 75 % of the steps."""
    return max(0.0, 1 - step / steps / WANDERS) ** 2


def _wandering(subject: Subject, rows: int, w_dim: int, seed: int, step: int) -> Tensor:
    """Normal noise [N, rows, w_dim], the same for picture and step wherever a run begins; one draw for a whole shot."""
    drawn = []
    for number in subject.numbers[:1] if subject.together else subject.numbers:
        made = torch.Generator().manual_seed(((seed * 1_000_003 + int(number)) * 1_000_003 + step) % (1 << 63))
        drawn.append(torch.randn(rows, w_dim, generator=made))
    return torch.stack(drawn)


class _Descent:
    """The codes (and noise maps) on their way, with Adam's moments: all that a stopped fit goes on from."""

    def __init__(self, generator: Generator, start: Tensor, count: int, options: FitOptions, together: bool):
        self.w = start.clone().requires_grad_(True)  # [N, rows, w_dim]
        self.maps: dict[str, Tensor] = {}
        if options.noise:
            for name, value in generator.synthesis.noise_const().items():
                copies = value.expand(1 if together else count, -1, -1, -1)  # [1 or N, 1, R, R]
                self.maps[name] = copies.clone().requires_grad_(True)
        self.step, self._before_s, self._began_s = 0, 0.0, time.monotonic()
        groups: list[dict[str, Any]] = [{"params": [self.w]}]
        if self.maps:
            groups.append({"params": list(self.maps.values())})
        self.adam = torch.optim.Adam(groups, lr=0.0, betas=(0.9, 0.999))

    @property
    def seconds(self) -> float:
        return self._before_s + time.monotonic() - self._began_s

    def tensors(self) -> dict[str, Tensor]:
        return {"w": self.w, **self.maps}

    def keep(self, path: Path, key: str) -> None:
        arrays: dict[str, Any] = {"step": self.step, "seconds": self.seconds, "key": key}
        for name, value in self.tensors().items():
            arrays[name] = value.detach().cpu().numpy()
            for moment, kept in self.adam.state[value].items():
                arrays[f"{name}|{moment}"] = kept.detach().cpu().numpy()
        part = path.with_name(path.name + ".part")
        with part.open("wb") as file:
            np.savez(file, **arrays)
        os.replace(part, path)

    def load(self, path: Path, key: str) -> bool:
        """Go on from a kept state; False where there is none of this very fit."""
        try:
            with np.load(path, allow_pickle=False) as kept:
                if str(kept["key"]) != key:
                    return False
                arrays = {name: kept[name] for name in kept.files}
            read = {name: torch.from_numpy(arrays[name]) for name in self.tensors()}
            moments = {name: {m: torch.from_numpy(arrays[f"{name}|{m}"]) for m in ("step", "exp_avg", "exp_avg_sq")}
                       for name in read}  # fmt: skip
            if any(read[name].shape != value.shape for name, value in self.tensors().items()):
                return False
        except (OSError, KeyError, ValueError):
            return False
        for name, value in self.tensors().items():
            with torch.no_grad():
                value.copy_(read[name])
            moved = {m: v.to(value.device) for m, v in moments[name].items() if m != "step"}
            self.adam.state[value] = {"step": moments[name]["step"], **moved}
        self.step, self._before_s = int(arrays["step"]), float(arrays["seconds"])
        return True


def _noise_of(maps: dict[str, Tensor], part: slice) -> dict[str, Tensor]:
    """The maps of a part of the pictures; one for all stays one."""
    return {name: value if len(value) == 1 else value[part] for name, value in maps.items()}


@torch.no_grad()
def judged(generator: Generator, targets: Targets, w: Tensor, maps: dict[str, Tensor],
           stop: Callable[[], bool]) -> tuple[Tensor, Tensor]:  # fmt: skip
    """w [N, rows, w_dim] -> (unlikeness [N], PSNR [N] in dB)."""
    losses, ratios = [], []
    for index, part in enumerate(targets.parts):
        if stop():
            raise Stopped
        made = generator.synthesis(w[part].expand(-1, generator.num_ws, -1), _noise_of(maps, part) or "const")
        losses.append(targets.distance(index, made))
        ratios.append(targets.psnr(index, made))
    return torch.cat(losses), torch.cat(ratios)


def own_cost(w: Tensor, spread: Spread, options: FitOptions, bend: Tensor) -> Tensor:
    """What codes w [N, rows, w_dim] cost by themselves, [N]: far from the mapping's, layers apart, bent in time (the last
    by bend [N - 2, N], at the frame in the middle; [0, N] where they are no shot)."""
    cost = options.prior * spread.distance(w).mean(dim=1)  # [N]
    variance = spread.deviation**2
    if w.shape[1] > 1:
        off = w - w.mean(dim=1, keepdim=True)  # [N, num_ws, w_dim]
        cost = cost + options.apart * off.square().mean(dim=(1, 2)) / variance
    if len(bend):
        bent = torch.einsum("kn,nrd->krd", bend, w).square().mean(dim=(1, 2)) / variance  # [N - 2]
        cost = cost + options.smooth * torch.nn.functional.pad(bent, (1, 1))
    return cost


def fit(generator: Generator, spread: Spread, subject: Subject, start: Tensor, options: FitOptions, kept: Path, key: str,
        stop: Callable[[], bool], tell: Callable[[int], None]) -> Fitted:  # fmt: skip
    """Codes for the subject's pictures from start [N, 1 or num_ws, w_dim].

    kept: where an unfinished fit is put and found again; key: says which fit that is. stop() is asked between parts of a
    step; True puts the state there and raises Stopped. tell(n): n more picture steps are done; -n: so many were done in an
    earlier run. Raises ShowError where the descent runs away.
    """
    targets, device = subject.targets, start.device
    count = len(start)
    first = start.expand(-1, generator.num_ws if options.plus else start.shape[1], -1)  # [N, rows, w_dim]
    start_loss, _ = judged(generator, targets, first, {}, stop)
    now = _Descent(generator, first, count, options, subject.together)
    if now.load(kept, key):
        tell(-now.step * count)
    weight = torch.from_numpy(subject.weight).to(device)  # [N]
    matrix = bend_matrix(subject.numbers) if subject.together else np.zeros((0, count))
    bend = torch.from_numpy(matrix.astype(np.float32)).to(device)  # [N - 2, N]
    try:
        while now.step < options.steps:
            _one_step(generator, spread, subject, now, options, weight, bend, stop)
            tell(count)
            if now.step % KEEP_EVERY_STEPS == 0 and now.step < options.steps:
                now.keep(kept, key)
        loss, ratio = judged(generator, targets, now.w.detach(), {n: m.detach() for n, m in now.maps.items()}, stop)
    except Stopped:
        if now.step:
            now.keep(kept, key)
        raise
    w = now.w.detach()
    if not options.noise and not torch.isnan(loss).any():
        # few steps may end a little worse than a good start: then the start is the answer
        more = (loss - start_loss) * weight + own_cost(w, spread, options, bend) - own_cost(first, spread, options, bend)  # [N]
        worse = more > 0 if not subject.together else (more.sum() > 0).expand(count)
        w = torch.where(worse[:, None, None], first, w)
        loss, ratio = judged(generator, targets, w, {}, stop) if worse.any() else (loss, ratio)
    noise = {name: m.detach().cpu().numpy() for name, m in now.maps.items()}
    return Fitted(w.cpu().numpy().astype(np.float32), loss.cpu().numpy(), ratio.cpu().numpy(), start_loss.cpu().numpy(),
                  noise, now.seconds)  # fmt: skip


def _one_step(generator: Generator, spread: Spread, subject: Subject, now: _Descent, options: FitOptions, weight: Tensor,
              bend: Tensor, stop: Callable[[], bool]) -> None:  # fmt: skip
    """Gradients of every part, of the terms on the codes themselves, and one step of Adam."""
    share = rate_at(now.step, options.steps)
    rates = (options.rate * spread.deviation, 0.1)  # noise maps have variance 1: the paper's own rate
    for group, rate in zip(now.adam.param_groups, rates, strict=False):
        group["lr"] = rate * share
    wander = options.wander * spread.deviation * wander_at(now.step, options.steps)
    noise = _wandering(subject, now.w.shape[1], now.w.shape[2], options.seed, now.step).to(now.w.device)
    now.adam.zero_grad()
    for index, part in enumerate(subject.targets.parts):
        if stop():
            raise Stopped  # the gradients so far are thrown away: the state is that before the step
        moved = now.w[part] + wander * (noise if len(noise) == 1 else noise[part])  # [n, rows, w_dim]
        made = generator.synthesis(moved.expand(-1, generator.num_ws, -1), _noise_of(now.maps, part) or "const")
        unlike = subject.targets.distance(index, made)  # [n]
        if not torch.isfinite(unlike).all():
            given = f"runs away at step {now.step + 1} of {options.steps}"
            raise ShowError(Problem("the projection", given, "finite pictures", f"--rate {options.rate / 4:g}"))
        (unlike * weight[part]).sum().backward()
    own = own_cost(now.w, spread, options, bend).sum()
    if now.maps:
        own = own + NOISE_PENALTY * noise_penalty(list(now.maps.values()))
    own.backward()
    now.adam.step()
    with torch.no_grad():
        for value in now.maps.values():
            value -= value.mean(dim=(2, 3), keepdim=True)
            value *= (value.square().mean(dim=(2, 3), keepdim=True) + 1e-8).rsqrt()
    now.step += 1
