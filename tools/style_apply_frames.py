"""Frames of a film through an exported stylizer: from frame to frame where the network or the smoothing asks for it, masked,
with what is to be kept of the film, and with the film's fades put back.

A frame in a fade is stylised as it would be without: a network stylises what is nearly black into noise, and strokes would
follow the darkness.
"""

from __future__ import annotations

import hashlib
import queue
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from player.show.cut_list import CutList
from player.show.problem import Problem, ShowError
from tools.film_dataset_png import png
from tools.film_dataset_source import Footage
from tools.keyframes_frames import ShotFrames, faded, seen_share
from tools.keyframes_keys import Named, read_mask, resized
from tools.keyframes_output import end_line
from tools.paint_gate import Gate
from tools.style_black import with_black
from tools.style_model import TiledModel
from tools.whole_file import make_folder, write_whole, writing

Pixels = NDArray[np.uint8]  # [H, W, 3]
HELD = 6  # stylised frames that are remembered
SMOOTHED_TONES = 0.7  # of the neighbours' broad tones at the full strength of --smooth, as in keyframes_shot.py
WAITING = 4  # frames that wait to be written
LEVEL = 1  # of zlib: packing costs less than stylising


@dataclass(frozen=True)
class Way:
    """What is done with a frame. shares: float32 [styles]. amount: of the style, 0..1. smooth: 0..1. keep: 'luminance',
    'colour' or ''. masks: by film frame, None = all of the picture; ground: whether the black side is stylised."""

    shares: NDArray[np.float32]
    amount: float = 1.0
    smooth: float = 0.0
    keep: Literal["luminance", "colour", ""] = ""
    keep_amount: float = 1.0
    masks: Mapping[int, Named] | None = None
    ground: bool = False


class Styled:
    """Stylised frames of a film, uint8 [H, W, 3] by number, in any order; in the film's order they cost least."""

    def __init__(self, footage: Footage, cuts: CutList, model: TiledModel, way: Way, gate: Gate | None = None,
                 times: int = 1) -> None:  # fmt: skip
        """gate: the film's black frame in their size, which stays black. times: how many times the film's size they are."""
        self.footage, self.cuts, self.model, self.way, self.gate, self.times = footage, cuts, model, way, gate, times
        self.size = (times * footage.size[0], times * footage.size[1])
        self.frames = ShotFrames(footage, cuts, 0, footage.frames)  # in the film's size
        self.recurrent = model.facts.recurrent
        self._large: tuple[int, Pixels] | None = None
        self._held: OrderedDict[int, Pixels] = OrderedDict()
        self._flows: Any = None

    def __getitem__(self, frame: int) -> Pixels:
        """A frame as it is to be seen. Raises ShowError."""
        picture = self._calmed(frame)
        film = self.film(frame)
        picture = finished(picture, film, self.way, self._mask(frame), self.gate)
        mix = self.cuts.mix_at(frame)
        return faded(picture, mix.fade, mix.fade_colour)

    def film(self, frame: int) -> Pixels:
        """The film's frame in the result's size, without fades."""
        if self._large is None or self._large[0] != frame:
            self._large = frame, np.ascontiguousarray(resized(self.frames[frame], self.size))
        return self._large[1]

    def plain(self, frame: int) -> Pixels:
        """What the network makes of a frame."""
        if frame not in self._held:
            first = frame
            if self.recurrent:  # from the last frame that is remembered, or from the cut on
                start = self.cuts.shot_at(frame).start
                while first > start and first - 1 not in self._held:
                    first -= 1
            for n in range(first, frame + 1):
                self._held[n] = self._made(n)
                while len(self._held) > HELD:
                    self._held.popitem(last=False)
        return self._held[frame]

    def _made(self, frame: int) -> Pixels:
        picture = self.film(frame)
        if not self.recurrent or frame == self.cuts.shot_at(frame).start:
            return self.model.run(picture, self.way.shares)
        from tools.keyframes_flow import warp

        back, trust = self._step(frame, frame - 1)
        return self.model.run(picture, self.way.shares, warp(self._held[frame - 1], back), trust)

    def _calmed(self, frame: int) -> Pixels:
        """Without what flickers against the frames before and after in the same shot."""
        picture = self.plain(frame)
        if self.way.smooth <= 0:
            return picture
        from tools.keyframes_flicker import Calm, Neighbour, brought, calmed

        shot = self.cuts.shot_at(frame)
        neighbours = []
        for other in (frame - 1, frame + 1):
            if shot.start <= other < shot.end:
                there, trust = self._step(frame, other)
                neighbours.append(Neighbour(brought(self.plain(other), there), trust))
        return calmed(picture, neighbours, Calm(strokes=self.way.smooth, tones=SMOOTHED_TONES * self.way.smooth))

    def _step(self, a: int, b: int) -> tuple[Any, Any]:
        """(flow from frame a to its neighbour b, how far it is to be trusted)."""
        if self._flows is None:
            from tools.keyframes_pass import Flows

            seen = None
            if any(s.into == "dissolve" for s in self.cuts.shots):
                seen = [seen_share(self.cuts, self.cuts.shot_at(n), n) for n in range(self.footage.frames)]
            self._flows = Flows(self.frames, seen)
        there, trust = self._flows.step(a, b)
        if self.times == 1:
            return there, trust
        import cv2

        # The film's own frames are followed: in enlarged ones its grain is smooth, and taken for things that move.
        return self.times * cv2.resize(there, self.size), cv2.resize(trust, self.size)

    def _mask(self, frame: int) -> Pixels | None:
        """uint8 [H, W], 255 where the style is to be; None = everywhere. A frame without a mask has no figure."""
        masks = self.way.masks
        if masks is None:
            return None
        if frame in masks:
            mask = read_mask(masks[frame].path, self.size, soft=self.times > 1)
        else:
            mask = np.zeros(self.size[::-1], np.uint8)
        return 255 - mask if self.way.ground else mask

    def close(self) -> None:
        self.frames.close()


def finished(made: Pixels, film: Pixels, way: Way, mask: Pixels | None, gate: Gate | None = None) -> Pixels:
    """A stylised picture with what is kept of the film's, what is black of it (gate), and over it by amount and mask
    (uint8 [H, W])."""
    if way.keep:
        from tools.keyframes_keep import keep_of, kept

        made = kept(made, film, keep_of(way.keep, way.keep_amount))
    made = with_black(made, film, gate)
    if mask is None and way.amount == 1:
        return made
    share: Any = np.float32(way.amount)
    if mask is not None:
        share = share / 255 * mask[..., None]  # [H, W, 1]
    return np.rint(film + share * (made.astype(np.float32) - film)).astype(np.uint8)


# --- writing


class PngWriter:
    """Writes frames as PNGs in a thread of its own, each whole or not at all, its line in the log first, so that a frame
    without a line is never ours. Used in a with block, which waits for the last."""

    def __init__(self, folder: Path, log: Path, job: str):
        make_folder(folder)
        make_folder(log.parent)
        end_line(log)
        self._folder, self._log, self._job = folder, log, job
        self._queue: queue.Queue[tuple[int, str, Pixels, int] | None] = queue.Queue(WAITING)
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="frames", daemon=True)

    def __enter__(self) -> PngWriter:
        self._thread.start()
        return self

    def put(self, frame: int, file: str, picture: Pixels, shot: int) -> None:
        """Raises ShowError where the disk is full; what is written stays."""
        self._queue.put((frame, file, picture, shot))
        self.check()

    def check(self) -> None:
        """Raises what went wrong on the way."""
        if self._failure is not None:
            raise self._failure

    def __exit__(self, *raised: object) -> None:
        self._queue.put(None)
        self._thread.join()
        if raised[0] is None:
            self.check()

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            if self._failure is None:  # else the rest is only taken from the queue, so that nobody waits
                try:
                    self._write(*item)
                except BaseException as e:
                    self._failure = e

    def _write(self, frame: int, file: str, picture: Pixels, shot: int) -> None:
        data = png(picture, LEVEL)
        line = f"{frame}\t{file}\t{shot}\t\t0.0\t{hashlib.sha256(data).hexdigest()}\t{self._job}\n"  # as keyframes_output reads
        with writing(self._log), self._log.open("a", encoding="utf-8") as log:
            log.write(line)
        write_whole(self._folder / file, lambda part: part.write_bytes(data))


def write_frames(styled: Styled, frames: Sequence[int], files: Sequence[str], writer: PngWriter,
                 tick: Callable[[int], object]) -> None:  # fmt: skip
    """The frames as PNGs. Raises ShowError."""
    for done, frame in enumerate(frames):
        writer.put(frame, files[frame], styled[frame], styled.cuts.shot_at(frame).number)
        tick(done + 1)


def masks_by_frame(found: Sequence[Named], frames: Iterator[int] | range) -> dict[int, Named]:
    """Masks by film frame. Raises ShowError where no frame that is asked for has one."""
    known = {m.frame: m for m in found}
    if not any(n in known for n in frames):
        raise ShowError(Problem("--masks", "hold none for the frames that are asked for", "000300.png for frame 300"))
    return known
