"""Bad input to `cineml keyframes propagate`: a sentence, exit 2, and nothing of anybody's is lost."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("cv2")
pytest.importorskip("numba")

from tests.painted_clip import HEIGHT, WIDTH, Engine, frame, opened, painted, stand_in, write_frames
from tools import keyframes_propagate
from tools.keyframes_options import arguments, shared_out

PLAIN = ("--preset", "draft", "--threads", "1", "--jobs", "1", "--deflicker", "0")


def run(*argv: object) -> int:
    return keyframes_propagate.main([str(a) for a in argv])


@pytest.fixture(autouse=True)
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    return stand_in(monkeypatch)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """frames/ (5, one shot) and keys/ (of frame 2)."""
    write_frames(tmp_path / "frames", [frame(n) for n in range(5)])
    (tmp_path / "keys").mkdir()
    Image.fromarray(painted(frame(2))).save(tmp_path / "keys" / "000002.png")
    return tmp_path


@pytest.fixture
def go(clip: Path) -> Callable[..., int]:
    def made(*more: object, keys: str = "keys", out: str = "out") -> int:
        return run(clip / "frames", "--keys", clip / keys, "-o", clip / out, *PLAIN, *more)

    return made


def said(capsys: pytest.CaptureFixture[str]) -> str:
    got = capsys.readouterr()
    assert "Traceback" not in got.err
    return got.err


@pytest.mark.parametrize(("words", "text"), [
    (("--position", "-1"), "--position: -1"), (("--deflicker", "2"), "--deflicker: 2"), (("--jobs", "-1"), "--jobs: -1"),
    (("--preview", "0"), "--preview: 0"), (("--start", "9"), "is frame 9"), (("--start", "3", "--end", "2"), "not after"),
    (("--captions", "x.srt"), "PNGs are to be written"), (("--keep-amount", "0.5"), "without --keep"),
    (("--colour", "nan"), "--colour: nan"), (("--cuts", "nothing.csv"), "cannot be read"),
    (("--masks", "nothing"), "does not exist"),
])  # fmt: skip
def test_an_option_that_is_wrong_costs_a_sentence(go: Callable[..., int], clip: Path, capsys: pytest.CaptureFixture[str],
                                                  words: tuple[str, ...], text: str) -> None:  # fmt: skip
    assert go(*words) == 2
    assert text in said(capsys)
    assert not (clip / "out").exists() and not (clip / "out.work").exists()


def test_all_problems_are_said_at_once(go: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert go("--position", "-1", "--jobs", "-1", "--cuts", "nothing.csv") == 2
    assert len(said(capsys).splitlines()) == 3


@pytest.mark.parametrize(("out", "text"), [
    ("frames", "is the film, which would be lost"), ("keys", "is the keys, which would be lost"),
    ("frames/out", "would lie among"), ("keys/out", "would lie among"), ("no/out", "is not there"),
    ("file", "is a file"), ("out.avi", "ends in '.avi'"), ("folder.mp4", "is a folder"),
])  # fmt: skip
def test_a_place_where_something_would_be_lost_is_refused(go: Callable[..., int], clip: Path, out: str, text: str,
                                                          capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    (clip / "file").write_text("mine")
    (clip / "folder.mp4").mkdir()
    before = {p: p.read_bytes() for p in clip.rglob("*") if p.is_file()}
    assert go(out=out) == 2
    assert text in said(capsys)
    assert {p: p.read_bytes() for p in clip.rglob("*") if p.is_file()} == before


def test_a_folder_with_frames_of_somebody_elses_is_refused(go: Callable[..., int], clip: Path,
                                                           capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    write_frames(clip / "out", [frame(0)])
    assert go() == 2 and "has not written (000000.png)" in said(capsys)
    assert go("--again") == 2 and np.array_equal(opened(clip / "out" / "000000.png"), frame(0))


def test_a_film_and_a_record_of_somebody_elses_stay(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (clip / "out.mp4").write_bytes(b"a film of mine")
    words = (clip / "frames", "--keys", clip / "keys", "-o", clip / "out.mp4", *PLAIN)
    for more in ((), ("--again",)):
        assert run(*words, *more) == 2
        assert "not as this command wrote it" in said(capsys) and (clip / "out.mp4").read_bytes() == b"a film of mine"
    (clip / "out.mp4").unlink()
    (clip / "out.mp4.json").write_text('{"mine": 1}')
    assert run(*words) == 2 and "is not this command's" in said(capsys)
    assert json.loads((clip / "out.mp4.json").read_text()) == {"mine": 1}


def test_a_key_of_a_frame_that_does_not_exist_is_looked_for_or_named(go: Callable[..., int], clip: Path,
                                                                     capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    (clip / "keys" / "000002.png").rename(clip / "keys" / "000900.png")
    assert go() == 0
    assert "the film has no frame 900; by what it shows it is frame 2" in capsys.readouterr().out
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)).save(clip / "keys" / "noise.png")
    assert go(out="other") == 2
    assert "noise.png: belongs to no frame: its name has no number, and it looks like none" in said(capsys)
    assert go("--allow-missing", out="other") == 0
    assert "left out" in capsys.readouterr().out


def test_two_keys_of_one_frame_and_broken_keys_are_named_together(go: Callable[..., int], clip: Path,
                                                                  capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    Image.fromarray(painted(frame(2))).save(clip / "keys" / "key_2.png")
    assert go() == 2 and "000002.png, key_2.png are all of frame 2" in said(capsys)
    (clip / "keys" / "key_2.png").unlink()
    (clip / "keys" / "3.png").write_bytes(b"no picture")
    (clip / "keys" / "4.png").write_bytes(b"")
    assert go() == 2
    text = said(capsys)
    assert "3.png: cannot be read" in text and "4.png: cannot be read" in text


def test_keys_that_nobody_has_painted_on_are_left_out(go: Callable[..., int], clip: Path,
                                                      capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    Image.fromarray(frame(4)).save(clip / "keys" / "000004.png")
    assert go() == 0
    assert "1 key (000004.png) is the film's own, not painted on" in capsys.readouterr().out
    (clip / "keys" / "000002.png").unlink()
    assert go(out="other") == 2 and "all are the film's own frames" in said(capsys)


def test_keys_of_another_size_and_with_alpha_cost_a_message_each(go: Callable[..., int], clip: Path,
                                                                 capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    rgba = np.dstack([painted(frame(2)), np.full((HEIGHT, WIDTH), 255, np.uint8)])
    rgba[:, 40:, 3] = 0
    Image.fromarray(rgba).resize((3 * WIDTH, 3 * HEIGHT)).save(clip / "keys" / "000002.png")
    before = (clip / "keys" / "000002.png").read_bytes()
    assert go() == 0
    out = capsys.readouterr().out
    assert out.count("resized to 64x48") == 1 and "1 key (000002.png) is transparent in parts" in out
    assert np.abs(opened(clip / "out" / "000002.png")[:, 44:].astype(int) - frame(2)[:, 44:]).mean() < 3
    assert (clip / "keys" / "000002.png").read_bytes() == before


def test_masks_of_another_size_are_used(go: Callable[..., int], clip: Path, engine: Engine,
                                        capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    (clip / "masks").mkdir()
    for n in range(5):
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        mask[16:36, 6 + 2 * n : 22 + 2 * n] = 255
        Image.fromarray(mask).resize((2 * WIDTH, 2 * HEIGHT), Image.Resampling.NEAREST).save(clip / "masks" / f"{n}.png")
    Image.fromarray(mask).save(clip / "masks" / "77.png")
    engine.masks = []
    assert go("--masks", clip / "masks") == 0
    out = capsys.readouterr().out
    assert "masks have another size" in out and "1 mask (77.png) is of no frame of the film" in out
    assert all(own is not None and theirs is not None and own.shape == (HEIGHT, WIDTH) for own, theirs in engine.masks)
    assert any(np.array_equal(theirs[20, 6:9] > 0, [True, True, True]) for _, theirs in engine.masks)


def test_a_full_disk_costs_a_sentence_and_the_same_command_goes_on(go: Callable[..., int], clip: Path, engine: Engine,
                                                                   monkeypatch: pytest.MonkeyPatch,
                                                                   capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    write, room = Path.write_bytes, [6]

    def full(self: Path, data: Any) -> int:
        room[0] -= 1
        if room[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(self, data)

    with monkeypatch.context() as m:
        m.setattr(Path, "write_bytes", full)
        assert go() == 2
    text = said(capsys)
    assert "No space left on device" in text and len(text.splitlines()) <= 3
    assert go() == 0  # the fifth is the one for which there was no room
    assert engine.calls == 5 and len(list((clip / "out").glob("*.png"))) == 5


def test_a_damaged_film_costs_a_sentence(clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "film.mp4").write_bytes(b"no film")
    for film, text in (("film.mp4", "film.mp4"), ("nothing.mp4", "does not exist")):
        assert run(tmp_path / film, "--keys", clip / "keys", "-o", clip / "out", *PLAIN) == 2
        assert text in said(capsys)


def test_a_cut_list_of_another_film_is_refused(go: Callable[..., int], clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (clip / "c.csv").write_text("# rate: 24/1\n# frames: 9\nshot,start,end\n1,0,9\n")
    assert go("--cuts", clip / "c.csv") == 2 and "covers 9 frames" in said(capsys)


def test_help_has_real_examples_and_shares_the_cores_out() -> None:
    text = arguments().format_help()
    assert text.count("cineml keyframes propagate ") >= 3
    args = arguments().parse_args(["f", "--keys", "k", "-o", "o", "--jobs", "3"])
    assert shared_out(args, 2)[0] == 2 and shared_out(args, 9)[0] == 3 and shared_out(args, 1)[1] >= 1


def test_where_every_frame_is_painted_nothing_is_made(go: Callable[..., int], clip: Path, engine: Engine) -> None:
    write_frames(clip / "all", [painted(frame(n)) for n in range(5)])
    assert go(keys="all") == 0 and engine.calls == 0
    assert all(np.array_equal(opened(clip / "out" / f"{n:06d}.png"), painted(frame(n))) for n in range(5))
    assert go("--preview", "2", keys="all", out="other") == 2  # there is nothing to look at
