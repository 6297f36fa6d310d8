"""How a film sits in a training square, and the one conversion that puts it there.

The transform is written down, {film, crop, inner} as models carry it (DESIGN section 6), so that the player undoes it.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from player.show.problem import Problem, ShowError
from tools.film_dataset_source import Footage, picture_of

Fit = Literal["pad", "squash", "crop"]
Rect = tuple[int, int, int, int]  # x, y, width, height
Pixels = NDArray[np.uint8]

_MATRICES = (1, 4, 5, 6, 7, 9)  # of ITU-T H.273, those that the scaler knows
_thread = threading.local()  # a scaler a thread: it keeps its tables from frame to frame


@dataclass(frozen=True)
class Square:
    """film: [w, h] upright, as stored. crop: the part of it that is used. inner: where that lies in the square, both in
    whole pixels; outside it is black. size: of the square."""

    film: tuple[int, int]
    crop: Rect
    inner: Rect
    size: int

    def geometry(self) -> dict[str, list[int]]:
        """As a checkpoint and the ONNX metadata carry it."""
        return {"film": list(self.film), "crop": list(self.crop), "inner": list(self.inner)}


def square_of(footage: Footage, bars: Rect, fit: Fit, size: int) -> Square:
    """pad: all of the picture, black beside it; squash: all of it, stretched over the square; crop: the largest centred
    square of it. bars: the picture without its bars. Pixels that are not square are reckoned with."""
    x, y, w, h = bars
    wide = w * footage.pixel_aspect  # in units of a pixel's height
    inner = (0, 0, size, size)
    if fit == "pad":
        scale = size / max(wide, Fraction(h))
        iw, ih = (min(size, max(1, round(side * scale))) for side in (wide, h))
        inner = ((size - iw) // 2, (size - ih) // 2, iw, ih)
    elif fit == "crop" and wide > h:
        kept = max(1, round(h / footage.pixel_aspect))
        x, w = x + (w - kept) // 2, kept
    elif fit == "crop":
        kept = max(1, round(wide))
        y, h = y + (h - kept) // 2, kept
    return Square(footage.size, (x, y, w, h), inner, size)


def stored_rect(rect: Rect, size: tuple[int, int], turns: int) -> Rect:
    """A rectangle of the upright picture in the picture as stored. size: [w, h] upright; turns: see Footage."""
    (x, y, w, h), (width, height) = rect, size
    return {0: (x, y, w, h), 1: (height - y - h, x, h, w), 2: (width - x - w, height - y - h, w, h),
            3: (y, width - x - w, h, w)}[turns]  # fmt: skip


def fitted(item: Any, square: Square, turns: int, grey: bool) -> Pixels:
    """The film's part of the square, uint8 [h, w] or [h, w, 3] sRGB, `inner` in size: area-averaged, as training and remap
    reduce a film, so that all see the same sharpness; enlarged by bicubic interpolation.

    item: an av.VideoFrame or the path of a picture. Raises ShowError where its size is not the film's.
    """
    frame = as_frame(item)
    width, height = square.film if turns % 2 == 0 else square.film[::-1]
    if (frame.width, frame.height) != (width, height):
        where, given = (str(item), "is") if isinstance(item, Path) else ("the film", "changes its size to")
        allowed = f"{width} x {height} as the first frame"
        raise ShowError(Problem(where, f"{given} {frame.width} x {frame.height}", allowed))
    crop = stored_rect(square.crop, square.film, turns)
    iw, ih = square.inner[2:] if turns % 2 == 0 else square.inner[:1:-1]
    reducing = iw <= crop[2] and ih <= crop[3]
    small = converted(cut(frame, crop), (iw, ih), "gray" if grey else "rgb24", "AREA" if reducing else "BICUBIC")
    return np.rot90(small, turns) if turns else small


def placed(picture: Pixels, square: Square) -> Pixels:
    """What `fitted` gave, in its place in the black square: uint8 [S, S] or [S, S, 3]."""
    x, y, w, h = square.inner
    if (w, h) == (square.size, square.size):
        return np.ascontiguousarray(picture)
    out = np.zeros((square.size, square.size, *picture.shape[2:]), np.uint8)
    out[y : y + h, x : x + w] = picture
    return out


def whole(item: Any, turns: int, grey: bool, deep: bool = False) -> NDArray[Any]:
    """A frame in its own size, upright: uint8 [h, w] or [h, w, 3] sRGB, uint16 where deep."""
    frame = as_frame(item)
    names = ("gray16le", "rgb48le") if deep else ("gray", "rgb24")
    picture = converted(frame, (frame.width, frame.height), names[0 if grey else 1], "BICUBIC")
    return np.ascontiguousarray(np.rot90(picture, turns)) if turns else picture


def luma(frame: Any, turns: int) -> Pixels:
    """A frame's brightness in its own size, upright: uint8 [h, w]."""
    return whole(frame, turns, True)


def as_frame(item: Any) -> Any:
    """An av.VideoFrame, of a picture file where it is a path. Raises ShowError."""
    if not isinstance(item, Path):
        return item
    import av

    return av.VideoFrame.from_ndarray(picture_of(item))


def cut(frame: Any, crop: Rect) -> Any:
    """The part of a frame, as a frame. 4:2:0 is cut in its planes where the edges are even; else by way of RGB."""
    x, y, w, h = crop
    if (x, y, w, h) == (0, 0, frame.width, frame.height):
        return frame
    import av

    even = not any(n % 2 for n in (x, y, w, h, frame.width, frame.height))
    if frame.format.name in ("yuv420p", "yuvj420p") and even:
        planes = frame.to_ndarray()  # [3 h / 2, w]: luma, then each chroma plane as h / 4 rows
        tall, wide = frame.height, frame.width
        chroma = planes[tall:].reshape(2, tall // 2, wide // 2)[:, y // 2 : (y + h) // 2, x // 2 : (x + w) // 2]
        joined = np.concatenate([planes[y : y + h, x : x + w].ravel(), chroma.ravel()]).reshape(h * 3 // 2, w)
        made = av.VideoFrame.from_ndarray(joined, format=frame.format.name)
        made.colorspace, made.color_range = frame.colorspace, frame.color_range
        return made
    rgb = converted(frame, (frame.width, frame.height), "rgb24", "BICUBIC")
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb[y : y + h, x : x + w]))


def converted(frame: Any, size: tuple[int, int], name: str, how: str) -> NDArray[Any]:
    """A frame scaled and as sRGB bytes, with the matrix and range that it was tagged with; untagged: limited range,
    BT.709 from 720 lines on and BT.601 below, as the player takes it. name: gray, rgb24, gray16le or rgb48le."""
    from av.video.reformatter import Interpolation, VideoReformatter

    scaler = getattr(_thread, "scaler", None)
    if scaler is None:
        scaler = _thread.scaler = VideoReformatter()
    source = frame.format.name
    full = frame.color_range == 2 or source.startswith(("yuvj", "rgb", "bgr", "gbr", "pal"))
    matrix = frame.colorspace if frame.colorspace in _MATRICES else 1 if frame.height >= 720 else 5
    flags = Interpolation[how] | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
    made = scaler.reformat(frame, *size, name, src_colorspace=5 if matrix == 6 else matrix, interpolation=flags,
                           src_color_range=2 if full else 1, dst_color_range=2, threads=1)  # fmt: skip
    picture: NDArray[Any] = made.to_ndarray()
    if source.startswith("gray") and not full:
        # The scaler takes every grey format for full range, whatever the stream says.
        top = np.iinfo(picture.dtype).max
        picture = np.clip(np.rint((picture / (top / 255) - 16) * (top / 219)), 0, top).astype(picture.dtype)
    return picture
