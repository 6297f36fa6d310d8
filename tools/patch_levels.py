"""The rounds of a synthesis, coarse to fine: costs, sweeps, vote."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tools import patch_kernels as kernels
from tools.patch_check import Work
from tools.patch_crew import Crew
from tools.patch_pyramid import Level, coarse_first, finest, level_count, spread_edges

if TYPE_CHECKING:
    from tools.patch_engine import Settings

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]
Bytes = NDArray[np.uint8]
NO_AMOUNT = np.zeros((1, 1), np.float32)
EXTRA_PATCH = 3
MOST_LANES = 8  # how many threads a picture can employ; more would each know less of what the others use
LEAST_STEPS = 4  # a lane: with one step two neighbours would read each other's rows while they change
FIELD, SWEEP = 1, 2  # what a random number is for: no two uses share a stream


@dataclass
class Count:
    """What was done, for the bench. comparisons: of a target's patch with a source's."""

    comparisons: int = 0


def _key(seed: int, level: int, number: int, use: int) -> np.uint64:
    """The key of one pass's random numbers."""
    return np.uint64(np.random.SeedSequence([seed, level, number, use]).generate_state(1, np.uint64)[0])


def double(coarse: Ints, fine: Ints, source: tuple[int, int]) -> None:
    """Fills the field of a level, [Ht, Wt, 2], from the next coarser one's: twice the match, plus the pixel's own parity. Row
    by row, as a second field would be the peak of the memory."""
    columns = np.arange(fine.shape[1])
    at, odd = np.minimum(columns // 2, coarse.shape[1] - 1), (columns % 2).astype(np.int32)
    last = np.array([source[1] - 1, source[0] - 1], np.int32)
    for y, row in enumerate(fine):
        np.multiply(coarse[min(y // 2, coarse.shape[0] - 1), at], np.int32(2), out=row)
        row[:, 0] += odd
        row[:, 1] += np.int32(y % 2)
        np.minimum(row, last, out=row)


def shrunk(start: Ints, number: int, size: tuple[int, int]) -> Ints:
    """`start` at the size of level `number`: one of 4^number matches, in that level's pixels; unknown stays unknown."""
    if number == 0:
        return start[: size[0], : size[1]]  # no copy: it is as large as the field
    step = 2**number
    return start[::step, ::step][: size[0], : size[1]] >> number


def under_tent(size: int, patch: int) -> NDArray[np.float64]:
    """How much of a tent of 2 * patch - 1 around each of `size` pixels lies over them: patch^2 but at the edges."""
    tent = patch - np.abs(np.arange(1 - patch, patch))
    return np.convolve(np.ones(size), tent, mode="same")


class Search:
    """One level at work. field: int32 [Ht, Wt, 2]; cost: float32 [Ht, Wt], the field's, of the picture that stood when it
    was last priced. patch and uniformity may be changed between rounds. Arrays stay C-contiguous and are changed in place:
    another layout would compile every kernel again."""

    def __init__(self, level: Level, settings: Settings, number: int, crew: Crew, count: Count):
        self.level, self.settings, self.number, self.crew, self.count = level, settings, number, crew, count
        self.patch, self.uniformity = settings.patch, settings.uniformity
        self.target = level.target.reshape(level.target.shape[0], -1)
        source = level.source.reshape(level.source.shape[0], -1)
        amount = NO_AMOUNT if level.amount is None else level.amount.reshape(level.amount.shape[0], -1)
        self.pair = (self.target, source, amount, level.amount is not None)
        self.field: Ints = np.zeros((*level.target_size, 2), np.int32)
        self.cost: Floats = np.zeros(level.target_size, np.float32)
        self.active: Bytes = np.ones(level.target_size, np.uint8)
        self.moved: Bytes = np.ones(level.target_size, np.uint8)
        self.changed: Bytes = np.ones(level.target_size, np.uint8)
        self.bands = -(-level.target_size[0] // kernels.BAND)
        self.passes = 0
        self._lay_out(level.source_size, level.target_size)
        labels = np.bincount(level.source_mask.ravel(), minlength=256)
        self.begins = np.concatenate([[0], np.cumsum(labels)]).astype(np.int64)
        self.free = labels == 0  # a label that the source lacks binds nothing
        self.masks = (level.source_mask, level.target_mask, self.free, level.masked)

    def _lay_out(self, source: tuple[int, int], target: tuple[int, int]) -> None:
        """Lanes, and the maps of use; the number of lanes is the picture's, never the threads'."""
        lanes = max(1, min(MOST_LANES, target[0] // (LEAST_STEPS * kernels.STEP)))
        self.lane_rows = -(-target[0] // lanes)
        self.steps = -(-self.lane_rows // kernels.STEP)
        rim = 2 * (self.patch - 1)
        self.uses: Ints = np.zeros((source[0] + rim, source[1] + rim), np.int32)
        self.moves: Ints = np.zeros((lanes, kernels.STEP * target[1], 4), np.int32)
        self.made = np.zeros(lanes, np.int64)
        self.own_uses: SimpleQueue[Ints] = SimpleQueue()  # a lane takes one for a step and puts it back as it was: zero
        for _ in range(min(lanes, self.crew.count)):
            self.own_uses.put(np.zeros_like(self.uses))
        share = self.uniformity * source[0] * source[1] / (target[0] * target[1])
        self.even_x = (share / under_tent(source[1], self.patch)).astype(np.float32)
        self.even_y = (1 / under_tent(source[0], self.patch)).astype(np.float32)

    def begin(self, coarse: Ints | None = None, start: Ints | None = None) -> None:
        """The first field: the coarser level's doubled, or else `start` where it is known, and random matches where there
        is neither or where the mask forbids them. start: [Ht, Wt, 2] of this level."""
        keep = np.zeros(self.level.target_size, np.uint8)
        if coarse is not None:
            double(coarse, self.field, self.level.source_size)
            keep.fill(1)
        elif start is not None:
            known = self._known(start)
            np.copyto(self.field, start, where=known[..., None])
            keep[known] = 1
        order = np.zeros(1, np.int32)
        if self.level.masked:
            order = np.argsort(self.level.source_mask, axis=None, kind="stable").astype(np.int32)
        kernels.random_field(self.field, keep, *self.masks, order, self.begins, *self.level.source_size,
                             _key(self.settings.seed, self.number, 0, FIELD))

    def _known(self, start: Ints) -> NDArray[np.bool_]:
        """Where `start` says something that the source has and the masks allow."""
        hs, ws = self.level.source_size
        known = np.empty(start.shape[:2], np.bool_)
        for top in range(0, len(start), kernels.BAND):  # by bands: what is made on the way is as large as the field
            part = start[top : top + kernels.BAND]
            there = ((part >= 0) & (part < (ws, hs))).all(axis=2)
            if self.level.masked:
                at, label = np.where(there[..., None], part, 0), self.level.target_mask[top : top + kernels.BAND]
                there &= (self.level.source_mask[at[..., 1], at[..., 0]] == label) | self.free[label]
            known[top : top + kernels.BAND] = there
        return known

    def offer(self, start: Ints) -> None:
        """Takes the matches of `start` where they cost less than the field's; the picture follows."""
        known = self._known(start)
        self.price()
        own, own_cost = self.field.copy(), self.cost.copy()
        np.copyto(self.field, start, where=known[..., None])
        self.price()
        np.copyto(self.field, own, where=(self.cost >= own_cost)[..., None])
        self.vote()

    def price(self) -> None:
        """cost = the field's, where active."""
        self.count.comparisons += self.crew.share(self.bands, lambda first, last: int(kernels.costs(
            *self.pair, self.field, self.cost, self.active, self.patch, self.level.pad, self.level.channels, first, last)))

    def vote(self, stop: float = 0.0) -> None:
        """The picture from the field, where that has moved since the last vote; changed is where it changed by `stop`."""
        level, planes = self.level, self.level.style_channels
        self.crew.share(self.bands, lambda first, last: int(kernels.vote(
            self.target, self.pair[1], *self.masks, self.field, self.moved, self.changed, self.patch, level.pad,
            level.channels, planes, stop, first, last)))
        spread_edges(level.target[..., :planes], level.pad)

    def sweep(self) -> None:
        """One sweep over the active pixels, every second one backwards."""
        backward, self.passes = self.passes % 2 == 1, self.passes + 1
        key = _key(self.settings.seed, self.number, self.passes, SWEEP)
        uniform = self.uniformity > 0
        for step in reversed(range(self.steps)) if backward else range(self.steps):

            def lanes(first: int, last: int, step: int = step) -> int:
                own_uses = self.own_uses.get()
                try:
                    return int(kernels.sweep(*self.pair, *self.masks, self.field, self.cost, self.uses, own_uses, self.even_x,
                                             self.even_y, uniform, self.active, self.moved, self.moves, self.made, self.patch,
                                             self.level.pad, self.level.channels, backward, float(self.settings.shrink), key,
                                             self.lane_rows, step, first, last))
                finally:
                    self.own_uses.put(own_uses)

            self.count.comparisons += self.crew.share(len(self.made), lanes)
            if uniform:
                kernels.count_moves(self.uses, self.moves, self.made, self.patch)

    def round(self, heard: Callable[[], None]) -> None:
        """Costs, sweeps and vote. Active in the next round are the pixels whose patches the vote changed by `stop`."""
        self.price()
        if self.uniformity:
            own_uses = self.own_uses.get()
            kernels.use_map(self.field, self.patch, self.uses, own_uses)
            self.own_uses.put(own_uses)
        self.moved.fill(0)
        for _ in range(self.settings.sweeps):
            self.sweep()
            heard()
        self.vote(self.settings.stop * self.level.style_scale)
        if self.settings.stop > 0:
            kernels.grown(self.changed, self.patch // 2, self.active)

    def extra_round(self, heard: Callable[[], None]) -> None:
        """A round of small patches without uniformity, everywhere."""
        self.patch, self.uniformity = EXTRA_PATCH, 0.0
        self.active.fill(1)
        self.price()
        for _ in range(self.settings.sweeps):
            self.sweep()
            heard()
        self.moved.fill(1)  # where no match moved the mean of smaller patches is another one too
        self.vote()
        self.patch = self.settings.patch


def coarse_to_fine(work: Work, settings: Settings, progress: Callable[[float], None],
                   count: Count | None = None) -> tuple[Bytes, Ints, Floats]:
    """(picture uint8 [Ht, Wt, n], field, error), as patch_engine.Synthesis describes them."""
    levels = level_count((work.style.shape[0], work.style.shape[1]), work.size, settings.patch, settings.levels)
    total = sum(settings.votes * settings.sweeps / 4**n for n in range(levels)) + settings.extra_pass * settings.sweeps
    done = 0.0
    field: Ints | None = None
    with Crew(settings.threads) as crew:
        for number, level in coarse_first(work, settings.patch // 2, levels):
            search = Search(level, settings, number, crew, count or Count())

            def heard(share: float = 1 / 4**number) -> None:
                nonlocal done
                done += share
                progress(min(1.0, done / total))

            start = None if work.start is None else shrunk(work.start, number, level.target_size)
            search.begin(field, start)
            search.vote()
            if field is not None and start is not None:
                search.offer(start)
            field = None  # the coarser one goes
            for _ in range(settings.votes):
                search.round(heard)
            if settings.extra_pass and number == 0:
                search.extra_round(heard)
            field = search.field
            if number:  # before the next level's arrays are made
                del search, level
        search.active.fill(1)
        search.price()
    field, cost = search.field, search.cost
    del search  # its maps of use: the picture needs their room
    picture = np.empty(level.picture.shape, np.uint8)
    for top in range(0, len(picture), kernels.BAND):  # by bands: no second picture of float32
        band = level.picture[top : top + kernels.BAND] / np.float32(level.style_scale)
        picture[top : top + kernels.BAND] = np.rint(band).clip(0, 255)
    return picture, field, cost


def frozen_error(work: Work, picture: Bytes, settings: Settings) -> Floats:
    """The cost [Ht, Wt] of the best match of each patch of `picture`, which stays as it is, that settings.sweeps sweeps
    find from a random field at full size."""
    level = finest(work, settings.patch // 2)
    np.multiply(picture.reshape(level.picture.shape), np.float32(level.style_scale), out=level.picture)
    spread_edges(level.target[..., : level.style_channels], level.pad)
    with Crew(settings.threads) as crew:
        search = Search(level, settings, 0, crew, Count())
        search.begin()
        search.price()
        for _ in range(settings.sweeps):
            search.sweep()
    return search.cost
