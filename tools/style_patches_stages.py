"""A synthesis from small to full size in stages that can be seen, and of pictures of any size.

One stage is one level of the engine's own pyramid: the field of the half-sized picture doubled is where the next one starts. A
stage larger than a tile is searched in tiles (style_patches_tiles.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from tools.patch_engine import Guide, Settings, Synthesis, synthesise

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Field = npt.NDArray[np.int32]

SHOWN_STAGES = 2  # halvings before full size that a preview shows
NEAR_PX = 2  # where the coarser stage has come this near to what an earlier frame says, that counts


@dataclass(frozen=True)
class Task:
    """A synthesis as it is asked for. style: uint8 [Hs, Ws, 3]. guides, masks, start: as patch_engine.synthesise has them; all
    of the size [Ht, Wt] of the target."""

    style: Pixels
    guides: tuple[Guide, ...]
    source_mask: Pixels | None
    target_mask: Pixels | None
    start: Field | None

    @property
    def size(self) -> tuple[int, int]:
        """Of the target."""
        return self.guides[0].target.shape[0], self.guides[0].target.shape[1]

    def made(self, settings: Settings, progress: Callable[[float], None] | None = None) -> Synthesis:
        """By the engine, at once."""
        return synthesise(self.style, self.guides, settings, source_mask=self.source_mask, target_mask=self.target_mask,
                          start=self.start, progress=progress)  # fmt: skip


def in_stages(style: Pixels, guides: Sequence[Guide], settings: Settings, *, source_mask: Pixels | None = None,
              target_mask: Pixels | None = None, start: Field | None = None, tile_px: int,
              progress: Callable[[float], None] | None = None,
              preview: Callable[[Pixels], None] | None = None) -> Synthesis:  # fmt: skip
    """As patch_engine.synthesise; a target of more than tile_px^2 pixels in tiles. preview: called with the whole target's
    picture, uint8 [Ht, Wt, 3], whenever there is more to be seen. Raises ShowError."""
    task = Task(style, tuple(guides), source_mask, target_mask, start)
    halvings = halvings_for(task, settings.patch, tile_px, preview is not None)
    if halvings == 0:
        return task.made(settings, progress)
    from tools.style_patches_tiles import in_tiles

    tasks = [task]
    for _ in range(halvings):
        tasks.append(halved_task(tasks[-1]))
    total = sum(4.0**-n for n in range(halvings + 1))
    done, made = 0.0, None
    for number in range(halvings, -1, -1):
        stage, share = tasks[number], 4.0**-number / total

        def told(part: float, done: float = done, share: float = share) -> None:
            if progress is not None:
                progress(done + share * part)

        own = settings
        if made is not None:
            field = doubled(made.field, stage.size, (stage.style.shape[0], stage.style.shape[1]))
            stage, own = replace(stage, start=joined_start(field, stage.start)), replace(settings, levels=1)
        if number:
            own = replace(own, extra_pass=False)
        if stage.size[0] * stage.size[1] > tile_px**2:
            seen = None if preview is None else lambda p, number=number: preview(enlarged(p, task.size))  # type: ignore[misc]
            made = in_tiles(stage, own, tile_px, told, seen)
        else:
            made = stage.made(own, told)
            if preview is not None and number:
                preview(enlarged(made.picture, task.size))
        done += share
    assert made is not None
    return made


def doubled(coarse: Field, target: tuple[int, int], source: tuple[int, int]) -> Field:
    """The field of a stage from the next coarser one's: twice the match, plus the pixel's own parity. [Ht, Wt, 2]"""
    y, x = np.arange(target[0], dtype=np.int32), np.arange(target[1], dtype=np.int32)
    fine = 2 * coarse[np.minimum(y // 2, coarse.shape[0] - 1)][:, np.minimum(x // 2, coarse.shape[1] - 1)]
    fine[..., 0] += x % 2
    fine[..., 1] += (y % 2)[:, None]
    return np.asarray(np.minimum(fine, np.array([source[1] - 1, source[0] - 1], np.int32)), np.int32)


def halvings_for(task: Task, patch: int, tile_px: int, shown: bool) -> int:
    """How many smaller stages come before full size: until one fits into a tile, and some where they are to be shown; never
    more than the engine's pyramid has."""
    height, width = task.size
    wanted = SHOWN_STAGES if shown else 0
    while height * width / 4**wanted > tile_px**2:
        wanted += 1
    side = min(height, width, *task.style.shape[:2])
    while wanted and side >> wanted < 2 * patch + 1:
        wanted -= 1
    return wanted


def halved_task(task: Task) -> Task:
    """At half the size, each pixel the mean of four; of masks and start one of four stays."""
    height, width = task.size[0] // 2, task.size[1] // 2
    source = (task.style.shape[0] // 2, task.style.shape[1] // 2)
    guides = tuple(replace(g, source=halved(g.source), target=halved(g.target),
                           amount=None if g.amount is None else halved(g.amount)) for g in task.guides)  # fmt: skip

    def thinned(mask: Pixels | None, size: tuple[int, int]) -> Pixels | None:
        return None if mask is None else np.ascontiguousarray(mask[::2, ::2][: size[0], : size[1]])

    start = None if task.start is None else np.ascontiguousarray(task.start[::2, ::2][:height, :width] >> 1)
    style = np.asarray(np.rint(halved(task.style.astype(np.float32))), np.uint8)
    return Task(style, guides, thinned(task.source_mask, source), thinned(task.target_mask, (height, width)), start)


def halved(values: Floats) -> Floats:
    """float32 [H // 2, W // 2, ...]: the means of squares of four; an odd last row or column is left out."""
    height, width = values.shape[0] // 2 * 2, values.shape[1] // 2 * 2
    v = values[:height, :width]
    return np.asarray(0.25 * (v[::2, ::2] + v[1::2, ::2] + v[::2, 1::2] + v[1::2, 1::2]), np.float32)


def joined_start(field: Field, start: Field | None) -> Field:
    """The coarser stage's field [H, W, 2]; where it has come near to an earlier frame's, that one, so that strokes stay to the
    pixel."""
    if start is None:
        return field
    near = (np.abs(field - start).max(axis=2) <= NEAR_PX) & (start >= 0).all(axis=2)
    return np.where(near[..., None], start, field).astype(np.int32)


def enlarged(picture: Pixels, size: tuple[int, int]) -> Pixels:
    """uint8 [H, W, 3] in another (height, width), for a preview."""
    if picture.shape[:2] == size:
        return picture
    import cv2

    return np.asarray(cv2.resize(picture, size[::-1], interpolation=cv2.INTER_NEAREST), np.uint8)
