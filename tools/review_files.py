"""A review's files written with what a person has noted in them: comments of the score, head lines of the cut list."""

from __future__ import annotations

import os
from pathlib import Path

from player.show.cut_list import CutList, format_csv, problems_of, write_csv
from player.show.problem import ShowError
from player.show.score import Score, write_score
from tools.score_comments import Comments, with_comments

HEAD_KEYS = ("film", "rate", "frames")


def notes_of(path: Path) -> tuple[str, ...]:
    """The comment lines above a cut list's columns but for its head; none where it cannot be read."""
    found = []
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError):
        return ()
    for line in lines:
        plain = line.strip().strip('"').rstrip(",;").strip().strip('"')  # as a spreadsheet saves it
        if plain and not plain.startswith("#"):
            break
        if plain and plain[1:].partition(":")[0].strip().lower() not in HEAD_KEYS:
            found.append(plain)
    return tuple(found)


def write_cuts(cuts: CutList, notes: tuple[str, ...], path: Path) -> None:
    """write_csv, with the notes below the head. Raises OSError, and ShowError for an unsound list."""
    if not notes:
        write_csv(cuts, path)
        return
    if found := problems_of(cuts, path.name):
        raise ShowError(found)
    lines = format_csv(cuts).split("\n")
    _rewrite(path, "\n".join([*lines[:len(HEAD_KEYS)], *notes, *lines[len(HEAD_KEYS):]]))


def write_commented(score: Score, comments: Comments, path: Path) -> None:
    """write_score, with the comments in its text. Raises OSError."""
    write_score(score, path)
    if comments != Comments():
        _rewrite(path, with_comments(path.read_text(encoding="utf-8"), comments))


def _rewrite(path: Path, text: str) -> None:
    part = path.with_name(path.name + ".part")
    try:
        part.write_text(text, encoding="utf-8")
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
