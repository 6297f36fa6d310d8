"""The recording: the pictures on their frames, the sound on its samples, nothing half-written."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from player.recorder import ABANDONED_S, Recorder, layout_of
from player.show.problem import ShowError
from player.sources.film_reader import FilmReader, probe_film

SIZE = (96, 64)
RATE = Fraction(24)


def level(i: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """A flat grey of its own for each of 64 numbers."""
    return np.full((size[1], size[0], 3), 20 + 3 * (i % 64), np.uint8)


def levels_in(path: Path) -> list[int]:
    reader = FilmReader(path)
    reader.open()
    return [round((float(reader.picture(i).mean()) - 20) / 3) for i in range(reader.frames)]


def sound_of(path: Path) -> np.ndarray:
    """[samples, channels] as FFmpeg decodes it, from film time 0."""
    import av

    with av.open(str(path)) as container:
        frames = list(container.decode(audio=0))
    assert frames[0].pts == 0
    return np.concatenate([f.to_ndarray() for f in frames], axis=1).T


def click_track(samples: int, at: list[int], channels: int = 2) -> np.ndarray:
    """Bursts of 10 ms, 1 kHz."""
    sound = np.zeros((samples, channels), np.float32)
    burst = (0.7 * np.sin(2 * np.pi * 1000 * np.arange(480) / 48000)).astype(np.float32)
    for start in at:
        part = sound[start : start + 480]
        part += burst[: len(part), None]
    return sound


def record(path: Path, count: int = 30, sound: object = None, rate: Fraction = RATE, **more: object) -> Path:
    with Recorder(path, SIZE, rate, sound, **more) as r:  # type: ignore[arg-type]
        for i in range(count):
            r.add(level(i), i)
    return path


def test_every_picture_stands_on_its_own_frame(tmp_path: Path) -> None:
    path = record(tmp_path / "a.mp4", 60)
    assert probe_film(path) == (RATE, 60, *SIZE)
    assert levels_in(path) == list(range(60))


@pytest.mark.parametrize("rate", [Fraction(24), Fraction(30000, 1001), Fraction(60)])
def test_the_rate_is_exact(tmp_path: Path, rate: Fraction) -> None:
    assert probe_film(record(tmp_path / "a.mp4", 40, rate=rate))[:2] == (rate, 40)


def test_colours_are_tagged_and_converted_as_bt709(tmp_path: Path) -> None:
    import av

    colours = [(200, 60, 90), (0, 0, 0), (255, 255, 255), (20, 180, 60), (128, 128, 128)]
    with Recorder(tmp_path / "c.mp4", SIZE, RATE) as r:
        for i, colour in enumerate(colours):
            r.add(np.broadcast_to(np.array(colour, np.uint8), (SIZE[1], SIZE[0], 3)), i)
    with av.open(str(tmp_path / "c.mp4")) as container:
        context = container.streams.video[0].codec_context
        assert (context.color_primaries, context.color_trc, context.colorspace, context.color_range) == (1, 1, 1, 1)
        luma = [f.to_ndarray(format="yuv420p")[10, 10] for f in container.decode(video=0)]
    for (r_, g, b), y in zip(colours, luma, strict=True):
        assert abs(16 + 219 * (0.2126 * r_ + 0.7152 * g + 0.0722 * b) / 255 - y) <= 1.5
    reader = FilmReader(tmp_path / "c.mp4")
    reader.open()
    for i, colour in enumerate(colours):
        assert np.abs(reader.picture(i)[30, 40].astype(int) - colour).max() <= 4


@pytest.mark.parametrize("rate", [Fraction(24), Fraction(24000, 1001)])
@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_sound_events_decode_on_their_samples(tmp_path: Path, rate: Fraction, suffix: str) -> None:
    samples = round(72 / rate * 48000)
    at = [0, 24000, 48123, 100001, samples - 600]
    sound = click_track(samples, at)
    decoded = sound_of(record(tmp_path / f"s{suffix}", 72, sound, rate))
    assert abs(len(decoded) - samples) <= 1024
    for start in at:
        low = max(0, start - 3000)
        heard = decoded[low : start + 3500, 0]
        found = low + int(np.correlate(heard, sound[start : start + 480, 0], "valid").argmax())
        assert abs(found - start) <= 2, start  # 1 ms would be 48


def test_the_sound_is_as_long_as_the_picture_whatever_is_given(tmp_path: Path) -> None:
    import av

    for given in (10, 48000, 480_000):
        path = record(tmp_path / f"{given}.mp4", 48, click_track(given, [0]))
        with av.open(str(path)) as container:
            audio = container.streams.audio[0]
            assert audio.duration * audio.time_base == 2


def peaks_in(path: Path) -> tuple[str, list[float]]:
    """What the film calls its channels, and the loudest of each."""
    import av

    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        packed = av.AudioResampler(format="flt", layout=stream.layout)
        channels = len(stream.layout.channels)
        blocks = [r.to_ndarray().reshape(-1, channels) for f in container.decode(stream) for r in packed.resample(f)]
        return stream.layout.name, np.abs(np.concatenate(blocks)).max(axis=0).tolist()


@pytest.mark.parametrize(("named", "kept"), [
    *[(n, n) for n in ("mono", "stereo", "3.0", "4.0", "quad", "5.0", "5.1", "7.1")], ("2.1", "2.1"), ("5.1(side)", "5.1"),
    ("6.1", ""), *[(count, "") for count in range(1, 9)], ("7.1(top)", ""), ("octagonal", "")])  # fmt: skip
def test_every_channel_of_a_sound_is_kept_in_its_place(tmp_path: Path, named: str | int, kept: str) -> None:
    import av

    count = named if isinstance(named, int) else 8 if named == "7.1(top)" else len(av.AudioLayout(named).channels)
    low = named == "2.1" or (isinstance(named, str) and named[1:2] == "." and named[:3] in ("5.1", "7.1"))
    t = np.arange(24000) / 48000
    for channel in range(count):
        sound = np.zeros((24000, count), np.float32)
        # A low-frequency effect, where a file names one, is coded without what lies above 250 Hz.
        sound[:, channel] = 0.5 * np.sin(2 * np.pi * (80 if low else 1000) * t)
        path = record(tmp_path / "s.mp4", 12, sound, layout=named if isinstance(named, str) else f"{named} channels")
        layout, peaks = peaks_in(path)
        assert [round(p, 1) for p in peaks] == [0.5 if i == channel else 0.0 for i in range(count)]
        assert layout == kept or not kept


def test_a_sound_of_more_than_eight_channels_is_refused_before_the_show(tmp_path: Path) -> None:
    with pytest.raises(ShowError, match="cannot hold a sound of 9 channels; allowed: 1 to 8"):
        Recorder(tmp_path / "s.mp4", SIZE, RATE, np.zeros((100, 9), np.float32))
    assert os.listdir(tmp_path) == []


def test_the_channels_of_a_sound_file_are_called_as_it_says(tmp_path: Path) -> None:
    import av

    for layout in ("quad", "4.0", "7.1"):
        with av.open(str(tmp_path / "s.wav"), "w") as out:
            stream = out.add_stream("pcm_s16le", rate=48000, layout=layout)
            silence = np.zeros((1, 480 * len(av.AudioLayout(layout).channels)), np.int16)
            frame = av.AudioFrame.from_ndarray(silence, "s16", layout)
            frame.sample_rate = 48000
            out.mux(stream.encode(frame))
        assert layout_of(tmp_path / "s.wav") == layout
    (tmp_path / "no.wav").write_text("no sound")
    assert layout_of(tmp_path / "no.wav") == layout_of(tmp_path / "missing.wav") == layout_of(None) == ""


def test_sound_may_be_a_function_so_that_a_long_recording_holds_none_of_it(tmp_path: Path) -> None:
    asked: list[tuple[int, int]] = []

    def sound(start: int, count: int) -> np.ndarray:
        asked.append((start, count))
        return click_track(96000, [48000])[start : start + count]

    decoded = sound_of(record(tmp_path / "f.mp4", 48, sound))
    assert max(count for _, count in asked) <= 1024
    assert abs(int(np.abs(decoded[:, 0]).argmax()) - 48000) < 480


def test_the_same_show_gives_the_same_bytes(tmp_path: Path) -> None:
    sound = click_track(60000, [500])
    one, two = (record(tmp_path / name, 30, sound).read_bytes() for name in ("one.mp4", "two.mp4"))
    assert one == two


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's MALLOC_PERTURB_ fills memory before it is given")
def test_the_bytes_do_not_depend_on_what_memory_held_before(tmp_path: Path) -> None:
    """A width that is not a whole number of 128: there x264's AVX-512 reads beyond what it has written."""
    code = """if True:
        import sys
        from fractions import Fraction
        from pathlib import Path
        import numpy as np
        from player.recorder import Recorder
        base = np.random.default_rng(0).integers(0, 255, (18, 24, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
        with Recorder(Path(sys.argv[1]), (192, 144), Fraction(24)) as r:
            for i in range(72):
                picture = np.roll(base, 3 * i, 1)
                picture[:40] = 3 * i
                r.add(picture, i)
        """
    made = []
    for fill in ("0", "1", "2"):
        path = tmp_path / f"{fill}.mp4"
        subprocess.run([sys.executable, "-c", code, str(path)], check=True, env=os.environ | {"MALLOC_PERTURB_": fill})
        made.append(path.read_bytes())
    assert made[0] == made[1] == made[2]


def test_a_gap_in_the_numbers_holds_the_picture_before_it(tmp_path: Path) -> None:
    path = tmp_path / "g.mp4"
    with Recorder(path, SIZE, RATE, realtime=True) as r:
        for i in (0, 1, 5, 5, 3, 7):
            r.add(level(i), i)
    assert levels_in(path) == [0, 1, 1, 1, 1, 5, 5, 7] and r.held == 4


def test_a_film_that_begins_late_begins_black_and_its_end_is_held(tmp_path: Path) -> None:
    r = Recorder(tmp_path / "l.mp4", SIZE, RATE)
    r.add(level(9), 2)
    assert r.finish(frames=6) == tmp_path / "l.mp4"
    assert levels_in(tmp_path / "l.mp4") == [-7, -7, 9, 9, 9, 9]


def test_in_real_time_a_slow_encoder_costs_pictures_and_never_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()
    encode = Recorder._encode

    def slow(self: Recorder, pixels: np.ndarray | None) -> None:
        assert gate.wait(30)
        encode(self, pixels)

    monkeypatch.setattr(Recorder, "_encode", slow)
    r = Recorder(tmp_path / "r.mp4", SIZE, RATE, realtime=True)
    for i in range(500):
        r.add(level(i), i)  # would never return if it waited
    assert r.dropped > 0
    gate.set()
    r.finish(frames=500)
    assert probe_film(tmp_path / "r.mp4")[1] == 500


def test_in_real_time_a_picture_of_another_size_is_fitted_and_the_film_goes_on(tmp_path: Path) -> None:
    r = Recorder(tmp_path / "f.mp4", SIZE, RATE, realtime=True)
    for i, size in enumerate((SIZE, (960, 640), (48, 32), (400, 100), (50, 200), SIZE)):
        r.add(level(60, size), i)
    assert r.finish() and r.fitted == 4 and r.frames == 6
    reader = FilmReader(tmp_path / "f.mp4")
    reader.open()
    seen = [reader.picture(i).astype(int).max(axis=2) for i in range(6)]
    for full in (0, 1, 2, 5):
        assert np.abs(seen[full] - 200).max() < 8, "the same shape fills it"
    assert seen[3][:16].max() < 16 and seen[3][48:].max() < 16 and seen[3][24:40].min() > 190, "black above and below"
    assert seen[4][:, :36].max() < 16 and seen[4][:, 60:].max() < 16 and seen[4][:, 44:52].min() > 190, "and at the sides"


def test_great_pictures_are_held_back_by_their_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()
    fit = Recorder._fit
    monkeypatch.setattr(Recorder, "_fit", lambda self, pixels: fit(self, pixels) if gate.wait(30) else pixels)
    r = Recorder(tmp_path / "b.mp4", SIZE, RATE, realtime=True)
    big = np.zeros((1600, 2400, 3), np.uint8)  # 11.5 MB; 64 of them would be 737
    for i in range(20):
        r.add(big, i)
    assert r.frames == 0 and r.dropped >= 12
    gate.set()
    r.finish()


def test_odd_sizes_become_even(tmp_path: Path) -> None:
    with Recorder(tmp_path / "o.mp4", (33, 21), RATE) as r:
        r.add(level(3, (33, 21)), 0)
    assert probe_film(tmp_path / "o.mp4")[2:] == (34, 22)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_recording_leaves_nothing_and_keeps_the_film_that_was_there(
        tmp_path: Path, error: type[BaseException]) -> None:  # fmt: skip
    path = tmp_path / "k.mp4"
    path.write_bytes(b"the film before")
    with pytest.raises(error), Recorder(path, SIZE, RATE) as r:
        for i in range(20):
            r.add(level(i), i)
        raise error
    assert os.listdir(tmp_path) == ["k.mp4"] and path.read_bytes() == b"the film before"


def test_nothing_stands_at_the_place_before_finish(tmp_path: Path) -> None:
    r = Recorder(tmp_path / "n.mp4", SIZE, RATE)
    r.add(level(1), 0)
    assert not (tmp_path / "n.mp4").exists()
    r.finish()
    assert os.listdir(tmp_path) == ["n.mp4"]


def test_a_place_that_cannot_be_written_is_said_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "no" / "a.mp4", tmp_path / "file" / "a.mp4", tmp_path / "a.gif", tmp_path):
        with pytest.raises(ShowError) as e:
            Recorder(path, SIZE, RATE)
        assert len(e.value.problems) == 1
    with pytest.raises(ShowError):
        Recorder(tmp_path / "folder.mp4", SIZE, RATE).finish()
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.logs_error("no space left")
@pytest.mark.parametrize("realtime", [False, True])
def test_an_encoder_that_fails_on_the_way_is_said_at_the_end_and_leaves_nothing(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, realtime: bool) -> None:
    def fail(self: Recorder, pixels: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(Recorder, "_encode", fail)
    r = Recorder(tmp_path / "d.mp4", SIZE, RATE, realtime=realtime)
    with pytest.raises(ShowError, match="no space"):
        for i in range(100):
            r.add(level(i), i)
        r.finish()
    r.abort()
    assert os.listdir(tmp_path) == []


def test_a_picture_of_another_size_is_refused(tmp_path: Path) -> None:
    r = Recorder(tmp_path / "w.mp4", SIZE, RATE)
    with pytest.raises(ValueError, match="96 x 64"):
        r.add(np.zeros((10, 10, 3), np.uint8), 0)
    r.abort()


def test_two_recordings_of_one_name_at_once_are_both_whole_and_the_last_stays(tmp_path: Path) -> None:
    path = tmp_path / "o.mp4"
    first, second = (Recorder(path, SIZE, RATE) for _ in range(2))
    for i in range(12):
        first.add(level(i), i)
        second.add(level(i + 20), i)
    first.finish()
    assert levels_in(path) == list(range(12))
    second.finish()
    assert levels_in(path) == list(range(20, 32)) and os.listdir(tmp_path) == ["o.mp4"]


def test_processes_that_record_one_name_do_not_share_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = []
    for process in (41, 42):
        monkeypatch.setattr("player.recorder.os.getpid", lambda process=process: process)
        monkeypatch.setattr("player.recorder._made", iter([1]))
        with Recorder(tmp_path / "o.mp4", SIZE, RATE) as r:
            r.add(level(1), 0)
            names += os.listdir(tmp_path)
        (tmp_path / "o.mp4").unlink()
    assert len(set(names)) == 2 and all(".part" in name for name in names)


def test_what_a_killed_recorder_left_goes_when_the_film_is_written_again_and_a_live_one_stays(tmp_path: Path) -> None:
    dead, live, other = (tmp_path / name for name in (".o.part7-0.mp4", ".o.part8-0.mp4", ".p.part7-0.mp4"))
    for path in (dead, live, other):
        path.write_bytes(b"half a film")
    for path in (dead, other):
        os.utime(path, (time.time() - 2 * ABANDONED_S,) * 2)
    with Recorder(tmp_path / "o.mp4", SIZE, RATE) as r:
        r.add(level(1), 0)
    assert not dead.exists() and live.exists() and other.exists()


@pytest.mark.parametrize("name", ["", ".", "/"])
def test_a_name_that_names_no_file_is_said(name: str) -> None:
    with pytest.raises(ShowError, match="names no file"):
        Recorder(Path(name), SIZE, RATE)
