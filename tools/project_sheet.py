"""The projections to look at: target above, projection below, the worst first; and each as a picture of its own."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from player.screen.typeface import font_for
from tools.contact_sheet import FAINT, GAP, GROUND, INK, MARGIN, TEXT_PX, fitted

Pixels = npt.NDArray[np.uint8]
COLUMNS, CELL_PX = 8, 176


@dataclass(frozen=True)
class Pair:
    """One column of the sheet: name, a line of numbers, target and projection [h, w, 3 or 4] uint8."""

    name: str
    told: str
    target: Pixels
    made: Pixels


def film_part(square: Pixels, inner: Sequence[int]) -> Pixels:
    """square [C, R, R] uint8 -> the part that counts, [h, w, 3 or 4] uint8, grey repeated."""
    x, y, w, h = inner
    part = square[:, y : y + h, x : x + w].transpose(1, 2, 0)
    return np.repeat(part, 3, axis=2) if part.shape[2] == 1 else np.ascontiguousarray(part)


def draw_pairs(pairs: Sequence[Pair], title: str) -> Image.Image:
    """The sheet, COLUMNS pairs a band."""
    font = font_for([title, *(text for pair in pairs for text in (pair.name, pair.told))], TEXT_PX)
    line_px = TEXT_PX + 5
    height_px = round(CELL_PX * pairs[0].target.shape[0] / pairs[0].target.shape[1])
    columns = min(COLUMNS, len(pairs))
    bands = -(-len(pairs) // columns)
    band_px = 2 * line_px + 2 * (height_px + GAP) + MARGIN
    width = max(2 * MARGIN + columns * (CELL_PX + GAP) - GAP, round(font.getlength(title)) + 2 * MARGIN)
    sheet = Image.new("RGB", (width, 2 * MARGIN + line_px + GAP + bands * band_px), GROUND)
    pen = ImageDraw.Draw(sheet)
    pen.text((MARGIN, MARGIN), title, INK, font)
    for i, pair in enumerate(pairs):
        band, column = divmod(i, columns)
        x, y = MARGIN + column * (CELL_PX + GAP), MARGIN + line_px + GAP + band * band_px
        pen.text((x, y), fitted(pair.name, CELL_PX, font), INK, font)
        pen.text((x, y + line_px), fitted(pair.told, CELL_PX, font), FAINT, font)
        for row, pixels in enumerate((pair.target, pair.made)):
            picture = Image.fromarray(pixels)
            at = (x, y + 2 * line_px + row * (height_px + GAP))
            sheet.paste(picture.resize((CELL_PX, height_px), Image.Resampling.LANCZOS), at)
    return sheet


def write_image(path: Path, picture: Image.Image) -> None:
    """Write PNG by a temporary name first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    picture.save(part, format="PNG")
    os.replace(part, path)
