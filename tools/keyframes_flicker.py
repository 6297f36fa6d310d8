"""Flicker taken out of painted frames along the film's own motion, without losing a stroke.

The neighbours of a frame are warped to it by the film's flow. Strokes that one frame alone has give way to what most of the
frames agree on, a weighted median: it flickers less and, unlike a mean, shows no ghosts and no blur. Broad tones, in which
flicker shows most, are drawn to the neighbours' mean by the screened Poisson equation of keyframes_blend.py, with the frame's
gradients kept. Where the flow is not to be trusted the frame stays as it is.

Neighbours are the frames as they were painted, never results of this file: each frame can be made alone, in any order, so that
a stopped run goes on with the same pictures.

Sources: Bonneel et al. 2015, "Blind video temporal consistency", for tones in the gradient domain; Lai et al. 2018 for the
measure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tools.keyframes_blend import differences, screened_poisson

Picture = NDArray[np.uint8]
Field = NDArray[np.float32]


@dataclass(frozen=True)
class Calm:
    """How much is calmed. strokes: 0..1, share of the median along the flow. tones: 0..1, how far broad tones go to the
    neighbours' mean. reach_px: from what size on a tone is broad. agree: difference in 0..255 up to which a neighbour is
    believed to show the same stroke; a larger one counts less and less."""

    strokes: float = 1.0
    tones: float = 0.7
    reach_px: float = 12.0
    agree: float = 40.0

    def __post_init__(self) -> None:
        if not (0 <= self.strokes <= 1 and 0 <= self.tones <= 1 and self.reach_px > 0 and self.agree > 0):
            raise ValueError("strokes and tones are 0..1, reach_px and agree above 0")


DEFAULT_CALM = Calm()
CRISP = 0.35  # share of the cubic interpolation: with it carried strokes are as sharp as those of a known truth (bench)


@dataclass(frozen=True)
class Neighbour:
    """Another frame's painting, warped to this frame. picture: uint8 [H, W, 3]. trust: float32 [H, W], 0..1, 0 where the
    flow finds no counterpart."""

    picture: Picture
    trust: Field


def brought(picture: Picture, flow: Field) -> Picture:
    """A neighbour's painting [H, W, 3] as seen from this frame: pixel p shows picture(p + flow(p)), flow float32 [H, W, 2] in
    pixels; what lies outside is the border's colour. Linear interpolation would cost strokes their edge, and OpenCV's cubic one
    sharpens them (its slope is -0.75): between the two lies what a camera would have seen."""
    import cv2

    y, x = np.mgrid[: flow.shape[0], : flow.shape[1]].astype(np.float32)
    x, y = x + flow[..., 0], y + flow[..., 1]
    linear = cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    cubic = cv2.remap(picture, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.addWeighted(cubic, CRISP, linear, 1 - CRISP, 0), np.uint8)


def calmed(picture: Picture, neighbours: Sequence[Neighbour], calm: Calm = DEFAULT_CALM) -> Picture:
    """The frame uint8 [H, W, 3] without its flicker against its neighbours (the frame before and the frame after; more are
    slower and calmer). Without neighbours, or trust in any, it comes back as it is. Raises ValueError where sizes differ."""
    for n in neighbours:
        if n.picture.shape != picture.shape or n.trust.shape != picture.shape[:2]:
            raise ValueError(f"a neighbour of {n.picture.shape} with trust of {n.trust.shape} beside {picture.shape}")
    if not any((n.trust > 0).any() for n in neighbours):
        return picture.copy()
    stack = np.stack([picture, *(n.picture for n in neighbours)]).astype(np.float32)  # [N, H, W, 3]
    weights = np.stack([np.ones(picture.shape[:2], np.float32), *(n.trust for n in neighbours)])  # [N, H, W]
    weights *= agreement(stack, calm.agree)
    strokes = stack[0] + calm.strokes * (weighted_median(stack, weights) - stack[0])
    if calm.tones == 0:
        return as_bytes(strokes)
    mean = (stack * weights[..., None]).sum(axis=0) / weights.sum(axis=0)[..., None]
    solved = screened_poisson(strokes + calm.tones * (mean - strokes), *differences(strokes), screen=1 / calm.reach_px**2)
    return as_bytes(solved)


def agreement(stack: Field, agree: float) -> Field:
    """[N, H, W], 0..1: how far each picture of [N, H, W, 3] in 0..255 shows what the first shows, in squares of 5 pixels; the
    first itself counts 1. A flow that slipped by a stroke is thereby left out, where its own check found nothing."""
    from scipy.ndimage import uniform_filter

    apart = np.abs(stack - stack[:1]).mean(axis=-1)  # [N, H, W]
    apart = uniform_filter(apart, (0, 5, 5), mode="nearest")
    return np.exp(-0.5 * (apart / agree) ** 2)


def weighted_median(stack: Field, weights: Field) -> Field:
    """[H, W, 3]: of the pictures [N, H, W, 3] that one whose weighted distance to all others is least, by pixel, so that a
    colour is always one that a picture has (weights [N, H, W]). The first wins a tie, so with one neighbour it stays."""
    count = len(stack)
    cost = np.zeros((count, *stack.shape[1:3]), np.float32)
    for i in range(count):
        for j in range(count):
            if i != j:
                cost[i] += weights[j] * np.abs(stack[i] - stack[j]).sum(axis=-1)
    cost[1:][weights[1:] <= 1e-3] = np.inf
    best = cost.argmin(axis=0)  # [H, W]
    return np.take_along_axis(stack, best[None, ..., None], axis=0)[0]


def as_bytes(values: Field) -> Picture:
    """0..255 rounded."""
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
