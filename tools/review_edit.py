"""What a hand changes in a cut list and a score: pure functions from one Work to the next, and the way back through them.

No files, no server: a Work is what stands on disk, and every deed gives one that a show can play, or refuses with
a sentence.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from player.show.cut_list import COLOURS, IN_KINDS, OUT_KINDS, CutList, Shot, problems_of
from player.show.problem import Problem, ShowError
from player.show.score import ENTRIES, Score, ScoreShot
from player.show.score import SOURCES as PLAYED
from tools.review_walks import SWAPPED, Candidate, brought_to, covering, covers, free_name, last_seen, own_name, same
from tools.score_comments import Comments

MOST_TEXT = 200  # letters of a label
MOST_STEPS = 500  # that can be undone
SOURCES = ("generator", "film", "black")
SWAP = "swap"  # the row's key in which remap reads which walk a shot plays instead of its own


@dataclass(frozen=True)
class Work:
    """A show's cut list and score. score: None where the show has none. source: what shots play that the score does not name.
    kept: key latents that cues call by name. folder: the score's, in which it names clips. comments: of the score's
    text."""

    cuts: CutList
    score: Score | None = None
    source: str = "film"
    kept: frozenset[str] = frozenset()
    folder: Path = Path()
    comments: Comments = field(default_factory=Comments)

    def row(self, number: int) -> ScoreShot:
        found = self.score.by_number(number) if self.score is not None else None
        return found or ScoreShot(number, source=self.source)


@dataclass(frozen=True)
class History:
    """A Work, and those before and after it with what was done between."""

    work: Work
    past: tuple[tuple[str, Work], ...] = ()
    future: tuple[tuple[str, Work], ...] = ()

    def done(self, what: str, work: Work) -> History:
        """After a deed; what had been undone is forgotten, and so is a deed that changed nothing."""
        if is_same_work(work, self.work):
            return self
        return History(work, (*self.past, (what, self.work))[-MOST_STEPS:])

    def undone(self) -> History:
        """One step back; itself at the beginning."""
        if not self.past:
            return self
        what, before = self.past[-1]
        return History(before, self.past[:-1], ((what, self.work), *self.future))

    def redone(self) -> History:
        """One step forward again; itself at the end."""
        if not self.future:
            return self
        what, after = self.future[0]
        return History(after, (*self.past, (what, self.work)), self.future[1:])


def refuse(where: str, given: str, allowed: str = "", hint: str = "") -> ShowError:
    return ShowError(Problem(where, given, allowed, hint))


def shot_of(work: Work, number: int) -> Shot:
    """Raises ShowError where there is no such shot."""
    shot = work.cuts.by_number(number)
    if shot is None:
        raise refuse("shot", f"there is no shot {number}", f"1 to {len(work.cuts.shots)}")
    return shot


def clean_text(text: str) -> str:
    """One line that every program shows: no line ends, no other control characters, no halves of a letter."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def marks_left(row: ScoreShot, before: Score, after: Score) -> ScoreShot:
    """Without the pins and bans of key latents that were there and are no more; remap would ask for them."""
    gone = set(before.key_names()) - set(after.key_names())
    return replace(row, pin=tuple(p for p in row.pin if p.partition("@")[0] not in gone),
                   ban=tuple(b for b in row.ban if b not in gone))  # fmt: skip


def with_shots(work: Work, *changed: Shot) -> Work:
    """Shots in the place of those of their numbers. Raises ShowError where the list would not be sound."""
    by_number = {s.number: s for s in changed}
    cuts = replace(work.cuts, shots=tuple(by_number.get(s.number, s) for s in work.cuts.shots))
    if found := problems_of(cuts, "cut list"):
        raise ShowError(found)
    return replace(work, cuts=cuts)


def with_row(work: Work, row: ScoreShot) -> Work:
    """A row in the place of the one of its number, or new in its order. Raises ShowError where there is no score."""
    if work.score is None:
        raise refuse(f"shot {row.number}", "this show has no score to write it in", "a [score] file", "cineml remap makes one")
    if row.source not in PLAYED:
        raise refuse(f"shot {row.number}", f"plays {row.source}", "a shot that plays " + ", ".join(PLAYED))
    rows = {r.number: r for r in work.score.shots} | {row.number: row}
    return replace(work, score=replace(work.score, shots=tuple(rows[n] for n in sorted(rows))))


def fitted(work: Work, *numbers: int) -> Work:
    """The walks of these shots reach from their first frame to their last again, and their pins stand inside; a walk that
    another shot plays too is copied first. An entry that glides needs a dissolve."""
    score = work.score
    for number in numbers:
        shot = work.cuts.by_number(number)
        row = score.by_number(number) if score is not None else None
        if score is None or shot is None or row is None:
            continue
        if row.entry == "glide" and shot.into != "dissolve":
            row = replace(row, entry="jump")
        walks, walk = dict(score.walks), score.walks.get(row.walk)
        if walk is not None and "generator" in row.sources and not covers(walk, shot.start, shot.end):
            made = covering(walk, shot.start, shot.end)
            if any(r.walk == row.walk and r.number != number for r in score.shots):
                name = free_name(own_name(number), walks)
                made = replace(made, name=name)
                row = replace(row, walk=name)
            walks[made.name] = made
        last = last_seen(work.cuts, shot)
        row = replace(row, pin=tuple(_inside(pin, replace(score, walks=walks), shot.start, last) for pin in row.pin))
        score = replace(score, walks=walks, shots=tuple(row if r.number == number else r for r in score.shots))
    return replace(work, score=score)


def _inside(pin: str, score: Score, first: int, last: int) -> str:
    """A pin, moved to the nearest of the shot's frames where it stood outside."""
    name, _, text = pin.partition("@")
    found = [int(f) for w in score.walks.values() for n, f in zip(w.names, w.frames, strict=True) if n == name]
    at = int(text) if text.isascii() and text.isdigit() else found[0] if found else first
    return pin if first <= at <= last else f"{name}@{min(max(at, first), last)}"


def move_cut(work: Work, number: int, to: int) -> Work:
    """Shot `number` begins at film frame `to`, and the shot before it ends there."""
    shot = shot_of(work, number)
    if number == 1:
        raise refuse("shot 1", "begins where the film does", "a later shot")
    before = shot_of(work, number - 1)
    least, most = before.start + max(1, before.in_frames, before.out_frames), shot.end - max(1, shot.in_frames, shot.out_frames)
    if not least <= to <= most:
        given = f"the cut cannot stand at frame {to}"
        raise refuse(f"shot {number}", given, f"frames {least} to {most}", "shorten the fade or dissolve, or join the shots")
    moved = with_shots(work, replace(before, end=to), replace(shot, start=to))
    return fitted(moved, number - 1, number)


def set_in(work: Work, number: int, kind: str, frames: int, colour: str) -> Work:
    """How a shot comes in: cut, dissolve or fade, over how many frames, from which colour."""
    shot = shot_of(work, number)
    if kind not in IN_KINDS or (kind == "dissolve" and number == 1):
        raise refuse(f"shot {number}: in", f"is {kind!r}", "cut or fade" if number == 1 else ", ".join(IN_KINDS))
    length, paint = _transition(shot, "in", kind, frames, colour)
    changed = with_shots(work, replace(shot, into=kind, in_frames=length, in_colour=paint))
    return fitted(changed, number - 1, number)


def set_out(work: Work, number: int, kind: str, frames: int, colour: str) -> Work:
    """How a shot ends: cut or fade."""
    shot = shot_of(work, number)
    if kind not in OUT_KINDS:
        raise refuse(f"shot {number}: out", f"is {kind!r}", ", ".join(OUT_KINDS))
    length, paint = _transition(shot, "out", kind, frames, colour)
    return with_shots(work, replace(shot, out=kind, out_frames=length, out_colour=paint))


def _transition(shot: Shot, end: str, kind: str, frames: int, colour: str) -> tuple[int, str]:
    """(frames, colour) as the cut list wants them for that kind. Raises ShowError."""
    if kind == "cut":
        return 0, ""
    if not 1 <= frames <= shot.frames:
        raise refuse(f"shot {shot.number}: {end}", f"{frames} frames", f"1 to {shot.frames}, the shot's length")
    if kind == "fade" and colour not in COLOURS:
        raise refuse(f"shot {shot.number}: {end}", f"a fade of {colour!r}", " or ".join(COLOURS))
    return frames, colour if kind == "fade" else ""


def set_text(work: Work, number: int, which: str, text: str) -> Work:
    """The label or the group of a shot."""
    cleaned = clean_text(text)
    if len(cleaned) > MOST_TEXT:
        raise refuse(f"shot {number}: {which}", f"{len(cleaned)} letters", f"at most {MOST_TEXT}")
    shot = shot_of(work, number)
    return with_shots(work, replace(shot, label=cleaned) if which == "label" else replace(shot, group=cleaned))


def set_lock(work: Work, number: int, on: bool) -> Work:
    shot_of(work, number)
    return with_row(work, replace(work.row(number), lock=on))


def set_entry(work: Work, number: int, entry: str) -> Work:
    """jump, or glide where the shot comes in by a dissolve."""
    if entry not in ENTRIES or (entry == "glide" and shot_of(work, number).into != "dissolve"):
        raise refuse(f"shot {number}: entry", f"is {entry!r}", "jump, or glide where the shot comes in by a dissolve")
    return with_row(work, replace(work.row(number), entry=entry))


def set_source(work: Work, number: int, source: str) -> Work:
    """What a shot plays: the generator (where it has a walk), the film itself, or black."""
    shot_of(work, number)
    row = work.row(number)
    if source not in SOURCES:
        raise refuse(f"shot {number}: source", f"is {source!r}", ", ".join(SOURCES))
    if source == "generator" and (work.score is None or row.walk not in work.score.walks):
        raise refuse(f"shot {number}", "has no walk to play", "film or black", "choose a walk for it, or cineml remap")
    return fitted(with_row(work, replace(row, source=source)), number)


def mark_key(work: Work, number: int, name: str, mark: str) -> Work:
    """A key latent of a shot: pinned, banned, or ('') neither. The next remap obeys."""
    shot_of(work, number)
    row = work.row(number)
    known = work.score is not None and (work.score.key(name) is not None or name in row.ban)
    if not known or mark not in ("pin", "ban", ""):
        raise refuse(f"shot {number}", f"{mark or 'no mark'} for {name[:60]!r}", "pin, ban or '' for a key latent")
    pins = tuple(p for p in row.pin if p.partition("@")[0] != name) + ((name,) if mark == "pin" else ())
    bans = tuple(b for b in row.ban if b != name) + ((name,) if mark == "ban" else ())
    return fitted(with_row(work, replace(row, pin=pins, ban=bans)), number)


def swap(work: Work, number: int, candidate: Candidate) -> Work:
    """The shot plays this walk. Its own is played as it is; another is brought to the shot's frames as remap would do it,
    under a name of its own, and the row says which one it is."""
    shot, row, score = shot_of(work, number), work.row(number), work.score
    if score is None:
        raise refuse(f"shot {number}", "this show has no score", "a [score] file", "cineml remap makes one")
    walks, extra = dict(score.walks), {k: v for k, v in row.extra.items() if k != SWAP}
    own, chosen, elsewhere = own_name(number), candidate.walk, {r.walk for r in score.shots if r.number != number}
    if walks.get(chosen.name) is not chosen:  # of the work folder: it must stand in the score to be named there
        chosen = replace(chosen, name=free_name(f"{chosen.name}.work", walks))
        walks[chosen.name] = chosen
    stands = own not in walks and chosen.name not in elsewhere and covers(chosen, shot.start, shot.end)
    if chosen.name == own or stands:
        made = chosen
        if own + SWAPPED not in elsewhere and chosen.name != own + SWAPPED:
            walks.pop(own + SWAPPED, None)
    else:
        made = brought_to(chosen, own + SWAPPED, shot.start, last_seen(work.cuts, shot))
        walks[made.name] = made
        extra[SWAP] = chosen.name
    new = replace(score, walks=walks)
    new = replace(new, shots=tuple(marks_left(r, score, new) for r in score.shots))  # another shot may have pinned what goes
    source = row.source if "generator" in row.sources else "generator"
    row = marks_left(replace(row, walk=made.name, source=source, extra=extra), score, new)
    return fitted(with_row(replace(work, score=new), row), number)


def is_same_work(a: Work, b: Work) -> bool:
    """Whether nothing on disk would differ."""
    if a.cuts != b.cuts or (a.score is None) != (b.score is None):
        return False
    if a.score is None or b.score is None or a.score is b.score:
        return True
    mine, theirs = a.score.walks, b.score.walks
    return a.score.shots == b.score.shots and mine.keys() == theirs.keys() and all(
        w is theirs[n] or (same(w, theirs[n]) and w.names == theirs[n].names) for n, w in mine.items())
