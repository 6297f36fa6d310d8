"""Assembles the demo show from a rendered film and a training run: models, checkpoint, score, cuts, film, soundtrack.

    python -m tools.demo_show --film out/film --run out/training --out show_configs/demo

Writes everything but demo.toml and LICENSE, which people write. Each part is made only where it is not there yet from
the same input, so the deed can be run again after every few hours of training. Size limits: 20 MB in all, 14 MB a file.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from models.checkpoint import save_checkpoint
from player.recorder import repeatable
from player.show.cut_list import CutList, read_csv, write_csv
from player.show.problem import Problem, ShowError
from tools.gan_export import ExportOptions, checkpoint_at, export
from tools.remap import STOPPED, Remap
from tools.remap import run as remap_run

LICENCE = "CC0-1.0"
MOST_BYTES, MOST_FILE_BYTES = 20_000_000, 14_000_000
SOUND_BYTES = 3_000_000
FILM_BITS_PER_S = 330_000
GOP_FRAMES = 12  # a seek decodes half a second at most


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def encode_film(source: Path, target: Path, frames: int) -> None:
    """The film again at a low bitrate: H.264, no sound, a key frame each half second, no B-frames (so that a seek shows
    the first frame it decodes). Raises ShowError where the length is not `frames`."""
    import av

    part = target.with_name(f".{target.stem}.part{target.suffix}")
    count = 0
    try:
        with av.open(str(source)) as film, av.open(str(part), "w", options={"movflags": "+faststart"}) as out:
            stream = film.streams.video[0]
            stream.thread_type = "AUTO"
            rate = Fraction(stream.average_rate or 24)
            made = out.add_stream("libx264", rate=rate)
            made.width, made.height, made.pix_fmt = stream.width, stream.height, "yuv420p"
            made.bit_rate, made.gop_size, made.thread_count = FILM_BITS_PER_S, GOP_FRAMES, 1  # one thread: the same bytes
            made.options = {"preset": "slow", "bf": "0", "maxrate": "700k", "bufsize": "1400k", **repeatable()}
            made.time_base = 1 / rate
            for frame in film.decode(stream):
                picture = av.VideoFrame.from_ndarray(frame.to_ndarray(format="rgb24"), format="rgb24")
                picture.pts, picture.time_base = count, 1 / rate
                out.mux(made.encode(picture))
                count += 1
            out.mux(made.encode(None))
    except (av.FFmpegError, OSError, IndexError) as e:
        part.unlink(missing_ok=True)
        raise ShowError(Problem(str(source), f"cannot be read as a film ({e})", "the film.mp4 of demo_film")) from None
    if count != frames:
        part.unlink(missing_ok=True)
        raise ShowError(Problem(str(source), f"has {count} frames", f"{frames}, as the cut list says"))
    os.replace(part, target)


def encode_sound(source: Path, target: Path) -> None:
    """The soundtrack as Ogg Vorbis of exactly the same number of samples, below 3 MB. Raises ShowError."""
    import soundfile

    part = target.with_name(f".{target.stem}.part{target.suffix}")
    try:
        samples, rate = soundfile.read(str(source), dtype="float32", always_2d=True)  # [n, channels]
        for level in (0.5, 0.65, 0.8, 0.9):  # libsndfile: 0 is best, 1 smallest
            with soundfile.SoundFile(
                str(part), "w", rate, samples.shape[1], "VORBIS", format="OGG", compression_level=level
            ) as out:
                for first in range(0, len(samples), rate):  # a long write at once overflows libvorbis' stack
                    out.write(samples[first : first + rate])
            if part.stat().st_size <= SOUND_BYTES:
                break
        if (length := soundfile.info(str(part)).frames) != len(samples):
            raise ShowError(Problem(str(target), f"came out as {length} samples", f"{len(samples)}, exactly"))
        os.replace(part, target)
    except (OSError, RuntimeError) as e:
        raise ShowError(Problem(str(source), f"cannot be read as sound ({e})", "the soundtrack of demo_film")) from None
    finally:
        part.unlink(missing_ok=True)


class Made:
    """made.json: which input each part was made from, so that a part is not made twice from the same."""

    def __init__(self, folder: Path):
        self.path = folder / "made.json"
        try:
            self.told: dict[str, str] = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            self.told = {}

    def from_same(self, target: Path, digest: str) -> bool:
        return target.exists() and self.told.get(target.name) == digest

    def note(self, target: Path, digest: str) -> None:
        self.told[target.name] = digest
        part = self.path.with_name(self.path.name + ".part")
        part.write_text(json.dumps(dict(sorted(self.told.items())), indent=2) + "\n", encoding="utf-8")
        os.replace(part, self.path)


def place_film(source: Path, out: Path, made: Made) -> CutList:
    """film.mp4, soundtrack.ogg and cuts.csv. source: the folder that demo_film wrote."""
    cuts = read_csv(source / "cuts.csv")
    write_csv(cuts, out / "cuts.csv")
    for name, kept, encode in (
        ("film.mp4", "film.mp4", lambda a, b: encode_film(a, b, cuts.frames)),
        ("soundtrack.flac", "soundtrack.ogg", encode_sound),
    ):
        if not (source / name).is_file():
            raise ShowError(Problem(str(source / name), "is missing", "the folder that tools.demo_film wrote"))
        digest = sha256_of(source / name)
        if not made.from_same(out / kept, digest):
            print(f"encoding {kept}", file=sys.stderr)
            encode(source / name, out / kept)
            made.note(out / kept, digest)
    return cuts


def at_film_size(geometry: dict[str, list[int]], film: Path) -> dict[str, list[int]]:
    """The geometry in pixels of this film, where training saw a smaller copy of it. Raises ShowError."""
    import av

    with av.open(str(film)) as container:
        size = [container.streams.video[0].width, container.streams.video[0].height]
    told = geometry.get("film", size)
    if told[0] * size[1] != told[1] * size[0]:
        raise ShowError(Problem(str(film), f"is {size[0]} x {size[1]}", f"the shape of the training film, {told}"))
    if not geometry:
        return geometry
    return geometry | {"film": size, "crop": [v * size[0] // told[0] for v in geometry["crop"]]}


def place_models(checkpoint_folder: Path, film: Path, out: Path) -> None:
    """models/ and checkpoint/, both in half precision, with the licence inside."""
    checkpoint = checkpoint_at(checkpoint_folder)
    checkpoint = dataclasses.replace(checkpoint, geometry=at_film_size(checkpoint.geometry, film))
    # The optimiser is left out; training goes on from generator and discriminator.
    save_checkpoint(
        out / "checkpoint",
        checkpoint.generator,
        checkpoint.discriminator,
        geometry=checkpoint.geometry,
        run=checkpoint.run,
        licence=LICENCE,
        half=True,
    )
    (out / "checkpoint" / "model.safetensors").chmod(0o644)
    # Exported from what is shipped, not from the run: cineml gan export --half on it gives these very files again.
    export(checkpoint_at(out / "checkpoint"), out / "models", ExportOptions(half=True, parts=("mapping", "synthesis")))


SCORED = ("score.toml", "score.npz")
ANCHORS = "checkpoint/anchors.npz"
SHIPPED = ("models/mapping.onnx", "models/synthesis.onnx", "models/export.json", "checkpoint/model.safetensors",
           "checkpoint/model.json", *SCORED)  # fmt: skip


def bring(source: Path, target: Path) -> None:
    """A copy that is whole or not there; source and target may lie on two disks."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")
    shutil.copyfile(source, part)
    os.replace(part, target)


def sizes_of(out: Path) -> list[tuple[str, int]]:
    """(path within the show, bytes) of all that is shipped, largest first."""
    found = [p for p in out.rglob("*") if p.is_file() and p.name != "generator.onnx"]
    return sorted(((str(p.relative_to(out)), p.stat().st_size) for p in found), key=lambda row: -row[1])


def check_sizes(out: Path) -> str:
    """The table of sizes. Raises ShowError where the show is too large to be committed."""
    rows = sizes_of(out)
    total = sum(size for _, size in rows)
    problems = [
        Problem(str(out / name), f"is {size / 1e6:.1f} MB", f"at most {MOST_FILE_BYTES / 1e6:.0f} MB a file")
        for name, size in rows
        if size > MOST_FILE_BYTES
    ]
    if total > MOST_BYTES:
        problems.append(Problem(str(out), f"is {total / 1e6:.1f} MB in all", f"at most {MOST_BYTES / 1e6:.0f} MB"))
    if problems:
        raise ShowError(problems)
    lines = [f"{size / 1e6:8.3f} MB  {name}" for name, size in rows]
    return "\n".join([*lines, f"{total / 1e6:8.3f} MB  in all (at most {MOST_BYTES / 1e6:.0f})"])


def arguments() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(prog="python -m tools.demo_show", description="Assemble the demo show from its parts.")
    p.add_argument("--film", type=Path, required=True, help="the folder that tools.demo_film wrote")
    p.add_argument("--run", type=Path, help="a training run: its checkpoint/ and anchors.npz")
    p.add_argument("--checkpoint", type=Path, help="a checkpoint folder, instead of the run's")
    p.add_argument("--anchors", type=Path, help="anchors.npz, instead of the run's")
    p.add_argument("-o", "--out", type=Path, required=True, help="the show's folder")
    p.add_argument("--minutes", type=float, default=15.0, help="for the walks, at most (15)")
    p.add_argument("--passes", type=float, default=6.0, help="how often the walks look at each frame, at most (6)")
    p.add_argument("--threads", type=int, default=1, help="of torch (1: on a busy machine two are slower than one)")
    p.add_argument("--work", type=Path, default=Path("build/demo_show"), help="for finished shots and the report")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """The deed. Returns the exit code: 0, 2 for bad input, 130 when stopped by Ctrl-C."""
    import torch

    args = arguments().parse_args(argv)
    checkpoint = args.checkpoint or (args.run / "checkpoint" if args.run else None)
    anchors = args.anchors or (args.run / "anchors.npz" if args.run else None)
    try:
        if checkpoint is None:
            raise ShowError(Problem("--run or --checkpoint", "is missing", "a training run or a checkpoint folder"))
        if anchors is not None and args.anchors is None and not anchors.is_file():
            anchors = None  # a run without anchors: walks start from random pictures
        torch.set_num_threads(args.threads)
        out: Path = args.out
        out.mkdir(parents=True, exist_ok=True)
        made = Made(out)
        place_film(args.film, out, made)
        # Models and score belong together: they are made aside and brought over in one go, so that a show which plays
        # meanwhile never sees the one without the other.
        aside: Path = args.work / "next"
        for name in SCORED:
            if (out / name).is_file():  # what a person has set in the score is kept
                bring(out / name, aside / name)
        place_models(checkpoint, out / "film.mp4", aside)
        if anchors is not None:  # training goes on from them too: --grow-from show_configs/demo/checkpoint
            bring(anchors, aside / ANCHORS)
        # The walks are fitted to the film as rendered, not to its low-bitrate copy, through the weights that will play.
        remap = Remap(
            args.film / "film.mp4", out / "cuts.csv", aside / "models", aside / "score.toml", anchors,
            passes=args.passes, minutes=args.minutes, work=args.work,
        )  # fmt: skip
        fitted, finished = remap_run(remap)
        if finished:
            for name in [*SHIPPED, *([ANCHORS] if anchors is not None else [])]:
                bring(aside / name, out / name)
            # of an older export: it would not fit the other two
            (out / "models" / "generator.onnx").unlink(missing_ok=True)
        licence = Path(__file__).parents[1] / "show_configs" / "demo" / "LICENSE"
        if licence.is_file() and not (out / "LICENSE").exists():
            shutil.copyfile(licence, out / "LICENSE")
        print(check_sizes(out))
    except ShowError as e:
        print(e, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped: the same command goes on from here", file=sys.stderr)
        return STOPPED
    if not finished:
        print(f"\nstopped; {len(fitted)} shots are kept: the same command goes on from here", file=sys.stderr)
        return STOPPED
    errors = [f.error for f in fitted.values()]
    print(f"{len(fitted)} walks, mean difference {float(np.mean(errors)):.3f}; look at {remap.report}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
