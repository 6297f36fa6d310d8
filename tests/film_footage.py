"""Films written for tests: of any rate, container, shape and trouble."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

Picture = Callable[[int], np.ndarray]


def scene(width: int = 96, height: int = 64, colour: bool = False) -> Picture:
    """Pictures in which something moves: a bright ground with a dark square; frame n has it at 3 n."""

    def picture(n: int) -> np.ndarray:
        y, x = np.mgrid[:height, :width]
        ground = (120 + 80 * np.sin(x / 7) * np.cos(y / 9)).astype(np.uint8)
        made = np.repeat(ground[..., None], 3, 2)
        at = 3 * n % (width - 16)
        made[height // 3 : height // 3 + 16, at : at + 16] = (200, 30, 20) if colour else 20
        return made

    return picture


def staged(n: int) -> np.ndarray:
    """24 frames in which something moves, 8 black ones, 16 of a still with a little noise."""
    if n < 24:
        return scene()(n)
    noise = np.random.default_rng(n).normal(0, 1, (64, 96, 1))
    still = np.zeros((64, 96, 3)) if n < 32 else scene()(10).astype(float)
    return np.clip(still + noise, 0, 255).astype(np.uint8)


def write_film(path: Path, frames: int = 48, rate: Fraction | int = 24, picture: Picture | None = None,
               codec: str = "libx264", form: str = "", pixels: str = "yuv420p", stamps: Sequence[int] | None = None,
               base: Fraction | None = None, aspect: Fraction | None = None, turned: int = 0,
               options: dict[str, str] | None = None, sound: Sequence[np.ndarray] = (), hz: int = 48000,
               sound_codec: str = "flac", sound_at: int = 0) -> Path:  # fmt: skip
    """A film. stamps: of the frames, in units of base. turned: degrees to the left. sound: int16 [samples, channels] of each
    track, which begins at sample sound_at."""
    import av

    picture = picture or scene()
    first = picture(0)
    with av.open(str(path), "w", format=form or None) as out:
        stream: Any = out.add_stream(codec, rate=Fraction(rate), options=options or {})
        stream.width, stream.height, stream.pix_fmt = first.shape[1], first.shape[0], pixels
        stream.codec_context.gop_size = 12
        if base is not None:
            stream.time_base = stream.codec_context.time_base = base
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        if turned:
            stream.set_display_rotation(turned)
        tracks: list[Any] = [out.add_stream(sound_codec, rate=hz, layout=_layout(s)) for s in sound]
        for n in range(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture(n)), format="rgb24").reformat(format=pixels)
            if stamps is not None:
                frame.pts, frame.time_base = stamps[n], base
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        for track, samples in zip(tracks, sound, strict=True):
            for at in range(0, len(samples), 4096):
                block = np.ascontiguousarray(samples[at : at + 4096])
                made = av.AudioFrame.from_ndarray(block.reshape(1, -1), format="s16", layout=_layout(samples))
                made.sample_rate, made.pts, made.time_base = hz, sound_at + at, Fraction(1, hz)
                out.mux(track.encode(made))
            out.mux(track.encode(None))
    return path


def _layout(samples: np.ndarray) -> str:
    return "stereo" if samples.shape[1] == 2 else "mono"


def decoded_sound(path: Path, form: str = "s16") -> np.ndarray:
    """All samples of a file's first sound track, [samples, channels]."""
    import av

    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        same = av.AudioResampler(format=form, layout=stream.layout.name, rate=stream.rate)
        channels = len(stream.layout.channels)
        parts = []
        for frame in container.decode(stream):
            frame.pts = None
            parts += [f.to_ndarray().reshape(-1, channels) for f in same.resample(frame)]
        parts += [f.to_ndarray().reshape(-1, channels) for f in same.resample(None)]
    return np.concatenate(parts)
