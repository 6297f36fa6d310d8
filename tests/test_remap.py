"""Remap on a tiny generator: a film rendered from known latents is found again, shot by shot, without mixing shots."""

from __future__ import annotations

import shutil
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from PIL import Image  # noqa: E402

from models.checkpoint import save_checkpoint  # noqa: E402
from models.network_config import GeneratorConfig  # noqa: E402
from models.stylegan2 import Generator  # noqa: E402
from player.show.cut_list import CutList, Shot, write_csv  # noqa: E402
from player.show.problem import ShowError  # noqa: E402
from player.show.score import read_score, write_score  # noqa: E402
from player.show.walk import Walk  # noqa: E402
from tests.film_footage import write_film  # noqa: E402
from tools import remap as deed  # noqa: E402
from tools.remap_fit import carried_on, key_frames, spline_basis  # noqa: E402
from tools.remap_target import encoded, linear, target_of, walk_frames  # noqa: E402

CONFIG = GeneratorConfig(
    resolution=16, channels=1, z_dim=8, w_dim=8, mapping_layers=2, channel_base=256, channel_max=16
)
CUTS = CutList("known", Fraction(24), 24, (Shot(1, 0, 7), Shot(2, 7, 12), Shot(3, 12, 24, "dissolve", 3)))
GEOMETRY = {"film": [16, 12], "crop": [0, 0, 16, 12], "inner": [0, 2, 16, 12]}


def known_film(folder: Path) -> tuple[Path, np.ndarray]:
    """A checkpoint, a cut list and a folder of frames rendered from a walk a shot. Returns (folder, codes [24, 8])."""
    torch.manual_seed(3)
    generator = Generator(CONFIG).eval().requires_grad_(False)
    with torch.no_grad():
        for block in generator.synthesis.blocks():
            block.torgb.weight.mul_(0.5)
        w = generator.mapping.w(torch.randn(6, 8))
        generator.w_avg.copy_(generator.mapping.w(torch.randn(500, 8)).mean(dim=0))
    codes = np.zeros((24, 8), np.float32)
    pictures = np.zeros((24, 16, 16), np.float32)
    light = np.zeros_like(pictures)
    for shot in CUTS.shots:
        frames = walk_frames(CUTS, shot)
        a, b = w[2 * shot.number - 2].numpy(), w[2 * shot.number - 1].numpy()
        for i, frame in enumerate(frames):
            t = i / len(frames)
            code = a + (b - a) * 0.6 * t
            with torch.no_grad():
                ws = torch.from_numpy(code)[None, None].expand(1, generator.num_ws, -1)
                picture = generator.synthesis(ws)[0, 0].clamp(-1, 1).numpy() * 0.5 + 0.5
            mix = CUTS.mix_at(int(frame))
            weight = mix.weight if mix.shot.number == shot.number else 1 - mix.weight
            light[frame] += weight * linear(picture)
            if mix.shot.number == shot.number:
                codes[frame] = code
    film = folder / "film"
    film.mkdir(parents=True)
    for frame, picture in enumerate(encoded(light)):
        Image.fromarray(np.round(picture[2:14] * 255).astype(np.uint8)).save(film / f"{frame:04d}.png")
    write_csv(CUTS, folder / "cuts.csv")
    save_checkpoint(folder / "model", generator, geometry=GEOMETRY)
    return folder, codes


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    torch.set_num_threads(1)
    return known_film(tmp_path_factory.mktemp("known"))


def job(folder: Path, output: Path, **options: object) -> deed.Remap:
    base = deed.Remap(folder / "film", folder / "cuts.csv", folder / "model", output, steps=4, start="bank")
    return replace(base, **options)  # type: ignore[arg-type]


def test_the_spline_matrix_is_the_walks_own_spline() -> None:
    frames = np.array([3, 5, 9, 10, 14], np.int64)
    keys = np.random.default_rng(0).standard_normal((5, 1, 4)).astype(np.float32)
    walk = Walk("w", keys, frames, tuple("abcde"))
    at = np.arange(1, 17)
    made = spline_basis(frames, at) @ keys[:, 0]
    assert np.allclose(made, np.stack([walk.ws_at(int(f))[0] for f in at]), atol=1e-5)


def test_first_and_last_frames_are_keys_and_a_dissolve_is_walked_to_its_end() -> None:
    frames = walk_frames(CUTS, CUTS.shots[1])
    assert list(frames) == list(range(7, 15))  # on through the three frames of the dissolve
    keys = key_frames(frames, CUTS.shots[1].end)
    assert keys[0] == 7 and keys[-1] == 14 and 11 in keys
    assert list(key_frames(np.array([5]), 6)) == [5]


def test_a_code_goes_on_as_it_moved_where_the_film_does_not_show_the_shot_alone() -> None:
    codes = np.arange(8, dtype=np.float64)[:, None].repeat(2, axis=1)
    codes[6:] = 50
    made = carried_on(codes, np.arange(8) < 6)
    assert 5 < made[6, 0] < 6 and made[6, 0] < made[7, 0] < 7
    assert np.array_equal(made[:6], codes[:6])


def test_a_fade_is_undone_before_fitting() -> None:
    cuts = CutList("f", Fraction(24), 8, (Shot(1, 0, 8, "fade", 4, "black"),))
    picture = np.full((16, 16), 0.5, np.float32)
    film = np.stack([np.round(encoded(linear(picture) * cuts.mix_at(f).fade) * 255) for f in range(8)]).astype(
        np.uint8
    )[:, None]
    target = target_of(cuts, cuts.shots[0], film, [0, 2, 16, 12])
    assert target.clean[0] == 0 and target.clean[3] > 0.7 and target.clean[7] == 1
    assert abs(int(target.images[2, 0, 5, 5]) - 128) <= 3
    assert np.all(target.weights[:, :, :2] == 0) and np.all(target.weights[7, :, 2:14] >= 1)


def test_a_known_walk_is_found_again_and_shots_do_not_mix(known: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    folder, codes = known
    fitted, finished = deed.run(job(folder, tmp_path / "score.toml", steps=80), quiet=True)
    assert finished
    assert all(f.error < 0.03 for f in fitted.values()), fitted
    score = read_score(tmp_path / "score.toml")
    frames = np.concatenate([score.walks[f"s{s.number:02d}"].frames for s in CUTS.shots])
    assert [s.walk for s in score.shots] == ["s01", "s02", "s03"]
    assert list(score.walks["s01"].frames[[0, -1]]) == [0, 6] and list(score.walks["s02"].frames[[0, -1]]) == [7, 14]
    assert set(frames) <= set(range(24)) and score.walks["s02"].names[0] == "s02.f0007"
    assert (tmp_path / "score.png").stat().st_size > 1000
    # each shot's picture is nearest to its own shot of the film
    generator = deed.source_at(folder / "model").generator
    means = [codes[s.start + s.in_frames : s.end].mean(axis=0) for s in CUTS.shots]
    with torch.no_grad():

        def square(w: np.ndarray) -> np.ndarray:
            return generator.synthesis(torch.from_numpy(w)[None, None].expand(1, generator.num_ws, -1))[0, 0].numpy()

        for i, shot in enumerate(CUTS.shots):
            made = square(score.walks[f"s{shot.number:02d}"].ws_at((shot.start + shot.in_frames + shot.end - 1) / 2)[0])
            distances = [np.abs(made - square(m))[2:14].mean() for m in means]
            assert int(np.argmin(distances)) == i


def test_anchors_that_know_the_film_start_near_the_answer(known: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    folder, codes = known
    np.savez(tmp_path / "anchors.npz", codes=codes, frames=np.arange(24))
    remap = job(folder, tmp_path / "score.toml", anchors=tmp_path / "anchors.npz", steps=2, start="auto")
    fitted, _ = deed.run(remap, quiet=True)
    assert all(f.error_before < 0.02 and f.error <= f.error_before for f in fitted.values()), fitted
    np.savez(tmp_path / "anchors.npz", codes=codes[:20], frames=np.arange(20))
    with pytest.raises(ShowError, match=r"\[24, 8\]"):
        deed.run(remap, quiet=True)


def test_a_stopped_run_goes_on_where_it_stopped(
    known: tuple[Path, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = known
    done: list[int] = []
    fit = deed.fit

    def interrupted(generator, target, start, keys, options, tell=None):  # type: ignore[no-untyped-def]
        done.append(target.shot.number)
        return replace(
            fit(generator, target, start, keys, options, tell), finished=target.shot.number != 2 or len(done) > 2
        )

    monkeypatch.setattr(deed, "fit", interrupted)
    remap = job(folder, tmp_path / "score.toml")
    _, finished = deed.run(remap, quiet=True)
    assert not finished and done == [1, 2]
    assert read_score(tmp_path / "score.toml").by_number(3).source == "black"  # type: ignore[union-attr]
    _, finished = deed.run(remap, quiet=True)
    assert finished and done == [1, 2, 2, 3]  # shot 1 was kept
    deed.run(remap, quiet=True)
    assert done == [1, 2, 2, 3]
    deed.run(replace(remap, shots=(1,), again=True), quiet=True)
    assert done[4:] == [1]
    assert read_score(tmp_path / "score.toml").by_number(3).source == "generator"  # type: ignore[union-attr]


def test_a_locked_shot_and_what_a_person_set_are_kept(known: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    folder, _ = known
    path = tmp_path / "score.toml"
    deed.run(job(folder, path), quiet=True)
    score = read_score(path)
    walks = dict(score.walks) | {"s02": replace(score.walks["s02"], keys=score.walks["s02"].keys * 0 + 7)}
    shots = (
        replace(score.shots[0], look="night", pin=("s01.f0000",), extra={"note": "mine"}),
        replace(score.shots[1], lock=True),
        score.shots[2],
    )
    write_score(replace(score, shots=shots, walks=walks, extra={"title": "kept"}), path)
    deed.run(job(folder, path, again=True, steps=3), quiet=True)
    after = read_score(path)
    assert np.all(after.walks["s02"].keys == 7) and after.shots[1].lock
    assert (
        after.shots[0].look == "night"
        and after.shots[0].pin == ("s01.f0000",)
        and after.shots[0].extra == {"note": "mine"}
    )
    assert after.extra["title"] == "kept" and after.extra["made_by"] == "cineml remap"
    assert set(after.extra) == {"title", "made_by", "made_with", "film_sha256", "weights_sha256"}


def test_bad_input_is_one_sentence_and_exit_code_2(
    known: tuple[Path, np.ndarray], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, _ = known
    base = ["--cuts", str(folder / "cuts.csv"), "--model", str(folder / "model"), "-o", str(tmp_path / "s.toml")]
    assert deed.main(base) == 2 and "--film" in capsys.readouterr().err
    assert deed.main([*base, "--film", str(folder / "nothing.mp4")]) == 2
    assert deed.main([*base, "--film", str(folder / "film"), "--shot", "9"]) == 2
    assert "1 to 3" in capsys.readouterr().err
    assert not (tmp_path / "s.toml").exists()


def test_a_bare_command_names_all_that_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    assert deed.main([]) == 2
    told = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in told] == ["--film", "--cuts", "--model", "-o"]


def test_everything_that_is_missing_is_named_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = {name: tmp_path / f"no-{name}" for name in ("film", "cuts", "model", "anchors", "synthesis")}
    options = [word for name, path in given.items() for word in (f"--{name}", str(path))]
    assert deed.main([*options, "-o", str(tmp_path / "s.toml")]) == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 5 and all(any(str(path) in line for line in told) for path in given.values()), told
    assert not list(tmp_path.iterdir()), "not even the work folder is left"


def test_a_shot_that_is_none_is_named_with_what_else_is_wrong(
    known: tuple[Path, np.ndarray], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = ["--cuts", str(known[0] / "cuts.csv"), "--model", str(known[0] / "model"), "-o", str(tmp_path / "s.toml")]
    assert deed.main([*base, "--film", "none", "--shot", "9"]) == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 2 and "none: is missing" in told[0] and "--shot: 9; allowed: 1 to 3" in told[1]
    for option in (["--shot", "²"], ["--passes", "nan"], ["--minutes", "nan"], ["--threads", "0"], ["--iterations", "-1"]):
        assert deed.main([*base, "--film", "none", *option]) == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_a_film_of_another_rate_than_its_cut_list_is_refused(
    known: tuple[Path, np.ndarray], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    film = write_film(tmp_path / "film.mp4", 24, 25)
    argv = ["--cuts", str(known[0] / "cuts.csv"), "--model", str(known[0] / "model"), "-o", str(tmp_path / "s.toml")]
    assert deed.main([*argv, "--film", str(film)]) == 2
    assert "runs at 25 frames a second" in capsys.readouterr().err and not (tmp_path / "s.toml").exists()


@pytest.mark.parametrize(
    ("output", "told"),
    [
        ("cuts.csv", "is the cut list, which would be lost"),
        ("sub/../cuts.csv", "is the cut list, which would be lost"),
        ("score.mp4", "ends in '.mp4'; allowed: a name that ends in .toml"),
        ("anchors.toml", "would write the score's arrays over the anchors"),
        ("film/score.toml", "would lie among the film's frames"),
        ("nix/score.toml", "which is not there"),
        ("file/score.toml", "which is no folder"),
        ("busy.toml", "cannot be made (File exists)"),
        ("/proc/s.toml", "/proc/s.work: cannot be made"),
        ("/", "has no suffix"),
    ],
)
def test_a_place_that_will_not_do_costs_one_sentence_and_no_input(
    known: tuple[Path, np.ndarray], tmp_path: Path, output: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(known[0], tmp_path / "all", ignore=shutil.ignore_patterns("model"))
    folder = tmp_path / "all"
    (folder / "sub").mkdir()
    for name in ("file", "busy.work"):
        (folder / name).write_text("mine")
    np.savez(folder / "anchors.npz", codes=known[1], frames=np.arange(24))
    before = sorted(p for p in folder.rglob("*"))
    older = (folder / "cuts.csv").read_bytes(), (folder / "anchors.npz").read_bytes()
    argv = ["--film", str(folder / "film"), "--cuts", str(folder / "cuts.csv"), "--model", str(known[0] / "model")]
    assert deed.main([*argv, "--anchors", str(folder / "anchors.npz"), "-o", str(folder / output)]) == 2
    printed = capsys.readouterr()
    assert told in printed.err and printed.err.count("\n") == 1, printed.err
    assert sorted(p for p in folder.rglob("*")) == before
    assert older == ((folder / "cuts.csv").read_bytes(), (folder / "anchors.npz").read_bytes())


def test_a_full_disk_costs_one_sentence_and_no_older_score(
    known: tuple[Path, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = known[0]
    (tmp_path / "s.toml").write_text("generator_sha256 = ''\n")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    argv = ["--film", str(folder / "film"), "--cuts", str(folder / "cuts.csv"), "--model", str(folder / "model")]
    argv += ["-o", str(tmp_path / "s.toml"), "--iterations", "1", "--start-from", "bank", "--no-measure"]
    for name, told in (("savez", "s01.npz: cannot be written"), ("savez_compressed", "s.toml: cannot be written")):
        with monkeypatch.context() as patched:
            patched.setattr(np, name, full)
            assert deed.main(argv) == 2
        printed = capsys.readouterr().err
        assert printed.splitlines()[-1].startswith(str(tmp_path)) and told in printed and "Traceback" not in printed
        assert (tmp_path / "s.toml").read_text() == "generator_sha256 = ''\n" and not list(tmp_path.rglob("*.part"))


def test_the_ends_of_two_walks_are_fitted_to_their_dissolve(known: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    folder, _ = known
    remap = job(folder, tmp_path / "score.toml", steps=80)
    read = deed.read_job(remap)
    alone, fresh, _ = deed.fit_shots(read, read.cuts.shots, quiet=True)
    joined = dict(alone)
    deed.join_dissolves(read, joined, fresh)

    def difference(fitted: dict) -> float:
        total = 0.0
        for frame in range(12, 15):
            mix = CUTS.mix_at(frame)
            pictures = []
            for number in (2, 3):
                walk = Walk("w", fitted[number].keys, fitted[number].frames, tuple(map(str, fitted[number].frames)))
                ws = torch.from_numpy(walk.ws_at(frame))[None].expand(1, read.source.generator.num_ws, -1)
                pictures.append(read.source.generator.synthesis(ws)[0, 0].clamp(-1, 1).numpy() * 0.5 + 0.5)
            made = encoded(linear(pictures[0]) * (1 - mix.weight) + linear(pictures[1]) * mix.weight)
            total += float(np.abs(made - read.film[frame, 0] / 255.0)[2:14].mean())
        return total

    assert difference(joined) < 0.9 * difference(alone) and difference(joined) / 3 < 0.04
    assert np.array_equal(joined[1].keys, alone[1].keys) and joined[3].joined
    far = alone[3].frames > 18
    assert far.any() and np.array_equal(joined[3].keys[far], alone[3].keys[far])
