"""One ONNX model, opened for a show: fixed shapes, buffers bound once, warmed, and honest about where it runs."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import io
import json
import logging
import math
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from player.show.problem import Problem, ShowError
from player.show.styling import NAME as STYLE_NAME
from player.sources.onnx_defaults import read_defaults

log = logging.getLogger("cineml")

METADATA_KEY = "cineml"
WARM_UP_RUNS = 3
RANGES = ([-1, 1], [0, 255])  # what a picture's values may run over: as float32, as uint8
_DTYPES: Mapping[str, Any] = {"tensor(float)": np.float32, "tensor(uint8)": np.uint8, "tensor(int64)": np.int64}
_AGAIN = "export it again with cineml gan export"
_STYLE_AGAIN = "export it again with cineml style export"
STYLIZER_KEYS = ("styles", "size", "multiple", "recurrent")
MOST_STYLES = 32


@dataclass(frozen=True)
class ModelFacts:
    """What a model says it is, from its metadata key `cineml` (DESIGN section 6).

    A stylizer's: styles: their names, in the order of its weights. size: [w, h] of its pictures, None = any. multiple: of what
    its sides should be multiples. recurrent: whether it takes the picture before as well.
    geometry: {film: [w, h], crop: [x, y, w, h] in film pixels, inner: [x, y, w, h] in the model's pixels}, or empty.
    """

    kind: str
    part: str
    resolution: int = 0
    channels: int = 3
    num_ws: int = 0
    z_dim: int = 0
    w_dim: int = 0
    c_dim: int = 0
    range: tuple[float, float] = (-1.0, 1.0)
    geometry: Mapping[str, Any] = field(default_factory=dict)
    run: Any = ""
    licence: str = ""
    hashes: Mapping[str, str] = field(default_factory=dict)
    styles: tuple[str, ...] = ()
    size: tuple[int, int] | None = None
    multiple: int = 1
    recurrent: bool = False


def sha256_of(path: Path) -> str:
    """The hash of a file, hexadecimal."""
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def _check_inner(inner: Any, resolution: int) -> None:
    """Raises ValueError unless `inner` is (x, y, w, h) of a picture inside a square of that many pixels."""
    numbers = isinstance(inner, list) and len(inner) == 4 and all(
        isinstance(v, (int, float)) and not isinstance(v, bool) and math.isfinite(v) for v in inner)
    if numbers:
        x, y, w, h = inner
        if x >= 0 and y >= 0 and w > 0 and h > 0 and x + w <= resolution and y + h <= resolution:
            return
    raise ValueError(f"geometry.inner is {inner!r:.60}, not [x, y, w, h] of a picture inside {resolution}x{resolution}")


def _check_stylizer(given: Mapping[str, Any]) -> dict[str, Any]:
    """What a stylizer says of its styles and sizes. Raises ValueError."""
    styles, size, multiple = given.get("styles", []), given.get("size"), given.get("multiple", 1)
    named = isinstance(styles, list) and all(isinstance(n, str) and STYLE_NAME.fullmatch(n) for n in styles)
    if not named or not 0 < len(styles) <= MOST_STYLES or len(set(styles)) < len(styles):
        raise ValueError(f"styles is {styles!r:.60}, not 1 to {MOST_STYLES} names of letters, digits, _ . -, no two alike")
    if size is not None and not (isinstance(size, list) and len(size) == 2 and all(_is_side(n) for n in size)):
        raise ValueError(f"size is {size!r:.60}, not [width, height]")
    if not _is_side(multiple) or not isinstance(given.get("recurrent", False), bool):
        raise ValueError(f"multiple is {multiple!r:.60} and recurrent {given.get('recurrent')!r:.60}")
    return {"styles": tuple(styles), "size": tuple(size) if size is not None else None}


def _is_side(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 16384


def facts_from(metadata: Mapping[str, str], path: Path) -> ModelFacts:
    """What the model says of itself. Raises ShowError where it says nothing, or nonsense."""
    text = metadata.get(METADATA_KEY)
    if text is None:
        raise ShowError(Problem(str(path), "is an ONNX model, but not one of cineml's: its metadata has no key 'cineml'",
                                "a model written by cineml gan export or cineml style export",
                                "cineml gan import, then cineml gan export"))
    try:
        given = json.loads(text)
        known = {f.name for f in fields(ModelFacts)}
        clean = {k: v for k, v in given.items() if k in known}  # a later version may say more
        for name in ("resolution", "channels", "num_ws", "z_dim", "w_dim", "c_dim"):
            value = clean.get(name, 0)
            if not isinstance(value, int) or isinstance(value, bool) or value < 0:
                raise ValueError(f"{name} is {value!r}, not a whole number")
        for name in ("kind", "part", "licence"):
            if not isinstance(clean.get(name, ""), str):
                raise ValueError(f"{name} is {clean[name]!r:.60}, not a text")
        geometry, hashes = clean.get("geometry") or {}, clean.get("hashes") or {}
        if not isinstance(geometry, dict):
            raise ValueError("geometry is not a table")
        if not isinstance(hashes, dict) or not all(isinstance(h, str) for h in hashes.values()):
            raise ValueError(f"hashes is {hashes!r:.60}, not a table of texts")
        if clean.get("kind") == "stylizer":
            clean |= _check_stylizer(clean)
        else:
            clean = {k: v for k, v in clean.items() if k not in STYLIZER_KEYS}
            if "resolution" not in clean:
                raise ValueError("resolution is missing")
        if "inner" in geometry:
            _check_inner(geometry["inner"], clean.get("resolution", 0))
        low_high = clean.get("range", [0, 255] if clean.get("kind") == "stylizer" else [-1, 1])
        if low_high not in RANGES:
            raise ValueError(f"range is {low_high!r:.60}, not {' or '.join(map(str, RANGES))}")
        clean |= {"geometry": geometry, "hashes": hashes, "range": tuple(low_high)}
        return ModelFacts(**clean)
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as e:
        raise ShowError(Problem(str(path), f"its metadata cannot be read ({e})", "",
                                "export it again with cineml gan export, or style export")) from None


@contextlib.contextmanager
def _native_messages() -> Iterator[list[str]]:
    """Catches what native code writes to the process's error output; the list holds its lines after the block.

    onnxruntime prints why it could not use CUDA, in red, and falls back: the reason belongs into one sentence of ours.
    """
    lines: list[str] = []
    with tempfile.TemporaryFile() as kept:
        try:
            sys.stderr.flush()
            own = os.dup(2)
        except (AttributeError, OSError, ValueError):  # no error output at all (a windowed program)
            yield lines
            return
        try:
            os.dup2(kept.fileno(), 2)
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                yield lines
        finally:
            os.dup2(own, 2)
            os.close(own)
            kept.seek(0)
            text = re.sub(r"\x1b\[[0-9;]*m", "", kept.read().decode("utf-8", "replace")) + printed.getvalue()
            lines += [line.strip() for line in text.splitlines() if line.strip()]
            for line in lines:
                log.debug("onnxruntime: %s", line)


def _has_nvidia_driver() -> bool:
    """Whether the driver's own library is there: asked first, since the failed try of a fallback costs time."""
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True


def _why_not(lines: Sequence[str]) -> str:
    """The reason for a fallback out of onnxruntime's messages."""
    for pattern in (r"with error: (.+)", r"(CUDA failure .+?)(?: ;|$)", r"(Failed to load \S+)", r"(Require .+?)\. "):
        for line in lines:
            if found := re.search(pattern, line):
                return found[1].strip()
    return "onnxruntime does not say why"


class OnnxModel:
    """A model file as one session.

    providers: names in order of wish ('cuda', 'cpu' or onnxruntime's own); None: CUDA where there is a driver, else
    CPU. require_provider: ShowError unless the session really runs there. Input buffers are `inputs[name]`, to be
    written before run(); the picture of run() is overwritten by the next. open_sizes: what the sizes that a model leaves open
    are to be, by their names; they are fixed before it is optimised. One thread at a time.
    """

    def __init__(self, path: Path, part: str, threads: int = 2, providers: Sequence[str] | None = None,
                 require_provider: str = "", kind: str = "stylegan2",
                 open_sizes: Mapping[str, int] | None = None) -> None:  # fmt: skip
        self.path, self.part, self.kind, self.threads = path, part, kind, threads
        self._open_sizes = dict(open_sizes or {})
        self._again = _STYLE_AGAIN if kind == "stylizer" else _AGAIN
        self._asked, self._required = providers, require_provider
        self.facts = ModelFacts(kind, part, 0)
        self.provider = ""  # session.get_providers()[0], never what was asked for
        self.provider_note = ""  # one sentence where that is not what was asked for
        self.warm_s = 0.0
        self.inputs: dict[str, npt.NDArray[Any]] = {}
        self.optional: dict[str, tuple[int, ...]] = {}  # inputs with a default, by name: their shapes
        self.output: npt.NDArray[Any] = np.empty(0)
        self._defaults: dict[str, npt.NDArray[np.float32]] | None = None
        self._session: Any = None
        self._plain: Any = None
        self._full: Any = None
        self._optional_buffers: dict[str, npt.NDArray[np.float32]] = {}

    def open(self) -> None:
        """Opens the session, reads the metadata, binds the buffers. Raises ShowError; warm_up() comes after."""
        if not self.path.is_file():
            whose = f"the {self.part} model of a generator" if self.kind != "stylizer" else "a stylizer's model"
            raise ShowError(Problem(str(self.path), "is missing", whose, "name the folder that holds it, or " + self._again))
        with _native_messages() as lines:
            self._session = self._open_session()
            self.provider = self._session.get_providers()[0]
        self._compare_provider(lines)
        self.facts = facts_from(self._session.get_modelmeta().custom_metadata_map, self.path)
        if (self.facts.kind, self.facts.part) != (self.kind, self.part):
            raise ShowError(Problem(str(self.path), f"is the {self.facts.part!r} part of a {self.facts.kind!r} model",
                                    f"the {self.part!r} part of a {self.kind!r} model"))
        for value in self._session.get_inputs():
            self.inputs[value.name] = np.zeros(self._shape(value), self._dtype(value))
        self.optional = {v.name: self._shape(v) for v in self._session.get_overridable_initializers()}
        outputs = self._session.get_outputs()
        self.output = np.zeros(self._shape(outputs[0]), self._dtype(outputs[0]))
        self._plain = self._bound(self.inputs)

    def _open_session(self) -> Any:
        import onnxruntime as ort

        wanted = self._wanted(ort)
        if any(w.startswith(("CUDA", "Tensorrt")) for w in wanted) and hasattr(ort, "preload_dlls"):
            ort.preload_dlls()  # finds CUDA and cuDNN in the wheels of the extra `cuda`
        options = ort.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        # Spinning workers take the core that the play loop needs: p99 of its jitter 7.9 ms with, 3.6 ms without.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.inter_op.allow_spinning", "0")
        for name, size in self._open_sizes.items():
            options.add_free_dimension_override_by_name(name, size)
        options.log_severity_level = 3  # it would warn of every noise input that it has a default: that is intended
        # Grows by what is asked, not by powers of two: memory after an hour is memory after a minute.
        with_options = [(w, {"arena_extend_strategy": "kSameAsRequested"} if w.startswith("CUDA") else {}) for w in wanted]
        try:
            return ort.InferenceSession(str(self.path), options, providers=with_options)
        except Exception as e:  # onnxruntime's exceptions have no common base of their own
            name = type(e).__name__
            if name in ("InvalidProtobuf", "InvalidGraph", "NoModel"):
                raise ShowError(Problem(str(self.path), "is damaged, cut short or no ONNX model", "a whole .onnx file",
                                        "copy it again, or " + self._again)) from None
            reason = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", str(e)).splitlines()[0:1]
            raise ShowError(Problem(str(self.path), f"cannot be opened ({name}: {''.join(reason)[:160]})")) from None

    def _wanted(self, ort: Any) -> list[str]:
        """Provider names in onnxruntime's own spelling, the CPU last. Raises ShowError for an unknown one."""
        there = ort.get_available_providers()
        asked = list(self._asked) if self._asked is not None else []
        if self._required and self._required not in asked:
            asked.insert(0, self._required)
        if self._asked is None and not self._required:
            asked = ["cuda"] if "CUDAExecutionProvider" in there and _has_nvidia_driver() else []
        by_name = {p.removesuffix("ExecutionProvider").lower(): p for p in there}
        wanted: list[str] = []
        for name in asked:
            full = by_name.get(name.removesuffix("ExecutionProvider").lower())
            if full is None and name == self._required:
                raise ShowError(self._not_required(f"this onnxruntime has only {', '.join(sorted(by_name))}"))
            if full is None:
                self.provider_note = f"{name} was asked for, but this onnxruntime has only {', '.join(sorted(by_name))}"
            elif full not in wanted:
                wanted.append(full)
        return [*(w for w in wanted if not w.startswith("CPU")), "CPUExecutionProvider"]

    def _not_required(self, why: str) -> Problem:
        return Problem(f"{self.path.name}: provider", f"{self._required} is required, but {why}",
                       f"a machine where the model runs on {self._required}",
                       "pip install 'cineml[cuda]' where there is an NVIDIA card" if "cuda" in self._required.lower() else "")

    def _compare_provider(self, lines: Sequence[str]) -> None:
        """Says once where it runs if that is not where it was asked to run."""
        if self._required and not self.provider.lower().startswith(self._required.removesuffix("ExecutionProvider").lower()):
            raise ShowError(self._not_required(f"the model runs on {self.provider}: {_why_not(lines)}"))
        asked_cuda = self._asked is None and _has_nvidia_driver() or any("cuda" in p.lower() for p in self._asked or ())
        if asked_cuda and not self.provider.startswith(("CUDA", "Tensorrt")):
            self.provider_note = self.provider_note or f"CUDA could not be used ({_why_not(lines)}); running on {self.provider}"
        if self.provider_note:
            log.warning("%s: %s", self.path.name, self.provider_note)

    def _shape(self, value: Any) -> tuple[int, ...]:
        shape = [self._open_sizes.get(n, n) for n in value.shape]
        if not all(isinstance(n, int) for n in shape):
            raise ShowError(Problem(f"{self.path}: {value.name}", f"has the open shape {value.shape}", "fixed sizes",
                                    self._again))  # fmt: skip
        return tuple(shape)

    def _dtype(self, value: Any) -> Any:
        if value.type not in _DTYPES:
            raise ShowError(Problem(f"{self.path}: {value.name}", f"is a {value.type}", ", ".join(_DTYPES), self._again))
        return _DTYPES[value.type]

    def _bound(self, inputs: Mapping[str, npt.NDArray[Any]]) -> Any:
        """An io-binding on the host buffers themselves: no allocation and no copy in Python per picture. A session on
        an accelerator copies from and to them itself."""
        binding = self._session.io_binding()
        for name, array in inputs.items():
            binding.bind_input(name, "cpu", 0, array.dtype.type, list(array.shape), array.ctypes.data)
        name = self._session.get_outputs()[0].name
        binding.bind_output(name, "cpu", 0, self.output.dtype.type, list(self.output.shape), self.output.ctypes.data)
        return binding

    def warm_up(self) -> None:
        """Runs a few times, so that the first picture of the show costs what the others cost; the last is timed."""
        for _ in range(WARM_UP_RUNS):
            started_s = time.perf_counter()
            self.run()
            self.warm_s = time.perf_counter() - started_s

    @property
    def defaults(self) -> Mapping[str, npt.NDArray[np.float32]]:
        """The defaults of the optional inputs, float32, read from the file the first time they are asked for."""
        if self._defaults is None:
            try:
                self._defaults = read_defaults(self.path, self.optional)
            except (ValueError, OSError) as e:
                raise ShowError(Problem(str(self.path), f"its noise cannot be read ({e})", "", _AGAIN)) from None
        return self._defaults

    def run(self, optional: Mapping[str, npt.NDArray[Any]] | None = None) -> npt.NDArray[Any]:
        """One run on what stands in `inputs`. optional: values for inputs that have a default; those not named hold it.
        None leaves them all unfed. Returns the output buffer, overwritten by the next run."""
        binding = self._plain
        if optional is not None:
            if self._full is None:
                self._optional_buffers = {n: np.array(v, order="C") for n, v in self.defaults.items()}
                self._full = self._bound({**self.inputs, **self._optional_buffers})
            for name, buffer in self._optional_buffers.items():
                buffer[...] = optional.get(name, self.defaults[name])
            binding = self._full
        self._session.run_with_iobinding(binding)
        return self.output

    def close(self) -> None:
        """Lets go of the session and its memory."""
        self._plain = self._full = self._session = None
