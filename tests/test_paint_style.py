"""Paintings as people have them: with alpha, 16 bits, grey, tiny, framed, turned; and laid in the size that is asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("cv2")

from player.show.problem import ShowError
from tests.painted import strokes
from tools import paint_style
from tools.paint_style import (
    GUTTER_PX,
    Painting,
    frame_around,
    in_positions,
    painting_of,
    read_painting,
    scaled,
    turned_angles,
)


def refusal(path: Path) -> str:
    with pytest.raises(ShowError) as caught:
        read_painting(path)
    assert len(caught.value.problems) == 1 and "\n" not in str(caught.value)
    return str(caught.value)


def test_a_plain_painting_comes_as_it_is(tmp_path: Path) -> None:
    picture = strokes(160, 140)
    Image.fromarray(picture).save(tmp_path / "p.png")
    read = read_painting(tmp_path / "p.png")
    assert np.array_equal(read.picture, picture) and read.usable.all() and read.notes == () and len(read.sha256) == 64


def test_transparent_parts_are_not_used_and_show_no_hidden_colour(tmp_path: Path) -> None:
    picture, alpha = strokes(160, 140), np.full((140, 160), 255, np.uint8)
    alpha[:50] = 0
    picture[:50] = (255, 0, 255)  # what is under the transparency
    Image.fromarray(np.dstack([picture, alpha])).save(tmp_path / "p.png")
    read = read_painting(tmp_path / "p.png")
    assert not read.usable[:50].any() and read.usable[50:].all()
    assert not (read.picture == (255, 0, 255)).all(axis=2).any()
    assert "transparent" in read.notes[0]


def test_sixteen_bits_of_grey_keep_their_tones(tmp_path: Path) -> None:
    ramp = np.tile(np.linspace(0, 65535, 160), (140, 1)).astype(np.uint16)
    Image.fromarray(ramp).save(tmp_path / "p.png")
    read = read_painting(tmp_path / "p.png")
    assert np.abs(read.picture[..., 0].astype(int) - np.rint(ramp / 257)).max() <= 1
    assert np.array_equal(read.picture[..., 0], read.picture[..., 2])
    assert "16 bits" in read.notes[0]


@pytest.mark.parametrize("mode", ["L", "LA", "P", "1", "CMYK", "RGBX"])
def test_every_kind_of_picture_becomes_three_channels(mode: str, tmp_path: Path) -> None:
    picture = Image.fromarray(strokes(160, 140)).convert(mode)
    picture.save(tmp_path / "p.tif")
    read = read_painting(tmp_path / "p.tif")
    assert read.picture.shape == (140, 160, 3) and read.picture.dtype == np.uint8


def test_a_photo_of_a_painting_stands_as_the_camera_was_held(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned
    Image.fromarray(strokes(160, 140)).save(tmp_path / "p.png", exif=exif)
    assert read_painting(tmp_path / "p.png").picture.shape == (160, 140, 3)


def test_a_frame_around_the_painting_is_left_out_and_a_sky_is_not(tmp_path: Path) -> None:
    picture = strokes(160, 140)
    framed = np.full((170, 200, 3), 250, np.uint8)
    framed[10:150, 20:180] = picture
    Image.fromarray(framed).save(tmp_path / "p.png")
    read = read_painting(tmp_path / "p.png")
    assert np.array_equal(read.picture, picture) and "frame" in read.notes[0]
    sky = picture.copy()
    sky[:30] = (120, 160, 220)
    assert frame_around(sky) == (0, 0, 0, 0)


def test_a_small_painting_is_said_and_a_tiny_one_refused(tmp_path: Path) -> None:
    Image.fromarray(strokes(60, 50)).save(tmp_path / "small.png")
    assert "only 60x50" in read_painting(tmp_path / "small.png").notes[0]
    Image.fromarray(strokes(40, 20)).save(tmp_path / "tiny.png")
    assert "allowed: at least 32x32" in refusal(tmp_path / "tiny.png")


def test_what_cannot_be_painted_with_is_refused_in_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (64, 64), (90, 20, 20)).save(tmp_path / "flat.png")
    assert "one colour" in refusal(tmp_path / "flat.png")
    Image.new("RGBA", (64, 64), (90, 20, 20, 0)).save(tmp_path / "empty.png")
    assert "transparent everywhere" in refusal(tmp_path / "empty.png")
    Image.fromarray(np.random.default_rng(0).random((64, 64), np.float32)).save(tmp_path / "float.tif")
    assert "floating-point" in refusal(tmp_path / "float.tif")
    (tmp_path / "words.png").write_text("a painting")
    assert "cannot be read as a picture" in refusal(tmp_path / "words.png")
    assert "No such file" in refusal(tmp_path / "none.png")
    assert "directory" in refusal(tmp_path)
    monkeypatch.setattr(paint_style, "MOST_PX", 100)
    Image.fromarray(strokes()).save(tmp_path / "huge.png")
    assert "allowed: at most" in refusal(tmp_path / "huge.png")
    whole = (tmp_path / "huge.png").read_bytes()
    monkeypatch.undo()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    assert "cannot be read" in refusal(tmp_path / "cut.png")


def test_a_large_painting_is_laid_down_to_the_frames_area_and_a_small_one_left() -> None:
    large = painting_of(strokes(200, 160))
    assert scaled(large, 100 * 80, 1).picture.shape == (80, 100, 3)
    assert scaled(large, 100 * 80, 0.5).picture.shape == (40, 50, 3)
    assert scaled(large, 1000 * 800, 1) is large and scaled(large, 200 * 150, 1) is large
    assert scaled(large, 1000 * 800, 2).picture.shape == (320, 400, 3)
    assert min(scaled(large, 100 * 80, 0.1).picture.shape[:2]) >= paint_style.LEAST_PX


def test_no_unused_pixel_is_used_after_scaling() -> None:
    usable = np.ones((160, 200), bool)
    usable[:40] = False
    made = scaled(Painting(strokes(200, 160), usable), 100 * 80, 1)
    assert not made.usable[:20].any() and made.usable[21:].all()


@pytest.mark.parametrize(("turns", "shape"), [(1, (64, 96)), (2, (96, 96 + GUTTER_PX + 64)),
                                             (4, (64 + GUTTER_PX + 96, 96 + GUTTER_PX + 96))])  # fmt: skip
def test_a_painting_lies_side_by_side_with_itself_and_nothing_between_is_used(turns: int, shape: tuple[int, int]) -> None:
    painting = painting_of(strokes(96, 64))
    laid = in_positions(painting, turns)
    assert laid.picture.shape[:2] == laid.usable.shape == shape
    assert laid.usable.sum() == turns * 96 * 64
    assert np.array_equal(laid.picture[:64, :96], painting.picture)
    counts = [np.bincount(laid.picture[laid.usable][:, c], minlength=256) for c in range(3)]
    once = [np.bincount(painting.picture[..., c].ravel(), minlength=256) for c in range(3)]
    assert all(np.array_equal(a, turns * b) for a, b in zip(counts, once, strict=True))


def test_directions_turn_with_the_painting() -> None:
    angle = np.deg2rad(30)
    double = np.tile(np.array([np.cos(2 * angle), np.sin(2 * angle)], np.float32), (3, 5, 1))
    plain, mirrored, side, both = turned_angles(double, 4)
    told = [np.rad2deg(np.arctan2(p[0, 0, 1], p[0, 0, 0]) / 2) % 180 for p in (plain, mirrored, side, both)]
    assert np.allclose(told, [30, 150, 120, 60], atol=1e-3)
    assert plain.shape == mirrored.shape == (3, 5, 2) and side.shape == both.shape == (5, 3, 2)
