"""`cineml gan sample CHECKPOINT|EXPORT -o sheet.png`: random pictures, one row a truncation psi, the same z in a column."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from models.stylegan2 import Generator
from player.show.problem import Problem, ShowError
from tools.remap_generator import source_at


@torch.no_grad()
def sheet(generator: Generator, columns: int, psis: Sequence[float], seed: int) -> npt.NDArray[np.uint8]:
    """[rows * R, columns * R, 3] uint8: row by psi, column by z."""
    made = torch.Generator().manual_seed(seed)
    config = generator.config
    z = torch.randn(columns, config.z_dim, generator=made)
    c = None
    if config.c_dim:
        c = torch.eye(config.c_dim)[torch.arange(columns) % config.c_dim]
    rows = []
    for psi in psis:
        image = generator.synthesis(generator.mapping(z, c, psi))  # [columns, C, R, R]
        levels = (image * 127.5 + 127.5).round().clamp(0, 255).byte().numpy()
        rows.append(np.concatenate(list(levels.transpose(0, 2, 3, 1)), axis=1))
    picture = np.concatenate(rows, axis=0)  # [rows * R, columns * R, C]
    return np.repeat(picture, 3 // picture.shape[2], axis=2)


def main(argv: Sequence[str] | None = None) -> int:
    """The deed. Returns the exit code: 0, or 2 for bad input."""
    parser = argparse.ArgumentParser(prog="cineml gan sample", description="A sheet of random pictures of a generator.")
    parser.add_argument(
        "model", type=Path, help="a checkpoint folder, or a folder with mapping.onnx and synthesis.onnx"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="the sheet, PNG")
    parser.add_argument("--columns", type=int, default=8, help="pictures a row (8)")
    parser.add_argument("--psi", default="0.5,0.7,1", help="truncations, one row each, with commas between (0.5,0.7,1)")
    parser.add_argument("--seed", type=int, default=0, help="which random pictures (0)")
    args = parser.parse_args(argv)
    try:
        try:
            psis = [float(p) for p in args.psi.split(",")]
        except ValueError:
            raise ShowError(Problem("--psi", args.psi, "numbers with commas between")) from None
        if not 1 <= args.columns <= 256:
            raise ShowError(Problem("--columns", str(args.columns), "1 to 256"))
        from PIL import Image

        picture = Image.fromarray(sheet(source_at(args.model).generator, args.columns, psis, args.seed))
        args.output.parent.mkdir(parents=True, exist_ok=True)
        part = args.output.with_name(args.output.name + ".part")
        picture.save(part, format="PNG")
        os.replace(part, args.output)
    except ShowError as e:
        print(e, file=sys.stderr)
        return 2
    print(f"{args.output}: {args.columns} pictures at psi {args.psi}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
