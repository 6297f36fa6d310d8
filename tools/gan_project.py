"""`cineml gan project MODEL IMAGE|FOLDER|FILM [--shots] -o OUT`: the latents from which a generator makes given pictures.

By gradient descent from the best of a few thousand samples (Karras et al. 2020, arXiv 1912.04958, appendix D), with losses
that need no download: a pyramid of the picture and the checkpoint's own discriminator; VGG16 or LPIPS where one brings it.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch

from player.show.problem import Problem, ShowError
from tools.model_metadata import exported_hashes
from tools.project_fit import FitOptions
from tools.project_model import SAMPLES
from tools.project_options import arguments
from tools.project_outputs import write_outputs
from tools.project_run import Project, checked, read_job, run
from tools.project_source import cropped_by

DONE, BAD_INPUT, STOPPED = 0, 2, 130
@contextmanager
def on_ctrl_c() -> Iterator[Callable[[], bool]]:
    """Gives a function that says whether Ctrl-C was pressed; a second press leaves at once."""
    asked: list[bool] = []

    def note(_number: int, _frame: object) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(True)
        print("\nstopping after this step ...", file=sys.stderr, flush=True)

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: bool(asked)
    finally:
        signal.signal(signal.SIGINT, before)


def project_of(args: argparse.Namespace) -> Project:
    """What the command line asks for. Raises ShowError."""
    if not 1 <= args.bank <= SAMPLES:
        raise ShowError(Problem("--bank", str(args.bank), f"1 to {SAMPLES} samples"))
    if args.sheet < 0 or args.threads < 0 or args.seed < 0 or args.batch < 0:
        raise ShowError(Problem("--sheet, --threads, --seed, --batch", "one is negative", "0 or more"))
    if args.synthesis is not None and not args.synthesis.is_file():
        raise ShowError(Problem("--synthesis", f"{args.synthesis} does not exist", "a synthesis.onnx"))
    if args.synthesis is not None:
        exported_hashes(args.synthesis)  # a file that is no export would stand in the score as the one that plays it
    device = args.device or ("cuda" if torch.cuda.is_available() else "cpu")
    options = FitOptions(args.steps, args.space == "w+", args.rate, args.wander, args.prior, args.apart, args.smooth,
                         args.noise, args.seed)  # fmt: skip
    project = Project(args.model, args.source, args.output, options, args.batch or (16 if device == "cuda" else 4),
                      args.shots, args.cuts, args.start, args.end, args.every, args.bank, args.anchors, args.features,
                      args.vgg, args.vgg_gain, args.synthesis, args.sheet, args.pictures, args.again, device)  # fmt: skip
    checked(project)
    return project


def main(argv: Sequence[str] | None = None) -> int:
    """The deed. Returns the exit code: 0, 2 for bad input, 130 when stopped by Ctrl-C."""
    args = arguments().parse_args(argv)
    try:
        project = project_of(args)
        if args.threads:
            torch.set_num_threads(args.threads)
        with on_ctrl_c() as stop:
            job = read_job(project)
            lost = cropped_by(job.pictures.size, job.geometry)
            if lost > 0.01:
                w, h = job.geometry["film"]
                print(f"{project.source}: another shape than the model's film ({w} x {h}): the middle is taken, "
                      f"{100 * lost:.0f} % of the picture is not", file=sys.stderr)  # fmt: skip
            outcome = run(job, stop)
            if not outcome.finished:
                done = f"{len(outcome.done)} of {len(job.units)} pieces are done"
                print(f"stopped; {done}, and the one under way is kept: the same command goes on from here", file=sys.stderr)
                return STOPPED
            told = write_outputs(job, outcome)
    except ShowError as e:
        print(e, file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print("\nstopped at once; finished pieces are kept", file=sys.stderr)
        return STOPPED
    psnr = told["psnr_db"]
    print(f"{project.output}: {told['pictures']} pictures, PSNR {psnr['mean']:.1f} dB (least {psnr['least']:.1f}, "
          f"{psnr['least_of']}), {told['seconds_a_picture']:.1f} s a picture"
          + (f"; look at {project.output / 'sheet.png'}" if project.sheet else ""))  # fmt: skip
    return DONE


if __name__ == "__main__":
    sys.exit(main())
