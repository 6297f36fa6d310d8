"""The score that a remap writes: new walks, and everything that a person had set in the old one."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import numpy.typing as npt

from player.show.cut_list import CutList, Shot
from player.show.score import Score, ScoreShot, read_score
from player.show.walk import Walk


def walk_name(shot: Shot) -> str:
    return f"s{shot.number:02d}"


def as_walk(shot: Shot, keys: npt.NDArray[np.float32], frames: npt.NDArray[np.int64]) -> Walk:
    name = walk_name(shot)
    return Walk(name, keys, frames, tuple(f"{name}.f{f:04d}" for f in frames))


def existing_score(path: Path) -> Score | None:
    """The score that is there already, or None. Raises ShowError where it is unsound: it may hold a person's work."""
    return read_score(path) if path.is_file() else None


def score_of(cuts: CutList, walks: dict[int, Walk], old: Score | None, sha256: str, same: bool = False) -> Score:
    """The new score: walks by shot number, all else as the old score has it. A locked shot keeps its old walk.

    Walks that no shot plays stay too, as pins, bans and swaps may name them, unless they are another generator's. same: it is
    known to be the same one, though its file may be another.
    """
    shots = []
    kept = dict(old.walks) if old is not None and (same or old.generator_sha256 == sha256) else {}
    for shot in cuts.shots:
        was = old.by_number(shot.number) if old is not None else None
        if old is not None and was is not None and was.lock and was.walk in old.walks:
            shots.append(was)
            kept[was.walk] = old.walks[was.walk]
            continue
        if shot.number in walks:
            kept[walk_name(shot)] = walks[shot.number]
            base = was or ScoreShot(shot.number)
            if base.source == "black" and not base.walk:
                base = dataclasses.replace(base, source="generator")  # it was black because it was not done
            shots.append(dataclasses.replace(base, walk=walk_name(shot)))
        elif was is not None:
            shots.append(was)
            if old is not None and was.walk in old.walks:
                kept[was.walk] = old.walks[was.walk]
        else:
            shots.append(ScoreShot(shot.number, source="black"))  # not done yet: black says so on the screen
    return Score(tuple(shots), kept, sha256, old.extra if old is not None else {})
