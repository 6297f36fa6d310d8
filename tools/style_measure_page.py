"""report.html of `cineml style measure`: one page, its pictures inside it, that opens without a network."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from typing import Any

from tools.page import COLUMN, document, jpeg_source, text
from tools.style_measure_blur import Blurred
from tools.style_measure_plot import TITLES, Worst

STYLE = COLUMN + """
img { display: block; max-width: 100%; height: auto }
.wide { overflow-x: auto } #plot { min-width: 50rem; width: 100%; max-width: 1300px }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums }
th, td { padding: .3rem .8rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap }
th { color: var(--faint); font-weight: 500 } th[scope=row] { color: var(--ink) }
th:first-child, .name { text-align: left } th[scope=row], .name { white-space: normal; overflow-wrap: anywhere }
/* A long name takes more lines, not the place of the numbers. */
th[scope=row]:not(:empty), .name { min-width: 7.5rem; max-width: 22rem }
.warn { color: var(--warn) } p.warn { max-width: 90ch } p, article header b { overflow-wrap: anywhere; min-width: 0 }
article { padding: .75rem; margin: 0 0 1rem }
.row { display: grid; grid-template-columns: repeat(4, minmax(0, 1fr)); gap: .35rem; margin-top: .35rem }
.row img { width: 100%; border-radius: 3px } .row figure { margin: 0 } figcaption { color: var(--faint); font-size: .85rem }
@media (max-width: 700px) { th, td { padding: .3rem .5rem } .row { grid-template-columns: repeat(2, minmax(0, 1fr)) } }
"""
TOLD = (
    "E_warp: the mean squared difference, of values 0 to 1, between a frame and a later one warped to it by the original's own "
    "motion, over what both show (1e-4). Excess: that less the original's own. Jitter: the shift in pixels that would make as "
    "much difference. Style: how far the patches are from the painting's, 0 to 255; closed: the share of the way from the "
    "original to the painting. Content: how far the drawing is from the original's, 0 the same, 1 nothing of it. "
    "Sharpness: mean gradient, in levels a pixel; a blur lowers E_warp, so read both."
)
FILM = "film"  # the heading of a column of names
Numbers = Mapping[str, Any]  # of one film or shot, as measure.json has them


def page(title: str, films: Mapping[str, Numbers], shots: Sequence[tuple[str, Mapping[str, Numbers]]], notes: Sequence[str],
         plot: bytes, worst: Sequence[Worst], about: str) -> str:  # fmt: skip
    """The whole page. films: numbers by name, the original's first. shots: (what it is called, numbers by film). notes:
    sentences of warning. plot: PNG. about: one line of what was measured."""
    names = list(films)[1:]
    warnings = "".join(f'<p class="warn">{text(n)}</p>' for n in notes)
    parts = [
        f"<h1>{text(title)}</h1><p>{text(about)}</p>{warnings}<p>{text(TOLD)}</p>",
        f'<section><h2>In all</h2><div class="wide">{totals_table(films)}</div></section>',
        '<section><h2>Over time</h2><div class="wide"><img id="plot" alt="E_warp, excess, content and sharpness by film frame" '
        f'src="data:image/png;base64,{base64.b64encode(plot).decode()}"></div></section>',
        worst_section(worst, names),
        f'<section><h2>Shots, the worst first</h2><div class="wide">{shots_table(shots, names)}</div></section>',
    ]
    return document(title, STYLE, "\n".join(parts))


COLUMNS = (("e_warp_1", "E_warp 1"), ("excess_1", "excess 1"), ("e_warp_5", "E_warp 5"), ("excess_5", "excess 5"),
           ("jitter_px", "jitter px"), ("style", "style"), ("style_closed", "closed"), ("content", "content"),
           ("sharpness", "sharpness"), ("sharpness_of_original", "of original's"))  # fmt: skip


def totals_table(films: Mapping[str, Numbers]) -> str:
    """A row a film."""
    several = {name: numbers["styles"] for name, numbers in films.items() if len(numbers.get("styles", {})) > 1}
    paintings = list(next(iter(several.values()))) if several else []
    head = ["", *(label for _, label in COLUMNS), *(f"style {p}" for p in paintings)]
    rows = []
    for name, numbers in films.items():
        cells = [shown(key, numbers.get(key)) for key, _ in COLUMNS]
        cells += [shown("style", numbers["styles"][p]) for p in paintings]
        rows.append(f"<tr><th scope='row'>{text(name)}</th>{''.join(f'<td>{c}</td>' for c in cells)}</tr>")
    return table("totals", head, rows)


def shots_table(shots: Sequence[tuple[str, Mapping[str, Numbers]]], names: Sequence[str]) -> str:
    """A row a shot and film."""
    columns = [c for c in COLUMNS if c[0] not in ("style", "style_closed")]
    head = ["shot", *([FILM] if len(names) > 1 else []), *(label for _, label in columns)]
    rows = []
    for called, films in shots:
        for i, name in enumerate(names):
            first = f"<th scope='row'>{text(called) if i == 0 else ''}</th>"
            film = f'<td class="name">{text(name)}</td>' if len(names) > 1 else ""
            cells = "".join(f"<td>{shown(key, films[name].get(key))}</td>" for key, _ in columns)
            rows.append(f"<tr>{first}{film}{cells}</tr>")
    return table("shots", head, rows)


def table(name: str, head: Sequence[str], rows: Sequence[str]) -> str:
    titles = "".join(f"<th scope='col'{' class=name' if h == FILM else ''}>{text(h)}</th>" for h in head)
    return f'<table id="{name}"><thead><tr>{titles}</tr></thead><tbody>{"".join(rows)}</tbody></table>'


def shown(key: str, value: float | None) -> str:
    """A number for a person, in the unit of its column; a dash for what is not there."""
    if value is None or not math.isfinite(value):
        return "–"
    if key.startswith(("e_warp", "excess")):
        return f"{1e4 * value:.2f}"
    if key in ("style_closed", "sharpness_of_original"):
        return f"{value:.0%}"
    return f"{value:.3f}" if key in ("jitter_px", "content") else f"{value:.2f}"


def worst_section(worst: Sequence[Worst], names: Sequence[str]) -> str:
    """The worst moments as pictures."""
    if not worst:
        return ""
    cards = []
    for w in worst:
        called = f"{names[w.film]}, " if len(names) > 1 else ""
        head = (f"<header><b>{text(called)}shot {w.shot}, frame {w.frame}</b><span>{text(w.timecode)}</span>"
                f"<span>E_warp {1e4 * w.made:.1f}, the original's {1e4 * w.own:.1f} e-4</span></header>")  # fmt: skip
        figures = "".join(f'<figure><img alt="{text(title)}" src="{jpeg_source(pixels, 85)}"><figcaption>{text(title)}'
                          "</figcaption></figure>" for title, pixels in zip(TITLES, w.pictures, strict=True))  # fmt: skip
        cards.append(f'<article>{head}<div class="row">{figures}</div></article>')
    return f"<section><h2>Worst moments</h2>{''.join(cards)}</section>"


def blur_note(found: Blurred, names: Sequence[str]) -> str:
    """The comparison as one sentence."""
    a, b = names[found.calmer], names[found.sharper]
    told = (f"{a} has a lower E_warp than {b} (typically {1e4 * found.e_calmer:.2f} and {1e4 * found.e_sharper:.2f} e-4, over "
            f"{found.pairs} pairs) and is less sharp; {b} blurred with sigma {found.sigma_px:.2f} px to the same sharpness has "
            f"{1e4 * found.e_blurred:.2f} e-4: ")  # fmt: skip
    return told + (f"{a} is calmer by its blur alone." if found.by_blur else f"{a} is calmer than a blur would make it.")
