"""Masks that are not to be trusted: light that changes is no motion, what makes no sense is said, a picture is no mask."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

cv2 = pytest.importorskip("cv2")
from tests.painted_clip import write_frames  # noqa: E402
from tests.test_keyframes_mask import BALL, FRAMES, HEIGHT, RADIUS, WALL, WIDTH, iou, mask, picture, texture, truth  # noqa: E402
from tools import keyframes_mask  # noqa: E402
from tools.keyframes_mask_light import evened, tone_curve  # noqa: E402
from tools.keyframes_mask_own import why_no_mask  # noqa: E402
from tools.keyframes_mask_refine import fitted  # noqa: E402
from tools.keyframes_mask_shot import masks_of_shot  # noqa: E402
from tools.keyframes_mask_trust import JUMPS, SHATTERED, doubt_of, raggedness  # noqa: E402

EVERYWHERE = np.ones((HEIGHT, WIDTH), bool)


def board(n: int) -> np.ndarray:
    """A white board with dark letters before a wall, while the sun goes: gain and veil of light fall, and it flickers."""
    made = WALL[:HEIGHT, :WIDTH].astype(np.float32) * 0.7
    made[30:90, 30:130] = 235
    made[45:52, 40:120] = made[65:72, 40:120] = 60
    light, veil = 1 - 0.12 * min(1, n / 5) + 0.02 * (n % 2), 40 * max(0.0, 1 - n / 5)
    noise = np.random.default_rng(n).normal(0, 1.5, made.shape)
    return np.clip(made * light + veil + noise, 0, 255).astype(np.uint8)


def test_light_that_changes_is_nothing_that_moves() -> None:
    made = masks_of_shot([board(n) for n in range(16)])
    assert not made.found, [round(float(m.mean()), 3) for m in made.rough]


def test_what_moves_while_the_light_changes_is_found() -> None:
    shot = [np.clip(picture(n) * (1 - 0.02 * n) + 30 - 2.2 * n, 0, 255).astype(np.uint8) for n in range(FRAMES)]
    made = masks_of_shot(shot)
    found = [iou(fitted(m, f), truth(n)) for n, (m, f) in enumerate(zip(made.rough, shot, strict=True))]
    assert min(found) > 0.9 and not made.doubt, [round(v, 3) for v in found]


def test_a_tone_curve_is_that_of_the_ground_whatever_stands_before_it() -> None:
    ground = texture(5, WIDTH, HEIGHT, 40, 200)
    frame = np.clip(ground * 0.8 + 20, 0, 255)
    frame[20:100, 20:80] = 15  # a quarter of the picture
    curve = tone_curve(frame.astype(np.uint8), ground, EVERYWHERE)
    levels = np.arange(60, 170)
    assert np.abs(curve[levels] - (levels - 20) / 0.8).max() < 3 and (np.diff(curve) >= 0).all()
    back = evened([frame.astype(np.uint8)], [(ground, EVERYWHERE)])
    assert back is not None and np.abs(back[0][100:].astype(int) - ground[100:]).mean() < 2
    assert evened([ground], [(ground, EVERYWHERE)]) is None, "not touched where the light is the same"


def test_masks_that_jump_or_lie_in_shreds_are_doubted() -> None:
    still = [np.zeros((HEIGHT, WIDTH, 2), np.float16)] * 9
    disc = [truth(5).astype(np.float32)] * 10
    assert doubt_of(disc, still) == ""
    gone = [m * (i % 3 > 0) for i, m in enumerate(disc)]
    assert doubt_of(gone, still) == JUMPS
    stripes = np.zeros((HEIGHT, WIDTH), np.float32)
    stripes[::6, 10:-10] = stripes[1::6, 10:-10] = 1
    assert doubt_of([stripes] * 10, still) == SHATTERED
    assert doubt_of([0 * stripes] * 10, still) == "", "black masks are another matter"
    moving = [np.roll(truth(5), 9 * i, axis=1).astype(np.float32) for i in range(8)]
    by = np.zeros((HEIGHT, WIDTH, 2), np.float16)
    by[..., 0] = 9
    assert doubt_of(moving, [by] * 7) == "" and doubt_of(moving, still[:7]) == JUMPS, "what moves is followed"


def test_the_border_of_the_picture_is_no_outline() -> None:
    half = np.zeros((100, 100), bool)
    half[:, :50] = True
    assert raggedness(half) == pytest.approx(100 / (2 * np.sqrt(np.pi * 5000)), rel=0.06)
    assert raggedness(truth(5)) == pytest.approx(1, abs=0.1) and raggedness(~np.zeros((9, 9), bool)) == 0


def test_motion_that_makes_no_sense_is_named_and_a_mask_by_hand_mends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                                      capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    from tools import keyframes_mask_shot

    folder, out = tmp_path / "frames", tmp_path / "out"
    write_frames(folder, [picture(n) for n in range(6)], "{:04d}.png")
    wrong = [(truth(n) if n % 2 else ~truth(n)).astype(np.float32) for n in range(6)]
    monkeypatch.setattr(keyframes_mask_shot, "from_motion", lambda frames, *rest: [
        cv2.resize(m, frames[0].shape[1::-1]) for m in wrong])  # fmt: skip
    for _ in range(2):
        assert mask(folder, "-o", out) == 0
        said = capsys.readouterr().out
        assert "shot 1: the masks jump from frame to frame" in said and "paint one frame of it white" in said
    assert json.loads((out / "mask" / "mask.json").read_text())["doubts"] == {"0": "jumps"}
    Image.fromarray(np.where(truth(2), 255, 0).astype(np.uint8)).save(out / "0002.png")
    assert mask(folder, "-o", out) == 0
    assert "jump" not in capsys.readouterr().out
    assert min(iou(np.asarray(Image.open(out / f"{n:04d}.png")), truth(n)) for n in range(6)) > 0.9


def rgba(picture: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(picture).convert("RGBA"))


def test_what_is_plainly_a_picture_is_no_mask() -> None:
    figure = np.where(truth(5), 255, 0).astype(np.uint8)
    assert why_no_mask(rgba(figure)) == "" and why_no_mask(rgba(0 * figure)) == ""
    assert why_no_mask(rgba(np.full((HEIGHT, WIDTH), 128, np.uint8))) == "", "a flat grey may be meant"
    assert why_no_mask(rgba(cv2.GaussianBlur(figure, (0, 0), 8))) == "", "a soft edge is one"
    assert why_no_mask(np.dstack([np.full((HEIGHT, WIDTH, 3), (255, 0, 0), np.uint8), 0 * figure])) == "", "it is transparent"
    assert why_no_mask(rgba(texture(3, WIDTH, HEIGHT, 0, 255))) == "in colour"
    assert why_no_mask(rgba(texture(3, WIDTH, HEIGHT, 40, 220)[..., 0])) == "full of greys"


def test_pictures_in_the_folder_do_not_become_masks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, out = tmp_path / "frames", tmp_path / "out"
    out.mkdir()
    write_frames(folder, [picture(n) for n in range(4)], "{:04d}.png")
    Image.fromarray(picture(2)).save(out / "0002.png")
    held = (out / "0002.png").read_bytes()
    for argv in (("-o", out), ("-o", tmp_path / "other", "--masks", out)):
        assert mask(folder, *argv) == 2
        said = capsys.readouterr().err
        assert "0002.png" in said and "no mask" in said and said.count("\n") == 1
    assert (out / "0002.png").read_bytes() == held and [p.name for p in out.iterdir()] == ["0002.png"]
    (out / "0002.png").unlink()
    Image.fromarray(picture(0)).save(out / "notes.png")
    assert mask(folder, "-o", out) == 0
    said = capsys.readouterr().out
    assert "notes.png" in said and "left alone" in said and "4 masks, 4 made now" in said


def test_masks_that_all_are_a_persons_are_not_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, out = tmp_path / "frames", tmp_path / "out"
    write_frames(folder, [picture(n) for n in range(4)], "{:04d}.png")
    write_frames(out, [np.where(truth(n), 255, 0).astype(np.uint8) for n in range(4)], "{:04d}.png")
    assert mask(folder, "-o", out) == 0
    assert "4 masks, 0 made now, 4 of your own hand kept" in capsys.readouterr().out


def test_a_shot_too_long_to_be_looked_at_at_once_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                         capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    folder = tmp_path / "frames"
    write_frames(folder, [picture(n) for n in range(6)], "{:04d}.png")
    monkeypatch.setattr(keyframes_mask, "MOST_AT_ONCE", 3)
    assert mask(folder, "-o", tmp_path / "out") == 0
    assert "shot 1 is longer than the 3 frames" in (said := capsys.readouterr().out) and "0-2, 3-5" in said


def test_what_moves_slowly_and_steadily_is_no_light() -> None:
    shot: list[np.ndarray] = []
    true: list[np.ndarray] = []
    for n in range(24):
        at, rng = np.array([[1, 0, 30 + 1.1 * n], [0, 1, 40]], np.float32), np.random.default_rng(n)
        y, x = np.mgrid[:HEIGHT, :WIDTH]
        true.append((x - 30 - 1.1 * n - RADIUS) ** 2 + (y - 40 - RADIUS) ** 2 <= RADIUS**2)
        ball = cv2.warpAffine(BALL, at, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REPLICATE)
        soft = cv2.GaussianBlur(true[-1].astype(np.float32), (0, 0), 0.6)[..., None]
        made = WALL[:HEIGHT, :WIDTH] * (1 - soft) + ball * soft + rng.normal(0, 2, ball.shape)
        shot.append(np.clip(made, 0, 255).astype(np.uint8))
    made = masks_of_shot(shot)
    found = [iou(m, t) for m, t in zip(made.rough, true, strict=True)]
    assert not made.doubt and min(found) > 0.7, [round(v, 2) for v in found]
