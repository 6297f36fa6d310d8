"""A small show for tests of the review: a numbered film of four shots, a generator of a few kilobytes, a score."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np

from player.show.cut_list import CutList, Shot, write_csv
from player.show.score import Score, ScoreShot, write_score
from player.show.walk import Walk
from player.sources.onnx_model import sha256_of
from tests.numbered_film import write_numbered
from tests.tiny_model import W_DIM, write_tiny_generator

SHOTS = (Shot(1, 0, 12, label="one", group="room"), Shot(2, 12, 20), Shot(3, 20, 32, "dissolve", 4, group="room"),
         Shot(4, 32, 40, out="fade", out_frames=3, out_colour="black"))  # fmt: skip
FRAMES = 40


def write_show(folder: Path, score: bool = True) -> Path:
    """show.toml and all that it names; score: with a generator and walks for all shots but the last, which plays the film."""
    folder.mkdir(parents=True, exist_ok=True)
    write_numbered(folder / "film.mp4", Fraction(24), FRAMES)
    write_csv(CutList("film.mp4", Fraction(24), FRAMES, SHOTS), folder / "cuts.csv")
    text = 'name = "small"\n[film]\nfile = "film.mp4"\ncuts = "cuts.csv"\n'
    if score:
        write_tiny_generator(folder / "models")
        rng, walks = np.random.default_rng(2), {}
        for s in SHOTS[:3]:
            name, frames = f"s{s.number:02d}", np.array([s.start, (s.start + s.end) // 2, s.end - 1])
            walks[name] = Walk(name, rng.standard_normal((3, 1, W_DIM)).astype(np.float32), frames,
                               tuple(f"{name}.f{f:04d}" for f in frames))  # fmt: skip
        rows = [ScoreShot(s.number, f"s{s.number:02d}", extra={"mood": "grey"}) for s in SHOTS[:3]]
        rows.append(ScoreShot(4, source="film"))
        sha256 = sha256_of(folder / "models" / "synthesis.onnx")
        write_score(Score(tuple(rows), walks, sha256, {"by": "hand"}), folder / "score.toml")
        text += '[play]\nsource = "film"\n[generator]\nfolder = "models"\n[score]\nfile = "score.toml"\n'
    (folder / "show.toml").write_text(text, encoding="utf-8")
    return folder / "show.toml"
