"""`cineml gan export CHECKPOINT [-o DIR]`: mapping.onnx, synthesis.onnx and generator.onnx, compared with torch first.

A file takes the place of an older one only after onnxruntime has shown the same pictures from it as torch shows from the
weights it holds (several z, psi, cutoffs, noise fed and unfed).
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch

from models.checkpoint import Checkpoint, CheckpointError, load_checkpoint
from models.network_config import GeneratorConfig, half_from
from models.stylegan2 import Generator
from player.show.problem import Problem, ShowError
from tools.export_options import PARTS, UP_FORM, Part, UpForm, arguments
from tools.gan_export_graph import Variant, build, size_in_flop
from tools.model_metadata import exported_hashes, metadata_of
from tools.whole_file import make_folder, write_whole, writing

MAX_ERROR = 5e-4  # of a range of 2: less than a tenth of an 8-bit step
MAX_CHANGED = 0.03  # share of 8-bit pixels that may round to the neighbouring value
MAX_ERROR_FP16 = 2e-2  # of a range of 2, for blocks that compute in float16


@dataclass(frozen=True)
class ExportOptions:
    """half: big weights stored as float16. uint8: picture as [1, H, W, 3]. gains: gain.RES.i inputs. parts: which files.
    fp16: the highest resolutions compute in float16. up: formulation of the up-convolution (tools/export_upconv.py)."""

    half: bool = False
    uint8: bool = False
    gains: bool = False
    parts: tuple[Part, ...] = PARTS
    fp16: bool = False
    up: UpForm = UP_FORM

    def variant(self, config: GeneratorConfig) -> Variant:
        """How the graphs are written: float16 where the network was trained in it, else in the four highest blocks."""
        start = half_from(config.resolution, config.half_blocks or 4)
        return Variant(self.half, self.uint8, self.gains, self.fp16, start, self.up)


@dataclass(frozen=True)
class Exported:
    """One file written: its size, hash, and the greatest difference to torch (of -1..1, or in 8-bit steps)."""

    path: Path
    size: int
    sha256: str
    error: float


def checkpoint_at(folder: Path) -> Checkpoint:
    """load_checkpoint with its errors as ShowError."""
    try:
        return load_checkpoint(folder)
    except CheckpointError as e:
        raise ShowError(Problem(str(folder), str(e), "a folder with model.safetensors and model.json")) from None


def rounded_to_half(generator: Generator) -> Generator:
    """A copy whose big weights went through float16, as a half export stores them. Raises ShowError where one overflows."""
    rounded = copy.deepcopy(generator)
    with torch.no_grad():
        for name, p in rounded.named_parameters():
            if name.endswith((".weight", ".const")):
                half = p.half().float()
                if not torch.isfinite(half).all():
                    raise ShowError(Problem(name, "holds weights beyond float16", "an export without --half"))
                p.copy_(half)
    return rounded


def open_session(model: onnx.ModelProto | Path, threads: int = 2) -> Any:
    """A CPU onnxruntime session that does not spin between runs."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3  # it would warn of every noise input that it has a default: that is the intention
    source: Any = str(model) if isinstance(model, Path) else model.SerializeToString()
    return ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def _feeds(generator: Generator, part: Part, gains: bool, case: int) -> dict[str, npt.NDArray[Any]]:
    """Inputs of one comparison: case 0 leaves noise and gains unfed, 1 feeds all of them, 2 some."""
    config = generator.config
    rng = np.random.default_rng(7 + case)
    feeds: dict[str, npt.NDArray[Any]] = {}
    if part == "synthesis":
        z = torch.from_numpy(rng.standard_normal((1, config.z_dim)).astype(np.float32))
        c = torch.from_numpy(rng.standard_normal((1, config.c_dim)).astype(np.float32)) if config.c_dim else None
        feeds["ws"] = generator.mapping(z, c, (0.7, 1.0, 0.4)[case]).contiguous().numpy()
    else:
        feeds["z"] = rng.standard_normal((1, config.z_dim)).astype(np.float32)
        if config.c_dim:
            feeds["c"] = rng.standard_normal((1, config.c_dim)).astype(np.float32)
        feeds["psi"] = np.array((0.7, 1.0, 0.0)[case], np.float32)
        feeds["cutoff"] = np.array((config.num_ws, 0, config.num_ws // 2)[case], np.int64)
    if part != "mapping":
        for i, (name, size) in enumerate(generator.synthesis.noise_names().items()):
            if case == 1 or (case == 2 and i % 2):
                feeds[name] = rng.standard_normal((1, 1, size, size)).astype(np.float32)
                if gains:
                    wide = config.width(size)
                    feeds[name.replace("noise", "gain")] = rng.uniform(0.5, 1.5, (1, wide, 1, 1)).astype(np.float32)
    return feeds


def _by_torch(generator: Generator, part: Part, feeds: dict[str, npt.NDArray[Any]], uint8: bool) -> npt.NDArray[Any]:
    """What torch makes of the same inputs."""
    given = {k: torch.from_numpy(np.asarray(v)) for k, v in feeds.items()}
    if part == "synthesis":
        ws = given["ws"]
    else:
        ws = generator.mapping(given["z"], given.get("c"), given["psi"], int(given["cutoff"]))
    if part == "mapping":
        return ws.contiguous().numpy()
    noise = {k: v for k, v in given.items() if k.startswith("noise.")}
    gains = {k: v for k, v in given.items() if k.startswith("gain.")}
    image: npt.NDArray[Any] = generator.synthesis(ws, noise, gains).numpy()  # [1, C, H, W]
    if not uint8:
        return image
    levels = np.clip(np.round(127.5 * image + 127.5), 0, 255).astype(np.uint8)
    shown = levels[:, :3]  # without transparency
    return np.repeat(shown.transpose(0, 2, 3, 1), 3 // shown.shape[1], axis=3)  # [1, H, W, 3]


@torch.no_grad()
def compare(generator: Generator, model: onnx.ModelProto, part: Part, options: ExportOptions) -> float:
    """Greatest difference between onnxruntime and torch. Raises ShowError where it is too great to keep the model."""
    session = open_session(model)
    worst = 0.0
    for case in range(3):
        feeds = _feeds(generator, part, options.gains, case)
        expected = _by_torch(generator, part, feeds, options.uint8)
        made = session.run(None, feeds)[0]
        if made.shape != expected.shape or made.dtype != expected.dtype:
            raise ShowError(
                Problem(f"{part}.onnx", f"gives {made.dtype} {made.shape}, torch {expected.dtype} {expected.shape}")
            )
        difference = np.abs(made.astype(np.float64) - expected.astype(np.float64))
        error = float(difference.max())
        half = options.fp16 and part != "mapping"
        allowed = MAX_ERROR_FP16 if half else MAX_ERROR
        if options.uint8 and part != "mapping":
            allowed = 127.5 * MAX_ERROR_FP16 if half else 1
            bad = not error <= allowed or (not half and float((difference > 0).mean()) > MAX_CHANGED)
        else:
            bad = not error <= allowed * max(1.0, float(np.abs(expected).max()))  # `not <=` is true for NaN as well
        if bad:
            given = f"differs from torch by {error:.2g} in comparison {case + 1}"
            raise ShowError(Problem(f"{part}.onnx", given, f"at most {allowed:g}", "the older file was left in place"))
        worst = max(worst, error)
    return worst


def teacher_synthesis(checkpoint: Checkpoint, teacher: Path | None) -> str:
    """sha256 of the synthesis.onnx that taught this checkpoint, '' where none did or its file is not known.

    teacher: the folder of its export, where the distillation did not see it. Raises ShowError where that is another's.
    """
    taught_by, known = checkpoint.run.get("distilled_from"), checkpoint.run.get("teacher_synthesis_sha256")
    if teacher is None:
        return known if isinstance(known, str) else ""
    allowed = "the export of the generator that taught it"
    if not isinstance(taught_by, str):
        raise ShowError(Problem("--teacher", "is given, and no other generator taught this one", "a student of gan distill"))
    if not (teacher / "synthesis.onnx").is_file():
        raise ShowError(Problem(str(teacher), "holds no synthesis.onnx", allowed, "cineml gan export of the teacher first"))
    file_sha256, weights_sha256 = exported_hashes(teacher / "synthesis.onnx")
    if taught_by not in (file_sha256, weights_sha256):
        given = f"is another generator ({weights_sha256[:12]}) than the one that taught this ({taught_by[:12]})"
        raise ShowError(Problem(str(teacher), given, allowed))
    return file_sha256


def export(
    checkpoint: Checkpoint,
    folder: Path,
    options: ExportOptions,
    licence: str | None = None,
    teacher: Path | None = None,
) -> list[Exported]:
    """Write the parts into `folder`: first all are built and compared, then all are renamed into place.

    licence: instead of the checkpoint's. teacher: see teacher_synthesis. Raises ShowError where a part does not equal torch;
    nothing is replaced then.
    """
    taught = teacher_synthesis(checkpoint, teacher)
    hashes = {"weights": checkpoint.sha256} | ({"teacher": taught} if taught else {})
    generator = rounded_to_half(checkpoint.generator) if options.half else checkpoint.generator
    make_folder(folder)
    written: list[tuple[Path, Exported]] = []
    try:
        for part in options.parts:
            metadata = metadata_of(
                generator.config,
                part,
                options.uint8 and part != "mapping",
                checkpoint.geometry,
                checkpoint.run,
                checkpoint.licence if licence is None else licence,
                hashes,
            )
            model = build(generator, part, metadata.properties(), options.variant(generator.config))
            error = compare(generator, model, part, options)
            data = model.SerializeToString(deterministic=True)
            path = folder / f"{part}.onnx"
            fresh = path.with_name(path.name + ".part")
            written.append((fresh, Exported(path, len(data), hashlib.sha256(data).hexdigest(), error)))
            with writing(path):
                fresh.write_bytes(data)
        for fresh, made in written:
            with writing(made.path):
                os.replace(fresh, made.path)
    finally:
        for fresh, _ in written:
            with contextlib.suppress(OSError):
                fresh.unlink(missing_ok=True)
    _write_record(checkpoint, folder, options, [made for _, made in written])
    return [made for _, made in written]


def _write_record(checkpoint: Checkpoint, folder: Path, options: ExportOptions, files: Sequence[Exported]) -> None:
    """export.json: options, hashes, errors and versions beside the result."""
    record = {
        "checkpoint_sha256": checkpoint.sha256,
        "options": {**asdict(options), "parts": list(options.parts)},
        "files": {f.path.name: {"bytes": f.size, "sha256": f.sha256, "greatest_error": f.error} for f in files},
        "versions": {"torch": torch.__version__, "onnx": onnx.__version__},
    }
    text = json.dumps(record, indent=2) + "\n"
    write_whole(folder / "export.json", lambda part: part.write_text(text, encoding="utf-8"))


def main(argv: Sequence[str] | None = None) -> int:
    """The deed. Returns the exit code: 0, or 2 for bad input."""
    args = arguments().parse_args(argv)
    folder = args.out or args.folder or args.checkpoint
    if args.out and args.folder and args.out != args.folder:
        print(Problem("-o", f"{args.out}, and {args.folder} is given beside it", "one folder to write to"), file=sys.stderr)
        return 2
    parts = tuple(p for p in PARTS if p in args.parts.split(","))
    try:
        if unknown := sorted(set(args.parts.split(",")) - set(PARTS)):
            raise ShowError(Problem("--parts", ",".join(unknown), ", ".join(PARTS)))
        if folder.exists() and not folder.is_dir():
            raise ShowError(Problem(str(folder), "is a file", "a folder for " + ", ".join(f"{p}.onnx" for p in parts)))
        checkpoint = checkpoint_at(args.checkpoint)
        options = ExportOptions(args.half, args.uint8 or args.output == "uint8", args.gains, parts, args.fp16, args.up)
        print(
            f"{checkpoint.generator.config.resolution} px, {size_in_flop(checkpoint.generator) / 1e9:.2f} GFLOP a picture"
        )
        for made in export(checkpoint, folder, options, args.licence, args.teacher):
            print(f"{made.path}  {made.size / 1e6:.2f} MB  greatest difference to torch {made.error:.1e}")
    except ShowError as e:
        print(e, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
