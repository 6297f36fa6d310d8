"""Measurements between training: metrics of the averaged generator as one line of metrics.jsonl, and the report."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from tools.train_dataset import Dataset
from tools.train_snapshot import append_log

if TYPE_CHECKING:
    from tools.metrics_inception import FeatureNet
    from tools.train_step import Training

MOST_BYTES = 2 << 30  # of real pictures that are compared with
SAMPLES = 2000


def feature_net(options: argparse.Namespace) -> FeatureNet | None:
    """The network of --inception, tried on black pictures; None where it is not asked for. Raises ShowError."""
    if options.inception is None or "fid" not in options.metrics.split(","):
        return None
    from tools.metrics_inception import FeatureNet

    net = FeatureNet(options.inception)
    net(torch.zeros(2, 3, 64, 64, dtype=torch.uint8))
    return net


def measured(training: Training, dataset: Dataset, usable: NDArray[np.bool_], folder: Path, options: argparse.Namespace,
             elapsed_s: float) -> dict[str, Any]:  # fmt: skip
    """The line that was appended: kimg, elapsed_s and the metrics that options.metrics names. Writes RUN/report.png, .html.

    usable: bool [N], which pictures are trained on. Raises ShowError where there are too few pictures to measure.
    """
    from tools.metrics_measure import measure
    from tools.train_report import write_report

    known = np.flatnonzero(usable)
    step = max(1, -(-len(known) * dataset.images[0].nbytes // MOST_BYTES))
    known = known[::step]
    inception = feature_net(options)
    devices = [training.device] if training.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):  # a measured run is the same run
        found = measure(training.average, np.array(dataset.images[known]), folder, samples=SAMPLES, device=training.device,
                        inception=inception, numbers=known,
                        noise="const" if options.anchor else "random")  # anchored frames know the constant maps alone
    asked = options.metrics.split(",")
    line: dict[str, Any] = {"kimg": round(training.pictures / 1000, 3), "elapsed_s": round(elapsed_s, 1)}
    line |= {k: v for k, v in found.items() if k.split("_")[0] in asked or (k == "copies" and "memorisation" in asked)}
    append_log(folder / "metrics.jsonl", line)
    write_report(folder)
    return line
