"""Training pictures from a film: which frames, where they lie, what is written beside them, and that nothing is done twice."""

from __future__ import annotations

import csv
import json
import zipfile
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from player.show.problem import ShowError
from tests.film_footage import scene, staged, write_film
from tests.sampled_film import cuts_for, dataset, files_of
from tools.film_dataset import announced, frames_at, plan_of
from tools.film_dataset_png import encoded, png
from tools.film_dataset_source import footage_at
from tools.film_dataset_square import fitted, placed, square_of, stored_rect, whole
from tools.film_options import dataset_arguments
from tools.train_source import film_geometry, film_pictures, label_table, picture_names, survey


def picture(data: bytes | Path) -> np.ndarray:
    with Image.open(BytesIO(data) if isinstance(data, bytes) else data) as opened:
        return np.asarray(opened)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_film(tmp_path_factory.mktemp("film") / "film.mp4")


# --- which frames


def test_thirteen_minutes_and_four_seconds_are_9408_pictures() -> None:
    for rate in (Fraction(24), Fraction(25), Fraction(30000, 1001)):
        frames = round(784 * rate)
        chosen = frames_at(0, frames, rate, Fraction(12))
        assert len(chosen) == 9408 and chosen[0] == 0 and chosen[-1] < frames
    assert frames_at(0, 18816, Fraction(24), Fraction(12)) == list(range(0, 18816, 2))


@given(first=st.integers(0, 500), length=st.integers(1, 2000), fps=st.fractions(Fraction(1, 10), 24, max_denominator=1001),
       rate=st.sampled_from([Fraction(24), Fraction(25), Fraction(24000, 1001), Fraction(30000, 1001)]))  # fmt: skip
@settings(max_examples=200, deadline=None)
def test_frames_are_taken_at_an_even_rate_and_never_twice(first: int, length: int, fps: Fraction, rate: Fraction) -> None:
    fps = min(fps, rate)
    chosen = frames_at(first, first + length, rate, fps)
    assert first <= chosen[0] and chosen[-1] < first + length and all(a < b for a, b in zip(chosen, chosen[1:], strict=False))
    for k, frame in enumerate(chosen):
        assert (frame - first) / rate <= k / fps < (frame - first + 1) / rate  # the frame that is seen then
    assert abs(len(chosen) - length * fps / rate) <= Fraction(1, 2) or len(chosen) == 1


def test_the_count_is_said_before_anything_is_written(film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert dataset(film, "-o", tmp_path / "out", "--dry-run") == 0
    said = capsys.readouterr().out
    assert said.startswith("24 pictures: film.mp4, 48 frames at 24 a second (00:00:02:00), 12 a second, frames 0 to 46\n")
    assert "256x256 PNG, grey" in said and list(tmp_path.iterdir()) == []


def test_a_range_of_the_film_and_every_frame_of_it(film: Path, tmp_path: Path) -> None:
    assert dataset(film, "-o", tmp_path / "out", "--fps", "all", "--start", "00:00:00:10", "--end", "0.625s", "--size", 32) == 0
    rows = list(csv.DictReader((tmp_path / "out" / "frames.csv").open()))
    assert [int(r["frame"]) for r in rows] == list(range(10, 15))
    assert list(rows[2].values()) == ["00000/img00000002.png", "12", "0.500000", "", "", ""]


# --- what is written


def test_the_layout_is_that_of_the_stylegan_tools(film: Path, tmp_path: Path) -> None:
    assert dataset(film, "-o", tmp_path / "out", "--cuts", cuts_for(tmp_path), "--labels", "shots", "--size", 48) == 0
    told = json.loads((tmp_path / "out" / "dataset.json").read_text())
    assert told["labels"][:2] == [["00000/img00000000.png", 0], ["00000/img00000001.png", 0]]
    assert [label for _, label in told["labels"]] == [0] * 10 + [1] * 5 + [2] * 9
    assert told["cineml"]["classes"] == ["room", "street", "room again"]
    names = picture_names(tmp_path / "out")
    assert names == [f"00000/img{n:08d}.png" for n in range(24)]
    assert label_table(tmp_path / "out", names).shape == (24, 3) and survey(tmp_path / "out").pictures == 24
    rows = list(csv.DictReader((tmp_path / "out" / "frames.csv").open()))
    assert (rows[12]["frame"], rows[12]["shot"], rows[12]["label"], rows[12]["group"]) == ("24", "2", "street", "")


def test_without_labels_the_shots_are_in_the_table_only(film: Path, tmp_path: Path) -> None:
    assert dataset(film, "-o", tmp_path / "out", "--cuts", cuts_for(tmp_path), "--drop-mixed", "--size", 16) == 0
    assert json.loads((tmp_path / "out" / "dataset.json").read_text())["labels"] is None
    rows = list(csv.DictReader((tmp_path / "out" / "frames.csv").open()))
    assert [int(r["frame"]) for r in rows] == [n for n in range(0, 48, 2) if n not in (20, 22, 46)]
    assert {r["shot"] for r in rows} == {"1", "2", "3"}


def test_groups_share_a_class(film: Path, tmp_path: Path) -> None:
    assert dataset(film, "-o", tmp_path / "out", "--cuts", cuts_for(tmp_path), "--labels", "groups", "--size", 16) == 0
    told = json.loads((tmp_path / "out" / "dataset.json").read_text())
    assert sorted({label for _, label in told["labels"]}) == [0, 1] and told["cineml"]["classes"] == ["a", "street"]


def test_a_zip_holds_the_same_pictures(film: Path, tmp_path: Path) -> None:
    assert dataset(film, "-o", tmp_path / "out", "--size", 32) == 0
    assert dataset(film, "-o", tmp_path / "set.zip", "--size", 32) == 0
    with zipfile.ZipFile(tmp_path / "set.zip") as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == files_of(tmp_path / "out")
    assert (tmp_path / "set.csv").read_bytes() == (tmp_path / "out" / "frames.csv").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "set.csv", "set.zip"]


@pytest.mark.parametrize("suffix", ["", ".zip"])
def test_the_same_film_and_options_give_the_same_bytes(film: Path, tmp_path: Path, suffix: str) -> None:
    for name, threads in (("a", 1), ("b", 3)):
        assert dataset(film, "-o", tmp_path / (name + suffix), "--size", 40, "--drop-duplicates", 1, "--threads", threads) == 0
    if suffix:
        assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    else:
        assert files_of(tmp_path / "a") == files_of(tmp_path / "b")


@pytest.mark.parametrize(("form", "suffix", "error"), [("png", "png", 0), ("jpeg", "jpg", 12), ("webp", "webp", 0)])
def test_formats(film: Path, tmp_path: Path, form: str, suffix: str, error: int) -> None:
    quality = 100 if form == "webp" else 90
    assert dataset(film, "-o", tmp_path / "out", "--size", 64, "--format", form, "--quality", quality) == 0
    made = np.asarray(Image.open(tmp_path / "out" / "00000" / f"img00000003.{suffix}").convert("L"))
    square = square_of(footage_at(film), (0, 0, 96, 64), "pad", 64)
    ((_, frame),) = footage_at(film).read([6])
    expected = placed(fitted(frame, square, 0, True), square)
    assert np.abs(made.astype(int) - expected).max() <= error


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3), (1, 1), (64, 33, 3)])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_png_is_lossless(shape: tuple[int, ...], kind: type) -> None:
    made = np.random.default_rng(0).integers(0, np.iinfo(kind).max + 1, shape, dtype=kind)
    if kind == np.uint16 and len(shape) == 3:
        import av

        with av.open(BytesIO(png(made)), "r", format="png_pipe") as container:
            back = next(container.decode(video=0)).to_ndarray(format="rgb48le")
    else:
        back = picture(encoded(made)).astype(kind)
    assert np.array_equal(back, made)


# --- where the film lies in the square


def test_all_of_a_wide_film_is_padded_with_black(film: Path, tmp_path: Path) -> None:
    assert dataset(film, "-o", tmp_path / "out", "--size", 96) == 0
    made = picture(tmp_path / "out" / "00000" / "img00000000.png")
    assert made.shape == (96, 96) and not made[:16].any() and not made[80:].any() and made[17:79].min() > 10
    assert film_geometry(tmp_path / "out") == {"film": [96, 64], "crop": [0, 0, 96, 64], "inner": [0, 16, 96, 64]}


def test_squash_and_crop(film: Path, tmp_path: Path) -> None:
    for fit, crop in (("squash", [0, 0, 96, 64]), ("crop", [16, 0, 64, 64])):
        assert dataset(film, "-o", tmp_path / fit, "--size", 64, "--fit", fit) == 0
        assert film_geometry(tmp_path / fit) == {"film": [96, 64], "crop": crop, "inner": [0, 0, 64, 64]}
    ((_, frame),) = footage_at(film).read([0])
    assert np.array_equal(picture(tmp_path / "crop" / "00000" / "img00000000.png"), whole(frame, 0, True)[:, 16:80])
    assert picture(tmp_path / "squash" / "00000" / "img00000000.png").min() > 10


def test_pictures_are_reduced_as_training_reduces_them(film: Path) -> None:
    torch = pytest.importorskip("torch")
    from tools.train_dataset import squared

    torch.set_num_threads(1)
    footage = footage_at(film)
    square = square_of(footage, (0, 0, 96, 64), "pad", 48)
    for _, frame in footage.read([0, 13]):
        own, training = fitted(frame, square, 0, True), squared(whole(frame, 0, True), square.geometry(), 48)[0, 8:40]
        assert np.abs(own.astype(int) - training).max() <= 1


def test_bars_are_removed_before_padding(tmp_path: Path) -> None:
    inside = scene(96, 48)

    def letterboxed(n: int) -> np.ndarray:
        return np.pad(inside(n), ((12, 12), (0, 0), (0, 0)))

    path = write_film(tmp_path / "film.mp4", picture=letterboxed, options={"crf": "1"})
    assert dataset(path, "-o", tmp_path / "out", "--size", 96) == 0
    told = film_geometry(tmp_path / "out")
    assert told == {"film": [96, 72], "crop": [0, 12, 96, 48], "inner": [0, 24, 96, 48]}
    assert dataset(path, "-o", tmp_path / "kept", "--size", 96, "--bars", "keep") == 0
    assert film_geometry(tmp_path / "kept") == {"film": [96, 72], "crop": [0, 0, 96, 72], "inner": [0, 12, 96, 72]}
    assert dataset(path, "-o", tmp_path / "own", "--size", 96, "--bars", "1,13,95,46") == 0
    assert film_geometry(tmp_path / "own")["crop"] == [1, 13, 95, 46]  # type: ignore[index]
    a, b = (picture(tmp_path / n / "00000" / "img00000004.png") for n in ("out", "kept"))
    assert np.abs(a[24:72].astype(int) - b[24:72]).max() <= 1


@pytest.mark.parametrize(("pixels", "codec"), [
    ("yuv420p", "ffv1"), ("yuvj420p", "mjpeg"), ("yuv422p", "ffv1"), ("yuv444p", "ffv1"), ("yuv420p10le", "ffv1"),
    ("gray", "ffv1"), ("rgb24", "png"),
])
@pytest.mark.parametrize("crop", [(16, 8, 64, 40), (17, 9, 63, 41)])
def test_every_kind_of_pixels_is_cut_alike(tmp_path: Path, pixels: str, codec: str, crop: tuple[int, int, int, int]) -> None:
    best = {"qmin": "1", "qmax": "1"} if codec == "mjpeg" else {}
    path = tmp_path / ("film.mov" if codec == "png" else "film.mkv")
    write_film(path, 2, picture=scene(colour=True), codec=codec, pixels=pixels, options=best)
    footage = footage_at(path)
    ((_, frame),) = footage.read([1])
    x, y, w, h = crop
    for grey in (True, False):
        all_of_it = whole(frame, 0, grey)
        square = square_of(footage, crop, "pad", max(w, h))
        own = fitted(frame, square, 0, grey)
        assert own.shape == (h, w, *all_of_it.shape[2:])
        inside = (slice(6, -6), slice(6, -6))  # chroma samples at the edge have lost their neighbours
        apart = np.abs(own.astype(int) - all_of_it[y : y + h, x : x + w])[inside]
        assert apart.max() <= 2
    source = scene(colour=True)(1)
    if pixels != "gray":  # the ground is grey: matrix and range are right
        assert np.abs(whole(frame, 0, False).astype(int) - source)[:, 70:].max() <= 5


def test_a_turned_film_is_upright_and_oblong_pixels_are_reckoned_with(tmp_path: Path) -> None:
    plain, turned = (write_film(tmp_path / f"{d}.mp4", turned=d) for d in (0, 90))
    a, b = footage_at(plain), footage_at(turned)
    assert (b.size, b.turns % 2) == ((64, 96), 1)
    ((_, lying),), ((_, upright),) = a.read([5]), b.read([5])
    assert np.array_equal(whole(upright, b.turns, True), np.rot90(whole(lying, 0, True), b.turns))
    assert np.array_equal(next(film_pictures(turned, 1, "5", "6")), np.rot90(next(film_pictures(plain, 1, "5", "6")), b.turns))
    crop = (8, 20, 40, 60)
    x, y, w, h = stored_rect(crop, b.size, b.turns)
    own = whole(lying, 0, True)
    assert np.array_equal(np.rot90(own[y : y + h, x : x + w], b.turns), np.rot90(own, b.turns)[20:80, 8:48])
    square = square_of(b, crop, "pad", 60)
    assert (square.inner, fitted(upright, square, b.turns, True).shape) == ((10, 0, 40, 60), (60, 40))
    assert np.array_equal(fitted(upright, square, b.turns, True), whole(upright, b.turns, True)[20:80, 8:48])
    wide = footage_at(write_film(tmp_path / "wide.mp4", aspect=Fraction(4, 3)))
    assert square_of(wide, (0, 0, 96, 64), "pad", 128).inner == (0, 32, 128, 64)
    assert square_of(wide, (0, 0, 96, 64), "crop", 128).crop == (24, 0, 48, 64)
    plan = plan_of(dataset_arguments().parse_args([str(turned), "-o", str(tmp_path / "out")]))
    assert "note: is stored lying" in announced(plan)


# --- into training


def test_the_geometry_is_carried_into_training(film: Path, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from tools.train_dataset import load_dataset, squared

    torch.set_num_threads(1)
    cut = {"film": [96, 64], "crop": [16, 8, 64, 40]}
    assert dataset(film, "-o", tmp_path / "set.zip", "--size", 64, "--bars", "16,8,64,40") == 0
    same = load_dataset(tmp_path / "set.zip", None, 64, 1)
    assert same.geometry == {**cut, "inner": [0, 12, 64, 40]} and len(same.images) == 24 and not same.film
    half = load_dataset(tmp_path / "set.zip", None, 32, 1)
    assert half.geometry == {**cut, "inner": [0, 6, 32, 20]} and not half.images[:, :, :6].any()
    frame = next(film_pictures(film, 1, "4", "5"))
    again = squared(frame, same.geometry, 64)  # what remap asks of such a model: the crop of the film's own frame
    assert np.abs(again.astype(int) - same.images[2]).max() <= 1
    anchored = load_dataset(film, None, 64, 1, like=same.geometry)  # the film's own frames beside such a dataset
    assert anchored.geometry == same.geometry and np.abs(anchored.images[4].astype(int) - same.images[2]).max() <= 1
    odd = load_dataset(tmp_path / "set.zip", None, 16, 1)
    assert odd.geometry["inner"] == [0, 3, 16, 10]


@pytest.mark.parametrize("geometry", [
    '{"film": [96, 64], "crop": [0, 0, 96, 65], "inner": [0, 0, 16, 16]}', '{"film": [96, 64]}', '"wide"',
    '{"film": [96, 64], "crop": [0, 0, 96, 64], "inner": [0, 0, 17, 16]}',
    '{"film": [96, 64], "crop": [0, 0, 9.5, 64], "inner": [0, 0, 16, 16]}',
])
def test_nonsense_in_a_dataset_is_refused_by_training(tmp_path: Path, geometry: str) -> None:
    pytest.importorskip("torch")
    from tools.train_dataset import load_dataset

    for n in range(2):
        Image.fromarray(np.full((16, 16), n, np.uint8)).save(tmp_path / f"{n}.png")
    (tmp_path / "dataset.json").write_text(f'{{"labels": null, "cineml": {{"geometry": {geometry}}}}}')
    with pytest.raises(ShowError, match=r"dataset\.json"):
        load_dataset(tmp_path, None, 16, 1)


def test_a_dataset_of_another_tool_has_no_geometry(tmp_path: Path) -> None:
    assert film_geometry(tmp_path) is None
    (tmp_path / "dataset.json").write_text('{"labels": null}')
    assert film_geometry(tmp_path) is None
    (tmp_path / "dataset.json").write_text("[1, 2")
    assert film_geometry(tmp_path) is None


# --- what is left out


def test_black_frames_and_near_duplicates_are_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_film(tmp_path / "film.mp4", picture=staged, options={"crf": "10"})
    assert dataset(path, "-o", tmp_path / "out", "--size", 96, "--fps", "all", "--drop-black", "--drop-duplicates") == 0
    rows = list(csv.DictReader((tmp_path / "out" / "frames.csv").open()))
    assert [int(r["frame"]) for r in rows] == [*range(24), 32]
    assert [r["file"] for r in rows] == [f"00000/img{n:08d}.png" for n in range(25)]
    said = capsys.readouterr().out
    assert said.startswith("at most 48 pictures") and "25 pictures (8 black, 15 duplicate left out)" in said


def test_letters_on_black_are_not_black(tmp_path: Path) -> None:
    def titled(n: int) -> np.ndarray:
        made = np.zeros((64, 96, 3), np.uint8)
        made[30:34, 40:56:2] = 255 if n % 2 else 0
        return made

    path = write_film(tmp_path / "film.mp4", 12, picture=titled, options={"crf": "5"})
    assert dataset(path, "-o", tmp_path / "out", "--size", 96, "--fps", "all", "--drop-black", "--channels", 1) == 0
    assert [int(r["frame"]) for r in csv.DictReader((tmp_path / "out" / "frames.csv").open())] == list(range(1, 12, 2))


def test_a_film_of_nothing_but_black_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_film(tmp_path / "film.mp4", 12, picture=lambda n: np.zeros((32, 32, 3), np.uint8))
    assert dataset(path, "-o", tmp_path / "out", "--drop-black") == 2
    assert "gives no picture: all are dropped" in capsys.readouterr().err and not (tmp_path / "out").exists()
