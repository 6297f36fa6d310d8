"""Films as a source: exact frames, colours, rates, and films that are broken."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from player.show.cut_list import CutList, Shot
from player.show.film import Film
from player.show.problem import ShowError
from player.show.show import Show
from player.sources.aim import Aim, Layer
from player.sources.clip import ClipSource
from player.sources.film_reader import FilmReader, FilmSource, probe_film
from player.sources.frame import FrameSource
from player.state import Latent
from tests.numbered_film import FRAMES, RATE, SIZE, number_in, numbered, write_numbered

SHOTS = (Shot(1, 0, 24), Shot(2, 24, 48, "dissolve", 8), Shot(3, 48, 72))


@pytest.fixture(scope="module")
def film_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_numbered(tmp_path_factory.mktemp("film") / "numbered.mp4")


def a_show(**more: Any) -> Show:
    cuts = CutList("numbered", RATE, FRAMES, SHOTS)
    return Show("numbered", Path("numbered.toml"), Film(RATE, FRAMES, *SIZE), cuts, **more)


def picture(source: FrameSource, position: int, shot: int = 1) -> np.ndarray:
    aim = Aim(12.5, 7, (Layer(shot, "x", Fraction(position)),), Latent())
    return source.make(aim, aim.layers[0]).pixels


def stamped(path: Path, stamps_ms: list[int], rate: Fraction) -> Path:
    """A film whose frames stand at these times."""
    with av.open(str(path), "w") as film:
        stream: Any = film.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        for number, at_ms in enumerate(stamps_ms):
            frame = av.VideoFrame.from_ndarray(numbered(number % 200), "rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = at_ms, Fraction(1, 1000)
            film.mux(stream.encode(frame))
        film.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_film_of_a_variable_rate_is_refused_with_what_to_do(tmp_path: Path, suffix: str) -> None:
    gaps = [42, 125, 83, 250, 42, 42, 167, 83] * 4
    path = stamped(tmp_path / f"phone clip{suffix}", [sum(gaps[:i]) for i in range(32)], RATE)
    with pytest.raises(ShowError) as told:
        FilmReader(path).open()
    (problem,) = told.value.problems
    assert "variable frame rate" in problem.given and "\n" not in str(problem)
    assert re.fullmatch(rf"ffmpeg -i 'phone clip{suffix}' -vf fps=24(000/1001)? constant.mp4", problem.hint)


@pytest.mark.parametrize("rate", [Fraction(24), Fraction(24000, 1001), Fraction(30000, 1001), Fraction(60000, 1001)])
def test_stamps_rounded_to_milliseconds_are_of_a_constant_rate(tmp_path: Path, rate: Fraction) -> None:
    path = stamped(tmp_path / "film.mkv", [round(1000 * i / rate) for i in range(100)], rate)
    assert probe_film(path)[:2] == (rate, 100)


def test_a_film_with_a_hole_in_its_middle_is_of_no_constant_rate(tmp_path: Path) -> None:
    path = stamped(tmp_path / "film.mkv", [round(1000 * i / 24) for i in range(60) if i not in (30, 31)], RATE)
    with pytest.raises(ShowError, match="frame 30 would stand at 1.250 s, and it stands at 1.333 s"):
        probe_film(path)


def test_every_film_frame_is_found_exactly_in_order_and_at_random(film_path: Path) -> None:
    reader = FilmReader(film_path)
    reader.open()
    rng = np.random.default_rng(0)
    for i in [*range(FRAMES), *map(int, rng.integers(0, FRAMES, 60)), 71, 0, 71]:
        assert number_in(reader.picture(i)) == i
    reader.close()


def test_a_film_of_another_rate_shows_the_frame_of_its_own_time(film_path: Path, tmp_path: Path) -> None:
    path = write_numbered(tmp_path / "ntsc.mp4", Fraction(30000, 1001), 90)
    assert probe_film(path) == (Fraction(30000, 1001), 90, *SIZE)
    source = FilmSource(a_show(), path, "film")
    source.open()
    for position in (0, 1, 2, 23, 24, 47):
        assert number_in(picture(source, position)) == int(Fraction(position) / 24 * Fraction(30000, 1001))


def test_a_clip_begins_with_its_shot_and_holds_its_end(tmp_path: Path) -> None:
    clip = ClipSource(a_show(clips={2: write_numbered(tmp_path / "clip.mp4", frames=FRAMES - 1)}))
    clip.open()
    assert [number_in(picture(clip, p, 2)) for p in (24, 25, 40, 300)] == [0, 1, 16, 70]


def write_with(path: Path, pix_fmt: str, codec: str, colour: tuple[int, int, int], size: tuple[int, int] = SIZE,
               matrix: int = 1, full: bool = False, **more: object) -> Path:  # fmt: skip
    """A short film of one colour, its YUV computed here from the definition (ITU-T H.273), not by a scaler."""
    kr, kb = {1: (0.2126, 0.0722), 5: (0.299, 0.114)}[matrix]
    r, g, b = (c / 255 for c in colour)
    luma = kr * r + (1 - kr - kb) * g + kb * b
    cb, cr = (b - luma) / (2 - 2 * kb), (r - luma) / (2 - 2 * kr)
    low, span, chroma_span = (0, 255, 255) if full else (16, 219, 224)
    values = [round(low + span * luma), round(128 + chroma_span * cb), round(128 + chroma_span * cr)]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=24)
        stream.width, stream.height, stream.pix_fmt = *size, pix_fmt
        stream.options = {"qp": "0"} if codec == "libx264" else {}
        stream.codec_context.color_range = 2 if full else 1
        if not pix_fmt.startswith("gray"):
            stream.codec_context.colorspace = matrix
        for key, value in more.items():
            setattr(stream.codec_context, key, value)
        for _ in range(4):
            frame = av.VideoFrame(*size, pix_fmt)
            for plane, value in zip(frame.planes, values, strict=False):
                deep = (4 * value).to_bytes(2, "little") if pix_fmt.endswith("10le") else bytes([value])
                plane.update(deep * (plane.buffer_size // len(deep)))
            frame.color_range = 2 if full else 1
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)
    return path


@pytest.mark.parametrize(("pix_fmt", "matrix", "full"), [("yuv420p", 1, False), ("yuv420p", 5, False), ("yuv444p", 1, True),
                                                         ("gray", 1, False), ("gray", 1, True), ("gray10le", 1, False)])
def test_colours_come_out_of_a_film_as_its_matrix_and_range_say(tmp_path: Path, pix_fmt: str, matrix: int, full: bool) -> None:
    colour = (128, 128, 128) if pix_fmt.startswith("gray") else (200, 60, 90)
    path = write_with(tmp_path / "c.mkv", pix_fmt, "libx264", colour, matrix=matrix, full=full)
    reader = FilmReader(path)
    reader.open()
    assert np.abs(reader.picture(2)[20, 30].astype(int) - colour).max() <= 2


def test_black_and_white_of_a_limited_film_are_0_and_255(tmp_path: Path) -> None:
    for value in (0, 255):
        reader = FilmReader(write_with(tmp_path / f"{value}.mp4", "yuv420p", "libx264", (value, value, value)))
        reader.open()
        assert np.unique(reader.picture(0)).tolist() == [value]


def test_the_probe_gives_the_size_in_square_pixels(tmp_path: Path) -> None:
    path = write_with(tmp_path / "a.mp4", "yuv420p", "libx264", (9, 9, 9), (48, 48), sample_aspect_ratio=Fraction(4, 3))
    assert probe_film(path) == (Fraction(24), 4, 64, 48)


def test_a_missing_an_empty_and_a_cut_film_are_one_clear_sentence_each(film_path: Path, tmp_path: Path) -> None:
    whole = film_path.read_bytes()
    cases = {"missing.mp4": None, "empty.mp4": b"", "text.mp4": b"not a film " * 99, "cut.mp4": whole[: len(whole) * 2 // 3]}
    for name, data in cases.items():
        path = tmp_path / name
        if data is not None:
            path.write_bytes(data)
        with pytest.raises(ShowError) as e:
            probe_film(path)
        assert len(e.value.problems) == 1 and name in str(e.value) and "\n" not in str(e.value)
    assert "cut short" in str(e.value)


def test_a_film_that_is_cut_while_it_plays_raises_and_does_not_show_a_wrong_frame(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)

    def noisy(number: int) -> np.ndarray:
        made = numbered(number)  # too much to lie in the reader's buffer as a whole
        made[24:] = rng.integers(0, 255, made[24:].shape)
        return made

    path = write_numbered(tmp_path / "cut.mp4", picture=noisy)
    source = FilmSource(a_show(), path, "film")
    source.open()
    os.truncate(path, path.stat().st_size // 2)
    shown, failed = [], 0
    for i in range(FRAMES):
        try:
            shown.append((i, number_in(picture(source, i))))
        except Exception:
            failed += 1
    assert failed > 0 and all(asked == seen for asked, seen in shown)


def coded(path: Path, codec: str, form: str = "", **options: str) -> Path:
    """The numbered film in another codec and container, with two B-frames between others and a key frame every 12."""
    with av.open(str(path), "w", format=form or None) as film:
        stream: Any = film.add_stream(codec, rate=RATE, options={"bf": "2", "g": "12", **options})
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        stream.bit_rate = 4_000_000
        for number in range(FRAMES):
            film.mux(stream.encode(av.VideoFrame.from_ndarray(numbered(number), "rgb24").reformat(format="yuv420p")))
        film.mux(stream.encode(None))
    return path


def copied(film: Path, path: Path, change: Callable[[Any], None]) -> Path:
    """A film's packets in another file, each changed on the way."""
    with av.open(str(film)) as source, av.open(str(path), "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.size:
                packet.stream = stream
                change(packet)
                out.mux(packet)
    return path


def wrong_in(path: Path, first: int = 0) -> dict[str, list[tuple[int, int]]]:
    """(asked, seen) of all frames that are not the right ones, by the ways to reach them."""
    reader = FilmReader(path)
    reader.open()
    rng = np.random.default_rng(1)
    ways = {"at once": [reader.frames - 1, 0, reader.frames // 2], "in order": list(range(reader.frames)),
            "backwards": list(range(reader.frames - 1, -1, -5)), "at random": rng.integers(0, reader.frames, 50).tolist()}
    seen = {way: [(n, number_in(reader.picture(n)) - first) for n in ns] for way, ns in ways.items()}
    reader.close()
    return {way: [pair for pair in pairs if pair[0] != pair[1]] for way, pairs in seen.items() if any(a != b for a, b in pairs)}


@pytest.fixture
def few_read_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a short film is sought in as a long one is."""
    monkeypatch.setattr("player.sources.film_reader.READ_ON_FRAMES", 6)


@pytest.mark.usefixtures("few_read_on")
@pytest.mark.parametrize(("suffix", "codec", "form"), [
    (".ts", "libx264", "mpegts"), (".m2ts", "libx264", "mpegts"), (".ts", "mpeg2video", "mpegts"),
    (".mpg", "mpeg2video", "mpeg"), (".avi", "mpeg4", "avi"), (".avi", "libx264", "avi"), (".mkv", "libx264", "matroska"),
    (".flv", "libx264", "flv"), (".mov", "mpeg4", "mov"), (".mp4", "libx264", "mp4")])  # fmt: skip
def test_every_frame_is_right_in_every_container_however_it_is_reached(
        tmp_path: Path, suffix: str, codec: str, form: str) -> None:
    more = {"x264-params": "open-gop=1:keyint=12:bframes=2"} if codec == "libx264" else {}
    path = coded(tmp_path / f"film{suffix}", codec, form, **more)
    assert probe_film(path)[:2] == (RATE, FRAMES)
    assert wrong_in(path) == {}


@pytest.mark.usefixtures("few_read_on")
def test_frames_of_an_avi_with_packed_b_frames_are_counted(tmp_path: Path) -> None:
    """As DivX and Xvid wrote them: a B-frame in the packet of the frame after it, then a packet that says nothing new."""
    path = tmp_path / "packed.avi"
    nothing = b"\0\0\1\xb6" + bytes([0b01010000, 0b01011111])
    with av.open(str(coded(tmp_path / "plain.avi", "mpeg4", bf="1"))) as source, av.open(str(path), "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        whole = [bytes(p) for p in source.demux(source.streams.video[0]) if p.size]
        b_frame = [data[data.index(b"\0\0\1\xb6") + 4] >> 6 == 2 for data in whole]
        for i, data in enumerate(whole):
            if b_frame[i]:
                data = nothing
            elif i + 1 < len(whole) and b_frame[i + 1]:
                data += whole[i + 1]
            if i == 0:
                at = data.index(b"\0\0\1\xb6")
                data = data[:at] + b"\0\0\1\xb2DivX503b1393p" + data[at:]
            packet = av.Packet(data)
            packet.stream, packet.pts, packet.dts = stream, i, i
            packet.time_base = 1 / RATE
            packet.is_keyframe = data[data.index(b"\0\0\1\xb6") + 4] >> 6 == 0
            out.mux(packet)
    assert sum(b_frame) > 20 and probe_film(path)[:2] == (RATE, FRAMES)
    assert wrong_in(path) == {}


@pytest.mark.usefixtures("few_read_on")
def test_a_trimmed_film_plays_the_frames_that_its_edit_list_shows(film_path: Path, tmp_path: Path) -> None:
    def earlier(packet: Any) -> None:
        by = round(17 / RATE / packet.time_base)
        packet.pts, packet.dts = packet.pts - by, packet.dts - by

    path = copied(film_path, tmp_path / "trimmed.mp4", earlier)
    assert probe_film(path)[:2] == (RATE, FRAMES - 17)
    assert wrong_in(path, first=17) == {}


@pytest.mark.usefixtures("few_read_on")
def test_frames_whose_stamps_are_in_the_order_of_coding_are_counted(tmp_path: Path) -> None:
    def as_coded(packet: Any) -> None:
        packet.pts = packet.dts

    path = copied(coded(tmp_path / "film.mp4", "mpeg4"), tmp_path / "wrong.mp4", as_coded)
    reader = FilmReader(path)
    reader.open()
    first = number_in(reader.picture(0))  # those before stand before time 0
    assert first <= 2 and reader.frames >= FRAMES - 2
    reader.close()
    assert wrong_in(path, first) == {}


def test_an_avi_that_leaves_frames_out_is_of_no_constant_rate(tmp_path: Path) -> None:
    def later(packet: Any) -> None:
        if packet.dts > 30:
            packet.pts, packet.dts = None, packet.dts + 2

    path = copied(coded(tmp_path / "film.avi", "mpeg4"), tmp_path / "holes.avi", later)
    with pytest.raises(ShowError, match="variable frame rate: it leaves out 2 of 74 frames"):
        probe_film(path)


@pytest.mark.parametrize(("name", "codec"), [("x y.h264", "libx264"), ("x.m2v", "mpeg2video")])
def test_a_raw_stream_is_no_source_and_it_is_said_what_to_do(tmp_path: Path, name: str, codec: str) -> None:
    path = coded(tmp_path / name, codec, "h264" if codec == "libx264" else "mpeg2video")
    with pytest.raises(ShowError, match="is a raw stream") as told:
        FilmSource(a_show(), path, "film").open()
    (problem,) = told.value.problems
    assert problem.hint in ("ffmpeg -i 'x y.h264' -crf 14 'x y.mp4'", "ffmpeg -i x.m2v -crf 14 x.mp4")
    assert probe_film(path)[1] == FRAMES, "its frames can be counted all the same"
