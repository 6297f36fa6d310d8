"""Where a propagated film goes wrong: more than the film itself, its picture changes from frame to frame along the flow."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from player.show.problem import Problem, ShowError
from tools.film_dataset_source import Footage, footage_at, picture_of
from tools.keyframes_output import place_of, read_rows
from tools.keyframes_suggest_cost import Costs, Motion, sampled
from tools.keyframes_suggest_names import frames_in

WRONG_LAB = 8.0  # difference of colour along the flow, beyond the film's own, at which half of a point is wrong
LEAST_ROWS, FACTORS = 3, (0.5, 2.0)  # of the table; how far its errors are believed
Lab = NDArray[np.float32]


@dataclass(frozen=True)
class Result:
    """What propagation made: a folder's pictures by film frame, or a film whose frame 0 is film frame `first`. matching: by
    film frame, the matching error that it wrote down, relative to the median."""

    files: Mapping[int, Path]
    film: Footage | None
    first: int
    matching: Mapping[int, float]

    def pictures(self, wanted: Collection[int]) -> Iterator[tuple[int, Any]]:
        """(film frame, uint8 [h, w, 3]) of those wanted that are there, in their own size, one at a time. Raises ShowError."""
        if self.film is None:
            yield from ((n, picture_of(p)) for n, p in self.files.items() if n in wanted)
            return
        from tools.film_dataset_square import whole

        for n, item in self.film.read(sorted(n - self.first for n in wanted if 0 <= n - self.first < self.film.frames)):
            yield n + self.first, whole(item, self.film.turns, False)


def result_at(path: Path, footage: Footage, first: int, last: int) -> Result:
    """A folder of frames named like the film's, or a film of all of its frames or of [first, last). Raises ShowError."""
    if path.is_dir():
        files = frames_in(path, footage, "--result")
        return Result(files, None, 0, matching_of(path))
    film = footage_at(path)
    if film.frames not in (footage.frames, last - first):
        given = f"has {film.frames} frames"
        allowed = f"the film's {footage.frames}, or {last - first} as --start and --end say"
        raise ShowError(Problem(f"--result {path}", given, allowed))
    return Result({}, film, 0 if film.frames == footage.frames else first, matching_of(path))


def matching_of(path: Path) -> dict[int, float]:
    """The mean matching error of each frame in units of their median, from the table that propagation keeps; empty where there
    is none."""
    errors = {n: r.error for n, r in read_rows(place_of(path)).items() if r.error > 0}
    if len(errors) < LEAST_ROWS:
        return {}
    median = float(np.median(list(errors.values())))
    return {n: e / median for n, e in errors.items()}


def importance(result: Result, targets: Sequence[int]) -> NDArray[np.float64]:
    """How much a frame counts, [T] 0..1: those that matched worse than others count more. A half where nothing is known."""
    factor = np.array([result.matching.get(t, 1.0) for t in targets])
    return np.clip(factor, *FACTORS) / FACTORS[1]


def wrong_in(result: Result, motion: Motion, costs: Costs) -> NDArray[np.uint8]:
    """How wrong each point of each target is in the result, uint8 [T, P], 255 = altogether; 0 where the result has no frame, or
    not the next. Only points whose flow is to be trusted say anything. Raises ShowError."""
    import cv2

    h, w = motion.lab.shape[1:3]
    made: dict[int, Lab] = {}
    there = range(motion.first, motion.first + len(motion))
    for number, picture in result.pictures({n for t in costs.targets for n in (t - 1, t, t + 1) if n in there}):
        grid = cv2.resize(picture, (w, h), interpolation=cv2.INTER_AREA)
        made[number] = np.asarray(cv2.cvtColor(grid.astype(np.float32) / 255, cv2.COLOR_RGB2LAB), np.float32)
    rows, columns = costs.points
    wrong = np.zeros((len(costs.targets), rows, columns), np.float32)
    for i, t in enumerate(costs.targets):
        for other, steps in ((t - 1, motion.back), (t + 1, motion.ahead)):
            if t in made and other in made:
                worst = np.maximum(wrong[i], point_errors(t, other, steps, motion, made, (rows, columns)))
                wrong[i] = worst
    return np.rint(255 * wrong).astype(np.uint8).reshape(len(costs.targets), -1)


def point_errors(t: int, other: int, steps: NDArray[Any], motion: Motion, made: Mapping[int, Lab],
                 points: Sequence[int]) -> NDArray[np.float32]:  # fmt: skip
    """How wrong the step between two frames is, float32 [rows, columns], 0..1."""
    import cv2

    step = steps[t - motion.first].astype(np.float32)  # [h, w, 3]
    h, w = step.shape[:2]
    y, x = np.mgrid[:h, :w].astype(np.float32)
    place = np.stack([x, y], axis=2) + step[..., :2]
    own = motion.lab[t - motion.first].astype(np.float32)
    in_film = np.linalg.norm(own - sampled(motion.lab[other - motion.first], place), axis=2)
    in_result = np.linalg.norm(made[t] - sampled(made[other], place), axis=2)
    more = np.maximum(0, in_result - in_film) ** 2
    wrong = more / (more + WRONG_LAB**2) * step[..., 2] * motion.weight[t - motion.first].astype(np.float32)
    return np.asarray(cv2.resize(wrong, (points[1], points[0]), interpolation=cv2.INTER_AREA), np.float32)
