"""Step printing: frames held and smeared, the figure moving on over them; the same whatever way a frame is come to."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from player.show.cut_list import CutList, Shot
from player.show.film import Film
from player.show.parameter import find
from player.show.score import Score, ScoreShot
from player.show.show import Look, Show
from player.sources.aim import Aim, Layer, aim_at
from player.sources.figure_masks import FigureMasks
from player.sources.frame import Frame, Held
from player.sources.hole_fill import filled
from player.sources.step_print import CODED, LINEAR, StepPrinted
from player.state import Command, advance, first_state
from tests.drawn import linear
from tests.styled_shows import Drawn

RATE, FRAMES, SIZE = Fraction(24), 48, (32, 24)
SHOTS = (Shot(1, 0, 20), Shot(2, 20, 48))
CUTS = CutList("step", RATE, FRAMES, SHOTS)
WIDE = 6  # pixels of the figure
Draw = Callable[[int], np.ndarray]


def moving(frame: int) -> np.ndarray:
    """A ground that brightens by 4 a frame, and a white figure that walks a pixel a frame."""
    value = np.full((*SIZE[::-1], 3), 20 + 4 * (frame % 24), np.uint8)
    value[:, frame % 24 : frame % 24 + WIDE] = 255
    return value


class Counted(Drawn):
    """`moving`, where nothing else is said."""

    def __init__(self, name: str = "film", draw: Draw = moving) -> None:
        super().__init__(name, draw)


def step_show(step: int = 4, smear: float = 0.0, masks: Path | None = None, **more: Any) -> Show:
    looks = {"step": Look("step", {"step_print": float(step), "smear": smear})}
    rows = tuple(ScoreShot(s.number, source="film") for s in SHOTS)
    settings: dict[str, Any] = {"look": "step", "looks": looks, "score": Score(rows), "mask": masks, **more}
    return Show("step", Path("step.toml"), Film(RATE, FRAMES, *SIZE), CUTS, "film", **settings)


def printed(show: Show, source: Counted | None = None) -> StepPrinted:
    made = StepPrinted(source or Counted(), show, FigureMasks(show))
    made.open()
    return made


def frame_at(source: StepPrinted, show: Show, frame: float, *commands: Command) -> Frame:
    state = advance(first_state(show), commands, frame / 24, show)
    aim = aim_at(state, frame / 24, show)
    return source.make(aim, aim.layers[0])


def masks_in(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    for frame in range(FRAMES):
        mask = np.zeros(SIZE[::-1], np.uint8)
        mask[:, frame % 24 : frame % 24 + WIDE] = 255
        Image.fromarray(mask).save(folder / f"{frame:06d}.png")
    return folder


def test_without_smear_each_nth_frame_of_a_shot_stays_and_only_it_is_made() -> None:
    show, source = step_show(4), Counted()
    made = printed(show, source)
    for frame in range(14, 30):
        start = 0 if frame < 20 else 20
        held = start + (frame - start) // 4 * 4
        assert np.array_equal(frame_at(made, show, frame).pixels, moving(held)), frame
    assert source.asked == [12, 16, 20, 24, 28]


@pytest.mark.parametrize("off", [0, 1])
def test_0_and_1_hold_nothing_and_add_nothing(off: int) -> None:
    show, source = step_show(off), Counted()
    made = printed(show, source)
    frame = frame_at(made, show, 7)
    assert np.array_equal(frame.pixels, moving(7)) and not frame.held
    assert aim_at(first_state(show), 0.5, show).layers[0] == Layer(1, "film", Fraction(12))


def test_smear_is_the_mean_light_of_the_frames_since_the_one_held_before() -> None:
    show = step_show(4, 1.0)
    made = printed(show)
    light = np.mean([linear(moving(f)) for f in (5, 6, 7, 8)], axis=0)
    got = linear(frame_at(made, show, 10).pixels)
    assert np.abs(got - light).max() < 0.006
    half = step_show(4, 0.5)
    light = (sum(0.5 * linear(moving(f)) for f in (5, 6, 7)) + linear(moving(8))) / 2.5
    assert np.abs(linear(frame_at(printed(half), half, 8).pixels) - light).max() < 0.006


def test_light_comes_back_from_its_table_as_it_was() -> None:
    every = np.arange(256, dtype=np.uint8)
    assert np.array_equal(CODED[LINEAR[every]], every)


def test_the_figure_keeps_its_motion_over_a_ground_that_it_is_not_in(tmp_path: Path) -> None:
    show = step_show(6, 0.3, masks_in(tmp_path / "masks"))
    made = printed(show)
    for frame in range(6, 20):
        pixels, at = frame_at(made, show, frame).pixels, frame % 24
        assert (pixels[:, at : at + WIDE] == 255).all(), "the figure of this very frame"
        ground = np.delete(pixels, np.s_[at : at + WIDE], axis=1)
        held = frame // 6 * 6
        assert ground.max() <= 20 + 4 * held, "none of the figure where it was; it is white"
        assert ground.min() >= 20 + 4 * (held - 5)


def test_what_is_never_uncovered_is_filled_from_around_it() -> None:
    picture = np.full((40, 50, 3), 200, np.uint8)
    picture[:, 25:] = (10, 100, 30)
    hole = np.zeros((40, 50), bool)
    hole[5:39, 8:44] = True
    picture[hole] = 255
    made = filled(picture, hole)
    assert np.array_equal(made[~hole], picture[~hole])
    assert np.abs(made[20, 10].astype(int) - 200).max() <= 8 and np.abs(made[20, 42].astype(int) - (10, 100, 30)).max() <= 8
    assert filled(picture, ~np.zeros_like(hole)) is picture and filled(picture, np.zeros_like(hole)) is picture


def test_a_frame_is_the_same_played_on_to_and_sought_and_each_is_made_once(tmp_path: Path) -> None:
    show, source = step_show(5, 0.7, masks_in(tmp_path / "masks")), Counted()
    playing = printed(show, source)
    for frame in range(20, 48):
        here = frame_at(playing, show, frame).pixels
        assert np.array_equal(here, frame_at(printed(show), show, frame).pixels), frame
    assert source.asked == list(range(20, 48)), "no frame twice"
    assert len(playing._sums) <= 4 and len(playing._grounds) <= 4


def test_live_what_was_skipped_is_left_out_and_not_made() -> None:
    show, source = step_show(4, 1.0), Counted()
    made, state = printed(show, source), advance(first_state(show), [], 9 / 24, show)
    aim = replace(aim_at(state, 9 / 24, show), live=True)
    frame = made.make(aim, aim.layers[0])
    assert source.asked == [9, 8] and np.array_equal(frame.pixels, moving(8))


def test_a_hand_prints_any_shot_and_a_held_generator_picture_is_not_blended() -> None:
    show = step_show(0)
    made = printed(show, Counted("generator"))
    commands = (Command("/cineml/look/step_print", 6), Command("/cineml/look/smear", 0.0, 0.0))
    frame = frame_at(made, show, 10.5, *commands)
    assert np.array_equal(frame.pixels, moving(6)) and frame.held and not frame.blends and frame.film_position == 10.5
    p = find("/cineml/look/step_print")
    assert p is not None and p.kind == "int"


def test_the_shots_own_look_prints_each_side_of_a_dissolve() -> None:
    looks = {"step": Look("step", {"step_print": 4.0}), "plain": Look("plain")}
    cuts = CutList("step", RATE, FRAMES, (Shot(1, 0, 20), Shot(2, 20, 48, "dissolve", 8)))
    score = Score((ScoreShot(1, source="film", look="step"), ScoreShot(2, source="film", look="plain")))
    show = Show("step", Path("s.toml"), Film(RATE, FRAMES, *SIZE), cuts, "film", score=score, looks=looks)
    layers = aim_at(advance(first_state(show), [], 22 / 24, show), 22 / 24, show).layers
    assert [(layer.shot, layer.step) for layer in layers] == [(2, 0), (1, 4)]


def test_a_source_that_holds_a_frame_is_printed_and_told() -> None:
    class Holding(Counted):
        def make(self, aim: Aim, layer: Layer) -> Frame:
            raise Held(super().make(aim, layer), "a frame is missing")

    show = step_show(4, 1.0)
    with pytest.raises(Held, match="missing") as held:
        frame_at(printed(show, Holding()), show, 4)
    assert held.value.frame.held


def test_pictures_of_another_size_begin_a_new_sum_and_never_fail() -> None:
    def growing(frame: int) -> np.ndarray:
        return moving(frame) if frame < 30 else np.repeat(moving(frame), 2, axis=1)

    def bright_before(frame: int) -> np.ndarray:
        return growing(frame) if frame >= 30 else np.full_like(growing(frame), 255)

    show = step_show(4, 1.0)
    grown, bright = (printed(show, Counted(draw=draw)) for draw in (growing, bright_before))
    for frame in range(24, 40):
        here, other = (frame_at(made, show, frame).pixels for made in (grown, bright))
        assert here.shape == (SIZE[1], SIZE[0] * (1 if frame < 32 else 2), 3)
        assert np.array_equal(here, other) == (frame >= 32), "nothing of the smaller pictures is left in the sum"


def test_moving_the_smear_by_hand_never_drops_it() -> None:
    """Live, where what is skipped is not made: each frame on the way is smeared as far as the fader is up."""
    show = step_show(4, 0.0)
    made, state = printed(show), advance(first_state(show), [Command("/cineml/look/smear", 0.2, 0.0)], 0.0, show)
    for frame in range(20):
        fader = 0.2 + 0.04 * frame
        state = advance(state, [Command("/cineml/look/smear", fader, 0.0)], frame / 24, show)
        aim = replace(aim_at(state, frame / 24, show), live=True)
        got, held = linear(made.make(aim, aim.layers[0]).pixels), frame // 4 * 4
        lights = [linear(moving(f)) for f in range(max(held - 3, 0), held + 1)]
        light = (sum(fader * light for light in lights[:-1]) + lights[-1]) / (1 + fader * (len(lights) - 1))
        assert np.abs(got - light).max() < 0.006, frame


def test_both_sources_of_a_shot_share_what_is_printed() -> None:
    show, source = step_show(4, 1.0), Counted()
    made, layer = printed(show, source), Layer(1, "film", Fraction(8), step=4, smear=1.0)
    aim = Aim(0.0, 0, (layer, replace(layer, under=True)), aim_at(first_state(show), 0.0, show).latent)
    first, second = (made.make(aim, one) for one in aim.layers)
    assert source.asked.count(5) == 1 and first.pixels is second.pixels


@pytest.mark.parametrize("smear", [0.0, 0.6])
def test_a_camera_is_printed_anew_in_every_loop_and_goes_on_while_the_film_stands(smear: float) -> None:
    """Held by the show's clock: a loop of few held frames brings none of the loop before back."""
    count = itertools.count()
    camera = Counted("camera", lambda frame: np.full((*SIZE[::-1], 3), next(count) % 250, np.uint8))
    show = replace(step_show(12, smear), cuts=CutList("step", RATE, FRAMES, (Shot(1, 0, FRAMES),)), source="camera", score=None)
    made, state = printed(show, camera), first_state(show)
    seen: list[np.ndarray] = []
    for frame in range(3 * FRAMES):
        asked = [Command("/cineml/transport/pause")] if frame == 2 * FRAMES else []
        state = advance(state, asked, frame / 24, show)
        aim = aim_at(state, frame / 24, show)
        seen.append(made.make(aim, aim.layers[0]).pixels)
    assert all(np.array_equal(seen[f], seen[f - 1]) == bool(f % 12) for f in range(1, len(seen))), "each for 12 frames"
    assert len({int(pixels[0, 0, 0]) for pixels in seen}) == 12
    if smear:
        before = [linear(np.full((1, 1, 3), v, np.uint8)) for v in range(25, 37)]  # one picture a frame of the show
        light = (sum(0.6 * v for v in before[:-1]) + before[-1]) / (1 + 0.6 * 11)
        assert linear(seen[36])[0, 0, 0] == pytest.approx(float(light[0, 0, 0]), abs=0.006)


def test_what_a_held_frame_stands_in_for_is_told_without_smear_too() -> None:
    class Holding(Counted):
        def make(self, aim: Aim, layer: Layer) -> Frame:
            raise Held(super().make(aim, layer), "a frame is missing")

    show = step_show(4)
    made = printed(show, Holding())
    for frame in (4, 5):
        with pytest.raises(Held, match="missing"):
            frame_at(made, show, frame)


def test_a_thread_that_was_given_up_on_keeps_the_source_to_itself_and_open() -> None:
    gate, inside, closed = threading.Event(), threading.Event(), []

    class Slow(Counted):
        def make(self, aim: Aim, layer: Layer) -> Frame:
            inside.set()
            assert gate.wait(30)
            return super().make(aim, layer)

        def close(self) -> None:
            closed.append(True)

    show = step_show(0)
    made = printed(show, Slow())
    thread = threading.Thread(target=frame_at, args=(made, show, 3))
    thread.start()
    assert inside.wait(30)
    with pytest.raises(RuntimeError, match="is still at a picture that was given up on"):
        frame_at(made, show, 4)
    made.close()
    assert not closed
    gate.set()
    thread.join()
    assert np.array_equal(frame_at(made, show, 6).pixels, moving(6))
    made.close()
    assert closed
