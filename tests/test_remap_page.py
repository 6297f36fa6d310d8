"""A remap measured: the numbers, the page that shows them in a browser without a network, the encoder, and the bench's rows."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from player.screen.typeface import font_for  # noqa: E402
from player.show.cut_list import CutList, Shot  # noqa: E402
from tests.test_remap import CUTS, job, known_film  # noqa: E402
from tools import remap as deed  # noqa: E402
from tools import remap_judge  # noqa: E402
from tools.bench_film_remap import Case, rows  # noqa: E402
from tools.contact_sheet import TEXT_PX, fitted  # noqa: E402
from tools.metrics_encoder import EncoderSettings  # noqa: E402
from tools.remap_encoder import EncoderSettings as PathSettings  # noqa: E402
from tools.remap_encoder import read_codes, smoothed  # noqa: E402
from tools.remap_encoder_train import FILE, encoder_of  # noqa: E402
from tools.remap_fit import render  # noqa: E402
from tools.remap_measure import ShotMeasure, summary_of  # noqa: E402
from tools.remap_page import ShotPictures, page  # noqa: E402
from tools.remap_reduce import reduced  # noqa: E402
from tools.remap_report import SHEET_PX, sheet_label  # noqa: E402
from tools.remap_start import usable_frames  # noqa: E402
from tools.remap_target import read_film, reduced_target, target_of  # noqa: E402

QUICK = EncoderSettings(steps=20, batch=12, width=8, features=16)
BROWSER_FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                 "--disable-background-networking")  # fmt: skip


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    torch.set_num_threads(1)
    return known_film(tmp_path_factory.mktemp("known"))


@pytest.fixture(scope="module")
def remapped(known: tuple[Path, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A score of the known film, started from its true codes and measured."""
    folder, codes = known
    out = tmp_path_factory.mktemp("out")
    np.savez(out / "anchors.npz", codes=codes, frames=np.arange(24))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(remap_judge, "encoder_for", quick_encoder)
        remap = job(folder, out / "score.toml", anchors=out / "anchors.npz", start="auto", steps=30, measured=True)
        deed.run(remap, quiet=True)
    return out / "score.toml"


def quick_encoder(images, folder, settings=None, device="cpu", out=None):  # type: ignore[no-untyped-def]
    from tools.metrics_encoder import encoder_for

    return encoder_for(images, folder, QUICK, device, out)


def test_a_remap_from_the_truth_is_measured_as_the_truth(remapped: Path) -> None:
    record = json.loads((remapped.with_suffix(".work") / "remap.json").read_text())
    assert record["start"] == "anchors" and record["finished"] and record["versions"]["torch"]
    measures = [ShotMeasure(**m) for m in record["measures"]]
    assert [m.shot for m in measures] == [1, 2, 3] and all(m.identified for m in measures)
    assert all(m.likeness > 0.7 and m.correlation > 0.7 and 0.7 < m.motion < 1.3 for m in measures), measures
    assert measures[1].cut is not None and measures[1].cut > 0.7 and measures[0].cut is None and measures[2].cut is None
    assert all(0.05 < m.off < 3 for m in measures)
    text = remapped.with_suffix(".html").read_text()
    assert text.count("<article") == 3 and "http" not in text.replace("http-equiv", "")


def test_the_measures_of_walks_that_did_not_change_are_read_again(
    known: tuple[Path, np.ndarray], remapped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remap_judge, "encoder_for", quick_encoder)

    def never(*_: object) -> None:
        raise AssertionError("measured again")

    monkeypatch.setattr(remap_judge, "measured", never)
    remap = job(known[0], remapped, anchors=remapped.with_name("anchors.npz"), start="auto", steps=30, measured=True)
    deed.run(remap, quiet=True)


def test_the_page_shows_the_worst_first_and_escapes_what_people_wrote() -> None:
    cuts = CutList("f", CUTS.rate, 24, (replace(CUTS.shots[0], label="<b>a</b>"), *CUTS.shots[1:]))
    grey = np.full((12, 16, 3), 90, np.uint8)
    pictures = {n: ShotPictures([3], [grey], [grey]) for n in (1, 2)}
    shots = [ShotMeasure(1, 0.9, 1, True, 1.0, 0.9, None, 1.0, 0.01), ShotMeasure(2, 0.95, 1, False, 2.0, 0.1, 0.5, 9.0, 0.01)]
    text = page(cuts, shots, summary_of(shots), pictures, "T<", ["a & b"])
    assert text.index('data-shot="2" data-rank="0"') < text.index('data-shot="1" data-rank="1"')
    assert "&lt;b&gt;a" in text and "<b>a" not in text and "T&lt;" in text and "a &amp; b" in text
    assert "Shots 3: they play" in text and "shot 1</dd>" in text and "1 of 2" in text


@pytest.mark.slow
def test_a_browser_shows_the_page_offline_and_sorts_it(remapped: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    browser_path = shutil.which("chromium")
    if browser_path is None:
        pytest.skip("chromium is not installed")
    said: list[str] = []
    with playwright.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=browser_path, args=list(BROWSER_FLAGS))
        view = browser.new_page(viewport={"width": 1280, "height": 900})
        view.on("console", lambda message: said.append(message.text))
        view.on("pageerror", lambda error: said.append(f"error: {error}"))
        view.on("request", lambda request: None if request.url.startswith(("data:", "file:")) else said.append(request.url))
        view.goto(remapped.with_suffix(".html").as_uri(), wait_until="load")
        assert view.locator("article").count() == 3
        for i in range(view.locator("img").count()):
            assert view.locator("img").nth(i).evaluate("i => i.complete && i.naturalWidth === 16")
        view.click("text=In the order of the film")
        order = view.locator("article").evaluate_all("all => all.map(a => a.dataset.shot)")
        assert order == ["1", "2", "3"]
        view.set_viewport_size({"width": 400, "height": 800})
        assert view.evaluate("document.documentElement.scrollWidth <= 400")
        browser.close()
    assert said == []


def test_the_encoder_reads_latents_better_than_the_mean_and_is_kept(known: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    folder, codes = known
    source = deed.source_at(folder / "model")
    film = read_film(folder / "film", source.geometry, 16, 1, 24)
    settings = PathSettings(samples=512, steps=150, batch=24, film_batch=4, width=8)
    usable = usable_frames(CUTS)
    assert not usable[12:15].any() and usable.sum() == 21
    before = torch.get_rng_state()
    encoder = encoder_of(source.generator, "w", film, usable, (0, 2, 16, 12), tmp_path, settings)
    assert torch.equal(before, torch.get_rng_state())
    read = read_codes(encoder, film)
    right = codes[usable]

    def unlike(w: np.ndarray) -> float:
        made = render(source.generator, torch.from_numpy(w.astype(np.float32)))[:, :, 2:14]
        return float((made - (torch.from_numpy(film[usable]).float() / 127.5 - 1)[:, :, 2:14]).abs().mean())

    mean = np.repeat(encoder.mean.numpy()[None], len(right), axis=0)
    assert np.abs(read[usable] - right).mean() < 0.7 * np.abs(mean - right).mean()
    assert unlike(read[usable]) < 0.5 * unlike(mean)
    stamp = (tmp_path / FILE).stat().st_mtime_ns
    again = encoder_of(source.generator, "w", film, usable, (0, 2, 16, 12), tmp_path, settings)
    assert (tmp_path / FILE).stat().st_mtime_ns == stamp and np.array_equal(read_codes(again, film), read)
    (tmp_path / FILE).write_bytes(b"damaged")
    encoder_of(source.generator, "w", film, usable, (0, 2, 16, 12), tmp_path, replace(settings, steps=2))
    assert (tmp_path / FILE).stat().st_size > 1000


def test_codes_are_smoothed_over_what_is_known() -> None:
    codes = np.zeros((9, 1))
    codes[4], codes[8] = 1, 99
    known = np.arange(9) < 8
    made = smoothed(codes, known)
    assert made[3] == pytest.approx(made[5], rel=0.01) and 0.3 < made[4, 0] < 0.5 and made[8, 0] < 0.1
    assert smoothed(codes, np.zeros(9, bool)) == pytest.approx(codes)


def test_a_reduced_generator_makes_the_same_pictures_smaller(
    known: tuple[Path, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, codes = known
    generator = deed.source_at(folder / "model").generator
    assert reduced(generator, 16) is generator
    assert reduced(generator, 8) is generator, "untrained, its last block makes another picture"
    quiet = deed.source_at(folder / "model").generator
    quiet.synthesis.b16.torgb.weight.mul_(0.1)
    small, w = reduced(quiet, 8), torch.from_numpy(codes)
    assert small.config.resolution == 8
    whole = torch.nn.functional.interpolate(render(quiet, w), (8, 8), mode="area")
    assert float((render(small, w) - whole).square().mean()) < 0.06 * float(whole.var())
    monkeypatch.setattr(deed, "reduced", lambda g, size: reduced(quiet, size))  # shots are fitted through it first
    remap = job(folder, tmp_path / "score.toml", size=8, steps=60)
    read = deed.read_job(remap)
    target = target_of(read.cuts, read.cuts.shots[0], read.film, read.inner)
    assert reduced_target(target, 8).images.shape[-1] == 8 and reduced_target(target, 16) is target
    fitted, finished = deed.run(remap, quiet=True)
    assert finished and all(f.error < f.error_before for f in fitted.values())


def test_the_bench_says_what_was_asked_and_measures_other_ways_alike(known: tuple[Path, np.ndarray], remapped: Path) -> None:
    folder, _ = known
    case = Case(folder / "film", folder / "cuts.csv", folder / "model", None, remapped, project_steps=20, settings=QUICK)
    found = rows(case)
    assert [r.ok for r in found[:3]] == [True, True, True], found
    assert "3 of 3" in found[0].value and any("nearest of 500" in r.name for r in found)
    assert any("projected by itself, 20 steps" in r.name and "identified" in r.value for r in found)
    assert found[-1].ok is None and "not measured" in found[-1].value


def test_a_shot_of_one_frame_and_a_film_that_is_all_dissolve_can_be_measured() -> None:
    cuts = CutList("f", CUTS.rate, 5, (Shot(1, 0, 1), Shot(2, 1, 5, "dissolve", 4)))
    assert remap_judge.clean_frames(cuts, cuts.shots[1]).tolist() == [1, 2, 3, 4]
    assert remap_judge.steps_of(cuts, cuts.shots[0]).tolist() == []


def test_that_a_shot_is_taken_for_another_is_never_cut_off_its_column() -> None:
    taken = ShotMeasure(1018, -0.98, 1015, False, 10.03, -0.99, None, 0.5, 0.1)
    assert "IS 1015" in fitted(f"{taken.shot}  {sheet_label(taken)}", SHEET_PX, font_for((), TEXT_PX))
    assert sheet_label(replace(taken, identified=True)).startswith("like -0.98")
