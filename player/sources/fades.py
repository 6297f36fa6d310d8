"""A fade taken off a film frame, in linear light as the cut list means it: what is painted is the picture, not its darkness."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Light = npt.NDArray[np.float32]

LEAST_FADE = 0.12  # what is darker than this is lifted no further: there is only noise below


def to_light(picture: Pixels) -> Light:
    """sRGB bytes to linear light, 0..1 (IEC 61966-2-1)."""
    code = np.arange(256) / 255
    table = np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4).astype(np.float32)
    return np.asarray(table[picture], np.float32)


def to_bytes(light: Light) -> Pixels:
    """Linear light to sRGB bytes, clipped."""
    linear = np.clip(light, 0, 1)
    code = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** np.float32(1 / 2.4) - 0.055)
    return np.asarray(np.rint(255 * code), np.uint8)


def unfaded(picture: Pixels, share: float, colour: str) -> Pixels:
    """What a frame uint8 [H, W, 3] was before it faded, as far as it can be told. share: 0..1, of the picture in it, the rest
    colour (black or white)."""
    if share >= 1:
        return picture
    least = max(share, LEAST_FADE)
    levels = to_light(np.arange(256, dtype=np.uint8))
    table = to_bytes((levels - np.float32((1 - least) * (colour == "white"))) / np.float32(least))
    return np.asarray(table[picture], np.uint8)
