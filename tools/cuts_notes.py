"""What other formats cannot hold of a cut list, kept beside it: labels, groups, white fades; and what is written as what.

A note is a little JSON: in an EDL a comment line, in an OTIO metadata, in an XML the comment of a marker. Programs pass
such things on or drop them; nothing that makes a frame number depends on them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from player.show.cut_list import CutList, Shot
from player.show.film import parse_rate

EDL_MARK = "* CINEML:"
XML_MARK = "CINEML:"
OTIO_KEY = "cineml"
MOST_NOTE = 8000  # a label and a group of the longest, every character escaped


@dataclass(frozen=True)
class Piece:
    """One shot as another format is to show it. into: cut, dissolve or fade (from black); out: cut or fade (to black);
    lengths in frames, 0 for a cut. note: the rest."""

    shot: Shot
    into: str
    in_frames: int
    out: str
    out_frames: int
    note: dict[str, Any]

    @property
    def start(self) -> int:
        return self.shot.start

    @property
    def end(self) -> int:
        return self.shot.end


@dataclass(frozen=True)
class Layout:
    """How a cut list is written: the film's name, the place of its file (a path or URL, may be empty), its picture's size.
    first: the timeline's first frame; drop: its labels are drop frame; baked: the film holds its own dissolves and fades,
    so write cuts. source: the timecode of the film's own first frame, in frames; begin: where in it the list begins;
    length: how many frames the film has, 0 for those of the list."""

    film: str
    place: str = ""
    width: int = 1920
    height: int = 1080
    first: int = 0
    drop: bool = False
    baked: bool = False
    source: int = 0
    begin: int = 0
    length: int = 0


def pieces_of(cuts: CutList, baked: bool, opens: bool = True) -> tuple[list[Piece], list[str]]:
    """Every shot as an editor's program can show it, and lines for a person about what only a note holds. opens: whether the
    format may begin with a fade."""
    pieces: list[Piece] = []
    noted: dict[str, list[int]] = {}
    for shot in cuts.shots:
        into, in_frames, out, out_frames = shot.into, shot.in_frames, shot.out, shot.out_frames
        if shot.into == "fade" and shot.in_colour != "black":
            noted.setdefault("fades from or to white", []).append(shot.number)
            into, in_frames = "cut", 0
        elif shot.into == "fade" and shot.number == 1 and not opens:
            noted.setdefault("a fade in at the very beginning", []).append(shot.number)
            into, in_frames = "cut", 0
        if shot.out == "fade" and shot.out_colour != "black":
            noted.setdefault("fades from or to white", []).append(shot.number)
            out, out_frames = "cut", 0
        if into == "dissolve" and pieces and pieces[-1].out == "fade":
            noted.setdefault("dissolves from a picture that has faded out", []).append(shot.number)
            into, in_frames = "cut", 0
        if in_frames + out_frames + (into == "fade") > shot.frames or out_frames >= shot.frames:
            noted.setdefault("transitions that overlap", []).append(shot.number)
            if out_frames:
                out, out_frames = "cut", 0
            if in_frames + (into == "fade") > shot.frames:
                into, in_frames = "cut", 0
        if baked:
            into, in_frames, out, out_frames = "cut", 0, "cut", 0
        note = _note(shot, into, out)
        pieces.append(Piece(shot, into, in_frames, out, out_frames, note))
    said = [f"{what}, of shot {', '.join(map(str, dict.fromkeys(numbers)))}: kept in notes, written as cuts"
            for what, numbers in noted.items() if not baked]  # fmt: skip
    if baked and any(s.into != "cut" or s.out != "cut" for s in cuts.shots):
        said.append("dissolves and fades kept in notes: the film holds them already (--baked)")
    return pieces, said


def _note(shot: Shot, into: str, out: str) -> dict[str, Any]:
    note: dict[str, Any] = {"shot": shot.number, "start": shot.start, "end": shot.end, "label": shot.label}
    if shot.group:
        note["group"] = shot.group
    if shot.into != into:
        note |= {"in": shot.into, "in_frames": shot.in_frames} | ({"in_colour": shot.in_colour} if shot.in_colour else {})
    if shot.out != out:
        note |= {"out": shot.out, "out_frames": shot.out_frames, "out_colour": shot.out_colour}
    return note


def head_note(cuts: CutList, **more: object) -> dict[str, Any]:
    """What is known about the whole."""
    rate = f"{cuts.rate.numerator}/{cuts.rate.denominator}"
    return {"rate": rate, "frames": cuts.frames, "film": cuts.film} | {k: v for k, v in more.items() if v}


def written(note: Mapping[str, Any], mark: str) -> str:
    """One line of ASCII, so that a program that knows no UTF-8 passes it on as well."""
    return f"{mark} {json.dumps(note)}"


def note_of(line: str, mark: str) -> dict[str, Any]:
    """The note in a line, {} where there is none."""
    if not line.startswith(mark) or len(line) > MOST_NOTE:
        return {}
    try:
        note = json.loads(line[len(mark) :])
    except (ValueError, RecursionError):
        return {}
    return note if isinstance(note, dict) else {}


def rate_in(note: Mapping[str, Any]) -> Fraction | None:
    """The rate that a head note tells, or None."""
    try:
        return parse_rate(str(note["rate"])) if "rate" in note else None
    except ValueError:
        return None
