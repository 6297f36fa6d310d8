"""`cineml bench keyframes`, the engine: processor time, matching cost and memory beside a plain engine of the same run.

All numbers are processor time at 640 x 480 with four guides (colour, position, edges, the warped key) on two threads.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tools.bench import Row, table
from tools.patch_check import work_of
from tools.patch_engine import PRESETS, Settings, Synthesis, referee
from tools.patch_levels import Count, coarse_to_fine
from tools.patch_plain import synthesise_plainly
from tools.patch_scene import Scene, scene

SIZE = (640, 480)
THREADS = 2
BUDGET = Settings(patch=5, uniformity=3500.0, sweeps=4, votes=6, stop=0.0, shrink=2.0, threads=THREADS)  # the published one
BOUNDS = {"same budget": 0.85, "normal": 0.33, "draft": 0.17}  # of the plain engine's processor time
REFEREE_BOUND = 1.03
MEMORY_BOUND_B = 60
MEMORY_CODE = """
import sys
from dataclasses import replace
from tools.patch_engine import PRESETS, synthesise
from tools.patch_scene import scene
small, large = scene(64, 48), scene(640, 480)
guides = lambda s: s.guides if sys.argv[1] == "all" else s.guides[2:3]
synthesise(small.style, guides(small), replace(PRESETS["normal"], threads=2))  # compiles
with open("/proc/self/clear_refs", "w") as f:
    f.write("5")  # the peak from here on
kib = lambda name: int(next(l.split()[1] for l in open("/proc/self/status") if l.startswith(name)))
before = kib("VmRSS")
synthesise(large.style, guides(large), replace(PRESETS["normal"], threads=2))
print((kib("VmHWM") - before) * 1024 / (640 * 480 * sum(g.source.shape[2] for g in guides(large))))
"""


def _timed(deed: Callable[[], tuple[Synthesis, int]]) -> tuple[NDArray[np.uint8], float, int]:
    """(picture, processor seconds, comparisons)"""
    begin_s = time.process_time()
    made, comparisons = deed()
    return made.picture, time.process_time() - begin_s, comparisons


def counted(shot: Scene, settings: Settings) -> tuple[Synthesis, int]:
    """patch_engine.synthesise, and how many patch comparisons it made."""
    count = Count()
    work = work_of(shot.style, shot.guides, settings, None, None, None, None)
    return Synthesis(*coarse_to_fine(work, settings, lambda share: None, count)), count.comparisons


def _compile() -> None:
    """Neither engine's numbers are to hold its compilation."""
    small = scene(64, 48)
    synthesise_plainly(small.style, small.guides, replace(BUDGET, votes=1))
    counted(small, replace(BUDGET, votes=2, stop=5.0, extra_pass=True))


def memory_b(guides: str) -> float | None:
    """Bytes by which the process grows at its peak, a pixel and guide channel; None where the system does not say.
    guides: "all" for the four, "one" for a single channel."""
    ran = subprocess.run([sys.executable, "-c", MEMORY_CODE, guides], capture_output=True, text=True,
                         cwd=Path(__file__).resolve().parents[1],
                         env={**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"})  # else freed arrays stay and hide the growth
    return float(ran.stdout) if ran.returncode == 0 else None


def rows(pictures: Path | None = None) -> list[Row]:
    """The engine's rows. pictures: a folder for the pictures side by side, or None."""
    _compile()
    shot = scene(*SIZE)
    deeds: dict[str, Callable[[], tuple[Synthesis, int]]] = {
        "plain": lambda: synthesise_plainly(shot.style, shot.guides, BUDGET),
        "same budget": lambda: counted(shot, BUDGET),
        **{name: (lambda s=s: counted(shot, replace(s, threads=THREADS))) for name, s in PRESETS.items()}}  # type: ignore[misc]
    made, cpu_s, cost, out = {}, {}, {}, []
    for name, deed in deeds.items():
        made[name], cpu_s[name], comparisons = _timed(deed)
        cost[name] = referee(shot.style, shot.guides, made[name], BUDGET)
        ns = cpu_s[name] / comparisons * 1e9
        told = f"{cpu_s[name]:.2f} CPU s, {comparisons / 1e6:.1f} M comparisons of {ns:.0f} ns, referee {cost[name]:.0f}"
        if name == "plain":
            out.append(Row("engine: plain, 6 votes x 4 sweeps x all levels (baseline)", told))
            continue
        share = cpu_s[name] / cpu_s["plain"]
        bound = BOUNDS.get(name)
        out.append(Row(f"engine: {name}", f"{share:.3f} of plain; {told}", "" if bound is None else f"<= {bound}",
                       None if bound is None else share <= bound))  # fmt: skip
    worse = cost["draft"] / min(cost["plain"], cost["same budget"])
    out.append(Row("engine: referee, draft over the full budget", f"{worse:.4f}", f"<= {REFEREE_BOUND}",
                   worse <= REFEREE_BOUND))
    for guides, what in (("all", "four guides, 9 channels"), ("one", "one guide, 1 channel beside the style's own 3")):
        grown = memory_b(guides)
        what_b = "not known here" if grown is None else f"{grown:.1f} B a pixel and guide channel"
        asked = guides == "all" and grown is not None
        limit, holds = (f"< {MEMORY_BOUND_B} B", grown < MEMORY_BOUND_B) if asked and grown is not None else ("", None)
        out.append(Row(f"engine: memory, {what}", what_b, limit, holds))
    threads = [counted(shot, replace(PRESETS["draft"], threads=n))[0].picture for n in (1, 2, 4)]
    same = all(np.array_equal(threads[0], p) for p in threads[1:])
    out.append(Row("engine: 1, 2 and 4 threads", "identical pictures" if same else "pictures differ", "identical", same))
    if pictures is not None:
        pictures.mkdir(parents=True, exist_ok=True)
        for name, picture in {"style": shot.style, "truth": shot.truth, **made}.items():
            Image.fromarray(picture).save(pictures / f"{name.replace(' ', '_')}.png")
    return out


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the rows alone. Returns 0 where every asked bound holds, else 1."""
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--pictures", type=Path, metavar="DIR", help="write what each engine made there")
    found = rows(p.parse_args(argv).pictures)
    print(table(found))
    return 1 if any(r.ok is False for r in found) else 0


if __name__ == "__main__":
    sys.exit(main())
