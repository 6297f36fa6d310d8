"""The page of a sorted sheet, in a real browser: what is selected is saved, what is frozen comes back in the next run."""

from __future__ import annotations

import csv
import io
import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("scipy", reason="scipy assigns")

from tests.sorted_frames import CUTS, colour_of, frames_below, sort
from tools.sort_order import format_order, parse_order, read_order

BROWSER_FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                 "--disable-background-networking")  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return frames_below(tmp_path)


def test_the_page_holds_all_it_needs_and_no_text_breaks_out_of_it(folder: Path, tmp_path: Path) -> None:
    (folder / "f000000.png").rename(folder / "f000000 </script><b>.png".replace("/", "_"))
    (tmp_path / "l.csv").write_text("name,label\nf000001,</script><script>alert(1)</script>\n")
    assert sort(folder, "-o", tmp_path / "a&b.png", "--features", "pixels", "--groups", tmp_path / "l.csv") == 0
    page = (tmp_path / "a&b.html").read_text()
    assert page.count("<script") == 2 == page.count("</script>") and "alert(1)</script>" not in page
    assert "://" not in page and "<title>a&amp;b.png</title>" in page and str(tmp_path) not in page


@pytest.mark.slow
def test_a_browser_selects_freezes_and_saves_what_the_next_run_keeps(folder: Path, tmp_path: Path) -> None:
    """From the file itself, with no server: mouse and keyboard, the lists that are saved, the order that goes back in."""
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    browser_path = shutil.which("chromium")
    if browser_path is None:
        pytest.skip("chromium is not installed")
    (tmp_path / "cuts.csv").write_text(CUTS)
    command = (folder, "-o", tmp_path / "s.png", "--features", "pixels", "--columns", 8, "--groups", tmp_path / "cuts.csv")
    assert sort(*command) == 0
    order = read_order(tmp_path / "s.csv")
    names = [[c.name for c in order.cells if c.row == y] for y in range(5)]
    expect, said, asked = playwright.expect, [], []
    with playwright.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=browser_path, args=list(BROWSER_FLAGS))
        page = browser.new_page(viewport={"width": 1200, "height": 800}, accept_downloads=True)
        page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: said.append(f"error: {error}"))
        page.on("request", lambda request: asked.append(request.url))
        page.goto((tmp_path / "s.html").as_uri(), wait_until="load")
        count, name = page.locator("#count"), page.locator("#name")
        expect(count).to_have_text("Nothing selected")
        expect(name).to_contain_text(names[0][0])
        painted = page.eval_on_selector("#here", "c => [...c.getContext('2d').getImageData(288, 200, 1, 1).data].slice(0, 3)")
        assert np.abs(np.array(painted) - colour_of(order.cells[0].index)).max() <= 4

        def saved(button: str) -> str:
            with page.expect_download() as download:
                page.click(button)
            return Path(download.value.path()).read_text(encoding="utf-8")

        assert saved("#order") == (tmp_path / "s.csv").read_text()
        page.focus("#sheet")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Shift+ArrowDown")
        expect(count).to_have_text("2 pictures selected")
        assert saved("#list").split() == [names[0][1], names[1][1]]
        table = list(csv.DictReader(io.StringIO(saved("#table"))))
        assert [(r["row"], r["column"], r["name"]) for r in table] == [("0", "1", names[0][1]), ("1", "1", names[1][1])]
        page.keyboard.press("x")
        page.keyboard.press("Escape")
        page.keyboard.press("End")
        page.keyboard.press("f")
        expect(name).to_contain_text("frozen")
        swapped = parse_order(saved("#order"), "saved")
        assert {(c.row, c.column): c.name for c in swapped.frozen} == {(0, 1): names[1][1], (1, 1): names[0][1],
                                                                       (1, 7): names[1][7]}  # fmt: skip
        (tmp_path / "s.csv").write_text(format_order(swapped, "s.png"))

        box = page.locator("#sheet").bounding_box()
        assert box is not None
        zoom, across, down = page.evaluate("() => [zoom, across, down]")
        left, top = page.evaluate("() => [left, top_]")

        def centre(row: int, column: int) -> tuple[float, float]:
            return (box["x"] + ((column + 0.5) * across - left) * zoom, box["y"] + ((row + 0.5) * down - top) * zoom)

        page.mouse.click(*centre(3, 2))
        expect(count).to_have_text("1 picture selected")
        expect(name).to_contain_text(names[3][2])
        page.keyboard.down("Shift")
        page.mouse.move(*centre(2, 4))
        page.mouse.down()
        page.mouse.move(*centre(4, 6), steps=4)
        page.mouse.up()
        page.keyboard.up("Shift")
        expect(count).to_have_text("10 pictures selected")
        page.mouse.wheel(0, -600)
        assert page.evaluate("() => zoom") > 2 * zoom
        page.mouse.down()
        page.mouse.move(box["x"] + 300, box["y"] + 200, steps=4)
        page.mouse.up()
        expect(count).to_have_text("10 pictures selected")
        page.keyboard.press("0")
        page.keyboard.press("Escape")
        page.click("#groups button >> nth=0")
        expect(count).to_have_text("20 pictures selected")
        page.keyboard.press("/")
        page.keyboard.type(names[4][3][:-4])
        expect(name).to_contain_text(names[4][3])
        page.keyboard.press("Enter")
        page.keyboard.press("Control+a")
        expect(count).to_have_text("40 pictures selected")
        page.reload()
        expect(count).to_have_text("40 pictures selected")
        page.screenshot(path=tmp_path / "page.png")
        page.set_viewport_size({"width": 390, "height": 800})
        narrow = page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        browser.close()
    assert not said, said
    assert narrow and asked and all(url.startswith(("file:", "data:", "blob:")) for url in asked)
    assert sort(*command, "--seed", 3) == 0
    after = {(c.row, c.column): c for c in read_order(tmp_path / "s.csv").cells}
    assert after[0, 1].name == names[1][1] and after[1, 1].name == names[0][1] and after[1, 7].name == names[1][7]
