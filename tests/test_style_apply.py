"""A film through an exported stylizer: every frame, with its sound, in tiles without a seam, and a run that goes on."""

from __future__ import annotations

import json
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")
pytest.importorskip("onnx")

from player.show.cut_list import CutList, Shot, write_csv
from player.sources.film_reader import FilmReader
from tests.film_footage import decoded_sound, scene, write_film
from tests.painted_clip import opened, write_frames
from tests.small_stylizers import written
from tools import style_apply
from tools.film_dataset_source import footage_at
from tools.keyframes_frames import faded
from tools.style_apply_options import shares_of
from tools.style_model import TiledModel

WIDTH, HEIGHT, FRAMES = 96, 64, 12
OIL = np.array([1, 0], np.float32)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Any size, folded, two styles."""
    return written(tmp_path_factory.mktemp("network") / "s.onnx", norm="affine")


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """A folder of twelve frames."""
    return write_frames(tmp_path / "frames", [film_frame(n) for n in range(FRAMES)], "view_{:04d}.png")


def film_frame(n: int) -> np.ndarray:
    return scene(WIDTH, HEIGHT, colour=True)(n)


def run(*argv: object) -> int:
    return style_apply.main([str(a) for a in argv])


def styled(network: Path, picture: np.ndarray, shares: np.ndarray = OIL) -> np.ndarray:
    """What the network makes of a picture."""
    model = TiledModel(network, picture.shape[1::-1], threads=1)
    made = model.run(picture, shares)
    model.close()
    return made


def pictures(folder: Path) -> list[np.ndarray]:
    return [opened(p) for p in sorted(folder.glob("*.png"))]


# --- what is made


def test_every_frame_of_a_folder_is_the_networks_picture_of_it(tmp_path: Path, network: Path, frames: Path) -> None:
    assert run(frames, "--model", network, "--style", "oil=2,woodcut=6", "-o", tmp_path / "out") == 0
    assert sorted(p.name for p in (tmp_path / "out").glob("*.png")) == [f"view_{n:04d}.png" for n in range(FRAMES)]
    for n in (0, 7):
        expected = styled(network, film_frame(n), np.array([0.25, 0.75], np.float32))
        assert (opened(tmp_path / "out" / f"view_{n:04d}.png") == expected).all()
    record = json.loads((tmp_path / "out" / "options.json").read_text())
    assert record["shares"] == {"oil": 0.25, "woodcut": 0.75} and record["model"]["licence"] == "CC0-1.0"
    assert not (tmp_path / "out.work").exists()


def broad(picture: np.ndarray) -> np.ndarray:
    """How light each 4 x 4 pixels are: H.264 keeps that, and halves the resolution of colours."""
    height, width = picture.shape[:2]
    return np.asarray(picture.astype(float).reshape(height // 4, 4, width // 4, 4, 3).mean(axis=(1, 3, 4)))


def test_a_film_keeps_its_rate_its_length_and_its_sound(
        tmp_path: Path, network: Path, capfd: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    rate = Fraction(24000, 1001)
    tone = (8000 * np.sin(np.arange(48000) / 9)).astype(np.int16)[:, None].repeat(2, 1)
    film = write_film(tmp_path / "film.mkv", 24, rate, scene(WIDTH, HEIGHT, colour=True), sound=[tone], sound_codec="flac")
    out = tmp_path / "styled.mp4"
    common = (film, "--model", network, "--style", "oil", "--amount", "0.15", "--start", "4f", "--end", "20f", "--quality", 4)
    assert run(*common, "-o", out) == 0
    reader = FilmReader(out)
    reader.open()
    assert (reader.rate, reader.frames, reader.size) == (rate, 16, (WIDTH, HEIGHT))
    source = FilmReader(film)
    source.open()
    own, after = (broad(0.85 * p + 0.15 * styled(network, p)) for p in (source.picture(13), source.picture(20)))
    made = broad(reader.picture(9))  # film frame 13
    assert np.abs(made - own).mean() < 0.4 * np.abs(made - after).mean()
    heard = decoded_sound(out)
    assert abs(len(heard) - round(16 / rate * 48000)) <= 1024 and np.abs(heard).max() > 4000
    reader.close()
    source.close()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["film.mkv", "styled.mp4", "styled.mp4.json"]
    assert run(*common, "-o", out) == 0
    assert "is there already" in capfd.readouterr().out
    assert run(*common, "-o", out, "--style", "woodcut") == 2
    assert "was begun with other options: shares" in capfd.readouterr().err


def test_frames_of_an_odd_size_become_an_even_film_and_that_is_said(tmp_path: Path, network: Path,
                                                                    capfd: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    frames = tmp_path / "frames"
    frames.mkdir()
    for n in range(2):
        Image.fromarray(scene(77, 50, colour=True)(n)).save(frames / f"{n:06d}.png")
    assert run(frames, "--model", network, "--style", "oil", "-o", tmp_path / "out.mp4") == 0
    assert "it becomes 78x50, the last row or column of the 77x50 frames twice" in capfd.readouterr().out
    assert footage_at(tmp_path / "out.mp4").size == (78, 50)


def test_a_picture_of_an_odd_size_becomes_a_picture(tmp_path: Path, network: Path) -> None:
    picture = scene(77, 51, colour=True)(2)
    Image.fromarray(picture).save(tmp_path / "still.png")
    assert run(tmp_path / "still.png", "--model", network, "--style", "oil", "-o", tmp_path / "out.png") == 0
    assert (opened(tmp_path / "out.png") == styled(network, picture)).all()
    assert json.loads((tmp_path / "out.png.json").read_text())["tool"] == "cineml style apply"


def test_a_picture_that_is_grey_or_deep_or_clear_is_stylised_all_the_same(tmp_path: Path, network: Path) -> None:
    grey = film_frame(1)[..., 0]
    Image.fromarray(grey).save(tmp_path / "grey.png")
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    Image.fromarray(np.dstack([film_frame(1), grey])).save(tmp_path / "clear.png")
    for name in ("grey", "deep", "clear"):
        out = tmp_path / f"{name}_out.png"
        assert run(tmp_path / f"{name}.png", "--model", network, "--style", "oil", "-o", out) == 0
    assert (opened(tmp_path / "grey_out.png") == opened(tmp_path / "deep_out.png")).all()


def test_a_pictures_alpha_stays(tmp_path: Path, network: Path) -> None:
    alpha = np.zeros((HEIGHT, WIDTH), np.uint8)
    alpha[:, 30:] = 200
    Image.fromarray(np.dstack([film_frame(1), alpha])).save(tmp_path / "clear.png")
    assert run(tmp_path / "clear.png", "--model", network, "--style", "oil", "-o", tmp_path / "out.png") == 0
    with Image.open(tmp_path / "out.png") as made:
        assert made.mode == "RGBA" and (np.asarray(made)[..., 3] == alpha).all()


def test_a_picture_or_a_mask_of_a_persons_is_never_written_over(
        tmp_path: Path, network: Path, capfd: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    for name, made in (("still", film_frame(0)), ("mask", film_frame(1)[..., 0]), ("mine", film_frame(2))):
        Image.fromarray(made).save(tmp_path / f"{name}.png")
    (tmp_path / "held.png.json").write_text('{"mine": 1}')
    (tmp_path / "masks").mkdir()
    Image.fromarray(film_frame(1)[..., 0]).save(tmp_path / "masks" / "still.png")
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    common = (tmp_path / "still.png", "--model", network, "--style", "oil")
    for words, said in (
        (("--masks", tmp_path / "mask.png", "-o", tmp_path / "mask.png"), "is the mask, which would be lost"),
        (("--masks", tmp_path / "masks", "-o", tmp_path / "masks" / "still.png"), "is the mask, which would be lost"),
        (("-o", tmp_path / "mine.png"), "is not as this command wrote it"),
        (("-o", tmp_path / "mine.png", "--again"), "is not as this command wrote it"),
        (("-o", tmp_path / "held.png"), "is not this command's"),
    ):
        assert run(*common, *words) == 2, words
        err = capfd.readouterr().err
        assert said in err and len(err.strip().splitlines()) == 1, err
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


def test_a_picture_is_made_anew_when_that_is_said(tmp_path: Path, network: Path, capfd: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(film_frame(0)).save(tmp_path / "still.png")
    out = tmp_path / "out.png"
    common = (tmp_path / "still.png", "--model", network, "-o", out, "--style")
    assert run(*common, "oil") == 0 and run(*common, "oil") == 0
    assert "is there already" in capfd.readouterr().out
    before = out.read_bytes()
    assert run(*common, "woodcut") == 2 and "was made with other options: shares" in capfd.readouterr().err
    assert out.read_bytes() == before
    assert run(*common, "woodcut", "--again") == 0 and out.read_bytes() != before
    Image.fromarray(film_frame(2)).save(out)
    assert run(*common, "woodcut", "--again") == 2 and "is not as this command wrote it" in capfd.readouterr().err


def test_a_file_without_sound_is_refused_before_the_first_frame(
        tmp_path: Path, network: Path, frames: Path, capfd: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    (tmp_path / "text.wav").write_text("no sound")
    words = (frames, "--model", network, "--style", "oil", "-o", tmp_path / "o.mp4", "--sound", tmp_path / "text.wav")
    assert run(*words) == 2
    err = capfd.readouterr().err
    assert "--sound" in err and len(err.strip().splitlines()) == 1, err
    assert not list(tmp_path.glob("o.mp4*"))


def test_of_a_grey_film_whose_colour_is_kept_nothing_is_coloured(tmp_path: Path, network: Path) -> None:
    grey = film_frame(1)[..., :1].repeat(3, axis=2)
    film = write_frames(tmp_path / "film", [grey])
    assert run(film, "--model", network, "--style", "oil", "--keep", "colour", "-o", tmp_path / "out") == 0
    made = opened(tmp_path / "out" / "000000.png").astype(int)
    assert np.ptp(made, axis=2).max() <= 2


def test_amount_masks_and_sides_say_where_the_film_shows(tmp_path: Path, network: Path, frames: Path) -> None:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[:, 40:] = 255
    write_frames(tmp_path / "masks", [mask] * 6, "view_{:04d}.png")
    common = (frames, "--model", network, "--style", "oil", "--masks", tmp_path / "masks", "--end", "8f")
    assert run(*common, "-o", tmp_path / "figure") == 0
    assert run(*common, "-o", tmp_path / "ground", "--mask-side", "ground", "--amount", "0.5") == 0
    full, film = styled(network, film_frame(3)), film_frame(3)
    figure, ground = opened(tmp_path / "figure" / "view_0003.png"), opened(tmp_path / "ground" / "view_0003.png")
    assert (figure[:, 40:] == full[:, 40:]).all() and (figure[:, :40] == film[:, :40]).all()
    assert (ground[:, 40:] == film[:, 40:]).all()
    assert np.abs(ground[:, :40] - (film[:, :40].astype(float) + full[:, :40]) / 2).max() <= 0.5
    without = opened(tmp_path / "figure" / "view_0007.png")  # no mask: no figure
    assert (without == film_frame(7)).all()
    assert (opened(tmp_path / "ground" / "view_0007.png") != film_frame(7)).any()


def test_the_films_luminance_may_be_kept(tmp_path: Path, network: Path, frames: Path) -> None:
    from tools.keyframes_keep import to_oklab

    assert run(frames, "--model", network, "--style", "oil", "-o", tmp_path / "out", "--keep", "luminance", "--end", "2f") == 0

    def lightness(picture: np.ndarray) -> float:
        return float(to_oklab(picture)[..., 0].mean())

    kept, film, plain = opened(tmp_path / "out" / "view_0001.png"), film_frame(1), styled(network, film_frame(1))
    assert abs(lightness(kept) - lightness(film)) < 0.3 * abs(lightness(plain) - lightness(film))


def test_a_fade_is_taken_off_and_put_back(tmp_path: Path, network: Path) -> None:
    def dark(n: int) -> np.ndarray:
        return faded(film_frame(0), 0.5, "black") if n == 1 else film_frame(0)

    film = write_frames(tmp_path / "film", [dark(n) for n in range(6)])
    shots = (Shot(1, 0, 6, "fade", 3, "black"),)
    write_csv(CutList("film", Fraction(24), 6, shots), tmp_path / "cuts.csv")
    assert run(film, "--model", network, "--style", "oil", "--cuts", tmp_path / "cuts.csv", "-o", tmp_path / "out") == 0
    expected = faded(styled(network, film_frame(0)), 0.5, "black")
    assert np.abs(opened(tmp_path / "out" / "000001.png").astype(int) - expected).mean() < 2


# --- from frame to frame


class Flickering:
    """A network that makes every other picture lighter."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.calls = 0
        monkeypatch.setattr(TiledModel, "run", self.run)

    def run(self, picture: np.ndarray, shares: Any, previous: Any = None, certainty: Any = None) -> np.ndarray:
        self.calls += 1
        return np.clip(picture.astype(int) + 30 * (self.calls % 2), 0, 255).astype(np.uint8)


def test_smoothing_takes_flicker_out_and_stops_at_the_cut(
        tmp_path: Path, network: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    still = scene(WIDTH, HEIGHT)(0)
    other = 255 - still[::-1]
    film = write_frames(tmp_path / "film", [still] * 6 + [other] * 6)
    shots = (Shot(1, 0, 6), Shot(2, 6, 12))
    write_csv(CutList("film", Fraction(24), 12, shots), tmp_path / "cuts.csv")
    common = (film, "--model", network, "--style", "oil", "--cuts", tmp_path / "cuts.csv")
    Flickering(monkeypatch)
    assert run(*common, "-o", tmp_path / "plain") == 0
    Flickering(monkeypatch)
    assert run(*common, "-o", tmp_path / "smooth", "--smooth", "1") == 0

    def flicker(folder: Path) -> float:
        seen = [p.astype(float).mean() for p in pictures(folder)]
        return float(np.abs(np.diff(seen[:6])).mean())

    assert flicker(tmp_path / "smooth") < 0.5 * flicker(tmp_path / "plain")
    for n, own, foreign in ((5, still, other), (6, other, still)):
        seen = pictures(tmp_path / "smooth")[n].astype(int)
        assert np.abs(seen - own).mean() < 0.4 * np.abs(seen - foreign).mean()


@pytest.fixture(scope="module")
def recurrent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("network") / "r.onnx", norm="affine", recurrent=True, styles=("oil",))


def test_a_recurrent_network_is_given_its_last_picture_until_the_cut(tmp_path: Path, recurrent: Path, frames: Path) -> None:
    write_csv(CutList("film", Fraction(24), FRAMES, (Shot(1, 0, 6), Shot(2, 6, 12))), tmp_path / "cuts.csv")
    common = (frames, "--model", recurrent, "--cuts", tmp_path / "cuts.csv")
    assert run(*common, "-o", tmp_path / "all") == 0
    first = np.array([1], np.float32)
    for n, alone in ((0, True), (1, False), (5, False), (6, True), (7, False)):
        same = (opened(tmp_path / "all" / f"view_{n:04d}.png") == styled(recurrent, film_frame(n), first)).all()
        assert same == alone, n
    # Frames that are asked for from the middle of a shot on are those of the whole film.
    assert run(*common, "-o", tmp_path / "part", "--start", "3f", "--end", "8f") == 0
    for n in range(3, 8):
        assert (opened(tmp_path / "part" / f"view_{n:04d}.png") == opened(tmp_path / "all" / f"view_{n:04d}.png")).all()


# --- bad input


def test_bad_input_is_said_in_one_sentence_each(
        tmp_path: Path, network: Path, frames: Path, capfd: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    still = frames / "view_0000.png"
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "broken.onnx").write_bytes(network.read_bytes()[:3000])
    ok = ("--model", network, "--style", "oil")
    cases: list[tuple[tuple[object, ...], str]] = [
        ((tmp_path / "no.mp4", *ok, "-o", tmp_path / "o.mp4"), "does not exist"),
        ((frames, *ok, "--enlarge", "5", "-o", tmp_path / "o"), "--enlarge: 5; allowed: 1 to 4"),
        ((frames, "--model", tmp_path / "no.onnx", "-o", tmp_path / "o"), "no.onnx"),
        ((frames, "--model", tmp_path / "broken.onnx", "-o", tmp_path / "o"), "broken.onnx"),
        ((frames, "--model", network, "-o", tmp_path / "o"), "the network has 2 styles"),
        ((frames, "--model", network, "--style", "oyl", "-o", tmp_path / "o"), "did you mean 'oil'?"),
        ((frames, "--model", network, "--style", "oil=-1", "-o", tmp_path / "o"), "NAME=SHARE"),
        ((frames, "--model", network, "--style", "oil=0", "-o", tmp_path / "o"), "no style a share"),
        ((frames, *ok, "--amount", "2", "-o", tmp_path / "o"), "--amount: 2"),
        ((frames, *ok, "--smooth", "nan", "-o", tmp_path / "o"), "--smooth: nan"),
        ((frames, *ok, "--tile", "64", "-o", tmp_path / "o"), "--tile: 64"),
        ((frames, *ok, "--mask-side", "ground", "-o", tmp_path / "o"), "without --masks"),
        ((frames, *ok, "--start", "90f", "-o", tmp_path / "o"), "--start: is frame 90"),
        ((frames, *ok, "-o", tmp_path / "o.avi"), "ends in '.avi'"),
        ((frames, *ok, "-o", frames), "is the film, which would be lost"),
        ((frames, *ok, "-o", frames / "in"), "would lie among the film's frames"),
        ((frames, *ok, "-o", tmp_path / "none" / "o"), "which is not there"),
        ((still, *ok, "-o", tmp_path / "o.jpg"), "a name that ends in .png"),
        ((still, *ok, "-o", still), "is the picture, which would be lost"),
        ((still, *ok, "--end", "3f", "-o", tmp_path / "o.png"), "is for a film"),
        ((frames, *ok, "-o", network), "is the model, which would be lost"),
        ((tmp_path / "text.png", *ok, "-o", tmp_path / "o.png"), "text.png: cannot be read as a picture (it is none"),
    ]
    before = sorted(p.name for p in tmp_path.rglob("*"))
    for words, said in cases:
        assert run(*words) == 2, words
        err = capfd.readouterr().err
        assert said in err and "Traceback" not in err, err
        assert len(err.strip().splitlines()) == 1, err
    assert sorted(p.name for p in tmp_path.rglob("*")) == before


def test_a_network_that_is_too_small_for_tiles_says_so(
        tmp_path: Path, frames: Path, capfd: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    small = written(tmp_path / "small.onnx", (64, 48))
    assert run(frames, "--model", small, "--style", "oil", "-o", tmp_path / "o") == 2
    assert "too small for tiles" in capfd.readouterr().err


def test_shares_are_divided_by_their_sum() -> None:
    assert shares_of("oil=2, woodcut=6", ("oil", "woodcut")) == {"oil": 0.25, "woodcut": 0.75}
    assert shares_of(None, ("oil",)) == {"oil": 1.0}


def test_it_works_in_a_base_install(tmp_path: Path, network: Path, frames: Path) -> None:
    import subprocess

    code = ("import sys\nfor m in ('torch', 'cv2', 'scipy', 'numba', 'onnx', 'safetensors'): sys.modules[m] = None\n"
            "from tools import style_apply\nsys.exit(style_apply.main(sys.argv[1:]))")  # fmt: skip
    words = (frames, "--model", network, "--style", "oil", "-o", tmp_path / "out", "--end", "2f")
    subprocess.run([sys.executable, "-c", code, *map(str, words)], check=True, capture_output=True)
    assert (opened(tmp_path / "out" / "view_0001.png") == styled(network, film_frame(1))).all()


def test_the_command_line_needs_no_torch() -> None:
    import subprocess

    code = "import sys; from tools import style_apply_options as a, style_export_options as e; a.arguments(); e.arguments(); "
    code += "print([m for m in ('torch', 'cv2', 'onnx', 'onnxruntime') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
