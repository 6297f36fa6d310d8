"""The demo film's soundtrack, synthesised: every event begins on the first sample of its frame.

48 kHz stereo, frames * 48000 / 24 samples exactly. Instruments are plain additive and filtered-noise synthesis with
seeded noise, so that the same events give the same samples.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

SAMPLE_RATE = 48000
FRAME_SAMPLES = SAMPLE_RATE // 24
PEAK = 10 ** (-1.5 / 20)

# Chords of the film's slow music, as MIDI notes; one after the other at each chord event.
CHORDS = (
    (50, 57, 62, 65, 69), (46, 58, 62, 65, 69), (43, 55, 58, 62, 67),
    (48, 55, 60, 64, 67), (45, 57, 60, 64, 67), (41, 53, 57, 60, 67),
)
TWIST_BASS = (40, 40, 47, 40, 45, 45, 52, 45, 47, 45, 40, 47)
WALTZ = ((43, 71), (59, 74), (62, 71), (42, 69), (57, 72), (62, 69), (40, 67), (59, 71), (64, 67), (43, 71))


def _time(seconds: float) -> Array:
    return np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE


def _noise(seed: int, count: int) -> Array:
    return np.random.default_rng(seed).standard_normal(count)


def _band(x: Array, low_hz: float, high_hz: float) -> Array:
    """Keeps a band by a smooth window in the spectrum; causal enough here because sounds are enveloped afterwards."""
    spectrum = np.fft.rfft(x)
    f = np.fft.rfftfreq(len(x), 1 / SAMPLE_RATE)
    gain = 1 / (1 + (low_hz / np.maximum(f, 1e-3)) ** 4) / (1 + (f / high_hz) ** 4)
    return np.asarray(np.fft.irfft(spectrum * gain, len(x)))


def _pitch(note: float) -> float:
    return float(440.0 * 2 ** ((note - 69) / 12))


def _struck(note: float, seconds: float, bright: float, decay: float) -> Array:
    """A struck string or bar: decaying partials, upper ones faster."""
    t = _time(seconds)
    f = _pitch(note)
    out = np.zeros_like(t)
    for k in range(1, 9):
        fk = f * k * np.sqrt(1 + 0.0004 * k * k)
        if fk > 9000:
            break
        out += bright ** (k - 1) * np.sin(2 * np.pi * fk * t + 0.3 * k) * np.exp(-t * decay * (0.6 + 0.4 * k))
    attack = np.minimum(t / 0.0012, 1.0)
    release = np.minimum((seconds - t) / 0.05, 1.0)
    return np.asarray(out * attack * release)


def chord(index: int) -> Array:
    """A soft low piano chord."""
    notes = CHORDS[index % len(CHORDS)]
    out = sum((_struck(n, 4.0, 0.42, 0.9) * (0.9 if k == 0 else 0.5) for k, n in enumerate(notes)), np.zeros(4 * SAMPLE_RATE))
    knock = _band(_noise(900 + index, len(out)), 90, 900) * np.exp(-_time(4.0) * 160)
    return 0.22 * np.asarray(out) + 0.10 * knock


def step(index: int) -> Array:
    """A leather sole on a hard floor: heel knock, then the softer toe."""
    t = _time(0.35)
    heel = _band(_noise(100 + index, len(t)), 160, 1900) * np.exp(-t * 75)
    body = np.sin(2 * np.pi * (92 + 6 * (index % 3)) * t) * np.exp(-t * 48)
    late = np.maximum(t - 0.105, 0.0)
    toe = _band(_noise(200 + index, len(t)), 500, 3200) * np.exp(-late * 90) * (t >= 0.105)
    return np.asarray(0.34 * heel + 0.36 * body + 0.10 * toe)


def heel(index: int) -> Array:
    """A lighter, higher step."""
    t = _time(0.25)
    click = _band(_noise(300 + index, len(t)), 900, 5200) * np.exp(-t * 150)
    return np.asarray(0.30 * click + 0.16 * np.sin(2 * np.pi * 310 * t) * np.exp(-t * 95))


def clap(index: int) -> Array:
    """Two palms: a short burst and the hollow between the hands."""
    t = _time(0.3)
    burst = _band(_noise(400 + index, len(t)), 700, 6500) * np.exp(-t * 95)
    hollow = _band(_noise(450 + index, len(t)), 700 + 40 * (index % 4), 1700) * np.exp(-t * 38)
    return np.asarray(0.62 * burst + 0.30 * hollow)


def tick(index: int) -> Array:
    """A wood block."""
    t = _time(0.2)
    low, high = np.sin(2 * np.pi * 1180 * t), np.sin(2 * np.pi * 1790 * t)
    return np.asarray(0.4 * low * np.exp(-t * 60) + 0.2 * high * np.exp(-t * 90))


def chair(index: int) -> Array:
    """Weight on a wooden chair, a short creak."""
    t = _time(0.5)
    thump = np.sin(2 * np.pi * 74 * t) * np.exp(-t * 30) + 0.5 * _band(_noise(500 + index, len(t)), 100, 1200) * np.exp(-t * 55)
    creak = np.sin(2 * np.pi * (330 * t + 60 * t * t)) * (np.sin(2 * np.pi * 31 * t) > 0.6) * np.exp(-((t - 0.16) / 0.07) ** 2)
    return np.asarray(0.42 * thump + 0.04 * creak)


def cutlery(index: int) -> Array:
    """A fork on china."""
    t = _time(0.7)
    out = np.zeros_like(t)
    for k, f in enumerate((2950.0, 4210.0, 5630.0, 7480.0)):
        out += 0.6**k * np.sin(2 * np.pi * (f + 90 * (index % 4)) * t + k) * np.exp(-t * (11 + 7 * k))
    scrape = _band(_noise(600 + index, len(t)), 2500, 8000) * np.exp(-t * 60)
    return np.asarray(0.10 * out + 0.14 * scrape)


def breath(index: int) -> Array:
    """A long outward breath."""
    t = _time(1.3)
    swell = np.minimum(t / 0.0008, 1.0) * (0.35 + 0.65 * np.sqrt(np.minimum(t / 0.25, 1.0)))
    shape = swell * np.exp(-np.maximum(t - 0.25, 0.0) * 3.2) * np.minimum((1.3 - t) / 0.1, 1.0)
    return np.asarray(0.055 * _band(_noise(700 + index, len(t)), 350, 2600) * shape)


def leap(index: int) -> Array:
    """The push from the floor."""
    t = _time(0.3)
    return np.asarray(0.26 * _band(_noise(750 + index, len(t)), 200, 2600) * np.exp(-t * 45))


def land(index: int) -> Array:
    """Both feet on the floor."""
    t = _time(0.6)
    low = np.sin(2 * np.pi * (68 * t - 18 * t * t)) * np.exp(-t * 17)
    return np.asarray(0.62 * low + 0.34 * _band(_noise(800 + index, len(t)), 120, 1800) * np.exp(-t * 48))


def beat(index: int) -> Array:
    """The twist: plucked bass on every beat, snare on every other, a brushed off-beat."""
    t = _time(0.42)
    bass = _struck(TWIST_BASS[index % len(TWIST_BASS)], 0.42, 0.55, 5.0)
    kick = np.sin(2 * np.pi * (52 * t + 3.2 * (1 - np.exp(-t * 45)))) * np.exp(-t * 16)
    snare = _band(_noise(850 + index, len(t)), 500, 7000) * np.exp(-t * 30)
    late = np.maximum(t - 5 / 24, 0.0)
    brush = _band(_noise(860 + index, len(t)), 4500, 11000) * np.exp(-late * 60) * (t >= 5 / 24)
    return np.asarray(0.28 * bass + (0.34 * snare if index % 2 else 0.46 * kick) + 0.07 * brush)


def waltz(index: int) -> Array:
    """Bass and melody of a slow waltz on their steps."""
    low, high = WALTZ[index % len(WALTZ)]
    out = np.zeros(int(1.6 * SAMPLE_RATE))
    out += 0.30 * _struck(low, 1.6, 0.40, 1.6) + 0.16 * _struck(high, 1.6, 0.30, 2.2)
    return out


INSTRUMENTS: dict[str, tuple[Callable[[int], Array], float, float]] = {  # sound, place left -1 .. right 1, room
    "chord": (chord, 0.0, 0.30), "step": (step, -0.1, 0.22), "heel": (heel, 0.25, 0.22), "clap": (clap, 0.0, 0.28),
    "tick": (tick, 0.15, 0.25), "chair": (chair, 0.1, 0.15), "cutlery": (cutlery, -0.2, 0.12), "breath": (breath, 0.0, 0.10),
    "leap": (leap, 0.0, 0.15), "land": (land, 0.0, 0.25), "beat": (beat, 0.0, 0.10), "waltz": (waltz, 0.05, 0.22),
}


def _room_answer() -> Array:
    """The room's answer [samples, 2]: decaying noise, different left and right, with nothing before 4 ms."""
    t = _time(1.1)
    shape = np.exp(-t * 5.5) * (t > 0.004)
    sides = [_band(_noise(40 + side, len(t)), 180, 5200) * shape for side in (0, 1)]
    both = np.stack(sides, axis=1)
    return np.asarray(both / np.sqrt((both**2).sum(axis=0)))


def _convolve(x: Array, answer: Array) -> Array:
    size = 1 << int(np.ceil(np.log2(len(x) + len(answer))))
    return np.asarray(np.fft.irfft(np.fft.rfft(x, size) * np.fft.rfft(answer, size), size)[: len(x)])


def soundtrack(frames: int, events: Iterable[tuple[int, str]]) -> NDArray[np.float32]:
    """The mix [frames * 2000, 2] float32 within -1.5 dBFS; events are (frame, kind). Raises KeyError for an unknown kind."""
    count = frames * FRAME_SAMPLES
    dry, wet = np.zeros((count, 2)), np.zeros(count)
    seen: dict[str, int] = {}
    for frame, kind in sorted(events):
        make, place, room = INSTRUMENTS[kind]
        index = seen[kind] = seen.get(kind, -1) + 1
        sound = make(index)[: count - frame * FRAME_SAMPLES]
        at = slice(frame * FRAME_SAMPLES, frame * FRAME_SAMPLES + len(sound))
        angle = (place + 1) * np.pi / 4
        dry[at, 0] += sound * np.cos(angle) * np.sqrt(2)
        dry[at, 1] += sound * np.sin(angle) * np.sqrt(2)
        wet[at] += room * sound
    answer = _room_answer()
    for side in (0, 1):
        dry[:, side] += _convolve(wet, answer[:, side])
        tone = _band(_noise(10 + side, count), 40, 420)
        dry[:, side] += 0.0022 * tone / tone.std()
    # loud moments are bent, not cut; the knee leaves everything below half scale as it is
    level = np.abs(dry)
    bent = np.where(level > 0.5, 0.5 + 0.4 * np.tanh((level - 0.5) / 0.4), level)
    dry = np.sign(dry) * bent
    edge = int(0.01 * SAMPLE_RATE)
    dry[-edge:] *= np.linspace(1.0, 0.0, edge)[:, None]
    return np.asarray(dry * min(PEAK / max(float(np.abs(dry).max()), 1e-9), 1.0), dtype=np.float32)


def write_soundtrack(path: Path, frames: int, events: Iterable[tuple[int, str]]) -> None:
    """Writes the mix as 16-bit FLAC, and beside it the same as Ogg Vorbis (.ogg) for shows that must be small."""
    import soundfile

    mix = soundtrack(frames, events)
    for target, kind, subtype in ((path, "FLAC", "PCM_16"), (path.with_suffix(".ogg"), "OGG", "VORBIS")):
        temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        with soundfile.SoundFile(temporary, "w", SAMPLE_RATE, 2, subtype, format=kind) as file:
            for start in range(0, len(mix), 4800):  # the Vorbis encoder's stack does not bear long blocks
                file.write(mix[start : start + 4800])
        temporary.replace(target)
