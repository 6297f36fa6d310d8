"""The demo film: what it promises to the cut list, to the ear and to a small network that must tell its shots apart."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest

from player.show.cut_list import problems_of
from player.show.problem import ShowError
from tools import demo_film, film_acts, film_pairs
from tools.film_body import ANKLE_HEIGHT, Foot, Pose, solve, turn, v3
from tools.film_draw import Scene, Stage, encode
from tools.film_gait import ROLL_IN_S, Walker, foot_at, walk
from tools.film_shots import RATE, TAKES, cut_list, events
from tools.film_sound import FRAME_SAMPLES, INSTRUMENTS, SAMPLE_RATE, soundtrack

WALKERS = {
    "walk": film_acts.WALK, "feet": film_acts.FEET, "away": film_acts.AWAY, "turn": film_acts.TURN,
    "his walk": film_pairs.HIS_WALK, "her walk": film_pairs.HER_WALK, "waltz": film_pairs.HIS_CIRCLE,
}


def sole(foot: Foot, z: float) -> np.ndarray:
    """A point of the sole, world; z ahead of the ankle."""
    return np.array(foot.at) + turn(foot.yaw, foot.pitch) @ v3(0.0, -ANKLE_HEIGHT, z)


@pytest.fixture(scope="module")
def stage():
    try:
        made = Stage(64, 48)
    except Exception as error:  # no EGL on this machine: nothing to draw with
        pytest.skip(f"no OpenGL context here: {error}")
    yield made
    made.close()


def test_the_cut_list_covers_the_film_and_keeps_the_promised_shape():
    cuts = cut_list()
    assert problems_of(cuts, "cuts.csv", cuts.frames) == []
    assert 60 * RATE <= cuts.frames <= 90 * RATE
    assert len(cuts.shots) >= 18
    groups = Counter(s.group for s in cuts.shots)
    assert len(groups) >= 9
    assert sum(s.frames < 12 for s in cuts.shots) >= 2
    assert any(s.into == "dissolve" for s in cuts.shots)
    black = [(a, b) for a, b in zip(cuts.shots, cuts.shots[1:], strict=False) if a.out == "fade" and b.into == "fade"]
    assert [(a.out_colour, b.in_colour) for a, b in black] == [("black", "black")]
    returns = [s for i, s in enumerate(cuts.shots) if s.group in {t.group for t in cuts.shots[: max(i - 1, 0)]}]
    assert returns, "no shot returns to an earlier set-up after another one"
    assert all(s.label and s.label.isascii() for s in cuts.shots)


@pytest.mark.parametrize("name", WALKERS)
def test_feet_do_not_slide_while_they_stand(name: str):
    walker: Walker = WALKERS[name]
    for index, step in enumerate(walker.steps[:-2]):
        if step.strike_s < -1.0:
            continue
        following = walker.steps[index + 2]
        other = walker.steps[index + 1]
        lift_s = other.strike_s + walker.overlap * (following.strike_s - other.strike_s)
        heels, balls = [], []
        for t in np.linspace(step.strike_s + 1e-6, lift_s - 1e-6, 40):
            foot = foot_at(walker, step.side, float(t))
            assert min(sole(foot, -0.055)[1], sole(foot, 0.108)[1]) > -1e-6
            if t < step.strike_s + ROLL_IN_S:
                heels.append(sole(foot, -0.055))
            else:
                balls.append(sole(foot, 0.108))
        for fixed in (heels, balls):
            assert np.ptp(np.array(fixed), axis=0).max() < 1e-6


@pytest.mark.parametrize("name", WALKERS)
def test_feet_move_without_jumps_and_legs_reach_them(name: str):
    walker: Walker = WALKERS[name]
    last = {0: None, 1: None}
    for t in np.arange(0.0, 4.0, 1 / 96):
        body = solve(walk(walker, float(t), Pose()))
        for side, letter in enumerate("lr"):
            foot = body.pose.feet[side]
            assert np.linalg.norm(body.points["ankle_" + letter] - np.array(foot.at)) < 0.012
            if last[side] is not None:
                assert np.linalg.norm(np.array(foot.at) - last[side]) < 0.06  # under 6 m/s
            last[side] = np.array(foot.at)


def test_steps_are_heard_on_the_frame_of_the_heel_strike():
    cuts = cut_list()
    for shot, walker in ((cuts.shots[1], film_acts.WALK), (cuts.shots[2], film_acts.FEET)):
        heard = [f - shot.start for f, kind in events() if kind == "step" and shot.start <= f < shot.end]
        assert len(heard) >= 5
        for frame in heard:
            side = next(s.side for s in walker.steps if abs(s.strike_s * RATE - frame) < 1e-6)
            before, at = (foot_at(walker, side, (frame + d) / RATE) for d in (-0.5, 0.0))
            assert sole(before, -0.055)[1] > 0.0015
            assert abs(sole(at, -0.055)[1]) < 1e-6


def test_hands_touch_on_the_frame_of_the_clap():
    def gap(t: float) -> float:
        body = solve(film_acts.claps(t))
        return float(np.linalg.norm(body.points["wrist_l"] - body.points["wrist_r"]))

    for at in film_acts.CLAPS_S:
        assert gap(at) < min(gap(at - 2 / RATE), gap(at + 2 / RATE)) - 0.03
        assert gap(at) < 0.06


def test_jumps_leave_and_meet_the_floor_on_their_frames():
    def height(frame: float) -> float:
        foot = film_acts.jumps(frame / RATE).feet[0]
        return min(float(sole(foot, -0.055)[1]), float(sole(foot, 0.108)[1]))

    for off in film_acts.TAKEOFFS:
        land = off + film_acts.FLIGHT
        assert abs(height(off)) < 1e-6 and abs(height(land)) < 1e-6
        assert height((off + land) / 2) > 0.35


def test_a_dissolve_lays_the_old_shot_going_on_under_the_new_one_with_the_exact_weights():
    cuts = cut_list()
    shot = next(s for s in cuts.shots if s.into == "dissolve")
    old = cuts.shots[shot.number - 2]
    for k in (0, shot.in_frames // 2, shot.in_frames - 1):
        layers, constant = demo_film.layers_at(cuts, shot.start + k)
        new_weight = (k + 1) / (shot.in_frames + 1)
        assert [layer.weight for layer in layers] == pytest.approx([new_weight, 1 - new_weight])
        assert constant == 0
        assert layers[1].scene == TAKES[old.number - 1].scene((old.frames + k) / RATE)
    layers, _ = demo_film.layers_at(cuts, shot.start + shot.in_frames)
    assert len(layers) == 1 and layers[0].weight == 1


def test_a_fade_to_black_and_up_again_has_the_exact_weights():
    cuts = cut_list()
    out = next(s for s in cuts.shots[:-1] if s.out == "fade")
    for k in range(out.out_frames):
        layers, constant = demo_film.layers_at(cuts, out.end - out.out_frames + k)
        assert layers[0].weight == pytest.approx(1 - (k + 1) / (out.out_frames + 1)) and constant == 0
    layers, _ = demo_film.layers_at(cuts, out.end)
    assert layers[0].weight == pytest.approx(1 / (cuts.shots[out.number].in_frames + 1))


def test_every_sound_begins_within_two_milliseconds_of_its_frame():
    for kind, (make, _, _) in INSTRUMENTS.items():
        for index in range(3):
            sound = np.abs(make(index))
            onset = int(np.argmax(sound > 0.05 * sound.max()))
            assert onset <= 0.002 * SAMPLE_RATE, kind
    assert {kind for _, kind in events()} <= set(INSTRUMENTS)


def test_the_soundtrack_has_the_films_exact_length_and_headroom_and_its_claps_are_where_they_are_seen():
    frames = 120
    planned = [(24, "clap"), (61, "step"), (90, "land")]
    mix = soundtrack(frames, planned)
    assert mix.shape == (frames * FRAME_SAMPLES, 2) and mix.dtype == np.float32
    assert np.abs(mix).max() < 10 ** (-1 / 20)
    assert np.array_equal(mix, soundtrack(frames, planned))
    level = np.abs(mix).max(axis=1)
    for frame, _ in planned:
        at = frame * FRAME_SAMPLES
        quiet = level[at - 4800 : at].max()
        onset = at - 480 + int(np.argmax(level[at - 480 : at + 4800] > 4 * quiet))
        assert abs(onset - at) <= 0.002 * SAMPLE_RATE


def test_a_drawn_frame_shows_a_dark_man_in_a_white_room_and_is_the_same_again(stage: Stage):
    scene = Scene((Pose(),), (1.0, 1.3, 4.4), (0.0, 0.92, 0.0), 28.0)
    picture = encode(stage.draw(scene))
    assert picture.shape == (48, 64) and picture.dtype == np.uint8
    assert picture[2:6, 2:6].mean() > 190
    assert picture[20:26, 30:34].min() < 60
    assert 200 < np.count_nonzero(picture < 150) + 100 < 900
    assert np.array_equal(picture, encode(stage.draw(scene)))
    empty = encode(stage.draw(Scene((), scene.eye, scene.target, scene.fov)))
    assert empty.min() > 150


def test_each_set_up_can_be_told_from_the_others_at_a_glance(stage: Stage):
    cuts = cut_list()
    first: dict[str, np.ndarray] = {}
    for shot in cuts.shots:
        scene = TAKES[shot.number - 1].scene(0.6 * shot.frames / RATE)
        small = stage.draw(scene).reshape(24, 2, 32, 2).mean(axis=(1, 3))
        first.setdefault(shot.group, small)
    names = list(first)
    for i, a in enumerate(names):
        for b in names[i + 1 :]:
            assert np.abs(first[a] - first[b]).mean() > 0.02, (a, b)


def test_frames_are_kept_and_a_second_run_draws_nothing(tmp_path, stage: Stage, monkeypatch):
    paths = demo_film.draw_frames(tmp_path, (32, 24), [0, 100])
    stamps = [p.stat().st_mtime_ns for p in paths]
    monkeypatch.setattr(demo_film, "Stage", None)
    assert demo_film.draw_frames(tmp_path, (32, 24), [0, 100]) == paths
    assert [p.stat().st_mtime_ns for p in paths] == stamps
    assert not list(tmp_path.glob("*.tmp"))


def test_the_written_film_has_exact_timestamps_a_key_frame_every_twelve_and_the_same_pictures_again(tmp_path):
    av = pytest.importorskip("av")
    texture = np.random.default_rng(1).integers(0, 40, (64, 96))
    shown = [(np.roll(texture, i, axis=1) + 6 * i).astype(np.uint8) for i in range(30)]
    decoded = []
    for name in ("a.mp4", "b.mp4"):
        assert demo_film.write_film(tmp_path / name, iter(shown), (96, 64)) == 30
        with av.open(str(tmp_path / name)) as film:
            stream = film.streams.video[0]
            frames = list(film.decode(stream))
            assert stream.average_rate == RATE and stream.codec_context.pix_fmt == "yuv420p"
            assert [f.pts * f.time_base * RATE for f in frames] == list(range(30))
            assert [i for i, f in enumerate(frames) if f.key_frame] == [0, 12, 24]
            decoded.append(np.stack([f.to_ndarray(format="rgb24")[..., 0] for f in frames]))
    assert np.array_equal(decoded[0], decoded[1])
    assert np.abs(decoded[0].mean(axis=(1, 2)) - [picture.mean() for picture in shown]).max() < 2


def test_a_wrong_size_or_shot_number_is_one_sentence_and_exit_code_two(tmp_path, capsys):
    for wrong in (["--size", "480"], ["--size", "481x360"], ["--shots", "99"], ["--shots", "one"]):
        assert demo_film.main(["-o", str(tmp_path), *wrong]) == 2
        assert "allowed" in capsys.readouterr().err
    with pytest.raises(ShowError):
        demo_film.parse_size("0x0")


def test_events_are_ordered_inside_the_film_and_plain_json():
    found = events()
    assert found == sorted(found) and all(0 <= f < cut_list().frames for f, _ in found)
    assert json.loads(json.dumps([{"frame": f, "kind": k} for f, k in found]))[0] == {"frame": found[0][0], "kind": found[0][1]}
