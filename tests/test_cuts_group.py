"""Groups of shots that return to a set-up: found, labelled, and a person's labels kept."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from player.recorder import Recorder
from player.show.cut_list import CutList, Shot, read_csv, write_csv
from tools import cuts_group
from tools.cuts_alike import clusters_of, components, letters, shot_distances, threshold_for
from tools.cuts_record import corrected_by_hand, record_path
from tools.cuts_suite import scene

RATE = Fraction(24)
SETUPS = (1, 2, 1, 3, 2, 4, 5, 1)  # the scene that each shot shows
LENGTH = 16


def group(*argv: object) -> int:
    return cuts_group.main([str(a) for a in argv])


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight shots of five set-ups; where one returns, its figures are elsewhere and the camera stands a little off."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    takes: dict[int, int] = {}
    with Recorder(path, (192, 144), RATE) as r:
        for i, seed in enumerate(SETUPS):
            take = takes[seed] = takes.get(seed, -1) + 1
            light = scene(200 + seed, LENGTH * 3, lambda k: (2.0, 0.1 * k))[take * LENGTH : (take + 1) * LENGTH]
            for k, frame in enumerate(np.clip(np.rint(light * (1 - 0.08 * take)), 0, 255).astype(np.uint8)):
                r.add(np.ascontiguousarray(frame), i * LENGTH + k)
    return path


@pytest.fixture
def cuts(tmp_path: Path) -> Path:
    path = tmp_path / "cuts.csv"
    shots = tuple(Shot(i + 1, i * LENGTH, (i + 1) * LENGTH, label=f"shot, {i}") for i in range(len(SETUPS)))
    write_csv(CutList("film.mp4", RATE, len(SETUPS) * LENGTH, shots), path)
    return path


def labels(path: Path) -> list[str]:
    return [s.group for s in read_csv(path).shots]


def test_shots_that_return_to_a_set_up_share_a_label_and_others_do_not(film: Path, cuts: Path) -> None:
    assert group(film, cuts) == 0
    assert labels(cuts) == ["A", "B", "A", "C", "B", "D", "E", "A"]
    assert [s.label for s in read_csv(cuts).shots][2] == "shot, 2"
    with Image.open(cuts.with_name("cuts.groups.png")) as sheet:
        assert sheet.size[0] > 500 and sheet.size[1] > 300
    assert sorted(p.name for p in cuts.parent.iterdir()) == ["cuts.csv", "cuts.csv.json", "cuts.groups.png"]


def test_a_persons_labels_stay_and_draw_the_shots_that_look_alike(film: Path, cuts: Path,
                                                                  capsys: pytest.CaptureFixture[str]) -> None:
    assert group(film, cuts) == 0
    text = cuts.read_text().replace('"shot, 2",A', '"shot, 2",kitchen').replace('"shot, 5",D', '"shot, 5",C')
    cuts.write_text("# mine: a remark\n" + text)
    assert group(film, "--cuts", cuts, "--json") == 0
    told = json.loads(capsys.readouterr().out.partition("{")[2].join(["{", ""]))
    assert told["by_hand"] == [3, 6]
    assert labels(cuts) == ["kitchen", "B", "kitchen", "A", "B", "C", "E", "kitchen"], "shot 4 alone lost its label"
    assert "# mine: a remark" in cuts.read_text()
    again = cuts.read_text()
    assert group(film, cuts) == 0 and cuts.read_text() == again, "the same, run after run"


def test_two_labels_of_a_person_are_never_joined(film: Path, cuts: Path) -> None:
    text = cuts.read_text().replace('"shot, 0",', '"shot, 0",one').replace('"shot, 7",', '"shot, 7",two')
    cuts.write_text(text)
    assert group(film, cuts) == 0
    made = labels(cuts)
    assert made[0] == "one" and made[7] == "two" and made[2] in ("one", "two")
    assert made[1] == made[4] and made[1] not in ("one", "two")


def test_grouping_a_list_that_was_detected_is_no_correction_by_hand(film: Path, tmp_path: Path) -> None:
    from tools import cuts_detect

    out = tmp_path / "c.csv"
    assert cuts_detect.main([str(film), "-o", str(out), "--no-page"]) == 0
    assert [s.start for s in read_csv(out).shots] == [i * LENGTH for i in range(len(SETUPS))]
    assert group(film, out) == 0 and not corrected_by_hand(out)
    assert json.loads(record_path(out).read_text())["groups"]["0"] == "A"
    out.write_text(out.read_text().replace(",A\n", ",hall\n", 1))
    assert corrected_by_hand(out)
    assert group(film, out) == 0 and corrected_by_hand(out) and labels(out)[0] == "hall"


def test_a_part_is_grouped_and_the_rest_is_left_alone(film: Path, cuts: Path) -> None:
    assert group(film, cuts, "--start", f"{4 * LENGTH}f", "-o", cuts.with_name("part.csv"), "--threshold", "0") == 0
    assert labels(cuts) == [""] * 8
    assert labels(cuts.with_name("part.csv")) == ["", "", "", "", "A", "B", "C", "D"]
    assert group(film, cuts, "-o", cuts.with_name("part.csv")) == 2, "it is somebody's by now"


@pytest.mark.parametrize(("argv", "said"), [
    (["FILM"], "CUTS"), (["FILM", "none.csv"], "cannot be read"), (["FILM", "CUTS", "--threshold", "nan"], "0 to 2"),
    (["FILM", "CUTS", "--sheet", "x.jpg"], ".png"), (["none.mp4", "CUTS"], "does not exist"), (["FILM", "OTHER"], "128"),
    (["FILM", "CUTS", "--start", "127f"], "no shot begins"),
])
def test_bad_input_is_one_sentence_and_the_list_stays(film: Path, cuts: Path, argv: list[str], said: str,
                                                     capsys: pytest.CaptureFixture[str]) -> None:
    other = cuts.with_name("other.csv")
    write_csv(CutList("x", RATE, 90, (Shot(1, 0, 90),)), other)
    before = {p.name: p.read_bytes() for p in cuts.parent.iterdir()}
    names = {"FILM": str(film), "CUTS": str(cuts), "OTHER": str(other), "none.csv": str(cuts.with_name("none.csv")),
             "x.jpg": str(cuts.with_name("x.jpg")), "none.mp4": str(cuts.with_name("none.mp4"))}
    assert group(*[names.get(a, a) for a in argv]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
    assert {p.name: p.read_bytes() for p in cuts.parent.iterdir()} == before


def test_clusters_keep_what_was_given() -> None:
    d = np.array([[0, 0.1, 0.9, 0.9], [0.1, 0, 0.9, 0.9], [0.9, 0.9, 0, 0.3], [0.9, 0.9, 0.3, 0]], np.float32)
    assert clusters_of(d, 0.2, ["", "", "", ""]) == [0, 0, 1, 2]
    assert clusters_of(d, 0.5, ["", "", "", ""]) == [0, 0, 1, 1]
    assert clusters_of(d, 0.5, ["x", "y", "", ""]) == [0, 1, 2, 2]
    assert clusters_of(d, 0.0, ["x", "", "x", ""]) == [0, 1, 0, 2]
    assert threshold_for(4 * d) == pytest.approx(0.6 * 4 * float(np.quantile([0.1, 0.9, 0.3], 0.05)), abs=1e-6)
    assert threshold_for(np.zeros((1, 1), np.float32)) > 0
    assert letters({"B"})[:3] == ["A", "C", "D"] and letters(set())[26] == "AA"


def test_distances_are_of_the_likest_frames_and_empty_films_break_nothing() -> None:
    rng = np.random.default_rng(2)
    one, two = rng.normal(0, 1, (1, 40)), rng.normal(0, 1, (1, 40))
    frames = np.concatenate([one + 0.01, two, one, rng.normal(0, 1, (2, 40))]).astype(np.float32)
    d = shot_distances((frames, frames), np.array([0, 0, 1, 1, 2]))
    assert d[0, 1] < 0.1 < 0.5 < d[0, 2] and np.allclose(d, d.T) and (np.diagonal(d) == 0).all()
    assert components(np.zeros((3, 10), np.float32)).shape[0] == 3
    assert np.isfinite(shot_distances((np.zeros((3, 2), np.float32), np.zeros((3, 1), np.float32)), np.array([0, 1, 2]))).all()


def test_the_shots_of_the_demo_film_that_return_are_in_one_group(repo: Path, tmp_path: Path) -> None:
    folder = repo / "show_configs" / "demo"
    if not (folder / "cuts.csv").is_file():
        pytest.skip("the demo show has not been made")
    truth = read_csv(folder / "cuts.csv")
    path = tmp_path / "cuts.csv"
    write_csv(replace(truth, shots=tuple(replace(s, group="", label="") for s in truth.shots)), path)
    assert group(folder / "film.mp4", path) == 0
    made = labels(path)
    walks = [s.number for s in truth.shots if s.group == "walk"]
    assert len(walks) == 2 and len({made[n - 1] for n in walks}) == 1
    for a, b in zip(made, made[1:], strict=False):
        assert a != b, "neighbours are different set-ups"
