"""The networks of `cineml bench style`: trained by the command a user has, kept in the bench's folder, exported, and run.

A network that is there, trained by the very same words, is not trained again: a bench that was stopped goes on, and its parts
share what they need.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from player.show.problem import Problem, ShowError
from tools.bench_style_material import Picture, demo_film, learnt_range, painting_at
from tools.whole_file import make_folder, write_whole

DONE = "bench.json"
STYLE = "painting"
# One thread sums in one order, so that the tables can be made again; two were not faster, and much slower beside other work.
ONE_THREAD = ("--threads", "1")
THREADS = 2
STEPS, BARE_STEPS, SEED = 2000, 1500, 1
FLOW_WEIGHT, SEQUENCE = 50, 2
CLASSIC_WIDTH, CLASSIC_BLOCKS, CLASSIC_STEPS = 16, 5, 1000


@dataclass(frozen=True)
class Network:
    """One network of the bench. words: of `cineml style train` beside those that all share. teacher: another network, whose
    teacher pictures it takes. seed: of its first weights, crops and noise."""

    name: str
    words: tuple[str, ...] = ()
    teacher: str = ""
    seed: int = SEED


# The ablation's two have no canvas: where strokes lie still on the screen, most of what is left above the film's own flicker is
# film that slides under them, of which noise takes nothing. They are three times as wide as the default: to draw sharply what
# moves by parts of its 4 pixels, a cell needs a number for each of its 48 values.
BARE = ("--steps", str(BARE_STEPS), "--canvas", "0", "--width", "48", "--batch", "4", "--grid-weight", "300", *ONE_THREAD)
# Noise and grain alone, as Rainy and de Berker have it. Shifts and light calm more, and cost the pattern of single pixels that
# stands for strokes where there is no canvas (docs/BENCHMARKS.md).
NOISE = ("--noise-weight", "0.04", "--shift-weight", "0", "--light-weight", "0")
NO_NOISE = ("--noise-weight", "0", "--shift-weight", "0", "--light-weight", "0")
WITHOUT = Network("without", (*BARE, *NO_NOISE))
WITH = Network("with", (*BARE, *NOISE), "without")
# (without, with) by seed: what one training comes to, another misses by a tenth, so the ablation is of the mean over several.
PAIRS = ((WITHOUT, WITH), *((replace(WITHOUT, name=f"without_{seed}", teacher="without", seed=seed),
                             replace(WITH, name=f"with_{seed}", seed=seed)) for seed in (2, 3)))  # fmt: skip
# The default student, with its canvas: as it is made, without the noise of its training, and consistent along the flow. The
# last reads frames in a row, of which the first are painted: other moments, so other teacher pictures.
CANVAS = ("--steps", str(STEPS), *ONE_THREAD)
PLAIN = Network("plain", CANVAS, "without")
PLAIN_WITHOUT = Network("plain_without", (*CANVAS, *NO_NOISE), "without")
FLOWING = Network("flowing", (*CANVAS, *NO_NOISE, "--flow-weight", str(FLOW_WEIGHT), "--sequence", str(SEQUENCE)))
# The classic network in half its width: at full width it would take most of the bench's time.
CLASSIC = Network("classic", ("--steps", str(CLASSIC_STEPS), "--architecture", "johnson", "--width", str(CLASSIC_WIDTH),
                              "--blocks", str(CLASSIC_BLOCKS), *ONE_THREAD, *NO_NOISE), "without")  # fmt: skip
NETWORKS = {n.name: n for n in (*(n for pair in PAIRS for n in pair), PLAIN, PLAIN_WITHOUT, FLOWING, CLASSIC)}


@dataclass(frozen=True)
class Bench:
    """The bench's folder. quick: so few steps that it only shows that everything runs, for tests."""

    work: Path
    quick: bool = False

    def painting(self) -> Path:
        return painting_at(self.work)


def words_of(network: Network, bench: Bench) -> list[str]:
    """What `cineml style train` is called with, its output left out."""
    first, last = learnt_range()
    words = ["--film", str(demo_film()), "--style", str(bench.painting()), "--names", STYLE, "--start", f"{first}f", "--end",
             f"{last}f", "--seed", str(network.seed), *network.words]  # fmt: skip
    if bench.quick:
        words += ["--steps", "2", "--frames", "2", "--side", "96", "--crop", "64", "--batch", "1"]
    return words


def trained(network: Network, bench: Bench) -> tuple[Path, float]:
    """(folder of the run, minutes that its training took). Raises ShowError where the command fails."""
    from tools import style_train

    words = words_of(network, bench)
    if network.teacher:
        words += ["--teacher", str(trained(NETWORKS[network.teacher], bench)[0])]
    return made(bench.work / f"net_{network.name}", words, style_train.main, "style train")


def distilled(bench: Bench, teacher: Network = CLASSIC) -> tuple[Path, float]:
    """(folder of a student taught by the classic network, minutes). Raises ShowError."""
    from tools import style_distill

    first, last = learnt_range()
    words = [str(trained(teacher, bench)[0]), "--film", str(demo_film()), "--start", f"{first}f", "--end", f"{last}f", "--seed",
             str(SEED), *ONE_THREAD, "--steps", "2" if bench.quick else str(STEPS)]  # fmt: skip
    if bench.quick:
        words += ["--frames", "2", "--side", "96", "--crop", "64", "--batch", "1"]
    return made(bench.work / "net_distilled", words, style_distill.main, "style distill")


def made(run: Path, words: Sequence[str], command: Any, called: str) -> tuple[Path, float]:
    """The run, made by a command where it is not there with these words. Raises ShowError."""
    told = run / DONE
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        kept = json.loads(told.read_text(encoding="utf-8"))
        if kept["words"] == list(words) and (run / "checkpoint").is_dir():
            return run, float(kept["minutes"])
    print(f"bench: {called} {run.name}", flush=True)
    make_folder(run.parent)
    if run.exists():
        import shutil

        shutil.rmtree(run)
    begun_s = time.perf_counter()
    with contextlib.redirect_stdout(sys.stderr):
        code = command([*words, "-o", str(run)])
    if code:
        raise ShowError(Problem("bench style", f"cineml {called} ended with {code}", "", "see what it said above"))
    minutes = (time.perf_counter() - begun_s) / 60
    text = json.dumps({"words": list(words), "minutes": minutes})
    write_whole(told, lambda part: part.write_text(text, encoding="utf-8"))
    return run, minutes


def exported(run: Path, size: tuple[int, int], bench: Bench, *words: str) -> Path:
    """The run's network as ONNX for pictures of (width, height). words: more of `cineml style export`. Raises ShowError."""
    from tools import style_export

    path = bench.work / f"{run.name}_{size[0]}x{size[1]}{''.join(words).replace('-', '_')}.onnx"
    if not path.is_file() or path.stat().st_mtime < (run / DONE).stat().st_mtime:
        with contextlib.redirect_stdout(sys.stderr):
            code = style_export.main([str(run), "-o", str(path), "--size", f"{size[0]}x{size[1]}", *words])
        if code:
            raise ShowError(Problem("bench style", f"cineml style export ended with {code}", "", "see what it said above"))
    return path


def stylised(model: Path, frames: Sequence[Picture]) -> tuple[list[Picture], float]:
    """(the frames by the exported network, seconds a frame) on THREADS threads, by onnxruntime, frame by frame."""
    net = opened(model)
    shares = np.ones(1, np.float32)
    net(frames[0], shares)  # the first run is slower
    begun_s = time.perf_counter()
    found = [net(f, shares) for f in frames]
    return found, (time.perf_counter() - begun_s) / len(frames)


def opened(model: Path) -> Any:
    """(picture uint8 [H, W, 3], shares float32 [styles]) -> uint8 [H, W, 3], of an exported stylizer of the picture's size."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])

    def run(picture: Picture, shares: NDArray[np.float32]) -> Picture:
        given = {"image": picture[None], "style": shares[None]}
        return np.asarray(session.run(None, given)[0][0], np.uint8)

    return run
