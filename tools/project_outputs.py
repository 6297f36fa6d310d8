"""What a projection leaves: latents.npz, the sheet, pictures and noise on request, walks for a score, and the record."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from player.show.score import write_score
from player.show.walk import Walk
from tools.project_record import RECORD, write_arrays, write_json
from tools.project_run import SCORE, Job, Outcome, played_sha256
from tools.project_sheet import Pair, draw_pairs, film_part, write_image
from tools.project_units import Unit, without_fade
from tools.remap_model import WEIGHTS, is_other
from tools.remap_score import as_walk, existing_score, score_of

Arrays = dict[str, npt.NDArray[Any]]


def own(unit: Unit) -> npt.NDArray[np.bool_]:
    """[N]: which of a unit's pictures are its own; those of a dissolve after a shot are the next shot's."""
    return np.ones(len(unit.numbers), bool) if unit.shot is None else unit.numbers < unit.shot.end


def latents_of(job: Job, outcome: Outcome) -> Arrays:
    """The arrays of latents.npz, in the order of the pictures."""
    parts: dict[str, list[npt.NDArray[Any]]] = {k: [] for k in ("w", "frames", "loss", "psnr", "start_loss", "shots")}
    for unit in job.units:
        mine, fitted = own(unit), outcome.done[unit.name]
        parts["w"].append(fitted.w[mine])
        parts["frames"].append(unit.numbers[mine])
        for name in ("loss", "psnr", "start_loss"):
            parts[name].append(getattr(fitted, name)[mine])
        parts["shots"].append(np.full(int(mine.sum()), unit.shot.number if unit.shot is not None else 0, np.int64))
    arrays = {name: np.concatenate(values) for name, values in parts.items()}
    arrays["names"] = np.array([job.pictures.name(int(n)) for n in arrays["frames"]])
    return arrays


def noise_of(job: Job, outcome: Outcome) -> Arrays:
    """The arrays of noise.npz: a map a picture and layer, float16 [N, 1, R, R] under the input's name; frames [N]."""
    names = job.model.generator.synthesis.noise_names()
    maps: dict[str, list[npt.NDArray[Any]]] = {name: [] for name in names}
    for unit in job.units:
        count, fitted = int(own(unit).sum()), outcome.done[unit.name]
        for name in names:
            made = fitted.noise[name].astype(np.float16)
            maps[name].append(np.repeat(made, count, axis=0) if len(made) == 1 and count > 1 else made[:count])
    return {name: np.concatenate(values) for name, values in maps.items()}


def pictures_of(job: Job, outcome: Outcome) -> Iterator[tuple[Unit, int, npt.NDArray[np.uint8]]]:
    """(unit, place in it, projection uint8 [C, R, R]) of every own picture."""
    generator = job.model.generator
    for unit in job.units:
        fitted = outcome.done[unit.name]
        for i in np.flatnonzero(own(unit)):
            w = torch.from_numpy(fitted.w[i : i + 1]).to(job.device).expand(-1, generator.num_ws, -1)
            noise = {k: torch.from_numpy(v if len(v) == 1 else v[i : i + 1]).to(job.device) for k, v in fitted.noise.items()}
            with torch.no_grad():
                image = generator.synthesis(w, noise or "const")[0]  # [C, R, R]
            yield unit, int(i), (image * 127.5 + 127.5).round().clamp(0, 255).byte().cpu().numpy()


def _sheet(job: Job, outcome: Outcome, latents: Arrays) -> Image.Image:
    """The worst pictures first; pictures that were not looked at are left out."""
    inner = job.inner
    seen = np.flatnonzero(np.isfinite(latents["loss"]))
    order = seen[np.argsort(-latents["loss"][seen], kind="stable")][: job.project.sheet]
    wanted = {int(latents["frames"][i]): int(i) for i in order}
    config = job.model.generator.config
    targets: dict[int, npt.NDArray[np.uint8]] = {}
    for number, square in job.pictures.squares(sorted(wanted), job.geometry, config.resolution, config.channels):
        targets[number] = film_part(square if job.cuts is None else without_fade(job.cuts, number, square), inner)
    made = {int(u.numbers[i]): film_part(square, inner)
            for u, i, square in pictures_of(_only(job, set(wanted)), outcome) if int(u.numbers[i]) in wanted}  # fmt: skip
    pairs = []
    for number, i in wanted.items():
        told = f"unlike {latents['loss'][i]:.3f}   {latents['psnr'][i]:.1f} dB"
        pairs.append(Pair(str(latents["names"][i]), told, targets[number], made[number]))
    psnr = latents["psnr"][seen]
    title = (f"{len(seen)} projections, target above, projection below, the {len(pairs)} most unlike first; "
             f"PSNR {psnr.mean():.1f} dB on average, {psnr.min():.1f} to {psnr.max():.1f}")  # fmt: skip
    return draw_pairs(pairs, title)


def _only(job: Job, numbers: set[int]) -> Job:
    """The job with the units that hold one of the numbers."""
    units = tuple(u for u in job.units if numbers & {int(n) for n in u.numbers})
    return replace(job, units=units)


def walks_of(job: Job, outcome: Outcome) -> dict[int, Walk]:
    """A walk a shot, a key a projected frame, through the dissolve that follows it."""
    walks = {}
    for unit in job.units:
        if unit.shot is not None:
            walks[unit.shot.number] = as_walk(unit.shot, outcome.done[unit.name].w, unit.numbers)
    return walks


def _score(job: Job, outcome: Outcome, path: Path) -> None:
    """The walks into a score; what a person has set in an older one stays, and so do shots that were not projected."""
    assert job.cuts is not None
    weights, sha256 = job.model.weights_sha256, played_sha256(job.project, job.model)
    old = existing_score(path)
    other = is_other(old, weights, sha256)
    before = old.generator_sha256 if old is not None and not other else ""
    score = score_of(job.cuts, walks_of(job, outcome), old, sha256 or before, old is not None and not other)
    extra = {k: v for k, v in score.extra.items() if k != WEIGHTS}  # what is not known must not be another model's
    write_score(replace(score, extra=extra | ({WEIGHTS: weights} if weights else {})), path)


def report_of(job: Job, outcome: Outcome, latents: Arrays) -> dict[str, Any]:
    """The numbers of the record: PSNR and likeness over all, and a line a shot."""
    seen = np.isfinite(latents["psnr"])
    psnr, loss = latents["psnr"][seen], latents["loss"][seen]
    worst = int(np.flatnonzero(seen)[psnr.argmin()])
    spent = sum(one.seconds for one in outcome.done.values())
    told: dict[str, Any] = {
        "pictures": int(seen.sum()),
        "psnr_db": {"mean": float(psnr.mean()), "median": float(np.median(psnr)), "least": float(psnr.min()),
                    "least_of": str(latents["names"][worst])},
        "unlike": {"start": float(latents["start_loss"][seen].mean()), "end": float(loss.mean())},
        "seconds_a_picture": spent / int(seen.sum())}  # fmt: skip
    shots = []
    for unit in job.units:
        fitted = outcome.done[unit.name]
        if unit.shot is not None:
            bent = np.diff(fitted.w[unit.fitted], n=2, axis=0)
            shots.append({"shot": unit.shot.number, "frames": int(unit.fitted.sum()),
                          "psnr_db": float(np.nanmean(fitted.psnr)), "unlike": float(np.nanmean(fitted.loss)),
                          "bend": float(np.sqrt((bent**2).mean())) if bent.size else 0.0})  # fmt: skip
    return told | ({"shots": shots} if shots else {})


def write_outputs(job: Job, outcome: Outcome) -> dict[str, Any]:
    """Everything into OUT, each file complete or not at all. Returns the record's numbers."""
    import onnx  # its version stands in the record of every command that reads models

    out = job.project.output
    latents = latents_of(job, outcome)
    write_arrays(out / "latents.npz", latents)
    if job.project.fit.noise:
        write_arrays(out / "noise.npz", noise_of(job, outcome) | {"frames": latents["frames"]})
    if job.project.pictures:
        for unit, i, square in pictures_of(job, outcome):
            picture = Image.fromarray(film_part(square, job.inner))
            write_image(out / "pictures" / f"{job.pictures.name(int(unit.numbers[i]))}.png", picture)
    if job.project.sheet:
        write_image(out / "sheet.png", _sheet(job, outcome, latents))
    if job.cuts is not None:
        _score(job, outcome, out / SCORE)
    told = report_of(job, outcome, latents)
    versions = {"torch": torch.__version__, "numpy": np.__version__, "onnx": onnx.__version__}
    files = {"model": str(job.project.model), "pictures": str(job.project.source), "cuts": str(job.project.cuts or "")}
    write_json(out / RECORD, {"files": files, **job.asked, "results": told, "versions": versions})
    return told
