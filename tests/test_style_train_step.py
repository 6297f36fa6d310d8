"""What a stylizer's training step sums up: each loss sees what it is there for. A network that changes nothing stands in."""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch
from torch import Tensor

from models.perception import Perception
from models.stylizer import Stylizer, StylizerConfig
from tools.style_train_losses import Disturbance
from tools.style_train_options import Weights
from tools.style_train_step import Batch, Lesson, Recipe, Training

PX = 32


class Mirror(Stylizer):
    """Shows the picture as it is; of a recurrent network, the moved last result instead where there is one."""

    def forward(self, image: Tensor, weights: Tensor, previous: Tensor | None = None,
                certainty: Tensor | None = None) -> Tensor:  # fmt: skip
        return image if previous is None else previous


class Eyes:
    """Sees the picture itself."""

    content_layers = style_layers = ("plain",)

    def features(self, picture: Tensor, layers: Any) -> dict[str, Tensor]:
        return dict.fromkeys(layers, picture)


def training(weights: Weights, paintings: tuple[Tensor, ...] = (), recurrent: bool = False, **disturbance: float) -> Training:
    net = Mirror(StylizerConfig(width=4, blocks=1, styles=("a", "b"), canvas=0, recurrent=recurrent))
    lesson = Lesson(torch.zeros(1, 2, 3, PX, PX, dtype=torch.uint8), None, torch.zeros(1, 1, 2, PX, PX),
                    torch.ones(1, 1, 1, PX, PX), paintings)  # fmt: skip
    recipe = Recipe(weights, Disturbance(**cast(Any, {"noise": 0, "share": 0, "shift": 0, "light": 0} | disturbance)), crop=PX)
    return Training(net, lesson, recipe, cast(Perception, Eyes()) if paintings else None)


def batch_of(frames: Tensor, flow_px: float = 0.0) -> Batch:
    """Of frames [B, K, 3, H, W] that lie still, or in which each pixel was so many to the right before."""
    count, row = frames.shape[:2]
    flows = torch.zeros(count, row - 1, 2, PX, PX)
    flows[:, :, 0] = flow_px
    places = tuple((b % 2, 0, 0, 0) for b in range(count))
    weights = torch.eye(2)[[p[0] for p in places]]
    return Batch(frames, None, flows, torch.ones(count, row - 1, 1, PX, PX), weights, places)


def scene(count: int = 2, row: int = 1) -> Tensor:
    torch.manual_seed(5)
    return torch.rand(count, row, 3, PX, PX)


def test_noise_in_the_frame_costs_what_it_changes_in_the_result() -> None:
    weights = Weights(0, 0, 0, 0, 0, 0, 20, 0, 0, 0)
    losses, made = training(weights, noise=60, share=0.5).losses(batch_of(scene()))
    assert set(losses) == {"noise"} and losses["noise"] > 0.001 and torch.equal(made, scene()[:, 0])
    still, _ = training(weights).losses(batch_of(scene()))
    assert still["noise"] == 0
    for seed in range(4):  # a shift is undone before the results are compared
        torch.manual_seed(seed)
        moved = training(weights, shift=5)
        torch.manual_seed(seed)
        assert moved.losses(batch_of(scene()))[0]["noise"] == 0


@pytest.mark.parametrize("recurrent", [False, True])
def test_a_result_that_moves_with_the_film_costs_no_flow(recurrent: bool) -> None:
    first = scene()
    frames = torch.cat([first, torch.roll(first, -2, 4)], dim=1)  # [B, 2, 3, H, W]: each pixel was two to the right
    student = training(Weights(0, 0, 0, 0, 0, 0, 0, 50, 0, 0), recurrent=recurrent)
    along = float(student.losses(batch_of(frames, 2.0))[0]["flow"])
    assert along < 1e-6
    found, sure = student.before(first[:, 0], batch_of(frames, 2.0), 0)
    assert torch.allclose(found[..., :-2], frames[:, 1, :, :, :-2], atol=1e-5)
    assert bool(sure[..., :-2].all()) and not bool(sure[..., -2:].any())
    if not recurrent:  # whose result is the moved one, wherever it moves
        assert all(float(student.losses(batch_of(frames, px))[0]["flow"]) > 1 for px in (-2.0, 0.0))


def test_a_network_that_judges_sees_the_frame_and_its_own_styles_painting() -> None:
    paintings = scene()[:, 0]
    judged = training(Weights(0, 0, 0, 0, 0, 0, 0, 0, 1, 1), (paintings[:1], 0.3 * paintings[1:]))
    fitting = torch.stack([paintings[0], 0.3 * paintings[1]])[:, None]
    right, _ = judged.losses(batch_of(fitting))
    assert set(right) == {"content", "style"} and right["content"] == 0 and right["style"] < 1e-9
    wrong, _ = judged.losses(batch_of(fitting.flip(0)))
    assert wrong["style"] > 0.1 and wrong["content"] == 0
    elsewhere = judged.seen_losses(fitting[:, 0], 1 - fitting[:, 0], batch_of(fitting))
    assert elsewhere["content"] > 0.01
