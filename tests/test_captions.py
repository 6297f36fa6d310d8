"""Captions: what an SRT says at a film frame, and how it is seen: the same live, rendered and in every size, and legible."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ImageFont

from player.captions import Captions, Run, Span, decoded, frame_at, parse_srt, read_captions, spans_of, styled
from player.screen import caption_plate, typeface
from player.screen.caption_plate import coverage
from player.screen.offscreen import Offscreen
from player.screen.typeface import Face, face_for, font_for
from player.show.config import load_show
from player.show.problem import ShowError
from player.show.show import CaptionStyle
from player.state import Command, ShowState, advance, first_state
from tests.drawn import Picture, a_show, flat, linear, noise, one
from tests.small_shows import small_show

RATE = Fraction(24)
PLAIN = Face("", frozenset())


def spans(text: str, rate: Fraction = RATE) -> list[tuple[int, int, str]]:
    cues, _ = parse_srt(text, "x.srt")
    return [(s.start, s.end, s.text) for s in spans_of(cues, rate)[0]]


def said(text: str) -> str:
    cues, lines = parse_srt(text, "x.srt")
    return " ".join((*lines, *spans_of(cues, RATE)[1]))


def srt(*cues: tuple[str, str, str]) -> str:
    return "".join(f"{i}\n{a} --> {b}\n{text}\n\n" for i, (a, b, text) in enumerate(cues, 1))


def test_a_caption_is_due_from_its_first_frame_to_before_its_last() -> None:
    captions = Captions((Span(24, 48, ((Run("a"),),)), Span(60, 61, ((Run("b"),),))))
    assert [captions.at(f) is not None for f in (23, 24, 47, 48, 59, 60, 61)] == [False, True, True, False, False, True, False]
    assert captions.after(0) == captions.spans[0] and captions.after(24) == captions.spans[1] and captions.after(60) is None
    assert captions.within(40, 61).spans == (Span(0, 8, ((Run("a"),),)), Span(20, 21, ((Run("b"),),)))


@pytest.mark.parametrize("rate", [Fraction(24), Fraction(24000, 1001), Fraction(25), Fraction(30000, 1001), Fraction(60)])
def test_every_frame_that_was_written_in_milliseconds_is_found_again(rate: Fraction) -> None:
    for frame in (*range(400), 86_399, 143_999, 1_000_001):
        for ms in (int(frame / rate * 1000), round(frame / rate * 1000)):  # cut off, as many programs do, or rounded
            assert frame_at(Fraction(ms, 1000), rate) == frame


def test_the_times_may_be_written_in_all_the_ways_that_are_met() -> None:
    for times in ("00:00:01,000 --> 00:00:02,000", "0:00:01.0 --> 0:00:02.00", "00:01,000-->00:02,000", "00:00:01 --> 00:00:02",
                  "00:00:01,000 --> 00:00:02,000  X1:100 X2:200 Y1:40 Y2:60", "00:00:01:000 -> 00:00:02:000",
                  " 00 : 00 : 01 , 000 --> 00:00:02,000 align:start", "00:00:01,000 \u2013> 00:00:02,000"):  # fmt: skip
        assert spans(f"1\n{times}\nHello\n") == [(24, 48, "Hello")], times


def test_byte_order_mark_carriage_returns_and_old_encodings_are_read(tmp_path: Path) -> None:
    text = "1\r\n00:00:01,000 --> 00:00:02,000\r\nDîner – où ?\r\n"
    for data, told in ((b"\xef\xbb\xbf" + text.encode(), False), (text.encode("utf-16"), False), (text.encode(), False),
                       (text.replace("\r\n", "\r").encode(), False), (text.encode("cp1252"), True)):  # fmt: skip
        (tmp_path / "a.srt").write_bytes(data)
        captions = read_captions(tmp_path / "a.srt", RATE)
        assert [s.text for s in captions.spans] == ["Dîner – où ?"]
        assert bool([line for line in captions.said if "Windows-1252" in line]) == told
    assert decoded(b"\x81\xff\xfe")[0]  # bytes that no encoding has are no reason to stop


def test_numbers_and_blank_lines_may_be_missing_or_too_many() -> None:
    no_numbers = "00:00:01,000 --> 00:00:02,000\none\n\n00:00:02,000 --> 00:00:03,000\ntwo\n"
    no_blanks = "1\n00:00:01,000 --> 00:00:02,000\none\n2\n00:00:02,000 --> 00:00:03,000\ntwo\n"
    blanks = "\n\n7\n00:00:01,000 --> 00:00:02,000\n\none\n\n\n9\n00:00:02,000 --> 00:00:03,000\n\n\ntwo\n\n"
    for text in (no_numbers, no_blanks, blanks):
        assert spans(text) == [(24, 48, "one"), (48, 72, "two")]
    assert spans(srt(("00:00:01,0", "00:00:02,0", "1984"))) == [(24, 48, "1984")], "a number may be the text"
    assert spans("1\n00:00:01,000 --> 00:00:02,000\none\n\nhalf\n\n2\n00:00:03,0 --> 00:00:04,0\ntwo")[0][2] == "one\nhalf"


def test_captions_out_of_order_backwards_and_empty_are_mended_and_said() -> None:
    text = srt(("00:00:05,0", "00:00:06,0", "late"), ("00:00:01,0", "00:00:02,0", "early"))
    assert [s[2] for s in spans(text)] == ["early", "late"] and "not in order" in said(text)
    backward = srt(("00:00:05,0", "00:00:04,0", "back"), ("00:00:09,0", "00:00:10,0", ""))
    assert spans(backward) == [(120, 168, "back")]
    assert "end before they begin (line 2)" in said(backward) and "have no text (line 6)" in said(backward)
    assert spans(srt(("00:00:01,000", "00:00:01,001", "flash"))) == [(24, 25, "flash")], "one frame at least"


def test_captions_that_overlap_stand_below_one_another_in_spans_of_their_own() -> None:
    text = srt(("00:00:01,0", "00:00:04,0", "long"), ("00:00:02,0", "00:00:03,0", "short"), ("00:00:04,0", "00:00:05,0", "x"))
    assert spans(text) == [(24, 48, "long"), (48, 72, "long\nshort"), (72, 96, "long"), (96, 120, "x")]
    twice = srt(("00:00:01,0", "00:00:03,0", "same"), ("00:00:02,0", "00:00:04,0", "same"))
    assert spans(twice) == [(24, 96, "same")]
    crowd = srt(*[("00:00:01,0", "00:00:02,0", f"c{i}") for i in range(9)])
    assert spans(crowd) == [(24, 48, "c5\nc6\nc7\nc8")] and "up to 9 captions at once" in said(crowd)


def test_italics_and_bold_are_kept_and_other_tags_and_places_left_out() -> None:
    lines = styled("{\\an8}<font color=\"#ff0000\">red</font> <i>slow <b>and</b></i> fast<br/>x &lt; y &amp; z")
    assert lines == ((Run("red "), Run("slow ", True), Run("and", True, True), Run(" fast")), (Run("x < y & z"),))
    assert styled("I <3 you <Bob> 2 < 3") == ((Run("I <3 you <Bob> 2 < 3"),),)
    assert styled("<i>both\nlines</i>\nup") == ((Run("both", True),), (Run("lines", True),), (Run("up"),))
    assert styled("{i}old{/i} way") == ((Run("old", True), Run(" way")),)
    assert styled("<i></i>\u200b \n\ufeff") == ()


@pytest.mark.parametrize("text", ["", "hello", "1\n2\n3", "00:00:01,000 -->\n", "WEBVTT\n\nNOTE x", "\x00" * 50,
                                  "1\n00:00:01,000 --> 00:00:02,000\n<i></i>\n"])
def test_a_file_without_captions_is_a_sentence(text: str, tmp_path: Path) -> None:
    (tmp_path / "x.srt").write_text(text)
    with pytest.raises(ShowError) as e:
        read_captions(tmp_path / "x.srt", RATE)
    assert len(e.value.problems) == 1 and "SRT" in e.value.problems[0].allowed


def test_a_file_that_is_missing_or_a_folder_is_a_sentence(tmp_path: Path) -> None:
    for path in (tmp_path / "no.srt", tmp_path):
        with pytest.raises(ShowError, match="cannot be read"):
            read_captions(path, RATE)


PIECES = st.sampled_from(["1", "42", "", "a", "<i>", "</i>", "{\\an8}", "é", "-->", "00:00:01,000 --> 00:00:02,000",
                          "00:00:03,5 --> 00:00:01,5", "99:99:99,999 --> 0:0:0", "00:00:01,000 --> 00:00:09,000 X1:4"])


@given(st.lists(st.one_of(PIECES, st.text(max_size=12)), max_size=30))
def test_whatever_is_read_the_spans_are_in_order_without_overlap_and_hold_text(lines: list[str]) -> None:
    try:
        cues, _ = parse_srt("\n".join(lines), "x.srt")
    except ShowError:
        return
    made, _ = spans_of(cues, Fraction(30000, 1001))
    assert made and all(s.start < s.end and s.text.strip() for s in made)
    assert all(a.end <= b.start for a, b in zip(made, made[1:], strict=False))


@pytest.fixture
def hello(tmp_path: Path) -> CaptionStyle:
    """Frames 24 to 47 'Hello there', 48 to 71 two lines."""
    (tmp_path / "a.srt").write_text(srt(("00:00:01,0", "00:00:02,0", "Hello there"),
                                        ("00:00:02,0", "00:00:03,0", "A first line of text,\n<i>and a second one</i>")))
    return CaptionStyle(tmp_path / "a.srt", size=8.0)


def drawn(screen: Offscreen, style: CaptionStyle, film: tuple[int, int] = (320, 180), size: tuple[int, int] = (320, 180),
          fit: str = "contain") -> Picture:
    return Picture(screen, replace(a_show(film=film, size=size, fit=fit), captions=style))


def test_the_caption_comes_and_goes_with_its_frames_and_leaves_no_trace(screen: Offscreen, hello: CaptionStyle) -> None:
    p, bare = drawn(screen, hello), Picture(screen, a_show(film=(320, 180), size=(320, 180)))
    due = one(noise((320, 180)))
    for frame, there in ((23, False), (24, True), (47, True), (72, False), (25, True), (0, False)):
        seen, plain = p.seen(p.state(frame), due), bare.seen(bare.state(frame), due)
        assert np.array_equal(seen, plain) != there, frame


def test_it_is_the_same_pixels_whatever_was_drawn_before_and_at_any_show_time(screen: Offscreen, hello: CaptionStyle) -> None:
    fresh, used = drawn(screen, hello), drawn(screen, hello)
    due = one(noise((320, 180)))
    for frame in (60, 3, 24, 23, 71, 48):  # a live show seeks
        state = used.state(frame)
        live = replace(state, show_time_s=state.show_time_s + 0.013, refresh=99)
        assert np.array_equal(used.seen(live, due), used.seen(live, due))
        assert np.array_equal(used.seen(live, due), fresh.seen(fresh.state(frame), due)), frame


def test_the_caption_is_read_on_white_on_black_and_in_between(screen: Offscreen, hello: CaptionStyle) -> None:
    p = drawn(screen, hello)
    for value in (0, 60, 128, 200, 255):
        light = p.light(p.state(24), one(flat(value, (320, 180))))[..., 1]
        assert light.max() >= 0.84, "letters"
        near = np.lib.stride_tricks.sliding_window_view(np.pad(light, 3, mode="edge"), (7, 7)).min(axis=(2, 3))
        letters = p.light(p.state(24), one(flat(0, (320, 180))))[..., 1] > 0.8
        assert near[letters].max() < 0.1, "every bit of a letter has something dark beside it, whatever is behind"


def test_letters_are_mixed_in_linear_light(screen: Offscreen, hello: CaptionStyle) -> None:
    p = drawn(screen, hello)
    grey = 128
    light = p.light(p.state(24), one(flat(grey, (320, 180))))[..., 0]
    plate = p.compositor._captions.at(24, (0, 0, 320, 180))  # type: ignore[union-attr]
    assert plate is not None
    w, h = plate.texture.size
    cover = np.frombuffer(plate.texture.read(alignment=1), np.uint8).reshape(h, w, 2) / 255
    x, y = plate.corner
    expected = (1 - cover[..., 0]) * (1 - cover[..., 1]) * linear(grey) + 0.85 * cover[..., 0]
    assert np.abs(light[y : y + h, x : x + w] - expected).max() < 1e-3


@pytest.mark.parametrize(("film", "size", "fit", "position"), [
    ((320, 180), (320, 180), "contain", "bottom"), ((320, 180), (320, 180), "contain", "top"),
    ((320, 100), (320, 240), "contain", "top"), ((100, 200), (320, 240), "contain", "middle"),
    ((320, 100), (200, 200), "cover", "bottom"), ((64, 48), (33, 21), "contain", "bottom")])
def test_nothing_comes_near_the_pictures_edge_and_longer_texts_shrink(
        screen: Offscreen, tmp_path: Path, position: str, film: tuple[int, int], size: tuple[int, int], fit: str) -> None:
    (tmp_path / "a.srt").write_text(srt(("00:00:00,0", "00:00:01,0", "Much too long a text for one line " * 9),
                                        ("00:00:01,0", "00:00:02,0", "W" * 300)))
    style = CaptionStyle(tmp_path / "a.srt", 20.0, position)
    p, bare = drawn(screen, style, film, size, fit), Picture(screen, a_show(film=film, size=size, fit=fit))
    due = one(flat(128, film))
    for frame in (0, 24):
        changed = np.abs(p.light(p.state(frame), due) - bare.light(bare.state(frame), due)).max(axis=2) > 0
        assert changed.any()
        picture = bare.light(bare.state(frame), due)[..., 0] > 0
        rows, columns = np.flatnonzero(picture.any(axis=1)), np.flatnonzero(picture.any(axis=0))
        free_y, free_x = max(1, int(0.05 * len(rows))), max(1, int(0.05 * len(columns)))
        inside = changed[rows[0] + free_y : rows[-1] + 1 - free_y, columns[0] + free_x : columns[-1] + 1 - free_x]
        assert inside.sum() == changed.sum()


def test_the_position_is_where_it_says(screen: Offscreen, hello: CaptionStyle) -> None:
    middle = {}
    for position in ("bottom", "middle", "top"):
        p = drawn(screen, replace(hello, position=position))
        rows = np.flatnonzero(p.light(p.state(24), one(flat(0, (320, 180))))[..., 0].max(axis=1) > 0.5)
        middle[position] = rows.mean() / 180
    assert middle["top"] < 0.2 < 0.4 < middle["middle"] < 0.6 < 0.8 < middle["bottom"]


def test_a_caption_has_the_same_share_of_the_picture_at_every_size(screen: Offscreen, hello: CaptionStyle) -> None:
    shares = []
    for height in (180, 360, 720):
        size = (height * 16 // 9, height)
        p = drawn(screen, hello, size, size)
        rows = np.flatnonzero(p.light(p.state(24), one(flat(0, size)))[..., 0].max(axis=1) > 0.5)
        shares.append((rows[0] / height, rows[-1] / height))
    assert np.ptp(np.array(shares), axis=0).max() < 0.015


def test_blackout_hides_it_the_fade_dims_it_and_the_looks_leave_it_alone(screen: Offscreen, hello: CaptionStyle) -> None:
    p = drawn(screen, hello)
    due = one(flat(0, (320, 180)))
    assert p.light(replace(p.state(24), blackout=True), due).max() == 0
    assert abs(p.light(replace(p.state(24), fade=0.5), due).max() - 0.425) < 2e-3
    plain, looked = p.light(p.state(24), due), p.light(p.state(24, exposure=2.0, warmth=1.0, grain=0.5), due)
    assert np.array_equal(plain, looked)


def test_osc_shows_and_hides_them_and_a_show_may_begin_without() -> None:
    address, style = "/cineml/output/captions", CaptionStyle(Path("a.srt"))

    def shown(state: ShowState) -> bool:
        return state.captions

    for burn_in in (True, False):
        show = small_show(captions=replace(style, burn_in=burn_in))
        state = first_state(show)
        assert shown(state) == burn_in
        state = advance(state, [Command(address, not burn_in)], 0.1, show)
        assert shown(state) != burn_in
    assert shown(first_state(small_show()))


@pytest.fixture
def set_at(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The starts of the captions that are set, in their order."""
    starts: list[int] = []
    made = caption_plate.CaptionPlates._set

    def noted(self: caption_plate.CaptionPlates, span: Span, seen: tuple[int, int, int, int]) -> caption_plate.Plate:
        starts.append(span.start)
        return made(self, span, seen)

    monkeypatch.setattr(caption_plate.CaptionPlates, "_set", noted)
    return starts


def test_the_next_caption_is_set_before_it_is_due(screen: Offscreen, hello: CaptionStyle, set_at: list[int]) -> None:
    p = drawn(screen, hello)
    due = one(flat(0, (320, 180)))
    p.light(p.state(0), due)
    assert set_at == [24], "a second before it"
    p.light(p.state(24), due)
    assert set_at == [24, 48], "and the next one while this one is seen"
    p.light(p.state(48), due)
    p.light(p.state(30), due)
    assert set_at == [24, 48]


def test_a_seek_into_a_caption_sets_one_in_a_refresh(screen: Offscreen, hello: CaptionStyle, set_at: list[int]) -> None:
    p = drawn(screen, hello)
    due = one(flat(0, p.show.output.size))
    p.compositor.draw(p.state(30), due)
    assert set_at == [24]
    p.compositor.draw(p.state(31), due)
    assert set_at == [24, 48]


def test_words_break_at_blanks_but_not_before_a_mark() -> None:
    font = ImageFont.load_default(20)
    lines = caption_plate.wrapped([(Run("one two three ? four"),)], PLAIN, font, 1, float(font.getlength("one two three")))
    assert ["".join(r.text for r in line) for line in lines] == ["one two", "three ? four"]
    kept = caption_plate.wrapped([(Run("one two\xa0three"),)], PLAIN, font, 1, float(font.getlength("one two three")) - 1)
    assert ["".join(r.text for r in line) for line in kept] == ["one", "two\xa0three"]
    word = caption_plate.wrapped([(Run("W" * 40),)], PLAIN, font, 1, 100.0)
    assert len(word) > 2 and all(font.getlength(line[0].text) <= 100 for line in word)


def test_a_line_that_is_broken_is_broken_evenly() -> None:
    font = ImageFont.load_default(20)
    text = "The quick brown fox jumps over the lazy dog"
    lines = caption_plate.balanced((Run(text),), PLAIN, font, 1, float(font.getlength(text)) - 1)
    assert ["".join(r.text for r in line) for line in lines] in (
        ["The quick brown fox", "jumps over the lazy dog"], ["The quick brown fox jumps", "over the lazy dog"])
    assert caption_plate.balanced((Run("short"),), PLAIN, font, 1, 500.0) == [(Run("short"),)]


def test_italics_lean_and_bold_is_heavier() -> None:
    upright, italic, bold = (coverage(((Run("HIll", i, b),),), PLAIN, 40, (400, 200))[..., 0] for i, b in (
        (False, False), (True, False), (False, True)))
    assert bold.sum() > 1.15 * upright.sum() and abs(italic.sum() / upright.sum() - 1) < 0.05

    def lean(mask: np.ndarray) -> float:
        rows = np.flatnonzero(mask.max(axis=1) > 128)
        at = [np.average(np.arange(mask.shape[1]), weights=mask[r]) for r in (rows[2], rows[-3])]
        return float(at[0] - at[1])

    assert lean(italic) > lean(upright) + 3


def test_letters_that_no_font_has_are_shown_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(typeface, "FONTS", ())
    typeface.face_holding.cache_clear()
    face = face_for("aéłŻ", None)
    if not face.missing:
        pytest.skip("this Pillow's own font has them all")
    assert face.shown("café Łódź") == "cafe Lodz" or "Ł" not in face.missing
    assert face_for("plain text.", None).missing == frozenset()
    typeface.face_holding.cache_clear()


@pytest.mark.skipif(not typeface.face_holding(frozenset("ř")).path, reason="no font of this machine has more than Pillow's own")
def test_names_in_any_language_are_letters_on_sheets_and_overlays_not_boxes() -> None:
    box = ImageFont.load_default(20).getmask("ř")
    made = font_for(["Dvořák"], 20).getmask("ř")
    assert (made.size, bytes(made)) != (box.size, bytes(box)) and bytes(made) != bytes(font_for(["Dvořák"], 20).getmask("Ř"))
    assert font_for(["plain"], 20).getname() == ImageFont.load_default(20).getname()


def test_a_font_that_is_none_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "x.ttf").write_bytes(b"no font")
    with pytest.raises(ShowError, match="is no font"):
        face_for("a", tmp_path / "x.ttf")


SHOW = '[film]\nrate = "24/1"\nframes = 48\nwidth = 64\nheight = 48\n'


def test_the_shows_table_is_read_and_its_mistakes_are_said(tmp_path: Path) -> None:
    (tmp_path / "a.srt").write_text("x")

    def told(table: str) -> str:
        (tmp_path / "show.toml").write_text(SHOW + table)
        with pytest.raises(ShowError) as e:
            load_show(tmp_path / "show.toml")
        assert len(e.value.problems) == 1, e.value.problems
        return str(e.value.problems[0])

    (tmp_path / "show.toml").write_text(SHOW + '[captions]\nfile = "a.srt"\nsize = 7\nposition = "top"\nburn_in = false\n')
    assert load_show(tmp_path / "show.toml").captions == CaptionStyle(tmp_path / "a.srt", 7.0, "top", False)
    assert "captions.file: is missing" in told("[captions]\nsize = 5\n")
    assert "'b.srt' is missing" in told('[captions]\nfile = "b.srt"\n')
    assert "captions.sise: is not known" in told('[captions]\nfile = "a.srt"\nsise = 5\n')
    assert "a number from 2 to 20" in told('[captions]\nfile = "a.srt"\nsize = 50\n')
    assert "bottom" in told('[captions]\nfile = "a.srt"\nposition = "left"\n')
    assert "captions.font: 'x.ttf' is missing" in told('[captions]\nfile = "a.srt"\nfont = "x.ttf"\n')


def test_picture_fixture_shows_no_caption_without_a_file(picture: Callable[..., Picture]) -> None:
    assert picture().compositor.captions is None
