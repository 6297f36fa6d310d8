"""What a propagation has done and still needs, kept by name: in memory, or in a folder from which a killed run goes on."""

from __future__ import annotations

import contextlib
import io
import lzma
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tools.whole_file import make_folder, write_whole

Arrays = Mapping[str, NDArray[Any]]
# What reading an npz raises where bytes of it are wrong: a length, a header, a method of packing that is not there.
NOT_WHOLE = (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, EOFError, RuntimeError, MemoryError,
             OverflowError, SyntaxError, struct.error, zipfile.BadZipFile, zlib.error, lzma.LZMAError)  # fmt: skip


class Kept(Protocol):
    """Arrays by name."""

    lasting: bool  # whether another run will find them

    def get(self, name: str) -> Arrays | None:
        """What was put there; None where nothing is, or not whole."""

    def put(self, name: str, arrays: Arrays) -> None:
        """Keeps arrays in the place of older ones. Raises ShowError where the disk is full."""

    def drop(self, name: str) -> None:
        """No longer needed."""


class Memory:
    """For as long as the program runs."""

    lasting = False

    def __init__(self) -> None:
        self._held: dict[str, Arrays] = {}

    def get(self, name: str) -> Arrays | None:
        return self._held.get(name)

    def put(self, name: str, arrays: Arrays) -> None:
        self._held[name] = arrays

    def drop(self, name: str) -> None:
        self._held.pop(name, None)


class Folder:
    """NAME.npz in a folder, each whole or not at all."""

    lasting = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, name: str) -> Arrays | None:
        return arrays_in(self._path(name))

    def put(self, name: str, arrays: Arrays) -> None:
        make_folder(self.folder)
        write_whole(self._path(name), lambda part: part.write_bytes(packed(arrays)))

    def drop(self, name: str) -> None:
        with contextlib.suppress(OSError):
            self._path(name).unlink(missing_ok=True)

    def names(self) -> Iterator[str]:
        """Of what is there."""
        with contextlib.suppress(OSError):
            yield from sorted(p.stem for p in self.folder.glob("*.npz"))

    def clear(self) -> None:
        """Removes what was kept, and the folder where nothing else lies in it."""
        with contextlib.suppress(OSError):
            for path in [*self.folder.glob("*.npz"), *self.folder.glob("*.npz.part")]:
                path.unlink(missing_ok=True)
            os.rmdir(self.folder)

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.npz"


def arrays_in(path: Path) -> dict[str, NDArray[Any]] | None:
    """The arrays of an npz of our own; None where it is not there or not whole: what is kept can be made anew."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return {key: np.asarray(file[key]) for key in file.files}
    except NOT_WHOLE:
        return None


def packed(arrays: Arrays) -> bytes:
    """An npz, pictures and errors packed as fast as zlib can; fields and places as they are: there is one of each, and it is
    replaced with every frame."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, array in arrays.items():
            data = io.BytesIO()
            np.lib.format.write_array(data, np.ascontiguousarray(array), allow_pickle=False)
            small = array.dtype.itemsize <= 2
            archive.writestr(f"{name}.npy", data.getvalue(), zipfile.ZIP_DEFLATED if small else zipfile.ZIP_STORED, 1)
    return out.getvalue()
