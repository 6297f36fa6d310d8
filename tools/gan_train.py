"""cineml gan train: learn a StyleGAN2 from a film's frames (or a folder of pictures).

    cineml gan train FILM -o RUN --resolution 64 --minutes 30 --cuts cuts.csv
    cineml gan train FILM -o RUN128 --resolution 128 --minutes 40 --cuts cuts.csv --grow-from RUN

RUN receives checkpoint/ (averaged generator and discriminator), anchors.npz (a code for every film frame), grids/*.png,
log.jsonl, options.json, and state.safetensors, from which --resume goes on as if nothing had happened.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# Threads that spin at a barrier starve each other as soon as anything else runs: 2 cores under load made 2 pictures a
# second spinning, 13 sleeping. Read by OpenMP when torch is first imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.checkpoint import CheckpointError, file_sha256, load_checkpoint, read_description
from models.discriminator import Discriminator
from models.stylegan2 import Generator, GeneratorConfig
from player.show.cut_list import CutList, read_csv
from player.show.problem import Problem, ShowError
from tools.train_anchors import CodeTable, detail_weights, first_codes, load_anchors
from tools.train_dataset import Dataset, load_dataset, mixed_frames
from tools.train_run import Run
from tools.train_snapshot import load_state, write_json
from tools.train_step import Recipe, Training


def parser() -> argparse.ArgumentParser:
    """The command line; its help is the reference of the options."""
    p = argparse.ArgumentParser(prog="cineml gan train", description="Train a StyleGAN2 on a film's frames.")
    p.add_argument("dataset", type=Path, help="a film, or a folder of pictures")
    p.add_argument("-o", "--output", type=Path, required=True, metavar="RUN", help="folder of the run")
    p.add_argument("--start", help="first film frame: 300, 12.5s or hh:mm:ss:ff")
    p.add_argument("--end", help="film frame to stop before")
    p.add_argument("--cuts", type=Path, help="cut list (CSV): codes are smooth within its shots; mixes are left out")
    p.add_argument("--resolution", type=int, default=64, help="pixels, a power of two (default 64)")
    p.add_argument("--channels", type=int, default=1, choices=(1, 3), help="1 grey (default), 3 colour")
    p.add_argument("--z-dim", type=int, default=128)
    p.add_argument("--w-dim", type=int, default=128)
    p.add_argument("--mapping-layers", type=int, default=3)
    p.add_argument("--channel-base", type=int, default=2048, help="feature maps at a resolution = base / resolution")
    p.add_argument("--channel-max", type=int, default=128)
    p.add_argument("--anchor", choices=("auto", "on", "off"), default="auto",
                   help="a code per film frame, learnt by reconstruction (auto: on for a film)")  # fmt: skip
    p.add_argument("--kimg", type=float, help="stop after so many thousand pictures (default 1000 without --minutes)")
    p.add_argument("--minutes", type=float, help="stop after so many minutes; the learning rate falls in time")
    p.add_argument("--grow-from", type=Path, metavar="RUN", help="start from a run or checkpoint of this or a lower resolution")
    p.add_argument("--resume", action="store_true", help="go on with the run in RUN")
    p.add_argument("--batch", type=int, default=16, help="anchored frames, or pictures from z, an iteration")
    p.add_argument("--z-batch", type=int, default=4, help="pictures from z beside the anchored ones")
    p.add_argument("--adversarial-every", type=int, default=2, help="iterations; the others reconstruct only; 0 = never")
    p.add_argument("--adversarial-weight", type=float, help="default 1, with anchors 0.2")
    p.add_argument("--reconstruction-weight", type=float, default=10.0)
    p.add_argument("--feature-weight", type=float, default=0.5, help="discriminator features, frame against its code")
    p.add_argument("--detail", type=float, default=4.0, help="extra weight of what differs from the shot's mean")
    p.add_argument("--smooth-weight", type=float, default=1.0)
    p.add_argument("--lr", type=float, help="of the generator; default 0.0025, with anchors 0.01")
    p.add_argument("--code-lr", type=float, default=0.01)
    p.add_argument("--mapping-lr", type=float, help="default 0.0025, with anchors 0.3")
    p.add_argument("--decay", type=float, default=0.35, help="last part of the run in which the rates fall to nothing")
    p.add_argument("--r1-gamma", type=float, help="default 0.0002 resolution^2 / batch")
    p.add_argument("--path-interval", type=int, help="default 4, with anchors 16; 0 = no path length regularisation")
    p.add_argument("--ema-kimg", type=float, help="half-life of the averaged generator; default batch * 10 / 32")
    p.add_argument("--warmup", type=float, default=2.0, help="kimg over which the adversarial weight fades in")
    p.add_argument("--snapshot-minutes", type=float, default=4.0)
    p.add_argument("--half", action="store_true", help="keep the checkpoint in half precision")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--threads", type=int, default=0, help="CPU threads (default: torch's choice)")
    p.add_argument("--device", default="auto", help="auto, cpu or cuda")
    p.add_argument("--precision", choices=("auto", "float32", "bfloat16"), default="auto",
                   help="of the activations in training (auto: bfloat16 where it is faster here)")  # fmt: skip
    p.add_argument("--dry-run", action="store_true", help="say what would be done, time a few steps, write nothing")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0 after training (also after Ctrl-C, which keeps a snapshot), 2 on bad input."""
    options = parser().parse_args(argv)
    try:
        return train(options)
    except ShowError as error:
        print(error, file=sys.stderr)
        return 2
    except CheckpointError as error:
        print(f"cineml gan train: {error}", file=sys.stderr)
        return 2


def train(options: argparse.Namespace) -> int:
    """Set up the run and train it to its end. Raises ShowError and CheckpointError on bad input."""
    check(options)
    if options.threads:
        torch.set_num_threads(options.threads)
    device = chosen_device(options.device)
    torch.manual_seed(options.seed)
    run: Path = options.output
    dataset = load_dataset(options.dataset, None if options.dry_run else run, options.resolution, options.channels,
                           options.start, options.end)  # fmt: skip
    cuts = cuts_for(options.cuts, len(dataset.images))
    shots = [(s.start, s.end) for s in cuts.shots] if cuts else [(0, len(dataset.images))]
    usable = ~mixed_frames(cuts) if cuts else np.ones(len(dataset.images), bool)
    anchored = options.anchor == "on" or (options.anchor == "auto" and dataset.film)
    recipe = recipe_for(options, anchored)
    generator, discriminator, table, grown = networks_for(options, dataset, usable, shots, anchored)
    weights = detail_weights(dataset.images, shots, options.detail) if anchored and options.detail > 0 else None
    dtype = chosen_dtype(options.precision, device)
    training = Training(generator.to(device), discriminator.to(device), dataset, usable, recipe,
                        table.to(device) if table is not None else None, weights, dtype)  # fmt: skip
    elapsed_s = 0.0
    names: dict[str, Any] = {"generator": training.generator, "average": training.average,
                             "discriminator": training.discriminator}  # fmt: skip
    if table is not None:
        names["codes"] = table
    if options.resume:
        extra, counters = load_state(run / "state.safetensors", names, training.optimizers)
        training.path_mean = extra["path_mean"]
        training.pictures, training.iteration = int(counters["pictures"]), int(counters["iteration"])
        training.turn, elapsed_s = int(counters["turn"]), float(counters["elapsed_s"])
    print(f"{dataset.source}: {len(dataset.images)} pictures ({int(usable.sum())} used, {len(shots)} shots), "
          f"{options.resolution}x{options.resolution}, {'anchored' if anchored else 'from z only'}; "
          f"generator {parameters_of(generator):.2f} M, discriminator {parameters_of(discriminator):.2f} M parameters; "
          f"{device.type}, {str(dtype).removeprefix('torch.')}, {torch.get_num_threads()} threads")  # fmt: skip
    if options.dry_run:
        return rehearse(training, options)
    if options.resume:
        grown = read_description(run / "checkpoint").get("run", {}).get("grown_from")
    about = {"tool": "cineml gan train", "dataset": dataset.source, "seed": options.seed, "torch": torch.__version__,
             "grown_from": grown, "anchored": anchored}  # fmt: skip
    if not options.resume:
        write_json(run / "options.json", {
            "options": {k: str(v) if isinstance(v, Path) else v for k, v in vars(options).items()},
            "recipe": dataclasses.asdict(recipe), "python": platform.python_version(), "torch": torch.__version__,
            "dataset_sha256": file_sha256(options.dataset) if options.dataset.is_file() else None})  # fmt: skip
    return Run(options, run, dataset, usable, training, names, about, elapsed_s).train()


def check(options: argparse.Namespace) -> None:
    """Every problem of the options at once. Raises ShowError."""
    found: list[Problem] = []
    run: Path = options.output
    try:
        config_for(options)
    except ValueError as error:
        found.append(Problem("options", str(error)))
    if options.batch % 4 or options.batch < 4:
        found.append(Problem("--batch", str(options.batch), "a multiple of 4 (minibatch deviation groups)"))
    if options.z_batch < 2 or options.z_batch % 2:
        found.append(Problem("--z-batch", str(options.z_batch), "an even number, 2 or more"))
    for name in ("minutes", "kimg", "lr", "code_lr", "snapshot_minutes", "decay"):
        value = getattr(options, name)
        if value is not None and value <= 0:
            found.append(Problem(f"--{name.replace('_', '-')}", str(value), "more than 0"))
    if options.resume and not (run / "state.safetensors").is_file():
        found.append(Problem(str(run), "holds no run to resume", "a run folder with state.safetensors"))
    if options.resume and options.grow_from:
        found.append(Problem("--grow-from", "given together with --resume", "one of the two"))
    if not options.resume and not options.dry_run and (run / "state.safetensors").exists():
        found.append(Problem(str(run), "holds a run already", "an empty folder", "--resume, or another folder"))
    if found:
        raise ShowError(found)
    if options.minutes is None and options.kimg is None:
        options.kimg = 1000.0


def config_for(options: argparse.Namespace) -> GeneratorConfig:
    """The generator that the options ask for. Raises ValueError."""
    return GeneratorConfig(resolution=options.resolution, channels=options.channels, z_dim=options.z_dim,
                           w_dim=options.w_dim, mapping_layers=options.mapping_layers,
                           channel_base=options.channel_base, channel_max=options.channel_max)  # fmt: skip


def recipe_for(options: argparse.Namespace, anchored: bool) -> Recipe:
    """The recipe with what depends on anchoring filled in."""
    weight, gamma, path = options.adversarial_weight, options.r1_gamma, options.path_interval
    judged = 2 * options.z_batch if anchored else options.batch
    return Recipe(
        batch=options.batch,
        z_batch=options.z_batch,
        adversarial_every=options.adversarial_every if anchored else 1,
        lr=(0.01 if anchored else 0.0025) if options.lr is None else options.lr,
        code_lr=options.code_lr,
        # A mapping's weights move 100 times slower than the rest's, too slow to learn the codes within minutes.
        mapping_lr=(0.3 if anchored else 0.0025) if options.mapping_lr is None else options.mapping_lr,
        mapping_beta1=0.8 if anchored else 0.0,
        beta1=0.5 if anchored else 0.0,  # a reconstruction gains from momentum, a contest does not
        r1_gamma=0.0002 * options.resolution**2 / judged if gamma is None else gamma,
        path_interval=(16 if anchored else 4) if path is None else path,
        ema_kimg=options.batch * 10 / 32 if options.ema_kimg is None else options.ema_kimg,
        adversarial_weight=(0.2 if anchored else 1.0) if weight is None else weight,
        reconstruction_weight=options.reconstruction_weight,
        feature_weight=options.feature_weight,
        smooth_weight=options.smooth_weight,
    )


def cuts_for(path: Path | None, frames: int) -> CutList | None:
    """The cut list, checked against the film's length. Raises ShowError."""
    if path is None:
        return None
    cuts = read_csv(path)
    if cuts.frames != frames:
        raise ShowError(Problem(str(path), f"covers {cuts.frames} frames, the pictures are {frames}", "the same number"))
    return cuts


def networks_for(
    options: argparse.Namespace, dataset: Dataset, usable: NDArray[np.bool_], shots: list[tuple[int, int]], anchored: bool
) -> tuple[Generator, Discriminator, CodeTable | None, str | None]:
    """Fresh networks and codes, or grown ones: (generator, discriminator, code table, where from)."""
    config = config_for(options)
    generator, discriminator = Generator(config), Discriminator(config)
    codes: Tensor | None = None
    places: Tensor | None = None
    grown: str | None = None
    if options.grow_from is not None:
        source: Path = options.grow_from
        folder = source / "checkpoint" if (source / "checkpoint").is_dir() else source
        loaded = load_checkpoint(folder)
        grow(generator, discriminator, loaded.generator, loaded.discriminator)
        grown = loaded.sha256
        anchors = next((p for p in (source / "anchors.npz", folder / "anchors.npz") if p.is_file()), source / "anchors.npz")
        if anchored and anchors.is_file():
            try:
                codes, places = load_anchors(anchors)
            except (OSError, KeyError, ValueError) as error:
                raise ShowError(Problem(str(anchors), f"cannot be read ({error})", "the anchors of a run")) from None
            if codes.shape != (len(dataset.images), config.w_dim):
                given = f"holds codes for {codes.shape[0]} frames of {codes.shape[1]}"
                raise ShowError(Problem(str(anchors), given, f"{len(dataset.images)} of {config.w_dim}"))
    if anchored and options.grow_from is None:
        with torch.no_grad():  # fresh pictures are several times too contrasty, which reconstruction would unlearn first
            for block in generator.synthesis.blocks():
                block.torgb.weight.mul_(0.25)
    if anchored and codes is None:
        codes = first_codes(dataset.images, config.w_dim, usable, options.seed)
    return generator, discriminator, None if codes is None else CodeTable(codes, shots, usable, places), grown


@torch.no_grad()
def grow(generator: Generator, discriminator: Discriminator, small: Generator, judge: Discriminator | None) -> None:
    """Copy every block that both have; a new top block of the generator starts as a faint addition. At the same
    resolution everything is copied: training goes on from a checkpoint that kept no optimiser.

    Raises ShowError where a block that both have differs in size.
    """
    if small.config.resolution > generator.config.resolution:
        given = f"is {small.config.resolution} pixels"
        raise ShowError(Problem("--grow-from", given, f"at most {generator.config.resolution}"))
    same = small.config.resolution == generator.config.resolution
    pairs: list[tuple[torch.nn.Module, dict[str, Tensor]]] = [(generator, small.state_dict())]
    if judge is not None:
        pairs.append((discriminator, {k: v for k, v in judge.state_dict().items() if same or ".fromrgb." not in k}))
    for network, source in pairs:
        own = network.state_dict()
        for name, value in source.items():
            if name not in own or own[name].shape != value.shape:
                given = f"{name} is {list(value.shape)}"
                wanted = list(own[name].shape) if name in own else "not there"
                raise ShowError(Problem("--grow-from", given, f"{wanted}", "the same sizes below the new resolution"))
            own[name].copy_(value)
    for block in generator.synthesis.blocks():
        if block.resolution > small.config.resolution:
            block.torgb.weight.mul_(0.1)


def chosen_device(name: str) -> torch.device:
    """auto = a CUDA device where there is one. Raises ShowError."""
    if name not in ("auto", "cpu", "cuda"):
        raise ShowError(Problem("--device", name, "auto, cpu, cuda"))
    if name == "cuda" and not torch.cuda.is_available():
        raise ShowError(Problem("--device", "cuda is not available on this machine", "auto or cpu"))
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def chosen_dtype(name: str, device: torch.device) -> torch.dtype:
    """bfloat16 where it was asked for, or where a convolution is at least 1.3 times as fast in it (measured now)."""
    if name != "auto":
        return torch.bfloat16 if name == "bfloat16" else torch.float32
    seconds: dict[torch.dtype, float] = {}
    for dtype in (torch.float32, torch.bfloat16):
        x = torch.randn(8, 64, 32, 32, device=device, dtype=dtype).to(memory_format=torch.channels_last)
        w = torch.randn(64, 64, 3, 3, device=device, dtype=dtype)
        tries = []
        for _ in range(5):
            begun = time.perf_counter()
            float(torch.nn.functional.conv2d(x, w, padding=1)[0, 0, 0, 0])
            tries.append(time.perf_counter() - begun)
        seconds[dtype] = min(tries[1:])
    return torch.bfloat16 if seconds[torch.bfloat16] * 1.3 < seconds[torch.float32] else torch.float32


def rehearse(training: Training, options: argparse.Namespace) -> int:
    """--dry-run: time a few iterations and say how long the run would take; nothing is written."""
    for _ in range(2):
        training.step()
    begun, before = time.monotonic(), training.pictures
    for _ in range(6):
        training.step()
    rate = (training.pictures - before) / (time.monotonic() - begun)
    wanted = f"{options.kimg:g} kimg in {options.kimg * 1000 / rate / 60:.1f} min" if options.kimg else (
        f"{rate * options.minutes * 60 / 1000:.1f} kimg in {options.minutes:g} min")  # fmt: skip
    print(f"dry run: {rate:.1f} pictures a second; {wanted}; nothing was written")
    return 0


def parameters_of(network: torch.nn.Module) -> float:
    """Millions of parameters."""
    return sum(p.numel() for p in network.parameters()) / 1e6


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
