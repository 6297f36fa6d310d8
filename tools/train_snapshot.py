"""What a training run leaves behind: sample grids, the state that it resumes from, the log."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from models.stylegan2 import Generator
from player.show.problem import Problem, ShowError


def to_pictures(image: Tensor) -> NDArray[np.uint8]:
    """image float [N, C, H, W] in -1..1 -> uint8 [N, C, H, W]."""
    return (image.detach().float() * 127.5 + 127.5).round().clamp(0, 255).byte().cpu().numpy()


def tiled(pictures: NDArray[np.uint8], columns: int) -> NDArray[np.uint8]:
    """uint8 [N, C, H, W], N a multiple of columns -> one picture [H N / columns, W columns, C]."""
    n, c, h, w = pictures.shape
    rows = pictures.reshape(n // columns, columns, c, h, w).transpose(0, 3, 1, 4, 2)  # [rows, H, columns, W, C]
    return np.ascontiguousarray(rows.reshape(n // columns * h, columns * w, c))


def write_picture(path: Path, picture: NDArray[np.uint8]) -> None:
    """Write uint8 [H, W, 1, 3 or 4] as PNG, by a temporary name first."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    Image.fromarray(picture[..., 0] if picture.shape[2] == 1 else picture).save(part, format="PNG")
    os.replace(part, path)


@torch.no_grad()
def plain_grid(generator: Generator, z: Tensor, c: Tensor | None, columns: int) -> NDArray[np.uint8]:
    """Samples from z [M, z_dim] (and labels c [M, c_dim]) at psi 1 with constant noise, M a multiple of columns ->
    uint8 picture [H, W, C]. A row at a time, so that a GPU that trains has room for it."""
    rows = [to_pictures(generator(z[a : a + columns], None if c is None else c[a : a + columns]))
            for a in range(0, len(z), columns)]  # fmt: skip
    return tiled(np.concatenate(rows), columns)


@torch.no_grad()
def sample_grid(
    generator: Generator, z: Tensor, truth: NDArray[np.uint8], codes: Tensor | None, columns: int
) -> NDArray[np.uint8]:
    """Truth above reconstruction for anchored frames, then samples from z at psi 1, then at psi 0.6.

    z [M, z_dim], truth uint8 [K, C, R, R], codes [K, w_dim] or None (then truth is shown alone); K and M multiples of
    columns -> uint8 picture [H, W, C].
    """
    parts: list[NDArray[np.uint8]] = []
    for row in range(0, len(truth), columns):
        parts.append(truth[row : row + columns])
        if codes is not None:
            ws = codes[row : row + columns, None].expand(-1, generator.num_ws, -1)  # [columns, num_ws, w_dim]
            parts.append(to_pictures(generator.synthesis(ws)))
    for psi in (1.0, 0.6):
        for row in range(0, len(z), columns):
            parts.append(to_pictures(generator(z[row : row + columns], psi=psi)))
    return tiled(np.concatenate(parts), columns)


def append_log(path: Path, line: Mapping[str, Any]) -> None:
    """One JSON object more in a .jsonl file."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(dict(line)) + "\n")


def write_json(path: Path, value: Any) -> None:
    """Write JSON by a temporary name first."""
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
    os.replace(part, path)


def random_state(device: torch.device) -> Tensor:
    """The state of torch's default generators that training draws from, uint8 [B]: the CPU's, then the GPU's."""
    own = torch.get_rng_state()
    return torch.cat([own, torch.cuda.get_rng_state(device)]) if device.type == "cuda" else own


def set_random_state(state: Tensor, device: torch.device) -> None:
    """The inverse of `random_state`. A state from another kind of device sets the CPU's part. Raises RuntimeError."""
    length = len(torch.get_rng_state())
    torch.set_rng_state(state[:length])
    if device.type == "cuda" and len(state) > length:
        torch.cuda.set_rng_state(state[length:], device)


def save_state(
    path: Path,
    networks: Mapping[str, nn.Module],
    optimizers: Mapping[str, torch.optim.Optimizer],
    tensors: Mapping[str, Tensor],
    counters: Mapping[str, float],
    random_states: Sequence[Tensor],
) -> None:
    """Everything that training goes on from, in one safetensors file without pickle; counters as JSON in its head.

    random_states: one uint8 [B] a process.
    """
    flat: dict[str, Tensor] = {f"extra.{k}": v for k, v in tensors.items()}
    flat |= {f"random.{rank}": v for rank, v in enumerate(random_states)}
    for name, network in networks.items():
        flat |= {f"net.{name}.{k}": v for k, v in network.state_dict().items()}
    for name, optimizer in optimizers.items():
        for index, state in optimizer.state_dict()["state"].items():
            flat |= {f"opt.{name}.{index}.{k}": torch.as_tensor(v) for k, v in state.items()}
    part = path.with_name(path.name + ".part")
    save_file({k: v.detach().cpu().contiguous().clone() for k, v in flat.items()}, part,
              metadata={"counters": json.dumps(dict(counters))})  # fmt: skip
    part.chmod(0o644)  # safetensors makes files that only their owner can read
    os.replace(part, path)


def load_state(
    path: Path, networks: Mapping[str, nn.Module], optimizers: Mapping[str, torch.optim.Optimizer]
) -> tuple[dict[str, Tensor], dict[str, float], list[Tensor]]:
    """Fill networks and optimisers from `save_state`'s file: (extra tensors, counters, random states in order of rank).

    Raises ShowError where the file is missing, damaged, or of a run with other sizes.
    """
    from safetensors import SafetensorError, safe_open

    try:
        flat = load_file(path)
        broken = [k for k, v in flat.items() if v.is_floating_point() and not torch.isfinite(v).all()]
        if broken:
            more = f" and {len(broken) - 1} more" if broken[1:] else ""
            raise ValueError(f"{broken[0]}{more} holds values that are not finite")
        with safe_open(path, framework="pt") as file:
            counters = json.loads(file.metadata()["counters"])
        for name, network in networks.items():
            own = {k.removeprefix(f"net.{name}."): v for k, v in flat.items() if k.startswith(f"net.{name}.")}
            same_sizes(name, own, network.state_dict())
            network.load_state_dict(own, strict=True)
        for name, optimizer in optimizers.items():
            state: dict[int, dict[str, Any]] = {}
            for key, value in flat.items():
                if key.startswith(f"opt.{name}."):
                    index, field = key.removeprefix(f"opt.{name}.").split(".", 1)
                    # SparseAdam counts its steps as a plain number, Adam as a tensor.
                    sparse = field == "step" and isinstance(optimizer, torch.optim.SparseAdam)
                    state.setdefault(int(index), {})[field] = int(value) if sparse else value
            optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
            match_layout(optimizer)
        ranks = sorted((k for k in flat if k.startswith("random.")), key=lambda k: int(k.removeprefix("random.")))
        states = [flat[k] for k in ranks]
        extra = {k.removeprefix("extra."): v for k, v in flat.items() if k.startswith("extra.")}
        counters = {str(k): float(v) for k, v in counters.items()}
    except (OSError, SafetensorError, KeyError, ValueError, RuntimeError, TypeError, AttributeError) as error:
        reason = str(error).splitlines()[0]
        given = f"cannot be resumed from ({reason})"
        raise ShowError(Problem(str(path), given, "the state of a run with the same sizes")) from None
    return extra, counters, states


def same_sizes(name: str, kept: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> None:
    """Raise ValueError that names the first tensor of a network whose size differs from the kept one's, or that is missing."""
    for key in (*own, *(k for k in kept if k not in own)):
        there, here = ([*some[key].shape] if key in some else "missing" for some in (kept, own))
        if there != here:
            raise ValueError(f"{key} of the {name} is {there} in it, and {here} here")


def match_layout(optimizer: torch.optim.Optimizer) -> None:
    """Give the optimiser's moments the memory layout of their weights.

    torch's fused Adam walks both as flat memory and mixes up elements, silently, where the layouts differ.
    """
    for weight, state in optimizer.state.items():
        for key, value in state.items():
            if torch.is_tensor(value) and value.shape == weight.shape:
                state[key] = torch.empty_like(weight, requires_grad=False).copy_(value)
