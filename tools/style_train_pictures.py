"""What a stylizer learns from: frames of the film, the same painted by the optimiser, and the flow between frames in a row.

Frames and painted frames lie in the run's folder as PNG, one by one as they are made, so that a run that was stopped goes on, a
person can paint one over, and another run can take them.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from player.show.problem import Problem, ShowError
from player.sources.darkness import seen_share
from tools.film_dataset_source import Footage, footage_at, picture_of
from tools.film_dataset_square import as_frame
from tools.keyframes_flow import flow, reliability
from tools.paint_guides import tone_curve, tone_plane
from tools.paint_options import PaintOptions
from tools.paint_style import Painting
from tools.train_snapshot import write_picture
from tools.train_source import film_range
from tools.whole_file import make_folder, write_whole, writing

if TYPE_CHECKING:
    from tools.style_patches import Palette

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
RECORD = "teacher.json"
LEAST_PX = 32
ELSEWHERE = (-0.25, 0.25, -0.45, 0.45)  # where else a frame is looked for, of the distance between two
PAINT_SEED = 1


@dataclass(frozen=True)
class Clip:
    """Frames in a row, the first of which is painted. numbers: of the film. frames: uint8 [K, H, W, 3]. flows: float32
    [K - 1, H, W, 2]: where each pixel of frame k + 1 is in frame k. certain: float32 [K - 1, H, W], 0..1."""

    numbers: tuple[int, ...]
    frames: Pixels
    flows: Floats
    certain: Floats


def frame_file(number: int) -> str:
    """000054.png is film frame 54."""
    return f"{number:06d}.png"


def chosen(frames: int, first: int, last: int | None, count: int, sequence: int) -> list[int]:
    """The film frames that are painted: in the middle of `count` equal parts of [first, last), with room for `sequence` frames.
    Raises ShowError."""
    end = frames if last is None else last
    if first >= frames or end > frames:
        name, at = ("--start", first) if first >= frames else ("--end", end)
        raise ShowError(Problem(name, f"frame {at}", f"the film's {frames} frames"))
    room = end - first - sequence + 1
    if room < 1:
        raise ShowError(Problem("--sequence", f"{sequence} of {end - first} frames", "no more than there are"))
    count = min(count, room)
    return [first + (2 * i + 1) * room // (2 * count) for i in range(count)]


def read_clips(film: Path, rate: str | None, start: str | None, end: str | None, count: int, sequence: int,
               side: int) -> tuple[Footage, list[Clip]]:  # fmt: skip
    """The film and its clips, no side longer than `side` pixels. Raises ShowError."""
    footage = footage_at(film, rate)
    first, last = film_range(start, end, footage.rate)
    numbers = seen(footage, chosen(footage.frames, first, last, count, sequence))
    wanted = sorted({n + k for n in numbers for k in range(sequence)})
    pictures = {n: brought_down(upright(item, footage.turns), side) for n, item in footage.read(wanted)}
    sizes = {p.shape for p in pictures.values()}
    if len(sizes) > 1:
        raise ShowError(Problem(str(film), f"has frames of {len(sizes)} sizes", "frames of one size"))
    height, width = next(iter(sizes))[:2]
    if min(height, width) < LEAST_PX:
        raise ShowError(Problem(str(film), f"is {width} x {height} pixels", f"at least {LEAST_PX} x {LEAST_PX}"))
    return footage, [clip_of([n + k for k in range(sequence)], pictures) for n in numbers]


def seen(footage: Footage, numbers: Sequence[int]) -> list[int]:
    """The film frames, and in place of a black one, or one at the end of a fade, another of its part of the film where there is
    one: what the optimiser leaves black would teach a network to paint dark things black. Raises ShowError where all are."""
    def lit(asked: Sequence[int]) -> set[int]:
        return {n for n, item in footage.read(sorted(set(asked))) if seen_share(upright(item, footage.turns)) == 1}

    apart = numbers[1] - numbers[0] if len(numbers) > 1 else 0
    there = lit(numbers)
    tries = {n: [n, *(n + round(apart * by) for by in ELSEWHERE if n not in there)] for n in numbers}
    there |= lit([m for n in numbers for m in tries[n][1:]])
    found = [m for n in numbers for m in [m for m in tries[n] if m in there][:1]]
    if not found:
        raise ShowError(Problem(str(footage.path), f"is black in the {len(numbers)} frames that would be painted", "",
                                "--start and --end, or more --frames"))  # fmt: skip
    if len(found) < len(numbers):
        print(f"{len(numbers) - len(found)} of {len(numbers)} frames are left out: nothing can be seen in them", flush=True)
    return found


def upright(item: object, turns: int) -> Pixels:
    """A decoded frame or a file as uint8 [H, W, 3]."""
    if isinstance(item, Path):
        return picture_of(item)
    picture = np.asarray(as_frame(item).to_ndarray(format="rgb24"), np.uint8)
    return np.ascontiguousarray(np.rot90(picture, turns)) if turns else picture


def brought_down(picture: Pixels, side: int) -> Pixels:
    """uint8 [H, W, 3] with no side longer than `side`."""
    import cv2

    height, width = picture.shape[:2]
    factor = side / max(height, width)
    if factor >= 1:
        return picture
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def clip_of(numbers: Sequence[int], pictures: dict[int, Pixels]) -> Clip:
    """Frames in a row with the flow from each to the one before."""
    frames = np.stack([pictures[n] for n in numbers])  # [K, H, W, 3]
    flows, certain = [], []
    for before, frame in zip(frames[:-1], frames[1:], strict=True):
        back, ahead = flow(frame, before), flow(before, frame)
        flows.append(back)
        certain.append(reliability(back, ahead))
    shape = (len(numbers) - 1, *frames.shape[1:3])
    return Clip(tuple(numbers), frames, np.asarray(flows, np.float32).reshape(*shape, 2),
                np.asarray(certain, np.float32).reshape(shape))  # fmt: skip


def painted(clips: Sequence[Clip], paintings: Sequence[tuple[str, Painting]], options: PaintOptions, film_sha256: str,
            run: Path, other: Path | None, tick: Callable[[int, int], object]) -> Pixels:  # fmt: skip
    """The teacher's pictures of the clips' first frames, uint8 [S, N, H, W, 3]; those that lie in the run's folder, or in the
    other's, are taken. tick: called with (pictures there, of all). Raises ShowError."""
    from tools.style_patches import Easel

    height, width = clips[0].frames.shape[1:3]
    folder = run / "teacher"
    easels = [Easel([painting], options, (height, width)) for _, painting in paintings]
    curve = film_curve(clips, easels[0].palette)
    for easel in easels:
        easel.palette = film_palette(easel.palette, curve)
    prints = {name: easel.fingerprint() for (name, _), easel in zip(paintings, easels, strict=True)}
    tones = hashlib.sha256(curve.tobytes()).hexdigest()
    record: dict[str, object] = {"film_sha256": film_sha256, "size": [width, height], "tones": tones, "styles": prints,
                                 "seed": options.seed}  # fmt: skip
    check_record(folder, record)
    names = taken(other / "teacher", record) if other is not None else []
    make_folder(folder)
    write_whole(folder / RECORD, lambda part: part.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8"))
    if other is not None:
        fetch(other / "teacher", folder, names, clips)
    made: list[list[Pixels]] = []
    total = len(easels) * len(clips)
    with writing(folder):
        for clip in clips:
            keep_frame(run / "frames" / frame_file(clip.numbers[0]), clip.frames[0])
        for (name, _), easel in zip(paintings, easels, strict=True):
            made.append([])
            for clip in clips:
                path = folder / name / frame_file(clip.numbers[0])
                if not path.is_file():
                    write_picture(path, easel.stylise(clip.frames[0]).picture)
                picture = picture_of(path)
                if picture.shape != clip.frames[0].shape:
                    given = f"is {picture.shape[1]} x {picture.shape[0]} pixels"
                    raise ShowError(Problem(str(path), given, f"{width} x {height}, as its frame"))
                made[-1].append(picture)
                tick(sum(len(m) for m in made), total)
    return np.stack([np.stack(m) for m in made])


def film_curve(clips: Sequence[Clip], palette: Palette) -> Floats:
    """What light and dark of the film are taken for, float32 [256]: one curve for all of it. The optimiser has one for each
    frame, by which the same grey is another colour in the next shot; no network that sees a place and what is around it could
    learn that, and in a film it would flicker."""
    planes = [tone_plane(c.frames[0], palette.options.detail, palette.reference_px) for c in clips]
    return tone_curve(planes)


def film_palette(palette: Palette, curve: Floats) -> Palette:
    """The palette with the film's curve in place of each frame's."""
    from tools.style_patches import Palette

    class OfFilm(Palette):
        def curve(self, frame: Pixels) -> Floats:
            return curve

    return OfFilm(palette.painters)


def keep_frame(path: Path, picture: Pixels) -> None:
    """The film's frame beside the painted ones, for whoever paints one over."""
    if not path.exists():
        write_picture(path, picture)


def check_record(folder: Path, record: dict[str, object]) -> None:
    """Raises ShowError where a folder holds painted frames of another film, size or style."""
    told = read_record(folder)
    if told is not None and any(told.get(key) != record[key] for key in ("film_sha256", "size", "tones", "styles")):
        given = f"holds frames painted otherwise ({', '.join(differing(told, record))} differ)"
        raise ShowError(Problem(str(folder), given, "a folder for each run", "another -o"))


def differing(told: dict[str, object], record: dict[str, object]) -> list[str]:
    """Names of what differs between two records."""
    words = {"film_sha256": "film", "size": "size", "tones": "frames", "styles": "styles"}
    found = [word for key, word in words.items() if told.get(key) != record[key]]
    there, wanted = told.get("styles"), record["styles"]
    if "styles" in found and isinstance(there, dict) and isinstance(wanted, dict):
        found[-1] = " ".join(["styles", *(name for name in wanted if name in there and there[name] != wanted[name])])
    return found or ["records"]


def paint_seed(run: Path, other: Path | None, own: int) -> int:
    """The seed of the painted frames: that of those in the run's folder, else of the other's, which are to be taken; it is not
    the training's, so that trainings of several seeds have one teacher. own: the training's, for old frames that do not say."""
    for folder in (run, other):
        told = read_record(folder / "teacher") if folder is not None else None
        if folder is None or told is None:
            continue
        seed = told.get("seed")
        if not isinstance(seed, int):  # before it was written here, it was the training's
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                seed = json.loads((folder / "options.json").read_text(encoding="utf-8"))["options"]["seed"]
        return seed if isinstance(seed, int) and 0 <= seed < 1 << 31 else own
    return PAINT_SEED


def read_record(folder: Path) -> dict[str, object] | None:
    """What a folder says of its painted frames, None where it says nothing."""
    try:
        told = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return told if isinstance(told, dict) else None


def taken(source: Path, record: dict[str, object]) -> list[str]:
    """The styles whose painted frames in another run are those wanted. Raises ShowError where there is none."""
    told = read_record(source)
    wanted = record["styles"]
    assert isinstance(wanted, dict)
    there = told.get("styles") if told is not None else None
    if told is None or not isinstance(there, dict):
        raise ShowError(Problem("--teacher", f"{source.parent} holds no painted frames", "a run of cineml style train"))
    same = all(told.get(key) == record[key] for key in ("film_sha256", "size", "tones"))
    names = [n for n, fingerprint in wanted.items() if same and there.get(n) == fingerprint]
    if not names:
        other = differing(told, record)
        given = f"{source.parent} was painted otherwise ({', '.join(other)} differ)"
        hint = "the same --frames, --start, --end and --sequence as that run" if "frames" in other else ""
        raise ShowError(Problem("--teacher", given, "a run of the same film, frames, size and styles", hint))
    return names


def fetch(source: Path, folder: Path, names: Sequence[str], clips: Sequence[Clip]) -> None:
    """Copy another run's painted frames of these styles. Raises ShowError."""
    with writing(folder):
        for name in names:
            (folder / name).mkdir(exist_ok=True)
            for clip in clips:
                file = frame_file(clip.numbers[0])
                if (source / name / file).is_file() and not (folder / name / file).exists():
                    part = folder / name / (file + ".part")
                    shutil.copyfile(source / name / file, part)
                    part.replace(folder / name / file)
