"""A shot that plays another walk: `swap = "WALK"` in its [[shot]] of the score, or `--swap SHOT=WALK`.

The walk is brought to the shot's own frames and stands in the score as `s03.swap`; the shot's own, s03, stays beside it, so
that taking the line out brings it back. WALK: a walk of this score, or FILE.toml:WALK of another one of the same generator.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from player.show.cut_list import CutList, Shot
from player.show.problem import Problem, ShowError, nearest
from player.show.score import Score, ScoreShot, read_score
from player.show.walk import Walk
from tools.remap_score import walk_name
from tools.remap_target import walk_frames

KEY = "swap"
SWAPPED = ".swap"


def parse_swaps(texts: Sequence[str]) -> dict[int, str]:
    """--swap SHOT=WALK, each once -> {shot: walk}, '' to take a swap back. Raises ShowError."""
    found, made = [], {}
    for text in texts:
        number, equals, walk = text.partition("=")
        if not equals or not (number.strip().isascii() and number.strip().isdecimal() and len(number) < 10):
            found.append(Problem("--swap", text, "SHOT=WALK: 3=s07, or 3= to take it back"))
        else:
            made[int(number)] = walk.strip()
    if found:
        raise ShowError(found)
    return made


def wanted_swaps(old: Score | None, asked: Mapping[int, str]) -> dict[int, str]:
    """What each shot is to play instead of its own walk: what the score says, and over that what was asked for."""
    told = {s.number: str(s.extra[KEY]) for s in old.shots if s.extra.get(KEY)} if old is not None else {}
    return {number: walk for number, walk in (told | dict(asked)).items() if walk}


def found_walk(name: str, score: Score | None, folder: Path) -> Walk | None:
    """The walk of that name in the score, or of FILE.toml:WALK, FILE relative to `folder`. Raises ShowError for a bad FILE."""
    if score is not None and name in score.walks:
        return score.walks[name]
    file, colon, walk = name.rpartition(":")
    if not colon or not file.endswith(".toml"):
        return None
    other = read_score(folder / file)
    if score is not None and score.generator_sha256 and other.generator_sha256 not in ("", score.generator_sha256):
        raise ShowError(Problem(f"swap: {file}", "is of another generator", "a score of the same one"))
    return other.walks.get(walk)


def swap_problems(cuts: CutList, old: Score | None, swaps: Mapping[int, str], folder: Path) -> list[Problem]:
    """What is wrong with them."""
    found: list[Problem] = []
    known = list(old.walks) if old is not None else []
    own = [walk_name(s) for s in cuts.shots]
    for number, name in swaps.items():
        at = f"shot {number}: swap"
        if cuts.by_number(number) is None:
            found.append(Problem(at, f"there is no shot {number}", f"1 to {len(cuts.shots)}"))
            continue
        try:
            there = found_walk(name, old, folder) is not None or name in own
        except ShowError as e:
            found.extend(e.problems)
            continue
        if not there:
            allowed = "a walk of the score, or FILE.toml:WALK"
            found.append(Problem(at, f"names {name!r}", allowed, nearest(name, [*known, *own])))
        elif name == walk_name(cuts.shots[number - 1]):
            found.append(Problem(at, f"names {name!r}, its own walk", "another", f"--swap {number}= takes a swap back"))
    return found


def locked_problems(old: Score | None, asked: Mapping[int, str], where: str) -> list[Problem]:
    """What is wrong with asking for swaps of shots that are locked: they would not be done."""
    locked = {s.number for s in old.shots if s.lock} if old is not None else set()
    return [Problem(f"shot {n}: swap", "the shot is locked", "a shot that is not", f"lock = false in its [[shot]] of {where}")
            for n in asked if n in locked]  # fmt: skip


def brought_to(walk: Walk, name: str, frames: npt.NDArray[np.int64]) -> Walk:
    """The walk with its first key at the first of `frames`, its last at the last, and the others between as they stood."""
    first, last = int(frames[0]), int(frames[-1])
    if len(walk.frames) == 1 or last == first:
        return Walk(name, walk.keys[:1], np.array([first], np.int64), (f"{name}.f{first:04d}",))
    share = (walk.frames - walk.frames[0]) / (walk.frames[-1] - walk.frames[0])  # [K], 0..1
    at = np.unique(np.round(first + share * (last - first)).astype(np.int64))
    if len(at) == len(walk.frames):
        keys = walk.keys
    else:  # fewer frames than keys: what the walk is at each of them
        keys = np.stack([walk.latent_at((int(f) - first) / (last - first)) for f in at])
    return Walk(name, keys, at, tuple(f"{name}.f{f:04d}" for f in at))


def with_swaps(score: Score, cuts: CutList, swaps: Mapping[int, str], folder: Path) -> Score:
    """The score with every swap done, and shots whose swap was taken back at their own walk again. Locked shots stay."""
    walks, shots = dict(score.walks), []
    for row in score.shots:
        shot = cuts.by_number(row.number)
        if row.lock or shot is None:
            shots.append(row)
        elif row.number in swaps:
            shots.append(_swapped(row, shot, cuts, swaps[row.number], score, walks, folder))
        elif row.walk == walk_name(shot) + SWAPPED:
            own = walk_name(shot)
            extra = {k: v for k, v in row.extra.items() if k != KEY}
            source = row.source if own in walks else "black"
            shots.append(dataclasses.replace(row, walk=own if own in walks else "", source=source, extra=extra))
        else:
            shots.append(row)
    playing = {row.walk for row in shots}
    kept = {n: w for n, w in walks.items() if not n.endswith(SWAPPED) or n in playing}
    return dataclasses.replace(score, shots=tuple(shots), walks=kept)


def _swapped(row: ScoreShot, shot: Shot, cuts: CutList, name: str, score: Score, walks: dict[str, Walk],
             folder: Path) -> ScoreShot:  # fmt: skip
    """The row that plays the walk of that name, which is put among the walks."""
    walk = found_walk(name, score, folder)
    extra = {**row.extra, KEY: name}
    if walk is None:  # a shot's walk that is not made yet: done when it is
        return dataclasses.replace(row, extra=extra)
    made = brought_to(walk, walk_name(shot) + SWAPPED, walk_frames(cuts, shot))
    walks[made.name] = made
    source = "generator" if row.source == "black" else row.source
    return dataclasses.replace(row, walk=made.name, source=source, extra=extra)
