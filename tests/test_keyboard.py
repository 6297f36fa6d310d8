"""Keys: what each asks for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from player.control.keyboard import KEYS, commands_for, help_text
from player.show.parameter import find
from player.state import Command, ShowState, advance, first_state
from tests.small_shows import small_show

SHOW = small_show()


def asked(*keys: str, state: ShowState | None = None) -> list[tuple[str, object]]:
    return [(c.address, c.value) for c in commands_for(keys, state or first_state(SHOW), SHOW)]


def after(*keys: str, state: ShowState | None = None) -> ShowState:
    start = state or first_state(SHOW)
    return advance(start, commands_for(keys, start, SHOW), start.show_time_s, SHOW)


def test_every_key_of_the_help_does_something_that_the_table_knows() -> None:
    for key, _ in KEYS:
        made = commands_for([key], first_state(SHOW), SHOW)
        assert made and all(find(c.address) is not None and c.fired_by == "keyboard" for c in made), key
        assert f"\n{key}" in "\n" + help_text()


def test_space_pauses_and_plays() -> None:
    paused = after("space")
    assert not paused.transport.playing
    assert after("space", state=paused).transport.playing
    assert asked("space", "space") == [("/cineml/transport/pause", None), ("/cineml/transport/play", None)]


def test_space_at_the_end_of_a_film_that_does_not_loop_plays_it_again() -> None:
    once = small_show(loop=False)
    ended = advance(first_state(once), [], 100.0, once)
    assert ended.place.ended
    again = advance(ended, commands_for(["space"], ended, once), 100.0, once)
    assert again.transport.playing and again.place.frame == 0 and not again.place.ended


def test_arrows_go_from_shot_to_shot_and_round() -> None:
    assert after("right").place.frame == SHOW.cuts.shots[1].start
    assert after("right", "right").place.frame == SHOW.cuts.shots[2].start
    assert after("left").place.frame == SHOW.cuts.shots[-1].start
    once = replace(first_state(SHOW), transport=replace(first_state(SHOW).transport, loop=False))
    assert asked("left", state=once) == [("/cineml/shot/1/go", None)]


def test_arrows_leave_a_paused_film_paused() -> None:
    stepped = after("right", state=after("space"))
    assert stepped.place.frame == SHOW.cuts.shots[1].start and not stepped.transport.playing


def test_arrows_after_stop_play() -> None:
    stopped = advance(first_state(SHOW), [Command("/cineml/transport/stop")], 1.0, SHOW)
    gone = advance(stopped, commands_for(["right"], stopped, SHOW), 1.0, SHOW)
    assert gone.transport.playing and not gone.stopped


def test_volume_goes_by_steps_and_stops_at_its_ends() -> None:
    assert asked("up") == [("/cineml/sound/volume", 1.0)]
    assert asked("down", "down") == [("/cineml/sound/volume", 0.95), ("/cineml/sound/volume", 0.9)]
    assert asked("down", state=replace(first_state(SHOW), volume=0.02)) == [("/cineml/sound/volume", 0.0)]


@pytest.mark.parametrize(("key", "field"), [("b", "blackout"), ("h", "overlay"), ("m", "mute"), ("f", "fullscreen")])
def test_toggles_turn_on_and_off(key: str, field: str) -> None:
    on = after(key)
    assert getattr(on, field) is True
    assert getattr(after(key, state=on), field) is False
    assert getattr(after(key, key), field) is False


def test_esc_leaves_full_screen_first_and_then_quits() -> None:
    full = after("f")
    windowed = after("esc", state=full)
    assert not windowed.fullscreen and not windowed.quit
    assert after("esc", state=windowed).quit
    assert after("close", state=full).quit


def test_keys_that_mean_nothing_ask_for_nothing() -> None:
    assert asked("q", "", "x") == []
