"""The numbers of the separable resampler in shaders/resample.glsl: one kernel that enlarges, shrinks and blurs."""

from __future__ import annotations

import math
from dataclasses import dataclass

from player.screen.placement import Inside, Rect


def kernel(b: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Coefficients of 1, t, t^2, t^3 of Mitchell and Netravali's cubic for t < 1 and 1 <= t < 2; C = (1 - B) / 2."""
    c = (1 - b) / 2
    near = (6 - 2 * b, 0.0, -18 + 12 * b + 6 * c, 12 - 9 * b - 6 * c)
    far = (8 * b + 24 * c, -12 * b - 48 * c, 6 * b + 30 * c, -b - 6 * c)
    return tuple(v / 6 for v in near), tuple(v / 6 for v in far)


def natural_matrix(b: float) -> tuple[float, ...]:
    """The 4x4 matrix (column by column, as GL wants it) from (1, f, f^2, f^3) to the weights of texels -1, 0, 1, 2
    about a position f past texel 0."""
    near, far = kernel(b)

    def shifted(c: tuple[float, ...], sign: int, offset: int) -> list[float]:
        # the polynomial c(t) with t = sign * f + offset, as coefficients of f
        out = [0.0] * 4
        for power, value in enumerate(c):
            for k in range(power + 1):
                out[k] += value * math.comb(power, k) * sign**k * offset ** (power - k)
        return out

    rows = [shifted(far, 1, 1), shifted(near, 1, 0), shifted(near, -1, 1), shifted(far, -1, 2)]
    return tuple(rows[i][j] for j in range(4) for i in range(4))


@dataclass(frozen=True)
class Axis:
    """How one axis is resampled: texel = place[0] + place[1] * pixel; taps 1, 4, or 0 for `count` taps."""

    taps: int
    place: tuple[float, float]
    last: int
    b: float
    widen: float
    count: int

    def uniforms(self) -> dict[str, object]:
        near, far = kernel(self.b)
        return {"place": self.place, "last": self.last, "natural": natural_matrix(self.b), "near": near, "far": far,
                "widen": self.widen, "taps": self.count}


def axis_of(start: float, length: float, texels: int, pixels_from: float, pixels: float, variance_px2: float) -> Axis:
    """Resampling of texels [start, start + length) onto pixels [pixels_from, pixels_from + pixels), blurred by
    variance_px2 (square texels)."""
    step = length / pixels
    place = (start - pixels_from * step, step)
    shrink = max(step, 1.0)
    spread = variance_px2 / (shrink * shrink)
    b = min(3 * spread, 1.0)  # the kernel's variance is B / 3
    widen = shrink * max(1.0, math.sqrt(3 * spread))
    if widen > 1.0 + 1e-6:
        return Axis(0, place, texels - 1, b, widen, math.ceil(4 * widen) + 1)
    exact = b == 0.0 and abs(step - 1) < 1e-9 and abs(place[0] - round(place[0])) < 1e-6
    return Axis(1 if exact else 4, place, texels - 1, b, 1.0, 4)


def axes_of(inside: Inside, reduce: int, rect: Rect, sigma: float, weave_px: float,
          weave: tuple[float, float]) -> tuple[Axis, Axis]:
    """How the mixed picture is resampled onto its place on the output, wandering in the gate by weave_px at most.

    A projector's gate is smaller than the camera's: the picture is enlarged just enough that its edge never shows.
    """
    x, y, w, h = rect
    dx, dy = weave[0] * weave_px, weave[1] * weave_px
    grow = 1 + 2 * weave_px / h
    wide, tall = w * grow, h * grow
    left, top = x + dx - (wide - w) / 2, y + dy - (tall - h) / 2
    variance = (sigma / reduce) ** 2
    # Texel rows and columns need not be square: the blur is round on the screen, so it follows each axis' own scale.
    squeeze = (inside.across / w) / (inside.down / h)
    across = axis_of(inside.from_x / reduce, inside.across / reduce, math.ceil(inside.width / reduce), left, wide,
                     variance * squeeze * squeeze)
    down = axis_of(inside.from_y / reduce, inside.down / reduce, math.ceil(inside.height / reduce), top, tall, variance)
    return across, down
