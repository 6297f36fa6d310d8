"""What a student is worth beside its teacher: speed, size, work, likeness. As a table, report.json and comparison.png."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from models.stylegan2 import Generator
from tools.contact_sheet import FAINT, GAP, GROUND, INK, MARGIN, TEXT_PX
from tools.distill_step import psnr
from tools.edit_strip import pictures, save_picture, shrunk

ROUNDS = 40  # timed pictures of each, in turns
ROUNDS_S = 20.0  # or so many seconds in all
DIFFERENCE_GAIN = 4


@dataclass(frozen=True)
class Side:
    """One of the two. ms: median of a picture, batch 1; parameters_m: of the synthesis, millions; model_mb: of
    synthesis.onnx in float32; gflop: of a picture; kid: to the film, or None."""

    ms: float
    gflop: float
    parameters_m: float
    model_mb: float
    kid: float | None = None


@dataclass(frozen=True)
class Report:
    """Both sides, and the student against the teacher: psnr in dB over latents from z (psi 1) and, where there are codes,
    of the film; kid_to_teacher: between their pictures, where there was no film. timed_by: what ran them."""

    teacher: Side
    student: Side
    timed_by: str
    threads: int
    psnr_z_db: float
    psnr_film_db: float | None = None
    psnr_start_db: float | None = None
    kid_to_teacher: float | None = None
    kid_note: str = ""


def in_turns(makers: Sequence[Callable[[], Any]]) -> list[float]:
    """Median milliseconds of each, run in turns so that both see the same machine."""
    for make in makers:
        make()
    times: list[list[float]] = [[] for _ in makers]
    begun = time.perf_counter()
    while len(times[0]) < ROUNDS and (time.perf_counter() - begun < ROUNDS_S or len(times[0]) < 3):
        for make, kept in zip(makers, times, strict=True):
            start = time.perf_counter()
            make()
            kept.append((time.perf_counter() - start) * 1000)
    return [float(np.median(kept)) for kept in times]


def speeds(networks: list[Generator], threads: int) -> tuple[list[float], list[float], str]:
    """(ms a picture, megabytes of the model, what ran it) of each, batch 1: the exported graph in onnxruntime on the CPU,
    or torch where the export fails."""
    ws = networks[0].mapping(torch.from_numpy(np.random.RandomState(0).randn(1, networks[0].config.z_dim).astype(np.float32))
                             if not networks[0].config.c_dim else torch.zeros(1, networks[0].config.z_dim),
                             torch.eye(networks[0].config.c_dim)[:1] if networks[0].config.c_dim else None)  # fmt: skip
    try:
        from tools.gan_export import open_session
        from tools.gan_export_graph import build

        feed = {"ws": np.ascontiguousarray(ws.detach().numpy())}
        models = [build(network, "synthesis", {}) for network in networks]
        sessions = [open_session(model, threads) for model in models]
        ms = in_turns([lambda s=s: s.run(None, feed) for s in sessions])  # type: ignore[misc]
        return ms, [len(m.SerializeToString()) / 1e6 for m in models], "onnxruntime, CPU"
    except Exception as error:  # whatever the exporter or the runtime lacks: the numbers are then torch's, and say so
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        with torch.no_grad():
            ms = in_turns([lambda n=n: n.synthesis(ws) for n in networks])  # type: ignore[misc]
        torch.set_num_threads(before)
        size = [sum(p.numel() for p in n.synthesis.state_dict().values()) * 4 / 1e6 for n in networks]
        return ms, size, f"torch, CPU ({type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''})"


def gflop(generator: Generator) -> float:
    """Work of a picture in GFLOP."""
    from tools.gan_export_graph import size_in_flop

    return size_in_flop(generator) / 1e9


def kids(teacher: Generator, student: Generator, real: NDArray[np.uint8] | None, folder: Path, samples: int,
         out: Any = None) -> tuple[float | None, float | None, float | None, str]:  # fmt: skip
    """(teacher's KID, student's KID, KID between them, note). real: uint8 [N, C, R, R] of the film, or None: then the
    teacher's own pictures are the truth, and only the last number is known."""
    try:
        from tools.metrics_measure import measure
    except ImportError as error:
        return None, None, None, f"KID not measured: {error}"
    if real is not None:
        values = [float(measure(n, real, folder, samples=samples, out=out)["kid"]) for n in (teacher, student)]
        return values[0], values[1], None, f"KID of {samples} samples to {len(real)} film frames"
    made = teacher_pictures(teacher, samples)
    between = float(measure(student, made, folder, samples=samples, out=out)["kid"])
    return None, None, between, f"KID of {samples} samples to {samples} pictures of the teacher; --dataset FILM gives both"


@torch.no_grad()
def teacher_pictures(teacher: Generator, count: int, batch: int = 16) -> NDArray[np.uint8]:
    """uint8 [count, C, R, R] from z of RandomState(1), psi 1."""
    random = np.random.RandomState(1)
    classes = teacher.config.c_dim
    made: list[NDArray[np.uint8]] = []
    for at in range(0, count, batch):
        z = torch.from_numpy(random.randn(min(batch, count - at), teacher.config.z_dim).astype(np.float32))
        c = torch.eye(classes)[torch.arange(at, at + len(z)) % classes] if classes else None
        image = teacher(z, c)  # [B, C, R, R]
        made.append((image * 127.5 + 127.5).round().clamp(0, 255).byte().numpy())
    return np.concatenate(made)


def measured(teacher: Generator, student: Generator, from_z: Tensor, of_film: Tensor | None, threads: int) -> Report:
    """Speed, work, size and likeness; KID comes later, it takes longest. Both generators on the CPU, float32."""
    ms, size, by = speeds([teacher, student], threads)
    sides = [Side(ms[i], gflop(n), sum(p.numel() for p in n.synthesis.parameters()) / 1e6, size[i])
             for i, n in enumerate((teacher, student))]  # fmt: skip
    return Report(sides[0], sides[1], by, threads, psnr(teacher, student, from_z),
                  None if of_film is None else psnr(teacher, student, of_film))  # fmt: skip


def as_table(report: Report) -> str:
    """The report for a person."""
    t, s = report.teacher, report.student
    rows = [("", "teacher", "student", ""),
            ("ms a picture", f"{t.ms:.2f}", f"{s.ms:.2f}", f"{t.ms / s.ms:.2f} times as fast ({report.timed_by}, "
             f"{report.threads} threads, batch 1)"),
            ("GFLOP", f"{t.gflop:.2f}", f"{s.gflop:.2f}", f"{s.gflop / t.gflop:.0%}"),
            ("parameters M", f"{t.parameters_m:.2f}", f"{s.parameters_m:.2f}", f"{s.parameters_m / t.parameters_m:.0%}"),
            ("model MB", f"{t.model_mb:.2f}", f"{s.model_mb:.2f}", f"{s.model_mb / t.model_mb:.0%}")]  # fmt: skip
    if t.kid is not None and s.kid is not None:
        rows.append(("KID to the film", f"{t.kid:.4f}", f"{s.kid:.4f}", report.kid_note))
    elif report.kid_to_teacher is not None:
        rows.append(("KID to teacher", "", f"{report.kid_to_teacher:.4f}", report.kid_note))
    elif report.kid_note:
        rows.append(("KID", "", "", report.kid_note))
    start = "" if report.psnr_start_db is None else f"before learning {report.psnr_start_db:.1f} (mixed latents)"
    rows.append(("PSNR dB, z", "", f"{report.psnr_z_db:.2f}", start))
    if report.psnr_film_db is not None:
        rows.append(("PSNR dB, film", "", f"{report.psnr_film_db:.2f}", ""))
    return "\n".join(f"{a:<16}{b:>10}{c:>10}  {d}".rstrip() for a, b, c, d in rows)


def comparison(teacher: Generator, student: Generator, ws: Tensor, inner: list[int], columns: int = 8) -> Image.Image:
    """Teacher, student and their difference (times DIFFERENCE_GAIN, black = equal), with names; ws [N, num_ws, w_dim]."""
    latents = np.ascontiguousarray(ws.cpu().numpy())
    a, b = (pictures(n, latents, inner) for n in (teacher, student))  # uint8 [N, H, W, 3]
    far = np.abs(a.astype(np.int16) - b.astype(np.int16)) * DIFFERENCE_GAIN
    lines = [("teacher", a), ("student", b), (f"difference x{DIFFERENCE_GAIN}", np.clip(far, 0, 255).astype(np.uint8))]
    font = ImageFont.load_default(TEXT_PX)
    label_px = round(max(font.getlength(name) for name, _ in lines)) + 2 * GAP
    width_px = min(160, max(64, a.shape[2]))
    height_px = max(1, round(width_px * a.shape[1] / a.shape[2]))
    bands = -(-len(a) // columns)
    band_px = len(lines) * (height_px + GAP) + MARGIN
    size = (2 * MARGIN + label_px + columns * (width_px + GAP), MARGIN + bands * band_px)
    sheet = Image.new("RGB", size, GROUND)
    pen = ImageDraw.Draw(sheet)
    for band in range(bands):
        for row, (name, made) in enumerate(lines):
            top = MARGIN + band * band_px + row * (height_px + GAP)
            pen.text((MARGIN, top + (height_px - TEXT_PX) // 2), name, INK if row == 1 else FAINT, font)
            for i, pixels in enumerate(made[band * columns : (band + 1) * columns]):
                sheet.paste(shrunk(pixels, width_px), (MARGIN + label_px + i * (width_px + GAP), top))
    return sheet


def write_report(folder: Path, report: Report, about: dict[str, Any], picture: Image.Image) -> None:
    """report.json and comparison.png, beside their places first."""
    import json

    save_picture(picture, folder / "comparison.png")
    part = folder / "report.json.part"
    part.write_text(json.dumps({**asdict(report), "run": about}, indent=2) + "\n", encoding="utf-8")
    os.replace(part, folder / "report.json")
