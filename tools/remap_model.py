"""Whether a score that is there already was made with the model of this remap: one score, one generator."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path

from player.show.problem import Problem
from player.show.score import Score

WEIGHTS = "weights_sha256"  # the key of a score in which remap says whose latents its walks are


def is_other(old: Score | None, weights: str, synthesis: str, record: Path | None = None) -> bool:
    """Whether the score's walks are another generator's. weights: hash of this model's; synthesis: of the synthesis.onnx that
    will play it. '' where either is not known. record: remap.json of the last remap. Two exports of one model are no others."""
    if old is None or not old.walks:
        return False
    told = old.extra.get(WEIGHTS) or (_recorded(record) if record is not None else "")
    if isinstance(told, str) and told and weights:
        return told != weights
    return bool(synthesis and old.generator_sha256) and synthesis != old.generator_sha256


def _recorded(record: Path) -> object:
    """What the last remap noted of its model's weights; a score of an older version says nothing itself."""
    try:
        return json.loads(record.read_text(encoding="utf-8"))["inputs"][WEIGHTS]
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def mixing_problems(old: Score, output: Path, model: Path, done: Collection[int], swaps: Mapping[int, str],
                    own: Mapping[str, int]) -> list[Problem]:  # fmt: skip
    """What is wrong with doing some shots only, where the score is another model's. done: the shots to do; swaps: shot ->
    walk; own: the number of the shot whose own walk has that name."""
    anew = {n for n, walk in swaps.items() if own.get(walk) in done}
    left = [s for s in old.shots if s.number not in done and s.number not in anew and "generator" in s.sources
            and s.walk in old.walks]  # fmt: skip
    if not left:
        return []
    named = ", ".join(f"{s.number} (locked)" if s.lock else str(s.number) for s in left[:8]) + (" ..." if len(left) > 8 else "")
    told = old.extra.get(WEIGHTS) or old.generator_sha256
    given = f"is of another model ({str(told)[:12]}) than {model}, and would keep its walks in {_shots(len(left))} {named}"
    return [Problem(str(output), given, "the model that it was made with", "unlock and remap all shots, or another -o")]


def _shots(count: int) -> str:
    return "shot" if count == 1 else "shots"
