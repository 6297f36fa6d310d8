"""`cineml style dream CONTENT --network N -o OUT`: a picture, a folder of frames or a film, as a network dreams it.

What one of the network's layers answers is made louder, size by size (style_dream_picture.py). Of a film every frame begins
with the dream of the frame before, moved as the film moves, so that what appears stays where it belongs.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from player.show.problem import Problem, ShowError
from tools.style_dream_options import DreamOptions, arguments, dream_options
from tools.style_output_options import kind_of

if TYPE_CHECKING:
    from tools.style_dream_picture import Dreamer
    from tools.style_frames import Done

TOOL = "cineml style dream"
DONE, BAD_INPUT, STOPPED = 0, 2, 130

Pixels = npt.NDArray[np.uint8]


class DreamHand:
    """Dreams frames, each from the one before."""

    def __init__(self, dreamer: Dreamer):
        self.dreamer = dreamer

    @property
    def back(self) -> tuple[int, ...]:
        """One frame, unless nothing is carried."""
        return (1,) if self.dreamer.options.carry > 0 else ()

    def paint(self, number: int, frame: Pixels, before: Mapping[int, Done], told: Callable[[float], None],
              seen: Callable[[Pixels], None]) -> Done:  # fmt: skip
        """See style_frames.Hand."""
        from tools.style_dream_picture import carried
        from tools.style_frames import Done

        past = None
        if 1 in before:
            past = carried(frame, before[1].frame, before[1].arrays["detail"].astype(np.float32))

        def tick(done: int, total: int, picture: Callable[[], Pixels]) -> None:
            told(done / total)
            if done % self.dreamer.options.iterations == 0:
                seen(picture())

        made = self.dreamer.dream(frame, past, number, tick)
        return Done(frame, made.picture, {"detail": made.detail.astype(np.float16)})


def main(argv: Sequence[str] | None = None) -> int:
    """The deed. Returns the exit code: 0, 2 for bad input, 130 where Ctrl-C stopped it."""
    args = arguments().parse_args(argv)
    picture = kind_of(args.content) == "picture"
    try:
        options = dream_options(args)
        return dream_picture(args, options) if picture else dream_film(args, options)
    except ShowError as e:
        for problem in e.problems:
            print(f"cineml: {problem}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print(f"\ncineml: {stopped_line(args, picture)}", file=sys.stderr)
        return STOPPED


def stopped_line(args: argparse.Namespace, picture: bool) -> str:
    """What a stopped run says."""
    if picture:
        return "stopped; nothing was written"
    from tools.keyframes_output import place_of
    from tools.style_frames import stopped_words

    return stopped_words(place_of(args.output))


def dreamer_of(args: argparse.Namespace, options: DreamOptions) -> tuple[Dreamer, dict[str, Any]]:
    """(who dreams, what all pictures follow from beside the content), after all that can be checked. Raises ShowError."""
    import torch

    from tools.keyframes_keys import read_content
    from tools.style_dream_picture import ENGINE, Dreamer
    from tools.style_network import network_line, read_perception
    from tools.style_output import place_problems
    from tools.train_machine import keep_freed_memory
    from tools.whole_file import sha256_of

    folder = os.path.isdir(args.network)
    folders = {"the network": args.network} if folder else {}
    files = {"the guide": args.guide, "the cut list": args.cuts, "the sound": args.sound,
             "the network": None if folder else args.network}  # fmt: skip
    found = place_problems(args, args.content, folders, files)
    guide, perception = None, None
    if not os.path.exists(args.content):
        found.append(Problem(str(args.content), "does not exist", "a picture, a film, or a folder of its frames"))
    try:
        if args.guide is not None and not args.guide.is_file():
            given = "is a folder" if args.guide.is_dir() else "does not exist"
            raise ShowError(Problem(f"--guide {args.guide}", given, "a picture"))
        guide = None if args.guide is None else read_content(args.guide)[0]
    except ShowError as e:
        found += e.problems
    try:
        perception = read_perception(args.network, device=args.device)
    except ShowError as e:
        found += e.problems
    if found or perception is None:
        raise ShowError(found)
    if args.threads:
        torch.set_num_threads(args.threads)
    keep_freed_memory()
    print(network_line(perception), flush=True)
    dreamer = Dreamer(perception, options, guide)
    how = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(replace(options, layer=dreamer.layer)).items()}
    how["engine"] = ENGINE
    return dreamer, {"options": how, "network": {"sha256": perception.sha256},
                     "guide": {"sha256": None if args.guide is None else sha256_of(args.guide)}}  # fmt: skip


def check_size(args: argparse.Namespace, size: tuple[int, int]) -> None:
    """Raises ShowError for pictures of (width, height) that are too small to dream."""
    from tools.style_dream_picture import LEAST_OCTAVE_PX

    if min(size) < LEAST_OCTAVE_PX:
        raise ShowError(Problem(str(args.content), "is {}x{}".format(*size), f"at least {LEAST_OCTAVE_PX} pixels a side"))


def dream_picture(args: argparse.Namespace, options: DreamOptions) -> int:
    """One picture. Raises ShowError."""
    from tools.keyframes_keys import read_content
    from tools.style_picture import make_picture

    dreamer, told = dreamer_of(args, options)
    content, alpha = read_content(args.content)
    check_size(args, (content.shape[1], content.shape[0]))
    make_picture(TOOL, args, told, content, alpha, lambda: DreamHand(dreamer), f", layer {dreamer.layer}")
    return DONE


def dream_film(args: argparse.Namespace, options: DreamOptions) -> int:
    """A film, or a folder of frames. Raises ShowError."""
    from tools.style_frames import paint_frames
    from tools.style_output import film_job, film_of

    dreamer, told = dreamer_of(args, options)
    footage, first, end = film_of(args, args.content)
    check_size(args, footage.size)
    job = film_job(TOOL, args, footage, first, end, told)
    print(f"layer {dreamer.layer}", flush=True)
    paint_frames(job, DreamHand(dreamer))
    return DONE


if __name__ == "__main__":
    sys.exit(main())
