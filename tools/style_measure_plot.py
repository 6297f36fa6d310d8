"""The pictures of a measurement: the numbers over time with the cuts marked, and the worst moments."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from player.screen.typeface import font_for
from tools.contact_sheet import FAINT, GAP, GROUND, INK, MARGIN, TEXT_PX, fitted
from tools.keyframes_measure import fetched
from tools.keyframes_suggest_sheet import BEFORE, DARK, INK_HEX, PANEL, dark
from tools.style_steadiness import Shown, Speed, Steadiness, motion_of
from tools.train_report_plots import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Picture = NDArray[np.uint8]
PICTURE_PX = 320
MOST_POINTS = 1500
LEGEND_LETTERS = 150  # in a line of it
# Differences of 0 to 1 as colour, small ones spread; what does not count is blue.
HEAT = np.array([[0, 0, 0], [150, 50, 0], [240, 160, 30], [255, 255, 235]], np.float32)
HEAT_AT = np.array([0, 0.1, 0.3, 0.7])
NOT_SEEN = np.array([24, 34, 64], np.uint8)


@dataclass(frozen=True)
class Worst:
    """A moment of one stylised film. pictures: the original's frame, the stylised one, the stylised next one warped back to it,
    and where they differ, uint8 [H, W, 3] each. own, made: e of the pair; frame, shot, timecode: when."""

    film: int
    frame: int
    shot: int
    timecode: str
    own: float
    made: float
    pictures: tuple[Picture, Picture, Picture, Picture]


TITLES = ("original", "stylised", "the next one, warped back", "difference (blue: not counted)")


def moment(film: int, frame: int, shot: int, timecode: str, own: float, made: float, here: Shown, later: Shown,
           speed: Speed = "medium") -> Worst:  # fmt: skip
    """The moment's pictures, made anew."""
    there, seen = motion_of(here, later, speed)
    brought = fetched(later.made[film].astype(np.float32), there)
    apart = np.abs(here.made[film].astype(np.float32) - brought).mean(axis=2) / 255  # [H, W]
    heat = np.stack([np.interp(apart, HEAT_AT, HEAT[:, c]) for c in range(3)], axis=2)
    shown = np.where(seen[..., None], np.rint(heat).astype(np.uint8), NOT_SEEN)
    warped = np.clip(np.rint(brought), 0, 255).astype(np.uint8)
    return Worst(film, frame, shot, timecode, own, made, (here.own, here.made[film], warped, shown))


def plot_png(found: Steadiness, names: Sequence[str], cuts: Sequence[int], frames: tuple[int, int]) -> bytes:
    """PNG: E_warp over 1 and over 5 frames, the excess over 1, content and sharpness, by film frame. cuts: first frames of the
    shots. frames: [first, last)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 14), facecolor=DARK, layout="constrained")
    FigureCanvasAgg(figure)  # by hand: no display, no global state
    ones, fives = ([p for p in found.pairs if p.step == k] for k in (1, 5))
    films = range(len(names))
    panels = (
        ("E_warp over 1 frame, 1e-4", [p.frame for p in ones], [1e4 * p.own for p in ones],
         [[1e4 * p.made[f] for p in ones] for f in films]),
        ("excess over the original's own, 1 frame, 1e-4", [p.frame for p in ones], None,
         [[1e4 * (p.made[f] - p.own) for p in ones] for f in films]),
        ("E_warp over 5 frames, 1e-4", [p.frame for p in fives], [1e4 * p.own for p in fives],
         [[1e4 * p.made[f] for p in fives] for f in films]),
        ("content: distance from the original's drawing, 0..2", [s.frame for s in found.stills], None,
         [[s.content[f] for s in found.stills] for f in films]),
        ("sharpness, levels a pixel", [s.frame for s in found.stills], [s.sharp[0] for s in found.stills],
         [[s.sharp[f + 1] for s in found.stills] for f in films]),
    )  # fmt: skip
    rows = figure.subplots(len(panels), 1)
    for axes, (title, at, own, made) in zip(rows, panels, strict=True):
        draw_panel(axes, title, at, own, made, names)
        for cut in cuts:
            axes.axvline(cut - 0.5, color="#6a6a6a", linewidth=0.9, linestyle=(0, (4, 3)), zorder=0)
        axes.set_xlim(frames[0] - 0.5, frames[1] - 0.5)
    # Outside, above all panels: within one it would lie over the very peaks that are looked for. At the left: a narrow page
    # shows that end of the plot.
    columns = max(1, min(4, LEGEND_LETTERS // (6 + max(len(n) for n in names))))
    figure.legend(*rows[0].get_legend_handles_labels(), loc="outside upper left", ncols=columns, facecolor=PANEL,
                  edgecolor=PANEL, labelcolor=INK_HEX, fontsize=9)
    axes.set_xlabel("film frame; dashed lines are cuts", color=BEFORE)
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=100, facecolor=DARK, metadata={"Software": None})
    return out.getvalue()


def draw_panel(axes: Axes, title: str, at: Sequence[int], own: Sequence[float] | None, made: Sequence[Sequence[float]],
               names: Sequence[str]) -> None:  # fmt: skip
    """One plot. own: of the original, grey; None where there is none."""
    dark(axes)
    if own is not None:
        axes.plot(*thinned(at, own), color=BEFORE, linewidth=1, label="original")
    for colour, name, values in zip(COLOURS, names, made, strict=False):
        axes.plot(*thinned(at, values), color=colour, linewidth=1.2, label=name, marker="o" if len(at) < 3 else "")
    every = np.array([v for line in (*made, own or ()) for v in line if np.isfinite(v)])
    if len(every):
        axes.set_ylim(1.15 * min(0.0, float(every.min())), max(1.1 * float(every.max()), 1e-6))
    axes.locator_params(axis="x", integer=True)
    axes.set_title(title, color=INK_HEX, loc="left", fontsize=11)


def thinned(at: Sequence[int], values: Sequence[float]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """As many points as a plot can show: of equal stretches the greatest value, since it is peaks that are looked for. Where
    all can be shown, nothing is drawn across frames that were left out."""
    x, y = np.asarray(at, np.float64), np.asarray(values, np.float64)
    if len(x) <= MOST_POINTS:
        gaps = np.flatnonzero(np.diff(x) > 1) + 1
        return np.insert(x, gaps, np.nan), np.insert(y, gaps, np.nan)
    ends = np.linspace(0, len(x), MOST_POINTS + 1).astype(int)
    kept = [a + int(np.argmax(np.nan_to_num(y[a:b], nan=-np.inf))) for a, b in zip(ends, ends[1:], strict=False)]
    return x[kept], y[kept]


def told(worst: Worst, names: Sequence[str]) -> str:
    """One line about a moment."""
    return (f"{names[worst.film]}  shot {worst.shot}  frame {worst.frame}  {worst.timecode}  "
            f"E_warp {1e4 * worst.made:.1f}, original {1e4 * worst.own:.1f} e-4")  # fmt: skip


def worst_png(moments: Sequence[Worst], names: Sequence[str]) -> bytes:
    """PNG: a row a moment, the worst first."""
    font = font_for(names, TEXT_PX)
    first = moments[0].pictures[0]
    high = max(1, round(PICTURE_PX * first.shape[0] / first.shape[1]))
    line = TEXT_PX + 5
    row_px = line + high + MARGIN
    width = 2 * MARGIN + 4 * (PICTURE_PX + GAP) - GAP
    sheet = Image.new("RGB", (width, MARGIN + line + len(moments) * row_px), GROUND)
    pen = ImageDraw.Draw(sheet)
    for column, title in enumerate(TITLES):
        pen.text((MARGIN + column * (PICTURE_PX + GAP), MARGIN // 2), title, FAINT, font)
    for row, worst in enumerate(moments):
        y = MARGIN + line + row * row_px
        pen.text((MARGIN, y), fitted(told(worst, names), width - 2 * MARGIN, font), INK, font)
        for column, pixels in enumerate(worst.pictures):
            picture = Image.fromarray(np.ascontiguousarray(pixels)).resize((PICTURE_PX, high), Image.Resampling.LANCZOS)
            sheet.paste(picture, (MARGIN + column * (PICTURE_PX + GAP), y + line))
    out = io.BytesIO()
    sheet.save(out, "PNG")
    return out.getvalue()
