"""What lies where `cineml keyframes propagate` and `paint` write: nothing of a person's is written over or deleted, a corrected
cut list counts, and what is wrong is said before the work."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("cv2")
pytest.importorskip("numba")

from player.show.cut_list import read_csv
from tests.painted import write_painting
from tests.painted_clip import (
    CUT,
    FRAMES,
    Engine,
    film_frame,
    frame,
    opened,
    stand_in,
    write_clip,
    write_cuts,
    write_frames,
)
from tools import keyframes_paint, keyframes_propagate, paint_keys
from tools.keyframes_output import differences

PLAIN = ("--preset", "draft", "--threads", "1", "--jobs", "1", "--deflicker", "0")


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    return stand_in(monkeypatch)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path)


@pytest.fixture
def go(engine: Engine, clip: Path) -> Callable[..., int]:
    def made(*more: object, out: str = "out", cuts: bool = True) -> int:
        given = ("--cuts", clip / "cuts.csv") if cuts else ()
        words = (clip / "frames", "--keys", clip / "keys", "-o", clip / out, *PLAIN, *given, *more)
        return keyframes_propagate.main([str(w) for w in words])

    return made


def said(capsys: pytest.CaptureFixture[str]) -> str:
    got = capsys.readouterr()
    assert "Traceback" not in got.err
    return got.err + got.out


# --- files of a person's


@pytest.mark.parametrize("name", ["out/frames.csv", "out.mp4.frames.csv"])
def test_a_table_of_somebody_elses_is_refused_and_stays(name: str, go: Callable[..., int], clip: Path,
                                                        capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    (clip / name).parent.mkdir(exist_ok=True)
    (clip / name).write_text("frame,what I think of it\n1,good\n")
    assert go(out="out" if "/" in name else "out.mp4") == 2
    assert "is not this command's" in said(capsys) and (clip / name).read_text().endswith("good\n")


def test_pictures_and_notes_in_the_work_folder_stay(go: Callable[..., int], clip: Path) -> None:
    mine = [clip / "out.work" / name for name in ("s0001-backup/a.png", "halves/a.png", "s0002/k000001-on.npz", "log-notes.tsv",
                                                  "s0001-0123456789ab/k1.png")]  # fmt: skip
    for path in mine:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"of a person")
    ours = clip / "out.work" / "s0001-aaaaaaaaaaaa" / "k000001-f000002.npz"
    half = clip / "out.work" / "halves" / "000006-aaaaaaaaaaaa.png"
    ours.parent.mkdir()
    for path in (ours, half):
        path.write_bytes(b"left over")
    assert go() == 0
    assert all(path.read_bytes() == b"of a person" for path in mine)
    assert not ours.exists() and not ours.parent.exists() and not half.exists()


def test_a_log_with_a_line_cut_off_by_a_kill_loses_that_line_alone(go: Callable[..., int], clip: Path, engine: Engine) -> None:
    engine.stop_after = 3
    assert go() == 130
    (log,) = (clip / "out.work").glob("log-s0001.tsv")
    there = len(list((clip / "out").glob("*.png")))
    with log.open("ab") as file:
        file.write("4\tü".encode()[:-1])
    engine.stop_after = 4
    assert go() == 130 and len(list((clip / "out").glob("*.png"))) >= there
    engine.stop_after = 10**9
    assert go() == 0


def test_a_finished_film_is_not_replaced_by_a_part_of_it(go: Callable[..., int], clip: Path, engine: Engine,
                                                         capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    assert go("--end", "8", out="out.mp4") == 0
    assert go(out="out.mp4") == 0, "more than before loses nothing"
    whole, calls = (clip / "out.mp4").read_bytes(), engine.calls
    assert go("--end", "5", out="out.mp4") == 2
    assert "holds frames 0 to 11, and 0 to 4 are asked for" in said(capsys) and (clip / "out.mp4").read_bytes() == whole
    assert go("--end", "5", "--again", out="out.mp4") == 0
    assert (clip / "out.mp4").read_bytes() != whole and engine.calls == calls, "the frames were there"


# --- the cut list that was found


def test_a_corrected_cut_list_is_used_and_stays(go: Callable[..., int], clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert go(cuts=False) == 0
    found = clip / "out" / "cuts.csv"
    assert str(found) in said(capsys) and read_csv(found).shots[1].start == CUT
    assert go(cuts=False) == 0 and "as they were found" in said(capsys)
    text = found.read_text().replace(f"1,0,{CUT}", "1,0,4").replace(f"2,{CUT},", "2,4,")
    found.write_text(text)
    assert go(cuts=False) == 2, "another list makes other frames"
    assert "--again" in said(capsys)
    assert go("--again", cuts=False) == 0
    assert "is used, as somebody has left it" in said(capsys) and found.read_text() == text
    rows = (clip / "out" / "frames.csv").read_text().splitlines()
    assert [rows[n + 1].split(",")[2] for n in (3, 4)] == ["1", "2"]


def test_a_found_list_stands_beside_a_film_and_not_in_what_may_be_deleted(go: Callable[..., int], clip: Path) -> None:
    assert go(out="out.mp4", cuts=False) == 0
    assert len(read_csv(clip / "out.mp4.cuts.csv").shots) == 2 and not (clip / "out.mp4.work" / "cuts.csv").exists()


def test_a_list_that_is_none_is_said_before_the_work(go: Callable[..., int], clip: Path, engine: Engine,
                                                     capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    (clip / "out").mkdir()
    (clip / "out" / "cuts.csv").write_text("my shopping list")
    assert go(cuts=False) == 2 and "is no cut list that can be used" in said(capsys)
    assert engine.calls == 0 and (clip / "out" / "cuts.csv").read_text() == "my shopping list"
    assert go() == 0 and (clip / "out" / "cuts.csv").read_text() == "my shopping list"


def test_a_found_list_of_an_older_film_is_looked_for_anew(go: Callable[..., int], clip: Path) -> None:
    assert go(cuts=False) == 0
    before = (clip / "out" / "cuts.csv").read_text()
    Image.fromarray(film_frame(0) // 2 + 60).save(clip / "frames" / "000000.png")
    assert go("--again", cuts=False) == 0
    after = (clip / "out" / "cuts.csv").read_text()
    assert after != before and after.splitlines()[1:] == before.splitlines()[1:]


def test_a_list_that_counts_otherwise_than_the_frames_is_said(go: Callable[..., int],
                                                              capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    assert go("--rate", "25") == 0
    assert "counts 24 frames a second, frames 25" in said(capsys)


# --- what is said


def test_every_key_is_said_with_its_frame_and_what_looks_like_another(go: Callable[..., int], clip: Path,
                                                                      capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    assert go() == 0
    told = said(capsys)
    assert "keys: 000001.png is frame 1, 000007.png is frame 7" in told and "looks far more like" not in told
    (clip / "keys" / "000001.png").rename(clip / "keys" / "IMG_0010.png")
    (clip / "keys" / "000007.png").rename(clip / "keys" / "2.png")
    assert go(out="other") == 0
    told = said(capsys)
    assert "IMG_0010.png is taken for frame 10" in told and "looks far more like frame 1 " in told
    assert "2.png is taken for frame 2" in told and "looks far more like frame 7 " in told


def test_where_a_shot_has_no_key_the_others_frames_are_said(go: Callable[..., int], clip: Path,
                                                            capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    (clip / "keys" / "000007.png").rename(clip / "keys" / "scan 3.png")
    assert go() == 2
    told = said(capsys)
    assert "shot 2: frames 6 to 11 have no key" in told and "looks far more like frame 7 " in told


def test_frames_of_a_dissolve_are_counted_once(go: Callable[..., int], clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_cuts(clip / "cuts.csv", "dissolve", 3)
    (clip / "keys" / "000007.png").rename(clip / "keys" / "000010.png")
    assert go() == 0 and "12 frames of 64x48 in 2 shots" in said(capsys)


def test_nothing_is_said_where_nothing_was() -> None:
    assert differences({"options": {"keep": "", "seed": 1}}, {"options": {"keep": "colour", "seed": 2}}) \
        == "options: keep none (now colour), seed 1 (now 2)"  # fmt: skip


def test_stopped_it_says_where_the_frames_are(go: Callable[..., int], clip: Path, engine: Engine,
                                              capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    engine.stop_after = 3
    assert go() == 130 and f"frames are in {clip / 'out'}" in said(capsys)


def test_the_preview_keeps_what_the_film_will_keep(go: Callable[..., int], clip: Path) -> None:
    mask = np.zeros((48, 64), np.uint8)
    mask[:, 32:] = 255
    write_frames(clip / "faces", [mask] * FRAMES)
    sheets = {}
    for name, more in (("plain", ()), ("kept", ("--keep", "colour")),
                       ("where", ("--keep", "colour", "--keep-where", clip / "faces"))):  # fmt: skip
        assert go("--preview", "2", *more, out=name) == 0
        sheets[name] = opened(clip / f"{name}.preview.png")[60:260, 340:600].astype(int)  # the painted column
    colour = {name: np.ptp(part, axis=2) for name, part in sheets.items()}
    assert colour["kept"].mean() < 0.5 * colour["plain"].mean()
    assert np.array_equal(sheets["where"][:, :80], sheets["plain"][:, :80])
    assert colour["where"][:, 180:].mean() < 0.5 * colour["plain"][:, 180:].mean()


@pytest.mark.parametrize("option", ["film", "-o", "--keys", "--masks", "--cuts", "--captions", "--sound"])
def test_a_name_that_is_too_long_costs_a_sentence(option: str, clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = {"film": clip / "frames", "--keys": clip / "keys", "-o": clip / "out.mp4"} | {option: clip / (300 * "x" + ".mp4")}
    flat = [str(words.pop("film")), *(str(w) for pair in words.items() for w in pair)]
    assert keyframes_propagate.main(flat) == 2
    told = said(capsys)
    assert "bytes long in one name" in told and len(told) < 300


def test_a_sound_that_is_none_is_said_before_the_work(go: Callable[..., int], clip: Path, engine: Engine,
                                                      capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    (clip / "t.wav").write_text("no sound")
    for name in ("t.wav", "none.wav"):
        assert go("--sound", clip / name, out="out.mp4") == 2 and "--sound" in said(capsys)
    assert engine.calls == 0 and not (clip / "out.mp4.work").exists()


# --- processes of their own


WORKING = """
import multiprocessing, os, time
from types import SimpleNamespace
from tools import keyframes_run

def make_shot(job, tell):
    print(os.getpid(), flush=True)
    time.sleep(600)

keyframes_run.make_shot = make_shot  # in the process that is started too, which reads this file again
if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    tasks, events = context.Queue(), context.Queue()
    tasks.put(SimpleNamespace(shot=SimpleNamespace(number=1)))
    context.Process(target=keyframes_run._work, args=(tasks, events), daemon=True).start()
    time.sleep(600)
"""


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2][:3] if Path("/proc").is_dir() else True


@pytest.mark.skipif(sys.platform == "win32", reason="by signals")
def test_workers_end_with_the_one_who_started_them(tmp_path: Path) -> None:
    (tmp_path / "working.py").write_text(WORKING)
    root = Path(__file__).parents[1]
    parent = subprocess.Popen([sys.executable, tmp_path / "working.py"], cwd=root, stdout=subprocess.PIPE, text=True,
                              env={**os.environ, "PYTHONPATH": str(root)})  # fmt: skip
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert lives(child)
    parent.send_signal(signal.SIGKILL)
    parent.wait(60)
    until = time.monotonic() + 60
    while lives(child) and time.monotonic() < until:
        time.sleep(0.1)
    gone = not lives(child)
    if not gone:
        os.kill(child, signal.SIGKILL)
    assert gone


def test_ctrl_c_waits_until_processes_are_started_and_they_never_hear_it() -> None:
    from tools.keyframes_run import _deaf

    code = "import signal; print(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []))"
    got = ""
    with pytest.raises(KeyboardInterrupt), _deaf():
        signal.raise_signal(signal.SIGINT)
        if hasattr(signal, "pthread_sigmask"):
            got = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert got.strip() in ("True", "") and signal.getsignal(signal.SIGINT) is signal.default_int_handler


# --- paint


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("given")
    return write_painting(folder, FRAMES, CUT)


def paint(given: Path, out: Path, *more: object, style: object = "painting.png") -> int:
    words = [given / "film.mp4", "--style", given / str(style), "-o", out, "--preset", "draft", "--turns", 1, "--threads", 1,
             "--jobs", 1, *more]  # fmt: skip
    return keyframes_paint.main([str(w) for w in words])


@pytest.mark.parametrize("name", ["compare.png", "options.json", "cuts.csv"])
def test_files_of_somebody_elses_beside_the_keys_stay(name: str, given: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                      capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    monkeypatch.setattr(paint_keys, "synthesise", None)
    (tmp_path / "out.paint").mkdir()
    (tmp_path / "out.paint" / name).write_text("mine")
    assert paint(given, tmp_path / "out.mp4", "--compare", "--compare-frames", 1, "--stop-after", "keys") == 2
    told = said(capsys)
    assert name in told and all(line.startswith("cineml: ") for line in told.splitlines())
    assert (tmp_path / "out.paint" / name).read_text() == "mine"


def test_its_own_sheet_and_record_are_replaced(given: Path, tmp_path: Path) -> None:
    for _ in range(2):
        assert paint(given, tmp_path / "out", "--compare", "--compare-frames", 1, "--stop-after", "keys") == 0


def test_a_corrected_list_of_paint_is_used(given: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert paint(given, out, "--stop-after", "keys") == 0
    cuts = out / "paint" / "cuts.csv"
    assert str(cuts) in said(capsys) and [s.start for s in read_csv(cuts).shots] == [0, CUT]
    text = cuts.read_text().replace(f"1,0,{CUT}", "1,0,3").replace(f"2,{CUT},", "2,3,")
    cuts.write_text(text)
    assert paint(given, out, "--keys-at", "1,2", "--stop-after", "keys") == 0, "key 6 or later is there for shot 2"
    assert "is used, as somebody has left it" in said(capsys) and cuts.read_text() == text


def test_the_whole_film_follows_a_part_of_it(given: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert paint(given, out, "--start", 8, "--end", 11) == 0
    assert [s.start for s in read_csv(out / "paint" / "cuts.csv").shots] == [0, CUT]
    assert paint(given, out, "--every", 4) == 0, said(capsys)
    assert len(list(out.glob("*.png"))) == FRAMES


def test_what_can_be_said_at_once_is_said_before_a_key_is_painted(given: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                                  capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    monkeypatch.setattr(paint_keys, "synthesise", None)
    (tmp_path / "theirs.mp4").write_bytes(b"a film")
    write_frames(tmp_path / "theirs", [frame(0)])
    (tmp_path / "t.srt").write_text("no captions")
    (tmp_path / "empty").mkdir()
    before = sorted(tmp_path.rglob("*"))
    for out, more, text in (("out", ("--masks", "nomasks"), "does not exist"),
                            ("out", ("--masks", tmp_path / "empty"), "holds no"),
                            ("theirs.mp4", (), "not as this command wrote it"), ("theirs", (), "has not written (000000.png)"),
                            ("out.mp4", ("--captions", tmp_path / "t.srt"), "t.srt"),
                            ("out.mp4", ("--sound", "none.wav"), "none.wav"),
                            ("theirs", ("--style", "none.png"), "none.png")):  # fmt: skip
        assert paint(given, tmp_path / out, *more) == 2, more
        assert text in said(capsys)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_name_that_is_too_long_or_no_painting_costs_paint_a_sentence(given: Path, tmp_path: Path,
                                                                       capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    assert paint(given, tmp_path / (300 * "x")) == 2 and "bytes long in one name" in said(capsys)
    assert paint(given, tmp_path / "out", style=300 * "x") == 2 and "bytes long in one name" in said(capsys)
    assert paint(given, tmp_path / "out", style="film.mp4") == 2
    assert "of a kind that is not known here" in (told := said(capsys)) and "BytesIO" not in told
