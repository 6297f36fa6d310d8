"""Training pictures from a film or a folder: decoded, squared, reduced, kept as uint8 in the run folder."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from player.show.cut_list import CutList
from player.show.film import parse_timecode
from player.show.problem import Problem, ShowError

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")


@dataclass(frozen=True)
class Dataset:
    """The pictures that are trained on.

    images: uint8 [N, C, R, R], film frames in order (or files in order of name), black where the square is padded.
    geometry: {film: [w, h], crop: [x, y, w, h], inner: [x, y, w, h]}; source: what was read; film: True for a film.
    """

    images: NDArray[np.uint8]
    geometry: dict[str, list[int]]
    source: str
    film: bool

    def batch(self, index: torch.Tensor) -> torch.Tensor:
        """index int64 [N] -> float32 [N, C, R, R] in -1..1."""
        return torch.from_numpy(self.images[index.numpy()]).float().div_(127.5).sub_(1)


def geometry_for(width: int, height: int, resolution: int) -> dict[str, list[int]]:
    """How a film of width x height sits in the square: whole, centred, padded with black above and below or left and right."""
    scale = resolution / max(width, height)
    w, h = min(resolution, max(1, round(width * scale))), min(resolution, max(1, round(height * scale)))
    inner = [(resolution - w) // 2, (resolution - h) // 2, w, h]
    return {"film": [width, height], "crop": [0, 0, width, height], "inner": inner}


def squared(picture: NDArray[np.uint8], geometry: dict[str, list[int]], resolution: int) -> NDArray[np.uint8]:
    """picture uint8 [h, w] or [h, w, 3] -> uint8 [C, R, R]: area-averaged into `inner`, black around it."""
    planes = picture[None] if picture.ndim == 2 else picture.transpose(2, 0, 1)  # [C, h, w]
    x, y, w, h = geometry["inner"]
    small = F.interpolate(torch.from_numpy(np.array(planes, order="C")).float()[None], (h, w), mode="area")  # [1,C,h,w]
    square = np.zeros((planes.shape[0], resolution, resolution), np.uint8)  # [C, R, R]
    square[:, y : y + h, x : x + w] = small[0].round().clamp(0, 255).byte().numpy()
    return square


def film_pictures(path: Path, channels: int, start: str | None, end: str | None) -> Iterator[NDArray[np.uint8]]:
    """Frames [start, end) of a film as uint8 [h, w] (channels 1) or [h, w, 3]. Raises ShowError."""
    import av

    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise ShowError(Problem(str(path), "has no picture", "a film that FFmpeg can read"))
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            rate = Fraction(stream.average_rate or 24)
            first, last = film_range(start, end, rate)
            for number, frame in enumerate(container.decode(stream)):
                if last is not None and number >= last:
                    return
                if number >= first:
                    yield np.asarray(frame.to_ndarray(format="gray" if channels == 1 else "rgb24"), np.uint8)
    except (av.FFmpegError, OSError) as error:
        raise ShowError(Problem(str(path), f"cannot be read as a film ({error})", "a film that FFmpeg can read")) from None


def film_range(start: str | None, end: str | None, rate: Fraction) -> tuple[int, int | None]:
    """--start and --end as frames [first, last). Raises ShowError."""
    frames: list[int | None] = []
    for name, text in (("--start", start), ("--end", end)):
        try:
            frames.append(None if text is None else parse_timecode(text, rate))
        except ValueError as error:
            raise ShowError(Problem(name, str(error))) from None
    first, last = frames[0] or 0, frames[1]
    if last is not None and last <= first:
        raise ShowError(Problem("--end", f"frame {last} is not after --start, frame {first}"))
    return first, last


def folder_pictures(path: Path, channels: int) -> Iterator[NDArray[np.uint8]]:
    """The pictures of a folder in order of name, as uint8 [h, w] or [h, w, 3]. Raises ShowError."""
    from PIL import Image, UnidentifiedImageError

    for file in sorted(p for p in path.iterdir() if p.suffix.lower() in PICTURES):
        try:
            with Image.open(file) as picture:
                yield np.asarray(picture.convert("L" if channels == 1 else "RGB"))
        except (UnidentifiedImageError, OSError) as error:
            raise ShowError(Problem(str(file), f"cannot be read as a picture ({error})")) from None


def load_dataset(
    source: Path, run: Path | None, resolution: int, channels: int, start: str | None = None, end: str | None = None
) -> Dataset:
    """The training pictures of a film or folder; kept in `run`/dataset.npz and read from there the next time.

    Raises ShowError where the source is missing, unreadable, empty, or (folder) of mixed shapes.
    """
    if not source.exists():
        raise ShowError(Problem(str(source), "does not exist", "a film file or a folder of pictures"))
    stat = source.stat()
    asked = {"source": source.name, "bytes": stat.st_size, "mtime_ns": stat.st_mtime_ns, "resolution": resolution,
             "channels": channels, "start": start, "end": end}  # fmt: skip
    cache = None if run is None else run / "dataset.npz"
    if cache is not None and cache.is_file():
        with np.load(cache, allow_pickle=False) as kept:
            if json.loads(str(kept["asked"])) == asked:
                return Dataset(kept["images"], json.loads(str(kept["geometry"])), source.name, source.is_file())
    geometry: dict[str, list[int]] = {}
    squares: list[NDArray[np.uint8]] = []
    shape: tuple[int, ...] = ()
    pictures = folder_pictures(source, channels) if source.is_dir() else film_pictures(source, channels, start, end)
    for picture in pictures:
        if not squares:
            shape = picture.shape
            geometry = geometry_for(shape[1], shape[0], resolution)
        elif picture.shape != shape:
            given = f"{picture.shape[1]} x {picture.shape[0]} (picture {len(squares) + 1})"
            raise ShowError(Problem(str(source), f"mixes sizes: {given}", f"{shape[1]} x {shape[0]} as the first"))
        squares.append(squared(picture, geometry, resolution))
    if len(squares) < 2:
        raise ShowError(Problem(str(source), f"holds {len(squares)} pictures", "at least 2", "another file or range"))
    images = np.stack(squares)  # [N, C, R, R]
    if cache is not None:
        cache.parent.mkdir(parents=True, exist_ok=True)
        part = cache.with_name("dataset.part.npz")
        np.savez_compressed(part, images=images, geometry=json.dumps(geometry), asked=json.dumps(asked))
        part.replace(cache)
    return Dataset(images, geometry, source.name, source.is_file())


def mixed_frames(cuts: CutList) -> NDArray[np.bool_]:
    """[frames]: True where a dissolve or fade mixes the picture with another or with a colour.

    Those are left out of training: the player mixes by itself, between pictures that are pure.
    """
    mixed = np.zeros(cuts.frames, bool)
    for shot in cuts.shots:
        if shot.into != "cut":
            mixed[shot.start : shot.start + shot.in_frames] = True
        if shot.out != "cut":
            mixed[shot.end - shot.out_frames : shot.end] = True
    return mixed
