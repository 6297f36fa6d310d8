"""Presets, what the machine and the pictures decide, and every option that is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from models import network_config
from player.show.problem import ShowError
from tools.train_arguments import ARCHITECTURES, PRESETS, arguments
from tools.train_options import Sizes, check, complete, parse, stored
from tools.train_parallel import Workers
from tools.train_recipe import Recipe
from tools.train_source import Survey

FILM = Survey("film", 1440, 1080, 1, 9408)
GPU, CPU = torch.device("cuda"), torch.device("cpu")


def settled(*words: str, device: torch.device = CPU, count: int = 1, seen: Survey = FILM) -> tuple[Sizes, Recipe]:
    options = arguments().parse_args(["film.mp4", "-o", "no-such-run", *words])
    check(options)
    return complete(options, seen, Workers(0, count, device), 0)


def test_without_a_gpu_the_small_network_is_chosen() -> None:
    sizes, recipe = settled()
    assert (sizes.generator.resolution, sizes.generator.channel_base, sizes.generator.w_dim) == (64, 2048, 128)
    assert (recipe.batch, recipe.per_pass, recipe.augment_target) == (16, 16, 0.6)
    assert recipe.r1_gamma == pytest.approx(0.0002 * 64**2 / 16) and recipe.ema_kimg == 5
    assert [settled("--resolution", str(r))[1].per_pass for r in (128, 256)] == [8, 4]  # memory
    assert not recipe.mirror and recipe.style_mixing == 0.9


def test_with_a_gpu_the_preset_follows_the_resolution() -> None:
    sizes, recipe = settled(device=GPU)
    assert (sizes.generator.resolution, sizes.generator.channel_base, sizes.generator.half_blocks) == (256, 16384, 4)
    assert (recipe.batch, recipe.per_pass) == (16, 16) and recipe.r1_gamma == pytest.approx(0.0002 * 256**2 / 16)
    assert settled("--resolution", "512", device=GPU)[0].generator.channel_base == 32768
    _, many = settled("--resolution", "512", device=GPU, count=8)
    assert (many.batch, many.per_pass) == (64, 8)


def test_a_named_preset_brings_its_published_numbers_and_every_one_can_be_replaced() -> None:
    sizes, recipe = settled("--preset", "paper256", "--resolution", "256", device=GPU)
    assert (recipe.batch, recipe.r1_gamma, recipe.ema_kimg, sizes.discriminator.group) == (64, 1.0, 20.0, 8)
    words = ["--preset", "config-f", "--resolution", "128", "--channel-base", "8192", "--channel-max", "256",
             "--w-dim", "64", "--z-dim", "32", "--mapping-layers", "2", "--conv-clamp", "0", "--half-blocks", "1",
             "--group", "2", "--batch", "12", "--lr", "0.001",
             "--d-lr", "0.003", "--r1-gamma", "7", "--ema-kimg", "3", "--path-interval", "0",
             "--g-architecture", "resnet", "--d-architecture", "orig", "--batch-gpu", "6"]  # fmt: skip
    sizes, recipe = settled(*words, device=GPU)
    g, d = sizes.generator, sizes.discriminator
    assert (g.channel_base, g.channel_max, g.w_dim, g.z_dim, g.mapping_layers) == (8192, 256, 64, 32, 2)
    assert (g.conv_clamp, g.half_blocks, g.architecture, d.architecture, d.group) == (None, 1, "resnet", "orig", 2)
    assert (recipe.batch, recipe.per_pass, recipe.lr, recipe.mapping_lr, recipe.judge_lr) == (12, 6, 0.001, 0.001, 0.003)
    assert (recipe.r1_gamma, recipe.ema_kimg, recipe.path_interval) == (7, 3, 0)


def test_small_pictures_bound_the_resolution_and_colour_is_taken_from_them() -> None:
    sizes, _ = settled(device=GPU, seen=Survey("zip", 96, 80, 3, 100))
    assert (sizes.generator.resolution, sizes.generator.channels) == (64, 3)


def test_anchored_training_keeps_the_recipe_of_the_demo() -> None:
    words = ["--anchor", "--channel-base", "2048", "--batch", "8", "--resolution", "32", "--minutes", "11",
             "--adversarial-every", "0", "--lr", "0.015", "--decay", "0.15"]  # fmt: skip
    for device in (CPU, GPU):
        sizes, recipe = settled(*words, device=device)
        assert recipe == Recipe(batch=8, per_pass=8, adversarial_every=0, lr=0.015, mapping_lr=0.3, mapping_beta1=0.8,
                                beta1=0.5, r1_gamma=0.0002 * 32**2 / 8, path_interval=16, style_mixing=0.0, ema_kimg=2.5,
                                adversarial_weight=0.2, feature_weight=0.5)  # fmt: skip
        assert (sizes.generator.z_dim, sizes.generator.mapping_layers, sizes.generator.conv_clamp) == (128, 3, None)


@pytest.mark.parametrize(("words", "sentence"), [
    (["--resolution", "48"], "--resolution: 48; allowed: a power of two from 8 to 1024"),
    (["--augment-groups", "xyz"], "--augment-groups: 'xyz'; allowed: letters of bgc, each once"),
    (["--augment-groups", "bb"], "--augment-groups: 'bb'"),
    (["--augment-groups", ""], "try: --aug none"),
    (["--seed", "-1"], "--seed: -1; allowed: 0 to"),
    (["--seed", "99999999999999999999999"], "--seed"),
    (["--reconstruction-weight", "nan"], "--reconstruction-weight: nan"),
    (["--kimg", "-1"], "--kimg: -1.0; allowed: more than 0"),
    (["--kimg", "nan"], "--kimg: nan"),
    (["--p", "1.5"], "--p: 1.5; allowed: 0 to 1"),
    (["--target", "2"], "--target"),
    (["--batch-gpu", "5"], "a divisor of 16"),
    (["--batch", "6", "--batch-gpu", "6"], "a multiple of 4"),
    (["--metrics", "kid,beauty"], "--metrics: kid,beauty"),
    (["--metrics", "fid"], "needs Inception weights"),
    (["--resume"], "holds no run to resume"),
    (["--adversarial-every", "0"], "0 leaves nothing to learn from without --anchor"),
    (["--anchor", "--cond"], "--anchor: given together with --cond"),
    (["--anchor", "--mirror"], "--mirror: given together with --anchor"),
    (["--transfer", "a", "--grow-from", "b"], "--transfer: given together with --grow-from"),
    (["--channel-base", "16"], "--channel-base: 16 leaves no feature map"),
    (["--mapping-layers", "99"], "--mapping-layers: must be a whole number"),
])  # fmt: skip
def test_what_is_refused_is_said(words: list[str], sentence: str) -> None:
    with pytest.raises(ShowError) as refused:
        settled(*words)
    assert sentence in str(refused.value)


def test_what_follows_from_other_options_is_not_kept_as_if_it_had_been_given(tmp_path: Path) -> None:
    for words, kept in (([], (None, None)), (["--batch-gpu", "4", "--kimg", "5"], (4, 5))):
        options = arguments().parse_args(["film.mp4", "-o", "no-such-run", *words])
        sizes, recipe = complete(options, FILM, Workers(0, 1, CPU), 0)
        assert (recipe.per_pass, options.kimg) == ((4, 5) if words else (16, sizes.kimg))
        told = stored(options)
        assert (told["batch_gpu"], told["kimg"]) == kept and told["batch"] == 16
        (tmp_path / "options.json").write_text(json.dumps({"options": told}))
        again = parse(["film.mp4", "-o", str(tmp_path), "--resume", "--batch", "8"])
        assert (again.batch_gpu, again.kimg) == kept
        assert complete(again, FILM, Workers(0, 1, CPU), 0)[1].per_pass == (4 if words else 8)


def test_a_resumed_run_of_older_days_takes_a_smaller_batch_whole(tmp_path: Path) -> None:
    (tmp_path / "options.json").write_text(json.dumps({"options": {"batch": 16, "batch_gpu": 16, "threads": 1}}))
    options = parse(["film.mp4", "-o", str(tmp_path), "--resume", "--batch", "8"])
    assert (options.batch, options.batch_gpu) == (8, None)
    assert parse(["film.mp4", "-o", str(tmp_path), "--resume"]).batch_gpu == 16


def test_threads_are_remembered(tmp_path: Path) -> None:
    told = stored(arguments().parse_args(["film.mp4", "-o", "run", "--threads", "3"]))
    (tmp_path / "options.json").write_text(json.dumps({"options": told}))
    assert parse(["film.mp4", "-o", str(tmp_path), "--resume"]).threads == 3
    assert parse(["film.mp4", "-o", str(tmp_path), "--resume", "--threads", "1"]).threads == 1


def test_pictures_with_alpha_are_trained_with_it_unless_a_film_is_anchored() -> None:
    seen = Survey("zip", 96, 80, 4, 100)
    assert settled(seen=seen)[0].generator.channels == 4
    assert settled("--anchor", "other.mp4", seen=seen)[0].generator.channels == 3


def test_several_problems_are_said_at_once() -> None:
    with pytest.raises(ShowError) as refused:
        settled("--kimg", "0", "--z-batch", "3", "--decay", "2")
    assert len(refused.value.problems) == 3


def test_batches_that_processes_cannot_share_are_refused() -> None:
    with pytest.raises(ShowError, match="a multiple of 3, the number of processes"):
        settled("--batch", "16", count=3)
    with pytest.raises(ShowError, match="one process"):
        settled("--anchor", count=2)


def test_a_file_in_the_place_of_the_run_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file")
    with pytest.raises(ShowError, match="is a file"):
        check(arguments().parse_args(["film.mp4", "-o", str(tmp_path / "run")]))


def test_the_light_command_line_knows_the_networks_presets_and_architectures() -> None:
    assert PRESETS == tuple(network_config.PRESETS) and ARCHITECTURES == network_config.ARCHITECTURES
