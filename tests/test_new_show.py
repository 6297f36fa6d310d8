"""`cineml new`: a show of one's own that plays at every stage, and that later steps fill in."""

from __future__ import annotations

import shlex
import tomllib
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from player.__main__ import main as player
from player.show.config import load_show
from player.show.cut_list import CutList, Shot, write_csv
from player.show.problem import ShowError
from player.show.score import read_score, write_score
from player.sources.film_reader import probe_film
from tests.numbered_film import FRAMES, RATE, write_numbered
from tests.tiny_model import write_tiny_generator
from tools import cuts_detect, new_show
from tools.show_file import fill, filled, show_beside


@pytest.fixture
def film(tmp_path: Path) -> Path:
    (tmp_path / "my films").mkdir()
    return write_numbered(tmp_path / "my films" / "Der Läufer.mp4")


def new(*words: object) -> int:
    return new_show.main([str(w) for w in words])


def check(show: Path, *more: object) -> int:
    return player(["check", str(show), "--offscreen", "--no-sound", "--osc-port", "0", *map(str, more)])


def test_a_new_show_plays_the_film_itself(film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "show"
    assert new(film, folder, "--artist", 'An "Artist"', "--licence", "film: CC-BY") == 0
    show = load_show(folder / "show.toml", probe_film)
    assert show.source == "film" and show.film.frames == FRAMES and len(show.cuts.shots) == 1
    assert show.film.path is not None and show.film.path.samefile(film)
    assert show.about["artist"] == 'An "Artist"' and len(show.about["film_sha256"]) == 64
    capsys.readouterr()
    assert check(folder / "show.toml") == 0
    told = capsys.readouterr().out
    assert 'An "Artist"' in told and "film: CC-BY" in told and show.about["film_sha256"] in told


def test_the_command_that_plays_it_can_be_typed_as_it_is_told(
    film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert new(film, tmp_path / "my show's") == 0
    told = capsys.readouterr().out.splitlines()[-1].removeprefix("play it: ")
    assert shlex.split(told) == ["cineml", "play", str(tmp_path / "my show's" / "show.toml")]


def test_cuts_and_a_model_fill_it_in_and_it_plays_free_walks(film: Path, tmp_path: Path) -> None:
    folder, models = tmp_path / "show", write_tiny_generator(tmp_path / "models")
    write_csv(CutList("x", RATE, FRAMES, (Shot(1, 0, 30), Shot(2, 30, 72))), tmp_path / "cuts.csv")
    assert new(film, folder) == 0
    (folder / "show.toml").write_text((folder / "show.toml").read_text() + "\n# mine\n")
    assert new(film, folder, "--cuts", tmp_path / "cuts.csv") == 0
    assert new(film, folder, "--model", models) == 0
    show = load_show(folder / "show.toml", probe_film)
    assert show.source == "generator" and show.score is not None and [s.end for s in show.cuts.shots] == [30, 72]
    assert {n: (int(w.frames[0]), int(w.frames[-1])) for n, w in show.score.walks.items()} == {"s01": (0, 29), "s02": (30, 71)}
    keys = show.score.walks["s02"].keys
    assert np.abs(keys[0] - keys[-1]).max() > 0.01, "two seeds are two latents"
    assert check(folder / "show.toml") == 0
    assert "# mine" in (folder / "show.toml").read_text()
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    assert new(film, folder, "--model", models) == 0, "a second run changes nothing"
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before


def test_cuts_that_are_detected_into_its_folder_are_its_cuts(film: Path, tmp_path: Path) -> None:
    folder = tmp_path / "show"
    assert new(film, folder) == 0
    assert cuts_detect.main([str(film), "-o", str(folder / "cuts.csv"), "--no-page"]) == 0
    assert 'cuts = "cuts.csv"  # cineml cuts detect' in (folder / "show.toml").read_text()
    assert check(folder / "show.toml") == 0


def test_a_show_can_be_carried_elsewhere_when_film_and_model_are_copied(film: Path, tmp_path: Path) -> None:
    folder, models = tmp_path / "show", write_tiny_generator(tmp_path / "models")
    assert new(film, folder, "--model", models, "--copy") == 0
    moved = folder.rename(tmp_path / "moved")
    film.unlink()
    assert check(moved / "show.toml") == 0


def test_bad_input_is_named_at_once_and_nothing_is_written(
    film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "show"
    assert new(tmp_path / "none.mp4", folder, "--model", tmp_path, "--cuts", tmp_path / "none.csv", "--title", " ") == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 5 and all("Traceback" not in line for line in told)
    write_csv(CutList("x", Fraction(25), 50, (Shot(1, 0, 50),)), tmp_path / "cuts.csv")
    assert new(film, folder, "--cuts", tmp_path / "cuts.csv") == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 2 and "72" in told[0] and "25" in told[1] and not folder.exists()
    assert new(film.parent, folder) == 2 and "folder of frames" in capsys.readouterr().err
    assert new(film, film) == 2 and "is a file" in capsys.readouterr().err
    folder.mkdir()
    (folder / "show.toml").write_text('name = "by hand"\n')
    assert new(film, folder) == 2 and "did not write" in capsys.readouterr().err
    assert (folder / "show.toml").read_text() == 'name = "by hand"\n'


def test_another_cut_list_is_never_written_over(film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "show"
    for name, end in (("a.csv", 30), ("b.csv", 31)):
        write_csv(CutList("x", RATE, FRAMES, (Shot(1, 0, end), Shot(2, end, 72))), tmp_path / name)
    assert new(film, folder, "--cuts", tmp_path / "a.csv") == 0
    kept = (folder / "cuts.csv").read_bytes()
    assert new(film, folder, "--cuts", tmp_path / "b.csv") == 2 and "another cut list" in capsys.readouterr().err
    assert (folder / "cuts.csv").read_bytes() == kept


def test_every_order_of_the_steps_leaves_a_show_that_plays(film: Path, tmp_path: Path) -> None:
    models = write_tiny_generator(tmp_path / "models")
    write_csv(CutList("x", RATE, FRAMES, (Shot(1, 0, 30), Shot(2, 30, 72))), tmp_path / "cuts.csv")
    assert new(film, tmp_path / "a", "--model", models) == 0
    score = read_score(tmp_path / "a" / "score.toml")
    rows = tuple(replace(s, extra={"note": "mine"}) for s in score.shots)
    write_score(replace(score, shots=rows), tmp_path / "a" / "score.toml")
    (tmp_path / "a" / "score.toml").write_text("# mine\n" + (tmp_path / "a" / "score.toml").read_text())
    assert new(film, tmp_path / "a", "--cuts", tmp_path / "cuts.csv") == 0
    assert new(film, tmp_path / "b", "--model", models) == 0
    assert cuts_detect.main([str(film), "-o", str(tmp_path / "b" / "cuts.csv"), "--no-page"]) == 0
    for folder in (tmp_path / "a", tmp_path / "b"):
        show = load_show(folder / "show.toml", probe_film)
        assert show.source == "generator" and show.score is not None and len(show.score.shots) == len(show.cuts.shots) > 1
        assert check(folder / "show.toml") == 0
    assert (tmp_path / "a" / "score.toml").read_text().startswith("# mine\n")
    after = read_score(tmp_path / "a" / "score.toml")
    assert after.shots[0].extra == {"note": "mine"} and [int(w.frames[-1]) for w in after.walks.values()] == [29, 71]
    other = write_tiny_generator(tmp_path / "other", licence="another")
    assert new(film, tmp_path / "a", "--model", other) == 0 and check(tmp_path / "a" / "show.toml") == 0, "free walks of it"


def test_a_score_that_is_more_than_free_walks_is_left_alone(
    film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models, folder = write_tiny_generator(tmp_path / "models"), tmp_path / "show"
    write_csv(CutList("x", RATE, FRAMES, (Shot(1, 0, 30), Shot(2, 30, 72))), tmp_path / "cuts.csv")
    assert new(film, folder, "--model", models) == 0
    write_score(replace(read_score(folder / "score.toml"), extra={"made_by": "a person"}), folder / "score.toml")
    kept = (folder / "score.toml").read_bytes(), (folder / "score.npz").read_bytes()
    assert new(film, folder, "--cuts", tmp_path / "cuts.csv") == 0
    other = write_tiny_generator(tmp_path / "other", licence="another")
    capsys.readouterr()
    assert new(film, folder, "--model", other) == 2
    told = capsys.readouterr().err
    assert "walks of another model" in told and told.count("\n") == 1
    assert kept == ((folder / "score.toml").read_bytes(), (folder / "score.npz").read_bytes())


def test_a_show_keeps_its_film_and_name(film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "show"
    assert new(film, folder, "--name", "One") == 0
    before = (folder / "show.toml").read_bytes()
    other = write_numbered(tmp_path / "other.mp4", frames=48)
    assert new(other, folder, "--name", "Two", "--title", "x") == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 2 and "'Two'" in told[0] and "another film" in told[1]
    assert (folder / "show.toml").read_bytes() == before
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(film.read_bytes())
    assert new(copy, folder, "--name", "One", "--title", "x") == 0, "the same film elsewhere"


def test_the_same_cut_list_in_other_bytes_is_the_same(film: Path, tmp_path: Path) -> None:
    folder, cuts = tmp_path / "show", tmp_path / "cuts.csv"
    write_csv(CutList("x", RATE, FRAMES, (Shot(1, 0, 30), Shot(2, 30, 72))), cuts)
    assert new(film, folder, "--cuts", cuts) == 0
    kept = (folder / "cuts.csv").read_bytes()
    cuts.write_bytes(b"\xef\xbb\xbf" + cuts.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
    assert new(film, folder, "--cuts", cuts) == 0 and (folder / "cuts.csv").read_bytes() == kept


def test_a_checkpoint_given_as_a_model_is_told_how_to_export(
    film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "model.safetensors").write_bytes(b"x")
    assert new(film, tmp_path / "show", "--model", tmp_path / "run") == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "is a checkpoint" in told and f"cineml gan export {tmp_path / 'run'} -o" in told
    assert "--model models" in new_show.EXAMPLES


@pytest.mark.parametrize(("before", "after"), [
    ('[play]\nsource = "film"  # why\n', '[play]\nsource = "generator"  # why\n'),
    ("[play]\nsource='film'\nloop = true\n", '[play]\nsource="generator"\nloop = true\n'),
    ('[play]\n# source = "film" # asleep\n\n[sound]\n', '[play]\nsource = "generator" # asleep\n\n[sound]\n'),
    ("[play]\nloop = true\n", '[play]\nsource = "generator"\nloop = true\n'),
    ('name = "x"\n[[cue]]\nsource = 1', 'name = "x"\n[[cue]]\nsource = 1\n\n[play]\nsource = "generator"\n'),
])  # fmt: skip
def test_a_value_is_changed_where_it_stands_and_all_else_is_left(before: str, after: str) -> None:
    assert filled(before, {("play", "source"): "generator"}) == after
    assert tomllib.loads(after)["play"]["source"] == "generator"


@pytest.mark.parametrize("text", ['play = { source = "film" }\n', 'play.source = "film"\n', 'play = 3\n',
                                  '[play]\n"source" = "film"\n'])  # fmt: skip
def test_a_show_that_is_written_another_way_is_left_as_it_is_with_a_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "show.toml").write_text(text)
    with pytest.raises(ShowError, match="left as it is"):
        fill(tmp_path / "show.toml", {("play", "source"): "generator"})
    assert (tmp_path / "show.toml").read_text() == text and show_beside(tmp_path / "score.toml") is None


def test_the_card_is_one_page_that_says_where_the_show_comes_from(
    film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = write_tiny_generator(tmp_path / "models", licence="CC0 <script>", run={"tool": "cineml gan train", "kimg": 12.5})
    folder = tmp_path / "show"
    assert new(film, folder, "--model", models, "--title", "<b>Lauf</b>") == 0
    (film.parent / "other.mp4").write_bytes(film.read_bytes())
    text = (folder / "show.toml").read_text()
    sha = load_show(folder / "show.toml", probe_film).about["film_sha256"]
    (folder / "show.toml").write_text(text.replace(sha, "0" * 64))
    card = tmp_path / "card.html"
    assert check(folder / "show.toml", "--card", card) == 0
    page = card.read_text(encoding="utf-8")
    assert "&lt;b&gt;Lauf&lt;/b&gt;" in page and "<script" not in page and "http" not in page
    assert "CC0 &lt;script&gt;" in page and "12.5" in page and sha in page
    assert "not the film of" in page and "000000" in page
    assert check(folder / "show.toml", "--card", tmp_path) == 2 and "--card" in capsys.readouterr().err
