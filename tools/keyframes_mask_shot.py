"""The masks of one shot: from its background, from what moves, from a person's masks of some frames, or of all that together.

`masks_of_shot` works on arrays and knows nothing of files; sizes are those of the frames it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from tools.keyframes_flow import flow, reliability, structure, warp
from tools.keyframes_mask_ground import (
    Affine,
    Ground,
    Panorama,
    aligned,
    camera_sharpened,
    camera_step,
    differs,
    largest,
    panorama,
    pasted,
)
from tools.keyframes_mask_light import beside_middle, evened
from tools.keyframes_mask_refine import banded, cleaned, cut_out
from tools.keyframes_mask_trust import doubt_of

Pixels = NDArray[np.uint8]  # [h, w, 3]
Map = NDArray[np.float32]  # [h, w], 0..1
Method = Literal["background", "motion", "keys"]
Tick = Callable[[float], object]

SURE, SURELY_NOT = 0.8, 0.15
LEAST_SHARE = 0.0015  # of the picture: less of it moves by chance
MOVING_PX = (0.4, 1.2)  # against the camera's motion: from here something moves, from there surely
LEAST_MOVED = 0.003  # of the masks of a shot, for anything in it to count as moving
NEAR_SHARE = 0.12  # of the picture's long side around what moves: farther off is background
BAND_PX = 4.0  # of 400: how far flow misses an edge from one frame to the next
KEY_FRAMES = 48.0  # frames from a key after which what else is known counts as much as it
LEAST_BEHIND = 0.03  # of the picture, for its colours to be learnt
BINS = 12
MEMORY, RESTING = 0.995, 0.4  # of what is remembered from frame to frame; from here it counts
SAME_LEVELS = 12  # of 255: a colour that changes by more from one frame to the next is another thing
UNKNOWN = 0.6  # likelihood of what is never seen at rest


@dataclass(frozen=True)
class Steps:
    """Flow from each frame to the next and back, with trust, as float16 [h, w, 2] and [h, w]."""

    ahead: list[NDArray[np.float16]]
    ahead_trust: list[NDArray[np.float16]]
    back: list[NDArray[np.float16]]
    back_trust: list[NDArray[np.float16]]


@dataclass(frozen=True)
class Masks:
    """rough: float32 [h, w] of each frame. how: what they were made from. found: whether there is any foreground at all. doubt:
    why they are not to be trusted; see doubt_of."""

    rough: list[Map]
    how: Method
    found: bool
    doubt: str = ""


def masks_of_shot(frames: Sequence[Pixels], keys: Mapping[int, Map] | None = None, plate: Pixels | None = None,
                  method: Method | None = None, sensitivity: float = 0.5,
                  tick: Tick = lambda share: None) -> Masks:  # fmt: skip
    """The masks of a shot's frames, uint8 [h, w, 3] each.

    keys: masks of some of them, by index, [h, w] 0..1; they stay as they are. plate: the background, [h, w, 3]. method: what to
    go by; None: the plate where there is one, else the keys, else what moves. With background or motion and keys as well, each
    counts by how near the next key is; motion that makes no sense counts for nothing then. tick: told the share done, 0..1.
    """
    keys = dict(keys or {})
    how: Method = method or ("background" if plate is not None else "keys" if keys else "motion")
    if how == "background" and plate is None:
        raise ValueError("no background to go by")
    if how == "background" and not keys:
        found = from_plate(frames, plate, sensitivity, tick)  # type: ignore[arg-type]
        return Masks(found, how, any(m.any() for m in found))
    doubt = ""
    steps = steps_of(frames, lambda share: tick(0.4 * share))
    if how == "background":
        rough = from_plate(frames, plate, sensitivity, lambda share: tick(0.4 + 0.3 * share))  # type: ignore[arg-type]
    elif how == "motion":
        rough = from_motion(frames, steps, sensitivity, lambda share: tick(0.4 + 0.3 * share))
        doubt = doubt_of(rough, steps.ahead)
    else:
        rough = [np.zeros(frames[0].shape[:2], np.float32)] * len(frames)
    if keys:
        known = how != "keys" and not doubt and any(m.any() for m in rough)
        doubt = ""
        carried, weight = from_keys(frames, keys, steps, known, lambda share: tick(0.7 + 0.3 * share))
        rough = [w * c + (1 - w) * r for w, c, r in zip(weight, carried, rough, strict=True)]
        rough = [keys[i] if i in keys else cleaned(m >= 0.5).astype(np.float32) for i, m in enumerate(rough)]
    return Masks(rough, how, any(m.any() for m in rough), doubt)


def steps_of(frames: Sequence[Pixels], tick: Tick) -> Steps:
    """The flow of a shot both ways."""
    steps = Steps([], [], [], [])
    for i in range(len(frames) - 1):
        ahead, back = flow(frames[i], frames[i + 1], "fast"), flow(frames[i + 1], frames[i], "fast")
        steps.ahead.append(ahead.astype(np.float16))
        steps.back.append(back.astype(np.float16))
        steps.ahead_trust.append(reliability(ahead, back).astype(np.float16))
        steps.back_trust.append(reliability(back, ahead).astype(np.float16))
        tick((i + 1) / len(frames))
    return steps


def from_plate(frames: Sequence[Pixels], plate: Pixels, sensitivity: float, tick: Tick) -> list[Map]:
    """What differs from the background that was given."""
    everywhere = np.ones(plate.shape[:2], np.bool_)
    out = []
    for i, frame in enumerate(frames):
        likely = differs(frame, Ground(aligned(plate, frame), everywhere, everywhere), sensitivity)
        out.append(decided(frame, likely, everywhere))
        tick((i + 1) / len(frames))
    return out


def decided(frame: Pixels, likely: Map, sure_ground: NDArray[np.bool_]) -> Map:
    """A mask [h, w] 0 or 1 from how likely each pixel is foreground: what is likely beside something sure (a shadow is often
    faint, noise stands alone), and colours decide what is in doubt. sure_ground: where unlike enough means background."""
    sure = cleaned(likely > SURE)
    if sure.mean() < LEAST_SHARE:
        return np.zeros(likely.shape, np.float32)
    joined = touching(likely > 0.5, sure)
    labels = np.where(joined, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    labels[(likely < SURELY_NOT) & sure_ground] = cv2.GC_BGD
    edge_px = BAND_PX / 2 * max(likely.shape) / 400
    labels[cv2.distanceTransform(sure.astype(np.uint8), cv2.DIST_L2, 3) > edge_px] = cv2.GC_FGD
    return touching(cleaned(cut_out(frame, labels, 1)), sure).astype(np.float32)


def touching(mask: NDArray[np.bool_], sure: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Those pieces of a mask in which anything is sure."""
    _, pieces = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    held = np.unique(pieces[sure & mask])
    return np.isin(pieces, held[held > 0])


def from_motion(frames: Sequence[Pixels], steps: Steps, sensitivity: float, tick: Tick) -> list[Map]:
    """What moves against the rest of the shot: differs from the background that its frames agree on."""
    h, w = frames[0].shape[:2]
    nothing = [np.zeros((h, w), np.float32) for _ in frames]
    speeds, ground = against_camera(frames, steps)
    if ground is None:
        return nothing
    if (in_one_light := relit(frames, speeds, ground)) is not None:
        frames = in_one_light
        steps = steps_of(frames, lambda share: tick(0.5 * share))  # light that changes feigns motion
        speeds, ground = against_camera(frames, steps)
        if ground is None:
            return nothing
    moving = [s > MOVING_PX[1] for s in speeds]

    def likelihoods(behind: Panorama) -> list[Map]:
        found = [likely_at(i, frames[i], behind, speeds[i], sensitivity) for i in range(len(frames))]
        return [along_flow(i, found, steps) for i in range(len(found))]

    likely = likelihoods(ground)
    if np.mean([(m > SURE).mean() for m in likely]) < LEAST_SHARE / 4:
        return nothing
    # What moved and came to rest is no background, though most frames may show it there.
    rested = remembered(frames, [np.where(m, p, np.float32(0)) for m, p in zip(moving, likely, strict=True)], steps, 0.5)
    around = np.ones((2 * round(1.5 * BAND_PX) + 1,) * 2, np.uint8)  # and what is beside it: an edge is soon lost
    taken = [cv2.morphologyEx((r > RESTING).astype(np.uint8), cv2.MORPH_CLOSE, around) for r in rested]
    taken = [cv2.dilate(t, around[::2, ::2]) for t in taken]
    ground = pasted(frames, ground.place, ground.known.shape[::-1], [m | (t > 0) for m, t in zip(moving, taken, strict=True)])
    likely = likelihoods(ground)
    memory = remembered(frames, likely, steps)
    out = []
    for i, frame in enumerate(frames):
        here = ground.at(i, (w, h))
        held = np.where(here.known, memory[i], np.maximum(memory[i], rested[i]))
        out.append(decided(frame, *with_colours(frame, likely[i], held, here)))
        tick((i + 1) / len(frames))
    if doubt_of(out, steps.ahead):
        moved = [float((m & (p > SURE) & (o > 0)).sum()) for m, p, o in zip(moving, likely, out, strict=True)]
        if sum(moved) - max(moved) < LEAST_MOVED * sum(float(o.sum()) for o in out):  # one frame alone is a flash
            return nothing  # light, or dust, in a shot at rest
    return out


def against_camera(frames: Sequence[Pixels], steps: Steps) -> tuple[list[Map], Panorama | None]:
    """(how fast everything moves against the camera, the background), of a shot; see speed_of and panorama."""
    seen = [structure(f) for f in frames]
    camera = [camera_step(a.astype(np.float32), s) for a, s in zip(steps.ahead, seen, strict=False)]
    camera = [camera_sharpened(frames[i], frames[i + 1], by) for i, by in enumerate(camera)]
    speeds = [speed_of(i, steps, camera, s) for i, s in enumerate(seen)] if camera else []
    return speeds, panorama(frames, camera, [s > MOVING_PX[1] for s in speeds])


def relit(frames: Sequence[Pixels], speeds: Sequence[Map], ground: Panorama) -> list[Pixels] | None:
    """The frames in one light: that of the middle frame, then, where they agree more, of the background. None where the light
    does not change."""
    h, w = frames[0].shape[:2]
    still = [s <= MOVING_PX[1] for s in speeds]
    first = evened(frames, beside_middle(frames, ground.place, still))
    if first is not None:
        ground = pasted(first, ground.place, (ground.known.shape[1], ground.known.shape[0]), [~s for s in still])
    there = [ground.at(i, (w, h)) for i in range(len(frames))]
    return evened(first or frames, [(g.picture, g.known & s) for g, s in zip(there, still, strict=True)]) or first


def remembered(frames: Sequence[Pixels], likely: Sequence[Map], steps: Steps, least: float = SURE) -> list[Map]:
    """How sure it is, [h, w] 0..1, that what a pixel shows was once foreground, before or later: someone who stands still after
    a step is foreground still. Followed along the flow as long as it is to be trusted and the colour stays. least: likelihood
    that is worth remembering."""
    memory = [np.where(m > least, m, np.float32(0)) for m in likely]
    soft = [cv2.GaussianBlur(f, (0, 0), 1.0) for f in frames]
    count = len(frames)
    for direction in (1, -1):
        held = memory[0 if direction == 1 else count - 1]
        for at in range(count)[::direction][1:]:
            by, trust = ((steps.back[at - 1], steps.back_trust[at - 1]) if direction == 1
                         else (steps.ahead[at], steps.ahead_trust[at]))  # fmt: skip
            flow_here = by.astype(np.float32)
            same = largest(cv2.absdiff(soft[at], warp(soft[at - direction], flow_here))) <= SAME_LEVELS
            kept = np.where(same & (trust > 0.3), np.float32(MEMORY) * warp(held, flow_here), 0)
            own = np.where(likely[at] > least, likely[at], np.float32(0))
            held = np.asarray(np.maximum(own, kept), np.float32)
            memory[at] = np.maximum(memory[at], held)
    return memory


def speed_of(i: int, steps: Steps, camera: Sequence[Affine], seen: Map) -> Map:
    """How fast each pixel of a frame moves against the camera, in pixels a frame; 0 where it is too flat to tell. seen: its
    structure, [h, w] 0..1. Of the ways from the frame before and to the next the slower counts: background that is about to be
    covered, or to leave the picture, has no true flow one way."""
    ways = [(steps.ahead[i], camera[i])] if i < len(camera) else []
    if i > 0:
        ways.append((steps.back[i - 1], np.asarray(cv2.invertAffineTransform(camera[i - 1]), np.float64)))
    h, w = seen.shape
    y, x = np.mgrid[:h, :w].astype(np.float32)
    speed = np.full((h, w), np.inf, np.float32)
    for moved, by in ways:
        still = np.dstack([by[0, 0] * x + by[0, 1] * y + by[0, 2] - x, by[1, 0] * x + by[1, 1] * y + by[1, 2] - y])
        speed = np.minimum(speed, np.linalg.norm(moved.astype(np.float32) - still, axis=2))
    return np.where(seen > 0.5, speed, 0).astype(np.float32)


def likely_at(i: int, frame: Pixels, ground: Panorama, speed: Map, sensitivity: float) -> Map:
    """How likely each pixel of a frame is foreground: it differs from the background, or, where none is known, it moves."""
    here = ground.at(i, (frame.shape[1], frame.shape[0]))
    t = np.clip((speed - MOVING_PX[0]) / (MOVING_PX[1] - MOVING_PX[0]), 0, 1)
    return np.where(here.known, differs(frame, here, sensitivity), UNKNOWN + 0.15 * t).astype(np.float32)


def along_flow(i: int, likely: Sequence[Map], steps: Steps) -> Map:
    """A frame's likelihood and those of its neighbours, carried here by the flow: what flickers is evened out."""
    total, weight = likely[i].copy(), np.ones(likely[i].shape, np.float32)
    neighbours = []
    if i > 0:
        neighbours.append((likely[i - 1], steps.back[i - 1], steps.back_trust[i - 1]))
    if i + 1 < len(likely):
        neighbours.append((likely[i + 1], steps.ahead[i], steps.ahead_trust[i]))
    for other, by, trust in neighbours:
        half = 0.5 * trust.astype(np.float32)
        total += half * warp(other, by.astype(np.float32))
        weight += half
    return np.asarray(total / weight, np.float32)


def with_colours(frame: Pixels, likely: Map, memory: Map, ground: Ground) -> tuple[Map, NDArray[np.bool_]]:
    """(likely, where the background is sure), with a guess by colour about what motion does not tell: where no background is
    known, where something that once moved rests (memory), and near it where nothing else was ever seen (a body whose arms
    alone move)."""
    resting = (memory > RESTING) & (likely <= SURE)
    seen = cleaned((likely > SURE) & ground.known)
    sure = seen | cleaned(resting)
    away = cv2.distanceTransform((~sure).astype(np.uint8), cv2.DIST_L2, 3)
    near = away < NEAR_SHARE * max(likely.shape)
    behind = ground.known & (likely < SURELY_NOT) & ~near  # what is near may rest there, and seem background for that
    if behind.mean() < LEAST_BEHIND:
        behind = ground.known & (likely < SURELY_NOT) & ground.proven & ~resting
    if sure.mean() < LEAST_SHARE or behind.mean() < LEAST_BEHIND:
        return likely, ground.proven | ~near
    # What is seen to be foreground teaches best: what is remembered may be a place that something only came to later.
    odds = colour_odds(frame, seen if seen.mean() >= LEAST_SHARE else sure, behind)
    again = np.where(resting & (odds > 0.5), memory, 0)
    likely = np.maximum(likely, again)
    guess = near & ground.known & ~ground.proven & (odds > 0.9) & (likely < UNKNOWN)
    out = np.where(guess, np.float32(UNKNOWN), likely)
    certain = (ground.proven & (odds < 0.7)) | (~near & ground.known)
    return np.where(ground.known, out, np.maximum(0.2 + 0.6 * odds, again)).astype(np.float32), certain


def colour_odds(frame: Pixels, ours: NDArray[np.bool_], others: NDArray[np.bool_]) -> Map:
    """How much more usual each pixel's colour is among `ours` than among `others`, [h, w] 0..1; a half where in neither."""
    soft = cv2.GaussianBlur(frame, (0, 0), 1.5)
    tables = []
    for chosen in (ours, others):
        table = cv2.calcHist([soft], [0, 1, 2], chosen.astype(np.uint8), [BINS] * 3, [0, 256] * 3)
        table = cv2.GaussianBlur(table.reshape(BINS, -1), (3, 3), 0.7).reshape(BINS, BINS, BINS)
        tables.append(table / max(float(table.sum()), 1.0))
    at = tuple((soft.astype(np.int32) * BINS // 256).transpose(2, 0, 1))
    return np.asarray((tables[0][at] + 1e-5) / (tables[0][at] + tables[1][at] + 2e-5), np.float32)


def from_keys(frames: Sequence[Pixels], keys: Mapping[int, Map], steps: Steps, others: bool,
              tick: Tick) -> tuple[list[Map], list[Map]]:  # fmt: skip
    """(mask, weight) of each frame: the nearest keys carried along, forwards from the one before and backwards from the one
    after, each frame's edge found anew. others: whether something else is known, which then counts more far from a key."""
    count = len(frames)
    both: list[tuple[list[Map | None], list[int]]] = []
    for direction in (1, -1):
        masks: list[Map | None] = [None] * count
        far = [0] * count
        for at in range(count)[::direction]:
            before = at - direction
            if at in keys:
                masks[at] = keys[at]
            elif 0 <= before < count and (last := masks[before]) is not None:
                by, trust = ((steps.back[at - 1], steps.back_trust[at - 1]) if direction == 1
                             else (steps.ahead[at], steps.ahead_trust[at]))  # fmt: skip
                far[at] = far[before] + 1
                masks[at] = stepped(frames[at], last, by.astype(np.float32), trust.astype(np.float32))
            tick(((direction == -1) * count + abs(at - (0 if direction == 1 else count - 1)) + 1) / (2 * count))
        both.append((masks, far))
    out, weights = [], []
    for i in range(count):
        found = [(m[i], 1.0 / (f[i] + 0.5)) for m, f in both if m[i] is not None]
        total = sum(w for _, w in found)
        out.append(np.asarray(sum(m * np.float32(w / total) for m, w in found if m is not None), np.float32))
        near = min(f[i] for m, f in both if m[i] is not None)
        weight = 1.0 if not others else 0.5 ** (near / KEY_FRAMES)
        weights.append(np.full(out[-1].shape, weight, np.float32))
    return out, weights


def stepped(frame: Pixels, last: Map, by: NDArray[np.float32], trust: Map) -> Map:
    """A mask carried on to the next frame, and its edge found there."""
    mask = warp(last, by) >= 0.5
    if not mask.any():
        return np.zeros(last.shape, np.float32)
    band = BAND_PX * max(last.shape) / 400
    return cleaned(cut_out(frame, banded(mask, band, band, trust), 1)).astype(np.float32)
