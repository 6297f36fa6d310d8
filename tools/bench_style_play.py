"""The part "play" of `cineml bench style`: film decoded, stylised and drawn by the player, live, at 640x480.

The film runs at 30 frames a second and the screen at 30 Hz, so that 30 pictures a second are the most that can be counted.
"""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from tools.bench import Row
from tools.bench_player import cineml, finished
from tools.bench_style_material import demo_film
from tools.bench_style_networks import THREADS, Bench, exported
from tools.whole_file import make_folder

SIZE, RATE_HZ, FIRST, FRAMES = (640, 480), 30, 90, 240
LEAST_FPS = 20.0


def rows(bench: Bench) -> list[Row]:
    """The rows."""
    from tools.bench_render import alone_s_per_frame

    print("bench: style, play", flush=True)
    folder = bench.work / "play"
    make_folder(folder)
    frames = 12 if bench.quick else FRAMES
    show = show_in(folder, bench, frames)
    stats = folder / "stats.json"
    words = ("--offscreen", "--duration", f"{frames / RATE_HZ:.2f}", "--stats", stats, "--no-sound", "--osc-port", "0",
             "--threads", THREADS)  # fmt: skip
    finished(cineml("play", show, *words))
    told = json.loads(stats.read_text(encoding="utf-8"))
    fps = float(told["distinct_pictures_per_s"] or 0)
    parts = {} if bench.quick else alone_s_per_frame(show, folder)
    found = [Row(f"decode, stylise and draw, {SIZE[0]}x{SIZE[1]}, film and screen at {RATE_HZ} a second: pictures shown",
                 f"{fps:.1f} a second ({told['late']} of {told['refreshes']} refreshes late)",
                 f"at least {LEAST_FPS:.0f} a second", fps >= LEAST_FPS)]  # fmt: skip
    if parts:
        found.append(Row("the same one after the other: decode and stylise; draw and read back",
                         f"{1e3 * parts['generator']:.1f} ms a frame; {1e3 * parts['draw']:.1f} ms"))  # fmt: skip
    return found


def show_in(folder: Path, bench: Bench, frames: int) -> Path:
    """A show that plays part of the demo film, at 640x480, through a student with random weights."""
    from models.stylizer import StylizerConfig
    from player.recorder import Recorder
    from tools.bench_style_speed import run_of, seeded
    from tools.film_dataset_source import footage_at
    from tools.film_dataset_square import whole

    footage = footage_at(demo_film())
    with Recorder(folder / "film.mp4", SIZE, Fraction(RATE_HZ), None) as recorder:
        for at, (_, item) in enumerate(footage.read(range(FIRST, FIRST + frames))):
            image = Image.fromarray(whole(item, footage.turns, False)).resize(SIZE, Image.Resampling.BICUBIC)
            recorder.add(np.asarray(image), at)
    run = run_of(seeded(StylizerConfig(norm="affine")), bench, "speed_student")
    model = exported(run, SIZE, bench)
    show = folder / "show.toml"
    show.write_text("\n".join([
        'name = "bench"', "[film]", 'file = "film.mp4"', "[stylizer]", f"file = {json.dumps(str(model))}", "[play]",
        'source = "stylizer"', 'look = "bench"', "[look.bench]", "hold = true", "[output.main]",
        f"size = [{SIZE[0]}, {SIZE[1]}]", f"refresh_hz = {RATE_HZ}", ""]), encoding="utf-8")  # fmt: skip
    return show
