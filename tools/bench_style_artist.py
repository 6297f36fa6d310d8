"""The part "artist" of `cineml bench style`: the artist's table again, for 266 frames at 640x480.

Each way stylises the first frames of one stretch of the demo film, as many as the row says; its seconds a frame are scaled to
266 frames. E_warp over 1 frame is the mean over these frames' pairs, its excess that less the plain film's own over the very
same pairs, so that rows with few frames and with many can be compared. Seconds are of the wall, on this machine, on 2 threads.
Optimisation with flow: Gatys's method with the short- and long-term losses of Ruder et al. 2016, one level, the pixel loss
weighted with 0 and 1.5e-3, in the eyes of the discriminator of the demo's generator, or of VGG19 where its file is given. 1000
iterations are run on a part of the frames, in their own scale, and their seconds are scaled by the pixels: whole frames would
take hours. artist.png shows a frame by each way.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from tools.bench import Row
from tools.bench_style_ablation import laid
from tools.bench_style_material import Picture, demo_film, write_pictures
from tools.bench_style_networks import (
    CLASSIC,
    FLOWING,
    PLAIN,
    PLAIN_WITHOUT,
    THREADS,
    Bench,
    distilled,
    exported,
    stylised,
    trained,
)
from tools.film_dataset_source import footage_at
from tools.film_dataset_square import whole
from tools.keyframes_measure import sharpness, style_distance
from tools.keyframes_suggest_shots import Span
from tools.style_steadiness import Shown, Steadiness, steadiness
from tools.whole_file import make_folder, sha256_of, write_whole

SIZE, FRAMES = (640, 480), 266
FIRST, EXCERPT = 96, 20  # of the demo film: a man walks, the ground stands
KEY_EVERY = 20  # 13 keys for 266 frames
PART = (112, 24, 160, 160)  # x, y, width, height, of 640x480: head and chest of the man
SHOWN, COLUMNS = (40, 10, 320), 4  # of the sheet's pictures: x, y, side in 640x480: the man from head to knee
# (iterations, weight of the pixel loss, frames that are made, whether of PART alone)
OPTIMISED = ((30, 0.0, 3, False), (30, 1.5e-3, 3, False), (1000, 0.0, 2, True), (1000, 1.5e-3, 2, True))


@dataclass(frozen=True)
class Way:
    """One way to stylise. s: seconds a frame. frames: how many were made. e_warp, excess: over 1 frame, 0..1 squared. style:
    mean distance from the painting; sharp: mean sharpness."""

    name: str
    s: float
    frames: int
    e_warp: float
    excess: float
    style: float
    sharp: float


def rows(bench: Bench, network: Path | None = None) -> list[Row]:
    """The rows; trains what is not there. network: a VGG19 file or a checkpoint that judges in the optimisation."""
    from tools.style_gatys import ENGINE

    print("bench: style, the artist's table", flush=True)
    frames = excerpt(6 if bench.quick else EXCERPT, (96, 72) if bench.quick else SIZE)
    painting = laid(bench, SIZE)
    ways: list[Way] = []

    def add(name: str, count: int, make: Callable[[Sequence[Picture]], tuple[Sequence[Picture], float]],
            part: bool = False) -> None:  # fmt: skip
        x, y, width, height = PART
        given = [f[y : y + height, x : x + width] for f in frames[:count]] if part else frames[:count]
        judge = "" if network is None else sha256_of(network) if network.is_file() else str(network)
        made_of = f"{name}, {count} of {SIZE}, {sha256_of(bench.painting())}, {judge}, {ENGINE}"
        way = kept(bench, name, made_of) if name.startswith("optimisation") else None
        if way is None:
            print(f"bench: {name}", flush=True)
            pictures, s = make(given)
            write_pictures(place_of(bench, name), pictures)
            pixels = SIZE[0] * SIZE[1] / (given[0].shape[0] * given[0].shape[1]) if part else 1.0
            way = way_of(name, given, pictures, s * pixels, painting)
            keep(bench, way, made_of)
        ways.append(way)

    make_folder(bench.work / "artist")
    add("plain film", len(frames), lambda given: (given, 0.0))
    for iterations, weight, count, part in [(2, 1.5e-3, 2, False)] if bench.quick else OPTIMISED:
        add(f"optimisation with flow, {iterations} iterations, pixel weight {weight:g}"
            + (f", {PART[2]}x{PART[3]} of each frame" if part else ""), count,
            lambda given, n=iterations, w=weight: optimised(given, bench, n, w, network), part)  # type: ignore[misc]
    size = frames[0].shape[1], frames[0].shape[0]
    runs = {"feed-forward frame by frame, the classic network at half its width": trained(CLASSIC, bench),
            "feed-forward frame by frame, the student": trained(PLAIN_WITHOUT, bench),
            "the student, flow-consistent": trained(FLOWING, bench),
            "the student, stabilised by temporal noise, as it is made": trained(PLAIN, bench),
            "the student, taught by the classic network": distilled(bench)}  # fmt: skip
    for name, (run, _) in runs.items():
        add(name, len(frames), lambda given, run=run: stylised(exported(run, size, bench), given))  # type: ignore[misc]
    add(f"keyframes, one painted in {KEY_EVERY}", len(frames), lambda given: by_keyframes(given, bench))
    write_sheet([w.name for w in ways], bench)
    return [row_of(w) for w in ways]


def excerpt(count: int, size: tuple[int, int]) -> list[Picture]:
    """Frames of the demo film, uint8, enlarged to (width, height)."""
    import cv2

    footage = footage_at(demo_film())
    items = footage.read(range(FIRST, FIRST + count))
    return [np.asarray(cv2.resize(whole(item, footage.turns, False), size, interpolation=cv2.INTER_CUBIC), np.uint8)
            for _, item in items]  # fmt: skip


def optimised(frames: Sequence[Picture], bench: Bench, iterations: int, weight: float,
              network: Path | None) -> tuple[list[Picture], float]:  # fmt: skip
    """(the frames by optimisation with flow, seconds a frame). weight: of the pixel loss."""
    import torch

    from tools.paint_style import read_painting
    from tools.style_gatys import Style, optimise
    from tools.style_gatys_film import Past
    from tools.style_gatys_options import GatysOptions
    from tools.style_network import read_perception
    from tools.train_machine import keep_freed_memory

    keep_freed_memory()  # as `cineml style optimize` does
    threads = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    perception = read_perception(network or demo_film().parent / "checkpoint")
    options = replace(GatysOptions(), iterations=iterations, levels=1, temporal=weight)
    styles, past, found = [Style(read_painting(bench.painting()))], Past(), list[Picture]()
    begun_s = time.perf_counter()
    for frame in frames:
        start, terms = past.towards(frame)
        made = optimise(frame, styles, options, perception=perception, start=start, terms=terms if weight else ())
        past.add(frame, made.picture)
        found.append(made.picture)
    s = (time.perf_counter() - begun_s) / len(frames)
    torch.set_num_threads(threads)
    return found, s


def by_keyframes(frames: Sequence[Picture], bench: Bench) -> tuple[list[Picture], float]:
    """(the frames from one that the patch engine painted, the middle one, seconds a frame): `keyframes paint` in small."""
    from tools.keyframes_options import Options
    from tools.keyframes_shot import propagate_shot
    from tools.paint_keys import paint_keys
    from tools.paint_options import PaintOptions
    from tools.paint_style import read_painting

    key = len(frames) // 2
    begun_s = time.perf_counter()
    keys = paint_keys(dict(enumerate(frames)), read_painting(bench.painting()),
                      PaintOptions(preset="draft" if bench.quick else "normal", threads=THREADS), keys=[key])  # fmt: skip
    found = dict(propagate_shot(frames, keys, Options(preset="draft" if bench.quick else "normal", threads=THREADS)))
    return [found[n] for n in range(len(frames))], (time.perf_counter() - begun_s) / len(frames)


def way_of(name: str, frames: Sequence[Picture], pictures: Sequence[Picture], s: float, painting: Picture) -> Way:
    """What was made, measured."""
    span = Span(1, 0, len(frames), 0, len(frames))
    found: Steadiness = steadiness([(n, Shown(f, (p,))) for n, (f, p) in enumerate(zip(frames, pictures, strict=True))], [span],
                                   threads=THREADS)  # fmt: skip
    style = float(np.mean([style_distance(p, painting) for p in (pictures[0], pictures[-1])]))
    return Way(name, s, len(frames), found.e_warp(0, 1), found.excess(0, 1), style,
               float(np.mean([sharpness(p) for p in pictures])))  # fmt: skip


def row_of(way: Way) -> Row:
    """One line of the table."""
    total_s = FRAMES * way.s
    took = "" if way.s == 0 else f"{total_s:.0f} s; " if total_s < 600 else f"{total_s / 3600:.2f} h; "
    each = f"{way.s:.3g}" if way.s < 100 else f"{way.s:.0f}"
    scaled = "" if way.s == 0 else f" ({way.frames} frames measured, {each} s each)"
    return Row(f"{FRAMES} frames: {way.name}", f"{took}E_warp {1e4 * way.e_warp:.2f} e-4, excess {1e4 * way.excess:.2f}, style "
               f"{way.style:.1f}, sharpness {way.sharp:.2f}{scaled}")  # fmt: skip


def write_sheet(names: Sequence[str], bench: Bench) -> None:
    """artist.png: a square part of the second frame of each way, as large as it is; of what was made in part, that part."""
    from tools.sample_sheet import draw_sheet

    x, y, side = SHOWN
    pictures, captions = [], []
    for name in names:
        for path in sorted(place_of(bench, name).glob("*.png"))[1:2]:
            picture = np.asarray(Image.open(path).convert("RGB"))
            if picture.shape[0] >= y + side and picture.shape[1] >= x + side:
                picture = picture[y : y + side, x : x + side]
            pictures.append(np.asarray(Image.fromarray(picture).resize((side, side), Image.Resampling.NEAREST), np.uint8))
            captions.append(name.replace("optimisation with flow, ", "").replace("feed-forward frame by frame, ", ""))
    sheet = draw_sheet(pictures, captions, COLUMNS)
    write_whole(bench.work / "artist.png", lambda part: sheet.save(part, "PNG"))
    print(f"bench: {bench.work / 'artist.png'}: a frame by each way", flush=True)


def place_of(bench: Bench, name: str) -> Path:
    """Where a way's pictures are kept."""
    return bench.work / "artist" / re.sub(r"[^A-Za-z0-9.-]+", "_", name)


def told_at(bench: Bench, name: str) -> Path:
    """Where its numbers are kept."""
    place = place_of(bench, name)
    return place.with_name(f"{place.name}.json")  # not with_suffix: the pixel weight 0.0015 has a point


def keep(bench: Bench, way: Way, made_of: str) -> None:
    """For a bench that is stopped: the optimisation of a few frames takes minutes. made_of: all that decides it."""
    text = json.dumps({"made_of": made_of, "way": vars(way)})
    write_whole(told_at(bench, way.name), lambda part: part.write_text(text, encoding="utf-8"))


def kept(bench: Bench, name: str, made_of: str) -> Way | None:
    """A way that was measured, of the same, by a bench that did not come to its end."""
    try:
        told = json.loads(told_at(bench, name).read_text(encoding="utf-8"))
        return Way(**told["way"]) if told["made_of"] == made_of else None
    except (OSError, ValueError, TypeError, KeyError):
        return None
