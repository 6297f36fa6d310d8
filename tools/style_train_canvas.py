"""The canvas that a stylizer's training begins with: strokes of the paintings themselves, in all directions.

Noise is drawn out along each direction as a painting's own strokes are long and wide (by the spectrum of its pieces, each
turned so that its strokes lie level), faintly, on an even grey; the optimiser paints that. Its pictures are the painting's
strokes in that direction, and those of neighbouring directions lie on the same noise, so that where a form turns its strokes
turn with it (models/stylizer_form.py). Noise of a picture's spectrum: Galerne et al. 2012, "Gabor Noise by Example".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from models.stylizer import CANVAS_CELLS, UNIT_PX, Stylizer
from models.stylizer_form import DIRECTIONS
from tools.paint_guides import blurred, directions, luminance
from tools.paint_options import PaintOptions
from tools.paint_style import Painting, scaled
from tools.style_train_pictures import film_palette

Floats = NDArray[np.float32]
SIDE_PX = CANVAS_CELLS * UNIT_PX
SEAM_PX = 16  # over which the borders are blended, so that the canvas repeats
GREY = 128  # of the even ground
FAINT = 20.0  # levels, the noise's deviation: enough to lead strokes, too little to call up the painting's lights and darks
SOFT_PX = 1.2  # the noise's finest grain is no stroke's
BROAD_PX = 10.0  # sigma above which light and dark is no stroke's
MOST = 2.5  # deviations
PIECE_PX, PIECES = 64, 600  # of a painting, for its spectrum
WINDOW_PX = 4.8  # sigma in which a piece's direction is taken
MOST_PATTERNS = 16


def patterns_for(styles: int) -> int:
    """How many patterns a canvas has where nobody says: each style's own."""
    return min(MOST_PATTERNS, styles)


def lay_strokes(net: Stylizer, paintings: Sequence[Painting], options: PaintOptions, area_px: int,
                tick: Callable[[int], None] = lambda done: None) -> None:  # fmt: skip
    """Put the paintings' strokes onto a new network's canvas, as many as it has patterns for, and have each style begin with
    strokes of its own, in their colours. area_px: of a frame, by which strokes are as large here as there. tick: called with
    the number of canvas pictures painted so far, DIRECTIONS of each painting. Raises ShowError."""
    count = net.config.canvas
    assert net.brush is not None
    with torch.no_grad():
        for p, painting in enumerate(paintings[:count]):
            planes, colour = strokes_of(painting, options, area_px, lambda done, first=p * DIRECTIONS: tick(first + done))  # type: ignore[misc]
            cells = F.pixel_unshuffle(torch.from_numpy(planes)[None], UNIT_PX)  # [1, 16 D, 64, 64]
            many = cells.shape[1]
            net.canvas[:, p * many : (p + 1) * many] = cells
            # The brush says K levels, then the amounts of each pattern's three colours.
            net.brush.norm.betas[p, count + 3 * p : count + 3 * p + 3] = torch.from_numpy(colour)


def strokes_of(painting: Painting, options: PaintOptions, area_px: int,
               tick: Callable[[int], None]) -> tuple[Floats, Floats]:  # fmt: skip
    """(light and dark of a painting's strokes in each direction, float32 [D, 256, 256], mean 0 and deviation 1, without a seam;
    how much red, green and blue go with it, float32 [3], of values 0..1)."""
    from tools.style_patches import Easel

    side = SIDE_PX + SEAM_PX
    height, width = painting.picture.shape[:2]
    there, here = (min(1.0, (area / (height * width)) ** 0.5) for area in (area_px, side * side))
    easel = Easel([painting], replace(options, scale=options.scale * there / here), (side, side))
    easel.palette = film_palette(easel.palette, np.linspace(0, 1, 256, dtype=np.float32))  # faint stays faint
    streaks = drawn_like(scaled(painting, area_px, options.scale).picture, options.seed)  # [D, 256, 256]
    planes, colours = [], []
    for streak in streaks:
        ground = np.pad(streak, ((0, SEAM_PX), (0, SEAM_PX)), mode="wrap")
        frame = np.clip(np.rint(GREY + FAINT * ground), 0, 255).astype(np.uint8)
        picture = easel.stylise(np.dstack([frame] * 3)).picture
        planes.append(seamless(luminance(picture)))
        levels = picture.astype(np.float32) / np.float32(255)
        own = [seamless(np.asarray(levels[..., c], np.float32), scaled=False) for c in range(3)]
        colours.append([float((planes[-1] * c).mean()) for c in own])
        tick(len(planes))
    return np.stack(planes), np.asarray(colours, np.float32).mean(axis=0)


def drawn_like(painting: NDArray[np.uint8], seed: int) -> Floats:
    """Noise drawn out along each direction as the strokes of a painting [H, W, 3]: float32 [D, 256, 256], mean 0, deviation 1,
    without a seam, the same noise in all."""
    sizes = level_spectrum(luminance(painting))  # [64, 64], frequency 0 in the middle
    waves = np.fft.fft2(np.random.default_rng(seed).standard_normal((SIDE_PX, SIDE_PX)))
    down, right = np.meshgrid(np.fft.fftfreq(SIDE_PX), np.fft.fftfreq(SIDE_PX), indexing="ij")
    grain = np.exp(-0.5 * (2 * math.pi * SOFT_PX) ** 2 * (down**2 + right**2))
    made = []
    for k in range(DIRECTIONS):
        turn = math.pi * k / DIRECTIONS
        along, across = right * math.cos(turn) + down * math.sin(turn), down * math.cos(turn) - right * math.sin(turn)
        plane = np.fft.ifft2(waves * grain * at_waves(sizes, across, along)).real
        made.append((plane - plane.mean()) / max(float(plane.std()), 1e-12))
    return np.asarray(made, np.float32)


def level_spectrum(luma: Floats) -> Floats:
    """Sizes of the waves in pieces of luma [H, W], each turned so that its strokes lie level, float32 [64, 64], the same for a
    wave and its mirror image; the surer a piece's direction, the more it counts."""
    import cv2

    least = round(1.5 * PIECE_PX)
    height, width = luma.shape
    if min(height, width) < least:
        luma = np.pad(luma, [(0, max(0, least - n)) for n in (height, width)], mode="reflect" if min(height, width) > least // 2
                      else "symmetric")  # fmt: skip
        height, width = luma.shape
    fine = luma - blurred(luma, BROAD_PX)
    form, sure = directions(luma, WINDOW_PX)
    turns = np.degrees(0.5 * np.arctan2(form[..., 1], form[..., 0]))
    window = np.outer(np.hanning(PIECE_PX), np.hanning(PIECE_PX))
    chance, edge = np.random.default_rng(0), least // 2
    total = np.full((PIECE_PX, PIECE_PX), 1e-12)
    for _ in range(PIECES):
        y, x = chance.integers(edge, height - edge + 1), chance.integers(edge, width - edge + 1)
        y, x = min(int(y), height - 1), min(int(x), width - 1)
        turned = cv2.getRotationMatrix2D((float(x), float(y)), float(turns[y, x]), 1.0)
        turned[:, 2] += (PIECE_PX / 2 - x, PIECE_PX / 2 - y)
        piece = cv2.warpAffine(fine, turned, (PIECE_PX, PIECE_PX), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
        total += float(sure[y, x]) ** 2 * np.abs(np.fft.fft2((piece - piece.mean()) * window)) ** 2
    sizes = np.fft.fftshift(np.sqrt(total))
    flipped = np.roll(sizes[::-1, ::-1], 1, axis=(0, 1))  # what a real picture's spectrum is equal to
    return np.asarray((sizes + flipped + np.roll(sizes[::-1], 1, axis=0) + np.roll(sizes[:, ::-1], 1, axis=1)) / 4, np.float32)


def at_waves(sizes: Floats, down: NDArray[np.float64], right: NDArray[np.float64]) -> Floats:
    """sizes [64, 64] at frequencies in waves a pixel, -0.5..0.5; beyond them 0."""
    import cv2

    at_x, at_y = (((f + 0.5) * PIECE_PX).astype(np.float32) for f in (right, down))
    return np.asarray(cv2.remap(sizes, at_x, at_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT), np.float32)


def seamless(plane: Floats, scaled: bool = True) -> Floats:
    """The strokes in values float32 [272, 272]: [256, 256], its ends blended into each other; scaled: to deviation 1."""
    fine = plane - blurred(plane, BROAD_PX)
    share = np.linspace(0, 1, SEAM_PX, dtype=np.float32)[:, None]  # [SEAM, 1]
    for _ in range(2):  # down, then across
        ends, starts = fine[SIDE_PX:], fine[:SEAM_PX]
        # The shares' squares sum to 1, so that the strokes are as strong there as elsewhere.
        blend = ends * np.sqrt(1 - share) + starts * np.sqrt(share)
        fine = np.concatenate([blend, fine[SEAM_PX:SIDE_PX]]).T
    fine = fine - fine.mean()
    if scaled:
        fine = np.clip(fine / max(float(fine.std()), 1e-6), -MOST, MOST)
    return np.ascontiguousarray(fine, np.float32)
