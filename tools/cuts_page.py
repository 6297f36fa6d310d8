"""The page beside a cut list: first and last frame of every shot, doubtful boundaries first, then what was rejected.

One file, its pictures inside it; it asks for nothing from outside and works without a network.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from player.show.cut_list import CutList
from player.show.film import format_timecode
from tools.cuts_sheet import clear_ends
from tools.cuts_transition import DOUBTFUL, Rejected, Transition

Pixels = NDArray[np.uint8]
MOST_REJECTED = 120  # on the page; the record beside the list holds them all
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"

STYLE = """
:root { color-scheme: dark; --ground: #121212; --frame: #1b1b1b; --ink: #ebebeb; --faint: #a0a0a0; --line: #333;
  --mark: #56b4e9; --warn: #e69f00 }
* { box-sizing: border-box }
body { margin: 0 auto; padding: 1.5rem clamp(1rem, 3vw, 3rem) 4rem; max-width: 1700px; background: var(--ground);
  color: var(--ink); font: 16px/1.5 system-ui, sans-serif }
h1 { font-size: 1.5rem; margin: 0; overflow-wrap: anywhere } h2 { font-size: 1.1rem; margin: 2.5rem 0 .25rem }
p { color: var(--faint); margin: .25rem 0 .75rem; max-width: 80ch }
.bar { display: flex; gap: .5rem; flex-wrap: wrap; margin: 1rem 0 0 }
.bar button { font: inherit; color: var(--ink); background: var(--frame); border: 1px solid var(--line); border-radius: 6px;
  padding: .35rem 1rem; cursor: pointer }
.bar button[aria-pressed=true] { border-color: var(--mark); color: var(--mark) }
:focus-visible { outline: 2px solid var(--mark); outline-offset: 2px }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 30rem), 1fr)); gap: .75rem }
article { background: var(--frame); border: 1px solid var(--line); border-radius: 8px; padding: .6rem .75rem .75rem;
  min-width: 0 }
article.doubtful { border-color: var(--warn) }
article header { display: flex; gap: .75rem; align-items: baseline; flex-wrap: wrap; font-variant-numeric: tabular-nums }
article header b { font-size: 1.05rem }
article header span { color: var(--faint); font-size: .85rem }
.pictures { display: flex; gap: .35rem; margin-top: .4rem }
figure { margin: 0; flex: 1 1 0; min-width: 0 }
figure.before { opacity: .75 }
img { display: block; width: 100%; height: auto; border-radius: 3px; background: #000 }
figcaption { color: var(--faint); font-size: .78rem; font-variant-numeric: tabular-nums }
.why { color: var(--faint); font-size: .85rem; margin: .4rem 0 0 }
meter { width: 6rem; height: .8rem; vertical-align: middle }
"""

SCRIPT = """
const buttons = [...document.querySelectorAll('.bar button')], cards = document.getElementById('shots');
function order(by) {
  const key = by === 'film' ? a => Number(a.dataset.shot) : a => Number(a.dataset.rank);
  [...cards.children].sort((a, b) => key(a) - key(b)).forEach(a => cards.append(a));
  buttons.forEach(b => b.setAttribute('aria-pressed', String(b.dataset.by === by)));
}
buttons.forEach(b => b.addEventListener('click', () => order(b.dataset.by)));
"""


def frames_shown(cuts: CutList, boundaries: Sequence[Transition], rejected: Sequence[Rejected]) -> set[int]:
    """The film frames whose pictures the page and the sheet need."""
    wanted = {frame for i in range(len(cuts.shots)) for frame in clear_ends(cuts, i)}
    wanted |= {frame for t in boundaries for frame, _ in boundary_frames(t)}
    wanted |= {frame for r in most_likely(rejected) for frame in (r.frame - 1, r.frame)}
    return {frame for frame in wanted if 0 <= frame < cuts.frames}


def boundary_frames(t: Transition) -> list[tuple[int, str]]:
    """(frame, what it is) of what shows a boundary best."""
    if t.end - t.start < 2:
        return [(t.frame - 1, "before")]
    return [(t.start - 1, "before"), ((t.start + t.end) // 2, t.kind)]


def most_likely(rejected: Sequence[Rejected]) -> list[Rejected]:
    """Those of the rejected that the page shows, likeliest first."""
    return sorted(rejected, key=lambda r: (-r.score, r.frame))[:MOST_REJECTED]


def page(cuts: CutList, boundaries: Sequence[Transition], rejected: Sequence[Rejected], pictures: Mapping[int, Pixels],
         title: str, told: Sequence[str], rejected_title: str = "Rejected", rejected_told: str = "") -> str:  # fmt: skip
    """The whole page as HTML.

    boundaries: one for each shot but the first, in order. pictures: uint8 [h, w, 3] by film frame. told: lines under the title.
    """
    sources = {frame: _source(pixels) for frame, pixels in pictures.items()}
    doubtful = [i for i in range(1, len(cuts.shots)) if boundaries[i - 1].confidence < DOUBTFUL]
    doubtful.sort(key=lambda i: boundaries[i - 1].confidence)
    ranked = doubtful + [i for i in range(len(cuts.shots)) if i not in set(doubtful)]
    cards = [_shot_card(cuts, i, boundaries[i - 1] if i else None, rank, sources) for rank, i in enumerate(ranked)]
    lines = "".join(f"<p>{text(line)}</p>" for line in told)
    shown = most_likely(rejected)
    left = f" The {len(shown)} likeliest of {len(rejected)} are shown." if len(shown) < len(rejected) else ""
    more = "".join(_rejected_card(r, cuts, sources) for r in shown)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="icon" href="data:,"><title>{text(title)}</title><style>{STYLE}</style></head>\n<body>\n'
        f'<h1>{text(title)}</h1>{lines}'
        '<div class="bar"><button type="button" data-by="doubt" aria-pressed="true">Doubtful first</button>'
        '<button type="button" data-by="film" aria-pressed="false">In the order of the film</button></div>\n'
        f"<section><h2>{_count(len(cuts.shots), 'shot')}, {len(doubtful)} with a doubtful beginning</h2>"
        f'<div class="cards" id="shots">{"".join(cards)}</div></section>\n'
        f'<section id="rejected"><h2>{text(rejected_title)}: {len(rejected)}</h2><p>{text(rejected_told)}{left}</p>'
        f'<div class="cards">{more}</div></section>\n'
        f"<script>{SCRIPT}</script>\n</body></html>\n"
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def text(value: Any) -> str:
    """Escaped for HTML, attributes too."""
    return html.escape(str(value), quote=True)


def _shot_card(cuts: CutList, index: int, before: Transition | None, rank: int, sources: Mapping[int, str]) -> str:
    """One shot: the frame before it, its first and its last."""
    shot = cuts.shots[index]
    first, last = clear_ends(cuts, index)
    figures = "" if before is None else "".join(
        _figure(frame, f"{what} {frame}", sources, "before") for frame, what in boundary_frames(before) if frame >= 0)
    figures += _figure(first, f"first {first}", sources) + _figure(last, f"last {last}", sources)
    doubtful = before is not None and before.confidence < DOUBTFUL
    kind = "the film begins" if before is None else _kind_of(before)
    sure = "" if before is None else (
        f'<span>confidence {before.confidence:.2f} <meter min="0" max="1" low="{DOUBTFUL}" optimum="1" '
        f'value="{before.confidence:.3f}"></meter></span>')
    why = f'<p class="why">{text(before.why)}</p>' if before is not None and before.why else ""
    label = f"<span>{text(shot.label or shot.group)}</span>" if shot.label or shot.group else ""
    return (f'<article class="{"doubtful" if doubtful else "sure"}" data-shot="{shot.number}" data-rank="{rank}">'
            f"<header><b>{shot.number}</b><span>{text(kind)}</span><span>{format_timecode(shot.start, cuts.rate)}, frame "
            f"{shot.start}, {shot.frames} frames</span>{label}{sure}</header>"
            f'<div class="pictures">{figures}</div>{why}</article>\n')  # fmt: skip


def _kind_of(t: Transition) -> str:
    return "cut" if t.end - t.start < 1 else f"{t.kind} over frames {t.start} to {t.end}"


def _rejected_card(r: Rejected, cuts: CutList, sources: Mapping[int, str]) -> str:
    figures = _figure(r.frame - 1, f"{r.frame - 1}", sources) + _figure(r.frame, f"{r.frame}", sources)
    at = format_timecode(r.frame, cuts.rate)
    return (f'<article><header><b>{r.frame}</b><span>{at}</span><span>likelihood {r.score:.2f}</span></header>'
            f'<div class="pictures">{figures}</div><p class="why">{text(r.why)}</p></article>\n')  # fmt: skip


def _figure(frame: int, caption: str, sources: Mapping[int, str], kind: str = "") -> str:
    picture = f'<img alt="frame {frame}" loading="lazy" src="{sources[frame]}">' if frame in sources else ""
    mark = f' class="{kind}"' if kind else ""
    return f"<figure{mark}>{picture}<figcaption>{text(caption)}</figcaption></figure>"


def _source(pixels: Pixels) -> str:
    """A picture inside the page."""
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(out, "JPEG", quality=72)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()
