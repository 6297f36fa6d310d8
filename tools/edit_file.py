"""Directions on disk: FOLDER/directions.toml (a person's: names and order) and FOLDER/directions.npz (the numbers).

directions.toml:

    model_sha256 = "98037d..."       # weights of the checkpoint that they were found in
    w_dim = 128
    num_ws = 12
    seed = 0
    samples = 50000                  # how many w the sigmas were measured over

    [[direction]]                    # one each, in the order a performer sees them
    id = "pca01"                     # its row in directions.npz; leave it alone
    name = "light"                   # yours: what OSC addresses allow (no blank, none of # * , / ? [ ] { }), no two alike
    note = "up: morning"             # yours, may be left out

directions.npz, read without pickle, one row a direction:

    ids         unicode [D]
    directions  float32 [D, w_dim]   of length 1
    scale       float32 [D]          sigma: the deviation of w along it
    layers      int64 [D, 2]         first and last row of ws that it moves, both included
    method      unicode [D]          pca or sefa
    share       float32 [D]          of the variance it accounts for, 0..1

Moving by AMOUNT (in sigma): ws[first : last + 1] += AMOUNT * scale * direction.

Tables of the TOML may be put in another order or taken out; taking one out hides that direction. A re-run finds the
unnamed directions anew. Those that a person has named or noted come first, in their order, and keep name, note and sign
where the new set has nearly the same one; otherwise the old one stays as it was.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from dataclasses import dataclass, replace
from itertools import chain, count
from pathlib import Path
from typing import Any

import numpy as np

from player.show.problem import Problem, ShowError, nearest
from tools.edit_directions import ALIKE, Direction, marked
from tools.edit_latents import read_arrays
from tools.edit_options import METHODS
from tools.whole_file import make_folder

TEXT, ARRAYS = "directions.toml", "directions.npz"
KEYS = ("id", "name", "note")
NAME = re.compile(r"[^\s#*,/?\[\]{}]+")
LETTERS = "bcdefghijklmnopqrstuvwxyz"
NAME_RULE = "a name without blanks and without # * , / ? [ ] { }"


@dataclass(frozen=True)
class DirectionSet:
    """All directions of a folder, in a person's order."""

    directions: tuple[Direction, ...]
    model_sha256: str
    w_dim: int
    num_ws: int
    seed: int = 0
    samples: int = 0

    def by_name(self, name: str, where: str = "--direction") -> Direction:
        """The direction of that name or id. Raises ShowError with the nearest name."""
        for d in self.directions:
            if name in (d.shown, d.id):
                return d
        names = [d.shown for d in self.directions]
        raise ShowError(Problem(where, name, ", ".join(names), nearest(name, names)))


def write_directions(folder: Path, kept: DirectionSet) -> None:
    """Both files, each beside its place and renamed there, the numbers first."""
    make_folder(folder)
    rows = kept.directions
    part = folder / f"{ARRAYS}.part"
    with part.open("wb") as file:
        np.savez(file, ids=np.array([d.id for d in rows]), directions=np.stack([d.vector for d in rows]),
                 scale=np.array([d.scale for d in rows], np.float32),
                 layers=np.array([(d.first, d.last) for d in rows], np.int64),
                 method=np.array([d.method for d in rows]),
                 share=np.array([d.share for d in rows], np.float32))  # fmt: skip
    os.replace(part, folder / ARRAYS)
    text = folder / f"{TEXT}.part"
    text.write_text(format_text(kept), encoding="utf-8")
    os.replace(text, folder / TEXT)


def format_text(kept: DirectionSet) -> str:
    """directions.toml: the name is a person's to change; what the numbers say stands in comments."""
    lines = ["# Directions in W. Change name and note, and the order of the tables; ids belong to directions.npz.",
             f"model_sha256 = {json.dumps(kept.model_sha256)}", f"w_dim = {kept.w_dim}", f"num_ws = {kept.num_ws}",
             f"seed = {kept.seed}", f"samples = {kept.samples}"]  # fmt: skip
    for d in kept.directions:
        of = "of the variance of w" if d.method == "pca" else "of the styles' change"
        alike = f"; nearly the same as {d.same_as}" if d.same_as else ""
        lines += ["", "[[direction]]",
                  f"# {d.method}, layers {d.first}-{d.last}, sigma {d.scale:.4g}, {d.share:.1%} {of}{alike}",
                  f"id = {json.dumps(d.id)}", f"name = {toml_text(d.shown)}"]  # fmt: skip
        if d.note:
            lines.append(f"note = {toml_text(d.note)}")
    return "\n".join(lines) + "\n"


def toml_text(text: str) -> str:
    """A TOML basic string: JSON's escapes, and DEL's."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def read_directions(folder: Path) -> DirectionSet:
    """The directions of a folder. Raises ShowError with everything that is wrong in either file."""
    path = folder / TEXT
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError:
        given = "holds no directions" if folder.is_dir() else "is no folder"
        raise ShowError(Problem(str(folder), given, f"a folder with {TEXT}, made by cineml gan edit")) from None
    except (ValueError, RecursionError) as e:  # not TOML, or not UTF-8
        raise ShowError(Problem(str(path), f"is not TOML: {e}")) from None
    found: list[Problem] = []
    head = {k: told.get(k) for k in ("model_sha256", "w_dim", "num_ws", "seed", "samples")}
    for key, value in head.items():
        kind = str if key == "model_sha256" else int
        if not isinstance(value, kind) or isinstance(value, bool) or (kind is int and int(value) < 0):  # type: ignore[call-overload]
            found.append(Problem(f"{path}: {key}", f"is {value!r}", "a text" if kind is str else "a whole number"))
    numbers = read_numbers(folder / ARRAYS, head["w_dim"], head["num_ws"], found)
    directions: list[Direction] = []
    rows = told.get("direction", [])
    if not isinstance(rows, list):
        found.append(Problem(f"{path}: direction", "is not a list", "[[direction]] tables"))
        rows = []
    for number, row in enumerate(rows, 1):
        d = direction_from(row, f"{path}: [[direction]] {number}", numbers, found)
        if d is not None:
            if d.shown in {e.shown for e in directions} or d.id in {e.id for e in directions}:
                found.append(Problem(f"{path}: [[direction]] {number}", f"{d.shown} stands twice", "every name and id once"))
            directions.append(d)
    if found:
        raise ShowError(found)
    if not directions:
        raise ShowError(Problem(str(path), "holds no directions", "[[direction]] tables"))
    return DirectionSet(tuple(marked(directions)), str(head["model_sha256"]), *(int(head[k] or 0) for k in list(head)[1:]))


def read_numbers(path: Path, w_dim: Any, num_ws: Any, found: list[Problem]) -> dict[str, Direction]:
    """Directions by id from the arrays; what is wrong goes to `found`."""
    try:
        a = read_arrays(path)
    except ShowError as e:
        found.extend(e.problems)
        return {}
    shapes = {"ids": ("U", 1), "directions": ("f", 2), "scale": ("f", 1), "layers": ("iu", 2), "method": ("U", 1),
              "share": ("f", 1)}  # fmt: skip
    for name, (kind, ndim) in shapes.items():
        if name not in a or a[name].dtype.kind not in kind or a[name].ndim != ndim or len(a[name]) != len(a["ids"]):
            given = "is missing" if name not in a else f"is {a[name].dtype} {list(a[name].shape)}"
            found.append(Problem(f"{path}: {name}", given, "an array as cineml gan edit writes it"))
            return {}
    layers = a["layers"]
    fits = a["directions"].shape[1] == w_dim and layers.shape[1] == 2 and isinstance(num_ws, int)
    if not fits or not all(0 <= first <= last < num_ws for first, last in layers.tolist()):
        given = f"holds directions {list(a['directions'].shape)}, layers {list(layers.shape)}"
        found.append(Problem(str(path), given, f"[D, {w_dim}], and layers within 0-{num_ws} less one"))
        return {}
    if not (np.isfinite(a["directions"]).all() and np.isfinite(a["scale"]).all()):
        found.append(Problem(str(path), "holds values that are not finite"))
        return {}
    rows = zip(a["ids"], a["method"], a["directions"], a["scale"], layers, a["share"], strict=True)
    return {str(i): Direction(str(i), str(m), v.astype(np.float32), float(s), int(f), int(t), float(p))
            for i, m, v, s, (f, t), p in rows}  # fmt: skip


def direction_from(row: Any, at: str, numbers: dict[str, Direction], found: list[Problem]) -> Direction | None:
    """One table of the TOML joined with its numbers, or None with what is wrong in `found`."""
    if not isinstance(row, dict):
        found.append(Problem(at, "is no table", "[[direction]] with id and name"))
        return None
    for key in sorted(set(row) - set(KEYS)):
        found.append(Problem(at, f"has an unknown key {key!r}", ", ".join(KEYS), nearest(key, KEYS)))
    values = {k: row.get(k, "") for k in KEYS}
    wrong = [k for k, v in values.items() if not isinstance(v, str)]
    if wrong or not values["id"]:
        found.append(Problem(at, f"{wrong[0] if wrong else 'id'} is {row.get(wrong[0] if wrong else 'id')!r}", "a text"))
        return None
    if values["name"] and not NAME.fullmatch(values["name"]):
        found.append(Problem(f"{at}: name", f"is {values['name']!r}", NAME_RULE))
    if not numbers:
        return None  # said already
    if values["id"] not in numbers:
        found.append(Problem(f"{at}: id", f"is {values['id']!r}", ", ".join(numbers), nearest(values["id"], numbers)))
        return None
    name = "" if values["name"] == values["id"] else values["name"]
    return replace(numbers[values["id"]], name=name, note=values["note"])


def renamed(kept: DirectionSet, pairs: list[tuple[str, str]]) -> DirectionSet:
    """The set with names changed. Raises ShowError for an unknown or impossible name."""
    rows = list(kept.directions)
    for old, new in pairs:
        was = replace(kept, directions=tuple(rows)).by_name(old, "--rename")
        if not NAME.fullmatch(new):
            raise ShowError(Problem("--rename", repr(new), NAME_RULE))
        if any(new in (d.shown, d.id) for d in rows if d.id != was.id):
            raise ShowError(Problem("--rename", f"{new} is another direction's", "a name that no other has"))
        rows = [replace(d, name="" if new == d.id else new) if d.id == was.id else d for d in rows]
    return replace(kept, directions=tuple(rows))


def carried(old: DirectionSet, fresh: list[Direction]) -> tuple[Direction, ...]:
    """Fresh directions with the names, notes, places and signs that a person's old ones have; see the module's head."""
    assert all(d.method in METHODS for d in fresh)
    left = list(fresh)
    front: list[Direction] = []
    for was in old.directions:
        if not (was.name or was.note):
            continue
        alike = [(abs(float(d.vector @ was.vector)), d) for d in left
                 if (d.method, d.first, d.last) == (was.method, was.first, was.last)]  # fmt: skip
        likeness, now = max(alike, key=lambda pair: pair[0], default=(0.0, was))
        if likeness < ALIKE:
            front.append(was)
            continue
        left = [d for d in left if d is not now]
        sign = -1.0 if float(now.vector @ was.vector) < 0 else 1.0  # up stays up for the hand that knows it
        front.append(replace(now, vector=(now.vector * np.float32(sign)), name=was.name, note=was.note))
    taken: set[str] = set()
    out: list[Direction] = []
    for d in [*front, *left]:  # an old one that stays may hold the id of a fresh one
        free = next(i for i in (f"{d.id}{tail}" for tail in chain([""], LETTERS, count(2))) if i not in taken)
        taken |= {free, d.name} if d.name else {free}
        out.append(replace(d, id=free))
    return tuple(marked(out))
