"""`cineml gan import FILE -o CHECKPOINT`: a foreign StyleGAN2 snapshot as a checkpoint of ours, without executing it.

Reads NVlabs snapshots (.pkl of stylegan2-ada-pytorch and of the stylegan3 repository), the original TensorFlow pickles and
rosinality checkpoints (.pt). The memory used is bounded by three times the file and 256 MiB: the file is held once, the
networks once; then the file is let go, and saving takes a copy or two of the networks.
"""

from __future__ import annotations

import hashlib
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.checkpoint import DESCRIPTION, WEIGHTS, CheckpointError, save_checkpoint
from models.network_config import GeneratorConfig
from player.show.problem import Problem, ShowError
from tools.import_networks import Imported
from tools.import_nvlabs import import_nvlabs, is_nvlabs
from tools.import_options import arguments
from tools.import_rosinality import import_rosinality, is_rosinality
from tools.import_tensorflow import import_tensorflow, is_tensorflow
from tools.import_torch_file import FILE_NAMES, MAGIC, ZIP_START, read_old, read_zip
from tools.pickle_machine import MAX_SECONDS, Blob, Budget, Machine, kind_of
from tools.pickle_reader import read_pickle

MAX_BYTES = 2 << 30  # the largest training checkpoint of the three families is below 1 GiB
OURS = {WEIGHTS, DESCRIPTION, "export.json", "mapping.onnx", "synthesis.onnx", "generator.onnx"}  # may be replaced
MAGIC_BYTES = MAGIC.to_bytes(10, "little")

@dataclass(frozen=True)
class Source:
    """Where a checkpoint was imported from: the file's name, its bytes and their SHA-256."""

    name: str
    size: int
    sha256: str


def read_file(path: Path) -> bytes:
    """The file's bytes. Raises ShowError where it is missing, empty or too large."""
    try:
        size = path.stat().st_size
        if not path.is_file() or not 0 < size <= MAX_BYTES:
            raise ShowError(Problem(str(path), f"is no file of 1 byte to {MAX_BYTES >> 30} GiB", "a .pkl or .pt file"))
        return path.read_bytes()
    except OSError as error:
        reason = error.strerror or "unknown reason"
        raise ShowError(Problem(str(path), f"cannot be read ({reason})", "a .pkl or .pt file")) from None


def read_value(data: bytes, name: str, seconds: float = MAX_SECONDS) -> Any:
    """What the file holds, as plain containers, arrays that stay in `data`, and Records. Raises ShowError."""
    view, budget = memoryview(data), Budget(len(data), seconds=seconds)
    if data.startswith(ZIP_START):
        return read_zip(view, name, budget)
    if MAGIC_BYTES in data[:32]:
        return read_old(Blob(view, 0), name, budget, FILE_NAMES)
    if not data.startswith(b"\x80") and data[:1] not in (b"(", b"}", b"c", b"]", b"d"):
        raise ShowError(Problem(name, "is neither a pickle nor a file of torch.save", "a StyleGAN2 snapshot, .pkl or .pt"))
    return read_pickle(Machine(Blob(view, 0), name, budget, FILE_NAMES))


def import_bytes(data: bytes, name: str, network: str = "G_ema", with_discriminator: bool = False) -> Imported:
    """The networks in the bytes of a snapshot. name: for sentences. network: "G_ema" or "G". Raises ShowError."""
    return import_value(read_value(data, name), name, len(data), network, with_discriminator)


def import_value(value: Any, name: str, size: int, network: str = "G_ema", with_discriminator: bool = False) -> Imported:
    """The networks in what a file of `size` bytes holds. Raises ShowError."""
    if is_nvlabs(value):
        return import_nvlabs(value, name, size, network, with_discriminator)
    if is_tensorflow(value):
        return import_tensorflow(value, name, size, network, with_discriminator)
    if is_rosinality(value):
        return import_rosinality(value, name, size, network, with_discriminator)
    raise ShowError(Problem(name, f"holds {kind_of(value)} without StyleGAN2 networks in it",
                            "a snapshot of NVlabs' repositories, the TensorFlow original, or rosinality's"))  # fmt: skip


def import_file(path: Path, network: str = "G_ema", with_discriminator: bool = False) -> tuple[Imported, Source]:
    """The networks in a file; its bytes are let go before this returns. Raises ShowError."""
    data = read_file(path)
    imported = import_bytes(data, path.name, network, with_discriminator)
    return imported, Source(path.name, len(data), hashlib.sha256(data).hexdigest())


def check_output(folder: Path) -> None:
    """Raises ShowError where something stands that an import may not replace."""
    if folder.exists() and (not folder.is_dir() or {p.name for p in folder.iterdir()} - OURS):
        raise ShowError(Problem(str(folder), "exists and holds more than an imported checkpoint", "a new name"))


def save(imported: Imported, source: Source, folder: Path, licence: str = "") -> Path:
    """Writes the checkpoint; one of the same name is replaced when the new one is complete. Raises ShowError."""
    check_output(folder)
    run = {"imported_from": source.name, "sha256": source.sha256, "kind": imported.kind, "network": imported.network}
    try:
        return save_checkpoint(folder, imported.generator, imported.discriminator, run=run, licence=licence)
    except (CheckpointError, OSError) as error:
        raise ShowError(Problem(str(folder), f"cannot be written ({error})")) from None


def summary(imported: Imported, source: Source, licence: str) -> list[str]:
    """Lines that say what was imported."""
    made = imported.generator.config
    lines = [f"{source.name}: {imported.kind}, {imported.network}, {source.size / 2**20:.1f} MiB"]
    lines.append(f"  generator      {described(made)}, {weights(imported.generator)}")
    if imported.discriminator is not None:
        judge = imported.discriminator.config
        lines.append(f"  discriminator  {judge.architecture}, widths {judge.width(judge.resolution)} to {judge.width(4)}, "
                     f"group of {judge.group}, {weights(imported.discriminator)}")  # fmt: skip
    lines += [f"  note: {note}" for note in imported.notes]
    if not licence:
        lines.append("  note: no licence given; whoever made the weights decides what may be done with them (--licence)")
    return lines


def described(config: GeneratorConfig) -> str:
    """A generator in half a line."""
    colours = {1: "grey", 3: "RGB", 4: "RGBA"}[config.channels]
    label = f", conditions {config.c_dim}" if config.c_dim else ""
    widths = f"widths {config.width(config.resolution)} to {config.width(4)}"
    return (f"{config.resolution}x{config.resolution} {colours}, {config.architecture}, z {config.z_dim}, "
            f"w {config.w_dim}{label}, mapping of {config.mapping_layers}, {widths}")  # fmt: skip


def weights(network: Any) -> str:
    """How many weights a network has."""
    return f"{sum(p.numel() for p in network.parameters()) / 1e6:.2f} M weights"


def main(argv: Sequence[str] | None = None) -> int:
    """The deed. Returns the exit code: 0, or 2 for bad input."""
    args = arguments().parse_args(argv)
    try:
        check_output(args.output)
        imported, source = import_file(args.file, args.network, args.with_discriminator)
        save(imported, source, args.output, args.licence)
    except ShowError as e:
        print(e, file=sys.stderr)
        return 2
    print("\n".join(summary(imported, source, args.licence)))
    print(f"{args.output}: checkpoint written; on with: cineml gan export {shlex.quote(str(args.output))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
