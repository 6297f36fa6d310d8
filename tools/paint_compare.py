"""A sheet to choose by: a few frames of the film, painted in several ways, side by side, each way with the options that ask
for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from player.show.film import format_timecode
from tools.contact_sheet import FAINT, GAP, GROUND, INK, MARGIN, TEXT_PX, fitted
from tools.keyframes_keep import keep_of, kept
from tools.paint_choice import Part
from tools.paint_gate import Gate
from tools.paint_keys import Painter, moved, sized, travelled
from tools.paint_options import PaintOptions
from tools.paint_style import Painting

if TYPE_CHECKING:
    from PIL import Image

Pixels = npt.NDArray[np.uint8]
MOST_PX = 640 * 480  # a larger frame is made smaller for the sheet: strokes keep their share of the picture
PICTURE_PX = 320  # width of one picture on the sheet, at least its own where that is less than twice this
AWAY = 12  # frames that the moved key is away
PAINTED = ("strokes", "smaller")


@dataclass(frozen=True)
class Way:
    """One column. name: for people. words: the options that ask for it, '' for none."""

    name: str
    words: str


@dataclass(frozen=True)
class Row:
    """One frame of the film and what each way makes of it, uint8 [H, W, 3]; None where a way has nothing to show."""

    frame: int
    shot: int
    pictures: tuple[Pixels | None, ...]


def ways_of(options: PaintOptions) -> tuple[Way, ...]:
    """The columns, left to right."""
    scale, half = f"{options.scale:g}", f"{options.scale / 2:g}"
    return (Way("the film", ""), Way("strokes as asked", f"--scale {scale}"), Way("strokes half as large", f"--scale {half}"),
            Way("the film's colour kept", f"--scale {scale} --keep colour"),
            Way("its light and dark kept", f"--scale {scale} --keep luminance"),
            Way(f"only moved, from {AWAY} frames away", "no synthesis: to compare"))  # fmt: skip


def sheet_frames(keys: Sequence[int], parts: Sequence[Part], count: int) -> list[int]:
    """Keys to show, spread over the film: of as many shots as there is room for."""
    by_shot = [[k for k in keys if p.start <= k < p.end] for p in parts]
    first = [own[len(own) // 2] for own in by_shot if own]
    rest = sorted(set(keys) - set(first))
    chosen = first if len(first) >= count else first + spread_of(rest, count - len(first))
    return sorted(spread_of(chosen, count))


def spread_of(items: Sequence[int], count: int) -> list[int]:
    """Up to `count` of the items at equal distances."""
    if len(items) <= count:
        return list(items)
    return [items[int(i)] for i in np.unique(np.linspace(0, len(items) - 1, count).round().astype(int))]


def small_size(width: int, height: int) -> tuple[int, int]:
    """(height, width) in which a frame is painted for the sheet."""
    factor = min(1.0, (MOST_PX / (width * height)) ** 0.5)
    return max(16, round(height * factor)), max(16, round(width * factor))


def make_rows(frames: Sequence[int], parts: Sequence[Part], painting: Painting, options: PaintOptions, gate: Gate,
              frame_at: Callable[[int], Pixels], between: Callable[[int, int], Iterable[Pixels]],
              progress: Callable[[float], None]) -> list[Row]:  # fmt: skip
    """The pictures of the sheet, of the gate's size. progress: called with the share done. Raises ShowError."""
    size = (gate.always.shape[0], gate.always.shape[1])
    painters = [Painter(painting, o, size, gate) for o in (options, replace(options, scale=options.scale / 2))]
    rows: list[Row] = []
    steps = 3 * len(frames)
    for at, frame in enumerate(frames):
        part = next(p for p in parts if p.start <= frame < p.end)

        def told(share: float, step: int, at: int = at) -> None:
            progress((3 * at + step + share) / steps)

        shown = sized(frame_at(frame), size)
        made = [p.paint(shown, progress=lambda s, step=i: told(s, step)).picture  # type: ignore[misc]
                for i, p in enumerate(painters)]  # fmt: skip
        away = next((n for n in (frame - AWAY, frame + AWAY) if part.start <= n < part.end), None)
        carried = None
        if away is not None:
            other_frame = sized(frame_at(away), size)
            other = painters[0].paint(other_frame, progress=lambda s: told(s, 2))
            carried = moved(other, travelled(sized(p, size) for p in between(away, frame))).picture
        rows.append(Row(frame, part.shot, (shown, *made, kept(made[0], shown, keep_of("colour")),
                                           kept(made[0], shown, keep_of("luminance")), carried)))  # fmt: skip
        progress(3 * (at + 1) / steps)
    return rows


def draw_rows(rows: Sequence[Row], ways: Sequence[Way], painting: Painting, rate: Fraction, note: str) -> Image.Image:
    """The sheet: the painting above, a column a way, a row a frame. note: a line below the title."""
    from PIL import Image, ImageDraw

    from player.screen.typeface import font_for

    height, width = next(p for p in rows[0].pictures if p is not None).shape[:2]
    cell = width if PICTURE_PX <= width < 2 * PICTURE_PX else PICTURE_PX
    tall = round(cell * height / width)
    font, line = font_for([note], TEXT_PX), TEXT_PX + 5
    own = painting.picture.shape
    thumb = (max(1, round(tall / 2 * own[1] / own[0])), max(1, tall // 2))
    head = max(thumb[1], 3 * line) + MARGIN
    size = (2 * MARGIN + len(ways) * (cell + GAP) - GAP, 2 * MARGIN + head + 2 * line + len(rows) * (tall + line + GAP))
    made = Image.new("RGB", size, GROUND)
    pen = ImageDraw.Draw(made)
    made.paste(Image.fromarray(painting.picture).resize(thumb, Image.Resampling.LANCZOS), (MARGIN, MARGIN))
    room = size[0] - 3 * MARGIN - thumb[0]
    for at, (text, ink) in enumerate((("ways to paint this film", INK), (note, FAINT))):
        pen.text((2 * MARGIN + thumb[0], MARGIN + at * line), fitted(text, room, font), ink, font)
    top = MARGIN + head
    for at, way in enumerate(ways):
        x = MARGIN + at * (cell + GAP)
        pen.text((x, top), fitted(way.name, cell, font), INK, font)
        pen.text((x, top + line), fitted(way.words, cell, font), FAINT, font)
    for number, row in enumerate(rows):
        y = top + 2 * line + number * (tall + line + GAP)
        words = f"frame {row.frame}  {format_timecode(row.frame, rate)}  shot {row.shot}"
        pen.text((MARGIN, y), fitted(words, cell, font), FAINT, font)
        for at, picture in enumerate(row.pictures):
            x = MARGIN + at * (cell + GAP)
            if picture is None:
                pen.rectangle((x, y + line, x + cell - 1, y + line + tall - 1), outline=FAINT)
                pen.text((x + GAP, y + line + GAP), "the shot is too short", FAINT, font)
                continue
            small = Image.fromarray(np.ascontiguousarray(picture))
            made.paste(small if cell == width else small.resize((cell, tall), Image.Resampling.LANCZOS), (x, y + line))
    return made
