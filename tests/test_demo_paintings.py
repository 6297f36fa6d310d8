"""The demo's own paintings: every tone, strokes in every direction, the same bytes again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tools.demo_paintings import PAINTINGS, main


@pytest.mark.parametrize("name", sorted(PAINTINGS))
def test_a_painting_has_every_tone_and_strokes_in_every_direction(name: str) -> None:
    picture = PAINTINGS[name](160)
    assert picture.shape == (160, 160, 3) and np.array_equal(picture, PAINTINGS[name](160))
    luma = picture.astype(np.float32) @ (0.2126, 0.7152, 0.0722)
    soft = np.asarray(Image.fromarray(luma.astype(np.float32)).resize((20, 20), Image.Resampling.BOX))
    assert soft.min() < 80 and soft.max() > 190 and len(np.unique(np.histogram(soft, 8, (40, 230))[0] > 0)) == 1
    dy, dx = np.gradient(luma)
    angle = np.arctan2(dy, dx) % np.pi
    strong = np.hypot(dx, dy) > 20
    assert (np.histogram(angle[strong], 6, (0, np.pi))[0] / strong.sum()).min() > 0.04


def test_the_command_writes_both(tmp_path: Path) -> None:
    assert main(["-o", str(tmp_path / "made")]) == 0
    assert sorted(p.name for p in (tmp_path / "made").iterdir()) == ["oil.png", "woodcut.png"]
    (tmp_path / "file").write_text("")
    assert main(["-o", str(tmp_path / "file")]) == 2
