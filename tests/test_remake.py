"""`cineml remake`: every frame on its place, the sound on its samples, the original beside it, captions, and the way back
to the editor; and that whatever goes wrong, what was there before stays."""

from __future__ import annotations

import json
import os
import signal
import wave
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from player.__main__ import main as player_main
from player.recorder import Recorder
from player.show.cut_list import CutList, Shot, read_csv, write_csv
from player.show.problem import ShowError
from player.sources.film_reader import FilmReader, FilmSource, probe_film
from player.sources.frame import Frame
from tests.numbered_film import FRAMES, RATE, number_in, write_numbered
from tools.cuts_formats import read_cuts
from tools.cuts_timeline import Told
from tools.remake import cuts_within, main
from tools.remake_options import EXAMPLES, arguments
from tools.remake_recorder import RemakeRecorder, _ass

SHOTS = (Shot(1, 0, 20, label="a"), Shot(2, 20, 40, "dissolve", 6, label="b", group="g"),
         Shot(3, 40, FRAMES, out="fade", out_frames=5, out_colour="black"))  # fmt: skip
CLICKS = (0, 24_000, 70_001, 120_345)
CAPTIONS = "1\n00:00:00,500 --> 00:00:01,000\nOne {here}\n\n2\n00:00:01,000 --> 00:00:02,000\n<i>Two</i>\nlines\n"


@pytest.fixture
def show(tmp_path: Path) -> Path:
    """show.toml: 3 s of numbered frames, noise with clicks in 16 bits, three shots, captions hidden at first."""
    write_numbered(tmp_path / "film.mp4")
    noise = np.random.default_rng(5).integers(-40, 40, (144_000, 2)).astype("<i2")
    for at in CLICKS:
        noise[at : at + 480] += (20_000 * np.sin(2 * np.pi * 1000 * np.arange(480) / 48000)).astype("<i2")[:, None]
    with wave.open(str(tmp_path / "sound.wav"), "wb") as out:
        out.setparams((2, 2, 48000, 0, "NONE", ""))
        out.writeframes(noise.tobytes())
    write_csv(CutList("film.mp4", RATE, FRAMES, SHOTS), tmp_path / "cuts.csv")
    (tmp_path / "en.srt").write_text(CAPTIONS)
    (tmp_path / "show.toml").write_text(
        '[film]\nfile = "film.mp4"\nsound = "sound.wav"\ncuts = "cuts.csv"\n[play]\nloop = true\nstart = 7\n'
        '[captions]\nfile = "en.srt"\nsize = 20.0\nburn_in = false\n[output.main]\nsize = [128, 48]\n[control]\nosc_port = 0\n')
    return tmp_path / "show.toml"


def ran(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    try:
        code = main([str(w) for w in words])
    except SystemExit as e:
        code = int(e.code or 0)
    err = capsys.readouterr().err
    assert "Traceback" not in err
    return code, err


def pictures(path: Path) -> np.ndarray:
    reader = FilmReader(path)
    reader.open()
    made = np.stack([reader.picture(i) for i in range(reader.frames)])
    reader.close()
    return made


def sound_of(path: Path) -> np.ndarray:
    """[samples, channels] float, as FFmpeg decodes it, from film time 0."""
    with av.open(str(path)) as container:
        frames = list(container.decode(audio=0))
    assert frames[0].pts == 0
    if frames[0].format.is_planar:
        return np.concatenate([f.to_ndarray() for f in frames], axis=1).T
    return np.concatenate([f.to_ndarray().reshape(-1, 2) for f in frames]) / 32768.0


def soundtrack(show: Path) -> np.ndarray:
    with wave.open(str(show.parent / "sound.wav")) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2)


def track_of(path: Path) -> list[tuple[Fraction, Fraction, bytes]]:
    with av.open(str(path)) as container:
        stream = container.streams.subtitles[0]
        base = Fraction(stream.time_base or 0)
        packets = [(p.pts, p.duration, bytes(p)) for p in container.demux(stream)]
    return [(pts * base, (lasts or 0) * base, data) for pts, lasts, data in packets if pts is not None and len(data) > 2]


def test_the_remake_has_the_films_length_its_frames_and_its_sound(show: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = show.parent / "remake.mp4"
    code, err = ran(capsys, show, "-o", out)
    assert code == 0 and "72 frames at 24" in err
    assert probe_film(out) == (RATE, FRAMES, 64, 48), "without the bars beside it, and from the film's first frame"
    made = pictures(out)
    assert [number_in(p) for p in made] == list(range(FRAMES))
    heard, given = sound_of(out), soundtrack(show) / 32768
    with av.open(str(out)) as container:
        assert container.streams.audio[0].duration * container.streams.audio[0].time_base == 3
    for at in CLICKS:
        low = max(0, at - 2000)
        burst = given[at : at + 480, 0]
        assert abs(low + int(np.correlate(heard[low : at + 2500, 0], burst, "valid").argmax()) - at) <= 2


def test_prores_holds_the_very_samples_and_is_422_hq(show: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = show.parent / "master.mov"
    assert ran(capsys, show, "-o", out, "--codec", "prores", "--captions", "off")[0] == 0
    with av.open(str(out)) as container:
        context = container.streams.video[0].codec_context
        assert (context.name, context.profile, context.pix_fmt) == ("prores", "HQ", "yuv422p10le")
        assert (context.colorspace, context.color_range) == (1, 1)
        assert container.streams.audio[0].codec_context.name == "pcm_s16le" and not container.streams.subtitles
    assert probe_film(out) == (RATE, FRAMES, 64, 48)
    assert [number_in(p) for p in pictures(out)] == list(range(FRAMES))
    assert np.array_equal(np.rint(sound_of(out) * 32768), soundtrack(show))


def test_a_part_begins_with_its_own_frame_and_sample(show: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = show.parent / "part.mov"
    options = ("--codec", "prores", "--start", "30f", "--end", "00:00:02:12", "--captions", "track")
    assert ran(capsys, show, "-o", out, *options)[0] == 0
    assert [number_in(p) for p in pictures(out)] == list(range(30, 60))
    assert np.array_equal(np.rint(sound_of(out) * 32768), soundtrack(show)[60_000:120_000])
    cuts = read_csv(show.parent / "part.csv")
    assert cuts.frames == 30 and [(s.start, s.end, s.label, s.into) for s in cuts.shots] == [
        (0, 10, "b", "cut"), (10, 30, "", "cut")]
    assert [(start, lasts) for start, lasts, _ in track_of(out)] == [(Fraction(0), Fraction(18, 24))]


@pytest.mark.parametrize(("option", "axis"), [("--side-by-side", 1), ("--stacked", 0)])
def test_the_original_stands_beside_the_remake_frame_by_frame(
        show: Path, option: str, axis: int, capsys: pytest.CaptureFixture[str]) -> None:
    out = show.parent / "both.mp4"
    show.write_text(show.read_text() + "[look.dark]\nexposure = -1\n")
    text = show.read_text().replace("start = 7", 'start = 7\nlook = "dark"')
    show.write_text(text)
    assert ran(capsys, show, "-o", out, option, "--start", "20f", "--end", "40f", "--captions", "off", "--quality", "4")[0] == 0
    made = pictures(out)
    assert made.shape == (20, 48, 128, 3) if axis else (20, 96, 64, 3)
    original = pictures(show.parent / "film.mp4")[20:40]
    for k, both in enumerate(made):
        left, right = np.split(both, 2, axis=axis)
        assert number_in(left) == 20 + k and np.abs(left.astype(int) - original[k]).mean() < 6
        assert number_in(right) == 20 + k and right[40:].mean() < 0.8 * left[40:].mean(), "a stop darker"


def test_burnt_in_they_are_the_pixels_of_a_render_and_as_a_track_the_picture_is_bare(
        show: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = show.parent
    options = ("--size", "192x144", "--threads", "1")
    assert ran(capsys, show, "-o", folder / "burn.mp4", "--captions", "burn", *options)[0] == 0
    assert ran(capsys, show, "-o", folder / "track.mp4", *options)[0] == 0  # as the show says
    assert ran(capsys, show, "-o", folder / "off.mp4", "--captions", "off", *options)[0] == 0
    for name, captions in (("shown.mp4", "on"), ("bare.mp4", "off")):
        assert player_main(["render", str(show), str(folder / name), "--start", "0", "--captions", captions, *options]) == 0
    burn, track, off, shown, bare = (pictures(folder / f"{n}.mp4") for n in ("burn", "track", "off", "shown", "bare"))
    assert np.array_equal(burn, shown) and np.array_equal(track, bare) and np.array_equal(off, bare)
    changed = [k for k in range(FRAMES) if np.abs(burn[k].astype(int) - bare[k]).max() > 60]
    assert changed == list(range(12, 48))
    with av.open(str(folder / "off.mp4")) as container:
        assert not container.streams.subtitles


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_the_track_stands_on_its_frames(show: Path, suffix: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = show.parent / f"t{suffix}"
    assert ran(capsys, show, "-o", out, "--captions", "track", "--cuts", "none", "--size", "64x48")[0] == 0
    told = track_of(out)
    assert [(start, lasts) for start, lasts, _ in told] == [(Fraction(1, 2), Fraction(1, 2)), (1, 1)]
    texts = [data if suffix == ".mkv" else data[2 : 2 + int.from_bytes(data[:2], "big")] for _, _, data in told]
    assert texts == [b"One (here)", b"<i>Two</i>\nlines" if suffix == ".mkv" else b"Two\nlines"]
    assert suffix == ".mkv" or b"styl" in told[1][2], "the italics"


def test_braces_and_backslashes_of_a_text_are_no_commands() -> None:
    from player.captions import styled

    assert _ass(styled("{x} a\\b <b>c</b>")[0]) == r"(x) a/b {\b1}c{\b0}"


def test_another_srt_is_burnt_in_over_a_show_without_captions(show: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = show.read_text()
    begin, end = text.index("[captions]"), text.index("[output.main]")
    show.write_text(text[:begin] + text[end:])
    out = show.parent / "o.mp4"
    options = ("-o", out, "--end", "20f", "--cuts", "none", "--overwrite")
    assert ran(capsys, show, *options)[0] == 0
    bare = pictures(out)
    assert ran(capsys, show, *options, "--srt", show.parent / "en.srt")[0] == 0
    assert np.abs(pictures(out)[15].astype(int) - bare[15]).max() > 60
    code, err = ran(capsys, show, *options, "--captions", "track")
    assert code == 2 and "the show has no captions" in err


def test_the_cut_lists_beside_it_say_the_same_frames_of_the_one_file(show: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = show.parent / "remake.mp4"
    assert ran(capsys, show, "-o", out, "--cuts", "edl,otio,csv,xml")[0] == 0
    places = [(s.start, s.end) for s in SHOTS]
    for suffix in (".edl", ".otio", ".csv", ".xml"):
        read = read_cuts(out.with_suffix(suffix), Told(rate=RATE, frames=FRAMES))
        assert [(s.start, s.end) for s in read.cuts.shots] == places, suffix
        told = [(s.into, s.in_frames, s.out, s.label, s.group) for s in read.cuts.shots]
        assert told == [(s.into, s.in_frames, s.out, s.label, s.group) for s in SHOTS], "the transitions in notes"
    edl = out.with_suffix(".edl").read_text()
    events = [line for line in edl.splitlines() if line[:3].isdigit()]
    assert len(events) == 3 and all(" C " in line for line in events), "the dissolve is in the picture"
    assert {line for line in edl.splitlines() if "CLIP NAME" in line} == {"* FROM CLIP NAME: remake.mp4"}
    otio = json.loads(out.with_suffix(".otio").read_text())
    clips = otio["tracks"]["children"][0]["children"]
    media = {clip["media_references"]["DEFAULT_MEDIA"]["target_url"] for clip in clips}
    assert media == {out.resolve().as_uri()} and [c["OTIO_SCHEMA"] for c in clips] == ["Clip.2"] * 3


def test_an_otio_reader_opens_the_remake(show: Path, capsys: pytest.CaptureFixture[str]) -> None:
    opentimelineio = pytest.importorskip("opentimelineio")
    out = show.parent / "remake.mp4"
    assert ran(capsys, show, "-o", out, "--size", "64x48")[0] == 0
    timeline = opentimelineio.adapters.read_from_file(str(out.with_suffix(".otio")))
    clips = list(timeline.find_clips())
    assert [c.trimmed_range_in_parent().start_time.value for c in clips] == [0, 20, 40]
    assert timeline.duration().value == FRAMES


@pytest.mark.parametrize(("first", "end"), [(0, 72), (20, 72), (22, 41), (41, 42), (0, 21), (39, 70)])
def test_the_cut_list_of_a_part_is_sound(first: int, end: int) -> None:
    from player.show.cut_list import problems_of

    cuts = cuts_within(CutList("f", RATE, FRAMES, SHOTS), first, end, "out.mp4")
    assert not problems_of(cuts, "part", end - first)
    assert [s.start for s in cuts.shots[1:]] == [s.start - first for s in SHOTS if first < s.start < end]


def test_what_a_remake_wrote_it_writes_again_and_what_a_person_changed_it_leaves(
        show: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = show.parent / "r.mp4"
    words = (show, "-o", out, "--end", "24f", "--size", "64x48")
    (show.parent / "r.edl").write_text("mine\n")
    code, err = ran(capsys, *words)
    assert code == 2 and "r.edl" in err and not out.exists() and (show.parent / "r.edl").read_text() == "mine\n"
    assert ran(capsys, *words, "--overwrite")[0] == 0
    assert ran(capsys, *words[:-3], "12f", *words[-2:])[0] == 0 and read_csv(out.with_suffix(".csv")).frames == 12
    record = json.loads(out.with_suffix(".json").read_text())
    assert record["film_frames"] == [0, 12] and len(record["inputs"]["the show's film"]["sha256"]) == 64
    assert record["versions"]["av"] and set(record["written"]) == {"r.edl", "r.otio", "r.csv"}
    changed = out.with_suffix(".csv").read_text().replace(",a,", ",by hand,")
    out.with_suffix(".csv").write_text(changed)
    before = out.read_bytes()
    code, err = ran(capsys, *words)
    assert code == 2 and "r.csv" in err and "not as a remake wrote it" in err
    assert out.with_suffix(".csv").read_text() == changed and out.read_bytes() == before


def kept(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir()}


@pytest.mark.parametrize(("options", "says"), [
    (("-o", "film.mp4"), "over the show's film"), (("-o", "cuts.mp4", "--cuts", "csv"), "over the show's cut list"),
    (("-o", "x.gif"), "ends in '.gif'"), (("-o", "x"), "has no suffix"), (("-o", "none/x.mp4"), "folder that is not there"),
    (("-o", "x.mp4", "--codec", "prores"), "ends in .mov"),
    (("-o", "x.mov", "--codec", "prores", "--quality", "3"), "--quality"),
    (("-o", "x.mp4", "--quality", "99"), "from 0 to 51"), (("-o", "x.mp4", "--start", "72f"), "frames 0 to 72"),
    (("-o", "x.mp4", "--end", "73f"), "frames 0 to 72"), (("-o", "x.mp4", "--start", "9f", "--end", "9f"), "not after --start"),
    (("-o", "x.mp4", "--start", "soon"), "'soon' is not a time"), (("-o", "x.mp4", "--cuts", "aaf"), "'aaf' is not known"),
    (("-o", "x.mp4", "--srt", "no.srt"), "is missing"), (("-o", "x.mp4", "--srt", "film.mp4"), "holds no caption"),
    (("-o", "x.mp4", "--srt", "film.mp4", "--captions", "track"), "holds no caption"),
    (("-o", "x.mp4", "--size", "0x9"), "16x16"), (("-o", "x.mp4", "--side-by-side", "--stacked"), "not allowed with"),
    (("-o", "x.mp4", "--venue", "v.toml"), "v.toml"), (("-o", "en.srt"), "ends in '.srt'")])
def test_what_cannot_be_costs_a_sentence_and_nothing_else(
        show: Path, options: tuple[str, ...], says: str, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    monkeypatch.chdir(show.parent)
    before = kept(show.parent)
    code, err = ran(capsys, "show.toml", *options)
    assert code == 2 and says in err and kept(show.parent) == before


def test_all_that_is_wrong_is_said_at_once(show: Path, capsys: pytest.CaptureFixture[str]) -> None:
    show.write_text(show.read_text().replace("en.srt", "gone.srt").replace("loop", "lop"))
    code, err = ran(capsys, show, "-o", show.parent / "x.mp4", "--codec", "prores", "--cuts", "aaf")
    assert code == 2 and all(word in err for word in ("gone.srt", "play.lop", ".mov", "aaf"))


def test_a_show_without_a_film_has_no_original_to_stand_beside(
        repo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, err = ran(capsys, repo / "show_configs" / "testcard.toml", "-o", tmp_path / "x.mp4", "--side-by-side")
    assert code == 2 and "--side-by-side" in err and "names no film" in err and not list(tmp_path.iterdir())


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_stopped_by_hand_it_leaves_nothing_half_written(
        show: Path, stop: signal.Signals, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    out = show.parent / "remake.mp4"
    out.write_bytes(b"the one before")
    before, add = kept(show.parent), Recorder.add

    def stopped(self: Recorder, pixels: np.ndarray, index: int) -> None:
        add(self, pixels, index)
        if index == 3:
            os.kill(os.getpid(), stop)

    monkeypatch.setattr(Recorder, "add", stopped)
    code, err = ran(capsys, show, "-o", out, "--side-by-side")
    assert code == 130 and "stopped" in err and kept(show.parent) == before


@pytest.mark.logs_error("No space left")
def test_a_full_disk_in_the_middle_keeps_what_was_there(
        show: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    out = show.parent / "remake.mp4"
    out.write_bytes(b"the one before")
    before, encode = kept(show.parent), RemakeRecorder._encode

    def full(self: RemakeRecorder, pixels: np.ndarray | None) -> None:
        encode(self, pixels)
        if self.frames == 20:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(RemakeRecorder, "_encode", full)
    code, err = ran(capsys, show, "-o", out)
    assert code == 2 and "could not be written to its end" in err and "No space left" in err
    assert kept(show.parent) == before


def test_cut_lists_that_cannot_be_written_leave_the_film(
        show: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def full(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    code, err = ran(capsys, show, "-o", show.parent / "r.mp4", "--end", "12f", "--size", "64x48")
    assert code == 2 and "r.edl" in err and "No space left" in err
    assert probe_film(show.parent / "r.mp4")[1] == 12 and not list(show.parent.glob("*.part*"))


@pytest.mark.logs_error("fell over")
def test_a_source_that_fails_leaves_no_film_and_ends_with_1(
        show: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def failing(self: FilmSource, aim: object, layer: object) -> Frame:
        raise RuntimeError("fell over")

    before = kept(show.parent)
    monkeypatch.setattr(FilmSource, "make", failing)
    code, err = ran(capsys, show, "-o", show.parent / "r.mp4")
    assert code == 1 and "fell over" in err and kept(show.parent) == before


def test_an_original_of_another_shape_lies_as_the_film_does(show: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = show.parent / "wide.mp4"
    assert ran(capsys, show, "-o", out, "--side-by-side", "--size", "128x48", "--end", "12f", "--cuts", "none",
               "--captions", "off")[0] == 0  # fmt: skip
    made = pictures(out)
    assert made.shape == (12, 48, 256, 3)
    left, right = np.split(made[5], 2, axis=1)
    for pane in (left, right):
        assert pane[:, :31].max() < 12 and pane[:, 97:].max() < 12 and number_in(pane[:, 32:96]) == 5
    assert np.abs(left.astype(int) - right).mean() < 3


def test_the_help_has_examples_and_the_track_needs_a_library_that_can_write_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from tools import remake_recorder

    assert EXAMPLES.count("cineml remake ") >= 2 and "side-by-side" in arguments().format_help()
    remake_recorder.need_track()

    class Old:
        pass

    monkeypatch.setattr("av.subtitles.codeccontext.SubtitleCodecContext", Old)
    with pytest.raises(ShowError, match="PyAV"):
        remake_recorder.need_track()
