"""Light that changes during a shot, taken out before its frames are compared: a fade of the sun, a projector that flickers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tools.keyframes_flow import luma

Pixels = NDArray[np.uint8]  # [h, w, 3]

ROUNDS, TRIED = 4, 41  # of fitting; gains
LEAST_LEVELS = 2.0  # of 255: noise that is always there
EVERY = 7  # pixel is looked at
LEAST_PIXELS = 300
FLAT_LEVELS, DOUBTED = 4.0, 0.2  # where most is one tone, no gain can be seen in it; of the places, for a gain of 2
ALIKE_LEVELS, LEAST_ALIKE = 8.0, 0.5  # of the places: less is no agreement
GAINS, MOST_OFFSET = (0.5, 2.0), 80.0
BIN_LEVELS, BIN_SHARE, MOST_BEND = 16, 0.02, 12.0  # of a tone curve beyond a straight line: how fine, from how much, how far
SAME_LIGHT = 2.0  # levels: less is not worth a change of any pixel


def tone_curve(frame: Pixels, ground: Pixels, usable: NDArray[np.bool_]) -> NDArray[np.float32]:
    """float32 [256]: what each level of a frame is in the light of its background; the same level where nothing is agreed. A
    straight line that most of the usable places agree about (Cauchy weights: a figure before the background counts for little),
    bent where they agree that it is."""
    levels = np.arange(256, dtype=np.float32)
    here, there = (luma(p)[usable][::EVERY].astype(np.float64) for p in (frame, ground))
    if len(here) < LEAST_PIXELS:
        return levels
    gain, offset = most_agreed(here, there)
    for _ in range(ROUNDS):
        apart = there - gain * here - offset
        weight = 1 / (1 + (apart / max(LEAST_LEVELS, 1.48 * float(np.median(np.abs(apart))))) ** 2) ** 2
        mean_here, mean_there = (weight * here).sum() / weight.sum(), (weight * there).sum() / weight.sum()
        spread = (weight * (here - mean_here) ** 2).sum()
        common, flat = (weight * (here - mean_here) * (there - mean_there)).sum(), FLAT_LEVELS**2 * weight.sum()
        gain = float(np.clip((common + flat) / (spread + flat), *GAINS))
        offset = float(np.clip(mean_there - gain * mean_here, -MOST_OFFSET, MOST_OFFSET))
    rest = there - gain * here - offset
    at, bend = [], []
    for low in range(0, 256, BIN_LEVELS):
        inside = (here >= low) & (here < low + BIN_LEVELS)
        if inside.sum() >= BIN_SHARE * len(here) and abs(middle := float(np.median(rest[inside]))) < MOST_BEND:
            at.append(float(here[inside].mean()))
            bend.append(middle)
    curve = gain * levels + offset + (np.interp(levels, at, bend) if at else 0)
    if (np.abs(there - np.interp(here, levels, curve)) < ALIKE_LEVELS).mean() < LEAST_ALIKE:
        return levels
    return np.asarray(np.maximum.accumulate(curve), np.float32)  # brighter stays brighter


def most_agreed(here: NDArray[np.float64], there: NDArray[np.float64]) -> tuple[float, float]:
    """(gain, offset) of the straight line that most places lie near: a figure may be a third of them. here, there: [N]."""
    best = (-1.0, 1.0, 0.0)
    for gain in np.geomspace(*GAINS, TRIED):
        counts, edges = np.histogram(there - gain * here, bins=round(MOST_OFFSET), range=(-MOST_OFFSET, MOST_OFFSET))
        near = np.convolve(counts, [0.5, 1, 1, 1, 0.5], "same") * (1 - DOUBTED * abs(np.log2(gain)))
        top = int(near.argmax())
        best = max(best, (float(near[top]), float(gain), float(edges[top] + edges[top + 1]) / 2))
    return best[1], best[2]


def beside_middle(frames: Sequence[Pixels], place: NDArray[np.float64],
                  still: Sequence[NDArray[np.bool_]]) -> list[tuple[Pixels, NDArray[np.bool_]]]:  # fmt: skip
    """What `evened` takes, where no background is known yet: the middle frame as each frame's camera sees it. place: see
    Panorama; still: [h, w] of each frame, where nothing moves."""
    middle = len(frames) // 2
    h, w = frames[0].shape[:2]
    home = np.linalg.inv(np.vstack([place[middle], [0, 0, 1]]))
    out = []
    for i, rests in enumerate(still):
        by = (home @ np.vstack([place[i], [0, 0, 1]]))[:2]  # [2, 3], from this frame to the middle one
        how = cv2.WARP_INVERSE_MAP
        picture = cv2.warpAffine(frames[middle], by, (w, h), flags=cv2.INTER_LINEAR | how, borderMode=cv2.BORDER_REPLICATE)
        seen = cv2.warpAffine(still[middle].astype(np.uint8), by, (w, h), flags=cv2.INTER_NEAREST | how) > 0
        out.append((np.asarray(picture, np.uint8), seen & rests))
    return out


def evened(frames: Sequence[Pixels], grounds: Sequence[tuple[Pixels, NDArray[np.bool_]]]) -> list[Pixels] | None:
    """The frames in the light of their background; None where all have it, but for what is not worth it. grounds: of each frame
    its background and where that is to be seen, [h, w]."""
    curves = [tone_curve(f, *g) for f, g in zip(frames, grounds, strict=True)]
    levels: Any = np.arange(256)
    shares = [np.bincount(luma(f)[g[1]], minlength=256) / max(1, g[1].sum()) for f, g in zip(frames, grounds, strict=True)]
    if max(float((s * np.abs(c - levels)).sum()) for s, c in zip(shares, curves, strict=True)) < SAME_LIGHT:
        return None
    return [np.clip(np.rint(c), 0, 255).astype(np.uint8)[f] for f, c in zip(frames, curves, strict=True)]
