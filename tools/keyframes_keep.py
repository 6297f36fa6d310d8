"""What a painted frame keeps of the film's own: its luminance or its colour, everywhere or where a mask says so.

For faces and shadows that turn strange: with the film's broad light and shade kept, a face stays modelled under any strokes;
with its colour kept, skin stays skin under the painting's light and shade. Mixed in OKLab, in which lightness can be
exchanged without a change of hue. Source: Ottosson 2020, "A perceptual color space for image processing".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Field = NDArray[np.float32]
What = Literal["luminance", "colour"]
KEPT: tuple[What, ...] = ("luminance", "colour")

# Linear sRGB to cone responses, and their cube roots to lightness and two opponent colours.
CONES = np.array([[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566],
                  [0.0883024619, 0.2817188376, 0.6299787005]], np.float32)  # fmt: skip
LAB = np.array([[0.2104542553, 0.7936177850, -0.0040720468], [1.9779984951, -2.4285922050, 0.4505937099],
                [0.0259040371, 0.7827717662, -0.8086757660]], np.float32)  # fmt: skip
CONES_BACK, LAB_BACK = np.linalg.inv(CONES.astype(np.float64)), np.linalg.inv(LAB.astype(np.float64))
# Sigma of what is kept: colour to the pixel, else it runs over edges and strokes keep rainbow fringes; of light and dark only
# what is broader than strokes, or they were lost.
COARSE_PX: dict[What, float] = {"colour": 0.0, "luminance": 4.0}
CHROMA_STEPS = 7  # halvings by which a colour that no screen can show is brought back to the nearest paler one


@dataclass(frozen=True)
class Keep:
    """what: luminance or colour. amount: 0 (the painting's) to 1 (the film's). coarse_px: sigma; only what is broader is kept,
    finer strokes stay the painting's; 0 keeps every detail of the film. A brush has a width of two to three coarse_px."""

    what: What
    amount: float = 1.0
    coarse_px: float = 4.0

    def __post_init__(self) -> None:
        if self.what not in KEPT or not 0 <= self.amount <= 1 or not 0 <= self.coarse_px < 1000:
            raise ValueError(f"what is {' or '.join(KEPT)}, amount 0..1, coarse_px 0 or more: {self}")


def keep_of(what: What, amount: float = 1.0) -> Keep:
    """What is kept of a film where nobody says how finely. amount: 0..1. Raises ValueError."""
    return Keep(what, amount, COARSE_PX[what])


def fineness(what: str) -> dict[str, float]:
    """How finely that is kept, for a record: by it frames of before colour was kept to the pixel are known. what: luminance,
    colour or ''."""
    return {"coarse_px": COARSE_PX["colour"]} if what == "colour" else {}


def kept(painted: Picture, film: Picture, keep: Keep, where: NDArray[np.uint8] | None = None) -> Picture:
    """The painted frame uint8 [H, W, 3] with the film's luminance or colour. film: uint8 [H, W, 3]. where: uint8 [H, W],
    0 = the painting alone, 255 = keep.amount; None = everywhere. Raises ValueError where sizes differ.

    A colour that leaves the screen's range is made paler, at its lightness and hue, rather than clipped channel by channel.
    """
    if painted.shape != film.shape or (where is not None and where.shape != painted.shape[:2]):
        mask = "no mask" if where is None else f"a mask of {where.shape}"
        raise ValueError(f"painted {painted.shape}, film {film.shape}, {mask}")
    if keep.amount == 0:
        return painted.copy()
    own, theirs = to_oklab(painted), to_oklab(film)  # [H, W, 3]
    at = slice(0, 1) if keep.what == "luminance" else slice(1, 3)
    change = broad(theirs[..., at] - own[..., at], keep.coarse_px)
    amount = np.float32(keep.amount) if where is None else (keep.amount / 255 * where[..., None]).astype(np.float32)
    mixed = own.copy()
    mixed[..., at] += amount * change
    out = from_oklab(mixed)
    untouched = np.broadcast_to(np.asarray(amount) == 0, out.shape)
    return np.where(untouched, painted, out)


def broad(values: Field, sigma_px: float) -> Field:
    """[H, W, C] without what is finer than sigma_px."""
    if sigma_px == 0:
        return values
    from scipy.ndimage import gaussian_filter

    return np.asarray(gaussian_filter(values, (sigma_px, sigma_px, 0), mode="nearest"), np.float32)


def to_oklab(picture: Picture) -> Field:
    """sRGB uint8 [..., 3] to OKLab float32 [..., 3]: lightness 0..1 and two opponent colours around 0."""
    code = np.arange(256) / 255
    linear = np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4).astype(np.float32)
    return np.asarray(np.cbrt(linear[picture] @ CONES.T) @ LAB.T, np.float32)


def linear_of(lab: Field) -> NDArray[np.float32]:
    """OKLab [..., 3] to linear sRGB, which leaves 0..1 where no screen shows the colour."""
    return np.asarray((lab @ LAB_BACK.T.astype(np.float32)) ** 3 @ CONES_BACK.T.astype(np.float32), np.float32)


def from_oklab(lab: Field) -> Picture:
    """OKLab [..., 3] to sRGB uint8, colours outside of the range made paler until they fit."""
    light = np.clip(lab[..., :1], 0, 1)
    fitted = np.concatenate([light, lab[..., 1:]], axis=-1)
    linear = linear_of(fitted)
    outside = ((linear < -1e-3) | (linear > 1 + 1e-3)).any(axis=-1)
    if outside.any():
        far = fitted[outside]  # [N, 3]
        low, high = np.zeros((len(far), 1), np.float32), np.ones((len(far), 1), np.float32)
        for _ in range(CHROMA_STEPS):
            middle = 0.5 * (low + high)
            tried = linear_of(np.concatenate([far[:, :1], middle * far[:, 1:]], axis=-1))
            fits = ((tried >= -1e-3) & (tried <= 1 + 1e-3)).all(axis=-1)[:, None]
            low, high = np.where(fits, middle, low), np.where(fits, high, middle)
        linear[outside] = linear_of(np.concatenate([far[:, :1], low * far[:, 1:]], axis=-1))
    linear = np.clip(linear, 0, 1)
    code = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.rint(255 * code).astype(np.uint8)
