"""Measures a remake against its film: renders what is needed, and looks at it with an encoder that no part of the fit has seen.

The encoder (tools/metrics_encoder.py) has learnt on the film alone, never on the generator, and is kept in the work folder.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from models.stylegan2 import Generator
from player.show.cut_list import CutList, Shot
from player.show.walk import Walk
from tools.metrics_encoder import Encoder, EncoderSettings, encoder_for
from tools.project_model import Spread, spread_of
from tools.remap_fit import render
from tools.remap_measure import (
    ShotMeasure,
    cut_sharpness,
    likeness,
    motion_correlation,
    motion_ratio,
    nearest_shot,
    same_set_up,
)
from tools.whole_file import write_whole

Pixels = npt.NDArray[np.uint8]
PAIRS = 16  # steps of a shot that are looked at
KNOWN = 32  # frames of a shot that others are compared with
RANDOM = 256  # pictures of the generator that know nothing of the film
MOTION_PX = 64  # of the pictures whose changes are compared: below the grain
KEPT = "measures.json"


@dataclass(frozen=True)
class Ruler:
    """What a film is measured with. known: feature vectors [n, d] of every shot's frames; random: [m, d] of the generator's own
    pictures; film: uint8 [frames, C, R, R]; inner: [x, y, w, h] of the square."""

    cuts: CutList
    film: Pixels
    inner: tuple[int, int, int, int]
    encoder: Encoder
    known: tuple[npt.NDArray[np.float32], ...]
    random: npt.NDArray[np.float32]

    def features(self, images: Pixels) -> npt.NDArray[np.float32]:
        """uint8 [n, C, R, R] -> [n, d]; what lies outside the film's part of the square is taken from the film."""
        x, y, w, h = self.inner
        whole = np.broadcast_to(self.film[:1], images.shape).copy()
        whole[..., y : y + h, x : x + w] = images[..., y : y + h, x : x + w]
        parts = [self.encoder(torch.from_numpy(whole[i : i + 64])) for i in range(0, len(whole), 64)]
        made: npt.NDArray[np.float32] = torch.cat(parts).cpu().numpy()
        return made

    def reduced(self, images: Pixels) -> npt.NDArray[np.float32]:
        """uint8 [n, C, R, R] -> the film's part in 0..1, reduced to MOTION_PX where it is larger."""
        x, y, w, h = self.inner
        part = torch.from_numpy(images[..., y : y + h, x : x + w].astype(np.float32) / 255)
        scale = min(1.0, MOTION_PX / max(w, h))
        size = max(1, round(h * scale)), max(1, round(w * scale))
        made: npt.NDArray[np.float32] = F.interpolate(part, size, mode="area").numpy()
        return made


def clean_frames(cuts: CutList, shot: Shot) -> npt.NDArray[np.int64]:
    """Frames that show the shot alone and wholly; all of its own where there are none."""
    mixes = [(f, cuts.mix_at(f)) for f in range(shot.start, shot.end)]
    alone = [f for f, m in mixes if m.outgoing is None and m.fade > 0.999]
    return np.array(alone or [f for f, _ in mixes], np.int64)


def steps_of(cuts: CutList, shot: Shot, most: int = PAIRS) -> npt.NDArray[np.int64]:
    """Frames of which each and the one after are looked at, spread over the shot; none for a shot of one frame."""
    clean = clean_frames(cuts, shot)
    first = clean[:-1][np.diff(clean) == 1]
    if len(first) == 0:
        return first
    return np.unique(first[np.linspace(0, len(first) - 1, min(most, len(first))).round().astype(int)])


def ruler_of(generator: Generator, cuts: CutList, film: Pixels, inner: tuple[int, int, int, int], folder: Path, seed: int = 0,
             settings: EncoderSettings | None = None, out: TextIO | None = None) -> Ruler:  # fmt: skip
    """The ruler of a film, its encoder from `folder` or trained (a minute of one core) and kept there."""
    encoder = encoder_for(film, folder, settings, out=out)
    bare = Ruler(cuts, film, inner, encoder, (), np.zeros((0, 1), np.float32))
    known = []
    for shot in cuts.shots:
        clean = clean_frames(cuts, shot)
        known.append(bare.features(film[clean[np.linspace(0, len(clean) - 1, min(KNOWN, len(clean))).round().astype(int)]]))
    w = spread_of(generator, RANDOM, seed + 1).samples
    return dataclasses.replace(bare, known=tuple(known), random=bare.features(as_bytes(render(generator, w))))


def as_bytes(images: torch.Tensor) -> Pixels:
    """-1..1 -> uint8."""
    made: Pixels = (images * 127.5 + 127.5).round().clamp(0, 255).byte().cpu().numpy()
    return made


def measured(ruler: Ruler, shot: Shot, pictures: Callable[[npt.NDArray[np.int64]], Pixels], off: float = float("nan"),
             cut: float | None = None, first: npt.NDArray[np.int64] | None = None) -> ShotMeasure:  # fmt: skip
    """One shot. pictures(film frames [n]) -> uint8 [n, C, R, R] of the remake. first: frames of which each and the one after
    are looked at, as steps_of gives them by default."""
    first = steps_of(ruler.cuts, shot) if first is None else first
    frames = np.unique(np.concatenate([first, first + 1])) if len(first) else clean_frames(ruler.cuts, shot)[:1]
    made, film = pictures(frames), ruler.film[frames]
    seen, true = ruler.features(made), ruler.features(film)
    small_made, small_film = ruler.reduced(made), ruler.reduced(film)
    at, after = np.searchsorted(frames, first), np.searchsorted(frames, first + 1)
    pairs = small_made[at], small_made[after], small_film[at], small_film[after]
    nearest = ruler.cuts.shots[nearest_shot(seen, ruler.known)]
    moved = float(np.abs(pairs[3] - pairs[2]).mean()) if len(first) else 0.0
    return ShotMeasure(shot.number, likeness(seen, true, ruler.random), nearest.number, same_set_up(nearest, shot),
                       motion_ratio(*pairs), motion_correlation(*pairs), cut, off, moved)  # fmt: skip


def walk_pictures(generator: Generator, walk: Walk, frames: npt.NDArray[np.int64]) -> Pixels:
    """The walk's pictures at film frames, uint8 [n, C, R, R]."""
    ws = np.stack([walk.ws_at(int(f)) for f in frames])  # [n, rows, w_dim]
    return as_bytes(render(generator, torch.from_numpy(ws)))


def _cut(ruler: Ruler, generator: Generator, walks: Mapping[int, Walk], shot: Shot) -> float | None:
    """Sharpness of the cut into a shot, None where it is none or the shot before has no walk."""
    before, after = walks.get(shot.number - 1), walks.get(shot.number)
    if shot.into != "cut" or before is None or after is None:
        return None
    old = walk_pictures(generator, before, np.array([shot.start - 2, shot.start - 1]))
    new = walk_pictures(generator, after, np.array([shot.start, shot.start + 1]))
    return cut_sharpness(ruler.reduced(np.concatenate([old, new])))


def _off(spread: Spread, walk: Walk, shot: Shot) -> float:
    """Root of the mean squared Mahalanobis distance of the walk's latents over w_dim: about 1 for samples."""
    w = np.stack([walk.ws_at(f) for f in range(shot.start, shot.end)])  # [n, rows, w_dim]
    return float(spread.distance(torch.from_numpy(w).to(spread.mean.device)).mean().sqrt())


def judged(ruler: Ruler, generator: Generator, walks: Mapping[int, Walk], folder: Path, told: str,
           tell: Callable[[int, int], None] | None = None) -> list[ShotMeasure]:  # fmt: skip
    """Every shot that has a walk. What was measured before is read from `folder`. told: what else measures depend on."""
    spread = spread_of(generator)
    kept, found, rows = _kept(folder / KEPT), [], {}
    for shot in ruler.cuts.shots:
        walk, before = walks.get(shot.number), walks.get(shot.number - 1)
        if walk is None:
            continue
        parts = [a.tobytes() for w in (before, walk) if w is not None for a in (w.keys, w.frames)]
        key = hashlib.sha256(b"".join([told.encode(), repr(shot).encode(), *parts])).hexdigest()
        one = _measure_from(kept.get(key))
        if one is None:
            pictures = functools.partial(walk_pictures, generator, walk)
            one = measured(ruler, shot, pictures, _off(spread, walk, shot), _cut(ruler, generator, walks, shot))
        found.append(one)
        rows[key] = dataclasses.asdict(one)
        if tell is not None:
            tell(len(found), len(walks))
    text = json.dumps(rows, indent=1)
    write_whole(folder / KEPT, lambda part: part.write_text(text, encoding="utf-8"))
    return found


def _kept(path: Path) -> dict[str, object]:
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
        return read if isinstance(read, dict) else {}
    except (OSError, ValueError):
        return {}


def _measure_from(row: object) -> ShotMeasure | None:
    """A measure that was kept, None for what is none."""
    names = {f.name for f in dataclasses.fields(ShotMeasure)}
    return ShotMeasure(**row) if isinstance(row, dict) and set(row) == names else None
