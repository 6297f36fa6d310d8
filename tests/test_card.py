"""`cineml check --card`: the page takes the place of an older card and of nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from player.__main__ import main as player
from tests.review_show import write_show


def check(show: Path, card: Path) -> int:
    return player(["check", str(show), "--offscreen", "--no-sound", "--osc-port", "0", "--card", str(card)])


@pytest.mark.parametrize("name", ["show.toml", "film.mp4", "cuts.csv", "score.toml", "score.npz", "models/synthesis.onnx"])
def test_a_card_is_never_written_over_what_the_show_reads(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    show = write_show(tmp_path / "show")
    kept = (show.parent / name).read_bytes()
    assert check(show, show.parent / name) == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1 and "--card" in told[0] and "would be written over the" in told[0]
    assert (show.parent / name).read_bytes() == kept


def test_a_card_takes_the_place_of_an_older_card_and_of_no_other_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    show, card = write_show(tmp_path / "show", score=False), tmp_path / "card.html"
    card.touch()  # as mktemp leaves it
    assert check(show, card) == 0
    first = card.read_bytes()
    show.write_text(show.read_text() + '[about]\ntitle = "' + "later " * 2000 + '"\n')
    assert check(show, card) == 0 and card.read_bytes() != first
    capsys.readouterr()
    for other in (b"<!doctype html><p>mine</p>", b"\x00\xff" * 99, b"notes"):
        card.write_bytes(other)
        assert check(show, card) == 2 and card.read_bytes() == other
        told = capsys.readouterr().err.splitlines()
        assert len(told) == 1 and "is there and no card" in told[0]
