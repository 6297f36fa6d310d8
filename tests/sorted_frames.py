"""Forty plain frames in two ramps of colour, and the command that sorts them: what the tests of `cineml sort` share."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from tools import sort_pictures

CUTS = "# film: a.mp4\n# rate: 24/1\n# frames: 40\nshot,start,end,label,group\n1,0,10,dawn,a\n2,10,20,,b\n3,20,40,,\n"


def colour_of(i: int) -> tuple[int, int, int]:
    """Two ramps, one red and one blue."""
    return (60 + 8 * i, 20, 20) if i < 20 else (20, 20, 60 + 8 * (i - 20))


def frames_below(folder: Path) -> Path:
    """Writes f000000.png to f000039.png, 24 x 18, each of one colour, into its subfolder "frames"."""
    made = folder / "frames"
    made.mkdir()
    for i in range(40):
        Image.new("RGB", (24, 18), colour_of(i)).save(made / f"f{i:06d}.png")
    return made


def sort(*argv: object) -> int:
    return sort_pictures.main([str(a) for a in argv])
