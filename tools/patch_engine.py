"""Example-based synthesis on arrays: a picture made of patches of a style picture, led by guides.

The family: image analogies (Hertzmann et al. 2001), StyLit (Fiser et al. 2016), Stylizing Video by Example (Jamriska et
al. 2019); the search is PatchMatch (Barnes et al. 2009). What it computes:

- A patch is patch x patch pixels. Its cost is the sum over its pixels and channels of w_c (T_c - S_c)^2, in 8-bit levels
  squared (a guide's 0..1 counts as 0..255), over the style's channels (weight 1 shared by them) and the guides'.
- Every source pixel counts how often patches use it; uniformity * (mean use in the patch / ideal use) is added to the
  cost, ideal = patch^2 * target area / source area. So no part of the style is smeared over everything.
- Coarse to fine over halvings; at each level `votes` times: costs, `sweeps` sweeps of the search, the mean of all patches
  that cover a pixel.

The same input and seed give the same picture on any number of threads: the target is cut into lanes that follow from its
height alone, no two of which that run at once see each other's changes; their uses are counted together every few rows;
and random numbers are functions of (seed, level, pass, pixel). Threads are plain ones (patch_kernels says why), so that
processes may fork and a call may come from any thread.
NumPy only at import; numba is imported by the first synthesis, and compiled once for this machine (then read from cache).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from player.show.problem import Problem, ShowError

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]
Bytes = NDArray[np.uint8]
REFEREE_SWEEPS = 14


@dataclass(frozen=True)
class Guide:
    """One pair of pictures that says what of the source belongs where in the target.

    source: float32 [Hs, Ws, C] or [Hs, Ws], meant to be 0..1; values outside are taken as they are, NaN is refused.
    target: the same of the target, [Ht, Wt, C] or [Ht, Wt]. weight: of the whole guide, shared by its channels; the style
    as a whole has 1. amount: float32 [Ht, Wt], 0 or more: a factor on the weight at each target pixel (0 where the guide
    is not to be trusted), or None for 1 everywhere. name: for messages.
    """

    source: Floats
    target: Floats
    weight: float = 1.0
    amount: Floats | None = None
    name: str = "guide"


@dataclass(frozen=True)
class Settings:
    """How long and how to search.

    patch: side of a patch in pixels, odd, 3..15. uniformity: weight of even use, 500..15000 is usual, 0 for none.
    sweeps: PatchMatch sweeps between two votes. votes: rounds of costs, sweeps and vote per level. stop: 8-bit levels; from
    the second round of a level on, only patches are searched again that hold a pixel which the last vote changed by at
    least this much; 0 searches all. levels: at most this many levels, counted from the finest; 0 for all halvings whose
    short side is at least 2 * patch + 1. extra_pass: at the end one more round with 3 x 3 patches and no uniformity, which
    is crisper. shrink: what the random search divides its distance by from try to try; 2 is the published choice, 3 misses
    little at two thirds of the tries. seed: 0 or more.
    threads: 0 for all cores; it changes the time, never the picture.
    """

    patch: int = 5
    uniformity: float = 3500.0
    sweeps: int = 4
    votes: int = 6
    stop: float = 2.0
    levels: int = 0
    extra_pass: bool = False
    shrink: float = 3.0
    seed: int = 0
    threads: int = 0


PRESETS: dict[str, Settings] = {
    "draft": Settings(sweeps=2, stop=3.0),
    "normal": Settings(),
    "best": Settings(stop=0.0, shrink=2.0),
}


@dataclass(frozen=True)
class Synthesis:
    """What came out.

    picture: uint8, of the style's channels, [Ht, Wt, 3] or [Ht, Wt]. field: int32 [Ht, Wt, 2], the (x, y) in the source of
    the patch that each target pixel is the centre of. error: float32 [Ht, Wt], that patch's weighted cost without
    uniformity, 8-bit levels squared summed over the patch: the smaller of two keys' errors chooses between them.
    """

    picture: Bytes
    field: Ints
    error: Floats


def synthesise(style: Bytes, guides: Sequence[Guide], settings: Settings | None = None, *,
               size: tuple[int, int] | None = None, source_mask: Bytes | None = None, target_mask: Bytes | None = None,
               start: Ints | None = None, progress: Callable[[float], None] | None = None) -> Synthesis:
    """The picture that looks like `style` and follows the guides.

    style: uint8 [Hs, Ws, 3] or [Hs, Ws]. guides: any number; without one give `size`. settings: None for normal.
    size: (Ht, Wt), only needed without guides. source_mask, target_mask: uint8 labels [Hs, Ws] and [Ht, Wt], both or
    neither; a hard constraint: a patch comes only from a centre of its own label, and a pixel is made only of pixels of
    its own label. A label that the source lacks is not constrained. start: int32 [Ht, Wt, 2], (x, y) in the source, offered
    to each pixel at each level beside what the coarser level says; entries outside of the source mean "not known".
    progress: called after each pass with the share done, 0..1; what it raises stops the synthesis, as Ctrl-C does.
    Raises ShowError with every problem of the input, and where numba is not installed.
    """
    from tools.patch_check import work_of

    settings = settings or PRESETS["normal"]
    work = work_of(style, guides, settings, size, source_mask, target_mask, start)
    levels = _levels()
    picture, where, error = levels.coarse_to_fine(work, settings, progress or _unheard)
    return Synthesis(picture.reshape(*picture.shape[:2], *style.shape[2:]), where, error)


def referee(style: Bytes, guides: Sequence[Guide], picture: Bytes, settings: Settings | None = None, *,
            source_mask: Bytes | None = None, target_mask: Bytes | None = None) -> float:
    """How well `picture`, frozen, is made of patches of the style that fit the guides: the mean over its pixels of the
    smallest patch cost that 14 sweeps without uniformity find from a random field at full size. The less the better;
    comparable only at equal style, guides, weights and patch.

    picture: uint8, of the target's size and the style's channels. Of settings only patch, seed and threads count.
    Raises ShowError as synthesise does.
    """
    from tools.patch_check import work_of

    settings = replace(settings or PRESETS["normal"], uniformity=0.0, sweeps=REFEREE_SWEEPS, shrink=2.0)
    if picture.dtype != np.uint8 or picture.shape[2:] != style.shape[2:]:
        raise ShowError(Problem("picture", f"{picture.dtype} {list(picture.shape)}", f"uint8, channels as {list(style.shape)}"))
    work = work_of(style, guides, settings, (picture.shape[0], picture.shape[1]), source_mask, target_mask, None)
    return float(_levels().frozen_error(work, picture, settings).mean(dtype=np.float64))


def _unheard(share: float) -> None:
    """Progress that nobody asked for."""


def _levels():  # type: ignore[no-untyped-def]
    """patch_levels, which imports numba."""
    try:
        from tools import patch_levels
    except ImportError as e:
        raise ShowError(Problem("patch synthesis", f"{e.name} is not installed", "", 'pip install "cineml[studio]"')) from None
    return patch_levels
