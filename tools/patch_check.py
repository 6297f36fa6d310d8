"""What synthesis is given, checked: every problem in one go, before anything is computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from player.show.problem import Problem, ShowError

if TYPE_CHECKING:
    from tools.patch_engine import Guide, Settings

LEVELS_8BIT = 255.0  # a guide's 0..1 in the units of the cost
PATCHES = range(3, 17, 2)


@dataclass(frozen=True)
class Channels:
    """One guide as the levels stack it. source: float32 [Hs, Ws, C]; target: float32 [Ht, Wt, C]; scale: what both are
    multiplied by, the root of the channel's weight times 255; amount: float32 [Ht, Wt] or None."""

    source: NDArray[np.float32]
    target: NDArray[np.float32]
    scale: float
    amount: NDArray[np.float32] | None


@dataclass(frozen=True)
class Work:
    """Checked input. style: uint8 [Hs, Ws, n]. size: (Ht, Wt). Masks: uint8 labels, both or neither. start: int32
    [Ht, Wt, 2] or None."""

    style: NDArray[np.uint8]
    guides: tuple[Channels, ...]
    size: tuple[int, int]
    source_mask: NDArray[np.uint8] | None
    target_mask: NDArray[np.uint8] | None
    start: NDArray[np.int32] | None

    @property
    def style_scale(self) -> float:
        """What the style is multiplied by: the root of its channels' weight; they share 1."""
        return float(self.style.shape[2]) ** -0.5


def _shape(a: object) -> str:
    return f"{getattr(a, 'dtype', type(a).__name__)} {list(np.shape(a))}"  # type: ignore[arg-type]


def _settings_problems(s: Settings) -> list[Problem]:
    asked = [("patch", s.patch in PATCHES, "odd, 3 to 15"), ("uniformity", 0 <= s.uniformity <= 1e6, "0 to 1000000"),
             ("sweeps", 1 <= s.sweeps <= 100, "1 to 100"), ("votes", 1 <= s.votes <= 100, "1 to 100"),
             ("stop", 0 <= s.stop <= 255, "0 (search all) to 255"), ("levels", 0 <= s.levels <= 30, "0 (all) to 30"),
             ("shrink", 1.25 <= s.shrink <= 100, "1.25 to 100"), ("seed", 0 <= s.seed < 2**63, "0 or more"),
             ("threads", 0 <= s.threads <= 1024, "0 (all cores) to 1024")]  # fmt: skip
    return [Problem(name, str(getattr(s, name)), allowed) for name, fits, allowed in asked if not fits]


def _size_problems(where: str, size: tuple[int, int], patch: int) -> list[Problem]:
    least = 2 * patch + 1
    if min(size) >= least:
        return []
    given = f"is {size[1]} x {size[0]} pixels, which is too small for {patch} x {patch} patches"
    return [Problem(where, given, f"at least {least} x {least}")]


def _guide_problems(name: str, g: Guide, source: tuple[int, int], target: tuple[int, int]) -> list[Problem]:
    found = []
    for side, array, size, of in (("source", g.source, source, "the style's"), ("target", g.target, target, "the target's")):
        if np.ndim(array) not in (2, 3) or np.asarray(array).dtype.kind != "f":
            found.append(Problem(f"{name}, {side}", _shape(array), "float32 [H, W, C] of 0..1"))
        elif array.shape[:2] != size:
            found.append(Problem(f"{name}, {side}", f"is {array.shape[1]} x {array.shape[0]} pixels",
                                 f"{of} size, {size[1]} x {size[0]}"))
        elif not np.isfinite(array).all():
            found.append(Problem(f"{name}, {side}", "holds NaN or infinity", "finite numbers"))
    if np.shape(g.source)[2:] != np.shape(g.target)[2:]:
        found.append(Problem(name, f"has channels {list(np.shape(g.source)[2:])} in the source and "
                                   f"{list(np.shape(g.target)[2:])} in the target", "the same number"))
    elif np.shape(g.source)[2:] == (0,):
        found.append(Problem(name, "has no channels", "1 or more"))
    if not 0 <= g.weight <= 1e6:
        found.append(Problem(f"{name}, weight", f"{g.weight:g}", "0 to 1000000"))
    if g.amount is not None:
        amount = np.asarray(g.amount)
        if amount.shape != target or amount.dtype.kind != "f":
            found.append(Problem(f"{name}, amount", _shape(amount), f"float32 {list(target)}, one number a target pixel"))
        elif not (np.isfinite(amount).all() and amount.min() >= 0):
            found.append(Problem(f"{name}, amount", "holds NaN, infinity or numbers below 0", "finite, 0 or more"))
    return found


def _mask_problems(source_mask: object, target_mask: object, source: tuple[int, int], target: tuple[int, int]) -> list[Problem]:
    if source_mask is None and target_mask is None:
        return []
    if source_mask is None or target_mask is None:
        missing, there = ("source", "target") if source_mask is None else ("target", "source")
        return [Problem(f"{missing} mask", f"is missing, and there is a {there} mask", "both or neither")]
    found = []
    for name, mask, size in (("source mask", source_mask, source), ("target mask", target_mask, target)):
        if np.shape(mask) != size or np.asarray(mask).dtype != np.uint8:  # type: ignore[arg-type]
            found.append(Problem(name, _shape(mask), f"uint8 {list(size)}"))
    if not found:
        have, ask = np.unique(np.asarray(source_mask)), np.unique(np.asarray(target_mask))
        if not np.intersect1d(have, ask).size:
            found.append(Problem("masks", f"have no label in common: the source {have[:5].tolist()}, the target "
                                          f"{ask[:5].tolist()}", "labels that are in both"))
    return found


def work_of(style: NDArray[np.uint8], guides: Sequence[Guide], settings: Settings, size: tuple[int, int] | None,
            source_mask: NDArray[np.uint8] | None, target_mask: NDArray[np.uint8] | None,
            start: NDArray[np.int32] | None) -> Work:
    """The checked input of patch_engine.synthesise, whose arguments these are. Raises ShowError."""
    if np.ndim(style) not in (2, 3) or np.asarray(style).dtype != np.uint8 or np.shape(style)[2:] == (0,):
        raise ShowError(Problem("style", _shape(style), "uint8 [H, W, 3] or [H, W]"))
    found = _settings_problems(settings)
    source = (style.shape[0], style.shape[1])
    shapes = [np.shape(g.target) for g in guides if np.ndim(g.target) in (2, 3)]
    if size is None and not shapes:
        raise ShowError([*found, Problem("size", "is missing, and there is no guide to take it from", "(height, width)")])
    target = (int(size[0]), int(size[1])) if size is not None else (shapes[0][0], shapes[0][1])
    if settings.patch in PATCHES:
        found += _size_problems("style", source, settings.patch) + _size_problems("target", target, settings.patch)
    for i, g in enumerate(guides):
        name = f"guide {i} ({g.name})" if g.name != "guide" else f"guide {i}"
        found += _guide_problems(name, g, source, target)
    found += _mask_problems(source_mask, target_mask, source, target)
    if start is not None and (np.shape(start) != (*target, 2) or np.asarray(start).dtype.kind not in "iu"):
        found.append(Problem("start", _shape(start), f"int32 {[*target, 2]}: x and y in the source"))
    if found:
        raise ShowError(found)
    channels = []
    for g in guides:
        if g.weight == 0:
            continue
        count = g.source.shape[2] if g.source.ndim == 3 else 1
        amount = None if g.amount is None else np.asarray(g.amount, np.float32)
        channels.append(Channels(np.asarray(g.source, np.float32).reshape(*source, count),
                                 np.asarray(g.target, np.float32).reshape(*target, count),
                                 LEVELS_8BIT * (g.weight / count) ** 0.5, amount))
    return Work(style.reshape(*source, -1), tuple(channels), target, source_mask, target_mask,
                None if start is None else np.ascontiguousarray(start, np.int32))
