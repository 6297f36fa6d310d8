"""What leads the strokes: light and dark, and the direction of forms, of a painting and of a frame, made comparable.

Light and dark are luminance, blurred and equalised, as image analogies remap it (Hertzmann et al. 2001, section 3.4).
Directions come from the structure tensor (Foerstner and Guelch 1987) as double angles, by which a line and the same line turned
by 180 degrees are alike (Granlund 1978). In flat parts of a frame the direction is that of the forms around it, so that a wall
is painted along its edges.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from player.sources.darkness import LUMA

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

EQUALISED = 0.6  # the rest is a straight line: all of it would make brush strokes of a flat wall's noise
PAINTING_BLUR = 1.5  # times a frame's: what counts is how light a place of the painting is, not each stroke in it
LIVELY_WINDOW = 0.0055  # of the diagonal, 3 px at 432x320: about a stroke
FEW_PERCENT = 1.0  # of pixels at either end that may be clipped
TONE_BLUR = 0.003  # of the picture's diagonal: 1.6 px at 432x320
FORM_BLUR = 0.006
FORM_REACH = 5  # times that the tensor's window is doubled: forms are felt as far as 32 windows away
FORM_NEAR = 0.6  # what a window counts beside one of half its width
FORM_FLOOR = 1e-6  # of squared gradients, 0..1 a pixel: below is noise


@dataclass(frozen=True)
class Described:
    """What leads strokes in one picture. tone: float32 [H, W, 1], 0..1. form: float32 [H, W, 2], cosine and sine of the double
    angle of the direction along the form. sure: float32 [H, W], 0..1, how clear that direction is."""

    tone: Floats
    form: Floats
    sure: Floats


def luminance(picture: Pixels) -> Floats:
    """uint8 [H, W, 3] -> float32 [H, W], 0..1, as it is seen (of the sRGB values)."""
    return np.asarray(picture.astype(np.float32) @ (LUMA / 255), np.float32)


def blurred(plane: Floats, sigma_px: float) -> Floats:
    """A Gaussian blur of float32 [H, W] or [H, W, C]; at the border the picture is mirrored."""
    import cv2

    if sigma_px < 0.3:
        return plane
    return np.asarray(cv2.GaussianBlur(plane, (0, 0), sigma_px, borderType=cv2.BORDER_REFLECT_101), np.float32)


def tone_curve(planes: Sequence[Floats], usable: npt.NDArray[np.bool_] | None = None) -> Floats:
    """float32 [256], 0..1: the curve that spreads the luminance of some pictures (0..1) evenly, as far as EQUALISED says."""
    values = np.concatenate([(p if usable is None else p[usable]).ravel() for p in planes])
    counts = np.bincount(np.clip(np.rint(values * 255), 0, 255).astype(np.int64), minlength=256).astype(np.float64)
    ranks = (np.cumsum(counts) - counts / 2) / counts.sum()
    low, high = np.percentile(values, [FEW_PERCENT, 100 - FEW_PERCENT])
    line = np.clip((np.arange(256) / 255 - low) / max(high - low, 1 / 255), 0, 1)
    return np.asarray(EQUALISED * ranks + (1 - EQUALISED) * line, np.float32)


def tone_plane(picture: Pixels, detail: float, reference_px: float) -> Floats:
    """Luminance float32 [H, W], 0..1, blurred so far that strokes and grain are gone. reference_px: diagonal of the frame,
    which the painting's is blurred by as well: both lie at the same scale."""
    return blurred(luminance(picture), TONE_BLUR * reference_px / detail)


def lively(picture: Pixels, reference_px: float) -> Floats:
    """How much goes on in each place of a painting uint8 [H, W, 3]: float32 [H, W, 1], the rank 0..1 of the local standard
    deviation of its colours. The search prefers flat places, which go with everything; this is what keeps the strokes."""
    sigma = LIVELY_WINDOW * reference_px
    planes: Floats = np.asarray(picture, np.float32) / np.float32(255)
    spread = np.maximum(blurred(np.square(planes), sigma) - blurred(planes, sigma) ** 2, 0).sum(axis=2)  # [H, W]
    ranks = np.empty(spread.size, np.float32)
    ranks[np.argsort(spread, axis=None, kind="stable")] = np.linspace(0, 1, spread.size, dtype=np.float32)
    return ranks.reshape(*spread.shape, 1)


def described(picture: Pixels, curve: Floats, detail: float, reference_px: float) -> Described:
    """What leads strokes in a picture uint8 [H, W, 3]. curve: of tone_curve."""
    plane = tone_plane(picture, detail, reference_px)
    tone = np.interp(plane * 255, np.arange(256), curve).astype(np.float32)
    form, sure = directions(luminance(picture), FORM_BLUR * reference_px / detail)
    return Described(tone[..., None], form, sure)


def directions(plane: Floats, window_px: float) -> tuple[Floats, Floats]:
    """(double angle of the direction along forms, float32 [H, W, 2] of length 1, how sure it is float32 [H, W], 0..1) of
    luminance float32 [H, W]. window_px: sigma of the smallest window."""
    import cv2

    smooth = blurred(plane, max(0.7, window_px / 3))
    gx = cv2.Scharr(smooth, cv2.CV_32F, 1, 0, scale=1 / 32)
    gy = cv2.Scharr(smooth, cv2.CV_32F, 0, 1, scale=1 / 32)
    moments = np.stack([gx * gx - gy * gy, 2 * gx * gy, gx * gx + gy * gy], axis=-1).astype(np.float32)  # [H, W, 3]
    total, shares = np.zeros((*plane.shape, 2), np.float32), 0.0
    for step in range(FORM_REACH + 1):
        around = wide_blur(moments, window_px * 2**step)
        # Each window says how far its gradients agree, not how strong they are: else the letters on a sign would turn the
        # strokes of the sky above it.
        total += FORM_NEAR**step * around[..., :2] / (around[..., 2:] + FORM_FLOOR)
        shares += FORM_NEAR**step
    length = np.sqrt((total**2).sum(axis=2))  # [H, W]
    along = -total / (length[..., None] + 1e-12)  # a form runs across its gradient: the double angle turns by 180
    return np.asarray(along, np.float32), np.asarray(np.clip(length / shares, 0, 1), np.float32)


def wide_blur(planes: Floats, sigma_px: float) -> Floats:
    """As blurred, of float32 [H, W, C]; wide windows are made on a smaller picture, which cannot be told from the truth."""
    import cv2

    shrink = 1
    while sigma_px / shrink > 8 and min(planes.shape[:2]) // (2 * shrink) >= 8:
        shrink *= 2
    if shrink == 1:
        return blurred(planes, sigma_px)
    height, width = planes.shape[:2]
    size = (-(-width // shrink), -(-height // shrink))
    small = np.asarray(cv2.resize(planes, size, interpolation=cv2.INTER_AREA), np.float32)
    soft = blurred(small, sigma_px / shrink)
    return np.asarray(cv2.resize(soft, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def as_guide(form: Floats, sure: Floats) -> Floats:
    """Directions of length 1 and how sure they are as a guide's values, 0..1: unsure ones near the middle."""
    return np.asarray(0.5 + 0.5 * form * sure[..., None], np.float32)
