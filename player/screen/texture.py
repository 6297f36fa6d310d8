"""Pixels of Frames to GL textures: each Frame is uploaded once, into a texture that is used again and again."""

from __future__ import annotations

from collections import OrderedDict

import moderngl
import numpy as np

from player.sources.frame import Frame

# Two shots of two frames each are drawn at once; as many again are kept for a picture that comes back (a dissolve's
# blend steps on by one frame a time), and the rotation spares the driver a wait for a texture still in use.
KEPT = 8


class Textures:
    """Textures of the Frames drawn lately. Main thread only.

    uploads: how many Frames were sent to GL, for tests and the overlay.
    """

    def __init__(self, ctx: moderngl.Context):
        self._ctx = ctx
        # The Frame is kept beside its texture: its id() must not be given to another Frame meanwhile.
        self._held: OrderedDict[int, tuple[Frame, moderngl.Texture]] = OrderedDict()
        self.uploads = 0

    def of(self, frame: Frame) -> moderngl.Texture:
        """The Frame's pixels as RGB8, texel row 0 = the top row, sRGB values as they are (decoded in the shader)."""
        if id(frame) in self._held:
            self._held.move_to_end(id(frame))
            return self._held[id(frame)][1]
        height, width, _ = frame.pixels.shape  # [H, W, 3]
        texture = self._spare((width, height))
        texture.write(np.ascontiguousarray(frame.pixels), alignment=1)
        self.uploads += 1
        self._held[id(frame)] = (frame, texture)
        return texture

    def _spare(self, size: tuple[int, int]) -> moderngl.Texture:
        """The oldest texture of this size where enough are held, else a new one."""
        if len(self._held) >= KEPT:
            for key, (_, texture) in self._held.items():
                if texture.size == size:
                    del self._held[key]
                    return texture
            _, (_, texture) = self._held.popitem(last=False)
            texture.release()
        texture = self._ctx.texture(size, 3, alignment=1)
        texture.filter = (moderngl.NEAREST, moderngl.NEAREST)
        return texture

    def release(self) -> None:
        for _, texture in self._held.values():
            texture.release()
        self._held.clear()


def picture_texture(ctx: moderngl.Context, size_px: tuple[int, int]) -> tuple[moderngl.Texture, moderngl.Framebuffer]:
    """A linear-light half-float RGBA texture and the framebuffer that draws into it."""
    texture = ctx.texture(size_px, 4, dtype="f2")
    texture.filter = (moderngl.NEAREST, moderngl.NEAREST)
    texture.repeat_x = texture.repeat_y = False
    return texture, ctx.framebuffer([texture])
