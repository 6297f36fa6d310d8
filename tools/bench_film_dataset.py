"""`cineml bench film`, the dataset's part: rate and size of its pictures beside the plain ffmpeg command, in the same run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tools.bench import Row

DEMO = Path(__file__).resolve().parents[1] / "show_configs" / "demo" / "film.mp4"
WIDTH, HEIGHT, SIZE = 854, 480, 256
GRAIN = 4.0  # levels, of the film that is made: that of a good 16 mm scan
TURNS = 3  # of both, one after the other; the best of each is told, since what else runs here only slows
LEAST_RATE, MOST_BYTES = 0.9, 1.3


def rows(seconds: float = 40.0, film: Path | None = None) -> list[Row]:
    """The measured rows, in about so many seconds. film: a film of 480 lines to take, instead of one made from the demo's."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = film or write_film(folder / "film.mp4", frames=max(240, min(1728, round(30 * seconds))))
        ffmpeg = shutil.which("ffmpeg")
        own: list[Took] = []
        plain: list[Took] = []
        for turn in range(TURNS):
            a, b = folder / f"own{turn}", folder / f"plain{turn}"
            b.mkdir()
            own.append(timed(own_command(source, a)))
            plain.append(timed(plain_command(ffmpeg, source, b) if ffmpeg is not None else filter_command(source, b)))
        made, others = sizes(a), sizes(b)
        if len(made) != len(others):
            raise RuntimeError(f"{len(made)} pictures beside {len(others)} of the baseline")
        return told(len(made), min(own), min(plain), sum(made), sum(others), ffmpeg is not None)


@dataclass(frozen=True, order=True)
class Took:
    """Of a command: seconds, and seconds of all processors together."""

    wall_s: float
    cpu_s: float


def told(count: int, own: Took, plain: Took, own_bytes: int, plain_bytes: int, binary: bool) -> list[Row]:
    """The numbers against their bounds."""
    baseline = "the plain ffmpeg command" if binary else "libav's scale, pad and PNG encoder (no ffmpeg here)"
    rate, share = plain.wall_s / own.wall_s, own_bytes / plain_bytes
    rates = f"{count / own.wall_s:.0f} / {count / plain.wall_s:.0f} a second = {rate:.2f}"
    cpu = f"{own.cpu_s / count * 1000:.2f} / {plain.cpu_s / count * 1000:.2f} ms = {own.cpu_s / plain.cpu_s:.2f}"
    bytes_each = f"{own_bytes / count / 1000:.1f} / {plain_bytes / count / 1000:.1f} kB = {share:.2f}"
    return [
        Row(f"film dataset: rate, every frame, 480p to {SIZE}x{SIZE} PNG, against {baseline}", rates,
            f"at least {LEAST_RATE}", rate >= LEAST_RATE),
        Row("film dataset: processor time a picture, start and search for bars with it, against the same", cpu),
        Row("film dataset: bytes a picture, against the same", bytes_each, f"at most {MOST_BYTES}", share <= MOST_BYTES),
    ]  # fmt: skip


def own_command(film: Path, out: Path) -> list[str]:
    """The whole command, with its start, the search for bars and the hash of the film."""
    return [sys.executable, "-m", "tools.film_dataset", str(film), "-o", str(out), "--fps", "all", "--size", str(SIZE),
            "--channels", "3"]  # fmt: skip


def plain_command(ffmpeg: str, film: Path, out: Path) -> list[str]:
    """What a person would type instead."""
    fit = f"scale={SIZE}:{SIZE}:force_original_aspect_ratio=decrease,pad={SIZE}:{SIZE}:(ow-iw)/2:(oh-ih)/2"
    return [ffmpeg, "-v", "error", "-nostdin", "-i", str(film), "-vf", fit, "-pix_fmt", "rgb24", str(out / "%08d.png")]


def filter_command(film: Path, out: Path) -> list[str]:
    """`filtered` as a command."""
    code = "import pathlib, sys; from tools.bench_film_dataset import filtered; filtered(*map(pathlib.Path, sys.argv[1:]))"
    return [sys.executable, "-c", code, str(film), str(out)]


def timed(command: list[str]) -> Took:
    """What a command takes."""
    begin_s, before = time.perf_counter(), os.times()
    root = Path(__file__).resolve().parents[1]
    subprocess.run(command, check=True, cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = os.times()
    cpu_s = after.children_user + after.children_system - before.children_user - before.children_system
    return Took(time.perf_counter() - begin_s, cpu_s)


def filtered(film: Path, out: Path) -> None:
    """The baseline where there is no ffmpeg command: the same filters and encoder, of the libraries that are here."""
    import av

    with av.open(str(film)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        graph = av.filter.Graph()
        fit = f"{SIZE}:{SIZE}"
        graph.link_nodes(graph.add_buffer(template=stream), graph.add("scale", f"{fit}:force_original_aspect_ratio=decrease"),
                         graph.add("pad", f"{fit}:(ow-iw)/2:(oh-ih)/2"), graph.add("format", "rgb24"),
                         graph.add("buffersink")).configure()  # fmt: skip
        encoder: Any = av.CodecContext.create("png", "w")
        encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = SIZE, SIZE, "rgb24", stream.time_base
        for number, frame in enumerate(container.decode(stream), 1):
            graph.push(frame)
            for packet in encoder.encode(graph.pull()):
                (out / f"{number:08d}.png").write_bytes(bytes(packet))


def sizes(folder: Path) -> list[int]:
    """Of the PNGs in a folder and those within it."""
    return [p.stat().st_size for p in folder.rglob("*.png")]


def write_film(path: Path, frames: int) -> Path:
    """The demo film enlarged to 480p, tinted by hand, so to say, and with grain, as H.264 of a download's quality."""
    import av

    rng = np.random.default_rng(0)
    grain = np.clip(rng.normal(0, GRAIN, (HEIGHT + 256, WIDTH + 256)), -30, 30).astype(np.int16)
    # Colour, or a PNG would have three equal channels; smooth beside the luma, as a colour film's is.
    v, u = np.mgrid[: HEIGHT // 2, : WIDTH // 2] / np.array([HEIGHT, WIDTH])[:, None, None] * 4 * np.pi
    tint = np.stack([128 + 18 * np.sin(u + 1) * np.cos(v), 128 + 22 * np.cos(u) * np.sin(v + 2)]).round().astype(np.uint8)
    with av.open(str(DEMO)) as demo, av.open(str(path), "w") as out:
        stream = demo.streams.video[0]
        stream.thread_type = "AUTO"
        made: Any = out.add_stream("libx264", rate=24, options={"preset": "veryfast", "crf": "20"})
        made.width, made.height, made.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number, frame in enumerate(demo.decode(stream)):
            if number >= frames:
                break
            y, x = rng.integers(0, 256, 2)
            grey = frame.reformat(WIDTH, HEIGHT, "gray", dst_color_range=2).to_ndarray() + grain[y : y + HEIGHT, x : x + WIDTH]
            luma = (np.clip(grey, 0, 255) * (219 / 255) + 16).astype(np.uint8)
            planes = np.concatenate([luma.ravel(), tint.ravel()]).reshape(HEIGHT * 3 // 2, WIDTH)
            out.mux(made.encode(av.VideoFrame.from_ndarray(planes, format="yuv420p")))
        out.mux(made.encode(None))
    return path
