"""The camera as a source, with a film file and with made-up devices: newest picture, loss and return, what is refused."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from player.__main__ import main
from player.show.config import load_show, read_show
from player.show.cut_list import CutList, Shot, write_csv
from player.show.film import Film
from player.show.problem import ShowError
from player.show.show import Camera, Show
from player.show.venue import load_venue, with_venue
from player.sources import camera as module
from player.sources.aim import Aim, Layer
from player.sources.camera import CameraSource, camera_frames, device_name
from player.sources.figure_masks import FigureMasks
from player.sources.film_reader import FilmSource, probe_film, to_rgb
from player.sources.frame import Frame
from player.sources.inference import Inference
from player.sources.step_print import StepPrinted
from player.sources.stylizer import StylizerSource
from player.sources.stylizer_model import styles_of
from player.state import Latent
from tests.numbered_film import FRAMES, RATE, SIZE, number_in, write_frames, write_numbered
from tests.tiny_stylizer import tiny, write_tiny_stylizer

SHOTS = (Shot(1, 0, 36), Shot(2, 36, 72))
CUTS = CutList("camera", RATE, FRAMES, SHOTS)


def camera_show(device: str = "0", **more: Any) -> Show:
    settings: dict[str, Any] = {"film": Film(RATE, FRAMES, *SIZE), "cuts": CUTS, "source": "camera", "camera": Camera(device)}
    return Show("live", Path("live.toml"), **{**settings, **more})


def asked(source: CameraSource | StylizerSource, shot: int = 1) -> Frame:
    layer = Layer(shot, source.name, Fraction(3 if shot == 1 else 40))
    return source.make(Aim(0.0, 0, (layer,), Latent()), layer)


def wait_until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not true() and time.monotonic() < end:
        time.sleep(0.005)
    assert true()


def grey(value: int, size: tuple[int, int] = SIZE) -> av.VideoFrame:
    return av.VideoFrame.from_ndarray(np.full((size[1], size[0], 3), value, np.uint8), format="rgb24")


class Device:
    """Gives what it is told to give; `plugged` out ends it with an error."""

    def __init__(self, size: tuple[int, int] = SIZE) -> None:
        self.plugged, self.size, self.value, self.opened = True, size, 50, 0

    def __call__(self, camera: Camera, closing: threading.Event) -> Iterator[av.VideoFrame]:
        self.opened += 1
        while not closing.is_set():
            if not self.plugged:
                raise OSError(19, "No such device")
            yield grey(self.value, self.size)
            time.sleep(0.002)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOST_S", 0.2)
    monkeypatch.setattr(module, "AGAIN_S", 0.02)


def test_a_film_file_is_played_as_a_camera_over_and_over(tmp_path: Path) -> None:
    film = write_numbered(tmp_path / "numbered.mp4", frames=12)
    source = CameraSource(camera_show(str(film), camera=Camera(str(film), rate_hz=200.0)))
    source.open()
    try:
        seen: list[int] = []

        def begun_again() -> bool:
            seen.append(number_in(asked(source).pixels))
            return max(seen) >= 9 and any(a > b for a, b in itertools.pairwise(seen))

        wait_until(begun_again)
        assert set(seen) <= set(range(12))
    finally:
        source.close()


@pytest.mark.parametrize(("rate_hz", "wanted_hz"), [(0.0, 24.0), (50.0, 50.0)])
def test_a_film_files_frames_come_at_its_own_pace_or_at_the_one_asked_for(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rate_hz: float, wanted_hz: float) -> None:
    """Through the end, where it begins again, and after a frame that was slow to come."""
    film, now = write_numbered(tmp_path / "numbered.mp4", frames=6), [100.0]

    class Waiting(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            now[0] += timeout or 0.0
            return False

    monkeypatch.setattr(module.time, "perf_counter", lambda: now[0])
    came = []
    for k, frame in enumerate(itertools.islice(camera_frames(Camera(str(film), rate_hz=rate_hz), Waiting()), 15)):
        came.append(now[0] - 100.0)
        assert number_in(to_rgb(frame)) == k % 6
        now[0] += 0.015 if k == 4 else 0.002
    assert came == pytest.approx([k / wanted_hz for k in range(15)], abs=1e-6)


def test_the_newest_picture_is_given_and_the_same_one_is_the_same_array(quick: None) -> None:
    device = Device()
    source = CameraSource(camera_show(), device)
    source.open()
    assert asked(source).pixels.max() == device.value and asked(source).source == "camera" and not asked(source).has_transitions
    device.value = 99
    wait_until(lambda: bool(asked(source).pixels[0, 0, 0] == 99))
    source.close()
    assert asked(source).pixels is asked(source).pixels


def test_a_lost_camera_fails_and_comes_back_by_itself(quick: None) -> None:
    device = Device()
    source = CameraSource(camera_show(), device)
    source.open()
    device.plugged = False

    def is_lost() -> bool:
        try:
            asked(source)
        except RuntimeError as e:
            return "has given no picture for 0.2 s (No such device)" in str(e)
        return False

    wait_until(is_lost)
    device.plugged, device.value = True, 77
    wait_until(lambda: not is_lost())
    assert asked(source).pixels[0, 0, 0] == 77 and device.opened >= 2 and source.facts()["lost"] >= 1
    source.close()
    assert not [t for t in threading.enumerate() if t.name == "camera"]


@pytest.mark.parametrize(("size", "inner"), [((96, 48), (16.0, 0.0, 64.0, 48.0)), ((64, 60), (0.0, 6.0, 64.0, 48.0))])
def test_a_camera_of_another_shape_is_cut_to_the_films(size: tuple[int, int], inner: tuple[float, ...], quick: None) -> None:
    source = CameraSource(camera_show(), Device(size))
    source.open()
    assert asked(source).inner == pytest.approx(inner)
    source.close()


def test_a_device_is_opened_by_its_format_and_not_as_a_file() -> None:
    """FFmpeg's own test picture stands for a camera: a device of another format, opened the same way."""
    if "lavfi" not in av.formats_available:
        pytest.skip("this FFmpeg has no made-up device")
    source = CameraSource(camera_show(camera=Camera("testsrc=size=96x48:rate=60", "lavfi")))
    source.open()
    assert asked(source).pixels.shape == (48, 96, 3) and asked(source).pixels.std() > 20
    source.close()


def test_a_camera_that_is_not_there_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "FIRST_S", 2.0)
    with pytest.raises(ShowError) as e:
        CameraSource(camera_show("/dev/video97")).open()
    assert "live.toml: camera.device: 'video97' gives no picture (" in str(e.value) and "\n" not in str(e.value)
    (tmp_path / "empty.mp4").write_bytes(b"x")
    with pytest.raises(ShowError, match="gives no picture"):
        CameraSource(camera_show(str(tmp_path / "empty.mp4"))).open()
    with pytest.raises(ShowError, match=r"camera.device: is missing; allowed: a camera's name or number"):
        CameraSource(camera_show("")).open()


@pytest.mark.logs_error("has given no picture")
def test_where_there_is_a_fallback_a_show_begins_without_its_camera_and_takes_it_when_it_comes(
        quick: None, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    device = Device()
    device.plugged, device.value = False, 77
    show = camera_show(fallback=write_numbered(tmp_path / "numbered.mp4"))
    inference = Inference({"camera": StepPrinted(CameraSource(show, device), show, FigureMasks(show))}, show,
                          FilmSource(show, tmp_path / "numbered.mp4", "fallback"))  # fmt: skip
    with caplog.at_level(logging.WARNING):
        inference.open()
        layer = Layer(1, "camera", Fraction(3))
        (frame,) = inference.make_and_wait(Aim(0.0, 0, (layer,), Latent()))
        assert frame.source == "fallback" and number_in(frame.pixels) == 3
        device.plugged = True
        wait_until(lambda: inference.make_and_wait(Aim(0.0, 0, (layer,), Latent()))[0].source == "camera")
    inference.close()
    said = [m for m in caplog.messages if "counted" not in m]
    assert "live.toml: camera.device: '0' gives no picture (No such device); the show begins on the fallback film" in said[0]
    assert "the camera is there" in said


@pytest.mark.logs_error("has given no picture")
def test_a_show_that_begins_without_its_camera_is_played_on_its_fallback(
        tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    path = show_in(tmp_path, '[camera]\ndevice = "/dev/video97"\n')
    for verb in ("check", "play"):
        more = ["--duration", "0.5"] if verb == "play" else []
        assert main([verb, str(path), "--offscreen", "--no-sound", *more]) == 2
        assert "'video97' gives no picture" in (says := capfd.readouterr().err) and "with a [fallback] film" in says
    path.write_text(path.read_text() + '[fallback]\nfile = "film.mp4"\n')
    for verb in ("check", "play"):
        more = ["--duration", "0.5"] if verb == "play" else []
        assert main([verb, str(path), "--offscreen", "--no-sound", *more]) == 0
        assert sum("the show begins on the fallback film, and takes the camera when it is there" in m
                   for m in caplog.messages) == 1 + (verb == "play")  # fmt: skip


def test_devices_are_named_as_their_systems_name_them() -> None:
    assert device_name("0", "v4l2") == "/dev/video0" and device_name("/dev/video2", "v4l2") == "/dev/video2"
    assert device_name("0", "avfoundation") == "0" and device_name("USB Camera", "dshow") == "video=USB Camera"


def test_a_stylised_camera_shows_its_newest_picture_in_the_style(tmp_path: Path, quick: None) -> None:
    from player.show.show import Stylizer

    device = Device((96, 48))
    model = write_tiny_stylizer(tmp_path / "tiny.onnx")
    for smooth in (0.0, 1.0):
        show = camera_show(source="stylizer", stylizer=Stylizer(model, over="camera", smooth=smooth))
        base = CameraSource(show, device)
        base.open()
        source = StylizerSource(show, {"camera": base}, FigureMasks(show), threads=1)
        source.open()
        first = asked(source).pixels
        assert first.shape == (48, 64, 3) and np.array_equal(first, tiny(np.full_like(first, device.value), negative=1))
        device.value += 60
        wait_until(lambda s=source: bool(asked(s).pixels[0, 0, 0] == 255 - device.value))  # type: ignore[misc]
        source.close()
        base.close()


def test_smoothing_never_mixes_a_cameras_pictures_across_a_cut(tmp_path: Path, quick: None) -> None:
    from player.show.show import Stylizer

    device = Device(SIZE)
    model = write_tiny_stylizer(tmp_path / "tiny.onnx")
    show = camera_show(source="stylizer", stylizer=Stylizer(model, over="camera", smooth=1.0))
    base = CameraSource(show, device)
    base.open()
    source = StylizerSource(show, {"camera": base}, FigureMasks(show), threads=1)
    source.open()

    def next_picture(shot: int) -> int:
        device.value += 5  # so little that the picture before counts as still
        wait_until(lambda: bool((asked(base).pixels == device.value).all()))
        return int(asked(source, shot).pixels[0, 0, 0])

    next_picture(1)
    mixed = next_picture(1)
    assert 255 - device.value < mixed < 255 - device.value + 5, "within a shot the one before is in it too"
    alone = next_picture(2)
    assert alone == 255 - device.value
    source.close()
    base.close()


def show_in(folder: Path, camera: str = '[camera]\ndevice = "film.mp4"\n') -> Path:
    write_csv(CUTS, folder / "cuts.csv")
    write_numbered(folder / "film.mp4")
    write_tiny_stylizer(folder / "tiny.onnx")
    (folder / "score.toml").write_text(
        "[[shot]]\nnumber = 1\nsource = 'camera'\n[[shot]]\nnumber = 2\nsource = 'stylizer'\nover = 'camera'\n"
        "under = 'camera'\nmix = 0.5\n", encoding="utf-8")
    (folder / "show.toml").write_text(
        'name = "live"\n[film]\nfile = "film.mp4"\ncuts = "cuts.csv"\n[play]\nsource = "film"\n[score]\nfile = "score.toml"\n'
        '[stylizer]\nfile = "tiny.onnx"\n[output.main]\nsize = [64, 48]\n[control]\nosc_port = 0\n' + camera, encoding="utf-8")
    return folder / "show.toml"


def test_a_show_with_a_camera_is_played_and_not_rendered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = show_in(tmp_path)
    show = load_show(path, probe_film, styles_of)
    assert show.camera == Camera(str(tmp_path / "film.mp4")) and show.inputs_of(2) == ("stylizer", "camera")
    assert main(["render", str(path), str(tmp_path / "out.mp4"), "--no-sound"]) == 2
    assert "show.toml: shot 1: plays a camera, whose picture is now or never" in capsys.readouterr().err
    assert not (tmp_path / "out.mp4").exists()
    assert main(["check", str(path), "--offscreen", "--no-sound"]) == 0
    assert "negative, dim, white; 64x48 over the camera" in capsys.readouterr().out
    assert main(["play", str(path), "--offscreen", "--no-sound", "--duration", "0.5", "--stats", str(tmp_path / "s.json")]) == 0


def test_nothing_is_written_over_a_cameras_film_or_over_a_mask(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    show = show_in(tmp_path, f'[camera]\ndevice = "{tmp_path / "cam.mp4"}"\n')
    camera = write_numbered(tmp_path / "cam.mp4")
    write_frames(tmp_path / "masks", range(36, 72))
    score = tmp_path / "score.toml"
    score.write_text(score.read_text() + "mask = 'masks'\n")
    mask = tmp_path / "masks" / "000040.png"
    before = camera.read_bytes(), mask.read_bytes()
    for option, path, says in (("--record", camera, "over the show's camera"), ("--stats", mask, "over the masks of shot 2")):
        code = main(["play", str(show), "--offscreen", "--no-sound", "--duration", "0.2", option, str(path)])
        assert code == 2 and says in capsys.readouterr().err
    assert before == (camera.read_bytes(), mask.read_bytes())


def test_the_venue_names_the_rooms_camera(tmp_path: Path) -> None:
    show = read_show(show_in(tmp_path, "[camera]\n"), probe_film, styles_of).show
    assert show is not None and show.camera == Camera("")
    (tmp_path / "venue.toml").write_text('[camera]\ndevice = "2"\nsize = [1280, 720]\nrate_hz = 50\n', encoding="utf-8")
    assert with_venue(show, load_venue(tmp_path / "venue.toml")).camera == Camera("2", "", (1280, 720), 50.0)


@pytest.mark.parametrize(("camera", "says"), [
    ("[camera]\ndevice = 3\n", "camera.device: is 3; allowed: a text in quotes"),
    ("[camera]\nformat = 'v4l'\n", "camera.format: is 'v4l'; allowed: v4l2, avfoundation, dshow; try: did you mean 'v4l2'?"),
    ("[camera]\nrate_hz = 0\n", "camera.rate_hz: is 0; allowed: a number from 1 to 1000 Hz"),
    ("[camera]\nname = 'x'\n", "camera.name: is not known"),
    ("", "camera.device: is missing, but shots play the camera")])
def test_a_camera_table_that_cannot_be_is_one_sentence(tmp_path: Path, camera: str, says: str) -> None:
    (found,) = [str(p) for p in read_show(show_in(tmp_path, camera), probe_film, styles_of).problems]
    assert says in found
