"""The masks that a person made: found among ours, and looked at before they count, since a picture is no mask."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from player.show.problem import Problem, ShowError
from tools.film_dataset_source import Footage
from tools.keyframes_keys import by_name, counted, read_rgba, twice
from tools.keyframes_mask_record import Record, by_hand
from tools.train_source import PICTURES

LOOKED_AT = 100_000  # pixels of a picture
COLOURED, COLOURED_SHARE = 40, 0.02  # levels between the channels; of the pixels: more is no noise of a JPEG
BLACK, WHITE, BETWEEN_SHARE = 24, 231, 0.5  # of a mask most pixels are one or the other, however soft its edge
LEAST_GREYS, GREY_SHARE = 32, 0.001  # a few flat greys may be meant; of the pixels: for a grey to count


def own_masks(output: Path, footage: Footage, record: Record, out: TextIO) -> dict[int, Path]:
    """The masks in OUT that a person made or changed, by film frame. Raises ShowError."""
    try:
        there = sorted(p for p in output.iterdir() if p.suffix.lower() in PICTURES and not p.name.startswith("."))
    except FileNotFoundError:
        return {}
    except OSError as e:
        raise ShowError(Problem(str(output), f"cannot be read ({e.strerror})", "a folder for the masks")) from None
    named, others = by_name(there, footage)
    if wrong := twice(named, "-o"):
        raise ShowError(wrong)
    if others:
        print(f"{counted(others, 'picture')} of no frame of {footage.path.name}: left alone", file=out)
    return by_hand(output, {n.frame: n.path for n in sorted(named, key=lambda n: n.frame)}, record)


def check_masks(folder: Path, masks: Iterable[Path], option: str) -> None:
    """Raises ShowError where any of them is plainly a picture and no mask: it would count as one, as its light has it."""
    found: dict[str, list[Path]] = {}
    for path in masks:
        if why := why_no_mask(read_rgba(path)):
            found.setdefault(why, []).append(path)
    allowed = "black, white where the foreground is, and grey along its edge"
    hint = "another folder than that of the pictures, or take them away"
    if found:
        where = f"{option} {folder}"
        raise ShowError(Problem(where, f"{counted(p, 'picture')} {why}, and no mask{'s' * (len(p) != 1)}", allowed, hint)
                        for why, p in found.items())  # fmt: skip


def why_no_mask(picture: NDArray[np.uint8]) -> str:
    """What shows that a picture uint8 [H, W, 4] is no mask; empty where it may be one."""
    every = max(1, round((picture.shape[0] * picture.shape[1] / LOOKED_AT) ** 0.5))
    some = picture[::every, ::every]
    shown = some[..., :3].astype(np.float32) * (some[..., 3:] / np.float32(255))
    if (shown.max(axis=2) - shown.min(axis=2) > COLOURED).mean() > COLOURED_SHARE:
        return "in colour"
    grey = np.rint(shown.mean(axis=2)).astype(np.uint8)
    between = (grey > BLACK) & (grey < WHITE)
    greys = int((np.bincount(grey[between].reshape(-1), minlength=256) > GREY_SHARE * grey.size).sum())
    return "full of greys" if between.mean() > BETWEEN_SHARE and greys >= LEAST_GREYS else ""
