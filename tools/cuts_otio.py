"""OpenTimelineIO files (.otio) to a timeline, and a cut list as one.

Read and written as the JSON that they are, with the standard library: a base install can then do it, and files of schemas
newer than the released opentimelineio reads (Marker.3, Color.1) are no trouble as long as what makes the timeline is of a
version known here; where it is not, that is said. Source: OpenTimelineIO's file format and its schema reference.

Read: timelines in timelines and stacks in tracks, several tracks, gaps, transitions, disabled clips, source ranges that
trim, clips without one, items of different rates.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from player.show.cut_list import CutList
from player.show.problem import Problem, ShowError
from tools.cuts_notes import OTIO_KEY, Layout, Piece, head_note, pieces_of, rate_in
from tools.cuts_timecode import exact_rate, spoken
from tools.cuts_timeline import (
    MOST_FRAMES,
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

# What makes a timeline, and the newest version of each that is read here.
KNOWN = {"Timeline": 1, "Stack": 1, "Track": 1, "Sequence": 1, "Clip": 2, "Gap": 1, "Filler": 1, "Transition": 1,
         "SerializableCollection": 1}  # fmt: skip
DEEPEST = 30
OFF_GRID = Fraction(1, 50)  # of a frame


@dataclass
class _Reading:
    """What one file's reading carries along. rate: of the timeline."""

    where: str
    rate: Fraction = Fraction(24)
    off_grid: int = 0
    said: list[str] = field(default_factory=list)
    made: dict[int, tuple[list[Span], int]] = field(default_factory=dict)  # compositions by id: each is asked for twice

    def bad(self, what: str, allowed: str = "an .otio as OpenTimelineIO writes it", hint: str = "") -> ShowError:
        return ShowError(Problem(self.where, what, allowed, hint))

    def frames(self, seconds: Fraction) -> int:
        """The nearest frame; how many did not lie on one is counted."""
        exact = seconds * self.rate
        nearest = math.floor(exact + Fraction(1, 2))
        self.off_grid += abs(exact - nearest) > OFF_GRID
        if abs(nearest) > MOST_FRAMES:
            raise self.bad(f"holds a time of {nearest} frames", f"up to {MOST_FRAMES}")
        return nearest


def schema_of(thing: object, reading: _Reading) -> str:
    """The name of an object's schema without its version, '' where it has none. Raises ShowError for one that is newer
    than is known here."""
    name, _, version = str(thing.get("OTIO_SCHEMA", "") if isinstance(thing, dict) else "").partition(".")
    if name in KNOWN and version.isascii() and version.isdigit() and int(version[:9]) > KNOWN[name]:
        raise reading.bad(f"holds {name}.{version[:9]}, a newer schema than cineml reads", f"{name}.{KNOWN[name]} or older",
                          "export it for an older version of OpenTimelineIO")  # fmt: skip
    return name


def read_otio(text: str, where: str, told: Told) -> Edit:
    """The timeline in the text of an .otio. Raises ShowError."""
    reading = _Reading(where)
    try:
        root = json.loads(text)
    except (ValueError, RecursionError) as e:
        given = f"is not JSON ({e})" if isinstance(e, ValueError) else "is nested too deeply"
        raise reading.bad(given[:200]) from None
    timeline = _chosen(root, reading, told)
    stack = timeline.get("tracks") if schema_of(timeline, reading) == "Timeline" else timeline
    head = _note(timeline)
    rate = told.rate or rate_in(head) or _rate(timeline, stack, reading)
    if rate is None:
        raise reading.bad("does not say its rate", "--rate, or --film to ask the film")
    own = rate_in(head) or _rate(timeline, stack, reading)
    if told.rate is not None and own is not None and told.rate != own:
        raise reading.bad(f"is at {spoken(own)} frames a second, not {spoken(told.rate)}", "", OTHER_RATE)
    if told.film_start:
        raise ShowError(Problem("--film-start", "is given for an .otio", "for an EDL only: a timeline begins with its film"))
    reading.rate = rate
    spans, length = _composition(stack, reading, 0)
    if not spans:
        raise reading.bad("holds no picture", "a timeline with at least one clip on a video track")
    if reading.off_grid:
        reading.said.append(f"{reading.off_grid} times lie between two frames of {spoken(rate)} a second: rounded")
    return Edit(clean(timeline.get("name")), rate, tuple(spans), 0, length, str(head.get("film", "")), tuple(reading.said))


def _chosen(root: object, reading: _Reading, told: Told) -> dict[str, Any]:
    """The one timeline, or the one that was asked for."""
    found = list(_timelines(root, reading, 0))
    if not found:
        name = str(root.get("OTIO_SCHEMA", ""))[:40] if isinstance(root, dict) else type(root).__name__
        raise reading.bad(f"holds no timeline ({name or 'no OTIO_SCHEMA'})")
    return found[choose([clean(t.get("name")) for t in found], reading.where, told)]


def choose(names: Sequence[str], where: str, told: Told) -> int:
    """Which of a file's timelines. Raises ShowError where it is open, or is not there."""
    listed = ", ".join(repr(n) for n in names[:12])
    if told.sequence:
        if names.count(told.sequence) == 1:
            return names.index(told.sequence)
        given = f"holds {names.count(told.sequence)} timelines named {told.sequence!r}"
        raise ShowError(Problem(where, given, listed))
    if len(names) > 1:
        raise ShowError(Problem(where, f"holds {len(names)} timelines: {listed}", "one", f"--sequence {names[0]!r}"))
    return 0


def _timelines(thing: object, reading: _Reading, depth: int) -> Iterator[dict[str, Any]]:
    schema = schema_of(thing, reading)
    if not isinstance(thing, dict) or depth > DEEPEST:
        return
    if schema in ("Timeline", "Stack", "Track", "Sequence"):
        yield thing
    elif schema == "SerializableCollection":
        for child in _children(thing):
            yield from _timelines(child, reading, depth + 1)


def _children(thing: Mapping[str, Any]) -> list[Any]:
    children = thing.get("children")
    return children if isinstance(children, list) else []


def _note(thing: Mapping[str, Any]) -> Mapping[str, Any]:
    metadata = thing.get("metadata")
    note = metadata.get(OTIO_KEY) if isinstance(metadata, dict) else None
    return note if isinstance(note, dict) else {}


def _seconds(thing: object, reading: _Reading) -> Fraction | None:
    """A RationalTime in exact seconds, None where it is none."""
    if not isinstance(thing, dict) or "value" not in thing:
        return None
    value, rate = thing.get("value"), thing.get("rate")
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise reading.bad(f"holds a time of value {str(value)[:40]!r}")
    exact = exact_rate(rate) if isinstance(rate, int | float) and math.isfinite(rate) else None
    if exact is None:
        if value == 0:
            return Fraction(0)  # of any rate, as some exporters write it
        raise reading.bad(f"holds a time at the rate {str(rate)[:40]!r}")
    if abs(value) > MOST_FRAMES * 1000:
        raise reading.bad(f"holds a time of {value:g}", f"up to {MOST_FRAMES} frames")
    return Fraction(value) / exact


def _range(thing: object, reading: _Reading) -> tuple[Fraction, Fraction] | None:
    """A TimeRange as (start, length) in seconds, None where there is none."""
    if not isinstance(thing, dict):
        return None
    start, length = (_seconds(thing.get(k), reading) for k in ("start_time", "duration"))
    if length is None:
        return None
    if length < 0:
        raise reading.bad("holds a time range of negative length")
    return start or Fraction(0), length


def _rate(timeline: Mapping[str, Any], stack: object, reading: _Reading) -> Fraction | None:
    """The rate that most items on the video tracks are measured in; where there are none, that of the start time."""
    counts: dict[Fraction, int] = {}

    def look(thing: object, depth: int) -> None:
        if not isinstance(thing, dict) or depth > DEEPEST:
            return
        if schema_of(thing, reading) in ("Clip", "Gap", "Filler") and isinstance(thing.get("source_range"), dict):
            length = thing["source_range"].get("duration")
            rate = length.get("rate") if isinstance(length, dict) else None
            exact = exact_rate(rate) if isinstance(rate, int | float) and math.isfinite(rate) else None
            # Gaps are often left at a default rate.
            if exact is not None:
                counts[exact] = counts.get(exact, 0) + (1000 if schema_of(thing, reading) == "Clip" else 1)
        for child in _children(thing):
            if not isinstance(child, dict) or child.get("kind", "Video") == "Video":
                look(child, depth + 1)

    start = timeline.get("global_start_time")
    given = start.get("rate") if isinstance(start, dict) else None
    exact = exact_rate(given) if isinstance(given, int | float) and math.isfinite(given) else None
    look(stack, 0)
    if not counts:
        return exact
    most = max(counts, key=lambda r: counts[r])
    # Clips carry their media's rate, so a timeline may say its own; but 1 is what some write for want of one.
    return exact if exact is not None and exact in counts else most


def _composition(thing: object, reading: _Reading, depth: int) -> tuple[list[Span], int]:
    """(the spans of a Stack or Track from frame 0, its length in frames)."""
    if depth > DEEPEST:
        raise reading.bad(f"is nested more than {DEEPEST} deep")
    schema = schema_of(thing, reading)
    if not isinstance(thing, dict) or schema not in ("Stack", "Track", "Sequence", "Timeline"):
        raise reading.bad(f"holds {schema or 'something without OTIO_SCHEMA'} where a stack or track should be"[:120])
    if id(thing) not in reading.made:
        reading.made[id(thing)] = _made(thing, schema, reading, depth)
    return reading.made[id(thing)]


def _made(thing: Mapping[str, Any], schema: str, reading: _Reading, depth: int) -> tuple[list[Span], int]:
    if schema == "Timeline":
        return _composition(thing.get("tracks"), reading, depth + 1)
    if schema == "Stack":
        parts = []
        for child in _children(thing):
            if isinstance(child, dict) and (child.get("kind") or "Video") == "Video" and child.get("enabled") is not False:
                if schema_of(child, reading) in ("Clip", "Gap", "Filler"):
                    child = {"OTIO_SCHEMA": "Track.1", "children": [child]}
                parts.append(_composition(child, reading, depth + 1))
        spans, length = flattened(p[0] for p in parts), max((p[1] for p in parts), default=0)
    else:
        spans, length = _track(thing, reading, depth)
    trim = _range(thing.get("source_range"), reading)
    if trim is None:
        return spans, length
    start, end = reading.frames(trim[0]), reading.frames(trim[0] + trim[1])
    if start >= length or end <= 0:
        # OpenTimelineIO's own EDL reader left such ranges behind: the record time minus the source time.
        reading.said.append(f"{clean(thing.get('name')) or schema}: its source range lies outside of it: left aside")
        return spans, length
    return within(spans, start, end, 0), end - start


def _track(track: Mapping[str, Any], reading: _Reading, depth: int) -> tuple[list[Span], int]:
    at = Fraction(0)
    items: list[Span | Transition] = []
    children = _children(track)
    schemas = [schema_of(c, reading) for c in children]
    for i, (child, schema) in enumerate(zip(children, schemas, strict=True)):
        if schema == "Transition":
            before, after = (_seconds(child.get(k), reading) or Fraction(0) for k in ("in_offset", "out_offset"))
            clips = [0 <= j < len(children) and _has_picture(children[j], schemas[j]) for j in (i - 1, i + 1)]
            items.append(Transition(reading.frames(at - before), reading.frames(at + after), clips[0], clips[1]))
            continue
        length = _length(child, schema, reading, depth)
        start, end = reading.frames(at), reading.frames(at + length)
        at += length
        if not _has_picture(child, schema):
            continue
        if schema == "Clip":
            items.append(Span(start, end, clean(child.get("name")) or clean(_media(child).get("name")), note=_note(child),
                              place=_place(child, length, reading)))  # fmt: skip
        else:
            inner, _ = _composition(child, reading, depth + 1)
            items += within(inner, 0, end - start, start)
    return in_order(joined(items)), reading.frames(at)


def _has_picture(child: object, schema: str) -> bool:
    return isinstance(child, dict) and schema in ("Clip", "Stack", "Track", "Sequence", "Timeline") and (
        child.get("enabled") is not False)  # fmt: skip


def _length(child: object, schema: str, reading: _Reading, depth: int) -> Fraction:
    """The length of a track's child in seconds."""
    if not isinstance(child, dict) or schema not in ("Clip", "Gap", "Filler", "Stack", "Track", "Sequence", "Timeline"):
        raise reading.bad(f"holds {schema or 'something without OTIO_SCHEMA'} on a track"[:120], "clips, gaps and transitions")
    if own := _range(child.get("source_range"), reading):
        return own[1]
    if schema in ("Stack", "Track", "Sequence", "Timeline"):
        return _composition(child, reading, depth + 1)[1] / reading.rate
    if schema == "Clip":
        if own := _range(_media(child).get("available_range"), reading):
            return own[1]
    raise reading.bad(f"holds {schema} {clean(child.get('name'))!r} without a length", "a source_range or an available_range")


def _media(clip: Mapping[str, Any]) -> Mapping[str, Any]:
    """The media reference that a clip plays, {} where it has none. Clip.1 has one, Clip.2 several."""
    media = clip.get("media_reference")
    references = clip.get("media_references")
    if isinstance(references, dict):
        key = clip.get("active_media_reference_key")
        media = references.get(key if isinstance(key, str) and key else "DEFAULT_MEDIA")
    return media if isinstance(media, dict) else {}


def _place(clip: Mapping[str, Any], length: Fraction, reading: _Reading) -> tuple[str, str, Fraction, Fraction] | None:
    """Where in which media a clip is from; None where it is not plain: no media, another speed."""
    url, own = _media(clip).get("target_url"), _range(clip.get("source_range"), reading)
    if not isinstance(url, str) or own is None or clip.get("effects"):
        return None
    return url, clean(clip.get("name")), own[0], own[0] + length


def format_otio(cuts: CutList, where: str, layout: Layout) -> tuple[str, list[str]]:
    """(the JSON text of a Timeline.1 with one video track, lines for a person).

    A dissolve begins at the cut (in_offset 0), so that every clip's range is its shot. A fade is a transition into or out
    of a gap: the gap takes the place of the frames that fade out, or of those that fade in.
    """
    pieces, said = pieces_of(cuts, layout.baked)
    rate = float(cuts.rate)
    length = max(layout.length, layout.begin + cuts.frames)

    def time(frames: int) -> dict[str, Any]:
        return {"OTIO_SCHEMA": "RationalTime.1", "rate": rate, "value": float(frames)}

    def span(start: int, end: int) -> dict[str, Any]:
        return {"OTIO_SCHEMA": "TimeRange.1", "duration": time(end - start), "start_time": time(start)}

    def media_span(start: int, end: int) -> dict[str, Any]:
        return span(start + layout.source, end + layout.source)

    def item(schema: str, name: str, source: Mapping[str, Any], **more: object) -> dict[str, Any]:
        return {"OTIO_SCHEMA": schema, "metadata": {}, "name": name, "source_range": source, "effects": [],
                "markers": [], "enabled": True, **more}  # fmt: skip

    def mix(name: str, before: int, after: int) -> dict[str, Any]:
        return {"OTIO_SCHEMA": "Transition.1", "metadata": {}, "name": name, "in_offset": time(before),
                "out_offset": time(after), "transition_type": "SMPTE_Dissolve"}  # fmt: skip

    media = {"OTIO_SCHEMA": "ExternalReference.1", "metadata": {}, "name": layout.film,
             "available_range": media_span(0, length), "target_url": layout.place or layout.film}  # fmt: skip

    def clip(piece: Piece, start: int, end: int) -> dict[str, Any]:
        name = piece.shot.label or f"shot {piece.shot.number}"
        source = media_span(start + layout.begin, end + layout.begin)
        made = item("Clip.2", name, source, media_references={"DEFAULT_MEDIA": media},
                    active_media_reference_key="DEFAULT_MEDIA")  # fmt: skip
        return {**made, "metadata": {OTIO_KEY: piece.note}}

    children: list[dict[str, Any]] = []
    black = 0  # frames of gap that are due before the next clip
    for index, piece in enumerate(pieces):
        start, end = piece.start, piece.end - piece.out_frames
        if piece.into == "fade":
            if black or index == 0:
                if black:
                    children.append(item("Gap.1", "", span(0, black)))
                children.append(mix("fade in", 0, piece.in_frames))
            else:  # a hard cut to black and up from it at once: the gap needs some length, so it takes the fade's
                children.append(item("Gap.1", "", span(0, piece.in_frames)))
                children.append(mix("fade in", piece.in_frames, 0))
                start += piece.in_frames
        else:
            if black:
                children.append(item("Gap.1", "", span(0, black)))
            if piece.into == "dissolve":
                children.append(mix("dissolve", 0, piece.in_frames))
        black = piece.out_frames
        children.append(clip(piece, start, end))
        if black:
            children.append(mix("fade out", 0, black))
    if black:
        children.append(item("Gap.1", "", span(0, black)))
    track = item("Track.1", "V1", None, children=children, kind="Video")  # type: ignore[arg-type]
    stack = item("Stack.1", "tracks", None, children=[track])  # type: ignore[arg-type]
    timeline = {"OTIO_SCHEMA": "Timeline.1", "metadata": {OTIO_KEY: head_note(cuts)}, "name": layout.film or "cut list",
                "global_start_time": time(layout.first), "tracks": stack}  # fmt: skip
    return json.dumps(timeline, indent=2) + "\n", said
