"""Makes the pictures of a dataset: decode, reduce, compress, write; several at a time, in order, and never twice.

A folder NAME.part holds what is done and a log of it, a line for every frame that was looked at, written after its picture.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from player.progress import Progress
from tools.film_dataset_png import SUFFIXES, Format, encoded
from tools.film_dataset_source import Decoded, Footage
from tools.film_dataset_square import Pixels, Square, fitted, placed
from tools.whole_file import writing

LOG = "frames.log"
CELLS = 24  # a picture is compared in so many cells across and down
FOLDER_PICTURES = 1000  # in one folder, as the StyleGAN tools lay them out
AHEAD = 8  # pictures under way a thread, unless they are large
MOST_UNDER_WAY_BYTES = 256 << 20  # of decoded frames

Cells = NDArray[np.float32]


@dataclass(frozen=True)
class Recipe:
    """What is made of which frames. numbers: film frames, increasing. black, alike: levels of 255 below which a frame is
    dropped for being black, or no other than the one before; None: never."""

    footage: Footage
    numbers: tuple[int, ...]
    square: Square
    grey: bool
    form: Format = "png"
    quality: int = 95
    black: float | None = None
    alike: float | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of a film frame: the file's name, or '' and why it was dropped, black or duplicate."""

    frame: int
    file: str
    dropped: str = ""


def file_name(index: int, form: Format) -> str:
    """The index-th picture's, as dataset_tool.py of StyleGAN names it: 00000/img00000000.png."""
    return f"{index // FOLDER_PICTURES:05d}/img{index:08d}{SUFFIXES[form]}"


def cells_of(picture: Pixels) -> Cells:
    """Mean levels of a picture uint8 [h, w] or [h, w, C] in cells, float32 [CELLS, CELLS, C] (fewer cells in a tiny one):
    what a film's grain leaves alone and an eye does not."""
    planes = picture.reshape(*picture.shape[:2], -1)
    rows, columns = (np.unique(np.linspace(0, n, min(CELLS, n) + 1).astype(int)[:-1]) for n in planes.shape[:2])
    sums = np.add.reduceat(np.add.reduceat(planes, rows, axis=0, dtype=np.uint32), columns, axis=1)
    heights, widths = np.diff([*rows, planes.shape[0]]), np.diff([*columns, planes.shape[1]])
    means: Cells = (sums / (heights[:, None] * widths)[..., None]).astype(np.float32)
    return means


def why_dropped(cells: Cells, before: Cells | None, recipe: Recipe) -> str:
    """black, duplicate, or '' for a picture to keep. before: of the last one kept."""
    if recipe.black is not None and float(cells.max()) < recipe.black:
        return "black"
    if recipe.alike is not None and before is not None and float(np.abs(cells - before).max()) < recipe.alike:
        return "duplicate"
    return ""


def read_log(part: Path, numbers: Sequence[int]) -> list[Outcome]:
    """What an earlier run has done, as far as it is whole."""
    try:
        lines = (part / LOG).read_text(encoding="utf-8").split("\n")[:-1]  # what follows the last line end is half a line
    except OSError:
        return []
    done: list[Outcome] = []
    for line, number in zip(lines, numbers, strict=False):
        cells = line.split("\t")
        if len(cells) != 3 or cells[0] != str(number) or (cells[1] and not (part / cells[1]).is_file()):
            break
        done.append(Outcome(number, cells[1], cells[2]))
    return done


def make_pictures(recipe: Recipe, part: Path, threads: int = 0) -> list[Outcome]:
    """Every picture of the recipe, in `part`; goes on from what is there. Raises ShowError; Ctrl-C keeps what is done."""
    done = read_log(part, recipe.numbers)
    with writing(part / LOG):
        (part / LOG).write_text("".join(map(_line, done)), encoding="utf-8")
        with (part / LOG).open("a", buffering=1, encoding="utf-8") as log:
            _Making(recipe, part, done, log, threads or os.cpu_count() or 1).run()
    return done


def _line(outcome: Outcome) -> str:
    return f"{outcome.frame}\t{outcome.file}\t{outcome.dropped}\n"


class _Making:
    """One run: two queues of work under way, both in the order of the frames."""

    def __init__(self, recipe: Recipe, part: Path, done: list[Outcome], log: TextIO, threads: int):
        self.recipe, self.part, self.done, self.log, self.threads = recipe, part, done, log, threads
        self.drops = recipe.black is not None or recipe.alike is not None
        self.before: Cells | None = None  # of the last picture kept
        self.kept = sum(1 for o in done if o.file)
        self.writing: deque[tuple[Outcome, Future[None] | None]] = deque()
        width, height = recipe.footage.size
        self.ahead = max(threads + 1, min(AHEAD * threads, MOST_UNDER_WAY_BYTES // (width * height * 3)))

    def run(self) -> None:
        todo = self.recipe.numbers[len(self.done) :]
        last = next((o.frame for o in reversed(self.done) if o.file), None)
        again = last if todo and self.recipe.alike is not None else None
        numbers = todo if again is None else (again, *todo)  # the last one kept is looked at again, to compare with
        progress = Progress(len(todo), "frames", sys.stderr)
        reducing: deque[tuple[int, Future[tuple[Pixels, Cells]]]] = deque()
        with ThreadPoolExecutor(self.threads) as pool:
            try:
                for number, item in self.recipe.footage.read(numbers):
                    if self.drops:
                        reducing.append((number, pool.submit(self._reduce, item)))
                    else:
                        self._keep(pool, number, item)
                    if len(reducing) >= self.ahead:
                        self._decide(pool, *reducing.popleft(), again)
                    while len(self.writing) >= self.ahead or (self.writing and _is_done(self.writing[0][1])):
                        self._note()
                    progress.at(len(self.done) - len(self.recipe.numbers) + len(todo))
                while reducing:
                    self._decide(pool, *reducing.popleft(), again)
            finally:
                pool.shutdown(wait=False, cancel_futures=bool(sys.exc_info()[0]))
                self._note_all()
        progress.done(f"{self.kept} pictures from {len(self.done)} frames")

    def _reduce(self, item: Decoded) -> tuple[Pixels, Cells]:
        picture = fitted(item, self.recipe.square, self.recipe.footage.turns, self.recipe.grey)
        return picture, cells_of(picture)

    def _decide(self, pool: ThreadPoolExecutor, number: int, reduced: Future[tuple[Pixels, Cells]],
                again: int | None) -> None:  # fmt: skip
        picture, cells = reduced.result()
        if number == again:
            self.before = cells
            return
        if why := why_dropped(cells, self.before, self.recipe):
            self.writing.append((Outcome(number, "", why), None))
            return
        self.before = cells
        self._keep(pool, number, picture)

    def _keep(self, pool: ThreadPoolExecutor, number: int, picture: Pixels | Decoded) -> None:
        name = file_name(self.kept, self.recipe.form)
        if self.kept % FOLDER_PICTURES == 0:
            (self.part / name).parent.mkdir(exist_ok=True)
        self.kept += 1
        self.writing.append((Outcome(number, name), pool.submit(self._write, picture, self.part / name)))

    def _write(self, picture: Pixels | Decoded, path: Path) -> None:
        if not isinstance(picture, np.ndarray):
            picture = fitted(picture, self.recipe.square, self.recipe.footage.turns, self.recipe.grey)
        path.write_bytes(encoded(placed(picture, self.recipe.square), self.recipe.form, self.recipe.quality))

    def _note(self) -> None:
        outcome, written = self.writing[0]
        try:
            if written is not None:
                written.result()
        except BaseException:
            self.writing.clear()  # what comes after it must not be noted: a log without holes is what goes on
            raise
        self.writing.popleft()
        self.log.write(_line(outcome))
        self.done.append(outcome)

    def _note_all(self) -> None:
        """The pictures that were begun are finished, up to the first that cannot be."""
        while self.writing:
            written = self.writing[0][1]
            if written is not None and written.cancelled():
                self.writing.clear()
                return
            self._note()


def _is_done(written: Future[None] | None) -> bool:
    return written is None or written.done()
