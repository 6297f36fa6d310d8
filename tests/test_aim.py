"""Aims and the shelf: pictures made ahead, shown when they are due, never across a cut."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import floor

import numpy as np
import pytest

from player.show.cut_list import Shot
from player.show.score import Score, ScoreShot
from player.sources.aim import aim_at, layers_at, next_aim
from player.sources.frame import Frame
from player.sources.shelf import Shelf
from player.state import Command, advance, first_state, place_at
from tests.small_shows import small_show

PIXELS = np.zeros((2, 2, 3), np.uint8)


def frame_for(aim, layer, source="generator"):
    return Frame(PIXELS, aim.show_time_s, aim.epoch, layer.shot, float(layer.film_position), source, (0, 0, 2, 2),
                 live=source == "camera")


def takes_30_ms(source):
    return 0.03


def simulate(show, model_s, refresh_hz=60.0, seconds=11.0, script=None):
    """The loop's hand-over with a worker that takes model_s a picture, in simulated time.

    Returns a list of (now_s, state, due) of every refresh.
    """
    state, shelf, last, waiting, running, seen = first_state(show), Shelf(), None, None, None, []
    for k in range(int(seconds * refresh_hz)):
        now = k / refresh_hz
        while True:  # the worker between the previous refresh and this one
            if running is None and waiting is not None:
                aim, asked_s = waiting
                running, waiting = (aim, asked_s + model_s * len(aim.layers)), None
            if running is None or running[1] > now:
                break
            aim, ready_s = running
            shelf.add([frame_for(aim, layer, layer.source) for layer in aim.layers])
            running = None
            if waiting is not None:
                waiting = (waiting[0], ready_s)
        state = advance(state, (script or {}).get(k, []), now, show)
        if waiting is None or waiting[0].epoch != state.transport.epoch:
            aim = next_aim(state, last, lambda source: model_s * 1.1, 1 / refresh_hz, show)
            if aim is not None:
                waiting, last = (aim, now), aim
        seen.append((now, state, shelf.due(state)))
    return seen


@pytest.mark.parametrize("model_ms", [5, 12, 30, 55, 90])
@pytest.mark.parametrize("refresh_hz", [10.0, 15.0, 24.0, 30.0, 60.0])
def test_a_cut_is_seen_on_its_first_refresh_and_never_early(model_ms, refresh_hz):
    show = small_show((Shot(1, 0, 24), Shot(2, 24, 33), Shot(3, 33, 72), Shot(4, 72, 96), Shot(5, 96, 120)))
    for now, state, due in simulate(show, model_ms / 1000, refresh_hz)[int(refresh_hz):]:
        assert due.shot is not None and not due.stale
        assert due.shot.a.shot == state.mix.shot.number, (now, state.place)
        if due.shot.b is not None:
            assert due.shot.b.shot == due.shot.a.shot


SCREENS = [10.0, 15.0, 20.0, 24000 / 1001, 24.0, 25.0, 30.0, 60.0]


@pytest.mark.parametrize("rate", [1.0, 2.0, 4.0])
@pytest.mark.parametrize("refresh_hz", SCREENS)
@pytest.mark.parametrize("model_ms", [1, 8])
def test_a_refresh_shows_the_very_film_frame_that_the_film_is_at(model_ms, refresh_hz, rate):
    show = small_show((Shot(1, 0, 120), Shot(2, 120, 127), Shot(3, 127, 240)), source="film")
    script = {0: [Command("/cineml/transport/rate", rate)]}
    for now, state, due in simulate(show, model_ms / 1000, refresh_hz, script=script)[2:]:
        assert due.shot is not None and not due.stale
        assert due.shot.b is None and floor(due.shot.a.film_position + 1e-5) == state.place.frame, (now, state.place)


@pytest.mark.parametrize("refresh_hz", SCREENS)
def test_another_rate_or_a_pause_costs_no_picture(refresh_hz):
    show = small_show((Shot(1, 0, 60), Shot(2, 60, 120), Shot(3, 120, 240)), source="film")
    asked = [("rate", 2.0), ("rate", 0.5), ("pause", None), ("play", None), ("rate", 4.0), ("rate", 1.0)]
    script = {int(i * refresh_hz): [Command(f"/cineml/transport/{name}", value)] for i, (name, value) in enumerate(asked, 1)}
    for now, state, due in simulate(show, 0.002, refresh_hz, seconds=9, script=script)[2:]:
        assert not due.stale and floor(due.shot.a.film_position + 1e-5) == state.place.frame, (now, state.place)


@pytest.mark.parametrize("rate", [1.0, 2.0])
@pytest.mark.parametrize("refresh_hz", SCREENS)
@pytest.mark.parametrize("model_ms", [1, 12, 30])
def test_a_generators_picture_is_of_the_time_that_it_is_seen_at(model_ms, refresh_hz, rate):
    show = small_show((Shot(1, 0, 120), Shot(2, 120, 240)))
    script = {0: [Command("/cineml/transport/rate", rate)]}
    for now, state, due in simulate(show, model_ms / 1000, refresh_hz, script=script)[int(refresh_hz):]:
        blend = due.shot
        assert blend is not None and blend.a.shot == state.mix.shot.number, (now, state.place)
        seen = blend.a.film_position + (blend.weight * (blend.b.film_position - blend.a.film_position) if blend.b else 0)
        # A shot's last picture is held until the cut: what is made after it is the next shot's.
        held = blend.b is None and state.mix.shot.end - blend.a.film_position <= 1 + 24 * rate * model_ms / 1000
        assert seen == pytest.approx(float(state.place.position), abs=1e-3) or (refresh_hz > 24 * rate and held)


@pytest.mark.parametrize("model_ms", [12, 30])
def test_in_a_dissolve_both_shots_have_their_picture(model_ms):
    for _, state, due in simulate(small_show(), model_ms / 1000)[60:]:
        if state.mix.outgoing is not None:
            assert due.outgoing is not None and due.outgoing.a.shot == state.mix.outgoing.number


@pytest.mark.parametrize("model_ms", [5, 30, 55, 90])
def test_pictures_are_made_as_fast_as_the_model_allows(model_ms):
    show = small_show((Shot(1, 0, 240),))
    times = {due.shot.a.show_time_s for _, _, due in simulate(show, model_ms / 1000)[60:] if due.shot}
    assert len(times) / 10 >= min(24, 0.75 / (model_ms / 1000))


@pytest.mark.parametrize("refresh_hz", [24.0, 30.0, 60.0])
@pytest.mark.parametrize(("model_ms", "turns"), [(30, {1}), (55, {1, 2}), (67, {2}), (75, {2})])
def test_a_source_slower_than_the_film_shows_its_frames_in_even_turns(model_ms, turns, refresh_hz):
    show = small_show((Shot(1, 0, 240),), source="film")
    shown = []
    for _, _, due in simulate(show, model_ms / 1000, refresh_hz, seconds=9)[int(refresh_hz):]:
        if not shown or due.shot.a.film_position != shown[-1]:
            shown.append(due.shot.a.film_position)
    apart = np.diff(shown)
    assert set(apart) == turns
    if len(turns) == 2:
        assert np.all(apart[1:] != apart[:-1])  # as by 2:3 pulldown, never two long ones or two short ones in a row


def test_two_neighbours_of_one_shot_are_blended_by_time():
    shelf, show = Shelf(), small_show()
    state = advance(first_state(show), [], 0.5, show)
    for at in (0.4, 0.6):
        aim = aim_at(state, at, show)
        shelf.add([frame_for(aim, aim.layers[0])])
    due = shelf.due(state)
    assert due.shot is not None and due.shot.b is not None and due.shot.weight == pytest.approx(0.5, abs=1e-4)
    held = shelf.due(state, hold=True)
    assert held.shot is not None and held.shot.b is None


def test_film_frames_are_held_not_blended():
    shelf, show = Shelf(), small_show(source="film")
    state = advance(first_state(show), [], 0.5, show)
    for at in (0.49, 0.53):
        aim = aim_at(state, at, show)
        shelf.add([frame_for(aim, aim.layers[0], "film")])
    due = shelf.due(state)
    assert due.shot is not None and due.shot.b is None


def test_a_picture_of_an_older_epoch_is_never_due_and_the_last_one_is_held_meanwhile():
    shelf, show = Shelf(), small_show()
    state = advance(first_state(show), [], 0.0, show)
    aim = aim_at(state, 0.0, show)
    shelf.add([frame_for(aim, aim.layers[0])])
    assert not shelf.due(state).stale
    sought = advance(state, [Command("/cineml/shot/4/go")], 0.1, show)
    due = shelf.due(sought)
    assert due.stale and due.shot is not None and due.shot.a.shot == 1


@pytest.mark.parametrize(("mix", "over", "share"), [(1.0, False, 1.0), (0.4, False, 0.4), (0.0, True, 1.0)])
def test_until_a_sought_picture_is_there_the_last_one_is_held_with_both_of_its_sources(mix, over, share):
    shelf, show = Shelf(), small_show()
    state = advance(first_state(show), [], 0.0, show)
    aim = aim_at(state, 0.0, show)
    made = frame_for(aim, aim.layers[0])
    shelf.add([made, replace(made, under=True, source="film")])  # what is below is made last
    sought = replace(advance(state, [Command("/cineml/shot/4/go")], 0.1, show), source_mix=mix)
    due = shelf.due(sought)
    assert due.stale and due.shot.a.under is over and due.shot.share == share
    assert (due.shot.under is not None) == (0 < mix < 1)


def test_after_a_seek_the_first_picture_is_of_the_new_place():
    show = small_show()
    seen = simulate(show, 0.03, script={100: [Command("/cineml/transport/seek_frame", 80)]})
    fresh = [due for _, state, due in seen[101:] if state.transport.epoch == 1 and not due.stale]
    assert seen[104][2].stale is False and fresh[0].shot.a.shot == 4


def test_a_paused_film_makes_its_picture_once_until_the_latent_changes():
    show = small_show()
    state = advance(first_state(show), [Command("/cineml/transport/pause")], 1.0, show)
    aim = next_aim(state, None, takes_30_ms, 1 / 60, show)
    assert aim is not None and aim.layers[0].film_position == Fraction(24)
    later = advance(state, [], 2.0, show)
    assert next_aim(later, aim, takes_30_ms, 1 / 60, show) is None
    changed = advance(later, [Command("/cineml/latent/truncation", 0.5, 0.0)], 2.1, show)
    assert next_aim(changed, aim, takes_30_ms, 1 / 60, show) is not None


@pytest.mark.parametrize("source", ["film", "generator"])
@pytest.mark.parametrize("refresh_hz", SCREENS)
def test_between_loops_nothing_is_made_and_the_next_loop_begins_with_its_first_frame(source, refresh_hz):
    show = small_show(loop_pause_s=0.52, source=source)
    seen = simulate(show, 0.01, refresh_hz, seconds=12)
    for now, state, due in seen[int(refresh_hz):]:
        assert (due.shot is None) == state.place.in_pause, now
        if not state.place.in_pause:
            assert due.shot.a.shot == state.mix.shot.number and not due.stale
            if source == "film":
                assert floor(due.shot.a.film_position + 1e-5) == state.place.frame


def test_a_glide_is_one_picture_and_a_jump_is_two():
    dissolving = place_at(first_state(small_show()).transport, 35 / 24, small_show())
    assert [layer.shot for layer in layers_at(dissolving, small_show())] == [3, 2]
    gliding = small_show(score=Score(tuple(ScoreShot(n, entry="glide" if n == 3 else "jump") for n in range(1, 6))))
    (layer,) = layers_at(dissolving, gliding)
    assert (layer.glide_from, layer.glide_weight) == (2, pytest.approx(3 / 9))


def test_a_loop_of_one_shot_is_not_blended_across_its_seam():
    show = small_show((Shot(1, 0, 48),))
    for _, _, due in simulate(show, 0.055, seconds=9)[60:]:
        if due.shot.b is not None:
            assert due.shot.b.film_position >= due.shot.a.film_position


def test_a_called_key_does_not_leak_into_the_next_shots_early_picture():
    show = small_show()
    state = advance(first_state(show), [Command("/cineml/latent/key", "s01.f0003")], 0.9, show)
    assert aim_at(state, 0.95, show).latent.key == "s01.f0003"
    assert aim_at(state, 1.0, show).latent.key == ""


def test_while_the_rate_is_faded_by_hand_the_picture_moves_on():
    show = small_show((Shot(1, 0, 240),))
    script = {k: [Command("/cineml/transport/rate", 1.0 - (k - 100) / 200)] for k in range(100, 200)}
    seen = simulate(show, 0.04, seconds=4, script=script)[105:200]
    assert not any(due.stale for _, _, due in seen)
    assert len({due.shot.a.film_position for _, _, due in seen}) > 15


def test_while_a_hand_scrubs_the_newest_picture_is_seen():
    show = small_show((Shot(1, 0, 240),))
    script = {k: [Command("/cineml/transport/seek_frame", k % 240)] for k in range(60, 180, 2)}
    script[59] = [Command("/cineml/transport/pause")]
    seen = simulate(show, 0.04, seconds=4, script=script)[70:180]
    assert len({due.shot.a.film_position for _, _, due in seen}) > 15
    assert seen[-1][2].shot.a.film_position >= 150


def test_after_a_pause_the_picture_stands_where_the_film_stands():
    show = small_show((Shot(1, 0, 240),))
    for _, state, due in simulate(show, 0.04, seconds=3, script={60: [Command("/cineml/transport/pause")]})[70:]:
        assert due.shot.a.film_position == pytest.approx(float(state.place.position), abs=0.01) and due.shot.b is None


@pytest.mark.parametrize("refresh_hz", SCREENS)
@pytest.mark.parametrize("asked", [("pause", None), ("rate", 0.0), ("rate", 0.1)])
def test_a_camera_goes_on_while_the_film_stands_or_crawls(refresh_hz, asked):
    """Its pictures are as new as while the film plays; a frozen and a stopped one stand."""
    show = small_show((Shot(1, 0, 240),), source="camera")
    name, value = asked
    script = {int(2 * refresh_hz): [Command(f"/cineml/transport/{name}", value)],
              int(4 * refresh_hz): [Command("/cineml/output/freeze", True)]}
    seen = simulate(show, 0.005, refresh_hz, seconds=6, script=script)
    ages = {k: [now - due.shot.a.show_time_s for now, _, due in seen[int(k * refresh_hz):int((k + 1) * refresh_hz)]]
            for k in (1, 3, 5)}
    assert max(ages[1]) < 0.11 and max(ages[3]) < 0.11 and min(ages[5]) > 0.9
    made = {due.shot.a.show_time_s for _, _, due in seen[int(3 * refresh_hz):int(4 * refresh_hz)]}
    assert len(made) == pytest.approx(min(refresh_hz, 24), abs=2), "and no more of them than the film has frames"


def test_a_camera_that_went_on_in_a_pause_never_falls_back_behind_it():
    show = small_show((Shot(1, 0, 240),), source="camera")
    script = {120: [Command("/cineml/transport/pause")], 300: [Command("/cineml/transport/play")]}
    times = [due.shot.a.show_time_s for _, _, due in simulate(show, 0.005, seconds=8, script=script)[2:]]
    assert times == sorted(times)


def test_a_stopped_show_makes_no_pictures_of_its_camera():
    show = small_show(source="camera")
    state = advance(first_state(show), [Command("/cineml/transport/stop")], 1.0, show)
    aim = next_aim(state, None, takes_30_ms, 1 / 60, show)
    assert next_aim(advance(state, [], 2.0, show), aim, takes_30_ms, 1 / 60, show) is None
