"""The command line of `cineml style distill`: no torch, so that --help works in a base install."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from player.show.problem import Problem, ShowError
from tools.style_train_place import foreign_problems

STATE, OPTIONS = "state.safetensors", "options.json"
NOT_STORED = ("teacher", "output", "resume", "dry_run")
NETWORKS_OWN = ("start", "end", "side", "features_weight")  # not for frames that are painted already
FRAMES, SIDE_PX, FEATURES_WEIGHT = 40, 640, 0.1
EXAMPLES = """examples:
  cineml style distill johnson --film film.mp4 -o student --minutes 10
  cineml style distill run/teacher --film film.mp4 -o student --width 16 --blocks 8

The teacher is a stylizer (a run of cineml style train, or a checkpoint), or the optimiser: the teacher/ folder of such a run,
with the frames that it painted, to which --start, --end, --side and --features-weight do not apply. STUDENT is a run like that
of cineml style train; report.json and comparison.png say what the student is worth beside its teacher."""


def arguments() -> argparse.ArgumentParser:
    """The command line; its help is the reference of the options."""
    p = argparse.ArgumentParser(
        prog="cineml style distill", formatter_class=argparse.RawDescriptionHelpFormatter, epilog=EXAMPLES,
        description="Teach a small stylizer what a larger one, or the optimiser, does.")  # fmt: skip
    p.add_argument("teacher", type=Path, metavar="TEACHER", help="a stylizer's run or checkpoint, or RUN/teacher")
    p.add_argument("--film", type=Path, metavar="FILM", help="a film, or a folder of its frames, to learn on")
    p.add_argument("-o", "--output", type=Path, required=True, metavar="STUDENT", help="folder of the run")
    p.add_argument("--start", help="from here: frames (300), seconds (12.5s) or hh:mm:ss:ff")
    p.add_argument("--end", help="to here, exclusive")
    p.add_argument("--rate", help="of a folder of frames, as 24, 25 or 30000/1001 (24)")
    p.add_argument("--frames", type=int, metavar="N",
                   help="so many frames, evenly over the film (40; of RUN/teacher all that are painted)")  # fmt: skip
    p.add_argument("--side", type=int, metavar="PX", help="larger frames are brought down to this long side (640)")
    p.add_argument("--width", type=int, default=16, help="feature maps of the student (16)")
    p.add_argument("--blocks", type=int, default=8, help="residual blocks of the student (8)")
    p.add_argument("--norm", choices=("instance", "affine"), default="affine", help="of the student (affine)")
    p.add_argument("--canvas", type=int, help="planes of strokes of the student (as its teacher)")
    p.add_argument("--outputs-weight", type=float, default=1.0, metavar="W", help="of the teacher's results (1)")
    p.add_argument("--features-weight", type=float, metavar="W", help="of its features, which a network has (0.1)")
    p.add_argument("--patches-weight", type=float, default=1.0, metavar="W", help="of its results' patches (1)")
    p.add_argument("--noise-weight", type=float, default=0.2, metavar="W",
                   help="temporal noise and, as strong, changes of brightness, as in training (0.2)")  # fmt: skip
    p.add_argument("--steps", type=int, help="length (2000, where --minutes is not given)")
    p.add_argument("--minutes", type=float, help="or its length in minutes")
    p.add_argument("--batch", type=int, default=4, help="crops a step (4)")
    p.add_argument("--crop", type=int, default=128, metavar="PX", help="side of a crop, a multiple of 4 (128)")
    p.add_argument("--lr", type=float, default=0.002, help="learning rate (0.002)")
    p.add_argument("--snapshot-steps", type=int, default=500, metavar="N", help="between snapshots (500)")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--threads", type=int, default=0, help="CPU threads (0: all cores)")
    p.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="auto: a GPU where there is one")
    p.add_argument("--resume", action="store_true", help="go on with STUDENT; options are the stored ones unless given")
    p.add_argument("--dry-run", action="store_true", help="say what would be made, write nothing")
    return p


def options_from(argv: Sequence[str] | None) -> argparse.Namespace:
    """The options, checked; with --resume those of the run, and over them what is given now. Raises ShowError."""
    p = arguments()
    args = p.parse_args(argv)
    asked = tuple(name for name in NETWORKS_OWN if getattr(args, name) is not None)
    if args.resume:
        if (args.output / OPTIONS).exists() and (found := foreign_problems(args.output, "cineml style distill")):
            raise ShowError(found)
        path: Path = args.output / OPTIONS
        try:
            told = json.loads(path.read_text(encoding="utf-8"))["options"]
            told = {k: v for k, v in told.items() if k in vars(args) and k not in NOT_STORED}
            told["film"] = Path(told["film"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as e:
            given = f"holds no run to resume ({path.name}: {e})"
            raise ShowError(Problem(str(args.output), given, "a folder of cineml style distill")) from None
        if args.steps is not None or args.minutes is not None:  # a new length takes the place of both
            told = {k: v for k, v in told.items() if k not in ("steps", "minutes")}
        p.set_defaults(**told)
        args = p.parse_args(argv)
    check(args)
    args.given = asked
    return args


def check(args: argparse.Namespace) -> None:
    """Every problem of the options at once. Raises ShowError."""
    found: list[Problem] = []
    if args.film is None:
        found.append(Problem("--film", "is missing", "a film, or a folder of its frames"))
    if not args.teacher.is_dir():
        given = "is no folder" if args.teacher.exists() else "does not exist"
        found.append(Problem(str(args.teacher), given, "a stylizer's run or checkpoint, or RUN/teacher"))
    if not args.resume and not args.dry_run and (args.output / STATE).exists():
        found.append(Problem(str(args.output), "holds a run already", "an empty folder", "--resume, or another folder"))
    if args.resume and not (args.output / STATE).is_file():
        found.append(Problem(str(args.output), f"has no {STATE}: nothing was trained yet", "a run", "without --resume"))
    bounds: tuple[tuple[str, float, float], ...] = (
        ("frames", 1, 2000), ("side", 64, 4096), ("width", 4, 256), ("blocks", 1, 32), ("canvas", 0, 16), ("steps", 1, 10**8),
        ("minutes", 1e-3, 1e6), ("batch", 1, 256), ("crop", 32, 1024), ("lr", 1e-7, 1), ("snapshot_steps", 1, 10**8),
        ("seed", 0, 2**31 - 1), ("threads", 0, 1024),
        *((f"{n}_weight", 0, 1e6) for n in ("outputs", "features", "patches", "noise")))  # fmt: skip
    for name, low, high in bounds:
        value = getattr(args, name)
        if value is not None and not low <= value <= high:  # a nan is not
            found.append(Problem(f"--{name.replace('_', '-')}", str(value), f"{low:g} to {high:g}"))
    if args.crop % 4:
        found.append(Problem("--crop", str(args.crop), "a multiple of 4"))
    if args.outputs_weight == 0 and args.patches_weight == 0:
        found.append(Problem("--outputs-weight, --patches-weight", "are both 0", "one of them above 0"))
    if args.output.absolute() == args.teacher.absolute():
        found.append(Problem(str(args.output), "is the teacher itself", "another folder"))
    if found:
        raise ShowError(found)
    if args.steps is None and args.minutes is None:
        args.steps = 2000
