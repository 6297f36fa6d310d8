"""The page and the sheets beside a cut list: what stands where, and in a real browser."""

from __future__ import annotations

import io
import re
import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from player.show.cut_list import CutList, Shot
from tools.cuts_page import boundary_frames, frames_shown, page
from tools.cuts_sheet import clear_ends, groups_sheet, shots_sheet
from tools.cuts_transition import Rejected, Transition

BROWSER_FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                 "--disable-background-networking")  # fmt: skip
CUTS = CutList("<film> & co", Fraction(24), 100, (
    Shot(1, 0, 20, out="fade", out_frames=5, out_colour="black"), Shot(2, 20, 50, label="</script><b>", group="A"),
    Shot(3, 50, 80, "dissolve", 10, group="A"), Shot(4, 80, 81), Shot(5, 81, 100)))
BOUNDARIES = (Transition(20, "fade", 15, 20, 0.97, "3 empty frames"), Transition(50, "dissolve", 50, 60, 0.55, "so & so"),
              Transition(80, "cut", 80, 80, 0.4, "a shot of one frame?"), Transition(81, "cut", 81, 81, 0.9, "plain"))
REJECTED = (Rejected(30, 0.3, "a flash"), Rejected(70, 0.45, "motion"))


def pictures() -> dict[int, np.ndarray]:
    return {f: np.full((18, 24, 3), 2 * f, np.uint8) for f in frames_shown(CUTS, BOUNDARIES, REJECTED)}


def made() -> str:
    return page(CUTS, BOUNDARIES, REJECTED, pictures(), "Cuts of <film> & co", ["a line & more"], "Rejected", "Why <not>.")


def test_doubtful_shots_come_first_and_each_shows_its_first_and_last_whole_frame() -> None:
    text = made()
    assert re.findall(r'data-shot="(\d)"', text) == ["4", "3", "1", "2", "5"]
    assert clear_ends(CUTS, 0) == (0, 14) and clear_ends(CUTS, 2) == (60, 79) and clear_ends(CUTS, 3) == (80, 80)
    card = text.split('data-shot="3"')[1].split("</article>")[0]
    assert re.findall(r"<figcaption>(.*?)</figcaption>", card) == ["before 49", "dissolve 55", "first 60", "last 79"]
    assert "confidence 0.55" in card and "so &amp; so" in card and "dissolve over frames 50 to 60" in card
    assert boundary_frames(BOUNDARIES[2]) == [(79, "before")]


def test_rejected_candidates_are_shown_likeliest_first_with_the_frames_on_both_sides() -> None:
    section = made().split('id="rejected"')[1]
    assert section.index("motion") < section.index("a flash")
    assert re.findall(r"<figcaption>(\d+)</figcaption>", section) == ["69", "70", "29", "30"]


def test_the_page_is_one_file_that_asks_for_nothing_and_escapes_everything() -> None:
    text = made()
    assert "://" not in text and text.count("<script") == 1 and "<b>&" not in text and "&lt;/script&gt;&lt;b&gt;" in text
    assert "Cuts of &lt;film&gt; &amp; co" in text and "Why &lt;not&gt;." in text
    assert text.count("data:image/jpeg;base64,") == len(re.findall("<img", text)) > 10


def test_a_list_of_one_shot_has_a_page() -> None:
    cuts = CutList("f", Fraction(24), 10, (Shot(1, 0, 10),))
    text = page(cuts, [], [], {}, "t", [])
    assert "1 shot," in text and "<img" not in text


def test_the_sheets_have_a_place_for_every_shot() -> None:
    with Image.open(io.BytesIO(shots_sheet(CUTS, pictures()))) as sheet:
        assert sheet.size[0] > 5 * 200
    groups = {"A": [CUTS.shots[1], CUTS.shots[2]], "B": [CUTS.shots[0]], "C": [CUTS.shots[3]]}
    some = {(s.start + s.end) // 2: np.full((30, 40, 3), 200, np.uint8) for s in CUTS.shots}
    with Image.open(io.BytesIO(groups_sheet(CUTS, groups, some, 80))) as sheet:
        assert sheet.size[0] > 160 and sheet.size[1] > 2 * 60
    assert groups_sheet(CUTS, {}, {}, 80).startswith(b"\x89PNG")


@pytest.mark.slow
def test_a_browser_opens_the_page_and_sorts_it(tmp_path: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    browser_path = shutil.which("chromium")
    if browser_path is None:
        pytest.skip("chromium is not installed")
    path = tmp_path / "cuts.html"
    path.write_text(made(), encoding="utf-8")
    said: list[str] = []
    asked: list[str] = []
    order = "[...document.querySelectorAll('#shots article')].map(a => a.dataset.shot).join('')"
    with playwright.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=browser_path, args=list(BROWSER_FLAGS))
        tab = browser.new_page(viewport={"width": 1280, "height": 900})
        tab.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
        tab.on("pageerror", lambda error: said.append(f"error: {error}"))
        tab.on("request", lambda request: asked.append(request.url))
        tab.goto(path.as_uri())
        doubtful = tab.evaluate(order)
        tab.get_by_role("button", name="In the order of the film").click()
        film_order = tab.evaluate(order)
        tab.get_by_role("button", name="Doubtful first").click()
        back = tab.evaluate(order)
        loaded = tab.evaluate("[...document.images].filter(i => i.complete).every(i => i.naturalWidth == 24)")
        wide = tab.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        tab.set_viewport_size({"width": 390, "height": 800})
        narrow = tab.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        browser.close()
    assert (doubtful, film_order, back) == ("43125", "12345", "43125")
    assert loaded and wide and narrow and not said, said
    assert all(url.startswith(("file:", "data:")) for url in asked)
