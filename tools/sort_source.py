"""What is sorted, one picture at a time: a folder, a zip, the frames of a film, or what a generator makes of latents."""

from __future__ import annotations

import csv
import hashlib
import io
import re
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from player.show.problem import Problem, ShowError
from tools.train_source import (
    film_geometry,
    film_pictures,
    film_range,
    kind_of,
    picture_names,
    read_pictures,
    survey_film,
)
from tools.whole_file import sha256_of

if TYPE_CHECKING:
    from tools.remap_generator import Source

Pixels = NDArray[np.uint8]
Kind = Literal["film", "folder", "zip", "latents"]
DRAWN_AT_ONCE = 4
TABLE = "frames.csv"
HUGE = 1e100


@dataclass(frozen=True)
class Pictures:
    """What is sorted. names: one each, no two alike. frames: film frames, int64 [N], or None where nothing tells them.
    read: gives the pictures in that order, each uint8 [h, w, 3]. sha256: of what was read, by file name."""

    kind: Kind
    names: tuple[str, ...]
    frames: NDArray[np.int64] | None
    read: Callable[[], Iterator[Pixels]]
    sha256: dict[str, str]

    def __len__(self) -> int:
        return len(self.names)


def pictures_at(path: Path, model: Source | None, start: str | None, end: str | None, every: int | None) -> Pictures:
    """The pictures of a folder, zip, film or latents file. model: draws latents. Raises ShowError."""
    if path.suffix.lower() == ".npz":
        return latent_pictures(path, model, start, end, every)
    kind = kind_of(path)
    if kind == "film":
        return film_frames(path, start, end, every)
    given = picture_names(path)
    if not given:
        raise ShowError(Problem(str(path), "holds no pictures", "PNG, JPEG, WebP, TIFF or BMP files"))
    first, last = film_range(start, end, Fraction(24))
    names = tuple(given[first:last:every or 1])
    if not names:
        raise ShowError(Problem("--start", f"is picture {first}", f"0 to {len(given) - 1}, before the end of {path}"))
    if path.is_dir():
        digest = hashlib.sha256()
        for name in names:
            digest.update(f"{name}\n{sha256_of(path / name)}\n".encode())
        hashes = {path.name: digest.hexdigest()}
    else:
        hashes = {path.name: sha256_of(path)}
    frames = frames_told(path, names)
    inner = (film_geometry(path) or {}).get("inner")  # a film's part of padded squares, which all else says nothing about it
    return Pictures(kind, names, frames_in(names) if frames is None else frames,
                    lambda: (within(p, inner) for p in read_pictures(path, names, 3)), hashes)


def within(picture: Pixels, inner: Sequence[int] | None) -> Pixels:
    """The rectangle `inner` [x, y, w, h] of a picture uint8 [h, w, 3]; all of one that it does not lie in."""
    if inner is None:
        return picture
    x, y, w, h = inner
    part = picture[y : y + h, x : x + w]
    return part if part.shape[:2] == (h, w) else picture


def frames_told(path: Path, names: tuple[str, ...]) -> NDArray[np.int64] | None:
    """The film frames by frames.csv, which `cineml film dataset` puts among its pictures; None where it is not there."""
    try:
        if path.is_dir():
            text = (path / TABLE).read_text(encoding="utf-8-sig")
        else:
            with zipfile.ZipFile(path) as archive:
                text = archive.read(TABLE).decode("utf-8-sig")
        known = {row["file"]: int(row["frame"]) for row in csv.DictReader(io.StringIO(text))}
        return np.array([known[name] for name in names], np.int64)
    except (OSError, KeyError, ValueError, TypeError, csv.Error, zipfile.BadZipFile, NotImplementedError, RuntimeError):
        return None  # a picture more, or another table of that name: the names are still there to tell


def frames_in(names: tuple[str, ...]) -> NDArray[np.int64] | None:
    """The film frames that file names tell: the last number of each; None where one has none or two are alike."""
    found = [re.findall(r"\d+", Path(n).stem) for n in names]
    if not all(f and len(f[-1]) <= 12 for f in found):
        return None
    frames = np.array([int(f[-1]) for f in found], np.int64)
    return frames if len(np.unique(frames)) == len(frames) else None


def film_frames(path: Path, start: str | None, end: str | None, every: int | None) -> Pictures:
    """Every so manieth frame of a film, one a second where nobody says. The film is read once to its end to count them."""
    import av

    from player.sources.film_reader import probe_film

    try:
        with av.open(str(path)):
            pass  # whether it is a film at all: what sort takes besides is said here
    except (av.FFmpegError, OSError) as error:
        raise ShowError(Problem(str(path), f"cannot be read as a picture or film ({error})", "a folder or zip of pictures, "
                                "a film, latents.npz or features.npy")) from None  # fmt: skip
    rate, count, _, _ = probe_film(path)
    first, last = film_range(start, end, rate)
    step = every or max(1, round(rate))
    frames = np.arange(first, min(count if last is None else last, count), step, dtype=np.int64)
    if not len(frames):
        raise ShowError(Problem("--start", f"is frame {first}", f"0 to {count - 1}, before the end of {path}"))
    channels = survey_film(path).channels

    def read() -> Iterator[Pixels]:
        seen = 0
        for i, picture in enumerate(film_pictures(path, channels, f"{first}f", f"{int(frames[-1]) + 1}f")):
            if i % step == 0:
                seen += 1
                yield picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2)
        if seen < len(frames):
            raise ShowError(Problem(str(path), f"ends after {seen} of {len(frames)} frames", "a whole film", "--end"))

    return Pictures("film", tuple(f"f{n:06d}" for n in frames), frames, read, {path.name: sha256_of(path)})


def latent_pictures(path: Path, model: Source | None, start: str | None, end: str | None, every: int | None) -> Pictures:
    """What the generator makes of latents.npz, its film's part of the square. Raises ShowError."""
    if model is None:
        raise ShowError(Problem(str(path), "holds latents, and no --model is given to draw them", "the model that they are of",
                                f"cineml sort {path} --model run/checkpoint"))  # fmt: skip
    import torch

    from tools.sample_latents import read_latents
    from tools.sample_render import Truncation, conditions, in_batches, over_ground, synthesised, ws_of

    generator = model.generator
    latents = read_latents(str(path), generator.config)
    first, last = film_range(start, end, Fraction(24))
    chosen = np.arange(len(latents))[first:last:every or 1]
    if not len(chosen):
        raise ShowError(Problem("--start", f"is latent {first}", f"0 to {len(latents) - 1}"))
    c = conditions(latents, generator.config, None)
    device = next(generator.parameters()).device
    inner = model.geometry.get("inner")

    def read() -> Iterator[Pixels]:
        for at in in_batches(len(chosen), DRAWN_AT_ONCE):
            rows = chosen[at]
            values = torch.from_numpy(latents.values[rows]).to(device)
            given = None if c is None else torch.from_numpy(c[rows]).to(device)
            for pixels in synthesised(generator, ws_of(generator, values, given, Truncation()), "const", device):
                picture = over_ground(pixels)
                yield within(picture, inner)

    names = tuple(latents.names[int(i)] for i in chosen)
    frames = None if latents.frames is None else latents.frames[chosen]
    return Pictures("latents", names, frames, read, {path.name: sha256_of(path)})


def read_features(path: Path, count: int | None = None) -> NDArray[np.float64]:
    """Features [n, d] from a .npy, finite; count: how many there must be. Raises ShowError."""
    wanted = "an array [n, d] of finite numbers, one row a picture"
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(found, np.ndarray):
            raise ValueError("an archive of several arrays")
    except (OSError, ValueError, EOFError, SyntaxError, TypeError, MemoryError) as e:
        reason = str(e).splitlines()[0] if str(e) else type(e).__name__
        raise ShowError(Problem(str(path), f"cannot be read ({reason})", f"{wanted}, as .npy without pickles")) from None
    if found.ndim != 2 or found.dtype.kind not in "fiub" or not found.shape[0] or not found.shape[1]:
        raise ShowError(Problem(str(path), f"is {found.dtype} {list(found.shape)}", wanted))
    if count is not None and len(found) != count:
        raise ShowError(Problem(str(path), f"has {len(found)} rows, there are {count} pictures", wanted))
    values = np.array(found, np.float64)
    finite = np.isfinite(values).all(axis=1)
    if not finite.all():
        raise ShowError(Problem(str(path), f"is not finite in row {int(np.argmin(finite))}", wanted))
    most = float(np.abs(values).max())
    return values / most if most > HUGE else values  # only how far they lie apart counts, and squares of these are not finite
