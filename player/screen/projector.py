"""The picture -> one physical output: sRGB coding and a still dither where it is linear light, and the technicians' overlay."""

from __future__ import annotations

import moderngl

from player.screen.compositor import Drawn
from player.screen.overlay import Overlay, margin_px
from player.screen.program import Programs
from player.show.show import Output


class Projector:
    """Draws the picture to an output. Main thread only."""

    def __init__(self, ctx: moderngl.Context, output: Output):
        self._ctx = ctx
        self.output = output
        self._programs = Programs(ctx)
        self._overlay = Overlay(ctx)
        self._programs.get("overlay.frag")
        self._warm()

    def _warm(self) -> None:
        """Draws once by each of its ways: drivers compile at the first draw and not before, and a show's first fade must not
        cost a refresh."""
        for side in (30, 32):  # Mesa compiles for powers of two apart
            size = (side, side)
            target = self._ctx.simple_framebuffer(size, 4)
            light, frame = self._ctx.texture(size, 4, dtype="f2"), self._ctx.texture(size, 3, alignment=1)
            for drawn in (Drawn(light, size), Drawn(light, (side + 1, side)), Drawn(frame, size, (0, 0, side, side))):
                self.draw(drawn, target)
            self._ctx.finish()
            for made in (light, frame, target):
                made.release()

    def draw(self, picture: Drawn, framebuffer: moderngl.Framebuffer, overlay_lines: tuple[str, ...] = ()) -> None:
        """Draws over the framebuffer's viewport.

        picture: of another size than the viewport it is stretched to it (for the refresh in which a window has changed its
        size). overlay_lines: drawn over it, top left.
        """
        x, y, width, height = viewport = framebuffer.viewport
        framebuffer.use()
        texture, stretch = picture.texture, picture.film is None and picture.size_px != (width, height)
        kind = moderngl.LINEAR if stretch else moderngl.NEAREST
        if texture.filter != (kind, kind):
            texture.filter = (kind, kind)
        texture.use(0)
        self._programs.draw("project.frag", {"STRETCH": int(stretch), "BARE": int(picture.film is not None)},
                            {"picture": 0, "size": (width, height), "corner": (x, y), "film": picture.film or (0, 0, 0, 0),
                             "first": picture.first, "scale": (picture.size_px[0] / width, picture.size_px[1] / height)})
        letters = self._overlay.texture(overlay_lines, (width, height))
        if letters is None:
            return
        margin = margin_px((width, height))
        corner = (x + margin, y + height - margin - letters.height)
        framebuffer.viewport = (*corner, *letters.size)
        letters.use(0)
        self._ctx.enable(moderngl.BLEND)
        self._ctx.blend_func = moderngl.ONE, moderngl.ONE_MINUS_SRC_ALPHA
        self._programs.draw("overlay.frag", {}, {"letters": 0, "size": letters.size, "corner": corner})
        self._ctx.disable(moderngl.BLEND)
        framebuffer.viewport = viewport

    def release(self) -> None:
        """Gives the GL objects back."""
        self._programs.release()
        self._overlay.release()
