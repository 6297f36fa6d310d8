"""A drawn film whose painted version is known exactly: layers that move before one another, each in plain and in strokes.

What a perfect propagation of a painted key would give is thereby known for every frame, and so is where every pixel goes. One
shot of uneven motion, as films have it: it stands, pans quickly to what was never seen, something passes in front, stands
again, tilts. Drawn with a seed; the same bytes each time on one machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Affine = NDArray[np.float64]  # [2, 3], from a layer's pixels to the frame's
NOISE = 1.5  # sigma of the plain frames' grain, in 0..255; the painted ones have none
PALETTE = np.array([[46, 84, 52], [64, 110, 70], [150, 96, 60], [200, 160, 96], [226, 208, 140], [238, 226, 214],
                    [176, 62, 36]], np.float32)  # fmt: skip
FRAMES, SIZE = 266, (160, 120)


@dataclass(frozen=True)
class Motion:
    """Where everything is. labels: uint8 [T, H, W], the layer that is seen; affines: float64 [layers, T, 2, 3]."""

    labels: NDArray[np.uint8]
    affines: NDArray[np.float64]

    def flow(self, i: int, j: int) -> NDArray[np.float32]:
        """Exactly where each pixel of frame i is in frame j, seen there or not: float32 [H, W, 2]."""
        height, width = self.labels.shape[1:]
        y, x = np.mgrid[:height, :width].astype(np.float64)
        at = np.stack([x, y, np.ones_like(x)], axis=-1)  # [H, W, 3]
        out = np.zeros((height, width, 2), np.float32)
        for layer in range(len(self.affines)):
            there = joined(self.affines[layer, j], inverted(self.affines[layer, i]))
            moved = at @ there.T - at[..., :2]
            out = np.where((self.labels[i] == layer)[..., None], moved.astype(np.float32), out)
        return out


@dataclass(frozen=True)
class Clip:
    """frames: the plain film; truths: the same painted, both uint8 [H, W, 3]; masks: uint8 [H, W], 255 in front."""

    frames: tuple[Picture, ...]
    truths: tuple[Picture, ...]
    masks: tuple[Picture, ...]
    motion: Motion


@dataclass(frozen=True)
class Layer:
    """plain, painted: float32 [h, w, 3] in 0..255; alpha: float32 [h, w]; places: float64 [T, 2, 3]."""

    plain: NDArray[np.float32]
    painted: NDArray[np.float32]
    alpha: NDArray[np.float32]
    places: NDArray[np.float64]


def drawn(frames: int = FRAMES, size: tuple[int, int] = SIZE, seed: int = 0) -> Clip:
    """The clip of so many frames of size (width, height) in pixels."""
    layers = scene(frames, size, seed)
    chance = np.random.default_rng((seed, 1))
    plain, painted, masks, labels = [], [], [], []
    for t in range(frames):
        film, paint, label = composed(layers, t, size)
        plain.append(rounded(film + chance.normal(0, NOISE, film.shape)))
        painted.append(rounded(paint))
        masks.append(np.where(label > 0, 255, 0).astype(np.uint8))
        labels.append(label)
    motion = Motion(np.stack(labels), np.stack([layer.places for layer in layers]))
    return Clip(tuple(plain), tuple(painted), tuple(masks), motion)


def composed(layers: Sequence[Layer], t: int, size: tuple[int, int]) -> tuple[Any, Any, NDArray[np.uint8]]:
    """Frame t: plain and painted float32 [H, W, 3], and the layer that is seen uint8 [H, W]."""
    import cv2

    width, height = size
    film, paint = np.zeros((height, width, 3), np.float32), np.zeros((height, width, 3), np.float32)
    label = np.zeros((height, width), np.uint8)
    for number, layer in enumerate(layers):
        place = layer.places[t]

        def seen(values: Any, place: Affine = place) -> Any:
            return cv2.warpAffine(values, place, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)

        alpha = seen(layer.alpha)[..., None]
        # Times alpha before it is resampled: what lies around a figure must not bleed into its edge.
        film = film * (1 - alpha) + seen(layer.plain * layer.alpha[..., None])
        paint = paint * (1 - alpha) + seen(layer.painted * layer.alpha[..., None])
        label[alpha[..., 0] > 0.5] = number
    return film, paint, label


def scene(frames: int, size: tuple[int, int], seed: int) -> list[Layer]:
    """The ground, a wheel that rolls, and a leaf that passes in front. Lengths are in widths of the picture."""
    width, height = size
    chance = np.random.default_rng(seed)
    t = np.arange(frames) / max(1, frames - 1)
    camera_x = width * (0.04 * t + 0.95 * eased(t, 0.24, 0.40))
    camera_y = width * (0.02 * np.sin(9 * t) + 0.02 + 0.42 * eased(t, 0.70, 0.78))
    ground = textured(int(width * 2.1), int(height + width * 0.5), chance, large=width / 5)
    wheel, leaf = textured(int(width * 0.42), int(width * 0.42), chance, width / 12), textured(
        int(width * 0.6), int(width * 0.34), chance, width / 10)
    # The wheel stays with the camera on its pan and is lost on the tilt; the leaf passes twice.
    wheel_x = width * (0.30 + 0.10 * np.sin(4 * t) + 0.25 * eased(t, 0.42, 0.62))
    wheel_y = width * (0.36 + 0.02 * np.sin(11 * t)) - width * 0.42 * eased(t, 0.70, 0.78)
    passing = eased(t, 0.44, 0.58) - eased(t, 0.84, 0.97)
    leaf_x, leaf_y = width * (-0.4 + 1.8 * passing), width * (0.40 + 0.06 * np.sin(13 * t))
    turns, tilt = 4.0 * t + 2 * eased(t, 0.42, 0.62), 0.5 * np.sin(8 * t)
    return [
        Layer(*ground, np.ones(ground[0].shape[:2], np.float32), placed(-camera_x, -camera_y, 0 * t, (0, 0))),
        Layer(*spoked(wheel), disc(wheel[0].shape[:2]), placed(wheel_x, wheel_y, turns, middle(wheel[0]))),
        Layer(*leaf, disc(leaf[0].shape[:2]), placed(leaf_x, leaf_y, tilt, middle(leaf[0]))),
    ]


def eased(t: NDArray[np.float64], begin: float, end: float) -> NDArray[np.float64]:
    """0 before `begin`, 1 after `end`, smooth between."""
    s = np.clip((t - begin) / (end - begin), 0, 1)
    return s * s * (3 - 2 * s)


def textured(width: int, height: int, chance: np.random.Generator, large: float) -> tuple[Any, Any]:
    """Cloudy colours as film would have them, and strokes over the same: float32 [height, width, 3] each."""
    import cv2

    field = np.zeros((height, width, 3), np.float32)
    cell, strength = large, 1.0
    while cell >= 3:
        coarse = chance.standard_normal((int(height / cell) + 3, int(width / cell) + 3, 3)).astype(np.float32)
        field += strength * cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
        cell, strength = cell / 2, strength * 0.6
    shared = field.mean(axis=-1, keepdims=True)
    plain = np.clip(118 + 42 * shared + 22 * field, 12, 244)
    return plain, stroked(plain, chance)


def stroked(plain: Any, chance: np.random.Generator) -> Any:
    """The picture in short strokes along its edges, in a palette chosen by lightness: float32 [H, W, 3]."""
    import cv2

    height, width = plain.shape[:2]
    soft = cv2.GaussianBlur(plain, (0, 0), 3)
    light = soft.mean(axis=-1)  # [H, W]
    order = np.searchsorted(np.quantile(light, np.linspace(0, 1, len(PALETTE) + 1)[1:-1]), light)
    out = PALETTE[order]
    along = np.arctan2(cv2.Sobel(light, cv2.CV_32F, 0, 1), cv2.Sobel(light, cv2.CV_32F, 1, 0)) + np.pi / 2
    for _ in range(height * width // 22):
        x, y = int(chance.integers(width)), int(chance.integers(height))
        colour = np.clip(PALETTE[order[y, x]] + chance.normal(0, 14, 3), 0, 255)
        angle, length = float(along[y, x]) + float(chance.normal(0, 0.3)), float(chance.uniform(3, 7))
        dx, dy = length * np.cos(angle), length * np.sin(angle)
        ends = (int(round(x - dx)), int(round(y - dy))), (int(round(x + dx)), int(round(y + dy)))
        cv2.line(out, *ends, color=[float(c) for c in colour], thickness=int(chance.integers(2, 4)), lineType=cv2.LINE_AA)
    return out


def spoked(layer: tuple[Any, Any]) -> tuple[Any, Any]:
    """A wheel: spokes of another colour in plain, and other strokes over them, so that its turning can be seen."""
    plain, painted = layer
    height, width = plain.shape[:2]
    y, x = np.mgrid[:height, :width]
    angle = np.arctan2(y - height / 2, x - width / 2) + 6 * np.hypot(y - height / 2, x - width / 2) / width
    spoke = (np.sin(5 * angle) > 0)[..., None]
    rosy, red = np.clip(plain * [1.3, 0.8, 0.5], 0, 255), np.clip(painted * [1.0, 0.45, 0.3] + 20, 0, 255)
    return np.where(spoke, rosy, plain).astype(np.float32), np.where(spoke, red, painted).astype(np.float32)


def disc(shape: tuple[int, int]) -> Any:
    """Alpha of the ellipse that fits in [H, W], its edge a pixel wide: float32."""
    height, width = shape
    y, x = np.mgrid[:height, :width]
    r = np.hypot((x - (width - 1) / 2) / (width / 2 - 2), (y - (height - 1) / 2) / (height / 2 - 2))
    return np.clip((1 - r) * min(height, width) / 2, 0, 1).astype(np.float32)


def middle(layer: Any) -> tuple[float, float]:
    """x and y of a layer's middle."""
    return (layer.shape[1] - 1) / 2, (layer.shape[0] - 1) / 2


def placed(x: Any, y: Any, angle: Any, about: tuple[float, float]) -> NDArray[np.float64]:
    """[T, 2, 3]: turned by angle [T] about a point of the layer, which comes to (x, y) [T] in the frame."""
    c, s = np.cos(angle), np.sin(angle)
    left = x - c * about[0] + s * about[1]
    top = y - s * about[0] - c * about[1]
    return np.stack([np.stack([c, -s, left], axis=-1), np.stack([s, c, top], axis=-1)], axis=1)


def inverted(affine: Affine) -> Affine:
    """The affine [2, 3] back."""
    turn = np.linalg.inv(affine[:, :2])
    return np.concatenate([turn, -turn @ affine[:, 2:]], axis=1)


def joined(second: Affine, first: Affine) -> Affine:
    """second after first, [2, 3]."""
    return np.concatenate([second[:, :2] @ first[:, :2], second[:, :2] @ first[:, 2:] + second[:, 2:]], axis=1)


def rounded(values: Any) -> Picture:
    """0..255 as bytes."""
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
