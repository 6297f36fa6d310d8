"""Pictures from films, folders and zips: what is read, what is refused, labels, and which come next."""

from __future__ import annotations

import json
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from player.show.problem import ShowError
from tools.train_dataset import Sampler, asked_of, load_dataset
from tools.train_source import label_table, picture_names, survey

pytestmark = pytest.mark.usefixtures("one_thread")


def png(picture: np.ndarray) -> bytes:
    out = BytesIO()
    Image.fromarray(picture).save(out, format="PNG")
    return out.getvalue()


def pictures(count: int = 5, size: int = 16, colour: bool = False) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 255, (size, size, 3) if colour else (size, size), np.uint8) for _ in range(count)]


def write_zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """A zip as the StyleGAN tools write it, with labels, and what a Mac leaves in it."""
    members = {f"00000/img{i:08d}.png": png(p) for i, p in enumerate(pictures())}
    labels = [[name, i % 3] for i, name in enumerate(members)]
    extra = {"dataset.json": json.dumps({"labels": labels}).encode(), "__MACOSX/00000/._img.png": b"no picture"}
    return write_zip(tmp_path / "set.zip", members | extra)


def test_a_zip_of_the_stylegan_tools_is_read_with_its_labels(labelled: Path) -> None:
    data = load_dataset(labelled, None, 16, 1, labelled=True)
    assert np.array_equal(data.images[:, 0], np.stack(pictures())) and not data.film
    assert data.labels is not None
    assert data.labels.tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0], [0, 1, 0]]


def test_a_folder_in_folders_is_read_in_order_of_path(tmp_path: Path) -> None:
    for i, picture in enumerate(pictures(4)):
        (tmp_path / f"{i % 2}").mkdir(exist_ok=True)
        (tmp_path / f"{i % 2}" / f"{i}.png").write_bytes(png(picture))
    (tmp_path / "notes.txt").write_text("no picture")
    assert picture_names(tmp_path) == ["0/0.png", "0/2.png", "1/1.png", "1/3.png"]
    assert len(load_dataset(tmp_path, None, 8, 3).images) == 4
    assert len(load_dataset(tmp_path, None, 8, 3, "1", "3").images) == 2


def test_vectors_are_labels_too(tmp_path: Path) -> None:
    (tmp_path / "dataset.json").write_text('{"labels": [["a.png", [0.5, 1]], ["b.png", [0, 2]]]}')
    assert label_table(tmp_path, ["b.png", "a.png"]).tolist() == [[0, 2], [0.5, 1]]


@pytest.mark.parametrize(("text", "sentence"), [
    ("nothing", "holds no labels"),
    ("{}", "holds no labels"),
    ('{"labels": null}', "holds no labels"),
    ('{"labels": [["a.png", 1]]}', "has no label for 1 pictures, the first is b.png"),
    ('{"labels": [["a.png", 1], ["b.png", 99999]]}', "has classes 1 to 99999"),
    ('{"labels": [["a.png", [1, 2]], ["b.png", [1]]]}', "mixes kinds of labels"),
    ('{"labels": [["a.png", [1]], ["b.png", 1]]}', "mixes kinds of labels"),
    ('{"labels": [["a.png", [NaN]], ["b.png", [1]]]}', "mixes kinds of labels"),
    ('{"labels": [["a.png", "cat"], ["b.png", "dog"]]}', "mixes kinds of labels"),
])
def test_bad_labels_are_refused_with_a_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "dataset.json").write_text(text)
    with pytest.raises(ShowError, match=sentence):
        label_table(tmp_path, ["a.png", "b.png"])


def test_grey_and_colour_are_told_apart(tmp_path: Path) -> None:
    grey = write_zip(tmp_path / "grey.zip", {f"{i}.png": png(np.repeat(p[..., None], 3, 2)) for i, p in enumerate(pictures())})
    colour = write_zip(tmp_path / "colour.zip", {f"{i}.png": png(p) for i, p in enumerate(pictures(colour=True))})
    assert survey(grey).channels == 1 and survey(colour).channels == 3
    assert (survey(colour).width, survey(colour).pictures, survey(colour).kind) == (16, 5, "zip")


def test_a_truncated_zip_is_named(tmp_path: Path, labelled: Path) -> None:
    short = tmp_path / "short.zip"
    short.write_bytes(labelled.read_bytes()[:-30])
    with pytest.raises(ShowError, match=r"short\.zip: cannot be read as a zip"):
        load_dataset(short, None, 16, 1)


def test_a_damaged_member_is_named(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "set.zip", {"a.png": png(pictures()[0]), "b.png": b"\x89PNG\r\n\x1a\n but no more"})
    with pytest.raises(ShowError, match=r"set\.zip: b\.png: cannot be read as a picture"):
        load_dataset(path, None, 16, 1)
    data = bytearray(write_zip(tmp_path / "crc.zip", {"a.png": png(pictures()[0]), "b.png": png(pictures()[1])}).read_bytes())
    data[data.index(b"IDAT") + 9] ^= 255
    (tmp_path / "crc.zip").write_bytes(bytes(data))
    with pytest.raises(ShowError, match=r"a\.png: cannot be read as a picture"):
        load_dataset(tmp_path / "crc.zip", None, 16, 1)


def test_sizes_are_checked_before_anything_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_zip(tmp_path / "set.zip", {f"{i}.png": png(p) for i, p in enumerate(pictures())})
    monkeypatch.setattr("tools.train_source.MOST_PICTURE_BYTES", 100)
    with pytest.raises(ShowError, match="a picture"):
        load_dataset(path, None, 16, 1)
    monkeypatch.setattr("tools.train_source.MOST_PICTURE_BYTES", 1 << 20)
    monkeypatch.setattr("tools.train_source.MOST_PIXELS", 100)
    with pytest.raises(ShowError, match="is 16 x 16"):
        load_dataset(path, None, 16, 1)


def test_pictures_of_several_sizes_are_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "set.zip", {"a.png": png(pictures(1, 16)[0]), "b.png": png(pictures(1, 32)[0])})
    with pytest.raises(ShowError, match="mixes sizes: 32 x 32"):
        load_dataset(path, None, 16, 1)


def test_a_source_that_is_not_there_or_empty_is_named(tmp_path: Path) -> None:
    with pytest.raises(ShowError, match="does not exist"):
        survey(tmp_path / "none")
    with pytest.raises(ShowError, match="holds no pictures"):
        survey(tmp_path)
    (tmp_path / "film.mp4").write_bytes(b"not a film")
    with pytest.raises(ShowError, match="cannot be read as a film"):
        survey(tmp_path / "film.mp4")


def test_black_and_still_frames_are_kept(tmp_path: Path) -> None:
    import av

    path = tmp_path / "film.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for i in range(30):
            level = 0 if i < 20 else 255
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), level, np.uint8), format="rgb24")
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    assert len(load_dataset(path, None, 8, 1).images) == 30
    some = load_dataset(path, None, 8, 1, "00:00:00:10", "22")
    assert len(some.images) == 12 and some.images[:10].max() < 10 and some.images[10:].min() > 245
    with pytest.raises(ShowError, match="--cond was given"):
        load_dataset(path, None, 8, 1, labelled=True)


def test_kept_pictures_are_read_from_the_run_only_where_they_are_the_asked_ones(tmp_path: Path, labelled: Path) -> None:
    run = tmp_path / "run"
    first = load_dataset(labelled, run, 16, 1)
    again = load_dataset(labelled, run, 16, 1)
    assert isinstance(again.images, np.memmap) and np.array_equal(first.images, again.images)
    assert torch.equal(again.batch(torch.tensor([1, 4])), first.batch(torch.tensor([1, 4])))
    assert load_dataset(labelled, run, 8, 1).images.shape == (5, 1, 8, 8)
    (run / "dataset.u8").write_bytes(b"short")
    assert load_dataset(labelled, run, 8, 1).images.shape == (5, 1, 8, 8)
    assert sorted(p.name for p in run.iterdir()) == ["dataset.json", "dataset.u8"]


def test_a_source_that_fails_leaves_no_run_folder(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "set.zip", {"a.png": png(pictures()[0]), "b.png": b"no"})
    with pytest.raises(ShowError):
        load_dataset(path, tmp_path / "run", 16, 1)
    assert not (tmp_path / "run").exists()


def test_every_picture_comes_once_an_epoch_and_each_process_gets_its_own() -> None:
    known = np.array([3, 5, 8, 13, 21, 34])
    whole, parts = Sampler(known, 1), [Sampler(known, 1) for _ in range(2)]
    drawn = np.concatenate([whole.take(4) for _ in range(3)])
    assert sorted(drawn[:6]) == sorted(drawn[6:]) == known.tolist()
    shares = [np.concatenate([p.take(2, rank, 2) for rank, p in enumerate(parts)]) for _ in range(3)]
    assert np.array_equal(np.concatenate(shares), drawn)
    later = Sampler(known, 1)
    later.position = 5
    assert np.array_equal(later.take(4), drawn[5:9])


def test_alpha_is_seen_where_it_hides_something(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name, alpha in (("cut", (0, 200)), ("whole", (255, 256))):
        (tmp_path / name).mkdir()
        for i in range(3):
            picture = rng.integers(0, 255, (16, 16, 4), np.uint8)
            picture[..., 3] = rng.integers(*alpha, (16, 16), np.uint8)
            (tmp_path / name / f"{i}.png").write_bytes(png(picture))
    assert survey(tmp_path / "cut").channels == 4 and survey(tmp_path / "whole").channels == 3
    assert load_dataset(tmp_path / "cut", None, 16, 4).images[:, 3].max() < 200


def test_a_folder_is_known_again_by_what_its_pictures_take(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name / "set").mkdir(parents=True)
        for i, picture in enumerate(pictures(3)):
            (tmp_path / name / "set" / f"{i}.png").write_bytes(png(picture))
    (tmp_path / "b" / "set" / "notes.txt").write_text("no picture")
    one, two = (asked_of(tmp_path / name / "set", 16, 1, None, None) for name in ("a", "b"))
    assert one | {"mtime_ns": 0} == two | {"mtime_ns": 0} and one["pictures"] == 3
    (tmp_path / "b" / "set" / "3.png").write_bytes(png(pictures()[3]))
    assert asked_of(tmp_path / "b" / "set", 16, 1, None, None)["bytes"] > one["bytes"]
