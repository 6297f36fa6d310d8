"""The measures of a strip, read back from the PDF by a reader that is not ours."""

from __future__ import annotations

import re
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.numbered_film import number_in, write_numbered
from tools import strip
from tools.strip_measures import PICTURES, PITCHES
from tools.strip_pdf import PdfFile, PdfPage, encoded, text_width, wrapped
from tools.strip_sheet import Box

pypdf = pytest.importorskip("pypdf")

MM = 72 / 25.4
NEAR = 0.001  # mm


@dataclass
class Drawn:
    """What stands on a page, in mm from its upper left corner. Boxes are x, y, width, height.

    filled: (box, grey). outlined: boxes. holes: (box, points where straight edges end). pictures: (box, pixels).
    lines: x0, y0, x1, y1. texts: (x, y, text, matrix).
    """

    size: tuple[float, float]
    filled: list[tuple[tuple[float, ...], float]] = field(default_factory=list)
    outlined: list[tuple[float, ...]] = field(default_factory=list)
    holes: list[tuple[tuple[float, ...], list[tuple[float, float]]]] = field(default_factory=list)
    pictures: list[tuple[tuple[float, ...], np.ndarray]] = field(default_factory=list)
    lines: list[tuple[float, ...]] = field(default_factory=list)
    texts: list[tuple[float, float, str, tuple[float, ...]]] = field(default_factory=list)

    def said(self) -> str:
        return "\n".join(t[2] for t in self.texts)


def read(path: Path, with_pixels: bool = False) -> list[Drawn]:
    """Every page of a strip."""
    reader = pypdf.PdfReader(str(path), strict=True)
    return [read_page(reader, page, with_pixels) for page in reader.pages]


def read_page(reader: Any, page: Any, with_pixels: bool) -> Drawn:
    height = float(page.mediabox.height) / MM
    made = Drawn((float(page.mediabox.width) / MM, height))
    images = page["/Resources"]["/XObject"]
    grey, box, path, curves, matrix = 0.0, None, [], 0, (1.0, 0, 0, 1, 0, 0)

    def to_mm(x: Any, y: Any) -> tuple[float, float]:
        return float(x) / MM, height - float(y) / MM

    for operands, operator in pypdf.generic.ContentStream(page.get_contents(), reader).operations:
        op, v = operator.decode(), operands
        if op == "g":
            grey = float(v[0])
        elif op == "re":
            x, bottom = to_mm(v[0], v[1])
            w, h = float(v[2]) / MM, float(v[3]) / MM
            box = (x, bottom - h, w, h)
        elif op in ("m", "l"):
            path.append(to_mm(*v))
        elif op == "c":
            curves += 1
            path.append(to_mm(v[4], v[5]))
        elif op in ("f", "S", "B"):
            if box is not None and op == "f":
                made.filled.append((box, grey))
            elif box is not None:
                made.outlined.append(box)
            elif curves:
                assert curves == 4
                xs, ys = [p[0] for p in path], [p[1] for p in path]
                made.holes.append(((min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)), list(path)))
            else:
                made.lines.append((*path[0], *path[1]))
            box, path, curves = None, [], 0
        elif op == "cm":
            matrix = tuple(float(n) for n in v)
        elif op == "Do":
            assert matrix[1] == matrix[2] == 0
            x, bottom = to_mm(matrix[4], matrix[5])
            pixels = pixels_of(images[v[0]].get_object()) if with_pixels else np.zeros(0)
            made.pictures.append(((x, bottom - matrix[3] / MM, matrix[0] / MM, matrix[3] / MM), pixels))
        elif op == "Tm":
            matrix = tuple(float(n) for n in v)
        elif op == "Tj":
            made.texts.append((*to_mm(matrix[4], matrix[5]), str(v[0]), matrix[:4]))
    return made


def pixels_of(image: Any) -> np.ndarray:
    shape = (image["/Height"], image["/Width"]) + ((3,) if image["/ColorSpace"] == "/DeviceRGB" else ())
    return np.frombuffer(image.get_data(), np.uint8).reshape(shape)


def near(a: Any, b: Any) -> bool:
    return bool(np.allclose(a, b, rtol=0, atol=NEAR))


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_numbered(tmp_path_factory.mktemp("film") / "film.mp4")


@pytest.fixture(scope="module")
def made(film: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Makes a strip of the numbered film, once for the same options."""
    done: dict[tuple[str, ...], Path] = {}

    def make(*options: object) -> Path:
        key = tuple(map(str, options))
        if key not in done:
            done[key] = tmp_path_factory.mktemp("strip") / "strip.pdf"
            assert strip.main([str(film), "-o", str(done[key]), *key]) == 0
        return done[key]

    return make


def strips_of(page: Drawn) -> list[tuple[tuple[float, ...], list[tuple[float, ...]]]]:
    """(film outline, boxes of its perforations from above) of every piece of film on a page."""
    found = []
    for outline in page.outlined:
        if abs(outline[2] / 15.95 - 1) < 0.06 and outline[3] > 20:
            holes = [h for h, _ in page.holes if outline[0] <= h[0] and h[0] + h[2] <= outline[0] + outline[2]]
            found.append((outline, sorted(holes, key=lambda h: h[1])))
    return found


# --- the film


@pytest.mark.parametrize("format_", list(PICTURES))
@pytest.mark.parametrize("pitch", list(PITCHES))
def test_perforations_and_pictures_are_where_the_standard_has_them(made: Any, format_: str, pitch: str) -> None:
    pages = read(made("--format", format_, "--pitch", pitch, "--fit", "cover", "--dpi", 150))
    picture, step = PICTURES[format_], PITCHES[pitch].mm  # type: ignore[index]
    strips = strips_of(pages[1])
    assert len(strips) == 3 and sum(len(holes) - 1 for _, holes in strips) == 72  # one more than frames on each
    for outline, holes in strips:
        assert near(outline[2], 15.95)
        for box in holes:
            assert near((box[0] - outline[0], box[2], box[3]), (0.91, 1.83, 1.27))
        middles = np.array([box[1] + box[3] / 2 for box in holes])
        assert near(middles, middles[0] + step * np.arange(len(holes)))
        assert near(middles[0] - outline[1], 2.0)  # the first frame line, 2 mm below the end of the strip
        inside = sorted(p for p, _ in pages[1].pictures if outline[0] < p[0] < outline[0] + 15.95)
        inside.sort(key=lambda p: p[1])
        assert len(inside) == len(holes) - 1
        for k, box in enumerate(inside):
            assert near((box[0] - outline[0], box[2], box[3]), (picture.left.mm, picture.width.mm, picture.height.mm))
            assert near(box[1] + box[3] / 2, (middles[k] + middles[k + 1]) / 2)  # perforations straddle the frame line


def test_a_perforations_corners_have_their_radius(made: Any) -> None:
    page = read(made("--dpi", 150))[1]
    for (x, y, w, h), points in page.holes:
        for px, py in points:  # straight edges end 0.25 mm before every corner
            along_x = min(px - x, x + w - px)
            along_y = min(py - y, y + h - py)
            assert near(sorted((along_x, along_y)), (0, 0.25))


def test_cut_marks_stand_at_the_first_and_last_frame_line(made: Any) -> None:
    page = read(made("--dpi", 150))[1]
    for outline, holes in strips_of(page):
        lines = [line for line in page.lines if near(line[1], line[3])]
        for hole in (holes[0], holes[-1]):
            y = hole[1] + hole[3] / 2
            at = [line for line in lines if near(line[1], y)]
            assert any(line[2] <= outline[0] and line[2] > outline[0] - 1 for line in at)  # left of the film
            assert any(line[0] >= outline[0] + 15.95 - NEAR and line[0] < outline[0] + 17 for line in at)


def test_the_whole_picture_keeps_its_shape_in_the_middle_of_the_frame_with_black_beside_it(made: Any) -> None:
    page = read(made("--dpi", 150))[1]
    outline, holes = strips_of(page)[0]
    apertures = [box for box, grey in page.filled if near(box[2:], (12.52, 7.41)) and grey == 0]
    assert len(apertures) == 72
    for box, _ in page.pictures:
        assert near((box[2], box[3]), (7.41 * 4 / 3, 7.41))
    assert near(page.pictures[0][0][0] + 7.41 * 4 / 6, apertures[0][0] + 12.52 / 2)
    assert near(apertures[0][0] - outline[0], 2.85) and holes


def test_mirrored_strips_have_perforations_right_and_pictures_turned_round(made: Any) -> None:
    plain, turned = (read(made(*o, "--dpi", 150), True)[1] for o in ((), ("--emulsion", "down")))
    for (outline, holes), (other, others) in zip(strips_of(plain), strips_of(turned), strict=True):
        assert near(outline, other)
        for a, b in zip(holes, others, strict=True):
            assert near(b[0] + b[2] - other[0], 15.95 - 0.91) and near(a[1], b[1])
    for (a, pixels), (b, mirrored) in zip(plain.pictures, turned.pictures, strict=True):
        assert near(a[1:], b[1:])
        middle = (pixels.astype(int), mirrored[:, ::-1].astype(int))
        assert np.abs(middle[0] - middle[1]).max() <= 3
    numbers = [t for t in turned.texts if re.fullmatch(r"\d+/\d+", t[2])]
    assert len(numbers) == 72 and all(t[3][0] * t[3][3] - t[3][1] * t[3][2] < 0 for t in numbers)  # read from behind


@pytest.mark.parametrize("format_", ["standard16", "projector16"])
def test_the_optical_track_is_left_empty_or_black(made: Any, format_: str) -> None:
    def tracks(*options: str) -> list[tuple[tuple[float, ...], float]]:
        page = read(made("--format", format_, "--dpi", 150, *options))[1]
        outline, _ = strips_of(page)[0]
        return [(b, grey) for b, grey in page.filled if near((b[0] - outline[0], b[2]), (13.465, 2.03))]

    assert tracks() == []
    (box, grey), *_ = tracks("--track", "black")
    assert grey == 0 and box[3] > 34 * 7.62
    (_, grey), *_ = tracks("--around", "black")
    assert grey == 1
    assert tracks("--around", "black", "--track", "black") == []  # black already


def test_shrinking_is_made_up_for_along_and_across(made: Any) -> None:
    page = read(made("--shrink", "0.5,-0.25", "--fit", "cover", "--dpi", 150))[1]
    along, across = 1 / 0.995, 1 / 1.0025
    (outline, holes), *_ = strips_of(page)
    assert near(outline[2], 15.95 * across) and near((holes[0][2], holes[0][3]), (1.83 * across, 1.27 * along))
    assert near(holes[-1][1] - holes[0][1], (len(holes) - 1) * 7.62 * along)
    assert near(page.pictures[0][0][2:], (12.52 * across, 7.41 * along))
    bars = [b for b, _ in page.filled]
    assert any(near(b[2], 100 * across) for b in bars) and any(near(b[3], 100 * along) for b in bars)


def test_empty_film_at_both_ends_is_a_frame_long_and_perforated(made: Any) -> None:
    page = read(made("--join", "gap", "--dpi", 150))[1]
    outline, holes = strips_of(page)[0]
    shown = [p for p, _ in page.pictures if outline[0] < p[0] < outline[0] + 16]
    assert len(holes) == len(shown) + 3
    first = min(p[1] for p in shown)
    assert near(first - outline[1], 7.62 + 2.0 + (7.62 - 7.41) / 2)
    assert page.said().count("no picture") == 2 * len(strips_of(page))


# --- the checks


def test_bars_of_100_and_50_mm_lie_both_ways_on_every_page(made: Any) -> None:
    for page in read(made("--dpi", 150)):
        for mm in (100.0, 50.0):
            assert any(near(b[2], mm) and b[3] < 3 for b, _ in page.filled)
            assert any(near(b[3], mm) and b[2] < 3 for b, _ in page.filled)


@pytest.mark.parametrize(("pitch", "length"), [("long", 762.0), ("short", 760.5)])
@pytest.mark.parametrize(("sheet", "pieces"), [("A4", 3), ("A3", 2), ("100x200", 5), ("250x800", 1)])
def test_the_ruler_is_100_perforations_long_in_one_piece_or_joined(made: Any, pitch: str, length: float, sheet: str,
                                                                   pieces: int) -> None:  # fmt: skip
    pages = read(made("--pitch", pitch, "--sheet", sheet, "--dpi", 100, "--end", "10f"))
    ruler = [holes for page in pages[:-1] for _, holes in strips_of(page)]
    found = [holes for holes in ruler if len(holes) > 1]
    assert len(found) == pieces and sum(len(holes) - 1 for holes in found) == 100
    assert near(sum(holes[-1][1] - holes[0][1] for holes in found), length)
    said = "\n".join(page.said() for page in pages[:-1])
    assert f"0-100: {length:.1f} mm" in said and f"100: {length:.1f}" in said


def test_the_wedge_has_21_steps_as_they_are_and_21_through_the_curve(made: Any) -> None:
    page = read(made("--negative", "--gamma", 1.4, "--dpi", 150))[0]
    steps = [(b, grey) for b, grey in page.filled if near(b[2:], (5.4, 9.0))]
    assert len(steps) == 42
    plain, through = [round(255 * g) for _, g in steps[:21]], [round(255 * g) for _, g in steps[21:]]
    assert plain[0] == 0 and plain[-1] == 255 and sorted(set(plain)) == plain
    assert through == [round(255 * ((255 - v) / 255) ** (1 / 1.4)) for v in plain]
    assert near(np.diff([b[0] for b, _ in steps[:21]]), 5.4)


def test_the_first_page_and_every_sheet_say_what_is_certain(made: Any) -> None:
    first, *sheets = read(made("--format", "standard16", "--dpi", 150))
    for text in ("15.95 mm", "7.62 ± 0.013 mm", "10.26 mm", "2.85 mm", "ASA Z22.5", "Never tried", "several secondary sources"):
        assert text in first.said(), text
    letters = {t[2] for t in first.texts if t[2] in ("A", "B", "C")}
    assert letters == {"A", "B", "C"}
    for sheet in sheets:
        assert "Certain (A" in sheet.said() and "Likely (B" in sheet.said() and "Derived (C)" in sheet.said()
        assert "259.080 mm from cut to cut" in sheet.said()


def test_nothing_is_drawn_where_the_printer_cannot_reach(made: Any) -> None:
    for page in read(made("--margin", "8,14", "--between", 3.4, "--dpi", 150)):
        width, height = page.size
        boxes = [b for b, _ in page.filled + page.holes + page.pictures] + page.outlined  # type: ignore[operator]
        for x, y, w, h in boxes:
            assert x >= 8 - NEAR and y >= 14 - NEAR and x + w <= width - 8 + NEAR and y + h <= height - 14 + NEAR
        for line in page.lines:
            assert 8 - NEAR <= min(line[0], line[2]) and max(line[0], line[2]) <= width - 8 + NEAR
        for x, y, text, matrix in page.texts:
            assert 8 - NEAR <= x and 14 <= y <= height - 14 + NEAR, text
            if matrix[0] == 1:
                assert x + text_width(text, 1.0) * 0.7 <= width, text  # hardly any text is smaller


# --- the pictures


def frames_on(pages: list[Drawn]) -> list[int]:
    """The numbers that the pictures show, in the order in which they stand on strips."""
    found = []
    for page in pages:
        for box, pixels in page.pictures:
            image = Image.fromarray(pixels).resize((64, 48), Image.Resampling.BOX)
            found.append((round(box[0] / 5), box[1], number_in(np.asarray(image))))
    return [number for _, _, number in sorted(found)]


def test_every_frame_of_the_range_is_printed_in_order(made: Any) -> None:
    pages = read(made("--start", "10f", "--end", "60f", "--dpi", 400), True)
    assert frames_on(pages) == list(range(10, 60))
    numbers = [t[2] for page in pages for t in page.texts if re.fullmatch(r"\d+/\d+", t[2])]
    assert numbers == [f"{k // 34 + 1}/{k + 10}" for k in range(50)]
    assert {"S1", "S2"} <= {t[2] for t in pages[1].texts}


def test_overlapping_strips_repeat_one_frame_and_repeated_frames_come_twice(made: Any) -> None:
    overlap = read(made("--join", "overlap", "--dpi", 400), True)
    assert frames_on(overlap) == [*range(34), *range(33, 67), *range(66, 72)]
    twice = read(made("--repeat", 2, "--end", "12f", "--dpi", 400), True)
    assert frames_on(twice) == [n for n in range(12) for _ in range(2)]


def test_grey_films_are_grey_colours_stay_and_values_are_kept_without_loss(tmp_path: Path) -> None:
    for name, channels in (("grey", 1), ("colour", 3)):
        folder = tmp_path / name
        folder.mkdir()
        rng = np.random.default_rng(3)
        for i in range(3):
            small = rng.integers(0, 256, (25, 43, 3), np.uint8)
            Image.fromarray(small if channels == 3 else np.repeat(small[:, :, :1], 3, 2)).save(folder / f"{i:03}.png")
        out = tmp_path / f"{name}.pdf"
        dpi = 100  # 12.52 x 7.41 mm are 49 x 29 dots: the pictures are resampled
        assert strip.main([str(folder), "-o", str(out), "--fit", "cover", "--dpi", str(dpi)]) == 0
        shown = [p for _, p in read(out, True)[1].pictures]
        assert [p.ndim for p in shown] == [3 if channels == 3 else 2] * 3
        for i, pixels in enumerate(shown):
            whole = Image.open(folder / f"{i:03}.png").convert("RGB" if channels == 3 else "L")
            tall = 43 * 7.41 / 12.52
            wide = whole.height * 12.52 / 7.41
            cut = ((0, (25 - tall) / 2, 43, (25 + tall) / 2) if tall < 25 else ((43 - wide) / 2, 0, (43 + wide) / 2, 25))
            assert (pixels == np.asarray(whole.resize((49, 29), Image.Resampling.LANCZOS, cut))).all()


def test_a_negative_is_the_positive_turned_round_and_its_bars_are_clear(made: Any) -> None:
    positive, negative = (read(made(*o, "--dpi", 150), True)[1] for o in ((), ("--negative",)))
    for (_, a), (_, b) in zip(positive.pictures, negative.pictures, strict=True):
        assert (a == 255 - b).all()
    assert all(grey == 1 for box, grey in negative.filled if near(box[2:], (12.52, 7.41)))


def test_pictures_on_whole_dots_lie_on_the_printers_grid(made: Any) -> None:
    page = read(made("--snap", "--fit", "cover", "--dpi", 300), True)[1]
    dot = 25.4 / 300
    for (x, y, w, h), pixels in page.pictures:
        for mm in (x, w, h, page.size[1] - y):
            assert abs(mm / dot - round(mm / dot)) * dot < NEAR
        assert pixels.shape == (round(h / dot), round(w / dot))


def test_jpeg_is_near_and_smaller(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    pixels = np.clip(128 + 60 * np.sin(np.arange(200) / 9)[:, None] + rng.normal(0, 6, (200, 300)), 0, 255).astype(np.uint8)
    plain, jpeg = encoded(pixels), encoded(pixels, 90)
    assert "DCTDecode" in jpeg.entries and len(jpeg.data) < 0.6 * len(plain.data)
    path = tmp_path / "x.pdf"
    with path.open("wb") as file:
        pdf = PdfFile(file, "Ä (title) \\")
        page = PdfPage(100, {})
        page.picture(pdf.picture(jpeg), Box(10, 20, 30, 20))
        pdf.page((100, 100), page)
        pdf.close()
    reader = pypdf.PdfReader(str(path), strict=True)
    assert reader.metadata.title == "Ä (title) \\"
    image = np.asarray(reader.pages[0].images[0].image.convert("L"), int)
    assert np.abs(image - pixels).mean() < 4


# --- the file


def test_the_file_is_printed_true_to_scale_and_its_layers_can_be_switched_off(made: Any) -> None:
    reader = pypdf.PdfReader(str(made("--dpi", 150)), strict=True)
    root = reader.trailer["/Root"]
    assert root["/ViewerPreferences"]["/PrintScaling"] == "/None"
    names = [o.get_object()["/Name"] for o in root["/OCProperties"]["/OCGs"]]
    assert names == ["pictures", "perforations", "cut lines", "text and rulers"]
    assert [round(float(v) / MM, 3) for v in reader.pages[0].mediabox[2:]] == [210, 297]


def test_the_same_film_and_options_give_the_same_bytes(film: Path, made: Any, tmp_path: Path) -> None:
    again = tmp_path / "again.pdf"
    assert strip.main([str(film), "-o", str(again), "--dpi", "150"]) == 0
    assert again.read_bytes() == made("--dpi", 150).read_bytes()


def test_memory_does_not_grow_with_the_number_of_pictures(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)

    def peak(pictures: int) -> int:
        tracemalloc.start()
        with (tmp_path / "x.pdf").open("wb") as file:
            pdf = PdfFile(file, "x")
            for _ in range(pictures):
                pdf.picture(encoded(rng.integers(0, 256, (100, 200), np.uint8)))
            pdf.close()
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(2)
    assert peak(120) < peak(20) + 30_000  # each picture has 20 000 bytes


def test_a_viewer_draws_what_was_meant(made: Any) -> None:
    pdfium = pytest.importorskip("pypdfium2")
    document = pdfium.PdfDocument(str(made("--around", "black", "--dpi", 300)))
    dpi = 600
    page = np.asarray(document[1].render(scale=dpi / 72).to_pil().convert("L"))
    document.close()

    def at(x_mm: float, y_mm: float) -> int:
        return int(page[round(y_mm / 25.4 * dpi), round(x_mm / 25.4 * dpi)])

    drawn = read(made("--around", "black", "--dpi", 300))[1]
    (left, top, _, _), holes = strips_of(drawn)[0]
    for x, y, w, h in holes[:5]:
        assert at(x + w / 2, y + h / 2) == 255  # no ink where the perforation goes
        assert at(x - 0.3, y + h / 2) == 0 and at(x + w / 2, y + h + 0.3) == 0
    box, _ = drawn.pictures[0]
    assert at(box[0] + 0.2, box[1] + box[3] * 0.8) == pytest.approx(40, abs=6)  # frame 0's grey
    assert at(left + 0.3, top + 1.0) == 0 and at(left - 0.6, top + 1.0) == 255


def test_lines_of_text_are_broken_where_the_room_ends() -> None:
    text = "Upright pictures that read right have the perforations on their left"
    lines = wrapped(text, 2.2, 30)
    assert " ".join(lines) == text and all(text_width(line, 2.2) <= 30 for line in lines) and len(lines) > 1
    assert text_width("0123456789", 1.0) == pytest.approx(5.56)
