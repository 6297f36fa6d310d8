"""Training pictures: read once from their source, squared, reduced, and kept as bytes in the run folder."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from player.progress import Progress
from player.show.cut_list import CutList
from player.show.problem import Problem, ShowError
from tools.train_source import (
    LABELS,
    film_geometry,
    film_pictures,
    film_range,
    folder_pictures,
    kind_of,
    label_table,
    picture_bytes,
    picture_names,
    read_pictures,
    survey_film,
)
from tools.whole_file import make_folder

__all__ = ["Dataset", "Sampler", "film_pictures", "folder_pictures", "geometry_for", "load_dataset", "mixed_frames", "squared"]


@dataclass(frozen=True)
class Dataset:
    """The pictures that are trained on.

    images: uint8 [N, C, R, R], film frames in order (or files in order of name), black where the square is padded.
    geometry: {film: [w, h], crop: [x, y, w, h], inner: [x, y, w, h]}; source: what was read; film: True for a film.
    labels: float32 [N, c_dim], or None where pictures have none.
    """

    images: NDArray[np.uint8]
    geometry: dict[str, list[int]]
    source: str
    film: bool
    labels: NDArray[np.float32] | None = None

    def batch(self, index: torch.Tensor) -> torch.Tensor:
        """index int64 [N] -> float32 [N, C, R, R] in -1..1."""
        return torch.from_numpy(self.images[index.numpy()]).float().div_(127.5).sub_(1)


class Sampler:
    """Which pictures come next: all of them once an epoch, in an order that seed and epoch fix.

    position: pictures taken so far, by all processes together; setting it goes on from there.
    """

    def __init__(self, known: NDArray[np.int64], seed: int):
        self.known, self.seed, self.position = known, seed, 0
        self._epoch, self._order = -1, known

    def take(self, count: int, share: int = 0, shares: int = 1) -> NDArray[np.int64]:
        """The next count * shares pictures are used up; returns those of `share`, int64 [count]."""
        places = self.position + share * count + np.arange(count)
        self.position += count * shares
        return np.array([self._at(int(place)) for place in places], np.int64)

    def _at(self, place: int) -> int:
        epoch = place // len(self.known)
        if epoch != self._epoch:
            self._epoch, self._order = epoch, np.random.default_rng([self.seed, epoch]).permutation(self.known)
        return int(self._order[place % len(self.known)])


def geometry_for(width: int, height: int, resolution: int) -> dict[str, list[int]]:
    """How a film of width x height sits in the square: whole, centred, padded with black above and below or left and right."""
    scale = resolution / max(width, height)
    w, h = min(resolution, max(1, round(width * scale))), min(resolution, max(1, round(height * scale)))
    inner = [(resolution - w) // 2, (resolution - h) // 2, w, h]
    return {"film": [width, height], "crop": [0, 0, width, height], "inner": inner}


def squared(picture: NDArray[np.uint8], geometry: dict[str, list[int]], resolution: int) -> NDArray[np.uint8]:
    """picture uint8 [h, w] or [h, w, 3], the film's frame in any size of its shape -> uint8 [C, R, R]: its `crop`,
    area-averaged into `inner`, black around it."""
    planes = picture[None] if picture.ndim == 2 else picture.transpose(2, 0, 1)  # [C, h, w]
    (fw, fh), (cx, cy, cw, ch) = geometry["film"], geometry["crop"]
    if (cx, cy, cw, ch) != (0, 0, fw, fh):
        wide, high = planes.shape[2] / fw, planes.shape[1] / fh
        planes = planes[:, round(cy * high) : round((cy + ch) * high), round(cx * wide) : round((cx + cw) * wide)]
    x, y, w, h = geometry["inner"]
    small = F.interpolate(torch.from_numpy(np.array(planes, order="C")).float()[None], (h, w), mode="area")  # [1,C,h,w]
    square = np.zeros((planes.shape[0], resolution, resolution), np.uint8)  # [C, R, R]
    square[:, y : y + h, x : x + w] = small[0].round().clamp(0, 255).byte().numpy()
    return square


def resized(geometry: dict[str, list[int]], size: int, resolution: int) -> dict[str, list[int]]:
    """The geometry of pictures of `size` in a square of `resolution`, to the pixel."""
    x, y, w, h = geometry["inner"]
    x0, y0 = (min(resolution - 1, round(n * resolution / size)) for n in (x, y))
    x1, y1 = (round(n * resolution / size) for n in (x + w, y + h))
    return {**geometry, "inner": [x0, y0, max(1, x1 - x0), max(1, y1 - y0)]}


def resquared(
    picture: NDArray[np.uint8], old: dict[str, list[int]], new: dict[str, list[int]], resolution: int
) -> NDArray[np.uint8]:
    """A square picture uint8 [S, S] or [S, S, C] of a dataset -> uint8 [C, R, R], the film's part of it from where `old` says
    it is to where `new` does; as it stands where the sizes are the same."""
    if picture.shape[0] == resolution:
        return np.ascontiguousarray(picture[None] if picture.ndim == 2 else picture.transpose(2, 0, 1))
    x, y, w, h = old["inner"]
    part = {"film": [w, h], "crop": [0, 0, w, h], "inner": new["inner"]}
    return squared(picture[y : y + h, x : x + w], part, resolution)


def load_dataset(
    source: Path, run: Path | None, resolution: int, channels: int, start: str | None = None, end: str | None = None,
    labelled: bool = False, name: str = "dataset", like: dict[str, list[int]] | None = None, resumed: bool = False,
) -> Dataset:  # fmt: skip
    """The training pictures of a film, folder or zip, with their labels where asked; kept in `run` as bytes that are
    mapped into memory, and read from there the next time (run None: held in memory). like: a model's geometry at this
    resolution, which frames of its film are to have too. resumed: what was kept is taken though the source was touched since.

    Raises ShowError where the source is missing, unreadable, empty, of mixed shapes, or lacks the labels.
    """
    kind = kind_of(source)
    if kind == "film" and (labelled or channels == 4):
        given = "--cond" if labelled else "--channels 4"
        raise ShowError(Problem(str(source), f"is a film, and {given} was given", "a folder or zip of pictures"))
    asked = asked_of(source, resolution, channels, start, end, like)
    names: list[str] = []
    if kind == "film":
        total = survey_film(source).pictures
        pictures = film_pictures(source, channels, start, end)
    else:
        first, last = film_range(start, end, Fraction(24))
        names = picture_names(source)[first:last]
        total, pictures = len(names), read_pictures(source, names, channels)
    labels = label_table(source, names) if labelled else None
    if run is not None and (kept := kept_pictures(run, asked, name, resumed)) is not None:
        return Dataset(kept[0], kept[1], source.name, kind == "film", labels)
    told = None if kind == "film" else film_geometry(source)
    squares = squares_of(source, pictures, resolution, total, told, like)
    if run is None:
        geometry, images = gathered(source, squares)
    else:
        geometry, images = keep_pictures(run, source, squares, asked, name)
    return Dataset(images, geometry, source.name, kind == "film", labels)


def asked_of(
    source: Path, resolution: int, channels: int, start: str | None, end: str | None, like: dict[str, list[int]] | None = None
) -> dict[str, Any]:
    """What a run keeps beside its pictures, to know them again. Raises ShowError where the source is missing."""
    folder = kind_of(source) == "folder"
    names = picture_names(source) if folder else []
    return {"source": source.absolute().name, "bytes": picture_bytes(source, names), "mtime_ns": source.stat().st_mtime_ns,
            "resolution": resolution, "channels": channels, "start": start, "end": end} \
        | ({"pictures": len(names)} if folder else {}) | ({"like": like} if like else {})  # fmt: skip


def squares_of(
    source: Path, pictures: Iterator[NDArray[np.uint8]], resolution: int, total: int,
    told: dict[str, list[int]] | None = None, like: dict[str, list[int]] | None = None,
) -> Iterator[tuple[dict[str, list[int]], NDArray[np.uint8]]]:  # fmt: skip
    """(geometry, square uint8 [C, R, R]) of every picture, all of one shape. told: how a film lies in the pictures, where they
    are squares that were made of one. like: how frames of a film are to lie, where they have its shape. Raises ShowError."""
    progress = Progress(max(total, 1), "pictures read", sys.stderr)
    geometry: dict[str, list[int]] = {}
    shape: tuple[int, ...] = ()
    for count, picture in enumerate(pictures, 1):
        if not geometry:
            shape = picture.shape
            geometry = geometry_for(shape[1], shape[0], resolution)
            if like and shape[1] * like["film"][1] == shape[0] * like["film"][0]:
                geometry = like
            if told is not None:
                x, y, w, h = told["inner"]
                if shape[0] != shape[1] or max(x + w, y + h) > shape[0]:
                    given = f"has pictures of {shape[1]} x {shape[0]}, and {LABELS} says that the film lies at {told['inner']}"
                    raise ShowError(Problem(str(source), given, "the squares that cineml film dataset made"))
                geometry = resized(told, shape[0], resolution)
        elif picture.shape != shape:
            given = f"{picture.shape[1]} x {picture.shape[0]} (picture {count})"
            raise ShowError(Problem(str(source), f"mixes sizes: {given}", f"{shape[1]} x {shape[0]} as the first"))
        square = squared(picture, geometry, resolution) if told is None else resquared(picture, told, geometry, resolution)
        yield geometry, square
        progress.at(count)


def few(source: Path, count: int) -> ShowError:
    """The answer to a source without enough pictures."""
    return ShowError(Problem(str(source), f"holds {count} pictures", "at least 2", "another file or range"))


def gathered(
    source: Path, squares: Iterator[tuple[dict[str, list[int]], NDArray[np.uint8]]]
) -> tuple[dict[str, list[int]], NDArray[np.uint8]]:
    """Geometry and all squares in memory, uint8 [N, C, R, R]. Raises ShowError."""
    found = list(squares)
    if len(found) < 2:
        raise few(source, len(found))
    return found[0][0], np.stack([square for _, square in found])


def keep_pictures(
    run: Path, source: Path, squares: Iterator[tuple[dict[str, list[int]], NDArray[np.uint8]]], asked: dict[str, Any], name: str
) -> tuple[dict[str, list[int]], NDArray[np.uint8]]:
    """As `gathered`, by way of two files in the run folder, so that memory holds one picture at a time."""
    made = not run.exists()
    make_folder(run)
    part = run / f"{name}.u8.part"
    geometry: dict[str, list[int]] = {}
    count, shape = 0, (0,)
    try:
        with part.open("wb") as file:
            for found, square in squares:
                file.write(square.tobytes())
                geometry, count, shape = found, count + 1, square.shape
        if count < 2:
            raise few(source, count)
    except BaseException:
        part.unlink(missing_ok=True)
        if made:
            run.rmdir()
        raise
    os.replace(part, run / f"{name}.u8")
    facts = run / f"{name}.json.part"
    facts.write_text(json.dumps({"asked": asked, "geometry": geometry, "shape": [count, *shape]}) + "\n", encoding="utf-8")
    os.replace(facts, run / f"{name}.json")
    kept = kept_pictures(run, asked, name)
    assert kept is not None
    return kept[1], kept[0]


def kept_pictures(
    run: Path, asked: dict[str, Any], name: str, touched: bool = False
) -> tuple[NDArray[np.uint8], dict[str, list[int]]] | None:
    """(images mapped read-only, geometry) where the run folder keeps what is asked for, whole; else None. touched: though the
    source's time may be another."""
    try:
        facts = json.loads((run / f"{name}.json").read_text(encoding="utf-8"))
        shape = tuple(int(n) for n in facts["shape"])
        if touched:
            facts["asked"]["mtime_ns"] = asked["mtime_ns"]
        if facts["asked"] != asked or (run / f"{name}.u8").stat().st_size != int(np.prod(shape)):
            return None
        return np.memmap(run / f"{name}.u8", np.uint8, "r", shape=shape), facts["geometry"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


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
