"""The report: refreshes, late ones, cuts, pictures, sync and memory; the stats file; a log that counts repeats."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from player import report as report_module
from player.report import MEMORY_KEPT, Histogram, LineHandler, RepeatFilter, Report, resident_mib, set_up_logging
from player.sources.frame import Blend, Due, Frame
from player.state import Command, ShowState, advance, first_state
from tests.small_shows import small_show

KEYS = {"refreshes", "late", "refresh_hz", "cuts", "pictures", "distinct_pictures_per_s", "model_ms", "provider",
        "renderer", "sync_ms", "rss_mib"}
HZ = 60.0
PIXELS = np.zeros((2, 2, 3), np.uint8)


def facts() -> dict[str, Any]:
    return {"pictures": 40, "model_ms": {"p50": 12.0034, "p99": 19.9961, "n": 40}, "provider": "CPUExecutionProvider",
            "faults": {}}


def picture(state: ShowState, shot: int | None = None) -> Due:
    """A picture made for this very refresh, of its shot or another."""
    number = state.mix.shot.number if shot is None else shot
    return Due(Blend(Frame(PIXELS, round(state.show_time_s * 12) / 12, state.transport.epoch, number, 0.0, "generator",
                           (0, 0, 2, 2))))


def played(report: Report, seconds: float, due: Callable[[ShowState], Due] = picture,
           late_s: Callable[[int], float] = lambda i: 0.0,
           commands: Callable[[int], list[Command]] = lambda i: []) -> ShowState:
    """Runs refreshes at 60 Hz, perf_counter 1000 s ahead of show time."""
    state = first_state(report.show)
    for i in range(round(seconds * HZ)):
        now_s = i / HZ
        state = advance(state, commands(i), now_s, report.show)
        report.flipped(state, due(state), 1000 + now_s, 1000 + now_s + late_s(i))
    return state


def test_stats_have_exactly_the_keys_of_the_design_and_are_json(tmp_path: Path) -> None:
    report = Report(small_show(), facts, renderer="llvmpipe", refresh_hz=HZ)
    played(report, 3.0)
    report.write(tmp_path / "stats.json")
    stats = json.loads((tmp_path / "stats.json").read_text())
    assert set(stats) == KEYS and [p.name for p in tmp_path.iterdir()] == ["stats.json"]
    assert stats["refreshes"] == 180 and stats["late"] == 0 and stats["pictures"] == 40
    assert stats["model_ms"] == {"p50": 12.0, "p99": 20.0} and stats["provider"] == "CPUExecutionProvider"
    assert stats["sync_ms"] is None and stats["renderer"] == "llvmpipe"
    assert stats["distinct_pictures_per_s"] == pytest.approx(12, abs=1)


def test_what_does_not_apply_is_null() -> None:
    stats = Report(small_show(), lambda: {}).stats()
    assert stats["model_ms"] is None and stats["provider"] is None and stats["distinct_pictures_per_s"] is None
    assert stats["cuts"] == [] and stats["rss_mib"] == []


def test_a_refresh_is_late_when_presented_more_than_half_a_refresh_after_its_target() -> None:
    report = Report(small_show(), facts, refresh_hz=HZ)
    played(report, 2.0, late_s=lambda i: 0.009 if i % 10 == 3 else 0.008 if i % 10 == 5 else -0.001)
    assert report.refreshes == 120 and report.late == 12


def test_each_cut_has_its_due_time_and_the_time_its_first_picture_was_seen() -> None:
    report = Report(small_show(), facts, refresh_hz=HZ)
    played(report, 5.5, late_s=lambda i: 0.002)
    cuts = report.stats()["cuts"]
    assert [c["frame"] for c in cuts] == [24, 33, 72, 96, 0], "and the loop is a cut to the first frame"
    assert [c["due_s"] for c in cuts] == pytest.approx([1.0, 1.375, 3.0, 4.0, 5.0])
    assert all(0 <= c["shown_s"] - c["due_s"] < 1 / HZ + 0.0021 for c in cuts)


def test_a_cut_is_shown_only_with_a_picture_of_the_new_shot() -> None:
    report = Report(small_show(), facts, refresh_hz=HZ)

    def slow(state: ShowState) -> Due:
        if state.mix.shot.number == 2 and state.show_time_s < 1.1:
            return Due(picture(state, shot=1).shot, stale=True)
        return picture(state)

    played(report, 1.3, slow)
    (cut,) = report.stats()["cuts"]
    assert cut["due_s"] == 1.0 and cut["shown_s"] == pytest.approx(1.1, abs=1 / HZ)


def test_a_shot_that_passed_without_a_picture_was_never_shown() -> None:
    report = Report(small_show(), facts, refresh_hz=HZ)
    played(report, 1.5, lambda state: Due() if state.mix.shot.number == 2 else picture(state))
    assert report.stats()["cuts"][0]["shown_s"] is None and report.missed_cuts == 1


@pytest.mark.parametrize(("address", "value"), [("rate", 0.5), ("rate", 2.0), ("loop", False), ("pause", None)])
def test_another_rate_or_no_loop_after_the_first_loop_is_no_cut(address: str, value: Any) -> None:
    report = Report(small_show(), facts, refresh_hz=HZ)
    played(report, 5.5, commands=lambda i: [Command(f"/cineml/transport/{address}", value)] if i == 312 else [])
    assert [c["frame"] for c in report.stats()["cuts"]] == [24, 33, 72, 96, 0]


def test_the_loop_is_a_cut_in_the_very_refresh_that_changes_the_rate_too() -> None:
    report = Report(small_show(), facts, refresh_hz=HZ)
    played(report, 5.3, commands=lambda i: [Command("/cineml/transport/rate", 0.5)] if i == 300 else [])
    assert [c["frame"] for c in report.stats()["cuts"]] == [24, 33, 72, 96, 0]


def test_stats_that_a_disk_has_no_room_for_leave_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, text: str, encoding: str) -> None:
        path.write_bytes(text.encode(encoding)[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space"):
        Report(small_show(), facts).write(tmp_path / "stats.json")
    assert not list(tmp_path.iterdir())


def test_a_seek_is_no_cut() -> None:
    report = Report(small_show(), facts, refresh_hz=HZ)
    played(report, 0.9, commands=lambda i: [Command("/cineml/transport/seek_frame", 50)] if i == 20 else [])
    assert report.stats()["cuts"] == []


def test_distinct_pictures_are_counted_once_however_long_they_are_held() -> None:
    report = Report(small_show(), facts, refresh_hz=HZ)
    held = picture(first_state(report.show))
    played(report, 2.0, lambda state: held)
    assert report.distinct == 1


def test_sync_compares_the_picture_with_what_is_heard_as_it_is_seen() -> None:
    class Ears:
        def heard_at(self, monotonic_s: float) -> float | None:
            return monotonic_s - 1000 - 0.004 if monotonic_s > 1000.5 else None

    report = Report(small_show(), facts, refresh_hz=HZ, clock=Ears())
    played(report, 2.0, late_s=lambda i: 0.001)
    assert report.stats()["sync_ms"]["p50"] == pytest.approx(3.0, abs=0.1)


def test_memory_of_the_report_does_not_grow_with_the_length_of_the_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_module, "resident_mib", lambda: 100.0)
    report = Report(small_show(), facts, refresh_hz=HZ)
    state = first_state(report.show)
    for i in range(10_000):  # 28 hours, a refresh each 10 s
        state = advance(state, [], i * 10.0, report.show)
        report.flipped(state, picture(state), 1000 + i * 10.0, 1000 + i * 10.0)
    times = [t for t, _ in report.stats()["rss_mib"]]
    assert len(times) <= MEMORY_KEPT and times[0] == 0.0 and times[-1] > 95_000 and times == sorted(times)
    assert len(report.cuts) <= report_module.CUTS_KEPT and len(report._shown) <= report_module.PICTURES_KEPT


def test_memory_is_sampled_every_ten_seconds() -> None:
    report = Report(small_show(), facts, refresh_hz=HZ)
    played(report, 21.0)
    assert [t for t, _ in report.stats()["rss_mib"]] == pytest.approx([0, 10, 20], abs=0.1)
    assert all(m > 10 for _, m in report.rss_mib) and resident_mib() > 10


def test_percentiles_of_a_histogram_are_right_to_half_a_bin() -> None:
    histogram, values = Histogram(0.1, 1000), np.random.default_rng(1).uniform(0, 90, 5000)
    assert histogram.percentile(50) is None
    for v in values:
        histogram.add(float(v))
    for q in (1, 50, 99):
        assert histogram.percentile(q) == pytest.approx(np.percentile(values, q), abs=0.15)
    histogram.add(1e6)
    assert histogram.largest == 1e6 and histogram.total == 5001


def test_a_heartbeat_comes_each_minute_with_place_and_health(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("cineml")
    logger.addHandler(caplog.handler)
    with caplog.at_level(logging.INFO, "cineml"):
        report = Report(small_show(), facts, refresh_hz=HZ)
        played(report, 125.0)
    logger.removeHandler(caplog.handler)
    lines = list(dict.fromkeys(r.getMessage() for r in caplog.records))
    assert len(lines) == 2 and "frame" in lines[0] and "late of" in lines[0] and "MiB" in lines[0]


def test_trouble_summary_and_overlay_name_what_matters() -> None:
    faults = {"the model fell over": 3}
    report = Report(small_show(), lambda: {**facts(), "faults": faults, "by_fallback": 2, "missed": 1}, refresh_hz=HZ)

    def late(state: ShowState) -> Due:
        return Due(picture(state, shot=1).shot, stale=True) if 1.0 <= state.show_time_s < 1.1 else picture(state)

    played(report, 3.0, late, late_s=lambda i: 0.02 if i == 7 else 0.0)
    trouble = report.trouble()
    assert (trouble["stale"], trouble["by_fallback"], trouble["missed"], trouble["missed_cuts"]) == (6, 2, 1, 0)
    assert trouble["faults"] == faults and trouble["shown"] == {"generator": report.distinct}
    assert "180 refreshes, 1 late" in report.summary()
    assert any("refreshes a second" in line for line in report.overlay_lines)
    empty = Report(small_show(), lambda: {})
    assert "0 refreshes" in empty.summary() and not any(empty.trouble().values())


def test_a_message_that_repeats_is_said_once_then_counted() -> None:
    now_s, out = [0.0], io.StringIO()
    handler = logging.StreamHandler(out)
    handler.addFilter(RepeatFilter(60.0, lambda: now_s[0]))
    logger = logging.Logger("test")
    logger.addHandler(handler)
    for i in range(1000):
        now_s[0] = i * 0.1
        logger.warning("shot %d: 100%% broken", 7)
        if i % 500 == 0:
            logger.warning("another")
    assert out.getvalue().splitlines() == ["shot 7: 100% broken", "another", "shot 7: 100% broken (repeated 599 times)"]


def test_the_log_filter_forgets_old_messages_so_that_it_does_not_grow() -> None:
    repeats = RepeatFilter()
    for i in range(5000):
        repeats.filter(logging.LogRecord("x", logging.INFO, "", 0, f"message {i}", (), None))
    assert len(repeats._seen) <= report_module.REPEATS_KEPT


def test_setting_up_the_log_twice_writes_each_line_once_and_leaves_others_handlers() -> None:
    logger = logging.getLogger("cineml")
    before, propagate, level = list(logger.handlers), logger.propagate, logger.level
    out = io.StringIO()
    try:
        set_up_logging(out=io.StringIO())
        set_up_logging(out=out)
        logging.getLogger("cineml.sound").info("hello %s", "there")
        assert out.getvalue().count("hello there") == 1
        assert [h for h in logger.handlers if not isinstance(h, LineHandler)] == before
    finally:
        logger.handlers[:], logger.propagate = before, propagate
        logger.setLevel(level)
