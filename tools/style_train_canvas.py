"""The canvas that a stylizer's training begins with: strokes of the paintings themselves, and lines of three directions.

The optimiser paints an even grey in each style: what it then shows is nothing but strokes. Their light and dark is one plane of
the canvas a style; the network learns which of it shows, where, and how broad (models/stylizer.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from models.stylizer import CANVAS_CELLS, UNIT_PX, Stylizer, woven
from tools.paint_guides import blurred, luminance
from tools.paint_options import PaintOptions
from tools.paint_style import Painting

Floats = NDArray[np.float32]
SIDE_PX = CANVAS_CELLS * UNIT_PX
SEAM_PX = 16  # over which the borders are blended, so that the canvas repeats
GREY = 128  # of the even ground
BROAD_PX = 10.0  # sigma above which light and dark is no stroke's
MOST = 2.5  # deviations
LINES = 3  # directions
MOST_PLANES = 16


def planes_for(styles: int) -> int:
    """How many planes a canvas has where nobody says."""
    return min(MOST_PLANES, styles + LINES)


def lay_strokes(net: Stylizer, paintings: Sequence[Painting], options: PaintOptions, area_px: int) -> None:
    """Put the paintings' strokes, then lines, onto a new network's canvas, as many as it has planes for; and have each style
    begin with strokes of its own, in their colours. area_px: of a frame, by which strokes are as large here as there.
    Raises ShowError."""
    count = net.config.canvas
    assert net.brush is not None
    own = [strokes_of(p, options, area_px) for p in paintings[:count]]
    lines = list(woven(1 + LINES)[0, 1:].numpy())
    more = list(woven(count)[0].numpy()) if count > len(own) + LINES else []
    planes = np.stack([*(plane for plane, _ in own), *lines, *more][:count])  # [K, 256, 256]
    with torch.no_grad():
        net.canvas.copy_(F.pixel_unshuffle(torch.from_numpy(planes)[None], UNIT_PX))  # [1, 16 K, 64, 64]
        for s, (_, colour) in enumerate(own):  # the brush says K levels, then the amounts of each plane's three colours
            net.brush.norm.betas[s, count + 3 * s : count + 3 * s + 3] = torch.from_numpy(colour)


def strokes_of(painting: Painting, options: PaintOptions, area_px: int) -> tuple[Floats, Floats]:
    """(light and dark of a painting's strokes on even ground, float32 [256, 256], mean 0 and deviation 1, without a seam; how
    much red, green and blue go with it, float32 [3], of values 0..1)."""
    from tools.style_patches import Easel

    side = SIDE_PX + SEAM_PX
    height, width = painting.picture.shape[:2]
    there, here = (min(1.0, (area / (height * width)) ** 0.5) for area in (area_px, side * side))
    easel = Easel([painting], replace(options, scale=options.scale * there / here), (side, side))
    picture = easel.stylise(np.full((side, side, 3), GREY, np.uint8)).picture
    plane = seamless(luminance(picture))
    levels = picture.astype(np.float32) / np.float32(255)
    colours = [seamless(np.asarray(levels[..., c], np.float32), scaled=False) for c in range(3)]
    return plane, np.asarray([(plane * c).mean() for c in colours], np.float32)


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
