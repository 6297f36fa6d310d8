"""A projection from its first sample to its files: units one after another, each kept when it is done, then the outputs."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import numpy.typing as npt
import torch

from player.progress import Progress
from player.show.cut_list import CutList, read_csv
from player.show.problem import Problem, ShowError
from tools.project_fit import FitOptions, Fitted, Stopped, Subject, fit
from tools.project_losses import Likeness, Targets
from tools.project_model import Model, Spread, model_at, spread_of
from tools.project_record import keep_unit, kept_unit, open_work
from tools.project_source import Pictures, pictures_at, square_geometry
from tools.project_start import Bank, anchors_for, bank_of, between_start, load_bank, save_bank, start_codes
from tools.project_units import (
    Unit,
    between,
    checked_shots,
    clean_share,
    coarse_of,
    numbers_to_read,
    picture_units,
    shot_units,
    without_fade,
)
from tools.project_vgg import Vgg, read_vgg
from tools.remap_fit import carried_on
from tools.remap_model import is_other, mixing_problems
from tools.remap_score import existing_score
from tools.whole_file import sha256_of

SCORE = "score.toml"
FINE_STEPS = 0.5  # of the steps, for a shot's second pass, which starts from frames that are found already


@dataclass(frozen=True)
class Project:
    """One projection as it was asked for. cuts with shots: the frames of a shot are sought together.

    batch: pictures at a time. features, vgg_gain: weights beside the pyramid's 1. anchors: "auto", "none" or a file.
    """

    model: Path
    source: Path
    output: Path
    fit: FitOptions
    batch: int = 4
    shots: bool = False
    cuts: Path | None = None
    start: str | None = None
    end: str | None = None
    every: int = 1
    bank: int = 2000
    anchors: str = "auto"
    features: float = 0.1
    vgg: Path | None = None
    vgg_gain: float = 1.0
    synthesis: Path | None = None
    sheet: int = 48
    pictures: bool = False
    again: bool = False
    device: str = "cpu"


@dataclass(frozen=True)
class Job:
    """A projection with all its input read."""

    project: Project
    model: Model
    pictures: Pictures
    geometry: dict[str, list[int]]
    cuts: CutList | None
    units: tuple[Unit, ...]
    likeness: Likeness
    anchors: npt.NDArray[np.float32] | None
    asked: dict[str, Any]
    work: Path
    device: torch.device

    @property
    def inner(self) -> tuple[int, int, int, int]:
        return self.likeness.inner

    @property
    def key(self) -> str:
        """What kept states belong to."""
        return hashlib.sha256(repr(self.asked).encode()).hexdigest()


@dataclass(frozen=True)
class Outcome:
    """What a run has: results by unit name, those fitted in this run, and whether all are there."""

    done: dict[str, Fitted] = field(default_factory=dict)
    fresh: tuple[str, ...] = ()
    finished: bool = False


def read_job(project: Project) -> Job:
    """Everything a projection needs, checked against what OUT holds already. Raises ShowError."""
    device = torch.device(project.device)
    model = model_at(project.model)
    config = model.generator.config
    pictures = pictures_at(project.source)
    geometry = square_geometry(model.geometry, pictures, config.resolution)
    cuts = read_csv(project.cuts) if project.cuts is not None and project.shots else None
    if cuts is not None:
        checked_shots(cuts, pictures, str(project.cuts))
    numbers = pictures.chosen(project.start, project.end, project.every if cuts is None else 1,
                              None if cuts is None else cuts.rate)  # fmt: skip
    units = picture_units(numbers, project.batch) if cuts is None else shot_units(cuts, numbers, project.every)
    if cuts is not None:
        check_score(project, model, {u.shot.number for u in units if u.shot is not None})  # now, not after hours
    vgg: Vgg | None = None if project.vgg is None else read_vgg(project.vgg).to(device)
    discriminator = model.discriminator if project.features else None
    if discriminator is not None and discriminator.config.channels != config.channels:
        discriminator = None
    anchors = anchors_for(project.anchors, project.model, model, pictures)
    model.generator.to(device)
    if discriminator is not None:
        discriminator.to(device)
    asked = {
        "options": asdict(project.fit) | {
            "shots": project.shots, "start": project.start, "end": project.end, "every": project.every,
            "batch": project.batch, "bank": project.bank, "features": project.features, "vgg_gain": project.vgg_gain},
        "inputs": {
            "model": model.sha256, "pictures": pictures.sha256(),
            "cuts": "" if cuts is None else hashlib.sha256(repr(cuts.shots).encode()).hexdigest(),
            "vgg": vgg.sha256 if vgg is not None else "",
            "discriminator": discriminator is not None,
            "anchors": "" if anchors is None else hashlib.sha256(anchors.tobytes()).hexdigest()}}  # fmt: skip
    work = open_work(project.output, asked, project.again)
    x, y, w, h = geometry["inner"]
    likeness = Likeness((x, y, w, h), discriminator, project.features, vgg, project.vgg_gain)
    return Job(project, model, pictures, geometry, cuts, tuple(units), likeness, anchors, asked, work, device)


def played_sha256(project: Project, model: Model) -> str:
    """Of the synthesis.onnx that will play the score, '' where there is none yet."""
    return sha256_of(project.synthesis) if project.synthesis is not None else model.synthesis_sha256


def check_score(project: Project, model: Model, done: set[int]) -> None:
    """Raises ShowError where the score that is there is unsound, as it may hold a person's work, or where it would keep walks
    of another model beside the shots that are `done` now."""
    old = existing_score(project.output / SCORE)
    if old is None or not is_other(old, model.weights_sha256, played_sha256(project, model)):
        return
    done -= {s.number for s in old.shots if s.lock}
    if found := mixing_problems(old, project.output / SCORE, project.model, done, {}, {}):
        raise ShowError(found)


def run(job: Job, stop: Callable[[], bool], out: TextIO | None = None) -> Outcome:
    """Fit every unit that is not done. stop() is asked often; True keeps what is there and returns, finished False.
    out: where progress goes, stderr by default. Raises ShowError for pictures that cannot be read.
    """
    project, out = job.project, out or sys.stderr
    found = {unit.name: kept_unit(job.work / f"{unit.name}.npz", len(unit.numbers)) for unit in job.units}
    done = {name: one for name, one in found.items() if one is not None}
    todo = [unit for unit in job.units if unit.name not in done]
    if not todo:
        return Outcome(done, (), True)
    if done:
        out.write(f"{len(done)} of {len(job.units)} pieces are done already\n")
    fresh: list[str] = []
    try:
        spread = spread_of(job.model.generator, seed=project.fit.seed)
        bank = _bank(job, spread, stop, out)
        progress = Progress(sum(_cost(job, unit) for unit in todo), "picture steps", out)
        spent = 0

        def tell(count: int) -> None:
            nonlocal spent
            if count < 0:
                progress.total += count  # an earlier run's work: it would flatter the rate
            else:
                spent += count
                progress.at(spent)

        reader = job.pictures.squares(numbers_to_read(todo), job.geometry, job.model.generator.config.resolution,
                                      job.model.generator.config.channels)  # fmt: skip
        for unit in todo:
            one = _unit(job, unit, _read(job, unit, reader), spread, bank, stop, tell)
            keep_unit(job.work / f"{unit.name}.npz", one)
            for rest in job.work.glob(f"{unit.name}.*.npz"):  # states and the coarse pass: no longer needed
                rest.unlink()
            done[unit.name] = one
            fresh.append(unit.name)
            out.write(("\r\x1b[K" if out.isatty() else "") + _line(job, unit, one) + "\n")
    except Stopped:
        return Outcome(done, tuple(fresh), False)
    progress.done(f"{len(fresh)} pieces")
    return Outcome(done, tuple(fresh), True)


def _cost(job: Job, unit: Unit) -> int:
    """Picture steps of a unit, both passes of a shot counted."""
    count, steps = int(unit.fitted.sum()), job.project.fit.steps
    coarse = _coarse(job, unit)
    return count * steps if coarse is None else len(coarse) * steps + count * _fine_steps(job.project.fit)


def _coarse(job: Job, unit: Unit) -> npt.NDArray[np.int64] | None:
    """Which of a shot's frames are found first; None: all at once, as they are few, or known from training."""
    count = int(unit.fitted.sum())
    coarse = coarse_of(count)
    return None if unit.shot is None or job.anchors is not None or len(coarse) == count else coarse


def _fine_steps(options: FitOptions) -> int:
    return round(options.steps * FINE_STEPS)


def _line(job: Job, unit: Unit, f: Fitted) -> str:
    """What a person reads when a unit is done."""
    names = [job.pictures.name(int(n)) for n in (unit.numbers[0], unit.numbers[-1])]
    what = f"shot {unit.shot.number}" if unit.shot is not None else "pictures"
    return (f"{what} {names[0]} to {names[1]}: unlike {np.nanmean(f.start_loss):.3f} -> {np.nanmean(f.loss):.3f}, "
            f"PSNR {np.nanmean(f.psnr):.1f} dB, {f.seconds / max(1, int(unit.fitted.sum())):.1f} s a picture")  # fmt: skip


def _bank(job: Job, spread: Spread, stop: Callable[[], bool], out: TextIO) -> Bank:
    """The samples to start from, rendered or as they were kept."""
    path = job.work / "bank.npz"
    bank = load_bank(path, job.key, job.device)
    if bank is not None:
        return bank
    progress = Progress(job.project.bank + 1, "samples", out)

    def tell(count: int) -> None:
        if stop():
            raise Stopped
        progress.at(count)

    bank = bank_of(job.model, spread, job.project.bank, job.inner, job.project.batch, tell)
    save_bank(path, bank, job.key)
    progress.done(f"{job.project.bank + 1} samples to start from")
    return bank


def _read(job: Job, unit: Unit, reader: Iterator[tuple[int, npt.NDArray[np.uint8]]]) -> npt.NDArray[np.uint8]:
    """The pictures that a unit looks at, [n, C, R, R] uint8, fades undone for a shot."""
    squares = []
    for number in unit.looked_at:
        got, square = next(reader)
        assert got == number
        squares.append(square if job.cuts is None else without_fade(job.cuts, int(number), square))
    return np.stack(squares)


def _unit(job: Job, unit: Unit, images: npt.NDArray[np.uint8], spread: Spread, bank: Bank, stop: Callable[[], bool],
          tell: Callable[[int], None]) -> Fitted:  # fmt: skip
    """One unit fitted: a shot first at every eighth frame, then all, and what it does not look at carried on."""
    options = job.project.fit
    looked_at, together = unit.looked_at, unit.shot is not None
    weight = np.ones(len(looked_at), np.float32)
    if job.cuts is not None and unit.shot is not None:
        weight[:] = [clean_share(job.cuts, unit.shot, int(n)) or 1.0 for n in looked_at]
    known = None if job.anchors is None else job.anchors[looked_at]

    def start(chosen: npt.NDArray[np.int64]) -> torch.Tensor:
        codes = start_codes(job.model, spread, bank, images[chosen], job.inner, job.project.batch,
                            None if known is None else known[chosen], together)  # fmt: skip
        return codes[:, None]  # [n, 1, w_dim]

    def fitted_to(chosen: npt.NDArray[np.int64], first: torch.Tensor, asked: FitOptions, name: str) -> Fitted:
        targets = Targets(images[chosen], job.likeness, job.project.batch, job.device)
        subject = Subject(targets, looked_at[chosen], weight[chosen], together)
        state = job.work / f"{unit.name}.{name}state.npz"
        return fit(job.model.generator, spread, subject, first, asked, state, job.key, stop, tell)

    every = np.arange(len(looked_at))
    coarse = _coarse(job, unit)
    if coarse is None:
        found = fitted_to(every, start(every), options, "")
    else:
        kept = kept_unit(job.work / f"{unit.name}.coarse.npz", len(coarse))
        if kept is None:
            rough = fitted_to(coarse, start(coarse), options, "coarse_")
            keep_unit(job.work / f"{unit.name}.coarse.npz", rough)
        else:
            rough = kept
            tell(-len(coarse) * options.steps)
        near = np.searchsorted(coarse, every, side="right") - 1  # [n], the found frame before each
        far = np.minimum(near + 1, len(coarse) - 1)  # [n], and the one after
        choices = (between(looked_at, looked_at[coarse], rough.w), rough.w[near], rough.w[far])
        lines, before, after = (torch.from_numpy(codes).to(job.device) for codes in choices)  # [n, rows, w_dim] each
        first = between_start(job.model, spread, bank, images, job.inner, job.project.batch, lines, before, after)
        fine = replace(options, steps=_fine_steps(options), wander=0.0)
        found = fitted_to(every, first, fine, "")
        found = replace(found, seconds=found.seconds + rough.seconds)
    return found if unit.fitted.all() else _carried(unit, found)


def _carried(unit: Unit, found: Fitted) -> Fitted:
    """The codes of all of a unit's pictures: those that were not looked at go on as the codes beside them moved."""
    shape = (len(unit.numbers), *found.w.shape[1:])
    codes = np.zeros((shape[0], shape[1] * shape[2]))
    codes[unit.fitted] = found.w.reshape(len(found.w), -1)
    w = carried_on(codes, unit.fitted).reshape(shape).astype(np.float32)

    def spaced(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        full = np.full(shape[0], np.nan, np.float32)
        full[unit.fitted] = values
        return full

    return Fitted(w, spaced(found.loss), spaced(found.psnr), spaced(found.start_loss), found.noise,
                  found.seconds)  # fmt: skip


def checked(project: Project) -> None:
    """Raise ShowError, every problem at once, for options that cannot be meant."""
    o, found = project.fit, []
    whole: Sequence[tuple[str, int]] = (("--steps", o.steps), ("--batch", project.batch), ("--every", project.every))
    found += [Problem(name, str(value), "a whole number from 1 up") for name, value in whole if value < 1]
    weights = {"--rate": o.rate, "--wander": o.wander, "--prior": o.prior, "--apart": o.apart, "--smooth": o.smooth,
               "--features": project.features, "--vgg-gain": project.vgg_gain}  # fmt: skip
    for name, number in weights.items():
        if not 0 <= number < 1e6 or (name == "--rate" and number == 0):
            found.append(Problem(name, f"{number:g}", "a number above 0" if name == "--rate" else "0 or more"))
    if project.shots and project.cuts is None:
        found.append(Problem("--shots", "needs to know the shots", "--cuts CUTS.csv beside it"))
    if project.device != "cpu" and not torch.cuda.is_available():
        found.append(Problem("--device", f"{project.device}: torch sees no such device", "cpu"))
    if found:
        raise ShowError(found)
