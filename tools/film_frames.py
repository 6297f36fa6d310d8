"""`cineml film frames FILM -o OUT`: lossless full-size frames for painting, named by their film frame's number."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from player.progress import Progress
from player.show.problem import Problem, ShowError
from tools.film_dataset import PACKAGES, cuts_asked, is_grey, version_of
from tools.film_dataset_files import read_json
from tools.film_dataset_png import png
from tools.film_dataset_source import Footage, footage_at, order_notes, range_of, sampled
from tools.film_dataset_square import as_frame, whole
from tools.film_options import frames_arguments
from tools.whole_file import make_folder, write_whole, writing

DONE, BAD_INPUT, STOPPED = 0, 2, 130
RECORD = "frames.json"
LEVEL = 3  # of zlib: a 1080p frame in 0.1 s; higher levels take three times as long for a twentieth less
AHEAD = 3  # frames under way a thread: of 4K film each is 25 MB
MOST_THREADS = 256


def frame_name(number: int) -> str:
    """000300.png is film frame 300."""
    return f"{number:06d}.png"


def numbers_in(text: str, frames: int) -> list[int]:
    """'12,300-310' as film frames. Raises ShowError."""
    found: set[int] = set()
    for part in text.split(","):
        ends = re.fullmatch(r"\s*(\d{1,9})f?\s*(?:-\s*(\d{1,9})f?\s*)?", part, re.ASCII)
        if not ends:
            raise ShowError(Problem("--only", repr(part), "frame numbers and ranges, as 12,300-310"))
        first, last = int(ends[1]), int(ends[2] or ends[1])
        if not first <= last < frames:
            raise ShowError(Problem("--only", repr(part), f"frames 0 to {frames - 1}, the lower first"))
        found.update(range(first, last + 1))
    return sorted(found)


def wanted(args: argparse.Namespace, footage: Footage) -> list[int]:
    """The film frames that are asked for. Raises ShowError."""
    first, last = range_of(args, footage)
    chosen = range(first, last, args.every)
    cuts = cuts_asked(args.cuts, footage)
    if args.only is not None:
        return [n for n in numbers_in(args.only, footage.frames) if first <= n < last]
    if args.shots is not None and cuts is not None:
        of_shots = {s.number: {"first": s.start, "middle": (s.start + s.end) // 2, "last": s.end - 1} for s in cuts.shots}
        return [n for places in of_shots.values() if first <= (n := places[args.shots]) < last]
    return list(chosen)


def problems_of(args: argparse.Namespace) -> list[Problem]:
    """What is wrong with the command line before any file is looked at."""
    output, film = Path(os.path.abspath(args.output)), Path(os.path.abspath(args.film))
    found = []
    if args.every < 1:
        found.append(Problem("--every", str(args.every), "1 or more"))
    if not 0 <= args.threads <= MOST_THREADS:
        found.append(Problem("--threads", str(args.threads), f"0 to {MOST_THREADS}, 0 for all cores"))
    if args.shots is not None and args.cuts is None:
        found.append(Problem("--shots", "needs to know the shots", "--cuts CUTS.csv as well"))
    if args.shots is not None and args.only is not None:
        found.append(Problem("--shots, --only", "both are given", "one of them"))
    if film.is_dir() and (output == film or film in output.parents):
        found.append(Problem(str(args.output), "lies among the frames that are read", "another folder"))
    elif output.exists() and not output.is_dir():
        found.append(Problem(str(args.output), "is a file", "a folder for the frames"))
    return found


def write_frame(item: Any, footage: Footage, grey: bool, deep: bool, path: Path) -> None:
    """One frame, whole or not at all. Raises ShowError."""
    frame = as_frame(item)
    upright = (frame.height, frame.width) if footage.turns % 2 else (frame.width, frame.height)
    if upright != footage.size:
        given = f"has a frame of {upright[0]} x {upright[1]} (for {path.name})"
        raise ShowError(Problem(str(footage.path), given, f"{footage.size[0]} x {footage.size[1]} as the first"))
    data = png(whole(frame, footage.turns, grey, deep), LEVEL)
    write_whole(path, lambda part: part.write_bytes(data))


def write_frames(footage: Footage, numbers: Sequence[int], output: Path, grey: bool, deep: bool, threads: int) -> None:
    """The frames as PNGs. Raises ShowError; Ctrl-C keeps what is done."""
    progress = Progress(len(numbers), "frames", sys.stderr)
    under_way: deque[Future[None]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for done, (number, item) in enumerate(footage.read(numbers)):
                under_way.append(pool.submit(write_frame, item, footage, grey, deep, output / frame_name(number)))
                if len(under_way) >= AHEAD * threads:
                    under_way.popleft().result()
                progress.at(done)
            while under_way:
                under_way.popleft().result()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    progress.done(f"{len(numbers)} frames")


def main(argv: Sequence[str] | None = None) -> int:
    """The deed. Returns the exit code: 0, 2 for bad input, 130 where Ctrl-C stopped it."""
    args = frames_arguments().parse_args(argv)
    output = Path(os.path.abspath(args.output))
    try:
        if found := problems_of(args):
            raise ShowError(found)
        footage = footage_at(args.film, args.rate)
        for note in order_notes([p.name for p in footage.files]):
            print(f"note: {note}", file=sys.stderr)
        numbers = wanted(args, footage)
        if not numbers:
            raise ShowError(Problem("--only, --shots, --start, --end", "leave no frame", "a range with frames in it"))
        check_same_film(footage, output)
        there = [n for n in numbers if (output / frame_name(n)).exists()]
        missing = numbers if args.again else sorted(set(numbers) - set(there))
        width, height = footage.size
        kept = f", {len(there)} are there already and stay" if there and not args.again else ""
        print(f"{len(numbers)} frames of {footage.path.name}, {width}x{height}: {frame_name(numbers[0])} to "
              f"{frame_name(numbers[-1])}{kept}", flush=True)  # fmt: skip
        if footage.pixel_aspect != 1:
            print(f"pixels are {footage.pixel_aspect} times as wide as high; they are kept as stored", flush=True)
        make_folder(output)
        grey = args.channels == "1" or (args.channels == "auto" and is_grey(sampled(footage.path, footage.files)))
        with writing(output):
            write_frames(footage, missing, output, grey, args.depth == "16", args.threads or os.cpu_count() or 1)
        write_record(args, footage, numbers, output)
        print(f"{output}: {len(missing)} frames written")
    except ShowError as e:
        print(e, file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print("\nstopped; the frames that are done are kept: the same command goes on from there", file=sys.stderr)
        return STOPPED
    return DONE


def check_same_film(footage: Footage, output: Path) -> None:
    """Raises ShowError where a folder holds frames of another film: a number would no longer tell of which."""
    told = read_json(output / RECORD)
    known = told.get("film_sha256") if isinstance(told, dict) else None
    if known is not None and known != footage.sha256():
        raise ShowError(Problem(str(output), "holds frames of another film", "a folder for each film"))


def write_record(args: argparse.Namespace, footage: Footage, numbers: Sequence[int], output: Path) -> None:
    """frames.json: what was asked for and of which film. Raises ShowError."""
    options = {k: v.name if isinstance(v, Path) else v for k, v in vars(args).items()}
    record = {"tool": "cineml film frames", "options": options, "film_sha256": footage.sha256(), "rate": str(footage.rate),
              "frames": [int(n) for n in numbers], "versions": {name: version_of(name) for name in PACKAGES}}  # fmt: skip
    text = json.dumps(record) + "\n"
    write_whole(output / RECORD, lambda part: part.write_text(text, encoding="utf-8"))


if __name__ == "__main__":
    sys.exit(main())
