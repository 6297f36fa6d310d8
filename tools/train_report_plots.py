"""The plots of a run's report: which lines of the log belong together, and how they are drawn."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tools.train_report import Line, RunRecord, is_number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GROUND, FRAME, INK, FAINT = "#121212", "#1b1b1b", "#ebebeb", "#8f8f8f"
# Told apart by eyes of every kind, in this order (after Okabe and Ito), lightened for a dark ground.
COLOURS = ("#56b4e9", "#e69f00", "#2fc79a", "#cc79a7", "#f0e442", "#d98a5f", "#9aa7ff", "#c8c8c8")
MOST_POINTS = 1500
COLUMNS = 3


@dataclass(frozen=True)
class Panel:
    """One plot. keys: of the log's or the metrics' lines, {key: label}; pattern: further keys by regular expression, the
    label is its first group. low, high: fixed ends of the axis. level: a line to compare with. optional: left out without
    data, where others say that there is none yet."""

    title: str
    measured: bool
    keys: dict[str, str]
    pattern: str = ""
    low: float | None = None
    high: float | None = None
    level: float | None = None
    optional: bool = False


PANELS = (
    Panel("Losses", False, {"g": "generator", "d": "discriminator", "loss_g": "generator", "loss_d": "discriminator"}),
    Panel("What the discriminator says", False, {"real": "film", "fake": "generated"}, level=0),
    Panel("Augmentation (ADA)", False, {"p": "p", "ada_p": "p", "augment_p": "p", "sign": "sign of D(film)",
                                        "rt": "sign of D(film)", "sign_mean": "sign of D(film)"}, optional=True),
    Panel("Regularisation", False, {"r1": "R1", "path": "path length", "path_length": "path length"}, low=0),
    Panel("Anchored frames", False, {"rebuilt": "reconstruction", "features": "features", "rough": "roughness",
                                     "mapping": "mapping"}, low=0, optional=True),
    Panel("Pictures a second", False, {"pictures_per_s": "", "images_per_s": "", "img_per_s": ""}, low=0),
    Panel("KID: 0 is best", True, {"kid": ""}, low=0),
    Panel("SWD by pyramid level: 0 is best", True, {}, r"swd_(\d+)$", low=0),
    Panel("Precision and recall: 1 is best", True, {"precision": "precision", "recall": "recall",
                                                "coverage": "coverage"}, low=0, high=1),
    Panel("Memorisation: 0 = copies, 1 = as unseen frames", True, {"memorisation": "ratio", "copies": "share of copies"},
          low=0, level=1),
    Panel("FID: 0 is best", True, {"fid": ""}, low=0, optional=True),
)  # fmt: skip


def sheet_png(record: RunRecord) -> bytes:
    """All plots and the last sample grid on one page, PNG."""
    from PIL import Image

    grid = None
    if record.grids:
        kimg, path = list(record.grids.items())[-1]
        try:
            with Image.open(path) as picture:
                grid = np.asarray(picture.convert("RGB")), f"Samples at {record.grid_kimg(kimg)} kimg"
        except OSError:
            grid = None
    return png_of(draw(record, grid))


def plots_png(record: RunRecord) -> bytes:
    """The plots alone, PNG."""
    return png_of(draw(record, None, title=False))


def png_of(figure: Figure) -> bytes:
    """The figure as PNG, without the date that would make equal reports differ."""
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=100, facecolor=GROUND, metadata={"Software": None})
    return out.getvalue()


def panels_of(record: RunRecord) -> list[tuple[Panel, dict[str, str]]]:
    """The panels to draw, each with the keys that it has data for, {key: label}."""
    shown = []
    for panel in PANELS:
        lines = record.metrics if panel.measured else record.log
        present = {key for line in lines for key, value in line.items() if is_number(value)}
        keys = {key: label for key, label in panel.keys.items() if key in present}
        if panel.pattern:
            found = [(key, m) for key in present if (m := re.match(panel.pattern, key))]
            keys |= {key: f"{m[1]} px" for key, m in sorted(found, key=lambda f: -int(f[1][1]))}
        if keys or not panel.optional:
            shown.append((panel, keys))
    return shown


def draw(record: RunRecord, grid: tuple[NDArray[np.uint8], str] | None, title: bool = True) -> Figure:
    """The figure: panels in three columns, the grid (uint8 [H, W, 3], caption) at their right."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = panels_of(record)
    rows = -(-len(panels) // COLUMNS)
    height = 3.1 * rows + (0.6 if title else 0.0)
    plots_wide = 15.0
    aspect = grid[0].shape[1] / grid[0].shape[0] if grid else 0.0
    grid_wide = min(14.0, max(4.0, (height - 1.2) * aspect)) if grid else 0.0
    figure = Figure(figsize=(plots_wide + grid_wide, height), facecolor=GROUND)
    FigureCanvasAgg(figure)  # Agg by hand: no display, no global state, so that a training run may draw
    wide = plots_wide / (plots_wide + grid_wide)
    top = 1 - (0.6 / height if title else 0.0) - 0.32 / height
    left, right = 0.6 / (plots_wide + grid_wide), wide - 0.25 / (plots_wide + grid_wide)
    outer = figure.add_gridspec(
        rows, COLUMNS, left=left, right=right, top=top, bottom=0.55 / height, wspace=0.2, hspace=0.42
    )
    reached = max((line["kimg"] for line in (*record.log, *record.metrics)), default=1.0)
    for place, (panel, keys) in enumerate(panels):
        axes = figure.add_subplot(outer[place // COLUMNS, place % COLUMNS])
        draw_panel(axes, panel, keys, record.metrics if panel.measured else record.log)
        axes.set_xlim(-0.02 * reached, 1.02 * reached)  # the same for all, so that a bend is found again in the next plot
        if place >= len(panels) - COLUMNS:
            axes.set_xlabel("thousand pictures (kimg)", color=FAINT, fontsize=9)
    if grid:
        axes = figure.add_axes((wide, 0.35 / height, 1 - wide - 0.02, top - 0.35 / height))
        axes.imshow(grid[0], interpolation="antialiased")
        axes.set_title(grid[1], color=INK, fontsize=11, loc="left")
        axes.set_anchor("NW")
        axes.axis("off")
    if title:
        figure.text(left, 1 - 0.42 / height, f"{record.name}   {progress_line(record)}", color=INK, fontsize=14)
    return figure


def progress_line(record: RunRecord) -> str:
    """How far the run is."""
    line = record.log[-1] if record.log else record.metrics[-1] if record.metrics else {}
    if not line:
        return "nothing logged yet"
    pictures = f"{line['kimg']:.1f} thousand pictures"
    if not is_number(line.get("elapsed_s")):
        return pictures
    minutes = round(line["elapsed_s"] / 60)
    return f"{pictures} in {minutes // 60} h {minutes % 60:02d} min"


def draw_panel(axes: Axes, panel: Panel, keys: dict[str, str], lines: Sequence[Line]) -> None:
    """One plot on its axes."""
    axes.set_facecolor(FRAME)
    axes.set_title(panel.title, color=INK, fontsize=11, loc="left")
    axes.tick_params(colors=FAINT, labelsize=9)
    axes.grid(color="#2c2c2c", linewidth=0.7)
    for spine in axes.spines.values():
        spine.set_visible(False)
    if not keys:
        empty = "not measured yet" if panel.measured else "not logged yet"
        axes.text(0.5, 0.5, empty, color=FAINT, ha="center", va="center", transform=axes.transAxes, fontsize=10)
        axes.set_xticks([])
        axes.set_yticks([])
        return
    if panel.level is not None:
        axes.axhline(panel.level, color="#5a5a5a", linewidth=1, linestyle=(0, (4, 3)))
    seen: list[NDArray[np.float64]] = []
    for (key, label), colour in zip(keys.items(), COLOURS * 2, strict=False):
        points = [(line["kimg"], line[key]) for line in lines if is_number(line.get(key))]
        x, y = thinned(np.array(points, dtype=np.float64))
        seen.append(y)
        mark = "o" if panel.measured or len(x) < 3 else ""
        axes.plot(x, y, color=colour, linewidth=1.4, marker=mark, markersize=3.5, label=label or None)
        spread = [line.get(f"{key}_deviation") for line in lines if is_number(line.get(key))]
        if panel.measured and len(spread) == len(x) and all(is_number(s) for s in spread):
            around = np.array(spread, dtype=np.float64)
            axes.fill_between(x, y - around, y + around, color=colour, alpha=0.2, linewidth=0)
    low, high = limits(np.concatenate(seen), panel)
    axes.set_ylim(low, high)
    if any(keys.values()):
        axes.legend(fontsize=8.5, frameon=False, labelcolor=INK, loc="best", ncols=2 if len(keys) > 3 else 1)


def thinned(points: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """points [N, 2] -> x, y of at most MOST_POINTS: means of equal stretches."""
    if len(points) <= MOST_POINTS:
        return points[:, 0], points[:, 1]
    ends = np.linspace(0, len(points), MOST_POINTS + 1).astype(int)
    means = np.stack([points[a:b].mean(axis=0) for a, b in zip(ends, ends[1:], strict=False)])
    return means[:, 0], means[:, 1]


def limits(values: NDArray[np.float64], panel: Panel) -> tuple[float, float]:
    """Ends of the axis: all but the wildest hundredth fits, so that one spike at the start does not flatten the rest."""
    low, high = (float(v) for v in np.percentile(values, (0.5, 99.5))) if len(values) > 50 else (
        float(values.min()), float(values.max()))  # fmt: skip
    if panel.level is not None:
        low, high = min(low, panel.level), max(high, panel.level)
    room = (high - low) * 0.08 or max(abs(high), 1e-3) * 0.5
    if panel.low is not None:
        low = min(panel.low, low)
    fixed = 0.02 * (panel.high - (panel.low or 0)) if panel.high is not None else room
    bottom = low - fixed if panel.high is not None else low - (0 if panel.low is not None and low >= panel.low else room)
    return bottom, (max(panel.high, high) + fixed if panel.high is not None else high + room)
