"""A film's cut list, and the command that makes training pictures of it: what the tests of `cineml film dataset` share."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from player.show.cut_list import CutList, Shot, write_csv
from tools import film_dataset

SHOTS = (Shot(1, 0, 20, label="room", group="a"), Shot(2, 20, 30, "dissolve", 4, label="street"),
         Shot(3, 30, 48, label="room again", group="a", out="fade", out_frames=3, out_colour="black"))  # fmt: skip


def dataset(*argv: object) -> int:
    return film_dataset.main([str(a) for a in argv])


def cuts_for(folder: Path, frames: int = 48, rate: Fraction = Fraction(24)) -> Path:
    shots = SHOTS if frames == 48 else (Shot(1, 0, frames),)
    write_csv(CutList("film.mp4", rate, frames, shots), folder / "cuts.csv")
    return folder / "cuts.csv"


def files_of(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
