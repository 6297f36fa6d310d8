"""The text of a file that some editing program wrote: byte order marks, UTF-8, or what Windows wrote before it; and numbers in
text for a person."""

from __future__ import annotations

from pathlib import Path

from player.show.problem import Problem, ShowError

MOST_BYTES = 64 << 20  # a feature film's timeline with all its effects is a few MiB
_MARKS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))


def read_bytes(path: Path) -> bytes:
    """What a file holds. Raises ShowError where it is not there, no file, unreadable, empty, or too large."""
    wanted = "a cut list, an EDL, an OTIO or an XML"
    try:
        if path.is_dir():
            bundle = path / "Info.fcpxml"
            if bundle.is_file():
                raise ShowError(Problem(str(path), "is a bundle", "a file", f"{bundle.name} inside it"))
            raise ShowError(Problem(str(path), "is a folder", wanted))
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise ShowError(Problem(str(path), f"is {size >> 20} MiB", f"at most {MOST_BYTES >> 20} MiB"))
        data = path.read_bytes()
    except FileNotFoundError:
        raise ShowError(Problem(str(path), "is missing", wanted)) from None
    except (OSError, ValueError) as e:
        reason = (e.strerror or str(e)) if isinstance(e, OSError) else str(e)
        raise ShowError(Problem(str(path), f"cannot be read ({reason})", wanted)) from None
    if not data.strip():
        raise ShowError(Problem(str(path), "is empty", wanted))
    return data


def decoded(data: bytes, where: str) -> tuple[str, str]:
    """(text with '\\n' line ends and no mark, its encoding: utf-8, utf-16-le, utf-16-be or cp1252).

    What is not UTF-8 is taken for CP1252, in which editing programs on Windows wrote for decades. Raises ShowError for
    bytes that are no text at all.
    """
    text, encoding = "", ""
    for mark, name in _MARKS:
        if data.startswith(mark):
            try:
                text, encoding = data[len(mark) :].decode(name), name
            except UnicodeDecodeError as e:
                raise ShowError(Problem(where, f"is not {name.upper()} at byte {e.start}", "UTF-8 text")) from None
            break
    if not encoding:
        try:
            text, encoding = data.decode("utf-8"), "utf-8"
        except UnicodeDecodeError:
            # Five bytes mean nothing in CP1252; Latin-1 gives each a (control) character rather than none.
            text, encoding = data.decode("cp1252", "replace"), "cp1252"
    if "\0" in text:
        raise ShowError(Problem(where, "is no text", "a cut list, an EDL, an OTIO or an XML"))
    return text.replace("\r\n", "\n").replace("\r", "\n"), encoding


def counted(number: int, what: str) -> str:
    """'1 shot', '2 shots'."""
    return f"{number} {what}{'' if number == 1 else 's'}"
