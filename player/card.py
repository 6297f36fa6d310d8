"""Where a show comes from: film, training, models, tools, licences; printed by `check`, and a card, one HTML page."""

from __future__ import annotations

import hashlib
import html
import importlib.metadata
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from player.show.clip import png_size, ranges_of, read_folder
from player.show.problem import ShowError
from player.show.show import Show
from player.sources.film_index import probe_film
from player.sources.onnx_defaults import read_metadata
from player.sources.onnx_model import ModelFacts, facts_from, sha256_of

RUN_KEYS = ("tool", "film", "styles", "architecture", "steps", "dataset", "kimg", "minutes", "grown_from", "anchored", "preset",
            "seed", "imported_from", "distilled_from", "torch")  # fmt: skip
MADE = "Where this show comes from. Written by cineml check --card."
MOST_READ = 1 << 20  # bytes of a file that may be an older card
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 3rem auto; padding: 0 1rem; }
:root { color-scheme: light dark; }
h1 { font-size: 1.8rem; margin: 0; } h2 { font-size: 1.05rem; margin: 2rem 0 .4rem; border-bottom: 1px solid #8888; }
dl { display: grid; grid-template-columns: 11rem 1fr; gap: .2rem 1rem; margin: 0; }
dt, p { opacity: .65; } dd { margin: 0; overflow-wrap: anywhere; } p { margin: .2rem 0 0; }
@media (max-width: 30rem) { dl { grid-template-columns: 1fr; } dd { margin-bottom: .4rem; } }
"""


@dataclass(frozen=True)
class Section:
    """A heading and its rows of (what, value)."""

    name: str
    rows: tuple[tuple[str, str], ...]


def provenance(show: Show) -> tuple[Section, ...]:
    """All that a show's own files say of where it comes from. Reads and hashes them; what cannot be read is said as such."""
    film, about = show.film, show.about
    made = [(key, about[key]) for key in ("title", "artist", "original", "licence", "note", "made_with") if key in about]
    size = f"{film.frames} frames at {film.rate}, {film.width}x{film.height}, {float(film.duration_s):.2f} s"
    of_film = [("picture", size)]
    if film.path is not None:
        own = _hash(film.path)
        of_film += [("file", film.path.name), ("sha256", own)]
        if about.get("film_sha256") and about["film_sha256"].lower() != own:
            of_film.append(("not the film of", f"{about['film_sha256'][:16]}..., for which the show was made"))
    if film.sound is not None:
        of_film += [("sound", film.sound.name), ("sound sha256", _hash(film.sound))]
    of_film.append(("cut list", f"{len(show.cuts.shots)} shots"))
    sections = [Section("Show", (("name", show.name), *made)), Section("Film", tuple(of_film))]
    if show.score is not None:
        rows = [("walks", str(len(show.score.walks))), ("made for", show.score.generator_sha256 or "no generator")]
        rows += [(key, said(value)) for key, value in show.score.extra.items()]
        sections.append(Section("Score", tuple(rows)))
    if clips := _clip_rows(show):
        sections.append(Section("Clips", tuple(clips)))
    if mixed := _mix_rows(show):
        sections.append(Section("Mixed", tuple(mixed)))
    if show.generator is not None:
        sections.append(Section("Model", tuple(_model_rows(show.generator / "synthesis.onnx"))))
    if show.stylizer is not None and show.stylizer.file is not None:
        sections.append(Section("Stylizer", tuple(_model_rows(show.stylizer.file))))
    if styled := _styled_rows(show):
        sections.append(Section("Styled", tuple(styled)))
    sections.append(Section("Software", tuple(_versions())))
    return tuple(sections)


def _clip_rows(show: Show) -> list[tuple[str, str]]:
    """Each clip, the shots that play it, what it is, and its hash; of a folder that of its frames one after the other."""
    shots: dict[Path, list[int]] = {}
    for number, path in show.clips.items():
        shots.setdefault(path, []).append(number)
    rows = []
    for path, numbers in shots.items():
        try:
            if path.is_dir():
                files = [file for _, file in sorted(read_folder(path).files.items())]
                size, whole = png_size(files[0]), hashlib.sha256()
                for file in files:
                    whole.update(file.read_bytes())
                what, own = f"{len(files)} PNGs, {size[0]}x{size[1]}{_made_by(path)}", whole.hexdigest()
            else:
                rate, frames, *size_of = probe_film(path)
                size, own = (size_of[0], size_of[1]), _hash(path)
                what = f"{frames} frames at {rate}, {size[0]}x{size[1]}"
        except (OSError, ShowError) as e:
            rows.append((path.name, f"cannot be read ({e})"))
            continue
        if size != (show.film.width, show.film.height):
            what += f", fitted to {show.film.width}x{show.film.height}"
        rows += [(path.name, f"{what}; {_shots(numbers)}"), (f"sha256 of {path.name}"[:40], own)]
    return rows


def _made_by(folder: Path) -> str:
    """What a folder's options.json says of who made it; '' where it says nothing."""
    try:
        made = json.loads((folder / "options.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return ""
    if not isinstance(made, dict) or not isinstance(made.get("tool"), str):
        return ""
    keys = made.get("keys")
    return f", by {made['tool'][:80]}" + (f" from {len(keys)} keys" if isinstance(keys, dict) else "")


def _mix_rows(show: Show) -> list[tuple[str, str]]:
    """The shots that mix two sources, and how."""
    found: dict[str, list[int]] = {}
    for shot in show.cuts.shots:
        row = show.score_shot(shot.number)
        if len(row.sources) > 1:
            how = f"{row.mix:g}" if isinstance(row.mix, (int, float)) else f"by {len(row.mix)} key points"
            if not isinstance(row.mix, (int, float)) and (row.mix[-1][0] < shot.start or row.mix[0][0] >= shot.end):
                how += f", none of them in its film frames {shot.start} to {shot.end - 1}"
            found.setdefault(f"{row.source} over {row.under}, {how}", []).append(shot.number)
    return [(_shots(numbers), how) for how, numbers in found.items()]


def _styled_rows(show: Show) -> list[tuple[str, str]]:
    """The shots that are stylised, by what and how."""
    found: dict[str, list[int]] = {}
    for shot in show.cuts.shots:
        if "stylizer" not in show.score_shot(shot.number).sources:
            continue
        how = show.styled(shot.number)
        names = how.style.names if how.style is not None else show.styles[:1]
        said_of = f"{' and '.join(names) or 'its first style'} over the {how.over}"
        if how.style is not None and len(how.style.points) > 1:
            said_of += f", by {len(how.style.points)} key points"
        if how.mask_side != "all" and how.mask is not None:
            said_of += f", the {how.mask_side} of {how.mask.name}"
        if how.smooth:
            said_of += f", smoothed {how.smooth:g}"
        found.setdefault(said_of, []).append(shot.number)
    return [(_shots(numbers), how) for how, numbers in found.items()]


def _shots(numbers: Sequence[int]) -> str:
    return ("shot " if len(numbers) == 1 else "shots ") + ranges_of(sorted(numbers))


def _hash(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError as e:
        return f"cannot be read ({e.strerror})"


def _model_rows(path: Path) -> list[tuple[str, str]]:
    try:
        facts: ModelFacts = facts_from(read_metadata(path), path)
        own = hashlib.sha256(path.read_bytes()).hexdigest()
    except (OSError, ValueError, ShowError) as e:
        return [("file", path.name), ("not readable", str(e))]
    kind = f"{facts.kind}, {facts.resolution} px, {facts.channels} channels"
    if facts.kind == "stylizer":
        size = f"{facts.size[0]}x{facts.size[1]} px" if facts.size is not None else "any size"
        kind = f"stylizer, {size}, styles {', '.join(facts.styles)}"
    rows = [("file", path.name), ("sha256", own), ("kind", kind),
            ("licence", facts.licence or "not said")]  # fmt: skip
    run: Mapping[str, Any] = facts.run if isinstance(facts.run, dict) else {"run": facts.run} if facts.run else {}
    rows += [(f"training: {key}", said(run[key])) for key in RUN_KEYS if run.get(key) not in (None, "")]
    rows += [(f"sha256 of {name}", value) for name, value in facts.hashes.items()]
    return rows


def said(value: Any) -> str:
    """A value of JSON or TOML in words."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _versions() -> list[tuple[str, str]]:
    rows = [("python", platform.python_version())]
    for name in ("cineml", "onnxruntime-gpu", "onnxruntime", "moderngl", "numpy", "av"):
        try:
            rows.append((name, importlib.metadata.version(name)))
        except importlib.metadata.PackageNotFoundError:
            continue
    return rows


def card_html(show: Show, sections: Sequence[Section]) -> str:
    """The page: no script, nothing from outside."""
    title = html.escape(show.about.get("title") or show.name)
    parts = ["<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>",
             f"<title>{title}</title><style>{STYLE}</style><h1>{title}</h1>",
             f"<p>{MADE}</p>"]  # fmt: skip
    for section in sections:
        rows = "".join(f"<dt>{html.escape(k)}</dt><dd>{html.escape(v)}</dd>" for k, v in section.rows)
        parts.append(f"<h2>{html.escape(section.name)}</h2><dl>{rows}</dl>")
    return "\n".join(parts) + "\n</html>\n"


def is_card(path: Path) -> bool:
    """Whether a file is such a page, or empty, so that nothing is lost where a new one takes its place. Raises OSError."""
    with path.open("rb") as f:
        start = f.read(MOST_READ)
    return not start or (start.startswith(b"<!doctype html>") and MADE.encode() in start)
