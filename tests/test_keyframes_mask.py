"""Masks of the foreground: from a background, from motion, from a person's masks; and a person's are never written over."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from player.show.cut_list import CutList, Shot, write_csv
from tests.ctrl_c import ctrl_c_at
from tests.film_footage import write_film
from tests.painted_clip import write_frames

cv2 = pytest.importorskip("cv2")
from tools import keyframes_mask  # noqa: E402
from tools.keyframes_mask_ground import Ground, chained, differs, panorama  # noqa: E402
from tools.keyframes_mask_record import Record, record_in  # noqa: E402
from tools.keyframes_mask_refine import cleaned, fitted, guided  # noqa: E402
from tools.keyframes_mask_sheet import spread_over  # noqa: E402
from tools.keyframes_mask_shot import masks_of_shot  # noqa: E402

WIDTH, HEIGHT, FRAMES = 160, 120, 14
RADIUS = 22


def texture(seed: int, width: int, height: int, low: int, high: int) -> np.ndarray:
    """A soft random texture in colour, uint8 [height, width, 3], low to high."""
    noise = np.random.default_rng(seed).normal(0, 1, (height, width, 3)).astype(np.float32)
    soft = cv2.GaussianBlur(noise, (0, 0), 4)
    return np.clip((low + high) / 2 + (high - low) / 4 * soft / soft.std(), 0, 255).astype(np.uint8)


WALL = texture(1, WIDTH + 60, HEIGHT + 20, 110, 220)
BALL = texture(2, 2 * RADIUS + 1, 2 * RADIUS + 1, 20, 110)


def truth(n: int) -> np.ndarray:
    """Where the ball is in frame n, bool [HEIGHT, WIDTH]."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return np.asarray((x - 36 - 6 * n) ** 2 + (y - 60 - 8 * np.sin(n / 3)) ** 2 <= RADIUS**2)


def picture(n: int, pan: float = 0.0, noise: float = 2.0, weave: float = 0.0, light: float = 1.0) -> np.ndarray:
    """Frame n: a ball that turns crosses a wall. pan: pixels a frame; weave: of the gate; light: factor."""
    rng = np.random.default_rng(n + 10)
    left, top = pan * n + 10 + weave * np.sin(2.1 * n), 10 + weave * np.cos(1.7 * n)
    made = cv2.warpAffine(WALL, np.float32([[1, 0, -left], [0, 1, -top]]), (WIDTH, HEIGHT)).astype(np.float32)
    turn = cv2.getRotationMatrix2D((RADIUS, RADIUS), 9 * n, 1)
    turn[:, 2] += (36 + 6 * n - RADIUS, 60 + 8 * np.sin(n / 3) - RADIUS)
    ball = cv2.warpAffine(BALL, turn, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REPLICATE)
    soft = cv2.GaussianBlur(truth(n).astype(np.float32), (0, 0), 0.6)[..., None]
    made = made * (1 - soft) + ball * soft
    return np.clip(made * light + rng.normal(0, noise, made.shape), 0, 255).astype(np.uint8)


def iou(mask: np.ndarray, true: np.ndarray) -> float:
    found = mask >= (128 if mask.dtype == np.uint8 else 0.5)
    return float((found & true).sum() / (found | true).sum())


def worst_and_mean(masks: list[Any], shot: list[np.ndarray] | None = None) -> tuple[float, float]:
    """IoU with the truth; shot: the frames, whose edges the masks are to follow first."""
    fine = masks if shot is None else [fitted(m, f) for m, f in zip(masks, shot, strict=True)]
    found = [iou(m, truth(i)) for i, m in enumerate(fine)]
    return min(found), float(np.mean(found))


def mask(*argv: object) -> int:
    return keyframes_mask.main([str(a) for a in argv])


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_frames(tmp_path_factory.mktemp("film") / "frames", [picture(n) for n in range(FRAMES)], "{:04d}.png")


@pytest.fixture(scope="module")
def cuts(frames: Path) -> Path:
    path = frames.with_name("cuts.csv")
    write_csv(CutList("frames", Fraction(24), FRAMES, (Shot(1, 0, 7), Shot(2, 7, FRAMES))), path)
    return path


@pytest.fixture(scope="module")
def plate(frames: Path) -> Path:
    path = frames.with_name("empty.png")
    Image.fromarray(WALL[10:10 + HEIGHT, 10:10 + WIDTH]).save(path)
    return path


def test_what_moves_before_a_camera_that_moves_is_found() -> None:
    for pan in (0.0, 2.5):
        shot = [picture(n, pan) for n in range(FRAMES)]
        made = masks_of_shot(shot)
        worst, mean = worst_and_mean(made.rough, shot)
        assert made.how == "motion" and made.found
        assert mean > 0.97 and worst > 0.95, f"pan {pan}: mean {mean:.3f}, worst {worst:.3f}"


def test_a_background_is_enough_in_spite_of_grain_weave_and_flicker() -> None:
    empty = WALL[10:10 + HEIGHT, 10:10 + WIDTH]
    shot = [picture(n, noise=6, weave=0.8, light=1 + 0.1 * np.sin(n)) for n in range(8)]
    made = masks_of_shot(shot, plate=empty)
    worst, mean = worst_and_mean(made.rough, shot)
    assert made.how == "background" and mean > 0.96 and worst > 0.95, f"mean {mean:.3f}, worst {worst:.3f}"
    nobody = [np.clip(empty + np.random.default_rng(n).normal(0, 6, empty.shape), 0, 255).astype(np.uint8) for n in range(3)]
    assert not masks_of_shot(nobody, plate=empty).found, "grain alone is nobody"


def test_two_masks_by_hand_make_all_between_and_stay_as_they_are() -> None:
    shot = [picture(n, 2.5) for n in range(FRAMES)]
    keys = {0: truth(0).astype(np.float32), 11: truth(11).astype(np.float32)}
    made = masks_of_shot(shot, keys)
    worst, mean = worst_and_mean(made.rough, shot)
    assert made.how == "keys" and mean > 0.97 and worst > 0.94, f"mean {mean:.3f}, worst {worst:.3f}"
    assert all(np.array_equal(made.rough[n], keys[n]) for n in keys)


def test_the_same_masks_again() -> None:
    shot = [picture(n) for n in range(5)]
    first, second = masks_of_shot(shot), masks_of_shot(shot)
    assert all(np.array_equal(a, b) for a, b in zip(first.rough, second.rough, strict=True))


def test_where_nothing_moves_there_is_no_foreground() -> None:
    still = [np.clip(WALL[:HEIGHT, :WIDTH] + np.random.default_rng(n).normal(0, 3, (HEIGHT, WIDTH, 1)), 0, 255).astype(np.uint8)
             for n in range(6)]  # fmt: skip
    made = masks_of_shot(still)
    assert not made.found and not any(m.any() for m in made.rough)
    assert not masks_of_shot(still[:1]).found


def test_a_background_is_known_where_frames_agree_and_proven_where_something_passed() -> None:
    shot = [picture(n) for n in range(FRAMES)]
    still = [np.eye(2, 3)] * (FRAMES - 1)
    found = panorama(shot, still, [cv2.dilate(truth(n).astype(np.uint8), np.ones((5, 5))) > 0 for n in range(FRAMES)])
    assert found is not None
    at = found.at(3, (WIDTH, HEIGHT))
    apart = np.abs(at.picture.astype(int) - WALL[10:10 + HEIGHT, 10:10 + WIDTH]).max(axis=2)
    assert at.known.mean() > 0.97 and np.percentile(apart[at.known], 98) < 12
    assert at.proven[60, 80] and not at.proven[5, 5]
    moved = chained([np.array([[1, 0, 2], [0, 1, 0]], float)] * 4)
    assert moved[:, 0, 2].tolist() == [4, 2, 0, -2, -4]


def test_a_difference_is_counted_in_grain() -> None:
    everywhere = np.ones((HEIGHT, WIDTH), bool)
    wall = np.full((HEIGHT, WIDTH, 3), 200, np.uint8)
    for noise in (1.0, 8.0):
        frame = wall + np.random.default_rng(3).normal(0, noise, wall.shape)
        frame[40:80, 40:80] -= 45
        made = differs(np.clip(frame, 0, 255).astype(np.uint8), Ground(wall, everywhere, everywhere), 0.5)
        assert (made[44:76, 44:76] > 0.8).mean() > 0.99 and (made[:30] > 0.5).mean() < 0.01


def test_specks_and_pinholes_go_and_what_is_larger_stays() -> None:
    made = np.zeros((200, 200), bool)
    made[50:150, 50:150] = True
    made[5:8, 5:8] = True
    made[60, 60] = False
    made[100:120, 100:120] = False
    out = cleaned(made)
    assert not out[6, 6] and out[60, 60] and not out[110, 110] and out[70, 70]


def test_the_edge_follows_the_picture_in_its_own_size() -> None:
    frame = np.full((240, 320, 3), 220, np.uint8)
    true = np.zeros((240, 320), bool)
    cv2.circle(canvas := np.zeros((240, 320), np.uint8), (150, 120), 60, 1, -1)
    true[canvas > 0] = True
    frame[true] = 40
    rough = cv2.resize(true.astype(np.float32), (160, 120), interpolation=cv2.INTER_AREA)
    rough = np.roll(rough, 1, axis=1)  # 2 pixels beside
    before = iou(cv2.resize(rough, (320, 240)), true)
    made = fitted(rough, frame)
    assert made.dtype == np.uint8 and iou(made, true) > max(0.975, before) and set(np.unique(made[:, :40])) == {0}
    assert 0 < ((made > 0) & (made < 255)).mean() < 0.05, "the edge is soft"
    assert set(np.unique(fitted(rough, frame, soft_px=0))) == {0, 255}
    assert fitted(rough, frame, grow_px=4).sum() > made.sum() > fitted(rough, frame, grow_px=-4).sum()
    flat = guided(np.full((9, 9), 0.5, np.float32), np.eye(9, dtype=np.float32), 1, 1e-4)
    assert flat[4, 4] == pytest.approx(cv2.boxFilter(cv2.boxFilter(np.eye(9, dtype=np.float32), -1, (3, 3)), -1, (3, 3))[4, 4])


def test_the_command_writes_a_grey_mask_for_every_frame_and_a_preview(frames: Path, plate: Path, cuts: Path, tmp_path: Path,
                                                                      capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    out = tmp_path / "out"
    assert mask(frames, "--background", plate, "--cuts", cuts, "-o", out) == 0
    names = sorted(p.name for p in out.glob("*.png"))
    assert names == [f"{n:04d}.png" for n in range(FRAMES)], "named like the frames"
    made = [Image.open(out / n) for n in names]
    assert all(m.mode == "L" and m.size == (WIDTH, HEIGHT) for m in made)
    worst, mean = worst_and_mean([np.asarray(m) for m in made])
    assert mean > 0.94 and worst > 0.9, f"mean {mean:.3f}, worst {worst:.3f}"
    assert Image.open(out / "mask" / "preview.png").size[0] > 500
    assert "14 masks, 14 made now" in capsys.readouterr().out
    assert mask(frames, "--background", plate, "--cuts", cuts, "-o", out) == 0
    assert "14 masks, 0 made now" in capsys.readouterr().out
    (out / "0009.png").unlink()
    assert mask(frames, "--background", plate, "--cuts", cuts, "-o", out) == 0
    assert "14 masks, 7 made now" in capsys.readouterr().out and (out / "0009.png").exists()


def test_a_mask_by_hand_is_kept_and_its_shot_follows_it(frames: Path, cuts: Path, tmp_path: Path,
                                                        capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    out = tmp_path / "out"
    assert mask(frames, "--cuts", cuts, "-o", out) == 0
    before = {p.name: p.read_bytes() for p in out.glob("*.png")}
    edited = np.where(truth(10), 255, 0).astype(np.uint8)
    edited[:10, :10] = 255  # a sign that flow does not carry far, and nobody else would paint
    Image.fromarray(edited).save(out / "0010.png")
    by_hand = (out / "0010.png").read_bytes()
    capsys.readouterr()
    assert mask(frames, "--cuts", cuts, "-o", out) == 0
    assert "6 made now, 1 of your own hand kept" in capsys.readouterr().out
    assert (out / "0010.png").read_bytes() == by_hand
    assert all((out / name).read_bytes() == data for name, data in before.items() if int(name[:4]) < 7), "the other shot stays"
    assert np.asarray(Image.open(out / "0011.png"))[3:7, 3:7].min() == 255, "the corner was carried on"
    assert mask(frames, "--cuts", cuts, "-o", out, "--again") == 0
    assert (out / "0010.png").read_bytes() == by_hand


def test_key_masks_of_another_size_are_resized_and_said(frames: Path, tmp_path: Path,
                                                        capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    keys = tmp_path / "keys"
    keys.mkdir()
    for n in (0, 13):
        true = np.where(truth(n), 255, 0).astype(np.uint8)
        large = cv2.resize(true, (2 * WIDTH, 2 * HEIGHT), interpolation=cv2.INTER_NEAREST)
        Image.fromarray(large).save(keys / f"{n:04d}.png")
    held = {p: p.read_bytes() for p in keys.iterdir()}
    assert mask(frames, "--masks", keys, "-o", tmp_path / "out") == 0
    said = capsys.readouterr().out
    assert "another size than the film" in said and all(p.read_bytes() == data for p, data in held.items())
    worst, mean = worst_and_mean([np.asarray(Image.open(p)) for p in sorted((tmp_path / "out").glob("*.png"))])
    assert mean > 0.93 and worst > 0.85, f"mean {mean:.3f}, worst {worst:.3f}"


def test_masks_that_lie_in_the_folder_before_the_first_run_are_a_persons(tmp_path: Path) -> None:
    film, out = tmp_path / "film.mp4", tmp_path / "out"
    write_film(film, 6, picture=picture, options={"crf": "8"})
    out.mkdir()
    Image.fromarray(np.where(truth(2), 255, 0).astype(np.uint8)).save(out / "000002.png")
    held = (out / "000002.png").read_bytes()
    assert mask(film, "--masks", out, "-o", out, "--method", "keys", "--start", 1, "--end", 5) == 0
    assert sorted(p.name for p in out.glob("*.png")) == [f"{n:06d}.png" for n in range(1, 5)]
    assert (out / "000002.png").read_bytes() == held
    assert all(iou(np.asarray(Image.open(out / f"{n:06d}.png")), truth(n)) > 0.93 for n in range(1, 5))


def test_frames_of_a_dissolve_have_the_mask_of_the_first_clear_one(frames: Path, plate: Path, tmp_path: Path) -> None:
    shots = (Shot(1, 0, 7), Shot(2, 7, FRAMES, "dissolve", 3))
    write_csv(CutList("frames", Fraction(24), FRAMES, shots), tmp_path / "cuts.csv")
    out = tmp_path / "out"
    assert mask(frames, "--cuts", tmp_path / "cuts.csv", "--background", plate, "-o", out, "--start", 5) == 0
    made = [np.asarray(Image.open(out / f"{n:04d}.png")) for n in range(5, FRAMES)]
    assert min(iou(made[n - 5], truth(n)) for n in (5, 6, *range(10, FRAMES))) > 0.93
    assert all(iou(made[n - 5], truth(10)) > iou(made[n - 5], truth(n)) for n in (7, 8))


def test_someone_who_stops_is_foreground_still() -> None:
    shot = [picture(min(n, 6)) for n in range(FRAMES)]
    made = masks_of_shot(shot)
    found = [iou(fitted(m, f), truth(min(n, 6))) for n, (m, f) in enumerate(zip(made.rough, shot, strict=True))]
    assert min(found) > 0.85, np.round(found, 3).tolist()


def test_a_shot_without_foreground_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_frames(tmp_path / "frames", [WALL[:HEIGHT, :WIDTH] for n in range(5)], "{:04d}.png")
    assert mask(folder, "-o", tmp_path / "out") == 0
    assert "shot 1: no foreground found" in capsys.readouterr().out
    assert mask(folder, "-o", tmp_path / "out") == 0
    said = capsys.readouterr().out
    assert "0 made now" in said and "shot 1: no foreground found" in said, "and every time"
    assert not np.asarray(Image.open(tmp_path / "out" / "0002.png")).any()


def test_a_stopped_run_keeps_whole_shots_and_takes_none_of_its_files_for_a_persons(
        frames: Path, plate: Path, cuts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    out = tmp_path / "out"
    ctrl_c_at(monkeypatch, keyframes_mask, "write_mask", 10)
    assert mask(frames, "--background", plate, "--cuts", cuts, "-o", out) == 130
    assert mask(frames, "--background", plate, "--cuts", cuts, "-o", out) == 0
    said = capsys.readouterr().out
    assert "14 masks, 7 made now" in said and "own hand" not in said and not list(out.glob("*.part"))


def test_a_mask_saved_while_the_command_runs_is_not_written_over(tmp_path: Path) -> None:
    path, record = tmp_path / "0001.png", Record()
    record.wrote("0001.png", b"first")
    keyframes_mask.write_mask(path, b"first", record)
    path.write_bytes(b"a person's")
    record.wrote("0001.png", b"second")
    keyframes_mask.write_mask(path, b"second", record)
    assert path.read_bytes() == b"a person's"
    record.save(tmp_path)
    record.made(7, "digest", "jumps")
    record.save(tmp_path)
    assert record_in(tmp_path).ours == record.ours and record_in(tmp_path).doubts == {"7": "jumps"}
    record.made(7, "digest", "")
    assert not record.doubts


def test_the_preview_shows_every_shot_where_there_is_room() -> None:
    chosen = spread_over(list(range(100, 300)), [100, 290], most=10)
    assert len(chosen) <= 10 and any(n >= 290 for n in chosen) and chosen == sorted(chosen)
    assert spread_over([3, 4], [3]) == [3, 4]


@pytest.mark.parametrize(("argv", "sentence"), [
    (("--method", "background"), "has no background"), (("--background", "none.png"), "none.png"),
    (("--masks", "nowhere"), "does not exist"), (("--sensitivity", "2"), "--sensitivity"), (("--soft", "-1"), "--soft"),
    (("--method", "keys"), "no mask of a person's hand"), (("--start", "14"), "the film's 14 frames"),
    (("--rate", "x"), "--rate"),
])
def test_a_bad_option_costs_one_sentence_and_writes_nothing(frames: Path, tmp_path: Path, argv: tuple[str, ...], sentence: str,
                                                            capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    assert mask(frames, "-o", tmp_path / "out", *argv) == 2
    said = capsys.readouterr().err
    assert sentence in said and said.count("\n") == 1 and not (tmp_path / "out").exists()


def test_bad_inputs_and_places_cost_a_sentence(frames: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("here")
    keys = tmp_path / "keys"
    keys.mkdir()
    Image.new("L", (WIDTH, HEIGHT)).save(keys / "0099.png")
    Image.new("RGB", (100, 300)).save(tmp_path / "tall.png")
    broken = tmp_path / "broken"
    (broken / "mask").mkdir(parents=True)
    (broken / "mask" / "mask.json").write_text("{")
    for argv, sentence in (
        ((frames, "-o", tmp_path / "file"), "is a file"), ((frames, "-o", tmp_path / "file" / "masks"), "is no folder"),
        ((frames, "-o", frames), "lies among the frames"),
        ((frames, "--masks", keys, "-o", tmp_path / "out"), "0099.png"),
        ((frames, "--background", tmp_path / "tall.png", "-o", tmp_path / "out"), "another shape"),
        ((frames, "--background", tmp_path / "file", "-o", tmp_path / "out"), "cannot be read"),
        ((frames, "-o", broken), "mask.json"),
    ):  # fmt: skip
        assert mask(*argv) == 2
        assert sentence in capsys.readouterr().err
    assert (tmp_path / "file").read_text() == "here" and json.loads("{}") == {}


def disc(shared: Path) -> tuple[list[np.ndarray], list[np.ndarray]]:
    folder = shared / "pictures" / "dev" / "disc_pan"
    shot = [np.asarray(Image.open(folder / f"frame_{n:03d}.png").convert("RGB")) for n in range(12)]
    return shot, [np.asarray(Image.open(folder / f"mask_{n:03d}.png").convert("L")) >= 128 for n in range(12)]


def test_the_disc_before_its_pan(shared: Path) -> None:
    shot, true = disc(shared)
    keys = {n: true[n].astype(np.float32) for n in (0, 11)}
    for how, made in (("motion", masks_of_shot(shot)), ("keys", masks_of_shot(shot, keys))):
        found = [iou(fitted(m, f), t) for m, f, t in zip(made.rough, shot, true, strict=True)]
        assert made.how == how and np.mean(found) > 0.97 and min(found) > 0.95, f"{how}: {np.round(found, 3).tolist()}"
