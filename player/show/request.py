"""A request: an address and its arguments, checked against the parameter table and the names of a loaded show.

OSC messages and the cues of a show both come through here, so that a cue can ask for what a hand can and no more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from player.show.parameter import TABLE, WINDOW, Parameter, Value, find
from player.show.problem import nearest
from player.show.show import Show

MAX_GLIDE_S = 60.0
REACHABLE: tuple[Parameter, ...] = tuple(p for p in TABLE if p not in WINDOW)  # the window is the operator's


@dataclass(frozen=True)
class Request:
    """A request that may be made. glide_s: None = the show's own. note: what was clipped, '' where nothing was."""

    address: str
    value: Value = None
    glide_s: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Refusal:
    """Why a request may not be made."""

    address: str
    reason: str


def _kind_of(value: Any) -> str:
    names = {bool: "a truth value", int: "a whole number", float: "a number", str: "a text", type(None): "nothing"}
    return names.get(type(value), type(value).__name__)


def _clip(value: float, low: float | None, high: float | None) -> float:
    value = value if low is None else max(value, low)
    return value if high is None else min(value, high)


def _highest(p: Parameter, show: Show) -> float | None:
    """The upper end of a parameter's range; of a seek, the film's own."""
    ends = {"/cineml/transport/seek_frame": show.film.frames - 1, "/cineml/transport/seek_s": float(show.film.duration_s)}
    return ends.get(p.address, p.high)


def _said(number: float) -> str:
    return str(number) if isinstance(number, int) else f"{number:g}"


def _number(p: Parameter, given: Any) -> float | int | str:
    """The number given, unclipped, or the reason why it is none."""
    whole = p.kind == "int"
    if isinstance(given, bool) or not isinstance(given, int if whole else (int, float)):
        return f"takes {'a whole number' if whole else 'a number'}, not {_kind_of(given)}"
    return "takes a number, not nan, inf or more than 63 bits" if _is_boundless(given) else given


def _is_boundless(given: float) -> bool:
    """nan, inf, or a whole number (of a TOML file) that no float holds."""
    return abs(given) >= 2**63 if isinstance(given, int) else not math.isfinite(given)


def _nearest_name(given: str, known: Sequence[str]) -> str:
    """nearest(), but first among the names of the same walk: of 's03.f0999' the part before the dot is surely meant."""
    head, dot, _ = given.partition(".")
    same_walk = [name for name in known if dot and name.startswith(head + dot)]
    return nearest(given, same_walk) or nearest(given, known)


def _text(p: Parameter, given: Any, show: Show) -> tuple[str, str]:
    """(the text given, '') or ('', the reason why it cannot be)."""
    if not isinstance(given, str):
        return "", f"takes a text, not {_kind_of(given)}"
    known: Sequence[str] = ()
    if p.address == "/cineml/look/select":
        known = tuple(show.looks)
    elif p.address == "/cineml/latent/key":
        known = show.score.key_names() if show.score else ()
    if given and given not in known:
        what = "look" if p.name == "select" else "key latent"
        hint = _nearest_name(given, known)
        return "", f"the show has no {what} {given[:60]!r}" + (f"; {hint}" if hint else "")
    return given, ""


def _no_style(name: str, show: Show) -> str:
    """Why a show has no such style; '' where it has. Where its network could not be asked, any name may be one."""
    if show.stylizer is not None and (name in show.styles or not show.styles):
        return ""
    hint = nearest(name, show.styles)
    return f"the show has no style {name!r}" + (f"; {hint}" if hint else "")


def check_request(address: str, args: Sequence[Any], show: Show) -> Request | Refusal:
    """What an address and its arguments ask of a show, or why they ask for nothing.

    A number outside its range is clipped and noted; a whole number does for a number; a truth value may be 0 or 1;
    everything else of another type is refused. A second number is the glide in seconds, where the parameter glides.
    """
    p = find(address)
    if p is None or p in WINDOW:
        hint = nearest(address, [r.address for r in REACHABLE])
        return Refusal(address, "is no address of this player" + (f"; {hint}" if hint else ""))
    if p.address.startswith("/cineml/shot/"):
        digits = address.split("/")[3]
        # The length is looked at first: Python refuses to read a number of more than 4300 digits at all.
        if len(digits) > 9 or not digits.isascii() or show.cuts.by_number(int(digits)) is None:
            return Refusal(address, f"the show has shots 1 to {len(show.cuts.shots)}")
        if digits.startswith("0"):  # one address for one thing: /cineml/shot/5/go
            return Refusal(address, f"a shot's number is written without zeros before it: {int(digits)}")
    if p.address.startswith("/cineml/style/*/") and (reason := _no_style(address.split("/")[3], show)):
        return Refusal(address, reason)
    if p.kind == "trigger":
        return Refusal(address, "takes no argument") if args else Request(address)
    most = 2 if p.glides else 1
    if not 1 <= len(args) <= most:
        takes = "a value, and a glide in seconds if wanted" if p.glides else "one value"
        return Refusal(address, f"takes {takes}, not {len(args)} arguments")
    glide_s, notes, value = None, [], args[0]
    if len(args) == 2:
        given = args[1]
        if isinstance(given, bool) or not isinstance(given, (int, float)) or _is_boundless(given):
            return Refusal(address, "its glide is not a number of seconds")
        glide_s = _clip(float(given), 0.0, MAX_GLIDE_S)
        if glide_s != given:
            notes.append(f"glide {given:g} clipped to {glide_s:g} s")
    if p.kind == "bool":
        if not isinstance(value, (bool, int, float)) or value not in (0, 1):
            return Refusal(address, f"takes T or F, or 0 or 1, not {_kind_of(value)}")
        return Request(address, bool(value))
    if p.kind == "text":
        text, reason = _text(p, value, show)
        return Refusal(address, reason) if reason else Request(address, text)
    number = _number(p, value)
    if isinstance(number, str):
        return Refusal(address, number)
    clipped = _clip(number, p.low, _highest(p, show))
    if clipped != number:
        notes.insert(0, f"{_said(number)} clipped to {_said(clipped)}")
    # A float from the wire may be -0.0 or a whole number: the type that the table says is what the show gets.
    return Request(address, int(clipped) if p.kind == "int" else float(clipped), glide_s, "; ".join(notes))
