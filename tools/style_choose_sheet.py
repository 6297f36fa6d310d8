"""The sheet of `cineml style choose`: the film's frames above, a row for every painting, the painting at its left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from player.show.film import format_timecode
from tools.contact_sheet import FAINT, GAP, GROUND, INK, MARGIN, TEXT_PX, fitted

if TYPE_CHECKING:
    from PIL import Image

Pixels = npt.NDArray[np.uint8]
LINE_PX = TEXT_PX + 5


@dataclass(frozen=True)
class Row:
    """One painting. name: of its file. thumb: the painting, uint8 [h, w, 3]. painted: by film frame, uint8 [H, W, 3]; what is
    missing is not done yet. note: below the name."""

    name: str
    thumb: Pixels
    painted: Mapping[int, Pixels]
    note: str = ""


def draw(frames: Mapping[int, Pixels], rows: Sequence[Row], rate: Fraction, title: str) -> Image.Image:
    """The sheet. frames: by film frame, uint8 [H, W, 3] of one size, as they are painted."""
    from PIL import Image, ImageDraw

    from player.screen.typeface import font_for

    height, width = next(iter(frames.values())).shape[:2]
    font = font_for([title, *(r.name for r in rows)], TEXT_PX)
    side = max(120, min(height, 220))  # of a painting's thumb
    left = MARGIN + side + 2 * GAP
    top = MARGIN + LINE_PX
    row_px = height + GAP
    size = (left + len(frames) * (width + GAP) + MARGIN - GAP, top + LINE_PX + (1 + len(rows)) * row_px + MARGIN)
    sheet = Image.new("RGB", size, GROUND)
    pen = ImageDraw.Draw(sheet)
    pen.text((MARGIN, MARGIN), fitted(title, size[0] - 2 * MARGIN, font), INK, font)
    for column, (number, frame) in enumerate(frames.items()):
        x = left + column * (width + GAP)
        pen.text((x, top), fitted(f"frame {number}  {format_timecode(number, rate)}", width, font), FAINT, font)
        sheet.paste(Image.fromarray(np.ascontiguousarray(frame)), (x, top + LINE_PX))
    for at, row in enumerate(rows):
        y = top + LINE_PX + (at + 1) * row_px
        thumb = Image.fromarray(np.ascontiguousarray(row.thumb))
        room = max(16, min(side, height - 2 * LINE_PX - GAP))
        thumb.thumbnail((side, room), Image.Resampling.LANCZOS)
        sheet.paste(thumb, (MARGIN, y))
        pen.text((MARGIN, y + thumb.height + 2), fitted(row.name, side, font), INK, font)
        pen.text((MARGIN, y + thumb.height + 2 + LINE_PX), fitted(row.note, side, font), FAINT, font)
        for column, number in enumerate(frames):
            x = left + column * (width + GAP)
            if (picture := row.painted.get(number)) is not None:
                sheet.paste(Image.fromarray(np.ascontiguousarray(picture)), (x, y))
            else:
                pen.rectangle((x, y, x + width - 1, y + height - 1), outline=FAINT)
    return sheet
