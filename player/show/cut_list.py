"""The cut list: ordered shots that cover the film without gap or overlap, and what of them is seen at a frame."""

from __future__ import annotations

import bisect
import csv
import io
import os
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from player.show.film import parse_rate
from player.show.problem import Problem, ShowError, nearest

COLUMNS = ("shot", "start", "end", "in", "in_frames", "in_colour", "out", "out_frames", "out_colour", "label", "group")
IN_KINDS = ("cut", "dissolve", "fade")
OUT_KINDS = ("cut", "fade")
COLOURS = ("black", "white")


@dataclass(frozen=True)
class Shot:
    """The half-open interval [start, end) of film frames, from 0; `number` counts from 1.

    into: cut, dissolve or fade; its first in_frames come up from the shot before (dissolve) or from in_colour (fade).
    out: cut or fade; its last out_frames go to out_colour.
    """

    number: int
    start: int
    end: int
    into: str = "cut"
    in_frames: int = 0
    in_colour: str = ""
    out: str = "cut"
    out_frames: int = 0
    out_colour: str = ""
    label: str = ""
    group: str = ""

    @property
    def frames(self) -> int:
        return self.end - self.start


@dataclass(frozen=True)
class Mix:
    """What of the shots is seen at one frame, in linear light.

    picture = weight * shot + (1 - weight) * outgoing, where outgoing is None (and weight 1) outside dissolves;
    seen = fade * picture + (1 - fade) * fade_colour, where fade is 1 outside fades.
    """

    shot: Shot
    outgoing: Shot | None = None
    weight: float = 1.0
    fade: float = 1.0
    fade_colour: str = ""


@dataclass(frozen=True)
class CutList:
    """Shots in order; shots[0].start == 0, shot.end == next.start, shots[-1].end == frames."""

    film: str
    rate: Fraction
    frames: int
    shots: tuple[Shot, ...]

    def index_at(self, frame: int) -> int:
        """Index into `shots` of the shot that holds `frame`; frames outside the film give the first or last shot."""
        starts = [s.start for s in self.shots]
        return min(max(bisect.bisect_right(starts, frame) - 1, 0), len(self.shots) - 1)

    def shot_at(self, frame: int) -> Shot:
        return self.shots[self.index_at(frame)]

    def by_number(self, number: int) -> Shot | None:
        return self.shots[number - 1] if 1 <= number <= len(self.shots) else None

    def mix_at(self, frame: int) -> Mix:
        """The weights at a frame. At start + k of a dissolve the new picture weighs (k + 1) / (in_frames + 1); at
        end - out_frames + k of a fade out the picture weighs 1 - (k + 1) / (out_frames + 1)."""
        index = self.index_at(frame)
        shot = self.shots[index]
        k = frame - shot.start
        outgoing, weight, fade, colour = None, 1.0, 1.0, ""
        if shot.into == "dissolve" and k < shot.in_frames and index > 0:
            outgoing, weight = self.shots[index - 1], (k + 1) / (shot.in_frames + 1)
        if shot.into == "fade" and k < shot.in_frames:
            fade, colour = (k + 1) / (shot.in_frames + 1), shot.in_colour
        k_out = frame - (shot.end - shot.out_frames)
        if shot.out == "fade" and k_out >= 0:
            fade_out = 1 - (k_out + 1) / (shot.out_frames + 1)
            if fade_out < fade:
                fade, colour = fade_out, shot.out_colour
        return Mix(shot, outgoing, weight, fade, colour)


def problems_of(cuts: CutList, where: str, film_frames: int | None = None) -> list[Problem]:
    """Everything wrong with a cut list, in a person's words; empty when it is sound."""
    found: list[Problem] = []
    if not cuts.shots:
        return [Problem(where, "holds no shot", "at least one row a shot")]
    expected = 0
    for i, s in enumerate(cuts.shots):
        at = f"{where}: shot {s.number}"
        if s.number != i + 1:
            found.append(Problem(at, f"row {i + 1} is numbered {s.number}", "shots numbered 1, 2, 3 ..."))
        if s.end <= s.start:
            found.append(Problem(at, f"ends at {s.end}, not after its start {s.start}", "end > start (end exclusive)"))
        elif s.start != expected:
            kind = "leaves a gap after" if s.start > expected else "overlaps"
            found.append(Problem(at, f"starts at {s.start} and {kind} frame {expected}", f"start {expected}"))
        if s.into == "dissolve" and i == 0:
            found.append(Problem(at, "dissolves in, but no shot is before it", "cut or fade for the first shot"))
        ends = (("in", s.into, s.in_frames, s.in_colour), ("out", s.out, s.out_frames, s.out_colour))
        for name, kind, length, colour in ends:
            if kind == "cut" and length != 0:
                found.append(Problem(at, f"{name} is a cut with {name}_frames {length}", f"{name}_frames 0 for a cut"))
            if kind != "cut" and not 0 < length <= s.frames:
                found.append(Problem(at, f"{name}_frames is {length}", f"1 to {s.frames}, the shot's length"))
            if kind == "fade" and colour not in COLOURS:
                found.append(Problem(at, f"{name}_colour is {colour!r}", " or ".join(COLOURS)))
            if kind != "fade" and colour:
                found.append(Problem(at, f"{name}_colour is {colour!r} for a {kind}", "empty unless it fades"))
        # Both would leave a jump inside what is one movement: from colour to colour, and from the colour back to the picture.
        if (s.into, s.out) == ("fade", "fade") and s.in_colour != s.out_colour and s.in_frames + s.out_frames > s.frames > 0:
            given = (f"fades in from {s.in_colour} over {s.in_frames} frames and out to {s.out_colour} over {s.out_frames}, "
                     f"and has {s.frames}")
            found.append(Problem(at, given, f"in_frames and out_frames of at most {s.frames} together, or one colour for both"))
        following = cuts.shots[i + 1] if i + 1 < len(cuts.shots) else None
        if s.out == "fade" and following is not None and following.into == "dissolve":
            given = f"fades out to {s.out_colour}, and shot {following.number} dissolves in from its picture"
            found.append(Problem(at, given, "out = fade only where the next shot's in is cut or fade",
                                 f"in = fade for shot {following.number}, or out = cut for shot {s.number}"))
        expected = s.end
    if expected != cuts.frames:
        found.append(Problem(where, f"the shots end at frame {expected}, the head says {cuts.frames} frames",
                             "shots that cover the film", "correct the last end or '# frames:'"))
    if film_frames is not None and film_frames != cuts.frames:
        found.append(Problem(where, f"covers {cuts.frames} frames, the film has {film_frames}",
                             f"a cut list that covers frames 0 to {film_frames}", "detect the cuts again or correct the list"))
    return found


def _is_whole(text: str) -> bool:
    """Whether int() reads it: isdigit alone lets through '²', and more digits than int() takes."""
    return text.isascii() and text.isdigit() and len(text) <= 12


def parse_csv(text: str, where: str) -> CutList:
    """A cut list from the text of a CSV (DESIGN section 6). Raises ShowError with every problem found."""
    found: list[Problem] = []
    head: dict[str, str] = {}
    # Not splitlines: it would break a label at characters that only look like line ends to it.
    lines = text.lstrip("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    body_from = 0
    for i, line in enumerate(lines):
        # A spreadsheet that saves the list again pads the head lines with commas and may quote them.
        stripped = line.strip().strip('"').rstrip(",;").strip().strip('"')
        if stripped.startswith("#"):
            key, _, value = stripped[1:].partition(":")
            head[key.strip().lower()] = value.strip()
        elif stripped:
            body_from = i
            break
    rate = Fraction(24)
    try:
        rate = parse_rate(head["rate"])
    except KeyError:
        found.append(Problem(where, "the line '# rate:' is missing", "a head line like '# rate: 24/1'"))
    except ValueError as e:
        found.append(Problem(f"{where}: rate", str(e)))
    if not _is_whole(head.get("frames", "")):
        given = f"'# frames:' is {head.get('frames', 'missing')[:40]!r}"
        found.append(Problem(f"{where}: frames", given, "a whole number of frames"))
    sample = lines[body_from] if body_from < len(lines) else ""
    delimiter = ";" if sample.count(";") > sample.count(",") else ","  # spreadsheets in half of Europe write ';'
    try:
        rows = list(csv.reader(io.StringIO("\n".join(lines[body_from:])), delimiter=delimiter))
    except csv.Error as e:  # a cell of more than 128 kB: a quote that is never closed swallows the rest of the file
        rows = [list(COLUMNS)]
        found.append(Problem(where, f"cannot be read as CSV ({e})", "a cut list as CSV", "look for a quote that is not closed"))
    columns = [c.strip().lower() for c in rows[0]] if rows else []
    for name in columns:
        if name and name not in COLUMNS:
            found.append(Problem(f"{where}: column {name}", "is not known", ", ".join(COLUMNS), nearest(name, COLUMNS)))
    for name in ("shot", "start", "end"):
        if name not in columns:
            found.append(Problem(where, f"the column {name!r} is missing", ",".join(COLUMNS)))
    if not {"rate", "frames"} & head.keys() and not set(COLUMNS) & set(columns):  # another file: one sentence says it
        given = "is no cut list: '# rate:' is missing, and so are the columns"
        raise ShowError(Problem(where, given, "a cut list as cineml cuts detect writes it",
                                "cineml cuts convert, for an EDL, OTIO or XML"))  # fmt: skip
    if found:
        raise ShowError(found)
    shots: list[Shot] = []
    for line_number, row in enumerate(rows[1:], start=body_from + 2):
        if not any(cell.strip() for cell in row):
            continue
        cells = {c: v.strip() for c, v in zip(columns, row, strict=False)}
        at = f"{where}: line {line_number}"
        numbers: dict[str, int] = {}
        for name in ("shot", "start", "end", "in_frames", "out_frames"):
            value = cells.get(name) or "0"
            if not _is_whole(value):
                found.append(Problem(at, f"{name} is {value[:40]!r}", "a whole number, 0 or more"))
            numbers[name] = int(value) if _is_whole(value) else 0
        into, out = (cells.get("in") or "cut").lower(), (cells.get("out") or "cut").lower()
        if into not in IN_KINDS:
            found.append(Problem(at, f"in is {into!r}", ", ".join(IN_KINDS), nearest(into, IN_KINDS)))
        if out not in OUT_KINDS:
            found.append(Problem(at, f"out is {out!r}", ", ".join(OUT_KINDS), nearest(out, OUT_KINDS)))
        shots.append(Shot(numbers["shot"], numbers["start"], numbers["end"], into, numbers["in_frames"],
                          cells.get("in_colour", "").lower(), out, numbers["out_frames"],
                          cells.get("out_colour", "").lower(), cells.get("label", ""), cells.get("group", "")))
    cuts = CutList(head.get("film", ""), rate, int(head["frames"]), tuple(shots))
    found = found or problems_of(cuts, where)
    if found:
        raise ShowError(found)
    return cuts


def read_csv(path: Path) -> CutList:
    """The cut list in a CSV file. Raises ShowError when it is missing, unreadable or unsound."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as e:
        raise ShowError(Problem(str(path), f"cannot be read ({e.strerror})", "a cut list as CSV")) from None
    except UnicodeDecodeError as e:
        raise ShowError(Problem(str(path), f"is not UTF-8 at byte {e.start}", "UTF-8", "save it again as CSV UTF-8")) from None
    return parse_csv(text, path.name)


def format_csv(cuts: CutList) -> str:
    """The CSV text of a cut list; parse_csv gives the same cut list back."""
    out = io.StringIO()
    out.write(f"# film: {cuts.film}\n# rate: {cuts.rate.numerator}/{cuts.rate.denominator}\n# frames: {cuts.frames}\n")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for s in cuts.shots:
        writer.writerow([s.number, s.start, s.end, s.into, s.in_frames, s.in_colour, s.out, s.out_frames, s.out_colour,
                         s.label, s.group])
    return out.getvalue()


def write_csv(cuts: CutList, path: Path) -> None:
    """Writes the list beside its place and renames it there. Raises ShowError for an unsound list."""
    if found := problems_of(cuts, path.name):
        raise ShowError(found)
    part = path.with_name(path.name + ".part")
    part.write_text(format_csv(cuts), encoding="utf-8")
    os.replace(part, path)
