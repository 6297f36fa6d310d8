"""Masks of the demo film's figures, drawn by what draws the film: the same scenes, the room unlit and all that is left white.

    python -m tools.demo_masks -o show_configs/style/masks

Of the shots in which somebody is seen whole on the empty floor. PNGs of one bit by film frame: 000078.png. Those that are there
already are drawn again.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from player.show.problem import ShowError
from tools.film_draw import Scene, Stage
from tools.film_shots import RATE, TAKES, cut_list
from tools.whole_file import make_folder, write_whole

SHOTS = (2, 15, 19, 20)  # he walks; she dances; the two dance; he walks on
SIZE = (240, 180)  # pixels; half the film's, and the player draws the edge smooth
FINER = 2  # drawn so many times as large
EXPOSURE = 1000.0  # times the film's: the darkest cloth is white


def figures_of(stage: Stage, scene: Scene) -> npt.NDArray[np.bool_]:
    """bool [H, W] of SIZE: where a scene's figures are. stage: FINER times as large."""
    unlit = replace(scene, horizon=0.0, above=0.0, floor=0.0, vignette=0.0, table=False, exposure=EXPOSURE * scene.exposure)
    width, height = SIZE
    share = (stage.draw(unlit) > 0.01).reshape(height, FINER, width, FINER).mean(axis=(1, 3))
    return np.asarray(share >= 0.5)


def main(argv: Sequence[str] | None = None) -> int:
    """The deed. Returns the exit code."""
    p = argparse.ArgumentParser(prog="python -m tools.demo_masks", description="Draws the masks of the demo film's figures.")
    p.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="where NNNNNN.png are written")
    args = p.parse_args(argv)
    try:
        make_folder(args.output)
    except ShowError as e:
        print(e, file=sys.stderr)
        return 2
    stage = Stage(FINER * SIZE[0], FINER * SIZE[1])
    try:
        for shot in (one for one in cut_list().shots if one.number in SHOTS):
            for frame in range(shot.start, shot.end):
                mask = Image.fromarray(figures_of(stage, TAKES[shot.number - 1].scene((frame - shot.start) / RATE)))
                write_whole(args.output / f"{frame:06d}.png",
                            lambda part, mask=mask: mask.save(part, "PNG", optimize=True))  # type: ignore[misc]  # fmt: skip
    except ShowError as e:
        print(e, file=sys.stderr)
        return 2
    finally:
        stage.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
