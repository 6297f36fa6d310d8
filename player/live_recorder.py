"""Records what a live show presents: its refreshes as pictures, and the sound that its transport played."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from player.recorder import SAMPLE_RATE_HZ, Recorder
from player.show.show import Show
from player.sound_file import read_samples
from player.soundtrack import Line, lay, line_of
from player.state import ShowState, Transport


class LiveRecorder:
    """A Recorder fed with states. The sound is laid from the soundtrack by the same lines that the sound card plays,
    so that seeks, pauses, volume and mute are heard where they were; it needs no sound card.

    fps: of the recording, the screen's refresh rate. lossless: x264 without loss, for measuring in pixels.
    Raises ShowError where the path or the soundtrack is no good.
    """

    def __init__(self, path: Path, size_px: tuple[int, int], fps: Fraction, show: Show, lossless: bool = False):
        self._show, self._fps = show, fps
        self._pcm = read_samples(show)
        # (first sample of the recording, line, gain): appended by the loop, read by the encoder's thread.
        self._lines: list[tuple[int, Line, float]] = []
        self._told: tuple[Transport, float] | None = None
        self._begin_s: float | None = None
        self._recorder = Recorder(path, size_px, fps, self._sound, realtime=True, crf=0 if lossless else 18)

    def take(self, state: ShowState, refresh: int, pixels: npt.NDArray[np.uint8]) -> None:
        """One presented refresh."""
        if self._begin_s is None:
            self._begin_s = state.show_time_s
        at_s = state.show_time_s - self._begin_s
        gain = 0.0 if state.mute or state.stopped else state.volume
        if self._told is None or self._told[0] is not state.transport or self._told[1] != gain:
            self._told = (state.transport, gain)
            self._lines.append((round(at_s * SAMPLE_RATE_HZ), line_of(state.transport, self._show), gain))
            if len(self._lines) > 4096:  # a week of a hand on the volume: what is long encoded is forgotten
                del self._lines[:2048]
        self._recorder.add(pixels, round(at_s * self._fps))

    def _sound(self, start: int, count: int) -> npt.NDArray[np.float32]:
        """Samples [start, start + count) of the recording, float32 [count, channels]."""
        out = np.zeros((count, self._pcm.shape[1]), np.float32)
        lines, begin = list(self._lines), round((self._begin_s or 0.0) * SAMPLE_RATE_HZ)
        ends = [first for first, _, _ in lines[1:]] + [start + count]
        for (first, line, gain), end in zip(lines, ends, strict=False):
            a, b = max(first, start), min(end, start + count)
            if a < b and gain > 0.0:
                piece = out[a - start : b - start]
                lay(piece, self._pcm, line, begin + a)
                piece *= gain
        return out

    def finish(self) -> Path:
        """The whole recording at its place; its path."""
        return self._recorder.finish()

    def close(self) -> None:
        """Leaves nothing of a recording that was not finished."""
        self._recorder.abort()
