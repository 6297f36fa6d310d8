"""The soundtrack's samples: any sound file at 48 kHz and exactly as long as the film; the test card's clicks.

Kept as int16: a 90 minute stereo film is 1 GB that way and would be 2 GB as float32.
"""

from __future__ import annotations

import logging
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from player.show.film import Film
from player.show.problem import Problem, ShowError
from player.show.show import Show

log = logging.getLogger("cineml.sound")

SAMPLE_RATE_HZ = 48_000
CLICK_S = Fraction(1, 100)
CLICK_HZ = 1_000
CLICK_LEVEL = 0.5
OGG_PAGE_BYTES = 27 + 255 + 255 * 255  # at most
OGG_END = 4  # the end-of-stream bit of a page's header type, its byte 5
MISSING_S = 0.25  # a file that ends this much before its own header says is truncated; encoders pad by less

Samples = npt.NDArray[np.int16]


def samples_at(frames: Fraction | int, rate: Fraction) -> int:
    """The sample of a film position: round(frames * 48000 / rate)."""
    return round(Fraction(frames) * SAMPLE_RATE_HZ / rate)


def read_samples(show: Show) -> Samples:
    """The show's sound, int16 [samples, channels] at 48 kHz, padded with silence or trimmed to the film's exact length,
    samples_at(film.frames, film.rate). A show without sound gets two silent channels.

    Raises ShowError when the file is missing, holds no sound, is damaged or truncated.
    """
    if show.film.sound is None:
        if show.film.path is None and show.source == "testcard":
            return click_track(show)
        return np.zeros((samples_at(show.film.frames, show.film.rate), 2), np.int16)
    return fitted(decode(show.film.sound), show.film, show.film.sound.name)


def read_soundtrack(show: Show) -> npt.NDArray[np.float32]:
    """read_samples as float32 in -1..1, [samples, channels]. Raises ShowError as it does."""
    return to_float(read_samples(show))


def to_float(pcm: Samples) -> npt.NDArray[np.float32]:
    """int16 to float32 in -1..1 (32768 = 1)."""
    return pcm.astype(np.float32) * np.float32(1 / 32768)


def click_track(show: Show) -> Samples:
    """The test card's sound: 10 ms of 1 kHz at each exact film second, int16 [samples, 2]."""
    length = samples_at(show.film.frames, show.film.rate)
    pcm = np.zeros((length, 2), np.int16)
    n = np.arange(int(CLICK_S * SAMPLE_RATE_HZ))
    burst = np.round(CLICK_LEVEL * 32767 * np.sin(2 * np.pi * CLICK_HZ * n / SAMPLE_RATE_HZ)).astype(np.int16)
    for start in range(0, length, SAMPLE_RATE_HZ):
        part = burst[: length - start]
        pcm[start : start + len(part)] = part[:, None]
    return pcm


def fitted(pcm: Samples, film: Film, name: str) -> Samples:
    """pcm padded with silence or trimmed to the film's exact length; a difference that is heard is said in the log."""
    length = samples_at(film.frames, film.rate)
    if abs(len(pcm) - length) > SAMPLE_RATE_HZ // 2:
        log.warning("%s lasts %.2f s, the film %.2f s: %s", name, len(pcm) / SAMPLE_RATE_HZ, float(film.duration_s),
                    "trimmed" if len(pcm) > length else "silence follows")
    if len(pcm) >= length:
        return pcm[:length]
    return np.concatenate([pcm, np.zeros((length - len(pcm), pcm.shape[1]), np.int16)])


def decode(path: Path) -> Samples:
    """The first sound stream of a file, int16 [samples, channels] at 48 kHz, beginning where the file's picture does
    (or with its first sample, where it holds no picture).

    Raises ShowError when the file is missing, holds no sound, is damaged or ends before its header says.
    """
    import av  # half a second to load, and a show without a sound file needs none of it

    if not path.is_file():
        raise ShowError(Problem(str(path), "the sound is not there", "a sound file, or a film with sound"))
    parts: list[npt.NDArray[np.int16]] = []
    try:
        with av.open(str(path)) as container:
            if not container.streams.audio:
                raise ShowError(Problem(path.name, "holds no sound", "a file with a sound stream"))
            stream = container.streams.audio[0]
            resampler = av.AudioResampler(format="s16", layout=stream.layout.name, rate=SAMPLE_RATE_HZ)
            channels = len(stream.layout.channels)
            promised_s = _promised_s(container, stream)
            first_pts_s: float | None = None
            for frame in container.decode(stream):
                if first_pts_s is None:
                    first_pts_s = float(frame.pts * frame.time_base) if frame.pts is not None and frame.time_base else 0.0
                frame.pts = None  # gaps of a microsecond in time stamps must not make the resampler invent samples
                parts += [_packed(r, channels) for r in resampler.resample(frame)]
            if first_pts_s is not None:
                parts += [_packed(r, channels) for r in resampler.resample(None)]
            late_s = _after_picture_s(container, first_pts_s or 0.0)
    except (av.FFmpegError, ValueError) as e:
        raise ShowError(Problem(path.name, f"cannot be read as sound ({e})", "a whole sound file",
                                "is it complete? play it in another player")) from None
    if ogg_is_cut(path):
        raise ShowError(Problem(path.name, "is truncated: its last Ogg page does not end the stream", "a whole sound file",
                                "copy it again; a recorded web stream is mended by writing it anew as WAV or FLAC"))
    promised_s = wav_promised_s(path) or promised_s
    pcm = np.concatenate(parts) if parts else np.zeros((0, 2), np.int16)
    if len(pcm) == 0:
        raise ShowError(Problem(path.name, "its sound is empty", "a sound with at least one sample"))
    if promised_s is not None and len(pcm) / SAMPLE_RATE_HZ < promised_s - MISSING_S:
        raise ShowError(Problem(path.name, f"is truncated: {len(pcm) / SAMPLE_RATE_HZ:.2f} s of {promised_s:.2f} s are there",
                                "a whole sound file", "copy it again"))
    shift = round(late_s * SAMPLE_RATE_HZ)
    if shift > 0:
        pcm = np.concatenate([np.zeros((shift, pcm.shape[1]), np.int16), pcm])
    return pcm[-shift:] if shift < 0 else pcm


def wav_promised_s(path: Path) -> float | None:
    """How long a WAV says it is; FFmpeg believes the file's size instead, and so sees no WAV as truncated. None for
    other files and where the length is left open (a stream, RF64). Source: RIFF, Microsoft and IBM 1991."""
    with path.open("rb") as f:
        head = f.read(12)
        if len(head) < 12 or head[:4] != b"RIFF" or head[8:] != b"WAVE":
            return None
        bytes_a_second = 0
        while len(chunk := f.read(8)) == 8:
            size = int.from_bytes(chunk[4:], "little")
            if chunk[:4] == b"fmt ":
                body = f.read(size + size % 2)
                bytes_a_second = int.from_bytes(body[8:12], "little")
            elif chunk[:4] == b"data":
                return size / bytes_a_second if bytes_a_second and 0 < size < 0xFFFFFF00 else None
            else:
                f.seek(size + size % 2, 1)
    return None


def ogg_is_cut(path: Path) -> bool:
    """Whether an Ogg file (Vorbis, Opus, FLAC in Ogg) ends before its stream does; False for other files.

    Ogg says its length nowhere but in its last page, which FFmpeg takes from wherever the file ends. Only that page has
    the end-of-stream flag, and it must be there whole. Source: RFC 3533, section 6.
    """
    with path.open("rb") as f:
        if f.read(4) != b"OggS":
            return False
        size = f.seek(0, 2)
        f.seek(max(0, size - 2 * OGG_PAGE_BYTES))
        tail = f.read()
    at = tail.rfind(b"OggS\0")
    if at < 0 or len(tail) < at + 27:
        return True
    table = tail[at + 27 : at + 27 + tail[at + 26]]
    whole = len(table) == tail[at + 26] and len(tail) >= at + 27 + len(table) + sum(table)
    return not (whole and tail[at + 5] & OGG_END)


def _packed(frame: Any, channels: int) -> npt.NDArray[np.int16]:
    """One resampled block, int16 [samples, channels]."""
    block: npt.NDArray[np.int16] = frame.to_ndarray().reshape(-1, channels)
    return block


def _promised_s(container: Any, stream: Any) -> float | None:
    """How long the file says its sound is; None where it does not say."""
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return None


def _after_picture_s(container: Any, first_pts_s: float) -> float:
    """How much later than the first picture the sound begins; 0 in a file of sound alone."""
    for video in container.streams.video:
        still = "attached_pic" in str(getattr(video, "disposition", "")).lower()
        if not still and video.start_time is not None:
            return first_pts_s - float(video.start_time * video.time_base)
    return 0.0
