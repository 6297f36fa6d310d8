"""Stylised shows from files: what is refused and how it is said, what is rendered, what is said of where it comes from."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from player import playloop
from player.card import provenance
from player.clock import ManualClock
from player.opening import Opening, make_inference, source_names
from player.report import Report
from player.screen.compositor import Compositor
from player.screen.offscreen import Offscreen
from player.screen.projector import Projector
from player.show.config import load_show, read_show
from player.show.problem import ShowError
from player.show.score import Score, ScoreShot, format_score, read_score, write_score
from player.show.show import Show
from player.show.styling import styling_from
from player.sources.aim import Aim, Layer
from player.sources.film_reader import FilmSource, probe_film
from player.sources.onnx_model import OnnxModel
from player.sources.stylizer_model import StylizerModel, styles_of
from player.state import Command, Latent
from tests.drawn import linear
from tests.numbered_film import SIZE, number_in, numbered
from tests.styled_shows import ROW, mask_folder, opened, show_in, styled_show
from tests.tiny_model import write_tiny_generator
from tests.tiny_stylizer import STYLES, tiny, write_tiny_stylizer


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_stylizer(tmp_path_factory.mktemp("stylizer") / "tiny.onnx")


def problems(tmp_path: Path, rows: str, top: str = "") -> list[str]:
    return [str(p) for p in read_show(show_in(tmp_path, rows, top), probe_film, styles_of).problems]


@pytest.mark.parametrize(("row", "says"), [
    ("style = 'dimm'", "shot 2: style: names the style 'dimm'; allowed: negative, dim, white; try: did you mean 'dim'?"),
    ("style = {}", "style: is {}; allowed: a style's name, a table"),
    ("style = {dim = -1}", "style: is {'dim': -1}; allowed"),
    ("style = {dim = 0}", "style: is {'dim': 0}; allowed"),
    ("style = {dim = nan}", "style: is {'dim': nan}; allowed"),
    ("style = [[30, 'dim'], [30, 'white']]", "in the order of their frames"),
    ("style = [['dim', 30]]", "style: is [['dim', 30]]; allowed"),
    ("style = 'a b'", "style: is 'a b'; allowed"),
    ("over = 'flim'", "over: is 'flim'; allowed: film, generator, clip, camera; try: did you mean 'film'?"),
    ("over = 'camera'", "show.toml: camera.device: is missing, but shots play the camera"),
    ("over = 'clip'", "shot 2: clip: '' is missing"),
    ("smooth = 2", "smooth: is 2; allowed: a number from 0 to 1"),
    ("mask_side = 'left'", "mask_side: is 'left'; allowed: figure, ground, all"),
    ("mask_side = 'ground'", "shot 2: mask: is missing, and figure or ground is stylised by it"),
    ("mask = 'gone'", "shot 2: mask: 'gone' is missing; allowed: a folder of masks such as 000300.png"),
    ("mask = 'film.mp4'", "shot 2: mask: 'film.mp4' is no folder; allowed: a folder of masks"),
])
def test_a_stylised_shot_that_cannot_be_is_one_sentence(tmp_path: Path, row: str, says: str) -> None:
    (found,) = problems(tmp_path, ROW + row + "\n")
    assert says in found


def test_what_belongs_to_stylised_shots_alone_is_said_where_none_is(tmp_path: Path) -> None:
    (found,) = problems(tmp_path, "[[shot]]\nnumber = 2\nunder = 'black'\nwalk = ''\nstyle = 'dim'\n", "")[-1:]
    said = problems(tmp_path, "[[shot]]\nnumber = 2\nstyle = 'dim'\n")
    assert any("shot 2): style: is given, and the shot is not stylised" in p for p in said) and found
    assert problems(tmp_path, "[[shot]]\nnumber = 2\nsource = 'film'\nstyle = 'dim'\n") == [], "what a tool may leave behind"


@pytest.mark.parametrize(("top", "says"), [
    ("[stylizer]\nfile = 'gone.onnx'", "show.toml: stylizer.file: 'gone.onnx' is missing"),
    ("[stylizer]\nsize = [1, 2]", "stylizer.size: is [1, 2]"),
    ("[stylizer]\nfile = 'film.mp4'", "film.mp4: is damaged, cut short or no ONNX model"),
    ("[stylizer]\nfile = 'tiny.onnx'\nstyle = 'dmi'", "stylizer.style: names the style 'dmi'"),
    ("[stylizer]\nfile = 'tiny.onnx'\nover = 'black'", "stylizer.over: is 'black'; allowed: film, generator, clip, camera"),
    ("[stylizer]\nfile = 'tiny.onnx'\nstyel = 'dim'", "stylizer.styel: is not known"),
    ("[stylizer]\nfile = 'tiny.onnx'\n[[cue]]\ngo = true\nsend = [['/cineml/style/dmi/weight', 1.0]]",
     "the show has no style 'dmi'; did you mean 'dim'?"),
    ("[stylizer]\nfile = 'tiny.onnx'\n[look.x]\nstep_print = 13",
     "look.x.step_print: is 13; allowed: a whole number from 0 to 12"),
])
def test_a_stylizers_table_that_cannot_be_is_one_sentence(tmp_path: Path, top: str, says: str) -> None:
    found = problems(tmp_path, "# none\n", top + "\n")
    assert len(found) == 1 and says in found[0], found


@pytest.mark.parametrize(("more", "says"), [
    ({"styles": []}, "styles is []"), ({"styles": ["a", "a"]}, "no two alike"), ({"styles": ["a b"]}, "styles is ['a b']"),
    ({"said": ('"size": null', '"size": [64]')}, "size is [64]"), ({"multiple": 0}, "multiple is 0"),
    ({"kind": "stylegan2", "resolution": 8}, "is the 'stylizer' part"), ({"inputs_for": 2}, "has the inputs"),
    ({"facts": False}, "not one of cineml's"),
    ({"said": ('"recurrent": false', '"recurrent": true ')}, "has the inputs")])
def test_a_file_that_is_no_sound_stylizer_is_refused_in_a_sentence(tmp_path: Path, more: dict[str, Any], says: str) -> None:
    path, (old, new) = tmp_path / "tiny.onnx", more.get("said", ("", ""))
    write_tiny_stylizer(path, **{k: v for k, v in more.items() if k != "said"})
    path.write_bytes(path.read_bytes().replace(old.encode(), new.encode()))
    with pytest.raises(ShowError) as e:
        StylizerModel(path, film_size=SIZE, threads=1).open()
    assert len(e.value.problems) == 1 and says in str(e.value), str(e.value)


def test_a_fixed_size_that_is_not_asked_for_a_generator_and_half_a_file_are_named(tmp_path: Path) -> None:
    path = write_tiny_stylizer(tmp_path / "t.onnx", size=(32, 24))
    with pytest.raises(ShowError, match="makes pictures of 32x24, and 64x48 are asked for"):
        StylizerModel(path, (64, 48)).open()
    generator = write_tiny_generator(tmp_path / "g")
    with pytest.raises(ShowError, match="is the 'synthesis' part of a 'stylegan2' model; allowed: a stylizer"):
        styles_of(generator / "synthesis.onnx")
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ShowError, match="damaged|not one of"):
        styles_of(path)


def test_a_network_that_cannot_run_is_said_when_it_is_opened(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(self: OnnxModel) -> None:
        raise RuntimeError("[ONNXRuntimeError] : 6 : bad\nallocation")

    monkeypatch.setattr(OnnxModel, "run", fails)
    with pytest.raises(ShowError, match=r"cannot run at 64x48 \(RuntimeError: .* bad allocation\)"):
        opened(styled_show(model))


def test_a_stylised_score_is_written_as_it_is_read(tmp_path: Path) -> None:
    blend = styling_from([[24, "dim"], [40, {"dim": 0.25, "white": 0.75}]])
    rows = (ScoreShot(1, source="stylizer", over="camera", style=styling_from("dim"), smooth=0.0),
            ScoreShot(2, source="stylizer", style=blend, mask="masks", mask_side="ground", smooth=0.5, under="film", mix=0.5),
            ScoreShot(3, source="film", style=styling_from({"dim": 2, "white": 1}), mask="masks"))  # fmt: skip
    write_score(Score(rows), tmp_path / "score.toml")
    assert read_score(tmp_path / "score.toml").shots == rows
    text = format_score(Score(rows))
    assert 'style = "dim"' in text and 'style = [[24, "dim"], [40, {dim = 0.25, white = 0.75}]]' in text


def test_a_styles_name_is_checked_by_the_source_where_reading_could_not(tmp_path: Path) -> None:
    path = show_in(tmp_path, ROW + "style = 'dmi'\n")
    show = load_show(path, probe_film)
    with pytest.raises(ShowError, match="shot 2: style: names the style 'dmi'; allowed: negative, dim, white"):
        opened(show)
    assert read_show(path, probe_film, styles_of).problems != ()


def test_a_masks_gap_is_named_with_its_frames(tmp_path: Path) -> None:
    mask_folder(tmp_path / "masks", range(24, 40))
    (found,) = problems(tmp_path, ROW + "mask = 'masks'\n")
    assert "shot 2: mask: 'masks' lacks 8 of the shot's 24 frames: 40 to 47 (shot 2)" in found


# --- rendered


@pytest.fixture
def small_screen() -> Any:
    try:
        made = Offscreen((64, 48), 24.0, realtime=False)
    except ShowError as e:
        pytest.skip(f"no offscreen GL here: {e}")
    yield made
    made.close()


def rendered(show: Show, screen: Offscreen, first: int, frames: int,
             commands: Callable[[int], list[Command]] | None = None) -> list[np.ndarray]:  # fmt: skip
    with ExitStack() as stack:
        opening = Opening(stack)
        inference = make_inference(show, opening, 1, None)
        opening.finish()
        compositor, projector = Compositor(screen.ctx, show.output.size, show), Projector(screen.ctx, show.output)
        parts = playloop.Parts(show=show, clock=ManualClock(), screen=screen, compositor=compositor, projector=projector,
                               inference=inference, report=Report(show, inference.facts))  # fmt: skip
        seen: list[np.ndarray] = []
        playloop.render(parts, first, frames, lambda state, index, pixels: seen.append(pixels.copy()), commands)
        compositor.release()
        assert inference.failures == 0, inference.facts()["faults"]
    return seen


def coded(light: float) -> float:
    return 255 * (12.92 * light if light <= 0.0031308 else 1.055 * light ** (1 / 2.4) - 0.055)


def test_a_show_renders_each_frame_in_its_styles_mixed_with_the_film(tmp_path: Path, small_screen: Offscreen) -> None:
    rows = ("[[shot]]\nnumber = 3\nsource = 'stylizer'\nstyle = [[48, 'negative'], [64, 'white']]\nunder = 'film'\n"
            "mix = [[50, 0.0], [60, 1.0]]\n")  # fmt: skip
    show = load_show(show_in(tmp_path, rows), probe_film, styles_of)
    assert source_names(show) == {"film", "stylizer"} and show.styles == STYLES
    commands = {66 - 44: [Command("/cineml/style/dim/weight", 1.0, 0.0)]}
    made = rendered(show, small_screen, 44, 27, lambda i: commands.get(i, []))
    for frame, pixels in enumerate(made, 44):
        film = np.full((1, 1, 3), 60 + frame, np.uint8)
        t = min(max((frame - 48) / 16, 0), 1)
        weights = {"negative": 1 - t, "white": t, "dim": 1.0 if frame >= 66 else 0.0}
        share = min(max((frame - 50) / 10, 0), 1) if frame >= 48 else 0.0
        light = share * linear(tiny(film, **weights)) + (1 - share) * linear(film)
        assert float(pixels.mean()) == pytest.approx(coded(float(light.mean())), abs=1.8), frame


def test_the_shipped_show_plays_its_network_in_both_styles(repo: Path, small_screen: Offscreen) -> None:
    path = repo / "show_configs" / "style.toml"
    if not (repo / "show_configs" / "style" / "stylizer.onnx").exists():
        pytest.skip("needs the demo's stylizer: make demo-style")
    show = load_show(path, probe_film, styles_of)
    oil, woodcut = (rendered(show, small_screen, first, 1)[0].astype(int) for first in (200, 400))
    assert np.ptp(oil, axis=2).mean() > 25, "oil has colour, where the film is grey"
    assert np.abs(np.diff(woodcut.mean(axis=2), axis=1)).mean() > np.abs(np.diff(oil.mean(axis=2), axis=1)).mean(), "lines"


def test_a_render_is_the_same_again_and_from_any_frame(tmp_path: Path, small_screen: Offscreen) -> None:
    mask_folder(tmp_path / "masks")
    rows = ROW + "style = [[24, 'negative'], [40, 'dim']]\nsmooth = 0.7\nmask = 'masks'\nlook = 'step'\n"
    show = load_show(show_in(tmp_path, rows, "[stylizer]\nfile = 'tiny.onnx'\n[look.step]\nstep_print = 4\nsmear = 0.5\n"),
                     probe_film, styles_of)  # fmt: skip
    whole, late = rendered(show, small_screen, 20, 30), rendered(show, small_screen, 35, 10)
    assert all(np.array_equal(a, b) for a, b in zip(whole[15:25], late, strict=True))


def test_the_card_and_the_facts_say_where_a_stylizer_comes_from(tmp_path: Path) -> None:
    mask_folder(tmp_path / "masks")
    show = load_show(show_in(tmp_path, ROW + "mask = 'masks'\nsmooth = 0.5\n"), probe_film, styles_of)
    sections = {s.name: dict(s.rows) for s in provenance(show)}
    assert sections["Stylizer"]["kind"] == "stylizer, any size, styles negative, dim, white"
    assert sections["Stylizer"]["licence"] == "CC0-1.0" and sections["Stylizer"]["training: steps"] == "3"
    assert sections["Styled"] == {"shot 2": "negative over the film, the figure of masks, smoothed 0.5"}
    source = opened(show)
    assert source.facts()["styles"] == list(STYLES) and source.facts()["provider"].endswith("ExecutionProvider")


def test_a_films_frames_are_decoded_once_for_the_film_and_its_stylised_self(tmp_path: Path) -> None:
    show = load_show(show_in(tmp_path, ROW + "under = 'film'\nmix = 0.5\n"), probe_film, styles_of)
    with ExitStack() as stack:
        inference = make_inference(show, Opening(stack), 1, None)
        film, stylizer = inference._sources["film"], inference._sources["stylizer"]
        assert stylizer.bases["film"] is film and isinstance(film._source, FilmSource)
        layers = (Layer(2, "stylizer", Fraction(30)), Layer(2, "film", Fraction(30), under=True))
        made = inference.make_and_wait(Aim(0.0, 0, layers, Latent()))
        assert [f.source for f in made] == ["stylizer", "film"] and all(f.has_transitions for f in made)
    assert number_in(numbered(5)) == 5
