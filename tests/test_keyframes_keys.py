"""Keys: which frame each belongs to, and their pixels as the film has them, whatever size or transparency they came in."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("cv2")

from player.show.problem import ShowError
from tests.painted_clip import HEIGHT, WIDTH, frame, painted, write_frames
from tools.cuts_pictures import Reduced
from tools.film_dataset_source import Footage, footage_at
from tools.keyframes_keys import (
    Named,
    by_name,
    is_unpainted,
    laid,
    numbers_in,
    pictures_in,
    read_key,
    read_mask,
    resized,
    size_notes,
    twice,
)
from tools.keyframes_match import matches


def film(frames: int) -> Footage:
    return Footage(Path("film.mp4"), "film", Fraction(24), frames, (WIDTH, HEIGHT))


@pytest.mark.parametrize(("stem", "number"), [
    ("000300", 300), ("300", 300), ("key_0300_v2", 300), ("s03 frame 0012", 12), ("12f", 12), ("painted-000007 copy", 7),
    ("2024-05-12_frame24", 24), ("2024-05-12 24", 24), ("f24_1080p", 24), ("IMG2024-0083", 83), ("24 (2)", 24),
    ("24_v1080", 24),
])  # fmt: skip
def test_the_number_in_a_name_is_the_likeliest(stem: str, number: int) -> None:
    assert numbers_in(stem)[0] == number


def test_keys_of_a_film_count_from_0_and_others_are_left_to_be_looked_for() -> None:
    paths = [Path("000300.png"), Path("IMG_20261120_17.png"), Path("face.png"), Path("999999.png")]
    named, others = by_name(paths, film(400))
    assert [(n.path.name, n.frame) for n in named] == [("000300.png", 300), ("IMG_20261120_17.png", 17)]
    assert [p.name for p in others] == ["face.png", "999999.png"]


def test_the_number_that_differs_between_keys_is_the_frames() -> None:
    named, _ = by_name([Path("scan2024_24.png"), Path("scan2024_48.png"), Path("77.png")], film(4000))
    assert sorted(n.frame for n in named) == [24, 48, 77]
    named, _ = by_name([Path("300_v1.png"), Path("300_v2.png"), Path("310 (1).png"), Path("310 (2).png")], film(400))
    assert sorted(n.frame for n in named) == [300, 300, 310, 310], "versions of one frame are no two frames"


def test_keys_of_a_folder_go_by_its_own_names_and_numbers(tmp_path: Path) -> None:
    write_frames(tmp_path / "frames", [frame(n) for n in range(4)], "frame_{:03d}.png")
    for n in range(4):  # counted from 101
        (tmp_path / "frames" / f"frame_{n:03d}.png").rename(tmp_path / "frames" / f"shot_{n + 101:03d}.png")
    footage = footage_at(tmp_path / "frames")
    named, others = by_name([Path("shot_103.tif"), Path("truth_102.png"), Path("000002.png")], footage)
    assert [(n.frame, n.how) for n in named] == [(2, "name"), (1, "number")] and others == [Path("000002.png")]


def test_two_keys_of_one_frame_are_a_problem_that_names_both() -> None:
    found = [Named(Path("k/300.png"), 300), Named(Path("k/key_300.png"), 300), Named(Path("k/1.png"), 1)]
    (problem,) = twice(found, "--keys")
    assert "300.png, key_300.png" in str(problem) and "frame 300" in str(problem)


def test_a_painting_is_found_by_what_it_shows() -> None:
    frames = [frame(n) for n in range(16)] + [frame(n, 3) for n in range(12)]
    small = Reduced(np.stack([f[..., 0] for f in frames]), np.full((len(frames), 2, 24, 32), 128, np.uint8), 0)
    rng = np.random.default_rng(0)
    asked = []
    for n in (4, 20):
        strokes = painted(frames[n]).astype(float) + rng.normal(0, 18, (HEIGHT, WIDTH, 3))
        asked.append(resized(np.clip(strokes, 0, 255).astype(np.uint8), (3 * WIDTH, 3 * HEIGHT)))
    found = matches(asked, small)
    assert [m.frame for m in found] == [4, 20] and all(m.sure for m in found)
    assert not matches([rng.integers(0, 256, (90, 120, 3), dtype=np.uint8)], small)[0].sure


def test_a_folder_that_is_none_holds_none_or_holds_something_else_costs_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty").mkdir()
    for name, text in (("nothing", "does not exist"), ("file", "is a file"), ("empty", "holds no pictures")):
        with pytest.raises(ShowError, match=text):
            pictures_in(tmp_path / name, "--keys")


def test_a_key_of_another_size_is_resized_and_said_once(tmp_path: Path) -> None:
    for n, size in ((0, (2 * WIDTH, 2 * HEIGHT)), (1, (WIDTH, HEIGHT)), (2, (2 * WIDTH, 2 * HEIGHT)), (3, (WIDTH, WIDTH))):
        Image.fromarray(painted(frame(n))).resize(size).save(tmp_path / f"{n}.png")
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    found = [Named(tmp_path / f"{n}.png", n) for n in range(4)]
    said = size_notes(found, (WIDTH, HEIGHT), "keys")
    assert len(said) == 2 and "3 of 4 keys" in said[0] and "128x96" in said[0] and "3.png" in said[1] and "stretched" in said[1]
    key, alpha = read_key(tmp_path / "0.png", (WIDTH, HEIGHT), "film", lambda: frame(0))
    assert key.shape == (HEIGHT, WIDTH, 3) and alpha is None
    assert np.abs(key.astype(int) - painted(frame(0))).mean() < 6
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


@pytest.mark.parametrize("alpha", ["film", "mask", "white", "black"])
def test_transparent_parts_are_laid_over_what_is_asked_for(alpha: str) -> None:
    rgba = np.dstack([painted(frame(0)), np.full((HEIGHT, WIDTH), 255, np.uint8)])
    rgba[:, 32:, 3] = 0
    key, mask = laid(rgba, alpha, lambda: frame(0))
    under = frame(0) if alpha in ("film", "mask") else np.full((HEIGHT, WIDTH, 3), 255 if alpha == "white" else 0)
    assert np.array_equal(key[:, :32], painted(frame(0))[:, :32]) and np.array_equal(key[:, 32:], under[:, 32:])
    assert (mask is not None) == (alpha == "mask") and (mask is None or np.array_equal(mask, rgba[..., 3]))


def test_an_alpha_that_hides_nothing_is_none() -> None:
    rgba = np.dstack([painted(frame(0)), np.full((HEIGHT, WIDTH), 255, np.uint8)])
    key, mask = laid(rgba, "mask", lambda: pytest.fail("the film is not needed"))
    assert mask is None and np.array_equal(key, painted(frame(0)))


def test_colours_of_hidden_pixels_do_not_bleed_when_a_key_is_resized() -> None:
    rgba = np.zeros((40, 40, 4), np.uint8)
    rgba[:, :20] = (255, 0, 0, 255)
    rgba[:, 20:] = (0, 255, 0, 0)
    small = resized(rgba, (10, 10))
    seen = small[small[..., 3] > 30]
    assert seen[:, 1].max() < 20


def test_keys_of_16_bits_palettes_and_turned_photographs_are_read(tmp_path: Path) -> None:
    grey = (frame(0)[..., 0].astype(np.uint16) * 257)
    Image.fromarray(grey).save(tmp_path / "deep.png")
    assert np.array_equal(read_key(tmp_path / "deep.png", (WIDTH, HEIGHT), "film", lambda: frame(0))[0], frame(0))
    Image.fromarray(frame(0)).quantize(64).save(tmp_path / "palette.png")
    key, _ = read_key(tmp_path / "palette.png", (WIDTH, HEIGHT), "film", lambda: frame(0))
    assert np.abs(key.astype(int) - frame(0)).mean() < 8
    turned = Image.fromarray(np.rot90(frame(0)).copy())
    exif = turned.getexif()
    exif[0x0112] = 6  # to be turned by a quarter to the right
    turned.save(tmp_path / "photo.png", exif=exif)
    assert np.array_equal(read_key(tmp_path / "photo.png", (WIDTH, HEIGHT), "film", lambda: frame(0))[0], frame(0))


def test_a_broken_key_is_named(tmp_path: Path) -> None:
    (tmp_path / "3.png").write_bytes(b"\x89PNG\r\n\x1a\nno picture")
    with pytest.raises(ShowError, match=r"3\.png.*cannot be read"):
        read_key(tmp_path / "3.png", (WIDTH, HEIGHT), "film", lambda: frame(0))


def test_masks_are_resized_without_new_levels(tmp_path: Path) -> None:
    mask = np.zeros((HEIGHT * 2, WIDTH * 2), np.uint8)
    mask[20:60, 30:90] = 255
    Image.fromarray(mask).save(tmp_path / "0.png")
    made = read_mask(tmp_path / "0.png", (WIDTH, HEIGHT))
    assert made.shape == (HEIGHT, WIDTH) and set(np.unique(made)) == {0, 255}


def test_a_key_that_nobody_has_painted_on_is_known() -> None:
    assert is_unpainted(frame(3), frame(3)) and not is_unpainted(painted(frame(3)), frame(3))
