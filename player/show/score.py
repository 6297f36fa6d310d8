"""The score: which walk, look and source each shot plays, and what its entry does. NAME.toml beside NAME.npz."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import re
import tomllib
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from player.show.mixing import ALLOWED as MIXES
from player.show.mixing import Mixing, mixing_from, weight_at
from player.show.problem import Problem, ShowError, nearest
from player.show.styling import ALLOWED as STYLINGS
from player.show.styling import OVERS, SIDES, Styling, smooth_from, styling_from
from player.show.toml_table import said
from player.show.walk import Array, Walk

SOURCES = ("generator", "stylizer", "film", "clip", "camera", "black")
ENTRIES = ("jump", "glide")
SHOT_KEYS = ("number", "walk", "source", "clip", "under", "mix", "over", "style", "mask", "mask_side", "smooth", "look",
             "entry", "lock", "pin", "ban")  # fmt: skip
MAX_ARRAY_BYTES = 1 << 30  # a score of a feature film in W+ is about 200 MB; more is a damaged or hostile file


@dataclass(frozen=True)
class ScoreShot:
    """How one shot is played. under: a second source, '' for none; mix: the weight of `source` over it. over, style, mask_side,
    smooth: of a stylised shot, '' and None where the show's own hold; mask: a folder of masks, of any shot. extra: keys this
    version does not know, kept when a tool rewrites the score."""

    number: int
    walk: str = ""
    source: str = "generator"
    clip: str = ""
    look: str = ""
    entry: str = "jump"
    lock: bool = False
    pin: tuple[str, ...] = ()
    ban: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    under: str = ""
    mix: Mixing = 1.0
    over: str = ""
    style: Styling | None = None
    mask: str = ""
    mask_side: str = ""
    smooth: float | None = None

    @property
    def sources(self) -> tuple[str, ...]:
        """All that it can play: its source, and what lies under it. A tool may have made the two the same: then it is one."""
        return (self.source, self.under) if self.under not in ("", self.source) else (self.source,)

    def inputs(self, over: str = "film") -> tuple[str, ...]:
        """All that must be there for it: its sources, and what a stylizer is played over. over: the show's own."""
        below = (self.over or over,) if "stylizer" in self.sources else ()
        return tuple(dict.fromkeys((*self.sources, *below)))

    def mix_at(self, frame: int, offset: float = 0.0) -> float:
        """Weight of `source` in linear light at a film frame, 0..1; the rest is what lies under it. offset: what a hand adds.
        It is a frame's and not a moment's, so that a show is the same at 30 and at 60 Hz and rendered."""
        if self.under in ("", self.source):
            return 1.0
        return min(max(weight_at(self.mix, frame) + offset, 0.0), 1.0)


@dataclass(frozen=True)
class Score:
    """generator_sha256: of synthesis.onnx, '' where no shot uses a generator. walks: by name."""

    shots: tuple[ScoreShot, ...]
    walks: Mapping[str, Walk] = field(default_factory=dict)
    generator_sha256: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)

    def by_number(self, number: int) -> ScoreShot | None:
        return self._by_number.get(number)

    @functools.cached_property
    def _by_number(self) -> Mapping[int, ScoreShot]:
        return {s.number: s for s in reversed(self.shots)}  # asked for some times a refresh; the first of a number counts

    def key_names(self) -> tuple[str, ...]:
        """Names of all key latents, in the order of the walks."""
        return tuple(n for w in self.walks.values() for n in w.names)

    def key(self, name: str) -> Array | None:
        """The key latent of that name, [n, w_dim] float32, or None."""
        for walk in self.walks.values():
            found = walk.key(name)
            if found is not None:
                return found
        return None


_DAMAGE = (OSError, ValueError, zipfile.BadZipFile, zlib.error, EOFError, KeyError, RuntimeError, MemoryError)


def _unreadable(at: str, error: Exception) -> Problem:
    return Problem(at, f"cannot be read ({error})", "an .npz written by cineml", "make it again: cineml remap")


@dataclass(frozen=True)
class _Walks:
    """What the arrays beside a score hold. names: of all walks, sound or not; None where even that cannot be known."""

    walks: Mapping[str, Walk]
    names: frozenset[str] | None


def _read_arrays(path: Path, found: list[Problem]) -> tuple[dict[str, np.ndarray[Any, Any]], frozenset[str] | None]:
    """Arrays of an npz by name, and the names of all, damaged ones too (None where there are none to be known); without
    pickle, refusing sizes before anything is allocated."""
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    try:
        with zipfile.ZipFile(path) as z:
            if (size := sum(i.file_size for i in z.infolist())) > MAX_ARRAY_BYTES:
                found.append(Problem(path.name, f"unpacks to {size} bytes", f"at most {MAX_ARRAY_BYTES}"))
                return {}, None
        with np.load(path, allow_pickle=False) as data:
            names = frozenset(data.files)
            for name in data.files:
                try:
                    arrays[name] = data[name]
                except _DAMAGE as e:
                    found.append(_unreadable(f"{path.name}: {name}", e))
            return arrays, names
    except FileNotFoundError:
        found.append(Problem(path.name, "is missing", "the arrays of the score beside its text"))
    except _DAMAGE as e:
        found.append(_unreadable(path.name, e))
    return {}, None


def _read_walks(path: Path, found: list[Problem]) -> _Walks:
    arrays, known = _read_arrays(path, found)
    walks: dict[str, Walk] = {}
    names = frozenset(k.rpartition("/")[0] for k in known or ())
    damaged = {k.rpartition("/")[0] for k in (known or frozenset()) - arrays.keys()}
    for name in sorted(names - damaged):  # what is damaged was said
        try:
            keys = arrays[f"{name}/keys"]
            frames = arrays[f"{name}/frames"]
            texts = arrays[f"{name}/names"] if f"{name}/names" in arrays else np.array([f"{name}.{i}" for i in frames])
            if keys.dtype.kind != "f" or frames.dtype.kind not in "iu" or texts.dtype.kind != "U":
                kinds = f"keys {keys.dtype}, frames {frames.dtype}, names {texts.dtype}"
                raise ValueError(f"{kinds} are not float, integer and text")
            walks[name] = Walk(name, keys.astype(np.float32), frames.astype(np.int64), tuple(str(n) for n in texts))
        except KeyError as e:
            found.append(Problem(f"{path.name}: {name}", f"has no array {e}", "keys, frames and names for each walk"))
        except ValueError as e:
            found.append(Problem(f"{path.name}: {name}", str(e)))
    return _Walks(walks, None if known is None else names)


def array_problems(path: Path) -> list[Problem]:
    """What is wrong with the arrays of a score whose text, at `path`, cannot be read; nothing where there are none, since
    nobody can say then whether there should be."""
    found: list[Problem] = []
    with contextlib.suppress(OSError, ValueError):  # a name that no file system takes; reading the text has said so
        if (arrays := path.with_suffix(".npz")).exists():
            _read_walks(arrays, found)
    return found


def _shot_from(row: Any, at: str, found: list[Problem], told: set[tuple[int, str]]) -> ScoreShot | None:
    """told: receives (shot number, key) of what is wrong."""
    if not isinstance(row, dict) or not isinstance(row.get("number"), int) or isinstance(row.get("number"), bool):
        found.append(Problem(at, "has no whole-numbered 'number'", "number = 1, 2, 3 ..."))
        return None
    at = f"{at} (shot {row['number']})"
    clean: dict[str, Any] = {"number": row["number"], "extra": {k: v for k, v in row.items() if k not in SHOT_KEYS}}
    for key in ("walk", "source", "clip", "under", "over", "mask", "mask_side", "look", "entry"):
        value = row.get(key, "")
        if not isinstance(value, str):
            found.append(Problem(f"{at}: {key}", f"is {value!r}", "a text"))
            told.add((row["number"], key))
        elif value:
            clean[key] = value
    for key in ("pin", "ban"):
        value = row.get(key, [])
        if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
            found.append(Problem(f"{at}: {key}", f"is {value!r}", "a list of key names"))
        else:
            clean[key] = tuple(value)
    if not isinstance(row.get("lock", False), bool):
        found.append(Problem(f"{at}: lock", f"is {row['lock']!r}", "true or false"))
    clean["lock"] = row.get("lock", False) is True
    for key, allowed in (("source", SOURCES), ("under", SOURCES), ("over", OVERS), ("mask_side", SIDES),
                         ("entry", ENTRIES)):
        value = clean.get(key)
        if value is not None and value not in allowed:
            found.append(Problem(f"{at}: {key}", f"is {value!r}", ", ".join(allowed), nearest(value, allowed)))
            told.add((row["number"], key))
    _take_mix(row, at, clean, found, told)
    _take_styling(row, at, clean, found, told)
    return ScoreShot(**clean)


def _take_mix(row: Mapping[str, Any], at: str, clean: dict[str, Any], found: list[Problem], told: set[tuple[int, str]]) -> None:
    """How a shot mixes two sources. clean: its values so far; receives the mix."""
    number, under = row["number"], clean.get("under", "")
    known = not told & {(number, "source"), (number, "under")}
    if "mix" not in row:
        return
    mix = mixing_from(row["mix"])
    if mix is not None:
        clean["mix"] = mix
    else:
        found.append(Problem(f"{at}: mix", f"is {said(row['mix'])}", MIXES))
    if known and not under:
        found.append(Problem(f"{at}: mix", "is given, and the shot has one source", "mix beside under, the second source",
                             "under = 'generator'"))


def _take_styling(row: Mapping[str, Any], at: str, clean: dict[str, Any], found: list[Problem],
                  told: set[tuple[int, str]]) -> None:  # fmt: skip
    """Styles and smoothing of a stylised shot. clean: its values so far; receives them."""
    for key, parsed, allowed in (("style", styling_from, STYLINGS), ("smooth", smooth_from, "a number from 0 to 1")):
        if key in row:
            clean[key] = parsed(row[key])
            if clean[key] is None:
                found.append(Problem(f"{at}: {key}", f"is {said(row[key])}", allowed))
                told.add((row["number"], key))
    known = not told & {(row["number"], "source"), (row["number"], "under")}
    given = [key for key in ("over", "style", "mask_side", "smooth") if key in row]
    # With a source written there it is harmless: a tool has given the shot another one, and may give it back.
    if known and given and "source" not in row and clean.get("under") != "stylizer":
        found.append(Problem(f"{at}: {given[0]}", "is given, and the shot is not stylised",
                             "over, style, mask_side and smooth beside the source stylizer", "source = 'stylizer'"))


@dataclass(frozen=True)
class ScoreReading:
    """What could be read of a score. score: None where its text cannot be read at all; beside problems, as much of it as is
    sound, to be checked against its film and never to be played. told: (shot number, key) of the rows' wrong values.
    complete: whether every row says which shot it is."""

    score: Score | None
    problems: tuple[Problem, ...] = ()
    told: frozenset[tuple[int, str]] = frozenset()
    complete: bool = False


def read_score(path: Path) -> Score:
    """The score of NAME.toml and NAME.npz. Raises ShowError listing everything wrong."""
    reading = try_score(path)
    if reading.score is None or reading.problems:
        raise ShowError(reading.problems)
    return reading.score


def try_score(path: Path) -> ScoreReading:
    """read_score, but what could be read is given together with the problems. Raises nothing."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as e:
        unread = Problem(str(path), f"cannot be read ({e.strerror})", "a score as TOML")
        return ScoreReading(None, (unread, *array_problems(path)))
    except (ValueError, RecursionError) as e:  # not TOML, or not UTF-8
        return ScoreReading(None, (Problem(path.name, f"is not TOML: {e}"), *array_problems(path)))
    found: list[Problem] = []
    told: set[tuple[int, str]] = set()
    rows = data.get("shot", [])
    if not isinstance(rows, list):
        found.append(Problem(f"{path.name}: shot", "is not a list", "[[shot]] tables"))
    made = [_shot_from(row, f"{path.name}: [[shot]] {i}", found, told)
            for i, row in enumerate(rows if isinstance(rows, list) else [], 1)]
    shots = tuple(s for s in made if s is not None)
    seen: set[int] = set()
    for s in shots:
        if s.number in seen:
            found.append(Problem(f"{path.name}: shot {s.number}", "stands twice", "one [[shot]] a shot"))
        seen.add(s.number)
    playing = [s for s in shots if "generator" in s.inputs() and not told & {(s.number, "source"), (s.number, "under")}]
    arrays = path.with_suffix(".npz")
    # Read even when no shot plays them now: a tool that rewrites the score must not lose them.
    held = _read_walks(arrays, found) if playing or arrays.exists() else _Walks({}, frozenset())
    for s in playing:
        if held.names is not None and s.walk not in held.names and (s.number, "walk") not in told:
            found.append(Problem(f"{path.name}: shot {s.number}: walk", f"is {s.walk!r}", "a walk of " + path.stem + ".npz",
                                 nearest(s.walk, held.names)))
    sha = data.get("generator_sha256", "")
    if not isinstance(sha, str):
        found.append(Problem(f"{path.name}: generator_sha256", f"is {sha!r}", "a text"))
        sha = ""
    extra = {k: v for k, v in data.items() if k not in ("shot", "generator_sha256")}
    complete = isinstance(rows, list) and len(shots) == len(rows)
    return ScoreReading(Score(shots, held.walks, sha, extra), tuple(found), frozenset(told), complete)


def _toml_value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, str):
        # TOML basic strings escape as JSON does, but for DEL.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_toml_value(v) for v in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_toml_key(k)} = {_toml_value(v)}" for k, v in value.items()) + "}"
    return _toml_value(str(value))  # dates and times, which only a person can have put there


def _toml_key(key: str) -> str:
    """Bare where it may be, else quoted."""
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _toml_value(key)


def format_score(score: Score) -> str:
    """The text half of a score."""
    out = io.StringIO()
    out.write(f"generator_sha256 = {_toml_value(score.generator_sha256)}\n")
    for key, value in score.extra.items():
        out.write(f"{_toml_key(key)} = {_toml_value(value)}\n")
    for s in score.shots:
        out.write("\n[[shot]]\n")
        row: dict[str, Any] = {"number": s.number, "walk": s.walk, "source": s.source, "clip": s.clip, "under": s.under,
                               "mix": None if s.mix == 1.0 else s.mix, "over": s.over,
                               "style": s.style.plain() if s.style is not None else None, "mask": s.mask,
                               "mask_side": s.mask_side, "smooth": s.smooth, "look": s.look, "entry": s.entry, "lock": s.lock,
                               "pin": s.pin, "ban": s.ban}
        for key, value in row.items():
            if value not in ("", (), None) or key in ("number", "source", "entry", "lock"):
                out.write(f"{key} = {_toml_value(value)}\n")
        for key, value in s.extra.items():
            out.write(f"{_toml_key(key)} = {_toml_value(value)}\n")
    return out.getvalue()


def write_score(score: Score, path: Path) -> None:
    """Writes NAME.npz, then NAME.toml, each beside its place and renamed there. Raises OSError; the older files stay then."""
    arrays: dict[str, Any] = {}
    for walk in score.walks.values():
        arrays[f"{walk.name}/keys"] = walk.keys
        arrays[f"{walk.name}/frames"] = walk.frames
        arrays[f"{walk.name}/names"] = np.array(walk.names)
    npz = path.with_suffix(".npz")
    parts = npz.with_name(npz.name + ".part"), path.with_name(path.name + ".part")
    try:
        with parts[0].open("wb") as f:
            np.savez_compressed(f, **arrays)
        parts[1].write_text(format_score(score), encoding="utf-8")
        os.replace(parts[0], npz)
        os.replace(parts[1], path)
    finally:
        for part in parts:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
