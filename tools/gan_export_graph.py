"""The ONNX graphs of a generator, built node by node: full control of names, defaults and what a runtime sees as constant.

Products form (Karras et al. 2020, equations 1 to 3, rearranged): input * style, convolution with constant weights,
output * demodulation. An up-layer is a transposed convolution and two 1-D depthwise FIRs. The gain sqrt(2) after the
leaky ReLU is folded into demodulation, noise strength and bias, since leaky ReLU is positively homogeneous.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor

from models.stylegan2 import ACTIVATION_GAIN, LRELU_SLOPE, FullyConnected, Generator, SynthesisLayer, ToRGB

OPSET = 17  # has everything used here, and every runtime of the last years reads it
IR_VERSION = 8
Part = Literal["mapping", "synthesis", "generator"]


@dataclass
class Graph:
    """An ONNX graph being written. half: store big weights as float16 with a Cast, which runtimes fold when they load."""

    half: bool = False
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    initializers: dict[str, onnx.TensorProto] = field(default_factory=dict)
    inputs: list[onnx.ValueInfoProto] = field(default_factory=list)
    outputs: list[onnx.ValueInfoProto] = field(default_factory=list)

    def input(self, name: str, dtype: int, shape: Sequence[int], default: npt.NDArray[Any] | None = None) -> str:
        """A graph input; with `default` it is also an initializer, so that it may be left unfed."""
        self.inputs.append(helper.make_tensor_value_info(name, dtype, list(shape)))
        if default is not None:
            self.initializers[name] = numpy_helper.from_array(np.array(default.reshape(shape), order="C"), name)
        return name

    def output(self, name: str, dtype: int, shape: Sequence[int]) -> None:
        self.outputs.append(helper.make_tensor_value_info(name, dtype, list(shape)))

    def constant(self, name: str, value: Any) -> str:
        """A float32 or int64 constant, stored as it is."""
        array = value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)
        array = array.astype(np.int64 if array.dtype.kind in "iu" else np.float32)
        if name not in self.initializers:
            self.initializers[name] = numpy_helper.from_array(np.array(array, order="C"), name)
        return name

    def weight(self, name: str, value: Tensor) -> str:
        """A float32 weight; in a half graph stored as float16, which the caller has rounded to already."""
        if not self.half:
            return self.constant(name, value)
        array = value.detach().cpu().numpy().astype(np.float16)
        self.initializers[f"{name}.half"] = numpy_helper.from_array(np.ascontiguousarray(array), f"{name}.half")
        return self.op("Cast", [f"{name}.half"], name, to=TensorProto.FLOAT)

    def op(self, kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, list(inputs), [output], name=output, **attributes))
        return output

    def model(self, name: str, metadata: dict[str, str]) -> onnx.ModelProto:
        """The finished model, checked. The same weights and metadata give the same bytes."""
        graph = helper.make_graph(self.nodes, name, self.inputs, self.outputs, list(self.initializers.values()))
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="cineml"
        )
        helper.set_model_props(model, metadata)
        onnx.checker.check_model(model, full_check=True)
        return model


def _fully_connected(g: Graph, x: str, layer: FullyConnected, name: str, gain: float = 1.0) -> str:
    """x [1, in] -> [1, out]; the layer's gains (and `gain`) are folded into its constants."""
    weight = g.weight(f"{name}.weight", layer.weight)  # as stored: rounding to float16 must not see the gains
    scaled = {"alpha": layer.weight_gain * gain, "beta": layer.bias_gain * gain}
    if layer.activation:
        # relu(x) * sqrt(2) = relu(sqrt(2) * x)
        scaled = {k: v * ACTIVATION_GAIN for k, v in scaled.items()}
    y = g.op("Gemm", [x, weight, g.constant(f"{name}.bias", layer.bias)], f"{name}.out", transB=1, **scaled)
    return g.op("LeakyRelu", [y], f"{name}.act", alpha=LRELU_SLOPE) if layer.activation else y


def _normalise(g: Graph, x: str, name: str) -> str:
    """Second-moment normalisation, x [1, D]."""
    square = g.op("Mul", [x, x], f"{name}.square")
    mean = g.op("ReduceMean", [square], f"{name}.mean", axes=[1], keepdims=1)
    root = g.op("Sqrt", [g.op("Add", [mean, g.constant("eps", 1e-8)], f"{name}.eps")], f"{name}.root")
    return g.op("Div", [x, root], f"{name}.out")


def add_mapping(g: Graph, generator: Generator) -> str:
    """Inputs z, c (conditional only), psi, cutoff -> the name of ws [1, num_ws, w_dim]."""
    config = generator.config
    z = g.input("z", TensorProto.FLOAT, [1, config.z_dim])
    x = _normalise(g, z, "mapping.z")
    if config.c_dim:
        c = g.input("c", TensorProto.FLOAT, [1, config.c_dim])
        label = _normalise(g, _fully_connected(g, c, generator.mapping.embed, "mapping.embed"), "mapping.label")
        x = g.op("Concat", [x, label], "mapping.in", axis=1)
    psi = g.input("psi", TensorProto.FLOAT, [])
    cutoff = g.input("cutoff", TensorProto.INT64, [])
    for i in range(config.mapping_layers):
        x = _fully_connected(g, x, getattr(generator.mapping, f"fc{i}"), f"mapping.fc{i}")
    # ws = w_avg + (w - w_avg) * (1 + [layer < cutoff] * (psi - 1))
    layers = g.constant("mapping.layers", np.arange(config.num_ws).reshape(1, -1, 1))
    near = g.op("Cast", [g.op("Less", [layers, cutoff], "mapping.is_near")], "mapping.near", to=TensorProto.FLOAT)
    less = g.op("Mul", [near, g.op("Sub", [psi, g.constant("one", 1.0)], "mapping.psi_less_1")], "mapping.pull")
    factor = g.op("Add", [less, "one"], "mapping.factor")  # [1, num_ws, 1]
    average = g.constant("mapping.w_avg", generator.w_avg.reshape(1, 1, -1))
    away = g.op("Sub", [x, average], "mapping.away")  # [1, 1, w_dim]
    return g.op("Add", [g.op("Mul", [away, factor], "mapping.truncated"), average], "ws")  # [1, num_ws, w_dim]


def _style(g: Graph, w: str, layer: FullyConnected, name: str, gain: float = 1.0) -> str:
    """w [1, w_dim] -> styles [1, I, 1, 1]."""
    s = _fully_connected(g, w, layer, f"{name}.affine", gain)
    return g.op("Reshape", [s, g.constant("as_maps", np.array([1, -1, 1, 1]))], f"{name}.style")


def _fir(g: Graph, x: str, layer: SynthesisLayer, name: str) -> str:
    """x [1, C, 2H+1, 2W+1] -> [1, C, 2H, 2W]: two 1-D depthwise passes, gain 2 each."""
    channels = layer.weight.shape[0]
    taps = layer.taps.flip(0) * 2  # ONNX correlates, the filter is a convolution
    length = len(taps)
    pad = length // 2 - 1
    across = g.constant(f"fir.across.{channels}", taps.reshape(1, 1, 1, -1).repeat(channels, 1, 1, 1))
    down = g.constant(f"fir.down.{channels}", taps.reshape(1, 1, -1, 1).repeat(channels, 1, 1, 1))
    x = g.op("Conv", [x, across], f"{name}.fir_across", group=channels, kernel_shape=[1, length], pads=[0, pad, 0, pad])
    return g.op("Conv", [x, down], f"{name}.fir", group=channels, kernel_shape=[length, 1], pads=[pad, 0, pad, 0])


def _layer(g: Graph, x: str, w: str, layer: SynthesisLayer, res: int, index: int, gains: bool) -> str:
    """One styled convolution: x [1, I, H, W], w [1, w_dim] -> [1, O, H or 2H, W or 2W]."""
    name = f"b{res}.conv{index}"
    outputs = layer.weight.shape[0]
    s = _style(g, w, layer.affine, name)  # [1, I, 1, 1]
    power = layer.weight.detach().double().square().sum(dim=(2, 3)).float()  # [O, I]
    square = g.op("Mul", [s, s], f"{name}.style2")
    total = g.op(
        "Conv",
        [
            square,
            g.constant(f"{name}.power", power[:, :, None, None]),
            g.constant(f"{name}.eps", np.full(outputs, 1e-8)),
        ],
        f"{name}.norm2",
        kernel_shape=[1, 1],
    )
    # sqrt(2) / sqrt(total) = sqrt(2 / total): the activation's gain rides along
    d = g.op("Sqrt", [g.op("Div", [g.constant("two", 2.0), total], f"{name}.inverse")], f"{name}.demod")  # [1, O, 1, 1]
    x = g.op("Mul", [x, s], f"{name}.scaled")
    if layer.up:
        weight = g.weight(f"{name}.weight", layer.weight.transpose(0, 1))  # [I, O, 3, 3]
        x = g.op("ConvTranspose", [x, weight], f"{name}.conv", kernel_shape=[3, 3], strides=[2, 2])
        x = _fir(g, x, layer, name)
    else:
        weight = g.weight(f"{name}.weight", layer.weight)  # [O, I, 3, 3]
        x = g.op("Conv", [x, weight], f"{name}.conv", kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    x = g.op("Mul", [x, d], f"{name}.demodulated")
    default = layer.noise_const.detach().cpu().numpy()
    noise = g.input(f"noise.{res}.{index}", TensorProto.FLOAT, [1, 1, res, res], default)
    strength = g.constant(f"{name}.noise_strength", layer.noise_strength.detach() * ACTIVATION_GAIN)
    bias = g.constant(f"{name}.bias", (layer.bias.detach() * ACTIVATION_GAIN).reshape(1, -1, 1, 1))
    x = g.op("Add", [x, bias], f"{name}.biased")
    x = g.op("Add", [x, g.op("Mul", [noise, strength], f"{name}.noise")], f"{name}.noisy")
    x = g.op("LeakyRelu", [x], f"{name}.act", alpha=LRELU_SLOPE)
    if layer.clamp is not None:
        limit = layer.clamp
        x = g.op("Clip", [x, g.constant("clamp.low", -limit), g.constant("clamp.high", limit)], f"{name}.clamped")
    if gains:
        gain = g.input(
            f"gain.{res}.{index}", TensorProto.FLOAT, [1, outputs, 1, 1], np.ones((1, outputs, 1, 1), np.float32)
        )
        x = g.op("Mul", [x, gain], f"{name}.gained")
    return x


def _torgb(g: Graph, x: str, w: str, layer: ToRGB, res: int) -> str:
    """x [1, I, H, W] -> picture part [1, C, H, W]. One to three outputs: the style goes into the few weights instead of
    into the whole activation, which is cheaper at any size."""
    name = f"b{res}.torgb"
    s = _style(g, w, layer.affine, name, layer.style_gain)  # [1, I, 1, 1]
    weight = g.op("Mul", [g.weight(f"{name}.weight", layer.weight), s], f"{name}.styled")  # [C, I, 1, 1]
    y = g.op("Conv", [x, weight, g.constant(f"{name}.bias", layer.bias)], f"{name}.out", kernel_shape=[1, 1])
    if layer.clamp is None:
        return y
    return g.op(
        "Clip", [y, g.constant("rgb.low", -layer.clamp), g.constant("rgb.high", layer.clamp)], f"{name}.clamped"
    )


def _upsample(g: Graph, image: str, taps: Tensor, channels: int, res: int) -> str:
    """image [1, C, H, W] -> [1, C, 2H, 2W]. A transposed convolution scatters: no flip."""
    both = torch.outer(taps * 2, taps * 2)[None, None].repeat(channels, 1, 1, 1)  # [C, 1, L, L]
    length = len(taps)
    return g.op(
        "ConvTranspose",
        [image, g.constant("upsample.taps", both)],
        f"b{res}.up",
        group=channels,
        kernel_shape=[length, length],
        strides=[2, 2],
        pads=[length // 2 - 1] * 4,
    )


def add_synthesis(g: Graph, generator: Generator, ws: str, uint8: bool, gains: bool) -> None:
    """ws [1, num_ws, w_dim] and the noise (and gain) inputs -> the output `image`."""
    config = generator.config
    index = 0
    x = g.weight("b4.const", generator.synthesis.b4.const[None])
    image = ""
    rows = [g.op("Gather", [ws, g.constant(f"layer.{i}", np.array(i))], f"w.{i}", axis=1) for i in range(config.num_ws)]
    for block in generator.synthesis.blocks():
        res = block.resolution
        if res > 4:
            x = _layer(g, x, rows[index], block.conv0, res, 0, gains)
            index += 1
        x = _layer(g, x, rows[index], block.conv1, res, 1, gains)
        part = _torgb(g, x, rows[index + 1], block.torgb, res)
        index += 1
        if image:
            up = _upsample(g, image, block.taps, config.channels, res)
            image = g.op("Add", [up, part], f"b{res}.image")
        else:
            image = part
    size = config.resolution
    if not uint8:
        g.op("Identity", [image], "image")
        g.output("image", TensorProto.FLOAT, [1, config.channels, size, size])
        return
    half_range = g.constant("u8.half", 127.5)
    x = g.op("Add", [g.op("Mul", [image, half_range], "u8.scaled"), half_range], "u8.shifted")
    x = g.op(
        "Clip",
        [g.op("Round", [x], "u8.rounded"), g.constant("u8.low", 0.0), g.constant("u8.high", 255.0)],
        "u8.clipped",
    )
    x = g.op("Transpose", [g.op("Cast", [x], "u8.cast", to=TensorProto.UINT8)], "u8.last", perm=[0, 2, 3, 1])
    if config.channels == 1:
        g.op("Concat", [x, x, x], "image", axis=3)
    else:
        g.op("Identity", [x], "image")
    g.output("image", TensorProto.UINT8, [1, size, size, 3])


def build(
    generator: Generator,
    part: Part,
    metadata: dict[str, str],
    half: bool = False,
    uint8: bool = False,
    gains: bool = False,
) -> onnx.ModelProto:
    """The ONNX model of one part of a generator, or of both joined ("generator").

    half: the generator's weights must have been rounded to float16 already. metadata: stored as the model's properties.
    """
    g = Graph(half)
    config = generator.config
    with torch.no_grad():
        if part == "synthesis":
            ws = g.input("ws", TensorProto.FLOAT, [1, config.num_ws, config.w_dim])
        else:
            ws = add_mapping(g, generator)
        if part == "mapping":
            g.output("ws", TensorProto.FLOAT, [1, config.num_ws, config.w_dim])
        else:
            add_synthesis(g, generator, ws, uint8, gains)
    return g.model(f"cineml.{part}", metadata)


def size_in_flop(generator: Generator) -> float:
    """Multiply-adds of the synthesis convolutions times two, one picture."""
    total = 0.0
    for block in generator.synthesis.blocks():
        for layer in block.children():
            if isinstance(layer, SynthesisLayer):
                pixels = block.resolution**2 / (4 if layer.up else 1)
                total += 2 * math.prod(layer.weight.shape) * pixels
    return total
