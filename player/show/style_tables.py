"""The tables [stylizer] and [camera] of a show, and whether the styles that it names are the network's."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any

from player.show.problem import Problem, ShowError, nearest
from player.show.score import ScoreReading
from player.show.show import Camera, Stylizer
from player.show.styling import ALLOWED, OVERS, SIDES, styling_from
from player.show.toml_table import TomlTable, said

StylesOf = Callable[[Path], tuple[str, ...]]
"""The names of a network's styles in their order. Raises ShowError for what is none."""

CAMERA_FORMATS = ("v4l2", "avfoundation", "dshow")


def stylizer_of(top: TomlTable, styles_of: StylesOf | None) -> tuple[Stylizer | None, tuple[str, ...]]:
    """The show's stylizer, and the names of its styles as far as the network's file could be asked; None and () without the
    table."""
    table = top.table("stylizer")
    path = table.path("file")
    size = table.size("size", (0, 0))
    over = table.text("over", "film", OVERS)
    given = table.value("style")
    style = styling_from(given) if given is not None else None
    if given is not None and style is None:
        table.bad("style", f"is {said(given)}", ALLOWED)
    side, smooth = table.text("mask_side", "", SIDES), table.number("smooth", 0.0, 0.0, 1.0)
    table.done()
    if not top.has("stylizer"):
        return None, ()
    names: tuple[str, ...] = ()
    if path is not None and styles_of is not None:
        try:
            names = styles_of(path)
        except ShowError as e:
            table.found.extend(e.problems)
    found = unknown_styles(style.names if style is not None else (), names, table.where("style"))
    table.found.extend(found)
    return Stylizer(path, size if size[0] else None, over, style, side, smooth), names


def unknown_styles(used: Iterable[str], known: Collection[str], where: str) -> list[Problem]:
    """Styles that a network has not; none where the network's are not known."""
    return [Problem(where, f"names the style {name!r}", ", ".join(known), nearest(name, known))
            for name in used if known and name not in known]  # fmt: skip


def styles_in_score(reading: ScoreReading, known: Collection[str], file: str) -> list[Problem]:
    """Styles that a score's shots name and the network has not."""
    rows = reading.score.shots if reading.score is not None else ()
    return [problem for row in rows if row.style is not None and "stylizer" in row.sources
            for problem in unknown_styles(row.style.names, known, f"{file}: shot {row.number}: style")]  # fmt: skip


def camera_keys(table: TomlTable) -> dict[str, Any]:
    """The fields of Camera that a table sets. A device that is a file beside the table is played as a camera."""
    device = table.text("device")
    if "\0" not in device and device:
        file = table.file.parent / device
        try:
            device = str(file) if file.is_file() else device
        except OSError:  # a name that no file system takes may still be a camera's
            pass
    plain = Camera("")
    values: dict[str, Any] = {
        "device": device, "format": table.text("format", "", CAMERA_FORMATS), "size": table.size("size", plain.size),
        "rate_hz": table.number("rate_hz", plain.rate_hz, 1.0, 1000.0, "Hz")}  # fmt: skip
    table.done()
    return {key: value for key, value in values.items() if table.has(key)}


def camera_of(top: TomlTable) -> Camera | None:
    """The show's camera; None without one. A table without a device is one whose device the venue names."""
    given = camera_keys(top.table("camera"))
    return Camera(**{"device": "", **given}) if top.has("camera") else None
