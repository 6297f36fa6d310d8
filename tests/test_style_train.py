"""cineml style train and distill, end to end on a film of a few small frames."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from models.stylizer import Stylizer, StylizerConfig
from models.stylizer_checkpoint import load_stylizer
from models.stylizer_form import DIRECTIONS
from player.show.problem import ShowError
from tests.taught import SIDE, SMALL, draw_film, draw_paintings, lay_any_strokes, paint, words
from tools import style_distill, style_distill_report, style_train
from tools.paint_options import PaintOptions
from tools.paint_style import read_painting
from tools.style_train_canvas import lay_strokes
from tools.style_train_options import arguments, options_from
from tools.style_train_pictures import chosen, read_clips
from tools.style_train_step import NotFiniteError, Training
from tools.style_train_transfer import start_like

WAYS = [["--sequence", "2", "--flow-weight", "50"], ["--sequence", "2", "--recurrent", "--flow-weight", "50"],
        ["--architecture", "johnson", "--norm", "affine"], ["--shift-weight", "2", "--tv-weight", "0.1"]]  # fmt: skip


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Strokes of a canvas that nobody had to paint, and no pages; tests of the real ones have them in their names."""
    if not any(word in request.node.name for word in ("report", "no_number")):
        monkeypatch.setattr(style_train, "write_page", lambda folder: None)
        monkeypatch.setattr(style_distill, "write_page", lambda folder: None)
    if "real_strokes" not in request.node.name:
        lay_any_strokes(monkeypatch)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_film(tmp_path_factory.mktemp("film"))


@pytest.fixture(scope="module")
def paintings(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return draw_paintings(tmp_path_factory.mktemp("paintings"))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run's folder in which a person has painted the frames of both styles."""
    paint(tmp_path / "run", ["across_strokes", "down"], [1, 4])
    return tmp_path / "run"


def state_of(run: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(run / "state.safetensors")


def test_a_run_leaves_a_network_previews_a_log_and_a_report(film: Path, paintings: list[Path], run: Path,
                                                            capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    assert style_train.main(words(film, paintings, run, "--steps", "4")) == 0
    net, config, about = load_stylizer(run)
    assert config.styles == ("across_strokes", "down") and config.width == 4
    assert about["run"]["steps"] == 4 and about["run"]["film"] == film.name and len(about["hashes"]["down"]) == 64
    assert sorted(p.name for p in (run / "previews").iterdir()) == ["0000002.png", "0000004.png"]
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert lines[-1]["step"] == 4 and {"broad", "patches", "noise"} <= set(lines[-1])
    options = json.loads((run / "options.json").read_text())
    assert options["options"]["steps"] == 4 and options["versions"]["torch"]
    page = (run / "report.html").read_text()
    assert "previews/0000004.png" in page and "http" not in page.replace("http-equiv", "")
    assert Image.open(run / "report.png").width > 500
    assert Image.open(run / "styles" / "down.png").size == (64, 64) or (run / "styles" / "down.png").is_file()
    assert (run / "frames" / "000001.png").is_file() and not list(run.rglob("*.part"))
    assert "cineml style export" in capsys.readouterr().out


def test_the_optimiser_paints_what_nobody_has_painted_and_another_run_takes_it(
        film: Path, paintings: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    first, second = tmp_path / "a", tmp_path / "b"
    assert style_train.main(words(film, paintings[:1], first, "--steps", "1")) == 0
    painted = sorted((first / "teacher" / "across_strokes").iterdir())
    assert [p.name for p in painted] == ["000001.png", "000004.png"]
    mine = Image.new("RGB", (SIDE + 8, SIDE), (255, 0, 0))
    mine.save(painted[0])
    assert style_train.main(words(film, paintings, second, "--steps", "1", "--teacher", str(first), "--seed", "2")) == 0
    assert (second / "teacher" / "across_strokes" / "000001.png").read_bytes() == painted[0].read_bytes()
    assert (second / "teacher" / "down" / "000004.png").is_file()
    more = ["--steps", "1", "--teacher", str(first), "--scale", "0.5"]
    assert style_train.main(words(film, paintings[:1], tmp_path / "c", *more)) == 2
    said = capsys.readouterr().err
    assert "was painted otherwise (styles across_strokes differ)" in said and not (tmp_path / "c").exists()
    more = ["--steps", "1", "--teacher", str(first), "--frames", "1"]
    assert style_train.main(words(film, paintings[:1], tmp_path / "c", *more)) == 2
    assert "(frames differ)" in (said := capsys.readouterr().err) and "the same --frames, --start" in said


def test_a_resumed_run_is_the_run_that_was_never_stopped(film: Path, paintings: list[Path], tmp_path: Path) -> None:
    for name in ("whole", "parts"):
        paint(tmp_path / name, ["across_strokes", "down"], [1, 4])
    assert style_train.main(words(film, paintings, tmp_path / "whole", "--steps", "4")) == 0
    # The rate follows from the asked length, so the first part is a run of 4 steps that is stopped after 2.
    kept = Training.step

    def stopped(self: Training, progress: float) -> dict[str, float]:
        if self.step_number == 2:
            raise KeyboardInterrupt
        return kept(self, progress)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Training, "step", stopped)
        assert style_train.main(words(film, paintings, tmp_path / "parts", "--steps", "4")) == 130
    assert style_train.main(["-o", str(tmp_path / "parts"), "--resume"]) == 0, "the options are the run's"
    whole, parts = state_of(tmp_path / "whole"), state_of(tmp_path / "parts")
    assert whole.keys() == parts.keys()
    assert [k for k in whole if not k.startswith("random.") and not torch.equal(whole[k], parts[k])] == []


def test_two_runs_that_differ_in_a_weight_see_the_same_crops(film: Path, paintings: list[Path], tmp_path: Path) -> None:
    seen: dict[str, list[torch.Tensor]] = {}
    kept = Training.losses

    for name, more in (("with", []), ("without", ["--noise-weight", "0"])):
        paint(tmp_path / name, ["across_strokes", "down"], [1, 4])
        frames = seen[name] = []

        def watched(self: Training, batch, frames=frames):  # type: ignore[no-untyped-def]
            frames.append(batch.frames.clone())
            found = kept(self, batch)
            frames.append(torch.rand(1))  # what is drawn after the losses
            return found

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Training, "losses", watched)
            assert style_train.main(words(film, paintings, tmp_path / name, "--steps", "2", *more)) == 0
    assert all(torch.equal(a, b) for a, b in zip(seen["with"], seen["without"], strict=True))


def lose(monkeypatch: pytest.MonkeyPatch, lost: Callable[[Training], bool]) -> None:
    """The loss of patches is no number from now on where `lost` says so."""
    kept = Training.losses

    def bad(self: Training, batch):  # type: ignore[no-untyped-def]
        found, made = kept(self, batch)
        return (found | {"patches": found["patches"] * torch.nan}, made) if lost(self) else (found, made)

    monkeypatch.setattr(Training, "losses", bad)


def test_a_loss_that_is_no_number_stops_the_run_with_the_last_snapshot(film: Path, paintings: list[Path], run: Path,
                                                                       capsys: pytest.CaptureFixture[str],
                                                                       monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    lose(monkeypatch, lambda training: training.step_number == 3)
    assert style_train.main(words(film, paintings, run, "--steps", "6")) == 2
    told = capsys.readouterr().err.strip().splitlines()[-1]
    assert "patches" in told and "step 4" in told and "snapshot of step 2 is kept" in told
    net, _, about = load_stylizer(run)
    assert about["run"]["steps"] == 2 and all(torch.isfinite(p).all() for p in net.parameters())
    assert issubclass(NotFiniteError, ArithmeticError) and (run / "report.html").is_file()


def test_what_is_kept_of_a_run_that_was_lost_goes_on_at_a_smaller_rate(film: Path, paintings: list[Path], run: Path,
                                                                       capsys: pytest.CaptureFixture[str],
                                                                       monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    """Weights whose next loss is no number are never kept: --resume would fall over the same step again."""
    lose(monkeypatch, lambda training: training.step_number >= 4 and training.recipe.lr > 0.001)
    assert style_train.main(words(film, paintings, run, "--steps", "6", "--lr", "0.01")) == 2  # step 4 is due to be kept
    told = capsys.readouterr().err.strip().splitlines()[-1]
    assert "step 5" in told and "snapshot of step 2 is kept" in told and "--resume" in told
    assert load_stylizer(run)[2]["run"]["steps"] == 2
    assert style_train.main(["-o", str(run), "--resume", "--lr", "0.0005"]) == 0
    assert load_stylizer(run)[2]["run"]["steps"] == 6


def test_from_another_run_only_the_styles_learn_at_first(film: Path, paintings: list[Path], run: Path, tmp_path: Path,
                                                         capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    assert style_train.main(words(film, paintings, run, "--steps", "1")) == 0
    paint(tmp_path / "next", ["down", "new"], [1, 4])
    assert style_train.main(words(film, paintings, tmp_path / "next", "--names", "down,new", "--steps", "2", "--from", str(run),
                                  "--style-share", "1", "--width", "8", "--architecture", "johnson")) == 0  # fmt: skip
    assert "its own architecture student, width 4 is taken" in capsys.readouterr().out
    (old, before, _), (net, config, about) = load_stylizer(run), load_stylizer(tmp_path / "next")
    assert config.styles == ("down", "new") and before.width == config.width and about["run"]["from"] == "run"
    own = {id(p) for p in net.style_parameters()}
    was = dict(old.named_parameters())
    for name, parameter in net.named_parameters():
        if id(parameter) not in own:
            assert torch.equal(parameter, was[name]), name
    start = dict(start_like(run, config.styles).named_parameters())
    assert any(not torch.equal(p, start[n]) for n, p in net.named_parameters() if id(p) in own)
    assert torch.equal(start["gains"][0], old.gains[1]) and torch.equal(start["gains"][1], old.gains.mean(dim=0))


@pytest.mark.parametrize("more", WAYS, ids=lambda words: words[0])
def test_every_way_of_training_takes_its_steps(film: Path, paintings: list[Path], run: Path, more: list[str]) -> None:
    numbers = chosen(6, 0, None, 2, 2 if "--sequence" in more else 1)
    for folder in (run / "teacher").iterdir():
        for old, new in zip([1, 4], numbers, strict=True):
            (folder / f"{old:06d}.png").rename(folder / f"{new:06d}.png")
    assert style_train.main(words(film, paintings, run, "--steps", "2", *more)) == 0
    last = json.loads((run / "log.jsonl").read_text().splitlines()[-1])
    assert ("flow" in last) == ("--flow-weight" in more) and ("tv" in last) == ("--tv-weight" in more)


def test_a_canvas_begins_with_real_strokes_of_each_painting_in_their_colours(paintings: list[Path]) -> None:
    net = Stylizer(StylizerConfig(width=4, blocks=1, styles=("a", "b"), canvas=3))
    options = PaintOptions(preset="draft", threads=1)
    ticks: list[int] = []
    lay_strokes(net, [read_painting(p) for p in paintings], options, 96 * 96, ticks.append)
    assert ticks == list(range(1, 2 * DIRECTIONS + 1)), "slow enough to be told how far it is"
    planes = F.pixel_shuffle(net.canvas.detach(), 4)[0]  # [3 D, 256, 256]
    assert planes.std(dim=(1, 2)) == pytest.approx(1, abs=0.1)
    for style in range(2):
        level, upright = (planes[style * DIRECTIONS + k] for k in (0, DIRECTIONS // 2))
        steep = [(p.diff(dim=0).square().mean() / p.diff(dim=1).square().mean()).item() for p in (level, upright)]
        assert steep[0] > 1.3 and steep[1] < 1 / 1.3, "level strokes change from row to row, upright ones along it"
    inside = (planes[:, 1:] - planes[:, :-1]).abs().mean()
    assert (planes[:, 0] - planes[:, -1]).abs().mean() < 2 * inside, "it repeats without a seam"
    assert net.brush is not None
    betas = net.brush.norm.betas.detach()
    own = [betas[s, 3 + 3 * s : 6 + 3 * s] for s in range(2)]
    assert own[0][0] > own[0][2] > 0 and own[1][2] > own[1][0] > 0, "orange strokes and blue ones"
    assert betas.count_nonzero() == 6


def test_clips_lie_evenly_over_the_film_and_carry_the_flow(film: Path) -> None:
    assert chosen(100, 10, 20, 5, 1) == [11, 13, 15, 17, 19] and chosen(3, 0, None, 10, 2) == [0, 1]
    footage, clips = read_clips(film, None, None, None, 2, 2, 640)
    assert footage.frames == 6 and [c.numbers for c in clips] == [(1, 2), (3, 4)]
    disc = np.zeros((SIDE, SIDE + 8), bool)
    disc[28:36, 24:30] = True
    assert np.median(clips[0].flows[0][disc][:, 0]) == pytest.approx(-3, abs=1)


def test_black_frames_teach_nothing_and_others_of_their_part_of_the_film_take_their_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    rng = np.random.default_rng(0)
    for n in range(40):
        black = n in (15, 25) or n >= 30
        picture = np.zeros((48, 64, 3), np.uint8) if black else rng.integers(90, 200, (48, 64, 3), dtype=np.uint8)
        Image.fromarray(picture).save(tmp_path / f"{n:06d}.png")
    _, clips = read_clips(tmp_path, None, None, None, 4, 1, 640)
    assert [c.numbers[0] // 10 for c in clips] == [0, 1, 2] and all(c.frames.max() > 0 for c in clips)
    assert clips[0].numbers == (5,) and "1 of 4 frames are left out" in capsys.readouterr().out
    with pytest.raises(ShowError, match="black"):
        read_clips(tmp_path, None, "30f", None, 4, 1, 640)


def test_a_students_report_states_size_speed_and_quality_of_both(film: Path, paintings: list[Path], run: Path, tmp_path: Path,
                                                                 capsys: pytest.CaptureFixture[str],
                                                                 monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setattr(style_distill_report, "SIZE", (96, 64))
    assert style_train.main(words(film, paintings, run, "--steps", "1", "--architecture", "johnson", "--width", "8")) == 0
    student = tmp_path / "student"
    assert style_distill.main([str(run), "--film", str(film), "-o", str(student), "--frames", "2", "--steps", "2",
                               "--width", "4", *SMALL]) == 0  # fmt: skip
    report = json.loads((student / "report.json").read_text())
    assert report["teacher"]["gflop"] > 8 * report["student"]["gflop"] > 0
    assert all(report[s][k] > 0 for s in ("teacher", "student") for k in ("ms", "style", "content", "sharpness", "parameters"))
    assert report["style_of"] == "the painting" and report["run"]["distilled_from"] == load_stylizer(run)[2]["sha256"]
    assert Image.open(student / "comparison.png").width > 300
    told = capsys.readouterr().out
    assert "times fewer" in told and "features" in (student / "log.jsonl").read_text()
    assert load_stylizer(student)[1].styles == ("across_strokes", "down")


def test_the_optimisers_pictures_teach_a_student_too(film: Path, paintings: list[Path], run: Path, tmp_path: Path,
                                                     capsys: pytest.CaptureFixture[str],
                                                     monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setattr(style_distill_report, "SIZE", (96, 64))
    assert style_train.main(words(film, paintings, run, "--steps", "1")) == 0
    words_ = [str(run / "teacher"), "--film", str(film), "-o", str(tmp_path / "s"), "--steps", "2", "--width", "4", *SMALL]
    assert style_distill.main(words_) == 0
    assert json.loads((tmp_path / "s" / "report.json").read_text())["teacher"]["gflop"] is None
    assert style_distill.main([*words_, "--resume"]) == 0, "at its end already"
    assert style_distill.main(words_) == 2 and "holds a run already" in capsys.readouterr().err


def test_every_wrong_option_is_named_at_once(tmp_path: Path) -> None:
    painting = tmp_path / "p.png"
    with pytest.raises(ShowError) as error:
        options_from(["--film", "f", "--style", str(painting), str(painting), "-o", str(tmp_path / "r"), "--crop", "30",
                      "--lr", "nan", "--flow-weight", "1", "--no-optimiser"])  # fmt: skip
    told = str(error.value)
    for part in ("--crop", "--lr", "--flow-weight", "--no-optimiser", "two paintings are named p"):
        assert part in told, part
    with pytest.raises(ShowError, match="one each"):
        options_from(["--film", "f", "--style", str(painting), "-o", "r", "--names", "a,b"])
    with pytest.raises(ShowError, match="is missing"):
        options_from(["--film", "f", "-o", "r"])


@pytest.mark.parametrize(("style", "film_name", "part"), [
    ("missing.png", None, "missing.png"), ("tiny.png", None, "tiny.png"), (None, "nothing.mp4", "nothing.mp4"),
    (None, "text.mp4", "text.mp4")])  # fmt: skip
def test_bad_input_is_one_sentence_and_makes_nothing(film: Path, paintings: list[Path], tmp_path: Path, style: str | None,
                                                     film_name: str | None, part: str,
                                                     capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    Image.new("RGB", (8, 8)).save(tmp_path / "tiny.png")
    (tmp_path / "text.mp4").write_text("no film")
    source = film if film_name is None else tmp_path / film_name
    chosen_style = paintings[:1] if style is None else [tmp_path / style]
    assert style_train.main(words(source, chosen_style, tmp_path / "run", "--steps", "1")) == 2
    told = capsys.readouterr().err.strip()
    assert part in told and len(told.splitlines()) == 1 and not (tmp_path / "run").exists()


def test_a_file_in_the_runs_place_and_a_run_that_is_there_are_refused(film: Path, paintings: list[Path], run: Path,
                                                                      tmp_path: Path,
                                                                      capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    (tmp_path / "file").write_text("mine")
    assert style_train.main(words(film, paintings, tmp_path / "file", "--steps", "1")) == 2
    assert (tmp_path / "file").read_text() == "mine"
    assert style_train.main(words(film, paintings, run, "--resume")) == 2
    assert style_train.main(words(film, paintings, run, "--steps", "1")) == 0
    before = (run / "state.safetensors").read_bytes()
    assert style_train.main(words(film, paintings, run, "--steps", "1")) == 2
    assert (run / "state.safetensors").read_bytes() == before and "holds a run already" in capsys.readouterr().err


def everything(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_inputs_and_folders_of_others_are_not_written_over(film: Path, paintings: list[Path], tmp_path: Path,
                                                           capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    project, gan = tmp_path / "project", tmp_path / "gan"
    (project / "styles").mkdir(parents=True)
    mine = project / "styles" / "down.png"
    mine.write_bytes(paintings[1].read_bytes())
    gan.mkdir()
    (gan / "options.json").write_text('{"options": {}}')
    frames = tmp_path / "frames"
    frames.mkdir()
    for path in film.iterdir():
        (frames / path.name).write_bytes(path.read_bytes())
    before = everything(tmp_path)
    cases = [(film, [mine], project, "holds the painting down"), (film, paintings, project, "holds styles, and no run of"),
             (film, paintings, gan, "an options.json that is not this command's"),
             (frames, paintings, frames, "holds the film"),
             (frames, paintings, frames / "run", "among the film's frames")]  # fmt: skip
    for source, styles, run, said in cases:
        assert style_train.main(words(source, styles, run, "--steps", "1")) == 2
        told = capsys.readouterr().err.strip()
        assert said in told and len(told.splitlines()) == 1
    assert style_distill.main([str(gan), "--film", str(film), "-o", str(project)]) == 2
    assert "holds styles, and no run of" in capsys.readouterr().err
    assert everything(tmp_path) == before and not (frames / "run").exists()


def test_a_run_of_another_command_is_not_resumed(film: Path, paintings: list[Path], run: Path, tmp_path: Path,
                                                 capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    assert style_train.main(words(film, paintings, run, "--steps", "1")) == 0
    student = tmp_path / "student"
    student.mkdir()
    (student / "state.safetensors").write_bytes(b"")
    (student / "options.json").write_text(json.dumps({"options": {"film": str(film)}, "run": {"tool": style_distill.TOOL}}))
    capsys.readouterr()
    for command, here, owner in ((style_distill.main, run, "train"), (style_train.main, student, "distill")):
        first = [str(run / "teacher"), "--film", str(film)] if command is style_distill.main else []
        assert command([*first, "-o", str(here), "--resume"]) == 2
        told = capsys.readouterr().err.strip()
        assert f"holds a run of cineml style {owner}" in told and len(told.splitlines()) == 1


def test_a_teacher_that_is_none_leaves_nothing(film: Path, paintings: list[Path], tmp_path: Path,
                                               capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    assert style_train.main(words(film, paintings, tmp_path / "new", "--steps", "1", "--teacher", str(tmp_path / "no"))) == 2
    assert "holds no painted frames" in capsys.readouterr().err and not (tmp_path / "new").exists()


def test_a_loss_that_is_no_number_early_on_loses_no_painting(film: Path, paintings: list[Path], run: Path,
                                                            capsys: pytest.CaptureFixture[str],
                                                            monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    lose(monkeypatch, lambda training: training.step_number == 1 and training.recipe.lr > 0.001)
    assert style_train.main(words(film, paintings, run, "--steps", "6", "--lr", "0.01")) == 2
    told = capsys.readouterr().err.strip().splitlines()[-1]
    assert "step 2" in told and "no snapshot was made before" in told and "the same command with a smaller --lr" in told
    painted = {p: p.stat().st_mtime_ns for p in (run / "teacher").rglob("*.png")}
    assert painted and not (run / "checkpoint").exists()
    assert style_train.main(words(film, paintings, run, "--steps", "6", "--lr", "0.0005")) == 0
    assert painted == {p: p.stat().st_mtime_ns for p in (run / "teacher").rglob("*.png")}
    assert load_stylizer(run)[2]["run"]["steps"] == 6 and state_of(run)


def test_painted_frames_of_another_size_or_film_are_refused(film: Path, paintings: list[Path], run: Path, tmp_path: Path,
                                                            capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    Image.new("RGB", (20, 20)).save(run / "teacher" / "down" / "000001.png")
    assert style_train.main(words(film, paintings, run, "--steps", "1")) == 2
    assert "20 x 20" in capsys.readouterr().err
    assert style_train.main(words(film, paintings[1:], run, "--steps", "1")) == 2
    assert "painted otherwise (styles differ)" in capsys.readouterr().err


def test_the_help_has_examples_and_names_the_noises_source() -> None:
    text = arguments().format_help()
    assert text.count("cineml style train") >= 2 and "Rainy and de Berker 2018" in text
