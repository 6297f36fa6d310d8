"""How a picture is optimised in a network's eyes, as options of a command: nothing heavy, so that --help works everywhere."""

from __future__ import annotations

import argparse
import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from player.show.problem import Problem, ShowError

Loss = Literal["gram", "sliced"]
Optimiser = Literal["lbfgs", "adam"]
STARTS = ("content", "noise")
Pooling = Literal["max", "average"]
LEAST_TILE_PX, MOST_TILE_PX = 64, 8192
WHERE_VGG = """VGG19 is not part of cineml and is never fetched. It is had once, where torchvision is installed:
  python -c "import torchvision; torchvision.models.vgg19(weights='IMAGENET1K_V1')"
which leaves vgg19-dcbb9e9d.pth (548 MiB; its SHA-256 begins with dcbb9e9d) in torch's cache, in hub/checkpoints; name that
file. The hash of what was read is printed. Conversions of the authors' Caffe weights (BGR, 0..255) are other networks. Without
VGG19 name the folder of a checkpoint of cineml gan train: the film's own discriminator then judges."""


@dataclass(frozen=True)
class GatysOptions:
    """How a picture is optimised.

    content_layers, style_layers: names; none: the network's own choice. content, style: weights of the two losses, which are
    relative: 1 is as far as nothing at all. loss: how style is compared. optimiser: L-BFGS as Gatys et al. had it, or Adam.
    iterations: of each level. levels: of the pyramid, each half the size of the next. tv: weight of total variation, of values
    in 0..1. temporal: weight of the pixels that the warped previous pictures want, per squared level of 255 (Ruder et al.
    2016, equation 7). scale: of the strokes, as the painting is laid down to the frame's area times this. start: content,
    noise, or the name of a picture, whose hash is start_sha256; not where a film's frames before say it. rate: Adam's, in 0..1
    an iteration. projections, samples: of the sliced Wasserstein loss, directions and places a layer. tile: side in pixels of
    what a network sees at once. pooling: of VGG19, which is opened with it.
    """

    content_layers: tuple[str, ...] = ()
    style_layers: tuple[str, ...] = ()
    content: float = 1.0
    style: float = 8.0
    loss: Loss = "gram"
    optimiser: Optimiser = "lbfgs"
    iterations: int = 120
    levels: int = 3
    tv: float = 20.0
    temporal: float = 1.5e-3
    scale: float = 1.0
    start: str = "content"
    start_sha256: str = ""
    rate: float = 0.02
    projections: int = 32
    samples: int = 16384
    tile: int = 640
    pooling: Pooling = "max"
    seed: int = 0


def add_gatys_arguments(parser: argparse.ArgumentParser) -> None:
    """The group of options for --method gatys."""
    own = GatysOptions()
    g = parser.add_argument_group("--method gatys: a network judges")
    g.add_argument("--network", type=Path, metavar="FILE|DIR",
                   help="VGG19 (.safetensors, .pth; see below), or a checkpoint folder with its discriminator")  # fmt: skip
    g.add_argument("--content-layers", metavar="A,B", help="layers that keep the content (VGG19: relu4_2)")
    g.add_argument("--style-layers", metavar="A,B", help="layers that make the style (VGG19: relu1_1,relu2_1,...,relu5_1)")
    g.add_argument("--loss", choices=get_args(Loss), default=own.loss, help=f"how style is compared ({own.loss})")
    g.add_argument("--optimiser", choices=get_args(Optimiser), help="(lbfgs; adam with --loss sliced)")
    g.add_argument("--iterations", type=int, default=own.iterations, metavar="N", help=f"of each level ({own.iterations})")
    g.add_argument("--levels", type=int, default=own.levels, metavar="N", help=f"sizes, from coarse to fine ({own.levels})")
    g.add_argument("--start-from", default=own.start, metavar="content|noise|PICTURE",
                   help=f"what is changed until it fits; of a film, where a shot begins ({own.start})")  # fmt: skip
    for name, value, text in (("content-weight", own.content, "of the content"), ("style-weight", own.style, "of the style"),
                              ("tv", own.tv, "weight of total variation, which takes noise away"),
                              ("temporal", own.temporal, "of a film: weight of the warped frames before, a squared level"),
                              ("adam-rate", own.rate, "of 0..1 an iteration")):  # fmt: skip
        g.add_argument(f"--{name}", type=float, default=value, metavar="X", help=f"{text} ({value:g})")
    g.add_argument("--tile", type=int, default=own.tile, metavar="PX",
                   help=f"side of what the network sees at once: smaller needs less memory ({own.tile})")  # fmt: skip
    g.add_argument("--pooling", choices=get_args(Pooling), default=own.pooling, help=f"of VGG19 ({own.pooling})")


def gatys_options(args: argparse.Namespace, scale: float = 1.0, seed: int = 0) -> GatysOptions:
    """The options of a command line. Raises ShowError with everything that is wrong with them."""
    found: list[Problem] = []
    numbers = (("--iterations", args.iterations, 1, 100_000), ("--levels", args.levels, 1, 8),
               ("--tile", args.tile, LEAST_TILE_PX, MOST_TILE_PX), ("--content-weight", args.content_weight, 0, 1e9),
               ("--style-weight", args.style_weight, 0, 1e9), ("--tv", args.tv, 0, 1e9),
               ("--temporal", args.temporal, 0, 1e9), ("--adam-rate", args.adam_rate, 1e-6, 10))  # fmt: skip
    for name, number, least, most in numbers:
        if not (math.isfinite(number) and least <= number <= most):
            found.append(Problem(name, f"{number:g}", f"{least:g} to {most:g}"))
    if args.content_weight == 0 and args.style_weight == 0:
        found.append(Problem("--content-weight, --style-weight", "are both 0", "one of them above 0"))
    layers = []
    for name, text in (("--content-layers", args.content_layers), ("--style-layers", args.style_layers)):
        chosen = tuple(part.strip() for part in (text or "").split(",") if part.strip())
        if text is not None and not chosen:
            found.append(Problem(name, repr(text), "names of layers with commas between"))
        layers.append(chosen)
    start_sha256 = ""
    if args.start_from not in STARTS:
        try:
            start_sha256 = hashlib.sha256(Path(args.start_from).read_bytes()).hexdigest()
        except OSError as e:
            given = f"{args.start_from!r} cannot be read ({e.strerror or e})"
            found.append(Problem("--start-from", given, "content, noise, or a picture"))
    if found:
        raise ShowError(found)
    # The sliced loss sees another sample of places every time, which L-BFGS takes for a change of what it descends.
    optimiser: Optimiser = args.optimiser or ("adam" if args.loss == "sliced" else "lbfgs")
    return GatysOptions(layers[0], layers[1], args.content_weight, args.style_weight, args.loss, optimiser,
                        args.iterations, args.levels, args.tv, args.temporal, scale, args.start_from, start_sha256,
                        args.adam_rate, tile=args.tile, pooling=args.pooling, seed=seed)  # fmt: skip
