"""A generator of a few kilobytes with the names, shapes, defaults and metadata of a real one, for tests.

image = the mean of ws over num_ws, through a fixed matrix, + 0.2 * noise.8.0.
w = z @ A + 0.5: not normalised, so that its mean (w_avg, psi = 0) is 0.5 in every dimension.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

RES, NUM_WS, Z_DIM, W_DIM = 8, 4, 6, 5
AVERAGE = 0.5


def metadata(part: str, **more: Any) -> dict[str, Any]:
    return {"kind": "stylegan2", "part": part, "resolution": RES, "channels": 1, "num_ws": NUM_WS, "z_dim": Z_DIM,
            "w_dim": W_DIM, "c_dim": 0, "range": [-1, 1], "licence": "CC0-1.0", "run": {"name": "tiny"},
            "geometry": {"film": [64, 48], "crop": [0, 0, 64, 48], "inner": [0, 1, 8, 6]},
            "hashes": {"weights": "0" * 64}, **more}  # fmt: skip


def noise_default() -> np.ndarray:
    return np.random.default_rng(5).standard_normal((1, 1, RES, RES)).astype(np.float32)


def _save(path: Path, nodes: list[Any], inputs: list[Any], outputs: list[Any], constants: dict[str, np.ndarray],
          facts: dict[str, Any] | None) -> None:  # fmt: skip
    onnx = pytest.importorskip("onnx", reason="the onnx package makes the test's model")
    initializers = [onnx.numpy_helper.from_array(v, k) for k, v in constants.items()]
    graph = onnx.helper.make_graph(nodes, "tiny", inputs, outputs, initializers)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    if facts is not None:
        onnx.helper.set_model_props(model, {"cineml": json.dumps(facts)})
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())


def write_tiny_generator(folder: Path, uint8: bool = False, facts: bool = True, **more: Any) -> Path:
    """mapping.onnx and synthesis.onnx in `folder`; more: metadata to be changed in both."""
    onnx = pytest.importorskip("onnx", reason="the onnx package makes the test's model")
    h, t = onnx.helper, onnx.TensorProto
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(3)
    info = h.make_tensor_value_info
    _save(folder / "mapping.onnx",
          [h.make_node("MatMul", ["z", "a"], ["away"]), h.make_node("Mul", ["away", "psi"], ["near"]),
           h.make_node("Add", ["near", "average"], ["w"]), h.make_node("Cast", ["cutoff"], ["cut"], to=t.FLOAT),
           h.make_node("Mul", ["cut", "zero"], ["nothing"]), h.make_node("Add", ["w", "nothing"], ["w2"]),
           h.make_node("Unsqueeze", ["w2", "axis"], ["w3"]), h.make_node("Expand", ["w3", "shape"], ["ws"])],
          [info("z", t.FLOAT, [1, Z_DIM]), info("psi", t.FLOAT, []), info("cutoff", t.INT64, [])],
          [info("ws", t.FLOAT, [1, NUM_WS, W_DIM])],
          {"a": rng.standard_normal((Z_DIM, W_DIM)).astype(np.float32), "average": np.full((1, W_DIM), AVERAGE, np.float32),
           "zero": np.array(0, np.float32), "axis": np.array([1]), "shape": np.array([1, NUM_WS, W_DIM])},
          metadata("mapping", **more) if facts else None)  # fmt: skip
    nodes = [h.make_node("ReduceMean", ["ws"], ["w"], axes=[1], keepdims=0), h.make_node("MatMul", ["w", "b"], ["flat"]),
             h.make_node("Reshape", ["flat", "square"], ["smooth"]), h.make_node("Mul", ["noise.8.0", "strength"], ["grain"]),
             h.make_node("Add", ["smooth", "grain"], ["image" if not uint8 else "float"])]  # fmt: skip
    if uint8:
        nodes += [h.make_node("Mul", ["float", "half"], ["scaled"]), h.make_node("Add", ["scaled", "half"], ["shifted"]),
                  h.make_node("Round", ["shifted"], ["rounded"]), h.make_node("Clip", ["rounded", "low", "high"], ["clipped"]),
                  h.make_node("Cast", ["clipped"], ["bytes"], to=t.UINT8),
                  h.make_node("Transpose", ["bytes"], ["last"], perm=[0, 2, 3, 1]),
                  h.make_node("Concat", ["last", "last", "last"], ["image"], axis=3)]  # fmt: skip
    out = info("image", t.UINT8, [1, RES, RES, 3]) if uint8 else info("image", t.FLOAT, [1, 1, RES, RES])
    _save(folder / "synthesis.onnx", nodes,
          [info("ws", t.FLOAT, [1, NUM_WS, W_DIM]), info("noise.8.0", t.FLOAT, [1, 1, RES, RES])], [out],
          {"b": (0.25 * rng.standard_normal((W_DIM, RES * RES))).astype(np.float32), "square": np.array([1, 1, RES, RES]),
           "strength": np.array(0.2, np.float32), "noise.8.0": noise_default(), "half": np.array(127.5, np.float32),
           "low": np.array(0, np.float32), "high": np.array(255, np.float32)},
          metadata("synthesis", **more) if facts else None)  # fmt: skip
    return folder
