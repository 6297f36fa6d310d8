"""One iteration of anchored training: every film frame's code and the generator learn to make that frame; in adversarial
turns the discriminator judges these pictures and some from z beside it. See tools/train_anchors.py for the codes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from tools.train_anchors import CodeTable
from tools.train_dataset import Dataset
from tools.train_losses import feature_loss, generator_loss, reconstruction_loss
from tools.train_step import Training


class AnchoredTraining(Training):
    """Training with a code for every frame of `film` (mostly the dataset itself).

    weights: float16 [frames, 1, R, R], where a reconstruction matters most. Styles are not mixed: a code is one w.
    """

    def __init__(self, *networks_and_data: Any, table: CodeTable, film: Dataset | None = None,
                 film_usable: NDArray[np.bool_] | None = None, weights: NDArray[np.float16] | None = None, **more: Any):
        super().__init__(*networks_and_data, **more)
        self.table, self.detail = table, weights
        self.film = self.dataset if film is None else film
        if film_usable is None:
            film_usable = np.isin(np.arange(len(self.film.images)), self.sampler.known)
        self.pure = film_usable  # bool [frames]: not a mix of two shots
        self.frames = torch.from_numpy(np.flatnonzero(film_usable))  # [usable frames]
        self.judged = torch.from_numpy(self.sampler.known)  # [usable pictures of the dataset]
        self.optimizers["codes"] = torch.optim.SparseAdam(table.parameters(), lr=self.recipe.code_lr, betas=(0.8, 0.99))
        self.weights["codes"] = list(table.parameters())
        self.remember_rates()

    @property
    def seen_a_step(self) -> int:
        """Anchored frames and pictures from z."""
        return self.recipe.batch + self.recipe.z_batch

    def step(self, adversarial_gain: float = 1.0) -> dict[str, Tensor]:
        """One iteration, with the adversary in every `adversarial_every`-th."""
        r = self.recipe
        adversarial = bool(r.adversarial_every) and self.iteration % r.adversarial_every == 0
        losses = self.rebuild(adversarial, adversarial_gain)
        if adversarial:
            if r.path_interval and self.turn % r.path_interval == 0 and r.path_weight:
                losses |= self.path_turn()
            self.turn += 1
            self.tune_augmentation()
        self.average_weights()
        self.iteration += 1
        return losses

    def rebuild(self, adversarial: bool, gain: float) -> dict[str, Tensor]:
        """Update generator and codes; in an adversarial turn also the discriminator, on the same pictures."""
        r, g, d = self.recipe, self.generator, self.discriminator
        anchored, from_z = r.batch, r.z_batch if adversarial else 0
        self.compute(self.dtype)
        index = self.frames[torch.randint(len(self.frames), (anchored,))]  # [A]
        codes = self.table(index.to(self.device))  # [A, w_dim]
        rough = self.table.roughness(index.to(self.device), codes)  # []
        for _ in range(r.mapping_steps - 1):  # the mapping alone costs next to nothing, and has far to go
            self.clear("mapping")
            self.missed().backward()
            self.update("mapping")
        self.clear("g", "mapping", "codes", "d")
        missed = self.missed()  # []
        total = r.smooth_weight * rough + r.mapping_weight * missed
        losses = {"rough": rough.detach(), "mapping": missed.detach()}
        parts = [codes]
        if from_z:
            parts.append(g.mapping.w(torch.randn(from_z, g.config.z_dim, device=self.device)))  # [Z, w_dim]
            some = self.frames[torch.randint(len(self.frames), (256,))]
            g.mapping.track(self.table.codes[some.to(self.device)])
        ws = torch.cat(parts)[:, None].expand(-1, g.num_ws, -1)  # [A + Z, num_ws, w_dim]
        made = g.synthesis(ws, self.noise(anchored, from_z))  # [A + Z, C, H, W]
        truth = self.film.batch(index).to(self.device, memory_format=torch.channels_last)  # [A, C, H, W]
        weight = torch.ones_like(truth[:, :1])  # [A, 1, H, W]
        if self.detail is not None:
            weight = torch.from_numpy(self.detail[index.numpy()]).float().to(self.device)
        rebuilt = reconstruction_loss(made[:anchored], truth, weight)
        total = total + r.reconstruction_weight * rebuilt
        losses["rebuilt"] = rebuilt.detach()
        learners = [p for name in ("g", "mapping", "codes") for p in self.weights[name]]
        if not adversarial:
            total.backward(inputs=learners)
            self.update("g", "mapping", "codes")
            self.pictures += anchored
            return losses
        judged = min(anchored, from_z)  # as many anchored pictures as from z are judged
        seen = torch.cat([made[:judged], made[anchored:]])  # [judged + Z, C, H, W]
        features = d.features(seen)
        logits = d.logits(features) if not self.p else d(self.shown(seen))  # [judged + Z, 1]
        g_loss = generator_loss(logits)
        total = total + r.adversarial_weight * gain * g_loss
        losses["g"] = g_loss.detach()
        if r.feature_weight:
            with torch.no_grad():
                wanted = d.features(truth[:judged])
            alike = feature_loss([f[:judged] for f in features], wanted)
            total = total + r.feature_weight * gain * alike
            losses["features"] = alike.detach()
        total.backward(inputs=learners, retain_graph=True)
        against = F.softplus(logits).mean()
        against.backward(inputs=self.weights["d"])  # on the same graph: these pictures are judged once
        self.update("g", "mapping", "codes")
        penalties = self.r1_due()
        real, _ = self.drawn_reals(len(seen))  # [judged + Z, C, H, W]
        parts_of_d = self.judge_reals(real, None, 1.0, penalties)
        losses |= parts_of_d | {"d": parts_of_d["d"] + against.detach(), "fake": logits.detach().mean()}
        self.update("d")
        losses |= self.regularise(real, None, penalties)
        self.pictures += anchored + from_z
        return losses

    def drawn_reals(self, count: int) -> tuple[Tensor, None]:
        """`count` usable pictures of the dataset at random, [N, C, H, W]."""
        return self.real(self.judged[torch.randint(len(self.judged), (count,))]), None

    def path_count(self) -> int:
        """Pictures of a path length turn: half of those from z, at least 2."""
        return max(2, self.recipe.z_batch // 2)

    def missed(self, count: int = 256) -> Tensor:
        """How far the mapping is from sending `count` fresh z to the codes of the frames they stand for, -> []."""
        z = torch.randn(count, self.generator.config.z_dim, device=self.device)  # [count, z_dim]
        return (self.generator.mapping.w(z) - self.table.near(z)).square().mean()

    def update(self, *names: str) -> None:
        """As in plain training; the codes' sparse gradients take their own way."""
        super().update(*(n for n in names if n != "codes"))
        if "codes" in names:
            self.optimizers["codes"].step()
            self.optimizers["codes"].zero_grad(set_to_none=True)

    def noise(self, anchored: int, from_z: int) -> dict[str, Tensor]:
        """Fresh noise for the pictures from z and, with the recipe's probability, for an anchored one, else the constant
        maps; each [A + Z, 1, H, W], or [1, 1, H, W] where all are constant.

        Were anchored pictures always made with the constant maps, the generator would read places off them, and another
        noise would melt its figures.
        """
        count = anchored + from_z
        constant = torch.arange(count, device=self.device) < anchored  # [A + Z]
        constant &= torch.rand(count, device=self.device) >= self.recipe.anchor_noise
        if not from_z and not self.recipe.anchor_noise:
            return self.generator.synthesis.noise_const()
        return {
            name: torch.where(constant[:, None, None, None], const, torch.randn(count, *const.shape[1:], device=self.device))
            for name, const in self.generator.synthesis.noise_const().items()
        }
