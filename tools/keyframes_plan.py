"""What is to be made of a film from its keys: which shots, which key belongs to which, which frames each has to make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from player.show.cut_list import CutList, Shot
from player.show.problem import Problem
from tools.film_dataset_source import Footage
from tools.keyframes_frames import tail_of
from tools.keyframes_keys import Named
from tools.keyframes_options import Options

MOST_LINES = 12  # shots without a key that are named one by one


@dataclass(frozen=True)
class ShotJob:
    """The work on one shot, as a process of its own takes it.

    first, end: the film frames that are its own, with those in which it dissolves out. keys, masks: of these frames. alpha:
    what is under a key's transparent parts. wanted: the film frames to write. mixed: those of them that are only half of a
    dissolve, and wait in the folder `halves` for the other. folder: of the finished frames. code: of what they
    follow from. keep_where: masks of where options.keep counts; None: everywhere.
    """

    shot: Shot
    footage: Footage
    cuts: CutList
    first: int
    end: int
    keys: tuple[Named, ...]
    masks: tuple[Named, ...]
    alpha: str
    options: Options
    wanted: tuple[int, ...]
    mixed: frozenset[int]
    folder: Path
    work: Path
    code: str
    keep_where: tuple[Named, ...] | None = None

    @property
    def passes(self) -> Path:
        """Where its passes are kept."""
        return self.work / f"s{self.shot.number:04d}-{self.code}"

    @property
    def span(self) -> range:
        """What is wanted, by index from `first`."""
        return range(self.wanted[0] - self.first, self.wanted[-1] + 1 - self.first) if self.wanted else range(0)

    def half(self, frame: int) -> Path:
        """Where the shot's picture of a dissolve's frame waits."""
        return half_path(self.work, frame, self.code)


def half_path(work: Path, frame: int, code: str) -> Path:
    """The picture of one of the two shots that a dissolve's frame is mixed of. code: of that shot."""
    return work / "halves" / f"{frame:06d}-{code}.png"


def frame_files(footage: Footage) -> list[str]:
    """The name of every frame's PNG: like the input's; of a film its number, as `cineml film frames` names them."""
    if footage.kind == "folder":
        return [f"{p.stem}.png" for p in footage.files]
    digits = max(6, len(str(footage.frames - 1)))
    return [f"{n:0{digits}d}.png" for n in range(footage.frames)]


def shot_of(cuts: CutList, frame: int) -> Shot:
    """The shot that a key of that frame is a picture of: in a dissolve the one that is seen more of."""
    mix = cuts.mix_at(frame)
    return mix.outgoing if mix.outgoing is not None and mix.weight < 0.5 else mix.shot


def dissolve_frames(cuts: CutList) -> dict[int, tuple[Shot, Shot]]:
    """(old shot, new shot) of every frame that is mixed of two."""
    found = {}
    for shot in cuts.shots:
        if shot.into == "dissolve" and shot.number > 1:
            old = cuts.shots[shot.number - 2]
            found.update(dict.fromkeys(range(shot.start, min(shot.start + shot.in_frames, shot.end)), (old, shot)))
    return found


def shots_seen(cuts: CutList, first: int, end: int) -> list[Shot]:
    """The shots of which something is seen in the film frames [first, end), with those that dissolve out in them."""
    return [s for s in cuts.shots if s.start < end and s.end + tail_of(cuts, s) > first]


def keys_by_shot(cuts: CutList, keys: Sequence[Named]) -> dict[int, list[Named]]:
    """The keys of every shot that has some, by its number, in order."""
    found: dict[int, list[Named]] = {}
    for key in sorted(keys, key=lambda k: k.frame):
        found.setdefault(shot_of(cuts, key.frame).number, []).append(key)
    return found


def missing_problems(cuts: CutList, shots: Sequence[Shot], have: dict[int, list[Named]], folder: Path) -> list[Problem]:
    """Shots for which there is no key, one line each; many are summed up."""
    without = [s for s in shots if s.number not in have]
    found = []
    for s in without[:MOST_LINES]:
        label = f" ({s.label})" if s.label else ""
        found.append(Problem(f"shot {s.number}{label}", f"frames {s.start} to {s.end - 1} have no key in {folder}",
                             "at least one key for every shot", "--allow-missing leaves it as it is in the film"))  # fmt: skip
    if len(without) > MOST_LINES:
        rest = ", ".join(str(s.number) for s in without[MOST_LINES:])
        found.append(Problem(f"{len(without) - MOST_LINES} more shots", f"have no key: {rest:.200}", "", "--allow-missing"))
    return found


def key_notes(cuts: CutList, keys: Sequence[Named]) -> list[str]:
    """What a person should know of where the keys stand: in dissolves and fades."""
    said = []
    for key in keys:
        mix = cuts.mix_at(key.frame)
        if mix.outgoing is not None:
            s = mix.shot
            both = f"shows shots {mix.outgoing.number} and {s.number} mixed"
            rather = f"a key outside of frames {s.start} to {s.start + s.in_frames - 1} would be better"
            taken = shot_of(cuts, key.frame).number
            said.append(f"{key.path.name} stands in a dissolve and {both}: taken for shot {taken}; {rather}")
        elif mix.fade < 1:
            at = f"at {mix.fade:.0%} of the picture"
            said.append(f"{key.path.name} stands in a fade, {at}: the fade is taken off and put back")
    return said


def dissolve_notes(cuts: CutList, shots: Sequence[Shot], have: dict[int, list[Named]]) -> list[str]:
    """What is done with the dissolves and fades of these shots."""
    numbers = {s.number for s in shots}
    mixes = [s for s in shots if s.into == "dissolve" and s.number - 1 in numbers and {s.number, s.number - 1} & set(have)]
    fades = [s for s in shots if (s.into == "fade" or s.out == "fade") and s.number in have]
    said = []
    if mixes:
        which = ", ".join(f"{s.number - 1} to {s.number} ({s.in_frames} frames)" for s in mixes)
        said.append(f"dissolves, shot {which}: both shots are painted through it, and mixed as the film mixes them")
    if fades:
        which = ", ".join(str(s.number) for s in fades)
        said.append(f"fades, shot {which}: taken off before the strokes are carried, and put back on what is painted")
    return said


def jobs_of(footage: Footage, cuts: CutList, keys: Sequence[Named], masks: Sequence[Named], options: Options, alpha: str,
            wanted: Sequence[int], folder: Path, work: Path, codes: Mapping[int, str],
            keep_where: Sequence[Named] | None = None) -> list[ShotJob]:  # fmt: skip
    """The work of every shot that has keys, on the film frames that are wanted. codes: of the shots, by number."""
    have, mixed = keys_by_shot(cuts, keys), dissolve_frames(cuts)
    jobs = []
    for shot in cuts.shots:
        first, end = shot.start, shot.end + tail_of(cuts, shot)
        own = tuple(f for f in wanted if first <= f < end)
        if shot.number not in have or not own:
            continue
        halves = frozenset(f for f in own if f in mixed and not half_path(work, f, codes[shot.number]).is_file())
        todo = tuple(f for f in own if f not in mixed or f in halves)
        if todo:
            near = tuple(m for m in masks if first <= m.frame < end)
            where = None if keep_where is None else tuple(m for m in keep_where if first <= m.frame < end)
            jobs.append(ShotJob(shot, footage, cuts, first, end, tuple(have[shot.number]), near, alpha, options, todo, halves,
                                folder, work, codes[shot.number], where))  # fmt: skip
    return jobs
