"""CUTS.csv.json, the record beside a cut list: how it was made, and what it said then, so that a hand's work is known as such.

A list counts as corrected by hand where its content differs from what the record says was written, or where there is no
record. A spreadsheet that saved the same rows with other commas has corrected nothing: the content is compared, not the bytes.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import os
import platform
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from player.show.cut_list import CutList, format_csv, read_csv
from player.show.problem import ShowError
from tools.film_dataset_source import folder_sha256, frame_files
from tools.whole_file import sha256_of, writing

OUR_HEAD = re.compile(r"#\s*(film|rate|frames)\s*:", re.IGNORECASE)


def record_path(cuts: Path) -> Path:
    """Where the record of a cut list stands."""
    return cuts.with_name(cuts.name + ".json")


def content_sha256(cuts: CutList) -> str:
    """Of the list's content, in whatever dialect of CSV it stands on disk."""
    return hashlib.sha256(format_csv(cuts).encode()).hexdigest()


def read_record(cuts: Path) -> dict[str, Any]:
    """The record beside a cut list; empty where there is none that can be read."""
    try:
        told = json.loads(record_path(cuts).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def corrected_by_hand(path: Path) -> bool:
    """Whether the list at `path` is something that a person would miss: any list but one that is still as it was written."""
    if not path.exists():
        return False
    try:
        return read_record(path).get("content_sha256") != content_sha256(read_csv(path)) or has_remarks(path)
    except ShowError:  # it cannot be read as a cut list: whatever it is, it is not ours to replace
        return True


def has_remarks(path: Path) -> bool:
    """Whether a person has written a comment into a list: a line that begins with '#' and is no head line of ours. Spreadsheets
    pad such lines with commas and may quote them."""
    lines = (line.strip().strip('"').rstrip(",;").strip() for line in path.read_text(encoding="utf-8-sig").splitlines())
    return any(line.strip("#, ;") and not OUR_HEAD.match(line) for line in lines if line.startswith("#"))


def film_sha256(path: Path) -> str:
    """Of the film's bytes; of a folder, of the names and contents of its frames, as `cineml film dataset` reckons it. Raises
    ShowError."""
    return folder_sha256(frame_files(path)) if path.is_dir() else sha256_of(path)


def versions() -> dict[str, str]:
    """What made it."""
    found = {"python": platform.python_version(), "numpy": np.__version__}
    for name in ("cineml", "av"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def as_json(value: Any) -> str:
    """JSON as the records hold it: one line an entry, no NaN."""
    return json.dumps(value, indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def write_together(files: Mapping[Path, bytes]) -> None:
    """All of these files or none: each beside its place first, then all renamed. Raises ShowError; what stood there stays."""
    parts = {path: path.with_name(path.name + ".part") for path in files}
    try:
        for path, content in files.items():
            with writing(path):
                if path.is_dir():
                    raise IsADirectoryError(21, "is a folder")
                parts[path].write_bytes(content)
        for path, part in parts.items():
            with writing(path):
                os.replace(part, path)
    finally:
        for part in parts.values():
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
