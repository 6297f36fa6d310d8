"""What may be asked from outside: types, ranges, names; and the page that says so."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from player.control.parameters import Rejection, parse, parse_noted, reference_page, told_position, told_values
from player.show.parameter import TABLE, WINDOW, find
from player.show.request import REACHABLE
from player.show.score import Score, ScoreShot
from player.show.show import Look, Show, Stylizer
from player.show.walk import Walk
from player.state import Command, advance, first_state
from tests.small_shows import small_show

WALK = Walk("a", np.zeros((2, 1, 4), np.float32), np.array([0, 23]), ("a.first", "a.last"))
SHOW = small_show(looks={"night": Look("night", {"grain": 0.5})}, score=Score((ScoreShot(1, "a"),), {"a": WALK}),
                  stylizer=Stylizer(), styles=("1", "ink"))


def value_of(address: str, *args: Any, show: Show = SHOW) -> Any:
    made = parse(address, args, show, "test")
    assert isinstance(made, Command), made
    return made.value


def reason_of(address: str, *args: Any, show: Show = SHOW) -> str:
    made = parse(address, args, show, "test")
    assert isinstance(made, Rejection), made
    return made.reason


def concrete(address: str) -> str:
    return address.replace("*", "1")


def an_argument(address: str) -> Sequence[Any]:
    p = find(address)
    assert p is not None
    return {"trigger": (), "float": (0.5,), "int": (1,), "bool": (True,), "text": ("",)}[p.kind]


@pytest.mark.parametrize("address", [concrete(p.address) for p in REACHABLE])
def test_every_reachable_parameter_takes_its_own_kind_and_changes_the_state(address: str) -> None:
    made = parse(address, an_argument(address), SHOW, "test")
    assert isinstance(made, Command)
    state = first_state(SHOW)
    assert advance(state, [made], 0.1, SHOW).refresh == state.refresh + 1


def test_styles_are_the_loaded_shows() -> None:
    assert value_of("/cineml/style/ink/weight", 0.5) == 0.5
    assert "the show has no style 'inc'; did you mean 'ink'" in reason_of("/cineml/style/inc/weight", 0.5)
    assert "the show has no style 'ink'" in reason_of("/cineml/style/ink/offset", 0.5, show=small_show())
    assert "is no address" in reason_of("/cineml/style/in k/weight", 0.5)


def test_every_address_of_the_design_is_there() -> None:
    wanted = [f"/cineml/transport/{n}" for n in ("play", "pause", "stop", "go", "seek_s", "seek_frame", "rate", "loop")]
    wanted += ["/cineml/shot/1/go", "/cineml/look/select"]
    wanted += [f"/cineml/output/{n}" for n in ("blackout", "freeze", "fade")]
    wanted += [f"/cineml/latent/{n}" for n in ("truncation", "walk_offset", "freedom", "noise_seed", "noise_amount", "key")]
    wanted += [f"/cineml/sound/{n}" for n in ("volume", "mute", "delay_ms")]
    assert [a for a in wanted if find(a) is None] == []


def test_a_whole_number_does_for_a_number_but_not_the_other_way_round() -> None:
    assert value_of("/cineml/output/fade", 1) == 1.0
    assert isinstance(value_of("/cineml/output/fade", 1), float)
    assert "whole number" in reason_of("/cineml/transport/seek_frame", 10.0)
    assert "not a truth value" in reason_of("/cineml/output/fade", True)
    assert "not a text" in reason_of("/cineml/output/fade", "0.5")


def test_truth_values_may_be_0_and_1() -> None:
    assert [value_of("/cineml/sound/mute", v) for v in (True, False, 0, 1, 1.0)] == [True, False, False, True, True]
    assert "T or F" in reason_of("/cineml/sound/mute", 2)
    assert "T or F" in reason_of("/cineml/sound/mute", "T")
    assert "T or F" in reason_of("/cineml/sound/mute", math.nan)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, 10**400])
def test_what_is_no_number_is_refused_as_value_and_as_glide(number: float) -> None:
    assert "takes a number" in reason_of("/cineml/output/fade", number)
    assert "glide" in reason_of("/cineml/output/fade", 0.5, number)


def test_a_seek_past_the_films_end_is_clipped_to_it_and_reported() -> None:
    show = small_show()
    for name, asked, value, note in (("seek_frame", 120, 119, "120 clipped to 119"), ("seek_frame", 119, 119, ""),
                                     ("seek_s", 5.5, 5.0, "5.5 clipped to 5"), ("seek_s", 5.0, 5.0, "")):
        command, told = parse_noted(f"/cineml/transport/{name}", [asked], show, "test")
        assert isinstance(command, Command) and (command.value, told) == (value, note)


def test_a_shots_number_is_written_in_one_way() -> None:
    show = small_show()
    assert isinstance(parse("/cineml/shot/5/go", [], show, "test"), Command)
    told = parse("/cineml/shot/05/go", [], show, "test")
    assert isinstance(told, Rejection) and "without zeros before it: 5" in told.reason


def test_numbers_outside_their_range_are_clipped_and_reported() -> None:
    made, note = parse_noted("/cineml/output/fade", [1.5, 90.0], SHOW, "test")
    assert isinstance(made, Command) and (made.value, made.glide_s) == (1.0, 60.0)
    assert note == "1.5 clipped to 1; glide 90 clipped to 60 s"
    assert value_of("/cineml/latent/noise_seed", -5) == 0
    assert value_of("/cineml/sound/delay_ms", -5000) == -1000.0


def test_only_what_glides_takes_a_glide() -> None:
    made = parse("/cineml/look/grain", [0.5, 0], SHOW, "test")
    assert isinstance(made, Command) and made.glide_s == 0.0
    assert "one value" in reason_of("/cineml/sound/delay_ms", 5.0, 1.0)
    assert "one value" in reason_of("/cineml/sound/mute", True, 1.0)
    assert "takes no argument" in reason_of("/cineml/transport/play", 1)
    assert "not 0 arguments" in reason_of("/cineml/output/fade")
    assert "not 3 arguments" in reason_of("/cineml/output/fade", 1.0, 1.0, 1.0)


def test_names_are_those_of_the_loaded_show_only() -> None:
    assert value_of("/cineml/look/select", "night") == "night"
    assert value_of("/cineml/look/select", "") == ""
    assert "did you mean 'night'" in reason_of("/cineml/look/select", "nigth")
    assert value_of("/cineml/latent/key", "a.last") == "a.last"
    assert "no key latent" in reason_of("/cineml/latent/key", "/etc/passwd")
    assert "no key latent" in reason_of("/cineml/latent/key", "a.last", show=small_show())
    assert "shots 1 to 5" in reason_of("/cineml/shot/6/go")
    assert "shots 1 to 5" in reason_of("/cineml/shot/0/go")
    assert "shots 1 to 5" in reason_of(f"/cineml/shot/{'9' * 5000}/go")


@pytest.mark.parametrize("address", ["/cineml/shot/*/go", "/cineml/shot/x/go", "/cineml/shot/²/go", "/cineml/shot/-1/go",
                                     "/cineml/nothing", "/", "", "/cineml/look/*", *[p.address for p in WINDOW]])
def test_what_is_no_address_and_what_is_the_operators_is_refused(address: str) -> None:
    reason_of(address)


def test_a_misspelt_address_names_the_nearest() -> None:
    assert "/cineml/output/blackout" in reason_of("/cineml/output/blackot", True)


VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.binary(max_size=8))


@given(st.sampled_from([*(concrete(p.address) for p in TABLE), "/cineml/x"]), st.lists(VALUES, max_size=3))
def test_whatever_is_asked_the_answer_is_a_sound_command_or_a_reason(address: str, args: list[Any]) -> None:
    made = parse(address, args, SHOW, "test")
    if isinstance(made, Rejection):
        assert made.reason
        return
    p = find(address)
    assert p is not None and p not in WINDOW
    if p.kind in ("float", "int"):
        assert isinstance(made.value, float if p.kind == "float" else int)
        assert p.low is not None and p.high is not None and p.low <= made.value <= p.high
    assert made.glide_s is None or 0 <= made.glide_s <= 60
    advance(first_state(SHOW), [made], 0.1, SHOW)


def test_the_state_is_told_under_the_addresses_that_set_it() -> None:
    state = first_state(SHOW)
    told = dict(told_values(state))
    for p in REACHABLE:
        if p.kind != "trigger" and not p.name.startswith("seek"):
            address = concrete(p.address)
            assert address in told
            if p.default is not None:
                assert type(told[address]) is type(p.default), p.address
    assert told["/cineml/look/select"] == "" and told["/cineml/transport/rate"] == 1.0
    assert dict(told_position(state, SHOW))["/cineml/position/shot"] == 1


def test_the_reference_page_is_the_tables(repo: Path) -> None:
    page = reference_page()
    assert (repo / "docs" / "OSC.md").read_text(encoding="utf-8") == page, (
        "write it again: python -c \"from player.control.parameters import reference_page; "
        "open('docs/OSC.md', 'w').write(reference_page())\"")
    for p in TABLE:
        names = [f"`{p.address.replace('*', name)}`" in page for name in ("NUMBER", "NAME")]
        assert any(names) == (p not in WINDOW), p.address
