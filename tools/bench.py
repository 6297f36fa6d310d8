"""`cineml bench [PART]`: the project's own measurements, as a table and JSON.

The generator is measured beside torch, so that measure needs the studio; the player's others work in a base install.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from player.show.problem import Problem, ShowError
from tools.whole_file import output_problems, write_whole

PARTS = ("player", "gan", "film", "keyframes", "style")
PLAYER_MEASURES = ("refreshes", "start", "generator", "render", "sync", "memory")


@dataclass(frozen=True)
class Row:
    """One measured number. bound: what it is to be, in words; ok: whether it is, None where nothing is asked."""

    name: str
    value: str
    bound: str = ""
    ok: bool | None = None


def machine() -> str:
    """The machine in one line: processor, cores, system, Python."""
    model = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    except OSError:
        pass
    return f"{model}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"


def table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table, as docs/BENCHMARKS.md holds them."""
    out = ["| measure | value | asked | |", "|---|---|---|---|"]
    for r in rows:
        mark = "" if r.ok is None else "yes" if r.ok else "NO"
        out.append(f"| {r.name} | {r.value} | {r.bound} | {mark} |")
    return "\n".join(out)


def problems_of(part: str, only: Sequence[str] | None, minutes: float, out: Path | None) -> list[Problem]:
    """What can be said before minutes are spent on a measurement that would then be lost."""
    found = []
    missing = next((m for m in ("torch", "safetensors") if importlib.util.find_spec(m) is None), "")
    if missing and part == "player" and (only is None or "generator" in only):
        without = ",".join(m for m in PLAYER_MEASURES if m != "generator")
        found.append(Problem("bench player", f"measures the generator beside torch, and {missing} is not installed", "",
                             f'pip install "cineml[studio]", or --only {without}'))
    if not 0 < minutes <= 1440:  # nan is not
        found.append(Problem("--minutes", f"{minutes:g}", "above 0, to 1440"))
    return found + (output_problems(out, (".json",)) if out is not None else [])


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one part. Returns 0 where every asked bound holds, else 1. Raises ShowError."""
    p = argparse.ArgumentParser(
        prog="cineml bench", description="Measure cineml on this machine; each number beside its baseline of the same run.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n  cineml bench player\n  cineml bench player --only generator,render --json bench.json\n"
               "  cineml bench gan --only export,training\n  cineml bench film --only cuts\n"
               "  cineml bench keyframes --only engine,quality\n  cineml bench style --only speed\n"
               "  cineml bench style --only artist --work runs --network vgg19-dcbb9e9d.pth")
    p.add_argument("part", nargs="?", default="player", choices=PARTS, metavar="PART",
                   help="player, gan, film, keyframes or style")
    p.add_argument("--only", metavar="A,B", help=f"of player: {', '.join(PLAYER_MEASURES)} (generator needs the studio); "
                                                 "of gan: export, forms, training, accelerator; "
                                                 "of film: cuts, sorting, dataset, remap; of keyframes: engine, quality, "
                                                 "counts, painted; of style: speed, play, ablation, distilled, artist")
    p.add_argument("--show", metavar="SHOW", help="show to measure, instead of the demo")
    p.add_argument("--minutes", type=float, default=2.5, metavar="M",
                   help="length of the sync and memory runs (2.5; 30 for the record)")
    p.add_argument("--work", type=Path, metavar="DIR",
                   help="of style: its networks, frames, reports and clips; what is there already is used (bench_style)")
    p.add_argument("--network", type=Path, metavar="FILE|DIR",
                   help="of style, artist: what judges in the optimisation, VGG19's file or a checkpoint folder with its "
                        "discriminator (the demo's)")
    p.add_argument("--json", metavar="OUT.json", help="write the numbers there too")
    args = p.parse_args(argv)
    only = args.only.split(",") if args.only else None
    out = Path(args.json) if args.json else None
    found = problems_of(args.part, only, args.minutes, out)
    found += [Problem(f"--{name}", f"is of bench style, and this is bench {args.part}", "", f"without --{name}")
              for name in ("work", "network") if getattr(args, name) is not None and args.part != "style"]
    if found:
        raise ShowError(found)
    if args.part == "gan":
        from tools import bench_gan

        rows = bench_gan.measure(only)
    elif args.part == "film":
        from tools import bench_film

        rows = bench_film.measure(only)
    elif args.part == "keyframes":
        from tools import bench_keyframes

        rows = bench_keyframes.measure(only)
    elif args.part == "style":
        from tools import bench_style

        rows = bench_style.measure(only, args.work or bench_style.WORK, args.network)
    else:
        from tools import bench_player

        rows = bench_player.measure(args.show, only, args.minutes)
    print(f"\nmachine: {machine()}\n\n{table(rows)}")
    if out is not None:
        text = json.dumps({"machine": machine(), "rows": [asdict(r) for r in rows]}, indent=1)
        write_whole(out, lambda part: part.write_text(text, encoding="utf-8"))
    return 1 if any(r.ok is False for r in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
