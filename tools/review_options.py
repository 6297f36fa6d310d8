"""The command line of `cineml review`: nothing heavy, so that --help works everywhere."""

from __future__ import annotations

import argparse
from pathlib import Path

EXAMPLES = """examples:
  cineml review show.toml
  cineml review show.toml --no-browser --port 8123

The page is for this machine alone (127.0.0.1) and asks nothing of any network. Every change is written at once to the show's
cut list and score; how they were before the first change is kept in SHOW's folder as NAME.review/first. Ctrl-C ends it."""


def port(text: str) -> int:
    """A port, 0 for any that is free. Raises argparse.ArgumentTypeError."""
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and (int(text) == 0 or 1024 <= int(text) < 65536)):
        raise argparse.ArgumentTypeError(f"{text!r} is no port: 1024 to 65535, or 0 for any that is free")
    return int(text)


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        prog="cineml review", description="Correct a show by eye, in a web page on this machine: cuts, walks, keys, labels.",
        epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    p.add_argument("show", type=Path, metavar="SHOW", help="the show's TOML file")
    p.add_argument("--port", type=port, default=0, metavar="N", help="of the page, 1024 to 65535; 0: any that is free (0)")
    p.add_argument("--no-browser", action="store_true", help="only print the page's address")
    p.add_argument("--height", type=int, default=270, metavar="PX", help="of the pictures that are played, 90 to 1080 (270)")
    return p
