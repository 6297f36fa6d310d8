"""What a film does to its picture: grain, gate weave and lamp flicker, in closed form of the film frame and the seed.

They change once a film frame, as on film, and not once a refresh; nothing is carried from one refresh to the next, so
that a show is the same at 30 and at 60 Hz, after a seek and on replay.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

GRAIN_TILE_PX = 512
GRAIN_LINES = 720  # a 16 mm frame's height in grains, about; finer than the output's lines it cannot be
GRAIN_RANGE_SIGMA = 4.0  # the tile's 8 bits span this many standard deviations to each side
FLICKER_SWING = 0.2  # of the light, at flicker 1
VIGNETTE_CORNER = 0.75  # of the light, lost in the corners at vignette 1
GRAIN_CODED = 0.25  # standard deviation in coded values at grain 1 ("quarter tones of the display")
_MASK = (1 << 64) - 1


def hashed(seed: int, stream: int, n: int) -> float:
    """A number in [-1, 1) that looks random, of seed, stream and n alone (SplitMix64's finaliser, Steele 2014)."""
    x = (seed * 0x9E3779B97F4A7C15 + stream * 0xD1B54A32D192ED03 + n * 0x8CB92BA72F3D8DD7 + 0x632BE59BD9B4E019) & _MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _MASK
    return ((x ^ (x >> 31)) >> 11) / (1 << 52) - 1.0


def drift(seed: int, stream: int, frame: int, period_frames: int) -> float:
    """A slow wander in [-1, 1]: hashed values every period_frames, joined by smooth steps."""
    n, k = divmod(frame, period_frames)
    t = k / period_frames
    t = t * t * (3 - 2 * t)
    return (1 - t) * hashed(seed, stream, n) + t * hashed(seed, stream, n + 1)


def weave_at(frame: int, seed: int) -> tuple[float, float]:
    """How the picture lies in the gate at a film frame: (x, y), |(x, y)| <= 1. Up and down more than sideways, since
    the claw pulls that way and the edge guide holds the other."""
    x = 0.7 * (0.55 * drift(seed, 1, frame, 13) + 0.3 * drift(seed, 2, frame, 5) + 0.15 * hashed(seed, 3, frame))
    y = 0.5 * drift(seed, 4, frame, 9) + 0.2 * drift(seed, 5, frame, 3) + 0.3 * hashed(seed, 6, frame)
    length = max(1.0, math.hypot(x, y))
    return x / length, y / length


def flicker_at(frame: int, seed: int) -> float:
    """How much of the lamp's swing is missing at a film frame, 0..1."""
    return 0.5 + 0.5 * (0.6 * hashed(seed, 7, frame) + 0.4 * drift(seed, 8, frame, 7))


def grain_turn(frame: int, seed: int) -> tuple[tuple[int, int, int, int], tuple[int, int]]:
    """How the grain tile lies at a film frame: one of its eight turns and mirrorings as a 2x2 matrix (row by row), and
    an offset in tile texels. 8 x 512 x 512 places: no eye finds one again."""
    sx = 1 if hashed(seed, 9, frame) < 0 else -1
    sy = 1 if hashed(seed, 10, frame) < 0 else -1
    turned = hashed(seed, 11, frame) < 0
    matrix = (0, sx, sy, 0) if turned else (sx, 0, 0, sy)
    offset = tuple(int((hashed(seed, stream, frame) + 1) / 2 * GRAIN_TILE_PX) for stream in (12, 13))
    return matrix, (offset[0], offset[1])


def grain_tile(seed: int) -> tuple[npt.NDArray[np.uint8], float, float]:
    """Film grain that repeats without a seam: [512, 512] uint8, and (scale, mean) with value = (tile / 255 - mean) *
    scale, whose mean is 0 and variance 1.

    Grain differs from television noise by its spectrum: clumps of silver are soft-edged blobs of a pixel or two, with
    less and less of the coarse, and nothing of the very coarse, which would look like dirt. So white noise through
    exp(-(f / f0)^2), with the lowest frequencies taken out (after the spectra in Newson et al., A Stochastic Film
    Grain Model, 2017).
    """
    rng = np.random.Generator(np.random.PCG64(seed & _MASK))
    white = rng.standard_normal((GRAIN_TILE_PX, GRAIN_TILE_PX))  # [H, W]
    fy, fx = np.fft.fftfreq(GRAIN_TILE_PX)[:, None], np.fft.rfftfreq(GRAIN_TILE_PX)[None, :]
    f2 = fx * fx + fy * fy  # squared cycles a texel
    shape = np.exp(-f2 / 0.27**2) * (1 - 0.85 * np.exp(-f2 / 0.04**2))
    shape[0, 0] = 0.0
    soft = np.fft.irfft2(np.fft.rfft2(white) * shape, s=white.shape)
    soft /= soft.std()
    coded = np.clip(np.rint((soft / GRAIN_RANGE_SIGMA + 1) * 127.5), 0, 255).astype(np.uint8)
    mean, std = float(coded.mean()) / 255, float(coded.std()) / 255
    return coded, 1 / std, mean


@dataclass(frozen=True)
class Grade:
    """The look's numbers in the shader's units; `plain` when none of them does anything."""

    gain: float
    saturation: float
    contrast: float
    grain: float
    lamp: tuple[float, float, float]
    vignette: float
    plain: bool


def grade_at(look: Mapping[str, float], frame: int, seed: int) -> Grade:
    """The look at a film frame. look: value by name of parameter.LOOK_NAMES; missing names are neutral."""
    exposure, contrast = look.get("exposure", 0.0), look.get("contrast", 1.0)
    saturation, warmth = look.get("saturation", 1.0), look.get("warmth", 0.0)
    grain, flicker, vignette = look.get("grain", 0.0), look.get("flicker", 0.0), look.get("vignette", 0.0)
    plain = (exposure, contrast, saturation, warmth, grain, flicker, vignette) == (0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0)
    swing = 1 - FLICKER_SWING * flicker * flicker_at(frame, seed)
    # A third of a stop up in red, two thirds down in blue: a 3200 K lamp seen by daylight; white keeps its luminance.
    warm = [2 ** (warmth * stops) for stops in (0.35, 0.0, -0.65)]
    white = 0.2126 * warm[0] + 0.7152 * warm[1] + 0.0722 * warm[2]
    red, green, blue = (swing * w / white for w in warm)
    fall = (1 - VIGNETTE_CORNER * min(vignette, 1.0)) ** -0.5 - 1
    return Grade(2.0**exposure, saturation, contrast, GRAIN_CODED * grain, (red, green, blue), fall, plain)
