"""The loop around one training run: schedule, progress, snapshots, stopping."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models.checkpoint import save_checkpoint
from tools.train_anchors import save_anchors
from tools.train_dataset import Dataset
from tools.train_snapshot import append_log, sample_grid, save_state, write_picture
from tools.train_step import Training

GRID_COLUMNS = 8


def catch_stops() -> dict[int, Any]:
    """Let SIGINT and SIGTERM raise KeyboardInterrupt; the handlers before, to be put back.

    A run started in the background by a script has SIGINT ignored, and a service manager sends SIGTERM: both must keep
    a snapshot.
    """
    if threading.current_thread() is not threading.main_thread():
        return {}
    return {int(n): signal.signal(n, signal.default_int_handler) for n in (signal.SIGINT, signal.SIGTERM)}


class Run:
    """The loop around Training.step: schedule, progress, snapshots, Ctrl-C."""

    def __init__(self, options: argparse.Namespace, folder: Path, dataset: Dataset, usable: NDArray[np.bool_],
                 training: Training, networks: dict[str, Any], about: dict[str, Any], elapsed_s: float):  # fmt: skip
        self.options, self.folder, self.dataset, self.usable = options, folder, dataset, usable
        self.training, self.networks, self.about, self.elapsed_s = training, networks, about, elapsed_s
        chooser = torch.Generator().manual_seed(options.seed + 1)
        self.grid_z = torch.randn(2 * GRID_COLUMNS, options.z_dim, generator=chooser)  # [16, z_dim], fixed
        known = np.flatnonzero(usable)
        at = np.linspace(0, len(known) - 1, 3 * GRID_COLUMNS).round().astype(int)
        self.grid_frames = known[at]  # [24], spread over the film

    def progress(self) -> float:
        """0..1, how much of the asked time or pictures is done."""
        o = self.options
        done = [self.elapsed_s / 60 / o.minutes] if o.minutes else []
        done += [self.training.pictures / 1000 / o.kimg] if o.kimg else []
        return max(done)

    def train(self) -> int:
        """Train to the end; Ctrl-C keeps a snapshot and returns 0."""
        last = mark = time.monotonic()
        snapshot_at = self.elapsed_s + self.options.snapshot_minutes * 60
        counted = self.training.pictures
        means: dict[str, float] = {}
        before = catch_stops()
        try:
            while self.progress() < 1:
                # The rate falls at the end, so that codes and averaged generator meet.
                self.training.set_lr(min(1.0, max(0.02, (1 - self.progress()) / self.options.decay)))
                warm = self.training.pictures / 1000 / self.options.warmup if self.options.warmup else 1.0
                for name, value in self.training.step(min(1.0, warm)).items():
                    means[name] = value if name not in means else means[name] * 0.95 + value * 0.05
                now = time.monotonic()
                self.elapsed_s, last = self.elapsed_s + now - last, now
                if now - mark > 5:
                    self.report((self.training.pictures - counted) / (now - mark), means)
                    counted, mark = self.training.pictures, now
                if self.elapsed_s >= snapshot_at:
                    self.snapshot()
                    snapshot_at = self.elapsed_s + self.options.snapshot_minutes * 60
                    last = time.monotonic()
        except KeyboardInterrupt:
            print("\nstopped; keeping a snapshot (go on with --resume)", flush=True)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        self.snapshot()
        return 0

    def report(self, rate: float, means: dict[str, float]) -> None:
        """One progress line, and the same in log.jsonl."""
        done = max(self.progress(), 1e-6)
        left_s = self.elapsed_s * (1 - done) / done
        line = {"kimg": round(self.training.pictures / 1000, 3), "elapsed_s": round(self.elapsed_s, 1),
                "pictures_per_s": round(rate, 2), **{k: round(v, 4) for k, v in means.items()}}  # fmt: skip
        append_log(self.folder / "log.jsonl", line)
        losses = " ".join(f"{k} {v:.3f}" for k, v in means.items())
        text = f"{line['kimg']:9.2f} kimg  {rate:5.1f} img/s  {losses}  left {left_s / 60:.1f} min"
        print(f"\r{text}" if sys.stdout.isatty() else text, end="" if sys.stdout.isatty() else "\n", flush=True)

    def snapshot(self) -> None:
        """Grid, checkpoint, anchors and state; each replaces the older one only when complete."""
        t, number = self.training, f"{self.training.pictures // 1000:06d}"
        codes = t.table.codes[torch.from_numpy(self.grid_frames)] if t.table is not None else None
        truth = self.dataset.images[self.grid_frames]
        t.average.synthesis.set_compute(torch.float32)
        picture = sample_grid(t.average, self.grid_z.to(t.device), truth, codes, GRID_COLUMNS)
        write_picture(self.folder / "grids" / f"{number}.png", picture)
        about = {**self.about, "kimg": t.pictures / 1000, "minutes": self.elapsed_s / 60}
        save_checkpoint(self.folder / "checkpoint", t.average, t.discriminator, geometry=self.dataset.geometry,
                        run=about, half=self.options.half)  # fmt: skip
        if t.table is not None:
            save_anchors(self.folder / "anchors.npz", t.table, self.usable)
        save_state(self.folder / "state.safetensors", self.networks, t.optimizers, {"path_mean": t.path_mean},
                   {"pictures": t.pictures, "iteration": t.iteration, "turn": t.turn, "elapsed_s": self.elapsed_s})  # fmt: skip
        print(f"snapshot: {self.folder / 'grids' / number}.png, {self.folder / 'checkpoint'}", flush=True)
