"""The network that judges pictures, from a file or folder that the user names: VGG19, or a film's own discriminator.

A file is torchvision's VGG19, as .safetensors or as torch.save writes it (.pth), read by our own restricted reader: nothing of
it is executed, and only tensors come out. A folder is a checkpoint that keeps its discriminator. Nothing is ever downloaded.
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from models.checkpoint import CheckpointError, load_checkpoint
from models.perception import Perception
from models.vgg import (
    PUBLISHED_SHA256_BEGINS,
    Pooling,
    Vgg19,
    VggError,
    check_names,
    expected_shapes,
)
from player.show.problem import Problem, ShowError
from tools.gan_import import MAGIC_BYTES
from tools.import_nvlabs import array_of
from tools.import_torch_file import FILE_NAMES, ZIP_START, read_old, read_zip
from tools.pickle_machine import Allowed, Blob, Budget, Machine, Pair, kind_of
from tools.pickle_values import STORAGE_NAMES, Stored, rebuild_tensor
from tools.train_machine import chosen_device
from tools.whole_file import sha256_of

MOST_BYTES = 2 << 30  # the published file, with its classifier, is 548 MiB
ALLOWED = "torchvision's VGG19, .safetensors or .pth, or the folder of a checkpoint with its discriminator"
ONLY_TENSORS = "a state dict: tensors alone, as torch.save(network.state_dict(), FILE) writes them"
HINT = "cineml style optimize --help says where VGG19 is had"


@dataclass(eq=False)
class Wrapped:
    """A parameter as files of 2017 hold it: an object around its tensor. What else it is told about itself does not matter."""

    tensor: Stored

    def build(self, machine: Machine, state: Any) -> None:
        """Its gradient's flags."""


def wrapped(machine: Machine, args: tuple[Any, ...]) -> Wrapped:
    """torch.nn.parameter.Parameter(tensor)."""
    if not args or not isinstance(args[0], Stored):
        machine.refuse("makes a parameter of something unknown", "a tensor")
    return Wrapped(args[0])


def early_tensor(machine: Machine, args: tuple[Any, ...]) -> Stored:
    """torch._utils._rebuild_tensor(storage, offset, size, strides), before torch 0.4."""
    if len(args) != 4:
        machine.refuse("makes a tensor of something unknown", "a storage, offset, size, strides")
    return rebuild_tensor(machine, (*args, False, None))


TENSOR_NAMES: dict[Pair, Allowed] = {
    pair: FILE_NAMES[pair]
    for pair in (*STORAGE_NAMES, ("torch._utils", "_rebuild_tensor_v2"), ("torch._utils", "_rebuild_parameter"),
                 ("collections", "OrderedDict"))
} | {("torch._utils", "_rebuild_tensor"): Allowed(call=early_tensor),
     ("torch.nn.parameter", "Parameter"): Allowed(call=wrapped, new=wrapped)}  # fmt: skip


def read_perception(path: Path, pooling: Pooling = "max", device: str = "auto") -> Perception:
    """The network in a VGG19 file or a checkpoint folder. pooling: of VGG19. device: auto, cpu or cuda. Raises ShowError."""
    if path.is_dir():
        perception = discriminator_at(path)
    elif path.is_file():
        perception = Perception(read_vgg19(path, pooling), path.name, sha256_of(path))
    else:
        raise ShowError(Problem(str(path), "does not exist", ALLOWED, HINT))
    return perception.to(chosen_device(device))


def network_line(perception: Perception) -> str:
    """One line for people: what judges, and its hash."""
    if perception.kind == "discriminator":
        return f"{perception.name}: the film's own discriminator judges, sha256 {perception.sha256}"
    known = perception.sha256.startswith(PUBLISHED_SHA256_BEGINS)
    told = "torchvision's published file" if known else "taken as torchvision's: RGB in 0..1"
    return f"{perception.name}: VGG19 ({told}), sha256 {perception.sha256}"


def discriminator_at(folder: Path) -> Perception:
    """The discriminator of a checkpoint. Raises ShowError."""
    try:
        checkpoint = load_checkpoint(folder)
    except (CheckpointError, OSError) as error:
        raise ShowError(Problem(str(folder), f"cannot be read as a checkpoint ({error})", ALLOWED)) from None
    if checkpoint.discriminator is None:
        hint = "the checkpoint of a training run (cineml gan train), not an imported or exported one"
        raise ShowError(Problem(str(folder), "keeps no discriminator", ALLOWED, hint))
    return Perception(checkpoint.discriminator, folder.name or str(folder), checkpoint.sha256)


def read_vgg19(path: Path, pooling: Pooling = "max") -> Vgg19:
    """VGG19 from a file: names, shapes and kinds are checked before any weight is read, all weights are finite. Raises
    ShowError."""
    try:
        size = path.stat().st_size
        if not 0 < size <= MOST_BYTES:
            given = "is empty (0 bytes)" if not size else f"is {size >> 20} MiB"
            raise ShowError(Problem(str(path), given, f"VGG19 of at most {MOST_BYTES >> 20} MiB", HINT))
        with path.open("rb") as file:
            start = file.read(32)
        if start.startswith(ZIP_START) or MAGIC_BYTES in start:
            weights = torch_weights(path)
        elif start[8:9] == b"{":
            weights = safetensors_weights(path)
        else:
            raise ShowError(Problem(str(path), "is neither a safetensors file nor one of torch.save", ALLOWED, HINT))
        return Vgg19(weights, pooling)
    except VggError as error:
        whose = "" if "not finite" in str(error) else ": it is another network's"
        raise ShowError(Problem(str(path), f"{error}{whose}", ALLOWED, HINT)) from None
    except OSError as error:
        raise ShowError(Problem(str(path), f"cannot be read ({error.strerror or error})", ALLOWED, HINT)) from None


def safetensors_weights(path: Path) -> dict[str, Tensor]:
    """VGG19's tensors in a safetensors file. Raises ShowError, VggError."""
    try:
        with safe_open(path, framework="pt") as file:
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}
            check_names(shapes)
            for name in expected_shapes():
                if (kind := file.get_slice(name).get_dtype()) not in ("F32", "F16", "BF16"):
                    raise VggError(f"has {name} as {kind} where VGG19 has F32 or F16")
            return {name: file.get_tensor(name) for name in expected_shapes()}
    except SafetensorError as error:
        raise ShowError(Problem(str(path), f"is truncated or no safetensors file ({error})", ALLOWED, HINT)) from None


def torch_weights(path: Path) -> dict[str, Tensor]:
    """VGG19's tensors in a file of torch.save, of either layout. Raises ShowError, VggError."""
    with path.open("rb") as file:
        # Never closed by hand: where something is refused, the error still holds views into the map.
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return chosen_weights(restricted_value(memoryview(mapped), path.name), path.name)


def restricted_value(view: memoryview, name: str) -> Any:
    """What a file of torch.save holds, where that is tensors in plain containers. Raises ShowError."""
    budget = Budget(len(view))
    try:
        if view[:4] == ZIP_START:
            return read_zip(view, name, budget)
        return read_old(Blob(view, 0), name, budget, TENSOR_NAMES)
    except ShowError as error:
        found = error.problems[0]
        if "StyleGAN2" in found.allowed:  # said for snapshots, by the reader that both share
            found = Problem(found.where, f"{found.given}; nothing of the file was executed", ONLY_TENSORS, HINT)
        raise ShowError(found) from None


def chosen_weights(value: Any, where: str) -> dict[str, Tensor]:
    """The sixteen convolutions of a state dict, copied out of the file. Raises ShowError, VggError."""
    if not isinstance(value, dict):
        raise ShowError(Problem(where, f"holds {kind_of(value)}", ONLY_TENSORS, HINT))
    entries = {name: entry.tensor if isinstance(entry, Wrapped) else entry for name, entry in value.items()}
    if strange := [name for name, entry in entries.items() if not isinstance(entry, Stored)]:
        raise ShowError(Problem(where, f"holds {kind_of(entries[strange[0]])} under {strange[0]!r}", ONLY_TENSORS, HINT))
    check_names({str(name): entry.shape for name, entry in entries.items()})
    weights = {}
    for name in expected_shapes():
        array = array_of(entries[name], f"{where}, {name}")
        if array.dtype.kind != "f":
            raise VggError(f"has {name} as {array.dtype} where VGG19 has float32 or float16")
        weights[name] = torch.from_numpy(array.astype("float32"))
    return weights
