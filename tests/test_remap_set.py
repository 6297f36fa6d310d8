"""Walks chosen among a curated set: labels first, then a path that costs least, or one use each; latents read or projected."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from PIL import Image  # noqa: E402

from player.show.cut_list import Shot  # noqa: E402
from player.show.problem import ShowError  # noqa: E402
from player.show.score import read_score, write_score  # noqa: E402
from player.show.walk import Walk  # noqa: E402
from tests.test_remap import CUTS, job, known_film  # noqa: E402
from tools import remap as deed  # noqa: E402
from tools.remap_fit import render  # noqa: E402
from tools.remap_set import (  # noqa: E402
    assigned,
    candidates,
    folder_labels,
    keys_of,
    label_lines,
    path_costs,
    picture_name,
    pinned_at,
    set_features,
)
from tools.remap_set_read import pictures_in  # noqa: E402
from tools.remap_viterbi import NEVER  # noqa: E402

NAMED = replace(CUTS, shots=tuple(replace(s, label=n, group=g) for s, n, g in
                                  zip(CUTS.shots, ("A walk!", "eats", ""), ("room", "", "room"), strict=True)))


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    """The film of test_remap, and beside it `set`: a picture of every second frame in a folder a shot, and their latents."""
    torch.set_num_threads(1)
    folder, codes = known_film(tmp_path_factory.mktemp("known"))
    generator = deed.source_at(folder / "model").generator
    names = []
    for shot in CUTS.shots:
        place = folder / "set" / f"shot {shot.number}"
        place.mkdir(parents=True)
        for frame in range(shot.start + shot.in_frames, shot.end, 2):
            picture = render(generator, torch.from_numpy(codes[frame : frame + 1]))[0, 0, 2:14].numpy() * 127.5 + 127.5
            Image.fromarray(np.round(picture).astype(np.uint8)).save(place / f"p{frame:02d}.png")
            names.append((f"shot {shot.number}/p{frame:02d}", frame))
    np.savez(folder / "latents.npz", w=codes[[f for _, f in names]], names=np.array([n for n, _ in names]))
    return folder, codes


def test_a_shot_takes_the_pictures_of_its_label_or_group_and_others_what_is_left() -> None:
    labels = folder_labels(["a-walk/1.png", "room/2.png", "sub/Room/3.png", "eats/4.png", "5.png", "sea/6.png"])
    assert labels == ("a-walk", "room", "sub/Room", "eats", "", "sea")
    assert [candidates(s, NAMED, labels).tolist() for s in NAMED.shots] == [[0, 1, 2], [3], [1, 2]]
    assert candidates(Shot(4, 24, 30), NAMED, labels).tolist() == [4, 5]
    assert candidates(NAMED.shots[1], NAMED, ["room", "3"]).tolist() == [0, 1], "nothing is left: then all"
    deep = folder_labels(["eats/close/1.png", "sea/2.png", "sea/a walk/3.png"])
    assert [candidates(s, NAMED, deep).tolist() for s in NAMED.shots] == [[2], [0], [1]], "every folder above is a label"
    told = label_lines(NAMED, labels + ("eat",))
    assert len(told) == 2 and "'eat'" in told[0] and "did you mean 'eats'" in told[0] and "'sea'" in told[1]


def test_pins_and_bans_name_pictures() -> None:
    names = ["faces/a", "faces/b"]
    assert picture_name("faces/a.f0120") == picture_name("faces/a@120") == picture_name("faces/a") == "faces/a"
    assert pinned_at(["faces/a.f0120", "faces/b@7", "s03.f0001"], names) == {120: 0, 7: 1}
    frames = np.arange(5, 9)
    costs = path_costs(np.zeros((4, 3)), np.array([0, 1]), {1}, {7: 2}, frames)
    assert np.all(costs[[0, 1, 3], 0] == 0) and np.all(costs[[0, 1, 3], 1:] == NEVER)
    assert costs[2].argmin() == 2 and costs[2, 0] > NEVER


def test_a_picture_held_long_stands_still_and_a_short_one_is_passed_through() -> None:
    frames = np.arange(100, 120)
    path = np.array([0] * 12 + [1] * 3 + [2] * 5)
    assert keys_of(path, frames) == [(101, 0), (104, 0), (107, 0), (110, 0), (113, 1), (117, 2)]
    held = [(f, k) for f, k in keys_of(np.repeat([0, 1], 24), np.arange(48))]
    walk = Walk("w", np.array([[[k]] for _, k in held], np.float32), np.array([f for f, _ in held]), ("k",) * len(held))
    values = np.array([walk.ws_at(f)[0, 0] for f in range(48)])
    assert values.min() > -0.15 and values.max() < 1.15 and abs(values[12]) < 0.02, "the spline does not swing"
    assert (119, 2) in keys_of(path, frames, [119, 500])


def test_a_set_too_small_still_gives_each_picture_once() -> None:
    frames = [np.arange(0, 30), np.arange(30, 36)]
    costs = [np.random.default_rng(i).random((len(f), 4)) for i, f in enumerate(frames)]
    keys = assigned(costs, frames, 4, [{}, {33: 2}])
    used = [p for k in keys for _, p in k]
    assert len(used) == len(set(used)) <= 4 and keys[0] and keys[1]
    none = [np.full((len(f), 1), NEVER) if i else np.zeros((len(f), 1)) for i, f in enumerate(frames)]
    assert assigned(none, frames, 1, [{}, {}])[1] == []


def test_features_do_not_mind_exposure_and_tell_pictures_apart() -> None:
    images = (np.random.default_rng(0).random((6, 1, 32, 32)) * 200).astype(np.uint8)
    found, lit = set_features(images, [0, 4, 32, 24]), set_features(images // 2 + 30, [0, 4, 32, 24])
    apart = np.linalg.norm(found[:, None] - lit[None], axis=2)
    assert apart.argmin(axis=1).tolist() == list(range(6))


def test_a_film_is_played_by_the_pictures_that_were_taken_from_it(known: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    folder, codes = known
    remap = job(folder, tmp_path / "score.toml", from_set=folder / "set", latents=folder / "latents.npz")
    fitted, finished = deed.run(remap, quiet=True)
    assert finished and all(f.error < 0.06 for f in fitted.values()), fitted
    score = read_score(tmp_path / "score.toml")
    for shot in CUTS.shots:
        walk = score.walks[f"s{shot.number:02d}"]
        for name, key, frame in zip(walk.names, walk.keys, walk.frames, strict=True):
            picture = int(picture_name(name)[-2:])
            assert name.startswith(f"shot {shot.number}/p") and name.endswith(f".f{frame:04d}")
            assert np.allclose(key[0], codes[picture], atol=1e-6), "the very latent of the picture"
    assert not (tmp_path / "score.work" / "projected.npz").exists()
    # a person bans one picture and pins another
    ban, pin = picture_name(score.walks["s01"].names[0]), "shot 1/p06@2"
    shots = tuple(replace(s, ban=(ban,), pin=(pin,)) if s.number == 1 else s for s in score.shots)
    write_score(replace(score, shots=shots), tmp_path / "score.toml")
    for _ in range(2):
        deed.run(remap, quiet=True)
        after = read_score(tmp_path / "score.toml")
        names = after.walks["s01"].names
        assert ban not in map(picture_name, names) and "shot 1/p06.f0002" in names
        assert after.shots[0].ban == (ban,) and after.shots[0].pin == (pin,)


def test_what_has_no_latent_is_projected_once(known: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    folder, codes = known
    place = tmp_path / "set"
    place.mkdir()
    for frame in (2, 9, 19):
        source = next((folder / "set").rglob(f"p{frame:02d}.png"))
        (place / source.name).write_bytes(source.read_bytes())
    np.savez(place / "latents.npz", w=codes[[2]], names=np.array(["p02"]))
    remap = job(folder, tmp_path / "score.toml", from_set=place, set_steps=30, assign=True)
    deed.run(remap, quiet=True)
    kept = tmp_path / "score.work" / "projected.npz"
    with np.load(kept) as data:
        assert data["w"].shape == (2, 1, 8)
    before = kept.stat().st_mtime_ns
    deed.run(remap, quiet=True)
    assert kept.stat().st_mtime_ns == before
    names = [n for w in read_score(tmp_path / "score.toml").walks.values() for n in w.names]
    assert sorted(map(picture_name, names)) == ["p02", "p09", "p19"], "each once"


def test_a_set_that_will_not_do_costs_one_sentence(
    known: tuple[Path, np.ndarray], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, _ = known
    argv = ["--film", str(folder / "film"), "--cuts", str(folder / "cuts.csv"), "--model", str(folder / "model"),
            "-o", str(tmp_path / "s.toml")]  # fmt: skip
    (tmp_path / "empty").mkdir()
    labels = tmp_path / "labels.csv"
    labels.write_text("name,label\nnobody,here\n")
    for more, told in (
        (["--from-set", str(tmp_path / "none")], "is no folder"),
        (["--from-set", str(tmp_path / "empty")], "holds no pictures"),
        (["--from-set", str(folder / "set"), "--labels", str(labels)], "labels none of the pictures"),
        (["--assign"], "--from-set DIR beside it"),
    ):
        assert deed.main([*argv, *more]) == 2
        printed = capsys.readouterr().err
        assert told in printed and printed.count("\n") == 1, printed
        assert not (tmp_path / "s.toml").exists()
    remap = job(folder, tmp_path / "s.toml", from_set=folder / "set", latents=folder / "latents.npz")
    deed.run(remap, quiet=True)
    score = read_score(tmp_path / "s.toml")
    shots = tuple(replace(s, pin=("shot 1/p2@3",)) if s.number == 1 else s for s in score.shots)
    write_score(replace(score, shots=shots), tmp_path / "s.toml")
    with pytest.raises(ShowError, match="did you mean 'shot 1/p"):
        deed.run(remap, quiet=True)


def test_the_sheet_of_a_tool_is_no_picture_of_the_set(tmp_path: Path) -> None:
    for folder, record in (("s", {"tool": "cineml gan sample", "settings": {}, "pictures": ["seed0000"]}),
                           ("p", {"results": {}, "versions": {}}), ("mine", {"tool": "another"})):  # fmt: skip
        (tmp_path / folder).mkdir()
        for name in ("seed0000.png", "sheet.png"):
            Image.new("L", (16, 12)).save(tmp_path / folder / name)
        (tmp_path / folder / ("project.json" if folder == "p" else "sample.json")).write_text(json.dumps(record))
    assert pictures_in(tmp_path) == ["mine/seed0000.png", "mine/sheet.png", "p/seed0000.png", "s/seed0000.png"]


def test_each_picture_once_counts_what_other_shots_play(
    known: tuple[Path, np.ndarray], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, _ = known
    place = tmp_path / "set"
    place.mkdir()
    for frame in (2, 9, 19, 21):
        source = next((folder / "set").rglob(f"p{frame:02d}.png"))
        (place / f"shot {frame}.png").write_bytes(source.read_bytes())
    remap = job(folder, tmp_path / "score.toml", from_set=place, set_steps=2, assign=True)
    deed.run(remap, quiet=True)
    score = read_score(tmp_path / "score.toml")
    write_score(replace(score, shots=(replace(score.shots[0], lock=True), *score.shots[1:])), tmp_path / "score.toml")
    for shots in ((2,), (3,), ()):
        deed.run(replace(remap, shots=shots), quiet=True)
        played = read_score(tmp_path / "score.toml")
        names = [picture_name(n) for w in played.walks.values() for n in w.names]
        assert len(names) == len(set(names)) and all(len(w.names) for w in played.walks.values())
    for path in list(place.iterdir()):  # no more pictures than the locked shot plays
        if path.stem not in {picture_name(n) for n in played.walks["s01"].names}:
            path.unlink()
    with pytest.raises(ShowError, match="leaves no picture for shots 2, 3"):
        deed.run(remap, quiet=True)


def test_damaged_projections_are_made_again(known: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    folder, _ = known
    place = tmp_path / "set"
    place.mkdir()
    source = next((folder / "set").rglob("p02.png"))
    (place / "a.png").write_bytes(source.read_bytes())
    remap = job(folder, tmp_path / "score.toml", from_set=place, set_steps=2, seed=4294967295)
    deed.run(remap, quiet=True)
    kept = tmp_path / "score.work" / "projected.npz"
    whole = kept.read_bytes()
    for data in (b"", whole[: len(whole) // 2]):
        kept.write_bytes(data)
        deed.run(remap, quiet=True)
        assert len(kept.read_bytes()) == len(whole)
