"""A window on a monitor of one's choice, full screen or not. Main thread only.

It outlives its monitor: when a projector is switched off the window waits on the desktop and fills the projector again
when it comes back.
"""

from __future__ import annotations

import contextlib
import ctypes
import statistics
import sys
import time
from typing import Any

import moderngl
import numpy as np
import numpy.typing as npt

from player.screen.monitor import Monitor, find_monitor
from player.screen.offscreen import read_picture
from player.screen.pace import Beat, Schedule, wait_until
from player.show.problem import Problem, ShowError
from player.show.show import Output

CURSOR_IDLE_S = 2.0
PROBE_FLIPS = 8
QUEUE_FLIPS = 4  # drivers take two or three pictures ahead
TOO_SOON = 0.6  # of a period: a flip that comes sooner was not waited for by the screen


class _Loader:
    """GL functions of glfw's current context for moderngl, whatever made it: GLX, EGL, WGL or NSGL."""

    def __init__(self, glfw: Any):
        self._glfw = glfw

    def load_opengl_function(self, name: str) -> int:
        return ctypes.cast(self._glfw.get_proc_address(name), ctypes.c_void_p).value or 0

    load = load_opengl_function

    def __enter__(self) -> _Loader:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def release(self) -> None:
        pass


_last_error = ""


def _start() -> Any:
    """glfw, ready. Raises ShowError where there is no display (or no glfw)."""
    try:
        import glfw  # only here: it is not needed offscreen, and looks for its library on import
    except ImportError as e:
        problem = Problem("window", f"glfw cannot be loaded ({e})", "the glfw package", "play with --offscreen")
        raise ShowError(problem) from None

    def remember(_code: int, text: Any) -> None:
        global _last_error  # glfw has one error callback for the whole process
        _last_error = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)

    glfw.set_error_callback(remember)
    if not glfw.init():
        raise ShowError(Problem("window", f"there is no display ({_last_error or 'glfw cannot start'})",
                                "a display", "play with --offscreen"))
    return glfw


def display_problem() -> str:
    """Why no window can be opened here, in words that fit into a sentence; '' where one can."""
    try:
        glfw = _start()
    except ShowError as e:
        return ", ".join(p.given for p in e.problems)
    return "" if glfw.get_monitors() else "no monitor is connected"


def monitors() -> tuple[Monitor, ...]:
    """The monitors that are connected, primary first. Raises ShowError without a display."""
    return tuple(m for m, _ in _handles(_start()))


def _handles(glfw: Any) -> list[tuple[Monitor, Any]]:
    """Monitors and glfw's handles of them."""
    found = []
    for number, handle in enumerate(glfw.get_monitors() or [], start=1):
        mode = glfw.get_video_mode(handle)
        x, y = glfw.get_monitor_pos(handle)
        name = glfw.get_monitor_name(handle) or f"monitor {number}"
        name = name.decode("utf-8", "replace") if isinstance(name, bytes) else name
        if mode:
            found.append((Monitor(number, name, x, y, mode.size.width, mode.size.height, mode.refresh_rate), handle))
    return found


class Window:
    """A Screen on a display.

    output: size in screen coordinates, monitor, fullscreen, and refresh_hz for where the screen does not tell its own.
    Raises ShowError without a display, for a monitor that is not there, and where no OpenGL 3.3 context can be made.
    paced: whether flips are timed here, because the screen does not (a virtual screen, vsync switched off).
    """

    def __init__(self, output: Output, title: str = "cineml"):
        self._glfw = glfw = _start()
        self._output = output
        handles = _handles(glfw)
        self._monitor = find_monitor(output.monitor, [m for m, _ in handles])
        self._pressed: list[str] = []
        self._timed: Monitor | None = None  # the monitor that _keep_time has measured
        self._wants_fullscreen = False
        self._monitors_changed = False
        self._names = {glfw.KEY_SPACE: "space", glfw.KEY_LEFT: "left", glfw.KEY_RIGHT: "right", glfw.KEY_UP: "up",
                       glfw.KEY_DOWN: "down", glfw.KEY_F: "f", glfw.KEY_B: "b", glfw.KEY_H: "h", glfw.KEY_M: "m",
                       glfw.KEY_ESCAPE: "esc"}
        self._window = self._open(title)
        glfw.make_context_current(self._window)
        self.ctx = moderngl.create_context(require=330, context=_Loader(glfw))
        self.renderer = str(self.ctx.info["GL_RENDERER"])
        self.framebuffer = self.ctx.screen
        self.size_px = (0, 0)
        self._listen()
        self._measure()
        self._moved_s = time.perf_counter()
        self._place = (*glfw.get_window_pos(self._window), *glfw.get_window_size(self._window))
        self.set_fullscreen(output.fullscreen)
        self._keep_time()

    def _open(self, title: str) -> Any:
        glfw = self._glfw
        glfw.default_window_hints()
        for hint, value in ((glfw.CONTEXT_VERSION_MAJOR, 3), (glfw.CONTEXT_VERSION_MINOR, 3),
                            (glfw.OPENGL_PROFILE, glfw.OPENGL_CORE_PROFILE), (glfw.OPENGL_FORWARD_COMPAT, glfw.TRUE),
                            (glfw.AUTO_ICONIFY, glfw.FALSE),  # a click on the other monitor must not end the projection
                            (glfw.DEPTH_BITS, 0), (glfw.STENCIL_BITS, 0), (glfw.VISIBLE, glfw.FALSE)):
            glfw.window_hint(hint, value)
        width, height = self._output.size
        window = glfw.create_window(width, height, title, None, None)
        if not window:  # asked before moderngl is: it would read a null pointer
            raise ShowError(Problem("window", f"cannot be opened ({_last_error or 'no reason given'})",
                                    "a display with OpenGL 3.3 or newer", "play with --offscreen"))
        m = self._monitor
        glfw.set_window_pos(window, m.x + max((m.width - width) // 2, 0), m.y + max((m.height - height) // 2, 0))
        glfw.show_window(window)
        return window

    def _listen(self) -> None:
        glfw = self._glfw

        def key(_window: Any, code: int, _scan: int, action: int, mods: int) -> None:
            held = action == glfw.REPEAT and code in (glfw.KEY_LEFT, glfw.KEY_RIGHT, glfw.KEY_UP, glfw.KEY_DOWN)
            if code in self._names and (action == glfw.PRESS or held) and not mods & ~glfw.MOD_SHIFT:
                self._pressed.append(self._names[code])

        def close(window: Any) -> None:
            glfw.set_window_should_close(window, glfw.FALSE)  # the show decides when it ends
            self._pressed.append("close")

        def moved(_window: Any, _x: float, _y: float) -> None:
            self._moved_s = time.perf_counter()
            self._show_cursor(not self._is_fullscreen())

        def plugged(_monitor: Any, _event: int) -> None:
            self._monitors_changed = True

        glfw.set_key_callback(self._window, key)
        glfw.set_window_close_callback(self._window, close)
        glfw.set_cursor_pos_callback(self._window, moved)
        glfw.set_framebuffer_size_callback(self._window, lambda *_: self._measure())
        glfw.set_monitor_callback(plugged)

    def _measure(self) -> None:
        """The framebuffer's size, which is not always the window's; a window that is hidden keeps its last one."""
        width, height = self._glfw.get_framebuffer_size(self._window)
        if width > 0 and height > 0:
            self.size_px = (width, height)
            self.framebuffer.viewport = (0, 0, width, height)
            self.framebuffer.scissor = 0, 0, width, height

    def _keep_time(self) -> None:
        """Finds out whether the screen waits for its refreshes; else the flips are timed here."""
        glfw = self._glfw
        glfw.swap_interval(1)
        self._timed = self._monitor
        mode_hz = self._monitor.refresh_hz
        self.refresh_hz = float(mode_hz or self._output.refresh_hz or 60.0)
        period_s = 1.0 / self.refresh_hz
        stamps = []
        for _ in range(PROBE_FLIPS):
            self.framebuffer.use()
            self.ctx.clear()
            glfw.swap_buffers(self._window)
            self.ctx.finish()
            stamps.append(time.perf_counter())
        between = statistics.median(b - a for a, b in zip(stamps[1:], stamps[2:], strict=False))
        self.paced = between < TOO_SOON * period_s
        if self.paced:
            glfw.swap_interval(0)
            # The show asked for a rate; a screen that keeps no time can as well have that one.
            self.refresh_hz = float(self._output.refresh_hz or self.refresh_hz)
        self._schedule = Schedule(self.refresh_hz)
        self._beat = Beat(self.refresh_hz)
        self._flip_s = time.perf_counter()
        self._too_soon = 0

    def next_flip_s(self) -> float:
        """perf_counter time of the flip that a picture drawn now will be seen at: from the schedule where flips are
        timed here, else predicted from the latest ones."""
        now_s = time.perf_counter()
        return self._schedule.next_s(now_s) if self.paced else self._beat.next_s(now_s)

    def swap(self) -> float:
        """Presents what was drawn and waits for its flip. Returns the flip's perf_counter time."""
        if self.paced:
            self.ctx.finish()
            wait_until(self._schedule.take(time.perf_counter()))
            self._glfw.swap_buffers(self._window)
            return self._schedule.shown(time.perf_counter())
        self._glfw.swap_buffers(self._window)
        self.ctx.finish()  # swap_buffers only queues: the flip has happened when nothing is left to do
        now_s = time.perf_counter()
        period_s = self._beat.period_s
        if now_s - self._flip_s < TOO_SOON * period_s:
            # Either the driver's queue has room, which a few quick flips fill, and then it keeps time again; or nobody
            # waits for a covered window or a sleeping monitor, and then the rhythm is kept here.
            self._too_soon += 1
            now_s = wait_until(self._flip_s + (TOO_SOON if self._too_soon <= QUEUE_FLIPS else 1.0) * period_s)
        else:
            self._too_soon = 0
        self._beat.flipped(now_s)
        self._flip_s = now_s
        return now_s

    def keys(self) -> list[str]:
        """Keys pressed since the last call, in order; 'close' for the window's close button. Also looks after the
        window: call it once a refresh."""
        self._glfw.poll_events()
        if self._monitors_changed:
            self._monitors_changed = False
            self._come_back()
        if not self._is_fullscreen() and time.perf_counter() - self._moved_s > CURSOR_IDLE_S:
            self._show_cursor(False)
        pressed, self._pressed = self._pressed, []
        return pressed

    def _is_fullscreen(self) -> bool:
        return bool(self._glfw.get_window_monitor(self._window))

    def _show_cursor(self, on: bool) -> None:
        kind = self._glfw.CURSOR_NORMAL if on else self._glfw.CURSOR_HIDDEN
        if self._glfw.get_input_mode(self._window, self._glfw.CURSOR) != kind:
            self._glfw.set_input_mode(self._window, self._glfw.CURSOR, kind)

    def set_fullscreen(self, on: bool) -> None:
        """Fills the output's monitor, or comes back to where the window was. Costs nothing when it is so already."""
        if on == self._wants_fullscreen:
            return
        self._wants_fullscreen = on
        self._apply_fullscreen()

    def _apply_fullscreen(self) -> None:
        glfw = self._glfw
        if self._wants_fullscreen:
            monitor, handle = self._target()
            if handle is None:
                return  # no monitor at all: the window waits for one
            if not self._is_fullscreen():
                self._place = (*glfw.get_window_pos(self._window), *glfw.get_window_size(self._window))
            self._monitor = monitor
            glfw.set_window_monitor(self._window, handle, 0, 0, monitor.width, monitor.height,
                                    monitor.refresh_hz or glfw.DONT_CARE)
        elif self._is_fullscreen():
            glfw.set_window_monitor(self._window, None, *self._place, glfw.DONT_CARE)
            self._monitor = self._under(*self._place)
        self._show_cursor(not self._wants_fullscreen)
        glfw.poll_events()
        self._measure()
        if self._timed is None:
            return  # still opening: the constructor measures when all is in place
        if self._monitor != self._timed:
            self._keep_time()  # another monitor keeps another time, or none; black for its few flips as its change of mode is
        else:
            self._beat = Beat(self.refresh_hz)

    def _under(self, x: int, y: int, width: int, height: int) -> Monitor:
        """The monitor that holds the middle of a place on the desktop; the one of before where none does."""
        middle_x, middle_y = x + width // 2, y + height // 2
        found = (m for m, _ in _handles(self._glfw) if 0 <= middle_x - m.x < m.width and 0 <= middle_y - m.y < m.height)
        return next(found, self._monitor)

    def _target(self) -> tuple[Monitor, Any]:
        """The output's monitor; while it is not there, the primary one (a picture somewhere beats none)."""
        handles = _handles(self._glfw)
        if not handles:
            return self._monitor, None
        try:
            wanted = find_monitor(self._output.monitor, [m for m, _ in handles])
        except ShowError:
            wanted = handles[0][0]
        return next((m, h) for m, h in handles if m == wanted)

    def _come_back(self) -> None:
        """A monitor was plugged in or out: be where the show wants the picture, as far as that is possible."""
        if not self._wants_fullscreen:
            return
        monitor, handle = self._target()
        if handle is not None and (monitor != self._monitor or not self._is_fullscreen()):
            self._apply_fullscreen()

    def read(self) -> npt.NDArray[np.uint8]:
        """The picture drawn since the last swap: [H, W, 3] uint8, sRGB, top row first. Ask before swap: what a back
        buffer holds after it is the driver's own business."""
        return read_picture(self.framebuffer, self.size_px)

    def close(self) -> None:
        """Closes the window; a second time does nothing."""
        if self._window is None:
            return
        with contextlib.suppress(Exception):  # a display that has gone must not hide why the show ended
            self.ctx.release()
            self._glfw.destroy_window(self._window)
        self._window = None
        if sys.platform != "darwin":  # glfw on macOS cannot start again in the same process
            self._glfw.terminate()
