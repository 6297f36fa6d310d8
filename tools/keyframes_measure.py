"""How good painted frames are: against a known truth, in themselves, and in time.

Flicker is E_warp (Lai et al. 2018, "Learning blind video temporal consistency", equation 12): a later frame is warped to an
earlier one by the film's own flow, and the squared difference is averaged over what is seen in both. It is to be read beside
the film's own, or the truth's, since a flow is never exact; a blur lowers it, therefore sharpness stands beside it. Style
distance is a sliced Wasserstein distance of patches (Rabin et al. 2011; Karras et al. 2018) at three scales.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Field = NDArray[np.float32]
Mask = NDArray[np.bool_]
FlowOf = Callable[[int, int], Field]  # (i, j) -> where each pixel of frame i is in frame j, [H, W, 2] in pixels
PATCH_PX = 7
SCALES = 3
PROJECTIONS = 128
MOST_PATCHES = 8192
QUANTILES = 2048
LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)


def psnr(picture: Picture, truth: Picture, where: Mask | None = None) -> float:
    """Peak signal to noise ratio in dB of uint8 pictures [H, W, 3]; infinite where equal. where: [H, W], the pixels that
    count, at least one. Raises ValueError."""
    if picture.shape != truth.shape:
        raise ValueError(f"pictures of {picture.shape} and {truth.shape}")
    squares = (picture.astype(np.float64) - truth.astype(np.float64)) ** 2
    chosen = squares if where is None else squares[where]
    if not chosen.size:
        raise ValueError("no pixel counts")
    error = float(chosen.mean())
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


def mean_psnr(pictures: Sequence[Picture], truths: Sequence[Picture], where: Sequence[Mask] | None = None) -> float:
    """The mean of the frames' PSNR in dB; frames where no pixel counts are left out."""
    found = []
    for i, (picture, truth) in enumerate(zip(pictures, truths, strict=True)):
        if where is None or where[i].any():
            found.append(psnr(picture, truth, None if where is None else where[i]))
    return float(np.mean(found))


def sharpness(picture: Picture, usable: Mask | None = None) -> float:
    """Mean size of the luma's gradient, in 0..255 a pixel, between pixels that are usable (bool [H, W]; None: all). A blur
    lowers it, noise and false edges raise it: it is right where it is the truth's. nan where none is usable."""
    luma = picture.astype(np.float32) @ LUMA  # [H, W]
    across, down = np.diff(luma, axis=1)[:-1], np.diff(luma, axis=0)[:, :-1]
    found = np.hypot(across, down)
    if usable is not None:
        found = found[usable[:-1, :-1] & usable[:-1, 1:] & usable[1:, :-1]]
    return float(found.mean()) if found.size else math.nan


def fine_sharpness(picture: Picture) -> float:
    """Mean size of the luma's second difference (Laplacian), in 0..255: as `sharpness`, of the finest detail alone."""
    luma = picture.astype(np.float32) @ LUMA
    middle = luma[1:-1, 1:-1]
    return float(np.abs(4 * middle - luma[:-2, 1:-1] - luma[2:, 1:-1] - luma[1:-1, :-2] - luma[1:-1, 2:]).mean())


def fetched(values: Field, flow: Field) -> Field:
    """values [H, W, C] at p + flow(p), bilinear, clamped at the border; flow [H, W, 2] as (x, y) in pixels."""
    height, width = flow.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    x = np.clip(x + flow[..., 0], 0, width - 1)
    y = np.clip(y + flow[..., 1], 0, height - 1)
    left, top = np.minimum(x.astype(np.intp), width - 2), np.minimum(y.astype(np.intp), height - 2)
    right, low = (x - left)[..., None], (y - top)[..., None]
    upper = values[top, left] * (1 - right) + values[top, left + 1] * right
    lower = values[top + 1, left] * (1 - right) + values[top + 1, left + 1] * right
    return np.asarray(upper * (1 - low) + lower * low, np.float32)


def inside(flow: Field) -> Mask:
    """[H, W]: which pixels of the frame lie within the other frame."""
    height, width = flow.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    x, y = x + flow[..., 0], y + flow[..., 1]
    return (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)


def seen_in_both(there: Field, back: Field) -> Mask:
    """[H, W]: pixels that the other frame shows too and that are no border of a motion. there: flow to the other frame, back:
    the other's flow to this one. Source: Ruder, Dosovitskiy, Brox 2016, equations 5 and 6."""
    returned = fetched(back, there)
    there2, returned2 = (there**2).sum(axis=-1), (returned**2).sum(axis=-1)
    agree = ((there + returned) ** 2).sum(axis=-1) < 0.01 * (there2 + returned2) + 0.5
    gx, gy = np.gradient(there, axis=1), np.gradient(there, axis=0)  # [H, W, 2]
    smooth = (gx**2 + gy**2).sum(axis=-1) <= 0.01 * there2 + 0.002
    return agree & smooth & inside(there)


def e_warp(pictures: Sequence[Picture], flow_of: FlowOf, step: int = 1) -> float:
    """Mean squared difference, of pictures in 0..1, between frame i and frame i + step warped to it, over what both show.

    flow_of: the film's flow, asked for (i, i + step) and back. The mean of the frames' means; nan where there is no pair.
    """
    found = []
    for i in range(len(pictures) - step):
        there, back = flow_of(i, i + step), flow_of(i + step, i)
        error = warp_error(pictures[i], pictures[i + step], there, seen_in_both(there, back))
        if not math.isnan(error):
            found.append(error)
    return float(np.mean(found)) if found else math.nan


def warp_error(picture: Picture, other: Picture, there: Field, seen: Mask) -> float:
    """The mean squared difference, in 0..1, of picture and the other one [H, W, 3] warped to it by `there`, over `seen`; nan
    where nothing is seen in both."""
    if not seen.any():
        return math.nan
    apart = (picture.astype(np.float32) - fetched(other.astype(np.float32), there)) / 255
    return float((apart[seen] ** 2).mean())


def style_distance(picture: Picture, style: Picture, seed: int = 0, usable: NDArray[np.bool_] | None = None) -> float:
    """How far the patches of a picture uint8 [H, W, 3] lie from those of a style [H', W', 3], in 0..255: the sliced Wasserstein
    distance (of order 2) between two clouds of patches of 7x7 pixels, the root of its mean square over three scales, each half
    of the one before. 0 for the same picture; where things are plays no part. usable: bool [H', W'], where the style is
    painted: only patches that lie wholly there count. A scale on which either is smaller than a patch is left out. Raises
    ValueError where none is left.
    """
    chance = np.random.default_rng(seed)
    usable = None if usable is None or usable.all() else usable
    a, b = picture.astype(np.float32), style.astype(np.float32)
    found = []
    for scale in range(SCALES):
        a, b = (a, b) if scale == 0 else (halved(a), halved(b))
        if usable is not None and scale:
            usable = halved(usable[..., None].astype(np.float32))[..., 0] == 1
        if min(*a.shape[:2], *b.shape[:2]) < PATCH_PX or (usable is not None and not whole_patches(usable).any()):
            break
        # Directions of length 1: the mean square of a patch's shadow on them is then that of its values, in their unit.
        directions = chance.standard_normal((PATCH_PX * PATCH_PX * a.shape[-1], PROJECTIONS)).astype(np.float32)
        directions /= np.linalg.norm(directions, axis=0)
        pa, pb = patches(a, seed + scale), patches(b, seed + scale, usable)
        found.append(float(((shadows(pa, directions) - shadows(pb, directions)) ** 2).mean()))
    if not found:
        raise ValueError(f"pictures of {picture.shape} and {style.shape} are smaller than a patch of {PATCH_PX} pixels")
    return math.sqrt(float(np.mean(found)))


def shadows(clouds: NDArray[np.float32], directions: NDArray[np.float32]) -> NDArray[np.float32]:
    """[PROJECTIONS, QUANTILES]: the quantiles of the points [N, D] as each direction [D, PROJECTIONS] sees them."""
    ordered = np.sort(np.ascontiguousarray((clouds @ directions).T), axis=1)  # [PROJECTIONS, N]
    at = (np.arange(QUANTILES) + 0.5) / QUANTILES * ordered.shape[1] - 0.5
    low = np.clip(np.floor(at).astype(np.intp), 0, ordered.shape[1] - 1)
    high, part = np.minimum(low + 1, ordered.shape[1] - 1), np.clip(at - low, 0, 1).astype(np.float32)
    return ordered[:, low] * (1 - part) + ordered[:, high] * part


def patches(values: Field, seed: int, usable: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
    """[N, 7 * 7 * C]: every patch of [H, W, C] that lies wholly where it is usable [H, W] (None: everywhere), or as many of
    them as are enough, drawn with the seed."""
    windows = np.lib.stride_tricks.sliding_window_view(values, (PATCH_PX, PATCH_PX), axis=(0, 1))  # [h, w, C, 7, 7]
    height, width = windows.shape[:2]
    at = np.arange(height * width) if usable is None else np.flatnonzero(whole_patches(usable))
    if len(at) > MOST_PATCHES:
        at = at[np.random.default_rng(seed).choice(len(at), MOST_PATCHES, replace=False)]
    return np.ascontiguousarray(windows[at // width, at % width].reshape(len(at), -1))


def whole_patches(usable: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """[H, W] -> [H - 6, W - 6]: the patches that lie wholly where it is usable."""
    return np.asarray(np.lib.stride_tricks.sliding_window_view(usable, (PATCH_PX, PATCH_PX)).all(axis=(2, 3)), np.bool_)


def halved(values: Field) -> Field:
    """[H // 2, W // 2, C]: the means of squares of four; an odd last row or column is left out."""
    height, width = values.shape[0] // 2 * 2, values.shape[1] // 2 * 2
    v = values[:height, :width]
    return 0.25 * (v[::2, ::2] + v[1::2, ::2] + v[::2, 1::2] + v[1::2, 1::2])
