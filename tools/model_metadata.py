"""What a model is, written into the model itself: one metadata key `cineml`, JSON (DESIGN section 6)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from models.network_config import GeneratorConfig
from player.show.problem import Problem, ShowError
from player.sources.onnx_model import facts_from, sha256_of

KEY = "cineml"


@dataclass(frozen=True)
class ModelMetadata:
    """kind: stylegan2. part: mapping, synthesis or generator. range: the least and greatest value of the picture.

    geometry: {film: [w, h], crop: [x, y, w, h] in film pixels, inner: [x, y, w, h] in the model's pixels}, or empty.
    run: what trained it. hashes: {"weights": sha256 of the checkpoint's weights}, of a student also {"teacher": sha256 of its
    teacher's synthesis.onnx}, whose scores it plays as well.
    """

    kind: str
    part: str
    resolution: int
    channels: int
    num_ws: int
    z_dim: int
    w_dim: int
    c_dim: int
    range: tuple[float, float]
    geometry: Mapping[str, Any] = field(default_factory=dict)
    run: Mapping[str, Any] = field(default_factory=dict)
    licence: str = ""
    hashes: Mapping[str, str] = field(default_factory=dict)

    def properties(self) -> dict[str, str]:
        """The ONNX model properties that carry it."""
        return {KEY: json.dumps(asdict(self), ensure_ascii=False, separators=(",", ":"))}


def exported_hashes(path: Path) -> tuple[str, str]:
    """sha256 of an exported file, and of the checkpoint's weights in it as its metadata says. Raises ShowError."""
    import onnx

    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as e:  # whatever protobuf finds wrong
        given = f"cannot be read as ONNX ({e})"
        raise ShowError(Problem(str(path), given, "a model written by cineml gan export")) from None
    facts = facts_from({p.key: p.value for p in model.metadata_props}, path)
    return sha256_of(path), facts.hashes.get("weights", "")


def synthesis_beside(folder: Path, weights_sha256: str) -> str:
    """sha256 of the synthesis.onnx in a folder, '' where there is none or it was exported from other weights.

    Raises ShowError where it cannot be read.
    """
    path = folder / "synthesis.onnx"
    if not path.is_file():
        return ""
    own, weights = exported_hashes(path)
    return own if weights_sha256 in (own, weights) else ""


def metadata_of(
    config: GeneratorConfig,
    part: str,
    uint8: bool,
    geometry: Mapping[str, Any],
    run: Mapping[str, Any],
    licence: str,
    hashes: Mapping[str, str],
) -> ModelMetadata:
    """The metadata of an exported generator part."""
    return ModelMetadata(
        "stylegan2",
        part,
        config.resolution,
        config.channels,
        config.num_ws,
        config.z_dim,
        config.w_dim,
        config.c_dim,
        (0, 255) if uint8 else (-1.0, 1.0),
        dict(geometry),
        dict(run),
        licence,
        dict(hashes),
    )
