"""A show's TOML, changed in place line by line, so that a person's comments, order and spacing stay as they are."""

from __future__ import annotations

import copy
import json
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

from player.show.problem import Problem, ShowError
from player.show.toml_table import read_toml
from tools.whole_file import write_whole

MARK = "# written by cineml new; steps that come later fill it in, and leave alone what a person has changed"
HEADER = re.compile(r"^\s*\[(?P<double>\[)?\s*(?P<name>[^\[\]]+?)\s*\]")
Values = Mapping[tuple[str, str], str | int | float | bool]
"""(table, key) -> value."""


def toml_value(value: str | int | float | bool) -> str:
    """A value as TOML. JSON's strings are TOML's basic strings, but for DEL."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def filled(text: str, values: Values) -> str:
    """The TOML `text` with these values. A key that stands there (also behind a '#') gets the value, its comment kept; one that
    does not goes to the head of its table; a table that does not is added at the end.

    Raises ValueError where the text is written so that this would change something else too.
    """
    before = tomllib.loads(text)
    if crossed := sorted(t for t, _ in values if not isinstance(before.get(t, {}), dict)):
        raise ValueError(f"{crossed[0]} is no table")
    for (table, key), value in values.items():
        if before.get(table, {}).get(key) != value:
            text = _with_value(text, table, key, toml_value(value))
    wanted = copy.deepcopy(before)
    for (table, key), value in values.items():
        wanted.setdefault(table, {})[key] = value
    if tomllib.loads(text) != wanted:
        raise ValueError("its tables are not written as [table] and key = value, a line each")
    return text


def _with_value(text: str, table: str, key: str, value: str) -> str:
    """`text` with one value changed or added."""
    lines = text.splitlines(keepends=True)
    value_there = r"""(?P<value>"(?:[^"\\]|\\.)*"|'[^']*'|[^#\s]+)"""
    stands = re.compile(rf"^(?P<off>#\s*)?(?P<head>{re.escape(key)}\s*=\s*){value_there}(?P<rest>.*)$")
    inside, header_at, asleep_at = False, None, None
    for number, line in enumerate(lines):
        if header := HEADER.match(line):
            inside = not header["double"] and header["name"] == table
            header_at = number if inside else header_at
            continue
        found = stands.match(line.strip()) if inside else None
        if found is None:
            continue
        made = f"{found['head']}{value}{found['rest']}\n"
        if found["off"]:
            asleep_at = (number, made) if asleep_at is None else asleep_at
            continue
        lines[number] = made
        return "".join(lines)
    if asleep_at is not None:
        lines[asleep_at[0]] = asleep_at[1]
    elif header_at is not None:
        lines.insert(header_at + 1, f"{key} = {value}\n")
    else:
        end = "" if not lines or lines[-1].endswith("\n") else "\n"
        lines.append(f"{end}\n[{table}]\n{key} = {value}\n")
    return "".join(lines)


def fill(path: Path, values: Values) -> None:
    """Write the values into the show at `path`, whole or not at all; with another cut list, its free walks too (so that it
    stays playable). Raises ShowError."""
    read_toml(path, "a show")
    try:
        text = filled(path.read_text(encoding="utf-8-sig"), values)
    except ValueError as e:
        names = ", ".join(f"[{t}] {k} = {toml_value(v)}" for (t, k), v in values.items())
        raise ShowError(Problem(str(path), f"was left as it is: {e}", f"written by hand: {names}")) from None
    write_whole(path, lambda part: part.write_text(text, encoding="utf-8"))
    if ("film", "cuts") in values:
        from tools.new_walks import follow_cuts  # which needs what reads a model

        follow_cuts(path)


def show_beside(output: Path) -> Path | None:
    """The show that `cineml new` wrote in the folder of an output, None where there is none."""
    path = output.parent / "show.toml"
    try:
        with path.open(encoding="utf-8-sig") as file:
            return path if file.readline().rstrip() == MARK else None
    except (OSError, UnicodeDecodeError):
        return None


def relative(path: Path, folder: Path) -> str:
    """`path` as it is written in a file in `folder`: relative with slashes where that can be, else absolute."""
    try:
        return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()
    except ValueError:  # another drive
        return path.resolve().as_posix()
