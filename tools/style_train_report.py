"""write_report(RUN): report.png and report.html of a stylizer's training, from the files that the run left so far.

None of the files has to be there, and a line that was cut in writing is passed over: a report is wanted most when a run went
wrong. The page opens without a network; the previews are the run's own files beside it.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from player.show.problem import Problem, ShowError
from tools.page import COLUMN, POLICY_FILES, data_element, document, text
from tools.train_report import is_number, read_options, replaced

Line = dict[str, Any]
GROUND, FRAME, INK, FAINT = "#121212", "#1b1b1b", "#ebebeb", "#8f8f8f"
# Told apart by eyes of every kind, in this order (after Okabe and Ito), lightened for a dark ground.
COLOURS = ("#56b4e9", "#e69f00", "#2fc79a", "#cc79a7", "#f0e442", "#d98a5f", "#9aa7ff", "#c8c8c8")
TITLES = {"broad": "Colours (8x8 means)", "pixel": "Pixels", "patches": "Patches", "critic": "Passing for the teacher's",
          "critic_own": "The critic's own (1.39 = it cannot tell)", "grid": "4x4 grid", "tv": "Total variation",
          "noise": "Temporal noise", "flow": "Along the flow", "bounds": "Outside 0..1",
          "content": "Content (network)", "style": "Style (network)",
          "outputs": "The teacher's results", "features": "The teacher's features"}  # fmt: skip
STYLE = COLUMN + """
img { display: block; max-width: 100%; height: auto }
.bar { align-items: center; gap: 1rem }
.bar input { flex: 1 1 16rem; accent-color: var(--mark); min-height: 2rem }
.bar output { min-width: 9ch; font-variant-numeric: tabular-nums }
.wide { overflow-x: auto } #plots { min-width: 50rem }
table { border-collapse: collapse; font-size: .9rem } th, td { text-align: left; padding: .2rem 1.5rem .2rem 0;
  border-bottom: 1px solid var(--line); overflow-wrap: anywhere; vertical-align: top }
th { color: var(--faint); font-weight: 500 }
"""
SCRIPT = """
const previews = JSON.parse(document.getElementById('previews').textContent);
const slider = document.getElementById('slider'), picture = document.getElementById('preview');
function show(i) {
  picture.src = previews[i].file;
  picture.alt = 'Preview after ' + previews[i].step + ' steps';
  document.getElementById('step').textContent = 'step ' + previews[i].step;
}
slider.addEventListener('input', () => show(Number(slider.value)));
show(previews.length - 1);
"""


@dataclass(frozen=True)
class Record:
    """What a run's folder tells. lines: of log.jsonl, `step` rising. previews: {step: path}."""

    folder: Path
    lines: tuple[Line, ...]
    options: dict[str, Any]
    previews: dict[int, Path]


def write_report(run: Path) -> tuple[Path, Path]:
    """(run/report.png, run/report.html), written beside their places and renamed there. Raises ShowError for no folder."""
    record = read_run(run)
    plots = plots_png(record)
    return replaced(run / "report.png", plots), replaced(run / "report.html", page(record, plots).encode())


def read_run(run: Path) -> Record:
    """The record of a run. Raises ShowError where there is no such folder."""
    if not run.is_dir():
        raise ShowError(Problem(str(run), "is no folder", "the folder of a run"))
    previews = {int(p.stem): p for p in sorted((run / "previews").glob("*.png")) if p.stem.isdecimal()}
    return Record(run, tuple(read_lines(run / "log.jsonl")), read_options(run / "options.json"), previews)


def read_lines(path: Path) -> list[Line]:
    """The JSON objects of a log that have a `step`. Where it steps back, a run was resumed from a snapshot: the lines that it
    then made anew replace the older ones."""
    lines: list[Line] = []
    try:
        rows = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    for row in rows:
        try:
            line = json.loads(row)
        except ValueError:
            continue
        if not isinstance(line, dict) or not is_number(line.get("step")):
            continue
        while lines and lines[-1]["step"] >= line["step"]:
            lines.pop()
        lines.append(line)
    return lines


def keys_of(lines: Sequence[Line]) -> list[str]:
    """The losses in the order in which they first appear."""
    keys: dict[str, None] = {}
    for line in lines:
        keys |= {k: None for k, v in line.items() if is_number(v) and k not in ("step", "elapsed_s", "steps_per_s")}
    return list(keys)


def plots_png(record: Record) -> bytes:
    """A plot a loss, and of the speed, as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    keys = [*keys_of(record.lines), "steps_per_s"]
    columns = min(4, len(keys))
    rows = -(-len(keys) // columns)
    figure = Figure(figsize=(3.6 * columns, 2.4 * rows), dpi=110, facecolor=GROUND, layout="constrained")
    FigureCanvasAgg(figure)
    for i, key in enumerate(keys):
        axes = figure.add_subplot(rows, columns, i + 1)
        points = [(line["step"], line[key]) for line in record.lines if is_number(line.get(key))]
        axes.plot([p[0] for p in points], [p[1] for p in points], color=COLOURS[i % len(COLOURS)], linewidth=1.4,
                  marker="o" if len(points) < 3 else "")  # fmt: skip
        axes.set_title("Steps a second" if key == "steps_per_s" else TITLES.get(key, key), color=INK, fontsize=9, loc="left")
        axes.set_facecolor(FRAME)
        axes.tick_params(colors=FAINT, labelsize=7)
        for side in axes.spines.values():
            side.set_color(FAINT)
        axes.set_ylim(bottom=0)
        if not points:
            axes.text(0.5, 0.5, "nothing yet", color=FAINT, ha="center", va="center", transform=axes.transAxes, fontsize=9)
    packed = io.BytesIO()
    figure.savefig(packed, format="png", facecolor=GROUND)
    return packed.getvalue()


def page(record: Record, plots: bytes) -> str:
    """The whole page. plots: PNG."""
    last = record.lines[-1] if record.lines else {}
    told = f"{last.get('step', 0)} steps in {float(last.get('elapsed_s', 0)) / 60:.1f} minutes"
    name = record.folder.resolve().name
    parts = [
        f"<h1>{text(name)}</h1><p>{text(told)}</p>",
        previews_section(record),
        '<section><h2>Course</h2><p>Losses as they are added up, each with its weight.</p><div class="wide"><img id="plots" '
        f'alt="Losses over the run" src="data:image/png;base64,{base64.b64encode(plots).decode()}"></div></section>',
        table_section("Run", record.options.get("run")),
        table_section("Options", record.options.get("options")),
    ]
    return document(f"{name}: training of a stylizer", STYLE, "\n".join(parts), policy=POLICY_FILES)


def previews_section(record: Record) -> str:
    """The slider through the previews; a sentence where there are none."""
    if not record.previews:
        return "<section><h2>Previews</h2><p>No snapshot yet.</p></section>"
    found = [{"step": step, "file": path.relative_to(record.folder).as_posix()} for step, path in record.previews.items()]
    last = len(found) - 1
    return (
        '<section><h2>Previews</h2><p>Film, then of each style the teacher\'s picture and the network\'s.</p>'
        f'<div class="bar"><label for="slider">Snapshot</label><input id="slider" type="range" min="0" max="{last}" step="1" '
        f'value="{last}"{" disabled" if last == 0 else ""}>'
        f'<output id="step" for="slider">step {found[last]["step"]}</output></div>'
        f'<div class="wide"><img id="preview" alt="Preview" src="{text(found[last]["file"])}"></div>'
        f"{data_element('previews', found)}<script>{SCRIPT}</script></section>"
    )


def table_section(title: str, values: Any) -> str:
    """A table of names and values; nothing where there are none."""
    if not isinstance(values, Mapping) or not values:
        return ""
    rows = "".join(f"<tr><th scope='row'>{text(k)}</th><td>{text(told(v))}</td></tr>" for k, v in values.items())
    return f"<section><h2>{text(title)}</h2><table><tbody>{rows}</tbody></table></section>"


def told(value: Any) -> str:
    """A value for a person."""
    if isinstance(value, list):
        return ", ".join(str(v) for v in value)
    return "–" if value is None else "yes" if value is True else "no" if value is False else str(value)
