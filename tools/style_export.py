"""`cineml style export RUN -o stylizer.onnx`: a trained stylizer for the player, compared with torch before it is kept.

The file takes the place of an older one only after onnxruntime has shown the same pictures from it as torch (several styles,
their mixtures, and of a network of any size several sizes, odd ones too).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch

from models.checkpoint import CheckpointError
from models.stylizer import Stylizer, operations, parameter_count
from models.stylizer_checkpoint import load_stylizer
from player.progress import Progress
from player.show.problem import Problem, ShowError
from tools.film_dataset_source import Footage, footage_at, range_of
from tools.gan_export import open_session
from tools.model_metadata import KEY
from tools.style_export_graph import Form, Frame, build
from tools.style_export_options import arguments, option_problems, size_of
from tools.style_fold import as_tensor, difference, folded, styled_layers
from tools.whole_file import output_problems, sha256_of, write_whole

TOOL = "cineml style export"
DONE, BAD_INPUT, STOPPED = 0, 2, 130
MAX_LEVELS = 1  # an 8-bit picture may differ by a rounding
MAX_CHANGED = 0.02  # share of its values that may round the other way
MAX_MEAN_FP16, MAX_LEVELS_FP16 = 1.0, 32  # of levels; float16 has 11 bits, and instance normalisation divides by small numbers
ODD_SIZES = ((75, 58), (128, 96))  # (width, height) at which a network of any size is compared
AGAIN_S = 0.5
SEEN = 4  # frames by which folding is judged

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class ExportOptions:
    """size: (width, height) of the pictures, None = any. fp16: convolutions in float16. form: where the gains of styles are
    multiplied in, None = the fastest (tools/style_export_graph.py)."""

    size: tuple[int, int] | None = None
    fp16: bool = False
    form: Form | None = None


@dataclass(frozen=True)
class Exported:
    """A file written: bytes, sha256, greatest and mean difference to torch in levels of 255."""

    path: Path
    size: int
    sha256: str
    levels: float
    mean: float


def export(net: Stylizer, path: Path, options: ExportOptions, about: Mapping[str, Any], fold: Mapping[str, Any] | None = None,
           licence: str | None = None) -> Exported:  # fmt: skip
    """Write the network, compare it, and put it in place. about: as load_stylizer gives it. fold: what its normalisation was
    measured on, where it was folded. licence: instead of about's. Raises ShowError where it does not show what torch shows;
    an older file is then left."""
    metadata = {KEY: json.dumps(metadata_of(net, options, about, fold, licence), ensure_ascii=False, separators=(",", ":"))}
    try:
        model = build(net, Frame(options.size, options.fp16, options.form), metadata)
        levels, mean = compare(net, model, options, path.name)
    except (MemoryError, RuntimeError) as e:  # torch says so of memory
        raise ShowError(memory_problem(path, options, e)) from None
    data = model.SerializeToString(deterministic=True)
    write_whole(path, lambda part: part.write_bytes(data))
    return Exported(path, len(data), hashlib.sha256(data).hexdigest(), levels, mean)


def memory_problem(path: Path, options: ExportOptions, error: BaseException) -> Problem:
    """Pictures that are too large for this machine. Raises the error itself where it is another."""
    if not isinstance(error, MemoryError) and "memory" not in str(error).lower():
        raise error
    size = "{}x{}".format(*options.size) if options.size is not None else "any size"
    given = f"pictures of {size} do not fit into this machine's memory to be compared"
    return Problem(str(path), given, "", "a smaller --size, or --size any")


def metadata_of(net: Stylizer, options: ExportOptions, about: Mapping[str, Any], fold: Mapping[str, Any] | None,
                licence: str | None) -> dict[str, Any]:  # fmt: skip
    """What the file says of itself (docs/FORMATS.md)."""
    run = about.get("run", {})
    told = dict(run) if isinstance(run, Mapping) else {"name": str(run)}
    hashes = {"weights": str(about.get("sha256", ""))}
    if fold is not None:
        told["folded"] = {k: v for k, v in fold.items() if k != "sha256"}
        hashes["folded_film"] = str(fold["sha256"])
    return {
        "kind": "stylizer",
        "part": "stylizer",
        "resolution": max(options.size) if options.size is not None else 0,
        "channels": 3,
        "range": [0, 255],
        "geometry": {},
        "styles": list(net.config.styles),
        "size": list(options.size) if options.size is not None else None,
        "multiple": 1,
        "recurrent": net.config.recurrent,
        "architecture": net.config.architecture,
        "norm": net.config.norm,
        "fp16": options.fp16,
        "run": told,
        "licence": str(about.get("licence", "")) if licence is None else licence,
        "hashes": hashes,
    }


# --- the comparison


def compare(net: Stylizer, model: onnx.ModelProto, options: ExportOptions, name: str) -> tuple[float, float]:
    """(greatest, mean) difference between onnxruntime and torch in levels. Raises ShowError where it is too great to keep the
    model."""
    session = open_session(model)
    sizes = (options.size,) if options.size is not None else ODD_SIZES
    worst, means = 0.0, []
    for number, (size, weights) in enumerate((s, w) for s in sizes for w in mixtures(len(net.config.styles))):
        feeds = feeds_for(net, size, weights, number)
        made, expected = session.run(None, feeds)[0], by_torch(net, feeds)
        if made.shape != expected.shape or made.dtype != expected.dtype:
            raise ShowError(Problem(name, f"gives {made.dtype} {made.shape}, torch {expected.dtype} {expected.shape}"))
        apart = np.abs(made.astype(np.int16) - expected)
        levels, mean, changed = float(apart.max()), float(apart.mean()), float((apart > 0).mean())
        if options.fp16:
            bad = levels > MAX_LEVELS_FP16 or mean > MAX_MEAN_FP16
            allowed = f"{MAX_LEVELS_FP16}, and {MAX_MEAN_FP16:g} on average"
        else:
            bad, allowed = levels > MAX_LEVELS or changed > MAX_CHANGED, f"{MAX_LEVELS}, in {MAX_CHANGED:.0%} of the values"
        if bad:
            given = (f"differs from torch by {levels:g} levels of 255, {mean:.2f} on average ({changed:.1%} of the values), at "
                     f"{weights}")  # fmt: skip
            raise ShowError(Problem(name, given, f"at most {allowed}", "the older file was left in place"))
        worst = max(worst, levels)
        means.append(mean)
    return worst, sum(means) / len(means)


def mixtures(styles: int) -> list[list[float]]:
    """Weights to compare at: each style alone (of many the first and last), and all together."""
    alone = [[float(i == s) for i in range(styles)] for s in sorted({0, styles - 1})]
    shares = np.arange(1, styles + 1) / sum(range(1, styles + 1))
    return alone + ([[round(float(x), 4) for x in shares]] if styles > 1 else [])


def feeds_for(net: Stylizer, size: tuple[int, int], weights: Sequence[float], seed: int) -> dict[str, npt.NDArray[Any]]:
    """Inputs of one comparison: a picture with even places, edges and grain."""
    rng = np.random.default_rng(seed)
    feeds: dict[str, npt.NDArray[Any]] = {"image": drawn(size, rng)[None], "style": np.asarray([weights], np.float32)}
    if net.config.recurrent:
        feeds["previous"] = drawn(size, rng)[None]
        feeds["certainty"] = rng.random((1, 1, size[1], size[0])).astype(np.float32)
    return feeds


def drawn(size: tuple[int, int], rng: np.random.Generator) -> Pixels:
    """uint8 [H, W, 3]."""
    y, x = np.mgrid[: size[1], : size[0]].astype(np.float32)
    phase = rng.uniform(0, 6, (3, 2))
    waves = [np.sin(x / 17 + a) * np.cos(y / 23 + b) for a, b in phase]
    picture = 128 + 90 * np.stack(waves, axis=2) + 40 * (x > y)[..., None] + rng.normal(0, 6, (size[1], size[0], 3))
    return np.clip(picture, 0, 255).astype(np.uint8)


@torch.no_grad()
def by_torch(net: Stylizer, feeds: Mapping[str, npt.NDArray[Any]]) -> Pixels:
    """What torch makes of the same inputs, uint8 [1, H, W, 3]."""
    more = {}
    if net.config.recurrent:
        more = {"previous": as_tensor(feeds["previous"][0]), "certainty": torch.from_numpy(feeds["certainty"])}
    made = net.eval()(as_tensor(feeds["image"][0]), torch.from_numpy(feeds["style"]), **more)  # [1, 3, H, W]
    return np.rint(255 * made.numpy()).astype(np.uint8).transpose(0, 2, 3, 1)


# --- the command


def main(argv: Sequence[str] | None = None) -> int:
    """The deed. Returns the exit code: 0, 2 for bad input, 130 where Ctrl-C stopped it."""
    args = arguments().parse_args(argv)
    try:
        exported(args)
    except ShowError as e:
        for problem in e.problems:
            print(f"cineml: {problem}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print("\ncineml: stopped; nothing was written", file=sys.stderr)
        return STOPPED
    return DONE


def exported(args: argparse.Namespace) -> None:
    """All of it. Raises ShowError."""
    path = args.output if args.output is not None else args.run / "stylizer.onnx"
    found = option_problems(args) + (output_problems(path, (".onnx",)) or foreign_problems(path))
    if found:
        raise ShowError(found)
    net, about = stylizer_at(args.run)
    config = net.config
    options = ExportOptions(size_of(args.size), args.fp16)
    high, wide = (options.size or (640, 480))[::-1]
    styles = ", ".join(config.styles)
    print(f"{config.architecture}, {len(config.styles)} styles ({styles}), {parameter_count(net) / 1e3:.0f} k parameters, "
          f"{operations(config, high, wide) / 1e9:.2f} GFLOP of convolutions at {wide}x{high}", flush=True)  # fmt: skip
    if config.recurrent:
        print("recurrent: cineml style apply gives it its last picture; the player has no flow, and shows it each frame as the "
              "first of a shot", flush=True)  # fmt: skip
    fold = None
    if args.fold is not None:
        net, fold = folded_over(net, args, options.size)
    made = export(net, path, options, about, fold, args.licence)
    print(f"{path}  {made.size / 1e6:.2f} MB  differs from torch by {made.levels:g} levels of 255 at most, {made.mean:.4f} on "
          "average")  # fmt: skip
    write_record(args, path, made, about, options)


def foreign_problems(path: Path) -> list[Problem]:
    """A file in the place of the model or of its record that this command did not write."""
    found, record = [], path.with_name(path.name + ".json")
    if path.exists() and not is_stylizer(path):
        found.append(Problem(str(path), "is there already, and is no stylizer of this command's", "another -o"))
    if record.exists():
        try:
            told = json.loads(record.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            told = None
        if not isinstance(told, dict) or told.get("tool") != TOOL:
            found.append(Problem(str(record), "is there already, and is not this command's", "another -o"))
    return found


def is_stylizer(path: Path) -> bool:
    """Whether a file is a model whose metadata call it a stylizer."""
    try:
        model = onnx.load(str(path), load_external_data=False)
        told = json.loads({p.key: p.value for p in model.metadata_props}.get(KEY, ""))
    except Exception:  # whatever protobuf finds wrong
        return False
    return isinstance(told, dict) and told.get("kind") == "stylizer"


def stylizer_at(run: Path) -> tuple[Stylizer, dict[str, Any]]:
    """(the network, about) of a run. Raises ShowError."""
    try:
        try:
            net, _, about = load_stylizer(run)
        except CheckpointError:
            # A run that goes on training may have put a newer checkpoint there between description and weights.
            time.sleep(AGAIN_S)
            net, _, about = load_stylizer(run)
    except CheckpointError as e:
        raise ShowError(Problem(str(run), str(e), "a run of cineml style train or distill")) from None
    return net, about


def folded_over(net: Stylizer, args: argparse.Namespace, size: tuple[int, int] | None) -> tuple[Stylizer, dict[str, Any]]:
    """(the network with constants instead of instance normalisation, what they were measured on). Raises ShowError."""
    if net.config.norm != "instance":
        given = "has constants in the place of instance normalisation already"
        raise ShowError(Problem(str(args.run), given, "", "without --fold"))
    footage = footage_at(args.fold)
    first, last = range_of(args, footage)
    count = min(args.frames, last - first)  # the middles of equal parts: a film's first and last frames are often black
    numbers = [first + (2 * i + 1) * (last - first) // (2 * count) for i in range(count)]
    frames = frames_of(footage, numbers, size)
    progress = Progress(len(styled_layers(net)), "layers folded", sys.stderr)
    out = folded(net, frames, progress.at)
    judged = frames[:: max(1, len(frames) // SEEN)][:SEEN]
    apart = ", ".join(f"{name} {d:.1f}" for name, d in zip(net.config.styles, difference(net, out, judged), strict=True))
    progress.done(f"folded over {len(frames)} frames of {args.fold.name}")
    print(f"the folded network's pictures differ from the measured ones' by {apart} levels of 255 on average", flush=True)
    return out, {"film": args.fold.name, "frames": len(frames), "range": [first, last], "sha256": footage.sha256()}


def frames_of(footage: Footage, numbers: Sequence[int], size: tuple[int, int] | None) -> list[Pixels]:
    """Film frames uint8 [H, W, 3]; where a size (width, height) is given the largest part of that shape out of their middle, in
    that size. Raises ShowError."""
    from PIL import Image, ImageOps

    from tools.film_dataset_source import picture_of

    found = []
    for _, item in footage.read(numbers):
        picture = picture_of(item) if isinstance(item, Path) else film_picture(item)
        if size is not None and picture.shape[1::-1] != size:
            picture = np.asarray(ImageOps.fit(Image.fromarray(picture), size, Image.Resampling.LANCZOS), np.uint8)
        found.append(picture)
    return found


def film_picture(frame: Any) -> Pixels:
    """A decoded frame as uint8 [H, W, 3]."""
    from player.sources.film_reader import to_rgb

    return to_rgb(frame)


def write_record(args: argparse.Namespace, path: Path, made: Exported, about: Mapping[str, Any],
                 options: ExportOptions) -> None:  # fmt: skip
    """NAME.onnx.json: options, hashes, differences and versions beside the file. Raises ShowError."""
    record = {
        "tool": TOOL,
        "options": {k: str(v) if isinstance(v, Path) else v for k, v in vars(args).items()} | asdict(options),
        "weights_sha256": about.get("sha256", ""),
        "fold_film_sha256": sha256_of(args.fold) if args.fold is not None and args.fold.is_file() else None,
        "file": {"bytes": made.size, "sha256": made.sha256, "greatest_difference": made.levels, "mean_difference": made.mean},
        "versions": {"torch": torch.__version__, "onnx": onnx.__version__},
    }
    text = json.dumps(record, indent=2) + "\n"
    write_whole(path.with_name(path.name + ".json"), lambda part: part.write_text(text, encoding="utf-8"))


if __name__ == "__main__":
    sys.exit(main())
