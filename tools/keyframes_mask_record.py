"""What the masks of a folder are and who made them: a person's are known by not being ours, and are never written over."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from player.show.problem import Problem, ShowError
from tools.whole_file import sha256_of, write_whole

BESIDE, RECORD = "mask", "mask.json"
KEPT_HASHES = 3


@dataclass
class Record:
    """OUT/mask/mask.json. ours: hashes of what we wrote, the newest last, by file name: a run that was killed leaves files of
    this run and of the one before. shots: what each shot's masks were made from, by its first frame. doubts: why those of a
    shot are not to be trusted (empty, jumps, shattered), by its first frame too; of others nothing."""

    ours: dict[str, list[str]] = field(default_factory=dict)
    shots: dict[str, str] = field(default_factory=dict)
    doubts: dict[str, str] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)

    def is_ours(self, path: Path) -> bool:
        """Whether a file is as we wrote it. Raises ShowError where it cannot be read."""
        return sha256_of(path) in self.ours.get(path.name, ())

    def wrote(self, name: str, data: bytes) -> None:
        """Notes what is going to be written."""
        sha256 = hashlib.sha256(data).hexdigest()
        held = [h for h in self.ours.get(name, []) if h != sha256]
        self.ours[name] = [*held, sha256][-KEPT_HASHES:]

    def made(self, start: int, digest: str, doubt: str) -> None:
        """Notes that a shot's masks are all there."""
        self.shots[str(start)] = digest
        self.doubts.pop(str(start), None)
        if doubt:
            self.doubts[str(start)] = doubt

    def save(self, output: Path) -> None:
        """Raises ShowError."""
        text = json.dumps({**self.about, "doubts": self.doubts, "shots": self.shots, "ours": self.ours}, indent=1) + "\n"
        write_whole(output / BESIDE / RECORD, lambda part: part.write_text(text, encoding="utf-8"))


def record_in(output: Path) -> Record:
    """The record of a folder; an empty one where there is none. Raises ShowError for one that cannot be understood: without it
    nobody could tell our masks from a person's, and all would be taken for a person's."""
    path = output / BESIDE / RECORD
    if not path.exists():
        return Record()
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        ours = {str(name): [str(h) for h in hashes] for name, hashes in told["ours"].items()}
        shots = {str(start): str(digest) for start, digest in told["shots"].items()}
        doubts = {str(start): str(why) for start, why in told.get("doubts", {}).items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as e:
        given = f"cannot be understood ({e})"
        hint = "another folder, or take this file away: then all masks there count as yours"
        raise ShowError(Problem(str(path), given, "what cineml keyframes mask wrote", hint)) from None
    return Record(ours, shots, doubts)


def by_hand(output: Path, found: Mapping[int, Path], record: Record) -> dict[int, Path]:
    """The masks among `found`, by film frame, that a person made or changed. Raises ShowError."""
    return {n: p for n, p in found.items() if p.parent == output and not record.is_ours(p)}
