"""A recording of the output: H.264 with the sound, written as it comes, in place only when it is whole."""

from __future__ import annotations

import contextlib
import functools
import itertools
import logging
import os
import queue
import threading
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from player.show.problem import Problem, ShowError

log = logging.getLogger("cineml")

SAMPLE_RATE_HZ = 48000
AAC_FRAME = 1024
QUEUE_BYTES = 64 << 20
ABANDONED_S = 3600.0
CONTAINERS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska"}
# Layouts that FFmpeg's AAC encoder takes, by their names there. Where a file does not name its channels: those by their
# count in which none is coded as a low-frequency effect, of which AAC keeps only what lies below some 250 Hz.
LAYOUTS = ("mono stereo 2.1 3.0 3.0(back) 3.1 4.0 quad 4.1 5.0 5.1 6.0 hexagonal 6.1 6.1(back) 7.0 7.1 7.1(wide) "
           "octagonal").split()
AS_BACK = {"quad(side)": "quad", "5.0(side)": "5.0", "5.1(side)": "5.1"}  # AAC has no other names for these
UNNAMED = ("mono", "stereo", "3.0", "4.0", "5.0", "5.1(side)", "6.1", "7.1(wide)")
BT709, LIMITED = 1, 1  # ITU-T H.273 code points: primaries, transfer and matrix 1; range limited

Pixels = npt.NDArray[np.uint8]
SoundBlock = npt.NDArray[np.float32]
# Sound as a whole, [samples, channels] at 48 kHz, or a function (first sample, count) -> [count, channels] of it.
Sound = SoundBlock | Callable[[int, int], SoundBlock]


def layout_of(sound: Path | None) -> str:
    """What a sound file calls its channels ('5.1'), as FFmpeg writes it; '' where it does not say or cannot be read."""
    import av

    if sound is None:
        return ""
    try:
        with av.open(str(sound)) as container:
            return str(container.streams.audio[0].layout.name)
    except (av.FFmpegError, ValueError, IndexError):
        return ""


def _layout_for(channels: int, named: str) -> str:
    """The layout to write: the file's own where it can be, else the usual one of so many channels."""
    import av

    named = AS_BACK.get(named, named)
    if named in LAYOUTS and len(av.AudioLayout(named).channels) == channels:
        return named
    return UNNAMED[channels - 1]


def tagged(video: Any) -> Any:
    """A stream with its colours said to be BT.709, limited range."""
    context = video.codec_context
    context.color_primaries = context.color_trc = context.colorspace = BT709
    context.color_range = LIMITED
    return video


@functools.cache
def repeatable() -> dict[str, str]:
    """Options with which libx264 codes the same pictures into the same bytes.

    On processors with AVX-512 its macroblock-tree kernel reads memory that nothing has written where a picture is not a
    whole number of 128 pixels wide, and the bits of a film then depend on what the process did before (measured
    on the x264 of PyAV 18.1: other bytes with each MALLOC_PERTURB_ at widths 64, 192, 480, 720 and 960, the same ones with
    AVX2). Elsewhere nothing is changed: x264 would crash where a processor lacks the instruction set it is told to use.
    """
    found = np.show_config(mode="dicts").get("SIMD Extensions", {}).get("found", [])  # type: ignore[union-attr]
    wide = any(name.startswith("AVX512") or name == "X86_V4" for name in found)
    return {"x264-params": "asm=avx2"} if wide else {}


def part_comment(frames: range, whole: int) -> str:
    """What a film that is made of some frames of another says of them in its own comment, so that a show that plays it as a
    clip knows where they stand: '' for all of them."""
    return "" if frames == range(whole) else f"cineml: film frames {frames.start} to {frames.stop - 1} of {whole}"


_made = itertools.count(1)


class Recorder:
    """Writes one film: H.264 (yuv420p, BT.709, limited range) and AAC of 1 to 8 channels.

    add() numbers pictures from 0 at `fps`; a gap in the numbers is filled with the picture before it, so that the film
    keeps real time. realtime: add() never waits: where the encoder is behind, the picture is dropped and the one
    before held; a picture of another size (the window went full screen) is fitted into the film's. Otherwise add()
    waits, and the file is the same from run to run. The file stands at its place only after finish(); used in a with
    block, an exception (Ctrl-C too) leaves nothing behind. Of two that write one film, the last to finish has it.

    layout: what the sound's file calls its channels (layout_of); all are kept, in their order.

    pixel_format, sound_codec: of the encoders; others where a class of its own has another codec (tools.remake).

    Raises ShowError at once where the path cannot be written, and in finish() (in add() too, unless realtime) where the
    encoder or the disk failed on the way.
    """

    pixel_format = "yuv420p"
    sound_codec = "aac"

    def __init__(self, path: Path, size_px: tuple[int, int], fps: Fraction, sound: Sound | None = None, *,
                 realtime: bool = False, crf: int = 18, preset: str = "", layout: str = "",
                 comment: str = "") -> None:  # fmt: skip
        self._comment = comment
        self.path, self._fps, self._sound = Path(path), Fraction(fps), sound
        self._width, self._height = size_px
        self.film_size = (size_px[0] + size_px[0] % 2, size_px[1] + size_px[1] % 2)  # H.264 as everyone plays it is even
        self._realtime, self._named = realtime, layout
        self.frames = 0  # pictures in the film so far, held ones counted
        self.held = 0  # of these: repeated, because none was given or the encoder was behind
        self.dropped = 0  # given, but not taken by an encoder that was behind
        self.fitted = 0  # came in another size
        if not self.path.name:
            ends = "a name that ends in " + " ".join(CONTAINERS)
            raise ShowError(Problem(f"the film to write, {str(path)!r},", "names no file", ends))
        # A name of its own: another process may be writing the same film.
        self._part = self.path.with_name(f".{self.path.stem}.part{os.getpid()}-{next(_made)}{self.path.suffix}")
        self._queue: queue.Queue[tuple[Pixels, int] | None] = queue.Queue(
            max(4, min(64, QUEUE_BYTES // max(1, self._width * self._height * 3))))  # fmt: skip
        self._failure: BaseException | None = None
        self._last_index = -1
        self._sound_at = 0
        self._cancelled = threading.Event()
        # In real time the encoder shares the cores with generator and loop: at 640x360 ultrafast takes 3 ms of processor
        # time a picture, superfast 6, veryfast 10, at 10, 8 and 5 Mbit/s of grainy film.
        self._open(crf, preset or ("ultrafast" if realtime else "veryfast"))
        self._thread = threading.Thread(target=self._work, name="recorder", daemon=True)
        self._thread.start()

    def _clear_abandoned(self) -> None:
        """Removes what recorders of the same film left that were killed; a live one writes all the time."""
        for old in self.path.parent.iterdir():
            if not old.name.startswith(f".{self.path.stem}.part") or old.suffix != self.path.suffix:
                continue
            with contextlib.suppress(FileNotFoundError):  # another recorder was quicker
                if time.time() - old.stat().st_mtime > ABANDONED_S:
                    old.unlink()
                    log.info("%s: removed, a film that was never finished", old.name)

    def _open(self, crf: int, preset: str) -> None:
        import av

        kind = CONTAINERS.get(self.path.suffix.lower())
        if kind is None:
            raise ShowError(Problem(str(self.path), f"ends in {self.path.suffix!r}", " ".join(CONTAINERS)))
        if self.path.is_dir():
            raise ShowError(Problem(str(self.path), "is a folder", "the name of a film to write"))
        channels = self._sound_channels()
        if channels > len(UNNAMED):
            raise ShowError(Problem(str(self.path), f"cannot hold a sound of {channels} channels", f"1 to {len(UNNAMED)}"))
        try:
            self._clear_abandoned()
            self._part.open("wb").close()
        except OSError as e:
            problem = Problem(str(self.path), f"cannot be written ({e.strerror})", "a folder that can be written")
            raise ShowError(problem) from None
        options = {"movflags": "+faststart"} if kind != "matroska" else {}
        self._container = av.open(str(self._part), "w", format=kind, options=options)
        if self._comment:
            self._container.metadata["comment"] = self._comment
        self._video = self._video_stream(crf, preset)
        self._audio: Any = self._audio_stream() if self._sound is not None else None

    def _video_stream(self, crf: int, preset: str) -> Any:
        """The picture's stream, its encoder set up."""
        video: Any = self._container.add_stream("libx264", rate=self._fps)
        video.width, video.height = self.film_size
        video.pix_fmt = self.pixel_format
        video.time_base = 1 / self._fps
        # A fixed number of threads: x264 is deterministic for the same number, not between numbers. A key frame a second
        # at most, so that a viewer can scrub.
        video.options = {"preset": preset, "crf": str(crf), "g": str(max(1, round(self._fps))), "threads": "2"} | repeatable()
        return tagged(video)

    def _sound_channels(self) -> int:
        if self._sound is None:
            return 0
        return int((self._sound(0, 0) if callable(self._sound) else self._sound).shape[1])

    def _audio_stream(self) -> Any:
        """The sound's stream."""
        channels = self._sound_channels()
        self._layout = _layout_for(channels, self._named)
        audio: Any = self._container.add_stream(self.sound_codec, rate=SAMPLE_RATE_HZ, layout=self._layout)
        if self.sound_codec == "aac":
            audio.bit_rate = 96_000 * channels
        audio.time_base = Fraction(1, SAMPLE_RATE_HZ)
        return audio

    def add(self, pixels: Pixels, frame_index: int) -> None:
        """One picture, uint8 [H, W, 3] of size_px (of any size if realtime), not written again by the caller.
        frame_index: its place in the film, from 0; one that is not greater than the last is left out. Raises ValueError
        for an array that is no such picture."""
        if self._failure is not None:
            if self._realtime:
                return  # the show goes on; finish() says it
            self._raise()
        whole = pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.size > 0 and pixels.dtype == np.uint8
        if not whole or (not self._realtime and pixels.shape[:2] != (self._height, self._width)):
            raise ValueError(f"a picture {pixels.dtype} {pixels.shape} for a film of {self._width} x {self._height}")
        if frame_index <= self._last_index:
            return
        if self._realtime:
            waiting = self._queue.qsize()  # counted in bytes too: a full screen may be many times the film's size
            if waiting >= 4 and (waiting + 1) * pixels.nbytes > QUEUE_BYTES:
                self.dropped += 1
                return
            try:
                self._queue.put_nowait((pixels, frame_index))
            except queue.Full:
                self.dropped += 1
                return
        else:
            self._put((pixels, frame_index))
        self._last_index = frame_index

    def _put(self, item: tuple[Pixels, int] | None) -> None:
        while True:  # in steps, so that a thread that has failed is noticed and Ctrl-C is heard
            try:
                self._queue.put(item, timeout=0.2)
                return
            except queue.Full:
                if self._failure is not None:
                    self._raise()

    def finish(self, frames: int | None = None) -> Path:
        """Encodes what is left and puts the film at its place. frames: the film's whole length; the last picture is held
        up to it. Returns the path. Raises ShowError where something failed on the way (nothing is left then)."""
        try:
            if self._failure is None:
                self._put(None)
            self._thread.join()
            if self._failure is not None:
                self._raise()
            if self.frames == 0:
                raise ShowError(Problem(str(self.path), "has no picture to record", "at least one"))
            self._hold_until(frames or 0)
            self._flush()
            self._container.close()
            os.replace(self._part, self.path)
        except BaseException as e:
            self.abort()
            if isinstance(e, OSError):
                given = f"could not be written to its end ({e.strerror or e})"
                raise ShowError(Problem(str(self.path), given, "room on the disk")) from None
            raise
        return self.path

    def abort(self) -> None:
        """Ends the recording and leaves nothing of it."""
        self._cancelled.set()
        with contextlib.suppress(queue.Full):
            self._queue.put_nowait(None)
        self._thread.join(5.0)
        with contextlib.suppress(Exception):
            self._container.close()
        self._part.unlink(missing_ok=True)

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            self.finish()
        else:
            self.abort()

    def _raise(self) -> None:
        failure = self._failure
        if isinstance(failure, ShowError):
            raise failure
        why = (isinstance(failure, OSError) and failure.strerror) or failure
        problem = Problem(str(self.path), f"could not be written to its end ({why})", "room on the disk")
        raise ShowError(problem) from failure

    # --- the encoding thread's side

    def _work(self) -> None:
        try:
            while not self._cancelled.is_set() and (item := self._queue.get()) is not None:
                if not self._cancelled.is_set():
                    self._hold_until(item[1])
                    self._encode(self._fit(item[0]))
        except Exception as e:  # handed to the main thread, which says it in a person's words
            self._failure = e
            log.error("recording %s failed: %s", self.path.name, e)

    def _fit(self, pixels: Pixels) -> Pixels:
        """The whole picture in the film's size, black beside it where the shapes differ. Here and not in add(): a full
        HD picture takes milliseconds, which the loop has not."""
        height, width = pixels.shape[:2]
        if (width, height) == (self._width, self._height):
            return pixels
        from PIL import Image

        self.fitted += 1
        if self.fitted == 1:
            log.warning("recording %s: the picture is now %dx%d; it is fitted into the film's %dx%d", self.path.name,
                        width, height, self._width, self._height)
        scale = min(self._width / width, self._height / height)
        w, h = max(1, round(width * scale)), max(1, round(height * scale))
        small = Image.fromarray(pixels).resize((w, h), Image.Resampling.BILINEAR, reducing_gap=2.0)
        out = np.zeros((self._height, self._width, 3), np.uint8)
        y, x = (self._height - h) // 2, (self._width - w) // 2
        out[y : y + h, x : x + w] = np.asarray(small)
        return out

    def _hold_until(self, index: int) -> None:
        """Repeats the picture before until the film is `index` pictures long; before the first one, black."""
        while self.frames < index:
            if self.frames == 0:
                self._encode(np.zeros((self._height, self._width, 3), np.uint8))
            else:
                self._encode(None)
            self.held += 1

    def _encode(self, pixels: Pixels | None) -> None:
        """One more picture (None: the one before again), and the sound that goes with it."""
        if pixels is not None:
            self._picture = self._converted(pixels)
        self._picture.pts = self.frames
        for packet in self._video.encode(self._picture):
            self._container.mux(packet)
        self.frames += 1
        if self._audio is not None:
            self._encode_sound(round(self.frames / self._fps * SAMPLE_RATE_HZ))

    def _converted(self, pixels: Pixels) -> Any:
        """uint8 [H, W, 3] sRGB as a frame of pixel_format, BT.709 limited, its last row and column doubled where odd."""
        import av
        from av.video.reformatter import Interpolation

        if self._width % 2 or self._height % 2:
            pixels = np.pad(pixels, ((0, self._height % 2), (0, self._width % 2), (0, 0)), mode="edge")
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        made = frame.reformat(format=self.pixel_format, dst_colorspace=BT709, src_color_range=2, dst_color_range=LIMITED,
                              interpolation=Interpolation.BICUBIC | Interpolation.ACCURATE_RND, threads=1,
                              dst_color_trc=BT709, dst_color_primaries=BT709)  # fmt: skip
        made.time_base = 1 / self._fps
        return made

    def _encode_sound(self, until: int, last: bool = False) -> None:
        """Whole AAC frames up to sample `until`; the last one may be short."""
        import av

        while self._sound_at + AAC_FRAME <= until or (last and self._sound_at < until):
            count = min(AAC_FRAME, until - self._sound_at)
            block = self._sound_block(self._sound_at, count)  # [count, channels]
            if self.sound_codec != "aac":  # 16 bits, as the soundtrack is kept: the very samples
                block = np.clip(np.rint(block * 32768.0), -32768, 32767)
            form, kind = ("flt", np.float32) if self.sound_codec == "aac" else ("s16", np.int16)
            packed = np.ascontiguousarray(block.astype(kind)).reshape(1, -1)  # in planes PyAV takes 7 channels at most
            frame = av.AudioFrame.from_ndarray(packed, format=form, layout=self._layout)
            frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE_HZ, self._sound_at, Fraction(1, SAMPLE_RATE_HZ)
            for packet in self._audio.encode(frame):
                self._container.mux(packet)
            self._sound_at += count

    def _sound_block(self, start: int, count: int) -> SoundBlock:
        """Samples [start, start + count), silence where the sound has ended."""
        sound = self._sound
        assert sound is not None
        block = sound(start, count) if callable(sound) else sound[start : start + count]
        if len(block) < count:
            block = np.concatenate([block, np.zeros((count - len(block), block.shape[1]), np.float32)])
        return block

    def _flush(self) -> None:
        """The rest of the sound, to exactly the picture's length, and what the encoders hold back."""
        if self._audio is not None:
            self._encode_sound(round(self.frames / self._fps * SAMPLE_RATE_HZ), last=True)
        for stream in (self._video, self._audio):
            for packet in stream.encode(None) if stream is not None else ():
                self._container.mux(packet)
