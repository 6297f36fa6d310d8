"""Free walks, between random pictures of a model: what the shots of a new show play until `cineml remap` has made theirs."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from player.show.cut_list import Shot, read_csv
from player.show.problem import Problem, ShowError
from player.show.score import Score, ScoreShot, read_score
from player.show.toml_table import file_problem, read_toml
from player.show.walk import Walk
from tools.remap_model import WEIGHTS
from tools.score_comments import rewrite_score

PSI = 0.7  # pictures near the mean are whole more often
KEY_EVERY_S = 3
MADE_BY = "cineml new: free walks"


def is_free(score: Score | None) -> bool:
    """Whether nobody but `cineml new` made these walks, so that it may make others in their place."""
    return score is not None and score.extra.get("made_by") == MADE_BY


def free_score(model: Path, shots: Sequence[Shot], rate: Fraction, old: Score | None = None) -> Score:
    """A walk for every shot between random pictures, one every 3 s, drawn by their film frames. old: a score of free walks;
    what a person has set in it is kept, and its walks where they still cover their shots. Raises ShowError."""
    from player.sources.onnx_model import OnnxModel, sha256_of

    if found := [Problem(str(model / part), reason, "a folder of cineml gan export", f"cineml gan export CHECKPOINT -o {model}")
                 for part in ("mapping.onnx", "synthesis.onnx") if (reason := file_problem(model / part))]:  # fmt: skip
        raise ShowError(found)
    sha256 = sha256_of(model / "synthesis.onnx")
    kept = old.walks if old is not None and old.generator_sha256 == sha256 else {}
    mapping = OnnxModel(model / "mapping.onnx", "mapping", 1, ["cpu"])
    mapping.open()
    try:
        walks, rows = {}, []
        for shot in shots:
            row = (old.by_number(shot.number) if old is not None else None) or ScoreShot(shot.number)
            walk = kept.get(row.walk)
            if walk is None or not _covers(walk, shot):
                walk = _free_walk(mapping, shot, max(1, round(KEY_EVERY_S * rate)))
            walks[walk.name] = walk
            rows.append(dataclasses.replace(row, walk=walk.name))
        extra = dict(old.extra) if old is not None else {}
        weights = mapping.facts.hashes.get("weights", "")
        return Score(tuple(rows), walks, sha256, {**extra, "made_by": MADE_BY, **({WEIGHTS: weights} if weights else {})})
    finally:
        mapping.close()


def unchanged(old: Score, made: Score) -> bool:
    """Whether free_score had nothing to make."""
    same_walks = made.walks.keys() == old.walks.keys() and all(made.walks[n] is old.walks[n] for n in made.walks)
    return same_walks and made.shots == old.shots and made.generator_sha256 == old.generator_sha256


def _covers(walk: Walk, shot: Shot) -> bool:
    return int(walk.frames[0]) == shot.start and int(walk.frames[-1]) == shot.end - 1


def _free_walk(mapping: object, shot: Shot, step: int) -> Walk:
    """One shot's. mapping: an OnnxModel that is open."""
    from player.sources.onnx_model import OnnxModel

    assert isinstance(mapping, OnnxModel)
    last = shot.end - 1
    frames = sorted({*range(shot.start, last, step), last})
    if len(frames) > 2 and frames[-1] - frames[-2] < step // 2:
        del frames[-2]
    keys = []
    for frame in frames:
        mapping.inputs["z"][:] = np.random.RandomState(frame).randn(1, mapping.facts.z_dim)
        mapping.inputs["psi"][...] = PSI
        mapping.inputs["cutoff"][...] = mapping.facts.num_ws
        if "c" in mapping.inputs:
            mapping.inputs["c"][:] = np.eye(1, mapping.facts.c_dim)
        keys.append(mapping.run()[0].astype(np.float32).copy())  # [num_ws, w_dim]
    name = f"s{shot.number:02d}"
    return Walk(name, np.stack(keys), np.array(frames, np.int64), tuple(f"{name}.f{frame:04d}" for frame in frames))


def follow_cuts(show: Path) -> int:
    """Free walks anew where the show at `show` plays such and has another cut list now, so that it stays playable. Returns
    how many shots they are for, 0 where there was nothing to do: a score that holds more than free walks is left alone.

    Raises ShowError.
    """
    tables = read_toml(show, "a show")

    def named(table: str, key: str) -> Path | None:
        value = tables[table].get(key) if isinstance(tables.get(table), dict) else None
        return show.parent / value if isinstance(value, str) and value else None

    score_at, model, cuts_at = named("score", "file"), named("generator", "folder"), named("film", "cuts")
    if score_at is None or model is None or cuts_at is None or not score_at.is_file():
        return 0
    old = None
    with contextlib.suppress(ShowError):  # the player says what is wrong with it
        old = read_score(score_at)
    if old is None or not is_free(old):
        return 0
    cuts = read_csv(cuts_at)
    made = free_score(model, cuts.shots, cuts.rate, old)
    if unchanged(old, made):
        return 0
    rewrite_score(made, score_at)
    return len(cuts.shots)
