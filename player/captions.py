"""Captions: an SRT file to the text that is due at a film frame.

Pure, and the same in the live player, in `render` and in `remake`: a caption belongs to film frames, not to refreshes. SRT
gives milliseconds, so a time that was meant as a frame is up to half a millisecond off: each goes to the nearest frame. What
overlaps is laid out into spans in which nothing changes, so that a track, which can show one text at a time, says the same
as the picture does.
"""

from __future__ import annotations

import bisect
import html
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from player.show.problem import Problem, ShowError

MOST_BYTES = 16 << 20
MOST_CUES = 100_000
MOST_LETTERS = 1000  # of one cue; more is not a caption but a file that is none
MOST_AT_ONCE = 4  # cues; more do not fit the picture
NO_END_S = Fraction(2)  # how long a cue lasts that ends before it begins
TAB = "    "

# 00:01:02,345 --> 00:01:04,000, with or without hours, comma or dot, and whatever stands behind (positions).
_TIME = r"(?:(\d{1,3})\s*:\s*)?(\d{1,3})\s*:\s*(\d{1,2})(?:\s*[,.:;\u00b7]\s*(\d{1,9}))?"
_TIMES = re.compile(rf"^\s*{_TIME}\s*(?:-+|\u2013|\u2014|\u2212)+\s*>\s*{_TIME}(?:\s.*)?$", re.ASCII)
_TAG = re.compile(r"<\s*(/?)\s*([A-Za-z]+)\b[^<>\n]{0,200}>|\{\\[^{}\n]{0,200}\}|\{\s*(/?)\s*([biuBIU])\s*\}")
_BREAK = re.compile(r"<\s*br\s*/?\s*>|\\[Nn]", re.IGNORECASE)
_KNOWN = ("i", "b", "u", "s", "em", "strong", "font", "c", "v", "ruby", "rt", "lang", "span")
# Whatever only moves or hides letters: controls, and the marks of writing direction, which the shaper finds for itself.
_HIDDEN = dict.fromkeys((*range(9), 11, 12, *range(14, 32), *range(127, 160), 0xFEFF, 0x200B, 0x200E, 0x200F,
                         *range(0x202A, 0x202F), *range(0x2066, 0x206A)))  # fmt: skip


@dataclass(frozen=True)
class Run:
    """Letters of one kind within a line."""

    text: str
    italic: bool = False
    bold: bool = False


Line = tuple[Run, ...]


@dataclass(frozen=True)
class Cue:
    """One entry of an SRT file: seconds of film time, exact, [start_s, end_s), and its lines."""

    start_s: Fraction
    end_s: Fraction
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Span:
    """What is read over the film frames [start, end): the lines, top to bottom."""

    start: int
    end: int
    lines: tuple[Line, ...]

    @property
    def text(self) -> str:
        """The letters alone."""
        return "\n".join(plain(line) for line in self.lines)


@dataclass(frozen=True)
class Captions:
    """The spans of a film, in order, without overlap. said: what a person should know about the file, a line each."""

    spans: tuple[Span, ...]
    said: tuple[str, ...] = ()

    def at(self, frame: int) -> Span | None:
        """The span that is due at a film frame; None where nothing is to be read."""
        index = bisect.bisect_right(self.spans, frame, key=_start) - 1
        return self.spans[index] if index >= 0 and frame < self.spans[index].end else None

    def after(self, frame: int) -> Span | None:
        """The next span that begins after a film frame."""
        index = bisect.bisect_right(self.spans, frame, key=_start)
        return self.spans[index] if index < len(self.spans) else None

    def letters(self) -> str:
        """Every letter that occurs, once, sorted: what a font must hold."""
        return "".join(sorted({c for s in self.spans for line in s.lines for run in line for c in run.text if not c.isspace()}))

    def within(self, start: int, end: int) -> Captions:
        """Those of the film frames [start, end), counted from `start`."""
        kept = (Span(max(s.start, start) - start, min(s.end, end) - start, s.lines) for s in self.spans
                if s.end > start and s.start < end)  # fmt: skip
        return Captions(tuple(kept), self.said)


def _start(span: Span) -> int:
    return span.start


def plain(line: Line) -> str:
    """A line's letters without their kinds."""
    return "".join(run.text for run in line)


def read_captions(path: Path, rate: Fraction) -> Captions:
    """The captions of an SRT file for a film of a rate (frames a second).

    Raises ShowError for a file that cannot be read, is too large, or holds no caption.
    """
    try:
        size = path.stat().st_size
        data = path.read_bytes() if size <= MOST_BYTES else b""
    except OSError as e:
        raise ShowError(Problem(str(path), f"cannot be read ({e.strerror})", "captions as SRT")) from None
    if size > MOST_BYTES:
        raise ShowError(Problem(str(path), f"has {size >> 20} MB", f"captions as SRT, up to {MOST_BYTES >> 20} MB"))
    text, said = decoded(data)
    cues, more = parse_srt(text, path.name)
    spans, crowded = spans_of(cues, rate)
    return Captions(spans, (*said, *more, *crowded))


def decoded(data: bytes) -> tuple[str, tuple[str, ...]]:
    """(the text of a file's bytes, what a person should know): UTF-8 or UTF-16 by its mark, UTF-8 where that is what they
    are, and else Windows-1252, in which subtitle files were written for twenty years."""
    for mark, encoding in ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if data.startswith(mark):
            return data.decode(encoding, "replace"), ()
    try:
        return data.decode("utf-8"), ()
    except UnicodeDecodeError as e:
        told = f"is not UTF-8 at byte {e.start}: read as Windows-1252; where letters are wrong, save it as UTF-8"
        return data.decode("cp1252", "replace"), (told,)


def parse_srt(text: str, where: str) -> tuple[tuple[Cue, ...], tuple[str, ...]]:
    """(cues by their start, what was mended). The lines with times divide the file; numbers may be missing or wrong, blank
    lines may be missing or stand within a text.

    Raises ShowError where there is no cue, or more than a film has.
    """
    lines = [line.rstrip() for line in re.split(r"\r\n|\r|\n", text.lstrip("\ufeff"))]
    at = [i for i, line in enumerate(lines) if "-" in line or "\u2013" in line or "\u2014" in line or "\u2212" in line]
    found = [(i, m) for i in at if len(lines[i]) < 200 and (m := _TIMES.match(lines[i]))]
    if len(found) > MOST_CUES:
        raise ShowError(Problem(where, f"holds {len(found)} captions", f"at most {MOST_CUES}"))
    cues: list[Cue] = []
    silent, backward, cut = [], [], []
    for k, (i, times) in enumerate(found):
        end_line = found[k + 1][0] if k + 1 < len(found) else len(lines)
        body = lines[i + 1 : end_line]
        if k + 1 < len(found) and body and _is_number(body[-1]):
            body = body[:-1]  # of the next cue: it stands right above its times
        letters = "\n".join(line for line in body if line.strip())
        if len(letters) > MOST_LETTERS:
            cut.append(i + 1)
            letters = letters[:MOST_LETTERS]
        shown = styled(letters)
        if not shown:
            silent.append(i + 1)
            continue
        start_s, end_s = _seconds(times.groups()[:4]), _seconds(times.groups()[4:])
        if end_s <= start_s:
            backward.append(i + 1)
            end_s = start_s + NO_END_S
        cues.append(Cue(start_s, end_s, shown))
    if not cues:
        given = "holds no caption" if not found else "holds captions without a letter"
        raise ShowError(Problem(where, given, "SRT: a line 00:00:01,000 --> 00:00:03,000 and the text below it"))
    said = [f"{len(group)} captions {what} ({_places(group)}): {done}" for group, what, done in (
        (silent, "have no text", "left out"), (backward, "end before they begin", f"shown for {NO_END_S} s"),
        (cut, "are too long", f"only {MOST_LETTERS} letters are shown")) if group]  # fmt: skip
    ordered = sorted(cues, key=lambda c: c.start_s)  # of those that begin together the file's order stays
    if ordered != cues:
        said.append("its captions are not in order of time: sorted")
    return tuple(ordered), tuple(said)


def _places(lines: Sequence[int]) -> str:
    more = f" and {len(lines) - 3} more" if len(lines) > 3 else ""
    return "line " + ", ".join(map(str, lines[:3])) + more


def _is_number(line: str) -> bool:
    stripped = line.strip()
    return stripped.isascii() and stripped.isdigit()


def _seconds(parts: Sequence[str | None]) -> Fraction:
    """Hours, minutes, seconds and what stands behind the comma, as exact seconds."""
    hours, minutes, seconds, behind = parts
    part = Fraction(int(behind), 10 ** len(behind)) if behind else Fraction(0)
    return Fraction(int(hours or 0) * 3600 + int(minutes or 0) * 60 + int(seconds or 0)) + part


def styled(text: str) -> tuple[Line, ...]:
    """SRT text as lines of runs. <i>, <b>, <em>, <strong> and {i}, {b} are kept, all other tags and positions left out; a
    tag that is not closed holds to the text's end. Lines without a letter are left out."""
    italic = bold = False
    lines: list[list[Run]] = [[]]

    def add(piece: str) -> None:
        for n, part in enumerate(html.unescape(piece).translate(_HIDDEN).split("\n")):
            if n:
                lines.append([])
            part = part.replace("\t", TAB)
            if part and lines[-1] and (lines[-1][-1].italic, lines[-1][-1].bold) == (italic, bold):
                lines[-1][-1] = Run(lines[-1][-1].text + part, italic, bold)
            elif part:
                lines[-1].append(Run(part, italic, bold))

    text, at = _BREAK.sub("\n", text), 0
    for tag in _TAG.finditer(text):
        name = (tag[2] or tag[4] or "").lower()
        if tag[2] and name not in _KNOWN:
            continue  # '<3' and '<Bob>' are words
        add(text[at : tag.start()])
        at, on = tag.end(), not (tag[1] or tag[3])
        if name in ("i", "em"):
            italic = on
        elif name in ("b", "strong"):
            bold = on
    add(text[at:])
    return tuple(made for line in lines if (made := _trimmed(line)))


def _trimmed(line: Iterable[Run]) -> Line:
    """A line without blanks at its ends; empty where it has no letter."""
    runs = list(line)
    while runs and not runs[0].text.strip():
        runs.pop(0)
    while runs and not runs[-1].text.strip():
        runs.pop()
    if not runs:
        return ()
    runs[0] = Run(runs[0].text.lstrip(), runs[0].italic, runs[0].bold)
    runs[-1] = Run(runs[-1].text.rstrip(), runs[-1].italic, runs[-1].bold)
    return tuple(runs)


def frame_at(time_s: Fraction, rate: Fraction) -> int:
    """The film frame nearest to a time, halves up."""
    return int(time_s * rate + Fraction(1, 2))


def spans_of(cues: Sequence[Cue], rate: Fraction) -> tuple[tuple[Span, ...], tuple[str, ...]]:
    """(spans of film frames, what a person should know). A cue lasts at least one frame. Cues that overlap are read below
    one another, the one that began first on top; a text that two of them have is read once."""
    timed = []
    for cue in cues:
        start = frame_at(cue.start_s, rate)
        timed.append((start, max(frame_at(cue.end_s, rate), start + 1), cue.lines))
    edges = sorted({edge for start, end, _ in timed for edge in (start, end)})
    spans: list[Span] = []
    active: list[tuple[int, int, tuple[Line, ...]]] = []
    coming, crowded = 0, 0
    for start, end in zip(edges, edges[1:], strict=False):
        active = [a for a in active if a[1] > start]
        while coming < len(timed) and timed[coming][0] <= start:
            active.append(timed[coming])
            coming += 1
        if len(active) > MOST_AT_ONCE:
            crowded = max(crowded, len(active))
            active = active[-MOST_AT_ONCE:]
        lines = tuple(line for text in dict.fromkeys(a[2] for a in active) for line in text)
        if lines and spans and spans[-1].end == start and spans[-1].lines == lines:
            spans[-1] = Span(spans[-1].start, end, lines)
        elif lines:
            spans.append(Span(start, end, lines))
    said = (f"up to {crowded} captions at once: the last {MOST_AT_ONCE} are shown",) if crowded else ()
    return tuple(spans), said
