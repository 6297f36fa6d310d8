"""What a shot's walk has to show: the film's frames in the model's square, fades undone, and where each pixel counts."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from player.show.cut_list import CutList, Shot
from player.show.problem import Problem, ShowError
from tools.train_anchors import detail_weights
from tools.train_dataset import film_pictures, folder_pictures, squared
from tools.whole_file import writing

LEAST_FADE = 0.3  # a picture that shows less than this of itself is too dark to be undone in 8 bits
DETAIL_GAIN = 4.0  # what moves is what a viewer looks at: the moving part weighs up to 1 + this


@dataclass(frozen=True)
class Target:
    """The frames that one walk is fitted to.

    frames: [n] film frames, increasing; from the shot's start to its end, plus those of a dissolve that follows.
    images: [n, C, R, R] uint8, fades undone. weights: [n, 1, R, R] float16, 0 outside the inner rectangle.
    clean: [n], how far the frame shows this shot alone, 0..1; a frame with 0 is not fitted.
    """

    shot: Shot
    frames: npt.NDArray[np.int64]
    images: npt.NDArray[np.uint8]
    weights: npt.NDArray[np.float16]
    clean: npt.NDArray[np.float32]


def linear(encoded: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """sRGB 0..1 to linear light (IEC 61966-2-1)."""
    out: npt.NDArray[np.float32] = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    return out.astype(np.float32)


def encoded(light: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Linear light 0..1 to sRGB (IEC 61966-2-1)."""
    out: npt.NDArray[np.float32] = np.where(
        light <= 0.0031308, light * 12.92, 1.055 * np.maximum(light, 0) ** (1 / 2.4) - 0.055
    )
    return out.astype(np.float32)


def read_film(
    path: Path, geometry: dict[str, list[int]], resolution: int, channels: int, frames: int, folder: Path | None = None
) -> npt.NDArray[np.uint8]:
    """All frames of a film (or folder of frames) in the model's square: [frames, C, R, R] uint8, on disk in `folder` (of
    the system's own for None) as long as the array is used: an hour of film is more than memory. Raises ShowError."""
    pictures = folder_pictures(path, channels) if path.is_dir() else film_pictures(path, channels, None, None)
    made = 0
    with writing(folder or Path(tempfile.gettempdir())), tempfile.TemporaryFile(dir=folder) as kept:
        for picture in pictures:
            w, h = geometry["film"]
            if picture.shape[1] * h != picture.shape[0] * w:  # another size of the same shape fills the square alike
                given = f"is {picture.shape[1]} x {picture.shape[0]}"
                raise ShowError(Problem(str(path), given, f"the shape of {w} x {h}, which the model was trained on"))
            # A copy: some decoders' frames are read-only. Written, not mapped, so that a full disk is an error.
            kept.write(squared(np.array(picture), geometry, resolution).tobytes())
            made += 1
        if made != frames:
            raise ShowError(Problem(str(path), f"has {made} frames", f"{frames}, as the cut list says"))
        kept.flush()
        return np.memmap(kept, np.uint8, "c", shape=(made, channels, resolution, resolution))


def walk_frames(cuts: CutList, shot: Shot) -> npt.NDArray[np.int64]:
    """Film frames that the walk of a shot is seen at: its own, and those of a dissolve that follows it."""
    after = cuts.by_number(shot.number + 1)
    tail = after.in_frames if after is not None and after.into == "dissolve" else 0
    return np.arange(shot.start, shot.end + tail, dtype=np.int64)


def target_of(cuts: CutList, shot: Shot, film: npt.NDArray[np.uint8], inner: Sequence[int]) -> Target:
    """The target of one shot. film: [frames, C, R, R] uint8; inner: [x, y, w, h] in pixels of the square."""
    frames = walk_frames(cuts, shot)
    images = film[frames].copy()
    clean = np.ones(len(frames), np.float32)
    for i, frame in enumerate(frames):
        mix = cuts.mix_at(int(frame))
        if mix.shot.number != shot.number or mix.outgoing is not None:
            clean[i] = 0.0  # two pictures in one: neither is known alone
        elif mix.fade < 1:
            clean[i] = np.clip((mix.fade - LEAST_FADE) / (1 - LEAST_FADE), 0, 1)
            if clean[i] > 0:
                colour = 1.0 if mix.fade_colour == "white" else 0.0
                light = (linear(images[i].astype(np.float32) / 255) - (1 - mix.fade) * colour) / mix.fade
                images[i] = np.round(encoded(np.clip(light, 0, 1)) * 255).astype(np.uint8)
    if not clean.any():
        clean[:] = 0.02  # a shot that is nothing but a dissolve: better its mixture than nothing
    seen = clean > 0
    x, y, w, h = inner
    weights = np.zeros((len(frames), 1, *images.shape[2:]), np.float16)
    weights[seen, :, y : y + h, x : x + w] = detail_weights(images[seen], [(0, int(seen.sum()))], DETAIL_GAIN)[
        ..., y : y + h, x : x + w
    ]
    return Target(shot, frames, images, weights * clean[:, None, None, None].astype(np.float16), clean)


def reduced_target(target: Target, size: int) -> Target:
    """The target in a square of `size` pixels, area-averaged; itself where it is no larger. size divides its own."""
    side = target.images.shape[-1]
    if size >= side:
        return target
    n, channels, cells = len(target.frames), target.images.shape[1], side // size
    images = target.images.reshape(n, channels, size, cells, size, cells).mean(axis=(3, 5), dtype=np.float32)
    weights = target.weights.astype(np.float32).reshape(n, 1, size, cells, size, cells).mean(axis=(3, 5))
    return replace(target, images=np.round(images).astype(np.uint8), weights=weights.astype(np.float16))
