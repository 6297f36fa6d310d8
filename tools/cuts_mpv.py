"""mpv's edit lists ("# mpv EDL v0") to a timeline: segments one after the other, in seconds.

Read: named and unnamed parameters, %LENGTH%VALUE for names with commas, ';' for line ends, edl:// lines, titles. Seconds
become frames by the film's rate. Where all segments follow one another in one file, their start times say where the cuts
are, and no rounding adds up. Source: mpv's DOCS/edl-mpv.rst.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from player.show.problem import Problem, ShowError
from tools.cuts_timecode import spoken
from tools.cuts_timeline import MOST_FRAMES, Edit, Span, Told, clean

HEADS = (b"# mpv EDL v0", b"mpv EDL v0", b"edl://")
MOST_ROUNDING_S = Fraction(1, 500)  # of a start and a length written to a thousandth
_ORDER = ("file", "start", "length")
_NUMBER = re.compile(r"[+-]?(\d{1,12}(\.\d{0,12})?|\.\d{1,12})", re.ASCII)


@dataclass(frozen=True)
class _Segment:
    line: int
    file: str
    start: Fraction
    length: Fraction | None
    title: str


def is_mpv(data: bytes) -> bool:
    return data.lstrip(b"\xef\xbb\xbf \r\n").startswith(HEADS)


def read_mpv(data: bytes, where: str, told: Told) -> Edit:
    """The timeline of an mpv EDL. Raises ShowError."""
    if told.film_start:
        raise ShowError(Problem("--film-start", "is given for an mpv EDL", "for a CMX3600 EDL only"))
    segments = _segments(data, where)
    if not segments:
        raise ShowError(Problem(where, "holds no segment", "lines such as film.mp4,0,12.5"))
    if told.rate is None:
        raise ShowError(Problem(where, "is in seconds and does not say its rate", "--rate, or --film to ask the film"))
    rate = told.rate
    said: list[str] = []
    at = _boundaries(segments, where, told, rate)
    frames = [_nearest(t * rate) for t in at]
    if frames[-1] > MOST_FRAMES:
        raise ShowError(Problem(where, f"lasts {frames[-1]} frames", f"up to {MOST_FRAMES}"))
    off = sum(abs(t * rate - f) > Fraction(1, 4) for t, f in zip(at, frames, strict=True))
    if 2 * off > len(at):
        said.append(f"{off} of {len(at)} times lie far from every frame of {spoken(rate)} a second: is that the rate?")
    spans = [Span(a, b, clean(s.title)) for a, b, s in zip(frames, frames[1:], segments, strict=False) if b > a]
    if lost := len(segments) - len(spans):
        said.append(f"{lost} segments of less than a frame left out")
    files = {s.file for s in segments}
    return Edit("", rate, tuple(spans), film=clean(files.pop()) if len(files) == 1 else "", said=tuple(said))


def _nearest(value: Fraction) -> int:
    return (2 * value.numerator + value.denominator) // (2 * value.denominator)


def _boundaries(segments: list[_Segment], where: str, told: Told, rate: Fraction) -> list[Fraction]:
    """Where each segment begins in the timeline, and where the last ends, in seconds."""
    lengths: list[Fraction] = []
    for i, s in enumerate(segments):
        length = s.length
        if length is None:
            if told.frames is None or i != len(segments) - 1:
                given = "a segment without a length goes to the end of its file"
                raise ShowError(Problem(f"{where}: line {s.line}", given, "lengths", "--film, where it is the last one"))
            length = told.frames / rate - s.start
        if length <= 0:
            raise ShowError(Problem(f"{where}: line {s.line}", f"lasts {float(length):g} s", "a length above 0"))
        lengths.append(length)
    at = [Fraction(0)]
    for length in lengths:
        at.append(at[-1] + length)
    by_start = [s.start - segments[0].start for s in segments]
    pairs = zip(by_start, at, strict=False)
    near = [abs(a - b) < Fraction(1, 2) / rate + i * MOST_ROUNDING_S for i, (a, b) in enumerate(pairs)]
    if len({s.file for s in segments}) == 1 and all(near) and by_start == sorted(by_start):
        return [*by_start, by_start[-1] + lengths[-1]]
    return at


def _segments(data: bytes, where: str) -> list[_Segment]:
    data = data.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").strip()
    if data.startswith(b"edl://"):
        data = b"\n" + data[6:]
    segments: list[_Segment] = []
    at, line = 0, 1
    while at < len(data):
        if data[at : at + 1] in (b"\n", b";"):
            line += data[at : at + 1] == b"\n"
            at += 1
        elif data[at : at + 1] == b"#" or data.startswith(b"mpv EDL v0", at):
            end = data.find(b"\n", at)
            at = len(data) if end < 0 else end
        else:
            values, at = _entry(data, at, f"{where}: line {line}")
            if "" not in values:  # "!" headers tell about streams
                segments.append(_segment(values, line, f"{where}: line {line}"))
    return segments


def _entry(data: bytes, at: int, where: str) -> tuple[dict[str, str], int]:
    """(the parameters of one segment by name, where the next begins); {'': ''} for a header line, which is none."""
    values: dict[str, str] = {}
    header = data[at : at + 1] == b"!"
    place = 0
    while at < len(data) and data[at : at + 1] not in (b"\n", b";"):
        name = ""
        if found := re.compile(rb"([^=%,;\n]+)=").match(data, at):
            name, at = found[1].decode("utf-8", "replace"), found.end()
        if counted := re.compile(rb"%(\d{1,6})%").match(data, at):
            end = counted.end() + int(counted[1])
            value = data[counted.end() : end]
            if end > len(data):
                raise ShowError(Problem(where, f"announces {int(counted[1])} bytes, and the file ends before", "a whole file"))
        else:
            found = re.compile(rb"[^,;\n]*").match(data, at)
            end = found.end() if found else at
            value = data[at:end]
        at = end
        if not name:
            name = _ORDER[place] if place < len(_ORDER) else f"parameter {place + 1}"
            place += 1
        values[name] = value.decode("utf-8", "replace").strip()
        if at < len(data) and data[at : at + 1] == b",":
            at += 1
        elif at < len(data) and data[at : at + 1] not in (b"\n", b";"):
            raise ShowError(Problem(where, "holds something after a counted value", "',' ';' or the line's end"))
    return ({"": ""} if header else values), at


def _segment(values: dict[str, str], line: int, where: str) -> _Segment:
    if values.get("timestamps") == "chapters":
        raise ShowError(Problem(where, "counts in chapters", "times in seconds"))
    times: list[Fraction | None] = []
    for name in ("start", "length"):
        text = values.get(name, "")
        if text and not _NUMBER.fullmatch(text):
            raise ShowError(Problem(where, f"{name} is {text[:40]!r}", "seconds"))
        times.append(Fraction(text) if text else None)
    return _Segment(line, values.get("file", ""), times[0] or Fraction(0), times[1], values.get("title", ""))
