"""Which frames of a walk have key latents, and what a person has said of them: pinned ones stay, banned ones do not come again.

A pin or ban names a key as the score does: `s03.f0040`. `NAME@FRAME` pins a key of anywhere at a film frame of this shot.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from player.show.cut_list import Shot
from player.show.problem import Problem, ShowError, nearest
from player.show.score import Score
from player.show.walk import Walk
from tools.remap_fit import key_frames, spline_basis

Codes = npt.NDArray[np.float64]
TOLERANCE = 0.2  # of sqrt(w_dim) deviations: a key more wherever the spline is further from the codes
LEAST_GAP, MOST_GAP = 2, 3  # frames between keys
FIRST_GAP = 8  # of the keys that the search begins with
BAN_RADIUS = 0.25  # of sqrt(w_dim) deviations: nearer than this is the banned latent again; two samples are sqrt(2) apart
BANNED = ".banned"  # ends the name of the walk in which a score remembers what was banned in a shot
FRAME_OF = re.compile(r"\.f(\d+)(?:\.\d+)?$")


@dataclass(frozen=True)
class Wishes:
    """What a person has said of one shot's keys. pinned: latents [rows, w_dim] by film frame, names: theirs. banned: latents
    [w_dim] (the mean of their rows) by name."""

    pinned: Mapping[int, npt.NDArray[np.float32]] = field(default_factory=dict)
    names: Mapping[int, str] = field(default_factory=dict)
    banned: Mapping[str, npt.NDArray[np.float32]] = field(default_factory=dict)

    @property
    def told(self) -> bool:
        """Whether anything was said."""
        return bool(self.pinned or self.banned)

    def latents_told(self) -> str:
        """For a fingerprint; '' where nothing was said. Names are not in it: a shot's other number gives its keys others."""
        if not self.told:
            return ""
        pins = [(f, np.round(k, 5).tolist()) for f, k in sorted(self.pinned.items())]
        return repr((pins, sorted(np.round(k, 5).tolist() for k in self.banned.values())))


def key_frame_of(score: Score, name: str) -> tuple[npt.NDArray[np.float32], int] | None:
    """A key latent [rows, w_dim] of a score and the film frame where it stands, or None."""
    for walk in score.walks.values():
        if name in walk.names:
            at = walk.names.index(name)
            return walk.keys[at], int(walk.frames[at])
    return None


def wishes_of(score: Score | None, shot: Shot, last: int, where: str = "the score") -> Wishes:
    """The pins and bans of a shot, looked up in the score. last: the last film frame that its walk is seen at.

    Raises ShowError for names that are none, and for pins at frames that are not this shot's.
    """
    row = score.by_number(shot.number) if score is not None else None
    if score is None or row is None:
        return Wishes()
    found: list[Problem] = []
    pinned: dict[int, npt.NDArray[np.float32]] = {}
    names: dict[int, str] = {}
    banned: dict[str, npt.NDArray[np.float32]] = {}
    for what, texts in (("pin", row.pin), ("ban", row.ban)):
        at = f"{where}: shot {shot.number}: {what}"
        for text in texts:
            name, _, frame_text = text.partition("@") if what == "pin" else (text, "", "")
            # A key that stands here already, pinned so, stays what it is though the one that it was has been done anew.
            key = key_frame_of(score, text) or key_frame_of(score, name)
            if key is None:
                found.append(Problem(at, f"names {text!r}", "a key latent of the score", nearest(name, score.key_names())))
            elif what == "ban":
                banned[name] = key[0].mean(axis=0)
            elif frame_text and not (frame_text.isascii() and frame_text.isdecimal()):
                found.append(Problem(at, f"{text!r}: {frame_text!r} is no frame", "NAME@FRAME, a film frame"))
            else:
                frame = int(frame_text) if frame_text else key[1]
                if not shot.start <= frame <= last:
                    found.append(Problem(at, f"{text!r} stands at frame {frame}", f"frames {shot.start} to {last}",
                                         f"{name}@{shot.start}"))  # fmt: skip
                pinned[frame], names[frame] = key[0], text
    if found:
        raise ShowError(found)
    return Wishes(pinned, names, banned)


def greedy_keys(frames: npt.NDArray[np.int64], codes: Codes, end: int, tolerance: float,
                always: Sequence[int] = (), never: Sequence[int] = ()) -> npt.NDArray[np.int64]:  # fmt: skip
    """Film frames of the keys: the first, the shot's last, the walk's last and `always`; then one more wherever the
    spline through codes [n, w_dim] at the keys is furthest from them, until it is nowhere further than `tolerance`; and between
    those so many that none are more than MOST_GAP apart: codes that were only estimated move less than the film does.

    Keys stand LEAST_GAP apart at least, but for those of `always`. never: frames that get none unless they must.
    """
    edges = {int(frames[0]), int(frames[-1]), end - 1} & set(frames.tolist())
    chosen = edges | (set(key_frames(frames, end, FIRST_GAP).tolist()) - set(never)) | set(always)
    barred = np.isin(frames, list(never))
    while True:
        at = np.array(sorted(chosen), np.int64)
        basis = spline_basis(at, frames)  # [n, K]
        off = np.linalg.norm(basis @ codes[at - frames[0]] - codes, axis=1)  # [n]
        near = np.abs(frames[:, None] - at[None]).min(axis=1) < LEAST_GAP
        off[near | barred] = 0
        worst = int(off.argmax())
        if off[worst] <= tolerance:
            break
        chosen.add(int(frames[worst]))
    for a, b in zip(at, at[1:], strict=False):
        between = np.round(np.linspace(a, b, -(-int(b - a) // MOST_GAP) + 1)).astype(int)[1:-1]
        chosen |= set(between.tolist()) - set(never)
    return np.array(sorted(chosen), np.int64)


def banned_frames(wishes: Wishes, walk: str) -> list[int]:
    """The film frames at which a shot's own keys are banned: none stands there again, unless the shot ends there."""
    found = [(n, FRAME_OF.search(n)) for n in wishes.banned]
    return [int(m[1]) for n, m in found if m is not None and n.startswith(f"{walk}.")]


def named_walk(walk: str, keys: npt.NDArray[np.float32], frames: npt.NDArray[np.int64], wishes: Wishes) -> Walk:
    """The walk with its keys' names: s03.f0040, as a pin says it, and another where that name is banned."""
    names: list[str] = []
    for frame in frames:
        text = wishes.names.get(int(frame), "")
        name = text or f"{walk}.f{frame:04d}"
        count, plain = 2, name
        while name in wishes.banned:
            name, count = f"{plain}.{count}", count + 1
        names.append(name)
    return Walk(walk, keys, frames, tuple(names))


def banned_walk(walk: str, banned: Mapping[str, npt.NDArray[np.float32]]) -> Walk | None:
    """The walk in which a score remembers the banned latents of a shot, so that the ban can be read again; None for none."""
    if not banned:
        return None
    keys = np.stack([b[None] for b in banned.values()]).astype(np.float32)  # [B, 1, w_dim]
    return Walk(walk + BANNED, keys, np.arange(len(keys), dtype=np.int64), tuple(banned))
