"""Cut lists and film time: the CSV, what of the shots is seen at a frame, rates and timecode."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from player.show.cut_list import CutList, Shot, format_csv, parse_csv, problems_of, read_csv, write_csv
from player.show.film import Film, format_timecode, parse_rate, parse_timecode
from player.show.problem import ShowError
from tests.small_shows import SHOTS

LIST = CutList("small.mp4", Fraction(24), 120, SHOTS)
RATES = (Fraction(24), Fraction(25), Fraction(30), Fraction(24000, 1001), Fraction(30000, 1001), Fraction(60000, 1001))
NTSC = Fraction(30000, 1001)
# What a person may write into a cell of a spreadsheet; white space around it is not kept.
CELL = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=20).map(str.strip)
NAME_CHARACTERS = st.characters(codec="utf-8", exclude_categories=("Cc", "Zl", "Zp"), exclude_characters='",;')
NAME = st.text(NAME_CHARACTERS, max_size=20).map(str.strip)


@st.composite
def cut_lists(draw: st.DrawFn) -> CutList:
    shots: list[Shot] = []
    start = 0
    for number in range(1, draw(st.integers(1, 12)) + 1):
        length = draw(st.integers(1, 200))
        into = draw(st.sampled_from(("cut", "fade") if number == 1 else ("cut", "dissolve", "fade")))
        out = draw(st.sampled_from(("cut", "fade")))
        colours = st.sampled_from(("black", "white"))
        if into == "dissolve" and shots[-1].out == "fade":
            into = "cut"
        in_frames = 0 if into == "cut" else draw(st.integers(1, length))
        in_colour = draw(colours) if into == "fade" else ""
        out_frames = 0 if out == "cut" else draw(st.integers(1, length))
        out_colour = draw(colours) if out == "fade" else ""
        if into == out == "fade" and in_frames + out_frames > length:
            out_colour = in_colour
        shots.append(Shot(number, start, start + length, into, in_frames, in_colour, out, out_frames, out_colour,
                          draw(CELL), draw(CELL)))
        start += length
    return CutList(draw(NAME), draw(st.sampled_from(RATES)), start, tuple(shots))


def problems(text: str) -> str:
    with pytest.raises(ShowError) as e:
        parse_csv(text, "cuts.csv")
    return str(e.value)


@given(cut_lists())
@settings(max_examples=60, deadline=None)
def test_what_is_written_is_what_is_read(cuts: CutList) -> None:
    assert parse_csv(format_csv(cuts), "cuts.csv") == cuts


@given(cut_lists())
@settings(max_examples=40, deadline=None)
def test_a_spreadsheet_may_save_it_with_semicolons_padding_quotes_and_a_mark(cuts: CutList) -> None:
    import csv
    import io
    lines = format_csv(cuts).split("\n", 3)
    out = io.StringIO()
    writer = csv.writer(out, delimiter=";", lineterminator="\r\n", quoting=csv.QUOTE_ALL)
    for row in csv.reader(io.StringIO(lines[3], newline="")):
        writer.writerow([cell.replace("\n", " ").strip() for cell in row])
    text = "\ufeff" + "".join(f"{line}{';' * 10}\r\n" for line in lines[:3]) + out.getvalue()
    read = parse_csv(text, "cuts.csv")
    assert read.rate == cuts.rate and read.film == cuts.film
    assert [(s.start, s.end, s.into, s.in_frames) for s in read.shots] == [
        (s.start, s.end, s.into, s.in_frames) for s in cuts.shots]


@given(cut_lists(), st.data())
@settings(max_examples=40, deadline=None)
def test_every_frame_lies_in_exactly_its_shot(cuts: CutList, data: st.DataObject) -> None:
    frame = data.draw(st.integers(0, cuts.frames - 1))
    shot = cuts.shot_at(frame)
    assert shot.start <= frame < shot.end
    assert cuts.by_number(shot.number) is shot
    assert cuts.shot_at(-5) is cuts.shots[0] and cuts.shot_at(cuts.frames + 5) is cuts.shots[-1]
    assert cuts.by_number(0) is None and cuts.by_number(len(cuts.shots) + 1) is None


@given(cut_lists(), st.data())
@settings(max_examples=40, deadline=None)
def test_weights_lie_between_nothing_and_all(cuts: CutList, data: st.DataObject) -> None:
    mix = cuts.mix_at(data.draw(st.integers(0, cuts.frames - 1)))
    assert 0 < mix.weight <= 1 and 0 <= mix.fade <= 1
    assert (mix.outgoing is None) == (mix.weight == 1)
    assert bool(mix.fade_colour) == (mix.fade < 1)


def test_a_dissolve_weighs_as_the_format_says() -> None:
    assert [LIST.mix_at(33 + k).weight for k in range(9)] == [(k + 1) / 9 for k in range(8)] + [1.0]
    assert LIST.mix_at(33).outgoing is LIST.shots[1] and LIST.mix_at(41).outgoing is None
    assert LIST.mix_at(32).shot is LIST.shots[1] and LIST.mix_at(32).outgoing is None


def test_fades_weigh_as_the_format_says() -> None:
    assert [LIST.mix_at(89 + k).fade for k in range(7)] == [1.0] + [1 - (k + 1) / 7 for k in range(6)]
    assert [LIST.mix_at(96 + k).fade for k in range(6)] == [(k + 1) / 6 for k in range(5)] + [1.0]
    assert LIST.mix_at(95).fade_colour == LIST.mix_at(96).fade_colour == "black"


HEAD = "# film: f\n# rate: 24/1\n# frames: 48\nshot,start,end,in,in_frames,in_colour,out,out_frames,out_colour,label,group\n"


@pytest.mark.parametrize(("rows", "says"), [
    ("1,0,24\n2,25,48", "leaves a gap after frame 24"),
    ("1,0,24\n2,23,48", "overlaps frame 24"),
    ("1,0,24\n2,24,47", "the shots end at frame 47, the head says 48"),
    ("1,0,24\n3,24,48", "row 2 is numbered 3"),
    ("1,0,0\n2,0,48", "ends at 0, not after its start 0"),
    ("1,0,48,dissolve,4", "dissolves in, but no shot is before it"),
    ("1,0,48,fade,4", "in_colour is ''"),
    ("1,0,48,fade,49,black", "in_frames is 49"),
    ("1,0,48,fade,0,black", "in_frames is 0"),
    ("1,0,48,cut,4", "in is a cut with in_frames 4"),
    ("1,0,48,cut,0,black", "in_colour is 'black' for a cut"),
    ("1,0,48,,,,fade,4,blue", "out_colour is 'blue'"),
    ("1,0,48,disolve,4", "did you mean 'dissolve'"),
    ("1,0,48,,,,dissolve,4", "out is 'dissolve'"),
    ("1,zero,48", "line 5: start is 'zero'"),
    ("1,-1,48", "start is '-1'"),
    ("1,²,48", "start is '²'"),
    (f"1,0,{'9' * 5000}", "end is '999"),
    ("1,0.5,48", "start is '0.5'"),
    ("", "holds no shot"),
    ("1,0,48,fade,30,black,fade,20,white", "shot 1: fades in from black over 30 frames and out to white over 20, and has 48; "
     "allowed: in_frames and out_frames of at most 48 together"),
    ("1,0,24,cut,0,,fade,12,black\n2,24,48,dissolve,12",
     "shot 1: fades out to black, and shot 2 dissolves in from its picture; allowed: "
     "out = fade only where the next shot's in is cut or fade"),
])
def test_an_unsound_list_says_what_is_wrong(rows: str, says: str) -> None:
    assert says in problems(HEAD + rows)


@pytest.mark.parametrize("rows", [
    "1,0,48,fade,28,black,fade,20,white", "1,0,48,fade,48,black,fade,48,black",
    "1,0,24,fade,20,black\n2,24,48,dissolve,24,,fade,24,white",
    "1,0,24,cut,0,,fade,12,black\n2,24,48,fade,12,white", "1,0,24,cut,0,,fade,24,black\n2,24,48"])
def test_fades_that_meet_without_a_jump_are_sound(rows: str) -> None:
    cuts = parse_csv(HEAD + rows, "cuts.csv")
    for shot in cuts.shots:  # inside a shot the colour stays, or changes where the picture is (nearly) whole
        seen = [cuts.mix_at(frame) for frame in range(shot.start, shot.end)]
        for a, b in zip(seen, seen[1:], strict=False):
            assert a.fade_colour in ("", b.fade_colour) or b.fade_colour == "" or min(a.fade, b.fade) > 0.9


def test_every_problem_is_said_at_once() -> None:
    said = problems(HEAD + "1,0,20\n2,24,x,wipe\n4,30,48,,,,fade,0")
    assert "end is 'x'" in said and "in is 'wipe'" in said
    said = problems(HEAD + "1,0,20\n2,24,30\n4,30,47,,,,fade,0")
    parts = ("leaves a gap", "numbered 4", "out_frames is 0", "out_colour is ''", "end at frame 47")
    assert all(part in said for part in parts)


@pytest.mark.parametrize(("text", "says"), [
    ("", "'# rate:' is missing"),
    ("hello, this\nis, no list\n", "is no cut list: '# rate:' is missing, and so are the columns"),
    ("# rate: 24/1\n", "'# frames:' is 'missing'"),
    ("# rate: 24/1\n# frames: ²\n", "whole number"),
    ("# rate: fast\n# frames: 48\nshot,start,end\n1,0,48", "'fast' is not a frame rate"),
    ("# rate: 24/1\n# frames: 48\nshot,begin,end\n1,0,48", "column begin"),
    ("# rate: 24/1\n# frames: 48\nshot,strat,end\n1,0,48", "did you mean 'start'"),
])
def test_a_bad_head_says_what_is_wrong(text: str, says: str) -> None:
    assert says in problems(text)


@given(st.text(max_size=300))
@settings(max_examples=200, deadline=None)
def test_any_text_is_a_cut_list_or_a_problem(text: str) -> None:
    for given_text in (text, HEAD + text):
        try:
            cuts = parse_csv(given_text, "cuts.csv")
        except ShowError:
            continue
        assert problems_of(cuts, "cuts.csv") == []


def test_a_list_that_does_not_cover_the_film_is_a_problem() -> None:
    assert problems_of(LIST, "cuts.csv", 120) == []
    assert "covers 120 frames, the film has 121" in str(problems_of(LIST, "cuts.csv", 121)[0])


def test_a_missing_or_foreign_file_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(ShowError, match="cannot be read"):
        read_csv(tmp_path / "none.csv")
    (tmp_path / "old.csv").write_bytes(HEAD.encode() + "1,0,48,,,,,,,Küche".encode("cp1252"))
    with pytest.raises(ShowError, match="is not UTF-8"):
        read_csv(tmp_path / "old.csv")


def test_writing_leaves_the_whole_list_or_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "cuts.csv"
    write_csv(LIST, path)
    with pytest.raises(ShowError):
        write_csv(CutList("f", Fraction(24), 121, SHOTS), path)
    assert read_csv(path) == LIST
    assert [p.name for p in tmp_path.iterdir()] == ["cuts.csv"]


@pytest.mark.parametrize(("text", "rate"), [
    ("24", Fraction(24)), ("24/1", Fraction(24)), ("24 / 1", Fraction(24)), ("25.0", Fraction(25)), ("12.5", Fraction(25, 2)),
    ("23.976", Fraction(24000, 1001)), ("29.97", NTSC), ("30000/1001", NTSC), (" 59.94 ", Fraction(60000, 1001))])
def test_rates_are_exact(text: str, rate: Fraction) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text", ["", "0", "24/0", "-24", "fast", "nan", "inf", "0.5", "1001", "1e999999999", "24fps", "²",
                                  "9" * 5000])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_rate(text)


@given(st.integers(0, 10_000_000), st.sampled_from(RATES))
def test_timecode_comes_back_as_its_frame(frame: int, rate: Fraction) -> None:
    assert parse_timecode(format_timecode(frame, rate), rate) == frame


def drop_frame_label(frame: int, base: int) -> str:
    """The label of a frame by counting: two (four) numbers are left out each minute but every tenth."""
    dropped = base // 15
    per_minute, per_ten = 60 * base - dropped, 600 * base - 9 * dropped
    tens, rest = divmod(frame, per_ten)
    if rest >= 60 * base:
        frame += dropped * (9 * tens + 1 + (rest - 60 * base) // per_minute)
    else:
        frame += dropped * 9 * tens
    seconds, ff = divmod(frame, base)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d};{ff:02d}"


@given(st.integers(0, 24 * 107_892 - 1), st.sampled_from(((NTSC, 1), (Fraction(60000, 1001), 2))))
def test_drop_frame_timecode_counts_as_smpte_does(frame: int, kind: tuple[Fraction, int]) -> None:
    rate, times = kind
    assert parse_timecode(drop_frame_label(frame, 30 * times), rate) == frame


def test_drop_frame_timecode_known_values() -> None:
    assert parse_timecode("00:01:00;02", NTSC) == 1800
    assert parse_timecode("00:10:00;00", NTSC) == 17982
    assert parse_timecode("01:00:00;00", NTSC) == 107892
    with pytest.raises(ValueError, match="leaves out"):
        parse_timecode("00:01:00;01", NTSC)
    with pytest.raises(ValueError, match=r"29\.97 and 59\.94 only"):
        parse_timecode("00:01:00;02", Fraction(25))


@pytest.mark.parametrize(("text", "frame"), [
    ("300", 300), ("300f", 300), ("12.5s", 300), ("0s", 0), ("00:00:12:12", 300), ("00:00:12", 288), ("0:12", 288),
    ("90:00", 129600)])
def test_times_may_be_written_in_several_ways(text: str, frame: int) -> None:
    assert parse_timecode(text, Fraction(24)) == frame


@pytest.mark.parametrize("text", ["", "-5", "12,5s", "00:00:60:00", "00:60:00:00", "00:00:00:24", "1:2:3:4:5", "0:12:5;3x",
                                  "now", "12:05;03"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_timecode(text, Fraction(24))


def test_a_film_knows_its_exact_length() -> None:
    assert Film(NTSC, 30, 640, 480).duration_s == Fraction(1001, 1000)
    assert Film(NTSC, 30, 640, 480).aspect == 640 / 480


def test_the_example_in_the_documentation_is_a_cut_list(repo: Path) -> None:
    page = (repo / "docs" / "FORMATS.md").read_text(encoding="utf-8")
    lines = page[page.index("    # film:"):].splitlines()
    example = "\n".join(line.strip() for line in lines[:lines.index("")])
    assert [s.into for s in parse_csv(example, "FORMATS.md").shots] == ["cut", "cut", "dissolve", "cut", "fade"]


def test_a_quote_that_is_never_closed_is_a_problem_and_not_an_error_of_the_reader() -> None:
    text = "# rate: 24/1\n# frames: 120\nshot,start,end,label\n1,0,120,\"" + "x" * 200_000
    with pytest.raises(ShowError) as e:
        parse_csv(text, "cuts.csv")
    assert [p.where for p in e.value.problems] == ["cuts.csv"] and "quote" in str(e.value)
