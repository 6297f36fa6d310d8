"""What every page that we write has in common: one file that opens without a network and asks for nothing from outside."""

from __future__ import annotations

import base64
import html
import io
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Forbids everything that would come from elsewhere, whatever a page's texts may hold.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
POLICY_FILES = POLICY.replace("img-src data:", "img-src 'self' file: data:")  # of a page with pictures beside it

GROUND = """
:root { color-scheme: dark; --ground: #121212; --frame: #1b1b1b; --ink: #ebebeb; --faint: #a0a0a0; --line: #333;
  --mark: #56b4e9; --warn: #e69f00 }
* { box-sizing: border-box }
"""
# A column of text and pictures with a bar of buttons.
COLUMN = GROUND + """
body { margin: 0 auto; padding: 1.5rem clamp(1rem, 3vw, 3rem) 4rem; max-width: 1700px; background: var(--ground);
  color: var(--ink); font: 16px/1.5 system-ui, sans-serif }
h1 { font-size: 1.5rem; margin: 0; overflow-wrap: anywhere } h2 { font-size: 1.1rem; margin: 2.5rem 0 .5rem }
p { color: var(--faint); margin: .25rem 0 .75rem; max-width: 80ch }
.bar { display: flex; gap: .5rem; flex-wrap: wrap; margin: 1rem 0 }
.bar button { font: inherit; color: var(--ink); background: var(--frame); border: 1px solid var(--line); border-radius: 6px;
  padding: .35rem 1rem; cursor: pointer }
.bar button[aria-pressed=true] { border-color: var(--mark); color: var(--mark) }
:focus-visible { outline: 2px solid var(--mark); outline-offset: 2px }
article { background: var(--frame); border: 1px solid var(--line); border-radius: 8px; min-width: 0 }
article header { display: flex; gap: .25rem .75rem; align-items: baseline; flex-wrap: wrap; font-variant-numeric: tabular-nums }
article header b { font-size: 1.1rem } article header span { color: var(--faint); font-size: .9rem }
"""
# Cards of shots, each with data-shot and data-rank, in #shots; buttons with data-by set their order.
IN_ORDER = """
const buttons = [...document.querySelectorAll('.bar button')], shots = document.getElementById('shots');
function order(by) {
  const key = by === 'film' ? a => Number(a.dataset.shot) : a => Number(a.dataset.rank);
  [...shots.children].sort((a, b) => key(a) - key(b)).forEach(a => shots.append(a));
  buttons.forEach(b => b.setAttribute('aria-pressed', String(b.dataset.by === by)));
}
buttons.forEach(b => b.addEventListener('click', () => order(b.dataset.by)));
"""


def text(value: Any) -> str:
    """Escaped for HTML, attributes too."""
    return html.escape(str(value), quote=True)


def document(title: str, style: str, body: str, script: str = "", policy: str = POLICY) -> str:
    """The whole page. body: HTML. script: run at its end."""
    run = f"<script>{script}</script>\n" if script else ""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="icon" href="data:,"><title>{text(title)}</title><style>{style}</style></head>\n'
        f"<body>\n{body}\n{run}</body></html>\n"
    )


def order_bar(rank: str) -> str:
    """The buttons of IN_ORDER. rank: what the order by rank is called."""
    return (f'<div class="bar"><button type="button" data-by="rank" aria-pressed="true">{text(rank)}</button>'
            '<button type="button" data-by="film" aria-pressed="false">In the order of the film</button></div>\n')  # fmt: skip


def data_element(name: str, data: Any) -> str:
    """JSON for the page's script to find by this id."""
    inside = json.dumps(data, ensure_ascii=False).replace("<", "\\u003c")  # a script element ends at the first </script
    return f'<script type="application/json" id="{name}">{inside}</script>'


def jpeg_source(pixels: NDArray[np.uint8], quality: int = 80, **more: Any) -> str:
    """A picture uint8 [h, w, 3] as what an img's src holds inside the page."""
    from PIL import Image

    packed = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(packed, "JPEG", quality=quality, **more)
    return "data:image/jpeg;base64," + base64.b64encode(packed.getvalue()).decode()
