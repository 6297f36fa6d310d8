"""Fonts that hold the letters which are to be shown: the one that comes with Pillow, a chosen one, or the machine's."""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from PIL import ImageFont

from player.show.problem import Problem, ShowError

log = logging.getLogger("cineml")

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

PROBE_PX = 32
NOT_A_LETTER = "\U0010fffd"  # no font has one: what is drawn for it is what is drawn for all that is missing
# Found by name where the machine has them; the font that comes with Pillow holds English and little else.
FONTS = ("DejaVuSans.ttf", "NotoSans-Regular.ttf", "LiberationSans-Regular.ttf", "FreeSans.ttf", "Arial.ttf", "arial.ttf",
         "Arial Unicode.ttf", "segoeui.ttf", "Helvetica.ttc", "NotoSansCJK-Regular.ttc", "msgothic.ttc",
         "AppleSDGothicNeo.ttc")  # fmt: skip


@dataclass(frozen=True)
class Face:
    """A font of any size. path: its file or name, '' the one that comes with Pillow. missing: letters that it lacks."""

    path: str
    missing: frozenset[str]

    def of_size(self, px: float) -> Font:
        return ImageFont.truetype(self.path, px) if self.path else ImageFont.load_default(px)

    def shown(self, text: str) -> str:
        """The text with letters that the font lacks as their plain ones, where there are such, and every blank alike."""
        text = "".join(" " if c.isspace() else c for c in text)
        if not self.missing.intersection(text):
            return text
        return "".join(_plain_letter(c) if c in self.missing else c for c in text)


def _plain_letter(letter: str) -> str:
    bare = "".join(c for c in unicodedata.normalize("NFKD", letter) if not unicodedata.combining(c))
    return {"ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "ß": "ss", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "đ": "d", "Đ": "D",
            "ı": "i", "—": "-", "–": "-", "♪": "~"}.get(letter, bare or letter)  # fmt: skip


def missing_letters(font: Font, letters: Iterable[str]) -> frozenset[str]:
    """The letters that a font has no picture of."""
    def drawn(letter: str) -> tuple[tuple[int, int], bytes]:
        mask = font.getmask(letter)
        return mask.size, bytes(mask)

    none = drawn(NOT_A_LETTER)
    return frozenset(c for c in letters if drawn(c) == none)


def chosen_face(path: Path, letters: str) -> Face:
    """A font that somebody chose. Raises ShowError for what is no font."""
    try:
        return Face(str(path), missing_letters(ImageFont.truetype(str(path), PROBE_PX), letters))
    except OSError as e:
        raise ShowError(Problem(str(path), f"is no font ({e})", "a TrueType or OpenType file")) from None


@lru_cache(maxsize=64)  # an overlay of weeks may show many texts
def face_holding(letters: frozenset[str]) -> Face:
    """The font that comes with Pillow; where it lacks some of the letters, that of the machine which lacks fewest."""
    face = Face("", missing_letters(ImageFont.load_default(PROBE_PX), letters))
    for name in FONTS if face.missing else ():
        try:
            other = Face(name, missing_letters(ImageFont.truetype(name, PROBE_PX), letters))
        except OSError:
            continue
        if len(other.missing) < len(face.missing):
            face = other
        if not face.missing:
            break
    return face


def font_for(texts: Iterable[str], px: float) -> Font:
    """A font of that size for all of these texts, whatever their language, as far as the machine has one."""
    letters = frozenset(c for text in texts for c in text if not (c.isspace() or c.isascii()))
    return face_holding(letters).of_size(px)


def face_for(letters: str, chosen: Path | None) -> Face:
    """The font for a film's captions. What is missing in it all the same is said. Raises ShowError for what is no font."""
    face = face_holding(frozenset(letters)) if chosen is None else chosen_face(chosen, letters)
    if face.missing:
        some = " ".join(sorted(face.missing)[:12])
        log.warning("captions: no font here has %s: shown as plain letters or boxes; name one with captions.font", some)
    return face
