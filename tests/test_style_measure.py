"""`cineml style measure`: E_warp and its excess, per shot, what a blur is shown to, and its report in a real browser."""

from __future__ import annotations

import csv
import json
import math
import shutil
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from player.show.cut_list import CutList, Shot, write_csv
from tests.film_footage import write_film
from tests.painted import strokes

cv2 = pytest.importorskip("cv2")
pytest.importorskip("matplotlib")
from tools import style_measure  # noqa: E402
from tools.keyframes_measure import e_warp  # noqa: E402
from tools.keyframes_suggest_shots import Span  # noqa: E402
from tools.style_distances import content_distance, jitter_px, share_closed, slope2  # noqa: E402
from tools.style_measure_blur import blurred, compared, sigma_to, suspects  # noqa: E402
from tools.style_measure_page import page, shown  # noqa: E402
from tools.style_measure_plot import Worst, plot_png  # noqa: E402
from tools.style_steadiness import Pair, Shown, Steadiness, Still, steadiness, worst_of  # noqa: E402

WIDTH, HEIGHT, FRAMES, CUT, JUMP = 80, 60, 20, 9, 14
BROWSER_FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                 "--disable-background-networking")  # fmt: skip
WIDE = cv2.GaussianBlur(np.random.default_rng(1).normal(0, 1, (2, HEIGHT, 160, 3)).astype(np.float32).transpose(1, 2, 0, 3)
                        .reshape(HEIGHT, 160, 6), (0, 0), 2).reshape(HEIGHT, 160, 2, 3)  # fmt: skip
GROUNDS = [np.clip(128 + 40 * g / g.std(), 0, 255).astype(np.uint8) for g in np.moveaxis(WIDE, 2, 0)]


def frame(n: int) -> np.ndarray:
    """A ground that passes at two pixels a frame; from CUT on another."""
    return GROUNDS[int(n >= CUT)][:, 2 * n : 2 * n + WIDTH].copy()


def inked(n: int, shaken: float = 0.0) -> np.ndarray:
    """Other colours and hard steps; shaken: sigma of noise that is new in every frame; at JUMP all is negative once."""
    made = np.rint(frame(n).astype(np.float32) / 64) * 64 * np.array([0.9, 0.7, 0.5], np.float32)
    made = made + shaken * np.random.default_rng(n).normal(0, 1, made.shape)
    made = np.clip(made, 0, 255).astype(np.uint8)
    return 255 - made if n == JUMP else made


def folder_of(path: Path, pictures: Sequence[np.ndarray]) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    for n, picture in enumerate(pictures):
        Image.fromarray(picture).save(path / f"{n:06d}.png", compress_level=1)
    return path


def measure(*argv: object) -> int:
    return style_measure.main([str(a) for a in (*argv, "--flow", "fast", "--threads", "1")])


def told(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "measure.json").read_text()))


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with original, steady, shaken and soft (shaken, blurred), a cut list and a painting."""
    root = tmp_path_factory.mktemp("films & <b>")
    numbers = range(FRAMES)
    folder_of(root / "original", [frame(n) for n in numbers])
    folder_of(root / "steady", [inked(n) for n in numbers])
    folder_of(root / "shaken", [inked(n, 12) for n in numbers])
    folder_of(root / "soft", [blurred(inked(n, 12), 1.5) for n in numbers])
    write_csv(CutList("original", Fraction(24), FRAMES, (Shot(1, 0, CUT), Shot(2, CUT, FRAMES))), root / "cuts.csv")
    Image.fromarray(strokes()).save(root / "painting.png")
    return root


@pytest.fixture(scope="module")
def report(films: Path) -> Path:
    out = films / "report"
    made = [films / name for name in ("steady", "shaken", "soft")]
    assert measure(films / "original", *made, "--cuts", films / "cuts.csv", "--style", films / "painting.png", "-o", out,
                   "--worst", 2, "--style-frames", 2) == 0  # fmt: skip
    return out


def test_content_is_the_drawing_and_neither_its_colours_nor_its_contrast() -> None:
    picture, other = frame(0), frame(CUT)
    assert content_distance(picture, picture) == pytest.approx(0, abs=1e-6)
    assert content_distance(255 - picture, picture) == pytest.approx(2, abs=0.01)
    faded = (picture // 2 + 100).astype(np.uint8)
    assert content_distance(faded, picture) < 0.08 < 0.6 < content_distance(other, picture) < 1.4
    assert content_distance(inked(0), picture) < content_distance(np.roll(picture, 6, axis=1), picture)
    with pytest.raises(ValueError, match="pictures of"):
        content_distance(picture, picture[:-1])


def test_content_of_flat_pictures_is_a_number() -> None:
    flat = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    assert content_distance(flat, flat) == pytest.approx(0, abs=1e-6) and math.isfinite(content_distance(flat, frame(0)))


def test_jitter_is_the_shift_in_pixels_whatever_the_contrast() -> None:
    from tools.keyframes_measure import fetched

    picture = cv2.GaussianBlur(frame(0), (0, 0), 2)
    by = np.broadcast_to(np.array([0.5, 0.0], np.float32), (HEIGHT, WIDTH, 2))
    for image in (picture, picture // 2):
        moved = fetched(image.astype(np.float32), by)
        error = float((((image - moved) / 255) ** 2).mean())
        assert jitter_px(error, slope2(image)) == pytest.approx(0.5, rel=0.25)
    assert math.isnan(jitter_px(0.1, 0.0))


def test_the_way_closed_is_of_the_way_to_the_aim() -> None:
    assert share_closed(50, 20) == pytest.approx(0.6) and share_closed(50, 32, 20) == pytest.approx(0.6)
    assert math.isnan(share_closed(20, 30, 25))


def test_pairs_keep_to_their_shot_and_to_its_clear_frames() -> None:
    pictures = [(n, Shown(frame(n), (inked(n),))) for n in range(FRAMES)]
    spans = [Span(1, 0, CUT, 2, CUT - 1), Span(2, CUT, FRAMES, CUT, FRAMES)]
    found = steadiness(pictures, spans, speed="fast")
    ones, fives = ([p.frame for p in found.pairs if p.step == k] for k in (1, 5))
    assert ones == [*range(2, CUT - 2), *range(CUT, FRAMES - 1)]
    assert fives == [2, *range(CUT, FRAMES - 5)] and len(found.stills) == FRAMES
    assert [p.frame for p in found.within(CUT, FRAMES).pairs if p.step == 5] == fives[1:]


def test_e_warp_is_the_benches_own_and_the_same_on_any_number_of_threads() -> None:
    from tools.keyframes_flow import flow

    pictures = [Shown(frame(n), (inked(n),)) for n in range(6)]
    spans = [Span(1, 0, 6, 0, 6)]
    found = [steadiness(enumerate(pictures), spans, threads=threads) for threads in (1, 3)]
    assert found[0] == found[1]
    for film, own in ((-1, [p.own for p in pictures]), (0, [p.made[0] for p in pictures])):
        assert found[0].e_warp(film, 1) == pytest.approx(
            e_warp(own, lambda i, j: flow(pictures[i].own, pictures[j].own)), rel=1e-6)  # fmt: skip
    assert found[0].excess(0, 1) == pytest.approx(found[0].e_warp(0, 1) - found[0].e_warp(-1, 1))


def test_what_shakes_is_told_from_what_does_not_and_the_jump_is_its_worst_moment(report: Path) -> None:
    films = told(report)["films"]
    assert films["steady"]["excess_1"] < films["shaken"]["excess_1"] and films["original"]["e_warp_1"] < 2e-4
    assert films["shaken"]["excess_1"] == pytest.approx(films["shaken"]["e_warp_1"] - films["original"]["e_warp_1"])
    first = told(report)["shots"][-1]["films"]
    assert 10 * first["steady"]["jitter_px"] < min(first["shaken"]["jitter_px"], first["soft"]["jitter_px"])
    worst = [w for w in told(report)["worst"] if w["film"] == "steady"]
    assert worst[0]["frame"] in (JUMP - 1, JUMP) and worst[0]["shot"] == 2


def test_numbers_are_of_every_shot_and_the_worst_shot_is_first(report: Path) -> None:
    shots = told(report)["shots"]
    assert [s["shot"] for s in shots] == [2, 1], "the jump is in the second"
    own = {s["shot"]: s["films"]["steady"]["excess_1"] for s in shots}
    pairs = {1: CUT - 1, 2: FRAMES - CUT - 1}
    total = sum(own[n] * pairs[n] for n in own) / sum(pairs.values())
    assert told(report)["films"]["steady"]["excess_1"] == pytest.approx(total)
    rows = list(csv.DictReader((report / "shots.csv").open()))
    assert [(r["shot"], r["film"]) for r in rows][:2] == [("1", "original"), ("1", "steady")] and len(rows) == 8


def test_every_frame_has_its_row_and_none_reaches_over_the_cut(report: Path) -> None:
    rows = list(csv.DictReader((report / "frames.csv").open()))
    assert len(rows) == FRAMES and rows[3]["timecode"] == "00:00:00:03"
    assert rows[CUT - 1]["e_warp_1 steady"] == "" == rows[FRAMES - 1]["e_warp_1 steady"]
    assert float(rows[JUMP]["e_warp_1 steady"]) > 20 * float(rows[3]["e_warp_1 steady"])
    assert [r["shot"] for r in rows] == ["1"] * CUT + ["2"] * (FRAMES - CUT)


def test_style_distance_and_the_way_closed_stand_beside(report: Path) -> None:
    films = told(report)["films"]
    assert set(films["steady"]["styles"]) == {"painting"}
    assert films["steady"]["style_closed"] == pytest.approx(1 - films["steady"]["style"] / films["original"]["style"])


def test_a_film_that_is_calm_by_its_blur_alone_is_shown_to_be(report: Path) -> None:
    films, found = told(report)["films"], told(report)["blurred"]
    assert films["soft"]["e_warp_1"] < films["shaken"]["e_warp_1"] and films["soft"]["sharpness"] < films["shaken"]["sharpness"]
    [one] = [b for b in found if (b["calmer"], b["sharper"]) == (2, 1)]
    assert one["by_blur"] and one["sigma_px"] == pytest.approx(1.5, abs=0.1)
    assert one["e_blurred"] == pytest.approx(one["e_calmer"], rel=0.05)
    assert any("soft is calmer by its blur alone" in n for n in told(report)["notes"])
    assert "soft is calmer by its blur alone" in (report / "report.html").read_text()


def test_a_film_that_is_really_calmer_is_not_called_blurred() -> None:
    calm = [Shown(frame(n), (blurred(inked(n), 0.6), inked(n, 30))) for n in range(3)]
    found = steadiness(enumerate(calm), [Span(1, 0, 3, 0, 3)], speed="fast")
    assert suspects(found, 2) == [(0, 1)]
    one = compared(0, 1, [(calm[0], calm[1]), (calm[1], calm[2])], "fast")
    assert not one.by_blur and one.e_blurred > 1.5 * one.e_calmer


def test_the_blur_that_is_sought_is_found() -> None:
    from tools.keyframes_measure import sharpness

    picture = strokes()
    assert sigma_to(sharpness(blurred(picture, 1.2)), [picture]) == pytest.approx(1.2, abs=0.05)
    assert blurred(picture, 0.0) is picture


def test_worst_moments_lie_apart_and_nothing_seen_is_none() -> None:
    pairs = tuple(Pair(n, 1, 0.0, (math.nan if n == 5 else float(n),), 1.0) for n in range(30))
    found = Steadiness(pairs, (Still(0, (1, 1), (1, 1), (0,)),))
    assert [p.frame for p in worst_of(found, 0, 3, 12)] == [29, 17, 4]
    assert math.isnan(Steadiness((), ()).e_warp(0, 1)) and shown("e_warp_1", math.nan) == "–"


def test_the_plot_and_the_worst_moments_are_pictures(report: Path) -> None:
    with Image.open(report / "plot.png") as plot, Image.open(report / "worst.png") as worst:
        assert plot.size[0] > 1000 and worst.size[0] > 1200
        sheet = np.asarray(worst.convert("RGB"))
    assert len(np.unique(sheet.reshape(-1, 3), axis=0)) > 1000


def test_a_film_is_measured_as_a_folder_is_and_a_part_by_itself(films: Path, tmp_path: Path,
                                                                capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    film = write_film(tmp_path / "film.mp4", FRAMES, picture=frame, options={"crf": "8"})
    part = folder_of(tmp_path / "part", [inked(n) for n in range(2, 8)])
    common = ("--cuts", films / "cuts.csv", "--json", "--worst", 0)
    assert measure(film, films / "steady", *common, "--start", 2, "--end", 8) == 0
    whole = json.loads(capsys.readouterr().out)
    assert measure(film, part, *common, "--start", "2f", "--end", "8f") == 0
    alone = json.loads(capsys.readouterr().out)
    assert whole["films"]["steady"] == alone["films"]["part"] and whole["range"] == [2, 8]
    assert (tmp_path / "part_measured" / "report.html").is_file() and not (tmp_path / "part_measured" / "worst.png").exists()


def test_another_size_is_measured_in_the_originals(films: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    large = folder_of(tmp_path / "large", [cv2.resize(inked(n), (2 * WIDTH, 2 * HEIGHT)) for n in range(FRAMES)])
    assert measure(films / "original", large, "--cuts", films / "cuts.csv", "--end", 4, "--worst", 1) == 0
    assert "large: 160 x 120, measured in the original's 80 x 60" in capsys.readouterr().out


def test_one_picture_has_no_pairs_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    original, made = folder_of(tmp_path / "a", [frame(0)]), folder_of(tmp_path / "b", [inked(0)])
    assert measure(original, made) == 0
    assert "nothing to say about steadiness" in capsys.readouterr().out
    assert told(tmp_path / "b_measured")["films"]["b"]["e_warp_1"] is None


def test_strokes_that_lie_still_on_a_grainy_film_do_by_the_flow_of_the_film_without_its_grain(tmp_path: Path) -> None:
    chance, still = np.random.default_rng(0), inked(0)
    grains = [cv2.GaussianBlur(chance.normal(0, 60, still.shape[:2]).astype(np.float32), (0, 0), 1.5)[..., None]
              for _ in range(3)]  # fmt: skip
    folder_of(tmp_path / "grainy", [np.clip(frame(0) + g, 0, 255).astype(np.uint8) for g in grains])
    folder_of(tmp_path / "clean", [frame(0)] * 3)
    folder_of(tmp_path / "still", [still] * 3)
    assert measure(tmp_path / "grainy", tmp_path / "still", "-o", tmp_path / "by its own") == 0
    assert measure(tmp_path / "grainy", tmp_path / "still", "--flow-from", tmp_path / "clean", "-o", tmp_path / "out") == 0
    own, clean = told(tmp_path / "by its own")["films"], told(tmp_path / "out")["films"]
    assert own["still"]["e_warp_1"] > 1e-4 and clean["still"]["e_warp_1"] < 1e-9
    assert clean["original"]["e_warp_1"] > 1e-3 and set(clean) == {"original", "still"}
    hashes = [json.loads((tmp_path / out / "measure.json").read_text())["sha256"] for out in ("by its own", "out")]
    assert set(hashes[1]) - set(hashes[0]) == {"flow_from"} and hashes[1]["flow_from"] != hashes[1]["original"]
    assert "The flow is that of clean." in (tmp_path / "out" / "report.html").read_text()


def test_bad_input_is_all_said_at_once_and_nothing_is_written(films: Path, tmp_path: Path,
                                                              capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    tiny = tmp_path / "tiny.png"
    Image.fromarray(strokes()[:8, :8]).save(tiny)
    assert measure(films / "original", tmp_path / "nowhere", films / "steady", "--style", tiny, "--worst", 99, "--scale", "nan",
                   "--flow-from", "no/film.mp4", "-o", tmp_path / "out") == 2  # fmt: skip
    said = capsys.readouterr().err
    for words in ("nowhere: does not exist", "--flow-from no/film.mp4: does not", "tiny.png", "--worst: 99", "--scale: nan"):
        assert words in said, words
    assert not (tmp_path / "out").exists() and "Traceback" not in said


@pytest.mark.parametrize(("made", "words"), [("short", "has 5 frames"), ("square", "of another shape"), ("torn", "torn")])
def test_a_film_that_is_not_its_originals_is_one_sentence(films: Path, tmp_path: Path, made: str, words: str,
                                                          capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    if made == "torn":
        path = tmp_path / "torn.mp4"
        path.write_bytes(b"no film at all")
    else:
        pictures = [inked(n)[:, :60] if made == "square" else inked(n) for n in range(FRAMES if made == "square" else 5)]
        path = folder_of(tmp_path / made, pictures)
    assert measure(films / "original", path, "--cuts", films / "cuts.csv", "-o", tmp_path / "out") == 2
    said = capsys.readouterr().err
    assert words in said and said.count("\n") == 1 and not (tmp_path / "out").exists()


def test_the_report_never_lies_among_the_frames_nor_in_place_of_a_file(films: Path, tmp_path: Path,
                                                                       capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    assert measure(films / "original", films / "steady", "-o", films / "steady" / "report") == 2
    assert "among the frames" in capsys.readouterr().err
    file = tmp_path / "file"
    file.write_text("mine")
    assert measure(films / "original", films / "steady", "-o", file) == 2
    assert file.read_text() == "mine" and "is a file" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        measure(films / "original", films / "steady", "-o", "")  # as of a variable that is not set
    assert "the name is empty" in capsys.readouterr().err


def test_the_highest_peak_is_on_the_plot() -> None:
    from matplotlib.figure import Figure

    from tools.style_measure_plot import draw_panel

    axes = Figure().subplots()
    values = [1.0] * 400 + [90.0] + [-3.0]
    draw_panel(axes, "title", range(len(values)), None, [values], ["one"])
    low, high = axes.get_ylim()
    assert high > 90 and low < -3 and axes.get_legend() is None


@pytest.mark.parametrize("name", ["report.html", "plot.png", "measure.json"])
def test_a_report_of_another_tool_or_person_stays(name: str, films: Path, tmp_path: Path,
                                                  capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    (tmp_path / name).write_text('{"tool": "another"}')
    assert measure(films / "original", films / "steady", "--cuts", films / "cuts.csv", "-o", tmp_path) == 2
    said = capsys.readouterr().err
    assert f"{name}: is there already, and is not this command's" in said and said.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == [name] and (tmp_path / name).read_text() == '{"tool": "another"}'


def test_a_report_of_its_own_is_made_anew(films: Path, tmp_path: Path) -> None:
    words = (films / "original", films / "steady", "--cuts", films / "cuts.csv", "--worst", 0, "-o", tmp_path)
    assert measure(*words) == 0
    (tmp_path / "notes.txt").write_text("mine")
    assert measure(*words) == 0 and (tmp_path / "notes.txt").read_text() == "mine"


def test_ctrl_c_leaves_the_older_report(films: Path, report: Path, monkeypatch: pytest.MonkeyPatch,
                                        capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    before = {p.name: p.read_bytes() for p in report.iterdir()}

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(style_measure, "worst_moments", stop)
    assert measure(films / "original", films / "steady", "--cuts", films / "cuts.csv", "-o", report) == 130
    assert {p.name: p.read_bytes() for p in report.iterdir()} == before
    assert "nothing was written" in capsys.readouterr().err


def test_too_little_memory_is_one_sentence(films: Path, report: Path, monkeypatch: pytest.MonkeyPatch,
                                           capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    def full(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(style_measure, "steadiness", full)
    before = {p.name: p.read_bytes() for p in report.iterdir()}
    assert measure(films / "original", films / "steady", "--cuts", films / "cuts.csv", "-o", report) == 2
    said = capsys.readouterr().err
    assert "needs more memory than there is; try: fewer films at once" in said and len(said.strip().splitlines()) == 1
    assert {p.name: p.read_bytes() for p in report.iterdir()} == before


def test_the_page_names_nothing_outside_and_escapes_what_it_tells(report: Path) -> None:
    page = (report / "report.html").read_text()
    assert "://" not in page and str(report.parent) not in page and "<b>" not in page.replace("<b>shot", "").replace("<b>s", "")
    assert (report / "measure.json").read_text().count(str(report.parent)) == 0


@pytest.mark.slow
def test_a_browser_opens_the_page_offline(report: Path, tmp_path: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    browser_path = shutil.which("chromium")
    if browser_path is None:
        pytest.skip("chromium is not installed")
    said: list[str] = []
    asked: list[str] = []
    with playwright.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=browser_path, args=list(BROWSER_FLAGS))
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.on("console", lambda message: said.append(message.text))
        page.on("request", lambda request: asked.append(request.url))
        page.goto((report / "report.html").as_uri(), wait_until="load")
        assert page.eval_on_selector_all("img", "all => all.every(i => i.complete && i.naturalWidth > 0)")
        assert page.locator("#totals tbody tr").count() == 4 and page.locator("#shots tbody tr").count() == 6
        fits = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
        wide = page.evaluate(fits)
        page.set_viewport_size({"width": 390, "height": 800})
        assert wide and page.evaluate(fits)
        browser.close()
    assert not said and all(url.startswith(("file:", "data:")) for url in asked)


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
def test_long_names_leave_room_for_the_numbers_and_for_the_page(width: int, tmp_path: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    browser_path = shutil.which("chromium")
    if browser_path is None:
        pytest.skip("chromium is not installed")
    name = "the_wanderer_restored_2026-11-23_oil_and_woodcut_take_two_half_as_steady"
    numbers = {"e_warp_1": 0.01, "excess_1": 0.01, "sharpness": 9.0, "content": 0.2, "styles": {name: 5.0, "b": 6.0}}
    films = {"original": {**numbers}, name: {**numbers}, "soft": {**numbers}}
    still = np.zeros((40, 60, 3), np.uint8)
    worst = Worst(0, 7, 1, "00:00:00:07", 0.001, 0.01, (still, still, still, still))
    plot = plot_png(Steadiness((Pair(0, 1, 0.1, (0.2, 0.3), 0.9),), ()), [name, "soft"], [], (0, 2))
    text = page(f"{name}: how steady", films, [("1 (frames 0 to 7)", films)], [f"{name} is blurred"], plot, [worst], "Frames")
    (tmp_path / "report.html").write_text(text, encoding="utf-8")
    with playwright.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=browser_path, args=list(BROWSER_FLAGS))
        opened = browser.new_page(viewport={"width": width, "height": 900})
        opened.goto((tmp_path / "report.html").as_uri(), wait_until="load")
        right = "all => Math.max(...all.map(e => e.getBoundingClientRect().right))"
        assert opened.evaluate("document.documentElement.scrollWidth") <= width
        for text_of in ("h1", "p", "article header b", "#totals tr > :nth-child(2)", "#shots tr > :nth-child(3)"):
            assert opened.eval_on_selector_all(text_of, right) <= width, text_of
        browser.close()
