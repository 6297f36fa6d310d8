"""Strips on sheets as numbers, and densities: the film's measures, how many strips, where a picture lies in its frame."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from player.show.problem import ShowError
from tools.strip_density import STEPS, WEDGE_VALUES, Densities, falling, read_densities, tone_of
from tools.strip_measures import FILM_WIDTH, PICTURES, PITCHES, measures_of, track_span_mm
from tools.strip_options import Wanted, arguments, wanted_of
from tools.strip_sheet import MARK_MM, Box, Placed, foot_mm, layout_of, placed, snapped


def wanted(*options: object) -> Wanted:
    return wanted_of(arguments().parse_args(["film.mp4", "-o", "strip.pdf", *map(str, options)]))


# --- measures


def test_the_pictures_lie_on_the_film_beside_perforations_and_track() -> None:
    for picture in PICTURES.values():
        assert 2.74 < picture.left.mm and picture.right_mm < FILM_WIDTH.mm
        assert picture.height.mm < PITCHES["short"].mm
    track = track_span_mm()
    assert track == pytest.approx((13.465, 15.495))
    assert PICTURES["standard16"].right_mm == pytest.approx(13.11) and PICTURES["standard16"].right_mm < track[0]
    assert PICTURES["super16"].right_mm == pytest.approx(15.37) and PICTURES["super16"].right_mm > track[0]
    camera, projector = PICTURES["standard16"], PICTURES["projector16"]
    assert camera.left.mm + camera.width.mm / 2 == pytest.approx(projector.left.mm + projector.width.mm / 2)


@pytest.mark.parametrize("name", list(PICTURES))
def test_every_measure_says_where_it_was_read_and_how_certain_it_is(name: str) -> None:
    told = measures_of(PICTURES[name], PITCHES["long"])  # type: ignore[index]
    assert {m.certainty for m in told} == {"A", "B", "C"}
    assert all(m.source and m.name for m in told)
    assert any("track" in m.name for m in told) == (name != "super16")


# --- how many


def test_the_film_of_13_minutes_is_143_4_metres() -> None:
    layout = layout_of(wanted(), 18816)
    assert layout.length_m == pytest.approx(143.378, abs=1e-3)
    assert layout.feet == (470, 16)
    assert layout_of(wanted("--pitch", "short"), 18816).length_m == pytest.approx(143.096, abs=1e-3)


@pytest.mark.parametrize("join", ["butt", "overlap", "gap"])
@pytest.mark.parametrize("frames", [1, 2, 33, 34, 35, 68, 69, 700])
def test_every_frame_is_on_a_strip_and_strips_follow_one_another(join: str, frames: int) -> None:
    layout = layout_of(wanted("--join", join), frames)
    strips = [s for sheet in range(1, layout.sheets + 1) for s in layout.on_sheet(sheet)]
    assert [s.number for s in strips] == list(range(1, layout.strips + 1))
    assert strips[0].first == 0 and strips[-1].places[-1] == frames - 1
    shared = 1 if join == "overlap" else 0
    for a, b in zip(strips, strips[1:], strict=False):
        assert b.first == a.places[-1] + 1 - shared
        assert b.film.frames > shared
    assert sum(s.film.frames for s in strips) == layout.pictures


@pytest.mark.parametrize("sheet", ["A4", "A3", "Letter", "130x215", "60x1000", "1000x62"])
@pytest.mark.parametrize("shrink", ["0", "1.5,-0.5"])
def test_strips_stay_within_what_the_printer_reaches(sheet: str, shrink: str) -> None:
    w = wanted("--sheet", sheet, "--shrink", shrink, "--margin", "6,9")
    layout = layout_of(w, 5000)
    width, height = w.sheet_mm
    for strip in layout.on_sheet(1):
        outline = strip.film.outline()
        assert 6 <= outline.x and outline.right + MARK_MM <= width - 6 + 1e-9
        assert 9 <= outline.y and outline.bottom <= height - 9 - foot_mm(w) + 1e-9
    one_more = replace(layout, per_strip=layout.per_strip + 1).strip(1).film.outline()
    assert one_more.bottom > height - 9 - foot_mm(w)


def test_a_sheet_without_room_for_two_frames_is_refused() -> None:
    with pytest.raises(ShowError, match="no room for a strip of two frames"):
        layout_of(wanted("--sheet", "60x60", "--margin", 20), 10)


# --- a picture in its frame

APERTURE, APERTURE_MM = Box(10.0, 20.0, 12.52, 7.41), (12.52, 7.41)


def test_contain_shows_all_and_cover_fills() -> None:
    whole = placed((4, 3), APERTURE, APERTURE_MM, "contain")
    assert whole.part == (0, 0, 1, 1) and whole.box.width / whole.box.height == pytest.approx(4 / 3)
    assert whole.box.height == pytest.approx(7.41) and whole.box.x - 10 == pytest.approx(22.52 - whole.box.right)
    full = placed((4, 3), APERTURE, APERTURE_MM, "cover")
    x0, y0, x1, y1 = full.part
    assert full.box == APERTURE and (x0, x1) == (0, 1) and y0 == pytest.approx(1 - y1)
    assert 4 / (3 * (y1 - y0)) == pytest.approx(12.52 / 7.41)
    wide = placed((2.35, 1), APERTURE, APERTURE_MM, "contain")
    assert wide.box.width == pytest.approx(12.52) and wide.box.width / wide.box.height == pytest.approx(2.35)
    cropped = placed((2.35, 1), APERTURE, APERTURE_MM, "cover")
    assert 2.35 * (cropped.part[2] - cropped.part[0]) == pytest.approx(12.52 / 7.41)


@pytest.mark.parametrize("dpi", [300, 600, 720, 1200])
def test_a_picture_laid_on_whole_dots_shows_the_same_place_on_the_film(dpi: int) -> None:
    true = Placed((0.1, 0.0, 0.9, 1.0), Box(31.237, 44.111, 9.88, 7.41))
    on_dots = snapped(true, dpi, 297.0)
    dot = 25.4 / dpi
    for edge in (on_dots.box.x, on_dots.box.right, 297 - on_dots.box.y, 297 - on_dots.box.bottom):
        assert edge / dot == pytest.approx(round(edge / dot), abs=1e-6)
    assert true.box.x <= on_dots.box.x + 1e-6 and on_dots.box.right <= true.box.right + 1e-6
    assert on_dots.box.width > true.box.width - 2 * dot and on_dots.box.height > true.box.height - 2 * dot
    for mm in (33.0, 38.5):  # the same part of the picture lies at the same place of the sheet
        shown = [p.part[0] + (mm - p.box.x) / p.box.width * (p.part[2] - p.part[0]) for p in (true, on_dots)]
        assert shown[0] == pytest.approx(shown[1], abs=1e-9)
    for mm in (45.0, 50.0):
        shown = [p.part[1] + (mm - p.box.y) / p.box.height * (p.part[3] - p.part[1]) for p in (true, on_dots)]
        assert shown[0] == pytest.approx(shown[1], abs=1e-9)


# --- densities


def test_without_a_curve_values_are_sent_as_they_are() -> None:
    assert (tone_of(False).table == np.arange(256)).all()
    assert (tone_of(True).table == np.arange(256)[::-1]).all()
    lighter = tone_of(False, 1.5).table
    assert lighter[0] == 0 and lighter[255] == 255 and (lighter[1:255] >= np.arange(1, 255)).all() and lighter[128] > 150


def printer(values: np.ndarray) -> np.ndarray:
    """Densities of a printer that closes its shadows."""
    return 0.06 + 2.4 * (1 - values / 255) ** 0.6


@pytest.mark.parametrize("negative", [False, True])
def test_through_the_measured_curve_light_is_that_of_the_screen(negative: bool) -> None:
    values = np.arange(0, 256, 3, dtype=float)
    tone = tone_of(negative, 1.0, Densities(values, printer(values)))
    shown = 10 ** -printer(tone.table.astype(float))  # [256], transmittance of the print
    v = np.arange(256) / 255
    light = np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)
    light = light[::-1] if negative else light
    least, most = 10 ** -printer(np.array(0.0)), 10 ** -printer(np.array(255.0))
    # half a printed value of rounding moves the lightest tones by the slope there
    slope = np.abs(np.gradient(10 ** -printer(np.arange(256.0)))).max()
    assert np.abs(shown - (least + (most - least) * light)).max() < 0.75 * slope
    assert tone.wanted_density(0) == pytest.approx(0.06 if negative else 2.46)


def test_a_reading_that_rises_is_evened_out() -> None:
    assert falling([3, 2, 2.2, 1]).tolist() == pytest.approx([3, 2.1, 2.1, 1])
    assert falling([1, 2, 3]).tolist() == pytest.approx([2, 2, 2])
    tone = tone_of(False, 1.0, Densities(np.array([0.0, 10, 20, 255]), np.array([2.0, 2, 2, 0])))
    assert tone.table[0] == 10  # ink that is full already is not asked for again


def test_densities_are_read_by_step_or_value_with_commas_or_semicolons(tmp_path: Path) -> None:
    steps, values = tmp_path / "steps.csv", tmp_path / "values.csv"
    densities = printer(np.array(WEDGE_VALUES, float))
    steps.write_text("# my printer\nstep,density\n" + "".join(f"{k + 1},{d:.3f}\n" for k, d in enumerate(densities)))
    rows = "".join(f"{v};{d:.3f}\n".replace(".", ",") for v, d in zip(WEDGE_VALUES, densities, strict=True))
    values.write_text("value;density\n" + rows, encoding="utf-8-sig")
    a, b = read_densities(steps), read_densities(values)
    assert (a.values == b.values).all() and (a.densities == b.densities).all()
    assert len(a.values) == STEPS and a.range == pytest.approx((0.06, 2.46))


def test_every_wrong_line_of_the_densities_is_said_at_once(tmp_path: Path) -> None:
    file = tmp_path / "wedge.csv"
    file.write_text("step,density\n1,2.4\n22,1.0\n3,dark\n4,-1\n4,\n1,2.3\n21,0.1\n")
    with pytest.raises(ShowError) as caught:
        read_densities(file)
    assert [p.where.rpartition(" ")[2] for p in caught.value.problems] == ["3", "4", "5", "6", "7"]


@pytest.mark.parametrize(("text", "said"), [
    ("", "is empty"), ("tone,ink\n1,2\n", "says 'tone, ink'"), ("step,density\n1,2\n21,0.1\n", "has 2 steps"),
    ("step,density\n2,2\n11,1\n21,0\n", "the darkest"), ("step,density\n1,0.1\n11,1\n21,2\n", "value 0 is the most ink"),
])  # fmt: skip
def test_a_table_that_is_no_wedge_says_why(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "wedge.csv"
    file.write_text(text)
    with pytest.raises(ShowError, match=said):
        read_densities(file)
