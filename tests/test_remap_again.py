"""A score that is remapped a second time: nothing that was done is lost, undone, mixed up or done again for nothing."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from models.checkpoint import save_checkpoint  # noqa: E402
from models.stylegan2 import Generator  # noqa: E402
from player.show.cut_list import CutList, Shot, write_csv  # noqa: E402
from player.show.problem import ShowError  # noqa: E402
from player.show.score import Score, read_score, write_score  # noqa: E402
from tests.test_remap import CONFIG, CUTS, GEOMETRY, job, known_film  # noqa: E402
from tools import remap as deed  # noqa: E402
from tools.new_walks import MADE_BY as FREE  # noqa: E402
from tools.remap_asked import remembered  # noqa: E402
from tools.remap_dissolve import _unlike  # noqa: E402
from tools.remap_fit import spline_basis  # noqa: E402
from tools.remap_job import file_sha  # noqa: E402
from tools.remap_options import arguments  # noqa: E402


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The film of test_remap, and beside its model another one."""
    torch.set_num_threads(1)
    folder = known_film(tmp_path_factory.mktemp("known"))[0]
    torch.manual_seed(9)
    save_checkpoint(folder / "other", Generator(CONFIG).eval(), geometry=GEOMETRY)
    return folder


@pytest.fixture(scope="module")
def remapped(known: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a score that was remapped once, with the work kept beside it; not to be written to."""
    folder = tmp_path_factory.mktemp("remapped")
    deed.run(job(known, folder / "score.toml"), quiet=True)
    return folder


def once(remapped: Path, folder: Path) -> Path:
    """That score, to be remapped again."""
    return Path(shutil.copytree(remapped, folder, dirs_exist_ok=True)) / "score.toml"


def changed(path: Path, number: int, **values: object) -> None:
    """The score with one row as a person would write it."""
    score = read_score(path)
    shots = tuple(replace(s, **values) if s.number == number else s for s in score.shots)  # type: ignore[arg-type]
    write_score(replace(score, shots=shots), path)


def keys_of(path: Path) -> dict[str, np.ndarray]:
    return {name: walk.keys for name, walk in read_score(path).walks.items()}


def dissolve_error(folder: Path, path: Path) -> float:
    """How far the dissolve of shots 2 and 3 is from the film."""
    read = deed.read_job(job(folder, path))
    frames, walks = np.arange(12, 15), read_score(path).walks
    tables = [torch.from_numpy(walks[n].keys) for n in ("s02", "s03")]
    bases = [torch.from_numpy(spline_basis(walks[n].frames, frames).astype(np.float32)) for n in ("s02", "s03")]
    weight = torch.tensor([CUTS.mix_at(int(f)).weight for f in frames])
    seen = torch.zeros(1, 1, 16, 16)
    seen[..., 2:14, :] = 1
    return _unlike(read.source.generator, tables, bases, weight, read.film[frames], seen)


def test_another_model_is_not_mixed_into_a_score(known: Path, remapped: Path, tmp_path: Path) -> None:
    path = once(remapped, tmp_path)
    before = path.read_bytes(), path.with_suffix(".npz").read_bytes()
    other = job(known, path, model=known / "other")
    with pytest.raises(ShowError, match=r"is of another model .* would keep its walks in shots 2, 3"):
        deed.run(replace(other, shots=(1,)), quiet=True)
    changed(path, 2, lock=True)
    with pytest.raises(ShowError, match=r"shot 2 \(locked\)"):
        deed.run(other, quiet=True)
    changed(path, 2, lock=False)
    assert before == (path.read_bytes(), path.with_suffix(".npz").read_bytes())
    deed.run(other, quiet=True)
    assert read_score(path).extra["weights_sha256"] == deed.source_at(known / "other").weights_sha256


def test_a_remap_that_is_killed_is_remembered_by_the_next(
        known: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "score.toml"
    wanted = job(known, path)

    def killed(*_: object) -> None:
        raise MemoryError  # nothing of ours runs after it

    with monkeypatch.context() as m:
        m.setattr(deed, "fit_shots", killed)
        with pytest.raises(MemoryError):
            deed.run(wanted, quiet=True)
    again = remembered(arguments().parse_args(["-o", str(path)]))
    assert (again.film, again.cuts, again.model) == tuple(p.resolve() for p in (wanted.film, wanted.cuts, wanted.model))
    deed.run(wanted, quiet=True)
    with monkeypatch.context() as m:
        m.setattr(deed, "fit_shots", killed)
        with pytest.raises(MemoryError):
            deed.run(job(known, path, model=known / "other"), quiet=True)
    told = json.loads((path.with_suffix(".work") / "remap.json").read_text())
    assert told["options"]["model"] == str((known / "other").resolve())
    assert told["inputs"]["weights_sha256"] == deed.source_at(known / "model").weights_sha256, "as the score's walks are"


def test_a_stopped_remap_with_another_model_leaves_the_score(
    known: Path, remapped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = once(remapped, tmp_path)
    before, fit = path.read_bytes(), deed.fit
    with monkeypatch.context() as patched:
        patched.setattr(deed, "fit", lambda g, target, *rest: replace(fit(g, target, *rest), finished=target.shot.number < 2))
        assert deed.run(job(known, path, model=known / "other"), quiet=True)[1] is False
    assert path.read_bytes() == before
    assert deed.run(job(known, path, model=known / "other"), quiet=True)[1] and path.read_bytes() != before


def test_a_shot_done_again_alone_is_joined_with_its_neighbours_and_is_a_second_try(known: Path, tmp_path: Path) -> None:
    path = tmp_path / "score.toml"
    remap = job(known, path, steps=30)
    deed.run(remap, quiet=True)
    first, whole = keys_of(path), dissolve_error(known, path)
    for number in (3, 2):
        deed.run(replace(remap, shots=(number,), again=True), quiet=True)
        now = keys_of(path)
        own = f"s{number:02d}"
        assert not np.array_equal(now[own], first[own]), "another try"
        assert all(np.array_equal(now[n], first[n]) for n in first if n != own), "the neighbour stays"
        assert dissolve_error(known, path) < 2 * whole
        first = now
    deed.run(remap, quiet=True)
    assert all(np.array_equal(k, first[n]) for n, k in keys_of(path).items()), "and is kept"
    changed(path, 2, lock=True)
    deed.run(replace(remap, again=True), quiet=True)
    assert np.array_equal(keys_of(path)["s02"], first["s02"]) and dissolve_error(known, path) < 2 * whole


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 cut short"])
def test_a_damaged_part_is_made_again(known: Path, remapped: Path, tmp_path: Path, damage: bytes) -> None:
    path = once(remapped, tmp_path)
    parts = path.with_suffix(".work")
    whole = (parts / "s01.npz").read_bytes()
    first = keys_of(path)
    for data in (damage, whole[: len(whole) // 2]):
        (parts / "s01.npz").write_bytes(data)
        deed.run(job(known, path), quiet=True)
        assert (parts / "s01.npz").read_bytes() == whole and not list(parts.glob("s01.*.npz"))
        assert all(np.array_equal(k, first[n]) for n, k in keys_of(path).items())


def test_labels_and_numbers_of_shots_do_not_make_their_walks_anew(
    known: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, cuts = tmp_path / "score.toml", tmp_path / "cuts.csv"
    write_csv(CUTS, cuts)
    remap = job(known, path, cuts=cuts)
    deed.run(remap, quiet=True)
    first, done, fit = keys_of(path), [], deed.fit

    def noted(generator, target, *rest):  # type: ignore[no-untyped-def]
        done.append(target.shot.number)
        return fit(generator, target, *rest)

    monkeypatch.setattr(deed, "fit", noted)
    write_csv(replace(CUTS, shots=(replace(CUTS.shots[0], label="a", group="b"), *CUTS.shots[1:])), cuts)
    deed.run(remap, quiet=True)
    assert done == []
    split = CutList("known", CUTS.rate, 24, (Shot(1, 0, 3), Shot(2, 3, 7), replace(CUTS.shots[1], number=3),
                                             replace(CUTS.shots[2], number=4)))  # fmt: skip
    write_csv(split, cuts)
    path.unlink()
    deed.run(remap, quiet=True)
    assert done == [1, 2]
    now = keys_of(path)
    assert np.array_equal(now["s03"], first["s02"]) and np.array_equal(now["s04"], first["s03"])
    write_csv(CUTS, cuts)
    path.unlink()
    deed.run(remap, quiet=True)
    assert done == [1, 2, 1], "shot 1 of old was written over by its first half; the others were not"
    assert np.array_equal(keys_of(path)["s03"], first["s03"])


def test_what_a_lock_or_swap_keeps_from_being_done_is_said(
    known: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, cuts = tmp_path / "score.toml", tmp_path / "cuts.csv"
    write_csv(CUTS, cuts)
    remap = job(known, path, cuts=cuts)
    deed.run(remap, quiet=True)
    changed(path, 2, lock=True)
    with pytest.raises(ShowError, match="shot 2: swap: the shot is locked"):
        deed.run(replace(remap, swaps={2: "s01"}), quiet=True)
    with pytest.raises(ShowError, match="shot 2: is not done: it is locked"):
        deed.run(replace(remap, shots=(2,), again=True), quiet=True)
    capsys.readouterr()
    deed.run(replace(remap, shots=(1, 2)))
    assert "shot 2 is left alone: it is locked" in capsys.readouterr().err
    write_csv(replace(CUTS, shots=(replace(CUTS.shots[0], end=6), replace(CUTS.shots[1], start=6), CUTS.shots[2])), cuts)
    deed.run(remap)
    assert "shot 2 is locked, and its walk goes from frame 7 to 14 where the cut list has 6 to 14" in capsys.readouterr().err
    write_csv(CUTS, cuts)
    deed.run(remap)
    assert "locked" not in capsys.readouterr().err


def test_a_folder_of_frames_is_known_by_its_pictures(known: Path, tmp_path: Path) -> None:
    shutil.copytree(known / "film", tmp_path / "film")
    assert file_sha(tmp_path / "film") == file_sha(known / "film") and len(file_sha(known / "film")) == 64
    picture = next((tmp_path / "film").iterdir())
    picture.write_bytes(picture.read_bytes() + b"\n")
    assert file_sha(tmp_path / "film") != file_sha(known / "film")


def test_a_resumed_shot_is_never_worse_than_its_start(known: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remap = job(known, tmp_path / "score.toml", shots=(1,), size=8, steps=20)
    monkeypatch.setattr(deed, "reduced", lambda g, size: deed.source_at(known / "other").generator)  # leads astray
    monkeypatch.setattr(deed, "reduced_target", lambda target, size: target)
    fit, stopped = deed.fit, [True]

    def astray(generator, target, start, keys, options, tell=None):  # type: ignore[no-untyped-def]
        made = fit(generator, target, start, keys, options, tell)
        if stopped and stopped.pop():
            return replace(made, keys=made.keys + 20, finished=False)
        return made

    monkeypatch.setattr(deed, "fit", astray)
    assert deed.run(remap, quiet=True)[1] is False
    fitted, finished = deed.run(remap, quiet=True)
    assert finished and fitted[1].error <= fitted[1].error_before < 0.2


def test_comments_of_a_person_stay_in_the_score(known: Path, remapped: Path, tmp_path: Path) -> None:
    path = once(remapped, tmp_path)
    text = path.read_text().replace("[[shot]]\nnumber = 2", "# the walk\n# at night\n[[shot]]\n# why\nnumber = 2")
    text = "# my score\n" + text.replace('walk = "s03"', '  # mine\nwalk = "s03"') + "# the end\n"
    path.write_text(text)
    for _ in range(2):
        deed.run(job(known, path, again=True, shots=(1,)), quiet=True)
        after = path.read_text()
        assert after.startswith("# my score\ngenerator_sha256") and after.endswith("# the end\n")
        assert "# the walk\n# at night\n[[shot]]\n# why\nnumber = 2\n" in after and '# mine\nwalk = "s03"' in after
        assert after.count("#") == 6


def test_comments_behind_a_value_stay_on_its_line(known: Path, remapped: Path, tmp_path: Path) -> None:
    path = once(remapped, tmp_path)
    text = path.read_text().replace("[[shot]]\nnumber = 2", "[[shot]] # the \"door\"\nnumber = 2#two")
    path.write_text(text.replace('walk = "s03"', 'walk = "s03"  # not "s02"\nlook = "#night" # dark\npin = [\n]  # lost'))
    for _ in range(2):
        deed.run(job(known, path, again=True, shots=(1,)), quiet=True)
        after = path.read_text()
        assert '[[shot]]  # the "door"\nnumber = 2  #two\n' in after and 'walk = "s03"  # not "s02"\n' in after
        assert 'look = "#night"  # dark\n' in after and after.count("#") == 5
    assert read_score(path).shots[2].look == "#night"


def test_the_score_says_what_it_was_made_from(known: Path, remapped: Path, tmp_path: Path) -> None:
    path = once(remapped, tmp_path)
    extra = dict(read_score(path).extra)
    assert extra["film_sha256"] == file_sha(known / "film") and extra["made_with"].startswith("cineml ")
    write_score(replace(read_score(path), extra={**extra, "made_by": FREE}), path)
    deed.run(job(known, path, shots=(1,)), quiet=True)
    assert "free walks" in read_score(path).extra["made_by"] != FREE
    deed.run(job(known, path), quiet=True)
    assert read_score(path).extra["made_by"] == "cineml remap"


def test_damaged_arrays_and_odd_numbers_cost_one_sentence(
    known: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["--film", str(known / "film"), "--cuts", str(known / "cuts.csv"), "--model", str(known / "model"),
            "-o", str(tmp_path / "s.toml")]  # fmt: skip
    anchors = tmp_path / "anchors.npz"
    np.savez(anchors, codes=np.full((24, 8), np.nan, np.float32), frames=np.arange(24))
    whole = anchors.read_bytes()
    np.save(tmp_path / "a.npy", np.zeros(3))
    for data in (whole, whole[:50], b"", (tmp_path / "a.npy").read_bytes()):
        anchors.write_bytes(data)
        assert deed.main([*argv, "--anchors", str(anchors)]) == 2
        told = capsys.readouterr().err
        assert told.count("\n") == 1 and str(anchors) in told and not (tmp_path / "s.toml").exists()
    for option in (["--seed", "99999999999999999999"], ["--seed", "-1"], ["--threads", "100000"], ["--plus", "-3"],
                   ["--shot", "9" * 5000]):  # fmt: skip
        assert deed.main([*argv, *option]) == 2
        told = capsys.readouterr().err
        assert told.count("\n") == 1 and option[0] in told


def test_walks_of_another_checkpoint_do_not_take_the_name_of_the_model_that_was_there(known: Path, tmp_path: Path) -> None:
    path = tmp_path / "score.toml"
    own, other = (deed.source_at(known / name).weights_sha256 for name in ("model", "other"))
    for weights, sha256 in ((own, "9f" * 32), (other, "")):
        deed.run(job(known, path), quiet=True)
        write_score(Score(read_score(path).shots, read_score(path).walks, "9f" * 32, {"weights_sha256": weights}), path)
        deed.run(job(known, path, again=True), quiet=True)
        assert read_score(path).generator_sha256 == sha256
