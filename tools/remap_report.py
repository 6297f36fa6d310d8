"""What a remap has found, to look at: film above, remake below, one column a shot, as a sheet and as a page."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from models.stylegan2 import Generator
from player.show.cut_list import CutList
from player.show.walk import Walk
from tools.contact_sheet import Strip, draw_sheet, middle_frame
from tools.remap_fit import render
from tools.remap_measure import ShotMeasure, summary_of, worst_first
from tools.remap_page import PICTURES, ShotPictures, page
from tools.whole_file import write_whole

SHEET_PX = 200  # width of a column


def as_picture(square: npt.NDArray[np.uint8], inner: list[int]) -> npt.NDArray[np.uint8]:
    """square [C, R, R] uint8 -> the film's part of it, [h, w, 3] uint8."""
    x, y, w, h = inner
    part = square[:3, y : y + h, x : x + w].transpose(1, 2, 0)
    return np.repeat(part, 3 // part.shape[2], axis=2)


def pictures_of(generator: Generator, walk: Walk, frames: Sequence[int], inner: list[int]) -> list[npt.NDArray[np.uint8]]:
    """The walk's pictures at film frames, [h, w, 3] uint8 each."""
    ws = torch.from_numpy(np.stack([walk.ws_at(f) for f in frames]))  # [n, rows, w_dim]
    squares = (render(generator, ws) * 127.5 + 127.5).round().clamp(0, 255).byte().numpy()
    return [as_picture(square, inner) for square in squares]


def sheet_label(measure: ShotMeasure) -> str:
    """A shot's numbers on the sheet. That it is taken for another stands first: what is too long for a column is cut."""
    other = "" if measure.identified else f"IS {measure.nearest}  "
    return f"{other}like {measure.likeness:.2f}  motion {measure.motion:.2f} {measure.correlation:.2f}"


def write_report(
    path: Path,
    generator: Generator,
    cuts: CutList,
    walks: Mapping[int, Walk],
    film: npt.NDArray[np.uint8],
    inner: list[int],
    measures: Sequence[ShotMeasure] = (),
) -> None:
    """The sheet. walks: by shot number; a shot without one is left empty below. film: [frames, C, R, R] uint8. measures: where
    they are known the worst shot stands first, with its numbers, and shots without a walk are left out.

    Raises ShowError where it cannot be written.
    """
    truth, made = {}, {}
    for shot in cuts.shots:
        frame = middle_frame(shot)
        truth[frame] = as_picture(film[frame], inner)
        if shot.number in walks:
            made[frame] = pictures_of(generator, walks[shot.number], [frame], inner)[0]
    ordered = cuts
    if measures:
        told = {m.shot: sheet_label(m) for m in measures}
        ranked = [m.shot for m in worst_first(measures)]
        ranked += [s.number for s in cuts.shots if s.number in walks and s.number not in told]
        shots = (cuts.shots[n - 1] for n in ranked)
        named = tuple(dataclasses.replace(s, label=told.get(s.number, s.label)) for s in shots)
        ordered = dataclasses.replace(cuts, shots=named)
    sheet = draw_sheet([Strip("film", truth), Strip("remake", made)], ordered, columns=8, picture_px=SHEET_PX)
    write_whole(path, lambda part: sheet.save(part, format="PNG"))


def write_page(path: Path, generator: Generator, cuts: CutList, walks: Mapping[int, Walk], film: npt.NDArray[np.uint8],
               inner: list[int], measures: Sequence[ShotMeasure], title: str, lines: Sequence[str]) -> None:  # fmt: skip
    """The page, self-contained. Arguments as of write_report. Raises ShowError where it cannot be written."""
    pictures = {}
    for shot in cuts.shots:
        if shot.number in walks:
            first, last = shot.start + shot.in_frames, max(shot.start + shot.in_frames, shot.end - 1 - shot.out_frames)
            frames = sorted({int(f) for f in np.linspace(min(first, shot.end - 1), min(last, shot.end - 1), PICTURES).round()})
            made = pictures_of(generator, walks[shot.number], frames, inner)
            pictures[shot.number] = ShotPictures(frames, [as_picture(film[f], inner) for f in frames], made)
    text = page(cuts, measures, summary_of(measures) if measures else None, pictures, title, lines)
    write_whole(path, lambda part: part.write_text(text, encoding="utf-8"))
