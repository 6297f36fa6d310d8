"""`cineml bench [PART]`: the project's own measurements, as a table and JSON."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

PARTS = ("player",)


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


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one part or all. Returns 0 where every asked bound holds, else 1."""
    p = argparse.ArgumentParser(
        prog="cineml bench", description="Measure cineml on this machine; each number beside its baseline of the same run.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n  cineml bench player\n  cineml bench player --only generator,render --json bench.json")
    p.add_argument("part", nargs="?", default="player", choices=PARTS, metavar="PART", help="player")
    p.add_argument("--only", metavar="A,B", help="of player: refreshes, sync, start, memory, generator, render")
    p.add_argument("--show", metavar="SHOW", help="show to measure, instead of the demo")
    p.add_argument("--minutes", type=float, default=2.5, metavar="M",
                   help="length of the sync and memory runs (2.5; 30 for the record)")
    p.add_argument("--json", metavar="OUT.json", help="write the numbers there too")
    args = p.parse_args(argv)
    from tools import bench_player

    rows = bench_player.measure(args.show, args.only.split(",") if args.only else None, args.minutes)
    print(f"\nmachine: {machine()}\n\n{table(rows)}")
    if args.json:
        part = Path(args.json + ".part")
        part.write_text(json.dumps({"machine": machine(), "rows": [asdict(r) for r in rows]}, indent=1))
        os.replace(part, args.json)
    return 1 if any(r.ok is False for r in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
