"""Step printing: a source whose frames are held and smeared while the figure, where a mask shows it, keeps its motion.

After the optical printer's trick: each frame is printed several times, and what was skipped lies in it as a blur. A picture is
a function of film frame, step and smear, in whole numbers: frame n of a shot shows

    ground = the weighted mean, in linear light, of the frames (h - step, h], where h is the frame that is held: the last one a
             whole number of steps from the shot's start. Frame h weighs 1 and the others `smear`; the figure does not
             count, so that it is not in the ground it moves over: what it covers in all of them is filled in from around;
    figure = frame n itself, by its own mask.

The mean is of the frames before, so that a show that plays on has had each of them once: no frame of the film is made twice.
Live, those that a slow machine has skipped are left out of it; where somebody waits for the picture, none is. A camera has no
film time: its frames are counted on the show's clock, from the show's start, and a mean is of those that were seen.
"""

from __future__ import annotations

import logging
import math
import threading
from collections import OrderedDict
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from player.show.cut_list import Shot
from player.show.problem import ShowError
from player.show.show import Show
from player.sources.aim import Aim, Layer
from player.sources.byte_mix import Mask, laid_over
from player.sources.figure_masks import FigureMasks
from player.sources.frame import Frame, FrameSource, Held, Pixels
from player.sources.hole_fill import filled
from player.state import FRAME_TOLERANCE

log = logging.getLogger("cineml")

KEPT = 4
BUSY_S = 0.1  # so long one thread waits for another that was given up on and is still at work here
EDGE_PX = 5  # width of the square by which a figure is made wider: two pixels to each side
FULL = 4096  # weight of the frame that is held; those skipped weigh `smear` times that
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
    """A window's frames so far: the sum of those that are skipped, in whole numbers, so that their order does not matter, and
    the one that is held. How much the skipped ones weigh is left to mean(), since a hand may move it at any time."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape
        self.light = np.zeros(shape, np.uint32)  # [H, W, 3]
        self.cover = np.zeros((*shape[:2], 1), np.uint32)
        self.seen: set[int] = set()
        self.held: tuple[Frame, Mask, str] | None = None

    def skip(self, number: int, pixels: Pixels, ground: Mask) -> None:
        """ground: [H, W, 1], 0 where the figure is, 255 where it is not."""
        self.light += LINEAR[pixels] * ground.astype(np.uint32)  # of 11 frames, 28 bits at most
        self.cover += ground
        self.seen.add(number)

    def mean(self, smear: float, least: int) -> Pixels:
        """uint8 [H, W, 3]. least: what each weighs besides. What was never uncovered is filled in."""
        assert self.held is not None
        frame, ground, _ = self.held
        skipped, held = np.float32(round(FULL * smear) + least), np.float32(FULL + least)
        cover = ground.astype(np.uint32)
        light = self.light * skipped + (LINEAR[frame.pixels] * cover) * held  # float32
        light /= np.maximum(self.cover * skipped + cover * held, 1)
        coded = CODED[np.minimum(np.rint(light), 65535).astype(np.uint16)]
        return filled(coded, (self.cover + cover)[:, :, 0] == 0)


class StepPrinted:
    """Another source, step printed where the aim's layer asks for it; else that source as it is.

    One thread at a time: one that was given up on and is still inside keeps others out, and the source open.
    """

    def __init__(self, source: FrameSource, show: Show, masks: FigureMasks) -> None:
        self.name = source.name
        self._source, self._show, self._masks = source, show, masks
        self._is_live = source.name == "camera"
        self._epoch = -1
        self._sums: OrderedDict[tuple[Any, ...], _Sum] = OrderedDict()
        self._grounds: OrderedDict[tuple[Any, ...], tuple[Frame, str]] = OrderedDict()
        self._busy = threading.Lock()

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
        """The picture of a layer. Raises what the source raises, and RuntimeError while another thread is inside."""
        if not self._busy.acquire(timeout=BUSY_S):
            raise RuntimeError("is still at a picture that was given up on")
        try:
            shot = self._show.cuts.by_number(layer.shot)
            return self._source.make(aim, layer) if layer.step < 2 or shot is None else self._printed(aim, layer, shot)
        finally:
            self._busy.release()

    def _printed(self, aim: Aim, layer: Layer, shot: Shot) -> Frame:
        number, start = max(math.floor(layer.film_position + FRAME_TOLERANCE), shot.start), shot.start
        if self._is_live:  # its frames are counted on the show's clock, which no loop, seek or pause of the film turns back
            number, start = math.floor(Fraction(aim.show_time_s) * self._show.film.rate + FRAME_TOLERANCE), 0
        elif aim.epoch != self._epoch:
            self._epoch = aim.epoch
            self._sums.clear()
            self._grounds.clear()
        held = start + (number - start) // layer.step * layer.step
        has_mask, kind = self._masks.has(layer.shot), (layer.shot, layer.step)
        own, why = None, ""
        if has_mask or layer.smear > 0:
            own, why = self._one(aim, layer, number)
            # Its window is the one of the next frame that is held: that may be this one.
            to = start + -(-(number - start) // layer.step) * layer.step
            self._add(kind, layer, number, to, own, why)
        ground, ground_why = self._ground(aim, layer, kind, held, start, {number: (own, why)} if own is not None else {})
        pixels, inner, why = ground.pixels, ground.inner, why or ground_why
        if has_mask and own is not None and own.pixels.shape == pixels.shape:
            mask, mask_why = self._masks.of(layer.shot, self._film_frame(layer, number), own)
            pixels, why = laid_over(own.pixels, pixels, mask), why or mask_why
        frame = replace(ground, pixels=pixels, inner=inner, show_time_s=aim.show_time_s, epoch=aim.epoch,
                        film_position=float(layer.film_position), held=True)  # fmt: skip
        if why:
            raise Held(frame, why)
        return frame

    def _film_frame(self, layer: Layer, number: int) -> int:
        return math.floor(layer.film_position + FRAME_TOLERANCE) if self._is_live else number

    def _one(self, aim: Aim, layer: Layer, number: int) -> tuple[Frame, str]:
        """One frame of the source; where it is another than was asked for, why."""
        position = Fraction(self._film_frame(layer, number))
        try:
            return self._source.make(aim, replace(layer, film_position=position, step=0, smear=0.0)), ""
        except Held as held:
            return held.frame, str(held)

    def _ground_of(self, layer: Layer, number: int, frame: Frame) -> Mask:
        """uint8 [H, W, 1]: where in a frame the figure is not, 255, or partly, from 128 on; 0 where it is."""
        if not self._masks.has(layer.shot):
            return np.full((*frame.pixels.shape[:2], 1), 255, np.uint8)
        from PIL import Image, ImageFilter

        # A soft edge holds some of the figure, and so do the pixels beside it: they would stay behind as an outline.
        mask, _ = self._masks.of(layer.shot, self._film_frame(layer, number), frame)
        ground = 255 - np.asarray(Image.fromarray(mask).filter(ImageFilter.MaxFilter(EDGE_PX)))
        ground[ground < 128] = 0
        return ground[:, :, None]

    def _add(self, kind: tuple[Any, ...], layer: Layer, number: int, to: int, frame: Frame, why: str) -> None:
        """One frame of the window that ends with frame `to`, where it is not in it yet."""
        total = self._sums.get((*kind, to))
        if total is None or total.shape != frame.pixels.shape:
            total = self._sums[(*kind, to)] = _Sum(frame.pixels.shape)
        self._sums.move_to_end((*kind, to))
        while len(self._sums) > KEPT:
            self._sums.popitem(last=False)
        if number == to and total.held is None:
            total.held = frame, self._ground_of(layer, number, frame), why
        elif number != to and number not in total.seen:
            total.skip(number, frame.pixels, self._ground_of(layer, number, frame))

    def _ground(self, aim: Aim, layer: Layer, kind: tuple[Any, ...], held: int, start: int,
                known: dict[int, tuple[Frame, str]]) -> tuple[Frame, str]:  # fmt: skip
        """What stays while frame `held` is held, and why it is not the one that was asked for. known: frames that are there
        already."""
        key = (*kind, held, layer.smear)
        if key in self._grounds:
            self._grounds.move_to_end(key)
            return self._grounds[key]
        if self._masks.has(layer.shot) or layer.smear > 0:
            ground, why = self._mixed(aim, layer, kind, held, start, known)
        else:
            ground, why = self._one(aim, layer, held)
        self._grounds[key] = ground, why
        while len(self._grounds) > KEPT:
            self._grounds.popitem(last=False)
        return ground, why

    def _mixed(self, aim: Aim, layer: Layer, kind: tuple[Any, ...], held: int, start: int,
               known: dict[int, tuple[Frame, str]]) -> tuple[Frame, str]:  # fmt: skip
        key = (*kind, held)
        for number in range(max(held - layer.step + 1, start), held + 1):
            total = self._sums.get(key)
            if total is not None and (total.held is not None if number == held else number in total.seen):
                continue
            if (aim.live or self._is_live) and number != held and number not in known:
                continue  # skipped, since the machine is too slow for every frame: making it now would be slower still
            frame, why = known[number] if number in known else self._one(aim, layer, number)
            self._add(kind, layer, number, held, frame, why)
        total = self._sums[key]
        self._sums.move_to_end(key)
        assert total.held is not None
        pixels = total.mean(layer.smear, LEAST_GROUND if self._masks.has(layer.shot) else 0)
        return replace(total.held[0], pixels=pixels), total.held[2]

    def close(self) -> None:
        """Lets go of the source and the masks; not under a thread that is still at work with them."""
        if not self._busy.acquire(timeout=BUSY_S):
            log.warning("%s does not come back; left behind at close", self.name)
            return
        try:
            self._source.close()
            self._masks.close()
            self._sums.clear()
            self._grounds.clear()
        finally:
            self._busy.release()

    def facts(self) -> dict[str, Any]:
        return self._source.facts()
