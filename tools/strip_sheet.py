"""Where strips, frames and perforations lie on the sheets: pure numbers, in mm from a sheet's upper left corner, y downwards.

On a strip, `across` counts from the perforated edge and `along` from the first frame line, downwards: earlier frames are
above later ones, as they are when an upright picture is looked at. Both are the film's own mm; on the sheet they are stretched
by what the print will lose.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from player.show.problem import Problem, ShowError
from tools.strip_measures import (
    CORNER_RADIUS,
    EDGE,
    FILM_WIDTH,
    FRAMES_A_FOOT,
    MM_AN_INCH,
    PERFORATION_ACROSS,
    PERFORATION_ALONG,
)
from tools.strip_options import Join, Wanted

HEAD_MM, LABEL_MM, SIDE_MM = 11.0, 3.5, 7.0  # head line and bar, strip numbers, upright bar
FOOT_LINE_MM, FOOT_ROOM_MM = 2.8, 180.0  # of a line at the foot, and how long its text is, about
TAIL_MM = 2.0  # beyond the last frame lines: a whole perforation, and the 1.27 mm that a cement splice takes
MARK_MM = 1.3  # how far a cut mark stands out beside the film
BARS_MM = (100.0, 50.0)


@dataclass(frozen=True)
class Box:
    """A rectangle on a sheet, in mm: its upper left corner and its size."""

    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        return self.x + self.width

    @property
    def bottom(self) -> float:
        return self.y + self.height


@dataclass(frozen=True)
class Film:
    """A piece of film on a sheet. left_mm, top_mm: of its first frame line at the left edge of the piece as it lies there.
    stretch: along, across. frames: how many lengths of a frame it has. tail_mm: of film beyond both end frame lines."""

    left_mm: float
    top_mm: float
    stretch: tuple[float, float]
    mirrored: bool
    pitch_mm: float
    frames: int
    tail_mm: float

    def y(self, along: float) -> float:
        return self.top_mm + along * self.stretch[0]

    def x(self, across: float) -> float:
        return self.left_mm + (FILM_WIDTH.mm - across if self.mirrored else across) * self.stretch[1]

    def box(self, across: tuple[float, float], along: tuple[float, float]) -> Box:
        """What lies from..to across and from..to along the film."""
        x0, x1 = sorted(self.x(a) for a in across)
        return Box(x0, self.y(along[0]), x1 - x0, self.y(along[1]) - self.y(along[0]))

    @property
    def length_mm(self) -> float:
        """From frame line to frame line."""
        return self.frames * self.pitch_mm

    def outline(self) -> Box:
        return self.box((0, FILM_WIDTH.mm), (-self.tail_mm, self.length_mm + self.tail_mm))

    def perforations(self) -> Iterator[Box]:
        """One at each frame line, in its middle, as long as there is film around it."""
        half = PERFORATION_ALONG.mm / 2
        beyond = math.floor((self.tail_mm - half) / self.pitch_mm + 1e-9)
        for k in range(-beyond, self.frames + beyond + 1):
            along = k * self.pitch_mm
            yield self.box((EDGE.mm, EDGE.mm + PERFORATION_ACROSS.mm), (along - half, along + half))

    @property
    def corner(self) -> tuple[float, float]:
        """Radii of a perforation's corners on the sheet, across and along."""
        return CORNER_RADIUS.mm * self.stretch[1], CORNER_RADIUS.mm * self.stretch[0]

    def between_perforations(self, frame: int) -> tuple[float, float]:
        """The middle of the room beside a frame, (x, y): where its number stands."""
        return self.x(EDGE.mm + PERFORATION_ACROSS.mm / 2), self.y((frame + 0.5) * self.pitch_mm)


@dataclass(frozen=True)
class Strip:
    """A strip: its number from 1, the place of its first frame among the printed ones, and its film."""

    number: int
    first: int
    film: Film

    @property
    def places(self) -> range:
        """The printed frames that it shows."""
        return range(self.first, self.first + self.film.frames)


@dataclass(frozen=True)
class Layout:
    """Strips on sheets. frames: printed in all. per_strip: frames of a full strip. columns: strips of a full sheet."""

    wanted: Wanted
    frames: int
    per_strip: int
    columns: int

    @property
    def tail_mm(self) -> float:
        return tail_of(self.wanted.join, self.wanted.pitch.mm)

    @property
    def advance(self) -> int:
        """Frames from the first of a strip to the first of the next."""
        return self.per_strip - (1 if self.wanted.join == "overlap" else 0)

    @property
    def strips(self) -> int:
        shared = 1 if self.wanted.join == "overlap" else 0
        return max(1, math.ceil((self.frames - shared) / self.advance))

    @property
    def sheets(self) -> int:
        return math.ceil(self.strips / self.columns)

    @property
    def pictures(self) -> int:
        """Frames as they stand on the sheets, repeated ones too."""
        return self.frames + (self.strips - 1 if self.wanted.join == "overlap" else 0)

    @cached_property
    def step_mm(self) -> float:
        """From strip to strip on a sheet."""
        return FILM_WIDTH.mm * self.wanted.stretch[1] + self.wanted.between_mm

    @property
    def length_m(self) -> float:
        """Of the spliced film."""
        return self.frames * self.wanted.pitch.mm / 1000

    @property
    def feet(self) -> tuple[int, int]:
        """The same as feet and frames."""
        return divmod(self.frames, FRAMES_A_FOOT)

    def strip(self, number: int) -> Strip:
        """Strip `number`, from 1."""
        first = (number - 1) * self.advance
        column, stretch = (number - 1) % self.columns, self.wanted.stretch
        left_mm, top_mm = self.wanted.margin_mm[0] + SIDE_MM + column * self.step_mm, self.top_mm + self.tail_mm * stretch[0]
        frames = min(self.per_strip, self.frames - first)
        film = Film(left_mm, top_mm, stretch, self.wanted.mirrored, self.wanted.pitch.mm, frames, self.tail_mm)
        return Strip(number, first, film)

    @property
    def top_mm(self) -> float:
        """Where strips begin on their sheets."""
        return self.wanted.margin_mm[1] + HEAD_MM + LABEL_MM

    def on_sheet(self, sheet: int) -> list[Strip]:
        """The strips of sheet `sheet`, from 1."""
        first = (sheet - 1) * self.columns + 1
        return [self.strip(n) for n in range(first, min(first + self.columns, self.strips + 1))]


def foot_lines(wanted: Wanted) -> int:
    """Lines that each of the two sentences at the foot takes."""
    return math.ceil(FOOT_ROOM_MM / max(wanted.sheet_mm[0] - 2 * wanted.margin_mm[0], 10.0))


def foot_mm(wanted: Wanted) -> float:
    """Height of what stands below the strips."""
    return 2 * foot_lines(wanted) * FOOT_LINE_MM + 1.9


def tail_of(join: Join, pitch_mm: float) -> float:
    """How much film a strip has beyond its end frame lines."""
    return pitch_mm + TAIL_MM if join == "gap" else TAIL_MM


def most_frames(room_mm: float, pitch_mm: float, tail_mm: float, stretch: float) -> int:
    """How many frames a piece of film has that fits into so many mm of a sheet."""
    return math.floor((room_mm / stretch - 2 * tail_mm) / pitch_mm + 1e-9)


def layout_of(wanted: Wanted, frames: int) -> Layout:
    """Strips for so many printed frames. Raises ShowError where the sheet is too small for one strip of two frames."""
    (width, height), (along, across) = wanted.sheet_mm, wanted.stretch
    room_mm = height - 2 * wanted.margin_mm[1] - HEAD_MM - LABEL_MM - foot_mm(wanted)
    per_strip = most_frames(room_mm, wanted.pitch.mm, tail_of(wanted.join, wanted.pitch.mm), along)
    room_across = width - 2 * wanted.margin_mm[0] - SIDE_MM - MARK_MM
    columns = math.floor((room_across + wanted.between_mm) / (FILM_WIDTH.mm * across + wanted.between_mm) + 1e-9)
    if per_strip < 2 or columns < 1:
        margins = " and ".join(f"{m:g}" for m in wanted.margin_mm)
        given = f"has no room for a strip of two frames ({width:g} x {height:g} mm, margins {margins} mm)"
        raise ShowError(Problem("--sheet", given, "a larger sheet, or smaller margins"))
    return Layout(wanted, frames, per_strip, columns)


@dataclass(frozen=True)
class Placed:
    """A picture in its frame. part: (left, top, right, bottom) of the picture that is seen, each 0..1. box: on the sheet."""

    part: tuple[float, float, float, float]
    box: Box


def placed(shape: tuple[float, float], aperture: Box, aperture_mm: tuple[float, float], fit: str) -> Placed:
    """A picture of width x height `shape` in an aperture: aperture_mm in the film's mm, `aperture` on the sheet."""
    wide, (w_mm, h_mm) = shape[0] / shape[1], aperture_mm
    narrow = wide / (w_mm / h_mm)  # of the picture, beside the aperture
    if fit == "cover":
        x, y = (0.0, (1 - narrow) / 2) if narrow < 1 else ((1 - 1 / narrow) / 2, 0.0)
        return Placed((x, y, 1 - x, 1 - y), aperture)
    x, y = ((1 - narrow) / 2, 0.0) if narrow < 1 else (0.0, (1 - 1 / narrow) / 2)
    inner = Box(aperture.x + x * aperture.width, aperture.y + y * aperture.height,
                aperture.width * (1 - 2 * x), aperture.height * (1 - 2 * y))  # fmt: skip
    return Placed((0.0, 0.0, 1.0, 1.0), inner)


def snapped(picture: Placed, dpi: int, sheet_height_mm: float) -> Placed:
    """The same with its box on whole dots counted from the sheet's lower left corner, at most a dot smaller at each side, and
    so much less of the picture: what is seen does not move."""
    dot, b = MM_AN_INCH / dpi, picture.box
    left, right = math.ceil(b.x / dot - 1e-6), math.floor(b.right / dot + 1e-6)
    low, high = math.ceil((sheet_height_mm - b.bottom) / dot - 1e-6), math.floor((sheet_height_mm - b.y) / dot + 1e-6)
    box = Box(left * dot, sheet_height_mm - high * dot, (right - left) * dot, (high - low) * dot)
    x0, y0, x1, y1 = picture.part
    wide, tall = (x1 - x0) / b.width, (y1 - y0) / b.height
    part = (x0 + (box.x - b.x) * wide, y0 + (box.y - b.y) * tall, x1 - (b.right - box.right) * wide,
            y1 - (b.bottom - box.bottom) * tall)  # fmt: skip
    return Placed(part, box)


def dots(box: Box, dpi: int) -> tuple[int, int]:
    """Width and height of a box in dots, at least one."""
    return max(1, round(box.width / MM_AN_INCH * dpi)), max(1, round(box.height / MM_AN_INCH * dpi))
