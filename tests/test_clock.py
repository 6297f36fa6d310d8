"""The clock: synthetic sound cards with jitter, drift, zeros, steps, underruns and unplugging."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator

import pytest

from player.clock import (
    MAX_DRIFT,
    MAX_LEAN,
    SAMPLE_RATE_HZ,
    AudioClock,
    ManualClock,
    Pair,
    WallClock,
    dac_times_are_right,
    fit,
    plausible,
)

BLOCK = 720
LATENCY_S = 0.075


class Card:
    """A sound card that plays blocks of 720 samples from start_s on, asked at any later perf_counter time.

    drift: how much faster than the machine's clock. dac_jitter_s, call_jitter_s: standard deviations. steps: (time,
    seconds) by which the stream's clock is set. stops: (time, seconds) in which no samples are played.
    """

    def __init__(self, drift: float = 0.0, dac_jitter_s: float = 0.0, call_jitter_s: float = 0.0, zero_dac: bool = False,
                 start_s: float = 1000.0, seed: int = 1) -> None:
        self.drift, self.dac_jitter_s, self.call_jitter_s, self.zero_dac = drift, dac_jitter_s, call_jitter_s, zero_dac
        self.start_s, self.random = start_s, random.Random(seed)
        self.steps: list[tuple[float, float]] = []
        self.stopped_s = 0.0
        self.now_s = start_s
        self.silent = False
        self.moved = self.anchor = self.moves = 0
        self.block = -1
        self.published: Pair | None = None

    def heard(self, perf_s: float) -> float:
        """The truth: show seconds heard at a time."""
        return (perf_s - self.start_s - self.stopped_s) * (1 + self.drift) + self.moved / SAMPLE_RATE_HZ

    def stream_clock(self, perf_s: float) -> float:
        return 1.7e9 + perf_s + sum(by_s for at_s, by_s in self.steps if perf_s >= at_s)

    def run_to(self, perf_s: float) -> None:
        """Publishes the newest block that was asked for by now."""
        self.now_s = perf_s
        block = int((perf_s + LATENCY_S - self.start_s - self.stopped_s) * (1 + self.drift) * SAMPLE_RATE_HZ / BLOCK)
        if self.silent or block <= self.block:
            return
        self.block = block
        heard_s = self.start_s + self.stopped_s + block * BLOCK / SAMPLE_RATE_HZ / (1 + self.drift)
        called_s = min(heard_s - LATENCY_S + abs(self.random.gauss(0, self.call_jitter_s)), perf_s)
        ahead_s = heard_s - called_s + self.random.gauss(0, self.dac_jitter_s)
        stream_s = self.stream_clock(called_s)
        dac_s = 0.0 if self.zero_dac else stream_s + ahead_s
        self.published = Pair(block * BLOCK + self.moved, dac_s, stream_s, called_s, LATENCY_S, self.anchor)

    def move(self, samples: int) -> None:
        self.moved += samples
        self.anchor += 1
        self.moves += 1


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.LogCaptureFixture]:
    """What 'cineml' logs, whether or not its records go on to the root logger."""
    logger = logging.getLogger("cineml")
    monkeypatch.setattr(logger, "propagate", False)
    logger.addHandler(caplog.handler)
    with caplog.at_level(logging.INFO, "cineml"):
        yield caplog
    logger.removeHandler(caplog.handler)


def settled(card: Card) -> tuple[AudioClock, float]:
    """A clock on a card that has played for 0.4 s, and the time."""
    pairs = []
    now_s = card.start_s
    while now_s < card.start_s + 0.4:
        card.run_to(now_s)
        if card.published and (not pairs or card.published != pairs[-1]):
            pairs.append(card.published)
        now_s += 0.02
    return AudioClock(card, pairs, now=lambda: card.now_s), now_s


def refreshes(card: Card, clock: AudioClock, now_s: float, seconds: float,
              ahead_s: float = 1 / 60) -> Iterator[tuple[float, float]]:
    """(time, show time ahead_s later) of each refresh at 60 Hz, a little uneven."""
    end_s = now_s + seconds
    while now_s < end_s:
        now_s += 1 / 60 + card.random.uniform(-0.002, 0.002)
        card.run_to(now_s)
        yield now_s, clock.show_time_at(now_s + ahead_s)


def rates(told: list[tuple[float, float]]) -> list[float]:
    return [(b - a) / (t - s) for (s, a), (t, b) in zip(told[:-1], told[1:], strict=True)]


def check_never_jumps(told: list[tuple[float, float]]) -> None:
    limit = MAX_LEAN + MAX_DRIFT + 1e-6
    assert all(1 - limit <= rate <= 1 + limit for rate in rates(told))


def test_manual_time_stands_where_the_loop_put_it() -> None:
    clock = ManualClock()
    clock.now_s = 4.5
    assert clock.show_time_at(123.0) == 4.5 and clock.name == "manual"


def test_wall_time_counts_from_its_start() -> None:
    assert WallClock(10.0).show_time_at(12.5) == 2.5 and WallClock().name == "wall"


@pytest.mark.parametrize("drift", [0.0, 100e-6, -100e-6])
def test_show_time_is_what_is_heard_through_jitter_and_drift(drift: float) -> None:
    card = Card(drift, dac_jitter_s=0.001, call_jitter_s=0.004)
    clock, now_s = settled(card)
    told = list(refreshes(card, clock, now_s, 90.0))
    check_never_jumps(told)
    late = [abs(show_s - card.heard(t + 1 / 60)) for t, show_s in told if t > now_s + 10]
    assert max(late) < 0.002 and clock.name == "audio" and card.moves == 0


def test_a_set_wall_clock_behind_the_dac_times_changes_nothing() -> None:
    card = Card(dac_jitter_s=0.0002)
    card.steps = [(1020.0, 2.0), (1040.0, -3600.0)]
    clock, now_s = settled(card)
    told = list(refreshes(card, clock, now_s, 60.0))
    check_never_jumps(told)
    assert max(abs(show_s - card.heard(t + 1 / 60)) for t, show_s in told) < 0.001 and card.moves == 0


def test_zero_dac_times_are_seen_at_start_and_samples_counted_instead(said: pytest.LogCaptureFixture) -> None:
    card = Card(zero_dac=True, call_jitter_s=0.004)
    clock, now_s = settled(card)
    told = list(refreshes(card, clock, now_s, 60.0))
    assert clock.counted and clock.name == "audio"
    assert len([r for r in said.records if "not plausible" in r.message]) == 1
    check_never_jumps(told)
    assert max(abs(show_s - card.heard(t + 1 / 60)) for t, show_s in told) < 0.012


def test_dac_times_that_stand_still_or_lie_far_off_are_not_believed() -> None:
    still = [Pair(i * BLOCK, 500.0, 499.95 + 0.0 * i, 10 + i * 0.015) for i in range(20)]
    assert not dac_times_are_right([p._replace(stream_s=p.perf_s + 490) for p in still])
    assert not plausible(Pair(0, 0.0, 0.0, 1.0))
    assert not plausible(Pair(0, 900.0, 100.0, 1.0)) and not plausible(Pair(0, float("nan"), 1.0, 1.0))
    good = [Pair(i * BLOCK, 5 + i * 0.015 + 0.07, 5 + i * 0.015, 10 + i * 0.015) for i in range(20)]
    assert dac_times_are_right(good) and not dac_times_are_right(good[:2])


def test_dac_times_that_turn_wrong_in_the_show_are_given_up_once(said: pytest.LogCaptureFixture) -> None:
    card = Card()
    clock, now_s = settled(card)
    told = list(refreshes(card, clock, now_s, 5.0))
    card.zero_dac = True
    told += list(refreshes(card, clock, told[-1][0], 20.0))
    check_never_jumps(told)
    assert clock.counted and len([r for r in said.records if "become wrong" in r.message]) == 1
    assert abs(told[-1][1] - card.heard(told[-1][0] + 1 / 60)) < 0.005


def test_a_small_error_is_leant_away() -> None:
    card = Card()
    clock, now_s = settled(card)
    told = list(refreshes(card, clock, now_s, 10.0))
    card.stopped_s += 0.015
    told += list(refreshes(card, clock, told[-1][0], 20.0))
    check_never_jumps(told)
    assert card.moves == 0
    assert abs(told[-1][1] - card.heard(told[-1][0] + 1 / 60)) < 0.001


@pytest.mark.parametrize(("told_by_driver", "break_s", "zero_dac"), [
    (True, 0.01, False), (True, 0.06, False), (True, 0.6, False), (False, 0.06, False), (False, 0.6, False),
    (True, 0.01, True), (True, 0.06, True), (True, 0.6, True), (False, 0.6, True)])
def test_after_an_underrun_the_sound_moves_to_the_picture(told_by_driver: bool, break_s: float, zero_dac: bool) -> None:
    card = Card(zero_dac=zero_dac, dac_jitter_s=0.0002)
    clock, now_s = settled(card)
    told = list(refreshes(card, clock, now_s, 10.0))
    card.stopped_s += break_s
    card.anchor += told_by_driver
    after = list(refreshes(card, clock, told[-1][0], 5.0))
    check_never_jumps(told + after)
    assert card.moves == clock.resyncs == 1 and abs(card.moved - break_s * SAMPLE_RATE_HZ) < 300
    assert max(abs(show_s - card.heard(t + 1 / 60)) for t, show_s in after if t > told[-1][0] + 1.0) < 0.004


def test_a_move_that_is_not_played_yet_is_not_asked_for_twice() -> None:
    class Slow(Card):
        def move(self, samples: int) -> None:
            self.moves += 1
            self.asked = samples

    card = Slow()
    clock, now_s = settled(card)
    told = list(refreshes(card, clock, now_s, 5.0))
    card.stopped_s += 0.5
    told += list(refreshes(card, clock, told[-1][0], 2.0))
    assert card.moves == 1
    card.moved, card.anchor = card.asked, card.anchor + 1
    told += list(refreshes(card, clock, told[-1][0], 5.0))
    check_never_jumps(told)
    assert card.moves == 1 and abs(told[-1][1] - card.heard(told[-1][0] + 1 / 60)) < 0.001


def test_a_lean_ends_with_the_sound_that_asked_for_it() -> None:
    card = Card()
    clock, now_s = settled(card)
    told = list(refreshes(card, clock, now_s, 10.0))
    card.stopped_s += 0.015
    told += list(refreshes(card, clock, told[-1][0], 1.0))
    card.silent = True
    told += list(refreshes(card, clock, told[-1][0], 60.0))
    (a, b), (c, d) = told[-60 * 50], told[-1]
    assert clock.name == "wall" and (d - b) / (c - a) == pytest.approx(1.0, abs=1e-5)


def test_an_unplugged_card_leaves_the_wall_clock_and_the_sound_joins_when_it_is_back(
        said: pytest.LogCaptureFixture) -> None:
    card = Card()
    clock, now_s = settled(card)
    told = list(refreshes(card, clock, now_s, 5.0))
    card.silent = True
    told += list(refreshes(card, clock, told[-1][0], 10.0))
    assert clock.name == "wall" and clock.heard_at(told[-1][0]) is None
    card.silent = False
    card.anchor += 1000
    card.moved -= 3 * SAMPLE_RATE_HZ  # a new stream that guessed its place wrongly
    told += list(refreshes(card, clock, told[-1][0], 10.0))
    check_never_jumps(told)
    assert clock.name == "audio" and card.moves == 1
    assert abs(told[-1][1] - card.heard(told[-1][0] + 1 / 60)) < 0.001
    assert len([r for r in said.records if "wall clock" in r.message]) == 1


def test_a_projector_a_second_late_does_not_make_the_sound_count_as_gone(said: pytest.LogCaptureFixture) -> None:
    card = Card()
    clock, now_s = settled(card)
    told = list(refreshes(card, clock, now_s, 5.0, ahead_s=0.99 + 1 / 60))
    check_never_jumps(told)
    assert clock.name == "audio" and not [r for r in said.records if "wall clock" in r.message]
    assert abs(told[-1][1] - card.heard(told[-1][0] + 0.99 + 1 / 60)) < 0.001
    card.silent = True
    told += list(refreshes(card, clock, told[-1][0], 1.2, ahead_s=0.99 + 1 / 60))
    assert clock.name == "wall", "and real silence is still seen"


def test_a_stream_that_never_runs_leaves_the_wall_clock_until_it_does() -> None:
    card = Card()
    clock = AudioClock(card, [])
    first_s = clock.show_time_at(2000.0)
    assert clock.name == "wall" and clock.show_time_at(2010.0) - first_s == pytest.approx(10.0)


@pytest.mark.parametrize("seed", range(6))
def test_show_time_never_runs_backwards_whatever_the_card_does(seed: int) -> None:
    card = Card(random.Random(seed).uniform(-3e-4, 3e-4), 0.003, 0.01, seed=seed)
    clock, now_s = settled(card)
    told: list[tuple[float, float]] = []
    for _ in range(12):
        told += list(refreshes(card, clock, now_s, card.random.uniform(0.2, 4.0)))
        now_s = told[-1][0]
        trouble = card.random.choice(("stop", "step", "silent", "zero", "none"))
        card.silent, card.zero_dac = trouble == "silent", trouble == "zero"
        card.stopped_s += card.random.uniform(0, 1.5) if trouble == "stop" else 0.0
        if trouble == "step":
            card.steps.append((now_s + 0.1, card.random.uniform(-100, 100)))
    check_never_jumps(told)


def test_the_line_keeps_its_precision_after_weeks() -> None:
    base_s, base = 4.0e6, int(4.0e6) * SAMPLE_RATE_HZ
    heard = [base_s + i * 0.05 for i in range(400)]
    line = fit(heard, [base + round(i * 0.05 * SAMPLE_RATE_HZ) for i in range(400)])
    assert abs(line.at(base_s + 30.0) - (base / SAMPLE_RATE_HZ + 30.0)) < 5e-6


def test_wild_pairs_do_not_bend_the_line() -> None:
    heard = [i * 0.05 + (0.03 if i % 9 == 0 else 0.0) for i in range(400)]
    line = fit(heard, [round(i * 0.05 * SAMPLE_RATE_HZ * 1.0001) for i in range(400)])
    assert abs(line.at(25.0) - 25.0 * 1.0001) < 2e-4
