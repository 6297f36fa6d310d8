"""One iteration of plain training against the losses written out one after the other, and what goes on around it."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from models.network_config import DiscriminatorConfig, GeneratorConfig
from tools.train_bench import plain_training
from tools.train_losses import r1_penalty
from tools.train_recipe import Recipe, judge_layers, lazy_adam, mend
from tools.train_step import Training

G = GeneratorConfig(resolution=16, channels=1, z_dim=8, w_dim=8, mapping_layers=2, channel_base=64, channel_max=8)
D = DiscriminatorConfig(resolution=16, channels=1, channel_base=64, channel_max=8)
RECIPE = Recipe(batch=8, lr=0.0, mapping_lr=0.0, judge_lr=0.0, r1_interval=0, path_interval=0, style_mixing=0.0)
pytestmark = pytest.mark.usefixtures("one_thread")


def images(count: int = 16) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (count, 1, 16, 16), np.uint8)


def training(recipe: Recipe = RECIPE, seed: int = 0, discriminator: DiscriminatorConfig = D, noise: float = 0.1) -> Training:
    torch.manual_seed(seed)
    made = plain_training(G, images(), discriminator=discriminator, recipe=recipe, dtype=torch.float32)
    with torch.no_grad():  # so that noise counts
        for block in made.generator.synthesis.blocks():
            block.conv1.noise_strength.fill_(noise)
    return made


def gradients_of_a_step(made: Training, seed: int = 1) -> list[dict[str, list[torch.Tensor]]]:
    """What each update was given, in order: {optimiser: gradients}."""
    kept: list[dict[str, list[torch.Tensor]]] = []
    update = made.update

    def noted(*names: str) -> None:
        kept.append({n: [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in made.weights[n]] for n in names})
        update(*names)

    made.update = noted  # type: ignore[method-assign]
    torch.manual_seed(seed)
    made.last = made.step()  # type: ignore[attr-defined]
    return kept


def close(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    return len(a) == len(b) and all(torch.allclose(x, y, rtol=1e-4, atol=1e-6) for x, y in zip(a, b, strict=True))


def test_pictures_made_and_judged_once_give_the_gradients_of_both_losses() -> None:
    made = training()
    kept = gradients_of_a_step(made)
    other = training()  # the same networks, the losses one after the other
    g, d = other.generator, other.discriminator
    torch.manual_seed(1)
    fake = g.synthesis(g.mapping.w(torch.randn(8, 8))[:, None].expand(-1, g.num_ws, -1), "random")
    real = other.real(torch.from_numpy(other.sampler.take(8)))
    weights = [*g.synthesis.parameters(), *g.mapping.parameters()]
    g_gradients = torch.autograd.grad(F.softplus(-d(fake)).mean(), weights)
    d_loss = F.softplus(d(fake.detach())).mean() + F.softplus(-d(real)).mean()
    d_gradients = torch.autograd.grad(d_loss, list(d.parameters()))
    assert float(made.last["d"]) == pytest.approx(float(d_loss.detach()), rel=1e-5)  # type: ignore[attr-defined]
    assert close(kept[0]["g"] + kept[0]["mapping"], list(g_gradients))
    assert close(kept[1]["d"], list(d_gradients))


def test_small_passes_add_up_to_the_whole_batch() -> None:
    alone = replace(D, group=1)  # the minibatch deviation would see other groups
    first, made = (training(replace(RECIPE, r1_interval=1, per_pass=n), discriminator=alone, noise=0.0) for n in (0, 2))
    whole, parts = gradients_of_a_step(first), gradients_of_a_step(made)  # without noise, which is drawn a pass at a time
    assert len(whole) == len(parts) == 3
    for a, b in zip(whole, parts, strict=True):
        for name in a:  # but the noise's own strength, whose gradient is the noise
            assert close(*([g for g in kept[name] if g.ndim] for kept in (a, b))), name


def test_r1_of_the_shared_graph_is_the_penalty_itself() -> None:
    recipe = replace(RECIPE, r1_interval=16, r1_gamma=3.0)
    kept = gradients_of_a_step(training(recipe))
    other = training(recipe)
    real = other.real(torch.from_numpy(other.sampler.take(8)))
    loss = r1_penalty(other.discriminator, real).mean() * (3.0 / 2 * 16)
    expected = torch.autograd.grad(loss, list(other.discriminator.parameters()), allow_unused=True)
    filled = [torch.zeros_like(p) if e is None else e for p, e in zip(other.weights["d"], expected, strict=True)]
    assert close(kept[2]["d"], filled)


def test_lazy_losses_come_when_they_are_due() -> None:
    made = training(replace(RECIPE, r1_interval=4, path_interval=2))
    torch.manual_seed(1)
    due = [sorted({"r1", "path"} & made.step().keys()) for _ in range(5)]
    assert due == [["path", "r1"], [], ["path"], [], ["path", "r1"]]
    assert float(made.path_mean) > 0


def test_a_path_turn_pulls_with_weight_times_interval_on_half_a_batch() -> None:
    """Written out: 2 x 4 x mean (|J^T y| - a)^2 over 4 of 8 pictures, a = 0.99 a + 0.01 mean |J^T y|."""
    made = training(replace(RECIPE, path_weight=2.0, path_interval=4))
    made.path_mean = torch.tensor(0.03)
    kept: list[list[torch.Tensor]] = []
    made.update = lambda *names: kept.append([p.grad.clone() for n in names for p in made.weights[n] if p.grad is not None])  # type: ignore[method-assign]
    torch.manual_seed(5)
    told = made.path_turn()["path"]
    other = training()
    g = other.generator
    torch.manual_seed(5)
    ws = g.mapping.w(torch.randn(4, 8))[:, None].expand(-1, g.num_ws, -1)
    image = g.synthesis(ws, "random")
    y = torch.randn(4, 1, 16, 16) / 16
    (slope,) = torch.autograd.grad((image * y).sum(), ws, create_graph=True)  # [4, num_ws, w_dim]
    lengths = slope.square().sum(dim=2).mean(dim=1).sqrt()  # [4]
    mean = 0.99 * 0.03 + 0.01 * lengths.mean().detach()
    loss = 8 * (lengths - mean).square().mean()
    weights = [p for n in ("g", "mapping") for p in other.weights[n]]
    wanted = [e for e in torch.autograd.grad(loss, weights, allow_unused=True) if e is not None]
    assert close(kept[0], wanted) and max(float(e.abs().max()) for e in wanted) > 1e-3
    assert float(made.path_mean) == pytest.approx(float(mean), rel=1e-5)
    assert float(told) == pytest.approx(float(lengths.detach().mean()), rel=1e-5)


@pytest.mark.parametrize(("batch", "count"), [(1, 1), (2, 1), (7, 3), (8, 4)])
def test_a_path_turn_takes_half_a_batch(batch: int, count: int) -> None:
    made = training(replace(RECIPE, batch=batch))
    assert made.path_count() == count


def test_the_mean_of_w_follows_by_five_thousandths_an_iteration() -> None:
    made = training()
    torch.manual_seed(1)
    w = made.generator.mapping.w(torch.randn(8, 8)).detach()
    torch.manual_seed(1)
    made.step()
    assert torch.allclose(made.generator.w_avg, 0.005 * w.mean(dim=0), rtol=1e-4, atol=1e-9)
    assert torch.equal(made.average.w_avg, made.generator.w_avg)


def test_adam_is_corrected_for_lazy_regularisation() -> None:
    group = lazy_adam([torch.nn.Parameter(torch.zeros(2))], 0.002, 0.0, 16).param_groups[0]
    assert group["lr"] == pytest.approx(0.002 * 16 / 17)
    assert group["betas"] == (0.0, pytest.approx(0.99 ** (16 / 17)))
    assert lazy_adam([torch.nn.Parameter(torch.zeros(2))], 0.002, 0.0, 0).param_groups[0]["lr"] == 0.002


def test_a_second_latent_takes_over_from_a_random_layer() -> None:
    made = training(replace(RECIPE, style_mixing=1.0))
    w = made.generator.mapping.w(torch.randn(4, 8))
    torch.manual_seed(3)
    ws = made.mixed(w, None)
    same = (ws == w[:, None]).all(dim=2).all(dim=0)
    assert ws.shape == (4, made.generator.num_ws, 8) and same[0] and not same[-1]
    assert made.mixed(w, None).shape == ws.shape
    never = training()
    assert torch.equal(never.mixed(w, None), w[:, None].expand(-1, never.generator.num_ws, -1))


def test_the_average_follows_with_the_asked_half_life_after_a_ramp_up() -> None:
    made = training(replace(RECIPE, ema_kimg=0.008, ema_rampup=0.0), noise=0.0)
    before = copy.deepcopy(made.average)
    with torch.no_grad():
        for p in made.generator.parameters():
            p.add_(1.0)
    made.average_weights()  # 8 pictures are one half-life
    for slow, old in zip(made.average.parameters(), before.parameters(), strict=True):
        assert torch.allclose(slow - old, torch.full_like(old, 0.5), atol=1e-6)
    young = training(replace(RECIPE, ema_kimg=10.0, ema_rampup=0.05), noise=0.0)
    young.pictures = 8
    with torch.no_grad():
        for p in young.generator.parameters():
            p.add_(1.0)
    young.average_weights()  # half-life 0.4 pictures: a young average forgets where it began
    assert all(torch.allclose(s, f, atol=1e-5)
               for s, f in zip(young.average.parameters(), young.generator.parameters(), strict=True))  # fmt: skip


def test_frozen_layers_of_the_discriminator_stay() -> None:
    torch.manual_seed(0)
    made = plain_training(G, images(), discriminator=D, recipe=RECIPE, dtype=torch.float32)
    assert len(judge_layers(made.discriminator)) == 7  # b16: fromrgb, conv0, conv1, skip; b8: conv0, conv1, skip
    recipe, usable = replace(RECIPE, judge_lr=0.01), np.ones(16, bool)
    frozen = Training(made.generator, made.discriminator, made.dataset, usable, recipe, frozen=4)
    before = {k: v.clone() for k, v in frozen.discriminator.state_dict().items()}
    frozen.step()
    changed = {k for k, v in frozen.discriminator.state_dict().items() if not torch.equal(v, before[k])}
    assert changed and not any(k.startswith("b16.") for k in changed)


def test_what_is_not_finite_becomes_zero() -> None:
    gradient = torch.tensor([1.0, float("nan"), float("inf"), -float("inf")])
    mend([gradient])
    assert gradient.tolist() == [1, 0, 0, 0]


def test_mirrored_pictures_come_only_where_asked() -> None:
    made = training(replace(RECIPE, mirror=True))
    torch.manual_seed(0)
    real, _ = made.real_pictures(16)
    made.sampler.position = 0
    plain = made.real(torch.from_numpy(made.sampler.take(16)))
    flipped = [torch.equal(a, b.flip(2)) for a, b in zip(real, plain, strict=True)]
    same = [torch.equal(a, b) for a, b in zip(real, plain, strict=True)]
    assert any(flipped) and any(same) and all(f or s for f, s in zip(flipped, same, strict=True))


def test_learning_lowers_what_the_discriminator_gets_wrong() -> None:
    made = training(Recipe(batch=8, judge_lr=0.01, lr=0.0, mapping_lr=0.0))
    torch.manual_seed(0)
    losses = [float(made.step()["d"]) for _ in range(40)]
    assert np.mean(losses[-5:]) < np.mean(losses[:5])


def test_the_augmentation_grows_while_the_discriminator_is_too_sure_and_shrinks_after() -> None:
    from tools.train_augment import Augment

    made = training(replace(RECIPE, augment_p=0.5, augment_target=0.6, augment_kimg=1.0))
    made.augment = Augment()
    made.set_p(0.5)
    with torch.no_grad():
        made.discriminator.b4.out.bias.fill_(100.0)  # every picture is the film's, says the discriminator
    for turn in range(5):
        losses = made.step()
        assert float(losses["sign"]) == 1
        assert made.p == pytest.approx(0.5 if turn < 3 else 0.5 + 8 * 4 / 1000), turn
    with torch.no_grad():
        made.discriminator.b4.out.bias.fill_(-100.0)
    for _ in range(4):
        made.step()
    assert made.p < 0.5 + 8 * 4 / 1000
    assert float(made.augment.p) == pytest.approx(made.p)


def test_reals_and_fakes_are_augmented_in_every_phase() -> None:
    class Noted(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("p", torch.tensor(0.5))
            self.means: list[float] = []

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            self.means.append(float(image.detach().abs().mean()))
            return image * 1.0

    made = training(replace(RECIPE, r1_interval=1, augment_p=0.5))
    made.augment = noted = Noted()
    made.step()
    assert len(noted.means) == 2  # fakes for both networks' losses, reals for the discriminator's and R1: judged once each
    made.dtype = torch.bfloat16  # R1 then takes its own pass, in full precision
    noted.means.clear()
    losses = made.step()
    assert len(noted.means) == 3 and float(losses["r1"]) > 0
