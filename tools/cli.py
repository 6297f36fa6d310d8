"""The `cineml` command: a table of verbs, each imported only when it is called.

play, render, check, demo, new, remake, review, doctor, gan timelapse, film, cuts and strip work in a base install without
torch; that holds because nothing here imports a verb's module before the verb is known. Of bench, `bench player --only
start,render,refreshes,sync,memory` does; the rest of it, and the other verbs, need the studio, but for their --help.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import io
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from player.show.problem import ShowError, nearest

DONE, BAD_INPUT, STOPPED = 0, 2, 130

# What only the extras bring: a verb that misses one of these names the extra, not the module.
STUDIO_MODULES = ("torch", "safetensors", "onnx", "soundfile", "scipy", "rich", "matplotlib", "numba", "cv2")
EXIT_CODES = """Exit codes:
  0    done; a show that is ended by Ctrl-C has ended well
  1    done or given up, and not as it should be: a model failed (render, demo), a bound does not hold (bench), this
       machine lacks what a show needs (doctor); or a fault of ours, with a traceback
  2    bad input: one sentence for each problem, nothing lost
  130  other work stopped by hand"""


@dataclass(frozen=True)
class Verb:
    """One command. module: has main(argv) -> exit code. words: what main gets before the person's own arguments. options:
    where `module` needs the studio, the module that has its command line (arguments() -> parser) and needs nothing."""

    module: str
    text: str
    examples: tuple[str, str]
    words: tuple[str, ...] = ()
    options: str = ""


VERBS: dict[str, Verb] = {
    "demo": Verb("tools.demo", "the demo show, whatever this machine has", (
        "cineml demo", "cineml demo --offscreen --out demo_here")),
    "new": Verb("tools.new_show", "a playable show for a film of one's own; later steps fill it in", (
        "cineml new film.mp4 my_show", "cineml new film.mp4 my_show --model run128/checkpoint --cuts cuts.csv")),
    "play": Verb("player.__main__", "play a show, in a window or offscreen", (
        "cineml play show.toml --venue gallery.toml",
        "cineml play show.toml --offscreen --duration 20 --record take.mp4 --stats take.json"), ("play",)),
    "render": Verb("player.__main__", "every frame of a show, exact, with its soundtrack, into a film", (
        "cineml render show.toml remake.mp4", "cineml render show.toml shot.mp4 --start 00:00:12:00 --duration 4"),
        ("render",)),
    "check": Verb("player.__main__", "everything a technician wants to know before doors open", (
        "cineml check show.toml", "cineml check show.toml --venue gallery.toml"), ("check",)),
    "doctor": Verb("tools.doctor", "what this machine has: GL, execution providers, audio, screens", (
        "cineml doctor", "cineml doctor --json > machine.json")),
    "bench": Verb("tools.bench", "the project's own measurements, as a table and JSON", (
        "cineml bench player", "cineml bench player --json bench.json")),
    "film probe": Verb("tools.film_probe", "what a film is, exactly, and what will make trouble", (
        "cineml film probe film.mp4", "cineml film probe film.mp4 --json > film.json")),
    "film dataset": Verb("tools.film_dataset", "training pictures from a film, in the layout of the StyleGAN tools", (
        "cineml film dataset film.mp4 -o pictures",
        "cineml film dataset film.mp4 -o pictures.zip --cuts cuts.csv --labels shots --size 512 --drop-black")),
    "film frames": Verb("tools.film_frames", "lossless full-size frames for painting, named by film frame", (
        "cineml film frames film.mp4 -o to_paint --only 12,300,845",
        "cineml film frames film.mp4 -o to_paint --start 00:01:02:00 --end 00:01:10:00 --every 6")),
    "film audio": Verb("tools.film_audio", "the soundtrack, exact to the sample: FLAC, WAV or Opus", (
        "cineml film audio film.mp4 -o sound.flac",
        "cineml film audio film.mp4 -o scene.opus --start 00:01:02:00 --end 00:01:10:00")),
    "cuts detect": Verb("tools.cuts_detect", "cuts, dissolves and fades of a film: list, sheet, and a page to correct by", (
        "cineml cuts detect film.mp4 -o cuts.csv", "cineml cuts detect film.mp4 --recheck cuts.csv")),
    "cuts group": Verb("tools.cuts_group", "shots that return to a set-up, as labels in the cut list", (
        "cineml cuts group film.mp4 cuts.csv", "cineml cuts group film.mp4 --cuts cuts.csv -o grouped.csv")),
    "cuts convert": Verb("tools.cuts_convert", "a cut list between CSV, EDL, OTIO and XML, with the same frame numbers", (
        "cineml cuts convert timeline.edl -o cuts.csv --film film.mp4",
        "cineml cuts convert cuts.csv -o timeline.otio --film film.mp4")),
    "cuts check": Verb("tools.cuts_check", "everything wrong with a cut list at once, against its film", (
        "cineml cuts check cuts.csv --film film.mp4",
        "cineml cuts check timeline.edl --rate 25")),
    "gan train": Verb("tools.gan_train", "train a generator on a film's frames; can be stopped and resumed", (
        "cineml gan train film.mp4 -o run64 --minutes 60",
        "cineml gan train film.mp4 -o run128 --cuts cuts.csv --anchor --resolution 128 --grow-from run64"),
        options="tools.train_arguments"),
    "gan import": Verb("tools.gan_import", "a snapshot of another StyleGAN2 as a checkpoint; nothing in it is executed", (
        "cineml gan import network-snapshot-025000.pkl -o face",
        "cineml gan import stylegan2-church.pt -o church --with-discriminator"),
        options="tools.import_options"),
    "gan export": Verb("tools.gan_export", "a training checkpoint as ONNX, compared with torch before it is kept", (
        "cineml gan export run128/checkpoint -o models",
        "cineml gan export run128/checkpoint -o models --half --licence CC0-1.0"),
        options="tools.export_options"),
    "gan sample": Verb("tools.gan_sample", "random pictures of a generator, their latents and a contact sheet", (
        "cineml gan sample models --n 16 -o samples",
        "cineml gan sample run128/checkpoint -o sheet.png --psi 0.7,1 --seed 7"),
        options="tools.sample_options"),
    "gan walk": Verb("tools.gan_walk", "a latent walk as a film: key pictures, a spline between them, a loop without seam", (
        "cineml gan walk models --seeds 1,5,9,12 --loop --seconds 12 -o walk.mp4",
        "cineml gan walk models --latents samples/latents.npz --seconds 30 -o walk.mp4"),
        options="tools.walk_options"),
    "gan timelapse": Verb("tools.gan_timelapse", "the sample grids of a training run as a film", (
        "cineml gan timelapse run128 -o training.mp4",
        "cineml gan timelapse run128 -o face.mp4 --window 3,2 --fps 12")),
    "gan project": Verb("tools.gan_project", "pictures, or a film's frames, to the latents that make them", (
        "cineml gan project run128/checkpoint portrait.png -o projected",
        "cineml gan project run128/checkpoint film.mp4 --shots --cuts cuts.csv"),
        options="tools.project_options"),
    "gan edit": Verb("tools.gan_edit", "named directions in W, each with a strip of pictures, for a performer's hands", (
        "cineml gan edit run128/checkpoint -o directions",
        "cineml gan edit run128/checkpoint -o directions --method sefa --layers 4-9"),
        options="tools.edit_options"),
    "gan distill": Verb("tools.gan_distill", "a narrower generator taught by a wide one: real time on a weak machine", (
        "cineml gan distill run256/checkpoint -o student --width 0.5 --minutes 60",
        "cineml gan distill run256/checkpoint -o student --width 0.25 --dataset film.mp4"),
        options="tools.distill_options"),
    "gan metrics": Verb("tools.gan_metrics", "KID, SWD, precision, recall and memorisation of a generator on its film", (
        "cineml gan metrics run128/checkpoint film.mp4",
        "cineml gan metrics models film.mp4 --samples 1000 --json")),
    "remap": Verb("tools.remap", "film, cut list and generator to a score: a walk for every shot", (
        "cineml remap --film film.mp4 --cuts cuts.csv --model models -o score.toml",
        "cineml remap -o score.toml --shot 12 --again"),
        options="tools.remap_options"),
    "sort": Verb("tools.sort_pictures", "pictures, film frames or latents on a grid, alike ones side by side", (
        "cineml sort frames/ -o sheet.png",
        "cineml sort samples/latents.npz --model run128/checkpoint -o sheet.png --columns 20"),
        options="tools.sort_options"),
    "review": Verb("tools.review", "correct cuts and score by eye, in a web page on this machine", (
        "cineml review show.toml",
        "cineml review show.toml --no-browser --port 8123"),
        options="tools.review_options"),
    "remake": Verb("tools.remake", "the remade film with the original's sound, captions, and its cut list for the editor", (
        "cineml remake show.toml -o remake.mp4",
        "cineml remake show.toml -o compare.mp4 --side-by-side --start 00:01:02:00 --end 00:01:40:00"),
        options="tools.remake_options"),
    "keyframes suggest": Verb("tools.keyframes_suggest", "which frames to paint, so that the rest follows from them best", (
        "cineml keyframes suggest film.mp4 -n 13 -o to_paint",
        "cineml keyframes suggest film.mp4 --cuts cuts.csv --until 8 -o to_paint"),
        options="tools.keyframes_suggest_options"),
    "keyframes mask": Verb("tools.keyframes_mask", "masks of the foreground for every frame, without painting each", (
        "cineml keyframes mask film.mp4 --cuts cuts.csv -o masks",
        "cineml keyframes mask film.mp4 -o masks --background empty_room.png"),
        options="tools.keyframes_mask_options"),
    "keyframes paint": Verb("tools.keyframes_paint", "from film and painting to the painted film, in one command", (
        "cineml keyframes paint film.mp4 --style painting.jpg -o painted.mp4",
        "cineml keyframes paint frames/ --style painting.png -o painted --keys-at 12,96,180 --scale 0.5 --keep colour"),
        options="tools.paint_options"),
    "keyframes propagate": Verb("tools.keyframes_propagate", "from a few painted frames to the whole film", (
        "cineml keyframes propagate film.mp4 --keys painted --cuts cuts.csv -o painted.mp4",
        "cineml keyframes propagate frames_dir --keys painted --masks masks --preset best -o out_frames")),
    "style choose": Verb("tools.style_choose", "a sheet of styles by frames, to choose one by eye", (
        "cineml style choose film.mp4 --styles paintings/ -o sheet.png",
        "cineml style choose film.mp4 --styles paintings/ --at 96,300,845 --width 480 --preset normal -o sheet.png"),
        options="tools.style_choose_options"),
    "style optimize": Verb("tools.style_optimize", "a picture or a film in the strokes of a painting, slowly and well", (
        "cineml style optimize photo.jpg --style painting.png -o painted.png",
        "cineml style optimize film.mp4 --style painting.png --cuts cuts.csv -o painted.mp4"),
        options="tools.style_optimize_options"),
    "style dream": Verb("tools.style_dream", "a picture or a film as a network dreams it", (
        "cineml style dream still.png --network checkpoint --layer b32 -o dream.png",
        "cineml style dream film.mp4 --network vgg19-dcbb9e9d.pth --layer relu4_3 --cuts cuts.csv --keep colour -o dream.mp4"),
        options="tools.style_dream_options"),
    "style train": Verb("tools.style_train", "teach a network paintings, so that it styles film in real time", (
        "cineml style train --film film.mp4 --style strokes.png lines.png -o run --minutes 10",
        "cineml style train --film film.mp4 --style other.png --from run -o run2 --steps 1500"),
        options="tools.style_train_options"),
    "style distill": Verb("tools.style_distill", "a small stylizer taught by a large one, or by the optimiser", (
        "cineml style distill johnson --film film.mp4 -o student --minutes 10",
        "cineml style distill run/teacher --film film.mp4 -o student --width 16 --blocks 8"),
        options="tools.style_distill_options"),
    "style export": Verb("tools.style_export", "a trained stylizer as one ONNX file, for the player and style apply", (
        "cineml style export run -o stylizer.onnx",
        "cineml style export run -o stylizer.onnx --size 640x480 --fold film.mp4"),
        options="tools.style_export_options"),
    "style apply": Verb("tools.style_apply", "a film through a trained stylizer, with its sound", (
        "cineml style apply film.mp4 --model stylizer.onnx --style whiplash -o styled.mp4",
        "cineml style apply film.mp4 --model stylizer.onnx --style whiplash=0.7,strokes=0.3 --cuts cuts.csv --smooth 0.6 "
        "-o styled.mp4"),
        options="tools.style_apply_options"),
    "style measure": Verb("tools.style_measure", "how steady, sharp and near to painting and film a stylised film is", (
        "cineml style measure film.mp4 stylised.mp4 --cuts cuts.csv --style painting.png",
        "cineml style measure film.mp4 plain.mp4 steady.mp4 --style painting.png -o compared --start 00:00:10:00 "
        "--end 00:00:15:00"),
        options="tools.style_measure_options"),
    "strip": Verb("tools.strip", "the way back to film: 16 mm and Super 16 strips as a true-to-scale PDF", (
        "cineml strip remake.mp4 -o strip.pdf --dry-run",
        "cineml strip remake.mp4 -o strip.pdf --format standard16 --sheet A3 --dpi 1200"),
        options="tools.strip_options"),
}


def help_text() -> str:
    """What `cineml --help` prints: every verb with one line and two examples."""
    lines = ["usage: cineml VERB ...", "", "Turns a film into a living remake, and plays it.", "", "verbs:"]
    lines += [f"  {name:<20}{verb.text}" for name, verb in VERBS.items()]
    lines += ["", "examples:"]
    lines += [f"  {example}" for verb in VERBS.values() for example in verb.examples]
    lines += ["", "cineml VERB --help tells a verb's own options. cineml --version tells the version.",
              EXIT_CODES]
    return "\n".join(lines)


def find_verb(argv: Sequence[str]) -> tuple[str, list[str]]:
    """The verb at the head of argv and the arguments after it. Raises LookupError with a sentence for a person."""
    for length in (2, 1):
        name = " ".join(argv[:length])
        if len(argv) >= length and name in VERBS:
            return name, list(argv[length:])
    parts = sorted(v for v in VERBS if v.startswith(f"{argv[0]} "))
    if parts:
        given = f"has no {argv[1]!r}" if len(argv) > 1 and not argv[1].startswith("-") else "needs one word more"
        raise LookupError(f"cineml {argv[0]} {given}; there are: " + ", ".join(parts))
    hint = nearest(argv[0], VERBS) or "cineml --help lists them"
    raise LookupError(f"cineml has no verb {argv[0]!r}; {hint}")


def say(sentence: str) -> None:
    """One line for a person, where errors go."""
    print(f"cineml: {sentence}", file=sys.stderr)


def version() -> str:
    """The installed version, or what a clone without an installation is."""
    try:
        return importlib.metadata.version("cineml")
    except importlib.metadata.PackageNotFoundError:
        return "not installed (run from a clone)"


def help_without_studio(name: str, need: str) -> str:
    """What `cineml VERB --help` prints where the verb's own module cannot be imported. need: the sentence that says why."""
    verb = VERBS[name]
    if verb.options:
        told = str(importlib.import_module(verb.options).arguments().format_help())
    else:
        told = f"usage: cineml {name} ...\n\n{verb.text[0].upper()}{verb.text[1:]}.\n"
    if "examples:" not in told:
        told += "\nexamples:\n" + "".join(f"  {example}\n" for example in verb.examples)
    return f"{told}\n{need}"


def run_verb(name: str, argv: list[str]) -> int:
    """Imports the verb's module and calls its main. Returns the exit code; lets ShowError and Ctrl-C through."""
    verb = VERBS[name]
    sys.argv[0] = f"cineml {name}"  # argparse takes the name in usage lines from here
    asks_help = "--help" in argv or "-h" in argv
    printed = io.StringIO()
    try:
        module = importlib.import_module(verb.module)
        with contextlib.redirect_stdout(printed) if asks_help else contextlib.nullcontext():
            code = module.main([*verb.words, *argv])
    except ModuleNotFoundError as e:
        missing = (e.name or "").partition(".")[0]
        if missing not in STUDIO_MODULES:
            raise
        need = f"'cineml {name}' is part of the studio and needs {missing}: pip install \"cineml[studio]\""
        if asks_help:
            print(help_without_studio(name, need))
            return DONE
        say(need)
        return BAD_INPUT
    except SystemExit as e:  # argparse leaves this way
        code = e.code if isinstance(e.code, int) else DONE if e.code is None else BAD_INPUT
        if isinstance(e.code, str):
            say(e.code)
    print(printed.getvalue(), end="")
    if asks_help and code == DONE and "examples:" not in printed.getvalue():
        print("\nexamples:\n" + "\n".join(f"  {example}" for example in verb.examples))
    return int(code or DONE)


def main(argv: Sequence[str] | None = None) -> int:
    """The command. Returns the exit code, as EXIT_CODES says."""
    argv = list(sys.argv[1:] if argv is None else argv)
    try:
        if not argv or argv[0] in ("-h", "--help", "help"):
            print(help_text(), flush=True)
            return DONE if argv else BAD_INPUT
        if argv[0] in ("-V", "--version"):
            print(f"cineml {version()}", flush=True)
            return DONE
        try:
            name, rest = find_verb(argv)
        except LookupError as e:
            say(str(e))
            return DONE if argv[1:] in (["--help"], ["-h"]) else BAD_INPUT
        return run_verb(name, rest)
    except ShowError as e:
        for problem in e.problems:
            say(str(problem))
        return BAD_INPUT
    except KeyboardInterrupt:
        say("stopped by hand.")
        return STOPPED
    except BrokenPipeError:
        # `cineml ... | head`: the reader has what it wanted. stdout is closed under us, so the interpreter must not flush it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE


if __name__ == "__main__":
    sys.exit(main())
