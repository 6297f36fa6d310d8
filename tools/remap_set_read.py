"""A curated set from its folder: pictures, labels and latents; what has no latent is projected, once, and kept."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt
import torch

from player.progress import Progress
from player.show.problem import Problem, ShowError
from tools.project_fit import FitOptions, fit
from tools.project_fit import Subject as ProjectSubject
from tools.project_losses import Likeness, Targets
from tools.project_model import Model, model_at, spread_of
from tools.project_source import in_square
from tools.project_start import bank_of, start_codes
from tools.project_units import picture_units
from tools.remap_set import CuratedSet, folder_labels
from tools.sample_latents import read_arrays, read_latents
from tools.sort_groups import by_name, labels_for
from tools.train_source import picture_names, read_pictures
from tools.whole_file import write_whole

LATENTS = "latents.npz"
PROJECTED = "projected.npz"
SHEET = "sheet.png"
RECORDS = {"sample.json": {"tool", "settings", "pictures"}, "project.json": {"results", "versions"}}  # of those who write one
BATCH, BANK = 4, 600
SEEDS = 1_000_000  # the projection multiplies its seed by 1e12, and torch takes 64 bits


def known_latents(folder: Path, given: Path | None, model: Model, stems: tuple[str, ...]) -> dict[str, npt.NDArray[np.float32]]:
    """Latents [rows, w_dim] of pictures by name, from --latents or the latents.npz in the folder; {} where there are none."""
    path = given or folder / LATENTS
    if given is None and not path.is_file():
        return {}
    read = read_latents(str(path), model.generator.config)
    w = read.values
    if read.space == "z":
        with torch.no_grad():
            c = None if read.c is None else torch.from_numpy(read.c)
            w = model.generator.mapping.w(torch.from_numpy(read.values), c)[:, None].numpy()
    given_names = read_arrays(path).get("names")  # as they stand there: read.names are fit for file names
    told = [str(n) for n in given_names] if given_names is not None and given_names.shape == (len(w),) else read.names
    at = by_name({name: str(i) for i, name in enumerate(told)}, stems)
    return {stem: w[int(i)] for stem, i in zip(stems, at, strict=True) if i}


def pictures_in(folder: Path) -> list[str]:
    """The pictures of a set: those in the folder and the folders in it, without the sheets that our tools put beside theirs."""
    found = picture_names(folder)
    sheets = set()
    for name in (n for n in found if PurePosixPath(n).name == SHEET):
        for record, keys in RECORDS.items():
            try:
                told = json.loads((folder / name).with_name(record).read_text(encoding="utf-8"))
                if keys <= told.keys() and SHEET not in told.get("pictures", ()):
                    sheets.add(name)
            except (OSError, ValueError, TypeError, AttributeError, RecursionError):
                continue
    return [n for n in found if n not in sheets]


def read_set(folder: Path, latents: Path | None, labels: Path | None, model_folder: Path, geometry: dict[str, list[int]],
             work: Path, steps: int, seed: int = 0, quiet: bool = False) -> CuratedSet:  # fmt: skip
    """The set of pictures in `folder` and the folders in it. labels: a CSV of names and labels, instead of the folders' names.

    Raises ShowError where there are none, or a file cannot be read; KeyboardInterrupt keeps what is projected.
    """
    files = pictures_in(folder) if folder.is_dir() else []
    if not files:
        raise ShowError(Problem("--from-set", f"{folder} holds no pictures", "a folder of pictures, or of folders of them"))
    model = model_at(model_folder)
    config = model.generator.config
    names = tuple(str(PurePosixPath(f).with_suffix("")) for f in files)
    if len(set(names)) < len(names):  # a.png beside a.jpg
        names = tuple(files)
    told = labels_for(labels, files, None) if labels is not None else folder_labels(files)
    images = np.stack([in_square(p, geometry, config.resolution) for p in read_pictures(folder, files, config.channels)])
    known = known_latents(folder, latents, model, names)
    without = [i for i, n in enumerate(names) if n not in known]
    if without:
        x, y, wide, high = geometry["inner"]
        found = projected(model, images[without], (x, y, wide, high), work / PROJECTED, steps, seed, quiet)
        known |= {names[i]: w for i, w in zip(without, found, strict=True)}
    rows = max(len(known[n]) for n in names)
    w = np.stack([np.broadcast_to(known[n], (rows, config.w_dim)) for n in names]).astype(np.float32)
    return CuratedSet(names, images, w, told)


def projected(model: Model, images: npt.NDArray[np.uint8], inner: tuple[int, int, int, int], path: Path, steps: int, seed: int,
              quiet: bool) -> npt.NDArray[np.float32]:  # fmt: skip
    """The latents [N, 1, w_dim] of pictures uint8 [N, C, R, R]; those that were found before are read from `path`."""
    options = FitOptions(steps=steps, seed=seed % SEEDS)
    keys = [hashlib.sha256(f"{model.sha256} {steps} {seed} {inner}".encode() + image.tobytes()).hexdigest() for image in images]
    done = _kept(path)
    missing = [i for i, k in enumerate(keys) if k not in done]
    if missing:
        out = sys.stderr
        progress = None if quiet else Progress(len(missing) * steps, "picture steps of pictures without latents", out)
        spread = spread_of(model.generator, seed=seed)
        bank = bank_of(model, spread, BANK, inner, BATCH)
        likeness, device, spent = Likeness(inner), model.generator.w_avg.device, 0

        def tell(count: int) -> None:
            nonlocal spent
            spent += count
            if progress is not None:
                progress.at(spent)

        for unit in picture_units(np.array(missing, np.int64), BATCH):
            some = images[unit.numbers]
            start = start_codes(model, spread, bank, some, inner, BATCH, None, False)[:, None]  # [n, 1, w_dim]
            targets, alike = Targets(some, likeness, BATCH, device), np.ones(len(some), np.float32)
            subject = ProjectSubject(targets, unit.numbers, alike, False)
            state = path.with_name("projecting.npz")
            fitted = fit(model.generator, spread, subject, start, options, state, keys[unit.numbers[0]], _never, tell)
            done |= {keys[i]: w for i, w in zip(unit.numbers, fitted.w, strict=True)}
            _keep(path, done)
            state.unlink(missing_ok=True)
        if progress is not None:
            progress.done(f"{len(missing)} pictures projected")
    return np.stack([done[k] for k in keys])


def _never() -> bool:
    return False


def _kept(path: Path) -> dict[str, npt.NDArray[np.float32]]:
    try:
        arrays = read_arrays(path)
        return {str(k): w for k, w in zip(json.loads(str(arrays["keys"])), arrays["w"], strict=True)
                if w.ndim == 2 and np.isfinite(w).all()}  # fmt: skip
    except (ShowError, KeyError, ValueError, TypeError):
        return {}


def _keep(path: Path, done: dict[str, npt.NDArray[np.float32]]) -> None:
    def write(part: Path) -> None:
        with part.open("wb") as file:
            np.savez(file, keys=json.dumps(list(done)), w=np.stack(list(done.values())))

    write_whole(path, write)
