"""The part "distilled" of `cineml bench style`: a student taught by the classic network, beside that network.

Both are exported and run over frames of the film all over it. Style: mean distance from the painting; content: mean distance
from the drawing of the frame (style_distances.py); each, of the student and of its teacher, is to agree within 10 %, both ways:
a student that keeps more of the film has learnt less of the style. Operations: of the convolutions, on one picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tools.bench import Row
from tools.bench_style_ablation import laid
from tools.bench_style_material import demo_film
from tools.bench_style_networks import CLASSIC, Bench, distilled, exported, stylised, trained
from tools.film_dataset_source import footage_at
from tools.film_dataset_square import whole
from tools.keyframes_measure import sharpness, style_distance
from tools.style_distances import content_distance

EQUAL, FEWER = 0.1, 8.0
FRAMES = 12


@dataclass(frozen=True)
class Judged:
    """Means over the frames; s: seconds a frame."""

    style: float
    content: float
    sharp: float
    s: float


def rows(bench: Bench) -> list[Row]:
    """The rows; trains what is not there."""
    from models.stylizer import operations, parameter_count
    from models.stylizer_checkpoint import load_stylizer

    footage = footage_at(demo_film())
    numbers = [int(n) for n in np.linspace(0, footage.frames, (2 if bench.quick else FRAMES) + 2)[1:-1]]
    frames = [np.asarray(whole(item, footage.turns, False), np.uint8) for _, item in footage.read(numbers)]
    size = footage.size
    painting = laid(bench, size)
    judged, flop, weights = [], [], []
    for run, _ in (trained(CLASSIC, bench), distilled(bench)):
        made, s = stylised(exported(run, size, bench), frames)
        judged.append(Judged(float(np.mean([style_distance(p, painting) for p in made])),
                             float(np.mean([content_distance(p, f) for p, f in zip(made, frames, strict=True)])),
                             float(np.mean([sharpness(p) for p in made])), s))  # fmt: skip
        net, config, _ = load_stylizer(run)
        flop.append(operations(config, size[1], size[0]))
        weights.append(parameter_count(net))
    teacher, student = judged
    plain = float(np.mean([style_distance(f, painting) for f in frames]))
    style, content, fewer = student.style / teacher.style - 1, student.content / teacher.content - 1, flop[0] / flop[1]
    return [
        Row("distilled student's style distance, of its teacher's",
            f"{style:+.1%} ({student.style:.2f} and {teacher.style:.2f} of 255; the plain frames' {plain:.2f})",
            f"within {EQUAL:.0%}", abs(style) <= EQUAL),
        Row("distilled student's content distance, of its teacher's",
            f"{content:+.1%} ({student.content:.3f} and {teacher.content:.3f})", f"within {EQUAL:.0%}", abs(content) <= EQUAL),
        Row(f"its operations at {size[0]}x{size[1]}", f"{fewer:.1f} times fewer ({flop[1] / 1e9:.2f} and {flop[0] / 1e9:.1f} "
            f"GFLOP; {weights[1] // 1000} and {weights[0] // 1000} k parameters)", f"at least {FEWER:.0f} times fewer",
            fewer >= FEWER),
        Row("its sharpness, of its teacher's; ms a frame of both, onnxruntime, 2 threads",
            f"{student.sharp / teacher.sharp:.2f}; {1e3 * student.s:.0f} and {1e3 * teacher.s:.0f}"),
    ]  # fmt: skip
