"""Walks as a hand may change them: stretched to a moved cut, brought to another shot, joined; and which ones a shot may play.

A walk that takes the place of a shot's own is named as `cineml remap` names it (`s03.swap`, with `swap = "WALK"` in the row),
so that the next remap does the same again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from player.show.cut_list import CutList, Shot
from player.show.score import Score
from player.show.walk import Walk

SWAPPED = ".swap"
BANNED = ".banned"  # ends the name of a walk that only remembers what was banned
MAX_PART_BYTES = 1 << 28


@dataclass(frozen=True)
class Candidate:
    """A walk that a shot might play. id: unique in a list, stable while the files are. why: where it comes from, for a
    person. shot: whose walk it is, 0 where nobody's. near: it is of this very shot or of its group."""

    id: str
    walk: Walk
    why: str
    shot: int = 0
    near: bool = False


def own_name(number: int) -> str:
    """The name that remap gives to a shot's own walk."""
    return f"s{number:02d}"


def last_seen(cuts: CutList, shot: Shot) -> int:
    """The last film frame at which a shot's walk is seen: a dissolve goes on past its end."""
    following = cuts.by_number(shot.number + 1)
    over = following.in_frames if following is not None and following.into == "dissolve" else 0
    return min(shot.end - 1 + over, cuts.frames - 1)


def covers(walk: Walk, start: int, end: int) -> bool:
    """Whether a show would play it in a shot of [start, end)."""
    first, last = int(walk.frames[0]), int(walk.frames[-1])
    if len(walk.frames) == 1:
        return start <= first < end
    return first <= start and last >= end - 1


def covering(walk: Walk, start: int, end: int) -> Walk:
    """The walk with its outermost keys moved outwards where [start, end) is not covered; itself where it is."""
    if covers(walk, start, end):
        return walk
    frames = walk.frames.copy()
    if len(frames) == 1:
        frames[0] = min(max(int(frames[0]), start), end - 1)
    else:
        frames[0], frames[-1] = min(int(frames[0]), start), max(int(frames[-1]), end - 1)
    return replace(walk, frames=frames)


def brought_to(walk: Walk, name: str, first: int, last: int) -> Walk:
    """The walk at film frames first..last: its first key at the first, its last at the last, the others between."""
    if len(walk.frames) == 1 or last <= first:
        return Walk(name, walk.keys[:1], np.array([first], np.int64), (f"{name}.f{first:04d}",))
    share = (walk.frames - walk.frames[0]) / (walk.frames[-1] - walk.frames[0])  # [K], 0..1
    at = np.unique(np.round(first + share * (last - first)).astype(np.int64))
    keys = walk.keys
    if len(at) != len(walk.frames):  # fewer frames than keys: what the walk is at each of them
        keys = np.stack([walk.latent_at((int(f) - first) / (last - first)) for f in at])
    return Walk(name, keys, at, tuple(f"{name}.f{f:04d}" for f in at))


def joined(before: Walk, after: Walk, boundary: int) -> Walk:
    """One walk of two that meet at a film frame: the keys of `before` up to it, those of `after` from it on."""
    if same(before, after):
        return before
    if before.keys.shape[1:] != after.keys.shape[1:]:
        rows = max(before.keys.shape[1], after.keys.shape[1])
        before, after = (replace(w, keys=np.repeat(w.keys, rows // w.keys.shape[1], axis=1)) for w in (before, after))
    left, right = before.frames < boundary, after.frames >= boundary
    frames = np.concatenate([before.frames[left], after.frames[right]])
    if not len(frames):
        return before
    sides = (before.names, left), (after.names, right)
    names = [n for side, kept in sides for n, keep in zip(side, kept, strict=True) if keep]
    return Walk(before.name, np.concatenate([before.keys[left], after.keys[right]]), frames, tuple(names))


def same(a: Walk, b: Walk) -> bool:
    """Whether two walks are one path, whatever they are called."""
    return a.keys.shape == b.keys.shape and bool(np.array_equal(a.frames, b.frames) and np.array_equal(a.keys, b.keys))


def digest(walk: Walk) -> bytes:
    """What the pictures of a walk depend on."""
    return walk.keys.tobytes() + walk.frames.tobytes()


def renamed(walk: Walk, name: str, kept: Iterable[str] = ()) -> Walk:
    """The walk by another name, its keys' names with it, but for those in `kept`, which something else calls by name."""
    kept = frozenset(kept)
    names = tuple(n if n in kept or not n.startswith(f"{walk.name}.") else name + n[len(walk.name):] for n in walk.names)
    return replace(walk, name=name, names=names)


def free_name(name: str, taken: Mapping[str, object]) -> str:
    """`name`, or with a number behind it where that is taken."""
    count, made = 2, name
    while made in taken:
        made, count = f"{name}.{count}", count + 1
    return made


def _parts(folder: Path) -> Iterator[tuple[str, npt.NDArray[np.float32], npt.NDArray[np.int64], str]]:
    """What remap has kept of single shots (name, keys, frames, a note); what cannot be read is passed over: the folder is
    another program's, and may be written at this moment."""
    for path in sorted(folder.glob("s*.npz")):
        try:
            if path.stat().st_size > MAX_PART_BYTES:
                continue
            with np.load(path, allow_pickle=False) as data:
                if "keys" not in data or "frames" not in data:
                    continue
                keys, frames = data["keys"].astype(np.float32), data["frames"].astype(np.int64)
                told = json.loads(str(data["told"])) if "told" in data else {}
        except Exception:  # a damaged archive raises whatever its zip, its zlib or its header meets first
            continue
        error = told.get("error") if isinstance(told, dict) else None
        yield path.stem, keys, frames, f", difference {error:.3f}" if isinstance(error, float) else ""


def candidates(cuts: CutList, score: Score | None, number: int, folder: Path | None) -> list[Candidate]:
    """The walks that shot `number` might play, but for the one it plays: those of this shot, those of its group, then all
    others by their distance in the film. folder: remap's work folder, where there is one."""
    shot = cuts.by_number(number)
    if score is None or shot is None:
        return []
    row = score.by_number(number)
    now = score.walks.get(row.walk) if row is not None else None
    player = {r.walk: r.number for r in reversed(score.shots) if "generator" in r.sources}
    widths = {w.keys.shape[2] for w in score.walks.values()}
    found: list[Candidate] = []

    def add(id_: str, walk: Walk, owner: int, note: str) -> None:
        other = cuts.by_number(owner)
        of_this = owner == number or walk.name == own_name(number) or walk.name.startswith(f"{own_name(number)}.")
        if of_this:
            why = "this shot's own" if walk.name == own_name(number) else f"of this shot ({walk.name})"
        elif other is not None:
            why = f"shot {owner}" + (f", {other.label}" if other.label else "")
            why += "" if walk.name == own_name(owner) else f" ({walk.name})"
        else:
            why = walk.name
        grouped = other is not None and bool(shot.group) and other.group == shot.group
        found.append(Candidate(id_, walk, why + note, 0 if of_this else owner, of_this or grouped))

    for walk in score.walks.values():
        if not walk.name.endswith(BANNED) and walk is not now:
            add(f"score:{walk.name}", walk, player.get(walk.name, number_in(walk.name)), "")
    for name, keys, frames, note in _parts(folder) if folder is not None else ():
        try:
            walk = Walk(name, keys, frames, tuple(f"{name}.f{f:04d}" for f in frames))
        except ValueError:
            continue
        fits = not widths or walk.keys.shape[2] in widths
        if fits and not any(same(walk, w) for w in score.walks.values()):
            add(f"work:{name}", walk, number_in(name), f", as remap kept it{note}")

    def order(c: Candidate) -> tuple[bool, bool, int]:
        other = cuts.by_number(c.shot)
        return not (c.near and c.shot == 0), not c.near, abs(other.start - shot.start) if other is not None else cuts.frames

    return sorted(found, key=order)


def number_in(name: str) -> int:
    """The shot that a walk is named after; 0 for none."""
    digits = name.partition(".")[0].removeprefix("s")
    return int(digits) if name.startswith("s") and digits.isascii() and digits.isdigit() and len(digits) < 10 else 0
