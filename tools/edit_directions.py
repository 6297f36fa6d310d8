"""Directions in W: what a generator varies along, found without a label or a single gradient.

pca   principal components of w over many mapped z (Härkönen et al. 2020, "GANSpace", arXiv 2004.02546, section 2.1).
sefa  eigenvectors of the sum of A^T A over the chosen layers, A the effective style matrix of a layer, that is the affine
      weight with its gains: the directions of w that move the styles most (Shen & Zhou 2021, "Closed-form factorization
      of latent semantics in GANs", arXiv 2007.06600, equation 5).

A direction has length 1. Its scale, sigma, is the deviation of w along it over the mapped samples, for both methods: an
amount of 1 is one sigma everywhere. Its sign is a rule: the component of greatest size is positive.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.stylegan2 import Generator, SynthesisBlock, SynthesisLayer, ToRGB
from player.show.problem import Problem, ShowError

ALIKE = 0.9  # |cosine| from which two directions count as the same one
BATCH = 4096  # of z; a mapping is cheap
Matrix = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Direction:
    """One direction. vector: float32 [w_dim], length 1. scale: sigma. first, last: the rows of ws that it moves, both
    included. share: of the variance of w (pca) or of the styles' squared change (sefa) that it accounts for, 0..1.
    same_as: id of an earlier direction that is nearly the same, or ''. id: its row in directions.npz; name: a person's."""

    id: str
    method: str
    vector: NDArray[np.float32]
    scale: float
    first: int
    last: int
    share: float = 0.0
    same_as: str = ""
    name: str = ""
    note: str = ""

    @property
    def shown(self) -> str:
        """The name, or the id where nobody has given one."""
        return self.name or self.id


@torch.no_grad()
def w_moments(
    generator: Generator, samples: int, seed: int, at: Callable[[int], None] = lambda done: None
) -> tuple[Matrix, Matrix]:
    """Mean [w_dim] and covariance [w_dim, w_dim] of w = mapping(z), float64, over `samples` z of RandomState(seed).

    A conditional generator gets its conditions in turn. at: told how many are done.
    """
    config = generator.config
    random = np.random.RandomState(seed)
    total = np.zeros(config.w_dim)
    gram = np.zeros((config.w_dim, config.w_dim))
    done = 0
    while done < samples:
        count = min(BATCH, samples - done)
        z = torch.from_numpy(random.randn(count, config.z_dim).astype(np.float32))  # [B, z_dim]
        w = generator.mapping.w(z, conditions(generator, done, count)).double().numpy()  # [B, w_dim]
        total += w.sum(axis=0)
        gram += w.T @ w
        done += count
        at(done)
    mean = total / samples  # [w_dim]
    return mean, gram / samples - np.outer(mean, mean)


def conditions(generator: Generator, start: int, count: int) -> Tensor | None:
    """One-hot conditions [count, c_dim] in turn, from number `start`; None where the generator takes none."""
    if not generator.config.c_dim:
        return None
    return torch.eye(generator.config.c_dim)[torch.arange(start, start + count) % generator.config.c_dim]


def style_matrices(generator: Generator) -> list[tuple[int, Matrix]]:
    """(row of ws, A [I, w_dim] float64) of every styled layer: style = A w + b, all gains inside A.

    A torgb shares its row with the next block's first convolution, so a row may come twice.
    """
    found: list[tuple[int, Matrix]] = []
    row = 0
    for block in generator.synthesis.blocks():
        assert isinstance(block, SynthesisBlock)
        convs = [block.conv1] if block.resolution == 4 else [block.conv0, block.conv1]
        layers: list[tuple[int, SynthesisLayer | ToRGB, float]] = [(row + i, conv, 1.0) for i, conv in enumerate(convs)]
        if block.torgb is not None:
            layers.append((row + block.num_convs, block.torgb, block.torgb.style_gain))
        for at, layer, gain in layers:
            found.append((at, layer.affine.weight.detach().double().numpy() * (layer.affine.weight_gain * gain)))
        row += block.num_convs
    return found


def pca(covariance: Matrix, count: int) -> tuple[Matrix, Matrix]:
    """Leading eigenvectors [count, w_dim] of a covariance, signs by the rule, and their shares of its trace [count]."""
    return leading(covariance, count)


def sefa(generator: Generator, first: int, last: int, count: int) -> tuple[Matrix, Matrix]:
    """Leading eigenvectors [count, w_dim] of the sum of A^T A over the rows first..last, and their shares [count]."""
    chosen = [a for row, a in style_matrices(generator) if first <= row <= last]
    return leading(np.sum([a.T @ a for a in chosen], axis=0), count)


def leading(matrix: Matrix, count: int) -> tuple[Matrix, Matrix]:
    """Eigenvectors of the `count` greatest eigenvalues of a symmetric matrix [D, D], as rows, and eigenvalue / trace."""
    values, vectors = np.linalg.eigh(matrix)  # ascending
    shares = np.clip(values[::-1][:count], 0, None) / max(float(np.trace(matrix)), 1e-30)
    return signed(vectors[:, ::-1].T[:count]), shares


def signed(vectors: Matrix) -> Matrix:
    """Rows [K, D] turned so that the component of greatest size is positive: an eigenvector has no sign of its own."""
    peaks = np.take_along_axis(vectors, np.abs(vectors).argmax(axis=1)[:, None], axis=1)  # [K, 1]
    return vectors * np.where(peaks < 0, -1.0, 1.0)


def find(
    generator: Generator, methods: tuple[str, ...], count: int, rows: tuple[int, int] | None = None, samples: int = 50_000,
    seed: int = 0, at: Callable[[int], None] = lambda done: None,
) -> list[Direction]:  # fmt: skip
    """`count` directions by each method, pca first; near-duplicates are marked, not left out.

    rows: first and last row of ws that they move (and that sefa looks at), None = all. Raises ShowError.
    """
    config = generator.config
    first, last = rows or (0, config.num_ws - 1)
    if not 0 <= first <= last < config.num_ws:
        raise ShowError(Problem("--layers", f"{first}-{last}", f"0-{config.num_ws - 1}, the first not after the last"))
    if not 1 <= count <= config.w_dim:
        raise ShowError(Problem("--n", str(count), f"1 to {config.w_dim}, the size of w"))
    _, covariance = w_moments(generator, samples, seed, at)
    if not float(np.trace(covariance)) > 0:
        raise ShowError(Problem("the mapping", "gives the same w for every z", "a trained generator"))
    made: list[Direction] = []
    for method in methods:
        vectors, shares = pca(covariance, count) if method == "pca" else sefa(generator, first, last, count)
        for i, (vector, share) in enumerate(zip(vectors, shares, strict=True), 1):
            sigma = float(np.sqrt(max(float(vector @ covariance @ vector), 0.0)))
            made.append(Direction(f"{method}{i:02d}", method, vector.astype(np.float32), sigma, first, last, float(share)))
    return marked(made)


def marked(directions: list[Direction]) -> list[Direction]:
    """The same with same_as set where a direction nearly equals an earlier one that moves some of the same rows."""
    out: list[Direction] = []
    for d in directions:
        alike = next((e for e in out if not e.same_as and cosine(d, e) >= ALIKE
                      and d.first <= e.last and e.first <= d.last), None)  # fmt: skip
        out.append(replace(d, same_as=alike.id if alike else ""))
    return out


def cosine(a: Direction, b: Direction) -> float:
    """|cosine| of two directions: neither has a sign of its own."""
    return abs(float(a.vector.astype(np.float64) @ b.vector.astype(np.float64)))


def moved(ws: NDArray[np.float32], direction: Direction, amount: float) -> NDArray[np.float32]:
    """ws [..., num_ws, w_dim] moved by `amount` sigma along a direction, in its rows only; a copy."""
    out = ws.copy()
    out[..., direction.first : direction.last + 1, :] += np.float32(amount * direction.scale) * direction.vector
    return out
