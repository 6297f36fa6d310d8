"""`cineml keyframes paint`: from film and painting to painted keys and a film; what a person painted stays; it goes on where it
was stopped, and says in one sentence what cannot be."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("cv2")
pytest.importorskip("numba")

from player.show.cut_list import CutList, Shot, write_csv
from tests.ctrl_c import ctrl_c_at
from tests.painted import moving, strokes, write_painting
from tools import keyframes_paint, paint_keys
from tools.keyframes_paint import main
from tools.paint_choice import Part, between
from tools.paint_compare import sheet_frames, small_size
from tools.paint_options import arguments, frame_numbers, paint_options

FRAMES, CUT = 10, 6


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with film.mp4, cuts.csv and painting.png."""
    folder = write_painting(tmp_path_factory.mktemp("given"), FRAMES, CUT)
    write_csv(CutList("film.mp4", 24, FRAMES, (Shot(1, 0, CUT), Shot(2, CUT, FRAMES))), folder / "cuts.csv")  # type: ignore[arg-type]
    return folder


def paint(given: Path, out: Path, *more: object, film: str = "film.mp4", style: str = "painting.png") -> int:
    words = [given / film, "--style", given / style, "-o", out, "--cuts", given / "cuts.csv", "--preset", "draft", "--turns", 1,
             "--threads", 1, *more]  # fmt: skip
    return main([str(w) for w in words])


def keys(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted((folder / "keys").glob("*.png"))}


@pytest.fixture(scope="module")
def painted(given: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keys 1, 4 and 8, painted; not to be written to."""
    out = tmp_path_factory.mktemp("painted") / "out"
    assert paint(given, out, "--keys-at", "1,4,8", "--stop-after", "keys") == 0
    return out


def copied(painted: Path, tmp_path: Path) -> Path:
    import shutil

    return Path(shutil.copytree(painted, tmp_path / "out"))


def test_keys_are_pictures_named_by_film_frame_in_the_films_size(painted: Path) -> None:
    assert list(keys(painted)) == ["000001.png", "000004.png", "000008.png"]
    for name in keys(painted):
        with Image.open(painted / "keys" / name) as picture:
            assert picture.size == (64, 48) and picture.mode == "RGB"
    record = json.loads((painted / "paint" / "options.json").read_text())
    assert record["keys"] == [1, 4, 8] and record["tool"] == "cineml keyframes paint"
    assert len(record["inputs"]["film"]["sha256"]) == len(record["inputs"]["style"]["sha256"]) == 64
    assert record["versions"]["numba"] and record["how"]["preset"] == "draft"


def test_the_same_command_again_paints_nothing(given: Path, painted: Path, tmp_path: Path,
                                               monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    out = copied(painted, tmp_path)
    monkeypatch.setattr(paint_keys, "synthesise", None)
    assert paint(given, out, "--keys-at", "1,4,8", "--stop-after", "keys") == 0
    assert keys(out) == keys(painted)


def test_what_a_person_painted_or_added_stays_and_what_was_deleted_is_painted_anew(
        given: Path, painted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    out = copied(painted, tmp_path)
    Image.new("RGB", (64, 48), (200, 30, 30)).save(out / "keys" / "000004.png")
    Image.new("RGB", (128, 96), (30, 30, 200)).save(out / "keys" / "000009 mine.tif")
    mine = {name: (out / "keys" / name).read_bytes() for name in ("000004.png", "000009 mine.tif")}
    (out / "keys" / "000008.png").unlink()
    for again in ((), ("--again",)):
        assert paint(given, out, "--keys-at", "1,4,8", "--stop-after", "keys", "--detail", 1 if not again else 2, *again) == 0
        assert {name: (out / "keys" / name).read_bytes() for name in mine} == mine
        assert (out / "keys" / "000008.png").is_file()
        assert "4, 9 are kept as a person left them" in capsys.readouterr().out
    assert keys(out)["000001.png"] != keys(painted)["000001.png"], "--again paints its own anew"


def test_keys_of_another_way_are_never_written_over_unasked(given: Path, painted: Path, tmp_path: Path,
                                                            capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    out = copied(painted, tmp_path)
    assert paint(given, out, "--keys-at", "1,4,8", "--scale", "0.7", "--stop-after", "keys") == 2
    told = capsys.readouterr().err
    assert "painted otherwise (frames 1, 4, 8)" in told and "--again" in told and told.count("\n") == 1
    assert keys(out) == keys(painted)


def test_stopped_by_hand_it_keeps_what_is_done_and_goes_on_to_the_same_keys(
        given: Path, painted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    out, calls = tmp_path / "out", ctrl_c_at(monkeypatch, paint_keys, "synthesise", 2)
    assert paint(given, out, "--keys-at", "1,4,8", "--stop-after", "keys") == 130
    assert len(keys(out)) == 1 and "kept" in capsys.readouterr().err
    assert paint(given, out, "--keys-at", "1,4,8", "--stop-after", "keys") == 0
    assert len(calls) == 4 and keys(out) == keys(painted)


def test_a_full_disk_costs_one_sentence_and_no_key(given: Path, painted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                   capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    out = copied(painted, tmp_path)

    def full(path: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    assert paint(given, out, "--keys-at", "1,4,5,8", "--stop-after", "keys") == 2
    assert "No space left on device" in capsys.readouterr().err
    assert keys(out) == keys(painted) and not list(out.rglob("*.part"))


def test_suggested_keys_are_at_least_one_a_shot(given: Path, tmp_path: Path) -> None:
    assert paint(given, tmp_path / "out", "--stop-after", "keys") == 0
    numbers = [int(name[:6]) for name in keys(tmp_path / "out")]
    assert len(numbers) == 2 and numbers[0] < CUT <= numbers[1]


def test_one_in_so_many_begins_anew_with_every_shot(given: Path, tmp_path: Path) -> None:
    assert paint(given, tmp_path / "out", "--every", 4, "--stop-after", "keys", "--one-by-one") == 0
    assert list(keys(tmp_path / "out")) == ["000000.png", "000004.png", "000006.png"]


def test_a_folder_of_frames_is_painted_under_its_own_names(given: Path, tmp_path: Path) -> None:
    frames = tmp_path / "frames"
    frames.mkdir()
    for n in range(4):
        Image.fromarray(moving(n, 64, 48)).save(frames / f"take2_{n + 100:04d}.png")
    words = [frames, "--style", given / "painting.png", "-o", tmp_path / "out", "--preset", "draft", "--turns", 1, "--rate", 12,
             "--threads", 1, "--keys-at", "1", "--stop-after", "keys"]  # fmt: skip
    assert main([str(w) for w in words]) == 0
    assert list(keys(tmp_path / "out")) == ["take2_0101.png"]
    before = keys(tmp_path / "out")
    assert main([str(w) for w in words]) == 0 and keys(tmp_path / "out") == before


def test_a_film_that_dissolves_and_a_painting_with_alpha_are_painted(given: Path, tmp_path: Path) -> None:
    picture = np.dstack([strokes(64, 56), np.full((56, 64), 255, np.uint8)])
    picture[:10, :, 3] = 0
    Image.fromarray(picture).save(tmp_path / "alpha.png")
    write_csv(CutList("film.mp4", 24, FRAMES, (Shot(1, 0, CUT), Shot(2, CUT, FRAMES, "dissolve", 2))),  # type: ignore[arg-type]
              tmp_path / "cuts.csv")  # fmt: skip
    out = tmp_path / "out"
    assert paint(given, out, "--every", 9, "--cuts", tmp_path / "cuts.csv", "--stop-after", "keys",
                 style=str(tmp_path / "alpha.png")) == 0  # fmt: skip
    assert list(keys(out)) == ["000000.png", "000008.png"], "no key in a mix of two shots"


def test_a_film_without_room_for_its_outputs_is_told_before_the_work(given: Path, tmp_path: Path,
                                                                    capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "keys").write_text("mine")
    assert paint(given, tmp_path / "out") == 2
    assert "is a file" in capsys.readouterr().err and (tmp_path / "out" / "keys").read_text() == "mine"
    (tmp_path / "file").write_text("mine")
    assert paint(given, tmp_path / "file") == 2 and (tmp_path / "file").read_text() == "mine"


def test_a_shot_without_a_key_is_named_before_anything_is_painted(given: Path, tmp_path: Path,
                                                                  capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    assert paint(given, tmp_path / "out", "--keys-at", "2", "--stop-after", "keys") == 2
    assert "shot 2" in (told := capsys.readouterr().err) and "--allow-missing" in told
    assert not keys(tmp_path / "out")
    assert paint(given, tmp_path / "out", "--keys-at", "2", "--stop-after", "keys", "--allow-missing") == 0


def test_the_sheet_of_ways_is_written_before_the_long_work(given: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert paint(given, out, "--keys-at", "1,8", "--compare", "--compare-frames", 2, "--stop-after", "compare") == 0
    assert not keys(out)
    with Image.open(out / "paint" / "compare.png") as sheet:
        assert sheet.width > 6 * 320 and sheet.height > 2 * 240
        columns = np.asarray(sheet.convert("RGB"))[-120:, 16 : 16 + 320]
    assert columns.std() > 10, "the film itself is in the first column"


def test_rows_of_the_sheet_are_of_as_many_shots_as_there_is_room_for() -> None:
    parts = [Part(n, 10 * n, 10 * n + 10, 10 * n, 10 * n + 10) for n in range(4)]
    keys_of_shots = [1, 2, 3, 11, 21, 31]
    assert len({n // 10 for n in sheet_frames(keys_of_shots, parts, 3)}) == 3
    assert sheet_frames(keys_of_shots, parts, 4) == [2, 11, 21, 31]
    assert sheet_frames(keys_of_shots, parts, 9) == keys_of_shots
    assert small_size(1920, 1080) == (416, 739) and small_size(320, 240) == (240, 320)


def test_frames_come_backwards_too(given: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tools import paint_choice
    from tools.film_dataset_source import footage_at

    footage = footage_at(given / "film.mp4")
    monkeypatch.setattr(paint_choice, "BACK_FRAMES", 3)
    forward, backward = list(between(footage, 1, 8)), list(between(footage, 8, 1))
    assert len(forward) == 8 and all(np.array_equal(a, b) for a, b in zip(forward, backward[::-1], strict=True))


@pytest.mark.parametrize(("more", "words"), [
    (["--scale", "nan"], "--scale"), (["--detail", "9"], "0.25 to 4"), (["--tone", "0", "--form", "0"], "nothing of the film"),
    (["--keys-at", "3,x"], "12,96"), (["--keys-at", "3,99"], "frame 99"), (["--keys-at", "1", "-n", "2"], "together"),
    (["-n", "1"], "one a shot"), (["--every", "0"], "--every"), (["--stop-after", "compare"], "--compare"),
    (["--start", "9f", "--end", "3f"], "not after"), (["--keep-amount", "0.5"], "--keep"), (["--rate", "24"], "--rate"),
    (["--uniformity", "-1"], "0 to 20000"), (["--captions", "t.srt"], "for a film"), (["--threads", "-2"], "--threads"),
])  # fmt: skip
def test_a_wrong_command_line_costs_a_sentence(more: list[str], words: str, given: Path, tmp_path: Path,
                                               capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    assert paint(given, tmp_path / "out", *more) == 2
    assert words in capsys.readouterr().err and not keys(tmp_path / "out")


def test_everything_wrong_is_said_at_once(given: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert paint(given, tmp_path / "out.avi", "--scale", "0", film="none.mp4", style="none.png") == 2
    told = capsys.readouterr().err
    assert all(word in told for word in ("--scale", "none.mp4", "none.png", ".avi"))


@pytest.mark.parametrize("place", ["film.mp4", "painting.png", "nowhere/film.mp4"])
def test_nothing_that_is_read_is_written_over(place: str, given: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {p.name: p.read_bytes() for p in given.iterdir() if p.is_file()}
    assert paint(given, given / place) == 2
    assert capsys.readouterr().err.count("\n") >= 1
    assert {p.name: p.read_bytes() for p in given.iterdir() if p.is_file()} == before


def test_numbers_are_read_with_ranges() -> None:
    assert frame_numbers("12, 3,5-7,6f") == [3, 5, 6, 7, 12]


def test_the_help_has_two_examples_and_needs_nothing_heavy() -> None:
    text = arguments().format_help()
    assert text.count("  cineml keyframes paint ") >= 2
    options = paint_options(arguments().parse_args(["f.mp4", "--style", "p.png", "-o", "o", "--scale", "0.5"]))
    assert options.scale == 0.5 and options.uniformity is None
    module = Path(keyframes_paint.__file__).with_name("paint_options.py").read_text()
    assert not any(name in module for name in ("numpy", "cv2", "numba", "torch", "PIL"))


@pytest.mark.slow
def test_from_film_and_painting_to_a_finished_film(given: Path, painted: Path, tmp_path: Path) -> None:
    pytest.importorskip("tools.keyframes_propagate")
    from player.sources.film_reader import FilmReader

    out = tmp_path / "out.mp4"
    assert paint(given, out, "--keys-at", "1,4,8") == 0
    assert sorted(p.name for p in (tmp_path / "out.keys").glob("*.png")) == list(keys(painted))
    reader = FilmReader(out)
    reader.open()
    assert reader.frames == FRAMES and reader.size == (64, 48)
    key = np.asarray(Image.open(painted / "keys" / "000004.png").convert("RGB")).astype(int)
    assert np.abs(reader.picture(4).astype(int) - key).mean() < 12
    assert min(reader.picture(n).max() for n in range(FRAMES)) > 60, "a black frame"
    reader.close()


@pytest.mark.slow
def test_a_key_that_a_person_paints_over_remakes_the_frames_of_its_shot_and_no_others(given: Path, painted: Path,
                                                                                       tmp_path: Path) -> None:  # fmt: skip
    pytest.importorskip("tools.keyframes_propagate")
    out = copied(painted, tmp_path)
    assert paint(given, out, "--keys-at", "1,4,8") == 0
    names = [f"{n:06d}.png" for n in range(FRAMES)]
    before = {name: (out / name).read_bytes() for name in names}
    Image.fromarray(255 - strokes(64, 48)).save(out / "keys" / "000008.png")
    assert paint(given, out, "--keys-at", "1,4,8") == 0
    after = {name: (out / name).read_bytes() for name in names}
    assert [name for name in names if after[name] != before[name]] == names[CUT:]
    with Image.open(out / "000008.png") as made:
        assert np.array_equal(np.asarray(made.convert("RGB")), 255 - strokes(64, 48))
    assert paint(given, out, "--keys-at", "1,4,8") == 0
    assert {name: (out / name).read_bytes() for name in names} == after
