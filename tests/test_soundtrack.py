"""The soundtrack: whole-number places, loops without gaps, seeks without clicks; files; and a real stream."""

from __future__ import annotations

import builtins
import json
import subprocess
import sys
import threading
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile

from player import sound_file, soundtrack
from player.show.cut_list import CutList, Shot
from player.show.film import Film
from player.show.problem import ShowError
from player.show.show import Show, SoundOut
from player.sound_file import decode, read_samples, read_soundtrack, samples_at
from player.soundtrack import (
    DECLICK,
    NoSound,
    Soundtrack,
    click_track,
    lay,
    line_of,
    output_device,
    routes_of,
)
from player.state import Command as Ask
from player.state import Transport, advance, first_state, place_at

NTSC = Fraction(30000, 1001)


def show_of(rate: Fraction = Fraction(24), frames: int = 48, sound: Path | None = None, source: str = "testcard",
            **changes: Any) -> Show:
    film = Film(rate, frames, 64, 48, sound=sound)
    return Show("small", Path("small.toml"), film, CutList("small", rate, frames, (Shot(1, 0, frames),)), source=source,
                **changes)


def ramp(length: int, channels: int = 1) -> np.ndarray[Any, np.dtype[np.int16]]:
    """Sound whose every sample says its own number (modulo 30000)."""
    return np.repeat((np.arange(length) % 30000).astype(np.int16)[:, None], channels, axis=1)


def write_wav(path: Path, pcm: np.ndarray[Any, Any], rate: int = 48000) -> Path:
    soundfile.write(path, pcm, rate, subtype="PCM_16")
    return path


class FakeCard:
    """Stands for the sounddevice module; the test is the driver and calls the callback."""

    class PortAudioError(Exception):
        pass

    def __init__(self, names: tuple[str, ...] = ("Speakers", "HDMI 2"), channels: int = 2) -> None:
        self.devices = [{"name": n, "max_output_channels": channels, "index": i} for i, n in enumerate(names)]
        self.time = 100.0
        self.latency = 0.06
        self.callback: Any = None

    def query_devices(self, kind: str | None = None) -> Any:
        if kind is None:
            return self.devices
        if not self.devices:
            raise self.PortAudioError("no default output device")
        return self.devices[0]

    def OutputStream(self, *, callback: Any, channels: int, **_: Any) -> FakeCard:
        self.callback, self.channels = callback, channels
        return self

    def _terminate(self) -> None: ...
    def _initialize(self) -> None: ...
    def start(self) -> None: ...
    def abort(self) -> None: ...
    def close(self) -> None: ...

    def play(self, blocks: int = 1, frames: int = 480) -> np.ndarray[Any, np.dtype[np.float32]]:
        """[blocks * frames, channels] as the loudspeaker gets it."""
        heard = []
        for _ in range(blocks):
            out = np.full((frames, self.channels), np.nan, np.float32)
            self.callback(out, frames, type("Times", (), {"outputBufferDacTime": self.time + 0.06})(), 0)
            self.time += frames / 48000
            heard.append(out)
        return np.concatenate(heard)


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> FakeCard:
    fake = FakeCard()
    monkeypatch.setattr(soundtrack, "_sounddevice", lambda sound: fake)
    return fake


def playing(show: Show, card: FakeCard, pcm: np.ndarray[Any, Any] | None = None) -> Soundtrack:
    track = Soundtrack(show, show.sound)
    if pcm is not None:
        track._pcm = pcm
    track.start()
    return track


def test_clicks_fall_on_each_exact_film_second() -> None:
    show = show_of(NTSC, 90)
    clicks = click_track(show)
    assert len(clicks) == samples_at(90, NTSC) == 144144
    loud = np.flatnonzero(np.abs(clicks[:, 0].astype(int)) > 2000)
    starts = loud[np.flatnonzero(np.diff(loud, prepend=-1000) > 480)]
    assert [round(s / 48000, 3) for s in starts] == [0, 1, 2, 3] and np.array_equal(clicks[:, 0], clicks[:, 1])
    assert np.array_equal(read_samples(show), clicks)


@pytest.mark.parametrize("rate", [Fraction(24), Fraction(24000, 1001), NTSC, Fraction(25)])
@pytest.mark.parametrize("pause_s", [0.0, 0.7])
def test_every_sample_lies_where_the_state_says_the_film_is(rate: Fraction, pause_s: float) -> None:
    show = show_of(rate, 50, loop_pause_s=pause_s)
    length = samples_at(50, rate)
    transport = Transport(show_origin_s=3.25, film_origin=Fraction(7))
    out = np.empty((length * 3, 1), np.float32)
    pcm = np.maximum(ramp(length), 1)
    start = round(3.25 * 48000)
    lay(out, pcm, line_of(transport, show), start)
    for n in range(0, len(out), 997):
        place = place_at(transport, (start + n) / 48000, show)
        heard = round(float(out[n, 0]) * 32768)
        if place.in_pause:
            assert heard == 0
        else:
            true = float(place.position * 48000 / rate)
            assert abs((heard - true + 15000) % 30000 - 15000) <= 1.01 or abs(true - length) < 2


@pytest.mark.parametrize("rate", [Fraction(24), NTSC])
def test_blocks_of_any_size_join_without_a_gap_and_the_loop_too(rate: Fraction) -> None:
    show = show_of(rate, 31)
    length = samples_at(31, rate)
    pcm, line = ramp(length), line_of(Transport(), show)
    whole = np.empty((length * 5, 1), np.float32)
    lay(whole, pcm, line, 0)
    sizes, n = np.random.default_rng(1).integers(1, 2000, 400), 0
    for size in sizes:
        if n + size > len(whole):
            break
        block = np.empty((size, 1), np.float32)
        lay(block, pcm, line, n)
        assert np.array_equal(block, whole[n : n + size])
        n += int(size)
    numbers = np.round(whole[:, 0] * 32768).astype(int)
    jumps = np.flatnonzero(~np.isin(np.diff(numbers), (1, 1 - 30000)))
    # Only at the loop's own ends does the number not go on by one; there, it starts again from 0 (or holds once).
    assert len(jumps) <= 10 and all(numbers[j + 1] in (0, (length - 1) % 30000) for j in jumps)


def test_the_loop_keeps_its_place_after_a_month() -> None:
    show = show_of(NTSC, 1001)
    month = 30 * 86400 * 48000
    out, pcm = np.empty((10, 1), np.float32), ramp(samples_at(1001, NTSC))
    lay(out, pcm, line_of(Transport(), show), month)
    position = place_at(Transport(), 30 * 86400, show).position * 48000 / NTSC
    assert abs(round(float(out[0, 0]) * 32768) - float(position) % 30000) <= 1


def test_before_the_film_and_past_its_end_is_silence() -> None:
    show = show_of(frames=24)
    out, pcm = np.empty((200, 1), np.float32), np.full((48000, 1), 9999, np.int16)
    lay(out, pcm, line_of(Transport(show_origin_s=1.0, loop=False), show), 48000 - 100)
    assert not out[:100].any() and out[100:].all()
    lay(out, pcm, line_of(Transport(show_origin_s=1.0, loop=False), show), 96000 - 100)
    assert out[:100].all() and not out[100:].any()


def test_a_stream_without_orders_and_a_paused_one_are_silent(card: FakeCard) -> None:
    show = show_of()
    track = playing(show, card)
    assert not card.play(3).any()
    track.follow(Transport(playing=False), show, 1.0)
    assert not card.play(3).any()
    track.follow(Transport(rate=Fraction(2)), show, 1.0)
    assert not card.play(3).any(), "sound at another rate than 1 is mute"
    assert track.published is not None and track.published.samples == 8 * 480
    track.close()


def test_a_seek_is_a_crossfade_of_five_ms_and_exact_after_it(card: FakeCard) -> None:
    show = show_of(frames=240)
    pcm = np.full((480000, 1), 20000, np.int16)
    pcm[240000:] = -20000
    track = playing(show, card, pcm)
    state = first_state(show)
    track.follow(state.transport, show, 1.0)
    card.play(10)
    state = advance(state, [Ask("/cineml/transport/seek_s", 6.0)], 0.1, show)
    track.follow(state.transport, show, 1.0)
    heard = card.play(2, frames=160)[:, 0]
    heard = np.concatenate([heard, card.play(1)[:, 0]])
    assert np.max(np.abs(np.diff(heard))) < 0.01, "a jump of the signal is a click"
    assert np.allclose(heard[DECLICK:], -20000 / 32768)
    track.close()


def test_gain_ramps_within_the_block_and_then_holds(card: FakeCard) -> None:
    show = show_of(frames=240)
    track = playing(show, card, np.full((480000, 1), 16384, np.int16))
    transport = Transport()
    track.follow(transport, show, 1.0)
    card.play(4)
    track.follow(transport, show, 0.5)
    heard = card.play(2)[:, 0]
    assert heard[0] == pytest.approx(0.5, abs=0.002) and np.allclose(heard[480:], 0.25)
    assert np.all(np.diff(heard) <= 0) and np.max(np.abs(np.diff(heard))) < 0.001
    track.follow(transport, show, 0.0)
    assert not card.play(3)[960:].any()
    track.close()


def test_a_move_by_the_clock_crossfades_and_changes_the_anchor(card: FakeCard) -> None:
    show = show_of(frames=240)
    track = playing(show, card, ramp(480000))
    track.follow(Transport(), show, 1.0)
    card.play(10)
    before = track.published
    track.move(1000)
    heard = np.round(card.play(2)[:, 0] * 32768)
    after = track.published
    assert before is not None and after is not None and after.anchor != before.anchor
    assert after.samples == before.samples + 2 * 480 + 1000
    assert heard[-1] == after.samples + 479
    track.close()


def test_a_fault_in_a_block_is_silence_and_counted_but_the_stream_goes_on(card: FakeCard) -> None:
    show = show_of()
    track = playing(show, card)
    track._told = (None, 1.0)  # type: ignore[assignment]
    assert not card.play(2).any()
    assert track.facts()["faults"] == 2 and track.published is not None and track.published.samples == 480
    track.close()


def test_channels_go_where_the_venue_sends_them() -> None:
    assert routes_of(1, (), 2) == (0, 0) and routes_of(2, (), 8) == (0, 1)
    assert routes_of(2, (2, 1), 2) == (1, 0) and routes_of(2, (3, 4), 4) == (-1, -1, 0, 1)
    for asked in ((1,), (0, 1), (1, 9), (2, 2)):
        with pytest.raises(ShowError, match="sound: channels"):
            routes_of(2, asked, 4)
    with pytest.raises(ShowError, match="device of 2 channels"):
        routes_of(6, (), 2)


def test_the_channel_map_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    card = FakeCard(channels=4)
    monkeypatch.setattr(soundtrack, "_sounddevice", lambda sound: card)
    show = replace(show_of(), sound=SoundOut(channels=(4, 2)))
    pcm = np.stack([np.full(96000, 8192, np.int16), np.full(96000, -8192, np.int16)], axis=1)
    track = playing(show, card, pcm)
    track.follow(Transport(), show, 1.0)
    heard = card.play(3)[-1]
    assert heard.tolist() == [0.0, -0.25, 0.0, 0.25]
    track.close()


def test_a_device_is_found_by_part_of_its_name_and_a_missing_one_lists_what_is_there() -> None:
    devices = FakeCard(("Speakers (USB)", "HDMI 2", "HDMI")).devices
    assert output_device(devices, "hdmi") == 2 and output_device(devices, "usb") == 0 and output_device(devices, "") is None
    with pytest.raises(ShowError, match=r"'Spekers' is not there.*Speakers \(USB\), HDMI 2, HDMI"):
        output_device(devices, "Spekers")


def test_a_bad_file_and_a_bad_device_are_told_in_one_go(card: FakeCard, tmp_path: Path) -> None:
    show = replace(show_of(sound=tmp_path / "none.wav"), sound=SoundOut(device="Tannoy"))
    with pytest.raises(ShowError) as told:
        Soundtrack(show, show.sound)
    assert len(told.value.problems) == 2 and "none.wav" in str(told.value) and "Tannoy" in str(told.value)


def test_without_portaudio_or_a_device_there_is_no_sound_unless_one_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    show, real, true_import = show_of(), soundtrack._sounddevice, builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "sounddevice":
            raise OSError("PortAudio library not found")
        return true_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(NoSound, match="PortAudio is not installed"):
        real(show.sound)
    with pytest.raises(ShowError, match="libportaudio2"):
        real(SoundOut(device="HDMI"))
    monkeypatch.setattr(builtins, "__import__", true_import)
    monkeypatch.setattr(soundtrack, "_sounddevice", lambda sound: FakeCard(names=()))
    with pytest.raises(NoSound, match="no sound device"):
        Soundtrack(show, show.sound)


def test_a_device_in_use_at_start_is_tried_again_and_silent_until_the_clock_has_placed_it(
        card: FakeCard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soundtrack, "RETRY_S", 0.01)
    monkeypatch.setattr(soundtrack, "GONE_AFTER_S", 0.05)
    opened, tries = threading.Event(), []

    def start() -> None:
        tries.append(1)
        if len(tries) == 1:
            raise card.PortAudioError("Device unavailable")
        opened.set()

    monkeypatch.setattr(card, "start", start)
    show = show_of(frames=240)
    track = playing(show, card, np.full((480000, 1), 9999, np.int16))
    track.follow(Transport(), show, 1.0)
    assert opened.wait(20.0)
    assert not card.play(3).any()
    assert track.published is not None
    track.move(48000 - track.published.samples)
    assert card.play(3)[DECLICK:].all()
    track.close()


def test_a_sound_is_padded_or_trimmed_to_the_films_exact_length(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "s.wav", ramp(30000, 2))
    for frames in (5, 48):
        pcm = read_samples(show_of(NTSC, frames, path, "film"))
        length = samples_at(frames, NTSC)
        assert pcm.shape == (length, 2) and pcm.dtype == np.int16
        kept = min(length, 30000)
        assert np.array_equal(pcm[:kept], ramp(kept, 2)) and not pcm[kept:].any()
    floats = read_soundtrack(show_of(NTSC, 48, path, "film"))
    assert floats.dtype == np.float32 and floats[100, 0] == pytest.approx(100 / 32768)


@pytest.mark.parametrize("rate", [8000, 44100, 96000])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_any_rate_becomes_48_khz_without_a_shift(tmp_path: Path, rate: int, channels: int) -> None:
    pcm = np.zeros((rate, channels))
    n = np.arange(rate // 2)
    pcm[rate // 2 :, -1] = 0.5 * np.sin(2 * np.pi * 500 * n / rate)
    heard = decode(write_wav(tmp_path / "s.wav", pcm, rate))
    assert abs(len(heard) - 48000) <= 2 and heard.shape[1] == channels
    true = 16384 * np.sin(2 * np.pi * 500 * np.arange(20000) / 48000)
    assert np.sqrt(np.mean((heard[26000:44000, -1] - true[2000:]) ** 2)) < 300


def film_with_aac(path: Path, seconds: float = 2.0) -> Path:
    """A film whose sound (AAC) claps at 1.0 s."""
    with av.open(str(path), "w", options={"movflags": "faststart"}) as out:
        video = out.add_stream("libx264", rate=24, options={"bf": "2"})
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio = out.add_stream("aac", rate=44100, layout="stereo")
        for i in range(int(24 * seconds)):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), i, np.uint8), format="rgb24")
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        pcm = np.zeros((2, int(44100 * seconds)), np.float32)
        n = np.arange(4410)
        pcm[:, 44100:48510] = 0.7 * np.sin(2 * np.pi * 1000 * n / 44100)
        sound = av.AudioFrame.from_ndarray(pcm, format="fltp", layout="stereo")
        sound.sample_rate, sound.pts = 44100, 0  # without a pts the muxer does not know of the encoder's delay
        out.mux(audio.encode(sound))
        out.mux(audio.encode(None))
    return path


def test_sound_inside_a_film_keeps_its_place_against_the_picture(tmp_path: Path) -> None:
    pcm = decode(film_with_aac(tmp_path / "f.mp4"))
    first = int(np.flatnonzero(np.abs(pcm[:, 0].astype(int)) > 8000)[0])
    assert abs(first - 48000) < 96, "2 ms"


def test_missing_damaged_truncated_and_soundless_files_are_told_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ShowError, match="is not there"):
        decode(tmp_path / "none.wav")
    (tmp_path / "text.wav").write_text("not a sound at all, only words " * 20)
    with pytest.raises(ShowError, match="cannot be read as sound"):
        decode(tmp_path / "text.wav")
    (tmp_path / "empty.wav").write_bytes(b"")
    with pytest.raises(ShowError, match=r"empty\.wav"):
        decode(tmp_path / "empty.wav")
    noise = (np.random.default_rng(1).standard_normal((48000 * 6, 2)) * 3000).astype(np.int16)
    for name in ("wav", "flac", "mp3", "mp4"):
        whole = tmp_path / f"w.{name}"
        if name == "mp4":
            film_with_aac(whole, 6.0)
        else:
            soundfile.write(whole, noise, 48000)
        assert len(decode(whole)) > 0
        data = whole.read_bytes()
        cut = tmp_path / f"cut.{name}"
        cut.write_bytes(data[: len(data) * 6 // 10])
        with pytest.raises(ShowError, match=rf"cut\.{name}"):
            decode(cut)
    with av.open(str(tmp_path / "mute.mp4"), "w") as out:
        video = out.add_stream("libx264", rate=24)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        out.mux(video.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")))
        out.mux(video.encode(None))
    with pytest.raises(ShowError, match="holds no sound"):
        decode(tmp_path / "mute.mp4")


@pytest.mark.parametrize("kind", ["VORBIS", "OPUS", "opus by FFmpeg"])
def test_an_ogg_file_that_ends_before_its_stream_does_is_told(tmp_path: Path, kind: str) -> None:
    whole, cut = tmp_path / "w.ogg", tmp_path / "cut.ogg"
    noise = (np.random.default_rng(1).standard_normal((48000 * 4, 2)) * 3000).astype(np.int16)
    if kind.isupper():
        soundfile.write(whole, noise, 48000, format="OGG", subtype=kind)
    else:
        with av.open(str(whole), "w") as out:
            stream = out.add_stream("libopus", rate=48000, layout="stereo")
            frame = av.AudioFrame.from_ndarray(noise.reshape(1, -1), format="s16", layout="stereo")
            frame.sample_rate = 48000
            out.mux([*stream.encode(frame), *stream.encode(None)])
    assert abs(len(decode(whole)) - 4 * 48000) < 1000
    data = whole.read_bytes()
    last_page = data.rfind(b"OggS")
    for end in (len(data) * 6 // 10, last_page, last_page + 20, len(data) - 1):
        cut.write_bytes(data[:end])
        with pytest.raises(ShowError, match=r"cut\.ogg: is truncated"):
            decode(cut)


def test_the_sound_can_be_had_from_the_soundtrack_without_reading_it_again(card: FakeCard) -> None:
    show = show_of()
    assert np.array_equal(Soundtrack(show, show.sound).pcm, read_samples(show))


def test_a_show_without_sound_is_two_silent_channels() -> None:
    pcm = sound_file.read_samples(show_of(source="black"))
    assert pcm.shape == (96000, 2) and not pcm.any()


PLAYER = '''
import json, sys, time
from fractions import Fraction
from pathlib import Path
from player.clock import AudioClock
from player.show.cut_list import CutList, Shot
from player.show.film import Film
from player.show.show import Show
from player.soundtrack import Soundtrack
from player.state import first_state
rate = Fraction(24)
show = Show("t", Path("t.toml"), Film(rate, 48, 64, 48), CutList("t", rate, 48, (Shot(1, 0, 48),)), source="testcard")
track = Soundtrack(show, show.sound)
track.start()
clock = AudioClock(track)
start_s = clock.show_time_at(time.perf_counter()) + track.lead_s
state = first_state(show, start_s)
due = {}
end_s = time.perf_counter() + float(sys.argv[1])
while time.perf_counter() < end_s:
    flip_s = time.perf_counter() + 1 / 60
    track.follow(state.transport, show, 1.0)
    film_s = clock.show_time_at(flip_s) - start_s
    due[int(film_s // 1) + 1] = flip_s + int(film_s // 1) + 1 - film_s
    time.sleep(1 / 60)
print(json.dumps({"clock": clock.name, "counted": clock.counted, "due": sorted(due.values()), **track.facts()}))
track.close()
'''


@pytest.mark.slow
def test_clicks_leave_a_real_stream_when_the_clock_says_they_are_heard(tmp_path: Path, repo: Path) -> None:
    from tools.pulse_sink import PulseSink, missing_programs

    if missing := missing_programs():
        pytest.skip(missing)
    with PulseSink(tmp_path / "pulse") as sink:
        child = subprocess.run([sys.executable, "-c", PLAYER, "5"], env=sink.env, cwd=repo, capture_output=True, text=True,
                               timeout=60)
        if "NoSound" in child.stderr:
            pytest.skip("needs libportaudio2 and libasound2-plugins")
        assert child.returncode == 0, child.stderr
        clicks = sink.clicks()
    told = json.loads(child.stdout.splitlines()[-1])
    assert told["clock"] == "audio" and not told["counted"]
    assert 4 <= len(clicks) <= 6
    # The first click may lie under the crossfade from silence, and its onset then seems a few samples late.
    assert abs(clicks[1].sample - clicks[0].sample - 48000) < DECLICK
    assert all(b.sample - a.sample == 48000 for a, b in zip(clicks[1:-1], clicks[2:], strict=True)), "no gap at the loop"
    errors_ms = [min(abs(c.heard_s - due) for due in told["due"]) * 1e3 for c in clicks]
    assert np.median(errors_ms) < 20.0, errors_ms
