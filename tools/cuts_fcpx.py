"""FCPXML of Final Cut Pro X and Resolve to a timeline.

Times are exact seconds ("1001/30000s"). The primary storyline is lane 0; connected clips and storylines lie in lanes above
and below it; transitions overlap the clips that they join; compound clips are opened, since their cuts are seen. Titles
over a picture and all sound are left aside. Source: Apple's FCPXML Reference (Story Elements, Timing Attributes).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from xml.etree.ElementTree import Element

from player.show.problem import Problem, ShowError
from tools.cuts_otio import OFF_GRID, choose
from tools.cuts_timecode import exact_rate, spoken
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
from tools.cuts_xml import parse_xml

DEEPEST = 40
_TIME = re.compile(r"(-?\d{1,15}(?:\.\d{1,9})?)(?:/(\d{1,15}))?s", re.ASCII)
_RATE_IN_NAME = re.compile(r"[ip](2398|24|25|2997|30|50|5994|60)$", re.ASCII)
_NAMED_RATES = {"2398": "24000/1001", "2997": "30000/1001", "5994": "60000/1001"}
_CLIPS = ("clip", "asset-clip", "ref-clip", "sync-clip", "mc-clip", "video", "title", "gap", "audio", "audition")


@dataclass
class _Reading:
    """What one file's reading carries along. resources: by id."""

    where: str
    rate: Fraction = Fraction(24)
    resources: dict[str, Element] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    overlays: int = 0
    off_grid: int = 0
    spans: int = 0
    ends: list[int] = field(default_factory=list)  # of the project's own storyline: a gap may stand last

    def bad(self, what: str, allowed: str = "FCPXML as Final Cut Pro exports it", hint: str = "") -> ShowError:
        return ShowError(Problem(self.where, what, allowed, hint))

    def seconds(self, element: Element, name: str) -> Fraction | None:
        """An attribute in exact seconds, None where it is not there."""
        text = element.get(name)
        if text is None:
            return None
        found = _TIME.fullmatch(text.strip())
        if not found or (found[2] is not None and int(found[2]) == 0):
            raise self.bad(f"has {name}={text[:40]!r}", 'a time such as "1001/30000s"')
        return Fraction(found[1]) / int(found[2] or 1)

    def frames(self, seconds: Fraction) -> int:
        exact = seconds * self.rate
        nearest = math.floor(exact + Fraction(1, 2))
        self.off_grid += abs(exact - nearest) > OFF_GRID
        if abs(nearest) > MOST_FRAMES:
            raise self.bad(f"holds a time of {nearest} frames", f"up to {MOST_FRAMES}")
        return nearest


@dataclass
class _Lanes:
    """What was found for each lane: storylines, and clips that stand for themselves."""

    storylines: list[tuple[int, list[Span | Transition]]] = field(default_factory=list)
    singles: dict[int, list[Span]] = field(default_factory=dict)

    def tracks(self) -> list[list[Span]]:
        made = [(lane, in_order(joined(items))) for lane, items in self.storylines]
        made += [(lane, in_order(sorted(spans, key=lambda s: s.start))) for lane, spans in self.singles.items()]
        return [track for _, track in sorted(made, key=lambda m: m[0])]


def read_fcpx(data: bytes, where: str, told: Told) -> Edit:
    """The timeline in an FCPXML file. Raises ShowError."""
    root, said = parse_xml(data, where)
    reading = _Reading(where, said=said)
    if root.tag != "fcpxml":
        raise reading.bad(f"is XML of another kind, <{root.tag[:40]}>")
    for resource in root.iterfind("resources/*"):
        reading.resources.setdefault(resource.get("id", ""), resource)
    projects = [(clean(p.get("name")), s) for p in root.iter("project") if (s := p.find("sequence")) is not None]
    if not projects:
        media = root.iterfind("resources/media")
        projects = [(clean(m.get("name")), s) for m in media if (s := m.find("sequence")) is not None]
    if not projects:
        raise reading.bad("holds no project", "an export of a project, not of an event")
    name, sequence = projects[choose([n for n, _ in projects], where, told)]
    if told.film_start:
        raise ShowError(Problem("--film-start", "is given for an FCPXML", "for an EDL only: a project begins with its film"))
    own = _rate(sequence, reading)
    rate = own or told.rate
    if rate is None:
        raise reading.bad("does not say its rate", "--rate, or --film to ask the film")
    if told.rate is not None and told.rate != rate:
        raise reading.bad(f"is at {spoken(rate)} frames a second, not {spoken(told.rate)}", "", OTHER_RATE)
    reading.rate = rate
    spans = _sequence(sequence, reading, 0)
    if not spans:
        raise reading.bad("holds no picture", "a project with at least one enabled video clip")
    if reading.overlays:
        reading.said.append(f"{reading.overlays} titles over a picture left aside: they cut nothing")
    if reading.off_grid:
        reading.said.append(f"{reading.off_grid} times lie between two frames of {spoken(rate)} a second: rounded")
    return Edit(name, rate, tuple(spans), 0, max(reading.ends, default=0), "", tuple(reading.said))


def _rate(sequence: Element, reading: _Reading) -> Fraction | None:
    """The exact rate of a sequence's format: its frameDuration, or the name that Apple gave it."""
    form = reading.resources.get(sequence.get("format", ""))
    if form is None:
        return None
    duration = reading.seconds(form, "frameDuration")
    if duration is not None and duration > 0:
        rate = exact_rate(1 / duration)
        if rate is None:
            raise reading.bad(f"has frameDuration={form.get('frameDuration', '')[:40]!r}", "1 to 1000 frames a second")
        return rate
    named = _RATE_IN_NAME.search(form.get("name", ""))
    return Fraction(_NAMED_RATES.get(named[1], named[1])) if named else None


def _sequence(sequence: Element, reading: _Reading, depth: int) -> list[Span]:
    """What is seen of a sequence, from frame 0."""
    lanes = _Lanes()
    spine = sequence.find("spine")
    if spine is not None:
        _storyline(spine, Fraction(0), 0, lanes, reading, depth)
    spans = flattened(lanes.tracks())
    # What is connected before the first clip stands before the film.
    return within(spans, 0, max((s.end for s in spans), default=0), 0)


def _storyline(spine: Element, at: Fraction, lane: int, lanes: _Lanes, reading: _Reading, depth: int) -> None:
    """The clips of a spine, one after the other from `at`, in seconds of the sequence."""
    _guard(reading, depth)
    elements = [e for e in spine if e.tag in (*_CLIPS, "transition")]
    offsets = [reading.seconds(e, "offset") for e in elements]
    begin = min((o for o in offsets if o is not None), default=Fraction(0))
    items: list[Span | Transition] = []
    follows = at
    for i, (element, offset) in enumerate(zip(elements, offsets, strict=True)):
        start = follows if offset is None else at + offset - begin
        length = _length(element, reading)
        if element.tag == "transition":
            if element.find("filter-video") is None and element.find("filter-audio") is not None:
                continue
            clips = [0 <= j < len(elements) and _has_picture(elements[j], reading, 0) for j in (i - 1, i + 1)]
            items.append(Transition(reading.frames(start), reading.frames(start + length), clips[0], clips[1]))
            continue
        follows = start + length
        items += _placed(element, start, length, reading, depth)
        _connected(element, start, lane, lanes, reading, depth + 1)
    lanes.storylines.append((lane, items))
    if depth == 0:
        reading.ends.append(reading.frames(follows))


def _connected(clip: Element, at: Fraction, lane: int, lanes: _Lanes, reading: _Reading, depth: int) -> None:
    """What hangs on a clip that stands at `at` seconds: clips and storylines in lanes above and below."""
    _guard(reading, depth)
    begin = reading.seconds(clip, "start") or Fraction(0)
    for child in clip:
        if child.tag not in (*_CLIPS, "spine") or child.get("lane", "0") == "0":
            continue
        here = lane + _lane(child, reading)
        start = at + (reading.seconds(child, "offset") or begin) - begin
        if child.tag == "spine":
            _storyline(child, start, here, lanes, reading, depth + 1)
            continue
        length = _length(child, reading)
        if child.tag == "title" and here > 0:
            reading.overlays += 1
        else:
            lanes.singles.setdefault(here, []).extend(_placed(child, start, length, reading, depth + 1))
        _connected(child, start, here, lanes, reading, depth + 1)


def _lane(element: Element, reading: _Reading) -> int:
    text = element.get("lane", "0")
    if not re.fullmatch(r"-?\d{1,6}", text, re.ASCII):
        raise reading.bad(f"has lane={text[:40]!r}", "a whole number")
    return int(text)


def _guard(reading: _Reading, depth: int) -> None:
    if depth > DEEPEST:
        raise reading.bad(f"nests clips more than {DEEPEST} deep")


def _resource(element: Element, reading: _Reading) -> Element | None:
    return reading.resources.get(element.get("ref", ""))


def _length(element: Element, reading: _Reading) -> Fraction:
    """Its duration; where it says none, its media's."""
    length = reading.seconds(element, "duration")
    if length is None and (resource := _resource(element, reading)) is not None:
        length = reading.seconds(resource, "duration")
        sequence = resource.find("sequence")
        if length is None and sequence is not None:
            length = reading.seconds(sequence, "duration")
    if length is None and element.tag == "audition" and len(element):
        length = _length(element[0], reading)
    if length is None or length < 0:
        raise reading.bad(f"holds <{element.tag}> {clean(element.get('name'))!r} without a duration", "one of 0s or more")
    return length


def _has_picture(element: Element, reading: _Reading, depth: int) -> bool:
    """Whether anything is seen of a clip itself, whatever hangs on it."""
    if depth > DEEPEST or element.get("enabled") == "0" or element.get("srcEnable") == "audio":
        return False
    if element.tag in ("gap", "audio", "transition"):
        return False
    if element.tag == "asset-clip":
        asset = _resource(element, reading)
        return asset is None or asset.get("hasVideo") == "1" or asset.get("hasAudio") != "1"
    if element.tag == "clip":
        inside = [c for c in element if c.tag in _CLIPS and c.get("lane", "0") == "0"]
        return not inside or any(_has_picture(c, reading, depth + 1) for c in inside)
    if element.tag == "audition":
        return len(element) > 0 and _has_picture(element[0], reading, depth + 1)
    return True


def _placed(element: Element, at: Fraction, length: Fraction, reading: _Reading, depth: int) -> list[Span]:
    """The spans of a clip that stands at `at`, all in seconds; those of the inner sequence for a compound clip."""
    if not _has_picture(element, reading, 0):
        return []
    start, end = reading.frames(at), reading.frames(at + length)
    name, begin = clean(element.get("name")), reading.seconds(element, "start") or Fraction(0)
    plain = element.get("ref") is not None and element.find("timeMap") is None
    place = (element.get("ref", ""), name, begin, begin + length) if plain else None
    spans = [Span(start, end, name, place=place)]
    if element.tag == "ref-clip":
        inner = list(_opened(element, start, end, reading, depth))
        spans = inner or spans
    reading.spans += len(spans)
    if reading.spans > MOST_SHOTS:
        raise reading.bad(f"holds more than {MOST_SHOTS} clips", "a timeline")
    return spans


def _opened(element: Element, start: int, end: int, reading: _Reading, depth: int) -> Iterator[Span]:
    """A compound clip's own clips, where it stands."""
    _guard(reading, depth)
    media = _resource(element, reading)
    sequence = media.find("sequence") if media is not None else None
    if sequence is None:
        return
    begin = reading.seconds(element, "start")
    first = reading.seconds(sequence, "tcStart") or Fraction(0)
    offset = 0 if begin is None else max(0, reading.frames(begin - first))
    yield from within(_sequence(sequence, reading, depth + 1), offset, offset + end - start, start)
