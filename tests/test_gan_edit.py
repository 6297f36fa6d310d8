"""Directions in W are what they say, keep a person's names, and move latents by what is asked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from PIL import Image  # noqa: E402

from models.checkpoint import save_checkpoint  # noqa: E402
from models.network_config import GeneratorConfig  # noqa: E402
from models.stylegan2 import Generator, SynthesisLayer, ToRGB  # noqa: E402
from player.show.problem import ShowError  # noqa: E402
from tools import gan_edit  # noqa: E402
from tools.edit_apply import moved_latents  # noqa: E402
from tools.edit_directions import Direction, cosine, find, marked, moved, sefa, signed, w_moments  # noqa: E402
from tools.edit_file import read_directions  # noqa: E402
from tools.edit_strip import amounts_for, bases_from_seeds, draw_strip, pictures, strip_pictures  # noqa: E402

CONFIG = GeneratorConfig(resolution=16, channels=1, z_dim=12, w_dim=10, mapping_layers=2, channel_base=256, channel_max=24)
GEOMETRY = {"film": [480, 360], "crop": [0, 0, 480, 360], "inner": [0, 2, 16, 12]}


def lively(config: GeneratorConfig = CONFIG, seed: int = 0) -> Generator:
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    generator = Generator(config).eval().requires_grad_(False)
    for name, p in generator.named_parameters():
        if name.endswith("bias"):
            p.add_(torch.randn_like(p) * 0.2)
    generator.w_avg.normal_()
    return generator


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return save_checkpoint(tmp_path / "checkpoint", lively(), geometry=GEOMETRY, run={"name": "test"})


def edit(*arguments: object) -> int:
    return gan_edit.main([str(a) for a in arguments])


def quick(checkpoint: Path, folder: Path, *more: object) -> int:
    return edit(checkpoint, "-o", folder, "--n", 3, "--samples", 2000, "--steps", 3, "--bases", "0,1", *more)


# ---------------------------------------------------------------------------------------------------------- the mathematics


def test_pca_finds_the_axes_and_deviations_that_a_mapping_was_built_with() -> None:
    generator = lively(replace(CONFIG, z_dim=10, mapping_layers=1))
    axes, _ = torch.linalg.qr(torch.randn(10, 10))
    sizes = torch.tensor([3.0, 2.0, 1.4, 0.9, 0.5, 0.2, 0.1, 0.1, 0.1, 0.1])
    layer = generator.mapping.fc0  # w = sqrt(2) * (axes diag(sizes) z + 100), kept on the straight part of the leaky ReLU
    layer.weight.copy_(axes @ torch.diag(sizes) / layer.weight_gain)
    layer.bias.fill_(100 / layer.bias_gain)
    made = find(generator, ("pca",), 5, samples=40_000)
    for i, d in enumerate(made):
        assert abs(float(d.vector @ axes[:, i].numpy())) > 0.999
        assert d.scale == pytest.approx(2**0.5 * float(sizes[i]), rel=0.02)
    assert sum(d.share for d in made) > 0.99


@pytest.mark.parametrize("rows", [(0, 5), (1, 3), (4, 4)])
@pytest.mark.parametrize("architecture", ["skip", "resnet", "orig"])
def test_sefa_equals_the_eigenvectors_of_the_styles_own_jacobian(rows: tuple[int, int], architecture: str) -> None:
    generator = lively(replace(CONFIG, architecture=architecture))  # type: ignore[arg-type]
    heard: list[tuple[torch.nn.Module, torch.Tensor]] = []

    def styles(ws: torch.Tensor) -> torch.Tensor:
        """All styles, as the layers themselves make them from the rows of ws that they are given."""
        heard.clear()
        hooks = [m.register_forward_pre_hook(lambda m, given: heard.append((m, given[1])))
                 for m in generator.synthesis.modules() if isinstance(m, SynthesisLayer | ToRGB)]  # fmt: skip
        generator.synthesis(ws)
        for hook in hooks:
            hook.remove()
        return torch.cat([m.affine(w)[0] * (m.style_gain if isinstance(m, ToRGB) else 1) for m, w in heard])

    def one(w: torch.Tensor) -> torch.Tensor:
        rows_given = torch.stack([w if rows[0] <= i <= rows[1] else w.detach() for i in range(generator.num_ws)])
        return styles(rows_given[None])

    jacobian = torch.autograd.functional.jacobian(one, torch.randn(10)).double()
    values, vectors = torch.linalg.eigh(jacobian.t() @ jacobian)
    made, shares = sefa(generator, *rows, 4)
    for i in range(4):
        assert abs(float(torch.from_numpy(made[i]) @ vectors[:, -1 - i])) == pytest.approx(1, abs=1e-5)
        assert shares[i] == pytest.approx(float(values[-1 - i] / values.sum()), rel=1e-4)


def test_the_same_seed_gives_the_same_directions_and_another_nearly_the_same() -> None:
    generator = lively()
    first, again = (find(generator, ("pca", "sefa"), 3, samples=5000, seed=4) for _ in range(2))
    assert all(np.array_equal(a.vector, b.vector) and a.scale == b.scale for a, b in zip(first, again, strict=True))
    other = find(generator, ("pca",), 1, samples=50_000, seed=5)
    assert not np.array_equal(other[0].vector, first[0].vector) and cosine(other[0], first[0]) > 0.9


def test_a_sign_is_a_rule_and_not_a_chance() -> None:
    vectors = np.array([[0.1, -0.9, 0.2], [0.5, 0.4, -0.3]])
    assert np.array_equal(signed(vectors), signed(-vectors))
    assert signed(vectors)[0, 1] == 0.9 and signed(vectors)[1, 0] == 0.5


def test_sigma_is_the_deviation_of_w_along_a_direction_for_both_methods() -> None:
    generator = lively()
    _, covariance = w_moments(generator, 5000, 0)
    for d in find(generator, ("pca", "sefa"), 3, samples=5000):
        assert d.scale == pytest.approx(float(np.sqrt(d.vector @ covariance @ d.vector)), rel=1e-4)


def test_near_duplicates_are_marked_where_they_move_the_same_rows() -> None:
    a = Direction("pca01", "pca", np.array([1, 0, 0], np.float32), 1.0, 0, 5)
    near = np.array([-0.98, 0.199, 0], np.float32)
    same, elsewhere = replace(a, id="sefa01", vector=near), replace(a, id="sefa02", first=6, last=7)
    assert [d.same_as for d in marked([a, same, elsewhere])] == ["", "pca01", ""]


def test_a_direction_moves_its_own_rows_by_sigmas_and_no_others() -> None:
    ws = np.zeros((2, 6, 3), np.float32)
    d = Direction("x", "pca", np.array([0, 1, 0], np.float32), 0.5, 2, 3)
    out = moved(ws, d, 3.0)
    assert np.array_equal(out[:, 2:4, 1], np.full((2, 2), 1.5)) and out.sum() == 6.0 and ws.sum() == 0


# -------------------------------------------------------------------------------------------------------------- the files


def test_directions_are_written_and_read_again_with_strips_and_a_sheet(checkpoint: Path, tmp_path: Path) -> None:
    assert quick(checkpoint, tmp_path / "d") == 0
    kept = read_directions(tmp_path / "d")
    assert [d.id for d in kept.directions] == ["pca01", "pca02", "pca03", "sefa01", "sefa02", "sefa03"]
    assert (kept.w_dim, kept.num_ws) == (10, 6) and all((d.first, d.last) == (0, 5) for d in kept.directions)
    with np.load(tmp_path / "d" / "directions.npz", allow_pickle=False) as a:
        assert a["directions"].shape == (6, 10) and a["directions"].dtype == np.float32
        assert np.allclose(np.linalg.norm(a["directions"], axis=1), 1, atol=1e-6)
        assert a["layers"].tolist() == [[0, 5]] * 6 and a["method"].tolist() == ["pca"] * 3 + ["sefa"] * 3
    assert sorted(p.name for p in (tmp_path / "d" / "strips").iterdir()) == sorted(f"{d.id}.png" for d in kept.directions)
    assert Image.open(tmp_path / "d" / "sheet.png").width > 200
    assert not list((tmp_path / "d").rglob("*.part"))


def test_names_notes_and_order_survive_a_run_with_other_samples(checkpoint: Path, tmp_path: Path) -> None:
    quick(checkpoint, tmp_path / "d", "--n", 2)
    text = tmp_path / "d" / "directions.toml"
    was = read_directions(tmp_path / "d").by_name("pca02").vector
    text.write_text(text.read_text().replace('name = "pca02"', 'name = "light"\nnote = "up: \\"morning\\""'))
    with np.load(tmp_path / "d" / "directions.npz") as a:  # an artist's sign, the other way than the rule's
        arrays = dict(a)
    arrays["directions"][1] *= -1
    np.savez(tmp_path / "d" / "directions.npz", **arrays)
    assert quick(checkpoint, tmp_path / "d", "--n", 4, "--samples", 2500, "--seed", 1) == 0
    kept = read_directions(tmp_path / "d")
    assert kept.directions[0].name == "light" and kept.directions[0].note == 'up: "morning"'
    assert float(kept.directions[0].vector @ was) < -0.9 and len(kept.directions) == 8


def test_a_named_direction_that_is_not_found_again_stays_as_it_was(checkpoint: Path, tmp_path: Path) -> None:
    quick(checkpoint, tmp_path / "d", "--method", "pca", "--rename", "pca03", "smile")
    was = read_directions(tmp_path / "d").by_name("smile")
    assert quick(checkpoint, tmp_path / "d", "--method", "sefa", "--layers", "2-3") == 0
    kept = read_directions(tmp_path / "d")
    assert [d.shown for d in kept.directions] == ["smile", "sefa01", "sefa02", "sefa03"]
    assert np.array_equal(kept.by_name("smile").vector, was.vector) and kept.by_name("smile").first == 0
    assert kept.by_name("sefa01").first == 2 and kept.by_name("sefa01").last == 3
    quick(checkpoint, tmp_path / "d", "--method", "pca", "--layers", "4-5")
    ids = [d.id for d in read_directions(tmp_path / "d").directions]
    assert ids == ["pca03", "pca01", "pca02", "pca03b"]  # the new third one gives way


def test_directions_of_another_model_are_not_overwritten(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quick(checkpoint, tmp_path / "d")
    before = (tmp_path / "d" / "directions.toml").read_bytes()
    save_checkpoint(tmp_path / "other", lively(seed=9))
    assert quick(tmp_path / "other", tmp_path / "d") == 2
    assert "belongs to another model" in capsys.readouterr().err
    assert (tmp_path / "d" / "directions.toml").read_bytes() == before


@pytest.mark.parametrize("change, sentence", [
    (('name = "pca02"', 'name = "two words"'), "without blanks"),
    (('name = "pca02"', 'name = "pca01"'), "stands twice"),
    (('id = "pca02"', 'id = "pca09"'), "'pca09'"),
    (('name = "pca02"', 'nmae = "pca02"'), "'nmae'"),
    (("w_dim = 10", "w_dim = 11"), "[D, 11]"),
    (("num_ws = 6", 'num_ws = "six"'), "'six'"),
    (("[[direction]]", "[[direction"), "is not TOML"),
])  # fmt: skip
def test_a_mistake_in_the_text_is_named(checkpoint: Path, tmp_path: Path, change: tuple[str, str], sentence: str) -> None:
    quick(checkpoint, tmp_path / "d", "--method", "pca", "--n", 2)
    text = tmp_path / "d" / "directions.toml"
    assert change[0] in text.read_text()
    text.write_text(text.read_text().replace(*change))
    with pytest.raises(ShowError, match="directions") as error:
        read_directions(tmp_path / "d")
    assert sentence in str(error.value)


@pytest.mark.parametrize("arguments, sentence", [
    (["--layers", "3-9"], "--layers: 3-9; allowed: 0-5"),
    (["--layers", "low"], "two whole numbers"),
    (["--n", "11"], "--n: 11; allowed: 1 to 10"),
    (["--bases", "1,x"], "--bases"),
    (["--amount", "1"], "without --apply"),
    (["--steps", "1", "--psi", "5"], "--psi: 5.0"),
    (["--rename", "pca77", "light"], "--rename: pca77"),
    (["--rename", "pca01", "bright light"], "without blanks"),
])  # fmt: skip
def test_a_bad_option_is_one_sentence_and_nothing_is_written(
    checkpoint: Path, tmp_path: Path, arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert edit(checkpoint, "-o", tmp_path / "d", "--samples", 500, "--n", 3, *arguments) == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "d").exists()


def test_a_place_that_cannot_be_a_folder_is_told_before_the_work(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("mine")
    monkeypatch.setattr("tools.gan_edit.find", lambda *_: pytest.fail("the work began"))
    assert edit(checkpoint, "-o", tmp_path / "file" / "d") == 2
    assert "is no folder" in capsys.readouterr().err and (tmp_path / "file").read_text() == "mine"


# ------------------------------------------------------------------------------------------------------------- the pictures


def test_the_middle_of_a_strip_is_the_picture_itself_and_differences_grow_with_the_amount() -> None:
    generator = lively()
    direction = find(generator, ("pca",), 1, samples=2000)[0]
    bases = bases_from_seeds(generator, [0, 1, 2], 0.7)
    still = pictures(generator, bases, GEOMETRY["inner"])
    amounts = amounts_for(7, 3.0)
    strip = strip_pictures(generator, bases, still, direction, amounts, GEOMETRY["inner"])
    assert amounts == [-3, -2, -1, 0, 1, 2, 3] and strip.shape == (3, 7, 12, 16, 3)
    assert np.array_equal(strip[:, 3], still)
    far = np.abs(strip.astype(int) - still[:, None].astype(int)).mean(axis=(0, 2, 3, 4))
    assert far[3] == 0 and 0 < far[4] < far[5] < far[6] and 0 < far[2] < far[1] < far[0]
    sheet = draw_strip(direction, strip, amounts, ["a", "b", "c"])
    assert sheet.height > 3 * 40 and len(np.unique(np.asarray(sheet))) > 20


def test_bases_are_the_pictures_that_sample_shows_for_the_same_seeds() -> None:
    generator = lively()
    z = torch.from_numpy(np.random.RandomState(7).randn(1, 12).astype(np.float32))
    assert np.allclose(bases_from_seeds(generator, [7], 0.5), generator.mapping(z, psi=0.5).numpy(), atol=1e-6)


# --------------------------------------------------------------------------------------------------------- moving latents


@pytest.fixture
def directions(checkpoint: Path, tmp_path: Path) -> Path:
    quick(checkpoint, tmp_path / "d", "--method", "pca", "--rename", "pca01", "light")
    return tmp_path / "d"


def test_amount_0_is_identity_and_what_is_no_latent_is_never_touched(directions: Path, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    arrays = {"s01/keys": random.standard_normal((3, 1, 10)).astype(np.float32), "s01/frames": np.array([0, 5, 9]),
              "s01/names": np.array(["a", "b", "c"]), "s02/keys": random.standard_normal((2, 6, 10)).astype(np.float32),
              "s02/frames": np.array([10, 19]), "s02/names": np.array(["d", "e"])}  # fmt: skip
    np.savez(tmp_path / "score.npz", **arrays)
    (tmp_path / "score.toml").write_text("generator_sha256 = ''\n")
    out = tmp_path / "new.npz"
    assert edit(directions, "--apply", tmp_path / "score.npz", "--direction", "light", "--amount", 0, "-o", out) == 0
    with np.load(out, allow_pickle=False) as a:
        assert list(a.files) == list(arrays) and all(np.array_equal(a[k], v) for k, v in arrays.items())
    assert (tmp_path / "new.toml").read_text() == "generator_sha256 = ''\n"  # together they are a score
    assert edit(directions, "--apply", tmp_path / "score.npz", "--direction", "light", "--amount", -1.5, "--walk", "s02",
                "-o", out) == 0  # fmt: skip
    d = read_directions(directions).by_name("light")
    with np.load(out, allow_pickle=False) as a:
        assert np.array_equal(a["s01/keys"], arrays["s01/keys"])
        assert np.allclose(a["s02/keys"], arrays["s02/keys"] - 1.5 * d.scale * d.vector, atol=1e-6)
        assert np.array_equal(a["s02/frames"], arrays["s02/frames"])


def test_w_stays_w_where_all_rows_move_and_becomes_w_plus_where_some_do() -> None:
    w = np.random.default_rng(1).standard_normal((4, 10)).astype(np.float32)
    everywhere = Direction("a", "pca", np.eye(10, dtype=np.float32)[0], 2.0, 0, 5)
    high = replace(everywhere, id="b", first=4, last=5)
    assert moved_latents(w, [(everywhere, 1.0)], 6).shape == (4, 10)
    assert moved_latents(w[:, None], [(everywhere, 1.0)], 6).shape == (4, 1, 10)
    plus = moved_latents(w, [(high, 0.5)], 6)
    assert plus.shape == (4, 6, 10) and np.array_equal(plus[:, :4], np.repeat(w[:, None], 4, axis=1))
    assert np.allclose(plus[:, 4:, 0], w[:, None, 0] + 1.0)
    assert moved_latents(w, [(high, 0.0)], 6) is w


@pytest.mark.parametrize("arguments, sentence", [
    (["--direction", "ligt", "--amount", "1"], "did you mean 'light'?"),
    (["--direction", "light"], "each with its --amount"),
    (["--direction", "light", "--amount", "nan"], "not a finite number"),
    (["--direction", "light", "--amount", "1", "--walk", "s9"], "--walk: s9"),
])  # fmt: skip
def test_bad_moves_are_said(directions: Path, tmp_path: Path, arguments: list[str], sentence: str,
                            capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    np.savez(tmp_path / "l.npz", w=np.zeros((2, 10), np.float32))
    assert edit(directions, "--apply", tmp_path / "l.npz", "-o", tmp_path / "n.npz", *arguments) == 2
    assert sentence in capsys.readouterr().err and not (tmp_path / "n.npz").exists()


@pytest.mark.parametrize("arrays, sentence", [
    ({"w": np.zeros((2, 9), np.float32)}, "float32 [2, 9]"),
    ({"w": np.zeros((2, 4, 10), np.float32)}, "[2, 4, 10]"),
    ({"w": np.zeros((2, 10), np.int64)}, "int64"),
    ({"w": np.full((2, 10), np.nan, np.float32)}, "not finite"),
    ({"other": np.zeros(3)}, "holds other"),
    ({"w": np.array([{"a": 1}], dtype=object)}, "cannot be read"),
])  # fmt: skip
def test_latents_of_another_kind_are_refused(directions: Path, tmp_path: Path, arrays: dict[str, np.ndarray], sentence: str,
                                             capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    np.savez(tmp_path / "l.npz", **arrays)  # type: ignore[arg-type]
    same = ["--direction", "light", "--amount", 1]
    assert edit(directions, "--apply", tmp_path / "l.npz", "-o", tmp_path / "n.npz", *same) == 2
    assert sentence in capsys.readouterr().err


def test_the_latents_that_are_read_are_never_overwritten(
    directions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "l.npz", w=np.zeros((2, 10), np.float32))
    same = ["--direction", "light", "--amount", 1]
    assert edit(directions, "--apply", tmp_path / "l.npz", "-o", tmp_path / "l.npz", *same) == 2
    assert "another name" in capsys.readouterr().err
    (tmp_path / "cut.npz").write_bytes((tmp_path / "l.npz").read_bytes()[:60])
    assert edit(directions, "--apply", tmp_path / "cut.npz", "-o", tmp_path / "n.npz", *same) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_strips_start_from_the_films_own_frames_where_the_run_has_codes_of_them(checkpoint: Path, tmp_path: Path) -> None:
    codes = np.random.default_rng(3).standard_normal((21, 10)).astype(np.float32)
    np.savez(checkpoint / "anchors.npz", codes=codes, places=np.zeros((21, 3), np.float32))
    bases, labels = gan_edit.bases_from_latents(checkpoint / "anchors.npz", 4, 10, 6)
    assert labels == ["frame 4", "frame 8", "frame 12", "frame 16"]
    assert np.array_equal(bases, np.repeat(codes[[4, 8, 12, 16], None], 6, axis=1))
    assert edit(checkpoint, "-o", tmp_path / "d", "--n", 1, "--method", "pca", "--samples", 500, "--steps", 3) == 0
    four = Image.open(tmp_path / "d" / "strips" / "pca01.png").height
    assert quick(checkpoint, tmp_path / "d") == 0  # --bases 0,1: two rows, from seeds
    assert Image.open(tmp_path / "d" / "strips" / "pca01.png").height < four
