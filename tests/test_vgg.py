"""VGG19 from a user's file, and any network that judges: names, shapes, hashes, layers, and what is refused.

The weights are random: there is no published file here, and none is fetched.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the networks that judge are torch's")
safetensors = pytest.importorskip("safetensors.torch", reason="weights are kept in safetensors")

import torch.nn.functional as F  # noqa: E402

from models.checkpoint import save_checkpoint  # noqa: E402
from models.discriminator import Discriminator  # noqa: E402
from models.network_config import DiscriminatorConfig, GeneratorConfig  # noqa: E402
from models.perception import Perception  # noqa: E402
from models.stylegan2 import Generator  # noqa: E402
from models.vgg import (  # noqa: E402
    DEVIATION,
    MEAN,
    VggError,
    check_names,
    convolutions,
    expected_shapes,
    layer_names,
)
from player.show.problem import ShowError  # noqa: E402
from tests.pickle_writer import Call, PickleWriter, ordered, storage_pid, torch_old  # noqa: E402
from tests.small_judges import small_vgg, small_weights  # noqa: E402
from tools.style_network import network_line, read_perception  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def full() -> dict[str, torch.Tensor]:
    """Weights as large as the published ones, random, half precision: only a 32nd of them differ, which is quicker."""
    chance = torch.Generator().manual_seed(0)
    made = {}
    for name, shape in expected_shapes().items():
        if len(shape) == 1:
            made[name] = torch.zeros(shape, dtype=torch.float16)
            continue
        rows = torch.randn((-(-shape[0] // 32), *shape[1:]), generator=chance) * (2 / np.prod(shape[1:])) ** 0.5
        made[name] = rows.repeat(32, 1, 1, 1)[: shape[0]].half()
    return made


def test_the_layers_stand_where_the_published_file_has_them() -> None:
    index = {name: at for name, at, _, _ in convolutions()}
    assert [index[n] for n in ("1_1", "2_1", "3_1", "4_1", "4_2", "5_1", "5_4")] == [0, 5, 10, 19, 21, 28, 34]
    assert len(expected_shapes()) == 32 and expected_shapes()["features.19.weight"] == (512, 256, 3, 3)
    assert sum(int(np.prod(s)) for s in expected_shapes().values()) == 20_024_384  # the paper's convolutions
    assert layer_names()[:4] == ("conv1_1", "relu1_1", "conv1_2", "relu1_2") and len(layer_names()) == 32


@pytest.mark.parametrize("pooling", ["max", "average"])
def test_features_are_those_of_the_plain_network(pooling: str) -> None:
    weights = small_weights()
    image = torch.rand(2, 3, 36, 50, generator=torch.Generator().manual_seed(1))
    asked = ("conv1_1", "relu2_2", "relu4_2")
    found = small_vgg(pooling=pooling).features(image, asked)
    x = (image - torch.tensor(MEAN)[:, None, None]) / torch.tensor(DEVIATION)[:, None, None]
    told = {}
    index = 0
    for stage, depth in enumerate((2, 2, 4, 4), 1):
        for number in range(1, depth + 1):
            x = F.conv2d(x, weights[f"features.{index}.weight"], weights[f"features.{index}.bias"], padding=1)
            told[f"conv{stage}_{number}"] = x
            x = F.relu(x)
            told[f"relu{stage}_{number}"] = x
            index += 2
        x = F.max_pool2d(x, 2) if pooling == "max" else F.avg_pool2d(x, 2)
        index += 1
    assert set(found) == set(asked)
    for layer in asked:
        assert torch.allclose(found[layer], told[layer], atol=1e-5), layer


def test_nothing_behind_the_last_layer_is_computed_and_gradients_reach_the_picture_alone() -> None:
    vgg = small_vgg()
    image = torch.rand(1, 3, 32, 32, requires_grad=True)
    with pytest.MonkeyPatch.context() as patch:
        calls: list[int] = []
        plain = F.conv2d
        patch.setattr(F, "conv2d", lambda *a, **k: (calls.append(1), plain(*a, **k))[1])
        values = vgg.features(image, ["relu1_2"])["relu1_2"]
    assert len(calls) == 2
    values.sum().backward()
    assert image.grad is not None and float(image.grad.abs().sum()) > 0
    assert not list(vgg.parameters()) and all(not b.requires_grad for b in vgg.buffers())


def test_a_layer_that_is_none_and_a_picture_that_is_too_small_are_named() -> None:
    perception = Perception(small_vgg())
    with pytest.raises(ValueError, match=r"vgg19 has no layer 'relu6_1'; it has conv1_1, relu1_1"):
        perception.features(torch.rand(1, 3, 32, 32), ["relu6_1"])
    with pytest.raises(ValueError, match="8x8 has nothing left at conv5_1"):
        perception.features(torch.rand(1, 3, 8, 8), ["relu5_1"])


def test_a_safetensors_file_and_both_layouts_of_torch_give_the_same_network(
    full: dict[str, torch.Tensor], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    classifier = {"classifier.0.bias": torch.zeros(4096), "classifier.6.bias": torch.zeros(1000)}
    paths = [tmp_path / n for n in ("vgg19.safetensors", "vgg19.pth", "old.pth")]
    safetensors.save_file(full | classifier, paths[0])
    torch.save(full | classifier, paths[1])
    torch.save(full | classifier, paths[2], _use_new_zipfile_serialization=False)
    for path in paths:
        network = read_perception(path)
        for index in (0, 19, 34):
            assert torch.equal(network.network.get_buffer(f"features_{index}_weight"), full[f"features.{index}.weight"].float())
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        assert network.kind == "vgg19" and network.sha256 == digest
        assert network_line(network) == f"{path.name}: VGG19 (taken as torchvision's: RGB in 0..1), sha256 {digest}"


def test_a_file_of_2017_holds_parameters_and_is_read(full: dict[str, torch.Tensor], tmp_path: Path) -> None:
    arrays = {name: value.numpy() for name, value in full.items()}

    def early(name: str) -> Call:
        array = arrays[name]
        strides = tuple(s // array.itemsize for s in array.strides)
        made = Call("torch._utils", "_rebuild_tensor", (storage_pid(array, name, None), 0, array.shape, strides))
        return Call("torch.nn.parameter", "Parameter", (made,), (True, False, ordered()))

    path = tmp_path / "early.pth"
    path.write_bytes(torch_old(ordered({name: early(name) for name in arrays}), arrays))
    network = read_perception(path).network
    assert torch.equal(network.get_buffer("features_19_weight"), full["features.19.weight"].float())


def refused(path: Path) -> str:
    with pytest.raises(ShowError) as told:
        read_perception(path)
    (problem,) = told.value.problems
    text = str(problem)
    assert str(path.name) in text and "\n" not in text
    return text


def names_of(stages: tuple[int, ...], norm: bool = False) -> list[str]:
    """Names of a VGG of other depths."""
    names, index = [], 0
    for depth in stages:
        for _ in range(depth):
            names += [f"features.{index}.weight", f"features.{index}.bias"]
            if norm:
                names += [f"features.{index + 1}.running_mean"]
            index += 3 if norm else 2
        index += 1
    return names


@pytest.mark.parametrize(("names", "said"), [
    (names_of((2, 2, 3, 3, 3)), "lacks features.16.weight"),  # VGG16
    (names_of((2, 2, 4, 4, 4), norm=True), "lacks features.2.weight"),  # with batch normalisation
    (["conv1_1.weight", "conv1_1.bias"], "lacks features.0.weight and 31 more"),  # Gatys' own names
    ([*names_of((2, 2, 4, 4, 4)), "head.weight"], "holds 1 tensors that VGG19 has not, the first is head.weight"),
    (names_of((2, 2, 4, 4, 4)), "has features.0.weight of [2] where VGG19 has [64, 3, 3, 3]"),
])  # fmt: skip
@pytest.mark.parametrize("kind", ["safetensors", "pth"])
def test_weights_of_another_network_are_one_sentence(names: list[str], said: str, kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"other.{kind}"
    tensors = {name: torch.zeros(2) for name in names}
    safetensors.save_file(tensors, path) if kind == "safetensors" else torch.save(tensors, path)
    text = refused(path)
    assert said in text and "it is another network's" in text and "torchvision's VGG19" in text


def test_values_that_are_no_numbers_and_whole_numbers_are_refused(full: dict[str, torch.Tensor], tmp_path: Path) -> None:
    bad = full["features.2.weight"].clone()
    bad[0, 0, 0, 0] = float("nan")
    safetensors.save_file(full | {"features.2.weight": bad}, tmp_path / "nan.safetensors")
    said = refused(tmp_path / "nan.safetensors")
    assert "features.2.weight that are not finite" in said and "another network" not in said
    safetensors.save_file(full | {"features.0.bias": torch.zeros(64, dtype=torch.int32)}, tmp_path / "int.safetensors")
    assert "features.0.bias as I32" in refused(tmp_path / "int.safetensors")


def test_a_file_that_would_execute_something_is_refused_and_executes_nothing(tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    path = tmp_path / "evil.pth"
    path.write_bytes(torch_old(Call("os", "system", (f"touch {mark}",)), {}))
    text = refused(path)
    assert "os.system" in text and "nothing of the file was executed" in text and "tensors alone" in text
    path.write_bytes(torch_old(Call("torchvision.models.vgg", "VGG", (), new=True), {}))
    assert "torchvision.models.vgg.VGG" in refused(path) and not mark.exists()
    path.write_bytes(torch_old([1, 2], {}))
    assert "tensors alone" in refused(path)
    path.write_bytes(torch_old({"features.0.weight": 3}, {}))
    assert "under 'features.0.weight'" in refused(path)


def test_files_that_are_none_are_one_sentence(tmp_path: Path, full: dict[str, torch.Tensor]) -> None:
    path = tmp_path / "weights.pth"
    assert "does not exist" in refused(path)
    path.write_bytes(b"")
    assert "is empty (0 bytes)" in refused(path)
    path.write_bytes(b"not weights at all, but longer than a head would be")
    assert "neither a safetensors file nor one of torch.save" in refused(path)
    path.write_bytes(PickleWriter(2).dumps({"a": 1}))
    assert "neither a safetensors file nor one of torch.save" in refused(path)
    torch.save({"features.0.weight": full["features.0.weight"]}, path)
    path.write_bytes(path.read_bytes()[:2000])
    assert "copy or download it again" in refused(path)
    part = tmp_path / "cut.safetensors"
    safetensors.save_file({"features.0.weight": full["features.0.weight"]}, part)
    part.write_bytes(part.read_bytes()[:3000])
    assert "truncated or no safetensors file" in refused(part)


def discriminator(channels: int = 1, architecture: str = "resnet", resolution: int = 32) -> Discriminator:
    torch.manual_seed(0)
    config = DiscriminatorConfig(resolution=resolution, channels=channels, channel_base=256, channel_max=16,
                                 architecture=architecture)  # type: ignore[arg-type]
    return Discriminator(config)


@pytest.mark.parametrize("architecture", ["resnet", "skip", "orig"])
def test_a_discriminator_judges_pictures_of_any_size_layer_by_layer(architecture: str) -> None:
    network = discriminator(3, architecture)
    perception = Perception(network)
    assert perception.layers == ("b32.conv0", "b32", "b16.conv0", "b16", "b8.conv0", "b8")
    assert [perception.stride(x) for x in perception.layers] == [1, 2, 2, 4, 4, 8] and perception.coarsest == 8
    x = torch.rand(1, 3, 48, 80, generator=torch.Generator().manual_seed(0), requires_grad=True)
    found = perception.features(x, perception.layers)
    for layer in perception.layers:
        assert found[layer].shape[2:] == (48 // perception.stride(layer), 80 // perception.stride(layer)), layer
    small = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    own = network.features(2 * small - 1)
    seen = perception.features(small, ["b32", "b8"])
    assert torch.allclose(seen["b32"], own[0], atol=1e-6) and torch.allclose(seen["b8"], own[2], atol=1e-6)
    assert set(perception.features(small, ["b32.conv0"])) == {"b32.conv0"}
    found["b8"].sum().backward()
    assert x.grad is not None and float(x.grad.abs().sum()) > 0 and all(not p.requires_grad for p in network.parameters())


def test_a_grey_discriminator_sees_the_colour_channels_as_three_pictures() -> None:
    perception = Perception(discriminator(1))
    x = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    both = perception.features(x, ["b16"])["b16"]
    assert both.shape[1] == 3 * 16
    one = perception.features(x[:, 1:2].expand(-1, 3, -1, -1), ["b16"])["b16"]
    assert torch.allclose(both[:, 16:32], one[:, :16], atol=1e-6)


def test_a_checkpoint_folder_judges_by_its_discriminator_and_says_where_it_has_none(tmp_path: Path) -> None:
    config = GeneratorConfig(resolution=32, channels=3, z_dim=8, w_dim=8, mapping_layers=1, channel_base=256, channel_max=16)
    torch.manual_seed(0)
    generator = Generator(config)
    save_checkpoint(tmp_path / "run", generator, discriminator(3))
    perception = read_perception(tmp_path / "run")
    assert perception.kind == "discriminator" and perception.name == "run" and len(perception.sha256) == 64
    assert "own discriminator judges" in network_line(perception) and perception.device.type == "cpu"
    save_checkpoint(tmp_path / "bare", generator)
    assert "keeps no discriminator" in refused(tmp_path / "bare")
    (tmp_path / "empty").mkdir()
    assert "cannot be read as a checkpoint" in refused(tmp_path / "empty")


def test_names_alone_tell_another_network() -> None:
    check_names(expected_shapes() | {"classifier.3.weight": (4096, 4096)})
    with pytest.raises(VggError, match="holds 1 tensors"):
        check_names(expected_shapes() | {"classifier.9.weight": (1,)})
