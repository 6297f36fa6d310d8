"""A few frames before all are made: each straight from the key nearest to it, on one sheet with the film's own and the key."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from player.screen.typeface import font_for
from tools.keyframes_frames import ShotFrames, faded, seen_share
from tools.keyframes_kept import Memory
from tools.keyframes_keys import read_key
from tools.keyframes_pass import Flows, Footing, Pass
from tools.keyframes_plan import ShotJob
from tools.keyframes_run import Masks, unfaded_key
from tools.keyframes_shot import with_film

Pixels = NDArray[np.uint8]
GROUND, INK, FAINT = (18, 18, 18), (235, 235, 235), (150, 150, 150)
MARGIN, GAP, TEXT_PX, PICTURE_PX = 16, 6, 13, 300
MARK = "cineml keyframes preview"


@dataclass(frozen=True)
class Seen:
    """One frame of the preview. film, painted, key: uint8 [H, W, 3]."""

    frame: int
    key_frame: int
    film: Pixels
    painted: Pixels
    key: Pixels


def spread(jobs: Sequence[ShotJob], count: int) -> list[int]:
    """Frames to look at: spread over what is to be made, each as far from keys as its neighbourhood goes."""
    keys = {k.frame for job in jobs for k in job.keys}
    todo = sorted({f for job in jobs for f in job.wanted if f not in keys})
    if len(todo) <= count:
        return todo
    chosen = []
    for part in np.array_split(np.array(todo), count):
        # The middle half, so that no frame of a cut's edge stands for a part.
        inner = part[len(part) // 4 : max(len(part) - len(part) // 4, len(part) // 4 + 1)]
        away = [min((abs(int(f) - k) for k in keys), default=0) for f in inner]
        chosen.append(int(inner[int(np.argmax(away))]))
    return chosen


def made_straight(jobs: Sequence[ShotJob], frames: Sequence[int], tick: Callable[[int], object]) -> list[Seen]:
    """Each frame from its nearest key alone. Raises ShowError."""
    found = []
    for done, frame in enumerate(frames):
        job = next(j for j in jobs if frame in j.wanted)
        source = ShotFrames(job.footage, job.cuts, job.first, job.end)
        try:
            near = min(job.keys, key=lambda k: abs(k.frame - frame))
            mix = job.cuts.mix_at(near.frame)
            picture, alpha = read_key(near.path, job.footage.size, job.alpha, partial(source.raw, near.frame))
            index, at = near.frame - job.first, frame - job.first
            key = unfaded_key(picture, mix.fade, mix.fade_colour)
            masks = Masks(job, job.masks) if job.masks else None
            where = None if job.keep_where is None else Masks(job, job.keep_where)
            seen = [seen_share(job.cuts, job.shot, f) for f in range(job.first, job.end)]
            on = Footing(source, {index: key}, job.options, masks, {} if alpha is None else {index: alpha}, seen, Memory(),
                         lambda _, __: None, where)  # fmt: skip
            reached = Pass(on, Flows(source, seen), index, 1 if at > index else -1).straight(at)
            fade = job.cuts.mix_at(frame)
            painted = faded(with_film(on, at, reached.picture), fade.fade, fade.fade_colour)
            found.append(Seen(frame, near.frame, source.raw(frame), painted, picture))
        finally:
            source.close()
        tick(done + 1)
    return found


def sheet(seen: Sequence[Seen], title: str) -> Image.Image:
    """The frames, a row each: the film's own, the painted one, the key that it is painted from."""
    height, width = seen[0].film.shape[:2]
    size = (PICTURE_PX, max(1, round(PICTURE_PX * height / width)))
    font = font_for([title], TEXT_PX)
    row = size[1] + TEXT_PX + 3 * GAP
    whole = Image.new("RGB", (2 * MARGIN + 3 * size[0] + 2 * GAP, 2 * MARGIN + TEXT_PX + 2 * GAP + row * len(seen)), GROUND)
    pen = ImageDraw.Draw(whole)
    pen.text((MARGIN, MARGIN), title, INK, font)
    for r, s in enumerate(seen):
        top = MARGIN + TEXT_PX + 2 * GAP + r * row
        for c, (picture, text) in enumerate(((s.film, f"frame {s.frame}"), (s.painted, "painted, straight from its key"),
                                             (s.key, f"key {s.key_frame}"))):  # fmt: skip
            left = MARGIN + c * (size[0] + GAP)
            whole.paste(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS), (left, top))
            pen.text((left, top + size[1] + GAP), text, FAINT, font)
    return whole


def preview_path(output: Path) -> Path:
    """Beside the output."""
    return output.with_name(output.name + ".preview.png")
