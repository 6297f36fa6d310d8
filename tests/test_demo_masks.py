"""Masks of the demo film's figures: where the figures are, nothing else, and step printing in the shipped show by them."""

from __future__ import annotations

import logging
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from player.show.config import load_show
from player.sources.aim import Aim, Layer
from player.sources.figure_masks import FigureMasks
from player.sources.film_reader import FilmSource, probe_film
from player.sources.step_print import StepPrinted
from player.sources.stylizer_model import styles_of
from player.state import Latent
from tools import demo_masks
from tools.film_draw import Stage
from tools.film_shots import RATE, TAKES, cut_list

SHOTS = [shot for shot in cut_list().shots if shot.number in demo_masks.SHOTS]


@pytest.fixture(scope="module")
def shipped(repo: Path) -> Path:
    folder = repo / "show_configs" / "style" / "masks"
    if not folder.is_dir():
        pytest.skip("needs the demo's masks: make demo-masks")
    return folder


@pytest.fixture(scope="module")
def stage():
    try:
        made = Stage(demo_masks.FINER * demo_masks.SIZE[0], demo_masks.FINER * demo_masks.SIZE[1])
    except Exception as error:  # no EGL on this machine: nothing to draw with
        pytest.skip(f"no OpenGL context here: {error}")
    yield made
    made.close()


def test_the_shipped_masks_are_every_frame_of_their_shots_of_one_bit_and_small(shipped: Path) -> None:
    files = sorted(shipped.iterdir())
    assert [p.name for p in files] == [f"{frame:06d}.png" for shot in SHOTS for frame in range(shot.start, shot.end)]
    assert sum(p.stat().st_size for p in files) <= 300e3
    for path in files[::40]:
        with Image.open(path) as mask:
            assert mask.mode == "1" and mask.size == demo_masks.SIZE


def test_a_mask_is_what_the_film_shows_of_its_figures_and_not_their_shadows(shipped: Path, stage: Stage) -> None:
    for shot in SHOTS:
        frame = (shot.start + shot.end) // 2
        scene = TAKES[shot.number - 1].scene((frame - shot.start) / RATE)
        mask = demo_masks.figures_of(stage, scene)
        assert 0.03 < mask.mean() < 0.2
        with Image.open(shipped / f"{frame:06d}.png") as kept:
            assert (np.asarray(kept) != mask).mean() < 0.001, "another machine draws a pixel of the edge otherwise"
        apart = np.abs(stage.draw(scene) - stage.draw(replace(scene, figures=())))
        apart = apart.reshape(demo_masks.SIZE[1], demo_masks.FINER, demo_masks.SIZE[0], demo_masks.FINER).mean(axis=(1, 3))
        assert (mask & (apart < 0.002)).mean() < 0.01, "no figure where the room is bare"
        assert mask[apart > 0.5].mean() > 0.97, "all that is far darker than the room"
        assert (apart[~mask] > 0.002).mean() < 0.3


def test_the_shipped_shows_figures_walk_on_over_a_ground_that_is_held(
        repo: Path, shipped: Path, caplog: pytest.LogCaptureFixture) -> None:
    show = load_show(repo / "show_configs" / "style.toml", probe_film, styles_of)
    assert show.film.path is not None and {show.styled(shot.number).mask_side for shot in show.cuts.shots} == {"all"}
    masks = FigureMasks(show)
    film = FilmSource(show, show.film.path, "film")
    printed = StepPrinted(film, show, masks)
    with caplog.at_level(logging.WARNING):
        printed.open()
    assert not caplog.messages and [s.number for s in show.cuts.shots if masks.has(s.number)] == list(demo_masks.SHOTS)
    number = SHOTS[0].start + 36  # 36 is a whole number of sixths

    def made(frame: int) -> np.ndarray:
        layer = Layer(SHOTS[0].number, "film", Fraction(frame), step=6, smear=0.6)
        return printed.make(Aim(0.0, 0, (layer,), Latent()), layer).pixels.astype(int)

    def figure(frame: int) -> np.ndarray:
        with Image.open(shipped / f"{frame:06d}.png") as mask:
            return np.asarray(mask.convert("L").resize((show.film.width, show.film.height))) > 127

    first, last = made(number), made(number + 5)
    own = film.make(Aim(0.0, 0, (), Latent()), Layer(SHOTS[0].number, "film", Fraction(number + 5))).pixels.astype(int)
    here, near = figure(number + 5), np.asarray(Image.fromarray(figure(number) | figure(number + 5)).convert("L"))
    near = np.lib.stride_tricks.sliding_window_view(np.pad(near, 6), (13, 13)).max(axis=(2, 3)) > 0
    assert np.array_equal(first[~near], last[~near]), "the ground is held"
    assert np.abs(first - last)[here].mean() > 8, "he is not"
    assert np.abs(last - own)[here].mean() < 4, "and is where the film has him"
    printed.close()


def test_the_command_writes_the_frames_of_its_shots(tmp_path: Path, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    cuts = cut_list()
    short = tuple(replace(s, end=s.start + 2) for s in cuts.shots)
    monkeypatch.setattr(demo_masks, "cut_list", lambda: replace(cuts, shots=short))
    monkeypatch.setattr(demo_masks, "SIZE", (60, 45))  # which frames there are is asked, not how they look
    assert demo_masks.main(["-o", str(tmp_path / "made")]) == 0
    assert sorted(p.name for p in (tmp_path / "made").iterdir()) == [f"{s.start + k:06d}.png" for s in SHOTS for k in (0, 1)]
    (tmp_path / "file").write_text("")
    assert demo_masks.main(["-o", str(tmp_path / "file")]) == 2
