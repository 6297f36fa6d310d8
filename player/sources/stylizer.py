"""The stylizer as a source: the film, the generator's picture, a clip or a camera, painted over by a network of styles.

A picture is a function of film time, smoothed or not. Smoothing is a fixed window in closed form, and nothing is fed back:
the frames before are stylised as they would have been on their own, and count at each pixel as far as the film stood still
there. So a seek, a render and a live show that keeps up give the same bytes. What was stylised lately is kept, so that going on
costs one picture.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from player.show.problem import Problem, ShowError
from player.show.show import Show, Styled
from player.show.style_tables import unknown_styles
from player.show.styling import WINDOW, played
from player.sources.aim import Aim, Layer
from player.sources.byte_mix import laid_over
from player.sources.darkness import unpainted
from player.sources.fades import unfaded
from player.sources.figure_masks import FigureMasks
from player.sources.frame import Frame, FrameSource, Held, Pixels
from player.sources.stylizer_model import StylizerModel
from player.state import FRAME_TOLERANCE

Shares = npt.NDArray[np.float32]
KEPT = 2 * (WINDOW + 1) + 2  # the windows of both shots of a dissolve
KEPT_SHARP = 3  # where nothing is smoothed
CAMERA_S = 1.0  # a camera's pictures of longer ago than this are not smoothed in: another loop's, before a pause
SMALL = 4  # stillness is looked at in squares of so many pixels: film grain is less there by that factor
STILL_LEVELS = 7.0  # of 255: where a square has changed by that, a frame before counts 1 / e


@dataclass(frozen=True, eq=False)
class _Made:
    """One frame, stylised on its own. below: what it was made from, at the network's size, and given: as its base gave it.
    like_film: whether the film's fades are in it. live: whether it is a camera's. why: why it is not the frame asked for, ''
    where it is. show_time_s: for when it was made."""

    pixels: Pixels
    below: Pixels
    given: Pixels
    like_film: bool
    live: bool
    why: str
    show_time_s: float

    @functools.cached_property
    def small(self) -> npt.NDArray[np.uint8]:
        """uint8 [H / 4, W / 4]: the grey of what it was made from, in squares."""
        from PIL import Image

        return np.asarray(Image.fromarray(self.below).convert("L").reduce(SMALL))


def fitted(frame: Frame, size: tuple[int, int]) -> Pixels:
    """The film's part of a picture at (width, height), uint8 [H, W, 3]; the very pixels where they fit."""
    x, y, w, h = frame.inner
    if (x, y, w, h) == (0, 0, *size) and frame.pixels.shape[:2] == (size[1], size[0]):
        return frame.pixels
    from PIL import Image

    # Cut out first, to whole pixels: resize(box=...) looks beyond its box, and what is beside the film would bleed in.
    left, top, right, bottom = round(x), round(y), round(x + w), round(y + h)
    part = Image.fromarray(frame.pixels).crop((left, top, max(right, left + 1), max(bottom, top + 1)))
    return np.asarray(part.resize(size, Image.Resampling.BICUBIC))


def _change(now: npt.NDArray[np.uint8], before: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """By how many grey levels a square or one beside it has changed: what moves leaves a trace wider than itself."""
    from PIL import Image, ImageChops, ImageFilter

    apart = ImageChops.difference(Image.fromarray(now), Image.fromarray(before))
    return np.asarray(apart.filter(ImageFilter.MaxFilter(3)), np.float32)


def smoothed(made: Sequence[_Made], amount: float) -> Pixels:
    """The first of some frames in the order now, one before, two before ..., with those before it where the film stood still.

    Weight of frame k before, at a pixel: amount^k * exp(-(change / STILL_LEVELS)^2) against 1 for the frame itself, in 1/256.
    """
    from PIL import Image

    now = made[0]
    height, width = now.pixels.shape[:2]
    shares = [np.ones(now.small.shape, np.float32)]
    for k, before in enumerate(made[1:], 1):
        shares.append(amount**k * np.exp(-((_change(now.small, before.small) / STILL_LEVELS) ** 2)))
    total = np.sum(shares, axis=0)
    left = np.full((height, width), 256, np.uint16)
    mixed = np.zeros((height, width, 3), np.uint16)
    for part, share in zip(made[1:], shares[1:], strict=True):
        coarse = Image.fromarray(np.floor(256 * share / total).astype(np.uint8))
        weight = np.asarray(coarse.resize((width, height), Image.Resampling.BILINEAR))  # at most 128
        left -= weight
        mixed += part.pixels * weight.astype(np.uint16)[:, :, None]
    mixed += now.pixels * left[:, :, None]
    mixed += 128
    mixed >>= 8
    return mixed.astype(np.uint8)


class StylizerSource:
    """show.stylizer played over other sources, with the styles, masks and smoothing of the score and of a hand.

    bases: what it may be played over, by name; opened and closed by whoever made them, and before this one makes a picture.
    masks: the figure's.
    """

    name = "stylizer"

    def __init__(self, show: Show, bases: Mapping[str, FrameSource], masks: FigureMasks, threads: int = 2,
                 providers: Sequence[str] | None = None, require_provider: str = "") -> None:  # fmt: skip
        self._show, self.bases, self._masks = show, dict(bases), masks
        own = show.stylizer
        self._model: StylizerModel | None = None
        if own is not None and own.file is not None:
            self._model = StylizerModel(own.file, own.size, (show.film.width, show.film.height), threads, providers,
                                        require_provider)
        self._made: OrderedDict[tuple[Any, ...], _Made] = OrderedDict()

    def open(self) -> None:
        """Opens and warms the network, reads the masks. Raises ShowError with every problem."""
        found = self.check_model()
        try:
            self._masks.open()
        except ShowError as e:
            found += e.problems
        if not found:
            try:
                assert self._model is not None
                self._model.warm_up()
            except ShowError as e:
                found += e.problems
        if found:
            self.close()
            raise ShowError(found)

    def check_model(self) -> list[Problem]:
        """Opens the network: what is wrong with it, and with the styles that are asked of it."""
        show = self._show
        if self._model is None:
            return [Problem(f"{show.path}: stylizer.file", "is missing", "an ONNX file", "cineml style export")]
        try:
            self._model.open()
        except ShowError as e:
            return list(e.problems)
        known, found = self._model.styles, list[Problem]()
        for shot in () if show.styles else show.cuts.shots:  # where they are known, reading the show has said so
            if "stylizer" in show.score_shot(shot.number).sources:
                style = show.styled(shot.number).style
                found += unknown_styles(style.names if style else (), known, f"{show.path}: shot {shot.number}: style")
        return found

    def make(self, aim: Aim, layer: Layer) -> Frame:
        """The stylised picture of the film frame that the layer lies in. Raises what its base raises, and Held with a picture
        where a frame or a mask was replaced by the one before it."""
        assert self._model is not None
        how, number = self._show.styled(layer.shot), math.floor(layer.film_position + FRAME_TOLERANCE)
        now, *before = self._window(aim, layer, how, number)
        amount = self._smooth(aim, how)
        pixels, why = (smoothed((now, *before), amount) if before else now.pixels), now.why
        if how.mask_side != "all" and self._masks.has(layer.shot) and aim.hands[0].mask_amount:
            width, height = self._model.size
            mask, mask_why = self._masks.fitted(layer.shot, number, (height, width), (0.0, 0.0, float(width), float(height)))
            counts = aim.hands[0].mask_amount
            mask = mask if (how.mask_side == "figure") == (counts > 0) else 255 - mask
            pixels, why = laid_over(pixels, now.below, mask, abs(counts)), why or mask_why
        inner = (0.0, 0.0, float(pixels.shape[1]), float(pixels.shape[0]))
        frame = Frame(pixels, aim.show_time_s, aim.epoch, layer.shot, float(layer.film_position), self.name, inner,
                      like_film=now.like_film, live=now.live)  # fmt: skip
        if why:
            raise Held(frame, why)
        return frame

    def _smooth(self, aim: Aim, how: Styled) -> float:
        return min(max(how.smooth + aim.hands[0].smooth_offset, 0.0), 1.0)

    def _window(self, aim: Aim, layer: Layer, how: Styled, number: int) -> list[_Made]:
        """The frame itself, then those before it in its shot that it is smoothed by, latest first."""
        if self._smooth(aim, how) <= 0:
            return [self._one(aim, layer, how, number, 0)]
        if how.over == "camera":  # it has no film time: those that were seen last
            now = self._one(aim, layer, how, number, 0)
            seen = [m for key, m in self._made.items()
                    if (key[0], key[2]) == ("camera", layer.shot) and m is not now
                    and abs(aim.show_time_s - m.show_time_s) <= CAMERA_S]  # fmt: skip
            return [now, *[made for made in reversed(seen) if made.pixels.shape == now.pixels.shape][:WINDOW]]
        shot = self._show.cuts.by_number(layer.shot)
        first = shot.start if shot is not None else number
        # From the earliest on, so that a film is read forwards. Live, a machine that is too slow for every film frame would
        # have to make all that it has skipped, and be slower still: there the window ends where a frame is not there.
        back = [k for k in range(1, WINDOW + 1) if number - k >= first]
        if aim.live:
            back = list(itertools.takewhile(lambda k: self._key(aim, layer, how, number - k, k)[0] in self._made, back))
        window = [self._one(aim, layer, how, number - k, k) for k in reversed(back)]
        return [self._one(aim, layer, how, number, 0), *reversed(window)]

    def _key(self, aim: Aim, layer: Layer, how: Styled, number: int, back: int) -> tuple[tuple[Any, ...], Shares]:
        """Under what a frame is kept, and its shares. back: how many frames before the aim's it is."""
        assert self._model is not None
        hand = aim.hands[min(back, len(aim.hands) - 1)]
        # Whole 4096ths are fed: what is kept under a key is then exactly what would be made anew.
        vector = self._model.vector(played(self._show.shares_of(layer.shot, number), hand))
        shares = (np.rint(vector * 4096) / 4096).astype(np.float32)
        # The film's own picture is both shots' in a dissolve, and painted once where they have the same style.
        whose = layer.shot if layer.step or how.over in ("generator", "clip") else 0
        latent = aim.latent if how.over == "generator" else None
        return (how.over, whose, number, aim.epoch, tuple(shares.tolist()), layer.step, layer.smear, latent), shares

    def _one(self, aim: Aim, layer: Layer, how: Styled, number: int, back: int) -> _Made:
        """One frame on its own. back: how many frames before the aim's it is."""
        assert self._model is not None
        key, shares = self._key(aim, layer, how, number, back)
        below = replace(layer, source=how.over, under=False)
        if back or layer.film_position != number:
            below = replace(below, film_position=Fraction(number))
        frame, why = None, ""
        if how.over == "camera":
            frame, why = self._below(aim, below, how.over)
            # The array is kept in what was made (given), so that no other picture gets this id. The shot is in the key because
            # nothing is smoothed across a cut.
            key = ("camera", id(frame.pixels), layer.shot, *key[4:])
        if key in self._made:
            self._made.move_to_end(key)
            return self._made[key]
        if frame is None:
            frame, why = self._below(aim, below, how.over)
        same = self._painted(key, frame)
        picture = fitted(frame, self._model.size) if same is None else same.below
        like_film = frame.has_transitions
        mix = self._show.cuts.mix_at(number)
        if like_film and mix.fade < 1 and mix.outgoing is None and not layer.step and not why:
            # A network paints dark grey as another colour than light grey: the fade is taken off, and drawn over the strokes. A
            # frame that is held for another has that one's fade in it, or none.
            like_film = False
            picture = unfaded(picture, mix.fade, mix.fade_colour) if same is None else picture
        pixels = unpainted(self._model.stylised(picture, shares), picture) if same is None else same.pixels
        kept = _Made(pixels, picture, frame.pixels, like_film, frame.live, why, aim.show_time_s)
        self._made[key] = kept
        # In a dissolve the shot that is not smoothed leaves the other its window.
        smooths = any(self._smooth(aim, self._show.styled(one.shot)) > 0 for one in (layer, *aim.layers))
        while len(self._made) > (KEPT if smooths else KEPT_SHARP):
            self._made.popitem(last=False)
        return kept

    def _painted(self, key: tuple[Any, ...], frame: Frame) -> _Made | None:
        """What was made of these very pixels in the same styles and epoch: a frame that is held while step printing, and has no
        figure that moves over it, is one array for as long."""
        over, epoch, shares = key[0], key[3], key[4]
        return next((made for k, made in self._made.items()
                     if made.given is frame.pixels and (k[0], k[3], k[4]) == (over, epoch, shares)), None)  # fmt: skip

    def _below(self, aim: Aim, layer: Layer, over: str) -> tuple[Frame, str]:
        """The picture that is stylised, and why it is another than was asked for."""
        source = self.bases.get(over)
        if source is None:
            raise RuntimeError(f"the show has no {over} to be stylised")
        try:
            return source.make(aim, layer), ""
        except Held as held:
            return held.frame, str(held)

    def close(self) -> None:
        if self._model is not None:
            self._model.close()
        self._masks.close()
        self._made.clear()

    def facts(self) -> dict[str, Any]:
        """provider: where the network really runs; provider_note: why not elsewhere; warm_s: its time when warm."""
        model = self._model
        if model is None:
            return {"provider": None}
        return {"provider": model.provider or None, "provider_note": model.provider_note or None, "warm_s": model.warm_s,
                "styles": list(model.styles), "size": list(model.size), "licence": model.facts.licence,
                "run": model.facts.run}  # fmt: skip
