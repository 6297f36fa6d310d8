"""The part "ablation" of `cineml bench style`: what temporal noise in training is worth, on a grainy film never seen before.

Pairs of students, each of one seed, one number of steps, one set of teacher pictures and one order of crops: one with temporal
noise in its loss, one without. All are exported, and the ONNX files are run over the grainy film. Sharpness and excess of one
training come out a tenth otherwise by another seed, and on another processor: so there are pairs of three seeds, and what is
asked is asked of their means; a row beside tells of each pair. For film F and its mean over pairs of neighbouring frames e(F)
(style_steadiness.py):

    excess = e(stylised) - e(plain film); lowered by = 1 - excess(with) / excess(without), at least 40 %
    style distance = mean over frames of the distance from the painting (keyframes_measure.style_distance); with / without
    within 5 %; sharpness (mean gradient of luma): with / without within 5 %
    closed = (d(plain) - d(stylised)) / (d(plain) - d(optimiser's)), d the style distance, at least 60 % of both: two networks
    that hardly stylise do not count. Beside it the other reading of those words: 1 - s(stylised, optimiser's) / s(plain,
    optimiser's), s the style distance between a frame's two pictures. The optimiser's picture is painted as those that taught
    the networks, by one curve of tones for the whole film; against that of `style optimize`, which takes each frame's own
    tones, both readings stand in a row of their own.

The asked rows are of the film with strong grain (bench_style_material.py), by the flow of the film without it, which is known
because the grain was added here: on grain a flow follows the grain. The more grain, the more of E_warp is the film's own, and
the less is left to be lowered, so the percentage hangs on how much grain there is: rows beside tell of other grain and of none,
by the same networks, and one of a number without that difference: what boils when one frame stands still under grain after
grain. One tells of the default student, with its canvas, trained with and without its own noise.

The frames, both results, the report of `cineml style measure`, the table and a clip (plain, without, with, one beside the
other) stay in the bench's folder.
"""

from __future__ import annotations

import contextlib
import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from player.show.problem import Problem, ShowError
from tools.bench import Row, table
from tools.bench_style_material import GRAIN, Excerpt, Picture, grained, unseen, write_excerpt, write_pictures
from tools.bench_style_networks import (
    BARE_STEPS,
    PAIRS,
    PLAIN,
    PLAIN_WITHOUT,
    THREADS,
    WITHOUT,
    Bench,
    exported,
    stylised,
    trained,
)
from tools.film_dataset_source import picture_of
from tools.keyframes_measure import sharpness, style_distance
from tools.keyframes_suggest_shots import Span
from tools.style_distances import share_closed
from tools.style_steadiness import Shown, Steadiness, steadiness
from tools.whole_file import make_folder, write_whole

LOWER, EQUAL, CLOSED = 0.4, 0.05, 0.6
STYLE_FRAMES = 12  # whose distance from the painting is taken
AIM_FRAMES = 3  # that the optimiser paints, one of each part
BROAD_PX = 3
CLIP_REPEATS = 3  # of the excerpt in the clip: it is short
GRAINS = (8.0, 4.0, 0.0, 12.0)  # levels of 255, beside that of the asked rows
STILL_GRAINS = 8  # under which one frame of each part stands still


@dataclass(frozen=True)
class Side:
    """One network on the grainy film. excess: over 1 and 5 frames, 0..1 squared. style: mean distance from the painting.
    closed: to the painting, of the way that the optimiser goes; near: to the optimiser's own picture, of the plain frame's
    distance from it; framed: both of them where the optimiser takes each frame's own tones. sharp, content: means. broad: the
    sharpness of the means of 3x3 pixels."""

    excess: tuple[float, float]
    style: float
    closed: float
    near: float
    framed: tuple[float, float]
    sharp: float
    content: float
    broad: float


def rows(bench: Bench) -> list[Row]:
    """The rows; trains what is not there."""
    excerpt = unseen()
    networks = [n for pair in PAIRS[: 1 if bench.quick else None] for n in pair]
    runs = [trained(n, bench) for n in networks]
    models = [exported(run, excerpt.size, bench) for run, _ in runs]
    made = {n.name: stylised(model, excerpt.frames)[0] for n, model in zip(networks, models, strict=True)}
    folder = bench.work / "ablation"
    sides, plain = measured(excerpt, made, bench, folder)
    found = ablation_rows(mean_side(sides[::2]), mean_side(sides[1::2]), plain, excerpt.told)
    found.append(Row("temporal noise, each of the pairs: excess; style distance; sharpness",
                     ", ".join(told_pair(a, b) for a, b in zip(sides[::2], sides[1::2], strict=True))))  # fmt: skip
    name = "temporal noise, grain of {:g} levels"
    found += [beside(name.format(g), unseen(g), models, bench) for g in GRAINS[: 1 if bench.quick else None]]
    still = f"grain of {GRAIN:g} levels on frames that stand still"
    found.append(still_row(f"temporal noise, {still}", models, bench))
    canvas = [exported(trained(n, bench)[0], excerpt.size, bench) for n in (PLAIN_WITHOUT, PLAIN)]
    default = "the default student, with its canvas, temporal noise"
    found.append(beside(f"{default}, grain of {GRAIN:g} levels", excerpt, canvas, bench))
    found.append(still_row(f"{default}, {still}", canvas, bench))
    minutes = ", ".join(f"{m:.1f}" for _, m in runs)
    found.append(Row("ablation: steps of each; minutes of each, the teacher's pictures with the first",
                     f"{2 if bench.quick else BARE_STEPS}; {minutes}"))  # fmt: skip
    text = f"# Temporal noise in training: with and without\n\n{table(found)}\n"
    write_whole(folder / "table.md", lambda part: part.write_text(text, encoding="utf-8"))
    write_clip(excerpt, list(made.values())[:2], folder / "before_after.mp4")
    print(f"bench: {folder}: report/report.html, table.md, before_after.mp4", flush=True)
    return found


def beside(name: str, excerpt: Excerpt, models: Sequence[Path], bench: Bench) -> Row:
    """Exported networks, trained without noise and with it by turns, on an excerpt: their means."""
    made = [stylised(model, excerpt.frames)[0] for model in models]
    spans = [Span(i, a, b, a, b) for i, (a, b) in enumerate(excerpt.ranges, 1)]
    shown = [(n, Shown(f, tuple(own), clean)) for n, (f, clean, *own) in
             enumerate(zip(excerpt.frames, excerpt.clean, *made, strict=True))]  # fmt: skip
    found = steadiness(shown, spans, speed="fast" if bench.quick else "medium", threads=THREADS)
    sampled = [pictures[:: max(1, len(pictures) // STYLE_FRAMES)] for pictures in made]
    painting = [laid(bench, excerpt.size)] * len(sampled[0])
    return Row(f"{name}: excess 1-frame E_warp; E_warp; sharpness; style distance",
               told_beside(found, [mean_distance(some, painting) for some in sampled]))  # fmt: skip


def still_row(name: str, models: Sequence[Path], bench: Bench) -> Row:
    """Exported networks, trained without noise and with it by turns, on frames that stand still under grain after grain."""
    excerpt = unseen(0.0)
    at = [(a + b) // 2 for a, b in excerpt.ranges]
    films = [tuple(grained(excerpt.frames[n], np.random.default_rng((n, k)), GRAIN) for k in range(STILL_GRAINS)) for n in at]
    found = np.asarray([np.mean([boil(stylised(model, film)[0]) for film in films[: 1 if bench.quick else None]], axis=0)
                        for model in models])  # fmt: skip
    (without, stands), (with_, calm) = found[::2].mean(axis=0), found[1::2].mean(axis=0)
    return Row(f"{name}: what boils (E_warp without motion); sharpness of what stands",
               f"{lowered(without, with_)} ({1e4 * with_:.2f} and {1e4 * without:.2f} e-4); "
               f"{calm / stands - 1:+.1%}")  # fmt: skip


def lowered(without: float, with_: float) -> str:
    """'40% lower', '5% higher', or that one of the two has nothing above the film's own."""
    if without <= 0:
        return "no excess without it"
    if with_ <= 0:
        return "no excess with it"
    return f"{abs(1 - with_ / without):.0%} {'lower' if with_ <= without else 'higher'}"


def boil(pictures: Sequence[Picture]) -> tuple[float, float]:
    """(the expected mean square between two of the pictures, 0..1 squared: E_warp where nothing moves; the sharpness of their
    mean) of uint8 [H, W, 3], results of one frame under grain after grain."""
    stack = np.asarray(pictures, np.float32)
    own = 2 * float(stack.var(axis=0, ddof=1).mean()) / 255**2
    return own, sharpness(np.rint(stack.mean(axis=0)).astype(np.uint8))


def told_beside(found: Steadiness, style: Sequence[float]) -> str:
    """The means of films 1, 3, ... (with) against those of films 0, 2, ... (without). style: distances from the painting."""

    def means(of: Callable[[int], float]) -> tuple[float, float]:
        numbers = [of(i) for i in range(len(style))]
        return float(np.mean(numbers[::2])), float(np.mean(numbers[1::2]))

    (without, with_), raw = means(lambda i: found.excess(i, 1)), means(lambda i: 1e4 * found.e_warp(i, 1))
    sharp, far = means(found.sharp), means(lambda i: style[i])
    return (f"{lowered(without, with_)} ({1e4 * with_:.2f} and {1e4 * without:.2f} e-4); {raw[1]:.2f} and {raw[0]:.2f}, "
            f"the film's own {1e4 * found.e_warp(-1, 1):.2f}; "
            f"{sharp[1] / sharp[0] - 1:+.1%}; {far[1] / far[0] - 1:+.1%}")  # fmt: skip


def mean_side(sides: Sequence[Side]) -> Side:
    """The mean of each number."""

    def mean(key: str) -> Any:
        return tuple(float(n) for n in np.mean([np.atleast_1d(getattr(s, key)) for s in sides], axis=0))

    single = {f.name: mean(f.name)[0] for f in fields(Side) if f.name not in ("excess", "framed")}
    return Side(excess=mean("excess"), framed=mean("framed"), **single)


def told_pair(without: Side, with_: Side) -> str:
    """'42% lower; -1.0%; +2.0%' of one pair."""
    told = lowered(without.excess[0], with_.excess[0])
    return f"{told}; {with_.style / without.style - 1:+.1%}; {with_.sharp / without.sharp - 1:+.1%}"


def measured(excerpt: Excerpt, made: Mapping[str, Sequence[Picture]], bench: Bench, folder: Path) -> tuple[list[Side], float]:
    """(each network, the plain film's own E_warp over 1 frame), by `cineml style measure`. Raises ShowError."""
    from tools import style_measure

    make_folder(folder)
    original, clean, cuts = write_excerpt(excerpt, folder)
    for name, pictures in made.items():
        write_pictures(folder / name, pictures)
    words = [original, *(folder / name for name in made), "--style", bench.painting(), "--cuts", cuts, "--flow-from", clean,
             "--style-frames", STYLE_FRAMES, "-o", folder / "report", *(("--flow", "fast") if bench.quick else ())]  # fmt: skip
    with contextlib.redirect_stdout(sys.stderr):
        code = style_measure.main([str(w) for w in words])
    if code:
        raise ShowError(Problem("bench style", f"cineml style measure ended with {code}", "", "see what it said above"))
    films = json.loads((folder / "report" / "measure.json").read_text(encoding="utf-8"))["films"]
    at, aims, framed = optimised(excerpt, bench)
    write_pictures(folder / "optimiser", aims)
    write_pictures(folder / "optimiser_by_frame", framed)
    painting = [laid(bench, excerpt.size)] * len(at)
    plain = [excerpt.frames[n] for n in at]

    def shares(own: Sequence[Picture], aims: Sequence[Picture]) -> tuple[float, float]:
        way = share_closed(mean_distance(plain, painting), mean_distance(own, painting), mean_distance(aims, painting))
        return way, share_closed(mean_distance(plain, aims), mean_distance(own, aims))

    sides = []
    for name, pictures in made.items():
        own, n = [pictures[n] for n in at], films[name]
        excess = tuple(math.nan if n[key] is None else n[key] for key in ("excess_1", "excess_5"))
        closed, near = shares(own, aims)
        some = pictures[:: max(1, len(pictures) // STYLE_FRAMES)]
        broad = float(np.mean([sharpness(np.asarray(cv2.blur(p, (BROAD_PX, BROAD_PX)), np.uint8)) for p in some]))
        sides.append(Side((excess[0], excess[1]), n["style"], closed, near, shares(own, framed), n["sharpness"], n["content"],
                          broad))  # fmt: skip
    return sides, films["original"]["e_warp_1"]


def mean_distance(pictures: Sequence[Picture], others: Sequence[Picture]) -> float:
    return float(np.mean([style_distance(a, b) for a, b in zip(pictures, others, strict=True)]))


def laid(bench: Bench, size: tuple[int, int]) -> Picture:
    """The painting as its strokes are laid on frames of (width, height)."""
    from tools.paint_style import read_painting, scaled

    return scaled(read_painting(bench.painting()), size[0] * size[1], 1.0).picture


def optimised(excerpt: Excerpt, bench: Bench) -> tuple[list[int], list[Picture], list[Picture]]:
    """(frames, what the optimiser makes of them as it taught the networks, what it makes by each frame's own tones): one of
    each part. By a curve of each frame's own the same grey is another colour in each shot, which no network was asked for."""
    from tools.paint_options import PaintOptions
    from tools.paint_style import read_painting
    from tools.style_patches import Easel
    from tools.style_train_pictures import clip_of, film_curve, film_palette

    at = list(excerpt.cuts)[:AIM_FRAMES]
    width, height = excerpt.size
    painting, options = read_painting(bench.painting()), PaintOptions(preset="draft", threads=1)
    learnt = [clip_of([0], {0: picture_of(p)}) for p in sorted((trained(WITHOUT, bench)[0] / "frames").glob("*.png"))]
    teacher = Easel([painting], options, learnt[0].frames.shape[1:3])
    easel = Easel([painting], options, (height, width))
    framed = [easel.stylise(excerpt.frames[n]).picture for n in at]
    easel.palette = film_palette(easel.palette, film_curve(learnt, teacher.palette))
    return at, [easel.stylise(excerpt.frames[n]).picture for n in at], framed


def ablation_rows(without: Side, with_: Side, plain: float, told: str) -> list[Row]:
    """The rows. plain: the film's own E_warp over 1 frame."""
    lower = [1 - b / a if a > 0 else math.nan for a, b in zip(without.excess, with_.excess, strict=True)]
    style, sharp = with_.style / without.style - 1, with_.sharp / without.sharp - 1
    closed, near = min(without.closed, with_.closed), min(without.near, with_.near)
    name = "temporal noise"
    return [
        Row(f"{name}, {told}: excess 1-frame E_warp of the ONNX, trained with it against without",
            f"{lower[0]:.0%} lower ({1e4 * with_.excess[0]:.2f} and {1e4 * without.excess[0]:.2f} e-4; E_warp itself "
            f"{1e4 * (with_.excess[0] + plain):.2f} and {1e4 * (without.excess[0] + plain):.2f}, the film's own "
            f"{1e4 * plain:.2f})", f"at least {LOWER:.0%} lower", lower[0] >= LOWER),
        Row(f"{name}: style distance from the painting, the same",
            f"{style:+.1%} ({with_.style:.2f} and {without.style:.2f} of 255)", f"within {EQUAL:.0%}", abs(style) <= EQUAL),
        Row(f"{name}: sharpness, the same", f"{sharp:+.1%} ({with_.sharp:.2f} and {without.sharp:.2f})", f"within {EQUAL:.0%}",
            abs(sharp) <= EQUAL),
        Row(f"{name}: sharpness of the means of 3x3 pixels, which hold strokes and no pattern of single pixels, the same",
            f"{with_.broad / without.broad - 1:+.1%} ({with_.broad:.2f} and {without.broad:.2f})"),
        Row(f"{name}: of the way from plain frame to painting that the optimiser goes, closed by each",
            f"{with_.closed:.0%} and {without.closed:.0%}", f"at least {CLOSED:.0%} of both", closed >= CLOSED),
        Row(f"{name}: of the plain frame's style distance from the optimiser's picture, closed by each",
            f"{with_.near:.0%} and {without.near:.0%}", f"at least {CLOSED:.0%} of both", near >= CLOSED),
        Row(f"{name}: the last two where the optimiser takes each frame's own tones, which the networks were not taught",
            f"{with_.framed[0]:.0%} and {without.framed[0]:.0%}; {with_.framed[1]:.0%} and {without.framed[1]:.0%}"),
        Row(f"{name}: excess 5-frame E_warp; content distance, with and without",
            f"{lower[1]:.0%} lower; {with_.content:.3f} and {without.content:.3f}"),
    ]  # fmt: skip


def write_clip(excerpt: Excerpt, made: Sequence[Sequence[Picture]], path: Path) -> None:
    """The plain film, without and with, one beside the other, H.264. Raises ShowError."""
    from PIL import Image, ImageDraw

    from player.recorder import Recorder
    from player.screen.typeface import font_for

    names = ("plain", "without temporal noise", "with")
    font = font_for(names, 16)
    width, height = (n // 2 * 2 for n in excerpt.size)
    with Recorder(path, (3 * width, height), Fraction(24), None) as recorder:
        for turn in range(CLIP_REPEATS):
            for n, frame in enumerate(excerpt.frames):
                row = Image.fromarray(np.concatenate([p[:height, :width] for p in (frame, made[0][n], made[1][n])], axis=1))
                pen = ImageDraw.Draw(row)
                for i, name in enumerate(names):
                    box = pen.textbbox((i * width + 8, 6), name, font=font)
                    pen.rectangle((box[0] - 4, box[1] - 3, box[2] + 4, box[3] + 3), fill=(0, 0, 0))
                    pen.text((i * width + 8, 6), name, (255, 255, 255), font)
                recorder.add(np.asarray(row), turn * len(excerpt.frames) + n)
