"""How far a stylised picture is from its painting, from its film and from sharpness: the measures beside E_warp.

Style: keyframes_measure.style_distance (sliced Wasserstein distance of patches at three scales). Content: gradients of luma,
freed of contrast, so that other colours and other light cost nothing and another drawing does. Sharpness: mean size of luma's
gradient (keyframes_measure.sharpness); mean square of the gradient, by which E_warp becomes a shift in pixels.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tools.keyframes_measure import LUMA, halved, sharpness, style_distance

Picture = NDArray[np.uint8]
Field = NDArray[np.float32]

HALVINGS = 3  # content is looked at in 1/2, 1/4 and 1/8 of the size: strokes are finer
AROUND_PX = 6.0  # sigma of the window in which a gradient's contrast is taken
FAINT = 2.0  # levels of 255 a pixel: gradients below are grain and count the less
LEAST_SIDE_PX = 8  # of a scale that is looked at


def content_distance(picture: Picture, original: Picture) -> float:
    """How far the drawing of a picture uint8 [H, W, 3] is from that of the original of the same size: 0 for the same, about 1
    for one that has nothing to do with it, 2 for its negative.

    The mean of up to four parts: at 1/2, 1/4 and 1/8 of the size, |a - b|^2 / (|a|^2 + |b|^2) of the luma's gradients a and b,
    each divided by its own root mean square in a Gaussian window (sigma 6 px) plus 2 levels; and, at 1/8, 1 - the correlation
    of the lumas. Contrast, brightness and colour play no part. Raises ValueError for other sizes, or pictures below 16 px.
    """
    if picture.shape != original.shape:
        raise ValueError(f"pictures of {picture.shape} and {original.shape}")
    a, b = (p.astype(np.float32) @ LUMA for p in (picture, original))  # [H, W]
    parts = []
    for _ in range(HALVINGS):
        if min(a.shape) < 2 * LEAST_SIDE_PX:
            break
        a, b = (halved(v[..., None])[..., 0] for v in (a, b))
        ga, gb = evened(a), evened(b)  # [H, W, 2]
        size = float((ga**2).sum() + (gb**2).sum())
        parts.append(float(((ga - gb) ** 2).sum()) / size if size > 0 else 0.0)
    if not parts:
        raise ValueError(f"pictures of {picture.shape} are smaller than {2 * LEAST_SIDE_PX} pixels")
    spread = float(a.std() * b.std())
    if spread > 1e-3:
        parts.append(1 - float(((a - a.mean()) * (b - b.mean())).mean()) / spread)
    return max(0.0, float(np.mean(parts)))


def evened(luma: Field) -> Field:
    """[H, W, 2]: the gradient of luma [H, W], over its root mean square around each pixel plus FAINT."""
    import cv2

    gx = cv2.Sobel(luma, cv2.CV_32F, 1, 0, scale=1 / 8)
    gy = cv2.Sobel(luma, cv2.CV_32F, 0, 1, scale=1 / 8)
    energy = cv2.GaussianBlur(gx * gx + gy * gy, (0, 0), AROUND_PX)
    return np.asarray(np.dstack([gx, gy]) / (np.sqrt(np.maximum(energy, 0)) + FAINT)[..., None], np.float32)


def slope2(picture: Picture) -> float:
    """Mean squared gradient of a picture uint8 [H, W, 3], over its channels, of values 0..1, per squared pixel."""
    values = picture.astype(np.float32) / 255
    across, down = np.diff(values, axis=1)[:-1], np.diff(values, axis=0)[:, :-1]
    return float((across**2 + down**2).mean())


def jitter_px(e_warp: float, slope: float) -> float:
    """The shift, in pixels, whose squared difference would be e_warp: a shift of length d in any direction changes a picture of
    mean squared gradient g by d^2 g / 2. Neither contrast nor, to the first order, blur changes it. nan where there is none."""
    return math.sqrt(2 * e_warp / slope) if slope > 0 and e_warp >= 0 else math.nan


def share_closed(plain: float, made: float, aim: float = 0.0) -> float:
    """How much of the way from `plain` to `aim` is gone at `made`, all of them distances from one painting: 0 not at all, 1
    there; nan where there is no way to go."""
    return (plain - made) / (plain - aim) if plain > aim else math.nan


__all__ = ["content_distance", "jitter_px", "share_closed", "sharpness", "slope2", "style_distance"]
