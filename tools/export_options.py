"""The command line of `cineml gan export`, and the words it takes: no torch, so that --help works in a base install."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Literal, get_args

Part = Literal["mapping", "synthesis", "generator"]
PARTS: tuple[Part, ...] = get_args(Part)
UpForm = Literal["transposed", "square", "polyphase", "phases", "folded"]  # tools/export_upconv.py says what they are
UP_FORMS: tuple[UpForm, ...] = get_args(UpForm)
UP_FORM: UpForm = "phases"
EXAMPLES = """examples:
  cineml gan export run128/checkpoint -o models
  cineml gan export run128/checkpoint -o models --half --licence CC0-1.0
  cineml gan export run256/checkpoint -o models --uint8 --parts mapping,synthesis"""


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        prog="cineml gan export", description="Write a generator as ONNX, compared with torch before it is kept.",
        epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    p.add_argument("checkpoint", type=Path, help="a checkpoint folder (model.safetensors and model.json)")
    p.add_argument("folder", type=Path, nargs="?", help="the same as -o")
    p.add_argument("-o", dest="out", type=Path, metavar="DIR",
                   help="folder for mapping.onnx, synthesis.onnx, generator.onnx (default: the checkpoint's)")  # fmt: skip
    p.add_argument("--output", choices=("float", "uint8"), default="float",
                   help="the picture: float32 [1, C, H, W] in -1..1 (default) or bytes [1, H, W, 3]")  # fmt: skip
    p.add_argument("--uint8", action="store_true", help="the same as --output uint8")
    p.add_argument("--half", action="store_true", help="store weights as float16 (half the size, same speed)")
    p.add_argument("--fp16", action="store_true",
                   help="compute the highest resolutions in float16 (for GPUs; a CPU gains nothing)")  # fmt: skip
    p.add_argument("--gains", action="store_true", help="add an input gain.RES.i [1, C, 1, 1] after each activation")
    p.add_argument("--parts", default=",".join(PARTS), help="which files, with commas between (default: all three)")
    p.add_argument("--up", choices=UP_FORMS, default=UP_FORM,
                   help=f"formulation of the up-convolution, equal in numbers (default {UP_FORM})")  # fmt: skip
    p.add_argument("--teacher", type=Path, metavar="DIR",
                   help="of a student of gan distill: the export of its teacher, whose scores it then plays too (not needed "
                        "where that lay beside the teacher's checkpoint when it taught)")  # fmt: skip
    p.add_argument("--licence", help="SPDX name for the metadata (default: the checkpoint's)")
    return p
