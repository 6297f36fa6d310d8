"""Shots that mix two sources: what `cineml keyframes propagate` made over the generator's picture, live and rendered."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from fractions import Fraction
from math import floor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from player import playloop
from player.card import provenance
from player.clock import ManualClock
from player.control.parameters import told_values
from player.opening import Opening, make_inference, source_names
from player.report import Report
from player.screen.compositor import Compositor, faded
from player.screen.offscreen import Offscreen
from player.screen.projector import Projector
from player.show.config import load_show, read_show
from player.show.cut_list import CutList, Mix, Shot, write_csv
from player.show.mixing import mixing_from, weight_at
from player.show.problem import ShowError
from player.show.score import Score, ScoreShot, format_score, read_score, write_score
from player.show.show import Cue, Output, Show
from player.show.walk import Walk
from player.sources.aim import Aim, Layer, aim_at, layers_at, next_aim
from player.sources.film_reader import probe_film
from player.sources.frame import Blend, Due, Frame
from player.sources.generator import GeneratorSource
from player.sources.inference import Inference
from player.sources.shelf import Shelf
from player.state import Command, Latent, advance, first_state, place_at
from tests.drawn import Picture, a_frame, flat, linear
from tests.numbered_film import FRAMES, RATE, SIZE, numbered, write_frames, write_numbered
from tests.small_shows import small_show

SHOTS = (Shot(1, 0, 24), Shot(2, 24, 48, "dissolve", 8), Shot(3, 48, 72))
CUTS = CutList("numbered.mp4", RATE, FRAMES, SHOTS)


# --- shows that are read from files


def show_in(folder: Path, rows: str) -> Path:
    """A show of three shots of 24 frames whose painted frames lie in painted/; rows: the score's."""
    write_csv(CUTS, folder / "cuts.csv")
    if not (folder / "film.mp4").exists():
        write_numbered(folder / "film.mp4", picture=lambda i: np.full((SIZE[1], SIZE[0], 3), 200, np.uint8))
    if not (folder / "painted").exists():
        write_frames(folder / "painted", range(72))
    (folder / "score.toml").write_text(rows, encoding="utf-8")
    (folder / "show.toml").write_text(
        'name = "painted"\n[film]\nfile = "film.mp4"\ncuts = "cuts.csv"\n[play]\nsource = "film"\nloop = false\n'
        '[score]\nfile = "score.toml"\n[output.main]\nsize = [64, 48]\n[control]\nosc_port = 0\n', encoding="utf-8")
    return folder / "show.toml"


PAINTED = '[[shot]]\nnumber = 2\nsource = "clip"\nclip = "painted"\n'


def problems(tmp_path: Path, rows: str) -> list[str]:
    return [str(p) for p in read_show(show_in(tmp_path, rows), probe_film).problems]


def test_a_sound_show_with_two_sources_is_read_and_says_so(tmp_path: Path) -> None:
    rows = (PAINTED + 'under = "film"\nmix = 0.25\n[[shot]]\nnumber = 3\nclip = "painted"\nsource = "clip"\nunder = "black"\n'
            "mix = [[48, 1.0], [60, 0]]\n")
    show = load_show(show_in(tmp_path, rows), probe_film)
    assert show.clips == {2: tmp_path / "painted", 3: tmp_path / "painted"}
    assert [show.score_shot(n).sources for n in (1, 2, 3)] == [("film",), ("clip", "film"), ("clip", "black")]
    assert show.score_shot(2).mix == 0.25 and show.score_shot(3).mix == ((48, 1.0), (60, 0.0))
    (tmp_path / "painted" / "options.json").write_text('{"tool": "cineml keyframes propagate", "keys": {"3": {}, "70": {}}}')
    sections = {s.name: dict(s.rows) for s in provenance(show)}
    made = "72 PNGs, 64x48, by cineml keyframes propagate from 2 keys; shots 2 to 3"
    assert sections["Clips"]["painted"] == made and len(sections["Clips"]["sha256 of painted"]) == 64
    assert sections["Mixed"] == {"shot 2": "clip over film, 0.25", "shot 3": "clip over black, by 2 key points"}


def test_key_points_outside_their_shot_and_a_source_over_itself_are_harmless_and_said(tmp_path: Path) -> None:
    """A tool that splits a shot or gives it another source makes such rows."""
    rows = (PAINTED + "under = 'film'\nmix = [[0, 0.0], [23, 0.75]]\n"
            "[[shot]]\nnumber = 3\nsource = 'film'\nunder = 'film'\nmix = 0.5\n")
    show = load_show(show_in(tmp_path, rows), probe_film)
    assert show.score_shot(2).mix_at(30) == 0.75
    assert show.score_shot(3).sources == ("film",) and show.score_shot(3).mix_at(50) == 1.0
    mixed = {s.name: dict(s.rows) for s in provenance(show)}["Mixed"]
    assert mixed == {"shot 2": "clip over film, by 2 key points, none of them in its film frames 24 to 47"}


@pytest.mark.parametrize(("row", "says"), [
    ("under = 'film'\nmix = 1.5", "mix: is 1.5; allowed: 0 to 1, or key points [[film frame, 0 to 1], ...]"),
    ("under = 'film'\nmix = true", "mix: is true; allowed"),
    ("under = 'film'\nmix = nan", "mix: is nan; allowed"),
    ("under = 'film'\nmix = 'half'", "mix: is 'half'; allowed"),
    ("under = 'film'\nmix = []", "mix: is []; allowed"),
    ("under = 'film'\nmix = [0.5]", "mix: is [0.5]; allowed"),
    ("under = 'film'\nmix = [[30, 0.5], [30, 1]]", "in the order of their frames"),
    ("under = 'film'\nmix = [[30, 2.0]]", "mix: is [[30, 2.0]]; allowed"),
    ("under = 'film'\nmix = [[30.5, 1.0]]", "mix: is [[30.5, 1.0]]; allowed"),
    ("mix = 0.5", "mix: is given, and the shot has one source; allowed: mix beside under"),
    ("under = 'flim'", "under: is 'flim'; allowed: generator, stylizer, film, clip, camera, black; try: did you mean 'film'?"),
    ("under = 3", "under: is 3; allowed: a text"),
    ("under = 'stylizer'", "show.toml: stylizer.file: is missing, but shots play the stylizer; allowed: an ONNX file"),
])
def test_a_mix_that_cannot_be_is_one_sentence(tmp_path: Path, row: str, says: str) -> None:
    (found,) = problems(tmp_path, PAINTED + row + "\n")
    assert says in found


def test_what_lies_under_must_be_there_like_any_source(tmp_path: Path) -> None:
    found = problems(tmp_path, PAINTED + "under = 'generator'\n")
    assert any("score.npz: is missing" in p for p in found) and any("generator.folder: is missing" in p for p in found)
    (found_clip,) = problems(tmp_path, "[[shot]]\nnumber = 2\nsource = 'film'\nunder = 'clip'\nclip = 'gone'\n")
    assert "shot 2: clip: 'gone' is missing; allowed: a film file, or a folder of frames such as 000300.png" in found_clip


@pytest.mark.parametrize(("left", "says"), [
    ([*range(24, 30), *range(33, 48)], "'painted' lacks 3 of the shot's 24 frames: 30 to 32; allowed: PNGs 24 to 47, the"),
    ([*range(5), *range(6, 24)], "'painted' lacks 1 of the shot's 24 frames: 5; allowed: PNGs 0 to 23, numbers from"),
    ([], "'painted' holds no numbered PNG")])
def test_frames_that_are_missing_are_named_by_check(tmp_path: Path, left: list[int], says: str) -> None:
    write_frames(tmp_path / "painted", left)
    (found,) = problems(tmp_path, PAINTED)
    assert f"score.toml: shot 2: clip: {says}" in found


def test_a_mix_is_written_as_it_is_read(tmp_path: Path) -> None:
    rows = (ScoreShot(1, source="clip", clip="painted", under="film", mix=0.6), ScoreShot(2, source="film", under="black"),
            ScoreShot(3, source="film", under="clip", clip="x", mix=((48, 0.0), (71, 1.0))))
    write_score(Score(rows), tmp_path / "score.toml")
    assert read_score(tmp_path / "score.toml").shots == rows
    assert "mix = [[48, 0.0], [71, 1.0]]" in format_score(Score(rows)) and format_score(Score(rows)).count("mix") == 2


# --- the weight


def test_between_key_points_the_weight_goes_straight_and_outside_them_it_is_held() -> None:
    mix = mixing_from([[30, 0.25], [40, 1], [50, 0.0]])
    assert mix is not None
    assert [weight_at(mix, f) for f in (0, 30, 32, 40, 45, 50, 99)] == pytest.approx([0.25, 0.25, 0.4, 1.0, 0.5, 0.0, 0.0])
    assert weight_at(0.6, 7) == 0.6
    shot = ScoreShot(1, source="clip", under="film", mix=0.6)
    assert [shot.mix_at(7, by) for by in (0.0, 0.3, 0.4, 1.0, -0.6, -1.0)] == pytest.approx([0.6, 0.9, 1.0, 1.0, 0.0, 0.0])
    assert ScoreShot(1, source="clip").mix_at(7, -1.0) == 1.0, "one source is one source, whatever a hand does"


def mixed_show(mix: Any = 0.5, shots: tuple[Shot, ...] = SHOTS, **more: Any) -> Show:
    """All shots play a clip over the generator."""
    entry = {s.number: "glide" if s.into == "dissolve" else "jump" for s in shots}
    rows = tuple(ScoreShot(n, source="clip", under="generator", mix=mix, entry=how) for n, how in entry.items())
    return small_show(shots, score=Score(rows), **more)


OFFSET = "/cineml/source/mix_offset"


def test_a_hand_moves_the_mix_and_it_glides() -> None:
    show = mixed_show(0.75)
    state = advance(first_state(show), [Command(OFFSET, -0.5, 1.0)], 0.0, show)
    weights = [(later := advance(state, [], t, show)).source_mix for t in (0.0, 0.5, 1.0, 3.0)]
    assert weights == pytest.approx([0.75, 0.5, 0.25, 0.25])
    told = dict(told_values(later))
    assert told[OFFSET] == -0.5 and told["/cineml/source/mix"] == pytest.approx(0.25)
    cued = mixed_show(0.75, cues=(Cue("out", 30, ((OFFSET, -1.0, 0.0),)),))
    state = first_state(cued)
    for frame in range(32):
        state = advance(state, [], frame / 24, cued)
        assert state.source_mix == (0.75 if frame < 30 else 0.0)


def sources_at(frame: int, show: Show, offset: float = 0.0) -> list[tuple[int, str, bool]]:
    place = place_at(first_state(show).transport, frame / 24, show)
    return [(layer.shot, layer.source, layer.under) for layer in layers_at(place, show, offset)]


def test_only_what_is_seen_is_made() -> None:
    assert sources_at(10, mixed_show(0.5)) == [(1, "clip", False), (1, "generator", True)]
    assert sources_at(10, mixed_show(1.0)) == [(1, "clip", False)], "at 1 a show costs what it costs without a second source"
    assert sources_at(10, mixed_show(0.0)) == [(1, "generator", True)]
    assert sources_at(10, mixed_show(0.5), 0.5) == [(1, "clip", False)]
    assert sources_at(10, mixed_show(1.0), -0.1) == [(1, "clip", False), (1, "generator", True)]
    assert sources_at(26, mixed_show(0.5)) == [(2, "clip", False), (2, "generator", True), (1, "clip", False),
                                               (1, "generator", True)], "a dissolve of two mixes, and no glide"  # fmt: skip
    fading = mixed_show(((4, 1.0), (8, 0.0)))
    assert [len(sources_at(f, fading)) for f in (0, 4, 5, 7, 8, 9)] == [1, 1, 2, 2, 1, 1]


# --- what is due


def a_picture(shot: int, at: float, source: str, under: bool = False, value: int = 0) -> Frame:
    return Frame(np.full((2, 2, 3), value, np.uint8), at / 24, 0, shot, at, source, (0, 0, 2, 2), under=under)


def test_both_pictures_of_a_shot_are_due_with_its_weight() -> None:
    show, shelf = mixed_show(0.3), Shelf()
    state = advance(first_state(show), [], 10 / 24, show)
    shelf.add([a_picture(1, 10, "clip"), a_picture(1, 9.5, "generator", True), a_picture(1, 10.5, "generator", True)])
    due = shelf.due(state)
    assert due.shot is not None and due.shot.a.source == "clip" and due.shot.b is None and due.shot.share == 0.3
    under = due.shot.under
    assert under is not None and under.b is not None and under.weight == pytest.approx(0.5, abs=1e-4), "the generator blends on"


def test_where_one_source_has_no_picture_the_other_is_seen_alone_and_never_another_shots() -> None:
    for there, offset in ((False, 0.0), (True, 0.0), (False, -1.0), (True, 1.0)):
        show, shelf = mixed_show(0.3), Shelf()
        state = advance(first_state(show), [Command(OFFSET, offset, 0.0)], 30 / 24, show)
        shelf.add([a_picture(1, 23, "clip"), a_picture(1, 23, "generator", True), a_picture(2, 30, "x", there)])
        due = shelf.due(state)
        assert due.shot is not None and due.shot.a.shot == 2 and due.shot.under is None and not due.stale


def test_a_frozen_picture_keeps_its_mix() -> None:
    show, shelf = mixed_show(0.3), Shelf()
    state = advance(first_state(show), [], 10 / 24, show)
    shelf.add([a_picture(1, 10, "clip"), a_picture(1, 10, "generator", True)])
    shelf.due(state)
    frozen = advance(state, [Command("/cineml/output/freeze", True), Command(OFFSET, 0.5, 0.0)], 11 / 24, show)
    due = shelf.due(frozen)
    assert due.shot is not None and due.shot.share == 0.3


def simulate(show: Show, pace_s: dict[str, float], refresh_hz: float, seconds: float = 3.0,
             script: dict[int, list[Command]] | None = None) -> list[tuple[float, Any, Due]]:
    """The loop's hand-over in simulated time, with a worker that takes pace_s[source] a picture."""
    state, shelf, seen = first_state(show), Shelf(), []
    last: Aim | None = None
    waiting: tuple[Aim, float] | None = None
    running: tuple[Aim, float] | None = None

    def made(aim: Aim) -> float:
        return sum(pace_s[layer.source] for layer in aim.layers)

    for k in range(int(seconds * refresh_hz)):
        now = k / refresh_hz
        while True:
            if running is None and waiting is not None:
                running, waiting = (waiting[0], waiting[1] + made(waiting[0])), None
            if running is None or running[1] > now:
                break
            aim, ready_s = running
            shelf.add([Frame(np.zeros((2, 2, 3), np.uint8), aim.show_time_s, aim.epoch, layer.shot,
                             float(layer.film_position), layer.source, (0, 0, 2, 2), under=layer.under)
                       for layer in aim.layers])  # fmt: skip
            running = None
            if waiting is not None:
                waiting = (waiting[0], ready_s)
        state = advance(state, (script or {}).get(k, []), now, show)
        if waiting is None or waiting[0].epoch != state.transport.epoch:
            aim_next = next_aim(state, last, lambda source: pace_s[source] * 1.1, 1 / refresh_hz, show)
            if aim_next is not None:
                waiting, last = (aim_next, now), aim_next
        seen.append((now, state, shelf.due(state)))
    return seen


@pytest.mark.parametrize("generator_ms", [5, 15])
@pytest.mark.parametrize("refresh_hz", [15.0, 24.0, 30.0, 60.0])
def test_live_each_refresh_shows_what_a_render_would(generator_ms: int, refresh_hz: float) -> None:
    mix = ((4, 1.0), (10, 0.2), (20, 0.8), (40, 0.0), (50, 0.0), (60, 1.0))
    show = mixed_show(mix)
    for now, state, due in simulate(show, {"clip": 0.003, "generator": generator_ms / 1000}, refresh_hz)[int(refresh_hz / 4):]:
        frame, parts = state.place.frame, [(due.shot, state.mix.shot), (due.outgoing, state.mix.outgoing)]
        assert not due.stale and (due.outgoing is None) == (state.mix.outgoing is None), now
        for blend, shot in parts:
            if blend is None or shot is None:
                continue
            weight = weight_at(mix, frame)
            pair = (blend, blend.under) if 0 < weight < 1 else (blend, None) if weight >= 1 else (None, blend)
            assert blend.share == (weight if 0 < weight < 1 else 1.0), (now, frame)
            for part, source in zip(pair, ("clip", "generator"), strict=True):
                if part is not None:
                    assert (part.a.source, part.a.shot) == (source, shot.number), (now, frame)
                    assert floor(part.a.film_position + 1e-5) == frame, (now, frame, source)


@pytest.mark.parametrize("generator_ms", [60, 90])
def test_a_generator_that_is_slower_than_the_film_still_has_its_picture_at_the_cut(generator_ms: int) -> None:
    show = mixed_show(0.5, (Shot(1, 0, 24), Shot(2, 24, 48), Shot(3, 48, 72)))
    for now, state, due in simulate(show, {"clip": 0.003, "generator": generator_ms / 1000}, 60.0)[30:]:
        assert due.shot is not None and due.shot.under is not None and not due.stale, now
        assert due.shot.a.shot == due.shot.under.a.shot == state.mix.shot.number, now


@pytest.mark.parametrize(("score", "hand"), [(1.0, -0.5), (0.0, 0.5)])
def test_a_source_that_a_hand_brings_in_is_there_within_two_pictures_time(score: float, hand: float) -> None:
    show = mixed_show(score, (Shot(1, 0, 240),))
    pace = {"clip": 0.003, "generator": 0.012}
    seen = simulate(show, pace, 60.0, script={61: [Command(OFFSET, hand, 0.5)]})
    assert all(due.shot is not None and due.shot.under is None for _, _, due in seen[4:61])
    both = [due.shot is not None and due.shot.under is not None for _, _, due in seen]
    assert all(both[61 + 3:]), "three refreshes: the aim is given, made, seen"


def test_at_1_and_at_0_the_aims_are_those_of_a_show_with_one_source() -> None:
    for mix, source in ((1.0, "clip"), (0.0, "generator")):
        show, plain = mixed_show(mix), small_show(SHOTS, source=source, score=Score(tuple(
            ScoreShot(s.number, source=source) for s in SHOTS)))  # fmt: skip
        for at_s in (0.2, 1.05, 1.5, 2.9):
            state, other = (advance(first_state(s), [], at_s, s) for s in (show, plain))
            aims = [aim_at(state, at_s, show), aim_at(other, at_s, plain)]
            assert [[(x.shot, x.source, x.film_position) for x in a.layers] for a in aims][0] == [
                (x.shot, x.source, x.film_position) for x in aims[1].layers]


# --- the picture


class Flat:
    """A source of one grey, which counts what it made."""

    def __init__(self, name: str, value: int, size: tuple[int, int] = (16, 12)) -> None:
        self.name, self.value, self.size, self.made = name, value, size, 0

    def open(self) -> None:
        pass

    def make(self, aim: Aim, layer: Layer) -> Frame:
        self.made += 1
        inner = (0.0, 0.0, float(self.size[0]), float(self.size[1]))
        return Frame(flat(self.value, self.size), aim.show_time_s, aim.epoch, layer.shot, float(layer.film_position), self.name,
                     inner)  # fmt: skip

    def close(self) -> None:
        pass

    def facts(self) -> dict[str, Any]:
        return {"provider": None}


def test_two_sources_of_one_shot_are_mixed_in_linear_light(picture: Callable[..., Picture]) -> None:
    p = picture()
    under = Blend(a_frame(flat(10), source="generator"), a_frame(flat(90), source="generator"), 0.25)
    light = p.light(p.state(), Due(Blend(a_frame(flat(220)), under=under, share=0.6)))
    expected = 0.6 * linear(220) + 0.4 * (0.75 * linear(10) + 0.25 * linear(90))
    assert np.abs(light - expected).max() < 5e-4


@pytest.mark.parametrize("size", [(160, 90), (64, 64)])
def test_a_dissolve_of_two_mixes_adds_up_six_pictures(picture: Callable[..., Picture], size: tuple[int, int]) -> None:
    p, values = picture(), (250, 30, 180, 90, 140, 60)
    f = [a_frame(flat(v, size if i % 2 else (160, 90)), source="generator") for i, v in enumerate(values)]
    due = Due(Blend(f[0], under=Blend(f[1], f[2], 0.3), share=0.7), Blend(f[3], under=Blend(f[4], f[5], 0.8), share=0.2))
    weights = (0.6 * 0.7, 0.6 * 0.3 * 0.7, 0.6 * 0.3 * 0.3, 0.4 * 0.2, 0.4 * 0.8 * 0.2, 0.4 * 0.8 * 0.8)
    for _ in range(2):  # again, from the textures that are there
        light = p.light(p.state(0, Mix(SHOTS[1], SHOTS[0], 0.6)), due)
        expected = sum(w * linear(v) for w, v in zip(weights, values, strict=True))
        assert np.abs(light - expected).max() < 1e-3


@pytest.mark.parametrize(("colour", "end"), [("white", 1.0), ("black", 0.0)])
@pytest.mark.parametrize("fade", [1.0, 0.4, 0.0])
def test_a_fade_is_drawn_over_what_does_not_hold_it(picture: Callable[..., Picture], colour: str, end: float,
                                                    fade: float) -> None:  # fmt: skip
    p = picture()
    own, film = a_frame(flat(220), source="clip"), a_frame(flat(40), source="film")  # the film has faded by itself
    light = p.light(p.state(0, Mix(SHOTS[0], fade=fade, fade_colour=colour)), Due(Blend(own, under=Blend(film), share=0.7)))
    expected = 0.7 * (fade * linear(220) + (1 - fade) * end) + 0.3 * linear(40)
    assert np.abs(light - expected).max() < 1e-3


def test_a_fade_of_like_pictures_is_left_as_it_is() -> None:
    layers = [(a_frame(flat(1), source="clip"), 0.5), (a_frame(flat(2), source="generator"), 0.5)]
    assert faded(layers, 0.3) == (layers, 0.3)
    assert faded([(a_frame(flat(1), source="film"), 1.0)], 0.3)[1] == 1.0


@pytest.fixture
def small_screen() -> Any:
    try:
        made = Offscreen((64, 48), 24.0, realtime=False)
    except ShowError as e:
        pytest.skip(f"no offscreen GL here: {e}")
    yield made
    made.close()


def rendered(show: Show, sources: dict[str, Any], screen: Offscreen, first: int, frames: int,
             commands: Callable[[int], list[Command]] | None = None) -> list[np.ndarray]:
    inference = Inference(sources, show)
    inference.open()
    compositor, projector = Compositor(screen.ctx, show.output.size, show), Projector(screen.ctx, show.output)
    parts = playloop.Parts(show=show, clock=ManualClock(), screen=screen, compositor=compositor, projector=projector,
                           inference=inference, report=Report(show, inference.facts))
    seen: list[np.ndarray] = []
    playloop.render(parts, first, frames, lambda state, index, pixels: seen.append(pixels.copy()), commands)
    inference.close()
    compositor.release()
    assert inference.failures == 0
    return seen


def coded(light: float) -> float:
    return 255 * (12.92 * light if light <= 0.0031308 else 1.055 * light ** (1 / 2.4) - 0.055)


def test_a_painted_show_renders_each_frame_as_its_score_says(tmp_path: Path, small_screen: Offscreen) -> None:
    mix = ((24, 0.0), (36, 1.0), (47, 0.25))
    rows = PAINTED + f"under = 'film'\nmix = {[list(p) for p in mix]}\n"
    show = load_show(show_in(tmp_path, rows), probe_film)
    assert source_names(show) == {"clip", "film"}
    with ExitStack() as stack:
        inference = make_inference(show, Opening(stack), 1, None)
        made = rendered(show, inference._sources, small_screen, 22, 30)
    for frame, pixels in enumerate(made, 22):
        level = float(pixels[36:44, 16:48].mean())  # below the bars of the number
        weight = weight_at(mix, frame) if 24 <= frame < 48 else 0.0
        film, painted = linear(200), linear(numbered(min(frame, 47))[40, 32, 0])
        into = CUTS.mix_at(frame).weight if 24 <= frame < 48 else 1.0  # the dissolve, from the film's own picture
        own = into * (weight * painted + (1 - weight) * film) + (1 - into) * film
        assert level == pytest.approx(coded(float(own)), abs=1.6), frame


def test_a_performers_fader_is_exact_in_a_render_and_brings_in_what_was_not_made(small_screen: Offscreen) -> None:
    show = mixed_show(1.0, (Shot(1, 0, 72),), outputs=(Output(size=(64, 48)),), loop=False)
    clip, generator = Flat("clip", 230), Flat("generator", 30)
    commands = {12: [Command(OFFSET, -1.0, 1.0)], 48: [Command(OFFSET, 0.0, 0.0)]}
    made = rendered(show, {"clip": clip, "generator": generator}, small_screen, 0, 60, lambda i: commands.get(i, []))
    assert clip.made - 2 == 36 + 12 and generator.made - 1 == 35, "each only where it is seen, and once before the first frame"
    for frame, pixels in enumerate(made):
        weight = 1.0 if frame < 12 or frame >= 48 else max(1 - (frame - 12) / 24, 0.0)
        own = weight * linear(230) + (1 - weight) * linear(30)
        assert float(pixels.mean()) == pytest.approx(coded(float(own)), abs=1.1), frame


def test_a_key_that_is_called_for_is_played_by_a_generator_that_lies_under() -> None:
    keys = np.arange(8, dtype=np.float32).reshape(2, 1, 4)
    show = mixed_show(0.5)
    assert show.score is not None
    score = Score(show.score.shots, {"w": Walk("w", keys, np.array([0, 71]), ("w.a", "w.b"))})
    source = GeneratorSource(small_show(SHOTS, score=score))
    layers = (Layer(2, "clip", Fraction(26)), Layer(2, "generator", Fraction(26), under=True), Layer(1, "clip", Fraction(26)),
              Layer(1, "generator", Fraction(26), under=True))  # fmt: skip
    aim = Aim(0.0, 0, layers, Latent(key="w.b"))
    assert source._key_of(aim, layers[1]) is not None and source._key_of(aim, layers[3]) is None


def test_the_overlay_says_how_two_sources_are_mixed(small_screen: Offscreen) -> None:
    show = mixed_show(0.25)
    parts = playloop.Parts(show=show, clock=ManualClock(), screen=small_screen, compositor=None, projector=None,  # type: ignore[arg-type]
                           inference=None, report=Report(show, dict))  # type: ignore[arg-type]
    lines = playloop.overlay(replace(first_state(show), overlay=True), parts)
    assert "source clip 0.25 over generator" in lines[1]
