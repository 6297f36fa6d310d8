"""cineml gan train: learn a StyleGAN2 from a film's frames, a folder of pictures, or a zip of them.

    cineml gan train FILM -o RUN --minutes 60
    cineml gan train FILM -o RUN --resume --minutes 120
    cineml gan train FILM -o RUN --resolution 64 --minutes 30 --cuts cuts.csv --anchor

RUN receives checkpoint/ (averaged generator and discriminator), grids/KIMG.png, reals.png, log.jsonl, metrics.jsonl,
report.png, report.html, options.json, anchors.npz (with --anchor: a code for every film frame), and state.safetensors, from
which --resume goes on as if nothing had happened. dataset.u8 keeps the pictures at the size that is trained on.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
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

from models.checkpoint import CheckpointError, file_sha256, read_description
from player.show.cut_list import read_csv
from player.show.problem import Problem, ShowError
from tools.train_anchored import AnchoredTraining
from tools.train_anchors import CodeTable, detail_weights, first_codes
from tools.train_cuts import Cuts, cuts_of
from tools.train_dataset import Dataset, asked_of, load_dataset
from tools.train_display import board_there, duration
from tools.train_machine import chosen_dtype, is_out_of_memory, keep_freed_memory, memory_advice, memory_mib
from tools.train_measure import feature_net
from tools.train_networks import Start, adopt_sizes, start_from
from tools.train_options import Sizes, check, complete, parameters_of, parse, stored
from tools.train_parallel import Workers, join
from tools.train_recipe import Recipe
from tools.train_resume import check_resumed
from tools.train_run import STOPPED, Run
from tools.train_snapshot import write_json
from tools.train_source import kind_of, label_table, picture_names, survey
from tools.train_step import Training

WARM_STEPS, TIMED_STEPS = 2, 6  # of a dry run


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0 after training, 130 after Ctrl-C or SIGTERM (which keep a snapshot), 2 on bad input."""
    workers: Workers | None = None
    code: int | None = None
    before: set[str] | None = None
    options: argparse.Namespace | None = None
    try:
        options = parse(argv)
        check(options)
        if options.tensorboard:
            board_there()
        feature_net(options)
        if not options.dry_run:
            before = make_folder(options.output)
        workers = join(options.device)
        code = train(options, workers)
        return code
    except ShowError as error:
        print(error, file=sys.stderr)
        return 2
    except CheckpointError as error:
        print(f"cineml gan train: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped by hand", file=sys.stderr)
        return STOPPED
    finally:
        if options is not None and before is not None and (workers is None or workers.first):
            clear_away(options.output, before)
        if workers is not None:
            workers.leave(ended_well=code == 0)


def make_folder(run: Path) -> set[str]:
    """Make the run's folder; what it held before, and "" where it was there. Raises ShowError where it cannot be made."""
    try:
        before = {"", *(p.name for p in run.iterdir())} if run.is_dir() else set[str]()
        run.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        given = f"cannot be made ({error.strerror})"
        raise ShowError(Problem(str(run), given, "a folder that can be written", "another -o")) from None
    return before


def clear_away(run: Path, before: set[str]) -> None:
    """Where no run was begun, take away the pictures that were kept for it, and the folder if it was made for it."""
    if (run / "options.json").exists() or not run.is_dir():
        return
    with contextlib.suppress(OSError):  # the refusal has been said; another process may do the same
        for name in ("dataset", "anchored"):
            for path in (run / f"{name}.u8", run / f"{name}.json"):
                if path.name not in before:
                    path.unlink(missing_ok=True)
        if "" not in before and not any(run.iterdir()):
            run.rmdir()


def train(options: argparse.Namespace, workers: Workers) -> int:
    """Set up the run and train it to its end. Raises ShowError and CheckpointError on bad input."""
    if options.threads:
        torch.set_num_threads(options.threads)
    keep_freed_memory()
    run: Path = options.output
    seen = survey(options.dataset)
    c_dim = label_table(options.dataset, picture_names(options.dataset)).shape[1] if options.cond and seen.kind != "film" else 0
    source = options.transfer or options.grow_from
    if source is not None and options.preset == "auto":
        adopt_sizes(options, source)
    listed = None if options.cuts is None else read_csv(options.cuts)
    sizes, recipe = complete(options, seen, workers, c_dim)
    sources = sources_of(options)
    if options.resume:
        asked = [(name, path, asked_by(options, path)) for path, _, name in sources]
        check_resumed(run, sizes.generator, sizes.discriminator, asked)
    dataset, film = pictures_for(options, workers, sources)
    cuts = None
    if listed is not None:
        cut_from = seen if film is None else survey(sources[1][0])
        cuts = cuts_of(listed, options.cuts, len((film or dataset).images), cut_from, options.start, options.end)
    usable = np.ones(len(dataset.images), bool) if cuts is None or film is not None else ~cuts.mixed
    try:
        training, start = training_for(options, sizes, recipe, dataset, film, usable, cuts, workers)
        chosen = Run(options, run, dataset, usable, training, about_of(options, dataset, start))
        if options.resume:
            chosen.resume()
        if workers.first:
            say_what(options, dataset, film, usable, cuts, training, start)
        if options.dry_run:
            return rehearse(training, options)
        if workers.first:  # a resumed run's too: the next --resume goes on from what this one was asked for
            run.mkdir(parents=True, exist_ok=True)
            write_json(run / "options.json", record_of(options, sizes, recipe, chosen))
        return chosen.train()
    except (RuntimeError, MemoryError) as error:  # torch.OutOfMemoryError is a RuntimeError
        if not is_out_of_memory(error):
            raise
        raise ShowError(memory_advice(options, workers.device, recipe.per_pass or recipe.batch // workers.count)) from None


def sources_of(options: argparse.Namespace) -> list[tuple[Path, bool, str]]:
    """(path, whether its labels are wanted, name in the run folder) of the dataset, and of another film that is anchored."""
    anchored = [(Path(options.anchor), False, "anchored")] if isinstance(options.anchor, str) else []
    return [(options.dataset, options.cond, "dataset"), *anchored]


def asked_by(options: argparse.Namespace, path: Path) -> dict[str, Any]:
    """What a run keeps of a source, to know it again. Raises ShowError."""
    return asked_of(path, options.resolution, options.channels, options.start, options.end)


def pictures_for(
    options: argparse.Namespace, workers: Workers, sources: list[tuple[Path, bool, str]]
) -> tuple[Dataset, Dataset | None]:
    """The dataset, and the film whose frames are anchored where that is another. Raises ShowError."""
    kept = None if options.dry_run else options.output
    loaded: list[Dataset] = []
    if not workers.first:
        workers.wait()  # the first process reads the pictures and keeps them; the others find them
    for source, labelled, name in sources:
        loaded.append(load_dataset(source, kept, options.resolution, options.channels, options.start, options.end,
                                   labelled, name, like=loaded[0].geometry if loaded else None,
                                   resumed=options.resume))  # fmt: skip
    if workers.first:
        workers.wait()
    return loaded[0], loaded[1] if len(loaded) > 1 else None


def training_for(
    options: argparse.Namespace, sizes: Sizes, recipe: Recipe, dataset: Dataset, film: Dataset | None,
    usable: NDArray[np.bool_], cuts: Cuts | None, workers: Workers,
) -> tuple[Training, Start]:  # fmt: skip
    """Networks, and codes where frames are anchored, ready to train. Raises ShowError and CheckpointError."""
    torch.manual_seed(options.seed)
    device, anchored = workers.device, film or dataset
    frames = len(anchored.images) if options.anchor else 0
    start = start_from(sizes.generator, sizes.discriminator, options.grow_from, options.transfer, frames)
    dtype = chosen_dtype(options.precision, device, sizes.generator.half_blocks)
    options.precision = str(dtype).removeprefix("torch.")  # so that a resumed run computes alike
    half_from = sizes.generator.half_from if device.type == "cuda" and sizes.generator.half_blocks else 8
    augment = None
    if options.aug != "none":
        from tools.train_augment import Augment

        augment = Augment(options.augment_groups, xflip=options.mirror).to(device)
        augment.p.fill_(recipe.augment_p)
    common: dict[str, Any] = {"dtype": dtype, "half_from": half_from, "workers": workers, "augment": augment,
                              "frozen": options.freeze_d, "compiled": options.compile, "seed": options.seed}  # fmt: skip
    networks = start.generator.to(device), start.discriminator.to(device)
    if not options.anchor:
        training = Training(*networks, dataset, usable, recipe, **common)
    else:
        shots = list(cuts.shots) if cuts else [(0, frames)]
        pure = ~cuts.mixed if cuts else np.ones(frames, bool)
        codes = start.codes
        if codes is None:
            codes = first_codes(anchored.images, sizes.generator.w_dim, pure, options.seed)
        table = CodeTable(codes, shots, pure, start.places).to(device)
        weights = detail_weights(anchored.images, shots, options.detail) if options.detail > 0 else None
        training = AnchoredTraining(*networks, dataset, usable, recipe, table=table, film=film, film_usable=pure,
                                    weights=weights, **common)  # fmt: skip
    workers.spread([*training.generator.state_dict().values(), *training.discriminator.state_dict().values(),
                    *training.average.state_dict().values()])  # fmt: skip
    if workers.rank:
        torch.manual_seed(options.seed + 7919 * workers.rank)  # each process draws its own latents
    return training, start


def about_of(options: argparse.Namespace, dataset: Dataset, start: Start) -> dict[str, Any]:
    """What the checkpoint says of the run that made it."""
    grown = start.source
    if options.resume:
        grown = read_description(options.output / "checkpoint").get("run", {}).get("grown_from")
    film = film_sha256(options.dataset)
    return {"tool": "cineml gan train", "dataset": dataset.source, **({"film_sha256": film} if film else {}),
            "seed": options.seed, "torch": torch.__version__, "grown_from": grown, "anchored": bool(options.anchor),
            "preset": options.preset}  # fmt: skip


def film_sha256(dataset: Path) -> str:
    """Of the film that a dataset is, or was made from by `cineml film dataset`; '' where that is not known."""
    with contextlib.suppress(ShowError, OSError, ValueError, KeyError, TypeError):
        if kind_of(dataset) == "film":
            return file_sha256(dataset)
        if dataset.is_dir():
            return str(json.loads((dataset / "options.json").read_text(encoding="utf-8"))["job"]["film_sha256"])
    return ""


def record_of(options: argparse.Namespace, sizes: Sizes, recipe: Recipe, run: Run) -> dict[str, Any]:
    """options.json: all that the run depends on."""
    inputs = (options.dataset, options.cuts, options.output / "dataset.u8", options.output / "anchored.u8")
    files = [p for p in inputs if p is not None and p.is_file()]
    return {
        "options": stored(options), "recipe": dataclasses.asdict(recipe),
        "generator": dataclasses.asdict(sizes.generator), "discriminator": dataclasses.asdict(sizes.discriminator),
        "resolution": sizes.generator.resolution, "grid_columns": run.grid.columns, "grid_psi": 1.0,
        "pictures": int(run.usable.sum()), "processes": run.workers.count, "device": device_name(run.workers.device),
        "python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__,
        "inputs_sha256": {p.name: file_sha256(p) for p in files},
        "sources": {name: asked_by(options, path) for path, _, name in sources_of(options)},
    }  # fmt: skip


def device_name(device: torch.device) -> str:
    """A GPU's name, or the processor's."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()


def say_what(
    options: argparse.Namespace, dataset: Dataset, film: Dataset | None, usable: NDArray[np.bool_], cuts: Cuts | None,
    training: Training, start: Start,
) -> None:  # fmt: skip
    """One or two lines about what is going to be trained."""
    if start.said:
        print(start.said)
    shots = f", {len(cuts.shots)} shots" if cuts else ""
    anchors = "" if not options.anchor else f", frames of {film.source if film else 'the same'} anchored"
    tone = {1: "grey", 3: "colour", 4: "colour with alpha"}[options.channels]
    print(f"{dataset.source}: {len(dataset.images)} pictures ({int(usable.sum())} used{shots}{anchors}), "
          f"{options.resolution}x{options.resolution}, {tone}; preset {options.preset}, "
          f"generator {parameters_of(training.generator):.2f} M, discriminator {parameters_of(training.discriminator):.2f} M "
          f"parameters; batch {options.batch} in passes of {training.recipe.per_pass or options.batch}, aug {options.aug}; "
          f"{training.workers.count} x {training.device.type}, {str(training.dtype).removeprefix('torch.')}, "
          f"{torch.get_num_threads()} threads", flush=True)  # fmt: skip


def rehearse(training: Training, options: argparse.Namespace) -> int:
    """--dry-run: time a few iterations and say how long the run would take, in which memory; nothing is written."""
    for _ in range(WARM_STEPS):
        training.step()
    wait_for(training.device)
    begun, before = time.monotonic(), training.pictures
    for _ in range(TIMED_STEPS):
        training.step()
    wait_for(training.device)
    rate = (training.pictures - before) / (time.monotonic() - begun)
    wanted = f"{options.kimg:g} kimg in {duration(options.kimg * 1000 / rate)}" if options.kimg else (
        f"{rate * options.minutes * 60 / 1000:.1f} kimg in {options.minutes:g} min")  # fmt: skip
    if training.workers.first:
        kind = "GPU memory" if training.device.type == "cuda" else "memory"
        print(f"dry run: {rate:.1f} pictures a second, {1000 / rate:.1f} s a kimg; {wanted}; "
              f"{memory_mib(training.device) / 1024:.1f} GiB of {kind}; nothing was written")  # fmt: skip
    return 0


def wait_for(device: torch.device) -> None:
    """Until the GPU has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
