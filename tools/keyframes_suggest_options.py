"""The command line of `cineml keyframes suggest`: nothing heavy, so that --help works in a base install."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from player.show.problem import Problem, ShowError
from tools.whole_file import check_folder

EXAMPLES = """examples:
  cineml keyframes suggest film.mp4 -n 13 -o to_paint
  cineml keyframes suggest film.mp4 --cuts cuts.csv --until 8 -o to_paint
  cineml keyframes suggest frames/ --per-shot 2 --start 0 --end 266 -o to_paint
  cineml keyframes suggest film.mp4 --cuts cuts.csv --keys painted --result propagated -o paint_next

OUT/000300.png is film frame 300 in the film's own size: paint it, keep the name, and give the folder to cineml keyframes
propagate as --keys. A file that is there already is never written over. The best 8 frames need not be the best 7 and another:
once some are painted, give them as --keys, and others that go with them are suggested. OUT/suggest holds sheet.png (which frame
comes first, which next), curve.png and curve.csv (what is left to guess after each key) and suggest.json. An error of 8 means:
on average 8 % of a frame is something that no key shows and that flow cannot carry there from one."""


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        prog="cineml keyframes suggest", description="Which frames to paint, so that the rest follows from them best.",
        epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    p.add_argument("film", type=Path, metavar="FILM", help="a film, or a folder of its frames")
    p.add_argument("-o", "--output", type=folder_named, required=True, metavar="OUT", help="a folder for the frames to paint")
    many = p.add_mutually_exclusive_group()
    many.add_argument("-n", "--number", type=int, metavar="N", help="so many frames in all (with --keys: so many more; 1)")
    many.add_argument("--per-shot", type=int, metavar="N", help="so many frames of every shot")
    many.add_argument("--until", metavar="ERROR", help="as many as it takes to come down to this error, in per cent")
    p.add_argument("--cuts", type=Path, metavar="CUTS.csv", help="the film's cut list (else the cuts are detected)")
    p.add_argument("--keys", type=Path, metavar="DIR", help="frames that are painted already: say what to paint next")
    p.add_argument("--result", type=Path, metavar="DIR|FILM",
                   help="what cineml keyframes propagate made of --keys: where it flickers, or matched badly, counts too")
    p.add_argument("--start", help="from here: frames (300), seconds (12.5s) or hh:mm:ss:ff")
    p.add_argument("--end", help="to here, exclusive")
    p.add_argument("--rate", help="of a folder of frames, as 24, 25 or 30000/1001 (24)")
    p.add_argument("--depth", choices=("8", "16"), default="8", help="bits of a PNG's channel; 16 for films of 10 or 12 (8)")
    p.add_argument("--no-frames", action="store_true", help="sheet, curve and list only: write no frames to paint")
    p.add_argument("--json", action="store_true", help="print the suggestion as JSON")
    return p


def until_of(text: str | None) -> float | None:
    """--until '8' or '8%' as an error 0..1. Raises ValueError."""
    if text is None:
        return None
    share = float(text.strip().removesuffix("%")) / 100
    if not 0 <= share <= 1:  # nan is not
        raise ValueError(text)
    return share


def option_problems(args: argparse.Namespace) -> list[Problem]:
    """What is wrong with the command line before any film is opened."""
    found = []
    output, film = Path(os.path.abspath(args.output)), Path(os.path.abspath(args.film))
    if args.number is None and args.per_shot is None and args.until is None and args.keys is None:
        found.append(Problem("-n", "is missing", "how many frames to paint", "-n 12, --per-shot 2 or --until 8"))
    for name, number in (("-n", args.number), ("--per-shot", args.per_shot)):
        if number is not None and number < 1:
            found.append(Problem(name, str(number), "1 or more"))
    try:
        until_of(args.until)
    except ValueError:
        found.append(Problem("--until", repr(args.until), "per cent, 0 to 100"))
    if args.result is not None and args.keys is None:
        found.append(Problem("--result", "needs to know the keys that it was made from", "--keys DIR as well"))
    for name, path in (("--keys", args.keys), ("--result", args.result)):
        if path is not None and not (path.is_dir() or (name == "--result" and path.is_file())):
            given = "is a file" if path.exists() else "does not exist"
            found.append(Problem(f"{name} {path}", given, "a folder of pictures named by film frame"))
        elif path is not None and output == Path(os.path.abspath(path)):
            found.append(Problem(str(args.output), f"is the folder of {name}; frames that nobody has painted would lie among "
                                 "its pictures", "another folder"))  # fmt: skip
    if not args.film.exists():
        found.append(Problem(str(args.film), "does not exist", "a film, or a folder of its frames"))
    return found + folder_problems(output, film, args.output)


def folder_problems(output: Path, film: Path, shown: Path) -> list[Problem]:
    """What is wrong with a folder that is to be written. output, film: absolute; shown: as the person wrote it."""
    if film.is_dir() and (output == film or film in output.parents):
        return [Problem(str(shown), "lies among the frames that are read", "another folder")]
    if output.exists() and not output.is_dir():
        return [Problem(str(shown), "is a file", "a folder")]
    try:
        check_folder(output)
    except ShowError as e:
        return list(e.problems)
    return []


def folder_named(text: str) -> Path:
    """A folder to write to, by its name. An empty one, as of a variable that is not set, is not the folder one is in."""
    if not text.strip():
        raise argparse.ArgumentTypeError("the name is empty; allowed: a folder, . for this one")
    return Path(text)
