"""A stylizer's network as one session: a picture and shares of its styles in, the stylised picture out.

The file (docs/FORMATS.md): image uint8 [1, H, W, 3] and style float32 [1, styles] -> stylised uint8 [1, H, W, 3]; of a
recurrent network also previous uint8 [1, H, W, 3] and certainty float32 [1, 1, H, W]. Height and width may be left open under
these names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from player.show.problem import Problem, ShowError
from player.sources.frame import Pixels
from player.sources.onnx_defaults import read_metadata
from player.sources.onnx_model import METADATA_KEY, ModelFacts, OnnxModel, facts_from

Size = tuple[int, int]
EXPORT = "cineml style export RUN -o stylizer.onnx"


def stylizer_facts(path: Path) -> ModelFacts:
    """What a stylizer's file says of itself, without opening it. Raises ShowError for what is none."""
    try:
        told = read_metadata(path)
        if METADATA_KEY not in told:
            empty = path.stat().st_size == 0
            given = "is empty (0 bytes)" if empty else "is an ONNX model, but not one of cineml's: it does not say what it is"
            raise ShowError(Problem(str(path), given, "a stylizer", EXPORT))
        facts = facts_from(told, path)
    except OSError as e:
        raise ShowError(Problem(str(path), f"cannot be read ({e.strerror})", "a stylizer as ONNX")) from None
    except (ValueError, RecursionError):
        raise ShowError(Problem(str(path), "is damaged, cut short or no ONNX model", "a whole .onnx file",
                                "copy it again, or export it again with cineml style export")) from None
    if (facts.kind, facts.part) != ("stylizer", "stylizer"):
        raise ShowError(Problem(str(path), f"is the {facts.part!r} part of a {facts.kind!r} model", "a stylizer", EXPORT))
    return facts


def styles_of(path: Path) -> tuple[str, ...]:
    """The names of a stylizer's styles, in the order of its weights. Raises ShowError."""
    return stylizer_facts(path).styles


class StylizerModel:
    """One network. size: (width, height) of its pictures in pixels; None: the network's own, else `film_size`, made a multiple
    of what it asks for. threads, providers, require_provider: see OnnxModel. One thread at a time.

    A recurrent network is given no picture before (certainty 0): each picture is then a function of its own frame alone.
    """

    def __init__(self, path: Path, size: Size | None = None, film_size: Size = (640, 480), threads: int = 2,
                 providers: Sequence[str] | None = None, require_provider: str = "") -> None:  # fmt: skip
        self.path = path
        self._wanted, self._film_size = size, film_size
        self._settings = (threads, providers, require_provider)
        self.facts = ModelFacts("stylizer", "stylizer")
        self.size: Size = (0, 0)
        self._model: OnnxModel | None = None

    @property
    def styles(self) -> tuple[str, ...]:
        """Names in the order of the weights."""
        return self.facts.styles

    @property
    def provider(self) -> str:
        """Where it really runs, '' while it is closed."""
        return self._model.provider if self._model is not None else ""

    @property
    def provider_note(self) -> str:
        """One sentence where that is not where it was asked to run."""
        return self._model.provider_note if self._model is not None else ""

    @property
    def warm_s(self) -> float:
        """What a picture takes when it is warm, in seconds."""
        return self._model.warm_s if self._model is not None else 0.0

    def open(self) -> None:
        """Opens and checks it. Raises ShowError; warm_up() comes after."""
        if not self.path.is_file():
            raise ShowError(Problem(str(self.path), "is missing", "a stylizer as ONNX", EXPORT))
        self.facts = stylizer_facts(self.path)
        self.size = self._size()
        width, height = self.size
        threads, providers, required = self._settings
        model = OnnxModel(self.path, "stylizer", threads, providers, required, kind="stylizer",
                          open_sizes={"width": width, "height": height})  # fmt: skip
        model.open()
        if found := self._shape_problems(model):
            model.close()
            raise ShowError(found)
        self._model = model

    def _size(self) -> Size:
        own, wanted = self.facts.size, self._wanted
        if own is not None and wanted is not None and own != wanted:
            given = f"makes pictures of {own[0]}x{own[1]}, and {wanted[0]}x{wanted[1]} are asked for"
            raise ShowError(Problem(str(self.path), given, "the network's own size, or one of any size",
                                    "leave the size out, or cineml style export without --size"))  # fmt: skip
        size, step = own or wanted or self._film_size, self.facts.multiple
        if own is None and step > 1:
            size = (max(round(size[0] / step), 1) * step, max(round(size[1] / step), 1) * step)
        return size

    def _shape_problems(self, model: OnnxModel) -> list[Problem]:
        width, height = self.size
        picture = (1, height, width, 3)
        inputs: dict[str, tuple[int, ...]] = {"image": picture, "style": (1, len(self.styles))}
        if self.facts.recurrent:
            inputs |= {"previous": picture, "certainty": (1, 1, height, width)}
        kinds = {"image": "uint8", "style": "float32", "previous": "uint8", "certainty": "float32"}
        found = []
        given = {name: array.shape for name, array in model.inputs.items()}
        if given != inputs:
            found.append(Problem(str(self.path), f"has the inputs {given}", f"{inputs}, as its metadata says"))
        elif wrong := [name for name, array in model.inputs.items() if array.dtype != kinds[name]]:
            found.append(Problem(str(self.path), f"takes {wrong[0]} as {model.inputs[wrong[0]].dtype}", kinds[wrong[0]]))
        if model.output.shape != picture or model.output.dtype != np.uint8:
            found.append(Problem(str(self.path), f"makes {model.output.dtype} {list(model.output.shape)}",
                                 f"uint8 {list(picture)}"))  # fmt: skip
        return found

    def warm_up(self) -> None:
        """Runs a few times; the last is timed (warm_s). Raises ShowError where it cannot run at this size."""
        assert self._model is not None
        self._model.inputs["style"][0, 0] = 1.0
        try:
            self._model.warm_up()
        except Exception as e:  # onnxruntime's have no common base; too little memory comes as one of them too
            width, height = self.size
            why = " ".join(str(e).split())[:120]
            raise ShowError(Problem(str(self.path), f"cannot run at {width}x{height} ({type(e).__name__}: {why})", "",
                                    "a smaller stylizer.size, or export it again with cineml style export")) from None

    def vector(self, shares: Mapping[str, float]) -> npt.NDArray[np.float32]:
        """Shares by name as the network's weights, float32 [styles], which sum to 1; the first style where none is its own."""
        weights = np.array([max(shares.get(name, 0.0), 0.0) for name in self.styles], np.float64)
        total = weights.sum()
        if total <= 1e-6:
            weights[0] = total = 1.0
        return (weights / total).astype(np.float32)

    def stylised(self, picture: Pixels, shares: npt.NDArray[np.float32]) -> Pixels:
        """picture uint8 [H, W, 3] of the network's size and shares float32 [styles] -> uint8 [H, W, 3], an array of its own."""
        assert self._model is not None
        self._model.inputs["image"][0] = picture
        self._model.inputs["style"][0] = shares
        return np.array(self._model.run()[0], order="C")

    def close(self) -> None:
        """Lets go of the session and its memory."""
        if self._model is not None:
            self._model.close()
        self._model = None
