"""Scores and walks: what is written is what is read, splines are scipy's, and damage is a sentence."""

from __future__ import annotations

import pickle
import random
import string
import tomllib
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from player.show.problem import ShowError
from player.show.score import SHOT_KEYS, Score, ScoreShot, format_score, read_score, write_score
from player.show.walk import Walk, natural_second_derivatives

RNG = np.random.default_rng(1967)
WALK = Walk("one", RNG.standard_normal((3, 1, 8)).astype(np.float32), np.array([0, 10, 23]), ("one.0", "one.10", "one.23"))
SCORE = Score((ScoreShot(1, "one"), ScoreShot(2, source="film", look="night")), {"one": WALK}, "ab" * 32)
TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
SCALAR = st.one_of(st.booleans(), st.integers(-2**63, 2**63 - 1), st.floats(allow_nan=False), TEXT)
VALUE: st.SearchStrategy[Any] = st.recursive(
    SCALAR, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXT, inner, max_size=3)), max_leaves=6)
KNOWN = (*SHOT_KEYS, "shot", "generator_sha256")
EXTRA = st.dictionaries(TEXT.filter(lambda k: k not in KNOWN), VALUE, max_size=3)

WEIGHT = st.floats(0, 1)
POINTS = st.dictionaries(st.integers(0, 10**6), WEIGHT, min_size=1, max_size=4)
MIX = st.one_of(WEIGHT, POINTS.map(lambda points: tuple(sorted(points.items()))))


@st.composite
def scores(draw: st.DrawFn) -> Score:
    name = st.text(string.ascii_letters + string.digits + " _-.", min_size=1, max_size=8)
    walks: dict[str, Walk] = {}
    for walk in draw(st.lists(name, max_size=3, unique_by=str.lower)):
        count, layers = draw(st.integers(1, 4)), draw(st.sampled_from((1, 6)))
        frames = np.array(sorted(draw(st.lists(st.integers(0, 10**6), min_size=count, max_size=count, unique=True))))
        keys = RNG.standard_normal((count, layers, 4)).astype(np.float32)
        walks[walk] = Walk(walk, keys, frames, tuple(f"{walk}.{f}" for f in frames))
    shots = []
    for number in range(1, draw(st.integers(0, 4)) + 1):
        source = draw(st.sampled_from(("generator", "film", "clip", "black") if walks else ("film", "clip", "black")))
        walk = draw(st.sampled_from(sorted(walks))) if source == "generator" else ""
        pin = tuple(draw(st.lists(TEXT, max_size=2)))
        under = draw(st.sampled_from(("", *sorted({"film", "clip", "black"} - {source}))))
        mix = draw(MIX) if under else 1.0
        shots.append(ScoreShot(number, walk, source, draw(TEXT), draw(TEXT), draw(st.sampled_from(("jump", "glide"))),
                               draw(st.booleans()), pin, (), draw(EXTRA), under, mix))
    return Score(tuple(shots), walks, draw(TEXT), draw(EXTRA))


def same(a: Score, b: Score) -> bool:
    """Equal in everything, the arrays bit by bit."""
    if (a.shots, a.generator_sha256, a.extra, set(a.walks)) != (b.shots, b.generator_sha256, b.extra, set(b.walks)):
        return False
    pairs = [(walk, b.walks[name]) for name, walk in a.walks.items()]
    return all(np.array_equal(x.keys, y.keys) and np.array_equal(x.frames, y.frames) and x.names == y.names for x, y in pairs)


@given(scores())
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_what_is_written_is_what_is_read_with_keys_of_later_versions(tmp_path: Path, score: Score) -> None:
    write_score(score, tmp_path / "score.toml")
    assert same(read_score(tmp_path / "score.toml"), score)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["score.npz", "score.toml"]


def test_walks_that_no_shot_plays_are_kept(tmp_path: Path) -> None:
    write_score(Score((ScoreShot(1, source="film"),), {"one": WALK}), tmp_path / "s.toml")
    assert list(read_score(tmp_path / "s.toml").walks) == ["one"]


def problems(tmp_path: Path, text: str | None = None, score: Score = SCORE) -> str:
    path = tmp_path / "score.toml"
    if not path.with_suffix(".npz").exists():
        write_score(score, path)
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(ShowError) as e:
        read_score(path)
    return str(e.value)


@pytest.mark.parametrize(("text", "says"), [
    ("[[shot]]\nwalk = 'one'", "has no whole-numbered 'number'"),
    ("[[shot]]\nnumber = true", "has no whole-numbered 'number'"),
    ("[[shot]]\nnumber = 1\nwalk = 'oen'", "did you mean 'one'"),
    ("[[shot]]\nnumber = 1\nwalk = 1", "walk: is 1; allowed: a text"),
    ("[[shot]]\nnumber = 1\nwalk = 'one'\n[[shot]]\nnumber = 1\nwalk = 'one'", "shot 1: stands twice"),
    ("[[shot]]\nnumber = 1\nsource = 'generatr'", "did you mean 'generator'"),
    ("[[shot]]\nnumber = 1\nwalk = 'one'\nentry = 'slide'", "entry: is 'slide'; allowed: jump, glide"),
    ("[[shot]]\nnumber = 1\nwalk = 'one'\nlock = 1", "lock: is 1; allowed: true or false"),
    ("[[shot]]\nnumber = 1\nwalk = 'one'\npin = ['a', 1]", "a list of key names"),
    ("shot = 3", "[[shot]] tables"),
    ("generator_sha256 = 7", "generator_sha256: is 7"),
    ("[[shot", "is not TOML"),
])
def test_an_unsound_score_says_what_is_wrong(tmp_path: Path, text: str, says: str) -> None:
    assert says in problems(tmp_path, text)


def test_every_problem_is_said_at_once(tmp_path: Path) -> None:
    said = problems(tmp_path, "generator_sha256 = 7\n[[shot]]\nnumber = 1\nwalk = 'x'\n"
                              "[[shot]]\nnumber = 2\nsource = 'y'\n[[shot]]")
    assert all(part in said for part in ("generator_sha256", "shot 1: walk", "source: is 'y'", "[[shot]] 3"))


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ShowError, match="cannot be read"):
        read_score(tmp_path / "none.toml")
    (tmp_path / "score.toml").write_text(format_score(SCORE), encoding="utf-8")
    with pytest.raises(ShowError, match=r"score\.npz: is missing"):
        read_score(tmp_path / "score.toml")


@pytest.mark.parametrize(("arrays", "says"), [
    ({"one/keys": np.zeros((2, 1, 4))}, "has no array 'one/frames'"),
    ({"one/keys": np.zeros((2, 4)), "one/frames": np.arange(2)}, "not [K, num_ws or 1, w_dim]"),
    ({"one/keys": np.zeros((2, 1, 4)), "one/frames": np.arange(3)}, "2 keys but (3,) frames"),
    ({"one/keys": np.zeros((2, 1, 4)), "one/frames": np.array([5, 5])}, "its frames do not increase"),
    ({"one/keys": np.full((2, 1, 4), np.nan), "one/frames": np.arange(2)}, "a key is not finite"),
    ({"one/keys": np.zeros((2, 1, 4)), "one/frames": np.zeros(2)}, "are not float, integer and text"),
    ({"one/keys": np.zeros((2, 1, 4), np.int64), "one/frames": np.arange(2)}, "are not float, integer and text"),
    ({"stray": np.zeros(3)}, "has no array"),
])
def test_unsound_arrays_say_what_is_wrong(tmp_path: Path, arrays: dict[str, Any], says: str) -> None:
    np.savez(tmp_path / "score.npz", **arrays)
    assert says in problems(tmp_path, format_score(SCORE))


def test_a_pickle_in_the_arrays_is_never_run(tmp_path: Path) -> None:
    ran = tmp_path / "ran"

    class Payload:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (ran,))

    hidden: dict[str, Any] = {"one/keys": np.array([Payload()], dtype=object)}
    np.savez(tmp_path / "score.npz", **hidden)
    assert "cannot be read" in problems(tmp_path, format_score(SCORE))
    with zipfile.ZipFile(tmp_path / "score.npz", "w") as z:
        z.writestr("one/keys.npy", pickle.dumps(Payload()))
    assert "score.npz" in problems(tmp_path, format_score(SCORE))
    assert not ran.exists()


def test_arrays_that_unpack_to_more_than_any_score_are_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("player.show.score.MAX_ARRAY_BYTES", 1 << 20)
    with zipfile.ZipFile(tmp_path / "score.npz", "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr("one/keys.npy", bytes((1 << 20) + 1))
    assert (tmp_path / "score.npz").stat().st_size < 10_000
    assert "unpacks to" in problems(tmp_path, format_score(SCORE))


def test_a_header_that_claims_more_than_the_file_holds_is_a_problem(tmp_path: Path) -> None:
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000, 1000, 1000), }"
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    with zipfile.ZipFile(tmp_path / "score.npz", "w") as z:
        z.writestr("one/keys.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    assert "cannot be read" in problems(tmp_path, format_score(SCORE))


def test_damaged_arrays_are_a_problem_or_unharmed_and_never_a_traceback(tmp_path: Path) -> None:
    path = tmp_path / "score.toml"
    write_score(SCORE, path)
    whole = path.with_suffix(".npz").read_bytes()
    rng = random.Random(1967)
    for _ in range(150):
        raw = bytearray(whole[:rng.choice((len(whole), rng.randrange(len(whole))))])
        for _ in range(rng.randrange(8)):
            if raw:
                raw[rng.randrange(len(raw))] = rng.randrange(256)
        path.with_suffix(".npz").write_bytes(raw)
        try:
            read_score(path)
        except ShowError as e:
            assert "score" in str(e)


def test_keys_are_found_by_name() -> None:
    assert SCORE.key_names() == ("one.0", "one.10", "one.23")
    found = SCORE.key("one.10")
    assert found is not None and np.array_equal(found, WALK.keys[1])
    assert SCORE.key("two") is None and SCORE.by_number(3) is None


@pytest.mark.parametrize("count", [2, 3, 4, 5, 17])
def test_the_spline_is_scipys_natural_spline(count: int) -> None:
    interpolate = pytest.importorskip("scipy.interpolate")
    x = np.cumsum(RNG.integers(1, 40, count)).astype(np.int64)
    keys = RNG.standard_normal((count, 2, 5)).astype(np.float32)
    walk = Walk("w", keys, x, tuple(str(i) for i in x))
    theirs = interpolate.CubicSpline(x, keys.astype(np.float64), axis=0, bc_type="natural")
    np.testing.assert_allclose(natural_second_derivatives(x.astype(float), keys.astype(float)), theirs(x, 2), atol=1e-9)
    for frame in np.linspace(x[0], x[-1], 101):
        np.testing.assert_allclose(walk.ws_at(float(frame)), theirs(frame), atol=2e-6, rtol=1e-5)


@given(st.lists(st.integers(-1000, 10**6), min_size=1, max_size=8, unique=True), st.floats(-1e7, 1e7))
@settings(deadline=None)
def test_a_walk_goes_through_its_keys_and_is_held_outside(frames: list[int], frame: float) -> None:
    x = np.array(sorted(frames))
    keys = RNG.standard_normal((len(x), 1, 3)).astype(np.float32)
    walk = Walk("w", keys, x, tuple(map(str, x)))
    for i, at in enumerate(x):
        np.testing.assert_allclose(walk.ws_at(float(at)), keys[i], atol=1e-6)
    if frame <= x[0]:
        assert np.array_equal(walk.ws_at(frame), keys[0])
    elif frame >= x[-1]:
        assert np.array_equal(walk.ws_at(frame), keys[-1])
    assert walk.ws_at(frame).shape == (1, 3) and walk.ws_at(frame).dtype == np.float32
    assert np.array_equal(walk.latent_at(0.0), keys[0]) and np.array_equal(walk.latent_at(1.0), keys[-1])


def test_a_walk_moves_without_a_jerk() -> None:
    x = np.array([0, 12, 30, 40])
    walk = Walk("w", RNG.standard_normal((4, 1, 3)).astype(np.float32), x, ("a", "b", "c", "d"))
    at = [walk.ws_at(f / 100).astype(np.float64) for f in range(0, 4001)]
    speed = np.diff(np.stack(at), axis=0) * 100
    assert np.abs(np.diff(speed, axis=0)).max() < 0.05, "the speed jumps nowhere, not at the keys either"


def test_the_example_in_the_documentation_names_every_key(repo: Path) -> None:
    page = (repo / "docs" / "FORMATS.md").read_text(encoding="utf-8")
    example = tomllib.loads(page[page.index("    generator_sha256"):page.index("Shots that have no row")])
    assert sorted(example["shot"][0]) == sorted(SHOT_KEYS) and sorted(example) == ["generator_sha256", "shot"]


def test_a_broken_walk_hides_neither_another_nor_a_name_that_is_none(tmp_path: Path) -> None:
    arrays: dict[str, Any] = {"one/keys": WALK.keys, "one/frames": WALK.frames,
                              "two/keys": np.full((2, 1, 4), np.nan), "two/frames": np.arange(2)}
    np.savez(tmp_path / "score.npz", **arrays)
    rows = "".join(f"[[shot]]\nnumber = {n}\nwalk = '{walk}'\n" for n, walk in ((1, "one"), (2, "two"), (3, "oen")))
    said = problems(tmp_path, rows).splitlines()
    assert len(said) == 2 and "score.npz: two: walk 'two': a key is not finite" in said[0]
    assert "shot 3: walk: is 'oen'" in said[1] and "did you mean 'one'" in said[1]


def test_an_array_that_is_damaged_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    write_score(replace(SCORE, walks={"one": WALK, "two": replace(WALK, name="two")}), tmp_path / "score.toml")
    with zipfile.ZipFile(tmp_path / "score.npz") as z:
        members = {i.filename: z.read(i) for i in z.infolist()}
    with zipfile.ZipFile(tmp_path / "score.npz", "w") as z:
        for name, data in members.items():
            z.writestr(name, data[:-9] if name == "two/keys.npy" else data)
    said = problems(tmp_path, "[[shot]]\nnumber = 1\nwalk = 'two'\n[[shot]]\nnumber = 2\nwalk = 'tow'").splitlines()
    assert len(said) == 2 and "score.npz: two/keys: cannot be read" in said[0] and "did you mean 'two'" in said[1]


@pytest.mark.parametrize("text", ["[[shot", "shot = 3\ngenerator_sha256 = 7"])
def test_arrays_are_tried_though_the_text_is_unsound(tmp_path: Path, text: str) -> None:
    (tmp_path / "score.npz").write_bytes(b"not a zip")
    said = problems(tmp_path, text)
    assert "score.npz: cannot be read" in said and ("is not TOML" in said or "generator_sha256" in said)


def test_a_write_that_fails_leaves_the_older_score_and_nothing_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_score(SCORE, tmp_path / "score.toml")
    older = {p.name: p.read_bytes() for p in tmp_path.iterdir()}

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space"):
        write_score(replace(SCORE, walks={}), tmp_path / "score.toml")
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == older
