"""A show from its TOML file: read, checked as a whole, and built; every problem is said in one go."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from player.show.cut_list import CutList, Shot, problems_of, read_csv
from player.show.film import Film, parse_rate, parse_timecode
from player.show.parameter import LOOK, LOOK_NAMES
from player.show.problem import Problem, ShowError, nearest
from player.show.request import Refusal, check_request
from player.show.score import ScoreReading, array_problems, try_score
from player.show.score_check import score_problems
from player.show.show import CAPTION_PLACES, SHOW_SOURCES, CaptionStyle, Control, Cue, Look, Output, Show, SoundOut
from player.show.style_tables import StylesOf, camera_of, styles_in_score, stylizer_of
from player.show.toml_table import TomlTable, file_problem, read_toml, said
from player.show.venue import ROLES, Venue, control_keys, load_venue, outputs_of, sound_keys, with_venue

__all__ = ["Probe", "Reading", "Venue", "load_show", "load_venue", "read_show", "with_venue"]

Probe = Callable[[Path], tuple[Fraction, int, int, int]]
"""What a film file says of itself: (rate, frames, width, height). Raises ShowError for what it cannot read."""

ABOUT = ("title", "artist", "original", "licence", "note", "film_sha256", "made_with")
MAX_FRAMES = 10_000_000  # four days at 24 frames a second
CARD_SHOT_S = 5


def _rate(table: TomlTable) -> Fraction | None:
    given = table.value("rate")
    if given is None:
        return None
    try:
        # repr of 23.976 is '23.976', which parse_rate knows to mean 24000/1001
        return parse_rate(given if isinstance(given, str) else repr(given))
    except ValueError:
        table.bad("rate", f"is {said(given)}", 'a frame rate between 1 and 1000, such as 24, "24/1" or "30000/1001"')
        return None


def _film(table: TomlTable, probe: Probe | None) -> tuple[Film, bool]:
    """The film, and whether its rate and length are certain enough to check others against them."""
    path, sound = table.path("file"), table.path("sound")
    rate = _rate(table)
    frames = table.whole("frames", 0, 1, MAX_FRAMES, "frames")
    width, height = table.whole("width", 0, 16, 16384, "px"), table.whole("height", 0, 16, 16384, "px")
    if path is not None and probe is not None:
        try:
            facts = probe(path)
        except ShowError as e:
            table.found.extend(e.problems)
        else:
            written = (rate, frames, width, height)
            for key, given, real in zip(("rate", "frames", "width", "height"), written, facts, strict=True):
                if given and given != real:
                    table.bad(key, f"is {given}, but {path.name} has {real}", f"{real}, or leave it out")
            rate, frames, width, height = facts
    elif not (table.has("file") and probe):
        # No file to ask: the facts must be written down. A file that is named but broken was noted above; that will do.
        for key, value in (("rate", rate), ("frames", frames), ("width", width), ("height", height)):
            if not value and not table.has(key):
                table.bad(key, "is missing", "rate, frames, width and height where there is no film file to ask")
    certain = bool(rate and frames)
    return Film(rate or Fraction(24), frames or 1, width or 640, height or 480, path, sound), certain


def _made_up_cuts(film: Film, name: str, source: str) -> CutList:
    """Shots of 5 s for a test card; one shot for a film that nobody has cut yet."""
    step = max(1, int(CARD_SHOT_S * film.rate)) if source == "testcard" else film.frames
    starts = range(0, film.frames, step)
    shots = tuple(Shot(i, start, min(start + step, film.frames)) for i, start in enumerate(starts, 1))
    return CutList(name, film.rate, film.frames, shots)


def _cuts(table: TomlTable, film: Film, certain: bool, name: str, source: str) -> CutList | None:
    """The cut list; None where it is named and unsound (noted)."""
    if not table.has("cuts"):
        table.text("cuts")  # so that the key counts as known
        return _made_up_cuts(film, name, source)
    path = table.path("cuts")
    if path is None:
        return None
    try:
        cuts = read_csv(path)
    except ShowError as e:
        table.found.extend(e.problems)
        return None
    if certain:
        table.found.extend(problems_of(cuts, path.name, film.frames))
        if cuts.rate != film.rate:
            given = f"is {cuts.rate}, the film has {film.rate}"
            table.found.append(Problem(f"{path.name}: rate", given, str(film.rate)))
    return cuts


def _looks(top: TomlTable) -> dict[str, Look]:
    looks = {}
    by_name = {p.name: p for p in LOOK}
    for name, table in top.named_tables("look").items():
        values: dict[str, float] = {}
        for key in LOOK_NAMES:
            p = by_name[key]
            if p.kind == "bool":
                value = float(table.flag(key, bool(p.default)))
            elif p.kind == "int":
                value = float(table.whole(key, int(p.default or 0), int(p.low or 0), int(p.high or 0), p.unit))
            else:
                value = table.number(key, float(p.default or 0), float(p.low or 0), float(p.high or 0), p.unit)
            if table.has(key):
                values[key] = value
        table.done()
        looks[name] = Look(name, values)
    return looks


def _frame(table: TomlTable, key: str, film: Film, certain: bool) -> int | None:
    """A film frame written as a time; None where the key is missing or wrong."""
    given = table.value(key)
    if given is None:
        return None
    try:
        if isinstance(given, bool) or not isinstance(given, (int, str)) or (isinstance(given, int) and given < 0):
            raise ValueError(f"{said(given)} is not a time")
        frame = given if isinstance(given, int) else parse_timecode(given, film.rate)
    except ValueError as e:
        table.bad(key, str(e), 'frames (300), or in quotes seconds ("12.5s") or "hh:mm:ss:ff"')
        return None
    if certain and frame >= film.frames:
        table.bad(key, f"{said(given)} is frame {frame}, after the film's end", f"frames 0 to {film.frames - 1}")
        return None
    return frame


def _is_send(row: object) -> bool:
    return isinstance(row, list) and len(row) > 0 and isinstance(row[0], str)


def _cues(top: TomlTable, show: Show, certain: bool, unknown: tuple[str, ...]) -> tuple[Cue, ...]:
    """unknown: beginnings of addresses that nobody can check, since what they speak of could not be read."""
    cues: list[Cue] = []
    for table in top.tables("cue"):
        name = table.text("name")
        waits = table.flag("go", False)
        at = _frame(table, "at", show.film, certain)
        if table.has("at") == waits:
            given = "and go = true both stand there" if waits else "is missing"
            table.bad("at", given, 'either at = "hh:mm:ss:ff" or go = true')
        sends = []
        rows = table.value("send")
        if not isinstance(rows, list) or not rows or not all(_is_send(row) for row in rows):
            table.bad("send", "is missing" if rows is None else f"is {said(rows)}",
                      'a list such as [["/cineml/look/grain", 0.4, 2.0]]: address, value, glide in seconds')
            rows = []
        for row in rows:
            asked = check_request(row[0], row[1:], show)
            if isinstance(asked, Refusal) and row[0].startswith(unknown):
                continue
            if isinstance(asked, Refusal):
                table.bad("send", f"{asked.address} {asked.reason}", "what docs/OSC.md lists")
            elif asked.note and (certain or "/seek_" not in asked.address):  # how far may be sought is the film's to say
                table.bad("send", f"{asked.address}: {asked.note}", "values within the range in docs/OSC.md")
            else:
                sends.append((asked.address, asked.value, asked.glide_s))
        table.done()
        cues.append(Cue(name or f"cue {len(cues) + 1}", at, tuple(sends)))
    return tuple(cues)


def _about(table: TomlTable) -> dict[str, str]:
    """Where the show comes from, as the artist and the tools wrote it down; what is not said is left out."""
    said_of = {key: table.text(key) for key in ABOUT}
    table.done()
    return {key: value for key, value in said_of.items() if value}


def _generator(top: TomlTable) -> Path | None:
    table = top.table("generator")
    folder = table.path("folder", folder=True)
    if folder is not None:
        for part in ("mapping.onnx", "synthesis.onnx"):
            if reason := file_problem(folder / part):
                allowed = "a folder with mapping.onnx and synthesis.onnx"
                table.bad("folder", f"{part} in {folder.name!r} {reason}", allowed)
    table.done()
    return folder


def _captions(top: TomlTable) -> CaptionStyle | None:
    """How captions are shown; what the file holds is for player.captions to read."""
    table = top.table("captions")
    path = table.path("file")
    font = table.path("font") if table.text("font") else None
    size = table.number("size", 5.0, 2.0, 20.0, "% of the height")
    position, burn_in = table.text("position", "bottom", CAPTION_PLACES), table.flag("burn_in", True)
    if top.has("captions") and not table.has("file"):
        table.bad("file", "is missing", "an SRT file, relative to this file")
    table.done()
    return CaptionStyle(path, size, position, burn_in, font) if path is not None else None


def _score(top: TomlTable) -> tuple[ScoreReading, Path | None]:
    """The score as far as it can be read, and its file."""
    table = top.table("score")
    path, named = table.path("file"), table.text("file")
    table.done()
    if path is None:
        if named:  # its text cannot be read, and that was noted; its arrays can be tried all the same
            top.found.extend(array_problems(table.file.parent / named))
        return ScoreReading(None, complete=not table.has("file")), None
    reading = try_score(path)
    top.found.extend(reading.problems)
    return reading, path


def _fallback(top: TomlTable, film: Film, certain: bool, probe: Probe | None) -> Path | None:
    """The fallback film: frame by frame the film's stand-in, so of its rate and length."""
    table = top.table("fallback")
    path = table.path("file")
    table.done()
    if path is None or probe is None or path == film.path:
        return path
    try:
        rate, frames, _, _ = probe(path)
    except ShowError as e:
        table.found.extend(e.problems)
        return path
    if certain and (rate, frames) != (film.rate, film.frames):
        table.bad("file", f"{path.name!r} has {frames} frames at {rate}, the film has {film.frames} at {film.rate}",
                  "a film of the same rate and length", "render it again: cineml render")
    return path


def _files_named(data: Mapping[str, Any], path: Path) -> dict[str, Path]:
    """Every file that a show's TOML names or implies, there or not, by what it is to the show."""
    found = {"the show": path}

    def named(table: str, key: str) -> Path | None:
        part = data.get(table)
        text = part.get(key) if isinstance(part, dict) else None
        return path.parent / text if isinstance(text, str) and text and "\0" not in text else None

    for table, key, what in (("film", "file", "film"), ("film", "sound", "sound"), ("film", "cuts", "cut list"),
                             ("score", "file", "score"), ("fallback", "file", "fallback film"),
                             ("captions", "file", "captions"), ("captions", "font", "captions' font"),
                             ("stylizer", "file", "stylizer"), ("film", "mask", "masks")):
        if (file := named(table, key)) is not None:
            found[f"the show's {what}"] = file
    if (score := found.get("the show's score")) is not None and score.suffix:
        found["the score's arrays"] = score.with_suffix(".npz")
    if (folder := named("generator", "folder")) is not None:
        for part in ("mapping.onnx", "synthesis.onnx", "generator.onnx"):
            found[f"the show's {part}"] = folder / part
    return found


@dataclass(frozen=True)
class Reading:
    """What could be read of a show's file. show: None where it is no TOML at all; beside problems, as much of it as is
    sound, so that its other files can be tried too, never to be played. files: all that the show reads, by what they
    are to it."""

    show: Show | None
    problems: tuple[Problem, ...]
    files: Mapping[str, Path]


def load_show(path: Path, probe: Probe | None = None, styles_of: StylesOf | None = None) -> Show:
    """The show of a TOML file, with its cut list and score read and checked against one another.

    probe: asks a film file for its rate, length and size (player.sources.film_reader.probe_film); without it they must
    stand in the file. styles_of: asks a stylizer's file for its styles (player.sources.stylizer_model.styles_of); without it
    any style may be one. Raises ShowError with every problem, in the order of the file's tables.
    """
    reading = read_show(path, probe, styles_of)
    if reading.show is None or reading.problems:
        raise ShowError(reading.problems)
    return reading.show


def read_show(path: Path, probe: Probe | None = None, styles_of: StylesOf | None = None) -> Reading:
    """load_show, but what could be read is given together with the problems. Raises nothing."""
    found: list[Problem] = []
    try:
        data = read_toml(path, "a show")
    except ShowError as e:
        return Reading(None, e.problems, {"the show": path})
    top = TomlTable(data, path, "", found)
    name = top.text("name", path.stem)
    film_table, play = top.table("film"), top.table("play")
    source = play.text("source", "film" if film_table.has("file") else "testcard", SHOW_SOURCES)
    film, certain = _film(film_table, probe)
    cuts = _cuts(film_table, film, certain, name, source)
    mask = film_table.path("mask", folder=True)
    film_table.done()
    if not certain and cuts is not None and film_table.has("cuts"):
        # The film could not be asked: its cut list knows rate and length well enough to check the rest.
        film, certain = replace(film, rate=cuts.rate, frames=cuts.frames), True

    loop, pause_s = play.flag("loop", True), play.number("loop_pause_s", 0.0, 0.0, 3600.0, "s")
    start, seed = _frame(play, "start", film, certain), play.whole("seed", 1967, 0, 2**31 - 1)
    look = play.text("look")
    play.done()

    generator = _generator(top)
    stylizer, styles = stylizer_of(top, styles_of)
    camera = camera_of(top)
    reading, score_path = _score(top)
    fallback = _fallback(top, film, certain, probe)
    captions = _captions(top)
    looks = _looks(top)
    if look and look not in looks:
        play.bad("look", f"is {look!r}", "a [look.NAME] of this file", nearest(look, looks))
    outputs = outputs_of(top, "output", with_fit=True)
    sound, control = sound_keys(top.table("sound")), control_keys(top.table("control"), with_glide=True)

    clips: Mapping[int, Path] = {}
    masks: Mapping[int, Path] = {}
    found += styles_in_score(reading, styles, score_path.name if score_path is not None else path.name)
    found += score_problems(reading, score_path, cuts if certain else None, source, looks, film_table.has("file"),
                            top.table("generator").has("folder"), path.name, stylizer,
                            top.table("stylizer").has("file"), camera is not None, mask)
    if reading.score is not None and score_path is not None:
        over = stylizer.over if stylizer is not None else "film"
        rows = [row for row in reading.score.shots if "clip" in row.inputs(over) and row.clip]
        clips = {row.number: score_path.parent / row.clip for row in rows}
        masks = {row.number: score_path.parent / row.mask for row in reading.score.shots if row.mask}
    score = None if reading.problems else reading.score
    show = Show(name, path, film, cuts or _made_up_cuts(film, name, source), source, score, generator, fallback, clips,
                looks, look, (), tuple(Output(role, **outputs.get(role, {})) for role in ROLES), SoundOut(**sound),
                Control(**control), loop, pause_s, start or 0, seed, captions=captions,
                stylizer=stylizer, camera=camera, mask=mask, masks=masks, styles=styles)
    unknown = ("/cineml/latent/key",) * bool(reading.problems or not reading.complete) + ("/cineml/shot/",) * (cuts is None)
    show = replace(show, cues=_cues(top, show, certain, unknown), about=_about(top.table("about")))
    top.done()
    files = _files_named(data, path) | {f"the clip of shot {number}": clip for number, clip in clips.items()}
    files |= {f"the masks of shot {number}": folder for number, folder in masks.items()}
    files |= {"the show's camera": Path(camera.device)} if camera is not None and camera.device else {}
    problems = tuple(dict.fromkeys(found))
    return Reading(show, problems, files)
