"""`cineml keyframes propagate FILM --keys DIR -o OUT`: paint a few frames, get the film.

Every shot is painted from its own keys (keyframes_shot.py), several at once, and what is done is kept: stopped or killed, the
same command goes on. A key that was painted over again remakes its own shot alone.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from player.progress import Progress
from player.show.problem import Problem, ShowError
from tools.film_dataset_source import picture_of
from tools.keyframes_asked import Asked, asked_for, check_cuts, check_film, job_of, studio_problems
from tools.keyframes_cuts import cut_list_problems, write_found
from tools.keyframes_film import Burner, sound_of, sound_problems, write_film
from tools.keyframes_frames import ShotFrames, dissolved, faded
from tools.keyframes_options import arguments, option_problems, shared_out
from tools.keyframes_output import (
    TOOL,
    Place,
    Row,
    Writer,
    clear_work,
    differences,
    digest_of,
    film_problems,
    kept_notes,
    name_problems,
    place_of,
    place_problems,
    read_record,
    read_rows,
    record_problems,
    rows_there,
    sha256_of,
    strange_problem,
    there,
    verified,
    versions,
    write_record,
    write_table,
)
from tools.keyframes_plan import ShotJob, dissolve_frames, frame_files, half_path, jobs_of
from tools.keyframes_run import Event, make_shots
from tools.keyframes_shot import steps_for
from tools.marked_sheet import sheet_problems, write_sheet

DONE, BAD_INPUT, STOPPED = 0, 2, 130
CODE = 12  # letters of a hash
WORST = 3  # frames that are named at the end: a key there helps most


@dataclass(frozen=True)
class Plan:
    """What is left to do. todo: film frames to write. theirs: frames that somebody has changed, which stay. rows: of frames
    that are there. record: as it is to be written. codes: of what shots follow from, by number."""

    asked: Asked
    place: Place
    files: list[str]
    rows: Mapping[int, Row]
    todo: tuple[int, ...]
    theirs: frozenset[int]
    record: dict[str, Any]
    codes: Mapping[int, str]

    def code(self, frame: int) -> str:
        """Of what a film frame follows from: of the shots that are seen in it and have keys."""
        return frame_code(self.asked, self.codes, frame)


def main(argv: Sequence[str] | None = None) -> int:
    """The deed. Returns the exit code: 0, 2 for bad input, 130 where Ctrl-C stopped it."""
    args = arguments().parse_args(argv)
    try:
        return propagated(args)
    except ShowError as e:
        for problem in e.problems:
            print(f"cineml: {problem}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        place = place_of(args.output)
        done = len(rows_there(place))
        there_are = f"stopped; {done} frames are in {place.folder}"
        print(f"\ncineml: {there_are}, and the work on others is kept: the same command goes on", file=sys.stderr)
        return STOPPED


def propagated(args: argparse.Namespace) -> int:
    """All of it. Raises ShowError."""
    if found := name_problems(names_of(args), args.output):
        raise ShowError(found)
    place = place_of(args.output)
    found = option_problems(args) + check_film(args.film) + check_cuts(args.cuts) + way_problems(args, place)
    if found + (more := studio_problems()):
        raise ShowError(found + more)
    asked = asked_for(args, place.cuts)
    burner = Burner(args.captions, asked.footage.rate) if args.captions is not None else None
    for line in (*asked.said, *(burner.captions.said if burner is not None else ())):
        print(line, flush=True)
    if args.preview is not None:
        return previewed(args, asked, place)
    plan = plan_of(args, asked, place)
    begin(plan)
    make(args, plan)
    rows = verified(plan.place, plan.asked.frames, plan.files)
    write_table(place, rows.values())
    if place.film:
        as_film(args, plan, burner)
    clear_work(place)
    say_result(plan, rows)
    return DONE


def names_of(args: argparse.Namespace) -> dict[str, Path | None]:
    """What is read, by its option."""
    return {"FILM": args.film, "--keys": args.keys, "--masks": args.masks, "--cuts": args.cuts, "--sound": args.sound,
            "--captions": args.captions, "--keep-where": args.keep_where}  # fmt: skip


def way_problems(args: argparse.Namespace, place: Place) -> list[Problem]:
    """What is in the way of the result, or would be lost by it, as far as that can be told without a look at the film."""
    files = {"the cut list": args.cuts, "the sound": args.sound, "the captions": args.captions}
    folders = {"the keys": args.keys, "the masks": args.masks, "the masks of --keep-where": args.keep_where}
    found = place_problems(place, args.film, folders, files) + record_problems(place)
    found += cut_list_problems(place.cuts, args.cuts) + sound_problems(args.sound)
    if args.preview is None:
        return found + film_problems(place, read_record(place))
    from tools.keyframes_preview import MARK, preview_path

    return found + sheet_problems(preview_path(place.output), MARK)


# --- what is left to do


def plan_of(args: argparse.Namespace, asked: Asked, place: Place) -> Plan:
    """What is there already, whether it goes with what is asked for, and what is left. Raises ShowError."""
    files, rows = frame_files(asked.footage), read_rows(place)
    if len(set(files)) < len(files):
        name = Counter(files).most_common(1)[0][0]
        given = f"has frames that differ only in their ending ({Path(name).stem})"
        raise ShowError(Problem(str(asked.footage.path), given, "one picture a frame"))
    common, shots = job_of(asked)
    before = read_record(place)
    lost = range_problems(place, before, asked.first, asked.end)
    found = lost if not args.again else []
    seen = there(place, asked.frames, files, rows)
    if seen.strange:
        found.append(strange_problem(place, seen.strange))
    old_shots: dict[str, str] = before.get("shots", {}) if before else {}
    changed = {int(n) for n, digest in old_shots.items() if shots.get(n) != digest}
    other = differences(before["common"], common) if before and before.get("common") != common else ""
    if (other or changed) and not args.again:
        keys = f"other keys, masks or cuts for shots {', '.join(map(str, sorted(changed)))}" if changed and not other else ""
        found.append(Problem(f"-o {place.output}", f"was begun with {keys or 'other ' + other}", "the same options and inputs",
                             "--again, which makes anew what that changes, or another folder"))  # fmt: skip
    if found:
        raise ShowError(found)
    codes = {int(n): digest_of([common, digest])[:CODE] for n, digest in shots.items()}
    everything = args.again and not (other or changed or lost)
    ours = {f for f in seen.ours if not everything and rows[f].job == frame_code(asked, codes, f)}
    todo = tuple(f for f in asked.frames if f not in seen.theirs and f not in ours)
    record = {"tool": TOOL, "common": common, "shots": {**old_shots, **shots} if not (other or changed) else shots,
              "options": {k: str(v) if isinstance(v, Path) else v for k, v in vars(args).items()},
              "film": {"file": asked.footage.path.name, "rate": str(asked.footage.rate), "frames": asked.footage.frames,
                       "range": [asked.first, asked.end]},
              "keys": {str(k.frame): {"file": k.path.name, "by": k.how, "sha256": sha256_of(k.path)} for k in asked.keys},
              "cuts": [[s.start, s.end] for s in asked.cuts.shots], "versions": versions()}  # fmt: skip
    if "film_sha256" in before and place.output.is_file():
        record |= {name: before[name] for name in ("film_sha256", "film_range") if name in before}
    return Plan(asked, place, files, rows, todo, seen.theirs, record, codes)


def range_problems(place: Place, before: Mapping[str, Any], first: int, end: int) -> list[Problem]:
    """A finished film that has frames outside of [first, end), which the new one would lose. before: its record."""
    held = before.get("film_range") or before.get("film", {}).get("range")
    if not (place.film and place.output.is_file() and "film_sha256" in before and held):
        return []
    if first <= held[0] and held[1] <= end:
        return []
    given = f"holds frames {held[0]} to {held[1] - 1}, and {first} to {end - 1} are asked for"
    return [Problem(f"-o {place.output}", given, "at least the frames it holds", "another name, or --again, which replaces it")]


def frame_code(asked: Asked, codes: Mapping[int, str], frame: int) -> str:
    """Of what a film frame follows from, by the codes of shots."""
    mix = asked.cuts.mix_at(frame)
    seen = [s.number for s in (mix.outgoing, mix.shot) if s is not None and s.number in asked.have]
    return "+".join(codes[n] for n in seen) or "film"


def begin(plan: Plan) -> None:
    """The folders and the record, before the first frame; what was kept of shots that are made anew goes. Raises ShowError."""
    place = plan.place
    clear_work(place, set(plan.codes.values()))
    Writer(place.folder, place.work, "main")
    write_record(place, plan.record)
    if plan.asked.found_cuts:
        write_found(place.cuts, plan.asked.cuts, plan.record["common"]["film"]["sha256"])
        print(f"the cuts that were found stand in {place.cuts}: correct it, and the same command uses it", flush=True)
    for line in kept_notes(plan.files, plan.theirs, len(plan.asked.frames), len(plan.todo)):
        print(line, flush=True)


# --- making it


def jobs_for(plan: Plan, threads: int) -> list[ShotJob]:
    """A job for every shot that has something to do."""
    a = plan.asked
    return jobs_of(a.footage, a.cuts, a.keys, a.masks, replace(a.options, threads=threads), a.alpha, plan.todo,
                   plan.place.folder, plan.place.work, plan.codes, a.keep_where)  # fmt: skip


def steps_of(jobs: Sequence[ShotJob]) -> int:
    """Syntheses, at most."""
    return sum(steps_for([k.frame - j.first for k in j.keys], j.end - j.first, j.span, j.options) for j in jobs)


def make(args: argparse.Namespace, plan: Plan) -> None:
    """Every frame that is to be made. Raises ShowError."""
    at_once, threads = shared_out(args, max(1, len(jobs_for(plan, 1))))
    jobs = jobs_for(plan, threads)
    if jobs:
        width, height = plan.asked.footage.size
        steps = steps_of(jobs)
        frames = len({f for j in jobs for f in j.wanted})  # a dissolve's are of two shots
        print(f"{frames} frames of {width}x{height} in {len(jobs)} shots, {steps} syntheses; shots at once: {at_once}, threads "
              f"of each: {threads}", flush=True)  # fmt: skip
        counting = _Counting(steps)
        make_shots(jobs, at_once, counting.hear)
        counting.progress.done(f"{counting.steps} syntheses, {frames} frames")
    rest(plan)


class _Counting:
    """Events as progress."""

    def __init__(self, steps: int):
        self.progress, self.steps = Progress(steps, "syntheses", sys.stderr), 0

    def hear(self, event: Event) -> None:
        if event.kind == "skip":
            self.progress.total = max(self.progress.total - 1, self.steps)
        elif event.kind == "step":
            self.steps += 1
            self.progress.at(self.steps)


def rest(plan: Plan) -> None:
    """What no shot makes alone: dissolves, and the film's own frames for shots without a key. Raises ShowError."""
    a, place = plan.asked, plan.place
    mixed = dissolve_frames(a.cuts)
    writer = Writer(place.folder, place.work, "main")
    source = ShotFrames(a.footage, a.cuts, 0, a.footage.frames)
    try:
        for frame in plan.todo:
            shot = a.cuts.shot_at(frame)
            pair = mixed.get(frame, (shot,))
            painted = [s for s in pair if s.number in a.have]
            if not painted:
                writer.put(frame, plan.files[frame], source.raw(frame), shot.number, "film", 0.0, plan.code(frame))
            elif len(pair) == 2:
                halves = [picture_of(half_path(place.work, frame, plan.codes[s.number])) if s in painted else source.raw(frame)
                          for s in pair]  # fmt: skip  # of a shot that nobody has painted the film's own
                mix = a.cuts.mix_at(frame)
                picture = faded(dissolved(halves[0], halves[1], mix.weight), mix.fade, mix.fade_colour)
                keys = " ".join(str(k.frame) for s in painted for k in a.have[s.number])
                writer.put(frame, plan.files[frame], picture, shot.number, keys, 0.0, plan.code(frame))
    finally:
        source.close()


def as_film(args: argparse.Namespace, plan: Plan, burner: Burner | None) -> None:
    """The frames as a film. Raises ShowError."""
    a, place = plan.asked, plan.place
    sound, why = (None, "") if args.no_sound else sound_of(a.footage, args.sound)
    if why:
        print(why, flush=True)
    progress = Progress(len(a.frames), "frames of the film", sys.stderr)
    write_film(place.output, a.footage, place.folder, plan.files, a.frames, args.quality, sound, burner, progress.at)
    write_record(place, {**plan.record, "film_sha256": sha256_of(place.output), "film_range": [a.first, a.end]})
    also = [name for name, on in (("with sound", sound is not None), ("with captions", burner is not None)) if on]
    progress.done(", ".join([f"{place.output}: {len(a.frames)} frames at {a.footage.rate} a second", *also]))


def say_result(plan: Plan, rows: Mapping[int, Row]) -> None:
    """Where it is, and where another key would help most."""
    place = plan.place
    if place.film:
        size = sum((place.folder / r.file).stat().st_size for r in rows.values()) >> 20
        print(f"{place.folder} keeps the frames ({size} MB): with them another key remakes only its own shot; delete it when "
              "the film is done")  # fmt: skip
    else:
        print(f"{place.output}: {len(plan.asked.frames)} frames")
    worst = sorted((r for r in rows.values() if r.frame in plan.asked.frames and r.error > 0), key=lambda r: -r.error)[:WORST]
    if worst:
        print(f"furthest from their keys: frames {', '.join(str(r.frame) for r in worst)} (all in {place.table.name})")


# --- a preview


def previewed(args: argparse.Namespace, asked: Asked, place: Place) -> int:
    """A sheet of a few frames, and how long all will take. Raises ShowError."""
    from tools.keyframes_preview import MARK, made_straight, preview_path, sheet, spread

    files = frame_files(asked.footage)
    codes = dict.fromkeys(asked.have, "preview")
    plan = Plan(asked, place, files, {}, tuple(asked.frames), frozenset(), {}, codes)
    at_once, _ = shared_out(args, 1)
    jobs = jobs_for(plan, args.threads)
    frames = spread(jobs, args.preview)
    if not frames:
        raise ShowError(Problem("--preview", "every frame is a key", "", "leave it out"))
    progress = Progress(len(frames), "frames of the preview", sys.stderr)
    marks = [time.perf_counter()]

    def tick(done: int) -> None:
        marks.append(time.perf_counter())
        progress.at(done)

    seen = made_straight(jobs, frames, tick)
    path = preview_path(place.output)
    write_sheet(path, sheet(seen, f"{asked.footage.path.name}, {args.preset}"), MARK)
    took_s = min(b - a for a, b in zip(marks, marks[1:], strict=False))
    minutes = steps_of(jobs) * took_s / 60
    progress.done(f"{path}: {len(frames)} frames")
    print(f"all {len(asked.frames)} frames will take about {minutes:.0f} minutes here ({steps_of(jobs)} syntheses of "
          f"{took_s:.1f} s)")  # fmt: skip
    return DONE


if __name__ == "__main__":
    sys.exit(main())
