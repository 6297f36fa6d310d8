"""The command line of `cineml gan train`: no torch, so that --help works in a base install."""

from __future__ import annotations

import argparse
from pathlib import Path

ARCHITECTURES = ("skip", "resnet", "orig")
PRESETS = ("config-f", "paper256", "paper512", "paper1024")
METRICS = ("kid", "swd", "precision", "recall", "coverage", "memorisation", "fid")
DEFAULT_METRICS = "kid,swd,precision,recall,coverage,memorisation"
PRESET_NAMES = ("auto", *PRESETS, "small")
EPILOG = """examples:
  cineml gan train film.mp4 -o run64 --minutes 60
  cineml gan train film.mp4 -o run64 --resume --minutes 120
  cineml gan train film.mp4 -o run64 --cuts cuts.csv --anchor --minutes 30
  cineml gan train film.mp4 -o run128 --cuts cuts.csv --anchor --resolution 128 --grow-from run64
  cineml gan train pictures.zip -o run256 --preset paper256 --transfer ffhq256 --freeze-d 10
  torchrun --nproc-per-node 4 -m tools.gan_train film.mp4 -o run512 --resolution 512"""


def arguments() -> argparse.ArgumentParser:
    """The command line; its help is the reference of the options."""
    p = argparse.ArgumentParser(
        prog="cineml gan train", formatter_class=argparse.RawDescriptionHelpFormatter, epilog=EPILOG,
        description="Train a StyleGAN2 on a film's frames, a folder of pictures or a zip of them. Ctrl-C keeps a snapshot; "
                    "--resume goes on from it.")  # fmt: skip
    p.add_argument("dataset", type=Path, help="a film, a folder of pictures, or a zip (dataset.json: labels)")
    p.add_argument("-o", "--output", type=Path, required=True, metavar="RUN", help="folder of the run")
    data = p.add_argument_group("pictures")
    data.add_argument("--start", help="first film frame: 300, 12.5s or hh:mm:ss:ff")
    data.add_argument("--end", help="film frame to stop before")
    data.add_argument("--cuts", type=Path, help="cut list (CSV): frames that mix two shots are left out; with --anchor, codes "
                                                "are smooth within a shot")  # fmt: skip
    data.add_argument("--resolution", type=int,
                      help="pixels, a power of two (default 64, with a GPU 256, at most the pictures')")
    data.add_argument("--channels", type=int, choices=(1, 3, 4),
                      help="1 grey, 3 colour, 4 with alpha (default: as the pictures are)")
    data.add_argument("--mirror", action="store_true", help="mirror pictures at random (a film is not mirror-symmetric)")
    data.add_argument("--cond", action="store_true", help="conditional on the labels of dataset.json")
    net = p.add_argument_group("networks: a preset, and every number of it")
    net.add_argument("--preset", choices=PRESET_NAMES, default="auto",
                     help="auto: without a GPU small, with one by resolution; with --transfer or --grow-from as that is")
    net.add_argument("--z-dim", type=int)
    net.add_argument("--w-dim", type=int)
    net.add_argument("--mapping-layers", type=int)
    net.add_argument("--channel-base", type=int, help="feature maps at a resolution = base / resolution")
    net.add_argument("--channel-max", type=int)
    net.add_argument("--conv-clamp", type=float, help="bound of activations; 0 = none")
    net.add_argument("--half-blocks", type=int, help="top resolutions in half precision on a GPU")
    net.add_argument("--group", type=int, help="pictures of the discriminator's minibatch deviation")
    net.add_argument("--g-architecture", choices=ARCHITECTURES)
    net.add_argument("--d-architecture", choices=ARCHITECTURES)
    length = p.add_argument_group("length and start")
    length.add_argument("--kimg", type=float,
                        help="stop after so many thousand pictures (default, without --minutes: the preset's)")
    length.add_argument("--minutes", type=float, help="stop after so many minutes")
    length.add_argument("--resume", action="store_true", help="go on with the run in RUN; options not given are as they were")
    length.add_argument("--transfer", type=Path, metavar="CHECKPOINT", help="start from what fits of any checkpoint or run")
    length.add_argument("--freeze-d", type=int, default=0, metavar="N",
                        help="the discriminator's first N layers do not learn (10 is usual with --transfer)")
    length.add_argument("--grow-from", type=Path, metavar="RUN",
                        help="start from a run or checkpoint of the same sizes at this or a lower resolution")
    train = p.add_argument_group("training")
    train.add_argument("--batch", type=int, help="pictures an iteration, over all GPUs")
    train.add_argument("--batch-gpu", type=int, help="pictures a pass, on each GPU (less memory; default: all)")
    train.add_argument("--lr", type=float, help="of the generator; default the preset's, with anchors 0.01")
    train.add_argument("--d-lr", type=float, help="of the discriminator; default the preset's, with anchors 0.0025")
    train.add_argument("--mapping-lr", type=float, help="default as --lr, with anchors 0.3")
    train.add_argument("--decay", type=float, help="last part of the run in which the rates fall to nothing (default 0, "
                                                   "with anchors 0.35)")  # fmt: skip
    train.add_argument("--r1-gamma", type=float, help="default 0.0002 resolution^2 / batch, or the preset's")
    train.add_argument("--path-interval", type=int, help="default 4, with anchors 16; 0 = no path length regularisation")
    train.add_argument("--style-mixing", type=float, help="probability; default 0.9, with anchors none")
    train.add_argument("--ema-kimg", type=float, help="half-life of the averaged generator; default batch * 10 / 32")
    train.add_argument("--ema-rampup", type=float, default=0.05,
                       help="the half-life is at most this share of the pictures so far; 0 = off")
    train.add_argument("--aug", choices=("ada", "fixed", "none"), help="augmentation; default ada, with anchors none")
    train.add_argument("--target", type=float, default=0.6, help="of ada: mean sign of D(real)")
    train.add_argument("--p", type=float, help="of fixed: the probability (default 0.2); of ada: where it begins (0)")
    train.add_argument("--augment-kimg", type=float, default=500.0, help="of ada: pictures in which p can go from 0 to 1")
    train.add_argument("--augment-groups", default="bgc", metavar="bgc", help="blitting, geometry, colour")
    train.add_argument("--seed", type=int, default=1)
    anchor = p.add_argument_group("anchors: a code per film frame, learnt by reconstruction beside the adversary")
    anchor.add_argument("--anchor", nargs="?", const=True, metavar="FILM", help="of this film; without FILM, of the dataset")
    anchor.add_argument("--z-batch", type=int, default=4, help="pictures from z beside the anchored ones")
    anchor.add_argument("--adversarial-every", type=int, default=2, help="iterations; the others reconstruct only; 0 = never")
    anchor.add_argument("--adversarial-weight", type=float, help="default 1, with anchors 0.2")
    anchor.add_argument("--reconstruction-weight", type=float, default=10.0)
    anchor.add_argument("--feature-weight", type=float, default=0.5, help="discriminator features, frame against its code")
    anchor.add_argument("--anchor-noise", type=float, default=0.5, metavar="SHARE",
                        help="share of the frames that are made with fresh noise (0: the constant noise always, which "
                             "every other noise then melts)")  # fmt: skip
    anchor.add_argument("--detail", type=float, default=4.0, help="extra weight of what differs from the shot's mean")
    anchor.add_argument("--smooth-weight", type=float, default=1.0)
    anchor.add_argument("--code-lr", type=float, default=0.01)
    anchor.add_argument("--warmup", type=float,
                        help="kimg over which the adversarial weight fades in (default 0, with anchors 2)")
    out = p.add_argument_group("what is written and shown")
    out.add_argument("--tick-minutes", type=float, default=1.0, help="between sample grids")
    out.add_argument("--snapshot-minutes", type=float, default=4.0, help="between snapshots (checkpoint and state)")
    out.add_argument("--metrics", default=DEFAULT_METRICS,
                     help=f"of {', '.join(METRICS)}; or none (default {DEFAULT_METRICS})")
    out.add_argument("--metrics-minutes", type=float, default=30.0,
                     help="between measurements, and one at the end; 0 = only there")
    out.add_argument("--inception", type=Path, metavar="FILE", help="Inception weights of your own, for the metric fid")
    out.add_argument("--half", action="store_true", help="keep the checkpoint in half precision")
    out.add_argument("--tensorboard", action="store_true", help="write RUN/tensorboard too")
    out.add_argument("--dry-run", action="store_true", help="time a few steps, say what memory they take; write nothing")
    machine = p.add_argument_group("machine")
    machine.add_argument("--device", default="auto", help="auto, cpu or cuda")
    machine.add_argument("--precision", choices=("auto", "float32", "bfloat16", "float16"), default="auto",
                         help="of the activations (auto: float16 in the preset's top blocks on a GPU, bfloat16 on a CPU where "
                              "it is faster)")  # fmt: skip
    machine.add_argument("--compile", action="store_true", help="torch.compile (minutes to start; for long runs on a GPU)")
    machine.add_argument("--threads", type=int, default=0, help="CPU threads (default: torch's choice)")
    return p
