"""The command line of `cineml gan import`: no torch, so that --help works in a base install."""

from __future__ import annotations

import argparse
from pathlib import Path

EXAMPLES = """examples:
  cineml gan import network-snapshot-025000.pkl -o face
  cineml gan import stylegan2-church.pt -o church --with-discriminator --licence "see the authors' page"
"""


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        prog="cineml gan import", description="A foreign StyleGAN2 snapshot as a checkpoint; nothing in the file is executed.",
        epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    p.add_argument("file", type=Path, help="a snapshot: .pkl of NVlabs or TensorFlow, .pt of rosinality")
    p.add_argument("-o", "--output", type=Path, required=True, help="the checkpoint folder to write")
    p.add_argument("--network", choices=("G_ema", "G"), default="G_ema", help="which generator (G_ema, the averaged one)")
    p.add_argument("--with-discriminator", action="store_true", help="the discriminator as well, to train on from")
    p.add_argument("--licence", default="", help="under which licence the weights are, kept with them")
    return p
