"""A sound card of software: PulseAudio with a pipe sink and a real clock, for tests and the bench.

What the player sends to "the loudspeaker" comes out of a pipe as bytes. A thread here reads them, stamps them with
time.perf_counter() (on Linux CLOCK_MONOTONIC, the same in every process) and finds the clicks of the test card.
Read the pipe in another process than the one that plays, so that the two do not share a GIL.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np

RATE_HZ = 48_000
FRAME_BYTES = 4  # s16le, two channels
CLICK_LEVEL = 2_000  # of 32767: far above silence and the tail of a declick, far below the burst
QUIET_FRAMES = RATE_HZ // 10  # clicks nearer to one another than this are one click


@dataclass(frozen=True)
class Click:
    """One click. sample: its first loud sample, counted from the first byte read. read_s: perf_counter when the chunk
    that holds it was read. into_chunk_s: how far into that chunk it lies."""

    sample: int
    read_s: float
    into_chunk_s: float

    @property
    def heard_s(self) -> float:
        """When a loudspeaker that begins each chunk as it arrives would sound the click."""
        return self.read_s + self.into_chunk_s


def missing_programs() -> str:
    """What this machine lacks for a PulseSink, in one sentence; empty when nothing."""
    if shutil.which("pulseaudio") is None:
        return "no pulseaudio program; install pulseaudio, libportaudio2 and libasound2-plugins"
    return ""


class PulseSink:
    """PulseAudio with private sockets and home in `folder`; start() until close(), or as a context manager.

    env: what a process must have in its environment to play here. Raises RuntimeError when PulseAudio does not come up.
    """

    def __init__(self, folder: Path, sink_name: str = "ci") -> None:
        self.folder = folder
        self.sink_name = sink_name
        self._fifo = folder / "sink.fifo"
        self._socket = folder / "pulse.socket"
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self._stop = threading.Event()
        self._clicks: list[Click] = []
        self._frames = 0
        self._keep: list[bytes] | None = None

    @property
    def env(self) -> dict[str, str]:
        """The whole environment for a child process that plays into this sink."""
        return {**os.environ, "HOME": str(self.folder), "XDG_RUNTIME_DIR": str(self.folder),
                "PULSE_SERVER": f"unix:{self._socket}", "PULSE_COOKIE": str(self.folder / "cookie")}

    def start(self, timeout_s: float = 10.0, keep_bytes: bool = False) -> PulseSink:
        """Starts PulseAudio and the reader. keep_bytes: keep all that is read, for samples() (192 kB a second)."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / ".asoundrc").write_text("pcm.!default { type pulse }\nctl.!default { type pulse }\n")
        self._keep = [] if keep_bytes else None
        command = ["pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no", "--disable-shm=yes",
                   "-L", f"module-native-protocol-unix auth-anonymous=1 socket={self._socket}",
                   "-L", f"module-pipe-sink file={self._fifo} sink_name={self.sink_name} rate={RATE_HZ} channels=2 "
                         "format=s16le use_system_clock_for_timing=yes"]
        with (self.folder / "pulse.log").open("wb") as log:
            self._process = subprocess.Popen(command, env=self.env, stdout=log, stderr=log)
        until_s = time.perf_counter() + timeout_s
        while not (self._socket.exists() and self._fifo.exists()):
            if self._process.poll() is not None or time.perf_counter() > until_s:
                said = (self.folder / "pulse.log").read_text(errors="replace")
                self.close()
                raise RuntimeError(f"PulseAudio did not start: {said.strip()[-400:]}")
            time.sleep(0.02)
        self._reader = threading.Thread(target=self._read, name="pulse sink reader", daemon=True)
        self._reader.start()
        return self

    def stop_server(self) -> None:
        """Kills the server as if the sound card were pulled out; start() brings a new one."""
        self._stop.set()
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(5.0)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._reader is not None:
            self._reader.join(5.0)
        self._process = self._reader = None
        self._stop.clear()
        for path in (self._fifo, self._socket):
            path.unlink(missing_ok=True)

    def close(self) -> None:
        """Stops the server and the reader; what was heard stays readable."""
        self.stop_server()

    def __enter__(self) -> PulseSink:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def clicks(self) -> list[Click]:
        """The clicks heard so far, in order."""
        return list(self._clicks)

    def samples(self) -> np.ndarray[tuple[int, int], np.dtype[np.int16]]:
        """All that was heard, int16 [frames, 2]; only with keep_bytes."""
        data = b"".join(self._keep or [])
        return np.frombuffer(data[: len(data) // FRAME_BYTES * FRAME_BYTES], "<i2").reshape(-1, 2)

    def _read(self) -> None:
        fd = os.open(self._fifo, os.O_RDONLY | os.O_NONBLOCK)
        rest, last_loud = b"", -QUIET_FRAMES
        try:
            while not self._stop.is_set():
                try:
                    data = os.read(fd, 65_536)
                except BlockingIOError:
                    data = b""
                now_s = time.perf_counter()
                if not data:
                    time.sleep(0.0005)  # an idle pipe: half a millisecond of stamp error, no busy loop
                    continue
                data = rest + data
                whole = len(data) // FRAME_BYTES * FRAME_BYTES
                data, rest = data[:whole], data[whole:]
                pcm = np.frombuffer(data, "<i2").reshape(-1, 2)  # [frames, 2]
                loud = np.flatnonzero((pcm > CLICK_LEVEL).any(axis=1) | (pcm < -CLICK_LEVEL).any(axis=1))
                for k in loud:
                    if self._frames + int(k) - last_loud >= QUIET_FRAMES:
                        self._clicks.append(Click(self._frames + int(k), now_s, int(k) / RATE_HZ))
                    last_loud = self._frames + int(k)
                if self._keep is not None:
                    self._keep.append(data)
                self._frames += len(pcm)
        finally:
            os.close(fd)
