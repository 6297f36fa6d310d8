"""The film's luminance or colour kept in a painting: what changes, what does not, and where."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("scipy")

from tools.keyframes_keep import Keep, from_oklab, kept, to_oklab
from tools.paint_options import PaintOptions

H, W = 40, 50


def picture(seed: int, low: int = 0, high: int = 256) -> np.ndarray:
    return np.random.default_rng(seed).integers(low, high, (H, W, 3)).astype(np.uint8)


def test_the_colour_space_goes_there_and_back() -> None:
    p = picture(0)
    assert (from_oklab(to_oklab(p)) == p).all()
    lab = to_oklab(np.array([[255, 255, 255], [0, 0, 0], [128, 128, 128]], np.uint8))
    assert np.allclose(lab[:, 0], [1, 0, 0.5999], atol=2e-3) and np.abs(lab[:, 1:]).max() < 1e-3


def test_the_known_colours_of_the_source_come_out() -> None:
    lab = to_oklab(np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8))
    known = [[0.62796, 0.22486, 0.12585], [0.86644, -0.23389, 0.17950], [0.45201, -0.03246, -0.31153]]
    assert np.allclose(lab, known, atol=2e-3)


def test_luminance_is_the_films_and_colour_the_paintings() -> None:
    painted, film = picture(1, 110, 150), picture(2, 110, 150)
    out = to_oklab(kept(painted, film, Keep("luminance", coarse_px=0)))
    assert np.abs(out[..., 0] - to_oklab(film)[..., 0]).max() < 0.005
    assert np.abs(out[..., 1:] - to_oklab(painted)[..., 1:]).max() < 0.01


def test_colour_is_the_films_and_luminance_the_paintings() -> None:
    painted, film = picture(3, 110, 150), picture(4, 110, 150)
    out = to_oklab(kept(painted, film, Keep("colour", coarse_px=0)))
    assert np.abs(out[..., 0] - to_oklab(painted)[..., 0]).max() < 0.005
    assert np.abs(out[..., 1:] - to_oklab(film)[..., 1:]).max() < 0.01


def test_fine_strokes_stay_while_broad_shade_is_kept() -> None:
    painted = np.full((H, W, 3), 120, np.uint8)
    painted[:, ::2] += 30  # strokes
    film = np.full((H, W, 3), 60, np.uint8)
    film[:, W // 2 :] = 190  # a shadow's edge
    out = to_oklab(kept(painted, film, Keep("luminance", coarse_px=4)))[..., 0]
    assert out[:, W - 8 :].mean() - out[:, :8].mean() > 0.9 * float(np.ptp(to_oklab(film)[..., 0]))
    own = to_oklab(painted)[..., 0]
    assert np.abs(np.diff(out[:, :8], axis=1)).mean() == pytest.approx(np.abs(np.diff(own[:, :8], axis=1)).mean(), rel=0.05)


def test_a_mask_says_where() -> None:
    painted, film = picture(5), picture(6)
    where = np.zeros((H, W), np.uint8)
    where[10:20, 10:20] = 255
    out = kept(painted, film, Keep("luminance", coarse_px=0), where)
    assert (out[where == 0] == painted[where == 0]).all() and (out[12:18, 12:18] != painted[12:18, 12:18]).any()
    whole = kept(painted, film, Keep("luminance", coarse_px=0))
    assert (out[12:18, 12:18] == whole[12:18, 12:18]).all()


def test_an_amount_lies_between_the_two() -> None:
    painted, film = picture(7, 110, 150), picture(8, 110, 150)
    half = to_oklab(kept(painted, film, Keep("luminance", 0.5, coarse_px=0)))[..., 0]
    middle = 0.5 * (to_oklab(painted)[..., 0] + to_oklab(film)[..., 0])
    assert np.abs(half - middle).max() < 0.005
    assert (kept(painted, film, Keep("luminance", 0)) == painted).all()


def test_a_colour_that_no_screen_shows_becomes_paler_and_keeps_its_hue() -> None:
    painted = np.full((4, 4, 3), (255, 0, 0), np.uint8)
    film = np.full((4, 4, 3), 250, np.uint8)
    out = to_oklab(kept(painted, film, Keep("luminance", coarse_px=0)))
    assert abs(float(out[0, 0, 0]) - float(to_oklab(film)[0, 0, 0])) < 0.01
    red = to_oklab(painted)[0, 0]
    hue = np.arctan2(out[0, 0, 2], out[0, 0, 1]) - np.arctan2(red[2], red[1])
    assert abs(float(hue)) < 0.15 and float(np.hypot(*out[0, 0, 1:])) > 0.005


def test_bad_values_are_refused() -> None:
    p = picture(9)
    with pytest.raises(ValueError, match="luminance"):
        Keep("hue")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="amount"):
        Keep("colour", 1.5)
    with pytest.raises(ValueError, match="mask"):
        kept(p, p, Keep("colour"), np.zeros((H, W - 1), np.uint8))


@pytest.mark.parametrize("way", ["a shot", "the sheet of ways"])
def test_kept_colour_does_not_run_over_a_hard_edge(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from types import SimpleNamespace
    from typing import Any

    from tools import keyframes_shot, paint_compare

    film = np.full((H, W, 3), (200, 60, 50), np.uint8)
    film[:, W // 2 :] = (60, 90, 190)
    painted = np.full((H, W, 3), 128, np.uint8)
    if way == "a shot":
        options = SimpleNamespace(keep="colour", keep_amount=1.0)
        on: Any = SimpleNamespace(options=options, keep_where=None, frames=[film])
        made = keyframes_shot.with_film(on, 0, painted)
    else:
        one: Any = SimpleNamespace(picture=painted)
        monkeypatch.setattr(paint_compare, "Painter", lambda *a, **k: SimpleNamespace(paint=lambda *a, **k: one))
        part: Any = SimpleNamespace(start=0, end=1, shot=1)
        own: Any = SimpleNamespace(always=np.zeros((H, W), bool))
        nothing: Any = None
        (row,) = paint_compare.make_rows([0], [part], nothing, PaintOptions(), own, lambda n: film, nothing, lambda s: None)
        made = row.pictures[3]
        assert made is not None
    assert np.ptp(made[:, : W // 2].reshape(-1, 3), axis=0).max() <= 1
    assert np.ptp(made[:, W // 2 :].reshape(-1, 3), axis=0).max() <= 1
