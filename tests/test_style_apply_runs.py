"""A film through an exported stylizer: tiles without a seam, a run that goes on, and what is black of the film."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")
pytest.importorskip("onnx")

from player.sources.film_reader import FilmReader
from tests.film_footage import scene
from tests.painted_clip import opened, write_frames
from tests.small_stylizers import written
from tests.test_style_apply import FRAMES, HEIGHT, OIL, WIDTH, film_frame, pictures, run, styled
from tools import style_apply_frames
from tools.style_model import TiledModel, ramp, tiling_for
from tools.whole_file import write_whole


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Any size, folded, two styles."""
    return written(tmp_path_factory.mktemp("network") / "s.onnx", norm="affine")


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """A folder of twelve frames."""
    return write_frames(tmp_path / "frames", [film_frame(n) for n in range(FRAMES)], "view_{:04d}.png")


# --- tiles


def test_tiles_of_a_folded_network_have_no_seam(network: Path) -> None:
    picture = np.concatenate([scene(1100, 370, colour=True)(n) for n in (3, 30)])  # 1100 x 740
    whole = styled(network, picture)
    model = TiledModel(network, (1100, 740), 512, 1)
    assert model.tiling.counts[0] > 1 and model.tiling.counts[1] > 1 and not model.tiling.whole
    tiled = model.run(picture, OIL)
    model.close()
    assert np.abs(tiled.astype(int) - whole).max() <= 1


def test_tiles_fit_a_canvas_and_a_network_of_fixed_size(tmp_path: Path) -> None:
    for canvas in (0, 2):
        fixed = written(tmp_path / f"f{canvas}.onnx", (512, 460), norm="affine", canvas=canvas)
        free = written(tmp_path / f"a{canvas}.onnx", norm="affine", canvas=canvas)
        picture = scene(800, 500, colour=True)(3)
        apart = np.abs(styled(fixed, picture).astype(int) - styled(free, picture))
        assert apart[:460, :760].max() <= 1
        small = scene(200, 100, colour=True)(3)  # smaller than the network's size
        assert styled(fixed, small).shape == small.shape


@pytest.mark.parametrize("own", [None, (512, 480), (640, 480), (1920, 1080)])
@pytest.mark.parametrize("frame", [(1100, 700), (5001, 2999), (1281, 1280), (2000, 640), (1440, 449)])
def test_every_pixel_is_of_one_tile_or_shared_out_between_two(frame: tuple[int, int], own: tuple[int, int] | None) -> None:
    t = tiling_for(frame, own, 512 if own is None else None)
    for length, tile, step, count in zip(t.frame, t.tile, t.step, t.counts, strict=True):
        assert count == 1 or step % 256 == 0
        assert own is not None or length == (count - 1) * step + tile  # the last ends with the frame
        total = np.zeros(max(length, tile) + step * count)
        for i in range(count):
            total[i * step :][:tile] += ramp(tile, step, i == 0, i == count - 1)
        assert np.allclose(total[:length], 1, atol=1e-6)


def test_one_tile_differs_from_no_other(tmp_path: Path, frames: Path, capfd: pytest.CaptureFixture[str]) -> None:
    large = written(tmp_path / "large.onnx", (2 * WIDTH, 2 * HEIGHT), norm="instance")
    assert run(frames, "--model", large, "--style", "oil", "-o", tmp_path / "o", "--end", "1f") == 0
    said = capfd.readouterr().out
    assert "in 1 x 1 tiles" in said and "the network's own size" in said and "tones may differ" not in said


def test_a_large_frame_is_tiled_without_being_asked() -> None:
    assert tiling_for((1920, 1080), None, None).whole
    large = tiling_for((3840, 2160), None, None)
    assert not large.whole and max(large.tile) <= 1280


# --- going on


def stop_after(monkeypatch: pytest.MonkeyPatch, count: int) -> Iterator[None]:
    """The network answers so many times, then Ctrl-C."""
    plain = TiledModel.run
    left = [count]

    def answer(self: TiledModel, *words: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return plain(self, *words)

    with monkeypatch.context() as m:
        m.setattr(TiledModel, "run", answer)
        yield


def test_a_run_that_was_stopped_goes_on_and_ends_the_same(
        tmp_path: Path, network: Path, frames: Path, monkeypatch: pytest.MonkeyPatch,
        capfd: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    common = (frames, "--model", network, "--style", "oil", "--threads", "1")
    assert run(*common, "-o", tmp_path / "whole") == 0
    for _ in stop_after(monkeypatch, 5):
        assert run(*common, "-o", tmp_path / "out") == 130
    assert "the same command goes on" in capfd.readouterr().err
    done = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "out").glob("*.png")}
    assert len(done) == 5
    assert run(*common, "-o", tmp_path / "out") == 0
    assert "5 of 12 frames are there already" in capfd.readouterr().out
    assert all((tmp_path / "out" / n).stat().st_mtime_ns == at for n, at in done.items())
    for name in (f"view_{n:04d}.png" for n in range(FRAMES)):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_frame_that_somebody_has_changed_stays_and_comes_into_the_film(
        tmp_path: Path, network: Path, frames: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    out = tmp_path / "film.mp4"
    common = (frames, "--model", network, "--style", "oil", "-o", out, "--quality", "0", "--threads", "1")
    for _ in stop_after(monkeypatch, 5):
        assert run(*common) == 130
    changed = tmp_path / "film.mp4.work" / "frames" / "view_0002.png"
    Image.new("RGB", (WIDTH, HEIGHT), (250, 240, 10)).save(changed)
    assert run(*common) == 0
    reader = FilmReader(out)
    reader.open()
    assert np.abs(reader.picture(2).astype(int) - (250, 240, 10)).mean() < 6
    reader.close()
    assert [p.name for p in changed.parent.iterdir()] == ["view_0002.png"]


def test_other_options_and_strange_files_are_refused_until_again_is_said(
        tmp_path: Path, network: Path, frames: Path, capfd: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    out = tmp_path / "out"
    assert run(frames, "--model", network, "--style", "oil", "-o", out) == 0
    before = {p.name: p.read_bytes() for p in out.glob("*.png")}
    assert run(frames, "--model", network, "--style", "woodcut", "-o", out) == 2
    assert "was begun with other" in capfd.readouterr().err
    assert {p.name: p.read_bytes() for p in out.glob("*.png")} == before
    assert run(frames, "--model", network, "--style", "woodcut", "-o", out, "--again") == 0
    assert (opened(out / "view_0000.png") == styled(network, film_frame(0), np.array([0, 1], np.float32))).all()
    strange = write_frames(tmp_path / "strange", [film_frame(0)], "view_{:04d}.png")
    assert run(frames, "--model", network, "--style", "oil", "-o", strange) == 2
    assert "that this command has not written" in capfd.readouterr().err


def test_a_film_stays_until_another_one_is_whole(
        tmp_path: Path, network: Path, frames: Path, monkeypatch: pytest.MonkeyPatch,
        capfd: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    out = tmp_path / "film.mp4"
    common = (frames, "--model", network, "-o", out, "--threads", "1", "--style")
    assert run(*common, "oil") == 0
    before = out.read_bytes()
    assert run(*common, "oil", "--end", "6f") == 2
    assert "was begun with other range" in capfd.readouterr().err
    for _ in stop_after(monkeypatch, 4):
        assert run(*common, "woodcut", "--again") == 130
    assert out.read_bytes() == before
    assert run(*common, "woodcut") == 0  # goes on, and knows the film for its own
    assert "4 of 12 frames are there already" in capfd.readouterr().out
    assert out.read_bytes() != before
    out.write_bytes(b"somebody's")
    assert run(*common, "woodcut") == 2
    assert "is not as this command wrote it" in capfd.readouterr().err and out.read_bytes() == b"somebody's"


def test_a_disk_that_is_full_stops_it_with_one_sentence(
        tmp_path: Path, network: Path, frames: Path, monkeypatch: pytest.MonkeyPatch,
        capfd: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    written_so_far = []

    def full(path: Path, write: Any) -> None:

        if len(written_so_far) >= 3:
            from player.show.problem import Problem, ShowError

            raise ShowError(Problem(str(path), "cannot be written (No space left on device)"))
        written_so_far.append(path)
        write_whole(path, write)

    monkeypatch.setattr(style_apply_frames, "write_whole", full)
    assert run(frames, "--model", network, "--style", "oil", "-o", tmp_path / "out") == 2
    err = capfd.readouterr().err
    assert err.count("No space left") == 1 and "Traceback" not in err
    assert len(list((tmp_path / "out").glob("*.png"))) == 3


# --- what is black


def test_a_black_frame_stays_black(tmp_path: Path, network: Path) -> None:
    black = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    grain = np.random.default_rng(0).integers(0, 4, black.shape).astype(np.uint8)
    film = write_frames(tmp_path / "film", [film_frame(0), black, grain])
    assert (styled(network, black) > 20).any(), "the network alone would paint it"
    assert run(film, "--model", network, "--style", "oil", "-o", tmp_path / "out") == 0
    made = pictures(tmp_path / "out")
    assert (made[0] == styled(network, film_frame(0))).all()
    assert (made[1] == black).all() and (made[2] == grain).all()
    assert run(film / "000001.png", "--model", network, "--style", "oil", "-o", tmp_path / "still.png") == 0
    assert (opened(tmp_path / "still.png") == black).all()


def test_the_bars_of_a_film_stay_black_and_its_picture_is_painted(tmp_path: Path, network: Path) -> None:
    def barred(n: int) -> np.ndarray:
        picture = np.maximum(film_frame(n), 90)
        picture[:10] = picture[-10:] = 0
        return picture

    film = write_frames(tmp_path / "film", [barred(n) for n in range(4)])
    assert run(film, "--model", network, "--style", "oil", "-o", tmp_path / "out") == 0
    assert run(film / "000002.png", "--model", network, "--style", "oil", "-o", tmp_path / "still.png") == 0
    for made in (pictures(tmp_path / "out")[2], opened(tmp_path / "still.png")):
        assert made[:9].max() == 0 and made[-9:].max() == 0
        assert (made[14:-14] == styled(network, barred(2))[14:-14]).all()
