"""What `cineml bench style` measures with: its grainy film, its rows that say yes and no, and what it keeps on the way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("cv2")
pytest.importorskip("torch")

from player.show.cut_list import read_csv
from player.show.problem import ShowError
from tests.painted import moving, strokes
from tools import bench_style, bench_style_material, bench_style_networks
from tools.bench_style_ablation import Side, ablation_rows, boil, lowered, mean_side, told_beside, told_pair, write_clip
from tools.bench_style_artist import SHOWN, Way, keep, kept, place_of, row_of, way_of, write_sheet
from tools.bench_style_material import Excerpt, grained, parts_of, unseen, write_excerpt, write_pictures
from tools.bench_style_networks import NETWORKS, WITH, WITHOUT, Bench, made, words_of
from tools.film_dataset_source import footage_at
from tools.keyframes_measure import sharpness
from tools.keyframes_suggest_shots import Span
from tools.style_steadiness import Shown, steadiness


def side(excess: float, style: float = 60.0, sharp: float = 10.0, closed: float = 0.8, near: float = 0.7) -> Side:
    return Side((excess, 2 * excess), style, closed, near, (closed, near), sharp, 0.3, 6.0)


def asked(without: Side, with_: Side) -> list[bool | None]:
    return [row.ok for row in ablation_rows(without, with_, 2e-4, "a film")]


def test_the_ablation_says_yes_only_where_all_is_equal_but_the_flicker() -> None:
    assert asked(side(10e-4), side(5e-4)) == [True, True, True, None, True, True, None, None]
    assert asked(side(10e-4), side(7e-4))[0] is False, "30 % is too little"
    assert asked(side(10e-4), side(5e-4, style=64))[1] is False and asked(side(10e-4), side(5e-4, style=56))[1] is False
    assert asked(side(10e-4), side(5e-4, sharp=9.4))[2] is False, "won by a blur"
    assert asked(side(10e-4, closed=0.5), side(5e-4))[4] is False and asked(side(10e-4), side(5e-4, near=0.4))[5] is False
    assert asked(side(-1e-4), side(-2e-4))[0] is False, "a film that is calmer than its original cannot be calmed"


def test_a_row_beside_tells_the_same_of_another_grain() -> None:
    frames = [moving(n) for n in range(4)]
    rough, calm = [strokes(96, 72, seed=n) for n in range(4)], [strokes(96, 72, seed=9)] * 4
    span = [Span(1, 0, 4, 0, 4)]
    found = steadiness([(n, Shown(f, (a, b))) for n, (f, a, b) in enumerate(zip(frames, rough, calm, strict=True))], span,
                       speed="fast", threads=1)  # fmt: skip
    lower, raw, sharp, style = told_beside(found, [50.0, 45.0]).split("; ")
    share = 1 - found.excess(1, 1) / found.excess(0, 1)
    assert 0 < share < 1 and lower.startswith(f"{share:.0%} lower ({1e4 * found.excess(1, 1):.2f} and ")
    assert raw == "{:.2f} and {:.2f}, the film's own {:.2f}".format(*(1e4 * found.e_warp(i, 1) for i in (1, 0, -1)))
    assert sharp == f"{found.sharp(1) / found.sharp(0) - 1:+.1%}" and style == "-10.0%"
    still = steadiness([(n, Shown(f, (f, f))) for n, f in enumerate(frames)], span, speed="fast", threads=1)
    assert told_beside(still, [50.0, 50.0]).startswith("no excess without it")
    assert [lowered(2.0, x) for x in (1.0, 2.5, -1.0)] == ["50% lower", "25% higher", "no excess with it"]


def test_what_boils_is_told_apart_from_what_stands() -> None:
    grey, chance = strokes(96, 72, seed=9) // 2 + 64, np.random.default_rng(3)
    noisy = [np.clip(np.rint(grey + chance.normal(0, 12, grey.shape)), 0, 255).astype(np.uint8) for _ in range(8)]
    boils, stands = boil(noisy)
    assert boils == pytest.approx(2 * (12 / 255) ** 2, rel=0.02), "the mean square between two of them"
    assert sharpness(grey) < stands < sharpness(noisy[0])
    assert boil([grey] * 8) == (0, pytest.approx(sharpness(grey)))


def test_the_two_networks_differ_in_the_noise_alone(tmp_path: Path) -> None:
    without, with_ = (words_of(n, Bench(tmp_path)) for n in (WITHOUT, WITH))
    noise = without.index("--noise-weight")
    assert with_[:noise] == without[:noise]
    names = ["--noise-weight", "--shift-weight", "--light-weight"]
    assert without[noise::2] == with_[noise::2] == names and set(without[noise + 1 :: 2]) == {"0"}
    assert float(with_[noise + 1]) > 0
    assert WITH.teacher == "without" and set(NETWORKS) >= {"with", "without", "classic"}


def test_what_is_asked_is_asked_of_the_mean_over_the_pairs_which_are_told_too() -> None:
    pairs = (side(10e-4), side(4e-4, sharp=9.2)), (side(20e-4), side(11e-4, sharp=10.4))
    without, with_ = (mean_side([pair[k] for pair in pairs]) for k in (0, 1))
    assert without.excess == pytest.approx((15e-4, 30e-4)) and with_.sharp == pytest.approx(9.8)
    assert asked(without, with_) == [True, True, True, None, True, True, None, None]
    assert [told_pair(*pair) for pair in pairs] == ["60% lower; +0.0%; -8.0%", "45% lower; +0.0%; +4.0%"]


def test_the_words_are_those_of_the_command(tmp_path: Path) -> None:
    from tools.style_train_options import arguments

    for network in NETWORKS.values():
        args = arguments().parse_args([*words_of(network, Bench(tmp_path)), "-o", str(tmp_path / "run")])
        assert args.seed == network.seed and args.steps >= 1000
        assert (args.noise_weight > 0) == (network.name in ("plain", "with", "with_2", "with_3"))
    quick = arguments().parse_args([*words_of(WITH, Bench(tmp_path, quick=True)), "-o", str(tmp_path / "run")])
    assert quick.steps == 2 and quick.frames == 2


def test_a_network_is_made_once_and_again_where_its_words_changed(tmp_path: Path) -> None:
    called: list[list[str]] = []

    def command(words: list[str]) -> int:
        called.append(words)
        (Path(words[-1]) / "checkpoint").mkdir(parents=True)
        return 0

    for _ in range(2):
        run, minutes = made(tmp_path / "net", ["--steps", "5"], command, "style train")
    assert len(called) == 1 and called[0] == ["--steps", "5", "-o", str(run)] and minutes < 1
    made(tmp_path / "net", ["--steps", "6"], command, "style train")
    assert len(called) == 2
    with pytest.raises(ShowError, match="ended with 2"):
        made(tmp_path / "other", [], lambda _: 2, "style train")


def test_the_grainy_film_keeps_to_shots_and_is_the_same_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_style_material, "SHARED", tmp_path / "nowhere")
    monkeypatch.setattr(bench_style_material, "EXCERPTS_DEMO", (("a dance", 1180, 2), ("hands", 1400, 3)))
    found, again = unseen(), unseen()
    assert len(found.frames) == 5 and found.cuts == (0, 2) and found.size == (480, 360)
    assert "grain of 10 levels added" in found.told
    assert all((a == b).all() for a, b in zip(found.frames, again.frames, strict=True))
    clean = unseen(0.0)
    assert "grain of 0 levels" in clean.told and all((a != b).any() for a, b in zip(found.frames, clean.frames, strict=True))
    assert bench_style_material.learnt_range()[1] <= 1180, "what is judged is not learnt"
    cuts = read_csv(bench_style_material.demo_film().parent / "cuts.csv")
    for _, first, count in (*bench_style_material.EXCERPTS_DEMO, ("", 1600, 16)):
        assert cuts.shot_at(first) == cuts.shot_at(first + count - 1)


def test_the_real_excerpts_lie_within_shots(shared: Path) -> None:
    cuts = [int(row.split(",")[0]) for row in (shared / "footage" / "abomb_bw_432x320_29fps.cuts.csv").read_text().split()[1:]]
    for _, first, count in bench_style_material.EXCERPTS_REAL:
        assert not any(first < cut < first + count for cut in cuts)


def test_grain_is_grey_new_in_every_frame_and_strongest_in_the_middle_tones() -> None:
    grey, white = np.full((64, 64, 3), 128, np.uint8), np.full((64, 64, 3), 245, np.uint8)
    a, b = (grained(grey, np.random.default_rng(n)) for n in (1, 2))
    assert (a[..., 0] == a[..., 2]).all() and (a != b).any()
    assert a.std() == pytest.approx(bench_style_material.GRAIN, rel=0.05) and a.mean() == pytest.approx(128, abs=1)
    assert grained(grey, np.random.default_rng(1), 4.0).std() == pytest.approx(4, rel=0.05)
    assert grained(white, np.random.default_rng(1)).std() < 0.6 * a.std()


def test_an_excerpt_is_written_as_measure_takes_it(tmp_path: Path) -> None:
    frames = tuple(moving(n) for n in range(5))
    plain = tuple(moving(n + 5) for n in range(5))
    folder, clean, cuts = write_excerpt(Excerpt(frames, plain, (0, 3), "five"), tmp_path)
    back = footage_at(folder)
    assert (parts_of(footage_at(clean), (("all", 0, 5),))[0][4] == plain[4]).all()
    assert back.frames == 5 and [(s.start, s.end) for s in read_csv(cuts).shots] == [(0, 3), (3, 5)]
    again, starts = parts_of(back, (("one", 0, 2), ("two", 3, 2)))
    assert starts == (0, 2) and (again[2] == frames[3]).all()
    write_pictures(folder, frames[:2])
    assert footage_at(folder).frames == 2, "no frame of an earlier run is left"


def test_the_clip_shows_all_three_beside_one_another(tmp_path: Path) -> None:
    frames = tuple(moving(n) for n in range(3))
    write_clip(Excerpt(frames, frames, (0,), "three"), [frames, frames], tmp_path / "clip.mp4")
    clip = footage_at(tmp_path / "clip.mp4")
    assert clip.size == (3 * 96, 72) and clip.frames == 9


def test_a_row_of_the_artists_table_is_scaled_to_266_frames() -> None:
    row = row_of(Way("somehow", 2.0, 3, 5e-4, 1e-4, 60.0, 10.0))
    assert row.name == "266 frames: somehow" and row.value.startswith("532 s; E_warp 5.00 e-4, excess 1.00")
    assert "3 frames measured, 2 s each" in row.value and "7.39 h" in row_of(Way("slow", 100.0, 2, 0, 0, 0, 0)).value
    assert "2090 s each" in row_of(Way("slower", 2090.4, 2, 0, 0, 0, 0)).value


def test_the_plain_film_has_no_excess_and_what_jumps_has() -> None:
    frames = [moving(n) for n in range(4)]
    plain = way_of("plain", frames, frames, 0.0, strokes())
    assert plain.excess == 0 and plain.e_warp > 0
    jumping = way_of("jumping", frames, [f if n % 2 else 255 - f for n, f in enumerate(frames)], 0.0, strokes())
    assert jumping.excess > 100 * plain.e_warp


def test_a_way_that_was_measured_is_not_measured_again(tmp_path: Path) -> None:
    bench, way = Bench(tmp_path), Way("optimisation, weight 0", 2.0, 3, 5e-4, 1e-4, 60.0, 10.0)
    (tmp_path / "artist").mkdir()
    keep(bench, way, "of this")
    assert kept(bench, way.name, "of this") == way and kept(bench, way.name, "of that") is None
    assert kept(bench, "another", "of this") is None
    weighted = Way("optimisation, weight 0.0015", 2.0, 3, 5e-4, 1e-4, 60.0, 10.0)
    keep(bench, weighted, "of this")
    assert kept(bench, way.name, "of this") == way and kept(bench, weighted.name, "of this") == weighted
    for file in (tmp_path / "artist").iterdir():
        file.write_text("{")
    assert kept(bench, way.name, "of this") is None


def test_the_artists_sheet_shows_a_frame_by_each_way_that_has_one(tmp_path: Path) -> None:
    bench, side = Bench(tmp_path), SHOWN[2]
    for name, size, level in (("whole", (640, 480), 50), ("a part", (160, 160), 200)):
        write_pictures(place_of(bench, name), [np.full((size[1], size[0], 3), v, np.uint8) for v in (0, level)])
    write_sheet(["whole", "a part", "one that is not there"], bench)
    sheet = np.asarray(Image.open(tmp_path / "artist.png").convert("L"))
    assert np.isclose((sheet == 50).sum(), side**2, rtol=0.01) and np.isclose((sheet == 200).sum(), side**2, rtol=0.01)


def test_unknown_parts_and_a_folder_that_cannot_be_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ShowError, match="speed, play, ablation"):
        bench_style.rows(["speeed"])
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ShowError, match="is no folder"):
        bench_style.rows(["speed"], tmp_path / "file")


@pytest.mark.slow
def test_a_judge_that_is_none_is_said_before_anything_is_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tools import bench

    work, file = tmp_path / "work", tmp_path / "vgg.pth"
    file.write_text("no network")
    for words, said in ((["style", "--network", file], "is neither a safetensors file nor one of torch.save"),
                        (["style", "--only", "artist", "--network", tmp_path / "none.pth"], "none.pth: does not exist"),
                        (["style", "--only", "speed", "--network", file], "is of the part artist, and --only has speed"),
                        (["style", "--work", file], "vgg.pth: cannot be made"),
                        (["gan", "--work", work], "--work: is of bench style, and this is bench gan")):  # fmt: skip
        with pytest.raises(ShowError, match=said):
            bench.main([str(w) for w in [*words, *([] if "--work" in words else ["--work", work])]])
    assert not work.exists()
    asked: list[Any] = []
    monkeypatch.setattr(bench_style, "measure", lambda *given: asked.append(given) or [])
    assert bench.main(["style", "--only", "artist", "--work", str(work), "--network", str(file)]) == 0
    assert bench.main(["style"]) == 0
    assert asked == [(["artist"], work, file), (None, bench_style.WORK, None)]


def test_the_ablation_runs_from_training_to_its_clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("matplotlib")
    Image.fromarray(strokes()).save(tmp_path / "painting.png")
    small = tuple(np.ascontiguousarray(moving(n, 112, 80)) for n in range(8))
    monkeypatch.setattr(bench_style_networks, "painting_at", lambda folder: tmp_path / "painting.png")
    asked_of: list[float] = []

    def unseen_small(grain: float = 12.0) -> Excerpt:
        asked_of.append(grain)
        return Excerpt(small, small, (0, 4), "a small film")

    monkeypatch.setattr("tools.bench_style_ablation.unseen", unseen_small)
    rows = bench_style.rows(["ablation"], tmp_path / "work", quick=True)
    assert len(rows) == 14 and all(isinstance(r.value, str) for r in rows)
    assert "a small film" in rows[0].name and "grain of 8 levels" in rows[9].name and asked_of == [12.0, 8.0, 0.0, 0.0]
    assert "each of the pairs" in rows[8].name and "stand still" in rows[10].name and "with its canvas" in rows[11].name
    kept_files = {p.name for p in (tmp_path / "work" / "ablation").iterdir()}
    assert kept_files >= {"before_after.mp4", "table.md", "report", "original", "without", "with", "optimiser", "cuts.csv"}
    films = json.loads((tmp_path / "work" / "ablation" / "report" / "measure.json").read_text())["films"]
    assert list(films) == ["original", "without", "with"]
    assert "Temporal noise" in (tmp_path / "work" / "ablation" / "table.md").read_text()


