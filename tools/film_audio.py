"""`cineml film audio FILM -o OUT`: the soundtrack, exact to the sample.

The first sample is the one that is heard with the first picture; the last is the one before the film ends, so that the
file is round(frames * sample rate / film rate) samples long. What the file does not hold is silence.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from player.progress import Progress
from player.show.problem import Problem, ShowError
from tools.film_dataset import version_of
from tools.film_dataset_source import Footage, footage_at, range_of
from tools.film_options import audio_arguments
from tools.whole_file import output_problems, write_whole

DONE, BAD_INPUT, STOPPED = 0, 2, 130
FORMATS = {".flac": "flac", ".wav": "wav", ".opus": "opus"}
OPUS_HZ = 48_000
OPUS_BITS_A_CHANNEL = 96_000  # beyond this nobody has told Opus from the original in public listening tests
KINDS = {"s16": np.int16, "s32": np.int32, "flt": np.float32}
GAP_S = 0.015  # stamps of Matroska are rounded to a millisecond; a lost packet of any codec is 20 ms and more
FLOATS = ("flt", "fltp", "dbl", "dblp")  # what most codecs decode to: over full scale is nothing special to them
BLOCK = 1 << 15  # samples that are written at a time

Samples = NDArray[Any]  # int16, int32 or float32 [n, channels]


@dataclass
class Track:
    """The sound as it is read. gaps, overlaps: where its stamps did not follow on each other, in samples. last: samples
    from the first picture to the end of the sound. asked: those of the source that are wanted. over: how many of them whole
    numbers cannot hold, peak: the greatest."""

    channels: int
    layout: str
    source_hz: int
    hz: int
    form: str  # of the samples, packed: s16, s32 or flt
    gaps: list[int] = field(default_factory=list)
    overlaps: list[int] = field(default_factory=list)
    last: int = 0
    asked: tuple[int, float] = (0, math.inf)
    over: int = 0
    peak: float = 0.0

    def heard(self, frame: Any, at: int) -> None:
        """Counts what is over full scale in a frame of sound that begins at sample `at`, where that will be lost."""
        if self.form != "flt" and frame.format.name in FLOATS and at < self.asked[1] and at + frame.samples > self.asked[0]:
            loud = np.abs(frame.to_ndarray())
            self.over += int(np.count_nonzero(loud > 1))
            self.peak = max(self.peak, float(loud.max(initial=0)))


def samples_at(frame: int, rate: Fraction, hz: int) -> int:
    """The sample that is heard first with a film frame: round(frame * hz / rate)."""
    return round(frame * hz / rate)


def place_problems(args: argparse.Namespace) -> list[Problem]:
    """What is wrong with the command line before any file is looked at."""
    found = output_problems(args.output, tuple(FORMATS))
    film, output = (Path(os.path.abspath(p)) for p in (args.film, args.output))
    if film == output or film.with_name(film.name + ".json") == output:
        found.append(Problem(str(args.output), "is the film, and would be lost", "another name"))
    if args.film.is_dir():
        found.append(Problem(str(args.film), "is a folder of frames, which has no sound", "a film file"))
    if args.track < 1:
        found.append(Problem("--track", str(args.track), "1 or more"))
    opus = args.output.suffix.lower() == ".opus"
    if args.sample_rate and (args.sample_rate != OPUS_HZ if opus else not 4000 <= args.sample_rate <= 384_000):
        found.append(Problem("--sample-rate", str(args.sample_rate), "48000 for Opus" if opus else "4000 to 384000"))
    if args.bits == "float" and args.output.suffix.lower() in FORMATS and args.output.suffix.lower() != ".wav":
        found.append(Problem("--bits", f"float in a {args.output.suffix.lower()}", "16 or 24 there, or float in a .wav"))
    return found


def track_of(container: Any, path: Path, args: argparse.Namespace) -> tuple[Any, Track]:
    """(the stream, what it is). Raises ShowError."""
    streams = container.streams.audio
    if not streams:
        raise ShowError(Problem(str(path), "holds no sound", "a film with a sound stream"))
    if args.track > len(streams):
        raise ShowError(Problem("--track", str(args.track), f"1 to {len(streams)}, as the film has"))
    stream = streams[args.track - 1]
    context = stream.codec_context
    opus = args.output.suffix.lower() == ".opus"
    short = str(context.format.name).startswith(("s16", "u8")) if context.format is not None else False
    bits = 16 if opus or args.bits == "16" or (args.bits == "auto" and short) else 24
    form = "flt" if args.bits == "float" else "s16" if bits == 16 else "s32"
    hz = OPUS_HZ if opus else args.sample_rate or context.sample_rate
    return stream, Track(context.channels, context.layout.name, context.sample_rate, hz, form)


def pieces(container: Any, stream: Any, track: Track) -> Iterator[Samples]:
    """The sound from the first picture on, [n, channels] at the source's rate, without holes: gaps in its stamps become
    silence, what overlaps or lies before the picture is dropped."""
    import av

    begin_s = Fraction(0)
    for video in container.streams.video:
        if av.stream.Disposition.attached_pic not in video.disposition and video.start_time is not None:
            begin_s = video.start_time * video.time_base
            break
    packed = av.AudioResampler(format=track.form, layout=track.layout, rate=track.source_hz)
    at: int | None = None  # the sample that comes next, from the first picture on
    for frame in container.decode(stream):
        stamp = None if frame.pts is None or not frame.time_base else frame.pts * frame.time_base - begin_s
        blocks = []
        frame.pts = None  # or the converter would mend stamps in its own way
        for made in packed.resample(frame):
            blocks.append(made.to_ndarray().reshape(-1, track.channels))
        block = np.concatenate(blocks) if blocks else np.zeros((0, track.channels), np.int16)
        told = at if stamp is None else round(stamp * track.source_hz)
        if at is None:
            at = min(0, told or 0)
            gap = max(0, told or 0)
        else:
            gap = 0 if told is None or abs(told - at) <= GAP_S * track.source_hz else told - at
            if gap:
                (track.gaps if gap > 0 else track.overlaps).append(abs(gap))
        if gap > 0:
            yield np.zeros((gap, track.channels), block.dtype)
            at += gap
        elif gap < 0:
            block = block[-gap:]
        track.heard(frame, at)
        skip = min(len(block), max(0, -at))  # before the picture
        at += len(block)
        if len(block) > skip:
            yield block[skip:]


def at_rate(blocks: Iterator[Samples], track: Track) -> Iterator[Samples]:
    """Blocks at the rate that is to be written."""
    if track.hz == track.source_hz:
        yield from blocks
        return
    import av

    converter = av.AudioResampler(format=track.form, layout=track.layout, rate=track.hz)
    for block in blocks:
        for made in converter.resample(frame_of(block, track, track.source_hz)):
            yield made.to_ndarray().reshape(-1, track.channels)
    for made in converter.resample(None):
        yield made.to_ndarray().reshape(-1, track.channels)


def frame_of(block: Samples, track: Track, hz: int) -> Any:
    """Samples [n, channels] as FFmpeg takes them."""
    import av

    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block).reshape(1, -1), track.form, track.layout)
    frame.sample_rate = hz
    return frame


def cut_to(blocks: Iterator[Samples], first: int, last: int | None, track: Track) -> Iterator[Samples]:
    """Samples [first, last) of the blocks, silence where they end before; last None: to their end."""
    at = 0
    for block in blocks:
        begin, end = at, at + len(block)
        at = track.last = end
        if last is not None and begin >= last:
            break
        part = block[max(0, first - begin) : len(block) if last is None else max(0, last - begin)]
        for i in range(0, len(part), BLOCK):
            yield part[i : i + BLOCK]
    if last is not None:
        kind = KINDS[track.form]
        for i in range(max(at, first), last, BLOCK):
            yield np.zeros((min(BLOCK, last - i), track.channels), kind)


def write_sound(part: Path, suffix: str, blocks: Iterator[Samples], track: Track, progress: Progress) -> int:
    """The blocks as a file. Returns how many samples it holds."""
    import av

    plain = {"s16": "pcm_s16le", "s32": "pcm_s24le", "flt": "pcm_f32le"}[track.form]
    codec = {".flac": "flac", ".wav": plain, ".opus": "libopus"}[suffix]
    options = {"rf64": "auto"} if suffix == ".wav" else {}
    written = 0
    with av.open(str(part), "w", format=FORMATS[suffix], options=options) as out:
        stream = out.add_stream(codec, rate=track.hz, layout=track.layout)
        stream.codec_context.format = track.form
        if suffix == ".opus":
            stream.bit_rate = OPUS_BITS_A_CHANNEL * track.channels
        for block in blocks:
            frame = frame_of(block, track, track.hz)
            frame.pts, frame.time_base = written, Fraction(1, track.hz)
            written += len(block)
            out.mux(stream.encode(frame))
            progress.at(written)
        out.mux(stream.encode(None))
    return written


def extract(args: argparse.Namespace, footage: Footage) -> str:
    """The sound at args.output. Returns a sentence about it. Raises ShowError."""
    import av

    first, last = range_of(args, footage)
    suffix = args.output.suffix.lower()
    written = 0
    try:
        with av.open(str(args.film)) as container:
            stream, track = track_of(container, args.film, args)
            begin, stop = samples_at(first, footage.rate, track.hz), samples_at(last, footage.rate, track.hz)
            track.asked = samples_at(first, footage.rate, track.source_hz), samples_at(last, footage.rate, track.source_hz)
            to_end = args.length == "file" and args.end is None
            if to_end:
                track.asked = track.asked[0], math.inf
            progress = Progress(max(1, stop - begin), "samples", sys.stderr)

            def write(part: Path) -> None:
                nonlocal written
                blocks = cut_to(at_rate(pieces(container, stream, track), track), begin, None if to_end else stop, track)
                written = write_sound(part, suffix, blocks, track, progress)
                if written == 0:
                    raise ShowError(Problem(str(args.film), "its sound is empty", "a sound with at least one sample"))

            write_whole(args.output, write)
    except (av.FFmpegError, ValueError) as e:
        raise ShowError(Problem(str(args.film), f"its sound cannot be read or written ({e})", "a whole film")) from None
    write_record(args, footage, written)
    return told_of(args, footage, track, written, begin, stop)


def told_of(args: argparse.Namespace, footage: Footage, track: Track, written: int, begin: int, stop: int) -> str:
    """What was written, exactly."""
    told = {"s16": ", 16 bits", "s32": ", 24 bits", "flt": ", 32 bits float"}[track.form]
    bits = "" if args.output.suffix.lower() == ".opus" else told
    rate = footage.rate
    begun, ended = round(begin * rate / track.hz), round(stop * rate / track.hz)
    text = f"{args.output}: {written} samples at {track.hz} Hz ({written / track.hz:.6f} s), {track.layout}{bits}"
    if written == stop - begin:
        text += f"; as long as frames {begun} to {ended - 1}, to the sample"
    if begin < track.last < begin + written:
        text += f"; the last {begin + written - track.last} are silence, which the file does not hold"
    if track.over:
        text += (f"; {track.over} samples are over full scale, by up to {20 * math.log10(track.peak):.1f} dB, and are cut off "
                 "there: a .wav with --bits float keeps them")  # fmt: skip
    if track.gaps or track.overlaps:
        counts = (len(track.gaps), "gap"), (len(track.overlaps), "overlap")
        gaps, overlaps = (f"{n} {word}{'s' * (n != 1)}" for n, word in counts)
        text += f"; {gaps} in the sound filled with silence, {overlaps} cut"
    return text


def write_record(args: argparse.Namespace, footage: Footage, written: int) -> None:
    """OUT.json: what was asked for and of which film. Raises ShowError."""
    options = {k: v.name if isinstance(v, Path) else v for k, v in vars(args).items()}
    record = {"tool": "cineml film audio", "options": options, "film_sha256": footage.sha256(), "samples": written,
              "versions": {name: version_of(name) for name in ("cineml", "av")}}  # fmt: skip
    path = args.output.with_name(args.output.name + ".json")
    write_whole(path, lambda part: part.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8"))


def main(argv: Sequence[str] | None = None) -> int:
    """The deed. Returns the exit code: 0, 2 for bad input, 130 where Ctrl-C stopped it."""
    args = audio_arguments().parse_args(argv)
    try:
        if found := place_problems(args):
            raise ShowError(found)
        print(extract(args, footage_at(args.film)))
    except ShowError as e:
        print(e, file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print("\nstopped; nothing is written", file=sys.stderr)
        return STOPPED
    return DONE


if __name__ == "__main__":
    sys.exit(main())
