"""Lines for technicians over the picture: light letters on a dark plate, one below the other, never cut in two."""

from __future__ import annotations

import bisect
import math
from collections import OrderedDict

import moderngl
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from player.screen.typeface import Font, font_for

Coverage = npt.NDArray[np.uint8]

LINES_ON_SCREEN = 26  # that many lines would fill the output's height
LEAST_LETTER_PX = 11
MOST_LETTER_PX = 40
KEPT_LINES = 64
ELLIPSIS = "\u2026"


class Overlay:
    """Text as a GL texture; lines that stay the same are not drawn anew. Main thread only."""

    def __init__(self, ctx: moderngl.Context):
        self._ctx = ctx
        self._lines: OrderedDict[tuple[str, int, int], Coverage] = OrderedDict()
        self._fonts: dict[int, Font] = {}
        self._shown: tuple[tuple[str, ...], tuple[int, int]] | None = None
        self._texture: moderngl.Texture | None = None

    def texture(self, lines: tuple[str, ...], size_px: tuple[int, int]) -> moderngl.Texture | None:
        """Letters' coverage, R8, top row first, to be drawn at margin_px from the top left; None without lines.

        Lines too wide end in an ellipsis; letters shrink (down to 11 px) until all lines fit the output's height, and
        lines that still do not fit are left out, with the last one saying how many.
        """
        if not lines:
            return None
        if self._shown != (lines, size_px):
            self._show(self.coverage(lines, size_px))
            self._shown = (lines, size_px)
        return self._texture

    def coverage(self, lines: tuple[str, ...], size_px: tuple[int, int]) -> Coverage:
        """The same as an array [H, W] uint8."""
        width, height = size_px
        margin = margin_px(size_px)
        letter = min(max(height // LINES_ON_SCREEN, LEAST_LETTER_PX), MOST_LETTER_PX)
        while letter > LEAST_LETTER_PX and len(lines) * _line_px(letter) > height - 3 * margin:
            letter -= 1
        fitting = max((height - 3 * margin) // _line_px(letter), 1)
        if len(lines) > fitting:
            lines = (*lines[:fitting - 1], f"{ELLIPSIS} and {len(lines) - fitting + 1} more")
        pad = margin // 2
        made = [self._line(text, letter, max(width - 2 * margin - 2 * pad, letter)) for text in lines]
        # The plate's width in steps, so that it does not tremble with every figure that changes.
        wide = -(-max(m.shape[1] for m in made) // (2 * letter)) * 2 * letter
        plate = np.zeros((len(made) * _line_px(letter) + 2 * pad, min(wide + 2 * pad, width - 2 * margin)), np.uint8)
        for i, m in enumerate(made):
            top = pad + i * _line_px(letter)
            part = m[:, :plate.shape[1] - pad]
            plate[top:top + part.shape[0], pad:pad + part.shape[1]] = part
        return plate

    def _line(self, text: str, letter: int, width: int) -> Coverage:
        """One line as coverage [line height, W], W at most `width`."""
        key = (text, letter, width)
        if key in self._lines:
            self._lines.move_to_end(key)
            return self._lines[key]
        shown = text = " ".join(text.split())
        font = self._fonts.setdefault(letter, font_for("", letter)) if text.isascii() else font_for([text], letter)
        if font.getlength(text) > width:
            fits = bisect.bisect_right(range(len(text)), width,
                                       key=lambda n: math.ceil(font.getlength(text[:n] + ELLIPSIS))) - 1
            shown = text[:max(fits, 0)].rstrip() + ELLIPSIS
        image = Image.new("L", (max(int(font.getlength(shown)) + 2, 1), _line_px(letter)))
        ImageDraw.Draw(image).text((1, _line_px(letter) // 2), shown, fill=255, font=font, anchor="lm")
        self._lines[key] = np.asarray(image)[:, :width]  # [H, W]
        if len(self._lines) > KEPT_LINES:
            self._lines.popitem(last=False)
        return self._lines[key]

    def _show(self, plate: Coverage) -> None:
        size = (plate.shape[1], plate.shape[0])
        if self._texture is None or self._texture.size != size:
            if self._texture is not None:
                self._texture.release()
            self._texture = self._ctx.texture(size, 1, alignment=1)
            self._texture.filter = (moderngl.NEAREST, moderngl.NEAREST)
        self._texture.write(np.ascontiguousarray(plate), alignment=1)

    def release(self) -> None:
        if self._texture is not None:
            self._texture.release()
            self._texture, self._shown = None, None


def margin_px(size_px: tuple[int, int]) -> int:
    """Distance of the plate from the output's edges."""
    return max(min(size_px) // 40, 4)


def _line_px(letter: int) -> int:
    return round(letter * 1.35)
