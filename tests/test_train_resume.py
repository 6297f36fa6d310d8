"""Going on with a run, and with which not; stopping; what a part of a film and its cut list make of one another."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from tools.gan_train import main
from tools.train_step import Training

SMALL = ["--resolution", "16", "--z-dim", "8", "--w-dim", "8", "--mapping-layers", "2", "--channel-base", "64",
         "--channel-max", "8", "--batch", "4", "--z-batch", "2", "--precision", "float32", "--threads", "1", "--aug", "none",
         "--path-interval", "0", "--warmup", "0", "--device", "cpu"]  # fmt: skip
QUIET = [*SMALL, "--metrics", "none"]
CUTS = "# film: set\n# rate: 24/1\n# frames: 24\nshot,start,end,in,in_frames\n1,0,12,cut,0\n2,12,24,dissolve,3\n"


@pytest.fixture(autouse=True)
def no_report(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes longer than these runs; a test whose name tells of a report has one."""
    if "report" not in request.node.name:
        monkeypatch.setattr("tools.train_report.write_report", lambda _: None)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of 24 grey pictures, and cuts.csv beside it."""
    return folder_of(tmp_path / "set")


def folder_of(folder: Path, step: int = 9, channels: int = 1) -> Path:
    folder.mkdir()
    for i in range(24):
        picture = np.full((16, 16, channels), step * i, np.uint8)
        picture[4:8, 4:8] = 255 - step * i
        Image.fromarray(picture[..., 0] if channels == 1 else picture).save(folder / f"{i:02d}.png", compress_level=0)
    (folder.parent / "cuts.csv").write_text(CUTS)
    return folder


def files(run: Path) -> dict[str, bytes]:
    return {p.relative_to(run).as_posix(): p.read_bytes() for p in run.rglob("*") if p.is_file()}


def one_sentence(capsys: pytest.CaptureFixture[str], *parts: str) -> None:
    said = capsys.readouterr().err
    for part in parts:
        assert part in said, said
    assert "Traceback" not in said


@pytest.mark.parametrize("anchored", [True, False])
def test_a_cut_list_of_the_whole_film_goes_with_a_part_of_it(
    pictures: Path, anchored: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    run, cuts = pictures.parent / "run", str(pictures.parent / "cuts.csv")
    words = [
        str(pictures),
        "-o",
        str(run),
        *QUIET,
        "--cuts",
        cuts,
        "--start",
        "10",
        "--end",
        "20",
        *["--anchor"] * anchored,
    ]
    assert main([*words, "--minutes", "1", "--dry-run"]) == 0 and not run.exists()
    assert "10 pictures (7 used, 2 shots" in capsys.readouterr().out
    assert main([*words, "--kimg", "0.008"]) == 0
    if anchored:
        with np.load(run / "anchors.npz") as kept:
            assert np.flatnonzero(~kept["usable"]).tolist() == [2, 3, 4]  # the dissolve, 12 to 15 of the film


def test_a_refused_command_leaves_no_folder_behind_and_spares_one_that_was_there(
    pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, cuts = pictures.parent / "run", pictures.parent / "cuts.csv"
    cuts.write_text(CUTS.replace("24\n", "25\n").replace("12,24", "12,25"))
    words = [str(pictures), "-o", str(run), *QUIET, "--cuts", str(cuts), "--kimg", "0.008"]
    assert main(words) == 2 and not run.exists()
    one_sentence(capsys, "covers 25 frames, the pictures are 24")
    run.mkdir()
    (run / "notes.txt").write_text("mine")
    assert main(words) == 2 and files(run) == {"notes.txt": b"mine"}


def test_a_run_goes_on_though_its_pictures_were_moved_and_touched(pictures: Path) -> None:
    run = pictures.parent / "run"
    assert main([str(pictures), "-o", str(run), *QUIET, "--kimg", "0.008"]) == 0
    kept = files(run)
    moved = pictures.parent / "elsewhere" / "set"
    shutil.copytree(pictures, moved)
    os.utime(moved, (1, 1))
    assert main([str(moved), "-o", str(run), "--resume", "--kimg", "0.012"]) == 0
    assert all(files(run)[name] == kept[name] for name in ("dataset.u8", "dataset.json"))
    assert [p.name for p in sorted((run / "grids").iterdir())] == ["000000.000.png", "000000.008.png", "000000.012.png"]


@pytest.mark.parametrize("record", ["options.json", "dataset.json"])
def test_what_does_not_fit_the_run_is_refused_and_changes_no_byte_of_it(
    pictures: Path, record: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = pictures.parent / "run"
    assert main([str(pictures), "-o", str(run), *QUIET, "--kimg", "0.008"]) == 0
    if record == "dataset.json":  # of a run of older days
        told = json.loads((run / "options.json").read_text())
        del told["sources"]
        (run / "options.json").write_text(json.dumps(told))
    kept = files(run)
    other = folder_of(pictures.parent / "other", 7)
    (pictures.parent / "more").mkdir()
    longer = folder_of(pictures.parent / "more" / "set")
    shutil.copy(longer / "00.png", longer / "24.png")
    cases: list[tuple[Path, list[str], list[str]]] = [
        (other, [], [f"{other}: is other of", "was trained on set of"]), (longer, [], [f"{longer}: is set of", "set of"]),
        (pictures, ["--channel-max", "4"], ["--channel-max: 4, and the run in", "has 8"]),
        (pictures, ["--z-dim", "4", "--resolution", "32"], ["--z-dim: 4", "--resolution: 32", "has 16"]),
        (pictures, ["--end", "20"], ["--end: 20, and the run in", "was trained with none"]),
        (pictures, ["--channels", "3"], ["--channels: 3", "has 1"]),
    ]  # fmt: skip
    for path, more, told_of in cases:
        assert main([str(path), "-o", str(run), "--resume", "--kimg", "0.012", *more]) == 2
        one_sentence(capsys, *told_of)
        assert files(run) == kept, more


def test_a_state_of_other_sizes_or_with_values_that_are_not_finite_is_named(
    pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = pictures.parent / "run"
    assert main([str(pictures), "-o", str(run), *QUIET, "--kimg", "0.008"]) == 0
    path = run / "state.safetensors"
    kept, sound = load_file(path), path.read_bytes()
    head = {"counters": json.dumps({"pictures": 8, "iteration": 2, "turn": 2, "position": 8, "elapsed_s": 1})}
    name = "net.generator.synthesis.b16.conv1.weight"
    size = [*kept[name].shape]
    wider = torch.zeros(size[0] + 1, *size[1:])
    for tensors, told in (
        (
            {**kept, name: wider},
            f"synthesis.b16.conv1.weight of the generator is {[size[0] + 1, *size[1:]]} in it, and {size} here",
        ),
        ({k: v for k, v in kept.items() if k != name}, f"of the generator is missing in it, and {size} here"),
        ({**kept, name: torch.full(size, torch.nan)}, f"{name} holds values that are not finite"),
        ({**kept, "extra.path_mean": torch.tensor(torch.inf)}, "extra.path_mean holds values that"),
    ):
        save_file(tensors, path, metadata=head)
        before = files(run)
        assert main([str(pictures), "-o", str(run), "--resume", "--kimg", "0.012"]) == 2
        one_sentence(capsys, "state.safetensors: cannot be resumed from (", told)
        assert files(run) == before
    path.write_bytes(sound)
    assert main([str(pictures), "-o", str(run), "--resume", "--kimg", "0.012"]) == 0


def test_a_smaller_batch_needs_no_other_option_when_a_run_goes_on(pictures: Path) -> None:
    run = pictures.parent / "run"
    assert main([str(pictures), "-o", str(run), *QUIET, "--batch", "8", "--kimg", "0.008"]) == 0
    assert main([str(pictures), "-o", str(run), "--resume", "--batch", "4", "--kimg", "0.012"]) == 0


def interrupted_at(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    step, calls = Training.step, []

    def stopping(self: Training, gain: float = 1.0) -> dict[str, torch.Tensor]:
        calls.append(1)
        if len(calls) == number:
            os.kill(os.getpid(), signal.SIGINT)
        return step(self, gain)

    monkeypatch.setattr(Training, "step", stopping)


def test_a_stopped_run_has_a_report_and_says_the_next_command_as_a_shell_takes_it(
    pictures: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib", reason="the matplotlib package draws the report")
    run = pictures.parent / "my run; rm"
    interrupted_at(monkeypatch, 2)
    assert main([str(pictures), "-o", str(run), *SMALL, "--kimg", "1"]) == 130  # with metrics, but before the first
    assert f"go on with: cineml gan train {pictures} -o '{run}' --resume\n" in capsys.readouterr().out
    assert "Nothing measured yet" in (run / "report.html").read_text() and (run / "report.png").stat().st_size
    assert json.loads((run / "log.jsonl").read_text())["kimg"] == 0.008  # a run of seconds has a course


def test_a_run_without_metrics_has_a_report_at_its_end(pictures: Path) -> None:
    pytest.importorskip("matplotlib", reason="the matplotlib package draws the report")
    assert main([str(pictures), "-o", str(pictures.parent / "run"), *QUIET, "--kimg", "0.004"]) == 0
    assert (pictures.parent / "run" / "report.html").stat().st_size and (
        pictures.parent / "run" / "report.png"
    ).stat().st_size


def test_ctrl_c_ends_a_measurement_and_keeps_the_training(
    pictures: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def slow(_generator: Any, _real: Any, folder: Path, **_more: Any) -> dict[str, float]:
        (folder / "nearest.png.part").write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(2000):
            time.sleep(0.01)
        raise AssertionError("it went on measuring")

    monkeypatch.setattr("tools.metrics_measure.measure", slow)
    for name, more, told in (
        ("between", ["--metrics-minutes", "0.00001", "--kimg", "1"], "go on with: cineml gan train"),
        ("end", ["--kimg", "0.004"], "trained to the end, not measured; measure with: cineml gan metrics"),
    ):
        run = pictures.parent / name
        assert main([str(pictures), "-o", str(run), *SMALL, "--metrics", "swd", *more]) == 130
        said = capsys.readouterr().out
        assert said.count("stopped measuring; what is trained is kept") == 1 and told in said
        assert (
            (run / "state.safetensors").is_file()
            and not (run / "metrics.jsonl").exists()
            and not list(run.glob("*.part"))
        )
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_inception_weights_are_tried_before_training(pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, broken = pictures.parent / "run", pictures.parent / "inception.onnx"
    broken.write_bytes(b"no network")
    for path, told in ((broken, "cannot be read by onnxruntime"), (pictures.parent / "none.onnx", "does not exist")):
        for more in ([], ["--dry-run"]):
            words = [
                str(pictures),
                "-o",
                str(run),
                *SMALL,
                "--metrics",
                "kid,fid",
                "--inception",
                str(path),
                "--kimg",
                "0.004",
            ]
            assert main([*words, *more]) == 2 and not run.exists()
            one_sentence(capsys, told)


def test_pictures_with_alpha_keep_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = folder_of(tmp_path / "set", channels=4)
    assert main([str(folder), "-o", str(tmp_path / "run"), *QUIET, "--kimg", "0.004"]) == 0
    assert "16x16, colour with alpha;" in capsys.readouterr().out
    assert json.loads((tmp_path / "run" / "options.json").read_text())["generator"]["channels"] == 4
    with Image.open(tmp_path / "run" / "grids" / "000000.000.png") as grid:
        assert grid.mode == "RGBA"
