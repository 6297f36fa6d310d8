"""The shots of a film, from its cut list or found in it, as far as they lie in the part that is worked on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from player.progress import Progress
from player.show.cut_list import CutList
from tools.film_dataset import cuts_asked
from tools.film_dataset_source import Footage

MOST_FRAMES = 20_000  # of a span: flow of so many reduced frames is held at once, in less than 1 GB


@dataclass(frozen=True)
class Span:
    """Frames [start, end) of one shot. shot: its number in the cut list. clear_start, clear_end: those of them that show
    this shot alone, past its dissolve or fade in and before its fade out; all of them where there are none."""

    shot: int
    start: int
    end: int
    clear_start: int
    clear_end: int

    @property
    def frames(self) -> int:
        return self.end - self.start


def cuts_of(path: Path | None, footage: Footage, first: int, last: int, out: TextIO) -> CutList:
    """The film's cut list; where none is given, what `cineml cuts detect` would find in [first, last). Raises ShowError."""
    given = cuts_asked(path, footage)
    if given is not None:
        return given
    from tools.cuts_find import find, settings_for
    from tools.cuts_pictures import FilmSource, reduced_frames
    from tools.cuts_transition import cut_list

    width, height = footage.size
    source = FilmSource(footage.path, footage.rate, footage.frames, width, height, tuple(p.name for p in footage.files))
    progress = Progress(last, "frames looked at for cuts", out)
    reduced = reduced_frames(source, first, last, progress.at)
    found, _ = find(reduced, float(footage.rate), settings_for(0.5), footage.frames)
    cuts = cut_list(found, footage.path.name, footage.rate, footage.frames)
    inside = sum(s.start < last and s.end > first for s in cuts.shots)
    progress.done(f"no cut list: {inside} shot{'s' * (inside != 1)} found (--cuts CUTS.csv to say otherwise),")
    return cuts


def spans_of(cuts: CutList, first: int, last: int, most: int = MOST_FRAMES) -> list[Span]:
    """The shots as far as they lie in [first, last), in pieces of at most `most` frames."""
    spans: list[Span] = []
    for shot in cuts.shots:
        clear = shot.start + shot.in_frames, shot.end - shot.out_frames
        if clear[0] >= clear[1]:
            clear = shot.start, shot.end
        start, end = max(shot.start, first), min(shot.end, last)
        pieces = max(1, -(-(end - start) // most))
        for i in range(pieces if end > start else 0):
            a, b = start + (end - start) * i // pieces, start + (end - start) * (i + 1) // pieces
            inner = max(a, clear[0]), min(b, clear[1])
            spans.append(Span(shot.number, a, b, *(inner if inner[0] < inner[1] else (a, b))))
    return spans


def shots_named(numbers: Sequence[int]) -> str:
    """'shot 4' or 'shots 1, 2, 5-9': shot numbers in few words."""
    parts: list[list[int]] = []
    for n in sorted(set(numbers)):
        if parts and n == parts[-1][1] + 1:
            parts[-1][1] = n
        else:
            parts.append([n, n])
    told = ", ".join(str(a) if a == b else f"{a}, {b}" if b == a + 1 else f"{a}-{b}" for a, b in parts)
    return f"shot{'s' * (len(set(numbers)) != 1)} {told}"
