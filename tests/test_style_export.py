"""An exported stylizer shows what torch shows, in every variant; and its normalisation folds into constants of a film."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

from models.stylizer import Stylizer  # noqa: E402
from models.stylizer_checkpoint import save_stylizer  # noqa: E402
from player.show.problem import ShowError  # noqa: E402
from player.sources.stylizer_model import StylizerModel, stylizer_facts  # noqa: E402
from tests.film_footage import scene, write_film  # noqa: E402
from tests.painted_clip import write_frames  # noqa: E402
from tests.small_stylizers import ABOUT, lively, written  # noqa: E402
from tools import style_export  # noqa: E402
from tools.gan_export import open_session  # noqa: E402
from tools.style_export import ExportOptions, by_torch, drawn, export  # noqa: E402
from tools.style_export_graph import Frame, build  # noqa: E402
from tools.style_fold import as_tensor, difference, folded, styled_layers  # noqa: E402

Pixels = np.ndarray


def run(*argv: object) -> int:
    return style_export.main([str(a) for a in argv])


def shown(net: Stylizer, picture: Pixels, weights: list[float]) -> Pixels:
    """What torch shows, uint8 [H, W, 3]."""
    return by_torch(net, {"image": picture[None], "style": np.asarray([weights], np.float32)})[0]


VARIANTS: list[dict[str, Any]] = [
    {"norm": "instance"},
    {"norm": "affine"},
    {"norm": "affine", "width": 16, "styles": ("oil",)},
    {"norm": "instance", "recurrent": True},
    {"norm": "affine", "canvas": 0, "styles": ("a", "b", "c")},
    {"architecture": "johnson", "norm": "instance", "width": 4},
    {"architecture": "johnson", "norm": "affine", "width": 4, "recurrent": True, "styles": ("oil",)},
]


@pytest.mark.parametrize("options", VARIANTS, ids=lambda o: " ".join(map(str, o.values())))
@pytest.mark.parametrize("size", [None, (70, 54)], ids=["any size", "70x54"])
def test_a_file_shows_what_torch_shows(tmp_path: Path, options: dict[str, Any], size: tuple[int, int] | None) -> None:
    made = export(lively(**options), tmp_path / "s.onnx", ExportOptions(size), ABOUT)  # which compares
    assert made.levels <= 1 and made.mean < 0.01
    assert made.size == made.path.stat().st_size


@pytest.mark.parametrize("form", ["maps", "weights"])
@pytest.mark.parametrize("width", [8, 16])
def test_a_styles_gains_may_be_multiplied_in_anywhere(tmp_path: Path, form: Any, width: int) -> None:
    made = export(lively(norm="affine", width=width), tmp_path / "s.onnx", ExportOptions((48, 32), form=form), ABOUT)
    assert made.levels <= 1


@pytest.mark.parametrize("options", [VARIANTS[i] for i in (0, 3, 5)], ids=lambda o: " ".join(map(str, o.values())))
def test_a_file_in_half_precision_shows_nearly_the_same(tmp_path: Path, options: dict[str, Any]) -> None:
    net = lively(**options)
    whole = export(net, tmp_path / "whole.onnx", ExportOptions(), ABOUT)
    half = export(net, tmp_path / "half.onnx", ExportOptions(fp16=True), ABOUT)
    assert half.mean < 0.3
    kinds = {i.data_type for i in onnx.load(str(half.path)).graph.initializer}
    assert onnx.TensorProto.FLOAT16 in kinds
    assert half.size < whole.size
    assert json.loads(metadata(half.path))["fp16"] is True


def metadata(path: Path) -> str:
    return {p.key: p.value for p in onnx.load(str(path)).metadata_props}["cineml"]


def test_the_player_opens_the_file_and_knows_what_it_is(tmp_path: Path) -> None:
    facts = stylizer_facts(written(tmp_path / "fixed.onnx", (64, 48)))
    assert (facts.styles, facts.size, facts.recurrent) == (("oil", "woodcut"), (64, 48), False)
    assert facts.licence == "CC0-1.0" and facts.hashes["weights"] == "ab" * 32 and facts.run["steps"] == 3
    model = StylizerModel(written(tmp_path / "any.onnx"), film_size=(75, 58), threads=1)
    model.open()
    picture = drawn((75, 58), np.random.default_rng(1))
    made = model.stylised(picture, model.vector({"oil": 1, "woodcut": 3}))
    model.close()
    assert np.abs(made.astype(int) - shown(lively(), picture, [0.25, 0.75])).max() <= 1


def test_the_style_blends_from_one_to_the_other(tmp_path: Path) -> None:
    session = open_session(build(lively(), Frame((48, 32)), {}), 1)
    picture = drawn((48, 32), np.random.default_rng(2))[None]
    made = [session.run(None, {"image": picture, "style": np.array([[1 - t, t]], np.float32)})[0].astype(int)
            for t in (0.0, 0.25, 0.5, 1.0)]  # fmt: skip
    apart = [float(np.abs(m - made[-1]).mean()) for m in made]
    assert apart[0] > apart[1] > apart[2] > apart[3] == 0


def test_the_same_network_gives_the_same_bytes(tmp_path: Path) -> None:
    a, b = written(tmp_path / "a.onnx"), written(tmp_path / "b.onnx")
    assert a.read_bytes() == b.read_bytes()


def test_a_file_that_shows_something_else_is_refused_and_the_older_one_stays(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    path = written(tmp_path / "s.onnx")
    before = path.read_bytes()
    monkeypatch.setattr(style_export, "build", lambda net, frame, more: build(lively(seed=1), frame, more))
    with pytest.raises(ShowError, match="differs from torch by .* the older file was left in place"):
        export(lively(), path, ExportOptions(), ABOUT)
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["s.onnx"]


# --- folding


def test_folded_over_one_picture_a_network_shows_that_picture_as_before() -> None:
    for architecture, width in (("student", 8), ("johnson", 4)):
        net = lively(architecture=architecture, width=width, norm="instance")
        picture = drawn((64, 48), np.random.default_rng(3))
        out = folded(net, [picture])
        assert out.config.norm == "affine" and net.config.norm == "instance"
        assert max(difference(net, out, [picture])) < 0.01  # levels: one picture's statistics are the constants


def test_a_folded_network_does_not_pump() -> None:
    net = lively(norm="instance")
    dark = drawn((320, 64), np.random.default_rng(4))
    lit = dark.copy()
    lit[:, 300:] = 255  # a lamp goes on at the right
    out = folded(net, [dark, lit])
    assert float((net(as_tensor(dark), WEIGHTS) - net(as_tensor(lit), WEIGHTS)).abs()[..., :64].max()) > 0.01
    assert float((out(as_tensor(dark), WEIGHTS) - out(as_tensor(lit), WEIGHTS)).abs()[..., :64].max()) == 0


WEIGHTS = torch.tensor([[0.5, 0.5]])


def test_folding_tells_how_far_it_is_and_refuses_what_has_no_instance_normalisation() -> None:
    told: list[int] = []
    net = lively(norm="instance")
    folded(net, [drawn((48, 32), np.random.default_rng(5))], told.append)
    assert told == list(range(1, len(styled_layers(net)) + 1))
    with pytest.raises(ValueError, match="instance normalisation"):
        folded(lively(norm="affine"), [np.zeros((32, 32, 3), np.uint8)])


# --- the command


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    net = lively(norm="instance")
    return save_stylizer(tmp_path / "run" / "checkpoint", net, net.config, {"run": {"steps": 5}, "licence": "CC-BY-4.0"})


def test_a_run_is_exported_with_its_record(tmp_path: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(checkpoint.parent, "--licence", "CC0-1.0") == 0
    out = capsys.readouterr().out
    assert "2 styles (oil, woodcut)" in out and "differs from torch by" in out
    facts = stylizer_facts(checkpoint.parent / "stylizer.onnx")
    assert facts.size is None and facts.licence == "CC0-1.0" and facts.run["steps"] == 5
    record = json.loads((checkpoint.parent / "stylizer.onnx.json").read_text())
    assert record["weights_sha256"] == facts.hashes["weights"] and record["file"]["greatest_difference"] <= 1


def test_a_recurrent_networks_export_says_that_the_player_shows_it_each_frame_alone(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    net = lively(recurrent=True)
    save_stylizer(tmp_path / "run" / "checkpoint", net, net.config, {"run": {"steps": 5}})
    assert run(tmp_path / "run", "--fp16") == 0
    said = capsys.readouterr().out
    assert "recurrent: cineml style apply gives it its last picture" in said and "first of a shot" in said


def test_folding_measures_frames_from_within_the_film_unsqueezed(tmp_path: Path, checkpoint: Path,
                                                                 monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    seen: list[Pixels] = []

    def watched(net: Stylizer, frames: Any, tick: Any) -> Stylizer:
        seen[:] = frames
        return folded(net, frames, tick)

    wide = [np.full((40, 120, 3), 10 * n, np.uint8) for n in range(9)]
    for picture in wide:
        picture[:, 50:70] += 100
    frames = write_frames(tmp_path / "frames", wide)
    monkeypatch.setattr(style_export, "folded", watched)
    assert run(checkpoint, "-o", tmp_path / "s.onnx", "--fold", frames, "--frames", "3", "--size", "48x48") == 0
    assert [int(p[24, 2, 0]) for p in seen] == [10, 40, 70], "neither the first frame nor the last"
    assert [int((p[24, :, 0] > p[24, 2, 0] + 50).sum()) for p in seen] == [24] * 3, "20 of 40 pixels stay half of the width"


def test_a_run_is_folded_over_a_film_of_another_size(
        tmp_path: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    film = write_film(tmp_path / "film.mp4", 24, picture=scene(97, 65), pixels="yuv444p")
    out = tmp_path / "s.onnx"
    assert run(checkpoint, "-o", out, "--size", "64x48", "--fold", film, "--frames", 3, "--start", "4f", "--end", "0.75s") == 0
    assert "differ from the measured ones' by oil" in capsys.readouterr().out
    told = json.loads(metadata(out))
    assert told["norm"] == "affine" and told["run"]["folded"]["range"] == [4, 18] and told["size"] == [64, 48]
    assert told["hashes"]["folded_film"] == json.loads((tmp_path / "s.onnx.json").read_text())["fold_film_sha256"]
    frames = write_frames(tmp_path / "frames", [scene(96, 64)(n) for n in range(3)])
    assert run(checkpoint, "-o", out, "--fold", frames) == 0


def test_bad_input_is_said_in_one_sentence_each_and_nothing_is_written(
        tmp_path: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    cases: list[tuple[tuple[object, ...], str]] = [
        ((tmp_path / "nothing",), "no stylizer folder"),
        ((checkpoint, "-o", tmp_path / "s.pt"), "ends in '.pt'"),
        ((checkpoint, "-o", tmp_path / "no" / "s.onnx"), "not there"),
        ((checkpoint, "--size", "640"), "WxH, as 640x480"),
        ((checkpoint, "--size", "8x640"), "16 to 8192"),
        ((checkpoint, "--frames", "3"), "is given without --fold"),
        ((checkpoint, "--fold", tmp_path / "no.mp4"), "does not exist"),
    ]
    for words, said in cases:
        more = () if "-o" in words else ("-o", tmp_path / "s.onnx")
        assert run(*words, *more) == 2
        err = capsys.readouterr().err
        assert said in err and len(err.splitlines()) == 1, err
    affine = lively(norm="affine")
    save_stylizer(tmp_path / "affine", affine, affine.config, {})
    frames = write_frames(tmp_path / "frames", [scene(96, 64)(n) for n in range(3)])
    assert run(tmp_path / "affine", "-o", tmp_path / "s.onnx", "--fold", frames) == 2
    assert "has constants in the place of instance normalisation already" in capsys.readouterr().err
    assert run(checkpoint, "-o", tmp_path / "s.onnx", "--fold", frames, "--end", "9f") == 2
    assert "--end: is frame 9" in capsys.readouterr().err
    assert not (tmp_path / "s.onnx").exists()


def test_a_model_or_a_text_of_somebody_else_is_not_written_over(
        tmp_path: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    other, text = tmp_path / "synthesis.onnx", tmp_path / "new.onnx.json"
    model = build(lively(), Frame((48, 32)), {"cineml": json.dumps({"kind": "stylegan2"})})
    other.write_bytes(model.SerializeToString())
    text.write_text('{"mine": 1}')
    before = {p: p.read_bytes() for p in (other, text)}
    for out, said in ((other, "is no stylizer of this command's"), (tmp_path / "new.onnx", "is not this command's")):
        assert run(checkpoint, "-o", out) == 2
        told = capsys.readouterr().err
        assert said in told and len(told.splitlines()) == 1
    assert {p: p.read_bytes() for p in before} == before and not (tmp_path / "new.onnx").exists()
    assert run(checkpoint, "-o", tmp_path / "s.onnx") == 0 and run(checkpoint, "-o", tmp_path / "s.onnx") == 0


def test_a_damaged_checkpoint_is_refused(tmp_path: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = (checkpoint / "model.safetensors").read_bytes()
    (checkpoint / "model.safetensors").write_bytes(data[:-100])
    assert run(checkpoint, "-o", tmp_path / "s.onnx") == 2
    assert "truncated" in capsys.readouterr().err
