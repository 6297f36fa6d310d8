"""Renders the demo film: picture, soundtrack, cut list and the events heard, all from code.

    python -m tools.demo_film -o DIR [--size 480x360] [--shots 1,2] [--preview]

Writes film.mp4, soundtrack.flac, cuts.csv and events.json into DIR. Frames are kept in DIR/.frames, named after what
they show, so that a stopped run goes on where it was and a changed shot is drawn again without the others.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from player.recorder import repeatable
from player.show.cut_list import CutList, write_csv
from player.show.problem import Problem, ShowError
from tools import film_draw
from tools.film_draw import Scene, Stage, encode, uniforms
from tools.film_shots import RATE, TAKES, cut_list, events

COLOURS = {"black": 0.0, "white": 1.0}


@dataclass(frozen=True)
class Layer:
    """A scene and its weight in linear light."""

    scene: Scene
    weight: float


def layers_at(cuts: CutList, frame: int) -> tuple[list[Layer], float]:
    """What is seen at a frame, and the constant light that a fade's colour adds."""
    mix = cuts.mix_at(frame)
    takes = [(mix.shot, mix.weight)]
    if mix.outgoing is not None:
        takes.append((mix.outgoing, 1.0 - mix.weight))
    layers = [
        Layer(TAKES[shot.number - 1].scene((frame - shot.start) / RATE), weight * mix.fade) for shot, weight in takes
    ]
    return layers, (1.0 - mix.fade) * COLOURS.get(mix.fade_colour, 0.0)


def frame_key(layers: list[Layer], constant: float, size: tuple[int, int]) -> str:
    """A short hash of everything that decides one frame's pixels."""
    digest = hashlib.sha256()
    for name in ("film_figure.glsl", "film_room.frag"):
        digest.update((film_draw.SHADERS / name).read_bytes())
    for layer in layers:
        packed, values = uniforms(layer.scene, size)
        digest.update(packed + repr((layer.weight, values)).encode())
    digest.update(repr((size, constant)).encode())
    return digest.hexdigest()[:20]


def draw_frame(stage: Stage, layers: list[Layer], constant: float) -> NDArray[np.uint8]:
    """One frame [H, W] uint8, sRGB grey; layers are mixed in linear light."""
    total = np.full((stage.size[1], stage.size[0]), constant, dtype=np.float32)
    for layer in layers:
        total += np.float32(layer.weight) * stage.draw(layer.scene)
    return encode(total)


def draw_frames(folder: Path, size: tuple[int, int], wanted: list[int]) -> list[Path]:
    """Draws the wanted frames that are not in the folder yet; their PNG files in the order asked for."""
    folder.mkdir(parents=True, exist_ok=True)
    cuts = cut_list()
    plan = []
    for frame in wanted:
        layers, constant = layers_at(cuts, frame)
        plan.append((folder / f"{frame:05d}-{frame_key(layers, constant, size)}.png", layers, constant))
    missing = [job for job in plan if not job[0].exists()]
    stage = Stage(*size) if missing else None
    began = time.monotonic()
    for done, (path, layers, constant) in enumerate(missing, 1):
        assert stage is not None
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        Image.fromarray(draw_frame(stage, layers, constant)).save(temporary, format="PNG")
        temporary.replace(path)
        if done % 12 == 0 or done == len(missing):
            rate = done / (time.monotonic() - began)
            left_s = (len(missing) - done) / rate
            print(f"\rdrawn {done}/{len(missing)} frames, {rate:.2f} a second, {left_s / 60:.1f} min left  ", end="",
                  file=sys.stderr, flush=True)
    if stage is not None:
        print(file=sys.stderr)
        stage.close()
    return [job[0] for job in plan]


def grey_frames(paths: list[Path]) -> Iterator[NDArray[np.uint8]]:
    """The PNG files as [H, W] uint8."""
    for path in paths:
        yield np.asarray(Image.open(path), dtype=np.uint8)


def write_film(path: Path, frames: Iterator[NDArray[np.uint8]], size: tuple[int, int], crf: int = 18) -> int:
    """H.264 in MP4, yuv420p in video range, a key frame every 12, no B-frames, timestamps of exactly 1/24 s.

    One encoder thread, so that nothing depends on timing: the same frames give the same bytes again. Returns the number
    of frames.
    """
    import av

    width, height = size
    count = 0
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with av.open(str(temporary), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=Fraction(RATE))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.time_base = Fraction(1, RATE)
        stream.codec_context.time_base = Fraction(1, RATE)
        stream.codec_context.thread_count = 1
        stream.codec_context.color_range = 1  # video range
        stream.codec_context.colorspace = stream.codec_context.color_primaries = stream.codec_context.color_trc = 1
        stream.options = {"crf": str(crf), "preset": "medium", "bf": "0", "g": "12", "keyint_min": "12",
                          "sc_threshold": "0", **repeatable()}  # fmt: skip
        for grey in frames:
            planes = np.full((height * 3 // 2, width), 128, dtype=np.uint8)
            planes[:height] = np.floor(16.5 + grey.astype(np.float32) * (219.0 / 255.0)).astype(np.uint8)
            picture = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            picture.pts, picture.time_base = count, Fraction(1, RATE)
            container.mux(stream.encode(picture))
            count += 1
        container.mux(stream.encode())
    temporary.replace(path)
    return count


def contact_sheet(paths: dict[int, Path]) -> Image.Image:
    """First, middle and last frame of every shot, three shots a row."""
    shots = [s for s in cut_list().shots if s.start in paths and s.end - 1 in paths]
    cell = (160, 120)
    sheet = Image.new("L", (cell[0] * 9, cell[1] * -(-len(shots) // 3)), 0)
    for i, shot in enumerate(shots):
        for j, frame in enumerate((shot.start, (shot.start + shot.end) // 2, shot.end - 1)):
            at = (cell[0] * (3 * (i % 3) + j), cell[1] * (i // 3))
            sheet.paste(Image.open(paths[frame]).resize(cell, Image.Resampling.BOX), at)
    return sheet


def parse_size(text: str) -> tuple[int, int]:
    """WIDTHxHEIGHT, both even. Raises ShowError."""
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(p.isdigit() and int(p) > 0 and int(p) % 2 == 0 for p in parts):
        raise ShowError(Problem("--size", repr(text), "WIDTHxHEIGHT, both even, such as 480x360"))
    return int(parts[0]), int(parts[1])


def parse_shots(text: str) -> list[int]:
    """Shot numbers from a list with commas. Raises ShowError."""
    known = range(1, len(TAKES) + 1)
    parts = [p.strip() for p in text.split(",")]
    if not all(p.isdigit() and int(p) in known for p in parts):
        raise ShowError(Problem("--shots", repr(text), f"numbers 1..{len(TAKES)} with commas between them"))
    return [int(p) for p in parts]


def render(folder: Path, size: tuple[int, int], shots: list[int] | None = None, preview: bool = False) -> None:
    """Writes the film (or only some shots' frames, or a contact sheet only) into the folder."""
    cuts = cut_list()
    folder.mkdir(parents=True, exist_ok=True)
    chosen = [s for s in cuts.shots if shots is None or s.number in shots]
    if preview:
        wanted = sorted({f for s in chosen for f in (s.start, (s.start + s.end) // 2, s.end - 1)})
    else:
        wanted = [f for s in chosen for f in range(s.start, s.end)]
    paths = draw_frames(folder / ".frames", size, wanted)
    contact_sheet(dict(zip(wanted, paths, strict=True))).save(folder / "contact.png")
    if preview:
        return
    if shots is not None:
        write_film(folder / "shots.mp4", grey_frames(paths), size)
        return
    from tools.film_sound import write_soundtrack

    write_film(folder / "film.mp4", grey_frames(paths), size)
    write_soundtrack(folder / "soundtrack.flac", cuts.frames, events())
    write_csv(cuts, folder / "cuts.csv")
    heard = folder / ".events.json.tmp"
    heard.write_text(json.dumps([{"frame": f, "kind": k} for f, k in events()], indent=1) + "\n")
    heard.replace(folder / "events.json")


def main(arguments: list[str] | None = None) -> int:
    """The command; 0 on success, 2 on bad input, 130 when stopped (run again to go on)."""
    parser = argparse.ArgumentParser(prog="python -m tools.demo_film", description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder to write into")
    parser.add_argument("--size", default="480x360", help="WIDTHxHEIGHT, default 480x360")
    parser.add_argument("--shots", help="only these shots, to shots.mp4: numbers with commas")
    parser.add_argument("--preview", action="store_true", help="only first, middle and last frame of each shot: contact.png")
    given = parser.parse_args(arguments)
    try:
        render(given.output, parse_size(given.size), parse_shots(given.shots) if given.shots else None, given.preview)
    except ShowError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped; the frames drawn so far are kept, run again to go on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
