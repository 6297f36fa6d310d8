"""SHEET.html: the sorted sheet to walk about in: zoom, select, freeze; one file that opens anywhere without a network.

Pictures, names and script are inside it, and its content policy forbids everything that would come from elsewhere. What a
person selects is saved as a list or table of names; what is frozen or swapped, as the order that the next run keeps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tools.page import GROUND, data_element, document, jpeg_source, text
from tools.sort_order import COLUMNS, Order, format_rows
from tools.sort_page_script import SCRIPT
from tools.sort_sheet import GAP, NO_LABEL, colours_of, mosaic

Pixels = NDArray[np.uint8]
STRIP_PX = 2048  # of sheet in one picture of the page: browsers decode several small ones sooner than a large one
QUALITY = 84

STYLE = GROUND + """
:root { --mark: #ffb000 }
html, body { height: 100%; margin: 0 }
body { display: flex; background: var(--ground); color: var(--ink); font: 15px/1.45 system-ui, sans-serif }
#stage { flex: 1 1 auto; min-width: 0; position: relative; overflow: hidden }
#sheet { position: absolute; inset: 0; width: 100%; height: 100%; touch-action: none; cursor: crosshair }
#sheet:focus-visible { outline: 1px solid var(--mark); outline-offset: -1px }
aside { flex: 0 0 20rem; max-height: 100%; overflow-y: auto; padding: 1rem; border-left: 1px solid var(--line);
  background: var(--frame) }
h1 { font-size: 1.05rem; margin: 0; overflow-wrap: anywhere } h2 { font-size: .95rem; margin: 1.25rem 0 .4rem }
p { margin: .2rem 0; color: var(--faint); font-size: .85rem }
#here { width: 100%; height: auto; display: block; margin: .75rem 0 .4rem; background: var(--ground) }
#name { overflow-wrap: anywhere; min-height: 3.9em } #name small { color: var(--faint); display: block }
button, input { font: inherit; color: var(--ink); background: var(--ground); border: 1px solid var(--line);
  border-radius: 6px; padding: .3rem .6rem; min-height: 2rem }
button { cursor: pointer } button:hover:not(:disabled) { border-color: var(--faint) }
button:disabled { color: #777; cursor: default }
input { width: 100% }
:focus-visible { outline: 2px solid var(--mark); outline-offset: 1px }
.row { display: flex; flex-wrap: wrap; gap: .4rem }
#groups button { display: flex; width: 100%; gap: .6rem; text-align: left; border-color: transparent; padding: .15rem .4rem;
  background: none; align-items: center; min-height: 1.8rem }
#groups button:hover { border-color: var(--line) }
#groups i { flex: 0 0 .9rem; height: .9rem; border-radius: 2px } #groups span { flex: 1; overflow-wrap: anywhere }
#groups small { color: var(--faint) }
dl { display: grid; grid-template-columns: auto 1fr; gap: .1rem .7rem; margin: .3rem 0; font-size: .85rem; color: var(--faint) }
dt { color: var(--ink); white-space: nowrap } dd { margin: 0 }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%) }
@media (max-width: 760px) { body { flex-direction: column } aside { flex: 0 0 45%; border-left: 0;
  border-top: 1px solid var(--line) } #here { max-width: 11rem } }
"""

BODY = """<div id="stage"><canvas id="sheet" tabindex="0" role="application" aria-label="The sorted sheet"
 aria-describedby="keys"></canvas></div>
<aside><h1>@TITLE</h1><p>@TOLD</p>
<canvas id="here" width="576" height="@HERE" role="img" aria-label="The picture under the cursor"></canvas>
<div id="name"></div><div id="said" class="unseen" aria-live="polite"></div>
<div class="row"><button id="in" type="button">+</button><button id="out" type="button" aria-label="Zoom out">&minus;</button>
<button id="whole" type="button">Whole sheet</button></div>
<h2><label for="find">Find a name</label></h2><input id="find" type="search" autocomplete="off" spellcheck="false">
<h2 id="count" aria-live="polite">Nothing selected</h2>
<div class="row"><button id="copy" type="button">Copy names</button><button id="list" type="button">Save list</button>
<button id="table" type="button">Save table</button><button id="none" type="button">Clear</button></div>
<h2>Next run</h2><p>Frozen pictures keep their cell. Save the order over @ORDER and sort again.</p>
<div class="row"><button id="freeze" type="button">Freeze</button><button id="swap" type="button">Swap two</button>
<button id="order" type="button">Save order</button></div>
<section id="groups" @HIDDEN><h2>Groups</h2></section>
<h2>Keys</h2><dl id="keys"><dt>arrows</dt><dd>move; with Shift select on the way</dd><dt>Space, click</dt><dd>select one</dd>
<dt>Shift + drag</dt><dd>select a rectangle</dd><dt>drag, wheel</dt><dd>move about, zoom</dd><dt>+ &minus; 0 1</dt>
<dd>zoom, whole sheet, full size</dd><dt>F X</dt><dd>freeze, swap two</dd><dt>/</dt><dd>find a name</dd>
<dt>Ctrl + A, Esc</dt><dd>all, none</dd></dl></aside>"""


def strips_of(layout: NDArray[np.int64], thumbs: Pixels) -> list[dict[str, Any]]:
    """The sheet without margins as JPEG, top to bottom: {first row, rows, src}."""
    step = max(1, STRIP_PX // (thumbs.shape[1] + GAP))
    made = []
    for first in range(0, len(layout), step):
        last = min(len(layout), first + step)
        src = jpeg_source(mosaic(layout, thumbs, first, last), QUALITY, subsampling=0)
        made.append({"first": first, "rows": last - first, "src": src})
    return made


def page(title: str, order: Order, layout: NDArray[np.int64], thumbs: Pixels, groups: Mapping[str, Sequence[int]],
         told: str) -> str:  # fmt: skip
    """The whole page. title: the sheet's file name. order: its cells, row by row, and those that wait. thumbs: uint8
    [N, h, w, 3]. told: a line on how it was made."""
    height, width = thumbs.shape[1:3]
    colours = {label: f"#{bytes(colour).hex()}" for label, colour in colours_of(groups).items()}
    data = {
        "title": title, "rows": order.rows, "columns": order.columns, "width": width, "height": height, "gap": GAP,
        "head": COLUMNS, "cells": [[c.index, c.name, c.frame, c.label, int(c.frozen)] for c in order.cells[: layout.size]],
        "waiting": format_rows(order.cells[layout.size :]),
        "groups": [[label, label or NO_LABEL, colours[label], len(members)] for label, members in groups.items()],
        "strips": strips_of(layout, thumbs),
    }  # fmt: skip
    stem = title.rpartition(".")[0] or title
    body = BODY.replace("@TITLE", text(title)).replace("@TOLD", text(told))
    body = body.replace("@HERE", str(round(576 * height / width))).replace("@ORDER", text(stem + ".csv"))
    body = body.replace("@HIDDEN", "" if groups else "hidden")
    return document(title, STYLE, f"{body}\n{data_element('data', data)}", SCRIPT)
