"""An original and its stylised films, frame by frame beside one another, in the original's size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from player.show.problem import Problem, ShowError
from tools.film_dataset_source import Footage, order_notes
from tools.film_dataset_square import whole
from tools.style_steadiness import Shown

Picture = NDArray[np.uint8]
OTHER_SHAPE = 0.02


@dataclass(frozen=True)
class Stylised:
    """A stylised film. name: told apart from the others by it. first: the original's frame that its first frame shows."""

    name: str
    footage: Footage
    first: int


def stylised_of(found: Sequence[Footage], original: Footage, first: int, last: int, out: TextIO) -> tuple[Stylised, ...]:
    """Which frames of the original they show: all of them, or those from --start to --end. Raises ShowError."""
    problems, films = [], []
    for footage, name in zip(found, names_of(found), strict=True):
        (w, h), (ow, oh) = footage.size, original.size
        if abs(w / h / (ow / oh) - 1) > OTHER_SHAPE:
            allowed = f"{ow} x {oh}, or of that shape"
            problems.append(Problem(str(footage.path), f"is {w} x {h}, of another shape than the original", allowed))
        elif (w, h) != (ow, oh):
            print(f"{name}: {w} x {h}, measured in the original's {ow} x {oh}", file=out)
        if footage.frames == original.frames:
            films.append(Stylised(name, footage, 0))
        elif footage.frames == last - first:
            films.append(Stylised(name, footage, first))
        else:
            allowed = f"{original.frames}, as the original"
            allowed += f", or {last - first}, as from --start to --end" if last - first != original.frames else ""
            problems.append(Problem(str(footage.path), f"has {footage.frames} frame{'s' * (footage.frames != 1)}", allowed,
                                    "--start and --end of the part that was stylised"))  # fmt: skip
        if footage.files:
            for note in order_notes([p.name for p in footage.files]):
                print(f"{footage.path}: {note}", file=out)
    if problems:
        raise ShowError(problems)
    return tuple(films)


def names_of(found: Sequence[Footage]) -> list[str]:
    """What to call them: the file's or folder's name, with as much of the path before it as tells them apart."""
    paths = [f.path.absolute() for f in found]
    own = [p.name if f.files else p.stem for p, f in zip(paths, found, strict=True)]
    if len(set(own)) == len(own):
        return own
    longer = [f"{p.parent.name}/{name}" for p, name in zip(paths, own, strict=True)]
    return longer if len(set(longer)) == len(longer) else [f"{i}: {name}" for i, name in enumerate(own, 1)]


def frames_of(original: Footage, films: Sequence[Stylised], numbers: Sequence[int],
              guide: Stylised | None = None) -> Iterator[tuple[int, Shown]]:  # fmt: skip
    """(film frame, pictures) for increasing frames of the original, in the original's size. guide: whose flow is followed,
    where that is not the original. Raises ShowError where a frame cannot be read or is of another size than its film."""
    films = films if guide is None else [*films, guide]
    readers = [f.footage.read([n - f.first for n in numbers]) for f in films]
    for number, item in original.read(numbers):
        shown = upright(item, original, number)
        made = tuple(sized(upright(next(reader)[1], film.footage, number - film.first), original.size)
                     for film, reader in zip(films, readers, strict=True))  # fmt: skip
        yield number, Shown(shown, made) if guide is None else Shown(shown, made[:-1], made[-1])


def upright(item: object, footage: Footage, number: int) -> Picture:
    """A frame as uint8 [H, W, 3]. Raises ShowError."""
    picture = whole(item, footage.turns, False)
    if picture.shape[1::-1] != footage.size:
        where = str(item) if footage.files else f"{footage.path}: frame {number}"
        given = f"is {picture.shape[1]} x {picture.shape[0]}"
        raise ShowError(Problem(where, given, "{} x {} as the first".format(*footage.size)))
    return np.asarray(picture, np.uint8)


def sized(picture: Picture, size: tuple[int, int]) -> Picture:
    """In (width, height): means of areas where it is larger, cubic where it is smaller."""
    import cv2

    if picture.shape[1::-1] == size:
        return picture
    how = cv2.INTER_AREA if picture.shape[1] > size[0] else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, size, interpolation=how), np.uint8)
