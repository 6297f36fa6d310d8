"""A deed as the page asks for it, checked word for word, and done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tools.review_edit import (
    Work,
    mark_key,
    move_cut,
    refuse,
    set_entry,
    set_in,
    set_lock,
    set_out,
    set_source,
    set_text,
    shot_of,
    swap,
)
from tools.review_split import join, split
from tools.review_walks import Candidate

Choose = Callable[[int, str], Candidate | None]


def apply(work: Work, asked: Mapping[str, Any], choose: Choose) -> tuple[Work, str]:
    """A deed as the page asks for it: {"deed": NAME, "shot": N, ...} -> (the new Work, what was done, for a person).

    choose: the candidate of a shot by its id. Raises ShowError for what cannot be done.
    """
    deed = asked.get("deed")
    known = {"move": _move, "nudge": _nudge, "in": _in, "out": _out, "label": _text, "group": _text, "split": _split,
             "join": _join, "lock": _lock, "entry": _entry, "source": _source, "key": _key}  # fmt: skip
    number = _whole(asked, "shot")
    if deed == "swap":
        candidate = choose(number, _said(asked, "candidate"))
        if candidate is None:
            raise refuse(f"shot {number}", "that walk is no longer there", "one of the candidates", "reload the page")
        return swap(work, number, candidate), f"shot {number}: plays {candidate.why}"
    if not isinstance(deed, str) or deed not in known:
        raise refuse("deed", f"is {str(deed)[:40]!r}", ", ".join([*known, "swap"]))
    return known[deed](work, number, asked)


def _whole(asked: Mapping[str, Any], key: str) -> int:
    value = asked.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) > 10**9:
        raise refuse(key, f"is {str(value)[:40]!r}", "a whole number")
    return value


def _said(asked: Mapping[str, Any], key: str) -> str:
    value = asked.get(key, "")
    if not isinstance(value, str):
        raise refuse(key, f"is {str(value)[:40]!r}", "a text")
    return value


def _move(work: Work, number: int, asked: Mapping[str, Any]) -> tuple[Work, str]:
    to = _whole(asked, "to")
    return move_cut(work, number, to), f"cut into shot {number} moved to frame {to}"


def _nudge(work: Work, number: int, asked: Mapping[str, Any]) -> tuple[Work, str]:
    to = shot_of(work, number).start + _whole(asked, "by")
    return move_cut(work, number, to), f"cut into shot {number} moved to frame {to}"


def _in(work: Work, number: int, asked: Mapping[str, Any]) -> tuple[Work, str]:
    kind, frames = _said(asked, "kind"), _whole(asked, "frames")
    told = f"shot {number}: comes in by a {kind}" + (f" of {frames} frames" if kind != "cut" else "")
    return set_in(work, number, kind, frames, _said(asked, "colour")), told


def _out(work: Work, number: int, asked: Mapping[str, Any]) -> tuple[Work, str]:
    kind, frames = _said(asked, "kind"), _whole(asked, "frames")
    told = f"shot {number}: ends by a {kind}" + (f" of {frames} frames" if kind != "cut" else "")
    return set_out(work, number, kind, frames, _said(asked, "colour")), told


def _text(work: Work, number: int, asked: Mapping[str, Any]) -> tuple[Work, str]:
    which = str(asked["deed"])
    return set_text(work, number, which, _said(asked, "text")), f"shot {number}: {which}"


def _split(work: Work, number: int, asked: Mapping[str, Any]) -> tuple[Work, str]:
    at = _whole(asked, "at")
    return split(work, number, at), f"shot {number} split at frame {at}"


def _join(work: Work, number: int, _: Mapping[str, Any]) -> tuple[Work, str]:
    return join(work, number), f"shots {number} and {number + 1} joined"


def _lock(work: Work, number: int, asked: Mapping[str, Any]) -> tuple[Work, str]:
    on = asked.get("on") is True
    return set_lock(work, number, on), f"shot {number} {'locked' if on else 'unlocked'}"


def _entry(work: Work, number: int, asked: Mapping[str, Any]) -> tuple[Work, str]:
    entry = _said(asked, "entry")
    return set_entry(work, number, entry), f"shot {number}: enters by a {entry}"


def _source(work: Work, number: int, asked: Mapping[str, Any]) -> tuple[Work, str]:
    source = _said(asked, "source")
    return set_source(work, number, source), f"shot {number}: plays {source}"


def _key(work: Work, number: int, asked: Mapping[str, Any]) -> tuple[Work, str]:
    name, mark = _said(asked, "name"), _said(asked, "mark")
    told = {"pin": "pinned", "ban": "banned"}.get(mark, "neither pinned nor banned")
    return mark_key(work, number, name, mark), f"{name} {told}"
