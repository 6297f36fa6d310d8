"""Which frame of the film a picture's name means, as `cineml keyframes propagate` reads it, and what a frame is called."""

from __future__ import annotations

from pathlib import Path

from player.show.problem import Problem, ShowError
from tools.film_dataset_source import Footage
from tools.film_frames import frame_name
from tools.keyframes_keys import by_name, counted, pictures_in, twice


def name_of(footage: Footage, number: int) -> str:
    """The name of frame `number`: 000300.png of a film; of a folder the name of its own picture, as PNG."""
    return f"{footage.files[number].stem}.png" if footage.files else frame_name(number)


def frames_in(folder: Path, footage: Footage, option: str) -> dict[int, Path]:
    """Pictures directly in a folder by the film frame that each stands for, in order.

    option: what the folder was given with, for the message. Raises ShowError with all that are of no frame, and with frames
    that are there twice.
    """
    found, others = by_name(pictures_in(folder, option), footage)
    wrong = twice(found, option)
    if others:
        given = f"{counted(others, 'picture')} of no frame of {footage.path.name}, which has {footage.frames}"
        first, last = name_of(footage, 0), name_of(footage, footage.frames - 1)
        wrong.append(Problem(f"{option} {folder}", given, f"names from {first} to {last}"))
    if wrong:
        raise ShowError(wrong)
    return {n.frame: n.path for n in sorted(found, key=lambda n: n.frame)}
