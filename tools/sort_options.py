"""The command line of `cineml sort`, and whether its places will do: no torch, so that --help works in a base install."""

from __future__ import annotations

import argparse
import json
import math
import re
from pathlib import Path

from player.show.problem import Problem
from tools.whole_file import output_problems

SHEETS = (".png", ".jpg", ".jpeg", ".webp")
ASPECT = "3:2"
KINDS = ("auto", "discriminator", "encoder", "pixels")
EFFORTS = ("quick", "usual", "best")
MOST_CELLS = 1_000_000
EXAMPLES = """examples:
  cineml sort frames/ -o sheet.png
  cineml sort samples/latents.npz --model run128/checkpoint -o sheet.png --columns 20
  cineml sort film.mp4 --every 12 --groups cuts.csv --model run128/checkpoint -o sheet.png
  cineml sort features.npy -o layout.npy --rows 20 --columns 25

-o SHEET.png writes beside it SHEET.html (zoom, select, freeze), SHEET.csv (the order) and SHEET.json (how it was made).
Rows of SHEET.csv with frozen = 1 keep their cell when the same command runs again."""


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        prog="cineml sort", description="Pictures on a grid, so that alike ones stand together.",
        epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    p.add_argument("source", type=Path, metavar="IMAGES|LATENTS|FEATURES.npy",
                   help="a folder or zip of pictures, a film, latents.npz, or features [n, d] as .npy")  # fmt: skip
    p.add_argument("-o", "--output", type=Path, required=True,
                   help="the sheet, .png, .jpg or .webp; or .npy for the layout alone: [rows, columns] of indices, -1 a hole")
    p.add_argument("--features", default="auto", metavar="KIND|FILE.npy",
                   help="what alike means: discriminator (of --model), encoder (trained on these pictures), pixels, or your "
                        "own [n, d] (default: the first of them that can be had)")  # fmt: skip
    p.add_argument("--model", type=Path, help="the checkpoint whose discriminator looks; with latents, also what draws them")
    p.add_argument("--rows", type=int, help="rows of the grid")
    p.add_argument("--columns", type=int, help="its columns")
    p.add_argument("--aspect", default=ASPECT, help="shape of the sheet, width to height, where rows and columns leave "
                   f"it open ({ASPECT})")  # fmt: skip
    p.add_argument("--holes", choices=("free", "end"), help="cells that stay empty: anywhere, best between what is "
                   "unlike (free), or last of all (end; the default where there is less than a row of them)")  # fmt: skip
    p.add_argument("--order", type=Path, metavar="CSV", help="whose frozen cells are kept (SHEET.csv, where it is there)")
    p.add_argument("--groups", type=Path, metavar="CSV",
                   help="labels to show beside the sheet: a cut list, or a table with the columns name and label")  # fmt: skip
    p.add_argument("--start", help="of a film or folder: the first frame (timecode, seconds with s, frames with f)")
    p.add_argument("--end", help="the frame before which to stop")
    p.add_argument("--every", type=int, help="only every so manieth picture (of a film: one a second; else all)")
    p.add_argument("--cell", type=int, metavar="PX", help="width of one picture on the sheet (what fits, up to 256)")
    p.add_argument("--effort", choices=EFFORTS, default="usual", help="how long to look for a better order (usual)")
    p.add_argument("--seed", type=int, default=0, help="another seed, another order (0); the same seed gives the same")
    p.add_argument("--device", default="auto", help="of the networks: auto, cpu or cuda")
    return p


def is_layout(output: Path) -> bool:
    """Whether only the layout is asked for."""
    return output.suffix.lower() == ".npy"


def aspect_of(text: str) -> float:
    """'3:2', '3x2' or '1.5' as width over height. Raises ValueError."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(?:[:x/](\d+(?:\.\d+)?))?", text.strip(), re.ASCII)
    value = float(found[1]) / float(found[2] or 1) if found and float(found[2] or 1) > 0 else 0.0
    if not 0.001 <= value <= 1000:
        raise ValueError(text)
    return value


def option_problems(args: argparse.Namespace) -> list[Problem]:
    """What is wrong with the command line before any file is looked at."""
    found = []
    for name, value, low, high in (("--rows", args.rows, 1, MOST_CELLS), ("--columns", args.columns, 1, MOST_CELLS),
                                   ("--every", args.every, 1, MOST_CELLS), ("--cell", args.cell, 8, 1024),
                                   ("--seed", args.seed, 0, 2**32 - 1)):  # fmt: skip
        if value is not None and not low <= value <= high:
            found.append(Problem(name, str(value), f"{low} to {high}"))
    try:
        aspect_of(args.aspect)
    except ValueError:
        found.append(Problem("--aspect", repr(args.aspect), "width to height, as 3:2 or 1.5"))
    if args.features not in KINDS and Path(args.features).suffix.lower() != ".npy":
        found.append(Problem("--features", repr(args.features), f"{', '.join(KINDS)}, or a .npy file"))
    if args.features == "discriminator" and args.model is None:
        found.append(Problem("--features", "discriminator, and no --model", "a --model with one", "--features encoder"))
    return found


def written_beside(output: Path) -> dict[str, Path]:
    """Every file that is written, by what it is."""
    if is_layout(output):
        return {"the layout": output, "the record": output.with_suffix(".json")}
    return {"the sheet": output, "the page": output.with_suffix(".html"), "the order": output.with_suffix(".csv"),
            "the record": output.with_suffix(".json")}  # fmt: skip


def is_own_record(path: Path) -> bool:
    """Whether a JSON file is what an earlier run wrote beside its sheet. The order is told by what it holds."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(told, dict) and told.get("tool") == "cineml sort"


def place_problems(args: argparse.Namespace) -> list[Problem]:
    """What is wrong with where the results are to be written, or with the files that are read."""
    found = output_problems(args.output, (*SHEETS, ".npy"))
    if found:
        return found
    own_features = Path(args.features) if Path(args.features).suffix.lower() == ".npy" else None
    read = {"the pictures": args.source, "the model": args.model, "--groups": args.groups, "--features": own_features}
    for what, path in read.items():
        if path is None:
            continue
        if what != "the model" and not path.exists():
            found.append(Problem(str(path), "does not exist", f"the file of {what}" if what.startswith("-") else
                                 "a folder or zip of pictures, a film, latents.npz or features.npy"))  # fmt: skip
            continue
        found += [Problem(str(written), f"is {what}, which would be lost", "another name for -o")
                  for written in written_beside(args.output).values() if same(written, path)]  # fmt: skip
    if args.source.is_dir() and not is_layout(args.output) and inside(args.output, args.source):
        found.append(Problem(str(args.output), "would lie among the pictures that are sorted", "another folder for the sheet"))
    if args.order is not None and not args.order.is_file():
        found.append(Problem(str(args.order), "is no file", "the order of an earlier sheet, as CSV"))
    if not found and not is_own_record(args.output.with_suffix(".json")):
        found += [Problem(str(written), "is there already, and was not written by 'cineml sort'", "another name for -o")
                  for what, written in written_beside(args.output).items() if what != "the order" and written.is_file()]
    for written in written_beside(args.output).values():
        if written.is_dir() and written != args.output:
            found.append(Problem(str(written), "is a folder, and is to be written", "another name for -o"))
    return found


def same(a: Path, b: Path) -> bool:
    """Whether two names mean one file, be it there or not."""
    try:
        return a.samefile(b) if a.exists() and b.exists() else a.resolve() == b.resolve()
    except OSError:  # a name that no file system takes; opening it says so
        return False


def inside(path: Path, folder: Path) -> bool:
    """Whether a file lies in a folder or below it."""
    try:
        return folder.resolve() in path.resolve().parents
    except OSError:
        return False


def shape_of(count: int, rows: int | None, columns: int | None, aspect: float) -> tuple[int, int]:
    """(rows, columns) of a grid for `count` cells, of this shape in cells where rows and columns leave it open.

    Raises ValueError, a sentence, where they hold too few.
    """
    if rows is None and columns is None:
        ideal = min(count, math.sqrt(count * aspect))
        widths = range(max(1, math.floor(ideal * 0.9)), min(count, math.ceil(ideal * 1.1)) + 1)
        # A last row that is nearly empty is uglier than a sheet a little wider or higher than asked.
        columns = min(widths, key=lambda c: (-(-count // c) - count / c + 4 * abs(c / ideal - 1), c))
    if columns is None:
        assert rows is not None
        columns = -(-count // rows)
    if rows is None:
        rows = -(-count // columns)
    if rows * columns < count:
        raise ValueError(f"{rows} rows of {columns} hold {rows * columns}, there are {count} pictures")
    return rows, columns
