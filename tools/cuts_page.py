"""The page beside a cut list: first and last frame of every shot, doubtful boundaries first, then what was rejected.

One file, its pictures inside it; it asks for nothing from outside and works without a network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from player.show.cut_list import CutList
from player.show.film import format_timecode
from tools.cuts_sheet import clear_ends
from tools.cuts_text import counted
from tools.cuts_transition import DOUBTFUL, Rejected, Transition
from tools.page import COLUMN, IN_ORDER, document, jpeg_source, order_bar, text

Pixels = NDArray[np.uint8]
MOST_REJECTED = 120  # on the page; the record beside the list holds them all
STYLE = COLUMN + """
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 30rem), 1fr)); gap: .75rem }
article { padding: .6rem .75rem .75rem }
article.doubtful { border-color: var(--warn) }
.pictures { display: flex; gap: .35rem; margin-top: .4rem }
figure { margin: 0; flex: 1 1 0; min-width: 0 }
figure.before { opacity: .75 }
img { display: block; width: 100%; height: auto; border-radius: 3px; background: #000 }
figcaption { color: var(--faint); font-size: .78rem; font-variant-numeric: tabular-nums }
.why { color: var(--faint); font-size: .85rem; margin: .4rem 0 0 }
meter { width: 6rem; height: .8rem; vertical-align: middle }
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
    sources = {frame: jpeg_source(pixels, 72) for frame, pixels in pictures.items()}
    doubtful = [i for i in range(1, len(cuts.shots)) if boundaries[i - 1].confidence < DOUBTFUL]
    doubtful.sort(key=lambda i: boundaries[i - 1].confidence)
    ranked = doubtful + [i for i in range(len(cuts.shots)) if i not in set(doubtful)]
    cards = [_shot_card(cuts, i, boundaries[i - 1] if i else None, rank, sources) for rank, i in enumerate(ranked)]
    lines = "".join(f"<p>{text(line)}</p>" for line in told)
    shown = most_likely(rejected)
    left = f" The {len(shown)} likeliest of {len(rejected)} are shown." if len(shown) < len(rejected) else ""
    more = "".join(_rejected_card(r, cuts, sources) for r in shown)
    body = (
        f"<h1>{text(title)}</h1>{lines}{order_bar('Doubtful first')}"
        f"<section><h2>{counted(len(cuts.shots), 'shot')}, {len(doubtful)} with a doubtful beginning</h2>"
        f'<div class="cards" id="shots">{"".join(cards)}</div></section>\n'
        f'<section id="rejected"><h2>{text(rejected_title)}: {len(rejected)}</h2><p>{text(rejected_told)}{left}</p>'
        f'<div class="cards">{more}</div></section>'
    )
    return document(title, STYLE, body, IN_ORDER)


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
