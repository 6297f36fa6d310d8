"""The films and clips of a review: opened when they are first seen, again when they were made again, placed as the player
places them."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from player.show.cut_list import CutList, Shot
from player.show.film import Film
from player.show.problem import ShowError
from player.sources.clip import FolderReader, lacking_of, placed
from player.sources.film_reader import FilmReader
from player.sources.frame import Pixels
from player.state import FRAME_TOLERANCE


def written_ns(path: Path) -> int:
    """When a film, or a folder's list of names, was last written; 0 where that cannot be told."""
    try:
        return path.stat().st_mtime_ns
    except (OSError, ValueError):
        return 0


@dataclass
class Reel:
    """One reader, and the lock of the one thread that may use it."""

    reader: FilmReader | FolderReader
    lock: threading.Lock
    written_ns: int


class Reels:
    """Readers by their paths; for playing other ones, which must not be sent to and fro by single pictures. For any thread."""

    def __init__(self) -> None:
        self._opening = threading.Lock()
        self._reels: dict[tuple[str, bool], Reel] = {}

    def get(self, path: Path, playing: bool) -> Reel:
        """Raises ShowError where it cannot be opened."""
        with self._opening:
            key, now = (str(path), playing), written_ns(path)
            if key not in self._reels or self._reels[key].written_ns != now:
                reader = FolderReader(path) if path.is_dir() else FilmReader(path)
                reader.open()
                self._reels[key] = Reel(reader, threading.Lock(), now)  # an older one goes when its last picture is made
            return self._reels[key]

    def close(self) -> None:
        """Lets go of all, each where nobody is using it."""
        for reel in self._reels.values():
            with reel.lock:
                reel.reader.close()


def clip_picture(reel: Reel, shot: Shot, cuts: CutList, film: Film, frame: int) -> tuple[Pixels, bool]:
    """(what a shot's clip shows at a film frame, whether the film's fades and dissolves are in it). Raises RuntimeError and
    others where it cannot be read there."""
    with reel.lock:
        placing, rate = placed(reel.reader, shot, cuts, film)
        since = Fraction(frame - shot.start) / film.rate * rate
        number = min(max(placing.first + math.floor(since + FRAME_TOLERANCE), placing.first), placing.last)
        if isinstance(reel.reader, FolderReader):
            return reel.reader.picture(number, placing.first)[0], placing.like_film
        if (lacking := lacking_of(reel.reader, placing, shot, f"shot {shot.number}: clip")) is not None:
            raise ShowError(lacking)
        return reel.reader.picture(number), placing.like_film
