"""A film's frames for cut detection: all of them, small, as luma and chroma; some of them, larger, for the eye.

Nothing here is exact in colour. The reduction happens in the decoder's own planes (libav's scaler, area-averaged), which is
what makes 600 frames a second possible: a full picture is never turned into RGB.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from player.show.film import parse_rate
from player.show.problem import Problem, ShowError
from tools.film_dataset_source import frame_files
from tools.train_source import PICTURES, film_range, kind_of, picture_names, read_pictures

LONG_SIDE_PX = 96  # of the reduced frames; measured: 64 loses cuts between title cards, 128 finds none more
Pixels = NDArray[np.uint8]
Tick = Callable[[int], object]


@dataclass(frozen=True)
class FilmSource:
    """What is looked at. names: of the pictures, where it is a folder or zip; else empty.

    rate: frames a second, exact. frames: the whole film's. width, height: as a viewer sees it.
    """

    path: Path
    rate: Fraction
    frames: int
    width: int
    height: int
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reduced:
    """Film frames [first, first + N), small.

    luma: uint8 [N, h, w], 16 black, 235 white. chroma: uint8 [N, 2, h/2, w/2], 128 grey.
    """

    luma: Pixels
    chroma: Pixels
    first: int

    def __len__(self) -> int:
        return len(self.luma)


def open_source(path: Path, fps: str = "24") -> FilmSource:
    """The film, its exact rate and length; fps: of a folder of frames. Raises ShowError with every problem."""
    kind = kind_of(path)
    if kind == "film":
        from player.sources.film_reader import probe_film

        rate, frames, width, height = probe_film(path)
        if frames < 1 or width < 2 or height < 2:
            raise ShowError(Problem(str(path), f"holds {frames} frames of {width}x{height}", "a film with pictures"))
        return FilmSource(path, rate, frames, width, height)
    try:
        rate = parse_rate(fps)
    except ValueError as e:
        raise ShowError(Problem("--fps", str(e))) from None
    names = tuple(p.name for p in frame_files(path)) if kind == "folder" else tuple(picture_names(path))
    if not names:
        raise ShowError(Problem(str(path), "holds no pictures", ", ".join(PICTURES)))
    height, width = next(iter(read_pictures(path, names[:1], 3))).shape[:2]
    return FilmSource(path, rate, len(names), width, height, names)


def frames_asked(source: FilmSource, start: str | None, end: str | None) -> tuple[int, int]:
    """--start and --end as film frames [first, last), within the film. Raises ShowError."""
    first, last = film_range(start, end, source.rate)
    if first >= source.frames:
        raise ShowError(Problem("--start", f"frame {first}", f"a film of {source.frames} frames", "an earlier start"))
    return first, min(source.frames, source.frames if last is None else last)


def reduced_size(width: int, height: int, long_side: int = LONG_SIDE_PX) -> tuple[int, int]:
    """(w, h), both even and at least 8, of a picture whose long side becomes `long_side`; never larger than it is."""
    scale = min(1.0, long_side / max(width, height))
    return max(8, 2 * round(width * scale / 2)), max(8, 2 * round(height * scale / 2))


def reduced_frames(source: FilmSource, first: int, last: int, tick: Tick = lambda done: None) -> Reduced:
    """Frames [first, last), small. tick: told how many frames were decoded. Raises ShowError where the film cannot be read
    to its end."""
    w, h = reduced_size(source.width, source.height)
    luma = np.empty((last - first, h, w), np.uint8)
    chroma = np.empty((last - first, 2, h // 2, w // 2), np.uint8)
    count = 0
    for number, planes in _numbered(source, first, last, _Reducer(w, h),
                                    lambda picture: _planes_of_picture(picture, w, h), tick):  # fmt: skip
        luma[number - first], chroma[number - first] = planes
        count += 1
    if count < last - first:
        if not count or last - first - count > 2:
            given = f"is cut short: frame {first + count} of {source.frames} cannot be read"
            raise ShowError(Problem(str(source.path), given, "a whole film", "copy it again"))
        luma[count:], chroma[count:] = luma[count - 1], chroma[count - 1]  # some decoders keep the very last frames back
    return Reduced(luma, chroma, first)


def reduced_chosen(source: FilmSource, wanted: Iterable[int], tick: Tick = lambda done: None) -> tuple[list[int], Reduced]:
    """(which of the wanted film frames could be read, in order; these, small). The frames between are decoded and
    dropped."""
    w, h = reduced_size(source.width, source.height)
    chosen = {n for n in wanted if 0 <= n < source.frames}
    read = list(_numbered(source, min(chosen, default=0), max(chosen, default=-1) + 1, _Reducer(w, h),
                          lambda picture: _planes_of_picture(picture, w, h), tick, chosen))  # fmt: skip
    if not read:
        raise ShowError(Problem(str(source.path), "none of the frames asked for can be read", "a whole film"))
    luma, chroma = np.stack([planes[0] for _, planes in read]), np.stack([planes[1] for _, planes in read])
    return [number for number, _ in read], Reduced(luma, chroma, 0)


def pictures_at(source: FilmSource, wanted: Iterable[int], width_px: int, tick: Tick = lambda done: None) -> dict[int, Pixels]:
    """Those film frames for the eye, uint8 [h, width_px, 3] sRGB in the viewer's shape, by frame; what cannot be read is
    left out. Only the wanted ones are converted; the frames between are decoded and dropped."""
    from PIL import Image

    remaining = {n for n in wanted if 0 <= n < source.frames}
    if not remaining:
        return {}
    height_px = max(1, round(width_px * source.height / source.width))

    def small(rgb: Pixels) -> Pixels:
        picture = Image.fromarray(np.ascontiguousarray(rgb[:, :, :3])).resize((width_px, height_px), Image.Resampling.BOX)
        return np.asarray(picture, np.uint8)

    def of_frame(frame: Any) -> Pixels:
        from player.sources.film_reader import to_rgb

        return small(to_rgb(frame))

    return dict(_numbered(source, min(remaining), max(remaining) + 1, of_frame, small, tick, remaining))


def _numbered(source: FilmSource, first: int, last: int, of_frame: Callable[[Any], Any], of_picture: Callable[[Pixels], Any],
              tick: Tick, wanted: set[int] | None = None) -> Iterable[tuple[int, Any]]:  # fmt: skip
    """(film frame, what of_frame or of_picture makes of it) of frames [first, last), or of the wanted ones among them."""
    if source.names:
        numbers = [n for n in range(first, last) if wanted is None or n in wanted]
        for done, (number, picture) in enumerate(
                zip(numbers, read_pictures(source.path, [source.names[n] for n in numbers], 3), strict=True)):  # fmt: skip
            yield number, of_picture(picture)
            tick(done + 1)
        return
    import av

    try:
        with av.open(str(source.path)) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            for number, frame in enumerate(container.decode(stream)):
                if number >= last:
                    return
                if number >= first and (wanted is None or number in wanted):
                    yield number, of_frame(frame)
                tick(number + 1)
    except (av.FFmpegError, OSError) as e:
        raise ShowError(Problem(str(source.path), f"cannot be read as a film ({e})", "a film that FFmpeg can read")) from None


class _Reducer:
    """A decoded frame to luma uint8 [h, w] and chroma uint8 [2, h/2, w/2]. libav's scaler is kept from frame to frame:
    making one anew costs more than using it."""

    def __init__(self, w: int, h: int):
        from av.video.reformatter import Interpolation, VideoReformatter

        self._w, self._h, self._area = w, h, Interpolation.AREA
        self._scaler = VideoReformatter()

    def __call__(self, frame: Any) -> tuple[Pixels, Pixels]:
        small = self._scaler.reformat(frame, self._w, self._h, "yuv420p", interpolation=self._area)
        y, u, v = (np.frombuffer(p, np.uint8).reshape(p.height, p.line_size)[:, : p.width] for p in small.planes[:3])
        return y, np.stack([u, v])


def _planes_of_picture(picture: Pixels, w: int, h: int) -> tuple[Pixels, Pixels]:
    """The same of a picture uint8 [H, W, 3]."""
    from PIL import Image

    small = Image.fromarray(np.ascontiguousarray(picture[:, :, :3])).resize((w, h), Image.Resampling.BOX).convert("YCbCr")
    full = np.asarray(small, np.float32)  # [h, w, 3]
    luma = np.rint(16 + full[:, :, 0] * (219 / 255)).astype(np.uint8)
    halves = full[:, :, 1:].reshape(h // 2, 2, w // 2, 2, 2).mean(axis=(1, 3))  # [h/2, w/2, 2]
    return luma, np.rint(128 + (halves - 128) * (224 / 255)).astype(np.uint8).transpose(2, 0, 1)
