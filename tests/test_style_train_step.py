"""What a stylizer's training step sums up: each loss sees what it is there for. A network that changes nothing stands in."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor

from models.perception import Perception
from models.stylizer import Stylizer, StylizerConfig
from tools.paint_style import Painting
from tools.style_train_losses import Disturbance, grid_loss
from tools.style_train_options import Weights
from tools.style_train_pictures import Clip
from tools.style_train_step import Batch, Lesson, Recipe, Training, lesson_of

PX = 32


class Mirror(Stylizer):
    """Shows the picture as it is; of a recurrent network, the moved last result instead where there is one."""

    def forward(self, image: Tensor, weights: Tensor, previous: Tensor | None = None,
                certainty: Tensor | None = None, shares: Tensor | None = None) -> Tensor:  # fmt: skip
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
    none = {"noise": 0, "share": 0, "grain": 0, "shift": 0, "light": 0}
    recipe = Recipe(weights, Disturbance(**cast(Any, none | disturbance)), crop=PX)
    return Training(net, lesson, recipe, cast(Perception, Eyes()) if paintings else None)


def only(**weights: float) -> Weights:
    """These weights, and no others."""
    return Weights(**({f.name: 0.0 for f in fields(Weights)} | weights))


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
    weights = only(noise=20)
    losses, made = training(weights, noise=60, share=0.5).losses(batch_of(scene()))
    assert set(losses) == {"noise"} and losses["noise"] > 0.001 and torch.equal(made, scene()[:, 0])
    still, _ = training(weights).losses(batch_of(scene()))
    assert still["noise"] == 0
    for seed in range(4):  # a shift is undone before the results are compared
        torch.manual_seed(seed)
        assert training(only(shift=20), shift=5).losses(batch_of(scene()))[0] == {"shift": 0}
    light, _ = training(only(light=20), light=0.5).losses(batch_of(scene()))
    assert set(light) == {"light"} and light["light"] > 0.001


def test_the_crops_of_a_step_take_turns_in_what_disturbs_them_and_each_has_its_weight() -> None:
    student = training(only(noise=20, light=40), noise=60, share=0.5, light=0.5)
    frames = scene(4)[:, 0]
    turns = []
    for step in range(2):
        student.step_number = step
        other, kinds = student.disturbed(frames)
        turns.append({name: crops for name, (crops, _) in kinds.items()})
        assert sorted(sum(turns[-1].values(), [])) == [0, 1, 2, 3] and not torch.equal(other, frames)
    assert turns[0]["noise"] == turns[1]["light"] == [0, 2] and turns[0]["light"] == turns[1]["noise"] == [1, 3]
    torch.manual_seed(0)
    once, _ = student.losses(batch_of(scene(4)))
    torch.manual_seed(0)
    student = training(only(noise=40, light=40), noise=60, share=0.5, light=0.5)
    student.step_number = 1
    torch.manual_seed(0)
    twice, _ = student.losses(batch_of(scene(4)))
    assert twice["noise"] == pytest.approx(2 * float(once["noise"]), rel=1e-4)


@pytest.mark.parametrize("recurrent", [False, True])
def test_a_result_that_moves_with_the_film_costs_no_flow(recurrent: bool) -> None:
    first = scene()
    frames = torch.cat([first, torch.roll(first, -2, 4)], dim=1)  # [B, 2, 3, H, W]: each pixel was two to the right
    student = training(only(flow=50), recurrent=recurrent)
    along = float(student.losses(batch_of(frames, 2.0))[0]["flow"])
    assert along < 1e-6
    found, sure = student.before(first[:, 0], batch_of(frames, 2.0), 0)
    assert torch.allclose(found[..., :-2], frames[:, 1, :, :, :-2], atol=1e-5)
    assert bool(sure[..., :-2].all()) and not bool(sure[..., -2:].any())
    if not recurrent:  # whose result is the moved one, wherever it moves
        assert all(float(student.losses(batch_of(frames, px))[0]["flow"]) > 1 for px in (-2.0, 0.0))


def test_a_network_that_judges_sees_the_frame_and_its_own_styles_painting() -> None:
    paintings = scene()[:, 0]
    judged = training(only(content=1, style=1), (paintings[:1], 0.3 * paintings[1:]))
    fitting = torch.stack([paintings[0], 0.3 * paintings[1]])[:, None]
    right, _ = judged.losses(batch_of(fitting))
    assert set(right) == {"content", "style", "bounds"} and right["content"] == right["bounds"] == 0 and right["style"] < 1e-9
    wrong, _ = judged.losses(batch_of(fitting.flip(0)))
    assert wrong["style"] > 0.1 and wrong["content"] == 0
    elsewhere = judged.seen_losses(fitting[:, 0], 1 - fitting[:, 0], batch_of(fitting))
    assert elsewhere["content"] > 0.01


def test_a_colour_that_left_the_range_comes_back_where_a_network_alone_teaches() -> None:
    judged = training(only(content=1, style=1), (scene()[:1, 0], scene()[1:, 0]))
    made = torch.full((2, 3, PX, PX), 1.5).index_fill(1, torch.tensor([1]), -0.5).requires_grad_()
    torch.stack(list(judged.seen_losses(scene()[:, 0], made, batch_of(scene())).values())).sum().backward()
    assert made.grad is not None and bool((made.grad[:, 0] > 0).all()) and bool((made.grad[:, 1] < 0).all())
    inside = judged.seen_losses(scene()[:, 0], scene()[:, 0], batch_of(scene()))
    assert inside["bounds"] == 0


def taught_batch(frames: Tensor, certain: float = 1.0) -> Batch:
    """Frames [B, 2, 3, H, W] that lie still, the first of which shows what the teacher painted."""
    plain = batch_of(frames)
    return replace(plain, truth=frames[:, 0], certain=torch.full_like(plain.certain, certain))


@pytest.mark.parametrize("recurrent", [False, True])
def test_each_frame_of_a_row_is_taught_where_it_is_certain_what_was_there(recurrent: bool) -> None:
    weights = only(pixel=1, patches=1, form=1, broad=1)
    frames = torch.cat([scene(), 0.3 * scene()], dim=1)  # the second frame's result is wrong everywhere
    student = training(weights, recurrent=recurrent)
    student.results = lambda batch: ([*batch.frames.unbind(1)], batch.frames[:0, 0], {})  # type: ignore[method-assign]
    found, _ = student.losses(taught_batch(frames))
    assert all(found[name] > 0.01 for name in ("pixel", "patches", "form", "broad"))
    unsure, _ = student.losses(taught_batch(frames, certain=0.0))
    assert all(float(value) < 1e-6 for value in unsure.values())
    once, _ = training(weights).losses(taught_batch(scene()))
    assert all(value == 0 for value in once.values())


def test_what_a_noisy_frame_becomes_is_taught_by_the_frames_own_teacher_picture() -> None:
    changes = {"noise": 60.0, "share": 0.5, "light": 0.5}
    noisy, _ = training(only(pixel=1, noise=1), **changes).losses(taught_batch(scene()))
    assert noisy["pixel"] > 0.01
    lit, _ = training(only(pixel=1, light=1), **changes).losses(taught_batch(scene()))
    assert lit["pixel"] == 0
    without, _ = training(only(pixel=1), **changes).losses(taught_batch(scene()))
    assert without["pixel"] == 0


def test_beside_a_flow_loss_the_first_frame_alone_is_taught_by_the_teacher() -> None:
    frames = torch.cat([scene(), 1 - scene()], dim=1)
    found, _ = training(only(pixel=1, flow=1)).losses(taught_batch(frames))
    assert found["pixel"] == 0 and found["flow"] > 0.01


def test_in_a_row_of_three_what_was_hidden_once_stays_uncertain() -> None:
    frames = scene(2, 3)
    plain = batch_of(frames)
    certain = torch.ones_like(plain.certain)
    certain[:, 0, :, :, :8] = 0
    truths = training(only(pixel=1)).truths(replace(plain, truth=frames[:, 0], certain=certain))
    assert truths[0][1] is None
    for _, sure in truths[1:]:
        assert sure is not None and not bool(sure[..., :8].any()) and bool(sure[..., 8:].all())


def test_a_network_looks_only_at_what_of_a_painting_is_painted() -> None:
    painted, seen = scene()[0, 0].permute(1, 2, 0).numpy(), []
    usable = np.ones((PX, PX), bool)
    usable[:, 20:] = False
    flows = np.zeros((0, PX, PX, 2), np.float32)
    clip = Clip((0,), np.zeros((1, PX, PX, 3), np.uint8), flows, flows[..., 0])
    for value in (0, 255):
        picture = (255 * painted).astype(np.uint8)
        picture[:, 20:] = value
        lesson = lesson_of([clip], None, [Painting(picture, usable)] * 2, torch.device("cpu"))
        judged = training(only(style=1), (scene()[:1, 0],) * 2)
        judged.lesson = lesson
        seen.append(judged.painting_grams()[0]["plain"])
    assert torch.equal(seen[0], seen[1])
    plain = seen[0].new_tensor((255 * painted[:, :20]).astype(np.uint8) / 255).flatten(0, 1)  # [P, 3]
    assert torch.allclose(seen[0][0], plain.T @ plain / len(plain), atol=1e-5)


@pytest.mark.parametrize(("form", "counts"), [({}, True), ({"canvas": 0}, False), ({"architecture": "johnson"}, False)])
def test_fine_lines_beside_the_strokes_count_against_the_grid_where_cells_draw_them(form: dict[str, Any], counts: bool) -> None:
    torch.manual_seed(5)
    net = Stylizer(StylizerConfig(**{"width": 4, "blocks": 1, **form}))
    torch.nn.init.normal_(net.last.weight)  # each pixel of a cell for itself
    still = torch.zeros(1, 1, 3, PX, PX, dtype=torch.uint8)
    lesson = Lesson(still, None, torch.zeros(1, 0, 2, PX, PX), torch.ones(1, 0, 1, PX, PX))
    one = Training(net, lesson, Recipe(only(grid=3.0), crop=PX))
    batch = replace(batch_of(torch.rand(2, 1, 3, PX, PX)), weights=torch.ones(2, 1))
    one.lay(batch, (0, 0))
    with torch.no_grad():
        losses, made = one.losses(batch)
    more = float(losses["grid"]) / 3 - float(grid_loss(made))
    assert (more > 0.1) is counts and (counts or more == pytest.approx(0, abs=1e-6))
    assert not one.cells  # nothing is kept from step to step
