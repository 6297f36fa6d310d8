"""The command line of `cineml gan distill`: no torch, so that --help works in a base install."""

from __future__ import annotations

import argparse
from pathlib import Path

LR, EMA_KIMG = 0.01, 1.0
EXAMPLES = """examples:
  cineml gan distill run256/checkpoint -o student --width 0.5 --minutes 60
  cineml gan distill run256/checkpoint -o student --width 0.25 --dataset film.mp4 --latents score.npz
  cineml gan distill run256/checkpoint -o student --resume --minutes 120"""


def arguments() -> argparse.ArgumentParser:
    """The command line; its help is the reference of the options."""
    p = argparse.ArgumentParser(
        prog="cineml gan distill", formatter_class=argparse.RawDescriptionHelpFormatter, epilog=EXAMPLES,
        description="Teach a narrower generator the pictures of a wide one, in the same W.")  # fmt: skip
    p.add_argument("teacher", type=Path, help="a checkpoint, a run that holds one, or an export")
    p.add_argument("-o", "--output", type=Path, required=True, metavar="STUDENT", help="folder of the run")
    p.add_argument("--width", type=float, help="feature maps, as a share of the teacher's (0.5)")
    p.add_argument("--channel-base", type=int, help="instead: feature maps at resolution R are this / R ...")
    p.add_argument("--channel-max", type=int, help="... and at most this")
    p.add_argument("--minutes", type=float, help="length of the learning (30, where --kimg is not given)")
    p.add_argument("--kimg", type=float, help="or its length in thousand pictures")
    p.add_argument("--latents", type=Path, help="the film's latents: a score's .npz or anchors.npz (the teacher's own)")
    p.add_argument("--film-share", type=float, default=0.5, help="share of them in a batch; the rest is from z (0.5)")
    p.add_argument("--batch", type=int, default=8, help="pictures a step (8)")
    p.add_argument("--lr", type=float, default=LR, help=f"learning rate ({LR})")
    p.add_argument("--features", type=float, default=1.0, help="weight of the teacher's discriminator's features (1)")
    p.add_argument("--feature-every", type=int, default=2, help="in every so many steps (2): they cost the most")
    p.add_argument("--match", type=float, default=0.0, help="weight of matching feature maps layer by layer (0)")
    p.add_argument("--adversarial", type=float, default=0.0, help="weight of an adversarial loss (0 = without)")
    p.add_argument("--ema-kimg", type=float, default=EMA_KIMG, help="half-life of the averaged student (1)")
    p.add_argument("--dataset", type=Path, metavar="FILM", help="the film: KID of both against its frames")
    p.add_argument("--start", help="first film frame of --dataset: 300, 12.5s or hh:mm:ss:ff")
    p.add_argument("--end", help="film frame to stop before")
    p.add_argument("--samples", type=int, default=2000, help="pictures for KID (2000)")
    p.add_argument("--metrics", choices=("auto", "none"), default="auto", help="none: no KID at the end")
    p.add_argument("--snapshot-minutes", type=float, default=4.0, help="between snapshots (4)")
    p.add_argument("--half", action="store_true", help="keep the checkpoint in half precision")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--threads", type=int, default=0, help="CPU threads (default: torch's choice)")
    p.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    p.add_argument("--precision", choices=("float32", "bfloat16"), default="float32", help="of the student's learning")
    p.add_argument("--resume", action="store_true", help="go on with STUDENT; options are the stored ones unless given")
    p.add_argument("--dry-run", action="store_true", help="say what would be made, write nothing")
    return p
