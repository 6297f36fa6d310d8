"""A remap as it was asked for, and with all its input read and found sound."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch

from player.show.cut_list import CutList, Shot, read_csv
from player.show.problem import Problem, ShowError
from player.show.score import Score
from player.sources.film_reader import probe_film
from tools.remap_fit import BATCH, FitOptions
from tools.remap_generator import Source, source_at
from tools.remap_keys import BAN_RADIUS, Wishes, wishes_of
from tools.remap_options import input_problems, place_problems
from tools.remap_score import existing_score, walk_name
from tools.remap_swap import swap_problems, wanted_swaps
from tools.remap_target import read_film, walk_frames
from tools.whole_file import make_folder

T = TypeVar("T")


@dataclass(frozen=True)
class Remap:
    """One remap: where its parts are, and how long it may take. shots: numbers to do; empty: all. again: do them anew.

    start: where latents come from at first: auto (anchors where there are some, else the encoder), encoder, anchors or bank.
    size: pixels at which most of the fit is done, 0: the model's own. device, batch: where, and pictures a step. from_set:
    choose among the pictures of this folder instead; assign: each once at most; latents, labels: of them; set_steps: of the
    projection of one without a latent. swaps: shot -> walk, '' to take one back. measured: measure the result, and write the
    page.
    """

    film: Path
    cuts: Path
    model: Path
    output: Path
    anchors: Path | None = None
    steps: int = 0
    passes: float = 6.0
    minutes: float = float("inf")
    shots: tuple[int, ...] = ()
    again: bool = False
    synthesis: Path | None = None
    seed: int = 0
    work: Path | None = None
    plus_frames: int = 0
    start: str = "auto"
    size: int = 0
    device: str = "cpu"
    batch: int = BATCH
    from_set: Path | None = None
    assign: bool = False
    latents: Path | None = None
    labels: Path | None = None
    set_steps: int = 150
    swaps: Mapping[int, str] = field(default_factory=dict)
    measured: bool = False

    @property
    def work_folder(self) -> Path:
        """Where finished shots and what is needed again are kept."""
        return self.work or self.output.with_suffix(".work")

    @property
    def report(self) -> Path:
        return self.output.with_suffix(".png") if self.work is None else self.work / f"{self.output.stem}.png"

    @property
    def page(self) -> Path:
        return self.report.with_suffix(".html")


def read_anchors(path: Path, frames: int, w_dim: int) -> npt.NDArray[np.float32]:
    """codes [frames, w_dim] float32 of anchors.npz. Raises ShowError."""
    try:
        with np.load(path, allow_pickle=False) as data:
            codes, at = data["codes"].astype(np.float32), data["frames"].astype(np.int64)
    except (OSError, KeyError, ValueError) as e:
        raise ShowError(Problem(str(path), f"cannot be read ({e})", "the anchors.npz of a training run")) from None
    if codes.ndim != 2 or codes.shape != (frames, w_dim) or not np.array_equal(at, np.arange(frames)):
        raise ShowError(
            Problem(str(path), f"holds codes {list(codes.shape)}", f"[{frames}, {w_dim}], one a film frame")
        )
    return codes


def file_sha(path: Path) -> str:
    """Hexadecimal SHA-256 of a file; a folder's name."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else path.name


@dataclass(frozen=True)
class Job:
    """A remap with all its input read. film: [frames, C, R, R] uint8; codes: [frames, w_dim] or None. wishes: by shot number,
    of the shots to do. swaps: shot -> walk that it plays instead of its own. deviation: root of the mean variance of w."""

    remap: Remap
    source: Source
    cuts: CutList
    old: Score | None
    film: npt.NDArray[np.uint8]
    film_sha256: str
    codes: npt.NDArray[np.float32] | None
    wishes: Mapping[int, Wishes] = field(default_factory=dict)
    swaps: Mapping[int, str] = field(default_factory=dict)
    deviation: float = 1.0

    @property
    def inner(self) -> list[int]:
        return self.source.geometry["inner"]

    @property
    def start(self) -> str:
        """encoder, anchors or bank."""
        if self.remap.start == "auto":
            return "anchors" if self.codes is not None else "encoder"
        return self.remap.start

    def work(self) -> list[Shot]:
        """The shots to do, in film order: those asked for, without the locked and the swapped."""
        asked = [s for s in self.cuts.shots if not self.remap.shots or s.number in self.remap.shots]
        locked = {s.number for s in self.old.shots if s.lock} if self.old is not None else set()
        return [s for s in asked if s.number not in locked and s.number not in self.swaps]

    def part_path(self, shot: Shot) -> Path:
        """Where a finished shot is kept."""
        return self.remap.work_folder / f"{walk_name(shot)}.npz"

    def fingerprint(self, shot: Shot) -> str:
        """What a kept part belongs to; anything else is done anew."""
        remap, codes = self.remap, self.codes
        parts = [
            self.source.weights_sha256,
            self.film_sha256,
            repr(shot),
            repr((remap.steps, remap.passes, remap.seed, remap.plus_frames, remap.size)),
            self.start,
            self.wishes.get(shot.number, Wishes()).told(),
        ]
        parts.append("" if codes is None or self.start != "anchors" else hashlib.sha256(codes.tobytes()).hexdigest())
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def options(self, shot: Shot, seconds: float = float("inf")) -> FitOptions:
        """How a shot is fitted, its pins and bans with it."""
        remap, wishes = self.remap, self.wishes.get(shot.number, Wishes())
        radius = BAN_RADIUS * self.source.generator.config.w_dim**0.5 * self.deviation
        return FitOptions(
            plus=shot.frames <= remap.plus_frames, steps=remap.steps, passes=remap.passes, seconds=seconds, seed=remap.seed,
            batch=remap.batch, pinned=tuple(wishes.pinned), banned=tuple(wishes.banned.values()), ban_radius=radius,
        )  # fmt: skip


@torch.no_grad()
def deviation_of(source: Source) -> float:
    """Root of the mean variance of w over 512 samples."""
    config, made = source.generator.config, torch.Generator().manual_seed(0)
    device = source.generator.w_avg.device
    z = torch.randn(512, config.z_dim, generator=made).to(device)
    c = torch.eye(config.c_dim, device=device)[torch.arange(512) % config.c_dim] if config.c_dim else None
    return float(source.generator.mapping.w(z, c).var(dim=0).mean().sqrt())


def read_job(remap: Remap) -> Job:
    """Everything a remap needs, with its work folder made. Raises ShowError with all that is missing or wrong."""
    inputs = {"the film": remap.film, "the cut list": remap.cuts, "the anchors": remap.anchors,
              "the synthesis": remap.synthesis, "the latents": remap.latents, "the labels": remap.labels}  # fmt: skip
    found = place_problems(remap.output, remap.report if remap.output.name else remap.output, inputs)

    def tried(read: Callable[[], T]) -> T | None:
        try:
            return read()
        except ShowError as e:
            found.extend(e.problems)
            return None

    if not found:
        tried(lambda: make_folder(remap.work_folder))
        old = tried(lambda: existing_score(remap.output))
    else:
        old = None
    found += input_problems({k: v for k, v in inputs.items() if k != "the cut list"})  # which its reader speaks of
    if remap.from_set is not None and not remap.from_set.is_dir():
        found.append(Problem("--from-set", f"{remap.from_set} is no folder", "a folder of pictures"))
    cuts, source = tried(lambda: read_csv(remap.cuts)), tried(lambda: source_at(remap.model))
    if cuts is not None and (unknown := [n for n in remap.shots if cuts.by_number(n) is None]):
        found.append(Problem("--shot", ", ".join(map(str, unknown)), f"1 to {len(cuts.shots)}"))
    if source is not None and not source.geometry:
        given = "does not say how the film sits in its square (geometry)"
        found.append(Problem(str(remap.model), given, "a generator trained on the film"))
    codes = None
    if remap.anchors is not None and remap.anchors.is_file() and cuts is not None and source is not None:
        frames, width = cuts.frames, source.generator.config.w_dim
        codes = tried(lambda: read_anchors(remap.anchors, frames, width))  # type: ignore[arg-type]
    if remap.start == "anchors" and remap.anchors is None:
        found.append(Problem("--start-from", "anchors, and there are none", "--anchors FILE beside it"))
    swaps = wanted_swaps(old, remap.swaps)
    if cuts is not None:
        found += swap_problems(cuts, old, swaps, remap.output.parent)
    if cuts is not None and remap.film.is_file():
        probed = tried(lambda: probe_film(remap.film))
        if probed is not None and probed[0] != cuts.rate:
            given = f"runs at {probed[0]} frames a second, {remap.cuts} at {cuts.rate}"
            found.append(Problem(str(remap.film), given, "the cut list of this film",
                                 f"cineml cuts check {remap.cuts} --film {remap.film}"))
    if found or cuts is None or source is None:
        raise ShowError(found)
    config = source.generator.config
    film = read_film(remap.film, source.geometry, config.resolution, config.channels, cuts.frames, remap.work_folder)
    source.generator.to(remap.device)
    job = Job(remap, source, cuts, old, film, file_sha(remap.film), codes, {}, swaps, deviation_of(source))
    if remap.from_set is not None:  # its pins and bans name pictures
        return job
    wishes = {}
    for shot in job.work():
        last = int(walk_frames(cuts, shot)[-1])
        wish = tried(lambda s=shot, end=last: wishes_of(old, s, end, remap.output.name))  # type: ignore[misc]
        if wish is not None and wish.told():
            wishes[shot.number] = wish
            if any(k.shape[-1] != config.w_dim or len(k) not in (1, config.num_ws) for k in wish.pinned.values()):
                found.append(Problem(f"shot {shot.number}: pin", "is a latent of another generator", "a key of this one's"))
    if found:
        raise ShowError(found)
    return Job(remap, source, cuts, old, film, job.film_sha256, codes, wishes, swaps, job.deviation)
