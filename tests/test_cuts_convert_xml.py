"""FCP7 XML, FCPXML and OTIO of other programs: what their timelines mean, and what is refused."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from player.show.cut_list import CutList
from player.show.problem import ShowError
from tools.cuts_formats import read_cuts
from tools.cuts_timeline import Told


def read(data: str | bytes, folder: Path, name: str = "a.xml", told: Told = Told()) -> CutList:  # noqa: B008
    path = folder / name
    path.write_bytes(data.encode("utf-8") if isinstance(data, str) else data)
    return read_cuts(path, told).cuts


def refusal(data: str | bytes, folder: Path, name: str = "a.xml", told: Told = Told()) -> str:  # noqa: B008
    with pytest.raises(ShowError) as e:
        read(data, folder, name, told)
    return str(e.value)


def rows(cuts: CutList) -> list[tuple[int, int, str, int, int]]:
    return [(s.start, s.end, s.into, s.in_frames, s.out_frames) for s in cuts.shots]


def xmeml(*tracks: str, rate: str = "<timebase>24</timebase><ntsc>FALSE</ntsc>", duration: str = "", more: str = "") -> str:
    inside = "".join(f"<track>{t}</track>" for t in tracks)
    return ('<?xml version="1.0" encoding="UTF-8"?><!DOCTYPE xmeml>'
            f'<xmeml version="5"><sequence id="s"><name>S</name>{duration}'
            f"<rate>{rate}</rate><media><video>{inside}</video></media></sequence>{more}</xmeml>")  # fmt: skip


def clip(start: object, end: object, name: str = "c", more: str = "") -> str:
    return f"<clipitem><name>{name}</name><start>{start}</start><end>{end}</end><in>0</in>{more}</clipitem>"


def mix(start: int, end: int, alignment: str) -> str:
    return f"<transitionitem><start>{start}</start><end>{end}</end><alignment>{alignment}</alignment></transitionitem>"


@pytest.mark.parametrize("alignment", ["start", "center", "end"])
def test_a_dissolve_starts_where_the_new_picture_is_first_seen_however_it_is_aligned(alignment: str, tmp_path: Path) -> None:
    cut = {"start": 24, "center": 30, "end": 36}[alignment]
    for ends in ((-1, -1), (cut, cut)):  # Premiere writes -1, others the place of the cut
        track = clip(0, ends[0]) + mix(24, 36, alignment) + clip(ends[1], 96)
        assert rows(read(xmeml(track), tmp_path)) == [(0, 24, "cut", 0, 0), (24, 96, "dissolve", 12, 0)]


def test_one_sided_transitions_are_fades(tmp_path: Path) -> None:
    track = (mix(0, 12, "start-black") + clip(-1, -1) + mix(36, 48, "end-black") + mix(48, 54, "start-black") + clip(-1, 72)
             + clip(80, -1) + mix(90, 100, "center"))  # fmt: skip
    assert rows(read(xmeml(track), tmp_path)) == [
        (0, 48, "fade", 12, 12), (48, 72, "fade", 6, 0), (72, 80, "cut", 0, 0), (80, 100, "cut", 0, 10)]  # fmt: skip


def test_resolves_edges_of_minus_one_are_found_at_the_transitions(tmp_path: Path) -> None:
    track = mix(0, 24, "start-black") + clip(-1, -1) + mix(84, 108, "center") + clip(-1, 192)
    assert rows(read(xmeml(track), tmp_path)) == [(0, 84, "fade", 24, 0), (84, 192, "dissolve", 24, 0)]


def test_disabled_clips_and_tracks_are_not_seen_and_higher_tracks_cover(tmp_path: Path) -> None:
    off = "<enabled>FALSE</enabled>"
    text = xmeml(clip(0, 20, "a") + clip(20, 40, "b", off) + clip(40, 60, "c"), clip(30, 45, "over"),
                 clip(0, 60, "gone") + off, clip(5, 10, "no", off))  # fmt: skip
    cuts = read(text, tmp_path)
    assert [(s.start, s.end, s.label) for s in cuts.shots] == [(0, 20, "a"), (20, 30, "black"), (30, 45, "over"), (45, 60, "c")]


def test_a_higher_track_dissolves_out_of_the_lower_and_back(tmp_path: Path) -> None:
    upper = mix(24, 30, "start-black") + clip(-1, -1, "b") + mix(40, 48, "end-black")
    cuts = read(xmeml(clip(0, 96, "a"), upper), tmp_path)
    assert rows(cuts) == [(0, 24, "cut", 0, 0), (24, 40, "dissolve", 6, 0), (40, 96, "dissolve", 8, 0)]
    assert [s.label for s in cuts.shots] == ["a", "b", "a"]


def test_titles_over_a_picture_cut_nothing(tmp_path: Path) -> None:
    title = "<generatoritem><name>Text</name><start>10</start><end>20</end></generatoritem>"
    assert len(read(xmeml(clip(0, 48), title), tmp_path).shots) == 1
    assert [s.label for s in read(xmeml(clip(20, 48) + title), tmp_path).shots] == ["black", "Text", "c"]


def test_nested_sequences_are_opened(tmp_path: Path) -> None:
    inner = ('<sequence id="n"><name>N</name><rate><timebase>24</timebase></rate><media><video><track>'
             + clip(0, 30, "x") + clip(30, 90, "y") + "</track></video></media></sequence>")  # fmt: skip
    first = f"<clipitem><name>N</name><start>0</start><end>40</end><in>10</in>{inner}</clipitem>"
    again = '<clipitem><name>N</name><start>40</start><end>70</end><in>0</in><sequence id="n"/></clipitem>'
    cuts = read(xmeml(first + again), tmp_path)
    assert [(s.start, s.end, s.label) for s in cuts.shots] == [(0, 20, "x"), (20, 40, "y"), (40, 70, "x")]


def test_what_the_sequence_goes_on_for_is_black(tmp_path: Path) -> None:
    cuts = read(xmeml(clip(0, 48), duration="<duration>60</duration>"), tmp_path)
    assert [(s.start, s.end, s.label) for s in cuts.shots] == [(0, 48, "c"), (48, 60, "black")]


def test_the_rate_is_exact_and_may_not_be_another(tmp_path: Path) -> None:
    text = xmeml(clip(0, 48), rate="<timebase>30</timebase><ntsc>TRUE</ntsc>")
    assert read(text, tmp_path).rate == Fraction(30000, 1001)
    assert "is at 29.97 frames a second, not 25" in refusal(text, tmp_path, told=Told(rate=Fraction(25)))
    assert "does not say its rate" in refusal(xmeml(clip(0, 48), rate=""), tmp_path)
    assert read(xmeml(clip(0, 48), rate=""), tmp_path, told=Told(rate=Fraction(25))).rate == 25


LAUGHS = '<!DOCTYPE xmeml [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]><xmeml><x>&b;</x></xmeml>'


@pytest.mark.parametrize(("text", "says"), [
    (LAUGHS, "declares an entity"),
    ('<!DOCTYPE xmeml [<!ENTITY e SYSTEM "file:///etc/passwd">]><xmeml>&e;</xmeml>', "declares an entity"),
    ('<!DOCTYPE xmeml [<!ENTITY % p SYSTEM "x.dtd"> %p;]><xmeml/>', "declares an entity"),
    ("<xmeml><sequence></xmeml>", "is not well-formed XML"),
    ("<xmeml>" + "<a>" * 300 + "</a>" * 300 + "</xmeml>", "more than 200 levels"),
    ("<xmeml version='5'/>", "holds no sequence"),
    ("<filter><effect/></filter>", "is a piece of XML, <filter>"),
    (xmeml(), "holds no picture"),
    (xmeml(clip("x", 5)), "has <start>x</start>"),
    (xmeml(clip("9" * 400, 5)), "has <start>999"),
    (xmeml(clip(-1, 5)), "without start or end"),
    (xmeml(clip(0, 5), rate="<timebase>0</timebase>"), "has the timebase '0'"),
    (xmeml(clip(0, 5), more="<sequence><name>T</name><media/></sequence>"), "holds 2 timelines: 'S', 'T'"),
    ('<?xml version="1.0" encoding="klingon"?><xmeml/>', "klingon"),
    ("<html><body/></html>", "is a piece of XML, <html>"),
])
def test_bad_xml_costs_a_sentence(text: str, says: str, tmp_path: Path) -> None:
    assert says in refusal(text, tmp_path)


def test_sequences_nested_in_sequences_do_not_multiply_without_end(tmp_path: Path) -> None:
    def level(n: int) -> str:
        inside = (clip(0, 10) if n == 0 else "".join(
            f'<clipitem><start>{i * 10}</start><end>{i * 10 + 10}</end><in>0</in><sequence id="n{n - 1}"/></clipitem>'
            for i in range(10)))  # fmt: skip
        media = f"<media><video><track>{inside}</track></video></media>"
        return f'<bin><children><sequence id="n{n}">{media}</sequence></children></bin>'

    text = f"<xmeml>{''.join(level(n) for n in range(11))}</xmeml>"
    assert "timelines" in refusal(text, tmp_path)
    own = "".join(f'<clipitem><start>{i}</start><end>{i + 1}</end><in>0</in><sequence id="s"/></clipitem>' for i in range(10))
    assert "nests sequences more than" in refusal(xmeml(own), tmp_path) or "nested sequences" in refusal(xmeml(own), tmp_path)


def test_an_xml_that_lies_about_its_encoding_is_read(tmp_path: Path) -> None:
    cuts = read(xmeml(clip(0, 48, "Åh")).encode("cp1252"), tmp_path)
    assert cuts.shots[0].label == "Åh"
    assert read(xmeml(clip(0, 48, "Åh")).replace("UTF-8", "windows-1252").encode("cp1252"), tmp_path).shots[0].label == "Åh"
    assert read(xmeml(clip(0, 48, "Åh")).replace("UTF-8", "UTF-16").encode("utf-16"), tmp_path).shots[0].label == "Åh"


def fcpxml(spine: str, resources: str = "", sequence: str = "") -> str:
    return ('<?xml version="1.0"?><!DOCTYPE fcpxml><fcpxml version="1.9"><resources>'
            '<format id="f" frameDuration="1001/24000s"/><asset id="a" hasVideo="1" duration="1001/240s"/>'
            f'<asset id="s" hasAudio="1" duration="9s"/>{resources}</resources><project name="P">'
            f'<sequence format="f" {sequence}><spine>{spine}</spine></sequence></project></fcpxml>')  # fmt: skip


def at(frame: int) -> str:
    return f"{frame * 1001}/24000s"


def test_fcpxml_times_are_exact_frames(tmp_path: Path) -> None:
    spine = (f'<asset-clip ref="a" name="one" offset="{at(86400)}" duration="{at(24)}"/>'
             f'<transition offset="{at(86418)}" duration="{at(12)}"/>'
             f'<asset-clip ref="a" name="two" offset="{at(86424)}" duration="{at(1000)}"/>'
             f'<gap duration="{at(10)}"/>')  # fmt: skip
    cuts = read(fcpxml(spine, sequence=f'tcStart="{at(86400)}"'), tmp_path, "a.fcpxml")
    assert cuts.rate == Fraction(24000, 1001)
    assert rows(cuts) == [(0, 18, "cut", 0, 0), (18, 1024, "dissolve", 12, 0), (1024, 1034, "cut", 0, 0)]


def test_fcpxml_lanes_cover_sound_does_not_and_titles_are_left_aside(tmp_path: Path) -> None:
    spine = (f'<asset-clip ref="a" name="base" offset="0s" start="{at(50)}" duration="{at(100)}">'
             f'<asset-clip ref="a" name="over" lane="1" offset="{at(60)}" duration="{at(20)}"/>'
             f'<asset-clip ref="s" name="sound" lane="2" offset="{at(70)}" duration="{at(20)}"/>'
             f'<asset-clip ref="a" name="off" enabled="0" lane="2" offset="{at(80)}" duration="{at(20)}"/>'
             f'<title name="t" lane="3" offset="{at(60)}" duration="{at(5)}"/></asset-clip>')  # fmt: skip
    cuts = read(fcpxml(spine), tmp_path, "a.fcpxml")
    assert [(s.start, s.end, s.label) for s in cuts.shots] == [(0, 10, "base"), (10, 30, "over"), (30, 100, "base")]


def test_compound_clips_are_opened_and_cannot_hold_themselves(tmp_path: Path) -> None:
    inner = f'<asset-clip ref="a" name="x" duration="{at(30)}"/><asset-clip ref="a" name="y" duration="{at(30)}"/>'
    media = f'<media id="m"><sequence format="f"><spine>{inner}</spine></sequence></media>'
    spine = f'<ref-clip ref="m" name="C" start="{at(10)}" duration="{at(40)}"/>'
    cuts = read(fcpxml(spine, media), tmp_path, "a.fcpxml")
    assert [(s.start, s.end, s.label) for s in cuts.shots] == [(0, 20, "x"), (20, 40, "y")]
    loop = '<media id="m"><sequence format="f"><spine><ref-clip ref="m" duration="9s"/></spine></sequence></media>'
    assert "deep" in refusal(fcpxml(spine, loop), tmp_path, "a.fcpxml")


@pytest.mark.parametrize(("text", "says"), [
    (fcpxml('<asset-clip ref="a" duration="5"/>'), "has duration='5'"),
    (fcpxml('<asset-clip ref="a" duration="5/0s"/>'), "has duration='5/0s'"),
    (fcpxml('<title name="t"/>'), "<title> 't' without a duration"),
    (fcpxml('<gap duration="5s"/>'), "holds no picture"),
    (fcpxml("").replace("1001/24000s", "5s"), "frameDuration"),
    ('<fcpxml version="1.9"><library><event/></library></fcpxml>', "holds no project"),
])
def test_bad_fcpxml_costs_a_sentence(text: str, says: str, tmp_path: Path) -> None:
    assert says in refusal(text, tmp_path, "a.fcpxml")


def time(value: float, rate: float = 24) -> dict[str, Any]:
    return {"OTIO_SCHEMA": "RationalTime.1", "rate": rate, "value": value}


def otio_clip(length: float, rate: float = 24, schema: str = "Clip.2", **more: Any) -> dict[str, Any]:
    span = {"OTIO_SCHEMA": "TimeRange.1", "start_time": time(0, rate), "duration": time(length, rate)}
    return {"OTIO_SCHEMA": schema, "name": "c", "source_range": span, **more}


def timeline(*children: Any, **more: Any) -> dict[str, Any]:
    track = {"OTIO_SCHEMA": "Track.1", "kind": "Video", "children": list(children), **more}
    return {"OTIO_SCHEMA": "Timeline.1", "name": "T", "tracks": {"OTIO_SCHEMA": "Stack.1", "children": [track]}}


def test_items_of_other_rates_stand_by_their_seconds(tmp_path: Path) -> None:
    text = json.dumps(timeline(otio_clip(24), otio_clip(48, 48), otio_clip(25, 25), otio_clip(24), schema="x"))
    assert [s.start for s in read(text, tmp_path, "a.otio").shots] == [0, 24, 48, 72]


def test_ranges_of_tracks_trim_and_those_of_other_readers_outside_do_not(tmp_path: Path) -> None:
    span = {"OTIO_SCHEMA": "TimeRange.1", "start_time": time(10), "duration": time(30)}
    text = json.dumps(timeline(otio_clip(24), otio_clip(24), source_range=span))
    assert rows(read(text, tmp_path, "a.otio")) == [(0, 14, "cut", 0, 0), (14, 30, "cut", 0, 0)]


def test_newer_schemas_are_read_where_they_do_not_matter_and_named_where_they_do(tmp_path: Path) -> None:
    marked = otio_clip(24, markers=[{"OTIO_SCHEMA": "Marker.9", "color": {"OTIO_SCHEMA": "Color.1"}}])
    assert read(json.dumps(timeline(marked)), tmp_path, "a.otio").frames == 24
    assert "holds Clip.3, a newer schema than cineml reads" in refusal(
        json.dumps(timeline(otio_clip(24, schema="Clip.3"))), tmp_path, "a.otio")  # fmt: skip


@pytest.mark.parametrize(("thing", "says"), [
    ({}, "holds no timeline"),
    ([], "holds no timeline"),
    ({"OTIO_SCHEMA": "Clip.2"}, "holds no timeline (Clip.2)"),
    (timeline(), "does not say its rate"),
    (timeline({"OTIO_SCHEMA": "Gap.1", "source_range": otio_clip(5)["source_range"]}), "holds no picture"),
    (timeline({"OTIO_SCHEMA": "Clip.2", "name": "n"}, otio_clip(4)), "holds Clip 'n' without a length"),
    (timeline(otio_clip(24), {"OTIO_SCHEMA": "Kitten.1"}), "holds Kitten on a track"),
    (timeline(otio_clip(24), 7), "holds something without OTIO_SCHEMA on a track"),
    (timeline(otio_clip(-24)), "negative length"),
    (timeline(otio_clip(1e300)), "up to"),
    ({"OTIO_SCHEMA": "SerializableCollection.1", "children": [timeline(otio_clip(4)), timeline(otio_clip(4))]}, "2 timelines"),
])
def test_bad_otio_costs_a_sentence(thing: Any, says: str, tmp_path: Path) -> None:
    assert says in refusal(json.dumps(thing), tmp_path, "a.otio")


def test_broken_json_costs_a_sentence(tmp_path: Path) -> None:
    assert "is not JSON" in refusal('{"OTIO_SCHEMA": ', tmp_path, "a.otio")
    assert "nested too deeply" in refusal("[" * 200_000, tmp_path, "a.otio")
    assert "holds a time of value 'nan'" in refusal(json.dumps(timeline(otio_clip(float("nan")))), tmp_path, "a.otio")
    assert "is a zip" in refusal(b"PK\x03\x04 a bundle", tmp_path, "a.otioz")
