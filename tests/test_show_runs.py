"""The player as a person runs it: the command in a process of its own, real packets, a real window, bad input."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest
from pythonosc.osc_message_builder import OscMessageBuilder

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


def test_a_truncated_model_film_and_sound_cost_a_sentence_each(repo: Path, tmp_path: Path) -> None:
    demo = repo / "show_configs" / "demo"
    for name in ("cuts.csv", "score.toml", "score.npz"):
        (tmp_path / name).write_bytes((demo / name).read_bytes())
    (tmp_path / "models").mkdir()
    for name in ("mapping.onnx", "synthesis.onnx"):
        data = (demo / "models" / name).read_bytes()
        (tmp_path / "models" / name).write_bytes(data[: len(data) // 2])
    sound = next(p for p in demo.iterdir() if p.stem == "soundtrack")
    for path in (demo / "film.mp4", sound):
        (tmp_path / path.name).write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    text = (demo / "demo.toml").read_text()
    (tmp_path / "demo.toml").write_text(text)
    done = cineml(repo, "check", tmp_path / "demo.toml", "--offscreen", "--osc-port", "0")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "film.mp4" in done.stderr


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


def test_a_port_in_use_and_a_device_that_is_not_there_are_told_together(repo: Path, tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        venue = tmp_path / "venue.toml"
        venue.write_text(f'[control]\nosc_port = {port}\n[sound]\ndevice = "no such card"\n')
        done = cineml(repo, "check", "show_configs/testcard.toml", "--venue", venue, "--offscreen")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert str(port) in done.stderr and "no such card" in done.stderr
