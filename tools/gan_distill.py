"""`cineml gan distill TEACHER -o STUDENT`: a narrower generator that makes the teacher's pictures from the same W.

It begins as the teacher with feature maps taken out (tools/distill_prune.py) and learns the rest from the teacher's own
pictures; no film is needed. Since W is the same, walks, anchors and directions of the teacher are the student's too.

STUDENT is a run folder: checkpoint/ (what `cineml gan export` takes), grids/KIMG.png (teacher over student), log.jsonl,
options.json, state.safetensors (--resume goes on from it), anchors.npz where the teacher has one, and at the end
report.json and comparison.png.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# Threads that spin at a barrier starve each other as soon as anything else runs. Read by OpenMP when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from torch import Tensor

from models.network_config import GeneratorConfig
from models.stylegan2 import Generator
from player.show.problem import Problem, ShowError
from tools.distill_latents import FilmPaths, LatentSource, film_paths
from tools.distill_options import arguments
from tools.distill_prune import Kept, narrower, pruned
from tools.distill_report import Report, as_table, comparison, kids, measured, write_report
from tools.distill_run import COLUMNS, STATE, Plan, Run
from tools.distill_step import Distilling, Recipe, psnr
from tools.edit_model import Model, anchors_of, model_at
from tools.model_metadata import synthesis_beside
from tools.train_snapshot import write_json
from tools.whole_file import make_folder

OPTIONS = "options.json"
TIMED_THREADS = 2  # as in cineml bench gan
HELD_OUT = 64
def options_from(argv: Sequence[str] | None) -> argparse.Namespace:
    """The options; with --resume those of the run, and over them what is given now. Raises ShowError."""
    p = arguments()
    args = p.parse_args(argv)
    if not args.resume:
        return args
    stored = stored_options(args.output)["options"]
    if args.minutes is not None or args.kimg is not None:  # a new length takes the place of both
        stored = {k: v for k, v in stored.items() if k not in ("minutes", "kimg")}
    kept = set(vars(args)) - {"teacher", "output", "resume", "dry_run"}
    p.set_defaults(**{k: v for k, v in stored.items() if k in kept})
    return p.parse_args(argv)


def stored_options(folder: Path) -> dict[str, Any]:
    """options.json of a run. Raises ShowError."""
    path = folder / OPTIONS
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        if not (isinstance(told["options"], dict) and isinstance(told["teacher_sha256"], str)):
            raise TypeError("not what a run writes")
        return told
    except (OSError, ValueError, KeyError, TypeError) as e:
        given = f"holds no run to resume ({path.name}: {e})"
        raise ShowError(Problem(str(folder), given, "a folder of cineml gan distill")) from None


def check(args: argparse.Namespace) -> None:
    """Every problem of the options at once. Raises ShowError."""
    found: list[Problem] = []
    for name in ("minutes", "kimg", "lr", "snapshot_minutes", "ema_kimg", "width"):
        value = getattr(args, name)
        if value is not None and not 0 < value < 1e9:
            found.append(Problem(f"--{name.replace('_', '-')}", str(value), "more than 0"))
    for name in ("features", "match", "adversarial"):
        if not 0 <= getattr(args, name) < 1e9:
            found.append(Problem(f"--{name}", str(getattr(args, name)), "0 or more"))
    for name, low, high in (("batch", 1, 4096), ("feature_every", 1, 1000), ("samples", 8, 1_000_000), ("threads", 0, 1024)):
        if not low <= getattr(args, name) <= high:
            found.append(Problem(f"--{name.replace('_', '-')}", str(getattr(args, name)), f"{low} to {high}"))
    if not 0 <= args.film_share <= 1:
        found.append(Problem("--film-share", str(args.film_share), "0 to 1"))
    if args.width is not None and (args.channel_base is not None or args.channel_max is not None):
        found.append(Problem("--width", "given together with --channel-base or --channel-max", "one of the two ways"))
    if args.dataset is not None and not args.dataset.exists():
        found.append(Problem("--dataset", f"{args.dataset} does not exist", "a film or a folder of pictures"))
    if args.device == "cuda" and not torch.cuda.is_available():
        found.append(Problem("--device", "cuda is not available on this machine", "auto or cpu"))
    if args.resume and not (args.output / STATE).is_file():
        found.append(Problem(str(args.output), "holds no run to resume", f"a folder with {STATE}"))
    if not args.resume and not args.dry_run and (args.output / STATE).exists():
        found.append(Problem(str(args.output), "holds a run already", "an empty folder", "--resume, or another folder"))
    if found:
        raise ShowError(found)
    if args.minutes is None and args.kimg is None:
        args.minutes = 30.0


def student_config(args: argparse.Namespace, teacher: GeneratorConfig) -> GeneratorConfig:
    """The widths that are asked for. Raises ShowError."""
    width = 0.5 if args.width is None and args.channel_base is None and args.channel_max is None else args.width
    if width is not None:
        base, most = max(teacher.resolution, round(teacher.channel_base * width)), max(1, round(teacher.channel_max * width))
    else:
        base = teacher.channel_base if args.channel_base is None else args.channel_base
        most = teacher.channel_max if args.channel_max is None else args.channel_max
    config = narrower(teacher, base, most)
    if all(config.width(r) == teacher.width(r) for r in teacher.resolutions):
        raise ShowError(Problem("--width", "leaves the student as wide as its teacher", "less", "--width 0.5"))
    return config


def film_of(args: argparse.Namespace, model: Model) -> FilmPaths | None:
    """The film's latents: --latents, or the anchors beside the teacher. Raises ShowError."""
    path = args.latents or anchors_of(model.folder)
    config = model.generator.config
    return None if path is None or args.film_share == 0 else film_paths(path, config.w_dim, config.num_ws)


def set_up(args: argparse.Namespace, model: Model, config: GeneratorConfig, latents: LatentSource) -> tuple[Distilling, float]:
    """Student and what teaches it, and the PSNR in dB of the student as it begins. Raises ShowError."""
    teacher = model.generator
    recipe = Recipe(batch=args.batch, lr=args.lr, feature_weight=args.features, feature_every=args.feature_every,
                    match_weight=args.match, adversarial_weight=args.adversarial, ema_kimg=args.ema_kimg,
                    r1_gamma=0.0002 * config.resolution**2 / args.batch)  # fmt: skip
    if args.adversarial and (model.discriminator is None or config.c_dim):
        given = "needs a discriminator, and the teacher has none" if model.discriminator is None else "does not know conditions"
        raise ShowError(Problem("--adversarial", given, "0"))
    if args.resume:
        student, kept = Generator(config), Kept()
    else:
        count = 256 if config.resolution <= 256 else 64
        print(f"choosing feature maps over {count} latents ...", flush=True)
        student, kept = pruned(teacher, config, latents.held_out(count, args.seed + 2))
    begun_db = 0.0 if args.resume else psnr(teacher, student, latents.held_out(16, args.seed + 3))
    device = torch.device("cuda" if args.device != "cpu" and torch.cuda.is_available() else "cpu")
    judge = model.discriminator if args.features or args.adversarial else None
    dtype = torch.bfloat16 if args.precision == "bfloat16" else torch.float32
    return Distilling(teacher, student.to(device), latents, recipe, judge, kept, dtype), begun_db


def distill(args: argparse.Namespace) -> int:
    """Set up, learn, report. Raises ShowError."""
    check(args)
    if args.threads:
        torch.set_num_threads(args.threads)
    model = model_at(args.teacher)
    teacher = model.generator
    if args.resume and (told := stored_options(args.output))["teacher_sha256"] != model.sha256:
        given = f"is another teacher ({model.sha256[:12]}...)"
        raise ShowError(Problem(str(args.teacher), given, f"the one it began with ({told['teacher_sha256'][:12]}...)"))
    config = student_config(args, teacher.config)
    film = film_of(args, model)
    torch.manual_seed(args.seed)
    latents = LatentSource(teacher, film, args.film_share)
    measured_on_film = args.dataset is not None and args.metrics != "none" and not args.dry_run
    real = film_pictures(args, config, model.geometry) if measured_on_film else None
    distilling, begun_db = set_up(args, model, config, latents)
    of = "all latents are from z"
    if film is not None:
        of = f"{args.film_share:.0%} of the latents are the film's ({len(film.ws)} frames)"
    widths = " ".join(f"{teacher.config.width(r)}>{config.width(r)}" for r in config.resolutions)
    print(f"{config.resolution} px, feature maps {widths}; {of}; {distilling.device.type}, {torch.get_num_threads()} threads"
          + (f"; begins at {begun_db:.1f} dB" if begun_db else ""), flush=True)  # fmt: skip
    if args.dry_run:
        print("dry run: nothing was written")
        return 0
    plan = Plan(args.minutes, args.kimg, args.snapshot_minutes, args.half, args.seed)
    about = {"tool": "cineml gan distill", "distilled_from": model.sha256, "teacher_run": model.run, "seed": args.seed,
             "torch": torch.__version__}  # fmt: skip
    if taught_by := synthesis_beside(model.folder, model.sha256):  # the student's export says whose scores it plays as well
        about["teacher_synthesis_sha256"] = taught_by
    if "dataset" in model.run:
        about["dataset"] = model.run["dataset"]
    make_folder(args.output)
    run = Run(args.output, model, distilling, plan, about)
    if args.resume:
        run.resume()
        begun_db = float(stored_options(args.output).get("begun_db", 0.0))
    write_json(args.output / OPTIONS, {
        "options": {k: str(v) if isinstance(v, Path) else v for k, v in vars(args).items()}, "grid_columns": COLUMNS,
        "student": dataclasses.asdict(config), "recipe": dataclasses.asdict(distilling.recipe), "begun_db": begun_db,
        "teacher_sha256": model.sha256, "python": platform.python_version(), "torch": torch.__version__})  # fmt: skip
    anchors = anchors_of(model.folder)
    if anchors is not None and not (args.output / "anchors.npz").exists():
        shutil.copyfile(anchors, args.output / "anchors.npz")  # the same W: they are the student's as well
    if not run.train():
        return 130
    report_on(args, model, run, film, real, begun_db)
    return 0


def film_pictures(args: argparse.Namespace, config: GeneratorConfig, geometry: dict[str, list[int]]) -> Any:
    """The film's frames as the teacher was shown them, uint8 [N, C, R, R]. Raises ShowError."""
    from tools.train_dataset import load_dataset

    return load_dataset(args.dataset, args.output / "metrics", config.resolution, config.channels, args.start, args.end,
                        like=geometry).images  # fmt: skip


def report_on(args: argparse.Namespace, model: Model, run: Run, film: FilmPaths | None, real: Any, begun_db: float) -> None:
    """Measure both, print the table, write report.json and comparison.png."""
    teacher = model.generator
    student = run.distilling.average.cpu().to(memory_format=torch.contiguous_format)
    latents = run.distilling.latents
    only_z = LatentSource(teacher).held_out(HELD_OUT, args.seed + 4)
    of_film: Tensor | None = None
    if film is not None:
        of_film = LatentSource(teacher, film, 1.0).held_out(HELD_OUT, args.seed + 5)
    report: Report = measured(teacher, student, only_z, of_film, TIMED_THREADS)
    report = dataclasses.replace(report, psnr_start_db=begun_db or None)
    if args.metrics != "none":
        of_teacher, of_student, between, note = kids(teacher, student, real, args.output / "metrics", args.samples, sys.stdout)
        report = dataclasses.replace(
            report, teacher=dataclasses.replace(report.teacher, kid=of_teacher),
            student=dataclasses.replace(report.student, kid=of_student), kid_to_teacher=between, kid_note=note)  # fmt: skip
    picture = comparison(teacher, student, latents.held_out(2 * COLUMNS, args.seed + 1), model.geometry.get("inner", []))
    about = {**run.about, "kimg": run.distilling.pictures / 1000, "minutes": run.elapsed_s / 60}
    write_report(args.output, report, about, picture)
    print(as_table(report))
    print(f"{args.output / 'comparison.png'}, {args.output / 'report.json'}")
    print(f"next: cineml gan export {shlex.quote(str(args.output / 'checkpoint'))}")


def main(argv: Sequence[str] | None = None) -> int:
    """The deed. Exit code 0, 2 for bad input, 130 after Ctrl-C (a snapshot is kept, --resume goes on)."""
    try:
        return distill(options_from(argv))
    except ShowError as e:
        print(e, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped before the first step or in the report; what was written stays", file=sys.stderr)
        return 130
    except RuntimeError as e:
        if not (isinstance(e, torch.OutOfMemoryError) or "can't allocate memory" in str(e)):
            raise
        print(Problem("memory", "is too small for this", "", "a smaller --batch, then --resume"), file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
