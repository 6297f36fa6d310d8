"""The command lines of `cineml cuts convert` and `cineml cuts check`, and the film that they may be told: nothing heavy."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from player.show.film import parse_rate, parse_timecode
from player.show.problem import Problem, ShowError

READ = ("csv", "edl", "otio", "fcp7", "fcpx", "scenedetect", "mpv")
WRITTEN = {".csv": "csv", ".edl": "edl", ".otio": "otio", ".xml": "fcp7"}  # by suffix
CONVERT_EXAMPLES = """examples:
  cineml cuts convert timeline.edl -o cuts.csv --film film.mp4
  cineml cuts convert cuts.csv -o timeline.otio --film film.mp4
  cineml cuts convert reel.edl -o cuts.csv --rate 29.97 --film-start 01:00:00;00
  cineml cuts convert cuts.csv -o premiere.xml --film remake.mp4 --baked"""
CHECK_EXAMPLES = """examples:
  cineml cuts check cuts.csv --film film.mp4
  cineml cuts check timeline.edl --rate 25"""


@dataclass(frozen=True)
class FilmFacts:
    """What a film says about itself, or the part of it between --start and --end.

    rate None: a folder of frames, which has none. size: in square pixels. first: the frame that --start names; whole: how
    many frames the film has, where only a part is meant. timecode: of the film's own first frame, '' where it has none.
    """

    path: Path
    rate: Fraction | None
    frames: int
    size: tuple[int, int] = (1920, 1080)
    first: int = 0
    whole: int = 0
    timecode: str = ""


def _shared(p: argparse.ArgumentParser) -> None:
    p.add_argument("--film", type=Path, metavar="FILM",
                   help="the film, or a folder of its frames: its rate is taken and its length compared")  # fmt: skip
    p.add_argument("--start", metavar="TC", help="the cut list begins here in the film: 00:00:10:00, 12.5s or 300f")
    p.add_argument("--end", metavar="TC", help="and ends before here")
    p.add_argument("--rate", help="frames a second, where the file does not say: 24, 23.976, 30000/1001")
    p.add_argument("--from", dest="kind", choices=READ, default="", help="the input's format (by what it holds)")
    p.add_argument("--film-start", metavar="TC", default="",
                   help="timecode in an EDL at which the film begins (its first event)")  # fmt: skip
    p.add_argument("--sequence", metavar="NAME", default="", help="which timeline, where a file holds several")
    p.add_argument("--fill-end", action="store_true", help="what the film has after the edit's end is a black shot")
    p.add_argument("--join", action="store_true", help="clips that go on in their source are one shot: no cut is seen there")


def convert_arguments() -> argparse.ArgumentParser:
    """The command line of `cineml cuts convert`."""
    p = argparse.ArgumentParser(
        prog="cineml cuts convert", epilog=CONVERT_EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter,
        description="A cut list from one format to another, with the same frame numbers.\n"
                    "Read: cineml's CSV, CMX3600 EDL, OTIO, FCP7/Premiere XML, FCPXML, PySceneDetect's CSV, mpv EDL.\n"
                    "Written: CSV, EDL, OTIO, FCP7 XML.\n"
                    "The shots are those of the timeline (record time), black where it is empty.")  # fmt: skip
    p.add_argument("cuts", type=Path, metavar="CUTS", help="the cut list, in any of the formats")
    p.add_argument("-o", "--output", type=Path, required=True, metavar="OUT", help="ends in .csv, .edl, .otio or .xml (FCP7)")
    _shared(p)
    p.add_argument("--to", choices=sorted(set(WRITTEN.values())), default="", help="the output's format (by its suffix)")
    p.add_argument("--timeline-start", metavar="TC", default="",
                   help="timecode with which the written timeline begins (00:00:00:00)")  # fmt: skip
    p.add_argument("--drop-frame", action="store_true", help="write drop frame timecode (29.97 and 59.94)")
    p.add_argument("--baked", action="store_true",
                   help="the film holds its dissolves and fades already: write plain cuts, keep the rest in notes")  # fmt: skip
    p.add_argument("--overwrite", action="store_true", help="put it in place of another OUT that is there")
    return p


def check_arguments() -> argparse.ArgumentParser:
    """The command line of `cineml cuts check`."""
    p = argparse.ArgumentParser(
        prog="cineml cuts check", epilog=CHECK_EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Everything wrong with a cut list at once: gaps, overlaps, coverage, lengths of transitions, the\n"
                    "film's length and rate. Exits 2 where the list cannot be used, 0 with warnings where it can.")  # fmt: skip
    p.add_argument("cuts", type=Path, metavar="CUTS", help="the cut list, in any format that `cuts convert` reads")
    _shared(p)
    return p


def told_rate(text: str | None, film: FilmFacts | None) -> tuple[Fraction | None, list[Problem]]:
    """--rate, or the film's; problems where it is no rate or not the film's."""
    if text is None:
        return (film.rate if film else None), []
    try:
        rate = parse_rate(text)
    except ValueError as e:
        return None, [Problem("--rate", str(e))]
    if film is not None and film.rate is not None and film.rate != rate:
        return rate, [Problem("--rate", f"is {rate}, {film.path.name} has {film.rate}", "", "no --rate")]
    return rate, []


def film_facts(path: Path, start: str | None, end: str | None, rate: str | None) -> FilmFacts:
    """The film, or the part of it between --start and --end. Raises ShowError."""
    if path.is_dir():
        facts = _folder(path)
    else:
        from player.sources.film_reader import probe_film  # PyAV takes a while to import

        found_rate, frames, width, height = probe_film(path)
        facts = FilmFacts(path, found_rate, frames, (width, height), timecode=_timecode(path))
    if start is None and end is None:
        return facts
    counting = facts.rate or told_rate(rate, None)[0]
    if counting is None:
        raise ShowError(Problem("--start, --end", "are given for frames without a rate", "--rate beside them"))
    places: list[int] = []
    for name, text, otherwise in (("--start", start, 0), ("--end", end, facts.frames)):
        try:
            places.append(otherwise if text is None else parse_timecode(text, counting))
        except ValueError as e:
            raise ShowError(Problem(name, str(e))) from None
    if not 0 <= places[0] < places[1] <= facts.frames:
        given = f"name frames {places[0]} to {places[1]}"
        raise ShowError(Problem("--start, --end", given, f"a part of the film's {facts.frames} frames"))
    return replace(facts, frames=places[1] - places[0], first=places[0], whole=facts.frames)


def _timecode(path: Path) -> str:
    """The timecode that a camera or an editing program wrote into the film."""
    import av

    try:
        with av.open(str(path)) as container:
            tags = [container.metadata, *(s.metadata for s in container.streams)]
    except (av.FFmpegError, OSError):
        return ""
    return next((t["timecode"] for t in tags if t.get("timecode")), "")


def _folder(path: Path) -> FilmFacts:
    from PIL import Image, UnidentifiedImageError

    from tools.train_source import PICTURES

    names = sorted(p for p in path.iterdir() if p.suffix.lower() in PICTURES and p.is_file())
    if not names:
        raise ShowError(Problem(str(path), "holds no pictures", "the film's frames as pictures"))
    try:
        with Image.open(names[0]) as first:
            return FilmFacts(path, None, len(names), first.size)
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as e:
        raise ShowError(Problem(str(names[0]), f"cannot be read as a picture ({e})")) from None
