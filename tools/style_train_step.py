"""One step of a stylizer's training. Its randomness is a function of (seed, step): a resumed run goes on exactly, and two runs
that differ in a weight see the same crops, the same canvas and the same directions."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from models.perception import Perception
from models.stylizer import CANVAS_CELLS, UNIT_PX, Stylizer
from tools.paint_style import Painting
from tools.style_losses import content_loss, gram, out_of_range, relative_error
from tools.style_train_losses import (
    Critic,
    Disturbance,
    broad_loss,
    convincing_loss,
    critic_loss,
    fine_loss,
    flow_loss,
    form_loss,
    grid_loss,
    lit,
    noisy,
    patch_loss,
    pixel_loss,
    same_loss,
    shifted,
    variation_loss,
    warped,
)
from tools.style_train_options import Weights
from tools.style_train_pictures import Clip

Changed = tuple[list[int], tuple[int, int]]  # which crops, and by how many pixels (down, right) they were moved

WARM_STEPS = 20
DECAY = 0.5  # the last part of the run, in which the rate falls to nothing
CLIP = 5.0  # of the gradient's length
CANVAS_RATE = 5.0  # times the others' rate: a crop shows a quarter of the canvas, and its values are around 1
# Of fine lines that a student draws beside its strokes, in the loss against the grid. A cell of 4x4 pixels knows too little of
# its neighbours' lines to go on with them: what is fine is the canvas's to draw.
FINE = 10.0
CRITIC_LR, CRITIC_BETAS = 0.001, (0.5, 0.99)
BETAS = (0.9, 0.99)
# Of crops. The teacher goes by luminance and directions: saturation hardly changes what it would paint, a gamma of 2^+-0.1
# little. What that would change, the network is taught to leave as it is.
GAMMA, MOST_SATURATION = 0.1, 1.2
BOUNDS = 100.0  # of what lies outside 0..1, where a network judges: it sees no colour there, and so gives no way back


class NotFiniteError(ArithmeticError):
    """A loss that is not finite; the networks are as they were before the step."""


@dataclass(frozen=True)
class Recipe:
    """How it is trained; style_train_options says what each is."""

    weights: Weights = field(default_factory=Weights)
    disturbance: Disturbance = field(default_factory=Disturbance)
    batch: int = 4
    crop: int = 128
    lr: float = 0.002
    average: float = 0.99
    seed: int = 1
    style_share: float = 0.0


@dataclass(frozen=True)
class Lesson:
    """The pictures on the training device. frames: uint8 [N, K, 3, H, W]. truth: uint8 [S, N, 3, H, W] or None. flows: float32
    [N, K - 1, 2, H, W]. certain: float32 [N, K - 1, 1, H, W]. paintings: float32 [1, 3, h, w] 0..1 a style, for a network.
    usable: float32 [1, 1, h, w] of each, 0 where nothing is painted; empty: all of them everywhere."""

    frames: Tensor
    truth: Tensor | None
    flows: Tensor
    certain: Tensor
    paintings: tuple[Tensor, ...] = ()
    usable: tuple[Tensor, ...] = ()


def lesson_of(clips: Sequence[Clip], truth: NDArray[np.uint8] | None, paintings: Sequence[Painting],
              device: torch.device) -> Lesson:  # fmt: skip
    """truth: uint8 [S, N, H, W, 3]; paintings: as they are laid, for a network that judges."""
    frames = torch.from_numpy(np.stack([c.frames for c in clips])).permute(0, 1, 4, 2, 3)  # [N, K, 3, H, W]
    flows = torch.from_numpy(np.stack([c.flows for c in clips])).permute(0, 1, 4, 2, 3)  # [N, K - 1, 2, H, W]
    certain = torch.from_numpy(np.stack([c.certain for c in clips]))[:, :, None]  # [N, K - 1, 1, H, W]
    right = None if truth is None else torch.from_numpy(truth).permute(0, 1, 4, 2, 3).contiguous().to(device)
    shown = tuple(torch.from_numpy(np.ascontiguousarray(p.picture)).permute(2, 0, 1)[None].float().to(device) / 255
                  for p in paintings)  # fmt: skip
    usable = tuple(torch.from_numpy(p.usable.astype(np.float32))[None, None].to(device) for p in paintings)
    return Lesson(frames.contiguous().to(device), right, flows.contiguous().to(device), certain.to(device), shown, usable)


@dataclass(frozen=True)
class Batch:
    """Crops. frames: float32 [B, K, 3, c, c] 0..1. truth: [B, 3, c, c] or None. flows [B, K - 1, 2, c, c], certain
    [B, K - 1, 1, c, c]. weights: [B, S], all of one style. places: (style, clip, top, left) of each."""

    frames: Tensor
    truth: Tensor | None
    flows: Tensor
    certain: Tensor
    weights: Tensor
    places: tuple[tuple[int, int, int, int], ...]


class Training:
    """Network, average, critic and what they learn from. plain: crops keep their own light and colours."""

    plain = False

    def __init__(self, net: Stylizer, lesson: Lesson, recipe: Recipe, perception: Perception | None = None) -> None:
        self.net, self.lesson, self.recipe, self.perception = net.train(), lesson, recipe, perception
        self.device = lesson.frames.device
        self.average = copy.deepcopy(net).eval().requires_grad_(False)
        self.styles = len(net.config.styles)
        torch.manual_seed(recipe.seed)
        judged = recipe.weights.critic > 0 and lesson.truth is not None
        self.critic = Critic(self.styles).to(self.device) if judged else None
        canvas = [p for name, p in net.named_parameters() if name == "canvas"]
        groups = [{"params": [p for name, p in net.named_parameters() if name != "canvas"], "times": 1.0},
                  {"params": canvas, "times": CANVAS_RATE}]  # fmt: skip
        self.optimizers = {"net": torch.optim.Adam([g for g in groups if g["params"]], lr=recipe.lr, betas=BETAS)}
        if self.critic is not None:
            self.optimizers["critic"] = torch.optim.Adam(self.critic.parameters(), lr=CRITIC_LR, betas=CRITIC_BETAS)
        # What a student with a canvas draws beside its strokes, in cells [B, 48, c/4, c/4]: for the loss against their grid.
        self.cells: list[Tensor] = []
        if net.config.canvas and net.config.architecture == "student" and recipe.weights.grid:
            net.last.register_forward_hook(lambda _layer, _given, made: self.cells.append(made))
        self.step_number = 0
        self.grams = self.painting_grams()

    def networks(self) -> dict[str, torch.nn.Module]:
        """All that a state holds."""
        found: dict[str, torch.nn.Module] = {"net": self.net, "average": self.average}
        return found if self.critic is None else found | {"critic": self.critic}

    def painting_grams(self) -> list[dict[str, Tensor]]:
        """{layer: Gram matrix [1, C, C]} of each painting, as the network sees what of it is painted."""
        if self.perception is None or not self.recipe.weights.style:
            return []
        with torch.no_grad():
            seen = [self.perception.features(p, self.perception.style_layers) for p in self.lesson.paintings]
        places = self.lesson.usable or (None,) * len(seen)
        return [{layer: gram(f, None if u is None or bool(u.all()) else F.adaptive_avg_pool2d(u, (f.shape[2], f.shape[3])))
                 for layer, f in features.items()} for features, u in zip(seen, places, strict=True)]  # fmt: skip

    def step(self, progress: float) -> dict[str, float]:
        """One step; progress: 0..1 of the run. The losses, weighted. Raises NotFiniteError, and then nothing has changed."""
        losses, made, batch = self.descend(progress)
        self.optimizers["net"].step()
        self.follow()
        told = {k: float(v.detach()) for k, v in losses.items()}
        if self.critic is not None and batch.truth is not None:
            told["critic_own"] = self.step_critic(made.detach(), batch)
        self.step_number += 1
        return told

    def check(self, progress: float) -> None:
        """Raises NotFiniteError where the next step's loss or gradient is no number; changes nothing that a step does not make
        anew."""
        self.descend(progress)
        self.optimizers["net"].zero_grad(set_to_none=True)

    def descend(self, progress: float) -> tuple[dict[str, Tensor], Tensor, Batch]:
        """(the next step's weighted losses, results and batch), its gradient in the parameters. Raises NotFiniteError."""
        recipe = self.recipe
        self.prepare(progress)
        torch.manual_seed((recipe.seed * 1_000_003 + self.step_number) % 2**62)
        batch = self.batch()
        self.lay(batch, torch.randint(CANVAS_CELLS, (2,)).tolist())
        losses, made = self.losses(batch)
        total = torch.stack(list(losses.values())).sum()
        if not torch.isfinite(total):
            raise NotFiniteError(", ".join(k for k, v in losses.items() if not torch.isfinite(v)))
        self.optimizers["net"].zero_grad(set_to_none=True)
        total.backward()
        length = torch.nn.utils.clip_grad_norm_(self.net.parameters(), CLIP)
        if not torch.isfinite(length):
            raise NotFiniteError("the gradient")
        return losses, made, batch

    def prepare(self, progress: float) -> None:
        """What depends on how far the run is: the rate, and what learns."""
        warm = min(1.0, (self.step_number + 1) / WARM_STEPS)
        rate = self.recipe.lr * warm * min(1.0, max(0.01, (1 - progress) / DECAY))
        for group in self.optimizers["net"].param_groups:
            group["lr"] = rate * group["times"]
        only_styles = progress < self.recipe.style_share
        own = {id(p) for p in self.net.style_parameters()}
        for p in self.net.parameters():
            p.requires_grad_(not only_styles or id(p) in own)

    def batch(self) -> Batch:
        """Crops of random frames, places and styles, in another light and other colours (not if `plain`). All draws at once,
        always as many."""
        r, lesson = self.recipe, self.lesson
        count, frames = lesson.frames.shape[:2]
        height, width = lesson.frames.shape[3:]
        draws = torch.rand(r.batch, 6).tolist()
        parts: list[list[Tensor]] = [[], [], [], []]
        places: list[tuple[int, int, int, int]] = []
        for n, s, y, x, gamma, saturation in draws:
            i, style = int(n * count), int(s * self.styles)
            top, left = self.place(y, x, height, width)
            here = (..., slice(top, top + r.crop), slice(left, left + r.crop))
            crop = lesson.frames[i][here].float() / 255  # [K, 3, c, c]
            if not self.plain:
                grey = crop.mean(dim=1, keepdim=True)  # [K, 1, c, c]
                crop = (grey + (crop - grey) * MOST_SATURATION * saturation).clamp(0, 1) ** (2 ** (GAMMA * (2 * gamma - 1)))
            parts[0].append(crop)
            if lesson.truth is not None:
                parts[1].append(lesson.truth[style, i][here].float() / 255)  # [3, c, c]
            parts[2].append(lesson.flows[i][here])
            parts[3].append(lesson.certain[i][here])
            places.append((style, i, top, left))
        weights = F.one_hot(torch.tensor([p[0] for p in places]), self.styles).float().to(self.device)  # [B, S]
        truth = torch.stack(parts[1]) if parts[1] else None  # [B, 3, c, c]
        return Batch(torch.stack(parts[0]), truth, torch.stack(parts[2]), torch.stack(parts[3]), weights, tuple(places))

    def place(self, y: float, x: float, height: int, width: int) -> tuple[int, int]:
        """(top, left) of a crop; y and x 0..1, of all places in a frame."""
        return int(y * (height - self.recipe.crop + 1)), int(x * (width - self.recipe.crop + 1))

    def lay(self, batch: Batch, at: Sequence[int]) -> None:
        """Put the canvas somewhere under the crops; at: (down, right) in cells."""
        self.net.phases = ((at[0], at[1]),)

    def losses(self, batch: Batch) -> tuple[dict[str, Tensor], Tensor]:
        """(the weighted losses, the results of the first frames [B, 3, c, c])."""
        w = self.recipe.weights
        found: dict[str, Tensor] = {}
        directions = torch.get_rng_state()  # the disturbance draws after these, so that it does not change them
        self.cells.clear()
        results, other, kinds = self.results(batch)
        cells, self.cells = self.cells, []
        torch.set_rng_state(directions)
        made = results[0]
        # With a flow loss alone the later frames learn from the first one's result; without it, and where a result is made from
        # the last one, each is taught by itself.
        taught = results if self.net.config.recurrent or not w.flow else results[:1]
        if batch.truth is not None:
            truths = self.truths(batch)[: len(taught)]
            for k, (result, (truth, sure)) in enumerate(zip(taught, truths, strict=True)):
                # Where it is not certain what was there, the teacher's picture stands in the result: nothing is learnt.
                result = result if sure is None else sure * result + (1 - sure) * truth
                if k == 0 and "noise" in kinds:
                    # What is asked to be the same alone is soonest the same where it is faint.
                    crops = kinds["noise"][0]
                    result, truth = torch.cat([result, other[crops]]), torch.cat([truth, truth[crops]])
                for name, weight, loss in (("broad", w.broad, broad_loss), ("pixel", w.pixel, pixel_loss),
                                           ("patches", w.patches, patch_loss), ("form", w.form, form_loss)):  # fmt: skip
                    if weight:
                        value = weight * loss(result, truth) / len(truths)
                        found[name] = found[name] + value if name in found else value
        if w.grid:
            found["grid"] = w.grid * grid_loss(made)
            if cells:
                found["grid"] = found["grid"] + w.grid * FINE * fine_loss(F.pixel_shuffle(torch.cat(cells), UNIT_PX))
        if w.tv:
            found["tv"] = w.tv * variation_loss(made)
        if self.critic is not None:
            found["critic"] = w.critic * convincing_loss(self.critic(made, batch.weights))
        aim = made if batch.truth is None else batch.truth  # [B, 3, c, c]
        for name, (crops, moved) in kinds.items():
            found[name] = getattr(w, name) * same_loss(made[crops], other[crops], moved, aim[crops])
        if w.flow and len(results) > 1:
            steps = [flow_loss(results[k + 1], *self.before(results[k], batch, k)) for k in range(len(results) - 1)]
            found["flow"] = w.flow * torch.stack(steps).mean()
        if self.perception is not None:
            seen = [self.seen_losses(batch.frames[:, k], result, batch) for k, result in enumerate(taught)]
            found |= {name: torch.stack([s[name] for s in seen]).mean() for name in seen[0]}
        return found, made

    def results(self, batch: Batch) -> tuple[list[Tensor], Tensor, dict[str, Changed]]:
        """(the results of the frames in a row [B, 3, c, c] each, those of the disturbed first frames [B, 3, c, c] or none
        [0, 3, c, c], which of them were disturbed how)."""
        weights, needed = batch.weights, batch.frames.shape[1]
        frames = [batch.frames[:, k] for k in range(needed)]
        other, kinds = self.disturbed(frames[0])
        shares = self.directions(batch, bool(kinds)) if self.net.config.canvas else None
        if not self.net.config.recurrent:
            together = [*frames, other] if kinds else frames
            if shares is not None:
                shares = torch.cat([shares, *(self.net.shares(f) for f in frames[1:]), *([shares] if kinds else [])])
            made = self.net(torch.cat(together), weights.repeat(len(together), 1), shares=shares)  # [B * count, 3, c, c]
            results = list(made.chunk(len(together)))
            return results[:needed], results[needed] if kinds else other, kinds
        results = [self.net(frames[0], weights)]
        if kinds:
            other = self.net(other, weights, shares=shares)
        for k in range(needed - 1):
            before, sure = self.before(results[k], batch, k)
            results.append(self.net(frames[k + 1], weights, before.clamp(0, 1), sure))
        return results, other, kinds

    def directions(self, batch: Batch, disturbed: bool) -> Tensor | None:
        """Which way strokes run in the first frames [B, D, c/4, c/4]; None where each crop says it for itself. In a disturbed
        frame they run as in its own: else what is learnt of noise is a canvas without directions."""
        return self.net.shares(batch.frames[:, 0]) if disturbed else None

    def disturbed(self, frames: Tensor) -> tuple[Tensor, dict[str, Changed]]:
        """frames [B, 3, c, c] with noise, moved or in another light, each crop in one of the ways that have a weight, which
        take turns; none where none has."""
        w, by = self.recipe.weights, self.recipe.disturbance
        names = [name for name in ("noise", "shift", "light") if getattr(w, name)]
        if not names:
            return frames[:0], {}
        other, kinds = frames.clone(), dict[str, Changed]()
        for k, name in enumerate(names):
            crops = [b for b in range(len(frames)) if (b + self.step_number) % len(names) == k]
            if not crops:
                continue
            moved = (0, 0)
            if name == "noise":
                other[crops] = noisy(frames[crops], by)
            elif name == "light":
                other[crops] = lit(frames[crops], by)
            else:
                other[crops], moved = shifted(frames[crops], by)
            kinds[name] = (crops, moved)
        return other, kinds

    def before(self, result: Tensor, batch: Batch, k: int) -> tuple[Tensor, Tensor]:
        """(the result of frame k moved to frame k + 1 [B, 3, c, c], how certain each pixel of that is [B, 1, c, c])."""
        found, inside = warped(result, batch.flows[:, k])
        return found, inside * batch.certain[:, k]

    def truths(self, batch: Batch) -> list[tuple[Tensor, Tensor | None]]:
        """The teacher's picture moved along with the frames in a row [B, 3, c, c], and how certain each pixel of that is
        [B, 1, c, c] 0..1 (None: it is the teacher's own)."""
        assert batch.truth is not None
        found: list[tuple[Tensor, Tensor | None]] = [(batch.truth, None)]
        for k in range(batch.frames.shape[1] - 1):
            truth, sure = found[-1]
            moved, certain = self.before(truth, batch, k)
            found.append((moved, certain if sure is None else certain * warped(sure, batch.flows[:, k])[0]))
        return found

    def seen_losses(self, frame: Tensor, made: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Content and style in the eyes of the network (Johnson et al. 2016, equations 2 and 4), and how far values lie outside
        0..1, where it sees nothing."""
        p, w = self.perception, self.recipe.weights
        assert p is not None
        layers = [*(p.content_layers if w.content else ()), *(p.style_layers if w.style else ())]
        seen = p.features(made.clamp(0, 1), layers)
        found: dict[str, Tensor] = {"bounds": BOUNDS * out_of_range(made)}
        if w.content:
            with torch.no_grad():
                wanted = p.features(frame, p.content_layers)
            found["content"] = w.content * torch.stack([content_loss(seen[n], wanted[n]) for n in p.content_layers]).mean()
        if w.style:
            each = [relative_error(gram(seen[n])[b : b + 1], self.grams[s][n])
                    for n in p.style_layers for b, (s, _, _, _) in enumerate(batch.places)]  # fmt: skip
            found["style"] = w.style * torch.stack(each).mean()
        return found

    def step_critic(self, made: Tensor, batch: Batch) -> float:
        """The critic's own step, on results that carry no gradient [B, 3, c, c]. Its loss."""
        assert self.critic is not None and batch.truth is not None
        loss = critic_loss(self.critic(made, batch.weights), self.critic(batch.truth, batch.weights))
        optimizer = self.optimizers["critic"]
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    @torch.no_grad()
    def follow(self) -> None:
        """Move the averaged network towards the network; faster at the beginning, so that it forgets where it began."""
        beta = min(self.recipe.average, (1 + self.step_number) / (10 + self.step_number))
        for mean, value in zip(self.average.parameters(), self.net.parameters(), strict=True):
            mean.data.lerp_(value, 1 - beta)
        for kept, now in zip(self.average.buffers(), self.net.buffers(), strict=True):
            kept.copy_(now)
