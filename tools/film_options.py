"""The command lines of `cineml film probe, dataset, frames, audio`: nothing heavy, so that --help works everywhere."""

from __future__ import annotations

import argparse
from pathlib import Path

DATASET_FPS = 12
DATASET_SIZE = 256
BLACK = 12.0  # levels of 255: the brightest cell of a frame without picture; noise of bad transfers stays below 8
ALIKE = 3.0  # levels of 255: the most that any cell changes between near-duplicates; coded stills stay below 2

PROBE_EXAMPLES = """examples:
  cineml film probe film.mp4
  cineml film probe film.mp4 --json > film.json"""
DATASET_EXAMPLES = """examples:
  cineml film dataset film.mp4 -o pictures
  cineml film dataset film.mp4 -o pictures.zip --cuts cuts.csv --labels shots --size 512 --drop-black --drop-duplicates

OUT holds 00000/img00000000.png and so on, dataset.json as the StyleGAN tools read it, frames.csv (file, film frame, time,
shot, label and group of every picture) and options.json. cineml gan train OUT takes it, and remembers how the film lies in
the square. Stopped by Ctrl-C, the same command goes on."""
FRAMES_EXAMPLES = """examples:
  cineml film frames film.mp4 -o to_paint --only 12,300,845
  cineml film frames film.mp4 -o to_paint --start 00:01:02:00 --end 00:01:10:00 --every 6

OUT/000300.png is film frame 300, counted from 0, in the film's own size. A file that is there already is left as it is."""
AUDIO_EXAMPLES = """examples:
  cineml film audio film.mp4 -o sound.flac
  cineml film audio film.mp4 -o scene.opus --start 00:01:02:00 --end 00:01:10:00

The sound begins with the first picture and is as long as the film, to the sample: the film's frames / its rate * sample
rate, rounded. What is missing is silence. --length file keeps the end of the file's own sound instead."""


def parser(name: str, text: str, examples: str) -> argparse.ArgumentParser:
    """What the four have alike."""
    return argparse.ArgumentParser(prog=f"cineml film {name}", description=text, epilog=examples,
                                   formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip


def add_range(p: argparse.ArgumentParser) -> None:
    """--start, --end and --rate."""
    p.add_argument("--start", help="from here: frames (300), seconds (12.5s) or hh:mm:ss:ff")
    p.add_argument("--end", help="to here, exclusive")
    p.add_argument("--rate", help="of a folder of frames, as 24, 25 or 30000/1001 (24)")


def probe_arguments() -> argparse.ArgumentParser:
    """The command line of `cineml film probe`."""
    p = parser("probe", "What a film is: exact rate, frames, size, bars, colour, sound, and what will make trouble.",
               PROBE_EXAMPLES)  # fmt: skip
    p.add_argument("film", type=Path, metavar="FILM", help="a film, or a folder of its frames")
    p.add_argument("--rate", help="of a folder of frames, as 24, 25 or 30000/1001 (24)")
    p.add_argument("--json", action="store_true", help="as JSON")
    return p


def level(text: str) -> float:
    """A LEVEL. Raises argparse.ArgumentTypeError, also where it is the name of the film, which argparse then takes for one."""
    try:
        return float(text)
    except ValueError:
        told = f"{text!r} is no LEVEL: name the film before this option, or write --option=LEVEL"
        raise argparse.ArgumentTypeError(told) from None


def dataset_arguments() -> argparse.ArgumentParser:
    """The command line of `cineml film dataset`."""
    p = parser("dataset", "Training pictures from a film: square, at an even rate, in the layout of the StyleGAN tools.",
               DATASET_EXAMPLES)  # fmt: skip
    p.add_argument("film", type=Path, metavar="FILM", help="a film, or a folder of its frames")
    p.add_argument("-o", "--output", type=Path, required=True, metavar="OUT", help="a folder, or NAME.zip")
    p.add_argument("--fps", default=str(DATASET_FPS),
                   help=f"pictures a second of film, as 12 or 24000/1001, or 'all' ({DATASET_FPS})")  # fmt: skip
    p.add_argument("--size", type=int, default=DATASET_SIZE, help=f"of the square, in pixels ({DATASET_SIZE})")
    p.add_argument("--fit", choices=("pad", "squash", "crop"), default="pad",
                   help="the whole picture with black beside it, stretched, or its middle (pad)")  # fmt: skip
    p.add_argument("--bars", default="remove", metavar="remove|keep|X,Y,W,H",
                   help="black bars of the film, or the part of it to use, in its pixels (remove)")  # fmt: skip
    p.add_argument("--format", choices=("png", "jpeg", "webp"), default="png", help="of the pictures (png)")
    p.add_argument("--quality", type=int, default=95, help="of JPEG and WebP, 1 to 100; WebP at 100 is lossless (95)")
    p.add_argument("--channels", choices=("auto", "1", "3"), default="auto", help="grey or colour (as the film is)")
    p.add_argument("--cuts", type=Path, metavar="CUTS.csv", help="the film's cut list: each picture's shot is written down")
    p.add_argument("--labels", choices=("none", "shots", "groups"), default="none",
                   help="classes in dataset.json, for conditional training; needs --cuts (none)")  # fmt: skip
    p.add_argument("--drop-black", nargs="?", type=level, const=BLACK, metavar="LEVEL",
                   help=f"leave out frames whose brightest part stays below LEVEL of 255 ({BLACK:g})")  # fmt: skip
    p.add_argument("--drop-duplicates", nargs="?", type=level, const=ALIKE, metavar="LEVELS",
                   help=f"leave out frames no part of which differs by LEVELS of 255 from the last one kept ({ALIKE:g})")
    p.add_argument("--drop-mixed", action="store_true", help="leave out the frames of dissolves and fades; needs --cuts")
    add_range(p)
    p.add_argument("--threads", type=int, default=0, help="that scale and compress (as many as there are cores)")
    p.add_argument("--dry-run", action="store_true", help="say how many pictures it will be, and write nothing")
    p.add_argument("--again", action="store_true", help="put it in the place of another dataset that OUT is")
    return p


def frames_arguments() -> argparse.ArgumentParser:
    """The command line of `cineml film frames`."""
    p = parser("frames", "Lossless full-size frames of a film, for painting.", FRAMES_EXAMPLES)
    p.add_argument("film", type=Path, metavar="FILM", help="a film, or a folder of its frames")
    p.add_argument("-o", "--output", type=Path, required=True, metavar="OUT", help="a folder")
    p.add_argument("--every", type=int, default=1, help="only every so many frames (1)")
    p.add_argument("--only", metavar="12,300-310", help="these frames")
    p.add_argument("--cuts", type=Path, metavar="CUTS.csv", help="the film's cut list, for --shots")
    p.add_argument("--shots", choices=("first", "middle", "last"), help="one frame of every shot; needs --cuts")
    p.add_argument("--depth", choices=("8", "16"), default="8", help="bits of a PNG's channel; 16 for films of 10 or 12 (8)")
    p.add_argument("--channels", choices=("auto", "1", "3"), default="3", help="grey or colour (3)")
    add_range(p)
    p.add_argument("--threads", type=int, default=0, help="that compress (as many as there are cores)")
    p.add_argument("--again", action="store_true", help="write frames anew that are there already")
    return p


def audio_arguments() -> argparse.ArgumentParser:
    """The command line of `cineml film audio`."""
    p = parser("audio", "The soundtrack of a film, exact to the sample.", AUDIO_EXAMPLES)
    p.add_argument("film", type=Path, metavar="FILM", help="a film with sound")
    p.add_argument("-o", "--output", type=Path, required=True, metavar="OUT", help="NAME.flac, NAME.wav or NAME.opus")
    p.add_argument("--track", type=int, default=1, help="which of the film's sound tracks, from 1 (1)")
    p.add_argument("--length", choices=("film", "file"), default="film",
                   help="as long as the film, or as the sound in the file (film)")  # fmt: skip
    p.add_argument("--sample-rate", type=int, default=0, metavar="HZ", help="samples a second (the file's; Opus: 48000)")
    p.add_argument("--bits", choices=("auto", "16", "24", "float"), default="auto",
                   help="of FLAC and WAV (as the file needs); float, of WAV: what is over full scale too")  # fmt: skip
    p.add_argument("--start", help="from here: frames (300), seconds (12.5s) or hh:mm:ss:ff")
    p.add_argument("--end", help="to here, exclusive")
    return p
