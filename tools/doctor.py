"""`cineml doctor`: what this machine has for a show - GL, execution providers, audio, screens - and what to do where
something is missing.

Each part is probed in a process of its own: a driver that crashes or hangs costs its own line and no more, and what
libraries print while they fail does not reach the reader.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import importlib.metadata
import importlib.util
import json
import os
import platform
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

PROBE_LIMIT_S = 60.0  # a first CUDA start on a cold disk took 20 s; what takes longer than this is taken as hung
GL_NEEDED = 330  # the shaders' #version

# An ONNX model of one node, y = x + x, as onnx.helper wrote it (IR 8, opset 13): opening a session is the only way to
# learn whether a provider works, and the base install has no onnx package to write one with.
TINY_MODEL = bytes.fromhex(
    "080812003a350a0e0a01780a017812017922034164641201745a0f0a0178120a0a08080112040a020801"
    "620f0a0179120a0a08080112040a02080142040a00100d")


@dataclass(frozen=True)
class Finding:
    """One line of the report. ok: there and working. needed: no show plays without it. todo: what to do where not ok."""

    part: str
    name: str
    ok: bool
    text: str
    todo: str = ""
    needed: bool = False


def _installed(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def probe_machine() -> list[Finding]:
    """Processor cores, memory, Python and what of cineml is installed."""
    import psutil

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory = psutil.virtual_memory()
    gib = 1 << 30
    found = [
        Finding("machine", "system", True, f"{platform.system()} {platform.release()} on {platform.machine()}"),
        Finding("machine", "python", sys.version_info >= (3, 11), platform.python_version(), "install Python 3.11 or newer"),
        Finding("machine", "cores", cores >= 2, f"{cores} usable", "a generator beside a screen wants two or more"),
        Finding("machine", "memory", memory.available > gib,
                f"{memory.total / gib:.1f} GiB, {memory.available / gib:.1f} free", "close something: a show wants 1 GiB"),
        Finding("machine", "cineml", True, _installed("cineml") or "run from a clone, not installed"),
    ]
    studio = all(importlib.util.find_spec(name) for name in ("torch", "safetensors", "onnx"))
    found.append(Finding("machine", "studio", studio, f"torch {_installed('torch')}" if studio else "not installed",
                         'only to train and remap: pip install "cineml[studio]"'))
    return found


def probe_gl() -> list[Finding]:
    """The OpenGL that draws offscreen."""
    import moderngl

    todo = "Debian, Ubuntu: apt-get install libegl1 libgl1 libgl1-mesa-dri; elsewhere install the graphics driver"
    try:
        arguments = {"backend": "egl"} if sys.platform == "linux" else {}
        context = moderngl.create_context(standalone=True, **arguments)
    except Exception as e:  # moderngl raises bare Exceptions
        return [Finding("GL", "offscreen", False, _one_line(e), todo, needed=True)]
    version = context.version_code
    text = f"{context.info['GL_RENDERER']}, OpenGL {version // 100}.{version // 10 % 10}"
    slow = any(name in text.lower() for name in ("llvmpipe", "softpipe", "swrast"))
    found = [Finding("GL", "offscreen", version >= GL_NEEDED, text, f"OpenGL {GL_NEEDED / 100:.1f} is needed", needed=True)]
    if slow:
        found.append(Finding("GL", "speed", False, "drawn by the processor",
                             "play at 1280x720 or less, or install the graphics card's driver"))
    return found


def probe_screens() -> list[Finding]:
    """The monitors, numbered and named as a venue file may name them."""
    from player.screen.window import display_problem, monitors

    if problem := display_problem():
        return [Finding("screens", "display", False, problem.partition(";")[0],
                        "shows play offscreen here; for a window connect a screen and start this in a desktop session")]
    found = monitors()
    rows = [Finding("screens", "display", True, f"{len(found)} monitor{'s' if len(found) > 1 else ''}")]
    for m in found:
        hz = f"{m.refresh_hz:g} Hz" if m.refresh_hz else "rate unknown"
        rows.append(Finding("screens", f"monitor {m.number}", True,
                            f"{m.name!r}, {m.width}x{m.height} at {m.x},{m.y}, {hz}{', primary' if m.number == 1 else ''}"))
    return rows


def probe_models() -> list[Finding]:
    """onnxruntime and the execution providers that really take a model. get_available_providers() and get_device()
    claim CUDA wherever the wheel was built with it; only an open session's get_providers() is true."""
    try:
        import onnxruntime
    except ImportError as e:
        return [Finding("models", "onnxruntime", False, _one_line(e), "pip install --force-reinstall cineml", needed=True)]
    if hasattr(onnxruntime, "preload_dlls"):
        onnxruntime.preload_dlls()  # finds the CUDA and cuDNN wheels of cineml[cuda]
    onnxruntime.set_default_logger_severity(4)
    both = [name for name in ("onnxruntime", "onnxruntime-gpu") if _installed(name)]
    found = [Finding("models", "onnxruntime", len(both) == 1, f"{onnxruntime.__version__} ({' and '.join(both)})",
                     "the two own one import name: uninstall both, then install cineml again", needed=True)]
    todo = {"CUDAExecutionProvider": 'an NVIDIA card and its driver, then: pip install "cineml[cuda]"'}
    for provider in onnxruntime.get_available_providers():
        if provider == "TensorrtExecutionProvider":
            continue  # in every GPU wheel, used by nothing here
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        name = provider.removesuffix("ExecutionProvider")
        try:
            session = onnxruntime.InferenceSession(TINY_MODEL, options, providers=[provider])
            used = session.get_providers()
        except Exception as e:
            found.append(Finding("models", name, False, _one_line(e), todo.get(provider, "")))
            continue
        works = provider in used
        text = "takes models" if works else "named by the wheel, but a session falls back to " + ", ".join(used)
        found.append(Finding("models", name, works, text, todo.get(provider, ""), needed=name == "CPU"))
    return found


def probe_sound() -> list[Finding]:
    """PortAudio and the devices that can play."""
    try:
        import sounddevice
    except OSError as e:  # no PortAudio library
        return [Finding("sound", "PortAudio", False, _one_line(e),
                        "Debian, Ubuntu: apt-get install libportaudio2; until then shows play silent, on the wall clock")]
    found = [Finding("sound", "PortAudio", True, sounddevice.get_portaudio_version()[1].split(",")[0])]
    apis = sounddevice.query_hostapis()
    devices = [d for d in sounddevice.query_devices() if d["max_output_channels"] > 0]
    default = sounddevice.default.device[1]
    for d in devices:
        mark = ", default" if d["index"] == default else ""
        found.append(Finding("sound", f"device {d['index']}", True,
                             f"{d['name']!r} ({apis[d['hostapi']]['name']}), {d['max_output_channels']} channels, "
                             f"{d['default_samplerate']:.0f} Hz{mark}"))
    if not devices:
        found.append(Finding("sound", "device", False, "no device plays sound",
                             "connect one, or install the sound server; until then shows play silent, on the wall clock"))
    return found


def probe_video() -> list[Finding]:
    """The encoder that records and renders."""
    import av
    from av.codec import Codec

    found = []
    for name, what in (("libx264", "H.264"), ("aac", "AAC")):
        try:
            Codec(name, "w")
            found.append(Finding("video", what, True, f"{name} of PyAV {av.__version__}"))
        except Exception as e:
            found.append(Finding("video", what, False, _one_line(e), "pip install --force-reinstall av: its own wheel has it"))
    return found


PROBES: dict[str, Callable[[], list[Finding]]] = {
    "machine": probe_machine, "GL": probe_gl, "screens": probe_screens, "models": probe_models, "sound": probe_sound,
    "video": probe_video}
NEEDED_PARTS = ("GL", "models")


def _one_line(error: BaseException) -> str:
    """An error's first line, or its name where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def run_probe(part: str) -> list[Finding]:
    """The findings of one part, probed in a process of its own."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).resolve().parents[1]),
                                                        *filter(None, [os.environ.get("PYTHONPATH")])])}
    needed = part in NEEDED_PARTS
    try:
        done = subprocess.run([sys.executable, "-m", "tools.doctor", "--probe", part], capture_output=True, text=True,
                              timeout=PROBE_LIMIT_S, env=env)
    except subprocess.TimeoutExpired:
        return [Finding(part, part, False, f"gave no answer in {PROBE_LIMIT_S:.0f} s", "look at its driver", needed=needed)]
    for line in reversed(done.stdout.splitlines()):
        if line.startswith("["):
            return [Finding(**row) for row in json.loads(line)]
    if done.returncode < 0:
        text = f"the driver ended the probe with {signal.Signals(-done.returncode).name}"
    else:
        text = (done.stderr.strip().splitlines() or ["the probe ended without a word"])[-1]
    return [Finding(part, part, False, text, "look at its driver or installation", needed=needed)]


def examine() -> list[Finding]:
    """Every part's findings, in the order of PROBES."""
    with concurrent.futures.ThreadPoolExecutor() as pool:
        return [finding for found in pool.map(run_probe, PROBES) for finding in found]


def table(findings: Sequence[Finding]) -> str:
    """The report for a person: one line a finding, a second with what to do where something is missing."""
    lines: list[str] = []
    for i, f in enumerate(findings):
        part = f.part if i == 0 or findings[i - 1].part != f.part else ""
        lines.append(f"{part:<9}{f.name:<13}{'OK' if f.ok else 'MISSING' if f.needed else 'no':<9}{f.text}")
        if not f.ok and f.todo:
            lines.append(f"{'':<31}-> {f.todo}")
    return "\n".join(lines)


def verdict(findings: Sequence[Finding]) -> str:
    """One sentence: whether a show plays here."""
    missing = [f"{f.part} {f.name}" for f in findings if f.needed and not f.ok]
    if missing:
        return f"No show plays here until this is mended: {', '.join(missing)}."
    window = any(f.part == "screens" and f.name == "display" and f.ok for f in findings)
    sound = any(f.part == "sound" and f.name.startswith("device") and f.ok for f in findings)
    where = "in a window" if window else "offscreen"
    return f"Shows play here {where}, {'with sound' if sound else 'without sound'}."


def main(argv: list[str] | None = None) -> int:
    """Prints the report. Returns 0, or 1 where no show can play on this machine."""
    parser = argparse.ArgumentParser(
        prog="cineml doctor", description="Tells what this machine has: GL, execution providers, audio, screens.",
        epilog="examples:\n  cineml doctor\n  cineml doctor --json > machine.json",
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="the same as JSON")
    parser.add_argument("--probe", choices=PROBES, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.probe:
        rows: list[dict[str, Any]] = [asdict(f) for f in PROBES[args.probe]()]
        print(json.dumps(rows))
        return 0
    findings = examine()
    if args.json:
        print(json.dumps({"verdict": verdict(findings), "findings": [asdict(f) for f in findings]}, indent=1))
    else:
        print(table(findings) + "\n\n" + verdict(findings))
    return 1 if any(f.needed and not f.ok for f in findings) else 0


if __name__ == "__main__":
    sys.exit(main())
