"""What a propagation is asked to make, looked at whole before anything is written: film, cuts, keys, masks."""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from player.progress import Progress
from player.show.cut_list import CutList, Shot, problems_of, read_csv
from player.show.problem import Problem, ShowError
from tools.cuts_pictures import Reduced
from tools.film_dataset import cuts_asked
from tools.film_dataset_source import Footage, footage_at, range_of
from tools.keyframes_cuts import cuts_beside, rate_notes
from tools.keyframes_frames import ShotFrames, tail_of
from tools.keyframes_keep import fineness
from tools.keyframes_keys import (
    Named,
    by_name,
    counted,
    frames_note,
    has_alpha,
    is_unpainted,
    laid,
    masks_of,
    pictures_in,
    read_rgba,
    resized,
    size_notes,
    twice,
)
from tools.keyframes_options import Options, options_of
from tools.keyframes_output import digest_of
from tools.keyframes_plan import dissolve_notes, key_notes, keys_by_shot, missing_problems, shots_seen
from tools.whole_file import sha256_of

NEEDED = {"cv2": "opencv-python", "numba": "numba", "scipy": "scipy"}
FEWEST_FOR_CUTS = 4  # frames; in fewer nothing can be told from motion


@dataclass(frozen=True)
class Asked:
    """keys, masks: that belong to frames of the film. have: keys by the number of their shot. first, end: the film frames to
    write. found_cuts: whether the cuts were looked for here, and are to be written. said: what a person should know, a line
    each."""

    footage: Footage
    cuts: CutList
    found_cuts: bool
    keys: tuple[Named, ...]
    masks: tuple[Named, ...]
    have: Mapping[int, list[Named]]
    first: int
    end: int
    options: Options
    alpha: str
    said: tuple[str, ...]
    keep_where: tuple[Named, ...] | None = None

    @property
    def frames(self) -> range:
        """The film frames to write."""
        return range(self.first, self.end)


def studio_problems() -> list[Problem]:
    """What is not installed here."""
    return [Problem("keyframes propagate", f"{package} is not installed", "", 'pip install "cineml[studio]"')
            for name, package in NEEDED.items() if importlib.util.find_spec(name) is None]  # fmt: skip


def asked_for(args: argparse.Namespace, beside: Path) -> Asked:
    """The command line, held against film, keys and masks. beside: the cut list that stands at the output, or would.
    Raises ShowError with every problem found."""
    footage = footage_at(args.film, args.rate)
    first, end = range_of(args, footage)
    small: list[Reduced] = []

    def all_small() -> Reduced:
        """Every frame, small; decoded once."""
        from tools.keyframes_match import small_frames

        if not small:
            progress = Progress(footage.frames, "frames looked at", sys.stderr)
            small.append(small_frames(footage, progress.at))
        return small[0]

    found_cuts = False
    if args.cuts is None:
        cuts, said, found_cuts = cuts_beside(beside, footage, footage.sha256, lambda: cuts_of(None, footage, all_small))
    else:
        cuts, said = cuts_of(args.cuts, footage, all_small)
        said += rate_notes(cuts, footage)
    keys, more = keys_of(args, footage, all_small)
    said += more
    masks: list[Named] = []
    if args.masks is not None:
        masks, more = masks_of(args.masks, footage, "--masks")
        said += more + size_notes(masks, footage.size, "masks")
        said += mask_notes(masks, keys)
    keep_where = None
    if args.keep_where is not None:
        keep_where, more = masks_of(args.keep_where, footage, "--keep-where")
        said += more + size_notes(keep_where, footage.size, "masks")
    have = keys_by_shot(cuts, keys)
    shots = shots_seen(cuts, first, end)
    without = [s for s in shots if s.number not in have]
    if without and (len(without) == len(shots) or not args.allow_missing):
        for line in said:  # a key that was taken for a frame of another shot is seen in these
            print(line, flush=True)
    if len(without) == len(shots):
        given = f"hold no key for any shot of the frames {first} to {end - 1}"
        raise ShowError(Problem(f"--keys {args.keys}: its {len(keys)} keys", given, f"keys of shots {numbers_of(shots)}"))
    if without and not args.allow_missing:
        raise ShowError(missing_problems(cuts, shots, have, args.keys))
    if without:
        said.append(f"no key for {len(without)} of {len(shots)} shots ({numbers_of(without)}): their frames are the film's own")
    seen = {s.number for s in shots}
    far = [k for k in keys if not seen & {n for n, named in have.items() if k in named}]
    if far:
        said.append(f"{counted([k.path for k in far], 'key')} of shots outside of --start and --end: not needed")
    near = [k for k in keys if k not in far]
    said += key_notes(cuts, near) + dissolve_notes(cuts, shots, have)
    return Asked(footage, cuts, found_cuts, tuple(keys), tuple(masks), have, first, end, options_of(args), args.alpha,
                 tuple(said), None if keep_where is None else tuple(keep_where))  # fmt: skip


def cuts_of(path: Path | None, footage: Footage, small: Any) -> tuple[CutList, list[str]]:
    """The cut list, given or found in the film, and what to say of it. Raises ShowError."""
    if path is not None:
        cuts = cuts_asked(path, footage)
        assert cuts is not None
        return cuts, []
    whole = CutList(footage.path.name, footage.rate, footage.frames, (Shot(1, 0, footage.frames),))
    if footage.frames < FEWEST_FOR_CUTS:
        return whole, []
    from tools.cuts_find import find, settings_for
    from tools.cuts_transition import cut_list

    found, _ = find(small(), float(footage.rate), settings_for(0.5), footage.frames)
    cuts = cut_list(found, footage.path.name, footage.rate, footage.frames)
    if wrong := problems_of(cuts, "the cuts that were found"):
        raise ShowError(wrong)
    at = ", ".join(str(s.start) for s in cuts.shots[1:13]) + (", ..." if len(cuts.shots) > 13 else "")
    told = f"at frames {at}" if len(cuts.shots) > 1 else "it is one shot"
    return cuts, [f"cuts were looked for: {len(cuts.shots) - 1} found, {told} (--cuts takes a list that you have looked at)"]


def keys_of(args: argparse.Namespace, footage: Footage, small: Any) -> tuple[list[Named], list[str]]:
    """The painted keys with their frames, each of which can be read, and what to say of them. Raises ShowError with every
    problem."""
    paths = pictures_in(args.keys, "--keys")
    keys, others = by_name(paths, footage)
    said: list[str] = []
    problems: list[Problem] = []
    if others:
        more, said, problems = keys_by_picture(others, args, footage, small)
        keys += more
    problems += twice(keys, "--keys")
    if problems:
        raise ShowError(problems)
    painted, more_said, doubtful = painted_of(keys, args.alpha, footage)
    if not painted:
        given = f"holds {len(keys)} pictures, and all are the film's own frames" if keys else "holds no key of this film"
        raise ShowError(Problem(f"--keys {args.keys}", given, "painted frames, named by their numbers as 000300.png"))
    said.insert(0, frames_note(painted))
    return painted, said + doubts(doubtful, small) + size_notes(painted, footage.size, "keys") + more_said


def doubts(doubtful: Sequence[Doubtful], small: Any) -> list[str]:
    """What to say of keys that show another frame than their names say; the film is only looked through for those that are
    little like their own. Raises ShowError."""
    from tools.keyframes_match import FAR_MORE, matches

    if not doubtful:
        return []
    said = []
    for d, match in zip(doubtful, matches([d.picture for d in doubtful], small()), strict=True):
        if match.sure and match.likeness >= d.likeness + FAR_MORE:
            said.append(f"{d.key.path.name} is taken for frame {d.key.frame}, as its name says, but looks far more like frame "
                        f"{match.frame} (likeness {match.likeness:.2f}, of its own {d.likeness:.2f})")  # fmt: skip
    return said


def keys_by_picture(paths: Sequence[Path], args: argparse.Namespace, footage: Footage,
                    small: Any) -> tuple[list[Named], list[str], list[Problem]]:  # fmt: skip
    """(keys found by what they show, what to say, problems). Raises ShowError where a picture cannot be read."""
    from tools.keyframes_keys import numbers_in
    from tools.keyframes_match import matches

    pictures = [resized(read_rgba(p), small_size(footage))[..., :3] for p in paths]
    found, said, lost = [], [], []
    for path, match in zip(paths, matches(pictures, small()), strict=True):
        numbers = numbers_in(path.stem)
        why = f"the film has no frame {numbers[0]}" if numbers else "its name has no number"
        if match.sure:
            found.append(Named(path, match.frame, "picture"))
            said.append(f"{path.name}: {why}; by what it shows it is frame {match.frame} (likeness {match.likeness:.2f})")
        else:
            lost.append((path, why))
    if lost and args.allow_missing and len(lost) < len(paths):
        said.append(f"{counted([p for p, _ in lost], 'picture')} like no frame of the film: left out")
        return found, said, []
    allowed = f"named by its frame, 0 to {footage.frames - 1}, as 000300.png"
    return found, said, [Problem(str(p), f"belongs to no frame: {why}, and it looks like none", allowed) for p, why in lost]


@dataclass(frozen=True)
class Doubtful:
    """A key that is little like the frame that its name says. picture: uint8 [h, w, 3], small. likeness: -1..1."""

    key: Named
    picture: Any
    likeness: float


def painted_of(keys: Sequence[Named], alpha: str, footage: Footage) -> tuple[list[Named], list[str], list[Doubtful]]:
    """(the keys that somebody has painted on, by frame; what to say; those of doubtful names). Reads every key. Raises
    ShowError with every problem."""
    from tools.keyframes_match import DOUBTFUL, likeness

    cuts = CutList(footage.path.name, footage.rate, footage.frames, (Shot(1, 0, footage.frames),))
    frames = ShotFrames(footage, cuts, 0, footage.frames)
    painted: list[Named] = []
    blank: list[Named] = []
    doubtful: list[Doubtful] = []
    clear: list[Path] = []
    problems: list[Problem] = []
    try:
        for key in sorted(keys, key=lambda k: k.frame):
            try:
                picture = resized(read_rgba(key.path), footage.size)
                film = frames.raw(key.frame)
            except ShowError as e:
                problems += e.problems
                continue
            if has_alpha(picture):
                clear.append(key.path)
            flat, _ = laid(picture, alpha, lambda film=film: film)  # type: ignore[misc]
            if is_unpainted(flat, film):
                blank.append(key)
                continue
            painted.append(key)
            if key.how != "picture" and (alike := likeness(flat, film)) < DOUBTFUL:
                doubtful.append(Doubtful(key, resized(flat, small_size(footage)), alike))
    finally:
        frames.close()
    if problems:
        raise ShowError(problems)
    said = []
    if clear:
        how = {"film": "laid over the film's own frames, and carried on with them",
               "mask": "taken as masks: what is transparent is the film itself in all frames",
               "white": "laid on white", "black": "laid on black"}[alpha]  # fmt: skip
        said.append(f"{counted(clear, 'key')} transparent in parts: {how} (--alpha)")
    if blank:
        said.append(f"{counted([k.path for k in blank], 'key')} the film's own, not painted on: left out")
    return painted, said, doubtful


def small_size(footage: Footage) -> tuple[int, int]:
    """Width and height in which pictures are compared with the film."""
    return 320, max(16, round(320 * footage.size[1] / footage.size[0]))


def mask_notes(masks: Sequence[Named], keys: Sequence[Named]) -> list[str]:
    """What to say of masks that are missing."""
    there = {m.frame for m in masks}
    without = [k.path for k in keys if k.frame not in there]
    return [f"{counted(without, 'key')} without a mask: not constrained by the masks of other frames"] if without else []


def numbers_of(shots: Sequence[Shot]) -> str:
    """'1, 2, 5, ...'"""
    return ", ".join(str(s.number) for s in shots[:20]) + (", ..." if len(shots) > 20 else "")


# --- what the pictures follow from


def job_of(asked: Asked) -> tuple[dict[str, Any], dict[str, str]]:
    """(what all shots follow from, a hash of what each shot that has keys follows from). Raises ShowError."""
    options = {k: v for k, v in asdict(asked.options).items() if k != "threads"} | fineness(asked.options.keep)
    common = {"film": {"sha256": asked.footage.sha256()}, "options": {**options, "alpha": asked.alpha}}
    shots = {}
    for number, keys in asked.have.items():
        shot = asked.cuts.by_number(number)
        assert shot is not None
        end = shot.end + tail_of(asked.cuts, shot)
        masks, where = ([m for m in named or () if shot.start <= m.frame < end] for named in (asked.masks, asked.keep_where))
        told = {"frames": [shot.start, shot.end, end], "in": [shot.into, shot.in_frames, shot.in_colour],
                "out": [shot.out, shot.out_frames, shot.out_colour], "keys": [[k.frame, sha256_of(k.path)] for k in keys],
                "masks": hashes_of(masks), "keep_where": asked.keep_where and hashes_of(where)}  # fmt: skip
        shots[str(number)] = digest_of(told)
    return common, shots


def hashes_of(masks: Sequence[Named]) -> str:
    """Of masks and their frames."""
    digest = hashlib.sha256()
    for m in masks:
        digest.update(f"{m.frame} {sha256_of(m.path)}\n".encode())
    return digest.hexdigest()


def check_film(path: Path) -> list[Problem]:
    """Whether there is anything."""
    return [] if path.exists() else [Problem(str(path), "does not exist", "a film, or a folder of its frames")]


def check_cuts(path: Path | None) -> list[Problem]:
    """Whether the list can be read."""
    if path is None:
        return []
    try:
        read_csv(path)
    except ShowError as e:
        return list(e.problems)
    return []
