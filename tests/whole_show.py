"""A small show with everything in it, as TOML beside its files, for the tests of how shows are read."""

from __future__ import annotations

import hashlib
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from player.show.config import load_show
from player.show.cut_list import CutList, Shot, write_csv
from player.show.problem import Problem, ShowError
from player.show.score import Score, ScoreShot, write_score
from player.show.show import Show
from player.show.walk import Walk

FRAMES = 96
SHOTS = (Shot(1, 0, 48), Shot(2, 48, 72), Shot(3, 72, 96, "dissolve", 8))
WHOLE = """
name = "whole"
[film]
file = "film.mp4"
sound = "sound.wav"
cuts = "cuts.csv"
[play]
source = "generator"
look = "night"
[generator]
folder = "models"
[score]
file = "score.toml"
[fallback]
file = "film.mp4"
[look.night]
grain = 0.5
hold = true
[[cue]]
name = "dark"
at = "00:00:01:00"
send = [["/cineml/output/fade", 0.0, 2.0], ["/cineml/sound/mute", true]]
[[cue]]
go = true
send = [["/cineml/look/select", "night"], ["/cineml/transport/pause"]]
"""


def probe(path: Path) -> tuple[Fraction, int, int, int]:
    """In place of opening the film: its rate, frames, width and height."""
    if path.read_bytes() == b"broken":
        raise ShowError(Problem(path.name, "is truncated"))
    return Fraction(24), FRAMES, 480, 360


def walk(name: str, first: int, last: int) -> Walk:
    keys = np.zeros((2, 1, 4), np.float32)
    return Walk(name, keys, np.array([first, last]), (f"{name}.a", f"{name}.b"))


def made_folder(at: Path, shots: tuple[Shot, ...] = SHOTS) -> Path:
    """Everything that WHOLE names in the folder, sound in itself; only the film is not a film."""
    (at / "film.mp4").write_bytes(b"film")
    (at / "sound.wav").write_bytes(b"sound")
    write_csv(CutList("film.mp4", Fraction(24), shots[-1].end, shots), at / "cuts.csv")
    (at / "models").mkdir()
    for part in ("mapping.onnx", "synthesis.onnx"):
        (at / "models" / part).write_bytes(part.encode())
    rows = tuple(ScoreShot(s.number, f"w{s.number}", entry="glide" if s.into == "dissolve" else "jump") for s in shots)
    walks = {f"w{s.number}": walk(f"w{s.number}", s.start, s.end - 1) for s in shots}
    write_score(Score(rows, walks, hashlib.sha256(b"synthesis.onnx").hexdigest()), at / "score.toml")
    return at


def show_of(folder: Path, text: str = WHOLE) -> Show:
    (folder / "show.toml").write_text(text, encoding="utf-8")
    return load_show(folder / "show.toml", probe)


def problems(folder: Path, text: str = WHOLE) -> list[str]:
    """What is said of the show in the folder."""
    with pytest.raises(ShowError) as e:
        show_of(folder, text)
    return [str(p) for p in e.value.problems]


def the_problem(folder: Path, text: str = WHOLE) -> str:
    found = problems(folder, text)
    assert len(found) == 1, found
    return found[0]


def changed(old: str, new: str) -> str:
    assert old in WHOLE
    return WHOLE.replace(old, new, 1)
