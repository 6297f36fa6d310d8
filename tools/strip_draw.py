"""One sheet of strips, drawn: pictures, perforations, cut lines, numbers, the scale check, and what is certain."""

from __future__ import annotations

from collections.abc import Callable

from tools.strip_density import Tone
from tools.strip_measures import EDGE, FILM_WIDTH, PERFORATION_ACROSS, PERFORATION_ALONG, Picture, track_span_mm
from tools.strip_options import Wanted
from tools.strip_pdf import PdfPage, text_width, wrapped
from tools.strip_sheet import (
    BARS_MM,
    FOOT_LINE_MM,
    HEAD_MM,
    LABEL_MM,
    MARK_MM,
    Box,
    Film,
    Layout,
    Placed,
    Strip,
    foot_lines,
    foot_mm,
)

PICTURE_LAYER, PERFORATION_LAYER, CUT_LAYER, TEXT_LAYER = "pictures", "perforations", "cut lines", "text and rulers"
LAYERS = (PICTURE_LAYER, PERFORATION_LAYER, CUT_LAYER, TEXT_LAYER)
HAIR_MM, CUT_MM = 0.05, 0.1
NUMBER_MM, NUMBER_ROOM_MM = 1.3, 5.6  # size of frame numbers, and the room between two perforations
EMPTY, EMPTY_MM = "no picture", 2.0
WHITE = 1.0

Make = Callable[[int, Film, int], tuple[int, Placed]]  # (printed frame, its film, its place there) -> picture and place


def aperture_of(film: Film, place: int, picture: Picture) -> Box:
    """The picture's aperture beside the film's frame `place`: in the middle between its frame lines."""
    middle = (place + 0.5) * film.pitch_mm
    return film.box((picture.left.mm, picture.right_mm), (middle - picture.height.mm / 2, middle + picture.height.mm / 2))


def draw_film(page: PdfPage, film: Film, filled: bool) -> None:
    """Perforations, the film's edges, and cut marks at its first and last frame line. filled: perforations without ink."""
    with page.layer(PERFORATION_LAYER):
        for hole in film.perforations():
            page.rounded(hole, film.corner, HAIR_MM, filled)
    with page.layer(CUT_LAYER):
        page.outline(film.outline(), HAIR_MM)
        for along in (0.0, film.length_mm):
            cut_mark(page, film, along)


def cut_mark(page: PdfPage, film: Film, along: float) -> None:
    """A short line on both sides of the film at a frame line."""
    y, box = film.y(along), film.outline()
    page.line(box.x - MARK_MM, y, box.x - 0.2, y, CUT_MM)
    page.line(box.right + 0.2, y, box.right + MARK_MM, y, CUT_MM)


def scale_check(page: PdfPage, wanted: Wanted, x: float, y: float, upright: bool, room_mm: float, text: bool = True) -> None:
    """A thin bar of 100.0 mm and on it a thick one of 50.0, from x, y to the right, or upright downwards; drawn larger where
    the print will shrink, so that it is right when it has. Where 100 mm do not fit, the thick one alone."""
    along, across = wanted.stretch
    factor = along if upright else across
    for mm, thick in zip(BARS_MM, (0.4, 1.6), strict=True):
        if mm * factor <= room_mm:
            page.fill(Box(x, y, thick, mm * factor) if upright else Box(x, y, mm * factor, thick))
            if upright or not text:
                continue
            page.text(x + mm * factor - text_width(f"{mm:.1f} mm", 1.9), y + 3.6, f"{mm:.1f} mm", 1.9)


def draw_sheet(page: PdfPage, layout: Layout, tone: Tone, sheet: int, numbers: Callable[[int], int], title: str,
               make: Make) -> None:  # fmt: skip
    """Sheet `sheet`. numbers: the film's frame of a printed one. make: makes the picture of one."""
    strips = layout.on_sheet(sheet)
    for strip in strips:
        draw_strip(page, layout.wanted, tone, strip, numbers, make)
    with page.layer(TEXT_LAYER):
        draw_margins(page, layout, strips, sheet, numbers, title)


def draw_strip(page: PdfPage, wanted: Wanted, tone: Tone, strip: Strip, numbers: Callable[[int], int], make: Make) -> None:
    """A strip with its pictures, cut marks and numbers."""
    film, black = strip.film, wanted.around == "black"
    edge = (-film.tail_mm, film.length_mm + film.tail_mm)
    with page.layer(PICTURE_LAYER):
        if black:
            page.fill(film.outline())
        if wanted.picture.format != "super16" and (wanted.track == "black") != black:
            page.fill(film.box(track_span_mm(), edge), 0.0 if wanted.track == "black" else WHITE)
        for place, printed in enumerate(strip.places):
            picture, put = make(printed, film, place)
            aperture = aperture_of(film, place, wanted.picture)
            bars = 1 - (put.box.width * put.box.height) / (aperture.width * aperture.height)
            if wanted.fit == "contain" and bars > 1e-3:
                page.fill(aperture, float(tone.table[0]) / 255)
            page.picture(picture, put.box)
    draw_film(page, film, black)
    with page.layer(CUT_LAYER):
        if wanted.join == "overlap" and strip.number > 1:
            cut_mark(page, film, film.pitch_mm)
    with page.layer(TEXT_LAYER):
        for place, printed in enumerate(strip.places):
            text = f"{strip.number}/{numbers(printed)}"
            size = min(NUMBER_MM, NUMBER_MM * NUMBER_ROOM_MM / text_width(text, NUMBER_MM))
            x, y = film.between_perforations(place)
            page.text_along(x, y, text, size, film.mirrored, WHITE if black else 0.0)
        if wanted.join == "gap":
            for along in (-0.5 * film.pitch_mm, film.length_mm + 0.5 * film.pitch_mm):
                note = film.box((EDGE.mm + PERFORATION_ACROSS.mm, FILM_WIDTH.mm), (along, along))
                x = note.x + (note.width - text_width(EMPTY, EMPTY_MM)) / 2
                page.text(x, note.y + EMPTY_MM / 3, EMPTY, EMPTY_MM, False, WHITE if black else 0.0, film.mirrored)
        box = film.outline()
        page.text(box.x, box.y - 1.0, f"S{strip.number}", 2.6, bold=True)
        ends = f"{numbers(strip.first)}-{numbers(strip.places[-1])}"
        page.text(box.x + text_width(f"S{strip.number} ", 2.8) + 0.8, box.y - 1.0, ends, 1.9)


def draw_margins(page: PdfPage, layout: Layout, strips: list[Strip], sheet: int, numbers: Callable[[int], int],
                 title: str) -> None:  # fmt: skip
    """Head line, scale check, and at the foot the exact length and what is certain."""
    wanted, (mx, my) = layout.wanted, layout.wanted.margin_mm
    (width, height), picture = wanted.sheet_mm, wanted.picture
    room_mm = width - 2 * mx
    first, last = strips[0], strips[-1]
    which = f"strips {first.number}-{last.number}" if first.number < last.number else f"strip {first.number}"
    head = f"Sheet {sheet} of {layout.sheets}"
    page.text(mx, my + 2.6, head, 2.8, bold=True)
    said, x = f"{which}, frames {numbers(first.first)}-{numbers(last.places[-1])}   {title}", text_width(head, 3.1) + 2.0
    fit_text(page, mx + x, my + 2.6, said, 2.3, room_mm - x)
    scale_check(page, wanted, mx + SIDE_FROM_MM, my + 4.6, False, room_mm)
    along, across = wanted.stretch
    upright_mm = height - 2 * my - HEAD_MM - LABEL_MM - foot_mm(wanted)
    scale_check(page, wanted, mx + SIDE_FROM_MM, my + HEAD_MM + LABEL_MM, True, upright_mm)
    page.text_along(mx + 4.0, my + HEAD_MM + LABEL_MM + 25 * along, "50.0 and 100.0 mm", 1.9, False)
    hint = "measure both bars after printing: not 100.0 mm? print at 100 %, or --shrink"
    if (left_mm := room_mm - SIDE_FROM_MM - 100 * across - 3) > 50:
        fit_text(page, mx + SIDE_FROM_MM + 100 * across + 3, my + 6.2, hint, 2.0, left_mm)
    turned = "ink side away, pictures mirrored" if wanted.mirrored else "ink side towards you"
    exact = (f"{picture.name}. A full strip: {layout.per_strip} frames = {layout.per_strip} perforations = "
             f"{layout.per_strip * wanted.pitch.mm:.3f} mm from cut to cut. "
             f"Earlier frames above. {turned[0].upper()}{turned[1:]}. {JOINS[wanted.join]}")  # fmt: skip
    lines, y = foot_lines(wanted), height - my - foot_mm(wanted) + 1.1
    for n, text in enumerate((exact, certainty_line(wanted))):
        fit_lines(page, mx, y + (n * lines + 1) * FOOT_LINE_MM, text, 2.2, room_mm, lines)


SIDE_FROM_MM = 0.6
JOINS = {"butt": "Cut at the marks, join end to end.",
         "overlap": "A strip's first frame is the last of the one before: cut at either mark.",
         "gap": "Cut at the marks; the frame beyond them is empty, to hold or to overlap."}  # fmt: skip


def certainty_line(wanted: Wanted) -> str:
    """What is certain, in one line."""
    p, pitch = wanted.picture, wanted.pitch.mm
    return (f"Certain (A, standards): pitch {pitch:.3f}, film {FILM_WIDTH.mm:g}, perforation {PERFORATION_ACROSS.mm:g} x "
            f"{PERFORATION_ALONG.mm:g} mm. Likely (B, secondary): picture {p.width.mm:g} x {p.height.mm:g}, frame line at "
            f"mid-perforation. Derived (C): picture {p.left.mm:g} mm from the edge. Never tried on a projector.")  # fmt: skip


def fit_lines(page: PdfPage, x: float, y: float, text: str, size_mm: float, room_mm: float, lines: int) -> None:
    """Text in at most so many lines, set smaller where it needs more, down to two thirds; what is left is not said."""
    size = size_mm
    while len(wrapped(text, size, room_mm)) > lines and size > size_mm * 2 / 3:
        size -= 0.02
    for n, line in enumerate(wrapped(text, size, room_mm)[:lines]):
        page.text(x, y + n * FOOT_LINE_MM, line, size)


def fit_text(page: PdfPage, x: float, y: float, text: str, size_mm: float, room_mm: float) -> None:
    """A line that is set smaller where it does not fit, down to two thirds, and is cut after that."""
    if room_mm <= 0:
        return
    size = max(size_mm * min(1.0, room_mm / text_width(text, size_mm)), size_mm * 2 / 3)
    while text and text_width(text, size) > room_mm + 1e-6:
        text = text[:-1]
    page.text(x, y, text, size)
