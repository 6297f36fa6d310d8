"""An ONNX graph written node by node: full control of names, defaults and what a runtime sees as constant."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor

OPSET = 17  # has everything used here, and every runtime of the last years reads it
IR_VERSION = 8


@dataclass
class Graph:
    """An ONNX graph being written. half: store big weights as float16 with a Cast, which runtimes fold when they load."""

    half: bool = False
    in_half: bool = False  # set by computing_in_half: constants and weights are float16 as they are
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    initializers: dict[str, onnx.TensorProto] = field(default_factory=dict)
    inputs: list[onnx.ValueInfoProto] = field(default_factory=list)
    outputs: list[onnx.ValueInfoProto] = field(default_factory=list)
    _casts: set[str] = field(default_factory=set)

    def input(self, name: str, dtype: int, shape: Sequence[int], default: npt.NDArray[Any] | None = None) -> str:
        """A graph input; with `default` it is also an initializer, so that it may be left unfed."""
        self.inputs.append(helper.make_tensor_value_info(name, dtype, list(shape)))
        if default is not None:
            self.initializers[name] = numpy_helper.from_array(np.array(default.reshape(shape), order="C"), name)
        return name

    def output(self, name: str, dtype: int, shape: Sequence[int]) -> None:
        self.outputs.append(helper.make_tensor_value_info(name, dtype, list(shape)))

    @contextmanager
    def computing_in_half(self, yes: bool) -> Iterator[None]:
        """Within it, weights are float16 tensors without a Cast, and so is `small`; nothing changes where `yes` is false."""
        before, self.in_half = self.in_half, yes
        try:
            yield
        finally:
            self.in_half = before

    def as_half(self, name: str, yes: bool = True) -> str:
        """The tensor as float16 (cast once, then shared); the name itself where `yes` is false."""
        return self._cast(name, "f16", TensorProto.FLOAT16) if yes else name

    def as_float(self, name: str, yes: bool = True) -> str:
        """The tensor as float32; the name itself where `yes` is false."""
        return self._cast(name, "f32", TensorProto.FLOAT) if yes else name

    def _cast(self, name: str, suffix: str, to: int) -> str:
        made = f"{name}.{suffix}"
        if made not in self._casts:
            self._casts.add(made)
            self.op("Cast", [name], made, to=to)
        return made

    def constant(self, name: str, value: Any) -> str:
        """A float32 or int64 constant, stored as it is."""
        array = value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)
        array = array.astype(np.int64 if array.dtype.kind in "iu" else np.float32)
        if name not in self.initializers:
            self.initializers[name] = numpy_helper.from_array(np.array(array, order="C"), name)
        return name

    def small(self, name: str, value: Tensor) -> str:
        """A constant in the precision of the computation around it."""
        return self.constant(name, value) if not self.in_half else self._stored_half(f"{name}.f16", value)

    def weight(self, name: str, value: Tensor) -> str:
        """A float32 weight; in a half graph stored as float16, which the caller has rounded to already."""
        if self.in_half:
            return self._stored_half(name, value)
        if not self.half:
            return self.constant(name, value)
        self._stored_half(f"{name}.half", value)
        return self.op("Cast", [f"{name}.half"], name, to=TensorProto.FLOAT)

    def _stored_half(self, name: str, value: Tensor) -> str:
        array = value.detach().cpu().numpy().astype(np.float16)
        if name not in self.initializers:
            self.initializers[name] = numpy_helper.from_array(np.ascontiguousarray(array), name)
        return name

    def op(self, kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, list(inputs), [output], name=output, **attributes))
        return output

    def split(self, x: str, outputs: Sequence[str], sizes: Sequence[int], axis: int) -> list[str]:
        """A tensor in parts of these sizes along an axis."""
        lengths = self.constant(f"{outputs[0]}.sizes", np.array(sizes))
        self.nodes.append(helper.make_node("Split", [x, lengths], list(outputs), name=outputs[0], axis=axis))
        return list(outputs)

    def model(self, name: str, metadata: dict[str, str]) -> onnx.ModelProto:
        """The finished model, checked. The same weights and metadata give the same bytes."""
        graph = helper.make_graph(self.nodes, name, self.inputs, self.outputs, list(self.initializers.values()))
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="cineml"
        )
        helper.set_model_props(model, metadata)
        onnx.checker.check_model(model, full_check=True)
        return model
