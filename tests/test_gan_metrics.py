"""`cineml gan metrics`: the command, and FID with a network that the user brings."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from PIL import Image

import tools.metrics_encoder as metrics_encoder
from models.checkpoint import save_checkpoint
from player.show.problem import ShowError
from tests.test_metrics import TINY, fresh, gaussian, tiny_generator
from tools.gan_metrics import main
from tools.metrics_distances import frechet
from tools.metrics_encoder import FILE
from tools.metrics_inception import FeatureNet
from tools.train_dataset import load_dataset

pytestmark = pytest.mark.usefixtures("one_thread")


# FID


def test_the_frechet_distance_of_two_gaussians_is_the_formulas() -> None:
    base = gaussian(4000, 1, 3).double()
    base = (base - base.mean(dim=0)) @ torch.linalg.inv(torch.linalg.cholesky(torch.cov(base.t()))).t()  # mean 0, cov 1
    other = base * torch.tensor([2.0, 1.0, 1.0]) + torch.tensor([0.0, 3.0, 0.0])
    assert frechet(base, base) == pytest.approx(0, abs=1e-9)
    assert frechet(base, other) == pytest.approx(9 + (2 - 1) ** 2, rel=1e-6)


def means_net(path: Path, kind: int = TensorProto.FLOAT, shape: tuple[Any, ...] = ("N", 3, 8, 8)) -> Path:
    """An ONNX network whose features are the means of the channels."""
    nodes = [helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT),
             helper.make_node("GlobalAveragePool", ["f"], ["y"])]  # fmt: skip
    graph = helper.make_graph(nodes, "means", [helper.make_tensor_value_info("x", kind, shape)],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)])  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.UINT8])
def test_a_network_that_the_user_brings_gets_pictures_in_its_own_size_and_range(kind: int, tmp_path: Path) -> None:
    images = torch.full((5, 1, 16, 16), 255, dtype=torch.uint8)
    images[:2] = 0
    net = FeatureNet(means_net(tmp_path / "net.onnx", kind, (2, 3, 8, 8)), threads=1)  # a fixed batch, 5 does not fit
    low, high = (0, 255) if kind == TensorProto.UINT8 else (-1, 1)
    expected = torch.tensor([[float(v)] * 3 for v in (low, low, high, high, high)], dtype=torch.float64)
    assert torch.allclose(net(images), expected)


def test_what_is_no_feature_network_is_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("not a model")
    with pytest.raises(ShowError, match="cannot be read by onnxruntime"):
        FeatureNet(tmp_path / "text.onnx")
    with pytest.raises(ShowError, match="does not exist"):
        FeatureNet(tmp_path / "none.onnx")
    with pytest.raises(ShowError, match="takes 1 channels"):
        FeatureNet(means_net(tmp_path / "one.onnx", shape=("N", 1, 8, 8)))


# The command


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run folder with a checkpoint, and beside it the pictures that it was trained on."""
    monkeypatch.setattr(metrics_encoder, "EncoderSettings", lambda: TINY)
    (tmp_path / "pictures").mkdir()
    for i, picture in enumerate(fresh(24, 1)[:, 0, ::2, ::2]):
        Image.fromarray(np.ascontiguousarray(picture)).save(tmp_path / "pictures" / f"{i:03d}.png")
    folder = tmp_path / "run"
    folder.mkdir()
    save_checkpoint(folder / "checkpoint", tiny_generator(), run={"kimg": 1.5, "minutes": 2.0})
    (folder / "log.jsonl").write_text('{"kimg": 1.4, "elapsed_s": 100, "g": 1.0, "d": 1.2}\n')
    return folder


def test_the_command_prints_the_numbers_and_leaves_them_in_the_run(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    net = means_net(run.parent / "net.onnx")
    asked = [str(run), str(run.parent / "pictures"), "--samples", "16", "--inception", str(net)]
    assert main([*asked, "--report", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["kimg"] == 1.5 and told["frames"] == 24 and told["samples"] == 16 and told["fid"] >= 0
    kept = json.loads((run / "metrics.json").read_text())
    assert kept == told
    line = json.loads((run / "metrics.jsonl").read_text())
    assert line["kimg"] == 1.5 and line["elapsed_s"] == 120 and line["kid"] == told["kid"]
    assert (run / "nearest.png").is_file() and (run / "report.html").is_file() and (run / FILE).is_file()
    assert main([*asked, "-o", str(run.parent / "else")]) == 0
    assert "memorisation" in capsys.readouterr().out and (run.parent / "else" / "metrics.json").is_file()


def test_the_pictures_that_a_run_is_trained_on_are_not_replaced_by_others(run: Path) -> None:
    pictures, own = run.parent / "pictures", run.parent / "own"
    shutil.copytree(pictures, own)
    (own / "000.png").unlink()
    size = tiny_generator().config.resolution
    load_dataset(own, run, size, 1)
    before = {p.name: p.read_bytes() for p in run.glob("dataset.*")}
    assert len(before) == 2
    assert main([str(run), str(pictures), "--samples", "16"]) == 0
    assert {p.name: p.read_bytes() for p in run.glob("dataset.*")} == before
    assert json.loads((run / "metrics.json").read_text())["frames"] == 24


@pytest.mark.parametrize(("more", "sentence"), [
    (["--samples", "3"], "--samples"),
    (["--inception-range=1,0"], "--inception-range"),
    (["--device", "abacus"], "--device"),
    (["--inception", "nowhere.onnx"], "nowhere.onnx"),
])
def test_bad_input_is_one_sentence_and_exit_code_2(
    more: list[str], sentence: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(run), str(run.parent / "pictures"), *more]) == 2
    said = capsys.readouterr().err
    assert sentence in said and "Traceback" not in said and not (run / "metrics.json").exists()


def test_a_report_is_only_added_to_a_run(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / "log.jsonl").unlink()
    assert main([str(run), str(run.parent / "pictures"), "--report"]) == 2
    assert "lies in no run" in capsys.readouterr().err


def test_help_shows_two_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    told = capsys.readouterr().out
    assert stop.value.code == 0 and told.count("  cineml gan metrics ") == 2
