"""A sheet of pictures with a line of small text under each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from player.screen.typeface import font_for
from tools.sample_render import over_ground

Pixels = npt.NDArray[np.uint8]

GROUND, INK = (18, 18, 18), (225, 225, 225)
MARGIN, GAP, TEXT_PX = 12, 6, 13
LEAST_PX, MOST_PX = 96, 256  # of a picture on the sheet: below it, its number is wider than it; above, the sheet is a wall
MAX_SIDE_PX = 16384


def picture_size(resolution: int, columns: int, rows: int) -> int:
    """Pixels of one picture on the sheet: its own size where that is readable, a whole multiple of it where it is small, and
    less where the sheet would be too large to open."""
    size = min(MOST_PX, resolution * -(-LEAST_PX // resolution))
    room = min(MAX_SIDE_PX // columns - GAP, MAX_SIDE_PX // rows - GAP - TEXT_PX - 4)
    return max(16, min(size, room))


def on_sheet(pixels: Pixels, size: int) -> Pixels:
    """uint8 [H, W, 1, 3 or 4] as it goes on the sheet, [size, size, 3]; whole multiples keep hard pixels."""
    picture = over_ground(pixels, GROUND)
    if picture.shape[0] == size:
        return picture
    how = Image.Resampling.NEAREST if size % picture.shape[0] == 0 else Image.Resampling.LANCZOS
    return np.asarray(Image.fromarray(picture).resize((size, size), how), np.uint8)


def captioned(text: str, width_px: float) -> tuple[str, ImageFont.ImageFont | ImageFont.FreeTypeFont]:
    """The text and the font it stands in: smaller where it is wide, cut with an ellipsis where even that is too wide."""
    for size in range(TEXT_PX, 7, -1):
        font = font_for([text], size)
        if font.getlength(text) <= width_px:
            return text, font
    while text and font.getlength(text + "…") > width_px:
        text = text[:-1]
    return text + "…", font


def draw_sheet(pictures: Sequence[Pixels], captions: Sequence[str], columns: int) -> Image.Image:
    """Pictures uint8 [S, S, 3], all of one size, in rows of `columns`, each with its caption below it, centred."""
    size = pictures[0].shape[0]
    columns = max(1, min(columns, len(pictures)))
    rows = -(-len(pictures) // columns)
    across, down = size + GAP, size + TEXT_PX + 4 + GAP
    sheet = Image.new("RGB", (2 * MARGIN + columns * across - GAP, 2 * MARGIN + rows * down - GAP), GROUND)
    pen = ImageDraw.Draw(sheet)
    for i, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        x, y = MARGIN + i % columns * across, MARGIN + i // columns * down
        sheet.paste(Image.fromarray(np.ascontiguousarray(picture)), (x, y))
        text, font = captioned(caption, size)
        pen.text((x + (size - font.getlength(text)) / 2, y + size + 2), text, INK, font)
    return sheet
