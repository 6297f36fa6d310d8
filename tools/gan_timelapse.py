"""`cineml gan timelapse RUN [RUN ...] -o OUT.mp4`: how a generator learnt, from the sample grids of its training run.

The whole grid, or a window of it enlarged; several runs in a row where one was grown from the other. Needs no torch.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from player.progress import Progress
from player.recorder import CONTAINERS, Recorder
from player.screen.typeface import font_for
from player.show.film import parse_rate
from player.show.problem import Problem, ShowError
from tools.contact_sheet import fitted
from tools.picture_fit import Size, film_size, fitted_size, framed
from tools.train_grids import decimals_of, grid_kimg
from tools.whole_file import output_problems, write_whole

Pixels = npt.NDArray[np.uint8]
STOPPED = 130
WANTED_PX = 720  # a small grid or window is enlarged by the whole number that brings it near this
ROOM_PX = (3840, 2160)  # a larger grid is shrunk into it: what players and screens show without trouble
MAX_GRID_PX = 1 << 28
SCALINGS = {"nearest": Image.Resampling.NEAREST, "lanczos": Image.Resampling.LANCZOS}
EXAMPLES = """examples:
  cineml gan timelapse run128 -o training.mp4
  cineml gan timelapse run128 -o face.mp4 --window 3,2 --fps 12
  cineml gan timelapse run32 run64 run128 -o grown.mp4 --window 1,1,4,2 --label --hold 4"""


@dataclass(frozen=True)
class Grid:
    """One sample grid. kimg: thousands of pictures trained on by then. box: left, top, right, bottom of what is shown."""

    path: Path
    run: str
    kimg: float
    box: tuple[int, int, int, int]

    @property
    def size(self) -> Size:
        return self.box[2] - self.box[0], self.box[3] - self.box[1]


def grids_of(run: Path, window: tuple[int, int, int, int] | None) -> list[Grid]:
    """The grids of a run in the order of training. window: column and row from 1, columns, rows. Raises ShowError."""
    folder = run / "grids" if (run / "grids").is_dir() else run
    if not run.is_dir():
        raise ShowError(Problem(str(run), "is a file" if run.exists() else "does not exist", "the folder of a training run"))
    found = sorted((kimg, path) for path in folder.glob("*.png") if (kimg := grid_kimg(path)) is not None)
    if not found:
        raise ShowError(Problem(str(run), "holds no sample grids", "a run with grids/KIMG.png", "cineml gan train makes them"))
    home = folder.parent if folder.name == "grids" else folder
    options = _options(home) if window is not None else {}
    return [Grid(path, home.resolve().name, kimg, _box(path, home, window, options)) for kimg, path in found]


def _options(run: Path) -> dict[str, Any]:
    """resolution and grid_columns of a run, as far as it tells. Raises ShowError where its options.json is damaged."""
    path = run / "options.json"
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ShowError(Problem(str(path), "is missing, and --window needs it", "the folder of a training run")) from None
    except (OSError, ValueError, RecursionError) as e:
        raise ShowError(Problem(str(path), f"cannot be read ({e})", "the options of a training run")) from None
    asked = told.get("options") if isinstance(told, dict) else None
    both = {**(asked if isinstance(asked, dict) else {}), **(told if isinstance(told, dict) else {})}
    return {k: both[k] for k in ("resolution", "grid_columns") if type(both.get(k)) is int and both[k] > 0}


def _box(path: Path, run: Path, window: tuple[int, int, int, int] | None, options: dict[str, Any]) -> tuple[int, int, int, int]:
    """What is shown of a grid, in its pixels. Raises ShowError."""
    try:
        with Image.open(path) as picture:
            width, height = picture.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as e:
        raise ShowError(Problem(str(path), f"cannot be read ({e})", "a PNG")) from None
    if width * height > MAX_GRID_PX:
        raise ShowError(Problem(str(path), f"is {width}x{height}", f"at most {MAX_GRID_PX} pixels"))
    if window is None:
        return 0, 0, width, height
    sizes = [options.get("resolution", 0), width // options["grid_columns"] if "grid_columns" in options else 0]
    cell = next((s for s in sizes if s and width % s == 0 and height % s == 0), 0)
    if not cell:
        given = f"{width}x{height} is no whole number of its pictures"
        raise ShowError(Problem(str(path), given, f"resolution and grid_columns in {run / 'options.json'}"))
    column, row, columns, rows = window
    if column + columns - 1 > width // cell or row + rows - 1 > height // cell:
        there = f"columns 1 to {width // cell}, rows 1 to {height // cell} of {path}"
        raise ShowError(Problem("--window", ",".join(map(str, window)), there))
    left, top = (column - 1) * cell, (row - 1) * cell
    return left, top, left + columns * cell, top + rows * cell


def parse_window(text: str) -> tuple[int, int, int, int]:
    """'3,2' or '3,2,4,1' -> column, row, columns, rows. Raises ShowError."""
    numbers = text.replace(" ", "").split(",")
    if len(numbers) not in (2, 4) or not all(re.fullmatch(r"[1-9]\d{0,3}", n, re.ASCII) for n in numbers):
        raise ShowError(Problem("--window", repr(text), "COLUMN,ROW or COLUMN,ROW,COLUMNS,ROWS, counted from 1"))
    column, row, columns, rows = (*map(int, numbers), 1, 1)[:4]
    return column, row, columns, rows


def read_grid(grid: Grid) -> Pixels:
    """What is shown of it, uint8 [H, W, 3]. Raises ShowError."""
    try:
        with Image.open(grid.path) as picture:
            return np.asarray(picture.crop(grid.box).convert("RGB"), np.uint8)
    except (OSError, ValueError, SyntaxError) as e:
        raise ShowError(Problem(str(grid.path), f"cannot be read ({e})", "a PNG")) from None


def size_of(grids: Sequence[Grid], asked: str) -> Size:
    """Width and height of the film: of the largest grid, enlarged where that is small, shrunk where no player shows it.

    asked: '', 'H' or 'WxH'. Raises ShowError, for what no player shows too.
    """
    largest = max((g.size for g in grids), key=lambda s: (s[0] * s[1], s))
    if asked:
        film = film_size(largest, 1, 1, asked)[1]
        if film[0] > ROOM_PX[0] or film[1] > ROOM_PX[1]:
            given = asked if "x" in asked.lower() else f"{asked} makes a film of {film[0]}x{film[1]}"
            most = fitted_size(largest, ROOM_PX)
            raise ShowError(Problem("--size", given, f"at most {ROOM_PX[0]}x{ROOM_PX[1]}", f"--size {most[1]}"))
        return film
    if largest[0] > ROOM_PX[0] or largest[1] > ROOM_PX[1]:
        return fitted_size(largest, ROOM_PX)
    times = max(1, WANTED_PX // max(largest))
    return largest[0] * times, largest[1] * times


def labelled(picture: Pixels, text: str) -> Pixels:
    """The picture with a small text in its lower left corner, on a dark ground of its own."""
    height, width = picture.shape[:2]
    pixels = max(10, min(24, height // 48))
    font = font_for([text], pixels)
    pad = pixels // 3
    text = fitted(text, width - 4 * pad, font)
    image = Image.fromarray(picture)
    box = (pad, height - 3 * pad - pixels, round(3 * pad + font.getlength(text)), height - pad)
    pen = ImageDraw.Draw(image)
    pen.rectangle(box, (18, 18, 18))
    pen.text((2 * pad, (box[1] + box[3]) / 2), text, (235, 235, 235), font, anchor="lm")
    return np.asarray(image, np.uint8)


def pictures(grids: Sequence[Grid], film: Size, how: Image.Resampling, label: bool) -> Iterator[Pixels]:
    """The film's pictures, uint8 [H, W, 3] each, without the held end."""
    several, places = len({g.run for g in grids}) > 1, decimals(grids)
    for grid in grids:
        picture = framed(read_grid(grid), fitted_size(grid.size, film), film, how)
        text = f"{grid.run}  {grid.kimg:.{places}f} kimg" if several else f"{grid.kimg:.{places}f} kimg"
        yield labelled(picture, text) if label else picture


def decimals(grids: Sequence[Grid]) -> int:
    """Of the kimg, so that the grids of every run are told apart."""
    return max(decimals_of(g.kimg for g in grids if g.run == run) for run in {g.run for g in grids})


def write_film(out: Path, made: Iterator[Pixels], count: int, film: Size, rate: Fraction, held: int) -> None:
    """H.264, the last picture `held` frames longer. Raises ShowError."""
    progress = Progress(count, "grids", sys.stdout)
    with Recorder(out, film, rate, crf=14, preset="medium") as recorder:
        for i, picture in enumerate(made):
            recorder.add(picture, i)
            progress.at(i + 1)
        for i in range(held):
            recorder.add(picture, count + i)


def write_gif(out: Path, made: Iterator[Pixels], rate: Fraction, held: int) -> None:
    """An endless GIF, the last picture so much longer. Raises ShowError."""
    frames = [Image.fromarray(p).quantize(256) for p in made]
    step_ms = max(20, round(1000 / rate))  # browsers show nothing shorter
    times = [step_ms] * (len(frames) - 1) + [step_ms + round(1000 * held / rate)]
    write_whole(out, lambda part: frames[0].save(part, format="GIF", save_all=True, append_images=frames[1:], duration=times,
                                                 loop=0, disposal=1))  # fmt: skip


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        prog="cineml gan timelapse", description="The sample grids of a training run as a film.",
        epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    p.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="folder of a training run; several, in their order")
    p.add_argument("-o", "--output", type=Path, required=True, metavar="FILM", help=".mp4, .mov or .mkv (H.264), or .gif")
    p.add_argument("--fps", default="6", help="grids a second (6)")
    p.add_argument("--hold", type=float, default=2.0, metavar="S", help="seconds that the last grid stays longer (2)")
    p.add_argument("--window", metavar="COLUMN,ROW[,COLUMNS,ROWS]", help="only this part of the grid, counted from 1")
    p.add_argument("--scaling", choices=tuple(SCALINGS), default="lanczos", help="how it is enlarged: lanczos or nearest")
    p.add_argument("--size", default="", metavar="H|WxH",
                   help=f"of the film, at most {ROOM_PX[0]}x{ROOM_PX[1]} (odd numbers become the next even ones, but in a "
                        "GIF)")  # fmt: skip
    p.add_argument("--label", action="store_true", help="write the kimg small into a corner")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """The deed. Returns the exit code: 0, 2 for bad input, 130 where Ctrl-C stopped it."""
    args = arguments().parse_args(argv)
    try:
        problems = output_problems(args.output, (*CONTAINERS, ".gif"))
        rate = Fraction(6)
        try:
            rate = parse_rate(args.fps)
        except ValueError as e:
            problems.append(Problem("--fps", str(e)))
        if not (math.isfinite(args.hold) and 0 <= args.hold <= 3600):
            problems.append(Problem("--hold", f"{args.hold:g}", "0 to 3600 seconds"))
        if problems:
            raise ShowError(problems)
        window = parse_window(args.window) if args.window is not None else None
        grids = [grid for run in args.runs for grid in grids_of(run, window)]
        film, held = size_of(grids, args.size), round(args.hold * rate)
        made = pictures(grids, film, SCALINGS[args.scaling], args.label)
        if args.output.suffix.lower() == ".gif":
            write_gif(args.output, made, rate, held)
        else:
            write_film(args.output, made, len(grids), film, rate, held)
    except ShowError as e:
        print(e, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped; nothing was written", file=sys.stderr)
        return STOPPED
    if args.output.suffix.lower() != ".gif":
        film = film[0] + film[0] % 2, film[1] + film[1] % 2  # as the recorder makes it
    first, last = (f"{grid.kimg:.{decimals(grids)}f}" for grid in (grids[0], grids[-1]))
    print(f"{args.output}: {len(grids)} grids, {first} to {last} kimg, {film[0]}x{film[1]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
