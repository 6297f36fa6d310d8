"""Whether a score fits its film: its shots, walks, clips, mixes and looks against the cut list and the show."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from player.show.clip import FrameFolder, clip_problem, mask_problem
from player.show.cut_list import CutList, Shot
from player.show.problem import Problem, ShowError, nearest
from player.show.score import Score, ScoreReading, ScoreShot
from player.show.show import Stylizer


def _walk_problem(row: ScoreShot, shot: Shot, score: Score, at: str) -> Problem | None:
    walk = score.walks.get(row.walk)
    if walk is None:
        return None  # reading the score has said so
    first, last = int(walk.frames[0]), int(walk.frames[-1])
    still = len(walk.frames) == 1 and shot.start <= first < shot.end  # one key is a held picture, and meant
    if still or (first <= shot.start and last >= shot.end - 1):
        return None
    return Problem(f"{at}: walk", f"{row.walk!r} has keys from frame {first} to {last}",
                   f"a walk that covers the shot's frames {shot.start} to {shot.end - 1}",
                   "make the score again from this cut list")


def _needed_mask(mask: Path | None, shots: Collection[Shot], cuts: CutList | None, at: str,
                 folders: dict[Path, FrameFolder | ShowError]) -> Problem | None:
    if mask is None:
        return Problem(at, "is missing, and figure or ground is stylised by it", "a folder of masks",
                       "cineml keyframes mask FILM -o masks")  # fmt: skip
    return mask_problem(mask, mask.name, shots, cuts, at, folders)


def _mask_problems(row: ScoreShot, shot: Shot | None, cuts: CutList | None, path: Path | None, at: str,
                   stylizer: Stylizer | None, mask: Path | None,
                   folders: dict[Path, FrameFolder | ShowError]) -> list[Problem]:  # fmt: skip
    """What is wrong with a shot's masks: of a folder that it names itself, and of the film's where it needs them."""
    shots = [shot] if shot is not None else []
    problem: Problem | None = None
    if row.mask and path is not None:
        problem = mask_problem(path.parent / row.mask, row.mask, shots, cuts, f"{at}: mask", folders)
    elif "stylizer" in row.sources:
        side = row.mask_side or (stylizer.mask_side if stylizer is not None else "")
        if side in ("figure", "ground"):
            problem = _needed_mask(mask, shots, cuts, f"{at}: mask", folders)
    return [problem] if problem else []


def score_problems(reading: ScoreReading, path: Path | None, cuts: CutList | None, source: str, looks: Collection[str],
                   has_film: bool, has_generator: bool, where: str, stylizer: Stylizer | None = None,
                   has_stylizer: bool = False, has_camera: bool = False, mask: Path | None = None) -> list[Problem]:
    """Everything in which a score does not fit its show, as far as score and show could be read.

    path: the score's file. cuts: None where the cut list cannot be known. source: what shots play that the score does not
    name. where: the show's file, for messages. stylizer: None without its table. mask: the film's
    own folder of masks.
    """
    found: list[Problem] = []
    file, score = path.name if path else where, reading.score
    used: set[str] = set()
    folders: dict[Path, FrameFolder | ShowError] = {}
    over = stylizer.over if stylizer is not None else "film"
    for row in score.shots if score else ():
        at, shot = f"{file}: shot {row.number}", cuts.by_number(row.number) if cuts else None
        if cuts is not None and shot is None:
            found.append(Problem(at, "is no shot of the cut list", f"shots 1 to {len(cuts.shots)}"))
        if row.look and row.look not in looks:
            hint = nearest(row.look, looks)
            found.append(Problem(f"{at}: look", f"is {row.look!r}", "a [look.NAME] of the show", hint))
        if row.entry == "glide" and shot is not None and shot.into != "dissolve":
            found.append(Problem(f"{at}: entry", f"is glide, but the shot comes in by a {shot.into}",
                                 "glide only where the cut list says dissolve, else jump"))
        if {(row.number, "source"), (row.number, "under")} & reading.told:
            continue  # nobody knows what it plays
        used.update(row.inputs(over))
        if "clip" in row.inputs(over) and (row.number, "clip") not in reading.told and path is not None:
            problem = clip_problem(path.parent / row.clip, row.clip, shot, cuts, at, folders)
            found += [problem] if problem else []
        found += _mask_problems(row, shot, cuts, path, at, stylizer, mask, folders)
        if "generator" in row.inputs(over) and shot is not None and score is not None:
            problem = _walk_problem(row, shot, score, at)
            found += [problem] if problem else []
    named = {row.number for row in score.shots} if score else set()
    # What a row without a number, or a text that cannot be read, says of which shot: nobody knows.
    unnamed = [s.number for s in cuts.shots if s.number not in named] if cuts is not None and reading.complete else []
    made_of = over if source == "stylizer" else source
    if unnamed and made_of in ("generator", "clip"):
        listed = ", ".join(map(str, unnamed[:8])) + (" ..." if len(unnamed) > 8 else "")
        which = f"shot {listed}" if len(unnamed) == 1 else f"shots {listed}"
        what = "walk" if made_of == "generator" else "clip"
        given = source if source == made_of else f"{source} over the {made_of}"
        found.append(Problem(f"{where}: play.source", f"is {given}, but no score names a {what} for {which}",
                             f"a score that names a {what} for every shot, or another source"))
    if unnamed:
        used.update(ScoreShot(0, source=source).inputs(over))
        whole = [s for s in cuts.shots if s.number in unnamed] if cuts is not None else []
        if source == "stylizer" and stylizer is not None and stylizer.mask_side in ("figure", "ground"):
            problem = _needed_mask(mask, whole, cuts, f"{where}: film.mask", folders)
            found += [problem] if problem else []
    if "generator" in used and not has_generator:
        found.append(Problem(f"{where}: generator.folder", "is missing, but shots play the generator",
                             "a folder with mapping.onnx and synthesis.onnx"))
    if "stylizer" in used and not has_stylizer:
        found.append(Problem(f"{where}: stylizer.file", "is missing, but shots play the stylizer", "an ONNX file",
                             "cineml style train, then cineml style export"))
    if "camera" in used and not has_camera:
        found.append(Problem(f"{where}: camera.device", "is missing, but shots play the camera", "[camera] with a device"))
    if "film" in used and not has_film:
        found.append(Problem(f"{where}: film.file", "is missing, but shots play the film", "a film file"))
    return found
