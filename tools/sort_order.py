"""The order of a sorted sheet as CSV: one row a cell, opened in a spreadsheet, edited, and kept on the next run.

    # cineml sort: sheet.png
    # rows: 2
    # columns: 3
    row,column,index,name,frame,label,frozen
    0,0,4,f0096,96,walking,0

A row with frozen = 1 keeps its picture in its cell on a re-run; row and column may be edited for that. A row without a
name is a hole, and may be frozen too. Rows of pictures that are not there this time, frozen or labelled, wait at the end with
index -1, so that sorting a part of the pictures loses nothing. Rows and columns count from 0, from the upper left.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from player.show.problem import Problem, ShowError, nearest

COLUMNS = ("row", "column", "index", "name", "frame", "label", "frozen")
NEEDED = ("row", "column", "name", "frozen")
MOST_BYTES = 64 << 20


@dataclass(frozen=True)
class Cell:
    """One cell. index: of the picture in its source, -1 for a hole. frame: film frame, -1 where there is none."""

    row: int
    column: int
    index: int
    name: str
    frame: int = -1
    label: str = ""
    frozen: bool = False


@dataclass(frozen=True)
class Order:
    """A whole sheet's cells, and after them those that wait; rows and columns as the head says, 0 where it does not."""

    rows: int
    columns: int
    cells: tuple[Cell, ...]

    @property
    def frozen(self) -> tuple[Cell, ...]:
        return tuple(c for c in self.cells if c.frozen)


def format_order(order: Order, title: str) -> str:
    """The CSV text; parse_order reads it back."""
    out = io.StringIO()
    out.write(f"# cineml sort: {title}\n# rows: {order.rows}\n# columns: {order.columns}\n")
    return out.getvalue() + ",".join(COLUMNS) + "\n" + format_rows(order.cells)


def format_rows(cells: Sequence[Cell]) -> str:
    """Cells as lines of the CSV."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    for c in cells:
        writer.writerow([c.row, c.column, c.index, c.name, c.frame if c.frame >= 0 else "", c.label, int(c.frozen)])
    return out.getvalue()


def waiting_of(before: Order | None, names: Sequence[str], labelled: bool) -> tuple[Cell, ...]:
    """The cells of an earlier order that a person may have worked on, of pictures that are not among `names`: the frozen ones
    and, where asked for, the labelled ones."""
    there = set(names)
    cells = before.cells if before is not None else ()
    return tuple(replace(c, index=-1) for c in cells if c.name and c.name not in there and (c.frozen or (labelled and c.label)))


def read_order(path: Path) -> Order:
    """The order in a CSV file. Raises ShowError where it cannot be read or says what cannot be."""
    return parse_order(read_text(path, "the order of a sheet as CSV"), path.name)


def read_text(path: Path, what: str) -> str:
    """A CSV file's text. Raises ShowError."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ShowError(Problem(str(path), f"is larger than {MOST_BYTES >> 20} MiB", what))
        return path.read_text(encoding="utf-8-sig")
    except OSError as e:
        raise ShowError(Problem(str(path), f"cannot be read ({e.strerror})", what)) from None
    except UnicodeDecodeError as e:
        raise ShowError(Problem(str(path), f"is not UTF-8 at byte {e.start}", "UTF-8", "save it again as CSV UTF-8")) from None


def read_table(text: str, where: str) -> tuple[dict[str, str], list[tuple[int, dict[str, str]]]]:
    """(head lines `# key: value`, rows as (line, {column: cell})) of a CSV, comma or semicolon. Raises ShowError."""
    head: dict[str, str] = {}
    lines = text.lstrip("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    first = 0
    for first, line in enumerate(lines):  # noqa: B007  (a spreadsheet pads head lines with commas and may quote them)
        bare = line.strip().strip('"').rstrip(",;").strip().strip('"')
        if bare and not bare.startswith("#"):
            break
        key, _, value = bare.lstrip("#").partition(":")
        head[key.strip().lower()] = value.strip()
    delimiter = ";" if lines[first].count(";") > lines[first].count(",") else ","
    try:
        reader = csv.reader(io.StringIO("\n".join(lines[first:])), delimiter=delimiter)
        rows = [(first + reader.line_num, row) for row in reader]
    except csv.Error as e:
        raise ShowError(Problem(where, f"cannot be read as CSV ({e})", "CSV", "look for a quote that is not closed")) from None
    names = [c.strip().lower() for c in rows[0][1]] if rows else []
    found = [(n, {c: v.strip() for c, v in zip(names, row, strict=False)}) for n, row in rows[1:]
             if any(v.strip() for v in row)]  # fmt: skip
    if found or any(names):
        return head, [(0, dict.fromkeys(names, "")), *found]
    raise ShowError(Problem(where, "is empty", "a head line and rows"))


def parse_order(text: str, where: str) -> Order:
    """An order from its text. Raises ShowError with every problem found."""
    head, rows = read_table(text, where)
    names = list(rows[0][1])
    found = [Problem(where, f"the column {n!r} is missing", ",".join(COLUMNS)) for n in NEEDED if n not in names]
    found += [Problem(f"{where}: column {n}", "is not known", ", ".join(COLUMNS), nearest(n, COLUMNS))
              for n in names if n and n not in COLUMNS]  # fmt: skip
    sizes = []
    for key in ("rows", "columns"):
        value = head.get(key, "0")
        if not is_whole(value):
            found.append(Problem(f"{where}: {key}", repr(value[:40]), "a whole number of cells"))
        sizes.append(int(value) if is_whole(value) else 0)
    if found:
        raise ShowError(found)
    cells: list[Cell] = []
    taken: dict[tuple[int, int], int] = {}
    named: dict[str, int] = {}
    for line, row in rows[1:]:
        at = f"{where}: line {line}"
        frozen = row.get("frozen", "").lower()
        if frozen not in ("", "0", "1", "true", "false", "yes", "no"):
            found.append(Problem(at, f"frozen is {frozen[:40]!r}", "0 or 1"))
        keep = frozen in ("1", "true", "yes")
        bad = [n for n in ("row", "column") if not is_whole(row.get(n, ""))]
        if keep:
            found += [Problem(at, f"{n} is {row.get(n, '')[:40]!r}", "a whole number, 0 or more") for n in bad]
        if bad:
            continue
        place, name = (int(row["row"]), int(row["column"])), row.get("name", "")
        if keep and place in taken:
            found.append(Problem(at, f"is frozen in row {place[0]}, column {place[1]}, as line {taken[place]} is",
                                 "one frozen picture a cell"))  # fmt: skip
        if keep and name and name in named:
            found.append(Problem(at, f"freezes {name!r}, as line {named[name]} does", "one frozen cell a picture"))
        if keep:
            taken.setdefault(place, line)
            named.setdefault(name, line)
        index, frame = row.get("index", ""), row.get("frame", "")
        cells.append(Cell(*place, int(index) if is_whole(index) else -1, name, int(frame) if is_whole(frame) else -1,
                          row.get("label", ""), keep))  # fmt: skip
    if found:
        raise ShowError(found)
    return Order(sizes[0], sizes[1], tuple(cells))


def is_whole(text: str) -> bool:
    """Whether int() reads it as a number of at most 9 digits, none negative."""
    return text.isascii() and text.isdigit() and len(text) <= 9


def cells_of(layout: Sequence[Sequence[int]], names: Sequence[str], frames: Sequence[int] | None, labels: Sequence[str],
             frozen: set[tuple[int, int]]) -> tuple[Cell, ...]:  # fmt: skip
    """All cells of a layout [rows][columns], row by row. labels: one a picture, or none at all."""
    made = []
    for y, row in enumerate(layout):
        for x, i in enumerate(row):
            there = i >= 0
            made.append(Cell(y, x, int(i), names[i] if there else "", int(frames[i]) if there and frames is not None else -1,
                             labels[i] if there and labels else "", (y, x) in frozen))  # fmt: skip
    return tuple(made)
