"""Pictures painted by patches: one painting or several, by weight and mask, in tiles and stages, and frames that follow each
other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("cv2")
pytest.importorskip("numba")

from player.show.problem import ShowError
from player.sources.darkness import seen_share
from tests.painted import moving, strokes
from tools.keyframes_flow import flow
from tools.keyframes_keep import Keep
from tools.keyframes_measure import e_warp, sharpness, style_distance
from tools.paint_options import PaintOptions
from tools.style_patches import Easel, Style, Stylised, masked, stylise
from tools.style_patches_film import Before, certainties, earlier_of, stylised_shot
from tools.style_patches_regions import allowed_of, levelled, parted, prices, regions
from tools.style_patches_stages import halvings_for
from tools.style_patches_tiles import MARGIN_PX, tiles_of

DRAFT = PaintOptions(preset="draft", turns=1, threads=1)
SIZE = (72, 96)


def cool(width: int = 80, height: int = 64) -> np.ndarray:
    """A painting whose colours no patch of `strokes` has."""
    return np.ascontiguousarray(255 - strokes(width, height, seed=5))


def bluish(picture: np.ndarray) -> np.ndarray:
    """Where a picture is of `cool`, bool [H, W]: `strokes` is warm everywhere."""
    return picture[..., 2].astype(int) > picture[..., 0].astype(int) + 4


@pytest.fixture(scope="module")
def frames() -> list[np.ndarray]:
    return [moving(n) for n in range(6)]


@pytest.fixture(scope="module")
def alone(frames: list[np.ndarray]) -> Stylised:
    return stylise(frames[0], [strokes()], DRAFT)


@pytest.fixture(scope="module")
def followed(frames: list[np.ndarray]) -> list[Stylised]:
    return list(stylised_shot(frames, [strokes()], DRAFT))


def test_a_picture_gets_the_paintings_strokes_and_keeps_its_light_and_dark(frames: list[np.ndarray], alone: Stylised) -> None:
    style, frame = strokes(), frames[0]
    assert alone.picture.shape == frame.shape and alone.picture.dtype == np.uint8
    assert alone.field.shape == (*SIZE, 2) and alone.error.shape == SIZE
    assert style_distance(alone.picture, style) < 0.6 * style_distance(frame, style)
    luma = alone.picture.astype(np.float32).mean(axis=2)
    assert np.corrcoef(luma.ravel(), frame[..., 0].ravel())[0, 1] > 0.5


def test_the_same_picture_comes_out_on_any_number_of_threads(frames: list[np.ndarray]) -> None:
    small = [f[:48, :64] for f in frames[:1]]
    one, two = (stylise(small[0], [strokes(64, 48), cool(64, 48)], replace(DRAFT, threads=n)) for n in (1, 2))
    assert np.array_equal(one.picture, two.picture) and np.array_equal(one.field, two.field)


def test_two_paintings_share_the_picture_by_their_weights_and_no_pixel_is_of_both(frames: list[np.ndarray]) -> None:
    shares = []
    for weight in (0.5, 4.0):
        easel = Easel([Style(painting, weight=w) for painting, w in zip(paintings(), (1.0, weight), strict=True)], DRAFT, SIZE)
        made = easel.stylise(frames[0])
        of = easel.palette.labels[made.field[..., 1], made.field[..., 0]]
        assert set(np.unique(of)) == {1, 2}
        assert bluish(made.picture)[of == 2].mean() > 0.9 and bluish(made.picture)[of == 1].mean() < 0.1
        shares.append(float((of == 2).mean()))
    assert 0.1 < shares[0] < 0.5 < shares[1] < 0.95, shares


def paintings() -> list:
    from tools.paint_style import painting_of

    return [painting_of(strokes()), painting_of(cool())]


def test_each_painting_stays_where_its_mask_is_white_and_the_rest_is_the_pictures_own(frames: list[np.ndarray]) -> None:
    left, right = np.zeros(SIZE, np.uint8), np.zeros(SIZE, np.uint8)
    left[:, :40], right[:, 50:] = 255, 255
    warm, cold = paintings()
    made = stylise(frames[0], [Style(warm, mask=left), Style(cold, mask=right)], DRAFT)
    assert np.array_equal(made.picture[:, 40:50], frames[0][:, 40:50])
    blue = bluish(made.picture)
    assert blue[:, :38].mean() < 0.05 and blue[:, 52:].mean() > 0.9
    assert not np.array_equal(made.picture[:, :40], frames[0][:, :40])


def test_a_single_painting_with_a_mask_leaves_the_rest_as_it_is(frames: list[np.ndarray]) -> None:
    mask = np.zeros(SIZE, np.uint8)
    mask[20:50, 30:70] = 255
    made = stylise(frames[0], [Style(paintings()[0], mask=mask)], DRAFT)
    assert np.array_equal(made.picture[mask == 0], frames[0][mask == 0])
    assert (made.picture[mask > 0] != frames[0][mask > 0]).mean() > 0.9
    assert np.array_equal(masked(made.painted, frames[0], [mask, None]), made.painted), "one without goes everywhere"


def test_regions_follow_forms_and_shares_their_weights() -> None:
    picture = np.full((48, 64, 3), 40, np.uint8)
    picture[:, 30:] = 200
    chance = np.random.default_rng(1)
    costs = chance.normal(1, 0.3, (2, 48, 64)).astype(np.float32)
    costs[0, :, 30:] += 0.2
    level = levelled(costs, picture)
    assert level[:, :, :28].std(axis=(1, 2)).max() < 0.05 and (level[0] - level[1])[:, 34:].mean() > 0.1
    allowed = np.ones((2, 48, 64), bool)
    taken = (level - prices(level, allowed, [1.0, 1.0])[:, None, None]).argmin(axis=0)
    assert (taken[:, :29] == 0).all() and (taken[:, 31:] == 1).all(), "the border is the form's, near to a half"
    even = chance.normal(1, 0.3, (3, 48, 64)).astype(np.float32)
    shares = np.bincount((even - prices(even, np.ones((3, 48, 64), bool), [1, 2, 5])[:, None, None]).argmin(axis=0).ravel())
    assert np.abs(shares / shares.sum() - [0.125, 0.25, 0.625]).max() < 0.12


def test_where_no_or_one_painting_may_be_nothing_is_weighed() -> None:
    mask = np.zeros(SIZE, np.uint8)
    mask[:, :40] = 255
    allowed = allowed_of([mask, 255 - mask], SIZE)
    easel = Easel(paintings(), DRAFT, SIZE)
    shown = easel.palette.shown(moving(0))
    labels = regions(easel.palette, moving(0), shown, [1, 1], allowed, None)
    assert (labels[:, :40] == 1).all() and (labels[:, 40:] == 2).all()
    assert allowed_of([np.zeros(SIZE, np.uint8)] * 2, SIZE).all()
    assert parted(np.array([1, 2, 3], np.float32), 0) == 1 and parted(np.array([1, 2, 3], np.float32), 1) > 3


def test_in_tiles_a_picture_has_no_seams_and_shows_the_same(frames: list[np.ndarray], alone: Stylised) -> None:
    tiled = stylise(frames[0], [strokes()], DRAFT, tile_px=50)
    tiles = tiles_of(SIZE, 50)
    assert len(tiles) == 4 and tiles[1].left == 48 and tiles[1].outer_left == max(0, 48 - MARGIN_PX)
    step = np.abs(np.diff(tiled.picture.astype(int), axis=1)).sum(axis=(0, 2))
    assert step[44:52].mean() < 1.3 * step.mean(), "no line at the border of two tiles"
    luma, whole = (p.picture.astype(np.float32).mean(axis=2).ravel() for p in (tiled, alone))
    assert np.corrcoef(luma, whole)[0, 1] > 0.6
    assert tiled.error.mean() < 1.4 * alone.error.mean() and sharpness(tiled.picture) > 0.9 * sharpness(alone.picture)


def test_a_preview_shows_the_whole_picture_from_small_to_full_size(frames: list[np.ndarray], alone: Stylised) -> None:
    seen: list[np.ndarray] = []
    heard: list[float] = []
    made = stylise(frames[0], [strokes()], DRAFT, preview=seen.append, progress=heard.append)
    assert len(seen) >= 1 and all(p.shape == frames[0].shape for p in seen)
    assert heard == sorted(heard) and heard[-1] > 0.95
    assert made.error.mean() < 1.15 * alone.error.mean()
    from tools.patch_engine import Guide
    from tools.style_patches_stages import Task

    plane = np.zeros((4000, 6000), np.float32)
    task = Task(np.zeros((600, 600, 3), np.uint8), (Guide(np.zeros((600, 600), np.float32), plane),), None, None, None)
    assert halvings_for(task, 5, 1536, False) == 2 and halvings_for(task, 5, 8192, False) == 0


def test_a_painting_too_small_for_coarser_stages_is_tiled_all_the_same() -> None:
    made = stylise(moving(0), [strokes(32, 32)], DRAFT, tile_px=40)
    assert made.picture.shape == (*SIZE, 3) and (made.field >= 0).all()


def test_frames_of_a_film_follow_each_other(frames: list[np.ndarray], followed: list[Stylised]) -> None:
    apart = [stylise(f, [strokes()], DRAFT) for f in frames]
    both = [e_warp([m.picture for m in made], lambda i, j: flow(frames[i], frames[j])) for made in (followed, apart)]
    assert both[0] < 0.5 * both[1], both
    assert sharpness(followed[-1].picture) > 0.8 * sharpness(followed[0].picture), "nothing is blurred on the way"
    looks = [np.mean([style_distance(m.picture, strokes()) for m in made]) for made in (followed, apart)]
    assert looks[0] < 1.15 * looks[1], looks


def test_in_a_film_a_place_keeps_its_painting(frames: list[np.ndarray]) -> None:
    easel = Easel(paintings(), DRAFT, SIZE)
    first = easel.stylise(frames[0])
    of = [easel.palette.labels[first.field[..., 1], first.field[..., 0]]]
    second = easel.stylise(frames[1], earlier_of(frames[1], [Before(frames[0], first.painted, first.field, 1)]))
    of.append(easel.palette.labels[second.field[..., 1], second.field[..., 0]])
    ball = np.s_[24:48, 36:60]  # it stands
    assert (of[0] == of[1])[ball].mean() > 0.95
    assert np.abs((of[0] == 1).mean() - (of[1] == 1).mean()) < 0.1


def test_what_the_last_frame_hid_comes_from_an_older_one() -> None:
    still = moving(0)
    before, hidden = still.copy(), still.copy()
    hidden[20:50, 30:60] = np.random.default_rng(0).integers(0, 255, (30, 30, 3))
    red, blue = np.zeros_like(still), np.zeros_like(still)
    red[..., 0], blue[..., 2] = 200, 200
    field = np.zeros((*SIZE, 2), np.int32)
    near, far = Before(hidden, red, field, 1), Before(before, blue, field + 3, 8)
    counted = certainties(still, [far, near])
    assert [b.back for b, _, _ in counted] == [1, 8]
    assert (counted[0][2] + counted[1][2]).max() <= 1 + 1e-6
    seen = earlier_of(still, [near, far])
    assert seen is not None and seen.field is not None
    inside, outside = np.s_[26:44, 36:54], np.s_[4:14, 4:90]
    # Where by chance the flow finds its way through the noise and back, the nearer frame counts.
    assert (seen.picture[inside][..., 2] == 200).mean() > 0.6 and (seen.field[inside] == 3).mean() > 0.6
    assert (seen.picture[outside][..., 0] == 200).mean() > 0.9
    assert earlier_of(still, []) is None


def test_a_black_frame_stays_black_and_a_dark_one_dark() -> None:
    black = np.zeros((48, 64, 3), np.uint8)
    assert np.array_equal(stylise(black, [strokes()], DRAFT).picture, black)
    assert seen_share(black) == 0 and seen_share(moving(0)) == 1
    easel = Easel([strokes()], DRAFT, SIZE)
    dim = (moving(0).astype(float) * 0.2 + 20).astype(np.uint8)
    assert easel.palette.curve(dim)[[20, 70]].tolist() == pytest.approx([0.08, 0.4], abs=0.2)
    assert easel.palette.curve(moving(0))[255] > 0.95


def test_colour_and_light_are_kept_where_that_is_asked(frames: list[np.ndarray], alone: Stylised) -> None:
    made = stylise(frames[0], [strokes()], DRAFT, keep=Keep("colour"))
    grey = np.ptp(made.picture.astype(int), axis=2).mean(), np.ptp(alone.picture.astype(int), axis=2).mean()
    assert grey[0] < 0.6 * grey[1], "the film is grey"
    assert np.array_equal(made.painted, alone.painted), "the next frame starts from the painting's own"


def test_what_cannot_be_is_said_at_once(frames: list[np.ndarray]) -> None:
    with pytest.raises(ShowError) as e:
        Easel([Style(paintings()[0], weight=0.0), Style(paintings()[1], weight=-1)], DRAFT, SIZE)
    assert len(e.value.problems) == 2
    with pytest.raises(ShowError, match="1 to 32"):
        Easel([], DRAFT, SIZE)
    easel = Easel([strokes()], DRAFT, SIZE)
    with pytest.raises(ShowError) as e:
        easel.stylise(frames[0][:40], masks=[np.zeros((9, 9), np.uint8)])
    assert len(e.value.problems) == 2
    with pytest.raises(ShowError, match="too small"):
        stylise(frames[0][:9, :9], [strokes()], DRAFT)
