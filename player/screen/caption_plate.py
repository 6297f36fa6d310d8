"""Captions as pictures: a span's lines, set and wrapped inside the film's picture, as coverage for the compositor.

The letters' size and place follow from the picture's size alone, so that a live show, a render and a remake of one size
have the same pixels.
"""

from __future__ import annotations

import bisect
import logging
import math
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

import moderngl
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from player.captions import Captions, Line, Run, Span, read_captions
from player.screen.placement import Rect
from player.screen.typeface import Face, Font, face_for
from player.show.show import CaptionStyle, Show

log = logging.getLogger("cineml")

Coverage = npt.NDArray[np.uint8]  # [H, W, 2]: letters; outline and shadow

SAFE = 0.05  # of width and height that stays free at each side: the title-safe area (EBU R 95, SMPTE ST 2046-1: 90 %)
LEAST_LETTER_PX = 6
LINE = 1.25  # letters' sizes from baseline to baseline
OUTLINE = 1 / 14  # of the letter's size
SHADOW_BLUR = 1 / 7
SHADOW_DARK = 0.8
SLANT = 0.2  # of italics: the fonts at hand are upright
MOST_ON_A_LINE = 200  # letters; the smallest fill a line of ten times their size with fewer
MOST_BALANCED = 8  # lines; what is longer is no longer a caption, and setting it must not cost a refresh
AHEAD_S = 2.0  # so long before it is due a caption is set: at a cut there is no time for it
KEPT = 4
OPENING = "-\u2013\u2014\u00ab\u201e\u201c\u266a\u266b([{#\"'"
ELLIPSIS = "\u2026"


@dataclass(frozen=True)
class Plate:
    """A caption ready to be drawn. corner: its top left on the output, pixels from the top left."""

    texture: moderngl.Texture
    corner: tuple[int, int]


def wrapped(lines: Iterable[Line], face: Face, font: Font, bold_px: int, width: float) -> list[Line]:
    """The lines broken at blanks, and words that are too long anywhere, so that each is at most `width` wide."""
    def wide(text: str, bold: bool) -> float:
        return float(font.getlength(face.shown(text))) + (bold_px if bold else 0)

    done: list[Line] = []
    for line in lines:
        made: list[Run] = []
        at = 0.0
        for run in line:
            for word in _words(run.text):
                length = wide(word, run.bold)
                if made and at + wide(word.rstrip(), run.bold) > width:
                    done.append(tuple(made))
                    made, at = [], 0.0
                    word = word.lstrip()
                    length = wide(word, run.bold)
                while len(word) > 1 and wide(word.rstrip()[:MOST_ON_A_LINE], run.bold) > width:
                    begin = word[:MOST_ON_A_LINE]
                    fits = max(bisect.bisect_right(range(1, len(begin)), width, key=lambda n: wide(begin[:n], run.bold)), 1)
                    done.append((Run(word[:fits], run.italic, run.bold),))
                    word = word[fits:]
                    length = wide(word, run.bold)
                if word:
                    made.append(Run(word, run.italic, run.bold))
                    at += length
        if made:
            done.append(tuple(made))
    return [joined for line in done if (joined := _joined(line))]


def balanced(line: Line, face: Face, font: Font, bold_px: int, width: float) -> list[Line]:
    """One line broken into as few as it needs, of about the same length: a last word alone is read badly."""
    best = wrapped([line], face, font, bold_px, width)
    low, high = 0.0, width
    while len(best) > 1 and high - low > width / 32:
        middle = (low + high) / 2
        made = wrapped([line], face, font, bold_px, middle)
        if len(made) == len(best):
            best, high = made, middle
        else:
            low = middle
    return best


def _words(text: str) -> list[str]:
    """Words with the blanks behind them."""
    words: list[str] = []
    for i, part in enumerate(text.split(" ")):
        if i:
            if words:
                words[-1] += " "
            else:
                words.append(" ")
        # In French a blank stands before some marks: no line begins with one.
        if part and words and words[-1].strip() and not any(c.isalnum() for c in part) and part[0] not in OPENING:
            words[-1] += part
        elif part:
            words.append(part)
    return words


def _joined(line: Line) -> Line:
    """Neighbours of one kind as one run, without the blank at the line's end."""
    runs: list[Run] = []
    for run in line:
        if runs and (runs[-1].italic, runs[-1].bold) == (run.italic, run.bold):
            runs[-1] = Run(runs[-1].text + run.text, run.italic, run.bold)
        else:
            runs.append(run)
    if runs:
        runs[-1] = Run(runs[-1].text.rstrip(), runs[-1].italic, runs[-1].bold)
    return tuple(run for run in runs if run.text)


def coverage(lines: tuple[Line, ...], face: Face, letter_px: int, room: tuple[int, int]) -> Coverage:
    """The lines as uint8 [H, W, 2], at most room = (width, height) px: letters shrink until all fit, and what does not
    fit at the smallest size ends in an ellipsis."""
    while True:
        font = face.of_size(letter_px)
        outline, soft = max(1, round(letter_px * OUTLINE)), max(1, round(letter_px * SHADOW_BLUR))
        bold, pad = max(1, round(letter_px / 30)), outline + 2 * soft
        width = max(room[0] - 2 * pad - SLANT * letter_px, 1)
        set_ = wrapped(lines, face, font, bold, width)
        step = math.ceil(letter_px * LINE)
        needed = len(set_) * step + 2 * pad
        if needed <= room[1] or letter_px <= LEAST_LETTER_PX:
            break
        # What is wrapped needs height with the square of its size, what is not with its size: so this comes from above.
        letter_px = max(min(letter_px - 1, math.ceil(letter_px * math.sqrt(room[1] / needed))), LEAST_LETTER_PX)
    if len(lines) < len(set_) <= MOST_BALANCED:
        set_ = [part for line in lines for part in balanced(line, face, font, bold, width)]
    fitting = max((room[1] - 2 * pad) // step, 1)
    if len(set_) > fitting:
        set_ = [*set_[: fitting - 1], (*set_[fitting - 1][:-1], _shortened(set_[fitting - 1][-1]))]
    masks = [[_run_masks(run, face, font, letter_px, bold if run.bold else 0, outline, pad) for run in line] for line in set_]
    widths = [sum(width for _, _, width in made) for made in masks]
    size = (math.ceil(max(widths, default=0.0) + SLANT * letter_px) + 2 * pad, len(set_) * step + 2 * pad)
    letters, dark = Image.new("L", size), Image.new("L", size)
    for row, (made, wide) in enumerate(zip(masks, widths, strict=True)):
        x = (size[0] - 2 * pad - wide) / 2
        for light, edge, width in made:
            at = (round(x), row * step)
            for onto, mask in ((letters, light), (dark, edge)):
                onto.paste(ImageChops.lighter(onto.crop((*at, at[0] + mask.width, at[1] + mask.height)), mask), at)
            x += width
    return np.stack([np.asarray(letters), _shaded(dark, soft)], axis=2)[: room[1], : room[0]]  # [H, W, 2]


def _shortened(run: Run) -> Run:
    return Run(run.text[:-1].rstrip() + ELLIPSIS, run.italic, run.bold)


def _run_masks(run: Run, face: Face, font: Font, letter_px: int, bold: int, outline: int,
               pad: int) -> tuple[Image.Image, Image.Image, float]:
    """(letters, letters with their outline, width in px) of one run, with `pad` around."""
    text = face.shown(run.text)
    width = font.getlength(text) + bold
    size = (math.ceil(width + SLANT * letter_px) + 2 * pad, math.ceil(letter_px * LINE) + 2 * pad)
    baseline = pad + round(letter_px * 0.95)
    made = []
    for stroke in (0, outline):
        mask = Image.new("L", size)
        for shift in range(bold + 1):  # bold as a typewriter makes it: struck again a little to the right
            ImageDraw.Draw(mask).text((pad + shift, baseline), text, fill=255, font=font, anchor="ls", stroke_width=stroke)
        if run.italic:
            slanted = (1, SLANT, -SLANT * (baseline - letter_px * 0.35), 0, 1, 0)  # about the letters' middle
            mask = mask.transform(size, Image.Transform.AFFINE, slanted, Image.Resampling.BICUBIC)
        made.append(mask)
    return made[0], made[1], width


def _shaded(dark: Image.Image, soft: int) -> npt.NDArray[np.uint8]:
    """The outline and a soft shadow around it, [H, W]. Blurred at a quarter of its size: nobody sees the difference, and a
    caption may have to be set between two refreshes."""
    factor = max(1, min(4, soft // 2))
    small = dark.reduce(factor).filter(ImageFilter.GaussianBlur(soft / factor))
    shadow = np.asarray(small.resize(dark.size, Image.Resampling.BILINEAR), np.float32) * (1.6 * SHADOW_DARK)
    return np.maximum(np.asarray(dark), np.minimum(shadow, 255 * SHADOW_DARK)).astype(np.uint8)


class CaptionPlates:
    """The captions of a show as GL textures, set shortly before they are due. Main thread only.

    Raises ShowError where the show's SRT or font is no good.
    """

    def __init__(self, ctx: moderngl.Context, style: CaptionStyle, show: Show):
        self._ctx, self._style = ctx, style
        self.captions: Captions = read_captions(style.file, show.film.rate)
        for line in self.captions.said:
            log.warning("%s: %s", style.file.name, line)
        self._face = face_for(self.captions.letters(), style.font)
        self._ahead = math.ceil(AHEAD_S * show.film.rate)
        self._made: OrderedDict[tuple[int, Rect], Plate] = OrderedDict()

    def at(self, frame: int, seen: Rect) -> Plate | None:
        """The caption that is due at a film frame, for a picture that is seen there on the output; None: none is due."""
        span = self.captions.at(frame)
        if span is None:
            coming = self.captions.after(frame)
            if coming is not None and coming.start - frame <= self._ahead:
                self._plate(coming, seen)
            return None
        plate, fresh = self._plate(span, seen)
        coming = self.captions.after(frame)
        if not fresh and coming is not None and coming.start - frame <= self._ahead:
            self._plate(coming, seen)
        return plate

    def _plate(self, span: Span, seen: Rect) -> tuple[Plate, bool]:
        """(the plate of a span, whether it was set just now)."""
        key = (span.start, seen)
        if key in self._made:
            self._made.move_to_end(key)
            return self._made[key], False
        while len(self._made) >= KEPT:
            self._made.popitem(last=False)[1].texture.release()
        self._made[key] = self._set(span, seen)
        return self._made[key], True

    def _set(self, span: Span, seen: Rect) -> Plate:
        left, top, width, height = seen
        room = (max(width - 2 * math.ceil(width * SAFE), 1), max(height - 2 * math.ceil(height * SAFE), 1))
        pixels = coverage(span.lines, self._face, max(round(height * self._style.size / 100), LEAST_LETTER_PX), room)
        high, wide, _ = pixels.shape
        texture = self._ctx.texture((wide, high), 2, np.ascontiguousarray(pixels).tobytes(), alignment=1)
        texture.filter = (moderngl.NEAREST, moderngl.NEAREST)
        free = room[1] - high
        down = {"top": 0, "middle": free // 2, "bottom": free}[self._style.position]
        return Plate(texture, (left + (width - wide) // 2, top + (height - room[1]) // 2 + down))

    def release(self) -> None:
        for plate in self._made.values():
            plate.texture.release()
        self._made.clear()
