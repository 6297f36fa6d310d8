"""Frames of a film by number: of a film file, or of a folder of pictures in order of name, which counts as a film.

Numbers are those of the player, the cut list and training: frame n is the n-th that the decoder gives, from 0.
"""

from __future__ import annotations

import argparse
import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from player.show.film import parse_rate
from player.show.problem import Problem, ShowError
from player.sources.film_reader import probe_film
from tools.train_source import PICTURES, decoded, film_range
from tools.whole_file import sha256_of

FOLDER_RATE = Fraction(24)
NEAR_FRAMES = 300  # up to here decoding from the start costs less than doubts about a seek
SAMPLES = 48  # frames that are looked at for bars, grey and combing
FEW_SAMPLES = 12  # with fewer key frames than this, frames after them are decoded too
FEW_KEYS = 3  # with fewer than this, frames from all over the film
AFTER = 8  # frames from one that is looked at to the next
MOST_DECODED = 4000  # frames decoded where a film has hardly any key frames
MOST_SAMPLE_BYTES = 256 << 20

Decoded = Any  # an av.VideoFrame, or the Path of a picture


@dataclass(frozen=True)
class Footage:
    """A film that frames can be taken from. size: [w, h] as stored but upright, in pixels that are `pixel_aspect` times as
    wide as high. turns: quarter turns to the left that make a stored frame upright. files: of a folder, in order."""

    path: Path
    kind: Literal["film", "folder"]
    rate: Fraction
    frames: int
    size: tuple[int, int]
    pixel_aspect: Fraction = Fraction(1)
    turns: int = 0
    files: tuple[Path, ...] = ()

    def read(self, numbers: Sequence[int]) -> Iterator[tuple[int, Decoded]]:
        """(number, decoded frame or path of a picture) for increasing numbers. Raises ShowError."""
        if self.kind == "folder":
            return ((n, self.files[n]) for n in numbers)
        return film_frames(self, numbers)

    def sha256(self) -> str:
        """Of the film; of a folder, of the names and contents of its pictures. Raises ShowError."""
        return folder_sha256(self.files) if self.files else sha256_of(self.path)


def folder_sha256(files: Sequence[Path]) -> str:
    """Of the names and contents of a film's frames in a folder. Raises ShowError."""
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.name}\n{sha256_of(path)}\n".encode())
    return digest.hexdigest()


def footage_at(path: Path, rate: str | None = None) -> Footage:
    """What is there, checked: rate, frames, size. rate: of a folder (24 where nothing is said).

    Raises ShowError for what is no film, is empty, cut short, or of a variable frame rate.
    """
    if path.is_dir():
        return folder_at(path, rate)
    if rate is not None:
        raise ShowError(Problem("--rate", f"{path} is a film and has its own", "--rate for a folder of frames only"))
    if path.is_file() and path.stat().st_size == 0:
        raise ShowError(Problem(str(path), "is empty (0 bytes)", "a film that FFmpeg can read", "copy it again"))
    if path.is_file() and path.suffix.lower() in PICTURES:
        picture_of(path)  # FFmpeg goes by the ending: a text of that name would be a film cut short
    exact, frames, _, _ = probe_film(path)
    first, aspect = first_frame(path)
    turns = round(first.rotation / 90) % 4
    size = (first.height, first.width) if turns % 2 else (first.width, first.height)
    return Footage(path, "film", exact, frames, size, 1 / aspect if turns % 2 else aspect, turns)


def folder_at(path: Path, rate: str | None) -> Footage:
    """A folder of pictures as a film. Raises ShowError."""
    try:
        exact = FOLDER_RATE if rate is None else parse_rate(rate)
    except ValueError as e:
        raise ShowError(Problem("--rate", str(e))) from None
    files = frame_files(path)
    height, width = picture_of(files[0]).shape[:2]
    return Footage(path, "folder", exact, len(files), (width, height), files=files)


def range_of(args: argparse.Namespace, footage: Footage) -> tuple[int, int]:
    """--start and --end as film frames [first, end) of the film, which is all of it without them. Raises ShowError."""
    first, last = film_range(args.start, args.end, footage.rate)
    end = footage.frames if last is None else last
    places = (("--start", first, footage.frames - 1), ("--end", end, footage.frames))
    allowed = f"the film's {footage.frames} frames"
    found = [Problem(name, f"is frame {at}", allowed) for name, at, most in places if at > most]
    if found:
        raise ShowError(found)
    return first, end


def frame_files(path: Path) -> tuple[Path, ...]:
    """The pictures directly in a folder, in order of name: the frames of the film that it counts as. Raises ShowError."""
    try:
        files = tuple(sorted(p for p in path.iterdir() if p.suffix.lower() in PICTURES and not p.name.startswith(".")))
    except OSError as e:
        raise ShowError(Problem(str(path), f"cannot be read ({e.strerror})", "a folder of frames")) from None
    if not files:
        raise ShowError(Problem(str(path), "holds no pictures", ", ".join(PICTURES)))
    return files


def order_notes(names: Sequence[str]) -> list[str]:
    """What will make trouble with the order of frames in a folder, a sentence or none."""
    numbers = [int(n[-1][:18]) for name in names if (n := re.findall(r"\d+", Path(name).stem)[-1:])]
    if numbers == sorted(numbers):
        return []
    return ["the names do not sort in the order of their numbers: give them leading zeros"]


def first_frame(path: Path) -> tuple[Any, Fraction]:
    """(the first frame of the first video stream, width of a pixel over its height). Raises ShowError."""
    import av

    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            if av.stream.Disposition.attached_pic in stream.disposition:
                raise ShowError(Problem(str(path), "holds no film, only a cover picture", "a film that FFmpeg can read"))
            shape = stream.sample_aspect_ratio or Fraction(1)
            return next(iter(container.decode(stream))), shape if shape > 0 else Fraction(1)
    except (av.FFmpegError, OSError, IndexError, StopIteration) as e:
        given = f"holds no picture that can be decoded ({e})"
        raise ShowError(Problem(str(path), given, "a film that FFmpeg can read")) from None


def picture_of(item: Decoded) -> NDArray[np.uint8]:
    """A picture file as uint8 [h, w, 3]. Raises ShowError."""
    return decoded(str(item), item.stat().st_size, lambda: item.open("rb"), 3)


def film_frames(footage: Footage, numbers: Sequence[int]) -> Iterator[tuple[int, Any]]:
    """(number, av.VideoFrame) for increasing numbers, with as many threads as there are cores. Raises ShowError."""
    import av

    if not len(numbers):
        return
    wanted = iter(numbers)
    number = int(next(wanted))
    at, container = 0, None
    try:
        container = av.open(str(footage.path))
        frames = sought(container, footage.rate, number)
        if frames is not None:
            at = number
        else:
            container.close()
            container = av.open(str(footage.path))  # not a seek to the start: some containers go too far then
            frames = container.decode(threaded(container))
        with container:
            for frame in frames:
                if at == number:
                    yield at, frame
                    following = next(wanted, None)
                    if following is None:
                        return
                    number = int(following)
                at += 1
    except (av.FFmpegError, OSError) as e:
        given = f"cannot be decoded beyond frame {number} ({e})"
        raise ShowError(Problem(str(footage.path), given, "a sound film", f"--end {number}f")) from None
    given = f"ends after {at} frames that can be decoded, its index promises {footage.frames}"
    raise ShowError(Problem(str(footage.path), given, "a sound film", f"--end {at}f"))


def threaded(container: Any) -> Any:
    """The first video stream, to be decoded by as many threads as there are cores."""
    stream = container.streams.video[0]
    stream.thread_type = "AUTO"
    return stream


def sought(container: Any, rate: Fraction, first: int) -> Iterator[Any] | None:
    """Frames from `first` on, by a seek to the key frame before it; None where that is too near to the start to pay, where time
    stamps do not say which frame it is, or where the container did not go to a key frame before it."""
    stream = threaded(container)
    if first <= NEAR_FRAMES or stream.start_time is None or not stream.time_base:
        return None
    try:
        container.seek(round((first - 1) / rate / stream.time_base) + stream.start_time, stream=stream)
    except OSError:  # FFmpeg's errors are that too: not every container can seek
        return None
    frames = container.decode(stream)
    begun = False
    for frame in frames:
        if frame.pts is None or not (begun or frame.key_frame):
            return None
        begun = True
        number = round((frame.pts - stream.start_time) * stream.time_base * rate)
        if number >= first:
            return chained(frame, frames) if number == first else None
    return None


def chained(frame: Any, frames: Iterator[Any]) -> Iterator[Any]:
    """frame, then frames."""
    yield frame
    yield from frames


def sampled(path: Path, files: Sequence[Path] = (), count: int = SAMPLES) -> list[Any]:
    """Some frames (av.VideoFrame, as stored) spread over a film, or over the files of a folder of frames: key frames, which
    cost least, and others where those are few. Raises ShowError."""
    import av

    if files:
        chosen = np.unique(np.linspace(0, len(files) - 1, count).astype(int))
        pictures = [av.VideoFrame.from_ndarray(picture_of(files[i])) for i in chosen]
        return [f for f in pictures if (f.width, f.height) == (pictures[0].width, pictures[0].height)]
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            stream.thread_type = "NONE"
            room = max(FEW_SAMPLES, MOST_SAMPLE_BYTES // max(1, stream.width * stream.height * 2))
            found = key_frames(container, stream, min(count, room))
            if FEW_KEYS <= len(found) < FEW_SAMPLES:
                found = after_keys(container, stream, found)
        if len(found) < FEW_KEYS:
            found = spread_frames(path, min(count, room)) or found
    except (av.FFmpegError, OSError) as e:
        raise ShowError(Problem(str(path), f"cannot be read as a film ({e})", "a film that FFmpeg can read")) from None
    same = [f for f in found if (f.width, f.height) == (found[0].width, found[0].height)]
    if not same:
        raise ShowError(Problem(str(path), "holds no picture that can be decoded", "a film that FFmpeg can read"))
    return same


def key_frames(container: Any, stream: Any, count: int) -> list[Any]:
    """Up to `count` key frames, one packet decoded for each."""
    import av

    found: dict[int, Any] = {}
    length, begin = container.duration or 0, container.start_time or 0
    for i in range(count if length else 0):
        try:
            container.seek(begin + length * (2 * i + 1) // (2 * count))
            packet = next((p for p in container.demux(stream) if p.is_keyframe and p.size), None)
            if packet is None or packet.pts is None or packet.pts in found:
                continue
            frames = [*stream.codec_context.decode(packet), *stream.codec_context.decode(None)]
            stream.codec_context.flush_buffers()
        except (av.FFmpegError, EOFError):
            continue
        if frames:
            found[packet.pts] = frames[0]
    return [found[at] for at in sorted(found)]


def after_keys(container: Any, stream: Any, keys: Sequence[Any]) -> list[Any]:
    """The key frames and some frames after each. Encoders put a key frame at a cut, so that between two far from each other
    little changes, and decoding all of it would cost as much as all that is to be done with the film."""
    found = []
    for key in keys:
        container.seek(key.pts, stream=stream)
        for number, frame in zip(range(FEW_SAMPLES // len(keys) * AFTER + 1), container.decode(stream), strict=False):
            if number % AFTER == 0:
                found.append(frame)
    return found


def spread_frames(path: Path, count: int) -> list[Any]:
    """Up to `count` frames, evenly chosen among the first MOST_DECODED."""
    import av

    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        seconds = (container.duration or 0) / 1e6
        total = stream.frames or round(seconds * float(stream.average_rate or 24)) or MOST_DECODED
        step = max(1, min(total, MOST_DECODED) // count)
        found = []
        try:
            for number, frame in enumerate(container.decode(stream)):
                if number % step == 0:
                    found.append(frame)
                if len(found) >= count or number >= MOST_DECODED:
                    break
        except av.FFmpegError:
            pass  # what came before the damage will do
        return found
