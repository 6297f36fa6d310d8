"""Masks of the figure: folders of PNGs numbered like a clip's frames, read by shot and film frame."""

from __future__ import annotations

import logging
from collections import OrderedDict
from pathlib import Path

import numpy as np

from player.show.clip import Placing, seen_frames
from player.show.problem import Problem, ShowError
from player.show.show import Show
from player.sources.byte_mix import Mask
from player.sources.clip import FolderReader
from player.sources.frame import Frame

log = logging.getLogger("cineml")
CACHED = 4

Inner = tuple[float, float, float, float]


class FigureMasks:
    """The masks of a show's shots. open() may be called by everyone who uses them, and reads once. One thread at a time."""

    def __init__(self, show: Show) -> None:
        self._show = show
        self._folders: dict[Path, FolderReader] = {}
        self._of_shot: dict[int, tuple[FolderReader, Placing]] = {}
        self._fitted: OrderedDict[tuple[int, int, tuple[int, int], Inner], tuple[Mask, str]] = OrderedDict()
        self._opened = False

    def open(self) -> None:
        """Reads the names of all masks, and decodes one of each folder. Raises ShowError with every problem. Masks of a part of
        a shot are used where it cannot do without, and are a problem; else the shot goes without, and that is logged."""
        if self._opened:
            return
        show, found, parts = self._show, list[Problem](), list[Problem]()
        for shot in show.cuts.shots:
            path = show.masks.get(shot.number, show.mask)
            if path is None:
                continue
            needed = shot.number in show.masks or (
                "stylizer" in show.score_shot(shot.number).sources and show.styled(shot.number).mask_side != "all")
            try:
                if path not in self._folders:
                    reader = FolderReader(path)
                    reader.open()
                    self._folders[path] = reader
                    if problems := reader.problems(sorted(reader.folder.files)):
                        raise ShowError(problems)
            except ShowError as e:
                found += [p for p in e.problems if p not in found]
                continue
            reader = self._folders[path]
            placing = reader.folder.placing(shot, seen_frames(shot, show.cuts), show.film.frames)
            lacking = reader.folder.lacking(shot, placing, f"{show.path}: shot {shot.number}: mask", path.name)
            if lacking is None:
                self._of_shot[shot.number] = (reader, placing)
            elif needed:
                found.append(lacking)
            elif any(n in reader.folder.files for n in range(placing.first, placing.first + shot.frames)):
                parts.append(lacking)  # of a shot without any the masks are not meant
        if found:
            raise ShowError(found)
        if parts:
            more = f" (and {len(parts) - 1} more shots are like this)" if len(parts) > 1 else ""
            log.warning("%s %s%s: step printing holds the figure there too", parts[0].where, parts[0].given, more)
        self._opened = True

    def has(self, shot: int) -> bool:
        """Whether a shot has a mask for each of its frames."""
        return shot in self._of_shot

    def of(self, shot: int, number: int, frame: Frame) -> tuple[Mask, str]:
        """(uint8 [H, W], '') of a shot's film frame `number`, 255 the figure, on the pixels of a picture of it, 0 beside the
        film's own part of it; where a mask cannot be read, the one before it, without any no figure, and why."""
        return self.fitted(shot, number, frame.pixels.shape[:2], frame.inner)

    def fitted(self, shot: int, number: int, shape: tuple[int, ...], inner: Inner) -> tuple[Mask, str]:
        """of(), of a picture of that many rows and columns with the film's part (x, y, w, h) in it."""
        from PIL import Image

        reader, placing = self._of_shot[shot]
        own = self._show.cuts.by_number(shot)
        assert own is not None  # it has a mask
        at = min(max(placing.first + number - own.start, placing.first), placing.last)
        key = (shot, at, (shape[0], shape[1]), inner)
        if key in self._fitted:
            self._fitted.move_to_end(key)
            return self._fitted[key]
        try:
            picture, why = reader.picture(at, placing.first)
        except RuntimeError as e:  # lost during the show, which goes on without
            return np.zeros((shape[0], shape[1]), np.uint8), str(e)
        mask = np.ascontiguousarray(picture[:, :, 0])  # grey, as read_png spreads it
        x, y, w, h = (round(v) for v in inner)
        if mask.shape != (h, w):
            mask = np.asarray(Image.fromarray(mask).resize((max(w, 1), max(h, 1)), Image.Resampling.BILINEAR))
        if (x, y, h, w) != (0, 0, *shape[:2]):
            whole = np.zeros(shape[:2], np.uint8)
            part = whole[y : y + h, x : x + w]
            part[...] = mask[: part.shape[0], : part.shape[1]]
            mask = whole
        self._fitted[key] = (mask, why)
        while len(self._fitted) > CACHED:
            self._fitted.popitem(last=False)
        return mask, why

    def close(self) -> None:
        for reader in self._folders.values():
            reader.close()
        self._folders, self._of_shot, self._opened = {}, {}, False
        self._fitted.clear()
