"""ShowState + due Frames -> one linear-light picture of the output's size.

Three passes: mix (the shots' pictures at their own small size, decoded, weighed, without padding), across (rows to the
output's width), composite (columns to its height, and the film's look; the caption that is due on top). What has not
changed since the last refresh is not drawn again: that is exact, because everything here is a pure function of the state
and the frames. A single frame that fits the output texel for texel and is changed by nothing needs none of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import moderngl
import numpy as np

from player.captions import Captions
from player.screen.caption_plate import CaptionPlates, Plate
from player.screen.film_look import GRAIN_LINES, GRAIN_TILE_PX, Grade, grade_at, grain_tile, grain_turn, weave_at
from player.screen.placement import Inside, Rect, film_rect, inside_of, seen_part
from player.screen.program import Programs
from player.screen.resample import Axis, axes_of
from player.screen.texture import MAX_LAYERS, Textures, picture_texture
from player.show.show import Show
from player.sources.frame import Blend, Due, Frame
from player.state import ShowState, first_state

LEAST_WEIGHT = 1e-6  # less than this of a picture is nothing in half floats


@dataclass(frozen=True)
class Drawn:
    """The picture of one refresh for outputs of size_px (width, height). film: None where the texture is all of the output in
    linear light; else it holds a frame's sRGB bytes, which are seen just as they are from texel `first` on, film is their place
    (x, y, width, height in pixels, top row first), and beside it is black. Texel row 0 is the top row in both."""

    texture: moderngl.Texture
    size_px: tuple[int, int]
    film: Rect | None = None
    first: tuple[int, int] = (0, 0)


def layers_of(state: ShowState, due: Due) -> list[tuple[Frame, float]]:
    """The frames to add up and their weights in linear light, which sum to 1. Empty: nothing to show."""
    shot, outgoing = due.shot, due.outgoing if state.mix.outgoing is not None else None
    if shot is None:
        shot, outgoing = outgoing, None
    if shot is None:
        return []
    own = state.mix.weight if outgoing is not None else 1.0
    found: list[tuple[Frame, float]] = []
    for blend, share in ((shot, own), (outgoing, 1.0 - own)):
        if blend is None:
            continue
        found += _weighed(blend, share)
    return [(frame, weight) for frame, weight in found if weight > LEAST_WEIGHT]


def _weighed(blend: Blend, share: float) -> list[tuple[Frame, float]]:
    """One shot's frames and their weights, which sum to `share`."""
    own = share * min(max(blend.share, 0.0), 1.0) if blend.under is not None else share
    b = min(max(blend.weight, 0.0), 1.0) if blend.b is not None else 0.0
    found = [(blend.a, own * (1.0 - b))]
    if blend.b is not None:
        found.append((blend.b, own * b))
    return found if blend.under is None else found + _weighed(blend.under, share - own)


def faded(layers: list[tuple[Frame, float]], fade: float) -> tuple[list[tuple[Frame, float]], float]:
    """The layers and the fade to be drawn over their sum, so that those that hold the film's own fades keep theirs:
    sum(w F) + fade * sum(v G) + (1 - fade) * sum(v) * colour = left * (sum(w' F) + sum(v' G)) + (1 - left) * colour."""
    without = sum(weight for frame, weight in layers if not frame.has_transitions)
    left = 1.0 - (1.0 - fade) * without
    if fade >= 1.0 or all(not frame.has_transitions for frame, _ in layers):
        return layers, fade
    return [(f, w / left if f.has_transitions else w * fade / left) for f, w in layers], left


class Compositor:
    """Draws the show's picture. size_px: (width, height) of the output. Main thread only."""

    def __init__(self, ctx: moderngl.Context, size_px: tuple[int, int], show: Show):
        self._ctx = ctx
        self._show = show
        self.size_px = size_px
        self.textures = Textures(ctx)
        self._programs = Programs(ctx)
        tile, scale, mean = grain_tile(show.seed)
        self._grain = ctx.texture((GRAIN_TILE_PX, GRAIN_TILE_PX), 1, tile.tobytes())
        self._grain_level = (scale, mean)
        self._picture, self._target = picture_texture(ctx, (1, 1))
        self._mixed: tuple[moderngl.Texture, moderngl.Framebuffer] | None = None
        self._rows: tuple[moderngl.Texture, moderngl.Framebuffer] | None = None
        self._framed: Rect | None = None  # the film's place, outside which the target is black
        self._drawn: dict[str, object] = {}  # what each pass drew last
        self._captions = CaptionPlates(ctx, show.captions, show) if show.captions is not None else None
        self._warm()

    def _warm(self) -> None:
        """Draws once with every program that a show can need: drivers compile at the first draw and not before, and a
        look called for by hand, or the first dissolve, must not cost a refresh."""
        size, self.size_px = self.size_px, (0, 0)
        # Mesa compiles for powers of two apart: so the small output is of the kind that the real one is, and the small
        # frame, like a generator's, is a square of that kind with a picture inside that is not.
        self.resize((32 if size[0] & (size[0] - 1) == 0 else 30, 32 if size[1] & (size[1] - 1) == 0 else 30))
        base = first_state(self._show)
        _, _, w, h = film_rect(self._show.film.aspect, self.size_px, self._show.output.fit)

        def flat(width: int, height: int, inner_height: int = 0) -> Frame:
            inner = (0, 0, width, inner_height or height)
            return Frame(np.zeros((height, width, 3), np.uint8), 0.0, 0, 1, 0.0, "black", inner)

        same, small = Due(Blend(flat(w, h))), Due(Blend(flat(8, 8, 6)))  # texel for texel, and enlarged
        for look in ({}, {"grain": 0.1}, {"contrast": 1.1}):
            for due, blur in ((same, 0.0), (small, 0.0), (small, 20.0)):
                self.linear(replace(base, look={"blur": blur, **look}, fade=1.0), due)
        self.linear(replace(base, fade=1.0), Due(Blend(flat(4 * w, 4 * h))))
        mix = replace(base.mix, outgoing=base.mix.shot, weight=0.5)
        pair = Blend(flat(8, 8, 6), flat(8, 8, 6), 0.5)
        for shot, outgoing in ((pair, None), (pair, small.shot), (pair, pair), (small.shot, same.shot)):
            self.linear(replace(base, mix=mix if outgoing else base.mix, fade=1.0), Due(shot, outgoing))
        if self._captions is not None:
            self._caption(Plate(self._grain, (0, 0)), 0.0)
            self._captions.release()
        self._ctx.finish()
        self.textures.release()
        self.textures.uploads = 0
        self.resize(size)

    @property
    def captions(self) -> Captions | None:
        """The captions that were read for the show; None where it has none."""
        return self._captions.captions if self._captions is not None else None

    def resize(self, size_px: tuple[int, int]) -> None:
        """For an output whose size has changed (full screen); the same size again costs nothing."""
        if size_px == self.size_px:
            return
        for made in ((self._picture, self._target), self._rows):
            if made is not None:
                made[1].release()
                made[0].release()
        self.size_px, self._rows = size_px, None
        self._picture, self._target = picture_texture(self._ctx, size_px)
        self._framed = None
        self._drawn.clear()

    def draw(self, state: ShowState, due: Due) -> Drawn:
        """The picture of one refresh. Valid until the next draw."""
        caption = self.caption_at(state)
        bare = self._bare(state, due) if caption is None else None
        return bare or Drawn(self.linear(state, due, caption), self.size_px)

    def caption_at(self, state: ShowState) -> Plate | None:
        """The caption that is due. Asked once a refresh, for one is set ahead in each refresh that has none to set at once."""
        if self._captions is None or not state.captions:
            return None
        rect = film_rect(self._show.film.aspect, self.size_px, self._show.output.fit)
        return self._captions.at(state.picture.frame, seen_part(rect, self.size_px))

    def _bare(self, state: ShowState, due: Due) -> Drawn | None:
        """A lone frame that lies texel for texel on the output, with no look or fade: decoding its bytes to light only
        to code them again gives the same bytes, less well rounded, and costs a processor more than all the rest."""
        layers, fade = faded(layers_of(state, due), state.mix.fade)
        if len(layers) != 1 or state.blackout or state.stopped or min(state.fade, fade, layers[0][1]) < 1.0 - LEAST_WEIGHT:
            return None
        frame, at = layers[0][0], state.picture.frame
        rect = film_rect(self._show.film.aspect, self.size_px, self._show.output.fit)
        inside = inside_of(frame)
        reduce, sigma = _reduced(inside, rect, state.look.get("blur", 0.0))
        if state.look.get("weave", 0.0) or not grade_at(state.look, at, self._show.seed).plain:
            return None
        across, down = axes_of(inside, reduce, rect, sigma, 0.0, (0.0, 0.0))
        if (reduce, across.taps, down.taps) != (1, 1, 1) or (inside.width, inside.height) != rect[2:]:
            return None
        seen = seen_part(rect, self.size_px)
        first = (inside.x + seen[0] - rect[0], inside.y + seen[1] - rect[1])
        return Drawn(self.textures.of(frame), self.size_px, seen, first)

    def linear(self, state: ShowState, due: Due, caption: Plate | None = None) -> moderngl.Texture:
        """The picture of one refresh by all three passes, with a caption: RGBA half float [H, W], linear light, 1 = white, the
        top row first.

        Black where nothing is due, where the show is stopped, blacked out or faded to 0. Valid until the next draw.
        """
        layers, fade = faded(layers_of(state, due), state.mix.fade)
        if not layers or state.blackout or state.stopped or state.fade <= 0.0:
            if self._changed("composite", "black"):
                self._target.viewport = (0, 0, *self.size_px)
                self._target.clear(0.0, 0.0, 0.0, 1.0)
            return self._picture
        frame = state.picture.frame
        rect = film_rect(self._show.film.aspect, self.size_px, self._show.output.fit)
        inside, reduce, sigma = self._mix(layers, rect, state.look.get("blur", 0.0))
        weave_px = state.look.get("weave", 0.0) / 100 * rect[3]
        across, down = axes_of(inside, reduce, rect, sigma, weave_px, weave_at(frame, self._show.seed))
        rows, shift = self._across(across, rect, math.ceil(inside.height / reduce))
        self._composite(state, grade_at(state.look, frame, self._show.seed), rows, shift, down, rect, fade, caption)
        return self._picture

    def _changed(self, stage: str, key: object) -> bool:
        """Whether a pass has to be drawn again; a pass that is drawn makes the ones after it be drawn."""
        if self._drawn.get(stage) == key:
            return False
        stages = ("mix", "across", "composite")
        for later in stages[stages.index(stage):]:
            self._drawn.pop(later, None)
        self._drawn[stage] = key
        return True

    def _mix(self, layers: list[tuple[Frame, float]], rect: Rect, blur: float) -> tuple[Inside, int, float]:
        """First pass. Returns the geometry of the mixed picture, by how much it was reduced, and the blur still to be
        done (standard deviation in source texels)."""
        geometries = [inside_of(frame) for frame, _ in layers]
        inside = max(geometries, key=lambda g: g.width * g.height)
        stretch = any(g != inside for g in geometries)
        reduce, sigma = _reduced(inside, rect, blur, 1 if stretch else None)
        size = (math.ceil(inside.width / reduce), math.ceil(inside.height / reduce))
        if not self._changed("mix", (layers, reduce, size, stretch)):  # frames are equal only to themselves
            return inside, reduce, sigma
        if self._mixed is None or self._mixed[0].size != size:
            if self._mixed is not None:
                self._mixed[1].release()
                self._mixed[0].release()
            self._mixed = picture_texture(self._ctx, size)
        self._mixed[1].use()
        # What is resampled comes one after the other, added up: a shader that resamples four pictures at once takes a second
        # to compile.
        at_once = 1 if stretch else MAX_LAYERS
        draws = [layers[i : i + at_once] for i in range(0, len(layers), at_once)]
        if len(draws) > 1:
            self._mixed[1].clear()
            self._ctx.enable(moderngl.BLEND)
            self._ctx.blend_func = moderngl.ONE, moderngl.ONE
        for part in draws:
            defines = {"LAYERS": len(part), "REDUCE": int(reduce > 1), "STRETCH": int(stretch)}
            self._add(defines, part, inside, reduce)
        if len(draws) > 1:
            self._ctx.disable(moderngl.BLEND)
        return inside, reduce, sigma

    def _add(self, defines: dict[str, int], layers: list[tuple[Frame, float]], onto: Inside,
             reduce: int) -> None:
        """Draws up to four layers of one size, or one that is resampled to the size of `onto`."""
        bounds, places = [], []
        for i, (frame, _) in enumerate(layers):
            self.textures.of(frame).use(i)
            g = inside_of(frame)
            bounds.append((g.x, g.y, g.x + g.width - 1, g.y + g.height - 1))
            sx, sy = g.across / onto.across, g.down / onto.down
            places.append((g.x + g.from_x - onto.from_x * sx, g.y + g.from_y - onto.from_y * sy, sx, sy))
        weights = [w for _, w in layers] + [0.0] * (4 - len(layers))
        self._programs.draw("mix.frag", defines, {"layer0": 0, "layer1": 1, "layer2": 2, "layer3": 3, "bounds": bounds,
                                              "weights": tuple(weights), "places": places, "reduce": reduce})

    def _across(self, axis: Axis, rect: Rect, height: int) -> tuple[moderngl.Texture, int]:
        """Second pass. Returns the rows and the number to add to an output column; without work where the picture
        already has its width."""
        assert self._mixed is not None
        if axis.taps == 1:
            if self._drawn.get("across") != "none":
                self._changed("across", "none")
            return self._mixed[0], round(axis.place[0])
        size = (self.size_px[0], height)
        if not self._changed("across", (axis, rect, size)):
            assert self._rows is not None
            return self._rows[0], 0
        if self._rows is None or self._rows[0].size != size:
            if self._rows is not None:
                self._rows[1].release()
                self._rows[0].release()
            self._rows = picture_texture(self._ctx, size)
        left, _, wide, _ = seen_part(rect, self.size_px)
        self._rows[1].viewport = (left, 0, wide, height)
        self._rows[1].use()
        self._mixed[0].use(0)
        self._programs.draw("across.frag", {"TAPS": axis.taps}, {"picture": 0, **axis.uniforms()})
        return self._rows[0], 0

    def _composite(self, state: ShowState, grade: Grade, rows: moderngl.Texture, shift: int, axis: Axis,
                   rect: Rect, fade: float, caption: Plate | None) -> None:
        """Third pass: to the output's height, the look, and the caption over it, which no look touches. fade: what is left to
        be drawn of the shot's."""
        white = 1.0 if state.mix.fade_colour == "white" else 0.0
        turn = grain_turn(state.picture.frame, self._show.seed) if grade.grain > 0 else None
        if not self._changed("composite", (axis, grade, turn, shift, rect, fade, white, state.fade, caption)):
            return
        x, y, w, h = rect
        seen = seen_part(rect, self.size_px)
        uniforms: dict[str, object] = {
            "rows": 0, "shift_x": shift, "last_x": rows.width - 1, "fade": fade, "fade_colour": (white,) * 3,
            "level": min(state.fade, 1.0), **axis.uniforms()}
        if not grade.plain:
            uniforms |= {
                "gain": grade.gain, "saturation": grade.saturation, "contrast": grade.contrast, "grain": grade.grain,
                "grain_tile": 1, "grain_place": _grain_place(turn, rect), "grain_level": self._grain_level,
                "lamp": grade.lamp, "vignette": (x + w / 2, y + h / 2, grade.vignette),
                # The lamp lights what is seen, not what is cut off.
                "corner_px2": (seen[2] ** 2 + seen[3] ** 2) / 4}
        if self._framed != rect:
            self._target.viewport = (0, 0, *self.size_px)
            self._target.clear(0.0, 0.0, 0.0, 1.0)
            self._framed = rect
        self._target.viewport = seen  # what lies beside the film is black already, and costs nothing
        self._target.use()
        rows.use(0)
        self._grain.use(1)
        self._programs.draw("composite.frag", {"TAPS": axis.taps, "LOOK": int(not grade.plain),
                                               "CONTRAST": int(grade.contrast != 1.0)}, uniforms)
        if caption is not None:
            self._caption(caption, min(state.fade, 1.0))

    def _caption(self, plate: Plate, level: float) -> None:
        """A caption over the picture that the target holds."""
        self._target.viewport = (*plate.corner, *plate.texture.size)
        self._target.use()
        plate.texture.use(0)
        self._ctx.enable(moderngl.BLEND)
        self._ctx.blend_func = moderngl.ONE, moderngl.ONE_MINUS_SRC_ALPHA
        self._programs.draw("caption.frag", {}, {"plate": 0, "corner": plate.corner, "level": level})
        self._ctx.disable(moderngl.BLEND)

    def release(self) -> None:
        """Gives the GL objects back."""
        self.textures.release()
        self._programs.release()
        for made in ((self._picture, self._target), self._rows, self._mixed):
            if made is not None:
                made[1].release()
                made[0].release()
        self._grain.release()
        if self._captions is not None:
            self._captions.release()


def _reduced(inside: Inside, rect: Rect, blur: float, reduce: int | None = None) -> tuple[int, float]:
    """By how much a picture is made smaller first (as it is asked, or as far as it may be), and what blur is then left
    to be done (standard deviation in source texels)."""
    sigma = blur / 100 / 2 * inside.down  # a soft disc's radius is about two standard deviations
    if reduce is None:
        texels_per_px = min(inside.across / rect[2], inside.down / rect[3])
        reduce = max(1, int(texels_per_px + 1e-6), int(sigma / 1.5))
    # The mean over a box has blurred it too.
    return reduce, math.sqrt(max(sigma * sigma - (reduce * reduce - 1) / 12, 0.0))


def _grain_place(turn: tuple[tuple[int, int, int, int], tuple[int, int]] | None, rect: Rect) -> tuple[float, ...]:
    """The 3x2 matrix (column by column) from (pixel, 1) to grain tile coordinates, in tiles."""
    (a, b, c, d), (offset_x, offset_y) = turn or ((1, 0, 0, 1), (0, 0))
    texels = 1 / max(1.0, rect[3] / GRAIN_LINES) / GRAIN_TILE_PX  # of the tile, a pixel
    x, y = rect[0] - offset_x / texels / GRAIN_TILE_PX, rect[1] - offset_y / texels / GRAIN_TILE_PX
    return (a * texels, c * texels, b * texels, d * texels, -(a * x + b * y) * texels, -(c * x + d * y) * texels)
