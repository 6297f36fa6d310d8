"""`cineml cuts group FILM CUTS.csv`: which shots return to the same set-up, as labels in the cut list's column `group`.

Labels that a person wrote stay in every later run: the record beside the list remembers which ones were written here, and what
differs from that is a person's. Shots that look alike then come to the person's label.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from player.progress import Progress
from player.show.cut_list import CutList, Shot, format_csv, problems_of, read_csv
from player.show.problem import Problem, ShowError
from tools.contact_sheet import middle_frame
from tools.cuts_alike import FRAMES_A_SHOT, clusters_of, features_of, letters, shot_distances, threshold_for
from tools.cuts_detect import place_problems
from tools.cuts_detect_options import group_arguments
from tools.cuts_find import picture_of
from tools.cuts_pictures import FilmSource, frames_asked, open_source, pictures_at, reduced_chosen
from tools.cuts_record import as_json, content_sha256, read_record, record_path, versions, write_together
from tools.cuts_sheet import clear_ends, groups_sheet
from tools.cuts_text import counted
from tools.film_dataset_source import order_notes
from tools.whole_file import output_problems

STOPPED = 130
PICTURE_PX = 150
OUR_HEAD = ("film", "rate", "frames")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command. Returns 0, 2 for bad input, 130 where it was stopped."""
    args = group_arguments().parse_args(argv)
    args.cuts = args.cuts or args.cuts_file
    out = sys.stderr if args.json else sys.stdout
    try:
        if found := option_problems(args):
            raise ShowError(found)
        told = grouped(args, out)
    except ShowError as e:
        print(e, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped; nothing was written", file=sys.stderr)
        return STOPPED
    if args.json:
        print(as_json(told), end="")
    return 0


def option_problems(args: argparse.Namespace) -> list[Problem]:
    """What can be said before the film is looked at."""
    found = []
    if args.cuts is None:
        return [Problem("CUTS", "is missing", "the film's cut list (CSV)", "cineml cuts detect makes one")]
    if args.threshold is not None and not 0 <= args.threshold <= 2:  # nan is not
        found.append(Problem("--threshold", f"{args.threshold:g}", "0 to 2; most films want 0.2 to 0.6"))
    if not args.film.exists():
        found.append(Problem(str(args.film), "does not exist", "a film, or a folder of its frames"))
    output, sheet = places(args)
    found += output_problems(output, (".csv",)) + output_problems(sheet, (".png",))
    found += [p for path in (output, sheet) for p in place_problems(path, args.film)]
    if output != args.cuts and output.exists() and not output.samefile(args.cuts):
        found.append(Problem(str(output), "is there already, and may be somebody's work", "a new name, or leave -o away"))
    return found


def places(args: argparse.Namespace) -> tuple[Path, Path]:
    """Where the list and the sheet go."""
    output: Path = args.output or args.cuts
    return output, args.sheet or output.with_suffix(".groups.png")


def grouped(args: argparse.Namespace, out: TextIO) -> dict[str, Any]:
    """Groups, writes, and returns what --json prints. Raises ShowError."""
    cuts = read_csv(args.cuts)
    source = open_source(args.film, args.fps)
    if wrong := problems_of(cuts, args.cuts.name, source.frames):
        raise ShowError(wrong)
    first, last = frames_asked(source, args.start, args.end)
    asked = [i for i, shot in enumerate(cuts.shots) if first <= shot.start < last]
    if not asked:
        raise ShowError(Problem("--start, --end", f"no shot begins in frames {first} to {last}", "a range with shots in it"))
    record = read_record(args.cuts)
    by_hand = hand_labels(cuts, record.get("groups"))
    for i, shot in enumerate(cuts.shots):  # outside the range everything stays as it is
        if i not in set(asked) and shot.group:
            by_hand[i] = shot.group
    for note in order_notes(source.names):
        print(f"note: {note}", file=out)
    distances = distances_of(source, cuts, asked, out)
    threshold = threshold_for(distances) if args.threshold is None else args.threshold
    given = [by_hand.get(i, "") for i in asked]
    clusters = clusters_of(distances, threshold, given)
    before = [cuts.shots[i].group for i in asked]
    labels = named(clusters, given, before, set(by_hand.values()))
    by_shot = dict(zip(asked, labels, strict=True))
    made = replace(cuts, shots=tuple(replace(s, group=by_shot.get(i, s.group)) for i, s in enumerate(cuts.shots)))
    groups: dict[str, list[Shot]] = {}
    for shot in made.shots:
        if shot.group:
            groups.setdefault(shot.group, []).append(shot)
    output, sheet = places(args)
    progress = Progress(source.frames, "frames for the sheet", out)
    pictures = pictures_at(source, [middle_frame(s) for s in made.shots], PICTURE_PX, progress.at)
    ours = {str(made.shots[i].start): made.shots[i].group for i in asked if i not in by_hand}
    kept = dict(record)
    if record.get("content_sha256") == content_sha256(cuts):  # still as it was written: our labels are no hand's work either
        kept["content_sha256"] = content_sha256(made)
    kept |= {"groups": ours, "group_threshold": round(threshold, 4), "versions": versions()}
    text = with_head(format_csv(made), args.cuts)
    write_together({sheet: groups_sheet(made, groups, pictures, PICTURE_PX), record_path(output): as_json(kept).encode(),
                    output: text.encode()})  # fmt: skip
    shared = {name: [s.number for s in shots] for name, shots in groups.items() if len(shots) > 1}
    found = ", from the film" if args.threshold is None else ""
    print(f"{output}: {counted(len(asked), 'shot')} in {counted(len(set(labels)), 'group')}, {len(shared)} of them with more "
          f"than one shot (threshold {threshold:.2f}{found}); look at {sheet}", file=out)
    for name, numbers in shared.items():
        print(f"  {name}: shots {', '.join(map(str, numbers))}", file=out)
    return {"tool": "cineml cuts group", "film": source.path.name, "cuts": str(output), "sheet": str(sheet),
            "threshold": round(threshold, 4), "by_hand": sorted({made.shots[i].number for i in asked if i in by_hand}),
            "groups": {name: [s.number for s in shots] for name, shots in groups.items()}}  # fmt: skip


def hand_labels(cuts: CutList, written: object) -> dict[int, str]:
    """By shot index, the labels that a person wrote: those that are not what was written here for a shot of that start."""
    ours: Mapping[str, Any] = written if isinstance(written, dict) else {}
    return {i: s.group for i, s in enumerate(cuts.shots) if s.group and ours.get(str(s.start)) != s.group}


def distances_of(source: FilmSource, cuts: CutList, asked: Sequence[int], out: TextIO) -> Any:
    """float32 [S, S] between the asked shots. Raises ShowError."""
    wanted: dict[int, int] = {}  # film frame -> place in `asked`
    for place, i in enumerate(asked):
        low, high = clear_ends(cuts, i)
        inset = (high - low) // 8  # a cut that is a frame or two off in the list must not make neighbours alike
        low, high = low + inset, high - inset
        wanted |= {int(f): place for f in np.unique(np.linspace(low, high, FRAMES_A_SHOT).round().astype(int))}
    progress = Progress(max(wanted) + 1, "frames looked at", out)
    numbers, reduced = reduced_chosen(source, wanted, progress.at)
    progress.done(f"{source.path.name}: {len(numbers)} frames of {counted(len(asked), 'shot')} looked at")
    shot_of = np.array([wanted[n] for n in numbers], np.int64)
    if missing := sorted(set(range(len(asked))) - set(shot_of.tolist())):
        shot = cuts.shots[asked[missing[0]]]
        raise ShowError(Problem(str(source.path), f"shot {shot.number} cannot be read", "a whole film", "copy it again"))
    x, y, w, h = picture_of(reduced.luma)
    luma = reduced.luma[:, y : y + h, x : x + w]
    chroma = reduced.chroma[:, :, y // 2 : (y + h) // 2, x // 2 : (x + w) // 2]
    return shot_distances(features_of(luma, chroma), shot_of)


def named(clusters: Sequence[int], given: Sequence[str], before: Sequence[str], taken: set[str]) -> list[str]:
    """The label of each shot: a person's where its cluster has one, else the one that most of the cluster had before, so that a
    correction moves no other label, else the next free letter. taken: a person's labels, in and outside these shots."""
    names = {cluster: name for cluster, name in zip(clusters, given, strict=True) if name}
    had = Counter((c, b) for c, b in zip(clusters, before, strict=True) if b and b not in taken)
    for (cluster, name), _ in had.most_common():
        if cluster not in names and name not in names.values():
            names[cluster] = name
    free = iter(letters(taken | set(names.values())))
    return [names[c] if c in names else names.setdefault(c, next(free)) for c in clusters]


def with_head(text: str, old: Path) -> str:
    """The list's text, with the remarks that stand at the head of the older file."""
    lines = old.read_text(encoding="utf-8-sig").replace("\r\n", "\n").split("\n")
    heads = [line.strip().strip('"').rstrip(",;") for line in lines if line.strip().strip('"').startswith("#")]
    remarks = [line for line in heads if line[1:].partition(":")[0].strip().lower() not in OUR_HEAD]
    at = text.index("\n", text.index("# frames:")) + 1
    return text[:at] + "".join(f"{line}\n" for line in remarks) + text[at:]


if __name__ == "__main__":
    sys.exit(main())
