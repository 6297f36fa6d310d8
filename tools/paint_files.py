"""Where painted keys lie, and which of them a person has changed: those are nobody's to write over.

A folder of PNGs named by film frame, and `painted.json` with the hash of every one as it was painted. A key whose hash is
another, or that is not in the list, is a person's.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from player.show.problem import Problem, ShowError
from tools.film_dataset_source import Footage
from tools.keyframes_kept import arrays_in
from tools.keyframes_keys import by_name, read_key, twice
from tools.keyframes_suggest_names import name_of
from tools.paint_choice import frame_of
from tools.paint_keys import Field, Painted
from tools.paint_options import FILMS
from tools.train_source import PICTURES
from tools.whole_file import make_folder, write_whole

Pixels = npt.NDArray[np.uint8]
RECORD, FIELDS = "painted.json", "fields"
VERSION = 1
TOOL = "cineml keyframes paint"


@dataclass(frozen=True)
class Places:
    """Where all goes. output: a folder of frames, or a film. keys: the painted keys. work: what is written about them."""

    output: Path
    keys: Path
    work: Path

    @property
    def sheet(self) -> Path:
        return self.work / "compare.png"

    @property
    def options(self) -> Path:
        return self.work / "options.json"

    @property
    def cuts(self) -> Path:
        return self.work / "cuts.csv"


def places_of(output: Path) -> Places:
    """OUT/keys and OUT/paint; of a film OUT.keys and OUT.paint beside it."""
    if output.suffix.lower() in FILMS:
        return Places(output, output.with_suffix(".keys"), output.with_suffix(".paint"))
    return Places(output, output / "keys", output / "paint")


class KeyStore:
    """The keys in one folder. made: by file name, {"sha256": of the PNG as it was painted, "made_of": of all it was painted
    from}."""

    def __init__(self, folder: Path, footage: Footage) -> None:
        """What is there. A record that cannot be read is none: all keys then count as a person's, and stay. Raises ShowError
        where the folder is a file."""
        if folder.exists() and not folder.is_dir():
            raise ShowError(Problem(str(folder), "is a file", "a folder for the painted keys", "another -o"))
        self.folder, self._footage = folder, footage
        self.made: dict[str, dict[str, str]] = {}
        with contextlib.suppress(OSError, ValueError, RecursionError, AttributeError, KeyError, TypeError):
            told: Any = json.loads((folder / RECORD).read_text(encoding="utf-8"))
            for name, entry in told["keys"].items() if told["version"] == VERSION else ():
                self.made[str(name)] = {"sha256": str(entry["sha256"]), "made_of": str(entry["made_of"])}

    def files(self) -> dict[int, Path]:
        """The keys that lie there by film frame, as `cineml keyframes propagate` takes them by their names. Raises ShowError
        where two are of one frame."""
        if not self.folder.is_dir():
            return {}
        paths = sorted(p for p in self.folder.iterdir() if p.suffix.lower() in PICTURES and not p.name.startswith("."))
        found, _ = by_name(paths, self._footage)
        if wrong := twice(found, "the keys in"):
            raise ShowError(wrong)
        return {n.frame: n.path for n in sorted(found, key=lambda n: n.frame)}

    def is_ours(self, path: Path) -> bool:
        """Whether a key is as it was painted: no person's hand has been on it."""
        entry = self.made.get(path.name)
        return entry is not None and sha256_of(path) == entry["sha256"]

    def load(self, number: int, path: Path) -> Painted:
        """A key in the film's size, transparent parts showing the film, with its field where it is as it was painted. Raises
        ShowError."""
        where = None
        if self.is_ours(path):
            held = arrays_in(self.folder / FIELDS / f"{path.stem}.npz")
            where = np.asarray(held["field"], np.int32) if held is not None and "field" in held else None
        return Painted(read_key(path, self._footage.size, "film", lambda: frame_of(self._footage, number))[0], where)

    def save(self, number: int, painted: Painted, made_of: str) -> bool:
        """A key, its field and its entry; False where a person's file lies there, which stays. The entry is written first: a
        key that lies there without one counts as a person's. Raises ShowError."""
        from PIL import Image

        path = self.folder / name_of(self._footage, number)
        if path.exists() and not self.is_ours(path):
            return False
        packed = io.BytesIO()
        Image.fromarray(painted.picture).save(packed, "PNG")
        data = packed.getvalue()
        make_folder(self.folder)
        if painted.field is not None:
            save_field(self.folder / FIELDS / f"{path.stem}.npz", painted.field)
        self.made[path.name] = {"sha256": hashlib.sha256(data).hexdigest(), "made_of": made_of}
        text = json.dumps({"version": VERSION, "keys": self.made}, indent=1, sort_keys=True) + "\n"
        write_whole(self.folder / RECORD, lambda part: part.write_text(text, encoding="utf-8"))
        write_whole(path, lambda part: part.write_bytes(data))
        return True


def save_field(path: Path, where: Field) -> None:
    """A field of correspondences int32 [H, W, 2], packed. Raises ShowError."""
    small = where.astype(np.uint16) if where.min() >= 0 and where.max() < 1 << 16 else where

    def write(part: Path) -> None:
        with part.open("wb") as file:
            np.savez_compressed(file, field=small)

    write_whole(path, write)


def sha256_of(path: Path) -> str:
    """Of a file, '' where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def made_of(fingerprint: str, frame: Pixels, together: bool) -> str:
    """Of all that a key is painted from, but its neighbours: these may be painted over by a person, and the key stays."""
    digest = hashlib.sha256(f"{fingerprint} {together} {frame.shape}".encode())
    digest.update(np.ascontiguousarray(frame).tobytes())
    return digest.hexdigest()


def place_problems(places: Places, inputs: Sequence[Path]) -> list[Problem]:
    """What is wrong with where the work is to go. inputs: what is read."""
    output, shown = places.output.absolute(), str(places.output)
    for path in inputs:
        given = path.absolute()
        if given == output or (given.exists() and output.exists() and given.samefile(output)):
            return [Problem(shown, f"is {path}, which is read and would be lost", "another name")]
        if path.is_dir() and given in output.parents:
            return [Problem(shown, f"lies among the frames of {path}", "another folder")]
    if output.suffix.lower() in FILMS:
        if output.is_dir():
            return [Problem(shown, "is a folder", "the name of a film to write")]
        if not output.parent.is_dir():
            given_ = "no folder" if output.parent.exists() else "not there"
            return [Problem(shown, f"lies in {str(output.parent)!r}, which is {given_}", "a folder that is there")]
    elif output.exists() and not output.is_dir():
        return [Problem(shown, "is a file", f"a folder, or a film that ends in {', '.join(FILMS)}")]
    found = [Problem(str(f), "is a file", "a folder", "another -o") for f in (places.keys, places.work)
             if f.exists() and not f.is_dir()]  # fmt: skip
    for path, held in ((places.options, ("tool", TOOL)), (places.keys / RECORD, ("version", VERSION))):
        if path.exists() and told_in(path).get(held[0]) != held[1]:
            found.append(Problem(str(path), "is there already, and is not as this command writes it", "another -o"))
    return found


def told_in(path: Path) -> dict[str, Any]:
    """A record; empty where it is none."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}
