"""Propagated frames as a film: H.264 with the original's sound, as long to the frame, titles and captions burnt in."""

from __future__ import annotations

import logging
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from player.captions import Captions, Span, read_captions
from player.recorder import Recorder, Sound, layout_of, part_comment
from player.show.problem import Problem, ShowError
from player.show.show import CaptionStyle
from player.sources.fades import to_bytes, to_light
from tools.film_dataset_source import Footage, picture_of

log = logging.getLogger("cineml")
Pixels = NDArray[np.uint8]
SAMPLE_RATE_HZ = 48_000
LETTERS = 0.85  # of white, as shaders/caption.frag has it


class Burner:
    """Captions over pictures, set and lit as the player's compositor does it, without GL."""

    def __init__(self, path: Path, rate: Fraction, style: CaptionStyle | None = None):
        """Raises ShowError for what is no SRT."""
        from player.screen.typeface import face_for

        self.captions: Captions = read_captions(path, rate)
        self._style = style or CaptionStyle(path)
        self._face = face_for(self.captions.letters(), self._style.font)
        self._set: tuple[Span, tuple[int, int], Any] | None = None  # of the span that was shown last

    def over(self, picture: Pixels, frame: int) -> Pixels:
        """uint8 [H, W, 3] with what is to be read at a film frame."""
        span = self.captions.at(frame)
        if span is None:
            return picture
        height, width = picture.shape[:2]
        left, top, plate = self._plate(span, (width, height))
        high, wide = plate.shape[:2]
        part = picture[top : top + high, left : left + wide]
        letters, dark = (plate[..., i : i + 1].astype(np.float32) / 255 for i in (0, 1))  # [h, w, 1]
        lit = np.float32(LETTERS) * letters + (1 - letters) * (1 - dark) * to_light(part)
        out = picture.copy()
        out[top : top + high, left : left + wide] = to_bytes(lit)
        return out

    def _plate(self, span: Span, size: tuple[int, int]) -> tuple[int, int, Any]:
        """(left, top, coverage uint8 [h, w, 2]) of a span, placed as player.screen.caption_plate places it."""
        from player.screen.caption_plate import LEAST_LETTER_PX, SAFE, coverage

        if self._set is None or self._set[:2] != (span, size):
            width, height = size
            room = (max(width - 2 * int(np.ceil(width * SAFE)), 1), max(height - 2 * int(np.ceil(height * SAFE)), 1))
            letter = max(round(height * self._style.size / 100), LEAST_LETTER_PX)
            self._set = span, size, coverage(span.lines, self._face, letter, room)
        plate = self._set[2]
        high, wide = plate.shape[:2]
        room_high = size[1] - 2 * int(np.ceil(size[1] * SAFE))
        return (size[0] - wide) // 2, (size[1] - room_high) // 2 + room_high - high, plate


def sound_of(footage: Footage, given: Path | None) -> tuple[Path | None, str]:
    """(the file that holds the sound, '' or why there is none)."""
    import av

    if given is not None:
        return given, ""
    if footage.kind == "folder":
        return None, "a folder of frames has no sound: the film is silent (--sound FILE gives it one)"
    try:
        with av.open(str(footage.path)) as container:
            if not container.streams.audio:
                return None, f"{footage.path.name} has no sound: the film is silent"
    except (av.FFmpegError, OSError) as e:
        raise ShowError(Problem(str(footage.path), f"cannot be read ({e})", "a film")) from None
    return footage.path, ""


def sound_problems(path: Path | None) -> list[Problem]:
    """What is wrong with a file of sound, before the work that it is for."""
    import av

    if path is None:
        return []
    try:
        with av.open(str(path)) as container:
            return [] if container.streams.audio else [Problem(f"--sound {path}", "holds no sound", "a file with sound")]
    except (av.FFmpegError, OSError) as e:
        return [Problem(f"--sound {path}", f"cannot be read ({e.strerror})", "a file with sound")]


def sound_between(path: Path, rate: Fraction, first: int, end: int) -> Sound:
    """The sound that belongs to the film frames [first, end), float32 [samples, channels] at 48 kHz; silence where it has
    ended. Raises ShowError."""
    from player.sound_file import decode, samples_at, to_float

    pcm = decode(path)
    begin, stop = samples_at(first, rate), samples_at(end, rate)
    part = pcm[begin:stop]
    if len(part) < stop - begin:
        part = np.concatenate([part, np.zeros((stop - begin - len(part), pcm.shape[1]), np.int16)])
    return to_float(part)


def square_size(footage: Footage) -> tuple[int, int]:
    """Width and height of the film in square pixels, even."""
    width, height = footage.size
    wide = round(width * footage.pixel_aspect)
    return wide + wide % 2, height + height % 2


def size_note(footage: Footage) -> str:
    """'' or what is said of a film whose frames have an odd side."""
    width, height = footage.size if footage.pixel_aspect == 1 else square_size(footage)
    wide, high = width + width % 2, height + height % 2
    if (wide, high) == (width, height):
        return ""
    return f"a film's sides are even: it becomes {wide}x{high}, the last row or column of the {width}x{height} frames twice"


def write_film(output: Path, footage: Footage, folder: Path, files: list[str], frames: range, quality: int,
               sound: Path | None, burner: Burner | None, tick: Callable[[int], object]) -> None:  # fmt: skip
    """The film of the frames [first, end) that lie in `folder`, whole or not at all. Raises ShowError where one is missing."""
    samples = None if sound is None else sound_between(sound, footage.rate, frames.start, frames.stop)
    size = footage.size if footage.pixel_aspect == 1 else square_size(footage)
    with Recorder(output, size, footage.rate, samples, crf=quality, preset="medium", layout=layout_of(sound),
                  comment=part_comment(frames, footage.frames)) as recorder:  # fmt: skip
        for index, frame in enumerate(frames):
            path = folder / files[frame]
            if not path.is_file():
                raise ShowError(Problem(str(path), f"is not there: frame {frame} was never made", "", "the same command again"))
            picture = picture_of(path)
            if picture.shape[1::-1] != size:
                picture = np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS), np.uint8)
            recorder.add(burner.over(picture, frame) if burner is not None else np.ascontiguousarray(picture), index)
            tick(index + 1)
    if recorder.frames != len(frames):
        raise ShowError(Problem(str(output), f"holds {recorder.frames} frames", f"{len(frames)}, as the original"))
