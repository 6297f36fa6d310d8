"""CMX3600 EDLs to a timeline: what stands there at which RECORD time.

Read: drop frame by the mark of each timecode or by FCM, CRLF, byte order marks, CP1252, reels and clip names of any length,
dissolves on two lines or one, wipes (as dissolves), BL (black) and fades through it, comments, M2 speed lines (they change
the source only), audio events (left out), several video tracks, outs that count the last frame in, events in any order.
The rate is not in an EDL: it has to be said. Source: CMX 3600 EDL format as Avid, Premiere and Resolve write it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

from player.show.problem import Problem, ShowError
from tools.cuts_notes import EDL_MARK, note_of, rate_in
from tools.cuts_timecode import DROP_RATES, Timecode, read_timecode, spoken
from tools.cuts_timeline import OTHER_RATE, Edit, Span, Told, clean, flattened, in_order

BLACK_REELS = ("BL", "BLK", "BLACK")
NO_NAME_REELS = ("AX", "")  # Premiere's "no tape"
MOST_SAID = 20
_CLIP_NAME = re.compile(r"(?:\*\s*)?(FROM |TO )?CLIP NAME(?: IS)?\s*:\s*(.*)", re.IGNORECASE)
_KINDS = re.compile(r"C|D|W\d{0,3}|K[BO]?", re.IGNORECASE | re.ASCII)
_TRACK = re.compile(r"V(\d{1,2})", re.ASCII)


@dataclass(frozen=True)
class Event:
    """One line of an EDL. kind: C, D, W... or K...; length: of its transition in frames. From the lines after it: names
    (of the clip before and of this one), speed: of its source in frames a second (M2), '' where it is plain; note: what
    cineml wrote. drop: FCM said so."""

    line: int
    number: str
    reel: str
    channel: str
    kind: str
    length: int
    source: tuple[Timecode, Timecode]
    record: tuple[Timecode, Timecode]
    drop: bool
    names: Mapping[str, str] = field(default_factory=dict)
    speed: str = ""
    note: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_black(self) -> bool:
        return self.reel.upper() in BLACK_REELS

    @property
    def is_video(self) -> bool:
        return "V" in self.channel.upper() or self.channel.upper() == "B"

    @property
    def source_texts(self) -> tuple[str, str]:
        return self.source[0].text, self.source[1].text

    @property
    def track(self) -> int:
        found = _TRACK.search(self.channel.upper())
        return int(found[1]) if found else 1

    @property
    def name(self) -> str:
        name = self.names.get("to") or self.names.get("from") or self.names.get("")
        return clean(name if name else "" if self.reel.upper() in NO_NAME_REELS or self.is_black else self.reel)


@dataclass(frozen=True)
class _Lines:
    """An EDL's lines, told apart. head: what cineml wrote about the whole."""

    title: str
    events: tuple[Event, ...]
    head: Mapping[str, Any]

    @property
    def sounds(self) -> int:
        return sum(not e.is_video for e in self.events)

    @property
    def speeds(self) -> int:
        return sum(bool(e.speed) for e in self.events)


def events_of(text: str, where: str) -> tuple[Event, ...]:
    """The events of an EDL's text ('\\n' line ends) as they stand there, sound as well. Raises ShowError."""
    return _lines(text, where).events


def read_edl(text: str, where: str, told: Told) -> Edit:
    """The timeline of an EDL's text ('\\n' line ends). Raises ShowError with every problem found."""
    lines = _lines(text, where)
    events = [e for e in lines.events if e.is_video]
    if not events:
        given = f"holds {lines.sounds} events of sound and none of picture" if lines.sounds else "holds no event"
        raise ShowError(Problem(where, given, "an EDL (CMX3600) with video events"))
    rate = _rate(lines, events, where, told)
    found: list[Problem] = []
    frames = {id(e): _record(e, rate, where, found) for e in events}
    begin = _film_start(told, lines, rate, where, found)
    if found:
        raise ShowError(found[:MOST_SAID])
    said: list[str] = []
    if (last_in := _outs_made_whole(events, frames)) is not None:
        frames = last_in
        said.append("its outs name the last frame of each event, as some versions of PySceneDetect write them: one added")
    tracks = sorted({e.track for e in events})
    spans = flattened(in_order(_spans([e for e in events if e.track == t], frames, said)) for t in tracks)
    if len(tracks) > 1:
        said.append(f"{len(tracks)} video tracks: the higher ones cover the lower")
    if lines.speeds:
        said.append(f"{lines.speeds} speed changes (M2) left aside: they change the source, not the timeline")
    if lines.sounds:
        said.append(f"{lines.sounds} events of sound left out")
    first = begin if begin is not None else spans[0].start if spans else 0
    return Edit(lines.title, rate, tuple(spans), first, film=str(lines.head.get("film", "")), said=tuple(said))


def _lines(text: str, where: str) -> _Lines:
    title, drop = "", False
    events: list[Event] = []
    found: list[Problem] = []
    head: Mapping[str, Any] = {}
    for number, raw in enumerate(text.split("\n"), start=1):
        line = raw.strip()
        upper = line.upper()
        tokens = line.split()
        if upper.startswith("TITLE:"):
            title = clean(line[6:])
        elif upper.startswith("FCM:"):
            drop = upper.replace("NON-DROP", "").replace("NON DROP", "").find("DROP") >= 0
        elif upper.startswith("M2 "):
            # The last number before the timecode; the reel before it may have blanks.
            if events and len(tokens) >= 3:
                events[-1] = replace(events[-1], speed=tokens[-2] if read_timecode(tokens[-1]) else tokens[-1])
        elif tokens and tokens[0][0].isdigit() and tokens[0].isascii():
            event = _event(tokens, number, drop)
            if isinstance(event, Event):
                events.append(event)
            elif event:
                found.append(Problem(f"{where}: line {number}", event, "EVENT REEL CHANNEL TRANSITION and four timecodes"))
        elif note := note_of(line, EDL_MARK):
            if "rate" in note:
                head = note
            elif events:
                events[-1] = replace(events[-1], note=note)
        elif events and (name := _CLIP_NAME.fullmatch(line)):
            key = (name[1] or "").strip().lower()
            events[-1] = replace(events[-1], names={**events[-1].names, key: name[2].strip()})
    if found:
        raise ShowError(found[:MOST_SAID])
    return _Lines(title, tuple(events), head)


def _event(tokens: Sequence[str], line: int, drop: bool) -> Event | str:
    """The event in a line that begins with a number, or what is wrong with it; '' where it is none, but some comment."""
    codes = [read_timecode(t) for t in tokens]
    at = next((i for i in range(1, len(tokens) - 3) if all(codes[i : i + 4])), None)
    if at is None:
        known = sum(c is not None for c in codes)
        return f"has {known} timecodes" if known else ""
    rest = list(tokens[1:at])
    length = int(rest.pop()) if len(rest) >= 3 and rest[-1].isascii() and rest[-1].isdigit() and len(rest[-1]) <= 5 else 0
    kind = rest.pop().upper() if rest else ""
    if kind in ("B", "O") and rest and rest[-1].upper() == "K":
        kind = "K" + kind
        rest.pop()
    if not _KINDS.fullmatch(kind):
        return f"has the transition {kind[:20]!r}"
    if not rest:
        return "names no channel"
    channel = rest.pop()
    a, b, c, d = (code for code in codes[at : at + 4] if code is not None)
    return Event(line, tokens[0], " ".join(rest), channel, kind, length, (a, b), (c, d), drop)


def _rate(lines: _Lines, events: Sequence[Event], where: str, told: Told) -> Fraction:
    """The rate that was said, or that cineml wrote there. Raises ShowError."""
    noted = rate_in(lines.head)
    if told.rate is not None and noted is not None and told.rate != noted:
        raise ShowError(Problem(where, f"says {spoken(noted)} frames a second, not {spoken(told.rate)}", "", OTHER_RATE))
    rate = told.rate or noted
    if rate is not None:
        return rate
    codes = [code for e in events for code in e.record]
    highest = max(code.frames for code in codes)
    if any(code.drop for code in codes) or any(e.drop for e in events):
        hint = f"--rate {'59.94' if highest >= 30 else '29.97'}, since it is drop frame"
    else:
        hint = f"--rate with one above {highest}, such as --rate {next((r for r in (24, 25, 30, 60) if r > highest), 120)}"
    raise ShowError(Problem(where, "does not say its rate: an EDL never does", "--rate, or --film to ask the film", hint))


def _record(event: Event, rate: Fraction, where: str, found: list[Problem]) -> tuple[int, int]:
    """The frames [start, end) of an event; (0, 0) with a problem added."""
    try:
        drop = event.drop and rate in DROP_RATES
        start, end = (code.frame(rate, drop) for code in event.record)
    except ValueError as e:
        hint = "another --rate" if "does not exist" in str(e) or "drop frame, which" in str(e) else ""
        found.append(Problem(f"{where}: line {event.line}", str(e), "a record timecode at that rate", hint))
        return 0, 0
    if end < start:
        given = f"its record out {event.record[1].text} lies before its in {event.record[0].text}"
        found.append(Problem(f"{where}: line {event.line}", given, "an out after the in"))
        return 0, 0
    return start, end


def _film_start(told: Told, lines: _Lines, rate: Fraction, where: str, found: list[Problem]) -> int | None:
    """The record frame at which the film begins, where somebody says it."""
    noted = lines.head.get("timeline_start")
    for name, text in (("--film-start", told.film_start), (f"{where}: timeline_start", noted)):
        if not text:
            continue
        code = read_timecode(str(text))
        try:
            if code is None:
                raise ValueError(f"{str(text)[:40]!r} is no timecode")
            return code.frame(rate, any(e.drop for e in lines.events) and rate in DROP_RATES)
        except ValueError as e:
            found.append(Problem(name, str(e), "hh:mm:ss:ff"))
            return None
    return None


def _outs_made_whole(events: Sequence[Event], frames: dict[int, tuple[int, int]]) -> dict[int, tuple[int, int]] | None:
    """One frame added to every out, where each event begins exactly one frame after the one before, all of one film."""
    ordered = sorted((frames[id(e)] for e in events), key=lambda f: f[0])
    if len(ordered) < 3 or any(e.kind != "C" or [c.text for c in e.source] != [c.text for c in e.record] for e in events):
        return None
    if any(b[0] - a[1] != 1 for a, b in zip(ordered, ordered[1:], strict=False)):
        return None
    return {key: (start, end + 1) for key, (start, end) in frames.items()}


def _spans(events: Sequence[Event], frames: Mapping[int, tuple[int, int]], said: list[str]) -> list[Span]:
    """The events of one track by record time, with their transitions."""
    spans: list[Span] = []
    wipes = lone = keys = 0
    left: Event | None = None  # the first line of a pair: where a transition comes from, of no length
    for event in sorted(events, key=lambda e: frames[id(e)][0]):
        start, end = frames[id(event)]
        kind = event.kind[0]
        if start == end:
            left = event if kind == "C" else left
            continue
        head = event.length if kind in "DW" else 0
        wipes += kind == "W"
        keys += kind == "K"
        lone += kind in "DW" and not event.length
        paired = left is not None and frames[id(left)][0] == start
        if spans and not spans[-1].name and spans[-1].end == start and event.names.get("from") and head:
            spans[-1] = replace(spans[-1], name=clean(event.names["from"]))
        spans.append(Span(start, end, event.name, event.is_black, min(head, end - start),
                          paired and left is not None and left.is_black, note=event.note,
                          place=None if event.speed else (event.reel, event.name, *event.source_texts)))  # fmt: skip
        if head > end - start:
            said.append(f"line {event.line}: a transition of {head} frames in an event of {end - start}: cut to that")
        left = None
    if wipes:
        said.append(f"{wipes} wipe{'s' * (wipes > 1)} taken for dissolves of the same length: a cut list has no wipes")
    if keys:
        said.append(f"{keys} key event{'s' * (keys > 1)} taken for cuts")
    if lone:
        said.append(f"{lone} transition{'s' * (lone > 1)} without a length taken for cuts")
    return spans


