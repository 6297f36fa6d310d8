"""The painting: read whatever it is saved as, without its frame, in the size and the positions in which it is used."""

from __future__ import annotations

import contextlib
import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from player.show.problem import Problem, ShowError
from tools.train_source import no_picture

Pixels = npt.NDArray[np.uint8]

LEAST_PX = 32  # of the shorter side: below, the engine's coarse levels have nothing to choose from
FEW_PX = 128  # below, the same strokes will be seen again and again: said, not refused
MOST_PX = 1 << 28
MOST_BYTES = 1 << 30
ALIKE = 0.1  # a painting this near to the frame's size is not resampled: its strokes stay as sharp as they are
FLAT = 2.0  # levels of 255: standard deviation below which nothing can be told apart
FRAME_LEVELS = 12  # levels of 255 within which a passe-partout is one colour, JPEG's noise included
MOST_FRAME = 0.25  # of a side
GUTTER_PX = 4  # between positions of the painting: no patch is taken across
POSITIONS = {1: ((0, 0),), 2: ((0, 0), (1, 0)), 4: ((0, 0), (0, 1), (1, 0), (1, 1))}  # (on its side, mirrored)
ALLOWED = "a picture of 8 or 16 bits a channel (PNG, JPEG, TIFF, WebP)"


@dataclass(frozen=True)
class Painting:
    """A painting. picture: uint8 [H, W, 3] sRGB. usable: bool [H, W], False where nothing is painted (transparent, between
    positions). sha256: of its file. notes: what was done to it, for the person."""

    picture: Pixels
    usable: npt.NDArray[np.bool_]
    sha256: str = ""
    notes: tuple[str, ...] = ()


def read_painting(path: Path) -> Painting:
    """The painting in a file. Raises ShowError for what is no picture, too small, too large, empty or of one colour."""
    from PIL import Image, UnidentifiedImageError

    where = str(path)
    notes: list[str] = []
    size = -1
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise ShowError(Problem(where, f"is {size >> 20} MiB", f"at most {MOST_BYTES >> 20} MiB"))
        data = path.read_bytes()
        with Image.open(io.BytesIO(data)) as image:
            if image.width * image.height > MOST_PX:
                raise ShowError(Problem(where, f"is {image.width}x{image.height}", f"at most {MOST_PX >> 20} million pixels"))
            picture, alpha = pixels_of(image, where, notes)
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError, SyntaxError, EOFError) as e:
        raise ShowError(Problem(where, f"cannot be read as a picture ({no_picture(e, size)})", ALLOWED)) from None
    usable = alpha >= 128
    if not usable.all():
        if not usable.any():
            raise ShowError(Problem(where, "is transparent everywhere", "a painting that can be seen"))
        notes.append(f"{1 - usable.mean():.0%} of it is transparent and not used")
        picture = filled(picture, usable)
    else:
        top, bottom, left, right = frame_around(picture)
        if top:
            picture = picture[top : picture.shape[0] - bottom, left : picture.shape[1] - right]
            usable = np.ones(picture.shape[:2], np.bool_)
            notes.append(f"a frame of one colour around it is left out ({left}, {top}, {right}, {bottom} pixels)")
    painting = Painting(np.ascontiguousarray(picture), usable, hashlib.sha256(data).hexdigest(), tuple(notes))
    return checked(painting, where)


def pixels_of(image: Any, where: str, notes: list[str]) -> tuple[Pixels, Pixels]:
    """(picture [H, W, 3] sRGB upright, alpha [H, W]) of an open Pillow image, uint8 both. Raises ShowError."""
    from PIL import Image, ImageOps

    if image.mode == "F":
        raise ShowError(Problem(where, "holds floating-point values", ALLOWED, "export it as PNG"))
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):  # 16 bits of grey, which Pillow would cut off at 255
        deep = np.asarray(image).astype(np.float32) * np.float32(255 / 65535)
        image = Image.fromarray(np.clip(np.rint(deep), 0, 255).astype(np.uint8))
        notes.append("its 16 bits of grey are taken as 8")
    image = in_srgb(image)
    rgba = np.asarray(image.convert("RGBA"), np.uint8)
    return np.ascontiguousarray(rgba[..., :3]), np.ascontiguousarray(rgba[..., 3])


def in_srgb(image: Any) -> Any:
    """A Pillow image with its own colour profile as sRGB; as it is where it has none, or one that cannot be used."""
    from PIL import ImageCms

    profile = image.info.get("icc_profile")
    if not profile or image.mode not in ("RGB", "RGBA", "CMYK", "L"):
        return image
    with contextlib.suppress(ImageCms.PyCMSError, OSError, ValueError, TypeError):
        own, srgb = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(image, own, srgb, outputMode="RGBA" if image.mode == "RGBA" else "RGB") or image
    return image


def checked(painting: Painting, where: str) -> Painting:
    """The painting, where an engine can work with it. Raises ShowError."""
    height, width = painting.picture.shape[:2]
    if min(height, width) < LEAST_PX or painting.usable.sum() < LEAST_PX**2:
        given = f"has {int(painting.usable.sum())} painted pixels ({width}x{height})"
        raise ShowError(Problem(where, given, f"at least {LEAST_PX}x{LEAST_PX}", "a larger scan"))
    spread = painting.picture[painting.usable].astype(np.float32).std(axis=0).max()
    if spread < FLAT:
        raise ShowError(Problem(where, "is of one colour: it has no strokes to paint with", "a painting"))
    if min(height, width) < FEW_PX:
        note = f"it is only {width}x{height}: the same strokes will be seen again and again"
        painting = replace(painting, notes=(*painting.notes, note))
    return painting


def painting_of(picture: npt.NDArray[np.uint8]) -> Painting:
    """A painting that is in memory: uint8 [H, W, 3], or [H, W] for grey. Raises ShowError."""
    rgb = np.repeat(picture[..., None], 3, axis=2) if picture.ndim == 2 else picture[..., :3]
    return checked(Painting(np.ascontiguousarray(rgb), np.ones(rgb.shape[:2], np.bool_)), "the painting")


def filled(picture: Pixels, usable: npt.NDArray[np.bool_]) -> Pixels:
    """The picture with the colour of the nearest usable pixel in all others, so that no unseen colour bleeds in where it is
    made smaller."""
    from scipy.ndimage import distance_transform_edt

    rows, columns = distance_transform_edt(~usable, return_distances=False, return_indices=True)
    return np.asarray(picture[rows, columns])


def frame_around(picture: Pixels) -> tuple[int, int, int, int]:
    """Rows and columns (top, bottom, left, right) of a frame of one colour on all four sides, as scans and book pages have;
    zeros where it has none: a sky that fills one side is part of the painting."""
    ground = np.median(np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]]), axis=0)
    off = np.abs(picture.astype(np.int16) - ground.astype(np.int16)).max(axis=2) > FRAME_LEVELS  # [H, W]
    rows, columns = np.flatnonzero(off.any(axis=1)), np.flatnonzero(off.any(axis=0))
    if not len(rows):
        return 0, 0, 0, 0
    height, width = off.shape
    sides = (int(rows[0]), height - 1 - int(rows[-1]), int(columns[0]), width - 1 - int(columns[-1]))
    if min(sides) < 2 or max(sides[:2]) > MOST_FRAME * height or max(sides[2:]) > MOST_FRAME * width:
        return 0, 0, 0, 0
    return sides


def scaled(painting: Painting, area_px: int, scale: float) -> Painting:
    """The painting in the size in which it is laid onto frames of area_px pixels: down to their area at most, times scale.
    It stays large enough for the engine."""
    import cv2

    height, width = painting.picture.shape[:2]
    factor = min(1.0, (area_px / (height * width)) ** 0.5)
    factor = (1.0 if 1 - factor < ALIKE else factor) * scale
    factor = max(factor, LEAST_PX / min(height, width))
    if factor == 1:
        return painting
    size = (max(LEAST_PX, round(width * factor)), max(LEAST_PX, round(height * factor)))
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    picture = np.asarray(cv2.resize(painting.picture, size, interpolation=how), np.uint8)
    usable = cv2.resize(painting.usable.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.99
    return replace(painting, picture=picture, usable=np.asarray(usable, np.bool_))


def in_positions(painting: Painting, turns: int) -> Painting:
    """The painting side by side with itself: 2: on its side too; 4: both mirrored too. A stroke of direction a is then there
    as a, a + 90 degrees, -a and 90 - a. Between the positions nothing is usable."""
    return replace(painting, picture=side_by_side(turned(painting.picture, turns)),
                   usable=side_by_side(turned(painting.usable, turns), empty=True))  # fmt: skip


def turned(plane: npt.NDArray[Any], turns: int) -> list[npt.NDArray[Any]]:
    """An array [H, W, ...] in its positions: as it is, on its side ([W, H, ...]), mirrored, mirrored on its side."""
    found = []
    for quarter, mirrored in POSITIONS[turns]:
        laid = np.rot90(plane) if quarter else plane
        found.append(laid[:, ::-1] if mirrored else laid)
    return found


def turned_angles(double: npt.NDArray[np.float32], turns: int) -> list[npt.NDArray[np.float32]]:
    """As `turned`, of double angles [H, W, 2] (cosine, sine), which turn with the picture: by 180 degrees for a quarter turn; a
    mirror exchanges the sign of the sine."""
    found = []
    for laid, (quarter, mirrored) in zip(turned(double, turns), POSITIONS[turns], strict=True):
        sign = np.array([-1 if quarter else 1, (-1 if quarter else 1) * (-1 if mirrored else 1)], np.float32)
        found.append(np.asarray(laid * sign, np.float32))
    return found


def side_by_side(parts: Sequence[npt.NDArray[Any]], empty: bool = False) -> npt.NDArray[Any]:
    """One, two or four arrays [H, W, ...] as one, a gutter between that repeats the border, or is 0 where empty."""
    if len(parts) == 1:
        return np.ascontiguousarray(parts[0])
    if len(parts) == 2:
        return joined(parts, 1, empty)
    return joined([joined(parts[:2], 1, empty), joined(parts[2:], 1, empty)], 0, empty)


def joined(parts: Sequence[npt.NDArray[Any]], axis: int, empty: bool) -> npt.NDArray[Any]:
    """Arrays beside (axis 1) or below (axis 0) one another."""
    other = max(p.shape[1 - axis] for p in parts)
    padded = []
    for at, part in enumerate(parts):
        pad = [(0, 0)] * part.ndim
        pad[1 - axis] = (0, other - part.shape[1 - axis])
        pad[axis] = (0, GUTTER_PX if at + 1 < len(parts) else 0)
        padded.append(np.pad(part, pad) if empty else np.pad(part, pad, mode="edge"))
    return np.ascontiguousarray(np.concatenate(padded, axis))
