"""Final Cut Pro 7 XML (xmeml), which Premiere, Resolve and Hiero write, to a timeline.

Read: start and end of -1 (the transition beside the clip tells), alignments of transitions, disabled clips and tracks,
several tracks, nested sequences, generators, ids that stand for what was said before, several sequences in projects and
bins. in, out, ticks and speeds are of the source and left aside; so is a transition's cut point, which only says where
inside it the editor put the edit. Source: Apple's Final Cut Pro XML Interchange Format, Elements Catalog.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from xml.etree.ElementTree import Element

from player.show.problem import Problem, ShowError
from tools.cuts_notes import XML_MARK, note_of, rate_in
from tools.cuts_otio import choose
from tools.cuts_timecode import spoken
from tools.cuts_timeline import (
    MOST_FRAMES,
    MOST_SHOTS,
    OTHER_RATE,
    Edit,
    Span,
    Told,
    Transition,
    clean,
    flattened,
    in_order,
    joined,
    within,
)
from tools.cuts_xml import parse_xml, text_of

DEEPEST = 12
_CLIPS = ("clipitem", "generatoritem")
_BLACK = ("slug", "black", "black video")


@dataclass
class _Reading:
    """What one file's reading carries along. by_id: sequences by id, of which later ones are mere mentions."""

    where: str
    by_id: dict[str, Element] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    overlays: int = 0
    nested: int = 0

    def bad(self, what: str, allowed: str = "XML as Final Cut Pro 7 or Premiere exports it", hint: str = "") -> ShowError:
        return ShowError(Problem(self.where, what, allowed, hint))


def read_fcp7(data: bytes, where: str, told: Told) -> Edit:
    """The timeline in an xmeml file. Raises ShowError."""
    root, said = parse_xml(data, where)
    reading = _Reading(where, said=said)
    if root.tag != "xmeml":
        raise reading.bad(f"is a piece of XML, <{root.tag[:40]}>, with no sequence in it")
    sequences = list(_sequences(root))
    if not sequences:
        raise reading.bad("holds no sequence", "an export of a sequence, not of clips")
    for s in root.iter("sequence"):
        if s.get("id") and s.find("media") is not None:
            reading.by_id.setdefault(s.get("id", ""), s)
    sequence = sequences[choose([_name(s) for s in sequences], where, told)]
    if told.film_start:
        raise ShowError(Problem("--film-start", "is given for an XML", "for an EDL only: a sequence begins with its film"))
    notes = {int(m["start"]): m for m in _notes(sequence) if isinstance(m.get("start"), int)}
    head = next((m for m in _notes(sequence) if "rate" in m), {})
    own = _rate(sequence, reading)
    rate = own or told.rate
    if rate is None:
        raise reading.bad("does not say its rate", "--rate, or --film to ask the film")
    if told.rate is not None and told.rate != rate:
        raise reading.bad(f"is at {spoken(rate)} frames a second, not {spoken(told.rate)}", "", OTHER_RATE)
    if (noted := rate_in(head)) is not None and noted != rate:
        raise reading.bad(f"is at {spoken(rate)} frames a second, and was written at {spoken(noted)}", "one rate")
    spans = _spans(sequence, reading, 0)
    if not spans:
        raise reading.bad("holds no picture", "a sequence with at least one enabled video clip")
    spans = [replace(s, note=notes[s.start]) if s.start in notes else s for s in spans]
    if reading.overlays:
        reading.said.append(f"{reading.overlays} titles on higher tracks left aside: they lie over a picture and cut nothing")
    # What the program exports is as long as the sequence, though its end be sound alone.
    length = _number(sequence, "duration", reading) or 0
    return Edit(_name(sequence), rate, tuple(spans), 0, length, str(head.get("film", "")), tuple(reading.said))


def _sequences(thing: Element, depth: int = 0) -> Iterator[Element]:
    """The sequences that a person made, not those nested in one."""
    for child in thing:
        if child.tag == "sequence" and child.find("media") is not None:
            yield child
        elif child.tag in ("project", "bin", "children", "xmeml") and depth < DEEPEST:
            yield from _sequences(child, depth + 1)


def _name(element: Element) -> str:
    return clean(text_of(element, "name"))


def _notes(sequence: Element) -> list[dict[str, object]]:
    """What cineml wrote into markers."""
    return [note for m in sequence.findall("marker") if (note := note_of(text_of(m, "comment"), XML_MARK))]


def _rate(element: Element, reading: _Reading) -> Fraction | None:
    """timebase and ntsc as the exact rate."""
    text = text_of(element, "rate/timebase")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= 1000):
        raise reading.bad(f"has the timebase {text[:40]!r}", "1 to 1000 frames a second")
    slow = text_of(element, "rate/ntsc").upper() == "TRUE"
    return Fraction(int(text) * 1000, 1001) if slow else Fraction(int(text))


def _number(element: Element, name: str, reading: _Reading) -> int | None:
    """A whole number, which some write as 14.0; None where it is not there."""
    text = text_of(element, name)
    if not text:
        return None
    try:
        value = round(float(text))
        if abs(value) > MOST_FRAMES:
            raise ValueError
    except (ValueError, OverflowError):
        raise reading.bad(f"has <{name}>{text[:40]}</{name}>", f"a whole number of frames up to {MOST_FRAMES}") from None
    return value


def _spans(sequence: Element, reading: _Reading, depth: int) -> list[Span]:
    tracks: list[list[Span]] = []
    for track in sequence.findall("media/video/track"):
        if text_of(track, "enabled").upper() != "FALSE":
            tracks.append(_track(track, reading, depth, lowest=not tracks))
    return flattened(tracks)


def _track(track: Element, reading: _Reading, depth: int, lowest: bool) -> list[Span]:
    """One track. The file's order tells which transition belongs to which clips, start and end where they are given."""
    elements = [e for e in track if e.tag in (*_CLIPS, "transitionitem")]
    items: list[Span | Transition] = []
    for i, element in enumerate(elements):
        start, end = _number(element, "start", reading), _number(element, "end", reading)
        before = elements[i - 1] if i else None
        after = elements[i + 1] if i + 1 < len(elements) else None
        if element.tag == "transitionitem":
            if start is None or end is None:
                raise reading.bad("holds a transition without start or end")
            way = text_of(element, "alignment")
            items.append(Transition(
                start, end, way != "start-black" and _reaches(before, "end", start, end, reading),
                way != "end-black" and _reaches(after, "start", start, end, reading)))  # fmt: skip
            continue
        # -1: the transition beside it tells; which of its frames does not matter, joined() moves the clip to its start.
        if start in (None, -1):
            start = _number(before, "start", reading) if before is not None and before.tag == "transitionitem" else None
        if end in (None, -1):
            end = _number(after, "start", reading) if after is not None and after.tag == "transitionitem" else None
        if start is None or end is None:
            raise reading.bad(f"holds {element.tag} {_name(element)!r} without start or end")
        if element.tag == "generatoritem" and not lowest:
            reading.overlays += 1
        elif text_of(element, "enabled").upper() != "FALSE":
            items += _clip(element, start, end, reading, depth)
    return in_order(joined(items))


def _reaches(clip: Element | None, edge: str, start: int, end: int, reading: _Reading) -> bool:
    """Whether the clip before (edge 'end') or after (edge 'start') a transition [start, end) is joined by it."""
    if clip is None or clip.tag == "transitionitem" or text_of(clip, "enabled").upper() == "FALSE":
        return False
    at = _number(clip, edge, reading)
    return at in (None, -1) or start <= at <= end  # type: ignore[operator]


def _clip(element: Element, start: int, end: int, reading: _Reading, depth: int) -> list[Span]:
    """A clip's spans: one, or those of the sequence nested in it."""
    name = _name(element) or clean(text_of(element, "file/name"))
    nested = element.find("sequence")
    if nested is not None and nested.find("media") is None:
        nested = reading.by_id.get(nested.get("id", ""))
    if nested is not None:
        if depth >= DEEPEST:
            raise reading.bad(f"nests sequences more than {DEEPEST} deep")
        begin = _number(element, "in", reading) or 0
        inner = within(_spans(nested, reading, depth + 1), begin, begin + end - start, start)
        reading.nested += len(inner)
        if reading.nested > MOST_SHOTS:  # ten sequences, each of ten of the next, are soon a thousand million
            raise reading.bad(f"holds more than {MOST_SHOTS} clips in nested sequences", "a timeline")
        return list(inner) or [Span(start, end, name)]
    black = element.tag == "generatoritem" and name.lower() in _BLACK
    return [Span(start, end, name, black, place=_place(element, end - start))]


def _place(element: Element, frames: int) -> tuple[str, str, int, int] | None:
    """Where in which file a clip is from; None where it is not plain: no file, another speed."""
    media, begin = element.find("file"), text_of(element, "in").partition(".")[0]
    if media is None or not media.get("id") or not begin.isascii() or not begin.isdigit() or len(begin) > 12:
        return None
    if element.find("filter/effect[effectid='timeremap']") is not None:
        return None
    return media.get("id", ""), _name(element), int(begin), int(begin) + frames
