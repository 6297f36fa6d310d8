"""Optimisation in a network's eyes: the losses, tiles that leave no seam, masks and weights, and a film's flow terms."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch", reason="the networks that judge are torch's")
cv2 = pytest.importorskip("cv2", reason="flow and resizing are OpenCV's")

from models.perception import Perception  # noqa: E402
from player.show.problem import ShowError  # noqa: E402
from tests.small_judges import small_discriminator, small_vgg  # noqa: E402
from tools.paint_style import Painting, painting_of  # noqa: E402
from tools.style_gatys import FlowTerm, Objective, Style, level_sizes, optimise  # noqa: E402
from tools.style_gatys_film import Past, long_term  # noqa: E402
from tools.style_gatys_options import GatysOptions, add_gatys_arguments, gatys_options  # noqa: E402
from tools.style_gatys_target import drawn_places, laid, shares_of  # noqa: E402
from tools.style_gatys_tiles import Sight, cuts, mirrored  # noqa: E402
from tools.style_losses import (  # noqa: E402
    content_loss,
    directions_for,
    gram,
    out_of_range,
    quantiles,
    relative_error,
    sliced_wasserstein,
    total_variation,
)

FEW = GatysOptions(iterations=6, levels=1, samples=256, projections=8)
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def judge() -> Perception:
    return Perception(small_discriminator())


def scene(height: int = 48, width: int = 64, seed: int = 0) -> np.ndarray:
    """Soft blobs, uint8 [H, W, 3]."""
    noise = np.random.default_rng(seed).random((height, width, 3)).astype(np.float32)
    soft = cv2.GaussianBlur(noise, (0, 0), 4)
    return np.asarray(255 * (soft - soft.min()) / np.ptp(soft), np.uint8)


def stripes(side: int = 48, period: int = 6) -> np.ndarray:
    """Red and yellow stripes, uint8 [H, W, 3]."""
    on = (np.arange(side)[None, :] + np.arange(side)[:, None]) // period % 2
    return np.where(on[..., None] == 1, np.array([220, 40, 30]), np.array([240, 220, 60])).astype(np.uint8)


def style(weight: float = 1.0, mask: np.ndarray | None = None, period: int = 6) -> Style:
    return Style(painting_of(stripes(period=period)), weight, mask)


def objective(judge: Perception, styles: list[Style], options: GatysOptions, content: np.ndarray) -> Objective:
    size = content.shape[:2]
    made = Objective(content, size, size, shares_of(styles, size), options, judge, (), torch.Generator().manual_seed(0))
    made.renew()
    return made


# --- losses


def test_a_gram_matrix_is_the_mean_of_products_of_channels_where_it_counts() -> None:
    f = torch.rand(2, 3, 4, 5)
    plain = torch.stack([p.reshape(3, -1) @ p.reshape(3, -1).T / 20 for p in f])
    assert torch.allclose(gram(f), plain, atol=1e-6)
    weight = torch.zeros(1, 1, 4, 5)
    weight[..., :2] = 0.5
    assert torch.allclose(gram(f, weight), gram(f[..., :2]), atol=1e-6)
    assert torch.equal(gram(f, torch.zeros(1, 1, 4, 5)), torch.zeros(2, 3, 3))


def test_losses_are_relative_so_that_layers_weigh_alike() -> None:
    wanted = torch.rand(1, 4, 6, 6)
    for scale in (0.01, 100.0):
        assert float(relative_error(torch.zeros(4, 4), scale * gram(wanted)[0])) == pytest.approx(1)
        flat = (scale * wanted).mean(dim=(2, 3), keepdim=True).expand_as(wanted)
        assert float(content_loss(flat, scale * wanted)) == pytest.approx(1, rel=1e-4)
        assert float(content_loss(scale * wanted, scale * wanted)) == 0


def test_the_sliced_wasserstein_distance_is_that_of_the_clouds() -> None:
    chance = torch.Generator().manual_seed(0)
    cloud = torch.randn(500, 6, generator=chance)
    directions = directions_for(6, 400, chance)
    assert torch.allclose(directions.norm(dim=0), torch.ones(400), atol=1e-5)
    order = torch.randperm(500, generator=chance)
    assert float(sliced_wasserstein(cloud[order], cloud, directions)) == pytest.approx(0, abs=1e-10)
    moved = cloud + torch.tensor([3.0, 0, 0, 0, 0, 0])  # W2 is 3, seen by a direction as 3 cos: 9 / 6 on the mean
    unit = float(cloud.square().mean())
    assert float(sliced_wasserstein(moved, cloud, directions)) == pytest.approx(9 / 6 / unit, rel=0.1)
    fewer = cloud[::2].clone().requires_grad_(True)
    sliced_wasserstein(fewer, cloud, directions).backward()
    assert fewer.grad is not None and float(fewer.grad.abs().sum()) > 0


def test_clouds_of_two_sizes_are_compared_at_quantiles() -> None:
    ordered = torch.arange(8, dtype=torch.float32)[:, None]
    assert quantiles(ordered, 8) is ordered
    assert quantiles(ordered, 4).flatten().tolist() == [0.5, 2.5, 4.5, 6.5]
    assert quantiles(ordered, 2).flatten().tolist() == [1.5, 5.5]
    assert len(quantiles(ordered, 100)) == 100


def test_total_variation_and_bounds() -> None:
    x = torch.zeros(1, 3, 4, 4)
    x[..., 2:] = 0.5
    assert float(total_variation(x)) == pytest.approx(0.25 / 3)
    assert float(total_variation(torch.full((1, 3, 5, 5), 0.3))) == 0
    assert float(out_of_range(torch.tensor([0.0, 1.0, 1.5, -0.5]))) == pytest.approx(0.125)


# --- how it is seen


def test_a_picture_is_continued_by_mirrors_however_small_it_is() -> None:
    assert mirrored(4, 2, 3).tolist() == [2, 1, 0, 1, 2, 3, 2, 1, 0]
    assert mirrored(3, 5, 0).tolist() == [1, 0, 1, 2, 1, 0, 1, 2]
    assert mirrored(1, 2, 2).tolist() == [0] * 5


@pytest.mark.parametrize("length", [8, 40, 104, 640])
def test_tiles_cover_everything_once_and_lie_on_whole_strides(length: int) -> None:
    found = cuts(length, 64, 8)
    assert found[0][0] == 0 and found[-1][1] == length and all(a % 8 == 0 for a, _ in found)
    assert all(b == c for (_, b), (c, _) in zip(found, found[1:], strict=False)) and max(b - a for a, b in found) <= 72


@pytest.mark.parametrize("loss", ["gram", "sliced"])
@pytest.mark.parametrize("masked", [False, True])
def test_tiles_give_the_loss_and_the_gradient_of_the_whole(judge: Perception, loss: str, masked: bool) -> None:
    content = scene(100, 75)
    mask = np.zeros((100, 75), np.uint8)
    mask[:, :40] = 255
    styles = [style(), style(2.0, mask, period=3)] if masked else [style()]
    x = torch.rand(1, 3, 100, 75, generator=torch.Generator().manual_seed(1))
    found = []
    for tile in (0, 32):
        one = objective(judge, styles, replace(FEW, loss=loss, tile=tile, samples=10_000), content)  # type: ignore[arg-type]
        found.append((*one(x), len(one.sight.tiles)))
    (value, gradient, one_tile), (tiled, parts, tiles) = found
    assert one_tile == 1 and tiles == 12
    assert tiled == pytest.approx(value, rel=1e-4)
    assert float((gradient - parts).abs().max()) < 2e-3 * float(gradient.abs().max())


@pytest.mark.parametrize("loss", ["gram", "sliced"])
def test_the_gradient_is_the_losss_own(judge: Perception, loss: str) -> None:
    one = objective(judge, [style()], replace(FEW, loss=loss), scene())  # type: ignore[arg-type]
    x = torch.rand(1, 3, 48, 64, generator=torch.Generator().manual_seed(2))
    _, gradient = one(x)
    way = gradient.sign()
    ahead, behind = one(x + 1e-3 * way)[0], one(x - 1e-3 * way)[0]
    assert (ahead - behind) / 2e-3 == pytest.approx(float(gradient.abs().sum()), rel=0.01)


def test_the_painting_shrinks_with_the_level_and_keeps_its_transparent_parts_out() -> None:
    usable = np.ones((96, 96), np.bool_)
    usable[:, 48:] = False
    painting = Painting(stripes(96), usable)
    small = laid(painting, (96, 96), 0.5, 1.0)
    assert small.picture.shape == (48, 48, 3) and small.usable[:, :23].all() and not small.usable[:, 25:].any()
    assert laid(painting, (96, 96), 1.0, 0.5).picture.shape == (48, 48, 3)
    weight = torch.zeros(1, 1, 4, 4)
    weight[..., :2] = 1
    places = drawn_places((4, 4), weight, 5, torch.Generator().manual_seed(0))
    assert len(places) == 5 and places[:, 1].max() < 2 and len({tuple(p) for p in places.tolist()}) == 5


# --- what it becomes


def test_the_strokes_come_nearer_while_the_content_stays_readable(judge: Perception) -> None:
    content, painting = scene(), style()
    for loss in ("gram", "sliced"):
        for optimiser in ("lbfgs", "adam"):
            options = replace(FEW, loss=loss, optimiser=optimiser, iterations=15)  # type: ignore[arg-type]
            told: list[int] = []

            def preview(done: int, total: int, picture: object, told: list[int] = told) -> None:
                told.append(done)

            made = optimise(content, [painting], options, perception=judge, preview=preview)
            assert made.picture.shape == content.shape and made.picture.dtype == np.uint8
            first = objective(judge, [painting], options, content)(torch.from_numpy(
                content.transpose(2, 0, 1).astype(np.float32) / 255)[None])[0]  # fmt: skip
            assert made.loss < 0.8 * first, (loss, optimiser)
            assert set(made.parts) == {"content", "style", "tv", "temporal"}
            assert told == sorted(told) and told[-1] <= 15
            again = optimise(content, [painting], options, perception=judge)
            assert np.array_equal(made.picture, again.picture)


def test_a_picture_is_made_coarse_to_fine_and_the_preview_has_its_own_size(judge: Perception) -> None:
    content = scene(130, 141)
    assert level_sizes((130, 141), 3) == [(65, 70), (130, 141)] and level_sizes((40, 500), 4) == [(40, 500)]
    shapes, told = set(), []

    def preview(done: int, total: int, picture: object) -> None:
        told.append((done, total))
        shapes.add(picture().shape)  # type: ignore[operator]

    optimise(content, [style()], replace(FEW, levels=2, iterations=2), perception=judge, preview=preview)
    assert shapes == {content.shape} and told[-1][1] == 4
    told.clear()
    optimise(content, [style()], replace(FEW, levels=2, iterations=2), perception=judge, start=content, preview=preview)
    assert told[-1][1] == 2  # what is started from is large already


def test_a_picture_of_the_persons_can_be_the_start(judge: Perception, tmp_path: Path) -> None:
    content, begun = scene(), tmp_path / "begun.png"
    Image.fromarray(stripes(64)).save(begun)
    still = replace(FEW, iterations=1, style=0.0, content=1e-9, tv=0.0)  # nothing is asked of it
    made = optimise(content, [style()], replace(still, start=str(begun)), perception=judge).picture
    assert np.abs(made.astype(int) - cv2.resize(stripes(64), (64, 48), interpolation=cv2.INTER_AREA)).max() <= 1
    noise = optimise(content, [style()], replace(still, start="noise"), perception=judge).picture
    assert np.abs(noise.astype(float) - 128).mean() > 20 and np.corrcoef(noise.ravel(), content.ravel())[0, 1] < 0.1
    begun.write_bytes(b"none")
    with pytest.raises(ShowError, match="begun.png"):
        optimise(content, [style()], replace(still, start=str(begun)), perception=judge)


def test_strokes_go_on_to_the_very_border(repo: Path) -> None:
    from tests.painted import strokes
    from tools.style_network import read_perception

    rows, columns = np.mgrid[:80, :112]
    wall = 210 + 8 * np.sin(columns / 40) + 6 * np.cos(rows / 30)  # on which nothing else leads the strokes
    wall[(rows - 40) ** 2 + (columns - 56) ** 2 < 14**2] = 40
    content = np.repeat(wall.astype(np.uint8)[..., None], 3, axis=2)
    film_judge = read_perception(repo / "show_configs" / "demo" / "checkpoint", device="cpu")
    made = optimise(content, [Style(painting_of(strokes(96, 96)))], replace(FEW, iterations=25), perception=film_judge)
    steps = [np.abs(np.diff(made.picture.astype(float), axis=axis)).mean(axis=2) for axis in (0, 1)]
    strength = steps[0][:, :-1] + steps[1][:-1]  # [H - 1, W - 1]
    for turns in range(4):
        side = np.rot90(strength, turns)
        assert 0.75 < side[:4].mean() / side[4:16].mean() < 1.3, turns


def test_vgg19_goes_through_the_same_code() -> None:
    perception = Perception(small_vgg())
    for loss in ("gram", "sliced"):
        made = optimise(scene(), [style()], replace(FEW, loss=loss), perception=perception)  # type: ignore[arg-type]
        assert np.isfinite(made.loss) and not np.array_equal(made.picture, scene())


def test_a_mask_says_where_a_painting_counts(judge: Perception) -> None:
    content = np.full((64, 96, 3), 128, np.uint8)
    mask = np.zeros((64, 96), np.uint8)
    mask[:, :40] = 255
    made = optimise(content, [style(mask=mask)], replace(FEW, iterations=12, content=0.0, tv=0.0), perception=judge)
    apart = np.abs(made.picture.astype(int) - 128).mean(axis=(0, 2))
    assert apart[:32].mean() > 12 and apart[56:].mean() < 6  # outside there is the trace of noise of the start alone


def test_a_mask_that_is_empty_leaves_the_picture_alone(judge: Perception) -> None:
    content = scene()
    none = np.zeros(content.shape[:2], np.uint8)
    for content_weight in (1.0, 0.0):
        options = replace(FEW, content=content_weight, tv=0.0)
        made = optimise(content, [style(mask=none)], options, perception=judge, start=content)
        assert np.abs(made.picture.astype(int) - content).max() <= 1


def test_several_paintings_count_as_one_made_of_all_of_them() -> None:
    mask = np.zeros((8, 8), np.uint8)
    mask[:, :4] = 255
    a, b, here = style(1.0), style(3.0), style(1.0, mask)
    (one,) = shares_of([a, b, style(0.0)], (8, 8))
    assert one[0] == [a, b] and one[1] is None
    masked, rest = shares_of([a, here, b], (8, 8))
    assert masked[0] == [here] and masked[1] is not None and masked[1][:, :4].all() and not masked[1][:, 4:].any()
    assert rest[0] == [a, b] and rest[1] is not None and np.allclose(rest[1], 1 - masked[1])
    both = shares_of([here, style(1.0, mask)], (8, 8))
    assert len(both) == 2 and all(w is not None and np.allclose(w[:, :4], 0.5) for _, w in both)


def test_weights_mix_the_statistics_in_proportion(judge: Perception) -> None:
    content = scene()
    alone = [objective(judge, [style(period=p)], FEW, content).regions[0] for p in (4, 8)]
    both = objective(judge, [style(1.0, period=4), style(3.0, period=8)], FEW, content).regions[0]
    for layer, made in both.grams.items():
        assert torch.allclose(made, 0.25 * alone[0].grams[layer] + 0.75 * alone[1].grams[layer], atol=1e-5)
    clouds = objective(judge, [style(1.0, period=4), style(3.0, period=8)], replace(FEW, loss="sliced"), content).regions[0]
    assert {len(c) for c in clouds.clouds.values()} <= {256, 64 + 144}  # a coarse layer has 144 places of a painting


# --- film


def test_warped_pictures_are_kept_where_they_are_believed(judge: Perception) -> None:
    content = scene()
    wanted = np.full_like(content, 200)
    weight = np.zeros(content.shape[:2], np.float32)
    weight[:, :32] = 1
    options = replace(FEW, temporal=1.0, iterations=25)
    made = optimise(content, [style()], options, perception=judge, start=content, terms=[FlowTerm(wanted, weight)])
    free = optimise(content, [style()], options, perception=judge, start=content)
    assert np.abs(made.picture[:, :30].astype(int) - 200).mean() < 3
    assert np.abs(made.picture[:, 44:].astype(int) - 200).mean() > 50
    assert made.parts["temporal"] > 0 and free.parts["temporal"] == 0
    none = optimise(content, [style()], replace(options, temporal=0.0), perception=judge, start=content,
                    terms=[FlowTerm(wanted, weight)])  # fmt: skip
    assert np.array_equal(none.picture, free.picture)


def test_farther_frames_are_believed_only_where_no_nearer_one_is() -> None:
    near, mid, far = (np.array([row], np.float32) for row in ([1, 1, 0, 0], [1, 0, 0.5, 0], [1, 1, 1, 1]))
    a, b, c = long_term([near, mid, far])
    assert a.tolist() == [[1, 1, 0, 0]] and b.tolist() == [[0, 0, 0.5, 0]] and c.tolist() == [[0, 0, 0.5, 1]]
    assert long_term([]) == []
    halves = [np.full((1, 1), value, np.float32) for value in (0.4, 0.4, 0.9)]
    assert np.allclose([w.item() for w in long_term(halves)], [0.4, 0, 0.1]), "the sum of the nearer ones, as in equation 9"


def moving(frames: int) -> list[np.ndarray]:
    """A texture that moves 2 px to the right a frame."""
    wide = scene(64, 96 + 2 * frames, seed=3)
    return [np.ascontiguousarray(wide[:, 2 * (frames - i) : 2 * (frames - i) + 96]) for i in range(frames)]


def test_a_frame_starts_from_the_one_before_as_the_film_has_moved() -> None:
    frames = moving(4)
    past = Past((1, 3))
    assert past.towards(frames[0]) == (None, ()) and past.reach == 3
    for frame in frames[:3]:
        past.add(frame, 255 - frame)
    start, terms = past.towards(frames[3])
    assert start is not None and len(terms) >= 1
    inner = (slice(8, -8), slice(16, -16))
    assert np.abs(start[inner].astype(int) - (255 - frames[3][inner].astype(int))).mean() < 3
    assert terms[0].weight[inner].mean() > 0.9
    assert np.abs(terms[0].picture[inner].astype(int) + frames[3][inner] - 255).mean() < 3
    if len(terms) > 1:
        assert (terms[0].weight + terms[1].weight).max() <= 1 + 1e-6
    with pytest.raises(ValueError, match="1 or more"):
        Past((0, 1))


def test_a_film_with_flow_terms_is_steadier(judge: Perception) -> None:
    frames = moving(3)
    seen = []
    for temporal in (0.0, 0.02):
        past, made = Past((1,)), []
        for frame in frames:
            start, terms = past.towards(frame) if temporal else (None, ())
            options = replace(FEW, iterations=8, temporal=temporal, seed=len(made))
            made.append(optimise(frame, [style()], options, perception=judge, start=start, terms=terms).picture)
            past.add(frame, made[-1])
        seen.append(np.mean([np.abs(b[8:-8, 10:-8].astype(float) - a[8:-8, 8:-10]).mean()
                             for a, b in zip(made, made[1:], strict=False)]))  # fmt: skip
    assert seen[1] < 0.7 * seen[0]


# --- what goes wrong


def test_what_cannot_be_is_said_at_once(judge: Perception) -> None:
    bad = replace(FEW, content_layers=("nose",), style_layers=("b16", "eye"))
    with pytest.raises(ShowError) as told:
        optimise(scene(24, 64), [style()], bad, perception=judge)
    assert [p.where for p in told.value.problems] == ["--content-layers", "--style-layers", "the picture"]
    assert "it has b16.conv0, b16, b8.conv0, b8" in str(told.value.problems[1])
    with pytest.raises(ValueError, match="a start of"):
        optimise(scene(), [style()], FEW, perception=judge, start=scene(50, 64))
    with pytest.raises(ValueError, match="a mask of"):
        optimise(scene(), [style(mask=np.zeros((4, 4), np.uint8))], FEW, perception=judge)
    for styles in ([], [style(0.0)], [style(-1.0), style()]):
        with pytest.raises(ValueError, match="a weight above 0"):
            optimise(scene(), styles, FEW, perception=judge)


def test_no_numbers_and_no_memory_are_one_sentence(judge: Perception, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Objective, "__call__", lambda self, x: (float("nan"), torch.zeros_like(x)))
    with pytest.raises(ShowError, match="no numbers any more; try: a smaller --style-weight"):
        optimise(scene(), [style()], FEW, perception=judge)

    def full(self: Objective, x: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 1 byte")

    monkeypatch.setattr(Objective, "__call__", full)
    with pytest.raises(ShowError, match="memory: ran out at 64x48; try: --tile 320"):
        optimise(scene(), [style()], FEW, perception=judge)


def test_options_are_checked_all_at_once() -> None:
    parser = argparse.ArgumentParser()
    add_gatys_arguments(parser)
    own = gatys_options(parser.parse_args([]), scale=2.0, seed=7)
    assert own == replace(GatysOptions(), scale=2.0, seed=7)
    words = ["--style-layers", "relu1_1, relu2_1", "--loss", "sliced", "--iterations", "30", "--temporal", "0"]
    asked = gatys_options(parser.parse_args(words))
    assert asked.style_layers == ("relu1_1", "relu2_1") and asked.optimiser == "adam" and asked.temporal == 0
    assert gatys_options(parser.parse_args([*words, "--optimiser", "lbfgs"])).optimiser == "lbfgs"
    with pytest.raises(ShowError) as told:
        gatys_options(parser.parse_args(["--iterations", "0", "--tv", "nan", "--content-weight", "0", "--style-weight", "0",
                                         "--tile", "3", "--content-layers", ",", "--start-from", "no.png"]))  # fmt: skip
    where = [p.where for p in told.value.problems]
    assert where == ["--iterations", "--tile", "--tv", "--content-weight, --style-weight", "--content-layers", "--start-from"]


def test_a_layers_map_lies_where_its_values_do(judge: Perception) -> None:
    sight = Sight(judge, ["b16.conv0", "b8"], (10, 13))
    plane = torch.zeros(1, 1, 10, 13)
    plane[..., 4:8] = 1
    assert sight.shape("b8") == (3, 4)
    assert torch.allclose(sight.map_of(plane, "b8")[0, 0, :, :3], torch.tensor([[0.0, 1.0, 0.0]] * 3))
