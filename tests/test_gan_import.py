"""`gan import`: foreign snapshots, written here in their own layouts, become the networks they were written from."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models.checkpoint import load_checkpoint
from models.discriminator import Discriminator
from models.network_config import DiscriminatorConfig, GeneratorConfig
from models.stylegan2 import Generator
from player.show.problem import ShowError
from tests.pickle_writer import Call, PickleWriter, tensor
from tests.snapshot_writer import (
    numbers,
    nvlabs_discriminator,
    nvlabs_generator,
    nvlabs_snapshot,
    rosinality_discriminator,
    rosinality_generator,
    saved_by_torch,
    tensorflow_discriminator,
    tensorflow_generator,
    tensorflow_network,
)
from tools.gan_import import import_bytes, main

SMALL = GeneratorConfig(resolution=16, channels=3, z_dim=6, w_dim=5, mapping_layers=2, channel_base=64, channel_max=8)
JUDGE = DiscriminatorConfig(resolution=16, channels=3, channel_base=64, channel_max=8)
pytestmark = pytest.mark.usefixtures("one_thread")


def generator_of(config: GeneratorConfig = SMALL) -> Generator:
    """A generator none of whose tensors is at its start value."""
    torch.manual_seed(1)
    made = Generator(config)
    for value in made.state_dict().values():
        value.copy_(torch.randn(value.shape))
    return made.eval().requires_grad_(False)


def judge_of(config: DiscriminatorConfig = JUDGE) -> Discriminator:
    torch.manual_seed(2)
    made = Discriminator(config)
    for value in made.state_dict().values():
        value.copy_(torch.randn(value.shape))
    return made.eval().requires_grad_(False)


def same(a: torch.nn.Module, b: torch.nn.Module, close: float = 0) -> None:
    """Both have the same tensors."""
    assert a.state_dict().keys() == b.state_dict().keys()
    for name, value in a.state_dict().items():
        assert torch.allclose(value, b.state_dict()[name], rtol=0, atol=close), name


def refusal(data: bytes, **how: Any) -> str:
    """The one sentence."""
    with pytest.raises(ShowError) as caught:
        import_bytes(data, "a.pkl", **how)
    (problem,) = caught.value.problems
    assert "\n" not in str(problem) and problem.where.startswith("a.pkl")
    return str(problem)


@pytest.mark.parametrize("protocol", range(6))
def test_an_nvlabs_snapshot_of_every_protocol_comes_back_as_the_same_network(protocol: int) -> None:
    generator = generator_of()
    imported = import_bytes(nvlabs_snapshot(nvlabs_generator(generator), protocol=protocol), "a.pkl")
    same(generator, imported.generator)
    assert imported.generator.config == SMALL and imported.discriminator is None and imported.network == "G_ema"


@pytest.mark.parametrize(
    "changes",
    [{"architecture": "resnet"}, {"architecture": "orig"}, {"channels": 1}, {"channels": 4}, {"c_dim": 3},
     {"conv_clamp": 256.0},
     {"half_blocks": 2, "conv_clamp": 256.0}, {"resample_filter": (1.0, 2.0, 4.0, 1.0)},
     {"resample_filter": (1.0, 1.0)},
     {"channel_max": 512, "channel_base": 32}, {"channel_base": 70, "channel_max": 8}],
    ids=str,
)  # fmt: skip
def test_every_kind_of_nvlabs_network_keeps_its_configuration(changes: dict[str, Any]) -> None:
    config = dataclasses.replace(SMALL, **changes)
    shared = {k: v for k, v in changes.items() if k in {f.name for f in dataclasses.fields(JUDGE)}}
    generator, judge = generator_of(config), judge_of(dataclasses.replace(JUDGE, mapping_layers=2, group=2, **shared))
    if not judge.config.c_dim:  # then the file does not say how many layers its mapping would have
        judge.config = dataclasses.replace(judge.config, mapping_layers=8)
    data = nvlabs_snapshot(nvlabs_generator(generator), nvlabs_discriminator(judge))
    imported = import_bytes(data, "a.pkl", with_discriminator=True)
    assert imported.discriminator is not None
    same(generator, imported.generator)
    same(judge, imported.discriminator)
    assert imported.generator.config == config and imported.discriminator.config == judge.config
    z, c = torch.randn(2, 6), torch.eye(3)[:2] if config.c_dim else None
    assert torch.equal(generator(z, c), imported.generator(z, c))


def test_the_raw_generator_comes_on_request() -> None:
    generator = generator_of()
    value = {"G": nvlabs_generator(generator), "D": None,
             "G_ema": nvlabs_generator(generator, numbers(Generator(SMALL)))}
    imported = import_bytes(PickleWriter(4).dumps(value), "a.pkl", network="G")
    same(generator, imported.generator)
    assert imported.network == "G"


def test_frozen_layers_whose_weights_are_buffers_are_taken_as_well() -> None:
    judge = judge_of()
    call = nvlabs_discriminator(judge)
    block = call.args[0]["state"]["_modules"].items["b16"].args[0]["state"]["_modules"].items["conv0"].args[0]["state"]
    block["_buffers"].items.update(block["_parameters"].items)
    block["_parameters"].items.clear()
    imported = import_bytes(nvlabs_snapshot(nvlabs_generator(generator_of()), call), "a.pkl", with_discriminator=True)
    assert imported.discriminator is not None
    same(judge, imported.discriminator)


def changed(name: str, value: np.ndarray | None) -> bytes:
    """A snapshot with one tensor exchanged, or left out."""
    arrays = numbers(generator_of())
    if value is None:
        del arrays[name]
    else:
        arrays[name] = value
    return nvlabs_snapshot(nvlabs_generator(generator_of(), arrays))


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("synthesis.b8.conv0.bias", np.zeros(1, np.float32), "b8.conv0.bias: has the shape [1]; allowed: [8]"),
        ("synthesis.b8.conv0.bias", np.zeros((8, 1), np.float32), "has the shape [8, 1]"),
        ("synthesis.b8.conv0.noise_const", np.zeros((1, 1), np.float32), "has the shape [1, 1]; allowed: [8, 8]"),
        ("synthesis.b8.conv0.noise_strength", np.zeros(1, np.float32), "has the shape [1]; allowed: []"),
        ("synthesis.b8.conv0.weight", np.zeros((8, 8, 1, 1), np.float32), "[8, 8, 1, 1]"),
        ("synthesis.b8.conv0.bias", np.array([0, 0, 0, np.nan, 0, 0, 0, 0], np.float32),
         "b8.conv0.bias: holds a value that is not finite, at [3]"),
        ("synthesis.b8.conv0.bias", np.full(8, np.inf, np.float32), "not finite"),
        ("synthesis.b8.conv0.bias", np.full(8, 1e300), "not finite"),
        ("synthesis.b8.conv0.bias", np.zeros(8, np.int64), "type int64"),
        ("synthesis.b8.conv0.bias", None, "lacks the tensor synthesis.b8.conv0.bias"),
        ("mapping.w_avg", None, "lacks the tensor mapping.w_avg"),
        ("synthesis.b4.conv1.affine.weight", None, "lacks the tensor"),
        ("synthesis.b8.conv2.weight", np.zeros(3, np.float32), "b8.conv2.weight"),
        ("synthesis.b64.conv1.weight", np.zeros((1, 1, 3, 3), np.float32), "blocks at 4, 8, 16, 64"),
        ("synthesis.input.freqs", np.zeros(3, np.float32), "StyleGAN3"),
        ("synthesis.b8.resample_filter", np.eye(4, dtype=np.float32), "no product"),
        ("synthesis.b8.resample_filter", np.ones((4, 4), np.float32), "one for all"),
        ("synthesis.b8.resample_filter", np.zeros((4, 4), np.float32), "sum to zero"),
        ("synthesis.b8.resample_filter", np.ones(3, np.float32), ""),
    ],
)  # fmt: skip
def test_a_wrong_tensor_is_refused_by_name(name: str, value: np.ndarray | None, said: str) -> None:
    assert said in refusal(changed(name, value))


@pytest.mark.parametrize(
    ("told", "said"),
    [({"w_dim": 512}, "w_dim is 512, but its weights say 5"), ({"img_channels": 1}, "img_channels"),
     ({"c_dim": 2}, "c_dim"),
     ({"img_resolution": 1024}, "img_resolution"), ({"mapping_kwargs": {"num_layers": 8}}, "num_layers"),
     ({"synthesis_kwargs": {"channel_base": 32768}}, "channel_base"),
     ({"synthesis_kwargs": {"architecture": "resnet"}}, "architecture"),
     ({"mapping_kwargs": {"lr_multiplier": 1.0}}, "lr_multiplier"),
     ({"mapping_kwargs": {"activation": "relu"}}, "activation")],
)  # fmt: skip
def test_init_kwargs_that_contradict_the_weights_are_refused(told: dict[str, Any], said: str) -> None:
    assert said in refusal(nvlabs_snapshot(nvlabs_generator(generator_of(), **told)))


def test_a_deviation_over_more_than_one_map_is_refused() -> None:
    data = nvlabs_snapshot(nvlabs_generator(generator_of()), nvlabs_discriminator(judge_of(), maps=2))
    assert "b4.mbstd" in refusal(data, with_discriminator=True)


def test_other_layers_than_ours_are_refused() -> None:
    for path, attribute, value in (("b8", "architecture", "orig"), ("b8", "resolution", 16)):
        call = nvlabs_generator(generator_of())
        blocks = call.args[0]["state"]["_modules"].items["synthesis"].args[0]["state"]["_modules"].items
        blocks[path].args[0]["state"][attribute] = value
        assert attribute in refusal(nvlabs_snapshot(call))
    for attribute, value in (("activation", "relu"), ("use_noise", False), ("conv_clamp", 3)):
        call = nvlabs_generator(generator_of())
        blocks = call.args[0]["state"]["_modules"].items["synthesis"].args[0]["state"]["_modules"].items
        blocks["b8"].args[0]["state"]["_modules"].items["conv1"].args[0]["state"][attribute] = value
        assert "b8.conv1" in refusal(nvlabs_snapshot(call))


def test_a_small_file_cannot_ask_for_large_networks() -> None:
    """One storage shown again and again as the weights of every layer."""
    config = GeneratorConfig(resolution=1024, channel_base=32768, channel_max=512, z_dim=8, w_dim=8, mapping_layers=1)
    with torch.device("meta"):
        shapes = {k: tuple(v.shape) for k, v in Generator(config).state_dict().items()}
    largest = max(int(np.prod(shape)) for shape in shapes.values())
    storage = tensor(np.zeros(largest, np.float32), parameter=False).args[0]

    def shown(shape: tuple[int, ...]) -> Call:
        strides = tuple(int(np.prod(shape[i + 1 :])) for i in range(len(shape)))
        return Call("torch._utils", "_rebuild_tensor_v2", (storage, 0, shape, strides, False, {}))

    small = nvlabs_generator(generator_of(dataclasses.replace(config, channel_base=1024, channel_max=1)))

    def replace(call: Call, path: str) -> None:
        state = call.args[0]["state"]
        for table in ("_parameters", "_buffers"):
            for name in state[table].items:
                if name != "resample_filter":
                    state[table].items[name] = shown(shapes[path + name])
        for name, inner in state["_modules"].items.items():
            replace(inner, f"{path}{name}.")

    replace(small, "")
    small.args[0]["state"]["_init_kwargs"] = {}
    data = nvlabs_snapshot(small)
    assert len(data) < 20 << 20
    assert "weights are really in the file" in refusal(data)


def test_one_table_shown_by_a_thousand_modules_is_refused() -> None:
    """A file of 200 KiB would otherwise become millions of tensors."""
    table = {f"t{i}": None for i in range(5000)}
    leaf = Call("dnnlib.tflib.network", "Network", new=True, state={"_parameters": table})
    root = Call("dnnlib.tflib.network", "Network", new=True, state={"_modules": {f"m{i}": leaf for i in range(1000)}})
    table["t0"] = tensor(np.zeros(1, np.float32))
    for value in table:
        table[value] = table["t0"]
    assert "too many entries" in refusal(PickleWriter(4).dumps({"G_ema": root}))


@pytest.mark.parametrize("architecture", ["skip", "resnet"])
@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_a_tensorflow_triple_comes_back_as_the_same_networks(architecture: Any, protocol: int) -> None:
    generator = generator_of(dataclasses.replace(SMALL, architecture=architecture,
                                                 resample_filter=(1.0, 2.0, 4.0, 1.0)))
    other = generator_of(dataclasses.replace(SMALL, mapping_layers=1))
    judge = judge_of()
    networks = (tensorflow_generator(other), tensorflow_discriminator(judge), tensorflow_generator(generator))
    data = PickleWriter(protocol).dumps(networks)
    imported = import_bytes(data, "a.pkl", with_discriminator=True)
    same(generator, imported.generator, close=1e-6)  # the modulation biases were stored minus 1
    assert imported.discriminator is not None and imported.generator.config == generator.config
    same(judge, imported.discriminator)
    assert imported.discriminator.config == JUDGE
    same(other, import_bytes(data, "a.pkl", network="G").generator, close=1e-6)


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"fmap_base": 16384}, "fmap_base"), ({"resolution": 1024}, "resolution"),
     ({"nonlinearity": "relu"}, "nonlinearity"),
     ({"use_noise": False}, "use_noise"), ({"blur_everything": 1}, "blur_everything"),
     ({"mapping_lrmul": 0.1}, "mapping_lrmul"),
     ({"resample_kernel": "x"}, "resample_kernel"), ({"resample_kernel": [1, -1]}, "sum to zero")],
)  # fmt: skip
def test_tensorflow_settings_that_we_do_not_compute_are_refused(settings: dict[str, Any], said: str) -> None:
    made = tensorflow_generator(generator_of(), **settings)
    assert said in refusal(PickleWriter(3).dumps((made, made, made)))


def test_a_tensorflow_network_of_stylegan1_or_with_unknown_variables_is_refused() -> None:
    old = tensorflow_network({}, {}, version=3)
    assert "version 3" in refusal(PickleWriter(3).dumps((old, old, old)))
    more = tensorflow_generator(generator_of())
    more.state["components"]["synthesis"].state["variables"].append(("8x8/Attention/weight", np.zeros(3, np.float32)))
    assert "Attention" in refusal(PickleWriter(3).dumps((more, more, more)))


@pytest.mark.parametrize("zipped", [True, False])
def test_a_rosinality_checkpoint_comes_back_as_the_same_networks(zipped: bool) -> None:
    config = dataclasses.replace(SMALL, resample_filter=(1.0, 2.0, 4.0, 1.0))
    generator, judge = generator_of(config), judge_of(dataclasses.replace(JUDGE, resample_filter=(1.0, 2.0, 4.0, 1.0)))
    value = {"g_ema": rosinality_generator(generator), "d": rosinality_discriminator(judge),
             "latent_avg": generator.w_avg.numpy()}
    imported = import_bytes(saved_by_torch(value, zipped), "a.pkl", with_discriminator=True)
    assert imported.discriminator is not None and not imported.notes
    same(generator, imported.generator)
    same(judge, imported.discriminator)
    assert imported.generator.config == config


def test_the_mean_of_w_is_measured_where_a_checkpoint_does_not_tell_it() -> None:
    generator = generator_of()
    imported = import_bytes(saved_by_torch({"g_ema": rosinality_generator(generator)}, True), "a.pkl")
    torch.manual_seed(9)
    measured = generator.mapping.w(torch.randn(20000, 6)).mean(dim=0)
    assert torch.allclose(imported.generator.w_avg, measured,
                          atol=0.05 * float(generator.mapping.w(torch.randn(99, 6)).std()))
    assert "mean of w" in imported.notes[0]


def test_a_rosinality_checkpoint_that_lacks_something_is_refused() -> None:
    found = rosinality_generator(generator_of())
    del found["convs.1.activate.bias"]
    assert "convs.1.activate.bias" in refusal(saved_by_torch({"g_ema": found}, True))
    found = rosinality_generator(generator_of()) | {"convs.0.extra": np.zeros(3, np.float32)}
    assert "convs.0.extra" in refusal(saved_by_torch({"g_ema": found}, True))
    assert "holds no network d" in refusal(saved_by_torch({"g_ema": rosinality_generator(generator_of())}, True),
                                           with_discriminator=True)


@pytest.mark.parametrize(
    ("data", "said"),
    [(b"hello", "neither a pickle"), (b"\x89PNG\r\n", "neither a pickle"),
     (PickleWriter(4).dumps({"a": 1}), "without StyleGAN2"),
     (PickleWriter(4).dumps([1, 2, 3]), "a list"), (PickleWriter(4).dumps({"G_ema": 3}), "without StyleGAN2"),
     (nvlabs_snapshot(nvlabs_generator(generator_of()))[:-1], "are left"),
     (PickleWriter(4).dumps({"D": Call("dnnlib.tflib.network", "Network", new=True)}), "G_ema")],
)  # fmt: skip
def test_what_is_no_snapshot_is_refused(data: bytes, said: str) -> None:
    assert said in refusal(data)


def test_a_tree_of_modules_that_bites_its_tail_is_refused() -> None:
    loop = Call("dnnlib.tflib.network", "Network", new=True)
    loop.state = {"_modules": {"again": loop}}
    assert "deep" in refusal(PickleWriter(4).dumps({"G_ema": loop}))


def test_the_command_writes_a_checkpoint_that_says_where_it_is_from(tmp_path: Path,
                                                                    capsys: pytest.CaptureFixture[str]) -> None:
    generator, file = generator_of(), tmp_path / "snapshot.pkl"
    file.write_bytes(nvlabs_snapshot(nvlabs_generator(generator), nvlabs_discriminator(judge_of())))
    out = tmp_path / "made" / "m"
    assert main([str(file), "-o", str(out), "--with-discriminator", "--licence", "CC0-1.0"]) == 0
    said = capsys.readouterr().out
    assert "16x16 RGB, skip" in said and str(out) in said and "no licence" not in said
    kept = load_checkpoint(out)
    same(generator, kept.generator)
    assert kept.discriminator is not None and kept.geometry == {} and kept.licence == "CC0-1.0"
    assert kept.run["imported_from"] == "snapshot.pkl" and kept.run["network"] == "G_ema" and len(kept.run["sha256"]) == 64
    assert main([str(file), "-o", str(out)]) == 0  # an imported checkpoint may be imported again
    assert load_checkpoint(out).discriminator is None
    assert "no licence" in capsys.readouterr().out


def test_the_command_replaces_nothing_but_an_import_and_leaves_nothing_behind(tmp_path: Path,
                                                                              capsys: pytest.CaptureFixture[str]) -> None:
    file, folder = tmp_path / "a.pkl", tmp_path / "pictures"
    file.write_bytes(nvlabs_snapshot(nvlabs_generator(generator_of())))
    folder.mkdir()
    (folder / "holiday.jpg").write_bytes(b"x")
    assert main([str(file), "-o", str(folder)]) == 2
    assert (folder / "holiday.jpg").read_bytes() == b"x"
    file.write_bytes(file.read_bytes()[:500])
    for given in (file, tmp_path / "missing.pkl", tmp_path):
        assert main([str(given), "-o", str(tmp_path / "m")]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 4 and "byte" in said[1] and "missing.pkl" in said[2]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.pkl", "pictures"]


def test_the_description_of_an_import_is_plain_json(tmp_path: Path) -> None:
    file = tmp_path / "a.pkl"
    file.write_bytes(nvlabs_snapshot(nvlabs_generator(generator_of())))
    assert main([str(file), "-o", str(tmp_path / "m")]) == 0
    told = json.loads((tmp_path / "m" / "model.json").read_text())
    assert told["generator"]["channel_base"] == 64 and told["generator"]["resample_filter"] == [1.0, 3.0, 3.0, 1.0]
