"""The default values of a model's optional inputs, and its metadata, read straight from the ONNX file.

onnxruntime knows the inputs' names and shapes but does not give their values; it gives metadata only of a model that it
has opened; and the onnx package is not part of a base install. An ONNX file is protocol buffers; the few fields needed are
ModelProto.graph = 7 and metadata_props = 14, StringStringEntryProto.key = 1 and value = 2, GraphProto.initializer = 5,
TensorProto.dims = 1, data_type = 2, float_data = 4, name = 8, raw_data = 9 (onnx.proto3, IR version 8).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

# TensorProto.DataType: FLOAT, FLOAT16, DOUBLE
_DTYPES: dict[int, np.dtype[Any]] = {1: np.dtype("<f4"), 10: np.dtype("<f2"), 11: np.dtype("<f8")}


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """A variable-length integer at `at` and the position after it."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a number is longer than 64 bits")


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """(field number, number or bytes) of one protocol-buffer message; fixed-width numbers come as bytes."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield number, value
            continue
        if wire == 2:
            size, at = _varint(data, at)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise ValueError(f"wire type {wire} is not one that ONNX uses")
        if at + size > len(data):
            raise ValueError("a field ends after the end of its message")
        yield number, data[at : at + size]
        at += size


def _tensor(data: memoryview, names: set[str]) -> tuple[str, npt.NDArray[np.float32]] | None:
    """(name, values) of one TensorProto, or None where its name is not wanted."""
    dims: list[int] = []
    name, kind, raw = "", 1, memoryview(b"")
    floats: list[memoryview] = []
    for number, value in _fields(data):
        if number == 1 and isinstance(value, int):
            dims.append(value)
        elif number == 1 and not isinstance(value, int):  # dims packed into one field, as proto3 writes them
            at = 0
            while at < len(value):
                size, at = _varint(value, at)
                dims.append(size)
        elif number == 2 and isinstance(value, int):
            kind = value
        elif isinstance(value, int):
            continue
        elif number == 4:
            floats.append(value)
        elif number == 8:
            name = bytes(value).decode("utf-8")
        elif number == 9:
            raw = value
    if name not in names:
        return None
    if kind not in _DTYPES:
        raise ValueError(f"{name} holds no floating-point numbers")
    values = np.frombuffer(raw if len(raw) else b"".join(floats), _DTYPES[kind] if len(raw) else _DTYPES[1])
    if len(values) != math.prod(dims):
        raise ValueError(f"{name} holds {len(values)} numbers for the shape {dims}")
    return name, values.reshape(dims).astype(np.float32)


def read_defaults(path: Path, names: Iterable[str]) -> dict[str, npt.NDArray[np.float32]]:
    """The initializers `names` of an ONNX file, float32 in their own shapes. Raises ValueError where the file does not
    hold them all, OSError where it cannot be read."""
    wanted = set(names)
    found: dict[str, npt.NDArray[np.float32]] = {}
    try:
        for number, graph in _fields(memoryview(path.read_bytes())):
            if number != 7 or isinstance(graph, int):
                continue
            for inner, tensor in _fields(graph):
                if inner == 5 and not isinstance(tensor, int) and (made := _tensor(tensor, wanted)) is not None:
                    found[made[0]] = made[1]
    except IndexError:
        raise ValueError("ends in the middle of a field") from None
    if missing := sorted(wanted - set(found)):
        raise ValueError(f"holds no default for {', '.join(missing)}")
    return found


def read_metadata(path: Path) -> dict[str, str]:
    """The metadata of an ONNX file. Raises ValueError where it is damaged, OSError where it cannot be read."""
    found: dict[str, str] = {}
    try:
        for number, entry in _fields(memoryview(path.read_bytes())):
            if number == 14 and not isinstance(entry, int):
                pair = {n: bytes(v).decode("utf-8") for n, v in _fields(entry) if not isinstance(v, int)}
                found[pair.get(1, "")] = pair.get(2, "")
    except IndexError:
        raise ValueError("ends in the middle of a field") from None
    return found
