"""The timelapse: every grid once and in order, the window that was asked for, one size throughout."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from player.show.problem import ShowError
from tools import gan_timelapse
from tools.gan_timelapse import grids_of, labelled, parse_window, read_grid, size_of
from tools.train_grids import grid_name


def shade(kimg: int) -> int:
    """A grey of its own for each grid."""
    return 40 + kimg % 20 * 8


def write_run(run: Path, resolution: int = 16, columns: int = 4, rows: int = 3, kimgs: tuple[int, ...] = (0, 2, 10),
              channels: int = 1, nested: bool = True) -> Path:  # fmt: skip
    """Grids whose cells differ: cell (column, row) is shade(kimg) + 3 * column + row."""
    (run / "grids").mkdir(parents=True)
    for kimg in kimgs:
        cells = shade(kimg) + 3 * np.arange(columns)[None, :] + np.arange(rows)[:, None]
        grid = cells.repeat(resolution, 0).repeat(resolution, 1).astype(np.uint8)
        picture = grid if channels == 1 else np.stack([grid] * channels, axis=-1)
        Image.fromarray(picture).save(run / "grids" / f"{kimg:06d}.png")
    told = {"resolution": resolution, "batch": 8}
    options = {"options": told, "grid_columns": columns} if nested else {**told, "grid_columns": columns}
    (run / "options.json").write_text(json.dumps(options))
    return run


def timelapse(*argv: object) -> int:
    return gan_timelapse.main([str(a) for a in argv])


def decoded(path: Path) -> tuple[np.ndarray, dict[str, object]]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = np.stack([f.to_ndarray(format="rgb24") for f in container.decode(stream)])
        told = {"size": (stream.width, stream.height), "rate": stream.average_rate, "pix_fmt": stream.codec_context.pix_fmt,
                "codec": stream.codec_context.name}  # fmt: skip
    return frames, told


def test_every_grid_is_shown_once_in_the_order_of_training(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", kimgs=(10, 0, 2, 100, 9))
    (run / "grids" / "000011.png.part").write_bytes(b"half")
    (run / "grids" / "notes.png").write_bytes(b"a person's")
    out = tmp_path / "t.mp4"
    assert timelapse(run, "-o", out, "--hold", "0.5") == 0
    frames, told = decoded(out)
    assert len(frames) == 5 + 3, "the last one stays for half a second more"
    assert told["rate"] == Fraction(6) and told["pix_fmt"] == "yuv420p" and told["codec"] == "h264"
    tones = frames[:, 5:40, 5:40].mean(axis=(1, 2, 3))
    expected = [shade(k) for k in (0, 2, 9, 10, 100, 100, 100, 100)]
    assert np.abs(tones - expected).max() <= 3


def test_grids_of_one_kimg_are_all_shown_and_their_labels_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                                 capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    run = write_run(tmp_path / "run", kimgs=(0, 12))  # of an older run
    for pictures in (12_040, 12_500):
        (run / "grids" / "000012.png").rename(run / "grids" / grid_name(pictures))
        write_run(tmp_path / f"{pictures}", kimgs=(12,))
        (tmp_path / f"{pictures}" / "grids" / "000012.png").rename(run / "grids" / "000012.png")
    assert [g.kimg for g in grids_of(run, None)] == [0, 12, 12.04, 12.5]
    told: list[str] = []
    monkeypatch.setattr(gan_timelapse, "labelled", lambda picture, text: told.append(text) or picture)
    assert timelapse(run, "-o", tmp_path / "t.gif", "--label", "--size", "64") == 0
    assert told == ["0.00 kimg", "12.00 kimg", "12.04 kimg", "12.50 kimg"]
    assert "4 grids, 0.00 to 12.50 kimg" in capsys.readouterr().out


def test_the_size_that_is_said_is_the_size_that_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_run(tmp_path / "run", resolution=5, columns=3, rows=3, kimgs=(1, 2))
    assert timelapse(run, "-o", tmp_path / "t.mp4", "--size", "33x31") == 0
    assert "34x32" in capsys.readouterr().out and decoded(tmp_path / "t.mp4")[1]["size"] == (34, 32)
    assert timelapse(run, "-o", tmp_path / "t.gif", "--size", "33x31") == 0
    assert "33x31" in capsys.readouterr().out and Image.open(tmp_path / "t.gif").size == (33, 31)


def test_small_grids_are_enlarged_by_a_whole_number_and_sizes_are_even(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", resolution=5, columns=3, rows=3, kimgs=(1, 2))
    out = tmp_path / "t.mp4"
    assert timelapse(run, "-o", out, "--window", "1,1", "--size", "45x31") == 0
    frames, told = decoded(out)
    assert told["size"] == (46, 32) and len(frames) == 2 + 12
    assert timelapse(run, "-o", out) == 0
    assert decoded(out)[1]["size"] == (720, 720)


@pytest.mark.parametrize("nested", [True, False])
@pytest.mark.parametrize(("window", "left", "top", "columns", "rows"), [("1,1", 0, 0, 1, 1), ("4,3", 3, 2, 1, 1),
                                                                        ("2,2,3,1", 1, 1, 3, 1)])  # fmt: skip
def test_a_window_is_the_cells_that_were_asked_for(tmp_path: Path, nested: bool, window: str, left: int, top: int,
                                                   columns: int, rows: int) -> None:  # fmt: skip
    run = write_run(tmp_path / "run", nested=nested)
    for grid in grids_of(run, parse_window(window)):
        cells = read_grid(grid)
        assert cells.shape == (16 * rows, 16 * columns, 3)
        for column in range(columns):
            for row in range(rows):
                cell = cells[row * 16 : row * 16 + 16, column * 16 : column * 16 + 16]
                assert (cell == shade(grid.kimg) + 3 * (left + column) + top + row).all()
    out = tmp_path / "t.mp4"
    assert timelapse(run, "-o", out, "--window", window, "--scaling", "nearest") == 0
    width, height = decoded(out)[1]["size"]  # type: ignore[misc]
    assert width * rows == height * columns and max(width, height) == 720


def test_a_window_needs_only_one_of_resolution_and_columns(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    for told in ({"options": {"resolution": 16}}, {"grid_columns": 4}, {"resolution": 16, "grid_columns": 3}):
        (run / "options.json").write_text(json.dumps(told))
        assert grids_of(run, (4, 3, 1, 1))[0].size == (16, 16)


def test_grown_runs_follow_one_another_at_the_size_of_the_largest(tmp_path: Path) -> None:
    small = write_run(tmp_path / "run32", resolution=8, kimgs=(5, 8))
    large = write_run(tmp_path / "run64", resolution=16, kimgs=(3, 20), channels=3)
    other = write_run(tmp_path / "odd", resolution=16, columns=2, rows=3, kimgs=(7,))
    out = tmp_path / "t.mp4"
    assert timelapse(small, large, other, "-o", out, "--hold", "0", "--size", "192") == 0
    frames, told = decoded(out)
    assert told["size"] == (256, 192) and len(frames) == 5
    tones = frames[:4, 10:50, 10:50].mean(axis=(1, 2, 3))
    assert np.abs(tones - [shade(k) for k in (5, 8, 3, 20)]).max() <= 3
    assert frames[4][:, :50].max() < 24 and frames[4][:, 80:120].mean() > 60, "another shape stands in the middle, on black"


def test_the_label_says_the_kimg_in_a_corner_and_nothing_else_changes(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", resolution=32)
    for name, more in (("plain", []), ("labelled", ["--label"])):
        assert timelapse(run, "-o", tmp_path / f"{name}.mkv", "--size", "300", *more) == 0
    plain, with_text = (decoded(tmp_path / f"{n}.mkv")[0].astype(int) for n in ("plain", "labelled"))
    changed = np.abs(with_text - plain).max(axis=-1) > 24
    assert changed[:, 260:, :150].any(axis=(1, 2)).all(), "each picture has its label"
    assert not changed[:, :255].any() and not changed[:, :, 160:].any()
    assert (with_text[0] != with_text[1])[260:, :150].any()


@pytest.mark.parametrize("size", [(16, 16), (24, 200), (720, 1280), (2160, 3840)])
def test_a_label_fits_into_any_picture(size: tuple[int, int]) -> None:
    picture = labelled(np.full((*size, 3), 128, np.uint8), "a_run_with_a_name  123456 kimg")
    assert picture.shape == (*size, 3) and (picture != 128).any()


def test_what_no_player_shows_is_shrunk(tmp_path: Path) -> None:
    run = tmp_path / "run"
    (run / "grids").mkdir(parents=True)
    Image.new("L", (8192, 10240), 90).save(run / "grids" / "000001.png")
    assert size_of(grids_of(run, None), "") == (1728, 2160)


def test_a_folder_of_grids_will_do_where_no_window_is_asked_for(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    assert [g.kimg for g in grids_of(run / "grids", None)] == [0, 2, 10]
    assert grids_of(run / "grids", None)[0].run == "run"


def test_a_gif_holds_its_last_picture(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", kimgs=(1, 2, 3))
    out = tmp_path / "t.gif"
    assert timelapse(run, "-o", out, "--size", "96", "--fps", "10", "--hold", "1.5") == 0
    with Image.open(out) as gif:
        assert gif.n_frames == 3 and gif.size == (128, 96)  # type: ignore[attr-defined]
        times = []
        for i in range(3):
            gif.seek(i)
            times.append(gif.info["duration"])
            assert abs(int(np.asarray(gif.convert("L"))[10, 10]) - shade(i + 1)) <= 3
    assert times == [100, 100, 1600]


@pytest.mark.parametrize("text", ["", "1", "0,1", "1,0", "1,2,3", "a,b", "1,1,0,1", "1,1,1,1,1", "-1,2", "1.5,2"])
def test_windows_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ShowError, match="--window"):
        parse_window(text)


@pytest.mark.parametrize(("argv", "told"), [
    (["--fps", "0"], "--fps"), (["--fps", "inf"], "--fps"), (["--hold", "nan"], "--hold"), (["--hold", "-1"], "--hold"),
    (["--window", "5,1"], "columns 1 to 4"), (["--window", "1,3,1,2"], "rows 1 to 3"), (["--window", "x"], "--window"),
    (["--size", "8"], "--size"), (["--size", "big"], "--size"),
    (["--size", "8000"], "8000 makes a film of 10667x8000; allowed: at most 3840x2160; try: --size 2160"),
    (["--size", "3841x100"], "--size: 3841x100; allowed: at most 3840x2160")])  # fmt: skip
def test_bad_options_cost_one_sentence_and_leave_the_older_film(tmp_path: Path, argv: list[str], told: str,
                                                                capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    run, out = write_run(tmp_path / "run"), tmp_path / "t.mp4"
    out.write_bytes(b"older")
    assert timelapse(run, "-o", out, *argv) == 2
    printed = capsys.readouterr()
    assert told in printed.err and printed.err.count("\n") == 1 and not printed.out
    assert out.read_bytes() == b"older" and len(list(tmp_path.iterdir())) == 2


def test_runs_and_places_that_are_none_cost_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_run(tmp_path / "run")
    bare = write_run(tmp_path / "bare")
    (bare / "options.json").unlink()
    torn = write_run(tmp_path / "torn")
    (torn / "options.json").write_text("{")
    (torn / "grids" / "000002.png").write_bytes((run / "grids" / "000002.png").read_bytes()[:60])
    strange = write_run(tmp_path / "strange")
    (strange / "options.json").write_text('{"resolution": 15, "grid_columns": true}')
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("mine")
    out = tmp_path / "t.mp4"
    cases: list[tuple[list[object], str]] = [
        ([tmp_path / "nothing", "-o", out], "does not exist"), ([tmp_path / "empty", "-o", out], "no sample grids"),
        ([tmp_path / "file", "-o", out], "is a file"), ([run, tmp_path / "empty", "-o", out], "no sample grids"),
        ([bare, "-o", out, "--window", "1,1"], "is missing"), ([torn, "-o", out, "--window", "1,1"], "cannot be read"),
        ([torn, "-o", out], "000002.png"), ([strange, "-o", out, "--window", "1,1"], "no whole number"),
        ([run, "-o", tmp_path / "t.avi"], ".mp4"), ([run, "-o", tmp_path / "file" / "t.mp4"], "no folder"),
        ([run, "-o", tmp_path / "file" / "t.gif"], "no folder"), ([run, "-o", tmp_path / "t"], "has no suffix"),
        ([run, "-o", tmp_path / "nix" / "t.mp4"], "not there"), ([run, "-o", tmp_path / "nix" / "t.gif"], "not there"),
    ]  # fmt: skip
    for argv, told in cases:
        assert timelapse(*argv) == 2, argv
        printed = capsys.readouterr()
        assert told in printed.err and printed.err.count("\n") == 1, printed.err
    assert not out.exists() and not (tmp_path / "nix").exists()
    assert not list(tmp_path.glob(".*")) and not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("suffix", [".mp4", ".gif"])
def test_ctrl_c_and_a_full_disk_leave_the_older_film(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch,
                                                     capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    run, out = write_run(tmp_path / "run"), tmp_path / f"t{suffix}"
    out.write_bytes(b"older")
    read, stop = gan_timelapse.read_grid, [KeyboardInterrupt()]

    def stopped(grid: gan_timelapse.Grid) -> np.ndarray:
        if grid.kimg == 2:
            raise stop[0]
        return read(grid)

    monkeypatch.setattr(gan_timelapse, "read_grid", stopped)
    assert timelapse(run, "-o", out) == 130
    assert "nothing was written" in capsys.readouterr().err
    monkeypatch.setattr(gan_timelapse, "read_grid", read)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image if suffix == ".gif" else gan_timelapse.Recorder,
                        "save" if suffix == ".gif" else "_flush", full)  # fmt: skip
    assert timelapse(run, "-o", out) == 2
    printed = capsys.readouterr()
    assert "No space left" in printed.err and printed.err.count("\n") == 1
    assert out.read_bytes() == b"older" and sorted(p.name for p in tmp_path.iterdir()) == sorted(["run", f"t{suffix}"])
