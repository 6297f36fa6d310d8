"""The command line of `cineml style train`, and what follows from it: no torch, so that --help works in a base install."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from player.show.problem import Problem, ShowError
from tools.style_train_place import foreign_problems

NAME = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9_.-]{1,64}")  # of a style: in addresses, and of its folder
MOST_STYLES = 32
STYLE_SHARE = 0.3  # of a run that starts from another network
TEACHERS = {"the painted frames": ("broad", "pixel", "patches", "form", "critic"), "--network": ("content", "style")}
STATE, OPTIONS = "state.safetensors", "options.json"
NOT_STORED = ("output", "resume", "dry_run", "teacher")
EXAMPLES = """examples:
  cineml style train --film film.mp4 --style strokes.png lines.png -o run --minutes 10
  cineml style train --film film.mp4 --style other.png --from run -o run2 --steps 1500
  cineml style train -o run --resume

RUN receives frames/ and teacher/STYLE/ (film frames, and the same painted by the optimiser: paint over any of them, or put
your own in, and train again with --teacher RUN), checkpoint/, previews/STEP.png, log.jsonl, report.png, report.html and
state.safetensors, from which --resume goes on exactly. Then: cineml style export RUN -o stylizer.onnx

The temporal noise is that of Rainy and de Berker 2018, "Stabilizing neural style-transfer for video": the same frame with some
of its values changed is to give the same picture, so that a film's grain does not boil in the result. Shifts and light beside
it are those of Wang et al. 2020, "Consistent Video Style Transfer via Compound Regularization"; each has its own weight."""


@dataclass(frozen=True)
class Weights:
    """Of the losses; 0 leaves one out. WEIGHT_HELP says what each is for."""

    broad: float = 1.0
    pixel: float = 0.1
    patches: float = 2.0
    form: float = 0.3
    critic: float = 0.0
    grid: float = 30.0
    tv: float = 0.0
    noise: float = 0.2
    shift: float = 0.0
    light: float = 0.2
    flow: float = 0.0
    content: float = 1.0
    style: float = 1.0


WEIGHT_HELP = {
    "broad": "colours of the teacher's pictures, in means of 8x8 pixels",
    "pixel": "pixels of the teacher's pictures: more of it is blurred",
    "patches": "patches of the teacher's pictures, wherever they lie: sharp strokes",
    "form": "direction and strength of the teacher's strokes, window by window",
    "critic": "a small network that tells the teacher's patches from these, as 0.05: sharper, for twice the time",
    "grid": "against the grid of 4x4 pixels; with a canvas, against fine lines that are not the canvas's",
    "tv": "total variation: smoothness",
    "noise": "temporal noise: that noise and grain change nothing",
    "shift": "that the result moves with the frame, as 0.03: for --canvas 0, as a canvas lies still",
    "light": "that changes of brightness change nothing",
    "flow": "consistency along the film's motion where nothing is hidden, as 50 (needs --sequence 2 or more)",
    "content": "content in the eyes of --network",
    "style": "style in the eyes of --network",
}


def arguments() -> argparse.ArgumentParser:
    """The command line; its help is the reference of the options."""
    own = Weights()
    p = argparse.ArgumentParser(
        prog="cineml style train", formatter_class=argparse.RawDescriptionHelpFormatter, epilog=EXAMPLES,
        description="Teach a network one or several painting styles on a film's frames, so that it styles film in real time.")
    p.add_argument("--film", type=Path, metavar="FILM", help="a film, or a folder of its frames")
    p.add_argument("--style", type=Path, nargs="+", metavar="PICTURE", help=f"the paintings, 1 to {MOST_STYLES}")
    p.add_argument("--names", help="their names, as strokes,lines (those of the files)")
    p.add_argument("-o", "--output", type=Path, required=True, metavar="RUN", help="folder of the run")
    p.add_argument("--start", help="from here: frames (300), seconds (12.5s) or hh:mm:ss:ff")
    p.add_argument("--end", help="to here, exclusive")
    p.add_argument("--rate", help="of a folder of frames, as 24, 25 or 30000/1001 (24)")
    p.add_argument("--frames", type=int, default=20, metavar="N", help="so many frames, evenly over the film (20)")
    p.add_argument("--side", type=int, default=640, metavar="PX",
                   help="larger frames are brought down to this long side; strokes keep their size in pixels (640)")
    net = p.add_argument_group("network")
    net.add_argument("--architecture", choices=("student", "johnson"), default="student",
                     help="student: real time on a CPU. johnson: the classic, 40 times the work (student)")
    net.add_argument("--width", type=int, help="feature maps (student 16, johnson 32)")
    net.add_argument("--blocks", type=int, help="residual blocks (student 8, johnson 5)")
    net.add_argument("--norm", choices=("instance", "affine"), default="affine",
                     help="instance: by each picture's own tones, as the classic. affine: fixed (affine)")
    net.add_argument("--canvas", type=int, help="patterns of strokes that lie under the film and run as its forms do, up to "
                     "16; 0 for none (one a style; beyond 16 styles share them). Each costs speed, so that a network of many "
                     "styles is slower than one of few")
    net.add_argument("--recurrent", action="store_true", help="takes the warped last result as well; needs "
                     "--sequence 2. For style apply: the player has no flow, and each frame is the first of a shot to it")
    net.add_argument("--from", dest="like", type=Path, metavar="RUN", help="start from this network (its sizes are taken): "
                     "first only what belongs to the styles learns, then all")
    net.add_argument("--style-share", type=float, help=f"of the run that is, with --from ({STYLE_SHARE:g})")
    teach = p.add_argument_group("teacher")
    teach.add_argument("--teacher", type=Path, metavar="RUN", help="another run of this film, whose painted frames are taken, "
                       "also where a person has painted them over")
    teach.add_argument("--preset", choices=("draft", "normal", "best"), default="draft", help="of the optimiser (draft)")
    teach.add_argument("--scale", type=float, default=1.0, help="of the strokes: 0.5 half as large (1)")
    teach.add_argument("--turns", type=int, choices=(1, 2, 4), default=4, help="positions the painting is used in (4)")
    teach.add_argument("--network", type=Path, metavar="FILE|DIR", help="VGG19 (.safetensors, .pth), or a checkpoint with a "
                       "discriminator, that judges as well")
    teach.add_argument("--no-optimiser", action="store_true", help="no painted frames: by --network alone")
    loss = p.add_argument_group("losses")
    for name, told in WEIGHT_HELP.items():
        value = getattr(own, name)
        loss.add_argument(f"--{name}-weight", type=float, default=value, metavar="W", help=f"{told} ({value:g})")
    loss.add_argument("--noise", type=float, default=30.0, metavar="LEVELS", help="of the temporal noise, of 255, at most (30)")
    loss.add_argument("--noise-share", type=float, default=0.05, help="of the values that it changes (0.05)")
    loss.add_argument("--grain", type=float, default=8.0, metavar="LEVELS", help="deviation of soft film grain, at most (8)")
    loss.add_argument("--shift", type=int, default=2, metavar="PX", help="of the disturbed frame, at most (2)")
    loss.add_argument("--light", type=float, default=0.05, help="of its brightness, at most (0.05)")
    loss.add_argument("--sequence", type=int, default=1, metavar="K", help="frames in a row of each, "
                      "along the flow (1). Every one is taught, the later ones by the painted frame moved along, where that is "
                      "certain; with --flow-weight, by agreeing with the one before; K times the work")
    run = p.add_argument_group("run")
    run.add_argument("--steps", type=int, help="length (3000, where --minutes is not given); only so are two runs equal")
    run.add_argument("--minutes", type=float, help="or in minutes, without the painting of frames and strokes first")
    run.add_argument("--batch", type=int, default=4, help="crops a step (4)")
    run.add_argument("--crop", type=int, default=128, metavar="PX", help="side of a crop, a multiple of 4 (128)")
    run.add_argument("--lr", type=float, default=0.002, help="learning rate (0.002)")
    run.add_argument("--average", type=float, default=0.99, help="of the averaged network, from step to step (0.99)")
    run.add_argument("--snapshot-steps", type=int, default=500, metavar="N", help="between snapshots (500)")
    run.add_argument("--seed", type=int, default=1)
    run.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="auto: a GPU where there is one")
    run.add_argument("--threads", type=int, default=0, help="CPU threads (0: all cores)")
    run.add_argument("--resume", action="store_true", help="go on with RUN; options are the stored ones unless given")
    run.add_argument("--dry-run", action="store_true", help="say what would be done, write nothing")
    return p  # fmt: skip


def options_from(argv: Sequence[str] | None) -> argparse.Namespace:
    """The options, checked; with --resume those of the run, and over them what is given now. Raises ShowError."""
    p = arguments()
    args = p.parse_args(argv)
    if args.resume:
        if (args.output / OPTIONS).exists() and (found := foreign_problems(args.output, "cineml style train")):
            raise ShowError(found)
        told = stored(args.output)
        if args.steps is not None or args.minutes is not None:  # a new length takes the place of both
            told = {k: v for k, v in told.items() if k not in ("steps", "minutes")}
        known = set(vars(args)) - set(NOT_STORED)
        paths = ("film", "network")
        told = {k: Path(v) if k in paths and v is not None else v for k, v in told.items() if k in known}
        told["style"] = [Path(s) for s in told.get("style") or []]
        told["like"] = Path(told["like"]) if told.get("like") else None
        if told["like"] is None:  # older runs keep one whether it counts or not
            told.pop("style_share", None)
        p.set_defaults(**told)
        args = p.parse_args(argv)
    check(args)
    return args


def stored(folder: Path) -> dict[str, Any]:
    """The options of a run. Raises ShowError."""
    path = folder / OPTIONS
    try:
        told = json.loads(path.read_text(encoding="utf-8"))["options"]
        if not isinstance(told, dict):
            raise TypeError("no table")
        return told
    except (OSError, ValueError, KeyError, TypeError) as e:
        given = f"holds no run to resume ({path.name}: {e})"
        raise ShowError(Problem(str(folder), given, "a folder of cineml style train")) from None


def check(args: argparse.Namespace) -> None:
    """Every problem of the options at once. Raises ShowError."""
    found: list[Problem] = []
    if args.film is None:
        found.append(Problem("--film", "is missing", "a film, or a folder of its frames"))
    if not args.style:
        found.append(Problem("--style", "is missing", "one painting or more"))
    if not args.resume and not args.dry_run and (args.output / STATE).exists():
        found.append(Problem(str(args.output), "holds a run already", "an empty folder", "--resume, or another folder"))
    if args.resume and not (args.output / STATE).is_file():
        found.append(Problem(str(args.output), f"has no {STATE}: nothing was trained yet", "a run", "without --resume"))
    whole = (("frames", 1, 2000), ("side", 64, 4096), ("batch", 1, 256), ("crop", 32, 1024), ("sequence", 1, 16),
             ("steps", 1, 10**8), ("snapshot_steps", 1, 10**8), ("threads", 0, 1024), ("shift", 0, 16), ("canvas", 0, 16),
             ("width", 4, 256), ("blocks", 1, 32), ("seed", 0, 2**31 - 1))  # fmt: skip
    real: tuple[tuple[str, float, float], ...] = (
        ("minutes", 1e-3, 1e6), ("lr", 1e-7, 1), ("average", 0, 0.99999), ("noise", 0, 255), ("noise_share", 0, 1),
        ("grain", 0, 255), ("light", 0, 0.9), ("scale", 0.1, 8), ("style_share", 0, 1),
        *((f"{n}_weight", 0, 1e6) for n in WEIGHT_HELP))  # fmt: skip
    for name, low, high in (*whole, *real):
        value = getattr(args, name)
        if value is not None and not low <= value <= high:  # a nan is not
            found.append(Problem(f"--{name.replace('_', '-')}", str(value), f"{low:g} to {high:g}"))
    if args.crop % 4:
        found.append(Problem("--crop", str(args.crop), "a multiple of 4"))
    if args.sequence < 2 and (args.flow_weight > 0 or args.recurrent):
        name = "--recurrent" if args.recurrent else "--flow-weight"
        found.append(Problem(name, "needs frames in a row", "", "--sequence 2"))
    if args.style_share is not None and args.like is None:
        found.append(Problem("--style-share", "is given without --from, and a new network learns all from the start", "",
                             "without it, or --from RUN"))  # fmt: skip
    found += teacher_problems(args)
    found += name_problems(args)
    if found:
        raise ShowError(found)
    args.names_of = style_names(args)
    if args.like is not None and args.style_share is None:
        args.style_share = STYLE_SHARE
    if args.steps is None and args.minutes is None:
        args.steps = 3000


def teacher_problems(args: argparse.Namespace) -> list[Problem]:
    """Where nothing is left that says what the result is to look like: the other losses alone are least for one even colour."""
    if args.no_optimiser and args.network is None:
        return [Problem("--no-optimiser", "leaves nothing to learn from", "", "--network FILE")]
    there = [name for name, is_there in (("the painted frames", not args.no_optimiser), ("--network", args.network is not None))
             if is_there]  # fmt: skip
    names = [name for teacher in there for name in TEACHERS[teacher]]
    weights = weights_of(args)
    if any(getattr(weights, name) != 0 for name in names):  # a nan is said by itself
        return []
    given = f"{', '.join(f'--{name}-weight' for name in names)} are all 0: nothing says what the result is to look like"
    return [Problem(f"the losses of {' and '.join(there)}", given, "one of them above 0")]


def style_names(args: argparse.Namespace) -> tuple[str, ...]:
    """One a painting: as given, or the files' with _ for what may not stand in an address."""
    if args.names is not None:
        return tuple(n.strip() for n in args.names.split(","))
    return tuple(re.sub(r"[^A-Za-z0-9_.-]", "_", p.stem)[:64] for p in args.style or [])


def name_problems(args: argparse.Namespace) -> list[Problem]:
    """What is wrong with the styles' names and number."""
    names, found = style_names(args), list[Problem]()
    if len(args.style or []) > MOST_STYLES:
        found.append(Problem("--style", f"{len(args.style)} paintings", f"1 to {MOST_STYLES}"))
    if args.names is not None and len(names) != len(args.style or []):
        found.append(Problem("--names", f"{len(names)} for {len(args.style or [])} paintings", "one each"))
    allowed = "letters, digits and _ . -, 64 at most, not . or .."
    found += [Problem("--names", repr(n), allowed) for n in names if not NAME.fullmatch(n)]
    if len(set(names)) != len(names):
        twice = sorted({n for n in names if names.count(n) > 1})
        found.append(Problem("--style", f"two paintings are named {', '.join(twice)}", "different names", "--names a,b"))
    return found


def weights_of(args: argparse.Namespace) -> Weights:
    """The weights of the losses; those of a teacher that is not there are 0."""
    values = {name: float(getattr(args, f"{name}_weight")) for name in WEIGHT_HELP}
    if args.no_optimiser:
        values |= dict.fromkeys(TEACHERS["the painted frames"], 0.0)
    if args.network is None:
        values |= dict.fromkeys(TEACHERS["--network"], 0.0)
    return Weights(**values)


def stored_options(args: argparse.Namespace) -> dict[str, Any]:
    """The options as JSON can hold them."""
    def plain(value: Any) -> Any:
        if isinstance(value, list | tuple):
            return [plain(v) for v in value]
        return str(value) if isinstance(value, Path) else value
    return {k: plain(v) for k, v in vars(args).items() if k not in ("names_of", "resume", "dry_run")}
