"""`cineml sort IMAGES|LATENTS|FEATURES.npy -o SHEET.png`: pictures on a grid, so that alike ones stand together.

What the artist did by hand with five hundred pictures. Beside SHEET.png stand SHEET.html (zoom, select, freeze), SHEET.csv (the
order: rows with frozen = 1 keep their cell on the next run) and SHEET.json (how it was made). `-o LAYOUT.npy` writes the layout
alone.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import platform
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from player.progress import Progress
from player.show.problem import Problem, ShowError
from tools.sort_layout import EFFORTS, FREE, HOLE, arrange
from tools.sort_measure import quality
from tools.sort_options import (
    KINDS,
    MOST_CELLS,
    arguments,
    aspect_of,
    is_layout,
    option_problems,
    place_problems,
    shape_of,
    written_beside,
)
from tools.sort_order import Cell, Order, cells_of, format_order, read_order, waiting_of
from tools.whole_file import sha256_of, write_whole

if TYPE_CHECKING:
    from models.checkpoint import Checkpoint
    from tools.remap_generator import Source
    from tools.sort_features import Looker
    from tools.sort_source import Pictures

Pixels = NDArray[np.uint8]
STOPPED = 130
TILE_PX = 48  # of a colour that stands for a row of features
LONG = 256  # features beyond which the directions that hardly vary are left out
FEW_PICTURES = 64  # an encoder learns little from fewer


@dataclass(frozen=True)
class Grid:
    """Where it is to go. kept: int64 [rows, columns], as tools.sort_layout.arrange takes it."""

    rows: int
    columns: int
    kept: NDArray[np.int64]
    tidy: bool


@dataclass(frozen=True)
class Material:
    """What is sorted, and where to. features [N, d]; kind: what made them. frames: film frames int64 [N] or None. labels: one a
    picture, or (). thumbs: uint8 [N, h, w, 3], None where only a layout is asked for. sha256: of what was read. waiting: cells
    of an earlier order whose pictures are not there."""

    features: NDArray[np.float64]
    kind: str
    names: tuple[str, ...]
    frames: NDArray[np.int64] | None
    labels: tuple[str, ...]
    grid: Grid
    thumbs: Pixels | None
    sha256: dict[str, str]
    waiting: tuple[Cell, ...] = ()


def open_model(args: argparse.Namespace) -> tuple[Source | None, Checkpoint | None]:
    """The generator (only latents need it) and the checkpoint with a discriminator, where --model has them. Raises
    ShowError."""
    if args.model is None:
        return None, None
    import torch

    from tools.gan_export import checkpoint_at
    from tools.sample_render import device_named, model_at

    torch.set_num_threads(1)  # sums then have one order: the same features wherever this runs
    source = model_at(args.model)
    source.generator.to(device_named(args.device))
    folder = next((f for f in (args.model, args.model / "checkpoint") if (f / "model.json").is_file()), None)
    checkpoint = checkpoint_at(folder) if folder is not None else None
    return source, checkpoint if checkpoint is not None and checkpoint.discriminator is not None else None


def looker_for(args: argparse.Namespace, count: int, checkpoint: Checkpoint | None) -> tuple[str, Looker]:
    """(kind, what turns pictures into vectors). Raises ShowError."""
    from tools.sort_features import DiscriminatorLooker, EncoderLooker, PixelLooker, no_discriminator

    kind, has_torch = args.features, importlib.util.find_spec("torch") is not None
    if kind == "auto":
        learns = has_torch and count >= FEW_PICTURES
        kind = "discriminator" if checkpoint is not None else "encoder" if learns else "pixels"
        print(f"features: {kind}", flush=True)
    if kind == "pixels":
        return kind, PixelLooker()
    if not has_torch:
        raise ShowError(Problem("--features", f"{kind} needs torch, which is not installed", "pixels",
                                'pip install "cineml[studio]"'))  # fmt: skip
    import torch

    from tools.sample_render import device_named

    torch.set_num_threads(1)
    device = device_named(args.device)
    if kind == "encoder":
        return kind, EncoderLooker(args.output.with_suffix(".work"), device)
    if checkpoint is None:
        raise no_discriminator(args.model)
    return kind, DiscriminatorLooker(checkpoint, device)


def material_of(args: argparse.Namespace, before: Order | None) -> Material:
    """Reads and looks at everything; what can be wrong with grid and labels is found first. Raises ShowError."""
    from tools.sort_source import pictures_at, read_features

    if args.source.suffix.lower() == ".npy":
        values = read_features(args.source)
        names = tuple(f"{i:0{len(str(len(values) - 1))}d}" for i in range(len(values)))
        grid, labels = grid_of(args, names, 1.0, before), labels_of(args, names, None, before)
        thumbs = None if is_layout(args.output) else colour_tiles(values)
        return Material(values, "given", names, None, labels, grid, thumbs, {args.source.name: sha256_of(args.source)},
                        waiting_of(before, names, args.groups is None))
    source, checkpoint = open_model(args)
    pictures = pictures_at(args.source, source, args.start, args.end, args.every)
    height, width = next(iter(pictures.read())).shape[:2]
    grid = grid_of(args, pictures.names, width / height, before)
    labels = labels_of(args, pictures.names, pictures.frames, before)
    hashes = dict(pictures.sha256)
    if source is not None:
        hashes[f"{args.model.name} (weights)"] = source.weights_sha256 or source.synthesis_sha256
    looker: Looker | None = None
    features: NDArray[np.float64] | None = None
    if args.features in KINDS:
        kind, looker = looker_for(args, len(pictures), checkpoint)
    else:
        kind, features = "given", read_features(Path(args.features), len(pictures))
        hashes[Path(args.features).name] = sha256_of(Path(args.features))
    thumbs = look_at(args, pictures, grid, (width, height), looker)
    if looker is not None:
        features = looker.finish()
    assert features is not None
    return Material(features, kind, pictures.names, pictures.frames, labels, grid, thumbs, hashes,
                    waiting_of(before, pictures.names, args.groups is None))


def look_at(args: argparse.Namespace, pictures: Pictures, grid: Grid, shape: tuple[int, int],
            looker: Looker | None) -> Pixels | None:  # fmt: skip
    """Every picture once: to the looker, and small into the answer, uint8 [N, h, w, 3], where a sheet is asked for. shape:
    width and height of the first. Raises ShowError."""
    from tools.sort_sheet import cell_size, fitted

    if looker is None and is_layout(args.output):
        return None
    progress = Progress(len(pictures), "pictures", sys.stdout)
    size = cell_size(shape, grid.rows, grid.columns, args.cell)
    thumbs = None if is_layout(args.output) else np.zeros((len(pictures), size.height, size.width, 3), np.uint8)
    for i, picture in enumerate(pictures.read()):
        if thumbs is not None:
            thumbs[i] = fitted(picture, size)
        if looker is not None:
            looker.take(picture)
        progress.at(i + 1)
    progress.done(f"{len(pictures)} pictures read")
    return thumbs


def colour_tiles(features: NDArray[np.float64]) -> Pixels:
    """Colours that stand for features: themselves where they are RGB (0..1 or 0..255), else their three main directions."""
    low, high = float(features.min()), float(features.max())
    if features.shape[1] == 3 and low >= 0 and high <= 255:
        colours = features * (255 if high <= 1 else 1)
    else:
        centred = features - features.mean(axis=0)
        values, turns = np.linalg.eigh(centred.T @ centred)
        main = centred @ turns[:, np.argsort(values)[::-1][:3]]
        main = np.pad(main, ((0, 0), (0, 3 - main.shape[1])))
        colours = 128 + 100 * np.clip(main / max(float(np.abs(main).std() * 2), 1e-300), -1.25, 1.25)
    pixels = np.rint(np.clip(colours, 0, 255)).astype(np.uint8)
    return np.broadcast_to(pixels[:, None, None], (len(pixels), TILE_PX, TILE_PX, 3))


def shape_for(args: argparse.Namespace, count: int, picture_aspect: float) -> tuple[int, int]:
    """(rows, columns) for pictures of this shape. Raises ShowError."""
    try:
        rows, columns = shape_of(count, args.rows, args.columns, aspect_of(args.aspect) / picture_aspect)
    except ValueError as e:
        raise ShowError(Problem("--rows, --columns", str(e), f"at least {count} cells")) from None
    if rows * columns > MOST_CELLS:
        raise ShowError(Problem("--rows, --columns", f"{rows} rows of {columns}", f"at most {MOST_CELLS} cells"))
    return rows, columns


def order_before(args: argparse.Namespace) -> Order | None:
    """The order that an earlier run left, edited or not; of one beside the output that freezes nothing, nothing is kept.
    Raises ShowError."""
    if args.order is not None:
        return read_order(args.order)
    path = written_beside(args.output).get("the order")
    return read_order(path) if path is not None and path.exists() else None


def grid_of(args: argparse.Namespace, names: Sequence[str], aspect: float, before: Order | None) -> Grid:
    """The grid for pictures of this shape, and what is kept in it. Raises ShowError where a frozen cell lies outside it."""
    count = len(names)
    frozen = before.frozen if before is not None else ()
    rows, columns = shape_for(args, count, aspect)
    if frozen and before is not None and args.rows is None and args.columns is None and before.rows * before.columns >= count:
        rows, columns = before.rows, before.columns  # cells keep their meaning
    number = {name: i for i, name in enumerate(names)}
    kept = np.full((rows, columns), FREE, np.int64)
    found, gone = [], []
    for cell in frozen:
        if cell.name and cell.name not in number:
            gone.append(cell.name)
        elif cell.row >= rows or cell.column >= columns:
            found.append(Problem(f"frozen {cell.name or 'hole'}", f"stands in row {cell.row}, column {cell.column}",
                                 f"rows 0 to {rows - 1}, columns 0 to {columns - 1}"))  # fmt: skip
        else:
            kept[cell.row, cell.column] = number[cell.name] if cell.name else HOLE
    if not found and (room := rows * columns - int((kept == HOLE).sum())) < count:
        found.append(Problem("--rows, --columns", f"{rows} rows of {columns} with the frozen holes hold {room}, "
                             f"there are {count} pictures", f"at least {count} cells"))  # fmt: skip
    if found:
        raise ShowError(found)
    if gone:
        more = f" and {len(gone) - 1} more" if len(gone) > 1 else ""
        print(f"not there this time, so waiting at the end of the order: {gone[0]}{more}", file=sys.stderr)
    holes = rows * columns - count - int((kept == HOLE).sum())
    tidy = holes < columns if args.holes is None else args.holes == "end"
    return Grid(rows, columns, kept, tidy)


def labels_of(args: argparse.Namespace, names: Sequence[str], frames: NDArray[np.int64] | None,
              before: Order | None) -> tuple[str, ...]:  # fmt: skip
    """A label each from --groups, else what the order of an earlier run has; () where there are none. Raises ShowError."""
    if args.groups is not None:
        from tools.sort_groups import labels_for

        return labels_for(args.groups, names, frames)
    known = {cell.name: cell.label for cell in before.cells} if before is not None else {}
    labels = tuple(known.get(name, "") for name in names)
    return labels if any(labels) else ()


def record_of(args: argparse.Namespace, material: Material, value: float, took_s: float) -> str:
    """SHEET.json: what was asked for, what was read, what came of it."""
    import scipy

    options = {k: str(v) if isinstance(v, Path) else v for k, v in vars(args).items()}
    versions = {"python": platform.python_version(), "numpy": np.__version__, "scipy": scipy.__version__}
    if "torch" in sys.modules:
        versions["torch"] = str(sys.modules["torch"].__version__)
    told: dict[str, Any] = {
        "tool": "cineml sort", "options": options, "sha256": material.sha256, "versions": versions, "features": material.kind,
        "dimensions": material.features.shape[1], "pictures": len(material.names), "rows": material.grid.rows,
        "columns": material.grid.columns, "frozen": int((material.grid.kept != FREE).sum()), "quality": round(value, 4),
        "sorted_in_s": round(took_s, 2),
    }  # fmt: skip
    return json.dumps(told, indent=1) + "\n"


def sort(args: argparse.Namespace) -> None:
    """The deed. Raises ShowError."""
    if found := option_problems(args) + place_problems(args):
        raise ShowError(found)
    if importlib.util.find_spec("scipy") is None:
        raise ShowError(Problem("cineml sort", "needs scipy, which is not installed", "", 'pip install "cineml[studio]"'))
    before = order_before(args)  # first of all: what a person edited is not to be lost to a file that cannot be read
    material = material_of(args, before)
    grid = material.grid
    begun_s = time.perf_counter()
    progress = Progress(100, "% sorted", sys.stdout)
    features = material.features
    if features.shape[1] > LONG:
        from tools.sort_features import principal

        features = principal(features, LONG // 2)
    layout = arrange(features, grid.rows, grid.columns, seed=args.seed, kept=grid.kept, tidy=grid.tidy,
                     effort=EFFORTS[args.effort], at=lambda done, total: progress.at(100 * done // total))  # fmt: skip
    took_s = time.perf_counter() - begun_s
    value = quality(material.features, layout)
    outputs = outputs_of(args, material, layout, told_of(material, value))
    record = record_of(args, material, value, took_s)
    for path, write in outputs:
        write_whole(path, write)
    write_whole(args.output.with_suffix(".json"), lambda part: part.write_text(record, encoding="utf-8"))
    progress.done(f"{args.output}: {told_of(material, value)}")


def told_of(material: Material, value: float) -> str:
    """What came of it, for a person."""
    shape = f"{material.grid.rows} rows of {material.grid.columns}"
    return f"{len(material.names)} pictures, {shape}, features: {material.kind}, quality {value:.3f}"


def outputs_of(args: argparse.Namespace, material: Material, layout: NDArray[np.int64],
               told: str) -> list[tuple[Path, Callable[[Path], object]]]:  # fmt: skip
    """What is to be written, made whole before the first of it replaces anything."""
    if is_layout(args.output):
        def write_layout(part: Path) -> None:
            with part.open("wb") as file:
                np.save(file, layout)

        return [(args.output, write_layout)]
    from tools.sort_groups import groups_of
    from tools.sort_page import page
    from tools.sort_sheet import draw_sheet

    assert material.thumbs is not None
    grid, labels = material.grid, material.labels
    groups = groups_of(labels, [int(i) for i in layout.reshape(-1) if i >= 0]) if labels else {}
    frozen = {(int(y), int(x)) for y, x in np.argwhere(grid.kept != FREE)}
    frames = None if material.frames is None else material.frames.tolist()
    cells = cells_of(layout.tolist(), material.names, frames, labels, frozen)
    order = Order(grid.rows, grid.columns, (*cells, *material.waiting))
    sheet = draw_sheet(layout, material.thumbs, groups)
    kind = {".png": "PNG", ".webp": "WEBP"}.get(args.output.suffix.lower(), "JPEG")
    text = format_order(order, args.output.name)
    html = page(args.output.name, order, layout, material.thumbs, groups, told)
    files = written_beside(args.output)
    return [(args.output, lambda part: sheet.save(part, format=kind, quality=92)),
            (files["the page"], lambda part: part.write_text(html, encoding="utf-8")),
            (files["the order"], lambda part: part.write_text(text, encoding="utf-8"))]  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """The deed. Returns the exit code: 0, 2 for bad input, 130 where Ctrl-C stopped it."""
    args = arguments().parse_args(argv)
    try:
        sort(args)
    except ShowError as e:
        print(e, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped; no file is half written", file=sys.stderr)
        return STOPPED
    return 0


if __name__ == "__main__":
    sys.exit(main())
