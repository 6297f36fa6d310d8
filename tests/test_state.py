"""advance: commands and time in, the whole truth of one refresh out."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from player.show.cut_list import Shot
from player.show.score import Score, ScoreShot
from player.show.show import Control, Cue, Look
from player.state import Command, advance, first_state, place_at, show_time_of
from tests.small_shows import small_show


def test_every_film_frame_is_seen_once_at_the_films_own_rate():
    for rate in (Fraction(24), Fraction(25), Fraction(24000, 1001), Fraction(30000, 1001), Fraction(12)):
        show = small_show(rate=rate, loop=False)
        state = first_state(show)
        seen = []
        for k in range(120):
            state = advance(state, [], float(k / rate), show)
            seen.append(state.place.frame)
        assert seen == list(range(120)), rate


def test_a_loop_goes_on_without_a_gap_for_weeks():
    show = small_show()
    state = first_state(show)
    for loop in (1, 1000, 300_000):  # 300 000 loops of 5 s are 17 days
        for frame in (0, 1, 23, 24, 119):
            place = place_at(state.transport, loop * 5.0 + frame / 24, show)
            assert (place.frame, place.loops, place.in_pause) == (frame, loop, False)


def test_the_pause_between_loops_shows_neither_end_of_the_film():
    show = small_show(loop_pause_s=2.0)
    state = first_state(show)
    assert place_at(state.transport, 4.99, show).frame == 119
    assert place_at(state.transport, 5.5, show).in_pause
    assert place_at(state.transport, 7.0, show).frame == 0 and not place_at(state.transport, 7.0, show).in_pause


def test_a_film_that_does_not_loop_holds_its_last_frame():
    show = small_show(loop=False)
    place = place_at(first_state(show).transport, 99.0, show)
    assert place.ended and place.frame == 119


def test_a_dissolve_and_a_fade_weigh_what_the_format_says():
    show = small_show()
    first = advance(first_state(show), [], 33 / 24, show)
    assert first.mix.shot.number == 3 and first.mix.outgoing is not None and first.mix.outgoing.number == 2
    assert first.mix.weight == pytest.approx(1 / 9)
    fading = advance(first, [], 95 / 24, show)
    assert fading.mix.fade == pytest.approx(1 / 7) and fading.mix.fade_colour == "black"
    coming = advance(fading, [], 96 / 24, show)
    assert coming.mix.fade == pytest.approx(1 / 6)


def test_pause_and_play_keep_the_position_and_the_show_time_runs_on():
    show = small_show()
    state = advance(first_state(show), [Command("/cineml/transport/pause")], 1.0, show)
    later = advance(state, [], 9.0, show)
    assert later.place.frame == 24 and later.show_time_s == 9.0
    playing = advance(later, [Command("/cineml/transport/play")], 10.0, show)
    assert advance(playing, [], 10.5, show).place.frame == 36


def test_a_seek_begins_a_new_epoch_and_lands_on_its_frame():
    show = small_show()
    state = advance(first_state(show), [Command("/cineml/transport/seek_frame", 72)], 0.3, show)
    assert state.place.frame == 72 and state.transport.epoch == 1
    by_shot = advance(state, [Command("/cineml/shot/2/go")], 0.9, show)
    assert by_shot.place.frame == 24 and by_shot.transport.epoch == 2


def test_a_seek_past_the_end_lands_on_the_last_frame():
    show = small_show()
    assert advance(first_state(show), [Command("/cineml/transport/seek_s", 900.0)], 0.0, show).place.frame == 119


def test_half_rate_takes_twice_as_long_from_where_it_was_asked():
    show = small_show()
    state = advance(first_state(show), [Command("/cineml/transport/rate", 0.5)], 1.0, show)
    assert advance(state, [], 2.0, show).place.frame == 36


def test_loop_turned_off_in_the_third_loop_plays_this_loop_to_its_end():
    show = small_show()
    state = advance(first_state(show), [Command("/cineml/transport/loop", False)], 11.0, show)
    assert state.place.frame == 24 and not state.place.ended
    assert advance(state, [], 15.5, show).place.ended


def test_stop_is_black_at_the_first_frame_until_play():
    show = small_show()
    state = advance(first_state(show), [Command("/cineml/transport/stop")], 2.0, show)
    assert state.stopped and state.place.frame == 0
    assert not advance(state, [Command("/cineml/transport/play")], 3.0, show).stopped


def test_freeze_holds_the_picture_while_the_film_runs_on():
    show = small_show()
    state = advance(first_state(show), [], 0.5, show)
    state = advance(state, [Command("/cineml/output/freeze", True)], 0.75, show)
    later = advance(state, [], 3.2, show)
    assert later.picture.frame == 12 and later.mix.shot.number == 1 and later.place.frame == 76
    assert advance(later, [Command("/cineml/output/freeze", False)], 3.25, show).picture.frame == 78


def test_a_glide_is_a_straight_line_from_what_was_to_what_was_asked():
    show = small_show(control=Control(glide_s=1.0))
    state = advance(first_state(show), [Command("/cineml/output/fade", 0.0)], 1.0, show)
    assert state.fade == 1.0
    assert advance(state, [], 1.25, show).fade == pytest.approx(0.75)
    turned = advance(state, [Command("/cineml/output/fade", 1.0, 2.0)], 1.5, show)
    assert advance(turned, [], 2.5, show).fade == pytest.approx(0.75)
    assert advance(turned, [], 60.0, show).fade == 1.0


def test_a_look_of_the_score_gives_way_to_a_hand_and_comes_back_when_called():
    show = small_show(looks={"worn": Look("worn", {"grain": 0.5})}, score=Score((ScoreShot(1, look="worn"),)))
    state = advance(first_state(show), [], 0.1, show)
    assert state.look["grain"] == 0.5 and state.look["contrast"] == 1.0
    by_hand = advance(state, [Command("/cineml/look/grain", 0.1, 0.0)], 0.2, show)
    assert by_hand.look["grain"] == pytest.approx(0.1)
    assert advance(by_hand, [Command("/cineml/look/select", "worn")], 0.3, show).look["grain"] == 0.5


def test_a_named_key_is_held_until_its_shot_ends():
    show = small_show()
    state = advance(first_state(show), [Command("/cineml/latent/key", "s01.f0003")], 0.2, show)
    assert state.latent.key == "s01.f0003"
    assert advance(state, [], 0.9, show).latent.key == "s01.f0003"
    assert advance(state, [], 1.1, show).latent.key == ""


def test_cues_fire_once_a_loop_on_their_frame():
    show = small_show(cues=(Cue("worn", 24, (("/cineml/look/grain", 0.9, 0.0),)),
                            Cue("clean", 48, (("/cineml/look/grain", 0.0, 0.0),)),
                            Cue("begin", 0, (("/cineml/latent/noise_seed", 7, None),))))
    state, seen = first_state(show), []
    for k in range(361):
        before = state
        state = advance(state, [], k / 30, show)
        if state.look["grain"] != before.look["grain"]:
            seen.append((round(k / 30, 3), state.look["grain"]))
        if k == 0:
            assert state.latent.noise_seed == 7  # a cue on the first frame belongs to the first picture
    assert seen == [(1.0, 0.9), (2.0, 0.0), (6.0, 0.9), (7.0, 0.0), (11.0, 0.9), (12.0, 0.0)]


def test_a_seek_onto_a_cue_fires_it_and_over_it_does_not():
    show = small_show(cues=(Cue("worn", 24, (("/cineml/look/grain", 0.9, 0.0),)),))
    state = advance(first_state(show), [], 0.1, show)
    assert advance(state, [Command("/cineml/shot/2/go")], 0.2, show).look["grain"] == 0.9
    assert advance(state, [Command("/cineml/transport/seek_frame", 30)], 0.2, show).look["grain"] == 0.0


def test_each_go_fires_the_next_waiting_cue_and_two_at_once_fire_two():
    show = small_show(cues=tuple(Cue(str(n), None, (("/cineml/latent/noise_seed", n, None),)) for n in (1, 2, 3)))
    go = Command("/cineml/transport/go")
    state = advance(first_state(show), [go], 0.1, show)
    assert state.latent.noise_seed == 1
    state = advance(state, [go, go], 0.2, show)
    assert state.latent.noise_seed == 3
    assert advance(state, [go], 0.3, show).latent.noise_seed == 1


def test_rate_loop_and_pause_begin_no_new_epoch_because_what_is_made_stays_good():
    show = small_show()
    state = first_state(show)
    asked = [("rate", 0.5), ("rate", 0.5), ("pause", None), ("play", None), ("loop", False)]
    for k, (name, value) in enumerate(asked):
        state = advance(state, [Command(f"/cineml/transport/{name}", value)], 0.1 * (k + 1), show)
    assert state.transport.epoch == 0
    assert float(state.place.position) == pytest.approx(24 * (0.1 + 0.5 * 0.2 + 0.5 * 0.1), abs=1e-3)


def test_whatever_is_asked_between_two_loops_the_pause_goes_on():
    show = small_show(loop_pause_s=2.0)
    state = advance(first_state(show), [], 6.0, show)
    assert state.place.in_pause
    for name, value in (("pause", None), ("rate", 2.0), ("loop", True)):
        assert advance(state, [Command(f"/cineml/transport/{name}", value)], 6.1, show).place.in_pause
    assert advance(state, [Command("/cineml/transport/rate", 2.0)], 6.0, show).place.in_pause
    assert advance(advance(state, [Command("/cineml/transport/loop", True)], 6.5, show), [], 7.0, show).place.frame == 0


def test_an_ended_film_begins_again_with_play():
    show = small_show(loop=False)
    state = advance(advance(first_state(show), [], 9.0, show), [Command("/cineml/transport/pause")], 9.1, show)
    assert state.place.ended
    assert advance(state, [Command("/cineml/transport/play")], 9.2, show).place.frame == 0


@given(st.lists(st.tuples(st.sampled_from(["play", "pause", "stop", "seek_frame", "seek_s", "rate", "loop", "go"]),
                          st.floats(0, 4), st.floats(0, 3)), max_size=30))
def test_whatever_is_asked_the_frame_lies_in_the_film_and_replay_gives_the_same(script):
    show = small_show()

    def run():
        state, now, seen = first_state(show), 0.0, []
        for name, value, wait in script:
            now += wait
            state = advance(state, [Command(f"/cineml/transport/{name}", value)], now, show)
            assert 0 <= state.place.frame < 120
            seen.append((state.place, state.mix, state.transport))
        return seen

    assert run() == run()


def test_show_time_of_a_frame_is_where_place_at_finds_it():
    show = small_show(loop_pause_s=0.7)
    state = advance(first_state(show), [Command("/cineml/transport/seek_frame", 50)], 3.3, show)
    here = place_at(state.transport, 17.0, show)
    for frame in (0, 24, 119):
        at = show_time_of(state.transport, here, frame, show)
        assert place_at(state.transport, at, show).frame == frame


def test_a_shot_of_one_frame_is_a_shot():
    show = small_show((Shot(1, 0, 10), Shot(2, 10, 11), Shot(3, 11, 20)))
    assert [advance(first_state(show), [], k / 24, show).mix.shot.number for k in (9, 10, 11)] == [1, 2, 3]
