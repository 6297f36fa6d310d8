"""The files beside a dataset's pictures, and how a finished one takes its place, whole or not at all."""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
import json
import os
import shutil
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from player.show.cut_list import CutList
from player.show.problem import Problem, ShowError
from tools.film_dataset_run import LOG, Outcome
from tools.train_source import LABELS
from tools.whole_file import writing

OWN = "cineml"  # the key in dataset.json that other tools do not read
TABLE, OPTIONS, JOB = "frames.csv", "options.json", "job.json"
COLUMNS = ("file", "frame", "time_s", "shot", "label", "group")
ZIP_TIME = (1980, 1, 1, 0, 0, 0)  # the first that a zip can say: the same bytes again


def classes_of(cuts: CutList, labels: str) -> tuple[list[int], list[str]]:
    """(class of every shot, names of the classes). shots: a class each; groups: one for the shots of a group, in the order
    in which they first come; a shot without group is a class of its own."""
    if labels == "shots":
        return list(range(len(cuts.shots))), [s.label or f"shot {s.number}" for s in cuts.shots]
    known: dict[str, int] = {}
    classes, names = [], []
    for shot in cuts.shots:
        key = f"group {shot.group}" if shot.group else f"shot {shot.number}"
        if key not in known:
            known[key] = len(known)
            names.append(shot.group or shot.label or key)
        classes.append(known[key])
    return classes, names


def dataset_json(kept: Sequence[Outcome], about: Mapping[str, Any], cuts: CutList | None, labels: str) -> str:
    """dataset.json as StyleGAN's tools read it: {"labels": [[file, class], ...] or null}, and under a key of its own what
    cineml gan train wants to know."""
    told = dict(about)
    if cuts is None or labels == "none":
        rows = "null"
    else:
        classes, told["classes"] = classes_of(cuts, labels)
        pairs = ([o.file, classes[cuts.index_at(o.frame)]] for o in kept)
        rows = "[\n" + ",\n".join(json.dumps(pair) for pair in pairs) + "\n]"
    return f'{{"labels": {rows},\n"{OWN}": {json.dumps(told, ensure_ascii=False)}}}\n'


def table_csv(kept: Sequence[Outcome], rate: Fraction, cuts: CutList | None) -> str:
    """frames.csv: which film frame every picture is, and of which shot."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for o in kept:
        shot = cuts.shot_at(o.frame) if cuts is not None else None
        of_shot = (shot.number, shot.label, shot.group) if shot is not None else ("", "", "")
        writer.writerow((o.file, o.frame, f"{float(o.frame / rate):.6f}", *of_shot))
    return out.getvalue()


def part_of(output: Path) -> Path:
    """Where a dataset is made before it takes its place."""
    return output.with_name(output.name + ".part")


def begin(part: Path, job: Mapping[str, Any]) -> None:
    """The folder in which `job` is made, with what an earlier run of the same job has done; that of another is removed.
    Raises ShowError."""
    with writing(part):
        if read_json(part / JOB) != job:
            if part.is_dir() and not part.is_symlink():
                if any(part.iterdir()) and not (part / JOB).is_file():
                    raise ShowError(Problem(str(part), "is in the way", "a name that is free", "another -o"))
                shutil.rmtree(part)
            part.mkdir(parents=True)
            (part / JOB).write_text(json.dumps(job) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """What a JSON file holds; None where there is none, or none that can be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def kept_options(output: Path) -> Any:
    """options.json of a dataset that is there already, folder or zip; None where there is no dataset of ours."""
    if output.is_dir():
        return read_json(output / OPTIONS)
    try:
        with zipfile.ZipFile(output) as archive:
            return json.loads(archive.read(OPTIONS))
    except (OSError, KeyError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error):
        return None


def write_beside(part: Path, files: Mapping[str, str]) -> None:
    """Text files among the pictures. Raises ShowError."""
    for name, text in files.items():
        with writing(part / name):
            (part / name).write_text(text, encoding="utf-8")


def finish(part: Path, output: Path, kept: Sequence[Outcome]) -> Path | None:
    """`part` takes the place of `output`, as a folder or as a zip; what was there stays until then. Returns the folder that now
    holds what others had put into the older one, None where there is no such thing. Raises ShowError."""
    with writing(output):
        if output.suffix.lower() == ".zip":
            write_zip(part, output, kept)
            shutil.rmtree(part)
            return None
        for name in (LOG, JOB):
            (part / name).unlink(missing_ok=True)
        if not output.is_dir() or not any(output.iterdir()):
            if output.is_dir():
                output.rmdir()
            os.replace(part, output)
            return None
        old = free_name(output)
        os.replace(output, old)
        try:
            os.replace(part, output)
        except OSError:
            os.replace(old, output)
            raise
        return without_dataset(old)


def free_name(output: Path) -> Path:
    """A name beside `output` that nothing has, for the older dataset: what stands beside it is not this command's."""
    names = (output.with_name(f"{output.name}.old{f'-{i}' if i > 1 else ''}") for i in itertools.count(1))
    return next(n for n in names if not os.path.lexists(n))


def without_dataset(old: Path) -> Path | None:
    """Removes an older dataset's own files. Returns its folder where others' files are left in it, None where it is gone."""
    try:
        rows = csv.DictReader(io.StringIO((old / TABLE).read_text(encoding="utf-8-sig")))
        own = {LABELS, TABLE, OPTIONS, *(str(row.get("file")) for row in rows)}
    except (OSError, ValueError, csv.Error):
        return old  # nothing tells what was made and what was added
    for path in sorted(old.rglob("*"), reverse=True):  # what is in a folder before the folder
        with contextlib.suppress(OSError):  # a folder that is not empty
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            elif path.relative_to(old).as_posix() in own:
                path.unlink()
    with contextlib.suppress(OSError):
        old.rmdir()
    return old if old.is_dir() else None


def write_zip(part: Path, output: Path, kept: Sequence[Outcome]) -> None:
    """The dataset as a zip without compression, which its pictures have already; the same bytes every time. frames.csv
    stands beside it too."""
    made = part / "made.zip"
    with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as archive:
        for name in (*(o.file for o in kept), LABELS, TABLE, OPTIONS):
            info = zipfile.ZipInfo(name, ZIP_TIME)
            info.external_attr = 0o644 << 16
            archive.writestr(info, (part / name).read_bytes())
    os.replace(part / TABLE, beside(output))
    os.replace(made, output)


def beside(output: Path) -> Path:
    """frames.csv of NAME.zip: NAME.csv."""
    return output.with_suffix(".csv")
