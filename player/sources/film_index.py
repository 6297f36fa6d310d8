"""One pass over a film's packets: what it is, which frames it holds and when each is seen."""

from __future__ import annotations

import contextlib
import itertools
import shlex
from array import array
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from player.show.problem import Problem, ShowError

NO_TIME_STAMPS = 0x80  # FFmpeg's flag of formats that are a codec's bare stream
ORDER_FRAMES = 100  # enough to meet a B-frame where there are any
_USUAL_RATES = tuple(Fraction(n) for n in (12, 15, 16, 18, 24, 25, 30, 48, 50, 60)) + tuple(
    Fraction(n * 1000, 1001) for n in (24, 30, 48, 60))  # fmt: skip


def open_container(path: Path) -> Any:
    """The PyAV container with at least one video stream. Raises ShowError with one sentence."""
    import av

    if not path.is_file():
        raise ShowError(Problem(str(path), "is missing" if not path.exists() else "is not a file", "a film"))
    try:
        container = av.open(str(path))
    except (av.error.FFmpegError, ValueError):
        given = "is no film, or its end is missing" if path.stat().st_size else "is no film: it is empty"
        raise ShowError(Problem(str(path), given, "a film that FFmpeg can read", "copy it again")) from None
    if not any(s.codec_context is not None for s in container.streams.video):
        container.close()
        raise ShowError(Problem(str(path), "holds no picture", "a film that FFmpeg can read"))
    return container


def _rate_of(stream: Any) -> Fraction:
    """The exact rate of a stream: the usual rate that its own figure lies next to, since containers that count in
    milliseconds give 23.98 for 24000/1001."""
    given = Fraction(stream.guessed_rate or stream.average_rate or 0)
    for usual in _USUAL_RATES:
        if abs(given / usual - 1) < Fraction(1, 5000):
            return usual
    return given


@dataclass(frozen=True)
class FilmIndex:
    """What one pass over a film's packets tells. Width and height in square pixels as a viewer sees them."""

    rate: Fraction
    frames: int
    width: int
    height: int
    stamps: npt.NDArray[np.int64]  # [frames], of the frames in the order they are seen; [0] where they must be counted
    keys: npt.NDArray[np.int64]  # [K, 2], pts and dts of the key frames that are seen, by pts
    raw: bool = False  # a codec's bare stream, whose rate is a guess and which cannot be sought in


def probe_film(path: Path) -> tuple[Fraction, int, int, int]:
    """(rate, frames, width, height) of a film: exact rate, exact number of frames (every packet is counted, none
    decoded but the first), and its size in square pixels as a viewer sees it.

    Raises ShowError for a file that is missing, cut short, no film, or of a variable frame rate.
    """
    index = index_of(path)
    return index.rate, index.frames, index.width, index.height


def index_of(path: Path) -> FilmIndex:
    """The film's index. Raises ShowError as probe_film does."""
    import av

    with open_container(path) as container:
        stream = container.streams.video[0]
        rate = _rate_of(stream)
        avi = container.format.name == "avi"
        # An AVI counts its ticks, whether a frame stands in them or not.
        declared = round(stream.frames * rate * stream.time_base) if avi else stream.frames
        reached = 0  # of these
        length_s = float(stream.duration * stream.time_base) if stream.duration else (container.duration or 0) / 1e6
        packets, frames, last_s, first, reordered = 0, 0, 0.0, None, False
        stamps, keys = array("q"), []
        try:
            for packet in container.demux(stream):
                if packet.size == 0:
                    continue
                packets += 1
                reached = round(packet.dts * rate * stream.time_base) + 1 if avi and packet.dts is not None else packets
                if packet.is_corrupt:
                    raise ShowError(_cut_short(path, packets, declared))
                if not packet.is_discard:  # a trimmed film's edit list hides frames that others are made from
                    frames += 1
                    reordered |= packet.pts != packet.dts
                    if packet.pts is not None:
                        stamps.append(packet.pts)
                        last_s = max(last_s, float((packet.pts - (stream.start_time or 0)) * stream.time_base))
                        if packet.is_keyframe:
                            keys.append((packet.pts, packet.pts if packet.dts is None else packet.dts))
                if first is None:
                    decoded = packet.decode()
                    first = decoded[0] if decoded else None
            if first is None:
                container.seek(0)
                first = next(iter(container.decode(stream)), None)
        except av.error.FFmpegError:
            raise ShowError(_cut_short(path, packets, declared)) from None
        if first is None or rate <= 0:
            raise ShowError(Problem(str(path), "holds no picture that can be decoded", "a film that FFmpeg can read"))
        if (declared and reached < declared) or (length_s and last_s < length_s - max(1.0, 3 / float(rate))):
            raise ShowError(_cut_short(path, packets, declared or round(length_s * float(rate))))
        # An AVI has no time stamps: FFmpeg makes them up, and after a seek others than before it where frames are coded
        # in another order than they are seen in. A stream that was copied out of one may have the same trouble.
        stamped = len(stamps) == frames
        if stamped and stream.codec_context.has_b_frames:
            stamped = not avi and (reordered or _stamped_in_order(path))
        seen = np.sort(np.array(stamps if stamped else [], np.int64))
        uneven = _uneven(seen, stream.time_base, rate) if stamped else ""
        if avi and not stamped and frames != reached:
            uneven = f"it leaves out {reached - frames} of {reached} frames"
        if uneven:
            raise ShowError(Problem(str(path), f"has a variable frame rate: {uneven}", "one constant frame rate",
                                    f"ffmpeg -i {shlex.quote(path.name)} -vf fps={rate} constant.mp4"))
        shape = stream.sample_aspect_ratio or Fraction(1)
        width, height = round(stream.width * (shape if shape > 0 else 1)), stream.height
        if first.rotation % 180:
            width, height = height, width
        raw = bool(container.format.flags & NO_TIME_STAMPS)
    return FilmIndex(rate, frames, width, height, seen, np.array(sorted(keys), np.int64).reshape(-1, 2), raw)


def _stamped_in_order(path: Path) -> bool:
    """Whether the first frames of a film come out in the order of their stamps."""
    import av

    with contextlib.suppress(av.error.FFmpegError), open_container(path) as container:
        frames = itertools.islice(container.decode(container.streams.video[0]), ORDER_FRAMES)
        stamps = [-1 if f.pts is None else f.pts for f in frames]
        return all(a < b for a, b in itertools.pairwise(stamps))
    return False


def _uneven(stamps: npt.NDArray[np.int64], time_base: Fraction, rate: Fraction) -> str:
    """Where a film's time stamps, in their order, are not those of a constant rate; '' where they are. Half a frame is
    allowed: stamps are rounded to the container's time base (milliseconds in Matroska), and those of film with pulldown
    alternate by a quarter of a frame."""
    at_s = (stamps - stamps[0]) * float(time_base)
    off = np.abs(at_s * float(rate) - np.arange(len(at_s)))
    if not (off > 0.5).any():
        return ""
    k = int(np.argmax(off > 0.5))
    return f"at {rate} frames a second frame {k} would stand at {k / float(rate):.3f} s, and it stands at {at_s[k]:.3f} s"


def _cut_short(path: Path, frames: int, declared: int) -> Problem:
    return Problem(str(path), f"is cut short: {frames} of {declared or 'more'} frames can be read", "a whole film",
                   "copy it again")  # fmt: skip


def raw_stream(path: Path) -> Problem:
    """The sentence for a film that is a raw stream."""
    into = path.with_suffix(".mp4").name  # coded anew: FFmpeg's copies of raw streams with B-frames are wrongly stamped
    return Problem(str(path), "is a raw stream: it holds neither its rate nor when its frames are seen",
                   "a film in a container, such as .mp4 or .mkv",
                   f"ffmpeg -i {shlex.quote(path.name)} -crf 14 {shlex.quote(into)}")  # fmt: skip
