"""A corrected cut list beside the film: which of its boundaries look doubtful, and which strong candidates it lacks. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from player.show.cut_list import CutList
from tools.cuts_transition import DOUBTFUL, Found, Rejected, Transition, matched, spans_of

NEAR = 2  # frames
STRONG = 0.4  # a rejected candidate of this likelihood is worth a look


@dataclass(frozen=True)
class Recheck:
    """boundaries: of the list, in order, with the film's confidence in them and why. lacking: what the film has and the list
    has not, found boundaries first. looked: how many of the boundaries lie where the film was looked at."""

    boundaries: tuple[Transition, ...]
    lacking: tuple[Rejected, ...]
    looked: int

    @property
    def doubtful(self) -> tuple[Transition, ...]:
        """Those a person should look at."""
        return tuple(t for t in self.boundaries if t.confidence < DOUBTFUL)


def recheck(found: Found, cuts: CutList, first: int, last: int) -> Recheck:
    """Compares what was found in frames [first, last) with the list. Boundaries outside keep confidence 1."""
    listed = spans_of(cuts)
    inside = [k for k, t in enumerate(listed) if first < t.frame < last]
    pairs = matched([t.frame for t in found.transitions], [(listed[k].start, listed[k].end) for k in inside], NEAR)
    judged = list(listed)
    for k, pair in zip(inside, pairs, strict=True):
        judged[k] = _judged(listed[k], None if pair is None else found.transitions[pair], found)
    taken = {p for p in pairs if p is not None}
    lacking = [Rejected(t.frame, t.confidence, f"a {t.kind} that the list lacks: {t.why}")
               for i, t in enumerate(found.transitions) if i not in taken and not _near(t, listed)]  # fmt: skip
    lacking += [r for r in found.rejected if r.score >= STRONG and all(abs(r.frame - t.frame) > NEAR for t in listed)]
    return Recheck(tuple(judged), tuple(lacking), len(inside))


def _near(t: Transition, listed: list[Transition]) -> bool:
    """Whether a found boundary is a part of one in the list: the end of its fade, the middle of its dissolve."""
    return any(o.start - NEAR <= t.frame <= o.end + NEAR and o.end > o.start for o in listed)


def _judged(listed: Transition, seen: Transition | None, found: Found) -> Transition:
    if seen is None:
        beside = [r for r in found.rejected if abs(r.frame - listed.frame) <= NEAR]
        if beside:
            likest = max(beside, key=lambda r: r.score)
            return replace(listed, confidence=likest.score, why=f"doubtful: {likest.why}")
        return replace(listed, confidence=0.05, why="nothing changes here that looks like a boundary")
    away = seen.frame - listed.frame
    if away and seen.kind == listed.kind == "cut":
        side = "later" if away > 0 else "earlier"
        told = f"the film changes at frame {seen.frame}, {abs(away)} frame{'s' if abs(away) > 1 else ''} {side}"
        return replace(listed, confidence=min(0.4, seen.confidence), why=told)
    if seen.kind == "cut" and listed.kind != "cut":
        return replace(listed, confidence=0.5, why=f"looks like a hard cut at frame {seen.frame}")
    if seen.kind != "cut" and listed.kind == "cut":
        told = f"looks like a {seen.kind} over frames {seen.start} to {seen.end}"
        return replace(listed, confidence=min(0.5, seen.confidence), why=told)
    return replace(listed, confidence=seen.confidence, why=f"the film agrees: {seen.why}")
