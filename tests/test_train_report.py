"""The report of a run: from a hand-made folder, from half of one, and opened in a real browser."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from player.show.problem import ShowError
from tools.train_grids import decimals_of, grid_name
from tools.train_report import read_run, write_report
from tools.train_report_plots import MOST_POINTS, panels_of, sheet_png, thinned

BROWSER_FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                 "--disable-background-networking")  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of 10 kimg: a log, three measurements, four grids, options that would break a careless page."""
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    folder = tmp_path / "run & <b>"
    (folder / "grids").mkdir(parents=True)
    rng = np.random.default_rng(1)
    lines = []
    for i in range(1, 101):
        kimg = i / 10
        lines.append({"kimg": kimg, "elapsed_s": 30.0 * i, "pictures_per_s": 9 + rng.normal(), "g": 1 + 1 / kimg,
                      "d": 1.2 + rng.normal() * 0.05, "real": 0.5, "fake": -0.5, "p": i / 250, "rt": 0.4,
                      "r1": 0.1 / i, "path": 0.05})  # fmt: skip
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "metrics.jsonl").write_text("".join(
        json.dumps({"kimg": k, "elapsed_s": k * 300, "kid": 0.5 / k, "kid_deviation": 0.02, "swd": 0.3 / k,
                    "swd_16": 0.2 / k, "swd_128": 0.5 / k, "precision": 0.2 * k / 3, "recall": 0.1 * k / 3,
                    "memorisation": 2 - 0.1 * k, "copies": 0.0}) + "\n" for k in (3.0, 6.0, 10.0)))  # fmt: skip
    for i, kimg in enumerate((1, 3, 6, 10)):
        picture = np.full((96, 128, 3), 60 * i + 20, np.uint8)
        Image.fromarray(picture).save(folder / "grids" / f"{kimg:06d}.png")
    Image.fromarray(np.full((200, 300, 3), 90, np.uint8)).save(folder / "nearest.png")
    options = {"options": {"dataset": "</script><script>alert(1)</script>", "seed": 1, "resume": False, "cuts": None},
               "recipe": {"lr": 0.0025, "blocks": [1, 2]}, "torch": "2", "grid_columns": 8}  # fmt: skip
    (folder / "options.json").write_text(json.dumps(options))
    return folder


def test_a_report_is_a_picture_and_a_page_and_nothing_else_is_left(run: Path) -> None:
    before = {p.name for p in run.iterdir()}
    picture, page = write_report(run)
    assert (picture, page) == (run / "report.png", run / "report.html")
    assert {p.name for p in run.iterdir()} == before | {"report.png", "report.html"}
    with Image.open(picture) as opened:
        assert opened.format == "PNG" and opened.size[0] > 1400 and opened.size[1] > 700


def test_the_page_names_nothing_outside_the_run_folder(run: Path) -> None:
    page = write_report(run)[1].read_text()
    assert "://" not in page and "//" not in page.split("<body>")[1].replace("data:image/png;base64,", "").partition("iVBOR")[0]
    assert str(run.parent) not in page
    assert page.count("<script") == 2 and "&lt;/script&gt;" in page and "run &amp; &lt;b&gt;" in page


def test_the_table_marks_the_best_and_the_newest_is_on_top(run: Path) -> None:
    page = write_report(run)[1].read_text()
    table = page.split('id="metrics"')[1].split("</table>")[0]
    first = table.split("<tbody>")[1].split("</tr>")[0]
    assert first.startswith("<tr><td>10.0</td>") and first.count('class="best"') == 6


def test_a_run_without_anything_yet_has_a_report(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    picture, page = write_report(tmp_path)
    assert picture.stat().st_size > 1000
    told = page.read_text()
    assert "Nothing measured yet" in told and "No sample grid yet" in told and "No options.json" in told


def test_one_tick_without_metrics_has_a_report(run: Path) -> None:
    (run / "metrics.jsonl").unlink()
    (run / "nearest.png").unlink()
    (run / "log.jsonl").write_text((run / "log.jsonl").read_text().splitlines()[0] + "\n")
    for kimg in (3, 6, 10):
        (run / "grids" / f"{kimg:06d}.png").unlink()
    page = write_report(run)[1].read_text()
    assert 'max="0"' in page and "disabled" in page


def test_a_line_cut_in_writing_and_values_that_are_not_finite_are_passed_over(run: Path) -> None:
    with (run / "log.jsonl").open("a") as log:
        log.write('{"kimg": 10.1, "g": NaN, "d": Infinity}\n[1, 2]\n{"kimg": "many"}\n{"kimg": 10.2, "g": 1.')
    with (run / "metrics.jsonl").open("a") as log:
        log.write('{"kimg": 10.1, "kid": NaN}\n')
    (run / "options.json").write_text("{")
    record = read_run(run)
    assert len(record.log) == 101 and record.log[-1]["kimg"] == 10.1
    write_report(run)


def test_lines_that_a_resumed_run_made_anew_replace_the_older_ones(run: Path) -> None:
    with (run / "log.jsonl").open("a") as log:
        log.write('{"kimg": 9.5, "g": 7.0}\n{"kimg": 9.6, "g": 8.0}\n')
    log_lines = read_run(run).log
    kimg = [line["kimg"] for line in log_lines]
    assert kimg == sorted(set(kimg)) and kimg[-3:] == [9.4, 9.5, 9.6] and log_lines[-1]["g"] == 8.0


def test_every_pyramid_level_has_its_line_finest_first_and_what_was_not_used_has_no_panel(run: Path) -> None:
    panels = {panel.title.partition(":")[0]: keys for panel, keys in panels_of(read_run(run))}
    assert panels["SWD by pyramid level"] == {"swd_128": "128 px", "swd_16": "16 px"}
    assert "Anchored frames" not in panels and "FID" not in panels and "Augmentation (ADA)" in panels


def test_grids_within_one_kimg_are_all_there_and_told_apart(run: Path) -> None:
    names = [grid_name(n) for n in (10_000, 10_040, 10_500, 1_234_567)]
    assert names == sorted(names) and names[1] == "000010.040.png"
    for name in names[1:3]:
        shutil.copy(run / "grids" / "000010.png", run / "grids" / name)
    record = read_run(run)
    assert list(record.grids) == [1, 3, 6, 10, 10.04, 10.5] and record.grid_kimg(10.04) == "10.04"
    assert '"kimg": "10.04", "file": "grids/000010.040.png"' in write_report(run)[1].read_text()


@pytest.mark.parametrize(("kimgs", "places"), [((), 0), ((0.0, 1.0, 1.0), 0), ((0.0, 0.6, 1.1), 1), ((0.0, 0.012), 2),
                                               ((4.001, 4.002), 3)])  # fmt: skip
def test_kimg_have_as_many_decimals_as_tell_them_apart(kimgs: tuple[float, ...], places: int) -> None:
    assert decimals_of(kimgs) == places


def test_a_damaged_grid_does_not_cost_the_report(run: Path) -> None:
    (run / "grids" / "000010.png").write_bytes(b"\x89PNG cut")
    with Image.open(io.BytesIO(sheet_png(read_run(run)))) as sheet:
        assert sheet.size[0] == 1500  # the plots alone


def test_a_long_log_is_drawn_as_means_of_equal_stretches() -> None:
    points = np.stack([np.arange(100_000.0), np.ones(100_000)], axis=1)
    x, y = thinned(points)
    assert len(x) == MOST_POINTS and (np.diff(x) > 0).all() and (y == 1).all()


def test_a_report_of_no_folder_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ShowError, match="is no folder"):
        write_report(tmp_path / "nowhere")


@pytest.mark.slow
def test_a_browser_opens_the_page_offline_and_the_slider_turns_the_grids(run: Path, tmp_path: Path) -> None:
    """From the file itself, with no server: pictures load, keys move the slider, the console stays silent."""
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    browser_path = shutil.which("chromium")
    if browser_path is None:
        pytest.skip("chromium is not installed")
    page_path = write_report(run)[1]
    expect = playwright.expect  # waits, without evaluating strings: the page's content policy forbids that to everyone
    said: list[str] = []
    asked: list[str] = []
    with playwright.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=browser_path, args=list(BROWSER_FLAGS))
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: said.append(f"error: {error}"))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(page_path.as_uri(), wait_until="load")
        for picture in ("#plots", "#grid", "#nearest"):
            assert page.eval_on_selector(picture, "i => i.complete && i.naturalWidth > 0"), picture
        grid, kimg, width = page.locator("#grid"), page.locator("#kimg"), "i => i.decode().then(() => i.naturalWidth)"
        expect(kimg).to_have_text("10 kimg")
        page.focus("#slider")
        page.keyboard.press("Home")
        expect(grid).to_have_attribute("src", "grids/000001.png")
        assert grid.evaluate(width) == 128
        page.keyboard.press("ArrowRight")
        expect(kimg).to_have_text("3 kimg")
        page.click("#run")
        expect(kimg).to_have_text("10 kimg")
        expect(page.locator("#run")).to_have_text("Play")
        assert grid.evaluate(width) == 128
        wide = page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        page.set_viewport_size({"width": 390, "height": 800})
        narrow = page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        page.screenshot(path=tmp_path / "page.png", full_page=True)
        browser.close()
    assert not said, said
    assert wide and narrow and (tmp_path / "page.png").stat().st_size > 10_000
    assert asked and all(url.startswith(("file:", "data:")) for url in asked)
