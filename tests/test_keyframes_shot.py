"""One shot from its keys: strokes go where the film goes, a stopped pass goes on as if it had not stopped, masks hold."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("cv2")
pytest.importorskip("numba")

from player.show.problem import ShowError
from tests.painted_clip import HEIGHT, WIDTH, Engine, frame, painted, stand_in
from tools import patch_engine
from tools.keyframes_kept import Folder, Memory
from tools.keyframes_options import Options
from tools.keyframes_pass import labels
from tools.keyframes_shot import made_frames, propagate_shot, segments, steps_for

DRAFT = Options(preset="draft", threads=1)
FRAMES = [frame(n) for n in range(8)]


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    return stand_in(monkeypatch)


def off(a: np.ndarray, b: np.ndarray) -> float:
    """Mean difference in levels."""
    return float(np.abs(a.astype(int) - b).mean())


def test_strokes_go_where_the_film_goes() -> None:
    """With the engine itself."""
    keys = {1: painted(FRAMES[1]), 6: painted(FRAMES[6])}
    found = list(propagate_shot(FRAMES, keys, DRAFT))
    assert [f for f, _ in found] == list(range(8))
    assert all(np.array_equal(found[k][1], keys[k]) for k in keys)
    for n, picture in found:
        assert picture.shape == (HEIGHT, WIDTH, 3) and picture.dtype == np.uint8
        assert off(picture, painted(FRAMES[n])) < 7, n
        assert off(picture, painted(FRAMES[n])) < off(painted(FRAMES[1 if n < 4 else 6]), painted(FRAMES[n])) or n in keys


def test_the_pictures_are_the_same_on_any_number_of_threads() -> None:
    keys = {1: painted(FRAMES[1])}
    one, two = ([p for _, p in propagate_shot(FRAMES[:4], keys, Options(preset="draft", threads=t))] for t in (1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))


def test_segments_cover_a_shot_once() -> None:
    found = segments([5, 2], 8)
    assert [(s.before, s.after, s.span) for s in found] == [(None, 2, range(2)), (2, 5, range(2, 5)), (5, None, range(5, 8))]
    assert [s.span for s in segments([0], 1)] == [range(1)]


@pytest.mark.parametrize(("keys", "wanted"), [
    ([0], range(8)), ([3], range(8)), ([1, 6], range(8)), ([1, 6], range(3, 5)), ([0, 7], range(7, 8)), ([2], range(0, 1)),
    ([1, 4, 6], range(4, 6)),
])  # fmt: skip
def test_as_many_syntheses_are_promised_as_are_made(engine: Engine, keys: list[int], wanted: range) -> None:
    made = list(made_frames(FRAMES, {k: painted(FRAMES[k]) for k in keys}, DRAFT, wanted=wanted))
    assert [m.frame for m in made] == list(wanted)
    assert engine.calls == steps_for(keys, 8, wanted, DRAFT)


def test_a_part_of_a_shot_is_made_as_in_the_whole_shot(engine: Engine) -> None:
    keys = {0: painted(FRAMES[0]), 7: painted(FRAMES[7])}
    whole = dict(propagate_shot(FRAMES, keys, DRAFT))
    part = dict(propagate_shot(FRAMES, keys, DRAFT, wanted=range(1, 5)))
    assert set(part) == {1, 2, 3, 4} and all(np.array_equal(whole[n], part[n]) for n in part)


@pytest.mark.parametrize("stop_after", [2, 7, 9])
@pytest.mark.parametrize("keys", [(0, 7), (3,)])
def test_a_stopped_shot_goes_on_to_the_very_same_pictures(engine: Engine, tmp_path: Path, stop_after: int,
                                                           keys: tuple[int, ...]) -> None:  # fmt: skip
    given = {k: painted(FRAMES[k]) for k in keys}
    whole = {m.frame: m for m in made_frames(FRAMES, given, DRAFT)}
    total, engine.calls, engine.stop_after = engine.calls, 0, min(stop_after, engine.calls - 1)
    store, got = Folder(tmp_path / "work"), {}
    with pytest.raises(KeyboardInterrupt):
        for m in made_frames(FRAMES, given, DRAFT, store=store):
            got[m.frame] = m
    before, engine.stop_after = engine.calls, 10**9
    ticks: list[bool] = []
    rest = range(len(got), 8)
    for m in made_frames(FRAMES, given, DRAFT, store=store, wanted=rest, tick=lambda _, new: ticks.append(new)):
        got[m.frame] = m
    assert engine.calls == total and sum(ticks) == total - before
    assert all(np.array_equal(got[n].picture, whole[n].picture) for n in range(8))
    assert not list(store.names())  # all that was kept for it is gone


def test_a_lost_file_of_the_work_costs_time_and_nothing_else(engine: Engine, tmp_path: Path) -> None:
    given = {0: painted(FRAMES[0]), 7: painted(FRAMES[7])}
    whole = dict(propagate_shot(FRAMES, given, DRAFT))
    engine.calls, engine.stop_after = 0, 9
    store = Folder(tmp_path / "work")
    with pytest.raises(KeyboardInterrupt):
        list(made_frames(FRAMES, given, DRAFT, store=store))
    engine.stop_after = 10**9
    (tmp_path / "work" / "k000000-f000002.npz").write_bytes(b"half a file")
    got = dict(propagate_shot(FRAMES, given, DRAFT, store=store))
    assert all(np.array_equal(got[n], whole[n]) for n in range(8))


def test_a_mask_of_the_key_is_carried_to_frames_that_have_none(engine: Engine) -> None:
    engine.masks = []
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[16:36, 6:22] = 255
    masks: list[np.ndarray | None] = [mask, None, None, None]
    list(propagate_shot(FRAMES[:4], {0: painted(FRAMES[0])}, DRAFT, masks))
    own, theirs = engine.masks[-1]
    assert np.array_equal(own, mask)
    assert theirs[26, 8] == 0 and theirs[26, 24] == 255  # 6 pixels further to the right


def test_transparent_parts_of_a_key_show_the_film_itself(engine: Engine) -> None:
    alpha = np.zeros((HEIGHT, WIDTH), np.uint8)
    alpha[12:40, 2:26] = 255
    key = np.where(alpha[..., None] > 0, painted(FRAMES[0]), FRAMES[0])
    options = Options(preset="draft", threads=1, over_film=True)
    found = dict(propagate_shot(FRAMES[:4], {0: key}, options, key_masks={0: alpha}))
    assert off(found[3][:, 44:], FRAMES[3][:, 44:]) < 0.5
    assert off(found[3][20:32, 16:24], painted(FRAMES[3])[20:32, 16:24]) < 12


def test_the_films_luminance_is_kept_where_it_is_asked_for(engine: Engine) -> None:
    keys = {0: painted(FRAMES[0])}
    plain = dict(propagate_shot(FRAMES[:3], keys, DRAFT))
    kept = dict(propagate_shot(FRAMES[:3], keys, Options(preset="draft", threads=1, keep="luminance")))
    assert all(off(plain[n], kept[n]) > 3 for n in range(3))


def test_a_black_frame_is_an_error(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def black(style: np.ndarray, guides: Any, settings: Any, **more: Any) -> Any:
        height, width = style.shape[:2]
        return SimpleNamespace(picture=np.zeros_like(style), field=np.full((height, width, 2), -50, np.int32),
                               error=np.zeros((height, width), np.float32))  # fmt: skip

    monkeypatch.setattr(patch_engine, "synthesise", black)
    with pytest.raises(ShowError, match="came out black"):
        list(propagate_shot(FRAMES[:3], {0: painted(FRAMES[0])}, DRAFT))


@pytest.mark.parametrize(("keys", "text"), [
    ({}, "without a key"), ({9: painted(FRAMES[0])}, "a key at 9"), ({0: painted(FRAMES[0])[:20]}, "for frames of"),
])  # fmt: skip
def test_keys_that_are_no_frames_of_the_shot_are_refused(keys: dict[int, np.ndarray], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        list(propagate_shot(FRAMES, keys, DRAFT))


def test_what_is_kept_comes_back_and_half_a_file_counts_as_none(tmp_path: Path) -> None:
    for store in (Memory(), Folder(tmp_path / "work")):
        assert store.get("a") is None
        store.put("a", {"x": np.arange(5), "y": np.eye(2, dtype=np.float32)})
        got = store.get("a")
        assert got is not None and np.array_equal(got["x"], np.arange(5)) and got["y"].dtype == np.float32
        store.drop("a")
        assert store.get("a") is None
    (tmp_path / "work" / "b.npz").write_bytes(b"PK\x03\x04 no more")
    assert Folder(tmp_path / "work").get("b") is None


def test_soft_masks_are_cut_at_the_middle_and_labels_stay() -> None:
    assert set(np.unique(labels(np.array([[0, 100, 200, 255]], np.uint8)))) == {0, 255}
    assert np.array_equal(labels(np.array([[0, 1, 2]], np.uint8)), [[0, 1, 2]])
