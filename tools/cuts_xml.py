"""XML from strangers: no entities, no external files, no endless depth; otherwise the standard library's tree."""

from __future__ import annotations

from typing import NoReturn
from xml.etree import ElementTree
from xml.parsers import expat

from player.show.problem import Problem, ShowError
from tools.cuts_text import decoded

DEEPEST = 200  # compound clips in compound clips; each level costs about six elements
MOST_ELEMENTS = 3_000_000


def parse_xml(data: bytes, where: str) -> tuple[ElementTree.Element, list[str]]:
    """(the root element, lines for a person). A file that says it is UTF-8 and is not is read as CP1252.

    Raises ShowError for what is not well-formed, and for any entity declaration: a few of those can stand for a
    thousand million characters, or for another file.
    """
    try:
        try:
            return _tree(data, where, None), []
        except expat.ExpatError:
            declared = data[:200].split(b"?>")[0].decode("ascii", "replace").lower()
            if "encoding" in declared and "utf-8" not in declared:
                raise
            text, encoding = decoded(data, where)
            if encoding != "cp1252":
                raise
            return _tree(text.encode("utf-8"), where, "utf-8"), ["it is not UTF-8, as it says: read as CP1252"]
    except expat.ExpatError as e:
        raise ShowError(Problem(f"{where}: line {e.lineno}", f"is not well-formed XML ({expat.ErrorString(e.code)})",
                                "a whole XML file", "export it again")) from None
    except (LookupError, ValueError) as e:  # an encoding that nobody knows
        raise ShowError(Problem(where, f"cannot be read as XML ({e})", "UTF-8")) from None


def _tree(data: bytes, where: str, encoding: str | None) -> ElementTree.Element:
    builder = ElementTree.TreeBuilder()
    parser = expat.ParserCreate(encoding)
    depth = elements = 0

    def refuse(*_: object) -> NoReturn:
        raise ShowError(Problem(f"{where}: line {parser.CurrentLineNumber}", "declares an entity",
                                "XML without entities", "export it again"))  # fmt: skip

    def begin(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth, elements
        depth, elements = depth + 1, elements + 1
        if depth > DEEPEST or elements > MOST_ELEMENTS:
            raise ShowError(Problem(where, f"holds more than {DEEPEST} levels or {MOST_ELEMENTS} elements", "a timeline"))
        builder.start(tag, attributes)

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(tag)

    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler = begin, end
    parser.CharacterDataHandler = builder.data
    parser.EntityDeclHandler = refuse
    parser.ExternalEntityRefHandler = refuse
    parser.Parse(data, True)
    return builder.close()


def text_of(element: ElementTree.Element | None, path: str = "") -> str:
    """The text inside an element or the one at `path` in it, without white space around it; '' where there is none."""
    found = element.find(path) if element is not None and path else element
    return (found.text or "").strip() if found is not None else ""
