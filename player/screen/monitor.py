"""Monitors by name or position, as a person says it: 'primary', '2', 'left', 'right', 'HDMI-1', 'EPSON'."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from player.show.problem import Problem, ShowError


@dataclass(frozen=True)
class Monitor:
    """A screen that is connected. number: from 1, primary first. x, y: place on the desktop. refresh_hz: 0 where the
    system does not know it (virtual screens)."""

    number: int
    name: str
    x: int
    y: int
    width: int
    height: int
    refresh_hz: int

    def __str__(self) -> str:
        rate = f" at {self.refresh_hz} Hz" if self.refresh_hz else ""
        return f"{self.number} {self.name!r} {self.width}x{self.height}{rate} at {self.x},{self.y}"


def find_monitor(wanted: str, monitors: Sequence[Monitor]) -> Monitor:
    """The monitor that is meant: '' or 'primary', a number from 1, left, right, top or bottom (of the desktop), an
    exact name, or a part of exactly one name; capitals do not matter.

    Raises ShowError that lists the monitors there are.
    """
    where = "monitor"
    if not monitors:
        raise ShowError(Problem(where, "no monitor is connected", "at least one", "play with --offscreen"))
    said = wanted.strip().lower()
    if said in ("", "primary"):
        return monitors[0]
    if said in ("left", "right", "top", "bottom"):
        centre = {"left": lambda m: m.x + m.width / 2, "right": lambda m: -m.x - m.width / 2,
                  "top": lambda m: m.y + m.height / 2, "bottom": lambda m: -m.y - m.height / 2}[said]
        return min(monitors, key=centre)
    for fits in (lambda m: m.name.lower() == said, lambda m: str(m.number) == said, lambda m: said in m.name.lower()):
        found = [m for m in monitors if fits(m)]
        if len(found) == 1:
            return found[0]
        if len(found) > 1:
            given = f"{wanted!r} fits {len(found)} monitors"
            break
    else:
        given = f"{wanted!r} is not there"
    raise ShowError(Problem(where, given, "primary, left, right, top, bottom, or one of "
                            + "; ".join(str(m) for m in monitors), "a number from this list"))
