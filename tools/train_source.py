"""Pictures to train on, one at a time, from a film, a folder or a zip, and the labels that may lie beside them.

A zip or folder may hold `dataset.json`, as the StyleGAN tools write it: {"labels": [["00000/img00000.png", 3], ...]},
each label a class number or a list of numbers. Of a dataset that `cineml film dataset` made, it also says how the film lies in
the pictures. Nothing is extracted; sizes are checked before anything is decoded.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from numpy.typing import NDArray

from player.show.film import parse_timecode
from player.show.problem import Problem, ShowError

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
LABELS = "dataset.json"
OWN = "cineml"  # the key in dataset.json that the StyleGAN tools do not read
MODES = {1: "L", 3: "RGB", 4: "RGBA"}
MOST_PICTURE_BYTES, MOST_PIXELS, MOST_LABEL_BYTES = 256 << 20, 1 << 26, 256 << 20
MOST_CLASSES = 4096
LOOKED_AT = 24  # pictures that are looked at to tell grey from colour
Kind = Literal["film", "folder", "zip"]


@dataclass(frozen=True)
class Survey:
    """What a source holds, from a quick look: kind, size of its pictures in pixels, 1 (grey), 3 (colour) or 4 (with alpha)
    channels, and how many there are (a film: as its head says, 0 where it does not). rate: frames a second, of a folder 24."""

    kind: Kind
    width: int
    height: int
    channels: int
    pictures: int
    rate: Fraction = Fraction(24)


def kind_of(path: Path) -> Kind:
    """film, folder or zip. Raises ShowError where there is nothing."""
    if not path.exists():
        raise ShowError(Problem(str(path), "does not exist", "a film, a folder of pictures, or a zip of them"))
    if path.is_dir():
        return "folder"
    return "zip" if path.suffix.lower() == ".zip" or zipfile.is_zipfile(path) else "film"


def survey(path: Path) -> Survey:
    """A quick look at a source: a film's key frames, or some pictures spread over a folder or zip. Raises ShowError."""
    kind = kind_of(path)
    if kind == "film":
        return survey_film(path)
    names = picture_names(path)
    if not names:
        raise ShowError(Problem(str(path), "holds no pictures", ", ".join(PICTURES)))
    at = np.unique(np.linspace(0, len(names) - 1, LOOKED_AT).astype(int))
    looked = list(read_pictures(path, [names[i] for i in at], 4))
    height, width = looked[0].shape[:2]
    colour = 3 if any(coloured(p[..., :3]) for p in looked) else 1
    alpha = any(p[..., 3].min() < 255 for p in looked)  # an alpha that hides nothing is none
    return Survey(kind, width, height, 4 if alpha else colour, len(names))


def survey_film(path: Path) -> Survey:
    """`survey` of a film. Only key frames are decoded, and of those some."""
    import av

    seen, colour = 0, False
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise ShowError(Problem(str(path), "has no picture", "a film that FFmpeg can read"))
            stream = container.streams.video[0]
            stream.codec_context.skip_frame = "NONKEY"
            for frame in container.decode(stream):
                colour = colour or coloured(np.asarray(frame.to_ndarray(format="rgb24"), np.uint8))
                seen += 1
                if colour or seen >= LOOKED_AT:
                    break
            count, width, height = stream.frames, stream.width, stream.height
            rate = Fraction(stream.average_rate or 24)
    except (av.FFmpegError, OSError) as error:
        raise ShowError(Problem(str(path), f"cannot be read as a film ({error})", "a film that FFmpeg can read")) from None
    return Survey("film", width, height, 3 if colour else 1, count, rate)


def coloured(picture: NDArray[np.uint8]) -> bool:
    """Whether more than 0.5 % of a picture uint8 [h, w, 3] is visibly not grey."""
    spread = picture.max(axis=2).astype(int) - picture.min(axis=2)  # [h, w]
    return bool((spread > 12).mean() > 0.005)


def film_pictures(path: Path, channels: int, start: str | None, end: str | None) -> Iterator[NDArray[np.uint8]]:
    """Frames [start, end) of a film as uint8 [h, w] (channels 1) or [h, w, 3], upright. Every frame comes, black and still
    ones too: a frame's number is its place in time. Raises ShowError."""
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
                    picture = np.asarray(frame.to_ndarray(format="gray" if channels == 1 else "rgb24"), np.uint8)
                    yield np.rot90(picture, turns) if (turns := round(frame.rotation / 90) % 4) else picture
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
    """The pictures directly in a folder in order of name, as uint8 [h, w] or [h, w, 3 or 4]. Raises ShowError."""
    names = sorted(p.name for p in path.iterdir() if p.suffix.lower() in PICTURES)
    return read_pictures(path, names, channels)


def picture_names(path: Path) -> list[str]:
    """Names of the pictures of a folder (those in folders within it too) or zip, sorted, with / between folders.
    Raises ShowError."""
    if path.is_dir():
        found = (p for p in path.rglob("*") if p.suffix.lower() in PICTURES and p.is_file())
        return sorted(p.relative_to(path).as_posix() for p in found if not p.name.startswith("."))
    with opened_zip(path) as archive:
        names = (i.filename for i in archive.infolist() if not i.is_dir())
        kept = (n for n in names if Path(n).suffix.lower() in PICTURES and not Path(n).name.startswith("."))
        return sorted(n for n in kept if "__MACOSX" not in n)


def picture_bytes(path: Path, names: Sequence[str]) -> int:
    """What the named pictures of a folder, or a zip or film, take on disk: of a copy the same. Raises ShowError."""
    if not path.is_dir():
        return path.stat().st_size
    return sum((path / name).stat().st_size for name in names)


def read_pictures(path: Path, names: Sequence[str], channels: int) -> Iterator[NDArray[np.uint8]]:
    """The named pictures of a folder or zip as uint8 [h, w] (channels 1) or [h, w, 3 or 4]. Raises ShowError."""
    if path.is_dir():
        for name in names:
            size = (path / name).stat().st_size
            yield decoded(f"{path / name}", size, lambda n=name: (path / n).open("rb"), channels)  # type: ignore[misc]
        return
    with opened_zip(path) as archive:
        for name in names:
            info = archive.getinfo(name)
            if info.flag_bits & 1:
                raise ShowError(Problem(f"{path}: {name}", "is encrypted", "a zip without password"))
            yield decoded(f"{path}: {name}", info.file_size, lambda i=info: BytesIO(archive.read(i)), channels)  # type: ignore[misc]


def decoded(where: str, size: int, open_it: Callable[[], IO[bytes]], channels: int) -> NDArray[np.uint8]:
    """One picture from a file of `size` bytes, opened only after its size was checked. Raises ShowError."""
    from PIL import Image, UnidentifiedImageError

    if size > MOST_PICTURE_BYTES:
        raise ShowError(Problem(where, f"is {size >> 20} MiB", f"at most {MOST_PICTURE_BYTES >> 20} MiB a picture"))
    try:
        with open_it() as file, Image.open(file) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                given = f"is {picture.width} x {picture.height}"
                raise ShowError(Problem(where, given, f"at most {MOST_PIXELS >> 20} million pixels"))
            if picture.mode.startswith("I"):  # 16 bits of grey, which Pillow would cut off at 255
                deep = np.asarray(picture).astype(np.float32) * np.float32(255 / 65535)
                grey = Image.fromarray(np.clip(np.rint(deep), 0, 255).astype(np.uint8))
                return np.asarray(grey.convert(MODES[channels]))
            return np.asarray(picture.convert(MODES[channels]))
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError, SyntaxError,
            NotImplementedError, zipfile.BadZipFile, EOFError) as error:  # fmt: skip
        raise ShowError(Problem(where, f"cannot be read as a picture ({no_picture(error, size)})")) from None


def no_picture(error: Exception, size: int) -> object:
    """Why a file of `size` bytes cannot be read as a picture, for a person. error: Pillow's."""
    from PIL import UnidentifiedImageError

    if size == 0:
        return "it is empty, 0 bytes"
    if isinstance(error, UnidentifiedImageError):
        return "it is none, or of a kind that is not known here"
    return (isinstance(error, OSError) and error.strerror) or error


def opened_zip(path: Path) -> zipfile.ZipFile:
    """The zip, open. Raises ShowError."""
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, NotImplementedError) as error:
        raise ShowError(Problem(str(path), f"cannot be read as a zip ({error})", "a whole zip file")) from None


def label_table(path: Path, names: Sequence[str]) -> NDArray[np.float32]:
    """Labels float32 [N, c_dim] of the named pictures from dataset.json; class numbers become one-hot rows.

    Raises ShowError where there is no such file, or it does not give one valid label to every picture.
    """
    where = f"{path}: {LABELS}"
    given = read_labels(path)
    if missing := [n for n in names if n not in given]:
        raise ShowError(Problem(where, f"has no label for {len(missing)} pictures, the first is {missing[0]}", "one each"))
    values = [given[n] for n in names]
    if all(isinstance(v, int) and not isinstance(v, bool) for v in values):
        if min(values) < 0 or max(values) >= MOST_CLASSES:
            raise ShowError(Problem(where, f"has classes {min(values)} to {max(values)}", f"0 to {MOST_CLASSES - 1}"))
        return np.eye(max(values) + 1, dtype=np.float32)[values]  # [N, c_dim]
    try:
        table = np.asarray(values, np.float32)
    except (ValueError, TypeError):
        table = np.zeros(0, np.float32)
    if table.ndim != 2 or not 1 <= table.shape[1] <= MOST_CLASSES or not np.isfinite(table).all():
        raise ShowError(Problem(where, "mixes kinds of labels", "whole numbers, or finite vectors of one length"))
    return table  # [N, c_dim]


def described(path: Path) -> bytes | None:
    """dataset.json of a folder or zip, None where there is none. Raises ShowError."""
    where = f"{path}: {LABELS}"
    if path.is_dir():
        file = path / LABELS
        if not file.is_file():
            return None
        size = file.stat().st_size
        raw = file.read_bytes() if size <= MOST_LABEL_BYTES else b""
    else:
        with opened_zip(path) as archive:
            if LABELS not in archive.namelist():
                return None
            size = archive.getinfo(LABELS).file_size
            try:
                raw = archive.read(LABELS) if size <= MOST_LABEL_BYTES else b""
            except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, EOFError) as error:
                raise ShowError(Problem(where, f"cannot be read ({error})")) from None
    if size > MOST_LABEL_BYTES:
        raise ShowError(Problem(where, f"is {size >> 20} MiB", f"at most {MOST_LABEL_BYTES >> 20} MiB"))
    return raw


def film_geometry(path: Path) -> dict[str, list[int]] | None:
    """How a film lies in the pictures of a folder or zip, {film, crop, inner} in whole pixels, inner in those of the pictures;
    None where dataset.json does not say. Raises ShowError where it says nonsense."""
    try:
        told = json.loads(described(path) or b"{}")[OWN]["geometry"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None  # another tool's, or none: labels, where they are wanted, are complained of elsewhere
    try:
        found = {name: [int(n) for n in told[name]] for name in ("film", "crop", "inner")}
        (fw, fh), (cx, cy, cw, ch), (x, y, w, h) = found["film"], found["crop"], found["inner"]
        inside = min(cx, cy, x, y) >= 0 and min(cw, ch, w, h) > 0 and cx + cw <= fw and cy + ch <= fh
        if not inside or found != told:
            raise ValueError
    except (ValueError, TypeError, KeyError, OverflowError):
        given = f"says nonsense of how the film lies in the pictures: {told!r:.120}"
        raise ShowError(Problem(f"{path}: {LABELS}", given, "what cineml film dataset writes")) from None
    return found


def read_labels(path: Path) -> dict[str, Any]:
    """dataset.json of a folder or zip as {picture: label}. Raises ShowError."""
    where = f"{path}: {LABELS}"
    raw = described(path)
    if raw is None:
        raise ShowError(Problem(str(path), f"has no {LABELS}", "labels, which --cond needs", "leave --cond away"))
    try:
        labels = json.loads(raw)["labels"]
        return {str(name).replace("\\", "/"): label for name, label in labels}
    except (ValueError, TypeError, KeyError, RecursionError):
        raise ShowError(Problem(where, "holds no labels", '{"labels": [["name.png", 0], ...]}', "leave --cond away")) from None
