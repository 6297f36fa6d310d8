"""Clips and mixed shots in a review: seen as they play, and edited so that they still play."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from player.show.config import load_show
from player.show.score import read_score, write_score
from player.sources.film_reader import probe_film
from tests.review_show import FRAMES, write_show
from tools.review_pictures import Painter, sized, stamp, to_bytes, to_light
from tools.review_session import Session


def paint(folder: Path, first: int, end: int, add: int = 0) -> Path:
    """PNGs of one grey each, 2 px a frame's number lighter than black."""
    folder.mkdir(exist_ok=True)
    for n in range(first, end):
        Image.new("RGB", (32, 24), (2 * n + add,) * 3).save(folder / f"{n:06d}.png")
    return folder


def grey(value: object) -> np.ndarray:
    return np.asarray(value, np.uint8)


def opened(tmp_path: Path, **rows: dict[str, Any]) -> tuple[Session, Painter]:
    """The small show with other values in the rows of its shots (s1 = {...}), under review."""
    path = write_show(tmp_path / "show")
    text = path.parent / "score.toml"
    score = read_score(text)
    write_score(replace(score, shots=tuple(replace(r, **rows.get(f"s{r.number}", {})) for r in score.shots)), text)
    session = Session(path)
    return session, Painter(session.show)


def test_a_folder_of_frames_is_seen_by_the_films_numbers_and_from_the_shots_first_frame_on(tmp_path: Path) -> None:
    paint(tmp_path / "all", 0, FRAMES)
    paint(tmp_path / "two", 0, 8, 100)
    session, painter = opened(tmp_path, s1={"source": "clip", "clip": "../all"}, s2={"source": "clip", "clip": "../two"},
                              s4={"source": "clip", "clip": "../all"})  # fmt: skip
    assert not session.problems
    for frame, value in ((0, 0), (11, 22), (12, 100), (19, 114), (33, 66)):
        made = painter.remake(session.work, frame)
        assert made.shape == (*painter.size[::-1], 3) and np.array_equal(np.unique(made), grey([value])), frame
    assert np.array_equal(np.unique(painter.remake(session.work, 39)), grey([78])), "it holds the film's own fade"
    session.edit({"deed": "split", "shot": 1, "at": 6})
    assert [painter.remake(session.work, f).max() for f in (5, 6, 11)] == [10, 12, 22], "shots have other numbers now"
    painter.close()


def test_a_clip_of_one_shot_is_faded_and_dissolved_and_a_film_of_the_shows_length_is_not(tmp_path: Path) -> None:
    paint(tmp_path / "four", 1, 9, 150)
    session, painter = opened(tmp_path, s3={"source": "clip", "clip": "film.mp4"}, s4={"source": "clip", "clip": "../four"})
    faded = session.work.cuts.mix_at(39).fade
    assert 0 < faded < 1
    expected = to_bytes(np.float32(faded) * to_light(grey([[[166] * 3]])))
    assert np.array_equal(np.unique(painter.remake(session.work, 39)), np.unique(expected))
    assert np.array_equal(painter.remake(session.work, 30), painter.film(30))
    assert session.work.score is not None
    old = to_light(painter.latent(session.work.score.walks["s02"].ws_at(21)))
    mixed = to_bytes(np.float32(0.4) * to_light(painter.film(21)) + np.float32(0.6) * old)
    assert abs(painter.remake(session.work, 21).astype(int) - mixed).max() <= 1
    painter.close()


def test_two_sources_are_mixed_in_linear_light_by_their_key_points(tmp_path: Path) -> None:
    paint(tmp_path / "all", 0, FRAMES, 20)
    keys = ((0, 1.0), (8, 0.0))
    session, painter = opened(tmp_path, s1={"source": "clip", "clip": "../all", "under": "generator", "mix": keys})
    walk = session.work.score.walks["s01"]  # type: ignore[union-attr]
    for frame, weight in ((0, 1.0), (2, 0.75), (6, 0.25), (9, 0.0)):
        over = np.full((*painter.size[::-1], 3), 2 * frame + 20, np.uint8)
        under = painter.latent(walk.ws_at(frame))
        mixed = to_bytes(np.float32(weight) * to_light(over) + np.float32(1 - weight) * to_light(under))
        assert abs(painter.remake(session.work, frame).astype(int) - mixed).max() <= 1, frame
    before = stamp(session.work, 1)
    for change in ({"mix": 0.5}, {"under": "black"}, {"under": "", "mix": 1.0}):
        score = session.work.score
        assert score is not None
        changed = replace(score, shots=(replace(score.shots[0], **change), *score.shots[1:]))
        assert stamp(replace(session.work, score=changed), 1) != before
    paint(tmp_path / "other", 0, 1)
    (tmp_path / "other" / "000000.png").replace(tmp_path / "all" / "000000.png")  # painted again
    assert stamp(session.work, 1) != before and painter.remake(session.work, 0).max() == 0
    painter.close()


def test_a_mixed_shot_still_plays_after_its_cuts_were_moved_and_its_walk_swapped(tmp_path: Path) -> None:
    paint(tmp_path / "all", 0, FRAMES)
    mixed = {"source": "clip", "clip": "../all", "under": "generator", "mix": 0.5}
    session, painter = opened(tmp_path, s1=mixed, s2=mixed)
    for deed in ({"deed": "nudge", "shot": 2, "by": -3}, {"deed": "nudge", "shot": 3, "by": 1},
                 {"deed": "split", "shot": 1, "at": 4}, {"deed": "swap", "shot": 3, "candidate": "score:s04"},
                 {"deed": "join", "shot": 1}):  # fmt: skip
        session.edit(deed)
        assert not session.problems, (deed, session.problems)
        load_show(session.show.path, probe_film)
    row = session.work.row(2)
    assert (row.source, row.under, row.mix, row.walk) == ("clip", "generator", 0.5, "s02.swap")
    shown = session.state()["shots"][1]
    assert shown["sources"] == ("clip", "generator") and shown["mix"] == "0.5"
    assert session.details(2)["keys"]
    painter.close()


def test_a_clip_that_is_gone_or_damaged_costs_a_sentence_and_not_the_page(tmp_path: Path) -> None:
    from player.show.problem import ShowError

    paint(tmp_path / "all", 0, FRAMES)
    session, painter = opened(tmp_path, s1={"source": "clip", "clip": "../all"})
    (tmp_path / "all" / "000003.png").write_bytes(b"no picture")
    assert painter.remake(session.work, 3).max() == 4, "as it would play: the frame before it"
    for path in (tmp_path / "all").iterdir():
        path.unlink()
    with pytest.raises(ShowError, match="holds no numbered PNG"):
        painter.remake(session.work, 3)
    (tmp_path / "all").rmdir()
    with pytest.raises(ShowError, match="all"):
        painter.remake(session.work, 3)
    assert sized(painter.film(3), painter.size).any()
    painter.close()
