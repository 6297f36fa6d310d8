"""Records what a live show presents: its refreshes as pictures, and the sound that its transport played."""

from __future__ import annotations

import collections
import logging
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from player.recorder import SAMPLE_RATE_HZ, Recorder, layout_of
from player.show.show import Show
from player.sound_file import Samples, read_samples
from player.soundtrack import DECLICK, FADE_IN, Line, lay, line_of
from player.state import ShowState, Transport

log = logging.getLogger("cineml")


class LiveRecorder:
    """A Recorder fed with states. The sound is laid from the soundtrack by the same lines that the sound card plays,
    so that seeks, pauses, volume and mute are heard where they were; it needs no sound card.

    fps: of the recording, the screen's refresh rate. lossless: x264 without loss, for measuring in pixels. pcm: the
    show's sound from read_samples or Soundtrack.pcm, so as to read it once. Raises ShowError where the path or the
    soundtrack is no good.
    """

    def __init__(self, path: Path, size_px: tuple[int, int], fps: Fraction, show: Show, lossless: bool = False,
                 pcm: Samples | None = None):
        self._show, self._fps = show, fps
        self._pcm = read_samples(show) if pcm is None else pcm
        # (first sample of the recording, line, gain): put in by the loop, taken out by the encoder's thread. Bounded for
        # an encoder that has stopped; the newest count.
        self._changes: collections.deque[tuple[int, Line, float]] = collections.deque(maxlen=4096)
        self._told: tuple[Transport, float] | None = None
        self._begin_s: float | None = None
        self.faults = 0  # refreshes that could not be taken
        # The encoder's side: what sounds, what fades out under it, and from which sample that began.
        self._sounding: tuple[Line, float] | None = None
        self._fading: tuple[Line, float] = (Line(), 0.0)
        self._fade_at = -DECLICK
        self._recorder = Recorder(path, size_px, fps, self._sound, realtime=True, crf=0 if lossless else 18,
                                  layout=layout_of(show.film.sound))  # fmt: skip

    def take(self, state: ShowState, refresh: int, pixels: npt.NDArray[np.uint8]) -> None:
        """One presented refresh. Never raises: a recording that goes wrong does not end the show."""
        try:
            self._take(state, pixels)
        except Exception as e:
            self.faults += 1
            if self.faults == 1:
                log.error("a refresh could not be recorded (%s); the picture before it is held", e)

    def _take(self, state: ShowState, pixels: npt.NDArray[np.uint8]) -> None:
        if self._begin_s is None:
            self._begin_s = state.show_time_s
        at_s = state.show_time_s - self._begin_s
        gain = 0.0 if state.mute or state.stopped else state.volume
        if self._told is None or self._told[0] is not state.transport or self._told[1] != gain:
            self._told = (state.transport, gain)
            self._changes.append((round(at_s * SAMPLE_RATE_HZ), line_of(state.transport, self._show), gain))
        self._recorder.add(pixels, round(at_s * self._fps))

    def _sound(self, start: int, count: int) -> npt.NDArray[np.float32]:
        """Samples [start, start + count) of the recording, float32 [count, channels]; asked for in order. Each change
        of line or gain is a linear crossfade of DECLICK samples; one that comes in the middle of it waits for its end,
        and of several that wait the newest counts."""
        out = np.empty((count, self._pcm.shape[1]), np.float32)
        at, end = start, start + count
        while at < end:
            if at >= self._fade_at + DECLICK:
                self._change(at)
            stop, into = end, at - self._fade_at
            if into < DECLICK:
                stop = min(end, self._fade_at + DECLICK)
            elif self._changes:
                stop = min(end, max(self._changes[0][0], at + 1))
            piece = self._piece(self._sounding, at, stop)
            if into < DECLICK:
                weight = FADE_IN[into : into + stop - at]
                piece = piece * weight + self._piece(self._fading, at, stop) * (1 - weight)
            out[at - start : stop - start] = piece
            at = stop
        return out

    def _change(self, at: int) -> None:
        """Goes over to the newest change that is due at a sample; the first of all begins without a fade."""
        due = None
        while self._changes and self._changes[0][0] <= at:
            due = self._changes.popleft()[1:]
        if due is not None:
            if self._sounding is not None:
                self._fading, self._fade_at = self._sounding, at
            self._sounding = due

    def _piece(self, sounding: tuple[Line, float] | None, first: int, end: int) -> npt.NDArray[np.float32]:
        """Samples [first, end) of the recording as one line and gain have them, float32 [end - first, channels]."""
        piece = np.zeros((end - first, self._pcm.shape[1]), np.float32)
        if sounding is not None and sounding[1] > 0.0:
            lay(piece, self._pcm, sounding[0], round((self._begin_s or 0.0) * SAMPLE_RATE_HZ) + first)
            piece *= np.float32(sounding[1])
        return piece

    def finish(self) -> Path:
        """The whole recording at its place; its path. Raises ShowError where something failed on the way."""
        if self.faults > 1:
            log.error("%d refreshes could not be recorded", self.faults)
        return self._recorder.finish()

    def close(self) -> None:
        """Leaves nothing of a recording that was not finished."""
        self._recorder.abort()
