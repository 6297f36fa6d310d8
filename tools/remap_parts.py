"""The shots that a remap has done, finished or not, in its work folder: what makes a stopped run go on.

A part is found by what it was made from, not by its shot's number: a shot that was split off or joined before it changes the
number and not the work. Its file is named after the shot (s03.npz), or s03.2.npz where another shot's part stands there.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from player.show.cut_list import Shot
from player.show.problem import ShowError
from tools.remap_fit import Fitted
from tools.remap_score import walk_name
from tools.sample_latents import read_arrays
from tools.whole_file import write_whole


@dataclass(frozen=True)
class Part:
    """One file. start: the first film frame of its walk. tries: how often it had been done anew."""

    path: Path
    start: int
    tries: int
    fitted: Fitted


class Parts:
    """The parts in a work folder. What is damaged is none, and may be written over."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._by_print: dict[str, Part] = {}
        for path in sorted(folder.glob("s*.npz")):
            try:
                arrays = read_arrays(path)
                told = json.loads(str(arrays["told"]))
                fingerprint, tries = str(told.pop("fingerprint")), int(told.pop("tries", 0))
                fitted = Fitted(arrays["keys"], arrays["frames"], **told)
                if not len(fitted.keys) or len(fitted.keys) != len(fitted.frames) or not np.isfinite(fitted.keys).all():
                    continue
                self._by_print[fingerprint] = Part(path, int(fitted.frames[0]), tries, fitted)
            except (ShowError, KeyError, ValueError, TypeError, AttributeError):
                continue

    def of(self, fingerprint: str) -> Fitted | None:
        """The kept result of this very work, or None."""
        part = self._by_print.get(fingerprint)
        return part.fitted if part is not None else None

    def tries(self, fingerprint: str) -> int:
        """How often this very work had been done anew; -1 where it was never done."""
        part = self._by_print.get(fingerprint)
        return part.tries if part is not None else -1

    def keep(self, shot: Shot, fingerprint: str, fitted: Fitted, tries: int) -> None:
        """A shot's result, finished or not. An older one of the same shot goes, one of another shot stays. Raises ShowError."""
        path = self._place(shot, fingerprint)
        told = {f.name: getattr(fitted, f.name) for f in dataclasses.fields(fitted) if f.name not in ("keys", "frames")}
        told |= {"fingerprint": fingerprint, "tries": tries}

        def write(part: Path) -> None:
            with part.open("wb") as f:
                np.savez(f, keys=fitted.keys, frames=fitted.frames, told=json.dumps(told))

        write_whole(path, write)
        self._by_print = {k: p for k, p in self._by_print.items() if p.path != path}
        self._by_print[fingerprint] = Part(path, int(fitted.frames[0]), tries, fitted)

    def _place(self, shot: Shot, fingerprint: str) -> Path:
        if fingerprint in self._by_print:
            return self._by_print[fingerprint].path
        others = {p.path for p in self._by_print.values() if p.start != shot.start}
        name, count = walk_name(shot), 2
        path = self.folder / f"{name}.npz"
        while path in others:
            path, count = self.folder / f"{name}.{count}.npz", count + 1
        return path
