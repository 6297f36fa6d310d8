"""`cineml style optimize CONTENT --style PICTURE -o OUT`: a picture, a folder of frames or a film, painted.

By guided patch synthesis (style_patches.py), which is the default and needs no network, or by optimisation in a network's eyes
(style_gatys.py): VGG19 from a file that the person names, or the film's own discriminator. Frames of a film follow each other.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from player.show.problem import Problem, ShowError
from tools.keyframes_asked import check_cuts
from tools.keyframes_film import sound_problems
from tools.keyframes_keep import Keep, fineness, keep_of
from tools.keyframes_keys import read_content
from tools.paint_gate import Gate, gate_of
from tools.paint_options import paint_options
from tools.paint_style import Painting, read_painting
from tools.style_black import film_gate
from tools.style_frames import Hand, paint_frames, stopped_words
from tools.style_gatys_options import STARTS, GatysOptions, gatys_options
from tools.style_optimize_hands import GatysHand, PatchHand
from tools.style_optimize_masks import Mask, read_masks
from tools.style_optimize_options import arguments, masks_given, option_problems, weights_of
from tools.style_output import film_job, film_of, named_problems, place_of, place_problems
from tools.style_output_options import kind_of
from tools.style_picture import make_picture

TOOL = "cineml style optimize"
DONE, BAD_INPUT, STOPPED = 0, 2, 130

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Asked:
    """A checked command line but for its content. perception: the network, None for patches. common: what all pictures follow
    from beside content and masks."""

    args: argparse.Namespace
    paintings: tuple[Painting, ...]
    weights: tuple[float, ...]
    keep: Keep | None
    perception: Any
    common: Mapping[str, Any]

    def hand(self, size: tuple[int, int], masks: Sequence[Mask | None], gate: Gate | None) -> Hand:
        """What paints pictures of (height, width). Raises ShowError."""
        if min(size) < (least := least_px(self.args)):
            raise ShowError(Problem(str(self.args.content), f"is {size[1]}x{size[0]}", f"at least {least} pixels a side"))
        together = not self.args.one_by_one
        if self.args.method == "gatys":
            options = gatys_options(self.args, float(self.args.scale), self.args.seed)
            return GatysHand(self.paintings, self.weights, masks, options, self.perception, self.keep, together, gate)
        from tools.style_patches import Easel, Style

        styles = [Style(p, w, name=str(path)) for p, w, path in zip(self.paintings, self.weights, self.args.style, strict=True)]
        return PatchHand(Easel(styles, paint_options(self.args), size, gate, self.keep), masks, together)


def main(argv: Sequence[str] | None = None) -> int:
    """The deed. Returns the exit code: 0, 2 for bad input, 130 where Ctrl-C stopped it."""
    args = arguments().parse_args(argv)
    picture = kind_of(args.content) == "picture"
    try:
        return paint_picture(args) if picture else paint_film(args)
    except ShowError as e:
        print(e, file=sys.stderr)
        return BAD_INPUT
    except MemoryError:
        hint = "--turns 1, a smaller --scale" if args.method == "patches" else "a smaller --tile"
        print(Problem(str(args.content), "needs more memory than there is", "", hint), file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        words = "stopped; nothing was written" if picture else stopped_words(place_of(args.output))
        print(f"\n{words}", file=sys.stderr)
        return STOPPED


def asked_for(args: argparse.Namespace) -> Asked:
    """The command line, checked, the paintings read, the network opened. Raises ShowError with all that can be said at once."""
    masks = masks_given(args)
    styles = {f"the painting {p.name}": p for p in args.style}
    folders = {"the masks": next((m for m in masks if m is not None and os.path.isdir(m)), None)}
    files = {**styles, **{f"the mask {m.name}": m for m in masks if m is not None and not os.path.isdir(m)},
             "the cut list": args.cuts, "the sound": args.sound,
             "the picture to start from": Path(args.start_from) if args.start_from not in STARTS else None}  # fmt: skip
    if found := named_problems(args, args.content, folders, files):
        raise ShowError(found)
    found = option_problems(args) + place_problems(args, args.content, folders, files) + sound_problems(args.sound)
    found += check_cuts(args.cuts)
    if not os.path.exists(args.content):
        found.append(Problem(str(args.content), "does not exist", "a picture, a film, or a folder of its frames"))
    paintings = []
    for path in args.style:
        try:
            paintings.append(read_painting(path))
        except ShowError as e:
            found += e.problems
    if found:
        raise ShowError(found)
    for path, painting in zip(args.style, paintings, strict=True):
        for note in painting.notes:
            print(f"{path.name}: {note}", flush=True)
    keep = None if args.keep is None else keep_of(args.keep, args.keep_amount)
    weights = weights_of(args)
    how: dict[str, Any] = {name: getattr(args, name) for name in ("method", "keep", "keep_amount", "one_by_one")}
    how |= fineness(args.keep or "")
    perception = None
    if args.method == "gatys":
        from tools.style_gatys import ENGINE
        from tools.style_network import network_line, read_perception
        from tools.train_machine import keep_freed_memory

        keep_freed_memory()
        perception = read_perception(args.network, args.pooling)
        if perception.kind == "discriminator" and args.pooling != GatysOptions.pooling:
            raise ShowError(Problem("--pooling", f"is of VGG19, and {perception.name} is a discriminator", "without --pooling"))
        if args.threads:
            import torch

            torch.set_num_threads(args.threads)
        print(network_line(perception), flush=True)
        how |= {**asdict(gatys_options(args, float(args.scale), args.seed)), "network": perception.sha256, "engine": ENGINE}
    else:
        from tools.style_patches import ENGINE

        how |= {"engine": ENGINE} | {k: v for k, v in asdict(paint_options(args)).items() if k != "threads"}
    told = [{"sha256": p.sha256, "weight": w} for p, w in zip(paintings, weights, strict=True)]
    return Asked(args, tuple(paintings), tuple(weights), keep, perception, {"options": how, "styles": {"paintings": told}})


def least_px(args: argparse.Namespace) -> int:
    """Side of the smallest picture that the method can paint."""
    if args.method == "gatys":
        from models.perception import LEAST_PX

        return LEAST_PX
    return 2 * args.patch + 1  # pixels of a piece of the painting


def with_masks(common: Mapping[str, Any], masks: Sequence[Mask | None]) -> dict[str, Any]:
    """What pictures follow from, the masks with it."""
    return {**common, "masks": {"sha256": [None if m is None else m.sha256 for m in masks]}}


def paint_picture(args: argparse.Namespace) -> int:
    """One picture. Raises ShowError."""
    asked = asked_for(args)
    content, alpha = read_content(args.content)
    height, width = content.shape[:2]
    masks = read_masks(masks_given(args), (width, height), None, range(1))
    told = with_masks(asked.common, masks)
    make_picture(TOOL, args, told, content, alpha, lambda: asked.hand((height, width), masks, gate_of([content])))
    return DONE


def paint_film(args: argparse.Namespace) -> int:
    """A film, or a folder of frames. Raises ShowError."""
    asked = asked_for(args)
    footage, first, end = film_of(args, args.content)
    masks = read_masks(masks_given(args), footage.size, footage, range(first, end))
    job = film_job(TOOL, args, footage, first, end, with_masks(asked.common, masks))
    gate = film_gate(footage, first, end)
    if gate.always.any():
        print(f"{gate.always.mean():.1%} of the picture is the film's black frame, and stays as it is", flush=True)
    paint_frames(job, asked.hand((footage.size[1], footage.size[0]), masks, gate))
    return DONE


if __name__ == "__main__":
    sys.exit(main())
