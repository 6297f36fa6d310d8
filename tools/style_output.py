"""Where the result of a style command stands, what made it, and what of it is there already: so that a stopped run goes on,
another job is not mixed into it, and no file of a person's is ever written over.

The files are laid out as those of `cineml keyframes propagate` (keyframes_output.py): a folder of PNGs with options.json and
frames.csv, or a film with its frames in OUT.work beside it. A picture has OUT.png.json beside it.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from player.show.cut_list import CutList
from player.show.problem import Problem, ShowError
from tools.film_dataset_source import Footage, footage_at, range_of
from tools.keyframes_output import (
    Place,
    Row,
    differences,
    digest_of,
    film_problems,
    name_problems,
    place_of,
    read_rows,
    strange_problem,
    there,
    versions,
)
from tools.keyframes_output import place_problems as film_place_problems
from tools.keyframes_plan import frame_files
from tools.keyframes_suggest_shots import cuts_of
from tools.paint_choice import Part, parts_of
from tools.style_output_options import kind_of
from tools.whole_file import check_folder, sha256_of, write_whole

Pixels = NDArray[np.uint8]
Seen = Callable[[Pixels], None]
CODE = 12  # letters of a hash


@dataclass(frozen=True)
class FilmJob:
    """What is asked for. tool: 'cineml style optimize'. args: the command line. parts: the shots in [first, end). common: what
    all frames follow from, for JSON."""

    tool: str
    args: argparse.Namespace
    footage: Footage
    cuts: CutList
    parts: tuple[Part, ...]
    first: int
    end: int
    place: Place
    common: Mapping[str, Any]

    @property
    def frames(self) -> range:
        """Film frames that are asked for."""
        return range(self.first, self.end)

    def part_at(self, frame: int) -> Part:
        """The shot of a film frame."""
        return next(p for p in self.parts if p.start <= frame < p.end)

    def code(self, part: Part) -> str:
        """Of what the frames of a shot follow from: a shot begun elsewhere gives other frames."""
        return digest_of([dict(self.common), part.start])[:CODE]


@dataclass(frozen=True)
class Plan:
    """What is left to do. files: the name of every frame's PNG. rows: of frames that are there. todo: frames to write. theirs:
    frames that somebody has changed, which stay. record: as it is to be written."""

    files: list[str]
    rows: Mapping[int, Row]
    todo: tuple[int, ...]
    theirs: frozenset[int]
    record: dict[str, Any]


def film_of(args: argparse.Namespace, content: Path) -> tuple[Footage, int, int]:
    """(the film, its first frame that is asked for, the one after the last). Raises ShowError."""
    if not content.exists():
        raise ShowError(Problem(str(content), "does not exist", "a picture, a film, or a folder of its frames"))
    footage = footage_at(content, args.rate)
    first, end = range_of(args, footage)
    return footage, first, end


def film_job(tool: str, args: argparse.Namespace, footage: Footage, first: int, end: int,
             common: Mapping[str, Any]) -> FilmJob:  # fmt: skip
    """The job, with its cut list, found where none is given. common: without the film and the cuts, which are added.
    Raises ShowError."""
    cuts = cuts_of(args.cuts, footage, first, end, sys.stdout)
    shots = [[s.start, s.end, s.into, s.in_frames, s.in_colour, s.out, s.out_frames, s.out_colour] for s in cuts.shots
             if s.end > first and s.start < end]  # fmt: skip
    known = as_read({**common, "film": {"sha256": footage.sha256()}, "cuts": {"sha256": digest_of(shots)}})
    return FilmJob(tool, args, footage, cuts, tuple(parts_of(cuts, first, end)), first, end, place_of(args.output), known)


def plan_of(job: FilmJob) -> Plan:
    """What is there, whether it goes with what is asked for, and what is left. Raises ShowError."""
    place, files = job.place, frame_files(job.footage)
    if len(set(files)) < len(files):
        raise ShowError(Problem(str(job.footage.path), "has frames that differ only in their ending", "one picture a frame"))
    before, rows = read_record(place, job.tool), read_rows(place)
    found = record_problems(place, job.tool) + film_problems(place, before)
    seen = there(place, job.frames, files, rows)
    if seen.strange:
        found.append(strange_problem(place, seen.strange))
    other = differences(before["common"], dict(job.common)) if before and before.get("common") != job.common else ""
    if other and not job.args.again:
        found.append(Problem(f"-o {place.output}", f"was begun with other {other}", "the same options and inputs",
                             "--again, which makes it anew, or another name"))  # fmt: skip
    if found:
        raise ShowError(found)
    codes = {p.start: job.code(p) for p in job.parts}
    ours = {f for f in seen.ours if rows[f].job == codes[job.part_at(f).start] and (other or not job.args.again)}
    todo = tuple(f for f in job.frames if f not in seen.theirs and f not in ours)
    record = {**record_of(job.tool, job.args, job.common), "film": {
        "file": job.footage.path.name, "rate": str(job.footage.rate), "frames": job.footage.frames,
        "range": [job.first, job.end]}}  # fmt: skip
    if "film_sha256" in before and place.output.is_file():
        record |= {name: before[name] for name in ("film_sha256", "film_range") if name in before}
    return Plan(files, rows, todo, seen.theirs, record)


# --- one picture


def picture_place(output: Path) -> Place:
    """The files of a picture."""
    work = output.with_name(output.name + ".work")
    return Place(output, work, work, output.with_name(output.name + ".json"), work / "frames.csv", True)


def picture_problems(place: Place, tool: str, common: Mapping[str, Any], again: bool) -> tuple[list[Problem], bool]:
    """(what is in the way of a picture, whether it is there already as it is asked for). common: as_read of what it follows
    from."""
    before = read_record(place, tool)
    found = record_problems(place, tool)
    if place.output.is_dir():
        return [*found, Problem(f"-o {place.output}", "is a folder", "the name of a picture")], False
    if found or not place.output.is_file():
        return found, False
    if before.get("film_sha256") != sha256_of(place.output):
        return [Problem(f"-o {place.output}", "is there already, and is not as this command wrote it", "another name")], False
    other = differences(before.get("common", {}), dict(common))
    if other and not again:
        return [Problem(f"-o {place.output}", f"was made with other {other}", "the same options and inputs",
                        "--again, which makes it anew, or another name")], False  # fmt: skip
    return [], not other and not again


def write_picture(place: Place, picture: Pixels, alpha: Pixels | None, record: Mapping[str, Any]) -> None:
    """OUT.png, with the picture's own alpha, and its record. Raises ShowError."""
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(picture if alpha is None else np.dstack([picture, alpha])).save(out, "PNG")
    data = out.getvalue()
    # The record first: a picture that lies there without one counts as a person's.
    write_record(place, {**record, "film_sha256": hashlib.sha256(data).hexdigest()})
    write_whole(place.output, lambda part: part.write_bytes(data))


# --- both


def named_problems(args: argparse.Namespace, content: Path, folders: Mapping[str, Path | None],
                   files: Mapping[str, Path | None]) -> list[Problem]:  # fmt: skip
    """Names that nothing can be done with, as place_problems begins; nothing is looked at."""
    return name_problems({"CONTENT": content, **{f"{what}:": p for what, p in (*folders.items(), *files.items())}}, args.output)


def place_problems(args: argparse.Namespace, content: Path, folders: Mapping[str, Path | None],
                   files: Mapping[str, Path | None]) -> list[Problem]:  # fmt: skip
    """What is wrong with where the result is to stand. folders, files: what is read beside the content, by what it is."""
    if found := named_problems(args, content, folders, files):
        return found
    picture = kind_of(content) == "picture"
    place = picture_place(args.output) if picture else place_of(args.output)
    inputs = {"the picture": content, **files} if picture else files
    if picture:
        output = Path(os.path.abspath(args.output))
        for what, path in inputs.items():
            if path is not None and (Path(os.path.abspath(path)) == output
                                     or (path.exists() and output.exists() and path.samefile(output))):  # fmt: skip
                return [Problem(f"-o {args.output}", f"is {what}, which would be lost", "a name of its own")]
        if place.work.exists() and not place.work.is_dir():
            return [Problem(str(place.work), "is a file, where the work is to be kept", "another -o")]
        if not output.parent.is_dir():
            given = f"lies in {str(args.output.parent)!r}, which is {'no folder' if output.parent.exists() else 'not there'}"
            return [Problem(f"-o {args.output}", given, "a folder that is there")]
    else:
        found = film_place_problems(place, content, folders, inputs)
    if not found:
        try:
            check_folder(place.work)
        except ShowError as e:
            found += e.problems
    return found


def as_read(common: Mapping[str, Any]) -> dict[str, Any]:
    """As a record will hold it, so that the two can be compared: JSON knows no tuples."""
    return dict(json.loads(json.dumps(common)))


def record_of(tool: str, args: argparse.Namespace, common: Mapping[str, Any]) -> dict[str, Any]:
    """What made a result."""
    options = {k: _told(v) for k, v in vars(args).items()}
    return {"tool": tool, "common": dict(common), "options": options, "versions": versions()}


def _told(value: Any) -> Any:
    """An option for JSON."""
    if isinstance(value, (list, tuple)):
        return [_told(v) for v in value]
    return str(value) if isinstance(value, Path) else value


def read_record(place: Place, tool: str) -> dict[str, Any]:
    """What an earlier run of this tool wrote; empty where there is none."""
    try:
        told = json.loads(place.record.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) and told.get("tool") == tool and isinstance(told.get("common"), dict) else {}


def record_problems(place: Place, tool: str) -> list[Problem]:
    """A file in the place of the record that is somebody else's."""
    if place.record.exists() and not read_record(place, tool):
        return [Problem(str(place.record), "is there already, and is not this command's", "another -o")]
    return []


def write_record(place: Place, record: Mapping[str, Any]) -> None:
    """Raises ShowError."""
    text = json.dumps(record, indent=1, ensure_ascii=False) + "\n"
    write_whole(place.record, lambda part: part.write_text(text, encoding="utf-8"))
