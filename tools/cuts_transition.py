"""What lies between two shots, and the cut list that follows from all of it. Pure: no film is read here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Literal

from player.show.cut_list import CutList, Shot

Kind = Literal["cut", "dissolve", "fade"]
DOUBTFUL = 0.6  # below this confidence a person should look


@dataclass(frozen=True)
class Transition:
    """One boundary. frame: the first frame of the new shot.

    start, end: frames [start, end) that are neither shot alone; start == end == frame for a cut.
    out_frames, out_colour: the old shot's last so many frames go to black or white (0, '').
    in_frames: the new shot's first so many frames are mixed: with the old shot (kind dissolve) or with in_colour (kind fade).
    confidence: 0..1, 0.5 is as likely as not. why: in a person's words.
    """

    frame: int
    kind: Kind
    start: int
    end: int
    confidence: float
    why: str
    in_frames: int = 0
    in_colour: str = ""
    out_frames: int = 0
    out_colour: str = ""

    def told(self) -> dict[str, Any]:
        """As JSON has it."""
        return {"frame": self.frame, "kind": self.kind, "start": self.start, "end": self.end,
                "confidence": round(self.confidence, 3), "why": self.why}  # fmt: skip


@dataclass(frozen=True)
class Rejected:
    """A candidate that was looked at and is no boundary, so that a person can add it. score: as Transition.confidence."""

    frame: int
    score: float
    why: str

    def told(self) -> dict[str, Any]:
        """As JSON has it."""
        return {"frame": self.frame, "score": round(self.score, 3), "why": self.why}


@dataclass(frozen=True)
class Ends:
    """What the film's own first and last frames do: a fade in from in_colour, a fade out to out_colour; 0 and '' are none."""

    in_frames: int = 0
    in_colour: str = ""
    out_frames: int = 0
    out_colour: str = ""


@dataclass(frozen=True)
class Found:
    """All that detection says about a film: boundaries in order, what was rejected, and the film's own ends."""

    transitions: tuple[Transition, ...]
    rejected: tuple[Rejected, ...]
    ends: Ends = Ends()


def cut_list(found: Found, film: str, rate: Fraction, frames: int) -> CutList:
    """The shots between the transitions, covering the film. Lengths of fades and dissolves are held within their shots."""
    inner = [t for t in found.transitions if 0 < t.frame < frames]
    starts = [0, *(t.frame for t in inner)]
    shots = [Shot(i + 1, start, end) for i, (start, end) in enumerate(zip(starts, [*starts[1:], frames], strict=True))]
    shots = [shot_with_ends(shot, None if i == 0 else inner[i - 1], inner[i] if i < len(inner) else None, found.ends)
             for i, shot in enumerate(shots)]  # fmt: skip
    return CutList(film, rate, frames, tuple(shots))


def shot_with_ends(shot: Shot, before: Transition | None, after: Transition | None, ends: Ends) -> Shot:
    """The shot with how it comes in (before; None: the film begins) and goes out (after; None: the film ends)."""
    in_frames, in_colour = (ends.in_frames, ends.in_colour) if before is None else (before.in_frames, before.in_colour)
    out_frames, out_colour = (ends.out_frames, ends.out_colour) if after is None else (after.out_frames, after.out_colour)
    dissolves = before is not None and before.kind == "dissolve"
    in_frames = min(in_frames, shot.frames)
    out_frames = min(out_frames, shot.frames - in_frames)  # a mix in and a mix out of one frame cannot be told apart
    made = shot
    if in_frames and dissolves:
        made = replace(made, into="dissolve", in_frames=in_frames)
    elif in_frames and in_colour:
        made = replace(made, into="fade", in_frames=in_frames, in_colour=in_colour)
    if out_frames and out_colour:
        made = replace(made, out="fade", out_frames=out_frames, out_colour=out_colour)
    return made


def spans_of(cuts: CutList) -> list[Transition]:
    """The boundaries of a cut list as transitions, with the confidence of a person: 1."""
    made = []
    for old, new in zip(cuts.shots, cuts.shots[1:], strict=False):
        start, end = new.start - old.out_frames, new.start + new.in_frames
        kind: Kind = "dissolve" if new.into == "dissolve" else "fade" if new.into == "fade" or old.out == "fade" else "cut"
        made.append(Transition(new.start, kind, start, end, 1.0, "in the list", new.in_frames, new.in_colour,
                               old.out_frames, old.out_colour))  # fmt: skip
    return made


def matched(found: Sequence[int], truth: Sequence[tuple[int, int]], slack: int = 2) -> list[int | None]:
    """For every marked transition [start, end] the index of the detection that counts for it, once each: one that lies in
    [start - slack, end + slack]; the shortest ranges choose first, so that a long fade takes no cut's detection."""
    taken: set[int] = set()
    result: list[int | None] = [None] * len(truth)
    for i in sorted(range(len(truth)), key=lambda i: truth[i][1] - truth[i][0]):
        start, end = truth[i]
        inside = [k for k, frame in enumerate(found) if start - slack <= frame <= end + slack and k not in taken]
        if inside:
            best = min(inside, key=lambda k: max(start - found[k], found[k] - end, 0) + abs(found[k] - start) * 1e-6)
            taken.add(best)
            result[i] = best
    return result
