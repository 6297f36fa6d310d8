"""The ONNX graph of a stylizer (models/stylizer.py), written node by node for onnxruntime's sake.

What is equal on paper is not equal in time. Measured at 640x480 with the border and without a canvas, CPU ms a picture on one
thread, students of width x blocks 16x8, 24x4, 32x3, on a processor with AVX-512 (and on the same held to AVX2):

    gains of the styles as Mul and Add on the maps    26 46 38   (32 31 39)
    multiplied into the weights in the graph          35 38 46   (36 37 47)
    as constants, in the weights of the file          21 40 34   (27 27 35)
    instance normalisation                            26 47 38   (32 31 39)

With constant weights onnxruntime convolves in blocks of 16 maps (8 with AVX2), and 24 maps cost as much as 32; with computed
weights it does not, but its matrix products are slower. So weights are computed where the maps are no multiple of 16.
Pixel-unshuffle and -shuffle are moves of bytes, two transpositions along one axis each: 0.4 ms; SpaceToDepth and DepthToSpace
on floats take 0.5 and 1.1 ms, a convolution of 12x12 pixels with stride 4 in the place of unshuffle and first layer the same as
they. A Pad before every convolution instead of one border costs 10 ms. The canvas costs 5 ms, 4 planes added one by one; all
at once and summed 2 ms more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import TensorProto
from torch import Tensor

from models.stylizer import CANVAS_CELLS, EPSILON, UNIT_PX, Residual, StyledConv, Stylizer
from models.stylizer_form import DIRECTIONS
from tools import style_export_form as form
from tools.onnx_graph import Graph

Form = Literal["maps", "weights", "constant"]  # where a style's gains are multiplied in
BLOCKED = 16  # maps that onnxruntime computes together at most
LEVELS = 255.0
Gains = npt.NDArray[np.float64]  # [S, C]


@dataclass(frozen=True)
class Frame:
    """How a picture lies in the graph. size: (width, height), None = open. fp16: whether the convolutions are float16.
    form: of the style gains, None = the fastest."""

    size: tuple[int, int] | None = None
    fp16: bool = False
    form: Form | None = None

    def ends(self, border: int) -> tuple[int, int]:
        """(right, below): pixels of border after a picture of known size; before it there are `border`."""
        assert self.size is not None
        return border + -self.size[0] % UNIT_PX, border + -self.size[1] % UNIT_PX


def build(net: Stylizer, frame: Frame, metadata: dict[str, str]) -> onnx.ModelProto:
    """image uint8 [1, H, W, 3], style float32 [1, S] -> stylised uint8 [1, H, W, 3]; of a recurrent network also previous
    uint8 [1, H, W, 3] and certainty float32 [1, 1, H, W]. The same network and options give the same bytes."""
    return _Writer(net.eval(), frame).model(metadata)


def gains_of(layer: StyledConv) -> tuple[Gains, Gains]:
    """(gains, offsets) [S, C] of a layer with fixed normalisation: its output is (w @ gains) * (convolution without bias) +
    w @ offsets."""
    norm = layer.norm
    assert norm.fixed
    deviation = (norm.var.double() + EPSILON).sqrt()  # [C]
    gains = norm.gammas.detach().double() / deviation  # [S, C]
    assert layer.conv.bias is not None
    offsets = norm.betas.detach().double() + gains * (layer.conv.bias.detach().double() - norm.mean.double())
    return gains.numpy(), offsets.numpy()


class _Writer:
    """One graph under construction."""

    def __init__(self, net: Stylizer, frame: Frame):
        self.net, self.frame, self.g = net, frame, Graph()
        self.config, self.styles, self.border = net.config, len(net.config.styles), net.config.border_px
        self.student = net.config.architecture == "student"
        self.bytes_first = self.student and not self.config.recurrent and frame.size is not None

    def model(self, metadata: dict[str, str]) -> onnx.ModelProto:
        g, size = self.g, self.frame.size
        high_wide: list[Any] = [size[1], size[0]] if size is not None else ["height", "width"]
        picture = [1, *high_wide, 3]
        g.input("image", TensorProto.UINT8, picture)
        g.input("style", TensorProto.FLOAT, [1, self.styles])
        if self.config.recurrent:
            g.input("previous", TensorProto.UINT8, picture)
            g.input("certainty", TensorProto.FLOAT, [1, 1, *high_wide])
        if size is None:
            self.measure()
        x = g.as_half(self.entrance(), self.frame.fp16)
        with g.computing_in_half(self.frame.fp16):
            self.exit(self.middle(x), self.shares(x))
        g.output("stylised", TensorProto.UINT8, picture)
        return g.model("cineml.stylizer", metadata)

    # --- sizes that are not known before

    def measure(self) -> None:
        """height, width, and the pads that make them whole, as tensors."""
        g = self.g
        shape = g.op("Shape", ["image"], "size.shape")
        for axis, name in ((1, "height"), (2, "width")):
            one = g.op("Gather", [shape, g.constant(f"size.axis{axis}", np.array([axis]))], f"size.{name}")  # int64 [1]
            less = g.op("Mod", [g.op("Neg", [one], f"size.{name}.neg"), g.constant("size.unit", np.array([UNIT_PX]))],
                        f"size.{name}.missing")  # fmt: skip
            g.op("Add", [less, g.constant("size.border", np.array([self.border]))], f"size.{name}.after")
            g.op("Add", [one, "size.border"], f"size.{name}.end")
        zeros = g.constant("size.zeros", np.array([0, 0]))
        before = [zeros, "size.border", "size.border"]
        g.op("Concat", [*before, zeros, "size.height.after", "size.width.after"], "size.pads", axis=0)
        g.op("Concat", ["size.height.end", "size.width.end"], "size.ends", axis=0)

    # --- from bytes to maps

    def entrance(self) -> str:
        """What the first convolution takes: [1, I, H', W'] or, unshuffled, [1, 16 I, H'/4, W'/4] with channels in the order
        row, column, colour."""
        g = self.g
        if self.bytes_first:
            return self.unshuffled_bytes()
        x = self.floats("image")  # [1, 3, H, W]
        if self.config.recurrent:
            before = g.op("Mul", [self.floats("previous"), "certainty"], "previous.sure")
            x = g.op("Concat", [x, before, "certainty"], "entrance.all", axis=1)  # [1, 7, H, W]
        if self.frame.size is None:
            pads = "size.pads"
        else:
            right, below = self.frame.ends(self.border)
            pads = g.constant("entrance.pads", np.array([0, 0, self.border, self.border, 0, 0, below, right]))
        x = g.op("Pad", [x, pads], "entrance.bordered", mode="edge")
        return g.op("SpaceToDepth", [x], "entrance.unshuffled", blocksize=UNIT_PX) if self.student else x

    def floats(self, name: str) -> str:
        """uint8 [1, H, W, 3] -> float32 [1, 3, H, W], -0.5..0.5."""
        g = self.g
        planes = g.op("Transpose", [name], f"{name}.planes", perm=[0, 3, 1, 2])
        x = g.op("Cast", [planes], f"{name}.float", to=TensorProto.FLOAT)
        return self.centred(x, name)

    def centred(self, x: str, name: str) -> str:
        """0..255 -> -0.5..0.5."""
        g = self.g
        x = g.op("Sub", [x, g.constant("levels.middle", LEVELS / 2)], f"{name}.centred")
        return g.op("Mul", [x, g.constant("levels.unit", 1 / LEVELS)], f"{name}.unit")

    def unshuffled_bytes(self) -> str:
        """Border and pixel-unshuffle on the bytes of a picture of known size."""
        g = self.g
        assert self.frame.size is not None
        right, below = self.frame.ends(self.border)
        pads = g.constant("entrance.pads", np.array([0, self.border, self.border, 0, 0, below, right, 0]))
        x = g.op("Pad", ["image", pads], "entrance.bordered", mode="edge")
        high, wide = self.cells()
        rows = 3 * UNIT_PX  # bytes of a cell in one line
        x = self.shaped(x, [high, UNIT_PX, wide * rows], "entrance.lines")
        x = g.op("Transpose", [x], "entrance.by_line", perm=[1, 0, 2])
        x = self.shaped(x, [UNIT_PX, high * wide, rows], "entrance.cells")
        x = g.op("Transpose", [x], "entrance.by_place", perm=[0, 2, 1])
        x = self.shaped(x, [1, UNIT_PX * rows, high, wide], "entrance.unshuffled")
        return self.centred(g.op("Cast", [x], "entrance.float", to=TensorProto.FLOAT), "entrance")

    def cells(self) -> tuple[int, int]:
        """(high, wide) at a quarter of the size, of a picture of known size."""
        assert self.frame.size is not None
        right, below = self.frame.ends(self.border)
        return (self.frame.size[1] + self.border + below) // UNIT_PX, (self.frame.size[0] + self.border + right) // UNIT_PX

    def shaped(self, x: str, shape: Sequence[int], name: str) -> str:
        return self.g.op("Reshape", [x, self.g.constant(f"{name}.shape", np.array(shape))], name)

    # --- the network

    def middle(self, x: str) -> str:
        """[1, I, h, w] -> what the residual blocks leave."""
        net = self.net
        for i, layer in enumerate(net.down):
            assert isinstance(layer, StyledConv)
            x = self.styled(x, layer, f"down{i}", unshuffled=self.student and i == 0)
        for i, block in enumerate(net.blocks):
            assert isinstance(block, Residual)
            y = self.styled(x, block.first, f"block{i}.first")
            y = self.styled(y, block.second, f"block{i}.second")
            x = self.g.op("Add", [x, y], f"block{i}.sum")
        return x

    def styled(self, x: str, layer: StyledConv, name: str, unshuffled: bool = False) -> str:
        """A StyledConv. unshuffled: its input's channels lie in the order of `entrance`."""
        g = self.g
        if layer.up:
            scales = g.constant("up.scales", np.array([1, 1, 2, 2], np.float32))
            x = g.op("Resize", [x, "", scales], f"{name}.larger", mode="nearest", nearest_mode="floor",
                     coordinate_transformation_mode="asymmetric")  # fmt: skip
        weight = layer.conv.weight.detach()
        if unshuffled:
            weight = weight[:, self.order(weight.shape[1] // UNIT_PX**2)]
        if layer.norm.fixed:
            gains, offsets = gains_of(layer)
            x = self.convolved(x, weight, gains, offsets, int(layer.conv.stride[0]), name)
        else:
            x = self.plain(x, weight, layer.conv.bias, int(layer.conv.stride[0]), f"{name}.conv")
            channels = weight.shape[0]
            rows = [self.half(self.shaped(self.mixed(layer.norm.gammas, f"{name}.gamma"), [channels], f"{name}.gamma.row")),
                    self.half(self.shaped(self.mixed(layer.norm.betas, f"{name}.beta"), [channels], f"{name}.beta.row"))]
            x = g.op("InstanceNormalization", [x, *rows], f"{name}.norm", epsilon=EPSILON)
        return g.op("Relu", [x], f"{name}.act") if layer.active else x

    def order(self, colours: int) -> Tensor:
        """For channels in the order row, column, colour: their places in torch's order colour, row, column."""
        places = torch.arange(colours * UNIT_PX**2).reshape(colours, UNIT_PX, UNIT_PX)
        return places.permute(1, 2, 0).reshape(-1)

    def mixed(self, rows: Tensor | Gains, name: str) -> str:
        """style @ rows: float32 [1, C]."""
        values = rows.detach().numpy() if isinstance(rows, Tensor) else rows
        return self.g.op("MatMul", ["style", self.g.constant(f"{name}.rows", values.astype(np.float32))], name)

    def half(self, name: str) -> str:
        return self.g.as_half(name, self.frame.fp16)

    def form_of(self, channels: int) -> Form:
        """Where the gains of a layer of so many maps go. Shares sum to 1, so that of a single style is 1 and its gains are
        constants."""
        if self.frame.form is not None:
            return self.frame.form
        return "weights" if channels % BLOCKED else "constant" if self.styles == 1 else "maps"

    def convolved(self, x: str, weight: Tensor, gains: Gains, offsets: Gains, stride: int, name: str, more: float = 0.0) -> str:
        """(style @ gains) * convolution + style @ offsets + more."""
        g, channels = self.g, weight.shape[0]
        form = self.form_of(channels)
        if form == "constant":
            scaled = weight.double() * torch.from_numpy(gains[0])[:, None, None, None]
            return self.plain(x, scaled.float(), torch.from_numpy(offsets[0] + more).float(), stride, f"{name}.conv")
        gain, offset = self.mixed(gains, f"{name}.gain"), self.mixed(offsets, f"{name}.offset")
        if more:
            offset = g.op("Add", [offset, g.constant(f"{name}.more", more)], f"{name}.offset.all")
        if form == "weights":
            column = self.half(self.shaped(gain, [channels, 1, 1, 1], f"{name}.gain.column"))
            bias = self.half(self.shaped(offset, [channels], f"{name}.offset.row"))
            scaled_name = g.op("Mul", [g.weight(f"{name}.weight", weight), column], f"{name}.scaled")
            return self.conv_op([x, scaled_name, bias], weight, stride, f"{name}.conv")
        shape = [1, channels, 1, 1]
        x = self.plain(x, weight, None, stride, f"{name}.conv")
        x = g.op("Mul", [x, self.half(self.shaped(gain, shape, f"{name}.gain.map"))], f"{name}.gained")
        return g.op("Add", [x, self.half(self.shaped(offset, shape, f"{name}.offset.map"))], f"{name}.styled")

    def plain(self, x: str, weight: Tensor, bias: Tensor | None, stride: int, name: str) -> str:
        """A convolution with constant weights."""
        inputs = [x, self.g.weight(f"{name}.weight", weight)]
        if bias is not None:
            inputs.append(self.g.small(f"{name}.bias", bias.detach()))
        return self.conv_op(inputs, weight, stride, name)

    def conv_op(self, inputs: Sequence[str], weight: Tensor, stride: int, name: str) -> str:
        kernel = weight.shape[2]
        return self.g.op("Conv", inputs, name, kernel_shape=[kernel, kernel], strides=[stride, stride], pads=[kernel // 2] * 4)

    def planes(self) -> str:
        """The canvas under a picture, float32 [1, 16 K, H'/4, W'/4], cut out of the repeating planes. Where the size is known
        all of it is constant, and runtimes make it when they load the file."""
        g, planes = self.g, self.g.constant("canvas.planes", self.net.canvas)
        first = CANVAS_CELLS - self.border // UNIT_PX
        for axis, name in ((2, "height"), (3, "width")):
            if self.frame.size is not None:
                at = g.constant(f"canvas.{name}.at", (np.arange(self.cells()[axis - 2]) + first) % CANVAS_CELLS)
            else:
                total = g.op("Add", [f"size.{name}.end", f"size.{name}.after"], f"canvas.{name}")
                count = g.op("Squeeze", [g.op("Div", [total, "size.unit"], f"canvas.{name}.cells")], f"canvas.{name}.count")
                from_zero = [g.constant("canvas.zero", 0), count, g.constant("canvas.one", 1)]
                numbers = g.op("Range", from_zero, f"canvas.{name}.numbers")
                moved = g.op("Add", [numbers, g.constant("canvas.phase", first)], f"canvas.{name}.moved")
                at = g.op("Mod", [moved, g.constant("canvas.side", CANVAS_CELLS)], f"canvas.{name}.at")
            planes = g.op("Gather", [planes, at], f"canvas.{name}.cut", axis=axis)
        return planes

    def shares(self, x: str) -> str:
        """How much each direction of strokes shows [1, D, H'/4, W'/4], of what the first convolution takes; '' without a
        canvas."""
        if self.net.brush is None:
            return ""
        luma = form.luma(self.g, self.g.as_float(x, self.frame.fp16), self.config.inputs, self.student)
        return form.shares(self.g, luma)

    # --- from maps to bytes

    def exit(self, x: str, shares: str) -> str:
        """The last convolution, the canvas's strokes, colour gains, and the picture's bytes without the border."""
        net, g = self.net, self.g
        if self.student:
            y = self.coloured(x, UNIT_PX**2)  # [1, 48, H'/4, W'/4]
            y = self.painted(x, shares, y) if net.brush is not None else y
        else:
            y = x
            for i, layer in enumerate(net.up):
                assert isinstance(layer, StyledConv)
                y = self.styled(y, layer, f"up{i}")
            y = self.coloured(y, 1)  # [1, 3, H', W']
            if net.brush is not None:
                strokes = g.op("DepthToSpace", [self.painted(x, shares, "")], "canvas.strokes", blocksize=UNIT_PX, mode="DCR")
                y = g.op("Add", [y, strokes], "canvas.over")
        low, high = (g.constant(f"exit.{name}", value) for name, value in (("low", 0.0), ("high", LEVELS + 0.5)))
        y = g.op("Cast", [g.op("Clip", [y, low, high], "exit.clipped")], "exit.bytes", to=TensorProto.UINT8)
        return self.shuffled_bytes(y) if self.student and self.frame.size is not None else self.picture(y)

    def coloured(self, x: str, times: int) -> str:
        """The last convolution, its channels in the order row, column, colour (`times` colours), with the gains and offsets of
        the styles' colours: float32, in levels, and half a level more, since casting to bytes cuts off."""
        net, g = self.net, self.g
        assert net.last.bias is not None
        order = self.order(3) if times > 1 else torch.arange(3)
        weight, bias = net.last.weight.detach()[order], net.last.bias.detach().double()[order]
        gains, offsets = (np.tile(LEVELS * p.detach().double().numpy(), (1, times)) for p in (net.gains, net.offsets))
        if not self.frame.fp16:
            return self.convolved(x, weight, gains, gains * bias.numpy() + offsets, 1, "last", more=0.5)
        # The gains reach 255 and the sums must be exact to a level: in float32.
        x = g.as_float(self.plain(x, weight, bias.float(), 1, "last.conv"))
        shape = [1, weight.shape[0], 1, 1]
        offset = g.op("Add", [self.mixed(offsets, "last.offset"), g.constant("last.more", 0.5)], "last.offset.all")
        x = g.op("Mul", [x, self.shaped(self.mixed(gains, "last.gain"), shape, "last.gain.map")], "last.gained")
        return g.op("Add", [x, self.shaped(offset, shape, "last.offset.map")], "last.styled")

    def painted(self, x: str, shares: str, onto: str) -> str:
        """The canvas's patterns as forms run and the maps x say (Stylizer.painted), in levels, added to `onto`
        [1, 48, H'/4, W'/4] (nothing where that is ''), in the order row, column, colour. The places lie in a row: broadcasting
        is quick along them."""
        net, g, count = self.net, self.g, self.net.config.canvas
        assert net.brush is not None
        rough = self.styled(x, net.brush, "brush")
        chosen = g.op("AveragePool", [rough], "brush.smooth", kernel_shape=[3, 3], pads=[1] * 4, count_include_pad=0)
        levels, amounts = g.split(g.as_float(chosen, self.frame.fp16), ["brush.levels", "brush.amounts"], [count, 3 * count], 1)
        colour = self.shaped(self.mixed(LEVELS * net.gains.detach(), "brush.colour"), [1, 1, 3, 1], "brush.colour.map")
        amounts = g.op("Mul", [self.shaped(amounts, [count, 1, 3, -1], "brush.amounts.flat"), colour], "brush.coloured")
        levels = self.shaped(levels, [count, 1, 1, -1], "brush.levels.flat")
        split = [self.patterns(shares), self.apart(levels, count), self.apart(amounts, count)]
        limits = [g.constant(f"canvas.{name}", value) for name, value in (("least", -1.0), ("most", 1.0))]
        total = self.shaped(onto, [1, UNIT_PX**2, 3, -1], "canvas.before") if onto else ""
        for k, (plane, level, amount) in enumerate(zip(*split, strict=True)):
            shown = g.op("Clip", [g.op("Add", [plane, level], f"canvas.raised{k}"), *limits], f"canvas.shown{k}")
            strokes = g.op("Mul", [shown, amount], f"canvas.strokes{k}")  # [1, 16, 3, places]
            total = g.op("Add", [total, strokes], f"canvas.sum{k}") if total else strokes
        if self.frame.size is not None:
            return self.shaped(total, [1, 3 * UNIT_PX**2, *self.cells()], "canvas.painted")
        cells = g.op("Shape", [x], "canvas.cells", start=2)
        head = g.constant("canvas.channels", np.array([1, 3 * UNIT_PX**2]))
        return g.op("Reshape", [total, g.op("Concat", [head, cells], "canvas.shape", axis=0)], "canvas.painted")

    def patterns(self, shares: str) -> list[str]:
        """The patterns as forms run, [1, 16, 1, places] each."""
        g, count = self.g, self.net.config.canvas
        flat = self.shaped(self.planes(), [count * DIRECTIONS, UNIT_PX**2, 1, -1], "canvas.flat")
        planes = self.apart(flat, count * DIRECTIONS)
        turned = self.apart(self.shaped(shares, [DIRECTIONS, 1, 1, -1], "form.flat"), DIRECTIONS)
        found = []
        for k in range(count):
            total = ""
            for d, share in enumerate(turned):
                name = f"canvas.pattern{k}.{d}"
                part = g.op("Mul", [planes[k * DIRECTIONS + d], share], f"{name}.part")
                total = g.op("Add", [total, part], name) if total else part
            found.append(total)
        return found

    def apart(self, name: str, count: int) -> list[str]:
        """A tensor in its rows, each [1, ...]."""
        return [name] if count == 1 else self.g.split(name, [f"{name}.{i}" for i in range(count)], [1] * count, 0)

    def shuffled_bytes(self, x: str) -> str:
        """uint8 [1, 48, H'/4, W'/4] -> stylised, of known size."""
        g = self.g
        high, wide = self.cells()
        rows = 3 * UNIT_PX
        x = self.shaped(x, [UNIT_PX, rows, high * wide], "exit.lines")
        x = g.op("Transpose", [x], "exit.by_cell", perm=[0, 2, 1])
        x = self.shaped(x, [UNIT_PX, high, wide * rows], "exit.cells")
        x = g.op("Transpose", [x], "exit.by_row", perm=[1, 0, 2])
        return self.cropped(self.shaped(x, [1, high * UNIT_PX, wide * UNIT_PX, 3], "exit.picture"))

    def picture(self, x: str) -> str:
        """uint8 planes [1, 48, H'/4, W'/4] or [1, 3, H', W'] -> stylised."""
        g = self.g
        if self.student:
            x = g.op("Cast", [x], "exit.float", to=TensorProto.FLOAT)  # few runtimes shuffle bytes
            x = g.op("DepthToSpace", [x], "exit.shuffled", blocksize=UNIT_PX, mode="DCR")
            x = g.op("Cast", [x], "exit.picture.bytes", to=TensorProto.UINT8)
        return self.cropped(g.op("Transpose", [x], "exit.picture", perm=[0, 2, 3, 1]))

    def cropped(self, x: str) -> str:
        """Without the border: the output."""
        g, size, border = self.g, self.frame.size, self.border
        starts = g.constant("exit.starts", np.array([border, border]))
        ends = "size.ends" if size is None else g.constant("exit.ends", np.array([size[1] + border, size[0] + border]))
        return g.op("Slice", [x, starts, ends, g.constant("exit.axes", np.array([1, 2]))], "stylised")
