"""report.html: one page about a run that opens without a network, with a slider through its sample grids.

The plots are inside the page; grids and nearest.png are the run's own files beside it (hundreds of megabytes after a long run),
so the page stays in the run's folder. Its content policy forbids everything that would come from elsewhere.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

from tools.page import COLUMN, POLICY_FILES, data_element, document, text
from tools.train_report import Line, RunRecord, is_number
from tools.train_report_plots import progress_line

STYLE = COLUMN + """
img { display: block; max-width: 100%; height: auto }
.bar { gap: 1rem; align-items: center }
.bar input { flex: 1 1 16rem; accent-color: var(--mark); min-height: 2rem }
.bar button { min-width: 5.5rem }
.bar output { min-width: 9ch; font-variant-numeric: tabular-nums }
#plots { min-width: 60rem }
#grid { image-rendering: auto; width: min(100%, 1100px) }
.wide { overflow-x: auto }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums }
th, td { padding: .3rem .8rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap }
th { color: var(--faint); font-weight: 500 } td.best { color: var(--mark); font-weight: 600 }
.options { display: grid; grid-template-columns: repeat(auto-fill, minmax(20rem, 1fr)); gap: 0 2.5rem; align-items: start }
.options table { width: 100% } .options th, .options td { text-align: left; padding: .2rem 0; white-space: normal;
  overflow-wrap: anywhere; vertical-align: top }
.options th { width: 55%; padding-right: 1rem }
.options caption { text-align: left; padding: .75rem 0 .25rem; font-weight: 600 }
"""

SCRIPT = """
const grids = JSON.parse(document.getElementById('grids').textContent);
const slider = document.getElementById('slider'), picture = document.getElementById('grid');
const label = document.getElementById('kimg'), button = document.getElementById('run');
let turning = 0;
function show(i) {
  slider.value = i;
  picture.src = grids[i].file;
  picture.alt = 'Sample grid at ' + grids[i].kimg + ' thousand pictures';
  label.textContent = grids[i].kimg + ' kimg';
  if (i + 1 < grids.length) new Image().src = grids[i + 1].file;
}
function stop() { clearInterval(turning); turning = 0; button.textContent = 'Play'; }
slider.addEventListener('input', () => { stop(); show(Number(slider.value)); });
button.addEventListener('click', () => {
  if (turning) return stop();
  button.textContent = 'Stop';
  let i = Number(slider.value) + 1 < grids.length ? Number(slider.value) : -1;
  turning = setInterval(() => { i += 1; show(i); if (i + 1 >= grids.length) stop(); }, 167);
});
show(grids.length - 1);
"""

LEGEND = (
    "KID and SWD: distance to the film, 0 is best. Precision: share of samples that look like the film; recall: share of the "
    "film that the samples reach; coverage: the same, not flattered by broken samples. Memorisation: how far samples are from "
    "the nearest training frame, beside how far the film's own moments are from each other; 0 is a copy, about 1 is as far as "
    "an unseen frame. Read it beside the others: copies of the film would score best on all of them."
)


def page(record: RunRecord, plots: bytes) -> str:
    """The whole page. plots: PNG."""
    parts = [
        f"<h1>{text(record.name)}</h1><p>{text(progress_line(record))}</p>",
        f'<section><h2>Course</h2><div class="wide"><img id="plots" alt="Losses, speed and metrics over the run" '
        f'src="data:image/png;base64,{base64.b64encode(plots).decode()}"></div></section>',
        grids_section(record),
        metrics_section(record),
        nearest_section(record),
        options_section(record),
    ]
    return document(f"{record.name}: training report", STYLE, "\n".join(parts), policy=POLICY_FILES)


def grids_section(record: RunRecord) -> str:
    """The slider through the sample grids; a sentence where there are none."""
    if not record.grids:
        return "<section><h2>Samples</h2><p>No sample grid yet.</p></section>"
    grids = [{"kimg": record.grid_kimg(kimg), "file": path.relative_to(record.folder).as_posix()}
             for kimg, path in record.grids.items()]  # fmt: skip
    last = len(grids) - 1
    still = " disabled" if last == 0 else ""
    return (
        '<section><h2>Samples</h2><div class="bar"><label for="slider">Thousand pictures</label>'
        f'<input id="slider" type="range" min="0" max="{last}" step="1" value="{last}"{still}>'
        f'<output id="kimg" for="slider">{grids[last]["kimg"]} kimg</output>'
        f'<button id="run" type="button"{still}>Play</button></div>'
        f'<img id="grid" alt="Sample grid" src="{text(grids[last]["file"])}">'
        f"{data_element('grids', grids)}<script>{SCRIPT}</script></section>"
    )


def metrics_section(record: RunRecord) -> str:
    """The table of metrics, newest first, the best of each marked."""
    if not record.metrics:
        return "<section><h2>Metrics</h2><p>Nothing measured yet.</p></section>"
    keys = columns_of(record.metrics)
    best = {key: best_of(key, record.metrics) for key in keys}
    rows = []
    for line in reversed(record.metrics):
        cells = [f"<td>{line['kimg']:.1f}</td>"]
        for key in keys:
            mark = ' class="best"' if is_number(line.get(key)) and line[key] == best[key] and len(record.metrics) > 1 else ""
            cells.append(f"<td{mark}>{number(line.get(key))}</td>")
        rows.append(f"<tr>{''.join(cells)}</tr>")
    head = "".join(f"<th scope='col'>{text(k.replace('_', ' '))}</th>" for k in ("kimg", *keys))
    return (
        f'<section><h2>Metrics</h2><p>{text(LEGEND)}</p><div class="wide"><table id="metrics"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div></section>"
    )


def columns_of(lines: Sequence[Line]) -> list[str]:
    """Metric names in the order in which they first appear, without the clock's."""
    keys: dict[str, None] = {}
    for line in lines:
        keys |= {k: None for k, v in line.items() if is_number(v) and k not in ("kimg", "elapsed_s")}
    return list(keys)


def best_of(key: str, lines: Sequence[Line]) -> float | None:
    """The best value of a metric; None where more is neither better nor worse."""
    values = [line[key] for line in lines if is_number(line.get(key))]
    if key in ("precision", "recall", "coverage"):
        return max(values)
    return min(values) if key in ("kid", "fid") or key.startswith("swd") else None


def number(value: Any) -> str:
    """Three digits that matter, a dash for what is not there."""
    if not is_number(value):
        return "–"
    return f"{value:.1f}" if abs(value) >= 100 else f"{value:.3g}" if abs(value) >= 0.1 or value == 0 else f"{value:.2g}"


def nearest_section(record: RunRecord) -> str:
    """nearest.png, where there is one."""
    if record.nearest is None:
        return ""
    return (
        "<section><h2>Nearest training frames</h2><p>At the last measurement, most suspicious first: a sample and the frames "
        'that it might be a copy of.</p><img id="nearest" alt="Samples beside their nearest training frames" '
        f'src="{text(record.nearest.relative_to(record.folder).as_posix())}"></section>'
    )


def options_section(record: RunRecord) -> str:
    """options.json as tables, one for each group."""
    if not record.options:
        return "<section><h2>Options</h2><p>No options.json.</p></section>"
    plain = {k: v for k, v in record.options.items() if not isinstance(v, Mapping)}
    groups = {k: v for k, v in record.options.items() if isinstance(v, Mapping)}
    tables = []
    for name, values in {**groups, **({"run": plain} if plain else {})}.items():
        rows = "".join(f"<tr><th scope='row'>{text(k)}</th><td>{text(told(v))}</td></tr>" for k, v in values.items())
        tables.append(f"<table><caption>{text(name)}</caption><tbody>{rows}</tbody></table>")
    return f'<section><h2>Options</h2><div class="options">{"".join(tables)}</div></section>'


def told(value: Any) -> str:
    """A value of options.json for a person."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return json.dumps(value) if isinstance(value, list | dict) else str(value)
