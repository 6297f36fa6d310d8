"""The options of `cineml gan train`: parsed, completed by preset and machine, checked."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from models.network_config import (
    PRESETS,
    RESOLUTIONS,
    DiscriminatorConfig,
    GeneratorConfig,
    discriminator_config_for,
)
from player.show.problem import Problem, ShowError
from tools.train_arguments import METRICS, arguments
from tools.train_augment import GROUPS
from tools.train_parallel import Workers
from tools.train_source import Survey
from tools.train_step import Recipe

CPU_PASS_PIXELS = 1 << 17  # more pictures than this in a pass take memory on a CPU, and no less time
NOT_STORED = ("output", "resume", "dry_run", "device", "dataset")
OPEN = ("batch_gpu", "kimg")  # follow from others that a resumed run may change
MOST_SEED = 2**32 - 1


@dataclass(frozen=True)
class Sizes:
    """What a preset says: both networks, and the training numbers that belong to them (None: by the heuristic)."""

    generator: GeneratorConfig
    discriminator: DiscriminatorConfig
    batch: int
    lr: float
    r1_gamma: float | None
    ema_kimg: float | None
    kimg: float


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The options; with --resume, those that are not on the command line come from the run's options.json.

    Raises ShowError where that file cannot be read.
    """
    p = arguments()
    options = p.parse_args(argv)
    if not options.resume:
        return options
    path: Path = options.output / "options.json"
    if not path.is_file():
        return options  # check says that there is no run
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))["options"]
        given = given_names(argv)
        kinds = {action.dest: action.type for action in p._actions}
        for name, value in stored.items():
            if name in vars(options) and name not in given and name not in NOT_STORED:
                if kinds[name] in (int, float) and not isinstance(value, int | float | None):
                    raise TypeError(f"{name} is {value!r}")
                was_path = name in ("cuts", "transfer", "grow_from", "inception") and value is not None
                setattr(options, name, Path(value) if was_path else value)
        if {"batch", "batch_gpu"} & given == {"batch"} and stored.get("batch_gpu") == stored.get("batch"):
            options.batch_gpu = None  # a whole batch in a pass: so it stays, whatever its size
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ShowError(Problem(str(path), f"cannot be read ({error})", "the options of the run to resume")) from None
    # Where a run began is in its state already.
    options.transfer = None if "transfer" not in given else options.transfer
    options.grow_from = None if "grow_from" not in given else options.grow_from
    return options


def given_names(argv: Sequence[str] | None) -> set[str]:
    """Names of the options that stand on the command line."""
    silent = arguments()
    for action in silent._actions:
        action.default = argparse.SUPPRESS
    return set(vars(silent.parse_args(argv)))


def check(options: argparse.Namespace) -> None:
    """Every problem that shows before the pictures are looked at, at once. Raises ShowError."""
    found: list[Problem] = []
    run: Path = options.output
    above = ("minutes", "kimg", "lr", "d_lr", "mapping_lr", "code_lr", "snapshot_minutes", "tick_minutes", "augment_kimg",
             "batch", "batch_gpu", "ema_kimg")  # fmt: skip
    for names, ok, allowed in (
        (above, lambda v: v > 0, "more than 0"),
        (("decay", "p", "style_mixing", "anchor_noise"), lambda v: 0 <= v <= 1, "0 to 1"),
        (("target",), lambda v: -1 < v < 1, "between -1 and 1"),
        (("metrics_minutes", "r1_gamma", "path_interval", "ema_rampup", "warmup", "freeze_d", "conv_clamp", "adversarial_every",
          "adversarial_weight", "threads", "detail", "reconstruction_weight", "feature_weight", "smooth_weight"),
         lambda v: v >= 0, "0 or more"),
        (("seed",), lambda v: 0 <= v <= MOST_SEED, f"0 to {MOST_SEED}"),
    ):  # fmt: skip
        for name in names:
            value = getattr(options, name)
            if value is not None and not ok(value):  # a nan is not ok either
                found.append(Problem(f"--{name.replace('_', '-')}", str(value), allowed))
    if options.resolution is not None and options.resolution not in RESOLUTIONS:
        allowed = f"a power of two from {RESOLUTIONS[0]} to {RESOLUTIONS[-1]}"
        found.append(Problem("--resolution", str(options.resolution), allowed))
    letters = options.augment_groups
    if not letters or set(letters) - set(GROUPS) or len(set(letters)) != len(letters):
        hint = "--aug none, for no augmentation" if not letters else ""
        found.append(Problem("--augment-groups", repr(letters), f"letters of {GROUPS}, each once", hint))
    if options.z_batch < 2 or options.z_batch % 2:
        found.append(Problem("--z-batch", str(options.z_batch), "an even number, 2 or more"))
    if not options.anchor and options.adversarial_every == 0:
        found.append(Problem("--adversarial-every", "0 leaves nothing to learn from without --anchor", "1 or more", "--anchor"))
    if options.anchor:
        if options.cond:
            found.append(Problem("--anchor", "given together with --cond", "one of the two"))
        if options.transfer:
            found.append(Problem("--transfer", "given together with --anchor", "--grow-from, which brings the codes along"))
        if options.mirror:
            allowed = "one of the two: a code is one frame, not its mirror"
            found.append(Problem("--mirror", "given together with --anchor", allowed))
    wrong = [m for m in options.metrics.split(",") if m not in (*METRICS, "none")]
    if wrong or ("none" in options.metrics and options.metrics != "none"):
        found.append(Problem("--metrics", options.metrics, f"none, or of {', '.join(METRICS)}"))
    if "fid" in options.metrics and options.inception is None:
        found.append(Problem("--metrics fid", "needs Inception weights", "--inception FILE", "--metrics kid, which needs none"))
    if options.resume and not (run / "state.safetensors").is_file():
        found.append(Problem(str(run), "holds no run to resume", "a run folder with state.safetensors"))
    if options.resume and options.grow_from:
        found.append(Problem("--grow-from", "given together with --resume", "one of the two"))
    if options.transfer and (options.grow_from or options.resume):
        other = "--grow-from" if options.grow_from else "--resume"
        found.append(Problem("--transfer", f"given together with {other}", "one of the two"))
    if not options.resume and not options.dry_run and (run / "state.safetensors").exists():
        found.append(Problem(str(run), "holds a run already", "an empty folder", "--resume, or another folder"))
    if run.exists() and not run.is_dir():
        found.append(Problem(str(run), "is a file", "a folder"))
    if found:
        raise ShowError(found)


def complete(options: argparse.Namespace, seen: Survey, workers: Workers, c_dim: int) -> tuple[Sizes, Recipe]:
    """Fill in what preset, pictures and machine decide; every problem of the sizes at once. Raises ShowError."""
    gpu = workers.device.type == "cuda"
    if options.resolution is None:
        fits = 1 << (max(seen.width, seen.height).bit_length() - 1)
        options.resolution = max(8, min(256 if gpu else 64, fits))
    if options.channels is None:
        options.channels = min(3, seen.channels) if isinstance(options.anchor, str) else seen.channels  # a film has no alpha
    options.anchor = True if options.anchor == str(options.dataset) else options.anchor
    try:
        sizes = sized(options, c_dim, gpu, workers.count)
    except ValueError as error:
        raise ShowError(problem_of(error)) from None
    options.left_open = tuple(name for name in OPEN if getattr(options, name) is None)
    options.batch = options.batch or sizes.batch
    share, group = options.batch // workers.count, sizes.discriminator.group
    if options.batch % workers.count:
        raise ShowError(Problem("--batch", str(options.batch), f"a multiple of {workers.count}, the number of processes"))
    if options.batch_gpu is None:
        options.batch_gpu = share
        while not (gpu or options.anchor) and options.batch_gpu * options.resolution**2 > CPU_PASS_PIXELS:
            if options.batch_gpu % 2 or options.batch_gpu // 2 % group:
                break
            options.batch_gpu //= 2
    found: list[Problem] = []
    if share % options.batch_gpu:
        found.append(Problem("--batch-gpu", str(options.batch_gpu), f"a divisor of {share}, the batch of a process"))
    if options.batch_gpu % min(group, options.batch_gpu):
        allowed = f"a multiple of {group} (minibatch deviation groups)"
        found.append(Problem("--batch", f"{options.batch_gpu} a pass", allowed, "--group"))
    if options.anchor:
        if workers.count > 1:
            found.append(Problem("--anchor", f"under torchrun with {workers.count} processes", "one process"))
        if options.batch % 4 or options.batch < 4:
            found.append(Problem("--batch", str(options.batch), "a multiple of 4 (minibatch deviation groups)"))
    if found:
        raise ShowError(found)
    if options.minutes is None and options.kimg is None:
        options.kimg = sizes.kimg
    by_kind = (("decay", 0.0, 0.35), ("warmup", 0.0, 2.0), ("aug", "ada", "none"), ("style_mixing", 0.9, 0.0))
    for name, plain, anchored in by_kind:
        if getattr(options, name) is None:
            setattr(options, name, anchored if options.anchor else plain)
    if options.p is None:
        options.p = 0.2 if options.aug == "fixed" else 0.0
    return sizes, recipe_for(options, sizes)


def sized(options: argparse.Namespace, c_dim: int, gpu: bool, processes: int) -> Sizes:
    """The preset with the numbers that were given in its place. Raises ValueError."""
    res = options.resolution
    automatic = options.preset == "auto"
    if automatic:
        by_resolution = "paper256" if res <= 256 else "paper512" if res <= 512 else "paper1024"
        options.preset = by_resolution if gpu and not options.anchor else "small"
    if options.preset == "small":
        generator = GeneratorConfig(resolution=res, channels=options.channels, c_dim=c_dim, z_dim=128, w_dim=128,
                                    mapping_layers=3, channel_base=2048, channel_max=128)  # fmt: skip
        sizes = Sizes(generator, discriminator_config_for(generator), 16, 0.0025, None, None, 1000.0)
    else:
        preset = PRESETS[options.preset]
        generator = preset.generator(res, options.channels, c_dim)
        judge = preset.discriminator(res, options.channels, c_dim)
        sizes = Sizes(generator, judge, preset.batch, preset.lr, preset.r1_gamma, preset.ema_kimg, float(preset.kimg))
        if automatic:  # what fits this resolution and so many GPUs; gamma and half-life follow from the batch
            batch = max(min(processes * min(4096 // res, 32), 64), 4 * processes)
            sizes = replace(sizes, batch=batch, r1_gamma=None, ema_kimg=None, discriminator=replace(judge, group=4))
    shared = ("channel_base", "channel_max", "half_blocks")
    both: dict[str, Any] = {n: v for n in shared if (v := getattr(options, n)) is not None}
    if options.conv_clamp is not None:
        both["conv_clamp"] = options.conv_clamp or None
    own = {n: v for n in ("z_dim", "w_dim", "mapping_layers") if (v := getattr(options, n)) is not None}
    judges = {"group": options.group} if options.group is not None else {}
    if options.g_architecture:
        own["architecture"] = options.g_architecture
    if options.d_architecture:
        judges["architecture"] = options.d_architecture
    return replace(sizes, generator=replace(sizes.generator, **both, **own),
                   discriminator=replace(sizes.discriminator, **both, **judges))  # fmt: skip


def problem_of(error: ValueError) -> Problem:
    """What a network says of its sizes, by the option that gave them."""
    name, _, rest = str(error).partition(" ")
    option = f"--{name.replace('_', '-')}"
    if option not in {o for action in arguments()._actions for o in action.option_strings}:
        return Problem("options", str(error))
    return Problem(option, rest)


def recipe_for(options: argparse.Namespace, sizes: Sizes) -> Recipe:
    """The recipe with what depends on anchoring filled in."""
    anchored = bool(options.anchor)
    weight, gamma, path = options.adversarial_weight, options.r1_gamma, options.path_interval
    gamma = sizes.r1_gamma if gamma is None and not anchored else gamma
    ema = sizes.ema_kimg if options.ema_kimg is None and not anchored else options.ema_kimg
    judged = 2 * options.z_batch if anchored else options.batch
    lr = (0.01 if anchored else sizes.lr) if options.lr is None else options.lr
    return Recipe(
        batch=options.batch,
        per_pass=options.batch_gpu,
        z_batch=options.z_batch,
        adversarial_every=options.adversarial_every if anchored else 1,
        lr=lr,
        judge_lr=(0.0025 if anchored else sizes.lr) if options.d_lr is None else options.d_lr,
        code_lr=options.code_lr,
        # A mapping's weights move 100 times slower than the rest's, too slow to learn the codes within minutes.
        mapping_lr=(0.3 if anchored else lr) if options.mapping_lr is None else options.mapping_lr,
        mapping_beta1=0.8 if anchored else 0.0,
        beta1=0.5 if anchored else 0.0,  # a reconstruction gains from momentum, a contest does not
        r1_gamma=0.0002 * options.resolution**2 / judged if gamma is None else gamma,
        path_interval=(16 if anchored else 4) if path is None else path,
        style_mixing=options.style_mixing,
        ema_kimg=options.batch * 10 / 32 if ema is None else ema,
        ema_rampup=options.ema_rampup,
        augment_p=options.p if options.aug != "none" else 0.0,
        augment_target=options.target if options.aug == "ada" else None,
        augment_kimg=options.augment_kimg,
        mirror=options.mirror,
        adversarial_weight=(0.2 if anchored else 1.0) if weight is None else weight,
        reconstruction_weight=options.reconstruction_weight,
        anchor_noise=options.anchor_noise,
        feature_weight=options.feature_weight,
        smooth_weight=options.smooth_weight,
    )


def stored(options: argparse.Namespace) -> dict[str, Any]:
    """The options as JSON can hold them; those that were left open as they were given, where a resumed run finds them anew."""
    values = {k: str(v) if isinstance(v, Path) else v for k, v in vars(options).items() if k != "left_open"}
    return values | dict.fromkeys(getattr(options, "left_open", ()))


def parameters_of(network: torch.nn.Module) -> float:
    """Millions of parameters."""
    return sum(p.numel() for p in network.parameters()) / 1e6
