"""The part "painted" of `cineml bench keyframes`: keys painted together, each from its warped neighbour, against keys
painted one by one, by how much they disagree where both show the same thing (E_warp from key to key along the exact motion),
and by how near they come to the painting's own patches, so that agreement is not bought with a blur.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tools.bench import Row
from tools.bench_keyframes_clip import FRAMES, Clip, Motion, drawn, rounded, textured
from tools.keyframes_measure import seen_in_both, sharpness, style_distance, warp_error

Picture = NDArray[np.uint8]
SEED = 0
# Of the clip: the wheel turns and the leaf passes, the ground stands. On its pan, to darker ground, keys painted together
# share one light and keys painted alone have each their own: their tones differ, and with these the distance of style.
PART, PAN, KEY_EVERY, PAINTING_PX = slice(108, 181), slice(0, 97), 12, 384
LOWER, EQUAL_STYLE = 0.4, 0.05


@dataclass(frozen=True)
class Agreement:
    """e_warp: mean over neighbouring keys, in 0..1 squared. style: mean distance from the painting, in 0..255. sharp: mean
    gradient. cpu_s: a key."""

    e_warp: float
    style: float
    sharp: float
    cpu_s: float


def key_to_key(painted: Mapping[int, Picture], clip: Clip) -> float:
    """E_warp from each key to the next along the exact motion, over what both show."""
    at = sorted(painted)
    found = []
    for a, b in zip(at, at[1:], strict=False):
        there, back = clip.motion.flow(a, b), clip.motion.flow(b, a)
        found.append(warp_error(painted[a], painted[b], there, seen_in_both(there, back)))
    return float(np.nanmean(found))


def measured(clip: Clip, keys: Sequence[int], painting: Picture, together: bool) -> tuple[Agreement, dict[int, Picture]]:
    """The keys as `cineml keyframes paint` paints them, and their numbers."""
    from tools.paint_keys import paint_keys

    begun_s = time.process_time()
    made = paint_keys(dict(enumerate(clip.frames)), painting, together=together, keys=keys)
    cpu_s = (time.process_time() - begun_s) / len(keys)
    pictures = [made[k] for k in keys]
    return Agreement(key_to_key(made, clip), float(np.mean([style_distance(p, painting) for p in pictures])),
                     float(np.mean([sharpness(p) for p in pictures])), cpu_s), made  # fmt: skip


def compared(whole: Clip, part: slice, painting: Picture) -> tuple[Agreement, Agreement, tuple[int, ...]]:
    """(one by one, together, the keys) of a part of the clip."""
    motion = Motion(whole.motion.labels[part], whole.motion.affines[:, part])
    clip = Clip(whole.frames[part], whole.truths[part], whole.masks[part], motion)
    keys = tuple(range(0, len(clip.frames), KEY_EVERY))
    (alone, _), (both, _) = (measured(clip, keys, painting, together) for together in (False, True))
    return alone, both, keys


def rows(size: tuple[int, int] = (320, 240)) -> list[Row]:
    """The rows; size is (width, height)."""
    print("bench: keyframes painted together and one by one", flush=True)
    whole = drawn(FRAMES, size, SEED)
    painting = rounded(textured(PAINTING_PX, PAINTING_PX, np.random.default_rng((SEED, 2)), PAINTING_PX / 5)[1])
    alone, both, keys = compared(whole, PART, painting)
    pan_alone, pan_both, _ = compared(whole, PAN, painting)
    lower, apart = 1 - both.e_warp / alone.e_warp, both.style / alone.style - 1
    name = f"{len(keys)} keys of {size[0]}x{size[1]}, {KEY_EVERY} frames apart"
    return [
        Row(f"{name}: key-to-key E_warp, painted together against one by one",
            f"{lower:.0%} lower ({1e4 * both.e_warp:.0f} and {1e4 * alone.e_warp:.0f} e-4)", f"at least {LOWER:.0%} lower",
            lower >= LOWER),
        Row(f"{name}: style distance, the same", f"{apart:+.1%} ({both.style:.2f} and {alone.style:.2f} of 255)",
            f"at most {EQUAL_STYLE:.0%} more", apart <= EQUAL_STYLE),
        Row(f"{name}: sharpness, the same; CPU seconds a key", f"{both.sharp / alone.sharp:.3f}; {both.cpu_s:.1f} and "
            f"{alone.cpu_s:.1f}"),
        Row("on the clip's pan to darker ground: E_warp; style distance",
            f"{1 - pan_both.e_warp / pan_alone.e_warp:.0%} lower; "
            f"{pan_both.style / pan_alone.style - 1:+.1%} ({pan_both.style:.2f} and {pan_alone.style:.2f})"),
    ]  # fmt: skip
