"""A PDF written as it is drawn: every picture goes to the file at once, so that memory does not grow with the film.

PDF 1.7 (ISO 32000-1), no dates and no random ids: the same film and options give the same bytes. Coordinates are mm from the
page's upper left corner, y downwards; in the file they are points (1/72 inch) from its lower left corner, to 1e-5.
Written anew because reportlab 5.1 keeps a document in memory until it is saved: 0.18 MiB a frame were measured, 3 GiB for the
18 816 frames of a film of 13 minutes.
"""

from __future__ import annotations

import contextlib
import io
import unicodedata
import zlib
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from tools.strip_sheet import Box

POINTS_A_MM = 72 / 25.4
MOST_BYTES = 9_999_999_999  # what the ten digits of a cross-reference entry hold
KAPPA = 0.5522847498  # of a quarter circle as a cubic curve
CAP_EM = 0.718  # height of Helvetica's capitals and digits
# Widths of Helvetica's characters 32 to 126, thousandths of its size (Adobe's font metrics)
_WIDTHS = tuple(int(n) for n in (
    "278 278 355 556 556 889 667 191 333 333 389 584 278 333 278 278 556 556 556 556 556 556 556 556 556 556 278 278 584 584 "
    "584 556 1015 667 667 722 722 667 611 778 722 278 500 667 556 833 722 778 667 778 722 667 611 722 667 944 667 667 611 278 "
    "278 278 469 556 333 556 556 500 556 556 278 556 556 222 222 500 222 833 556 556 556 556 333 500 278 556 500 722 500 500 "
    "500 334 260 334 584"
).split())  # fmt: skip


@dataclass(frozen=True)
class EncodedPicture:
    """A picture as a PDF keeps it: the entries of its dictionary, and its data."""

    entries: str
    data: bytes


def encoded(pixels: npt.NDArray[np.uint8], quality: int | None = None) -> EncodedPicture:
    """Grey uint8 [h, w] or RGB [h, w, 3] as Flate with PNG's Paeth filter, without loss; with `quality` 1..100 as JPEG."""
    height, width = pixels.shape[:2]
    colours = 1 if pixels.ndim == 2 else 3
    entries = (f"/Type /XObject /Subtype /Image /Width {width} /Height {height} /BitsPerComponent 8 "
               f"/ColorSpace /Device{'Gray' if colours == 1 else 'RGB'} ")  # fmt: skip
    if quality is not None:
        from PIL import Image

        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=quality, subsampling=0, optimize=True)
        return EncodedPicture(entries + "/Filter /DCTDecode", file.getvalue())
    # Film frames of 296 x 176 dots: Paeth with run lengths gave 67 KB in 3.1 ms, Up with the usual matches 71 KB in 10.8 ms.
    press = zlib.compressobj(6, zlib.DEFLATED, 15, 9, zlib.Z_RLE)
    data = press.compress(paeth(pixels.reshape(height, width, colours))) + press.flush()
    entries += f"/Filter /FlateDecode /DecodeParms << /Predictor 15 /Colors {colours} /Columns {width} >>"
    return EncodedPicture(entries, data)


def paeth(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Rows of [h, w, c] as the differences to their neighbours, each row behind the filter's number (PNG, 9.4, filter 4)."""
    here = pixels.astype(np.int16)  # [h, w, c]
    left, above, corner = (np.zeros_like(here) for _ in range(3))
    left[:, 1:], above[1:], corner[1:, 1:] = here[:, :-1], here[:-1], here[:-1, :-1]
    to_left, to_above, to_corner = np.abs(above - corner), np.abs(left - corner), np.abs(left + above - 2 * corner)
    nearest = np.where((to_left <= to_above) & (to_left <= to_corner), left, np.where(to_above <= to_corner, above, corner))
    rows = np.full((here.shape[0], here.shape[1] * here.shape[2] + 1), 4, np.uint8)
    rows[:, 1:] = (here - nearest).astype(np.uint8).reshape(len(rows), -1)  # wraps, as it is meant to
    return rows.tobytes()


def printable(text: str) -> str:
    """The text as the PDF's own font sets it: letters with their accents in one piece, which in file names some are not."""
    return unicodedata.normalize("NFC", text)


def lacking(text: str) -> str:
    """The letters that the PDF's own font has none for, each once, in their order; ? is printed in their place."""
    return "".join(c for c in dict.fromkeys(printable(text)) if not c.encode("cp1252", "ignore"))


def text_width(text: str, size_mm: float) -> float:
    """How long a line of Helvetica is, in mm."""
    return size_mm * sum(_WIDTHS[ord(c) - 32] if 32 <= ord(c) < 127 else 556 for c in printable(text)) / 1000


def wrapped(text: str, size_mm: float, room_mm: float) -> list[str]:
    """The text in lines that fit; a word that is too long stands alone."""
    lines: list[str] = []
    for word in text.split():
        if lines and text_width(f"{lines[-1]} {word}", size_mm) <= room_mm:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def number(value: float) -> str:
    """As PDF writes numbers: no exponent, no trailing zeros."""
    text = f"{value:.5f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


class PdfFile:
    """The file: objects in the order in which they are written, their places remembered."""

    def __init__(self, file: BinaryIO, title: str, layers: Sequence[str] = ()) -> None:
        self._file, self._title = file, title
        self._places = array("q", [0])  # of object 1 and on, in bytes
        self._at = 0
        self._pages: list[int] = []
        self._write(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
        self.fonts = {bold: self.add(f"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica{'-Bold' if bold else ''} "
                                     "/Encoding /WinAnsiEncoding >>") for bold in (False, True)}  # fmt: skip
        self.layers = {name: self.add(f"<< /Type /OCG /Name {_string(name)} >>") for name in layers}
        self._tree = self._reserve()

    def _write(self, data: bytes) -> None:
        self._file.write(data)
        self._at += len(data)

    def _reserve(self) -> int:
        self._places.append(0)
        return len(self._places) - 1

    def _put(self, number: int, body: bytes) -> None:
        self._places[number] = self._at
        self._write(b"%d 0 obj\n" % number + body + b"\nendobj\n")

    def add(self, dictionary: str, data: bytes | None = None) -> int:
        """An object, with a stream or without. Returns its number."""
        own = self._reserve()
        body = dictionary.encode("ascii")
        self._put(own, body if data is None else body + b"\nstream\n" + data + b"\nendstream")
        return own

    def picture(self, picture: EncodedPicture) -> int:
        """A picture, ready to be placed. Returns its object's number."""
        return self.add(f"<< {picture.entries} /Length {len(picture.data)} >>", picture.data)

    def page(self, size_mm: tuple[float, float], drawn: PdfPage) -> None:
        """A finished page."""
        content = zlib.compress(drawn.content(), 6)
        stream = self.add(f"<< /Length {len(content)} /Filter /FlateDecode >>", content)
        box = " ".join(number(v * POINTS_A_MM) for v in size_mm)
        pictures = " ".join(f"/P{n} {n} 0 R" for n in sorted(drawn.pictures))
        layers = " ".join(f"/L{n} {n} 0 R" for n in self.layers.values())
        fonts = f"/F0 {self.fonts[False]} 0 R /F1 {self.fonts[True]} 0 R"
        self._pages.append(self.add(
            f"<< /Type /Page /Parent {self._tree} 0 R /MediaBox [0 0 {box}] /Contents {stream} 0 R "
            f"/Resources << /Font << {fonts} >> /XObject << {pictures} >> /Properties << {layers} >> >> >>"))  # fmt: skip

    def close(self) -> None:
        """The page tree, the catalogue and the cross-reference table. The file itself stays open."""
        pages = " ".join(f"{n} 0 R" for n in self._pages)
        self._put(self._tree, f"<< /Type /Pages /Count {len(self._pages)} /Kids [{pages}] >>".encode("ascii"))
        layers = " ".join(f"{n} 0 R" for n in self.layers.values())
        # PrintScaling None: a viewer that prints true to scale of its own accord
        root = self.add(f"<< /Type /Catalog /Pages {self._tree} 0 R /ViewerPreferences << /PrintScaling /None "
                        f"/PickTrayByPDFSize true >> /OCProperties << /OCGs [{layers}] /D << /Order [{layers}] "
                        f"/ON [{layers}] >> >> >>")  # fmt: skip
        info = self.add(f"<< /Title {_string(self._title)} /Creator (cineml strip) >>")
        start, count = self._at, len(self._places)
        self._write(b"xref\n0 %d\n0000000000 65535 f \n" % count)
        for place in self._places[1:]:
            self._write(b"%010d 00000 n \n" % place)
        trailer = f"trailer\n<< /Size {count} /Root {root} 0 R /Info {info} 0 R >>\nstartxref\n{start}\n%%EOF\n"
        self._write(trailer.encode("ascii"))


def _string(text: str) -> str:
    """A PDF string, in ASCII whatever is in the text."""
    if text.isascii():
        return "(" + text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)") + ")"
    return "<FEFF" + text.encode("utf-16-be", "replace").hex().upper() + ">"


class PdfPage:
    """What is drawn on one page. Lines are black unless grey says otherwise: 0 full ink, 1 none."""

    def __init__(self, height_mm: float, layers: dict[str, int]) -> None:
        self._height_mm, self._layers = height_mm, layers
        self._parts: list[str] = []
        self.pictures: set[int] = set()

    def content(self) -> bytes:
        return "\n".join(self._parts).encode("latin-1")

    def _xy(self, x: float, y: float) -> str:
        return f"{number(x * POINTS_A_MM)} {number((self._height_mm - y) * POINTS_A_MM)}"

    def _re(self, box: Box) -> str:
        size = f"{number(box.width * POINTS_A_MM)} {number(box.height * POINTS_A_MM)}"
        return f"{self._xy(box.x, box.bottom)} {size} re"

    @contextlib.contextmanager
    def layer(self, name: str) -> Iterator[None]:
        """What is drawn inside can be switched off in a viewer that knows layers."""
        self._parts.append(f"/OC /L{self._layers[name]} BDC")
        yield
        self._parts.append("EMC")

    def fill(self, box: Box, grey: float = 0.0) -> None:
        self._parts.append(f"{number(grey)} g {self._re(box)} f")

    def outline(self, box: Box, line_mm: float) -> None:
        self._parts.append(f"{number(line_mm * POINTS_A_MM)} w 0 G {self._re(box)} S")

    def line(self, x0: float, y0: float, x1: float, y1: float, line_mm: float) -> None:
        width = number(line_mm * POINTS_A_MM)
        self._parts.append(f"{width} w 0 G {self._xy(x0, y0)} m {self._xy(x1, y1)} l S")

    def rounded(self, box: Box, radii: tuple[float, float], line_mm: float, filled: bool = False) -> None:
        """A rectangle with round corners (radii across and along the film), outlined, and without ink inside if filled."""
        rx, ry = radii
        kx, ky = rx * (1 - KAPPA), ry * (1 - KAPPA)
        x0, y0, x1, y1 = box.x, box.y, box.right, box.bottom
        p = self._xy
        path = [f"{p(x0 + rx, y0)} m", f"{p(x1 - rx, y0)} l", f"{p(x1 - kx, y0)} {p(x1, y0 + ky)} {p(x1, y0 + ry)} c",
                f"{p(x1, y1 - ry)} l", f"{p(x1, y1 - ky)} {p(x1 - kx, y1)} {p(x1 - rx, y1)} c",
                f"{p(x0 + rx, y1)} l", f"{p(x0 + kx, y1)} {p(x0, y1 - ky)} {p(x0, y1 - ry)} c",
                f"{p(x0, y0 + ry)} l", f"{p(x0, y0 + ky)} {p(x0 + kx, y0)} {p(x0 + rx, y0)} c h"]  # fmt: skip
        state = f"{number(line_mm * POINTS_A_MM)} w 0 G" + (" 1 g" if filled else "")
        self._parts.append(f"{state} {' '.join(path)} {'B' if filled else 'S'}")

    def picture(self, number_of: int, box: Box) -> None:
        """A picture of the file, filling a box."""
        self.pictures.add(number_of)
        size = number(box.width * POINTS_A_MM), number(box.height * POINTS_A_MM)
        self._parts.append(f"q {size[0]} 0 0 {size[1]} {self._xy(box.x, box.bottom)} cm /P{number_of} Do Q")

    def text(self, x: float, y: float, text: str, size_mm: float, bold: bool = False, grey: float = 0.0,
             mirrored: bool = False) -> None:
        """A line of text whose base line begins at x, y; mirrored: it ends there, read from the sheet's other side."""
        where = self._xy(x + text_width(text, size_mm) if mirrored else x, y)
        self._show(text, size_mm, bold, grey, f"{-1 if mirrored else 1} 0 0 1 {where}")

    def text_along(self, x: float, y: float, text: str, size_mm: float, mirrored: bool, grey: float = 0.0) -> None:
        """A line of text around the middle x, y, read from below upwards; mirrored: from the sheet's other side."""
        start, side = y + text_width(text, size_mm) / 2, CAP_EM * size_mm / 2
        where = self._xy(x - side if mirrored else x + side, start)
        self._show(text, size_mm, False, grey, f"0 1 {1 if mirrored else -1} 0 {where}")

    def _show(self, text: str, size_mm: float, bold: bool, grey: float, matrix: str) -> None:
        shown = printable(text).encode("cp1252", "replace").decode("latin-1")
        escaped = shown.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")
        size = number(size_mm * POINTS_A_MM)
        self._parts.append(f"BT {number(grey)} g /F{int(bold)} {size} Tf {matrix} Tm ({escaped}) Tj ET")
