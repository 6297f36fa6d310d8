"""The loop around a stylizer's training: schedule, progress, previews, snapshots, stopping."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from models.stylizer import Stylizer
from models.stylizer_checkpoint import save_stylizer
from player.show.problem import Problem, ShowError
from tools.style_train_options import STATE
from tools.style_train_step import NotFiniteError, Training
from tools.train_display import duration
from tools.train_run import STOPPED, StopSignals
from tools.train_snapshot import append_log, load_state, random_state, save_state, write_picture
from tools.whole_file import writing

Pixels = NDArray[np.uint8]
REPORT_S = 10.0
SHOWN = 3  # frames of a preview
PREVIEW_PX = 400  # width of a picture in it
LABEL_PX, GAP_PX = 18, 4
GROUND, INK = (18, 18, 18), (235, 235, 235)


@dataclass(frozen=True)
class Plan:
    """When the run ends, one of the two, and how often it shows itself."""

    steps: int | None
    minutes: float | None
    snapshot_steps: int = 500


@torch.no_grad()
def stylised(net: Stylizer, picture: Pixels, weights: Sequence[float]) -> Pixels:
    """A picture uint8 [H, W, 3] through a network in evaluation mode, the styles in these shares."""
    device = next(net.parameters()).device
    image = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].to(device).float() / 255  # [1, 3, H, W]
    made = net(image, torch.tensor([list(weights)], dtype=torch.float32, device=device))  # [1, 3, H, W]
    return np.asarray((made[0] * 255).round().byte().permute(1, 2, 0).cpu().numpy(), np.uint8)


def one_of(styles: int, index: int) -> list[float]:
    """Shares in which one style is all."""
    return [float(i == index) for i in range(styles)]


def strip(columns: Sequence[tuple[str, Sequence[Pixels]]]) -> Pixels:
    """Pictures in labelled columns, brought down to PREVIEW_PX: uint8 [H, W, 3]."""
    height, width = columns[0][1][0].shape[:2]
    wide = min(PREVIEW_PX, width)
    high = max(1, round(height * wide / width))
    rows = len(columns[0][1])
    sheet = Image.new("RGB", (len(columns) * (wide + GAP_PX) - GAP_PX, LABEL_PX + rows * (high + GAP_PX) - GAP_PX), GROUND)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for i, (name, pictures) in enumerate(columns):
        pen.text((i * (wide + GAP_PX) + 2, 1), name, INK, font)
        for k, picture in enumerate(pictures):
            small = Image.fromarray(picture).resize((wide, high), Image.Resampling.LANCZOS)
            sheet.paste(small, (i * (wide + GAP_PX), LABEL_PX + k * (high + GAP_PX)))
    return np.asarray(sheet, np.uint8)


class Run:
    """The loop around Training.step. about: what the checkpoint says of the run. elapsed_s: trained so far."""

    def __init__(self, folder: Path, training: Training, plan: Plan, about: Mapping[str, Any]) -> None:
        self.folder, self.training, self.plan, self.about = folder, training, plan, dict(about)
        self.elapsed_s, self.kept_at = 0.0, -1
        count = len(training.lesson.frames)
        self.shown = sorted({(2 * i + 1) * count // (2 * min(SHOWN, count)) for i in range(min(SHOWN, count))})

    def resume(self) -> None:
        """Go on from the run's state. Raises ShowError where it does not fit."""
        t = self.training
        _, counters, _ = load_state(self.folder / STATE, t.networks(), t.optimizers)
        t.step_number, self.elapsed_s = int(counters["step"]), counters["elapsed_s"]
        self.kept_at = t.step_number

    def progress(self) -> float:
        """0..1, how much of the asked steps or minutes is done."""
        if self.plan.steps is not None:
            return self.training.step_number / self.plan.steps
        return self.elapsed_s / 60 / (self.plan.minutes or 1)

    def train(self) -> int:
        """Train to the end: 0. Ctrl-C or SIGTERM keep a snapshot and return 130. Raises ShowError where a loss is no number;
        the last snapshot stays."""
        t = self.training
        if self.progress() >= 1:
            print(f"{self.folder} has reached its end already; give more --steps or --minutes", flush=True)
            return 0
        begun = t.step_number
        with StopSignals() as stop:
            last = mark = time.monotonic()
            counted, means = begun, dict[str, float]()
            while self.progress() < 1 and not stop.asked:
                try:
                    losses = t.step(self.progress())
                except NotFiniteError as error:
                    raise ShowError(self.lost(str(error))) from None
                for name, value in losses.items():
                    means[name] = 0.95 * means.get(name, value) + 0.05 * value
                now = time.monotonic()
                self.elapsed_s, last = self.elapsed_s + now - last, now
                if now - mark > REPORT_S or self.progress() >= 1 or stop.asked:
                    self.report((t.step_number - counted) / max(now - mark, 1e-9), means)
                    counted, mark = t.step_number, now
                if t.step_number % self.plan.snapshot_steps == 0:
                    self.keep()
                    last = time.monotonic()  # what is written is no training time
            if t.step_number != self.kept_at:
                self.keep()
            if stop.asked and self.progress() < 1:
                print(f"stopped; {self.folder} goes on with the same command and --resume", flush=True)
                return STOPPED
        return 0

    def keep(self) -> None:
        """A snapshot, of weights with which the next step is sound: one that is not would come again with every --resume,
        whatever --lr, and the older snapshot would be gone. Raises ShowError."""
        try:
            self.training.check(self.progress())
        except NotFiniteError as error:
            raise ShowError(self.lost(str(error))) from None
        self.snapshot()

    def lost(self, what: str) -> Problem:
        """A loss that is no number, said with what is kept."""
        at = self.training.step_number
        kept = f"the snapshot of step {self.kept_at} is kept" if self.kept_at >= 0 else "no snapshot was made before"
        given = f"is not a finite number any more at step {at + 1} ({what}); {kept}"
        again = "--resume with a smaller --lr" if self.kept_at >= 0 else "the same command with a smaller --lr"
        return Problem("the loss", given, "", again)

    def report(self, rate: float, means: Mapping[str, float]) -> None:
        """One progress line, and the same in log.jsonl."""
        done = max(self.progress(), 1e-6)
        left_s = self.elapsed_s * (1 - done) / done
        step = self.training.step_number
        line = {"step": step, "elapsed_s": round(self.elapsed_s, 1), "steps_per_s": round(rate, 3)}
        append_log(self.folder / "log.jsonl", {**line, **{k: round(v, 6) for k, v in means.items()}})
        text = f"step {step}  {rate:.2f} a second  " + " ".join(f"{k} {v:.4f}" for k, v in means.items())
        text += f"  {duration(left_s)} left"
        print(f"\r{text}\x1b[K" if sys.stdout.isatty() else text, end="" if sys.stdout.isatty() else "\n", flush=True)

    def preview(self) -> Pixels:
        """Frames, the teacher's pictures, and the averaged network's, style by style; where there are two styles or more, half
        and half of the first two as well."""
        t = self.training
        names = t.net.config.styles
        frames = [np.ascontiguousarray(t.lesson.frames[i, 0].permute(1, 2, 0).cpu().numpy()) for i in self.shown]
        columns: list[tuple[str, list[Pixels]]] = [("film", frames)]
        for s, name in enumerate(names):
            if t.lesson.truth is not None:
                truth = [t.lesson.truth[s, i].permute(1, 2, 0).cpu().numpy() for i in self.shown]
                columns.append((f"{name}: teacher", truth))
            made = [stylised(t.average, f, one_of(len(names), s)) for f in frames]
            columns.append((f"{name}: network", made))
        if len(names) > 1:
            half = [0.5, 0.5, *[0.0] * (len(names) - 2)]
            columns.append((f"{names[0]} + {names[1]}", [stylised(t.average, f, half) for f in frames]))
        return strip(columns)

    def snapshot(self) -> None:
        """Preview, checkpoint and state; each replaces the older one only when whole. Raises ShowError."""
        t = self.training
        path = self.folder / "previews" / f"{t.step_number:07d}.png"
        with writing(self.folder):
            write_picture(path, self.preview())
            length = {"steps": t.step_number, "minutes": round(self.elapsed_s / 60, 2)}
            about = {**self.about, "run": self.about["run"] | length}
            save_stylizer(self.folder / "checkpoint", t.average, t.net.config, about)
            save_state(self.folder / STATE, t.networks(), t.optimizers, {},
                       {"step": t.step_number, "elapsed_s": self.elapsed_s}, [random_state(t.device)])  # fmt: skip
        self.kept_at = t.step_number
        print(f"{chr(13) if sys.stdout.isatty() else ''}snapshot: {path}, {self.folder / 'checkpoint'}", flush=True)
