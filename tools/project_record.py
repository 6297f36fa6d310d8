"""What a projection keeps while it works and after: finished units, and the record of options, inputs and versions."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from player.show.problem import Problem, ShowError
from tools.project_fit import Fitted
from tools.whole_file import make_folder

RECORD = "project.json"


def work_folder(output: Path) -> Path:
    """Where finished units wait until all are done; they stay, so that outputs can be made again at once."""
    return output / ".work"


def open_work(output: Path, asked: Mapping[str, Any], again: bool) -> Path:
    """The work folder of this very projection. Raises ShowError where it holds one with other options or inputs."""
    work = work_folder(output)
    if output.exists() and not output.is_dir():
        raise ShowError(Problem(str(output), "is a file", "a folder for the results"))
    if again:
        shutil.rmtree(work, ignore_errors=True)
    plain = json.loads(json.dumps(asked))
    record = work / RECORD
    if record.is_file():
        try:
            before = json.loads(record.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            before = {}
        if before != plain:
            given = "was begun with other " + _differences(before, plain)
            raise ShowError(Problem(str(output), given, "the same options and inputs", "--again, or another folder"))
    else:
        make_folder(work)
        write_json(record, plain)
    return work


def _differences(before: Any, now: Mapping[str, Any]) -> str:
    """The names of what differs, with both values where they are short."""
    told = []
    for group, values in now.items():
        old = before.get(group, {}) if isinstance(before, dict) else {}
        for name, value in values.items():
            was = old.get(name) if isinstance(old, dict) else None
            if was != value:
                short = len(str(was)) < 20 and len(str(value)) < 20
                told.append(f"{name} ({was}, now {value})" if short else name)
    return ", ".join(told) or "options"


def keep_unit(path: Path, fitted: Fitted) -> None:
    """Write a unit's result, complete or not at all."""
    f = fitted
    arrays: dict[str, Any] = {f"noise|{k}": v.astype(np.float16) for k, v in f.noise.items()}
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        np.savez(file, w=f.w, loss=f.loss, psnr=f.psnr, start_loss=f.start_loss, seconds=f.seconds, **arrays)
    os.replace(part, path)


def kept_unit(path: Path, count: int) -> Fitted | None:
    """A unit's result with `count` pictures, or None where it is not done (or damaged: then it is done anew)."""
    try:
        with np.load(path, allow_pickle=False) as kept:
            noise = {k.removeprefix("noise|"): kept[k].astype(np.float32) for k in kept.files if k.startswith("noise|")}
            fitted = Fitted(kept["w"], kept["loss"], kept["psnr"], kept["start_loss"], noise, float(kept["seconds"]))
            return fitted if len(fitted.w) == len(fitted.loss) == count else None
    except (OSError, KeyError, ValueError):
        return None


def write_json(path: Path, value: Any) -> None:
    """Write JSON by a temporary name first."""
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
    os.replace(part, path)


def write_arrays(path: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write an npz by a temporary name first."""
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    os.replace(part, path)
