"""cineml style measure: a painting of which a part is transparent."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("cv2")
pytest.importorskip("matplotlib")

from tests.painted import moving, strokes
from tools import style_measure


@pytest.fixture
def films(tmp_path: Path) -> tuple[Path, Path]:
    """Two folders of one frame each."""
    for name, picture in (("film", moving(0)), ("made", strokes(96, 72, seed=9))):
        (tmp_path / name).mkdir()
        Image.fromarray(picture).save(tmp_path / name / "0.png")
    return tmp_path / "film", tmp_path / "made"


def test_what_of_a_painting_is_transparent_plays_no_part(films: tuple[Path, Path], tmp_path: Path) -> None:
    whole = strokes(80, 72)
    alpha = np.full((72, 80), 255, np.uint8)
    alpha[:, 40:] = 0
    Image.fromarray(np.dstack([whole, alpha])).save(tmp_path / "half.png")
    Image.fromarray(whole[:, :40]).save(tmp_path / "cut.png")
    found = []
    for name in ("half", "cut"):
        out = tmp_path / f"{name}_out"
        words = [*map(str, films), "--style", str(tmp_path / f"{name}.png"), "-o", str(out), "--threads", "1"]
        assert style_measure.main(words) == 0
        films_told = json.loads((out / "measure.json").read_text())["films"]["made"]
        found.append([films_told["style"], films_told["sharpness_of_painting"]])
    assert found[0] == pytest.approx(found[1], rel=1e-6)


def test_a_painting_of_scattered_pixels_is_one_sentence(films: tuple[Path, Path], tmp_path: Path,
                                                        capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    alpha = np.full((80, 120), 255, np.uint8)
    alpha[::5] = 0
    Image.fromarray(np.dstack([strokes(120, 80), alpha])).save(tmp_path / "torn.png")
    out = tmp_path / "out"
    assert style_measure.main([str(films[0]), str(films[1]), "--style", str(tmp_path / "torn.png"), "-o", str(out)]) == 2
    said = capsys.readouterr().err.strip()
    assert "torn.png" in said and "7x7" in said and len(said.splitlines()) == 1 and not out.exists()
