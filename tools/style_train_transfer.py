"""Start a stylizer from another one's weights, for other styles."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import torch

from models.stylizer import Stylizer
from models.stylizer_checkpoint import load_stylizer
from player.show.problem import Problem, ShowError


@torch.no_grad()
def start_like(folder: Path, names: Sequence[str]) -> Stylizer:
    """The network of a run or checkpoint with these styles: one of the same name keeps what it knows, a new one begins as the
    mean of those that are there. Raises CheckpointError, ShowError for names that are none."""
    old, config, _ = load_stylizer(folder)
    try:
        net = Stylizer(dataclasses.replace(config, styles=tuple(names)))
    except ValueError as error:
        raise ShowError(Problem("--style", str(error))) from None
    rows = {name: i for i, name in enumerate(config.styles)}
    own = {id(p) for p in net.style_parameters()}
    kept = dict(old.named_parameters())
    for name, parameter in net.named_parameters():
        value = kept[name].data
        if id(parameter) in own:
            value = torch.stack([value[rows[n]] if n in rows else value.mean(dim=0) for n in names])  # [S, C]
        parameter.copy_(value)
    for name, buffer in net.named_buffers():
        buffer.copy_(dict(old.named_buffers())[name])
    return net
