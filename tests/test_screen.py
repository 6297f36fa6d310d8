"""The compositor, the projector and the overlay, in real GL offscreen."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from player.screen import program
from player.screen.offscreen import Offscreen
from player.screen.overlay import Overlay, margin_px
from player.screen.pace import Beat, Schedule
from player.screen.placement import film_rect
from player.screen.program import Programs
from player.screen.resample import kernel, natural_matrix
from player.screen.texture import picture_texture
from player.show.cut_list import Mix
from player.show.problem import ShowError
from player.sources.frame import Blend, Due
from tests.drawn import SHOTS, SIZE, Picture, a_frame, a_show, flat, linear, noise, one


def test_a_neutral_film_frame_comes_back_as_it_was(picture: Callable[..., Picture]) -> None:
    p, pixels = picture(), noise()
    seen = p.seen(p.state(), one(pixels)).astype(int)
    assert np.abs(seen - pixels).max() <= 1
    assert np.mean(seen != pixels) < 0.03


def test_pictures_of_another_size_drawn_before_leave_nothing_behind(picture: Callable[..., Picture]) -> None:
    fresh, used = picture(), picture()
    for i in range(20):
        used.seen(used.state(), one(noise((48, 36), i)))
    for i in range(6):  # a dissolve of two small pictures each, all four in one draw
        a, b, c, d = (a_frame(noise((32, 18), 100 + 4 * i + k)) for k in range(4))
        due = Due(Blend(a, b, 0.4), Blend(c, d, 0.4))
        state = used.state(mix=Mix(SHOTS[1], SHOTS[0], 0.5))
        assert np.array_equal(used.seen(state, due), fresh.seen(state, due))
    assert np.ptp(used.seen(state, Due(Blend(a_frame(flat(0, (32, 18))), a_frame(flat(255, (32, 18))), 0.5)))) <= 1
    assert 180 <= used.seen(state, Due(Blend(a_frame(flat(0, (32, 18))), a_frame(flat(255, (32, 18))), 0.5))).mean() <= 196


def test_a_size_that_gl_cannot_hold_is_a_sentence_with_one_that_it_can(screen: Offscreen) -> None:
    with pytest.raises(ShowError) as told:
        picture_texture(screen.ctx, (40_000, 48))
    (problem,) = told.value.problems
    assert "is 40000x48" in problem.given and "sides up to" in problem.allowed and "--size" in problem.hint
    works = re.search(r"and (\d+)x(\d+) works here", problem.allowed)
    assert works is None or int(works[1]) < 40_000


def test_every_grey_step_comes_back_as_it_was(picture: Callable[..., Picture]) -> None:
    p = picture(film=(256, 16), size=(256, 16))
    ramp = np.repeat(np.tile(np.arange(256, dtype=np.uint8), (16, 1))[..., None], 3, axis=2)
    assert np.abs(p.seen(p.state(), one(ramp)).astype(int) - ramp).max() <= 1


def test_the_top_row_is_shown_at_the_top(screen: Offscreen) -> None:
    p = Picture(screen, a_show(film=(400, 300), size=(400, 300)))
    pixels = flat(0, (400, 300))
    pixels[:30] = 255
    p.projector.draw(p.compositor.draw(p.state(), one(pixels)), screen.framebuffer)
    seen = screen.read()
    assert seen.shape == (300, 400, 3)
    assert seen[:29].min() >= 254 and seen[31:].max() <= 1


@pytest.mark.parametrize("inner", [(0, 16, 64, 32), (0, 18.4, 64, 27.2), (10, 0, 44, 64)])
@pytest.mark.parametrize("look", [{}, {"weave": 1.0}, {"blur": 2.0}, {"blur": 4.0, "weave": 1.0}])
def test_padding_never_bleeds_into_the_picture(picture: Callable[..., Picture], inner: tuple[float, ...],
                                               look: dict[str, float]) -> None:
    p = picture()
    padded = flat((255, 0, 0), (64, 64))
    x, y, w, h = inner
    padded[int(np.ceil(y)):int(y + h), int(np.ceil(x)):int(x + w)] = (0, 128, 0)
    for frame in range(3):
        assert p.seen(p.state(frame, **look), one(padded, inner=inner))[..., 0].max() <= 1


@pytest.mark.parametrize("k", [0, 5, 11])
def test_a_dissolve_weighs_the_shots_in_linear_light(picture: Callable[..., Picture], k: int) -> None:
    p = picture()
    mix = p.show.cuts.mix_at(120 + k)
    assert mix.outgoing is not None
    due = Due(Blend(a_frame(flat(200))), Blend(a_frame(flat(40))))
    weight = (k + 1) / 13
    expected = weight * linear(200) + (1 - weight) * linear(40)
    assert np.abs(p.light(p.state(120 + k, mix), due) - expected).max() < 5e-4


def test_two_frames_of_one_shot_are_blended_in_linear_light(picture: Callable[..., Picture]) -> None:
    p = picture()
    a, b = a_frame(flat(250), source="generator"), a_frame(flat(10), source="generator")
    light = p.light(p.state(), Due(Blend(a, b, 0.25)))
    assert np.abs(light - (0.75 * linear(250) + 0.25 * linear(10))).max() < 5e-4


def test_four_pictures_of_two_sizes_are_weighed_in_a_dissolve(picture: Callable[..., Picture]) -> None:
    p = picture()
    values = (250, 30, 180, 90)
    frames = [a_frame(flat(v, (64, 64) if i % 2 else SIZE)) for i, v in enumerate(values)]
    mix = Mix(SHOTS[1], SHOTS[0], 0.6)
    light = p.light(p.state(0, mix), Due(Blend(frames[0], frames[1], 0.3), Blend(frames[2], frames[3], 0.8)))
    expected = sum(w * linear(v) for w, v in zip((0.42, 0.18, 0.08, 0.32), values, strict=True))
    assert np.abs(light - expected).max() < 1e-3


def test_pictures_of_two_sizes_lie_on_each_other(picture: Callable[..., Picture]) -> None:
    p = picture(film=(160, 80), size=(160, 80))
    small, large = flat(0, (40, 40)), flat(0, (160, 80))
    small[10:30, 20:], large[:, 80:] = 255, 255  # the right half; the small one is padded above and below
    due = Due(Blend(a_frame(small, inner=(0, 10, 40, 20))), Blend(a_frame(large)))
    light = p.light(p.state(0, Mix(SHOTS[1], SHOTS[0], 0.5)), due)
    assert light[:, :74].max() < 0.02 and light[:, 86:].min() > 0.98


@pytest.mark.parametrize("source", ["film", "fallback"])
def test_a_fade_that_is_in_the_films_own_pixels_is_not_drawn_again(picture: Callable[..., Picture], source: str) -> None:
    p = picture()
    light = p.light(p.state(0, Mix(SHOTS[0], fade=0.4, fade_colour="black")), one(flat(120), source=source))
    assert np.abs(light - linear(120)).max() < 5e-4


@pytest.mark.parametrize(("colour", "end"), [("white", 1.0), ("black", 0.0)])
def test_a_fade_goes_to_its_colour_in_linear_light(picture: Callable[..., Picture], colour: str, end: float) -> None:
    p = picture()
    for fade in (1.0, 0.4, 0.0):
        light = p.light(p.state(0, Mix(SHOTS[0], fade=fade, fade_colour=colour)), one(flat(120), source="generator"))
        assert np.abs(light - (fade * linear(120) + (1 - fade) * end)).max() < 5e-4


def test_black_is_black(picture: Callable[..., Picture]) -> None:
    p = picture()
    state, due = p.state(), one(noise())
    assert p.seen(state, due).max() > 200
    for dark in (replace(state, blackout=True), replace(state, stopped=True), replace(state, fade=0.0)):
        assert p.seen(dark, due).max() == 0
        assert p.seen(state, due).max() > 200
    assert p.seen(state, Due()).max() == 0


def test_the_operators_fade_is_linear_light(picture: Callable[..., Picture]) -> None:
    p = picture()
    light = p.light(replace(p.state(), fade=0.3), one(flat(220)))
    assert np.abs(light - 0.3 * linear(220)).max() < 5e-4


@pytest.mark.parametrize(("aspect", "size", "fit", "rect"), [
    (4 / 3, (640, 360), "contain", (80, 0, 480, 360)), (4 / 3, (640, 360), "cover", (0, -60, 640, 480)),
    (480 / 204, (640, 360), "contain", (0, 44, 640, 272)), (480 / 204, (640, 360), "cover", (-104, 0, 847, 360)),
    (16 / 9, (640, 360), "contain", (0, 0, 640, 360)), (16 / 9, (640, 360), "cover", (0, 0, 640, 360))])
def test_the_film_keeps_its_shape(aspect: float, size: tuple[int, int], fit: str, rect: tuple[int, ...]) -> None:
    assert film_rect(aspect, size, fit) == rect


def test_contain_leaves_black_bars_and_cover_none(picture: Callable[..., Picture]) -> None:
    contain, cover = picture(film=(120, 90), fit="contain"), picture(film=(120, 90), fit="cover")
    square = one(flat(255, (64, 64)), inner=(0, 8, 64, 48))
    seen = contain.seen(contain.state(vignette=0.1), square)
    assert seen[:, :20].max() == 0 and seen[:, 140:].max() == 0 and seen[:, 20:140].min() > 200
    assert cover.seen(cover.state(), square).min() >= 254


def test_upscaling_a_hard_edge_rings_hardly_at_all(picture: Callable[..., Picture]) -> None:
    p = picture()
    pixels = flat(60, (32, 18))
    pixels[:, 16:] = 200
    light = p.light(p.state(), one(pixels))
    swing = linear(200) - linear(60)
    assert light.min() > linear(60) - 0.02 * swing and light.max() < linear(200) + 0.02 * swing
    assert np.all(np.diff(light[45, 60:100, 0]) > -0.02 * swing)


def test_upscaling_keeps_a_ramp_straight(picture: Callable[..., Picture]) -> None:
    p = picture()
    at = (np.arange(32) + 0.5) / 32 * 160 - 0.5
    want = 0.1 + 0.005 * at
    coded = np.rint(255 * (1.055 * want ** (1 / 2.4) - 0.055)).astype(np.uint8)
    light = p.light(p.state(), one(np.repeat(np.tile(coded, (18, 1))[..., None], 3, axis=2)))
    assert np.abs(light[45, 10:150, 0] - (0.1 + 0.005 * np.arange(10, 150))).max() < 0.006


@pytest.mark.parametrize("film", [(640, 360), (1600, 900), (500, 281)])
def test_shrinking_takes_the_mean_and_makes_no_pattern(picture: Callable[..., Picture], film: tuple[int, int]) -> None:
    p = picture(film=film)
    board = (np.indices((film[1], film[0])).sum(axis=0) % 2 * 255).astype(np.uint8)
    light = p.light(p.state(), one(np.repeat(board[..., None], 3, axis=2)))[8:-8, 8:-8]
    assert abs(light.mean() - 0.5) < 0.01 and light.std() < 0.04


def test_the_kernel_reproduces_flat_pictures_and_catmull_rom_passes_through_its_points() -> None:
    for b in (0.0, 1 / 3, 1.0):
        columns = np.array(natural_matrix(b)).reshape(4, 4)  # [power, texel]
        assert np.allclose(columns.sum(axis=1), (1, 0, 0, 0))
        assert np.allclose([np.polyval(kernel(b)[0][::-1], 1.0), np.polyval(kernel(b)[1][::-1], 2.0)], (b / 6, 0.0))
    assert np.allclose(np.array(natural_matrix(0.0)).reshape(4, 4)[0], (0, 1, 0, 0))


def test_a_held_frame_is_sent_once_and_textures_are_used_again(picture: Callable[..., Picture]) -> None:
    p = picture()
    held = a_frame(noise())
    for refresh in range(5):
        p.compositor.draw(p.state(refresh, grain=0.1), Due(Blend(held)))
    assert p.compositor.textures.uploads == 1
    names = set()
    for i in range(40):
        frame = a_frame(noise(seed=i))
        p.compositor.draw(p.state(), Due(Blend(frame)))
        names.add(p.compositor.textures.of(frame).glo)
    assert p.compositor.textures.uploads == 41 and len(names) <= 8


def test_frames_that_change_are_never_mistaken_for_held_ones(picture: Callable[..., Picture]) -> None:
    p = picture()
    for value in range(0, 250, 7):
        assert abs(int(p.seen(p.state(), one(flat(value)))[45, 80, 0]) - value) <= 1


def test_a_new_size_is_drawn_in(picture: Callable[..., Picture]) -> None:
    p = picture()
    due = one(flat(255))
    p.light(p.state(), due)
    p.compositor.resize((80, 90))
    light = p.light(p.state(), due)
    assert light.shape == (90, 80, 3) and light[45, 40, 0] > 0.99 and light[5, 40, 0] == 0
    assert p.seen(p.state(), due).shape == (90, 160, 3), "stretched for the refresh in which a window changes"


def test_the_overlay_changes_only_its_plate(picture: Callable[..., Picture]) -> None:
    p = picture(film=(400, 300), size=(400, 300))
    due = one(noise((400, 300)))
    plain = p.seen(p.state(), due)
    shown = p.seen(p.state(), due, ("00:00:12:07  frame 295", "shot 4"))
    ys, xs = np.nonzero((plain != shown).any(axis=2))
    assert ys.min() >= 7 and xs.min() >= 7 and ys.max() < 60 and xs.max() < 300
    plate = shown[ys.min():ys.max(), xs.min():xs.max()]
    assert plate.max() > 220 and np.median(plate) < 150, "light letters on a dark plate"
    assert np.array_equal(plain, p.seen(p.state(), due))


@pytest.mark.parametrize("size", [(320, 180), (640, 360), (1920, 1080), (200, 400)])
def test_overlay_lines_never_overlap_or_leave_the_picture(screen: Offscreen, size: tuple[int, int]) -> None:
    overlay = Overlay(screen.ctx)
    one_line = overlay.coverage(("gjpqy|A",), size)
    one_line_px = round(11 * 1.35)  # of the smallest letters
    most = (size[1] - 3 * margin_px(size)) // one_line_px
    for count in (2, 5, 12, 60):
        plate = overlay.coverage(tuple(f"line {i} gjpqy|A " + "long " * (i % 3 * 40) for i in range(count)), size)
        assert plate.shape[0] < size[1] and plate.shape[1] < size[0]
        rows = plate[:, :40].max(axis=1) > 0
        bands = int(np.count_nonzero(np.diff(rows.astype(int)) == 1))
        assert bands == min(count, most) and one_line.max() == 255


def test_a_broken_shader_is_named_with_file_and_line(screen: Offscreen, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {"full_screen.vert": program.read_shader("full_screen.vert"),
             "part.glsl": "float half_of(float x)\n{\n    return x / 2;\n}\n",
             "good.frag": '#include "part.glsl"\nout vec4 c;\nvoid main() { c = vec4(half_of(1.0)); }\n',
             "bad.frag": '#include "part.glsl"\nout vec4 c;\nvoid main()\n{\n    c = vec4(nothing);\n}\n',
             "bad_part.glsl": "\n\nfloat f() { return missing; }\n",
             "outer.frag": '#include "bad_part.glsl"\nvoid main() {}\n', "circle.frag": '#include "circle.frag"\n'}
    monkeypatch.setattr(program, "read_shader", lambda name: texts[name])
    programs = Programs(screen.ctx)
    programs.get("good.frag")
    places = {"bad.frag": "shaders/bad.frag:5", "outer.frag": "shaders/bad_part.glsl:3", "circle.frag": "circle"}
    for name, place in places.items():
        with pytest.raises(ShowError) as caught:
            programs.get(name)
        assert place in str(caught.value)
    programs.release()


def test_a_missing_shader_is_a_sentence() -> None:
    with pytest.raises(ShowError, match="shaders/nothing.frag"):
        program.assemble("nothing.frag")


def test_a_missed_refresh_skips_whole_slots_and_never_bunches() -> None:
    schedule = Schedule(10.0, origin_s=100.0)
    assert schedule.next_s(100.01) == pytest.approx(100.1)
    assert schedule.take(100.05) == pytest.approx(100.1)
    assert schedule.next_s(100.11) == pytest.approx(100.2)
    assert schedule.take(100.23) == pytest.approx(100.2), "just missed: shown at once, the next slot stays"
    assert schedule.take(100.25) == pytest.approx(100.3)
    assert schedule.take(100.77) == pytest.approx(100.8)
    assert schedule.take(100.801) == pytest.approx(100.9)
    assert schedule.next_s(105.03) == pytest.approx(105.1)
    assert schedule.next_s(105.14) == pytest.approx(105.2)
    assert schedule.take(105.145) == pytest.approx(105.2), "never before the time that its picture was made for"
    assert schedule.shown(105.37) == 105.37  # the system woke us late: that picture stands for slot 105.4
    assert schedule.take(105.38) == pytest.approx(105.5)
    shown = [schedule.take(106.0 + 0.01 * i) for i in range(20)]
    assert np.allclose(np.diff(shown), 0.1), "however fast they come, one slot each"


def test_the_beat_follows_a_screen_that_is_not_quite_60_hz_and_jitters() -> None:
    rng = np.random.default_rng(0)
    beat, period = Beat(60.0), 1 / 59.94
    at, errors = 50.0, []
    for i in range(900):
        at += period * (3 if i % 100 == 99 else 1)
        errors.append(beat.next_s(at - 0.7 * period) - at if i > 300 else 0.0)
        beat.flipped(at + rng.normal(0, 0.0005))
    assert np.abs(errors).max() < 0.001 and abs(beat.period_s - period) < 2e-5


def test_realtime_offscreen_keeps_its_schedule_over_a_missed_refresh(screen: Offscreen) -> None:
    paced = Offscreen((16, 16), 50.0, realtime=True)
    first = paced.next_flip_s()
    stamps = []
    for i in range(12):
        if i == 6:
            time.sleep(0.05)
        expected = paced.next_flip_s()
        stamps.append(paced.swap())
        assert stamps[-1] >= expected, "a picture is never seen before the time it was made for"
    assert np.diff(stamps).min() > 0.4 / 50, "never two pictures close together, however late one was"
    assert stamps[0] >= first
    paced.close()


@pytest.mark.parametrize(("film", "size", "inner", "place"), [
    (SIZE, SIZE, None, (0, 0)),
    (SIZE, (160, 120), None, (0, 15)),  # bars above and below
    (SIZE, (200, 90), None, (20, 0)),
    (SIZE, SIZE, (0, 19, 160, 90), (0, 0)),  # in a padded square
])  # fmt: skip
def test_a_lone_frame_that_fits_is_shown_byte_for_byte(picture: Callable[..., Picture], film, size, inner, place) -> None:
    p = picture(film=film, size=size)
    pixels = noise(film)
    x, y = place
    if inner is None:
        due = one(pixels)
    else:
        padded = flat((255, 0, 0), (160, 128))
        padded[19:109] = pixels
        due = one(padded, inner=inner)
    shown = p.compositor.draw(p.state(), due)
    assert shown.film == (x, y, *film) and p.compositor.textures.uploads == 1
    seen = p.seen(p.state(), due).copy()
    assert np.array_equal(seen[y : y + 90, x : x + 160], pixels)
    seen[y : y + 90, x : x + 160] = 0
    assert seen.max() == 0


def test_a_film_that_is_cut_off_by_its_output_is_shown_byte_for_byte(picture: Callable[..., Picture]) -> None:
    p = picture(size=(120, 90), fit="cover")
    pixels = noise()
    assert np.array_equal(p.seen(p.state(), one(pixels)), pixels[:, 20:140])


def test_what_is_drawn_by_light_and_what_is_shown_as_it_is_look_the_same(picture: Callable[..., Picture]) -> None:
    p, due = picture(), one(noise())
    bare = p.seen(p.state(), due).astype(int)
    graded = p.seen(p.state(exposure=1e-6), due).astype(int)
    apart = np.abs(bare - graded)
    assert apart.max() <= 1 and np.mean(apart > 0) < 0.05


def test_every_way_to_the_output_is_drawn_once_before_the_show(
        picture: Callable[..., Picture], monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    """Drivers compile at the first draw, and a first fade must not cost a refresh."""
    drawn: list[tuple[str, int, int]] = []
    draw = Programs.draw

    def noted(self: Programs, name: str, defines: dict[str, int], uniforms: dict[str, object]) -> None:
        if name == "project.frag":
            drawn.append((name, defines["STRETCH"], defines["BARE"]))
        draw(self, name, defines, uniforms)

    monkeypatch.setattr(Programs, "draw", noted)
    p = picture()
    before, due = set(drawn), one(noise())
    drawn.clear()
    p.seen(p.state(), due)
    p.seen(replace(p.state(), fade=0.5), due)
    assert len(set(drawn)) == 2 and before > set(drawn)


@pytest.mark.parametrize("change", ["look", "operator", "cut list", "two frames", "blur", "weave", "another size"])
def test_whatever_changes_a_frame_is_drawn_by_light(picture: Callable[..., Picture], change: str) -> None:
    p, due = picture(), one(noise())
    state = p.state()
    if change in ("blur", "weave"):
        state = p.state(**{change: 1.0})
    elif change == "look":
        state = p.state(grain=0.1)
    elif change == "operator":
        state = replace(state, fade=0.5)
    elif change == "cut list":
        state, due = p.state(0, replace(state.mix, fade=0.5)), one(noise(), source="generator")
    elif change == "two frames":
        due = Due(Blend(a_frame(noise()), a_frame(noise(seed=1)), 0.5))
    else:
        due = one(noise((80, 45)))
    assert p.compositor.draw(state, due).film is None
    assert p.compositor.draw(p.state(), one(noise())).film is not None


def test_black_is_black_after_a_frame_that_was_shown_as_it_is(picture: Callable[..., Picture]) -> None:
    p, due = picture(), one(noise())
    assert p.seen(p.state(), due).max() > 200
    assert p.seen(replace(p.state(), blackout=True), due).max() <= 1
    assert p.seen(p.state(), Due()).max() <= 1
    assert p.seen(p.state(), due).max() > 200


def test_a_window_that_has_just_changed_its_size_shows_the_whole_frame(screen: Offscreen) -> None:
    p = Picture(screen, a_show())
    pixels = noise()
    target = screen.ctx.simple_framebuffer((80, 45), 4)
    p.projector.draw(p.compositor.draw(p.state(), one(pixels)), target)
    seen = np.frombuffer(target.read(components=3, alignment=1), np.uint8).reshape(45, 80, 3)[::-1]
    assert np.array_equal(seen, pixels[1::2, 1::2])
