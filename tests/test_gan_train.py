"""The training command on a tiny film, in process: its files, resume, growing, bad input."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from models.checkpoint import file_sha256, load_checkpoint, read_description
from models.stylegan2 import Generator
from tools.gan_train import film_sha256, main
from tools.train_dataset import load_dataset

FRAMES = 24
SMALL = ["--resolution", "16", "--z-dim", "8", "--w-dim", "8", "--mapping-layers", "2", "--channel-base", "64",
         "--channel-max", "8", "--batch", "4", "--z-batch", "2", "--precision", "float32", "--threads", "1",
         "--path-interval", "2", "--warmup", "0", "--metrics", "none", "--device", "cpu"]  # fmt: skip


@pytest.fixture(autouse=True)
def no_report(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes longer than these runs; a test whose name tells of a report has one."""
    if "report" not in request.node.name:
        monkeypatch.setattr("tools.train_report.write_report", lambda _: None)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A 4:3 film of 24 frames: a white square that walks over grey, then (after a cut) over white."""
    import av

    path = tmp_path_factory.mktemp("film") / "film.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=24, options={"crf": "10"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for i in range(FRAMES):
            picture = np.full((48, 64), 110 if i < 12 else 200, np.uint8)
            picture[16:32, 2 * i : 2 * i + 14] = 250 if i < 12 else 20
            frame = av.VideoFrame.from_ndarray(np.repeat(picture[..., None], 3, axis=2), format="rgb24")
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    (path.parent / "cuts.csv").write_text(
        "# film: film.mp4\n# rate: 24/1\n# frames: 24\nshot,start,end,in,in_frames\n1,0,12,cut,0\n2,12,24,dissolve,3\n"
    )
    return path


def train(film: Path, run: Path, *more: str) -> int:
    """Anchored training, as the demo is trained."""
    return main([str(film), "-o", str(run), *SMALL, "--anchor", "--cuts", str(film.parent / "cuts.csv"), *more])


def test_a_run_leaves_checkpoint_codes_grid_log_and_options(film: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert train(film, run, "--kimg", "0.03", "--half") == 0
    made = load_checkpoint(run / "checkpoint")
    assert made.geometry == {"film": [64, 48], "crop": [0, 0, 64, 48], "inner": [0, 2, 16, 12]}
    assert made.discriminator is not None and made.run["anchored"] is True
    anchors = np.load(run / "anchors.npz", allow_pickle=False)
    assert anchors["codes"].shape == (FRAMES, 8) and anchors["codes"].dtype == np.float32
    assert anchors["frames"].tolist() == list(range(FRAMES))
    assert np.flatnonzero(~anchors["usable"]).tolist() == [12, 13, 14]  # the dissolve
    assert np.array_equal(anchors["codes"][12], anchors["codes"][15])  # held from its own shot, not from the one before
    assert list((run / "grids").glob("*.png"))
    assert json.loads((run / "options.json").read_text())["recipe"]["batch"] == 4
    assert not list(run.glob("*.part*"))


def test_a_resumed_run_is_the_same_run(film: Path, tmp_path: Path) -> None:
    through, halves = tmp_path / "through", tmp_path / "halves"
    # The rates fall with progress, so both runs aim at the same end: the first half is cut short by its own kimg.
    assert train(film, through, "--kimg", "0.04", "--decay", "1e-9") == 0
    assert train(film, halves, "--kimg", "0.02", "--decay", "1e-9") == 0
    assert train(film, halves, "--kimg", "0.04", "--decay", "1e-9", "--resume") == 0
    one, two = load_file(through / "state.safetensors"), load_file(halves / "state.safetensors")
    assert one.keys() == two.keys()
    for name in one:
        assert torch.equal(one[name], two[name]), name


def test_anchored_training_can_be_augmented_too(film: Path, tmp_path: Path) -> None:
    strong = ["--aug", "ada", "--p", "0.5", "--augment-kimg", "1", "--kimg", "0.05"]
    assert train(film, tmp_path / "run", *strong) == 0
    assert float(load_file(tmp_path / "run" / "state.safetensors")["extra.p"]) != 0.5


def test_growing_keeps_every_lower_block_and_the_codes(film: Path, tmp_path: Path) -> None:
    assert train(film, tmp_path / "small", "--kimg", "0.01") == 0
    more = [*SMALL, "--anchor", "--resolution", "32", "--grow-from", str(tmp_path / "small"), "--kimg", "0.0001",
            "--lr", "1e-12", "--code-lr", "1e-12", "--mapping-lr", "1e-12"]  # fmt: skip
    assert main([str(film), "-o", str(tmp_path / "big"), *more]) == 0
    small, big = load_checkpoint(tmp_path / "small" / "checkpoint"), load_checkpoint(tmp_path / "big" / "checkpoint")
    assert big.generator.config.resolution == 32 and big.run["grown_from"] == small.sha256
    grown = big.generator.state_dict()
    for name, value in small.generator.state_dict().items():
        if "w_avg" not in name:
            assert torch.allclose(value, grown[name], atol=1e-5), name
    codes = [np.load(tmp_path / r / "anchors.npz")["codes"] for r in ("small", "big")]
    assert np.allclose(codes[0], codes[1], atol=1e-5)


def test_training_from_z_alone_works_on_a_folder_of_pictures(film: Path, tmp_path: Path) -> None:
    from PIL import Image

    folder = tmp_path / "pictures"
    folder.mkdir()
    for i, image in enumerate(load_dataset(film, None, 16, 3).images):
        Image.fromarray(image.transpose(1, 2, 0)).save(folder / f"{i:03d}.png")
    run = tmp_path / "run"
    assert main([str(folder), "-o", str(run), *SMALL, "--channels", "3", "--kimg", "0.012"]) == 0
    assert load_checkpoint(run / "checkpoint").generator.config.channels == 3
    assert not (run / "anchors.npz").exists()


def test_a_dry_run_writes_nothing(film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(film, tmp_path / "run", "--minutes", "1", "--dry-run") == 0
    assert "pictures a second" in capsys.readouterr().out
    assert not (tmp_path / "run").exists()


def test_stopping_keeps_a_snapshot_and_says_how_to_go_on(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from tools.train_anchored import AnchoredTraining

    step, calls = AnchoredTraining.step, []

    def interrupted(self: AnchoredTraining, gain: float = 1.0) -> dict[str, torch.Tensor]:
        calls.append(1)
        if len(calls) > 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(self, gain)

    monkeypatch.setattr(AnchoredTraining, "step", interrupted)
    assert train(film, tmp_path / "run", "--minutes", "60") == 130
    assert "--resume" in capsys.readouterr().out
    load_checkpoint(tmp_path / "run" / "checkpoint")
    assert len(calls) == 4 and train(film, tmp_path / "run", "--resume", "--kimg", "0.001") == 0
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL  # as it was before


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--resolution", "48"], "--resolution: 48; allowed: a power of two from 8 to 1024"),
        (["--augment-groups", "xyz"], "--augment-groups: 'xyz'; allowed: letters of bgc"),
        (["--seed", "-1"], "--seed: -1; allowed: 0 to"),
        (["--cuts", "nowhere.csv"], "nowhere.csv: cannot be read"),
        (["--batch", "6", "--kimg", "-1"], "--kimg: -1.0; allowed: more than 0"),
        (["--resume"], "holds no run to resume"),
        (["--start", "20", "--end", "10"], "--end"),
        (["--start", "23"], "holds 1 pictures"),
        (["--grow-from", "nowhere"], "no checkpoint folder"),
        (["--device", "abacus"], "--device: abacus"),
    ],
)
def test_bad_options_exit_with_2_and_a_sentence(
    film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], sentence: str
) -> None:
    assert train(film, tmp_path / "run", *more) == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_missing_or_broken_film_exits_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "none.mp4"), "-o", str(tmp_path / "run"), *SMALL]) == 2
    assert "does not exist" in capsys.readouterr().err
    (tmp_path / "broken.mp4").write_bytes(b"not a film")
    assert main([str(tmp_path / "broken.mp4"), "-o", str(tmp_path / "run"), *SMALL]) == 2
    assert "cannot be read as a film" in capsys.readouterr().err


def test_training_goes_on_from_a_checkpoint_of_the_same_resolution(film: Path, tmp_path: Path) -> None:
    assert train(film, tmp_path / "first", "--kimg", "0.01") == 0
    kept = tmp_path / "kept"  # as the demo ships it: a checkpoint folder with the anchors, no optimiser
    shutil.copytree(tmp_path / "first" / "checkpoint", kept)
    shutil.copy(tmp_path / "first" / "anchors.npz", kept)
    more = ["--grow-from", str(kept), "--kimg", "0.0001", "--lr", "1e-12", "--code-lr", "1e-12", "--mapping-lr", "1e-12"]
    assert train(film, tmp_path / "second", *more) == 0
    first, second = (load_checkpoint(tmp_path / name / "checkpoint") for name in ("first", "second"))
    for name, value in first.generator.state_dict().items():
        if "w_avg" not in name:
            assert torch.allclose(value, second.generator.state_dict()[name], atol=1e-5), name
    codes = [np.load(folder / "anchors.npz")["codes"] for folder in (kept, tmp_path / "second")]
    assert np.allclose(codes[0], codes[1], atol=1e-5)


def plain(film: Path, run: Path, *more: str) -> int:
    """Plain training with everything that the reference has."""
    return main([str(film), "-o", str(run), *SMALL, "--channels", "1", "--style-mixing", "0.9", *more])


def test_a_plain_run_with_augmentation_resumes_to_the_identical_state(film: Path, tmp_path: Path) -> None:
    strong = ["--p", "0.5", "--augment-kimg", "1", "--batch-gpu", "2", "--group", "2"]
    assert plain(film, tmp_path / "through", *strong, "--kimg", "0.06") == 0
    assert plain(film, tmp_path / "halves", *strong, "--kimg", "0.032") == 0
    assert main([str(film), "-o", str(tmp_path / "halves"), "--resume", "--kimg", "0.06"]) == 0  # the rest is remembered
    one, two = (load_file(tmp_path / name / "state.safetensors") for name in ("through", "halves"))
    assert one.keys() == two.keys()
    for name in one:
        assert torch.equal(one[name], two[name]), name
    assert float(one["extra.p"]) != 0.5 and float(one["extra.path_mean"]) > 0


def test_a_plain_run_leaves_grids_in_one_layout_and_a_record_of_what_it_depends_on(film: Path, tmp_path: Path) -> None:
    from PIL import Image

    run = tmp_path / "run"
    assert plain(film, run, "--kimg", "0.012") == 0
    told = json.loads((run / "options.json").read_text())
    assert (told["resolution"], told["grid_columns"], told["processes"]) == (16, 16, 1)
    assert told["recipe"]["augment_target"] == 0.6 and len(told["inputs_sha256"]["film.mp4"]) == 64
    assert Image.open(run / "grids" / "000000.000.png").size == Image.open(run / "reals.png").size == (256, 128)
    assert not (run / "anchors.npz").exists()
    assert load_checkpoint(run / "checkpoint").run["anchored"] is False


def quick_measure(generator: Generator, real: np.ndarray, folder: Path, **more: object) -> dict[str, float]:
    """In the place of the true one, which first trains its encoder for a while; as the true one does, it draws."""
    assert real.dtype == np.uint8 and len(real) == FRAMES and folder.is_dir()
    image = generator(torch.randn(4, generator.config.z_dim))
    return {"kid": float(image.mean()), "swd": 1.0, "swd_16": 2.0, "recall": 0.5}


def test_metrics_and_the_report_are_made_at_the_end(film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib", reason="the matplotlib package draws the report")
    monkeypatch.setattr("tools.metrics_measure.measure", quick_measure)
    run = tmp_path / "run"
    assert plain(film, run, "--kimg", "0.012", "--metrics", "kid,swd") == 0
    line = json.loads((run / "metrics.jsonl").read_text())
    assert line["kimg"] == 0.012 and {"kid", "swd", "swd_16"} <= line.keys() and "recall" not in line
    assert (run / "report.png").stat().st_size and (run / "report.html").stat().st_size


def test_a_measured_run_is_the_same_run(film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib", reason="the matplotlib package draws the report")
    monkeypatch.setattr("tools.metrics_measure.measure", quick_measure)
    often = ["--metrics", "swd", "--metrics-minutes", "0.0001"]  # after every iteration
    assert plain(film, tmp_path / "measured", "--kimg", "0.012", *often) == 0
    assert len((tmp_path / "measured" / "metrics.jsonl").read_text().splitlines()) > 2
    assert plain(film, tmp_path / "silent", "--kimg", "0.012") == 0
    one, two = (load_file(tmp_path / name / "state.safetensors") for name in ("measured", "silent"))
    assert all(torch.equal(one[name], two[name]) for name in two)


def test_labels_of_a_zip_make_a_conditional_generator(tmp_path: Path) -> None:
    import zipfile
    from io import BytesIO

    from PIL import Image

    rng = np.random.default_rng(0)
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for i in range(8):
            out = BytesIO()
            Image.fromarray(rng.integers(0, 255, (16, 16), np.uint8)).save(out, format="PNG")
            archive.writestr(f"{i}.png", out.getvalue())
        archive.writestr("dataset.json", json.dumps({"labels": [[f"{i}.png", i % 2] for i in range(8)]}))
    run = tmp_path / "run"
    assert main([str(tmp_path / "set.zip"), "-o", str(run), *SMALL, "--cond", "--kimg", "0.012"]) == 0
    made = load_checkpoint(run / "checkpoint")
    assert made.generator.config.c_dim == 2 and made.discriminator is not None and made.discriminator.config.c_dim == 2


def test_the_frames_of_a_film_can_be_anchored_beside_another_dataset(film: Path, tmp_path: Path) -> None:
    from PIL import Image

    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(8):
        Image.fromarray(np.full((16, 16), 20 * i, np.uint8)).save(folder / f"{i}.png")
    run = tmp_path / "run"
    assert main([str(folder), "-o", str(run), *SMALL, "--anchor", str(film), "--kimg", "0.02"]) == 0
    assert np.load(run / "anchors.npz")["codes"].shape == (FRAMES, 8)


def test_transfer_takes_what_fits_and_says_the_rest(film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert plain(film, tmp_path / "grey", "--kimg", "0.008") == 0
    still = ["--channels", "3", "--resolution", "32", "--transfer", str(tmp_path / "grey"), "--freeze-d", "3",
             "--kimg", "0.004", "--lr", "1e-12", "--d-lr", "1e-12"]  # fmt: skip
    capsys.readouterr()
    assert plain(film, tmp_path / "colour", *still) == 0
    said = capsys.readouterr().out
    assert "transferred from" in said and "synthesis.b32.conv0" in said and "discriminator" in said
    grey, colour = (load_checkpoint(tmp_path / name / "checkpoint").generator for name in ("grey", "colour"))
    assert torch.allclose(grey.synthesis.b16.conv1.weight, colour.synthesis.b16.conv1.weight, atol=1e-5)
    for channel in range(3):
        assert torch.allclose(grey.synthesis.b16.torgb.weight[0], colour.synthesis.b16.torgb.weight[channel], atol=1e-5)
    narrow = ["--channel-base", "32", "--channel-max", "4", "--w-dim", "4", "--transfer", str(tmp_path / "grey")]
    assert plain(film, tmp_path / "narrow", *narrow, "--kimg", "0.004") == 2
    assert "no layer fits" in capsys.readouterr().err


def test_running_out_of_memory_says_what_to_change_and_keeps_the_last_snapshot(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from tools.train_step import Training

    run, step = tmp_path / "run", Training.step
    assert plain(film, run, "--kimg", "0.008") == 0
    kept = (run / "state.safetensors").read_bytes()
    errors = [torch.OutOfMemoryError("CUDA out of memory."),
              RuntimeError("[enforce fail at alloc_cpu.cpp:124] . DefaultCPUAllocator: can't allocate memory")]  # fmt: skip
    for error in errors:

        def failing(self: Training, gain: float = 1.0, error: Exception = error) -> dict[str, torch.Tensor]:
            if self.pictures > 10:
                raise error
            return step(self, gain)

        monkeypatch.setattr(Training, "step", failing)
        assert plain(film, run, "--resume", "--kimg", "1", "--batch", "8", "--batch-gpu", "8") == 2
        said = capsys.readouterr().err
        assert "ran out" in said and "--batch-gpu 4" in said and "--resolution 8" in said and "--resume" in said
        assert (run / "state.safetensors").read_bytes() == kept
    load_checkpoint(run / "checkpoint")


def test_tensorboard_is_written_on_request_and_missed_with_a_sentence(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    assert plain(film, tmp_path / "run", "--tensorboard") == 2
    assert "needs the package tensorboard" in capsys.readouterr().err and not (tmp_path / "run").exists()
    monkeypatch.undo()
    pytest.importorskip("tensorboard", reason="the tensorboard package is an extra")
    assert plain(film, tmp_path / "run", "--tensorboard", "--kimg", "0.008") == 0
    assert list((tmp_path / "run" / "tensorboard").iterdir())


def test_a_damaged_state_or_record_is_named(film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert plain(film, tmp_path / "run", "--kimg", "0.008") == 0
    state = tmp_path / "run" / "state.safetensors"
    state.write_bytes(state.read_bytes()[:2000])
    assert plain(film, tmp_path / "run", "--resume", "--kimg", "0.02") == 2
    assert "cannot be resumed from" in capsys.readouterr().err
    told = tmp_path / "run" / "options.json"
    told.write_text(told.read_text().replace('"resolution": 16', '"resolution": "16"', 1))
    assert main([str(film), "-o", str(tmp_path / "run"), "--resume", "--kimg", "0.02"]) == 2
    assert "options.json: cannot be read (resolution is '16')" in capsys.readouterr().err


def test_the_live_panel_shows_rate_time_left_and_losses() -> None:
    console = pytest.importorskip("rich.console", reason="the rich package draws the panel")
    from tools.train_display import Display, duration

    line = {"kimg": 12.5, "pictures_per_s": 7.3, "elapsed_s": 100.0, "g": 0.7, "p": 0.12}
    out = console.Console(width=120, record=True, quiet=False, file=io.StringIO())
    out.print(Display("film.mp4 64x64").panel(line, 0.25, 4000, "GPU 3.1 GiB"))
    text = out.export_text()
    for part in ("12.50", "7.3", "1 h 06 min", "ADA p", "0.120", "3.1 GiB", "25%"):
        assert part in text, part
    assert [duration(s) for s in (5, 65, 7300)] == ["5 s", "1 min 05 s", "2 h 01 min"]


def test_a_run_folder_that_cannot_be_made_costs_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from PIL import Image

    (tmp_path / "file").write_text("x")
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for i in range(8):
        Image.fromarray(np.full((16, 16), 20 * i, np.uint8)).save(pictures / f"{i}.png")
    assert main([str(pictures), "-o", str(tmp_path / "file" / "run"), "--resolution", "16", "--minutes", "0.01"]) == 2
    said = capsys.readouterr().err
    assert "cannot be made" in said and said.count("\n") == 1


def test_the_checkpoint_knows_the_film_by_its_hash(film: Path, tmp_path: Path) -> None:
    assert film_sha256(film) == file_sha256(film)
    (tmp_path / "set").mkdir()
    assert film_sha256(tmp_path / "set") == film_sha256(tmp_path / "none") == ""
    (tmp_path / "set" / "options.json").write_text('{"tool": "cineml film dataset", "job": {"film_sha256": "ab12"}}')
    assert film_sha256(tmp_path / "set") == "ab12"
    (tmp_path / "set" / "options.json").write_text("[1]")
    assert film_sha256(tmp_path / "set") == ""
    assert train(film, tmp_path / "run", "--kimg", "0.004") == 0
    assert read_description(tmp_path / "run" / "checkpoint")["run"]["film_sha256"] == file_sha256(film)
