"""Which format a cut list is in, and one way to read and to write each."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from player.show.cut_list import CutList, Shot, format_csv, parse_csv
from player.show.problem import Problem, ShowError
from tools.cuts_edl import read_edl
from tools.cuts_edl_write import format_edl
from tools.cuts_fcp7 import read_fcp7
from tools.cuts_fcp7_write import format_fcp7
from tools.cuts_fcpx import read_fcpx
from tools.cuts_mpv import is_mpv, read_mpv
from tools.cuts_notes import Layout
from tools.cuts_options import READ, WRITTEN
from tools.cuts_otio import format_otio, read_otio
from tools.cuts_scenedetect import is_scene_list, read_scenes
from tools.cuts_text import decoded, read_bytes
from tools.cuts_timecode import spoken
from tools.cuts_timeline import BLACK, OTHER_RATE, Edit, Told, cut_list_of

_EDL_LINE = re.compile(r"^(TITLE:|FCM:|\d{1,6}\s+\S.*\d[:;]\d\d[:;.,]\d)", re.IGNORECASE | re.MULTILINE | re.ASCII)
_CSV_HEAD = re.compile(r"^\W{0,3}shot\W{1,3}start\W", re.IGNORECASE | re.MULTILINE)
_CSV_MARK = re.compile(r'^"?#\s*(film|rate|frames)\s*:', re.IGNORECASE | re.MULTILINE)


SEVERAL = ("otio", "fcp7", "fcpx")  # that may hold more than one timeline


@dataclass(frozen=True)
class Read:
    """A cut list that was read: from which format, and lines for a person."""

    cuts: CutList
    kind: str
    said: tuple[str, ...]


def recognised(data: bytes, path: Path) -> str:
    """The format of a file by what it holds; where that tells nothing, by its name. Raises ShowError."""
    if data.startswith(b"PK\x03\x04"):
        raise ShowError(Problem(str(path), "is a zip", "the file inside it", "unzip it and take the .otio or .xml"))
    if data.startswith(b"\xd0\xcf\x11\xe0") or data.startswith(b"\x06\x0e\x2b\x34"):
        raise ShowError(Problem(str(path), "is an AAF or MXF", ", ".join(READ), "export an EDL, OTIO or XML"))
    if is_mpv(data):
        return "mpv"
    text, _ = decoded(data, path.name)
    begin = text.lstrip()[:1]
    if begin == "<":
        return "fcpx" if re.search(r"<fcpxml[\s>]", text[:20_000]) else "fcp7"
    if begin in ("{", "["):
        return "otio"
    if is_scene_list(text):
        return "scenedetect"
    if _CSV_HEAD.search(text) or _CSV_MARK.search(text[:2000]):
        return "csv"
    if _EDL_LINE.search(text):
        return "edl"
    suffix = path.suffix.lower()
    if suffix in WRITTEN and suffix != ".csv":  # of a CSV with other columns each would be a mistake of its own
        return WRITTEN[suffix]
    raise ShowError(Problem(str(path), "is no cut list that is known", ", ".join(READ), "--from, where you know its format"))


def read_cuts(path: Path, told: Told, kind: str = "") -> Read:
    """A cut list from any format. kind: where the person said it. Raises ShowError with every problem."""
    data = read_bytes(path)
    kind = kind or recognised(data, path)
    where = path.name
    if told.sequence and kind not in SEVERAL:
        given = f"{told.sequence!r} is given, and {where} is of the kind {kind}, which holds one timeline"
        raise ShowError(Problem("--sequence", given, f"for {', '.join(SEVERAL)} only"))
    if kind == "fcp7":
        edit = read_fcp7(data, where, told)
    elif kind == "fcpx":
        edit = read_fcpx(data, where, told)
    elif kind == "mpv":
        edit = read_mpv(data, where, told)
    else:
        text, encoding = decoded(data, where)
        old = (f"it is not UTF-8: read as {encoding.upper()}",) if encoding == "cp1252" else ()
        if kind == "csv":
            return Read(_own(text, where, told), kind, old)
        readers: dict[str, Callable[[str, str, Told], Edit]] = {
            "edl": read_edl, "otio": read_otio, "scenedetect": read_scenes}  # fmt: skip
        edit = readers[kind](text, where, told)
        edit = replace(edit, said=(*old, *edit.said))
    cuts, said = cut_list_of(edit, where, told)
    return Read(cuts, kind, tuple(said))


def _own(text: str, where: str, told: Told) -> CutList:
    """cineml's own CSV, held against what was told. Raises ShowError."""
    cuts = parse_csv(text, where)
    found = []
    if told.rate is not None and told.rate != cuts.rate:
        given = f"is at {spoken(cuts.rate)} frames a second, not {spoken(told.rate)}"
        found.append(Problem(where, given, "", OTHER_RATE))
    if told.fill_end and told.frames is not None and told.frames > cuts.frames:
        rest = Shot(len(cuts.shots) + 1, cuts.frames, told.frames, label=BLACK)
        cuts = replace(cuts, frames=told.frames, shots=(*cuts.shots, rest))
    if told.frames is not None and told.frames != cuts.frames:
        found.append(Problem(where, f"covers {cuts.frames} frames, the film has {told.frames}", f"{told.frames} frames",
                             "the film that it was made for"))  # fmt: skip
    if told.film_start:
        found.append(Problem("--film-start", "is given for a CSV", "for an EDL only: its frames count from the film's first"))
    if found:
        raise ShowError(found)
    return replace(cuts, film=told.film or cuts.film)


def formatted(cuts: CutList, kind: str, where: str, layout: Layout) -> tuple[str, list[str]]:
    """(the text of a cut list in a format, lines for a person about what it cannot hold). Raises ShowError."""
    if kind == "csv":
        return format_csv(cuts), []
    writers: dict[str, Callable[[CutList, str, Layout], tuple[str, list[str]]]] = {
        "edl": format_edl, "otio": format_otio, "fcp7": format_fcp7}  # fmt: skip
    text, said = writers[kind](cuts, where, layout)
    again = _read_again(text, kind, where, cuts)
    plain = [replace(s, label="", group="") for s in cuts.shots]
    if [replace(s, label="", group="") for s in again.shots] != plain:
        raise ShowError(Problem(where, f"does not come back from {kind.upper()} as it was", "a cut list without faults",
                                "--baked, which writes cuts and keeps the rest in notes"))  # fmt: skip
    if again.shots != cuts.shots:
        said.append("some labels or groups hold line breaks or more than a note takes: shortened there")
    return text, said


def _read_again(text: str, kind: str, where: str, cuts: CutList) -> CutList:
    """What was written, as it will be read."""
    if kind == "fcp7":
        edit = read_fcp7(text.encode("utf-8"), where, Told())
    else:
        edit = read_edl(text, where, Told()) if kind == "edl" else read_otio(text, where, Told())
    return cut_list_of(edit, where, Told(film=cuts.film))[0]
