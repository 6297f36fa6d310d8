"""The first page: what was asked, the scale check, the density wedge, every measure with its certainty, and a ruler of 100
perforations. The ruler is longer than common sheets, so it lies there in pieces that are cut and joined like film, or, where
the sheet is long enough, in one."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from tools.strip_density import STEPS, WEDGE_VALUES, Tone
from tools.strip_draw import (
    CUT_LAYER,
    HAIR_MM,
    PICTURE_LAYER,
    SIDE_FROM_MM,
    TEXT_LAYER,
    draw_film,
    fit_text,
    scale_check,
)
from tools.strip_measures import CERTAINTIES, EDGE, FILM_WIDTH, PERFORATION_ACROSS, RULER_PERFORATIONS, measures_of
from tools.strip_options import Wanted
from tools.strip_pdf import PdfPage, text_width, wrapped
from tools.strip_sheet import SIDE_MM, TAIL_MM, Box, Film, most_frames

LEAST_TEXT_MM, MOST_TEXT_MM = 104.0, 140.0  # room for the bar of 100 mm; lines that can still be read
LINE_MM, TEXT_MM = 3.1, 2.2
RULER_LINES_MM = 7.5  # what is said above and below a piece of the ruler
BOLD = 1.07  # how much wider bold letters are, about
STEP_MM, WEDGE_MM = 5.4, 9.0  # of a step of the wedge: a densitometer looks through 3 mm
GREYS = tuple(v / 255 for v in WEDGE_VALUES)
NEVER_TRIED = (
    "Never tried: no sheet of this program has been printed, cut, or run through a projector by its authors. The measures are "
    "read back from this PDF in a test; whether a print keeps them, only the bars and the ruler on it can say.",
    "A standard film's hundred perforations are 762.0 ± 0.8 mm long, 0.1 %: so near must the bar of 100 mm come to 100.0. "
    "Cut the ruler at the marks, join its pieces like film, and lay it on a piece of real 16 mm film before you print a reel.",
    "Upright pictures that read right have the perforations on their left (C, from the definitions of A and B winding). "
    "Compare with a print that your projector shows right; --emulsion down where the ink has to be on the other side.",
)


@dataclass(frozen=True)
class RulerPiece:
    """Perforations first..first + count of the ruler, as a piece of film."""

    first: int
    film: Film


@dataclass(frozen=True)
class Block:
    """Something on the first page that stays together. draw(page, y): at this height."""

    height_mm: float
    draw: Callable[[PdfPage, float], None]


@dataclass(frozen=True)
class CoverPage:
    """A page before the strips: its blocks with their heights, and its pieces of the ruler."""

    blocks: tuple[tuple[float, Block], ...]
    pieces: tuple[RulerPiece, ...]


@dataclass(frozen=True)
class Cover:
    """What stands on the pages before the strips."""

    wanted: Wanted
    tone: Tone
    title: str
    facts: tuple[str, ...]

    @property
    def room_mm(self) -> tuple[float, float]:
        """Width and height that the printer reaches."""
        (width, height), (mx, my) = self.wanted.sheet_mm, self.wanted.margin_mm
        return width - 2 * mx, height - 2 * my

    @property
    def step_mm(self) -> float:
        return FILM_WIDTH.mm * self.wanted.stretch[1] + max(self.wanted.between_mm, 4.0)

    def ruler_columns(self) -> tuple[int, int]:
        """How many pieces of the ruler lie on the first page beside the text, and on a page of their own."""
        width = self.room_mm[0] - SIDE_MM
        beside = int((width - LEAST_TEXT_MM * self.wanted.stretch[1]) // self.step_mm)
        alone = int((width + self.step_mm - FILM_WIDTH.mm * self.wanted.stretch[1]) // self.step_mm)
        return min(max(beside, 0), len(self.piece_lengths())), max(1, alone)

    def piece_lengths(self) -> list[int]:
        """Perforation intervals of each piece, 100 together: even pieces that fit, of fives where that will do."""
        most = most_frames(self.room_mm[1] - RULER_LINES_MM, self.wanted.pitch.mm, TAIL_MM, self.wanted.stretch[0])
        even = math.ceil(RULER_PERFORATIONS / math.ceil(RULER_PERFORATIONS / max(1, most)))
        round_ = math.ceil(even / 5) * 5
        length = round_ if round_ <= most else even
        whole, rest = divmod(RULER_PERFORATIONS, length)
        return [length] * whole + ([rest] if rest else [])

    def piece(self, index: int, left_mm: float) -> RulerPiece:
        lengths = self.piece_lengths()
        top_mm = self.wanted.margin_mm[1] + LINE_MM + TAIL_MM * self.wanted.stretch[0]
        film = Film(left_mm, top_mm, self.wanted.stretch, self.wanted.mirrored, self.wanted.pitch.mm, lengths[index], TAIL_MM)
        return RulerPiece(sum(lengths[:index]), film)

    def pages(self) -> list[CoverPage]:
        """All pages before the strips."""
        beside, alone = self.ruler_columns()
        (mx, my), (width, height) = self.wanted.margin_mm, self.wanted.sheet_mm
        count = len(self.piece_lengths())
        first = tuple(self.piece(i, width - mx - (beside - i) * self.step_mm + 2.0) for i in range(beside))
        text_mm = min(width - 2 * mx - SIDE_MM - beside * self.step_mm, MOST_TEXT_MM * self.wanted.stretch[1])
        pages: list[CoverPage] = []
        placed: list[tuple[float, Block]] = []
        y = my
        for block in self.blocks(text_mm):
            if placed and y + block.height_mm > height - my:
                pages.append(CoverPage(tuple(placed), first if not pages else ()))
                placed, y = [], my
            placed.append((y, block))
            y += block.height_mm
        pages.append(CoverPage(tuple(placed), first if not pages else ()))
        for begin in range(beside, count, alone):
            lefts = ((i, mx + SIDE_MM + (i - begin) * self.step_mm) for i in range(begin, min(begin + alone, count)))
            pages.append(CoverPage((), tuple(self.piece(i, left) for i, left in lefts)))
        return pages

    def draw(self, page: PdfPage, which: CoverPage) -> None:
        """One of `pages`."""
        for y, block in which.blocks:
            block.draw(page, y)
        for piece in which.pieces:
            draw_ruler(page, piece)

    def blocks(self, text_mm: float) -> list[Block]:
        """The first page from above downwards, in a column text_mm wide."""
        x = self.wanted.margin_mm[0] + SIDE_MM
        made = [_lines(x, [self.title], 4.2, text_mm, bold=True), _lines(x, self.facts, TEXT_MM, text_mm)]
        made.append(Block(15.0, lambda page, y: self.draw_scale(page, x, y, text_mm)))
        made.append(Block(2 * WEDGE_MM + 23.0, lambda page, y: self.draw_wedge(page, x, y, text_mm)))
        made.append(_lines(x, ["What is certain"], 2.8, text_mm, bold=True))
        made += [Block(LINE_MM, lambda page, y, row=row: _row(page, x, y, row, text_mm)) for row in self.rows()]  # type: ignore[misc]
        said = "; ".join(f"{letter} = {meaning}" for letter, meaning in CERTAINTIES.items())
        return [*made, *(_lines(x, [t], TEXT_MM, text_mm) for t in ("", said + ".", *NEVER_TRIED))]

    def rows(self) -> list[tuple[str, str, str, str]]:
        """Every measure: name, value, certainty, source."""
        return [(n.name, n.value, n.certainty, n.source) for n in measures_of(self.wanted.picture, self.wanted.pitch)]

    def draw_scale(self, page: PdfPage, x: float, y: float, text_mm: float) -> None:
        """The level bar here, the upright one at the sheet's left edge."""
        with page.layer(TEXT_LAYER):
            said = "Scale: print at 100 %, without 'fit to page', and measure both bars, this way and upright."
            fit_text(page, x, y + 3.0, said, TEXT_MM, text_mm)
            scale_check(page, self.wanted, x, y + 5.5, False, text_mm)
            (mx, my), along = self.wanted.margin_mm, self.wanted.stretch[0]
            scale_check(page, self.wanted, mx + SIDE_FROM_MM, my, True, self.room_mm[1])
            page.text_along(mx + 4.0, my + 25 * along, "50.0 and 100.0 mm", 1.9, False)

    def draw_wedge(self, page: PdfPage, x: float, y: float, text_mm: float) -> None:
        """21 steps twice: the values as they are, to be measured, and through the curve of these strips, to be checked."""
        wide = min(STEP_MM, text_mm / STEPS)
        through = self.tone.table[list(WEDGE_VALUES)] / 255
        rows = (("Step wedge, values as they are: measure these for --densities. Step, value, and your density:", GREYS),
                (f"The same steps as film values through this strip's curve ({self.tone.text}):", tuple(through)))  # fmt: skip
        for row, (text, greys) in enumerate(rows):
            top = y + row * (WEDGE_MM + 11.5)
            with page.layer(TEXT_LAYER):
                fit_text(page, x, top + 2.6, text, TEXT_MM, text_mm)
            with page.layer(PICTURE_LAYER):
                for k, grey in enumerate(greys):
                    page.fill(Box(x + k * wide, top + 3.6, wide, WEDGE_MM), float(grey))
                page.outline(Box(x, top + 3.6, STEPS * wide, WEDGE_MM), HAIR_MM)
            with page.layer(TEXT_LAYER):
                for k, value in enumerate(WEDGE_VALUES):
                    wanted = self.tone.wanted_density(value)
                    below = [str(k + 1), str(value)] if row == 0 else [str(value), "" if wanted is None else f"{wanted:.2f}"]
                    for n, cell in enumerate(below):
                        size = min(1.9, wide * 0.36)
                        page.text(x + (k + 0.5) * wide - text_width(cell, size) / 2, top + 5.8 + WEDGE_MM + n * 2.3, cell, size)


def _lines(x: float, paragraphs: tuple[str, ...] | list[str], size_mm: float, room_mm: float, bold: bool = False) -> Block:
    """Paragraphs of text."""
    lines = [line for p in paragraphs for line in wrapped(p, size_mm * (BOLD if bold else 1.0), room_mm)]
    step = size_mm * LINE_MM / TEXT_MM

    def draw(page: PdfPage, y: float) -> None:
        with page.layer(TEXT_LAYER):
            for i, line in enumerate(lines):
                page.text(x, y + (i + 0.8) * step, line, size_mm, bold)

    return Block(len(lines) * step + 1.2, draw)


def _row(page: PdfPage, x: float, y: float, row: tuple[str, str, str, str], room_mm: float) -> None:
    """A line of the table of measures."""
    at = (0.0, 0.36, 0.56, 0.60)
    with page.layer(TEXT_LAYER):
        for i, cell in enumerate(row):
            right = at[i + 1] if i + 1 < len(at) else 1.0
            fit_text(page, x + at[i] * room_mm, y + 2.4, cell, 2.1, (right - at[i]) * room_mm - 1.0)


def draw_ruler(page: PdfPage, piece: RulerPiece) -> None:
    """A piece of film with a tick at every perforation, numbers at every fifth, and the length from 0."""
    film = piece.film
    draw_film(page, film, False)
    inner = EDGE.mm + PERFORATION_ACROSS.mm + 0.3
    with page.layer(CUT_LAYER):
        for k in range(film.frames + 1):
            n, y = piece.first + k, film.y(k * film.pitch_mm)
            long = 4.6 if n % 10 == 0 else 3.2 if n % 5 == 0 else 1.8
            page.line(film.x(inner), y, film.x(inner + long), y, 0.1)
    with page.layer(TEXT_LAYER):
        for k in range(film.frames + 1):
            n, y = piece.first + k, film.y(k * film.pitch_mm)
            if n % 5 == 0:
                text, size = f"{n}: {n * film.pitch_mm:.1f}", 1.9
                room = film.box((8.2, FILM_WIDTH.mm - 0.3), (0, 0))
                page.text(room.x, y + size * 0.36, text, min(size, size * room.width / text_width(text, size)))
        box = film.outline()
        last = piece.first + film.frames
        said = f"{piece.first}-{last}: {film.length_mm:.3f} mm"
        size = min(2.0, 2.0 * (box.width + 3.0) / text_width(said, 2.0))
        page.text(box.x, box.y - 0.9, said, size)
        page.text(box.x, box.bottom + 2.4, f"0-{RULER_PERFORATIONS}: {RULER_PERFORATIONS * film.pitch_mm:.1f} mm", 2.0)
