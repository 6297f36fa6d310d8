"""The loop around one training run: schedule, progress, snapshots, measurements, stopping."""

from __future__ import annotations

import argparse
import shlex
import signal
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.checkpoint import save_checkpoint
from player.show.problem import ShowError
from tools.train_anchored import AnchoredTraining
from tools.train_anchors import save_anchors
from tools.train_dataset import Dataset
from tools.train_display import Board, Display, duration
from tools.train_grids import grid_name
from tools.train_machine import memory_mib
from tools.train_snapshot import (
    append_log,
    load_state,
    plain_grid,
    random_state,
    sample_grid,
    save_state,
    set_random_state,
    tiled,
    write_picture,
)
from tools.train_step import Training

ANCHORED_COLUMNS = 8
REPORT_S = 5.0  # between lines; long runs grow it, so that a log of days stays readable
STOPPED = 130


@dataclass(frozen=True)
class Grid:
    """How a sample grid is laid out, in pictures."""

    columns: int
    rows: int


def grid_for(resolution: int, anchored: bool) -> Grid:
    """Plain runs show as many as a screen holds; anchored ones 8 columns of frames and samples."""
    if anchored:
        return Grid(ANCHORED_COLUMNS, 2)
    columns = 16 if resolution <= 64 else 8 if resolution <= 512 else 4
    return Grid(columns, columns // 2)


class StopSignals:
    """SIGINT and SIGTERM ask for a stop after the iteration that runs, so that a snapshot never holds half a one; a later
    one interrupts at once, unless `patient`: torchrun passes on what the terminal has sent already. A run started in the
    background by a script has SIGINT ignored, and a service manager sends SIGTERM: both must keep a snapshot.

    measuring: set while a measurement runs, which takes minutes and of which nothing is kept: the first signal ends it."""

    def __init__(self, patient: bool = False) -> None:
        self.asked, self.patient, self.measuring, self._heard_s = False, patient, False, 0.0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            self._before = {int(n): signal.signal(n, self._heard) for n in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _heard(self, _number: int, _frame: FrameType | None) -> None:
        if self.asked and not self.patient and time.monotonic() - self._heard_s > 1:
            raise KeyboardInterrupt
        self._heard_s = self._heard_s if self.asked else time.monotonic()
        self.asked = True
        if self.measuring:
            self.measuring = False
            raise KeyboardInterrupt


class Run:
    """The loop around Training.step. With several processes all run it in step; the first writes and speaks.

    about: what the checkpoint says of the run. elapsed_s: trained so far.
    """

    def __init__(self, options: argparse.Namespace, folder: Path, dataset: Dataset, usable: NDArray[np.bool_],
                 training: Training, about: Mapping[str, Any]):  # fmt: skip
        self.options, self.folder, self.dataset, self.usable = options, folder, dataset, usable
        self.training, self.workers, self.about = training, training.workers, dict(about)
        self.elapsed_s = 0.0
        self.table = training.table if isinstance(training, AnchoredTraining) else None
        self.networks: dict[str, Any] = {"generator": training.generator, "average": training.average,
                                         "discriminator": training.discriminator}  # fmt: skip
        if self.table is not None:
            self.networks["codes"] = self.table
        config = training.generator.config
        self.grid = grid_for(config.resolution, self.table is not None)
        chooser = torch.Generator().manual_seed(options.seed + 1)
        count = self.grid.columns * self.grid.rows
        self.grid_z = torch.randn(count, config.z_dim, generator=chooser).to(training.device)  # [M, z_dim], fixed
        known = np.flatnonzero(training.pure if isinstance(training, AnchoredTraining) else usable)
        many = 3 * ANCHORED_COLUMNS if self.table is not None else count
        self.grid_frames = known[np.linspace(0, len(known) - 1, many).round().astype(int)]  # spread over the film
        self.grid_c = None if training.labels is None else training.labels[torch.from_numpy(self.grid_frames)]
        self.board: Board | None = None

    def resume(self) -> None:
        """Go on from RUN/state.safetensors. Raises ShowError where it does not fit."""
        t = self.training
        extra, counters, states = load_state(self.folder / "state.safetensors", self.networks, t.optimizers)
        t.path_mean = extra["path_mean"].to(t.device)
        t.signs.copy_(extra["signs"])
        t.set_p(float(extra["p"]))
        t.pictures, t.iteration, t.turn = (int(counters[k]) for k in ("pictures", "iteration", "turn"))
        t.sampler.position = int(counters["position"])
        self.elapsed_s = counters["elapsed_s"]
        if self.workers.rank < len(states):
            set_random_state(states[self.workers.rank], t.device)
        if self.workers.first and len(states) != self.workers.count:
            counts = f"{len(states)} processes trained so far, now {self.workers.count}"
            print(f"{counts}: the run goes on, but not as it would have")

    def progress(self) -> float:
        """0..1, how much of the asked time or pictures is done."""
        o = self.options
        done = [self.elapsed_s / 60 / o.minutes] if o.minutes else []
        done += [self.training.pictures / 1000 / o.kimg] if o.kimg else []
        return max(done)

    def train(self) -> int:
        """Train to the end: 0. Ctrl-C or SIGTERM keep a snapshot and return 130."""
        o, t = self.options, self.training
        title = f"{self.dataset.source} {t.generator.config.resolution}x{t.generator.config.resolution}"
        with StopSignals(patient=self.workers.count > 1) as stop, Display(title, quiet=not self.workers.first) as display:
            self.display = display
            if self.progress() >= 1:
                display.say(f"{self.folder} has reached its end already; give more --minutes or --kimg")
                return 0
            if o.tensorboard and self.workers.first:
                self.board = Board(self.folder / "tensorboard")
            if not t.pictures:
                self.first_grids()
            stopped = self.loop(stop)
            self.snapshot()
            unmeasured = not stopped and o.metrics != "none" and not self.measure(stop)
            if stopped or unmeasured or o.metrics == "none":
                self.write_page()
            if self.board is not None:
                self.board.close()
            # None leaves before all is written, and all leave alike.
            unmeasured = bool(self.workers.most(float(unmeasured and stop.asked))[0])
            dataset, folder = shlex.quote(str(o.dataset)), shlex.quote(str(self.folder))
            if stopped:
                display.say(f"stopped; go on with: cineml gan train {dataset} -o {folder} --resume")
            elif unmeasured:
                display.say(f"trained to the end, not measured; measure with: cineml gan metrics {folder} {dataset} --report")
            return STOPPED if stopped or unmeasured else 0

    def loop(self, stop: StopSignals) -> bool:
        """Iterate to the end; True where it was stopped before."""
        o, t = self.options, self.training
        last = mark = time.monotonic()
        begun_s = self.elapsed_s
        tick_s, snapshot_s, metrics_s = o.tick_minutes * 60, o.snapshot_minutes * 60, o.metrics_minutes * 60
        counted, means = t.pictures, dict[str, Tensor]()
        while self.progress() < 1:
            # The rate falls at the end, so that codes and averaged generator meet.
            t.set_lr(min(1.0, max(0.02, (1 - self.progress()) / o.decay)) if o.decay else 1.0)
            warm = t.pictures / 1000 / o.warmup if o.warmup else 1.0
            for name, value in t.step(min(1.0, warm)).items():
                means[name] = value.lerp(means[name], 0.95) if name in means else value
            now = time.monotonic()
            before_s = self.elapsed_s
            asked, self.elapsed_s = self.workers.most(float(stop.asked), self.elapsed_s + now - last)
            last = now
            due = now - mark > min(60.0, max(REPORT_S, self.elapsed_s / 200))
            if due or asked or self.progress() >= 1:  # the last line too: a run of seconds has a course
                self.report((t.pictures - counted) / (now - mark), means)
                counted, mark = t.pictures, now
            if asked:
                return True
            if self.progress() >= 1:
                break
            passed = [int((self.elapsed_s - begun_s) // s) > int((before_s - begun_s) // s) if s else False
                      for s in (snapshot_s, tick_s, metrics_s)]  # fmt: skip
            if passed[0]:
                self.snapshot()
            elif passed[1]:
                self.write_grid()
            if passed[2] and o.metrics != "none":
                self.measure(stop)
            if any(passed):
                last = time.monotonic()  # what is written or measured is no training time
                mark += last - now
        return False

    def report(self, rate: float, means: Mapping[str, Tensor]) -> None:
        """One line for the log and the display."""
        if not self.workers.first:
            return
        t = self.training
        done = max(self.progress(), 1e-6)
        memory = memory_mib(t.device)
        line: dict[str, Any] = {"kimg": round(t.pictures / 1000, 3), "elapsed_s": round(self.elapsed_s, 1),
                                "pictures_per_s": round(rate, 2), "memory_mib": round(memory)}  # fmt: skip
        line |= {name: round(float(value), 4) for name, value in means.items()}
        if t.augment is not None:
            line["p"] = round(t.p, 5)
        append_log(self.folder / "log.jsonl", line)
        if self.board is not None:
            self.board.numbers(line, "train")
        where = "GPU" if t.device.type == "cuda" else "memory"
        self.display.show(line, done, self.elapsed_s * (1 - done) / done, f"{where} {memory / 1024:.1f} GiB")

    def first_grids(self) -> None:
        """The grid before training, and (plain) reals.png: as many real pictures in the same layout."""
        self.write_grid()
        if self.table is None and self.workers.first:
            write_picture(self.folder / "reals.png", tiled(self.dataset.images[self.grid_frames], self.grid.columns))

    def write_grid(self) -> Path:
        """grids/KIMG.png of the averaged generator."""
        t = self.training
        path = self.folder / "grids" / grid_name(t.pictures)
        if not self.workers.first:
            return path
        t.average.synthesis.set_compute(torch.float32)
        if self.table is None:
            picture = plain_grid(t.average, self.grid_z, self.grid_c, self.grid.columns)
        else:
            film = t.film if isinstance(t, AnchoredTraining) else self.dataset
            codes = self.table.codes[torch.from_numpy(self.grid_frames).to(t.device)]
            picture = sample_grid(t.average, self.grid_z, film.images[self.grid_frames], codes, self.grid.columns)
        write_picture(path, picture)
        if self.board is not None:
            self.board.grid(picture, t.pictures)
        return path

    def snapshot(self) -> None:
        """Grid, checkpoint, anchors and state; each replaces the older one only when complete."""
        t = self.training
        states = self.workers.gathered(random_state(t.device))
        if not self.workers.first:
            return
        path = self.write_grid()
        about = {**self.about, "kimg": t.pictures / 1000, "minutes": self.elapsed_s / 60, "augment_p": t.p}
        save_checkpoint(self.folder / "checkpoint", t.average, t.discriminator, geometry=self.dataset.geometry,
                        run=about, half=self.options.half)  # fmt: skip
        if isinstance(t, AnchoredTraining):
            save_anchors(self.folder / "anchors.npz", t.table, t.pure)
        save_state(self.folder / "state.safetensors", self.networks, t.optimizers,
                   {"path_mean": t.path_mean, "signs": t.signs, "p": torch.tensor(t.p, dtype=torch.float64)},
                   {"pictures": t.pictures, "iteration": t.iteration, "turn": t.turn, "position": t.sampler.position,
                    "elapsed_s": self.elapsed_s}, states)  # fmt: skip
        self.display.say(f"snapshot: {path}, {self.folder / 'checkpoint'}")

    def measure(self, stop: StopSignals) -> bool:
        """Metrics of the averaged generator into metrics.jsonl, and the report anew. Random state is left alone.

        Returns whether that was done; a signal ends it, and is then heeded as it is after any iteration.
        """
        done = False
        if self.workers.first:
            self.training.average.synthesis.set_compute(torch.float32)
            stop.measuring = True
            try:
                try:
                    done = not stop.asked and self.measured()
                finally:
                    stop.measuring = False
            except KeyboardInterrupt:
                if not stop.asked:
                    raise
                self.display.say("stopped measuring; what is trained is kept")
                for part in self.folder.glob("*.part"):
                    part.unlink(missing_ok=True)
        return bool(self.workers.most(float(done))[0])

    def measured(self) -> bool:
        """The measurement itself; False where there is nothing to measure with."""
        from tools.train_measure import measured

        begun = time.monotonic()
        try:
            line = measured(self.training, self.dataset, self.usable, self.folder, self.options, self.elapsed_s)
        except ShowError as error:  # a measurement that fails is no reason to lose a training
            self.display.say(f"not measured: {error}")
            return False
        numbers = " ".join(f"{k} {v:.4g}" for k, v in line.items() if k not in ("kimg", "elapsed_s"))
        self.display.say(f"measured in {duration(time.monotonic() - begun)}: {numbers}; {self.folder / 'report.html'}")
        if self.board is not None:
            self.board.numbers(line, "metrics")
        return True

    def write_page(self) -> None:
        """report.png and report.html without a measurement: the course of a run is wanted most when it did not end well."""
        if not self.workers.first:
            return
        from tools.train_report import write_report

        try:
            write_report(self.folder)
        except (ShowError, OSError, ImportError) as error:  # of matplotlib; the training is kept already
            self.display.say(f"no report: {error}")
