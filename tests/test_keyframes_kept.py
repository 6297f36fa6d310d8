"""What is kept on disk between two runs: read whole or not at all, whatever has become of its bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tools.keyframes_kept import Folder, arrays_in, packed


def test_any_byte_that_is_wrong_makes_it_absent_and_no_trouble(tmp_path: Path) -> None:
    held: dict[str, np.ndarray] = {"place": np.arange(6, dtype=np.int32), "picture": np.arange(40, dtype=np.uint8)}
    folder, path = Folder(tmp_path), tmp_path / "000007.npz"
    folder.put("000007", held)
    whole = folder.get("000007")
    assert whole is not None and all(np.array_equal(whole[k], v) for k, v in held.items())
    data = path.read_bytes()
    for at in range(len(data)):
        for flip in (0x01, 0x08, 0xFF):  # other methods of packing and flags are a bit away
            path.write_bytes(data[:at] + bytes([data[at] ^ flip]) + data[at + 1:])
            folder.get("000007")
    for end in range(0, len(data), 7):
        path.write_bytes(data[:end])
        assert folder.get("000007") is None
    assert arrays_in(tmp_path / "none.npz") is None and arrays_in(tmp_path) is None


def test_the_pixels_themselves_are_checked(tmp_path: Path) -> None:
    data = bytearray(packed({"picture": np.arange(4000, dtype=np.float32)}))
    data[len(data) // 2] ^= 0xFF
    (tmp_path / "a.npz").write_bytes(data)
    assert arrays_in(tmp_path / "a.npz") is None
