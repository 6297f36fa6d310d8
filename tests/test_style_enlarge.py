"""A film or a picture painted at several times its size: what is measured in it is measured in its own."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")
pytest.importorskip("onnx")

from player.show.cut_list import CutList, Shot
from tests.film_footage import write_film
from tests.painted_clip import opened, write_frames
from tests.small_stylizers import written
from tests.test_style_apply import FRAMES, HEIGHT, OIL, WIDTH, film_frame, pictures, run, styled
from tools.film_dataset_source import footage_at
from tools.keyframes_keys import read_content
from tools.style_apply_frames import Styled, Way
from tools.style_model import TiledModel


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Any size, folded, two styles."""
    return written(tmp_path_factory.mktemp("network") / "s.onnx", norm="affine")


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """A folder of twelve frames."""
    return write_frames(tmp_path / "frames", [film_frame(n) for n in range(FRAMES)], "view_{:04d}.png")


def test_a_film_may_be_painted_at_several_times_its_size(
        tmp_path: Path, network: Path, frames: Path, capfd: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    (tmp_path / "masks").mkdir()
    for n in range(FRAMES):
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        mask[:, : WIDTH // 2] = 255
        Image.fromarray(mask).save(tmp_path / "masks" / f"{n:06d}.png")
    common = ("--model", network, "--style", "oil", "--enlarge", "2")
    assert run(frames, *common, "--masks", tmp_path / "masks", "-o", tmp_path / "out") == 0
    assert f"12 frames of {2 * WIDTH}x{2 * HEIGHT}" in capfd.readouterr().out
    large = np.asarray(Image.fromarray(film_frame(5)).resize((2 * WIDTH, 2 * HEIGHT), Image.Resampling.BICUBIC))
    made = pictures(tmp_path / "out")[5]
    whole, left, right = styled(network, large), WIDTH - 4, WIDTH + 4  # the mask's edge is soft
    assert (made[:, :left] == whole[:, :left]).all() and (made[:, right:] == large[:, right:]).all()
    film = write_film(tmp_path / "film.mp4", FRAMES, picture=film_frame)
    assert run(film, *common, "-o", tmp_path / "made.mp4") == 0
    assert footage_at(tmp_path / "made.mp4").size == (2 * WIDTH, 2 * HEIGHT)
    # Another size is another job.
    assert run(frames, *common[:-2], "-o", tmp_path / "out") == 2
    assert "was begun with other" in capfd.readouterr().err


def test_a_picture_may_be_painted_at_several_times_its_size_with_its_alpha(tmp_path: Path, network: Path) -> None:
    clear = np.dstack([film_frame(0), np.full((HEIGHT, WIDTH), 255, np.uint8)])
    clear[: HEIGHT // 2, :, 3] = 0
    Image.fromarray(clear).save(tmp_path / "p.png")
    assert run(tmp_path / "p.png", "--model", network, "--style", "oil", "--enlarge", "3", "-o", tmp_path / "o.png") == 0
    made = np.asarray(Image.open(tmp_path / "o.png"))
    assert made.shape == (3 * HEIGHT, 3 * WIDTH, 4) and made[:8, :, 3].max() == 0 and made[-8:, :, 3].min() == 255


def test_an_enlarged_cut_out_has_no_halo(tmp_path: Path) -> None:
    shape = np.zeros((HEIGHT, WIDTH, 4), np.uint8)  # black, on nothing
    shape[:, : WIDTH // 2, 3] = 255
    Image.fromarray(shape).save(tmp_path / "p.png")
    picture, alpha = read_content(tmp_path / "p.png", 2)
    assert alpha is not None and np.abs(picture.astype(int) - (255 - alpha.astype(int)[..., None])).max() <= 1


def test_an_enlarged_picture_keeps_the_bars_of_the_small_one(tmp_path: Path, network: Path) -> None:
    rng = np.random.default_rng(1)
    soft = np.linspace(0, 1, 5)[:, None, None] * rng.uniform(60, 250, (1, WIDTH, 1))  # an edge that no row finds straight
    picture = np.full((HEIGHT, WIDTH, 3), 180.0)
    picture[:12] = 0
    picture[12:17] = soft
    picture[17:40] = film_frame(0)[17:40]
    Image.fromarray(np.rint(picture).astype(np.uint8)).save(tmp_path / "p.png")
    for times in ("1", "4"):
        common = ("--model", network, "--style", "oil", "--enlarge", times)
        assert run(tmp_path / "p.png", *common, "-o", tmp_path / f"{times}.png") == 0
        made = opened(tmp_path / f"{times}.png")
        assert made[: 8 * int(times)].max() <= 2 and made[20 * int(times) :].max() > 60


def test_motion_is_found_in_the_films_own_size(tmp_path: Path, network: Path) -> None:
    """Enlarged, grain is smooth: it was taken for things that move."""
    rng = np.random.default_rng(0)
    wall = [np.clip(120 + rng.normal(0, 5, (HEIGHT, WIDTH, 3)), 0, 255).astype(np.uint8) for _ in range(2)]
    footage = footage_at(write_frames(tmp_path / "wall", wall, "{:06d}.png"))
    cuts = CutList("wall", Fraction(24), 2, (Shot(1, 0, 2),))
    model = TiledModel(network, (2 * WIDTH, 2 * HEIGHT), threads=1)
    found = Styled(footage, cuts, model, Way(OIL, smooth=1.0), times=2)._step(0, 1)
    small = Styled(footage, cuts, model, Way(OIL, smooth=1.0))._step(0, 1)
    model.close()
    assert found[0].shape == (2 * HEIGHT, 2 * WIDTH, 2) and found[1].shape == (2 * HEIGHT, 2 * WIDTH)
    assert np.abs(found[0]).max() <= 2 * np.abs(small[0]).max() + 1e-4 and found[1].mean() > 0.9


def test_a_result_that_nothing_can_read_is_refused_before_work(
        tmp_path: Path, network: Path, capfd: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    large = np.zeros((2400, 3200, 3), np.uint8)
    Image.fromarray(large).save(tmp_path / "p.png")
    write_frames(tmp_path / "film", [large], "{:06d}.png")
    common = ("--model", network, "--style", "oil", "--enlarge", "4")
    for content in ("p.png", "film"):
        assert run(tmp_path / content, *common, "-o", tmp_path / f"o_{content}") == 2
        assert "--enlarge: 4 of 3200x2400 makes 12800x9600; allowed: at most 64 million pixels" in capfd.readouterr().err
