"""A show's score: rows that the show cannot play are said where they stand, one wrong row or array hides no other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from player.show.request import Refusal, check_request
from player.show.score import Score, read_score, write_score
from player.show.walk import Walk
from tests.whole_show import changed, made_folder, problems, show_of, the_problem


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with everything that WHOLE names, sound in itself; only the film is not a film."""
    return made_folder(tmp_path)


def rewrite_score(folder: Path, **rows: Any) -> None:
    """Replaces fields of shots s1, s2 ... of the folder's score."""
    score = read_score(folder / "score.toml")
    shots = tuple(replace(s, **rows.get(f"s{s.number}", {})) for s in score.shots)
    write_score(replace(score, shots=shots), folder / "score.toml")


@pytest.mark.parametrize(("row", "says"), [
    ({"entry": "glide"}, "shot 2: entry: is glide, but the shot comes in by a cut"),
    ({"look": "nihgt"}, "shot 2: look: is 'nihgt'; allowed: a [look.NAME] of the show; try: did you mean 'night'?"),
    ({"walk": "w1"}, "shot 2: walk: 'w1' has keys from frame 0 to 47; allowed: a walk that covers the shot's frames 48 to 71"),
    ({"source": "clip", "clip": "none.mp4"}, "shot 2: clip: 'none.mp4' is missing"),
    ({"source": "clip"}, "shot 2: clip: '' is missing"),
    ({"number": 9}, "shot 9: is no shot of the cut list; allowed: shots 1 to 3"),
])
def test_a_score_that_does_not_fit_says_where(folder: Path, row: dict[str, Any], says: str) -> None:
    rewrite_score(folder, s2=row)
    assert any(f"score.toml: {says}" in p for p in problems(folder)), problems(folder)


def test_shots_that_the_score_leaves_out_play_the_shows_source(folder: Path) -> None:
    (folder / "score.toml").write_text(
        "[[shot]]\nnumber = 1\nwalk = 'w1'\n[[shot]]\nnumber = 3\nsource = 'black'\n", encoding="utf-8")
    assert "is generator, but no score names a walk for shot 2" in the_problem(folder)
    show = show_of(folder, changed("source = \"generator\"", "source = \"film\""))
    assert [show.score_shot(n).source for n in (1, 2, 3)] == ["generator", "film", "black"]


def test_clips_are_found_beside_the_score(folder: Path) -> None:
    (folder / "other.mp4").write_bytes(b"film")
    rewrite_score(folder, s2={"source": "clip", "clip": "other.mp4"})
    assert show_of(folder).clips == {2: folder / "other.mp4"}


def test_a_walk_of_one_key_is_a_still(folder: Path) -> None:
    score = read_score(folder / "score.toml")
    still = Walk("w2", np.zeros((1, 1, 4), np.float32), np.array([60]), ("still",))
    write_score(replace(score, walks={**score.walks, "w2": still}), folder / "score.toml")
    show_of(folder)


def test_whether_the_score_is_the_models_is_asked_of_the_opened_model_only(folder: Path) -> None:
    """A model that is cut short has another hash as well; opening it says what is the matter (see test_sources)."""
    (folder / "models" / "synthesis.onnx").write_bytes(b"cut sho")
    show_of(folder)


def test_the_hint_for_a_key_looks_in_its_own_walk_first(folder: Path) -> None:
    names = {"s03": ("s03.f0180", "s03.f0200"), "s20": ("s20.f1599", "s20.f1600")}
    walks = {n: Walk(n, np.zeros((2, 1, 4), np.float32), np.array([0, 9]), keys) for n, keys in names.items()}
    show = replace(show_of(folder), score=Score((), walks))
    asked = check_request("/cineml/latent/key", ["s03.f999"], show)
    assert isinstance(asked, Refusal) and "did you mean 's03." in asked.reason
    elsewhere = check_request("/cineml/latent/key", ["s21.f1600"], show)
    assert isinstance(elsewhere, Refusal) and "'s20.f1600'" in elsewhere.reason


@pytest.mark.parametrize("text", ["[[shot", "", None, "# only a remark"])
def test_the_arrays_of_a_score_are_tried_though_its_text_is_broken_empty_or_gone(folder: Path, text: str | None) -> None:
    (folder / "score.npz").write_bytes(b"not a zip")
    if text is None:
        (folder / "score.toml").unlink()
    else:
        (folder / "score.toml").write_text(text, encoding="utf-8")
    found = problems(folder)
    assert sum("score.npz: cannot be read" in p for p in found) == 1, found
    assert not any("key latent" in p or "play.source" in p for p in found) or text == "# only a remark", found
    (folder / "score.npz").unlink()
    assert not any("score.npz" in p for p in problems(folder)), "whether arrays should be there, nobody can know"


def test_one_wrong_row_hides_no_other(folder: Path) -> None:
    (folder / "score.toml").write_text(
        "[[shot]]\nnumber = 1\nwalk = 'w1'\nentry = 'slide'\n[[shot]]\nnumber = 9\nsource = 'film'\nlook = 'nihgt'\n"
        "[[shot]]\nnumber = 2\nwalk = 'w1'\n[[shot]]\nnumber = 3\nsource = 'clip'\nclip = 'none.mp4'\n", encoding="utf-8")
    (folder / "film.mp4").write_bytes(b"film")
    found = problems(folder)
    assert [p.split(": ", 1)[1] for p in found] == [
        "[[shot]] 1 (shot 1): entry: is 'slide'; allowed: jump, glide; try: did you mean 'glide'?",
        "shot 9: is no shot of the cut list; allowed: shots 1 to 3",
        "shot 9: look: is 'nihgt'; allowed: a [look.NAME] of the show; try: did you mean 'night'?",
        "shot 2: walk: 'w1' has keys from frame 0 to 47; allowed: a walk that covers the shot's frames 48 to 71; "
        "try: make the score again from this cut list",
        "shot 3: clip: 'none.mp4' is missing; allowed: a film file, or a folder of frames such as 000300.png, relative "
        "to the score"]


@pytest.mark.parametrize("rows", ["[[shot]]\nnumber = 1\nsource = 'generatr'", "[[shot]]\nnumber = 1\nsource = 3",
                                  "[[shot]]\nnumber = 1\nsource = 'clip'\nclip = 3",
                                  "[[shot]]\nnumber = 1\nlook = 3\nwalk = 'w1'",
                                  "[[shot]]\nnumber = 1\nwalk = 3", "[[shot]]\nnumber = '1'\nwalk = 'w1'"])
def test_one_wrong_value_of_a_score_is_one_problem(folder: Path, rows: str) -> None:
    """Nothing is said of what follows from a value that nobody could read."""
    rest = "".join(f"[[shot]]\nnumber = {n}\nwalk = 'w{n}'\n" for n in (2, 3))
    (folder / "score.toml").write_text(f"{rows}\n{rest}", encoding="utf-8")
    assert "shot]] 1" in the_problem(folder)


def test_looks_and_clips_of_a_score_are_checked_without_a_cut_list(folder: Path) -> None:
    rewrite_score(folder, s1={"look": "nihgt"}, s2={"source": "clip", "clip": "none.mp4"})
    (folder / "cuts.csv").write_bytes(b"nothing")
    found = "\n".join(problems(folder))
    assert "shot 1: look: is 'nihgt'" in found and "'none.mp4' is missing" in found and "is no shot" not in found


def test_a_cue_is_not_blamed_for_a_score_or_cut_list_that_cannot_be_read(folder: Path) -> None:
    sends = '[["/cineml/latent/key", "w2.a"], ["/cineml/shot/3/go"]]'
    text = changed('[["/cineml/look/select", "night"], ["/cineml/transport/pause"]]', sends)
    show_of(folder, text)
    (folder / "score.npz").write_bytes(b"not a zip")
    (folder / "cuts.csv").write_bytes(b"nothing")
    assert not [p for p in problems(folder, text) if "cue" in p]
