"""`cineml keyframes propagate` from keys to frames and film: every frame, no key across a cut, and a run that goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("cv2")
pytest.importorskip("numba")

from player.sources.fades import unfaded
from player.sources.film_reader import FilmReader
from tests.film_footage import decoded_sound, write_film
from tests.painted_clip import (
    CUT,
    HEIGHT,
    WIDTH,
    Engine,
    film_frame,
    frame,
    opened,
    painted,
    stand_in,
    write_clip,
    write_cuts,
    write_frames,
)
from tools import keyframes_propagate
from tools.keyframes_frames import dissolved, faded

PLAIN = ("--preset", "draft", "--threads", "1", "--jobs", "1", "--deflicker", "0")


def run(*argv: object) -> int:
    return keyframes_propagate.main([str(a) for a in argv])


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    return stand_in(monkeypatch)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path, "view_{:04d}.png")


def off(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a.astype(int) - b).mean())


def command(clip: Path, out: str, *more: object) -> tuple[object, ...]:
    return (clip / "frames", "--keys", clip / "keys", "--cuts", clip / "cuts.csv", "-o", clip / out, *PLAIN, *more)


def test_every_frame_is_there_under_the_inputs_name_and_no_key_crosses_the_cut(engine: Engine, clip: Path) -> None:
    before = {p: p.read_bytes() for p in [*(clip / "frames").iterdir(), *(clip / "keys").iterdir()]}
    assert run(*command(clip, "out")) == 0
    assert sorted(p.name for p in (clip / "out").glob("*.png")) == [f"view_{n:04d}.png" for n in range(12)]
    for n in range(12):
        made = opened(clip / "out" / f"view_{n:04d}.png")
        assert off(made, painted(film_frame(n))) < 9, n
    assert np.array_equal(opened(clip / "out" / "view_0007.png"), painted(film_frame(7)))
    told = json.loads((clip / "out" / "options.json").read_text())
    assert told["tool"] == "cineml keyframes propagate" and told["versions"]["numpy"] and told["common"]["film"]["sha256"]
    rows = (clip / "out" / "frames.csv").read_text().splitlines()
    assert len(rows) == 13 and rows[6].split(",")[3] == "1" and rows[7].split(",")[3] == "7"  # frames 5 and 6
    assert not (clip / "out.work").exists()
    assert all(p.read_bytes() == data for p, data in before.items())


def test_cuts_are_found_where_nobody_names_them(engine: Engine, clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [w for w in command(clip, "out") if w != "--cuts" and w != clip / "cuts.csv"]
    assert run(*words) == 0
    assert "1 found, at frames 6" in capsys.readouterr().out
    rows = (clip / "out" / "frames.csv").read_text().splitlines()
    assert rows[6].split(",")[3] == "1" and rows[7].split(",")[3] == "7"


def test_a_film_has_the_originals_length_sound_and_captions(engine: Engine, tmp_path: Path, clip: Path) -> None:
    rng = np.random.default_rng(0)
    sound = (rng.normal(0, 3000, (24000, 2))).astype(np.int16)
    film = write_film(tmp_path / "film.mkv", 12, 24, film_frame, options={"crf": "4"}, sound=[sound])
    (tmp_path / "t.srt").write_text("1\n00:00:00,000 --> 00:00:00,125\nHELLO\n", encoding="utf-8")
    assert run(film, "--keys", clip / "keys", "--cuts", clip / "cuts.csv", "-o", tmp_path / "out.mp4", *PLAIN,
               "--captions", tmp_path / "t.srt") == 0  # fmt: skip
    reader = FilmReader(tmp_path / "out.mp4")
    reader.open()
    assert (reader.frames, reader.rate, reader.size) == (12, 24, (WIDTH, HEIGHT))
    for n in range(12):
        assert off(reader.picture(n)[:24], painted(film_frame(n))[:24]) < 14, n  # half of the colour's pixels are coded
    most = [np.abs(reader.picture(n)[30:].astype(int) - painted(film_frame(n))[30:]).max() for n in (2, 4)]
    assert most[0] > 100
    reader.close()
    assert len(decoded_sound(tmp_path / "out.mp4", "s16p")) == pytest.approx(24000, abs=1100)
    told = json.loads((tmp_path / "out.mp4.json").read_text())
    assert len(told["film_sha256"]) == 64 and (tmp_path / "out.mp4.frames.csv").is_file()


def test_a_part_of_the_film_has_its_own_part_of_the_sound(engine: Engine, tmp_path: Path, clip: Path) -> None:
    sound = np.zeros((24000, 1), np.int16)
    sound[12000:14000] = 12000  # from frame 6 on
    film = write_film(tmp_path / "film.mkv", 12, 24, film_frame, sound=[sound])
    assert run(film, "--keys", clip / "keys", "--cuts", clip / "cuts.csv", "-o", tmp_path / "part.mp4", *PLAIN, "--start", "6",
               "--end", "10") == 0  # fmt: skip
    got = decoded_sound(tmp_path / "part.mp4", "s16p")
    assert np.abs(got[200:1500]).mean() > 6000 > 500 > np.abs(got[3000:6000]).mean()
    reader = FilmReader(tmp_path / "part.mp4")
    reader.open()
    assert reader.frames == 4 and off(reader.picture(1), painted(film_frame(7))) < 14
    reader.close()


def test_in_a_dissolve_both_shots_are_painted_and_mixed_as_the_film_mixes_them(engine: Engine, clip: Path) -> None:
    write_cuts(clip / "cuts.csv", "dissolve", 3)
    for n in range(6, 9):
        mixed = dissolved(frame(n, 0), frame(n - CUT, 1), (n - 5) / 4)
        Image.fromarray(mixed).save(clip / "frames" / f"view_{n:04d}.png")
    (clip / "keys" / "000007.png").rename(clip / "keys" / "000010.png")
    Image.fromarray(painted(film_frame(10))).save(clip / "keys" / "000010.png")
    assert run(*command(clip, "out")) == 0
    for n, weight in ((6, 0.25), (7, 0.5), (8, 0.75)):
        want = dissolved(painted(frame(n, 0)), painted(frame(n - CUT, 1)), weight)
        assert off(opened(clip / "out" / f"view_{n:04d}.png"), want) < 26, n
    assert not (clip / "out.work").exists()


def test_a_fade_is_taken_off_and_put_back(engine: Engine, clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_cuts(clip / "cuts.csv", "fade", 4)
    for n in range(6, 10):
        Image.fromarray(faded(film_frame(n), (n - 5) / 5, "black")).save(clip / "frames" / f"view_{n:04d}.png")
    (clip / "keys" / "000007.png").unlink()
    Image.fromarray(painted(film_frame(11))).save(clip / "keys" / "000011.png")
    assert run(*command(clip, "out")) == 0
    assert "fades, shot 2" in capsys.readouterr().out
    for n in range(6, 10):
        want = faded(painted(film_frame(n)), (n - 5) / 5, "black")
        assert off(opened(clip / "out" / f"view_{n:04d}.png"), want) < 10, n


def test_fades_and_dissolves_are_in_linear_light() -> None:
    grey = np.full((2, 2, 3), 188, np.uint8)  # half of the light
    assert np.abs(faded(np.full((2, 2, 3), 255, np.uint8), 0.5, "black").astype(int) - grey).max() <= 1
    assert np.abs(unfaded(grey, 0.5, "black").astype(int) - 255).max() <= 1
    assert np.abs(unfaded(faded(grey, 0.4, "white"), 0.4, "white").astype(int) - grey).max() <= 4
    black, white = np.zeros((2, 2, 3), np.uint8), np.full((2, 2, 3), 255, np.uint8)
    assert np.abs(dissolved(black, white, 0.5).astype(int) - grey).max() <= 1


def test_a_stopped_run_goes_on_and_ends_with_the_same_bytes(engine: Engine, clip: Path,
                                                            capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    assert run(*command(clip, "whole")) == 0
    total, engine.calls, engine.stop_after = engine.calls, 0, 5
    assert run(*command(clip, "out")) == 130
    assert "the same command goes on" in capsys.readouterr().err
    there = {p.name: p.stat().st_mtime_ns for p in (clip / "out").glob("*.png")}
    before, engine.stop_after = engine.calls, 10**9
    assert there and run(*command(clip, "out")) == 0
    assert engine.calls == total and 0 < before < total
    for n in range(12):
        name = f"view_{n:04d}.png"
        assert (clip / "out" / name).read_bytes() == (clip / "whole" / name).read_bytes()
    assert all((clip / "out" / name).stat().st_mtime_ns == at for name, at in there.items())
    engine.calls = 0
    assert run(*command(clip, "out")) == 0 and engine.calls == 0


def test_a_key_painted_again_remakes_its_own_shot_alone(engine: Engine, clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*command(clip, "out")) == 0
    first = {n: (clip / "out" / f"view_{n:04d}.png").read_bytes() for n in range(12)}
    total, engine.calls = engine.calls, 0
    Image.fromarray(255 - painted(film_frame(7))).save(clip / "keys" / "000007.png")
    capsys.readouterr()
    assert run(*command(clip, "out")) == 2
    assert "other keys, masks or cuts for shots 2" in capsys.readouterr().err
    assert run(*command(clip, "out", "--again")) == 0
    assert 0 < engine.calls < total
    for n in range(12):
        assert ((clip / "out" / f"view_{n:04d}.png").read_bytes() == first[n]) == (n < CUT), n


def test_other_options_are_refused_until_again_and_named(engine: Engine, clip: Path,
                                                         capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    assert run(*command(clip, "out")) == 0
    assert run(*command(clip, "out", "--colour", "4")) == 2
    assert "colour 6.0 (now 4.0)" in capsys.readouterr().err
    assert run(*command(clip, "out", "--colour", "4", "--again")) == 0


def test_a_remake_that_was_stopped_goes_on_and_leaves_nothing_of_the_old(engine: Engine, clip: Path) -> None:
    assert run(*command(clip, "out")) == 0
    for n in (1, 7):
        Image.fromarray(255 - painted(film_frame(n))).save(clip / "keys" / f"{n:06d}.png")
    total, engine.calls, engine.stop_after = engine.calls, 0, 6
    assert run(*command(clip, "out", "--again")) == 130
    engine.stop_after = 10**9
    assert run(*command(clip, "out")) == 0 and engine.calls == total
    assert all(off(opened(clip / "out" / f"view_{n:04d}.png"), 255 - painted(film_frame(n))) < 9 for n in range(12))


def test_a_frame_that_somebody_has_retouched_stays(engine: Engine, clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*command(clip, "out")) == 0
    Image.fromarray(np.full((HEIGHT, WIDTH, 3), 99, np.uint8)).save(clip / "out" / "view_0003.png")
    (clip / "out" / "view_0004.png").unlink()
    assert run(*command(clip, "out", "--again")) == 0
    assert "1 frame was changed since it was made" in capsys.readouterr().out
    assert opened(clip / "out" / "view_0003.png").max() == 99 and (clip / "out" / "view_0004.png").is_file()


def test_shots_without_a_key_stay_as_they_are_and_are_painted_later(engine: Engine, clip: Path,
                                                                    capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    (clip / "keys" / "000007.png").rename(clip / "later.png")
    assert run(*command(clip, "out")) == 2
    assert "shot 2: frames 6 to 11 have no key" in capsys.readouterr().err
    assert run(*command(clip, "out", "--allow-missing")) == 0
    assert all(np.array_equal(opened(clip / "out" / f"view_{n:04d}.png"), film_frame(n)) for n in range(6, 12))
    (clip / "later.png").rename(clip / "keys" / "000007.png")
    assert run(*command(clip, "out")) == 0
    assert off(opened(clip / "out" / "view_0009.png"), painted(film_frame(9))) < 9


def test_the_films_own_colours_are_kept_where_a_mask_says_so(engine: Engine, clip: Path) -> None:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[:, 40:] = 255
    write_frames(clip / "faces", [mask] * 12)
    assert run(*command(clip, "plain")) == 0
    assert run(*command(clip, "kept", "--keep", "colour", "--keep-where", clip / "faces")) == 0
    for n in (3, 7):
        a, b = (opened(clip / name / f"view_{n:04d}.png") for name in ("plain", "kept"))
        assert np.array_equal(a[:, :40], b[:, :40]) and off(a[:, 40:], b[:, 40:]) > 5
        assert np.ptp(b[:, 50:].astype(int), axis=2).mean() < 0.5 * np.ptp(a[:, 50:].astype(int), axis=2).mean()  # greyer


def test_frames_of_before_colour_was_kept_to_the_pixel_are_known(engine: Engine, clip: Path,
                                                                 capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    for what in ("colour", "luminance"):
        record = clip / what / "options.json"
        assert run(*command(clip, what, "--keep", what)) == 0
        told = json.loads(record.read_text())
        assert told["common"]["options"].pop("coarse_px", None) == (0 if what == "colour" else None)
        record.write_text(json.dumps(told))
        capsys.readouterr()
        assert run(*command(clip, what, "--keep", what)) == (2 if what == "colour" else 0)
    assert run(*command(clip, "colour", "--keep", "colour")) == 2
    assert "was begun with other options: coarse_px none (now 0.0)" in capsys.readouterr().err
    assert run(*command(clip, "colour", "--keep", "colour", "--again")) == 0


def test_a_preview_is_one_sheet_and_nothing_else(engine: Engine, clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*command(clip, "out", "--preview", "3")) == 0
    assert "will take about" in capsys.readouterr().out and engine.calls == 3
    with Image.open(clip / "out.preview.png") as sheet:
        assert sheet.width > 900 and sheet.height > 600
    assert not (clip / "out").exists() and not (clip / "out.work").exists()
    assert run(*command(clip, "out", "--preview", "2")) == 0  # in the place of the older sheet
    Image.fromarray(film_frame(0)).save(clip / "out.preview.png")
    assert run(*command(clip, "out", "--preview", "2")) == 2


@pytest.mark.slow
def test_shots_in_processes_of_their_own_give_the_same_pictures_and_ctrl_c_is_heard(clip: Path) -> None:
    """With the engine itself, by a real command and a real signal."""
    words = [str(w) for w in command(clip, "two") if w not in ("--jobs", "1", "--threads")]
    command_line = [sys.executable, "-m", "tools.keyframes_propagate", *words, "--threads", "1", "--jobs"]
    process = subprocess.Popen([*command_line, "2"], cwd=Path(__file__).parents[1], stderr=subprocess.PIPE, text=True,
                               start_new_session=True)  # fmt: skip
    for _ in range(1200):
        if list((clip / "two").glob("*.png")) or process.poll() is not None:
            break
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode in (130, 0) and "Traceback" not in said
    assert run(*command(clip, "two", "--jobs", "2")) == 0
    assert run(*command(clip, "one")) == 0
    for n in range(12):
        name = f"view_{n:04d}.png"
        assert (clip / "two" / name).read_bytes() == (clip / "one" / name).read_bytes()
