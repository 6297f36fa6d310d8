"""A stylizer of a few hundred bytes with the names, shapes and metadata of a real one, for tests.

stylised = round(image * (style @ GAIN) + style @ SHIFT), plus certainty * previous where it is recurrent. So `negative` is the
negative, `dim` half the light, `white` white.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

STYLES = ("negative", "dim", "white")
GAIN = np.array([[-1.0], [0.5], [0.0]], np.float32)
SHIFT = np.array([[255.0], [0.0], [255.0]], np.float32)


def tiny(picture: np.ndarray, **weights: float) -> np.ndarray:
    """What it makes of a picture uint8 [H, W, 3]; weights by style."""
    shares = np.array([weights.get(name, 0.0) for name in STYLES], np.float32)
    shares /= shares.sum()
    return np.clip(np.rint(picture * (shares @ GAIN)[0] + (shares @ SHIFT)[0]), 0, 255).astype(np.uint8)


def facts_of(size: tuple[int, int] | None, **more: Any) -> dict[str, Any]:
    return {"kind": "stylizer", "part": "stylizer", "styles": list(STYLES), "size": list(size) if size else None, "multiple": 1,
            "range": [0, 255], "recurrent": False, "licence": "CC0-1.0", "run": {"tool": "tests", "steps": 3},
            "hashes": {"weights": "0" * 64}, **more}  # fmt: skip


def write_tiny_stylizer(path: Path, size: tuple[int, int] | None = None, recurrent: bool = False, facts: bool = True,
                        inputs_for: int = len(STYLES), **more: Any) -> Path:  # fmt: skip
    """size: (width, height), None leaves both open. more: metadata that is to be another."""
    onnx = pytest.importorskip("onnx", reason="the onnx package makes the test's model")
    h, t, n = onnx.helper, onnx.TensorProto, onnx.numpy_helper
    height, width = (size[1], size[0]) if size else ("height", "width")
    info = h.make_tensor_value_info
    inputs = [info("image", t.UINT8, [1, height, width, 3]), info("style", t.FLOAT, [1, inputs_for])]
    nodes = [h.make_node("Cast", ["image"], ["light"], to=t.FLOAT), h.make_node("MatMul", ["style", "gains"], ["gain"]),
             h.make_node("MatMul", ["style", "shifts"], ["shift"]), h.make_node("Mul", ["light", "gain"], ["scaled"]),
             h.make_node("Add", ["scaled", "shift"], ["plain"])]  # fmt: skip
    last = "plain"
    if recurrent:
        inputs += [info("previous", t.UINT8, [1, height, width, 3]), info("certainty", t.FLOAT, [1, 1, height, width])]
        nodes += [h.make_node("Cast", ["previous"], ["before"], to=t.FLOAT),
                  h.make_node("Transpose", ["certainty"], ["sure"], perm=[0, 2, 3, 1]),
                  h.make_node("Mul", ["before", "sure"], ["kept"]),
                  h.make_node("Add", ["plain", "kept"], ["both"])]  # fmt: skip
        last = "both"
    nodes += [h.make_node("Round", [last], ["rounded"]), h.make_node("Clip", ["rounded", "low", "high"], ["clipped"]),
              h.make_node("Cast", ["clipped"], ["stylised"], to=t.UINT8)]  # fmt: skip
    constants = {"gains": GAIN[:inputs_for], "shifts": SHIFT[:inputs_for], "low": np.array(0, np.float32),
                 "high": np.array(255, np.float32)}  # fmt: skip
    graph = h.make_graph(nodes, "tiny", inputs, [info("stylised", t.UINT8, [1, height, width, 3])],
                         [n.from_array(v, k) for k, v in constants.items()])
    model = h.make_model(graph, opset_imports=[h.make_opsetid("", 17)], ir_version=8)
    if facts:
        h.set_model_props(model, {"cineml": json.dumps(facts_of(size, recurrent=recurrent, **more))})
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path
