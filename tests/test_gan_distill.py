"""A student starts as a part of its teacher, learns its pictures in the same W, and can be stopped at any time."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

from PIL import Image  # noqa: E402
from safetensors.torch import load_file  # noqa: E402

from models.checkpoint import load_checkpoint, save_checkpoint  # noqa: E402
from models.discriminator import Discriminator  # noqa: E402
from models.network_config import GeneratorConfig, discriminator_config_for  # noqa: E402
from models.stylegan2 import Generator  # noqa: E402
from player.show.problem import ShowError  # noqa: E402
from tools import distill_report, gan_distill, gan_export  # noqa: E402
from tools.distill_latents import LatentSource, cuts_in, film_paths  # noqa: E402
from tools.distill_prune import best_columns, calibrate, choose, cut_down, gather, narrower, pruned  # noqa: E402
from tools.distill_step import Distilling, Recipe, psnr  # noqa: E402

CONFIG = GeneratorConfig(resolution=16, channels=1, z_dim=12, w_dim=10, mapping_layers=2, channel_base=256, channel_max=24)
GEOMETRY = {"film": [480, 360], "crop": [0, 0, 480, 360], "inner": [0, 2, 16, 12]}


def lively(config: GeneratorConfig = CONFIG, seed: int = 0) -> Generator:
    """A generator in which nothing is zero, so that a lost bias, noise or gain is seen."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    generator = Generator(config).eval().requires_grad_(False)
    for name, p in generator.named_parameters():
        if name.endswith("noise_strength"):
            p.fill_(0.2)
        elif name.endswith("bias"):
            p.add_(torch.randn_like(p) * 0.2)
        elif name.endswith("affine.weight"):
            p.mul_(0.3)
    generator.w_avg.normal_()
    return generator


def redundant(config: GeneratorConfig = CONFIG) -> Generator:
    """A generator whose layers have twice the feature maps that they need: every second one repeats the one before, and is
    read with the same weights (otherwise demodulation, which does not see that two maps are one, could not be matched)."""
    generator = lively(config)
    for name, p in generator.named_parameters():
        if not name.startswith("synthesis."):
            continue
        if name.endswith(("conv0.weight", "conv1.weight", "conv0.bias", "conv1.bias", "const", "affine.bias", "affine.weight")):
            p[1::2] = p[0::2]  # repeated outputs (or, of an affine, the same style for both)
        if name.endswith(("conv0.weight", "conv1.weight")):
            p[:, 1::2] = p[:, 0::2]
    return generator


@pytest.fixture
def teacher(tmp_path: Path) -> Path:
    generator = lively()
    judge = Discriminator(discriminator_config_for(CONFIG)).eval()
    return save_checkpoint(tmp_path / "teacher", generator, judge, geometry=GEOMETRY, run={"dataset": "film.mp4"},
                           licence="CC0-1.0")  # fmt: skip


def distil(*arguments: object) -> int:
    return gan_distill.main([str(a) for a in arguments])


def short(teacher: Path, folder: Path, *more: object) -> int:
    return distil(teacher, "-o", folder, "--kimg", 0.064, "--batch", 4, "--metrics", "none", "--threads", 1, *more)


# ------------------------------------------------------------------------------------------------------- choosing and cutting


@pytest.mark.parametrize("config", [
    CONFIG,
    replace(CONFIG, architecture="resnet", channels=3),
    replace(CONFIG, architecture="orig"),
    replace(CONFIG, conv_clamp=256.0, resample_filter=(1.0, 2.0, 5.0, 3.0)),
])  # fmt: skip
def test_a_student_of_full_width_is_its_teacher(config: GeneratorConfig) -> None:
    teacher = lively(config)
    ws = teacher.mapping(torch.randn(24, 12))
    student, kept = pruned(teacher, config, ws)
    assert all(torch.equal(maps, torch.arange(len(maps))) for maps in kept.maps.values())
    more = teacher.mapping(torch.randn(5, 12))
    truth = teacher.synthesis(more)
    assert float((student.synthesis(more) - truth).abs().max()) < 1e-4 * max(1.0, float(truth.abs().max()))


@pytest.mark.parametrize("architecture", ["skip", "resnet", "orig"])
def test_maps_that_repeat_others_are_the_ones_that_go_and_nothing_is_lost(architecture: str) -> None:
    config = replace(CONFIG, architecture=architecture)  # type: ignore[arg-type]
    teacher = redundant(config)
    if architecture == "resnet":  # the sum repeats only where the skip does too
        for block in teacher.synthesis.blocks():
            if block.skip is not None:
                block.skip.weight[1::2] = block.skip.weight[0::2]
    ws = teacher.mapping(torch.randn(32, 12))
    student, kept = pruned(teacher, narrower(config, 128, 12), ws)
    for maps in kept.maps.values():
        assert len({int(i) // 2 for i in maps}) == len(maps)  # one of every pair
    more = teacher.mapping(torch.randn(8, 12))
    assert psnr(teacher, student, more) > 60


def test_gain_and_offset_are_measured_and_the_start_is_better_than_bare_cutting() -> None:
    teacher = lively()
    config = narrower(CONFIG, 128, 12)
    ws = teacher.mapping(torch.randn(64, 12))
    statistics = gather(teacher, ws)
    kept = choose(CONFIG, config, statistics)
    student = Generator(config).eval().requires_grad_(False)
    cut_down(teacher, student, kept, statistics)
    held_out = teacher.mapping(torch.randn(16, 12))
    bare = psnr(teacher, student, held_out)
    calibrate(teacher, student, kept, ws)
    assert psnr(teacher, student, held_out) > bare
    torch.manual_seed(3)
    assert psnr(teacher, student, held_out) > psnr(teacher, Generator(config).eval().requires_grad_(False), held_out) + 3


def test_the_columns_that_explain_most_are_chosen_and_repetitions_are_not() -> None:
    x = torch.randn(500, 3, generator=torch.Generator().manual_seed(0)).double() * torch.tensor([3.0, 2.0, 1.0])
    x = torch.cat([x, x[:, :1] * 0.9, torch.zeros(500, 1)], dim=1)  # a loud repetition, and silence
    covariance = x.t() @ x / 500
    assert best_columns([covariance], 3).tolist() == [0, 1, 2]
    assert best_columns([covariance], 5).tolist() == [0, 1, 2, 3, 4]


def test_the_mapping_is_the_teachers_so_that_w_is_the_same() -> None:
    teacher = lively()
    student, _ = pruned(teacher, narrower(CONFIG, 64, 8), teacher.mapping(torch.randn(8, 12)))
    z = torch.randn(4, 12)
    assert torch.equal(student.mapping(z, psi=0.5), teacher.mapping(z, psi=0.5))
    assert student.synthesis.b4.const.shape == (8, 4, 4) and student.synthesis.b16.conv1.weight.shape == (4, 4, 3, 3)


# --------------------------------------------------------------------------------------------------------------- the latents


def test_the_films_latents_are_drawn_along_its_shots_and_never_across_a_cut(tmp_path: Path) -> None:
    codes = np.concatenate([np.linspace(0, 1, 20), np.linspace(50, 51, 20)])[:, None].repeat(10, axis=1).astype(np.float32)
    assert np.flatnonzero(cuts_in(codes[:, None])).tolist() == [19, 39]
    np.savez(tmp_path / "anchors.npz", codes=codes, places=np.zeros((40, 3), np.float32))
    film = film_paths(tmp_path / "anchors.npz", 10, 6)
    assert film.ws.shape == (40, 1, 10)
    torch.manual_seed(0)
    drawn = film.draw(400)[:, 0, 0]
    beside = (drawn > 1.001) & (drawn < 49.999)
    assert bool((drawn < 1.001).any()) and bool((drawn > 49.999).any())
    assert float(drawn[beside].min()) > 0 and int(beside.sum()) < 200  # only those that leave the path on purpose


def test_a_scores_walks_are_its_splines_frame_by_frame(tmp_path: Path) -> None:
    from player.show.walk import Walk

    keys, frames = np.random.default_rng(0).standard_normal((4, 1, 10)).astype(np.float32), np.array([0, 3, 6, 12])
    np.savez(tmp_path / "score.npz", **{"s01/keys": keys, "s01/frames": frames, "s01/names": np.array(list("abcd")),
                                        "s02/keys": np.repeat(keys, 6, axis=1), "s02/frames": frames})  # fmt: skip
    film = film_paths(tmp_path / "score.npz", 10, 6)
    assert film.ws.shape == (26, 6, 10) and film.goes_on.tolist() == ([True] * 12 + [False]) * 2
    walk = Walk("s01", keys, frames, ("a", "b", "c", "d"))
    assert np.allclose(film.ws[5, 0].numpy(), walk.ws_at(5.0)[0], atol=1e-6)


def test_held_out_latents_do_not_touch_what_training_draws() -> None:
    source = LatentSource(lively())
    torch.manual_seed(5)
    expected = source.draw(3)
    torch.manual_seed(5)
    held = source.held_out(4, 1)
    assert torch.equal(source.draw(3), expected) and torch.equal(source.held_out(4, 1), held)
    assert held.shape == (4, 6, 10)


# --------------------------------------------------------------------------------------------------------------- the learning


@pytest.mark.parametrize("recipe", [
    Recipe(batch=8),
    Recipe(batch=8, match_weight=0.5, feature_weight=0.0),
    Recipe(batch=8, adversarial_weight=0.1, feature_every=4, r1_interval=8),
])  # fmt: skip
def test_the_loss_falls_and_the_averaged_student_comes_closer(recipe: Recipe) -> None:
    teacher = lively()
    latents = LatentSource(teacher)
    student, kept = pruned(teacher, narrower(CONFIG, 128, 12), latents.held_out(64, 1))
    judge = Discriminator(discriminator_config_for(CONFIG))
    held_out = latents.held_out(16, 2)
    before = psnr(teacher, student, held_out)
    torch.manual_seed(0)
    distilling = Distilling(teacher, student, latents, recipe, judge, kept)
    untouched = {k: v.clone() for k, v in teacher.state_dict().items()}
    losses = [distilling.step() for _ in range(80)]
    first, last = (np.mean([x["picture"] for x in part]) for part in (losses[:10], losses[-10:]))
    assert last < 0.8 * first
    assert psnr(teacher, distilling.average, held_out) > before + 1
    assert ("match" in losses[0]) == bool(recipe.match_weight) and ("d" in losses[0]) == bool(recipe.adversarial_weight)
    assert all(torch.equal(v, untouched[k]) for k, v in teacher.state_dict().items())
    assert all(torch.equal(v, untouched[f"mapping.{k}"]) for k, v in distilling.student.mapping.state_dict().items())


def test_a_stopped_run_goes_on_as_if_it_had_not_been_stopped(
    teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ("--match", 0.1, "--adversarial", 0.05, "--width", 0.5)
    assert short(teacher, tmp_path / "whole", *more) == 0
    step, done = Distilling.step, []

    def stopping(self: Distilling) -> dict[str, float]:
        if len(done) == 7:
            raise KeyboardInterrupt
        done.append(1)
        return step(self)

    with monkeypatch.context() as patched:
        patched.setattr(Distilling, "step", stopping)
        assert short(teacher, tmp_path / "parts", *more) == 130
    assert "--resume" in capsys.readouterr().out and (tmp_path / "parts" / "checkpoint" / "model.json").is_file()
    assert not (tmp_path / "parts" / "report.json").exists()
    assert distil(teacher, "-o", tmp_path / "parts", "--resume") == 0  # the options are the stored ones
    whole, parts = (load_file(tmp_path / name / "state.safetensors") for name in ("whole", "parts"))
    assert whole.keys() == parts.keys() and all(torch.equal(v, parts[k]) for k, v in whole.items())
    hashes = [load_checkpoint(tmp_path / name / "checkpoint").sha256 for name in ("whole", "parts")]
    assert hashes[0] == hashes[1]


def test_the_run_folder_holds_what_it_promises_and_export_takes_it(
    teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(teacher / "anchors.npz", codes=np.random.default_rng(0).standard_normal((12, 10)).astype(np.float32),
             places=np.zeros((12, 3), np.float32))  # fmt: skip
    run = tmp_path / "student"
    assert short(teacher, run) == 0
    printed = capsys.readouterr().out
    kept, first = load_checkpoint(run / "checkpoint"), load_checkpoint(teacher)
    assert kept.run["distilled_from"] == first.sha256 and kept.run["dataset"] == "film.mp4"
    assert kept.geometry == GEOMETRY and kept.licence == "CC0-1.0" and kept.discriminator is not None
    assert [kept.generator.config.width(r) for r in (4, 8, 16)] == [12, 12, 8]
    assert Image.open(next((run / "grids").iterdir())).size == (8 * 16, 4 * 16)
    assert (run / "anchors.npz").is_file() and Image.open(run / "comparison.png").width > 500
    report = json.loads((run / "report.json").read_text())
    assert report["student"]["gflop"] < 0.5 * report["teacher"]["gflop"] and report["psnr_z_db"] > 5
    assert report["timed_by"].startswith("onnxruntime") and report["psnr_film_db"] is not None
    assert "GFLOP" in printed and "PSNR dB, z" in printed and "cineml gan export" in printed
    made = gan_export.export(kept, tmp_path / "models", gan_export.ExportOptions())
    assert [m.path.name for m in made][:2] == ["mapping.onnx", "synthesis.onnx"]
    assert not list(run.rglob("*.part"))


def test_a_students_export_names_its_teachers_so_that_it_plays_the_teachers_scores(teacher: Path, tmp_path: Path) -> None:
    run, late = tmp_path / "student", tmp_path / "student of a teacher that was exported later"
    assert short(teacher, late) == 0
    (of_teacher,) = gan_export.export(load_checkpoint(teacher), teacher, gan_export.ExportOptions(parts=("synthesis",)))
    assert short(teacher, run) == 0
    other = save_checkpoint(tmp_path / "other", lively(seed=5), geometry=GEOMETRY)
    gan_export.export(load_checkpoint(other), other, gan_export.ExportOptions(parts=("synthesis",)))

    def named(folder: Path, *more: object) -> dict[str, str]:
        assert gan_export.main([str(folder / "checkpoint"), "-o", str(tmp_path / "models"), *map(str, more)]) == 0
        model = onnx.load(tmp_path / "models" / "synthesis.onnx")
        hashes: dict[str, str] = json.loads({p.key: p.value for p in model.metadata_props}["cineml"])["hashes"]
        return hashes

    assert named(run)["teacher"] == of_teacher.sha256
    assert "teacher" not in named(late)
    assert named(late, "--teacher", teacher)["teacher"] == of_teacher.sha256
    for folder, wrong in ((late / "checkpoint", other), (late / "checkpoint", tmp_path / "nothing"), (teacher, teacher)):
        assert gan_export.main([str(folder), "-o", str(tmp_path / "models"), "--teacher", str(wrong)]) == 2


def test_kid_stands_beside_the_teachers_where_there_is_a_film(
    teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    measured: list[tuple[int, int]] = []

    def kids(teacher: Generator, student: Generator, real: np.ndarray, folder: Path, samples: int, out: object) -> tuple:
        measured.append((len(real), samples))
        return 0.1, 0.2, None, "of a stand-in"

    monkeypatch.setattr(gan_distill, "kids", kids)
    pictures = tmp_path / "film"
    pictures.mkdir()
    for i in range(4):
        Image.fromarray(np.full((12, 16), i * 60, np.uint8)).save(pictures / f"{i}.png")
    assert distil(teacher, "-o", tmp_path / "s", "--kimg", 0.008, "--threads", 1, "--dataset", pictures, "--samples", 100) == 0
    assert measured == [(4, 100)] and "KID to the film" in capsys.readouterr().out
    assert json.loads((tmp_path / "s" / "report.json").read_text())["student"]["kid"] == 0.2


def test_where_the_export_fails_torch_is_timed_and_the_report_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    import tools.gan_export_graph

    def broken(*arguments: object) -> None:
        raise RuntimeError("no such node")

    monkeypatch.setattr(tools.gan_export_graph, "build", broken)
    monkeypatch.setattr(distill_report, "ROUNDS", 2)
    ms, size, by = distill_report.speeds([lively(), lively(narrower(CONFIG, 64, 6))], 1)
    assert by == "torch, CPU (RuntimeError: no such node)" and min(ms) > 0 and size[1] < size[0]


# ------------------------------------------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize("arguments, sentence", [
    (["--width", "1"], "as wide as its teacher"),
    (["--width", "0"], "--width: 0.0; allowed: more than 0"),
    (["--width", "2"], "at most the teacher's"),
    (["--width", "0.5", "--channel-base", "64"], "one of the two ways"),
    (["--channel-base", "8"], "channel_base 8"),
    (["--minutes", "-1"], "--minutes: -1.0"),
    (["--batch", "0"], "--batch: 0"),
    (["--film-share", "2"], "--film-share"),
    (["--dataset", "no.mp4"], "no.mp4 does not exist"),
    (["--latents", "no.npz"], "no.npz: does not exist"),
    (["--resume"], "holds no run to resume"),
])  # fmt: skip
def test_a_bad_option_is_one_sentence_and_nothing_is_written(
    teacher: Path, tmp_path: Path, arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert distil(teacher, "-o", tmp_path / "s", *arguments) == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "s").exists()


def test_a_run_is_never_written_over_and_never_resumed_with_another_teacher(
    teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert short(teacher, tmp_path / "s") == 0
    before = (tmp_path / "s" / "state.safetensors").read_bytes()
    assert short(teacher, tmp_path / "s") == 2
    assert "holds a run already" in capsys.readouterr().err
    save_checkpoint(tmp_path / "other", lively(seed=4))
    assert distil(tmp_path / "other", "-o", tmp_path / "s", "--resume") == 2
    assert "is another teacher" in capsys.readouterr().err
    (tmp_path / "s" / "state.safetensors").write_bytes(before[: len(before) // 2])
    assert distil(teacher, "-o", tmp_path / "s", "--resume", "--kimg", 1) == 2
    assert "cannot be resumed from" in capsys.readouterr().err


def test_a_teacher_without_a_discriminator_teaches_by_its_pictures_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_checkpoint(tmp_path / "teacher", lively())
    assert short(tmp_path / "teacher", tmp_path / "s") == 0
    assert load_checkpoint(tmp_path / "s" / "checkpoint").discriminator is None
    assert short(tmp_path / "teacher", tmp_path / "t", "--adversarial", 0.1) == 2
    assert "needs a discriminator" in capsys.readouterr().err


def test_a_dry_run_writes_nothing(teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert short(teacher, tmp_path / "s", "--dry-run") == 0
    assert "24>12" in capsys.readouterr().out and not (tmp_path / "s").exists()


def test_narrower_refuses_a_wider_student() -> None:
    with pytest.raises(ShowError, match="at most the teacher's 24"):
        narrower(CONFIG, 256, 32)
