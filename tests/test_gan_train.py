"""The training command on a tiny film, in process: its files, resume, growing, bad input."""

from __future__ import annotations

import json
import os
import shutil
import signal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from models.checkpoint import load_checkpoint
from player.show.cut_list import CutList, Shot
from tools.gan_train import main
from tools.train_anchors import CodeTable, detail_weights, first_codes
from tools.train_dataset import geometry_for, load_dataset, mixed_frames, squared
from tools.train_losses import feature_loss, path_penalty, reconstruction_loss, sliced_wasserstein

FRAMES = 24
SMALL = ["--resolution", "16", "--z-dim", "8", "--w-dim", "8", "--mapping-layers", "2", "--channel-base", "64",
         "--channel-max", "8", "--batch", "4", "--z-batch", "2", "--precision", "float32", "--threads", "1",
         "--path-interval", "2", "--warmup", "0"]  # fmt: skip


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
    return main([str(film), "-o", str(run), *SMALL, "--cuts", str(film.parent / "cuts.csv"), *more])


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


def test_growing_keeps_every_lower_block_and_the_codes(film: Path, tmp_path: Path) -> None:
    assert train(film, tmp_path / "small", "--kimg", "0.01") == 0
    more = [*SMALL, "--resolution", "32", "--grow-from", str(tmp_path / "small"), "--kimg", "0.0001", "--lr", "1e-12",
            "--code-lr", "1e-12", "--mapping-lr", "1e-12"]  # fmt: skip
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


def test_stopping_keeps_a_snapshot(film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tools.train_step import Training

    step, calls = Training.step, []

    def interrupted(self: Training, gain: float = 1.0) -> dict[str, float]:
        calls.append(1)
        if len(calls) > 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(self, gain)

    monkeypatch.setattr(Training, "step", interrupted)
    assert train(film, tmp_path / "run", "--minutes", "60") == 0
    load_checkpoint(tmp_path / "run" / "checkpoint")
    assert len(calls) == 4
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL  # as it was before


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--resolution", "48"], "resolution must be a power of two"),
        (["--batch", "6", "--kimg", "-1"], "--kimg: -1.0; allowed: more than 0"),
        (["--resume"], "holds no run to resume"),
        (["--start", "20", "--end", "10"], "--end"),
        (["--start", "23"], "holds 1 pictures"),
        (["--end", "10"], "covers 24 frames, the pictures are 10"),
        (["--grow-from", "nowhere"], "no checkpoint folder"),
        (["--device", "abacus"], "--device: abacus"),
    ],
)
def test_bad_options_exit_with_2_and_a_sentence(
    film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], sentence: str
) -> None:
    assert train(film, tmp_path / "run", *more) == 2
    assert sentence in capsys.readouterr().err


def test_a_missing_or_broken_film_exits_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "none.mp4"), "-o", str(tmp_path / "run"), *SMALL]) == 2
    assert "does not exist" in capsys.readouterr().err
    (tmp_path / "broken.mp4").write_bytes(b"not a film")
    assert main([str(tmp_path / "broken.mp4"), "-o", str(tmp_path / "run"), *SMALL]) == 2
    assert "cannot be read as a film" in capsys.readouterr().err


def test_a_picture_is_padded_with_black_into_the_square() -> None:
    geometry = geometry_for(480, 360, 128)
    assert geometry["inner"] == [0, 16, 128, 96]
    square = squared(np.full((360, 480), 200, np.uint8), geometry, 128)
    assert square.shape == (1, 128, 128)
    assert np.array_equal(square[0, 16:112], np.full((96, 128), 200)) and not square[0, :16].any() and not square[0, 112:].any()


def test_frames_that_mix_pictures_are_left_out() -> None:
    shots = (Shot(1, 0, 10, "fade", 2, "black"), Shot(2, 10, 20, "dissolve", 3), Shot(3, 20, 30, out="fade", out_frames=4))
    assert np.flatnonzero(mixed_frames(CutList("f", Fraction(24), 30, shots))).tolist() == [0, 1, 10, 11, 12, 26, 27, 28, 29]


def test_first_codes_follow_the_pictures() -> None:
    rng = np.random.default_rng(0)
    ends = rng.integers(0, 255, (2, 1, 32, 32))
    mix = np.linspace(0, 1, 20)[:, None, None, None]
    images = (ends[0] * (1 - mix) + ends[1] * mix).astype(np.uint8)
    codes = first_codes(images, 16, np.ones(20, bool), 0)
    steps = (codes[1:] - codes[:-1]).norm(dim=1)
    assert float(steps.max()) < 0.5 * float((codes[0] - codes[-1]).norm())
    assert float(codes.square().mean()) == pytest.approx(1, rel=1e-3)


def test_codes_are_smooth_within_a_shot_and_free_across_a_cut() -> None:
    codes = torch.zeros(6, 2)
    codes[3:] = 5  # a cut between 2 and 3
    table = CodeTable(codes, [(0, 3), (3, 6)])
    index = torch.arange(6)
    assert float(table.roughness(index, table(index)).detach()) == 0
    whole = CodeTable(codes, [(0, 6)])
    assert float(whole.roughness(index, whole(index)).detach()) > 0


def test_z_at_a_frames_place_maps_to_its_code() -> None:
    codes = torch.randn(40, 8)
    usable = np.ones(40, bool)
    usable[7] = False
    table = CodeTable(codes, [(0, 40)], usable)
    places = table.places[table.known]
    assert torch.cdist(places, places).add(torch.eye(39) * 9).min() > 0  # no two frames share a place
    z = torch.cat([places, torch.randn(39, 5)], dim=1)
    assert (torch.cdist(table.near(z), codes).argmin(dim=1) == table.known).float().mean() > 0.9


def test_what_moves_weighs_more() -> None:
    images = np.full((10, 1, 16, 16), 200, np.uint8)
    for i in range(10):
        images[i, 0, 4:8, i] = 0
    weights = detail_weights(images, [(0, 10)], gain=4.0)
    assert float(weights[5, 0, 5, 5]) == pytest.approx(5) and float(weights[5, 0, 14, 14]) == pytest.approx(1)


def test_losses_are_zero_where_nothing_is_wrong() -> None:
    x = torch.rand(2, 1, 16, 16)
    assert float(reconstruction_loss(x, x, torch.ones_like(x))) == 0
    assert float(feature_loss([x, x], [x, x])) == 0
    cloud = torch.randn(64, 4)
    assert float(sliced_wasserstein(cloud, cloud[torch.randperm(64)])) == pytest.approx(0, abs=1e-6)
    assert float(sliced_wasserstein(cloud, cloud + 3)) > 1
    penalty, mean = path_penalty(torch.tensor([2.0, 2.0]), torch.tensor(0.0))
    assert float(mean) == pytest.approx(0.02) and float(penalty) == pytest.approx(1.98**2)


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
