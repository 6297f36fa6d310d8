"""What a picture's values become on the printer: negative, gamma, or a curve from densities measured on the printed wedge.

A value v of the film (0 black to 255 white, sRGB) shall let through light in proportion to what a screen would show: the
transmittance wanted lies between that of the darkest and that of the lightest step that the printer has made, at
Tmin + (Tmax - Tmin) * L(v) with L the sRGB curve of IEC 61966-2-1, and density D = -log10(T).
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from player.show.problem import Problem, ShowError

STEPS = 21
WEDGE_VALUES = tuple(round(255 * k / (STEPS - 1)) for k in range(STEPS))  # of steps 1 to 21, black to white
MOST_DENSITY, LEAST_RANGE = 6.0, 0.2
COLUMNS = "two columns: value (0 to 255) or step (1 to 21), and density"
Table = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Densities:
    """Measured on a printed wedge: values [N], rising; densities [N], falling, made monotone."""

    values: npt.NDArray[np.float64]
    densities: npt.NDArray[np.float64]

    @property
    def range(self) -> tuple[float, float]:
        """(lightest, darkest) density."""
        return float(self.densities[-1]), float(self.densities[0])


@dataclass(frozen=True)
class Tone:
    """Film value to printed value. table: uint8 [256]. negative: whether it turns the picture round."""

    table: Table
    negative: bool
    gamma: float
    densities: Densities | None

    def __call__(self, picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """A picture of any shape, each value through the table."""
        return np.asarray(self.table[picture], np.uint8)

    def wanted_density(self, value: int) -> float | None:
        """The density that a film value shall have on the strip; None where nobody has measured the printer."""
        if self.densities is None:
            return None
        return float(wanted_densities(self.densities, _turned(np.array([float(value)]), self.negative, self.gamma))[0])

    @property
    def text(self) -> str:
        """For a person."""
        curve = "no curve" if self.gamma == 1 else f"gamma {self.gamma:g}"
        if self.densities is not None:
            light, dark = self.densities.range
            curve = f"curve from {len(self.densities.values)} measured densities, {light:.2f} to {dark:.2f}"
        return ("negative, " if self.negative else "positive, ") + curve


def _turned(values: npt.NDArray[np.float64], negative: bool, gamma: float) -> npt.NDArray[np.float64]:
    values = 255 - values if negative else values
    return np.asarray(255 * (values / 255) ** (1 / gamma), np.float64)


def tone_of(negative: bool, gamma: float = 1.0, densities: Densities | None = None) -> Tone:
    """gamma above 1 makes middle tones lighter. Negative first, then gamma, then the printer's curve."""
    values = _turned(np.arange(256, dtype=np.float64), negative, gamma)  # [256]
    if densities is not None:
        values = printed_values(densities, wanted_densities(densities, values))
    return Tone(np.clip(np.rint(values), 0, 255).astype(np.uint8), negative, gamma, densities)


def wanted_densities(measured: Densities, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The densities that film values 0..255 [N] shall have within what the printer can do, [N]."""
    v = values / 255
    light = np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)
    most, least = 10 ** -measured.densities[-1], 10 ** -measured.densities[0]
    return np.asarray(-np.log10(least + (most - least) * light), np.float64)


def printed_values(measured: Densities, densities: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The values to send for densities [N]: the measured curve read backwards, straight between its points."""
    # np.interp wants rising x; steps of equal density (an ink that is full already) stand for their middle value
    steps, where = np.unique(measured.densities, return_inverse=True)
    middle = np.bincount(where, measured.values) / np.bincount(where)
    return np.asarray(np.interp(densities, steps, middle), np.float64)


def falling(densities: Sequence[float]) -> npt.NDArray[np.float64]:
    """The nearest falling sequence in least squares: neighbours that rise are pooled (pool adjacent violators)."""
    pools: list[tuple[float, int]] = []
    for d in densities:
        pools.append((float(d), 1))
        while len(pools) > 1 and pools[-2][0] < pools[-1][0]:
            (b, m), (a, n) = pools.pop(), pools.pop()
            pools.append(((a * n + b * m) / (n + m), n + m))
    return np.concatenate([np.full(n, d) for d, n in pools])


def read_densities(path: Path) -> Densities:
    """A CSV with a head line `value,density` or `step,density`, `;` and decimal commas as well; # begins a comment.

    Raises ShowError with every line that is wrong.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as e:
        given = "is no text" if isinstance(e, UnicodeDecodeError) else f"cannot be read ({e.strerror})"
        raise ShowError(Problem(str(path), given, "a CSV of measured densities")) from None
    lines = [(n, line) for n, line in enumerate(text.splitlines(), 1) if line.strip() and not line.lstrip().startswith("#")]
    if not lines:
        raise ShowError(Problem(str(path), "is empty", COLUMNS))
    mark = next((m for m in (";", "\t", ",") if m in lines[0][1]), ",")
    head = [cell.strip().lower() for cell in next(csv.reader([lines[0][1]], delimiter=mark))]
    kind = next((k for k in ("value", "step") if k in head), None)
    if kind is None or "density" not in head:
        raise ShowError(Problem(f"{path}: line {lines[0][0]}", f"says {', '.join(head)!r}", COLUMNS))
    found: dict[float, float] = {}
    problems: list[Problem] = []
    for number, line in lines[1:]:
        cells = [c.strip().replace(",", ".") if mark != "," else c.strip() for c in next(csv.reader([line], delimiter=mark))]
        try:
            at, density = float(cells[head.index(kind)]), float(cells[head.index("density")])
        except (ValueError, IndexError):
            problems.append(Problem(f"{path}: line {number}", repr(line.strip()), "two numbers"))
            continue
        good = (0 <= at <= 255) if kind == "value" else (1 <= at <= STEPS and at == int(at))
        if not good or not (math.isfinite(density) and 0 <= density <= MOST_DENSITY):
            given = f"{kind} {at:g}, density {density:g}"
            allowed = f"{'value 0 to 255' if kind == 'value' else f'step 1 to {STEPS}'}, density 0 to {MOST_DENSITY:g}"
            problems.append(Problem(f"{path}: line {number}", given, allowed))
            continue
        value = at if kind == "value" else float(WEDGE_VALUES[int(at) - 1])
        if value in found:
            problems.append(Problem(f"{path}: line {number}", f"{kind} {at:g} stands there twice", "one density each"))
        found[value] = density
    if problems:
        raise ShowError(problems)
    values = sorted(found)
    if len(values) < 3 or values[0] > 0 or values[-1] < 255:
        raise ShowError(Problem(str(path), f"has {len(values)} steps", "at least 3, the darkest and the lightest among them"))
    densities = falling([found[v] for v in values])
    if densities[0] - densities[-1] < LEAST_RANGE:
        given = f"goes from density {found[values[0]]:g} at black to {found[values[-1]]:g} at white"
        raise ShowError(Problem(str(path), given, f"at least {LEAST_RANGE:g} more at black", "value 0 is the most ink"))
    return Densities(np.array(values), densities)
