"""Step printing: a source whose frames are held and smeared while the figure, where a mask shows it, keeps its motion.

After the optical printer's trick: each frame is printed several times, and what was skipped lies in it as a blur. A picture is
a function of film frame, step and smear, in whole numbers: frame n of a shot shows

    ground = the weighted mean, in linear light, of the frames (h - step, h], where h is the frame that is held: the last one a
             whole number of steps from the shot's start. Frame h weighs 1 and the others `smear`; the figure does not
             count, so that it is not in the ground it moves over: what it covers in all of them is filled in from around;
    figure = frame n itself, by its own mask.

The mean is of the frames before, so that a show that plays on has had each of them once: no frame of the film is made twice.
Live, those that a slow machine has skipped are left out of it; where somebody waits for the picture, none is.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from player.show.problem import ShowError
from player.show.show import Show
from player.sources.aim import Aim, Layer
from player.sources.byte_mix import laid_over
from player.sources.figure_masks import FigureMasks
from player.sources.frame import Frame, FrameSource, Held, Pixels
from player.sources.hole_fill import filled
from player.state import FRAME_TOLERANCE

KEPT = 4
EDGE_PX = 5  # width of the square by which a figure is made wider: two pixels to each side
FULL = 4096  # weight of a whole pixel; FULL * 65535 * MOST_STEP still fits 32 bits
LEAST_GROUND = 8  # so much a ground pixel of any frame weighs: it fills in what the figure of frame h covers


def _linear_table() -> npt.NDArray[np.uint16]:
    """uint16 linear light of each sRGB byte (IEC 61966-2-1), 65535 = white."""
    v = np.arange(256) / 255
    light = np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)
    return np.rint(light * 65535).astype(np.uint16)


def _coded_table() -> npt.NDArray[np.uint8]:
    """The byte whose light is nearest, for each uint16 of linear light; the inverse of _linear_table."""
    light = np.arange(65536) / 65535
    v = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.rint(255 * v).astype(np.uint8)


LINEAR, CODED = _linear_table(), _coded_table()


class _Sum:
    """The weighted sum of a window's frames so far; in whole numbers, so that their order does not matter."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.light = np.zeros(shape, np.uint32)  # [H, W, 3]
        self.weight = np.zeros((*shape[:2], 1), np.uint32)
        self.seen: set[int] = set()

    def add(self, number: int, pixels: Pixels, weight: npt.NDArray[np.uint32]) -> None:
        """weight: [H, W, 1], at most FULL + LEAST_GROUND."""
        self.light += LINEAR[pixels] * weight
        self.weight += weight
        self.seen.add(number)

    def mean(self) -> Pixels:
        """What was never uncovered is filled in."""
        return filled(CODED[self.light // np.maximum(self.weight, 1)], self.weight[:, :, 0] < LEAST_GROUND // 2)


class StepPrinted:
    """Another source, step printed where the aim's layer asks for it; else that source as it is. One thread at a time."""

    def __init__(self, source: FrameSource, show: Show, masks: FigureMasks) -> None:
        self.name = source.name
        self._source, self._show, self._masks = source, show, masks
        self._epoch = -1
        self._sums: OrderedDict[tuple[Any, ...], _Sum] = OrderedDict()
        self._grounds: OrderedDict[tuple[Any, ...], Frame] = OrderedDict()

    def open(self) -> None:
        """Opens the source, and the masks. Raises ShowError with every problem."""
        found = []
        for part in (self._source, self._masks):
            try:
                part.open()
            except ShowError as e:
                found += [p for p in e.problems if p not in found]
        if found:
            self.close()
            raise ShowError(found)

    def make(self, aim: Aim, layer: Layer) -> Frame:
        """The picture of a layer. Raises what the source raises."""
        shot = self._show.cuts.by_number(layer.shot)
        if layer.step < 2 or shot is None:
            return self._source.make(aim, layer)
        if aim.epoch != self._epoch:
            self._epoch = aim.epoch
            self._sums.clear()
            self._grounds.clear()
        number = max(math.floor(layer.film_position + FRAME_TOLERANCE), shot.start)
        held = shot.start + (number - shot.start) // layer.step * layer.step
        has_mask, kind = self._masks.has(layer.shot), (layer.shot, layer.under, layer.step, layer.smear)
        own, why = None, ""
        if has_mask or layer.smear > 0:
            own, why = self._one(aim, layer, number)
            # Its window is the one of the next frame that is held: that may be this one.
            to = shot.start + -(-(number - shot.start) // layer.step) * layer.step
            self._add(kind, layer, number, to, own)
        ground = self._ground(aim, layer, kind, held, shot.start, {number: own} if own is not None else {})
        pixels, inner = ground.pixels, ground.inner
        if has_mask and own is not None and own.pixels.shape == pixels.shape:
            mask, mask_why = self._masks.of(layer.shot, number, own)
            pixels, why = laid_over(own.pixels, pixels, mask), why or mask_why
        frame = replace(ground, pixels=pixels, inner=inner, show_time_s=aim.show_time_s, epoch=aim.epoch,
                        film_position=float(layer.film_position), held=True)  # fmt: skip
        if why:
            raise Held(frame, why)
        return frame

    def _one(self, aim: Aim, layer: Layer, number: int) -> tuple[Frame, str]:
        """One frame of the source; where it is another than was asked for, why."""
        try:
            return self._source.make(aim, replace(layer, film_position=Fraction(number), step=0, smear=0.0)), ""
        except Held as held:
            return held.frame, str(held)

    def _weight(self, layer: Layer, number: int, to: int, frame: Frame) -> npt.NDArray[np.uint32]:
        """[H, W, 1] of a frame in the window that ends with frame `to`."""
        share = round(FULL * (1.0 if number == to else layer.smear))
        if not self._masks.has(layer.shot):
            return np.full((*frame.pixels.shape[:2], 1), share, np.uint32)
        from PIL import Image, ImageFilter

        # A soft edge holds some of the figure, and so do the pixels beside it: they would stay behind as an outline.
        wider = Image.fromarray(self._masks.of(layer.shot, number, frame)[0]).filter(ImageFilter.MaxFilter(EDGE_PX))
        ground = 255 - np.asarray(wider).astype(np.uint32)
        ground[ground < 128] = 0
        return ((share + LEAST_GROUND) * ground // 255)[:, :, None]

    def _add(self, kind: tuple[Any, ...], layer: Layer, number: int, to: int, frame: Frame) -> None:
        total = self._sums.get((*kind, to))
        if total is None or total.light.shape != frame.pixels.shape:
            total = self._sums[(*kind, to)] = _Sum(frame.pixels.shape)
            while len(self._sums) > KEPT:
                self._sums.popitem(last=False)
        if number not in total.seen:
            total.add(number, frame.pixels, self._weight(layer, number, to, frame))

    def _ground(self, aim: Aim, layer: Layer, kind: tuple[Any, ...], held: int, start: int,
                known: dict[int, Frame]) -> Frame:  # fmt: skip
        """What stays while frame `held` is held. known: frames that are there already."""
        key = (*kind, held)
        if key in self._grounds:
            self._grounds.move_to_end(key)
            return self._grounds[key]
        if self._masks.has(layer.shot) or layer.smear > 0:
            base, seen = known.get(held), self._sums[key].seen if key in self._sums else set()
            for number in range(max(held - layer.step + 1, start), held + 1):
                if number in seen and (number != held or base is not None):
                    continue
                if aim.live and number != held and number not in known:
                    continue  # skipped, since the machine is too slow for every frame: making it now would be slower still
                frame = known[number] if number in known else self._one(aim, layer, number)[0]
                self._add(kind, layer, number, held, frame)
                base = frame if number == held else base
            total = self._sums.pop(key)
            assert base is not None
            ground = replace(base, pixels=total.mean())
        else:
            ground = self._one(aim, layer, held)[0]
        self._grounds[key] = ground
        while len(self._grounds) > KEPT:
            self._grounds.popitem(last=False)
        return ground

    def close(self) -> None:
        self._source.close()
        self._masks.close()
        self._sums.clear()
        self._grounds.clear()

    def facts(self) -> dict[str, Any]:
        return self._source.facts()
