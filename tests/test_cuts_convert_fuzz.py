"""Whatever a file holds, it is a cut list or a sentence, and soon one or the other."""

from __future__ import annotations

import contextlib
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from player.show.cut_list import CutList, Shot, format_csv, problems_of
from player.show.problem import ShowError
from tests.test_cuts_convert_edl import MPV, SCENES
from tests.test_cuts_convert_xml import clip, fcpxml, mix, otio_clip, timeline, xmeml
from tools.cuts_formats import formatted, read_cuts
from tools.cuts_notes import Layout
from tools.cuts_options import READ
from tools.cuts_timeline import Told

TOLD = Told(rate=Fraction(24))
SHOTS = (Shot(1, 0, 40, "fade", 10, "black", label="a", group="g"), Shot(2, 40, 90, "dissolve", 12, "", "fade", 8, "black"),
         Shot(3, 90, 120, "fade", 5, "white"))  # fmt: skip
CUTS = CutList("f.mp4", Fraction(24), 120, SHOTS)
WHOLE = {
    "csv": format_csv(CUTS),
    "edl": formatted(CUTS, "edl", "a", Layout("f.mp4"))[0],
    "otio": formatted(CUTS, "otio", "a", Layout("f.mp4"))[0],
    "fcp7": formatted(CUTS, "fcp7", "a", Layout("f.mp4"))[0],
    "fcpx": fcpxml('<asset-clip ref="a" offset="0s" duration="2s"><title lane="1" offset="1s" duration="1s"/></asset-clip>'
                   '<transition offset="1s" duration="1s"/><ref-clip ref="a" duration="1s"/>'),  # fmt: skip
    "scenedetect": SCENES,
    "mpv": MPV,
}  # fmt: skip
PIECES = ("AX", "BL", "V", "C", "D", "W001", "012", "00:00:01:00", "00:00:02:23", "01:00:00;00", "99:99:99:99",
          "* FROM CLIP NAME: x", '* CINEML: {"label": 3}', '* CINEML: {"rate": "24/1"}', "FCM: DROP FRAME", "M2",
          "001", "002", "\n", "\n", "TITLE: t")  # fmt: skip
VALUES = (b"-1", b"0", b"99999999999999999999", b"1e400", b"NaN", b"-", b"\xff", b"<", b"}", b'"', b"null", b"0.5")


def read_or_refuse(data: bytes, folder: Path, kind: str = "") -> None:
    path = folder / "a.any"
    path.write_bytes(data)
    for told in (TOLD, Told()):
        with contextlib.suppress(ShowError):
            cuts = read_cuts(path, told, kind).cuts
            assert problems_of(cuts, "a") == []
            format_csv(cuts).encode("utf-8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


@pytest.mark.parametrize("kind", READ)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_a_damaged_file_is_a_cut_list_or_a_sentence(kind: str, folder: Path, data: st.DataObject) -> None:
    whole = WHOLE[kind].encode("utf-8")
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(whole)))
        cut = data.draw(st.integers(0, 6))
        whole = whole[:at] + data.draw(st.one_of(st.binary(max_size=4), st.sampled_from(VALUES))) + whole[at + cut :]
    read_or_refuse(whole, folder)
    read_or_refuse(whole, folder, kind)


@pytest.mark.parametrize("kind", READ)
@given(text=st.text(max_size=200))
@settings(max_examples=25, deadline=None)
def test_any_text_is_a_cut_list_or_a_sentence(kind: str, folder: Path, text: str) -> None:
    read_or_refuse(text.encode("utf-8", "replace"), folder, kind)
    read_or_refuse(text.encode("utf-8", "replace"), folder)


@given(st.lists(st.sampled_from(PIECES), max_size=60))
@settings(max_examples=120, deadline=None)
def test_any_order_of_an_edls_words_is_a_cut_list_or_a_sentence(folder: Path, words: list[str]) -> None:
    read_or_refuse(" ".join(words).replace(" \n ", "\n").encode(), folder, "edl")


LINE = st.tuples(st.integers(1, 4), st.sampled_from(("AX", "BL", "R2")), st.sampled_from(("V", "V2", "AA")),
                 st.sampled_from(("C", "C", "D 004", "D 030", "W001 008")), st.integers(0, 47), st.integers(0, 30))  # fmt: skip


@given(st.lists(LINE, max_size=10))
@settings(max_examples=120, deadline=None)
def test_any_events_are_a_sound_cut_list(folder: Path, lines: list[tuple[int, str, str, str, int, int]]) -> None:
    """Overlaps, gaps, tracks and transitions of every kind: where there is a picture, there is a list."""
    def code(frame: int) -> str:
        return f"00:00:{frame // 24:02d}:{frame % 24:02d}"

    text = "".join(f"{n:03d} {reel} {channel} {kind} {code(0)} {code(length)} {code(start)} {code(start + length)}\n"
                   for n, reel, channel, kind, start, length in lines)  # fmt: skip
    path = folder / "a.edl"
    path.write_text(text, encoding="utf-8")
    if any(channel != "AA" and length for _, _, channel, _, _, length in lines):
        cuts = read_cuts(path, TOLD, "edl").cuts
        assert problems_of(cuts, "a") == [] and cuts.frames > 0
        starts = [start for _, _, channel, _, start, length in lines if channel != "AA" and length]
        ends = [start + length for _, _, channel, _, start, length in lines if channel != "AA" and length]
        assert cuts.frames == max(ends) - min(starts)
    else:
        read_or_refuse(text.encode(), folder, "edl")


PLACE, ALIGNMENT = st.integers(0, 60), st.sampled_from(("start", "center", "end", "start-black", "end-black", ""))
OFF = st.sampled_from(("", "", "<enabled>FALSE</enabled>"))
CLIP = st.builds(lambda s, n, off: clip(s, s + n, more=off), PLACE, st.integers(1, 30), OFF)
MIX = st.builds(lambda s, n, a: mix(s, s + n, a), PLACE, st.integers(0, 20), ALIGNMENT)
OPEN = st.one_of(st.builds(lambda s: clip(-1, s), PLACE), st.just(clip(-1, -1)))


@given(st.lists(st.lists(st.one_of(CLIP, MIX, OPEN), max_size=6), max_size=3))
@settings(max_examples=150, deadline=None)
def test_any_tracks_of_clips_and_transitions_are_a_cut_list_or_a_sentence(folder: Path, tracks: list[list[str]]) -> None:
    read_or_refuse(xmeml(*("".join(track) for track in tracks)).encode(), folder)


KEYS = st.sampled_from(("OTIO_SCHEMA", "children", "source_range", "tracks", "duration", "start_time", "value", "rate", "kind",
                        "metadata", "cineml", "name", "media_references", "in_offset"))  # fmt: skip
LEAF = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5))
JSON = st.recursive(LEAF, lambda c: st.one_of(st.lists(c, max_size=3), st.dictionaries(KEYS, c, max_size=4)), max_leaves=8)
OFFSET = st.builds(lambda n: {"value": n, "rate": 24}, st.integers(-5, 20))
CHILD = st.one_of(
    st.builds(otio_clip, st.integers(0, 40), st.sampled_from((24, 25, 23.976))),
    st.builds(lambda a, b: {"OTIO_SCHEMA": "Transition.1", "in_offset": a, "out_offset": b}, OFFSET, OFFSET),
    st.builds(lambda n: {**otio_clip(n), "OTIO_SCHEMA": "Gap.1"}, st.integers(0, 20)),
    st.builds(lambda j: {"OTIO_SCHEMA": "Clip.2", "source_range": j, "metadata": {"cineml": j}, "media_references": j}, JSON),
    JSON)  # fmt: skip


@given(st.lists(CHILD, max_size=6), JSON)
@settings(max_examples=150, deadline=None)
def test_any_children_of_an_otio_are_a_cut_list_or_a_sentence(folder: Path, children: list[Any], trim: Any) -> None:
    read_or_refuse(json.dumps(timeline(*children)).encode(), folder)
    read_or_refuse(json.dumps(timeline(*children, source_range=trim)).encode(), folder)
    read_or_refuse(json.dumps(trim).encode(), folder, "otio")
