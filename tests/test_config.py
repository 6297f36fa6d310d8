"""Shows and venues as TOML: what is read, and that every mistake is said, all at once, in a person's words."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from player.show.config import load_show, load_venue, read_show, with_venue
from player.show.cut_list import CutList, Shot, write_csv
from player.show.problem import ShowError
from player.show.show import Control, Output, SoundOut
from player.show.toml_table import TomlTable
from player.state import first_state
from tests import whole_show
from tests.whole_show import FRAMES, SHOTS, WHOLE, changed, made_folder, probe, problems, show_of, the_problem


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with everything that WHOLE names, sound in itself; only the film is not a film."""
    return made_folder(tmp_path)


def test_a_whole_show_is_read(folder: Path) -> None:
    show = show_of(folder)
    assert (show.name, show.source, show.look, show.loop) == ("whole", "generator", "night", True)
    assert (show.film.rate, show.film.frames, show.film.width, show.film.height) == (24, FRAMES, 480, 360)
    assert show.film.path == show.fallback == folder / "film.mp4" and show.film.sound == folder / "sound.wav"
    assert show.cuts.shots == SHOTS and show.generator == folder / "models"
    assert show.looks["night"].values == {"grain": 0.5, "hold": 1.0}
    assert show.score_shot(3).entry == "glide"
    assert [(c.name, c.at_frame, c.sends) for c in show.cues] == [
        ("dark", 24, (("/cineml/output/fade", 0.0, 2.0), ("/cineml/sound/mute", True, None))),
        ("cue 2", None, (("/cineml/look/select", "night", None), ("/cineml/transport/pause", None, None)))]
    assert (show.output, show.sound, show.control) == (Output(), SoundOut(), Control())
    assert first_state(show).look["grain"] == 0.5


def test_the_test_card_needs_no_file(repo: Path) -> None:
    show = load_show(repo / "show_configs" / "testcard.toml")
    assert show.source == "testcard" and show.film.path is None and show.film.sound is None
    assert {s.frames for s in show.cuts.shots} == {5 * show.film.rate}
    assert show.cuts.frames == show.film.frames


def test_the_example_venue_is_sound(repo: Path) -> None:
    show = load_show(repo / "show_configs" / "testcard.toml")
    moved = with_venue(show, load_venue(repo / "show_configs" / "venue_example.toml"))
    assert moved.output.fullscreen and moved.output.size == (1920, 1080) and moved.output.fit == show.output.fit
    assert moved.sound.channels == (1, 2) and moved.control.glide_s == show.control.glide_s


@pytest.mark.parametrize("name", ["every_key.toml", "demo/demo.toml", "style.toml"])
def test_the_shows_that_are_shipped_are_sound(repo: Path, name: str) -> None:
    path = repo / "show_configs" / name
    if not (repo / "show_configs" / "demo" / "score.npz").exists():
        pytest.skip("needs the demo show's files: make demo-show")
    from player.sources.film_reader import probe_film
    show = load_show(path, probe_film)
    assert show.cues and ({"print", "nitrate"} <= set(show.looks) or "steps" in show.looks)


def every_known_key(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, set[str], set[str]]]:
    """(table, keys known, keys given) of each table of a file; two [look.NAME]s and [[cue]]s count as one."""
    seen: dict[str, tuple[set[str], set[str]]] = {}

    def noted(table: TomlTable) -> None:
        name = table.name.split(" ")[0]
        name = "look.NAME" if name.startswith("look.") else name
        known, given_keys = seen.setdefault(name, (set(), set()))
        known.update(table._known)
        given_keys.update(table._data)

    monkeypatch.setattr(TomlTable, "done", noted)
    load_show(path, probe)
    yield from ((name, *both) for name, both in seen.items())


ELSEWHERE = {"film": {"frames", "mask"}, "about": {"film_sha256", "made_with"}, "stylizer": {"file", "size", "style"},
             "camera": {"device", "format", "size", "rate_hz"}}  # fmt: skip


def test_every_key_is_explained_in_place(repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (repo / "show_configs" / "every_key.toml").read_text(encoding="utf-8")
    given_tables = tomllib.loads(text)
    demo = tmp_path / "demo"
    demo.mkdir()
    made_folder(demo, (*SHOTS, Shot(4, 96, 1440)))
    (demo / "film.mp4").rename(demo / Path(given_tables["film"]["file"]).name)
    (tmp_path / given_tables["captions"]["file"]).write_text("1\n00:00:01,000 --> 00:00:02,000\nHello\n", encoding="utf-8")
    (demo / "sound.wav").rename(demo / Path(given_tables["film"]["sound"]).name)
    (tmp_path / "every_key.toml").write_text(text, encoding="utf-8")
    monkeypatch.setattr(whole_show, "FRAMES", 1440)
    tables = list(every_known_key(tmp_path / "every_key.toml", monkeypatch))
    assert len(tables) == 15
    for name, known, given_keys in tables:
        # What stands there commented out: the demo's length is the demo's to say, and it has no camera
        assert known - given_keys <= (ELSEWHERE.get(name, set())), name
        assert given_keys <= known, name
        assert all(f"# {key} = " in text for key in ELSEWHERE.get(name, ()))


@pytest.mark.parametrize(("text", "says"), [
    (changed("[play]", "[paly]"), "show.toml: paly: is not known; allowed: name, film, play"),
    (changed("look = \"night\"", "lok = \"night\""), "play.lok: is not known; allowed: source, loop"),
    (changed("grain = 0.5", "grian = 0.5"), "did you mean 'grain'?"),
    (changed("grain = 0.5", "grain = 1.5"), "look.night.grain: is 1.5; allowed: a number from 0 to 1"),
    (changed("grain = 0.5", "grain = nan"), "look.night.grain: is nan"),
    (changed("grain = 0.5", "grain = true"), "look.night.grain: is true"),
    (changed("hold = true", "hold = 1"), "look.night.hold: is 1; allowed: true or false"),
    (changed("look = \"night\"", "look = \"nite\""),
     "play.look: is 'nite'; allowed: a [look.NAME] of this file; try: did you mean 'night'?"),
    (changed("source = \"generator\"", "source = \"generatr\""), "did you mean 'generator'?"),
    (changed("source = \"generator\"", "loop = \"yes\"\nsource = \"generator\""),
     "play.loop: is 'yes'; allowed: true or false"),
    (changed("look = \"night\"", "look = \"night\"\nstart = \"00:00:04:00\""),
     "is frame 96, after the film's end; allowed: frames 0 to 95"),
    (changed("look = \"night\"", "look = \"night\"\nstart = 1.5"), "play.start: 1.5 is not a time"),
    (changed("look = \"night\"", "look = \"night\"\nstart = 00:00:01"), "play.start: datetime.time"),
    (changed("film.mp4", "flim.mp4"), "film.file: 'flim.mp4' is missing"),
    (changed("sound.wav", "sound.ogg"), "film.sound: 'sound.ogg' is missing"),
    (changed("cuts.csv", "cut.csv"), "film.cuts: 'cut.csv' is missing"),
    (changed("\"models\"", "\"model\""), "generator.folder: 'model' is missing"),
    (changed("\"models\"", "\"film.mp4\""), "generator.folder: 'film.mp4' is not a folder"),
    (changed("score.toml", "skore.toml"), "score.file: 'skore.toml' is missing"),
    (changed("[film]", "[film]\nrate = 25"), "film.rate: is 25, but film.mp4 has 24"),
    (changed("[film]", "[film]\nframes = 95"), "film.frames: is 95, but film.mp4 has 96"),
    (changed("[film]", "[film]\nrate = \"fast\""), "film.rate: is 'fast'"),
    (changed("[film]", "[film]\nwidth = 480.0"), "film.width: is 480.0; allowed: a whole number"),
    (changed("at = \"00:00:01:00\"", "at = \"00:00:01:00\"\ngo = true"), "[[cue]] 1.at: and go = true both stand there"),
    (changed("at = \"00:00:01:00\"", ""), "[[cue]] 1.at: is missing"),
    (changed("at = \"00:00:01:00\"", "at = 400"), "400 is frame 400, after the film's end"),
    (changed("/cineml/output/fade", "/cineml/output/fad"), "/cineml/output/fad is no address of this player; did you mean"),
    (changed("0.0, 2.0", "7.0, 2.0"), "/cineml/output/fade: 7 clipped to 1"),
    (changed("\"/cineml/look/select\", \"night\"", "\"/cineml/look/select\", \"day\""), "the show has no look 'day'"),
    (changed("\"/cineml/transport/pause\"", "\"/cineml/window/quit\""), "is no address of this player"),
    (changed("[[\"/cineml/output/fade\", 0.0, 2.0], [\"/cineml/sound/mute\", true]]", "\"/cineml/output/fade\""),
     "[[cue]] 1.send: is"),
    (WHOLE + "[output.side]\nsize = [640, 480]\n", "output.side: is not a known role; allowed: main"),
    (WHOLE + "[output.main]\nsize = [640]\n", "output.main.size: is [640]; allowed: [width, height]"),
    (WHOLE + "[output.main]\nfit = \"stretch\"\n", "output.main.fit: is 'stretch'; allowed: contain, cover"),
    (WHOLE + "[sound]\nchannels = [0]\n", "sound.channels: is [0]"),
    (WHOLE + "[sound]\nvolume = 2\n", "sound.volume: is 2; allowed: a number from 0 to 1"),
    (WHOLE + "[control]\nosc_port = 70000\n", "control.osc_port: is 70000"),
    (WHOLE + "[control]\nosc_bind = \"localhost\"\n", "control.osc_bind: is 'localhost'"),
    (WHOLE + "[control]\nallow = [\"everybody\"]\n", "control.allow: holds 'everybody'"),
    (changed("name = \"whole\"", "name = 3"), "show.toml: name: is 3; allowed: a text in quotes"),
    (changed("[film]\nfile", "[[film]]\nfile"), "film: is"),
])
def test_a_mistake_is_said_with_file_key_given_and_allowed(folder: Path, text: str, says: str) -> None:
    found = problems(folder, text)
    assert any(says in p for p in found), found
    assert all(p.startswith("show.toml: ") for p in found)


@pytest.mark.parametrize("text", [changed("grain = 0.5", "grian = 0.5"), changed("film.mp4", "flim.mp4"),
                                  changed("cuts.csv", "cut.csv"), changed("score.toml", "skore.toml"),
                                  changed("\"models\"", "\"model\"")])
def test_one_mistake_is_one_problem(folder: Path, text: str) -> None:
    the_problem(folder, text)


def test_every_problem_is_said_in_one_go(folder: Path) -> None:
    (folder / "cuts.csv").write_text("# rate: 24/1\n# frames: 96\nshot,start,end\n1,0,40\n2,48,96", encoding="utf-8")
    (folder / "score.npz").write_bytes(b"not a zip")
    (folder / "models" / "mapping.onnx").unlink()
    (folder / "film.mp4").write_bytes(b"broken")
    text = WHOLE.replace("sound.wav", "none.wav").replace("grain = 0.5", "grain = -1") + "[contorl]\n"
    found = "\n".join(problems(folder, text))
    for part in ("film.mp4: is truncated", "none.wav' is missing", "leaves a gap after frame 40", "score.npz: cannot be read",
                 "mapping.onnx in 'models' is missing", "look.night.grain: is -1", "contorl: is not known", "'control'"):
        assert part in found, part


def test_a_file_that_is_not_there_or_not_toml_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ShowError, match="cannot be read"):
        load_show(tmp_path / "none.toml", probe)
    assert "is not TOML" in the_problem(tmp_path, "[film")
    (tmp_path / "show.toml").write_bytes(b"name = '\xff'")
    with pytest.raises(ShowError, match="is not TOML"):
        load_show(tmp_path / "show.toml", probe)


@pytest.mark.parametrize("text", ["frames = " + "9" * 5000, "x = " + "[" * 5000, "[film]\nframes = 0x" + "f" * 5000,
                                  "[generator]\nfolder = '" + "a" * 5000 + "'", "[play]\nstart = 1" + "0" * 400])
def test_numbers_lists_and_names_without_measure_are_problems(tmp_path: Path, text: str) -> None:
    assert all(len(p) < 300 for p in problems(tmp_path, text) if "mend the file" in p)


def test_an_empty_file_is_as_good_as_missing(folder: Path) -> None:
    (folder / "film.mp4").write_bytes(b"")
    assert any("'film.mp4' is empty" in p for p in problems(folder))


def test_a_film_that_cannot_be_read_is_checked_as_far_as_its_cut_list_knows_it(folder: Path) -> None:
    (folder / "film.mp4").write_bytes(b"broken")
    found = problems(folder, changed("at = \"00:00:01:00\"", "at = 400"))
    assert len(found) == 2 and "is truncated" in found[0] and "frames 0 to 95" in found[1]


def test_the_cut_list_must_cover_the_film_at_its_rate(folder: Path) -> None:
    shots = (*SHOTS[:2], Shot(3, 72, 95, "dissolve", 8))
    write_csv(CutList("f", Fraction(25), 95, shots), folder / "cuts.csv")
    found = problems(folder)
    assert "cuts.csv: covers 95 frames, the film has 96" in found[0]
    assert "cuts.csv: rate: is 25, the film has 24" in found[1]


def test_a_film_without_a_cut_list_is_one_shot(folder: Path) -> None:
    assert show_of(folder, "[film]\nfile = 'film.mp4'").cuts.shots == (Shot(1, 0, FRAMES),)


def test_without_a_film_its_facts_must_stand_there(tmp_path: Path) -> None:
    found = problems(tmp_path, "[play]\nsource = 'testcard'\n[film]\nframes = 10")
    assert [p.split(";")[0] for p in found] == [f"show.toml: film.{k}: is missing" for k in ("rate", "width", "height")]


def test_what_could_be_read_of_an_unsound_show_is_given_with_its_problems(folder: Path) -> None:
    (folder / "film.mp4").write_bytes(b"broken")
    (folder / "score.npz").write_bytes(b"not a zip")
    (folder / "show.toml").write_text(WHOLE, encoding="utf-8")
    reading = read_show(folder / "show.toml", probe)
    assert len(reading.problems) == 2 and reading.show is not None
    assert reading.show.generator == folder / "models" and reading.show.film.sound == folder / "sound.wav"
    assert {p.name for p in reading.files.values()} == {
        "show.toml", "film.mp4", "sound.wav", "cuts.csv", "score.toml", "score.npz", "mapping.onnx", "synthesis.onnx",
        "generator.onnx"}
    (folder / "show.toml").write_text("[film", encoding="utf-8")
    assert read_show(folder / "show.toml", probe).show is None


@pytest.mark.parametrize(("facts", "says"), [((Fraction(24), 95), "'spare.mp4' has 95 frames at 24, the film has 96 at 24"),
                                             ((Fraction(25), 96), "'spare.mp4' has 96 frames at 25")])
def test_a_fallback_of_another_length_or_rate_is_a_problem(folder: Path, facts: tuple[Fraction, int], says: str) -> None:
    (folder / "spare.mp4").write_bytes(b"spare")
    text = WHOLE.replace("[fallback]\nfile = \"film.mp4\"", "[fallback]\nfile = \"spare.mp4\"")
    (folder / "show.toml").write_text(text, encoding="utf-8")
    found = read_show(folder / "show.toml", lambda path: (*facts, 8, 6) if path.name == "spare.mp4" else probe(path)).problems
    assert len(found) == 1 and says in str(found[0]) and "fallback.file" in found[0].where
    assert not read_show(folder / "show.toml", probe).problems


def test_a_generator_that_is_played_must_be_named(folder: Path) -> None:
    assert "generator.folder: is missing, but shots play the generator" in the_problem(
        folder, changed("[generator]\nfolder = \"models\"", ""))


VENUE = """
[screen.main]
monitor = "HDMI-1"
fullscreen = true
[sound]
device = "USB"
delay_ms = 80
[control]
osc_bind = "0.0.0.0"
"""


def test_a_venue_says_only_what_it_says(folder: Path) -> None:
    show = show_of(folder, WHOLE + "[output.main]\nsize = [800, 600]\n[sound]\nvolume = 0.5\n[control]\nglide_s = 1.0\n")
    (folder / "venue.toml").write_text(VENUE, encoding="utf-8")
    moved = with_venue(show, load_venue(folder / "venue.toml"))
    assert moved.output == Output(size=(800, 600), monitor="HDMI-1", fullscreen=True)
    assert moved.sound == SoundOut(device="USB", volume=0.5, delay_ms=80.0)
    assert moved.control == Control(osc_bind="0.0.0.0", glide_s=1.0)
    assert replace(moved, outputs=show.outputs, sound=show.sound, control=show.control) == show


@pytest.mark.parametrize(("text", "says"), [
    ("[screen.mian]\nsize = [1, 2]", "screen.mian: is not a known role; allowed: main; try: did you mean 'main'?"),
    ("[screen.main]\nsize = [1, 2]", "screen.main.size: is [1, 2]"),
    ("[screen.main]\nfit = 'cover'", "screen.main.fit: is not known"),
    ("[control]\nglide_s = 1", "control.glide_s: is not known"),
    ("[output.main]", "output: is not known; allowed: screen, sound, control"),
])
def test_a_mistake_in_a_venue_is_said(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "venue.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ShowError) as e:
        load_venue(tmp_path / "venue.toml")
    assert f"venue.toml: {says}" in str(e.value)


SCALAR = st.one_of(st.booleans(), st.integers(-10**6, 10**6), st.floats(allow_nan=False), st.text("abc/. ", max_size=6))
NAMED = st.dictionaries(st.sampled_from(("main", "night", "x")), SCALAR, max_size=2)
ANY = st.one_of(SCALAR, st.lists(SCALAR, max_size=3), NAMED)
KEYS = ("file", "sound", "cuts", "rate", "frames", "width", "height", "source", "loop", "start", "look", "folder", "size", "at",
        "go", "send", "name", "channels", "osc_port", "allow", "grain", "main", "style", "over", "smooth", "device", "mask",
        "step_print")  # fmt: skip
TABLES = ("film", "play", "generator", "score", "fallback", "look", "output", "sound", "control", "cue", "name", "stylizer",
          "camera")  # fmt: skip


@given(st.dictionaries(st.sampled_from(TABLES), st.one_of(ANY, st.dictionaries(st.sampled_from(KEYS), ANY, max_size=5),
                       st.lists(st.dictionaries(st.sampled_from(KEYS), ANY, max_size=3), max_size=2)), max_size=6))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_toml_is_a_show_or_problems(tmp_path: Path, data: dict[str, Any]) -> None:
    from player.show.score import _toml_value
    text = "\n".join(f"{k} = {_toml_value(v)}" for k, v in data.items())
    (tmp_path / "show.toml").write_text(text, encoding="utf-8")
    try:
        load_show(tmp_path / "show.toml", probe)
    except ShowError as e:
        assert all(p.where.startswith("show.toml") for p in e.problems)
