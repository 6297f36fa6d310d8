"""What a suggestion looks like: a contact sheet of the frames to paint, and the curve of what is left to guess."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from player.screen.typeface import font_for
from player.show.film import format_timecode
from tools.contact_sheet import FAINT, GAP, GROUND, INK, MARGIN, TEXT_PX, fitted
from tools.keyframes_suggest_greedy import Step

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Pixels = NDArray[np.uint8]
PICTURE_PX, COLUMNS, MOST_COLUMNS = 240, 5, 10
MARK = (230, 159, 0)
DARK, PANEL, LINE, BEFORE, KEY, INK_HEX = "#121212", "#1b1b1b", "#56b4e9", "#8f8f8f", "#e69f00", "#ebebeb"


def keys_sheet(steps: Sequence[Step], pictures: Mapping[int, Pixels], rate: Fraction, names: Mapping[int, str]) -> bytes:
    """PNG: the frames in the film's order; above each its name, time and shot, in its corner when to paint it.

    pictures: uint8 [h, w, 3] by film frame. names: of the files, by film frame.
    """
    font, large = font_for(names.values(), TEXT_PX), font_for(["0123456789"], 30)
    columns = min(len(steps), COLUMNS if len(steps) <= 60 else MOST_COLUMNS)
    first = next(iter(pictures.values()), np.zeros((3, 4, 3), np.uint8))
    wide = PICTURE_PX if columns <= COLUMNS else PICTURE_PX * 5 // 8
    high = max(1, round(wide * first.shape[0] / first.shape[1]))
    line = TEXT_PX + 5
    cell = 2 * line + high + MARGIN
    rows = -(-len(steps) // columns)
    sheet = Image.new("RGB", (2 * MARGIN + columns * (wide + GAP) - GAP, MARGIN + rows * cell), GROUND)
    pen = ImageDraw.Draw(sheet)
    for i, step in enumerate(sorted(steps, key=lambda s: s.frame)):
        row, column = divmod(i, columns)
        x, y = MARGIN + column * (wide + GAP), MARGIN + row * cell
        pen.text((x, y), fitted(names[step.frame], wide, font), INK, font)
        told = f"shot {step.shot}  {format_timecode(step.frame, rate)}"
        pen.text((x, y + line), fitted(told, wide, font), FAINT, font)
        top = y + 2 * line
        if (pixels := pictures.get(step.frame)) is not None:
            picture = Image.fromarray(np.ascontiguousarray(pixels))
            sheet.paste(picture.resize((wide, high), Image.Resampling.LANCZOS), (x, top))
        mark = str(step.order)
        box = pen.textbbox((x + 8, top + 4), mark, font=large)
        pen.rectangle((x, top, box[2] + 8, box[3] + 6), fill=GROUND)
        pen.text((x + 8, top + 4), mark, MARK, large)
    out = io.BytesIO()
    sheet.save(out, "PNG")
    return out.getvalue()


def curve_png(steps: Sequence[Step], before: float, even: float | None, frames: NDArray[np.float64],
              errors: tuple[NDArray[np.float64], NDArray[np.float64]], cuts: Sequence[int]) -> bytes:  # fmt: skip
    """PNG: above, the error after each key; below, what is left of every frame before and after them all.

    before: the error without any, 0..1. even: with as many keys at equal distances, None where that was not asked. frames: [F]
    film frames; errors: before and after, each [F] in 0..1. cuts: first frames of the shots.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 6.6), facecolor=DARK, layout="constrained")
    FigureCanvasAgg(figure)  # by hand: no display, no global state
    upper, lower = figure.subplots(2, 1)
    for axes in (upper, lower):
        dark(axes)
    upper.plot(range(len(steps) + 1), [100 * before, *(100 * s.error for s in steps)], color=LINE, linewidth=1.8,
               marker="o" if len(steps) <= 60 else "", markersize=4, label="suggested")  # fmt: skip
    if even is not None:
        upper.plot([len(steps)], [100 * even], "D", color=KEY, markersize=7, label="as many at equal distances")
    upper.set_ylim(bottom=0)
    upper.set_xlim(left=0)
    upper.xaxis.get_major_locator().set_params(integer=True)
    upper.set_title("what is left to guess after so many keys, % of a frame on average", color=INK_HEX, loc="left",
                    fontsize=11)  # fmt: skip
    some = bool(errors[0].min() < 0.99)  # painted before
    if some:
        lower.plot(frames, 100 * errors[0], color=BEFORE, linewidth=1, label="before these keys")
    lower.plot(frames, 100 * errors[1], color=LINE, linewidth=1.2, label="with them")
    lower.fill_between(frames, 0, 100 * errors[1], color=LINE, alpha=0.25, linewidth=0)
    for cut in cuts:
        lower.axvline(cut - 0.5, color="#444444", linewidth=0.8, zorder=0)
    lower.plot([s.frame for s in steps], [0] * len(steps), "^", color=KEY, markersize=6, clip_on=False, label="frames to paint")
    lower.set_xlim(frames[0] - 0.5, frames[-1] + 0.5)
    lower.set_ylim(0, min(100.0, max(1.0, 160 * float(errors[1].max()), 110 * float(errors[0].max()) if some else 0.0)))
    lower.set_title("what is left to guess of every frame, %; lines are cuts", color=INK_HEX, loc="left", fontsize=11)
    lower.set_xlabel("film frame", color=BEFORE)
    for axes in (upper, lower):
        axes.legend(facecolor=PANEL, edgecolor=PANEL, labelcolor=INK_HEX, fontsize=9, loc="upper right")
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=100, facecolor=DARK, metadata={"Software": None})
    return out.getvalue()


def dark(axes: Axes) -> None:
    """The look of the reports."""
    axes.set_facecolor(PANEL)
    axes.tick_params(colors=BEFORE, labelsize=9)
    axes.grid(color="#2a2a2a", linewidth=0.6)
    for spine in axes.spines.values():
        spine.set_color("#333333")


def curve_csv(steps: Sequence[Step], before: float, rate: Fraction, names: Mapping[int, str]) -> str:
    """order, file, frame, timecode, shot, gain_frames, error_percent; row 0 is before any key."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("order", "file", "frame", "timecode", "shot", "gain_frames", "error_percent"))
    writer.writerow((0, "", "", "", "", "", f"{100 * before:.3f}"))
    for s in steps:
        writer.writerow((s.order, names[s.frame], s.frame, format_timecode(s.frame, rate), s.shot, f"{s.gain:.3f}",
                         f"{100 * s.error:.3f}"))  # fmt: skip
    return out.getvalue()
