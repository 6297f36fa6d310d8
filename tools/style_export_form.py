"""The part of a stylizer's ONNX graph that finds which way forms run (models/stylizer_form.py)."""

from __future__ import annotations

import math

import numpy as np

from models.stylizer import UNIT_PX
from models.stylizer_form import DIRECTIONS, FLOOR, LEVEL, NEAR, SOBEL, WINDOWS
from tools.onnx_graph import Graph

COLOURS = 3  # of a picture; luma is their mean


def luma(g: Graph, x: str, inputs: int, unshuffled: bool) -> str:
    """float32 [1, 1, h, w]: luma's means of cells, of a picture [1, inputs, H, W], or unshuffled [1, 16 inputs, h, w] with its
    channels in the order row, column, colour."""
    weight = np.zeros((1, UNIT_PX, UNIT_PX, inputs), np.float32)
    weight[..., :COLOURS] = 1 / (COLOURS * UNIT_PX**2)
    if unshuffled:
        return g.op("Conv", [x, g.constant("form.mean", weight.reshape(1, -1, 1, 1))], "form.luma", kernel_shape=[1, 1])
    kernel = g.constant("form.mean", weight.transpose(0, 3, 1, 2))
    return g.op("Conv", [x, kernel], "form.luma", kernel_shape=[UNIT_PX, UNIT_PX], strides=[UNIT_PX, UNIT_PX])


def shares(g: Graph, plane: str) -> str:
    """float32 [1, D, h, w] (stylizer_form.shares_of), of the means of cells [1, 1, h, w]."""
    across = np.array(SOBEL, np.float32)[None, None] / 8
    edges = g.constant("form.edges", np.concatenate([across, across.transpose(0, 1, 3, 2)]))  # [2, 1, 3, 3]
    ground = g.op("Pad", [box(g, plane, 3, "form.smooth"), g.constant("form.pads", np.array([0, 0, 1, 1, 0, 0, 1, 1]))],
                  "form.ground", mode="edge")  # fmt: skip
    slopes = g.op("Conv", [ground, edges], "form.slopes", kernel_shape=[3, 3])  # [1, 2, h, w]
    squares = g.op("Mul", [slopes, slopes], "form.squares")
    # gx^2 - gy^2 and gx^2 + gy^2; and 2 gx gy = (gx + gy)^2 - (gx^2 + gy^2)
    pairs = g.op("Conv", [squares, g.constant("form.pairing", np.array([[1, -1], [1, 1]], np.float32)[:, :, None, None])],
                 "form.pairs", kernel_shape=[1, 1])  # fmt: skip
    sums = g.op("ReduceSum", [slopes, g.constant("form.axis", np.array([1]))], "form.sums", keepdims=1)
    difference, energy = g.split(pairs, ["form.difference", "form.energy"], [1, 1], 1)
    crossed = g.op("Sub", [g.op("Mul", [sums, sums], "form.sums2"), energy], "form.crossed")
    moments = g.op("Concat", [difference, crossed, energy], "form.moments", axis=1)
    total = ""
    for step, window in enumerate(WINDOWS):
        moments = box(g, moments, window, f"form.window{step}")
        both, size = g.split(moments, [f"form.both{step}", f"form.all{step}"], [2, 1], 1)
        size = g.op("Add", [size, g.constant("form.floor", FLOOR)], f"form.size{step}")
        size = g.op("Mul", [size, g.constant(f"form.near{step}", -(NEAR**-step))], f"form.far{step}")
        agreed = g.op("Div", [both, size], f"form.agreed{step}")  # less than nothing: along, not across
        total = g.op("Add", [total, agreed], f"form.total{step}") if total else agreed
    level = g.constant("form.level", np.array([LEVEL, 0], np.float32)[None, :, None, None])
    double = g.op("Add", [total, level], "form.double")
    double = g.op("Div", [double, length(g, double, "form.length")], "form.along")
    turns = np.arange(DIRECTIONS) * 2 * math.pi / DIRECTIONS
    known = np.stack([np.cos(turns), np.sin(turns)], axis=1).astype(np.float32)[:, :, None, None]
    least = g.constant("form.nearest", np.full(DIRECTIONS, -math.cos(2 * math.pi / DIRECTIONS), np.float32))
    found = g.op("Relu", [g.op("Conv", [double, g.constant("form.known", known), least], "form.near", kernel_shape=[1, 1])],
                 "form.rough")  # fmt: skip
    return g.op("Div", [found, length(g, found, "form.rough.length")], "form.shares")


def length(g: Graph, x: str, name: str) -> str:
    """Root of the sum of squares over channels [1, 1, h, w]."""
    squares = g.op("ReduceSumSquare", [x], f"{name}.squares", axes=[1], keepdims=1)
    return g.op("Sqrt", [g.op("Add", [squares, g.constant("form.tiny", 1e-12)], f"{name}.some")], name)


def box(g: Graph, x: str, side: int, name: str) -> str:
    """The mean over a window, at the border over what there is of it."""
    half = side // 2
    x = g.op("AveragePool", [x], f"{name}.across", kernel_shape=[1, side], pads=[0, half, 0, half], count_include_pad=0)
    return g.op("AveragePool", [x], f"{name}.box", kernel_shape=[side, 1], pads=[half, 0, half, 0], count_include_pad=0)
