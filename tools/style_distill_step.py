"""A student's step: as in training, with the teacher's results and features in place of painted frames.

Features are compared after a 1x1 convolution that learns along (Romero et al. 2015, "FitNets", arXiv 1412.6550), each scaled by
the teacher's own deviation.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.stylizer import CANVAS_CELLS, UNIT_PX, Stylizer
from tools.style_train_losses import pixel_loss
from tools.style_train_step import Batch, Lesson, Recipe, Training

# Of the run, in which patches and form come to their weight. Neither knows where a stroke lies: from the first step on they can
# settle strokes between those of the teacher, whence the results' pixels do not move them any more.
PLACE_SHARE = 0.1


class Hints(nn.Module):
    """The student's features as the teacher would have them."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.layer = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """x [N, C, h, w] -> [N, C', h, w]."""
        return self.layer(x)  # type: ignore[no-any-return]


class Distilling(Training):
    """A student, the teacher's pictures of whole frames, and its features of them.

    features: float16 [S, N, C', H/4, W/4] of the lesson's first frames, in units of their deviation; None without. Crops begin
    on whole cells, and the canvas lies as it will: what the teacher's canvas drew, the student's can draw.
    """

    def __init__(self, net: Stylizer, lesson: Lesson, recipe: Recipe, features: Tensor | None,
                 weights: tuple[float, float], plain: bool = False) -> None:  # fmt: skip
        """weights: of the teacher's results and of its features. plain: crops are shown in their own light and colours, in
        which a network painted them; others it would paint otherwise."""
        self.features, self.outputs_weight, self.features_weight = features, *weights
        self.hints: Hints | None = None
        self.seen: Tensor | None = None
        self.placed = 0.0  # 0..1: how much of their weight patches and form have
        super().__init__(net, lesson, recipe)
        self.shares = whole_shares(net, lesson) if net.config.canvas else None
        self.plain = plain
        if features is not None and self.features_weight:
            own = net.last.in_channels if net.config.architecture == "student" else 4 * net.config.width
            self.hints = Hints(own, features.shape[2]).to(self.device)
            self.optimizers["hints"] = torch.optim.Adam(self.hints.parameters(), lr=recipe.lr)
            # What the blocks leave is caught on its way to the picture.
            net.blocks[-1].register_forward_hook(self._catch)

    def _catch(self, _layer: nn.Module, _given: tuple[Tensor, ...], made: Tensor) -> None:
        self.seen = made

    def networks(self) -> dict[str, nn.Module]:
        """All that a state holds."""
        return super().networks() | ({} if self.hints is None else {"hints": self.hints})

    def place(self, y: float, x: float, height: int, width: int) -> tuple[int, int]:
        """A crop's corner, on a whole cell."""
        top, left = super().place(y, x, height, width)
        return top // UNIT_PX * UNIT_PX, left // UNIT_PX * UNIT_PX

    def lay(self, batch: Batch, at: Sequence[int]) -> None:
        """Put the canvas where it lies under the whole frame."""
        w = self.recipe.weights
        count = 2 if w.noise or w.shift or w.light else 1  # the disturbed crops lie on the same places
        self.net.phases = tuple((top // UNIT_PX % CANVAS_CELLS, left // UNIT_PX % CANVAS_CELLS)
                                for _, _, top, left in batch.places) * count  # fmt: skip

    def directions(self, batch: Batch, disturbed: bool) -> Tensor | None:
        """Those of the whole frame, in which the teacher painted: a crop does not see the forms beside it, and strokes that run
        another way than the teacher's teach the student to paint them faintly."""
        if self.shares is None:
            return None
        size = self.recipe.crop // UNIT_PX
        return torch.stack([self.shares[i, :, top // UNIT_PX : top // UNIT_PX + size, left // UNIT_PX : left // UNIT_PX + size]
                            for _, i, top, left in batch.places])  # fmt: skip

    def losses(self, batch: Batch) -> tuple[dict[str, Tensor], Tensor]:
        """Training's, and those of the teacher's results and features."""
        self.seen = None
        found, made = super().losses(batch)
        assert batch.truth is not None
        if self.plain and self.outputs_weight:  # the optimiser's strokes lie where no canvas has them
            found |= {name: self.placed * found[name] for name in ("patches", "form") if name in found}
        if self.outputs_weight:
            found["outputs"] = self.outputs_weight * pixel_loss(made, batch.truth)
        if self.hints is not None and self.features is not None and self.seen is not None:
            size = batch.truth.shape[2] // UNIT_PX
            wanted = torch.stack([self.features[s, i, :, top // UNIT_PX : top // UNIT_PX + size,
                                                left // UNIT_PX : left // UNIT_PX + size]
                                  for s, i, top, left in batch.places]).float()  # fmt: skip
            own = self.hints(self.seen[: len(wanted)])  # [B, C', h, w]
            found["features"] = self.features_weight * F.mse_loss(own, wanted)
        return found, made

    def descend(self, progress: float) -> tuple[dict[str, Tensor], Tensor, Batch]:
        """As Training's; the hints' gradient too."""
        self.placed = min(1.0, progress / PLACE_SHARE)
        if self.hints is not None:
            self.optimizers["hints"].zero_grad(set_to_none=True)
        return super().descend(progress)

    def step(self, progress: float) -> dict[str, float]:
        """As Training's; the hints learn along."""
        told = super().step(progress)
        if self.hints is not None:
            self.optimizers["hints"].step()
        return told


@torch.no_grad()
def taught(teacher: Stylizer, lesson: Lesson, features: bool) -> tuple[Tensor, Tensor | None]:
    """(the teacher's results of the first frames uint8 [S, N, 3, H, W], its features float16 [S, N, C', H/4, W/4] in units of
    their deviation, or None). The teacher in evaluation mode."""
    styles, count = len(teacher.config.styles), len(lesson.frames)
    caught: list[Tensor] = []
    handle = teacher.blocks[-1].register_forward_hook(lambda _l, _g, made: caught.append(made))
    results: list[Tensor] = []
    kept: list[Tensor] = []
    try:
        for s in range(styles):
            weights = F.one_hot(torch.tensor([s]), styles).float().to(lesson.frames.device)  # [1, S]
            for i in range(count):
                caught.clear()
                made = teacher(lesson.frames[i, :1].float() / 255, weights)  # [1, 3, H, W]
                results.append((made[0] * 255).round().byte())
                if features:
                    cells = teacher.config.border_px // UNIT_PX
                    high, wide = (n // UNIT_PX for n in made.shape[2:])
                    kept.append(caught[0][0, :, cells : cells + high, cells : cells + wide].half())
    finally:
        handle.remove()
    pictures = torch.stack(results).unflatten(0, (styles, count))  # [S, N, 3, H, W]
    if not features:
        return pictures, None
    seen = torch.stack(kept).unflatten(0, (styles, count))  # [S, N, C', H/4, W/4]
    flat = seen.float()
    mean, deviation = flat.mean(dim=(0, 1, 3, 4), keepdim=True), flat.std(dim=(0, 1, 3, 4), keepdim=True)
    return pictures, ((flat - mean) / (deviation + 1e-3)).half()


@torch.no_grad()
def whole_shares(net: Stylizer, lesson: Lesson) -> Tensor:
    """[N, D, H/4, W/4]: which way strokes run in the lesson's first frames, as in evaluation, with the border round them."""
    border = net.config.border_px
    cells = border // UNIT_PX
    found = []
    for frame in lesson.frames[:, :1]:
        right, below = (border + (-n) % UNIT_PX for n in (frame.shape[3], frame.shape[2]))
        shares = net.shares(F.pad(frame.float() / 255, (border, right, border, below), mode="replicate"))
        found.append(shares[0, :, cells:-cells, cells:-cells])
    return torch.stack(found)


def with_truth(lesson: Lesson, truth: Tensor) -> Lesson:
    """The lesson with these pictures as the truth."""
    return dataclasses.replace(lesson, truth=truth)
