"""The measures of 16 mm and Super 16 film, each with where it was read and how certain it is.

Across the film everything counts from the perforated edge, along it from a frame line. Certainty: A = read in a standard's text
or table, B = several secondary sources, C = derived from the others by us. Nobody here has laid a print on a piece of film.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Certainty = Literal["A", "B", "C"]
Format = Literal["super16", "standard16", "projector16"]
Pitch = Literal["long", "short"]
FRAMES_A_FOOT = 40
MM_AN_INCH = 25.4
RULER_PERFORATIONS = 100
CERTAINTIES: dict[Certainty, str] = {"A": "read in a standard's text or table", "B": "several secondary sources agree",
                                     "C": "derived by us, not read anywhere"}  # fmt: skip


@dataclass(frozen=True)
class Measure:
    """One measure. tolerance_mm: of the standard for film as it is perforated, 0 where we have read none."""

    name: str
    mm: float
    certainty: Certainty
    source: str
    tolerance_mm: float = 0.0

    @property
    def value(self) -> str:
        """For a person: '7.62 ± 0.013 mm'."""
        return f"{self.mm:g}" + (f" ± {self.tolerance_mm:g}" if self.tolerance_mm else "") + " mm"


_TABLE = "ASA Z22.5 and Z22.12, 1947"
_STANDARD = "a standard's table"
_SEVERAL = "several handbooks"

FILM_WIDTH = Measure("film width", 15.95, "A", _STANDARD + "; 15.98 ± 0.03 in 1947")
PERFORATION_ACROSS = Measure("perforation, across the film", 1.83, "A", _TABLE, 0.01)
PERFORATION_ALONG = Measure("perforation, along the film", 1.27, "A", _TABLE, 0.01)
CORNER_RADIUS = Measure("perforation, corner radius", 0.25, "A", _TABLE)
EDGE = Measure("film edge to perforation", 0.91, "A", _TABLE, 0.05)
LONG_PITCH = Measure("pitch, long (print film)", 7.620, "A", _TABLE, 0.013)
SHORT_PITCH = Measure("pitch, short (camera film)", 7.605, "A", _STANDARD)
LONG_RULER = Measure("100 perforations, long pitch", 762.0, "A", _TABLE, 0.76)
FRAME_LINE = Measure("frame line to middle of perforation", 0.0, "B", "draft ASA Z22.24 (splices), 1949")
TRACK_CENTRE = Measure("far edge to middle of optical track", 1.47, "A", _STANDARD)
TRACK_WIDTH = Measure("optical track, printed width", 2.03, "A", _STANDARD)

PITCHES: dict[Pitch, Measure] = {"long": LONG_PITCH, "short": SHORT_PITCH}


@dataclass(frozen=True)
class Picture:
    """Where a format has its picture. width, height: of the aperture. left: from the perforated edge to the picture."""

    format: Format
    name: str
    width: Measure
    height: Measure
    left: Measure

    @property
    def right_mm(self) -> float:
        return self.left.mm + self.width.mm


PICTURES: dict[Format, Picture] = {
    "super16": Picture(
        "super16", "Super 16",
        Measure("Super 16 picture, width", 12.52, "B", _SEVERAL), Measure("Super 16 picture, height", 7.41, "B", _SEVERAL),
        Measure("perforated edge to picture", 2.85, "C", "from perforation, width and picture"),
    ),
    "standard16": Picture(
        "standard16", "standard 16, camera aperture",
        Measure("camera aperture, width", 10.26, "B", _SEVERAL), Measure("camera aperture, height", 7.49, "B", _SEVERAL),
        Measure("perforated edge to picture", 2.85, "C", "in the middle of the film to 0.01 mm"),
    ),
    "projector16": Picture(
        "projector16", "standard 16, projector aperture",
        Measure("projector aperture, width", 9.65, "B", _SEVERAL), Measure("projector aperture, height", 7.21, "B", _SEVERAL),
        Measure("perforated edge to picture", 3.155, "C", "in the middle of the camera aperture"),
    ),
}  # fmt: skip


def track_span_mm() -> tuple[float, float]:
    """From where to where the optical track lies, from the perforated edge."""
    middle = FILM_WIDTH.mm - TRACK_CENTRE.mm
    return middle - TRACK_WIDTH.mm / 2, middle + TRACK_WIDTH.mm / 2


def measures_of(picture: Picture, pitch: Measure) -> tuple[Measure, ...]:
    """Every measure that a strip of this format is drawn with, in the order in which a person would check them."""
    track = () if picture.format == "super16" else (TRACK_CENTRE, TRACK_WIDTH)
    ruler = (LONG_RULER,) if pitch is LONG_PITCH else ()
    return (FILM_WIDTH, pitch, *ruler, PERFORATION_ACROSS, PERFORATION_ALONG, CORNER_RADIUS, EDGE, FRAME_LINE,
            picture.width, picture.height, picture.left, *track)  # fmt: skip
