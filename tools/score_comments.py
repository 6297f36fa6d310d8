"""A person's comment lines in a score's text, kept when a tool writes the score anew."""

from __future__ import annotations

import contextlib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from player.show.score import Score, write_score
from tools.whole_file import write_whole, writing

HEAD = ""  # stands for the lines above the first [[shot]]
TABLE = re.compile(r"^\s*\[\[\s*shot\s*\]\]\s*(?P<behind>#.*)?$")
KEY = re.compile(r"^\s*(?P<key>[A-Za-z0-9_-]+|\"[^\"]*\")\s*=")
NUMBER = re.compile(r"^\s*number\s*=\s*(?P<number>\d+)")

Place = tuple[str, str]
"""(shot number or HEAD, key that the comment stands above; '' for the [[shot]] itself)."""


@dataclass(frozen=True)
class Comments:
    """lines: comment lines by place. behind: comments on a value's own line. last: lines below everything. What stands within a
    value of several lines is not among them."""

    lines: Mapping[Place, tuple[str, ...]] = field(default_factory=dict)
    last: tuple[str, ...] = ()
    behind: Mapping[Place, str] = field(default_factory=dict)


def _behind(line: str) -> str:
    """The comment behind the value of a line that is whole by itself, '' without one."""
    if (table := TABLE.match(line)) is not None:
        return table["behind"] or ""
    places = [i for i, letter in enumerate(line) if letter == "#"]
    try:
        value = tomllib.loads(line) if places else {}
    except (tomllib.TOMLDecodeError, RecursionError):
        return ""
    for i in places:  # the first that is in no text
        with contextlib.suppress(tomllib.TOMLDecodeError):
            if tomllib.loads(line[:i]) == value:
                return line[i:].rstrip()
    return ""


def _whole(line: str) -> bool:
    """Whether a line is TOML by itself, so that a comment may follow it."""
    try:
        tomllib.loads(line)
    except (tomllib.TOMLDecodeError, RecursionError):
        return False
    return True


def _key(line: str) -> str | None:
    """What a comment at this line belongs to: '' for a [[shot]], a key, None for neither."""
    return "" if TABLE.match(line) else m["key"] if (m := KEY.match(line)) else None


def _tables(text: str) -> list[list[str]]:
    """The lines above the first [[shot]], and those of each, the comments right above a [[shot]] with it."""
    tables: list[list[str]] = [[]]
    waiting: list[str] = []
    for line in text.splitlines():
        if TABLE.match(line):
            tables.append([*waiting, line])
            waiting = []
        elif not line.strip() or line.lstrip().startswith("#"):
            waiting.append(line)
        else:
            tables[-1] += [*waiting, line]
            waiting = []
    tables[-1] += waiting
    return tables


def comments_of(path: Path) -> Comments:
    """Those of the score at `path`; none where there is none."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError):
        return Comments()
    found: dict[Place, tuple[str, ...]] = {}
    behind: dict[Place, str] = {}
    last: list[str] = []
    tables = _tables(text)
    for i, lines in enumerate(tables):
        number = HEAD if i == 0 else next((m["number"] for line in lines if (m := NUMBER.match(line))), None)
        waiting: list[str] = []
        for line in lines:
            if line.lstrip().startswith("#"):
                waiting.append(line.strip())
                continue
            key = _key(line)
            if key is None or number is None:
                continue
            if waiting:
                found[number, key] = (*found.get((number, key), ()), *waiting)
                waiting = []
            if told := _behind(line):
                behind[number, key] = told
        last += waiting if number is not None else []
    return Comments(found, tuple(last), behind)


def with_comments(text: str, comments: Comments) -> str:
    """The text of a score with the comments where they stood; those of what is no more stand at the end."""
    left, behind = dict(comments.lines), dict(comments.behind)
    made: list[str] = []
    for i, lines in enumerate(_tables(text)):
        number = HEAD if i == 0 else next((m["number"] for line in lines if (m := NUMBER.match(line))), HEAD)
        for line in lines:
            key = _key(line)
            if key is not None and (number, key) in left:
                made += left.pop((number, key))
            told = behind.pop((number, key), "") if key is not None and _whole(line) else ""
            made.append(f"{line}  {told}" if told else line)
    rest = [line for lines in left.values() for line in lines] + list(behind.values()) + list(comments.last)
    return "\n".join([*made, *rest]) + "\n"


def rewrite_score(score: Score, path: Path) -> None:
    """write_score with the comments of the score that stands there. Raises ShowError."""
    comments = comments_of(path)
    with writing(path):
        write_score(score, path)
        if comments != Comments():
            text = with_comments(path.read_text(encoding="utf-8"), comments)
            write_whole(path, lambda part: part.write_text(text, encoding="utf-8"))
