"""The frames of one shot as the propagation takes them: upright, in the film's own size, without its fades; and fades and
dissolves put back on what was painted.

A fade only darkens (or whitens) a picture, so it is taken off before the strokes are carried and put back afterwards, in linear
light as the cut list means it: strokes would else follow the darkness. A dissolve cannot be taken apart: both shots are painted
through it, led the less by a frame the less of it is theirs, and mixed as the film mixes them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import overload

import numpy as np
from numpy.typing import NDArray

from player.show.cut_list import CutList, Shot
from player.show.problem import Problem, ShowError
from player.sources.fades import to_bytes, to_light, unfaded
from player.sources.film_reader import FilmReader
from tools.film_dataset_source import Footage, picture_of

Pixels = NDArray[np.uint8]

SURE_FADE = 0.5  # below this a frame says less and less
HELD_BYTES = 384 << 20  # of decoded frames
BEFORE = 16  # frames that are decoded together where a shot is read backwards


def faded(picture: Pixels, share: float, colour: str) -> Pixels:
    """share of the picture and the rest black or white, in linear light."""
    if share >= 1:
        return picture
    return to_bytes(np.float32(share) * to_light(picture) + np.float32((1 - share) * (colour == "white")))


def dissolved(old: Pixels, new: Pixels, weight: float) -> Pixels:
    """The new shot's picture at its weight over the old one's, in linear light."""
    return to_bytes(to_light(old) + np.float32(weight) * (to_light(new) - to_light(old)))


def tail_of(cuts: CutList, shot: Shot) -> int:
    """How many frames a shot is seen beyond its end, because the next one dissolves in."""
    following = cuts.by_number(shot.number + 1)
    return following.in_frames if following is not None and following.into == "dissolve" else 0


def seen_share(cuts: CutList, shot: Shot, frame: int) -> float:
    """How much a film frame says of a shot's picture, 0..1."""
    mix = cuts.mix_at(frame)
    share = mix.weight if mix.shot.number == shot.number else 1 - mix.weight if mix.outgoing is not None else 1.0
    return share * min(1.0, mix.fade / SURE_FADE)


class ShotFrames(Sequence[Pixels]):
    """Film frames [first, end) by index from 0, uint8 [H, W, 3], without fades. Some are remembered. Raises ShowError where
    a frame cannot be read or is of another size."""

    def __init__(self, footage: Footage, cuts: CutList, first: int, end: int) -> None:
        self.footage, self.cuts, self.first, self.end = footage, cuts, first, end
        self._reader: FilmReader | None = None
        self._held: OrderedDict[int, Pixels] = OrderedDict()
        width, height = footage.size
        self._most = max(2 * BEFORE, HELD_BYTES // max(1, width * height * 3))

    def __len__(self) -> int:
        return self.end - self.first

    @overload
    def __getitem__(self, index: int) -> Pixels: ...
    @overload
    def __getitem__(self, index: slice) -> list[Pixels]: ...

    def __getitem__(self, index: int | slice) -> Pixels | list[Pixels]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(index)
        mix = self.cuts.mix_at(self.first + index)
        return unfaded(self.raw(self.first + index), mix.fade, mix.fade_colour)

    def raw(self, frame: int) -> Pixels:
        """A film frame by its own number, as the film has it."""
        if frame not in self._held:
            # Backwards a film is read in blocks: each step back is a seek, and decodes all from a key frame on.
            back = frame + 1 in self._held
            for n in range(max(self.first, frame - BEFORE) if back and self.footage.kind == "film" else frame, frame + 1):
                if n not in self._held:
                    self._held[n] = self._read(n)
                    while len(self._held) > self._most:
                        self._held.popitem(last=False)
        self._held.move_to_end(frame)
        return self._held[frame]

    def _read(self, frame: int) -> Pixels:
        path = self.footage.files[frame] if self.footage.files else self.footage.path
        if self.footage.kind == "folder":
            picture = picture_of(path)
        else:
            try:
                if self._reader is None:
                    self._reader = FilmReader(path)
                    self._reader.open()
                picture = self._reader.picture(frame)
            except (OSError, RuntimeError) as e:  # FFmpeg's errors are OSErrors
                given = f"frame {frame} cannot be decoded ({e})"
                raise ShowError(Problem(str(path), given, "a sound film", f"--end {frame}f")) from None
        if picture.shape[1::-1] != self.footage.size:
            given = f"frame {frame} is {picture.shape[1]} x {picture.shape[0]}"
            raise ShowError(Problem(str(path), given, "{} x {} as the first frame".format(*self.footage.size)))
        return np.ascontiguousarray(picture)

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        self._held.clear()
