"""A stylizer on disk: a folder of model.safetensors and model.json, read as strictly as the checkpoints of generators.

model.json: cineml_checkpoint (format number), kind "stylizer", config (StylizerConfig), about (what trained it: run, styles,
film, licence ... as given), hashes {"model.safetensors": sha256}.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from models.checkpoint import (
    DESCRIPTION,
    FORMAT,
    WEIGHTS,
    CheckpointError,
    file_sha256,
    filled,
    read_tensors,
    replace_folder,
)
from models.stylizer import Stylizer, StylizerConfig

KIND = "stylizer"
PREFIX = "stylizer."
MOST_BYTES = 1 << 20  # of a description


def save_stylizer(folder: Path | str, net: Stylizer, config: StylizerConfig, about: Mapping[str, Any]) -> Path:
    """Write the folder; an older one of the same name is replaced only when the new one is whole.

    Raises CheckpointError where a weight is not finite, OSError where the folder cannot be written.
    """
    folder = Path(folder)
    tensors = {PREFIX + k: v.detach().to("cpu", torch.float32).contiguous().clone() for k, v in net.state_dict().items()}
    if bad := next((name for name, value in tensors.items() if not torch.isfinite(value).all()), None):
        raise CheckpointError(f"{bad} is not finite: not saved")
    fresh = folder.with_name(f".{folder.name}.new-{os.getpid()}")
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        fresh.mkdir(parents=True)
        save_file(tensors, fresh / WEIGHTS)
        (fresh / WEIGHTS).chmod(0o644)  # safetensors makes files that only their owner can read
        description = {
            "cineml_checkpoint": FORMAT,
            "kind": KIND,
            "config": dataclasses.asdict(config),
            "about": dict(about),
            "hashes": {WEIGHTS: file_sha256(fresh / WEIGHTS)},
        }
        text = json.dumps(description, indent=2, ensure_ascii=False)
        (fresh / DESCRIPTION).write_text(text + "\n", encoding="utf-8")
        replace_folder(fresh, folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return folder


def load_stylizer(folder: Path | str) -> tuple[Stylizer, StylizerConfig, dict[str, Any]]:
    """The network (evaluation mode, float32, CPU), its configuration, and about with `sha256` of the weights added.

    Takes a run's folder as well, whose checkpoint/ it then reads. Exactly the expected tensors, all finite, the hash matching;
    raises CheckpointError, one sentence, for anything else.
    """
    folder = Path(folder)
    if not (folder / DESCRIPTION).is_file() and (folder / "checkpoint" / DESCRIPTION).is_file():
        folder = folder / "checkpoint"
    description = read_description(folder)
    config = config_from(description.get("config"), f"{folder / DESCRIPTION}: config")
    weights = folder / WEIGHTS
    if not weights.is_file():
        raise CheckpointError(f"{weights} is missing")
    with torch.device("meta"):  # shapes only, so that a tampered description cannot make us allocate
        shapes = {PREFIX + k: tuple(v.shape) for k, v in Stylizer(config).state_dict().items()}
    tensors = read_tensors(weights, shapes)
    digest = file_sha256(weights)
    told = description.get("hashes", {})
    if not isinstance(told, dict) or told.get(WEIGHTS) not in (None, digest):
        raise CheckpointError(f"{weights} does not match the hash in {DESCRIPTION}: the file was changed or is damaged")
    about = description.get("about", {})
    about = dict(about) if isinstance(about, dict) else {}
    return filled(Stylizer(config), tensors, PREFIX), config, about | {"sha256": digest}


def read_description(folder: Path) -> dict[str, Any]:
    """model.json as a dict, kind and format checked. Raises CheckpointError."""
    path = folder / DESCRIPTION
    if not folder.is_dir():
        raise CheckpointError(f"{folder} is no stylizer folder (it does not exist or is not a folder)")
    try:
        if path.stat().st_size > MOST_BYTES:
            raise CheckpointError(f"{path} is larger than 1 MiB: not a stylizer's description")
        description = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise CheckpointError(f"{path} is missing or unreadable") from None
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise CheckpointError(f"{path} is not valid JSON ({error})") from None
    if not isinstance(description, dict) or description.get("kind") != KIND:
        raise CheckpointError(f'{path} does not describe a network of kind "{KIND}"')
    if description.get("cineml_checkpoint") != FORMAT:
        raise CheckpointError(f"{path} has format {description.get('cineml_checkpoint')!r}; this version reads {FORMAT}")
    return description


def config_from(given: Any, where: str) -> StylizerConfig:
    """A StylizerConfig from JSON. Raises CheckpointError."""
    if not isinstance(given, dict):
        raise CheckpointError(f"{where} is missing or not a table")
    fields = {f.name for f in dataclasses.fields(StylizerConfig)}
    if wrong := sorted(set(given) ^ fields):
        has = ", ".join(sorted(fields))
        raise CheckpointError(f"{where} must have exactly the fields {has}; it differs in {', '.join(wrong)}")
    styles = given["styles"]
    if not isinstance(styles, list) or not all(isinstance(s, str) for s in styles):
        raise CheckpointError(f"{where}: styles must be a list of names; given {styles!r}")
    try:
        return StylizerConfig(**(given | {"styles": tuple(styles)}))
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{where}: {error}") from None
