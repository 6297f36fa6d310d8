"""What masks look like: frames spread over the film with the foreground tinted and its edge drawn, on one sheet."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from player.screen.typeface import font_for
from player.show.film import format_timecode
from tools.contact_sheet import FAINT, GAP, GROUND, INK, MARGIN, TEXT_PX, fitted

Pixels = NDArray[np.uint8]
PICTURE_PX, COLUMNS, SHOWN = 240, 6, 36
TINT, EDGE, OWN = (230, 60, 40), (255, 230, 60), (86, 180, 233)
TINT_SHARE = 0.4


@dataclass(frozen=True)
class Shown:
    """One frame of the sheet. picture: [h, w, 3], small; mask: [h, w], of the same size. own: a person made it."""

    name: str
    frame: int
    shot: int
    picture: Pixels
    mask: Pixels
    own: bool


def spread_over(frames: Sequence[int], first_of_shots: Sequence[int], most: int = SHOWN) -> list[int]:
    """Which frames the sheet shows: some of every shot where there is room, else evenly."""
    if len(frames) <= most:
        return list(frames)
    even = {frames[i] for i in np.linspace(0, len(frames) - 1, most).round().astype(int)}
    middles = [(a + b) // 2 for a, b in zip(first_of_shots, [*first_of_shots[1:], frames[-1] + 1], strict=True)]
    if len(middles) <= most // 2:
        room = most - len(middles)
        even = {frames[i] for i in np.linspace(0, len(frames) - 1, room).round().astype(int)}
        even |= {m for m in middles if m in frames}
    return sorted(even)


def tinted(picture: Pixels, mask: Pixels) -> Pixels:
    """The picture [h, w, 3] with what the mask [h, w] covers tinted, and the mask's edge on it."""
    share = TINT_SHARE * mask.astype(np.float32)[..., None] / 255
    out = picture * (1 - share) + np.array(TINT, np.float32) * share
    made = np.rint(out).astype(np.uint8)
    edges, _ = cv2.findContours((mask >= 128).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(made, edges, -1, EDGE, 1)
    return made


def masks_sheet(shown: Sequence[Shown], rate: Fraction) -> bytes:
    """PNG: the frames in order, tinted; the names of masks by a person's hand in blue."""
    font = font_for([s.name for s in shown], TEXT_PX)
    line = TEXT_PX + 5
    high = max((s.picture.shape[0] for s in shown), default=PICTURE_PX)
    wide = max((s.picture.shape[1] for s in shown), default=PICTURE_PX)
    columns = max(1, min(COLUMNS, len(shown)))
    cell = 2 * line + high + MARGIN
    rows = max(1, -(-len(shown) // columns))
    sheet = Image.new("RGB", (2 * MARGIN + columns * (wide + GAP) - GAP, MARGIN + rows * cell), GROUND)
    pen = ImageDraw.Draw(sheet)
    for i, s in enumerate(shown):
        row, column = divmod(i, columns)
        x, y = MARGIN + column * (wide + GAP), MARGIN + row * cell
        pen.text((x, y), fitted(s.name + ("  by hand" if s.own else ""), wide, font), OWN if s.own else INK, font)
        pen.text((x, y + line), fitted(f"shot {s.shot}  {format_timecode(s.frame, rate)}", wide, font), FAINT, font)
        sheet.paste(Image.fromarray(tinted(s.picture, s.mask)), (x, y + 2 * line))
    out = io.BytesIO()
    sheet.save(out, "PNG")
    return out.getvalue()
