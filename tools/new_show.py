"""`cineml new FILM DIR [--model M]`: a show for one's own film that plays at once, and that later steps fill in.

First it plays the film itself. With --model, and as long as no score is there, every shot plays a free walk between random
pictures of the model; `cineml remap -o DIR/score.toml` puts the real walks in their place. Needs the base install only.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import shlex
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from player.show.cut_list import CutList, Shot, problems_of, read_csv, write_csv
from player.show.problem import Problem, ShowError
from player.show.score import Score, read_score
from player.show.toml_table import file_problem, read_toml
from tools.new_walks import free_score, is_free, unchanged
from tools.score_comments import rewrite_score
from tools.show_file import MARK, fill, relative, show_beside, toml_value
from tools.whole_file import make_folder, write_whole, writing

ABOUT = ("title", "artist", "original", "licence", "note")
EXAMPLES = """examples:
  cineml new film.mp4 my_show
  cineml new film.mp4 my_show --model models --cuts cuts.csv --artist "M. Muster" --licence "film: CC-BY, Blender"

Then: cineml play my_show/show.toml. What comes later goes into the same folder, and the show takes it up:
  cineml cuts detect film.mp4 -o my_show/cuts.csv
  cineml gan export run128/checkpoint -o my_show/models
  cineml remap --film film.mp4 --cuts my_show/cuts.csv --model my_show/models -o my_show/score.toml"""


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        prog="cineml new", description="Write a show for a film of one's own: it plays at once, and later steps fill it in.",
        epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    p.add_argument("film", type=Path, metavar="FILM", help="a film file (of a folder of frames, make a film first)")
    p.add_argument("folder", type=Path, metavar="DIR", help="the show's folder; made, or filled in where it is one already")
    p.add_argument("--model", type=Path, metavar="M", help="folder with mapping.onnx and synthesis.onnx (cineml gan export)")
    p.add_argument("--cuts", type=Path, metavar="CSV", help="its cut list; copied to DIR/cuts.csv")
    p.add_argument("--copy", action="store_true", help="copy film and model into DIR, so that it can be carried elsewhere")
    p.add_argument("--name", help="the show's name (default: the film's)")
    texts = ("of the remake", "who made it", "credit of the film it is made from",
             "of film, model and remake, as the artist knows them", "anything else")  # fmt: skip
    for key, text in zip(ABOUT, texts, strict=True):
        p.add_argument(f"--{key}", help=f"{text}; travels in the show, `cineml check` prints it")
    return p


@dataclass(frozen=True)
class Facts:
    """What a film file says of itself."""

    rate: Fraction
    frames: int
    width: int
    height: int
    has_sound: bool


def facts_of(film: Path) -> Facts:
    """Raises ShowError for what the player could not play."""
    import av

    from player.sources.film_reader import probe_film

    if film.is_dir():
        raise ShowError(Problem(str(film), "is a folder of frames", "a film file with its rate and sound",
                                f"ffmpeg -framerate 24 -pattern_type glob -i '{film.name}/*.png' film.mp4"))  # fmt: skip
    rate, frames, width, height = probe_film(film)
    with av.open(str(film)) as container:
        return Facts(rate, frames, width, height, bool(container.streams.audio))


def problems(args: argparse.Namespace) -> list[Problem]:
    """Everything wrong before the film is opened."""
    found = []
    for path, what in ((args.film, "a film file"), (args.cuts, "a cut list (CSV)")):
        if path is not None and not path.is_dir() and (reason := file_problem(path)):
            found.append(Problem(str(path), reason, what))
    if args.model is not None:
        allowed = "a folder of cineml gan export"
        if (args.model / "model.safetensors").is_file() and not (args.model / "synthesis.onnx").is_file():
            models = args.folder / "models"
            to = shlex.quote(str(models))
            hint = f"cineml gan export {shlex.quote(str(args.model))} -o {to}, then --model {to}"
            found.append(Problem(str(args.model), "is a checkpoint, which cannot be played", allowed, hint))
        else:
            found += [Problem(str(args.model / part), reason, allowed, f"cineml gan export CHECKPOINT -o {args.model}")
                      for part in ("mapping.onnx", "synthesis.onnx") if (reason := file_problem(args.model / part))]
    if args.folder.exists() and not args.folder.is_dir():
        found.append(Problem(str(args.folder), "is a file", "a folder"))
    elif (args.folder / "show.toml").exists() and show_beside(args.folder / "score.toml") is None:
        given, hint = "is a show that cineml new did not write", "another folder, or the keys written by hand (docs/FORMATS.md)"
        found.append(Problem(str(args.folder / "show.toml"), given, "one that it did", hint))
    elif (args.folder / "show.toml").exists():
        found += other_problems(args)
    for key in ("name", *ABOUT):
        if (given := getattr(args, key)) is not None and not given.strip():
            found.append(Problem(f"--{key}", "is empty", "a text"))
    return found


def other_problems(args: argparse.Namespace) -> list[Problem]:
    """What does not go with the show that is there already: a show has one film and one name. Raises ShowError."""
    show = args.folder / "show.toml"
    tables = read_toml(show, "a show")
    found = []
    if args.name is not None and args.name != tables.get("name"):
        found.append(Problem("--name", f"{args.name!r}, and {show} has the name {tables.get('name')!r} already",
                             "that one", f"name = ... in {show}"))  # fmt: skip
    film, about = tables.get("film"), tables.get("about")
    named = film.get("file") if isinstance(film, dict) else None
    told = about.get("film_sha256") if isinstance(about, dict) else None
    if isinstance(named, str) and args.film.is_file():
        own = args.folder / named
        there = own.is_file()
        same = (there and own.samefile(args.film)) or sha256_of(args.film) in (told, sha256_of(own) if there else None)
        if not same:
            found.append(Problem(str(args.film), f"is another film than that of {show}, {named}", "that film",
                                 "another folder for a show of this one"))  # fmt: skip
    return found


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def cut_list(args: argparse.Namespace, facts: Facts) -> CutList | None:
    """The cut list that was given, checked against the film. Raises ShowError."""
    if args.cuts is None:
        return None
    cuts = read_csv(args.cuts)
    found = problems_of(cuts, args.cuts.name, facts.frames)
    if cuts.rate != facts.rate:
        found.append(Problem(f"{args.cuts.name}: rate", f"is {cuts.rate}, the film has {facts.rate}", str(facts.rate)))
    if found:
        raise ShowError(found)
    return cuts


def show_text(args: argparse.Namespace, facts: Facts, film: Path, sha256: str) -> str:
    """The first show.toml: the film itself."""
    folder: Path = args.folder
    name = toml_value(args.name or args.film.stem)
    file = toml_value(relative(film, folder))
    most = 1080
    height = min(most, facts.height + facts.height % 2)
    width = round(facts.width * height / facts.height / 2) * 2
    about = {key: getattr(args, key) for key in ABOUT}
    lines = [
        MARK,
        "# docs/FORMATS.md and show_configs/every_key.toml explain every key; cineml check show.toml tells what is wrong.",
        f"name = {name}",
        "",
        "[film]",
        f"file = {file}",
        f"sound = {file}" if facts.has_sound else '# sound = "soundtrack.wav"  # the film has none',
        '# cuts = "cuts.csv"  # cineml cuts detect FILM -o cuts.csv; until then the film is one shot',
        "",
        "[play]",
        'source = "film"  # film: the original; generator: what the score says',
        "loop = true",
        "",
        "[generator]",
        '# folder = "models"  # cineml gan export CHECKPOINT -o models',
        "",
        "[score]",
        '# file = "score.toml"  # cineml remap --film FILM --cuts cuts.csv --model models -o score.toml',
        "",
        "[fallback]",
        f"file = {file}  # what is shown where a model fails",
        "",
        "[output.main]",
        f"size = [{width}, {height}]",
        'fit = "contain"',
        "",
        "[about]  # printed by cineml check, and on its card",
        *(f"{k} = {toml_value(v)}" if v else f'# {k} = ""' for k, v in about.items()),
        f"film_sha256 = {toml_value(sha256)}",
        f"made_with = {toml_value(f'cineml {version()}')}",
    ]
    return "\n".join(lines) + "\n"


def version() -> str:
    """The installed version, or 'from a clone'."""
    try:
        return importlib.metadata.version("cineml")
    except importlib.metadata.PackageNotFoundError:
        return "from a clone"


def copied(source: Path, target: Path) -> Path:
    """A file copied whole, or left where the same one is there already. Raises ShowError."""
    same = target.is_file() and target.stat().st_size == source.stat().st_size and sha256_of(target) == sha256_of(source)
    if not same and not (target.exists() and target.samefile(source)):
        write_whole(target, lambda part: shutil.copyfile(source, part))
    return target


def new(args: argparse.Namespace) -> list[str]:
    """Make or fill in the show; lines that say what was done. Raises ShowError."""
    if found := problems(args):
        raise ShowError(found)
    facts, folder, done = facts_of(args.film), args.folder, []
    cuts = cut_list(args, facts)
    make_folder(folder)
    show, score = folder / "show.toml", folder / "score.toml"
    film = copied(args.film, folder / args.film.name) if args.copy else args.film
    if not show.exists():
        text = show_text(args, facts, film, sha256_of(film))
        write_whole(show, lambda part: part.write_text(text, encoding="utf-8"))
        done.append(f"{show}: {facts.frames} frames at {facts.rate}, {facts.width}x{facts.height}, "
                    f"{'with' if facts.has_sound else 'without'} sound")  # fmt: skip
    else:
        given = {("about", key): value for key in ABOUT if (value := getattr(args, key)) is not None}
        if given:
            fill(show, given)
            done.append(f"{show}: {', '.join(key for _, key in given)} filled in")
    if cuts is not None:
        at = folder / "cuts.csv"
        if not same_cuts(at, args.cuts, cuts):
            raise ShowError(Problem(str(at), "is another cut list already", "none there", "move it away first"))
        if not at.is_file():
            with writing(at):
                write_csv(cuts, at)
        fill(show, {("film", "cuts"): "cuts.csv"})
        done.append(f"{at}: {len(cuts.shots)} shots")
    if args.model is not None:
        done += with_model(args, facts, show, score)
    return done


def same_cuts(at: Path, given: Path, cuts: CutList) -> bool:
    """Whether the list at `at`, where there is one, says what the given one does: a spreadsheet writes other bytes."""
    if not at.is_file() or at.samefile(given):
        return True
    try:
        there = read_csv(at)
    except ShowError:
        return False
    return (there.rate, there.frames, there.shots) == (cuts.rate, cuts.frames, cuts.shots)


def with_model(args: argparse.Namespace, facts: Facts, show: Path, score: Path) -> list[str]:
    """The model put into the show; free walks where no score is there. Raises ShowError."""
    model: Path = args.model
    old = read_score(score) if score.exists() else None
    if old is not None and not is_free(old) and not plays(model, old):
        hint = f"cineml remap --model {shlex.quote(str(model))} -o {shlex.quote(str(score))}, or move it away"
        given = f"holds walks of another model than {model}"
        raise ShowError(Problem(str(score), given, "the model that it was made with", hint))
    if args.copy:
        make_folder(args.folder / "models")
        for part in ("mapping.onnx", "synthesis.onnx"):
            copied(model / part, args.folder / "models" / part)
        model = args.folder / "models"
    done = []
    if old is None or is_free(old):
        at = args.folder / "cuts.csv"
        shots = read_csv(at).shots if at.is_file() else (Shot(1, 0, facts.frames),)
        walks = free_score(model, shots, facts.rate, old)
        if old is None or not unchanged(old, walks):
            rewrite_score(walks, score)
            until = f"until cineml remap -o {shlex.quote(str(score))} makes the real ones"
            done.append(f"{score}: a free walk for each of {len(shots)} shots, {until}")
    fill(show, {("generator", "folder"): relative(model, args.folder), ("score", "file"): "score.toml",
                ("play", "source"): "generator"})  # fmt: skip
    done.append(f"{show}: plays the generator in {model}")
    return done


def plays(model: Path, score: Score) -> bool:
    """Whether the model plays the score: it is the one that the score was made for, or that one's student. Raises ShowError."""
    from player.sources.onnx_model import OnnxModel

    told, path = score.generator_sha256.lower(), model / "synthesis.onnx"
    if told in ("", sha256_of(path)):
        return True
    synthesis = OnnxModel(path, "synthesis", 1, ["cpu"])
    synthesis.open()
    try:
        return told == synthesis.facts.hashes.get("teacher", "").lower()
    finally:
        synthesis.close()


def main(argv: Sequence[str] | None = None) -> int:
    """The deed. Returns the exit code: 0, 2 for bad input, 130 when stopped by Ctrl-C."""
    args = arguments().parse_args(argv)
    try:
        for line in new(args):
            print(line)
        print(f"play it: cineml play {shlex.quote(str(args.folder / 'show.toml'))}")
    except ShowError as e:
        print(e, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
