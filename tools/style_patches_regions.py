"""Which of several paintings each place of a picture is painted with.

Every painting is tried on a small picture; a place goes to the painting that fits it best there, less a price for each painting
that makes its share of the picture about what its weight asks for (semi-discrete optimal transport: the prices are its dual,
found by going round the paintings). What fits is levelled along the picture's own forms (the screened Poisson equation with
weights that fall across edges, as in Grady 2006, "Random walks for image segmentation"), so that a face or a wall is of one
painting, and a share may miss its weight a little where that spares a form. In a film the first frame of a shot decides: what
the flow finds again keeps its painting, and only what is new is given out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tools.paint_guides import Described, Floats, blurred
from tools.paint_keys import Moved
from tools.patch_engine import PRESETS
from tools.style_patches_stages import Task, halved_task

if TYPE_CHECKING:
    from tools.style_patches import Palette

Pixels = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.uint8]
Allowed = npt.NDArray[np.bool_]  # [styles, H, W]

TRIED_PX = 96  # shorter side of the picture that paintings are tried on, up to twice this
REACH = 0.25  # of the diagonal: how far costs are levelled where there is no edge
EDGE_LEVELS = 6.0  # of 255, from a pixel of the small picture to the next: what is steeper is an edge
MOST_COST = 3.0  # of the median: one place that fits nothing is not to decide for a form
ROUNDED = 0.006  # of the diagonal: what is narrower belongs to what is around it
LEAK = 0.002  # over an edge, beside 1 where there is none
SLACK = 0.15  # of the picture: how far a share may miss its weight
SURE = 0.3  # of the flow, for a place to keep its painting
LITTLE = 0.1  # of a picture: as much as this is new, it takes after what is beside it
ROUNDS = 30
INSIDE = 128  # levels of a mask


def allowed_of(masks: Sequence[Pixels | None], size: tuple[int, int]) -> Allowed:
    """Where each style may be used, bool [styles, H, W]. Where none may, all may: what is painted there is not seen."""
    allowed = np.stack([np.ones(size, np.bool_) if m is None else m >= INSIDE for m in masks])
    allowed[:, ~allowed.any(axis=0)] = True
    return allowed


def regions(palette: Palette, content: Pixels, shown: Described, weights: Sequence[float], allowed: Allowed,
            start: Moved | None) -> Labels:  # fmt: skip
    """uint8 [H, W]: 1 for the first painting. content: the picture uint8 [H, W, 3]. weights: above 0. start: an earlier result
    moved here."""
    import cv2

    height, width = shown.tone.shape[:2]
    if (allowed.sum(axis=0) == 1).all():
        return np.asarray(allowed.argmax(axis=0) + 1, np.uint8)
    before = before_of(palette, allowed, start)
    if (before == 0).mean() <= LITTLE:
        return nearest(before, allowed)
    costs = fits(palette, shown)  # [styles, h, w]
    small = costs.shape[1:]
    costs = levelled(costs, np.asarray(cv2.resize(content, small[::-1], interpolation=cv2.INTER_AREA), np.uint8))
    may = np.stack([cv2.resize(a.astype(np.uint8), small[::-1], interpolation=cv2.INTER_NEAREST) > 0 for a in allowed])
    may[:, ~may.any(axis=0)] = True
    costs -= prices(costs, may, weights)[:, None, None]
    full = np.stack([np.asarray(cv2.resize(c, (width, height), interpolation=cv2.INTER_LINEAR), np.float32) for c in costs])
    chosen = np.where(allowed, full, np.inf).argmin(axis=0)  # [H, W]
    sigma = ROUNDED * float(np.hypot(height, width))
    shares = np.stack([blurred((chosen == i).astype(np.float32), sigma) for i in range(len(costs))])
    made = np.where(allowed, shares, -1).argmax(axis=0) + 1
    return np.asarray(np.where(before > 0, before, made), np.uint8)


def before_of(palette: Palette, allowed: Allowed, start: Moved | None) -> Labels:
    """uint8 [H, W]: what each place was painted with before, 0 where nobody knows, or where it may not be any more."""
    if start is None or start.field is None:
        return np.zeros(allowed.shape[1:], np.uint8)
    known = (start.field >= 0).all(axis=2) & (start.sure >= SURE)
    at = np.where(known[..., None], start.field, 0)
    before = np.where(known, palette.labels[at[..., 1], at[..., 0]], 0)
    may = np.take_along_axis(allowed, np.maximum(before, 1)[None].astype(np.intp) - 1, axis=0)[0]
    return np.asarray(np.where(may, before, 0), np.uint8)


def nearest(before: Labels, allowed: Allowed) -> Labels:
    """The labels, where they are 0 those of the nearest place that has one, of those that may be there."""
    from scipy.ndimage import distance_transform_edt

    away = np.stack([distance_transform_edt(before != i + 1) if (before == i + 1).any() else np.full(before.shape, np.inf)
                     for i in range(len(allowed))])  # fmt: skip
    filled = np.where(allowed, np.minimum(away, 1e9), np.inf).argmin(axis=0) + 1
    return np.asarray(np.where(before > 0, before, filled), np.uint8)


def fits(palette: Palette, shown: Described) -> Floats:
    """How badly each painting alone fits each place, float32 [styles, h, w] at a small size, in units of its own median."""
    found = []
    for painter in palette.painters:
        usable = None if painter.usable.all() else painter.usable.astype(np.uint8)
        size = shown.tone.shape[:2]
        everywhere = None if usable is None else np.ones(size, np.uint8)
        task = Task(painter.picture, tuple(painter.guides(shown, [])), usable, everywhere, None)
        halvings = 0
        while min(task.size) >= 2 * TRIED_PX and min(task.style.shape[:2]) >= 4 * painter.options.patch + 2:
            task, halvings = halved_task(task), halvings + 1
        own = replace(PRESETS["draft"], patch=painter.options.patch, seed=painter.options.seed, threads=painter.options.threads)
        found.append((halvings, task.made(own).error))
    deepest = max(h for h, _ in found)
    height, width = (side >> deepest for side in shown.tone.shape[:2])
    return np.stack([scaled_error(error, (height, width)) for _, error in found])


def scaled_error(error: Floats, size: tuple[int, int]) -> Floats:
    """An error [H, W] in (height, width), in units of its median."""
    import cv2

    small = error if error.shape == size else cv2.resize(error, size[::-1], interpolation=cv2.INTER_AREA)
    return np.asarray(np.minimum(small / max(float(np.median(small)), 1e-6), MOST_COST), np.float32)


def levelled(costs: Floats, picture: Pixels) -> Floats:
    """Costs [styles, h, w] made alike within the forms of a picture uint8 [h, w, 3]."""
    from scipy.sparse import coo_array
    from scipy.sparse.linalg import splu

    height, width = picture.shape[:2]
    planes = blurred(picture.astype(np.float32), 0.7)
    number = np.arange(height * width).reshape(height, width)
    rows, columns, values = [], [], []
    for axis in (0, 1):
        step = np.sqrt((np.diff(planes, axis=axis) ** 2).sum(axis=2))
        ties = np.exp(-((step / EDGE_LEVELS) ** 2)) + LEAK
        a, b = (number[:-1], number[1:]) if axis == 0 else (number[:, :-1], number[:, 1:])
        for first, second in ((a, b), (b, a)):
            rows += [first.ravel(), first.ravel()]
            columns += [second.ravel(), first.ravel()]
            values += [-ties.ravel(), ties.ravel()]
    screen = 1 / (REACH * float(np.hypot(height, width))) ** 2
    rows.append(number.ravel())
    columns.append(number.ravel())
    values.append(np.full(number.size, screen))
    matrix = coo_array((np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))).tocsc()
    solved = splu(matrix).solve(screen * costs.reshape(len(costs), -1).T.astype(np.float64))  # [h w, styles]
    return np.asarray(solved.T.reshape(costs.shape), np.float32)


def prices(costs: Floats, allowed: Allowed, weights: Sequence[float]) -> Floats:
    """What to take off each style's cost [styles, h, w], so that the cheapest style of each place has its share: of the places
    where a style may be, in proportion to its weight among those that may be there. float32 [styles]."""
    count = len(costs)
    asked = np.asarray(weights, np.float64)[:, None, None] * allowed
    areas = (asked / asked.sum(axis=0)).sum(axis=(1, 2))  # [styles], in pixels
    found = np.zeros(count, np.float32)
    barred = np.where(allowed, costs, np.inf)
    for _ in range(ROUNDS):
        before = found.copy()
        for i in range(count):
            others = np.min(np.delete(barred, i, 0) - np.delete(found, i)[:, None, None], axis=0)  # [h, w]
            gap = (costs[i] - others)[allowed[i]]
            shared = np.sort(gap[np.isfinite(gap)])
            wanted = areas[i] - (len(gap) - len(shared))  # of the shared places; those that it has alone count
            if len(shared):
                found[i] = parted(shared, wanted / len(shared))
        found -= found.mean()
        if np.abs(found - before).max() < 1e-4:
            break
    return found


def parted(gaps: npt.NDArray[np.float32], share: float) -> float:
    """A value that about `share` of the sorted gaps lie below: the middle of the widest step near there, so that what is alike
    stays together."""
    count = len(gaps)
    at = int(np.clip(round(share * count), 0, count))
    reach = max(1, round(SLACK * min(share, 1 - share, 0.5) * 2 * count)) if 0 < share < 1 else 0
    low, high = max(1, at - reach), min(count - 1, at + reach)
    if reach == 0 or low > high:
        return float(gaps[min(at, count - 1)]) if at < count else float(gaps[-1]) + 1e-3
    steps = gaps[low : high + 1] - gaps[low - 1 : high]
    near = 1 - np.abs(np.arange(low, high + 1) - at) / (reach + 1)  # of equal steps the one nearest to what was asked for
    best = low + int((steps * near).argmax())
    return float(gaps[best - 1] + gaps[best]) / 2
