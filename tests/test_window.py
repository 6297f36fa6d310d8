"""The window, on a real X server without a monitor (Xvfb), and which monitor a person means."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from player.screen.monitor import Monitor, find_monitor
from player.show.problem import ShowError

ROOT = Path(__file__).resolve().parent.parent
MONITORS = (Monitor(1, "eDP-1", 1920, 0, 1366, 768, 60), Monitor(2, "HDMI-1", 0, 0, 1920, 1080, 50),
            Monitor(3, "EPSON PJ", 3286, -100, 1280, 800, 0), Monitor(4, "EPSON PJ 2", 3286, 700, 1280, 800, 0))


@pytest.mark.parametrize(("wanted", "number"), [
    ("", 1), ("primary", 1), ("2", 2), ("left", 2), ("right", 3), ("top", 3), ("bottom", 4), ("HDMI-1", 2), ("hdmi", 2),
    ("EPSON PJ", 3), ("epson pj 2", 4)])
def test_a_monitor_is_found_by_name_or_position(wanted: str, number: int) -> None:
    assert find_monitor(wanted, MONITORS).number == number


@pytest.mark.parametrize("wanted", ["DP-7", "9", "epson"])
def test_a_monitor_that_is_not_there_is_answered_with_those_that_are(wanted: str) -> None:
    with pytest.raises(ShowError) as caught:
        find_monitor(wanted, MONITORS)
    text = str(caught.value)
    assert repr(wanted) in text and all(m.name in text for m in MONITORS)


def test_without_a_monitor_the_way_out_is_named() -> None:
    with pytest.raises(ShowError, match="--offscreen"):
        find_monitor("primary", ())


@pytest.fixture(scope="module")
def display() -> Iterator[str]:
    """An X server of 1280x720 without a monitor; -displayfd lets it choose a number that is free."""
    if shutil.which("Xvfb") is None:
        pytest.skip("Xvfb is not installed (apt install xvfb)")
    read_fd, write_fd = os.pipe()
    server = subprocess.Popen(["Xvfb", "-displayfd", str(write_fd), "-screen", "0", "1280x720x24", "-nolisten", "tcp"],
                              pass_fds=[write_fd], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.close(write_fd)
    with os.fdopen(read_fd) as ready:
        number = ready.readline().strip()
    if not number:
        pytest.skip("Xvfb does not start here")
    yield f":{number}"
    server.terminate()
    server.wait()


def run(code: str, display: str | None) -> str:
    """Runs Python in a process of its own: glfw and a display that fails are no matter for the test's process."""
    env = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")}
    env |= {"DISPLAY": display} if display else {}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, timeout=60,
                          check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


OPEN = """
import time
import numpy as np
from player.screen.window import Window, monitors, display_problem
from player.screen.compositor import Compositor
from player.screen.projector import Projector
from player.show.problem import ShowError
from player.show.show import Output
from tests.test_screen import a_show, one, noise, flat, linear, Picture
from player.state import first_state
"""


def test_a_real_window_shows_the_picture_and_its_screenshot_matches(display: str) -> None:
    out = run(OPEN + """
output = Output(size=(320, 180), refresh_hz=50.0)
w = Window(output)
show = a_show(film=(320, 180), size=(320, 180))
c, p = Compositor(w.ctx, w.size_px, show), Projector(w.ctx, output)
pixels = noise((320, 180))
pixels[:20] = 0; pixels[:20, :, 0] = 255   # red at the top: neither upside down nor blue
p.draw(c.draw(first_state(show), one(pixels)), w.framebuffer)
shot = w.read()
print(w.size_px, w.refresh_hz, w.paced, bool(w.renderer), display_problem() == '')
print(np.abs(shot.astype(int) - pixels).max() <= 1)
w.swap()
from PIL import ImageGrab
time.sleep(0.2)
import os
seen = np.asarray(ImageGrab.grab(xdisplay=os.environ['DISPLAY']).convert('RGB'))
x, y = w._glfw.get_window_pos(w._window)
print(seen.shape, np.abs(seen[y:y + 180, x:x + 320].astype(int) - pixels).max() <= 1)
w.close(); w.close()
""", display)
    assert out.splitlines() == ["(320, 180) 50.0 True True True", "True", "(720, 1280, 3) True"]


def test_flips_are_timed_where_the_screen_keeps_no_time(display: str) -> None:
    out = run(OPEN + """
w = Window(Output(size=(64, 64), refresh_hz=40.0))
stamps, wrong = [], []
for i in range(20):
    expected = w.next_flip_s()
    stamps.append(w.swap())
    wrong.append(stamps[-1] - expected)
print(np.diff(stamps).min() * 40 > 0.4, min(wrong) >= 0, len(set(np.round(np.array(stamps) * 40))) > 10)
w.close()
""", display)
    assert out.split() == ["True", "True", "True"]


def test_full_screen_and_back(display: str) -> None:
    out = run(OPEN + """
w = Window(Output(size=(320, 180)))
place = w._glfw.get_window_pos(w._window)
glfw = w._glfw
for on in (True, True, False, True, False):
    w.set_fullscreen(on)
    for _ in range(3):
        w.keys(); w.swap()
    hidden = glfw.get_input_mode(w._window, glfw.CURSOR) == glfw.CURSOR_HIDDEN
    print(on, w.size_px, w.framebuffer.viewport, hidden, bool(glfw.get_window_attrib(w._window, glfw.ICONIFIED)))
print(glfw.get_window_pos(w._window) == place, glfw.get_window_attrib(w._window, glfw.AUTO_ICONIFY))
w.close()
""", display)
    full, window = "(1280, 720) (0, 0, 1280, 720) True False", "(320, 180) (0, 0, 320, 180) False False"
    assert out.splitlines() == [f"True {full}", f"True {full}", f"False {window}", f"True {full}", f"False {window}",
                                "True 0"]


def test_the_film_fills_the_screen_after_the_window_has_grown(display: str) -> None:
    out = run(OPEN + """
output = Output(size=(320, 180))
w = Window(output)
show = a_show(film=(320, 180), size=(320, 180))
c, p = Compositor(w.ctx, w.size_px, show), Projector(w.ctx, output)
w.set_fullscreen(True)
w.keys(); c.resize(w.size_px)
p.draw(c.draw(first_state(show), one(flat(255, (320, 180)))), w.framebuffer, ('line one', 'line two'))
seen = w.read()
print(seen.shape, seen[-1, -1].min() >= 254, seen[200:].min() >= 254, seen[:100, :100].min() < 100)
w.close()
""", display)
    assert out.split("\n")[0] == "(720, 1280, 3) True True True"


def test_keys_and_the_close_button_are_told_in_words(display: str) -> None:
    out = run(OPEN + """
w = Window(Output(size=(64, 64)))
glfw = w._glfw
callback = glfw.set_key_callback(w._window, None)
glfw.set_key_callback(w._window, callback)
for key in (glfw.KEY_SPACE, glfw.KEY_LEFT, glfw.KEY_F, glfw.KEY_Q, glfw.KEY_ESCAPE):
    callback(w._window, key, 0, glfw.PRESS, 0)
    callback(w._window, key, 0, glfw.REPEAT, 0)
    callback(w._window, key, 0, glfw.RELEASE, 0)
close = glfw.set_window_close_callback(w._window, None)
close(w._window)
print(w.keys(), w.keys(), glfw.window_should_close(w._window))
w.close()
""", display)
    assert out.strip() == "['space', 'left', 'left', 'f', 'esc', 'close'] [] 0"


def test_a_monitor_that_goes_away_ends_nothing(display: str) -> None:
    out = run(OPEN + """
from player.screen import window as module
w = Window(Output(size=(64, 64), fullscreen=True))
print(w.size_px)
there = module._handles
module._handles = lambda glfw: []                       # the projector is switched off
w._glfw.set_window_monitor(w._window, None, 5, 5, 64, 64, -1)   # what glfw does then by itself
w._monitors_changed = True
for _ in range(3): w.keys(); w.swap()
print(w.size_px)
w.set_fullscreen(False); w.set_fullscreen(True); w.keys()
module._handles = there                                 # and on again
w._monitors_changed = True
for _ in range(3): w.keys(); w.swap()
print(w.size_px)
w.close()
""", display)
    assert out.splitlines() == ["(1280, 720)", "(64, 64)", "(1280, 720)"]


def test_full_screen_on_another_monitor_keeps_that_ones_time(display: str) -> None:
    out = run(OPEN + """
from dataclasses import replace
from player.screen import window as module
there = module._handles
def plugged(hz, x=0):
    module._handles = lambda glfw: [(replace(m, refresh_hz=hz, x=x), h) for m, h in there(glfw)]
def told():
    for _ in range(3): w.keys(); w.swap()
    print(w.refresh_hz, w.paced, abs(w.next_flip_s() - time.perf_counter()) < 1.0)
plugged(50)
module.TOO_SOON = 0.0                                   # as if the screen waited for its refreshes
w = Window(Output(size=(64, 64), refresh_hz=40.0))
told()
plugged(25)
w.set_fullscreen(True); told()
plugged(100)
w._monitors_changed = True; told()
plugged(50)
w.set_fullscreen(False); told()
module.TOO_SOON = 0.6                                   # and this one does not
plugged(25)
w.set_fullscreen(True); told()
w.close()
""", display)
    assert out.splitlines() == ["50.0 False True", "25.0 False True", "100.0 False True", "50.0 False True",
                                "40.0 True True"]


def test_a_monitor_that_is_not_there_is_a_sentence(display: str) -> None:
    out = run(OPEN + """
try:
    Window(Output(size=(64, 64), monitor='EPSON'))
except ShowError as e:
    print(e)
print([str(m) for m in monitors()])
""", display)
    assert "'EPSON' is not there" in out.splitlines()[0] and "1280x720" in out.splitlines()[0]
    assert "1280x720" in out.splitlines()[1]


def test_without_a_display_a_window_is_a_sentence_and_no_crash() -> None:
    if sys.platform != "linux":
        pytest.skip("only X11 and Wayland can be absent")
    out = run(OPEN + """
print(display_problem())
try:
    Window(Output(size=(64, 64)))
except ShowError as e:
    print(e)
""", None)
    reason, error = out.splitlines()
    assert reason.startswith("there is no display (") and "allowed" not in reason and ";" not in reason
    assert "no display" in error and "--offscreen" in error
