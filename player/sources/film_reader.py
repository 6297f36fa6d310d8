"""Films as sources: exact frames by their time stamps; the film itself, the fallback film."""

from __future__ import annotations

import logging
import math
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from player.show.problem import ShowError
from player.show.show import Show
from player.sources.aim import Aim, Layer
from player.sources.film_index import FilmIndex, index_of, open_container, probe_film, raw_stream
from player.sources.frame import Frame, Pixels
from player.state import FRAME_TOLERANCE

__all__ = ["FilmReader", "FilmSource", "probe_film", "to_rgb"]
log = logging.getLogger("cineml")

CACHED_FRAMES = 4
LONG_FRAMES = 5000  # as many as are decoded in a few seconds
EARLIER_KEYS = (0, 1, 4)  # where a seek goes too far: before this key frame, the one before it, ...
READ_ON_FRAMES = 48  # up to here decoding on is no slower than a seek to a key frame


def to_rgb(frame: Any) -> Pixels:
    """A decoded PyAV frame as uint8 [H, W, 3] sRGB, with the matrix and range it was tagged with.

    Untagged: limited range, BT.709 from 720 lines on and BT.601 below, as players do. Single-channel pictures are spread
    here: the scaler takes every grey format for full range, whatever the stream says.
    """
    full = frame.color_range == 2 or frame.format.name.startswith(("yuvj", "rgb", "bgr", "gbr", "pal"))
    if frame.format.name.startswith("gray"):
        eight = frame if frame.format.name == "gray" else frame.reformat(format="gray")
        grey = eight.to_ndarray().reshape(frame.height, frame.width)
        if not full:
            grey = np.clip(np.rint((grey.astype(np.float32) - 16) * (255 / 219)), 0, 255).astype(np.uint8)
        rgb: Pixels = np.repeat(grey[:, :, None], 3, axis=2)
    else:
        matrix = frame.colorspace
        if matrix not in (1, 4, 5, 6, 7, 9):  # unspecified, or rgb
            matrix = 1 if frame.height >= 720 else 5
        from av.video.reformatter import Interpolation

        # The exact way costs 4 ns a pixel: 1 ms at 480p, a whole film frame's time at 2160p. The plain way has exact
        # greys too, colours within 2.4 levels, and doubles the chroma's pixels.
        exact = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
        small = frame.width * frame.height < 1280 * 720
        made = frame.reformat(format="rgb24", src_colorspace=5 if matrix == 6 else matrix,
                              src_color_range=2 if full else 1, dst_color_range=2,
                              interpolation=exact if small else Interpolation.BILINEAR, threads=1)  # fmt: skip
        rgb = made.to_ndarray()
    turns = round(frame.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(rgb, turns)) if turns else rgb


class FilmReader:
    """Frames of one film by number. One thread at a time.

    picture(n) is the n-th frame in the order they are seen, whether read on to or reached by a seek. A frame is known by
    its time stamp, which the index of the film's packets has. A seek counts only where the first key frame it gives is
    not after frame n: containers seek too far (no index, other clocks); then an earlier place is asked for, at last the
    file is begun again. In films without usable stamps (AVI with B-frames) frames are counted, from the start or from a
    key frame that was counted before. n is clamped to the film.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rate, self.frames = Fraction(24), 0
        self.size = (0, 0)  # as stored, after rotation
        self._index = FilmIndex(self.rate, 0, 0, 0, np.zeros(0, np.int64), np.zeros((0, 2), np.int64))
        self._container: Any = None
        self._stream: Any = None
        self._decoded: Iterator[tuple[int, Any]] | None = None
        self._next = 0  # the number that _decoded gives next, at least
        self._rung = 0  # of the places to seek to: the first that was early enough in this container
        self._fresh = False  # sought, and not yet known whether too far
        # In a film without stamps: its key frames that were counted, in order, as their packets' dts and their numbers.
        self._key_dts: list[int] = []
        self._key_numbers: list[int] = []
        self._cache: OrderedDict[int, Pixels] = OrderedDict()

    def open(self) -> None:
        """Counts the frames and decodes the first. Raises ShowError, for a raw stream too."""
        self._index = index_of(self.path)
        if self._index.raw:
            raise ShowError(raw_stream(self.path))
        self.rate, self.frames = self._index.rate, self._index.frames
        if not self._stamped and self.frames > LONG_FRAMES:
            log.warning("%s has no time stamps to seek by: the first jump to a place decodes all that is before it; coded "
                        "anew it does not (ffmpeg -i FILM -crf 14 NEW.mp4)", self.path.name)  # fmt: skip
        self._begin()
        first = self.picture(0)
        self.size = (first.shape[1], first.shape[0])

    def picture(self, number: int) -> Pixels:
        """uint8 [H, W, 3] of frame `number`. Raises RuntimeError or FFmpeg's error where the film cannot be read."""
        number = min(max(number, 0), self.frames - 1)
        if number in self._cache:
            self._cache.move_to_end(number)
            return self._cache[number]
        pixels = to_rgb(self._find(number))
        self._cache[number] = pixels
        while len(self._cache) > CACHED_FRAMES:
            self._cache.popitem(last=False)
        return pixels

    def _find(self, number: int) -> Any:
        near = self._next + READ_ON_FRAMES
        if not self._stamped:  # on, unless a key frame is known that is nearer
            near = number if self._counted_before(number)[1] <= near else -1
        try:
            if self._decoded is not None and self._next <= number <= near:
                frame = self._read_to(number)
                if frame is not None:
                    return frame
            places = self._places(number)
            for rung in range(min(self._rung, len(places)), len(places)):
                self._seek(places[rung])
                frame = self._read_to(number)
                if frame is not None:
                    self._rung = rung
                    return frame
            self._begin()
            return self._read_to(number)
        except Exception:
            self._decoded = None  # begin with a seek next time, whatever state the decoder is in
            raise

    @property
    def _stamped(self) -> bool:
        return len(self._index.stamps) > 0

    def _places(self, number: int) -> list[int]:
        """Time stamps to seek to for a frame, in the order to try them; none where only the film's start is sure."""
        if not self._stamped:
            dts, counted = self._counted_before(number)
            return [dts] if counted > 0 else []
        keys = self._index.keys
        last = int(np.searchsorted(keys[:, 0], self._index.stamps[number], "right")) - 1
        if last < 0:
            return []
        places = [int(keys[last, 0])]
        for back in EARLIER_KEYS:
            if last >= back:
                places.append(int(keys[last - back, 1]) - self._step)
        return places

    def _counted_before(self, number: int) -> tuple[int, int]:
        """(dts, number) of the last counted key frame that is not after a frame; (0, 0) where none was counted."""
        last = bisect_right(self._key_numbers, number) - 1
        return (self._key_dts[last], self._key_numbers[last]) if last >= 0 else (0, 0)

    @property
    def _step(self) -> int:
        return max(round(1 / self.rate / self._stream.time_base), 1)

    def _begin(self) -> None:
        """Decoding from the film's first packet, in a container opened anew: not every one can seek back to it."""
        if self._container is not None:
            self._container.close()
        self._container = open_container(self.path)
        self._stream = self._container.streams.video[0]
        context = self._stream.codec_context
        # More threads would take the cores of generator and screen; HD needs two to keep up.
        context.thread_count = 2 if context.width * context.height >= 1280 * 720 else 1
        context.thread_type = "AUTO"
        if not self._stamped:
            context.copy_opaque = True
        self._decoded, self._next, self._fresh = self._numbered(sure=True), 0, False

    def _seek(self, stamp: int) -> None:
        import av

        try:
            self._container.seek(stamp, stream=self._stream, backward=True, any_frame=False)
        except av.error.FFmpegError:
            self._decoded = iter(())  # a place that this container cannot seek to
        else:
            self._decoded = self._numbered(sure=False)
        self._next, self._fresh = 0, True

    def _numbered(self, sure: bool) -> Iterator[tuple[int, Any]]:
        """(number, frame) of all frames from here. sure: from the film's start; else from the first key frame that is
        known, since frames before it may be made from others that were not read."""
        at = -1
        for packet in self._container.demux(self._stream):
            if not self._stamped:
                packet.opaque = packet.dts
            for frame in packet.decode():
                number = self._number_of(frame, at, sure)
                if number < 0 or not (sure or frame.key_frame):
                    continue
                sure, at = True, number
                if not self._stamped and frame.key_frame and number > (self._key_numbers or [-1])[-1]:
                    self._key_dts.append(frame.opaque)
                    self._key_numbers.append(number)
                yield number, frame

    def _number_of(self, frame: Any, before: int, sure: bool) -> int:
        """The number of a frame by its stamp; where it has none, by the frame before it. -1: not known."""
        if self._stamped and frame.pts is not None:
            stamps = self._index.stamps
            at = int(np.searchsorted(stamps, frame.pts - self._step // 2))
            return at if at < len(stamps) and abs(int(stamps[at]) - frame.pts) <= self._step // 2 else -1
        if sure:
            return before + 1
        return self._key_numbers[self._key_dts.index(frame.opaque)] if frame.opaque in self._key_dts else -1

    def _read_to(self, number: int) -> Any:
        """The frame, or None where decoding began after it. Raises RuntimeError where the film ends before it."""
        assert self._decoded is not None
        at, last = -1, None
        for at, last in self._decoded:
            if at > number and self._fresh:
                return None
            self._fresh = False
            if at >= number:
                self._next = at + 1
                return last  # the next one where the film's own cannot be decoded
        self._decoded = None
        if self._fresh:
            return None
        if last is None or number - at > 1 or number < self.frames - 2:
            raise RuntimeError(f"{self.path.name} ends before frame {number}")
        return last  # the decoder keeps the last frame of some films to itself

    def close(self) -> None:
        self._decoded = None
        if self._container is not None:
            self._container.close()
            self._container = None
        self._cache.clear()


def _number_at(position: Fraction, show: Show, reader: FilmReader) -> int:
    """The frame of a film of another rate that is seen at a film position."""
    return math.floor(position / show.film.rate * reader.rate + FRAME_TOLERANCE)


class FilmSource:
    """A whole film: the show's own ('film') or a pre-rendered one ('fallback'). Its frames stand by film time."""

    def __init__(self, show: Show, path: Path, name: str) -> None:
        self.name = name
        self._show, self._reader = show, FilmReader(path)

    def open(self) -> None:
        self._reader.open()

    def make(self, aim: Aim, layer: Layer) -> Frame:
        """The film's frame at the layer's position. Raises where the file has become unreadable."""
        pixels = self._reader.picture(_number_at(layer.film_position, self._show, self._reader))
        inner = (0.0, 0.0, float(pixels.shape[1]), float(pixels.shape[0]))
        return Frame(pixels, aim.show_time_s, aim.epoch, layer.shot, float(layer.film_position), self.name, inner)

    def close(self) -> None:
        self._reader.close()

    def facts(self) -> dict[str, Any]:
        return {"provider": None, "film": self._reader.path.name, "rate": str(self._reader.rate), "frames": self._reader.frames}
