"""What of a film is black and stays so, however its pictures are painted: bars, the edge of the gate, and frames in which
nothing can be seen. NumPy alone, since an exported network paints in a base install too."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from player.show.problem import Problem, ShowError
from player.sources.darkness import unpainted
from tools.film_dataset_source import Footage
from tools.film_dataset_square import whole
from tools.paint_gate import DARK, LIT, Gate, Mask, gate_of
from tools.paint_guides import luminance

Pixels = npt.NDArray[np.uint8]

LOOKED_AT = 32  # frames all over a film that tell its black frame
SOFT = (0.24, 0.52, 0.24)  # weights of a pixel and of those beside it: a Gaussian of 0.8 pixels, as far as it shows


def film_gate(footage: Footage, first: int, end: int) -> Gate:
    """The black frame around the frames [first, end). Raises ShowError, for one of another size than the film too."""
    return gate_of(_looked_at(footage, first, end))


def _looked_at(footage: Footage, first: int, end: int) -> Iterator[Pixels]:
    """Frames from all over [first, end), uint8 [H, W, 3]. Raises ShowError."""
    for n, item in footage.read([int(n) for n in np.unique(np.linspace(first, end - 1, LOOKED_AT).astype(int))]):
        picture = np.asarray(whole(item, footage.turns, False), np.uint8)
        if picture.shape[1::-1] != footage.size:
            where, given = (str(item), "") if footage.files else (str(footage.path), f"frame {n} ")
            raise ShowError(Problem(where, f"{given}is {picture.shape[1]} x {picture.shape[0]}",
                                    "{} x {} as the first frame".format(*footage.size)))  # fmt: skip
        yield picture


def with_black(made: Pixels, film: Pixels, gate: Gate | None) -> Pixels:
    """A painted picture uint8 [H, W, 3] in which what is black in the film's frame (the same shape) is black: all of a frame in
    which nothing can be seen, and what is dark in the black frame around the others. gate: the film's, None for none."""
    made = unpainted(made, film)
    if gate is None:
        return made
    around = gate.of(film)
    if not around.any():
        return made
    dark = np.clip((LIT - luminance(film)) / (LIT - DARK), 0, 1)
    laid = (softened(around) * dark)[..., None]
    return np.asarray(np.rint(made + laid * (film.astype(np.float32) - made)), np.uint8)


def softened(mask: Mask) -> npt.NDArray[np.float32]:
    """bool [H, W] as float32, 0..1, its edge a pixel soft; at the border the mask goes on."""
    plane = np.pad(mask.astype(np.float32), 1, mode="edge")
    a, b, c = (np.float32(w / sum(SOFT)) for w in SOFT)
    across = a * plane[:, :-2] + b * plane[:, 1:-1] + c * plane[:, 2:]
    return np.asarray(a * across[:-2] + b * across[1:-1] + c * across[2:], np.float32)
