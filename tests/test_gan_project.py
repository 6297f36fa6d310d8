"""Projection with tiny generators: what they made themselves is found again, shots are smooth, a stopped run goes on."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from io import StringIO
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402
from PIL import Image  # noqa: E402

from models.checkpoint import load_checkpoint, save_checkpoint  # noqa: E402
from models.discriminator import Discriminator  # noqa: E402
from models.network_config import GeneratorConfig  # noqa: E402
from models.stylegan2 import Generator  # noqa: E402
from player.show.cut_list import CutList, Shot, write_csv  # noqa: E402
from player.show.problem import ShowError  # noqa: E402
from player.show.score import read_score  # noqa: E402
from tools import gan_project, project_run  # noqa: E402
from tools.project_fit import FitOptions, rate_at, wander_at  # noqa: E402
from tools.project_losses import Likeness, bend_matrix, noise_penalty, psnr, pyramid  # noqa: E402
from tools.project_model import model_at, spread_of  # noqa: E402
from tools.project_outputs import latents_of, write_outputs  # noqa: E402
from tools.project_run import Outcome, Project, read_job, run  # noqa: E402
from tools.project_start import Bank, path_start  # noqa: E402
from tools.project_units import between, coarse_of, shot_units  # noqa: E402

CONFIG = GeneratorConfig(resolution=16, channels=1, z_dim=8, w_dim=8, mapping_layers=2, channel_base=256, channel_max=16)
GEOMETRY = {"film": [16, 12], "crop": [0, 0, 16, 12], "inner": [0, 2, 16, 12]}
CUTS = CutList("known", Fraction(24), 24, (Shot(1, 0, 12), Shot(2, 12, 24)))


def going_on() -> bool:
    return False


def after(asks: int) -> Callable[[], bool]:
    """A stop() that says yes at its `asks`th asking."""
    left = [asks]

    def stop() -> bool:
        left[0] -= 1
        return left[0] <= 0

    return stop


def made_by(generator: Generator, ws: torch.Tensor) -> np.ndarray:
    """ws [N, num_ws, w_dim] -> the film's part of the pictures, uint8 [N, 12, 16]."""
    with torch.no_grad():
        image = generator.synthesis(ws)[:, 0, 2:14]
    return (image * 127.5 + 127.5).round().clamp(0, 255).byte().numpy()


def save(folder: Path, pictures: np.ndarray) -> Path:
    folder.mkdir(parents=True)
    for i, picture in enumerate(pictures):
        Image.fromarray(picture).save(folder / f"{i:04d}.png")
    return folder


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """model/ (with a discriminator), four/: pictures of four w, mixed/: of w that differ by layer, film/: two shots that
    each walk from one w to another, and cuts.csv."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("project")
    torch.manual_seed(3)
    generator, discriminator = Generator(CONFIG).eval(), Discriminator(CONFIG).eval()
    with torch.no_grad():
        for block in generator.synthesis.blocks():
            block.torgb.weight.mul_(0.5)
            for layer in block.children():
                if hasattr(layer, "noise_strength"):
                    layer.noise_strength.fill_(0.05)
        w = generator.mapping.w(torch.randn(12, 8))  # [12, 8]
        generator.w_avg.copy_(generator.mapping.w(torch.randn(500, 8)).mean(dim=0))
    save_checkpoint(folder / "model", generator, discriminator, geometry=GEOMETRY)
    save(folder / "four", made_by(generator, w[:4, None].expand(-1, 6, -1)))
    mixed = torch.cat([w[4:8, None].expand(-1, 3, -1), w[8:12, None].expand(-1, 3, -1)], dim=1)  # [4, 6, 8]
    save(folder / "mixed", made_by(generator, mixed))
    share = torch.linspace(0, 0.6, 12)[:, None]
    walk = torch.cat([w[0] + (w[1] - w[0]) * share, w[2] + (w[3] - w[2]) * share])  # [24, 8]
    grain = np.random.default_rng(1).normal(0, 8, (24, 12, 16))  # a film has it: codes sought alone follow it
    film = made_by(generator, walk[:, None].expand(-1, 6, -1)) + grain
    save(folder / "film", film.round().clip(0, 255).astype(np.uint8))
    write_csv(CUTS, folder / "cuts.csv")
    return folder


def project_of(known: Path, source: str, output: Path, **options: object) -> Project:
    fit = FitOptions(**({"steps": 60} | {k: v for k, v in options.items() if k in FitOptions.__dataclass_fields__}))
    rest = {k: v for k, v in options.items() if k not in FitOptions.__dataclass_fields__}
    if rest.get("shots"):
        rest.setdefault("cuts", known / "cuts.csv")
    base = Project(known / "model", known / source, output, fit, bank=200, features=0.0)
    return replace(base, **rest)  # type: ignore[arg-type]


def projected(known: Path, source: str, output: Path, **options: object) -> dict[str, np.ndarray]:
    """The latents of a whole run."""
    job = read_job(project_of(known, source, output, **options))
    outcome = run(job, going_on, StringIO())
    assert outcome.finished
    return latents_of(job, outcome)


@pytest.fixture(scope="module")
def mixed(known: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """One w a picture of pictures whose w differ by layer: what layers of their own, or noise, have to be better than."""
    return projected(known, "mixed", tmp_path_factory.mktemp("mixed") / "out", steps=150)


def bend(codes: np.ndarray) -> float:
    return float(np.sqrt((np.diff(codes, n=2, axis=0) ** 2).mean()))


def test_pictures_of_the_generator_itself_are_found_again(known: Path, tmp_path: Path) -> None:
    made = projected(known, "four", tmp_path / "out", steps=150, features=0.1)
    assert made["w"].shape == (4, 1, 8) and made["w"].dtype == np.float32
    assert np.all(made["loss"] < 0.2 * made["start_loss"])
    assert made["psnr"].min() > 35  # 8 bits alone leave 59 dB; what is left is the prior's pull
    assert list(made["names"]) == ["0000", "0001", "0002", "0003"] and list(made["frames"]) == [0, 1, 2, 3]


def test_one_w_a_layer_comes_at_least_as_near(known: Path, mixed: dict[str, np.ndarray], tmp_path: Path) -> None:
    layers = projected(known, "mixed", tmp_path / "plus", steps=150, plus=True)
    assert layers["w"].shape == (4, 6, 8)
    assert np.all(layers["loss"] <= mixed["loss"])
    assert layers["psnr"].mean() > mixed["psnr"].mean() + 3


def test_a_picture_is_projected_alike_whatever_else_is(known: Path, tmp_path: Path) -> None:
    # Ten steps: convolutions round differently with the number of pictures, and the kinks of L1 let that grow over many.
    several = projected(known, "four", tmp_path / "four", batch=4, steps=10)
    pairs = projected(known, "four", tmp_path / "pairs", batch=3, steps=10)
    assert np.allclose(several["w"], pairs["w"], atol=1e-4)
    alone = projected(known, "four/0000.png", tmp_path / "alone", steps=10)
    assert np.allclose(several["w"][0], alone["w"][0], atol=1e-4)


def test_the_frames_of_a_shot_are_smooth_and_nothing_reaches_across_a_cut(known: Path, tmp_path: Path) -> None:
    single = projected(known, "film", tmp_path / "single", steps=20)
    together = projected(known, "film", tmp_path / "shots", steps=20, shots=True, smooth=0.5)
    assert list(together["shots"]) == [1] * 12 + [2] * 12
    for shot in (slice(0, 12), slice(12, 24)):
        assert bend(together["w"][shot]) < 0.5 * bend(single["w"][shot])
    assert together["psnr"].mean() > single["psnr"].mean() - 3
    other = tmp_path / "film"
    other.mkdir()
    for i in range(24):
        source = Image.open(known / "film" / f"{i if i < 12 else 35 - i:04d}.png")
        source.save(other / f"{i:04d}.png")
    changed = projected(known, str(other), tmp_path / "changed", steps=20, shots=True, smooth=0.5)
    assert np.array_equal(changed["w"][:12], together["w"][:12])
    assert not np.allclose(changed["w"][12:], together["w"][12:], atol=1e-2)


@pytest.mark.parametrize("options", [{"batch": 2}, {"shots": True, "plus": True}, {"batch": 2, "noise": True}])
def test_a_stopped_run_goes_on_to_the_same_result(known: Path, tmp_path: Path, options: dict[str, object]) -> None:
    source = "film" if "shots" in options else "four"
    whole = projected(known, source, tmp_path / "whole", steps=20, **options)
    job = read_job(project_of(known, source, tmp_path / "parts", steps=20, **options))
    stops = 0
    for asks in (15, 45, 30, 40, 60, 130, 270, 540):
        outcome = run(read_job(job.project), after(asks), StringIO())
        if outcome.finished:
            break
        stops += 1
    assert stops >= 2
    outcome = run(job, going_on, StringIO())
    parts = latents_of(job, outcome)
    for name in whole:
        assert np.array_equal(whole[name], parts[name], equal_nan=name not in ("names",)), name
    assert sorted(p.name for p in job.work.glob("*state*")) == []


def test_ctrl_c_keeps_what_is_done_and_the_same_command_goes_on(
    known: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    argv = [str(known / "model"), str(known / "four"), "-o", str(out), "--steps", "20", "--batch", "2", "--bank", "50",
            "--device", "cpu"]  # fmt: skip
    keep = project_run.keep_unit

    def keep_then_ctrl_c(*given: object) -> None:
        keep(*given)  # type: ignore[arg-type]
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(project_run, "keep_unit", keep_then_ctrl_c)
    assert gan_project.main(argv) == 130
    assert "1 of 2 pieces are done" in capsys.readouterr().err and not (out / "latents.npz").exists()
    monkeypatch.undo()
    assert gan_project.main(argv) == 0
    assert "1 of 2 pieces are done already" in capsys.readouterr().err
    with np.load(out / "latents.npz") as data:
        assert data["w"].shape == (4, 1, 8)
    record = json.loads((out / "project.json").read_text())
    assert record["results"]["pictures"] == 4 and record["options"]["steps"] == 20
    with Image.open(out / "sheet.png") as sheet:
        assert sheet.size[0] > 400
    assert not list(out.rglob("*.part"))


def test_other_options_in_the_same_folder_are_refused_until_asked_for(known: Path, tmp_path: Path) -> None:
    job = read_job(project_of(known, "four", tmp_path / "out", steps=2))
    run(job, going_on, StringIO())
    with pytest.raises(ShowError, match=r"steps \(2, now 3\)"):
        read_job(project_of(known, "four", tmp_path / "out", steps=3))
    assert read_job(project_of(known, "four", tmp_path / "out", steps=3, again=True)).units


def test_a_walk_a_shot_stands_in_a_score_that_can_be_read(known: Path, tmp_path: Path) -> None:
    cuts = CutList("known", Fraction(24), 24, (Shot(1, 0, 7), Shot(2, 7, 12), Shot(3, 12, 24, "dissolve", 3)))
    write_csv(cuts, tmp_path / "cuts.csv")
    project = project_of(known, "film", tmp_path / "out", steps=10, shots=True, cuts=tmp_path / "cuts.csv", start="8f",
                         pictures=True)  # fmt: skip
    job = read_job(project)
    told = write_outputs(job, run(job, going_on, StringIO()))
    score = read_score(tmp_path / "out" / "score.toml")
    assert [s.source for s in score.shots] == ["black", "generator", "generator"]
    walk = score.walks["s02"]
    assert list(walk.frames) == list(range(7, 15)) and walk.names[0] == "s02.f0007"  # through the dissolve
    with np.load(tmp_path / "out" / "latents.npz") as data:
        latents = {name: data[name] for name in data.files}
    assert list(latents["frames"]) == list(range(7, 24))
    assert np.isnan(latents["loss"][5:8]).all() and np.isfinite(np.delete(latents["loss"], range(5, 8))).all()
    assert np.array_equal(walk.ws_at(9), latents["w"][2])
    assert [s["shot"] for s in told["shots"]] == [2, 3]
    assert len(list((tmp_path / "out" / "pictures").glob("*.png"))) == 17
    with Image.open(tmp_path / "out" / "pictures" / "0009.png") as picture:
        assert picture.size == (16, 12)


def test_walks_of_another_model_are_not_mixed_into_a_score(known: Path, tmp_path: Path) -> None:
    cuts = CutList("known", Fraction(24), 24, (Shot(1, 0, 12), Shot(2, 12, 24)))
    write_csv(cuts, tmp_path / "cuts.csv")
    told = {"steps": 2, "shots": True, "cuts": tmp_path / "cuts.csv"}
    job = read_job(project_of(known, "film", tmp_path / "out", **told))
    write_outputs(job, run(job, going_on, StringIO()))
    score = tmp_path / "out" / "score.toml"
    assert read_score(score).extra["weights_sha256"] == job.model.weights_sha256
    before = score.read_bytes()
    torch.manual_seed(8)
    save_checkpoint(tmp_path / "other", Generator(CONFIG).eval(), geometry=GEOMETRY)
    other = replace(project_of(known, "film", tmp_path / "out", again=True, **told), model=tmp_path / "other")
    with pytest.raises(ShowError, match=r"is of another model .* would keep its walks in shot 1"):
        read_job(replace(other, start="12f"))
    assert score.read_bytes() == before
    job = read_job(other)
    write_outputs(job, run(job, going_on, StringIO()))
    assert read_score(score).extra["weights_sha256"] == job.model.weights_sha256


def test_a_fade_is_undone_and_its_dark_end_is_not_looked_at() -> None:
    cuts = CutList("f", Fraction(24), 12, (Shot(1, 0, 12, "fade", 6, "black"),))
    (unit,) = shot_units(cuts, np.arange(12), 1)
    assert list(np.flatnonzero(~unit.fitted)) == [0, 1] and len(unit.numbers) == 12
    (sparse,) = shot_units(cuts, np.arange(12), 5)
    assert list(sparse.numbers) == [0, 5, 10, 11]


def test_noise_maps_are_found_on_request_and_stay_noise(known: Path, mixed: dict[str, np.ndarray], tmp_path: Path) -> None:
    job = read_job(project_of(known, "mixed", tmp_path / "noise", steps=150, noise=True))
    outcome = run(job, going_on, StringIO())
    write_outputs(job, outcome)
    assert latents_of(job, outcome)["psnr"].mean() > mixed["psnr"].mean()
    with np.load(tmp_path / "noise" / "noise.npz") as data:
        assert data["noise.16.1"].shape == (4, 1, 16, 16) and data["noise.4.1"].dtype == np.float16
        maps = torch.from_numpy(data["noise.16.1"].astype(np.float32))
    assert torch.allclose(maps.square().mean(dim=(2, 3)), torch.ones(4, 1), atol=0.01)
    smooth = F.interpolate(torch.randn(4, 1, 4, 4), 16, mode="bicubic")
    smooth = smooth / smooth.square().mean(dim=(2, 3), keepdim=True).sqrt()
    assert noise_penalty([maps]) < 0.05 * noise_penalty([smooth])


def test_an_export_without_a_discriminator_is_projected_too(known: Path, tmp_path: Path) -> None:
    from tools.gan_export import ExportOptions, checkpoint_at, export

    export(checkpoint_at(known / "model"), tmp_path / "models", ExportOptions(parts=("mapping", "synthesis")))
    model = model_at(tmp_path / "models")
    assert model.discriminator is None and model.synthesis_sha256 and model.geometry == GEOMETRY
    w = torch.randn(2, 1, 8).expand(-1, 6, -1)
    truth = load_checkpoint(known / "model").generator
    assert np.abs(made_by(model.generator, w).astype(int) - made_by(truth, w).astype(int)).max() <= 1


def test_a_conditional_generator_of_four_channels_without_geometry_is_projected(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = replace(CONFIG, channels=4, c_dim=3)
    save_checkpoint(tmp_path / "model", Generator(config), Discriminator(config))
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (20, 30, 4), np.uint8)).save(tmp_path / "picture.png")
    base = Project(tmp_path / "model", tmp_path / "picture.png", tmp_path / "out", FitOptions(steps=2), bank=9)
    job = read_job(replace(base, pictures=True))
    assert job.inner == (0, 2, 16, 11)  # 30 x 20, whole
    outcome = run(job, going_on, StringIO())
    write_outputs(job, outcome)
    assert latents_of(job, outcome)["w"].shape == (1, 1, 8)
    with Image.open(tmp_path / "out" / "pictures" / "picture.png") as picture:
        assert picture.mode == "RGBA" and picture.size == (16, 11)


def test_padding_does_not_matter_in_any_loss(known: Path) -> None:
    discriminator = load_checkpoint(known / "model").discriminator
    likeness = Likeness((0, 2, 16, 12), discriminator, 0.5)
    truth, made = torch.rand(2, 1, 16, 16) * 2 - 1, torch.rand(2, 1, 16, 16) * 2 - 1
    other = made.clone()
    other[:, :, :2] += 0.7
    seen = likeness.seen(truth)
    assert torch.equal(likeness.distance(made, truth, seen), likeness.distance(other, truth, seen))
    assert float(likeness.distance(truth, truth, seen).max()) == 0
    other[:, :, 5] += 0.1
    assert not torch.equal(likeness.distance(made, truth, seen), likeness.distance(other, truth, seen))
    assert pyramid(truth, truth + 0.1).tolist() == pytest.approx([0.1, 0.1], abs=1e-5)
    assert psnr(truth.clamp(-0.9, 0.9) * 0, truth * 0 + 0.2).tolist() == pytest.approx([20, 20], abs=1e-3)


def test_the_bend_of_a_parabola_is_the_same_at_any_spacing() -> None:
    frames = np.array([0, 1, 2, 5, 9, 10], np.int64)
    assert np.allclose(bend_matrix(frames) @ (3.0 * frames**2 + frames), 6)
    assert bend_matrix(np.array([4, 7])).shape == (0, 2)


def test_the_rate_goes_up_holds_and_comes_down() -> None:
    rates = [rate_at(step, 200) for step in range(200)]
    assert rates[0] == pytest.approx(0.1) and rates[9] == rates[149] == 1 and 0 < rates[-1] < 0.01
    assert all(b <= a for a, b in zip(rates[150:], rates[151:], strict=False))
    assert wander_at(0, 200) == 1 and wander_at(150, 200) == 0 == wander_at(199, 200)


def test_a_shot_starts_in_one_basin_though_single_frames_are_nearer_elsewhere() -> None:
    bank = Bank(torch.tensor([[0.0], [0.1], [5.0]]), torch.tensor([[0.50], [0.52], [0.54]]))
    w, apart = path_start(bank, torch.tensor([[0.5], [0.531], [0.52]]), 1.0)
    assert w[:, 0].tolist() == [0.0, pytest.approx(0.1), pytest.approx(0.1)]  # frame 2 alone would take w = 5
    assert list(coarse_of(20)) == [0, 8, 16, 19] and list(coarse_of(3)) == [0, 1, 2]
    codes = np.array([[[0.0]], [[8.0]], [[0.0]]], np.float32)
    assert between(np.arange(0, 17), np.array([0, 8, 16]), codes)[[0, 4, 8, 12, 16], 0, 0].tolist() == [0, 4, 8, 4, 0]


def test_the_spread_of_w_is_measured_so_that_a_sample_is_about_one_away(known: Path) -> None:
    generator = load_checkpoint(known / "model").generator
    spread = spread_of(generator)
    variances = torch.linalg.eigvalsh(torch.cov(spread.samples.t()))
    shrunk = 0.9 * variances + 0.1 * variances.mean()  # without it every sample would be 1 away on average
    assert float(spread.distance(spread.samples).mean()) == pytest.approx(float((variances / shrunk).mean()), rel=1e-2)
    assert float(spread.distance(spread.mean)) == pytest.approx(0, abs=1e-6)
    assert spread.deviation == pytest.approx(float(spread.samples.std(dim=0).square().mean().sqrt()), rel=1e-3)


def test_codes_of_the_training_run_are_taken_where_they_are_nearer(known: Path, tmp_path: Path) -> None:
    generator = load_checkpoint(known / "model").generator
    torch.manual_seed(3)
    Generator(CONFIG), Discriminator(CONFIG)
    w = generator.mapping.w(torch.randn(12, 8))[:4]  # those that the pictures were made from
    codes = w.detach().numpy().copy()
    codes[1] = 0
    anchors = tmp_path / "anchors.npz"
    np.savez(anchors, codes=codes, frames=np.arange(4))
    job = read_job(project_of(known, "four", tmp_path / "out", steps=1, rate=1e-6, wander=0.0, anchors=str(anchors)))
    made = latents_of(job, run(job, going_on, StringIO()))
    for i in (0, 2, 3):
        assert np.allclose(made["w"][i, 0], codes[i], atol=1e-4) and made["psnr"][i] > 50
    assert not np.allclose(made["w"][1, 0], codes[1], atol=0.01)
    with pytest.raises(ShowError, match="one a film frame"):
        read_job(project_of(known, "film", tmp_path / "other", anchors=str(anchors)))


@pytest.mark.parametrize(("argv", "said"), [
    (["no_model", "{four}"], "no_model: is no folder"),
    (["{model}", "nothing.png"], "nothing.png: does not exist"),
    (["{model}", "{empty}"], "holds no pictures"),
    (["{model}", "{text}"], "cannot be read as a picture"),
    (["{model}", "{film}", "--shots"], "--shots: needs to know the shots"),
    (["{model}", "{four}", "--shots", "--cuts", "{cuts}"], "covers 24 frames"),
    (["{model}", "{four}/0001.png", "--shots", "--cuts", "{cuts}"], "is one picture"),
    (["{model}", "{four}", "--steps", "0", "--rate", "-1"], "--steps: 0"),
    (["{model}", "{four}", "--start", "9f"], "is frame 9"),
    (["{model}", "{four}", "--bank", "0"], "--bank: 0"),
    (["{model}", "{four}", "--vgg", "{text}"], "cannot be read"),
    (["{model}", "{four}", "--anchors", "{text}"], "cannot be read"),
    (["{model}", "{four}", "--synthesis", "{text}"], "cannot be read as ONNX"),
])  # fmt: skip
def test_bad_input_gets_one_sentence_and_exit_code_2(
    known: Path, tmp_path: Path, argv: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.png").write_text("no picture")
    places = {"model": known / "model", "four": known / "four", "film": known / "film", "cuts": known / "cuts.csv",
              "empty": tmp_path / "empty", "text": tmp_path / "text.png"}  # fmt: skip
    out = tmp_path / "out"
    assert gan_project.main([a.format(**places) for a in argv] + ["-o", str(out)]) == 2
    told = capsys.readouterr().err
    assert said in told and "Traceback" not in told and not out.exists()


def test_a_descent_that_runs_away_says_what_to_try(known: Path, tmp_path: Path) -> None:
    with pytest.raises(ShowError, match="runs away at step .* try: --rate"):
        projected(known, "four", tmp_path / "out", steps=20, rate=1e30)


def test_nothing_is_done_twice(known: Path, tmp_path: Path) -> None:
    job = read_job(project_of(known, "four", tmp_path / "out", steps=3))
    first = run(job, going_on, StringIO())
    second = run(job, after(1), StringIO())
    assert first.fresh and second.finished and second.fresh == ()
    assert isinstance(second, Outcome) and np.array_equal(latents_of(job, first)["w"], latents_of(job, second)["w"])
