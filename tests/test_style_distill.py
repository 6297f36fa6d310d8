"""cineml style distill: what a teacher's frames are, and which options are for which teacher."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from models.stylizer import Stylizer, StylizerConfig
from models.stylizer_checkpoint import save_stylizer
from tests.small_stylizers import ABOUT, lively
from tests.taught import SIDE, SMALL, draw_film, paint
from tools import style_distill
from tools.film_dataset_source import footage_at
from tools.style_distill_options import options_from
from tools.style_distill_step import Distilling, taught, with_truth
from tools.style_train_losses import Disturbance
from tools.style_train_options import Weights
from tools.style_train_pictures import RECORD
from tools.style_train_step import Lesson, Recipe, Training

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_film(tmp_path_factory.mktemp("film"))


@pytest.fixture
def painted(film: Path, tmp_path: Path) -> Path:
    """teacher/ of a run: the optimiser's pictures of five frames."""
    numbers = [0, 1, 2, 3, 4]
    paint(tmp_path / "run", ["oil"], numbers)
    (tmp_path / "run" / "frames").mkdir()
    for n in numbers:
        Image.open(film / f"{n:03d}.png").save(tmp_path / "run" / "frames" / f"{n:06d}.png")
    record = {"styles": {"oil": "x"}, "film_sha256": footage_at(film).sha256()}
    (tmp_path / "run" / "teacher" / RECORD).write_text(json.dumps(record))
    return tmp_path / "run" / "teacher"


@pytest.mark.parametrize("more", [["--side", "320"], ["--start", "1f"], ["--end", "3f"], ["--features-weight", "0.1"]])
def test_options_of_a_networks_film_are_refused_for_painted_frames(film: Path, painted: Path, tmp_path: Path, more: list[str],
                                                                   capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    words = [str(painted), "--film", str(film), "-o", str(tmp_path / "s"), "--width", "4", *SMALL]
    assert style_distill.main([*words, *more]) == 2
    told = capsys.readouterr().err.strip()
    assert more[0] in told and "painted already" in told and len(told.splitlines()) == 1 and not (tmp_path / "s").exists()


def test_of_painted_frames_as_many_are_taken_as_are_asked_for(film: Path, painted: Path, tmp_path: Path) -> None:
    words = [str(painted), "--film", str(film), "-o", str(tmp_path / "s")]
    found = []
    for more in ([], ["--frames", "3"], ["--frames", "2"], ["--frames", "40"]):
        args = options_from([*words, *more])
        teacher = style_distill.teacher_at(painted)
        style_distill.settle(args, teacher)
        found.append([c.numbers[0] for c in style_distill.clips_of(args, teacher)[0]])
    assert found == [[0, 1, 2, 3, 4], [0, 2, 4], [1, 3], [0, 1, 2, 3, 4]]


def test_a_networks_film_is_as_large_and_as_many_frames_as_the_help_says(film: Path, tmp_path: Path) -> None:
    net = lively()
    save_stylizer(tmp_path / "t", net, net.config, ABOUT)
    args = options_from([str(tmp_path / "t"), "--film", str(film), "-o", str(tmp_path / "s")])
    style_distill.settle(args, style_distill.teacher_at(tmp_path / "t"))
    assert (args.frames, args.side, args.features_weight) == (40, 640, 0.1)


def test_a_student_of_a_network_sees_the_frames_that_its_teacher_saw() -> None:
    chance = np.random.default_rng(0)
    frames = torch.from_numpy(chance.integers(0, 256, (1, 1, 3, SIDE, SIDE), np.uint8))
    lesson = Lesson(frames, frames[None, :, 0], torch.zeros(1, 0, 2, SIDE, SIDE), torch.zeros(1, 0, 1, SIDE, SIDE))
    net = Stylizer(StylizerConfig(width=4, blocks=1, canvas=0))
    recipe = Recipe(Weights(), Disturbance(), 2, 32)
    seen = {}
    for name, made in (("network", Distilling(net, lesson, recipe, None, (1.0, 0.0), plain=True)),
                       ("optimiser", Distilling(net, lesson, recipe, None, (1.0, 0.0))),
                       ("training", Training(net, lesson, recipe))):  # fmt: skip
        torch.manual_seed(0)
        batch = made.batch()
        assert batch.truth is not None
        seen[name] = torch.equal(batch.frames[:, 0], batch.truth), torch.rand(1).item()
    assert [same for same, _ in seen.values()] == [True, False, False]
    assert len({after for _, after in seen.values()}) == 1, "the same draws"


def test_strokes_learn_where_they_lie_before_they_learn_how_they_look() -> None:
    """Patches and form know no places: from the first step on they settle strokes between those of the teacher."""
    torch.manual_seed(0)
    frames = torch.randint(0, 256, (1, 1, 3, SIDE, SIDE), dtype=torch.uint8)
    lesson = Lesson(frames, 255 - frames[None, :, 0], torch.zeros(1, 0, 2, SIDE, SIDE), torch.zeros(1, 0, 1, SIDE, SIDE))
    net = Stylizer(StylizerConfig(width=4, blocks=1, canvas=0))
    recipe = Recipe(Weights(noise=0, shift=0, light=0), Disturbance(), 2, 32, lr=1e-9)

    def told(at: float, outputs: float = 1.0, plain: bool = True) -> dict[str, float]:
        return Distilling(net, lesson, recipe, None, (outputs, 0.0), plain=plain).step(at)

    whole = told(1.0)
    assert whole["patches"] > 0 and whole["form"] > 0
    for at, share in ((0.0, 0.0), (0.05, 0.5), (0.1, 1.0)):
        found = told(at)
        assert found["outputs"] == pytest.approx(whole["outputs"], rel=1e-3)
        for name in ("patches", "form"):
            assert found[name] == pytest.approx(share * whole[name], rel=1e-3)
    assert told(0.0, plain=False)["patches"] > 0, "the optimiser's strokes lie where no canvas has them"
    assert told(0.0, outputs=0.0)["patches"] > 0, "nothing else teaches"


def test_a_crop_is_painted_in_the_strokes_of_the_whole_frame_that_its_teacher_painted() -> None:
    """A student that is its teacher paints each crop's middle as the teacher painted it in the whole frame."""
    torch.manual_seed(0)
    wide = torch.nn.functional.interpolate(torch.rand(1, 3, 9, 9), size=(160, 160), mode="bicubic").clamp(0, 1)
    wide[..., 76:84] = 0.0  # a form that leads the strokes of crops beside it, which do not see it
    lesson = Lesson((255 * wide).round().byte()[:, None], None, torch.zeros(1, 0, 2, 160, 160), torch.zeros(1, 0, 1, 160, 160))
    net = lively(width=4, canvas=1, styles=("oil",))
    pictures, _ = taught(net.eval(), lesson, False)
    made = Distilling(net, with_truth(lesson, pictures), Recipe(Weights(noise=0, shift=0, light=0), crop=64), None, (1.0, 0.0),
                      plain=True)  # fmt: skip
    for _ in range(4):
        batch = made.batch()
        made.lay(batch, (0, 0))
        with torch.no_grad():
            found = made.results(batch)[0][0].clamp(0, 1)
        assert batch.truth is not None
        assert (found - batch.truth)[..., 20:-20, 20:-20].abs().max() < 1.5 / 255
