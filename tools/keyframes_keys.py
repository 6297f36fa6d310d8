"""The painted keys and the masks of a film: which frame each belongs to, and their pixels as the film has them.

Files are only ever read: a key of another size is resized in memory, one with transparent parts is laid over something.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from player.show.problem import Problem, ShowError
from tools.film_dataset_source import Footage
from tools.train_source import MOST_PICTURE_BYTES, MOST_PIXELS, PICTURES, no_picture

Pixels = NDArray[np.uint8]
MOST_KEYS = 100_000
CLEAR = 250  # an alpha above this hides nothing
CLEAR_SHARE = 1e-3  # of a picture's pixels may be below it
UNPAINTED = 1.5  # levels of 255: a key that is nearer to the film's own frame has not been painted
OTHER_SHAPE = 0.02
NAMED = 6  # files in a message; more are counted
LISTED = 12  # keys whose frames are said one by one
MOST_DIGITS = 12  # of a number in a name
PADDED = 4  # digits: a number as long that begins with 0 is one of a row
FRAME_WORD = re.compile(r"(?:^|[^a-z])f(?:rames?|r|rm)?[ ._-]?$", re.IGNORECASE)  # before a number: it is a frame's
COPY = re.compile(r"(?:(?:^|[^a-z])(?:v|ver|version|copy|take)[ ._-]?|\()$", re.IGNORECASE)  # before one: it is none
DATE = re.compile(r"(?:19|20)[0-9]{2}[-_.](?:0[1-9]|1[0-2])[-_.](?:0[1-9]|[12][0-9]|3[01])(?![0-9])")


@dataclass(frozen=True)
class Named:
    """A picture file and its film frame. how: name (of the frame's file), number, or picture (what it shows)."""

    path: Path
    frame: int
    how: str = "number"


def pictures_in(folder: Path, option: str) -> list[Path]:
    """The picture files directly in a folder, by name. Raises ShowError where there are none."""
    what = {"--keys": "a folder of painted frames",
            "--result": "a folder of the propagated frames"}.get(option, "a folder of masks")  # fmt: skip
    if not folder.exists():
        raise ShowError(Problem(f"{option} {folder}", "does not exist", what))
    if not folder.is_dir():
        raise ShowError(Problem(f"{option} {folder}", "is a file", what, f"{option} {folder.parent}"))
    try:
        found = sorted(p for p in folder.iterdir() if p.suffix.lower() in PICTURES and not p.name.startswith("."))
    except OSError as e:
        raise ShowError(Problem(f"{option} {folder}", f"cannot be read ({e.strerror})", what)) from None
    if not found:
        raise ShowError(Problem(f"{option} {folder}", "holds no pictures", f"{what}, {', '.join(PICTURES)}"))
    if len(found) > MOST_KEYS:
        raise ShowError(Problem(f"{option} {folder}", f"holds {len(found)} pictures", f"at most {MOST_KEYS}"))
    return found


def numbers_in(stem: str, varying: Collection[int] = ()) -> list[int]:
    """The whole numbers in a name, the likeliest to be a frame's first: behind the word frame or f; padded with zeros; at one
    of the places that are `varying` between names (the first number is at 0); no part of a date, no count of copies; then the
    longest, the last of equal ones: '000300_v2' is 300, then 2."""
    dates = [m.span() for m in DATE.finditer(stem)]
    found = []
    for place, m in enumerate(re.finditer("[0-9]+", stem)):
        if len(m[0]) > MOST_DIGITS:
            continue
        before = stem[: m.start()]
        other = COPY.search(before) is not None or any(a <= m.start() < b for a, b in dates)
        padded = len(m[0]) >= PADDED and m[0][0] == "0"
        likely = (FRAME_WORD.search(before) is not None, padded, place in varying and not other, not other)
        found.append((likely, len(m[0]), m.start(), int(m[0])))
    return [number for *_, number in sorted(found, reverse=True)]


def varying_in(stems: Sequence[str]) -> dict[str, set[int]]:
    """The places of numbers that are not the same in all names, by what the names share: 'day2_24', 'day2_48' differ at 1."""
    alike: dict[str, list[list[str]]] = {}
    for stem in stems:
        alike.setdefault(re.sub("[0-9]+", "#", stem), []).append(re.findall("[0-9]+", stem))
    return {shared: {at for at, column in enumerate(zip(*rows, strict=True)) if len(set(column)) > 1}
            for shared, rows in alike.items()}  # fmt: skip


def numbering(footage: Footage) -> tuple[Mapping[str, int], Mapping[int, int]]:
    """(frame by the name of its file, frame by number). A folder's frames have the numbers in their names, where all have
    one and no two the same; a film's are counted from 0."""
    if footage.kind != "folder":
        return {}, {n: n for n in range(footage.frames)}
    names = {f.stem: i for i, f in enumerate(footage.files)}
    own = [numbers_in(f.stem)[:1] for f in footage.files]
    numbers = {n[0]: i for i, n in enumerate(own) if n}
    return names, numbers if len(numbers) == footage.frames else {n: n for n in range(footage.frames)}


def by_name(paths: Sequence[Path], footage: Footage) -> tuple[list[Named], list[Path]]:
    """(those whose name says a frame of the film, the others)."""
    names, numbers = numbering(footage)
    varying = varying_in([p.stem for p in paths])
    named, others = [], []
    for path in paths:
        places = varying[re.sub("[0-9]+", "#", path.stem)]
        number = next((n for n in numbers_in(path.stem, places) if n in numbers), None)
        if path.stem in names:
            named.append(Named(path, names[path.stem], "name"))
        elif number is not None:
            named.append(Named(path, numbers[number]))
        else:
            others.append(path)
    return named, others


def twice(found: Sequence[Named], option: str) -> list[Problem]:
    """Where two files are of one frame."""
    problems = []
    for frame, count in Counter(n.frame for n in found).items():
        if count > 1:
            files = ", ".join(n.path.name for n in found if n.frame == frame)
            where = f"{option} {found[0].path.parent}"
            problems.append(Problem(where, f"{files} are all of frame {frame}", "one for each frame"))
    return problems


def masks_of(folder: Path, footage: Footage, option: str) -> tuple[list[Named], list[str]]:
    """The masks that belong to frames, and what a person should know. Raises ShowError."""
    found, others = by_name(pictures_in(folder, option), footage)
    if wrong := twice(found, option):
        raise ShowError(wrong)
    if not found:
        given = "holds no mask whose name says a frame of the film"
        raise ShowError(Problem(f"{option} {folder}", given, "000300.png for frame 300"))
    said = [f"{counted(others, 'mask')} of no frame of the film: left out"] if others else []
    return found, said


def frames_note(keys: Sequence[Named]) -> str:
    """Which file is taken for which frame: a wrong guess is to be seen before the work, not in it."""
    some = ", ".join(f"{k.path.name} is frame {k.frame}" for k in keys[:LISTED])
    return f"keys: {some}" + (f", and {len(keys) - LISTED} more" if len(keys) > LISTED else "")


def counted(paths: Sequence[Path], what: str) -> str:
    """'2 keys (a.png, b.png) are' for a sentence."""
    some = ", ".join(p.name for p in paths[:NAMED]) + (", ..." if len(paths) > NAMED else "")
    return f"{len(paths)} {what}{'s' if len(paths) != 1 else ''} ({some}) {'are' if len(paths) != 1 else 'is'}"


# --- pixels


def read_rgba(path: Path) -> Pixels:
    """uint8 [H, W, 4], upright as a camera's or scanner's file says. Raises ShowError."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    size = -1
    try:
        size = path.stat().st_size
        if size > MOST_PICTURE_BYTES:
            raise ShowError(Problem(str(path), f"is {size >> 20} MiB", f"at most {MOST_PICTURE_BYTES >> 20} MiB a picture"))
        with Image.open(path) as image:
            if image.width * image.height > MOST_PIXELS:
                given = f"is {image.width} x {image.height}"
                raise ShowError(Problem(str(path), given, f"at most {MOST_PIXELS >> 20} million pixels"))
            if image.mode == "F":  # whose white may be 1, 255 or anything else
                raise ShowError(Problem(str(path), "holds floating-point values", "PNG, TIFF, JPEG of 8 or 16 bits a channel",
                                        "export it as PNG"))  # fmt: skip
            if image.mode.startswith("I"):  # 16 bits of grey, which Pillow would cut off at 255
                deep = np.asarray(ImageOps.exif_transpose(image)).astype(np.float32) * np.float32(255 / 65535)
                grey = Image.fromarray(np.clip(np.rint(deep), 0, 255).astype(np.uint8))
                return np.asarray(grey.convert("RGBA"), np.uint8)
            return np.asarray(ImageOps.exif_transpose(image).convert("RGBA"), np.uint8)
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError, SyntaxError, EOFError) as e:
        given = f"cannot be read as a picture ({no_picture(e, size)})"
        raise ShowError(Problem(str(path), given, "PNG, TIFF, JPEG", "save it again")) from None


def size_of(path: Path) -> tuple[int, int]:
    """Width and height, upright. Raises ShowError."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            turned = image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
            return (image.height, image.width) if turned else (image.width, image.height)
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError, SyntaxError, EOFError) as e:
        raise ShowError(Problem(str(path), f"cannot be read as a picture ({e})", "PNG, TIFF, JPEG", "save it again")) from None


def resized(picture: Pixels, size: tuple[int, int], nearest: bool = False) -> Pixels:
    """uint8 [H, W(, C)] as [size[1], size[0](, C)]. Colours under a transparent part do not bleed out of it."""
    from PIL import Image

    if picture.shape[1::-1] == size:
        return picture
    reducing = picture.shape[1] >= size[0] and picture.shape[0] >= size[1]
    how = Image.Resampling.NEAREST if nearest else Image.Resampling.LANCZOS if reducing else Image.Resampling.BICUBIC
    image = Image.fromarray(picture)  # RGBA is weighted by its alpha in Pillow when it is RGBa
    if image.mode == "RGBA" and not nearest:
        return np.asarray(image.convert("RGBa").resize(size, how).convert("RGBA"), np.uint8)
    return np.asarray(image.resize(size, how), np.uint8)


def has_alpha(picture: Pixels) -> bool:
    """Whether an RGBA picture hides anything."""
    return bool((picture[..., 3] < CLEAR).mean() > CLEAR_SHARE)


def laid(picture: Pixels, alpha: str, film: Callable[[], Pixels]) -> tuple[Pixels, Pixels | None]:
    """(key uint8 [H, W, 3], its alpha [H, W] where that is to be the mask). picture: RGBA of the film's size. alpha: film,
    mask, white or black. film: gives the film's own frame."""
    if not has_alpha(picture):
        return np.ascontiguousarray(picture[..., :3]), None
    under = film() if alpha in ("film", "mask") else np.full_like(picture[..., :3], 255 if alpha == "white" else 0)
    share = picture[..., 3:].astype(np.float32) / 255
    both = under + share * (picture[..., :3].astype(np.float32) - under)
    key = np.clip(np.rint(both), 0, 255).astype(np.uint8)
    return key, np.ascontiguousarray(picture[..., 3]) if alpha == "mask" else None


def read_content(path: Path, times: int = 1) -> tuple[Pixels, Pixels | None]:
    """(a picture that is to be painted, uint8 [H, W, 3] upright, its alpha [H, W] where it hides anything), at so many times
    its size. What lies under a transparent part is white. Raises ShowError."""
    rgba = read_rgba(path)
    rgba = resized(rgba, (times * rgba.shape[1], times * rgba.shape[0]))
    picture, _ = laid(rgba, "white", lambda: rgba[..., :3])
    return picture, np.ascontiguousarray(rgba[..., 3]) if has_alpha(rgba) else None


def read_key(path: Path, size: tuple[int, int], alpha: str, film: Callable[[], Pixels]) -> tuple[Pixels, Pixels | None]:
    """`laid` of a file, resized to the film's [w, h]. Raises ShowError."""
    return laid(resized(read_rgba(path), size), alpha, film)


def read_mask(path: Path, size: tuple[int, int], soft: bool = False) -> Pixels:
    """uint8 [H, W] of the film's size: how light it is, where it is not transparent. soft: whether one of another size has its
    edges smoothed. Raises ShowError."""
    picture = read_rgba(path)
    grey = np.rint(picture[..., :3].astype(np.float32).mean(axis=2) * (picture[..., 3] / np.float32(255)))  # [H, W]
    return resized(grey.astype(np.uint8), size, nearest=not soft)


def is_unpainted(key: Pixels, frame: Pixels) -> bool:
    """Whether a key uint8 [H, W, 3] is the film's own frame: nobody has painted on it."""
    return float(np.abs(key.astype(np.int16) - frame).mean()) < UNPAINTED


def size_notes(found: Sequence[Named], size: tuple[int, int], what: str) -> list[str]:
    """One line where pictures are of another size, one where they are of another shape. Raises ShowError."""
    sizes = {n.path: size_of(n.path) for n in found}
    others = [p for p, s in sizes.items() if s != size]
    if not others:
        return []
    known = Counter(sizes[p] for p in others)
    told = ", ".join(f"{w}x{h}" for (w, h), _ in known.most_common(3)) + (" and other sizes" if len(known) > 3 else "")
    said = [f"{len(others)} of {len(found)} {what} have another size than the film ({told}): resized to {size[0]}x{size[1]} as "
            "they are read; the files stay as they are"]  # fmt: skip
    shape = size[0] / size[1]
    odd = [p for p in others if abs(sizes[p][0] / sizes[p][1] / shape - 1) > OTHER_SHAPE]
    if odd:
        said.append(f"{counted(odd, what.rstrip('s'))} of another shape than the film, and stretched to it")
    return said
