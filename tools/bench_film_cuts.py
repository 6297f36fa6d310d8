"""`cineml bench film`, the part "cuts": how many true boundaries are found, on real films, on the demo and on generated traps.

A detection counts where it lies in [start - 2, end + 2] of a marked transition, once for each. PySceneDetect's detectors,
with their own defaults, run on the same files in the same run. The real films are not the project's own, so their rows are
there only where the folder with them is.

How settings are chosen: all that differs between films is measured in the film itself, as ratios to what lies around a place.
Two numbers decide: the ratio at which a hard cut is as likely as not, and what is added to a dissolve's odds. Both are chosen
anew for each real film on the other two only (leave one out), from a grid around the defaults, which are the same for all.
"""

from __future__ import annotations

import csv
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from player.recorder import Recorder
from player.show.cut_list import read_csv
from player.show.problem import Problem, ShowError
from player.sources.film_reader import FilmReader
from tools.bench import Row
from tools.cuts_find import Settings, decided, find, picture_of
from tools.cuts_hard import RATIO
from tools.cuts_pictures import open_source, reduced_frames
from tools.cuts_signal import Signals, signals_of
from tools.cuts_suite import Clip, clips, random_film
from tools.cuts_transition import Transition, matched, spans_of

ASKED_F1, ASKED_RATE = 0.92, 600.0
GRID = tuple(Settings(RATIO * factor, bias) for factor in (0.5, 0.7, 1.0, 1.4, 2.0) for bias in (-0.6, 0.0, 0.6))
NOT_COUNTED = {("sintel", 1222)}  # the credits' cut to black at the film's end, marked "count it or not"
DETECTORS = ("HashDetector", "ContentDetector", "AdaptiveDetector", "HistogramDetector")
RANDOM_SEEDS = range(100, 116)
SPEED_SIZE, SPEED_FRAMES = (854, 480), 1200
Span = tuple[int, int]


@dataclass(frozen=True)
class Score:
    """hits, false alarms, misses."""

    hits: int = 0
    false: int = 0
    missed: int = 0

    def __add__(self, other: Score) -> Score:
        return Score(self.hits + other.hits, self.false + other.false, self.missed + other.missed)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 1 where there was nothing to find and nothing was found."""
        total = 2 * self.hits + self.false + self.missed
        return 2 * self.hits / total if total else 1.0

    def told(self) -> str:
        """For a table."""
        return f"{self.f1:.3f} ({self.hits} of {self.hits + self.missed}, {self.false} false)"


@dataclass(frozen=True)
class Film:
    """One film with its truth. marks: (start, end) of the true transitions; hard: frames of its hard cuts."""

    name: str
    path: Path
    rate: Fraction
    marks: tuple[Span, ...]
    hard: tuple[int, ...]


def rows(shared: Path | None = None, demo: Path | None = None, baseline: bool = True) -> list[Row]:
    """The rows. shared: the folder that holds footage/, default beside the repository; demo: the folder of the demo film,
    default the demo show's. baseline: PySceneDetect too, which must then be installed. Raises ShowError."""
    repository = Path(__file__).resolve().parents[1]
    shared = shared or repository.parent / "shared"
    demo = demo or repository / "show_configs" / "demo"
    if baseline:
        need_scenedetect()
    made: list[Row] = []
    footage = footage_films(shared / "footage")
    if footage:
        made += footage_rows(footage, baseline)
    else:
        made.append(Row("cuts: three real films", "not here: needs ../shared/footage", f"F1 at least {ASKED_F1}"))
    if (demo / "cuts.csv").is_file():
        made += demo_rows(demo)
    with tempfile.TemporaryDirectory(prefix="cineml-bench-") as folder:
        made += suite_rows(Path(folder), baseline)
        made += random_rows(Path(folder), baseline)
        made += speed_rows(Path(folder), demo, baseline)
    return made


def need_scenedetect() -> None:
    """Raises ShowError where the baseline cannot run."""
    import importlib.util

    if importlib.util.find_spec("scenedetect") is None:
        raise ShowError(Problem("bench film", "compares with PySceneDetect, and scenedetect is not installed", "",
                                'pip install "cineml[bench]"'))  # fmt: skip


def footage_films(folder: Path) -> list[Film]:
    """The real films with their hand-made marks; empty where they are not here."""
    found = []
    for marks_path in sorted(folder.glob("*.cuts.csv")) if folder.is_dir() else []:
        name = marks_path.name.partition("_")[0]
        with marks_path.open(encoding="utf-8", newline="") as file:
            lines = [r for r in csv.DictReader(file) if (name, int(r["frame_index"])) not in NOT_COUNTED]
        path = marks_path.with_name(marks_path.name.replace(".cuts.csv", ".mp4"))
        found.append(Film(name, path, open_source(path).rate, tuple((int(r["start"]), int(r["end"])) for r in lines),
                          tuple(int(r["frame_index"]) for r in lines if r["type"] == "cut")))  # fmt: skip
    return found


def signals_from(path: Path) -> tuple[Signals, Fraction]:
    """A film read and measured."""
    source = open_source(path)
    reduced = reduced_frames(source, 0, source.frames)
    return signals_of(reduced, picture_of(reduced.luma)), source.rate


def score_of(frames: Sequence[int], film: Film) -> Score:
    """How well detections at these frames meet a film's marks."""
    counted = [f for f in frames if (film.name, f) not in NOT_COUNTED]
    hits = sum(m is not None for m in matched(counted, film.marks))
    return Score(hits, len(counted) - hits, len(film.marks) - hits)


def scored(s: Signals, film: Film, settings: Settings) -> tuple[Score, tuple[Transition, ...]]:
    """The score of these settings on a film, and what they found."""
    found = decided(s, float(film.rate), settings).transitions
    return score_of([t.frame for t in found], film), found


def footage_rows(films: Sequence[Film], baseline: bool) -> list[Row]:
    """The real films: settings from the others, the defaults, the black-and-white one exactly, and PySceneDetect."""
    signals = [signals_from(film.path)[0] for film in films]
    table = [[scored(s, film, settings) for settings in GRID] for s, film in zip(signals, films, strict=True)]
    pooled, made, chosen_by_film = Score(), [], []
    for i, film in enumerate(films):
        others = [sum((table[j][k][0] for j in range(len(films)) if j != i), Score()) for k in range(len(GRID))]
        best = max(s.f1 for s in others)
        # Of equals the one in the middle of the grid, which stands at its middle: no look at the film itself.
        chosen = min((k for k in range(len(GRID)) if others[k].f1 == best), key=lambda k: (abs(k - len(GRID) // 2), k))
        chosen_by_film.append(chosen)
        score, found = table[i][chosen]
        pooled += score
        used = f"ratio {GRID[chosen].ratio:.1f}, mixing {GRID[chosen].mixing:+.1f}"
        made.append(Row(f"cuts: {film.name}, settings from the other two ({used})", score.told()))
        if film.name == "abomb":
            exact = {t.frame for t in found} == set(film.hard)
            made.append(Row("cuts: the black-and-white film's hard cuts to the frame, no false alarm", "yes" if exact else "no",
                            "yes", exact))  # fmt: skip
    made.append(Row("cuts: three real films pooled, settings chosen without the film scored", pooled.told(),
                    f"F1 at least {ASKED_F1}", pooled.f1 >= ASKED_F1))  # fmt: skip
    middle = len(GRID) // 2
    made.append(Row("cuts: three real films pooled, default settings", sum((t[middle][0] for t in table), Score()).told()))
    worst = min(range(len(GRID)), key=lambda k: sum((t[k][0] for t in table), Score()).f1)
    made.append(Row("cuts: three real films pooled, the worst settings of the grid",
                    sum((t[worst][0] for t in table), Score()).told()))  # fmt: skip
    for name, shortest in [*((n, None) for n in DETECTORS), (DETECTORS[0], 1)] if baseline else []:
        total = sum((score_of(scenedetect_frames(film.path, name, shortest), film) for film in films), Score())
        how = "" if shortest is None else f", min_scene_len {shortest}"
        made.append(Row(f"cuts: three real films pooled, PySceneDetect {name}{how}", total.told()))
    return made


def scenedetect_frames(path: Path, name: str, shortest: int | None = None) -> list[int]:
    """First frames of the scenes that a detector of PySceneDetect finds with its defaults, the film's first left out.
    shortest: its min_scene_len in frames, instead of the default, which hides shots of less than 15."""
    import scenedetect  # type: ignore[import-untyped,import-not-found,unused-ignore]

    options = {} if shortest is None else {"min_scene_len": shortest}
    scenes = scenedetect.detect(str(path), getattr(scenedetect, name)(**options))
    return [int(scene[0].frame_num) for scene in scenes[1:]]


def demo_rows(folder: Path) -> list[Row]:
    """The demo film against its own list."""
    cuts = read_csv(folder / "cuts.csv")
    spans = spans_of(cuts)
    film = Film("demo", folder / "film.mp4", cuts.rate, tuple((t.start, t.end) for t in spans),
                tuple(t.frame for t in spans if t.kind == "cut"))  # fmt: skip
    score, found = scored(signals_from(film.path)[0], film, Settings())
    exact = len({t.frame for t in found} & {t.frame for t in spans})
    return [Row("cuts: demo film, default settings", score.told(), "F1 1.0", score.f1 == 1.0),
            Row("cuts: demo film, boundaries to the frame", f"{exact} of {len(spans)}")]  # fmt: skip


def written(clip: Clip, folder: Path, size: tuple[int, int] | None = None) -> Path:
    """A generated clip as a film file."""
    path = folder / "clip.mp4"
    h, w = clip.frames.shape[1:3]
    with Recorder(path, size or (w, h), Fraction(24)) as recorder:
        for k, frame in enumerate(clip.frames):
            recorder.add(frame, k)
    return path


def suite_rows(folder: Path, baseline: bool) -> list[Row]:
    """The generated traps, a row each, encoded as H.264 first, with PySceneDetect's best detector beside them."""
    made, total, theirs = [], Score(), Score()
    for clip in clips():
        path = written(clip, folder)
        film = Film(clip.name, path, Fraction(24), tuple((m.start, m.end) for m in clip.marks), ())
        score, _ = scored(signals_from(path)[0], film, Settings())
        value = score.told()
        if baseline:
            other = score_of(scenedetect_frames(path, DETECTORS[0]), film)
            theirs += other
            value += f"; {DETECTORS[0]} {other.told()}"
        total += score
        made.append(Row(f"cuts, generated: {clip.name}", value))
    value = total.told() + (f"; {DETECTORS[0]} {theirs.told()}" if baseline else "")
    return [*made, Row("cuts, generated: all", value, f"F1 at least {ASKED_F1}", total.f1 >= ASKED_F1)]


def random_rows(folder: Path, baseline: bool) -> list[Row]:
    """Random films that no setting was ever looked at with, pooled; encoded as H.264 first."""
    total, theirs = Score(), Score()
    for seed in RANDOM_SEEDS:
        clip = random_film(seed)
        path = written(clip, folder)
        film = Film(clip.name, path, Fraction(24), tuple((m.start, m.end) for m in clip.marks), ())
        total += scored(signals_from(path)[0], film, Settings())[0]
        if baseline:
            theirs += score_of(scenedetect_frames(path, DETECTORS[0]), film)
    value = total.told() + (f"; {DETECTORS[0]} {theirs.told()}" if baseline else "")
    name = f"cuts, generated: {len(RANDOM_SEEDS)} random films (pans, shaky cameras, dark shots, shots of 3 frames, dissolves)"
    return [Row(name, value, f"F1 at least {ASKED_F1}", total.f1 >= ASKED_F1)]


def speed_rows(folder: Path, demo: Path, baseline: bool) -> list[Row]:
    """Frames a second at 480p, decoding included, beside decoding alone and PySceneDetect on the same file. The best of three,
    in turns: on a shared machine the others measure the neighbours."""
    path = folder / "speed.mp4"
    with Recorder(path, SPEED_SIZE, Fraction(24)) as recorder:
        for k, frame in enumerate(_speed_frames(demo)):
            recorder.add(frame, k)
    runs: list[Callable[[], object]] = [lambda: _detect(path), lambda: _decode(path)]
    if baseline:
        runs.append(lambda: scenedetect_frames(path, DETECTORS[0]))
    best, cpu = [float("inf")] * len(runs), [float("inf")] * len(runs)
    for _ in range(3):
        for i, run in enumerate(runs):
            begun, cpu_begun = time.perf_counter(), time.process_time()
            run()
            best[i] = min(best[i], time.perf_counter() - begun)
            cpu[i] = min(cpu[i], time.process_time() - cpu_begun)
    rates = [SPEED_FRAMES / b for b in best]
    made = [Row(f"cuts: frames a second at {SPEED_SIZE[0]}x{SPEED_SIZE[1]}, decoding included", f"{rates[0]:.0f}",
                f"at least {ASKED_RATE:.0f}", rates[0] >= ASKED_RATE),
            Row("cuts: processor time a frame, of it decoding", f"{cpu[0] / SPEED_FRAMES * 1e3:.2f} ms, "
                f"{cpu[1] / SPEED_FRAMES * 1e3:.2f} ms"),
            Row("cuts: decoding alone (PyAV, same file)",
                f"{rates[1]:.0f} ({rates[0] / rates[1]:.2f} of it is reached)")]  # fmt: skip
    if baseline:
        value = f"{rates[2]:.0f} ({rates[0] / rates[2]:.2f} times it)"
        made.append(Row(f"cuts: PySceneDetect {DETECTORS[0]}, same file", value))
    return made


def _speed_frames(demo: Path) -> Iterable[np.ndarray]:
    """Frames at 480p: the demo film's, enlarged, where it is here; else the generated hard cuts', over and over."""
    from PIL import Image

    path = demo / "film.mp4"
    small: Callable[[int], np.ndarray]
    if path.is_file():
        reader = FilmReader(path)
        reader.open()
        small = reader.picture
    else:
        frames = next(iter(clips())).frames
        small = lambda k: frames[k % len(frames)]  # noqa: E731
    for k in range(SPEED_FRAMES):
        yield np.asarray(Image.fromarray(small(k)).resize(SPEED_SIZE, Image.Resampling.BICUBIC))


def _detect(path: Path) -> None:
    source = open_source(path)
    find(reduced_frames(source, 0, source.frames), float(source.rate), Settings(), source.frames)


def _decode(path: Path) -> None:
    import av

    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        for _ in container.decode(stream):
            pass
