"""Whether a folder may become a run of `cineml style train` or `distill`: no input and no file of another's is written over."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from player.show.problem import Problem

OPTIONS = "options.json"


def place_problems(run: Path, tool: str, film: Path, sources: Mapping[str, Path | None], like: Path | None = None,
                   may_hold: Collection[str] = ()) -> list[Problem]:  # fmt: skip
    """What is in the way of a new run. sources: what else is read, by what it is. like: the network that it starts from.
    may_hold: what may lie there before the run is begun."""
    here = Path(os.path.realpath(run))
    allowed = "a folder of its own"
    for what, path in {"the film": film, **sources}.items():
        if path is not None and _within(path, here):
            return [Problem(f"-o {run}", f"holds {what} ({path}), which is not to be written over", allowed)]
    if film.is_dir() and Path(os.path.realpath(film)) in here.parents:
        return [Problem(f"-o {run}", f"would lie among the film's frames ({film})", allowed)]
    if like is not None and Path(os.path.realpath(like)) in (here, here / "checkpoint"):
        return [Problem(f"-o {run}", f"is the network of --from ({like}), which would be written over", allowed)]
    return foreign_problems(run, tool, may_hold)


def _within(path: Path, folder: Path) -> bool:
    real = Path(os.path.realpath(path))
    return path.exists() and (real == folder or folder in real.parents)


def foreign_problems(run: Path, tool: str, may_hold: Collection[str] = ()) -> list[Problem]:
    """A folder with files that no run of this tool has written."""
    allowed = "an empty folder, or one that is not there"
    if (run / OPTIONS).exists():
        owner = tool_of(run)
        given = f"holds a run of {owner}" if owner else f"holds an {OPTIONS} that is not this command's"
        return [] if owner == tool else [Problem(str(run), given, allowed)]
    try:
        there = sorted(p.name for p in run.iterdir() if not p.name.startswith(".") and p.name not in may_hold)
    except OSError:  # it is not there, or is no folder: check_folder says so
        return []
    if not there:
        return []
    more = f" and {len(there) - 1} more" if there[1:] else ""
    return [Problem(str(run), f"holds {there[0]}{more}, and no run of {tool}", allowed)]


def tool_of(run: Path) -> str:
    """'cineml style train' of a run that its options name so; '' where they name none."""
    try:
        told: Any = json.loads((run / OPTIONS).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return ""
    about = told.get("run") if isinstance(told, dict) else None
    tool = about.get("tool") if isinstance(about, dict) else told.get("tool") if isinstance(told, dict) else None
    return tool if isinstance(tool, str) else ""
