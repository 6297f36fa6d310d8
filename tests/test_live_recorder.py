"""The recording of a live show: what was seen and heard, whatever the window does, and never the end of the show."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from player import live_recorder
from player.live_recorder import LiveRecorder
from player.show.show import Show
from player.soundtrack import DECLICK
from player.sources.film_reader import FilmReader, probe_film
from player.state import Command, ShowState, advance, first_state
from tests.small_shows import small_show

RATE = Fraction(25)
SIZE = (96, 64)
STEP = 48000 // 25
LEVEL = 16384  # half of full scale


def grey(size: tuple[int, int] = SIZE, value: int = 200) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.full((size[1], size[0], 3), value, np.uint8)


def steady(show: Show) -> np.ndarray[Any, np.dtype[np.int16]]:
    """A sound of one level, in which every step is a click."""
    return np.full((round(show.film.duration_s * 48000), 1), LEVEL, np.int16)


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Callable[..., LiveRecorder]]:
    made: list[LiveRecorder] = []

    def make(show: Show, **more: Any) -> LiveRecorder:
        made.append(LiveRecorder(tmp_path / "a.mp4", SIZE, RATE, show, **{"pcm": steady(show), **more}))
        return made[-1]

    yield make
    for recorder in made:
        recorder.close()


def refreshes(show: Show, count: int, commands: dict[int, Command] | None = None) -> Iterator[ShowState]:
    state = first_state(show, 7.0)
    for i in range(count):
        asked = (commands or {}).get(i)
        state = advance(state, [asked] if asked else [], 7.0 + i / 25, show)
        yield state


def heard(recorder: LiveRecorder, states: Iterator[ShowState], block: int = 1024,
          late_refreshes: int = 0, step: int = STEP) -> np.ndarray[Any, np.dtype[np.float32]]:
    """What the encoder gets, [samples]: as blocks, each asked for when its refresh is in (late: that much before it)."""
    recorder._recorder.abort()  # the test takes the encoder's place
    blocks, at = [], 0
    for i, state in enumerate(states):
        recorder.take(state, i, grey())
        while at + block <= (i + 1 + late_refreshes) * step:
            blocks.append(recorder._sound(at, block))
            at += block
    return np.concatenate(blocks)[:, 0]


def test_a_window_that_changes_its_size_does_not_end_the_recording(live: Callable[..., LiveRecorder], tmp_path: Path) -> None:
    recorder = live(small_show())
    for i, state in enumerate(refreshes(small_show(), 12)):
        recorder.take(state, i, grey(SIZE if i < 4 or i > 8 else (960, 640)))
    path = recorder.finish()
    assert probe_film(path)[1] == 12 and recorder.faults == 0
    reader = FilmReader(path)
    reader.open()
    assert all(abs(float(reader.picture(i).mean()) - 200) < 4 for i in range(12))


@pytest.mark.logs_error("could not be recorded")
def test_a_refresh_that_cannot_be_recorded_is_said_once_and_the_show_goes_on(
        live: Callable[..., LiveRecorder], caplog: pytest.LogCaptureFixture) -> None:
    recorder = live(small_show())
    for i, state in enumerate(refreshes(small_show(), 8)):
        recorder.take(state, i, grey() if i in (0, 7) else np.zeros((0, 0, 3), np.uint8))
    assert recorder.faults == 6
    assert probe_film(recorder.finish())[1] == 8


def test_mute_and_volume_make_no_click(live: Callable[..., LiveRecorder]) -> None:
    show = small_show()
    commands = {5: Command("/cineml/sound/mute", True), 9: Command("/cineml/sound/mute", False),
                14: Command("/cineml/sound/volume", 0.25, glide_s=0.0), 18: Command("/cineml/transport/pause")}
    sound = heard(live(show), refreshes(show, 25, commands))
    assert np.max(np.abs(np.diff(sound))) < 0.5 / DECLICK * 1.5, "a step of the signal is a click"
    settled = {0: 0.5, 5 * STEP - 1: 0.5, 5 * STEP + DECLICK: 0.0, 9 * STEP - 1: 0.0, 9 * STEP + DECLICK: 0.5,
               14 * STEP + DECLICK: 0.125, 18 * STEP - 1: 0.125, 18 * STEP + DECLICK: 0.0}
    assert {at: round(float(sound[at]), 4) for at in settled} == settled


def test_a_fader_that_moves_at_each_refresh_and_an_order_that_comes_late_make_no_click(
        live: Callable[..., LiveRecorder], monkeypatch: pytest.MonkeyPatch) -> None:
    show = small_show()
    states = [replace(s, volume=1.0 - abs(i - 12) / 12) for i, s in enumerate(refreshes(show, 25))]
    sound = heard(live(show), iter(states), block=441, late_refreshes=1)
    assert np.max(np.abs(np.diff(sound))) < 0.5 / 12 / DECLICK * 1.5 and sound.max() == pytest.approx(0.5)
    monkeypatch.setattr(live_recorder, "SAMPLE_RATE_HZ", 4800)  # refreshes nearer to one another than a crossfade is long
    sound = heard(live(show), iter(states), block=64, step=192)
    assert np.max(np.abs(np.diff(sound))) < 0.5 / DECLICK * 1.5


def test_changes_that_were_encoded_are_forgotten(live: Callable[..., LiveRecorder]) -> None:
    show, recorder = small_show(), live(small_show())
    states = [replace(s, volume=i / 25) for i, s in enumerate(refreshes(show, 25))]
    heard(recorder, iter(states))
    assert len(recorder._changes) <= 1


def test_the_sound_is_not_read_again_when_it_is_given(
        live: Callable[..., LiveRecorder], monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Show] = []
    monkeypatch.setattr(live_recorder, "read_samples", lambda show: read.append(show) or steady(show))
    live(small_show())
    assert not read
    live(small_show(), pcm=None)
    assert len(read) == 1


@pytest.mark.parametrize(("layout", "channels"), [("quad", 4), ("4.0", 4), ("5.0", 5)])
def test_a_recording_keeps_all_channels_of_the_soundtrack_as_its_file_calls_them(
        tmp_path: Path, layout: str, channels: int) -> None:
    import av

    show, path = small_show(), tmp_path / "sound.wav"
    pcm = np.full((round(show.film.duration_s * 48000), channels), LEVEL, np.int16)
    with av.open(str(path), "w") as out:
        wav = out.add_stream("pcm_s16le", rate=48000, layout=layout)
        frame = av.AudioFrame.from_ndarray(pcm.reshape(1, -1), "s16", layout)
        frame.sample_rate = 48000
        out.mux(wav.encode(frame))
    recorder = LiveRecorder(tmp_path / "a.mp4", SIZE, RATE, replace(show, film=replace(show.film, sound=path)), pcm=pcm)
    for i, state in enumerate(refreshes(show, 12)):
        recorder.take(state, i, grey())
    with av.open(str(recorder.finish())) as container:
        stream = container.streams.audio[0]
        samples = np.concatenate([f.to_ndarray() for f in container.decode(stream)], axis=1)  # [channels, samples]
        assert stream.layout.name == layout and (np.abs(samples).max(axis=1) > 0.4).tolist() == [True] * channels
