"""The player as a person runs it: the command in a process of its own, real packets, a real window, bad input."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import moderngl
import numpy as np
import pytest
from pythonosc.osc_message_builder import OscMessageBuilder

from player.recorder import Recorder
from player.show.problem import Problem, ShowError
from player.show.score import read_score
from player.sources.aim import Aim, Layer
from player.sources.frame import Frame

STATS = {"refreshes", "late", "refresh_hz", "cuts", "pictures", "distinct_pictures_per_s", "model_ms", "provider",
         "renderer", "sync_ms", "rss_mib"}


def cineml(repo: Path, *words: object, display: str | None = None) -> subprocess.CompletedProcess[str]:
    env = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")}
    env |= {"DISPLAY": display} if display else {}
    return subprocess.run([sys.executable, "-m", "tools.cli", *map(str, words)], cwd=repo, env=env, capture_output=True,
                          text=True, timeout=120, check=False)


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def luma(path: Path) -> np.ndarray:
    with av.open(str(path)) as film:
        return np.stack([f.reformat(format="gray").to_ndarray() for f in film.decode(video=0)])


@pytest.mark.slow
def test_the_test_card_plays_offscreen_and_writes_the_stats_of_the_format(repo: Path, tmp_path: Path) -> None:
    out = tmp_path / "stats.json"
    done = cineml(repo, "play", "show_configs/testcard.toml", "--offscreen", "--duration", "2", "--stats", out,
                  "--osc-port", free_port(), "--no-sound")
    assert done.returncode == 0, done.stderr
    stats = json.loads(out.read_text())
    assert set(stats) == STATS
    assert stats["refreshes"] >= 20 and stats["pictures"] >= 20 and stats["renderer"]
    assert stats["provider"] is None and stats["sync_ms"] is None


@pytest.mark.slow
def test_osc_packets_from_another_process_change_the_recorded_picture(repo: Path, tmp_path: Path) -> None:
    port, out = free_port(), tmp_path / "live.mp4"
    show = subprocess.Popen(
        [sys.executable, "-m", "tools.cli", "play", "show_configs/testcard.toml", "--offscreen", "--duration", "4",
         "--size", "160x90", "--record", str(out), "--osc-port", str(port), "--no-sound"],
        cwd=repo, stderr=subprocess.PIPE, text=True)
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender.settimeout(0.2)
    sender.bind(("127.0.0.1", 0))

    def send(address: str, *args: object) -> None:
        message = OscMessageBuilder(address)
        for arg in args:
            message.add_arg(arg)
        sender.sendto(message.build().dgram, ("127.0.0.1", port))

    answered = False
    until_s = time.monotonic() + 30
    while not answered and time.monotonic() < until_s:
        send("/cineml/ping")
        try:
            answered = b"/cineml/pong" in sender.recvfrom(4096)[0]
        except TimeoutError:
            continue
    assert answered
    time.sleep(1.0)
    send("/cineml/output/blackout", True)
    _, err = show.communicate(timeout=60)
    assert show.returncode == 0, err
    pictures = luma(out)
    assert pictures[3].max() > 100  # the card
    assert pictures[-1].max() <= 17  # black, limited range


@pytest.mark.slow
def test_a_render_of_the_test_card_is_the_same_twice_with_clicks_on_the_second(repo: Path, tmp_path: Path) -> None:
    outs = [tmp_path / "a.mp4", tmp_path / "b.mp4"]
    for out in outs:
        done = cineml(repo, "render", "show_configs/testcard.toml", out, "--duration", "2.5", "--size", "160x90")
        assert done.returncode == 0, done.stderr
    a, b = (luma(out) for out in outs)
    assert len(a) == 60 and np.array_equal(a, b)
    flash = a[:, 40:50, 75:85].mean((1, 2))
    assert [k for k in range(60) if flash[k] > 200] == [0, 1, 24, 25, 48, 49]
    with av.open(str(outs[0])) as film:
        sound = np.concatenate([f.to_ndarray()[0] for f in film.decode(audio=0)])
    loud = np.flatnonzero(np.abs(sound) > 0.05)
    starts = loud[np.flatnonzero(np.diff(loud, prepend=-48000) > 4800)]
    assert np.abs(starts - np.array([0, 48000, 96000])).max() <= 48  # a millisecond


@pytest.mark.slow
def test_a_window_opens_on_a_real_display_and_plays(repo: Path, tmp_path: Path) -> None:
    from tests.test_window import display as start_display

    server = start_display.__wrapped__() if hasattr(start_display, "__wrapped__") else start_display.__pytest_wrapped__.obj()
    name = next(server)
    try:
        out = tmp_path / "stats.json"
        done = cineml(repo, "play", "show_configs/testcard.toml", "--duration", "1.5", "--stats", out, "--no-sound",
                      "--osc-port", "0", "--size", "320x180", display=name)
        assert done.returncode == 0, done.stderr
        assert json.loads(out.read_text())["refreshes"] >= 15
        assert "no display" not in done.stderr
    finally:
        server.close()


BAD_SHOW = """
name = "bad"
[film]
file = "gone.mp4"
cuts = "cuts.csv"
[play]
sauce = "generator"
loop = "yes"
[generator]
folder = "models"
[score]
file = "score.toml"
[output.main]
size = [640]
"""


@pytest.mark.parametrize("verb", ["check", "play"])
def test_every_problem_of_a_show_is_listed_at_once_without_a_traceback(verb: str, repo: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text(BAD_SHOW)
    done = cineml(repo, verb, tmp_path / "bad.toml")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    for word in ("gone.mp4", "cuts.csv", "sauce", "loop", "models", "score.toml", "size"):
        assert word in done.stderr, word
    assert "source" in done.stderr  # the nearest known key


def test_a_truncated_film_sound_score_and_models_cost_a_sentence_each_in_one_go(repo: Path, tmp_path: Path) -> None:
    demo = repo / "show_configs" / "demo"
    if not (demo / "score.npz").exists():
        pytest.skip("needs the demo show's files: make demo-show")
    for name in ("cuts.csv", "score.toml", "score.npz"):
        (tmp_path / name).write_bytes((demo / name).read_bytes())
    os.truncate(tmp_path / "score.npz", 1000)
    (tmp_path / "models").mkdir()
    for name in ("mapping.onnx", "synthesis.onnx"):
        data = (demo / "models" / name).read_bytes()
        (tmp_path / "models" / name).write_bytes(data[: len(data) // 2])
    sound = next(p for p in demo.iterdir() if p.stem == "soundtrack")
    for path in (demo / "film.mp4", sound):
        (tmp_path / path.name).write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    text = (demo / "demo.toml").read_text()
    (tmp_path / "demo.toml").write_text(text)
    for words in (("check",), ("play", "--record", tmp_path / "no" / "take.mp4", "--start", "9:99:99:99")):
        done = cineml(repo, words[0], tmp_path / "demo.toml", "--offscreen", "--osc-port", "0", *words[1:])
        assert done.returncode == 2 and "Traceback" not in done.stderr
        said = [line for line in done.stderr.splitlines() if line.startswith("cineml: ")]
        for name in ("film.mp4", sound.name, "score.npz", "mapping.onnx", "synthesis.onnx"):
            assert sum(name in line for line in said) == 1, (name, said)
        assert "another generator" not in done.stderr
    assert len(said) == 7 and "--record" in done.stderr and "--start" in done.stderr


def in_process(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    """The player's exit code and what it says on stderr, without the seconds that a process of its own takes."""
    from player.__main__ import main

    try:
        code = main([str(w) for w in words])
    except SystemExit as e:
        code = int(e.code or 0)
    err = capsys.readouterr().err
    assert "Traceback" not in err
    return code, err


@pytest.fixture
def film_show(tmp_path: Path) -> Path:
    """show.toml that plays film.mp4, half a second of grey, with a cut list."""
    from player.show.cut_list import CutList, Shot, write_csv

    with Recorder(tmp_path / "film.mp4", (64, 48), Fraction(24)) as film:
        for i in range(12):
            film.add(np.full((48, 64, 3), 40 + 10 * i, np.uint8), i)
    write_csv(CutList("film.mp4", Fraction(24), 12, (Shot(1, 0, 6), Shot(2, 6, 12))), tmp_path / "cuts.csv")
    (tmp_path / "show.toml").write_text(
        '[film]\nfile = "film.mp4"\ncuts = "cuts.csv"\n[output.main]\nsize = [64, 48]\n[control]\nosc_port = 0\n')
    return tmp_path / "show.toml"


@pytest.mark.parametrize(("options", "says"), [
    (("--osc-port", "99999"), "not a whole number from 0 to 65535"), (("--osc-port", "-1"), "from 0 to 65535"),
    (("--refresh", "nan"), "Hz from 1 to 1000"), (("--refresh", "0"), "from 1 to 1000"), (("--refresh", "-1"), "from 1 to"),
    (("--duration", "nan"), "seconds above 0"), (("--duration", "-1"), "above 0"), (("--duration", "inf"), "above 0"),
    (("--threads", "-3"), "from 1 to 256"), (("--threads", "9" * 5000), "from 1 to 256"), (("--threads", "two"), "'two'"),
    (("--stats", "none/x.json"), "folder that is not there"), (("--flips", "none/x.csv"), "folder that is not there"),
    (("--record", "none/x.mp4"), "folder that is not there"), (("--record", "x.gif"), "ends in '.gif'"),
    (("--stats", "."), "is a folder"), (("--stats", "x.json", "--flips", "x.json"), "--stats too"),
    (("--stats", "show.toml"), "over the show"), (("--record", "film.mp4"), "over the show's film"),
    (("--record", ""), "'' is not the name of a file"), (("--stats", " "), "not the name of a file"),
    (("--flips", ""), "not the name of a file"), (("--venue", ""), "not the name of a file"), (("--start", ""), "not a time"),
    (("--start", "\u0663"), "not a time"), (("--threads", "\u0663"), "whole number"),
    (("--flips", "cuts.csv"), "cut list"), (("--venue", "v.toml", "--stats", "v.toml"), "over the venue's file")])
def test_an_option_that_cannot_be_is_a_sentence_before_the_show(
        options: tuple[str, ...], says: str, film_show: Path, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(film_show.parent)
    (film_show.parent / "v.toml").write_text("")
    before = {p: p.read_bytes() for p in film_show.parent.iterdir()}
    code, err = in_process(capsys, "play", "show.toml", "--offscreen", "--no-sound", *options)
    assert code == 2 and says in err
    assert {p: p.read_bytes() for p in film_show.parent.iterdir()} == before


def test_a_render_without_a_name_is_refused_and_one_of_endless_length_is_the_whole_film(
        film_show: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, err = in_process(capsys, "render", film_show, "")
    assert code == 2 and "OUT.mp4: '' is not the name of a file" in err
    out = film_show.parent / "out.mp4"
    assert in_process(capsys, "render", film_show, out, "--duration", "1e308")[0] == 0 and len(luma(out)) == 12


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.logs_error("could not be written")
def test_a_disk_that_fills_ends_the_list_of_flips_and_not_the_show(
        film_show: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
        caplog: pytest.LogCaptureFixture) -> None:
    from player import __main__ as command

    real = command.flip_log

    def onto_a_full_disk(path: Path, stack: Any) -> Any:
        write = real(Path("/dev/full"), stack)
        return lambda state, flipped_s: [write(state, flipped_s) for _ in range(100)]  # soon more than a buffer holds

    monkeypatch.setattr(command, "flip_log", onto_a_full_disk)
    at = film_show.parent
    code, _ = in_process(capsys, "play", film_show, "--offscreen", "--no-sound", "--duration", "0.5", "--flips",
                         at / "f.csv", "--stats", at / "s.json")
    stats = json.loads((at / "s.json").read_text())
    assert code == 0 and stats["refreshes"] > 10
    assert caplog.text.count("--flips /dev/full could not be written on (No space left") == 1
    caplog.clear()
    # What lies in a buffer until the end is told then, once.
    monkeypatch.setattr(command, "flip_log", lambda path, stack: real(Path("/dev/full"), stack))
    code, _ = in_process(capsys, "play", film_show, "--offscreen", "--no-sound", "--duration", "0.2", "--flips", at / "f.csv")
    assert code == 0 and caplog.text.count("/dev/full") == 1


@pytest.mark.parametrize("duration", ["nan", "-5", "0"])
def test_a_render_of_no_length_is_refused(duration: str, film_show: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, err = in_process(capsys, "render", film_show, film_show.parent / "out.mp4", "--duration", duration)
    assert code == 2 and "above 0" in err


def test_a_render_over_its_own_film_is_refused(film_show: Path, capsys: pytest.CaptureFixture[str]) -> None:
    film = film_show.parent / "film.mp4"
    (film_show.parent / "link.mp4").symlink_to(film)
    before = film.read_bytes()
    for out in (film, film_show.parent / "link.mp4"):
        code, err = in_process(capsys, "render", film_show, out)
        assert code == 2 and "over the show's film" in err and film.read_bytes() == before


@pytest.mark.logs_error("fell over")
def test_a_render_whose_source_fails_leaves_no_film_and_ends_with_1(
        film_show: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from player.sources.film_reader import FilmSource

    make, out = FilmSource.make, film_show.parent / "out.mp4"

    def failing(self: FilmSource, aim: Aim, layer: Layer) -> Frame:
        if round(layer.film_position) == 7:
            raise RuntimeError("fell over")
        return make(self, aim, layer)

    monkeypatch.setattr(FilmSource, "make", failing)
    before = set(film_show.parent.iterdir())
    code, err = in_process(capsys, "render", film_show, out)
    assert code == 1 and "fell over" in err and "frame 7" in err and set(film_show.parent.iterdir()) == before
    code, err = in_process(capsys, "render", film_show, out, "--keep-going")
    assert code == 0 and "fell over" in err and len(luma(out)) == 12


def test_a_service_managers_stop_during_a_render_leaves_nothing_half_written(
        film_show: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    before, handler = set(film_show.parent.iterdir()), signal.getsignal(signal.SIGTERM)
    add = Recorder.add

    def stopped(self: Recorder, pixels: np.ndarray, index: int) -> None:
        add(self, pixels, index)
        if index == 3:
            assert set(film_show.parent.iterdir()) != before
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Recorder, "add", stopped)
    code, _ = in_process(capsys, "render", film_show, film_show.parent / "out.mp4")
    assert code == 130 and set(film_show.parent.iterdir()) == before and signal.getsignal(signal.SIGTERM) is handler


def test_a_show_stopped_while_it_is_still_opened_has_ended_well_and_a_render_has_not(
        film_show: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from player.sources.film_reader import FilmSource

    def stopped(self: FilmSource) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(FilmSource, "open", stopped)
    assert in_process(capsys, "play", film_show, "--offscreen", "--no-sound")[0] == 0
    assert in_process(capsys, "render", film_show, film_show.parent / "out.mp4")[0] == 130


def test_a_render_of_an_odd_size_says_the_size_of_its_file(film_show: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = film_show.parent / "out.mp4"
    code, err = in_process(capsys, "render", film_show, out, "--size", "65x47")
    assert code == 0 and luma(out).shape == (12, 48, 66) and "66x48" in err and "65x47" not in err


@pytest.mark.parametrize("part", ["texture", "offscreen"])
def test_a_size_beyond_gl_costs_a_sentence(part: str, film_show: Path, monkeypatch: pytest.MonkeyPatch,
                                           capsys: pytest.CaptureFixture[str]) -> None:
    from player.screen import offscreen, texture

    make = texture.made_of_size

    def little_memory(ctx: Any, size: tuple[int, int], making: Callable[[tuple[int, int]], Any]) -> Any:
        def refused(px: tuple[int, int]) -> Any:
            if px[0] > 60:
                raise moderngl.Error("the framebuffer is not complete (INCOMPLETE_ATTACHMENT)")
            return making(px)

        return make(ctx, size, refused)

    monkeypatch.setattr({"texture": texture, "offscreen": offscreen}[part], "made_of_size", little_memory)
    for words in (("check", film_show, "--offscreen"), ("play", film_show, "--offscreen"),
                  ("render", film_show, film_show.parent / "out.mp4")):
        code, err = in_process(capsys, *words, "--no-sound")
        assert code == 2 and "is 64x48, more than this OpenGL holds" in err and "48x32 works here" in err


def test_check_tries_the_shaders_and_without_sound_no_device(
        film_show: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from player import soundtrack
    from player.screen import compositor

    def broken(*_: object) -> None:
        raise ShowError(Problem("shaders/look.frag: line 1", "does not compile"))

    monkeypatch.setattr(soundtrack, "Soundtrack", broken)
    assert in_process(capsys, "check", film_show, "--offscreen", "--no-sound")[0] == 0
    assert in_process(capsys, "check", film_show, "--offscreen")[0] == 2
    monkeypatch.setattr(compositor, "Compositor", broken)
    code, err = in_process(capsys, "check", film_show, "--offscreen", "--no-sound")
    assert code == 2 and "shaders/look.frag" in err


@pytest.mark.logs_error("could not be written")
def test_stats_that_cannot_be_written_at_the_end_are_no_error_of_the_show(
        film_show: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from player.report import Report

    def full(self: Report, path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Report, "write", full)
    code, _ = in_process(capsys, "play", film_show, "--offscreen", "--no-sound", "--duration", "0.2", "--stats",
                         film_show.parent / "s.json")
    assert code == 0


def test_cuda_that_is_required_and_not_there_ends_the_command(repo: Path) -> None:
    import onnxruntime

    demo = repo / "show_configs" / "demo"
    session = onnxruntime.InferenceSession(str(demo / "models" / "mapping.onnx"), providers=["CUDAExecutionProvider",
                                                                                              "CPUExecutionProvider"])
    if session.get_providers()[0].startswith("CUDA"):
        pytest.skip("this machine has CUDA")
    done = cineml(repo, "check", demo / "demo.toml", "--offscreen", "--osc-port", "0", "--require-provider", "cuda")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "cuda" in done.stderr.lower()


def test_check_lists_the_names_that_a_performer_can_call(repo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from player.__main__ import main

    demo = repo / "show_configs" / "demo" / "demo.toml"
    assert main(["check", str(demo), "--offscreen", "--no-sound", "--osc-port", "0", "--keys"]) == 0
    told = capsys.readouterr().out
    score = read_score(demo.parent / "score.toml")
    assert all(f" {name}" in told for name in score.key_names()) and f"{len(score.key_names())}, like" in told


def test_a_port_in_use_and_a_device_that_is_not_there_are_told_together(repo: Path, tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        venue = tmp_path / "venue.toml"
        venue.write_text(f'[control]\nosc_port = {port}\n[sound]\ndevice = "no such card"\n')
        done = cineml(repo, "check", "show_configs/testcard.toml", "--venue", venue, "--offscreen")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert str(port) in done.stderr and "no such card" in done.stderr
