"""A label for every picture, from a cut list or from a table of names and labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from player.show.cut_list import CutList, parse_csv
from player.show.problem import Problem, ShowError
from tools.sort_order import read_table, read_text

NAMES = ("name", "file", "picture")
LABELS = ("label", "group", "shot")


def labels_for(path: Path, names: Sequence[str], frames: NDArray[np.int64] | None) -> tuple[str, ...]:
    """One label a picture, '' where the file gives it none.

    A cut list labels by film frame: with the shot's label, else its group, else "shot 7". A table does by name: the
    columns name (or file, or picture) and label (or group, or shot). Raises ShowError where it labels none of the
    pictures.
    """
    text = read_text(path, "a cut list, or a table with the columns name and label, as CSV")
    _, rows = read_table(text, path.name)
    columns = set(rows[0][1])
    if {"start", "end"} <= columns:
        cuts = parse_csv(text, path.name)
        if frames is None:
            raise ShowError(Problem(str(path), "is a cut list, and the pictures have no frame numbers",
                                    "pictures named by film frame (f000120.png), or a table of names and labels"))
        labels = tuple(label_at(cuts, int(f)) for f in frames)
    else:
        name_in = next((c for c in NAMES if c in columns), "")
        if not name_in or not columns & set(LABELS):
            raise ShowError(Problem(str(path), f"has the columns {', '.join(sorted(columns)) or 'of none'}",
                                    "a cut list, or a table with the columns name and label"))
        given = {row.get(name_in, ""): label_in(row) for _, row in rows[1:]}
        labels = by_name(given, names)
    if not any(labels):
        raise ShowError(Problem(str(path), "labels none of the pictures", f"names such as {names[0]}"))
    return labels


def label_in(row: dict[str, str]) -> str:
    """The first of label, group and shot that a row of a table has."""
    shot = row.get("shot", "")
    return row.get("label") or row.get("group") or (f"shot {shot}" if shot.isdecimal() else shot)


def label_at(cuts: CutList, frame: int) -> str:
    """What the shot at a frame is called; '' past the film's end."""
    if not 0 <= frame < cuts.frames:
        return ""
    shot = cuts.shot_at(frame)
    return shot.label or shot.group or f"shot {shot.number}"


def by_name(given: dict[str, str], names: Sequence[str]) -> tuple[str, ...]:
    """Labels by full name, else by file name, else by file name without its ending, where these are one picture's alone."""
    found = []
    for known in (str, lambda n: PurePosixPath(n).name, lambda n: PurePosixPath(n).stem):
        own = Counter(known(n) for n in names)
        table = {known(n.replace("\\", "/")): label for n, label in given.items()}
        found.append([table.get(known(n), "") if own[known(n)] == 1 else "" for n in names])
    return tuple(next((label for label in tried if label), "") for tried in zip(*found, strict=True))


def groups_of(labels: Sequence[str], order: Sequence[int]) -> dict[str, list[int]]:
    """Pictures by label, each group in the order of the sheet; larger groups first, those without a label last."""
    found: dict[str, list[int]] = {}
    for i in order:
        found.setdefault(labels[i], []).append(i)
    return dict(sorted(found.items(), key=lambda item: (item[0] == "", -len(item[1]), item[0])))
