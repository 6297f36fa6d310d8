"""Bad input, said in one clear sentence: where, what was given, what is allowed, what to try."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One thing wrong with what a person gave.

    where: the file, and after a colon the key, frame or line, as the person would look for it.
    given: what stands there. allowed: what may stand there. hint: what to try, may be empty.
    """

    where: str
    given: str
    allowed: str = ""
    hint: str = ""

    def __str__(self) -> str:
        text = f"{self.where}: {self.given}"
        if self.allowed:
            text += f"; allowed: {self.allowed}"
        if self.hint:
            text += f"; try: {self.hint}"
        return text


class ShowError(Exception):
    """Raised with every problem found, so that a person mends them in one go. Commands print them and exit with 2."""

    def __init__(self, problems: Problem | Iterable[Problem]):
        self.problems: tuple[Problem, ...] = (problems,) if isinstance(problems, Problem) else tuple(problems)
        super().__init__("\n".join(str(p) for p in self.problems))


def nearest(word: str, known: Iterable[str]) -> str:
    """'did you mean ...' for the known word nearest to `word`, or an empty string."""
    match = difflib.get_close_matches(word, list(known), n=1, cutoff=0.55)
    return f"did you mean {match[0]!r}?" if match else ""
