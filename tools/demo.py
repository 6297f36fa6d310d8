"""`cineml demo`: the demo show, whatever this machine has.

With a display and a sound card: in a window with sound, until it is closed. Without one of them: offscreen in real time
for 20 s, recorded; then the whole show rendered; a contact sheet and a table of what was measured on the way.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.resources
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from player.show.problem import Problem, ShowError
from player.show.show import Show

LIVE_S = 20.0
PORTAUDIO = "PortAudio, the system's sound library (on Debian and Ubuntu: apt-get install libportaudio2)"


@dataclass(frozen=True)
class Run:
    """What a player verb took, measured and met: Report.stats() and Report.trouble()."""

    took_s: float
    stats: Mapping[str, Any] = field(default_factory=dict)
    trouble: Mapping[str, Any] = field(default_factory=dict)

    @property
    def failed(self) -> bool:
        """Whether a picture was not made by the source that the show asks for."""
        return any(self.trouble.get(key) for key in ("by_fallback", "missed", "faults"))


def demo_path() -> Path:
    """The demo's TOML, in a clone or an installation. Raises ShowError where this copy carries none."""
    path = Path(str(importlib.resources.files("show_configs"))) / "demo" / "demo.toml"
    if not path.is_file():
        raise ShowError(Problem(str(path), "is missing", "the demo show", "make demo-show makes it again from nothing"))
    return path


def missing_for_a_window() -> list[str]:
    """What this machine lacks to play in a window with sound; empty where it has both."""
    from player.screen.window import display_problem

    missing = ["display"] if display_problem() else []
    try:
        import sounddevice
    except OSError:  # the library of the system that it stands on: the card may well be there
        return [*missing, PORTAUDIO]
    try:
        sounddevice.check_output_settings()
    except Exception:  # PortAudioError or ValueError without a device: no sound, whatever the reason
        missing.append("sound card")
    return missing


def osc_options(show: Show) -> list[str]:
    """Turns OSC off where its port is taken: a demo is not to fail because another show plays on this machine."""
    control = show.control
    if not control.osc_port:
        return []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        try:
            s.bind((control.osc_bind, control.osc_port))
        except OSError:
            print(f"OSC is off: port {control.osc_port} is taken.")
            return ["--osc-port", "0"]
    return []


def run_player(*argv: str | Path) -> Run:
    """A player verb in this process. Raises SystemExit with its code where it fails, and KeyboardInterrupt where it was
    stopped: play ends calmly on Ctrl-C, at whatever moment that comes; so does what would have followed it."""
    from player.__main__ import main as player_main

    told: list[Mapping[str, Any]] = [{}, {}]
    stopped: list[str] = []

    def ended(*numbers: Mapping[str, Any]) -> None:
        told[:] = numbers

    begin_s = time.perf_counter()
    code = player_main([str(a) for a in argv], ended, stopped=stopped)
    if code:
        raise SystemExit(code)
    if stopped:
        raise KeyboardInterrupt
    return Run(time.perf_counter() - begin_s, *told)


def trouble_rows(trouble: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What went wrong in a run, as (name, value); nothing where nothing did."""
    rows = [(name, str(trouble[key])) for key, name in (
        ("missed_cuts", "cuts never shown"), ("by_fallback", "made by the fallback"), ("missed", "made by nobody"))
        if trouble.get(key)]
    return rows + [("fault", f"{text} ({count} times)") for text, count in (trouble.get("faults") or {}).items()]


def timing_rows(live: Run, rendered: Run, show: Show) -> list[tuple[str, str]]:
    """What the live run and the rendering measured and what went wrong in them, as (name, value)."""
    stats, trouble = live.stats, live.trouble
    refreshes, late = int(stats["refreshes"]), int(stats["late"])
    rows = [("refreshes", f"{refreshes} at {stats['refresh_hz']:g} Hz"),
            ("late refreshes", f"{late} ({late / max(refreshes, 1):.2%})")]
    cuts = [c for c in stats.get("cuts") or [] if c.get("shown_s") is not None]
    if cuts:
        after_ms = [1000 * (c["shown_s"] - c["due_s"]) for c in cuts]
        rows.append(("cuts", f"{len(cuts)}, shown {min(after_ms):+.1f} to {max(after_ms):+.1f} ms after they were due"))
    rows.append(("held too long", f"{trouble.get('stale', 0)} refreshes showed an older shot's picture"))
    rows.append(("pictures made", str(stats.get("pictures"))))
    rows.append(("pictures shown", ", ".join(f"{n} {name}" for name, n in (trouble.get("shown") or {}).items()) or "none"))
    if stats.get("distinct_pictures_per_s") is not None:
        rows.append(("distinct pictures", f"{stats['distinct_pictures_per_s']:.1f} a second"))
    for key, name in (("model_ms", "making a picture"), ("sync_ms", "sound against picture")):
        if stats.get(key):
            rows.append((name, f"{stats[key]['p50']:.1f} ms median, {stats[key]['p99']:.1f} ms at the 99th percentile"))
    rows += [("provider", str(stats.get("provider") or "none needed")), ("renderer", str(stats.get("renderer")))]
    if stats.get("rss_mib"):
        rows.append(("memory", f"{stats['rss_mib'][-1][1]:.0f} MiB"))
    rows += trouble_rows(trouble)
    frames, render_s = show.film.frames, rendered.took_s
    rows.append(("rendering", f"{frames} frames in {render_s:.0f} s, {1000 * render_s / frames:.1f} ms a frame"))
    return rows + [(f"rendering: {name}", value) for name, value in trouble_rows(rendered.trouble)]


def table(rows: Sequence[tuple[str, str]]) -> str:
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def try_outputs(*paths: Path) -> None:
    """Raises ShowError with every file that could not be written, before the work that it would be the result of."""
    found = []
    for path in paths:
        trial = path.with_name(path.name + ".part")
        try:
            if path.exists() and not path.is_file():
                found.append(Problem(str(path), "is a folder" if path.is_dir() else "is no file", "a file to write"))
                continue
            trial.open("wb").close()
            trial.unlink()
        except OSError as e:
            given = f"cannot be written ({e.strerror})"
            found.append(Problem(str(path), given, "a folder that can be written", "another --out"))
    if found:
        raise ShowError(found)


def record_and_render(path: Path, show: Show, out: Path, live_s: float) -> bool:
    """Plays offscreen in real time and records it, renders everything, and leaves sheet and table in `out`. Returns
    whether every picture was made by the source that the show asks for."""
    from tools.contact_sheet import make_sheet
    from tools.whole_file import write_whole

    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise ShowError(Problem(f"--out {out}", f"cannot be made ({e.strerror})", "a folder that may be written")) from None
    take, remake, sheet, timing, stats = (
        out / name for name in ("live.mp4", "remake.mp4", "contact_sheet.png", "timing.txt", "live.json"))
    try_outputs(take, remake, sheet, timing, stats)
    print(f"Playing offscreen in real time for {live_s:.0f} s, recording it.", flush=True)
    live = run_player("play", path, "--offscreen", "--duration", f"{live_s:g}", "--record", take, "--stats", stats,
                      *osc_options(show))
    print("Rendering the whole show, every frame, with its soundtrack.", flush=True)
    rendered = run_player("render", path, remake, "--keep-going")  # the table says what failed
    films = [("film", show.film.path)] if show.film.path else []
    make_sheet([*films, ("remake", remake)], show.cuts, sheet, show.film.aspect if show.output.fit == "contain" else None)
    text = table(timing_rows(live, rendered, show))
    write_whole(timing, lambda part: part.write_text(text + "\n", encoding="utf-8"))
    print("\n" + text + "\n")
    print(table([("recorded live", str(take)), ("rendered whole", str(remake)), ("contact sheet", str(sheet)),
                 ("timing table", str(timing)), ("its numbers", str(stats))]))
    return not (live.failed or rendered.failed)


def main(argv: list[str] | None = None) -> int:
    """Plays or records the demo. Returns the exit code; raises ShowError for what a person can mend."""
    parser = argparse.ArgumentParser(
        prog="cineml demo", description="The demo show: in a window with sound where this machine has a display and a sound "
        "card; else played offscreen, recorded, rendered, with a contact sheet and a timing table.",
        epilog="examples:\n  cineml demo\n  cineml demo --offscreen --out demo_here",
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("out/demo"), metavar="DIR", help="where files go (out/demo)")
    parser.add_argument("--offscreen", action="store_true", help="record and render even where a window could be opened")
    parser.add_argument("--seconds", type=float, default=LIVE_S, metavar="S", help="how long to play offscreen (20)")
    args = parser.parse_args(argv)
    if not 0 < args.seconds < float("inf"):
        parser.error(f"argument --seconds: {args.seconds} is not a number of seconds above 0")
    from player.show.config import load_show
    from player.sources.film_reader import probe_film

    path = demo_path()
    show = load_show(path, probe_film)
    missing = [] if args.offscreen else missing_for_a_window()
    if args.offscreen or missing:
        if missing:
            print(f"This machine has no {' and no '.join(missing)}: the demo is recorded instead of shown.", flush=True)
        return 0 if record_and_render(path, show, args.out, args.seconds) else 1
    from player.control.keyboard import help_text

    print(help_text())
    with contextlib.suppress(KeyboardInterrupt):  # closing the window and Ctrl-C both end it as it should end
        run_player("play", path, *osc_options(show))
    return 0


if __name__ == "__main__":
    sys.exit(main())
