"""Two paintings of the project's own, drawn by code, for the demo's stylizer: `oil` and `woodcut`.

    python -m tools.demo_paintings -o out/paintings

A painting that is to lend its strokes must have every tone in it, and every direction of stroke in every tone: so tone and
direction are two smooth fields that know nothing of each other. The same seed gives the same bytes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from player.show.problem import ShowError
from tools.whole_file import make_folder, write_whole

Floats = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]

SIZE_PX = 512
SEED = 7
# sRGB by tone, from dark to light: what a painter has on the palette
OIL = ((24, 22, 58), (38, 52, 116), (22, 96, 104), (150, 52, 44), (214, 110, 48), (236, 176, 92), (246, 226, 178),
       (252, 246, 232))  # fmt: skip
PAPER, INK, SECOND_INK = (238, 228, 206), (28, 24, 30), (178, 74, 44)
STROKE_LONG_PX, STROKE_WIDE_PX = 46, 11
HATCH_PX = 7.0  # from one cut of the woodcut to the next


def smooth(random: np.random.Generator, size: int, cells: int) -> Floats:
    """float32 [size, size], smooth noise of about `cells` hills a side; evenly spread over 0..1."""
    coarse = random.random((cells + 3, cells + 3)).astype(np.float32)
    field = np.asarray(Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC), np.float32)
    order = np.argsort(field, axis=None, kind="stable")
    even = np.empty(field.size, np.float32)
    even[order] = np.linspace(0, 1, field.size, dtype=np.float32)
    return even.reshape(field.shape)


def by_tone(tone: Floats, palette: Sequence[Sequence[int]]) -> Floats:
    """Colours [..., 3], 0..255, of tones [...] 0..1: straight lines between a palette's."""
    table = np.asarray(palette, np.float32)
    at = np.linspace(0, 1, len(table))
    return np.stack([np.interp(tone, at, table[:, c]) for c in range(3)], axis=-1).astype(np.float32)


def stroke(random: np.random.Generator, length: int, width: int) -> tuple[Floats, Floats]:
    """One stroke along x: how much paint [width, length] 0..1, and how light each bristle left it, about 0."""
    bristles = random.normal(0, 1, (width, 1)) + 0.35 * random.normal(0, 1, (width, length)).cumsum(axis=1) / np.sqrt(length)
    x = np.linspace(0, 1, length)[None]
    starts, ends = random.uniform(0, 0.1, (width, 1)), random.uniform(0.72, 1, (width, 1))  # bristles run dry one by one
    paint = np.clip((x - starts) * 14, 0, 1) * np.clip((ends - x) * 9, 0, 1)
    edge = np.clip(np.minimum(np.arange(width), np.arange(width)[::-1])[:, None] / 1.5 + 0.35, 0, 1)
    light = 9 * bristles + np.linspace(10, -14, width)[:, None]  # lit from one side: paint stands up
    return (paint * edge).astype(np.float32), light.astype(np.float32)


def lay(canvas: Floats, x: float, y: float, angle: float, colour: Floats, paint: Floats, light: Floats) -> None:
    """A stroke onto float32 [H, W, 3], its middle at (x, y), turned by an angle in radians."""
    width, length = paint.shape
    reach = int(np.hypot(width, length) / 2) + 2
    height, wide = canvas.shape[:2]
    x0, x1 = int(max(0, x - reach)), int(min(wide, x + reach))
    y0, y1 = int(max(0, y - reach)), int(min(height, y + reach))
    if x0 >= x1 or y0 >= y1:
        return
    ys, xs = np.mgrid[y0:y1, x0:x1]
    along = (xs - x) * np.cos(angle) + (ys - y) * np.sin(angle) + length / 2
    across = -(xs - x) * np.sin(angle) + (ys - y) * np.cos(angle) + width / 2
    inside = (along >= 0) & (along < length) & (across >= 0) & (across < width)
    i, j = across[inside].astype(int), along[inside].astype(int)
    share = paint[i, j][:, None]
    part = canvas[y0:y1, x0:x1]
    part[inside] += share * (colour + light[i, j][:, None] - part[inside])


def oil(size: int = SIZE_PX, seed: int = SEED) -> Pixels:
    """Thick strokes with bristles, dark blue through red to cream. uint8 [size, size, 3]."""
    random = np.random.default_rng(seed)
    tone, turn = smooth(random, size, 5), smooth(random, size, 3) * 2 * np.pi
    canvas = by_tone(tone, OIL) * 0.8
    for scale, step in ((1.7, 15), (1.0, 9), (0.6, 9)):  # broad first, fine last
        places = np.stack(np.meshgrid(np.arange(0, size, step), np.arange(0, size, step)), -1).reshape(-1, 2).astype(float)
        places += random.uniform(-step, step, places.shape)
        random.shuffle(places)
        if scale < 1:
            places = places[: len(places) // 2]
        for x, y in places:
            i, j = int(np.clip(y, 0, size - 1)), int(np.clip(x, 0, size - 1))
            here = float(np.clip(tone[i, j] + random.normal(0, 0.05), 0, 1))
            colour = by_tone(np.asarray(here, np.float32), OIL) + random.normal(0, 7, 3).astype(np.float32)
            long = max(10, int(STROKE_LONG_PX * scale * random.uniform(0.6, 1.3)))
            wide = max(4, int(STROKE_WIDE_PX * scale * random.uniform(0.7, 1.25)))
            lay(canvas, x, y, float(turn[i, j]) + random.normal(0, 0.16), colour, *stroke(random, long, wide))
    return np.clip(np.rint(canvas), 0, 255).astype(np.uint8)


def woodcut(size: int = SIZE_PX, seed: int = SEED) -> Pixels:
    """Cut lines on warm paper: fine on light ground, swelling until they close in the dark, a second ink in the middle tones.
    uint8 [size, size, 3]."""
    random = np.random.default_rng(seed + 1)
    tone, bend = smooth(random, size, 5), smooth(random, size, 2)
    ys, xs = np.mgrid[0:size, 0:size].astype(np.float32)
    wobble = smooth(random, size, 40) - 0.5
    ripple = 150 * (bend - 0.5) + 1.6 * wobble
    made = np.broadcast_to(np.asarray(PAPER, np.float32), (size, size, 3)).copy()
    made += random.normal(0, 2.5, (size, size, 1)).astype(np.float32)
    fibre = smooth(random, size, 90) - 0.5

    def cut(phase: Floats, share: Floats) -> Floats:
        """Ink [size, size] 0..1 of lines of which `share` of each is black, with edges of a pixel."""
        wave = np.abs((phase / HATCH_PX) % 1 - 0.5) * 2  # 0 in a line's middle
        return np.clip((share - wave) * HATCH_PX / 2 + 0.5, 0, 1)

    dark = 1 - tone
    first = cut(xs * 0.5 + ys * 0.87 + ripple, np.clip(dark * 1.02 - 0.04 + 0.1 * wobble, 0, 1.1))
    second = cut(xs * 0.9 - ys * 0.43 - 0.8 * ripple, np.clip(dark * 1.5 - 0.85 + 0.1 * wobble, 0, 1.1))
    colour = np.clip((0.5 - np.abs(tone - 0.45)) * 6 - 1.1 + fibre, 0, 1)[..., None] * 0.85
    made += colour * (np.asarray(SECOND_INK, np.float32) - made)
    black = np.maximum(first, second)[..., None] * (0.94 + 0.12 * np.clip(fibre, -0.5, 0.2)[..., None])
    made += black * (np.asarray(INK, np.float32) - made)
    return np.clip(np.rint(made), 0, 255).astype(np.uint8)


PAINTINGS = {"oil": oil, "woodcut": woodcut}


def main(argv: Sequence[str] | None = None) -> int:
    """The deed. Returns the exit code."""
    p = argparse.ArgumentParser(prog="python -m tools.demo_paintings", description="Draws the demo's own paintings.")
    p.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="where NAME.png are written")
    args = p.parse_args(argv)
    try:
        make_folder(args.output)
        for name, draw in PAINTINGS.items():
            picture = Image.fromarray(draw())
            write_whole(args.output / f"{name}.png", lambda part, picture=picture: picture.save(part, "PNG"))  # type: ignore[misc]
    except ShowError as e:
        print(e, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
