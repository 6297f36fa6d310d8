"""What `cineml bench style` measures on: the film that networks learn from, a grainy one that they have never seen, a painting.

../shared holds a painting and a real black-and-white film of the 1950s (the project ships neither). Compression has taken that
film's grain: Immerkaer's estimate (1996, "Fast noise variance estimation") of what is left is below 1 level of 255, where it
says above 4 of the grain that is put back here (soft grain it misses in part). Where ../shared is not there, the painting is
drawn, and the unseen film is the last part of the demo film, which training then leaves out, with the same grain.
"""

from __future__ import annotations

import importlib.resources
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from player.show.cut_list import CutList, Shot, write_csv
from tools.film_dataset_png import png
from tools.film_dataset_source import Footage, footage_at
from tools.film_dataset_square import whole
from tools.whole_file import make_folder, write_whole

Picture = NDArray[np.uint8]
SHARED = Path(__file__).resolve().parents[2] / "shared"
GRAIN = 10.0  # levels of 255, standard deviation in the middle tones: strong grain, a little more than training adds at most
GRAIN_BLUR_PX = 0.6  # grain is larger than a pixel of a scan
PAINTING_PX = 384
SEED = 0
# (what it shows, first frame, frames), each within one shot.
EXCERPTS_REAL = (("a soldier at the wheel", 12, 16), ("a sign", 70, 16), ("lorries before mountains", 200, 16))
EXCERPTS_DEMO = (("a dance", 1180, 16), ("hands", 1400, 16), ("he looks at us", 1600, 16))
LEARNT_DEMO = 1114  # frames of the demo film that are learnt from where the rest of it is the unseen film


@dataclass(frozen=True)
class Excerpt:
    """A grainy film that no network has seen. frames: uint8 [H, W, 3], its parts one after the other. clean: the same without
    the grain that was added, whose flow is the true one. cuts: first frames of the parts. told: what it is, for the table."""

    frames: tuple[Picture, ...]
    clean: tuple[Picture, ...]
    cuts: tuple[int, ...]
    told: str

    @property
    def size(self) -> tuple[int, int]:
        """(width, height)."""
        return self.frames[0].shape[1], self.frames[0].shape[0]

    @property
    def ranges(self) -> tuple[tuple[int, int], ...]:
        """Frames [first, last) of each part."""
        return tuple(zip(self.cuts, (*self.cuts[1:], len(self.frames)), strict=True))


def demo_film() -> Path:
    """The demo's film, 480x360."""
    return Path(str(importlib.resources.files("show_configs") / "demo" / "film.mp4"))


def real_film() -> Path:
    return SHARED / "footage" / "abomb_bw_432x320_29fps.mp4"


def painting_at(folder: Path) -> Path:
    """The painting's file: that of ../shared, or one that is drawn into the folder."""
    there = SHARED / "pictures" / "dev" / "style_whiplash.png"
    if there.is_file():
        return there
    from tools.bench_keyframes_clip import rounded, textured

    path = folder / "painting.png"
    if not path.is_file():
        made = rounded(textured(PAINTING_PX, PAINTING_PX, np.random.default_rng((SEED, 2)), PAINTING_PX / 5)[1])
        make_folder(folder)
        write_whole(path, lambda part: part.write_bytes(png(made)))
    return path


def learnt_range() -> tuple[int, int]:
    """Frames [first, last) of the demo film that networks learn from."""
    return (0, footage_at(demo_film()).frames) if real_film().is_file() else (0, LEARNT_DEMO)


def unseen(grain: float = GRAIN) -> Excerpt:
    """The film that no network has seen, with grain of so many levels of 255; the same grain at every call."""
    film, parts, told = ((real_film(), EXCERPTS_REAL, real_film().stem) if real_film().is_file()
                         else (demo_film(), EXCERPTS_DEMO, "the demo film's last part"))  # fmt: skip
    clean, cuts = parts_of(footage_at(film), parts)
    frames = clean
    if grain > 0:
        frames = tuple(grained(f, np.random.default_rng((SEED, n)), grain) for n, f in enumerate(clean))
    return Excerpt(frames, clean, cuts, f"{told}, {len(frames)} frames of {len(cuts)} shots, grain of {grain:g} levels added")


def grained(picture: Picture, chance: np.random.Generator, grain: float = GRAIN) -> Picture:
    """The picture [H, W, 3] with film grain: grey, a little larger than a pixel, in the middle tones of a deviation of `grain`
    levels of 255, in black and white of a third of that."""
    import cv2

    noise = cv2.GaussianBlur(chance.standard_normal(picture.shape[:2]).astype(np.float32), (0, 0), GRAIN_BLUR_PX)
    light = picture.astype(np.float32).mean(axis=2) / 255
    strength = grain * (0.3 + 2.8 * light * (1 - light))
    made = picture + (strength * noise / noise.std())[..., None]
    return np.clip(np.rint(made), 0, 255).astype(np.uint8)


def parts_of(footage: Footage, parts: Sequence[tuple[str, int, int]]) -> tuple[tuple[Picture, ...], tuple[int, ...]]:
    """(frames of the parts one after the other, where each begins)."""
    frames: list[Picture] = []
    cuts = []
    for _, first, count in parts:
        cuts.append(len(frames))
        frames += [np.asarray(whole(item, footage.turns, False), np.uint8)
                   for _, item in footage.read(range(first, first + count))]  # fmt: skip
    return tuple(frames), tuple(cuts)


def write_excerpt(excerpt: Excerpt, folder: Path, rate: int = 24) -> tuple[Path, Path, Path]:
    """(folder of PNGs, of those without grain, cut list) of an excerpt, as `cineml style measure` takes them."""
    write_pictures(folder / "original", excerpt.frames)
    write_pictures(folder / "clean", excerpt.clean)
    shots = tuple(Shot(i, a, b) for i, (a, b) in enumerate(excerpt.ranges, 1))
    write_csv(CutList("original", Fraction(rate), len(excerpt.frames), shots), folder / "cuts.csv")
    return folder / "original", folder / "clean", folder / "cuts.csv"


def write_pictures(folder: Path, pictures: Sequence[Picture]) -> Path:
    """The pictures as 000000.png, 000001.png, ...; other PNGs of the folder are taken away."""
    make_folder(folder)
    for old in folder.glob("*.png"):
        old.unlink()
    for n, picture in enumerate(pictures):
        write_whole(folder / f"{n:06d}.png", lambda part, picture=picture: part.write_bytes(png(picture)))  # type: ignore[misc]
    return folder
