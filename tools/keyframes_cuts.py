"""The cut list that stands beside a result because nobody gave one: found in the film, and a person's once it is changed.

A list that was found says so in a line of its head, with a code of its shots and of the film's bytes. Where the shots no longer
are what the code says, somebody has corrected them: such a list is used as if --cuts had named it, and is never written over.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from player.show.cut_list import CutList, format_csv, read_csv
from player.show.problem import Problem, ShowError
from tools.film_dataset import cuts_asked
from tools.film_dataset_source import Footage
from tools.whole_file import write_whole

MARK = "# found: "
CODE = 16  # letters of a hash


def marked(cuts: CutList, film_sha256: str) -> str:
    """The list as text, with the line that says that nobody has changed it."""
    text = format_csv(cuts)
    return f"{MARK}{_code(text)} in {film_sha256[:CODE]}; correct it, and the corrected list is used\n{text}"


def _code(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:CODE]


def _read(path: Path) -> tuple[CutList, str | None]:
    """(the list, the code of the film in which it was found; None where it is not as it was found). What a spreadsheet does to
    a list that it only saves again changes nothing. Raises ShowError."""
    cuts = read_csv(path)
    head = path.read_text(encoding="utf-8").lstrip("\ufeff").split("\n")[0].strip().strip('"')
    words = head.removeprefix(MARK).split(";")[0].split()  # its code, 'in', the film's
    mine = head.startswith(MARK) and len(words) == 3 and words[0] == _code(format_csv(cuts))
    return cuts, words[2] if mine else None


def cut_list_problems(path: Path, given: Path | None) -> list[Problem]:
    """A file in the list's place that is none; nothing where --cuts names another, for then it is left alone."""
    if given is not None or not path.exists():
        return []
    try:
        read_csv(path)
    except ShowError as e:
        hint = "correct it, delete it to have the cuts looked for, or name a list with --cuts"
        return [Problem(str(path), f"is no cut list that can be used ({e.problems[0].given})", "", hint)]
    return []


def cuts_beside(path: Path, footage: Footage, film_sha256: Callable[[], str],
                find: Callable[[], tuple[CutList, list[str]]]) -> tuple[CutList, list[str], bool]:  # fmt: skip
    """(the cut list where --cuts names none, what to say of it, whether it is to be written). path: where it stands, or would.
    find: looks for the cuts, where no list of this film stands there. Raises ShowError."""
    if path.exists():
        cuts, film = _read(path)
        if film is None:
            cuts_asked(path, footage)
            said = f"{path} is used, as somebody has left it (delete it to have the cuts looked for)"
            return cuts, [said, *rate_notes(cuts, footage)], False
        if film == film_sha256()[:CODE] and (cuts.frames, cuts.rate) == (footage.frames, footage.rate):
            return cuts, [f"the cuts stand in {path}, as they were found"], False
    return (*find(), True)


def write_found(path: Path, cuts: CutList, film_sha256: str) -> None:
    """A list that was found. Raises ShowError."""
    text = marked(cuts, film_sha256)
    write_whole(path, lambda part: part.write_text(text, encoding="utf-8"))


def rate_notes(cuts: CutList, footage: Footage) -> list[str]:
    """What to say where a list counts otherwise than a folder of frames: the numbers of its frames are right all the same."""
    if cuts.rate == footage.rate:
        return []
    return [f"the cut list counts {cuts.rate} frames a second, {footage.path.name} {footage.rate} (--rate): its frames are "
            "taken by their numbers"]  # fmt: skip
