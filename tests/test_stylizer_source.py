"""The stylizer as a source: styles by film time and by hand, masks, smoothing, what it is played over."""

from __future__ import annotations

import logging
import shutil
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from player import playloop
from player.control.parameters import told_values
from player.show.cut_list import CutList, Shot
from player.show.score import ScoreShot
from player.show.show import Show, Stylizer
from player.show.styling import played, styling_from
from player.sources.aim import Aim, Layer, aim_at
from player.sources.byte_mix import laid_over
from player.sources.figure_masks import FigureMasks
from player.sources.frame import Frame, Held
from player.sources.stylizer import fitted
from player.sources.stylizer_model import StylizerModel, styles_of
from player.state import Command, advance, first_state
from tests.numbered_film import SIZE, numbered
from tests.styled_shows import BLEND, Drawn, mask_folder, opened, picture, styled_show
from tests.tiny_stylizer import STYLES, tiny, write_tiny_stylizer
from tools.keyframes_frames import faded


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_stylizer(tmp_path_factory.mktemp("stylizer") / "tiny.onnx")


# --- black and fades


def test_what_nothing_can_be_seen_in_stays_as_it_is(model: Path) -> None:
    black, dim = np.zeros((SIZE[1], SIZE[0], 3), np.uint8), np.full((SIZE[1], SIZE[0], 3), 19, np.uint8)
    show = styled_show(model)
    assert np.array_equal(picture(opened(show, Drawn(draw=lambda _: black)), show, 5), black), "and no white of a negative"
    made = picture(opened(show, Drawn(draw=lambda _: dim)), show, 5)
    assert 19 < made.mean() < 236, "painted as far as it can be seen"


def test_a_fade_of_the_film_is_taken_off_and_drawn_over_the_strokes(model: Path) -> None:
    cuts = CutList("numbered.mp4", Fraction(24), 72, (Shot(1, 0, 72, out="fade", out_frames=8, out_colour="black"),))
    show = styled_show(model, cuts=cuts)
    source = opened(show, Drawn(draw=lambda n: faded(numbered(n), cuts.mix_at(n).fade, "black")))
    for frame, transitions in ((40, True), (65, False), (67, False)):
        state = advance(first_state(show), (), frame / 24, show)
        made = source.make(aim_at(state, frame / 24, show), Layer(1, "stylizer", Fraction(frame)))
        assert np.abs(made.pixels.astype(int) - tiny(numbered(frame), negative=1)).max() <= 4, frame
        assert made.has_transitions is transitions


@pytest.mark.parametrize("by", ["a frame that is missing", "step printing"])
def test_a_frame_that_is_held_in_a_fade_keeps_its_own(model: Path, by: str) -> None:
    """Its fade is another frame's, so that of this one can neither be taken off nor drawn over it."""
    cuts = CutList("numbered.mp4", Fraction(24), 72, (Shot(1, 0, 72, out="fade", out_frames=8, out_colour="black"),))
    show, seen = styled_show(model, cuts=cuts), faded(numbered(64), cuts.mix_at(64).fade, "black")

    class Holding(Drawn):
        def make(self, aim: Aim, layer: Layer) -> Frame:
            frame = super().make(aim, layer)
            if layer.step:
                return frame
            raise Held(frame, "frame 68 is missing")

    source = opened(show, Holding(draw=lambda _: seen))
    aim = aim_at(advance(first_state(show), (), 68 / 24, show), 68 / 24, show)
    if by == "step printing":
        made = source.make(aim, Layer(1, "stylizer", Fraction(68), step=12))
    else:
        with pytest.raises(Held, match="frame 68") as held:
            source.make(aim, Layer(1, "stylizer", Fraction(68)))
        made = held.value.frame
    assert made.has_transitions and np.array_equal(made.pixels, tiny(seen, negative=1))


# --- styles


def test_without_a_score_the_first_style_is_played_on_the_films_own_frames(model: Path) -> None:
    show = styled_show(model)
    source = opened(show)
    for frame in (0, 23, 24, 71):
        assert np.array_equal(picture(source, show, frame), tiny(numbered(frame), negative=1))
    between = picture(source, show, Fraction(41, 2))
    assert np.array_equal(between, tiny(numbered(20), negative=1)), "and between two by the earlier"


def test_key_points_go_along_straight_lines_and_are_held_outside(model: Path) -> None:
    show = styled_show(model, *(ScoreShot(n, source="stylizer", style=BLEND) for n in (1, 2, 3)))
    source = opened(show)
    for frame, dim in ((3, 0.0), (24, 0.0), (28, 0.25), (39, 15 / 16), (40, 1.0), (70, 1.0)):
        made = picture(source, show, frame).astype(int)
        assert np.abs(made - tiny(numbered(frame), negative=1 - dim, dim=dim)).max() <= 1, frame


def test_weights_are_shares_and_a_hand_sets_moves_and_releases_them(model: Path) -> None:
    style = styling_from({"negative": 3, "dim": 1})
    show = styled_show(model, *(ScoreShot(n, source="stylizer", style=style) for n in (1, 2, 3)))
    source, weight, offset = opened(show), "/cineml/style/{}/weight", "/cineml/style/{}/offset"

    def near(frame: int, commands: tuple[Command, ...], **weights: float) -> None:
        made = picture(source, show, frame, *commands).astype(int)
        assert np.abs(made - tiny(numbered(frame), **weights)).max() <= 1

    near(5, (), negative=0.75, dim=0.25)
    near(5, (Command(weight.format("white"), 1.0, 0.0),), negative=0.75, dim=0.25, white=1)
    near(5, (Command(weight.format("negative"), 0.0, 0.0),), dim=1)
    near(5, (Command(offset.format("dim"), 0.5, 0.0),), negative=0.75, dim=0.75)
    near(5, (Command(offset.format("dim"), -1.0, 0.0),), negative=1)
    near(5, (Command(weight.format("dim"), 1.0, 0.0), Command("/cineml/style/release")), negative=0.75, dim=0.25)
    nothing = tuple(Command(weight.format(name), 0.0, 0.0) for name in STYLES)
    near(5, nothing, negative=0.75, dim=0.25)
    assert played({"a": 1.0}, first_state(show).hand) == {"a": 1.0}


def test_a_weight_glides_from_what_the_score_plays(model: Path) -> None:
    show = styled_show(model, *(ScoreShot(n, source="stylizer", style=BLEND) for n in (1, 2, 3)))
    state = advance(first_state(show), [Command("/cineml/style/negative/weight", 0.0, 1.0)], 32 / 24, show)
    told = dict(told_values(state))
    assert told["/cineml/style/negative/weight"] == pytest.approx(0.5) and told["/cineml/style/white/weight"] == 0.0
    later = dict(told_values(advance(state, [], 32 / 24 + 0.5, show)))
    assert later["/cineml/style/negative/weight"] == pytest.approx(0.25)
    assert later["/cineml/style/negative/offset"] == 0.0


def test_a_fader_makes_a_paused_picture_anew_and_costs_other_sources_nothing(model: Path) -> None:
    show = styled_show(model)
    paused = advance(first_state(show), [Command("/cineml/transport/pause")], 0.5, show)
    moved = advance(paused, [Command("/cineml/style/dim/weight", 1.0, 0.0)], 0.6, show)
    assert not aim_at(moved, 0.6, show).same_picture(aim_at(paused, 0.6, show))
    plain = replace(show, source="film")
    moved = advance(first_state(plain), [Command("/cineml/style/dim/weight", 1.0, 0.0)], 0.6, plain)
    assert aim_at(moved, 0.6, plain).hands == aim_at(first_state(plain), 0.6, plain).hands


def test_weight_offset_and_what_is_played_are_told_each_by_itself(model: Path) -> None:
    """So a desk that sends back what it was told changes nothing."""
    style = styling_from({"negative": 3, "dim": 1})
    show = styled_show(model, *(ScoreShot(n, source="stylizer", style=style) for n in (1, 2, 3)))
    state = advance(first_state(show), [Command("/cineml/style/dim/offset", 0.5, 0.0)], 0.5, show)

    def told(of: str) -> list[float]:
        return [float(dict(told_values(state))[f"/cineml/style/{name}/{of}"]) for name in STYLES]  # type: ignore[arg-type]

    assert told("weight") == [0.75, 0.25, 0.0] and told("offset") == [0.0, 0.5, 0.0] and told("share") == [0.5, 0.5, 0.0]
    before = picture(opened(show), show, 5, Command("/cineml/style/dim/offset", 0.5, 0.0))
    back = [Command(f"/cineml/style/{n}/weight", w, 0.0) for n, w in zip(STYLES, told("weight"), strict=True)]
    state = advance(state, back, 0.6, show)
    assert told("weight") == [0.75, 0.25, 0.0] and told("share") == [0.5, 0.5, 0.0]
    assert np.array_equal(before, picture(opened(show), show, 5, Command("/cineml/style/dim/offset", 0.5, 0.0), *back))
    state = advance(state, [Command(f"/cineml/style/{name}/weight", 0.0, 0.0) for name in STYLES]
                    + [Command("/cineml/style/dim/offset", 0.0, 0.0)], 0.7, show)  # fmt: skip
    assert told("weight") == [0.0, 0.0, 0.0] and told("share") == [0.75, 0.25, 0.0], "nothing left to blend: the score's own"


def test_a_hand_mixes_a_stylised_shot_with_what_it_is_painted_over(model: Path) -> None:
    """Without a second source in the score too, and with the score's where there is one."""
    rows = (ScoreShot(1, source="stylizer"), ScoreShot(2, source="stylizer", over="clip", clip="c"),
            ScoreShot(3, source="stylizer", under="black", mix=0.8))  # fmt: skip
    show = styled_show(model, *rows)
    for frame, under, own in ((5, "film", 1.0), (40, "clip", 1.0), (60, "black", 0.8)):
        state = advance(first_state(show), [Command("/cineml/source/mix_offset", -0.25, 0.0)], (frame + 0.5) / 24, show)
        assert state.source_mix == pytest.approx(own - 0.25)
        assert dict(told_values(state))["/cineml/source/mix"] == pytest.approx(own - 0.25)
        aim = aim_at(state, (frame + 0.5) / 24, show)
        assert [(layer.source, layer.under) for layer in aim.layers] == [("stylizer", False), (under, True)]
        assert f"stylizer {own - 0.25:.2f} over {under}" in playloop._playing(state, show)
        plain = advance(first_state(show), [], (frame + 0.5) / 24, show)
        assert len(aim_at(plain, (frame + 0.5) / 24, show).layers) == (2 if own < 1 else 1), "it costs nothing until then"


def test_the_overlay_names_the_styles_that_are_played(model: Path) -> None:
    show = styled_show(model, *(ScoreShot(n, source="stylizer", style=BLEND, under="film", mix=0.5) for n in (1, 2, 3)))
    state = replace(advance(first_state(show), [], 32 / 24, show), overlay=True)
    assert playloop._playing(state, show) == "stylizer 0.50 over film (negative 0.50, dim 0.50)"


def test_both_shots_of_a_dissolve_share_a_picture_of_one_style(model: Path) -> None:
    show = styled_show(model)
    source = opened(show)
    state = advance(first_state(show), [], 26 / 24, show)
    aim = aim_at(state, 26 / 24, show)
    made = [source.make(aim, layer) for layer in aim.layers]
    assert [f.shot for f in made] == [2, 1] and made[0].pixels is made[1].pixels and made[0].has_transitions


# --- what it is played over, and the size of its pictures


def test_it_is_played_over_any_source_at_the_networks_size(tmp_path: Path, model: Path) -> None:
    small = write_tiny_stylizer(tmp_path / "small.onnx", size=(32, 24))
    for path, over, size in ((small, "film", (32, 24)), (model, "generator", SIZE), (small, "clip", (32, 24))):
        show = styled_show(path, *(ScoreShot(n, source="stylizer", over=over) for n in (1, 2, 3)))
        made = picture(opened(show, Drawn(over)), show, 7)
        assert made.shape == (size[1], size[0], 3)
        assert made[-1, -1].tolist() == tiny(numbered(7), negative=1)[-1, -1].tolist()


def test_the_films_part_of_a_padded_picture_is_what_is_stylised(model: Path) -> None:
    class Padded(Drawn):
        def make(self, aim: Aim, layer: Layer) -> Frame:
            frame = super().make(aim, layer)
            whole = np.full((80, 80, 3), 255, np.uint8)
            whole[8:56, 10:74] = frame.pixels
            return replace(frame, pixels=whole, inner=(10.0, 8.0, 64.0, 48.0))

    show = styled_show(model)
    assert np.array_equal(picture(opened(show, Padded()), show, 9), tiny(numbered(9), negative=1))


def test_nothing_of_what_is_beside_the_films_part_bleeds_in_where_it_is_resized() -> None:
    whole = np.zeros((100, 100, 3), np.uint8)
    whole[20:80] = 223
    frame = Frame(whole, 0.0, 0, 1, 0.0, "generator", (0.0, 20.0, 100.0, 60.0))
    assert (fitted(frame, (150, 90)) == 223).all() and (fitted(frame, (64, 48)) == 223).all()


def test_a_base_that_holds_a_frame_is_stylised_and_told(model: Path) -> None:
    class Holding(Drawn):
        def make(self, aim: Aim, layer: Layer) -> Frame:
            raise Held(super().make(aim, layer), "frame 3 is missing")

    show = styled_show(model)
    with pytest.raises(Held, match="frame 3 is missing") as held:
        picture(opened(show, Holding()), show, 3)
    assert np.array_equal(held.value.frame.pixels, tiny(numbered(3), negative=1))


def test_a_recurrent_network_is_played_frame_by_frame(tmp_path: Path) -> None:
    show = styled_show(write_tiny_stylizer(tmp_path / "r.onnx", recurrent=True))
    source = opened(show)
    first = picture(source, show, 8)
    picture(source, show, 50)
    assert np.array_equal(first, tiny(numbered(8), negative=1)) and np.array_equal(picture(source, show, 8), first)


def test_a_network_of_its_own_multiple_makes_pictures_near_the_films_size(tmp_path: Path) -> None:
    path = write_tiny_stylizer(tmp_path / "m.onnx", multiple=40)
    made = StylizerModel(path, film_size=(100, 75), threads=1)
    made.open()
    assert made.size == (80, 80) and made.styles == STYLES == styles_of(path)
    assert made.vector({"dim": 2.0, "white": 2.0, "other": 9.0}).tolist() == [0.0, 0.5, 0.5]
    assert made.vector({}).tolist() == [1.0, 0.0, 0.0]


# --- masks


def test_a_mask_stylises_the_figure_or_the_ground_and_a_hand_turns_it_round(model: Path, tmp_path: Path) -> None:
    masks = mask_folder(tmp_path / "masks")
    rows = (ScoreShot(1, source="stylizer"), ScoreShot(2, source="stylizer", mask_side="ground"),
            ScoreShot(3, source="stylizer", mask_side="all"))  # fmt: skip
    show = styled_show(model, *rows, masks=dict.fromkeys((1, 2, 3), masks))
    source = opened(show)
    for frame, left, right in ((7, True, False), (31, False, True), (60, True, True)):
        plain, styled, edge = numbered(frame), tiny(numbered(frame), negative=1), SIZE[0] // 2 + frame % 3
        made = picture(source, show, frame)
        assert np.array_equal(made[:, :edge], (styled if left else plain)[:, :edge]), frame
        assert np.array_equal(made[:, edge:], (styled if right else plain)[:, edge:]), frame
        whole = picture(source, show, frame, Command("/cineml/style/mask_amount", 0.0, 0.0))
        assert np.array_equal(whole, styled)
        other = picture(source, show, frame, Command("/cineml/style/mask_amount", -1.0, 0.0))
        assert np.array_equal(other[:, :edge], (styled if right else plain)[:, :edge]), "a hand takes the other side"
        assert np.array_equal(other[:, edge:], (styled if left else plain)[:, edge:])
    half = picture(source, show, 7, Command("/cineml/style/mask_amount", 0.5, 0.0))[0, -1].astype(int)
    assert np.abs(half - (numbered(7)[0, -1].astype(int) + tiny(numbered(7), negative=1)[0, -1]) / 2).max() <= 1


def test_a_film_mask_is_no_styles_mask_unless_the_show_says_so(model: Path, tmp_path: Path) -> None:
    masks = mask_folder(tmp_path / "masks")
    plain = styled_show(model, mask=masks)
    assert plain.styled(1).mask_side == "all"
    ground = styled_show(model, mask=masks, stylizer=Stylizer(model, mask_side="ground"))
    made = picture(opened(ground), ground, 6)
    assert np.array_equal(made[:, :32], numbered(6)[:, :32]) and not np.array_equal(made[:, 40:], numbered(6)[:, 40:])


def test_a_mask_that_goes_missing_gives_way_to_the_one_before_and_is_told(model: Path, tmp_path: Path) -> None:
    masks = mask_folder(tmp_path / "masks")
    show = styled_show(model, ScoreShot(1, source="stylizer"), masks={1: masks})
    source = opened(show)
    (masks / "000010.png").unlink()
    with pytest.raises(Held, match="frame 10"):
        picture(source, show, 10)


@pytest.mark.parametrize(("numbers", "says"), [
    (range(24, 40), "styled.toml: shot 2: mask 'masks' lacks 8 of the shot's 24 frames: 40 to 47: step printing holds"),
    (range(4, 40), "shot 1: mask 'masks' lacks 4 of the shot's 24 frames: 0 to 3 (and 1 more shots are like this): step"),
    (range(24, 48), "")])
def test_masks_of_a_part_of_a_shot_are_said_where_they_are_left_out(
        model: Path, tmp_path: Path, numbers: range, says: str, caplog: pytest.LogCaptureFixture) -> None:
    masks = FigureMasks(styled_show(model, mask=mask_folder(tmp_path / "masks", numbers)))
    with caplog.at_level(logging.WARNING):
        masks.open()
    assert len(caplog.messages) == bool(says) and says in "".join(caplog.messages)
    assert [masks.has(shot) for shot in (1, 2, 3)] == [False, not says, False]


def test_masks_that_are_lost_in_the_show_leave_the_film_and_never_stop_it(model: Path, tmp_path: Path) -> None:
    masks = mask_folder(tmp_path / "masks")
    show = styled_show(model, ScoreShot(2, source="stylizer"), masks={2: masks})
    source = opened(show)
    shutil.rmtree(masks)
    with pytest.raises(Held) as held:
        picture(source, show, 30)
    assert np.array_equal(held.value.frame.pixels, numbered(30)), "as where no figure is"


def test_laying_one_picture_over_another_is_exact_at_both_ends() -> None:
    top, bottom = (np.random.default_rng(s).integers(0, 256, (6, 5, 3), dtype=np.uint8) for s in (1, 2))
    mask = np.tile(np.array([0, 255, 0, 128, 64], np.uint8), (6, 1))
    made = laid_over(top, bottom, mask)
    assert np.array_equal(made[:, 0], bottom[:, 0]) and np.array_equal(made[:, 1], top[:, 1])
    assert np.abs(made[:, 3] - (top[:, 3] * 128.0 + bottom[:, 3] * 127.0) / 255).max() <= 1
    assert np.array_equal(laid_over(top, bottom, mask, 0.0), top)


# --- smoothing


def flickering(frame: int) -> np.ndarray:
    """A still grey that flickers from frame to frame, with a bright square that moves."""
    value = np.full((*SIZE[::-1], 3), 120 + int(np.random.default_rng(frame).integers(-3, 4)), np.uint8)
    value[16:32, 2 * (frame % 24) : 2 * (frame % 24) + 8] = 240
    return value


def smooth_show(model: Path, amount: float = 1.0) -> Show:
    return styled_show(model, stylizer=Stylizer(model, smooth=amount))


def test_a_smoothed_picture_is_the_same_after_a_seek_as_played_on_to(model: Path) -> None:
    show = smooth_show(model, 0.8)
    playing, base = opened(show, Drawn(draw=flickering)), Drawn(draw=flickering)
    for frame in range(20, 48):
        here = picture(playing, show, frame)
        assert np.array_equal(here, picture(opened(show, base), show, frame)), frame
    assert len(playing._made) <= 10


def test_smoothing_takes_flicker_from_what_stands_still_and_leaves_what_moves(model: Path) -> None:
    show, plain = smooth_show(model), styled_show(model)
    made = [[picture(source, s, f).astype(float) for f in range(4, 24)] for s in (show, plain)
            for source in [opened(s, Drawn(draw=flickering))]]  # fmt: skip
    still = [np.std([p[40, 30, 0] for p in pictures]) for pictures in made]
    assert still[0] < 0.65 * still[1]
    for smooth, sharp, frame in zip(*made, range(4, 24), strict=True):
        square = slice(18, 30), slice(2 * frame + 2, 2 * frame + 6)
        assert np.abs(smooth[square] - sharp[square]).max() <= 3, "no ghost of where it was"


def test_nothing_of_the_shot_before_is_smoothed_in_and_a_hand_turns_it_off(model: Path) -> None:
    show = smooth_show(model)
    base = Drawn(draw=flickering)
    source = opened(show, base)
    assert np.array_equal(picture(source, show, 24), tiny(flickering(24), negative=1)) and base.asked == [24]
    picture(source, show, 26)
    assert base.asked == [24, 25, 26], "each frame is made once"
    off = picture(source, show, 26, Command("/cineml/style/smooth_offset", -1.0, 0.0))
    assert np.array_equal(off, tiny(flickering(26), negative=1))


def test_live_what_was_skipped_is_not_made_and_in_a_render_it_is(model: Path) -> None:
    show = smooth_show(model)
    base = Drawn(draw=flickering)
    source, state = opened(show, base), advance(first_state(show), [], 10 / 24, show)
    aim = aim_at(state, 10 / 24, show)
    live = source.make(replace(aim, live=True), aim.layers[0])
    assert base.asked == [10] and np.array_equal(live.pixels, tiny(flickering(10), negative=1))
    assert aim.same_picture(replace(aim, live=True))
    source.make(aim, aim.layers[0])
    assert base.asked == [10, 7, 8, 9]
    source.make(replace(aim, live=True), replace(aim.layers[0], film_position=Fraction(11)))
    assert base.asked == [10, 7, 8, 9, 11], "and while it keeps up, all that it needs is there"


def test_playing_on_makes_one_picture_a_frame_while_a_fader_moves(model: Path) -> None:
    show = smooth_show(model)
    base = Drawn(draw=flickering)
    source, made = opened(show, base), []
    assert source._model is not None
    run = source._model.stylised
    source._model.stylised = lambda *a: made.append(1) or run(*a)  # type: ignore[method-assign, func-returns-value]
    state = advance(first_state(show), [Command("/cineml/style/dim/weight", 1.0, 5.0)], 0.0, show)
    for frame in range(20):
        state = advance(state, [], frame / 24, show)
        aim = aim_at(state, frame / 24, show)
        source.make(aim, aim.layers[0])
    assert len(made) == 20


def test_a_moving_fader_and_smoothing_give_the_same_bytes_played_on_to_and_sought(model: Path) -> None:
    show = smooth_show(model, 0.7)
    playing, state = opened(show, Drawn(draw=flickering)), first_state(show)
    for frame in range(30):
        asked = [Command("/cineml/style/dim/weight", 1.0, 0.9)] if frame == 6 else []
        state = advance(state, asked, frame / 24, show)
        aim = aim_at(state, frame / 24, show)
        fresh = opened(show, Drawn(draw=flickering))
        layer = aim.layers[0]
        assert np.array_equal(playing.make(aim, layer).pixels, fresh.make(aim, layer).pixels), frame
