"""`cineml style measure ORIGINAL STYLISED ...`: how steady a stylised film is, how near to painting and film, and how sharp.

E_warp over 1 and 5 frames and its excess over the original's own (style_steadiness.py), per shot and in all; distances from the
painting and from the original's drawing, and sharpness (style_distances.py); whether the calmer of two films only has the blur
to thank for it (style_measure_blur.py). A plot over time with the cuts marked, the worst moments as pictures, tables, a page.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import math
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from player.progress import Progress
from player.show.film import format_timecode
from player.show.problem import Problem, ShowError
from tools.film_dataset import version_of
from tools.film_dataset_source import Footage, footage_at, range_of
from tools.keyframes_measure import PATCH_PX, whole_patches
from tools.keyframes_suggest_shots import Span, cuts_of, spans_of
from tools.paint_style import Painting, read_painting, scaled
from tools.style_distances import jitter_px, share_closed, sharpness, style_distance
from tools.style_measure_blur import Blurred, chosen_pairs, compared, suspects
from tools.style_measure_films import Stylised, frames_of, stylised_of
from tools.style_measure_options import FLOWS, arguments, flow_films, option_problems, output_of
from tools.style_measure_page import blur_note, page, shown
from tools.style_measure_plot import Worst, moment, plot_png, worst_png
from tools.style_steadiness import STEPS, Shown, Speed, Steadiness, mean, steadiness, worst_of
from tools.whole_file import check_folder, make_folder, sha256_of, write_whole

TOOL = "cineml style measure"
DONE, BAD_INPUT, STOPPED = 0, 2, 130
FILES = ("measure.json", "frames.csv", "shots.csv", "plot.png", "report.html", "worst.png")
WHOLE = 1 << 40  # frames of a span: none is divided
APART = 12  # frames between two worst moments
LESS_SHARP = 0.8  # of the original's sharpness: below, a film is said to be blurred
PACKAGES = ("cineml", "av", "numpy", "opencv-python", "matplotlib")
Picture = NDArray[np.uint8]
Numbers = dict[str, Any]


@dataclass(frozen=True)
class Job:
    """A checked command line. Frames [first, last) of the original are measured. paintings: as their strokes are laid on the
    frames, by name."""

    args: argparse.Namespace
    original: Footage
    films: tuple[Stylised, ...]
    spans: tuple[Span, ...]
    paintings: dict[str, Painting]
    first: int
    last: int
    output: Path
    guide: Stylised | None  # whose flow is followed where that is not the original

    @property
    def names(self) -> list[str]:
        return [f.name for f in self.films]

    @property
    def speed(self) -> Speed:
        return FLOWS[self.args.flow]  # type: ignore[return-value]

    def shot_of(self, frame: int) -> int:
        return next((s.shot for s in self.spans if s.start <= frame < s.end), 0)


def main(argv: Sequence[str] | None = None) -> int:
    """The deed. Returns the exit code: 0, 2 for bad input, 130 where Ctrl-C stopped it."""
    args = arguments().parse_args(argv)
    out = sys.stderr if args.json else sys.stdout
    try:
        job = job_of(args, out)
        told = measure(job, out)
    except ShowError as e:
        print(e, file=sys.stderr)
        return BAD_INPUT
    except MemoryError:
        hint = "fewer films at once, or smaller ones"
        print(Problem(str(args.original), "needs more memory than there is", "", hint), file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print("\nstopped; nothing was written, and what was there before is still there", file=sys.stderr)
        return STOPPED
    if args.json:
        print(json.dumps(told, indent=1))
    return DONE


def job_of(args: argparse.Namespace, out: TextIO) -> Job:
    """Everything checked and read that costs little. Raises ShowError with all that can be said at once."""
    problems = option_problems(args) + foreign_problems(output_of(args))
    try:
        check_folder(output_of(args))
    except ShowError as e:
        problems += [p for p in e.problems if not output_of(args).is_file()]  # that is said already
    films: list[Footage] = []
    paintings = {}
    for path in (args.original, *args.stylised, *flow_films(args), *args.style):
        try:
            if path in args.style:
                paintings[path] = read_painting(path)
            elif path.exists():
                films.append(footage_at(path, args.rate if path.is_dir() else None))
        except ShowError as e:
            problems += [p for p in e.problems if not (path in args.style and not path.is_file())]
    if problems:
        raise ShowError(problems)
    original = films[0]
    first, last = range_of(args, original)
    others = stylised_of(films[1:], original, first, last, out)
    stylised, guide = (others[:-1], others[-1]) if flow_films(args) else (others, None)
    width, height = original.size
    laid = {}
    for path, painting in paintings.items():
        for note in painting.notes:
            print(f"{path.name}: {note}", file=out)
        small = scaled(painting, width * height, args.scale)
        if not whole_patches(small.usable).any():
            given = f"has no {PATCH_PX}x{PATCH_PX} pixels that are all painted"
            raise ShowError(Problem(str(path), given, "a painting with less that is transparent"))
        laid[path.stem if path.stem not in laid else str(path)] = small
    cuts = cuts_of(args.cuts, original, first, last, out)
    spans = tuple(spans_of(cuts, first, last, WHOLE))
    return Job(args, original, stylised, spans, laid, first, last, Path(os.path.abspath(output_of(args))), guide)


def foreign_problems(output: Path) -> list[Problem]:
    """Files in the report's places that no measurement has written."""
    there = [name for name in FILES if (output / name).exists()]
    if not there or is_ours(output / "measure.json"):
        return []
    given = f"is there already, and is not this command's{' (there are others)' if len(there) > 1 else ''}"
    return [Problem(str(output / there[0]), given, "another -o")]


def is_ours(path: Path) -> bool:
    """Whether a file is the numbers of an earlier measurement."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(told, dict) and told.get("tool") == TOOL


def measure(job: Job, out: TextIO) -> dict[str, Any]:
    """Measures, writes everything, says it, and returns what --json prints. Raises ShowError."""
    threads = job.args.threads or os.cpu_count() or 1
    progress = Progress(job.last - job.first, "frames", out)
    numbers = range(job.first, job.last)
    found = steadiness(frames_of(job.original, job.films, numbers, job.guide), job.spans, speed=job.speed, threads=threads,
                       tick=progress.at)  # fmt: skip
    progress.done(f"{job.original.path.name}: {job.last - job.first} frames measured")
    styles = style_distances(job)
    films = {"original": film_numbers(found, -1, styles, job), **{
        name: film_numbers(found, i, styles, job) for i, name in enumerate(job.names)}}  # fmt: skip
    shots = shot_numbers(found, job)
    blurs = [compared(a, b, shown_pairs(job, chosen_pairs(found)), job.speed) for a, b in suspects(found, len(job.films))]
    notes = notes_of(job, films, blurs)
    worst = worst_moments(job, found)
    about = (f"Frames {job.first} to {job.last - 1} of {job.original.path.name}, {len(job.spans)} shots, "
             f"{job.original.size[0]} x {job.original.size[1]}."
             f"{f' The flow is that of {job.guide.footage.path.name}.' if job.guide else ''}")  # fmt: skip
    told = {"tool": TOOL, "original": job.original.path.name, "range": [job.first, job.last],
            "films": plain(films), "shots": [plain({"shot": s.shot, "start": s.start, "end": s.end, "films": n})
                                             for s, n in shots], "blurred": plain([asdict(b) | {"by_blur": b.by_blur}
                                                                                   for b in blurs]),
            "worst": [plain({"film": job.names[w.film], "frame": w.frame, "shot": w.shot, "timecode": w.timecode,
                             "e_warp_1": w.made, "original": w.own}) for w in worst], "notes": notes}  # fmt: skip
    written = write_all(job, found, films, shots, notes, worst, about, told)
    say(job, films, notes, out)
    print(f"{output_of(job.args)}: {', '.join(written)}", file=out)
    return told


def style_distances(job: Job) -> dict[str, list[float]]:
    """{painting: its mean distance from the original's frames, then from each stylised film's}, over the same frames: the
    middle one of every shot, and as many evenly spread as --style-frames leaves."""
    if not job.paintings:
        return {}
    chosen = {(s.clear_start + s.clear_end) // 2 for s in job.spans}
    spare = max(0, job.args.style_frames - len(chosen))
    chosen |= {int(n) for n in np.linspace(job.first, job.last - 1, spare + 2)[1:-1]}
    found: dict[str, list[list[float]]] = {name: [[] for _ in range(len(job.films) + 1)] for name in job.paintings}
    for _, pictures in frames_of(job.original, job.films, sorted(chosen)):
        for name, painting in job.paintings.items():
            for film, picture in enumerate((pictures.own, *pictures.made)):
                found[name][film].append(style_distance(picture, painting.picture, usable=painting.usable))
    return {name: [mean(values) for values in films] for name, films in found.items()}


def film_numbers(found: Steadiness, film: int, styles: dict[str, list[float]], job: Job) -> Numbers:
    """All numbers of one film; film -1: of the original. Distances of style only where there is a painting; of several
    paintings `style` is the nearest one's."""
    told: Numbers = {}
    for step in STEPS:
        told[f"e_warp_{step}"] = found.e_warp(film, step)
        if film >= 0:
            told[f"excess_{step}"] = found.excess(film, step)
    told["jitter_px"] = jitter_px(found.e_warp(film, 1), found.slope(film))
    told["sharpness"] = found.sharp(film)
    if film >= 0:
        told["content"] = found.content(film)
        told["sharpness_of_original"] = told["sharpness"] / own if (own := found.sharp(-1)) > 0 else math.nan
    if styles:
        nearest = min(styles, key=lambda name: styles[name][film + 1])
        told["styles"] = {name: values[film + 1] for name, values in styles.items()}
        told["style"] = styles[nearest][film + 1]
        told["style_closed"] = share_closed(styles[nearest][0], told["style"]) if film >= 0 else math.nan
        painting = job.paintings[nearest]
        told["sharpness_of_painting"] = told["sharpness"] / max(sharpness(painting.picture, painting.usable), 1e-6)
    return told


def shot_numbers(found: Steadiness, job: Job) -> list[tuple[Span, dict[str, Numbers]]]:
    """(shot, numbers by film), the shot with the greatest excess of the first stylised film first."""
    shots = []
    for span in job.spans:
        own = found.within(span.start, span.end)
        shots.append((span, {"original": film_numbers(own, -1, {}, job)} | {
            name: film_numbers(own, i, {}, job) for i, name in enumerate(job.names)}))  # fmt: skip
    first = job.names[0]
    return sorted(shots, key=lambda s: -np.nan_to_num(s[1][first]["excess_1"], nan=-np.inf))


def shown_pairs(job: Job, frames: Sequence[int]) -> list[tuple[Shown, Shown]]:
    """The pictures of these frames and of those after them."""
    wanted = sorted({n + k for n in frames for k in (0, 1)})
    pictures = dict(frames_of(job.original, job.films, wanted, job.guide))
    return [(pictures[n], pictures[n + 1]) for n in frames]


def worst_moments(job: Job, found: Steadiness) -> list[Worst]:
    """The worst moments of every stylised film, as pictures."""
    chosen = [(film, pair) for film in range(len(job.films)) for pair in worst_of(found, film, job.args.worst, APART)]
    made = []
    for film, pair in chosen:
        [(here, later)] = shown_pairs(job, [pair.frame])
        timecode = format_timecode(pair.frame, job.original.rate)
        made.append(moment(film, pair.frame, job.shot_of(pair.frame), timecode, pair.own, pair.made[film], here, later,
                           job.speed))  # fmt: skip
    return made


def notes_of(job: Job, films: dict[str, Numbers], blurs: Sequence[Blurred]) -> list[str]:
    """What a reader of the numbers has to know."""
    notes = [blur_note(b, job.names) for b in blurs]
    for name in job.names:
        of_film, of_painting = films[name]["sharpness_of_original"], films[name].get("sharpness_of_painting", 0.0)
        steady = math.isfinite(films[name]["e_warp_1"])
        if steady and of_film < LESS_SHARP and of_painting < LESS_SHARP:
            beside = f" and {of_painting:.0%} of the painting's" if "sharpness_of_painting" in films[name] else ""
            notes.append(f"{name} has {of_film:.0%} of the original's sharpness{beside}: it is blurred, and its E_warp is low "
                         "for that too; see its jitter")  # fmt: skip
    if not any(math.isfinite(films[name]["e_warp_1"]) for name in job.names):
        notes.append("no two frames of one shot show the same: there is nothing to say about steadiness")
    return notes


def write_all(job: Job, found: Steadiness, films: dict[str, Numbers], shots: Sequence[tuple[Span, dict[str, Numbers]]],
              notes: Sequence[str], worst: Sequence[Worst], about: str, told: dict[str, Any]) -> list[str]:  # fmt: skip
    """Every file of the report; their names. Raises ShowError."""
    names = job.names
    plot = plot_png(found, names, [s.start for s in job.spans[1:]], (job.first, job.last))
    called = [(f"{s.shot} (frames {s.start} to {s.end - 1})", numbers) for s, numbers in shots]
    title = f"{', '.join(names)}: how steady"
    versions = {name: version_of(name) for name in PACKAGES}
    followed = {"flow_from": job.guide.footage.sha256()} if job.guide else {}  # its own name may be the original's
    hashes = {"original": job.original.sha256(), **followed, **{f.name: f.footage.sha256() for f in job.films},
              **{p.name: sha256_of(p) for p in job.args.style}}  # fmt: skip
    options = {k: [p.name for p in v] if isinstance(v, list) else v.name if isinstance(v, Path) else v
               for k, v in vars(job.args).items()}  # fmt: skip
    record = {**told, "options": options, "sha256": hashes, "versions": versions}
    files: dict[str, bytes] = {  # the first says whose the others are
        "measure.json": (json.dumps(record, indent=1) + "\n").encode(),
        "frames.csv": frames_csv(job, found).encode(), "shots.csv": shots_csv(shots).encode(), "plot.png": plot,
        "report.html": page(title, films, called, notes, plot, worst, about).encode()}  # fmt: skip
    if worst:
        files["worst.png"] = worst_png(worst, names)
    make_folder(job.output)
    for name, data in files.items():
        write_whole(job.output / name, lambda part, data=data: part.write_bytes(data))  # type: ignore[misc]
    return sorted(files)


def frames_csv(job: Job, found: Steadiness) -> str:
    """A row a frame: E_warp of the pairs that begin at it, content and sharpness; empty where there is none."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    films = ["original", *job.names]
    writer.writerow(("frame", "timecode", "shot", *(f"e_warp_{k} {n}" for k in STEPS for n in films),
                     *(f"content {n}" for n in job.names), *(f"sharpness {n}" for n in films)))  # fmt: skip
    pairs = {(p.frame, p.step): (p.own, *p.made) for p in found.pairs}
    for s in found.stills:
        errors = [v for k in STEPS for v in pairs.get((s.frame, k), (math.nan,) * len(films))]
        told = [f"{v:.6g}" if math.isfinite(v) else "" for v in (*errors, *s.content, *s.sharp)]
        writer.writerow((s.frame, format_timecode(s.frame, job.original.rate), job.shot_of(s.frame), *told))
    return out.getvalue()


def shots_csv(shots: Sequence[tuple[Span, dict[str, Numbers]]]) -> str:
    """A row a shot and film, in the order of the film."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    keys = ("e_warp_1", "excess_1", "e_warp_5", "excess_5", "jitter_px", "content", "sharpness", "sharpness_of_original")
    writer.writerow(("shot", "start", "end", "film", *keys))
    for span, films in sorted(shots, key=lambda s: s[0].start):
        for name, numbers in films.items():
            told = [f"{numbers[k]:.6g}" if math.isfinite(numbers.get(k, math.nan)) else "" for k in keys]
            writer.writerow((span.shot, span.start, span.end, name, *told))
    return out.getvalue()


def say(job: Job, films: dict[str, Numbers], notes: Sequence[str], out: TextIO) -> None:
    """The numbers for a person."""
    wide = max(len(n) for n in films)
    print(f"{'':{wide}}  E_warp 1  excess  E_warp 5  excess  jitter   style  closed  content  sharpness", file=out)
    print(f"{'':{wide}}      1e-4    1e-4      1e-4    1e-4      px       (painting)", file=out)
    for name, n in films.items():
        cells = [("e_warp_1", 8), ("excess_1", 6), ("e_warp_5", 8), ("excess_5", 6), ("jitter_px", 6), ("style", 6),
                 ("style_closed", 6), ("content", 7), ("sharpness", 9)]  # fmt: skip
        print(f"{name:{wide}}  " + "  ".join(f"{shown(k, n.get(k)):>{w}}" for k, w in cells), file=out)
    for note in notes:
        print(note, file=out)


def plain(value: Any) -> Any:
    """For JSON: what is no number is null."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


if __name__ == "__main__":
    sys.exit(main())
