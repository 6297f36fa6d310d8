"""Clips: what a shot plays that was made beforehand, a film or a folder of PNG frames, and where its frames stand there.

`cineml keyframes propagate` writes both, numbered like the film: one result serves all shots. A clip of one shot begins with
that shot's first frame.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from player.show.cut_list import CutList, Shot
from player.show.problem import Problem, ShowError
from player.show.toml_table import file_problem

ALLOWED = "a film file, or a folder of frames such as 000300.png, relative to the score"
MASKS = "a folder of masks such as 000300.png, 255 the figure, one a frame"
_NUMBER = re.compile(r"[0-9]+")
_MOST_DIGITS = 9
_SAID = 6  # ranges of missing frames; the rest is counted
_PNG, _HEAD_BYTES = b"\x89PNG\r\n\x1a\n", 24
_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"
_LONGEST_SIDE_PX = 16384


@dataclass(frozen=True)
class Placing:
    """Where a shot's frames stand in a clip. first: the number of the shot's first one. last: of the last that it may show,
    which is held from then on. like_film: whether the clip is numbered like the film, and so a film itself whose fades and
    dissolves are in its pictures; else from the shot's first frame on, and the shot alone."""

    first: int
    last: int
    like_film: bool


@dataclass(frozen=True)
class FrameFolder:
    """PNG frames by the number in their names: 000300.png, s03_f000300.png and 000300_v2.png are frame 300."""

    path: Path
    files: Mapping[int, Path]

    def placing(self, shot: Shot, seen_frames: int, film_frames: int) -> Placing:
        """Where a shot stands here. seen_frames: the shot's own and those that a dissolve out of it shows on.

        By the film's numbers, counted from 0 as cineml counts (from 1, where one is as high as the film has frames; from any
        number above that, as editing programs count from 1001, where there are as many as the film has); from the shot's
        first frame on, 0 or 1 or such a number, where that is how all of the files are numbered and the film's numbers are
        not there.
        """
        low, high = min(self.files), max(self.files)
        own_count = low > 1 and high >= film_frames  # no frame of the film has such a number
        if own_count and high - low + 1 == len(self.files) == film_frames:
            first, like_film = shot.start + low, True
        else:
            first, like_film = shot.start + int(high == film_frames), True
        if any(n not in self.files for n in range(first, first + shot.frames)) and high - low < seen_frames and (
                low <= 1 or low >= film_frames):
            first, like_film = low, False
        last = first + shot.frames - 1
        while last + 1 in self.files and last + 1 < first + seen_frames:
            last += 1
        return Placing(first, last, like_film)

    def lacking(self, shot: Shot, placing: Placing, where: str, name: str) -> Problem | None:
        """Which of the shot's own frames are not there; None where all are. name: of the folder, for the message."""
        last = placing.first + shot.frames - 1
        if not (gone := [n for n in range(placing.first, last + 1) if n not in self.files]):
            return None
        counted = "the film's numbers" if placing.like_film else "numbers from the shot's first frame on"
        return Problem(where, f"{name!r} lacks {len(gone)} of the shot's {shot.frames} frames: {ranges_of(gone)}",
                       f"PNGs {placing.first} to {last}, {counted}",
                       "the same cineml keyframes propagate again, which makes what is missing")


def seen_frames(shot: Shot, cuts: CutList) -> int:
    """How many frames from its first one on a shot is seen: its own, and on through the dissolve after it."""
    following = cuts.by_number(shot.number + 1)
    return shot.frames + (following.in_frames if following is not None and following.into == "dissolve" else 0)


def frame_numbers(names: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Which of the numbers in each name is the frame's: the last that no two names share, as 12 in shot3_0012_v2; where the
    names are not built alike the last one. names: the numbers in each, in their order."""
    columns = {len(found) for found in names.values()}
    at = -1
    if len(columns) == 1:
        last = columns.pop() - 1
        if len(names) == 1:  # what varies cannot be told: the longest, the later of two
            found = next(iter(names.values()))
            at = max(range(last + 1), key=lambda i: (len(found[i]), i))
        else:
            at = next((i for i in range(last, -1, -1) if len({found[i] for found in names.values()}) == len(names)), last)
    return {name: int(found[at]) for name, found in names.items() if len(found[at]) <= _MOST_DIGITS}


def read_folder(path: Path) -> FrameFolder:
    """The frames of a folder by their names; none is opened. Raises ShowError."""
    files: dict[int, Path] = {}
    twice: list[str] = []
    try:
        names = sorted(entry.name for entry in os.scandir(path) if entry.name[:1] != "." and entry.is_file())
    except OSError as e:
        raise ShowError(Problem(str(path), f"cannot be read ({e.strerror})", ALLOWED)) from None
    numbered = {}
    for name in names:
        stem, dot, ending = name.rpartition(".")
        if dot and ending.lower() == "png" and (found := _NUMBER.findall(stem)):
            numbered[name] = found
    for name, number in frame_numbers(numbered).items():
        if number in files:
            twice.append(f"{files[number].name} and {name}")
        else:
            files[number] = path / name
    if twice:
        more = f", and {len(twice) - 1} more" if len(twice) > 1 else ""
        raise ShowError(Problem(str(path), f"holds a frame twice: {twice[0]}{more}", "one PNG a frame, a number in its name"))
    if not files:
        raise ShowError(Problem(str(path), "holds no numbered PNG", "frames such as 000300.png",
                                "cineml keyframes propagate FILM --keys DIR -o FOLDER"))  # fmt: skip
    return FrameFolder(path, files)


def ranges_of(numbers: Iterable[int]) -> str:
    """Increasing numbers in words: '7, 12 to 15'."""
    ends: list[list[int]] = []
    for n in numbers:
        if ends and n == ends[-1][1] + 1:
            ends[-1][1] = n
        else:
            ends.append([n, n])
    words = [str(a) if a == b else f"{a} to {b}" for a, b in ends[:_SAID]]
    return ", ".join(words) + (" ..." if len(ends) > _SAID else "")


def _read_once(path: Path, folders: dict[Path, FrameFolder | ShowError]) -> FrameFolder | ShowError:
    """A folder, or why it cannot be read, out of what was read already or read now and put in."""
    if path not in folders:
        try:
            folders[path] = read_folder(path)
        except ShowError as e:
            folders[path] = e
    return folders[path]


def clip_problem(path: Path, name: str, shot: Shot | None, cuts: CutList | None, at: str,
                 folders: dict[Path, FrameFolder | ShowError]) -> Problem | None:
    """Why a shot cannot play a clip, as far as names say it. name: as it stands in the score. shot and cuts: None where they
    cannot be known. folders: what was read already, by its path; new ones are put in."""
    if not name:
        return Problem(f"{at}: clip", f"{name!r} is missing", ALLOWED)
    try:
        is_folder = path.is_dir()
    except (OSError, ValueError):
        is_folder = False
    if not is_folder:
        reason = "cannot be a file's name" if "\0" in name else file_problem(path)
        return Problem(f"{at}: clip", f"{name!r} {reason}", ALLOWED) if reason else None
    folder = _read_once(path, folders)
    if isinstance(folder, ShowError):
        p = folder.problems[0]
        return Problem(f"{at}: clip", f"{name!r} {p.given}", p.allowed, p.hint)
    if shot is None or cuts is None:
        return None
    placing = folder.placing(shot, seen_frames(shot, cuts), cuts.frames)
    return folder.lacking(shot, placing, f"{at}: clip", name)


def mask_problem(path: Path, name: str, shots: Iterable[Shot], cuts: CutList | None, at: str,
                 folders: dict[Path, FrameFolder | ShowError]) -> Problem | None:
    """Why shots cannot use a folder of masks, as far as names say it; like clip_problem. shots: those that must have one for
    each frame."""
    try:
        if not path.is_dir():
            return Problem(at, f"{name!r} {'is no folder' if path.exists() else 'is missing'}", MASKS)
    except (OSError, ValueError):
        return Problem(at, f"{name!r} cannot be a folder's name", MASKS)
    folder = _read_once(path, folders)
    if isinstance(folder, ShowError):
        p = folder.problems[0]
        return Problem(at, f"{name!r} {p.given}", MASKS, "cineml keyframes mask FILM -o FOLDER")
    for shot in shots if cuts is not None else ():
        assert cuts is not None
        lacking = folder.lacking(shot, folder.placing(shot, seen_frames(shot, cuts), cuts.frames), at, name)
        if lacking is not None:
            return Problem(at, f"{lacking.given} (shot {shot.number})", lacking.allowed, "cineml keyframes mask again")
    return None


def png_size(path: Path) -> tuple[int, int]:
    """(width, height) of a PNG by its head, and whether its end is there. Raises ShowError."""
    try:
        with path.open("rb") as f:
            head = f.read(_HEAD_BYTES)
            f.seek(0, os.SEEK_END)
            f.seek(max(f.tell() - len(_PNG_END), 0))
            end = f.read()
    except OSError as e:
        raise ShowError(Problem(str(path), f"cannot be read ({e.strerror})", "a PNG")) from None
    if len(head) < _HEAD_BYTES or not head.startswith(_PNG):
        raise ShowError(Problem(str(path), "is empty" if not head else "is no PNG", "a PNG"))
    if end != _PNG_END:
        raise ShowError(Problem(str(path), "is cut short", "a whole PNG", "make this frame again"))
    width, height = struct.unpack(">II", head[16:24])
    if not (0 < width <= _LONGEST_SIDE_PX and 0 < height <= _LONGEST_SIDE_PX):
        raise ShowError(Problem(str(path), f"is {width}x{height} px", f"sides of 1 to {_LONGEST_SIDE_PX} px"))
    return width, height
