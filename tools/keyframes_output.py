"""Where propagated frames stand, which of them are there, and what made them: so that a stopped run goes on, another job is not
mixed into it, and no file of a person's is ever written over.

A frame counts as ours where the log has its very bytes. A frame that somebody has changed since is theirs: it stays. The log's
line is written before the frame is, so that a frame without a line is never ours.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import importlib.metadata
import io
import json
import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from player.show.problem import Problem, ShowError
from tools.cuts_text import counted
from tools.film_dataset_png import png
from tools.keyframes_options import is_film
from tools.whole_file import make_folder, sha256_of, write_whole, writing

TOOL = "cineml keyframes propagate"
TABLE = "frames.csv"
COLUMNS = ("frame", "file", "shot", "keys", "error", "sha256", "job")
PACKAGES = ("cineml", "numpy", "numba", "opencv-python", "opencv-python-headless", "scipy", "av", "pillow")
LEVEL = 4  # of zlib: painted strokes pack badly, and the synthesis takes seconds
LONGEST = 255  # bytes of a file's name that every file system here takes
LONGEST_END = ".frames.csv.part"  # of what is written beside an output, after its name
# What a shot leaves on the way, by the names that it gives: nothing else in the folder is ours to remove.
PASSES = re.compile(r"s[0-9]{4,}-[0-9a-f]{12}")
PASS = re.compile(r"k[0-9]{6,}-(?:on|back|f[0-9]{6,})\.npz(?:\.part)?")
HALF = re.compile(r"[0-9]{6,}-([0-9a-f]{12})\.png(?:\.part)?")


@dataclass(frozen=True)
class Row:
    """A frame that was written. shot: its number. keys: the film frames it was made from, 'film' where it is the film's own.
    error: mean matching error. sha256: of the file. job: code of the options and inputs that made it."""

    frame: int
    file: str
    shot: int
    keys: str
    error: float
    sha256: str
    job: str = ""


@dataclass(frozen=True)
class Place:
    """output: as asked for. folder: of the PNGs. work: what is only needed on the way, and logs. record: options, inputs,
    versions. table: of the frames."""

    output: Path
    folder: Path
    work: Path
    record: Path
    table: Path
    film: bool

    @property
    def cuts(self) -> Path:
        """The cut list, where the cuts were looked for."""
        return self.output.with_name(self.output.name + ".cuts.csv") if self.film else self.output / "cuts.csv"

    def logs(self) -> list[Path]:
        """Of what was written since the table was."""
        with contextlib.suppress(OSError):
            return sorted(log for log in self.work.glob("log-*.tsv") if _is_log(log))
        return []


def place_of(output: Path) -> Place:
    """The files of an output."""
    work = output.with_name(output.name + ".work")
    if is_film(output):
        return Place(output, work / "frames", work, output.with_name(output.name + ".json"),
                     output.with_name(output.name + ".frames.csv"), True)  # fmt: skip
    return Place(output, output, work, output / "options.json", output / TABLE, False)


def name_problems(inputs: Mapping[str, Path | None], output: Path) -> list[Problem]:
    """Names that no file system takes, and outputs that are only a place (., ..): to be asked before anything else looks for
    them, since what lies beside an output is named after it. inputs: by option."""
    found = []
    if output.name in ("", ".."):
        allowed = "the name of a film, a picture or a folder, such as painted"
        found.append(Problem(f"-o {output}", "has no name of its own", allowed))
    for option, path, end in [*((o, p, "") for o, p in inputs.items()), ("-o", output, LONGEST_END)]:
        longest = max((len(os.fsencode(part)) for part in path.parts), default=0) if path is not None else 0
        if path is not None and longest > LONGEST - len(end):
            given = f"is {longest} bytes long in one name"
            found.append(Problem(f"{option} {str(path)[:40]}...", given, f"{LONGEST - len(end)} at most", "a shorter name"))
    return found


def place_problems(place: Place, film: Path, folders: Mapping[str, Path | None],
                   files: Mapping[str, Path | None]) -> list[Problem]:  # fmt: skip
    """What is wrong with where the result is to stand. folders, files: what is read, by what it is."""
    output = Path(os.path.abspath(place.output))
    allowed = "a name of its own"
    for what, path in {"the film": film, **folders, **files}.items():
        if path is not None and _same(output, path):
            return [Problem(f"-o {place.output}", f"is {what}, which would be lost", allowed)]
    inputs = {**folders, **({"the film's frames": film} if film.is_dir() else {})}
    for what, path in inputs.items():
        if path is not None and path.is_dir() and Path(os.path.abspath(path)) in output.parents:
            return [Problem(f"-o {place.output}", f"would lie among {what}", "another folder")]
    if place.film and place.output.is_dir():
        return [Problem(f"-o {place.output}", "is a folder", "the name of a film, or of a folder without such an ending")]
    if not place.film and place.output.exists() and not place.output.is_dir():
        return [Problem(f"-o {place.output}", "is a file", "a folder for the frames, or the name of a film")]
    if place.work.exists() and not place.work.is_dir():
        return [Problem(str(place.work), "is a file, where the work is to be kept", "another -o")]
    if not output.parent.is_dir():
        given = f"lies in {str(place.output.parent)!r}, which is {'no folder' if output.parent.exists() else 'not there'}"
        return [Problem(f"-o {place.output}", given, "a folder that is there")]
    if place.table.exists() and not _is_table(place.table):
        return [Problem(str(place.table), "is there already, and is not this command's", "another -o")]
    return []


def _is_table(path: Path) -> bool:
    """Whether a file begins as `table_text` does; an empty one, which holds nothing of anybody's, too."""
    head = _head(path, 200)
    return head is not None and (not head or head.split(b"\n")[0].rstrip(b"\r") == ",".join(COLUMNS).encode())


def _is_log(path: Path) -> bool:
    """Whether a file begins as a Writer's does, by the number of a frame; a line that a kill has cut off may follow."""
    head = _head(path, 20)
    return head is not None and (not head or re.match(rb"[0-9]+(?:\t|$)", head) is not None)


def _head(path: Path, length: int) -> bytes | None:
    """A file's first bytes, None where it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(length)
    except OSError:
        return None


def _same(a: Path, b: Path) -> bool:
    try:
        return a.samefile(b) if a.exists() and b.exists() else os.path.abspath(a) == os.path.abspath(b)
    except OSError:  # a name that no file system takes; opening it says so
        return False


# --- what is there


def read_rows(place: Place) -> dict[int, Row]:
    """The frames that were written so far, from the table and from the logs after it."""
    found: dict[int, Row] = {}
    for path, delimiter in [(place.table, ","), *((log, "\t") for log in place.logs())]:
        for cells in _cells(path, delimiter) or ():
            if (row := _row(cells)) is not None:
                found[row.frame] = row
    return found


def rows_there(place: Place) -> dict[int, Row]:
    """Of read_rows, those whose file is there."""
    return {frame: row for frame, row in read_rows(place).items() if (place.folder / row.file).is_file()}


def verified(place: Place, frames: Iterable[int], files: Sequence[str]) -> dict[int, Row]:
    """rows_there, when all is done. frames: that were asked for. files: the name of every frame's PNG. Raises ShowError where
    one that was asked for is not there."""
    if lost := [files[f] for f in frames if not (place.folder / files[f]).is_file()]:
        given = f"lacks {len(lost)} frames, the first is {lost[0]}"
        raise ShowError(Problem(str(place.folder), given, "every frame", "the same command again"))
    return rows_there(place)


def _cells(path: Path, delimiter: str) -> list[list[str]] | None:
    """Of every whole line of a table; None where it is none."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")  # a line that was cut off within a letter costs no other
        return list(csv.reader(text.split("\n")[:-1], delimiter=delimiter))  # what follows the last line end is half a line
    except (OSError, csv.Error):
        return None


def _row(cells: Sequence[str]) -> Row | None:
    """A line of the table; None for its head, and for what is none."""
    try:
        frame, file, shot, keys, error, sha256, *job = cells
        return Row(int(frame), file, int(shot), keys, float(error), sha256, job[0] if job else "")
    except ValueError:
        return None


def table_text(rows: Iterable[Row]) -> str:
    """The rows as CSV."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for r in sorted(rows, key=lambda r: r.frame):
        writer.writerow((r.frame, r.file, r.shot, r.keys, f"{r.error:.1f}", r.sha256, r.job))
    return out.getvalue()


def write_table(place: Place, rows: Iterable[Row]) -> None:
    """The table, and the logs that are in it go. Raises ShowError."""
    logs = place.logs()
    text = table_text(rows)
    write_whole(place.table, lambda part: part.write_text(text, encoding="utf-8"))
    for log in logs:
        with contextlib.suppress(OSError):
            log.unlink(missing_ok=True)


@dataclass(frozen=True)
class There:
    """What stands in the folder of the frames that are asked for. ours: written by us and unchanged; theirs: changed since;
    strange: of a name that we would write, and never have."""

    ours: frozenset[int]
    theirs: frozenset[int]
    strange: tuple[str, ...]


def there(place: Place, frames: Sequence[int], files: Sequence[str], rows: Mapping[int, Row]) -> There:
    """Looks at every file that is asked for. Raises ShowError where one cannot be read."""
    ours, theirs, strange = set(), set(), []
    for frame in frames:
        path = place.folder / files[frame]
        if _is_strange(path, rows.get(frame)):
            strange.append(files[frame])
        elif not path.is_file():
            continue
        elif rows[frame].sha256 == sha256_of(path):
            ours.add(frame)
        else:
            theirs.add(frame)
    return There(frozenset(ours), frozenset(theirs), tuple(strange))


def _is_strange(path: Path, row: Row | None) -> bool:
    """Whether something lies at a frame's place that is in no log."""
    return path.exists() and (not path.is_file() or row is None or row.file != path.name)


def kept_notes(files: Sequence[str], theirs: Collection[int], frames: int, todo: int) -> list[str]:
    """What a person should know of frames that are not made now. files: names by frame. theirs: frames that somebody has
    changed. frames, todo: how many are asked for, and are left to make."""
    told = []
    if theirs:
        some = ", ".join(files[f] for f in sorted(theirs)[:6]) + (", ..." if len(theirs) > 6 else "")
        many = f"{len(theirs)} frames were changed since they were made, and stay as they are ({some})"
        one = f"1 frame was changed since it was made, and stays as it is ({some})"
        told.append(one if len(theirs) == 1 else many)
    if kept := frames - todo - len(theirs):
        told.append(f"{kept} of {counted(frames, 'frame')} {'is' if kept == 1 else 'are'} there already")
    return told


def strange_problems(place: Place, frames: Sequence[int], files: Sequence[str]) -> list[Problem]:
    """Files in the way, without a look into them: to be asked before long work."""
    rows = read_rows(place)
    strange = [files[f] for f in frames if _is_strange(place.folder / files[f], rows.get(f))]
    return [strange_problem(place, strange)] if strange else []


def strange_problem(place: Place, strange: Sequence[str]) -> Problem:
    """Files in the way."""
    some = ", ".join(strange[:3]) + (", ..." if len(strange) > 3 else "")
    given = f"holds {counted(len(strange), 'file')} that this command has not written ({some})"
    return Problem(f"-o {place.output}", given, "another folder")


def film_problems(place: Place, record: Mapping[str, Any]) -> list[Problem]:
    """A film at the output's place that is not as this command wrote it."""
    if place.film and place.output.is_file() and record.get("film_sha256") != sha256_of(place.output):
        return [Problem(f"-o {place.output}", "is there already, and is not as this command wrote it", "another name")]
    return []


# --- what made it


def read_record(place: Place) -> dict[str, Any]:
    """options.json of an earlier run; empty where there is none of ours."""
    try:
        told = json.loads(place.record.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) and told.get("tool") == TOOL else {}


def record_problems(place: Place) -> list[Problem]:
    """A file in the place of the record that is somebody else's."""
    if place.record.is_file() and not read_record(place):
        return [Problem(str(place.record), "is there already, and is not this command's", "another -o")]
    return []


def write_record(place: Place, record: Mapping[str, Any]) -> None:
    """Raises ShowError."""
    text = json.dumps(record, indent=1, ensure_ascii=False) + "\n"
    write_whole(place.record, lambda part: part.write_text(text, encoding="utf-8"))


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What of a job is another than it was, in a few words."""
    told = []
    for name in sorted({*before, *now}):
        old, new = before.get(name), now.get(name)
        if old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            parts = [k for k in sorted({*old, *new}) if old.get(k) != new.get(k)]
            short = [_change(k, old.get(k), new.get(k)) for k in parts[:6]]
            told.append(f"{name}: {', '.join(short)}" + (", ..." if len(parts) > 6 else ""))
        else:
            told.append(name)
    return "; ".join(told)


def _change(name: str, old: Any, new: Any) -> str:
    """'preset draft (now best)' where that is short."""
    told = [str(value) if value not in ("", None) else "none" for value in (old, new)]
    return f"{name} {told[0]} (now {told[1]})" if len("".join(told)) < 30 else name


def versions() -> dict[str, str]:
    """Of what the pictures depend on."""
    found = {}
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def digest_of(told: Any) -> str:
    """Of something that JSON can say."""
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


# --- writing


def end_line(log: Path) -> None:
    """Ends a log's last line where a kill or a full disk has cut it off: it must not take the next one with it. Makes the log
    where there is none. Raises ShowError."""
    with writing(log), log.open("ab+") as file:
        file.seek(max(file.tell() - 1, 0))
        if file.read() not in (b"", b"\n"):
            file.write(b"\n")


class Writer:
    """Writes frames, each whole or not at all, its line in the log first. name: of the log, one for each process."""

    def __init__(self, folder: Path, work: Path, name: str):
        self.folder, self.log = folder, work / f"log-{name}.tsv"
        make_folder(folder)
        make_folder(work)
        end_line(self.log)

    def put(self, frame: int, file: str, picture: NDArray[np.uint8], shot: int, keys: str, error: float, job: str) -> None:
        """picture: uint8 [H, W, 3]. Raises ShowError where the disk is full; what is written stays."""
        data = png(picture, LEVEL)
        line = f"{frame}\t{file}\t{shot}\t{keys}\t{error:.1f}\t{hashlib.sha256(data).hexdigest()}\t{job}\n"
        with writing(self.log), self.log.open("a", encoding="utf-8") as log:
            log.write(line)
        write_whole(self.folder / file, lambda part: part.write_bytes(data))


def clear_work(place: Place, but: Collection[str] = ()) -> None:
    """Removes what was only needed on the way to finished shots, but for shots of these codes; nothing else that lies there."""
    halves = place.work / "halves"
    passes = [f for f in place.work.glob("s*-*") if PASSES.fullmatch(f.name) and f.name.rpartition("-")[2] not in but]
    gone = [p for folder in passes for p in folder.glob("k*") if PASS.fullmatch(p.name)]
    gone += [p for p in halves.glob("*.png*") if (named := HALF.fullmatch(p.name)) is not None and named[1] not in but]
    for path in gone:
        path.unlink(missing_ok=True)
    for folder in [*passes, halves] if gone or passes else []:
        with contextlib.suppress(OSError):
            folder.rmdir()
    with contextlib.suppress(OSError):
        place.work.rmdir()
