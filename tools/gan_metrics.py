"""`cineml gan metrics CHECKPOINT|EXPORT DATASET`: what a generator's pictures are worth beside the film's, in numbers."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

# Threads that spin at a barrier starve each other as soon as anything else runs; read when torch is first imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from player.show.problem import Problem, ShowError

EXAMPLES = """examples:
  cineml gan metrics run128 film.mp4
  cineml gan metrics show_configs/demo/checkpoint film.mp4 -o measured --samples 1000 --json"""

TOLD = {
    "kid": "distance to the film in learnt features; 0 is best",
    "swd": "distance of patches, mean of the levels below; 0 is best",
    "precision": "share of samples that look like the film",
    "recall": "share of the film that the samples reach",
    "coverage": "the same, not flattered by broken samples",
    "memorisation": "distance to the nearest frame: 0 = copies, 1 = as an unseen frame",
    "copies": "share of samples that are copies of a frame",
    "fid": "Frechet distance in the features given; compare equal counts only",
}


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        prog="cineml gan metrics",
        description="KID, sliced Wasserstein distance, precision, recall and memorisation of a generator beside the\n"
                    "pictures it was trained on. Nothing is downloaded: the features are learnt from those, once a folder.\n"
                    "Also written: nearest.png, samples beside the training frames they are nearest to.",
        epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    p.add_argument("model", type=Path, help="a run, a checkpoint, or a folder with mapping.onnx and synthesis.onnx")
    p.add_argument("dataset", type=Path, help="the film or folder that it was trained on")
    p.add_argument("-o", "--output", type=Path, help="folder for nearest.png, metrics.json and the encoder "
                   "(default: the run that the model lies in, else ./metrics)")  # fmt: skip
    p.add_argument("--samples", type=int, default=2000, help="generated pictures (2000); compare equal counts only")
    p.add_argument("--seed", type=int, default=0, help="which random pictures (0)")
    p.add_argument("--noise", choices=("random", "const"), default="random",
                   help="random (as published), or const: the trained maps, as the player shows the generator")
    p.add_argument("--start", help="first film frame: 300, 12.5s or hh:mm:ss:ff")
    p.add_argument("--end", help="film frame to stop before")
    p.add_argument("--device", default="auto", help="auto, cpu or cuda")
    p.add_argument("--inception", type=Path, metavar="FILE",
                   help="FID too, with this ONNX network: one input [N, 3, H, W], first output [N, D]")
    p.add_argument("--inception-range", default="-1,1", metavar="LOW,HIGH",
                   help="black and white of that network's float input (-1,1); write --inception-range=0,255")  # fmt: skip
    p.add_argument("--report", action="store_true", help="add the numbers to the run's metrics.jsonl, write its report anew")
    p.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """The deed. Returns the exit code: 0, or 2 for bad input."""
    args = parser().parse_args(argv)
    try:
        return measure_model(args)
    except ShowError as error:
        print(error, file=sys.stderr)
        return 2


def measure_model(args: argparse.Namespace) -> int:
    """Measure, print, keep. Raises ShowError on bad input."""
    if args.samples < 8:
        raise ShowError(Problem("--samples", str(args.samples), "8 or more", "1000 or more for numbers to compare"))
    low, high = range_of(args.inception_range)
    # Only now: --help and a mistyped option need not wait for torch.
    import torch

    from tools.gan_export import checkpoint_at
    from tools.metrics_inception import FeatureNet
    from tools.metrics_measure import measure
    from tools.remap_generator import source_at
    from tools.train_dataset import asked_of, kept_pictures, load_dataset

    if args.device not in ("auto", "cpu", "cuda"):
        raise ShowError(Problem("--device", args.device, "auto, cpu, cuda"))
    if args.device == "cuda" and not torch.cuda.is_available():
        raise ShowError(Problem("--device", "cuda is not available on this machine", "auto or cpu"))
    device = "cuda" if args.device != "cpu" and torch.cuda.is_available() else "cpu"
    model: Path = args.model / "checkpoint" if (args.model / "checkpoint").is_dir() else args.model
    run = next((f for f in (args.model, args.model.resolve().parent) if (f / "log.jsonl").is_file()), None)
    folder: Path = args.output or run or Path("metrics")
    if args.report and run is None:
        raise ShowError(Problem(str(args.model), "lies in no run", "a run folder with log.jsonl", "without --report"))
    about: dict[str, object] = {}
    geometry: dict[str, list[int]]
    if (model / "model.safetensors").is_file():
        checkpoint = checkpoint_at(model)
        generator, geometry = checkpoint.generator.eval().requires_grad_(False), checkpoint.geometry
        minutes = checkpoint.run.get("minutes")
        elapsed_s = minutes * 60 if isinstance(minutes, int | float) else None
        about = {"kimg": checkpoint.run.get("kimg"), "elapsed_s": elapsed_s, "weights_sha256": checkpoint.sha256}
    else:
        source = source_at(model)
        generator, geometry = source.generator, source.geometry
        about = {"weights_sha256": source.weights_sha256}
    config = generator.config
    inception = FeatureNet(args.inception, low, high) if args.inception else None
    # A run's own pictures serve where they are the same; others must not take their place, --resume needs them.
    asked = asked_of(args.dataset, config.resolution, config.channels, args.start, args.end, geometry)
    name = "dataset" if kept_pictures(folder, asked, "dataset") is not None else "measured"
    dataset = load_dataset(args.dataset, folder, config.resolution, config.channels, args.start, args.end, name=name,
                           like=geometry)
    values = measure(generator.to(device), dataset.images, folder, seed=args.seed, samples=args.samples, noise=args.noise,
                     device=device, inception=inception, out=sys.stderr)  # fmt: skip
    record = {**about, "samples": args.samples, "frames": len(dataset.images), "seed": args.seed, "noise": args.noise,
              **values}
    write_record(folder / "metrics.json", record)
    if args.report and run is not None:
        add_to_run(run, about, values)
    if args.json:
        print(json.dumps(record))
        return 0
    print(f"{args.model}: {args.samples} samples beside {len(dataset.images)} frames, seed {args.seed}, {args.noise} noise")
    for name, value in values.items():
        print(f"  {name:<15}{value:10.4f}  {TOLD.get(name, '')}".rstrip())
    print(f"{folder / 'nearest.png'}, {folder / 'metrics.json'}")
    return 0


def range_of(given: str) -> tuple[float, float]:
    """--inception-range as two numbers. Raises ShowError."""
    try:
        low, high = (float(v) for v in given.split(","))
        if not low < high:
            raise ValueError
    except ValueError:
        raise ShowError(Problem("--inception-range", given, "two numbers, the smaller first", "=-1,1 or =0,255")) from None
    return low, high


def write_record(path: Path, record: dict[str, object]) -> None:
    """The numbers and what they are of, as JSON, written by a temporary name first."""
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    os.replace(part, path)


def add_to_run(run: Path, about: dict[str, object], values: dict[str, float]) -> None:
    """One line more in the run's metrics.jsonl, and its report. Raises ShowError where the checkpoint does not tell its age."""
    from tools.train_report import write_report

    kimg = about.get("kimg")
    if not isinstance(kimg, int | float):
        raise ShowError(Problem(str(run), "holds a checkpoint that does not tell after how many pictures it was kept",
                                hint="without --report"))  # fmt: skip
    line = {"kimg": round(kimg, 3), "elapsed_s": about.get("elapsed_s"), **values}
    with (run / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    write_report(run)


if __name__ == "__main__":
    sys.exit(main())
