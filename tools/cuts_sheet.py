"""Contact sheets for the cut commands: first and last frame of every shot, and one row a group."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from player.screen.typeface import font_for
from player.show.cut_list import CutList, Shot
from player.show.film import format_timecode
from tools.contact_sheet import FAINT, GAP, GROUND, INK, MARGIN, TEXT_PX, Strip, draw_sheet, fitted, middle_frame

Pixels = NDArray[np.uint8]
MOST_IN_A_ROW = 12  # shots of one group side by side; the rest stand below


def clear_ends(cuts: CutList, index: int) -> tuple[int, int]:
    """The first and the last frame on which a shot is seen whole: past its mix in, before the mix out of it."""
    shot = cuts.shots[index]
    first = shot.start + shot.in_frames
    last = shot.end - shot.out_frames - 1
    return (first, last) if first <= last else (middle_frame(shot), middle_frame(shot))


def shots_sheet(cuts: CutList, pictures: Mapping[int, Pixels]) -> bytes:
    """PNG: first above last frame of every shot. pictures: uint8 [h, w, 3] by film frame."""
    ends = [clear_ends(cuts, i) for i in range(len(cuts.shots))]
    strips = []
    for name, side in (("first", 0), ("last", 1)):
        frames = [end[side] for end in ends]
        by_middle = {middle_frame(s): pictures[f] for s, f in zip(cuts.shots, frames, strict=True) if f in pictures}
        strips.append(Strip(name, by_middle))
    columns = 6 if len(cuts.shots) <= 60 else 10
    return png(draw_sheet(strips, cuts, columns, 200 if columns == 6 else 140))


def groups_sheet(cuts: CutList, groups: Mapping[str, Sequence[Shot]], pictures: Mapping[int, Pixels],
                 width_px: int = 150) -> bytes:  # fmt: skip
    """PNG: one row a group, its shots by their middle frames; groups of one shot come last, together.

    groups: shots by label, in the order of the sheet. pictures: by film frame, those of middle_frame(shot).
    """
    font = font_for([*groups, *(shot.group for shot in cuts.shots)], TEXT_PX)
    line_px = TEXT_PX + 5
    height_px = max((round(width_px * p.shape[0] / p.shape[1]) for p in list(pictures.values())[:1]), default=100)
    rows: list[tuple[str, Sequence[Shot]]] = []
    alone = [shots[0] for shots in groups.values() if len(shots) == 1]
    for name, shots in groups.items():
        if len(shots) > 1:
            rows += [(name if at == 0 else "", shots[at : at + MOST_IN_A_ROW]) for at in range(0, len(shots), MOST_IN_A_ROW)]
    rows += [("alone" if at == 0 else "", alone[at : at + MOST_IN_A_ROW]) for at in range(0, len(alone), MOST_IN_A_ROW)]
    columns = max((len(shots) for _, shots in rows), default=1)
    name_px = round(min(160.0, max((font.getlength(name) for name, _ in rows), default=0))) + 3 * GAP
    row_px = line_px + height_px + 2 * GAP
    size = (2 * MARGIN + name_px + columns * (width_px + GAP), 2 * MARGIN + max(1, len(rows)) * row_px)
    sheet = Image.new("RGB", size, GROUND)
    pen = ImageDraw.Draw(sheet)
    for row, (name, shots) in enumerate(rows):
        top = MARGIN + row * row_px
        pen.text((MARGIN, top + line_px), fitted(name, name_px - GAP, font), INK, font)
        for column, shot in enumerate(shots):
            x = MARGIN + name_px + column * (width_px + GAP)
            told = f"{shot.number}  {format_timecode(shot.start, cuts.rate)}"
            told += f"  {shot.group}" if name == "alone" or (not name and len(groups.get(shot.group, ())) == 1) else ""
            pen.text((x, top), fitted(told, width_px, font), FAINT, font)
            if (pixels := pictures.get(middle_frame(shot))) is not None:
                sheet.paste(Image.fromarray(np.ascontiguousarray(pixels)).resize((width_px, height_px)), (x, top + line_px))
            else:
                pen.rectangle((x, top + line_px, x + width_px - 1, top + line_px + height_px - 1), outline=FAINT)
    return png(sheet)


def png(picture: Image.Image) -> bytes:
    """A picture as the bytes of a PNG file."""
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()
