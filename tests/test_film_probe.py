"""What a film is told to be, and the troubles that are seen before they cost something; black bars."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from player.show.problem import ShowError
from tests.film_footage import Picture, scene, write_film
from tools import film_probe
from tools.film_bars import bars_of
from tools.film_probe import probe


def notes_of(path: Path) -> str:
    return "\n".join(probe(path).notes)


@pytest.mark.parametrize("rate", [Fraction(24), Fraction(25), Fraction(24000, 1001), Fraction(30000, 1001)])
@pytest.mark.parametrize("name", ["film.mp4", "film.mkv"])
def test_the_rate_is_exact_and_every_frame_is_counted(tmp_path: Path, rate: Fraction, name: str) -> None:
    facts = probe(write_film(tmp_path / name, 50, rate))
    assert Fraction(facts.rate) == rate and facts.frames == 50 and not facts.variable_rate
    assert (facts.width, facts.height, facts.seen, facts.sample_aspect) == (96, 64, [96, 64], "1:1")
    assert facts.duration_s == pytest.approx(float(50 / rate)) and facts.notes == []


def test_sound_colour_and_size_are_told(tmp_path: Path) -> None:
    sound = np.zeros((96000, 2), np.int16), np.zeros((96000, 1), np.int16)
    film = write_film(tmp_path / "film.mkv", picture=scene(colour=True), sound=sound)
    facts = probe(film)
    assert facts.colour == "colour" and [(s.codec, s.sample_rate, s.channels) for s in facts.sound] == [
        ("flac", 48000, 2), ("flac", 48000, 1)]  # fmt: skip
    assert probe(write_film(tmp_path / "grey.mp4")).colour == "grey"


def test_json_holds_the_same_facts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    film = write_film(tmp_path / "film.mp4")
    assert film_probe.main([str(film), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["rate"] == "24/1" and told["frames"] == 48 and told["bars"] == [] and told["sound"] == []
    assert film_probe.main([str(film)]) == 0
    assert "48 frames, 00:00:02:00 (2.000 s)" in capsys.readouterr().out


def test_a_variable_frame_rate_is_recognised_and_said(tmp_path: Path) -> None:
    stamps = list(np.cumsum([0] + [40, 80] * 23 + [40]))
    film = write_film(tmp_path / "film.mkv", stamps=[int(s) for s in stamps], base=Fraction(1, 1000))
    facts = probe(film)
    assert facts.variable_rate and facts.frames == 48
    assert any("variable frame rate: frames are shown for 40 to 80 ms" in n and "ffmpeg" in n for n in facts.notes)


def test_milliseconds_of_matroska_are_no_variable_rate(tmp_path: Path) -> None:
    assert not probe(write_film(tmp_path / "film.mkv", 240, Fraction(24000, 1001))).variable_rate


def test_rotation_is_recognised_and_the_size_is_that_seen(tmp_path: Path) -> None:
    facts = probe(write_film(tmp_path / "film.mp4", turned=90))
    assert facts.rotation in (90, 270) and facts.seen == [64, 96] and "degrees to the left" in "\n".join(facts.notes)


def test_pixels_that_are_not_square_are_recognised(tmp_path: Path) -> None:
    facts = probe(write_film(tmp_path / "film.mp4", aspect=Fraction(4, 3)))
    assert facts.sample_aspect == "4:3" and facts.seen == [128, 64] and "not square" in "\n".join(facts.notes)


def test_interlacing_is_recognised_by_its_flag_and_by_its_teeth(tmp_path: Path) -> None:
    flagged = write_film(tmp_path / "flagged.mp4", options={"x264-params": "tff=1"})
    facts = probe(flagged)
    assert facts.field_order == "top field first" or facts.field_order == "interlaced"
    assert "interlaced" in "\n".join(facts.notes)
    plain = scene(96, 96)

    def woven(n: int) -> np.ndarray:
        made = plain(4 * n).copy()
        made[1::2] = plain(4 * n + 2)[1::2]
        return made

    said = "\n".join(probe(write_film(tmp_path / "woven.mp4", picture=woven, options={"crf": "5"})).notes)
    assert "says progressive, but moving edges are combed" in said
    assert "combed" not in notes_of(write_film(tmp_path / "plain.mp4", picture=plain))


def test_missing_time_stamps_are_recognised(tmp_path: Path) -> None:
    facts = probe(write_film(tmp_path / "film.h264", form="h264"))
    assert facts.missing_timestamps == facts.frames == 48 and "have no time stamp" in "\n".join(facts.notes)


def test_sound_that_begins_late_or_ends_early_is_said(tmp_path: Path) -> None:
    film = write_film(tmp_path / "film.mkv", sound=[np.ones((24000, 2), np.int16)], sound_at=12000)
    assert "sound 1 begins 0.250 s after the picture" in notes_of(film)
    film = write_film(tmp_path / "film.mp4", sound=[np.ones((24576, 2), np.int16)], sound_codec="aac")
    assert "ends at 0.51 s, the picture at 2.00 s" in notes_of(film)


def test_a_folder_of_frames_counts_as_a_film(tmp_path: Path) -> None:
    for n in range(10):
        Image.fromarray(scene()(n)).save(tmp_path / f"{n + (n > 4):03d}.png")
    facts = probe(tmp_path, "25")
    assert (facts.frames, facts.rate, facts.width, facts.colour) == (10, "25/1", 96, "grey")
    assert facts.notes == ["there is a gap in the numbers after 4: frames are counted as they come, from 0"]
    (tmp_path / "003.png").rename(tmp_path / "3.png")
    assert "do not sort" in notes_of(tmp_path)


def not_film(tmp_path: Path, kind: str) -> Path:
    path = tmp_path / "film.mp4"
    if kind == "text":
        path.write_text("not a film")
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "cut":
        write_film(tmp_path / "whole.mkv", 200)
        path = tmp_path / "film.mkv"
        path.write_bytes((tmp_path / "whole.mkv").read_bytes()[:-9000])
    elif kind == "sound":
        write_film(tmp_path / "both.mkv", sound=[np.zeros((4800, 2), np.int16)])
        import av

        path = tmp_path / "sound.flac"
        with av.open(str(tmp_path / "both.mkv")) as a, av.open(str(path), "w") as b:
            stream = b.add_stream_from_template(a.streams.audio[0])
            for packet in a.demux(a.streams.audio[0]):
                if packet.size:
                    packet.stream = stream
                    b.mux(packet)
    return path


@pytest.mark.parametrize(("kind", "sentence"), [
    ("none", "is missing"), ("text", "is no film"), ("empty", "is empty"), ("cut", "is cut short"),
    ("sound", "holds no picture"),
])
def test_what_is_no_film_costs_one_sentence(tmp_path: Path, kind: str, sentence: str,
                                            capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    assert film_probe.main([str(not_film(tmp_path, kind))]) == 2
    told = capsys.readouterr()
    assert sentence in told.err and told.err.count("\n") == 1 and not told.out


def test_a_film_has_its_own_rate(tmp_path: Path) -> None:
    with pytest.raises(ShowError, match="has its own"):
        probe(write_film(tmp_path / "film.mp4"), "25")


# --- bars


def frames_of(width: int = 160, height: int = 90, count: int = 24, picture: Picture | None = None) -> np.ndarray:
    made = picture or scene(width, height)
    return np.stack([made(n)[..., 0] for n in range(count)])


def barred(lumas: np.ndarray, top: int, bottom: int, left: int, right: int, level: int = 16, noise: float = 1.5) -> np.ndarray:
    count, h, w = lumas.shape
    out = np.full((count, h + top + bottom, w + left + right), level, np.uint8)
    out[:, top : top + h, left : left + w] = np.maximum(lumas, level)
    grain = np.random.default_rng(1).normal(0, noise, out.shape)
    return np.clip(out + grain, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(("top", "bottom", "left", "right"), [
    (12, 12, 0, 0), (0, 0, 20, 20), (12, 13, 21, 20), (0, 0, 0, 0), (20, 0, 0, 0), (1, 1, 0, 0),
])
def test_bars_are_found_to_the_pixel(top: int, bottom: int, left: int, right: int) -> None:
    assert bars_of(barred(frames_of(), top, bottom, left, right)) == (left, top, 160, 90)


def test_dark_shots_and_black_frames_take_no_picture_away() -> None:
    lumas = frames_of(count=30)
    lumas[3:] = lumas[3:] // 12  # nearly all of the film is night
    lumas[20:] = 0
    assert bars_of(barred(lumas, 12, 12, 0, 0, noise=0.5)) == (0, 12, 160, 90)
    assert bars_of(np.full((10, 60, 80), 17, np.uint8)) == (0, 0, 80, 60)


def test_titles_on_black_and_letters_in_the_bars_do_not_count() -> None:
    title = np.full((12, 90, 160), 16, np.uint8)
    title[:, 40:50, 60:100:3] = 230
    assert bars_of(title) == (0, 0, 160, 90)
    film = barred(frames_of(count=20), 20, 20, 0, 0)
    film[::2, 116:124, 50:110:2] = 220  # subtitles in the lower bar
    assert bars_of(film) == (0, 20, 160, 90)
    assert bars_of(np.concatenate([film, barred(title[:, :, :], 20, 20, 0, 0)])) == (0, 20, 160, 90)


def test_a_vignette_or_a_night_sky_is_no_bar() -> None:
    y, x = np.mgrid[:90, :160]
    shade = np.clip(1.3 - np.hypot((x - 80) / 80, (y - 45) / 45), 0, 1)
    assert bars_of((frames_of() * shade).astype(np.uint8)) == (0, 0, 160, 90)
    sky = frames_of().copy()
    grain = np.random.default_rng(0).normal(22, 6, sky[:, :30].shape)
    sky[:, :30] = np.clip(grain, 0, 255)
    sky[:, 60:70] = 2
    assert bars_of(sky) == (0, 0, 160, 90)


def test_a_film_that_changes_its_shape_keeps_all_of_its_picture() -> None:
    narrow, wide = barred(frames_of(), 15, 15, 0, 0), frames_of(160, 120)
    assert bars_of(np.concatenate([narrow, wide[:4]])) == (0, 0, 160, 120)


def test_bars_of_nothing_is_an_error() -> None:
    with pytest.raises(ValueError):
        bars_of(np.zeros((0, 4, 4), np.uint8))


def test_bars_are_found_in_a_coded_film(tmp_path: Path) -> None:
    inside = scene(96, 48)

    def letterboxed(n: int) -> np.ndarray:
        made = np.zeros((72, 96, 3), np.uint8)
        made[12:60] = inside(n)
        return made

    x, y, w, h = probe(write_film(tmp_path / "film.mp4", picture=letterboxed)).bars
    assert (x, w) == (0, 96) and abs(y - 12) <= 1 and abs(y + h - 60) <= 1


def test_real_films_are_told_right(shared: Path) -> None:
    facts = probe(shared / "footage" / "sintel_trailer_480x204_24fps.mp4")
    assert (facts.rate, facts.frames, facts.bars, facts.colour) == ("24/1", 1252, [], "colour")
    nasa = probe(shared / "footage" / "nasa_13013_320x180_25fps.mp4")
    assert (nasa.frames, nasa.width, len(nasa.sound)) == (325, 320, 2) and "480x270" in "\n".join(nasa.notes)
    bomb = probe(shared / "footage" / "abomb_bw_432x320_29fps.mp4")
    assert (bomb.frames, bomb.colour) == (360, "grey")
    x, y, w, h = bomb.bars  # the soft edges of the film gate: 7 or 8 columns left, 4 right
    assert 6 <= x <= 9 and y == 0 and 419 <= w <= 423 and h == 320
