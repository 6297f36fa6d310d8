"""The sorted sheet as one picture, and the groups beside it."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from player.screen.typeface import font_for

Pixels = NDArray[np.uint8]
GROUND, INK, FAINT = (18, 18, 18), (235, 235, 235), (150, 150, 150)
GAP, MARGIN = 2, 12
USUAL_SHEET_PX, LEAST_PX, MOST_PX = 4096, 48, 256  # width of a sheet; of a picture on it
MAX_SIDE_PX, MAX_PIXELS = 16384, 150_000_000
LINE_PX, TEXT_PX, PANEL_PX = 64, 15, 400  # of the groups, beside a sheet of PANEL_FOR_PX; more where it is wider
PANEL_FOR_PX = 1600
NO_LABEL = "without a label"


@dataclass(frozen=True)
class CellSize:
    """Pixels of one picture on the sheet."""

    width: int
    height: int


def cell_size(picture: tuple[int, int], rows: int, columns: int, asked: int | None) -> CellSize:
    """For pictures of this size (width, height): as asked, or what lets the sheet be opened; never larger than the pictures
    where nobody asked for it, but for those that would be too small to see."""
    width, height = picture
    own = min(MOST_PX, max(LEAST_PX, USUAL_SHEET_PX // columns), max(LEAST_PX, width))
    wide = asked or own
    wide = min(wide, MAX_SIDE_PX // columns - GAP, round((MAX_SIDE_PX // rows - GAP) * width / height))
    room = (MAX_PIXELS / (rows * columns) * width / height) ** 0.5 - GAP
    wide = max(4, min(wide, int(room)))
    return CellSize(wide, max(4, round(wide * height / width)))


def fitted(picture: Pixels, size: CellSize) -> Pixels:
    """uint8 [h, w, 3] -> [height, width, 3], whole, on the sheet's ground where it has another shape."""
    h, w = picture.shape[:2]
    if (w, h) == (size.width, size.height):
        return picture
    scale = min(size.width / w, size.height / h)
    inner = max(1, min(size.width, round(w * scale))), max(1, min(size.height, round(h * scale)))
    if abs(inner[0] - size.width) <= 1 and abs(inner[1] - size.height) <= 1:
        inner = size.width, size.height
    how = Image.Resampling.NEAREST if scale >= 2 and float(scale).is_integer() else Image.Resampling.LANCZOS
    small = np.asarray(Image.fromarray(picture).resize(inner, how, reducing_gap=3.0), np.uint8)
    if inner == (size.width, size.height):
        return small
    out = np.full((size.height, size.width, 3), GROUND, np.uint8)
    x, y = (size.width - inner[0]) // 2, (size.height - inner[1]) // 2
    out[y : y + inner[1], x : x + inner[0]] = small
    return out


def colour_of(number: int, count: int) -> tuple[int, int, int]:
    """The colour of a group: hues far apart for groups that follow one another."""
    hue = number * 0.381966 % 1 if count > 8 else number / max(1, count)
    r, g, b = colorsys.hls_to_rgb(hue, (0.58, 0.70, 0.46)[number // 8 % 3 if count > 8 else 0], 0.72)
    return round(r * 255), round(g * 255), round(b * 255)


def colours_of(groups: Mapping[str, Sequence[int]]) -> dict[str, tuple[int, int, int]]:
    """A colour for each group; grey for what has no label."""
    named = [label for label in groups if label]
    return {label: colour_of(named.index(label), len(named)) if label else FAINT for label in groups}


def mosaic(layout: NDArray[np.int64], thumbs: Pixels, first: int, last: int) -> Pixels:
    """Rows first to last of the layout as one picture [(last - first) * (h + GAP), columns * (w + GAP), 3]; gaps lie to the
    right of and below each picture."""
    height, width = thumbs.shape[1:3]
    columns = layout.shape[1]
    out = np.full((last - first, height + GAP, columns, width + GAP, 3), GROUND, np.uint8)
    for y in range(first, last):
        there = np.flatnonzero(layout[y] >= 0)
        out[y - first, :height, there, :width] = thumbs[layout[y, there]]
    return out.reshape((last - first) * (height + GAP), columns * (width + GAP), 3)


def draw_sheet(layout: NDArray[np.int64], thumbs: Pixels, groups: Mapping[str, Sequence[int]]) -> Image.Image:
    """The sheet. layout [rows, columns]. thumbs: uint8 [N, h, w, 3]. groups: pictures by label, empty for none; each picture
    then has a line in its group's colour below it, and the groups stand at the right."""
    rows, columns = layout.shape
    height, width = thumbs.shape[1:3]
    grid = mosaic(layout, thumbs, 0, rows)
    colours = colours_of(groups)
    if groups:
        label = {i: name for name, members in groups.items() for i in members}
        thick = max(2, height // 24)
        for y, x in np.argwhere(layout >= 0):
            name = label[int(layout[y, x])]
            if name:
                top, left = y * (height + GAP) + height - thick, x * (width + GAP)
                grid[top : top + thick, left : left + width] = colours[name]
    scale = max(1.0, grid.shape[1] / PANEL_FOR_PX)
    line, panel = round(LINE_PX * scale), round(PANEL_PX * scale)
    lines = max(1, (grid.shape[0] - GAP) // line)
    panels = -(-len(groups) // lines)
    sheet = Image.new("RGB", (grid.shape[1] - GAP + 2 * MARGIN + panels * (panel + MARGIN),
                              max(grid.shape[0] - GAP, line if groups else 0) + 2 * MARGIN), GROUND)  # fmt: skip
    sheet.paste(Image.fromarray(grid[: grid.shape[0] - GAP, : grid.shape[1] - GAP]), (MARGIN, MARGIN))
    for number, (name, members) in enumerate(groups.items()):
        x = grid.shape[1] - GAP + 2 * MARGIN + number // lines * (panel + MARGIN)
        draw_group(sheet, (x, MARGIN + number % lines * line), name, members, thumbs, colours[name], scale)
    return sheet


def draw_group(sheet: Image.Image, at: tuple[int, int], name: str, members: Sequence[int], thumbs: Pixels,
               colour: tuple[int, int, int], scale: float) -> None:  # fmt: skip
    """One group: its colour, label and number of pictures, below them some of these, spread over the group."""
    pen = ImageDraw.Draw(sheet)
    font = font_for([name], TEXT_PX * scale)
    x, y = at
    line, room = round((LINE_PX - 8) * scale), round((PANEL_PX - 16) * scale)
    pen.rectangle((x, y, x + round(7 * scale), y + line), fill=colour)
    x += round(16 * scale)
    told, text = f"{len(members)}", name or NO_LABEL
    wide = room - font.getlength(told) - 12 * scale
    if font.getlength(text) > wide:
        while text and font.getlength(text + "…") > wide:
            text = text[:-1]
        text = text.rstrip() + "…"
    pen.text((x, y - 4 * scale), text, INK, font)
    pen.text((x + font.getlength(text) + 12 * scale, y - 4 * scale), told, FAINT, font)
    top = round((TEXT_PX + 3) * scale)
    high = line - top
    across = max(1, round(high * thumbs.shape[2] / thumbs.shape[1]))
    most = max(1, room // (across + GAP))
    chosen = np.unique(np.linspace(0, len(members) - 1, min(most, len(members))).round().astype(int))
    for i, member in enumerate(chosen):
        picture = Image.fromarray(thumbs[members[int(member)]]).resize((across, high), Image.Resampling.LANCZOS)
        sheet.paste(picture, (x + i * (across + GAP), y + top))
