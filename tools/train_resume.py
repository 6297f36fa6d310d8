"""What a run must have in common with the one that it goes on with: its pictures and the sizes of its networks.

Looked at before anything is read or written: a refused --resume leaves the run as it was.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from models.network_config import DiscriminatorConfig, GeneratorConfig
from player.show.problem import Problem, ShowError

# Fields of a network that its weights' sizes hang on, and what the command line calls them.
SIZES = ("resolution", "channels", "z_dim", "w_dim", "mapping_layers", "channel_base", "channel_max", "c_dim", "architecture")
ASKED = {"resolution": "--resolution", "channels": "--channels", "start": "--start", "end": "--end"}

Source = tuple[str, Path, Mapping[str, Any]]


def check_resumed(
    run: Path, generator: GeneratorConfig, discriminator: DiscriminatorConfig, sources: Sequence[Source]
) -> None:
    """Every difference from the run in `run`, at once. sources: (name, path, what tools.train_dataset.asked_of says of it).

    A source may have been moved or touched: its name, its size and the part that is taken count. Raises ShowError.
    """
    record = read_json(run / "options.json")
    found: list[Problem] = []
    for letter, network, config in (("g", "generator", generator), ("d", "discriminator", discriminator)):
        was = record.get(network)
        if isinstance(was, dict):
            found += other_sizes(run, letter, was, asdict(config))
    kept = record.get("sources")
    for name, path, asked in sources:
        was = kept.get(name) if isinstance(kept, dict) else read_json(run / f"{name}.json").get("asked")
        if isinstance(was, dict):
            found += other_pictures(run, path, was, asked)
    if found:
        raise ShowError(list(dict.fromkeys(found)))  # both networks share most of their sizes


def other_sizes(run: Path, letter: str, was: Mapping[str, Any], now: Mapping[str, Any]) -> list[Problem]:
    """The sizes that differ, each by its option."""
    found = []
    for field in SIZES:
        if field in was and field in now and was[field] != now[field]:
            option = {"architecture": f"--{letter}-architecture", "c_dim": "--cond"}.get(field, f"--{field.replace('_', '-')}")
            words = "labels of " if field == "c_dim" else ""
            found.append(Problem(option, f"{words}{now[field]}, and the run in {run} has {was[field]}", str(was[field])))
    return found


def other_pictures(run: Path, path: Path, was: Mapping[str, Any], now: Mapping[str, Any]) -> list[Problem]:
    """Whether a source is another one than the run was trained on, or another part of it."""
    # Records of older runs held what the file system says of a folder's own size, which a copy need not have.
    sized = "pictures" in was or "pictures" not in now
    if was.get("source") != now["source"] or (sized and was.get("bytes") != now["bytes"]):
        given = (f"is {now['source']} of {now['bytes']} bytes, and the run in {run} was trained on {was.get('source')} "
                 f"of {was.get('bytes')} bytes")  # fmt: skip
        return [Problem(str(path), given, "the same pictures", "-o ANOTHER --transfer RUN, to go on with other pictures")]
    found = []
    for field, option in ASKED.items():
        if field in was and was[field] != now[field]:
            given = f"{told(now[field])}, and the run in {run} was trained with {told(was[field])}"
            found.append(Problem(option, given, told(was[field])))
    return found


def told(value: Any) -> str:
    """A value of an option, for a person."""
    return "none" if value is None else str(value)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object, {} where there is none."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
