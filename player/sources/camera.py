"""A camera as a source: its newest picture, read by a thread of its own; one that was lost comes back by itself.

A live picture is no function of film time: a show with a camera can be played and recorded, and is not rendered.
"""

from __future__ import annotations

import itertools
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from player.show.problem import Problem, ShowError
from player.show.show import Camera, Show
from player.sources.aim import Aim, Layer
from player.sources.film_reader import to_rgb
from player.sources.frame import Frame, Pixels

log = logging.getLogger("cineml")

FIRST_S = 10.0  # some cameras take seconds to wake
READ_S = 3.0  # a device that gives nothing for so long is opened again
LOST_S = 1.5  # older than this a picture is no camera's: the fallback film's turn, or the last picture stays
AGAIN_S = 2.0  # between two tries to open it again
CLOSE_S = 2.0
FORMATS = {"linux": "v4l2", "darwin": "avfoundation", "win32": "dshow"}

Frames = Callable[[Camera, threading.Event], Iterator[Any]]


def camera_frames(camera: Camera, closing: threading.Event) -> Iterator[Any]:
    """PyAV frames of a camera as they come; a file is played at its own pace, over and over. Raises FFmpeg's errors and
    OSError where it cannot be opened or is lost. closing: ends a file's waiting."""
    import av

    if Path(camera.device).is_file():
        yield from _film_frames(camera, closing)
        return
    options = {}
    if camera.size[0]:
        options["video_size"] = f"{camera.size[0]}x{camera.size[1]}"
    if camera.rate_hz:
        options["framerate"] = f"{camera.rate_hz:g}"
    name = camera.format or FORMATS.get(sys.platform, "v4l2")
    with av.open(device_name(camera.device, name), format=name, options=options, timeout=(FIRST_S, READ_S)) as container:
        if not container.streams.video:
            raise OSError("gives no picture")
        yield from container.decode(container.streams.video[0])


def device_name(device: str, format_name: str) -> str:
    """The system's own name: "0" is /dev/video0 for v4l2; dshow names begin with video=."""
    if format_name == "v4l2" and device.isdecimal():
        return f"/dev/video{device}"
    return f"video={device}" if format_name == "dshow" and "=" not in device else device


def _film_frames(camera: Camera, closing: threading.Event) -> Iterator[Any]:
    import av

    begun_s, shown = time.perf_counter(), 0
    for _ in itertools.count():
        before = shown
        with av.open(camera.device) as container:
            if not container.streams.video:
                raise OSError("gives no picture")
            stream = container.streams.video[0]
            rate_hz = camera.rate_hz or float(stream.average_rate or 25)
            for frame in container.decode(stream):
                if closing.wait(max(begun_s + shown / rate_hz - time.perf_counter(), 0.0)):
                    return
                shown += 1
                yield frame
        if shown == before:
            raise OSError("holds no picture")


@dataclass(frozen=True, eq=False)
class _Newest:
    """frame: as PyAV gives it. at_s: when it came, perf_counter seconds."""

    frame: Any
    at_s: float


class CameraSource:
    """show.camera's newest picture, cut to the film's aspect. frames: gives its frames, for tests; the real one otherwise."""

    name = "camera"

    def __init__(self, show: Show, frames: Frames = camera_frames) -> None:
        self._show, self._frames = show, frames
        self._newest: _Newest | None = None
        self._converted: tuple[_Newest, Pixels] | None = None
        self._why, self._lost = "", 0
        self._closing, self._changed = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    def open(self) -> None:
        """Waits for the camera's first picture. Where none comes, the show begins on its fallback film, and the camera is
        taken when it is there; raises ShowError where there is none to begin on."""
        camera, where = self._show.camera, f"{self._show.path}: camera.device"
        if camera is None or not camera.device:
            raise ShowError(Problem(where, "is missing", "a camera's name or number, or a film file", 'device = "0"'))
        self._thread = threading.Thread(target=self._read, args=(camera,), name="camera", daemon=True)
        self._thread.start()
        self._changed.wait(FIRST_S + READ_S)
        if self._newest is None:
            given = f"{Path(camera.device).name!r} gives no picture ({self._why or 'it does not answer'})"
            if self._show.fallback is not None:
                log.warning("%s: %s; the show begins on the fallback film, and takes the camera when it is there", where, given)
                return
            self.close()
            hint = "another device, or its size and rate_hz left out" if camera.size[0] or camera.rate_hz else "another device"
            raise ShowError(Problem(where, given, "a camera that is there, or a film file",
                                    f"{hint}; with a [fallback] film the show begins without it"))  # fmt: skip

    def _read(self, camera: Camera) -> None:
        """The thread: frames until it is closed, and the camera opened again whenever it is lost."""
        while not self._closing.is_set():
            try:
                for frame in self._frames(camera, self._closing):
                    if self._why:
                        log.warning("the camera is %s", "back" if self._newest is not None else "there")
                    self._newest, self._why = _Newest(frame, time.perf_counter()), ""
                    self._changed.set()
                    if self._closing.is_set():
                        return
                self._why = "it ended"
            except Exception as e:  # FFmpeg has dozens of its own, and a pulled plug may give any
                self._why = " ".join(str(getattr(e, "strerror", None) or e).split())[:120] or type(e).__name__
            self._lost += 1
            self._changed.set()
            self._closing.wait(AGAIN_S)

    def make(self, aim: Aim, layer: Layer) -> Frame:
        """The newest picture. Raises RuntimeError where there is none of the last LOST_S seconds."""
        newest = self._newest
        if newest is None or time.perf_counter() - newest.at_s > LOST_S:
            why = self._why or "it does not answer"
            raise RuntimeError(f"has given no picture for {LOST_S:g} s ({why}); it is tried again")
        if self._converted is None or self._converted[0] is not newest:
            self._converted = (newest, to_rgb(newest.frame))  # only those that are shown
        pixels = self._converted[1]
        height, width = pixels.shape[:2]
        aspect = self._show.film.aspect
        w, h = min(float(width), height * aspect), min(float(height), width / aspect)
        inner = ((width - w) / 2, (height - h) / 2, w, h)
        return Frame(pixels, aim.show_time_s, aim.epoch, layer.shot, float(layer.film_position), self.name, inner, live=True)

    def close(self) -> None:
        self._closing.set()
        if self._thread is not None:
            self._thread.join(CLOSE_S)
            if self._thread.is_alive():
                log.warning("the camera does not come back; left behind at close")
        self._thread = None

    def facts(self) -> dict[str, Any]:
        """lost: how often it had to be opened again."""
        camera = self._show.camera
        return {"provider": None, "device": Path(camera.device).name if camera else "", "lost": self._lost}
