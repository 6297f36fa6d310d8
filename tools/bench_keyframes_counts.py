"""The part "counts" of `cineml bench keyframes`: 2, 13 and 3 keys for 266 frames, and whether the keys that `keyframes suggest`
names beat every twentieth frame at the same number of keys.

The film is drawn (bench_keyframes_clip.py), one shot of 266 frames, so that the error of each painted frame is known.
"""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tools.bench import Row
from tools.bench_keyframes_clip import FRAMES, SIZE, Clip, drawn
from tools.bench_keyframes_quality import film_flow, propagated
from tools.keyframes_measure import FlowOf, e_warp, mean_psnr

Picture = NDArray[np.uint8]
EVERY = 20
SEED = 0
CUT_COLUMNS = "shot,start,end,in,in_frames,in_colour,out,out_frames,out_colour,label,group"


@dataclass(frozen=True)
class Counted:
    """One set of keys. psnr: in dB over the frames that are no keys; worst: the lowest tenth of them; e_warp: in 0..1 squared;
    minutes: of one core."""

    keys: tuple[int, ...]
    psnr: float
    worst: float
    e_warp: float
    minutes: float


def spread(count: int, frames: int) -> tuple[int, ...]:
    """So many keys, each in the middle of an equal part of the frames: two lie at a quarter and at three quarters."""
    return tuple(int((i + 0.5) * frames / count) for i in range(count))


def every(step: int, frames: int) -> tuple[int, ...]:
    """One in `step`: in the middle of each whole step."""
    return tuple(range(step // 2, frames, step))[: frames // step]


def suggested(clip: Clip, count: int) -> tuple[int, ...]:
    """The frames that `cineml keyframes suggest -n` names for the clip, by the command itself, on the plain frames."""
    from PIL import Image

    from tools.keyframes_suggest import main

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "film").mkdir()
        for i, frame in enumerate(clip.frames):
            Image.fromarray(frame).save(folder / "film" / f"{i:06d}.png", compress_level=1)
        count_line, shot = f"# frames: {len(clip.frames)}", f"1,0,{len(clip.frames)},cut,0,,cut,0,,,"
        cuts = "\n".join(["# film: film", "# rate: 24/1", count_line, CUT_COLUMNS, shot, ""])
        (folder / "cuts.csv").write_text(cuts, encoding="utf-8")
        with contextlib.redirect_stdout(io.StringIO()):
            main([str(folder / "film"), "--cuts", str(folder / "cuts.csv"), "-n", str(count), "-o", str(folder / "out"),
                  "--no-frames"])  # fmt: skip
        told = json.loads((folder / "out" / "suggest" / "suggest.json").read_text(encoding="utf-8"))
    return tuple(sorted(key["frame"] for key in told["keys"]))


def counted(clip: Clip, keys: Sequence[int], flow_of: FlowOf, preset: str) -> Counted:
    """The clip painted from these keys' truths."""
    from tools.keyframes_options import Options

    pictures, cpu_s = propagated(clip, {k: clip.truths[k] for k in keys}, Options(preset=preset), masked=False)
    others = [t for t in range(len(clip.frames)) if t not in set(keys)]
    each = sorted(mean_psnr([pictures[t]], [clip.truths[t]]) for t in others)
    worst = each[: max(1, len(each) // 10)]
    return Counted(tuple(keys), float(np.mean(each)), float(np.mean(worst)), e_warp(pictures, flow_of), cpu_s / 60)


def told(name: str, one: Counted, own: float) -> str:
    """One row's value. own: the truth's E_warp."""
    return (f"PSNR {one.psnr:.2f} dB, worst tenth {one.worst:.2f} dB, E_warp {one.e_warp / own:.2f} of the truth's, "
            f"{one.minutes:.1f} min of one core")  # fmt: skip


def rows(frames: int = FRAMES, size: tuple[int, int] = SIZE, preset: str = "draft") -> list[Row]:
    """The rows; size is (width, height)."""
    clip = drawn(frames, size, SEED)
    flow_of = film_flow(clip.frames)
    own = e_warp(clip.truths, flow_of)
    twentieth = every(EVERY, frames)
    sets = {"2 keys": spread(2, frames), f"{len(twentieth)} keys, 1 in {EVERY}": twentieth, "3 keys": spread(3, frames),
            f"{len(twentieth)} keys, as suggested": suggested(clip, len(twentieth)), "3 keys, as suggested": suggested(clip, 3)}
    made: list[Row] = []
    found: dict[str, Counted] = {}
    for name, keys in sets.items():
        print(f"bench: keyframes counts, {name}", flush=True)
        begun_s = time.perf_counter()
        found[name] = counted(clip, keys, flow_of, preset)
        wall = (time.perf_counter() - begun_s) / 60
        made.append(Row(f"{frames} drawn frames of {size[0]}x{size[1]}, {preset}: {name}",
                        f"{told(name, found[name], own)}, {wall:.1f} by the clock"))  # fmt: skip
    even, chosen = found[f"{len(twentieth)} keys, 1 in {EVERY}"], found[f"{len(twentieth)} keys, as suggested"]
    gain, worst = chosen.psnr - even.psnr, chosen.worst - even.worst
    made.append(Row(f"{len(twentieth)} suggested keys against 1 in {EVERY}", f"{gain:+.2f} dB, worst tenth {worst:+.2f} dB",
                    "above 0", gain > 0))  # fmt: skip
    return made
