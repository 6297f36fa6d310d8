"""Where each painting of a mix may be used: a mask for all frames, or a folder of masks named like the frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from player.show.problem import Problem, ShowError
from tools.film_dataset_source import Footage
from tools.keyframes_keys import masks_of, read_mask
from tools.keyframes_output import digest_of
from tools.whole_file import sha256_of

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Mask:
    """Of one style. one: for all frames. frames: the file of each frame."""

    size: tuple[int, int]
    one: Pixels | None
    frames: Mapping[int, Path]
    sha256: str

    def at(self, frame: int) -> Pixels:
        """uint8 [H, W] of a film frame. Raises ShowError."""
        return read_mask(self.frames[frame], self.size) if self.one is None else self.one


def read_masks(given: Sequence[Path | None], size: tuple[int, int], footage: Footage | None,
               frames: range) -> list[Mask | None]:  # fmt: skip
    """The masks of the styles, None where everything may be painted. size: (width, height). footage: None for a picture.
    frames: those that need one. Raises ShowError with every problem."""
    found: list[Mask | None] = []
    problems: list[Problem] = []
    for path in given:
        try:
            found.append(None if path is None else read_one(path, size, footage, frames))
        except ShowError as e:
            problems += e.problems
    if problems:
        raise ShowError(problems)
    return found


def read_one(path: Path, size: tuple[int, int], footage: Footage | None, frames: range) -> Mask:
    """One style's mask. Raises ShowError."""
    shown = f"--mask {path}"
    if not path.exists():
        raise ShowError(Problem(shown, "does not exist", "a mask, or of a film a folder of them; - for everywhere"))
    if not path.is_dir():
        return Mask(size, read_mask(path, size), {}, sha256_of(path))
    if footage is None:
        raise ShowError(Problem(shown, "is a folder, and one picture is painted", "a mask"))
    named, _ = masks_of(path, footage, "--mask")
    files = {n.frame: n.path for n in named}
    lost = [f for f in frames if f not in files]
    if lost:
        given = f"holds none for {len(lost)} of {len(frames)} frames, the first is {lost[0]}"
        raise ShowError(Problem(shown, given, "one for every frame", "cineml keyframes mask makes them"))
    return Mask(size, None, files, digest_of([[f, sha256_of(files[f])] for f in frames]))
