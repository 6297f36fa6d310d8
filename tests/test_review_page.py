"""The review's page in a real browser: by keys and by pointer, on a desk and on a phone, with nothing from outside."""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from player.show.cut_list import read_csv
from player.show.score import read_score
from tests.review_show import write_show
from tools.review_pictures import Painter
from tools.review_server import ReviewServer
from tools.review_session import Session

pytestmark = pytest.mark.slow
BROWSER_FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                 "--disable-background-networking")  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("chromium is not installed")
    with playwright.sync_playwright() as p:
        made = p.chromium.launch(executable_path=path, args=list(BROWSER_FLAGS))
        yield made
        made.close()


class Desk:
    """A show under review and a window on it. said: what the console heard; asked: every address that was asked."""

    def __init__(self, show: Path, browser: Any, size: tuple[int, int] = (1400, 900)) -> None:
        from playwright.sync_api import expect

        self.expect, self.show = expect, show
        self.said: list[str] = []
        self.asked: list[str] = []
        session = Session(show)
        self.server = ReviewServer(session, Painter(session.show))
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        self.page = browser.new_page(viewport={"width": size[0], "height": size[1]})
        self.page.set_default_timeout(20_000)
        self.page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.said.append(f"error: {error}"))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(self.server.address, wait_until="load")
        self.chosen(1)

    def chosen(self, number: int) -> None:
        """Waits until this shot is the one that is shown, with its details."""
        self.expect(self.page.locator(".shot[aria-current=true]")).to_have_attribute("data-shot", str(number))
        self.expect(self.page.locator("#inspector h2").first).to_contain_text(f"Shot {number} of")

    def says(self, text: str) -> None:
        self.expect(self.page.locator("#said")).to_contain_text(text)

    def plays(self, until: str) -> None:
        """Waits until a frame of the film is shown of which this is true."""
        shown = "Number(document.getElementById('film').dataset.frame)"
        self.page.wait_for_function(f"() => {{ const frame = {shown}; return {until}; }}")

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def starts(self) -> list[int]:
        return [s.start for s in read_csv(self.show.parent / "cuts.csv").shots]

    def rows(self) -> Any:
        return read_score(self.show.parent / "score.toml").shots

    def close(self) -> None:
        self.page.close()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def desk(tmp_path: Path, browser: Any) -> Iterator[Desk]:
    made = Desk(write_show(tmp_path / "show"), browser)
    yield made
    made.close()


def test_a_person_cuts_swaps_pins_locks_labels_and_undoes_it_all_without_a_network(desk: Desk) -> None:
    page, expect = desk.page, desk.expect
    first = {p.name: p.read_bytes() for p in desk.server.session.files}
    desk.press("j")
    desk.chosen(2)
    desk.press("[", "[", "[")
    desk.says("moved to frame 9")
    desk.press("]", "]")
    desk.says("moved to frame 11")
    assert desk.starts() == [0, 11, 20, 32]
    page.click("#strip [data-frame='9']")
    desk.says("moved to frame 9")
    desk.press("j")
    desk.chosen(3)
    desk.press("d")
    desk.says("dissolve of 5 frames")
    page.select_option("#entry", "glide")
    desk.says("enters by a glide")
    page.click("button[aria-label^='Use shot 1']")
    desk.says("plays shot 1")
    assert desk.rows()[2].walk == "s03.swap" and desk.rows()[2].extra["swap"] == "s01" and desk.rows()[2].entry == "glide"
    page.locator(".key .pin").first.click()
    desk.says("pinned")
    page.locator(".key .ban").nth(1).click()
    desk.says("banned")
    expect(page.locator("#facts")).to_contain_text("to remap again: shot 3")
    desk.press("l")
    desk.says("shot 3 locked")
    desk.press("t")
    page.keyboard.insert_text("a face, lit [from] the left")
    desk.press("Enter")
    desk.says("shot 3: label")
    row = desk.rows()[2]
    assert row.lock and len(row.pin) == len(row.ban) == 1
    assert read_csv(desk.show.parent / "cuts.csv").shots[2].label == "a face, lit [from] the left"
    page.locator("#at").evaluate("e => { e.value = 26; e.dispatchEvent(new Event('input')); }")
    desk.press("x")
    desk.chosen(4)
    assert desk.starts() == [0, 9, 20, 26, 32]
    page.click("#undo")
    desk.says("undone: shot 3 split at frame 26")
    while page.locator("#undo").is_enabled():
        title = page.locator("#undo").get_attribute("title")
        desk.press("u")
        expect(page.locator("#undo")).not_to_have_attribute("title", title)
    assert {p.name: p.read_bytes() for p in desk.server.session.files} == first
    desk.press("U")
    desk.says("done again")
    assert not desk.said, desk.said
    here = (f"http://127.0.0.1:{desk.server.server_port}/", "data:", "blob:")
    assert desk.asked and all(url.startswith(here) for url in desk.asked)


def test_a_shot_plays_film_and_remake_side_by_side_frame_for_frame(desk: Desk) -> None:
    page, expect = desk.page, desk.expect
    desk.press("j")
    desk.chosen(2)
    film, remake = page.locator("#film"), page.locator("#remake")
    expect(film).to_have_attribute("data-frame", "12")
    expect(remake).to_have_attribute("data-frame", "12")
    desk.press(".", ".", ",")
    expect(film).to_have_attribute("data-frame", "13")
    expect(remake).to_have_attribute("data-frame", "13")
    desk.press("Space")
    expect(page.locator("#play")).to_have_text("Stop")
    desk.plays("frame >= 16")  # on to its last frames, and from the first again; a slow machine leaves frames out
    desk.plays("frame >= 12 && frame < 16")
    page.click("button[aria-label^='Look at shot 1']")
    expect(page.locator("#right")).to_contain_text("Candidate: shot 1")
    page.click("#play")
    expect(page.locator("#play")).to_have_text("Play")
    frame = film.get_attribute("data-frame")
    assert frame is not None and 12 <= int(frame) < 20
    expect(remake).to_have_attribute("data-frame", frame)
    assert film.evaluate("c => c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some(v => v > 100 && v < 255)")
    desk.press("k")
    desk.chosen(1)
    expect(page.locator("#right")).to_have_text("Remake")
    assert not desk.said, desk.said


def test_space_plays_and_stops_whatever_was_clicked_before_and_enter_presses(desk: Desk) -> None:
    page, expect, play = desk.page, desk.expect, desk.page.locator("#play")

    def plays_and_stops() -> None:
        kept = {p.name: p.read_bytes() for p in desk.server.session.files}
        for told in ("Stop", "Play"):
            desk.press("Space")
            expect(play).to_have_text(told)
        assert desk.server.session.history.past[-1][0] == done
        assert {p.name: p.read_bytes() for p in desk.server.session.files} == kept

    for click, done in (("button[aria-label^='Use shot 3']", "shot 1: plays shot 3"), (".key .pin", "s01.swap.f0000 pinned"),
                        ("#lock", "shot 1 locked"), ("#later", "cut into shot 2 moved to frame 13")):  # fmt: skip
        if click == "#later":
            desk.press("j")
            desk.chosen(2)
        page.locator(click).first.click()
        desk.says(done)
        plays_and_stops()
    for which in ("#at", "#source", "#in-kind", "#undo", "#play", "#strip [data-frame='9']", "[data-shot='3']", "#help"):
        page.locator(which).focus()
        plays_and_stops()
    page.locator("#lock").focus()
    desk.press("Enter")
    done = "shot 2 locked"
    desk.says(done)
    plays_and_stops()
    page.locator("#shot-label").focus()
    desk.press("a", "Space", "b", "Enter")
    desk.says("shot 2: label")
    assert read_csv(desk.show.parent / "cuts.csv").shots[1].label == "a b"
    assert not desk.said, desk.said


def test_what_is_typed_while_an_answer_comes_is_not_lost(desk: Desk) -> None:
    for text in ("a b", "c d"):
        desk.page.locator("#lock").focus()
        desk.press("Enter")
        desk.page.locator("#shot-label").fill("")
        desk.page.locator("#shot-label").press_sequentially(text, delay=15)
        desk.press("Enter")
        desk.says("shot 1: label")
        assert read_csv(desk.show.parent / "cuts.csv").shots[0].label == text


def test_what_is_selected_while_an_answer_comes_stays_selected(desk: Desk) -> None:
    desk.page.locator("#shot-label").fill("porch")
    desk.press("Enter")
    desk.says("shot 1: label")
    desk.page.evaluate("const e = document.querySelector('#shot-label'); e.focus(); e.select()")
    with desk.page.expect_response("**/api/edit"):
        desk.page.evaluate("document.querySelector('#lock').dispatchEvent(new Event('change'))")  # another's answer
    desk.says("shot 1")
    desk.page.wait_for_timeout(100)
    desk.press("x", "Enter")
    desk.says("shot 1: label")
    assert read_csv(desk.show.parent / "cuts.csv").shots[0].label == "x"


def test_enter_after_a_click_never_does_it_to_another_walk_or_key(desk: Desk) -> None:
    for click in ("button[aria-label^='Use shot 3']", ".key .pin"):
        desk.page.locator(click).first.click()
        desk.expect(desk.page.locator("#undo")).to_be_enabled()
        done = desk.server.session.history.past
        desk.press("Enter")
        desk.press("j", "k")
        desk.chosen(1)
        told = [what for what, _ in desk.server.session.history.past]
        assert told[:len(done)] == [what for what, _ in done]
        assert not any("own" in what for what in told), told


def test_deeds_typed_faster_than_they_are_answered_are_all_done_and_an_answer_that_comes_late_is_dropped(desk: Desk) -> None:
    page, held = desk.page, []
    desk.press("j")
    desk.chosen(2)
    older = {**desk.server.session.state(), "why_no_remake": "", "size": desk.server.painter.size}
    page.route("**/api/changed", lambda route: held.append(route))  # from the second time on it waits for good
    page.route("**/api/changed", lambda route: route.fulfill(json={"version": -1, "changed": []}), times=1)
    page.route("**/api/state", lambda route: held.append(route), times=1)
    with page.expect_request("**/api/state"):
        pass
    desk.press("[", "[")
    desk.says("moved to frame 10")
    with page.expect_request("**/api/changed"):
        held[0].fulfill(json=older)  # what was so before both
    desk.expect(page.locator("#cutname")).to_contain_text("frame 10")
    desk.press("[", "l", "l", "j")
    desk.chosen(3)
    desk.press("d", "d", "d")
    desk.says("dissolve of 7 frames")
    assert desk.starts() == [0, 9, 20, 32] and not desk.rows()[1].lock
    assert not desk.said, desk.said


def test_another_window_s_deed_is_said_and_what_was_asked_of_the_older_state_is_not_done(desk: Desk) -> None:
    desk.server.session.edit({"deed": "nudge", "shot": 2, "by": 3})
    desk.page.route("**/api/changed", lambda route: route.abort())
    desk.press("l")
    desk.says("shows an older state")
    desk.expect(desk.page.locator("[data-shot='2'] .number")).to_contain_text("5 fr")
    assert not desk.rows()[0].lock
    desk.press("l")
    desk.says("shot 1 locked")


def test_a_file_that_another_program_changed_is_said_and_read_again_on_request(desk: Desk) -> None:
    page, expect = desk.page, desk.expect
    cuts = desk.show.parent / "cuts.csv"
    cuts.write_text(cuts.read_text().replace("one", "by another hand"))
    desk.press("j", "]")
    desk.says("cuts.csv changed on disk")
    expect(page.locator("#notice")).to_contain_text("Nothing is written over it")
    assert "by another hand" in cuts.read_text() and desk.starts()[1] == 12
    page.click("#reload")
    expect(page.locator("#notice")).to_be_hidden()
    expect(page.locator("[data-shot='1'] .label").first).to_have_text("by another hand")
    desk.press("]")
    desk.says("moved to frame 13")
    assert desk.starts()[1] == 13 and "by another hand" in cuts.read_text()
    assert all("409" in line for line in desk.said), desk.said  # a browser notes every refusal


def test_what_cannot_be_done_is_said_and_changes_nothing(desk: Desk) -> None:
    desk.press("j")
    desk.chosen(2)
    for _ in range(9):
        desk.press("]")
    desk.says("cannot stand at frame")
    assert desk.starts()[1] == 19  # its own end, of which one frame must stay
    desk.press("d")
    desk.says("choose dissolve or fade first")


def test_a_shot_of_two_sources_says_so(tmp_path: Path, browser: Any) -> None:
    show = write_show(tmp_path / "show")
    score = show.parent / "score.toml"
    row = 'source = "clip"\nclip = "film.mp4"\nunder = "generator"\nmix = [[0, 1.0], [8, 0.25]]'
    score.write_text(score.read_text().replace('source = "generator"', row, 1))
    desk = Desk(show, browser)
    try:
        desk.expect(desk.page.locator("#right")).to_have_text("Remake: clip over generator")
        desk.expect(desk.page.locator("#mix")).to_have_text("over generator, mix 1 at 0, 0.25 at 8")
        desk.expect(desk.page.locator("[data-shot='1']")).to_contain_text("clip over generator")
        desk.expect(desk.page.locator("#remake")).to_have_attribute("data-frame", "0")
        assert not desk.said, desk.said
    finally:
        desk.close()


def test_the_page_fits_a_phone_and_everything_on_it_has_a_name(tmp_path: Path, browser: Any) -> None:
    desk = Desk(write_show(tmp_path / "show"), browser, (390, 844))
    page = desk.page
    try:
        desk.expect(page.locator(".key").first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        # Found and asked in one go: an element that the page replaces in between has no labels any more.
        nameless = page.evaluate("""[...document.querySelectorAll('button, input, select, canvas:not([aria-hidden])')]
            .filter(e => !(e.getAttribute('aria-label') || e.textContent.trim() || (e.labels && e.labels.length)))
            .map(e => e.outerHTML)""")
        assert nameless == []
        tall = page.eval_on_selector_all("header button, .transport button", "all => all.every(e => e.offsetHeight >= 38)")
        assert tall
        page.locator("#later").tap() if page.evaluate("'ontouchstart' in window") else page.click("[data-shot='2']")
        desk.chosen(2)
        page.set_viewport_size({"width": 1400, "height": 900})
        assert page.evaluate("document.documentElement.scrollHeight <= innerHeight")
        assert not desk.said, desk.said
    finally:
        desk.close()


def test_a_film_without_a_score_is_cut_in_the_page(tmp_path: Path, browser: Any) -> None:
    desk = Desk(write_show(tmp_path / "show", score=False), browser)
    try:
        desk.expect(desk.page.locator("#right")).to_have_text("No remake yet")
        desk.expect(desk.page.locator("#inspector")).to_contain_text("cineml remap makes one")
        desk.press("m")
        desk.says("shots 1 and 2 joined")
        assert desk.starts() == [0, 20, 32]
        desk.press("Space")
        desk.plays("frame >= 12")  # beyond where shot 1 ended
        desk.press("l")
        desk.says("no score")
        assert all(re.search("422", line) for line in desk.said), desk.said
    finally:
        desk.close()
