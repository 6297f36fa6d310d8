"""VGG16 as projection sees with it: its features, LPIPS's weights among them, and files that are none.

The weights are random: there is no published file here, and none is fetched.
"""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

from player.show.problem import ShowError  # noqa: E402
from tools.project_vgg import STAGES, read_vgg  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")


def tiny_vgg(path: Path, lpips: bool = False, **changed: torch.Tensor) -> dict[str, torch.Tensor]:
    made = torch.Generator().manual_seed(0)
    weights = {}
    for index, inputs, outputs in (layer for stage in STAGES for layer in stage):
        weight = torch.randn(outputs, inputs, 3, 3, generator=made, dtype=torch.float32) * (2 / (9 * inputs)) ** 0.5
        weights[f"features.{index}.weight"] = weight.half()
        weights[f"features.{index}.bias"] = torch.zeros(outputs).half()
    if lpips:
        weights |= {f"lin{i}.model.1.weight": torch.full((1, s[-1][2], 1, 1), 0.4) for i, s in enumerate(STAGES)}
    weights["classifier.0.bias"] = torch.zeros(3)
    weights |= changed
    save_file(weights, path)
    return weights


def test_vgg16_from_safetensors_gives_the_features_of_its_layers(tmp_path: Path) -> None:
    weights = tiny_vgg(tmp_path / "vgg.safetensors", lpips=True)
    vgg = read_vgg(tmp_path / "vgg.safetensors")
    image = torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1
    maps = vgg.features(image)
    assert [m.shape[1] for m in maps] == [64, 128, 256, 512, 512] and maps[4].shape[2:] == (2, 2)
    x = (image.expand(-1, 3, -1, -1) * 0.5 + 0.5 - torch.tensor([0.485, 0.456, 0.406])[:, None, None])
    x = x / torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    for index in (0, 2):
        x = F.relu(F.conv2d(x, weights[f"features.{index}.weight"].float(), padding=1))
    assert torch.allclose(maps[0], x / x.norm(dim=1, keepdim=True), atol=1e-4)
    other = vgg.features(-image)
    with_lpips = vgg.distance(maps, other)
    vgg.lpips = None
    assert torch.allclose(with_lpips, 2 * vgg.distance(maps, other), rtol=1e-4)  # 0.4 a channel against 1 / 5
    assert float(vgg.distance(maps, maps)) == 0
    assert vgg.features(torch.zeros(1, 3, 16, 16))[4].shape == (1, 512, 2, 2)  # a small picture is enlarged


@pytest.mark.parametrize(("changed", "said"), [
    ({"features.5.weight": torch.zeros(128, 64, 1, 3)}, r"features.5.weight is F32 \[128, 64, 1, 3\]"),
    ({"features.7.bias": torch.full((128,), torch.nan)}, "features.7.bias holds values that are not finite"),
    ({}, "lacks features.0.bias"),
])  # fmt: skip
def test_a_file_that_is_no_vgg16_is_named(tmp_path: Path, changed: dict[str, torch.Tensor], said: str) -> None:
    path = tmp_path / "vgg.safetensors"
    if changed:
        tiny_vgg(path, **changed)
    else:
        save_file({"features.0.weight": torch.zeros(64, 3, 3, 3)}, path)
    with pytest.raises(ShowError, match=said):
        read_vgg(path)
