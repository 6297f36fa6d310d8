"""Optical flow between two frames of a film, how far it is to be trusted, and warping by it.

Flow is by DIS (Kroeger et al. 2016), as OpenCV has it. A flow is float32 [H, W, 2] in pixels, x then y: pixel (x, y) of `a` is
at (x + flow[y, x, 0], y + flow[y, x, 1]) in `b`, so that warp(b, flow(a, b)) looks like `a`. On a wall without any structure a
flow can be anything, and DIS finds motion in its grain: there it is drawn back to none at all, and not trusted.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]  # [H, W, 3] or [H, W]
Flow = NDArray[np.float32]  # [H, W, 2]
Map = NDArray[np.float32]  # [H, W]
Speed = Literal["ultrafast", "fast", "medium"]

LEAST_SIDE_PX = 16  # DIS needs room for a patch and a level of its pyramid
STRUCTURE_BLUR_PX = 1.5  # takes the grain away before gradients are looked at
STRUCTURE_OVER_PX = 4.0  # how far a pixel sees structure that it can move with: a DIS patch is 8 wide
GRAIN_GRADIENT = 1 / 11.3  # gradient of white noise of sigma 1 after that blur: 1 / sqrt(8 pi blur^4)
FINEST = 0  # the full size. OpenCV's presets end at half of it: 2.6 times the error inside of what moves, for no less time
STRIDE_PX, DESCENTS, REFINEMENTS = 2, 50, 20  # an error of 0.11 px for 0.18 on a clip of known motion, for 2.5 times the time
FLAT = 0.3  # levels of 255 a pixel: below no motion can be seen, from twice as much on it can
SURE_TIMES = 2.0  # how many times the grain's own gradient is still taken for grain
# Sundaram et al. 2010, as Ruder et al. 2017 use it: forward and backward flow disagree beyond these.
AGREE_SHARE, AGREE_PX2 = 0.01, 0.5
BORDER_SHARE, BORDER_PX2 = 0.01, 0.002  # motion boundary: |grad f|^2 above share |f|^2 + this
ACROSS_BORDER = 0.5  # of the trust that is left on a motion boundary


def flow(a: Pixels, b: Pixels, speed: Speed = "medium") -> Flow:
    """Where each pixel of a is in b: float32 [H, W, 2], dx and dy in pixels. a, b: uint8 of one size.

    The same bytes whatever the number of cores: DIS divides a picture among threads and its result with it, so it runs in
    one. Raises ValueError for pictures of two sizes. Pictures smaller than 16 px have no flow: zeros.
    """
    import cv2

    if a.shape[:2] != b.shape[:2]:
        raise ValueError(f"flow between pictures of {a.shape[:2]} and {b.shape[:2]}")
    if min(a.shape[:2]) < LEAST_SIDE_PX:
        return np.zeros((*a.shape[:2], 2), np.float32)
    grey_a, grey_b = luma(a), luma(b)
    presets = {"ultrafast": cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST, "fast": cv2.DISOPTICAL_FLOW_PRESET_FAST,
               "medium": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM}  # fmt: skip
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        dis: Any = cv2.DISOpticalFlow_create(presets[speed])  # type: ignore[attr-defined]
        if speed == "medium":
            dis.setFinestScale(FINEST)
            dis.setPatchStride(STRIDE_PX)
            dis.setGradientDescentIterations(DESCENTS)
            dis.setVariationalRefinementIterations(REFINEMENTS)
        found = dis.calc(grey_a, grey_b, None)
    finally:
        cv2.setNumThreads(threads)
    found = np.asarray(found, np.float32)
    found = np.where(np.isfinite(found), found, np.float32(0))
    return np.ascontiguousarray(found * structure(a)[..., None])  # [H, W, 2]


def structure(picture: Pixels) -> Map:
    """0 where a picture is flat but for its grain, 1 where there is something that can be seen to move: float32 [H, W]."""
    import cv2

    grey = luma(picture)
    noise = grain(grey)
    soft = cv2.GaussianBlur(grey.astype(np.float32), (0, 0), STRUCTURE_BLUR_PX)
    gx, gy = cv2.Scharr(soft, cv2.CV_32F, 1, 0, scale=1 / 32), cv2.Scharr(soft, cv2.CV_32F, 0, 1, scale=1 / 32)
    energy = cv2.GaussianBlur(gx * gx + gy * gy, (0, 0), STRUCTURE_OVER_PX)
    steep = np.sqrt(np.maximum(energy, 0.0))  # levels of 255 a pixel, rms around each pixel
    low = FLAT + SURE_TIMES * noise * GRAIN_GRADIENT
    t = np.clip(steep / low - 1.0, 0.0, 1.0)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def grain(grey: Pixels) -> float:
    """Standard deviation of a picture's noise in levels, from where it is calmest (after Immerkaer 1996). grey: [H, W]."""
    import cv2

    mask = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    rough = np.abs(cv2.filter2D(grey.astype(np.float32), cv2.CV_32F, mask)) / 6.0
    return float(np.median(rough)) / 0.6745


def reliability(ab: Flow, ba: Flow, a: Pixels | None = None) -> Map:
    """How far the flow from a to b is to be trusted at each pixel of a, float32 [H, W], 0 not at all to 1.

    ab = flow(a, b), ba = flow(b, a). Falls where going there and back does not lead home (occlusion), where it leads out of
    the picture, and halves on motion boundaries. With the picture a: also where that is flat.
    """
    import cv2

    there = warp(ba, ab)  # [H, W, 2]
    apart = np.sum((ab + there) ** 2, axis=2)
    allowed = AGREE_SHARE * (np.sum(ab**2, axis=2) + np.sum(there**2, axis=2)) + AGREE_PX2
    trust = np.clip(2.0 - apart / allowed, 0.0, 1.0)  # 1 up to the threshold, 0 from twice of it
    height, width = ab.shape[:2]
    x, y = grid(height, width)
    at_x, at_y = x + ab[..., 0], y + ab[..., 1]
    inside = (at_x >= -0.5) & (at_y >= -0.5) & (at_x <= width - 0.5) & (at_y <= height - 0.5)
    slope = np.zeros((height, width), np.float32)
    for channel in (0, 1):
        for dx, dy in ((1, 0), (0, 1)):
            part = cv2.Scharr(np.ascontiguousarray(ab[..., channel]), cv2.CV_32F, dx, dy, scale=1 / 32)
            slope += part * part
    border = slope > BORDER_SHARE * np.sum(ab**2, axis=2) + BORDER_PX2
    trust = trust * inside * np.where(border, ACROSS_BORDER, 1.0)
    if a is not None:
        trust = trust * structure(a)
    return np.asarray(trust, np.float32)


def warp(picture: NDArray[Any], by: Flow, nearest: bool = False) -> NDArray[Any]:
    """out(x) = picture(x + by(x)), of picture's kind: [H, W] or [H, W, C]. Bilinear (for labels and fields: the nearest);
    outside the picture its border counts."""
    import cv2

    height, width = by.shape[:2]
    x, y = grid(height, width)
    how = cv2.INTER_NEAREST if nearest else cv2.INTER_LINEAR
    return np.asarray(cv2.remap(picture, x + by[..., 0], y + by[..., 1], how, borderMode=cv2.BORDER_REPLICATE))


def grid(height: int, width: int) -> tuple[Map, Map]:
    """x and y of every pixel, float32 [H, W] each."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    return x, y


def luma(picture: Pixels) -> Pixels:
    """uint8 [H, W] of a picture [H, W, 3] sRGB or [H, W] (ITU-R BT.601)."""
    import cv2

    grey = picture if picture.ndim == 2 else cv2.cvtColor(np.ascontiguousarray(picture[..., :3]), cv2.COLOR_RGB2GRAY)
    return np.ascontiguousarray(grey)
