"""The generator as a source: a shot's walk, a latent, a picture."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from player.show.problem import Problem, ShowError
from player.show.show import Show
from player.show.walk import Array
from player.sources.aim import Aim, Layer
from player.sources.frame import Frame, Pixels
from player.sources.onnx_model import ModelFacts, OnnxModel, sha256_of
from player.sources.wander import Wander
from player.state import Latent

log = logging.getLogger("cineml")

MOST_UNCROPPED = 8  # times the model's side that a film's whole frame may be; more is damaged metadata
SAMPLES = 48  # mapping outputs that say how far W reaches; a few milliseconds each


def to_pixels(image: npt.NDArray[Any]) -> Pixels:
    """A model's image as a picture of its own. image: float32 [1, C, H, W] in -1..1 or uint8 [1, H, W, C], C 1 or 3.

    Returns uint8 [H, W, 3] = clip(round(127.5 x + 127.5), 0, 255), grey repeated; never a view of `image`.
    """
    if image.dtype == np.uint8:
        last = image[0]  # [H, W, C]
    else:
        scaled = image[0] * 127.5 + 127.5  # [C, H, W]
        last = np.clip(np.rint(scaled, out=scaled), 0, 255, out=scaled).astype(np.uint8).transpose(1, 2, 0)
    if last.shape[2] == 1:
        return np.repeat(last, 3, axis=2)
    return np.array(last, order="C")


def shape_problems(model: OnnxModel) -> list[Problem]:
    """Where a generator part's inputs and outputs are not what its metadata says (DESIGN section 6)."""
    m = model.facts
    ws = (1, m.num_ws, m.w_dim)
    if model.part == "mapping":
        inputs: dict[str, tuple[int, ...]] = {"z": (1, m.z_dim), "psi": (), "cutoff": ()}
        if m.c_dim:
            inputs["c"] = (1, m.c_dim)
        outputs: tuple[tuple[int, ...], ...] = (ws,)
    else:
        inputs = {"ws": ws}
        outputs = ((1, m.channels, m.resolution, m.resolution), (1, m.resolution, m.resolution, 3))
    found = []
    given = {name: array.shape for name, array in model.inputs.items()}
    if given != inputs:
        found.append(Problem(str(model.path), f"has the inputs {given}", f"{inputs}, as its metadata says"))
    if model.output.shape not in outputs:
        found.append(Problem(str(model.path), f"makes {model.output.shape}", " or ".join(map(str, outputs))))
    if model.part == "synthesis" and model.output.dtype != np.uint8 and m.range != (-1, 1):
        found.append(Problem(str(model.path), f"makes float32 in the range {list(m.range)}, says its metadata", "-1 to 1"))
    return found


def inner_of(facts: ModelFacts) -> tuple[float, float, float, float]:
    """(x, y, w, h) of the film's picture in the model's square; the whole square where the metadata has no geometry."""
    inner = facts.geometry.get("inner")
    if inner is None:
        return (0.0, 0.0, float(facts.resolution), float(facts.resolution))
    x, y, w, h = (float(v) for v in inner)
    return (x, y, w, h)


@dataclass(frozen=True)
class Uncropped:
    """Where the picture of a model that was trained on a part of the film's frame (bars removed, or its middle) belongs in the
    whole frame. size: [w, h] of the canvas; at: the picture's [x, y] in it; cut: its (x, y, w, h) in the model's square;
    inner: of the film's frame in the canvas. All in the model's pixels; outside the picture the frame is black."""

    size: tuple[int, int]
    at: tuple[int, int]
    cut: tuple[int, int, int, int]
    inner: tuple[float, float, float, float]

    def canvas(self, pixels: Pixels) -> Pixels:
        """pixels uint8 [R, R, 3] -> the film's whole frame, uint8 [H, W, 3]."""
        x, y, w, h = self.cut
        out = np.zeros((self.size[1], self.size[0], 3), np.uint8)
        out[self.at[1] : self.at[1] + h, self.at[0] : self.at[0] + w] = pixels[y : y + h, x : x + w]
        return out


def uncropped(facts: ModelFacts) -> Uncropped | None:
    """None where the model has all of the film's frame, or does not say."""
    try:
        (fw, fh), (cx, cy, cw, ch), cut = (tuple(map(int, facts.geometry[n])) for n in ("film", "crop", "inner"))
        (x, y, w, h), wide, high = cut, cut[2] / cw, cut[3] / ch
    except (KeyError, ValueError, TypeError, ZeroDivisionError, IndexError):
        return None
    sound = cx >= 0 and cy >= 0 and cw > 0 and ch > 0 and cx + cw <= fw and cy + ch <= fh
    if not sound or (cx, cy, cw, ch) == (0, 0, fw, fh) or max(fw * wide, fh * high) > MOST_UNCROPPED * facts.resolution:
        return None
    left, top = math.ceil(cx * wide), math.ceil(cy * high)  # whole pixels of canvas before the picture
    right, bottom = math.ceil((fw - cx - cw) * wide), math.ceil((fh - cy - ch) * high)
    inner = (left - cx * wide, top - cy * high, fw * wide, fh * high)
    return Uncropped((left + w + right, top + h + bottom), (left, top), (x, y, w, h), inner)


class GeneratorSource:
    """mapping.onnx and synthesis.onnx of show.generator, played along the score's walks.

    latent: the walk at film position + walk_offset (a dissolve that glides mixes two), or the key that was called for;
    plus freedom * Wander; then w_avg + truncation * (w - w_avg). Noise: seed 0 at amount 1 leaves the model's own;
    otherwise amount * (the model's own for seed 0, else standard normal from the seed).
    """

    name = "generator"

    def __init__(self, show: Show, threads: int = 2, providers: Sequence[str] | None = None,
                 require_provider: str | None = None) -> None:  # fmt: skip
        self._show = show
        folder = show.generator or Path()
        # The mapping runs a few times at the start and never again: it needs no accelerator.
        self._mapping = OnnxModel(folder / "mapping.onnx", "mapping", threads, ("cpu",))
        self._synthesis = OnnxModel(folder / "synthesis.onnx", "synthesis", threads, providers, require_provider or "")
        self._average: Array = np.zeros((1, 1), np.float32)
        self._wander: Wander | None = None
        self._inner = (0.0, 0.0, 0.0, 0.0)
        self._uncropped: Uncropped | None = None
        self._noise_seed = 0
        self._noise: dict[str, npt.NDArray[np.float32]] = {}

    def open(self) -> None:
        """Opens, checks and warms both models. Raises ShowError with every problem found."""
        found = self._open_models()
        if not found:
            found += self._walk_problems()
        if found:
            self.close()
            raise ShowError(found)
        self._inner = inner_of(self._synthesis.facts)
        self._uncropped = uncropped(self._synthesis.facts)
        if self._uncropped is not None:
            self._inner = self._uncropped.inner
        self._average = self._map(np.zeros(self._synthesis.facts.z_dim, np.float32), 0.0)
        rng = np.random.default_rng([self._show.seed, 0])
        z = rng.standard_normal((SAMPLES, self._synthesis.facts.z_dim)).astype(np.float32)
        self._wander = Wander(np.stack([self._map(one)[0] for one in z]), self._show.seed)
        self._mapping.close()
        self._synthesis.inputs["ws"][0] = self._average
        self._synthesis.warm_up()

    def check_models(self) -> list[Problem]:
        """Opens and closes both models: what is wrong with them, whatever else is wrong with the show."""
        try:
            return self._open_models()
        finally:
            self.close()

    def _open_models(self) -> list[Problem]:
        """Everything wrong with the models: each alone, then the pair, then whether they are the score's."""
        if self._show.generator is None:
            return [Problem(f"{self._show.path}: generator", "is missing", "the folder of mapping.onnx and synthesis.onnx")]
        found: list[Problem] = []
        for model in (self._mapping, self._synthesis):
            try:
                model.open()
                found += shape_problems(model)
            except ShowError as e:
                found += e.problems
        return found or self._pair_problems() + self._hash_problems()

    def _pair_problems(self) -> list[Problem]:
        m, s = self._mapping.facts, self._synthesis.facts
        if (m.num_ws, m.w_dim) != (s.num_ws, s.w_dim) or m.hashes.get("weights") != s.hashes.get("weights"):
            return [Problem(str(self._show.generator), "holds a mapping and a synthesis of two generators",
                            "two parts of one", "export both again with cineml gan export")]  # fmt: skip
        return []

    def _hash_problems(self) -> list[Problem]:
        """Whether the score was made for this generator. Asked only of a model that opens: a file that is cut short is
        no other generator."""
        score = self._show.score
        if score is None or not score.generator_sha256:
            return []
        own = sha256_of(self._synthesis.path)
        # A student speaks its teacher's W: it plays the scores that were made for the teacher.
        if score.generator_sha256.lower() in (own, self._synthesis.facts.hashes.get("teacher", "").lower()):
            return []
        given = f"is another generator ({own[:12]}) than the score was made for ({score.generator_sha256[:12]})"
        return [Problem(str(self._synthesis.path), given, "the generator named in the score",
                        "put that generator back, or make the score again with cineml remap")]

    def _walk_problems(self) -> list[Problem]:
        """The shots against the score, and its walks against this generator."""
        show, facts, score = self._show, self._synthesis.facts, self._show.score
        found: list[Problem] = []
        walks = score.walks if score is not None else {}
        for shot in show.cuts.shots:
            row = show.score_shot(shot.number)
            if "generator" in show.inputs_of(shot.number) and row.walk not in walks:
                found.append(Problem(f"{show.path}: shot {shot.number}", "plays the generator, but has no walk",
                                     "a score with a walk for it", "cineml remap, or source = 'film'"))  # fmt: skip
        for walk in walks.values():
            rows, width = walk.keys.shape[1:]
            if rows not in (1, facts.num_ws) or width != facts.w_dim:
                found.append(Problem(f"score: walk {walk.name}", f"has keys of [{rows}, {width}]",
                                     f"[{facts.num_ws} or 1, {facts.w_dim}] for this generator"))
        return found

    def _map(self, z: npt.NDArray[np.float32], psi: float = 1.0) -> Array:
        """z [z_dim] -> ws [num_ws, w_dim], a copy."""
        inputs = self._mapping.inputs
        inputs["z"][0] = z
        inputs["psi"][...] = psi
        inputs["cutoff"][...] = self._mapping.facts.num_ws
        ws: Array = self._mapping.run()[0].copy()
        return ws

    def _on_walk(self, shot: int, position: float) -> Array:
        """The walk of a shot at a film position, [num_ws, w_dim]."""
        assert self._show.score is not None  # open() has checked it
        walk = self._show.score.walks[self._show.score_shot(shot).walk]
        return np.broadcast_to(walk.ws_at(position), self._average.shape)

    def _key_of(self, aim: Aim, layer: Layer) -> Array | None:
        """The key latent that was called for, where this layer plays it: it is called for by the hand for the shot that
        plays, and a dissolve's outgoing shot stays on its walk."""
        called = aim.latent.key if layer.shot == aim.layers[0].shot else ""
        return self._show.score.key(called) if called and self._show.score else None

    def latent_for(self, aim: Aim, layer: Layer) -> Array:
        """ws [num_ws, w_dim] float32 of one layer. A pure function of its arguments, the score and the generator."""
        latent = aim.latent
        position = float(layer.film_position) + latent.walk_offset
        key = self._key_of(aim, layer)
        if key is not None:
            ws: Array = np.broadcast_to(key, self._average.shape)
        else:
            ws = self._on_walk(layer.shot, position)
        if layer.glide_from and key is None:
            ws = (1 - layer.glide_weight) * self._on_walk(layer.glide_from, position) + layer.glide_weight * ws
        if latent.freedom and self._wander is not None:
            film_s = float(layer.film_position / Fraction(self._show.film.rate))
            ws = ws + latent.freedom * self._wander.at(film_s)
        if latent.truncation != 1.0:
            ws = self._average + latent.truncation * (ws - self._average)
        return ws.astype(np.float32)

    def _noise_for(self, latent: Latent) -> Mapping[str, npt.NDArray[np.float32]] | None:
        """What to feed the noise inputs, by name; None: nothing, they hold the model's own."""
        if latent.noise_seed == 0 and latent.noise_amount == 1.0:
            return None
        model = self._synthesis
        names = [n for n in model.optional if n.startswith("noise.")]
        if latent.noise_seed and latent.noise_seed != self._noise_seed:
            rng = np.random.default_rng([latent.noise_seed, 2])
            self._noise = {n: rng.standard_normal(model.optional[n]).astype(np.float32) for n in names}
            self._noise_seed = latent.noise_seed
        base = self._noise if latent.noise_seed else model.defaults
        return {n: base[n] * np.float32(latent.noise_amount) for n in names}

    def make(self, aim: Aim, layer: Layer) -> Frame:
        """One picture: latent, noise, synthesis."""
        self._synthesis.inputs["ws"][0] = self.latent_for(aim, layer)
        pixels = to_pixels(self._synthesis.run(self._noise_for(aim.latent)))
        if self._uncropped is not None:
            pixels = self._uncropped.canvas(pixels)
        leap = (aim.latent.key if self._key_of(aim, layer) is not None else "", aim.latent.noise_seed)
        return Frame(pixels, aim.show_time_s, aim.epoch, layer.shot, float(layer.film_position), self.name, self._inner, leap)

    def close(self) -> None:
        self._mapping.close()
        self._synthesis.close()

    def facts(self) -> dict[str, Any]:
        """provider: where synthesis really runs; provider_note: why not elsewhere; warm_s: its time when warm."""
        facts = self._synthesis.facts
        return {"provider": self._synthesis.provider or None, "provider_note": self._synthesis.provider_note or None,
                "warm_s": self._synthesis.warm_s, "resolution": facts.resolution, "licence": facts.licence,
                "run": facts.run}  # fmt: skip
