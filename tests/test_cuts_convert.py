"""cuts convert: the same frame numbers by every route, and what a person meets on the way."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from player.show.cut_list import CutList, Shot, format_csv, parse_csv, problems_of, read_csv
from player.show.problem import ShowError
from tests.numbered_film import write_numbered
from tools.cuts_convert import main
from tools.cuts_edl import events_of
from tools.cuts_formats import formatted, read_cuts
from tools.cuts_notes import Layout
from tools.cuts_text import decoded
from tools.cuts_timeline import Told
from tools.show_file import MARK

NTSC = Fraction(30000, 1001)
RATES = [(Fraction(24), False), (Fraction(25), False), (Fraction(24000, 1001), False), (NTSC, False), (NTSC, True),
         (Fraction(60), False), (Fraction(60000, 1001), True)]  # fmt: skip
LABEL = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp", "Cn", "Co")), max_size=12).map(
    lambda t: " ".join(t.split()))  # fmt: skip


@st.composite
def shot_rows(draw: st.DrawFn, colours: tuple[str, ...] = ("black", "white"), longest: int = 200) -> tuple[Shot, ...]:
    """Sound shots with transitions of every kind, also some that no editing program can show."""
    shots: list[Shot] = []
    start = 0
    for number in range(1, draw(st.integers(1, 9)) + 1):
        length = draw(st.integers(1, longest))
        into = draw(st.sampled_from(("cut", "fade") if number == 1 else ("cut", "cut", "dissolve", "fade")))
        if into == "dissolve" and shots[-1].out == "fade":  # what has gone cannot be dissolved from
            into = "cut"
        out = draw(st.sampled_from(("cut", "cut", "fade")))
        colour = st.sampled_from(colours)
        in_frames, out_frames = (0 if kind == "cut" else draw(st.integers(1, length)) for kind in (into, out))
        in_colour, out_colour = (draw(colour) if kind == "fade" else "" for kind in (into, out))
        if into == out == "fade" and in_frames + out_frames > length:  # overlapping fades are of one colour
            out_colour = in_colour
        shots.append(Shot(number, start, start + length, into, in_frames, in_colour, out, out_frames, out_colour,
                          draw(LABEL), draw(LABEL)))  # fmt: skip
        start += length
    return tuple(shots)


def list_of(shots: tuple[Shot, ...], rate: Fraction = Fraction(24)) -> CutList:
    return CutList("film.mp4", rate, shots[-1].end, shots)


def back(text: str, name: str, folder: Path, told: Told = Told()) -> CutList:  # noqa: B008
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return read_cuts(path, told).cuts


FADES = list_of((
    Shot(1, 0, 78, "fade", 18, "black", label="in the white room", group="room"),
    Shot(2, 78, 182, label="walks, in profile"),
    Shot(3, 182, 250, "dissolve", 20, "", "fade", 16, "black", "lies \"down\"", "floor"),
    Shot(4, 250, 330, "fade", 12, "black", label="Æbler på gulvet"),
    Shot(5, 330, 331),
    Shot(6, 331, 420, "fade", 10, "black"),
    Shot(7, 420, 520, "dissolve", 30, "", "fade", 30, "black", group="room"),
))  # fmt: skip


@pytest.mark.parametrize(("rate", "drop"), RATES)
@given(shots=shot_rows())
@settings(max_examples=12, deadline=None)
def test_edl_to_csv_to_otio_to_edl_keeps_every_frame(rate: Fraction, drop: bool, shots: tuple[Shot, ...],
                                                     tmp_path_factory: pytest.TempPathFactory) -> None:  # fmt: skip
    folder = tmp_path_factory.mktemp("route")
    cuts = list_of(shots, rate)
    layout = Layout("film.mp4", drop=drop)
    first, _ = formatted(cuts, "edl", "a.edl", layout)
    from_edl = back(first, "a.edl", folder)
    from_csv = back(format_csv(from_edl), "a.csv", folder)
    from_otio = back(formatted(from_csv, "otio", "a.otio", layout)[0], "a.otio", folder)
    last, _ = formatted(from_otio, "edl", "b.edl", layout)
    assert from_edl == from_csv == from_otio == cuts and last == first


@given(shots=shot_rows(), baked=st.booleans(), rate=st.sampled_from([r for r, _ in RATES]))
@settings(max_examples=30, deadline=None)
def test_fcp7_and_baked_lists_come_back_as_they_were(shots: tuple[Shot, ...], baked: bool, rate: Fraction,
                                                     tmp_path_factory: pytest.TempPathFactory) -> None:  # fmt: skip
    folder = tmp_path_factory.mktemp("route")
    cuts = list_of(shots, rate)
    for kind, name in (("fcp7", "a.xml"), ("otio", "a.otio"), ("edl", "a.edl")):
        text, _ = formatted(cuts, kind, name, Layout("film.mp4", baked=baked))
        assert back(text, name, folder) == cuts


def without_notes(text: str, kind: str) -> str:
    if kind == "edl":
        return "\n".join(line for line in text.split("\n") if "CINEML" not in line)
    if kind == "fcp7":
        return "".join(part.partition("</marker>")[2] if i else part for i, part in enumerate(text.split("<marker>")))
    return text.replace('"cineml"', '"other"')


@pytest.mark.parametrize("kind", ["edl", "otio", "fcp7"])
@pytest.mark.parametrize("noted", [True, False])
def test_a_list_with_many_fades_is_not_taken_for_one_with_cuts_that_nobody_sees(kind: str, noted: bool, tmp_path: Path) -> None:
    """As trailers are cut: more shots come from black than by a cut."""
    black = {"into": "fade", "in_frames": 8, "in_colour": "black", "out": "fade", "out_frames": 8, "out_colour": "black"}
    shots = [Shot(n, 40 * n - 40, 40 * n) for n in range(1, 12)]
    cuts = list_of(tuple(replace(s, **black) if s.number not in (4, 5, 9) else s for s in shots))  # type: ignore[arg-type]
    text, _ = formatted(cuts, kind, "a", Layout("film.mp4"))
    path = tmp_path / f"a.{'xml' if kind == 'fcp7' else kind}"
    path.write_text(text if noted else without_notes(text, kind), encoding="utf-8")
    for join in (False, True):
        read = read_cuts(path, Told(rate=Fraction(24), join=join))
        assert read.said == () and [s.start for s in read.cuts.shots] == [s.start for s in cuts.shots]


@pytest.mark.parametrize("kind", ["edl", "otio", "fcp7"])
def test_a_cut_that_a_list_names_is_one_wherever_it_is_in_the_edit(kind: str, tmp_path: Path) -> None:
    """A film's list with scenes taken out in an editing program: what it still holds of cuts is seen."""
    cuts = list_of(tuple(Shot(n, 40 * n - 40, 40 * n) for n in range(1, 4)))
    text, _ = formatted(cuts, kind, "a", Layout("film.mp4", begin=24))
    if kind == "edl":
        text = text.replace("00:00:04:08 00:00:06:00", "00:00:09:08 00:00:11:00")  # the third is now of another place
    elif kind == "fcp7":
        text = text.replace("<in>104</in>", "<in>304</in>")
    else:
        text = text.replace('"value": 104', '"value": 304')
    path = tmp_path / f"a.{'xml' if kind == 'fcp7' else kind}"
    path.write_text(text, encoding="utf-8")
    assert len(read_cuts(path, Told(join=True)).cuts.shots) == 3


@pytest.mark.parametrize("kind", ["edl", "otio", "fcp7"])
def test_without_the_notes_frames_dissolves_and_black_fades_are_still_there(kind: str, tmp_path: Path) -> None:
    """An editing program that passes no note on loses labels and groups alone; in an EDL a fade in of the film's first frames,
    for which OpenTimelineIO would refuse the whole."""
    text, said = formatted(FADES, kind, "a", Layout("film.mp4"))
    opening = "a fade in at the very beginning, of shot 1: kept in notes, written as cuts"
    assert said == ([opening] if kind == "edl" else [])
    text = without_notes(text, kind)
    read = back(text, f"a.{'xml' if kind == 'fcp7' else kind}", tmp_path, Told(rate=Fraction(24)))
    wanted = [replace(s, label="", group="") for s in FADES.shots]
    if kind == "edl":
        wanted[0] = replace(wanted[0], into="cut", in_frames=0, in_colour="")
    assert [replace(s, label="", group="") for s in read.shots] == wanted


def test_what_a_format_cannot_show_is_said_and_kept(tmp_path: Path) -> None:
    cuts = list_of((Shot(1, 0, 50, out="fade", out_frames=10, out_colour="white"), Shot(2, 50, 90, "fade", 5, "white")))
    for kind, name in (("edl", "a.edl"), ("otio", "a.otio"), ("fcp7", "a.xml")):
        text, said = formatted(cuts, kind, name, Layout("film.mp4"))
        assert said == ["fades from or to white, of shot 1, 2: kept in notes, written as cuts"]
        assert back(text, name, tmp_path) == cuts


def test_a_note_of_a_shot_that_was_cut_anew_brings_only_its_label(tmp_path: Path) -> None:
    cuts = list_of((Shot(1, 0, 50, out="fade", out_frames=10, out_colour="white", label="one", group="g"), Shot(2, 50, 90)))
    text, _ = formatted(cuts, "edl", "a.edl", Layout("film.mp4"))
    text = text.replace("00:00:02:02", "00:00:02:00")  # the cut at 50 is moved to 48
    read = back(text, "a.edl", tmp_path)
    assert [(s.start, s.end, s.out, s.label) for s in read.shots] == [(0, 48, "cut", "one"), (48, 90, "cut", "")]


def test_drop_frame_labels_skip_as_smpte_says(tmp_path: Path) -> None:
    cuts = CutList("film.mp4", NTSC, 20_000, (Shot(1, 0, 1800), Shot(2, 1800, 17982), Shot(3, 17982, 20_000)))
    text, _ = formatted(cuts, "edl", "a.edl", Layout("film.mp4", drop=True))
    assert "FCM: DROP FRAME" in text and "00:01:00;02" in text and "00:10:00;00" in text
    assert back(text, "a.edl", tmp_path) == cuts
    text, _ = formatted(cuts, "edl", "a.edl", Layout("film.mp4"))
    assert "FCM: NON-DROP FRAME" in text and "00:01:00:00" in text and "00:09:59:12" in text


def test_other_readers_of_what_is_written_find_the_same_frames(tmp_path: Path) -> None:
    """OpenTimelineIO and its adapters, which are others' work, read the same places."""
    otio = pytest.importorskip("opentimelineio")
    for kind, name in (("edl", "a.edl"), ("otio", "a.otio"), ("fcp7", "a.xml")):
        cuts = FADES
        (tmp_path / name).write_text(formatted(cuts, kind, name, Layout("film.mp4"))[0], encoding="utf-8")
        if kind != "otio" and {"edl": "cmx_3600", "fcp7": "fcp_xml"}[kind] not in otio.adapters.available_adapter_names():
            continue
        made = otio.adapters.read_from_file(str(tmp_path / name), **({"rate": 24} if kind == "edl" else {}))
        timeline = made if isinstance(made, otio.schema.Timeline) else made[0]
        clips = [c for c in timeline.video_tracks()[0] if isinstance(c, otio.schema.Clip)]
        found = [(c.source_range.start_time.value, c.source_range.end_time_exclusive().value) for c in clips
                 if c.media_reference is None or c.name not in ("", "BL") and not c.name.isdigit()]  # fmt: skip
        # A gap stands for the frames that fade out, but in an XML; in an OTIO also for a fade in after a hard cut.
        wanted = [(s.start + (s.in_frames if kind == "otio" and s.number == 6 else 0),
                   s.end - (s.out_frames if kind != "fcp7" else 0)) for s in cuts.shots]  # fmt: skip
        assert found == wanted, kind
        assert timeline.duration().value == cuts.frames


def test_a_timeline_may_begin_at_any_timecode(tmp_path: Path) -> None:
    code = ["-o", str(tmp_path / "a.edl"), "--timeline-start", "01:00:00:00"]
    (tmp_path / "a.csv").write_text(format_csv(FADES), encoding="utf-8")
    assert main([str(tmp_path / "a.csv"), *code]) == 0
    text = (tmp_path / "a.edl").read_text(encoding="utf-8")
    assert "00:00:03:06 00:00:07:14 01:00:03:06 01:00:07:14" in text
    assert read_cuts(tmp_path / "a.edl", Told()).cuts == FADES


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 frames at 24 a second."""
    path = tmp_path_factory.mktemp("film") / "a film.mp4"
    return write_numbered(path, Fraction(24), 60)


EDL = """TITLE: reel
FCM: NON-DROP FRAME
001  AX V C 00:00:00:00 00:00:01:00 01:00:00:00 01:00:01:00
002  AX V C 00:00:05:00 00:00:06:12 01:00:01:00 01:00:02:12
"""


def test_the_film_tells_rate_length_and_place(film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "reel.edl").write_text(EDL, encoding="utf-8")
    assert main([str(tmp_path / "reel.edl"), "-o", str(tmp_path / "cuts.csv"), "--film", str(film)]) == 0
    cuts = read_csv(tmp_path / "cuts.csv")
    assert (cuts.rate, cuts.frames, cuts.film) == (Fraction(24), 60, "a film.mp4")
    assert [s.start for s in cuts.shots] == [0, 24]
    assert "2 shots, 60 frames at 24 a second, from edl to csv" in capsys.readouterr().out
    for name in ("a.xml", "a.otio"):
        assert main([str(tmp_path / "cuts.csv"), "-o", str(tmp_path / name), "--film", str(film)]) == 0
    assert "<pathurl>file://localhost/" in (tmp_path / "a.xml").read_text(encoding="utf-8")
    assert "/a%20film.mp4</pathurl>" in (tmp_path / "a.xml").read_text(encoding="utf-8")
    media = json.loads((tmp_path / "a.otio").read_text(encoding="utf-8"))["tracks"]["children"][0]["children"][0]
    assert media["media_references"]["DEFAULT_MEDIA"]["target_url"].startswith("file:///")


def test_a_film_of_another_length_is_refused_unless_its_end_is_to_be_filled(
        film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    (tmp_path / "reel.edl").write_text(EDL.replace("01:00:02:12", "01:00:02:00"), encoding="utf-8")
    call = [str(tmp_path / "reel.edl"), "-o", str(tmp_path / "cuts.csv"), "--film", str(film)]
    assert main(call) == 2
    assert "covers 48 frames, the film has 60" in capsys.readouterr().err and not (tmp_path / "cuts.csv").exists()
    assert main([*call, "--fill-end"]) == 0
    shots = read_csv(tmp_path / "cuts.csv").shots
    assert [(s.start, s.end, s.label) for s in shots] == [(0, 24, ""), (24, 48, ""), (48, 60, "black")]
    part = [call[0], "-o", str(tmp_path / "part.csv"), "--film", str(film), "--start", "12f"]
    assert main(part) == 0 and read_csv(tmp_path / "part.csv").frames == 48


def film_with_timecode(path: Path, timecode: str, rate: Fraction, frames: int) -> Path:
    import av
    import numpy as np

    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=rate, width=64, height=48, pix_fmt="yuv420p")
        stream.metadata["timecode"] = timecode
        for i in range(frames):
            picture = av.VideoFrame.from_ndarray(np.full((48, 64, 3), i, np.uint8), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize(("timecode", "rate", "out"), [
    ("10:00:00:00", Fraction(24), "10:00:01:00"), ("01:00:59;22", NTSC, "01:01:00;18")])  # fmt: skip
def test_the_films_own_timecode_is_the_source_time_of_what_is_written(timecode: str, rate: Fraction, out: str,
                                                                      tmp_path: Path) -> None:  # fmt: skip
    film = film_with_timecode(tmp_path / "camera.mov", timecode, rate, 40)
    cuts = CutList("camera.mov", rate, 40, (Shot(1, 0, 24), Shot(2, 24, 40, "dissolve", 4)))
    (tmp_path / "a.csv").write_text(format_csv(cuts), encoding="utf-8")
    for name in ("a.edl", "a.otio", "a.xml"):
        assert main([str(tmp_path / "a.csv"), "-o", str(tmp_path / name), "--film", str(film)]) == 0
        assert read_cuts(tmp_path / name, Told()).cuts == cuts
    assert f"{timecode} {out} 00:00:00" in (tmp_path / "a.edl").read_text(encoding="utf-8")
    assert f"<string>{timecode}</string>" in (tmp_path / "a.xml").read_text(encoding="utf-8")


def test_a_list_of_a_part_of_the_film_points_there(film: Path, tmp_path: Path) -> None:
    cuts = CutList("f", Fraction(24), 30, (Shot(1, 0, 10), Shot(2, 10, 30)))
    (tmp_path / "a.csv").write_text(format_csv(cuts), encoding="utf-8")
    call = [str(tmp_path / "a.csv"), "--film", str(film), "--start", "00:00:01:00", "--end", "54"]
    for name in ("a.edl", "a.otio", "a.xml"):
        assert main([*call, "-o", str(tmp_path / name)]) == 0
        assert [s.start for s in read_cuts(tmp_path / name, Told()).cuts.shots] == [0, 10]
    assert "00:00:01:10 00:00:02:06 00:00:00:10 00:00:01:06" in (tmp_path / "a.edl").read_text(encoding="utf-8")
    assert "<in>34</in>" in (tmp_path / "a.xml").read_text(encoding="utf-8")


def test_frames_in_a_folder_are_a_film_without_a_rate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from PIL import Image

    frames = tmp_path / "frames"
    frames.mkdir()
    for i in range(60):
        Image.new("L", (16, 9)).save(frames / f"{i:03d}.png")
    (tmp_path / "reel.edl").write_text(EDL, encoding="utf-8")
    call = [str(tmp_path / "reel.edl"), "-o", str(tmp_path / "cuts.csv"), "--film", str(frames)]
    assert main(call) == 2
    assert "does not say its rate" in capsys.readouterr().err
    assert main([*call, "--rate", "24"]) == 0 and read_csv(tmp_path / "cuts.csv").frames == 60


def refused(argv: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert main(argv) == 2
    said = capsys.readouterr()
    assert said.out == "" and "Traceback" not in said.err and said.err.strip()
    return said.err


def test_bad_calls_cost_one_sentence_and_nothing_else(film: Path, tmp_path: Path,
                                                      capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    source = tmp_path / "cuts.csv"
    source.write_text(format_csv(FADES), encoding="utf-8")
    out = tmp_path / "a.edl"
    plain = [str(source), "-o", str(out)]
    assert "is the cut list that is read" in refused([str(source), "-o", str(source)], capsys)
    assert "ends in '.aaf'" in refused([str(source), "-o", str(tmp_path / "a.aaf")], capsys)
    assert "is not there" in refused([str(source), "-o", str(tmp_path / "no" / "a.edl")], capsys)
    assert "is missing" in refused([str(tmp_path / "none.edl"), "-o", str(out)], capsys)
    assert "is a folder" in refused([str(tmp_path), "-o", str(out)], capsys)
    assert "29.97 or 59.94 only" in refused([*plain, "--drop-frame"], capsys)
    assert "does not exist at 24" in refused([*plain, "--timeline-start", "01:00:00:24"], capsys)
    assert "is no timecode" in refused([*plain, "--timeline-start", "later"], capsys)
    assert "'fast'" in refused([*plain, "--rate", "fast"], capsys)
    assert "without --film" in refused([*plain, "--start", "3"], capsys)
    assert "is at 24 frames a second, not 25" in refused([*plain, "--rate", "25"], capsys)
    assert "covers 520 frames, the film has 60" in refused([*plain, "--film", str(film)], capsys)
    assert "24" in refused([*plain, "--film", str(film), "--rate", "25"], capsys)
    assert "of the kind csv, which holds one timeline" in refused([*plain, "--sequence", "reel 2"], capsys)
    assert "name frames 12 to 61" in refused([*plain, "--film", str(film), "--start", "12", "--end", "61"], capsys)
    assert [p.name for p in tmp_path.iterdir()] == ["cuts.csv"]


def test_somebodys_file_is_not_overwritten_unasked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = tmp_path / "a.csv", tmp_path / "a.edl"
    source.write_text(format_csv(FADES), encoding="utf-8")
    out.write_text("my own", encoding="utf-8")
    assert "is there already, and differs" in refused([str(source), "-o", str(out)], capsys)
    assert out.read_text(encoding="utf-8") == "my own"
    assert main([str(source), "-o", str(out), "--overwrite"]) == 0
    assert main([str(source), "-o", str(out)]) == 0  # the same again is no loss
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.csv", "a.edl"]


def test_the_show_beside_the_list_has_these_cuts_now(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "reel.edl").write_text(EDL, encoding="utf-8")
    show = tmp_path / "show.toml"
    show.write_text(f'{MARK}\n[film]\n# cuts = "cuts.csv"\n', encoding="utf-8")
    call = [str(tmp_path / "reel.edl"), "--rate", "24", "-o"]
    assert main([*call, str(tmp_path / "again.edl")]) == 0 and "# cuts" in show.read_text(encoding="utf-8")
    assert main([*call, str(tmp_path / "mine.csv")]) == 0
    assert 'cuts = "mine.csv"' in show.read_text(encoding="utf-8") and "has these cuts now" in capsys.readouterr().out


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, capsys: pytest.CaptureFixture[str],
                                           monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    source, out = tmp_path / "a.csv", tmp_path / "a.edl"
    source.write_text(format_csv(FADES), encoding="utf-8")
    out.write_text("older", encoding="utf-8")

    def full(path: Path, data: bytes) -> int:
        path.open("wb").write(data[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    assert "No space left on device" in refused([str(source), "-o", str(out), "--overwrite"], capsys)
    assert out.read_text(encoding="utf-8") == "older" and sorted(p.name for p in tmp_path.iterdir()) == ["a.csv", "a.edl"]


def test_rates_that_a_format_cannot_hold_are_refused(tmp_path: Path) -> None:
    cuts = replace(FADES, rate=Fraction(25, 2))
    with pytest.raises(ShowError, match="in FCP7 XML"):
        formatted(cuts, "fcp7", "a.xml", Layout("film.mp4"))
    text, said = formatted(cuts, "edl", "a.edl", Layout("film.mp4"))
    assert "timecode counts 12" in said[1] and back(text, "a.edl", tmp_path) == cuts
    with pytest.raises(ShowError, match="up to 100 in an EDL"):
        formatted(replace(FADES, rate=Fraction(240)), "edl", "a.edl", Layout("film.mp4"))
    assert back(formatted(replace(FADES, rate=Fraction(240)), "otio", "a", Layout(""))[0], "a.otio", tmp_path).rate == 240


def test_more_events_than_cmx_knows_are_written_and_said() -> None:
    shots = tuple(Shot(i + 1, 2 * i, 2 * i + 2) for i in range(1200))
    text, said = formatted(list_of(shots), "edl", "a.edl", Layout("film.mp4"))
    assert "1200  AX" in text and "1200 events: more than the 999 of CMX3600" in said[0]


def test_the_awkward_edl_means_what_its_makers_say(shared: Path, tmp_path: Path) -> None:
    path = shared / "cutlists" / "awkward_2997df_crlf_cp1252.edl"
    wanted = json.loads(path.with_name(path.name + ".expected.json").read_text(encoding="utf-8"))
    read = read_cuts(path, Told(rate=NTSC))
    assert read.kind == "edl" and any("CP1252" in line for line in read.said)
    assert read.cuts.frames == wanted["total_frames"]
    assert [(s.start, s.end, s.into, s.in_frames, s.label) for s in read.cuts.shots] == [
        (e["record_in_frame"], e["record_out_frame"], e["transition"], e["transition_frames"], e["clip"])
        for e in wanted["events"]]  # fmt: skip
    events = {int(e.number): e for e in events_of(decoded(path.read_bytes(), "a")[0], "a")}  # the last of a pair counts
    assert [(e.reel, e.speed or None) for e in events.values()] == [(e["reel"], e["speed_fps"]) for e in wanted["events"]]
    for kind, name in (("otio", "a.otio"), ("fcp7", "a.xml"), ("edl", "a.edl"), ("csv", "a.csv")):
        text, _ = formatted(read.cuts, kind, name, Layout(read.cuts.film, drop=True))
        assert back(text, name, tmp_path) == read.cuts


SHARED_FILES = {
    "25fps.edl": (25, [0, 161, 361, 447, 496]),
    "avid_example.edl": (24, [0, 31, 81]),
    "dissolve_test_2.edl": (24, [0, 5, 15, 20]),
    "pycmx_test_25.edl": (25, [0, 1499, 2250, 2867, 3035, 3160, 3271, 4022]),
    "speed_effects_small.edl": (24, [0, 126, 12240, 12257, 12258, 12276, 16600, 16636]),
    "wipe_test.edl": (24, [0, 9, 19, 20]),
    "hiero_xml_export.xml": (None, [0, 14, 1069, 1085, 1324]),
    "premiere_enable_property.xml": (None, [0, 81, 177, 220, 256]),
    "pyscenedetect_0.7.2_abomb-Scenes.csv": (None, [0, 44, 134, 299, 360]),
    "screening_example.otio": (None, [0, 31, 81, 109, 224, 325, 486, 656, 792, 1049]),
    "simple_cut.otio": (None, [0, 3, 9, 13, 19]),
    "transition.otio": (None, [0, 3, 7, 13, 19]),
}


@pytest.mark.parametrize("name", SHARED_FILES)
def test_files_of_other_programs_read_to_what_is_seen(name: str, shared: Path) -> None:
    rate, edges = SHARED_FILES[name]
    cuts = read_cuts(shared / "cutlists" / name, Told(rate=Fraction(rate) if rate else None)).cuts
    assert [*(s.start for s in cuts.shots), cuts.frames] == edges
    assert problems_of(cuts, name) == []


@pytest.mark.parametrize(("name", "says"), [
    ("pycmx_TEST.edl", "holds 148 events of sound and none of picture"),
    ("premiere_example_filter.xml", "is a piece of XML, <filter>, with no sequence in it"),
    ("fcpx_example.fcpxml", "holds 2 timelines: 'OpenTimeline_Project', 'OpenTimeline_Project 1'"),
    ("25fps.edl", "does not say its rate"),
    ("LICENCES.md", "is no cut list that is known"),
])
def test_files_that_cannot_be_read_say_why(name: str, says: str, shared: Path) -> None:
    with pytest.raises(ShowError) as e:
        read_cuts(shared / "cutlists" / name, Told())
    assert says in str(e.value) and len(e.value.problems) == 1


def test_the_project_of_several_that_was_named_is_read(shared: Path) -> None:
    read = read_cuts(shared / "cutlists" / "fcpx_example.fcpxml", Told(sequence="OpenTimeline_Project"))
    assert read.cuts.frames == 4500 and read.cuts.rate == 30
    assert [s.start for s in read.cuts.shots] == [0, 315, 600, 900, 1500, 1770, 1937, 2237, 2400, 2591, 2891, 3191, 3300,
                                                  3600, 3900, 4200, 4443]  # fmt: skip
    first, storyline = read.cuts.shots[0], read.cuts.shots[4:6]
    assert (first.out, first.out_frames) == ("fade", 30)
    assert [(s.into, s.in_frames, s.label) for s in storyline] == [("fade", 30, "IMG_0268"), ("dissolve", 30, "IMG_0740")]


def test_a_csv_that_a_spreadsheet_saved_in_cp1252_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(format_csv(replace(FADES, film="prøve.mp4")).encode("cp1252"))
    read = read_cuts(path, Told())
    assert read.cuts.shots == FADES.shots and read.said == ("it is not UTF-8: read as CP1252",)
    assert parse_csv(format_csv(read.cuts), "a").film == "prøve.mp4"
