"""A file that takes the place of an older one only when it is whole."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from player.show.problem import Problem, ShowError


def make_folder(folder: Path) -> None:
    """The folder, made where it is not there. Raises ShowError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise ShowError(Problem(str(folder), f"cannot be made ({e.strerror})", "a folder that can be written")) from None


def check_folder(folder: Path) -> None:
    """Raises ShowError where make_folder would, as far as names tell; makes nothing. For before long work."""
    there = next((p for p in (folder, *folder.absolute().parents) if p.exists()), None)
    if there is not None and not (there.is_dir() and os.access(there, os.W_OK)):
        given = "is no folder" if not there.is_dir() else "cannot be written"
        raise ShowError(Problem(str(folder), f"cannot be made: {there} {given}", "a folder that can be written"))


def sha256_of(path: Path) -> str:
    """Of a file, hexadecimal. Raises ShowError where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as e:
        raise ShowError(Problem(str(path), f"cannot be read ({e.strerror})", "a file that can be read")) from None


def output_problems(path: Path, suffixes: Sequence[str], instead: str = "") -> list[Problem]:
    """What is wrong with the name of a single file to write: its suffix, or that the folder for it is not there, which is
    more often misspelt than meant. instead: what else may be named there, for the message."""
    found = []
    allowed = ", ".join(suffixes)
    if path.suffix.lower() not in suffixes:
        given = f"ends in {path.suffix!r}" if path.suffix else "has no suffix"
        found.append(Problem(str(path), given, f"a name that ends in {allowed}{instead}"))
    elif path.is_dir():
        found.append(Problem(str(path), "is a folder", f"the name of a file that ends in {allowed}{instead}"))
    if not path.parent.is_dir():
        given = f"lies in {str(path.parent)!r}, which is {'no folder' if path.parent.exists() else 'not there'}"
        found.append(Problem(str(path), given, "a folder that is there"))
    return found


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """What the file system refuses on the way to `path`, as ShowError."""
    try:
        yield
    except OSError as e:
        problem = Problem(str(path), f"cannot be written ({e.strerror or e})", "a folder that can be written, with room")
        raise ShowError(problem) from None


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """write(temporary path), then rename it to `path`; whatever fails, Ctrl-C too, leaves the older file. Raises ShowError."""
    part = path.with_name(path.name + ".part")
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            write(part)
            os.replace(part, path)
    finally:
        with contextlib.suppress(OSError):  # where the folder's name is a file's: said above
            part.unlink(missing_ok=True)
