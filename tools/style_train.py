"""cineml style train: teach a network painting styles on a film's frames, so that it styles film in real time.

The optimiser (tools/style_patches.py) paints some frames of the film; the network learns to do in one pass what the optimiser
did in seconds: the same colours, patches that lie like the painted ones, and temporal noise that is not to show.
"""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# Threads that spin at a barrier starve each other as soon as anything else runs. Read by OpenMP when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch

from models.stylizer import Stylizer, StylizerConfig, operations, parameter_count
from models.stylizer_checkpoint import load_stylizer
from models.stylizer_form import DIRECTIONS
from player.progress import Progress
from player.show.problem import Problem, ShowError
from tools.film_dataset import version_of
from tools.film_dataset_source import Footage
from tools.paint_options import PaintOptions
from tools.paint_style import Painting, read_painting, scaled
from tools.style_train_canvas import lay_strokes, patterns_for
from tools.style_train_losses import Disturbance
from tools.style_train_options import OPTIONS, arguments, options_from, stored_options, weights_of
from tools.style_train_pictures import Clip, Pixels, paint_seed, painted, read_clips, read_record
from tools.style_train_place import place_problems
from tools.style_train_run import Plan, Run
from tools.style_train_step import Recipe, Training, lesson_of
from tools.style_train_transfer import start_like
from tools.train_machine import chosen_device, keep_freed_memory
from tools.train_outcome import outcome
from tools.train_snapshot import write_json, write_picture
from tools.whole_file import check_folder, make_folder, writing

TOOL = "cineml style train"
PACKAGES = ("cineml", "torch", "numpy", "opencv-python", "numba")


def main(argv: Sequence[str] | None = None) -> int:
    """The deed. Exit code 0, 2 for bad input, 130 after Ctrl-C (a snapshot is kept, --resume goes on)."""
    return outcome(lambda: train(options_from(argv)), TOOL,
                   "the frames that are painted are kept: the same command goes on from there",
                   "a smaller --batch or --crop")  # fmt: skip


def train(args: argparse.Namespace) -> int:
    """Set up the run and train it to its end. Raises ShowError and CheckpointError."""
    device = chosen_device(args.device)
    if args.threads:
        torch.set_num_threads(args.threads)
    keep_freed_memory()
    check_folder(args.output)
    check_place(args)
    paintings = paintings_of(args)
    config, net = network_of(args)
    if config.recurrent and args.sequence < 2:  # another run's, whose form nobody has asked for
        where = str(args.output) if args.resume else f"--from {args.like}"
        raise ShowError(Problem(where, "is recurrent: it learns from frames in a row", "", "--sequence 2"))
    perception = None
    if args.network is not None:
        from tools.style_network import network_line, read_perception

        perception = read_perception(args.network, device=device.type)
        print(network_line(perception))
    footage, clips = read_clips(args.film, args.rate, args.start, args.end, args.frames, args.sequence, args.side)
    height, width = clips[0].frames.shape[1:3]
    crop = min(args.crop, height // 4 * 4, width // 4 * 4)
    print(f"{config.architecture}, width {config.width}, {config.blocks} blocks: {parameter_count(net) / 1e3:.0f} k "
          f"parameters, {operations(config, 480, 640) / 1e9:.2f} GFLOP of convolutions at 640x480; {device.type}")
    print(f"{len(clips)} frames of {footage.path.name}, {width}x{height}"
          + (f"; crops of {crop} px: the frames are no larger" if crop < args.crop else ""), flush=True)
    if args.dry_run:
        print("dry run: nothing was written")
        return 0
    film_sha256 = footage.sha256()
    truth = None if args.no_optimiser else teacher_pictures(args, clips, paintings, film_sha256)
    make_folder(args.output)
    shown = [scaled(p, height * width, args.scale) for _, p in paintings] if perception is not None else []
    disturbance = Disturbance(args.noise, args.noise_share, args.grain, args.shift, args.light)
    recipe = Recipe(weights_of(args), disturbance, args.batch, crop, args.lr, args.average, args.seed,
                    args.style_share if args.like is not None else 0.0)  # fmt: skip
    if config.canvas and truth is not None and args.like is None and not args.resume:
        count = DIRECTIONS * min(config.canvas, len(paintings))
        progress = Progress(count, "directions of strokes painted for the canvas", sys.stderr)
        lay_strokes(net, [p for _, p in paintings], paint_options(args), height * width, progress.at)
        progress.done(f"{count} directions of strokes are painted for the canvas")
    training = Training(net.to(device), lesson_of(clips, truth, shown, device), recipe, perception)
    about = about_of(args, footage, film_sha256, paintings)
    run = Run(args.output, training, Plan(args.steps, args.minutes, args.snapshot_steps), about)
    if args.resume:
        run.resume()
    with writing(args.output):
        write_json(args.output / OPTIONS, {"options": stored_options(args), **about, "python": platform.python_version(),
                                           "versions": {name: version_of(name) for name in PACKAGES}})  # fmt: skip
    keep_paintings(args, paintings, height * width)
    try:
        code = run.train()
    finally:
        write_page(args.output)
    if code == 0:
        print(f"{args.output / 'report.html'}; next: cineml style export {shlex.quote(str(args.output))} -o stylizer.onnx")
    return code


def check_place(args: argparse.Namespace) -> None:
    """Raises ShowError where the run's folder holds an input or something of somebody else's. Painted frames may lie there."""
    begun = ("frames", "styles") if read_record(args.output / "teacher") is not None else ()
    sources = {f"the painting {name}": path for name, path in zip(args.names_of, args.style, strict=True)}
    sources["the network that judges"] = args.network
    found = [] if args.resume else place_problems(args.output, TOOL, args.film, sources, args.like, ("teacher", *begun))
    if found:  # whose a run is that is resumed, its options have said
        raise ShowError(found)


def paintings_of(args: argparse.Namespace) -> list[tuple[str, Painting]]:
    """Name and painting of each style. Raises ShowError with the problems of all of them."""
    found: list[Problem] = []
    made: list[tuple[str, Painting]] = []
    for name, path in zip(args.names_of, args.style, strict=True):
        try:
            made.append((name, read_painting(path)))
            for note in made[-1][1].notes:
                print(f"{path}: {note}")
        except ShowError as error:
            found += error.problems
    if found:
        raise ShowError(found)
    return made


def keep_paintings(args: argparse.Namespace, paintings: Sequence[tuple[str, Painting]], area_px: int) -> None:
    """styles/NAME.png: the paintings as they are laid, which measurements compare with. Raises ShowError."""
    with writing(args.output):
        for (name, painting), source in zip(paintings, args.style, strict=True):
            path = args.output / "styles" / f"{name}.png"
            if not (path.exists() and path.samefile(source)):
                write_picture(path, scaled(painting, area_px, args.scale).picture)


def network_of(args: argparse.Namespace) -> tuple[StylizerConfig, Stylizer]:
    """A new network, or with --from another one's with these styles; of a resumed run its own. Raises ShowError and
    CheckpointError."""
    torch.manual_seed(args.seed)
    if args.resume:
        config = load_stylizer(args.output)[1]
        if config.styles != tuple(args.names_of):
            raise ShowError(Problem("--style", f"{', '.join(args.names_of)}", f"the run's styles: {', '.join(config.styles)}"))
        return config, Stylizer(config)
    if args.like is not None:
        net = start_like(args.like, args.names_of)
        if other := unused(args, net.config):
            print(f"--from {args.like}: its own {', '.join(other)} is taken, not what is asked for", flush=True)
        return net.config, net
    classic = args.architecture == "johnson"
    config = StylizerConfig(args.architecture, args.width or (32 if classic else 16), args.blocks or (5 if classic else 8),
                            tuple(args.names_of), args.norm, args.recurrent,
                            patterns_for(len(args.names_of)) if args.canvas is None else args.canvas)  # fmt: skip
    return config, Stylizer(config)


def unused(args: argparse.Namespace, config: StylizerConfig) -> list[str]:
    """What of another network's form differs from what is asked for, as 'width 16'."""
    own = arguments()
    asked = {name: getattr(args, name) for name in ("architecture", "width", "blocks", "norm", "recurrent", "canvas")}
    return [f"{name} {getattr(config, name)}" for name, value in asked.items()
            if value != own.get_default(name) and value != getattr(config, name)]  # fmt: skip


def teacher_pictures(args: argparse.Namespace, clips: Sequence[Clip], paintings: Sequence[tuple[str, Painting]],
                     film_sha256: str) -> Pixels:  # fmt: skip
    """The optimiser's pictures [S, N, H, W, 3], with progress. Raises ShowError."""
    progress = Progress(len(clips) * len(paintings), "frames painted", sys.stderr)
    truth = painted(clips, paintings, paint_options(args), film_sha256, args.output, args.teacher,
                    lambda done, _all: progress.at(done))  # fmt: skip
    progress.done(f"{len(clips) * len(paintings)} frames are painted")
    return np.asarray(truth, np.uint8)


def paint_options(args: argparse.Namespace) -> PaintOptions:
    """How the optimiser paints."""
    return PaintOptions(preset=args.preset, scale=args.scale, turns=args.turns,
                        seed=paint_seed(args.output, args.teacher, args.seed), threads=args.threads)  # fmt: skip


def about_of(args: argparse.Namespace, footage: Footage, film_sha256: str,
             paintings: Sequence[tuple[str, Painting]]) -> dict[str, Any]:  # fmt: skip
    """What the checkpoint says of where it comes from."""
    run: dict[str, Any] = {
        "tool": TOOL, "film": footage.path.name, "film_sha256": film_sha256, "seed": args.seed,
        "styles": ", ".join(path.name for path in args.style), "torch": torch.__version__,
        "taught_by": "a network" if args.no_optimiser else "the optimiser"}  # fmt: skip
    if args.like is not None:
        run["from"] = Path(args.like).name
    return {"run": run, "licence": "", "hashes": {name: painting.sha256 for name, painting in paintings}}


def write_page(folder: Path) -> None:
    """report.png and report.html: the course of a run is wanted most when it did not end well."""
    from tools.style_train_report import write_report

    try:
        write_report(folder)
    except (ShowError, OSError, ImportError) as error:  # of matplotlib; the training is kept already
        print(f"no report: {error}")


if __name__ == "__main__":
    sys.exit(main())
