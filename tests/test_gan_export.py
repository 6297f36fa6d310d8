"""An exported generator shows what torch shows, in every variant, and never replaces a good file by a wrong one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

from PIL import Image  # noqa: E402

from models.checkpoint import Checkpoint, load_checkpoint, save_checkpoint  # noqa: E402
from models.network_config import GeneratorConfig  # noqa: E402
from models.stylegan2 import Generator  # noqa: E402
from player.show.problem import ShowError  # noqa: E402
from tools import gan_export, gan_sample  # noqa: E402
from tools.gan_export import ExportOptions, export, open_session, rounded_to_half  # noqa: E402
from tools.grouped_conv import grouped_conv_synthesis  # noqa: E402
from tools.remap_generator import source_at  # noqa: E402

CONFIG = GeneratorConfig(
    resolution=16, channels=1, z_dim=12, w_dim=10, mapping_layers=2, channel_base=256, channel_max=24
)
GEOMETRY = {"film": [480, 360], "crop": [0, 0, 480, 360], "inner": [0, 2, 16, 12]}


def lively(config: GeneratorConfig, seed: int = 0) -> Generator:
    """A generator whose noise, biases and mean are not zero, so that a lost one is seen."""
    torch.manual_seed(seed)
    generator = Generator(config).eval().requires_grad_(False)
    for name, p in generator.named_parameters():
        if name.endswith("noise_strength"):
            p.fill_(0.3)
        elif name.endswith("bias"):
            p.add_(torch.randn_like(p) * 0.2)
    generator.w_avg.normal_()
    return generator


def checkpoint(folder: Path, config: GeneratorConfig = CONFIG) -> Checkpoint:
    save_checkpoint(folder, lively(config), geometry=GEOMETRY, run={"name": "test"}, licence="CC0-1.0")
    return load_checkpoint(folder)


@pytest.mark.parametrize(
    "options",
    [
        ExportOptions(),
        ExportOptions(half=True),
        ExportOptions(uint8=True),
        ExportOptions(gains=True),
        ExportOptions(True, True, True),
    ],
)
def test_an_export_equals_torch(tmp_path: Path, options: ExportOptions) -> None:
    kept = checkpoint(tmp_path / "checkpoint")
    made = export(kept, tmp_path / "models", options)
    assert [m.path.name for m in made] == ["mapping.onnx", "synthesis.onnx", "generator.onnx"]
    generator = rounded_to_half(kept.generator) if options.half else kept.generator
    z = torch.randn(1, 12)
    expected = generator(z, psi=0.6, cutoff=3)
    session = open_session(tmp_path / "models" / "generator.onnx")
    feeds = {"z": z.numpy(), "psi": np.array(0.6, np.float32), "cutoff": np.array(3, np.int64)}
    image = session.run(["image"], feeds)[0]
    if options.uint8:
        levels = (expected * 127.5 + 127.5).round().clamp(0, 255).numpy()[0, 0]
        assert image.shape == (1, 16, 16, 3) and image.dtype == np.uint8
        assert np.abs(image[0].astype(float) - levels[..., None]).max() <= 1
    else:
        assert image.shape == (1, 1, 16, 16) and image.dtype == np.float32
        assert np.abs(image - expected.numpy()).max() < 1e-4
    names = {i.name for i in open_session(tmp_path / "models" / "synthesis.onnx").get_inputs()} | {
        i.name for i in open_session(tmp_path / "models" / "synthesis.onnx").get_overridable_initializers()
    }
    assert {
        "ws",
        "noise.4.1",
        "noise.8.0",
        "noise.8.1",
        "noise.16.0",
        "noise.16.1",
    } <= names and "noise.4.0" not in names
    assert ("gain.16.1" in names) == options.gains


@pytest.mark.parametrize(
    "config",
    [
        replace(CONFIG, channels=3, c_dim=4),
        replace(CONFIG, conv_clamp=0.7),
        replace(CONFIG, resample_filter=(1.0, 2.0, 5.0, 3.0)),
    ],
)
def test_colour_conditions_clamps_and_other_filters_are_exported_too(tmp_path: Path, config: GeneratorConfig) -> None:
    kept = checkpoint(tmp_path / "checkpoint", config)
    export(kept, tmp_path / "models", ExportOptions())
    z, c = torch.randn(1, 12), torch.randn(1, 4)
    feeds = {"z": z.numpy(), "psi": np.array(1, np.float32), "cutoff": np.array(0, np.int64)}
    if config.c_dim:
        feeds["c"] = c.numpy()
    image = open_session(tmp_path / "models" / "generator.onnx").run(None, feeds)[0]
    assert np.abs(image - kept.generator(z, c if config.c_dim else None).numpy()).max() < 1e-4
    again = source_at(tmp_path / "models")
    assert again.geometry == GEOMETRY and again.weights_sha256 == kept.sha256
    label = c if config.c_dim else None
    assert torch.allclose(again.generator(z, label, 0.5), kept.generator(z, label, 0.5), atol=1e-5)


def test_noise_that_is_not_fed_holds_its_default_and_fed_noise_replaces_it(tmp_path: Path) -> None:
    kept = checkpoint(tmp_path / "checkpoint")
    export(kept, tmp_path / "models", ExportOptions())
    session = open_session(tmp_path / "models" / "synthesis.onnx")
    ws = kept.generator.mapping(torch.randn(1, 12)).contiguous()
    noise = {"noise.16.1": torch.randn(1, 1, 16, 16)}
    plain = session.run(None, {"ws": ws.numpy()})[0]
    fed = session.run(None, {"ws": ws.numpy(), "noise.16.1": noise["noise.16.1"].numpy()})[0]
    assert np.abs(plain - kept.generator.synthesis(ws).numpy()).max() < 1e-4
    assert np.abs(fed - kept.generator.synthesis(ws, noise).numpy()).max() < 1e-4
    assert np.abs(fed - plain).max() > 0.01


def test_the_model_says_itself_what_it_is(tmp_path: Path) -> None:
    kept = checkpoint(tmp_path / "checkpoint")
    export(kept, tmp_path / "models", ExportOptions(half=True))
    for part in ("mapping", "synthesis", "generator"):
        properties = {p.key: p.value for p in onnx.load(tmp_path / "models" / f"{part}.onnx").metadata_props}
        told = json.loads(properties["cineml"])
        assert told == {
            "kind": "stylegan2",
            "part": part,
            "resolution": 16,
            "channels": 1,
            "num_ws": 6,
            "z_dim": 12,
            "w_dim": 10,
            "c_dim": 0,
            "range": [-1.0, 1.0],
            "geometry": GEOMETRY,
            "run": {"name": "test"},
            "licence": "CC0-1.0",
            "hashes": {"weights": kept.sha256},
        }
    whole = export(kept, tmp_path / "whole", ExportOptions())
    half = export(kept, tmp_path / "models", ExportOptions(half=True))
    assert half[1].size < whole[1].size
    assert half[1].sha256 == export(kept, tmp_path / "again", ExportOptions(half=True))[1].sha256


def test_an_export_that_differs_from_torch_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint(tmp_path / "checkpoint")
    models = tmp_path / "models"
    assert gan_export.main([str(tmp_path / "checkpoint"), "-o", str(models)]) == 0
    before = {p.name: p.read_bytes() for p in models.iterdir()}
    monkeypatch.setattr("tools.gan_export_graph.LRELU_SLOPE", 0.25)
    assert gan_export.main([str(tmp_path / "checkpoint"), "-o", str(models)]) == 2
    assert "differs from torch" in capsys.readouterr().err
    assert {p.name: p.read_bytes() for p in models.iterdir()} == before


def test_a_missing_checkpoint_is_one_sentence_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert gan_export.main([str(tmp_path / "nothing"), "-o", str(tmp_path / "models")]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
    assert gan_export.main([str(tmp_path), "-o", str(tmp_path / "models"), "--parts", "mapping,synthesys"]) == 2


def test_weights_beyond_float16_are_refused_in_half(tmp_path: Path) -> None:
    kept = checkpoint(tmp_path / "checkpoint")
    kept.generator.synthesis.b8.conv1.weight[0, 0, 0, 0] = 1e6
    with pytest.raises(ShowError, match="float16"):
        export(kept, tmp_path / "models", ExportOptions(half=True))


@pytest.mark.parametrize(
    "config", [CONFIG, replace(CONFIG, channels=3, conv_clamp=0.7, resample_filter=(1.0, 2.0, 5.0, 3.0))]
)
def test_the_grouped_convolution_baseline_equals_ours(config: GeneratorConfig) -> None:
    generator = lively(config)
    ws = generator.mapping(torch.randn(3, 12))
    assert (grouped_conv_synthesis(generator)(ws) - generator.synthesis(ws)).abs().max() < 1e-4


def test_a_sample_sheet_has_a_row_a_psi_from_checkpoint_and_export_alike(tmp_path: Path) -> None:
    kept = checkpoint(tmp_path / "checkpoint")
    export(kept, tmp_path / "models", ExportOptions())
    for name in ("checkpoint", "models"):
        assert (
            gan_sample.main(
                [str(tmp_path / name), "-o", str(tmp_path / f"{name}.png"), "--columns", "5", "--psi", "0,1"]
            )
            == 0
        )
    a, b = (np.asarray(Image.open(tmp_path / f"{n}.png")).astype(int) for n in ("checkpoint", "models"))
    assert a.shape == (32, 80, 3) and np.abs(a - b).max() <= 1
    assert np.array_equal(a[:16, :16], a[:16, 16:32])  # psi 0: the mean, whatever z
    assert gan_sample.main([str(tmp_path / "checkpoint"), "-o", str(tmp_path / "x.png"), "--psi", "a"]) == 2


def test_a_place_that_cannot_be_written_costs_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str],
                                                           monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    checkpoint(tmp_path / "checkpoint")
    (tmp_path / "file").write_text("mine")
    for place, told in (("file", "is a file"), ("file/under", "cannot be made")):
        assert gan_export.main([str(tmp_path / "checkpoint"), "-o", str(tmp_path / place)]) == 2
        printed = capsys.readouterr()
        assert told in printed.err and printed.err.count("\n") == 1
    assert (tmp_path / "file").read_text() == "mine"
    assert gan_export.main([str(tmp_path / "checkpoint"), str(tmp_path / "a"), "-o", str(tmp_path / "b")]) == 2
    assert "one folder" in capsys.readouterr().err and not (tmp_path / "a").exists() and not (tmp_path / "b").exists()
    models = tmp_path / "models"
    models.mkdir()
    (models / "mapping.onnx").write_bytes(b"older")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    assert gan_export.main([str(tmp_path / "checkpoint"), "-o", str(models)]) == 2
    printed = capsys.readouterr()
    assert "mapping.onnx: cannot be written (No space left" in printed.err and printed.err.count("\n") == 1
    assert {p.name: p.read_bytes() for p in models.iterdir()} == {"mapping.onnx": b"older"}
