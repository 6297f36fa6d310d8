"""The frames to be printed, by number: of a film, or of a folder of pictures. One is in memory at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from player.show.problem import Problem, ShowError
from player.sources.film_reader import FilmReader, probe_film
from tools.train_source import PICTURES, coloured, decoded, film_range, survey_film

Pixels = npt.NDArray[np.uint8]
FOLDER_RATE = Fraction(24)  # for timecodes into a folder of frames, which has no rate of its own
LOOKED_AT = 24  # pictures that are looked at to tell grey from colour


class Frames(Protocol):
    """Frames by number. rate: None where the source has none."""

    @property
    def path(self) -> Path: ...

    @property
    def rate(self) -> Fraction | None: ...

    @property
    def count(self) -> int: ...

    def picture(self, number: int) -> Pixels:
        """uint8 [H, W, 3]. Raises ShowError."""

    def shape(self, picture: Pixels) -> tuple[float, float]:
        """Width and height of that picture as it is to be seen, in square pixels."""

    def coloured(self) -> bool:
        """Whether any of the pictures that were looked at is not grey."""

    def sha256(self) -> str:
        """Of the file; of names and contents of the pictures."""

    def close(self) -> None: ...


class FilmFrames:
    """A film's frames."""

    def __init__(self, path: Path) -> None:
        """Opens the film. Raises ShowError."""
        self.path = path
        self.rate: Fraction | None
        self.rate, self.count, width, height = probe_film(path)
        self._shape = float(width), float(height)
        self._reader = FilmReader(path)
        self._reader.open()

    def picture(self, number: int) -> Pixels:
        import av

        try:
            return self._reader.picture(number)
        except (RuntimeError, OSError, av.FFmpegError) as e:
            raise ShowError(Problem(str(self.path), f"cannot be read at frame {number} ({e})", "a whole film")) from None

    def shape(self, picture: Pixels) -> tuple[float, float]:
        return self._shape

    def coloured(self) -> bool:
        return survey_film(self.path).channels == 3

    def sha256(self) -> str:
        return _sha256(self.path)

    def close(self) -> None:
        self._reader.close()


@dataclass(frozen=True)
class FolderFrames:
    """The pictures directly in a folder, in order of name."""

    path: Path
    files: tuple[Path, ...]
    rate: Fraction | None = None

    @property
    def count(self) -> int:
        return len(self.files)

    def picture(self, number: int) -> Pixels:
        file = self.files[number]
        return decoded(str(file), file.stat().st_size, lambda: file.open("rb"), 3)

    def shape(self, picture: Pixels) -> tuple[float, float]:
        return float(picture.shape[1]), float(picture.shape[0])

    def coloured(self) -> bool:
        at = np.unique(np.linspace(0, self.count - 1, LOOKED_AT).astype(int))
        return any(coloured(self.picture(int(i))) for i in at)

    def sha256(self) -> str:
        digest = hashlib.sha256()
        for file in self.files:
            digest.update(f"{file.name}\n{_sha256(file)}\n".encode())
        return digest.hexdigest()

    def close(self) -> None:
        pass


def _sha256(path: Path) -> str:
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def frames_at(path: Path) -> Frames:
    """The frames of a film or a folder. Raises ShowError."""
    if not path.is_dir():
        return FilmFrames(path)
    try:
        files = sorted(p for p in path.iterdir() if p.suffix.lower() in PICTURES and not p.name.startswith(".") and p.is_file())
    except OSError as e:
        raise ShowError(Problem(str(path), f"cannot be read ({e.strerror})", "a folder of pictures")) from None
    if not files:
        raise ShowError(Problem(str(path), "holds no pictures", ", ".join(PICTURES)))
    return FolderFrames(path, tuple(files))


def chosen(frames: Frames, start: str | None, end: str | None, repeat: int) -> Sequence[int]:
    """The frame numbers to be printed, each `repeat` times. Raises ShowError where there are none."""
    first, last = film_range(start, end, frames.rate or FOLDER_RATE)
    if first >= frames.count:
        raise ShowError(Problem("--start", f"is frame {first}", f"0 to {frames.count - 1}, all that {frames.path} has"))
    if last is not None and last > frames.count:
        raise ShowError(Problem("--end", f"is frame {last}", f"up to {frames.count}, the length of {frames.path}"))
    numbers = range(first, frames.count if last is None else last)
    return numbers if repeat == 1 else [n for n in numbers for _ in range(repeat)]
