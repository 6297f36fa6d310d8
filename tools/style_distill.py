"""`cineml style distill TEACHER --film F -o STUDENT`: a small stylizer taught by a larger one, or by the optimiser's pictures.

STUDENT is a run folder like that of cineml style train, with report.json and comparison.png: size, work, speed, style, content
and sharpness of both.
"""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Threads that spin at a barrier starve each other as soon as anything else runs. Read by OpenMP when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch

from models.stylizer import Stylizer, StylizerConfig, operations
from models.stylizer_checkpoint import load_stylizer
from player.show.problem import Problem, ShowError
from tools.film_dataset import version_of
from tools.film_dataset_source import footage_at, picture_of
from tools.style_distill_options import FEATURES_WEIGHT, FRAMES, OPTIONS, SIDE_PX, options_from
from tools.style_distill_report import JUDGED, as_table, measured, write_report
from tools.style_distill_step import Distilling, taught, with_truth
from tools.style_train import PACKAGES, write_page
from tools.style_train_canvas import patterns_for
from tools.style_train_losses import Disturbance
from tools.style_train_options import Weights
from tools.style_train_pictures import Clip, Pixels, frame_file, read_clips, read_record
from tools.style_train_place import place_problems
from tools.style_train_run import Plan, Run
from tools.style_train_step import Recipe, lesson_of
from tools.train_machine import chosen_device, keep_freed_memory
from tools.train_outcome import outcome
from tools.train_snapshot import write_json
from tools.whole_file import check_folder, make_folder, writing

TOOL = "cineml style distill"


@dataclass(frozen=True)
class Teacher:
    """Who teaches: a network, or the optimiser's pictures alone (net None). folder: of the run. numbers: the film frames that
    the optimiser painted."""

    folder: Path
    net: Stylizer | None
    styles: tuple[str, ...]
    about: dict[str, Any]
    numbers: tuple[int, ...] = ()


def main(argv: Sequence[str] | None = None) -> int:
    """The deed. Exit code 0, 2 for bad input, 130 after Ctrl-C (a snapshot is kept, --resume goes on)."""
    return outcome(lambda: distill(options_from(argv)), TOOL,
                   "what was written stays", "a smaller --batch, --crop or --frames")  # fmt: skip


def teacher_at(folder: Path) -> Teacher:
    """The teacher in a folder. Raises ShowError and CheckpointError."""
    record = read_record(folder)
    styles = record.get("styles") if record is not None else None
    if not isinstance(styles, dict):
        net, config, about = load_stylizer(folder)
        if config.recurrent:
            raise ShowError(Problem(str(folder), "is recurrent", "a stylizer that takes one frame at a time"))
        run = folder.parent if folder.name == "checkpoint" else folder
        return Teacher(run, net, config.styles, about)
    held = [{int(p.stem) for p in (folder / name).glob("*.png") if p.stem.isdecimal()} for name in styles]
    numbers = sorted(set.intersection(*held)) if held else []
    if not numbers:
        raise ShowError(Problem(str(folder), "holds no frame that is painted in every style", "teacher/ of a run that painted"))
    return Teacher(folder.parent, None, tuple(styles), {"run": {"tool": "the optimiser"}}, tuple(numbers))


def settle(args: argparse.Namespace, teacher: Teacher) -> None:
    """Give the options that only a network's film has their values. Raises ShowError where they are given for painted frames,
    which have their size, are where they are, and come without features."""
    if teacher.net is not None:
        for name, value in (("frames", FRAMES), ("side", SIDE_PX), ("features_weight", FEATURES_WEIGHT)):
            setattr(args, name, value if getattr(args, name) is None else getattr(args, name))
        return
    names = [f"--{name.replace('_', '-')}" for name in args.given]
    if names:
        given = f"is for a teacher that is a network; the frames of {args.teacher} are painted already"
        raise ShowError([Problem(name, given, "", f"without {name}") for name in names])


def clips_of(args: argparse.Namespace, teacher: Teacher) -> tuple[list[Clip], Pixels | None]:
    """(frames to learn on, the optimiser's pictures [S, N, H, W, 3] of them or None). Raises ShowError."""
    if teacher.net is not None:
        return read_clips(args.film, args.rate, args.start, args.end, args.frames, 1, args.side)[1], None
    record = read_record(args.teacher) or {}
    footage = footage_at(args.film, args.rate)
    if record.get("film_sha256") != footage.sha256():
        raise ShowError(Problem("--film", f"{args.film} is not the film that was painted", "the film of the run"))
    paths = {n: args.teacher.parent / "frames" / frame_file(n) for n in teacher.numbers}
    pictures = {n: picture_of(path) for n, path in paths.items() if path.is_file()}
    if len(pictures) < len(paths):
        lost = next(path for n, path in paths.items() if n not in pictures)
        raise ShowError(Problem(str(lost), "is missing", "the frame beside its painted one"))
    count = min(args.frames or len(pictures), len(pictures))
    chosen = [sorted(pictures)[(2 * i + 1) * len(pictures) // (2 * count)] for i in range(count)]
    truth = np.stack([np.stack([picture_of(args.teacher / s / frame_file(n)) for n in chosen]) for s in teacher.styles])
    height, width = truth.shape[2:4]
    nothing = np.zeros((0, height, width), np.float32)
    clips = [Clip((n,), pictures[n][None], np.zeros((0, height, width, 2), np.float32), nothing) for n in chosen]
    wrong = [c.numbers[0] for c in clips if c.frames.shape[1:3] != (height, width)]
    if wrong:
        where = args.teacher.parent / "frames" / frame_file(wrong[0])
        raise ShowError(Problem(str(where), "has another size than its painted one", "the same size"))
    return clips, truth


def check_place(args: argparse.Namespace) -> None:
    """Raises ShowError where the student's folder holds an input or something of somebody else's."""
    found = [] if args.resume else place_problems(args.output, TOOL, args.film, {"the teacher": args.teacher})
    if found:
        raise ShowError(found)


def distill(args: argparse.Namespace) -> int:
    """Set up, learn, report. Raises ShowError and CheckpointError."""
    device = chosen_device(args.device)
    if args.threads:
        torch.set_num_threads(args.threads)
    keep_freed_memory()
    check_folder(args.output)
    check_place(args)
    teacher = teacher_at(args.teacher)
    settle(args, teacher)
    canvas = args.canvas
    if canvas is None:
        canvas = patterns_for(len(teacher.styles)) if teacher.net is None else teacher.net.config.canvas
    config = StylizerConfig("student", args.width, args.blocks, teacher.styles, args.norm, False, canvas)
    torch.manual_seed(args.seed)
    student = Stylizer(config)
    if teacher.net is not None and teacher.net.config.canvas == config.canvas and config.canvas:
        student.canvas.data.copy_(teacher.net.canvas)  # what it lays, the student lays in the same places
    own = operations(config, 480, 640) / 1e9
    work = f"{own:.2f} GFLOP of convolutions at 640x480"
    if teacher.net is not None:
        theirs = operations(teacher.net.config, 480, 640) / 1e9
        work += f", the teacher {theirs:.2f}"
        if theirs <= own:
            given = f"has {own:.2f} GFLOP, its teacher {theirs:.2f}"
            raise ShowError(Problem("the student", given, "less work than the teacher", "a smaller --width or --blocks"))
    print(f"student of width {config.width}, {config.blocks} blocks: {work}; {device.type}", flush=True)
    clips, truth = clips_of(args, teacher)
    height, width = clips[0].frames.shape[1:3]
    if args.dry_run:
        print(f"{len(clips)} frames, {width}x{height}; dry run: nothing was written")
        return 0
    run = set_up(args, teacher, student.to(device), clips, truth, device)
    code = 0
    try:
        code = run.train()
    finally:
        write_page(args.output)
    if code == 0:
        report_on(args, teacher, run, clips)
    return code


def set_up(args: argparse.Namespace, teacher: Teacher, student: Stylizer, clips: Sequence[Clip], truth: Pixels | None,
           device: torch.device) -> Run:  # fmt: skip
    """The run, begun or taken up. Raises ShowError."""
    make_folder(args.output)
    lesson = lesson_of(clips, truth, [], device)
    features = None
    if teacher.net is not None:
        print("the teacher looks at the frames ...", flush=True)
        pictures, features = taught(teacher.net.to(device), lesson, args.features_weight > 0)
        lesson = with_truth(lesson, pictures)
    height, width = clips[0].frames.shape[1:3]
    weights = Weights(broad=1.0, pixel=0.0, patches=args.patches_weight, critic=0.0, noise=args.noise_weight,
                      light=args.noise_weight)  # fmt: skip
    crop = min(args.crop, height // 4 * 4, width // 4 * 4)
    recipe = Recipe(weights, Disturbance(), args.batch, crop, args.lr, seed=args.seed)
    distilling = Distilling(student, lesson, recipe, features, (args.outputs_weight, args.features_weight or 0.0),
                            plain=teacher.net is not None)  # fmt: skip
    told = {k: v for k, v in teacher.about.get("run", {}).items() if isinstance(v, str | int | float)}
    about: dict[str, Any] = {
        "run": {"tool": TOOL, "film": args.film.name, "seed": args.seed, "torch": torch.__version__,
                "distilled_from": str(teacher.about.get("sha256", "the optimiser")), "teacher_tool": told.get("tool", "")},
        "licence": str(teacher.about.get("licence", "")), "hashes": dict(teacher.about.get("hashes", {}))}  # fmt: skip
    run = Run(args.output, distilling, Plan(args.steps, args.minutes, args.snapshot_steps), about)
    if args.resume:
        run.resume()
    options = {k: str(v) if isinstance(v, Path) else v for k, v in vars(args).items() if k != "given"}
    with writing(args.output):
        write_json(args.output / OPTIONS, {"options": options, **about, "python": platform.python_version(),
                                           "versions": {name: version_of(name) for name in PACKAGES}})  # fmt: skip
        for name in teacher.styles:
            painting = teacher.folder / "styles" / f"{name}.png"
            if painting.is_file():
                (args.output / "styles").mkdir(exist_ok=True)
                (args.output / "styles" / painting.name).write_bytes(painting.read_bytes())
    return run


def report_on(args: argparse.Namespace, teacher: Teacher, run: Run, clips: Sequence[Clip]) -> None:
    """Measure both, print the table, write report.json and comparison.png. Raises ShowError."""
    lesson = run.training.lesson
    assert lesson.truth is not None
    count = len(clips)
    judged = sorted({(2 * i + 1) * count // (2 * min(JUDGED, count)) for i in range(min(JUDGED, count))})
    frames = [clips[i].frames[0] for i in judged]
    truth = [[lesson.truth[s, i].permute(1, 2, 0).cpu().numpy() for i in judged] for s in range(len(teacher.styles))]
    paths = [args.output / "styles" / f"{name}.png" for name in teacher.styles]
    paintings = [picture_of(p) if p.is_file() else None for p in paths]
    net = None if teacher.net is None else teacher.net.cpu()
    report, picture = measured(net, run.training.average.cpu(), frames, truth, paintings, args.threads)
    write_report(args.output, report, run.about["run"], picture)
    print(as_table(report))
    print(f"{args.output / 'comparison.png'}, {args.output / 'report.json'}; next: cineml style export "
          f"{shlex.quote(str(args.output))} -o stylizer.onnx")  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
