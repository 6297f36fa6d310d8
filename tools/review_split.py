"""One shot made two, two made one, in cut list and score alike: all later shots get other numbers, and what bears a shot's
number in the score (rows, walks, key latents, pins, bans) goes along."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from player.show.cut_list import Shot, problems_of
from player.show.problem import ShowError
from player.show.score import Score, ScoreShot
from player.show.walk import Walk
from tools.review_edit import SWAP, Work, fitted, marks_left, refuse, shot_of, with_row
from tools.review_walks import free_name, joined, number_in, own_name, renamed
from tools.score_comments import HEAD, Comments


def _shifted(work: Work, shots: tuple[Shot, ...], old_of: Mapping[int, int], rows: Mapping[int, ScoreShot],
             gone: tuple[int, int] = (0, 0)) -> Work:  # fmt: skip
    """A list of other numbers. old_of: which shot each new number was, for those whose rows go along; rows: the others. gone:
    the old number of a shot that is no more, and the shot that inherits its walks."""
    cuts = replace(work.cuts, shots=tuple(replace(s, number=i) for i, s in enumerate(shots, 1)))
    if found := problems_of(cuts, "cut list"):
        raise ShowError(found)
    if work.score is None:
        return replace(work, cuts=cuts)
    new_of = {old: new for new, old in old_of.items()}
    made: dict[int, ScoreShot] = {}
    names: dict[str, str] = {}
    # What bears a shot's number goes with the shot, or the next remap would take it for another's.
    for name in work.score.walks:
        stem = name.partition(".")[0]
        number = number_in(name)
        if number in new_of and own_name(number) == stem:
            names[name] = own_name(new_of[number]) + name[len(stem):]
        elif number and number == gone[0]:
            names[name] = f"{own_name(gone[1])}.{name}"
    still = {n: None for n in work.score.walks if n not in names}
    walks: dict[str, Walk] = {}
    key_names: dict[str, str] = {}
    for name, walk in work.score.walks.items():
        names[name] = name if name in still else free_name(names[name], {**still, **walks})
        walks[names[name]] = moved = walk if names[name] == name else renamed(walk, names[name], work.kept)
        key_names.update(zip(walk.names, moved.names, strict=True))

    def along(row: ScoreShot, number: int) -> ScoreShot:
        extra = {k: names.get(v, v) if k == SWAP else v for k, v in row.extra.items()}
        return replace(_renamed_marks(row, key_names), number=number, walk=names.get(row.walk, row.walk), extra=extra)

    for new, old in old_of.items():
        row = work.score.by_number(old)
        if row is not None:
            made[new] = along(row, new)
    made |= {new: along(row, new) for new, row in rows.items()}
    score = replace(work.score, shots=tuple(made[n] for n in sorted(made)), walks=walks)
    return replace(work, cuts=cuts, score=score, comments=_moved(work.comments, new_of))


def _moved(comments: Comments, new_of: Mapping[int, int]) -> Comments:
    """The comments with their shots, by these new numbers; those of a shot that is no more go to the end."""
    lines: dict[tuple[str, str], tuple[str, ...]] = {}
    last = comments.last
    for (number, key), told in comments.lines.items():
        if number == HEAD:
            lines[number, key] = told
        elif int(number) in new_of:
            lines[str(new_of[int(number)]), key] = told
        else:
            last += told
    behind: dict[tuple[str, str], str] = {}
    for (number, key), comment in comments.behind.items():
        if number == HEAD or int(number) in new_of:
            behind[number if number == HEAD else str(new_of[int(number)]), key] = comment
        else:
            last += (comment,)
    return Comments(lines, last, behind)


def _renamed_marks(row: ScoreShot, names: Mapping[str, str]) -> ScoreShot:
    """The row with its pins (NAME or NAME@FRAME) and bans by the keys' new names."""

    def new(text: str) -> str:
        name, at, frame = text.partition("@")
        return names.get(name, name) + at + frame

    return replace(row, pin=tuple(map(new, row.pin)), ban=tuple(names.get(b, b) for b in row.ban))


def split(work: Work, number: int, at: int) -> Work:
    """Two shots of one, the second from film frame `at`, by a cut. Both play what the one has played; where a hand had chosen
    that, both are locked, since remap would bring the chosen walk to each half anew."""
    shot = shot_of(work, number)
    least, most = shot.start + max(1, shot.in_frames), shot.end - max(1, shot.out_frames)
    if not least <= at <= most:
        allowed = f"frames {least} to {most}" if least <= most else "a longer shot"
        raise refuse(f"shot {number}", f"cannot be split at frame {at}", allowed)
    first = replace(shot, end=at, out="cut", out_frames=0, out_colour="")
    second = replace(shot, start=at, into="cut", in_frames=0, in_colour="")
    shots = work.cuts.shots[:number - 1] + (first, second) + work.cuts.shots[number:]
    old_of = {n: n if n <= number else n - 1 for n in range(1, len(shots) + 1) if n != number + 1}
    row = work.score.by_number(number) if work.score is not None else None
    rows = {}
    if row is not None:
        rows[number + 1] = replace(row, entry="jump", extra={k: v for k, v in row.extra.items() if k != SWAP})
    made = _shifted(work, shots, old_of, rows)
    if made.score is not None and row is not None and row.walk in made.score.walks and "generator" in row.sources:
        # A copy: what is done to one of the two must leave the other alone.
        if SWAP in row.extra:
            made = with_row(with_row(made, replace(made.row(number), lock=True)), replace(made.row(number + 1), lock=True))
        assert made.score is not None
        name = free_name(own_name(number + 1), made.score.walks)
        walk = renamed(made.score.walks[row.walk], name, work.kept)
        names = dict(zip(made.score.walks[row.walk].names, walk.names, strict=True))
        after = replace(_renamed_marks(made.row(number + 1), names), walk=name)
        made = with_row(replace(made, score=replace(made.score, walks={**made.score.walks, name: walk})), after)
        made = _shared_pins(made, number, at)
    return fitted(made, number, number + 1)


def _shared_pins(work: Work, number: int, at: int) -> Work:
    """After a split at a frame: each half keeps the pins and bans that stand in it."""
    for half, keep in ((number, lambda f: f < at), (number + 1, lambda f: f >= at)):
        row = work.row(half)
        walks = work.score.walks if work.score is not None else {}
        frames = {n: int(f) for w in (*walks.values(), walks[row.walk]) for n, f in zip(w.names, w.frames, strict=True)}

        def stays(text: str, keep: Callable[[int], bool] = keep, frames: dict[str, int] = frames) -> bool:
            name, _, frame = text.partition("@")
            return keep(int(frame)) if frame.isascii() and frame.isdigit() else name not in frames or keep(frames[name])

        work = with_row(work, replace(row, pin=tuple(filter(stays, row.pin)), ban=tuple(filter(stays, row.ban))))
    return work


def join(work: Work, number: int) -> Work:
    """Shot `number` and the one after it become one, which comes in as the first and ends as the second."""
    first = shot_of(work, number)
    if number == len(work.cuts.shots):
        raise refuse(f"shot {number}", "is the last: no shot is after it to be joined", "an earlier shot")
    second = shot_of(work, number + 1)
    one = replace(second, number=number, start=first.start, into=first.into, in_frames=first.in_frames,
                  in_colour=first.in_colour, label=first.label or second.label, group=first.group or second.group)  # fmt: skip
    shots = work.cuts.shots[:number - 1] + (one,) + work.cuts.shots[number + 1:]
    old_of = {n: n if n <= number else n + 1 for n in range(1, len(shots) + 1)}
    if work.score is not None:
        work = _joined_rows(work, work.score, number, second.start)
    return fitted(_shifted(work, shots, old_of, {}, gone=(number + 1, number)), number)


def _joined_rows(work: Work, score: Score, number: int, boundary: int) -> Work:
    """The first of two shots' rows plays both, and the walk that only the second played goes."""
    rows = {r.number: r for r in score.shots}
    first, second = rows.get(number), rows.pop(number + 1, None)
    walks = dict(score.walks)
    if first is not None and second is not None:
        one = replace(first, lock=first.lock or second.lock)
        if all("generator" in r.sources for r in (first, second)) and first.walk in walks and second.walk in walks:
            after = walks[second.walk]
            # A copy that a split made is found again by its path, not by its name.
            pair = joined(walks[first.walk], after, boundary)
            if pair is walks[first.walk]:
                second = _renamed_marks(second, dict(zip(after.names, pair.names, strict=True)))
            walks[first.walk] = replace(pair, name=first.walk)
            pins, bans = dict.fromkeys(first.pin + second.pin), dict.fromkeys(first.ban + second.ban)
            one = replace(one, pin=tuple(pins), ban=tuple(bans))
            if second.walk != first.walk and not any(r.walk == second.walk for r in rows.values()):
                walks.pop(second.walk)
        rows[number] = one
        rows = {n: marks_left(r, score, replace(score, walks=walks)) for n, r in rows.items()}
    return replace(work, score=replace(score, shots=tuple(rows[n] for n in sorted(rows)), walks=walks))
