"""Every source keeps one contract; then what each promises beyond it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from player.show.cut_list import CutList, Shot
from player.show.film import Film
from player.show.problem import ShowError
from player.show.score import Score, ScoreShot
from player.show.show import Camera, Show, Stylizer
from player.show.walk import Walk
from player.sources.aim import Aim, Layer
from player.sources.black import BlackSource
from player.sources.camera import CameraSource
from player.sources.clip import ClipSource
from player.sources.figure_masks import FigureMasks
from player.sources.film_reader import FilmSource
from player.sources.frame import FrameSource
from player.sources.generator import GeneratorSource, to_pixels
from player.sources.onnx_defaults import read_defaults
from player.sources.onnx_model import sha256_of
from player.sources.step_print import StepPrinted
from player.sources.stylizer import StylizerSource
from player.sources.testcard import TestCardSource, flash_box, flashes
from player.state import Latent
from tests.numbered_film import FRAMES, RATE, SIZE, numbered, write_frames, write_numbered
from tests.tiny_model import AVERAGE, NUM_WS, RES, W_DIM, noise_default, write_tiny_generator
from tests.tiny_stylizer import write_tiny_stylizer

SHOTS = (Shot(1, 0, 24), Shot(2, 24, 48, "dissolve", 8, label="A face turns"), Shot(3, 48, 72))


@pytest.fixture(scope="module")
def film_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_numbered(tmp_path_factory.mktemp("film") / "numbered.mp4")


def walk(name: str, seed: int) -> Walk:
    keys = np.random.default_rng(seed).standard_normal((3, NUM_WS, W_DIM)).astype(np.float32)
    return Walk(name, keys, np.array([0, 24, 60]), tuple(f"{name}.{i}" for i in range(3)))


def make_show(generator: Path | None = None, sha: str = "", **more: object) -> Show:
    rows = tuple(ScoreShot(s.number, f"w{s.number}") for s in SHOTS)
    score = Score(rows, {f"w{n}": walk(f"w{n}", n) for n in (1, 2, 3)}, sha)
    settings: dict[str, object] = {"name": "contract", "path": Path("contract.toml"), "film": Film(RATE, FRAMES, *SIZE),
                                   "cuts": CutList("contract", RATE, FRAMES, SHOTS), "source": "generator", "score": score,
                                   "generator": generator}
    return Show(**{**settings, **more})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def generator_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_generator(tmp_path_factory.mktemp("tiny") / "models")


Makers = dict[str, Callable[[], FrameSource]]


@pytest.fixture(scope="module")
def makers(film_path: Path, generator_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Makers:
    show = make_show(generator_folder)
    frames = write_frames(tmp_path_factory.mktemp("frames"), range(FRAMES))
    return {"generator": lambda: GeneratorSource(show), "film": lambda: FilmSource(show, film_path, "film"),
            "fallback": lambda: FilmSource(show, film_path, "fallback"), "testcard": lambda: TestCardSource(show),
            "black": lambda: BlackSource(show),
            "clip": lambda: ClipSource(make_show(clips=dict.fromkeys((1, 2, 3), film_path))),
            "folder": lambda: ClipSource(make_show(clips=dict.fromkeys((1, 2, 3), frames))), **painted_makers(
                film_path, generator_folder, write_tiny_stylizer(tmp_path_factory.mktemp("net") / "tiny.onnx"))}  # fmt: skip


def painted_makers(film_path: Path, generator_folder: Path, net: Path) -> Makers:
    """What is made of other sources, which somebody else has opened; and a camera that shows one picture."""
    def one_picture(camera: Camera, closing: threading.Event) -> Iterator[av.VideoFrame]:
        while not closing.wait(0.01):
            yield av.VideoFrame.from_ndarray(numbered(3), format="rgb24")

    def opened_film(show: Show) -> FilmSource:
        film = FilmSource(show, film_path, "film")
        film.open()
        return film

    def stylised(smooth: float) -> StylizerSource:
        show = make_show(stylizer=Stylizer(net, smooth=smooth))
        return StylizerSource(show, {"film": opened_film(show)}, FigureMasks(show))

    def stylised_generator() -> StylizerSource:
        show = make_show(generator_folder, stylizer=Stylizer(net, over="generator"))
        return StylizerSource(show, {"generator": opened(show)}, FigureMasks(show))

    def printed() -> FrameSource:
        show = make_show()
        return StepPrinted(FilmSource(show, film_path, "film"), show, FigureMasks(show))

    return {"stylised film": lambda: stylised(0.0), "smoothed film": lambda: stylised(1.0), "printed": printed,
            "stylised generator": stylised_generator,
            "camera": lambda: CameraSource(make_show(camera=Camera("made up")), one_picture)}  # fmt: skip


ALL = ["generator", "film", "fallback", "testcard", "black", "clip", "folder", "stylised film", "smoothed film",
       "stylised generator", "printed", "camera"]  # fmt: skip


@pytest.fixture
def source(request: pytest.FixtureRequest, makers: Makers) -> Iterator[FrameSource]:
    made = makers[request.param]()
    made.open()
    yield made
    made.close()


def aim_for(position: float | Fraction, shot: int = 1, latent: Latent | None = None) -> Aim:
    return Aim(12.5, 7, (Layer(shot, "x", Fraction(position)),), latent or Latent())


def picture(source: FrameSource, position: float | Fraction, shot: int = 1, **latent: object) -> np.ndarray:
    aim = aim_for(position, shot, latent=Latent(**latent))  # type: ignore[arg-type]
    return source.make(aim, aim.layers[0]).pixels


# --- one contract for all


@pytest.mark.parametrize("source", ALL, indirect=True)
def test_a_frame_is_an_8_bit_rgb_picture_that_says_what_it_was_made_for(source: FrameSource) -> None:
    aim = aim_for(Fraction(61, 2), 2)
    frame = source.make(aim, aim.layers[0])
    assert frame.pixels.dtype == np.uint8 and frame.pixels.ndim == 3 and frame.pixels.shape[2] == 3
    assert frame.pixels.flags.c_contiguous
    assert (frame.show_time_s, frame.epoch, frame.shot, frame.film_position) == (12.5, 7, 2, 30.5)
    assert frame.source == source.name
    x, y, w, h = frame.inner
    assert x >= 0 and y >= 0 and w > 0 and h > 0 and x + w <= frame.pixels.shape[1] and y + h <= frame.pixels.shape[0]
    assert abs(w / h - 4 / 3) < 0.01


@pytest.mark.parametrize("source", ALL, indirect=True)
def test_the_same_aim_gives_the_same_pixels_and_never_touches_an_older_frame(source: FrameSource) -> None:
    first = picture(source, 10)
    kept = first.copy()
    for position in (11, 50, 3):
        picture(source, position, 3 if position == 50 else 1)
    assert np.array_equal(first, kept)
    assert np.array_equal(picture(source, 10), kept)


@pytest.mark.parametrize("source", ALL, indirect=True)
def test_positions_outside_the_film_are_answered_with_its_ends(source: FrameSource) -> None:
    for position in (0, 71, Fraction(143, 2), 72, 500):
        assert picture(source, position, 3).ndim == 3


@pytest.mark.parametrize("source", ALL, indirect=True)
def test_facts_name_a_provider_or_none(source: FrameSource) -> None:
    provider = source.facts()["provider"]
    assert provider is None or provider == "CPUExecutionProvider" or provider.endswith("ExecutionProvider")


# --- the test card


@pytest.mark.parametrize("rate", [Fraction(24), Fraction(25), Fraction(24000, 1001), Fraction(60)])
def test_the_flash_is_on_for_the_first_two_frames_of_each_second(rate: Fraction) -> None:
    on = [f for f in range(int(rate * 10)) if flashes(f, rate)]
    assert len(on) == 20
    for second in range(10):
        first = on[2 * second]
        assert 0 <= first / rate - second < 1 / rate and on[2 * second + 1] == first + 1


@pytest.mark.parametrize("size", [(640, 480), (480, 360), (1280, 720), (256, 320), (101, 77)])
def test_the_flash_fills_the_middle_with_white_and_leaves_it_dark_between(size: tuple[int, int]) -> None:
    source = TestCardSource(make_show(film=Film(RATE, FRAMES, *size)))
    source.open()
    left, top, right, bottom = flash_box(*size)
    assert 0 <= left < size[0] // 2 < right <= size[0] and 0 <= top < size[1] // 2 < bottom <= size[1]
    levels = [picture(source, f)[top:bottom, left:right].mean() for f in range(48)]
    bright = [f for f, level in enumerate(levels) if level > 160]
    assert bright == [0, 1, 24, 25] and max(level for f, level in enumerate(levels) if f not in bright) < 90


def test_every_card_differs_from_the_one_before_and_names_its_shot() -> None:
    source = TestCardSource(make_show(film=Film(RATE, FRAMES, 320, 240)))
    source.open()
    cards = [picture(source, f) for f in range(FRAMES)]
    assert all(not np.array_equal(a, b) for a, b in zip(cards, cards[1:], strict=False))
    assert not np.array_equal(picture(source, 5, 1), picture(source, 5, 2))


# --- the generator


def opened(show: Show, **more: object) -> GeneratorSource:
    source = GeneratorSource(show, **more)  # type: ignore[arg-type]
    source.open()
    return source


@pytest.fixture(scope="module")
def generator(generator_folder: Path) -> GeneratorSource:
    return opened(make_show(generator_folder))


def test_float_and_8_bit_models_give_the_same_picture(tmp_path: Path, generator: GeneratorSource) -> None:
    bytes_out = opened(make_show(write_tiny_generator(tmp_path / "u8", uint8=True)))
    assert np.array_equal(picture(generator, 10), picture(bytes_out, 10))


def test_values_beyond_the_range_are_clipped_and_halves_rounded_to_even() -> None:
    image = np.array([-2.0, -1.0, 0.0, 1.0, 3.0], np.float32).reshape(1, 1, 1, 5)
    assert to_pixels(image)[0, :, 0].tolist() == [0, 0, 128, 255, 255]


def test_the_latent_is_the_walks_at_the_film_position_plus_the_offset(generator: GeneratorSource) -> None:
    for position, offset in ((10, 0.0), (Fraction(21, 2), 3.5), (50, -20.0)):
        aim = aim_for(position, 2, latent=Latent(walk_offset=offset))
        assert np.allclose(generator.latent_for(aim, aim.layers[0]), walk("w2", 2).ws_at(float(position) + offset))


def test_truncation_0_is_the_mean_picture_and_half_is_half_way(generator: GeneratorSource) -> None:
    def latent(psi: float) -> np.ndarray:
        aim = aim_for(10, latent=Latent(truncation=psi))
        return generator.latent_for(aim, aim.layers[0])

    assert np.allclose(latent(0), AVERAGE)
    assert np.allclose(latent(0.5), (latent(0) + latent(1)) / 2, atol=1e-6)


def test_a_glide_mixes_the_two_walks_by_its_weight(generator: GeneratorSource) -> None:
    aim = Aim(0.0, 0, (Layer(2, "generator", Fraction(26), 1, 0.25),), Latent())
    expected = 0.75 * walk("w1", 1).ws_at(26) + 0.25 * walk("w2", 2).ws_at(26)
    assert np.allclose(generator.latent_for(aim, aim.layers[0]), expected, atol=1e-6)


def test_a_key_that_is_called_for_plays_in_its_shot_and_not_in_the_outgoing_one(generator: GeneratorSource) -> None:
    layers = (Layer(2, "generator", Fraction(26)), Layer(1, "generator", Fraction(26)))
    aim = Aim(0.0, 0, layers, Latent(key="w3.1"))
    assert np.allclose(generator.latent_for(aim, layers[0]), walk("w3", 3).keys[1])
    assert np.allclose(generator.latent_for(aim, layers[1]), walk("w1", 1).ws_at(26))


def test_freedom_wanders_smoothly_by_its_sigma_and_the_same_way_again(generator: GeneratorSource,
                                                                      generator_folder: Path) -> None:  # fmt: skip
    def away(source: GeneratorSource, position: float, freedom: float) -> np.ndarray:
        with_it, without = (aim_for(position, latent=Latent(freedom=f)) for f in (freedom, 0.0))
        return source.latent_for(with_it, with_it.layers[0]) - source.latent_for(without, without.layers[0])

    assert generator._wander is not None
    sigma = generator._wander.sigma
    path = np.stack([away(generator, float(p), 1.0)[0] for p in range(0, 48_000, 16)])
    assert np.allclose(np.sqrt((path**2).mean(0)) / sigma, 1.0, atol=0.25)
    steps = np.stack([away(generator, p / 8, 1.0)[0] for p in range(400)])
    assert np.abs(np.diff(steps, axis=0) / sigma).max() < 0.05
    assert np.allclose(away(generator, 30, 2.0), 2 * away(generator, 30, 1.0), atol=1e-5)
    assert np.array_equal(away(opened(make_show(generator_folder)), 30, 1.0), away(generator, 30, 1.0))
    assert not np.allclose(away(opened(make_show(generator_folder, seed=5)), 30, 1.0), away(generator, 30, 1.0))


def test_noise_seeds_and_amounts_change_the_picture_and_come_back(generator: GeneratorSource) -> None:
    own = picture(generator, 10)
    none = picture(generator, 10, noise_amount=0.0)
    seeded = picture(generator, 10, noise_seed=4)
    assert not np.array_equal(own, none) and not np.array_equal(own, seeded)
    assert np.array_equal(seeded, picture(generator, 10, noise_seed=4))
    assert not np.array_equal(seeded, picture(generator, 10, noise_seed=5))
    nearly = picture(generator, 10, noise_amount=0.999)
    assert np.abs(nearly.astype(int) - own).max() <= 1  # the same noise at another strength, not another noise
    assert np.array_equal(own, picture(generator, 10))


def test_the_noise_defaults_are_read_from_the_file_itself(generator_folder: Path) -> None:
    assert np.array_equal(read_defaults(generator_folder / "synthesis.onnx", ["noise.8.0"])["noise.8.0"], noise_default())
    with pytest.raises(ValueError, match=r"noise\.16\.0"):
        read_defaults(generator_folder / "synthesis.onnx", ["noise.16.0"])
    data = (generator_folder / "synthesis.onnx").read_bytes()
    for end in range(0, len(data), 37):
        (generator_folder / "part").write_bytes(data[:end])
        with pytest.raises(ValueError):
            read_defaults(generator_folder / "part", ["noise.8.0"])


def test_the_pictures_place_in_the_square_comes_from_the_metadata(generator: GeneratorSource) -> None:
    aim = aim_for(10)
    assert generator.make(aim, aim.layers[0]).inner == (0, 1, 8, 6)


def problems_with(show: Show, **more: object) -> list[str]:
    with pytest.raises(ShowError) as e:
        opened(show, **more)
    assert all("\n" not in str(p) and len(str(p)) < 400 for p in e.value.problems)
    return [str(p) for p in e.value.problems]


def test_a_missing_a_truncated_and_a_foreign_model_are_named_in_one_go(tmp_path: Path) -> None:
    folder = write_tiny_generator(tmp_path / "m")
    data = (folder / "synthesis.onnx").read_bytes()
    (folder / "synthesis.onnx").write_bytes(data[: len(data) // 2])
    (folder / "mapping.onnx").unlink()
    found = problems_with(make_show(folder))
    assert len(found) == 2 and "mapping.onnx: is missing" in found[0] and "damaged" in found[1]
    found = problems_with(make_show(write_tiny_generator(tmp_path / "foreign", facts=False)))
    assert len(found) == 2 and all("not one of cineml's" in p for p in found)


def test_a_model_whose_metadata_contradicts_it_is_refused(tmp_path: Path) -> None:
    assert any("ws" in p for p in problems_with(make_show(write_tiny_generator(tmp_path / "a", w_dim=9))))
    assert any("resolution" in p for p in problems_with(make_show(write_tiny_generator(tmp_path / "b", resolution="big"))))
    folder = write_tiny_generator(tmp_path / "c")
    os.replace(folder / "mapping.onnx", folder / "synthesis.onnx")
    write_tiny_generator(tmp_path / "d")
    os.replace(tmp_path / "d" / "mapping.onnx", folder / "mapping.onnx")
    assert any("'mapping' part" in p for p in problems_with(make_show(folder)))


@pytest.mark.parametrize(("more", "says"), [
    *(({"geometry": {"inner": inner}}, "geometry.inner") for inner in (
        [0, 1, 8], "text", [0, 1, float("nan"), 6], [0, 0, 0, 0], [0, 0, 9, 6], [-1, 0, 8, 6], [True, 0, 6, 6])),
    ({"geometry": {"inner": [0, 0, 10**400, 6]}}, "cannot be read"),
    ({"hashes": [1]}, "hashes"), ({"hashes": {"weights": 1}}, "hashes"), ({"licence": ["x"]}, "licence"),
    ({"range": [0, 1]}, "range"), ({"range": "wide"}, "range"), ({"range": [0, 255]}, "makes float32 in the range [0, 255]")])
def test_metadata_that_cannot_be_true_is_refused_in_a_sentence(tmp_path: Path, more: dict[str, Any], says: str) -> None:
    assert any(says in p for p in problems_with(make_show(write_tiny_generator(tmp_path / "m", **more))))


def test_a_truncated_model_is_damaged_and_not_another_generator(tmp_path: Path) -> None:
    folder = write_tiny_generator(tmp_path / "m")
    show = make_show(folder, sha=sha256_of(folder / "synthesis.onnx"))
    os.truncate(folder / "synthesis.onnx", (folder / "synthesis.onnx").stat().st_size // 2)
    (found,) = problems_with(show)
    assert "damaged" in found and "another generator" not in found


def test_the_models_of_an_unsound_show_can_be_checked_alone(tmp_path: Path) -> None:
    folder = write_tiny_generator(tmp_path / "m")
    assert GeneratorSource(make_show(folder, score=None)).check_models() == []
    os.truncate(folder / "mapping.onnx", 50)
    assert len(GeneratorSource(make_show(folder, score=None)).check_models()) == 1


def test_another_generator_than_the_scores_is_refused_with_a_hint(generator_folder: Path) -> None:
    opened(make_show(generator_folder, sha=sha256_of(generator_folder / "synthesis.onnx")))
    found = problems_with(make_show(generator_folder, sha="ab" * 32))
    assert len(found) == 1 and "another generator" in found[0] and "try:" in found[0]


def test_a_student_plays_the_scores_of_its_teacher(tmp_path: Path) -> None:
    folder = write_tiny_generator(tmp_path / "m", hashes={"weights": "0" * 64, "teacher": "ab" * 32})
    opened(make_show(folder, sha="AB" * 32))
    assert "another generator" in problems_with(make_show(folder, sha="cd" * 32))[0]


def test_a_walk_of_another_size_and_a_shot_without_one_are_named(generator_folder: Path) -> None:
    wrong = Walk("w1", np.zeros((1, 1, W_DIM + 1), np.float32), np.array([0]), ("k",))
    show = make_show(generator_folder, score=Score((ScoreShot(1, "w1"),), {"w1": wrong}))
    found = problems_with(show)
    assert any("walk w1" in p for p in found) and any("shot 2" in p for p in found) and any("shot 3" in p for p in found)


def test_the_provider_is_what_really_runs_and_a_required_one_is_insisted_on(generator_folder: Path) -> None:
    source = opened(make_show(generator_folder))
    assert source.facts()["provider"] == "CPUExecutionProvider" or source.facts()["provider"].startswith("CUDA")
    if source.facts()["provider"].startswith("CUDA"):
        pytest.skip("this machine has CUDA")
    assert source.facts()["provider_note"] is None or "CUDA" in source.facts()["provider_note"]
    asked = opened(make_show(generator_folder), providers=("cuda",))
    assert asked.facts()["provider"] == "CPUExecutionProvider" and asked.facts()["provider_note"]
    found = problems_with(make_show(generator_folder), require_provider="cuda")
    assert len(found) == 1 and "cuda is required" in found[0]


def test_onnxruntimes_own_red_lines_do_not_reach_the_terminal(generator_folder: Path) -> None:
    code = ("import sys; sys.path.insert(0, '.')\nfrom pathlib import Path\nfrom player.sources.onnx_model import OnnxModel\n"
            f"m = OnnxModel(Path({str(generator_folder / 'synthesis.onnx')!r}), 'synthesis', providers=('cuda',))\n"
            "m.open(); m.warm_up(); print(m.provider); print(m.provider_note)")  # fmt: skip
    repo = Path(__file__).resolve().parent.parent
    ran = subprocess.run([sys.executable, "-c", code], cwd=repo, capture_output=True, text=True, timeout=120, check=True)
    lines = ran.stdout.strip().splitlines()
    assert "\x1b" not in ran.stderr and "[E:" not in ran.stderr and "[W:" not in ran.stderr
    assert lines[0].endswith("ExecutionProvider") and (lines[0].startswith("CUDA") or "cuda" in lines[1].lower())


def test_a_generator_opened_twice_makes_the_same_pictures(generator_folder: Path, generator: GeneratorSource) -> None:
    again = opened(make_show(generator_folder))
    assert np.array_equal(picture(again, 10, freedom=1.0), picture(generator, 10, freedom=1.0))
    assert picture(again, 10).shape == (RES, RES, 3)
    again.close()
