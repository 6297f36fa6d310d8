"""From an editor's timeline to a cut list: what is SEEN at each of its frames makes the shots.

An EDL, an XML or an OTIO holds two times for every clip: where it was taken from (source) and where it stands in the edit
(timeline; in an EDL: record). The cut list of a film is that of its timeline, so source times, speed changes and freezes
do not matter here. Higher tracks cover lower ones; where nothing stands the screen is black, and that is a shot as well.

All frames are whole numbers of the timeline's rate; ranges are half-open.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

from player.show.cut_list import COLOURS, IN_KINDS, OUT_KINDS, CutList, Shot, problems_of
from player.show.problem import Problem, ShowError

BLACK = "black"  # the label of a shot that the edit leaves empty
MOST_FRAMES = 10**9
MOST_SHOTS = 200_000
LONGEST_LABEL = 300
OTHER_RATE = "no --rate, and the film that it was made for"  # where a file says another than a person
_CONTROL = dict.fromkeys([*range(32), *range(127, 160), 0x2028, 0x2029], " ")


@dataclass(frozen=True)
class Told:
    """What a person said beside the file. rate: frames a second. film: its name. frames: its length. film_start: the
    timecode in the edit at which the film begins. sequence: which timeline, where a file holds several. fill_end: what the
    film has after the edit is a black shot. join: clips that go on where the one before ends in its source are one shot."""

    rate: Fraction | None = None
    film: str = ""
    frames: int | None = None
    film_start: str = ""
    sequence: str = ""
    fill_end: bool = False
    join: bool = False


@dataclass(frozen=True)
class Span:
    """What is seen of one clip, [start, end).

    head: over how many of its first frames it appears, out of what stands before it; from_black: out of black, whatever
    stands there. tail: over how many of its last frames it goes to black. black: no picture at all. note: what cineml
    itself wrote beside the clip, may be empty. place: (media, name, in, out) where it is from, in whatever unit the file
    has, None where it is not known or not plain.
    """

    start: int
    end: int
    name: str = ""
    black: bool = False
    head: int = 0
    from_black: bool = False
    tail: int = 0
    note: Mapping[str, Any] = field(default_factory=dict)
    place: tuple[object, object, object, object] | None = None


@dataclass(frozen=True)
class Transition:
    """A gradual change over [start, end) between the clips before and after it; before, after: whether there is one."""

    start: int
    end: int
    before: bool = True
    after: bool = True


@dataclass(frozen=True)
class Edit:
    """A timeline as read. spans: in order, without overlap. first: its frame that is the film's frame 0. end: its frame
    after the last, where it is known to go on in black after the last span. film: the name of the film, where the file
    tells. said: what a person should know about the reading, a line each."""

    title: str
    rate: Fraction
    spans: tuple[Span, ...]
    first: int = 0
    end: int = 0
    film: str = ""
    said: tuple[str, ...] = ()


def clean(name: object) -> str:
    """A name as a label: one line, no control characters, no lone surrogates, not endless."""
    text = str(name if name is not None else "").encode("utf-8", "replace").decode("utf-8")
    return " ".join(text.translate(_CONTROL).split())[:LONGEST_LABEL].strip()


def joined(items: Iterable[Span | Transition]) -> list[Span]:
    """One track in order, its transitions laid into the clips that they join.

    A dissolve's shot starts where the new picture is first seen, so both clips are moved to the transition's start,
    wherever the editor put the cut inside it; a transition into nothing ends where the picture is gone.
    """
    spans: list[Span] = []
    coming: Transition | None = None
    for item in items:
        if isinstance(item, Transition):
            if item.end <= item.start:
                continue
            if item.before and spans:
                last = spans[-1]
                if item.after:
                    spans[-1] = replace(last, end=item.start)
                else:
                    spans[-1] = replace(last, end=item.end, tail=item.end - item.start)
            if item.after:
                coming = item
        else:
            if coming is not None:
                item = replace(item, start=coming.start, head=coming.end - coming.start,
                               from_black=item.from_black or not coming.before)  # fmt: skip
                coming = None
            spans.append(item)
    return in_order(spans)


def in_order(spans: Iterable[Span]) -> list[Span]:
    """Without empty ones, by start; where two of a track overlap, the later in the list covers the earlier, as a tape is
    recorded over. Heads and tails are cut to their span."""
    kept = [s for s in spans if s.end > s.start]
    if any(b.start < a.end for a, b in zip(kept, kept[1:], strict=False)):
        kept = _recorded_over(kept)
    return [_fitted(s) for s in kept]


def _recorded_over(spans: Sequence[Span]) -> list[Span]:
    """What is left of spans in any order, of which each covers those before it in the list."""
    order = sorted(range(len(spans)), key=lambda i: spans[i].start)
    points = sorted({p for s in spans for p in (s.start, s.end)})
    on_top: list[int] = []  # a heap of minus the places in the list; what has ended leaves it when it comes to the top
    seen: list[tuple[int, int, int]] = []  # which span, from, to
    coming = 0
    for start, end in zip(points, points[1:], strict=False):
        while coming < len(order) and spans[order[coming]].start <= start:
            heapq.heappush(on_top, -order[coming])
            coming += 1
        while on_top and spans[-on_top[0]].end <= start:
            heapq.heappop(on_top)
        if on_top:
            which = -on_top[0]
            if seen and seen[-1][0] == which and seen[-1][2] == start:
                seen[-1] = (which, seen[-1][1], end)
            else:
                seen.append((which, start, end))
    return [_part(spans[which], start, end) for which, start, end in seen]


def _part(span: Span, start: int, end: int) -> Span:
    """[start, end) of a span: its head and tail are there where its own ends are."""
    first, last = start == span.start, end == span.end
    return _fitted(replace(span, start=start, end=end, head=span.head if first else 0, tail=span.tail if last else 0,
                           from_black=span.from_black and first, place=span.place if first and last else None))  # fmt: skip


def _fitted(span: Span) -> Span:
    length = span.end - span.start
    if span.head > length or span.tail > length:
        return replace(span, head=min(span.head, length), tail=min(span.tail, length))
    return span


def covered(lower: Sequence[Span], upper: Sequence[Span]) -> list[Span]:
    """Two tracks as one: `upper` is seen where it stands, `lower` elsewhere. Both in order, without overlap."""
    left: list[Span] = []
    at = 0
    for span in lower:
        start = span.start
        while at < len(upper) and upper[at].end <= start:
            at += 1
        i = at
        while start < span.end:
            hole = upper[i] if i < len(upper) and upper[i].start < span.end else None
            end = hole.start if hole is not None else span.end
            if end > start:
                left.append(_part(span, start, end))
            if hole is None:
                break
            start, i = hole.end, i + 1
    beneath = {id(s) for s in left}
    merged = sorted([*left, *upper], key=lambda s: s.start)
    for i in range(len(merged) - 1):
        one, two = merged[i], merged[i + 1]
        if one.end != two.start:
            continue
        if id(two) not in beneath and two.from_black and not one.black:
            merged[i + 1] = replace(two, from_black=False)  # it appears out of the lower picture
        if id(one) not in beneath and one.tail and id(two) in beneath and not two.black:
            cut = one.end - one.tail  # and goes, to give the lower picture back: that is first seen here
            merged[i] = replace(one, end=cut, tail=0)
            merged[i + 1] = replace(two, start=cut, head=one.tail)
            beneath.add(id(merged[i + 1]))
    return [_fitted(s) for s in merged if s.end > s.start]


def flattened(tracks: Iterable[Sequence[Span]]) -> list[Span]:
    """Tracks from the lowest to the highest as one."""
    layers = [list(track) for track in tracks]
    while len(layers) > 1:  # in pairs: one after the other would go through all that is there for every track
        pairs = [layers[i : i + 2] for i in range(0, len(layers), 2)]
        layers = [covered(*pair) if len(pair) == 2 else pair[0] for pair in pairs]
    return layers[0] if layers else []


def within(spans: Iterable[Span], start: int, end: int, to: int) -> list[Span]:
    """The part [start, end) of a timeline that stands in another one, from frame `to` there."""
    kept = []
    for s in spans:
        a, b = max(s.start, start), min(s.end, end)
        if b > a:
            kept.append(replace(_part(s, a, b), start=a - start + to, end=b - start + to))
    return kept


def cut_list_of(edit: Edit, where: str, told: Told) -> tuple[CutList, list[str]]:
    """The cut list of a timeline, and lines for a person. Raises ShowError for a timeline that no cut list can
    hold, or that does not cover the film.
    """
    said = list(edit.said)
    if not edit.spans:
        raise ShowError(Problem(where, "holds no picture", "a timeline with at least one video clip"))
    end = max(edit.end, edit.spans[-1].end) - edit.first
    if len(edit.spans) > MOST_SHOTS or end > MOST_FRAMES:
        given = f"holds {len(edit.spans)} clips up to frame {end}"
        raise ShowError(Problem(where, given, f"at most {MOST_SHOTS} clips and {MOST_FRAMES} frames"))
    if early := [s for s in edit.spans if s.start < edit.first]:
        given = f"begins {edit.first - early[0].start} frames before the film does"
        raise ShowError(Problem(where, given, "an edit that begins with the film", "another --film-start, or none"))
    spans = _unbroken(edit.spans, told.join, said)
    if edit.end > spans[-1].end:
        spans = [*spans, Span(spans[-1].end, edit.end, BLACK, black=True)]
        said.append(f"the edit's last {edit.end - spans[-1].start} frames hold no picture: a shot labelled {BLACK}")
    shots = _shots(spans, edit.first, said)
    frames = shots[-1].end
    if told.frames is not None and told.frames > frames and told.fill_end:
        said.append(f"frames {frames} to {told.frames - 1} hold nothing in the edit: a shot of their own, labelled {BLACK}")
        shots.append(Shot(len(shots) + 1, frames, told.frames, label=BLACK))
        frames = told.frames
    film = told.film or clean(edit.film) or clean(edit.title)
    cuts = CutList(film, edit.rate, frames, tuple(shots))
    found = problems_of(cuts, where)
    if not found and told.frames is not None and told.frames != frames:
        hint = "--fill-end, which makes a black shot of the rest" if told.frames > frames else "the film that it was made for"
        found = [Problem(where, f"covers {frames} frames, the film has {told.frames}", f"{told.frames} frames", hint)]
    if found:
        raise ShowError(found)
    return cuts, said


def _unbroken(spans: Sequence[Span], join: bool, said: list[str]) -> list[Span]:
    """The spans, those joined that go on in their source where the one before ends, if that is asked for; else it is
    said. A list of one film in its own order is left alone: there every shot goes on so."""

    def same_place(a: Span, b: Span) -> bool:
        return (a.place is not None and b.place is not None and a.place[:2] == b.place[:2] and a.place[3] == b.place[2]
                and a.end == b.start and not (a.black or b.black))  # fmt: skip

    def goes_on(a: Span, b: Span) -> bool:
        named = a.note and b.note and a.note.get("shot") != b.note.get("shot")  # a cut of the list that cineml wrote
        return same_place(a, b) and not (b.head or a.tail or named)

    pairs = list(zip(spans, spans[1:], strict=False))
    through = [goes_on(a, b) for a, b in pairs]
    # Of a fade to or from black the source says nothing: frames of it are another clip's, or none.
    told = [same_place(a, b) for a, b in pairs if not (a.tail or a.black or b.black or b.from_black)]
    if not any(through) or all(told):
        return list(spans)
    if not join:
        if 2 * sum(told) > len(told):  # mostly a film in its own order, with something taken out
            return list(spans)
        said.append(f"at {sum(through)} cuts a clip goes on in its source where the one before ends, so that nothing is seen: "
                    "--join makes them one shot")  # fmt: skip
        return list(spans)
    kept = [spans[0]]
    for span, goes in zip(spans[1:], through, strict=True):
        if goes:
            kept[-1] = replace(kept[-1], end=span.end, tail=span.tail)
        else:
            kept.append(span)
    return kept


def _shots(spans: Sequence[Span], first: int, said: list[str]) -> list[Shot]:
    """Spans with the gaps between them filled, black heads laid into the shots that they end, as shots from frame 0."""
    whole: list[Span] = []
    gaps = 0
    at = first
    for span in spans:
        if span.start > at:
            gaps += 1
            whole.append(Span(at, span.start, BLACK, black=True))
        whole.append(span)
        at = span.end
    if gaps:
        said.append(f"{gaps} gap{'s' * (gaps > 1)} in the edit: black, and so shots of their own, labelled {BLACK}")
    # How each appears must be known before the black that it appears from is given to the shot before.
    kinds = ["fade" if s.head and (s.from_black or i == 0 or whole[i - 1].black) else "dissolve" if s.head else "cut"
             for i, s in enumerate(whole)]  # fmt: skip
    kept: list[tuple[Span, str]] = []
    for span, kind in zip(whole, kinds, strict=True):
        if span.black:
            if span.head and kept and not kept[-1][0].black:
                before, how = kept[-1]
                kept[-1] = (replace(before, end=before.end + span.head, tail=span.head), how)
                span = replace(span, start=span.start + span.head)
            if span.end > span.start:
                kept.append((replace(span, head=0, tail=0), "cut"))
        else:
            kept.append((span, kind))
    return [_shot(number, span, kind, first) for number, (span, kind) in enumerate(kept, start=1)]


def _shot(number: int, span: Span, kind: str, first: int) -> Shot:
    start, end = span.start - first, span.end - first
    label = clean(span.note.get("label", "")) if span.note else clean(span.name) or (BLACK if span.black else "")
    shot = Shot(number, start, end, kind, span.head if kind != "cut" else 0, "black" if kind == "fade" else "",
                "fade" if span.tail else "cut", span.tail, "black" if span.tail else "", label,
                clean(span.note.get("group", "")))  # fmt: skip
    return _with_noted_ends(shot, span.note)


def _with_noted_ends(shot: Shot, note: Mapping[str, Any]) -> Shot:
    """The transitions that the format could not hold and that were written beside it; those of a shot that was cut
    anew since then are left alone."""
    if note.get("start") != shot.start or note.get("end") != shot.end:
        return shot
    into, frames, colour = (note.get(k) for k in ("in", "in_frames", "in_colour"))
    if into in IN_KINDS and into != "cut" and _fits(frames, shot) and (into != "fade" or colour in COLOURS):
        if into != "dissolve" or shot.number > 1:
            shot = replace(shot, into=str(into), in_frames=int(frames or 0), in_colour=str(colour) if into == "fade" else "")
    out, frames, colour = (note.get(k) for k in ("out", "out_frames", "out_colour"))
    if out in OUT_KINDS and out != "cut" and _fits(frames, shot) and colour in COLOURS:
        shot = replace(shot, out=str(out), out_frames=int(frames or 0), out_colour=str(colour))
    return shot


def _fits(frames: object, shot: Shot) -> bool:
    return isinstance(frames, int) and not isinstance(frames, bool) and 0 < frames <= shot.frames
