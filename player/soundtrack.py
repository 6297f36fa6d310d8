"""The soundtrack: one stream that always runs, and plays what belongs at its show time.

Sample n of the stream (counted, plus what the clock moved it by) is show time n / 48000. The callback looks up the film
position of each sample with whole numbers only, so that a loop has no gap and a week no drift. It never waits: the play
loop leaves it a tuple, and it leaves the clock another.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from player.clock import Pair
from player.show.problem import Problem, ShowError, nearest
from player.show.show import Show, SoundOut
from player.sound_file import SAMPLE_RATE_HZ, Samples, click_track, read_samples, read_soundtrack, samples_at
from player.state import Transport, period_frames

__all__ = ["Line", "NoSound", "Soundtrack", "click_track", "line_of", "read_soundtrack"]

log = logging.getLogger("cineml.sound")

DECLICK = SAMPLE_RATE_HZ // 200  # 5 ms: the shortest crossfade that does not click
RETRY_S = 3.0  # how often a device that has gone is looked for
GONE_AFTER_S = 1.0
LONG_AGO = SAMPLE_RATE_HZ * 86_400 * 365
FADE_IN = ((np.arange(DECLICK) + 0.5) / DECLICK).astype(np.float32)[:, None]  # [240, 1]
FULL = np.float32(1 / 32768)


class NoSound(Exception):
    """This machine has no sound: no PortAudio, or no device. Says which, in a few words."""


@dataclass(frozen=True)
class Line:
    """Which sample of the sound belongs to a sample of show time; whole numbers, exact for ever.

    at show sample n the film is at m = n + offset, and in loop k = floor(m / period) the sound's sample is
    m - ceil(k * period). silent: paused, stopped or at another rate than 1. length: of the sound. period: a fraction of
    samples, 0 = no loop. close: no pause between loops.
    """

    silent: bool = True
    offset: int = 0
    length: int = 0
    period: Fraction = Fraction(0)
    close: bool = True


def line_of(transport: Transport, show: Show) -> Line:
    """The line of a transport. The film's start falls on a sample to the nearest half (10 microseconds); from there on
    nothing is rounded."""
    if not transport.playing or transport.rate != 1:
        return Line()
    to_samples = SAMPLE_RATE_HZ / show.film.rate
    offset = round(transport.film_origin * to_samples - Fraction(transport.show_origin_s) * SAMPLE_RATE_HZ)
    period = period_frames(show) * to_samples if transport.loop else Fraction(0)
    return Line(False, offset, samples_at(show.film.frames, show.film.rate), period, show.loop_pause_s == 0)


def lay(out: npt.NDArray[np.float32], pcm: Samples, line: Line, n: int) -> None:
    """Writes the sound of show samples n .. n + len(out) into out [frames, channels], float32 in -1..1."""
    if line.silent:
        out.fill(0.0)
        return
    at, count = 0, len(out)
    while at < count:
        m = n + at + line.offset
        if m < 0:  # before the film: place_at holds its first frame, which makes no sound
            step = min(count - at, -m)
            out[at : at + step] = 0.0
            at += step
            continue
        first, end = 0, sys.maxsize
        if line.period:
            top, bottom = line.period.numerator, line.period.denominator
            k = m * bottom // top
            first, end = -(-k * top // bottom), -(-(k + 1) * top // bottom)
        i = m - first
        step = min(count - at, end - m)
        heard = min(step, max(line.length - i, 0))
        if heard:
            np.multiply(pcm[i : i + heard], FULL, out=out[at : at + heard], casting="unsafe")
        if heard < step:
            rest = out[at + heard : at + step]
            rest[:] = 0.0
            # A period that is no whole number of samples leaves every other loop one sample over: it is held.
            if line.close and line.period and line.length and line.period - line.length < 1:
                rest[:] = pcm[line.length - 1].astype(np.float32) * FULL
        at += step


def output_device(devices: list[dict[str, Any]], name: str) -> int | None:
    """Index of the output device of that name: the whole name, else part of it; case does not matter; '' = None, the
    default. Raises ShowError that lists the devices when none is called so."""
    if not name:
        return None
    outputs = [(i, str(d["name"])) for i, d in enumerate(devices) if d["max_output_channels"] > 0]
    for i, known in outputs:
        if known.lower() == name.lower():
            return i
    for i, known in outputs:
        if name.lower() in known.lower():
            return i
    names = [known for _, known in outputs]
    raise ShowError(Problem("sound: device", f"{name!r} is not there", ", ".join(names) or "this machine has no sound device",
                            nearest(name, names)))


def routes_of(sound_channels: int, asked: tuple[int, ...], device_channels: int) -> tuple[int, ...]:
    """For each channel of the device stream from 0 the soundtrack's channel that it plays, -1 = silence.

    asked: SoundOut.channels. Empty: in order, a single channel on both of the first two. Raises ShowError for channels
    that the device or the soundtrack does not have.
    """
    if not asked:
        if sound_channels == 1:
            return (0, 0) if device_channels >= 2 else (0,)
        asked = tuple(range(1, sound_channels + 1))
    at = "sound: channels"
    if len(asked) != sound_channels:
        raise ShowError(Problem(at, f"{list(asked)} names {len(asked)} device channels, the soundtrack has {sound_channels}",
                                f"one device channel for each of the {sound_channels}"))
    if min(asked) < 1 or max(asked) > device_channels or len(set(asked)) != len(asked):
        raise ShowError(Problem(at, f"{list(asked)} for a device of {device_channels} channels",
                                f"different numbers from 1 to {device_channels}", "a mix-down to fewer channels"))
    return tuple(asked.index(c) if c in asked else -1 for c in range(1, max(asked) + 1))


def _sounddevice(sound: SoundOut) -> Any:
    """The sounddevice module. Raises NoSound without PortAudio, ShowError if a device was asked for by name."""
    try:
        import sounddevice
    except OSError:
        if sound.device:
            raise ShowError(Problem("sound: device", f"{sound.device!r} cannot be opened without PortAudio", "",
                                    "install libportaudio2")) from None
        raise NoSound("PortAudio is not installed; libportaudio2 on Debian and Ubuntu") from None
    return sounddevice


def _device_and_routes(sd: Any, sound: SoundOut, sound_channels: int) -> tuple[int, str, tuple[int, ...]]:
    """Device index, its name and the routes. Raises ShowError, and NoSound where there is no device at all."""
    devices = [dict(d) for d in sd.query_devices()]
    index = output_device(devices, sound.device)
    if index is None:
        try:
            index = int(sd.query_devices(kind="output")["index"])
        except sd.PortAudioError:
            raise NoSound("no sound device") from None
    device_channels = int(devices[index]["max_output_channels"])
    return index, str(devices[index]["name"]), routes_of(sound_channels, sound.channels, device_channels)


class Soundtrack:
    """The stream, from start() to close(). follow() once a refresh says what to play; `published` says what is heard.

    A thread looks after the stream: when the device goes, it is opened again every RETRY_S, and plays on where the
    clock has gone to meanwhile. The constructor raises ShowError for a sound file that cannot be read and for a device or
    channels that were asked for and are not there; NoSound where this machine has none and none was asked for.
    """

    def __init__(self, show: Show, venue_sound: SoundOut) -> None:
        self._sound = venue_sound
        problems: list[Problem] = []
        pcm: Samples | None = None
        try:
            pcm = read_samples(show)
        except ShowError as e:
            problems += e.problems
        try:
            self._sd = _sounddevice(venue_sound)
            # Looked for already here, so that a person hears of a bad file and a bad device in one go.
            self._device, self._routes = _device_and_routes(self._sd, venue_sound, pcm.shape[1] if pcm is not None else 1)[1:]
        except ShowError as e:
            problems += e.problems if pcm is not None or not venue_sound.channels else ()
        except NoSound:
            if not problems:
                raise
        if problems or pcm is None:
            raise ShowError(problems)
        self._pcm: Samples = pcm
        self._name = show.film.sound.name if show.film.sound else "test card clicks" if pcm.any() else "silence"
        self._stream: Any = None
        self._keeper: threading.Thread | None = None
        self._closing = threading.Event()
        # One-way hand-overs, each a single reference that one thread replaces and the other reads.
        self._told: tuple[Line, float] = (Line(), 0.0)
        self._followed: tuple[Transport, Show] | None = None
        self._published: Pair | None = None
        self._moved = (0, 0)  # samples of show time that the clock added in all, and how often it did
        # The callback's own.
        self._count = 0
        self._streams = 0
        self._line, self._gain, self._playing_move = Line(), 0.0, (0, 0)
        self._old: tuple[Line, int] | None = None
        self._faded = 0
        self._underruns = 0
        self._faults = 0
        self._restarts = 0

    @property
    def pcm(self) -> Samples:
        """The sound as it was read, int16 [samples, channels] at 48 kHz, so that a recorder need not read it again."""
        return self._pcm

    @property
    def published(self) -> Pair | None:
        """The newest block's pair; None before the first."""
        return self._published

    @property
    def running(self) -> bool:
        """Whether blocks were asked for within the last second."""
        pair = self._published
        return pair is not None and self._stream is not None and time.perf_counter() - pair.perf_s < GONE_AFTER_S

    @property
    def lead_s(self) -> float:
        """How far ahead of what is heard the buffer is filled: a film that begins this much later begins with its first
        sample."""
        pair = self._published
        if pair is None:
            return 0.0
        ahead_s = pair.dac_s - pair.stream_s
        return max(ahead_s if 0 < ahead_s < 2 else pair.latency_s, 0.02) + 0.03

    def start(self) -> None:
        """Opens the stream. Where that fails now (a device in use), it is tried again every RETRY_S."""
        try:
            self._open()
            log.info("sound: %s on %s, %d channels, buffer %.0f ms", self._name, self._device, len(self._routes),
                     self._stream.latency * 1e3)
        except (self._sd.PortAudioError, ShowError, NoSound) as e:
            log.warning("sound: %s cannot be opened (%s); trying again every %.0f s", self._device, e, RETRY_S)
            self._shut()
        self._keeper = threading.Thread(target=self._keep, name="soundtrack keeper", daemon=True)
        self._keeper.start()

    def follow(self, transport: Transport, show: Show, gain: float) -> None:
        """What to play from the next block on. gain: 0..1, ramped within a block. Cheap when nothing changed."""
        line, old_gain = self._told
        if self._followed is None or self._followed[0] is not transport or self._followed[1] is not show:
            line, self._followed = line_of(transport, show), (transport, show)
        elif gain == old_gain:
            return
        self._told = (line, float(gain))

    def move(self, samples: int) -> None:
        """Plays `samples` later in show time from the next block on; the clock's, see clock.PairSource."""
        self._moved = (self._moved[0] + samples, self._moved[1] + 1)

    def close(self) -> None:
        """Ends the stream."""
        self._closing.set()
        if self._keeper is not None:
            self._keeper.join(2.0)
        self._shut()

    def facts(self) -> dict[str, Any]:
        """For overlay, doctor and bench."""
        stream = self._stream
        return {"sound": self._name, "device": self._device, "running": self.running, "channels": len(self._routes),
                "sample_rate_hz": SAMPLE_RATE_HZ, "latency_ms": round(stream.latency * 1e3, 1) if stream else None,
                "underruns": self._underruns, "faults": self._faults, "restarts": self._restarts}

    def _open(self) -> None:
        index, self._device, self._routes = _device_and_routes(self._sd, self._sound, self._pcm.shape[1])
        self._streams += 1
        if (last := self._published) is not None:  # where show time has gone to, nearly; the clock moves the rest
            self._count = last.samples - self._moved[0] + round((time.perf_counter() - last.perf_s) * SAMPLE_RATE_HZ)
        elif self._keeper is not None:  # the show began without sound: silence, from before it, until the clock moves it
            self._count = -LONG_AGO
        stream = self._sd.OutputStream(device=index, samplerate=SAMPLE_RATE_HZ, channels=len(self._routes), dtype="float32",
                                       latency=self._sound.buffer_ms / 1e3, callback=self._block)
        self._stream = stream
        stream.start()

    def _shut(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            try:
                stream.abort()
                stream.close()
            except self._sd.PortAudioError:
                pass  # a device that was pulled out cannot be closed either

    def _keep(self) -> None:
        """The keeper thread: sleeps; brings a lost stream back."""
        opened_s, looks = time.perf_counter(), 0
        while not self._closing.wait(0.25):
            now_s = time.perf_counter()
            pair = self._published
            looks = 0 if now_s - max(pair.perf_s if pair else 0.0, opened_s) < GONE_AFTER_S else looks + 1
            if looks < 3:  # once may be this process that was held up, and not the device
                continue
            if self._stream is not None:
                log.warning("sound: %s gives no sign; trying to open it again every %.0f s", self._device, RETRY_S)
                self._shut()
            if self._closing.wait(RETRY_S):
                return
            try:
                # PortAudio lists the devices once, when it begins: a card that came back is seen by a new beginning.
                self._sd._terminate()
                self._sd._initialize()
                self._open()
                self._restarts += 1
                log.info("sound: %s is open again", self._device)
            except (self._sd.PortAudioError, ShowError, NoSound) as e:
                log.debug("sound: still not there (%s)", e)
                self._shut()
            opened_s = time.perf_counter()

    def _block(self, out: npt.NDArray[np.float32], frames: int, when: Any, status: Any) -> None:
        """PortAudio's callback: fills out [frames, channels]."""
        moved = self._moved if self._old is None else self._playing_move  # not in the middle of a crossfade
        n = self._count + moved[0]
        try:
            stream = self._stream
            latency_s, stream_s = 0.0, 0.0
            try:
                latency_s, stream_s = stream.latency, stream.time
            except (AttributeError, self._sd.PortAudioError):
                pass  # a driver without a clock: the pair is not plausible, and the clock counts samples
            self._underruns += bool(status)
            self._published = Pair(n, when.outputBufferDacTime, stream_s, time.perf_counter(), latency_s,
                                   self._streams + moved[1] + self._underruns)
            self._fill(out, n, moved)
        except Exception:  # an exception would end the stream, and with it the clock
            out.fill(0.0)
            self._faults += 1
        self._count += frames

    def _fill(self, out: npt.NDArray[np.float32], n: int, moved: tuple[int, int]) -> None:
        """One block from show sample n on. A change of line begins a crossfade of DECLICK samples."""
        line, gain = self._told
        if self._old is None and (line != self._line or moved != self._playing_move):
            # The old line goes on for 5 ms in its own count, which a move of the clock has not touched.
            self._old = (self._line, self._playing_move[0] - moved[0])
            self._line, self._playing_move = line, moved
            self._faded = 0
        mixed = self._mixed(len(out), n)  # [frames, sound channels]
        if gain != self._gain:
            mixed *= np.linspace(self._gain, gain, len(mixed) + 1, dtype=np.float32)[1:, None]
            self._gain = gain
        elif gain != 1.0:
            mixed *= np.float32(gain)
        for channel, source in enumerate(self._routes):
            if source < 0:
                out[:, channel] = 0.0
            else:
                out[:, channel] = mixed[:, source]

    def _mixed(self, frames: int, n: int) -> npt.NDArray[np.float32]:
        """The sound of show samples n .. n + frames with a crossfade that is under way, [frames, sound channels]."""
        pcm = self._pcm
        mixed = np.empty((frames, pcm.shape[1]), np.float32)
        lay(mixed, pcm, self._line, n)
        if self._old is not None:
            old_line, back = self._old
            count = min(DECLICK - self._faded, frames)
            old = np.empty((count, pcm.shape[1]), np.float32)
            lay(old, pcm, old_line, n + back)
            weight = FADE_IN[self._faded : self._faded + count]
            mixed[:count] = mixed[:count] * weight + old * (1 - weight)
            self._faded += count
            if self._faded >= DECLICK:
                self._old = None
        return mixed
