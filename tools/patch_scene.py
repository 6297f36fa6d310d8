"""A small procedural shot with a painted key, so that the engine is measured and tested on the same pictures everywhere:
clouds that pan and a disc that turns before them, and the first frame in brush strokes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from tools.patch_engine import Guide

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]
PAN_PX = (23.0, 9.0)
TURN_RAD = 0.35
STROKES_A_PIXEL = 0.05


@dataclass(frozen=True)
class Scene:
    """style: uint8 [H, W, 3], the first frame painted. frames: both, float32 [H, W, 3] of 0..1. masks: uint8 [H, W], 1 on
    the disc. truth: uint8 [H, W, 3], the second frame painted by the same strokes. guides: colour, position, edges and
    the key warped by the true motion."""

    style: Bytes
    frames: tuple[Floats, Floats]
    masks: tuple[Bytes, Bytes]
    truth: Bytes
    guides: tuple[Guide, ...]


def _clouds(rng: np.random.Generator, size: tuple[int, int]) -> Floats:
    """Smooth noise of several sizes, [H, W, 3] of 0..1, warm against cold."""
    planes = []
    for cells in (3, 6, 12, 24):
        coarse = Image.fromarray(rng.random((cells, cells)).astype(np.float32))
        planes.append(np.asarray(coarse.resize(size[::-1], Image.Resampling.BICUBIC)) / cells)
    level = sum(planes) / sum(1 / c for c in (3, 6, 12, 24))
    level = np.clip((level - 0.3) / 0.4, 0, 1)[..., None]
    return (level * (0.9, 0.75, 0.5) + (1 - level) * (0.1, 0.3, 0.4)).astype(np.float32)


def _painted(rng: np.random.Generator, picture: Floats) -> Floats:
    """The picture in strokes across its gradient, float32 [H, W, 3] of 0..1."""
    h, w = picture.shape[:2]
    light = picture.mean(axis=2)
    gy, gx = np.gradient(light)
    canvas = Image.fromarray((picture * 255).astype(np.uint8))
    draw = ImageDraw.Draw(canvas)
    scale = max(h, w) / 640
    for x, y, long, wide, shade in zip(rng.integers(0, w, n := int(h * w * STROKES_A_PIXEL / max(scale, 0.3) / 4)),
                                       rng.integers(0, h, n), rng.uniform(8, 26, n), rng.uniform(2, 6, n),
                                       rng.uniform(0.8, 1.2, n), strict=True):
        angle = np.arctan2(gx[y, x], -gy[y, x]) + 0.5 * (shade - 1)
        dx, dy = long * scale * np.cos(angle) / 2, long * scale * np.sin(angle) / 2
        colour = tuple(int(c) for c in np.clip(picture[y, x] * 255 * shade, 0, 255))
        draw.line([x - dx, y - dy, x + dx, y + dy], fill=colour, width=max(1, round(wide * scale)))  # type: ignore[arg-type]
    return np.asarray(canvas, np.float32) / np.float32(255)


def _sample(picture: Floats, x: Floats, y: Floats) -> Floats:
    """Bilinear, the edge's pixel outside. picture [H, W, C]."""
    h, w = picture.shape[:2]
    x, y = x.clip(0, w - 1), y.clip(0, h - 1)
    x0, y0 = np.minimum(x.astype(np.int64), w - 2), np.minimum(y.astype(np.int64), h - 2)
    fx, fy = (x - x0)[..., None], (y - y0)[..., None]
    top = picture[y0, x0] * (1 - fx) + picture[y0, x0 + 1] * fx
    low = picture[y0 + 1, x0] * (1 - fx) + picture[y0 + 1, x0 + 1] * fx
    return (top * (1 - fy) + low * fy).astype(np.float32)


def scene(width: int = 640, height: int = 480, seed: int = 0) -> Scene:
    """The shot at width x height; everything in it follows from the seed."""
    rng = np.random.default_rng(seed)
    scale = width / 640
    margin = int(40 * scale) + 2
    ground = _clouds(rng, (height + 2 * margin, width + 2 * margin))
    side = int(0.55 * min(width, height))
    v, u = (np.mgrid[:side, :side] - (side - 1) / 2) / (side / 2)
    turns = np.sin(5 * np.arctan2(v, u) + 6 * np.hypot(u, v))[..., None]
    disc = np.where(turns > 0, (0.85, 0.35, 0.1), (0.75, 0.85, 0.9)).astype(np.float32)
    layers = ((ground, disc), (_painted(rng, ground), _painted(rng, disc)))
    y, x = np.mgrid[:height, :width].astype(np.float32)
    centres = ((0.42 * width, 0.45 * height), (0.42 * width + 31 * scale, 0.45 * height + 17 * scale))
    frames, painted, masks, origins = [], [], [], []
    for t, (cx, cy) in enumerate(centres):
        gx, gy = x + margin + t * PAN_PX[0] * scale, y + margin + t * PAN_PX[1] * scale
        cos, sin = np.cos(t * TURN_RAD), np.sin(t * TURN_RAD)
        dx, dy = cos * (x - cx) + sin * (y - cy), cos * (y - cy) - sin * (x - cx)
        inside = np.hypot(dx, dy) < 0.48 * side
        made = [np.where(inside[..., None], _sample(front, dx + side / 2, dy + side / 2), _sample(back, gx, gy))
                for back, front in layers]
        frames.append((made[0] + rng.normal(0, 1.5 / 255, made[0].shape)).clip(0, 1).astype(np.float32))
        painted.append(made[1])
        masks.append(inside.astype(np.uint8))
        (ax, ay), still = centres[0], np.stack([gx - margin, gy - margin], axis=2)
        origins.append(np.where(inside[..., None], np.stack([dx + ax, dy + ay], axis=2), still).astype(np.float32))
    style = (painted[0] * 255).round().astype(np.uint8)
    where = [(o / max(width, height)).astype(np.float32) for o in origins]  # one unit for both: a pixel costs the same
    key = style.astype(np.float32) / np.float32(255)
    edges = [(4 * np.hypot(*np.gradient(f.mean(axis=2)))).clip(0, 1).astype(np.float32)[..., None] for f in frames]
    guides = (Guide(frames[0], frames[1], 6.0, name="colour"), Guide(where[0], where[1], 2.0, name="position"),
              Guide(edges[0], edges[1], 1.0, name="edges"),
              Guide(key, _sample(key, origins[1][..., 0], origins[1][..., 1]), 0.5, name="previous"))
    return Scene(style, (frames[0], frames[1]), (masks[0], masks[1]), (painted[1] * 255).round().astype(np.uint8), guides)
