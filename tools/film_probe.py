"""`cineml film probe FILM`: what a film is, exactly, and what will make trouble later, said before it does."""

from __future__ import annotations

import json
import math
import re
import sys
from array import array
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from player.show.film import format_timecode
from player.show.problem import Problem, ShowError
from player.sources.film_reader import probe_film
from tools.film_bars import bars_of
from tools.film_dataset import frames_at
from tools.film_dataset_source import folder_at, order_notes, sampled
from tools.film_dataset_square import as_frame, luma, whole
from tools.film_options import DATASET_FPS, probe_arguments
from tools.train_source import coloured

DONE, BAD_INPUT, STOPPED = 0, 2, 130
FIELDS = {2: "top field first", 3: "bottom field first", 4: "top field first", 5: "bottom field first"}  # AVFieldOrder
COMBED_PIXELS, COMBED_FRAMES = 0.01, 0.1  # measured: 0.03 and more of a combed moving frame, below 0.003 of a clean one
COMB_LEVELS = 12  # a line that differs so much from both its neighbours, which are alike


@dataclass(frozen=True)
class Sound:
    """One sound stream. start_s: after the picture's beginning. duration_s: None where the file does not say."""

    track: int
    codec: str
    sample_rate: int
    channels: int
    layout: str
    start_s: float
    duration_s: float | None
    language: str


@dataclass(frozen=True)
class Facts:
    """What a film is. rate: exact, as N/D. width, height: as stored; seen: in square pixels, upright. bars: the picture
    without black bars, [x, y, w, h] upright, or [] where there are none. notes: what will make trouble, in sentences."""

    path: str
    kind: str
    container: str
    codec: str
    pixels: str
    rate: str
    frames: int
    duration_s: float
    timecode: str
    width: int
    height: int
    sample_aspect: str
    seen: list[int]
    rotation: int
    field_order: str
    variable_rate: bool
    missing_timestamps: int
    bars: list[int]
    colour: str
    sound: list[Sound]
    notes: list[str]


@dataclass(frozen=True)
class Spacing:
    """What packets tell. stamps: of those that have one, sorted, in seconds."""

    packets: int
    missing: int
    stamps: NDArray[np.float64]

    def variable(self, rate: Fraction) -> str:
        """Where frames do not stand at a constant rate, as the player sees it (half a frame is allowed); '' where they do."""
        if len(self.stamps) < 2 or self.missing or not rate:
            return ""
        off = np.abs((self.stamps - self.stamps[0]) * float(rate) - np.arange(len(self.stamps)))
        if not (off > 0.5).any():
            return ""
        steps = np.diff(self.stamps)
        steps = steps[steps > 0]
        return f"frames are shown for {steps.min() * 1000:.4g} to {steps.max() * 1000:.4g} ms"


def spacing_of(container: Any, stream: Any) -> Spacing:
    """Counts packets and reads their time stamps; decodes nothing."""
    stamps = array("d")
    packets = missing = 0
    for packet in container.demux(stream):
        if packet.size == 0 or packet.is_discard:
            continue
        packets += 1
        if packet.pts is None:
            missing += 1
        else:
            stamps.append(float(packet.pts * stream.time_base))
    return Spacing(packets, missing, np.sort(np.array(stamps, np.float64)))


def combed(lumas: Sequence[NDArray[np.uint8]]) -> float:
    """The share of frames [h, w] in which moving edges are combed: two moments, one in the even lines, one in the odd."""
    found = 0
    for frame in lumas:
        above, here, below = (frame[i : frame.shape[0] - 2 + i].astype(np.int16) for i in range(3))
        a, b = here - above, here - below
        teeth = (np.minimum(np.abs(a), np.abs(b)) > COMB_LEVELS) & (np.sign(a) == np.sign(b))
        teeth &= np.abs(above - below) < COMB_LEVELS
        rows = teeth[:-1] & teeth[1:] & (np.sign(a[:-1]) != np.sign(a[1:]))  # one tooth after the other, not a thin line
        found += bool(rows.mean() > COMBED_PIXELS)
    return found / max(1, len(lumas))


def looked_at(frames: Sequence[Any], turns: int) -> tuple[list[int], str, float]:
    """(bars or [], grey or colour, share of combed frames) of some frames."""
    lumas = np.stack([luma(as_frame(f), turns) for f in frames])
    height, width = lumas.shape[1:]
    bars = bars_of(lumas)
    colour = "colour" if any(coloured(whole(f, 0, False)) for f in frames) else "grey"
    stored = [np.rot90(frame, -turns) for frame in lumas] if turns else list(lumas)
    return [] if bars == (0, 0, width, height) else list(bars), colour, combed(stored)


def sounds_of(container: Any, begin_s: float) -> list[Sound]:
    """Every sound stream of a file."""
    found = []
    for track, stream in enumerate(container.streams.audio, 1):
        base = float(stream.time_base or 0)
        start = (stream.start_time or 0) * base - begin_s
        length = stream.duration * base if stream.duration else None
        context = stream.codec_context
        found.append(Sound(track, context.name, context.sample_rate, context.channels, context.layout.name, round(start, 6),
                           None if length is None else round(length, 6), stream.language or ""))  # fmt: skip
    return found


def probe(path: Path, rate: str | None = None) -> Facts:
    """What a film file or a folder of frames is. Raises ShowError where it is no film, is empty or cut short."""
    if path.is_dir():
        return probe_folder(path, rate)
    if rate is not None:
        raise ShowError(Problem("--rate", f"{path} is a film and has its own", "--rate for a folder of frames only"))
    return probe_file(path)


def probe_folder(path: Path, rate: str | None) -> Facts:
    """`probe` of a folder of frames. Raises ShowError."""
    footage = folder_at(path, rate)
    bars, colour, _ = looked_at(sampled(path, footage.files), 0)
    notes = order_notes([p.name for p in footage.files])
    numbers = [int(n[-1]) for p in footage.files if (n := re.findall(r"\d+", p.stem)[-1:])]
    gap = next((a for a, b in zip(numbers, numbers[1:], strict=False) if b != a + 1), None)
    if not notes and gap is not None:
        notes.append(f"there is a gap in the numbers after {gap}: frames are counted as they come, from 0")
    if rate is None:
        notes.append(f"a folder has no rate: {footage.rate} frames a second are assumed (--rate)")
    width, height = footage.size
    return Facts(str(path), "folder of frames", "", footage.files[0].suffix[1:].lower(), "rgb24", _fraction(footage.rate),
                 footage.frames, round(float(footage.frames / footage.rate), 6),
                 format_timecode(footage.frames, footage.rate), width, height, "1:1", [width, height], 0, "progressive",
                 False, 0, bars, colour, [], notes)  # fmt: skip


def probe_file(path: Path) -> Facts:
    """`probe` of a film file. Raises ShowError."""
    import av

    if path.is_file() and path.stat().st_size == 0:
        raise ShowError(Problem(str(path), "is empty (0 bytes)", "a film that FFmpeg can read", "copy it again"))
    refused: Problem | None = None
    try:
        exact, frames, width, height = probe_film(path)
    except ShowError as e:
        if "variable frame rate" not in str(e):
            raise
        refused, exact, frames, width, height = e.problems[0], Fraction(0), 0, 0, 0
    with av.open(str(path)) as container:
        video = container.streams.video
        stream = video[0]
        context = stream.codec_context
        if av.stream.Disposition.attached_pic in stream.disposition:
            raise ShowError(Problem(str(path), "holds no film, only a cover picture", "a film that FFmpeg can read"))
        stored, shape = (stream.width, stream.height), stream.sample_aspect_ratio or Fraction(1)
        field_order = FIELDS.get(context.field_order, "")
        begin_s = float((stream.start_time or 0) * (stream.time_base or 0))
        sound = sounds_of(container, begin_s)
        others = [f"{s.width}x{s.height}" for s in video[1:] if av.stream.Disposition.attached_pic not in s.disposition]
        about = container.format.name, context.name, stream.pix_fmt or "", stream.average_rate
        promised = stream.frames
        spacing = spacing_of(container, stream)
    chosen = sampled(path)
    turns = round(chosen[0].rotation / 90) % 4
    bars, colour, combs = looked_at(chosen, turns)
    flagged = any(f.interlaced_frame for f in chosen)
    if refused is not None:
        exact, frames = Fraction(about[3] or 24), spacing.packets
        wide = round(stored[0] * shape)
        width, height = (stored[1], wide) if turns % 2 else (wide, stored[1])
    notes = notes_of(refused, spacing, exact, shape, turns, stored, flagged, field_order, combs, others, colour, promised)
    return Facts(str(path), "film", about[0], about[1], about[2], _fraction(exact), frames,
                 round(float(frames / exact), 6), format_timecode(frames, exact), *stored,
                 f"{shape.numerator}:{shape.denominator}", [width, height], turns * 90,
                 field_order or ("interlaced" if flagged else "progressive"), refused is not None, spacing.missing, bars,
                 colour, sound, [*notes, *sound_notes(sound, frames / exact)])  # fmt: skip


def notes_of(refused: Problem | None, spacing: Spacing, rate: Fraction, shape: Fraction, turns: int, stored: tuple[int, int],
             flagged: bool, field_order: str, combs: float, others: Sequence[str], colour: str,
             promised: int) -> list[str]:  # fmt: skip
    """What will make trouble with the picture, and what to do about it."""
    notes = []
    if refused is not None:
        how = spacing.variable(rate) or refused.given
        notes.append(f"variable frame rate: {how}; cut lists and the player need a constant one: {refused.hint}")
    if spacing.missing:
        notes.append(f"{spacing.missing} of {spacing.packets} frames have no time stamp: frames are counted, and the rate is "
                     "the one that the file claims; in another container they get stamps: ffmpeg -i FILM -crf 14 NEW.mp4")
    if shape != 1:
        notes.append(f"pixels are not square ({shape.numerator}:{shape.denominator}): stored {stored[0]}x{stored[1]}; the "
                     "dataset reckons with it, and the player shows it right")  # fmt: skip
    if turns:
        notes.append(f"is turned by {turns * 90} degrees to the left to be seen; frames and dataset are upright")
    if flagged or field_order or combs > COMBED_FRAMES:
        said = "interlaced" + (f", {field_order}" if field_order else "")
        if not (flagged or field_order):
            said = "says progressive, but moving edges are combed: interlaced, or film with pulldown"
        notes.append(f"{said}; comb teeth would be learnt: ffmpeg -i FILM -vf bwdif=0 progressive.mp4, or fieldmatch,decimate "
                     "where film was pulled down")  # fmt: skip
    if others:
        notes.append(f"holds more video streams ({', '.join(others)}): the first is used")
    if promised and promised != spacing.packets:
        notes.append(f"its index promises {promised} frames, {spacing.packets} are there")
    if not math.isclose(float(rate), round(float(rate)), rel_tol=1e-3) and rate.denominator not in (1, 1001):
        notes.append(f"{rate} frames a second is no usual rate")
    return notes


def sound_notes(sound: Sequence[Sound], length_s: Fraction) -> list[str]:
    """What will make trouble with the sound."""
    notes = []
    for s in sound:
        if abs(s.start_s) > 0.005:
            when = "after" if s.start_s > 0 else "before"
            notes.append(f"sound {s.track} begins {abs(s.start_s):.3f} s {when} the picture: film audio reckons with it")
        if s.duration_s is not None and abs(s.start_s + s.duration_s - float(length_s)) > 0.25:
            notes.append(f"sound {s.track} ends at {s.start_s + s.duration_s:.2f} s, the picture at {float(length_s):.2f} s")
    return notes


def _fraction(rate: Fraction) -> str:
    return f"{rate.numerator}/{rate.denominator}"


def report(facts: Facts) -> str:
    """The facts for a person."""
    f = facts
    rate = Fraction(f.rate)
    usual = f"{float(rate):.6g}" + ("" if rate.denominator == 1 else f" ({f.rate})")
    lines = [f.path, f"  rate     {usual} frames a second{', on average' if f.variable_rate else ''}",
             f"  length   {f.frames} frames, {f.timecode} ({f.duration_s:.3f} s)",
             f"  picture  {f.width}x{f.height} {f.codec} {f.pixels}" + (f" in {f.container}" if f.container else "")
             + f", {f.field_order}",
             f"  seen as  {f.seen[0]}x{f.seen[1]} ({f.seen[0] / f.seen[1]:.3f}:1), pixels {f.sample_aspect}"
             + (f", turned by {f.rotation} degrees" if f.rotation else ""),
             f"  colour   {f.colour}",
             "  bars     " + (f"yes: the picture is {f.bars[2]}x{f.bars[3]} at {f.bars[0]},{f.bars[1]}" if f.bars else "none")]
    for s in f.sound:
        length = "" if s.duration_s is None else f", {s.duration_s:.3f} s"
        language = f", {s.language}" if s.language else ""
        lines.append(f"  sound {s.track}  {s.codec} {s.sample_rate} Hz, {s.layout}{length}{language}")
    lines += ["  sound    none"] * (not f.sound)
    count = len(frames_at(0, f.frames, rate, Fraction(DATASET_FPS))) if rate >= DATASET_FPS else f.frames
    lines.append(f"  dataset  {count} pictures at {DATASET_FPS} a second")
    return "\n".join([*lines, *(f"  note: {note}" for note in f.notes)])


def main(argv: Sequence[str] | None = None) -> int:
    """The deed. Returns the exit code: 0, 2 for bad input, 130 where Ctrl-C stopped it."""
    args = probe_arguments().parse_args(argv)
    try:
        facts = probe(args.film, args.rate)
        print(json.dumps(asdict(facts), indent=1, ensure_ascii=False) if args.json else report(facts))
    except ShowError as e:
        print(e, file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        return STOPPED
    return DONE


if __name__ == "__main__":
    sys.exit(main())
