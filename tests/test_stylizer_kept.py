"""The stylizer's arithmetic and memory: what smoothing weighs, what a kept picture is known by, edges of masks."""

from __future__ import annotations

import itertools
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from player.show.cut_list import CutList, Shot
from player.show.score import ScoreShot
from player.show.show import Show, Stylizer
from player.sources.aim import Aim, Layer, aim_at
from player.sources.figure_masks import FigureMasks
from player.sources.frame import Frame
from player.sources.step_print import StepPrinted
from player.sources.stylizer import STILL_LEVELS, StylizerSource, _Made, smoothed
from player.state import Command, Latent, advance, first_state
from tests.numbered_film import FRAMES, RATE, SIZE
from tests.styled_shows import Drawn, opened, picture, styled_show
from tests.tiny_stylizer import write_tiny_stylizer


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_stylizer(tmp_path_factory.mktemp("stylizer") / "tiny.onnx")


def flat(value: int) -> np.ndarray:
    return np.full((*SIZE[::-1], 3), value, np.uint8)


# --- smoothing


@pytest.mark.parametrize("amount", [0.25, 0.5, 0.8, 1.0])
@pytest.mark.parametrize("k", [1, 2, 3])
def test_frame_k_before_weighs_the_kth_power_of_the_amount(amount: float, k: int) -> None:
    made = [_Made(flat(240 if i == k else 0), flat(90), flat(90), True, False, "", 0.0) for i in range(4)]
    share = amount**k / sum(amount**i for i in range(4))
    assert np.abs(smoothed(made, amount).astype(float) - 240 * share).max() <= 1.5  # in 256ths


@pytest.mark.parametrize("change", [0, 3, 7, 12])
def test_a_frame_before_counts_as_far_as_the_film_stood_still(change: int) -> None:
    made = [_Made(flat(0), flat(90), flat(90), True, False, "", 0.0),
            _Made(flat(240), flat(90 + change), flat(90), True, False, "", 0.0)]  # fmt: skip
    weight = 0.5 * np.exp(-((change / STILL_LEVELS) ** 2))
    assert np.abs(smoothed(made, 0.5).astype(float) - 240 * weight / (1 + weight)).max() <= 1.5


def test_in_a_dissolve_the_shot_that_is_not_smoothed_leaves_the_other_its_window(model: Path) -> None:
    rows = (*(ScoreShot(n, source="stylizer", smooth=2.0 - n) for n in (1, 2)), ScoreShot(3, source="black"))
    show, base = styled_show(model, *rows), Drawn()
    source = opened(show, base)
    for frame in range(20, 32):
        state = advance(first_state(show), [], (frame + 0.25) / 24, show)
        for layer in (aim := aim_at(state, (frame + 0.25) / 24, show)).layers:
            source.make(aim, layer)
    assert len(base.asked) == len(set(base.asked)), "no frame is made twice"


def test_a_camera_is_smoothed_by_what_was_seen_lately_and_by_nothing_older(model: Path) -> None:
    values = itertools.count(100, 3)
    show = styled_show(model, stylizer=Stylizer(model, over="camera", smooth=1.0))
    source = opened(show, Drawn("camera", lambda frame: flat(next(values))))

    def at(show_time_s: float, shot: int = 1) -> float:
        layer = Layer(shot, "stylizer", Fraction(3))
        return float(source.make(Aim(show_time_s, 0, (layer,), Latent()), layer).pixels.mean())

    assert at(0.0) == 155 and at(0.1) == 153, "between 155 and its own 152"
    assert at(0.15, shot=3) == 149, "after a cut"
    assert at(60.0) == 146, "a minute later, as when the loop comes round"


# --- what is kept, and under what it is known


class ByLayer(Drawn):
    """Draws all that a layer and an aim say of a picture; each its own grey."""

    def make(self, aim: Aim, layer: Layer) -> Frame:
        frame = super().make(aim, layer)
        value = 10 + layer.shot + 10 * layer.step + 5 * round(4 * layer.smear) + 40 * round(2 * aim.latent.truncation)
        return replace(frame, pixels=flat(value))


def aimed(source: StylizerSource, show: Show, *commands: Command) -> np.ndarray:
    """Film frame 7 as the play loop asks for it."""
    state = advance(first_state(show), commands, 7.25 / 24, show)
    aim = aim_at(state, 7.25 / 24, show)
    return source.make(aim, aim.layers[0]).pixels


@pytest.mark.parametrize(("over", "command"), [
    ("generator", Command("/cineml/latent/truncation", 0.5, 0.0)), ("film", Command("/cineml/look/step_print", 4)),
    ("clip", Command("/cineml/look/step_print", 2)), ("generator", Command("/cineml/look/step_print", 3))])
def test_a_kept_picture_is_never_shown_for_another_latent_or_step(model: Path, over: str, command: Command) -> None:
    show = styled_show(model, *(ScoreShot(n, source="stylizer", over=over) for n in (1, 2, 3)))
    source = opened(show, ByLayer(over))
    before, after = aimed(source, show), aimed(source, show, command)
    assert not np.array_equal(before, after)
    assert np.array_equal(after, aimed(opened(show, ByLayer(over)), show, command))
    assert np.array_equal(before, aimed(source, show))


def test_a_kept_picture_is_never_shown_for_another_smear(model: Path) -> None:
    show = styled_show(model)
    source, step = opened(show, ByLayer()), Command("/cineml/look/step_print", 4)
    made = [aimed(source, show, step, Command("/cineml/look/smear", smear, 0.0)) for smear in (0.0, 0.5, 1.0)]
    assert not np.array_equal(made[0], made[1]) and not np.array_equal(made[1], made[2])


@pytest.mark.parametrize(("over", "step"), [("generator", 0), ("clip", 0), ("film", 4)])
def test_in_a_dissolve_each_shot_has_its_own_picture_where_they_differ(model: Path, over: str, step: int) -> None:
    show = styled_show(model, *(ScoreShot(n, source="stylizer", over=over) for n in (1, 2, 3)))
    source = opened(show, ByLayer(over))
    commands = [Command("/cineml/look/step_print", step)] if step else []
    state = advance(first_state(show), commands, 26.25 / 24, show)
    aim = aim_at(state, 26.25 / 24, show)
    made = [source.make(aim, layer) for layer in aim.layers]
    assert [f.shot for f in made] == [2, 1]
    assert [int(255 - f.pixels[0, 0, 0]) - 90 - 10 * step for f in made] == [2, 1]


def test_what_is_kept_is_of_one_epoch(model: Path) -> None:
    """A seek makes all anew: a clip's frame that was held since its file was missing, a network that had hung."""
    show, base = styled_show(model), Drawn()
    source = opened(show, base)
    for epoch, times in ((0, 1), (0, 1), (1, 2), (1, 2)):
        layer = Layer(1, "stylizer", Fraction(5))
        source.make(Aim(0.0, epoch, (layer,), Latent()), layer)
        assert base.asked == [5] * times


def printed(show: Show) -> tuple[StylizerSource, list[int]]:
    """The stylizer over a drawn film that is step printed, and how often its network has painted."""
    below = StepPrinted(Drawn(), show, FigureMasks(show))
    below.open()
    source, times = opened(show, below), [0]
    assert source._model is not None
    plain = source._model.stylised

    def counted(*given: np.ndarray) -> np.ndarray:
        times[0] += 1
        return plain(*given)

    source._model.stylised = counted  # type: ignore[method-assign, assignment]
    return source, times


@pytest.mark.parametrize("smear", [0.0, 0.6])
@pytest.mark.parametrize("figure", [False, True])
def test_a_printed_frame_is_painted_once_while_it_is_held_unless_a_figure_moves_over_it(
        model: Path, tmp_path: Path, smear: float, figure: bool) -> None:  # fmt: skip
    show = styled_show(model, mask=soft_masks(tmp_path / "masks") if figure else None)

    def at(source: StylizerSource, number: int, epoch: int = 0) -> np.ndarray:
        layer = Layer(1, "stylizer", Fraction(number), step=4, smear=smear)
        return source.make(Aim(number / 24, epoch, (layer,), Latent()), layer).pixels

    source, times = printed(show)
    made = [at(source, number) for number in range(12)]
    assert times == [12 if figure else 3]
    for number in (5, 11):
        assert np.array_equal(made[number], at(printed(show)[0], number))
    assert at(source, 11, epoch=1) is not None and times == [13 if figure else 4], "a seek makes all anew"


# --- edges


def soft_masks(folder: Path, size: tuple[int, int] = SIZE) -> Path:
    """A ramp from no figure at the left to the whole at the right."""
    folder.mkdir()
    ramp = np.tile(np.linspace(0, 255, size[0]).astype(np.uint8), (size[1], 1))
    for frame in range(FRAMES):
        Image.fromarray(ramp).save(folder / f"{frame:06d}.png")
    return folder


def test_a_soft_edge_of_a_mask_is_soft_in_the_stylised_picture(model: Path, tmp_path: Path) -> None:
    show = styled_show(model, ScoreShot(1, source="stylizer"), masks={1: soft_masks(tmp_path / "masks")})
    source = StylizerSource(show, {"film": Drawn(draw=lambda frame: flat(40))}, FigureMasks(show), threads=1)
    source.open()
    ramp = np.linspace(0, 255, SIZE[0]).astype(int) / 255
    wanted = 40 + (215 - 40) * ramp
    assert np.abs(picture(source, show, 7)[20, :, 0] - wanted).max() <= 1.5


def test_a_small_masks_edge_is_drawn_smooth_at_the_pictures_size(model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    small = np.zeros((SIZE[1] // 8, SIZE[0] // 8), np.uint8)
    small[:, 4:] = 255
    for frame in range(24):
        Image.fromarray(small).convert("1").save(folder / f"{frame:06d}.png")
    show = styled_show(model, ScoreShot(1, source="stylizer"), masks={1: folder})
    masks = FigureMasks(show)
    masks.open()
    made, why = masks.fitted(1, 5, SIZE[::-1], (0.0, 0.0, float(SIZE[0]), float(SIZE[1])))
    assert not why and made.shape == SIZE[::-1] and {0, 255} < set(made.ravel().tolist())
    across = made[20].astype(int)
    assert (np.diff(across) >= 0).all() and np.diff(across).max() <= 48, "no steps of 8 pixels"


def test_a_figures_soft_edge_leaves_no_outline_in_the_ground_that_is_held(tmp_path: Path) -> None:
    """Where the mask is part figure, the film is too, and the pixel beside it may be."""
    folder, wide = tmp_path / "masks", 8
    folder.mkdir()

    def cover(frame: int) -> np.ndarray:
        across = np.abs(np.arange(SIZE[0]) - (12 + 2 * (frame % 16)))
        return np.clip((wide - across) / 3, 0, 1)  # three pixels of edge to each side

    for frame in range(FRAMES):
        Image.fromarray(np.tile((255 * cover(frame)).astype(np.uint8), (SIZE[1], 1))).save(folder / f"{frame:06d}.png")
    cuts = CutList("soft", RATE, FRAMES, (Shot(1, 0, FRAMES),))
    show = styled_show(Path("x"), cuts=cuts, source="film", mask=folder)
    drawn = Drawn(draw=lambda frame: np.tile((40 + 200 * cover(frame)).astype(np.uint8)[None, :, None], (SIZE[1], 1, 3)))
    source = StepPrinted(drawn, show, FigureMasks(show))
    source.open()
    for frame in (9, 13):
        layer = Layer(1, "film", Fraction(frame), step=6, smear=0.5)
        made = source.make(Aim(0.0, 0, (layer,), Latent()), layer).pixels[0, :, 0].astype(int)
        away = np.abs(np.arange(SIZE[0]) - (12 + 2 * (frame % 16))) > wide
        assert np.abs(made[away] - 40).max() <= 4, frame
        assert np.abs(made[~away] - drawn.draw(frame)[0, ~away, 0].astype(int)).max() <= 60


def test_a_pixel_that_is_mostly_figure_is_none_of_the_ground(tmp_path: Path) -> None:
    folder, mask, drawing = tmp_path / "masks", np.zeros(SIZE[::-1], np.uint8), flat(40)
    folder.mkdir()
    mask[16:32, 24:40], drawing[16:32, 24:40] = 200, 240
    for frame in range(24):
        Image.fromarray(mask).save(folder / f"{frame:06d}.png")
    show = styled_show(Path("x"), source="film", mask=folder)
    source = StepPrinted(Drawn(draw=lambda frame: drawing), show, FigureMasks(show))
    source.open()
    layer = Layer(1, "film", Fraction(8), step=4)
    made = source.make(Aim(0.0, 0, (layer,), Latent()), layer).pixels[20:28, 28:36].astype(float)
    assert np.abs(made - (240 * 201 + 40 * 55) / 256).max() <= 4, "over what is around it"
