"""write_report(RUN): report.png and report.html of a training run, from the files that the run left so far.

Reads log.jsonl, metrics.jsonl, options.json and grids/; none of them has to be there, and a line that was cut in writing is
passed over: a report is wanted most when a run went wrong.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from player.show.problem import Problem, ShowError
from tools.train_grids import decimals_of, grid_kimg

Line = dict[str, Any]


@dataclass(frozen=True)
class RunRecord:
    """What a run folder tells. log, metrics: one dict a line, `kimg` rising. grids: {kimg: path}, rising, with as many
    decimals as tell them apart (`grid_kimg`).

    nearest: nearest.png, None where there is none yet.
    """

    folder: Path
    log: tuple[Line, ...]
    metrics: tuple[Line, ...]
    options: dict[str, Any]
    grids: dict[float, Path]
    nearest: Path | None

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self.folder.resolve().name

    def grid_kimg(self, kimg: float) -> str:
        """How the number of a grid is written."""
        return f"{kimg:.{decimals_of(self.grids)}f}"


def write_report(run: Path) -> tuple[Path, Path]:
    """(run/report.png, run/report.html), written beside their places and renamed there. Raises ShowError for no folder."""
    from tools.train_report_page import page
    from tools.train_report_plots import plots_png, sheet_png

    record = read_run(run)
    sheet = replaced(run / "report.png", sheet_png(record))
    return sheet, replaced(run / "report.html", page(record, plots_png(record)).encode())


def read_run(run: Path) -> RunRecord:
    """The record of a run folder. Raises ShowError where there is no such folder."""
    if not run.is_dir():
        raise ShowError(Problem(str(run), "is no folder", "the folder of a training run"))
    grids = {k: p for p in sorted((run / "grids").glob("*.png")) if (k := grid_kimg(p)) is not None}
    nearest = run / "nearest.png"
    return RunRecord(
        run,
        tuple(read_lines(run / "log.jsonl")),
        tuple(read_lines(run / "metrics.jsonl")),
        read_options(run / "options.json"),
        dict(sorted(grids.items())),
        nearest if nearest.is_file() else None,
    )


def read_lines(path: Path) -> list[Line]:
    """The JSON objects of a .jsonl file that have a `kimg`. Where kimg steps back, a run was resumed from a snapshot: the
    lines that it then made anew replace the older ones."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    lines: list[Line] = []
    for row in text.splitlines():
        try:
            line = json.loads(row)
        except ValueError:
            continue
        if not isinstance(line, dict) or not is_number(line.get("kimg")):
            continue
        while lines and lines[-1]["kimg"] >= line["kimg"]:
            lines.pop()
        lines.append(line)
    return lines


def read_options(path: Path) -> dict[str, Any]:
    """options.json, {} where it is missing or damaged."""
    try:
        options = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return options if isinstance(options, dict) else {}


def is_number(value: Any) -> bool:
    """True for a finite int or float, not bool."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def replaced(path: Path, content: bytes) -> Path:
    """Write a file by a temporary name first."""
    part = path.with_name(path.name + ".part")
    part.write_bytes(content)
    os.replace(part, path)
    return path
