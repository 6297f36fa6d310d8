"""What `cineml style apply` is asked to make, looked at whole before anything is written, and what is left of it to do."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from player.progress import Progress
from player.show.cut_list import CutList, Shot
from player.show.problem import Problem, ShowError
from player.sources.stylizer_model import stylizer_facts
from tools.cuts_text import counted
from tools.film_dataset_source import Footage, footage_at, order_notes, range_of
from tools.keyframes_asked import check_cuts, cuts_of
from tools.keyframes_film import sound_problems
from tools.keyframes_keep import fineness
from tools.keyframes_keys import masks_of
from tools.keyframes_output import (
    Place,
    differences,
    digest_of,
    film_problems,
    name_problems,
    place_of,
    place_problems,
    read_rows,
    sha256_of,
    strange_problem,
    there,
    versions,
)
from tools.keyframes_plan import frame_files
from tools.paint_gate import Gate
from tools.style_apply_frames import Way, masks_by_frame
from tools.style_apply_options import option_problems, shares_of
from tools.style_black import film_gate
from tools.train_source import MOST_PIXELS

TOOL = "cineml style apply"
CODE = 12  # letters of a hash
NEEDED = {"cv2": "opencv-python", "scipy": "scipy"}  # by --smooth, --keep and recurrent networks


@dataclass(frozen=True)
class Job:
    """A checked command line. common: what the frames follow from. todo: film frames to make. theirs: that somebody has
    changed, which stay. before: the record of an earlier run. gate: the film's black frame, in the result's size."""

    args: argparse.Namespace
    footage: Footage
    cuts: CutList
    way: Way
    first: int
    end: int
    place: Place
    files: list[str]
    common: dict[str, Any]
    todo: tuple[int, ...]
    theirs: frozenset[int]
    before: Mapping[str, Any]
    gate: Gate

    @property
    def result(self) -> Footage:
        """The film in the size in which it is made."""
        width, height = self.footage.size
        return replace(self.footage, size=(self.args.enlarge * width, self.args.enlarge * height))

    @property
    def frames(self) -> range:
        """The film frames that are asked for."""
        return range(self.first, self.end)


def job_of(args: argparse.Namespace) -> Job:
    """The command line, held against film, model and masks, and what is there already. Raises ShowError with every problem
    that can be told at once."""
    place = place_of(args.output)
    found = option_problems(args) + check_cuts(args.cuts)
    if args.film.exists():
        files = {"the cut list": args.cuts, "the sound": args.sound, "the model": args.model}
        found += place_problems(place, args.film, {"the masks": args.masks}, files)
    found += sound_problems(args.sound)
    if place.record.is_file() and not read_record(place.record):
        found.append(Problem(str(place.record), "is there already, and is not this command's", "another -o"))
    shares, more = checked_shares(args)
    found += more
    if found:
        raise ShowError(found)
    facts = stylizer_facts(args.model)
    found = missing_packages(args, facts.recurrent)
    if found:
        raise ShowError(found)
    footage = footage_at(args.film, args.rate)
    if found := size_problems(args, footage.size):
        raise ShowError(found)
    first, end = range_of(args, footage)
    cuts, said = cuts_for(args, footage, facts.recurrent)
    masks = None
    if args.masks is not None:
        named, more_said = masks_of(args.masks, footage, "--masks")
        said += more_said
        masks = masks_by_frame(named, range(first, end))
        if without := sum(n not in masks for n in range(first, end)):
            has = "has" if without == 1 else "have"
            said.append(f"{counted(without, 'frame')} {has} no mask: taken as without a figure")
    for line in [*order_notes([p.name for p in footage.files]), *said]:
        print(line, flush=True)
    return planned(args, place, footage, cuts, way_of(args, vector(facts.styles, shares), masks), first, end)


def planned(args: argparse.Namespace, place: Place, footage: Footage, cuts: CutList, way: Way, first: int, end: int) -> Job:
    """The job, with what is left to do. Raises ShowError where what is there does not belong to it."""
    files = frame_files(footage)
    if len(set(files)) < len(files):
        name = Counter(files).most_common(1)[0][0]
        given = f"has frames that differ only in their ending ({Path(name).stem})"
        raise ShowError(Problem(str(footage.path), given, "one picture a frame"))
    common, gate = common_of(args, footage, cuts, way), film_gate(footage, 0, footage.frames)
    if gate.always.any():  # what was made before it was left black is made anew
        common["gate"] = digest_of(gate.always.tobytes().hex())
    if place.film:  # frames of a folder may be added to; a film is as long as it is
        common["range"] = [first, end]
    before, rows = read_record(place.record), read_rows(place)
    found = film_problems(place, before)
    frames = range(first, end)
    seen = there(place, frames, files, rows)
    if seen.strange:
        found.append(strange_problem(place, seen.strange))
    other = differences(before["common"], common) if before and before.get("common") != common else ""
    if other and not args.again:
        found.append(Problem(f"-o {args.output}", f"was begun with other {other}", "the same options and inputs",
                             "--again, which makes it anew, or another name"))  # fmt: skip
    if found:
        raise ShowError(found)
    code = digest_of(common)[:CODE]
    ours = frozenset() if args.again else frozenset(n for n in seen.ours if rows[n].job == code)
    todo = tuple(n for n in frames if n not in ours and n not in seen.theirs)
    gate = gate.enlarged(args.enlarge)
    return Job(args, footage, cuts, way, first, end, place, files, common, todo, seen.theirs, before, gate)


def common_of(args: argparse.Namespace, footage: Footage, cuts: CutList, way: Way) -> dict[str, Any]:
    """What the frames follow from."""
    masks = None
    if way.masks is not None:
        masks = digest_of([[n, sha256_of(m.path)] for n, m in sorted(way.masks.items())])
    return {
        "film": {"sha256": footage.sha256()},
        "model": {"sha256": sha256_of(args.model)},
        "options": {"shares": [round(float(s), 6) for s in way.shares], "amount": way.amount, "smooth": way.smooth,
                    "keep": way.keep, "keep_amount": way.keep_amount, "mask_side": args.mask_side if masks else "",
                    "tile": args.tile, **enlarging(args), **fineness(way.keep)},  # fmt: skip
        "masks": masks,
        "cuts": [[s.start, s.end, s.into, s.in_frames, s.in_colour, s.out, s.out_frames, s.out_colour] for s in cuts.shots],
    }


def size_problems(args: argparse.Namespace, size: tuple[int, int]) -> list[Problem]:
    """What is wrong with --enlarge for pictures of (width, height)."""
    width, height = args.enlarge * size[0], args.enlarge * size[1]
    if args.enlarge == 1 or width * height <= MOST_PIXELS:
        return []
    given = f"{args.enlarge} of {size[0]}x{size[1]} makes {width}x{height}"
    return [Problem("--enlarge", given, f"at most {MOST_PIXELS >> 20} million pixels", "a smaller one")]


def enlarging(args: argparse.Namespace) -> dict[str, int]:
    """--enlarge as it is kept: what was made before there was one is of the film's size."""
    return {} if args.enlarge == 1 else {"enlarge": args.enlarge}


def cuts_for(args: argparse.Namespace, footage: Footage, recurrent: bool) -> tuple[CutList, list[str]]:
    """The cut list: given, looked for where something is carried from frame to frame, else the film as one shot. Raises
    ShowError."""
    if args.cuts is None and not recurrent and args.smooth == 0:
        return CutList(footage.path.name, footage.rate, footage.frames, (Shot(1, 0, footage.frames),)), []

    def small() -> Any:
        from tools.keyframes_match import small_frames

        progress = Progress(footage.frames, "frames looked at", sys.stderr)
        return small_frames(footage, progress.at)

    return cuts_of(args.cuts, footage, small)


def missing_packages(args: argparse.Namespace, recurrent: bool) -> list[Problem]:
    """Of the studio's packages, where they are needed."""
    if not (args.smooth or args.keep or recurrent or args.cuts):
        return []
    return [Problem(TOOL, f"{package} is not installed", "", 'pip install "cineml[studio]"')
            for name, package in NEEDED.items() if importlib.util.find_spec(name) is None]  # fmt: skip


def named_problems(args: argparse.Namespace) -> list[Problem]:
    """Names that nothing can be done with; nothing else is looked at."""
    inputs = {"FILM": args.film, "--model": args.model, "--masks": args.masks, "--cuts": args.cuts, "--sound": args.sound}
    return name_problems(inputs, args.output)


def inputs_in_the_way(args: argparse.Namespace) -> list[Problem]:
    """An output that is an input, of one picture."""
    with contextlib.suppress(OSError):
        mask = args.masks
        if mask is not None and mask.is_dir():
            mask = next((p for p in sorted(mask.iterdir()) if p.stem == args.film.stem), None)
        inputs = {"the picture": args.film, "the model": args.model, "the mask": mask, "the cut list": args.cuts,
                  "the sound": args.sound}  # fmt: skip
        for what, path in inputs.items():
            if path is not None and path.exists() and args.output.exists() and path.samefile(args.output):
                return [Problem(f"-o {args.output}", f"is {what}, which would be lost", "a name of its own")]
    return []


def picture_record(args: argparse.Namespace) -> Path:
    """The record of a picture."""
    output: Path = args.output
    return output.with_name(output.name + ".json")


def picture_common(args: argparse.Namespace, shares: Mapping[str, float], mask: Path | None) -> dict[str, Any]:
    """What a picture follows from. Raises ShowError."""
    return {
        "picture": {"sha256": sha256_of(args.film)},
        "model": {"sha256": sha256_of(args.model)},
        "options": {"shares": {n: round(s, 6) for n, s in shares.items()}, "amount": args.amount, "keep": args.keep or "",
                    "keep_amount": args.keep_amount, "mask_side": args.mask_side if mask else "", "tile": args.tile,
                    **enlarging(args), **fineness(args.keep or "")},
        "masks": None if mask is None else sha256_of(mask),
    }  # fmt: skip


def picture_problems(args: argparse.Namespace, common: Mapping[str, Any]) -> tuple[list[Problem], bool]:
    """(what is in the way of a picture, whether it is there already as it is asked for). Raises ShowError."""
    record, output = picture_record(args), args.output
    before = read_record(record)
    if record.exists() and not before:
        return [Problem(str(record), "is there already, and is not this command's", "another -o")], False
    if output.is_dir():
        return [Problem(f"-o {output}", "is a folder", "the name of a picture")], False
    if not output.exists():
        return [], False
    if before.get("output_sha256") != sha256_of(output):
        return [Problem(f"-o {output}", "is there already, and is not as this command wrote it", "another name")], False
    known = before.get("common")
    other = differences(known if isinstance(known, dict) else {}, dict(common))
    if other and not args.again:
        return [Problem(f"-o {output}", f"was made with other {other}", "the same options and inputs",
                        "--again, which makes it anew, or another name")], False  # fmt: skip
    return [], not other and not args.again


def checked_shares(args: argparse.Namespace) -> tuple[dict[str, float], list[Problem]]:
    """(shares by name, what is wrong with the model's file or with --style)."""
    try:
        return shares_of(args.style, stylizer_facts(args.model).styles), []
    except ShowError as e:
        return {}, list(e.problems)


def vector(styles: Sequence[str], shares: Mapping[str, float]) -> Any:
    """Shares by name as the network takes them, float32 [styles]."""
    return np.array([shares.get(name, 0.0) for name in styles], np.float32)


def way_of(args: argparse.Namespace, shares: Any, masks: Any = None) -> Way:
    """What is done with each frame."""
    return Way(shares, args.amount, args.smooth, args.keep or "", args.keep_amount, masks, args.mask_side == "ground")


def read_record(path: Path) -> dict[str, Any]:
    """The record of an earlier run; empty where there is none of ours."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) and told.get("tool") == TOOL else {}


def record_of(args: argparse.Namespace, shares: Mapping[str, float]) -> dict[str, Any]:
    """Options, hashes and versions."""
    facts = stylizer_facts(args.model)
    options = {k: str(v) if isinstance(v, Path) else v for k, v in vars(args).items()}
    model = {"file": args.model.name, "sha256": sha256_of(args.model), "licence": facts.licence, "hashes": dict(facts.hashes)}
    return {"tool": TOOL, "options": options, "shares": dict(shares), "model": model, "versions": versions()}


def full_record(job: Job, **more: Any) -> dict[str, Any]:
    """As it is written beside the result."""
    shares = {n: float(s) for n, s in zip(stylizer_facts(job.args.model).styles, job.way.shares, strict=True)}
    film = {"file": job.footage.path.name, "rate": str(job.footage.rate), "frames": job.footage.frames,
            "range": [job.first, job.end]}  # fmt: skip
    return {**record_of(job.args, shares), "common": job.common, "film": film, **more}
