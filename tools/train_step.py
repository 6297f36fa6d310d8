"""One training iteration: generator and discriminator updates, lazy regularisation, averaging.

Adversarial part: Karras et al. 2020 (arXiv 1912.04958), training details of arXiv 2006.06676. Anchored part: this
project's (see tools/train_anchors.py). Each call draws all its randomness from torch's default generator, so that a
resumed run is the same run.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.discriminator import Discriminator
from models.stylegan2 import Generator
from tools.train_anchors import CodeTable
from tools.train_dataset import Dataset
from tools.train_losses import (
    discriminator_loss,
    feature_loss,
    generator_loss,
    path_lengths,
    path_penalty,
    r1_penalty,
    reconstruction_loss,
)


@dataclass(frozen=True)
class Recipe:
    """How one iteration is made up. Batches in pictures, intervals in adversarial turns, weights of the losses."""

    batch: int = 16  # anchored frames (anchored), or pictures from z (plain)
    z_batch: int = 4  # pictures from z beside the anchored ones
    adversarial_every: int = 1  # iterations; the others reconstruct only; 0 = never
    lr: float = 0.0025
    judge_lr: float = 0.0025
    code_lr: float = 0.01
    mapping_lr: float = 0.0025
    mapping_beta1: float = 0.0
    beta1: float = 0.0
    r1_gamma: float = 1.0
    r1_interval: int = 16
    path_weight: float = 2.0
    path_interval: int = 4
    ema_kimg: float = 5.0
    adversarial_weight: float = 1.0
    reconstruction_weight: float = 10.0
    feature_weight: float = 1.0
    smooth_weight: float = 1.0
    mapping_weight: float = 1.0
    mapping_steps: int = 6  # of the mapping an iteration, with anchors


class Training:
    """Networks, optimisers and counters of a run; `step` is one iteration."""

    def __init__(
        self,
        generator: Generator,
        discriminator: Discriminator,
        dataset: Dataset,
        usable: NDArray[np.bool_],
        recipe: Recipe,
        table: CodeTable | None = None,
        weights: NDArray[np.float16] | None = None,
        dtype: torch.dtype = torch.float32,
    ):
        self.dataset, self.recipe, self.table, self.weights, self.dtype = dataset, recipe, table, weights, dtype
        self.known = torch.from_numpy(np.flatnonzero(usable))  # [usable frames]
        self.generator = generator.to(memory_format=torch.channels_last).train().requires_grad_(True)
        self.discriminator = discriminator.to(memory_format=torch.channels_last).train().requires_grad_(True)
        self.average = copy.deepcopy(generator).eval().requires_grad_(False)
        self.device = next(generator.parameters()).device
        self.optimizers: dict[str, torch.optim.Optimizer] = {
            "g": lazy_adam(generator.synthesis, recipe.lr, recipe.beta1, recipe.path_interval),
            "mapping": lazy_adam(generator.mapping, recipe.mapping_lr, recipe.mapping_beta1, recipe.path_interval),
            "d": lazy_adam(discriminator, recipe.judge_lr, 0.0, recipe.r1_interval),
        }
        if table is not None:
            self.optimizers["codes"] = torch.optim.SparseAdam(table.parameters(), lr=recipe.code_lr, betas=(0.8, 0.99))
        self.base_lrs = {k: [group["lr"] for group in o.param_groups] for k, o in self.optimizers.items()}
        self.pictures = 0  # made so far
        self.iteration = 0
        self.turn = 0  # adversarial turns so far
        self.path_mean = torch.zeros([])

    def set_lr(self, factor: float) -> None:
        """All learning rates = their base times factor."""
        for name, optimizer in self.optimizers.items():
            for group, base in zip(optimizer.param_groups, self.base_lrs[name], strict=True):
                group["lr"] = base * factor

    def step(self, adversarial_gain: float = 1.0) -> dict[str, float]:
        """One iteration; the losses as plain numbers. adversarial_gain fades the adversarial weight in after growing."""
        r = self.recipe
        adversarial = bool(r.adversarial_every) and self.iteration % r.adversarial_every == 0
        losses = self.generator_turn(adversarial, adversarial_gain)
        if adversarial:
            if r.path_interval and self.turn % r.path_interval == 0 and r.path_weight:
                losses |= self.path_turn()
            self.turn += 1
        self.average_weights()
        self.iteration += 1
        return losses

    def generator_turn(self, adversarial: bool, gain: float) -> dict[str, float]:
        """Update generator and codes; in an adversarial turn also the discriminator, on the same pictures."""
        r, g, d = self.recipe, self.generator, self.discriminator
        anchored = r.batch if self.table is not None else 0
        from_z = (r.z_batch if anchored else r.batch) if adversarial else 0
        losses: dict[str, float] = {}
        self.compute(self.dtype)
        d.requires_grad_(False)
        parts: list[Tensor] = []
        total = torch.zeros([], device=self.device)
        if self.table is not None:
            index = self.draw(anchored)  # [A]
            codes = self.table(index)  # [A, w_dim]
            parts.append(codes)
            rough = self.table.roughness(index, codes)
            for _ in range(r.mapping_steps - 1):  # the mapping alone costs next to nothing, and has far to go
                self.update(["mapping"], self.missed())
            missed = self.missed()  # []
            total = total + r.smooth_weight * rough + r.mapping_weight * missed
            losses |= {"rough": float(rough.detach()), "mapping": float(missed.detach())}
        if from_z:
            w = g.mapping.w(torch.randn(from_z, g.config.z_dim).to(self.device))  # [Z, w_dim]
            g.mapping.track(w if self.table is None else self.table.codes[self.draw(256)])
            parts.append(w)
        ws = torch.cat(parts)[:, None].expand(-1, g.num_ws, -1)  # [A + Z, num_ws, w_dim]
        made = g.synthesis(ws, self.noise(anchored, from_z))  # [A + Z, C, H, W]
        if self.table is not None:
            truth = self.real(index)  # [A, C, H, W]
            weight = torch.ones_like(truth[:, :1])  # [A, 1, H, W]
            if self.weights is not None:
                weight = torch.from_numpy(self.weights[index.numpy()]).float().to(self.device)
            rebuilt = reconstruction_loss(made[:anchored], truth, weight)
            total = total + r.reconstruction_weight * rebuilt
            losses["rebuilt"] = float(rebuilt.detach())
        judged = min(anchored, from_z) if anchored else 0  # as many anchored pictures as from z are judged
        if adversarial:
            seen = torch.cat([made[:judged], made[anchored:]])  # [judged + Z, C, H, W]
            features = d.features(seen)
            g_loss = generator_loss(d.logits(features))
            total = total + r.adversarial_weight * gain * g_loss
            losses["g"] = float(g_loss.detach())
            if judged and r.feature_weight:
                with torch.no_grad():
                    wanted = d.features(truth[:judged])
                alike = feature_loss([f[:judged] for f in features], wanted)
                total = total + r.feature_weight * gain * alike
                losses["features"] = float(alike.detach())
        self.update(["g", "mapping"] + (["codes"] if self.table is not None else []), total)
        if adversarial:
            losses |= self.discriminator_turn(seen.detach())
        self.pictures += anchored + from_z
        return losses

    def discriminator_turn(self, fake: Tensor) -> dict[str, float]:
        """Update the discriminator on fake [N, C, H, W] and as many real pictures; R1 where it is due."""
        r, d = self.recipe, self.discriminator
        d.requires_grad_(True)
        real = self.real(self.draw(fake.shape[0]))  # [N, C, H, W]
        real_logits, fake_logits = d(real), d(fake)  # [N, 1] each; apart, for the minibatch deviation's sake
        loss = discriminator_loss(real_logits, fake_logits)
        losses = {"d": float(loss.detach())}
        losses |= {"real": float(real_logits.detach().mean()), "fake": float(fake_logits.detach().mean())}
        self.update(["d"], loss)
        if r.r1_interval and self.turn % r.r1_interval == 0 and r.r1_gamma:
            self.compute(torch.float32)  # second derivatives are taken in full precision
            penalty = r1_penalty(d, real).mean()
            self.update(["d"], penalty * (r.r1_gamma / 2 * r.r1_interval))
            losses["r1"] = float(penalty.detach())
        return losses

    def path_turn(self) -> dict[str, float]:
        """Path length regularisation on half a batch (at least 2), interval times the weight."""
        r, g = self.recipe, self.generator
        self.compute(torch.float32)
        count = max(2, (r.z_batch if self.table is not None else r.batch) // 2)
        w = g.mapping.w(torch.randn(count, g.config.z_dim).to(self.device))  # [n, w_dim]
        ws = w[:, None].expand(-1, g.num_ws, -1)  # [n, num_ws, w_dim]
        lengths = path_lengths(g.synthesis(ws, "random"), ws)  # [n]
        penalty, self.path_mean = path_penalty(lengths, self.path_mean.to(self.device))
        self.update(["g", "mapping"], penalty * (r.path_weight * r.path_interval))
        return {"path": float(lengths.detach().mean())}

    def missed(self, count: int = 256) -> Tensor:
        """How far the mapping is from sending `count` fresh z to the codes of the frames they stand for, -> []."""
        assert self.table is not None
        z = torch.randn(count, self.generator.config.z_dim).to(self.device)  # [count, z_dim]
        return (self.generator.mapping.w(z) - self.table.near(z)).square().mean()

    def update(self, names: list[str], loss: Tensor) -> None:
        """Backward and one step of the named optimisers; values that are not finite become 0, as the reference does."""
        for name in names:
            self.optimizers[name].zero_grad(set_to_none=True)
        loss.backward()
        for name in names:
            for group in self.optimizers[name].param_groups:
                for p in group["params"]:
                    if p.grad is not None and not p.grad.is_sparse:
                        torch.nan_to_num(p.grad, nan=0.0, posinf=1e5, neginf=-1e5, out=p.grad)
            self.optimizers[name].step()

    @torch.no_grad()
    def average_weights(self) -> None:
        """Exponential average of the generator, half-life ema_kimg (shorter at the start); buffers are copied."""
        r = self.recipe
        count = r.batch + (r.z_batch if self.table is not None else 0)
        half_life = min(r.ema_kimg * 1000, max(self.pictures, 1) * 0.05)
        beta = 0.5 ** (count / max(half_life, 1e-8))
        for slow, fast in zip(self.average.parameters(), self.generator.parameters(), strict=True):
            slow.lerp_(fast, 1 - beta)
        for kept, now in zip(self.average.buffers(), self.generator.buffers(), strict=True):
            kept.copy_(now)

    def compute(self, dtype: torch.dtype) -> None:
        """Precision of the following passes."""
        self.generator.synthesis.set_compute(dtype)
        self.discriminator.set_compute(dtype)

    def draw(self, count: int) -> Tensor:
        """Indices of `count` usable pictures, int64 [count]."""
        return self.known[torch.randint(len(self.known), (count,))]

    def real(self, index: Tensor) -> Tensor:
        """index [N] -> pictures [N, C, H, W] in -1..1."""
        return self.dataset.batch(index).to(self.device, memory_format=torch.channels_last)

    def noise(self, anchored: int, from_z: int) -> dict[str, Tensor]:
        """Constant noise for the anchored pictures, fresh noise for those from z; each [A + Z or 1, 1, H, W]."""
        maps: dict[str, Tensor] = {}
        for name, const in self.generator.synthesis.noise_const().items():
            fresh = torch.randn(from_z, *const.shape[1:]).to(self.device)  # [Z, 1, H, W]
            maps[name] = torch.cat([const.expand(anchored, -1, -1, -1), fresh]) if from_z else const
        return maps


def lazy_adam(network: torch.nn.Module, lr: float, beta1: float, interval: int) -> torch.optim.Adam:
    """Adam for a loss with a lazily regularised part: lr and betas corrected by interval / (interval + 1)."""
    ratio = interval / (interval + 1) if interval else 1.0
    betas = (float(beta1**ratio) if beta1 else 0.0, 0.99**ratio)
    return torch.optim.Adam(network.parameters(), lr=lr * ratio, betas=betas, eps=1e-8, fused=True)
