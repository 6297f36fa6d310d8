"""A picture painted with the strokes of one or several paintings: guided patch synthesis, without any download.

The engine is that of keyframe propagation (patch_engine.py), the guides are those of painted keys (paint_guides.py): light and
dark, the direction of forms, and what an earlier frame's result shows where the flow can be trusted. Image analogies (Hertzmann
et al. 2001) and StyLit (Fiser et al. 2016) are the family.

Several paintings lie side by side as one source. Which of them a place of the picture is painted with is decided before the
search (style_patches_regions.py): where each fits best, on the share of the picture that its weight asks for, and only where
its mask allows. A patch is never taken from two paintings, and no two are laid over each other: strokes stay strokes. What no
mask allows stays the picture's own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from player.show.problem import Problem, ShowError
from player.sources.darkness import seen_share
from tools.keyframes_keep import Keep, kept
from tools.paint_gate import Gate, beneath, with_gate
from tools.paint_guides import Described, Floats, described, tone_curve, tone_plane
from tools.paint_keys import Field, Moved, Painter, start_of
from tools.paint_options import PaintOptions
from tools.paint_style import Painting, joined, painting_of

Pixels = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.uint8]

ENGINE = 2  # of how pictures are made: to be raised when that changes, so that no film is of two kinds
TILE_PX = 1536  # side of a square that is searched at once: some 600 MB
MOST_STYLES = 32
EVEN_SPREAD = 0.35  # of 0..1: pictures of less contrast keep what they lack, else noise would become strokes
FINER = 3.0  # times: looked at on faces of 60 px; without it eyes and mouths became any dark stroke


@dataclass(frozen=True)
class Style:
    """One painting of a mix. weight: above 0, its share of the picture beside the others'. mask: uint8 [H, W] of the picture's
    size, 255 where it may be used, None everywhere. name: for messages."""

    painting: Painting
    weight: float = 1.0
    mask: Pixels | None = None
    name: str = ""


@dataclass(frozen=True)
class Stylised:
    """What came of a picture. picture: uint8 [H, W, 3], finished. painted: uint8 [H, W, 3], before anything of the picture's
    own was kept: what the next frame starts from. field: int32 [H, W, 2], (x, y) in the paintings as they are laid. error:
    float32 [H, W], 8-bit levels squared summed over a patch."""

    picture: Pixels
    painted: Pixels
    field: Field
    error: Floats


class Palette(Painter):
    """Several painters' paintings side by side as one source, described each by itself. labels: uint8 [Hs, Ws], 1 for the first
    painting, 0 where nothing is painted."""

    def __init__(self, painters: Sequence[Painter]) -> None:
        first = painters[0]
        self.options, self.gate = first.options, first.gate
        self.reference_px, self.settings = first.reference_px, first.settings
        self.painters = tuple(painters)
        self.picture = beside([p.picture for p in painters])
        marked = [np.where(p.usable, np.uint8(i + 1), np.uint8(0)) for i, p in enumerate(painters)]
        self.labels: Labels = beside(marked, empty=True)
        self.usable = self.labels > 0
        self.lively = beside([p.lively for p in painters])
        self.own = Described(beside([p.own.tone for p in painters]), beside([p.own.form for p in painters]),
                             beside([p.own.sure for p in painters]))  # fmt: skip
        self.laid = replace(first.laid, picture=self.picture, usable=self.usable)

    def curve(self, frame: Pixels) -> Floats:
        """As a painter has it; of a picture with little contrast less even, so that a dark frame stays dark."""
        plane = tone_plane(beneath(frame, self.gate.of(frame)), self.options.detail, self.reference_px)
        low, high = np.percentile(plane, [1, 99])
        share = np.float32(min(1.0, float(high - low) / EVEN_SPREAD))
        straight = np.arange(256, dtype=np.float32) / 255
        return np.asarray(share * tone_curve([plane]) + (1 - share) * straight, np.float32)

    def shown(self, frame: Pixels) -> Described:
        """What leads the strokes of a picture. Its light and dark is followed more finely than the painting's is blurred: eyes
        and hands stay, and a flat wall still does not ask for places of the painting without strokes."""
        inner, curve, detail = beneath(frame, self.gate.of(frame)), self.curve(frame), self.options.detail
        broad = described(inner, curve, detail, self.reference_px)
        fine = tone_plane(inner, FINER * detail, self.reference_px)
        return replace(broad, tone=np.interp(fine * 255, np.arange(256), curve).astype(np.float32)[..., None])


class Easel:
    """Paintings laid for pictures of one size; paints any number of them."""

    def __init__(self, styles: Sequence[Style | Painting | Pixels], options: PaintOptions | None = None,
                 frame_size: tuple[int, int] = (480, 640), gate: Gate | None = None, keep: Keep | None = None,
                 tile_px: int = TILE_PX) -> None:  # fmt: skip
        """frame_size: (height, width). gate: the film's black frame, which is not painted. keep: what of the picture's own
        shows in the result. tile_px: pictures of more than its square are searched in tiles. Raises ShowError."""
        self.styles = tuple(style_of(s) for s in styles)
        if found := style_problems(self.styles):
            raise ShowError(found)
        self.options, self.size, self.keep, self.tile_px = options or PaintOptions(), frame_size, keep, tile_px
        self.palette = Palette([Painter(s.painting, self.options, frame_size, gate) for s in self.styles])

    def fingerprint(self) -> str:
        """Of all that decides how a picture is painted, but the picture, the masks and the earlier ones."""
        words = [self.palette.fingerprint(), str(self.keep), str(self.tile_px), str([s.weight for s in self.styles])]
        return hashlib.sha256("\n".join([*words, self.palette.labels.tobytes().hex()[:64]]).encode()).hexdigest()

    def stylise(self, content: Pixels, start: Moved | None = None, masks: Sequence[Pixels | None] | None = None,
                progress: Callable[[float], None] | None = None,
                preview: Callable[[Pixels], None] | None = None) -> Stylised:  # fmt: skip
        """A picture uint8 [H, W, 3] of the easel's size, painted. start: an earlier result moved to this picture. masks: one a
        style, in place of the styles' own. progress: called with the share done. preview: called with what is there so far,
        uint8 [H, W, 3]. Raises ShowError for a picture or a mask of another size, or too small."""
        masks = [s.mask for s in self.styles] if masks is None else masks
        if found := size_problems(content, masks, self.size):
            raise ShowError(found)
        from tools.style_patches_regions import allowed_of, regions
        from tools.style_patches_stages import in_stages

        palette, gate = self.palette, self.palette.gate.of(content)
        shown = palette.shown(content)
        if start is not None:
            start = replace(start, sure=np.asarray(start.sure * ~gate, np.float32))
        near = [] if start is None else [start]
        labels: Labels | None = np.ones(self.size, np.uint8) if not palette.usable.all() else None
        if len(self.styles) > 1:
            allowed = allowed_of(masks, self.size)
            inner = beneath(content, gate)
            labels = regions(palette, inner, shown, [s.weight for s in self.styles], allowed, start)

        def finished(picture: Pixels) -> Pixels:
            return with_gate(masked(self._kept(picture, content), content, masks), content, gate)

        made = in_stages(palette.picture, palette.guides(shown, near), palette.settings,
                         source_mask=None if labels is None else palette.labels, target_mask=labels, start=start_of(near),
                         tile_px=self.tile_px, progress=progress,
                         preview=None if preview is None else lambda p: preview(finished(p)))  # fmt: skip
        return Stylised(finished(made.picture), made.picture, made.field, made.error)

    def _kept(self, painted: Pixels, content: Pixels) -> Pixels:
        """With what is kept of the picture's own; a picture in which nothing can be seen stays as it is."""
        made = painted if self.keep is None else kept(painted, content, self.keep)
        share = seen_share(content)
        if share >= 1:
            return made
        return np.asarray(np.rint(content + share * (made.astype(np.float32) - content)), np.uint8)


def stylise(content: Pixels, styles: Sequence[Style | Painting | Pixels], options: PaintOptions | None = None, *,
            start: Moved | None = None, keep: Keep | None = None, gate: Gate | None = None, tile_px: int = TILE_PX,
            progress: Callable[[float], None] | None = None,
            preview: Callable[[Pixels], None] | None = None) -> Stylised:  # fmt: skip
    """One picture uint8 [H, W, 3] painted with the strokes of `styles`; of many pictures of one size an Easel is quicker.

    styles: paintings (tools.paint_style.read_painting), or bare pictures uint8 [Hs, Ws, 3]; as Style with weight and mask.
    start: an earlier frame's result, moved to this one along the film's flow: it leads the strokes and is where the search
    starts. keep, gate, tile_px, progress, preview: as Easel has them. The same input gives the same picture on any number of
    threads. Raises ShowError.
    """
    easel = Easel(styles, options, (content.shape[0], content.shape[1]), gate, keep, tile_px)
    return easel.stylise(content, start, progress=progress, preview=preview)


def style_of(given: Style | Painting | Pixels) -> Style:
    """A painting, or a bare picture, as a style of weight 1. Raises ShowError for a picture that cannot be used."""
    if isinstance(given, Style):
        return given
    return Style(given if isinstance(given, Painting) else painting_of(given))


def style_problems(styles: Sequence[Style]) -> list[Problem]:
    """What is wrong with a mix of styles."""
    if not 1 <= len(styles) <= MOST_STYLES:
        return [Problem("styles", f"are {len(styles)}", f"1 to {MOST_STYLES}")]
    return [Problem(f"style {s.name or i + 1}", f"has the weight {s.weight:g}", "a number above 0, up to 1000000")
            for i, s in enumerate(styles) if not 0 < s.weight <= 1e6]  # fmt: skip


def size_problems(content: Pixels, masks: Sequence[Pixels | None], size: tuple[int, int]) -> list[Problem]:
    """A picture, or masks, that do not fit."""
    found = []
    if content.dtype != np.uint8 or content.shape != (*size, 3):
        given = f"is {content.dtype} {list(content.shape)}"
        found.append(Problem("picture", given, f"uint8 {[*size, 3]}"))
    for i, mask in enumerate(masks):
        if mask is not None and (mask.dtype != np.uint8 or mask.shape != size):
            found.append(Problem(f"mask {i + 1}", f"is {mask.dtype} {list(mask.shape)}", f"uint8 {list(size)}"))
    return found


def beside(parts: Sequence[npt.NDArray[Any]], empty: bool = False) -> npt.NDArray[Any]:
    """Arrays [H, W, ...] side by side, a gutter between."""
    return np.ascontiguousarray(parts[0]) if len(parts) == 1 else joined(list(parts), 1, empty)


def masked(picture: Pixels, content: Pixels, masks: Sequence[Pixels | None]) -> Pixels:
    """The picture where any mask [H, W] is light, the content where none is."""
    there = [m for m in masks if m is not None]
    if len(there) < len(masks):
        return picture
    share = np.maximum.reduce(there)[..., None].astype(np.float32) / 255
    if share.min() == 1:
        return picture
    return np.asarray(np.rint(content + share * (picture.astype(np.float32) - content)), np.uint8)
