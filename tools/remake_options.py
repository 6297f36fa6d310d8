"""The command line of `cineml remake`: nothing heavy, so that --help works everywhere."""

from __future__ import annotations

import argparse
from pathlib import Path

from player.__main__ import size_of, whole_of
from player.show.problem import Problem

SUFFIXES = (".mp4", ".mov", ".mkv")
QUALITY = 18
CUT_LISTS = {"edl": ".edl", "otio": ".otio", "csv": ".csv", "xml": ".xml"}
DEFAULT_CUTS = "edl,otio,csv"
EXAMPLES = """examples:
  cineml remake show.toml -o remake.mp4
  cineml remake show.toml -o compare.mp4 --side-by-side --start 00:01:02:00 --end 00:01:40:00
  cineml remake show.toml -o master.mov --codec prores --size 1920x1080 --srt english.srt --captions track

Beside OUT stand the cut list of the remake, for the editor (OUT's name with .edl and .otio: every shot from the one file
OUT, dissolves and fades being in its picture) and for cineml (.csv), and .json: options, hashes of what was read, versions."""


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        prog="cineml remake", description="The remade film for screening: every frame of a show, with the original's sound.",
        epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    p.add_argument("show", type=Path, metavar="SHOW", help="the show's TOML file")
    p.add_argument("-o", "--output", type=Path, required=True, metavar="OUT", help=".mp4, .mov or .mkv")
    beside = p.add_mutually_exclusive_group()
    beside.add_argument("--side-by-side", action="store_true", help="the original on the left, the remake on the right")
    beside.add_argument("--stacked", action="store_true", help="the original above the remake")
    p.add_argument("--captions", choices=("burn", "track", "off"),
                   help="in the picture, as a track that can be switched off, or not at all (as the show says)")  # fmt: skip
    p.add_argument("--srt", type=Path, metavar="FILE", help="captions, instead of the show's")
    p.add_argument("--codec", choices=("h264", "prores"), default="h264", help="prores: 422 HQ and PCM sound, in .mov")
    p.add_argument("--quality", type=whole_of(0, 51), metavar="N",
                   help=f"of H.264, constant rate factor: 0 without loss, 51 worst ({QUALITY})")  # fmt: skip
    p.add_argument("--size", type=size_of, metavar="WxH",
                   help="of the remake's picture (the show's output, without bars beside the film)")  # fmt: skip
    p.add_argument("--start", metavar="TC", help="from here: frames (300), seconds (12.5s) or hh:mm:ss:ff")
    p.add_argument("--end", metavar="TC", help="to here, exclusive")
    p.add_argument("--cuts", default=DEFAULT_CUTS, metavar="KINDS",
                   help=f"cut lists to write beside it: of {', '.join(CUT_LISTS)}, or none ({DEFAULT_CUTS})")  # fmt: skip
    p.add_argument("--overwrite", action="store_true", help="also cut lists there that no remake has written")
    p.add_argument("--no-sound", action="store_true", help="without the soundtrack")
    p.add_argument("--keep-going", action="store_true", help="write the film even where a source fails")
    p.add_argument("--venue", type=Path, metavar="V", help="the venue's TOML file")
    p.add_argument("--threads", type=whole_of(1, 256), default=2, metavar="N", help="processor threads for a model (2)")
    p.add_argument("--require-provider", choices=("cuda", "cpu"), help="exit with 2 unless the models run there")
    return p


def kinds_of(args: argparse.Namespace) -> list[str]:
    """The cut lists that are asked for."""
    named = [k.strip().lower() for k in args.cuts.split(",") if k.strip()]
    return [] if named == ["none"] else list(dict.fromkeys(named))


def option_problems(args: argparse.Namespace) -> list[Problem]:
    """What is wrong with the command line before any file is looked at."""
    found = []
    suffix = args.output.suffix.lower()
    if suffix not in SUFFIXES:
        given = f"ends in {suffix!r}" if suffix else "has no suffix"
        found.append(Problem(f"-o {args.output}", given, f"a name that ends in {', '.join(SUFFIXES)}"))
    elif args.codec == "prores" and suffix != ".mov":
        found.append(Problem(f"-o {args.output}", f"is to hold ProRes in {suffix}", "a name that ends in .mov"))
    if args.codec == "prores" and args.quality is not None:
        found.append(Problem("--quality", "is given for ProRes, which has none", "--codec h264"))
    for kind in kinds_of(args):
        if kind not in CUT_LISTS:
            found.append(Problem("--cuts", f"{kind[:20]!r} is not known", ", ".join(CUT_LISTS) + ", or none"))
    if args.srt is not None and args.captions == "off":
        found.append(Problem("--srt", "is given, and --captions off", "one of them"))
    return found
