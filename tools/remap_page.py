"""The report of a remap as one HTML page: for every shot the original above the remake, its numbers, the worst first.

Its pictures are inside it; it asks for nothing from outside and works without a network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from player.show.cut_list import CutList, Shot
from player.show.film import format_timecode
from tools.page import COLUMN, IN_ORDER, document, jpeg_source, order_bar, text
from tools.remap_measure import ShotMeasure, Summary, worst_first

Pixels = NDArray[np.uint8]
PICTURES = 5  # of each shot
RIGHT_MOTION = (0.8, 1.2)
STYLE = COLUMN + """
p { max-width: 90ch }
dl + p { margin-top: 1rem }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(10rem, 1fr)); gap: .25rem 1.5rem; margin: 0 }
dl div { display: flex; justify-content: space-between; gap: .75rem; border-bottom: 1px solid var(--line) }
dt { color: var(--faint) } dd { margin: 0; font-variant-numeric: tabular-nums } dd.warn { color: var(--warn) }
article { padding: .75rem; margin: 0 0 1rem }
article.warn { border-color: var(--warn) }
.row { display: flex; gap: .35rem; margin-top: .35rem; align-items: center }
.row > span { flex: 0 0 4.5rem; color: var(--faint); font-size: .85rem }
.row img { flex: 1 1 0; min-width: 0; width: 100%; height: auto; border-radius: 3px; background: #000 }
article dl { margin-top: .6rem; font-size: .9rem }
"""

TOLD = (
    "Likeness: 0 as far from the film as random pictures of the generator are, 1 the film itself, in features that the fit did "
    "not use. Nearest: the shot of the film whose frames are nearest to the remake's; a shot of the same group counts. Motion: "
    "how much it moves beside the film, 0.8 to 1.2 is right, above is flicker, below is frozen. Correlation: whether it moves "
    "at the same place and time, 1 is the film's own motion. Cut: the share of the step from shot to shot that is taken at the "
    "cut itself. Off: distance of its latents from those that the generator was trained to show; its own samples have 1."
)


@dataclass(frozen=True)
class ShotPictures:
    """frames: film frames; film, made: uint8 [h, w, 3] at each."""

    frames: Sequence[int]
    film: Sequence[Pixels]
    made: Sequence[Pixels]


def page(cuts: CutList, shots: Sequence[ShotMeasure], summary: Summary | None, pictures: Mapping[int, ShotPictures], title: str,
         lines: Sequence[str] = ()) -> str:  # fmt: skip
    """The whole page as HTML. pictures: by shot number, for the shots that have a walk. lines: under the title."""
    ranked = [m.shot for m in worst_first(shots)]
    ranked += [n for n in pictures if n not in ranked]
    by_number = {m.shot: m for m in shots}
    cards = "".join(_card(cuts, cuts.shots[n - 1], by_number.get(n), rank, pictures[n])
                    for rank, n in enumerate(ranked) if n in pictures)  # fmt: skip
    missing = [s for s in cuts.shots if s.number not in pictures]
    rest = ""
    if missing:
        names = ", ".join(str(s.number) for s in missing)
        rest = f"<h2>Without a walk</h2><p>Shots {text(names)}: they play black, the film or a clip.</p>"
    told = "".join(f"<p>{text(line)}</p>" for line in lines)
    body = (
        f"<h1>{text(title)}</h1>{told}{_summary(summary)}<p>{text(TOLD)}</p>{order_bar('Worst first')}"
        f'<section id="shots">{cards}</section>{rest}'
    )
    return document(title, STYLE, body, IN_ORDER)


def _value(name: str, value: str, warn: bool = False) -> str:
    mark = ' class="warn"' if warn else ""
    return f"<div><dt>{text(name)}</dt><dd{mark}>{text(value)}</dd></div>"


def off_motion(ratio: float) -> bool:
    """Whether a motion ratio is not right."""
    return not RIGHT_MOTION[0] <= ratio <= RIGHT_MOTION[1]


def _summary(s: Summary | None) -> str:
    """The means over all shots."""
    if s is None:
        return ""
    cut = "" if s.cut is None else _value("cut sharpness", f"{s.cut:.2f}")
    return (
        f'<dl id="summary">{_value("shots", str(s.shots))}{_value("likeness", f"{s.likeness:.2f}")}'
        f'{_value("identified", f"{round(s.identified * s.shots)} of {s.shots}", s.identified < 1)}'
        f'{_value("motion ratio", f"{s.motion:.2f}", off_motion(s.motion))}'
        f'{_value("correlation", f"{s.correlation:.2f}", s.correlation < 0.6)}{cut}{_value("off", f"{s.off:.2f}")}</dl>'
    )


def _card(cuts: CutList, shot: Shot, m: ShotMeasure | None, rank: int, pictures: ShotPictures) -> str:
    """One shot."""
    numbers = ""
    if m is not None:
        nearest = "itself" if m.nearest == shot.number else f"shot {m.nearest}"
        cut = "" if m.cut is None else _value("cut", f"{m.cut:.2f}")
        numbers = (
            f'<dl>{_value("likeness", f"{m.likeness:.2f}")}{_value("nearest", nearest, not m.identified)}'
            f'{_value("motion", f"{m.motion:.2f}", off_motion(m.motion))}{_value("correlation", f"{m.correlation:.2f}")}'
            f'{cut}{_value("off", f"{m.off:.2f}")}</dl>'
        )
    label = " · ".join(t for t in (shot.label, shot.group) if t)
    warn = ' class="warn"' if m is not None and not m.identified else ""
    return (
        f'<article{warn} data-shot="{shot.number}" data-rank="{rank}"><header><b>{shot.number}</b><span>{text(label)}</span>'
        f"<span>{format_timecode(shot.start, cuts.rate)}, frame {shot.start}, {shot.frames} frames</span></header>"
        f'{_row("film", pictures.film, pictures.frames)}{_row("remake", pictures.made, pictures.frames)}{numbers}</article>\n'
    )


def _row(name: str, pictures: Sequence[Pixels], frames: Sequence[int]) -> str:
    images = "".join(f'<img alt="{name}, frame {f}" title="frame {f}" width="{p.shape[1]}" height="{p.shape[0]}" '
                     f'src="{jpeg_source(p)}">' for p, f in zip(pictures, frames, strict=True))  # fmt: skip
    return f'<div class="row {name}"><span>{name}</span>{images}</div>'
