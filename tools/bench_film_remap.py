"""`cineml bench film`, the remap's part: the demo film with the demo model, beside the nearest of 500 samples and the classic
projection of each frame by itself, all measured alike in features that none of them has used.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from player.show.score import read_score
from tools.bench import Row, table
from tools.metrics_encoder import EncoderSettings
from tools.project_fit import FitOptions, Subject, fit
from tools.project_losses import Likeness, Targets
from tools.project_model import Spread, spread_of
from tools.remap import Remap, run
from tools.remap_fit import render
from tools.remap_job import Job, read_job
from tools.remap_judge import Ruler, as_bytes, judged, measured, ruler_of, steps_of
from tools.remap_measure import ShotMeasure, Summary, summary_of

DEMO = Path(__file__).resolve().parents[1] / "show_configs" / "demo"
BANK = 500
SMALL_PX = 16  # in which the nearest sample is sought
PROJECTED_SHOTS = 3  # of medium motion: projecting the whole film frame by frame takes days
PROJECTED_PAIRS, PROJECT_STEPS, AT_ONCE = 4, 150, 4
LEAST_MOTION, MOST_MOTION, LEAST_CORRELATION = 0.8, 1.2, 0.6


@dataclass(frozen=True)
class Case:
    """What is remapped. score: a finished one, None to make it; settings: of the encoder that measures."""

    film: Path = DEMO / "film.mp4"
    cuts: Path = DEMO / "cuts.csv"
    model: Path = DEMO / "models"
    anchors: Path | None = DEMO / "checkpoint" / "anchors.npz"
    score: Path | None = None
    minutes: float = 20.0
    project_steps: int = PROJECT_STEPS
    settings: EncoderSettings | None = None


def rows(case: Case | None = None) -> list[Row]:
    """The measured rows. Raises ShowError."""
    case = case or Case()
    anchors = case.anchors if case.anchors is not None and case.anchors.is_file() else None
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        remap = Remap(case.film, case.cuts, case.model, folder / "score.toml", anchors, minutes=case.minutes)
        began, spent = time.monotonic(), time.process_time()
        if case.score is None:
            run(remap, quiet=True)
            clock, core = (time.monotonic() - began) / 60, (time.process_time() - spent) / 60
            took = f"{clock:.1f} min by the clock, {core:.1f} of one core, from {'anchors' if anchors else 'the encoder'}"
            time_row = Row("film remap: time, one thread", took, "at most 60 min", time.monotonic() - began <= 3600)
        else:
            time_row = Row("film remap: time", f"not measured: {case.score.name} was given")
        score = read_score(case.score or remap.output)
        job = read_job(dataclasses.replace(remap, output=folder / "read.toml"))
        x, y, w, h = job.inner
        ruler = ruler_of(job.source.generator, job.cuts, job.film, (x, y, w, h), folder, settings=case.settings)
        walks = {s.number: score.walks[s.walk] for s in score.shots if s.walk in score.walks}
        found = judged(ruler, job.source.generator, walks, folder, "bench")
        nearest = nearest_of(job, ruler)
        some = chosen_shots(found)
        projected, began = [], time.monotonic()
        spread = spread_of(job.source.generator)
        for number in some:
            projected.append(measured_few(job, ruler, number, lambda f: projected_pictures(job, spread, f, case.project_steps)))
        few = sum(len(looked_at(job, n)) for n in some)
        minutes = (time.monotonic() - began) / 60 * job.cuts.frames / max(1, few)
        same = [m for m in found if m.shot in some]
        return told(found, len(job.cuts.shots), nearest, same, projected, minutes, case.project_steps) + [time_row]


def told(found: Sequence[ShotMeasure], shots: int, nearest: Sequence[ShotMeasure], same: Sequence[ShotMeasure],
         projected: Sequence[ShotMeasure], minutes: float, steps: int) -> list[Row]:  # fmt: skip
    """The numbers against their bounds, and the other ways beside them. minutes: to project the whole film frame by frame."""
    remake, near = summary_of(found), summary_of(nearest)
    identified = round(remake.identified * remake.shots)
    lines = [
        Row("film remap: shots identified at rank 1, in features that the fit did not use", f"{identified} of {shots}",
            "all", identified == shots),
        Row("film remap: mean motion ratio", f"{remake.motion:.2f}", f"{LEAST_MOTION} to {MOST_MOTION}",
            LEAST_MOTION <= remake.motion <= MOST_MOTION),
        Row("film remap: mean motion correlation", f"{remake.correlation:.2f}", f"at least {LEAST_CORRELATION}",
            remake.correlation >= LEAST_CORRELATION),
        Row("film remap: likeness, 0 random, 1 the film; cut sharpness; off",
            f"{remake.likeness:.2f}; {'-' if remake.cut is None else f'{remake.cut:.2f}'}; {remake.off:.2f}"),
        Row(f"film remap: beside it the nearest of {BANK} samples", line(near)),
    ]  # fmt: skip
    if projected:
        names = ", ".join(str(m.shot) for m in projected)
        lines += [
            Row(f"film remap: beside it every frame projected by itself, {steps} steps, about {2 * PROJECTED_PAIRS} frames "
                f"of each of the shots {names}", f"{line(summary_of(projected))}; the whole film would take {minutes:.0f} min"),
            Row(f"film remap: the remap on those shots, {names}", line(summary_of(same))),
        ]  # fmt: skip
    return lines


def line(s: Summary) -> str:
    """One way in one line."""
    return (f"{round(s.identified * s.shots)} of {s.shots} identified, motion {s.motion:.2f}, correlation {s.correlation:.2f}, "
            f"likeness {s.likeness:.2f}")  # fmt: skip


def chosen_shots(found: Sequence[ShotMeasure]) -> list[int]:
    """Shots of medium motion: a still one tells nothing, the quickest is no fair example."""
    ranked = sorted(found, key=lambda m: m.moved)
    middle = len(ranked) // 2
    return sorted(m.shot for m in ranked[max(0, middle - 1) : middle - 1 + PROJECTED_SHOTS])


def nearest_of(job: Job, ruler: Ruler) -> list[ShotMeasure]:
    """Every frame replaced by the nearest of BANK samples in small pixels, which is the obvious thing to do."""
    generator = job.source.generator
    images = as_bytes(render(generator, spread_of(generator, BANK, 5).samples[:BANK]))  # [M, C, R, R]
    x, y, w, h = ruler.inner

    def small(squares: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        part = torch.from_numpy(squares[..., y : y + h, x : x + w].astype(np.float32))
        made: npt.NDArray[np.float32] = torch.nn.functional.adaptive_avg_pool2d(part, SMALL_PX).flatten(1).numpy()
        return made

    bank = small(images)

    def pictures(frames: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        apart = np.abs(small(job.film[frames])[:, None] - bank[None]).mean(axis=2)  # [n, M]
        return images[apart.argmin(axis=1)]

    return [measured(ruler, shot, pictures, off=1.0) for shot in job.cuts.shots]


def measured_few(job: Job, ruler: Ruler, number: int,
                 pictures: Callable[[npt.NDArray[np.int64]], npt.NDArray[np.uint8]]) -> ShotMeasure:  # fmt: skip
    """One shot by PROJECTED_PAIRS of its steps."""
    shot = job.cuts.shots[number - 1]
    return measured(ruler, shot, pictures, off=1.0, first=steps_of(job.cuts, shot, PROJECTED_PAIRS))


def looked_at(job: Job, number: int) -> npt.NDArray[np.int64]:
    """The frames of a shot that measured_few renders."""
    first = steps_of(job.cuts, job.cuts.shots[number - 1], PROJECTED_PAIRS)
    return np.unique(np.concatenate([first, first + 1]))


def projected_pictures(job: Job, spread: Spread, frames: npt.NDArray[np.int64], steps: int) -> npt.NDArray[np.uint8]:
    """Each frame projected by itself from the mean of w (Karras et al. 2020, appendix D), uint8 [n, C, R, R]."""
    generator = job.source.generator
    x, y, w, h = job.inner
    made = []
    with tempfile.TemporaryDirectory() as name:
        for at in range(0, len(frames), AT_ONCE):
            some = frames[at : at + AT_ONCE]
            targets = Targets(job.film[some], Likeness((x, y, w, h)), AT_ONCE, generator.w_avg.device)
            subject = Subject(targets, some, np.ones(len(some), np.float32), together=False)
            start = spread.mean[None, None].expand(len(some), 1, -1)  # [n, 1, w_dim]
            fitted = fit(generator, spread, subject, start, FitOptions(steps), Path(name) / "state.npz", f"{at}",
                         lambda: False, lambda done: None)  # fmt: skip
            made.append(as_bytes(render(generator, torch.from_numpy(fitted.w))))
    return np.concatenate(made)


def main(argv: Sequence[str] | None = None) -> int:
    """This part alone. Returns 0 where every asked bound holds, else 1."""
    p = argparse.ArgumentParser(prog="python -m tools.bench_film_remap", description="Measure a remap of the demo film.",
                                formatter_class=argparse.RawDescriptionHelpFormatter,
                                epilog="examples:\n  python -m tools.bench_film_remap\n"
                                       "  python -m tools.bench_film_remap --score show_configs/demo/score.toml")  # fmt: skip
    p.add_argument("--score", type=Path, help="a finished score of the demo film, instead of making one")
    p.add_argument("--minutes", type=float, default=20.0, help="for making one, at most (20)")
    p.add_argument("--no-anchors", action="store_true", help="start from the encoder")
    args = p.parse_args(argv)
    torch.set_num_threads(1)
    case = Case(score=args.score, minutes=args.minutes)
    found = rows(dataclasses.replace(case, anchors=None) if args.no_anchors else case)
    print(table(found))
    return 1 if any(r.ok is False for r in found) else 0


if __name__ == "__main__":
    sys.exit(main())
