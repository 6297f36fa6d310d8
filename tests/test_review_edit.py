"""What a hand does to cut list and score in a review: each deed alone, the way back, and that a show can play the result."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from player.show.cut_list import CutList, Shot, problems_of
from player.show.problem import ShowError
from player.show.score import Score, ScoreReading, ScoreShot, read_score, write_score
from player.show.score_check import score_problems
from player.show.walk import Walk
from tools.review_deeds import apply
from tools.review_edit import (
    MOST_STEPS,
    History,
    Work,
    is_same_work,
    mark_key,
    move_cut,
    set_in,
    set_lock,
    set_out,
    swap,
)
from tools.review_split import join, split
from tools.review_walks import Candidate, brought_to, candidates, covering, covers

SHOTS = (Shot(1, 0, 24, label="room", group="a"), Shot(2, 24, 48, group="a"), Shot(3, 48, 72, "dissolve", 8),
         Shot(4, 72, 120, out="fade", out_frames=6, out_colour="black", group="a"))  # fmt: skip


def walk_of(shot: Shot, step: int = 6, name: str = "") -> Walk:
    """A walk of its own for a shot: keys every `step` frames and on its last."""
    name = name or f"s{shot.number:02d}"
    frames = np.array(sorted({*range(shot.start, shot.end, step), shot.end - 1}), np.int64)
    keys = np.random.default_rng(shot.number).standard_normal((len(frames), 1, 5)).astype(np.float32)
    return Walk(name, keys, frames, tuple(f"{name}.f{f:04d}" for f in frames))


def work(**rows: object) -> Work:
    walks = {w.name: w for w in map(walk_of, SHOTS)}
    shots = tuple(replace(ScoreShot(s.number, f"s{s.number:02d}"), **rows) for s in SHOTS)  # type: ignore[arg-type]
    return Work(CutList("f.mp4", Fraction(24), 120, SHOTS), Score(shots, walks, "ab" * 32, {"mine": 1}), "generator")


def mends(found: Work) -> list[str]:
    """What a show would say of it."""
    told = problems_of(found.cuts, "cuts")
    if found.score is not None:
        told += score_problems(ScoreReading(found.score, complete=True), None, found.cuts, found.source, (), True, True, "show")
    return [str(p) for p in told]


def ranges(found: Work) -> list[tuple[int, int]]:
    return [(s.start, s.end) for s in found.cuts.shots]


def test_a_nudged_cut_moves_both_its_shots_and_both_walks_reach_it() -> None:
    for by in (-1, 1, -5, 7):
        made = move_cut(work(), 2, 24 + by)
        assert ranges(made)[:2] == [(0, 24 + by), (24 + by, 48)] and not mends(made)
        assert made.score is not None
        assert covers(made.score.walks["s02"], 24 + by, 48) and covers(made.score.walks["s01"], 0, 24 + by)


def test_a_cut_that_would_swallow_a_shot_or_a_dissolve_is_refused_with_the_frames_that_are_left() -> None:
    with pytest.raises(ShowError, match="frames 1 to 47"):
        move_cut(work(), 2, 48)
    with pytest.raises(ShowError, match="frames 25 to 64"):
        move_cut(work(), 3, 65)
    with pytest.raises(ShowError, match="begins where the film does"):
        move_cut(work(), 1, 3)
    with pytest.raises(ShowError, match="there is no shot 9"):
        move_cut(work(), 9, 3)


def test_a_walk_that_two_shots_play_is_copied_before_one_of_them_stretches_it() -> None:
    one = work()
    assert one.score is not None
    shared = replace(one.score, shots=(one.score.shots[0], replace(one.score.shots[1], walk="long"), *one.score.shots[2:-1],
                                       replace(one.score.shots[3], walk="long")),
                     walks={**one.score.walks, "long": walk_of(Shot(7, 24, 120), name="long")})  # fmt: skip
    made = move_cut(replace(one, score=shared), 2, 20)
    assert made.score is not None and made.score.walks["long"] is shared.walks["long"] and made.row(4).walk == "long"
    assert made.row(2).walk == "s02.2" and covers(made.score.walks["s02.2"], 20, 48) and not mends(made)


def test_a_pin_that_falls_out_of_its_shot_is_set_on_the_nearest_frame_inside() -> None:
    made = move_cut(mark_key(work(), 2, "s02.f0024", "pin"), 2, 30)
    assert made.row(2).pin == ("s02.f0024@30",)
    assert move_cut(made, 2, 33).row(2).pin == ("s02.f0024@33",)


def test_a_dissolve_gets_another_length_and_an_entry_that_glides_ends_with_it() -> None:
    gliding = apply(work(), {"deed": "entry", "shot": 3, "entry": "glide"}, lambda *_: None)[0]
    assert gliding.row(3).entry == "glide" and not mends(gliding)
    assert set_in(gliding, 3, "dissolve", 9, "").cuts.shots[2].in_frames == 9
    hard = set_in(gliding, 3, "cut", 5, "white")
    assert hard.cuts.shots[2] == Shot(3, 48, 72) and hard.row(3).entry == "jump" and not mends(hard)
    assert set_in(work(), 1, "fade", 4, "white").cuts.shots[0].in_colour == "white"
    for bad in ((3, "dissolve", 25, ""), (3, "dissolve", 0, ""), (1, "dissolve", 4, ""), (2, "fade", 4, "red"),
                (2, "wipe", 4, "")):  # fmt: skip
        with pytest.raises(ShowError):
            set_in(work(), *bad)
    assert set_out(work(), 4, "cut", 0, "").cuts.shots[3].out == "cut"


def test_split_and_join_bring_back_what_was() -> None:
    one = mark_key(mark_key(work(), 2, "s02.f0030", "pin"), 2, "s02.f0042", "ban")
    made = split(one, 2, 36)
    assert ranges(made) == [(0, 24), (24, 36), (36, 48), (48, 72), (72, 120)] and not mends(made)
    assert [s.number for s in made.cuts.shots] == [1, 2, 3, 4, 5] and made.cuts.shots[3].into == "dissolve"
    assert [made.row(n).walk for n in range(1, 6)] == ["s01", "s02", "s03", "s04", "s05"]
    assert made.row(2).pin == ("s02.f0030",) and made.row(2).ban == () and made.row(3).ban == ("s03.f0042",)
    assert made.score is not None and made.score.walks["s05"].names[0] == "s05.f0072"
    np.testing.assert_array_equal(made.score.walks["s03"].ws_at(40.5), one.score.walks["s02"].ws_at(40.5))  # type: ignore[union-attr]
    back = join(made, 2)
    assert is_same_work(back, one)


def test_a_split_of_a_swapped_shot_plays_on_and_keeps_each_pin_in_its_half() -> None:
    one = mark_key(mark_key(work(), 2, "s02.f0030", "pin"), 2, "s02.f0042", "pin")
    chosen = swap(one, 2, candidates(one.cuts, one.score, 2, None)[1])
    made = split(chosen, 2, 36)
    assert made.row(2).pin == ("s02.f0030",) and made.row(3).pin == ("s02.f0042",) and not mends(made)
    assert made.row(2).lock and made.row(3).lock and made.score is not None and chosen.score is not None
    for walk in (made.row(2).walk, made.row(3).walk):
        np.testing.assert_array_equal(made.score.walks[walk].ws_at(37), chosen.score.walks["s02.swap"].ws_at(37))


def test_two_shots_of_different_walks_join_into_one_that_plays_both() -> None:
    one = work()
    made = join(set_lock(one, 2, True), 1)
    assert ranges(made) == [(0, 48), (48, 72), (72, 120)] and not mends(made) and made.row(1).lock
    assert made.score is not None and sorted(made.score.walks) == ["s01", "s02", "s03"]
    assert made.score.walks["s01"].names[-1] == "s02.f0047" and made.row(3).walk == "s03"
    assert one.score is not None
    for frame in (0, 6, 24, 47):
        before = one.score.walks[f"s0{1 + frame // 24}"].ws_at(frame)
        np.testing.assert_array_equal(made.score.walks["s01"].ws_at(frame), before)
    with pytest.raises(ShowError, match="is the last"):
        join(work(), 4)


def test_keys_that_cues_call_keep_their_names_when_shots_get_other_numbers() -> None:
    made = split(replace(work(), kept=frozenset({"s04.f0072"})), 1, 12)
    assert made.score is not None and made.score.walks["s05"].names[:2] == ("s04.f0072", "s05.f0078")


def test_a_swap_is_the_one_that_remap_would_make_and_can_be_taken_back() -> None:
    one = work()
    listed = candidates(one.cuts, one.score, 2, None)
    assert [c.id for c in listed] == ["score:s01", "score:s04", "score:s03"] and [c.near for c in listed] == [True, True, False]
    made = swap(one, 2, listed[1])
    row = made.row(2)
    assert row.walk == "s02.swap" and row.extra == {"swap": "s04"} and not mends(made) and made.score is not None
    assert "s02" in made.score.walks
    assert made.score.walks["s02.swap"].frames[[0, -1]].tolist() == [24, 55]  # on into the dissolve
    own = next(c for c in candidates(made.cuts, made.score, 2, None) if c.why == "this shot's own")
    assert is_same_work(swap(made, 2, own), one)
    remap_swap = pytest.importorskip("tools.remap_swap", reason="remap needs the studio")
    again = remap_swap.with_swaps(made.score, made.cuts, remap_swap.wanted_swaps(made.score, {}), Path())
    assert is_same_work(replace(made, score=again), made)


def test_what_a_remap_kept_in_its_work_folder_can_be_chosen_and_damage_there_is_passed_over(tmp_path: Path) -> None:
    kept = walk_of(Shot(9, 24, 48))
    np.savez(tmp_path / "s02.npz", keys=kept.keys, frames=kept.frames, told='{"error": 0.25}')
    np.savez(tmp_path / "s03.npz", keys=np.zeros((2, 1, 99), np.float32), frames=np.array([48, 72]))
    (tmp_path / "s04.npz").write_bytes(b"PK\x03\x04 cut short")
    np.savez(tmp_path / "s01.npz", keys=np.array([{}], dtype=object), frames=kept.frames)
    one = work()
    found = [c for c in candidates(one.cuts, one.score, 2, tmp_path) if c.id.startswith("work:")]
    assert [(c.id, c.why) for c in found] == [("work:s02", "this shot's own, as remap kept it, difference 0.250")]
    made = swap(one, 2, found[0])
    assert made.row(2).extra["swap"] == "s02.work" and not mends(made)
    assert made.score is not None and made.score.walks["s02.swap"].frames[0] == 24


def test_a_key_is_pinned_or_banned_or_neither_and_never_both() -> None:
    one = mark_key(work(), 2, "s02.f0030", "pin")
    assert one.row(2).pin == ("s02.f0030",)
    one = mark_key(one, 2, "s02.f0030", "ban")
    assert one.row(2).pin == () and one.row(2).ban == ("s02.f0030",)
    assert mark_key(one, 2, "s02.f0030", "").row(2).ban == ()
    with pytest.raises(ShowError, match="nobody"):
        mark_key(one, 2, "nobody", "pin")


def test_labels_become_one_line_of_letters() -> None:
    made, _ = apply(work(), {"deed": "label", "shot": 1, "text": "  a\nb\ud800\x07 \u00e9 "}, lambda *_: None)
    assert made.cuts.shots[0].label == "a b \u00e9"
    with pytest.raises(ShowError, match="at most 200"):
        apply(work(), {"deed": "group", "shot": 1, "text": "x" * 201}, lambda *_: None)


def test_words_that_are_no_deed_are_refused() -> None:
    for asked in ({}, {"deed": "label"}, {"deed": "explode", "shot": 1}, {"deed": "nudge", "shot": 2, "by": "1"},
                  {"deed": "nudge", "shot": True, "by": 1}, {"deed": "label", "shot": 1, "text": 5},
                  {"deed": "swap", "shot": 1, "candidate": "score:gone"}, {"deed": "in", "shot": 1, "kind": "cut"},
                  {"deed": ["in"], "shot": 1}):  # fmt: skip
        with pytest.raises(ShowError):
            apply(work(), asked, lambda *_: None)


def test_a_show_without_a_score_can_be_cut_and_labelled_but_not_locked() -> None:
    one = replace(work(), score=None)
    assert ranges(split(move_cut(one, 2, 20), 2, 30))[1:3] == [(20, 30), (30, 48)] and ranges(join(one, 1))[0] == (0, 48)
    with pytest.raises(ShowError, match="no score"):
        set_lock(one, 1, True)


def test_undo_and_redo_walk_through_what_was_done_and_a_new_deed_forgets_what_was_undone() -> None:
    one = work()
    history = History(one).done("a", move_cut(one, 2, 23))
    history = history.done("nothing", history.work)
    assert [what for what, _ in history.past] == ["a"]
    history = history.done("b", set_lock(history.work, 1, True))
    back = history.undone().undone().undone()
    assert back.work is one and [what for what, _ in back.future] == ["a", "b"] and not back.past
    assert is_same_work(back.redone().redone().redone().work, history.work)
    assert back.redone().done("c", split(one, 1, 5)).future == ()
    many = History(one)
    for i in range(MOST_STEPS + 20):
        many = many.done("lock", set_lock(many.work, 1, i % 2 == 0))
    assert len(many.past) == MOST_STEPS


DEEDS = st.one_of(
    st.fixed_dictionaries({"deed": st.just("nudge"), "shot": st.integers(1, 7), "by": st.integers(-9, 9)}),
    st.fixed_dictionaries({"deed": st.just("split"), "shot": st.integers(1, 7), "at": st.integers(0, 120)}),
    st.fixed_dictionaries({"deed": st.just("join"), "shot": st.integers(1, 7)}),
    st.fixed_dictionaries({"deed": st.just("in"), "shot": st.integers(1, 7),
                           "kind": st.sampled_from(["cut", "dissolve", "fade"]), "frames": st.integers(0, 12),
                           "colour": st.sampled_from(["", "black"])}),
    st.fixed_dictionaries({"deed": st.just("key"), "shot": st.integers(1, 4),
                           "name": st.sampled_from(["s02.f0030", "s04.f0072"]), "mark": st.sampled_from(["pin", "ban", ""])}),
    st.fixed_dictionaries({"deed": st.just("swap"), "shot": st.integers(1, 7), "candidate": st.integers(0, 9)}))  # fmt: skip


# Another shot had pinned a key of a walk that goes when its own shot is joined and swapped.
PINNED_ELSEWHERE: list[dict[str, object]] = [
    {"deed": "nudge", "shot": 1, "by": 0}, {"deed": "key", "shot": 3, "name": "s02.f0030", "mark": "pin"},
    {"deed": "swap", "shot": 1, "candidate": 0}, {"deed": "join", "shot": 1}, {"deed": "nudge", "shot": 1, "by": 0},
    {"deed": "swap", "shot": 1, "candidate": 0}]  # fmt: skip


@settings(max_examples=60, deadline=None)
@example(PINNED_ELSEWHERE)
@given(st.lists(DEEDS, max_size=12))
def test_whatever_is_done_in_whatever_order_the_show_can_be_played_and_all_of_it_undone(deeds: list[dict[str, object]]) -> None:
    first = work()
    history = History(first)
    for asked in deeds:
        now = history.work

        def choose(number: int, which: str, now: Work = now) -> Candidate | None:
            listed = candidates(now.cuts, now.score, number, None)
            return listed[int(which) % len(listed)] if listed else None

        try:
            made, _ = apply(now, {**asked, "candidate": str(asked.get("candidate", 0))}, choose)
        except ShowError:
            continue
        assert not mends(made), (asked, mends(made))
        assert made.score is not None and all(r.walk in made.score.walks for r in made.score.shots)
        known = set(made.score.key_names())
        assert all(p.partition("@")[0] in known for r in made.score.shots for p in (*r.pin, *r.ban))
        assert len(made.score.shots) == len(made.cuts.shots) == made.cuts.shots[-1].number
        history = history.done(str(asked["deed"]), made)
    while history.past:
        history = history.undone()
    assert history.work is first


def test_a_score_after_deeds_is_read_again_as_it_was_written_unknown_keys_too(tmp_path: Path) -> None:
    one = swap(split(work(), 2, 36), 5, Candidate("score:s01", work().score.walks["s01"], "shot 1", 1))  # type: ignore[union-attr]
    assert one.score is not None
    write_score(one.score, tmp_path / "score.toml")
    back = read_score(tmp_path / "score.toml")
    assert back.extra == {"mine": 1} and is_same_work(replace(one, score=back), one)


def test_walks_are_stretched_only_outwards_and_stills_stay_inside() -> None:
    walk = walk_of(SHOTS[1])
    assert covering(walk, 25, 40) is walk
    assert covering(walk, 20, 50).frames[[0, -1]].tolist() == [20, 49]
    still = Walk("x", walk.keys[:1], np.array([24]), ("x.1",))
    assert covering(still, 30, 40).frames.tolist() == [30] and covers(covering(still, 0, 10), 0, 10)
    assert len(brought_to(walk, "y", 100, 102).frames) == 3 and len(brought_to(walk, "y", 7, 7).frames) == 1
