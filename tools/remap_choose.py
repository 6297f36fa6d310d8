"""The artist's way: every shot's walk chosen among the pictures of a curated set, nothing fitted."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np

from player.show.cut_list import Shot
from player.show.problem import Problem, ShowError, nearest
from tools.remap_fit import Fitted, measure
from tools.remap_job import Job
from tools.remap_keys import Wishes
from tools.remap_set import (
    CuratedSet,
    assigned,
    candidates,
    chosen_path,
    keys_of,
    label_lines,
    path_costs,
    picture_name,
    pinned_at,
    set_features,
    set_wishes,
    unlikeness,
)
from tools.remap_set_read import read_set
from tools.remap_target import Target, target_of


def wishes_in_set(job: Job, shot: Shot, curated: CuratedSet) -> tuple[dict[int, int], set[int]]:
    """(pinned pictures by film frame, banned pictures) of a shot, as its row in the score says. Raises ShowError."""
    row = job.old.by_number(shot.number) if job.old is not None else None
    if row is None:
        return {}, set()
    found = [Problem(f"shot {shot.number}: {what}", f"names {text!r}", "PICTURE.f0120, PICTURE@120 or PICTURE of the set",
                     nearest(picture_name(text), curated.names))
             for what, texts in (("pin", row.pin), ("ban", row.ban)) for text in texts
             if picture_name(text) not in curated.names]  # fmt: skip
    pinned = pinned_at(row.pin, curated.names)
    frames = range(shot.start, shot.end)
    allowed = f"{shot.start} to {shot.end - 1}"
    found += [Problem(f"shot {shot.number}: pin", f"{curated.names[p]!r} stands at frame {f}", allowed)
              for f, p in pinned.items() if f not in frames]  # fmt: skip
    if found:
        raise ShowError(found)
    return pinned, {i for i, n in enumerate(curated.names) if n in {picture_name(b) for b in row.ban}}


def used_elsewhere(job: Job, work: Sequence[Shot], curated: CuratedSet) -> set[int]:
    """The pictures that shots which are not done now play."""
    done, old = {s.number for s in work}, job.old
    rows = [r for r in old.shots if r.number not in done and r.walk in old.walks] if old is not None else []
    names = {picture_name(n) for r in rows for n in old.walks[r.walk].names} if old is not None else set()
    return {i for i, n in enumerate(curated.names) if n in names}


def choose(job: Job, work: Sequence[Shot], quiet: bool) -> tuple[dict[int, Fitted], dict[int, Wishes]]:
    """A walk for every shot of `work`, and the names of its keys. Raises ShowError for a set that cannot be read."""
    remap, inner = job.remap, job.inner
    assert remap.from_set is not None
    curated = read_set(remap.from_set, remap.latents, remap.labels, remap.model, job.source.geometry, remap.work_folder,
                       remap.set_steps, remap.seed, quiet)  # fmt: skip
    if not quiet:
        for line in label_lines(job.cuts, curated.labels):
            print(line, file=sys.stderr)
    pictures = set_features(curated.images, inner)
    targets = [target_of(job.cuts, shot, job.film, inner) for shot in work]
    wishes = [wishes_in_set(job, shot, curated) for shot in work]
    costs, used = [], used_elsewhere(job, work, curated) if remap.assign else set()
    for shot, target, (pinned, banned) in zip(work, targets, wishes, strict=True):
        unlike = unlikeness(set_features(target.images, inner), pictures)
        allowed = candidates(shot, job.cuts, curated.labels)
        costs.append(path_costs(unlike, allowed, banned | used, pinned, target.frames))
    if remap.assign:
        pins = [pinned for pinned, _ in wishes]
        keys = assigned(costs, [t.frames[: s.frames] for s, t in zip(work, targets, strict=True)],
                        len(curated.names) - len(used), pins)  # fmt: skip
        without = [s.number for s, k in zip(work, keys, strict=True) if not k]
        if without:
            text = ", ".join(map(str, without))
            raise ShowError(Problem("--assign", f"leaves no picture for shots {text}",
                                    "as many pictures as shots, of their labels", "leave --assign away"))  # fmt: skip
    else:
        keys = [keys_of(chosen_path(c, pictures, t.clean), t.frames, sorted(pinned))
                for c, t, (pinned, _) in zip(costs, targets, wishes, strict=True)]  # fmt: skip
    fitted, names = {}, {}
    for shot, target, chosen in zip(work, targets, keys, strict=True):
        fitted[shot.number] = _fitted(job, target, chosen, curated)
        names[shot.number] = set_wishes(chosen, curated.names)
        if not quiet:
            different, one = len({p for _, p in chosen}), fitted[shot.number]
            print(f"shot {shot.number:2d}  {shot.frames:4d} frames  {len(chosen):3d} keys of {different:3d} pictures  "
                  f"difference {one.error:.3f}  motion {one.motion:.2f}", file=sys.stderr)  # fmt: skip
    return fitted, names


def _fitted(job: Job, target: Target, chosen: Sequence[tuple[int, int]], curated: CuratedSet) -> Fitted:
    frames = np.array([f for f, _ in chosen], np.int64)
    w = curated.w[[p for _, p in chosen]]  # [K, rows, w_dim]
    error, motion = measure(job.source.generator, target, w, frames)
    return Fitted(w, frames, error, error, motion, 0, True, joined=True)
