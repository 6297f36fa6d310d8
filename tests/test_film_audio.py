"""The soundtrack, exact to the sample: its length, its place against the picture, and its samples."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from player.show.film import Film
from player.sound_file import decode, samples_at
from tests.film_footage import decoded_sound, scene, write_film
from tools import film_audio


def audio(*argv: object) -> int:
    return film_audio.main([str(a) for a in argv])


def noise(samples: int, channels: int = 2, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-20000, 20000, (samples, channels), dtype=np.int16)


@pytest.mark.parametrize("suffix", [".flac", ".wav"])
@pytest.mark.parametrize("rate", [Fraction(24), Fraction(24000, 1001)])
def test_the_sound_is_as_long_as_the_film_and_bit_exact(tmp_path: Path, rate: Fraction, suffix: str) -> None:
    given = noise(90_000)
    film = write_film(tmp_path / "film.mkv", 48, rate, sound=[given])
    assert audio(film, "-o", tmp_path / f"sound{suffix}") == 0
    made = decoded_sound(tmp_path / f"sound{suffix}")
    assert len(made) == round(48 * 48000 / rate) == samples_at(48, rate)
    assert np.array_equal(made[:90_000], given) and not made[90_000:].any()
    told = json.loads((tmp_path / f"sound{suffix}.json").read_text())
    assert told["samples"] == len(made) and len(told["film_sha256"]) == 64


def test_a_sound_that_is_longer_is_cut_or_kept_as_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = noise(100_000)
    film = write_film(tmp_path / "film.mkv", sound=[given])
    assert audio(film, "-o", tmp_path / "cut.flac") == 0
    assert "96000 samples at 48000 Hz (2.000000 s), stereo, 16 bits; as long as frames 0 to 47" in capsys.readouterr().out
    assert audio(film, "-o", tmp_path / "whole.flac", "--length", "file") == 0
    assert np.array_equal(decoded_sound(tmp_path / "cut.flac"), given[:96_000])
    assert np.array_equal(decoded_sound(tmp_path / "whole.flac"), given)


def loud_film(path: Path, peak: float) -> Path:
    """Two seconds at 24 with a sine in floating point that reaches `peak`."""
    import av

    wave = (peak * np.sin(np.arange(96_000) / 20)).astype(np.float32)
    with av.open(str(path), "w") as out:
        video = out.add_stream("mpeg4", rate=24, width=64, height=48, pix_fmt="yuv420p")
        sound = out.add_stream("pcm_f32le", rate=48_000, layout="mono")
        for _ in range(48):
            out.mux(video.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")))
        for at in range(0, 96_000, 24_000):
            block = av.AudioFrame.from_ndarray(wave[None, at : at + 24_000], "flt", "mono")
            block.sample_rate, block.pts, block.time_base = 48_000, at, Fraction(1, 48_000)
            out.mux(sound.encode(block))
        for stream in (video, sound):
            out.mux(stream.encode(None))
    return path


def test_what_is_over_full_scale_is_said_or_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import av

    film = loud_film(tmp_path / "loud.mkv", 2.0)
    assert audio(film, "-o", tmp_path / "s.flac") == 0
    told = capsys.readouterr().out
    assert " samples are over full scale, by up to 6.0 dB, and are cut off there" in told
    assert audio(film, "-o", tmp_path / "s.wav", "--bits", "float") == 0
    told = capsys.readouterr().out
    assert "full scale" not in told and "32 bits float; as long as frames 0 to 47" in told
    with av.open(str(tmp_path / "s.wav")) as made:
        kept = np.concatenate([f.to_ndarray().reshape(-1) for f in made.decode(audio=0)])
    assert len(kept) == 96_000 and np.array_equal(kept, (2 * np.sin(np.arange(96_000) / 20)).astype(np.float32))
    assert audio(film, "-o", tmp_path / "s.opus", "--bits", "float") == 2
    assert "float in a .opus" in capsys.readouterr().err
    assert audio(loud_film(tmp_path / "fair.mkv", 0.9), "-o", tmp_path / "f.flac") == 0
    assert "full scale" not in capsys.readouterr().out


def test_a_range_begins_with_its_first_frame(tmp_path: Path) -> None:
    given = noise(96_000)
    film = write_film(tmp_path / "film.mkv", sound=[given])
    assert audio(film, "-o", tmp_path / "part.wav", "--start", "12f", "--end", "00:00:01:12") == 0
    assert np.array_equal(decoded_sound(tmp_path / "part.wav"), given[24_000:72_000])


def test_sound_that_begins_after_the_picture_begins_after_silence(tmp_path: Path) -> None:
    given = noise(24_000)
    film = write_film(tmp_path / "film.mkv", sound=[given], sound_at=12_000)
    assert audio(film, "-o", tmp_path / "sound.flac") == 0
    made = decoded_sound(tmp_path / "sound.flac")
    assert len(made) == 96_000 and not made[:12_000].any() and not made[36_000:].any()
    assert np.array_equal(made[12_000:36_000], given)
    assert np.array_equal(made[:36_000], decode(film))  # as the player hears it


def test_a_hole_in_the_sound_is_silence_and_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import av

    given = noise(96_000)
    whole, film = write_film(tmp_path / "whole.mkv", sound=[given]), tmp_path / "film.mkv"
    with av.open(str(whole)) as a, av.open(str(film), "w") as b:
        streams = {s.index: b.add_stream_from_template(s) for s in (a.streams.video[0], a.streams.audio[0])}
        number = 0
        for packet in a.demux(a.streams.video[0], a.streams.audio[0]):
            if packet.size == 0:
                continue
            number += packet.stream.type == "audio"
            if packet.stream.type == "audio" and number == 5:
                continue
            packet.stream = streams[packet.stream_index]
            b.mux(packet)
    assert audio(film, "-o", tmp_path / "sound.flac") == 0
    made = decoded_sound(tmp_path / "sound.flac")
    block = 4608  # of FFmpeg's FLAC encoder at 48 kHz
    hole = slice(4 * block, 5 * block)
    assert len(made) == 96_000 and "1 gap in the sound filled" in capsys.readouterr().out
    # Stamps in Matroska are milliseconds: the sound after a hole lies within half of one.
    after = given[hole.stop : hole.stop + 500]
    start = next(s for s in range(-30, 31) if np.array_equal(made[hole.stop + s : hole.stop + s + 500], after))
    assert abs(start) <= 24 and np.array_equal(made[: hole.start], given[: hole.start])
    assert not made[hole.start : hole.stop + min(start, 0)].any()


def test_the_second_track_of_a_film(tmp_path: Path) -> None:
    given = noise(48_000), noise(96_000, 1, seed=1)
    film = write_film(tmp_path / "film.mkv", sound=given)
    assert audio(film, "-o", tmp_path / "sound.flac", "--track", 2) == 0
    assert np.array_equal(decoded_sound(tmp_path / "sound.flac"), given[1])


def test_another_sample_rate_has_the_exact_length_too(tmp_path: Path) -> None:
    t = np.arange(96_000) / 48_000
    tone = np.round(12_000 * np.sin(2 * np.pi * 440 * t)).astype(np.int16)[:, None]
    film = write_film(tmp_path / "film.mkv", rate=Fraction(30000, 1001), sound=[tone])
    assert audio(film, "-o", tmp_path / "sound.wav", "--sample-rate", 44100) == 0
    made = decoded_sound(tmp_path / "sound.wav")[:, 0]
    assert len(made) == round(48 * 44100 * Fraction(1001, 30000))
    expected = 12_000 * np.sin(2 * np.pi * 440 * np.arange(len(made)) / 44100)
    assert np.abs(made - expected)[200:-200].max() < 30


@pytest.mark.parametrize("channels", [1, 2])
def test_opus_has_the_exact_length_and_is_not_late(tmp_path: Path, channels: int) -> None:
    rng = np.random.default_rng(3)
    smooth = np.convolve(rng.normal(0, 1, 90_000), np.hanning(40), "same")
    given = np.repeat((smooth / np.abs(smooth).max() * 12_000)[:, None], channels, 1).astype(np.int16)
    film = write_film(tmp_path / "film.mkv", sound=[given])
    assert audio(film, "-o", tmp_path / "sound.opus") == 0
    made = decode(tmp_path / "sound.opus")  # what the player makes of it
    assert made.shape == (96_000, channels)
    a, b = made[20_000:60_000, 0].astype(float), given[:, 0].astype(float)
    lags = range(-20, 21)
    best = max(lags, key=lambda lag: float(a @ b[20_000 + lag : 60_000 + lag]))
    assert best == 0 and np.corrcoef(a, b[20_000:60_000])[0, 1] > 0.99


def test_what_the_player_reads_from_it_is_what_it_reads_from_the_film(tmp_path: Path) -> None:
    t = np.arange(96_000) / 48_000
    tone = np.repeat(np.round(9000 * np.sin(2 * np.pi * 300 * t))[:, None], 2, 1).astype(np.int16)
    film = write_film(tmp_path / "film.mp4", sound=[tone], sound_codec="aac")
    assert audio(film, "-o", tmp_path / "sound.flac", "--bits", "16") == 0
    own, through = decode(film), decode(tmp_path / "sound.flac")
    both = min(len(own), len(through))
    assert len(through) == samples_at(48, Film(Fraction(24), 48, 96, 64).rate)
    assert np.array_equal(own[:both], through[:both])


def test_deep_sound_keeps_its_bits(tmp_path: Path) -> None:
    film = write_film(tmp_path / "film.mp4", sound=[noise(96_000)], sound_codec="aac")
    assert audio(film, "-o", tmp_path / "sound.flac") == 0
    float_wise, made = decoded_sound(film, "s32"), decoded_sound(tmp_path / "sound.flac", "s32")
    both = min(len(made), len(float_wise))
    assert np.array_equal(made[:both] >> 8, float_wise[:both] >> 8)


@pytest.mark.parametrize(("argv", "sentence"), [
    (("-o", "sound.mp3"), "ends in '.mp3'"), (("-o", "sound.flac", "--track", "2"), "--track: 2; allowed: 1 to 1"),
    (("-o", "sound.opus", "--sample-rate", "44100"), "48000 for Opus"), (("-o", "sound.flac", "--start", "48"), "48 frames"),
    (("-o", "none/sound.flac"), "not there"), (("-o", "sound.wav", "--track", "0"), "--track"),
])
def test_a_bad_option_costs_one_sentence(tmp_path: Path, argv: tuple[str, ...], sentence: str, monkeypatch: pytest.MonkeyPatch,
                                         capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    film = write_film(tmp_path / "film.mkv", sound=[noise(4800)])
    monkeypatch.chdir(tmp_path)
    assert audio(film, *argv) == 2
    told = capsys.readouterr().err
    assert sentence in told and told.count("\n") == 1 and [p.name for p in tmp_path.iterdir()] == ["film.mkv"]


def test_films_without_sound_and_folders_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    film = write_film(tmp_path / "film.mp4", picture=scene())
    (tmp_path / "sound.flac").write_text("before")
    assert audio(film, "-o", tmp_path / "sound.flac") == 2
    assert "holds no sound" in capsys.readouterr().err and (tmp_path / "sound.flac").read_text() == "before"
    assert audio(tmp_path, "-o", tmp_path / "sound.flac") == 2
    assert "folder of frames" in capsys.readouterr().err


def test_a_real_soundtrack(shared: Path, tmp_path: Path) -> None:
    film = shared / "footage" / "sintel_trailer_480x204_24fps.mp4"
    assert audio(film, "-o", tmp_path / "sound.flac") == 0
    assert len(decoded_sound(tmp_path / "sound.flac")) == round(Fraction(1252, 24) * 44100)
