"""`cineml style dream`: a layer grows louder, a film's dream moves with it, colour and shadow are kept, stopped runs go on."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch", reason="the networks that dream are torch's")
cv2 = pytest.importorskip("cv2", reason="flow and resizing are OpenCV's")
pytest.importorskip("safetensors", reason="checkpoints are safetensors")

from models.checkpoint import save_checkpoint  # noqa: E402
from models.network_config import GeneratorConfig  # noqa: E402
from models.perception import Perception  # noqa: E402
from models.stylegan2 import Generator  # noqa: E402
from player.show.problem import ShowError  # noqa: E402
from tests.small_judges import small_discriminator, small_vgg  # noqa: E402
from tests.test_style_gatys import moving, scene, stripes  # noqa: E402
from tools.style_dream import main  # noqa: E402
from tools.style_dream_options import DreamOptions, arguments, dream_options  # noqa: E402
from tools.style_dream_picture import Carried, Dreamer, blurred, carried, middle_layer, octave_sizes  # noqa: E402
from tools.style_gatys_target import tensor_of  # noqa: E402
from tools.style_gatys_tiles import Sight  # noqa: E402

QUICK = DreamOptions(octaves=2, iterations=4, step=2.0)
WORDS = ["--octaves", "2", "--iterations", "3", "--threads", "1"]
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def judge() -> Perception:
    return Perception(small_discriminator())


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint folder with a discriminator."""
    torch.manual_seed(0)
    config = GeneratorConfig(resolution=16, channels=3, z_dim=4, w_dim=4, mapping_layers=1, channel_base=64, channel_max=8)
    return save_checkpoint(tmp_path_factory.mktemp("run") / "checkpoint", Generator(config), small_discriminator())


def loudness(perception: Perception, picture: np.ndarray, layer: str) -> float:
    with torch.no_grad():
        return float(perception.features(tensor_of(picture), [layer])[layer].square().mean())


def test_the_layer_that_is_named_grows_louder(judge: Perception) -> None:
    frame = scene(65, 97)
    for perception, layers in ((judge, ("b16.conv0", "b8")), (Perception(small_vgg()), ("relu1_2", "conv3_1"))):
        for layer in layers:
            made = Dreamer(perception, replace(QUICK, layer=layer)).dream(frame)
            assert made.picture.shape == frame.shape and made.picture.dtype == np.uint8
            assert loudness(perception, made.picture, layer) > 1.1 * loudness(perception, frame, layer), layer
            assert np.allclose(frame / 255 + made.detail, made.picture / 255, atol=0.5 / 255 + 1e-5)
            assert np.array_equal(made.picture, Dreamer(perception, replace(QUICK, layer=layer)).dream(frame).picture)


def test_a_guided_dream_goes_towards_the_guide(judge: Perception) -> None:
    frame, guide = scene(64, 96), stripes(64)
    guided, free = (Dreamer(judge, replace(QUICK, layer="b8", iterations=8), g).dream(frame).picture for g in (guide, None))

    def likeness(picture: np.ndarray) -> float:
        with torch.no_grad():
            here, there = (judge.features(tensor_of(p), ["b8"])["b8"][0].flatten(1).T for p in (picture, guide))
        here, there = (f / f.norm(dim=1, keepdim=True) for f in (here, there))
        return float((here @ there.T).amax(dim=1).mean())

    assert likeness(guided) > max(likeness(frame), likeness(free))


def test_a_grey_network_dreams_in_light_and_dark() -> None:
    frame = np.full((64, 64, 3), 100, np.uint8) + stripes(64) // 8
    made = Dreamer(Perception(small_discriminator(1)), replace(QUICK, layer="b8")).dream(frame)
    inside = ((made.picture > 0) & (made.picture < 255)).all(axis=2)
    spread = made.detail.max(axis=2) - made.detail.min(axis=2)
    assert np.abs(made.detail).mean() > 0.01 and spread[inside].max() < 1e-4


def test_the_whole_picture_is_not_simply_made_lighter_or_darker(judge: Perception) -> None:
    dreamer = Dreamer(judge, QUICK)
    ripple = torch.sin(torch.arange(64.0))[None, None, None, :].expand(1, 3, 64, 64)
    made = dreamer._balanced(ripple + 50.0)
    assert float(made.mean().abs()) < 0.05 * float(made.abs().mean())
    one = torch.zeros(1, 3, 33, 33)
    one[..., 16, 16] = 1
    soft = blurred(one, 2.0)
    assert float(soft.sum()) == pytest.approx(3, rel=1e-4)
    assert float(soft[0, 0, 16, 16]) == pytest.approx(1 / (8 * np.pi), rel=0.02)


def test_tiles_dream_as_the_whole_does(judge: Perception) -> None:
    x = tensor_of(scene(72, 100))
    found = []
    for tile in (0, 32):
        dreamer = Dreamer(judge, replace(QUICK, layer="b8", tile=tile))
        sight = Sight(judge, ["b8"], (72, 100), tile)
        found.append((dreamer._gradient(x, sight), len(sight.tiles)))
    assert found[0][1] == 1 and found[1][1] > 6
    assert float((found[0][0] - found[1][0]).abs().max()) < 1e-3 * float(found[0][0].abs().max())


def test_nothing_is_dreamt_of_at_the_borders_that_is_not_in_the_picture(judge: Perception) -> None:
    frame = np.full((96, 128, 3), 215, np.uint8)
    frame[56:, 24:104] = 30  # at the bottom alone
    frame = cv2.GaussianBlur(frame, (0, 0), 2)
    for layer in ("b16.conv0", "b8"):
        made = Dreamer(judge, replace(QUICK, layer=layer, octaves=1, iterations=8)).dream(frame)
        dreamt = np.abs(made.picture.astype(float) - frame).mean(axis=2)
        sides = dreamt[:4], dreamt[:40, :4], dreamt[:40, -4:]
        assert all(side.mean() < 0.05 for side in sides) and dreamt[50:62].mean() > 1, layer


def test_a_dream_is_as_strong_at_the_borders_as_within(judge: Perception) -> None:
    noise = np.random.default_rng(0).integers(90, 160, (4, 96, 128, 3), np.uint8)
    dreamer = Dreamer(judge, replace(QUICK, layer="b8", octaves=1))
    strength = np.mean([np.abs(dreamer.dream(frame).detail).mean(axis=2) for frame in noise], axis=0)
    within = strength[16:-16, 16:-16].mean()
    for turns in range(4):
        lines = np.rot90(strength, turns)[:10].mean(axis=1) / within
        assert lines.min() > 0.85 and lines.max() < 1.15, turns


def test_octaves_go_from_small_to_the_pictures_own_size() -> None:
    assert octave_sizes((96, 128), 3, 2.0, 20) == [(24, 32), (48, 64), (96, 128)]
    assert octave_sizes((96, 128), 8, 2.0, 48) == [(48, 64), (96, 128)]
    assert octave_sizes((50, 50), 3, 1.4, 48) == [(50, 50)]
    assert middle_layer(Perception(small_discriminator())) == "b8" and middle_layer(Perception(small_vgg())) == "relu4_3"


def test_a_still_films_dream_neither_grows_nor_fades(judge: Perception) -> None:
    frame, options = scene(64, 96), replace(QUICK, layer="b8", octaves=1, iterations=8, carry=0.8)
    dreamer = Dreamer(judge, options)
    made = dreamer.dream(frame)
    first = float(np.abs(made.detail).mean())
    sizes, moved = [], []
    for number in range(1, 8):
        before = made
        made = dreamer.dream(frame, Carried(before.detail, np.ones(frame.shape[:2], np.float32)), number)
        sizes.append(float(np.abs(made.detail).mean()))
        moved.append(float(np.abs(made.picture.astype(float) - before.picture).mean()))
    assert all(0.6 * first < s < 1.4 * first for s in sizes) and sizes[-1] == pytest.approx(sizes[-2], rel=0.1)
    assert max(moved) < 0.25 * 255 * first


def test_a_films_dream_moves_with_the_film(judge: Perception) -> None:
    frames = moving(4)
    dreamer = Dreamer(judge, replace(QUICK, layer="b8", iterations=6, carry=0.9))
    kept, alone = [dreamer.dream(frames[0])], [dreamer.dream(frames[0])]
    for number, frame in enumerate(frames[1:], 1):
        kept.append(dreamer.dream(frame, carried(frame, frames[number - 1], kept[-1].detail), number))
        alone.append(dreamer.dream(frame, None, number))
    shift = [np.mean([np.abs(b.detail[8:-8, 12:-8] - a.detail[8:-8, 10:-10]).mean() / np.abs(a.detail).mean()
                      for a, b in zip(run, run[1:], strict=False)]) for run in (kept, alone)]  # fmt: skip
    assert shift[0] < 0.6 * shift[1]


def test_colour_and_shadow_of_the_film_are_kept_on_request(judge: Perception) -> None:
    from tools.keyframes_keep import to_oklab

    frame = scene(64, 96)
    plain = Dreamer(judge, replace(QUICK, layer="b8")).dream(frame)
    held = Dreamer(judge, replace(QUICK, layer="b8", keep=("colour", "shadow"))).dream(frame)
    assert np.array_equal(plain.detail, held.detail)  # the next frame begins with the dream itself

    def apart(picture: np.ndarray, at: slice, sigma: float) -> float:
        change = np.ascontiguousarray((to_oklab(picture) - to_oklab(frame))[..., at])
        return float(np.abs(cv2.GaussianBlur(change, (0, 0), sigma) if sigma else change).mean())

    assert apart(held.picture, slice(1, 3), 0) < 0.3 * apart(plain.picture, slice(1, 3), 0)
    assert apart(held.picture, slice(0, 1), 8.0) < 0.5 * apart(plain.picture, slice(0, 1), 8.0)
    assert apart(held.picture, slice(0, 1), 0) > 0.5 * apart(plain.picture, slice(0, 1), 0)  # what is fine stays


def test_what_cannot_be_dreamt_is_one_sentence(judge: Perception, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ShowError, match="--layer: the discriminator has no layer 'x'; it has b16.conv0, b16, b8.conv0, b8"):
        Dreamer(judge, replace(QUICK, layer="x"))
    with pytest.raises(ShowError, match="the picture: is 64x20; allowed: 48 pixels a side at least"):
        Dreamer(judge, QUICK).dream(scene(20, 64))

    def full(*_: object) -> None:
        raise RuntimeError("not enough memory: you tried to allocate 1 byte")

    monkeypatch.setattr(Dreamer, "_gradient", full)
    with pytest.raises(ShowError, match="memory: ran out at 96x64; try: --tile 320"):
        Dreamer(judge, QUICK).dream(scene(64, 96))


# --- the command


def save(path: Path, picture: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path)
    return path


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """A folder of four frames and its cut list: shots of 3 and 1."""
    folder = tmp_path / "frames"
    for number, frame in enumerate([*moving(3), scene(64, 96, seed=9)]):
        save(folder / f"{number:04d}.png", frame)
    return folder


def cuts(folder: Path) -> Path:
    path = folder.parent / "cuts.csv"
    path.write_text("# film: frames\n# rate: 24/1\n# frames: 4\nshot,start,end,in,in_frames,in_colour,out,out_frames,"
                    "out_colour,label,group\n1,0,3,cut,0,,cut,0,,,\n2,3,4,cut,0,,cut,0,,,\n")  # fmt: skip
    return path


def test_a_picture_is_dreamt_with_its_alpha_and_what_made_it(
    tmp_path: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rgba = np.dstack([scene(64, 96), np.full((64, 96), 255, np.uint8)])
    rgba[:10, :, 3] = 0
    content, output = save(tmp_path / "still.png", rgba), tmp_path / "dream.png"
    words = [str(content), "--network", str(checkpoint), "-o", str(output), "--layer", "b8", *WORDS]
    assert main(words) == 0
    made = np.asarray(Image.open(output))
    assert made.shape == (64, 96, 4) and np.array_equal(made[..., 3], rgba[..., 3])
    assert np.abs(made[20:, :, :3].astype(int) - rgba[20:, :, :3]).mean() > 2
    told = json.loads((tmp_path / "dream.png.json").read_text())
    assert told["tool"] == "cineml style dream" and told["common"]["options"]["layer"] == "b8"
    assert len(told["common"]["network"]["sha256"]) == 64 and told["versions"]["numpy"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["dream.png", "dream.png.json", "still.png"]
    before = output.read_bytes()
    assert main(words) == 0 and "there already" in capsys.readouterr().out and output.read_bytes() == before
    assert main([*words, "--step", "4"]) == 2 and "was made with other options" in capsys.readouterr().err
    assert main([*words, "--step", "4", "--again"]) == 0 and output.read_bytes() != before


def test_a_stopped_film_goes_on_as_if_it_had_not_been(
    tmp_path: Path, film: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(film), "--network", str(checkpoint), "--cuts", str(cuts(film)), "--layer", "b8", *WORDS]
    assert main([*words, "-o", str(tmp_path / "whole")]) == 0
    plain = Dreamer.dream

    def stops(self: Dreamer, frame: np.ndarray, past: object = None, number: int = 0, tick: object = None) -> object:
        if number == 2:
            raise KeyboardInterrupt
        return plain(self, frame, past, number, tick)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(Dreamer, "dream", stops)
        assert main([*words, "-o", str(tmp_path / "parts")]) == 130
    assert "stopped; 2 frames are there" in capsys.readouterr().err
    assert main([*words, "-o", str(tmp_path / "parts")]) == 0
    for number in range(4):
        whole, parts = (np.asarray(Image.open(tmp_path / n / f"{number:04d}.png")).astype(int) for n in ("whole", "parts"))
        assert np.array_equal(whole, parts), number
    started = capsys.readouterr().out
    assert "2 of 4 frames are there already" in started


def test_a_film_is_dreamt_from_shot_to_shot_and_written_as_a_film(tmp_path: Path, film: Path, checkpoint: Path) -> None:
    av = pytest.importorskip("av")
    output = tmp_path / "dream.mp4"
    words = [str(film), "--network", str(checkpoint), "--cuts", str(cuts(film)), "--layer", "b8", "--keep", "colour", *WORDS]
    assert main([*words, "-o", str(output), "--start", "1f", "--end", "4f"]) == 0
    with av.open(str(output)) as container:
        frames = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
    assert len(frames) == 3 and frames[0].shape == (64, 96, 3)
    single = tmp_path / "alone.png"
    assert main([str(film / "0003.png"), "--network", str(checkpoint), "--layer", "b8", "--keep", "colour", *WORDS, "-o",
                 str(single)]) == 0  # fmt: skip
    kept = next((tmp_path / "dream.mp4.work").rglob("0003.png"))
    assert np.array_equal(np.asarray(Image.open(kept)), np.asarray(Image.open(single)))  # the cut: nothing is carried over it


def test_everything_that_is_wrong_is_said_at_once_and_nothing_is_lost(
    tmp_path: Path, film: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    still = save(tmp_path / "still.png", scene(64, 96))
    before = still.read_bytes()
    assert main([str(tmp_path / "none.png"), "--network", str(tmp_path / "no.pth"), "--guide", str(tmp_path / "no.jpg"), "-o",
                 str(tmp_path / "out.png")]) == 2  # fmt: skip
    said = capsys.readouterr().err
    assert all(name in said for name in ("none.png", "no.pth")) and len(said.strip().splitlines()) == 3
    assert f"--guide {tmp_path / 'no.jpg'}: does not exist; allowed: a picture\n" in said
    assert main([str(still), "--network", str(checkpoint), "-o", str(still)]) == 2
    assert "which would be lost" in capsys.readouterr().err and still.read_bytes() == before
    assert main([str(still), "--network", str(checkpoint), "-o", str(tmp_path / "x.png"), "--layer", "?", *WORDS]) == 2
    assert "it has b16.conv0, b16, b8.conv0, b8" in capsys.readouterr().err
    assert main([str(film), "--network", str(checkpoint), "-o", str(tmp_path / "x.png"), *WORDS]) == 2
    assert "is a folder of frames" in capsys.readouterr().err
    assert not list(tmp_path.glob("x*"))


def test_options_are_checked_all_at_once() -> None:
    words = ["a.png", "--network", "n", "-o", "b.png"]
    assert dream_options(arguments().parse_args(words)) == DreamOptions()
    with pytest.raises(ShowError) as told:
        dream_options(arguments().parse_args([*words, "--octaves", "0", "--step", "nan", "--carry", "1", "--keep-amount", "0.5",
                                              "--start", "3f"]))  # fmt: skip
    assert [p.where for p in told.value.problems] == ["--octaves", "--step", "--carry", "--start", "--keep-amount"]
    both = dream_options(arguments().parse_args([*words, "--keep", "colour", "--keep", "shadow", "--keep", "colour"]))
    assert both.keep == ("colour", "shadow")


def test_help_needs_nothing_of_the_studio(repo: Path) -> None:
    code = ("import sys\nfor n in ('torch', 'cv2', 'scipy', 'safetensors', 'numba'): sys.modules[n] = None\n"
            "from tools.style_dream import main\nmain(['--help'])")  # fmt: skip
    told = subprocess.run([sys.executable, "-c", code], cwd=repo, capture_output=True, text=True)
    assert told.returncode == 0 and told.stdout.count("cineml style dream ") >= 3, told.stderr
