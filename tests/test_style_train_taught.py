"""cineml style train: who teaches, what each frame of a row learns, and options with which nothing would be learnt."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from models.checkpoint import save_checkpoint
from models.network_config import GeneratorConfig
from models.perception import Perception
from models.stylegan2 import Generator
from player.show.problem import ShowError
from tests.small_judges import small_discriminator
from tests.taught import draw_film, draw_paintings, lay_any_strokes, paint, words
from tools import style_train
from tools.style_train_options import options_from
from tools.style_train_pictures import chosen

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(style_train, "write_page", lambda folder: None)
    lay_any_strokes(monkeypatch)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_film(tmp_path_factory.mktemp("film"))


@pytest.fixture(scope="module")
def paintings(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return draw_paintings(tmp_path_factory.mktemp("paintings"))


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint whose discriminator judges."""
    folder = tmp_path_factory.mktemp("judge") / "checkpoint"
    config = GeneratorConfig(resolution=16, channels=3, z_dim=8, w_dim=8, mapping_layers=1, channel_base=64, channel_max=8)
    save_checkpoint(folder, Generator(config), small_discriminator())
    return folder


def log_of(run: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def told(capsys: pytest.CaptureFixture[str]) -> str:
    """The one sentence of the error."""
    said = capsys.readouterr().err.strip()
    assert len(said.splitlines()) == 1, said
    return said


def test_a_network_alone_teaches_and_nothing_is_painted(film: Path, paintings: list[Path], judge: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert style_train.main(words(film, paintings, run, "--steps", "2", "--network", str(judge), "--no-optimiser")) == 0
    assert {"content", "style", "bounds", "noise"} <= set(log_of(run)[-1]) and not (run / "teacher").exists()
    assert json.loads((run / "options.json").read_text())["run"]["taught_by"] == "a network"


def test_a_network_that_judges_comes_to_the_gpu_that_trains(film: Path, paintings: list[Path], judge: Path, tmp_path: Path,
                                                            monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    moved: list[Any] = []

    def here(self: Perception, device: Any) -> Perception:
        moved.append(device)
        return self

    for name, value in (("is_available", lambda: True), ("device_count", lambda: 1), ("set_device", lambda device: None)):
        monkeypatch.setattr(torch.cuda, name, value)
    monkeypatch.setattr(Perception, "to", here)
    words_ = words(film, paintings, tmp_path / "run", "--network", str(judge), "--no-optimiser", "--dry-run")
    assert style_train.main([*words_, "--device", "cuda"]) == 0 and moved == [torch.device("cuda", 0)]


def test_frames_in_a_row_teach_more_than_their_first_ones(film: Path, paintings: list[Path], tmp_path: Path) -> None:
    lines = []
    for name, count in (("one", "1"), ("three", "3")):
        paint(tmp_path / name, ["across_strokes", "down"], [0, 1, 2, 3, 4, 5])
        assert style_train.main(words(film, paintings, tmp_path / name, "--steps", "1", "--sequence", count)) == 0
        lines.append(log_of(tmp_path / name)[-1])
    assert set(lines[0]) == set(lines[1]) and lines[0]["pixel"] != lines[1]["pixel"]


def test_from_a_recurrent_network_needs_frames_in_a_row(film: Path, paintings: list[Path], tmp_path: Path,
                                                        capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    for name in ("first", "next"):
        paint(tmp_path / name, ["across_strokes", "down"], chosen(6, 0, None, 2, 2))
    row = ["--sequence", "2"]
    assert style_train.main(words(film, paintings, tmp_path / "first", "--steps", "1", "--recurrent", *row)) == 0
    capsys.readouterr()
    like = words(film, paintings, tmp_path / "next", "--steps", "1", "--from", str(tmp_path / "first"))
    assert style_train.main(like) == 2
    said = told(capsys)
    assert "first: is recurrent" in said and "--sequence 2" in said and not (tmp_path / "next" / "checkpoint").exists()
    assert style_train.main([*like, *row]) == 0


@pytest.mark.parametrize(("more", "part"), [
    ([f"--{n}-weight=0" for n in ("broad", "pixel", "patches", "form")], "are all 0"),
    (["--no-optimiser", "--network", "vgg.pth", "--content-weight", "0", "--style-weight", "0"], "--style-weight are all 0"),
    (["--style-share", "0.5"], "without --from"), (["--names", "a,.."], "'..'"), (["--names", ".,b"], "'.'")])  # fmt: skip
def test_options_that_teach_or_do_nothing_are_refused(film: Path, paintings: list[Path], tmp_path: Path, more: list[str],
                                                      part: str, capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    assert style_train.main(words(film, paintings, tmp_path / "run", "--steps", "1", *more)) == 2
    assert part in told(capsys) and not (tmp_path / "run").exists()


def test_one_loss_of_a_teacher_is_enough(film: Path, paintings: list[Path], tmp_path: Path) -> None:
    none = [f"--{n}-weight=0" for n in ("broad", "pixel", "patches", "form")]
    options_from([*words(film, paintings, tmp_path / "run"), *none, "--critic-weight", "0.05"])
    options_from([*words(film, paintings, tmp_path / "run"), *none, "--network", "vgg.pth"])
    with pytest.raises(ShowError, match="all 0"):
        options_from([*words(film, paintings, tmp_path / "run"), *none, "--content-weight", "1"])
