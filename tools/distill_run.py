"""The loop around a student's learning: schedule, progress, snapshots, stopping. Its folder is a run folder like training's."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.checkpoint import save_checkpoint
from tools.distill_prune import Kept
from tools.distill_step import Distilling, psnr
from tools.edit_model import Model
from tools.train_grids import grid_name
from tools.train_outcome import stops_caught
from tools.train_snapshot import (
    append_log,
    load_state,
    random_state,
    save_state,
    set_random_state,
    tiled,
    to_pictures,
    write_picture,
)

COLUMNS = 8
REPORT_S = 5.0
DECAY = 0.5  # the last part of the run, in which the rate falls to nothing
STATE = "state.safetensors"


@dataclass(frozen=True)
class Plan:
    """When it ends (minutes of training, kimg, or whichever is first; one of the two is given), and how often it shows
    itself. half: checkpoints in half precision."""

    minutes: float | None
    kimg: float | None
    snapshot_minutes: float = 4.0
    half: bool = False
    seed: int = 0

    def progress(self, elapsed_s: float, pictures: int) -> float:
        """0..1, how much is done."""
        done = [elapsed_s / 60 / self.minutes] if self.minutes else []
        return max(done + ([pictures / 1000 / self.kimg] if self.kimg else []))


class Run:
    """One run in its folder: checkpoint/, grids/KIMG.png, log.jsonl, state.safetensors."""

    def __init__(self, folder: Path, model: Model, distilling: Distilling, plan: Plan, about: dict[str, Any]):
        self.folder, self.model, self.distilling, self.plan, self.about = folder, model, distilling, plan, about
        self.elapsed_s = 0.0
        self.shown = distilling.latents.held_out(2 * COLUMNS, plan.seed + 1).to(distilling.device)  # [16, num_ws, w_dim]

    def resume(self) -> None:
        """Go on from state.safetensors. Raises ShowError."""
        d = self.distilling
        extra, counters, states = load_state(self.folder / STATE, d.networks(), d.optimizers)
        d.kept = Kept({k.removeprefix("kept."): v for k, v in extra.items() if k.startswith("kept.")})
        d.pictures, d.iteration = int(counters["pictures"]), int(counters["iteration"])
        self.elapsed_s = counters["elapsed_s"]
        set_random_state(states[0], d.device)

    def progress(self) -> float:
        """0..1, how much is done."""
        return self.plan.progress(self.elapsed_s, self.distilling.pictures)

    def train(self) -> bool:
        """To the end, or until Ctrl-C, which keeps a snapshot; True where it came to the end."""
        d = self.distilling
        means: dict[str, float] = {}
        finished = True
        last = mark = time.monotonic()
        counted, kept_at, next_s = d.pictures, -1, self.elapsed_s + self.plan.snapshot_minutes * 60
        with stops_caught():
            try:
                while self.progress() < 1:
                    d.set_lr(min(1.0, max(0.01, (1 - self.progress()) / DECAY)))
                    for name, value in d.step().items():
                        means[name] = value if name not in means else means[name] * 0.95 + value * 0.05
                    now = time.monotonic()
                    self.elapsed_s, last = self.elapsed_s + now - last, now
                    if now - mark > REPORT_S:
                        self.report((d.pictures - counted) / (now - mark), means)
                        counted, mark = d.pictures, now
                    if self.elapsed_s >= next_s:
                        self.snapshot()
                        kept_at = d.pictures
                        next_s = self.elapsed_s + self.plan.snapshot_minutes * 60
                        last = time.monotonic()
            except KeyboardInterrupt:
                finished = False
                print("\nstopped; keeping a snapshot (go on with --resume)", flush=True)
            if d.pictures != kept_at:
                self.snapshot()
        return finished

    def report(self, rate: float, means: dict[str, float]) -> None:
        """One progress line, and the same in log.jsonl."""
        done = max(self.progress(), 1e-6)
        left_s = self.elapsed_s * (1 - done) / done
        kimg = self.distilling.pictures / 1000
        line = {"kimg": round(kimg, 3), "elapsed_s": round(self.elapsed_s, 1), "pictures_per_s": round(rate, 2)}
        append_log(self.folder / "log.jsonl", {**line, **{k: round(v, 4) for k, v in means.items()}})
        text = f"{kimg:8.2f} kimg  {rate:5.1f} img/s  " + " ".join(f"{k} {v:.3f}" for k, v in means.items())
        text += f"  left {left_s / 60:.1f} min"
        print(f"\r{text}\x1b[K" if sys.stdout.isatty() else text, end="" if sys.stdout.isatty() else "\n", flush=True)

    def grid(self) -> NDArray[np.uint8]:
        """Teacher over student, twice COLUMNS pairs: uint8 [4 R, COLUMNS R, C]. The first half of the latents is the
        film's, where there are codes of it."""
        d = self.distilling
        rows: list[NDArray[np.uint8]] = []
        with torch.no_grad():
            for at in range(0, len(self.shown), COLUMNS):
                ws = self.shown[at : at + COLUMNS]
                rows += [to_pictures(d.teacher.synthesis(ws)), to_pictures(d.average.synthesis(ws))]
        return tiled(np.concatenate(rows), COLUMNS)

    def psnr(self, ws: Tensor) -> float:
        """The averaged student against the teacher, dB, on ws [N, num_ws, w_dim]."""
        return psnr(self.distilling.teacher, self.distilling.average, ws.to(self.distilling.device))

    def snapshot(self) -> None:
        """Grid, checkpoint and state; each replaces the older one only when complete."""
        d = self.distilling
        grid = self.folder / "grids" / grid_name(d.pictures)
        write_picture(grid, self.grid())
        value = self.psnr(self.shown)
        append_log(self.folder / "log.jsonl", {"kimg": round(d.pictures / 1000, 3), "elapsed_s": round(self.elapsed_s, 1),
                                               "psnr_db": round(value, 3)})  # fmt: skip
        about = {**self.about, "kimg": d.pictures / 1000, "minutes": self.elapsed_s / 60}
        judge = d.judge if d.judge is not None else self.model.discriminator
        save_checkpoint(self.folder / "checkpoint", d.average, judge, geometry=self.model.geometry, run=about,
                        licence=self.model.licence, half=self.plan.half)  # fmt: skip
        maps = {f"kept.{k}": v for k, v in d.kept.maps.items()}
        save_state(self.folder / STATE, d.networks(), d.optimizers, maps,
                   {"pictures": d.pictures, "iteration": d.iteration, "elapsed_s": self.elapsed_s},
                   [random_state(d.device)])  # fmt: skip
        print(f"snapshot: {grid} (teacher over student), {value:.1f} dB, {self.folder / 'checkpoint'}", flush=True)
