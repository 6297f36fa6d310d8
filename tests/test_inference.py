"""The inference thread and its ladder, with sources that do what they are told."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from player.show.cut_list import CutList, Shot
from player.show.film import Film
from player.show.problem import Problem, ShowError
from player.show.show import Show
from player.sources import inference as module
from player.sources.aim import Aim, Layer
from player.sources.frame import Frame
from player.sources.inference import Inference, robust_pace_s
from player.state import Latent

SHOTS = (Shot(1, 0, 24), Shot(2, 24, 48))
CUTS = CutList("ladder", Fraction(24), 48, SHOTS)
SHOW = Show("ladder", Path("ladder.toml"), Film(Fraction(24), 48, 8, 6), CUTS, "generator")


class Told:
    """A source that fails, waits or counts as told."""

    def __init__(self, name: str = "generator") -> None:
        self.name = name
        self.made: list[float] = []
        self.failing: Callable[[Aim], bool] = lambda aim: False
        self.gate = threading.Event()
        self.gate.set()
        self.problem: Problem | None = None
        self.threads: set[str] = set()
        self.is_open = False
        self.inside = 0

    def open(self) -> None:
        if self.problem is not None:
            raise ShowError(self.problem)
        self.is_open = True

    def make(self, aim: Aim, layer: Layer) -> Frame:
        self.inside += 1
        assert self.inside == 1, "two threads at once"
        self.threads.add(threading.current_thread().name)
        try:
            assert self.gate.wait(30)
            if self.failing(aim):
                raise RuntimeError(f"no picture {len(self.made)}")
            self.made.append(aim.show_time_s)
            pixels = np.full((6, 8, 3), int(layer.film_position) % 256, np.uint8)
            return Frame(pixels, aim.show_time_s, aim.epoch, layer.shot, float(layer.film_position), self.name, (0, 0, 8, 6))
        finally:
            self.inside -= 1

    def close(self) -> None:
        self.is_open = False

    def facts(self) -> dict[str, Any]:
        return {"provider": "CPUExecutionProvider" if self.name == "generator" else None}


def aim(show_time_s: float, *layers: Layer) -> Aim:
    return Aim(show_time_s, 0, layers or (Layer(1, "generator", Fraction(round(show_time_s * 24)) % 48),), Latent())


def wait_for(inference: Inference, count: int = 1) -> list[Frame]:
    """Frames as the loop gets them; gives up only when a test would hang."""
    frames: list[Frame] = []
    end = time.monotonic() + 20
    while len(frames) < count and time.monotonic() < end:
        frames += inference.finished()
        time.sleep(0.001)
    return frames


def busy(inference: Inference) -> bool:
    """Whether an aim is waiting or being made."""
    return inference.waiting is not None or inference._making_since_s is not None


def made_live(inference: Inference, at_s: float) -> list[Frame]:
    """What the thread makes for one aim, as in real time."""
    inference.make(aim(at_s))
    settle(inference)
    return inference.finished()


def hang(inference: Inference, told: Told) -> None:
    """Asks for a picture that is not done before told.gate is set, and waits until the model is at it."""
    told.gate.clear()
    inference.make(aim(1.0))
    while not told.inside:
        time.sleep(0.001)


def settle(inference: Inference) -> None:
    end = time.monotonic() + 20
    while busy(inference) and time.monotonic() < end:
        time.sleep(0.001)


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def fallback() -> Told:
    return Told("film")


@pytest.fixture
def inference(told: Told, fallback: Told) -> Iterator[Inference]:
    made = Inference({"generator": told}, SHOW, fallback)
    made.open()
    told.made.clear()
    told.threads.clear()
    yield made
    told.gate.set()
    made.close()


def test_an_aim_becomes_a_frame_on_another_thread(inference: Inference, told: Told) -> None:
    inference.make(aim(1.0))
    (frame,) = wait_for(inference)
    assert (frame.show_time_s, frame.shot, frame.source) == (1.0, 1, "generator")
    assert threading.current_thread().name not in told.threads


def test_make_never_waits_and_the_newest_aim_wins(inference: Inference, told: Told) -> None:
    hang(inference, told)
    assert inference.waiting is None
    for t in (2.0, 3.0, 4.0):
        inference.make(aim(t))
    assert inference.waiting == aim(4.0)
    told.gate.set()
    assert [f.show_time_s for f in wait_for(inference, 2)] == [1.0, 4.0]
    settle(inference)
    assert told.made == [1.0, 4.0]


def test_asking_for_nothing_makes_nothing_and_keeps_what_waits(inference: Inference, told: Told) -> None:
    inference.make(None)
    assert not busy(inference)
    inference.make(aim(1.0))
    inference.make(None)
    assert len(wait_for(inference)) == 1


def test_every_layer_of_a_dissolve_is_made_once(inference: Inference) -> None:
    frames = inference.make_and_wait(aim(1.0, Layer(2, "generator", Fraction(25)), Layer(1, "generator", Fraction(25))))
    assert [f.shot for f in frames] == [2, 1]
    assert inference.facts()["pictures"] == 2


def test_distinct_pictures_are_counted_by_their_pixels(inference: Inference) -> None:
    for t in (0.0, 0.01, 0.5, 0.5, 1.0):
        inference.make_and_wait(aim(t))
    facts = inference.facts()
    assert (facts["pictures"], facts["distinct_pictures"]) == (5, 3)


@pytest.mark.logs_error("no picture")
def test_a_failing_source_gives_way_to_the_fallback_is_logged_once_and_counted(
        inference: Inference, told: Told, caplog: pytest.LogCaptureFixture) -> None:
    told.failing = lambda a: True
    with caplog.at_level(logging.WARNING, "cineml"):
        frames = [inference.make_and_wait(aim(t / 24))[0] for t in range(240)]
    assert all(f.source == "fallback" for f in frames)
    said = [r for r in caplog.records if "no picture" in r.message]
    assert len(said) == 1 and said[0].name == "cineml"
    facts = inference.facts()
    (text,) = facts["faults"]
    assert text.startswith("generator: RuntimeError: no picture") and facts["faults"][text] > 3
    assert facts["by_fallback"] == 240 and facts["pictures"] == 0


@pytest.mark.logs_error("no picture")
def test_after_some_faults_in_a_row_a_source_rests_and_is_then_tried_again(inference: Inference, told: Told) -> None:
    told.failing = lambda a: a.show_time_s < 4.5
    tries: list[float] = []
    make = told.make

    def counting(a: Aim, layer: Layer) -> Frame:
        tries.append(a.show_time_s)
        return make(a, layer)

    told.make = counting  # type: ignore[method-assign]
    sources = [made_live(inference, t / 24)[0].source for t in range(240)]
    early = [t for t in tries if t < 4.5]
    assert len(early) == module.FAULTS_IN_A_ROW + 1  # 3 at once, one more after the rest
    assert sources[-1] == "generator" and inference.facts()["pictures"] == sources.count("generator") > 0
    first_good = sources.index("generator")
    assert set(sources[first_good:]) == {"generator"}


@pytest.mark.logs_error("no picture")
def test_under_the_manual_clock_a_source_never_rests(inference: Inference, told: Told) -> None:
    told.failing = lambda a: a.show_time_s < 1.0
    sources = [inference.make_and_wait(aim(t / 24))[0].source for t in range(48)]
    assert sources == ["fallback"] * 24 + ["generator"] * 24
    assert inference.failures == 24 + 24  # pictures by the fallback, and faults


NO_PICTURES = {"grey": np.zeros((6, 8), np.uint8), "float": np.zeros((6, 8, 3), np.float32),
               "rgba": np.zeros((6, 8, 4), np.uint8), "empty": np.zeros((0, 8, 3), np.uint8), "list": [[0]]}


@pytest.mark.logs_error("generator: ValueError: gave")
@pytest.mark.parametrize("wrong", [*({"pixels": p} for p in NO_PICTURES.values()), {"inner": (0, 0, 0, 6)},
                                   {"inner": (0, 0, float("nan"), 6)}, {"inner": (4, 0, 8, 6)}, {"inner": (0, 0, 8)}, None],
                         ids=[*NO_PICTURES, "no width", "nan", "outside", "three numbers", "nothing"])
def test_what_is_no_picture_is_a_fault_and_never_reaches_the_screen(
        inference: Inference, told: Told, wrong: dict[str, Any] | None) -> None:
    make = told.make
    told.make = lambda a, layer: wrong and replace(make(a, layer), **wrong)  # type: ignore[method-assign]
    assert [f.source for f in made_live(inference, 1.0)] == ["fallback"]
    assert sum(inference.facts()["faults"].values()) == 1


@pytest.mark.logs_error("no picture")
def test_one_fault_does_not_make_a_source_rest(inference: Inference, told: Told) -> None:
    told.failing = lambda a: a.show_time_s == 2.0
    sources = [inference.make_and_wait(aim(float(t)))[0].source for t in range(4)]
    assert sources == ["generator", "generator", "fallback", "generator"]


@pytest.mark.logs_error("no picture")
def test_without_a_fallback_a_fault_makes_no_frame_and_nothing_raises(told: Told) -> None:
    inference = Inference({"generator": told}, SHOW)
    inference.open()
    told.failing = lambda a: True
    assert inference.make_and_wait(aim(1.0)) == []
    inference.make(aim(1.1))
    settle(inference)
    assert inference.finished() == [] and inference.facts()["missed"] == 2
    inference.close()


@pytest.mark.logs_error("no such source")
def test_a_source_that_the_show_does_not_have_is_a_fault_not_a_crash(inference: Inference) -> None:
    (frame,) = inference.make_and_wait(aim(1.0, Layer(1, "stylizer", Fraction(3))))
    assert frame.source == "fallback"
    assert any("stylizer" in text for text in inference.facts()["faults"])


@pytest.mark.logs_error("generator: RuntimeError", "fallback: RuntimeError")
def test_a_failing_fallback_is_a_fault_too(inference: Inference, told: Told, fallback: Told) -> None:
    told.failing = fallback.failing = lambda a: True
    assert inference.make_and_wait(aim(1.0)) == []
    assert len(inference.facts()["faults"]) == 2


@pytest.mark.logs_error("does not come back")
def test_a_model_that_hangs_is_left_and_the_fallback_goes_on(inference: Inference, told: Told,
                                                             monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HUNG_S", 0.05)
    hang(inference, told)
    frames: list[Frame] = []
    for i in range(20_000):
        if inference.waiting is None:  # as the play loop does
            inference.make(aim(1.1 + i * 0.01))
        frames += inference.finished()
        if len(frames) >= 3:
            break
        time.sleep(0.001)
    assert len(frames) >= 3 and {f.source for f in frames} == {"fallback"}
    assert any("does not come back" in text for text in inference.facts()["faults"])
    told.gate.set()  # it comes back after all: its late picture is dropped, and it is used again
    while told.inside:
        time.sleep(0.001)
    settle(inference)
    inference.finished()
    inference.make(aim(500.0))
    (frame,) = wait_for(inference)
    assert (frame.source, frame.show_time_s) == ("generator", 500.0)


def test_a_hung_model_never_blocks_close(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CLOSE_S", 0.05)
    inference = Inference({"generator": told}, SHOW)
    inference.open()
    hang(inference, told)
    inference.close()
    assert told.inside == 1 and told.is_open  # still running, so not torn down under it
    told.gate.set()


def test_what_a_hung_source_is_made_of_stays_open_at_close(told: Told, fallback: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stylizer's thread that comes back asks its film for the next frame."""
    monkeypatch.setattr(module, "CLOSE_S", 0.05)
    film, other = Told("film"), Told("clip")
    told.bases = {"film": film}  # type: ignore[attr-defined]
    inference = Inference({"film": film, "clip": other, "generator": told}, SHOW, fallback)
    inference.open()
    hang(inference, told)
    inference.close()
    assert told.is_open and film.is_open and not other.is_open and not fallback.is_open
    told.gate.set()


def test_close_closes_every_source_and_later_aims_are_ignored(told: Told, fallback: Told) -> None:
    inference = Inference({"generator": told}, SHOW, fallback)
    inference.open()
    inference.make(aim(1.0))
    inference.close()
    inference.make(aim(2.0))
    assert not told.is_open and not fallback.is_open and not busy(inference)


def test_open_lists_the_problems_of_all_sources_and_closes_the_rest(told: Told, fallback: Told) -> None:
    other = Told("film")
    told.problem, fallback.problem = Problem("a.onnx", "is missing"), Problem("b.mp4", "is missing")
    with pytest.raises(ShowError) as e:
        Inference({"generator": told, "film": other}, SHOW, fallback).open()
    assert [p.where for p in e.value.problems] == ["a.onnx", "b.mp4"] and not other.is_open


def test_a_warm_up_picture_is_not_counted_but_tells_the_pace(inference: Inference) -> None:
    facts = inference.facts()
    assert facts["pictures"] == 0 and facts["model_ms"] is None and inference.pace_of("generator") > 0
    assert facts["provider"] == "CPUExecutionProvider"


@pytest.mark.logs_error("no picture")
def test_a_source_that_fails_in_the_warm_up_does_not_stop_the_show(told: Told, fallback: Told) -> None:
    told.failing = lambda a: True
    inference = Inference({"generator": told}, SHOW, fallback)
    inference.open()
    assert inference.make_and_wait(aim(0.5))[0].source == "fallback"


def test_the_pace_is_not_moved_by_one_slow_picture_and_follows_a_slower_model() -> None:
    from collections import deque

    assert robust_pace_s(deque([0.05] * 29 + [3.0])) == 0.05
    assert robust_pace_s(deque([0.05] * 15 + [0.09] * 15)) == 0.09
    assert robust_pace_s(deque()) == 0.0


def test_frames_that_nobody_takes_do_not_fill_the_memory(inference: Inference) -> None:
    for t in range(3 * module.MAX_UNREAD):
        inference.make(aim(float(t)))
        settle(inference)
    frames = inference.finished()
    assert len(frames) == module.MAX_UNREAD and frames[-1].show_time_s == 3.0 * module.MAX_UNREAD - 1
