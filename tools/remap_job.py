"""A remap as it was asked for, and with all its input read and found sound."""

from __future__ import annotations

import functools
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
from player.show.toml_table import file_problem
from player.sources.film_reader import probe_film
from tools.remap_fit import BATCH, FitOptions
from tools.remap_generator import Source, source_at
from tools.remap_keys import BAN_RADIUS, Wishes, banned_frames, wishes_of
from tools.remap_model import is_other, mixing_problems
from tools.remap_options import input_problems, place_problems
from tools.remap_parts import Parts
from tools.remap_score import existing_score, walk_name
from tools.remap_swap import locked_problems, swap_problems, wanted_swaps
from tools.remap_target import read_film, walk_frames
from tools.sample_latents import read_arrays
from tools.train_source import picture_names
from tools.whole_file import make_folder

T = TypeVar("T")
RECORD = "remap.json"
NEXT_SEED = 1_000_003  # between two tries of one shot


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
    arrays = read_arrays(path)
    try:
        codes, at = arrays["codes"].astype(np.float32), arrays["frames"].astype(np.int64)
    except (KeyError, ValueError, TypeError) as e:
        raise ShowError(Problem(str(path), f"cannot be read ({e})", "the anchors.npz of a training run")) from None
    if not np.isfinite(codes).all():
        raise ShowError(Problem(str(path), "holds codes that are no numbers", "the anchors.npz of a training run"))
    if codes.ndim != 2 or codes.shape != (frames, w_dim) or not np.array_equal(at, np.arange(frames)):
        raise ShowError(
            Problem(str(path), f"holds codes {list(codes.shape)}", f"[{frames}, {w_dim}], one a film frame")
        )
    return codes


def file_sha(path: Path) -> str:
    """Hexadecimal SHA-256 of a file, or of a folder's pictures: their names and bytes. Raises ShowError."""
    digest = hashlib.sha256()
    try:
        if not path.is_dir():
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        for name in picture_names(path):
            with (path / name).open("rb") as file:
                digest.update(f"{name}\n{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    except OSError as e:
        raise ShowError(Problem(str(path), f"cannot be read ({e.strerror or e})", "the file that was there before")) from None
    return digest.hexdigest()


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

    @functools.cached_property
    def parts(self) -> Parts:
        """What is kept of shots."""
        return Parts(self.remap.work_folder)

    @functools.cached_property
    def _film_prints(self) -> dict[tuple[int, int], str]:
        return {}

    def _film_print(self, first: int, last: int) -> str:
        """Hash of the film's pictures from `first` to `last`."""
        if (first, last) not in self._film_prints:
            digest = hashlib.sha256()
            for frame in range(first, last + 1):
                digest.update(self.film[frame].tobytes())
            self._film_prints[first, last] = digest.hexdigest()
        return self._film_prints[first, last]

    def fingerprint(self, shot: Shot) -> str:
        """What a kept part belongs to; anything else is done anew. Only what the walk depends on is in it: a shot's label, its
        group and its number are not."""
        remap, codes, wishes = self.remap, self.codes, self.wishes.get(shot.number, Wishes())
        frames = walk_frames(self.cuts, shot)
        seen = []  # how the film shows the shot, frame by frame
        for mix in (self.cuts.mix_at(int(f)) for f in frames):
            alone = mix.outgoing is None and mix.shot.number == shot.number
            seen.append((alone, mix.weight, mix.fade, mix.fade_colour))
        parts = [
            self.source.weights_sha256,
            self._film_print(int(frames[0]), int(frames[-1])),
            repr((int(frames[0]), shot.end, seen)),
            repr((remap.steps, remap.passes, remap.seed, shot.frames <= remap.plus_frames, remap.size)),
            self.start,
            wishes.latents_told(),
            repr(sorted(banned_frames(wishes, walk_name(shot)))),
        ]
        if codes is not None and self.start == "anchors":
            parts.append(hashlib.sha256(codes[frames].tobytes()).hexdigest())
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    @property
    def record(self) -> Path:
        """Where a remap notes what it was made from."""
        return self.remap.work_folder / RECORD

    @functools.cached_property
    def played_sha256(self) -> str:
        """Of the synthesis.onnx that will play the score, '' where none was named."""
        return file_sha(self.remap.synthesis) if self.remap.synthesis is not None else self.source.synthesis_sha256

    @functools.cached_property
    def other_model(self) -> bool:
        """Whether the score that is there holds another model's walks."""
        return is_other(self.old, self.source.weights_sha256, self.played_sha256, self.record)

    def notes(self) -> list[str]:
        """A line for every shot that is left alone though it may have been meant, or does not fit the cut list any more."""
        old, found, asked = self.old, [], set(self.remap.shots)
        for row in old.shots if old is not None else ():
            shot = self.cuts.by_number(row.number)
            if shot is None or old is None:
                continue
            if row.number in asked and (row.lock or row.number in self.swaps):
                found.append(f"shot {row.number} is left alone: {left_alone(row.lock, self.swaps.get(row.number, ''))}")
            walk = old.walks.get(row.walk)
            if not row.lock or walk is None or "generator" not in row.sources or len(walk.frames) == 1:
                continue
            first, last, end = int(walk.frames[0]), int(walk.frames[-1]), int(walk_frames(self.cuts, shot)[-1])
            fits = first <= shot.start and last >= shot.end - 1
            if row.walk == walk_name(shot):
                fits = (first, last) == (shot.start, end)
            if not fits:
                found.append(f"shot {row.number} is locked, and its walk goes from frame {first} to {last} where the cut list "
                             f"has {shot.start} to {end}: take the lock out, or set the cut back")  # fmt: skip
        return found

    def options(self, shot: Shot, seconds: float = float("inf"), tries: int = 0) -> FitOptions:
        """How a shot is fitted, its pins and bans with it. tries: how often it was done anew; each looks elsewhere."""
        remap, wishes = self.remap, self.wishes.get(shot.number, Wishes())
        radius = BAN_RADIUS * self.source.generator.config.w_dim**0.5 * self.deviation
        return FitOptions(
            plus=shot.frames <= remap.plus_frames, steps=remap.steps, passes=remap.passes, seconds=seconds,
            seed=remap.seed + NEXT_SEED * tries,
            batch=remap.batch, pinned=tuple(wishes.pinned), banned=tuple(wishes.banned.values()), ban_radius=radius,
        )  # fmt: skip


def left_alone(locked: bool, swap: str) -> str:
    """Why a shot is not done."""
    return "it is locked (lock = true)" if locked else f"it plays {swap!r} (swap), which --swap SHOT= takes back"


def undone_problems(remap: Remap, cuts: CutList, old: Score | None, swaps: Mapping[int, str]) -> list[Problem]:
    """What is wrong where nothing of what was asked for by number would be done."""
    rows = {s.number: s for s in old.shots} if old is not None else {}
    locked = {n for n in remap.shots if n in rows and rows[n].lock}
    if remap.swaps or not remap.shots or not all(n in locked or n in swaps for n in remap.shots):
        return []
    return [Problem(f"shot {n}", f"is not done: {left_alone(n in locked, swaps.get(n, ''))}", "a shot that is neither",
                    f"lock = false in its [[shot]] of {remap.output.name}" if n in locked else f"--swap {n}=")
            for n in remap.shots]  # fmt: skip


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
    anchors_there = remap.anchors is not None and not file_problem(remap.anchors)  # else that was said
    if anchors_there and cuts is not None and source is not None:
        frames, width = cuts.frames, source.generator.config.w_dim
        codes = tried(lambda: read_anchors(remap.anchors, frames, width))  # type: ignore[arg-type]
    if remap.start == "anchors" and remap.anchors is None:
        found.append(Problem("--start-from", "anchors, and there are none", "--anchors FILE beside it"))
    swaps = wanted_swaps(old, remap.swaps)
    if cuts is not None:
        found += swap_problems(cuts, old, swaps, remap.output.parent) + locked_problems(old, remap.swaps, remap.output.name)
        found += undone_problems(remap, cuts, old, swaps)
    if cuts is not None and remap.film.is_file():
        probed = tried(lambda: probe_film(remap.film))
        if probed is not None and probed[0] != cuts.rate:
            given = f"runs at {probed[0]} frames a second, {remap.cuts} at {cuts.rate}"
            found.append(Problem(str(remap.film), given, "the cut list of this film",
                                 f"cineml cuts check {remap.cuts} --film {remap.film}"))
    if found or cuts is None or source is None:
        raise ShowError(found)
    unread = Job(remap, source, cuts, old, np.zeros((0,), np.uint8), "", codes, {}, swaps)
    if old is not None and unread.other_model:  # before a long film is read
        done = {s.number for s in unread.work()}
        own = {walk_name(s): s.number for s in cuts.shots}
        if found := mixing_problems(old, remap.output, remap.model, done, swaps, own):
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
        if wish is not None and wish.told:
            wishes[shot.number] = wish
            if any(k.shape[-1] != config.w_dim or len(k) not in (1, config.num_ws) for k in wish.pinned.values()):
                found.append(Problem(f"shot {shot.number}: pin", "is a latent of another generator", "a key of this one's"))
    if found:
        raise ShowError(found)
    return Job(remap, source, cuts, old, film, job.film_sha256, codes, wishes, swaps, job.deviation)
