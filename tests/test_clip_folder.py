"""Clips that are folders of frames or films: which file is which frame, and what if one is missing."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from player.recorder import Recorder, part_comment
from player.show.clip import FrameFolder, png_size, ranges_of, read_folder
from player.show.cut_list import Shot
from player.show.problem import ShowError
from player.show.show import Show
from player.sources.aim import Aim, Layer
from player.sources.black import BlackSource
from player.sources.clip import ClipSource, damaged, read_png
from player.sources.frame import Held
from player.sources.inference import Inference
from player.state import Latent
from tests.numbered_film import FRAMES, RATE, SIZE, number_in, numbered, write_frames, write_numbered
from tests.small_shows import small_show

SHOTS = (Shot(1, 0, 24), Shot(2, 24, 48, "dissolve", 8), Shot(3, 48, 72))


def picture_at(source: ClipSource, position: float, shot: int) -> np.ndarray:
    aim = Aim(0.0, 0, (Layer(shot, "clip", Fraction(position)),), Latent())
    return source.make(aim, aim.layers[0]).pixels


def opened(show: Show) -> ClipSource:
    source = ClipSource(show)
    source.open()
    return source


def written_part(path: Path, numbers: range, whole: int, frames: int | None = None) -> Path:
    """A film that says which frames it holds. frames: how many it really has."""
    with Recorder(path, SIZE, RATE, comment=part_comment(numbers, whole)) as made:
        for i in range(frames or len(numbers)):
            made.add(numbered(numbers[0] + i), i)
    return path


def clip_show(*shots: int, path: Path, **more: Any) -> Show:
    return small_show(SHOTS, source="black", clips=dict.fromkeys(shots, path), **more)


@pytest.mark.parametrize(("numbers", "shot", "first", "like_film"), [
    (range(72), 2, 24, True), (range(24, 48), 2, 24, True), (range(24), 2, 0, False), (range(1, 25), 2, 1, False),
    (range(32), 1, 0, True), (range(32), 2, 24, True), (range(1, 73), 2, 25, True), (range(1, 73), 1, 1, True),
    (range(1, 25), 1, 1, False), (range(71), 3, 48, True), (range(48, 72, 2), 3, 48, True),
    (range(1001, 1073), 2, 1025, True), (range(1001, 1025), 2, 1001, False), (range(24, 48), 3, 48, True)])
def test_a_folder_is_numbered_like_the_film_or_from_the_shots_first_frame(numbers: range, shot: int, first: int,
                                                                         like_film: bool) -> None:  # fmt: skip
    folder = FrameFolder(Path("x"), {n: Path(f"{n}.png") for n in numbers})
    following = 8 if shot == 1 else 0
    placed = folder.placing(SHOTS[shot - 1], 24 + following, FRAMES)
    assert (placed.first, placed.like_film) == (first, like_film)


def test_what_is_no_frame_in_a_folder_is_left_alone(tmp_path: Path) -> None:
    folder = write_frames(tmp_path, [3, 4], "take2_f{:04d}.PNG")
    for name in ("sheet.png", "._000003.png", "000009.png.part", "000005.jpg", "notes 7.txt", f"{'9' * 30}.png"):
        (folder / name).write_bytes(b"x")
    (folder / "000006.png").mkdir()
    assert sorted(read_folder(folder).files) == [3, 4]
    (folder / "4.png").write_bytes(b"x")
    with pytest.raises(ShowError, match=r"holds a frame twice: 4\.png and take2_f0004\.PNG"):
        read_folder(folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ShowError, match=r"holds no numbered PNG; allowed: frames such as 000300\.png"):
        read_folder(tmp_path / "empty")


@pytest.mark.parametrize(("name", "numbers"), [
    ("{:06d}_v2", [0, 1, 5]), ("s03_f{:06d}", [7, 8]), ("shot3_{:04d}_v2_1920", [10, 11]), ("{:06d}_v2", [4]),
    ("take2_f{:04d}", [9]), ("2024-05-12_frame{:02d}", [24, 25])])
def test_a_frames_number_is_what_tells_the_names_apart(tmp_path: Path, name: str, numbers: list[int]) -> None:
    assert sorted(read_folder(write_frames(tmp_path, numbers, name + ".png")).files) == numbers


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_a_film_of_some_frames_of_the_film_stands_where_it_says(tmp_path: Path, suffix: str) -> None:
    """As the tools write it that stylise or paint a part: its fades are in it, and it knows where it belongs."""
    part = written_part(tmp_path / f"part{suffix}", range(20, 60), 72)
    clip = opened(clip_show(2, path=part))
    assert [number_in(picture_at(clip, p, 2)) for p in (24, 30, 47, 99)] == [24, 30, 47, 47]
    aim = Aim(0.0, 0, (Layer(2, "clip", Fraction(30)),), Latent())
    assert clip.make(aim, aim.layers[0]).has_transitions
    with pytest.raises(ShowError, match=r"part\.m.. holds the film's frames 20 to 59; allowed: the shot's own, 48 to 71"):
        opened(clip_show(3, path=part))
    with pytest.raises(ShowError, match=r"holds the film's frames 20 to 59; allowed: the shot's own, 0 to 23"):
        opened(clip_show(1, path=part))
    assert part_comment(range(72), 72) == ""


def test_a_part_that_ends_in_the_dissolve_after_a_shot_holds_its_last_frame_there(tmp_path: Path) -> None:
    part = written_part(tmp_path / "part.mp4", range(28), 72)
    clip = opened(clip_show(1, path=part))
    assert [number_in(picture_at(clip, p, 1)) for p in (0, 23, 27, 28, 31)] == [0, 23, 27, 27, 27]
    with pytest.raises(ShowError, match=r"holds the film's frames 0 to 27; allowed: the shot's own, 24 to 47"):
        opened(clip_show(2, path=part))


@pytest.mark.parametrize(("numbers", "whole"), [(range(20, 60), 100), (range(20, 61), 72), (range(20, 59), 72)])
def test_a_part_of_another_film_or_of_another_length_begins_with_its_shot(tmp_path: Path, numbers: range, whole: int) -> None:
    """What it says of itself is not so here: the film has 72 frames, and it holds 40."""
    clip = opened(clip_show(2, path=written_part(tmp_path / "part.mp4", numbers, whole, 40)))
    assert [number_in(picture_at(clip, p, 2)) for p in (24, 30, 47)] == [20, 26, 43]
    aim = Aim(0.0, 0, (Layer(2, "clip", Fraction(30)),), Latent())
    assert not clip.make(aim, aim.layers[0]).has_transitions


def test_frames_stand_by_the_films_numbers_and_a_shot_shows_only_its_own(tmp_path: Path) -> None:
    clip = opened(clip_show(1, 2, 3, path=write_frames(tmp_path, range(72))))
    assert [number_in(picture_at(clip, p, 2)) for p in (24, 24.5, 25, 47, 48, 55.9, 300, 0)] == [24, 24, 25, 47, 47, 47, 47, 24]
    assert [number_in(picture_at(clip, p, 1)) for p in (0, 23, 31, 32, 50)] == [0, 23, 31, 31, 31], "on through the dissolve"
    for gone in range(26, 72):
        (tmp_path / f"{gone:06d}.png").unlink()
    clip = opened(clip_show(1, path=tmp_path))
    assert [number_in(picture_at(clip, p, 1)) for p in (23, 25, 26, 31)] == [23, 25, 25, 25], "as far as it was made"


def test_frames_counted_from_the_shots_start_begin_with_it_and_go_on_into_the_dissolve(tmp_path: Path) -> None:
    clip = opened(clip_show(1, path=write_frames(tmp_path / "one", range(1, 29))))
    assert [number_in(picture_at(clip, p, 1)) for p in (0, 5, 23, 26, 31)] == [0, 5, 23, 26, 27]
    clip = opened(clip_show(3, path=write_frames(tmp_path / "three", range(24), "s03_{:02d}.png", first=48)))
    assert [number_in(picture_at(clip, p, 3)) for p in (48, 60, 71, 99)] == [48, 60, 71, 71]


def test_what_is_numbered_like_the_film_holds_its_fades_and_a_clip_of_one_shot_does_not(tmp_path: Path) -> None:
    whole, own = write_frames(tmp_path / "whole", range(72)), write_frames(tmp_path / "own", range(24), first=24)
    film, clip = write_numbered(tmp_path / "film.mp4"), write_numbered(tmp_path / "clip.mp4", frames=24)
    for path, holds in ((whole, True), (film, True), (own, False), (clip, False)):
        source, aim = opened(clip_show(2, path=path)), Aim(0.0, 0, (Layer(2, "clip", Fraction(30)),), Latent())
        assert source.make(aim, aim.layers[0]).has_transitions == holds, path.name


def test_a_film_of_the_shows_own_length_serves_every_shot_by_film_time(tmp_path: Path) -> None:
    clip = opened(clip_show(1, 2, 3, path=write_numbered(tmp_path / "painted.mp4")))
    assert [number_in(picture_at(clip, p, n)) for n, p in ((1, 3), (2, 24), (2, 47), (1, 30), (3, 48), (3, 71))] == [
        3, 24, 47, 30, 48, 71]
    assert len(clip._readers) == 1, "read on from shot to shot"


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "I;16"])
def test_pngs_of_every_kind_come_as_8_bit_rgb(tmp_path: Path, mode: str) -> None:
    ramp = np.tile(np.arange(64, dtype=np.uint8) * 4, (48, 1))
    if mode == "I;16":
        Image.fromarray(ramp.astype(np.uint16) * 257).save(tmp_path / "0.png")
    elif mode == "RGBA":
        alpha = np.full_like(ramp, 255)
        alpha[:24] = 0
        Image.fromarray(np.dstack([ramp, ramp, ramp, alpha])).save(tmp_path / "0.png")
    else:
        Image.fromarray(ramp).convert(mode).save(tmp_path / "0.png")
    made = read_png(tmp_path / "0.png")
    assert made.shape == (48, 64, 3) and made.dtype == np.uint8
    if mode == "RGBA":
        assert made[:24].max() == 0, "what is transparent is black"
    assert np.array_equal(made[30, :, 1], ramp[30])
    assert png_size(tmp_path / "0.png") == (64, 48)


def test_frames_that_are_damaged_are_named_when_the_show_is_opened(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "painted", range(72))
    whole = (folder / "000040.png").read_bytes()
    (folder / "000040.png").write_bytes(whole[:-20])
    (folder / "000041.png").write_bytes(b"")
    (folder / "000042.png").write_bytes(b"GIF89a" + bytes(60))
    (folder / "000043.png").write_bytes(whole[:16] + (40000).to_bytes(4, "big") + whole[20:])
    show = clip_show(2, path=folder)
    with pytest.raises(ShowError) as told:
        opened(show)
    words = [str(p) for p in told.value.problems]
    assert len(words) == 4 and all(folder.name in w for w in words)
    for said, word in zip(("is cut short", "is empty", "is no PNG", "is 40000x48 px"), words, strict=True):
        assert said in word
    assert [str(p) for p in damaged(show)] == words
    opened(clip_show(1, 3, path=folder)), "what other shots show is whole"


def test_a_frame_that_goes_missing_during_the_show_is_held_and_counted(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "painted", range(24, 48), first=24)
    clip = opened(clip_show(2, path=folder))
    assert number_in(picture_at(clip, 29, 2)) == 29
    for gone in (30, 31, 32):
        (folder / f"{gone:06d}.png").unlink()
    for position in (30, 31, 32):
        with pytest.raises(Held, match=f"painted: frame {position} cannot be read") as held:
            picture_at(clip, position, 2)
        assert number_in(held.value.frame.pixels) == 29 and held.value.frame.film_position == position
    assert number_in(picture_at(clip, 33, 2)) == 33
    for left in folder.iterdir():
        left.unlink()
    for position in range(34, 48):  # a stick that was pulled out: what was seen last stays
        with pytest.raises(Held) as held:
            picture_at(clip, position, 2)
        assert number_in(held.value.frame.pixels) == 33


@pytest.mark.logs_error("clip: painted: frame 30 cannot be read")
def test_a_held_frame_is_a_fault_and_not_the_fallback_films(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "painted", range(72))
    show = clip_show(1, 2, 3, path=folder)
    inference = Inference({"clip": ClipSource(show), "black": BlackSource(show)}, show, BlackSource(show))
    inference.open()
    (folder / "000030.png").unlink()
    aim = Aim(0.0, 0, (Layer(2, "clip", Fraction(30)),), Latent())
    (frame,) = inference.make_and_wait(aim)
    assert (frame.source, number_in(frame.pixels)) == ("clip", 29)
    assert inference.failures == 1 and inference.facts()["by_fallback"] == 0, "a render stops, a live show goes on"
    inference.close()


def test_ranges_are_said_and_long_lists_are_cut() -> None:
    assert ranges_of([7, 12, 13, 14, 20]) == "7, 12 to 14, 20"
    assert ranges_of(range(0, 40, 2)) == "0, 2, 4, 6, 8, 10 ..."
