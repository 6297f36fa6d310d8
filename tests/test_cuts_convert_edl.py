"""EDLs, scene lists and mpv's edit lists: the traps that real ones hold."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from player.show.cut_list import CutList
from player.show.problem import ShowError
from tools.cuts_formats import read_cuts
from tools.cuts_timecode import exact_rate, label_of, ntsc_parts, read_timecode
from tools.cuts_timeline import Told

NTSC = Fraction(30000, 1001)
R24 = Told(rate=Fraction(24))


def read(text: str | bytes, folder: Path, told: Told = R24, name: str = "a.edl") -> CutList:
    path = folder / name
    path.write_bytes(text.encode("utf-8") if isinstance(text, str) else text)
    return read_cuts(path, told).cuts


def said(text: str, folder: Path, told: Told = R24) -> str:
    (folder / "a.edl").write_text(text, encoding="utf-8")
    return "\n".join(read_cuts(folder / "a.edl", told).said)


def refusal(text: str | bytes, folder: Path, told: Told = R24, name: str = "a.edl") -> str:
    with pytest.raises(ShowError) as e:
        read(text, folder, told, name)
    return str(e.value)


def edges(cuts: CutList) -> list[tuple[int, int]]:
    return [(s.start, s.end) for s in cuts.shots]


def ends(cuts: CutList) -> list[tuple[str, int, str, int]]:
    return [(s.into, s.in_frames, s.out, s.out_frames) for s in cuts.shots]


def event(number: int, rest: str, record: tuple[str, str]) -> str:
    return f"{number:03d}  {rest} 00:00:00:00 00:00:10:00 {record[0]} {record[1]}\n"


TWO = event(1, "A V C", ("01:00:00:00", "01:00:01:00")) + event(2, "B V C", ("01:00:01:00", "01:00:02:00"))


def test_the_film_begins_where_the_first_event_does_unless_it_is_said(tmp_path: Path) -> None:
    assert edges(read(TWO, tmp_path)) == [(0, 24), (24, 48)]
    cuts = read(TWO, tmp_path, Told(rate=Fraction(24), film_start="00:59:59:12"))
    assert edges(cuts) == [(0, 12), (12, 36), (36, 60)] and cuts.shots[0].label == "black"
    assert "begins 12 frames before the film does" in refusal(TWO, tmp_path, Told(Fraction(24), film_start="01:00:00:12"))
    assert "is no timecode" in refusal(TWO, tmp_path, Told(Fraction(24), film_start="soon"))


def test_marks_line_ends_and_indents_do_not_matter(tmp_path: Path) -> None:
    wanted = edges(read(TWO, tmp_path))
    for data in (b"\xef\xbb\xbf" + TWO.replace("\n", "\r\n").encode(), TWO.replace("\n", "\r").encode(),
                 TWO.encode("utf-16"), ("\n\n" + TWO.replace("\n", "  \n\n")).encode(), TWO.replace("  ", "\t").encode(),
                 TWO.lower().encode(), b"\xfe\xff" + TWO.encode("utf-16-be")):  # fmt: skip
        assert edges(read(data, tmp_path)) == wanted


def test_events_out_of_order_stand_by_record_time(tmp_path: Path) -> None:
    lines = TWO.splitlines(keepends=True)
    assert edges(read(lines[1] + lines[0], tmp_path)) == [(0, 24), (24, 48)]


def test_dissolves_stand_on_two_lines_or_one(tmp_path: Path) -> None:
    one = event(1, "A V C", ("00:00:00:00", "00:00:01:00")) + event(2, "B V D 008", ("00:00:01:00", "00:00:03:00"))
    two = one.replace("002  B", event(2, "A V C", ("00:00:01:00", "00:00:01:00")) + "002  B")
    for text in (one, two):
        cuts = read(text, tmp_path)
        assert edges(cuts) == [(0, 24), (24, 72)] and ends(cuts)[1] == ("dissolve", 8, "cut", 0)


def test_the_first_line_of_a_pair_may_have_a_length_of_its_own(tmp_path: Path) -> None:
    text = event(1, "A V C", ("00:00:00:00", "00:00:01:00")) + event(1, "B V D 008", ("00:00:01:00", "00:00:03:00"))
    text += "* FROM CLIP NAME: one.mov\n* TO CLIP NAME: two.mov\n"
    assert [s.label for s in read(text, tmp_path).shots] == ["A", "two.mov"]


def test_fades_go_through_bl(tmp_path: Path) -> None:
    text = (event(1, "BL V C", ("00:00:00:00", "00:00:00:00")) + event(1, "A V D 012", ("00:00:00:00", "00:00:02:00"))
            + event(2, "A V C", ("00:00:02:00", "00:00:02:00")) + event(2, "BL V D 024", ("00:00:02:00", "00:00:04:00"))
            + event(3, "BL V C", ("00:00:04:00", "00:00:04:00")) + event(3, "B V D 006", ("00:00:04:00", "00:00:05:00"))
            + event(4, "BL V C", ("00:00:05:00", "00:00:06:00")))  # fmt: skip
    cuts = read(text, tmp_path)
    assert edges(cuts) == [(0, 72), (72, 96), (96, 120), (120, 144)]
    assert ends(cuts) == [("fade", 12, "fade", 24), ("cut", 0, "cut", 0), ("fade", 6, "cut", 0), ("cut", 0, "cut", 0)]
    assert [s.label for s in cuts.shots] == ["A", "black", "B", "black"]
    assert {s.in_colour for s in cuts.shots} | {s.out_colour for s in cuts.shots} == {"", "black"}


def test_a_first_dissolve_comes_from_black(tmp_path: Path) -> None:
    assert ends(read(event(1, "A V D 010", ("00:00:00:00", "00:00:02:00")), tmp_path)) == [("fade", 10, "cut", 0)]


def test_wipes_keys_speeds_and_sound_are_said(tmp_path: Path) -> None:
    text = (event(1, "A V C", ("00:00:00:00", "00:00:01:00")) + event(2, "B V W001 008", ("00:00:01:00", "00:00:02:00"))
            + "M2   B       -024.0                00:00:00:00\n" + event(3, "C V K B", ("00:00:02:00", "00:00:03:00"))
            + event(4, "D AA C", ("00:00:00:00", "00:00:03:00")) + event(5, "E A2 C", ("00:00:00:00", "00:00:09:00"))
            + event(6, "E NONE C", ("00:00:00:00", "00:00:09:00")))  # fmt: skip
    told = said(text, tmp_path)
    for part in ("1 wipe taken for", "1 key event taken", "1 speed changes (M2) left aside", "3 events of sound left out"):
        assert part in told
    cuts = read(text, tmp_path)
    assert edges(cuts) == [(0, 24), (24, 48), (48, 72)] and ends(cuts)[1] == ("dissolve", 8, "cut", 0)


@pytest.mark.parametrize("channel", ["V", "V1", "B", "AA/V", "A/V", "A2/V", "VA1", "v"])
def test_every_way_to_say_picture_is_known(channel: str, tmp_path: Path) -> None:
    assert len(read(TWO.replace(" V ", f" {channel} "), tmp_path).shots) == 2


def test_a_higher_video_track_covers_the_lower(tmp_path: Path) -> None:
    text = event(1, "A V C", ("00:00:00:00", "00:00:04:00")) + event(2, "B V2 C", ("00:00:01:00", "00:00:02:00"))
    cuts = read(text, tmp_path)
    assert edges(cuts) == [(0, 24), (24, 48), (48, 96)] and [s.label for s in cuts.shots] == ["A", "B", "A"]


def test_a_later_event_is_recorded_over_an_earlier_one(tmp_path: Path) -> None:
    text = event(1, "A V C", ("00:00:00:00", "00:00:03:00")) + event(2, "B V C", ("00:00:02:00", "00:00:04:00"))
    assert edges(read(text, tmp_path)) == [(0, 48), (48, 96)]


def test_gaps_are_black_shots(tmp_path: Path) -> None:
    text = TWO.replace("01:00:01:00 01:00:02:00", "01:00:01:06 01:00:02:00")
    cuts = read(text, tmp_path)
    assert edges(cuts) == [(0, 24), (24, 30), (30, 48)] and cuts.shots[1].label == "black"
    assert "1 gap in the edit" in said(text, tmp_path)


def test_outs_that_name_the_last_frame_are_made_whole(tmp_path: Path) -> None:
    """As PySceneDetect wrote them (its issue 516)."""
    rows = [("00:00:00:00", "00:00:01:16"), ("00:00:01:17", "00:00:03:14"), ("00:00:03:15", "00:00:05:05")]
    text = "".join(f"{i + 1:03d}  AX V     C        {a} {b} {a} {b}\n" for i, (a, b) in enumerate(rows))
    assert edges(read(text, tmp_path)) == [(0, 41), (41, 87), (87, 126)]
    assert "one added" in said(text, tmp_path)


def test_long_reels_reels_with_blanks_and_long_numbers_are_read(tmp_path: Path) -> None:
    text = TWO.replace("A V", "MY REEL_NAVN_1967 NR 3 V").replace("002  ", "001002  ")
    assert [s.label for s in read(text, tmp_path).shots] == ["MY REEL_NAVN_1967 NR 3", "B"]


def test_drop_frame_is_told_by_the_mark_or_by_fcm(tmp_path: Path) -> None:
    told = Told(rate=NTSC)
    marked = event(1, "A V C", ("01:00:00;00", "01:01:00;02")) + event(2, "B V C", ("01:01:00;02", "01:10:00;00"))
    assert edges(read(marked, tmp_path, told)) == [(0, 1800), (1800, 17982)]
    plain = "FCM: DROP FRAME\n" + marked.replace(";", ":")
    assert edges(read(plain, tmp_path, told)) == [(0, 1800), (1800, 17982)]
    assert edges(read(plain.replace("DROP", "NON-DROP"), tmp_path, told)) == [(0, 1802), (1802, 18000)]
    assert "exists at 29.97 and 59.94 only, not at 25" in refusal(marked, tmp_path, Told(rate=Fraction(25)))
    assert "leaves out" in refusal(marked.replace("01:01:00;02", "01:01:00;01"), tmp_path, told)
    assert "since it is drop frame" in refusal(marked, tmp_path, Told())
    assert edges(read(plain, tmp_path, Told(rate=Fraction(30)))) == [(0, 1802), (1802, 18000)]  # FCM is often left over


@pytest.mark.parametrize(("text", "says"), [
    ("TITLE: nothing\n", "holds no event"),
    (TWO.replace("01:00:01:00 01:00:02:00", "01:00:01:24 01:00:02:00"), "01:00:01:24 does not exist at 24"),
    (TWO.replace("01:00:01:00 01:00:02:00", "01:00:02:00 01:00:01:00"), "lies before its in"),
    (TWO.replace("002  B V C", "002  B V X"), "has the transition 'X'"),
    (TWO.replace("002  B V C", "002 C"), "names no channel"),
    (TWO.replace("01:00:01:00 01:00:02:00", "01:00:01:00"), "line 2: has 3 timecodes"),
    (TWO.replace("01:00:02:00", "01:60:02:00"), "01:60:02:00 does not exist"),
])
def test_bad_events_are_named_by_line(text: str, says: str, tmp_path: Path) -> None:
    assert says in refusal(text, tmp_path)


def test_every_bad_line_is_said_at_once(tmp_path: Path) -> None:
    text = TWO.replace("01:00:00:00 01:00:01:00", "01:00:00:25 01:00:01:26").replace("01:00:02:00", "01:00:02:24")
    assert refusal(text, tmp_path).count("\n") == 1


def test_the_rate_is_asked_for(tmp_path: Path) -> None:
    assert "--rate with one above 0, such as --rate 24" in refusal(TWO, tmp_path, Told())


def test_labels_come_from_clip_names(tmp_path: Path) -> None:
    lines = TWO.splitlines(keepends=True)
    text = lines[0] + "* FROM CLIP NAME:  en scene.mov \n* FROM CLIP: S:\\x\n"
    text += lines[1] + "FROM CLIP NAME IS: b\n* CLIP NAME: c\n"
    assert [s.label for s in read(text, tmp_path).shots] == ["en scene.mov", "b"]


def test_timecodes_come_back_as_their_frames() -> None:
    for rate, drop in ((Fraction(24), False), (NTSC, True), (Fraction(60000, 1001), True), (NTSC, False)):
        for frame in (0, 1, 1799, 1800, 3597, 17981, 17982, 107_891, 107_892, 2_589_407):
            code = read_timecode(label_of(frame, rate, drop))
            assert code is not None and code.frame(rate) == frame and code.drop == drop
    assert read_timecode("01:00:00") is None and read_timecode("1:2:3:4:5") is None
    assert read_timecode("01:00:00.12") is not None


def test_rates_in_files_mean_their_exact_fractions() -> None:
    for given, rate in ((23.976, "24000/1001"), (23.98, "24000/1001"), (29.97, "30000/1001"), (29.97002997, "30000/1001"),
                        (59.94, "60000/1001"), (24.0, "24"), (24, "24"), (12.5, "25/2"), (23.976023976023978, "24000/1001")):
        assert exact_rate(given) == Fraction(rate), given
    assert exact_rate(0) is None and exact_rate(1e9) is None
    assert ntsc_parts(NTSC) == (30, True) and ntsc_parts(Fraction(25)) == (25, False) and ntsc_parts(Fraction(25, 2)) is None


SCENES = """Scene Number,Start Frame,Start Timecode,Start Time (seconds),End Frame,End Timecode,End Time (seconds)
1,1,00:00:00.000,0.000,44,00:00:01.517,1.517
2,45,00:00:01.517,1.517,360,00:00:12.414,12.414
"""


def test_scene_lists_count_from_one(tmp_path: Path) -> None:
    for text in (SCENES, "Timecode List:,00:00:01.517\n" + SCENES, "\ufeff" + SCENES.replace(",", ";").replace("\n", "\r\n")):
        cuts = read(text, tmp_path, Told(), "scenes.csv")
        assert edges(cuts) == [(0, 44), (44, 360)] and cuts.rate == 29


def test_old_scene_lists_count_from_zero(tmp_path: Path) -> None:
    text = SCENES.replace("1,1,", "1,0,").replace("2,45,", "2,44,")
    assert edges(read(text, tmp_path, Told(), "scenes.csv")) == [(0, 44), (44, 360)]


@pytest.mark.parametrize(("text", "told", "says"), [
    (SCENES, Told(rate=Fraction(25)), "has frame 360 at 12.414 s, which is not 25"),
    (SCENES.replace("12.414", "x").replace("1.517", "x"), Told(), "does not say its rate"),
    (SCENES.replace("2,45", "2,40"), Told(), "line 3: frames 40 to 360 after one that ends at 44"),
    (SCENES.replace("2,45", "2,4²"), Told(), "has the frame '4²'"),
    (SCENES.split("1,1")[0], Told(), "holds no scene"),
    (SCENES, Told(film_start="01:00:00:00"), "for an EDL only"),
])
def test_bad_scene_lists_say_so(text: str, told: Told, says: str, tmp_path: Path) -> None:
    assert says in refusal(text, tmp_path, told, "scenes.csv")


def test_frames_in_no_scene_are_shots_of_their_own(tmp_path: Path) -> None:
    text = SCENES.replace("1,1,", "1,11,")
    assert edges(read(text, tmp_path, Told(), "scenes.csv")) == [(0, 10), (10, 44), (44, 360)]


MPV = "# mpv EDL v0\nfilm.mp4,0,1.517\nfilm.mp4,start=1.517,length=3.104,title=two\n# comment\n%8%a,bc.mp4,10,20\n"


def test_mpv_segments_follow_one_another(tmp_path: Path) -> None:
    cuts = read(MPV, tmp_path, Told(rate=Fraction(29)))
    assert edges(cuts) == [(0, 44), (44, 134), (134, 714)] and [s.label for s in cuts.shots] == ["", "two", ""]


def test_mpv_start_times_of_one_film_say_where_the_cuts_are(tmp_path: Path) -> None:
    starts = [round(n * 17 / 23.976, 3) for n in range(400)]
    lines = [f"film.mp4,{a},{0.709:.3f}" for a in starts]  # each length is short of 17 frames by 0.04 ms
    cuts = read("# mpv EDL v0\n" + "\n".join(lines), tmp_path, Told(rate=Fraction(24000, 1001)))
    assert [s.start for s in cuts.shots] == [17 * n for n in range(400)] and cuts.film == "film.mp4"


def test_mpv_uris_headers_and_a_last_segment_without_a_length_are_read(tmp_path: Path) -> None:
    text = "edl://!no_chapters;film.mp4,0,2;film.mp4,2"
    assert edges(read(text, tmp_path, Told(rate=Fraction(24), frames=96))) == [(0, 48), (48, 96)]
    assert "goes to the end of its file" in refusal(text, tmp_path)


@pytest.mark.parametrize(("text", "told", "says"), [
    (MPV, Told(), "is in seconds and does not say its rate"),
    ("# mpv EDL v0\n", R24, "holds no segment"),
    ("# mpv EDL v0\nf.mp4,x,2", R24, "start is 'x'"),
    ("# mpv EDL v0\nf.mp4,0,-2", R24, "lasts -2 s"),
    ("# mpv EDL v0\n%99%f.mp4,0,2", R24, "announces 99 bytes"),
    ("# mpv EDL v0\nf.mkv,0,1,timestamps=chapters", R24, "counts in chapters"),
])
def test_bad_mpv_lists_say_so(text: str, told: Told, says: str, tmp_path: Path) -> None:
    assert says in refusal(text, tmp_path, told)
