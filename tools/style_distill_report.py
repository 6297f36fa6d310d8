"""What a small stylizer is worth beside its teacher: size, work, speed, style, content, sharpness. As a table, report.json and
comparison.png."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models.stylizer import Stylizer, operations, parameter_count
from tools.distill_report import in_turns
from tools.keyframes_measure import psnr, sharpness, style_distance
from tools.style_distances import content_distance
from tools.style_train_run import one_of, strip, stylised
from tools.train_snapshot import write_json, write_picture
from tools.whole_file import writing

Pixels = NDArray[np.uint8]
SIZE = (640, 480)  # of the picture that is timed
JUDGED = 4  # frames, spread over the film


@dataclass(frozen=True)
class Side:
    """One of the two. parameters: learnt numbers; gflop, ms: of a picture of 640x480; style: distance to the painting, or where
    that is not there to the teacher's pictures; content: distance to the film's frame; sharpness: in levels a pixel. The means
    over frames and styles; nan where it has none."""

    parameters: float
    gflop: float
    ms: float
    style: float
    content: float
    sharpness: float


@dataclass(frozen=True)
class Report:
    """Both sides. psnr_db: the student's pictures against the teacher's. style_of: what the style distances are to. timed_by:
    what ran them. film_style: the style distance of the plain frames."""

    teacher: Side
    student: Side
    psnr_db: float
    style_of: str
    film_style: float
    timed_by: str


def judged(frames: Sequence[Pixels], results: Sequence[Sequence[Pixels]],
           aims: Sequence[Sequence[Pixels]]) -> tuple[float, float, float]:  # fmt: skip
    """(style, content, sharpness) of results [styles][frames]; aims: likewise, what each style distance is to."""
    found = [(style_distance(made, aim), content_distance(made, frame), sharpness(made))
             for row, goal in zip(results, aims, strict=True) for frame, made, aim in zip(frames, row, goal, strict=True)]
    means = np.mean(np.asarray(found), axis=0)
    return float(means[0]), float(means[1]), float(means[2])  # fmt: skip


def speeds(networks: Sequence[Stylizer], threads: int) -> tuple[list[float], str]:
    """(ms a picture of 640x480 of each, what ran them): the exported graph in onnxruntime, or torch where the export fails."""
    picture = np.random.default_rng(0).integers(0, 256, (1, SIZE[1], SIZE[0], 3), np.uint8)
    try:
        import tempfile

        import onnxruntime as ort

        from tools.style_export import ExportOptions, export

        makers: list[Callable[[], Any]] = []
        with tempfile.TemporaryDirectory() as folder:
            for i, net in enumerate(networks):
                path = Path(folder) / f"{i}.onnx"
                export(net, path, ExportOptions(size=SIZE), {"run": {}})
                options = ort.SessionOptions()
                options.intra_op_num_threads = threads
                session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
                feed = {"image": picture, "style": np.asarray([one_of(len(net.config.styles), 0)], np.float32)}
                makers.append(lambda s=session, f=feed: s.run(None, f))  # type: ignore[misc]
        return in_turns(makers), "onnxruntime, CPU"
    except Exception as error:  # whatever the exporter or the runtime lacks: the numbers are then torch's, and say so
        makers = [lambda n=net: stylised(n, picture[0], one_of(len(n.config.styles), 0)) for net in networks]  # type: ignore[misc]
        told = str(error).splitlines()[0] if str(error) else ""
        return in_turns(makers), f"torch, CPU ({type(error).__name__}: {told})"



def measured(teacher: Stylizer | None, student: Stylizer, frames: Sequence[Pixels], truth: Sequence[Sequence[Pixels]],
             paintings: Sequence[Pixels | None], threads: int) -> tuple[Report, Pixels]:  # fmt: skip
    """(the report, the comparison). truth: the teacher's pictures [styles][frames]. paintings: one a style, or None. Both
    networks on the CPU in evaluation mode; a teacher of None is the optimiser."""
    names = student.config.styles
    threads = threads or torch.get_num_threads()
    made = [[stylised(student, f, one_of(len(names), s)) for f in frames] for s in range(len(names))]
    whole = all(p is not None for p in paintings) and bool(paintings)
    aims = [[p] * len(frames) for p in paintings if p is not None] if whole else [list(row) for row in truth]
    networks = [student] if teacher is None else [student, teacher]
    ms, by = speeds(networks, threads)
    own = judged(frames, made, aims)
    theirs = judged(frames, truth, aims)
    sides = (Side(parameter_count(teacher), operations(teacher.config, SIZE[1], SIZE[0]) / 1e9, ms[1], *theirs)
             if teacher is not None else Side(math.nan, math.nan, math.nan, *theirs),
             Side(parameter_count(student), operations(student.config, SIZE[1], SIZE[0]) / 1e9, ms[0], *own))  # fmt: skip
    like = float(np.mean([psnr(a, b) for x, y in zip(made, truth, strict=True) for a, b in zip(x, y, strict=True)]))
    plain = float(np.mean([style_distance(f, aim) for row in aims for f, aim in zip(frames, row, strict=True)]))
    columns = [("film", list(frames))]
    for s, name in enumerate(names):
        columns += [(f"{name}: teacher", list(truth[s])), (f"{name}: student", made[s])]
    of = "the painting" if whole else "the teacher's pictures"
    return Report(*sides, like, of, plain, f"{by}, {threads} threads"), strip(columns)


def as_table(report: Report) -> str:
    """The report for a person."""
    t, s = report.teacher, report.student
    rows = [("", "teacher", "student", "")]
    for name, a, b, form, note in (
        ("parameters k", t.parameters / 1e3, s.parameters / 1e3, ".1f", ""),
        ("GFLOP", t.gflop, s.gflop, ".2f", f"{t.gflop / s.gflop:.1f} times fewer" if t.gflop > 0 else ""),
        ("ms a picture", t.ms, s.ms, ".1f", f"640x480, {report.timed_by}"),
        ("style distance", t.style, s.style, ".2f", f"to {report.style_of}; plain film {report.film_style:.2f}"),
        ("content distance", t.content, s.content, ".3f", "to the film's frame"),
        ("sharpness", t.sharpness, s.sharpness, ".2f", "levels a pixel"),
    ):  # fmt: skip
        rows.append((name, "-" if math.isnan(a) else f"{a:{form}}", f"{b:{form}}", note))
    rows.append(("PSNR dB", "", f"{report.psnr_db:.2f}", "student to teacher"))
    return "\n".join(f"{a:<18}{b:>10}{c:>10}  {d}".rstrip() for a, b, c, d in rows)


def write_report(folder: Path, report: Report, about: dict[str, Any], picture: Pixels) -> None:
    """report.json and comparison.png, beside their places first. Raises ShowError."""
    def known(values: dict[str, Any]) -> dict[str, Any]:
        return {k: known(v) if isinstance(v, dict) else None if isinstance(v, float) and math.isnan(v) else v
                for k, v in values.items()}  # fmt: skip

    with writing(folder):
        write_picture(folder / "comparison.png", picture)
        write_json(folder / "report.json", known(asdict(report)) | {"run": about})
