"""Clips as a source: what shots play that was made beforehand, films or folders of PNG frames (show.clips)."""

from __future__ import annotations

import logging
import math
import re
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from player.show.clip import FrameFolder, Placing, png_size, read_folder, seen_frames
from player.show.cut_list import CutList, Shot
from player.show.film import Film
from player.show.problem import Problem, ShowError
from player.show.show import Show
from player.show.toml_table import file_problem
from player.sources.aim import Aim, Layer
from player.sources.film_reader import FilmReader, probe_film
from player.sources.frame import Frame, Held, Pixels
from player.state import FRAME_TOLERANCE

log = logging.getLogger("cineml")

CACHED_FRAMES = 4
HELD_FRAMES = 48  # so far back a frame is looked for that can stand in: what a folder that is gone costs at most
DAMAGED_SAID = 5  # of one folder
PART = re.compile(r"cineml: film frames ([0-9]{1,9}) to ([0-9]{1,9}) of ([0-9]{1,9})")
LARGE_PX = 1280 * 720  # a PNG of 480x360 takes 3 ms to decode, one of 1920x1080 38 ms: about a film frame's time


def read_png(path: Path) -> Pixels:
    """uint8 [H, W, 3] of a PNG: grey spread, 16 bits rounded to 8, what is transparent over black. Raises OSError, ValueError
    and others of Pillow's for what is none."""
    from PIL import Image

    with Image.open(path) as image:
        if image.mode.startswith("I"):  # 16-bit grey, which convert() clips
            grey = np.rint(np.asarray(image, np.float32) / 257).astype(np.uint8)
            return np.repeat(grey[:, :, None], 3, axis=2)
        if image.has_transparency_data:
            black = Image.new("RGBA", image.size, (0, 0, 0, 255))
            return np.array(Image.alpha_composite(black, image.convert("RGBA")).convert("RGB"))
        return np.array(image.convert("RGB"))


class FolderReader:
    """PNG frames of one folder by their numbers. One thread at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.folder = FrameFolder(path, {})
        self._cache: OrderedDict[int, Pixels] = OrderedDict()

    def open(self) -> None:
        """Reads the names. Raises ShowError."""
        self.folder = read_folder(self.path)

    def frame_px(self) -> int:
        """Pixels of the first frame, which the others are like; 0 where that cannot be told."""
        try:
            width, height = png_size(self.folder.files[min(self.folder.files)])
        except ShowError:
            return 0
        return width * height

    def problems(self, numbers: Sequence[int]) -> list[Problem]:
        """What is wrong with the files of these frames, as far as they are there: the first is decoded, head and end of the
        others are looked at."""
        found: list[Problem] = []
        files = [(n, self.folder.files[n]) for n in numbers if n in self.folder.files]
        for _, path in files:
            try:
                png_size(path)
            except ShowError as e:
                found += e.problems
        if files and not found:
            number, path = files[0]
            try:
                self._decode(number)
            except Exception as e:  # Pillow has several of its own
                found.append(Problem(str(path), f"cannot be decoded ({_words(e)})", "a PNG"))
        if (rest := len(found) - DAMAGED_SAID) > 1:
            found = [*found[:DAMAGED_SAID], Problem(str(self.path), f"holds {rest} more such files", "whole PNGs")]
        return found

    def picture(self, number: int, first: int) -> tuple[Pixels, str]:
        """(uint8 [H, W, 3], '') of a frame; where it cannot be read, of the nearest before it, down to `first`, and why.
        Raises RuntimeError where none of those can be read either."""
        why = ""
        for near in range(number, max(first, number - HELD_FRAMES) - 1, -1):
            try:
                pixels = self._decode(near)
            except Exception as e:  # gone, damaged, on a share that has gone away
                why = why or f"frame {number} {_words(e)}"
                continue
            if why:
                self._keep(number, pixels)  # held on for the frames after it
            return pixels, why
        raise RuntimeError(f"{self.path.name}: {why}")

    def _decode(self, number: int) -> Pixels:
        if number in self._cache:
            self._cache.move_to_end(number)
            return self._cache[number]
        if number not in self.folder.files:
            raise FileNotFoundError("is missing")
        pixels = read_png(self.folder.files[number])
        self._keep(number, pixels)
        return pixels

    def _keep(self, number: int, pixels: Pixels) -> None:
        self._cache[number] = pixels
        while len(self._cache) > CACHED_FRAMES:
            self._cache.popitem(last=False)

    def close(self) -> None:
        self._cache.clear()


def _words(error: Exception) -> str:
    return f"cannot be read ({error.strerror})" if isinstance(error, OSError) and error.strerror else str(error)


@dataclass(frozen=True)
class _Clip:
    """A shot's clip, opened."""

    reader: FilmReader | FolderReader
    placing: Placing
    rate: Fraction


def part_of_film(path: Path) -> tuple[range, int] | None:
    """(the frames of the whole film that a film holds, how many the whole has), as the tool that made it has written into it
    (player.recorder.part_comment); None where it says nothing."""
    import av

    try:
        with av.open(str(path)) as container:
            told = {key.lower(): value for key, value in container.metadata.items()}  # Matroska gives its names in capitals
            said = PART.fullmatch(told.get("comment", "").strip())
    except (av.FFmpegError, OSError, ValueError):
        return None
    return (range(int(said[1]), int(said[2]) + 1), int(said[3])) if said is not None else None


def placed(reader: FilmReader | FolderReader, shot: Shot, cuts: CutList, film: Film) -> tuple[Placing, Fraction]:
    """Where a shot stands in a clip, and the clip's rate. Of a part of the film that does not hold all of the shot, Placing
    may begin before 0 or end after the clip."""
    seen = seen_frames(shot, cuts)
    if isinstance(reader, FolderReader):
        return reader.folder.placing(shot, seen, cuts.frames), film.rate
    if (reader.rate, reader.frames) == (film.rate, cuts.frames):
        return Placing(shot.start, shot.start + seen - 1, True), film.rate
    part = part_of_film(reader.path)
    if part is not None and (reader.rate, reader.frames, cuts.frames) == (film.rate, len(part[0]), part[1]):
        first = shot.start - part[0].start
        return Placing(first, max(min(first + seen, reader.frames), first + shot.frames) - 1, True), film.rate
    return Placing(0, reader.frames - 1, False), reader.rate


def lacking_of(reader: FilmReader, placing: Placing, shot: Shot, where: str) -> Problem | None:
    """That a film of a part of the film does not hold all of the shot; None where it does."""
    if not placing.like_film or (placing.first >= 0 and placing.last < reader.frames):
        return None
    low = shot.start - placing.first
    return Problem(where, f"{reader.path.name} holds the film's frames {low} to {low + reader.frames - 1}",
                   f"the shot's own, {shot.start} to {shot.start + shot.frames - 1}",
                   "the same command again without --start and --end")  # fmt: skip


class ClipSource:
    """Clips of shots (show.clips). One that is numbered like the film (a folder by its numbers, a film of the show's own rate
    and length, a part of one that says which) stands by film time and holds the film's own fades and dissolves, as the film
    does. Of any other the first frame is its shot's first, and it shows that shot alone. Where a clip ends, its last frame is
    held."""

    name = "clip"

    def __init__(self, show: Show) -> None:
        self._show = show
        self._clips: dict[int, _Clip] = {}
        self._readers: list[FilmReader | FolderReader] = []

    def open(self) -> None:
        """Opens all clips. Raises ShowError with every problem."""
        found: list[Problem] = []
        shared: dict[Path, FilmReader | FolderReader | ShowError] = {}
        for shot in self._show.cuts.shots:
            path = self._show.clips.get(shot.number)
            if path is not None:
                try:
                    self._clips[shot.number] = self._opened(path, shot, shared)
                except ShowError as e:
                    found += [p for p in e.problems if p not in found]
            elif "clip" in self._show.inputs_of(shot.number):
                where = f"{self._show.path}: shot {shot.number}"
                found.append(Problem(where, "plays a clip, but none is named", "clip = 'FILE'"))
        if found:
            self.close()
            raise ShowError(found)

    def _opened(self, path: Path, shot: Shot, shared: dict[Path, FilmReader | FolderReader | ShowError]) -> _Clip:
        """shared: what serves several shots, by its path; what cannot be opened, so that it is said once."""
        film, reader = self._show.film, shared.get(path)
        if isinstance(reader, ShowError):
            raise reader
        if reader is None:
            reader = FolderReader(path) if path.is_dir() else FilmReader(path)
            self._readers.append(reader)
            try:
                reader.open()
            except ShowError as e:
                shared[path] = e
                raise
        if isinstance(reader, FolderReader):
            if path not in shared and (px := reader.frame_px()) > LARGE_PX:
                log.warning("%s: PNGs of %.1f million pixels take about as long to decode as a film frame lasts; a film plays "
                            "lighter", path.name, px / 1e6)  # fmt: skip
            shared[path] = reader
            placing, _ = placed(reader, shot, self._show.cuts, film)
            lacking = reader.folder.lacking(shot, placing, f"{self._show.path}: shot {shot.number}", path.name)
            found = [lacking] if lacking else []
            if found := [*found, *reader.problems(range(placing.first, placing.last + 1))]:
                raise ShowError(found)
            return _Clip(reader, placing, film.rate)
        placing, rate = placed(reader, shot, self._show.cuts, film)
        if placing.like_film:
            shared[path] = reader  # read on from shot to shot
        lacking = lacking_of(reader, placing, shot, f"{self._show.path}: shot {shot.number}: clip")
        if lacking is not None:
            raise ShowError(lacking)
        return _Clip(reader, placing, rate)

    def make(self, aim: Aim, layer: Layer) -> Frame:
        """The clip's frame at the layer's position. Raises Held with the frame before it where that of a folder cannot be
        read, and others where there is none or a film has become unreadable."""
        clip, shot = self._clips[layer.shot], self._show.cuts.by_number(layer.shot)
        assert shot is not None
        since = (layer.film_position - shot.start) / self._show.film.rate * clip.rate
        first, last = clip.placing.first, clip.placing.last
        number, why = min(max(first + math.floor(since + FRAME_TOLERANCE), first), last), ""
        if isinstance(clip.reader, FolderReader):
            pixels, why = clip.reader.picture(number, first)
        else:
            pixels = clip.reader.picture(number)
        inner = (0.0, 0.0, float(pixels.shape[1]), float(pixels.shape[0]))
        frame = Frame(pixels, aim.show_time_s, aim.epoch, layer.shot, float(layer.film_position), self.name, inner,
                      like_film=clip.placing.like_film)  # fmt: skip
        if why:
            raise Held(frame, f"{clip.reader.path.name}: {why}")
        return frame

    def close(self) -> None:
        for reader in self._readers:
            reader.close()

    def facts(self) -> dict[str, Any]:
        return {"provider": None, "clips": len(self._clips)}


def damaged(show: Show) -> list[Problem]:
    """What is wrong inside the clips of a show that is not whole, and is not played. What their names say, reading the show
    has said."""
    found: list[Problem] = []
    for path in dict.fromkeys(show.clips.values()):
        try:
            if path.is_dir():
                reader = FolderReader(path)
                reader.open()
                found += reader.problems(sorted(reader.folder.files))
            elif not file_problem(path):
                probe_film(path)
        except ShowError as e:
            found += [] if path.is_dir() else e.problems
    return found
