"""A sheet that a command writes, and writes again, but over no picture of somebody else's: it carries the command's name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from player.show.problem import Problem, ShowError
from tools.whole_file import write_whole


def sheet_problems(path: Path, mark: str) -> list[Problem]:
    """A file in the sheet's place that does not carry the mark."""
    from PIL import Image

    if not path.exists():
        return []
    try:
        with Image.open(path) as before:
            ours = before.info.get("Software") == mark
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError):
        ours = False
    return [] if ours else [Problem(str(path), "is there already, and is no sheet of this command's", "another -o")]


def write_sheet(path: Path, made: Any, mark: str) -> None:
    """The sheet (a Pillow image) as PNG, in the place of an older one of ours, whole or not at all. Raises ShowError where
    another file has its name."""
    from PIL.PngImagePlugin import PngInfo

    if found := sheet_problems(path, mark):
        raise ShowError(found)
    told = PngInfo()
    told.add_text("Software", mark)
    write_whole(path, lambda part: made.save(part, "PNG", pnginfo=told))
