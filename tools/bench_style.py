"""`cineml bench style`: how fast stylizers are, what temporal noise in training is worth, a student beside its teacher, and the
artist's table of ways to stylise 266 frames. Each number beside its baseline of the same run, nothing typed in.

Networks are trained on the way and kept in a folder (`work`), so that a bench that was stopped goes on and parts share them;
with nothing there all of it takes about two hours on two cores.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from player.show.problem import Problem, ShowError
from tools.bench import Row
from tools.whole_file import check_folder

PARTS = ("speed", "play", "ablation", "distilled", "artist")
WORK = Path("bench_style")


def rows(only: Sequence[str] | None = None, work: Path = WORK, network: Path | None = None, quick: bool = False) -> list[Row]:
    """The rows of the parts asked for. work: folder for networks, frames, reports and clips. network: VGG19 or a checkpoint
    whose discriminator judges in the artist's table (the demo's, where none is given). quick: so few steps and frames that it
    only shows that everything runs. Raises ShowError for unknown parts and for what a command refuses."""
    parts = list(only or PARTS)
    if unknown := sorted(set(parts) - set(PARTS)):
        raise ShowError(Problem("--only", ",".join(unknown), ", ".join(PARTS)))
    check_folder(work)
    if network is not None:
        if "artist" not in parts:
            given = f"is of the part artist, and --only has {', '.join(parts)}"
            raise ShowError(Problem("--network", given, "--only artist, or no --only"))
        from tools.style_network import read_perception

        read_perception(network)  # what is wrong with it is said before networks are trained
    from tools.bench_style_networks import Bench

    bench = Bench(work.absolute(), quick)
    found: list[Row] = []
    if "speed" in parts:
        from tools.bench_style_speed import rows as speed

        found += speed(bench)
    if "play" in parts:
        from tools.bench_style_play import rows as play

        found += play(bench)
    if "ablation" in parts:
        from tools.bench_style_ablation import rows as ablation

        found += ablation(bench)
    if "distilled" in parts:
        from tools.bench_style_distilled import rows as taught

        found += taught(bench)
    if "artist" in parts:
        from tools.bench_style_artist import rows as artist

        found += artist(bench, network)
    return found


measure = rows
