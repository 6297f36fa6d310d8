"""The command line of `cineml remap`, and whether its places will do: no torch, so that --help works in a base install."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from pathlib import Path

from player.show.problem import Problem
from player.show.toml_table import file_problem
from tools.whole_file import output_problems

EXAMPLES = """examples:
  cineml remap --film film.mp4 --cuts cuts.csv --model models -o score.toml
  cineml remap -o score.toml --shot 12 --again
  cineml remap film.mp4 --cuts cuts.csv --model run128/checkpoint --anchors run128/anchors.npz -o score.toml --minutes 30
  cineml remap film.mp4 --cuts cuts.csv --model models -o score.toml --from-set pictures --labels labels.csv

Film, cuts, model and anchors are remembered beside the score (score.work): the same score needs them once. Of the score's
[[shot]] rows are heeded: lock = true (leave this shot alone), pin = ["s03.f0040", "s07.f0123@60"] (key latents that stay, or
stand at a film frame), ban = ["s03.f0052"] (and must not come again), swap = "s07" (play this walk instead)."""
MOST_THREADS = 256
SEED_LIMIT = 1 << 32
STARTS = ("auto", "encoder", "anchors", "bank")
PRESETS = ("auto", "cpu", "gpu")


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        prog="cineml remap", description="Find a walk for every shot of a film, and write the score.",
        epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    p.add_argument("film_file", nargs="?", type=Path, metavar="FILM", help="the film, or a folder of its frames")
    p.add_argument("--film", type=Path, help="the same as FILM")
    p.add_argument("--cuts", type=Path, help="its cut list (CSV)")
    p.add_argument("--model", "--generator", type=Path,
                   help="an export folder (its synthesis.onnx is named in the score) or a checkpoint folder")  # fmt: skip
    p.add_argument("-o", "--output", type=Path,
                   help="the score, NAME.toml; NAME.npz, NAME.png, NAME.html and NAME.work stand beside it "
                        "(default: score.toml, where one was made here)")  # fmt: skip
    p.add_argument("--anchors", type=Path, help="anchors.npz of the training run: where every frame's latent starts")
    p.add_argument("--start-from", choices=STARTS,
                   help="where latents come from at first: anchors, an encoder that is trained for it, or the nearest of "
                        "some random pictures (auto: anchors where they are given, else the encoder)")  # fmt: skip
    p.add_argument("--preset", choices=PRESETS, help="cpu: at 128 pixels at most, an hour at most; gpu: whole, 16 passes; "
                                                    "auto (default): gpu where there is one, else at 128 pixels")  # fmt: skip
    p.add_argument("--size", type=int, help="pixels at which most of the fit is done (a power of two; 0: the model's own)")
    p.add_argument("--device", choices=("cpu", "cuda"), help="where to compute (of the preset)")
    p.add_argument("--iterations", type=int, default=0, help="gradient steps a shot (default: from its length)")
    p.add_argument("--passes", type=float,
                   help="how often each frame is looked at, where --iterations is not given (6)")  # fmt: skip
    p.add_argument("--minutes", type=float,
                   help="stop fitting after so long, each shot having had its share")  # fmt: skip
    p.add_argument("--shot", "--shots", default="", help="only these shots, with commas between")
    p.add_argument("--start", metavar="TC", help="only shots from here: frames (300f), seconds (12.5s) or hh:mm:ss:ff; "
                                                 "also takes what --start-from does")  # fmt: skip
    p.add_argument("--end", metavar="TC", help="only shots that begin before")
    p.add_argument("--again", action="store_true", help="do them anew, though they are done")
    p.add_argument("--swap", action="append", default=[], metavar="SHOT=WALK",
                   help="the shot plays this walk of the score, or of FILE.toml:WALK; 'SHOT=' takes it back")  # fmt: skip
    p.add_argument("--from-set", type=Path, metavar="DIR",
                   help="choose among these pictures instead of fitting; DIR/latents.npz holds their latents (else they "
                        "are projected), names of folders in it are labels of shots or groups")  # fmt: skip
    p.add_argument("--assign", action="store_true", help="each picture of the set once at most")
    p.add_argument("--latents", type=Path, help="the set's latents by name, as gan project and gan sample write them")
    p.add_argument("--labels", type=Path, help="a CSV with the columns name and label, instead of the folders' names")
    p.add_argument("--set-steps", type=int, default=150, help="gradient steps for a picture without a latent (150)")
    p.add_argument("--synthesis", type=Path,
                   help="the synthesis.onnx that will play the score, where --model is a checkpoint")  # fmt: skip
    p.add_argument("--threads", type=int, default=1, help="of torch (1: on a busy machine two are slower than one)")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--plus", type=int, default=0, help="shots of up to so many frames get one w a layer, W+ (0: none)")
    p.add_argument("--no-measure", action="store_true", help="no numbers and no page, only the sheet")
    return p


def option_problems(args: argparse.Namespace) -> list[Problem]:
    """What is wrong with the command line before any file is looked at."""
    needed = {"--film": (args.film or args.film_file, "the film's file, or a folder of its frames"),
              "--cuts": (args.cuts, "its cut list (CSV)"), "--model": (args.model, "an export or checkpoint folder"),
              "-o": (args.output, "the score to be written, NAME.toml")}  # fmt: skip
    found = [Problem(name, "is missing", wanted) for name, (given, wanted) in needed.items() if given is None]
    for name, number in (("--passes", args.passes), ("--minutes", args.minutes)):
        if number is not None and not 0 < number < math.inf:  # nan is not
            found.append(Problem(name, str(number), "a number above 0"))
    if args.iterations < 0:
        found.append(Problem("--iterations", str(args.iterations), "a whole number from 0 up"))
    for name, number, least, most in (("--threads", args.threads, 1, MOST_THREADS), ("--seed", args.seed, 0, SEED_LIMIT - 1),
                                      ("--plus", args.plus, 0, 1 << 31)):  # fmt: skip
        if not least <= number <= most:
            found.append(Problem(name, str(number), f"{least} to {most}"))
    if args.shot and not all(n.strip().isascii() and n.strip().isdecimal() and len(n) < 10 for n in args.shot.split(",")):
        found.append(Problem("--shot", args.shot, "shot numbers with commas between"))
    if args.size and not (8 <= args.size <= 1024 and args.size & (args.size - 1) == 0):
        found.append(Problem("--size", str(args.size), "8, 16, 32 ... 1024, or 0"))
    if args.set_steps < 1:
        found.append(Problem("--set-steps", str(args.set_steps), "a whole number from 1 up"))
    for name, given in (("--assign", args.assign), ("--latents", args.latents), ("--labels", args.labels)):
        if given and args.from_set is None:
            found.append(Problem(name, "is for a set of pictures", "--from-set DIR beside it"))
    return found


def _same(a: Path, b: Path) -> bool:
    try:
        return a.samefile(b) if a.exists() and b.exists() else a.resolve() == b.resolve()
    except OSError:  # a name that no file system takes; opening it says so
        return False


def place_problems(output: Path, report: Path, inputs: Mapping[str, Path | None]) -> list[Problem]:
    """What is wrong with where a score is to be written. inputs: what the remap reads, by what it is."""
    given = {what: path for what, path in inputs.items() if path is not None}
    for what, path in given.items():
        if _same(output, path):
            return [Problem(str(output), f"is {what}, which would be lost", "another name, that ends in .toml")]
    found = output_problems(output, (".toml",))
    if found:
        return found
    arrays = output.with_suffix(".npz")
    for what, path in given.items():
        for written, is_to_be in ((arrays, "the score's arrays"), (report, "the sheet of pictures")):
            if _same(written, path):
                found.append(Problem(str(output), f"would write {is_to_be} over {what}, {path}", "another name"))
        if path.is_dir() and what == "the film" and _same(path, report.parent):
            found.append(Problem(str(report), "would lie among the film's frames", "another folder for the score"))
    return found


def input_problems(inputs: Mapping[str, Path | None]) -> list[Problem]:
    """Which inputs are not there, or empty."""
    missing = [(what, path, "" if path.is_dir() else file_problem(path)) for what, path in inputs.items() if path is not None]
    return [Problem(str(path), reason, f"the file of {what}") for what, path, reason in missing if reason]
