"""Two pictures of one frame, one from the key before it and one from the key after it, made into one without a seam.

Which of the two a pixel is taken from follows from the matching errors of the synthesis (`choose`). A cross-fade shows both at
once, as a ghost; a hard cut shows a seam. So the strokes (the gradients) are taken from the chosen picture and the broad tones
from a soft mixture (`blend`): a screened Poisson equation, solved exactly by a cosine transform.

Sources: Bhat, Curless, Cohen, Zitnick 2008, "Fourier analysis of the 2D screened Poisson equation for gradient domain
problems"; Jamriska et al. 2019, "Stylizing video by example", section 3.4, for the choice by matching error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Field = NDArray[np.float32]


@dataclass(frozen=True)
class Choice:
    """How the choice between two keys is made.

    window_px: side of the square that the errors are averaged over, odd, 3 to 9 do. sharpness: how quickly the weight leaves
    one half as the errors part: 1 mixes softly, 20 is nearly a cut. memory: 0..1, share of the choice that is kept from the
    previous frame. near: 0..1, how much a nearer key is worth where the errors are equal.
    """

    window_px: int = 5
    sharpness: float = 5.0
    memory: float = 0.5
    near: float = 0.2

    def __post_init__(self) -> None:
        if self.window_px < 1 or self.window_px % 2 == 0:
            raise ValueError(f"window_px is odd, 1 or more, not {self.window_px}")
        if not (0 <= self.memory < 1 and 0 <= self.near <= 1 and self.sharpness > 0):
            raise ValueError("memory is 0..1 (below 1), near 0..1, sharpness above 0")


DEFAULT_CHOICE = Choice()
FAINT = 0.02  # a weight this near to 0 or 1 is remembered as no surer than this


def choose(error_a: Field, error_b: Field, before: Field | None = None, *, share: float = 0.5,
           choice: Choice = DEFAULT_CHOICE) -> Field:  # fmt: skip
    """How much of picture b each pixel takes: float32 [H, W], 0 = a alone, 1 = b alone.

    error_a, error_b: matching errors [H, W], 0 or more, in one unit (it cancels: what counts is their ratio). before: what this
    function returned for the frame before, warped to this one; None at a shot's first. share: where the frame lies between
    a's key (0) and b's (1). Not finite where nothing was matched: that picture is then never taken, and a half where neither
    was. Raises ValueError where the sizes differ.
    """
    from scipy.ndimage import uniform_filter

    if error_a.shape != error_b.shape or (before is not None and before.shape != error_a.shape):
        raise ValueError(f"errors of {error_a.shape} and {error_b.shape}, before of {None if before is None else before.shape}")
    matched_a, matched_b = np.isfinite(error_a), np.isfinite(error_b)
    smooth = []
    for error, matched in ((error_a, matched_a), (error_b, matched_b)):
        known = np.maximum(np.where(matched, error, 0), 0).astype(np.float32)  # [H, W]
        total = uniform_filter(known, choice.window_px, mode="nearest")
        count = uniform_filter(matched.astype(np.float32), choice.window_px, mode="nearest")
        smooth.append(total / np.maximum(count, 1e-6))
    a, b = smooth
    # Half of the picture's middle error: where both match nearly perfectly the ratio of two noises decides nothing.
    floor = 0.5 * float(np.median(0.5 * (a + b))) + 1e-12
    lean = (a - b) / (a + b + floor)  # [H, W] -1..1, above 0 for b
    lean = lean + choice.near * (2 * share - 1)
    if before is not None:
        # What is smoothed in time is the lean, not the weight: a weight of nearly 0 or 1 would never let go again.
        held = np.clip(before, FAINT, 1 - FAINT)
        lean = (1 - choice.memory) * lean + choice.memory * np.log(held / (1 - held)) / choice.sharpness
    weight = 1 / (1 + np.exp(-choice.sharpness * lean))
    weight = np.where(matched_a & ~matched_b, 0, np.where(matched_b & ~matched_a, 1, weight))
    return np.ascontiguousarray(weight, np.float32)


def blend(a: Picture, b: Picture, weight: Field, *, reach_px: float = 6.0, soften_px: float = 4.0) -> Picture:
    """One picture uint8 [H, W, 3] or [H, W] of two of that shape: strokes of b where weight [H, W] is above a half, else of a;
    tones of both, mixed softly.

    reach_px: over how far the tones on the two sides of a seam are drawn together. soften_px: sigma by which the weight is
    smoothed for the tones. Where the weight is 0 (or 1) within about 2 reach_px, a's (or b's) pixels come back unchanged but
    for rounding. Raises ValueError where the sizes differ.
    """
    from scipy.ndimage import gaussian_filter

    if a.shape != b.shape or weight.shape != a.shape[:2]:
        raise ValueError(f"pictures of {a.shape} and {b.shape}, weight of {weight.shape}")
    if not (weight > 0).any():
        return a.copy()
    if not (weight < 1).any():
        return b.copy()
    soft = gaussian_filter(weight, soften_px, mode="nearest") if soften_px > 0 else weight
    first, second = _planes(a), _planes(b)  # [H, W, C]
    tones = first + soft[..., None] * (second - first)
    gradients = _chosen_gradients(first, second, weight > 0.5)
    solved = screened_poisson(tones, *gradients, screen=1 / reach_px**2)
    return np.clip(np.rint(solved), 0, 255).astype(np.uint8).reshape(a.shape)


def screened_poisson(tones: Field, across: Field, down: Field, screen: float) -> Field:
    """u [H, W, C] of least screen |u - tones|^2 + |forward differences of u - (across, down)|^2, exactly.

    tones: [H, W, C]. across: [H, W, C], what u[:, x + 1] - u[:, x] is to be; its last column is not used (Neumann: nothing
    flows over the border). down: the same for rows. screen: above 0, one over the square of the length in pixels over which
    tones win over gradients. Source: Bhat et al. 2008, equation 6, in the cosine basis, which has these borders built in.
    """
    from scipy.fft import dctn, idctn

    if screen <= 0:
        raise ValueError(f"screen is above 0, not {screen}")
    height, width = tones.shape[:2]
    right = screen * tones - _divergence(across, down)
    rows = 2 - 2 * np.cos(np.pi * np.arange(height) / height)  # eigenvalues of minus the second difference
    columns = 2 - 2 * np.cos(np.pi * np.arange(width) / width)
    scale = (1 / (screen + rows[:, None] + columns[None])).astype(np.float32)  # [H, W]
    spectrum: NDArray[Any] = dctn(right.astype(np.float32), type=2, axes=(0, 1), norm="ortho")
    solved: NDArray[Any] = idctn(spectrum * scale[..., None], type=2, axes=(0, 1), norm="ortho")
    return np.ascontiguousarray(solved, np.float32)


def differences(picture: Field) -> tuple[Field, Field]:
    """Forward differences of [H, W, C] to the right and down, both [H, W, C], 0 in the last column and row."""
    across, down = np.zeros_like(picture), np.zeros_like(picture)
    across[:, :-1] = picture[:, 1:] - picture[:, :-1]
    down[:-1] = picture[1:] - picture[:-1]
    return across, down


def _chosen_gradients(a: Field, b: Field, take_b: NDArray[np.bool_]) -> tuple[Field, Field]:
    """Each difference from the picture that both of its pixels are taken from; over a seam the mean of the two, so that
    neither's stroke is cut off by a step of the other's."""
    share = take_b.astype(np.float32)
    over = 0.5 * (share[:, :-1] + share[:, 1:])[..., None]  # [H, W - 1, 1]: 0, a half on a seam, 1
    under = 0.5 * (share[:-1] + share[1:])[..., None]
    across_a, down_a = differences(a)
    across_b, down_b = differences(b)
    across_a[:, :-1] += over * (across_b[:, :-1] - across_a[:, :-1])
    down_a[:-1] += under * (down_b[:-1] - down_a[:-1])
    return across_a, down_a


def _divergence(across: Field, down: Field) -> Field:
    """Of (across, down) [H, W, C] as backward differences, the adjoint of `differences` but for the sign."""
    out = np.zeros_like(across)
    out[:, :-1] += across[:, :-1]
    out[:, 1:] -= across[:, :-1]
    out[:-1] += down[:-1]
    out[1:] -= down[:-1]
    return out


def _planes(picture: Picture) -> Field:
    """float32 [H, W, C] of uint8 [H, W] or [H, W, C]."""
    return picture.reshape(*picture.shape[:2], -1).astype(np.float32)
