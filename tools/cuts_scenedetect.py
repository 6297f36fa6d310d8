"""PySceneDetect's scene list (list-scenes, CSV) to a timeline.

It may begin with a line "Timecode List:", counts frames from 1 and names a scene's last frame, so that the scene
[Start Frame, End Frame] is the shot [Start Frame - 1, End Frame); versions before 0.6 counted from 0 and named the frame
after the last. The rate is not in it, but frames and seconds of the same moments are: one usual rate at most fits them.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from fractions import Fraction

from player.show.problem import Problem, ShowError
from tools.cuts_timecode import USUAL_RATES, spoken
from tools.cuts_timeline import MOST_FRAMES, Edit, Span, Told

START, END, END_S = "start frame", "end frame", "end time (seconds)"
ROUNDING_S = Fraction(6, 10_000)  # seconds are written to a thousandth
MOST_SAID = 20


@dataclass(frozen=True)
class _Scene:
    line: int
    start: int
    end: int
    end_s: Fraction | None


def is_scene_list(text: str) -> bool:
    """Whether a CSV is PySceneDetect's and not a cut list."""
    head = text[:2000].lower()
    return START in head and END in head


def read_scenes(text: str, where: str, told: Told) -> Edit:
    """The timeline in a scene list. Raises ShowError with every problem."""
    scenes = _scenes(text, where)
    found: list[Problem] = []
    from_one = scenes[0].start != 0
    spans: list[Span] = []
    at = 0
    for scene in scenes:
        start = scene.start - 1 if from_one else scene.start
        if start < at or scene.end <= start:
            given = f"frames {scene.start} to {scene.end} after one that ends at {at if from_one else at - 1}"
            found.append(Problem(f"{where}: line {scene.line}", given, "scenes in order, without overlap"))
        elif start > at:
            spans.append(Span(at, start))
        spans.append(Span(start, scene.end))
        at = max(at, scene.end)
    if found:
        raise ShowError(found[:MOST_SAID])
    said = [] if from_one else ["its frames count from 0, as before PySceneDetect 0.6"]
    if extra := len(spans) - len(scenes):
        said.append(f"{extra} stretch{'es' * (extra > 1)} of frames in no scene: shots of their own")
    rate = _rate(scenes, where, told, said)
    if told.film_start:
        raise ShowError(Problem("--film-start", "is given for a scene list", "for an EDL only: frames count from the film's"))
    return Edit("", rate, tuple(spans), said=tuple(said))


def _scenes(text: str, where: str) -> list[_Scene]:
    lines = text.split("\n")
    while lines and (not lines[0].strip() or lines[0].strip().strip('"').lower().startswith("timecode list")):
        lines.pop(0)
    skipped = len(text.split("\n")) - len(lines)
    sample = lines[0] if lines else ""
    delimiter = max(",;\t", key=sample.count)
    try:
        rows = list(csv.reader(io.StringIO("\n".join(lines)), delimiter=delimiter))
    except csv.Error as e:
        raise ShowError(Problem(where, f"cannot be read as CSV ({e})", "PySceneDetect's scene list")) from None
    columns = [c.strip().lower() for c in rows[0]] if rows else []
    if missing := [c for c in (START, END) if c not in columns]:
        raise ShowError(Problem(where, f"has no column {missing[0]!r}", "PySceneDetect's scene list"))
    found: list[Problem] = []
    scenes: list[_Scene] = []
    for number, row in enumerate(rows[1:], start=skipped + 2):
        if not any(cell.strip() for cell in row):
            continue
        cells = dict(zip(columns, (c.strip() for c in row), strict=False))
        frames = [cells.get(c, "") for c in (START, END)]
        if bad := [f for f in frames if not (f.isascii() and f.isdigit() and len(f) <= 10 and int(f) <= MOST_FRAMES)]:
            found.append(Problem(f"{where}: line {number}", f"has the frame {bad[0][:40]!r}", f"0 to {MOST_FRAMES}"))
            continue
        scenes.append(_Scene(number, int(frames[0]), int(frames[1]), _seconds(cells.get(END_S, ""))))
    if found:
        raise ShowError(found[:MOST_SAID])
    if not scenes:
        raise ShowError(Problem(where, "holds no scene", "PySceneDetect's scene list"))
    return scenes


def _seconds(text: str) -> Fraction | None:
    """Seconds as written, with a comma where a spreadsheet put one; None for anything else."""
    text = text.replace(",", ".")
    digits = text.replace(".", "", 1)
    return Fraction(text) if digits.isascii() and digits.isdigit() and len(text) <= 20 and text[-1] != "." else None


def _rate(scenes: list[_Scene], where: str, told: Told, said: list[str]) -> Fraction:
    """The rate that was said, held against the file's own seconds; else the one that fits them. Raises ShowError."""
    timed = [(s.end, s.end_s) for s in scenes if s.end_s and s.end_s > ROUNDING_S]
    low = max((Fraction(f) / (t + ROUNDING_S) for f, t in timed), default=Fraction(1))
    high = min((Fraction(f) / (t - ROUNDING_S) for f, t in timed), default=Fraction(1000))
    if told.rate is not None:
        if timed and not low <= told.rate <= high:
            frame, time = timed[-1]
            given = f"has frame {frame} at {float(time):.3f} s, which is not {spoken(told.rate)} frames a second"
            raise ShowError(Problem(where, given, f"about {frame / float(time):.3f}", "another --rate, or none"))
        return told.rate
    whole = {Fraction(n) for n in range(1, 241)}
    fitting = [r for r in sorted(whole | set(USUAL_RATES)) if low <= r <= high]
    if timed and len(fitting) == 1:
        said.append(f"{spoken(fitting[0])} frames a second, by its own times")
        return fitting[0]
    raise ShowError(Problem(where, "does not say its rate", "--rate, or --film to ask the film"))
