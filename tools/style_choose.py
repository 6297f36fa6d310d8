"""`cineml style choose FILM --styles DIR -o SHEET.png`: all paintings of a folder tried on frames of a film, on one sheet.

The frames are painted small and quickly, with strokes that have the share of the picture that they will have in the film.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from player.progress import Progress
from player.show.problem import Problem, ShowError
from tools.contact_sheet import middle_frame
from tools.cuts_text import counted
from tools.film_dataset import cuts_asked, version_of
from tools.film_dataset_png import png
from tools.film_dataset_source import Footage, footage_at, picture_of, range_of
from tools.paint_choice import frames_of
from tools.paint_compare import spread_of
from tools.paint_keys import sized
from tools.paint_options import PaintOptions, frame_numbers
from tools.paint_style import Painting, read_painting
from tools.style_choose_options import FRAMES, arguments, option_problems
from tools.style_choose_sheet import Row, draw
from tools.style_output_options import PICTURES
from tools.whole_file import make_folder, output_problems, sha256_of, write_whole

TOOL = "cineml style choose"
DONE, BAD_INPUT, STOPPED = 0, 2, 130
PACKAGES = ("cineml", "numpy", "numba", "opencv-python", "pillow", "av")
MOST_STYLES = 200
TRIED = 5  # frames that each column's is chosen from: the one in which most is to be seen
LEAST_SCALE = 0.1
CELL = re.compile(r"[0-9a-f]{24}\.png(\.part)?")  # a picture that is kept on the way

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Candidate:
    """A painting to be tried."""

    path: Path
    painting: Painting


def main(argv: Sequence[str] | None = None) -> int:
    """The deed. Returns the exit code: 0, 2 for bad input, 130 where Ctrl-C stopped it."""
    args = arguments().parse_args(argv)
    try:
        return run(args)
    except ShowError as e:
        print(e, file=sys.stderr)
        return BAD_INPUT
    except MemoryError:
        hint = f"a smaller --width than {args.width}, smaller paintings"
        print(Problem(str(args.film), "needs more memory than there is", "", hint), file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        shown = f"{args.output} shows what is done" if args.output.is_file() else "nothing is done yet"
        print(f"\nstopped; {shown}: the same command goes on", file=sys.stderr)
        return STOPPED


def run(args: argparse.Namespace) -> int:
    """All of it. Raises ShowError."""
    found = option_problems(args) + sheet_problems(args)
    candidates: list[Candidate] = []
    said: list[str] = []
    for read in (lambda: candidates_in(args.styles, said), lambda: footage_at(args.film, args.rate)):
        try:
            got = read()
            candidates = got if isinstance(got, list) else candidates
        except ShowError as e:
            found += e.problems
    if found:
        raise ShowError(found)
    footage = footage_at(args.film, args.rate)
    for line in said:
        print(line, flush=True)
    frames = frames_for(args, footage)
    width = min(args.width, footage.size[0])
    size = (max(16, round(width * footage.size[1] / footage.size[0])), width)
    small = {n: sized(p, size) for n, p in frames.items()}
    work = args.output.with_name(args.output.name + ".work")
    make_folder(work)
    rows = tried(args, footage, small, candidates, work)
    record = record_of(args, footage, frames, candidates)
    write_whole(args.output.with_name(args.output.name + ".json"), lambda part: part.write_text(record, encoding="utf-8"))
    clear(work)
    print(f"{args.output}: {counted(len(rows), 'painting')} by {counted(len(small), 'frame')}")
    return DONE


def sheet_problems(args: argparse.Namespace) -> list[Problem]:
    """What is wrong with where the sheet is to stand."""
    if found := output_problems(args.output, (".png",)):
        return found
    if args.output.exists() and not _ours(args.output):
        found.append(Problem(f"-o {args.output}", "is there already, and is no sheet of this command", "another name"))
    work = args.output.with_name(args.output.name + ".work")
    if work.exists() and not work.is_dir():
        found.append(Problem(str(work), "is a file, where the work is to be kept", "another -o"))
    return found


def _ours(path: Path) -> bool:
    """Whether a PNG says that this command made it."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            return image.info.get("Software") == TOOL
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError):
        return False


def candidates_in(folder: Path, said: list[str]) -> list[Candidate]:
    """The paintings of a folder, by name; what cannot be used is said and left out. Raises ShowError where none can."""
    if not folder.is_dir():
        given = "is a file" if folder.exists() else "does not exist"
        raise ShowError(Problem(f"--styles {folder}", given, "a folder of paintings"))
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in PICTURES and not p.name.startswith(".") and p.is_file())
    if not paths:
        raise ShowError(Problem(f"--styles {folder}", "holds no pictures", ", ".join(PICTURES)))
    if len(paths) > MOST_STYLES:
        raise ShowError(Problem(f"--styles {folder}", f"holds {len(paths)} pictures", f"at most {MOST_STYLES}"))
    found: list[Candidate] = []
    problems: list[Problem] = []
    for path in paths:
        try:
            found.append(Candidate(path, read_painting(path)))
        except ShowError as e:
            problems += e.problems
    if not found:
        raise ShowError(problems)
    said += [f"left out: {p}" for p in problems]
    said += [f"{c.path.name}: {note}" for c in found for note in c.painting.notes]
    return found


def frames_for(args: argparse.Namespace, footage: Footage) -> dict[int, Pixels]:
    """The frames of the sheet by number, uint8 [H, W, 3]. Raises ShowError."""
    first, end = range_of(args, footage)
    if args.at is not None:
        numbers = frame_numbers(args.at)
        if outside := [n for n in numbers if not first <= n < end]:
            raise ShowError(Problem("--at", f"frame {outside[0]}", f"frames {first} to {end - 1}"))
        return dict(frames_of(footage, numbers))
    count = args.frames or FRAMES
    cuts = cuts_asked(args.cuts, footage)
    if cuts is not None:
        middles = [m for m in (middle_frame(s) for s in cuts.shots) if first <= m < end]
        if len(middles) >= count:
            return dict(frames_of(footage, sorted(spread_of(middles, count))))
    count = min(count, end - first)
    edges = np.linspace(first, end, count + 1).astype(int)
    chosen: dict[int, Pixels] = {}
    for a, b in zip(edges[:-1], edges[1:], strict=True):
        inner = np.unique(np.linspace(a, b - 1, TRIED + 2).astype(int)[1:-1])
        best = max(frames_of(footage, [int(n) for n in inner]), key=lambda one: richness(one[1]))
        chosen[best[0]] = best[1]
    return chosen


def richness(picture: Pixels) -> float:
    """How much is to be seen in a frame: the entropy of its light and dark, in bits. Titles and black frames have little."""
    levels = picture[::4, ::4].mean(axis=2).astype(np.int64) // 8
    shares = np.bincount(levels.ravel(), minlength=32) / levels.size
    return float(-(shares[shares > 0] * np.log2(shares[shares > 0])).sum())


def tried(args: argparse.Namespace, footage: Footage, small: Mapping[int, Pixels], candidates: Sequence[Candidate],
          work: Path) -> list[Row]:  # fmt: skip
    """The rows, each on the sheet as soon as it is done; pictures of an earlier run are taken from `work`. Raises ShowError."""
    from tools.style_patches import Easel

    size = next(iter(small.values())).shape[:2]
    progress = Progress(100 * len(candidates) * len(small), "pictures", sys.stdout, 100)
    rows: list[Row] = []
    done = 0
    title = f"{footage.path.name} in the strokes of {args.styles.name}, preset {args.preset}"
    for candidate in candidates:
        options = options_for(args, footage, size, candidate.painting)
        easel = Easel([candidate.painting], options, (size[0], size[1]))
        painted: dict[int, Pixels] = {}
        for number, frame in small.items():
            place = work / f"{cell_digest(easel.fingerprint(), frame)}.png"
            kept = kept_cell(place, frame.shape)
            if kept is None:
                kept = easel.stylise(frame, progress=lambda s, done=done: progress.at(done + round(100 * s))).picture  # type: ignore[misc]
                data = png(kept)
                write_whole(place, lambda part, data=data: part.write_bytes(data))  # type: ignore[misc]
            painted[number] = kept
            done += 100
            progress.at(done)
        height, width = candidate.painting.picture.shape[:2]
        rows.append(Row(candidate.path.name, candidate.painting.picture, painted, f"{width}x{height}"))
        write_sheet(args.output, draw(small, rows, footage.rate, title))
    progress.done(f"{len(candidates)} paintings tried")
    return rows


def options_for(args: argparse.Namespace, footage: Footage, size: tuple[int, ...], painting: Painting) -> PaintOptions:
    """How a painting is laid on the small frame, so that its strokes are as large a part of it as of the film's."""
    height, width = painting.picture.shape[:2]
    film = footage.size[0] * footage.size[1]
    laid_in_film = min(1.0, (film / (height * width)) ** 0.5)
    laid_here = min(1.0, (size[0] * size[1] / (height * width)) ** 0.5)
    share = (size[0] * size[1] / film) ** 0.5
    scale = max(LEAST_SCALE, args.scale * laid_in_film * share / laid_here)
    return PaintOptions(preset=args.preset, scale=scale, seed=args.seed, threads=args.threads)


def cell_digest(fingerprint: str, frame: Pixels) -> str:
    """Of all that a picture on the sheet follows from."""
    return hashlib.sha256(fingerprint.encode() + np.ascontiguousarray(frame).tobytes()).hexdigest()[:24]


def kept_cell(path: Path, shape: tuple[int, ...]) -> Pixels | None:
    """A picture of an earlier run."""
    if not path.is_file():
        return None
    with contextlib.suppress(ShowError):
        picture = picture_of(path)
        if picture.shape == shape:
            return picture
    return None


def write_sheet(path: Path, sheet: object) -> None:
    """PNG, marked as this command's. Raises ShowError."""
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    assert isinstance(sheet, Image.Image)
    info = PngInfo()
    info.add_text("Software", TOOL)
    write_whole(path, lambda part: sheet.save(part, "PNG", pnginfo=info))


def record_of(args: argparse.Namespace, footage: Footage, frames: Mapping[int, Pixels], candidates: Sequence[Candidate]) -> str:
    """options.json's text: what was asked for, of what, with what. Raises ShowError."""
    options = {k: str(v) if isinstance(v, Path) else v for k, v in vars(args).items()}
    cuts = {"cuts": {"file": args.cuts.name, "sha256": sha256_of(args.cuts)}} if args.cuts is not None else {}
    told = {"tool": TOOL, "options": options, "frames": sorted(frames),
            "how": asdict(PaintOptions(preset=args.preset, scale=args.scale, seed=args.seed)),
            "inputs": {"film": {"file": footage.path.name, "sha256": footage.sha256()},
                       "styles": [{"file": c.path.name, "sha256": c.painting.sha256} for c in candidates], **cuts},
            "versions": {name: version_of(name) for name in PACKAGES}}  # fmt: skip
    return json.dumps(told, indent=1, ensure_ascii=False) + "\n"


def clear(work: Path) -> None:
    """The sheet is whole: its pictures are on it. Nothing else that lies there is removed."""
    with contextlib.suppress(OSError):
        for path in work.glob("*.png*"):
            if CELL.fullmatch(path.name):
                path.unlink(missing_ok=True)
        work.rmdir()


if __name__ == "__main__":
    sys.exit(main())
