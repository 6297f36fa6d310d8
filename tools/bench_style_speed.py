"""The part "speed" of `cineml bench style`: the student beside the classic network and both beside torch, 640x480, 2 threads.

The student as `cineml style train` makes it where nothing is said. The classic: Johnson et al. 2016, width 32, 5 residual
blocks, nearest upsampling, instance norm, without our canvas. Weights are at random: speed does not depend on them. All of them
in turns, so that a noisy neighbour strikes each.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tools.bench import Row
from tools.bench_style_networks import DONE, THREADS, Bench, exported, opened
from tools.whole_file import make_folder

SIZE = (640, 480)
SECONDS = 12.0
LEAST_FPS, TIMES = 30.0, 30.0
CLASSIC = ("johnson", 32, 5)


def rows(bench: Bench, size: tuple[int, int] = SIZE) -> list[Row]:
    """The rows. size: (width, height)."""
    import torch

    from models.stylizer import StylizerConfig, operations, parameter_count
    from tools.bench_gan import in_turns

    print("bench: style, speed", flush=True)
    size = (96, 64) if bench.quick else size
    threads = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    student, student_instance = StylizerConfig(norm="affine"), StylizerConfig(norm="instance")
    classic = StylizerConfig("johnson", 4 if bench.quick else CLASSIC[1], CLASSIC[2], norm="instance", canvas=0)
    names = ("student", "student, instance norm", "classic")
    nets = [seeded(c) for c in (student, student_instance, classic)]
    runs: list[Callable[[], object]] = []
    for name, net in zip(names, nets, strict=True):
        runs.append(onnx_run(net, size, bench, f"speed_{name.replace(', ', '_').replace(' ', '_')}"))
    runs += [eager_run(nets[0], size), eager_run(nets[2], size)]
    try:
        ms = in_turns(runs, 0.2 if bench.quick else SECONDS)
    finally:
        torch.set_num_threads(threads)
    flop = [operations(c, size[1], size[0]) for c in (student, student_instance, classic)]
    fps, ratio = 1e3 / ms[0], ms[2] / ms[0]
    at = f"{size[0]}x{size[1]}, {THREADS} threads"

    def told(i: int) -> str:
        return f"{ms[i]:.1f} ms, {1e3 / ms[i]:.1f} frames a second"

    return [
        Row(f"student, {flop[0] / 1e9:.2f} GFLOP, {parameter_count(nets[0]) // 1000} k parameters, onnxruntime, {at}",
            told(0), f"at least {LEAST_FPS:.0f} frames a second", fps >= LEAST_FPS),
        Row("the same with instance norm", told(1)),
        Row(f"classic (Johnson, width {classic.width}), {flop[2] / 1e9:.1f} GFLOP, onnxruntime", told(2)),
        Row("the student's speed, of the classic's", f"{ratio:.1f} times", f"at least {TIMES:.0f} times", ratio >= TIMES),
        Row("student, torch eager", told(3)), Row("classic, torch eager", told(4)),
    ]  # fmt: skip


def seeded(config: Any) -> Any:
    """A network with random weights that are the same each time, in evaluation mode."""
    import torch

    from models.stylizer import Stylizer

    torch.manual_seed(1)
    return Stylizer(config).eval().requires_grad_(False)


def onnx_run(net: Any, size: tuple[int, int], bench: Bench, name: str) -> Callable[[], object]:
    """One picture of random values through the exported network."""
    session = opened(exported(run_of(net, bench, name), size, bench))
    picture, shares = noise(size), np.ones(1, np.float32)
    return lambda: session(picture, shares)


def run_of(net: Any, bench: Bench, name: str) -> Path:
    """A run's folder with this network, written anew: another code may make another network of the same weights."""
    from models.stylizer_checkpoint import save_stylizer

    run = bench.work / name
    make_folder(run)
    with contextlib.redirect_stdout(sys.stderr):
        save_stylizer(run / "checkpoint", net, net.config, {"run": {"tool": "cineml bench style"}})
    (run / DONE).write_text("{}")
    return run


def eager_run(net: Any, size: tuple[int, int]) -> Callable[[], object]:
    """One picture through the network in torch."""
    import torch

    image = torch.from_numpy(noise(size)).permute(2, 0, 1)[None].float() / 255
    shares = torch.ones(1, 1)

    def run() -> object:
        with torch.inference_mode():
            return net(image, shares)

    return run


def noise(size: tuple[int, int]) -> Any:
    """uint8 [H, W, 3]."""
    return np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)


