"""The pictures that are projected: one picture, a folder of them, or frames of a film, each in the model's square."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from player.show.problem import Problem, ShowError
from tools.film_dataset_source import first_frame
from tools.train_dataset import geometry_for, squared
from tools.train_source import PICTURES, film_range

Pixels = npt.NDArray[np.uint8]
Kind = Literal["picture", "folder", "film"]
MODES = {1: "L", 3: "RGB", 4: "RGBA"}
LAID_BLACK = 12.0  # of 255, the mean beside the film: JPEG and a generator do not keep 0


@dataclass(frozen=True)
class Pictures:
    """What may be projected, numbered from 0. size: [w, h] of the first. rate: of a film. files, names: of a picture
    or folder; a name is the file's without its ending, where that is no other's."""

    path: Path
    kind: Kind
    count: int
    size: tuple[int, int]
    rate: Fraction
    files: tuple[Path, ...] = ()
    names: tuple[str, ...] = ()

    def name(self, number: int) -> str:
        """What a picture is called in the outputs; a film frame is f0012."""
        return f"f{number:04d}" if self.kind == "film" else self.names[number]

    def sha256(self) -> str:
        """Of the film; of the names and contents of pictures."""
        digest = hashlib.sha256()
        for path in self.files or (self.path,):
            with path.open("rb") as file:
                digest.update(f"{path.name}\n{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
        return digest.hexdigest()

    def chosen(self, start: str | None, end: str | None, every: int, rate: Fraction | None = None) -> npt.NDArray[np.int64]:
        """The numbers from --start to before --end, every `every`th. Raises ShowError where none is left."""
        first, last = film_range(start, end, rate or self.rate)
        numbers = np.arange(first, min(last or self.count, self.count), every, dtype=np.int64)
        if len(numbers) == 0:
            raise ShowError(Problem("--start", f"is frame {first}", f"0 to {self.count - 1}, before the end of {self.path}"))
        return numbers

    def squares(self, wanted: Sequence[int], geometry: dict[str, list[int]], resolution: int,
                channels: int) -> Iterator[tuple[int, Pixels]]:  # fmt: skip
        """(number, uint8 [C, R, R]) for increasing numbers. Raises ShowError for what cannot be read."""
        read = _film_pictures if self.kind == "film" else _file_pictures
        for number, picture in read(self, wanted, channels):
            yield number, in_square(picture, geometry, resolution)


def pictures_at(path: Path) -> Pictures:
    """What is there: a picture, a folder of pictures in order of name, or a film. Raises ShowError."""
    if path.is_dir():
        files = tuple(sorted(p for p in path.iterdir() if p.suffix.lower() in PICTURES))
        if not files:
            raise ShowError(Problem(str(path), "holds no pictures", ", ".join(PICTURES)))
        stems = Counter(p.stem for p in files)
        names = tuple(p.stem if stems[p.stem] == 1 else p.name for p in files)
        return Pictures(path, "folder", len(files), _size(files[0]), Fraction(24), files, names)
    if not path.is_file():
        raise ShowError(Problem(str(path), "does not exist", "a picture, a folder of pictures, or a film"))
    if path.suffix.lower() in PICTURES:
        return Pictures(path, "picture", 1, _size(path), Fraction(24), (path,), (path.stem,))
    import av

    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise ShowError(Problem(str(path), "has no picture", "a film that FFmpeg can read"))
            stream = container.streams.video[0]
            rate = Fraction(stream.average_rate or 24)
            count = sum(1 for packet in container.demux(stream) if packet.size and not packet.is_discard)
    except (av.FFmpegError, OSError) as error:
        given = f"cannot be read as a picture or film ({error})"
        raise ShowError(Problem(str(path), given, "a picture, a folder of pictures, or a film")) from None
    first, _ = first_frame(path)
    size = (first.height, first.width) if round(first.rotation / 90) % 2 else (first.width, first.height)
    return Pictures(path, "film", count, size, rate)


def _size(path: Path) -> tuple[int, int]:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            return picture.size
    except (UnidentifiedImageError, OSError) as error:
        raise ShowError(Problem(str(path), f"cannot be read as a picture ({error})")) from None


def _file_pictures(pictures: Pictures, wanted: Sequence[int], channels: int) -> Iterator[tuple[int, Pixels]]:
    from PIL import Image, UnidentifiedImageError

    for number in wanted:
        path = pictures.files[number]
        try:
            with Image.open(path) as picture:
                pixels = np.asarray(picture.convert(MODES[channels]))
        except (UnidentifiedImageError, OSError) as error:
            raise ShowError(Problem(str(path), f"cannot be read as a picture ({error})")) from None
        yield number, pixels


def _film_pictures(pictures: Pictures, wanted: Sequence[int], channels: int) -> Iterator[tuple[int, Pixels]]:
    """One pass over the film; an opaque alpha is added where the generator makes one."""
    import av

    remaining = set(wanted)
    decoded = 0
    try:
        with av.open(str(pictures.path)) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            for number, frame in enumerate(container.decode(stream)):
                decoded = number + 1
                if number in remaining:
                    pixels = np.asarray(frame.to_ndarray(format="gray" if channels == 1 else "rgb24"), np.uint8)
                    pixels = np.rot90(pixels, round(frame.rotation / 90) % 4)
                    if channels == 4:
                        pixels = np.concatenate([pixels, np.full((*pixels.shape[:2], 1), 255, np.uint8)], axis=2)
                    remaining.discard(number)
                    yield number, pixels
                if not remaining:
                    return
    except (av.FFmpegError, OSError) as error:
        raise ShowError(Problem(str(pictures.path), f"breaks off at frame {decoded} ({error})", "a sound film")) from None
    given = f"ends after {decoded} frames, its index promises {pictures.count}"
    raise ShowError(Problem(str(pictures.path), given, "a sound film", f"--end {decoded}f"))


def square_geometry(model: dict[str, list[int]], pictures: Pictures, resolution: int) -> dict[str, list[int]]:
    """The model's geometry, or where it has none (an imported one) the pictures whole in the square, padded."""
    return model or geometry_for(*pictures.size, resolution)


def cropped_by(size: tuple[int, int], geometry: dict[str, list[int]]) -> float:
    """The share of a picture [w, h] that is lost where its shape is not that of the geometry's film."""
    (pw, ph), (w, h) = size, geometry["film"]
    wide, high = _centre(pw, ph, w, h)
    return 1 - wide * high / (pw * ph)


def _centre(pw: int, ph: int, w: int, h: int) -> tuple[int, int]:
    """The largest part of pw x ph that has the shape of w x h, to the pixel."""
    if abs(pw * h - ph * w) <= max(w, h):  # the same shape but for rounding to whole pixels
        return pw, ph
    return (max(1, round(ph * w / h)), ph) if pw * h > ph * w else (pw, max(1, round(pw * h / w)))


def _laid(picture: Pixels, geometry: dict[str, list[int]], resolution: int) -> bool:
    """Whether a picture is the model's square: of its size though the film is no square, black where the film is not."""
    w, h = geometry["film"]
    if picture.shape[:2] != (resolution, resolution) or w == h:
        return False
    x, y, wide, high = geometry["inner"]
    beside = np.ones((resolution, resolution), bool)
    beside[y : y + high, x : x + wide] = False
    return not beside.any() or bool(np.atleast_3d(picture)[beside][:, :3].mean() <= LAID_BLACK)


def in_square(picture: Pixels, geometry: dict[str, list[int]], resolution: int) -> Pixels:
    """picture uint8 [h, w] or [h, w, C] of any size -> uint8 [C, R, R], where the model has its film.

    Of a picture of another shape the middle is taken; a small one is enlarged smoothly. One that lies in the model's square
    already, as a dataset of the film and the model's own samples do, is taken as it is.
    """
    from PIL import Image

    w, h = geometry["film"]
    ph, pw = picture.shape[:2]
    if _laid(picture, geometry, resolution):
        return np.ascontiguousarray(np.atleast_3d(picture).transpose(2, 0, 1))
    wide, high = _centre(pw, ph, w, h)
    left, top = (pw - wide) // 2, (ph - high) // 2
    cx, cy, cw, ch = geometry["crop"]
    x0, x1 = left + round(cx * wide / w), left + round((cx + cw) * wide / w)
    y0, y1 = top + round(cy * high / h), top + round((cy + ch) * high / h)
    part = picture[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)]
    inner = geometry["inner"]
    if part.shape[1] < inner[2] or part.shape[0] < inner[3]:
        part = np.asarray(Image.fromarray(np.ascontiguousarray(part)).resize((inner[2], inner[3]), Image.Resampling.BICUBIC))
    size = [part.shape[1], part.shape[0]]
    return squared(part, {"film": size, "crop": [0, 0, *size], "inner": inner}, resolution)
