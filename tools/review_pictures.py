"""The pictures of a review: the film's frames, and what the show plays in their place, made on demand without a screen.

The remake is composed as the player does it: walks, glides, clips, mixes, dissolves and fades in linear light, no look. JPEGs
are kept in memory up to a bound, under what they were made from, so that an edit makes anew only what it has changed.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from PIL import Image

from player.show.clip import seen_frames
from player.show.cut_list import Mix, Shot
from player.show.problem import Problem, ShowError
from player.show.show import Show
from player.show.walk import Array, Walk
from player.sources.film_reader import FilmReader
from player.sources.generator import GeneratorSource, inner_of, to_pixels
from player.sources.onnx_model import OnnxModel
from tools.review_clips import Reels, clip_picture, written_ns
from tools.review_edit import Work
from tools.review_walks import digest

Pixels = npt.NDArray[np.uint8]

KEPT_BYTES = 96 << 20
QUALITY = 86
THREADS = 2


def _light_table() -> npt.NDArray[np.float32]:
    coded = np.arange(256) / 255  # IEC 61966-2-1
    return np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4).astype(np.float32)


LIGHT = _light_table()


def to_light(pixels: Pixels) -> npt.NDArray[np.float32]:
    """sRGB bytes [H, W, 3] to linear light 0..1."""
    found: npt.NDArray[np.float32] = LIGHT[pixels]
    return found


def to_bytes(light: npt.NDArray[np.float32]) -> Pixels:
    """Linear light [H, W, 3] to sRGB bytes."""
    light = np.clip(light, 0, 1)
    coded = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.rint(coded * 255).astype(np.uint8)


def sized(pixels: Pixels, size: tuple[int, int], inner: tuple[float, float, float, float] | None = None) -> Pixels:
    """The picture, or what of it lies in inner (x, y, w, h), at size (width, height)."""
    x, y, w, h = inner or (0.0, 0.0, float(pixels.shape[1]), float(pixels.shape[0]))
    image = Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC, box=(x, y, x + w, y + h))
    return np.asarray(image)


class Kept:
    """JPEGs by what they were made from, the least recently asked for going first. For any thread."""

    def __init__(self, most_bytes: int = KEPT_BYTES) -> None:
        self._most, self._bytes = most_bytes, 0
        self._by_name: OrderedDict[str, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, name: str, make: Callable[[], bytes]) -> bytes:
        with self._lock:
            if name in self._by_name:
                self._by_name.move_to_end(name)
                return self._by_name[name]
        made = make()
        with self._lock:
            self._bytes += len(made) - len(self._by_name.get(name, b""))
            self._by_name[name] = made
            self._by_name.move_to_end(name)
            while self._bytes > self._most and len(self._by_name) > 1:
                self._bytes -= len(self._by_name.popitem(last=False)[1])
        return made


@dataclass(frozen=True)
class _Layer:
    """A picture and its weight. held: whether the film's own fades are in it, and must not be drawn again."""

    weight: float
    pixels: Pixels
    held: bool = False


class Painter:
    """Makes pictures of a show. size (width, height): of what is played, in the film's own shape. For any thread.

    why_no_remake: '' where walks can be painted, else one sentence. Raises ShowError where the film cannot be read.
    """

    def __init__(self, show: Show, height_px: int = 270) -> None:
        if show.film.path is None:
            raise ShowError(Problem(str(show.path), "names no film", "[film] file: the film to review"))
        self.show, self.kept = show, Kept()
        height_px = min(height_px, show.film.height)
        self.size = (max(2, round(height_px * show.film.width / show.film.height)), height_px)
        self._reels, self._drawing = Reels(), threading.Lock()
        self._reels.get(show.film.path, False)
        self._synthesis: OnnxModel | None = None
        self._inner = (0.0, 0.0, 1.0, 1.0)
        self.why_no_remake = self._open_generator()

    def _open_generator(self) -> str:
        """'' or why there is none."""
        if self.show.generator is None:
            return "the show names no generator"
        try:
            if found := GeneratorSource(self.show, threads=THREADS).check_models():
                return str(found[0])
            model = OnnxModel(self.show.generator / "synthesis.onnx", "synthesis", THREADS)
            model.open()
        except ShowError as e:
            return str(e.problems[0])
        self._synthesis, self._inner = model, inner_of(model.facts)
        return ""

    def film(self, frame: int, playing: bool = False) -> Pixels:
        """The film's frame, at size. Raises RuntimeError and others where the film cannot be read there."""
        assert self.show.film.path is not None
        reel = self._reels.get(self.show.film.path, playing)
        assert isinstance(reel.reader, FilmReader)
        with reel.lock:
            return sized(reel.reader.picture(frame), self.size)

    def _clip(self, work: Work, shot: Shot, frame: int, playing: bool) -> tuple[Pixels, bool]:
        row = work.row(shot.number)
        if not row.clip:
            return self._black(), False
        reel = self._reels.get(work.folder / row.clip, playing)
        pixels, held = clip_picture(reel, shot, work.cuts, self.show.film, frame)
        return sized(pixels, self.size), held

    def _black(self) -> Pixels:
        return np.zeros((self.size[1], self.size[0], 3), np.uint8)

    def latent(self, ws: Array) -> Pixels:
        """The generator's picture of ws [num_ws or 1, w_dim], at size. Raises ShowError where there is no generator, or the
        latent is another one's."""
        model = self._synthesis
        if model is None:
            raise ShowError(Problem("remake", self.why_no_remake))
        rows, width = model.inputs["ws"].shape[1:]
        if ws.shape not in ((1, width), (rows, width)):
            raise ShowError(Problem("remake", f"a latent of {list(ws.shape)}", f"[{rows} or 1, {width}] for this generator"))
        with self._drawing:
            model.inputs["ws"][0] = ws
            made = to_pixels(model.run())
        return sized(made, self.size, self._inner)

    def remake(self, work: Work, frame: int, playing: bool = False) -> Pixels:
        """What the show plays at a film frame, at size."""
        mix = work.cuts.mix_at(frame)
        if self._glides(work, mix):
            assert mix.outgoing is not None
            old, new = self._ws(work, mix.outgoing.number, frame), self._ws(work, mix.shot.number, frame)
            layers = [_Layer(1.0, self.latent(((1 - mix.weight) * old + mix.weight * new).astype(np.float32)))]
        else:
            layers = self._layers(work, mix.shot, frame, 1.0 if mix.outgoing is None else mix.weight, playing)
            if mix.outgoing is not None:
                layers += self._layers(work, mix.outgoing, frame, 1 - mix.weight, playing)
        if len(layers) == 1 and (mix.fade >= 1 or layers[0].held):
            return layers[0].pixels
        colour = 1.0 if mix.fade_colour == "white" else 0.0
        light = np.full((self.size[1], self.size[0], 3), 0, np.float32)
        for layer in layers:
            fade = 1.0 if layer.held else mix.fade
            light += layer.weight * fade * to_light(layer.pixels) + np.float32(layer.weight * (1 - fade) * colour)
        return to_bytes(light)

    def _glides(self, work: Work, mix: Mix) -> bool:
        if mix.outgoing is None or work.row(mix.shot.number).entry != "glide":
            return False
        return all(work.row(s.number).sources == ("generator",) for s in (mix.shot, mix.outgoing))

    def _layers(self, work: Work, shot: Shot, frame: int, share: float, playing: bool) -> list[_Layer]:
        """What one shot shows, of that weight in all: both of its sources only where both are seen."""
        row = work.row(shot.number)
        own = share * row.mix_at(frame)
        seen = [(weight, source) for weight, source in ((own, row.source), (share - own, row.under)) if weight > 0]
        return [_Layer(weight, *self._part(work, shot, source, frame, playing)) for weight, source in seen]

    def _ws(self, work: Work, number: int, frame: int) -> Array:
        walk = work.score.walks.get(work.row(number).walk) if work.score is not None else None
        if walk is None:
            raise ShowError(Problem(f"shot {number}", "has no walk", "a walk of the score", "cineml remap"))
        return walk.ws_at(frame)

    def _part(self, work: Work, shot: Shot, source: str, frame: int, playing: bool) -> tuple[Pixels, bool]:
        """(one source's picture of a shot, whether the film's fades are in it)."""
        if source == "stylizer":  # the page shows what it is played over: the network is not run here
            source = work.row(shot.number).over or "film"
        if source == "generator":
            return self.latent(self._ws(work, shot.number, frame)), False
        if source == "clip":
            return self._clip(work, shot, frame, playing)
        return (self.film(frame, playing), True) if source == "film" else (self._black(), False)

    def close(self) -> None:
        """Lets go of films and model, where nobody is using them."""
        self._reels.close()
        with self._drawing:
            if self._synthesis is not None:
                self._synthesis.close()
                self._synthesis = None


def jpeg(pixels: Pixels, height_px: int) -> bytes:
    """[H, W, 3] as a JPEG of that height, or of its own where that is less."""
    image = Image.fromarray(pixels)
    if height_px < image.height:
        image = image.resize((max(1, round(image.width * height_px / image.height)), height_px), Image.Resampling.BICUBIC)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=QUALITY)
    return out.getvalue()


def stamp(work: Work, number: int) -> str:
    """What the remake of a shot depends on, as one short word: it changes with the pictures and only with them."""
    shot = work.cuts.by_number(number)
    if shot is None:
        return ""
    told = hashlib.sha256()
    for s in (shot, work.cuts.by_number(number - 1) if shot.into == "dissolve" else None):
        if s is None:
            continue
        row = work.row(s.number)
        told.update(repr((replace(s, number=0, label="", group=""), row.sources, row.clip, row.mix, row.entry)).encode())
        if "clip" in row.sources:  # where its frames stand, and whether they are still those
            told.update(repr((seen_frames(s, work.cuts), written_ns(work.folder / row.clip))).encode())
        walk = work.score.walks.get(row.walk) if work.score is not None else None
        if walk is not None and "generator" in row.sources:
            told.update(walk_stamp(walk).encode())
    return told.hexdigest()[:12]


_STAMPS: OrderedDict[int, tuple[Walk, str]] = OrderedDict()


def walk_stamp(walk: Walk) -> str:
    """A short word for a walk's path. Computed once for each object, as a page asks for all of them after every edit."""
    found = _STAMPS.get(id(walk))
    if found is None or found[0] is not walk:
        found = walk, hashlib.sha256(digest(walk)).hexdigest()[:12]
        _STAMPS[id(walk)] = found
        while len(_STAMPS) > 20000:
            with contextlib.suppress(KeyError):
                _STAMPS.popitem(last=False)
    return found[1]


def sequence(first: int, end: int, most: int) -> Iterator[int]:
    """The frames [first, end) to be played, at most so many, evenly."""
    yield from range(first, end, max(1, -(-(end - first) // most)))
