"""The command line of `cineml gan project`: no torch, so that --help works in a base install."""

from __future__ import annotations

import argparse
from pathlib import Path

STEPS, RATE, WANDER, PRIOR, APART, SMOOTH = 200, 0.1, 0.05, 0.003, 0.003, 0.005
FEATURES, BANK, SHEET = 0.1, 2000, 48
WHERE = """\
VGG16: torchvision's weights (vgg16, IMAGENET1K_V1), made a safetensors file once, where torchvision is installed:
  python -c "import torchvision, safetensors.torch as s; w = torchvision.models.vgg16(weights='IMAGENET1K_V1').state_dict(); \
s.save_file({k: v.contiguous() for k, v in w.items() if k.startswith('features.')}, 'vgg16.safetensors')"
For LPIPS put the five tensors lin0.model.1.weight ... lin4.model.1.weight of its vgg.pth into the same file."""
EXAMPLES = f"""\
examples:
  cineml gan project run128/checkpoint portrait.png -o projected --space w+ --noise
  cineml gan project run128/checkpoint film.mp4 --shots --cuts cuts.csv --start 182f --end 250f -o projected

OUT/latents.npz: w [N, 1 or num_ws, w_dim], names, frames, loss, psnr, start_loss, shots. OUT/sheet.png: targets over
projections, the most unlike first. With --shots OUT/score.toml and score.npz: a walk a shot, which cineml play and cineml
remap read. OUT/.work keeps what is done: the same command goes on where it was stopped.

{WHERE}"""


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        prog="cineml gan project", formatter_class=argparse.RawDescriptionHelpFormatter, epilog=EXAMPLES,
        description="Find the latents from which a generator makes given pictures.")  # fmt: skip
    p.add_argument("model", type=Path, help="a checkpoint folder, or an export (which has no discriminator to look with)")
    p.add_argument("source", type=Path, metavar="IMAGE|FOLDER|FILM", help="what to project")
    p.add_argument("-o", "--output", type=Path, required=True, help="folder for the results")
    p.add_argument("--shots", action="store_true", help="the frames of each shot together, smooth in time; needs --cuts")
    p.add_argument("--cuts", type=Path, help="the film's cut list (CSV)")
    p.add_argument("--start", help="from here: frames (300), seconds (12.5s) or hh:mm:ss:ff; with --shots whole shots")
    p.add_argument("--end", help="to here, exclusive")
    p.add_argument("--every", type=int, default=1, help="only every so many frames (1)")
    p.add_argument("--space", choices=("w", "w+"), default="w",
                   help="one w for all layers, which stays editable (w), or one a layer, which comes nearer (w+)")  # fmt: skip
    p.add_argument("--steps", type=int, default=STEPS, help=f"gradient steps a picture ({STEPS}; the paper's 1000)")
    p.add_argument("--batch", type=int, default=0, help="pictures at a time (4 on a processor, 16 on an accelerator)")
    p.add_argument("--rate", type=float, default=RATE, help=f"of the descent, in deviations of w a step ({RATE})")
    p.add_argument("--wander", type=float, default=WANDER, help=f"noise on w at first, in deviations of w ({WANDER})")
    p.add_argument("--prior", type=float, default=PRIOR, help=f"weight of staying among the mapping's w ({PRIOR})")
    p.add_argument("--apart", type=float, default=APART, help=f"weight of W+ layers staying together ({APART})")
    p.add_argument("--smooth", type=float, default=SMOOTH, help=f"weight of smoothness over a shot ({SMOOTH})")
    p.add_argument("--features", type=float, default=FEATURES,
                   help=f"weight of the checkpoint's own discriminator ({FEATURES}; the pyramid's is 1)")  # fmt: skip
    p.add_argument("--vgg", type=Path, metavar="FILE.safetensors", help="VGG16, with LPIPS weights or without; see below")
    p.add_argument("--vgg-gain", type=float, default=1.0, help="its weight (1)")
    p.add_argument("--noise", action="store_true", help="seek the noise maps too, into noise.npz (else the trained ones)")
    p.add_argument("--bank", type=int, default=BANK, help=f"samples to choose the start from ({BANK})")
    p.add_argument("--anchors", default="auto", metavar="FILE|none",
                   help="codes of the training run to start from (default: the checkpoint's, for its own film)")  # fmt: skip
    p.add_argument("--synthesis", type=Path, help="the synthesis.onnx that will play the score, named in it")
    p.add_argument("--sheet", type=int, default=SHEET, help=f"pictures on the sheet ({SHEET}; 0: none)")
    p.add_argument("--pictures", action="store_true", help="every projection as OUT/pictures/NAME.png")
    p.add_argument("--again", action="store_true", help="begin anew, though OUT holds a projection")
    p.add_argument("--seed", type=int, default=0, help="of samples and noise (0)")
    p.add_argument("--threads", type=int, default=0, help="of torch (default: its own choice)")
    p.add_argument("--device", choices=("cpu", "cuda"), help="where to compute (default: cuda where there is one)")
    return p
