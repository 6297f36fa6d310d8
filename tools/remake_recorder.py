"""What a remake is written with: the player's recorder, with the original beside the picture, ProRes, a caption track."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from player.captions import Captions, Line, Span
from player.recorder import Pixels, Recorder, Sound, layout_of, tagged
from player.screen.placement import film_rect, seen_part
from player.show.problem import Problem, ShowError
from player.show.show import Show
from player.sources.film_reader import FilmReader

# The encoders take what they know of styles from the head of an ASS file; <i> and <b> refer to it.
ASS_HEAD = b"""[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, \
StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding
Style: Default,Arial,16,&Hffffff,&Hffffff,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,0

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""
MOST_TICKS = 2**31  # of one caption, which the encoder counts in 32 bits


@dataclass(frozen=True)
class Wanted:
    """What the film is to hold. beside: '', 'right' (of the original) or 'below' (it). first: the film frame of its first
    picture. captions: the track, counted from there; None = no track."""

    codec: str = "h264"
    quality: int = 18
    beside: str = ""
    first: int = 0
    captions: Captions | None = None


def whole_size(pane_px: tuple[int, int], beside: str) -> tuple[int, int]:
    """Size of the whole picture, one of which is pane_px."""
    width, height = pane_px
    return {"right": (2 * width, height), "below": (width, 2 * height)}.get(beside, pane_px)


class Original:
    """The film's own frames in the size of the remake's."""

    def __init__(self, show: Show, pane_px: tuple[int, int]):
        assert show.film.path is not None
        self._reader = FilmReader(show.film.path)
        self._reader.open()
        self._size = pane_px
        self._rect = film_rect(show.film.aspect, pane_px, show.output.fit)

    def at(self, frame: int) -> Pixels:
        """uint8 [H, W, 3], the film where the remake has it, black beside it."""
        x, y, w, h = self._rect
        image = Image.fromarray(self._reader.picture(frame))
        if image.size != (w, h):
            image = image.resize((w, h), Image.Resampling.LANCZOS, reducing_gap=3.0)
        out = np.zeros((self._size[1], self._size[0], 3), np.uint8)
        left, top, wide, high = seen_part(self._rect, self._size)
        out[top : top + high, left : left + wide] = np.asarray(image)[top - y : top - y + high, left - x : left - x + wide]
        return out

    def close(self) -> None:
        self._reader.close()


class RemakeRecorder(Recorder):
    """A Recorder for `render`: (path, size of the remake's picture, rate, sound), and what is wanted of the whole."""

    def __init__(self, path: Path, pane_px: tuple[int, int], fps: Fraction, sound: Sound | None, show: Show, wanted: Wanted):
        self._wanted, self._rate, self._told = wanted, Fraction(fps), 0
        self._tick = Fraction(1, self._rate.numerator)
        if wanted.codec == "prores":
            self.pixel_format, self.sound_codec = "yuv422p10le", "pcm_s16le"
        self._original = Original(show, pane_px) if wanted.beside else None
        super().__init__(path, whole_size(pane_px, wanted.beside), fps, sound, crf=wanted.quality,
                         layout=layout_of(show.film.sound))  # fmt: skip

    def _open(self, crf: int, preset: str) -> None:
        super()._open(crf, preset)
        self._text: Any = None
        if self._wanted.captions is not None:
            self._text = self._container.add_stream("srt" if self.path.suffix.lower() == ".mkv" else "mov_text")
            self._text.time_base = self._text.codec_context.time_base = self._tick  # a frame is a whole number of ticks
            self._text.codec_context.subtitle_header = ASS_HEAD

    def _video_stream(self, crf: int, preset: str) -> Any:
        if self._wanted.codec != "prores":
            return super()._video_stream(crf, preset)
        video: Any = self._container.add_stream("prores_ks", rate=self._fps)
        video.width, video.height = self.film_size
        video.pix_fmt = self.pixel_format
        video.time_base = 1 / self._fps
        video.options = {"profile": "hq", "vendor": "apl0", "threads": "2"}
        return tagged(video)

    def add(self, pixels: Pixels, frame_index: int) -> None:
        if self._original is not None:
            other = self._original.at(self._wanted.first + frame_index)
            pixels = np.concatenate([other, pixels], axis=1 if self._wanted.beside == "right" else 0)  # [H, W, 3]
        super().add(pixels, frame_index)

    def _encode(self, pixels: Pixels | None) -> None:
        super()._encode(pixels)
        spans = self._wanted.captions.spans if self._wanted.captions is not None else ()
        while self._told < len(spans) and spans[self._told].start < self.frames:
            self._container.mux(self._packet(spans[self._told]))
            self._told += 1

    def _packet(self, span: Span) -> Any:
        from av.subtitles.subtitle import SubtitleSet

        tick = self._rate.denominator
        lasts = min((span.end - span.start) * tick, MOST_TICKS)
        text = r"\N".join(_ass(line) for line in span.lines)
        made = SubtitleSet.create(f"0,0,Default,,0,0,0,,{text}".encode(), 0, lasts, span.start * tick)
        packet = self._text.codec_context.encode_subtitle(made)
        packet.stream, packet.time_base = self._text, self._tick  # the container may count the stream in other ticks
        return packet

    def abort(self) -> None:
        super().abort()
        self._close_original()

    def finish(self, frames: int | None = None) -> Path:
        done = super().finish(frames)
        self._close_original()
        return done

    def _close_original(self) -> None:
        if self._original is not None:
            self._original.close()
            self._original = None


def _ass(line: Line) -> str:
    """A line as the encoders read it, its braces and backslashes, which would be commands, replaced."""
    text = ""
    for run in line:
        letters = run.text.replace("\\", "/").replace("{", "(").replace("}", ")")
        for tag in [t for t, on in (("i", run.italic), ("b", run.bold)) if on]:
            letters = rf"{{\{tag}1}}{letters}{{\{tag}0}}"
        text += letters
    return text


def need_track() -> None:
    """Raises ShowError where the libraries that are installed cannot write a caption track."""
    from av.subtitles.codeccontext import SubtitleCodecContext

    if not hasattr(SubtitleCodecContext, "encode_subtitle"):
        raise ShowError(Problem("--captions track", "needs a newer PyAV (17)", "--captions burn", "pip install -U av"))
