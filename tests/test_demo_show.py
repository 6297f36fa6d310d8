"""The demo that the project ships: its size and licence, what it tells, and that its remake is the film's, cut by cut."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from player import playloop
from player.clock import ManualClock
from player.report import Report
from player.screen.compositor import Compositor
from player.screen.offscreen import Offscreen
from player.screen.projector import Projector
from player.show.config import load_show
from player.show.show import Look, Show
from player.sources.film_reader import FilmSource, probe_film
from player.sources.frame import FrameSource
from player.sources.generator import GeneratorSource
from player.sources.inference import Inference

SIZE = (160, 120)


@pytest.fixture(scope="module")
def demo(request: pytest.FixtureRequest) -> Show:
    return load_show(Path(__file__).parents[1] / "show_configs" / "demo" / "demo.toml", probe_film)


def rendered(show: Show, source: str, frames: list[tuple[int, int]]) -> Iterator[np.ndarray]:
    """The stretches [start, start + count) drawn by the real parts without the look, [count, H, W, 3] each."""
    plain = replace(show, looks={"plain": Look("plain", {"saturation": 0.0})}, look="plain", loop=False)
    if source == "film":
        plain = replace(plain, score=None, source="film")
    made: FrameSource = GeneratorSource(plain) if source == "generator" else FilmSource(plain, plain.film.path, "film")
    inference = Inference({source: made}, plain, None)
    inference.open()
    screen = Offscreen(SIZE, 24.0, False)
    parts = playloop.Parts(show=plain, clock=ManualClock(), screen=screen, compositor=Compositor(screen.ctx, SIZE, plain),
                           projector=Projector(screen.ctx, plain.output), inference=inference,
                           report=Report(plain, inference.facts))
    try:
        for first, count in frames:
            kept: list[np.ndarray] = []
            playloop.render(parts, first, count, lambda state, index, pixels, kept=kept: kept.append(pixels.copy()))
            yield np.stack(kept).astype(np.float32)
    finally:
        inference.close()
        screen.close()


def test_the_demo_fits_its_limits_and_gives_itself_away(demo: Show) -> None:
    folder = demo.path.parent
    files = [p for p in folder.rglob("*") if p.is_file() and p.name != "generator.onnx"]
    assert sum(p.stat().st_size for p in files) <= 20e6
    assert max(p.stat().st_size for p in files) <= 14e6
    assert "CC0" in (folder / "LICENSE").read_text()
    for name in ("mapping.onnx", "synthesis.onnx"):
        session = onnxruntime.InferenceSession(str(folder / "models" / name), providers=["CPUExecutionProvider"])
        metadata = json.loads(session.get_modelmeta().custom_metadata_map["cineml"])
        assert metadata["licence"] == "CC0-1.0" and metadata["w_dim"] <= 256
    assert (folder / "checkpoint" / "model.safetensors").is_file()


def test_the_demo_tells_what_a_film_has_to_show(demo: Show) -> None:
    shots = demo.cuts.shots
    assert 60 <= demo.film.duration_s <= 90 and (demo.film.width, demo.film.height) == (480, 360)
    assert len(shots) >= 16 and len({s.group for s in shots}) >= 8
    assert any(s.into == "dissolve" for s in shots)
    assert any(a.out == "fade" and b.into == "fade" and a.out_colour == b.in_colour == "black"
               for a, b in zip(shots, shots[1:], strict=False))
    assert sum(s.frames < 12 for s in shots) >= 2
    groups = [s.group for s in shots]
    assert any(g in groups[:i - 1] and g != groups[i - 1] for i, g in enumerate(groups) if i)
    assert demo.score is not None and all(demo.score_shot(s.number).source == "generator" for s in shots)


@pytest.mark.slow
def test_every_cut_of_the_remake_falls_on_its_frame(demo: Show) -> None:
    cuts = [s.start for s in demo.cuts.shots if s.into == "cut" and s.start]
    for cut, pictures in zip(cuts, rendered(demo, "generator", [(c - 3, 6) for c in cuts]), strict=True):
        steps = np.abs(np.diff(pictures, axis=0)).mean((1, 2, 3))
        assert int(steps.argmax()) == 2, (cut, steps)
        assert steps[2] > 2 * np.delete(steps, 2).max(), (cut, steps)


@pytest.mark.slow
def test_every_shot_of_the_remake_is_recognised_among_all_the_films(demo: Show) -> None:
    middles = [(s.start + s.frames // 2, 1) for s in demo.cuts.shots]
    film = np.concatenate(list(rendered(demo, "film", middles)))[..., 0]
    remake = np.concatenate(list(rendered(demo, "generator", middles)))[..., 0]
    small = [x.reshape(len(x), 30, 4, 40, 4).mean((2, 4)) for x in (film, remake)]
    distance = np.abs(small[1][:, None] - small[0][None]).mean((2, 3))  # [remake, film]
    nearest = distance.argmin(1)
    groups = [s.group for s in demo.cuts.shots]
    wrong = [(demo.cuts.shots[i].number, demo.cuts.shots[j].number) for i, j in enumerate(nearest) if groups[i] != groups[j]]
    assert not wrong, wrong
