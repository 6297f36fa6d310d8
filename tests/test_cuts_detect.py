"""Cut detection: generated traps with exact truth, real films where they are, and a list that a person corrected."""

from __future__ import annotations

import json
import zipfile
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from player.recorder import Recorder
from player.show.cut_list import CutList, Shot, read_csv, write_csv
from tools import cuts_detect, cuts_detect_options
from tools.bench_film_cuts import Film, Score, footage_films, score_of, signals_from
from tools.cuts_find import Settings, decided, find, picture_of, settings_for
from tools.cuts_pictures import Reduced, open_source, reduced_frames, reduced_size
from tools.cuts_record import content_sha256, corrected_by_hand, film_sha256, record_path
from tools.cuts_signal import best_overlap, block_distance, signals_of
from tools.cuts_suite import MAKERS, Clip, clip_named, dissolved, faded, joined, scene
from tools.cuts_transition import Ends, Found, Transition, cut_list, matched
from tools.film_dataset_source import footage_at, order_notes

RATE = Fraction(24)
# What the clips of the suite that hold no hard cut alone must give: kinds, and how far ends may be off, in frames.
MIXED = {"dissolves": 2, "fades": 1, "title cards": 1}


def detect(*argv: object) -> int:
    return cuts_detect.main([str(a) for a in argv])


def reduced_of(frames: np.ndarray) -> Reduced:
    """Frames uint8 [N, H, W, 3] as the decoder's reduction gives them."""
    n, h, w, _ = frames.shape
    f = frames.astype(np.float32).reshape(n, h // 2, 2, w // 2, 2, 3).mean(axis=(2, 4))
    y = f @ np.array([0.299, 0.587, 0.114], np.float32)
    chroma = np.stack([(f[..., 2] - y) * 0.564, (f[..., 0] - y) * 0.713], axis=1) * (224 / 255) + 128
    c = chroma.reshape(n, 2, h // 4, 2, w // 4, 2).mean(axis=(3, 5))
    return Reduced(np.rint(16 + y * (219 / 255)).astype(np.uint8), np.clip(np.rint(c), 0, 255).astype(np.uint8), 0)


def found_in(clip: Clip, settings: Settings | None = None) -> Found:
    return find(reduced_of(clip.frames), 24.0, settings or Settings(), len(clip.frames))[0]


def write_film(path: Path, frames: np.ndarray, rate: Fraction = RATE) -> Path:
    with Recorder(path, (frames.shape[2], frames.shape[1]), rate) as r:
        for k, frame in enumerate(frames):
            r.add(np.ascontiguousarray(frame), k)
    return path


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four shots: cuts at 20 and 34, a dissolve over frames 58 to 68."""
    light, _ = joined(scene(1, 20), scene(2, 14), scene(3, 34))
    light, _ = dissolved(light, scene(4, 30), 10)
    frames = np.clip(np.rint(light), 0, 255).astype(np.uint8)
    return write_film(tmp_path_factory.mktemp("film") / "film.mp4", frames)


# --- the generated traps


@pytest.mark.parametrize("name", MAKERS)
def test_every_trap_is_told_from_a_boundary_and_every_boundary_is_found(name: str) -> None:
    clip = clip_named(name)
    found = found_in(clip).transitions
    if name not in MIXED:
        assert [t.frame for t in found] == [m.frame for m in clip.marks], [t.told() for t in found]
        assert all(t.kind == "cut" for t in found)
        return
    assert [t.kind for t in found] == [m.kind for m in clip.marks]
    for t, m in zip(found, clip.marks, strict=True):
        assert abs(t.frame - m.frame) <= MIXED[name] and abs(t.start - m.start) <= MIXED[name], (t, m)
        assert abs(t.end - m.end) <= MIXED[name], (t, m)


def test_shots_of_one_frame_are_kept_with_less_confidence_than_others() -> None:
    found = {t.frame: t.confidence for t in found_in(clip_named("1-frame shots")).transitions}
    assert all(confidence < 0.6 for confidence in found.values())
    longer = found_in(clip_named("3-frame shots")).transitions
    assert all(t.confidence > 0.9 for t in longer)


def test_what_was_rejected_says_why() -> None:
    flashes = found_in(clip_named("flashes")).rejected
    assert any("flash" in r.why for r in flashes) and all(0 <= r.score < 0.5 for r in flashes)
    passer = found_in(clip_named("passer-by")).rejected
    assert any("close to the lens" in r.why for r in passer)


def test_a_dissolve_in_linear_light_and_one_in_the_values_have_the_same_extent() -> None:
    a, b = scene(31, 40, camera=lambda k: (0, 0), things=0), scene(32, 40, camera=lambda k: (0, 0), things=0)
    for gamma in (1.0, 2.2):
        light, marks = dissolved(255 * (a / 255) ** gamma, 255 * (b / 255) ** gamma, 16)
        frames = np.clip(np.rint(255 * (light / 255) ** (1 / gamma)), 0, 255).astype(np.uint8)
        (t,) = found_in(Clip("", frames, marks)).transitions
        assert t.kind == "dissolve" and (t.start, t.in_frames) == (24, 16), (gamma, t)


def test_fades_at_the_films_own_ends_are_no_boundaries() -> None:
    light = faded(faded(scene(33, 60), 12, 0, False), 15, 0, True)
    found = found_in(Clip("", np.rint(light).astype(np.uint8), ()))
    assert not found.transitions
    assert found.ends == Ends(12, "black", 15, "black")
    cuts = cut_list(found, "film", RATE, 60)
    (shot,) = cuts.shots
    assert (shot.into, shot.in_frames, shot.out, shot.out_frames) == ("fade", 12, "fade", 15)


def test_a_change_of_hue_alone_is_a_cut() -> None:
    """Two pictures of equal luma: only colour tells them apart."""
    one = scene(34, 20, camera=lambda k: (0.0, 0.0), grain=1.0)
    luma = (one @ np.array([0.299, 0.587, 0.114], np.float32))[..., None]
    blue = np.clip(luma + (np.array([-34.0, -8, 100], np.float32)), 0, 255)
    red = np.clip(luma + (np.array([70.0, -33, -20], np.float32)), 0, 255)
    frames = np.rint(np.concatenate([blue, red])).astype(np.uint8)
    assert [t.frame for t in found_in(Clip("", frames, ())).transitions] == [20]


def test_sensitivity_only_adds() -> None:
    clip = clip_named("passer-by")
    s = signals_of(reduced_of(clip.frames), picture_of(reduced_of(clip.frames).luma))
    counts = [len(decided(s, 24.0, settings_for(x)).transitions) for x in (0.0, 0.5, 1.0)]
    assert counts[0] <= counts[1] <= counts[2] and settings_for(0.5) == Settings()
    assert settings_for(0.2).ratio > settings_for(0.8).ratio


@pytest.mark.parametrize("shape", [(1, 48, 64), (2, 48, 64), (3, 8, 8), (5, 8, 96), (12, 96, 8), (30, 20, 20)])
def test_films_of_few_frames_or_few_pixels_break_nothing(shape: tuple[int, int, int]) -> None:
    n, h, w = shape
    luma = np.random.default_rng(0).integers(16, 235, shape, dtype=np.uint8)
    reduced = Reduced(luma, np.full((n, 2, h // 2, w // 2), 128, np.uint8), 0)
    found, _ = find(reduced, 24.0, Settings(), n)
    cut_list(found, "film", RATE, n)
    black = Reduced(np.full(shape, 16, np.uint8), reduced.chroma, 0)
    assert not find(black, 24.0, Settings(), n)[0].transitions


def test_distances_are_those_of_the_definition() -> None:
    rng = np.random.default_rng(1)
    a = rng.uniform(16, 235, (2, 36, 48)).astype(np.float32)
    moved = np.roll(a, (2, -3), axis=(1, 2))
    assert block_distance(a, a, 4, 4, 4).max() < 1e-4
    assert block_distance(a, moved, 4, 4, 4).max() < 0.02 < 0.5 < block_distance(a, a[::-1], 4, 4, 4).min()
    left, right = a[0, :, :32], a[0, :, 16:]
    assert best_overlap(left, right, 0.33) > 0.98 and best_overlap(a[0], a[1], 0.33) < 0.5


def test_matching_gives_each_detection_to_one_mark() -> None:
    assert matched([10, 11], [(10, 10), (5, 30)]) == [0, 1]
    assert matched([10], [(5, 30), (10, 10)]) == [None, 0]
    assert matched([13, 50], [(10, 10)]) == [None]
    assert Score(3, 1, 1).f1 == 0.75


# --- lists


def test_lengths_of_fades_and_dissolves_are_held_within_their_shots() -> None:
    found = Found((Transition(10, "fade", 2, 30, 0.9, "", 20, "black", 12, "white"),
                   Transition(16, "dissolve", 16, 40, 0.9, "", 24)), (), Ends(9, "black", 0, ""))
    cuts = cut_list(found, "film", RATE, 30)
    assert [(s.start, s.end, s.into, s.in_frames, s.out, s.out_frames) for s in cuts.shots] == [
        (0, 10, "fade", 9, "fade", 1), (10, 16, "fade", 6, "cut", 0), (16, 30, "dissolve", 14, "cut", 0)]


def test_detecting_writes_the_list_the_sheet_the_page_and_the_record(film: Path, tmp_path: Path,
                                                                    capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "cuts.csv"
    assert detect(film, "-o", out) == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cuts.csv", "cuts.csv.json", "cuts.html", "cuts.png"]
    cuts = read_csv(out)
    assert cuts.frames == 88 and cuts.rate == RATE and cuts.film == "film.mp4"
    assert [s.start for s in cuts.shots] == [0, 20, 34, 58]
    assert (cuts.shots[3].into, cuts.shots[3].in_frames) == ("dissolve", 10)
    told = json.loads(record_path(out).read_text())
    assert told["film"]["frames"] == 88 and len(told["film"]["sha256"]) == 64 and told["versions"]["numpy"]
    assert [t["frame"] for t in told["transitions"]] == [20, 34, 58]
    assert told["options"]["sensitivity"] == 0.5 and told["content_sha256"] == content_sha256(cuts)
    assert "4 shots" in capsys.readouterr().out
    with Image.open(tmp_path / "cuts.png") as sheet:
        assert sheet.size[0] > 800


def test_a_list_still_as_it_was_written_is_made_anew_and_a_corrected_one_never(
        film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    out = tmp_path / "cuts.csv"
    assert detect(film, "-o", out, "--no-page", "--no-dissolves") == 0
    assert len(read_csv(out).shots) == 3
    assert detect(film, "-o", out, "--no-page") == 0 and len(read_csv(out).shots) == 4
    # A spreadsheet writes it with other commas and line ends: nothing was corrected.
    out.write_bytes(b"\xef\xbb\xbf" + out.read_text().replace(",", ";").replace("\n", "\r\n").encode())
    assert not corrected_by_hand(out) and detect(film, "-o", out, "--no-page") == 0
    plain = out.read_text()
    for remark in ("# the kitchen is shot 3\n" + plain, plain + "# to do: shot 2;;;;\n"):
        out.write_text(remark)
        assert corrected_by_hand(out) and detect(film, "-o", out, "--no-page") == 2 and out.read_text() == remark
    out.write_text(plain)
    text = out.read_text().replace("2,20,34", "2,20,35").replace("3,34,58", "3,35,58")
    out.write_text(text)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    capsys.readouterr()
    assert detect(film, "-o", out) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "corrected by hand" in said and "--recheck" in said
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before
    record_path(out).unlink()
    assert detect(film, "-o", out) == 2 and out.read_text() == text, "a list without a record may be anybody's"
    out.write_text("not a list")
    assert detect(film, "-o", out) == 2 and out.read_text() == "not a list"


def test_a_picture_of_the_same_name_that_is_somebodys_stays(film: Path, tmp_path: Path) -> None:
    (tmp_path / "cuts.png").write_bytes(b"mine")
    assert detect(film, "-o", tmp_path / "cuts.csv") == 2
    assert [p.name for p in tmp_path.iterdir()] == ["cuts.png"]
    assert detect(film, "-o", tmp_path / "cuts.csv", "--no-page") == 0


def test_a_recheck_says_what_is_doubtful_and_what_is_lacking_and_touches_nothing(
        film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    out = tmp_path / "cuts.csv"
    shots = (Shot(1, 0, 21), Shot(2, 21, 47), Shot(3, 47, 58), Shot(4, 58, 88, "dissolve", 10))
    write_csv(CutList("film.mp4", RATE, 88, shots), out)
    before = out.read_bytes()
    assert detect(film, "--recheck", out, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["doubtful"] == [21, 47]
    first, second, third = told["boundaries"]
    assert "frame 20, 1 frame earlier" in first["why"] and "nothing changes" in second["why"] and third["confidence"] > 0.8
    assert [r["frame"] for r in told["lacking"]] == [34] and told["by_hand"]
    assert out.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cuts.csv", "cuts.recheck.html"]
    page = (tmp_path / "cuts.recheck.html").read_text()
    assert "1 frame earlier" in page and "Not in the list" in page and page.count('class="doubtful"') == 2
    assert detect(film, "--recheck", out, "--start", "40f", "--no-page", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["doubtful"] == [47] and not told["lacking"], "what lies before --start is not judged"


def test_a_list_of_another_film_is_refused(film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "cuts.csv"
    write_csv(CutList("x", Fraction(25), 90, (Shot(1, 0, 90),)), out)
    assert detect(film, "--recheck", out) == 2
    said = capsys.readouterr().err
    assert "88" in said and "rate" in said and not list(tmp_path.glob("*.html"))


# --- reading


def test_a_part_of_the_film_is_looked_at_and_the_list_covers_it_all(film: Path, tmp_path: Path) -> None:
    out = tmp_path / "cuts.csv"
    assert detect(film, "-o", out, "--start", "25f", "--end", "2s", "--no-page") == 0
    assert [(s.start, s.end) for s in read_csv(out).shots] == [(0, 34), (34, 88)]


def test_folders_and_zips_of_frames_are_read_like_films(tmp_path: Path) -> None:
    frames = clip_named("hard cuts, grey").frames[20:60]
    folder = tmp_path / "frames"
    folder.mkdir()
    for k, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"{k:04d}.png")
    out = tmp_path / "cuts.csv"
    assert detect(folder, "-o", out, "--fps", "25", "--no-page") == 0
    cuts = read_csv(out)
    assert cuts.rate == 25 and cuts.frames == 40 and [s.start for s in cuts.shots] == [0, 10, 27]
    with zipfile.ZipFile(tmp_path / "frames.zip", "w") as z:
        for p in sorted(folder.iterdir()):
            z.write(p, p.name)
    assert detect(tmp_path / "frames.zip", "-o", tmp_path / "z.csv", "--fps", "25") == 0
    assert [s.start for s in read_csv(tmp_path / "z.csv").shots] == [0, 10, 27]
    assert detect(folder, "-o", folder / "cuts.csv") == 2, "the sheet would become a frame"
    told = json.loads(record_path(out).read_text())["film"]
    footage = footage_at(folder, "25")
    (folder / "sketches").mkdir()  # a folder in the folder is not the film's, here as in every command that reads one
    Image.fromarray(frames[0]).save(folder / "sketches" / "0000.png")
    assert open_source(folder).frames == footage.frames == told["frames"] and film_sha256(folder) == told["sha256"]
    assert footage.sha256() == told["sha256"]


def test_the_command_that_is_proposed_names_the_files_where_they_are(
    film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "my cuts.csv"
    write_csv(CutList("film.mp4", RATE, 98, (Shot(1, 0, 20), Shot(2, 20, 98))), out)
    assert detect(film, "-o", out, "--no-page") == 2
    assert f"cineml cuts detect {film} --recheck '{out}'" in capsys.readouterr().err


def test_names_that_do_not_sort_as_their_numbers_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    for k in range(12):
        Image.new("L", (48, 32), 10 * k).save(folder / f"shot{k + 1}.png")
    assert detect(folder, "-o", tmp_path / "a.csv", "--no-page") == 0
    assert "give them leading zeros" in capsys.readouterr().out
    assert order_notes(["a2.png", "a10.png"]) == [] and order_notes(["a10.png", "a2.png"])


def test_reduced_frames_are_the_films_in_order(film: Path) -> None:
    source = open_source(film)
    assert (source.frames, source.rate, source.width, source.height) == (88, RATE, 192, 144)
    reduced = reduced_frames(source, 18, 23)
    assert reduced.luma.shape == (5, 72, 96) and reduced.chroma.shape == (5, 2, 36, 48) and reduced.first == 18
    step = np.abs(np.diff(reduced.luma.astype(int), axis=0)).mean(axis=(1, 2))
    assert np.argmax(step) == 1
    assert reduced_size(854, 480) == (96, 54) and reduced_size(40, 2000) == (8, 96) and reduced_size(30, 20) == (30, 20)


# --- bad input


@pytest.mark.parametrize(("argv", "said"), [
    (["FILM", "-o", "OUT.txt"], ".csv"), (["FILM", "-o", "nowhere/cuts.csv"], "not there"),
    (["FILM", "-o", "OUT.csv", "--sensitivity", "nan"], "0 to 1"), (["FILM", "-o", "OUT.csv", "--start", "x"], "not a time"),
    (["FILM", "-o", "OUT.csv", "--start", "900f"], "88 frames"), (["FILM", "-o", "OUT.csv", "--end", "0f"], "not after"),
    (["none.mp4", "-o", "OUT.csv"], "does not exist"), (["EMPTY", "-o", "OUT.csv"], "no film"),
    (["HALF", "-o", "OUT.csv"], ""), (["FILM", "--recheck", "none.csv"], "does not exist"),
])
def test_bad_input_is_one_sentence_and_nothing_is_written(film: Path, tmp_path: Path, argv: list[str], said: str,
                                                         capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "half.mp4").write_bytes(film.read_bytes()[: film.stat().st_size // 2])
    names = {"FILM": str(film), "OUT.csv": str(tmp_path / "cuts.csv"), "OUT.txt": str(tmp_path / "cuts.txt"),
             "nowhere/cuts.csv": str(tmp_path / "nowhere" / "cuts.csv"), "none.mp4": str(tmp_path / "none.mp4"),
             "EMPTY": str(tmp_path / "empty.mp4"), "HALF": str(tmp_path / "half.mp4"), "none.csv": str(tmp_path / "none.csv")}
    assert detect(*[names.get(a, a) for a in argv]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1 and "Traceback" not in error
    assert sorted(p.name for p in tmp_path.iterdir()) == ["empty.mp4", "half.mp4"]


def test_a_full_disk_leaves_what_was_there(film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                           capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "cuts.csv"
    assert detect(film, "-o", out, "--no-dissolves") == 0
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    real = Path.write_bytes

    def full(self: Path, data: bytes) -> int:
        if ".html" in self.name:
            real(self, data[:100])
            raise OSError(28, "No space left on device")
        return real(self, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    assert detect(film, "-o", out) == 2
    assert "No space left" in capsys.readouterr().err
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_stopping_by_hand_writes_nothing(film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                         capsys: pytest.CaptureFixture[str]) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cuts_detect, "find", stopped)
    assert detect(film, "-o", tmp_path / "cuts.csv") == 130
    assert "nothing was written" in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_help_has_examples_and_needs_no_film() -> None:
    for parser in (cuts_detect_options.detect_arguments(), cuts_detect_options.group_arguments()):
        assert parser.format_help().count("cineml cuts ") >= 3


# --- real films


def test_real_films_score_as_asked(shared: Path) -> None:
    """The black-and-white film to the frame and without a false alarm; F1 over the three at least 0.92, the defaults being the
    same for all."""
    films = footage_films(shared / "footage")
    if not films:
        pytest.skip("needs ../shared/footage")
    total = Score()
    for film in films:
        signals, rate = signals_from(film.path)
        found = decided(signals, float(rate), Settings()).transitions
        total += score_of([t.frame for t in found], film)
        if film.name == "abomb":
            assert [t.frame for t in found] == list(film.hard)
    assert total.f1 >= 0.92 and total.hits + total.missed == 22


def test_the_demo_film_is_cut_as_its_own_list_says(repo: Path) -> None:
    folder = repo / "show_configs" / "demo"
    if not (folder / "cuts.csv").is_file():
        pytest.skip("the demo show has not been made")
    truth = read_csv(folder / "cuts.csv")
    film = Film("demo", folder / "film.mp4", truth.rate, tuple((s.start, s.start) for s in truth.shots[1:]), ())
    signals, rate = signals_from(film.path)
    found = decided(signals, float(rate), Settings())
    assert [t.frame for t in found.transitions] == [s.start for s in truth.shots[1:]]
    made = cut_list(found, "demo", rate, truth.frames)
    for ours, theirs in zip(made.shots, truth.shots, strict=True):
        assert (ours.into, ours.out) == (theirs.into, theirs.out)
        assert abs(ours.in_frames - theirs.in_frames) <= 2 and abs(ours.out_frames - theirs.out_frames) <= 2
