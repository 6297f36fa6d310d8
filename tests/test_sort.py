"""`cineml sort`: pictures, films, latents and features to a sheet, its order, its page; what a person froze stays."""

from __future__ import annotations

import errno
import json
import os
import warnings
import zipfile
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("scipy", reason="scipy assigns")

from player.show.problem import ShowError
from player.sources.film_index import open_container
from tests.film_footage import write_film
from tests.sorted_frames import CUTS, colour_of, frames_below, sort
from tools import film_dataset, sort_pictures
from tools.sort_features import oklab, principal
from tools.sort_groups import by_name, groups_of, labels_for
from tools.sort_layout import arrange
from tools.sort_options import aspect_of, shape_of
from tools.sort_order import Cell, Order, format_order, parse_order, read_order
from tools.sort_sheet import GAP, MARGIN, cell_size, draw_sheet, fitted
from tools.sort_source import frames_in, pictures_at


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return frames_below(tmp_path)


def order_in(path: Path) -> Order:
    return read_order(path)


# --- what is written


def test_a_folder_becomes_sheet_page_order_and_record_and_nothing_else(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    assert sort(folder, "-o", out / "sheet.png", "--features", "pixels", "--columns", 8) == 0
    assert sorted(p.name for p in out.iterdir()) == ["sheet.csv", "sheet.html", "sheet.json", "sheet.png"]
    order = order_in(out / "sheet.csv")
    assert (order.rows, order.columns, len(order.cells)) == (5, 8, 40)
    assert sorted(c.index for c in order.cells) == list(range(40)) and not order.frozen
    assert all(c.name == f"f{c.index:06d}.png" and c.frame == c.index for c in order.cells)
    told = json.loads((out / "sheet.json").read_text())
    assert told["features"] == "pixels" and told["quality"] > 0.85 and told["sha256"].keys() == {"frames"}
    assert told["options"]["columns"] == 8 and told["versions"]["numpy"] == np.__version__
    with Image.open(out / "sheet.png") as sheet:
        size = cell_size((24, 18), 5, 8, None)
        assert sheet.size == (8 * (size.width + GAP) - GAP + 2 * MARGIN, 5 * (size.height + GAP) - GAP + 2 * MARGIN)
        for cell in order.cells:
            x = MARGIN + cell.column * (size.width + GAP) + size.width // 2
            y = MARGIN + cell.row * (size.height + GAP) + size.height // 2
            assert sheet.getpixel((x, y)) == colour_of(cell.index)


def test_the_two_colours_do_not_mix(folder: Path, tmp_path: Path) -> None:
    assert sort(folder, "-o", tmp_path / "s.png", "--features", "pixels", "--columns", 8) == 0
    red = np.zeros((5, 8), int)
    for cell in order_in(tmp_path / "s.csv").cells:
        red[cell.row, cell.column] = cell.index < 20
    assert np.abs(np.diff(red, axis=0)).sum() + np.abs(np.diff(red, axis=1)).sum() <= 10


def test_features_become_a_layout_that_is_arranges_own(tmp_path: Path) -> None:
    features = np.random.default_rng(0).random((30, 5)).astype(np.float32)
    np.save(tmp_path / "f.npy", features)
    assert sort(tmp_path / "f.npy", "-o", tmp_path / "layout.npy", "--rows", 5, "--columns", 7, "--seed", 3) == 0
    layout = np.load(tmp_path / "layout.npy")
    assert layout.shape == (5, 7) and layout.dtype == np.int64 and (layout == -1).sum() == 5
    assert (layout == arrange(features.astype(np.float64), 5, 7, seed=3, tidy=True)).all()
    assert (layout.reshape(-1)[-5:] == -1).all(), "less than a row of holes: at the end"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["f.npy", "layout.json", "layout.npy"]
    assert sort(tmp_path / "f.npy", "-o", tmp_path / "free.npy", "--rows", 5, "--columns", 7, "--holes", "free") == 0
    assert sorted(np.load(tmp_path / "free.npy").reshape(-1))[5:] == list(range(30))


def test_features_as_great_as_numbers_go_are_sorted_like_small_ones(tmp_path: Path) -> None:
    features = np.random.default_rng(0).random((30, 5))
    for name, scale in (("small", 1.0), ("great", 1e308)):
        np.save(tmp_path / f"{name}.npy", features * scale)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert sort(tmp_path / f"{name}.npy", "-o", tmp_path / f"{name}.png", "--columns", 6) == 0
    assert (tmp_path / "small.csv").read_text().splitlines()[1:] == (tmp_path / "great.csv").read_text().splitlines()[1:]


def test_colours_alone_are_drawn_as_themselves(tmp_path: Path) -> None:
    colours = np.random.default_rng(0).integers(0, 256, (12, 3))
    np.save(tmp_path / "rgb.npy", colours)
    assert sort(tmp_path / "rgb.npy", "-o", tmp_path / "rgb.png", "--columns", 4) == 0
    cell = order_in(tmp_path / "rgb.csv").cells[5]
    with Image.open(tmp_path / "rgb.png") as sheet:
        at = MARGIN + cell.column * (48 + GAP) + 20, MARGIN + cell.row * (48 + GAP) + 20
        assert sheet.getpixel(at) == tuple(colours[cell.index])


def test_pictures_follow_features_that_a_person_gives(folder: Path, tmp_path: Path) -> None:
    values = np.random.default_rng(1).permutation(40).astype(np.float64)[:, None]
    np.save(tmp_path / "own.npy", values)
    assert sort(folder, "-o", tmp_path / "s.webp", "--features", tmp_path / "own.npy", "--rows", 1) == 0
    found = [values[c.index, 0] for c in order_in(tmp_path / "s.csv").cells]
    assert found in (sorted(found), sorted(found, reverse=True))


def test_a_zip_and_its_folder_make_the_same_order(folder: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "frames.zip", "w") as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, path.name)
    assert sort(folder, "-o", tmp_path / "a.png", "--features", "pixels", "--start", "5f", "--end", "35f", "--every", 2) == 0
    assert sort(tmp_path / "frames.zip", "-o", tmp_path / "b.png", "--features", "pixels", "--start", "5f", "--end", "35f",
                "--every", 2) == 0  # fmt: skip
    a, b = ((tmp_path / n).read_text().splitlines()[1:] for n in ("a.csv", "b.csv"))
    assert a == b and len(order_in(tmp_path / "a.csv").cells) >= 15
    assert {c.frame for c in order_in(tmp_path / "a.csv").cells if c.index >= 0} == set(range(5, 35, 2))


def test_frames_of_a_film_are_named_by_their_number(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    film = tmp_path / "film.mp4"
    with av.open(str(film), "w") as container:
        stream = container.add_stream("libx264", rate=12)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        for i in range(48):
            picture = np.full((32, 48, 3), 5 * i, np.uint8)
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    assert sort(film, "-o", tmp_path / "s.png", "--features", "pixels", "--start", "12f", "--every", 6) == 0
    cells = [c for c in order_in(tmp_path / "s.csv").cells if c.index >= 0]
    assert {c.frame for c in cells} == {12, 18, 24, 30, 36, 42} and {c.name for c in cells} >= {"f000012", "f000042"}
    made = pictures_at(film, None, None, None, None)
    assert made.frames is not None and made.frames.tolist() == [0, 12, 24, 36], "one a second where nobody says"
    means = [float(p.mean()) for p in made.read()]
    assert np.allclose(means, [0, 60, 120, 180], atol=6)


# --- frozen cells


def test_frozen_rows_keep_their_cell_on_the_next_run_and_stay_frozen(folder: Path, tmp_path: Path) -> None:
    sheet, table = tmp_path / "s.png", tmp_path / "s.csv"
    assert sort(folder, "-o", sheet, "--features", "pixels", "--columns", 9) == 0
    before = order_in(table)
    moved = {before.cells[0].name: (4, 4), before.cells[20].name: (0, 0)}
    rows = [Cell(*moved.get(c.name, (c.row, c.column)), c.index, c.name, c.frame, c.label, c.name in moved)
            for c in before.cells]  # fmt: skip
    rows.append(Cell(2, 2, -1, "", frozen=True))
    table.write_text(format_order(Order(before.rows, before.columns, tuple(rows)), "s.png"))
    assert sort(folder, "-o", sheet, "--features", "pixels", "--seed", 7) == 0
    after = order_in(table)
    assert (after.rows, after.columns) == (5, 9), "the grid that the cells belong to"
    at = {(c.row, c.column): c for c in after.cells}
    assert {at[p].name for p in moved.values()} == set(moved) and all(at[p].name == n for n, p in moved.items())
    assert at[2, 2].name == "" and {(c.row, c.column) for c in after.frozen} == {(4, 4), (0, 0), (2, 2)}
    assert sorted(c.index for c in after.cells if c.index >= 0) == list(range(40))


def test_a_frozen_picture_that_is_gone_is_said_and_the_rest_is_kept(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sort(folder, "-o", tmp_path / "s.png", "--features", "pixels", "--columns", 8) == 0
    text = (tmp_path / "s.csv").read_text().splitlines()
    (tmp_path / "s.csv").write_text("\n".join(line[:-1] + "1" if ",f00" in line else line for line in text[:14] + text[14:]))
    gone = order_in(tmp_path / "s.csv").cells[3]
    (folder / gone.name).unlink()
    assert sort(folder, "-o", tmp_path / "s.png", "--features", "pixels") == 0
    assert f"not there this time, so waiting at the end of the order: {gone.name}" in capsys.readouterr().err
    after = order_in(tmp_path / "s.csv")
    assert len(after.frozen) == 40 and after.cells[3].name == "" and after.cells[-1].name == gone.name


def test_sorting_a_part_of_the_pictures_loses_nothing_that_was_frozen_or_labelled(folder: Path, tmp_path: Path) -> None:
    command = (folder, "-o", tmp_path / "s.png", "--features", "pixels")
    assert sort(*command, "--columns", 8) == 0
    before = order_in(tmp_path / "s.csv")
    worked = tuple(replace(c, frozen=c.index in (3, 8, 31), label="dawn" if c.index in (3, 5) else "") for c in before.cells)
    (tmp_path / "s.csv").write_text(format_order(Order(5, 8, worked), "s.png"))
    assert sort(*command, "--every", 4) == 0
    part = order_in(tmp_path / "s.csv")
    assert {c.name for c in part.cells[40:]} == {"f000003.png", "f000005.png", "f000031.png"}
    assert {c.index for c in part.cells[40:]} == {-1} and (part.rows, part.columns) == (5, 8)
    page = (tmp_path / "s.html").read_text()
    assert "f000031.png" in page  # what the page saves holds them too
    assert sort(*command, "--seed", 2) == 0
    after = order_in(tmp_path / "s.csv")
    at = {c.name: (c.row, c.column, c.frozen, c.label) for c in after.cells}
    assert all(at[c.name] == (c.row, c.column, c.frozen, c.label) for c in worked if c.frozen)
    assert at["f000005.png"][3] == "dawn" and len(after.cells) == 40


@pytest.mark.parametrize("suffix", ["", ".zip"])
def test_of_a_padded_dataset_the_films_part_is_sorted(tmp_path: Path, suffix: str) -> None:
    film = write_film(tmp_path / "film.mp4")
    made = tmp_path / f"set{suffix}"
    assert film_dataset.main([str(film), "-o", str(made), "--size", "96", "--fps", "all", "--bars", "keep"]) == 0
    pictures = pictures_at(made, None, None, None, None)
    assert next(iter(pictures.read())).shape == (64, 96, 3)


def test_what_another_command_or_a_person_wrote_is_not_overwritten(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, text in (("a.json", '{"tool": "cineml gan sample"}'), ("b.html", "my page"), ("c.png", "my picture")):
        (tmp_path / name).write_text(text)
        assert sort(folder, "-o", (tmp_path / name).with_suffix(".png"), "--features", "pixels") == 2
        assert f"{name}: is there already, and was not written by 'cineml sort'" in capsys.readouterr().err
        assert (tmp_path / name).read_text() == text
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.json", "b.html", "c.png", "frames"]


def test_a_film_cut_short_or_of_variable_rate_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = write_film(tmp_path / "whole.mkv", 200).read_bytes()
    (tmp_path / "short.mkv").write_bytes(whole[: len(whole) // 2])
    write_film(tmp_path / "uneven.mkv", stamps=[n * 40 + (n > 20) * 500 for n in range(48)], base=Fraction(1, 1000))
    for name, said in (("short.mkv", "is cut short"), ("uneven.mkv", "has a variable frame rate")):
        assert sort(tmp_path / name, "-o", tmp_path / "s.png", "--features", "pixels") == 2
        assert said in capsys.readouterr().err and not (tmp_path / "s.png").exists()
    (tmp_path / "empty.mp4").write_bytes(b"")
    with pytest.raises(ShowError, match="is no film: it is empty; .*copy it again"):
        open_container(tmp_path / "empty.mp4")


def test_an_order_of_another_place_can_be_kept_from(folder: Path, tmp_path: Path) -> None:
    assert sort(folder, "-o", tmp_path / "a.png", "--features", "pixels", "--columns", 8) == 0
    text = (tmp_path / "a.csv").read_text().replace(",0\n", ",1\n")
    (tmp_path / "kept.csv").write_text(text.replace(",", ";"))  # as spreadsheets in half of Europe save it
    assert sort(folder, "-o", tmp_path / "b.png", "--features", "pixels", "--seed", 5, "--order", tmp_path / "kept.csv") == 0
    a, b = order_in(tmp_path / "a.csv"), order_in(tmp_path / "b.csv")
    assert [c.name for c in a.cells] == [c.name for c in b.cells] and len(b.frozen) == 40


@pytest.mark.parametrize(("text", "said"), [
    ("row,column,name,frozen\n0,0,f000001.png,1\n0,0,f000002.png,1\n", "one frozen picture a cell"),
    ("row,column,name,frozen\n0,0,f000001.png,1\n0,1,f000001.png,1\n", "one frozen cell a picture"),
    ("row,column,name,frozen\n0,99,f000001.png,1\n", "columns 0 to"),
    ("row,column,name,frozen\nx,1,f000001.png,1\n", "row is 'x'"),
    ("row,column,name,frozen\n0,1,f000001.png,maybe\n", "0 or 1"),
    ("row,column,name\n0,1,f000001.png\n", "the column 'frozen' is missing"),
    ("row,column,name,frozen,colour\n0,1,f000001.png,1,red\n", "column colour"),
    ("", "is empty"), ("\xe9".encode("latin-1").decode("latin-1") + "\n", "is missing"),
])  # fmt: skip
def test_an_order_that_cannot_be_kept_stops_the_run_and_stays(
    folder: Path, tmp_path: Path, text: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "s.csv").write_text(text, encoding="utf-8")
    assert sort(folder, "-o", tmp_path / "s.png", "--features", "pixels") == 2
    assert said in capsys.readouterr().err
    assert (tmp_path / "s.csv").read_text(encoding="utf-8") == text and not (tmp_path / "s.png").exists()


def test_an_order_reads_back_as_it_was_written() -> None:
    cells = (Cell(0, 0, 3, 'a "b", c.png', 12, "two; three", True), Cell(0, 1, -1, ""), Cell(1, 0, 0, "ä\u2028.png"))
    order = Order(2, 2, cells)
    assert parse_order("\ufeff" + format_order(order, "x.png").replace("\n", "\r\n"), "x.csv") == order


# --- labels


def test_a_cut_list_labels_by_frame_and_the_groups_stand_beside_the_sheet(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "cuts.csv").write_text(CUTS)
    assert sort(folder, "-o", tmp_path / "s.png", "--features", "pixels", "--groups", tmp_path / "cuts.csv") == 0
    labels = {c.frame: c.label for c in order_in(tmp_path / "s.csv").cells if c.index >= 0}
    assert labels == {f: "dawn" if f < 10 else "b" if f < 20 else "shot 3" for f in range(40)}
    assert sort(folder, "-o", tmp_path / "plain.png", "--features", "pixels") == 0
    with Image.open(tmp_path / "s.png") as grouped, Image.open(tmp_path / "plain.png") as plain:
        assert grouped.width > plain.width and grouped.height == plain.height
    assert sort(folder, "-o", tmp_path / "s.png", "--features", "pixels", "--seed", 2) == 0
    again = {c.frame: c.label for c in order_in(tmp_path / "s.csv").cells if c.index >= 0}
    assert again == labels, "labels of the order stay, edited or not, where none are given"


def test_a_table_labels_by_name_by_file_name_or_by_name_without_its_ending(tmp_path: Path) -> None:
    names = ["a/one.png", "a/two.png", "b/two.png", "b/three.jpg"]
    assert by_name({"one.png": "x", "two.png": "y", "three": "z"}, names) == ("x", "", "", "z")
    assert by_name({"a\\two.png": "y"}, names) == ("", "y", "", "")
    (tmp_path / "frames.csv").write_text("file,frame,shot,label,group\na/one.png,0,1,,\nb/three.jpg,9,2,,room\n")
    assert labels_for(tmp_path / "frames.csv", names, None) == ("shot 1", "", "", "room")
    wrong = (("file,label\nother.png,x\n", "labels none"), ("a,b\n1,2\n", "has the columns a, b"), (CUTS, "no frame"))
    for text, said in wrong:
        (tmp_path / "t.csv").write_text(text)
        with pytest.raises(ShowError, match=said):
            labels_for(tmp_path / "t.csv", names, None)


def test_groups_are_in_the_order_of_their_size_and_of_the_sheet() -> None:
    assert groups_of(["b", "a", "", "b", "c"], [3, 4, 2, 1, 0]) == {"b": [3, 0], "a": [1], "c": [4], "": [2]}


def test_the_table_of_a_dataset_tells_which_film_frame_a_picture_is(folder: Path) -> None:
    rows = "".join(f"f{i:06d}.png,{2 * i + 1}\n" for i in range(40))
    (folder / "frames.csv").write_text("file,frame\n" + rows)
    frames = pictures_at(folder, None, None, None, None).frames
    assert frames is not None and frames.tolist() == list(range(1, 81, 2))
    (folder / "frames.csv").write_text("other")
    frames = pictures_at(folder, None, None, None, None).frames
    assert frames is not None and frames.tolist() == list(range(40))
    assert frames_in(("a.png", "b2.png")) is None and frames_in(("a1.png", "b1.png")) is None


# --- features


def test_the_discriminator_sorts_what_its_generator_makes(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from models.checkpoint import save_checkpoint
    from models.discriminator import Discriminator
    from models.network_config import GeneratorConfig
    from models.stylegan2 import Generator

    torch.manual_seed(0)
    config = GeneratorConfig(resolution=16, channels=1, z_dim=8, w_dim=8, mapping_layers=1, channel_base=256, channel_max=16)
    generator, critic = Generator(config).eval(), Discriminator(config).eval()
    geometry = {"film": [48, 36], "crop": [0, 0, 48, 36], "inner": [0, 2, 16, 12]}
    save_checkpoint(tmp_path / "run" / "checkpoint", generator, critic, geometry=geometry)
    w = np.repeat(np.random.default_rng(0).standard_normal((5, 1, 8)), 6, axis=0).astype(np.float32)  # five pictures six times
    np.savez(tmp_path / "latents.npz", w=w, names=np.array([f"p{i:02d}" for i in range(30)]))
    assert sort(tmp_path / "latents.npz", "--model", tmp_path / "run", "-o", tmp_path / "s.png", "--columns", 6) == 0
    told = json.loads((tmp_path / "s.json").read_text())
    assert told["features"] == "discriminator" and len(told["sha256"]) == 2
    kind = np.zeros((5, 6), int)
    for cell in order_in(tmp_path / "s.csv").cells:
        kind[cell.row, cell.column] = int(cell.name[1:]) // 6
    assert (kind[1:] != kind[:-1]).sum() + (kind[:, 1:] != kind[:, :-1]).sum() <= 26, "the like stand together"
    save_checkpoint(tmp_path / "bare", generator)
    assert sort(tmp_path / "latents.npz", "--model", tmp_path / "bare", "-o", tmp_path / "t.png", "--features",
                "discriminator") == 2  # fmt: skip


def test_the_encoder_is_trained_once_and_kept(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    from tools import metrics_encoder

    settings = metrics_encoder.EncoderSettings(steps=2, batch=8, width=8, features=16)
    monkeypatch.setattr(metrics_encoder, "EncoderSettings", lambda: settings)
    assert sort(folder, "-o", tmp_path / "s.png", "--features", "encoder") == 0
    kept = tmp_path / "s.work" / metrics_encoder.FILE
    first, order = kept.stat().st_mtime_ns, (tmp_path / "s.csv").read_text()
    assert sort(folder, "-o", tmp_path / "s.png", "--features", "encoder") == 0
    assert kept.stat().st_mtime_ns == first and (tmp_path / "s.csv").read_text() == order


def test_oklab_is_the_published_one() -> None:
    given = np.array([[255, 255, 255], [255, 0, 0], [0, 0, 255], [0, 0, 0]], np.uint8)
    wanted = [[1, 0, 0], [0.628, 0.225, 0.126], [0.452, -0.032, -0.312], [0, 0, 0]]
    assert np.allclose(oklab(given), wanted, atol=1e-3)


def test_turning_features_keeps_their_distances() -> None:
    x = np.random.default_rng(0).standard_normal((30, 3)) @ np.random.default_rng(1).standard_normal((3, 200))
    y = principal(x, 5)
    assert y.shape == (30, 5)
    assert np.allclose(np.linalg.norm(x[:, None] - x, axis=2), np.linalg.norm(y[:, None] - y, axis=2))


# --- shapes


def test_the_grid_has_the_sheets_shape_and_no_lonely_last_row() -> None:
    assert shape_of(500, None, None, 1.5) == (18, 28) and shape_of(144, None, None, 1.125) == (12, 12)
    assert shape_of(500, 20, None, 1.5) == (20, 25) and shape_of(500, None, 30, 1.5) == (17, 30)
    assert shape_of(1, None, None, 1.5) == (1, 1) and shape_of(7, None, None, 100) == (1, 7)
    for count in range(1, 300):
        rows, columns = shape_of(count, None, None, 1.5)
        assert 0 <= rows * columns - count < columns
    with pytest.raises(ValueError, match="hold 6, there are 7"):
        shape_of(7, 2, 3, 1)
    assert aspect_of("3:2") == 1.5 == aspect_of(" 1.5 ") and aspect_of("16x9") == pytest.approx(16 / 9)


def test_pictures_of_another_shape_are_shown_whole() -> None:
    size = cell_size((400, 300), 3, 4, None)
    assert (size.width, size.height) == (256, 192)
    tall = fitted(np.full((100, 20, 3), 200, np.uint8), size)
    assert tall.shape == (192, 256, 3) and (tall[96, 100:150] > 190).any() and (tall[:, 0] < 30).all()
    assert cell_size((64, 64), 97, 97, None).width >= 42 and cell_size((64, 64), 1000, 1000, None).width >= 4


def test_a_sheet_with_more_groups_than_its_height_holds_gets_more_columns_of_them() -> None:
    thumbs = np.zeros((30, 40, 40, 3), np.uint8)
    sheet = draw_sheet(np.arange(30).reshape(3, 10), thumbs, {f"a label that is {i} and long enough to be cut": [i]
                                                              for i in range(30)})  # fmt: skip
    assert sheet.width > 10 * 42 + 14 * 400 and sheet.height <= 3 * 42 + 2 * MARGIN


# --- bad input


@pytest.mark.parametrize(("argv", "said"), [
    (["nowhere", "-o", "s.png"], "does not exist"),
    (["frames", "-o", "s.gif"], "ends in '.gif'"),
    (["frames", "-o", "no/s.png"], "not there"),
    (["frames", "-o", "frames/s.png"], "would lie among the pictures"),
    (["frames", "-o", "s.png", "--columns", "0"], "--columns"),
    (["frames", "-o", "s.png", "--columns", "3", "--rows", "3"], "there are 40 pictures"),
    (["frames", "-o", "s.png", "--aspect", "wide"], "--aspect"),
    (["frames", "-o", "s.png", "--features", "magic"], "--features"),
    (["frames", "-o", "s.png", "--features", "discriminator"], "no --model"),
    (["frames", "-o", "s.png", "--start", "99f"], "--start"),
    (["frames", "-o", "s.png", "--groups", "none.csv"], "does not exist"),
    (["frames", "-o", "s.png", "--order", "none.csv"], "is no file"),
    (["empty", "-o", "s.png"], "holds no pictures"),
    (["bad.png.d", "-o", "s.png"], "cannot be read as a picture"),
    (["text.npy", "-o", "layout.npy"], "cannot be read"),
    (["flat.npy", "-o", "layout.npy"], "an array [n, d]"),
    (["nan.npy", "-o", "layout.npy"], "not finite in row 1"),
    (["objects.npy", "-o", "layout.npy"], "without pickles"),
    (["nan.npy", "-o", "nan.npy"], "which would be lost"),
    (["frames", "-o", "s.png", "--features", "nan.npy"], "has 3 rows, there are 40 pictures"),
    (["some.npz", "-o", "s.png"], "no --model"),
    (["text.mp4", "-o", "s.png"], "cannot be read as a picture or film"),
])  # fmt: skip
def test_bad_input_is_a_sentence_and_leaves_everything_as_it_was(
    folder: Path, tmp_path: Path, argv: list[str], said: str, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("bad.png.d").mkdir()
    Path("bad.png.d/a.png").write_bytes(b"\x89PNG no")
    Path("text.npy").write_text("not numbers")
    Path("text.mp4").write_text("not a film")
    np.save("flat.npy", np.zeros(4))
    np.save("nan.npy", np.array([[1.0], [np.nan], [2]]))
    np.save("objects.npy", np.array([{"a": 1}, None], object), allow_pickle=True)
    np.savez("some.npz", w=np.zeros((3, 1, 4), np.float32))
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    assert sort(*argv) == 2
    told = capsys.readouterr().err
    assert said in told and "Traceback" not in told and len(told.strip().splitlines()) == 1
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


def test_a_full_disk_leaves_the_older_sheet(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                            capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    assert sort(folder, "-o", tmp_path / "s.png", "--features", "pixels") == 0
    before = {p: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()}

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("tools.whole_file.os.replace", full)
    assert sort(folder, "-o", tmp_path / "s.png", "--features", "pixels", "--seed", 4) == 2
    assert "No space left" in capsys.readouterr().err
    assert {p: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()} == before


def test_ctrl_c_is_130_and_writes_nothing(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sort_pictures, "arrange", stopped)
    assert sort(folder, "-o", tmp_path / "s.png", "--features", "pixels") == 130
    assert [p.name for p in tmp_path.iterdir()] == ["frames"]
