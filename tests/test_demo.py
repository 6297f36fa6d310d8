"""`cineml demo` and the contact sheet, on a film of two seconds whose frames tell their own number by their grey."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image, ImageFont

from player.show.cut_list import CutList, Shot, write_csv
from player.show.film import Film
from player.show.problem import ShowError
from player.show.show import Control, Show
from tools import cli, contact_sheet, demo

RATE, FRAMES = Fraction(24), 48
CUTS = CutList("grey", RATE, FRAMES, (
    Shot(1, 0, 12, label="dark"), Shot(2, 12, 18, label="a label that is far too long for the column that it stands over"),
    Shot(3, 18, 40, "dissolve", 6), Shot(4, 40, 48, out="fade", out_frames=4, out_colour="black")))


def grey_of(frame: int) -> int:
    return 16 + 4 * frame


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """64x48, frame n of grey 16 + 4 n, and its cut list beside it."""
    folder = tmp_path_factory.mktemp("film")
    path = folder / "film.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=RATE, options={"crf": "1"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for n in range(FRAMES):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((48, 64, 3), grey_of(n), np.uint8), format="rgb24")))
        out.mux(stream.encode())
    write_csv(CUTS, folder / "cuts.csv")
    return path


def test_a_shot_is_shown_by_a_frame_that_is_neither_dissolved_nor_faded() -> None:
    assert [contact_sheet.middle_frame(s) for s in CUTS.shots] == [6, 15, 32, 42]
    assert contact_sheet.middle_frame(Shot(1, 10, 14, "fade", 2, "black", "fade", 2, "black")) == 12


def test_the_frames_picked_are_exactly_those_asked_for(film: Path) -> None:
    picked = contact_sheet.pick_frames(film, [0, 15, 47, 99])
    assert sorted(picked) == [0, 15, 47]
    for frame, pixels in picked.items():
        assert abs(float(pixels.mean()) - grey_of(frame)) < 2


@pytest.mark.parametrize(("shape", "aspect", "kept"), [
    ((90, 160), 4 / 3, (90, 120)), ((480, 640), 16 / 9, (360, 640)), ((48, 64), 4 / 3, (48, 64)), ((48, 64), None, (48, 64))])
def test_the_bars_beside_a_film_are_left_out(shape: tuple[int, int], aspect: float | None, kept: tuple[int, int]) -> None:
    assert contact_sheet.without_bars(np.zeros((*shape, 3), np.uint8), aspect).shape[:2] == kept


def test_labels_never_reach_into_the_next_column() -> None:
    font = ImageFont.load_default(contact_sheet.TEXT_PX)
    for shot in CUTS.shots:
        assert font.getlength(contact_sheet.fitted(shot.label, 120, font)) <= 120
    assert contact_sheet.fitted("short", 120, font) == "short"


def test_the_sheet_has_one_column_a_shot_original_above_remake_below(film: Path, tmp_path: Path) -> None:
    out = tmp_path / "sheet.png"
    contact_sheet.make_sheet([("film", film), ("remake", film)], CUTS, out)
    pixels = np.asarray(Image.open(out).convert("L")).astype(int)
    for shot in CUTS.shots:
        grey = grey_of(contact_sheet.middle_frame(shot))
        like = np.abs(pixels - grey) <= 2
        columns = np.flatnonzero(like.sum(0) > 2 * 150)
        assert columns.size == 240, "each shot stands twice, one picture above the other, in a column of its own"
    assert list(tmp_path.iterdir()) == [out]


def test_a_film_that_is_not_there_costs_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_csv(CUTS, tmp_path / "cuts.csv")
    assert contact_sheet.main([str(tmp_path / "cuts.csv"), str(tmp_path / "none.mp4"), "-o", str(tmp_path / "x.png")]) == 2
    assert capsys.readouterr().err.count("\n") == 1 and not (tmp_path / "x.png").exists()


@pytest.mark.slow
def test_without_a_screen_the_demo_is_recorded_rendered_and_laid_out(
        film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    toml = film.with_name("demo.toml")
    toml.write_text('name = "grey"\n[film]\nfile = "film.mp4"\ncuts = "cuts.csv"\n[play]\nsource = "film"\n'
                    '[output.main]\nsize = [96, 54]\nrefresh_hz = 30\n[control]\nosc_port = 0\n', encoding="utf-8")
    monkeypatch.setattr(demo, "demo_path", lambda: toml)
    monkeypatch.setattr(demo, "missing_for_a_window", lambda: ["display", "sound card"])
    out = tmp_path / "demo"
    assert cli.main(["demo", "--out", str(out), "--seconds", "1.5"]) == 0
    printed = capsys.readouterr().out
    assert "no display and no sound card" in printed
    assert {p.name for p in out.iterdir()} == {"live.mp4", "remake.mp4", "contact_sheet.png", "timing.txt", "live.json"}
    for path in out.iterdir():
        assert str(path) in printed
    assert (out / "timing.txt").read_text(encoding="utf-8") in printed
    assert json.loads((out / "live.json").read_text())["refreshes"] >= 30
    assert "held too long" in printed and "film" in (out / "timing.txt").read_text(encoding="utf-8")
    with av.open(str(out / "remake.mp4")) as remake:
        assert sum(1 for _ in remake.decode(video=0)) == FRAMES
    with av.open(str(out / "live.mp4")) as live:
        assert sum(1 for _ in live.decode(video=0)) >= 40


@pytest.fixture
def small_demo(film: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The demo is the grey film, and this machine has neither display nor sound."""
    toml = film.with_name("demo.toml")
    toml.write_text('name = "grey"\n[film]\nfile = "film.mp4"\ncuts = "cuts.csv"\n[play]\nsource = "film"\n'
                    '[output.main]\nsize = [96, 54]\nrefresh_hz = 30\n[control]\nosc_port = 0\n', encoding="utf-8")
    monkeypatch.setattr(demo, "demo_path", lambda: toml)
    monkeypatch.setattr(demo, "missing_for_a_window", lambda: ["display"])
    return toml


@pytest.mark.parametrize("late_in", ["the opening", "the last refresh", "the recording's end", "the closing"])
def test_ctrl_c_at_any_moment_of_the_live_part_ends_the_demo(
        small_demo: Path, late_in: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from player.live_recorder import LiveRecorder
    from player.screen.offscreen import Offscreen
    from player.sources.film_reader import FilmSource

    owner, name = {"the opening": (FilmSource, "open"), "the last refresh": (LiveRecorder, "take"),
                   "the recording's end": (LiveRecorder, "finish"), "the closing": (Offscreen, "close")}[late_in]
    real, begun_s, sent = getattr(owner, name), time.monotonic(), list[str]()

    def stopped(self: object, *given: object) -> object:
        if not sent and (name != "take" or time.monotonic() - begun_s > 0.9):
            sent.append(name)
            os.kill(os.getpid(), signal.SIGINT)
        return real(self, *given)

    def slowly(self: FilmSource) -> None:  # so that the opening alone takes longer than the demo is to be played
        time.sleep(0.4)
        real_open(self)

    real_open = FilmSource.open
    monkeypatch.setattr(FilmSource, "open", slowly)
    monkeypatch.setattr(owner, name, stopped)
    out = tmp_path / "demo"
    assert cli.main(["demo", "--out", str(out), "--seconds", "0.5"]) == 130
    assert sent and {p.name for p in out.iterdir()} <= {"live.mp4", "live.json"}


def test_outputs_that_cannot_be_written_are_all_said_before_the_work_begins(
        small_demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(demo, "run_player", lambda *argv: pytest.fail("the work began"))
    for name in ("timing.txt", "contact_sheet.png", "live.json.part"):
        (tmp_path / name).mkdir()
    assert cli.main(["demo", "--out", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 3 and all(name in said for name in ("timing.txt", "contact_sheet.png", "live.json"))
    assert {p.name for p in tmp_path.iterdir()} == {"timing.txt", "contact_sheet.png", "live.json.part"}


def test_a_sheet_that_cannot_be_written_costs_one_sentence_and_leaves_nothing(
        film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.png").mkdir()
    for name, says in (("x.png", "is a folder"), ("x.txt", ".png"), ("none/x.png", "not there")):
        assert contact_sheet.main([str(film.with_name("cuts.csv")), str(film), "-o", str(tmp_path / name)]) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1 and says in said and str(tmp_path) in said
    assert [p.name for p in tmp_path.iterdir()] == ["x.png"]


def test_a_missing_sound_library_is_not_called_a_missing_sound_card(monkeypatch: pytest.MonkeyPatch) -> None:
    class Missing:
        def find_spec(self, name: str, path: object = None, target: object = None) -> None:
            if name == "sounddevice":
                raise OSError("PortAudio library not found")

    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Missing(), *sys.meta_path])
    missing = demo.missing_for_a_window()
    assert "apt-get install libportaudio2" in missing[-1] and "sound card" not in missing


def test_a_demo_that_was_played_by_the_fallback_says_so_in_the_table() -> None:
    show = Show("x", Path("x.toml"), Film(RATE, FRAMES, 64, 48), CUTS)
    stats = {"refreshes": 600, "late": 3, "refresh_hz": 30.0, "pictures": 0, "renderer": "llvmpipe"}
    trouble = {"stale": 7, "missed_cuts": 1, "by_fallback": 480, "missed": 0, "faults": {"generator: fell over": 480},
               "shown": {"fallback": 480}}
    live, rendered = demo.Run(20.0, stats, trouble), demo.Run(4.8, {}, {"by_fallback": 48})
    text = demo.table(demo.timing_rows(live, rendered, show))
    for words in ("480 fallback", "generator: fell over (480 times)", "7 refreshes showed an older", "made by the fallback",
                  "rendering: made by the fallback", "100.0 ms a frame", "cuts never shown"):
        assert words in text, text
    assert live.failed and rendered.failed and not demo.Run(20.0, stats, {"stale": 7, "shown": {"film": 1}}).failed


@pytest.mark.parametrize("seconds", ["nan", "0", "-3", "inf"])
def test_a_demo_of_no_length_is_refused(seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["demo", "--offscreen", "--seconds", seconds]) == 2
    assert "seconds above 0" in capsys.readouterr().err


def test_with_a_screen_and_a_sound_card_the_demo_is_played_in_a_window(
        film: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    toml = film.with_name("window.toml")
    toml.write_text('name = "grey"\n[film]\nfile = "film.mp4"\ncuts = "cuts.csv"\n[play]\nsource = "film"\n', encoding="utf-8")
    calls: list[tuple[object, ...]] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "demo_path", lambda: toml)
    monkeypatch.setattr(demo, "missing_for_a_window", lambda: [])
    monkeypatch.setattr(demo, "osc_options", lambda show: [])
    monkeypatch.setattr(demo, "run_player", lambda *argv: calls.append(argv) or demo.Run(0.0))
    assert demo.main([]) == 0
    assert calls == [("play", toml)] and not list(tmp_path.iterdir())


def test_a_taken_port_turns_osc_off_and_not_the_demo(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        show = Show("x", Path("x.toml"), Film(RATE, FRAMES, 64, 48), CUTS, control=Control(osc_port=port))
        assert demo.osc_options(show) == ["--osc-port", "0"]
    assert demo.osc_options(show) == []
    assert str(port) in capsys.readouterr().out


def test_a_copy_without_the_demo_says_how_to_make_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(demo.importlib.resources, "files", lambda name: tmp_path)
    with pytest.raises(ShowError, match="make demo-show"):
        demo.demo_path()
